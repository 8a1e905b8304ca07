//! The forwarding table: a slab of entries, found by (VLAN, MAC), then by owner, and listed per port.
//!
//! All entries of one (VLAN, MAC) form a chain in order of appearance; the unaware bridge keeps at most one there. The
//! head of a chain is found by one hash look-up, the rarely existing others by a second map. Entries age without a
//! timer: one that ran out of time is absent to every look-up and removed by the next sweep, at the latest when the
//! table would have to grow.

use crate::{
    base::{DevId, Mac, Map, Mutant, NsId, Time, mutated},
    trace::FdbChange,
};

use super::FdbEvent;

const NIL: u32 = u32::MAX;
/// The owner of entries no namespace is known for, and of all entries of an unaware bridge.
pub(super) const NOBODY: u32 = u32::MAX;

/// Does not age.
pub(super) const STATIC: u8 = 1;
/// Does not follow its station to another port.
pub(super) const STICKY: u8 = 2;
/// Frames to it go up to the bridge device (`permanent`).
pub(super) const LOCAL: u8 = 4;
/// Configured by a user; without an owner it stands for every namespace.
pub(super) const USER: u8 = 8;

/// VLAN and MAC in one word.
#[inline]
pub(super) fn key(vid: u16, mac: Mac) -> u64 {
    let m = mac.0;
    ((vid as u64) << 48) | u64::from_be_bytes([0, 0, m[0], m[1], m[2], m[3], m[4], m[5]])
}

/// The MAC and VLAN of a key.
pub(super) fn unkey(key: u64) -> (u16, Mac) {
    let b = key.to_be_bytes();
    ((key >> 48) as u16, Mac([b[2], b[3], b[4], b[5], b[6], b[7]]))
}

/// One station. `port` is `NIL` in free slots, whose `next` then links the free list.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) updated: Time,
    pub(super) owner: u32,
    pub(super) port: u32,
    next: u32,
    prev: u32,
    port_next: u32,
    port_prev: u32,
    pub(super) flags: u8,
}

impl Entry {
    fn namespace(&self) -> Option<NsId> {
        (self.owner != NOBODY).then_some(NsId(self.owner))
    }
}

#[derive(Clone, Copy, Debug)]
struct PortList {
    dev: DevId,
    head: u32,
}

/// What a look-up without a namespace finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    None,
    /// The slot of the entry.
    One(u32),
    /// Two namespaces own the address.
    Ambiguous,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Fdb {
    slab: Vec<Entry>,
    free: u32,
    /// (VLAN, MAC) → first entry of its chain.
    heads: Map<u64, u32>,
    /// ((VLAN, MAC), owner) → entry, for all entries that are not first of their chain.
    others: Map<(u64, u32), u32>,
    ports: Vec<PortList>,
    /// Dynamic entries older than this are absent.
    hold: Time,
    live: u32,
    limit: u32,
    sweep_at: u32,
    /// A full table is not swept again before this time, or every unknown source would cost a scan.
    full_until: Time,
    /// The slots the last source and the last destination were found in; checked before use, never invalidated.
    memo: [u32; 2],
}

impl Fdb {
    pub(super) fn new(hold: Time, limit: u32) -> Fdb {
        Fdb { hold, limit, free: NIL, sweep_at: 64, memo: [NIL; 2], ..Fdb::default() }
    }

    /// Tells which device sits at a port's index.
    pub(super) fn set_port(&mut self, port: u32, dev: DevId) {
        let list = PortList { dev, head: NIL };
        match self.ports.get_mut(port as usize) {
            Some(slot) => *slot = list,
            None => self.ports.push(list),
        }
    }

    pub(super) fn hold(&self) -> Time {
        self.hold
    }

    /// Changes the ageing time. What is too old by the old time goes first, or it would come back to life.
    pub(super) fn set_hold(&mut self, now: Time, hold: Time, events: &mut Vec<FdbEvent>) {
        if hold != self.hold {
            self.sweep(now, events);
            self.hold = hold;
            self.sweep(now, events);
        }
    }

