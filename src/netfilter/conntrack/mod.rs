//! The connection tracking table of one namespace (nf_conntrack_core.c).
//!
//! Confirmed entries are found by either of their two flows. An entry whose first packet is still under way, or whose
//! last one is, sits in *limbo*: it has a slot but no place in the index. A packet is under way through one namespace
//! only as long as the namespace's code runs, so limbo is a ring of [`LIMBO`] slots, reclaimed oldest first; a dropped
//! packet needs no call to release its entry.
//!
//! Expired entries are invisible at once. They are freed when a lookup meets them, and by a sweep of [`SWEEP`] slots per
//! new entry; there is no timer.

mod entry;
pub(crate) mod flow;
mod tcp;
mod tcp_state;
mod tcp_window;
mod track;
mod tunables;

pub use entry::{Count, Entry};
pub use tcp_state::TcpState;
pub use tunables::Tunables;

pub(crate) use entry::{Memory, status};
pub(crate) use track::is_untracked;

use crate::{
    base::{Map, Time, Tuple, proto},
    trace::{ConntrackChange, DropReason},
    wire::CtRef,
};
use flow::{Flow, Hit, Index};
use std::{collections::VecDeque, net::IpAddr};

/// Entries that may be out of the table while a packet refers to them.
const LIMBO: usize = 16;
/// Slots looked at for expired entries per new entry.
const SWEEP: usize = 4;
/// Slots looked at for an entry to sacrifice when the table is full (the kernel looks into 8 buckets).
const EARLY_DROP_RANGE: usize = 64;
/// Entries of one source looked at for a mapping to share.
const SAME_SOURCE_LIMIT: usize = 128;

/// An entry that appeared in the table or left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowChange {
    /// Which.
    pub change: ConntrackChange,
    /// The original tuple.
    pub original: Tuple,
    /// The reply tuple.
    pub reply: Tuple,
}

/// What `/proc/net/stat/nf_conntrack` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets that belong to no possible flow.
    pub invalid: u64,
    /// Entries that could not be confirmed because a tuple was taken.
    pub insert_failed: u64,
    /// Packets dropped because no entry was to be had.
    pub drop: u64,
    /// Entries sacrificed for new ones in a full table.
    pub early_drop: u64,
}

/// The source of a flow: what the kernel hashes in `hash_by_src`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Source(IpAddr, u16, u8);

impl Source {
    fn of(f: &Flow) -> Source {
        Source(f.src, f.sport, f.proto)
    }
}

/// The table.
#[derive(Default)]
pub(crate) struct Conntrack {
    pub tunables: Tunables,
    pub stats: Stats,
    index: Index,
    slots: Vec<Entry>,
    vacant: Vec<u32>,
    limbo: VecDeque<u32>,
    by_source: Map<Source, u32>,
    confirmed: usize,
    cursor: usize,
    created: u64,
}

impl Conntrack {
    /// The entry of a packet; `None` if it has none or the entry is gone.
    #[inline]
    pub fn get(&self, ct: Option<CtRef>) -> Option<&Entry> {
        let ct = ct?;
        let e = self.slots.get(ct.slot as usize)?;
        (e.generation == ct.generation && !e.has(status::VACANT)).then_some(e)
    }

    /// The entry of a packet, to change.
    #[inline]
    pub fn get_mut(&mut self, ct: Option<CtRef>) -> Option<&mut Entry> {
        let ct = ct?;
        let e = self.slots.get_mut(ct.slot as usize)?;
        (e.generation == ct.generation && !e.has(status::VACANT)).then_some(e)
    }

    /// The entry in a slot that is known to be in use.
    pub fn slot(&self, slot: u32) -> &Entry {
        &self.slots[slot as usize]
    }

