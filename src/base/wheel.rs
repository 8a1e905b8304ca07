//! The event queue: a hierarchical timing wheel with exact nanosecond order.
//!
//! Eleven levels of 64 slots cover all 64 bits of [`Time`]. An element sits on the level of the highest 6-bit digit in
//! which its time differs from the wheel's clock, in the slot of that digit; slots are doubly linked lists through one
//! slab, so pushing, popping and cancelling allocate nothing once the slab has grown. When the lowest occupied slot
//! holds a single element, that element is the next one and leaves without cascading. Otherwise the slot is dealt out
//! again relative to its earliest element, which then stands on level 0.
//!
//! Elements of one nanosecond are handed out by `key`, never by the order in which unrelated entities pushed them: a
//! run must not depend on how the world is cut into threads. A tick with several elements is sorted once; what is
//! pushed for the current tick meanwhile goes to a small heap that is merged in.
//!
//! Reading: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::Time;

/// The end of a list.
const NIL: u32 = u32::MAX;
/// Six bits a level.
const LEVELS: usize = 11;
const SLOTS: usize = LEVELS * 64;
/// The place of an element that was taken out of its slot to be handed out in the current tick.
const IN_TICK: u32 = SLOTS as u32;
/// The place of a slab entry that holds nothing.
const FREE: u32 = SLOTS as u32 + 1;

/// Names a pushed element until it is popped or cancelled; afterwards it names nothing.
///
/// (The generation has 32 bits: an id would have to be kept while its slab entry is used four billion times more
/// before it could be mistaken.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// A slab entry: one pushed element, or a free place.
struct Entry<T> {
    at: Time,
    key: u64,
    next: u32,
    prev: u32,
    generation: u32,
    /// The slot (level × 64 + digit), [`IN_TICK`] or [`FREE`].
    place: u32,
    value: Option<T>,
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
    len: usize,
    entries: Vec<Entry<T>>,
    free: u32,
    head: Box<[u32; SLOTS]>,
    tail: Box<[u32; SLOTS]>,
    /// One bit for every slot of a level that is not empty.
    occupied: [u64; LEVELS],
    /// One bit for every level that has an occupied slot.
    levels: u32,
    tick: Tick,
}

/// The elements of the nanosecond being drained, when there are several.
#[derive(Default)]
struct Tick {
    /// (key, position in the slot, entry) in descending order: the next one is at the end.
    sorted: Vec<(u64, u32, u32)>,
    /// What was pushed for this nanosecond after it began: (key, order of pushing, entry).
    late: BinaryHeap<Reverse<(u64, u32, u32)>>,
    pushed: u32,
}

impl Tick {
    #[inline]
    fn is_over(&self) -> bool {
        self.sorted.is_empty() && self.late.is_empty()
    }

    /// Among equal keys those that stood in the slot came first.
    fn next_is_late(&self) -> bool {
        match (self.sorted.last(), self.late.peek()) {
            (Some(s), Some(Reverse(l))) => l.0 < s.0,
            (None, Some(_)) => true,
            _ => false,
        }
    }

    fn peek(&self) -> Option<u32> {
        if self.next_is_late() { self.late.peek().map(|r| r.0.2) } else { self.sorted.last().map(|s| s.2) }
    }

