//! TCP header fields, RFC 9293 §3.1.

use super::{be16, be32, checksum, put16, put32};
use crate::base::proto;
use std::net::IpAddr;

/// Bytes of a TCP header without options.
pub const HEADER: usize = 20;
/// FIN flag.
pub const FIN: u8 = 0x01;
/// SYN flag.
pub const SYN: u8 = 0x02;
/// RST flag.
pub const RST: u8 = 0x04;
/// PSH flag.
pub const PSH: u8 = 0x08;
/// ACK flag.
pub const ACK: u8 = 0x10;

/// The fields of a segment that demultiplexing, conntrack and resets look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Flag bits.
    pub flags: u8,
    /// Receive window, unscaled.
    pub window: u16,
    /// Bytes of header, options included.
    pub header_len: usize,
    /// Bytes of payload.
    pub len: usize,
}

impl Segment {
    /// Reads a segment; `None` if it is shorter than its header says.
    #[inline]
    pub fn parse(b: &[u8]) -> Option<Segment> {
        if b.len() < HEADER {
            return None;
        }
        let header_len = (b[12] >> 4) as usize * 4;
        if header_len < HEADER || b.len() < header_len {
            return None;
        }
        Some(Segment {
            sport: be16(b, 0),
            dport: be16(b, 2),
            seq: be32(b, 4),
            ack: be32(b, 8),
            flags: b[13],
            window: be16(b, 14),
            header_len,
            len: b.len() - header_len,
        })
    }

    /// The sequence space the segment occupies: payload plus one each for SYN and FIN.
    pub fn seq_len(&self) -> u32 {
        self.len as u32 + (self.flags & SYN != 0) as u32 + (self.flags & FIN != 0) as u32
    }

    /// The reset that answers this segment where no connection exists (RFC 9293 §3.5.2, group 1), without IP header.
    pub fn reset(&self, src: IpAddr, dst: IpAddr) -> [u8; HEADER] {
        let mut b = [0; HEADER];
        put16(&mut b, 0, self.dport);
        put16(&mut b, 2, self.sport);
        if self.flags & ACK != 0 {
            put32(&mut b, 4, self.ack);
            b[13] = RST;
        } else {
            put32(&mut b, 8, self.seq.wrapping_add(self.seq_len()));
            b[13] = RST | ACK;
        }
        b[12] = 5 << 4;
        let c = checksum::upper(src, dst, proto::TCP, &b);
        put16(&mut b, 16, c);
        b
    }
}
