//! Which packets a rule is about: the conditions of one rule, how they are tested and how nft writes them.

use super::{
    conntrack::{Entry, status},
    expr::{AddrMatch, CtStates, MarkMatch, Ports, TcpFlags},
};
use crate::{
    base::proto,
    wire::{CtInfo, IpHeader, PacketType, be16, icmp},
};
use std::fmt;

/// What a packet must be like for a rule to apply. Every part that is given must fit; the default fits every packet.
///
/// ```
/// use netsim::netfilter::Match;
/// let m = Match { iif: Some("wan".into()), proto: Some(6), dport: "80".parse().ok(), ..Match::default() };
/// assert_eq!(m.to_string(), "iifname \"wan\" tcp dport 80 ");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// Name of the device it came in by; a `*` at the end stands for anything (`iifname`).
    pub iif: Option<Box<str>>,
    /// Name of the device it leaves by (`oifname`).
    pub oif: Option<Box<str>>,
    /// Source address.
    pub src: Option<AddrMatch>,
    /// Destination address.
    pub dst: Option<AddrMatch>,
    /// Upper-layer protocol.
    pub proto: Option<u8>,
    /// Source port, TCP and UDP only.
    pub sport: Option<Ports>,
    /// Destination port, TCP and UDP only.
    pub dport: Option<Ports>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// TCP flags.
    pub tcp_flags: Option<TcpFlags>,
    /// Conntrack states, one of which it must have.
    pub ct_state: Option<CtStates>,
    /// Whether the flow's source is translated.
    pub ct_snat: Option<bool>,
    /// Whether the flow's destination is translated.
    pub ct_dnat: Option<bool>,
    /// Packet mark.
    pub mark: Option<MarkMatch>,
    /// Connection mark.
    pub ct_mark: Option<MarkMatch>,
    /// How the link layer addressed it.
    pub packet_type: Option<PacketType>,
}

/// A packet as rules see it.
pub(crate) struct View<'a> {
    pub ip: &'a IpHeader,
    pub l4: &'a [u8],
    pub in_dev: Option<&'a str>,
    pub out_dev: Option<&'a str>,
    pub packet_type: PacketType,
    pub mark: u32,
    pub ct: CtView,
}

/// What rules see of a packet's conntrack entry.
#[derive(Clone, Copy)]
pub(crate) struct CtView {
    pub state: CtStates,
    pub snat: bool,
    pub dnat: bool,
    pub mark: u32,
}

impl CtView {
    /// The view of an entry a packet refers to with `info`; without entry the packet is INVALID or UNTRACKED.
    pub fn of(entry: Option<&Entry>, info: Option<CtInfo>, untracked: bool) -> CtView {
        let state = match (entry, info) {
            (Some(_), Some(CtInfo::Established)) => CtStates::ESTABLISHED,
            (Some(_), Some(CtInfo::Related)) => CtStates::RELATED,
            (Some(_), Some(CtInfo::New)) => CtStates::NEW,
            _ if untracked => CtStates::UNTRACKED,
            _ => CtStates::INVALID,
        };
        let has = |bit| entry.is_some_and(|e| e.has(bit));
        CtView { state, snat: has(status::SRC_NAT), dnat: has(status::DST_NAT), mark: entry.map_or(0, |e| e.mark) }
    }
}

fn name_fits(pattern: &str, name: Option<&str>) -> bool {
    match (name, pattern.strip_suffix('*')) {
        (Some(name), Some(start)) => name.starts_with(start),
        (Some(name), None) => name == pattern,
        (None, _) => false,
    }
}

impl Match {
    /// Whether the packet fits.
    pub(crate) fn fits(&self, p: &View<'_>) -> bool {
        let addr = |m: Option<AddrMatch>, a| m.is_none_or(|m| m.prefix.contains(a) != m.negate);
        self.proto.is_none_or(|n| n == p.ip.proto)
            && self.iif.as_deref().is_none_or(|n| name_fits(n, p.in_dev))
            && self.oif.as_deref().is_none_or(|n| name_fits(n, p.out_dev))
            && self.src.is_none_or(|m| m.prefix.is_ipv4() == p.ip.is_ipv4())
            && self.dst.is_none_or(|m| m.prefix.is_ipv4() == p.ip.is_ipv4())
            && addr(self.src, p.ip.src)
            && addr(self.dst, p.ip.dst)
            && self.ct_state.is_none_or(|s| s.intersects(p.ct.state))
            && self.ports_fit(p)
            && self.icmp_fits(p)
            && self.tcp_flags.is_none_or(|t| {
                p.ip.proto == proto::TCP && p.ip.frag_offset == 0 && p.l4.len() > 13 && p.l4[13] & t.mask == t.value
            })
            && self.ct_snat.is_none_or(|s| s == p.ct.snat)
            && self.ct_dnat.is_none_or(|d| d == p.ct.dnat)
            && self.mark.is_none_or(|m| m.fits(p.mark))
            && self.ct_mark.is_none_or(|m| m.fits(p.ct.mark))
            && self.packet_type.is_none_or(|t| t == p.packet_type)
    }

