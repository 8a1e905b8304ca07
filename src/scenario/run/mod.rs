//! Running a scenario to its end and judging it.

mod tables;
pub(super) mod watch;

use super::{
    BuildOptions, Diagnostic, Scenario, build,
    build::Built,
    expect,
    schema::{Expect, Finish, LimitKind},
};
use crate::{
    base::{SEC, Time},
    report::{
        frames::FrameLog,
        run::{Misdelivery, RunReport, StepReport},
        stats::StatsSink,
        story::StorySink,
        text::Style,
    },
    sim::{End, Limits, RunSummary, World},
    trace::Sink,
};
use std::sync::{Arc, Mutex, MutexGuard};

/// Frames that are kept as lines of a verbose story.
const MAX_FRAME_LINES: usize = 100_000;
/// How long a world that cannot come to rest goes on after its last step.
const AFTER_LAST_STEP: Time = 60 * SEC;
/// How many events pass between two calls of [`RunOptions::progress`].
const PROGRESS_EVERY: u64 = 1 << 16;

/// How a scenario is run.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// The scenario's name in the report: that of its file, without directory and ending.
    pub name: String,
    /// Replaces the scenario's seed. [`Built::run`] takes no notice: the world is made already.
    pub seed: Option<u64>,
    /// Replaces the scenario's `until`.
    pub until: Option<Time>,
    /// Keeps a line for every frame at every device.
    pub verbose: bool,
    /// Other consumers of the trace, such as a capture file. Keep the other handle of an `Arc<Mutex<…>>`.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Called now and then while the run goes on.
    pub progress: Option<Box<dyn FnMut(Progress) + 'a>>,
}

/// How far a run has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Virtual time.
    pub time: Time,
    /// Virtual time at which the run will end, if that is known.
    pub until: Option<Time>,
    /// Events handled.
    pub events: u64,
    /// Frames counted at devices.
    pub frames: u64,
}

/// Builds a scenario, runs it and judges it.
///
/// # Errors
/// What the kernel refused while the world was built.
///
/// ```
/// use netsim::scenario::{self, RunOptions, Scenario};
/// let report = scenario::run(&Scenario::default(), RunOptions::default()).unwrap();
/// assert!(report.passed, "nothing was expected");
/// assert_eq!(report.document.end.reason, "quiescent");
/// ```
pub fn run(scenario: &Scenario, options: RunOptions<'_>) -> Result<RunReport, Vec<Diagnostic>> {
    let mut built = build(scenario, &BuildOptions { seed: options.seed })?;
    Ok(built.run(options))
}

/// What is collected while a scenario runs.
pub(super) struct Books {
    pub story: Arc<Mutex<StorySink>>,
    pub stats: Arc<Mutex<StatsSink>>,
    frames: Option<Arc<Mutex<FrameLog>>>,
}

/// Locks what a sink collected.
pub(super) fn open<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("a sink that panicked ends the run")
}

impl Built {
    /// Runs the world to its end and judges it. To be called once.
    ///
    /// # Panics
    /// If the ledger of frames does not balance at the end: that is a bug in netsim.
    pub fn run(&mut self, mut options: RunOptions<'_>) -> RunReport {
        let books = self.open_books(&mut options);
        let before = tables::Tables::of(&self.world);
        let until = options.until.or(self.scenario.until.map(|u| u.0)).or_else(|| self.end_of_restless());
        let own = &self.scenario.limits;
        let limits = Limits { until, events: *own.events, frames: *own.frames, time: own.time.0 };
        let summary = drive(&mut self.world, &limits, options.progress.as_deref_mut());
        let after = tables::Tables::of(&self.world);

        let mut report = RunReport {
            title: self.scenario.title.as_ref().map(|t| t.value.clone()),
            about: self.scenario.about.as_ref().map(|t| t.value.clone()),
            trouble: self.trouble(summary.end),
            changes: before.changes(&after),
            misdeliveries: self.misdeliveries(),
            topology: super::sketch::lines(&self.scenario),
            ..RunReport::default()
        };
        report.document.scenario = options.name;
        report.document.set_world(&self.world, &summary);
        report.document.set_stats(&self.world.core.tracer.names, &open(&books.stats));
        report.document.namespaces = after.by_namespace();
        report.steps = self.step_reports(&books, summary.time);
        report.document.expectations = expect::judge(self, &books, &report, &summary);
        // Trials of expectations are part of the trace, too.
        report.document.digest = self.world.core.tracer.digest().map(|d| format!("{d:016x}"));
        report.passed = report.trouble.is_none() && report.failures().next().is_none();
        report.frames = books.frames.map(|f| open(&f).render(&self.world.core.tracer.names, Style::PLAIN));
        report
    }

