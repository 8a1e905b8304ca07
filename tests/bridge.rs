//! The bridge against what a real kernel did: the tests are named after the conformance cases they repeat.

use netsim::base::{DevId, MS, Mac, NsId, SEC, Time};
use netsim::device::bridge::*;
use netsim::trace::{DropReason, FdbChange};

/// Where a frame goes that reaches no port.
const NOWHERE: [u32; 0] = [];

/// A bridge with the ports 1 to n; station k has the MAC `mac(0xa0 + k)`.
struct Lab {
    br: Bridge,
    now: Time,
    changes: Vec<Change>,
    v: Verdict,
}

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

fn host(n: u8) -> Mac {
    mac(0xa0 + n)
}

impl Lab {
    fn new(ports: u8, cfg: BridgeConfig) -> Lab {
        let mut changes = Vec::new();
        let mut br = Bridge::new(DevId(100), NsId(100), mac(100), cfg);
        br.set_up(0, true, &mut changes);
        for n in 1..=ports {
            br.add_port(0, PortConfig::new(DevId(n as u32), mac(n)), &mut changes).unwrap();
        }
        Lab { br, now: 0, changes, v: Verdict::default() }
    }

    fn linux(ports: u8) -> Lab {
        Lab::new(ports, BridgeConfig { fdb: FdbMode::Mac, ..BridgeConfig::default() })
    }

    /// The ports a frame leaves by, ascending.
    fn send(&mut self, from: u32, hdr: FrameInfo) -> Vec<u32> {
        let from = if from == 0 { Ingress::SelfDevice } else { Ingress::Port(DevId(from)) };
        self.br.ingress(self.now, from, &hdr, &mut self.v);
        let copies = self.v.local as usize + self.v.ports.len() + self.v.bpdu as usize;
        assert_eq!(copies == 0, self.v.drop.is_some(), "nowhere means a reason: {:?}", self.v);
        let mut to: Vec<u32> = self.v.ports.iter().map(|e| e.dev.0).collect();
        to.sort_unstable();
        to
    }

    fn flags(&mut self, port: u32, f: impl FnOnce(&mut PortFlags)) {
        let mut flags = self.br.port_view(DevId(port)).unwrap().flags;
        f(&mut flags);
        self.br.set_port_flags(DevId(port), flags).unwrap();
    }

    /// The learned part of the table as (station, port).
    fn stations(&self) -> Vec<(Mac, u32)> {
        self.br.fdb(self.now).iter().filter(|e| !e.permanent).map(|e| (e.mac, e.dev.0)).collect()
    }

    fn link(&mut self, port: u32, up: bool) {
        self.br.set_port_link(self.now, DevId(port), up, &mut self.changes).unwrap();
    }
}

fn frame(src: Mac, dst: Mac) -> FrameInfo {
    FrameInfo { src, dst, vlan: None, len: 46, src_ns: None, dst_ns: None }
}

fn bcast(src: Mac) -> FrameInfo {
    frame(src, Mac::BROADCAST)
}

#[test]
fn bridge_learn_flood() {
    let mut l = Lab::linux(3);
    assert_eq!(l.send(1, bcast(host(1))), [2, 3]);
    assert!(l.v.local && l.v.flooded && l.v.clear_marks);
    let order: Vec<u32> = l.v.ports.iter().map(|e| e.dev.0).collect();
    assert_eq!(order, [3, 2], "the kernel's port list starts with the newest");
    assert_eq!(l.v.fdb_events, [FdbEvent { mac: host(1), vlan: 0, port: DevId(1), change: FdbChange::Learned }]);
    assert_eq!(l.send(2, frame(host(2), host(1))), [1]);
    assert!(!l.v.local && !l.v.flooded);
    assert_eq!(l.send(1, frame(host(1), host(2))), [2]);
    assert_eq!(l.v.fdb_events, []);
    assert_eq!(l.send(1, frame(host(1), host(3))), [2, 3], "unknown");
    // A caller that keeps the port's index saves a look-up.
    let index = Ingress::Index(l.br.port_idx(DevId(2)).unwrap());
    let hdr = frame(host(2), host(1));
    l.br.ingress(0, index, &hdr, &mut l.v);
    assert_eq!((l.v.ports.len(), l.v.ports[0].dev), (1, DevId(1)));
    l.br.ingress(0, Ingress::Index(PortIdx(77)), &hdr, &mut l.v);
    assert_eq!(l.v.drop, Some(DropReason::DevGone));
    assert_eq!(l.stations(), [(host(1), 1), (host(2), 2)]);
}

