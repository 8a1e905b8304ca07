//! A packet in words: the link layer, ARP, IP and the transport protocols.
//!
//! The vocabulary is that of the conformance recordings, so that a line of a trace can be laid beside a line of theirs.

use super::control;
use crate::{
    base::{Mac, proto},
    wire::{be16, eth, ip, tcp},
};
use etherparse::{
    ArpPacketSlice, EtherType, Ethernet2HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    LaxIpv4Slice, SingleVlanHeaderSlice, TcpHeaderSlice, TcpOptionElement,
};
use std::{
    fmt::{Result, Write},
    net::Ipv4Addr,
};

/// How many packets within packets are described.
pub const DEPTH: u8 = 4;
/// How many VLAN tags are described.
const TAGS: usize = 4;
/// EtherType of an 802.1ad service tag.
const SERVICE_VLAN: u16 = 0x88a8;
/// EtherType of a bridged frame inside GRE (`ETH_P_TEB`).
const TRANSPARENT_BRIDGING: u16 = 0x6558;
/// UDP port of VXLAN, RFC 7348.
const VXLAN_PORT: u16 = 4789;
/// Smallest EtherType; below it the field is the length of an LLC frame (IEEE 802.3 §3.2.6).
const MIN_ETHERTYPE: u16 = 1536;

/// Describes an Ethernet frame.
pub fn frame(o: &mut String, b: &[u8], depth: u8) -> Result {
    let Ok(header) = Ethernet2HeaderSlice::from_slice(b) else {
        return write!(o, "Ethernet truncated({})", b.len());
    };
    let mut ethertype = header.ether_type().0;
    let mut rest = &b[header.slice().len()..];
    for _ in 0..TAGS {
        let name = match ethertype {
            eth::VLAN => "vlan",
            SERVICE_VLAN => "svlan",
            _ => break,
        };
        let Ok(tag) = SingleVlanHeaderSlice::from_slice(rest) else {
            return write!(o, "{name} truncated({})", rest.len());
        };
        write!(o, "{name} {} ", tag.vlan_identifier().value())?;
        if tag.priority_code_point().value() > 0 {
            write!(o, "pcp {} ", tag.priority_code_point().value())?;
        }
        ethertype = tag.ether_type().0;
        rest = &rest[tag.slice().len()..];
    }
    match ethertype {
        eth::ARP => arp(o, Mac(header.source()), Mac(header.destination()), rest),
        eth::IPV4 | eth::IPV6 => packet(o, rest, depth),
        0..MIN_ETHERTYPE if rest.starts_with(&[0x42, 0x42, 0x03]) => control::bpdu(o, rest),
        _ => write!(o, "ethertype={ethertype:#06x} len={}", rest.len()),
    }
}

fn arp(o: &mut String, src: Mac, dst: Mac, b: &[u8]) -> Result {
    let Ok(arp) = ArpPacketSlice::from_slice(b) else {
        return write!(o, "ARP truncated({})", b.len());
    };
    let ipv4_over_ethernet =
        (arp.proto_addr_type(), arp.hw_addr_size(), arp.proto_addr_size()) == (EtherType::IPV4, 6, 4);
    if !ipv4_over_ethernet {
        return write!(o, "ARP hw={} proto={:#06x}", arp.hw_addr_type().0, arp.proto_addr_type().0);
    }
    let ip = |b: &[u8]| Ipv4Addr::new(b[0], b[1], b[2], b[3]);
    let (sender, target) = (ip(arp.sender_protocol_addr()), ip(arp.target_protocol_addr()));
    let sha = Mac::read(arp.sender_hw_addr(), 0);
    match arp.operation().0 {
        1 => {
            write!(o, "ARP who-has {target} tell {sender}")?;
            if sha != src { write!(o, " sha={sha}") } else { Ok(()) }
        }
        2 => {
            write!(o, "ARP {sender} is-at {sha}")?;
            // Gratuitous: the receiver is not whoever asked.
            if dst.is_multicast() || target == sender { write!(o, " (to {target})") } else { Ok(()) }
        }
        op => write!(o, "ARP op={op}"),
    }
}

/// Describes an IP packet.
pub fn packet(o: &mut String, b: &[u8], depth: u8) -> Result {
    if depth == 0 {
        return o.write_str("…");
    }
    either(o, b, Some(depth))
}

