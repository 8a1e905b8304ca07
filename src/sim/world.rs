//! The world and the programs in it.

use crate::{
    app::{App, Context, Outcome},
    base::{AppId, NsId, SockId, Time},
    kernel::{Kernel, Work},
};
use std::ops::{Deref, DerefMut};

pub(super) struct Slot {
    pub(super) ns: NsId,
    pub(super) app: Option<Box<dyn App>>,
    pub(super) started: Time,
    pub(super) output: Vec<String>,
    pub(super) exit: Option<i32>,
}

/// What is known about an app after or during a run.
pub struct AppInfo<'a> {
    /// Which app.
    pub id: AppId,
    /// The namespace it runs in.
    pub ns: NsId,
    /// The command as a user would type it.
    pub command: String,
    /// When it was started.
    pub started: Time,
    /// What it printed.
    pub output: &'a [String],
    /// What came of it.
    pub outcome: Outcome,
    /// Its exit status, once it ended.
    pub exit: Option<i32>,
}

/// A world: namespaces and devices (through [`Kernel`], to which it dereferences), programs, and virtual time.
///
/// ```
/// use netsim::{base::SEC, sim::{End, Limits, World}};
/// let mut w = World::new(7);
/// let a = w.add_namespace("a")?;
/// let b = w.add_namespace("b")?;
/// let (x, y) = w.add_veth((a, "eth0"), (b, "eth0"))?;
/// w.add_address(x, "10.0.0.1/24".parse()?, None)?;
/// w.add_address(y, "10.0.0.2/24".parse()?, None)?;
/// let summary = w.run(&Limits::default());
/// assert_eq!(summary.end, End::Quiescent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct World {
    kernel: Kernel,
    pub(super) apps: Vec<Slot>,
    pub(super) steps: Vec<Option<Step>>,
    pub(super) events: u64,
}

/// Something a scenario does to the world at a given time.
pub type Step = Box<dyn FnOnce(&mut World) + Send>;

impl Deref for World {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

impl World {
    /// An empty world. Equal seeds and equal calls give equal runs.
    pub fn new(seed: u64) -> World {
        World { kernel: Kernel::new(seed), apps: Vec::new(), steps: Vec::new(), events: 0 }
    }

    /// Starts a program in a namespace at time `at` (now, if that is past).
    pub fn spawn(&mut self, ns: NsId, at: Time, app: Box<dyn App>) -> AppId {
        let id = AppId(self.apps.len() as u32);
        let at = at.max(self.core.now);
        self.apps.push(Slot { ns, app: Some(app), started: at, output: Vec::new(), exit: None });
        self.at(at, move |w| w.start(id));
        id
    }

    /// Does something at time `at` (now, if that is past). Equal times keep the order of the calls.
    pub fn at(&mut self, at: Time, step: impl FnOnce(&mut World) + Send + 'static) {
        let n = self.steps.len() as u32;
        self.steps.push(Some(Box::new(step)));
        // Steps come before everything else that happens at their time: key 0 belongs to no device's sequence.
        let at = at.max(self.core.now);
        self.core.wheel.push(at, n as u64, Work::Step(n));
    }

    fn start(&mut self, id: AppId) {
        self.with_app(id, |app, cx| app.start(cx));
    }

    /// Calls an app that is still running; what it printed and whether it ended is kept.
    pub(super) fn with_app(&mut self, id: AppId, call: impl FnOnce(&mut dyn App, &mut Context<'_>)) {
        let Some(slot) = self.apps.get_mut(id.index()) else { return };
        if slot.exit.is_some() {
            return;
        }
        let Some(mut app) = slot.app.take() else { return };
        let ns = slot.ns;
        let mut output = std::mem::take(&mut slot.output);
        let mut exit = None;
        call(&mut *app, &mut Context { kernel: &mut self.kernel, ns, app: id, output: &mut output, exit: &mut exit });
        let slot = &mut self.apps[id.index()];
        slot.app = Some(app);
        slot.output = output;
        slot.exit = exit;
        if exit.is_some() {
            self.kernel.close_sockets_of(ns, id);
        }
    }

    /// What is known about an app. Panics if there is no such app.
    pub fn app(&self, id: AppId) -> AppInfo<'_> {
        let slot = &self.apps[id.index()];
        let app = slot.app.as_ref().expect("an app is only away while it runs");
        AppInfo {
            id,
            ns: slot.ns,
            command: app.command(),
            started: slot.started,
            output: &slot.output,
            outcome: app.outcome(),
            exit: slot.exit,
        }
    }

    /// Events handled since the world was made.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// All apps, in the order they were spawned.
    pub fn apps(&self) -> impl Iterator<Item = AppInfo<'_>> {
        (0..self.apps.len() as u32).map(|i| self.app(AppId(i)))
    }

    pub(super) fn wake(&mut self, app: AppId, sock: SockId) {
        self.with_app(app, |a, cx| a.on_socket(sock, cx));
    }
}
