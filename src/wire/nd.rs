//! Neighbour discovery messages, RFC 4861 §4: the ICMPv6 messages 133 to 137 and their options.

use super::{be16, be32, icmp::v6};
use crate::base::{Mac, Prefix};
use std::net::{IpAddr, Ipv6Addr};

/// Every message is sent with this hop limit, and no other is believed: it cannot have passed a router (RFC 4861 §3.1).
pub const HOP_LIMIT: u8 = 255;
/// R flag of a neighbour advertisement: the sender is a router.
pub const ROUTER: u8 = 0x80;
/// S flag: the answer to a solicitation.
pub const SOLICITED: u8 = 0x40;
/// O flag: replaces a link-layer address that is known already.
pub const OVERRIDE: u8 = 0x20;

/// Option types.
mod option {
    pub const SOURCE: u8 = 1;
    pub const TARGET: u8 = 2;
    pub const PREFIX: u8 = 3;
    pub const REDIRECTED: u8 = 4;
    pub const MTU: u8 = 5;
    pub const NONCE: u8 = 14;
}

/// What a message says, its options included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// ICMPv6 type, 133 to 137.
    pub kind: u8,
    /// Target of a solicitation, an advertisement or a redirect: the better first hop.
    pub target: Ipv6Addr,
    /// Destination of a redirect.
    pub destination: Ipv6Addr,
    /// Flags of a neighbour advertisement.
    pub flags: u8,
    /// Router advertisement: hop limit hosts should use, 0 for no opinion.
    pub hop_limit: u8,
    /// Router advertisement: lifetime as a default router in seconds.
    pub router_lifetime: u16,
    /// Source link-layer address.
    pub source: Option<Mac>,
    /// Target link-layer address.
    pub target_mac: Option<Mac>,
    /// MTU of the link.
    pub mtu: Option<u32>,
    /// Nonce (RFC 3971 §5.3.2, RFC 7527).
    pub nonce: Option<[u8; 6]>,
    /// Prefixes of the link.
    pub prefixes: Vec<PrefixInfo>,
}

/// A prefix information option (RFC 4861 §4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixInfo {
    /// The prefix.
    pub prefix: Prefix,
    /// L flag.
    pub on_link: bool,
    /// A flag.
    pub autonomous: bool,
    /// Seconds; all ones for ever.
    pub valid: u32,
    /// Seconds; all ones for ever.
    pub preferred: u32,
}

impl Message {
    /// An empty message of a type.
    pub fn new(kind: u8) -> Message {
        Message {
            kind,
            target: Ipv6Addr::UNSPECIFIED,
            destination: Ipv6Addr::UNSPECIFIED,
            flags: 0,
            hop_limit: 0,
            router_lifetime: 0,
            source: None,
            target_mac: None,
            mtu: None,
            nonce: None,
            prefixes: Vec::new(),
        }
    }

    /// Reads a message that starts at its ICMPv6 header. `None` for other types, short messages and options whose length
    /// is 0 or reaches beyond the end: such messages are discarded silently (RFC 4861 §6.1 and §7.1).
    ///
    /// ```
    /// use netsim::{base::Mac, wire::{icmp::v6, nd::Message}};
    /// let target = "2001:db8::2".parse().unwrap();
    /// let ask = Message { target, source: Some(Mac([2, 0, 0, 0, 0, 1])), ..Message::new(v6::NEIGHBOUR_SOLICIT) };
    /// let bytes = ask.write(&[]);
    /// assert_eq!(bytes.len(), 32);
    /// assert_eq!(Message::parse(&bytes), Some(ask));
    /// assert_eq!(Message::parse(&bytes[..20]), None);
    /// ```
    pub fn parse(b: &[u8]) -> Option<Message> {
        let kind = *b.first()?;
        let head = head_len(kind)?;
        if b.len() < head {
            return None;
        }
        let mut m = Message::new(kind);
        match kind {
            v6::ROUTER_ADVERT => (m.hop_limit, m.router_lifetime) = (b[4], be16(b, 6)),
            v6::NEIGHBOUR_SOLICIT | v6::NEIGHBOUR_ADVERT | v6::REDIRECT => {
                m.target = addr(b, 8);
                if kind == v6::NEIGHBOUR_ADVERT {
                    m.flags = b[4];
                }
                if kind == v6::REDIRECT {
                    m.destination = addr(b, 24);
                }
            }
            _ => {}
        }
        let mut rest = &b[head..];
        while !rest.is_empty() {
            let len = *rest.get(1)? as usize * 8;
            if len == 0 || len > rest.len() {
                return None;
            }
            let (o, after) = rest.split_at(len);
            m.take_option(o);
            rest = after;
        }
        Some(m)
    }

    /// Unknown options are skipped (RFC 4861 §4.6).
    fn take_option(&mut self, o: &[u8]) {
        match o[0] {
            option::SOURCE => self.source = Some(Mac::read(o, 2)),
            option::TARGET => self.target_mac = Some(Mac::read(o, 2)),
            option::MTU => self.mtu = Some(be32(o, 4)),
            option::NONCE => {
                let mut nonce = [0; 6];
                nonce.copy_from_slice(&o[2..8]);
                self.nonce = Some(nonce);
            }
            option::PREFIX if o.len() == 32 => {
                let Some(prefix) = Prefix::new(IpAddr::V6(addr(o, 16)), o[2]) else { return };
                self.prefixes.push(PrefixInfo {
                    prefix: prefix.network(),
                    on_link: o[3] & 0x80 != 0,
                    autonomous: o[3] & 0x40 != 0,
                    valid: be32(o, 4),
                    preferred: be32(o, 8),
                });
            }
            _ => {}
        }
    }

