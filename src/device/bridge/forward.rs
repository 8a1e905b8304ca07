//! The way of a frame through the bridge (net/bridge/br_input.c, br_forward.c, br_device.c).

use crate::{
    base::{Mac, Mutant, NsId, Time, mutated},
    trace::DropReason,
};

use super::{
    Bridge, Egress, FdbMode, FrameInfo, Ingress, PortIdx, PortState, Tag, Verdict,
    fdb::{Found, LOCAL, NOBODY, STICKY, key},
};

/// The reserved group addresses of IEEE 802.1D, Table 7-10: `01:80:c2:00:00:00` to `0f`.
fn reserved_group(dst: Mac) -> Option<u8> {
    let [head @ .., last] = dst.0;
    (head == [0x01, 0x80, 0xc2, 0, 0] && last < 16).then_some(last)
}

/// Where a unicast frame has to go.
enum Target {
    Up,
    Port(u32),
    /// Unknown; `foreign` if other namespaces are known to own the address.
    Flood {
        foreign: bool,
    },
    Ambiguous,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unicast,
    Multicast,
    Broadcast,
}

/// A frame under way: where it entered (`None`: the bridge device) and its VLAN (0 without filtering).
#[derive(Clone, Copy)]
struct Way<'a> {
    now: Time,
    from: Option<u32>,
    vid: u16,
    hdr: &'a FrameInfo,
}

impl Bridge {
    /// Decides about one frame. `out` is overwritten; reuse it.
    ///
    /// Exactly one of these holds afterwards: the frame goes up (`local`), or is a BPDU (`bpdu`), or leaves by at least
    /// one port, or has a reason in `drop` – only the first and the third may come together.
    pub fn ingress(&mut self, now: Time, from: Ingress, hdr: &FrameInfo, out: &mut Verdict) {
        out.reset(self.cfg.fdb == FdbMode::Mac);
        let port = match from {
            Ingress::SelfDevice => return self.transmit(now, hdr, out),
            Ingress::Port(dev) => self.by_dev.get(&dev).copied(),
            Ingress::Index(PortIdx(at)) => self.slots.get(at as usize).is_some_and(Option::is_some).then_some(at),
        };
        match port {
            Some(at) => self.receive(now, at, hdr, out),
            // It left the bridge while the frame was under way.
            None => out.drop = Some(DropReason::DevGone),
        }
    }

    /// A frame from a port (`br_handle_frame`).
    fn receive(&mut self, now: Time, at: u32, hdr: &FrameInfo, out: &mut Verdict) {
        if !hdr.src.is_unicast() {
            out.drop = Some(DropReason::MacInvalidSource);
            return;
        }
        let port = self.port(at);
        let (state, learning) = (port.state, port.flags.learning);
        let learns = learning && matches!(state, PortState::Learning | PortState::Forwarding);
        let vid = self.classify(Some(at), hdr.vlan);
        match reserved_group(hdr.dst) {
            // Without STP the bridge is transparent to the BPDUs of others, or they could not find loops.
            None => {}
            Some(0) if self.stp.is_none() => {}
            Some(1) => {
                out.drop = Some(DropReason::MacControl);
                return;
            }
            Some(n) if self.cfg.group_fwd_mask >> n & 1 != 0 => {}
            Some(n) => {
                if !self.up {
                    out.drop = Some(DropReason::DevDown);
                    return;
                }
                if let (true, Some(vid)) = (learns, vid) {
                    self.learn(Way { now, from: Some(at), vid, hdr }, at, out);
                }
                // Not through the VLAN rules: this is between neighbours (`br_handle_local_finish`).
                (out.bpdu, out.local, out.at_port) = (n == 0, n != 0, n != 0);
                return;
            }
        }
        if !matches!(state, PortState::Learning | PortState::Forwarding) {
            out.drop = Some(DropReason::BridgeStpState);
            return;
        }
        let Some(vid) = vid else {
            out.drop = Some(DropReason::VlanFiltered);
            return;
        };
        out.vlan = vid;
        let way = Way { now, from: Some(at), vid, hdr };
        if learns {
            self.learn(way, at, out);
        }
        if state == PortState::Learning {
            out.drop = Some(DropReason::BridgeStpState);
            return;
        }
        if hdr.dst.is_multicast() {
            self.deliver_up(way, out);
            self.flood(way, multicast_kind(hdr.dst), false, out);
            if out.local || !out.ports.is_empty() {
                out.drop = None;
            }
            return;
        }
        match self.target(way, out) {
            Target::Up => self.deliver_up(way, out),
            target => self.unicast(way, target, out),
        }
    }

