//! Ethernet II headers and IEEE 802.1Q tags.

use super::{Frame, be16, put16};
use crate::base::Mac;

/// Bytes of an untagged Ethernet header.
pub const HEADER: usize = 14;
/// Bytes of an IEEE 802.1Q tag.
pub const TAG: usize = 4;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of a VLAN tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// Destination address. The slice must hold a whole header.
#[inline]
pub fn dst(b: &[u8]) -> Mac {
    Mac::read(b, 0)
}

/// Source address.
#[inline]
pub fn src(b: &[u8]) -> Mac {
    Mac::read(b, 6)
}

/// EtherType; a tagged frame gives [`VLAN`].
#[inline]
pub fn ethertype(b: &[u8]) -> u16 {
    be16(b, 12)
}

/// Puts a header in front of a network-layer packet.
#[inline]
pub fn push(f: &mut Frame, dst: Mac, src: Mac, ethertype: u16) {
    let b = f.push(HEADER);
    b[..6].copy_from_slice(&dst.0);
    b[6..12].copy_from_slice(&src.0);
    put16(b, 12, ethertype);
}
