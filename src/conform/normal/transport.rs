//! The upper layers of a line: UDP, TCP, ICMP, and tunnels with what they carry.

use super::{
    frame::{Class, behind, ip4, long, word},
    network::ip6,
    symbols::Symbols,
};
use crate::base::proto;

/// IP in IP (RFC 2003).
const IPIP: u8 = 4;
const IGMP: u8 = 2;
const VXLAN_PORT: u16 = 4789;

const FLAGS: [(u8, char); 6] = [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (16, 'A'), (32, 'U')];

fn icmp_name(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (3, 0) => "net-unreachable",
        (3, 1) => "host-unreachable",
        (3, 2) => "proto-unreachable",
        (3, 3) => "port-unreachable",
        (3, 4) => "frag-needed",
        (3, 5) => "source-route-failed",
        (3, 9) => "net-prohibited",
        (3, 10) => "host-prohibited",
        (3, 13) => "admin-prohibited",
        (5, 0) => "redirect-net",
        (5, 1) => "redirect-host",
        (11, 0) => "ttl-exceeded",
        (11, 1) => "reassembly-timeout",
        (12, 0) => "param-problem",
        _ => "?",
    }
}

fn icmp6_name(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (1, 0) => "no-route",
        (1, 1) => "admin-prohibited",
        (1, 3) => "addr-unreachable",
        (1, 4) => "port-unreachable",
        (1, 5) => "policy-fail",
        (1, 6) => "reject-route",
        (2, 0) => "packet-too-big",
        (3, 0) => "hop-limit-exceeded",
        (3, 1) => "reassembly-timeout",
        (4, 1) => "unrecognized-next-header",
        _ => "?",
    }
}

/// Short text is quoted; anything else is only counted. Bytes that a size asked for (`@ABC…`) are no text.
fn data(b: &[u8]) -> String {
    let text = (1..=40).contains(&b.len()) && b.iter().all(|c| (32..127).contains(c)) && !b.starts_with(b"@ABC");
    if text { format!(" \"{}\"", String::from_utf8_lossy(b)) } else { String::new() }
}

