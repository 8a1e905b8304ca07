//! The choice of a flow's translated tuple (`get_unique_tuple` and `nf_nat_l4proto_unique_tuple`, Linux 6.18).

use super::{Manip, NatTarget};
use crate::{
    base::{Rng, Time, proto},
    netfilter::conntrack::{Conntrack, FlowChange, Memory, TcpState, flow::Flow},
};
use std::net::IpAddr;

/// Ports tried in one go before a new start is drawn (`NF_NAT_MAX_ATTEMPTS`).
const MAX_ATTEMPTS: u32 = 128;
/// In so many last attempts a finished connection may be evicted for its port (`NF_NAT_HARDER_THRESH`).
const HARDER: u32 = 32;
/// The search ends when its window has shrunk below this.
const MIN_ATTEMPTS: u32 = 16;

/// What a translation may choose from (`struct nf_nat_range2`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    pub to: NatTarget,
    /// Never keep the port.
    pub random: bool,
    /// Choose the address by the client alone.
    pub persistent: bool,
}

impl Range {
    /// Whether a flow's source already lies in the range (`in_range`).
    fn has_source(&self, f: &Flow) -> bool {
        self.to.addrs.is_none_or(|(min, max)| min <= f.src && f.src <= max) && self.has_port(f, Manip::Src)
    }

    /// Whether the port to be translated already lies in the range (`l4proto_in_range`).
    fn has_port(&self, f: &Flow, manip: Manip) -> bool {
        match (self.to.ports, f.proto) {
            (None, _) => true,
            (Some(ports), proto::ICMP | proto::ICMPV6) => ports.contains(f.sport),
            (Some(ports), proto::TCP | proto::UDP | proto::GRE) => {
                ports.contains(if manip == Manip::Src { f.sport } else { f.dport })
            }
            _ => true,
        }
    }
}

/// The choice for one end of one new entry.
pub(crate) struct Choice<'a> {
    pub ct: &'a mut Conntrack,
    pub now: Time,
    pub rng: &'a mut Rng,
    /// The slot of the entry.
    pub entry: u32,
    pub range: Range,
    pub manip: Manip,
    pub changes: &'a mut Vec<FlowChange>,
}

impl Choice<'_> {
    /// The flow the entry's packets shall have after translation, given the flow they have now. It is unused unless the
    /// range is exhausted, which shows when the entry is confirmed.
    pub fn choose(&mut self, current: &Flow) -> Flow {
        let range = self.range;
        // 1. Keep the source, or share the mapping this client port has towards others.
        if self.manip == Manip::Src && !range.random {
            if range.has_source(current) {
                if self.is_free(current) {
                    return *current;
                }
            } else if let Some(shared) = self.ct.mapping_of_source(self.now, current, |f| range.has_source(f))
                && self.is_free(&shared)
            {
                return shared;
            }
        }
        // 2. An address of the range, 3. with the port as it is, if that will do.
        let mut flow = pick_address(current, &range, self.manip);
        if !range.random {
            let keep = match range.to.ports {
                Some(ports) => range.has_port(&flow, self.manip) && (ports.min == ports.max || self.is_free(&flow)),
                None => self.is_free(&flow),
            };
            if keep {
                return flow;
            }
        }
        self.search_port(&mut flow);
        flow
    }

    fn is_free(&self, flow: &Flow) -> bool {
        !self.ct.taken(self.now, &flow.inverse())
    }

    /// Tries ports from a random start, in ever smaller windows (`nf_nat_l4proto_unique_tuple`).
    fn search_port(&mut self, flow: &mut Flow) {
        let Some((min, size)) = port_range(flow, &self.range, self.manip) else { return };
        let by_source = self.manip == Manip::Src || flow.is_icmp();
        // Destinations are taken from the first port on, so that a range is a list of fall-backs.
        let drawn = self.manip == Manip::Src || self.range.random;
        let mut offset = if drawn { self.rng.next_u64() as u16 } else { 0 };
        let mut attempts = size.min(MAX_ATTEMPTS);
        loop {
            for i in 0..attempts {
                let port = (min as u32 + offset as u32 % size) as u16;
                if by_source {
                    flow.sport = port;
                } else {
                    flow.dport = port;
                }
                offset = offset.wrapping_add(1);
                if self.is_free(flow) || (attempts - i <= HARDER && self.evict_finished(&flow.inverse())) {
                    return;
                }
            }
            if attempts >= size || attempts < MIN_ATTEMPTS {
                return;
            }
            attempts /= 2;
            offset = self.rng.next_u64() as u16;
        }
    }

    /// Takes the port of a connection in TIME_WAIT whose sequence numbers the new one has passed
    /// (`nf_nat_used_tuple_harder`, `nf_seq_has_advanced`).
    fn evict_finished(&mut self, reply: &Flow) -> bool {
        let Memory::Tcp(new) = self.ct.slot(self.entry).memory else { return false };
        let Some(hit) = self.ct.find(self.now, reply, self.changes) else { return true };
        let Memory::Tcp(old) = self.ct.slot(hit.slot).memory else { return false };
        let advanced = (new.original_end().wrapping_sub(old.original_end()) as i32) > 0;
        if !hit.reply || new.state != TcpState::SynSent || old.state != TcpState::TimeWait || !advanced {
            return false;
        }
        self.ct.kill(hit.slot, self.changes);
        true
    }
}