    /// A fragment other than the first has no ports, so a rule about ports does not apply to it.
    fn ports_fit(&self, p: &View<'_>) -> bool {
        if self.sport.is_none() && self.dport.is_none() {
            return true;
        }
        matches!(p.ip.proto, proto::TCP | proto::UDP)
            && p.ip.frag_offset == 0
            && p.l4.len() >= 4
            && self.sport.is_none_or(|r| r.contains(be16(p.l4, 0)))
            && self.dport.is_none_or(|r| r.contains(be16(p.l4, 2)))
    }

    fn icmp_fits(&self, p: &View<'_>) -> bool {
        if self.icmp_type.is_none() && self.icmp_code.is_none() {
            return true;
        }
        p.ip.proto == icmp::proto_of(p.ip.src)
            && p.ip.frag_offset == 0
            && p.l4.len() >= 2
            && self.icmp_type.is_none_or(|t| t == p.l4[0])
            && self.icmp_code.is_none_or(|c| c == p.l4[1])
    }

    /// Whether the rule needs conntrack: such a rule makes the namespace track (`nft_ct_get_init`).
    pub(crate) fn needs_conntrack(&self) -> bool {
        self.ct_state.is_some() || self.ct_snat.is_some() || self.ct_dnat.is_some() || self.ct_mark.is_some()
    }
}

impl fmt::Display for Match {
    /// The expressions in the words of nft, each followed by a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(n) = &self.iif {
            write!(f, "iifname \"{n}\" ")?;
        }
        if let Some(n) = &self.oif {
            write!(f, "oifname \"{n}\" ")?;
        }
        for (word, addr) in [("saddr", self.src), ("daddr", self.dst)] {
            if let Some(AddrMatch { prefix, negate }) = addr {
                let family = if prefix.is_ipv4() { "ip" } else { "ip6" };
                let not = if negate { "!= " } else { "" };
                match prefix.is_host() {
                    true => write!(f, "{family} {word} {not}{} ", prefix.addr())?,
                    false => write!(f, "{family} {word} {not}{} ", prefix.network())?,
                }
            }
        }
        let th = match self.proto {
            Some(proto::TCP) => "tcp",
            Some(proto::UDP) => "udp",
            _ => "th",
        };
        let implied = (th != "th" && (self.sport.is_some() || self.dport.is_some())) || self.icmp_type.is_some();
        if let (Some(p), false) = (self.proto, implied) {
            match protocol_name(p) {
                Some(name) => write!(f, "meta l4proto {name} ")?,
                None => write!(f, "meta l4proto {p} ")?,
            }
        }
        for (word, ports) in [("sport", self.sport), ("dport", self.dport)] {
            if let Some(ports) = ports {
                write!(f, "{th} {word} {ports} ")?;
            }
        }
        let icmp = if self.proto == Some(proto::ICMPV6) { "icmpv6" } else { "icmp" };
        if let Some(t) = self.icmp_type {
            match icmp_type_name(icmp, t) {
                Some(name) => write!(f, "{icmp} type {name} ")?,
                None => write!(f, "{icmp} type {t} ")?,
            }
        }
        if let Some(c) = self.icmp_code {
            write!(f, "{icmp} code {c} ")?;
        }
        if let Some(t) = self.tcp_flags {
            write!(f, "tcp flags & 0x{:02x} == 0x{:02x} ", t.mask, t.value)?;
        }
        if let Some(s) = self.ct_state {
            write!(f, "ct state {s} ")?;
        }
        for (word, flag) in [("snat", self.ct_snat), ("dnat", self.ct_dnat)] {
            match flag {
                Some(true) => write!(f, "ct status {word} ")?,
                Some(false) => write!(f, "ct status ! {word} ")?,
                None => {}
            }
        }
        if let Some(m) = self.mark {
            m.write(f, "meta mark")?;
        }
        if let Some(m) = self.ct_mark {
            m.write(f, "ct mark")?;
        }
        match self.packet_type {
            Some(PacketType::Host) => f.write_str("meta pkttype host "),
            Some(PacketType::Broadcast) => f.write_str("meta pkttype broadcast "),
            Some(PacketType::Multicast) => f.write_str("meta pkttype multicast "),
            Some(PacketType::OtherHost) => f.write_str("meta pkttype other "),
            None => Ok(()),
        }
    }
}

fn protocol_name(p: u8) -> Option<&'static str> {
    Some(match p {
        proto::ICMP => "icmp",
        proto::TCP => "tcp",
        proto::UDP => "udp",
        proto::ICMPV6 => "ipv6-icmp",
        proto::GRE => "gre",
        _ => return None,
    })
}