#[test]
fn bridge_ageing() {
    let mut l = Lab::new(3, BridgeConfig { ageing: 2 * SEC, fdb: FdbMode::Mac, ..BridgeConfig::default() });
    l.send(1, bcast(host(1)));
    l.now = 2 * SEC - 1;
    assert_eq!(l.send(2, frame(host(2), host(1))), [1]);
    l.now = 2 * SEC;
    assert_eq!(l.send(2, frame(host(2), host(1))), [1, 3], "silent for the ageing time");
    assert_eq!(l.stations(), [(host(2), 2)]);
    // Speaking again is learning again, and says that the old entry was gone.
    l.send(3, bcast(host(1)));
    let kinds: Vec<FdbChange> = l.v.fdb_events.iter().map(|e| e.change).collect();
    assert_eq!(kinds, [FdbChange::Removed, FdbChange::Learned]);
    // Traffic refreshes.
    l.now = 3 * SEC;
    l.send(3, bcast(host(1)));
    l.now = 4500 * MS;
    assert_eq!(l.send(2, frame(host(2), host(1))), [3]);
    l.changes.clear();
    l.now = 100 * SEC;
    l.br.expire(l.now, &mut l.changes);
    assert_eq!(l.changes.len(), 2);
    // 0 makes it a hub.
    l.br.set_ageing(l.now, 0, &mut l.changes);
    l.send(1, bcast(host(1)));
    assert_eq!(l.send(2, frame(host(2), host(1))), [1, 3]);
}

#[test]
fn bridge_relearn_on_move() {
    let mut l = Lab::linux(3);
    l.send(1, bcast(host(1)));
    assert_eq!(l.send(2, bcast(host(1))), [1, 3]);
    let moved = FdbChange::Moved { from: DevId(1) };
    assert_eq!(l.v.fdb_events, [FdbEvent { mac: host(1), vlan: 0, port: DevId(2), change: moved }]);
    assert_eq!(l.send(3, frame(host(3), host(1))), [2]);
}

#[test]
fn bridge_hairpin() {
    let mut l = Lab::linux(3);
    let (a, b) = (host(1), host(2));
    l.send(1, bcast(a));
    l.send(1, bcast(b));
    assert_eq!(l.send(1, frame(a, b)), NOWHERE);
    assert_eq!(l.v.drop, Some(DropReason::BridgeSamePort));
    l.flags(1, |f| f.hairpin = true);
    assert_eq!(l.send(1, frame(a, b)), [1]);
    assert_eq!(l.send(1, bcast(a)), [1, 2, 3]);
    assert_eq!(l.stations(), [(a, 1), (b, 1)]);
}

#[test]
fn bridge_port_flags() {
    let mut l = Lab::linux(3);
    let group = Mac([1, 0, 0x5e, 1, 2, 3]);
    l.flags(1, |f| f.learning = false);
    l.send(1, bcast(host(1)));
    assert_eq!(l.stations(), []);
    l.flags(3, |f| f.flood = false);
    assert_eq!(l.send(1, frame(host(1), host(9))), [2]);
    assert_eq!(l.send(1, bcast(host(1))), [2, 3]);
    l.flags(3, |f| f.bcast_flood = false);
    assert_eq!(l.send(1, bcast(host(1))), [2]);
    assert_eq!(l.send(1, frame(host(1), group)), [2, 3]);
    l.flags(3, |f| f.mcast_flood = false);
    assert_eq!(l.send(1, frame(host(1), group)), [2]);
    assert!(l.v.local, "groups always go up too");
    // What the namespace itself sends to a group ignores these two, not `flood`.
    assert_eq!(l.send(0, bcast(mac(1))), [1, 2, 3]);
    assert_eq!(l.send(0, frame(mac(1), host(9))), [1, 2]);
}

