//! Counters of a run: drops by reason and place with an example each, traffic per device, MAC collisions, neighbours
//! that did not answer.

use super::LinkKinds;
use crate::{
    base::{DevId, Mac, Map, NsId, Time},
    trace::{Direction, DropReason, Event, FdbChange, FrameId, Names, NeighState, Record, Sink},
    wire::dissect::summary,
};
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr};

/// Frames whose last bytes are remembered at a time, so that a drop can show one. Beyond, drops have no example.
const HELD_FRAMES: usize = 4096;
/// Bytes remembered of each.
const HELD_BYTES: usize = 2048;
/// Distinct collisions and failed neighbours that are listed. Beyond, they are counted in the totals only.
const LISTED: usize = 4096;

/// Frames dropped for one reason at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropStat {
    /// How many.
    pub count: u64,
    /// When the first one was.
    pub first: Time,
    /// The first one in words, as it last passed a device; `None` if it never did.
    pub example: Option<String>,
}

/// The place and reason of a [`DropStat`]; ordered by reason, then place.
pub type DropKey = (DropReason, NsId, Option<DevId>);

/// Frames and bytes at one device, link-layer header included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Frames received.
    pub frames_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Frames transmitted.
    pub frames_out: u64,
    /// Bytes transmitted.
    pub bytes_out: u64,
}

/// Two namespaces that carry one MAC, as an aware bridge saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collision {
    /// The bridge.
    pub bridge: Option<DevId>,
    /// The address.
    pub mac: Mac,
    /// Its first owner.
    pub first: NsId,
    /// The namespace seen with it later.
    pub second: NsId,
}

/// How often something happened, and when first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Time,
}

struct Held {
    dev: DevId,
    bytes: Vec<u8>,
}

/// Collects the counters. Add it as `Arc<Mutex<StatsSink>>` and keep the other handle.
#[derive(Default)]
pub struct StatsSink {
    kinds: LinkKinds,
    created: u64,
    delivered: u64,
    dropped: u64,
    drops: BTreeMap<DropKey, DropStat>,
    traffic: Vec<Traffic>,
    collisions: BTreeMap<Collision, Count>,
    collisions_total: u64,
    failures: BTreeMap<(NsId, Option<DevId>, IpAddr), Count>,
    failures_total: u64,
    held: Map<FrameId, Held>,
    spare: Vec<Vec<u8>>,
}

impl StatsSink {
    /// Counters at zero.
    pub fn new() -> StatsSink {
        StatsSink::default()
    }

    /// Declares that a device other than `lo` has no link-layer header.
    pub fn declare_ip(&mut self, dev: DevId) {
        self.kinds.declare_ip(dev);
    }

    /// Frames created.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Frames delivered.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Frames dropped, all reasons together.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Drops by reason and place.
    pub fn drops(&self) -> impl Iterator<Item = (&DropKey, &DropStat)> {
        self.drops.iter()
    }

    /// What a device carried.
    pub fn traffic(&self, dev: DevId) -> Traffic {
        self.traffic.get(dev.index()).copied().unwrap_or_default()
    }

    /// MAC collisions, at most 4096 distinct ones.
    pub fn collisions(&self) -> impl Iterator<Item = (&Collision, &Count)> {
        self.collisions.iter()
    }

    /// How often a collision was reported.
    pub fn collisions_total(&self) -> u64 {
        self.collisions_total
    }

    /// Neighbours that did not answer, by the namespace and device that asked; at most 4096 distinct ones.
    pub fn neighbour_failures(&self) -> impl Iterator<Item = (&(NsId, Option<DevId>, IpAddr), &Count)> {
        self.failures.iter()
    }

    /// How often a neighbour failed.
    pub fn neighbour_failures_total(&self) -> u64 {
        self.failures_total
    }

    fn frame(&mut self, record: &Record<'_>, dir: Direction, bytes: &[u8]) {
        let Some(dev) = record.dev else { return };
        if dev.index() >= self.traffic.len() {
            self.traffic.resize(dev.index() + 1, Traffic::default());
        }
        let t = &mut self.traffic[dev.index()];
        let (frames, octets) = match dir {
            Direction::In => (&mut t.frames_in, &mut t.bytes_in),
            Direction::Out => (&mut t.frames_out, &mut t.bytes_out),
        };
        *frames += 1;
        *octets += bytes.len() as u64;
        let Some(id) = record.frame else { return };
        let bytes = &bytes[..bytes.len().min(HELD_BYTES)];
        if let Some(h) = self.held.get_mut(&id) {
            h.dev = dev;
            h.bytes.clear();
            h.bytes.extend_from_slice(bytes);
        } else if self.held.len() < HELD_FRAMES {
            let mut buffer = self.spare.pop().unwrap_or_default();
            buffer.clear();
            buffer.extend_from_slice(bytes);
            self.held.insert(id, Held { dev, bytes: buffer });
        }
    }

    fn drop(&mut self, names: &Names, record: &Record<'_>, reason: DropReason) {
        self.dropped += 1;
        let held = record.frame.and_then(|id| self.held.remove(&id));
        let kinds = &self.kinds;
        self.drops.entry((reason, record.ns, record.dev)).and_modify(|d| d.count += 1).or_insert_with(|| DropStat {
            count: 1,
            first: record.time,
            example: held.as_ref().map(|h| summary(&h.bytes, kinds.of(names, h.dev))),
        });
        self.spare.extend(held.map(|h| h.bytes));
    }
}

