//! The spanning tree protocol between bridges joined by cables, driven in virtual time.

use netsim::base::{DevId, MS, Mac, NsId, SEC, Time};
use netsim::device::bridge::*;
use proptest::prelude::*;

/// Bridges and the cables between their ports. A port's device is `bridge * 100 + number`.
struct Net {
    now: Time,
    bridges: Vec<Bridge>,
    cables: Vec<(u32, u32, bool)>,
    /// BPDUs under way: (arrival, port, payload).
    wire: Vec<(Time, u32, Vec<u8>)>,
    bpdus: usize,
}

const DELAY: Time = MS;

fn cfg(priority: u16) -> BridgeConfig {
    BridgeConfig {
        stp: true,
        forward_delay: 2 * SEC,
        hello_time: SEC,
        max_age: 6 * SEC,
        priority,
        ..BridgeConfig::default()
    }
}

impl Net {
    fn new(priorities: &[u16], cables: &[(u32, u32)]) -> Net {
        let bridges = (0u32..)
            .zip(priorities)
            .map(|(b, priority)| {
                let mut br = Bridge::new(DevId(b * 100), NsId(b), Mac::ZERO, cfg(*priority));
                br.set_mac(0, Mac([2, 0, 0, 1, b as u8, 0]), &mut Vec::new()).unwrap();
                br
            })
            .collect();
        let mut net = Net { now: 0, bridges, cables: Vec::new(), wire: Vec::new(), bpdus: 0 };
        for b in 0..priorities.len() {
            net.act(b, |br, now, out| br.set_up(now, true, out));
        }
        for (a, b) in cables {
            net.cables.push((*a, *b, true));
            for dev in [*a, *b] {
                let port = PortConfig::new(DevId(dev), Mac([2, 0, 0, 0, (dev / 100) as u8, (dev % 100) as u8]));
                net.act(dev as usize / 100, |br, now, out| {
                    br.add_port(now, port, out).unwrap();
                });
            }
        }
        net
    }

    fn act(&mut self, b: usize, f: impl FnOnce(&mut Bridge, Time, &mut Vec<Change>)) {
        let mut out = Vec::new();
        f(&mut self.bridges[b], self.now, &mut out);
        for change in out {
            if let Change::SendBpdu { port, frame } = change
                && let Some(peer) = self.peer(port.0)
            {
                assert_eq!(frame.bytes()[..6], GROUP.0);
                self.bpdus += 1;
                self.wire.push((self.now + DELAY, peer, frame.bytes()[14..].to_vec()));
            }
        }
    }

    fn peer(&self, dev: u32) -> Option<u32> {
        self.cables.iter().filter(|c| c.2).find_map(|(a, b, _)| match dev {
            d if d == *a => Some(*b),
            d if d == *b => Some(*a),
            _ => None,
        })
    }

    fn cut(&mut self, cable: usize, up: bool) {
        self.cables[cable].2 = up;
        let (a, b, _) = self.cables[cable];
        for dev in [a, b] {
            self.act(dev as usize / 100, |br, now, out| br.set_port_link(now, DevId(dev), up, out).unwrap());
        }
    }

    fn run(&mut self, span: Time) {
        let end = self.now + span;
        loop {
            let timers = self.bridges.iter().filter_map(Bridge::next_at);
            let next = timers.chain(self.wire.iter().map(|w| w.0)).min();
            let Some(next) = next.filter(|t| *t <= end) else { break };
            assert!(next >= self.now, "time never goes back");
            self.now = next;
            for b in 0..self.bridges.len() {
                if self.bridges[b].next_at().is_some_and(|t| t <= next) {
                    self.act(b, |br, now, out| br.on_timer(now, out));
                }
            }
            let (due, rest) = std::mem::take(&mut self.wire).into_iter().partition(|w| w.0 <= next);
            self.wire = rest;
            let due: Vec<(Time, u32, Vec<u8>)> = due;
            for (_, dev, payload) in due {
                if self.peer(dev).is_some() {
                    self.act(dev as usize / 100, |br, now, out| {
                        assert!(br.receive_bpdu(now, DevId(dev), &payload, out));
                    });
                }
            }
        }
        self.now = end;
    }

    fn state(&self, dev: u32) -> PortState {
        self.bridges[dev as usize / 100].port_view(DevId(dev)).unwrap().state
    }

    /// Cables both of whose ends forward.
    fn tree(&self) -> Vec<(u32, u32)> {
        let on = |d| self.state(d) == PortState::Forwarding;
        self.cables.iter().filter(|(a, b, up)| *up && on(*a) && on(*b)).map(|(a, b, _)| (*a, *b)).collect()
    }
}

/// The bridges each bridge can reach over `edges`, as the smallest bridge of its component; and whether there is a loop.
fn components(bridges: usize, edges: &[(u32, u32)]) -> (Vec<usize>, bool) {
    let mut of: Vec<usize> = (0..bridges).collect();
    let mut looped = false;
    for (a, b) in edges {
        let (x, y) = (of[*a as usize / 100], of[*b as usize / 100]);
        looped |= x == y;
        let (lo, hi) = (x.min(y), x.max(y));
        of.iter_mut().filter(|c| **c == hi).for_each(|c| *c = lo);
    }
    (of, looped)
}

