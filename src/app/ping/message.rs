//! What `ping` says about ICMP errors (`pr_icmph` and `print_icmp` of iputils 20221126), and the bytes of its messages.

use crate::{
    base::{SEC, Time, US},
    wire::{
        be16, icmp,
        icmp::{unreach, v6},
        put16,
    },
};

/// Bytes of the timestamp at the start of the payload: a `struct timeval`.
pub(super) const TIMESTAMP: usize = 16;

/// An echo request. The payload starts with the time it was sent, if there is room; then byte *i* has the value *i*.
pub(super) fn request(ipv4: bool, seq: u16, size: usize, now: Time) -> Vec<u8> {
    let mut b = vec![0; icmp::HEADER];
    b.extend((0..size).map(|i| i as u8));
    b[0] = if ipv4 { icmp::ECHO } else { v6::ECHO };
    put16(&mut b, 6, seq);
    if size >= TIMESTAMP {
        b[8..16].copy_from_slice(&(now / SEC).to_le_bytes());
        b[16..24].copy_from_slice(&(now % SEC / US).to_le_bytes());
    }
    b
}

/// The sequence number of an echo message and when the request it answers was sent.
pub(super) fn reply(message: &[u8]) -> Option<(u16, Option<Time>)> {
    if message.len() < icmp::HEADER {
        return None;
    }
    let word = |at: usize| message.get(at..at + 8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
    let sent = match (word(8), word(16)) {
        (Some(s), Some(us)) => Some(s.saturating_mul(SEC).saturating_add(us.saturating_mul(US))),
        _ => None,
    };
    Some((be16(message, 6), sent))
}

/// An ICMP error in words; `info` is the MTU of *fragmentation needed* or the pointer of *parameter problem*.
pub(super) fn error(ipv4: bool, kind: u8, code: u8, info: u32) -> String {
    if ipv4 { error4(kind, code, info) } else { error6(kind, code, info) }
}

fn error4(kind: u8, code: u8, info: u32) -> String {
    let text = match (kind, code) {
        (icmp::UNREACHABLE, unreach::NET) => "Destination Net Unreachable",
        (icmp::UNREACHABLE, unreach::HOST) => "Destination Host Unreachable",
        (icmp::UNREACHABLE, unreach::PROTOCOL) => "Destination Protocol Unreachable",
        (icmp::UNREACHABLE, unreach::PORT) => "Destination Port Unreachable",
        (icmp::UNREACHABLE, unreach::FRAG_NEEDED) => return format!("Frag needed and DF set (mtu = {info})"),
        (icmp::UNREACHABLE, 5) => "Source Route Failed",
        (icmp::UNREACHABLE, 6) => "Destination Net Unknown",
        (icmp::UNREACHABLE, 7) => "Destination Host Unknown",
        (icmp::UNREACHABLE, 8) => "Source Host Isolated",
        (icmp::UNREACHABLE, unreach::NET_PROHIBITED) => "Destination Net Prohibited",
        (icmp::UNREACHABLE, unreach::HOST_PROHIBITED) => "Destination Host Prohibited",
        (icmp::UNREACHABLE, 11) => "Destination Net Unreachable for Type of Service",
        (icmp::UNREACHABLE, 12) => "Destination Host Unreachable for Type of Service",
        (icmp::UNREACHABLE, unreach::ADMIN_PROHIBITED) => "Packet filtered",
        (icmp::UNREACHABLE, 14) => "Precedence Violation",
        (icmp::UNREACHABLE, 15) => "Precedence Cutoff",
        (icmp::UNREACHABLE, _) => return format!("Dest Unreachable, Bad Code: {code}"),
        (icmp::TIME_EXCEEDED, 0) => "Time to live exceeded",
        (icmp::TIME_EXCEEDED, 1) => "Frag reassembly time exceeded",
        (icmp::TIME_EXCEEDED, _) => return format!("Time exceeded, Bad Code: {code}"),
        (icmp::PARAM_PROBLEM, _) => return format!("Parameter problem: pointer = {info}"),
        _ => return format!("Bad ICMP type: {kind}"),
    };
    text.into()
}

fn error6(kind: u8, code: u8, info: u32) -> String {
    let text = match (kind, code) {
        (v6::UNREACHABLE, 0) => "Destination unreachable: No route",
        (v6::UNREACHABLE, 1) => "Destination unreachable: Administratively prohibited",
        (v6::UNREACHABLE, 2) => "Destination unreachable: Beyond scope of source address",
        (v6::UNREACHABLE, 3) => "Destination unreachable: Address unreachable",
        (v6::UNREACHABLE, 4) => "Destination unreachable: Port unreachable",
        (v6::UNREACHABLE, _) => return format!("Destination unreachable: Unknown code {code}"),
        (v6::PACKET_TOO_BIG, 0) => return format!("Packet too big: mtu={info}"),
        (v6::PACKET_TOO_BIG, _) => return format!("Packet too big: mtu={info}, code={code}"),
        (v6::TIME_EXCEEDED, 0) => "Time exceeded: Hop limit",
        (v6::TIME_EXCEEDED, 1) => "Time exceeded: Defragmentation failure",
        (v6::TIME_EXCEEDED, _) => return format!("Time exceeded: code {code}"),
        (v6::PARAM_PROBLEM, 0) => return format!("Parameter problem: Wrong header field at {info}"),
        (v6::PARAM_PROBLEM, 1) => return format!("Parameter problem: Unknown header at {info}"),
        (v6::PARAM_PROBLEM, 2) => return format!("Parameter problem: Unknown option at {info}"),
        (v6::PARAM_PROBLEM, _) => return format!("Parameter problem: code {code} at {info}"),
        _ => return format!("unknown icmp type: {kind}"),
    };
    text.into()
}

/// An ICMP redirect in words.
pub(super) fn redirect(code: u8, gateway: std::net::Ipv4Addr) -> String {
    let what = match code {
        0 => "Redirect Network",
        1 => "Redirect Host",
        2 => "Redirect Type of Service and Network",
        3 => "Redirect Type of Service and Host",
        _ => return format!("Redirect, Bad Code: {code}(New nexthop: {gateway})"),
    };
    format!("{what}(New nexthop: {gateway})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MS;

    /// Lines the oracle recorded.
    #[test]
    fn words_are_the_tools() {
        assert_eq!(error(true, 3, 1, 0), "Destination Host Unreachable");
        assert_eq!(error(true, 3, 4, 1400), "Frag needed and DF set (mtu = 1400)");
        assert_eq!(error(true, 3, 13, 0), "Packet filtered");
        assert_eq!(error(true, 11, 0, 0), "Time to live exceeded");
        assert_eq!(error(false, 1, 0, 0), "Destination unreachable: No route");
        assert_eq!(error(false, 1, 3, 0), "Destination unreachable: Address unreachable");
        assert_eq!(error(false, 3, 0, 0), "Time exceeded: Hop limit");
        assert_eq!(redirect(1, "10.0.0.253".parse().unwrap()), "Redirect Host(New nexthop: 10.0.0.253)");
    }

    #[test]
    fn the_payload_carries_the_time() {
        let now = 3 * SEC + 250 * MS;
        let b = request(true, 7, 56, now);
        assert_eq!((b.len(), b[0], b[1]), (64, 8, 0));
        assert_eq!(b[24..28], [0x10, 0x11, 0x12, 0x13]);
        assert_eq!(reply(&b), Some((7, Some(now))));
        let small = request(false, 7, 15, now);
        assert_eq!((small[0], small[8]), (128, 0));
        assert_eq!(reply(&small), Some((7, None)));
        assert_eq!(reply(&[0; 7]), None);
    }

    #[test]
    fn a_forged_time_does_no_harm() {
        let mut b = request(true, 1, 56, 0);
        b[8..24].fill(0xff);
        assert_eq!(reply(&b), Some((1, Some(Time::MAX))));
    }
}
