//! The scenario's own run in netsim, cut into windows.

use super::Seen;
use crate::{
    app::Outcome,
    base::{DevId, MS, SEC, Time},
    conform::{
        capture::Capture,
        lab::CABLE,
        ops::{
            tables,
            tools::{read_ping, read_traceroute},
        },
    },
    live::translate::{Deed, Job, Translation},
    scenario::{self, BuildOptions, Built, Diagnostic},
    sim::Limits,
};
use serde_json::{Value, json};
use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

/// How long programs may take after the last step has begun.
const PATIENCE: Time = 120 * SEC;

/// What still happens after the last program has ended, such as the end of its connections.
pub const AFTERMATH: Time = 300 * MS;

/// A span of time that begins with a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// The jobs that begin in it.
    pub jobs: Range<usize>,
    /// When it begins in the scenario.
    pub start: Time,
    /// When it ends.
    pub end: Time,
    /// Whether several things happen at once in it, so that the order of packets is a matter of chance.
    pub joined: bool,
    /// Whether the run was ended by a limit in it.
    pub storm: bool,
}

impl Window {
    /// What happens in it.
    pub fn title(&self, jobs: &[Job]) -> String {
        let own = jobs[self.jobs.clone()].iter().filter(|j| !matches!(j.deed, Deed::Nothing));
        let named = own.map(|j| format!("{}: {}", j.node, j.command));
        let at = self.start as f64 / SEC as f64;
        format!("at {at} s, {}", named.collect::<Vec<_>>().join("; "))
    }

    /// Traceroute sends many probes at once; who is answered first is a matter of chance.
    pub fn order_is_chance(&self, jobs: &[Job]) -> bool {
        jobs[self.jobs.clone()]
            .iter()
            .any(|j| matches!(j.deed, Deed::Traceroute(_) | Deed::Tcp { .. } | Deed::Http { .. }))
    }
}

/// Runs the scenario in netsim.
///
/// # Errors
/// What netsim refuses of it.
pub fn simulate(t: &Translation) -> Result<(Vec<Window>, Seen), Vec<Diagnostic>> {
    let mut built = scenario::build(&t.scenario, &BuildOptions::default())?;
    let w = &mut built.world;
    // Frames take as long as in the conformance cases: at one instant nothing has an order.
    w.core.cable = CABLE;
    let bare = (0..w.devs.len() as u32).map(DevId).filter(|d| w.dev(*d).is_bare()).collect();
    let capture = Arc::new(Mutex::new(Capture::new(&[], bare)));
    w.core.tracer.add(Box::new(capture.clone()));
    let mut windows: Vec<Window> = Vec::new();
    let mut first = 0;
    let mut storm = false;
    while first < t.jobs.len() && !storm {
        let start = t.jobs[first].at;
        let mut next = first + t.jobs[first..].iter().take_while(|j| j.at == start).count();
        let several = |r: Range<usize>| t.jobs[r].iter().filter(|j| is_busy(j)).count() > 1;
        let mut joined = several(first..next);
        // Steps that begin before the earlier ones have ended share their window.
        let end = loop {
            let until = t.jobs.get(next).map(|j| j.at);
            let (at, over) = drive(&mut built, t, first..next, until);
            storm = over;
            match until {
                Some(at) if !storm && !ended(&built, &t.jobs[first..next]) => {
                    next += t.jobs[next..].iter().take_while(|j| j.at == at).count();
                    joined = true;
                }
                _ => break at,
            }
        };
        windows.push(Window { jobs: first..next, start, end, joined, storm });
        first = next;
    }
    let results = t.jobs.iter().map(|j| result(&built, j)).collect();
    let tables = t.case.nodes.iter().map(|(node, _)| (node.to_string(), dump(&built, node))).collect();
    let mut capture = capture.lock().expect("a sink that panicked ends the run");
    let packets = std::mem::take(&mut capture.packets);
    // What happens at the very time of the next step belongs to that.
    let spans = windows.iter().map(|w| (w.start, w.end.saturating_sub(1))).collect();
    Ok((windows, Seen { results, spans, tables, packets }))
}

/// Whether a job sends anything by itself.
fn is_busy(job: &Job) -> bool {
    !matches!(job.deed, Deed::Nothing | Deed::Cat(_))
}

fn ended(built: &Built, jobs: &[Job]) -> bool {
    let programs = jobs.iter().filter_map(|j| built.program_of(j.step));
    programs.into_iter().all(|app| built.world.app(app).exit.is_some())
}

/// Runs until a time, or until all programs have ended and what follows. Returns when that was, and whether a limit of the
/// scenario was met before.
fn drive(built: &mut Built, t: &Translation, jobs: Range<usize>, until: Option<Time>) -> (Time, bool) {
    let own = &t.scenario.limits;
    let (events, frames, time) = (*own.events, *own.frames, own.time.0);
    let to = |built: &mut Built, until: Time| {
        built.world.run(&Limits { until: Some(until), events, frames, time }).end.is_limit()
    };
    if let Some(at) = until {
        let over = to(built, at);
        return (if over { built.world.core.now } else { at }, over);
    }
    let last = t.jobs[jobs.clone()].iter().map(|j| j.at).max().unwrap_or(0) + PATIENCE;
    let mut now = built.world.core.now.max(t.jobs[jobs.start].at);
    while now < last {
        now += 50 * MS;
        if to(built, now) {
            return (built.world.core.now, true);
        }
        if ended(built, &t.jobs[jobs.clone()]) {
            break;
        }
    }
    let over = to(built, now + AFTERMATH);
    (now + AFTERMATH, over)
}

/// What came of a job, in the form the kernel's side gives it.
fn result(built: &Built, job: &Job) -> Value {
    let Some(app) = built.program_of(job.step) else {
        let (lines, exit) = built.printed_by(job.step);
        return match &job.deed {
            Deed::Command(_) => super::tidy::command(exit.unwrap_or(-1), &lines),
            Deed::Cat(path) => super::tidy::file(path, &lines.join("\n")),
            _ => Value::Null,
        };
    };
    let info = built.world.app(app);
    let exit = info.exit.unwrap_or(-1);
    match (&job.deed, info.outcome) {
        (Deed::Ping(p), _) => read_ping(exit, info.output, p),
        (Deed::Traceroute(_), _) => read_traceroute(exit, info.output),
        (_, Outcome::UdpSend { sent, received, bytes, errors }) => {
            let errors: Vec<&str> = errors.iter().map(|e| e.name()).collect();
            json!({ "sent": sent, "received": received, "bytes": bytes, "errors": errors })
        }
        (_, Outcome::Tcp { connected, sent, received, error, complete, .. }) => {
            let error = error.map(|e| e.name());
            json!({ "connected": connected, "sent": sent, "received": received, "error": error, "complete": complete })
        }
        (_, Outcome::Http { status, bytes, error, .. }) => {
            json!({ "status": status, "bytes": bytes, "error": error.map(|e| e.name()) })
        }
        _ => Value::Null,
    }
}

/// The tables that are compared at the end.
fn dump(built: &Built, node: &str) -> Value {
    let w = &built.world;
    let Some(ns) = w.find_ns(node) else { return Value::Null };
    json!({
        "routes": tables::routes(w, ns, "main").unwrap_or_default(),
        "addr": tables::addresses(w, ns),
        "neigh": tables::neigh(w, ns, true),
        "fdb": tables::fdb(w, ns, false),
        "conntrack": tables::conntrack(w, ns),
    })
}
