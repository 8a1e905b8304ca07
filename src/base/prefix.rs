//! An address with a prefix length, IPv4 or IPv6.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An IP address and the number of leading bits that name its network, as in `10.0.0.1/24`.
///
/// The address keeps its host bits: the same type describes an interface address (`10.0.0.1/24`) and, after
/// [`Prefix::network`], a route's destination (`10.0.0.0/24`).
///
/// ```
/// use netsim::base::Prefix;
/// let p: Prefix = "10.0.0.1/24".parse().unwrap();
/// assert!(p.contains("10.0.0.77".parse().unwrap()));
/// assert_eq!(p.network().to_string(), "10.0.0.0/24");
/// assert_eq!(p.broadcast().unwrap().to_string(), "10.0.0.255");
/// assert!(p.has_host_bits() && !p.network().has_host_bits());
/// assert!("10.0.0.1/33".parse::<Prefix>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

impl Prefix {
    /// `0.0.0.0/0`
    pub const ANY4: Prefix = Prefix { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), len: 0 };
    /// `::/0`
    pub const ANY6: Prefix = Prefix { addr: IpAddr::V6(Ipv6Addr::UNSPECIFIED), len: 0 };

    /// A prefix, or `None` if `len` exceeds the family's 32 or 128 bits.
    pub fn new(addr: IpAddr, len: u8) -> Option<Prefix> {
        (len <= max_len(addr)).then_some(Prefix { addr, len })
    }

    /// The address alone, as a `/32` or `/128`.
    pub fn host(addr: IpAddr) -> Prefix {
        Prefix { addr, len: max_len(addr) }
    }

    /// The address, host bits included.
    #[inline]
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// The prefix length in bits.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "the length of a prefix, not of a collection")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether this is the default route of its family.
    #[inline]
    pub const fn is_any(self) -> bool {
        self.len == 0
    }

    /// Whether this is a `/32` or `/128`.
    pub fn is_host(self) -> bool {
        self.len == max_len(self.addr)
    }

    /// Whether this is an IPv4 prefix.
    #[inline]
    pub const fn is_ipv4(self) -> bool {
        self.addr.is_ipv4()
    }

    /// The same prefix with the host bits cleared.
    pub fn network(self) -> Prefix {
        let addr = match self.addr {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from(u32::from(a) & mask4(self.len))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) & mask6(self.len))),
        };
        Prefix { addr, len: self.len }
    }

    /// Whether any bit behind the prefix length is set.
    pub fn has_host_bits(self) -> bool {
        self.network().addr != self.addr
    }

    /// `addr` with this prefix in place of its first bits; unchanged if it is of the other family.
    ///
    /// ```
    /// use netsim::base::Prefix;
    /// let wan: Prefix = "203.0.113.0/28".parse().unwrap();
    /// assert_eq!(wan.on("10.0.0.5".parse().unwrap()).to_string(), "203.0.113.5");
    /// ```
    pub fn on(self, addr: IpAddr) -> IpAddr {
        match (self.addr, addr) {
            (IpAddr::V4(n), IpAddr::V4(a)) => {
                let mask = mask4(self.len);
                IpAddr::V4(Ipv4Addr::from(u32::from(n) & mask | u32::from(a) & !mask))
            }
            (IpAddr::V6(n), IpAddr::V6(a)) => {
                let mask = mask6(self.len);
                IpAddr::V6(Ipv6Addr::from(u128::from(n) & mask | u128::from(a) & !mask))
            }
            _ => addr,
        }
    }

    /// Whether `addr` lies in this prefix; never across families.
    #[inline]
    pub fn contains(self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(n), IpAddr::V4(a)) => (u32::from(n) ^ u32::from(a)) & mask4(self.len) == 0,
            (IpAddr::V6(n), IpAddr::V6(a)) => (u128::from(n) ^ u128::from(a)) & mask6(self.len) == 0,
            _ => false,
        }
    }

    /// Whether the IPv4 address with these bits lies in this prefix.
    #[inline]
    pub(crate) fn contains4(self, addr: u32) -> bool {
        // A shift of 64 bits has room for the empty prefix: no branch.
        matches!(self.addr, IpAddr::V4(n) if u64::from(u32::from(n) ^ addr) >> (32 - u32::from(self.len)) == 0)
    }

    /// The directed broadcast address: IPv4 prefixes shorter than `/31` have one.
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        match self.addr {
            IpAddr::V4(a) if self.len < 31 => Some(Ipv4Addr::from(u32::from(a) | !mask4(self.len))),
            _ => None,
        }
    }
}

/// The netmask of an IPv4 prefix length (0–32) in host order.
#[inline]
pub(crate) const fn mask4(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - len as u32) }
}

/// The netmask of an IPv6 prefix length (0–128) in host order.
#[inline]
pub(crate) const fn mask6(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - len as u32) }
}

fn max_len(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixParseError {
    /// The part before the slash is no IPv4 or IPv6 address.
    Address(String),
    /// The part after the slash is not a number from 0 to the given maximum.
    Length(String, u8),
}

impl fmt::Display for PrefixParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text) => write!(f, "`{text}` is not an IP address"),
            Self::Length(text, max) => write!(f, "`{text}` is not a prefix length (0 to {max})"),
        }
    }
}

impl std::error::Error for PrefixParseError {}

impl FromStr for Prefix {
    type Err = PrefixParseError;

    /// Parses `ADDRESS/LENGTH`, or a bare address as a host prefix.
    fn from_str(s: &str) -> Result<Prefix, PrefixParseError> {
        let (addr, len) = match s.split_once('/') {
            Some((a, l)) => (a, Some(l)),
            None => (s, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| PrefixParseError::Address(addr.into()))?;
        let max = max_len(addr);
        let len = match len {
            None => max,
            Some(l) if !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit()) => {
                l.parse().ok().filter(|n| *n <= max).ok_or_else(|| PrefixParseError::Length(l.into(), max))?
            }
            Some(l) => return Err(PrefixParseError::Length(l.into(), max)),
        };
        Ok(Prefix { addr, len })
    }
}
