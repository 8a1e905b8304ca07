//! IPv6 extension headers: what a node must look at in them (RFC 8200 §4; net/ipv6/exthdrs.c).

use crate::wire::{IpHeader, icmp::v6, ip::V6_HEADER};

/// Hop-by-hop options; only directly behind the IPv6 header.
pub(super) const HOP_BY_HOP: u8 = 0;
/// Routing header.
const ROUTING: u8 = 43;
/// No next header: nothing follows (RFC 8200 §4.7).
pub(super) const NONE: u8 = 59;
/// Destination options.
const DESTINATION: u8 = 60;

/// Options that need no action: padding, and the router alert, which is for programs.
const KNOWN: [u8; 3] = [0, 1, 5];

/// Why a packet goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Silently.
    Silent,
    /// With a parameter problem of this code, about the byte at this offset.
    Problem(u8, u32),
}

/// Parameter problem: erroneous header field (RFC 4443 §3.4).
pub(super) const BAD_FIELD: u8 = 0;
/// Parameter problem: unrecognised next header type.
pub(super) const UNKNOWN_HEADER: u8 = 1;
/// Parameter problem: unrecognised option.
pub(super) const UNKNOWN_OPTION: u8 = 2;
/// The type of these messages.
pub(super) const PROBLEM: u8 = v6::PARAM_PROBLEM;

/// Looks at the hop-by-hop options of a packet that arrives: every node does (ipv6_parse_hopopts).
pub(super) fn check_hop_by_hop(b: &[u8], ip: &IpHeader) -> Result<(), Refusal> {
    if b[6] == HOP_BY_HOP { check_options(b, V6_HEADER, ip) } else { Ok(()) }
}

/// Looks at the headers meant for the destination (ipv6_rthdr_rcv, ipv6_destopt_rcv).
pub(super) fn check_destination(b: &[u8], ip: &IpHeader) -> Result<(), Refusal> {
    let (mut kind, mut at, mut field) = (b[6], V6_HEADER, 6);
    while at < ip.header_len {
        match kind {
            HOP_BY_HOP if at > V6_HEADER => return Err(Refusal::Problem(UNKNOWN_HEADER, field)),
            // Source routes are not followed: a router named in one answers for its type (RFC 8200 §4.4).
            ROUTING if b[at + 3] != 0 => return Err(Refusal::Problem(BAD_FIELD, at as u32 + 2)),
            DESTINATION => check_options(b, at, ip)?,
            _ => {}
        }
        let len = if ip.frag_header_at == Some(at) { 8 } else { (b[at + 1] as usize + 1) * 8 };
        (field, kind) = (at as u32, b[at]);
        at += len;
    }
    Ok(())
}

/// The options of the header at `at`. What becomes of an unknown one is in the two upper bits of its type (RFC 8200 §4.2).
fn check_options(b: &[u8], at: usize, ip: &IpHeader) -> Result<(), Refusal> {
    let end = (at + (b[at + 1] as usize + 1) * 8).min(b.len());
    let mut next = at + 2;
    while next < end {
        let kind = b[next];
        let len = match kind {
            0 => 1,
            _ if next + 1 >= end => return Err(Refusal::Silent),
            _ => 2 + b[next + 1] as usize,
        };
        if next + len > end {
            return Err(Refusal::Silent);
        }
        if !KNOWN.contains(&kind) {
            match kind >> 6 {
                0 => {}
                1 => return Err(Refusal::Silent),
                2 => return Err(Refusal::Problem(UNKNOWN_OPTION, next as u32)),
                _ if ip.dst.is_multicast() => return Err(Refusal::Silent),
                _ => return Err(Refusal::Problem(UNKNOWN_OPTION, next as u32)),
            }
        }
        next += len;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ip::IpFields;

    /// A packet to `dst` with the given extension headers, each (type, bytes), in front of eight bytes of UDP.
    fn packet(dst: &str, headers: &[(u8, [u8; 8])]) -> (Vec<u8>, IpHeader) {
        let mut b = vec![0; V6_HEADER];
        let mut field = 6;
        let mut chain: Vec<u8> = headers.iter().map(|h| h.0).collect();
        chain.push(17);
        for (i, (_, bytes)) in headers.iter().enumerate() {
            let at = b.len();
            b.extend(bytes);
            b[at] = chain[i + 1];
            field = at;
        }
        b.extend([0; 8]);
        let _ = field;
        let fields = IpFields {
            src: "2001:db8::1".parse().unwrap(),
            dst: dst.parse().unwrap(),
            proto: chain[0],
            ttl: 9,
            tos: 0,
            df: false,
            id: 0,
        };
        fields.write(&mut b);
        let ip = IpHeader::parse(&b).unwrap();
        (b, ip)
    }

    #[test]
    fn unknown_options_are_treated_as_their_type_says() {
        let with = |dst: &str, kind: u8| {
            let (b, ip) = packet(dst, &[(HOP_BY_HOP, [0, 0, kind, 4, 0, 0, 0, 0])]);
            assert_eq!(ip.proto, 17);
            check_hop_by_hop(&b, &ip)
        };
        assert_eq!(with("2001:db8::2", 0x1e), Ok(()));
        assert_eq!(with("2001:db8::2", 0x5e), Err(Refusal::Silent));
        assert_eq!(with("2001:db8::2", 0x9e), Err(Refusal::Problem(UNKNOWN_OPTION, 42)));
        assert_eq!(with("2001:db8::2", 0xde), Err(Refusal::Problem(UNKNOWN_OPTION, 42)));
        assert_eq!(with("ff02::1", 0x9e), Err(Refusal::Problem(UNKNOWN_OPTION, 42)));
        assert_eq!(with("ff02::1", 0xde), Err(Refusal::Silent));
        assert_eq!(with("2001:db8::2", 1), Ok(()), "padding");
    }

    #[test]
    fn options_that_reach_beyond_their_header_are_refused() {
        let (b, ip) = packet("2001:db8::2", &[(HOP_BY_HOP, [0, 0, 1, 5, 0, 0, 0, 0])]);
        assert_eq!(check_hop_by_hop(&b, &ip), Err(Refusal::Silent));
    }

    #[test]
    fn source_routes_are_not_followed() {
        let (b, ip) =
            packet("2001:db8::2", &[(DESTINATION, [0, 0, 1, 4, 0, 0, 0, 0]), (ROUTING, [0, 0, 4, 1, 0, 0, 0, 0])]);
        assert_eq!(check_destination(&b, &ip), Err(Refusal::Problem(BAD_FIELD, 50)));
        let (b, ip) = packet("2001:db8::2", &[(ROUTING, [0, 0, 4, 0, 0, 0, 0, 0])]);
        assert_eq!(check_destination(&b, &ip), Ok(()), "no segments left");
        let (b, ip) = packet("2001:db8::2", &[(DESTINATION, [0; 8]), (HOP_BY_HOP, [0; 8])]);
        assert_eq!(check_destination(&b, &ip), Err(Refusal::Problem(UNKNOWN_HEADER, 40)));
    }
}
