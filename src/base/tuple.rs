//! The five numbers that name a flow.

use std::{fmt, net::IpAddr};

/// IP protocol numbers netsim treats by name (IANA "Protocol Numbers").
pub mod proto {
    /// Internet Control Message Protocol.
    pub const ICMP: u8 = 1;
    /// IP in IP tunnelling, RFC 2003.
    pub const IPIP: u8 = 4;
    /// Transmission Control Protocol.
    pub const TCP: u8 = 6;
    /// User Datagram Protocol.
    pub const UDP: u8 = 17;
    /// IPv6 in IP, RFC 4213.
    pub const IPV6: u8 = 41;
    /// IPv6 fragment header, RFC 8200 §4.5.
    pub const FRAGMENT: u8 = 44;
    /// Generic Routing Encapsulation, RFC 2784.
    pub const GRE: u8 = 47;
    /// ICMP for IPv6, RFC 4443.
    pub const ICMPV6: u8 = 58;
}

/// One direction of a flow: a conntrack tuple.
///
/// For ICMP echo both `sport` and `dport` hold the identifier; for other protocols without ports both are 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Source port, or the ICMP identifier.
    pub sport: u16,
    /// Destination port, or the ICMP identifier.
    pub dport: u16,
    /// IP protocol number.
    pub proto: u8,
}

impl Tuple {
    /// The tuple of the packets that come back.
    #[inline]
    pub fn inverse(self) -> Tuple {
        Tuple { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport, proto: self.proto }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |ip: IpAddr, port: u16| match ip {
            IpAddr::V4(_) => format!("{ip}:{port}"),
            IpAddr::V6(_) => format!("[{ip}]:{port}"),
        };
        match self.proto {
            proto::ICMP | proto::ICMPV6 => {
                write!(f, "icmp {} → {} id {}", self.src, self.dst, self.sport)
            }
            proto::TCP => write!(f, "tcp {} → {}", end(self.src, self.sport), end(self.dst, self.dport)),
            proto::UDP => write!(f, "udp {} → {}", end(self.src, self.sport), end(self.dst, self.dport)),
            p => write!(f, "proto {p} {} → {}", self.src, self.dst),
        }
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