/// Describes the start of a packet that an ICMP error quotes. Its length says nothing, so none is given.
pub fn quoted(o: &mut String, b: &[u8]) -> Result {
    either(o, b, None)
}

/// `depth` is `None` inside a quotation, where lengths, payloads and inner packets are left out.
fn either(o: &mut String, b: &[u8], depth: Option<u8>) -> Result {
    match b.first().map(|v| v >> 4) {
        Some(4) => ipv4(o, b, depth),
        Some(6) => ipv6(o, b, depth),
        Some(v) => write!(o, "IPv{v}? len={}", b.len()),
        None => o.write_str("IP truncated(0)"),
    }
}

fn ipv4(o: &mut String, b: &[u8], depth: Option<u8>) -> Result {
    let Ok((packet, _)) = LaxIpv4Slice::from_slice(b) else {
        return write!(o, "IP truncated({})", b.len());
    };
    let h = packet.header();
    write!(o, "IP {}>{} ttl={}", h.source_addr(), h.destination_addr(), h.ttl())?;
    let tos = h.slice()[1];
    let outside = depth.is_some();
    if tos != 0 && outside {
        write!(o, " tos={tos:#04x}")?;
    }
    if !h.options().is_empty() && outside {
        o.write_str(" opts=")?;
        h.options().iter().try_for_each(|byte| write!(o, "{byte:02x}"))?;
    }
    if h.dont_fragment() {
        o.write_str(" df")?;
    }
    let total_len = h.total_len() as usize;
    if total_len > b.len() && outside {
        o.write_str(" truncated")?;
    }
    let offset = h.fragments_offset().byte_offset();
    let more = h.more_fragments();
    if offset > 0 || more {
        let mf = if more { " mf" } else { "" };
        match depth {
            Some(_) => write!(o, " frag({offset}+{}{mf})", total_len.saturating_sub(h.slice().len()))?,
            None => write!(o, " frag({offset}{mf})")?,
        }
    }
    let payload = packet.payload();
    match (offset, outside) {
        (0, _) => upper(o, payload.ip_number.0, payload.payload, true, more, depth),
        (_, true) => write!(o, " proto={}", payload.ip_number.0),
        (_, false) => Ok(()),
    }
}

/// The extension headers are walked here with etherparse's checked constructors: its own iterator reads out of bounds
/// when a lax slice stopped at a header that is cut off (etherparse 0.21, `Ipv6ExtensionSliceIter::next`).
fn ipv6(o: &mut String, b: &[u8], depth: Option<u8>) -> Result {
    let Ok(h) = Ipv6HeaderSlice::from_slice(b) else {
        return write!(o, "IP6 truncated({})", b.len());
    };
    write!(o, "IP6 {}>{} hl={}", h.source_addr(), h.destination_addr(), h.hop_limit())?;
    let end = ip::V6_HEADER + h.payload_length() as usize;
    if end > b.len() && depth.is_some() {
        o.write_str(" truncated")?;
    }
    let mut rest = &b[ip::V6_HEADER..end.min(b.len())];
    let mut number = h.next_header().0;
    let mut first_fragment = false;
    loop {
        let (next, len) = match number {
            0 | 43 | 60 => {
                write!(o, " ext{number}")?;
                let Ok(extension) = Ipv6RawExtHeaderSlice::from_slice(rest) else { break };
                (extension.next_header().0, extension.slice().len())
            }
            proto::FRAGMENT => {
                let Ok(f) = Ipv6FragmentHeaderSlice::from_slice(rest) else { break };
                let offset = f.fragment_offset().byte_offset();
                let mf = if f.more_fragments() { " mf" } else { "" };
                match depth {
                    Some(_) => write!(o, " frag({offset}+{}{mf})", rest.len() - f.slice().len())?,
                    None => write!(o, " frag({offset}{mf})")?,
                }
                if offset > 0 {
                    return if depth.is_some() { write!(o, " proto={}", f.next_header().0) } else { Ok(()) };
                }
                first_fragment = true;
                (f.next_header().0, f.slice().len())
            }
            _ => break,
        };
        number = next;
        rest = &rest[len..];
    }
    upper(o, number, rest, false, first_fragment, depth)
}