impl Symbols<'_> {
    /// What an IP packet carries. `part` if it is a first fragment, `inner` if it is quoted by an error.
    pub(super) fn transport(&mut self, protocol: u8, b: &[u8], ipv4: bool, part: bool, inner: bool) -> (Class, String) {
        match protocol {
            proto::UDP if b.len() >= 8 => self.udp(b, part, inner),
            proto::TCP if b.len() >= 14 => self.tcp(b, inner),
            proto::ICMP if ipv4 && b.len() >= 8 => self.icmp(b, inner),
            proto::ICMPV6 if !ipv4 && b.len() >= 8 => self.icmp6(b),
            IPIP if !inner => {
                let (class, text) = self.network(b, "");
                (class, format!("IPIP | {text}"))
            }
            proto::GRE if !inner && b.len() > 4 => self.gre(b),
            IGMP => (Class::Noise, "IGMP".into()),
            _ => (Class::Ip, format!("proto={protocol} len={}", b.len())),
        }
    }

    fn udp(&mut self, b: &[u8], part: bool, inner: bool) -> (Class, String) {
        let (sport, dport, len) = (word(b, 0), word(b, 2), word(b, 4) as usize);
        let body = b.get(8..len.min(b.len())).unwrap_or_default();
        if dport == VXLAN_PORT && !inner && body.len() > 22 {
            let (class, text) = self.frame(&body[8..]);
            // What the tunnel carries is listed even where the same would be noise outside.
            let class = if matches!(class, Class::Noise | Class::ArpUnicast) { class } else { Class::Ip };
            return (class, format!("UDP hash>4789 VXLAN vni={} | {text}", long(body, 4) >> 8));
        }
        let (from, to) = (self.port(sport.into(), false), self.port(dport.into(), true));
        let text = if part || inner { String::new() } else { data(body) };
        (Class::Ip, format!("UDP {from}>{to} len={}{text}", len as i64 - 8))
    }

    fn tcp(&mut self, b: &[u8], inner: bool) -> (Class, String) {
        let (from, to) = (self.port(word(b, 0).into(), false), self.port(word(b, 2).into(), true));
        if inner && b.len() < 20 {
            return (Class::Ip, format!("TCP {from}>{to}"));
        }
        let (header, flags) = ((b[12] >> 4) as usize * 4, b[13]);
        let mut set: String = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, c)| c).collect();
        if set.is_empty() {
            set.push_str("none");
        }
        let mut text = format!("TCP {from}>{to} {set}");
        if inner {
            return (Class::Ip, text);
        }
        if flags & 2 != 0 {
            for mss in mss_options(b.get(20..header.min(b.len())).unwrap_or_default()) {
                text += &format!(" mss={mss}");
            }
        }
        let body = behind(b, header);
        text += &format!(" len={}{}", body.len(), data(body));
        let ack = flags & 0x17 == 0x10 && body.is_empty();
        (if ack { Class::TcpAck } else { Class::Tcp }, text)
    }

    fn icmp(&mut self, b: &[u8], inner: bool) -> (Class, String) {
        let (kind, code) = (b[0], b[1]);
        let text = match kind {
            0 | 8 => self.echo("ICMP", kind == 8, b),
            13..=18 => format!("ICMP type={kind}"),
            3 | 4 | 5 | 11 | 12 => {
                let mut s = format!("ICMP {kind}/{code} {}", icmp_name(kind, code));
                match (kind, code) {
                    (3, 4) => s += &format!(" mtu={}", word(b, 6)),
                    (5, _) => s += &format!(" gw={}", ip4(b, 4)),
                    (12, _) => s += &format!(" ptr={}", b[4]),
                    _ => {}
                }
                if inner { s } else { format!("{s} quoting({}) [{}]", b.len() - 8, self.quoted(&b[8..])) }
            }
            _ => format!("ICMP type={kind} code={code}"),
        };
        (Class::Ip, text)
    }

    fn echo(&mut self, name: &str, request: bool, b: &[u8]) -> String {
        let (id, seq) = (self.icmp_id(word(b, 4).into()), word(b, 6));
        let what = if request { "request" } else { "reply" };
        format!("{name} echo-{what} id={id} seq={seq} len={}", b.len() - 8)
    }

    fn icmp6(&mut self, b: &[u8]) -> (Class, String) {
        let (kind, code) = (b[0], b[1]);
        let text = match kind {
            128 | 129 => self.echo("ICMP6", kind == 128, b),
            130..=134 | 143 => return (Class::Noise, format!("ICMP6 mld/rs/ra type={kind}")),
            135 => return (Class::Nd, format!("ICMP6 neighbor-solicit target={}", self.v6(ip6(b, 8)))),
            136 => {
                let flags: String = [(128, 'R'), (64, 'S'), (32, 'O')]
                    .iter()
                    .filter(|(bit, _)| b[4] & bit != 0)
                    .map(|(_, c)| c)
                    .collect();
                return (Class::Nd, format!("ICMP6 neighbor-advert flags={flags} target={}", self.v6(ip6(b, 8))));
            }
            137 => format!("ICMP6 redirect target={} dst={}", self.v6(ip6(b, 8)), self.v6(ip6(b, 24))),
            1..=4 => {
                let mtu = if kind == 2 { format!(" mtu={}", long(b, 4)) } else { String::new() };
                let quoted = self.quoted(&b[8..]);
                format!("ICMP6 {kind}/{code} {}{mtu} quoting({}) [{quoted}]", icmp6_name(kind, code), b.len() - 8)
            }
            _ => format!("ICMP6 type={kind} code={code}"),
        };
        (Class::Ip, text)
    }

    fn gre(&mut self, b: &[u8]) -> (Class, String) {
        let (flags, ethertype) = (word(b, 0), word(b, 2));
        let at = 4 + [0x8000, 0x2000, 0x1000].iter().filter(|bit| flags & **bit != 0).count() * 4;
        let (class, text) = match ethertype {
            0x0800 => self.network(behind(b, at), ""),
            0x6558 => self.frame(behind(b, at)),
            _ => (Class::Ip, format!("ethertype=0x{ethertype:04x}")),
        };
        (class, format!("GRE | {text}"))
    }
}

/// The values of the MSS options.
fn mss_options(mut options: &[u8]) -> Vec<u16> {
    let mut found = Vec::new();
    while let Some(kind) = options.first() {
        let len = match kind {
            0 => break,
            1 => 1,
            _ => options.get(1).map_or(2, |n| (*n).max(2)) as usize,
        };
        if *kind == 2 {
            found.push(word(options, 2));
        }
        options = behind(options, len);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_walked_to_their_end() {
        assert_eq!(mss_options(&[1, 1, 2, 4, 5, 0xb4, 3, 3, 7, 0, 2, 4, 1, 1]), [1460]);
        assert_eq!(mss_options(&[2]), [0]);
        assert_eq!(mss_options(&[8, 0, 2, 4, 1, 0]), [256]);
    }

    #[test]
    fn text_is_quoted_if_it_is_short_and_printable() {
        assert_eq!(data(b"hello"), " \"hello\"");
        assert_eq!(data(&[b'x'; 41]) + &data(b"") + &data(b"a\n") + &data(b"@ABCDE"), "");
    }
}