    /// A frame of the namespace itself (`br_dev_xmit`).
    fn transmit(&mut self, now: Time, hdr: &FrameInfo, out: &mut Verdict) {
        if !self.up {
            out.drop = Some(DropReason::DevDown);
            return;
        }
        let Some(vid) = self.classify(None, hdr.vlan) else {
            out.drop = Some(DropReason::VlanFiltered);
            return;
        };
        out.vlan = vid;
        let way = Way { now, from: None, vid, hdr };
        if hdr.dst.is_multicast() {
            return self.flood(way, multicast_kind(hdr.dst), false, out);
        }
        match self.target(way, out) {
            // The kernel sends a frame to a port's own address out of that port, and one to the bridge's nowhere.
            Target::Up => match self.local.get(hdr.dst).filter(|l| l.ports > 0) {
                Some(l) => self.unicast(way, Target::Port(l.first), out),
                None => out.drop = Some(DropReason::BridgeNoPort),
            },
            target => self.unicast(way, target, out),
        }
    }

    fn unicast(&mut self, way: Way, target: Target, out: &mut Verdict) {
        match target {
            Target::Port(to) => match self.egress(way, to) {
                Ok(copy) => out.ports.push(copy),
                Err(reason) => out.drop = Some(reason),
            },
            Target::Flood { foreign } => self.flood(way, Kind::Unicast, foreign, out),
            Target::Ambiguous => out.drop = Some(DropReason::MacAmbiguous),
            Target::Up => self.deliver_up(way, out),
        }
    }

    /// The VLAN of an arriving frame; `None` if it may not enter.
    #[inline]
    fn classify(&self, port: Option<u32>, tci: Option<u16>) -> Option<u16> {
        if self.cfg.vlan_filtering { self.vlans_of(port).classify(tci) } else { Some(0) }
    }

    /// Whether an address is the bridge's or a port's in this VLAN.
    fn is_local(&self, mac: Mac, vid: u16) -> bool {
        let Some(l) = self.local.get(mac) else { return false };
        let member = |port| self.vlans_of(port).contains(vid);
        vid == 0
            || (l.own && member(None))
            || (l.ports > 0 && member(Some(l.first)))
            || (l.ports > 1 && self.order.iter().any(|p| self.port(*p).mac == mac && member(Some(*p))))
    }

    /// Learns the sender (`br_fdb_update`).
    #[inline]
    fn learn(&mut self, way: Way, at: u32, out: &mut Verdict) {
        let Way { now, vid, hdr, .. } = way;
        if self.fdb.hold() == 0 {
            // A hub, or a root that announces a forward delay of zero while the topology changes.
            return;
        }
        let aware = self.cfg.fdb == FdbMode::Namespace;
        let owner = if aware { hdr.src_ns.map_or(NOBODY, |ns| ns.0) } else { NOBODY };
        let key = key(vid, hdr.src);
        if !self.fdb.touch(now, key, owner, at, &mut out.fdb_events) {
            self.learn_new(way, (key, owner, at), out);
        }
    }

    fn learn_new(&mut self, way: Way, (key, owner, at): (u64, u32, u32), out: &mut Verdict) {
        let events = &mut out.fdb_events;
        if owner != NOBODY
            && let Some(slot) = self.fdb.find_user(way.now, key)
        {
            if self.fdb.entry(slot).flags & (STICKY | LOCAL) != 0 {
                self.fdb.touch(way.now, key, NOBODY, at, events);
            } else {
                let slot = self.fdb.adopt(way.now, slot, owner, events);
                if self.fdb.entry(slot).port != at {
                    self.fdb.relocate(slot, at, events);
                }
            }
            return;
        }
        let local = self.is_local(way.hdr.src, way.vid);
        // A port's own address as a source is forwarded but not learned, unless another namespace carries it too.
        if local && (owner == NOBODY || owner == self.ns.0) {
            return;
        }
        self.fdb.learn(way.now, (key, owner, at), local.then_some(self.ns), &mut out.fdb_events);
    }