    #[inline]
    pub(super) fn entry(&self, slot: u32) -> &Entry {
        &self.slab[slot as usize]
    }

    #[inline]
    fn expired(&self, now: Time, slot: u32) -> bool {
        let e = self.entry(slot);
        e.flags & STATIC == 0 && now >= e.updated.saturating_add(self.hold)
    }

    /// The slot of an entry, expired or not.
    #[inline]
    fn slot(&mut self, key: u64, owner: u32, memo: usize) -> Option<u32> {
        if let Some(e) = self.slab.get(self.memo[memo] as usize)
            && e.key == key
            && e.owner == owner
            && e.port != NIL
        {
            return Some(self.memo[memo]);
        }
        let head = *self.heads.get(&key)?;
        let e = self.entry(head);
        let slot = match e.owner == owner {
            true => head,
            false if e.next == NIL => return None,
            false => *self.others.get(&(key, owner))?,
        };
        self.memo[memo] = slot;
        Some(slot)
    }

    /// The entry of one owner.
    #[inline]
    pub(super) fn find(&mut self, now: Time, key: u64, owner: u32) -> Option<u32> {
        self.slot(key, owner, 1).filter(|s| !self.expired(now, *s))
    }

    /// The entry a user made for all namespaces.
    pub(super) fn find_user(&mut self, now: Time, key: u64) -> Option<u32> {
        self.find(now, key, NOBODY).filter(|s| self.entry(*s).flags & USER != 0)
    }

    /// The entry of a MAC whoever owns it. Of an entry without owner and one of a namespace the younger counts.
    pub(super) fn find_any(&mut self, now: Time, key: u64, events: &mut Vec<FdbEvent>) -> Found {
        let Some(&head) = self.heads.get(&key) else { return Found::None };
        let (mut at, mut owned, mut best) = (head, NIL, NIL);
        while at != NIL {
            let next = self.entry(at).next;
            if self.expired(now, at) {
                self.remove(at, events);
            } else {
                if self.entry(at).owner != NOBODY {
                    if owned != NIL {
                        return Found::Ambiguous;
                    }
                    owned = at;
                }
                if best == NIL || self.entry(at).updated >= self.entry(best).updated {
                    best = at;
                }
            }
            at = next;
        }
        if best == NIL { Found::None } else { Found::One(best) }
    }

    /// Calls `f` with the port of every living entry of the MAC that belongs to another namespace than `owner`.
    pub(super) fn for_foreign(&self, now: Time, key: u64, owner: u32, mut f: impl FnMut(u32)) {
        let mut at = self.heads.get(&key).copied().unwrap_or(NIL);
        while at != NIL {
            let e = self.entry(at);
            if e.owner != owner && e.owner != NOBODY && !self.expired(now, at) {
                f(e.port);
            }
            at = e.next;
        }
    }

    /// Refreshes or moves the entry of a station that just spoke; false if there is none.
    #[inline]
    pub(super) fn touch(&mut self, now: Time, key: u64, owner: u32, port: u32, events: &mut Vec<FdbEvent>) -> bool {
        let Some(slot) = self.slot(key, owner, 0) else { return false };
        if self.expired(now, slot) {
            self.remove(slot, events);
            return false;
        }
        let e = &mut self.slab[slot as usize];
        // A permanent entry is the bridge's own address: the kernel only warns.
        if e.flags & LOCAL == 0 {
            e.updated = now;
            // `static` entries follow their station, only `sticky` ones stay (case bridge-static-fdb).
            if e.port != port && e.flags & STICKY == 0 && !mutated(Mutant::StationNeverMoves) {
                self.relocate(slot, port, events);
            }
        }
        true
    }