/// The ports to try: the lowest and how many; `None` if the protocol has none that could be changed.
fn port_range(flow: &Flow, range: &Range, manip: Manip) -> Option<(u16, u32)> {
    let given = range.to.ports.map(|p| (p.min, (p.max - p.min) as u32 + 1));
    match flow.proto {
        proto::ICMP | proto::ICMPV6 => Some(given.unwrap_or((0, 65536))),
        proto::TCP | proto::UDP => match (given, manip) {
            (Some(given), _) => Some(given),
            (None, Manip::Dst) => None,
            // Keep privileged ports privileged: ports below 512 pass credentials (rsh).
            (None, Manip::Src) => Some(match flow.sport {
                0..512 => (1, 511),
                512..1024 => (600, 424),
                _ => (1024, 64512),
            }),
        },
        _ => None,
    }
}

/// An address of the range, spread by a hash of both addresses (`find_best_ips_proto`).
fn pick_address(current: &Flow, range: &Range, manip: Manip) -> Flow {
    let mut flow = *current;
    let Some((min, max)) = range.to.addrs else { return flow };
    let addr = if min == max { min } else { spread(current, min, max, range.persistent) };
    match manip {
        Manip::Src => flow.src = addr,
        Manip::Dst => flow.dst = addr,
    }
    flow
}

/// The 32-bit words of an address as a little-endian kernel has them in memory, IPv4 padded with zeros.
fn words(addr: IpAddr) -> [u32; 4] {
    match addr {
        IpAddr::V4(a) => [u32::from_le_bytes(a.octets()), 0, 0, 0],
        IpAddr::V6(a) => {
            let o = a.octets();
            [0, 4, 8, 12].map(|i| u32::from_le_bytes([o[i], o[i + 1], o[i + 2], o[i + 3]]))
        }
    }
}

/// The address between `min` and `max` that Linux on a little-endian machine would choose.
fn spread(flow: &Flow, min: IpAddr, max: IpAddr, persistent: bool) -> IpAddr {
    let (min_words, max_words, dst) = (words(min), words(max), words(flow.dst));
    let last = if min.is_ipv4() { 0 } else { 3 };
    let mut hash = jhash(words(flow.src), if persistent { 0 } else { dst[last] });
    let mut out = [0u32; 4];
    let mut full_range = false;
    for i in 0..=last {
        let (lowest, size) = if full_range {
            (0, u32::MAX)
        } else {
            let lowest = min_words[i].swap_bytes();
            (lowest, max_words[i].swap_bytes().wrapping_sub(lowest).wrapping_add(1))
        };
        out[i] = lowest.wrapping_add(((hash as u64 * size as u64) >> 32) as u32).swap_bytes();
        full_range |= out[i] != max_words[i];
        if !persistent {
            hash ^= dst[i];
        }
    }
    if min.is_ipv4() {
        return IpAddr::V4(out[0].to_le_bytes().into());
    }
    let mut octets = [0; 16];
    for (chunk, word) in octets.as_chunks_mut::<4>().0.iter_mut().zip(out) {
        *chunk = word.to_le_bytes();
    }
    IpAddr::V6(octets.into())
}

