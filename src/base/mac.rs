//! Ethernet addresses.

use std::{fmt, str::FromStr};

/// A 48-bit Ethernet address.
///
/// ```
/// use netsim::base::Mac;
/// let mac: Mac = "02:00:00:00:01:0a".parse().unwrap();
/// assert!(mac.is_unicast() && mac.is_local());
/// assert_eq!(mac.to_string(), "02:00:00:00:01:0a");
/// assert!("02:00:00".parse::<Mac>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    /// `00:00:00:00:00:00`, which no station may use.
    pub const ZERO: Mac = Mac([0; 6]);

    /// Whether the group bit is set (multicast, broadcast included).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether this is `ff:ff:ff:ff:ff:ff`.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Mac::BROADCAST
    }

    /// Whether the group bit is clear and the address is not all zero.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Mac::ZERO
    }

    /// Whether the address is locally administered.
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }

    /// Reads six bytes at `at`. Panics if the slice is too short; callers check lengths first.
    #[inline]
    pub fn read(b: &[u8], at: usize) -> Mac {
        let mut m = [0; 6];
        m.copy_from_slice(&b[at..at + 6]);
        Mac(m)
    }

    /// The stable address netsim gives a device that has none of its own: locally administered, derived from the
    /// names only, so adding a bystander changes nobody's address.
    ///
    /// ```
    /// use netsim::base::Mac;
    /// let mac = Mac::derived("host", "eth0");
    /// assert!(mac.is_local() && mac.is_unicast());
    /// assert_eq!(mac, Mac::derived("host", "eth0"));
    /// assert_ne!(mac, Mac::derived("host", "eth1"));
    /// ```
    pub fn derived(namespace: &str, device: &str) -> Mac {
        let k = crate::base::key_of(&[namespace, device]).to_be_bytes();
        Mac([0x02, k[1], k[2], k[3], k[4], k[5]])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5])
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six two-digit hexadecimal bytes separated by colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacParseError;

impl fmt::Display for MacParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected six hexadecimal bytes such as 02:00:00:00:00:01")
    }
}

impl std::error::Error for MacParseError {}

impl FromStr for Mac {
    type Err = MacParseError;

    fn from_str(s: &str) -> Result<Mac, MacParseError> {
        let mut m = [0; 6];
        let mut parts = s.split(':');
        for byte in &mut m {
            let part = parts.next().ok_or(MacParseError)?;
            if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MacParseError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacParseError)?;
        }
        if parts.next().is_some() { Err(MacParseError) } else { Ok(Mac(m)) }
    }
}
