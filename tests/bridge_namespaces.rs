//! The namespace-aware bridge: what happens when two namespaces carry one MAC.

use netsim::base::{DevId, Mac, NsId, SEC, Time};
use netsim::device::bridge::*;
use netsim::trace::{DropReason, FdbChange};

const TWIN: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
const OWN: NsId = NsId(100);
/// Where a frame goes that reaches no port.
const NOWHERE: [u32; 0] = [];

struct Lab {
    br: Bridge,
    now: Time,
    v: Verdict,
    out: Vec<Change>,
}

/// Port k leads to namespace k, whose MAC is `host(k)` unless a test says otherwise.
fn host(n: u32) -> Mac {
    Mac([2, 0, 0, 0, 1, n as u8])
}

impl Lab {
    fn new(ports: u32) -> Lab {
        let mut out = Vec::new();
        let mut br = Bridge::new(DevId(100), OWN, Mac([2, 0, 0, 0, 0, 1]), BridgeConfig::default());
        br.set_up(0, true, &mut out);
        for n in 1..=ports {
            br.add_port(0, PortConfig::new(DevId(n), Mac([2, 0, 0, 0, 9, n as u8])), &mut out).unwrap();
        }
        Lab { br, now: 0, v: Verdict::default(), out }
    }

    fn send(&mut self, port: u32, ns: Option<u32>, src: Mac, dst: Mac, dst_ns: Option<u32>) -> Vec<u32> {
        let (src_ns, dst_ns) = (ns.map(NsId), dst_ns.map(NsId));
        let hdr = FrameInfo { src, dst, vlan: None, len: 46, src_ns, dst_ns };
        self.br.ingress(self.now, Ingress::Port(DevId(port)), &hdr, &mut self.v);
        let mut to: Vec<u32> = self.v.ports.iter().map(|e| e.dev.0).collect();
        to.sort_unstable();
        to
    }

    /// A station speaks; the collisions it causes.
    fn speak(&mut self, port: u32, ns: u32, src: Mac) -> Vec<(u32, u32)> {
        self.send(port, Some(ns), src, Mac::BROADCAST, None);
        let pair = |e: &FdbEvent| match e.change {
            FdbChange::Collision { first, second } => Some((first.0, second.0)),
            _ => None,
        };
        self.v.fdb_events.iter().filter_map(pair).collect()
    }
}

#[test]
fn twins_are_kept_apart_and_reported_once() {
    let mut l = Lab::new(4);
    assert_eq!(l.speak(1, 1, TWIN), []);
    assert_eq!(l.speak(2, 2, TWIN), [(1, 2)]);
    assert_eq!(l.speak(2, 2, TWIN), []);
    assert_eq!(l.speak(1, 1, TWIN), []);
    assert_eq!(l.speak(4, 4, TWIN), [(1, 4)], "a third collides with the first");
    assert_eq!(l.send(3, Some(3), host(3), TWIN, Some(1)), [1]);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, Some(2)), [2]);
    assert_eq!(l.send(1, Some(1), TWIN, TWIN, Some(2)), [2], "the twins reach each other");
    assert!(!l.v.clear_marks);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, None), NOWHERE);
    assert_eq!(l.v.drop, Some(DropReason::MacAmbiguous));
    let owners: Vec<_> = l.br.fdb(0).iter().filter(|e| e.mac == TWIN).map(|e| (e.dev.0, e.ns)).collect();
    assert_eq!(owners, [(1, Some(NsId(1))), (2, Some(NsId(2))), (4, Some(NsId(4)))]);
}

#[test]
fn a_collision_is_reported_again_after_one_side_aged_out() {
    let mut l = Lab::new(3);
    l.speak(1, 1, TWIN);
    assert_eq!(l.speak(2, 2, TWIN), [(1, 2)]);
    l.now = 200 * SEC;
    l.speak(2, 2, TWIN);
    l.now = 400 * SEC;
    assert_eq!(l.send(3, Some(3), host(3), TWIN, None), [2], "one owner is left: not ambiguous any more");
    assert_eq!(l.speak(1, 1, TWIN), [(2, 1)]);
    // Nor does a port that goes down leave a trace.
    l.br.set_port_link(l.now, DevId(2), false, &mut l.out).unwrap();
    assert_eq!(l.speak(3, 2, TWIN), [(1, 2)], "namespace 2 came back on another port");
    assert_eq!(l.send(1, Some(1), host(1), TWIN, Some(2)), [3]);
}