/// Counts one more under a key, as long as there is room for it.
fn count<K: Ord>(map: &mut BTreeMap<K, Count>, key: K, now: Time) {
    if map.len() < LISTED || map.contains_key(&key) {
        map.entry(key).or_insert(Count { count: 0, first: now }).count += 1;
    }
}

impl Sink for StatsSink {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        match record.event {
            Event::Created { .. } => self.created += 1,
            Event::Frame { dir, bytes } => self.frame(record, dir, bytes),
            Event::Delivered(_) => {
                self.delivered += 1;
                let held = record.frame.and_then(|id| self.held.remove(&id));
                self.spare.extend(held.map(|h| h.bytes));
            }
            Event::Dropped(reason) => self.drop(names, record, reason),
            Event::Fdb { mac, change: FdbChange::Collision { first, second }, .. } => {
                self.collisions_total += 1;
                count(&mut self.collisions, Collision { bridge: record.dev, mac, first, second }, record.time);
            }
            Event::Neighbour { addr, to: NeighState::Failed, .. } => {
                self.failures_total += 1;
                count(&mut self.failures, (record.ns, record.dev, addr), record.time);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        trace::{Delivery, Origin},
        wire::dissect::build,
    };

    struct Stage {
        names: Names,
        ns: NsId,
        dev: DevId,
        stats: StatsSink,
        now: Time,
    }

    impl Stage {
        fn new() -> Stage {
            let mut names = Names::default();
            let ns = names.add_ns("a");
            let dev = names.add_dev(ns, "lo");
            Stage { names, ns, dev, stats: StatsSink::new(), now: 0 }
        }

        fn emit(&mut self, seq: Option<u32>, event: Event<'_>) {
            self.now += 1;
            let frame = seq.map(|seq| FrameId { ns: self.ns, seq });
            let record = Record { time: self.now, ns: self.ns, dev: Some(self.dev), frame, event };
            self.stats.record(&self.names, &record);
        }
    }

    #[test]
    fn drops_show_their_first_frame() {
        let mut s = Stage::new();
        for seq in 0..3 {
            let packet = build::ip([127, 0, 0, 1], [127, 0, 0, 1]).udp(1000 + seq as u16, 9, b"");
            s.emit(Some(seq), Event::Created { origin: Origin::Socket, parent: None });
            s.emit(Some(seq), Event::Frame { dir: Direction::Out, bytes: &packet });
            s.emit(Some(seq), Event::Dropped(DropReason::NoSocket));
        }
        s.emit(Some(3), Event::Dropped(DropReason::IpOutNoRoutes));
        let drops: Vec<_> = s.stats.drops().map(|(k, d)| (*k, d.clone())).collect();
        let at = |reason| (reason, s.ns, Some(s.dev));
        let example = Some("IP 127.0.0.1>127.0.0.1 ttl=64 UDP 1000>9 len=0".to_owned());
        assert_eq!(
            drops,
            [
                (at(DropReason::NoSocket), DropStat { count: 3, first: 3, example }),
                (at(DropReason::IpOutNoRoutes), DropStat { count: 1, first: 10, example: None }),
            ]
        );
        assert_eq!((s.stats.created(), s.stats.delivered(), s.stats.dropped()), (3, 0, 4));
        let expected = Traffic { frames_out: 3, bytes_out: 84, ..Traffic::default() };
        assert_eq!(s.stats.traffic(s.dev), expected);
        assert_eq!(s.stats.traffic(DevId(99)), Traffic::default());
    }

    #[test]
    fn memory_for_examples_is_bounded() {
        let mut s = Stage::new();
        for seq in 0..HELD_FRAMES as u32 + 10 {
            s.emit(Some(seq), Event::Frame { dir: Direction::In, bytes: &[0x60; 9000] });
        }
        assert_eq!(s.stats.held.len(), HELD_FRAMES);
        assert!(s.stats.held[&FrameId { ns: s.ns, seq: 0 }].bytes.len() == HELD_BYTES);
        for seq in 0..HELD_FRAMES as u32 + 10 {
            s.emit(Some(seq), Event::Delivered(Delivery::Socket));
        }
        assert_eq!((s.stats.held.len(), s.stats.spare.len()), (0, HELD_FRAMES));
        s.emit(Some(7), Event::Frame { dir: Direction::In, bytes: &[1] });
        assert_eq!(s.stats.spare.len(), HELD_FRAMES - 1, "buffers are used again");
    }

    #[test]
    fn collisions_and_failures_are_listed_once() {
        let mut s = Stage::new();
        let second = s.names.add_ns("b");
        let collision = FdbChange::Collision { first: s.ns, second };
        let mac = Mac([2; 6]);
        for _ in 0..2 {
            s.emit(None, Event::Fdb { mac, port: s.dev, change: collision });
            s.emit(None, Event::Fdb { mac, port: s.dev, change: FdbChange::Learned });
        }
        for i in 0..LISTED as u32 + 5 {
            let addr = IpAddr::from((0x0a00_0000 + i).to_be_bytes());
            let mut to = |from, to| s.emit(None, Event::Neighbour { addr, from, to, mac: None });
            to(NeighState::None, NeighState::Incomplete);
            to(NeighState::Incomplete, NeighState::Failed);
        }
        let collisions: Vec<_> = s.stats.collisions().collect();
        let expected = Collision { bridge: Some(s.dev), mac, first: s.ns, second };
        assert_eq!(collisions, [(&expected, &Count { count: 2, first: 1 })]);
        assert_eq!(s.stats.collisions_total(), 2);
        assert_eq!(s.stats.neighbour_failures().count(), LISTED);
        assert_eq!(s.stats.neighbour_failures_total(), LISTED as u64 + 5);
    }
}