/// case bridge-loop-stp: two cables between two bridges.
#[test]
fn bridge_loop_stp() {
    let mut net = Net::new(&[0x1000, 0x8000], &[(2, 102), (3, 103)]);
    let views = |net: &Net| net.bridges.iter().map(|b| b.stp()).collect::<Vec<_>>();
    net.run(3900 * MS);
    assert!(net.tree().is_empty(), "listening, then learning: nothing forwards before two forward delays");
    net.run(200 * MS);
    assert_eq!(net.tree(), [(2, 102)]);
    assert_eq!(net.state(103), PortState::Blocking);
    assert_eq!(net.state(3), PortState::Forwarding);
    let views = views(&net);
    assert_eq!(views[0].id.to_string(), "1000.2:0:0:1:0:0");
    assert_eq!((views[0].root, views[0].root_port, views[0].root_path_cost), (views[0].id, 0, 0));
    assert_eq!(views[1].id.to_string(), "8000.2:0:0:1:1:0");
    assert_eq!((views[1].root, views[1].root_port, views[1].root_path_cost), (views[0].id, 1, 2));
    assert!(views[1].ports.iter().all(|p| p.designated_root == views[0].id && p.path_cost == 2));

    // The active cable dies: the blocked port takes over after two forward delays.
    net.cut(0, false);
    net.run(3900 * MS);
    assert!(net.tree().is_empty());
    net.run(1600 * MS);
    assert_eq!(net.tree(), [(3, 103)]);
    let view = net.bridges[1].stp();
    assert_eq!((view.root_port, view.root_path_cost), (2, 2));
    assert_eq!(view.ports[0].state, PortState::Disabled);
    assert_eq!(view.ports[0].designated_root, views[0].id);
}

/// A notification of a topology change reaches the root by way of the bridge between, and the root tells everybody. In
/// Linux, unlike §8.3.5, nobody is forgotten for it: the collector of old stations is not woken.
#[test]
fn topology_change_is_told_to_everybody() {
    let mut net = Net::new(&[0x1000, 0x2000, 0x3000, 0x4000], &[(1, 101), (102, 201), (202, 2), (203, 301)]);
    net.run(60 * SEC);
    assert!(net.bridges.iter().all(|b| !b.stp().topology_change), "calm");
    let mut v = Verdict::default();
    let station = Mac([2, 0, 0, 0, 9, 9]);
    let frame = FrameInfo { src: station, dst: Mac::BROADCAST, vlan: None, len: 46, src_ns: None, dst_ns: None };
    let now = net.now;
    net.bridges[0].ingress(now, Ingress::Port(DevId(1)), &frame, &mut v);
    let known = |net: &Net| net.bridges[0].fdb(net.now).iter().any(|e| e.mac == station);
    net.run(10 * SEC);
    assert!(known(&net));
    net.cut(2, false);
    net.run(3900 * MS);
    assert!(known(&net), "a port that went down is no topology change in Linux, the one that takes over is");
    net.run(200 * MS);
    assert!(net.bridges[0].stp().topology_change);
    assert!(known(&net), "older than the forward delay, but nobody looks");
    // A hello at the root, then up to one hold time at each bridge on the way.
    net.run(3 * SEC);
    let told: Vec<bool> = net.bridges.iter().map(|b| b.stp().topology_change).collect();
    assert_eq!(told, [true; 4], "the root has told everybody");
    net.run(60 * SEC);
    assert!(net.bridges.iter().all(|b| !b.stp().topology_change), "calm again");
    assert!(known(&net), "300 s are not over");
}

/// A root that falls silent is given up after max age, although no link went down.
#[test]
fn silent_root_is_replaced() {
    let mut net = Net::new(&[0x1000, 0x2000], &[(1, 101)]);
    net.run(10 * SEC);
    let root = net.bridges[0].stp().id;
    assert_eq!(net.bridges[1].stp().root, root);
    // BPDUs are lost, both ends keep their carrier.
    net.cables[0].2 = false;
    net.run(5 * SEC);
    assert_eq!(net.bridges[1].stp().root, root, "not yet");
    net.run(2 * SEC);
    let view = net.bridges[1].stp();
    assert_eq!((view.root, view.root_port), (view.id, 0));
}

#[test]
fn a_better_priority_takes_the_root_over() {
    let mut net = Net::new(&[0x1000, 0x2000], &[(1, 101), (2, 102)]);
    net.run(10 * SEC);
    assert_eq!(net.bridges[1].stp().root_port, 1);
    net.act(1, |br, now, out| br.set_priority(now, 0x800, out));
    net.run(10 * SEC);
    let (old, new) = (net.bridges[0].stp(), net.bridges[1].stp());
    assert_eq!((new.root, new.root_port), (new.id, 0));
    assert_eq!((old.root, old.root_port, old.root_path_cost), (new.id, 1, 2));
    assert_eq!(net.tree(), [(1, 101)]);
}

