//! Compares a scenario in netsim with the same scenario on the kernel underneath.
//!
//! netsim runs the scenario first. Its run is cut into windows, one for each time at which steps begin; steps that
//! overlap share one. The kernel then does the same steps at the same times. What both worlds showed in each window (the
//! packets at every device, what programs reported) and their tables at the end are normalised as the conformance cases
//! are, and compared.

mod simulate;
mod tidy;

pub use simulate::{Window, simulate};
pub(crate) use tidy::{command, file};

use super::{
    Error,
    translate::{Choices, Deed, Job, Translation, Untranslatable, translate},
};
use crate::{
    base::{Mac, Time},
    conform::{
        compare, normalise,
        raw::{Packet, Raw, RawStep},
        topo::Topology,
    },
    scenario::{Diagnostic, Scenario},
};
use serde_json::{Value, json};
use std::fmt;

/// What came of a comparison.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// What was left out or done in another way.
    pub notes: Vec<String>,
    /// All differences, in the order of time.
    pub differences: Vec<Difference>,
    /// Packets the kernel showed.
    pub packets: usize,
    /// Devices at which it showed some.
    pub devices: usize,
    /// Steps that were compared.
    pub steps: usize,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// In which window of time: the steps, as commands; or the tables at the end.
    pub step: String,
    /// Where in it, and what: `-` is what only Linux showed, `+` what only netsim showed.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.step, self.what)
    }
}

/// Why a comparison could not be made.
#[derive(Debug)]
pub enum Trouble {
    /// Real namespaces cannot be used here.
    Live(Error),
    /// netsim refuses the scenario.
    Refused(Vec<Diagnostic>),
    /// The scenario holds something the kernel has nothing like.
    Skipped(String),
}

/// What was seen of a scenario in one world.
pub struct Seen {
    /// What came of each job.
    pub results: Vec<Value>,
    /// Begin and end of each window.
    pub spans: Vec<(Time, Time)>,
    /// The tables of each namespace at the end.
    pub tables: Vec<(String, Value)>,
    /// The packets.
    pub packets: Vec<Packet>,
}

/// Runs a scenario in both worlds and compares them.
///
/// # Errors
/// If one of them cannot be had.
pub fn verify(scenario: &Scenario) -> Result<Comparison, Trouble> {
    super::available().map_err(Trouble::Live)?;
    let lacks = |what: &str| super::lacks(what).map_err(Trouble::Live);
    let choices =
        Choices { perfect_cables: lacks("netem")?, nothing_random: true, plain_bridges: share_macs(scenario)? };
    let t = translated(scenario, choices)?;
    let missing = super::lacking(&t.case).map_err(Trouble::Live)?;
    if !missing.is_empty() {
        return Err(Trouble::Skipped(format!("the kernel lacks {}", missing.join(", "))));
    }
    let (windows, ours) = simulate(&t).map_err(Trouble::Refused)?;
    let theirs = super::play(&t, &windows).map_err(Trouble::Live)?;
    judge(t, &windows, &theirs, &ours).map_err(|e| Trouble::Live(Error::Failed(e)))
}

fn translated(scenario: &Scenario, choices: Choices) -> Result<Translation, Trouble> {
    translate(scenario, choices).map_err(|e| match e {
        Untranslatable::Refused(found) => Trouble::Refused(found),
        Untranslatable::Unknown(what) => Trouble::Skipped(what),
    })
}

/// Whether two namespaces use one MAC: then bridges that know namespaces do not do what those of Linux do.
fn share_macs(scenario: &Scenario) -> Result<bool, Trouble> {
    let t = translated(scenario, Choices::default())?;
    let topo = Topology::of(&t.case).map_err(Trouble::Skipped)?;
    // A bridge has the address of one of its ports.
    let cables = topo.ifaces().iter().filter(|i| i.kind == "veth");
    let mut all: Vec<(Mac, &str)> = cables.filter_map(|i| Some((i.mac?, &*i.node))).collect();
    all.sort_unstable();
    Ok(all.windows(2).any(|w| w[0].0 == w[1].0 && w[0].1 != w[1].1))
}