#[test]
fn bridge_port_isolated() {
    let mut l = Lab::linux(3);
    l.flags(1, |f| f.isolated = true);
    l.flags(2, |f| f.isolated = true);
    assert_eq!(l.send(1, bcast(host(1))), [3]);
    assert!(l.v.local);
    assert_eq!(l.send(3, bcast(host(3))), [1, 2]);
    l.send(2, bcast(host(2)));
    assert_eq!(l.send(1, frame(host(1), host(2))), NOWHERE);
    assert_eq!(l.v.drop, Some(DropReason::BridgeNoPort));
    assert_eq!(l.send(0, bcast(mac(1))), [1, 2, 3]);
}

#[test]
fn bridge_port_down_flush() {
    let mut l = Lab::linux(3);
    for n in 1..=3 {
        l.send(n as u32, bcast(host(n)));
    }
    let fixed = FdbSpec { mac: host(8), dev: DevId(2), vlan: None, kind: FdbKind::Static, sticky: false };
    l.br.fdb_set(0, FdbVerb::Add, fixed, &mut l.changes).unwrap();
    l.changes.clear();
    l.link(2, false);
    let gone = FdbEvent { mac: host(2), vlan: 0, port: DevId(2), change: FdbChange::Removed };
    let down = Change::PortState { port: DevId(2), state: PortState::Disabled };
    assert_eq!(l.changes, [Change::Fdb(gone), down]);
    assert_eq!(l.stations(), [(host(1), 1), (host(8), 2), (host(3), 3)], "static entries survive");
    assert_eq!(l.send(1, frame(host(1), host(8))), NOWHERE, "but lead nowhere");
    assert_eq!(l.send(2, bcast(host(2))), NOWHERE);
    assert_eq!(l.v.drop, Some(DropReason::BridgeStpState));
    l.link(2, true);
    assert_eq!(l.send(1, frame(host(1), host(2))), [2, 3], "unknown again");
    l.br.remove_port(0, DevId(2), &mut l.changes).unwrap();
    assert_eq!(l.stations(), [(host(1), 1), (host(3), 3)]);
    assert_eq!(l.send(2, bcast(host(2))), NOWHERE);
    assert_eq!(l.v.drop, Some(DropReason::DevGone));
}

#[test]
fn bridge_static_fdb() {
    let mut l = Lab::linux(3);
    let spec = |mac, dev, sticky| FdbSpec { mac, dev: DevId(dev), vlan: None, kind: FdbKind::Static, sticky };
    l.br.fdb_set(0, FdbVerb::Add, spec(host(2), 3, false), &mut l.changes).unwrap();
    let again = l.br.fdb_set(0, FdbVerb::Add, spec(host(2), 1, false), &mut l.changes);
    assert_eq!(again, Err(BridgeError::EntryExists));
    l.now = 3600 * SEC;
    assert_eq!(l.send(1, frame(host(1), host(2))), [3], "does not age");
    l.send(2, bcast(host(2)));
    assert_eq!(l.stations(), [(host(1), 1), (host(2), 2)], "follows its station");
    l.br.fdb_set(l.now, FdbVerb::Add, spec(host(3), 1, true), &mut l.changes).unwrap();
    l.send(3, bcast(host(3)));
    assert_eq!(l.send(2, frame(host(2), host(3))), [1], "sticky stays and black-holes");
    assert_eq!(l.br.fdb_del(l.now, host(3), DevId(2), None, &mut l.changes), Err(BridgeError::NoSuchEntry));
    l.br.fdb_del(l.now, host(3), DevId(1), None, &mut l.changes).unwrap();
    assert_eq!(l.send(2, frame(host(2), host(3))), [1, 3]);
    l.br.fdb_set(l.now, FdbVerb::Replace, spec(host(2), 1, false), &mut l.changes).unwrap();
    assert_eq!(l.send(3, frame(host(3), host(2))), [1]);
    l.br.fdb_flush(None, &mut l.changes).unwrap();
    assert_eq!(l.stations(), [(host(2), 1)]);
}

