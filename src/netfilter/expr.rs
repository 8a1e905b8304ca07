//! The values rules compare with: prefixes, ports, conntrack states, marks, and how they are written.

use crate::base::{Prefix, PrefixParseError};
use std::{fmt, ops::BitOr, str::FromStr};

/// The address family a chain or NAT rule applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Family {
    /// IPv4: a table of family `ip`.
    #[default]
    Ip,
    /// IPv6: a table of family `ip6`.
    Ip6,
    /// Both: a table of family `inet`.
    Inet,
}

impl Family {
    /// Whether packets of that version pass tables of this family.
    #[inline]
    pub fn covers(self, ipv4: bool) -> bool {
        match self {
            Family::Ip => ipv4,
            Family::Ip6 => !ipv4,
            Family::Inet => true,
        }
    }
}

/// An address that must, or must not, lie in a prefix.
///
/// ```
/// use netsim::netfilter::AddrMatch;
/// let m: AddrMatch = "!10.0.0.0/24".parse().unwrap();
/// assert!(m.negate && m.prefix.len() == 24);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddrMatch {
    /// The prefix.
    pub prefix: Prefix,
    /// Match addresses outside.
    pub negate: bool,
}

impl FromStr for AddrMatch {
    type Err = PrefixParseError;

    /// A prefix, with `!` in front for everything but it.
    fn from_str(s: &str) -> Result<AddrMatch, PrefixParseError> {
        let (negate, rest) = match s.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, s),
        };
        Ok(AddrMatch { prefix: rest.parse()?, negate })
    }
}

/// A range of ports, both ends included.
///
/// ```
/// use netsim::netfilter::Ports;
/// assert_eq!("80".parse(), Ok(Ports { min: 80, max: 80 }));
/// assert_eq!("4000-4001".parse(), Ok(Ports { min: 4000, max: 4001 }));
/// assert!("90-80".parse::<Ports>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// The lowest.
    pub min: u16,
    /// The highest, not below `min`.
    pub max: u16,
}

impl Ports {
    /// A single port.
    pub const fn one(port: u16) -> Ports {
        Ports { min: port, max: port }
    }

    /// Whether `port` lies in the range.
    #[inline]
    pub const fn contains(self, port: u16) -> bool {
        self.min <= port && port <= self.max
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}-{}", self.min, self.max) }
    }
}

/// A text that is not what an expression of a rule needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprParseError {
    /// The text.
    pub text: String,
    /// What it should have been.
    pub expected: &'static str,
}

impl ExprParseError {
    pub(super) fn new(text: &str, expected: &'static str) -> ExprParseError {
        ExprParseError { text: text.into(), expected }
    }
}

impl fmt::Display for ExprParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.expected)
    }
}

impl std::error::Error for ExprParseError {}

impl FromStr for Ports {
    type Err = ExprParseError;

    fn from_str(s: &str) -> Result<Ports, ExprParseError> {
        let error = || ExprParseError::new(s, "a port or a range such as 4000-4001");
        let number = |t: &str| t.parse::<u16>().map_err(|_| error());
        let ports = match s.split_once('-') {
            Some((min, max)) => Ports { min: number(min)?, max: number(max)? },
            None => Ports::one(number(s)?),
        };
        if ports.min <= ports.max { Ok(ports) } else { Err(error()) }
    }
}

/// A set of conntrack states.
///
/// ```
/// use netsim::netfilter::CtStates;
/// let s: CtStates = "established,related".parse().unwrap();
/// assert_eq!(s, CtStates::ESTABLISHED | CtStates::RELATED);
/// assert_eq!(s.to_string(), "established,related");
/// assert!("closed".parse::<CtStates>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CtStates(u8);

impl CtStates {
    /// The packet fits no possible flow.
    pub const INVALID: CtStates = CtStates(1);
    /// The flow has seen both directions.
    pub const ESTABLISHED: CtStates = CtStates(2);
    /// An ICMP error about a flow.
    pub const RELATED: CtStates = CtStates(4);
    /// The flow has seen one direction.
    pub const NEW: CtStates = CtStates(8);
    /// Conntrack does not look at such packets.
    pub const UNTRACKED: CtStates = CtStates(64);

    const NAMES: [(CtStates, &'static str); 5] = [
        (CtStates::ESTABLISHED, "established"),
        (CtStates::RELATED, "related"),
        (CtStates::NEW, "new"),
        (CtStates::INVALID, "invalid"),
        (CtStates::UNTRACKED, "untracked"),
    ];

    /// Whether the sets have a state in common.
    #[inline]
    pub const fn intersects(self, other: CtStates) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for CtStates {
    type Output = CtStates;
    fn bitor(self, other: CtStates) -> CtStates {
        CtStates(self.0 | other.0)
    }
}

impl fmt::Display for CtStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (state, name) in CtStates::NAMES {
            if self.intersects(state) {
                f.write_str(if first { "" } else { "," })?;
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

impl FromStr for CtStates {
    type Err = ExprParseError;

    fn from_str(s: &str) -> Result<CtStates, ExprParseError> {
        s.split(',').try_fold(CtStates::default(), |set, name| {
            let known = CtStates::NAMES.iter().find(|(_, n)| *n == name.trim());
            known.map(|(state, _)| set | *state).ok_or_else(|| {
                ExprParseError::new(name, "a conntrack state: established, related, new, invalid or untracked")
            })
        })
    }
}

/// Bits of a mark that must have a value: `meta mark & MASK == VALUE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkMatch {
    /// The value.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

impl MarkMatch {
    /// The whole mark.
    pub const fn exactly(value: u32) -> MarkMatch {
        MarkMatch { value, mask: u32::MAX }
    }

    pub(super) fn fits(self, mark: u32) -> bool {
        mark & self.mask == self.value
    }

    pub(super) fn write(self, f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
        match self.mask {
            u32::MAX => write!(f, "{what} 0x{:08x} ", self.value),
            mask => write!(f, "{what} & 0x{mask:08x} == 0x{:08x} ", self.value),
        }
    }
}

/// TCP flags that must have a value: `tcp flags & MASK == VALUE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpFlags {
    /// The flags that must be set among `mask`.
    pub value: u8,
    /// The flags that count.
    pub mask: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for text in ["80", "0-65535", "4000-4001"] {
            assert_eq!(text.parse::<Ports>().unwrap().to_string(), text);
        }
        for text in ["", "-", "80-", "65536", "x", "2-1"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
        for text in ["established", "established,related,new,invalid,untracked"] {
            assert_eq!(text.parse::<CtStates>().unwrap().to_string(), text);
        }
        assert!("established,".parse::<CtStates>().is_err());
        assert!("! 10.0.0.0/8".parse::<AddrMatch>().unwrap().negate);
        assert!("10.0.0.0/33".parse::<AddrMatch>().is_err());
        let error = "new,old".parse::<CtStates>().unwrap_err();
        assert!(error.to_string().starts_with("`old` is not a conntrack state"));
    }

    #[test]
    fn families_and_marks() {
        assert!(Family::Inet.covers(true) && Family::Inet.covers(false));
        assert!(Family::Ip.covers(true) && !Family::Ip.covers(false) && Family::Ip6.covers(false));
        assert!(MarkMatch { value: 5, mask: 0xf }.fits(0x15) && !MarkMatch::exactly(5).fits(0x15));
    }
}
