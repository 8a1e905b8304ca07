//! Expectations that may need a trial: `Reach`, `NoReach` and `Hops`.
//!
//! If a step of the scenario tried the same and nothing was reconfigured since it began, its result counts. Otherwise a
//! probe is sent once everything else has ended.

use super::{Verdict, goes, last_step, outcome::fault, why};
use crate::{
    app::Outcome,
    base::{AppId, NsId, SEC, Time, time},
    kernel::Kernel,
    report::story::Journey,
    scenario::{
        Hop, Target,
        build::{Built, Trial, address_of, probe_trial, trace_trial},
        run::{Books, drive, open},
        schema::{Action, Expect, HopList},
    },
    sim::{Limits, RunSummary},
};
use std::net::IpAddr;

/// Virtual time a trial may take.
const TRIAL_TIME: Time = 3600 * SEC;
/// Events and frames a trial may cost.
const TRIAL_COST: u64 = 1_000_000;

/// What was tried, and what came of it.
struct Tried {
    ns: NsId,
    to: IpAddr,
    outcome: Outcome,
    journey: Option<Journey>,
}

/// Judges one of the three, by a trial if need be.
pub(super) fn judge(built: &mut Built, books: &Books, number: usize, expect: &Expect, end: &RunSummary) -> Verdict {
    let tried = before(built, books, number, expect).or_else(|| match end.end.is_limit() {
        true => None,
        false => attempt(built, books, expect),
    });
    let Some(tried) = tried else { return Verdict::new(false, "it could not be tried: a limit ended the run") };
    match expect {
        Expect::NoReach(_) => {
            let Verdict { holds, why } = reached(&mut built.world, &tried);
            Verdict::new(!holds, why)
        }
        Expect::Hops(list) => hops(&built.world, list, &tried.outcome),
        _ => reached(&mut built.world, &tried),
    }
}

/// What a step or a timed probe has tried before.
fn before(built: &Built, books: &Books, number: usize, expect: &Expect) -> Option<Tried> {
    if let Some((_, app)) = built.timed.iter().find(|(n, _)| *n == number) {
        let (Expect::Reach(p) | Expect::NoReach(p)) = expect else { return None };
        return of_app(built, books, *app, address_of(&built.world, &p.to)?);
    }
    let (from, to) = match expect {
        Expect::Reach(p) | Expect::NoReach(p) => (&p.from, &p.to),
        Expect::Hops(list) => (&list.from, &list.to),
        _ => return None,
    };
    let (ns, to) = (built.world.find_ns(from), address_of(&built.world, to));
    let (n, _) = last_step(built, |action, planned| goes(planned, ns, to) && tries(action, expect))?;
    let planned = &built.steps[n];
    // What was true before the world was changed need not be true now.
    let changed = built.scenario.steps.iter().any(|s| changes_something(&s.action.value) && s.at.value.0 >= planned.at);
    if changed {
        return None;
    }
    of_app(built, books, planned.app?, to?)
}

/// Whether a step tries what is expected.
fn tries(action: &Action, expect: &Expect) -> bool {
    match (expect, action) {
        (Expect::Hops(_), Action::Traceroute(_)) => true,
        (Expect::Reach(p) | Expect::NoReach(p), _) => match (action, p.tcp, p.udp) {
            (Action::Ping(_), None, None) => true,
            (Action::TcpConnect(c), Some(port), None) => c.to.port == *port,
            (Action::UdpSend(u), None, Some(port)) => u.to.port == *port,
            _ => false,
        },
        _ => false,
    }
}

fn changes_something(action: &Action) -> bool {
    matches!(action, Action::Exec(_) | Action::Unplug(_) | Action::Plug(_) | Action::Impair(_))
}

/// What came of a program that has been started.
fn of_app(built: &Built, books: &Books, app: AppId, to: IpAddr) -> Option<Tried> {
    let info = built.world.app(app);
    let names = &built.world.core.tracer.names;
    let journey = open(&books.story).journey(names, info.ns, Some(to), info.started, Time::MAX);
    Some(Tried { ns: info.ns, to, outcome: info.outcome, journey })
}