    /// The entry in a slot that is known to be in use, to change.
    pub fn slot_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.slots[slot as usize]
    }

    /// Number of entries in the table, expired ones included that no one has met yet.
    pub fn count(&self) -> usize {
        self.confirmed
    }

    /// Live entries in the order they were created.
    pub fn entries(&self, now: Time) -> Vec<&Entry> {
        let mut all: Vec<&Entry> =
            self.slots.iter().filter(|e| e.has(status::CONFIRMED) && !e.is_expired(now)).collect();
        all.sort_unstable_by_key(|e| e.seq);
        all
    }

    /// The live entry a flow belongs to (`nf_conntrack_find_get`). An expired one is freed.
    #[inline]
    pub fn find(&mut self, now: Time, flow: &Flow, changes: &mut Vec<FlowChange>) -> Option<Hit> {
        let hit = self.index.get(flow)?;
        if self.slots[hit.slot as usize].is_expired(now) {
            self.remove(hit.slot, changes);
            self.vacate(hit.slot);
            return None;
        }
        Some(hit)
    }

    /// Whether a live entry has this flow, in whichever direction (`nf_conntrack_tuple_taken`).
    pub fn taken(&self, now: Time, flow: &Flow) -> bool {
        self.index.get(flow).is_some_and(|hit| !self.slots[hit.slot as usize].is_expired(now))
    }

    /// Makes an unconfirmed entry.
    pub fn create(
        &mut self,
        now: Time,
        flow: Flow,
        memory: Memory,
        changes: &mut Vec<FlowChange>,
    ) -> Result<u32, DropReason> {
        self.sweep(now, changes);
        if self.confirmed >= self.tunables.max as usize && !self.early_drop(now, changes) {
            self.stats.drop += 1;
            return Err(DropReason::ConntrackFull);
        }
        self.created += 1;
        let slot = match self.vacant.pop() {
            Some(slot) => {
                let e = &mut self.slots[slot as usize];
                *e = Entry::new(flow, memory, self.created, e.generation, &self.tunables);
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).expect("the table is bounded by a 32-bit setting");
                self.slots.push(Entry::new(flow, memory, self.created, 0, &self.tunables));
                slot
            }
        };
        self.put_in_limbo(slot);
        Ok(slot)
    }

    /// Enters an entry in the table after its first packet passed all hooks (`__nf_conntrack_confirm`). False if one of
    /// its flows belongs to another entry.
    pub fn confirm(&mut self, now: Time, slot: u32, changes: &mut Vec<FlowChange>) -> bool {
        let (original, reply) = (self.slots[slot as usize].original, self.slots[slot as usize].reply);
        if self.find(now, &original, changes).is_some() || self.find(now, &reply, changes).is_some() {
            self.stats.insert_failed += 1;
            return false;
        }
        self.index.insert(&original, Hit { slot, reply: false });
        if reply != original {
            self.index.insert(&reply, Hit { slot, reply: true }); // a socket may talk to itself
        }
        if let Some(at) = self.limbo.iter().rposition(|s| *s == slot) {
            self.limbo.remove(at);
        }
        self.confirmed += 1;
        let e = &mut self.slots[slot as usize];
        e.status |= status::CONFIRMED;
        changes.push(FlowChange { change: ConntrackChange::New, original: e.original(), reply: e.reply() });
        if e.has(status::SRC_NAT_DONE) {
            self.link_source(slot);
        }
        true
    }

    /// Takes an entry out of the table while a packet still refers to it (`nf_ct_kill`).
    pub fn kill(&mut self, slot: u32, changes: &mut Vec<FlowChange>) {
        if self.slots[slot as usize].has(status::CONFIRMED) {
            self.remove(slot, changes);
            self.slots[slot as usize].status |= status::DYING;
            self.put_in_limbo(slot);
        }
    }

    /// Removes every entry `doomed` picks; returns how many.
    pub fn remove_if(&mut self, changes: &mut Vec<FlowChange>, doomed: impl Fn(&Entry) -> bool) -> usize {
        let before = self.confirmed;
        for slot in 0..self.slots.len() {
            if self.slots[slot].has(status::CONFIRMED) && doomed(&self.slots[slot]) {
                self.remove(slot as u32, changes);
                self.vacate(slot as u32);
            }
        }
        before - self.confirmed
    }

    /// The source mapping that other flows of the same client port use, the newest that `fits` (`find_appropriate_src`).
    pub fn mapping_of_source(&self, now: Time, flow: &Flow, fits: impl Fn(&Flow) -> bool) -> Option<Flow> {
        let mut next = self.by_source.get(&Source::of(flow)).copied();
        for _ in 0..SAME_SOURCE_LIMIT {
            let e = &self.slots[next? as usize];
            next = e.src_next;
            let mapped = e.reply.inverse();
            let candidate = Flow { src: mapped.src, sport: mapped.sport, ..*flow };
            if !e.is_expired(now) && fits(&candidate) {
                return Some(candidate);
            }
        }
        None
    }

    /// Out of the index; the slot stays in use.
    fn remove(&mut self, slot: u32, changes: &mut Vec<FlowChange>) {
        let (original, reply) = (self.slots[slot as usize].original, self.slots[slot as usize].reply);
        self.index.remove(&original);
        if reply != original {
            self.index.remove(&reply);
        }
        if self.slots[slot as usize].has(status::SRC_NAT_DONE) {
            self.unlink_source(slot);
        }
        self.slots[slot as usize].status &= !status::CONFIRMED;
        self.confirmed -= 1;
        changes.push(FlowChange {
            change: ConntrackChange::Destroyed,
            original: original.tuple(),
            reply: reply.tuple(),
        });
    }

    fn vacate(&mut self, slot: u32) {
        let e = &mut self.slots[slot as usize];
        e.generation = e.generation.wrapping_add(1);
        e.status = status::VACANT;
        e.acct = None;
        self.vacant.push(slot);
    }

    fn put_in_limbo(&mut self, slot: u32) {
        if self.limbo.len() == LIMBO {
            let oldest = self.limbo.pop_front().expect("LIMBO is above zero");
            self.vacate(oldest);
        }
        self.limbo.push_back(slot);
    }

    /// Looks at the next few slots for expired entries (the kernel's `gc_worker`).
    fn sweep(&mut self, now: Time, changes: &mut Vec<FlowChange>) {
        for _ in 0..SWEEP.min(self.slots.len()) {
            let slot = self.advance();
            let e = &self.slots[slot as usize];
            if e.has(status::CONFIRMED) && e.is_expired(now) {
                self.remove(slot, changes);
                self.vacate(slot);
            }
        }
    }

    /// Sacrifices an entry that is not ASSURED (`early_drop`); false if there is none within reach.
    fn early_drop(&mut self, now: Time, changes: &mut Vec<FlowChange>) -> bool {
        for _ in 0..EARLY_DROP_RANGE.min(self.slots.len()) {
            let slot = self.advance();
            let e = &self.slots[slot as usize];
            if e.has(status::CONFIRMED) && (!e.assured() || e.is_expired(now)) {
                self.remove(slot, changes);
                self.vacate(slot);
                self.stats.early_drop += 1;
                return true;
            }
        }
        false
    }

    fn advance(&mut self) -> u32 {
        self.cursor = (self.cursor + 1) % self.slots.len();
        self.cursor as u32
    }

    fn link_source(&mut self, slot: u32) {
        let source = Source::of(&self.slots[slot as usize].original);
        let next = self.by_source.insert(source, slot);
        self.slots[slot as usize].src_next = next;
        self.slots[slot as usize].src_prev = None;
        if let Some(next) = next {
            self.slots[next as usize].src_prev = Some(slot);
        }
    }

    fn unlink_source(&mut self, slot: u32) {
        let e = &self.slots[slot as usize];
        let (prev, next, source) = (e.src_prev, e.src_next, Source::of(&e.original));
        if let Some(next) = next {
            self.slots[next as usize].src_prev = prev;
        }
        match (prev, next) {
            (Some(prev), _) => self.slots[prev as usize].src_next = next,
            (None, Some(next)) => {
                self.by_source.insert(source, next);
            }
            (None, None) => {
                self.by_source.remove(&source);
            }
        }
    }
}