/// Bob Jenkins' lookup3 (public domain) over four words: Linux's `jhash2(words, 4, seed)`.
fn jhash(k: [u32; 4], seed: u32) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(4 << 2).wrapping_add(seed);
    let [mut a, mut b, mut c] = [start.wrapping_add(k[0]), start.wrapping_add(k[1]), start.wrapping_add(k[2])];
    // mix
    for rotate in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(rotate[0]);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(rotate[1]);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(rotate[2]);
        b = b.wrapping_add(a);
    }
    a = a.wrapping_add(k[3]);
    // final
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::expr::Ports;

    fn udp(src: &str, sport: u16) -> Flow {
        Flow { src: src.parse().unwrap(), dst: "192.0.2.1".parse().unwrap(), sport, dport: 53, proto: proto::UDP }
    }

    fn to(text: &str) -> Range {
        Range { to: text.parse().unwrap(), ..Range::default() }
    }

    /// Translates and confirms a flow; `None` if its tuple was taken.
    fn flow_through(ct: &mut Conntrack, rng: &mut Rng, f: Flow, range: &Range, manip: Manip) -> Option<Flow> {
        let log = &mut vec![];
        let slot = ct.create(0, f, Memory::Plain, log).unwrap();
        let mut choice = Choice { ct, now: 0, rng, entry: slot, range: *range, manip, changes: log };
        let chosen = choice.choose(&f);
        ct.slot_mut(slot).reply = chosen.inverse();
        if manip == Manip::Src {
            ct.slot_mut(slot).status |= crate::netfilter::conntrack::status::SRC_NAT_DONE;
        }
        ct.confirm(0, slot, log).then_some(chosen)
    }

    /// 400 clients with one port: all mapped to different ones of the same class (linux-semantics: min 1095, max 65446).
    #[test]
    fn collisions_move_within_the_class_of_the_port() {
        for (sport, class) in [(500, 1..=511), (700, 600..=1023), (5000, 1024..=65535)] {
            let (mut ct, mut rng) = (Conntrack::default(), Rng::keyed(1, &["t"]));
            let mut ports = vec![];
            for i in 0..200u32 {
                let f = Flow { src: IpAddr::V4((0x0a00_0001 + i).into()), ..udp("10.0.0.1", sport) };
                let chosen = flow_through(&mut ct, &mut rng, f, &to("203.0.113.1"), Manip::Src).unwrap();
                ports.push(chosen.sport);
            }
            assert_eq!(ports[0], sport, "the first keeps its port (RFC 4787 port preservation)");
            assert!(ports.iter().all(|p| class.contains(p)), "{ports:?}");
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 200);
        }
    }

    /// Case nat-snat-fixed: two ports, the third flow to the same server finds none, another server may share them.
    #[test]
    fn an_exhausted_range_shows_at_confirmation() {
        let (mut ct, mut rng) = (Conntrack::default(), Rng::keyed(1, &["t"]));
        let range = to("203.0.113.77:4000-4001");
        let mut go = |f: Flow| flow_through(&mut ct, &mut rng, f, &range, Manip::Src);
        assert_eq!(go(udp("10.0.0.1", 4000)).unwrap().sport, 4000);
        assert_eq!(go(udp("10.0.0.1", 5001)).unwrap().sport, 4001);
        assert_eq!(go(udp("10.0.0.2", 5002)), None);
        assert_eq!(go(Flow { dst: "192.0.2.2".parse().unwrap(), ..udp("10.0.0.2", 4000) }).unwrap().sport, 4000);
    }

    #[test]
    fn a_client_port_keeps_its_mapping_towards_other_servers() {
        let (mut ct, mut rng) = (Conntrack::default(), Rng::keyed(1, &["t"]));
        let range = to("203.0.113.1");
        let mut go = |f: Flow| flow_through(&mut ct, &mut rng, f, &range, Manip::Src).unwrap().sport;
        assert_eq!(go(udp("10.0.0.1", 5000)), 5000);
        let moved = go(udp("10.0.0.2", 5000));
        assert_ne!(moved, 5000);
        assert_eq!(go(Flow { dst: "192.0.2.2".parse().unwrap(), ..udp("10.0.0.2", 5000) }), moved);
    }

    #[test]
    fn random_never_keeps_and_destinations_start_at_the_first_port() {
        let (mut ct, mut rng) = (Conntrack::default(), Rng::keyed(1, &["t"]));
        let range = Range { random: true, ..to("203.0.113.1") };
        let kept = (0..50)
            .filter(|i| {
                let f = Flow { dport: 100 + i, ..udp("10.0.0.1", 5000) };
                flow_through(&mut ct, &mut rng, f, &range, Manip::Src).unwrap().sport == 5000
            })
            .count();
        assert_eq!(kept, 0);
        let dnat = to("10.0.0.9:8000-8003");
        let chosen: Vec<u16> = (0..4)
            .map(|_| flow_through(&mut ct, &mut rng, udp("10.1.0.1", 7), &dnat, Manip::Dst).map_or(0, |f| f.dport))
            .collect();
        assert_eq!(chosen[0], 8000);
        let one = Range { to: NatTarget { addrs: None, ports: Some(Ports::one(5300)) }, ..Range::default() };
        assert_eq!(flow_through(&mut ct, &mut rng, udp("10.1.0.2", 7), &one, Manip::Dst).unwrap().dport, 5300);
    }

    #[test]
    fn icmp_identifiers_are_chosen_from_all_of_them() {
        let (mut ct, mut rng) = (Conntrack::default(), Rng::keyed(1, &["t"]));
        let ping = |i: u32| Flow {
            src: IpAddr::V4((0x0a00_0001 + i).into()),
            dport: 8 << 8,
            proto: proto::ICMP,
            ..udp("10.0.0.1", 42)
        };
        let mut ids: Vec<u16> = (0..100)
            .map(|i| flow_through(&mut ct, &mut rng, ping(i), &to("203.0.113.1"), Manip::Src).unwrap().sport)
            .collect();
        assert_eq!(ids[0], 42);
        assert!(ids.iter().any(|id| *id < 1024), "identifiers have no privileged class");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 100);
    }

    /// What a 6.18 kernel (x86-64) chose for 10.0.0.1 and fd00::1 towards 10.0.0.2… and fd00::2….
    #[test]
    fn addresses_are_those_the_kernel_chooses() {
        let pick = |range: &str, src: &str, dst: IpAddr| {
            let f = Flow { src: src.parse().unwrap(), dst, ..udp("10.0.0.1", 1) };
            pick_address(&f, &to(range), Manip::Src).src.to_string()
        };
        for (i, last) in [8, 14, 13, 14, 10, 11, 17, 12, 12, 16, 18, 8, 16, 12].into_iter().enumerate() {
            let dst = IpAddr::V4((0x0a00_0002 + i as u32).into());
            assert_eq!(pick("203.0.113.8-203.0.113.19", "10.0.0.1", dst), format!("203.0.113.{last}"));
        }
        for (i, last) in [0x5619, 0x6fca, 0x3740, 0xe82f, 0xf5ca, 0xd32e, 0x3dd1].into_iter().enumerate() {
            let dst = IpAddr::V6((0xfd00 << 112 | (2 + i as u128)).into());
            assert_eq!(pick("fd77::8-fd77::1:19", "fd00::1", dst), format!("fd77::{last:x}"));
        }
    }

    #[test]
    fn addresses_are_spread_over_the_range_and_stable() {
        let range = to("203.0.113.8-203.0.113.11");
        let pick = |src: u32, dst: u32, persistent| {
            let f = Flow { src: IpAddr::V4(src.into()), dst: IpAddr::V4(dst.into()), ..udp("10.0.0.1", 1) };
            pick_address(&f, &Range { persistent, ..range }, Manip::Src).src
        };
        let mut seen: Vec<IpAddr> = (0..64).map(|i| pick(0x0a00_0001, 0xc000_0201 + i, false)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
        assert!((0..64).all(|i| pick(0x0a00_0001, 0xc000_0201 + i, true) == pick(0x0a00_0001, 1, true)));
        let v6 = to("fd00::10-fd00::1f");
        let f = Flow { src: "fd01::1".parse().unwrap(), dst: "fd02::2".parse().unwrap(), ..udp("10.0.0.1", 1) };
        let chosen = pick_address(&f, &v6, Manip::Src).src;
        assert!("fd00::10".parse::<IpAddr>().unwrap() <= chosen && chosen <= "fd00::1f".parse::<IpAddr>().unwrap());
    }
}