#[test]
fn permanent_entries_go_up() {
    let mut l = Lab::linux(2);
    let spec = FdbSpec { mac: host(7), dev: DevId(2), vlan: None, kind: FdbKind::Permanent, sticky: false };
    l.br.fdb_set(0, FdbVerb::Add, spec, &mut l.changes).unwrap();
    assert_eq!(l.send(1, frame(host(1), host(7))), NOWHERE);
    assert!(l.v.local);
    let sticky = FdbSpec { sticky: true, ..spec };
    let refused = l.br.fdb_set(0, FdbVerb::Replace, sticky, &mut l.changes);
    assert_eq!(refused, Err(BridgeError::StickyPermanent));
}

#[test]
fn bridge_mac_collision() {
    let mut l = Lab::linux(3);
    l.send(1, bcast(host(1)));
    assert_eq!(l.send(3, frame(host(3), host(1))), [1]);
    l.send(2, bcast(host(1)));
    assert_eq!(l.send(3, frame(host(3), host(1))), [2], "the entry follows the last sender");
    assert_eq!(l.send(2, frame(host(1), host(1))), NOWHERE, "the two cannot reach each other");
    assert_eq!(l.v.drop, Some(DropReason::BridgeSamePort));
}

#[test]
fn bridge_mac_inherit() {
    let mut out = Vec::new();
    let mut br = Bridge::new(DevId(0), NsId(0), mac(9), BridgeConfig::default());
    assert_eq!(br.mac(), mac(9));
    br.add_port(0, PortConfig::new(DevId(1), mac(0x55)), &mut out).unwrap();
    assert_eq!(br.mac(), mac(0x55));
    br.add_port(0, PortConfig { mtu: 1400, ..PortConfig::new(DevId(2), mac(0x44)) }, &mut out).unwrap();
    assert_eq!((br.mac(), br.auto_mac(), br.min_mtu()), (mac(0x44), Some(mac(0x44)), Some(1400)));
    out.clear();
    br.remove_port(0, DevId(2), &mut out).unwrap();
    assert!(out.contains(&Change::Address(mac(0x55))));
    br.set_port_mac(0, DevId(1), mac(0x33), &mut out).unwrap();
    assert_eq!((br.mac(), br.min_mtu()), (mac(0x33), Some(1500)));
    br.set_mac(0, mac(0x77), &mut out).unwrap();
    br.add_port(0, PortConfig::new(DevId(2), mac(0x11)), &mut out).unwrap();
    assert_eq!(br.mac(), mac(0x77), "an explicit address stays");
    assert_eq!(br.set_mac(0, Mac::BROADCAST, &mut out), Err(BridgeError::BadAddress));
    assert_eq!(br.port_idx(DevId(2)), Some(PortIdx(1)), "the lowest free number is taken");
}

#[test]
fn own_addresses_go_up_and_are_not_learned() {
    let mut l = Lab::linux(2);
    for own in [mac(1), mac(2)] {
        assert_eq!(l.send(1, frame(host(1), own)), NOWHERE);
        assert!(l.v.local);
    }
    assert_eq!(l.send(1, frame(mac(2), host(5))), [2], "forwarded");
    assert_eq!(l.stations(), [(host(1), 1)], "but not learned");
    for bad in [Mac::ZERO, Mac::BROADCAST] {
        l.send(1, frame(bad, host(1)));
        assert_eq!(l.v.drop, Some(DropReason::MacInvalidSource));
    }
    // The namespace's frame to a port's address leaves by that port, as in Linux.
    assert_eq!(l.send(0, frame(mac(1), mac(2))), [2]);
}

#[test]
fn reserved_groups() {
    let group = |n| Mac([1, 0x80, 0xc2, 0, 0, n]);
    let mut l = Lab::new(2, BridgeConfig { group_fwd_mask: 1 << 14, ..BridgeConfig::default() });
    assert_eq!(l.send(1, frame(host(1), group(0))), [2], "transparent to BPDUs without STP");
    l.send(1, frame(host(1), group(1)));
    assert_eq!(l.v.drop, Some(DropReason::MacControl));
    assert_eq!(l.send(1, frame(host(1), group(2))), NOWHERE);
    assert!(l.v.local);
    assert_eq!(l.send(1, frame(host(1), group(14))), [2], "allowed by group_fwd_mask");
    assert_eq!(l.send(1, frame(host(1), group(16))), [2], "not reserved");
    l.br.set_stp(0, true, &mut l.changes).unwrap();
    assert_eq!(l.send(1, frame(host(1), group(0))), NOWHERE);
    assert!(l.v.bpdu && !l.v.local);
}