    /// Looks a unicast destination up.
    #[inline]
    fn target(&mut self, way: Way, out: &mut Verdict) -> Target {
        let Way { now, vid, hdr, .. } = way;
        let key = key(vid, hdr.dst);
        match (self.cfg.fdb, hdr.dst_ns) {
            (FdbMode::Mac, _) => match self.fdb.find(now, key, NOBODY) {
                Some(slot) => self.at(slot),
                None if self.is_local(hdr.dst, vid) => Target::Up,
                None => Target::Flood { foreign: false },
            },
            (FdbMode::Namespace, Some(ns)) => self.target_of(now, vid, ns, hdr.dst),
            (FdbMode::Namespace, None) => {
                let local = self.is_local(hdr.dst, vid);
                match self.fdb.find_any(now, key, &mut out.fdb_events) {
                    Found::Ambiguous => Target::Ambiguous,
                    // Other namespaces' stations may carry a local address; then two namespaces own it.
                    Found::One(slot) if local && ![NOBODY, self.ns.0].contains(&self.fdb.entry(slot).owner) => {
                        Target::Ambiguous
                    }
                    _ if local => Target::Up,
                    Found::One(slot) => self.at(slot),
                    Found::None => Target::Flood { foreign: false },
                }
            }
        }
    }

    /// The station of one namespace.
    fn target_of(&mut self, now: Time, vid: u16, ns: NsId, dst: Mac) -> Target {
        if ns == self.ns && self.is_local(dst, vid) {
            return Target::Up;
        }
        let key = key(vid, dst);
        match self.fdb.find(now, key, ns.0).or_else(|| self.fdb.find_user(now, key)) {
            Some(slot) => self.at(slot),
            None => {
                // The bridge's own namespace may be the other one that carries the address.
                let mut foreign = ns != self.ns && self.is_local(dst, vid);
                self.fdb.for_foreign(now, key, ns.0, |_| foreign = true);
                Target::Flood { foreign }
            }
        }
    }

    fn at(&self, slot: u32) -> Target {
        let e = self.fdb.entry(slot);
        if e.flags & LOCAL != 0 { Target::Up } else { Target::Port(e.port) }
    }

    /// Up to the bridge device, which is a member of VLANs like a port (`br_pass_frame_up`).
    fn deliver_up(&self, way: Way, out: &mut Verdict) {
        let tag = match self.cfg.vlan_filtering {
            true => self.vlans_of(None).egress(way.vid, way.hdr.vlan),
            false => Some(Tag::Keep),
        };
        match tag {
            Some(tag) => (out.local, out.local_tag) = (true, tag),
            None => out.drop = Some(DropReason::VlanFiltered),
        }
    }

    /// The copy for one port, or why there is none (`should_deliver`).
    #[inline]
    fn egress(&self, way: Way, to: u32) -> Result<Egress, DropReason> {
        let p = self.port(to);
        if way.from == Some(to) && !p.flags.hairpin && !mutated(Mutant::FloodsBack) {
            return Err(DropReason::BridgeSamePort);
        }
        if p.state != PortState::Forwarding {
            return Err(DropReason::BridgeNoPort);
        }
        if p.flags.isolated && way.from.is_some_and(|f| self.port(f).flags.isolated) {
            return Err(DropReason::BridgeNoPort);
        }
        let tag = match self.cfg.vlan_filtering {
            true => self.vlans_of(Some(to)).egress(way.vid, way.hdr.vlan).ok_or(DropReason::VlanFiltered)?,
            false => Tag::Keep,
        };
        let oversize = way.hdr.len > p.mtu as usize + 4;
        Ok(Egress { dev: p.dev, port: PortIdx(to), tag, oversize })
    }

    /// To every port that wants it, newest first as in the kernel's list (`br_flood`). With `foreign`, ports behind
    /// which another namespace owns the destination are spared.
    fn flood(&mut self, way: Way, kind: Kind, foreign: bool, out: &mut Verdict) {
        out.flooded = true;
        self.flood_round += 1;
        if let (true, Some(ns)) = (foreign, way.hdr.dst_ns) {
            let (slots, round) = (&mut self.slots, self.flood_round);
            self.fdb.for_foreign(way.now, key(way.vid, way.hdr.dst), ns.0, |port| {
                if let Some(p) = &mut slots[port as usize] {
                    p.spared = round;
                }
            });
        }
        for to in self.order.iter().rev() {
            let p = self.port(*to);
            let wanted = match kind {
                Kind::Unicast => p.flags.flood && p.spared != self.flood_round,
                // What the namespace itself sends to a group leaves by every port.
                Kind::Multicast => p.flags.mcast_flood || way.from.is_none(),
                Kind::Broadcast => p.flags.bcast_flood || way.from.is_none(),
            };
            if wanted && let Ok(copy) = self.egress(way, *to) {
                out.ports.push(copy);
            }
        }
        if out.ports.is_empty() {
            out.drop = Some(if foreign { DropReason::NsMismatch } else { DropReason::BridgeNoPort });
        }
    }
}

fn multicast_kind(dst: Mac) -> Kind {
    if dst.is_broadcast() { Kind::Broadcast } else { Kind::Multicast }
}
