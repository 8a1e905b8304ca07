//! A frame as a line: the link layer and ARP.

use super::symbols::Symbols;
use crate::base::Mac;
use std::net::Ipv4Addr;

/// What a line is about, as far as it decides whether it is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An ARP request to everybody, or an unusual message.
    Arp,
    /// An ARP request to one station.
    ArpUnicast,
    /// An ARP reply.
    ArpReply,
    /// Neighbour discovery.
    Nd,
    /// A packet.
    Ip,
    /// A TCP segment that does more than acknowledge.
    Tcp,
    /// A pure acknowledgement.
    TcpAck,
    /// A BPDU.
    Stp,
    /// Group management, router solicitation and the like.
    Noise,
    /// Anything else.
    Other,
}

/// Two bytes at `at`; 0 behind the end.
pub(super) fn word(b: &[u8], at: usize) -> u16 {
    b.get(at..at + 2).map_or(0, |w| u16::from_be_bytes([w[0], w[1]]))
}

/// Four bytes at `at`; 0 behind the end.
pub(super) fn long(b: &[u8], at: usize) -> u32 {
    (word(b, at) as u32) << 16 | word(b, at + 2) as u32
}

/// What lies behind `at`.
pub(super) fn behind(b: &[u8], at: usize) -> &[u8] {
    b.get(at..).unwrap_or_default()
}

/// The IPv4 address at `at`.
pub(super) fn ip4(b: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from(long(b, at))
}

impl Symbols<'_> {
    /// A packet as it was captured, with or without a link-layer header.
    pub fn packet(&mut self, b: &[u8], ethernet: bool) -> (Class, String) {
        match ethernet {
            true => self.frame(b),
            false if matches!(b.first().map(|v| v >> 4), Some(4 | 6)) => self.network(b, ""),
            false => (Class::Other, format!("RAW len={}", b.len())),
        }
    }

    /// A frame with its Ethernet header.
    pub(super) fn frame(&mut self, b: &[u8]) -> (Class, String) {
        if b.len() < 14 {
            return (Class::Other, format!("short len={}", b.len()));
        }
        let (dst, src) = (Mac::read(b, 0), Mac::read(b, 6));
        let (mut ethertype, mut at, mut tags) = (word(b, 12), 14, String::new());
        while matches!(ethertype, 0x8100 | 0x88a8) && b.len() >= at + 4 {
            let tci = word(b, at);
            tags += &format!(" {} {}", if ethertype == 0x8100 { "vlan" } else { "svlan" }, tci & 0xfff);
            if tci >> 13 != 0 {
                tags += &format!(" pcp {}", tci >> 13);
            }
            (ethertype, at) = (word(b, at + 2), at + 4);
        }
        let eth = format!("{}>{}{tags} ", self.mac(src), self.mac(dst));
        let p = behind(b, at);
        match ethertype {
            0x0806 if p.len() >= 28 => self.arp(p, dst, src, &eth),
            0x0800 | 0x86dd if !p.is_empty() => self.network(p, &eth),
            _ if ethertype < 1536 && (dst.0[..5] == [1, 0x80, 0xc2, 0, 0] || p.starts_with(&[0x42, 0x42, 3])) => {
                let what = match p.get(6) {
                    Some(0) => "STP config",
                    Some(0x80) => "STP tcn",
                    _ => "LLC",
                };
                (Class::Stp, eth + what)
            }
            _ => (Class::Other, format!("{eth}ethertype=0x{ethertype:04x} len={}", p.len())),
        }
    }

    fn arp(&mut self, p: &[u8], dst: Mac, src: Mac, eth: &str) -> (Class, String) {
        let group = dst.0[0] & 1 != 0;
        let (sha, spa, tpa) = (Mac::read(p, 8), ip4(p, 14), ip4(p, 24));
        match word(p, 6) {
            1 => {
                let own = if sha == src { String::new() } else { format!(" sha={}", self.mac(sha)) };
                let class = if group { Class::Arp } else { Class::ArpUnicast };
                (class, format!("{eth}ARP who-has {tpa} tell {spa}{own}"))
            }
            2 => {
                let to = if group || tpa == spa { format!(" (to {tpa})") } else { String::new() };
                (Class::ArpReply, format!("{eth}ARP {spa} is-at {}{to}", self.mac(sha)))
            }
            op => (Class::Arp, format!("{eth}ARP op={op}")),
        }
    }
}
