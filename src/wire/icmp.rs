//! ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.

use super::{checksum, put16};
use crate::base::proto;
use std::net::IpAddr;

/// Bytes of an ICMP header: type, code, checksum and four bytes that depend on the type.
pub const HEADER: usize = 8;
/// ICMP echo reply.
pub const ECHO_REPLY: u8 = 0;
/// ICMP destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// ICMP redirect.
pub const REDIRECT: u8 = 5;
/// ICMP echo request.
pub const ECHO: u8 = 8;
/// ICMP time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// ICMP parameter problem.
pub const PARAM_PROBLEM: u8 = 12;
/// ICMP timestamp request.
pub const TIMESTAMP: u8 = 13;
/// ICMP timestamp reply.
pub const TIMESTAMP_REPLY: u8 = 14;
/// Address mask request (RFC 950).
pub const MASK_REQUEST: u8 = 17;
/// Address mask reply.
pub const MASK_REPLY: u8 = 18;

/// Codes of [`UNREACHABLE`].
pub mod unreach {
    /// Network unreachable.
    pub const NET: u8 = 0;
    /// Host unreachable.
    pub const HOST: u8 = 1;
    /// Protocol unreachable.
    pub const PROTOCOL: u8 = 2;
    /// Port unreachable.
    pub const PORT: u8 = 3;
    /// Fragmentation needed and DF set; bytes 6–7 hold the next-hop MTU (RFC 1191 §4).
    pub const FRAG_NEEDED: u8 = 4;
    /// The source route cannot be followed.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
    /// Network administratively prohibited.
    pub const NET_PROHIBITED: u8 = 9;
    /// Host administratively prohibited.
    pub const HOST_PROHIBITED: u8 = 10;
    /// Communication administratively prohibited (RFC 1812 §5.2.7.1).
    pub const ADMIN_PROHIBITED: u8 = 13;
}

/// ICMPv6 types.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big; bytes 4–7 hold the MTU.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAM_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation (RFC 4861 §4.1).
    pub const ROUTER_SOLICIT: u8 = 133;
    /// Router advertisement (RFC 4861 §4.2).
    pub const ROUTER_ADVERT: u8 = 134;
    /// Neighbour solicitation (RFC 4861 §4.3).
    pub const NEIGHBOUR_SOLICIT: u8 = 135;
    /// Neighbour advertisement (RFC 4861 §4.4).
    pub const NEIGHBOUR_ADVERT: u8 = 136;
    /// Redirect (RFC 4861 §4.5).
    pub const REDIRECT: u8 = 137;
}

/// Whether an ICMP message reports an error: such messages are never answered with another (RFC 1122 §3.2.2).
pub fn is_error(ipv4: bool, kind: u8) -> bool {
    if ipv4 { matches!(kind, UNREACHABLE | 4 | REDIRECT | TIME_EXCEEDED | PARAM_PROBLEM) } else { kind < 128 }
}

/// Whether the message is an echo request or reply, whose bytes 4–5 are an identifier.
#[inline]
pub fn is_echo(ipv4: bool, kind: u8) -> bool {
    if ipv4 { matches!(kind, ECHO | ECHO_REPLY) } else { matches!(kind, v6::ECHO | v6::ECHO_REPLY) }
}

/// The IP protocol number of ICMP in the family of `addr`.
#[inline]
pub fn proto_of(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { proto::ICMP } else { proto::ICMPV6 }
}

/// Computes and stores the checksum of a whole message; ICMPv6 includes a pseudo header (RFC 4443 §2.3).
pub fn seal(b: &mut [u8], src: IpAddr, dst: IpAddr) {
    put16(b, 2, 0);
    let c = if src.is_ipv4() { checksum::of(b) } else { checksum::upper(src, dst, proto::ICMPV6, b) };
    put16(b, 2, c);
}

/// Whether the checksum of a whole message is right.
pub fn checksum_ok(b: &[u8], src: IpAddr, dst: IpAddr) -> bool {
    if src.is_ipv4() { checksum::of(b) == 0 } else { checksum::upper(src, dst, proto::ICMPV6, b) == 0 }
}
