//! The event queue: a hierarchical timing wheel with exact nanosecond order.
//!
//! Eleven levels of 64 slots cover all 64 bits of [`Time`]. An element sits on the level of the highest 6-bit digit in
//! which its time differs from the wheel's clock, in the slot of that digit; at any moment its place follows from its
//! time and the clock alone. A slot is a list of chunks, so an element moves through the wheel by sequential reads and
//! writes; its value waits in a slab. Once slab and chunks have grown, nothing is allocated any more.
//!
//! When the lowest occupied slot holds a single element, that is the next one and leaves without cascading. A slot of
//! at most 64 ns is sorted by (time, key) and becomes the *front*, from which elements are handed out; what is pushed
//! into its range meanwhile goes to a small heap that is merged in. A wider slot is dealt out again, as seen from its
//! earliest element.
//!
//! Elements of one nanosecond are handed out by `key`, never by the order in which unrelated entities pushed them: a
//! run must not depend on how the world is cut into threads.
//!
//! Reading: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.

mod front;

use super::Time;
use front::{Front, Ranked};
use std::cmp::Reverse;

/// The end of a list.
const NIL: u32 = u32::MAX;
/// Six bits a level.
const LEVELS: usize = 11;
const SLOTS: usize = LEVELS * 64;
/// Elements in a chunk: four cache lines.
const CHUNK: usize = 10;

/// Names a pushed element until it is popped or cancelled; afterwards it names nothing.
///
/// (The generation has 32 bits: an id would have to be kept while its slab entry is used four billion times more
/// before it could be mistaken.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// A slab entry: the value of a pushed element, or a free place. A cancelled element's entry is empty and becomes free
/// when the wheel meets its item.
struct Entry<T> {
    value: Option<T>,
    generation: u32,
    next_free: u32,
}

/// What travels through the slots.
#[derive(Clone, Copy, Default)]
struct Item {
    at: Time,
    key: u64,
    index: u32,
}

/// A piece of a slot's list, or of the list of free chunks.
struct Chunk {
    items: [Item; CHUNK],
    len: u32,
    next: u32,
}

/// A priority queue over virtual time whose order is total: (time, key, insertion).
///
/// `key` is chosen by the caller, usually the entity's id in the upper half and a per-entity sequence number in the
/// lower half.
///
/// ```
/// use netsim::base::wheel::Wheel;
/// let mut wheel = Wheel::default();
/// wheel.push(20, 7, "late");
/// wheel.push(10, 2, "second");
/// wheel.push(10, 1, "first");
/// let never = wheel.push(15, 0, "cancelled");
/// assert_eq!(wheel.cancel(never), Some("cancelled"));
/// assert_eq!(wheel.cancel(never), None);
/// assert_eq!(wheel.peek(), Some(10));
/// assert_eq!(wheel.pop(u64::MAX), Some((10, "first")));
/// assert_eq!(wheel.pop(u64::MAX), Some((10, "second")));
/// assert_eq!(wheel.pop(19), None); // nothing up to and including 19
/// assert_eq!(wheel.now(), 10);
/// assert_eq!(wheel.pop(20), Some((20, "late")));
/// assert!(wheel.is_empty());
/// ```
pub struct Wheel<T> {
    now: Time,
    /// No pending element is earlier than this.
    floor: Time,
    /// `floor` is the time of the earliest element, not only a lower bound.
    exact: bool,
    /// Pending elements; cancelled ones whose items are still about.
    len: usize,
    dead: usize,
    entries: Vec<Entry<T>>,
    free_entry: u32,
    chunks: Vec<Chunk>,
    free_chunk: u32,
    head: Box<[u32; SLOTS]>,
    tail: Box<[u32; SLOTS]>,
    /// One bit for every slot of a level that is not empty.
    occupied: [u64; LEVELS],
    /// One bit for every level that has an occupied slot.
    levels: u32,
    front: Front,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Wheel {
            now: 0,
            floor: 0,
            exact: false,
            len: 0,
            dead: 0,
            entries: Vec::new(),
            free_entry: NIL,
            chunks: Vec::new(),
            free_chunk: NIL,
            head: Box::new([NIL; SLOTS]),
            tail: Box::new([NIL; SLOTS]),
            occupied: [0; LEVELS],
            levels: 0,
            front: Front::default(),
        }
    }
}