/// Compares what was seen in two worlds; `theirs` is right.
///
/// # Errors
/// If the translated topology makes no sense.
pub fn judge(t: Translation, windows: &[Window], theirs: &Seen, ours: &Seen) -> Result<Comparison, String> {
    let observe = |seen: &Seen| {
        let raw = raw(&t.jobs, windows, seen);
        let mut observed = normalise(&t.case, &raw, &seen.packets)?;
        for i in (0..windows.len()).filter(|i| bulky(&t.jobs[windows[*i].jobs.clone()])) {
            tidy::merge_streams(&mut observed["steps"][i]["packets"]);
        }
        Ok::<Value, String>(observed)
    };
    let (golden, other) = (observe(theirs)?, observe(ours)?);
    let place = |line: &str| {
        let inner = line.strip_prefix(".steps[").and_then(|l| l.split_once(']'));
        let number = inner.and_then(|(n, _)| n.parse::<usize>().ok());
        let step = match number.map(|n| (n, windows.get(n))) {
            Some((_, Some(w))) => w.title(&t.jobs),
            Some((n, None)) => {
                let node = theirs.tables.get(n - windows.len()).map_or("", |(node, _)| node);
                format!("tables of {node} at the end")
            }
            None => "the run".into(),
        };
        let what = inner.map_or(line, |(_, rest)| rest).replace("golden", "Linux").replace("other", "netsim");
        Difference { step, what: what.trim_start_matches('.').to_string() }
    };
    let differences = compare(&golden, &other, &["text", "note", "elapsed_s", "message"]);
    let mut devices: Vec<(&str, &str)> = theirs.packets.iter().map(|p| (&*p.node, &*p.iface)).collect();
    devices.sort_unstable();
    devices.dedup();
    Ok(Comparison {
        differences: differences.iter().map(|d| place(d)).collect(),
        packets: theirs.packets.len(),
        devices: devices.len(),
        steps: t.jobs.iter().filter(|j| !matches!(j.deed, Deed::Nothing)).count(),
        notes: t.notes,
    })
}

/// Whether a stream of more than a few segments is sent: its segmentation is a matter of TCP's dynamics.
fn bulky(jobs: &[Job]) -> bool {
    jobs.iter().any(|j| matches!(j.deed, Deed::Tcp { bytes, .. } if bytes > 1000))
}

/// The windows as steps of a case, and after them the tables as dumps.
fn raw(jobs: &[Job], windows: &[Window], seen: &Seen) -> Raw {
    let mut raw = Raw::default();
    for (w, (start, end)) in windows.iter().zip(&seen.spans) {
        let order = match () {
            () if w.storm => "flood",
            () if w.joined || w.order_is_chance(jobs) => "multiset",
            () => "seq",
        };
        let results = w.jobs.clone().map(|j| seen.results.get(j).cloned().unwrap_or_default());
        raw.steps.push(RawStep {
            step: json!({ "op": "window", "packet_order": order }),
            start: *start,
            end: *end,
            elapsed: 0,
            result: if w.storm { Value::Null } else { Value::Array(results.collect()) },
        });
    }
    let end = seen.spans.last().map_or(0, |s| s.1);
    if !windows.last().is_some_and(|w| w.storm) {
        for (_, tables) in &seen.tables {
            let (step, result) = (json!({ "op": "dump", "packets": false }), tidy::tables(tables));
            raw.steps.push(RawStep { step, start: end, end, elapsed: 0, result });
        }
    }
    raw.steps.push(RawStep {
        step: json!({ "op": "end", "packets": false }),
        start: end,
        end,
        elapsed: 0,
        result: Value::Null,
    });
    raw
}
