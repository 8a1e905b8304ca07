//! The independent witness: is a packet what a real network would carry?

use super::LinkKind;
use crate::{
    base::{Mac, proto},
    wire::icmp,
};
use etherparse::{
    Icmpv4Slice, Icmpv4Type, Ipv4HeaderSlice, NetSlice, SlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Shortest Ethernet frame without its check sequence (IEEE 802.3 §3.2.8): shorter payloads may be padded up to here.
const MIN_FRAME: usize = 60;
/// How many tunnelled packets within packets are looked at.
const DEPTH: u8 = 4;

/// Something wrong with a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A header is cut off, has impossible fields, or its lengths contradict each other.
    Malformed(String),
    /// A checksum field holds the wrong value.
    Checksum {
        /// Whose field it is.
        of: &'static str,
        /// What it holds.
        stored: u16,
        /// What it should hold.
        right: u16,
    },
    /// UDP over IPv6 without a checksum (RFC 8200 §8.1).
    NoUdpChecksum,
    /// The UDP length field and the IP header disagree.
    UdpLength {
        /// The UDP length field.
        stored: usize,
        /// Bytes the IP header leaves for UDP.
        right: usize,
    },
    /// Bytes behind the end of the packet that are not the padding of a short Ethernet frame.
    Trailing(usize),
    /// An address of 127/8 or `::1` on an Ethernet wire (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Loopback(IpAddr),
    /// A group or zero address as the sender of an Ethernet frame.
    SourceMac(Mac),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Malformed(why) => write!(f, "malformed: {why}"),
            Flaw::Checksum { of, stored, right } => {
                write!(f, "the {of} checksum is {stored:#06x} and should be {right:#06x}")
            }
            Flaw::NoUdpChecksum => f.write_str("UDP over IPv6 must carry a checksum"),
            Flaw::UdpLength { stored, right } => write!(f, "UDP says {stored} bytes, IP says {right}"),
            Flaw::Trailing(n) => write!(f, "{n} bytes follow the end of the packet"),
            Flaw::Loopback(a) => write!(f, "the loopback address {a} is on a wire"),
            Flaw::SourceMac(m) => write!(f, "{m} cannot send frames"),
        }
    }
}

/// Checks a whole packet with etherparse: headers, lengths, and every IPv4 header, TCP, UDP, ICMP and ICMPv6 checksum,
/// those of the IPv4 header an ICMP error quotes and of packets inside IP tunnels included. Fragments have no checksum
/// of their own beyond the IP header's.
///
/// Loopback addresses are flaws on [`LinkKind::Ethernet`] only. A test that wants to see them there filters
/// [`Flaw::Loopback`] out.
///
/// ```
/// use netsim::wire::dissect::{Flaw, LinkKind, build, verify};
/// let mut packet = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).udp(5000, 7000, b"hello");
/// assert_eq!(verify(&packet, LinkKind::Ip), Ok(()));
/// packet[28] ^= 1; // the first byte of the payload
/// assert!(matches!(verify(&packet, LinkKind::Ip).unwrap_err()[..], [Flaw::Checksum { of: "UDP", .. }]));
/// ```
///
/// # Errors
/// Everything that is wrong with it.
pub fn verify(bytes: &[u8], link: LinkKind) -> Result<(), Vec<Flaw>> {
    let mut flaws = Vec::new();
    match link {
        LinkKind::Ethernet => match SlicedPacket::from_ethernet(bytes) {
            Ok(packet) => {
                let src = Mac::read(bytes, 6);
                if !src.is_unicast() {
                    flaws.push(Flaw::SourceMac(src));
                }
                check(&packet, bytes, true, DEPTH, &mut flaws);
            }
            Err(e) => flaws.push(Flaw::Malformed(e.to_string())),
        },
        LinkKind::Ip => ip(bytes, DEPTH, &mut flaws),
    }
    if flaws.is_empty() { Ok(()) } else { Err(flaws) }
}

fn ip(bytes: &[u8], depth: u8, flaws: &mut Vec<Flaw>) {
    match SlicedPacket::from_ip(bytes) {
        Ok(packet) => check(&packet, bytes, false, depth, flaws),
        Err(e) => flaws.push(Flaw::Malformed(e.to_string())),
    }
}

/// The two addresses of a packet, in one family.
#[derive(Clone, Copy)]
enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

