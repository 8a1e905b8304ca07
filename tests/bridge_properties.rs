//! Properties of the bridge against a naive twin, and of the namespace-aware bridge against the unaware one.

use std::collections::BTreeMap;

use netsim::base::{DevId, Mac, NsId, SEC, Time};
use netsim::device::bridge::*;
use netsim::trace::{DropReason, FdbChange};
use proptest::prelude::*;

const AGEING: Time = 3 * SEC;
const BRIDGE: u32 = 1000;

fn port_mac(n: u32) -> Mac {
    Mac([2, 0, 1, 0, 0, n as u8])
}

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

fn bridge(mode: FdbMode, ports: u32) -> Bridge {
    let mut out = Vec::new();
    let cfg = BridgeConfig { fdb: mode, ageing: AGEING, ..BridgeConfig::default() };
    let mut br = Bridge::new(DevId(BRIDGE), NsId(BRIDGE), port_mac(99), cfg);
    br.set_up(0, true, &mut out);
    for n in 0..ports {
        br.add_port(0, PortConfig::new(DevId(n), port_mac(n)), &mut out).unwrap();
    }
    br
}

/// What happens to a bridge. Stations are numbers; what MAC and port one has is up to the test.
#[derive(Clone, Debug)]
enum Op {
    /// A station sends to another (`None`: broadcast), marked with the receiver's namespace or not.
    Send { from: usize, to: Option<usize>, marked: bool },
    /// A station is plugged into another port.
    Move { station: usize, port: u32 },
    /// Time passes.
    Wait(Time),
    /// A port loses and regains its link.
    Flap(u32),
    /// A switch is set.
    Flags { port: u32, hairpin: bool, isolated: bool, flood: bool },
    /// A port leaves and another device takes its place.
    Swap(u32),
}

fn ops(stations: usize, ports: u32) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => (0..stations, proptest::option::weighted(0.8, 0..stations), any::<bool>())
            .prop_map(|(from, to, marked)| Op::Send { from, to, marked }),
        2 => (0..stations, 0..ports).prop_map(|(station, port)| Op::Move { station, port }),
        2 => (0..2 * AGEING).prop_map(Op::Wait),
        1 => (0..ports).prop_map(Op::Flap),
        1 => (0..ports, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(port, hairpin, isolated, flood)| Op::Flags { port, hairpin, isolated, flood }),
        1 => (0..ports).prop_map(Op::Swap),
    ];
    proptest::collection::vec(op, 1..120)
}

/// A bridge, the stations around it, and the clock.
struct World {
    br: Bridge,
    now: Time,
    at: Vec<u32>,
    macs: Vec<Mac>,
    v: Verdict,
    out: Vec<Change>,
}

impl World {
    fn new(mode: FdbMode, ports: u32, at: &[u32], macs: &[Mac]) -> World {
        let br = bridge(mode, ports);
        World { br, now: 0, at: at.to_vec(), macs: macs.to_vec(), v: Verdict::default(), out: Vec::new() }
    }

    /// Carries out everything but `Send`, and of that only finds out who sends what where.
    fn apply(&mut self, op: &Op) -> Option<(u32, FrameInfo)> {
        match *op {
            Op::Send { from, to, marked } => {
                let hdr = FrameInfo {
                    src: self.macs[from],
                    dst: to.map_or(Mac::BROADCAST, |t| self.macs[t]),
                    vlan: None,
                    len: 46,
                    src_ns: Some(NsId(from as u32)),
                    dst_ns: to.filter(|_| marked).map(|t| NsId(t as u32)),
                };
                self.br.ingress(self.now, Ingress::Port(DevId(self.at[from])), &hdr, &mut self.v);
                return Some((self.at[from], hdr));
            }
            Op::Move { station, port } => self.at[station] = port,
            Op::Wait(t) => self.now += t,
            Op::Flap(port) => {
                for up in [false, true] {
                    self.br.set_port_link(self.now, DevId(port), up, &mut self.out).unwrap();
                }
            }
            Op::Flags { port, hairpin, isolated, flood } => {
                let flags = PortFlags { hairpin, isolated, flood, ..PortFlags::default() };
                self.br.set_port_flags(DevId(port), flags).unwrap();
            }
            Op::Swap(port) => {
                self.br.remove_port(self.now, DevId(port), &mut self.out).unwrap();
                self.br.add_port(self.now, PortConfig::new(DevId(port), port_mac(port)), &mut self.out).unwrap();
            }
        }
        None
    }