#[test]
fn down_bridge_and_mtu() {
    let mut l = Lab::linux(2);
    assert_eq!(l.send(1, FrameInfo { len: 1504, ..bcast(host(1)) }), [2]);
    assert!(!l.v.ports[0].oversize, "four bytes of VLAN allowance");
    l.send(1, FrameInfo { len: 1505, ..bcast(host(1)) });
    assert!(l.v.ports[0].oversize);
    l.br.set_port_mtu(DevId(2), 9000).unwrap();
    l.send(1, FrameInfo { len: 1505, ..bcast(host(1)) });
    assert!(!l.v.ports[0].oversize);
    l.changes.clear();
    l.br.set_up(0, false, &mut l.changes);
    assert!(l.changes.contains(&Change::Carrier(false)) && !l.br.carrier());
    l.send(1, bcast(host(1)));
    assert_eq!(l.v.drop, Some(DropReason::BridgeStpState));
    l.send(0, bcast(mac(1)));
    assert_eq!(l.v.drop, Some(DropReason::DevDown));
    assert_eq!(l.stations(), []);
    l.br.set_up(0, true, &mut l.changes);
    assert!(l.br.carrier());
    assert_eq!(l.send(1, bcast(host(1))), [2]);
}

#[test]
fn a_full_table_floods_and_recovers() {
    let mut l = Lab::new(2, BridgeConfig { max_learned: 3, ageing: 16 * SEC, ..BridgeConfig::default() });
    for n in 0..5 {
        l.send(1, bcast(host(n)));
    }
    assert_eq!(l.stations().len(), 3);
    let spec = FdbSpec { mac: host(9), dev: DevId(2), vlan: None, kind: FdbKind::Static, sticky: false };
    assert_eq!(l.br.fdb_set(0, FdbVerb::Add, spec, &mut l.changes), Err(BridgeError::TableFull));
    l.now = 16 * SEC;
    l.send(1, bcast(host(9)));
    assert_eq!(l.stations(), [(host(9), 1)]);
}

fn vlan(l: &mut Lab, dev: u32, vid: u16, access: bool) {
    let entry = VlanEntry { vid, pvid: access, untagged: access };
    l.br.vlan_add(l.now, DevId(dev), entry, &mut l.changes).unwrap();
}

/// Ports 1 (VLAN 10) and 2 (VLAN 20) are access ports, 3 is the trunk; the bridge itself stays in VLAN 1.
fn trunk() -> Lab {
    let mut l = Lab::new(3, BridgeConfig { vlan_filtering: true, fdb: FdbMode::Mac, ..BridgeConfig::default() });
    for dev in 1..=3 {
        l.br.vlan_del(DevId(dev), 1, &mut l.changes).unwrap();
    }
    vlan(&mut l, 1, 10, true);
    vlan(&mut l, 2, 20, true);
    vlan(&mut l, 3, 10, false);
    vlan(&mut l, 3, 20, false);
    l
}