#[test]
fn switching_the_protocol_on_and_off() {
    let mut out = Vec::new();
    let mut br = Bridge::new(DevId(0), NsId(0), Mac([2; 6]), BridgeConfig { stp: false, ..cfg(0x8000) });
    br.set_up(0, true, &mut out);
    br.add_port(0, PortConfig::new(DevId(1), Mac([4; 6])), &mut out).unwrap();
    assert_eq!(br.next_at(), None);
    br.set_stp(0, true, &mut out).unwrap();
    assert_eq!(br.port_view(DevId(1)).unwrap().state, PortState::Forwarding, "stays until a better bridge is heard");
    assert!(br.next_at().is_some());
    br.add_port(0, PortConfig::new(DevId(2), Mac([6; 6])), &mut out).unwrap();
    assert_eq!(br.port_view(DevId(2)).unwrap().state, PortState::Listening);
    let mut v = Verdict::default();
    let frame = FrameInfo { src: Mac([8; 6]), dst: Mac::BROADCAST, vlan: None, len: 46, src_ns: None, dst_ns: None };
    br.ingress(0, Ingress::Port(DevId(2)), &frame, &mut v);
    assert!(v.drop.is_some() && v.fdb_events.is_empty(), "listening does not learn");
    br.on_timer(2 * SEC, &mut out);
    br.ingress(2 * SEC, Ingress::Port(DevId(2)), &frame, &mut v);
    assert!(v.drop.is_some() && v.fdb_events.len() == 1, "learning does");
    br.set_stp(2 * SEC, false, &mut out).unwrap();
    assert_eq!(br.port_view(DevId(2)).unwrap().state, PortState::Forwarding);
    assert!(!br.receive_bpdu(2 * SEC, DevId(1), &Bpdu::Tcn.frame(Mac([4; 6])).bytes()[14..], &mut out));
    let crowd = (3..1500).map(|n| PortConfig::new(DevId(n), Mac([2, 2, 2, 2, (n >> 8) as u8, n as u8])));
    for port in crowd {
        br.add_port(0, port, &mut out).unwrap();
    }
    assert_eq!(br.set_stp(0, true, &mut out), Err(BridgeError::TooManyPorts));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the wiring: once calm, the forwarding cables are a spanning tree of every connected part, all agree
    /// on the root, which is the best bridge, and only designated ports talk. Also after cutting any cable.
    #[test]
    fn the_tree_spans_without_loops(
        priorities in proptest::collection::vec(0u16..4, 2..6),
        wires in proptest::collection::vec((0usize..6, 0usize..6), 1..9),
        cut in 0usize..9,
    ) {
        let n = priorities.len();
        let mut used = vec![0u32; n];
        let mut cables = Vec::new();
        for (a, b) in wires {
            let (a, b) = (a % n, b % n);
            // A cable from a bridge to itself is left out: the protocol blocks it, the tree check counts cables.
            if a != b {
                let mut end = |x: usize| { used[x] += 1; x as u32 * 100 + used[x] };
                cables.push((end(a), end(b)));
            }
        }
        let mut net = Net::new(&priorities, &cables);
        for round in 0..2 {
            net.run(60 * SEC);
            let live: Vec<(u32, u32)> = net.cables.iter().filter(|c| c.2).map(|c| (c.0, c.1)).collect();
            let (parts, _) = components(n, &live);
            let (spanned, looped) = components(n, &net.tree());
            prop_assert!(!looped, "loop in {:?}", net.tree());
            prop_assert_eq!(&parts, &spanned);
            for (b, part) in parts.iter().enumerate() {
                let best = (0..n).filter(|o| parts[*o] == *part).map(|o| net.bridges[o].stp().id).min().unwrap();
                prop_assert_eq!(net.bridges[b].stp().root, best);
            }
            net.bpdus = 0;
            net.run(10 * SEC);
            prop_assert!(net.bpdus <= live.len() * 11, "one BPDU a second and cable, {} on {:?}", net.bpdus, live);
            if round == 0 && !cables.is_empty() {
                net.cut(cut % cables.len(), false);
            }
        }
    }

    /// No sequence of hostile BPDUs makes the timers spin or panic.
    #[test]
    fn hostile_bpdus_do_no_harm(
        floods in proptest::collection::vec((any::<[u8; 31]>(), any::<bool>(), 0u64..4000), 1..40),
    ) {
        let mut net = Net::new(&[0x8000, 0x9000], &[(1, 101), (2, 102)]);
        for (body, tcn, wait) in floods {
            let mut payload = vec![0x42, 0x42, 3, 0, 0, 0, if tcn { 0x80 } else { 0 }];
            payload.extend(body);
            let mut at = net.now;
            net.act(0, |br, now, out| {
                br.receive_bpdu(now, DevId(1), &payload, out);
                // As a loop that knows only `next_at` would drive it.
                for round in 0.. {
                    assert!(round < 100, "timers spin");
                    match br.next_at() {
                        Some(t) if t <= now => br.on_timer(now, out),
                        _ => break,
                    }
                }
                at = now;
            });
            net.run(wait * MS);
        }
    }
}