/// Seconds an entry lives after a packet, for protocols without states.
fn plain_timeout(protocol: u8, t: &Tunables) -> u32 {
    match protocol {
        proto::ICMP => t.icmp_timeout,
        proto::ICMPV6 => t.icmpv6_timeout,
        _ => t.generic_timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SEC;

    fn flow(n: u32) -> Flow {
        Flow {
            src: IpAddr::V4((0x0a00_0000 + n).into()),
            dst: "192.0.2.1".parse().unwrap(),
            sport: 1000,
            dport: 53,
            proto: proto::UDP,
        }
    }

    fn add(ct: &mut Conntrack, now: Time, n: u32, log: &mut Vec<FlowChange>) -> Result<u32, DropReason> {
        let slot = ct.create(now, flow(n), Memory::Plain, log)?;
        ct.slot_mut(slot).expires = now + 30 * SEC;
        assert!(ct.confirm(now, slot, log));
        Ok(slot)
    }

    #[test]
    fn an_entry_is_found_in_both_directions_until_it_expires() {
        let (mut ct, mut log) = (Conntrack::default(), vec![]);
        let slot = add(&mut ct, 0, 1, &mut log).unwrap();
        assert_eq!(ct.find(SEC, &flow(1), &mut log), Some(Hit { slot, reply: false }));
        assert_eq!(ct.find(SEC, &flow(1).inverse(), &mut log), Some(Hit { slot, reply: true }));
        assert!(ct.taken(SEC, &flow(1)) && !ct.taken(30 * SEC, &flow(1)));
        assert_eq!(ct.find(30 * SEC, &flow(1), &mut log), None);
        assert_eq!(ct.count(), 0);
        assert_eq!(
            log.iter().map(|c| c.change).collect::<Vec<_>>(),
            [ConntrackChange::New, ConntrackChange::Destroyed]
        );
    }

    #[test]
    fn a_socket_may_talk_to_itself() {
        let (mut ct, mut log) = (Conntrack::default(), vec![]);
        let own = Flow { dst: flow(1).src, dport: 1000, ..flow(1) };
        assert_eq!(own, own.inverse());
        let slot = ct.create(0, own, Memory::Plain, &mut log).unwrap();
        assert!(ct.confirm(0, slot, &mut log));
        ct.kill(slot, &mut log);
        assert_eq!((ct.count(), ct.find(0, &own, &mut log)), (0, None));
    }

    #[test]
    fn abandoned_first_packets_take_no_room() {
        let (mut ct, mut log) = (Conntrack::default(), vec![]);
        for n in 0..10_000 {
            ct.create(0, flow(n), Memory::Plain, &mut log).unwrap();
        }
        assert!(ct.slots.len() <= LIMBO + 1, "{}", ct.slots.len());
        assert!(log.is_empty());
    }

    #[test]
    fn a_reference_to_a_reclaimed_slot_is_noticed() {
        let (mut ct, mut log) = (Conntrack::default(), vec![]);
        let slot = ct.create(0, flow(0), Memory::Plain, &mut log).unwrap();
        let r = CtRef { slot, generation: ct.slot(slot).generation, reply: false, info: crate::wire::CtInfo::New };
        assert!(ct.get(Some(r)).is_some());
        for n in 1..=LIMBO as u32 {
            ct.create(0, flow(n), Memory::Plain, &mut log).unwrap();
        }
        assert!(ct.get(Some(r)).is_none());
    }

    #[test]
    fn a_full_table_drops_the_unassured_early_and_then_the_newcomer() {
        let (mut ct, mut log) = (Conntrack::default(), vec![]);
        ct.tunables.max = 10;
        for n in 0..100 {
            add(&mut ct, 0, n, &mut log).unwrap();
            assert!(ct.count() <= 10);
        }
        assert_eq!(ct.stats.early_drop, 90);
        for e in &mut ct.slots {
            e.status |= status::ASSURED;
        }
        assert_eq!(add(&mut ct, 0, 1000, &mut log), Err(DropReason::ConntrackFull));
        assert_eq!(ct.stats.drop, 1);
        assert!(add(&mut ct, 31 * SEC, 1000, &mut log).is_ok(), "expired entries make room");
    }

    #[test]
    fn the_sweep_keeps_a_churning_table_small() {
        let (mut ct, mut log) = (Conntrack::default(), vec![]);
        for n in 0..5000u32 {
            add(&mut ct, n as u64 * SEC, n, &mut log).unwrap(); // 30 are alive at any time
        }
        assert!(ct.slots.len() < 64, "{}", ct.slots.len());
        assert_eq!(ct.entries(4999 * SEC).len(), 30);
        assert!(ct.entries(4999 * SEC).is_sorted_by_key(|e| e.original().src));
    }

    #[test]
    fn the_list_of_one_source_survives_removal_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let (mut ct, mut log) = (Conntrack::default(), vec![]);
            let slots: Vec<u32> = (0..3)
                .map(|n| {
                    let f = Flow { dport: n, ..flow(1) };
                    let slot = ct.create(0, f, Memory::Plain, &mut log).unwrap();
                    ct.slot_mut(slot).status |= status::SRC_NAT_DONE;
                    assert!(ct.confirm(0, slot, &mut log));
                    slot
                })
                .collect();
            for (i, which) in order.iter().enumerate() {
                assert!(ct.mapping_of_source(0, &flow(1), |_| true).is_some());
                assert!(ct.mapping_of_source(0, &flow(1), |_| false).is_none());
                ct.kill(slots[*which], &mut log);
                assert_eq!(ct.count(), 2 - i);
            }
            assert!(ct.mapping_of_source(0, &flow(1), |_| true).is_none());
            assert!(ct.by_source.is_empty());
        }
    }
}