    fn open_books(&mut self, options: &mut RunOptions<'_>) -> Books {
        let tracer = &mut self.world.core.tracer;
        let books = Books {
            story: Arc::default(),
            stats: Arc::default(),
            frames: options.verbose.then(|| Arc::new(Mutex::new(FrameLog::new(MAX_FRAME_LINES)))),
        };
        tracer.enable_digest();
        tracer.add(Box::new(books.story.clone()));
        tracer.add(Box::new(books.stats.clone()));
        tracer.add(Box::new(self.watch.clone()));
        if let Some(frames) = &books.frames {
            tracer.add(Box::new(frames.clone()));
        }
        for sink in options.sinks.drain(..) {
            tracer.add(sink);
        }
        books
    }

    /// Bridges that speak the spanning tree protocol repeat their messages for ever: such a world never comes to rest.
    fn end_of_restless(&self) -> Option<Time> {
        let restless = self.world.devs.iter().any(|d| d.bridge().is_some_and(|b| b.config().stp));
        let last = self.steps.iter().map(|s| s.at).max().unwrap_or(0);
        restless.then(|| last.saturating_add(AFTER_LAST_STEP))
    }

    /// What to say about a limit that nobody expected.
    fn trouble(&self, end: End) -> Option<String> {
        let expected = self.scenario.expect.iter().any(|e| match &e.value {
            Expect::Ended(finish) => ended_as(end, finish),
            _ => false,
        });
        (end.is_limit() && !expected).then(|| end.to_string())
    }

    fn misdeliveries(&self) -> Vec<Misdelivery> {
        let names = &self.world.core.tracer.names;
        let watch = open(&self.watch);
        let told = watch.wrong.iter().map(|(w, n)| Misdelivery {
            from: names.ns(w.from).to_string(),
            meant: names.ns(w.meant).to_string(),
            at: names.ns(w.at).to_string(),
            mac: n.mac.to_string(),
            count: n.count,
            first_ns: n.first,
            packet: n.packet.clone(),
            fate: n.fate.clone(),
        });
        told.collect()
    }

    /// What each step did, in the order of time.
    fn step_reports(&self, books: &Books, end: Time) -> Vec<StepReport> {
        let names = &self.world.core.tracer.names;
        let log = open(&self.log);
        let story = open(&books.story);
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        order.sort_by_key(|i| self.steps[*i].at);
        let told = order.into_iter().map(|i| {
            let step = &self.steps[i];
            let mut report = log.report(i);
            report.at_ns = step.at;
            report.ns = step.ns.map(|ns| names.ns(ns).to_string());
            if let (Some(app), Some(ns)) = (step.app, step.ns) {
                let info = self.world.app(app);
                report.command = info.command;
                report.output = info.output.to_vec();
                report.exit = info.exit;
                report.journey = story.journey(names, ns, step.to, step.at, end.saturating_add(1));
            }
            report
        });
        told.collect()
    }
}

/// Whether a run ended in the way named.
pub(super) fn ended_as(end: End, finish: &Finish) -> bool {
    match finish {
        Finish::Quiescent => end == End::Quiescent,
        Finish::Until => matches!(end, End::Until(_)),
        Finish::Limit(LimitKind::Events) => matches!(end, End::Events(_)),
        Finish::Limit(LimitKind::Frames) => matches!(end, End::Frames(_)),
        Finish::Limit(LimitKind::Time) => matches!(end, End::Time(_)),
    }
}

/// Runs the world, telling how far it has got.
pub(super) fn drive(
    world: &mut World,
    limits: &Limits,
    mut progress: Option<&mut (dyn FnMut(Progress) + '_)>,
) -> RunSummary {
    let mut told = 0u64;
    while let Ok(true) = world.step(limits) {
        told += 1;
        if told.is_multiple_of(PROGRESS_EVERY)
            && let Some(progress) = &mut progress
        {
            progress(Progress { time: world.core.now, until: limits.until, events: told, frames: world.core.hops });
        }
    }
    // Nothing is left to do, or the limit is met again at once.
    world.run(limits)
}