fn icmp_type_name(family: &str, t: u8) -> Option<&'static str> {
    Some(match (family, t) {
        ("icmp", icmp::ECHO_REPLY) | ("icmpv6", icmp::v6::ECHO_REPLY) => "echo-reply",
        ("icmp", icmp::ECHO) | ("icmpv6", icmp::v6::ECHO) => "echo-request",
        ("icmp", icmp::UNREACHABLE) | ("icmpv6", icmp::v6::UNREACHABLE) => "destination-unreachable",
        ("icmp", icmp::TIME_EXCEEDED) | ("icmpv6", icmp::v6::TIME_EXCEEDED) => "time-exceeded",
        ("icmp", icmp::REDIRECT) => "redirect",
        ("icmpv6", icmp::v6::PACKET_TOO_BIG) => "packet-too-big",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(src: &str, dst: &str, protocol: u8) -> IpHeader {
        IpHeader {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            proto: protocol,
            ttl: 64,
            tos: 0,
            header_len: 20,
            total_len: 40,
            frag_offset: 0,
            more_fragments: false,
            df: false,
            id: 0,
            frag_header_at: None,
        }
    }

    fn view<'a>(ip: &'a IpHeader, l4: &'a [u8]) -> View<'a> {
        let ct = CtView { state: CtStates::NEW, snat: true, dnat: false, mark: 3 };
        let packet_type = PacketType::Host;
        View { ip, l4, in_dev: Some("wan0"), out_dev: None, packet_type, mark: 0x15, ct }
    }

    /// Each part alone: fits and does not fit the same packet, and its words.
    #[test]
    fn parts() {
        let h = ip("10.0.0.1", "192.0.2.9", proto::TCP);
        let mut l4 = [0u8; 20];
        l4[..4].copy_from_slice(&[0x13, 0x88, 0, 80]); // 5000 > 80
        l4[13] = 0x02;
        let v = view(&h, &l4);
        let m = Match::default;
        let cases = [
            (true, m(), ""),
            (true, Match { iif: Some("wan0".into()), ..m() }, "iifname \"wan0\" "),
            (true, Match { iif: Some("wan*".into()), ..m() }, "iifname \"wan*\" "),
            (false, Match { iif: Some("wan".into()), ..m() }, "iifname \"wan\" "),
            (false, Match { oif: Some("*".into()), ..m() }, "oifname \"*\" "),
            (true, Match { src: "10.0.0.0/24".parse().ok(), ..m() }, "ip saddr 10.0.0.0/24 "),
            (false, Match { src: "!10.0.0.0/24".parse().ok(), ..m() }, "ip saddr != 10.0.0.0/24 "),
            (true, Match { dst: "192.0.2.9".parse().ok(), ..m() }, "ip daddr 192.0.2.9 "),
            (false, Match { dst: "!fd00::/8".parse().ok(), ..m() }, "ip6 daddr != fd00::/8 "),
            (true, Match { proto: Some(6), ..m() }, "meta l4proto tcp "),
            (false, Match { proto: Some(17), dport: "80".parse().ok(), ..m() }, "udp dport 80 "),
            (true, Match { proto: Some(6), dport: "79-80".parse().ok(), ..m() }, "tcp dport 79-80 "),
            (false, Match { sport: "80".parse().ok(), ..m() }, "th sport 80 "),
            (false, Match { proto: Some(1), icmp_type: Some(8), ..m() }, "icmp type echo-request "),
            (true, Match { tcp_flags: Some(TcpFlags { value: 2, mask: 0x12 }), ..m() }, "tcp flags & 0x12 == 0x02 "),
            (true, Match { ct_state: "new,related".parse().ok(), ..m() }, "ct state related,new "),
            (false, Match { ct_state: Some(CtStates::INVALID), ..m() }, "ct state invalid "),
            (true, Match { ct_snat: Some(true), ..m() }, "ct status snat "),
            (false, Match { ct_dnat: Some(true), ..m() }, "ct status dnat "),
            (
                true,
                Match { mark: Some(MarkMatch { value: 5, mask: 0xf }), ..m() },
                "meta mark & 0x0000000f == 0x00000005 ",
            ),
            (false, Match { mark: Some(MarkMatch::exactly(5)), ..m() }, "meta mark 0x00000005 "),
            (true, Match { ct_mark: Some(MarkMatch::exactly(3)), ..m() }, "ct mark 0x00000003 "),
            (false, Match { packet_type: Some(PacketType::Broadcast), ..m() }, "meta pkttype broadcast "),
        ];
        for (fits, m, words) in cases {
            assert_eq!(m.fits(&v), fits, "{words}");
            assert_eq!(m.to_string(), words);
        }
    }

    #[test]
    fn later_fragments_and_short_packets_have_no_ports() {
        let mut h = ip("10.0.0.1", "192.0.2.9", proto::UDP);
        let m = Match { dport: Some(Ports { min: 0, max: u16::MAX }), ..Match::default() };
        assert!(m.fits(&view(&h, &[0; 8])));
        assert!(!m.fits(&view(&h, &[0; 3])));
        h.frag_offset = 8;
        assert!(!m.fits(&view(&h, &[0; 8])));
    }

    #[test]
    fn icmp_of_either_family() {
        let m = Match { icmp_type: Some(128), ..Match::default() };
        assert!(m.fits(&view(&ip("fd00::1", "fd00::2", proto::ICMPV6), &[128, 0])));
        assert!(!m.fits(&view(&ip("10.0.0.1", "10.0.0.2", proto::ICMPV6), &[128, 0])));
    }
}
