//! What happens when: programs are started, everything else is a function called at its time.

use super::{Builder, PlannedStep, impair, programs};
use crate::{
    base::{AppId, DevId, NsId, Time},
    kernel::DeviceKind,
    procfs,
    report::run::{StepKind, StepReport},
    scenario::{
        End, Spanned, exec,
        run::{open, watch::Watch},
        schema::{Action, Expect},
    },
    sim::World,
    trace::Event,
};
use std::sync::{Arc, Mutex};

/// What steps printed, by the number of the step.
#[derive(Default)]
pub(in crate::scenario) struct StepLog(Vec<StepReport>);

impl StepLog {
    /// What is known about a step.
    pub(in crate::scenario) fn report(&self, step: usize) -> StepReport {
        self.0[step].clone()
    }
}

/// Something to do, and what it prints.
type Deed = Box<dyn FnOnce(&mut World) -> exec::Output + Send>;

impl Builder<'_> {
    /// Puts the steps into the world.
    pub(super) fn steps(&mut self, log: &Arc<Mutex<StepLog>>, watch: &Arc<Mutex<Watch>>) -> Vec<PlannedStep> {
        let scenario = self.scenario;
        let mut planned = Vec::with_capacity(scenario.steps.len());
        for (n, step) in scenario.steps.iter().enumerate() {
            let at = step.at.value.0;
            let mut report = StepReport::default();
            let made = match self.program(&step.action) {
                Some(Ok(start)) => {
                    self.announce(at, start.ns, start.app.command());
                    let app = self.world.spawn(start.ns, at, start.app);
                    PlannedStep { at, ns: Some(start.ns), app: Some(app), to: Some(start.to) }
                }
                // What is wrong has been noted.
                Some(Err(())) => PlannedStep { at, ns: None, app: None, to: None },
                None => {
                    let Some((ns, kind, text, deed)) = self.deed(&step.action) else {
                        open(log).0.push(report);
                        planned.push(PlannedStep { at, ns: None, app: None, to: None });
                        continue;
                    };
                    (report.kind, report.command) = (kind, text.clone());
                    self.announce(at, ns.unwrap_or(NsId(0)), text);
                    let (log, watch) = (log.clone(), watch.clone());
                    self.world.at(at, move |world| {
                        let done = deed(world);
                        open(&watch).refresh(world);
                        let report = &mut open(&log).0[n];
                        report.output = done.lines;
                        report.exit = Some(done.status);
                    });
                    PlannedStep { at, ns, app: None, to: None }
                }
            };
            open(log).0.push(report);
            planned.push(made);
        }
        planned
    }

    /// Says in the trace that a step begins.
    fn announce(&mut self, at: Time, ns: NsId, text: String) {
        self.world.at(at, move |world| {
            if !world.nss.is_empty() {
                world.core.emit(ns, None, None, Event::Step { text: &text });
            }
        });
    }

    /// What a step without a program does.
    fn deed(&mut self, action: &Spanned<Action>) -> Option<(Option<NsId>, StepKind, String, Deed)> {
        let quiet = exec::Output::default;
        Some(match &action.value {
            Action::Exec(e) => {
                let ns = self.ns(&e.ns)?;
                let line = e.run.value.clone();
                let text = line.clone();
                (Some(ns), StepKind::Command, text, Box::new(move |w: &mut World| exec::command(w, ns, &line)))
            }
            Action::Cat(c) => {
                let ns = self.ns(&c.ns)?;
                let path = c.path.value.clone();
                let text = format!("cat {path}");
                (Some(ns), StepKind::Command, text, Box::new(move |w: &mut World| cat(w, ns, &path)))
            }
            Action::Unplug(end) => {
                let dev = self.end(end)?;
                let text = format!("the cable of {end} is pulled out");
                (
                    None,
                    StepKind::Cable,
                    text,
                    Box::new(move |w: &mut World| {
                        plug(w, dev, false);
                        quiet()
                    }),
                )
            }
            Action::Plug(end) => {
                let dev = self.end(end)?;
                let text = format!("the cable of {end} is put back");
                (
                    None,
                    StepKind::Cable,
                    text,
                    Box::new(move |w: &mut World| {
                        plug(w, dev, true);
                        quiet()
                    }),
                )
            }
            Action::Impair(i) => {
                let dev = self.end(&i.at)?;
                let queue = impair::queue_of(&i.with);
                let text = match queue.to_string() {
                    words if words.is_empty() => format!("what {} sends is no longer impaired", i.at),
                    words => format!("what {} sends is impaired: {} {words}", i.at, queue.kind()),
                };
                (
                    None,
                    StepKind::Cable,
                    text,
                    Box::new(move |w: &mut World| {
                        w.set_qdisc(dev, queue);
                        quiet()
                    }),
                )
            }
            Action::Note(text) => (None, StepKind::Note, text.value.clone(), Box::new(move |_: &mut World| quiet())),
            program => unreachable!("{program:?} is a program"),
        })
    }

    fn end(&mut self, end: &Spanned<End>) -> Option<DevId> {
        let ns = self.ns(&Spanned::new(end.ns.clone(), end.span))?;
        self.dev(ns, &Spanned::new(end.dev.clone(), end.span))
    }

    /// Probes that expectations send at a time of their own.
    pub(super) fn timed_probes(&mut self) -> Vec<(usize, AppId)> {
        let scenario = self.scenario;
        let mut timed = Vec::new();
        for (n, expect) in scenario.expect.iter().enumerate() {
            let (Expect::Reach(probe) | Expect::NoReach(probe)) = &expect.value else { continue };
            let Some(when) = probe.when else { continue };
            self.ns(&probe.from);
            self.addr(&probe.to, probe.to.span);
            if let Some(start) = programs::probe_trial(&self.world, probe) {
                timed.push((n, self.world.spawn(start.ns, when.0, start.app)));
            }
        }
        timed
    }
}

fn cat(world: &World, ns: NsId, path: &str) -> exec::Output {
    match procfs::read(world, ns, path) {
        Ok(text) => exec::Output { lines: text.lines().map(str::to_string).collect(), status: 0 },
        Err(e) => exec::Output { lines: vec![format!("cat: {e}")], status: 1 },
    }
}

/// Gives both ends of a cable their carrier, or takes it from them.
fn plug(world: &mut World, dev: DevId, carrier: bool) {
    let peer = match world.dev(dev).kind {
        DeviceKind::Veth { peer } => peer,
        _ => None,
    };
    let both_up = world.dev(dev).up && peer.is_none_or(|p| world.dev(p).up);
    for end in std::iter::once(dev).chain(peer) {
        world.set_carrier(end, carrier && both_up);
    }
}