    /// The bytes of the message, its checksum still empty. `redirected` is what a redirect quotes.
    pub fn write(&self, redirected: &[u8]) -> Vec<u8> {
        let mut b = vec![self.kind, 0, 0, 0, 0, 0, 0, 0];
        match self.kind {
            v6::ROUTER_ADVERT => {
                b[4] = self.hop_limit;
                b[6..8].copy_from_slice(&self.router_lifetime.to_be_bytes());
                b.extend([0; 8]); // reachable time and retransmission timer: no opinion
            }
            v6::NEIGHBOUR_SOLICIT | v6::NEIGHBOUR_ADVERT | v6::REDIRECT => {
                b[4] = self.flags;
                b.extend(self.target.octets());
                if self.kind == v6::REDIRECT {
                    b.extend(self.destination.octets());
                }
            }
            _ => {}
        }
        for (kind, mac) in [(option::SOURCE, self.source), (option::TARGET, self.target_mac)] {
            if let Some(mac) = mac {
                b.extend([kind, 1]);
                b.extend(mac.0);
            }
        }
        if let Some(mtu) = self.mtu {
            b.extend([option::MTU, 1, 0, 0]);
            b.extend(mtu.to_be_bytes());
        }
        if let Some(nonce) = self.nonce {
            b.extend([option::NONCE, 1]);
            b.extend(nonce);
        }
        for p in &self.prefixes {
            let IpAddr::V6(network) = p.prefix.addr() else { continue };
            b.extend([option::PREFIX, 4, p.prefix.len(), (p.on_link as u8) << 7 | (p.autonomous as u8) << 6]);
            b.extend(p.valid.to_be_bytes());
            b.extend(p.preferred.to_be_bytes());
            b.extend([0; 4]);
            b.extend(network.octets());
        }
        if !redirected.is_empty() {
            let len = (redirected.len() + 8) & !7;
            let quote = &redirected[..len.saturating_sub(8).min(redirected.len())];
            b.extend([option::REDIRECTED, (quote.len() / 8 + 1) as u8, 0, 0, 0, 0, 0, 0]);
            b.extend(quote);
        }
        b
    }
}

/// Bytes in front of the options.
fn head_len(kind: u8) -> Option<usize> {
    Some(match kind {
        v6::ROUTER_SOLICIT => 8,
        v6::ROUTER_ADVERT => 16,
        v6::NEIGHBOUR_SOLICIT | v6::NEIGHBOUR_ADVERT => 24,
        v6::REDIRECT => 40,
        _ => return None,
    })
}

fn addr(b: &[u8], at: usize) -> Ipv6Addr {
    let mut o = [0; 16];
    o.copy_from_slice(&b[at..at + 16]);
    Ipv6Addr::from(o)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertisement_says_everything_again() {
        let prefix = PrefixInfo {
            prefix: "2001:db8:1::/64".parse().unwrap(),
            on_link: true,
            autonomous: false,
            valid: u32::MAX,
            preferred: 600,
        };
        let m = Message {
            hop_limit: 64,
            router_lifetime: 1800,
            source: Some(Mac([2, 0, 0, 0, 0, 9])),
            mtu: Some(1400),
            prefixes: vec![prefix, PrefixInfo { autonomous: true, ..prefix }],
            ..Message::new(v6::ROUTER_ADVERT)
        };
        assert_eq!(Message::parse(&m.write(&[])), Some(m));
    }

    #[test]
    fn a_redirect_quotes_whole_words() {
        let m = Message {
            target: "fe80::1".parse().unwrap(),
            destination: "2001:db8::9".parse().unwrap(),
            target_mac: Some(Mac([2, 0, 0, 0, 0, 9])),
            ..Message::new(v6::REDIRECT)
        };
        for quoted in [0usize, 1, 8, 47, 48, 1000] {
            let b = m.write(&vec![0x60; quoted]);
            assert_eq!(b.len() % 8, 0, "{quoted}");
            assert_eq!(Message::parse(&b), Some(m.clone()), "{quoted}");
        }
    }

    #[test]
    fn broken_options_discard_the_message() {
        let m = Message { source: Some(Mac::ZERO), ..Message::new(v6::ROUTER_SOLICIT) };
        let mut b = m.write(&[]);
        b[9] = 0;
        assert_eq!(Message::parse(&b), None, "length 0");
        b[9] = 2;
        assert_eq!(Message::parse(&b), None, "beyond the end");
        b[8..10].copy_from_slice(&[200, 1]);
        assert_eq!(Message::parse(&b), Some(Message { source: None, ..m }), "unknown, skipped");
        assert_eq!(Message::parse(&[]), None);
        assert_eq!(Message::parse(&[v6::ECHO; 40]), None);
    }
}
