//! Runs a case: builds its world, performs its steps in virtual time, collects what happened.

use super::{
    capture::{Capture, FILE_LIMIT},
    case::{Case, Step},
    diff::{IGNORED, compare},
    exec::{Executor, Lab},
    lab,
    normal::normalise,
    ops,
    raw::{Packet, Raw, RawStep},
    topo::Topology,
};
use crate::{
    base::{DevId, MS, NsId, SEC, Time, US},
    report::pcapng::PcapngSink,
    trace::{Event, Names, Record, Sink},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    mem,
    sync::{Arc, Mutex},
};

/// Virtual time between the building of a world and the end of its warm-up. On a real machine the many commands take
/// about as long; carrier and spanning tree settle in it.
const BUILD: Time = SEC;
/// Between two steps, so that what a step sends at once is not seen as part of the one before.
const BETWEEN: Time = US;
/// How long servers are listened to after the end.
const CLOSING: Time = 100 * MS;

/// What a run yielded.
pub struct Run {
    /// The raw trace.
    pub raw: Raw,
    /// The packets, in the order they passed.
    pub packets: Vec<Packet>,
    pcapng: PcapngSink,
    names: Names,
}

impl Run {
    /// What was seen elsewhere than in netsim's own worlds: on a real kernel.
    pub fn observed(raw: Raw, packets: Vec<Packet>) -> Run {
        let mut names = Names::default();
        let mut pcapng = PcapngSink::new(FILE_LIMIT);
        let mut known: BTreeMap<(&str, &str), (NsId, DevId)> = BTreeMap::new();
        for p in &packets {
            let (ns, dev) = *known.entry((&p.node, &p.iface)).or_insert_with(|| {
                let ns = names.add_ns(&p.node);
                let dev = names.add_dev(ns, &p.iface);
                if !p.ethernet {
                    pcapng.declare_ip(dev);
                }
                (ns, dev)
            });
            let event = Event::Frame { dir: p.dir, bytes: &p.bytes };
            let record = Record { time: p.time, ns, dev: Some(dev), frame: None, event };
            pcapng.record(&names, &record);
        }
        Run { raw, packets, pcapng, names }
    }

    /// Writes the packets as pcapng: an interface `node:iface` for each device, the direction in each packet's flags.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_pcapng(&self, out: &mut dyn Write) -> io::Result<()> {
        self.pcapng.finish(&self.names, out).map(|_| ())
    }
}

/// Runs a case. Equal cases and seeds give equal runs.
///
/// # Errors
/// What could not be built or performed, beginning with `not supported:` where netsim does not know such a thing.
///
/// ```
/// use netsim::conform::{Case, run};
/// let case = Case::parse(r#"{"nodes": {"a": {"ifaces": {"eth0": {"addr": ["10.0.0.1/24"]}}},
///     "b": {"ifaces": {"eth0": {"addr": ["10.0.0.2/24"]}}}}, "links": [["a:eth0", "b:eth0"]],
///     "steps": [{"op": "ping", "node": "a", "dst": "10.0.0.2"}]}"#)?;
/// let run = run(&case, 1)?;
/// assert_eq!(run.raw.steps[0].result["rx"], 1);
/// assert_eq!(run.packets.len(), 8, "request and reply of ARP and of ICMP, at both ends");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(case: &Case, seed: u64) -> Result<Run, String> {
    let topo = Topology::of(case)?;
    let world = lab::build(case, &topo, seed)?;
    let lab = Lab::new(world, topo);
    let mut exec = Executor::new(lab.clone());
    let at = |i: usize, step: &Step, what: &dyn std::fmt::Display| format!("step {i} {}: {what}", step.source["op"]);
    exec.run(lab.sleep(BUILD)).map_err(|e| format!("build: {e}"))?;
    let bare = {
        let w = lab.world.borrow();
        (0..w.devs.len() as u32).map(DevId).filter(|d| w.dev(*d).is_bare()).collect()
    };
    let captured = Arc::new(Mutex::new(Capture::new(&case.no_capture, bare)));
    {
        let mut w = lab.world.borrow_mut();
        w.core.tracer.add(Box::new(captured.clone()));
        for (node, _) in case.nodes.iter() {
            if let Some(ns) = w.find_ns(node) {
                lab.snmp.borrow_mut().insert(node.into(), ops::snmp(&w, ns));
            }
        }
    }
    exec.run(lab.sleep(case.warmup.0)).map_err(|e| format!("warm-up: {e}"))?;
    let mut raw = Raw::default();
    for (i, step) in case.steps.iter().enumerate() {
        let start = lab.now();
        let result = exec.run(ops::perform(lab.clone(), step.clone())).map_err(|e| at(i, step, &e))?;
        let result = result.map_err(|e| at(i, step, &e))?;
        let elapsed = lab.now() - start;
        exec.run(lab.sleep(step.settle.0)).map_err(|e| at(i, step, &e))?;
        let end = lab.now();
        raw.steps.push(RawStep { step: step.source.clone(), start, end, elapsed, result });
        exec.run(lab.sleep(BETWEEN)).map_err(|e| at(i, step, &e))?;
    }
    let capture = {
        let mut capture = captured.lock().expect("a sink that panicked ends the run");
        mem::replace(&mut *capture, Capture::new(&[], Vec::new()))
    };
    // The end of the program closes what is open. Servers notice, but nobody looks at the packets any more.
    let open: Vec<_> = lab.socks.borrow().values().copied().collect();
    open.into_iter().for_each(|sock| lab.world.borrow_mut().close(sock));
    exec.run(lab.sleep(CLOSING)).map_err(|e| format!("end: {e}"))?;
    for (name, server) in lab.servers.borrow().iter() {
        let log = server.log.borrow().iter().cloned().map(Value::Object).collect();
        raw.servers.insert(name.clone(), Value::Array(log));
    }
    let now = lab.now();
    let end = json!({ "op": "end" });
    raw.steps.push(RawStep { step: end, start: now, end: now, elapsed: 0, result: Value::Null });
    raw.truncated = capture.truncated;
    let (packets, pcapng) = capture.into_parts();
    let names = mem::take(&mut lab.world.borrow_mut().core.tracer.names);
    Ok(Run { raw, packets, pcapng, names })
}

/// The differences between a run and what a kernel did, whose observation is given as the text of its JSON. Empty if
/// there are none.
///
/// # Errors
/// If the observation is no JSON.
pub fn judge(case: &Case, run: &Run, golden: &str) -> Result<Vec<String>, String> {
    let golden = serde_json::from_str(golden).map_err(|e| format!("the kernel's observation: {e}"))?;
    Ok(compare(&golden, &normalise(case, &run.raw, &run.packets)?, &IGNORED))
}

/// The differences between two runs of a case, of which the first is right. Empty if there are none.
///
/// # Errors
/// If the case's topology makes no sense.
pub fn compare_runs(case: &Case, golden: &Run, other: &Run) -> Result<Vec<String>, String> {
    let observe = |run: &Run| normalise(case, &run.raw, &run.packets);
    Ok(compare(&observe(golden)?, &observe(other)?, &IGNORED))
}
