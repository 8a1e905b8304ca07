//! Runs steps that wait, in virtual time and side by side: every step is a future, the world's event loop their clock.
//!
//! After each event every waiting step looks whether what it waits for has come. Nothing else wakes it, so the order
//! of things is that of the world's events and of the steps.

use super::topo::Topology;
use crate::{
    base::{SockId, Time},
    sim::{End, Limits, World},
};
use serde_json::{Map, Value};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// A step or server at work.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The most events a case may take; a broadcast storm takes a few million.
const MOST_EVENTS: u64 = 20_000_000;

/// The world of a case while its steps run, and what they share.
pub struct Lab {
    /// The world.
    pub world: RefCell<World>,
    /// Who is where.
    pub topo: Topology,
    /// Open sockets by name.
    pub socks: RefCell<BTreeMap<String, SockId>>,
    /// Servers by name.
    pub servers: RefCell<BTreeMap<String, Server>>,
    /// The SNMP counters of each node before the first step.
    pub snmp: RefCell<BTreeMap<String, BTreeMap<String, i64>>>,
    /// When the first of the waiting steps wants to be looked at, whatever happens.
    wake: Cell<Option<Time>>,
    spawned: RefCell<Vec<Task>>,
}

/// A server in the background.
pub struct Server {
    /// Its socket.
    pub sock: SockId,
    /// What it received.
    pub log: Rc<RefCell<Vec<Map<String, Value>>>>,
}

impl Lab {
    /// A world with nothing running in it.
    pub fn new(world: World, topo: Topology) -> Rc<Lab> {
        Rc::new(Lab {
            world: RefCell::new(world),
            topo,
            socks: RefCell::default(),
            servers: RefCell::default(),
            snmp: RefCell::default(),
            wake: Cell::new(None),
            spawned: RefCell::default(),
        })
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        self.world.borrow().core.now
    }

    /// Lets something run in the background until the case is over.
    pub fn spawn(&self, task: Task) {
        self.spawned.borrow_mut().push(task);
    }

    /// Waits until `ready` gives something, or until `deadline`.
    pub async fn until<T>(&self, deadline: Time, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
        poll_fn(move |_| match ready() {
            Some(value) => Poll::Ready(Some(value)),
            None if self.now() >= deadline => Poll::Ready(None),
            None => {
                self.wake.set(Some(self.wake.get().map_or(deadline, |w| w.min(deadline))));
                Poll::Pending
            }
        })
        .await
    }

    /// Waits for an event of the world.
    pub async fn event<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        poll_fn(move |_| ready().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Lets `span` go by.
    pub async fn sleep(&self, span: Time) {
        self.until(self.now().saturating_add(span), || None::<()>).await;
    }
}

/// Runs tasks until the first is done; the others go on with the next call.
pub struct Executor {
    lab: Rc<Lab>,
    background: Vec<Task>,
}

impl Drop for Executor {
    /// Tasks hold the lab that holds them.
    fn drop(&mut self) {
        self.lab.spawned.borrow_mut().clear();
    }
}

impl Executor {
    /// Nothing to run yet.
    pub fn new(lab: Rc<Lab>) -> Executor {
        Executor { lab, background: Vec::new() }
    }

    /// Runs the world until `task` is done.
    ///
    /// # Errors
    /// The limit that was reached before.
    pub fn run<T>(&mut self, task: impl Future<Output = T>) -> Result<T, End> {
        let mut task = std::pin::pin!(task);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            self.lab.wake.set(None);
            self.lab.world.borrow_mut().settle();
            if let Poll::Ready(value) = task.as_mut().poll(&mut cx) {
                return Ok(value);
            }
            self.background.append(&mut self.lab.spawned.borrow_mut());
            self.background.retain_mut(|t| t.as_mut().poll(&mut cx).is_pending());
            // Tasks begin as soon as they are made.
            while !self.lab.spawned.borrow().is_empty() {
                let mut new = self.lab.spawned.take();
                new.retain_mut(|t| t.as_mut().poll(&mut cx).is_pending());
                self.background.append(&mut new);
            }
            self.step()?;
        }
    }

    /// One event of the world, or the passage of time up to the moment somebody waits for.
    fn step(&self) -> Result<(), End> {
        let mut world = self.lab.world.borrow_mut();
        let wake = self.lab.wake.get();
        let limits = Limits { until: wake, events: MOST_EVENTS, ..Limits::default() };
        match (world.step(&limits), wake) {
            (Ok(true), _) => {}
            (Ok(false) | Err(End::Until(_)), Some(at)) => world.core.now = world.core.now.max(at),
            // Whoever waits for an event then waits in vain: that is a fault of the runner, and the limit says where.
            (Ok(false), None) => return Err(End::Quiescent),
            (Err(end), _) => return Err(end),
        }
        Ok(())
    }
}