impl<T> Wheel<T> {
    /// The number of pending elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The time of the last popped element, 0 before the first.
    #[inline]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Adds an element; a time before [`Wheel::now`] means now. An element for the tick being drained takes its place
    /// among the remaining ones by `key`.
    ///
    /// # Panics
    /// If 2^32 − 1 elements are pending.
    #[inline]
    pub fn push(&mut self, at: Time, key: u64, value: T) -> TimerId {
        let at = at.max(self.now);
        if self.len == 0 {
            (self.floor, self.exact) = (at, true);
        }
        self.floor = self.floor.min(at);
        self.len += 1;
        let index = if self.free_entry != NIL {
            let index = self.free_entry;
            let entry = &mut self.entries[index as usize];
            self.free_entry = entry.next_free;
            entry.value = Some(value);
            index
        } else {
            assert!(self.entries.len() < NIL as usize, "more than 2^32 - 1 pending events");
            self.entries.push(Entry { value: Some(value), generation: 0, next_free: NIL });
            (self.entries.len() - 1) as u32
        };
        if at <= self.front.end && !self.front.is_over() {
            self.front.add(at, key, index);
        } else {
            self.link(Item { at, key, index });
        }
        TimerId { index, generation: self.entries[index as usize].generation }
    }

    /// Takes a pending element out, in amortised constant time; `None` if it was already popped or cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation != id.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.exact = false;
        self.len -= 1;
        self.dead += 1;
        if self.dead > self.len + 64 {
            self.sweep();
        }
        Some(value)
    }

    /// The time of the earliest pending element.
    pub fn peek(&mut self) -> Option<Time> {
        while let Some(((at, _, _, index), place)) = self.front.peek() {
            if self.is_live(index) {
                return Some(at);
            }
            self.front.drop_next(place);
            self.bury(index);
        }
        while self.len > 0 {
            if self.exact {
                return Some(self.floor);
            }
            let place = self.lowest();
            if let Some(at) = self.earliest_in(place) {
                (self.floor, self.exact) = (at, true);
                return Some(at);
            }
        }
        None
    }

    /// Removes the first element if its time is not after `limit`, and sets the clock to its time.
    #[inline]
    pub fn pop(&mut self, limit: Time) -> Option<(Time, T)> {
        if self.floor > limit {
            return None;
        }
        loop {
            while let Some(((at, _, _, index), place)) = self.front.peek() {
                if at > limit {
                    return None;
                }
                self.front.drop_next(place);
                if let Some(value) = self.take(index, at) {
                    return Some((at, value));
                }
            }
            if self.len == 0 {
                return None;
            }
            let place = self.lowest();
            let chunk = &self.chunks[self.head[place] as usize];
            if chunk.len == 1 && chunk.next == NIL {
                let Item { at, index, .. } = chunk.items[0];
                if at > limit && self.is_live(index) {
                    (self.floor, self.exact) = (at, true);
                    return None;
                }
                let chunk = self.vacate(place);
                self.free(chunk);
                if let Some(value) = self.take(index, at) {
                    return Some((at, value));
                }
                continue;
            }
            let Some(at) = self.earliest_in(place) else { continue };
            if at > limit {
                (self.floor, self.exact) = (at, true);
                return None;
            }
            if place < 128 {
                self.begin_front(place);
            } else {
                // The earliest element is live and not after the limit: this call will pop it.
                self.now = at;
                self.deal(place);
            }
        }
    }

    #[inline]
    fn is_live(&self, index: u32) -> bool {
        self.entries[index as usize].value.is_some()
    }

    /// The lowest occupied slot; there must be one.
    #[inline]
    fn lowest(&self) -> usize {
        let level = self.levels.trailing_zeros() as usize;
        level * 64 + self.occupied[level].trailing_zeros() as usize
    }

    /// The earliest pending element of a slot; a slot that holds none is emptied.
    fn earliest_in(&mut self, place: usize) -> Option<Time> {
        let mut earliest = None;
        let mut at = self.head[place];
        while at != NIL {
            let chunk = &self.chunks[at as usize];
            for item in &chunk.items[..chunk.len as usize] {
                if earliest.is_none_or(|e| item.at < e) && (self.dead == 0 || self.is_live(item.index)) {
                    earliest = Some(item.at);
                }
            }
            at = chunk.next;
        }
        if earliest.is_none() {
            self.deal(place);
        }
        earliest
    }

    /// Appends an item to the slot its time belongs to, as seen from `now`.
    #[inline]
    fn link(&mut self, item: Item) {
        let differs = item.at ^ self.now;
        let level = (63 - (differs | 1).leading_zeros() as usize) / 6;
        let slot = (item.at >> (6 * level)) as usize & 63;
        let place = level * 64 + slot;
        let last = self.tail[place];
        if last != NIL {
            let chunk = &mut self.chunks[last as usize];
            if (chunk.len as usize) < CHUNK {
                chunk.items[chunk.len as usize] = item;
                chunk.len += 1;
                return;
            }
        }
        let fresh = if self.free_chunk != NIL {
            let fresh = self.free_chunk;
            let chunk = &mut self.chunks[fresh as usize];
            self.free_chunk = chunk.next;
            (chunk.items[0], chunk.len, chunk.next) = (item, 1, NIL);
            fresh
        } else {
            let mut items = [Item::default(); CHUNK];
            items[0] = item;
            self.chunks.push(Chunk { items, len: 1, next: NIL });
            (self.chunks.len() - 1) as u32
        };
        self.tail[place] = fresh;
        if last != NIL {
            self.chunks[last as usize].next = fresh;
        } else {
            self.head[place] = fresh;
            self.occupied[level] |= 1 << slot;
            self.levels |= 1 << level;
        }
    }

    /// Marks a slot as empty and returns the first chunk of its list.
    #[inline]
    fn vacate(&mut self, place: usize) -> u32 {
        let level = place / 64;
        self.occupied[level] &= !(1 << (place % 64));
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
        self.tail[place] = NIL;
        std::mem::replace(&mut self.head[place], NIL)
    }

    /// Frees a chunk and returns the one behind it.
    #[inline]
    fn free(&mut self, index: u32) -> u32 {
        let chunk = &mut self.chunks[index as usize];
        let next = std::mem::replace(&mut chunk.next, self.free_chunk);
        self.free_chunk = index;
        next
    }

    /// Puts every live item of a slot where it belongs now; items of one time keep their order.
    fn deal(&mut self, place: usize) {
        let mut at = self.vacate(place);
        while at != NIL {
            for i in 0..self.chunks[at as usize].len as usize {
                let item = self.chunks[at as usize].items[i];
                if self.dead > 0 && !self.is_live(item.index) {
                    self.bury(item.index);
                } else {
                    self.link(item);
                }
            }
            at = self.free(at);
        }
    }

    /// Makes a slot of level 0 or 1 the front.
    fn begin_front(&mut self, place: usize) {
        let mut at = self.vacate(place);
        let front = &mut self.front;
        while at != NIL {
            let chunk = &self.chunks[at as usize];
            let arrived = front.sorted.len() as u32;
            let ranked = chunk.items[..chunk.len as usize].iter().zip(arrived..);
            front.sorted.extend(ranked.map(|(item, n)| (item.at, item.key, n, item.index)));
            let next = chunk.next;
            self.chunks[at as usize].next = self.free_chunk;
            (self.free_chunk, at) = (at, next);
        }
        front.sorted.sort_unstable_by_key(|e| Reverse((e.0, e.1, e.2)));
        let latest = front.sorted[0].0;
        front.end = if place < 64 { latest } else { latest | 63 };
        front.pushed = 0;
    }

    /// Hands out the value of an item that left the wheel and sets the clock; `None` if it was cancelled.
    #[inline]
    fn take(&mut self, index: u32, at: Time) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        let value = entry.value.take();
        if value.is_some() {
            entry.generation = entry.generation.wrapping_add(1);
            entry.next_free = self.free_entry;
            self.free_entry = index;
            self.len -= 1;
            (self.now, self.floor, self.exact) = (at, at, false);
        } else {
            self.bury(index);
        }
        value
    }

    /// Frees the entry of a cancelled element whose item left the wheel.
    fn bury(&mut self, index: u32) {
        self.entries[index as usize].next_free = self.free_entry;
        self.free_entry = index;
        self.dead -= 1;
    }

    /// Throws out the items of all cancelled elements. A live item is linked into the slot it came from.
    #[cold]
    fn sweep(&mut self) {
        for level in 0..LEVELS {
            let mut slots = self.occupied[level];
            while slots != 0 {
                self.deal(level * 64 + slots.trailing_zeros() as usize);
                slots &= slots - 1;
            }
        }
        let mut sorted = std::mem::take(&mut self.front.sorted);
        let mut run = std::mem::take(&mut self.front.run);
        let mut late = std::mem::take(&mut self.front.late);
        let mut keep = |ranked: &Ranked| {
            let live = self.is_live(ranked.3);
            if !live {
                self.bury(ranked.3);
            }
            live
        };
        sorted.retain(&mut keep);
        run.retain(&mut keep);
        late.retain(|Reverse(ranked)| keep(ranked));
        (self.front.sorted, self.front.run, self.front.late) = (sorted, run, late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_entries_are_used_again() {
        let mut wheel = Wheel::default();
        for i in 0..10_000u32 {
            let id = wheel.push(1_000_000 + u64::from(i), 0, i);
            assert_eq!(wheel.cancel(id), Some(i));
        }
        assert_eq!((wheel.len(), wheel.peek()), (0, None));
        assert!(wheel.entries.len() < 100 && wheel.chunks.len() < 100);
    }
}
