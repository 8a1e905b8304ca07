//! Packets for tests, examples and injection, made by etherparse with every length and checksum right.
//!
//! ```
//! use netsim::{base::Mac, wire::dissect::{LinkKind, build, summary}};
//! let (a, b) = (Mac::derived("a", "eth0"), Mac::derived("b", "eth0"));
//! let frame = build::ethernet(b, a, &build::ip([10, 0, 0, 1], [10, 0, 0, 2]).ttl(3).udp(5000, 7000, b"hello"));
//! assert_eq!(summary(&frame, LinkKind::Ethernet), "IP 10.0.0.1>10.0.0.2 ttl=3 UDP 5000>7000 len=5 \"hello\"");
//! ```

use crate::{
    base::Mac,
    wire::{ip, tcp},
};
use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, Icmpv4Type, Icmpv6Type, IpFragOffset,
    IpHeaders, IpNumber, Ipv4Header, Ipv6Extensions, Ipv6FragmentHeader, Ipv6Header, PacketBuilder, PacketBuilderStep,
    SingleVlanHeader, TcpHeader, TcpOptionElement, VlanId,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The IP layer of a packet to be built. Finish with the method of the upper layer.
///
/// Every finishing method panics if the payload does not fit a 64 KiB packet: callers are tests and checked input.
#[derive(Clone, Copy, Debug)]
pub struct Ip {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    tos: u8,
    df: bool,
    id: u32,
    fragment: Option<(u16, bool)>,
}

/// Starts a packet with TTL 64 and no other mark. Both addresses must be of one family.
///
/// # Panics
/// If they are not.
pub fn ip(src: impl Into<IpAddr>, dst: impl Into<IpAddr>) -> Ip {
    let (src, dst) = (src.into(), dst.into());
    assert_eq!(src.is_ipv4(), dst.is_ipv4(), "a packet has one address family");
    Ip { src, dst, ttl: 64, tos: 0, df: false, id: 0, fragment: None }
}

impl Ip {
    /// Sets the TTL or hop limit.
    pub fn ttl(self, ttl: u8) -> Ip {
        Ip { ttl, ..self }
    }

    /// Sets the TOS or traffic class.
    pub fn tos(self, tos: u8) -> Ip {
        Ip { tos, ..self }
    }

    /// Forbids fragmentation; IPv6 ignores it.
    pub fn df(self) -> Ip {
        Ip { df: true, ..self }
    }

    /// Sets the identification. IPv4 keeps the low 16 bits; IPv6 uses it in fragments only.
    pub fn id(self, id: u32) -> Ip {
        Ip { id, ..self }
    }

    /// Makes it a fragment at `offset` bytes, a multiple of 8. Combine with [`Ip::raw`] for all but the first.
    ///
    /// # Panics
    /// If `offset` is not a multiple of 8.
    pub fn fragment(self, offset: u16, more: bool) -> Ip {
        assert!(offset.is_multiple_of(8), "fragments start at multiples of 8 bytes");
        Ip { fragment: Some((offset / 8, more)), ..self }
    }

    /// Whether it is an IPv4 packet.
    pub fn is_ipv4(&self) -> bool {
        self.src.is_ipv4()
    }