    /// Moves an entry to another port.
    pub(super) fn relocate(&mut self, slot: u32, port: u32, events: &mut Vec<FdbEvent>) {
        let from = self.ports[self.entry(slot).port as usize].dev;
        self.unlink_port(slot);
        self.slab[slot as usize].port = port;
        self.link_port(slot);
        self.report(slot, FdbChange::Moved { from }, events);
    }

    /// Enters a station nobody knew, at the end of its chain; false if the table is full. `first` is a namespace that
    /// owns the address beside the table: the bridge's own. The first of several namespaces and the new one collide.
    pub(super) fn learn(
        &mut self,
        now: Time,
        (key, owner, port): (u64, u32, u32),
        first: Option<NsId>,
        events: &mut Vec<FdbEvent>,
    ) -> bool {
        let Some(slot) = self.insert(now, key, owner, port, 0, events) else { return false };
        self.report(slot, FdbChange::Learned, events);
        self.report_collision(now, slot, first, events);
        true
    }

    /// A user's entry without owner finds its station: the entry becomes that namespace's.
    pub(super) fn adopt(&mut self, now: Time, slot: u32, owner: u32, events: &mut Vec<FdbEvent>) -> u32 {
        let e = self.entry(slot).clone();
        self.unlink(slot);
        let slot = self.insert(now, e.key, owner, e.port, e.flags, events).expect("a slot was freed just now");
        self.report_collision(now, slot, None, events);
        slot
    }

    fn report_collision(&mut self, now: Time, slot: u32, first: Option<NsId>, events: &mut Vec<FdbEvent>) {
        let Some(second) = self.entry(slot).namespace() else { return };
        let mut first = first;
        let mut at = self.heads.get(&self.entry(slot).key).copied().unwrap_or(NIL);
        while first.is_none() && at != slot && at != NIL {
            let next = self.entry(at).next;
            if self.expired(now, at) {
                self.remove(at, events);
            } else {
                first = self.entry(at).namespace();
            }
            at = next;
        }
        if let Some(first) = first {
            self.report(slot, FdbChange::Collision { first, second }, events);
        }
    }

    /// A new entry at the end of its chain; `None` if the table is full. There must be none of the same key and owner.
    pub(super) fn insert(
        &mut self,
        now: Time,
        key: u64,
        owner: u32,
        port: u32,
        flags: u8,
        events: &mut Vec<FdbEvent>,
    ) -> Option<u32> {
        if self.live >= self.limit && now >= self.full_until {
            self.sweep(now, events);
            self.full_until = now.saturating_add(self.hold / 16);
        } else if self.live >= self.sweep_at {
            self.sweep(now, events);
            self.sweep_at = self.live.saturating_mul(2).max(64);
        }
        if self.live >= self.limit {
            return None;
        }
        self.live += 1;
        let entry =
            Entry { key, updated: now, owner, port, next: NIL, prev: NIL, port_next: NIL, port_prev: NIL, flags };
        let slot = match self.free {
            NIL => {
                self.slab.push(entry);
                (self.slab.len() - 1) as u32
            }
            slot => {
                self.free = self.entry(slot).next;
                self.slab[slot as usize] = entry;
                slot
            }
        };
        match self.heads.get(&key).copied() {
            None => {
                self.heads.insert(key, slot);
            }
            Some(head) => {
                // The head's `prev` names the tail, so that a chain grows in constant time.
                let tail = self.entry(head).prev;
                let tail = if tail == NIL { head } else { tail };
                self.slab[tail as usize].next = slot;
                self.slab[slot as usize].prev = tail;
                self.slab[head as usize].prev = slot;
                self.others.insert((key, owner), slot);
            }
        }
        self.link_port(slot);
        Some(slot)
    }

    /// Takes an entry out and reports it.
    pub(super) fn remove(&mut self, slot: u32, events: &mut Vec<FdbEvent>) {
        self.report(slot, FdbChange::Removed, events);
        self.unlink(slot);
    }

