//! Lines in the words of iproute2.

use super::values::{TextError, TextLeaf};
use std::fmt;

macro_rules! line {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name {
            /// The words as they are written.
            pub text: String,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl TextLeaf for $name {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Result<$name, TextError> {
                Ok($name { text: text.into() })
            }
        }
    };
}

line! {
    /// A route in the words of `ip route add`.
    RouteLine, "a route such as \"default via 10.0.0.1\""
}
line! {
    /// A routing rule in the words of `ip rule add`.
    RuleLine, "a rule such as \"from 10.0.0.0/24 table 100\""
}
line! {
    /// A neighbour in the words of `ip neigh add`.
    NeighLine, "a neighbour such as \"10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0\""
}
