//! The slot of the wheel that is being handed out.

use crate::base::Time;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// (time, key, order of arrival, entry)
pub(super) type Ranked = (Time, u64, u32, u32);

/// The slot that is being handed out.
#[derive(Default)]
pub(super) struct Front {
    /// The last nanosecond that belongs to the slot.
    pub(super) end: Time,
    /// In descending order: the next one is at the end.
    pub(super) sorted: Vec<Ranked>,
    /// What was pushed into the range after it was sorted, as long as it came in ascending order: a burst that goes from
    /// device to device does.
    pub(super) run: VecDeque<Ranked>,
    /// What came out of order.
    pub(super) late: BinaryHeap<Reverse<Ranked>>,
    pub(super) pushed: u32,
}

/// Where in a front an element waits.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Sorted,
    Run,
    Late,
}

impl Front {
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.sorted.is_empty() && self.run.is_empty() && self.late.is_empty()
    }

    #[inline]
    pub(super) fn add(&mut self, at: Time, key: u64, index: u32) {
        let ranked = (at, key, self.pushed, index);
        self.pushed += 1;
        if self.run.back().is_none_or(|last| *last <= ranked) {
            self.run.push_back(ranked);
        } else {
            self.late.push(Reverse(ranked));
        }
    }

    /// The next one, and where it waits. Among equals those that stood in the slot came first.
    #[inline]
    pub(super) fn peek(&self) -> Option<(Ranked, Place)> {
        let pushed = match (self.run.front(), self.late.peek()) {
            (Some(r), Some(Reverse(l))) if l < r => Some((*l, Place::Late)),
            (Some(r), _) => Some((*r, Place::Run)),
            (None, Some(Reverse(l))) => Some((*l, Place::Late)),
            (None, None) => None,
        };
        match (self.sorted.last(), pushed) {
            (Some(s), Some((p, place))) if (p.0, p.1) < (s.0, s.1) => Some((p, place)),
            (Some(s), _) => Some((*s, Place::Sorted)),
            (None, pushed) => pushed,
        }
    }

    #[inline]
    pub(super) fn drop_next(&mut self, place: Place) {
        match place {
            Place::Sorted => {
                self.sorted.pop();
            }
            Place::Run => {
                self.run.pop_front();
            }
            Place::Late => {
                self.late.pop();
            }
        }
    }
}
