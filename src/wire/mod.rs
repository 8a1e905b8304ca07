//! Bytes on a wire: pooled frames, fixed-offset header access, checksums, builders, and dissection into words.
//!
//! The hot path reads headers at fixed offsets and writes them in place; `dissect` uses etherparse and is the only
//! door to it. Checksums follow RFC 1071 and, incrementally, RFC 1624.

pub mod arp;
pub mod checksum;
pub mod dissect;
pub mod eth;
mod frame;
pub mod icmp;
pub mod ip;
pub mod nd;
pub mod ports;
pub mod tcp;
pub mod udp;

pub use frame::{CtInfo, CtRef, Frame, HEADROOM, Meta, PacketType, Pool};
pub mod options;
pub use ip::IpHeader;

/// Reads a big-endian `u16` at `at`. Panics if out of range; callers check lengths first.
#[inline]
pub fn be16(b: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([b[at], b[at + 1]])
}

/// Reads a big-endian `u32` at `at`. Panics if out of range; callers check lengths first.
#[inline]
pub fn be32(b: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Writes a big-endian `u16` at `at`.
#[inline]
pub fn put16(b: &mut [u8], at: usize, v: u16) {
    b[at..at + 2].copy_from_slice(&v.to_be_bytes());
}

/// Writes a big-endian `u32` at `at`.
#[inline]
pub fn put32(b: &mut [u8], at: usize, v: u32) {
    b[at..at + 4].copy_from_slice(&v.to_be_bytes());
}
