//! The tuple of a packet: addresses plus ports or ICMP identifier.

use super::{IpHeader, be16, icmp};
use crate::base::{Tuple, proto};

/// The tuple of a packet whose upper-layer header starts at `l4`. Ports are 0 where the protocol has none, where the
/// header is cut off, or for a fragment other than the first.
#[inline]
pub fn tuple(ip: &IpHeader, l4: &[u8]) -> Tuple {
    let first = ip.frag_offset == 0;
    let (sport, dport) = match ip.proto {
        proto::TCP | proto::UDP if first && l4.len() >= 4 => (be16(l4, 0), be16(l4, 2)),
        proto::ICMP | proto::ICMPV6 if first && l4.len() >= 6 && icmp::is_echo(ip.is_ipv4(), l4[0]) => {
            let id = be16(l4, 4);
            (id, id)
        }
        _ => (0, 0),
    };
    Tuple { src: ip.src, dst: ip.dst, sport, dport, proto: ip.proto }
}