    fn pop(&mut self) -> Option<u32> {
        if self.next_is_late() { self.late.pop().map(|r| r.0.2) } else { self.sorted.pop().map(|s| s.2) }
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Wheel {
            now: 0,
            floor: 0,
            exact: false,
            len: 0,
            entries: Vec::new(),
            free: NIL,
            head: Box::new([NIL; SLOTS]),
            tail: Box::new([NIL; SLOTS]),
            occupied: [0; LEVELS],
            levels: 0,
            tick: Tick::default(),
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
        if self.len == 0 || at < self.floor {
            self.floor = at;
            self.exact = true;
        }
        self.len += 1;
        let index = if self.free != NIL {
            let index = self.free;
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            (entry.at, entry.key, entry.value) = (at, key, Some(value));
            index
        } else {
            assert!(self.entries.len() < NIL as usize, "more than 2^32 - 1 pending events");
            self.entries.push(Entry { at, key, next: NIL, prev: NIL, generation: 0, place: FREE, value: Some(value) });
            (self.entries.len() - 1) as u32
        };
        if at == self.now && !self.tick.is_over() {
            self.entries[index as usize].place = IN_TICK;
            self.tick.late.push(Reverse((key, self.tick.pushed, index)));
            self.tick.pushed += 1;
        } else {
            self.link(index, at);
        }
        TimerId { index, generation: self.entries[index as usize].generation }
    }

    /// Takes a pending element out, in constant time; `None` if it was already popped or cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation != id.generation || entry.place == FREE {
            return None;
        }
        if entry.at == self.floor {
            self.exact = false;
        }
        if entry.place == IN_TICK {
            // The tick still refers to the entry; it is freed when its turn comes.
            let value = entry.value.take()?;
            self.len -= 1;
            return Some(value);
        }
        self.unlink(id.index);
        self.release(id.index)
    }

    /// The time of the earliest pending element.
    pub fn peek(&mut self) -> Option<Time> {
        while let Some(index) = self.tick.peek() {
            if self.entries[index as usize].value.is_some() {
                return Some(self.now);
            }
            self.tick.pop();
            self.release_dead(index);
        }
        if self.len == 0 {
            return None;
        }
        if !self.exact {
            let place = self.lowest();
            self.floor = if place < 64 { self.entries[self.head[place] as usize].at } else { self.earliest_in(place) };
            self.exact = true;
        }
        Some(self.floor)
    }

    /// Removes the first element if its time is not after `limit`, and sets the clock to its time.
    #[inline]
    pub fn pop(&mut self, limit: Time) -> Option<(Time, T)> {
        if !self.tick.is_over() {
            if self.now > limit {
                return None;
            }
            if let Some(value) = self.pop_tick() {
                return Some((self.now, value));
            }
        }
        if self.len == 0 || self.floor > limit {
            return None;
        }
        loop {
            let place = self.lowest();
            let first = self.head[place];
            let entry = &self.entries[first as usize];
            let alone = entry.next == NIL;
            let at = if alone || place < 64 { entry.at } else { self.earliest_in(place) };
            self.floor = at;
            if at > limit {
                self.exact = true;
                return None;
            }
            self.exact = false;
            self.now = at;
            if alone {
                self.vacate(place);
                return self.release(first).map(|value| (at, value));
            }
            self.vacate(place);
            if place < 64 {
                self.begin_tick(first);
                return self.pop_tick().map(|value| (at, value));
            }
            // Every element moves to a lower level, the earliest to level 0; lists keep the order of pushing.
            let mut index = first;
            while index != NIL {
                let entry = &self.entries[index as usize];
                let (next, at) = (entry.next, entry.at);
                self.link(index, at);
                index = next;
            }
        }
    }

    /// The lowest occupied slot; something must be pending outside the tick.
    #[inline]
    fn lowest(&self) -> usize {
        let level = self.levels.trailing_zeros() as usize;
        level * 64 + self.occupied[level].trailing_zeros() as usize
    }

    fn earliest_in(&self, place: usize) -> Time {
        let mut index = self.head[place];
        let mut earliest = Time::MAX;
        while index != NIL {
            let entry = &self.entries[index as usize];
            earliest = earliest.min(entry.at);
            index = entry.next;
        }
        earliest
    }

    /// Appends an entry to the slot its time belongs to, as seen from `now`.
    #[inline]
    fn link(&mut self, index: u32, at: Time) {
        let differs = at ^ self.now;
        let level = (63 - (differs | 1).leading_zeros() as usize) / 6;
        let slot = (at >> (6 * level)) as usize & 63;
        let place = level * 64 + slot;
        let last = self.tail[place];
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.prev, entry.place) = (NIL, last, place as u32);
        self.tail[place] = index;
        if last == NIL {
            self.head[place] = index;
            self.occupied[level] |= 1 << slot;
            self.levels |= 1 << level;
        } else {
            self.entries[last as usize].next = index;
        }
    }

    /// Takes one entry out of the list of its slot.
    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (prev, next, place) = (entry.prev, entry.next, entry.place as usize);
        if prev == NIL && next == NIL {
            return self.vacate(place);
        }
        match prev {
            NIL => self.head[place] = next,
            p => self.entries[p as usize].next = next,
        }
        match next {
            NIL => self.tail[place] = prev,
            n => self.entries[n as usize].prev = prev,
        }
    }

    /// Marks a slot as empty.
    #[inline]
    fn vacate(&mut self, place: usize) {
        let level = place / 64;
        (self.head[place], self.tail[place]) = (NIL, NIL);
        self.occupied[level] &= !(1 << (place % 64));
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Frees the entry of a live element.
    #[inline]
    fn release(&mut self, index: u32) -> Option<T> {
        self.len -= 1;
        let value = self.entries[index as usize].value.take();
        self.release_dead(index);
        value
    }

    /// Frees an entry whose value is already gone.
    #[inline]
    fn release_dead(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        (entry.place, entry.next) = (FREE, self.free);
        self.free = index;
    }

    /// Sorts the elements of a level-0 slot: they share one nanosecond.
    fn begin_tick(&mut self, first: u32) {
        let mut index = first;
        while index != NIL {
            let entry = &mut self.entries[index as usize];
            entry.place = IN_TICK;
            self.tick.sorted.push((entry.key, self.tick.sorted.len() as u32, index));
            index = entry.next;
        }
        self.tick.sorted.sort_unstable_by(|a, b| b.cmp(a));
        self.tick.pushed = 0;
    }

    /// The next live element of the tick being drained.
    fn pop_tick(&mut self) -> Option<T> {
        while let Some(index) = self.tick.pop() {
            if self.entries[index as usize].value.is_some() {
                return self.release(index);
            }
            self.release_dead(index);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wheel: &mut Wheel<u32>) -> Vec<(Time, u32)> {
        std::iter::from_fn(|| wheel.pop(Time::MAX)).collect()
    }

    #[test]
    fn ties_go_by_key_then_by_insertion() {
        let mut wheel = Wheel::default();
        for (key, value) in [(5, 0), (1, 1), (5, 2), (3, 3), (1, 4)] {
            wheel.push(1000, key, value);
        }
        assert_eq!(drain(&mut wheel).iter().map(|e| e.1).collect::<Vec<_>>(), [1, 4, 3, 0, 2]);
    }

    #[test]
    fn a_push_for_the_current_tick_is_ordered_among_the_remaining_ones() {
        let mut wheel = Wheel::default();
        for key in [1, 4, 6] {
            wheel.push(50, key, key as u32);
        }
        assert_eq!(wheel.pop(50), Some((50, 1)));
        wheel.push(50, 5, 5);
        wheel.push(9, 4, 44); // the past is now
        wheel.push(51, 0, 51);
        wheel.push(50, 2, 2);
        let rest = drain(&mut wheel);
        assert_eq!(rest, [(50, 2), (50, 4), (50, 44), (50, 5), (50, 6), (51, 51)]);
    }

    #[test]
    fn the_far_end_of_time_is_reachable() {
        let mut wheel = Wheel::default();
        wheel.push(Time::MAX, 0, 3);
        wheel.push(1 << 62, 0, 2);
        wheel.push(0, 0, 1);
        wheel.push(Time::MAX, 1, 4);
        assert_eq!(drain(&mut wheel), [(0, 1), (1 << 62, 2), (Time::MAX, 3), (Time::MAX, 4)]);
        assert_eq!((wheel.now(), wheel.peek()), (Time::MAX, None));
    }

    #[test]
    fn a_crowded_tick_is_not_quadratic() {
        let mut wheel = Wheel::default();
        let n = 100_000u32;
        for i in 0..n {
            wheel.push(7, u64::from(i.wrapping_mul(2_654_435_761)), i);
        }
        // Every other one pushes a successor into the same tick.
        let mut seen = 0;
        while let Some((at, i)) = wheel.pop(7) {
            assert_eq!(at, 7);
            seen += 1;
            if i % 2 == 0 && i < n {
                wheel.push(7, u64::from(i), n + 1);
            }
        }
        assert_eq!(seen, n + n / 2);
    }

    #[test]
    fn cancelled_entries_are_used_again() {
        let mut wheel = Wheel::default();
        for i in 0..10_000u32 {
            let id = wheel.push(1_000_000 + u64::from(i), 0, i);
            assert_eq!(wheel.cancel(id), Some(i));
        }
        assert_eq!((wheel.entries.len(), wheel.len(), wheel.peek()), (1, 0, None));
    }
}
