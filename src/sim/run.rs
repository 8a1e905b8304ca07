//! The event loop and its limits.

use super::World;
use crate::{
    base::{SEC, Time, time},
    kernel::Work,
    trace::LedgerError,
};
use std::fmt;

/// When a run must end, whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Virtual time at which the run ends although more would happen; nothing at or after it is done.
    pub until: Option<Time>,
    /// Most events: steps of the loop.
    pub events: u64,
    /// Most frames passing devices, counted at each device.
    pub frames: u64,
    /// Most virtual time. Unlike `until`, reaching it counts as a failure to come to rest.
    pub time: Time,
}

impl Default for Limits {
    /// A hundred million events and frames, a day of virtual time.
    fn default() -> Limits {
        Limits { until: None, events: 100_000_000, frames: 100_000_000, time: 24 * 3600 * SEC }
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing was left to do.
    Quiescent,
    /// The end time was reached.
    Until(Time),
    /// The limit on events was reached.
    Events(u64),
    /// The limit on frames was reached.
    Frames(u64),
    /// The limit on virtual time was reached.
    Time(Time),
}

impl End {
    /// Whether one of the limits that guard against storms and loops ended the run.
    pub fn is_limit(self) -> bool {
        matches!(self, End::Events(_) | End::Frames(_) | End::Time(_))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Quiescent => f.write_str("the network came to rest: nothing was left to do"),
            End::Until(t) => write!(f, "the end time {} was reached", time::show(*t)),
            End::Events(n) => write!(f, "the limit of {n} events was reached: something keeps the network busy"),
            End::Frames(n) => {
                write!(f, "the limit of {n} frames was reached: frames multiply or circulate, as in a broadcast storm")
            }
            End::Time(t) => write!(f, "the limit of {} of virtual time was reached", time::show(*t)),
        }
    }
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Why it ended.
    pub end: End,
    /// Virtual time at the end.
    pub time: Time,
    /// Events handled since the world was made.
    pub events: u64,
    /// Frames counted at devices since the world was made.
    pub hops: u64,
    /// Frames still in links, queues and tables.
    pub in_flight: u64,
}

impl World {
    /// Runs until nothing is left to do or a limit is reached. Running again goes on where the last run stopped.
    ///
    /// # Panics
    /// If the ledger of frames does not balance at the end: that is a bug in netsim.
    pub fn run(&mut self, limits: &Limits) -> RunSummary {
        let end = loop {
            match self.step(limits) {
                Ok(true) => {}
                Ok(false) => break End::Quiescent,
                Err(end) => break end,
            }
        };
        if let End::Until(t) | End::Time(t) = end {
            self.core.now = t.max(self.core.now);
        }
        let in_flight = match self.audit() {
            Ok(n) => n,
            Err(e) => panic!("{e}"),
        };
        RunSummary { end, time: self.core.now, events: self.events, hops: self.core.hops, in_flight }
    }

    /// Handles one event. `Ok(false)` if nothing is left to do.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn step(&mut self, limits: &Limits) -> Result<bool, End> {
        if self.core.hops >= limits.frames {
            return Err(End::Frames(limits.frames));
        }
        if self.events >= limits.events {
            return Err(End::Events(limits.events));
        }
        self.poll_externals();
        self.settle();
        let stop = limits.until.unwrap_or(Time::MAX).min(limits.time);
        let last = stop.saturating_sub((stop != Time::MAX) as Time);
        let Some((now, work)) = self.core.wheel.pop(last) else {
            return match self.core.wheel.is_empty() {
                true => Ok(false),
                false if limits.until.is_some_and(|u| u <= limits.time) => Err(End::Until(stop)),
                false => Err(End::Time(stop)),
            };
        };
        debug_assert!(now >= self.core.now, "time never goes back");
        self.core.now = now;
        self.events += 1;
        self.core.burst = 0;
        self.dispatch(work);
        // So that who looks between two steps sees programs that know of what just happened.
        self.settle();
        Ok(true)
    }

    /// Lets sockets and apps act on what just happened, before time goes on. [`World::step`] begins with it; whoever
    /// looks at apps between two steps calls it to see them act at once.
    #[inline]
    pub fn settle(&mut self) {
        // The loop asks twice per event, and mostly nothing happened.
        if !self.core.wakes.is_empty() || !self.dirty_sockets.is_empty() {
            self.let_programs_act();
        }
    }

    fn let_programs_act(&mut self) {
        loop {
            self.flush_sockets();
            if self.core.wakes.is_empty() {
                return;
            }
            let mut wakes = std::mem::take(&mut self.core.wakes);
            for (app, sock) in wakes.drain(..) {
                self.wake(app, sock);
            }
            if self.core.wakes.is_empty() {
                self.core.wakes = wakes; // keep the allocation
            }
        }
    }

    fn poll_externals(&mut self) {
        for i in 0..self.externals.len() {
            let dev = self.externals[i];
            self.poll_external(dev);
        }
    }

    fn dispatch(&mut self, work: Work) {
        match work {
            Work::Receive(dev) => self.receive(dev),
            Work::Dequeue(dev) => self.dequeue(dev),
            Work::Neighbour(dev, addr) => self.neighbour_timer(dev, addr),
            Work::Socket(sock) => self.socket_timer(sock),
            Work::Reassembly(ns) => self.reassembly_timer(ns),
            Work::Bridge(dev) => self.bridge_timer(dev),
            Work::ProxyArp(dev) => self.proxy_arp_timer(dev),
            Work::Ipv6(dev, timer) => self.ipv6_timer(dev, timer),
            Work::App(app, token) => self.with_app(app, |a, cx| a.on_timer(token, cx)),
            Work::Step(n) => {
                if let Some(step) = self.steps[n as usize].take() {
                    step(self);
                }
            }
        }
    }

    /// Counts every frame found in links, queues and tables and checks the ledger against it.
    ///
    /// # Errors
    /// If created ≠ delivered + dropped + in flight.
    pub fn audit(&self) -> Result<u64, LedgerError> {
        let in_devices: usize = self.devs.iter().map(|d| d.wire.queued() + d.qdisc.queued()).sum();
        let in_namespaces: usize =
            self.nss.iter().map(|n| n.neigh.queued() + n.reassembly.as_ref().map_or(0, |r| r.queued())).sum();
        let in_flight = (in_devices + in_namespaces) as u64;
        self.core.pool.ledger.check(in_flight)?;
        Ok(in_flight)
    }
}
