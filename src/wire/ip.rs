//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers in one decoded form, so that the way of a packet is written once.

use super::{be16, be32, checksum, put16, put32};
use crate::{base::proto, trace::DropReason};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an IPv4 header without options.
pub const V4_HEADER: usize = 20;
/// Bytes of an IPv6 header without extensions.
pub const V6_HEADER: usize = 40;
/// Bytes of an IPv6 fragment header.
pub const V6_FRAGMENT: usize = 8;

/// What a packet's IP header says. Decoding costs a few nanoseconds; the bytes stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol of the upper layer, behind any IPv6 extension headers.
    pub proto: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// Bytes from the start of the IP header to the upper layer: IPv4 options or IPv6 extension headers included.
    pub header_len: usize,
    /// Bytes of the whole packet.
    pub total_len: usize,
    /// Offset of this fragment in bytes; 0 for a first fragment or a whole packet.
    pub frag_offset: usize,
    /// More fragments follow.
    pub more_fragments: bool,
    /// IPv4: Don't Fragment. Always true for IPv6, which routers never fragment.
    pub df: bool,
    /// Identification of the datagram its fragments share (16 bits for IPv4; 0 for an IPv6 packet without fragment header).
    pub id: u32,
    /// IPv6: where the fragment header starts, if there is one.
    pub frag_header_at: Option<usize>,
}

impl IpHeader {
    /// Decodes and checks a header (RFC 1122 §3.2.1, RFC 8200 §3 and §4).
    ///
    /// The IPv4 header checksum is verified too. Bytes behind `total_len` are link-layer padding.
    ///
    /// # Errors
    /// The reason for which such a packet is dropped.
    #[inline]
    pub fn parse(b: &[u8]) -> Result<IpHeader, DropReason> {
        match b.first().map(|v| v >> 4) {
            Some(4) => parse_v4(b, true),
            Some(6) => parse_v6(b),
            Some(_) => Err(DropReason::IpInHdr),
            None => Err(DropReason::HdrTrunc),
        }
    }

    /// Decodes a header quoted in an ICMP error: the rest of the packet may be cut off and its checksum stale.
    pub fn parse_quoted(b: &[u8]) -> Option<IpHeader> {
        match b.first().map(|v| v >> 4) {
            Some(4) => parse_v4_header(b).ok(),
            Some(6) if b.len() >= V6_HEADER => parse_v6_header(b, b.len()).ok(),
            _ => None,
        }
    }

    /// Whether this is an IPv4 header.
    #[inline]
    pub fn is_ipv4(&self) -> bool {
        self.src.is_ipv4()
    }

    /// Whether the packet is a fragment of a larger one.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.frag_offset > 0
    }

    /// The upper-layer part of the packet `b` this header was decoded from.
    #[inline]
    pub fn payload<'a>(&self, b: &'a [u8]) -> &'a [u8] {
        &b[self.header_len..self.total_len.min(b.len())]
    }
}

fn addr4(b: &[u8], at: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3]))
}

fn addr6(b: &[u8], at: usize) -> IpAddr {
    let mut o = [0; 16];
    o.copy_from_slice(&b[at..at + 16]);
    IpAddr::V6(Ipv6Addr::from(o))
}

#[inline]
fn parse_v4_header(b: &[u8]) -> Result<IpHeader, DropReason> {
    if b.len() < V4_HEADER {
        return Err(DropReason::HdrTrunc);
    }
    let header_len = (b[0] & 15) as usize * 4;
    if header_len < V4_HEADER {
        return Err(DropReason::IpInHdr);
    }
    if b.len() < header_len {
        return Err(DropReason::HdrTrunc);
    }
    let flags = be16(b, 6);
    Ok(IpHeader {
        src: addr4(b, 12),
        dst: addr4(b, 16),
        proto: b[9],
        ttl: b[8],
        tos: b[1],
        header_len,
        total_len: be16(b, 2) as usize,
        frag_offset: (flags & 0x1fff) as usize * 8,
        more_fragments: flags & 0x2000 != 0,
        df: flags & 0x4000 != 0,
        id: be16(b, 4) as u32,
        frag_header_at: None,
    })
}

#[inline]
fn parse_v4(b: &[u8], verify: bool) -> Result<IpHeader, DropReason> {
    let h = parse_v4_header(b)?;
    if verify && checksum::of(&b[..h.header_len]) != 0 {
        return Err(DropReason::IpCsum);
    }
    if h.total_len < h.header_len {
        return Err(DropReason::IpInHdr);
    }
    if h.total_len > b.len() {
        return Err(DropReason::HdrTrunc);
    }
    Ok(h)
}

