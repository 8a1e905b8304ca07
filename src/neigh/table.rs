//! The table itself: storage, look-up, inspection, and what is collected when it grows.

use super::{
    Action, NeighParams,
    entry::{Entry, is_valid},
    proxy::Proxies,
};
use crate::{
    base::{DevId, Mac, Map, NsId, SEC, Time},
    trace::NeighState,
};
use std::net::IpAddr;

/// A namespace's neighbour table, both families. An empty one is a null pointer.
#[derive(Default)]
pub struct NeighTable(Option<Box<Inner>>);

/// Entries live in a slab, so a slot number stays good while others come and go.
#[derive(Default)]
pub(super) struct Inner {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    index: Map<(DevId, IpAddr), u32>,
    /// The slot of the last look-up: packets come in runs to one neighbour.
    last: u32,
    last_forced: Option<Time>,
    last_periodic: Option<Time>,
    pub(super) proxies: Proxies,
}

/// An entry as `ip -s neigh` shows it. Times are in virtual nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighInfo {
    /// The device.
    pub dev: DevId,
    /// The neighbour's address.
    pub addr: IpAddr,
    /// Its station, if known in this state.
    pub mac: Option<Mac>,
    /// The namespace the station belongs to, if known.
    pub owner: Option<NsId>,
    /// The state now.
    pub state: NeighState,
    /// Whether it said that it is a router (IPv6).
    pub router: bool,
    /// Probes counted so far; an unresolved entry starts at `ucast_solicit`.
    pub probes: u32,
    /// When it was last used without being connected.
    pub used: Time,
    /// When it last proved to be there.
    pub confirmed: Option<Time>,
    /// When state or station last changed.
    pub updated: Time,
    /// Packets waiting for it.
    pub waiting: usize,
}

impl NeighTable {
    /// The state of an entry; [`NeighState::None`] if there is none.
    pub fn state(&self, now: Time, dev: DevId, addr: IpAddr) -> NeighState {
        self.get(now, dev, addr).map_or(NeighState::None, |info| info.state)
    }

    /// One entry.
    pub fn get(&self, now: Time, dev: DevId, addr: IpAddr) -> Option<NeighInfo> {
        let inner = self.inner()?;
        let slot = *inner.index.get(&(dev, addr))?;
        inner.slots[slot as usize].as_ref().map(|entry| info(entry, now))
    }