fn check(packet: &SlicedPacket<'_>, bytes: &[u8], wire: bool, depth: u8, flaws: &mut Vec<Flaw>) {
    let (ends, payload) = match &packet.net {
        Some(NetSlice::Ipv4(v4)) => {
            header_checksum("IPv4 header", &v4.header(), flaws);
            if v4.header().slice()[6] & 0x80 != 0 {
                // RFC 791 §3.1. etherparse drops the bit, so its checksum does not notice.
                flaws.push(Flaw::Malformed("the reserved flag of the IPv4 header is set".into()));
            }
            (Ends::V4(v4.header().source(), v4.header().destination()), v4.payload())
        }
        Some(NetSlice::Ipv6(v6)) => (Ends::V6(v6.header().source(), v6.header().destination()), v6.payload()),
        Some(NetSlice::Arp(_)) | None => return,
    };
    if wire {
        let loopback: Vec<IpAddr> = match ends {
            Ends::V4(s, d) => {
                [s, d].map(Ipv4Addr::from).into_iter().filter(Ipv4Addr::is_loopback).map(IpAddr::from).collect()
            }
            Ends::V6(s, d) => {
                [s, d].map(Ipv6Addr::from).into_iter().filter(Ipv6Addr::is_loopback).map(IpAddr::from).collect()
            }
        };
        flaws.extend(loopback.into_iter().map(Flaw::Loopback));
    }
    let end = payload.payload.as_ptr_range().end.addr() - bytes.as_ptr().addr();
    let trailing = bytes.len() - end;
    if trailing > 0 && !(wire && bytes.len() <= MIN_FRAME) {
        flaws.push(Flaw::Trailing(trailing));
    }
    match &packet.transport {
        Some(TransportSlice::Tcp(t)) => tcp(t, ends, flaws),
        Some(TransportSlice::Udp(u)) => udp(u, ends, payload.payload.len(), flaws),
        Some(TransportSlice::Icmpv4(i)) => icmpv4(i, flaws),
        Some(TransportSlice::Icmpv6(i)) => match ends {
            Ends::V6(s, d) if i.is_checksum_valid(s, d) => {}
            Ends::V6(s, d) => {
                let right = i.icmp_type().calc_checksum(s, d, i.payload()).unwrap_or_default();
                flaws.push(Flaw::Checksum { of: "ICMPv6", stored: i.checksum(), right });
            }
            Ends::V4(..) => flaws.push(Flaw::Malformed("ICMPv6 inside IPv4".into())),
        },
        Some(TransportSlice::Igmp(_)) | None => {
            let tunnelled = matches!(payload.ip_number.0, proto::IPIP | proto::IPV6) && !payload.fragmented;
            if tunnelled && depth > 0 {
                ip(payload.payload, depth - 1, flaws);
            }
        }
    }
}

fn compare(of: &'static str, stored: u16, right: u16, flaws: &mut Vec<Flaw>) {
    if stored != right {
        flaws.push(Flaw::Checksum { of, stored, right });
    }
}

fn header_checksum(of: &'static str, header: &Ipv4HeaderSlice<'_>, flaws: &mut Vec<Flaw>) {
    compare(of, header.header_checksum(), header.to_header().calc_header_checksum(), flaws);
}

fn tcp(t: &TcpSlice<'_>, ends: Ends, flaws: &mut Vec<Flaw>) {
    let right = match ends {
        Ends::V4(s, d) => t.calc_checksum_ipv4(s, d),
        Ends::V6(s, d) => t.calc_checksum_ipv6(s, d),
    };
    compare("TCP", t.checksum(), right.expect("an IP payload is not too long for TCP"), flaws);
}

fn udp(u: &UdpSlice<'_>, ends: Ends, room: usize, flaws: &mut Vec<Flaw>) {
    if u.length() as usize != room {
        flaws.push(Flaw::UdpLength { stored: u.length() as usize, right: room });
    }
    let header = u.to_header();
    let right = match (ends, u.checksum()) {
        (Ends::V4(..), 0) => return, // not used: RFC 768
        (Ends::V6(..), 0) => return flaws.push(Flaw::NoUdpChecksum),
        (Ends::V4(s, d), _) => header.calc_checksum_ipv4_raw(s, d, u.payload()),
        (Ends::V6(s, d), _) => header.calc_checksum_ipv6_raw(s, d, u.payload()),
    };
    compare("UDP", u.checksum(), right.expect("an IP payload is not too long for UDP"), flaws);
}

fn icmpv4(i: &Icmpv4Slice<'_>, flaws: &mut Vec<Flaw>) {
    let body = &i.slice()[icmp::HEADER..];
    // The typed variants drop bits that the checksum covers; the raw one keeps them all.
    let raw = Icmpv4Type::Unknown { type_u8: i.type_u8(), code_u8: i.code_u8(), bytes5to8: i.bytes5to8() };
    compare("ICMP", i.checksum(), raw.calc_checksum(body), flaws);
    if icmp::is_error(true, i.type_u8()) {
        match Ipv4HeaderSlice::from_slice(body) {
            Ok(quoted) => header_checksum("quoted IPv4 header", &quoted, flaws),
            Err(e) => flaws.push(Flaw::Malformed(format!("quoted packet: {e}"))),
        }
    }
}
