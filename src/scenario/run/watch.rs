//! What expectations need to know beyond the counters: who reached whom, who was seen where, and frames that came in at
//! a namespace their sender did not mean.

use crate::{
    base::{DevId, Mac, Map, NsId, Time},
    kernel::Kernel,
    report::words,
    scenario::{Scenario, schema::Expect},
    trace::{Direction, DropReason, Event, FrameId, Names, Origin, Record, Sink},
    wire::{IpHeader, dissect, eth},
};
use std::{collections::BTreeMap, net::IpAddr};

/// Distinct source addresses remembered for each namespace that is looked at.
const MAX_SEEN: usize = 65_536;
/// Frames followed at a time.
const MAX_FOLLOWED: usize = 1 << 20;
/// Distinct wrong deliveries that are listed.
const MAX_LISTED: usize = 1024;

/// A wrong delivery: sender, owner of the address it was sent to, receiver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::scenario) struct Wrong {
    pub from: NsId,
    pub meant: NsId,
    pub at: NsId,
}

/// How often, and the first one.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct WrongCount {
    pub count: u64,
    pub first: Time,
    pub mac: Mac,
    pub packet: String,
    pub fate: String,
}

/// What is known about a frame under way.
#[derive(Clone, Default)]
struct Followed {
    /// The namespace that created the packet, copies and fragments traced back.
    origin: Option<NsId>,
    /// Who looked up the next hop, and its address.
    hop: Option<(NsId, IpAddr)>,
    /// It came in at a namespace that does not own that address; judged by what happens next.
    suspect: Option<(Wrong, Mac, String)>,
}

/// The sink.
pub(in crate::scenario) struct Watch {
    /// The owners of every address.
    owners: Map<IpAddr, Vec<NsId>>,
    macs: Vec<Mac>,
    /// Which namespaces somebody expects to see addresses in.
    looked_at: Vec<bool>,
    frames: Map<FrameId, Followed>,
    /// Sources seen, by namespace.
    pub seen: BTreeMap<(NsId, IpAddr), u64>,
    /// Packets delivered to sockets or ICMP: creator, receiver.
    pub delivered: BTreeMap<(NsId, NsId), u64>,
    pub wrong: BTreeMap<Wrong, WrongCount>,
}

impl Watch {
    pub(in crate::scenario) fn new(scenario: &Scenario, kernel: &Kernel) -> Watch {
        let mut looked_at = vec![false; kernel.nss.len()];
        for e in &scenario.expect {
            if let Expect::SeenAs(seen) | Expect::NeverSeen(seen) = &e.value
                && let Some(ns) = kernel.find_ns(&seen.at)
            {
                looked_at[ns.index()] = true;
            }
        }
        let mut watch = Watch {
            owners: Map::default(),
            macs: Vec::new(),
            looked_at,
            frames: Map::default(),
            seen: BTreeMap::new(),
            delivered: BTreeMap::new(),
            wrong: BTreeMap::new(),
        };
        watch.refresh(kernel);
        watch
    }

    /// Takes note of who owns which address now. To be called after the configuration changed.
    pub(in crate::scenario) fn refresh(&mut self, kernel: &Kernel) {
        self.owners.clear();
        self.macs = kernel.devs.iter().map(|d| d.mac).collect();
        for dev in kernel.devs.iter().filter(|d| !d.is_loopback()) {
            for a in &dev.addrs {
                let owners = self.owners.entry(a.prefix.addr()).or_default();
                if !owners.contains(&dev.ns) {
                    owners.push(dev.ns);
                }
            }
        }
    }

    fn follow(&mut self, id: FrameId) -> Option<&mut Followed> {
        if self.frames.len() >= MAX_FOLLOWED && !self.frames.contains_key(&id) {
            return None;
        }
        Some(self.frames.entry(id).or_default())
    }