fn parse_v6(b: &[u8]) -> Result<IpHeader, DropReason> {
    if b.len() < V6_HEADER {
        return Err(DropReason::HdrTrunc);
    }
    let total = V6_HEADER + be16(b, 4) as usize;
    if total > b.len() {
        return Err(DropReason::HdrTrunc);
    }
    parse_v6_header(b, total)
}

/// Walks the extension headers (RFC 8200 §4): hop-by-hop, routing, destination options, fragment.
fn parse_v6_header(b: &[u8], end: usize) -> Result<IpHeader, DropReason> {
    let mut h = IpHeader {
        src: addr6(b, 8),
        dst: addr6(b, 24),
        proto: b[6],
        ttl: b[7],
        tos: (be16(b, 0) >> 4) as u8,
        header_len: V6_HEADER,
        total_len: V6_HEADER + be16(b, 4) as usize,
        frag_offset: 0,
        more_fragments: false,
        df: true,
        id: 0,
        frag_header_at: None,
    };
    loop {
        let at = h.header_len;
        let len = match h.proto {
            0 | 43 | 60 if at + 8 <= end => (b[at + 1] as usize + 1) * 8,
            proto::FRAGMENT if at + V6_FRAGMENT <= end => V6_FRAGMENT,
            0 | 43 | 60 | proto::FRAGMENT => return Err(DropReason::HdrTrunc),
            _ => return Ok(h),
        };
        if at + len > end {
            return Err(DropReason::HdrTrunc);
        }
        let fragment = h.proto == proto::FRAGMENT;
        h.proto = b[at];
        h.header_len = at + len;
        if fragment {
            let word = be16(b, at + 2);
            h.frag_offset = (word & 0xfff8) as usize;
            h.more_fragments = word & 1 != 0;
            h.id = be32(b, at + 4);
            h.frag_header_at = Some(at);
            if h.frag_offset > 0 {
                return Ok(h); // what follows is payload, not headers
            }
        }
    }
}

/// Where the next-header field stands that names the header at `end` of an IPv6 packet: offset 6, or the start of the
/// last extension header in front of it. The chain up to there has been parsed.
pub fn next_header_field(b: &[u8], end: usize) -> usize {
    let (mut field, mut at) = (6, V6_HEADER);
    while at < end {
        let len = if b[field] == proto::FRAGMENT { V6_FRAGMENT } else { (b[at + 1] as usize + 1) * 8 };
        (field, at) = (at, at + len);
    }
    field
}

/// The fields of an IP header to be written; lengths and checksum are computed.
#[derive(Clone, Copy, Debug)]
pub struct IpFields {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Upper-layer protocol.
    pub proto: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// IPv4 Don't Fragment; ignored for IPv6.
    pub df: bool,
    /// IPv4 identification; ignored for IPv6.
    pub id: u16,
}

impl IpFields {
    /// Bytes of header [`IpFields::write`] writes.
    #[inline]
    pub fn header_len(&self) -> usize {
        if self.src.is_ipv4() { V4_HEADER } else { V6_HEADER }
    }

    /// Writes a header for the packet `b` (header and payload together).
    pub fn write(&self, b: &mut [u8]) {
        let len = b.len();
        match (self.src, self.dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                b[0] = 0x45;
                b[1] = self.tos;
                put16(b, 2, len as u16);
                put16(b, 4, self.id);
                put16(b, 6, if self.df { 0x4000 } else { 0 });
                b[8] = self.ttl;
                b[9] = self.proto;
                put16(b, 10, 0);
                b[12..16].copy_from_slice(&s.octets());
                b[16..20].copy_from_slice(&d.octets());
                let c = checksum::of(&b[..V4_HEADER]);
                put16(b, 10, c);
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                put32(b, 0, 6 << 28 | (self.tos as u32) << 20);
                put16(b, 4, (len - V6_HEADER) as u16);
                b[6] = self.proto;
                b[7] = self.ttl;
                b[8..24].copy_from_slice(&s.octets());
                b[24..40].copy_from_slice(&d.octets());
            }
            _ => panic!("a packet has one address family: {} and {} differ", self.src, self.dst),
        }
    }
}

/// Decrements the TTL or hop limit in place, with the checksum (RFC 1624). The caller has checked that it is above 0.
#[inline]
pub fn decrement_ttl(b: &mut [u8]) {
    if b[0] >> 4 == 4 {
        let old = be16(b, 8);
        let new = old - 0x0100;
        put16(b, 8, new);
        let c = checksum::update16(be16(b, 10), old, new);
        put16(b, 10, c);
    } else {
        b[7] -= 1;
    }
}