#[test]
fn bridge_vlan_trunk() {
    let mut l = trunk();
    assert_eq!(l.send(1, bcast(host(1))), [3]);
    assert_eq!((l.v.vlan, l.v.ports[0].tag, l.v.local), (10, Tag::Put(10), false), "the bridge is not in VLAN 10");
    assert_eq!(l.send(2, bcast(host(1))), [3]);
    assert_eq!(l.v.ports[0].tag, Tag::Put(20));
    // The same station in both VLANs: one entry each.
    let tagged = |vid, hdr: FrameInfo| FrameInfo { vlan: Some(vid), ..hdr };
    assert_eq!(l.send(3, tagged(10, frame(host(3), host(1)))), [1]);
    assert_eq!(l.v.ports[0].tag, Tag::Strip);
    assert_eq!(l.send(3, tagged(20, frame(host(3), host(1)))), [2]);
    for vid in [0, 30, 4095] {
        assert_eq!(l.send(3, tagged(vid, bcast(host(3)))), NOWHERE);
        assert_eq!(l.v.drop, Some(DropReason::VlanFiltered), "vid {vid}");
    }
    assert_eq!(l.send(1, tagged(0xa000, bcast(host(1)))), [3]);
    assert_eq!(l.v.ports[0].tag, Tag::Put(0xa00a), "priority tag");
    let fdb: Vec<_> = l.br.fdb(0).iter().filter(|e| !e.permanent).map(|e| (e.mac, e.dev.0, e.vlan)).collect();
    assert_eq!(fdb, [(host(1), 1, 10), (host(1), 2, 20), (host(3), 3, 10), (host(3), 3, 20)]);
    let member = |vid, flag| VlanEntry { vid, pvid: flag, untagged: flag };
    assert_eq!(l.br.vlans(DevId(3)).unwrap(), [member(10, false), member(20, false)]);
    assert_eq!(l.br.vlans(DevId(100)).unwrap(), [member(1, true)]);
    // Leaving a VLAN forgets its stations.
    l.br.vlan_del(DevId(3), 20, &mut l.changes).unwrap();
    assert_eq!(l.send(2, frame(host(2), host(3))), NOWHERE);
}

#[test]
fn the_bridge_is_a_member_of_vlans_too() {
    let mut l = trunk();
    assert_eq!(l.send(1, frame(host(1), mac(1))), NOWHERE);
    assert_eq!(l.v.drop, Some(DropReason::VlanFiltered), "a port's address, but the bridge is not in VLAN 10");
    vlan(&mut l, 100, 10, false);
    l.send(1, frame(host(1), mac(1)));
    assert_eq!((l.v.local, l.v.local_tag), (true, Tag::Put(10)));
    assert_eq!(l.send(0, FrameInfo { vlan: Some(10), ..bcast(mac(1)) }), [1, 3]);
    let tags: Vec<Tag> = l.v.ports.iter().map(|e| e.tag).collect();
    assert_eq!(tags, [Tag::Keep, Tag::Strip]);
    assert_eq!(l.send(0, FrameInfo { vlan: Some(20), ..bcast(mac(1)) }), NOWHERE);
    l.br.set_vlan_filtering(0, false, &mut l.changes);
    assert_eq!(l.send(1, FrameInfo { vlan: Some(77), ..bcast(host(1)) }), [2, 3], "tags pass transparently");
    assert!(l.v.ports.iter().all(|e| e.tag == Tag::Keep) && l.v.vlan == 0);
}

#[test]
fn user_errors_are_named() {
    let mut l = Lab::linux(1);
    let add = |l: &mut Lab, cfg| l.br.add_port(0, cfg, &mut l.changes).map(|_| ());
    assert_eq!(add(&mut l, PortConfig::new(DevId(1), mac(1))), Err(BridgeError::PortExists));
    assert_eq!(add(&mut l, PortConfig::new(DevId(2), Mac::ZERO)), Err(BridgeError::BadAddress));
    assert_eq!(l.br.remove_port(0, DevId(7), &mut l.changes), Err(BridgeError::NoSuchPort));
    assert_eq!(l.br.vlans(DevId(7)), Err(BridgeError::NoSuchPort));
    let spec = FdbSpec { mac: host(1), dev: DevId(1), vlan: Some(9), kind: FdbKind::Static, sticky: false };
    assert_eq!(l.br.fdb_set(0, FdbVerb::Add, spec, &mut l.changes), Err(BridgeError::NotInVlan(9)));
    let group = FdbSpec { mac: Mac::ZERO, ..spec };
    assert_eq!(l.br.fdb_set(0, FdbVerb::Add, group, &mut l.changes), Err(BridgeError::BadAddress));
    let own = FdbSpec { mac: mac(1), vlan: None, ..spec };
    assert_eq!(l.br.fdb_set(0, FdbVerb::Add, own, &mut l.changes), Err(BridgeError::EntryExists));
}