    fn ports(&self) -> Vec<u32> {
        self.v.ports.iter().map(|e| e.dev.0).collect()
    }
}

/// Where stations start, in a world of up to five ports.
fn layout() -> impl Strategy<Value = (u32, Vec<u32>)> {
    (1u32..6).prop_flat_map(|ports| (Just(ports), proptest::collection::vec(0..ports, 6)))
}

/// The forwarding table as one would write it down: (MAC, owner) → (port, last seen).
#[derive(Default)]
struct Twin(BTreeMap<(Mac, Option<NsId>), (u32, Time)>);

impl Twin {
    fn age(&mut self, now: Time) {
        self.0.retain(|_, (_, seen)| now < *seen + AGEING);
    }

    fn apply(&mut self, op: &Op) {
        if let Op::Flap(port) | Op::Swap(port) = op {
            self.0.retain(|_, (at, _)| at != port);
        }
    }

    /// The other namespaces' ports for this MAC.
    fn foreign(&self, mac: Mac, ns: NsId) -> Vec<u32> {
        self.0.iter().filter(|((m, o), _)| *m == mac && *o != Some(ns)).map(|(_, (at, _))| *at).collect()
    }
}

/// The operation with its port folded into a bridge of `ports` ports.
fn fit(op: &Op, ports: u32) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Move { port, .. } | Op::Flap(port) | Op::Flags { port, .. } | Op::Swap(port) => *port %= ports,
        Op::Send { .. } | Op::Wait(_) => {}
    }
    op
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Where no two stations share a MAC, both kinds of bridge deliver the same frames to the same ports.
    #[test]
    fn both_modes_agree_without_collisions((ports, at) in layout(), ops in ops(6, 5)) {
        let macs: Vec<Mac> = (0..6).map(mac).collect();
        let mut aware = World::new(FdbMode::Namespace, ports, &at, &macs);
        let mut plain = World::new(FdbMode::Mac, ports, &at, &macs);
        for op in &ops {
            let op = fit(op, ports);
            aware.apply(&op);
            if plain.apply(&op).is_some() {
                prop_assert_eq!(aware.ports(), plain.ports());
                prop_assert_eq!((aware.v.local, aware.v.flooded, aware.v.drop),
                                (plain.v.local, plain.v.flooded, plain.v.drop));
                prop_assert!(plain.v.clear_marks && !aware.v.clear_marks);
            }
        }
        let table = |w: &World| w.br.fdb(w.now).iter().map(|e| (e.mac, e.dev, e.idle)).collect::<Vec<_>>();
        prop_assert_eq!(table(&aware), table(&plain));
    }

    /// The table equals a naive one, for any sharing of MACs, in both modes; and a frame leaves by exactly the ports the
    /// naive table says: never by its own without hairpin, never between isolated ports, and, on the aware bridge, never
    /// by a port behind which only another namespace owns the destination.
    #[test]
    fn the_table_equals_a_naive_one(
        (ports, at) in layout(),
        ops in ops(6, 5),
        shared in proptest::collection::vec(0u8..3, 6),
        aware in any::<bool>(),
    ) {
        let macs: Vec<Mac> = shared.iter().map(|m| mac(*m)).collect();
        let mode = if aware { FdbMode::Namespace } else { FdbMode::Mac };
        let mut w = World::new(mode, ports, &at, &macs);
        let mut twin = Twin::default();
        for op in &ops {
            let op = fit(op, ports);
            let sent = w.apply(&op);
            twin.apply(&op);
            twin.age(w.now);
            let Some((from, hdr)) = sent else { continue };
            let owner = hdr.src_ns.filter(|_| aware);
            twin.0.insert((hdr.src, owner), (from, w.now));
            let out = w.ports();
            let flags = |p: u32| w.br.port_view(DevId(p)).unwrap().flags;
            let allowed =
                |p: &u32| (*p != from || flags(*p).hairpin) && !(flags(*p).isolated && flags(from).isolated);
            let all: Vec<u32> = twin.0.iter().filter(|((m, _), _)| *m == hdr.dst).map(|(_, (at, _))| *at).collect();
            let known = match hdr.dst_ns {
                _ if !aware => all.first().copied(),
                Some(ns) => twin.0.get(&(hdr.dst, Some(ns))).map(|e| e.0),
                None => all.first().copied(),
            };
            let spared = hdr.dst_ns.filter(|_| aware).map_or(vec![], |ns| twin.foreign(hdr.dst, ns));
            let everywhere = (0..ports).rev().filter(allowed);
            let expected: Vec<u32> = if hdr.dst.is_multicast() {
                everywhere.collect()
            } else if aware && hdr.dst_ns.is_none() && all.len() > 1 {
                prop_assert_eq!(w.v.drop, Some(DropReason::MacAmbiguous));
                vec![]
            } else if let Some(known) = known {
                Some(known).filter(allowed).into_iter().collect()
            } else {
                everywhere.filter(|p| flags(*p).flood && !spared.contains(p)).collect()
            };
            let mut sorted = out.clone();
            sorted.sort_unstable_by_key(|p| std::cmp::Reverse(*p));
            prop_assert_eq!(&sorted, &expected);
            if out.is_empty() && w.v.flooded && !spared.is_empty() {
                prop_assert_eq!(w.v.drop, Some(DropReason::NsMismatch));
            }
            prop_assert_eq!(w.v.drop.is_some(), out.is_empty() && !w.v.local);
        }
        let mut table: Vec<_> = w.br.fdb(w.now).iter().filter(|e| !e.permanent)
            .map(|e| ((e.mac, e.ns), (e.dev.0, w.now - e.idle))).collect();
        table.sort_unstable();
        prop_assert_eq!(table, twin.0.into_iter().collect::<Vec<_>>());
    }

    /// Following the reported changes gives the table: nothing is learned, moved or removed in silence.
    #[test]
    fn events_tell_the_table(
        (ports, at) in layout(),
        ops in ops(6, 5),
        shared in proptest::collection::vec(0u8..4, 6),
    ) {
        let macs: Vec<Mac> = shared.iter().map(|m| mac(*m)).collect();
        let mut w = World::new(FdbMode::Mac, ports, &at, &macs);
        let mut told: BTreeMap<Mac, u32> = BTreeMap::new();
        let follow = |told: &mut BTreeMap<Mac, u32>, e: &FdbEvent| match e.change {
            FdbChange::Learned => assert_eq!(told.insert(e.mac, e.port.0), None),
            FdbChange::Moved { from } => assert_eq!(told.insert(e.mac, e.port.0), Some(from.0)),
            FdbChange::Removed => assert_eq!(told.remove(&e.mac), Some(e.port.0)),
            FdbChange::Collision { .. } => panic!("an unaware bridge knows no namespaces"),
        };
        for op in &ops {
            w.out.clear();
            if w.apply(&fit(op, ports)).is_some() {
                w.v.fdb_events.iter().for_each(|e| follow(&mut told, e));
            }
            w.out.iter().for_each(|c| if let Change::Fdb(e) = c { follow(&mut told, e) });
        }
        w.out.clear();
        w.br.expire(w.now, &mut w.out);
        w.out.iter().for_each(|c| if let Change::Fdb(e) = c { follow(&mut told, e) });
        let table: BTreeMap<Mac, u32> =
            w.br.fdb(w.now).iter().filter(|e| !e.permanent).map(|e| (e.mac, e.dev.0)).collect();
        prop_assert_eq!(told, table);
    }
}