#[test]
fn unknown_marked_frames_spare_the_other_owners_port() {
    let mut l = Lab::new(4);
    l.speak(1, 1, TWIN);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, Some(2)), [2, 4], "flooded, but not to namespace 1");
    let mut two = Lab::new(2);
    two.speak(1, 1, TWIN);
    assert_eq!(two.send(2, Some(2), host(2), TWIN, Some(3)), NOWHERE);
    assert_eq!(two.v.drop, Some(DropReason::NsMismatch));
}

#[test]
fn unmarked_stations_follow_the_last_sender() {
    let mut l = Lab::new(3);
    l.send(1, None, TWIN, Mac::BROADCAST, None);
    l.now = 1;
    assert_eq!(l.speak(2, 2, TWIN), [], "nobody is no namespace");
    assert_eq!(l.send(3, Some(3), host(3), TWIN, None), [2]);
    l.now = 2;
    l.send(1, None, TWIN, Mac::BROADCAST, None);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, None), [1]);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, Some(2)), [2]);
}

#[test]
fn another_namespace_may_carry_the_bridges_address() {
    let mut l = Lab::new(2);
    let own = l.br.mac();
    assert_eq!(l.send(1, Some(1), host(1), own, None), NOWHERE);
    assert!(l.v.local);
    assert_eq!(l.speak(2, 2, own), [(OWN.0, 2)]);
    assert_eq!(l.send(1, Some(1), host(1), own, Some(OWN.0)), NOWHERE);
    assert!(l.v.local);
    assert_eq!(l.send(1, Some(1), host(1), own, Some(2)), [2]);
    assert!(!l.v.local);
    l.send(1, Some(1), host(1), own, None);
    assert_eq!(l.v.drop, Some(DropReason::MacAmbiguous));
    // Namespace 3 never spoke: flooded, but not up, although the bridge has that very address.
    assert_eq!(l.send(1, Some(1), host(1), own, Some(3)), NOWHERE);
    assert_eq!((l.v.local, l.v.drop), (false, Some(DropReason::NsMismatch)));
}

#[test]
fn a_users_entry_serves_any_namespace_until_its_station_speaks() {
    let mut l = Lab::new(3);
    let spec = FdbSpec { mac: TWIN, dev: DevId(1), vlan: None, kind: FdbKind::Static, sticky: false };
    l.br.fdb_set(0, FdbVerb::Add, spec, &mut l.out).unwrap();
    assert_eq!(l.send(3, Some(3), host(3), TWIN, Some(2)), [1]);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, None), [1]);
    assert_eq!(l.speak(2, 2, TWIN), []);
    assert_eq!(l.send(3, Some(3), host(3), TWIN, Some(2)), [2], "it followed its station, as in Linux");
    assert_eq!(l.speak(1, 1, TWIN), [(2, 1)]);
    let sticky = FdbSpec { sticky: true, dev: DevId(3), ..spec };
    l.br.fdb_set(0, FdbVerb::Replace, sticky, &mut l.out).unwrap();
    l.speak(2, 2, TWIN);
    assert_eq!(l.send(1, Some(1), host(1), TWIN, Some(2)), [3], "a sticky one does not");
}

/// 20 000 namespaces with one MAC: each is learned and found in constant time, or this test takes minutes.
#[test]
fn many_twins_stay_cheap() {
    let mut l = Lab::new(2);
    for ns in 0..20_000 {
        l.send(1, Some(1000 + ns), TWIN, Mac::BROADCAST, None);
    }
    for ns in 0..20_000 {
        assert_eq!(l.send(2, Some(2), host(2), TWIN, Some(1000 + ns)), [1]);
    }
    l.now = 301 * SEC;
    assert_eq!(l.send(2, Some(2), host(2), TWIN, None), [1], "all aged out: flooded");
    assert!(l.v.flooded && l.v.fdb_events.len() >= 20_000);
}
