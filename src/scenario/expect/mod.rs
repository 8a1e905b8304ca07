//! Judging expectations: whether each came true, and why, in words that name the first wrong table entry or drop.

mod counted;
mod outcome;
mod reach;
mod why;
mod wording;

use super::{
    build::{Built, PlannedStep},
    run::{Books, ended_as},
    schema::{Action, Count, Expect},
};
use crate::{
    app::Outcome,
    base::{NsId, time},
    report::{json::Expectation, run::RunReport},
    sim::RunSummary,
};
use std::net::IpAddr;

/// Whether something came true, and why.
pub(super) struct Verdict {
    holds: bool,
    why: String,
}

impl Verdict {
    fn new(holds: bool, why: impl Into<String>) -> Verdict {
        Verdict { holds, why: why.into() }
    }

    fn count(count: Count, n: u64, what: &str) -> Verdict {
        Verdict::new(count.contains(n), plural(n, what))
    }
}

/// A number and what it counts.
fn plural(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Judges all expectations in the order of the file. Trials that are needed run after everything else has been judged,
/// so that they change nothing others look at.
pub(super) fn judge(built: &mut Built, books: &Books, report: &RunReport, summary: &RunSummary) -> Vec<Expectation> {
    let expects = built.scenario.expect.clone();
    let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(expects.len());
    for e in &expects {
        let case = Case { built, books, report };
        verdicts.push(case.judge(&e.value, summary));
    }
    for (n, e) in expects.iter().enumerate() {
        if verdicts[n].is_none() {
            verdicts[n] = Some(reach::judge(built, books, n, &e.value, summary));
        }
    }
    let all = expects.iter().zip(verdicts).map(|(e, verdict)| {
        let Verdict { holds, why } = verdict.expect("every expectation was judged above");
        Expectation { text: wording::text(&e.value), holds, why }
    });
    all.collect()
}

/// What expectations are judged by.
pub(super) struct Case<'a> {
    built: &'a Built,
    books: &'a Books,
    report: &'a RunReport,
}

impl Case<'_> {
    /// The verdict, or `None` if a trial may be needed.
    fn judge(&self, expect: &Expect, summary: &RunSummary) -> Option<Verdict> {
        Some(match expect {
            Expect::Reach(_) | Expect::NoReach(_) | Expect::Hops(_) => return None,
            Expect::SeenAs(seen) => self.seen(seen, true),
            Expect::NeverSeen(seen) => self.seen(seen, false),
            Expect::Dropped(dropped) => self.dropped(dropped),
            Expect::Delivered(delivered) => self.delivered(delivered),
            Expect::Misdelivered(wrong) => self.misdelivered(wrong),
            Expect::Conntrack(c) => self.lines(&c.ns, "/proc/net/nf_conntrack", &counted::spelt_out(&c.has), c.count),
            Expect::Proc(p) => self.lines(&p.ns, &p.path, &p.has, p.count),
            Expect::Prints(p) => self.prints(p),
            Expect::Pinged(p) => self.pinged(p),
            Expect::Http(h) => self.http(h),
            Expect::Tcp(t) => self.tcp(t),
            Expect::TcpReceived(t) => self.tcp_received(t),
            Expect::UdpReceived(u) => self.udp_received(u),
            Expect::Ended(finish) => {
                let why = format!("{}, at {}", summary.end, time::show(summary.time));
                Verdict::new(ended_as(summary.end, finish), why)
            }
        })
    }

    fn ns(&self, name: &str) -> Option<NsId> {
        self.built.world.find_ns(name)
    }
}

/// The last step that fits, with what came of its program.
fn last_step(built: &Built, fits: impl Fn(&Action, &PlannedStep) -> bool) -> Option<(usize, Outcome)> {
    let steps = built.scenario.steps.iter().zip(&built.steps).enumerate();
    let fitting = steps.filter(|(_, (step, planned))| planned.app.is_some() && fits(&step.action.value, planned));
    let (n, (_, planned)) = fitting.max_by_key(|(n, (_, planned))| (planned.at, *n))?;
    Some((n, built.world.app(planned.app?).outcome))
}

/// Whether a step runs in a namespace and sends to an address.
fn goes(planned: &PlannedStep, from: Option<NsId>, to: Option<IpAddr>) -> bool {
    from.is_some() && planned.ns == from && to.is_some() && planned.to == to
}