/// The upper layer of a whole packet, of a first fragment, or of a quotation.
fn upper(o: &mut String, number: u8, b: &[u8], v4: bool, fragment: bool, depth: Option<u8>) -> Result {
    o.write_char(' ')?;
    match number {
        proto::UDP if b.len() >= 8 => udp(o, b, fragment, depth),
        proto::TCP if b.len() >= 4 => tcp(o, b, depth.is_none()),
        proto::ICMP if v4 && b.len() >= 8 => control::icmp(o, b, depth.is_none()),
        proto::ICMPV6 if !v4 && b.len() >= 8 => control::icmpv6(o, b, depth.is_none()),
        2 => o.write_str("IGMP"),
        _ => match (number, depth) {
            (n, None) => write!(o, "proto={n}"),
            (proto::IPIP | proto::IPV6, Some(d)) => {
                o.write_str("IPIP | ")?;
                packet(o, b, d - 1)
            }
            (proto::GRE, Some(d)) if b.len() > 4 => gre(o, b, d - 1),
            (n, Some(_)) => write!(o, "proto={n} len={}", b.len()),
        },
    }
}

fn udp(o: &mut String, b: &[u8], fragment: bool, depth: Option<u8>) -> Result {
    let (sport, dport, len) = (be16(b, 0), be16(b, 2), be16(b, 4) as usize);
    write!(o, "UDP {sport}>{dport}")?;
    let Some(depth) = depth else { return Ok(()) };
    let data = b.get(8..len.min(b.len())).unwrap_or_default();
    // RFC 7348 §5: flags, reserved, a 24-bit network identifier, reserved; then an Ethernet frame.
    if dport == VXLAN_PORT && data.len() > 22 {
        write!(o, " VXLAN vni={} | ", u32::from_be_bytes([0, data[4], data[5], data[6]]))?;
        return if depth > 1 { frame(o, &data[8..], depth - 1) } else { o.write_str("…") };
    }
    write!(o, " len={}", len.saturating_sub(8))?;
    if fragment { Ok(()) } else { text(o, data) }
}

fn tcp(o: &mut String, b: &[u8], quoted: bool) -> Result {
    write!(o, "TCP {}>{}", be16(b, 0), be16(b, 2))?;
    if b.len() < tcp::HEADER {
        return if quoted { Ok(()) } else { write!(o, " truncated({})", b.len()) };
    }
    const LETTERS: [(u8, char); 6] =
        [(tcp::SYN, 'S'), (tcp::FIN, 'F'), (tcp::RST, 'R'), (tcp::PSH, 'P'), (tcp::ACK, 'A'), (0x20, 'U')];
    let set: String = LETTERS.iter().filter(|(bit, _)| b[13] & bit != 0).map(|(_, c)| c).collect();
    write!(o, " {}", if set.is_empty() { "none" } else { &set })?;
    if quoted {
        return Ok(());
    }
    let Ok(header) = TcpHeaderSlice::from_slice(b) else {
        return write!(o, " truncated({})", b.len());
    };
    if header.syn() {
        for option in header.options_iterator().map_while(std::result::Result::ok) {
            if let TcpOptionElement::MaximumSegmentSize(mss) = option {
                write!(o, " mss={mss}")?;
            }
        }
    }
    let data = &b[header.slice().len()..];
    write!(o, " len={}", data.len())?;
    text(o, data)
}

/// RFC 2784 §2.1 with the key and sequence number of RFC 2890.
fn gre(o: &mut String, b: &[u8], depth: u8) -> Result {
    o.write_str("GRE | ")?;
    let (flags, ethertype) = (be16(b, 0), be16(b, 2));
    let optional = [0x8000, 0x2000, 0x1000].iter().filter(|bit| flags & **bit != 0).count() * 4;
    let Some(inner) = b.get(4 + optional..) else {
        return write!(o, "truncated({})", b.len());
    };
    match ethertype {
        eth::IPV4 | eth::IPV6 => packet(o, inner, depth),
        TRANSPARENT_BRIDGING if depth > 0 => frame(o, inner, depth),
        _ => write!(o, "ethertype={ethertype:#06x}"),
    }
}

/// A short payload that is plain text, in quotes.
fn text(o: &mut String, data: &[u8]) -> Result {
    let printable = (1..=40).contains(&data.len()) && data.iter().all(|c| (32..127).contains(c));
    // traceroute fills its probes with `@ABCDEF…`, which tells nobody anything.
    match std::str::from_utf8(data) {
        Ok(s) if printable && !s.starts_with("@ABC") => write!(o, " \"{s}\""),
        _ => Ok(()),
    }
}