    /// Takes an entry out.
    fn unlink(&mut self, slot: u32) {
        self.unlink_port(slot);
        let Entry { key, owner, next, prev, .. } = *self.entry(slot);
        let head = self.heads[&key];
        if head == slot {
            match next {
                NIL => {
                    self.heads.remove(&key);
                }
                next => {
                    self.heads.insert(key, next);
                    self.others.remove(&(key, self.entry(next).owner));
                    // The new head takes over the tail, unless it is the tail.
                    self.slab[next as usize].prev = if prev == next { NIL } else { prev };
                }
            }
        } else {
            self.others.remove(&(key, owner));
            self.slab[prev as usize].next = next;
            match next {
                NIL => self.slab[head as usize].prev = if prev == head { NIL } else { prev },
                next => self.slab[next as usize].prev = prev,
            }
        }
        let free = self.free;
        let e = &mut self.slab[slot as usize];
        (e.port, e.next) = (NIL, free);
        self.free = slot;
        self.live -= 1;
    }

    fn link_port(&mut self, slot: u32) {
        let port = self.entry(slot).port as usize;
        let head = std::mem::replace(&mut self.ports[port].head, slot);
        let e = &mut self.slab[slot as usize];
        (e.port_prev, e.port_next) = (NIL, head);
        if head != NIL {
            self.slab[head as usize].port_prev = slot;
        }
    }

    fn unlink_port(&mut self, slot: u32) {
        let Entry { port, port_next, port_prev, .. } = *self.entry(slot);
        match port_prev {
            NIL => self.ports[port as usize].head = port_next,
            prev => self.slab[prev as usize].port_next = port_next,
        }
        if port_next != NIL {
            self.slab[port_next as usize].port_prev = port_prev;
        }
    }

    fn report(&self, slot: u32, change: FdbChange, events: &mut Vec<FdbEvent>) {
        let e = self.entry(slot);
        let (vlan, mac) = unkey(e.key);
        events.push(FdbEvent { mac, vlan, port: self.ports[e.port as usize].dev, change });
    }

    /// The slots of a port's entries, the youngest first.
    pub(super) fn of_port(&self, port: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.ports.get(port as usize).map_or(NIL, |p| p.head);
        std::iter::successors((first != NIL).then_some(first), |s| {
            let next = self.entry(*s).port_next;
            (next != NIL).then_some(next)
        })
    }

    /// The slots of a port's entries that have not run out of time.
    pub(super) fn living_of_port(&self, now: Time, port: u32) -> impl Iterator<Item = u32> + '_ {
        self.of_port(port).filter(move |s| !self.expired(now, *s))
    }

    /// The slots of all entries of a (VLAN, MAC), expired ones removed.
    pub(super) fn chain(&mut self, now: Time, key: u64, events: &mut Vec<FdbEvent>) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut at = self.heads.get(&key).copied().unwrap_or(NIL);
        while at != NIL {
            let next = self.entry(at).next;
            if self.expired(now, at) {
                self.remove(at, events)
            } else {
                slots.push(at)
            }
            at = next;
        }
        slots
    }

    /// Removes a port's entries, of one VLAN or of all; `statics` too when the port leaves.
    pub(super) fn flush_port(&mut self, port: u32, vid: Option<u16>, statics: bool, events: &mut Vec<FdbEvent>) {
        let doomed: Vec<u32> = self
            .of_port(port)
            .filter(|s| {
                let e = self.entry(*s);
                (statics || e.flags & STATIC == 0) && vid.is_none_or(|v| unkey(e.key).0 == v)
            })
            .collect();
        for slot in doomed {
            self.remove(slot, events);
        }
    }

    /// Removes everything that ran out of time, in the order of the slab.
    pub(super) fn sweep(&mut self, now: Time, events: &mut Vec<FdbEvent>) {
        for slot in 0..self.slab.len() as u32 {
            if self.entry(slot).port != NIL && self.expired(now, slot) {
                self.remove(slot, events);
            }
        }
    }
}
