//! From a scenario to a world that is ready to run.
//!
//! The order is that of a careful administrator: namespaces, cables, devices, their settings, addresses; then kernel
//! settings, routes, rules and neighbours; then NAT and firewall; then impairments; at last servers and steps. What the
//! kernel refuses becomes a [`Diagnostic`] at the value it refused.

mod devices;
mod firewall;
mod impair;
mod programs;
mod settings;
mod steps;

pub(super) use programs::{Trial, probe_trial, trace_trial};
pub(super) use steps::StepLog;

use super::{Diagnostic, Scenario, Span, Spanned, names::Target, run::watch::Watch};
use crate::{
    base::{AppId, DevId, NsId, Time},
    kernel::{ConfigError, Kernel},
    sim::World,
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

/// What may differ from the scenario file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Replaces the scenario's seed.
    pub seed: Option<u64>,
}

/// A world made from a scenario, at time zero, with its servers and steps scheduled.
///
/// [`Built::run`] runs it to its end and judges it; whoever only wants to look at it at some time can run the
/// [`World`] itself.
pub struct Built {
    /// The world.
    pub world: World,
    /// The scenario it was made from.
    pub scenario: Scenario,
    /// The seed in use.
    pub seed: u64,
    /// The steps in the order of the file.
    pub(super) steps: Vec<PlannedStep>,
    /// Probes of expectations that are sent at a time of their own: which expectation, and the program.
    pub(super) timed: Vec<(usize, AppId)>,
    pub(super) servers: Vec<RunningServer>,
    pub(super) log: Arc<Mutex<StepLog>>,
    pub(super) watch: Arc<Mutex<Watch>>,
}

impl Built {
    /// The program a step started, by the step's number in the file; `None` if it started none.
    pub fn program_of(&self, step: usize) -> Option<AppId> {
        self.steps.get(step)?.app
    }

    /// What a step that started no program printed, and its exit status once it has been done.
    pub fn printed_by(&self, step: usize) -> (Vec<String>, Option<i32>) {
        let report = super::run::open(&self.log).report(step);
        (report.output, report.exit)
    }
}

/// A step and how to find what came of it.
#[derive(Clone, Debug)]
pub(super) struct PlannedStep {
    pub at: Time,
    pub ns: Option<NsId>,
    /// The program, if the step started one.
    pub app: Option<AppId>,
    /// Where its packets go, if that is known.
    pub to: Option<IpAddr>,
}

/// A server that runs from the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningServer {
    pub ns: NsId,
    pub port: u16,
    pub udp: bool,
    pub app: AppId,
}

/// Makes the world a scenario describes.
///
/// # Errors
/// What the kernel refused, at the places of the values. A scenario that was loaded has passed other checks before.
///
/// ```
/// use netsim::scenario::{self, BuildOptions, Scenario};
/// let built = scenario::build(&Scenario::default(), &BuildOptions { seed: Some(3) }).unwrap();
/// assert_eq!(built.seed, 3);
/// assert_eq!(built.world.nss.len(), 0);
/// ```
pub fn build(scenario: &Scenario, options: &BuildOptions) -> Result<Built, Vec<Diagnostic>> {
    let seed = options.seed.unwrap_or(*scenario.seed);
    let mut b = Builder { scenario, world: World::new(seed), trouble: Vec::new() };
    b.namespaces();
    b.cables();
    b.devices();
    b.settings();
    b.firewalls();
    b.impairments();
    let servers = b.servers();
    let watch = Arc::new(Mutex::new(Watch::new(scenario, &b.world)));
    let log = Arc::new(Mutex::new(StepLog::default()));
    let steps = b.steps(&log, &watch);
    let timed = b.timed_probes();
    if !b.trouble.is_empty() {
        return Err(b.trouble);
    }
    Ok(Built { world: b.world, scenario: scenario.clone(), seed, steps, timed, servers, log, watch })
}

struct Builder<'a> {
    scenario: &'a Scenario,
    world: World,
    trouble: Vec<Diagnostic>,
}

/// At most this many mistakes are kept.
const MAX_TROUBLE: usize = 50;

impl Builder<'_> {
    fn refuse(&mut self, diagnostic: Diagnostic) {
        if self.trouble.len() < MAX_TROUBLE {
            self.trouble.push(diagnostic);
        }
    }

    /// Keeps what the kernel refused, at the place of the value.
    fn check<T>(&mut self, span: Span, result: Result<T, ConfigError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) => {
                let message = e.to_string();
                let message = message.trim_end_matches('.');
                self.refuse(Diagnostic::error("refused", span, message).label("the kernel refuses this"));
                None
            }
        }
    }

    fn ns(&mut self, name: &Spanned<String>) -> Option<NsId> {
        let found = self.world.find_ns(name);
        if found.is_none() {
            let message = format!("there is no namespace `{name}`");
            self.refuse(Diagnostic::error("unknown-namespace", name.span, message));
        }
        found
    }

    fn dev(&mut self, ns: NsId, name: &Spanned<String>) -> Option<DevId> {
        let found = self.world.find_dev(ns, name);
        if found.is_none() {
            let message = format!("namespace `{}` has no device `{name}`", self.world.ns_name(ns));
            self.refuse(Diagnostic::error("unknown-device", name.span, message));
        }
        found
    }

    fn addr(&mut self, target: &Target, span: Span) -> Option<IpAddr> {
        let found = address_of(&self.world, target);
        if found.is_none() {
            self.refuse(Diagnostic::error("no-address", span, format!("`{target}` has no address")));
        }
        found
    }
}

/// The address a target stands for: of a namespace the first that is not loopback, of a device its first.
pub(super) fn address_of(kernel: &Kernel, target: &Target) -> Option<IpAddr> {
    match target {
        Target::Addr(addr) => Some(*addr),
        Target::Ns(ns) => {
            let ns = kernel.ns(kernel.find_ns(ns)?);
            let all = ns.devices.iter().flat_map(|d| &kernel.dev(*d).addrs).map(|a| a.prefix.addr());
            all.into_iter().find(|a| !a.is_loopback())
        }
        Target::Dev(end) => {
            let dev = kernel.find_dev(kernel.find_ns(&end.ns)?, &end.dev)?;
            kernel.dev(dev).addrs.first().map(|a| a.prefix.addr())
        }
    }
}
