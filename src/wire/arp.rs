//! ARP for IPv4 over Ethernet, RFC 826.

use super::{be16, put16};
use crate::base::Mac;
use std::net::Ipv4Addr;

/// Bytes of an ARP message.
pub const LEN: usize = 28;
/// Opcode of a request.
pub const REQUEST: u16 = 1;
/// Opcode of a reply.
pub const REPLY: u16 = 2;

/// An ARP message for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// [`REQUEST`] or [`REPLY`].
    pub op: u16,
    /// Sender hardware address.
    pub sha: Mac,
    /// Sender protocol address.
    pub spa: Ipv4Addr,
    /// Target hardware address.
    pub tha: Mac,
    /// Target protocol address.
    pub tpa: Ipv4Addr,
}

impl Arp {
    /// Reads a message; `None` if it is short or not IPv4 over Ethernet.
    pub fn parse(b: &[u8]) -> Option<Arp> {
        // Hardware type 6, IEEE 802, is taken for Ethernet (arp_process).
        if b.len() < LEN || !matches!(be16(b, 0), 1 | 6) || be16(b, 2) != super::eth::IPV4 || b[4] != 6 || b[5] != 4 {
            return None;
        }
        let ip = |at: usize| Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3]);
        Some(Arp { op: be16(b, 6), sha: Mac::read(b, 8), spa: ip(14), tha: Mac::read(b, 18), tpa: ip(24) })
    }

    /// Writes the message into the first [`LEN`] bytes of `b`.
    pub fn write(&self, b: &mut [u8]) {
        put16(b, 0, 1);
        put16(b, 2, super::eth::IPV4);
        b[4] = 6;
        b[5] = 4;
        put16(b, 6, self.op);
        b[8..14].copy_from_slice(&self.sha.0);
        b[14..18].copy_from_slice(&self.spa.octets());
        b[18..24].copy_from_slice(&self.tha.0);
        b[24..28].copy_from_slice(&self.tpa.octets());
    }
}
