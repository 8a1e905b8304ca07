//! UDP, RFC 768.

use super::{be16, checksum, put16};
use crate::base::proto;
use std::net::IpAddr;

/// Bytes of a UDP header.
pub const HEADER: usize = 8;

/// Writes the header and checksum of a datagram whose payload is already at `b[8..]`.
pub fn write(b: &mut [u8], src: IpAddr, dst: IpAddr, sport: u16, dport: u16) {
    let len = b.len();
    put16(b, 0, sport);
    put16(b, 2, dport);
    put16(b, 4, len as u16);
    put16(b, 6, 0);
    let c = checksum::upper(src, dst, proto::UDP, b);
    put16(b, 6, if c == 0 { 0xffff } else { c });
}

/// Whether the checksum is right, or absent where IPv4 allows that (RFC 768; RFC 8200 §8.1 forbids it for IPv6).
pub fn checksum_ok(b: &[u8], src: IpAddr, dst: IpAddr) -> bool {
    let field = be16(b, 6);
    if field == 0 { src.is_ipv4() } else { checksum::upper(src, dst, proto::UDP, b) == 0 }
}