/// Starts a probe and lets the world run until it has come to rest again.
fn attempt(built: &mut Built, books: &Books, expect: &Expect) -> Option<Tried> {
    let trial = match expect {
        Expect::Reach(p) | Expect::NoReach(p) => probe_trial(&built.world, p),
        Expect::Hops(list) => trace_trial(&built.world, list),
        _ => None,
    };
    let Trial { ns, to, app } = trial?;
    let world = &mut built.world;
    let now = world.core.now;
    let app = world.spawn(ns, now, app);
    let limits = Limits {
        until: Some(now + TRIAL_TIME),
        events: world.events() + TRIAL_COST,
        frames: world.core.hops + TRIAL_COST,
        time: Time::MAX,
    };
    while world.app(app).exit.is_none() {
        let Ok(true) = world.step(&limits) else { break };
    }
    // What the probe left behind settles.
    drive(world, &Limits { until: Some(world.core.now + SEC), ..limits }, None);
    of_app(built, books, app, to)
}

fn reached(kernel: &mut Kernel, tried: &Tried) -> Verdict {
    let mut lost = || why::lost(kernel, tried.ns, tried.to, &tried.outcome, tried.journey.as_ref());
    match &tried.outcome {
        Outcome::Ping { sent, received, rtt, .. } => match received {
            0 => Verdict::new(false, lost()),
            n => {
                let first = rtt.first().map_or_else(String::new, |t| format!(", the first after {}", time::show(*t)));
                Verdict::new(true, format!("{n} of {sent} answered{first}"))
            }
        },
        Outcome::Tcp { connected: true, .. } => Verdict::new(true, "the connection was established"),
        Outcome::Tcp { error: Some(error), .. } => Verdict::new(false, format!("{}; {}", fault(*error), lost())),
        Outcome::UdpSend { received, .. } if *received > 0 => Verdict::new(true, format!("{received} answers came")),
        Outcome::UdpSend { errors, .. } if !errors.is_empty() => {
            Verdict::new(false, format!("{}; {}", fault(errors[0]), lost()))
        }
        _ => Verdict::new(false, lost()),
    }
}

/// Compares the routers a traceroute showed with those expected.
fn hops(kernel: &Kernel, list: &HopList, outcome: &Outcome) -> Verdict {
    let Outcome::Traceroute { hops, reached, .. } = outcome else {
        return Verdict::new(false, "no traceroute was run");
    };
    let answers: Vec<Option<IpAddr>> =
        hops.iter().map(|h| h.probes.iter().flatten().map(|(addr, _)| *addr).next()).collect();
    // The last answer is the target's own, if it was reached.
    let routers = &answers[..answers.len() - usize::from(*reached)];
    let shown: Vec<String> = routers.iter().map(|a| a.map_or_else(|| "*".to_string(), |a| a.to_string())).collect();
    let shown = if shown.is_empty() { "no router".to_string() } else { shown.join(" → ") };
    let found = if *reached { "" } else { "; the target was not reached" };
    let same = routers.len() == list.via.len()
        && routers.iter().zip(&list.via).all(|(answer, expected)| is_hop(kernel, *answer, &expected.value));
    Verdict::new(same, format!("traceroute shows {shown}{found}"))
}

fn is_hop(kernel: &Kernel, answer: Option<IpAddr>, expected: &Hop) -> bool {
    match (answer, expected) {
        (None, Hop::Silent) => true,
        (Some(addr), Hop::Router(Target::Ns(ns))) => {
            kernel.find_ns(ns).is_some_and(|ns| kernel.ns(ns).devices.iter().any(|d| has(kernel, *d, addr)))
        }
        (Some(addr), Hop::Router(Target::Dev(end))) => {
            let dev = kernel.find_ns(&end.ns).and_then(|ns| kernel.find_dev(ns, &end.dev));
            dev.is_some_and(|dev| has(kernel, dev, addr))
        }
        (Some(addr), Hop::Router(Target::Addr(expected))) => addr == *expected,
        _ => false,
    }
}

fn has(kernel: &Kernel, dev: crate::base::DevId, addr: IpAddr) -> bool {
    kernel.dev(dev).addrs.iter().any(|a| a.prefix.addr() == addr)
}
