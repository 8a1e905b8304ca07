//! Runs a case in real namespaces: builds the world, carries out the steps, records the packets.

mod build;
mod capture;
mod features;
mod netns;
mod options;
mod programs;
mod schedule;
mod steps;
mod tables;
mod tcp;
mod tools;
mod udp;
mod wait;

pub use features::{available, lacking, lacks};
pub use schedule::play;

use super::{Error, plan::Plan};
use crate::{
    base::{Errno, Time},
    conform::{
        Case, Run,
        raw::{Raw, RawStep},
        topo::Topology,
    },
};
use capture::{Tap, record};
use netns::NetNs;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io,
    net::TcpStream,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The world of a case while its steps run, and what they share.
struct Session<'c> {
    topo: Topology,
    /// The namespaces by the names of their nodes, in the case's order.
    nodes: Vec<(&'c str, NetNs)>,
    socks: Mutex<BTreeMap<String, Sock>>,
    servers: Mutex<BTreeMap<String, Server>>,
    /// The SNMP counters of each node before the first step.
    snmp: BTreeMap<String, BTreeMap<String, i64>>,
    /// Set when the run is over: every server ends.
    over: AtomicBool,
}

/// A socket that stays open.
enum Sock {
    Udp(Arc<udp::Udp>),
    Tcp(TcpStream),
}

/// What a server received, entry by entry.
type Log = Arc<Mutex<Vec<Map<String, Value>>>>;

/// A server in the background.
struct Server {
    log: Log,
    /// Set to end it.
    closed: Arc<AtomicBool>,
}

/// Locks what a thread that panicked cannot have left half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The machine's clock, which the packets are stamped by too.
fn now() -> Time {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as Time
}

fn pause(span: Time) {
    thread::sleep(Duration::from_nanos(span));
}

/// What an error is called in a result.
fn name_of(e: &io::Error) -> String {
    e.raw_os_error().map_or_else(|| e.to_string(), errno_name)
}

fn errno_name(number: i32) -> String {
    let known = Errno::ALL.iter().find(|e| i32::from(e.number()) == number);
    known.map_or_else(|| format!("{:?}", nix::Error::from_raw(number)), |e| e.name().into())
}

impl Session<'_> {
    fn node(&self, name: &str) -> Result<&NetNs, Error> {
        let found = self.nodes.iter().find(|(n, _)| *n == name);
        found.map(|(_, ns)| ns).ok_or_else(|| Error::Failed(format!("there is no node `{name}`")))
    }
}

impl<'c> Session<'c> {
    /// Builds the world of a case and waits until its cables have a carrier.
    fn build(case: &'c Case) -> Result<Session<'c>, Error> {
        let topo = Topology::of(case)?;
        let plan = Plan::of(case, &topo)?;
        let nodes: Vec<(&str, NetNs)> =
            case.nodes.iter().map(|(name, _)| Ok((name, NetNs::new()?))).collect::<Result<_, Error>>()?;
        build::build(&plan, &nodes)?;
        build::wait_for_carriers(&plan, &nodes)?;
        let snmp = |(name, ns): &(&str, NetNs)| Ok((name.to_string(), tables::snmp(ns)?));
        let snmp = nodes.iter().map(snmp).collect::<Result<_, Error>>()?;
        Ok(Session {
            topo,
            nodes,
            socks: Mutex::default(),
            servers: Mutex::default(),
            snmp,
            over: AtomicBool::new(false),
        })
    }
}

/// Switches all devices but `lo` on or off, as well as that can be done.
fn change_all(nodes: &[(&str, NetNs)], state: &str) {
    for (_, ns) in nodes {
        for link in build::links(ns).unwrap_or_default() {
            let name = link["ifname"].as_str().unwrap_or("lo");
            if name != "lo" {
                // Whatever goes wrong: the namespaces go away soon.
                let _ = ns.program("ip", &["link", "set", "dev", name, state], "");
            }
        }
    }
}

/// See [`super::run`].
pub fn run(case: &Case) -> Result<Run, Error> {
    let session = Session::build(case)?;
    let recorded = session.nodes.iter().filter(|(name, _)| !case.no_capture.iter().any(|n| n == name));
    let mut taps = recorded.map(|(name, ns)| Tap::new(name, ns)).collect::<Result<Vec<_>, _>>()?;
    pause(case.warmup.0);
    let stop = AtomicBool::new(false);
    let (mut raw, captured) = thread::scope(|scope| {
        let recorder = scope.spawn(|| record(&mut taps, &stop));
        let raw = session.steps(scope, case);
        stop.store(true, Ordering::SeqCst);
        let captured = recorder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What the servers send when they end is not recorded any more.
        session.over.store(true, Ordering::SeqCst);
        Ok::<_, Error>((raw?, captured?))
    })?;
    raw.truncated = captured.truncated;
    Ok(Run::observed(raw, captured.packets))
}

impl<'c> Session<'c> {
    fn steps<'scope, 'env>(
        &'env self,
        scope: &'scope thread::Scope<'scope, 'env>,
        case: &'c Case,
    ) -> Result<Raw, Error> {
        let mut raw = Raw::default();
        for (i, step) in case.steps.iter().enumerate() {
            let start = now();
            let result = self.perform(scope, step).map_err(|e| match e {
                Error::Failed(text) => Error::Failed(format!("step {i} {}: {text}", step.source["op"])),
                Error::Unsupported(text) => Error::Unsupported(format!("step {i} {}: {text}", step.source["op"])),
                other => other,
            })?;
            let elapsed = now() - start;
            pause(step.settle.0);
            raw.steps.push(RawStep { step: step.source.clone(), start, end: now(), elapsed, result });
        }
        for (name, server) in locked(&self.servers).iter() {
            let log = locked(&server.log).iter().cloned().map(Value::Object).collect();
            raw.servers.insert(name.clone(), Value::Array(log));
        }
        let end = now();
        raw.steps.push(RawStep { step: json!({ "op": "end" }), start: end, end, elapsed: 0, result: Value::Null });
        Ok(raw)
    }
}