    /// All entries, by device, then IPv4 before IPv6, then by address. (Linux prints them in the order of a hash table.)
    pub fn iter(&self, now: Time) -> impl Iterator<Item = NeighInfo> + use<> {
        let mut all: Vec<_> = self.entries().map(|entry| info(entry, now)).collect();
        all.sort_unstable_by_key(|info| (info.dev, info.addr));
        all.into_iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of frames waiting here, for an address or for the delay of a proxy answer: all are still in flight.
    pub fn queued(&self) -> usize {
        let proxied = self.inner().map_or(0, |inner| inner.proxies.waiting.len());
        self.entries().map(|entry| entry.queue.len()).sum::<usize>() + proxied
    }

    pub(super) fn inner(&self) -> Option<&Inner> {
        self.0.as_deref()
    }

    pub(super) fn inner_opt_mut(&mut self) -> Option<&mut Inner> {
        self.0.as_deref_mut()
    }

    pub(super) fn inner_mut(&mut self) -> &mut Inner {
        self.0.get_or_insert_default()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.inner().into_iter().flat_map(|inner| inner.slots.iter().flatten())
    }

    #[inline]
    pub(super) fn find_mut(&mut self, dev: DevId, addr: IpAddr) -> Option<&mut Entry> {
        let inner = self.0.as_deref_mut()?;
        let slot = inner.find(dev, addr)?;
        inner.slots[slot].as_mut()
    }

    /// The entry, made if there is none and room for one.
    pub(super) fn find_or_create(
        &mut self,
        now: Time,
        dev: DevId,
        addr: IpAddr,
        params: &NeighParams,
        out: &mut Vec<Action>,
    ) -> Option<&mut Entry> {
        if self.find_mut(dev, addr).is_none() && !self.make_room(now, addr.is_ipv4(), params, out) {
            return None;
        }
        Some(self.find_or_insert(now, dev, addr))
    }

    /// The entry, made if there is none.
    pub(super) fn find_or_insert(&mut self, now: Time, dev: DevId, addr: IpAddr) -> &mut Entry {
        let inner = self.inner_mut();
        let slot = match inner.find(dev, addr) {
            Some(slot) => slot,
            None => inner.vacant(dev, addr),
        };
        inner.slots[slot].get_or_insert_with(|| Entry::new(now, dev, addr))
    }

    pub(super) fn take(&mut self, dev: DevId, addr: IpAddr) -> Option<Entry> {
        let inner = self.inner_opt_mut()?;
        let slot = inner.index.remove(&(dev, addr))?;
        inner.free.push(slot);
        inner.slots[slot as usize].take()
    }

    /// Collects what may go before an entry is added (`neigh_alloc()`, `neigh_periodic_work()`). Returns false if the
    /// family has no room left.
    fn make_room(&mut self, now: Time, v4: bool, params: &NeighParams, out: &mut Vec<Action>) -> bool {
        let Some(inner) = self.inner_opt_mut() else { return params.gc_thresh3 > 0 };
        let (low, middle, high) = (params.gc_thresh1 as usize, params.gc_thresh2 as usize, params.gc_thresh3 as usize);
        let (last_periodic, last_forced) = (inner.last_periodic, inner.last_forced);
        if inner.index.len() < low.min(middle).min(high) {
            return true;
        }
        let passed = |last: Option<Time>, span: Time| last.is_none_or(|last| now > last.saturating_add(span));
        if self.counted(v4) >= low && passed(last_periodic, params.base_reachable_time / 2) {
            self.inner_mut().last_periodic = Some(now);
            let unused = |e: &Entry| {
                let used = e.confirmed.map_or(e.used, |confirmed| confirmed.max(e.used));
                e.state_at(now) == NeighState::Failed || now >= used.saturating_add(params.gc_stale_time)
            };
            self.collect(now, v4, usize::MAX, unused, out);
        }
        let count = self.counted(v4);
        if count >= high || (count >= middle && passed(last_forced, 5 * SEC)) {
            self.inner_mut().last_forced = Some(now);
            let old = |e: &Entry| {
                let fresh = now <= e.updated_at(now).saturating_add(5 * SEC);
                matches!(e.state, NeighState::Failed | NeighState::NoArp) || !fresh
            };
            self.collect(now, v4, count.saturating_sub(middle).max(1), old, out);
        }
        self.counted(v4) < high
    }

    /// Entries of a family that count against the thresholds: all but the permanent ones.
    fn counted(&self, v4: bool) -> usize {
        self.entries().filter(|e| e.addr.is_ipv4() == v4 && e.state != NeighState::Permanent).count()
    }

    /// Removes up to `most` entries that nothing is going on with and that `may_go`, the ones changed longest ago first.
    fn collect(&mut self, now: Time, v4: bool, most: usize, may_go: impl Fn(&Entry) -> bool, out: &mut Vec<Action>) {
        let idle = |e: &&Entry| {
            let state = e.state_at(now);
            e.addr.is_ipv4() == v4 && matches!(state, NeighState::Stale | NeighState::Failed | NeighState::NoArp)
        };
        let mut going: Vec<_> =
            self.entries().filter(idle).filter(|e| may_go(e)).map(|e| (e.updated_at(now), e.dev, e.addr)).collect();
        going.sort_unstable();
        for (_, dev, addr) in going.into_iter().take(most) {
            self.remove(dev, addr, out);
        }
    }
}

impl Inner {
    #[inline]
    fn find(&mut self, dev: DevId, addr: IpAddr) -> Option<usize> {
        if let Some(Some(entry)) = self.slots.get(self.last as usize)
            && entry.dev == dev
            && entry.addr == addr
        {
            return Some(self.last as usize);
        }
        self.last = *self.index.get(&(dev, addr))?;
        Some(self.last as usize)
    }

    /// An empty slot, entered in the index.
    fn vacant(&mut self, dev: DevId, addr: IpAddr) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 neighbours")
        });
        self.index.insert((dev, addr), slot);
        slot as usize
    }
}

fn info(entry: &Entry, now: Time) -> NeighInfo {
    let state = entry.state_at(now);
    NeighInfo {
        dev: entry.dev,
        addr: entry.addr,
        mac: is_valid(state).then_some(entry.mac),
        owner: entry.owner.filter(|_| is_valid(state)),
        state,
        router: entry.router,
        probes: entry.probes,
        used: entry.used,
        confirmed: entry.confirmed,
        updated: entry.updated_at(now),
        waiting: entry.queue.len(),
    }
}
