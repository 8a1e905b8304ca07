//! The story of a run: which way packets took, what each table said, and what became of them, in words.
//!
//! [`StorySink`] keeps the events of a run in a compact form; [`StorySink::journey`] turns the first packet that each
//! program sent, and the answer to it, into a list of numbered steps a student can follow.

mod journey;
mod moment;
mod render;

pub use journey::{Journey, Leg, Stage, Topic};
pub use render::{Detail, render};

use crate::{
    base::{NsId, Time},
    trace::{FrameId, Names, Origin, Record, RouteUse, Sink},
};
use moment::Moment;
use std::net::IpAddr;

/// At most this many events are kept; a longer run has a story of its beginning.
const MAX_EVENTS: usize = 400_000;

/// One event, without what it borrowed.
#[derive(Clone, Debug)]
struct Entry {
    time: Time,
    ns: NsId,
    dev: Option<crate::base::DevId>,
    frame: Option<FrameId>,
    moment: Moment,
}

/// Records what a story is made of.
#[derive(Default)]
pub struct StorySink {
    entries: Vec<Entry>,
    left_out: u64,
}

impl Sink for StorySink {
    fn record(&mut self, _names: &Names, record: &Record<'_>) {
        let Some(moment) = Moment::of(&record.event) else { return };
        if self.entries.len() >= MAX_EVENTS {
            self.left_out += 1;
            return;
        }
        let &Record { time, ns, dev, frame, .. } = record;
        self.entries.push(Entry { time, ns, dev, frame, moment });
    }
}

impl StorySink {
    /// Events that came after the story was full.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The journey of the first packet that namespace `ns` sent at or after `from`, and of the answer to it; with `to`,
    /// of the first to that address. `None` if it sent none before `until`.
    pub fn journey(&self, names: &Names, ns: NsId, to: Option<IpAddr>, from: Time, until: Time) -> Option<Journey> {
        let start = self.entries.partition_point(|e| e.time < from);
        let mut sent = self.entries[start..].iter().take_while(|e| e.time < until).filter(|e| e.ns == ns);
        let first = match to {
            // A socket's packet is routed first of all.
            Some(to) => sent.find(|e| {
                matches!(e.moment, Moment::Route { purpose: RouteUse::Output, dst, .. } if dst == to)
                    && e.frame.is_some_and(|f| self.made_by_socket(f, start))
            })?,
            None => sent.find(|e| matches!(e.moment, Moment::Created { origin: Origin::Socket, .. }))?,
        };
        Some(journey::follow(&self.entries, names, first.frame?))
    }

    fn made_by_socket(&self, frame: FrameId, start: usize) -> bool {
        let born = self.entries[start..].iter().find(|e| e.frame == Some(frame));
        born.is_some_and(|e| matches!(e.moment, Moment::Created { origin: Origin::Socket, .. }))
    }

    /// The journey of one frame, and of the answer to it.
    pub fn journey_of(&self, names: &Names, frame: FrameId) -> Journey {
        journey::follow(&self.entries, names, frame)
    }
}