    fn step(self) -> PacketBuilderStep<IpHeaders> {
        let offset = |units| IpFragOffset::try_new(units).expect("an offset in bytes has 13 bits of units");
        PacketBuilder::ip(match (self.src, self.dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                let mut h =
                    Ipv4Header::new(0, self.ttl, IpNumber(0), s.octets(), d.octets()).expect("an empty payload fits");
                h.dscp = (self.tos >> 2).try_into().expect("six bits");
                h.ecn = (self.tos & 3).try_into().expect("two bits");
                h.dont_fragment = self.df;
                h.identification = self.id as u16;
                if let Some((units, more)) = self.fragment {
                    h.fragment_offset = offset(units);
                    h.more_fragments = more;
                }
                IpHeaders::Ipv4(h, Default::default())
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                let header = Ipv6Header {
                    traffic_class: self.tos,
                    hop_limit: self.ttl,
                    source: s.octets(),
                    destination: d.octets(),
                    ..Default::default()
                };
                let fragment = self
                    .fragment
                    .map(|(units, more)| Ipv6FragmentHeader::new(IpNumber(0), offset(units), more, self.id));
                let extensions = Ipv6Extensions { fragment, ..Default::default() };
                IpHeaders::Ipv6(header, extensions)
            }
            _ => unreachable!("ip() checked the families"),
        })
    }

    /// A UDP datagram.
    pub fn udp(self, sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        self.step().udp(sport, dport).write_to_vec(&mut packet, payload).expect(FITS);
        packet
    }

    /// A TCP segment with the given flag bits ([`crate::wire::tcp`]) and a window of 64 240 bytes.
    pub fn tcp(self, sport: u16, dport: u16, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
        self.segment(segment(sport, dport, flags, seq, ack), payload)
    }

    /// A TCP SYN that announces a maximum segment size.
    pub fn tcp_syn(self, sport: u16, dport: u16, seq: u32, mss: u16) -> Vec<u8> {
        let mut header = segment(sport, dport, tcp::SYN, seq, 0);
        header.set_options(&[TcpOptionElement::MaximumSegmentSize(mss)]).expect("one option fits");
        self.segment(header, &[])
    }

    fn segment(self, header: TcpHeader, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        self.step().tcp_header(header).write_to_vec(&mut packet, payload).expect(FITS);
        packet
    }

    /// An echo request.
    pub fn echo(self, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
        let kind = if self.src.is_ipv4() { 8 } else { 128 };
        self.icmp(kind, 0, [(id >> 8) as u8, id as u8, (seq >> 8) as u8, seq as u8], payload)
    }

    /// An echo reply.
    pub fn echo_reply(self, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
        let kind = if self.src.is_ipv4() { 0 } else { 129 };
        self.icmp(kind, 0, [(id >> 8) as u8, id as u8, (seq >> 8) as u8, seq as u8], payload)
    }

    /// Any ICMP or ICMPv6 message, by the family of the addresses: type, code, the four bytes behind the checksum, and
    /// the rest (for an error: the quoted packet).
    pub fn icmp(self, kind: u8, code: u8, bytes5to8: [u8; 4], rest: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        match self.src {
            IpAddr::V4(_) => {
                let raw = Icmpv4Type::Unknown { type_u8: kind, code_u8: code, bytes5to8 };
                self.step().icmpv4(raw).write_to_vec(&mut packet, rest).expect(FITS);
            }
            IpAddr::V6(_) => {
                let raw = Icmpv6Type::Unknown { type_u8: kind, code_u8: code, bytes5to8 };
                self.step().icmpv6(raw).write_to_vec(&mut packet, rest).expect(FITS);
            }
        }
        packet
    }

    /// Any other protocol: its number and its bytes. For IPv6 the number may be that of an extension header.
    pub fn raw(self, proto: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        // etherparse insists on writing extension headers itself, so IPv6 gets its number afterwards; nothing sums it up.
        let number = if self.src.is_ipv4() { IpNumber(proto) } else { IpNumber::IPV6_NO_NEXT_HEADER };
        self.step().write_to_vec(&mut packet, number, payload).expect(FITS);
        if self.src.is_ipv6() {
            let next_header_at = if self.fragment.is_some() { ip::V6_HEADER } else { 6 };
            packet[next_header_at] = proto;
        }
        packet
    }
}

const FITS: &str = "the payload fits one packet";

fn segment(sport: u16, dport: u16, flags: u8, seq: u32, ack: u32) -> TcpHeader {
    let mut h = TcpHeader::new(sport, dport, seq, 64_240);
    h.acknowledgment_number = ack;
    h.fin = flags & tcp::FIN != 0;
    h.syn = flags & tcp::SYN != 0;
    h.rst = flags & tcp::RST != 0;
    h.psh = flags & tcp::PSH != 0;
    h.ack = flags & tcp::ACK != 0;
    h
}

/// A UDP datagram between two sockets, with TTL 64.
///
/// # Panics
/// If the addresses differ in family.
pub fn udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    ip(src.ip(), dst.ip()).udp(src.port(), dst.port(), payload)
}

/// Puts an Ethernet header in front of an IP packet; the EtherType follows from its version.
pub fn ethernet(dst: Mac, src: Mac, packet: &[u8]) -> Vec<u8> {
    let ether_type = if packet.first().is_some_and(|v| v >> 4 == 6) { EtherType::IPV6 } else { EtherType::IPV4 };
    with_ethertype(dst, src, ether_type.0, packet)
}

/// A frame of any EtherType.
pub fn with_ethertype(dst: Mac, src: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header { source: src.0, destination: dst.0, ether_type: EtherType(ethertype) };
    let mut frame = header.to_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// Inserts an 802.1Q tag into an Ethernet frame.
///
/// # Panics
/// If `vid` is above 4095 or the frame is shorter than its header.
pub fn tagged(vid: u16, frame: &[u8]) -> Vec<u8> {
    let tag = SingleVlanHeader {
        vlan_id: VlanId::try_new(vid).expect("a VLAN id has 12 bits"),
        ether_type: EtherType(crate::wire::be16(frame, 12)),
        ..Default::default()
    };
    let mut out = frame[..12].to_vec();
    out.extend_from_slice(&EtherType::VLAN_TAGGED_FRAME.0.to_be_bytes());
    out.extend_from_slice(&tag.to_bytes());
    out.extend_from_slice(&frame[14..]);
    out
}

/// An ARP request as a broadcast frame: who has `target`, tell `sender`.
pub fn arp_request(sha: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(Mac::BROADCAST, ArpOperation::REQUEST, (sha, sender), (Mac::ZERO, target))
}

/// An ARP reply as a unicast frame: `sender` is at `sha`.
pub fn arp_reply(sha: Mac, sender: Ipv4Addr, tha: Mac, target: Ipv4Addr) -> Vec<u8> {
    arp(tha, ArpOperation::REPLY, (sha, sender), (tha, target))
}

fn arp(to: Mac, operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let message = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &sender.0.0,
        &sender.1.octets(),
        &target.0.0,
        &target.1.octets(),
    )
    .expect("the address lengths are those of Ethernet and IPv4");
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(sender.0.0, to.0).arp(message).write(&mut frame).expect("a Vec takes all");
    frame
}