    /// A frame came in by a cable.
    fn arrived(&mut self, record: &Record<'_>, dev: DevId, bytes: &[u8]) {
        if bytes.len() < eth::HEADER {
            return;
        }
        if self.looked_at.get(record.ns.index()) == Some(&true)
            && let Some(src) = source_of(bytes)
            && (self.seen.len() < MAX_SEEN || self.seen.contains_key(&(record.ns, src)))
        {
            *self.seen.entry((record.ns, src)).or_default() += 1;
        }
        let mac = eth::dst(bytes);
        if self.macs.get(dev.index()) != Some(&mac) {
            return;
        }
        let Some(followed) = record.frame.and_then(|id| self.frames.get_mut(&id)) else { return };
        let Some((from, hop)) = followed.hop else { return };
        let Some(owners) = self.owners.get(&hop) else { return };
        if from == record.ns || owners.contains(&record.ns) {
            return;
        }
        let packet = dissect::summary(bytes, dissect::LinkKind::Ethernet);
        followed.suspect = Some((Wrong { from, meant: owners[0], at: record.ns }, mac, packet));
    }

    /// The suspect was taken in after all.
    fn convict(&mut self, id: Option<FrameId>, time: Time, fate: impl FnOnce() -> String) {
        let followed = id.and_then(|id| self.frames.get_mut(&id));
        let Some((wrong, mac, packet)) = followed.and_then(|f| f.suspect.take()) else { return };
        if self.wrong.len() >= MAX_LISTED && !self.wrong.contains_key(&wrong) {
            return;
        }
        let entry = self.wrong.entry(wrong);
        entry.and_modify(|w| w.count += 1).or_insert_with(|| WrongCount {
            count: 1,
            first: time,
            mac,
            packet,
            fate: fate(),
        });
    }

    fn acquit(&mut self, id: Option<FrameId>) {
        if let Some(f) = id.and_then(|id| self.frames.get_mut(&id)) {
            f.suspect = None;
        }
    }
}

/// The source of the IP packet in an Ethernet frame; tags are looked past.
fn source_of(frame: &[u8]) -> Option<IpAddr> {
    let mut at = 12;
    while frame.get(at..at + 2)? == eth::VLAN.to_be_bytes() {
        at += 4;
    }
    let payload = frame.get(at + 2..)?;
    match u16::from_be_bytes([frame[at], frame[at + 1]]) {
        eth::IPV4 | eth::IPV6 => IpHeader::parse_quoted(payload).map(|h| h.src),
        _ => None,
    }
}

impl Sink for Watch {
    fn record(&mut self, _names: &Names, record: &Record<'_>) {
        let id = record.frame;
        match record.event {
            Event::Created { origin, parent } => {
                let Some(id) = id else { return };
                // Copies and parts are still the sender's packet; answers are the answerer's.
                let copy = matches!(
                    origin,
                    Origin::Flood | Origin::Duplicate | Origin::Fragment | Origin::Reassembled | Origin::LocalCopy
                );
                let parent = parent.filter(|_| copy).and_then(|p| self.frames.get(&p));
                let inherited = parent.map(|p| Followed { origin: p.origin, hop: p.hop, suspect: None });
                let new = inherited.unwrap_or(Followed { origin: Some(record.ns), ..Followed::default() });
                if let Some(f) = self.follow(id) {
                    *f = new;
                }
            }
            Event::Route { dst, via, purpose, .. } => {
                let hop = (record.ns, via.unwrap_or(dst));
                if purpose != crate::trace::RouteUse::Input
                    && let Some(f) = id.and_then(|id| self.follow(id))
                {
                    f.hop = Some(hop);
                }
            }
            Event::Frame { dir: Direction::In, bytes } => {
                if let Some(dev) = record.dev {
                    self.arrived(record, dev, bytes);
                }
            }
            Event::Frame { dir: Direction::Out, .. } | Event::Switched { .. } => self.acquit(id),
            Event::Forwarded { .. } => self.convict(id, record.time, || "forwarded it".into()),
            Event::Delivered(to) => {
                self.convict(id, record.time, || "took it for its own".into());
                let followed = id.and_then(|id| self.frames.remove(&id));
                if matches!(to, crate::trace::Delivery::Socket | crate::trace::Delivery::Icmp)
                    && let Some(origin) = followed.and_then(|f| f.origin)
                {
                    *self.delivered.entry((origin, record.ns)).or_default() += 1;
                }
            }
            Event::Dropped(DropReason::NsMismatch | DropReason::OtherHost) => {
                self.acquit(id);
                id.map(|id| self.frames.remove(&id));
            }
            Event::Dropped(reason) => {
                self.convict(id, record.time, || format!("dropped it: {}", words::drop_reason(reason)));
                id.map(|id| self.frames.remove(&id));
            }
            _ => {}
        }
    }
}
