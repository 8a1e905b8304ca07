//! Quantities with units: durations, rates, shares and sizes, as scenario values.

use super::{
    read::Amount,
    values::{TextError, TextLeaf},
};
use crate::base::{
    Time,
    units::{self, UnitError},
};
use std::fmt;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $parse:path, $example:literal, $show:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(u64) -> String = $show;
                f.write_str(&show(u64::from(self.0)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TextLeaf for $name {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Result<$name, TextError> {
                $parse(text).map($name).map_err(|UnitError { message, hint }| TextError::new(message).help(hint))
            }

            fn bare_number(number: &str) -> Option<String> {
                Some(format!("a quantity is a text with a unit: write \"{number}{}\" if that is what you mean", $example))
            }
        }

        impl Amount for $name {
            fn amount(&self) -> u64 {
                u64::from(self.0)
            }

            fn show(amount: u64) -> String {
                let show: fn(u64) -> String = $show;
                show(amount)
            }
        }
    };
}

quantity! {
    /// A span of virtual time in nanoseconds, written with a unit of `ns us ms s min h`: `"10ms"`.
    Duration(Time), "a duration such as \"10ms\"", units::duration, "s", |n| {
        with_unit(n, &[(3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")])
    }
}

quantity! {
    /// A rate in bits per second, written with a unit of `bit kbit Mbit Gbit`: `"100Mbit"`.
    BitRate(u64), "a rate such as \"100Mbit\"", units::rate, "Mbit", |n| {
        with_unit(n, &[(1_000_000_000, "Gbit"), (1_000_000, "Mbit"), (1_000, "kbit"), (1, "bit")])
    }
}

quantity! {
    /// A share in parts per million, written in per cent: `"0.5%"`.
    Share(u32), "a share such as \"2.5%\"", units::share, "%", |ppm| {
        let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

quantity! {
    /// A size in bytes, written with a unit of `B kB MB GB KiB MiB GiB`: `"1400B"`.
    Size(u64), "a size such as \"1400B\" or \"1MB\"", units::size, "B", |n| {
        with_unit(n, &[(1_000_000_000, "GB"), (1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB"), (1_000, "kB"), (1, "B")])
    }
}

/// The number in the largest unit that divides it.
fn with_unit(n: u64, units: &[(u64, &str)]) -> String {
    let last = *units.last().expect("every quantity has a smallest unit");
    if n == 0 {
        // Zero is zero in any unit; people write "0s".
        let unit = units.iter().find(|(_, name)| *name == "s").unwrap_or(&last);
        return format!("0{}", unit.1);
    }
    let (scale, name) = units.iter().find(|(scale, _)| n.is_multiple_of(*scale)).unwrap_or(&last);
    format!("{}{name}", n / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_printed_reads_back(n in any::<u64>(), ppm in 0..=1_000_000u32) {
            prop_assert_eq!(Duration::parse(&Duration(n).to_string()).ok(), Some(Duration(n)));
            prop_assert_eq!(BitRate::parse(&BitRate(n).to_string()).ok(), Some(BitRate(n)));
            prop_assert_eq!(Size::parse(&Size(n).to_string()).ok(), Some(Size(n)));
            prop_assert_eq!(Share::parse(&Share(ppm).to_string()).ok(), Some(Share(ppm)));
        }
    }

    #[test]
    fn the_largest_fitting_unit_is_used() {
        assert_eq!(Duration(90_000_000_000).to_string(), "90s");
        assert_eq!(Duration(60_000_000_000).to_string(), "1min");
        assert_eq!(Duration(0).to_string(), "0s");
        assert_eq!(BitRate(100_000_000).to_string(), "100Mbit");
        assert_eq!(Share(5_000).to_string(), "0.5%");
        assert_eq!(Size(65_536).to_string(), "64KiB");
    }
}
