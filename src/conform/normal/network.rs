//! A packet as a line: IPv4 and IPv6, and packets quoted by ICMP errors.

use super::{
    frame::{Class, behind, ip4, word},
    symbols::Symbols,
};
use std::net::Ipv6Addr;

/// The IPv6 address at `at`.
pub(super) fn ip6(b: &[u8], at: usize) -> Ipv6Addr {
    let mut a = [0; 16];
    let given = behind(b, at);
    let n = given.len().min(16);
    a[..n].copy_from_slice(&given[..n]);
    Ipv6Addr::from(a)
}

impl Symbols<'_> {
    /// An IP packet behind the text of its link layer.
    pub(super) fn network(&mut self, p: &[u8], eth: &str) -> (Class, String) {
        match p.first().map(|v| v >> 4) {
            Some(4) if p.len() >= 20 => self.ipv4(p, eth),
            Some(6) if p.len() >= 40 => self.ipv6(p, eth),
            _ => (Class::Other, format!("{eth}IPv? len={}", p.len())),
        }
    }

    fn ipv4(&mut self, p: &[u8], eth: &str) -> (Class, String) {
        let header = (p[0] & 15) as usize * 4;
        let (tos, total, fragment, ttl, protocol) = (p[1], word(p, 2) as usize, word(p, 6), p[8], p[9]);
        let mut h = format!("{eth}IP {}>{} ttl={ttl}", ip4(p, 12), ip4(p, 16));
        if tos != 0 {
            h += &format!(" tos=0x{tos:02x}");
        }
        if header > 20 {
            let options: String = behind(p, 20).iter().take(header - 20).map(|b| format!("{b:02x}")).collect();
            h += &format!(" opts={options}");
        }
        if fragment & 0x4000 != 0 {
            h += " df";
        }
        let (offset, more) = ((fragment & 0x1fff) as usize * 8, fragment & 0x2000 != 0);
        if total > p.len() {
            h += " truncated";
        }
        if offset > 0 || more {
            h += &format!(" frag({offset}+{}{})", total.saturating_sub(header), if more { " mf" } else { "" });
        }
        if offset > 0 {
            return (Class::Ip, format!("{h} proto={protocol}"));
        }
        let end = total.min(p.len());
        let (class, text) = self.transport(protocol, p.get(header..end).unwrap_or_default(), true, more, false);
        (class, format!("{h} {text}"))
    }

    fn ipv6(&mut self, p: &[u8], eth: &str) -> (Class, String) {
        let (len, mut next) = (word(p, 4) as usize, p[6]);
        let mut h = format!("{eth}IP6 {}>{} hl={}", self.v6(ip6(p, 8)), self.v6(ip6(p, 24)), p[7]);
        let mut body = &p[40..(40 + len).min(p.len())];
        while matches!(next, 0 | 43 | 60) && body.len() >= 8 {
            h += &format!(" ext{next}");
            (next, body) = (body[0], behind(body, body[1] as usize * 8 + 8));
        }
        if next == 44 && body.len() >= 8 {
            let fragment = word(body, 2);
            next = body[0];
            let more = if fragment & 1 != 0 { " mf" } else { "" };
            h += &format!(" frag({}+{}{more})", fragment & 0xfff8, body.len() - 8);
            body = &body[8..];
            if fragment & 0xfff8 != 0 {
                return (Class::Ip, format!("{h} proto={next}"));
            }
        }
        let (class, text) = self.transport(next, body, false, false, false);
        (class, format!("{h} {text}"))
    }

    /// The packet an ICMP error quotes, which may be cut off anywhere.
    pub(super) fn quoted(&mut self, p: &[u8]) -> String {
        let upper = |(_, text): (Class, String)| text.split(" len=").next().unwrap_or_default().to_string();
        match p.first().map(|v| v >> 4) {
            Some(4) if p.len() >= 20 => {
                let (header, fragment) = ((p[0] & 15) as usize * 4, word(p, 6));
                let df = if fragment & 0x4000 != 0 { " df" } else { "" };
                let mut s = format!("IP {}>{} ttl={}{df}", ip4(p, 12), ip4(p, 16), p[8]);
                if fragment & 0x3fff != 0 {
                    let more = if fragment & 0x2000 != 0 { " mf" } else { "" };
                    s += &format!(" frag({}{more})", (fragment & 0x1fff) * 8);
                }
                if fragment & 0x1fff != 0 {
                    return s;
                }
                format!("{s} {}", upper(self.transport(p[9], behind(p, header), true, true, true)))
            }
            Some(6) if p.len() >= 40 => {
                let s = format!("IP6 {}>{} hl={}", self.v6(ip6(p, 8)), self.v6(ip6(p, 24)), p[7]);
                format!("{s} {}", upper(self.transport(p[6], behind(p, 40), false, true, true)))
            }
            Some(4 | 6) => "unparsed".into(),
            _ => "?".into(),
        }
    }
}
