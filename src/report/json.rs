//! The report of a run for programs: one JSON document with stable field names.
//!
//! Times are virtual nanoseconds, names are those of the scenario, and 64-bit digests are hexadecimal strings because
//! many JSON readers round large numbers. Fields may be added within a schema version; none changes its meaning.

use super::{
    stats::{StatsSink, Traffic},
    words,
};
use crate::{
    base::{DevId, Time},
    sim::{self, RunSummary, World},
    trace::Names,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the document's schema.
pub const SCHEMA: &str = "0.1";

/// A whole run.
///
/// ```
/// use netsim::report::json::Run;
/// let run = Run { scenario: "nat".into(), seed: 7, ..Run::default() };
/// assert!(run.to_json().starts_with("{\n  \"netsim\": \"0.1\",\n  \"scenario\": \"nat\",\n  \"seed\": 7,"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub netsim: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// The seed of its random streams.
    pub seed: u64,
    /// The trace digest, 16 hexadecimal digits; absent if none was computed.
    pub digest: Option<String>,
    /// Why the run ended.
    pub end: End,
    /// The ledger of frames.
    pub frames: Frames,
    /// Drops by reason and place.
    pub drops: Vec<Drop>,
    /// Devices that carried something.
    pub devices: Vec<Device>,
    /// MAC addresses that two namespaces carry.
    pub collisions: Vec<Collision>,
    /// Neighbours that did not answer.
    pub neighbour_failures: Vec<NeighbourFailure>,
    /// The apps in the order they were started.
    pub apps: Vec<App>,
    /// The scenario's expectations in its order.
    pub expectations: Vec<Expectation>,
    /// The namespaces' tables at the end, by namespace and table.
    pub namespaces: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Why and when a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct End {
    /// A stable word: `quiescent`, `until`, `events`, `frames` or `time`.
    pub reason: &'static str,
    /// The same for people.
    pub sentence: String,
    /// Whether a limit that guards against storms and loops ended it.
    pub limit: bool,
    /// Virtual time at the end.
    pub time_ns: Time,
    /// Steps of the event loop.
    pub events: u64,
}

/// created = delivered + dropped + in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frames {
    /// Frames created.
    pub created: u64,
    /// Frames that reached a goal.
    pub delivered: u64,
    /// Frames dropped.
    pub dropped: u64,
    /// Frames under way at the end.
    pub in_flight: u64,
}

/// Frames dropped for one reason at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drop {
    /// The stable code.
    pub code: &'static str,
    /// The reason for people.
    pub sentence: &'static str,
    /// Where: `ns:dev`, or `ns`.
    pub at: String,
    /// How many.
    pub count: u64,
    /// When the first one was.
    pub first_ns: Time,
    /// The first one in words.
    pub example: Option<String>,
}

/// What a device carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `ns:dev`.
    pub device: String,
    /// The counters.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Two namespaces that carry one MAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collision {
    /// `ns:dev` of the bridge that noticed.
    pub bridge: Option<String>,
    /// The address.
    pub mac: String,
    /// The first owner and the other one.
    pub namespaces: [String; 2],
    /// How often it was noticed.
    pub count: u64,
    /// When first.
    pub first_ns: Time,
}

/// A neighbour that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeighbourFailure {
    /// Who asked: `ns:dev`, or `ns`.
    pub at: String,
    /// The neighbour's address.
    pub addr: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_ns: Time,
}

/// What came of an app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct App {
    /// The namespace it ran in.
    pub ns: String,
    /// The command as a user would type it.
    pub command: String,
    /// When it started.
    pub started_ns: Time,
    /// Its exit status; absent if it was still running.
    pub exit: Option<i32>,
    /// Its outcome: an object whose field `app` names the kind.
    pub outcome: Value,
    /// What it printed, line by line.
    pub output: Vec<String>,
}

/// Whether an expectation came true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// The expectation in words.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// Why, or why not.
    pub why: String,
}

impl From<&RunSummary> for End {
    fn from(s: &RunSummary) -> End {
        let reason = match s.end {
            sim::End::Quiescent => "quiescent",
            sim::End::Until(_) => "until",
            sim::End::Events(_) => "events",
            sim::End::Frames(_) => "frames",
            sim::End::Time(_) => "time",
        };
        End { reason, sentence: s.end.to_string(), limit: s.end.is_limit(), time_ns: s.time, events: s.events }
    }
}

impl Default for Run {
    fn default() -> Run {
        Run {
            netsim: SCHEMA,
            scenario: String::new(),
            seed: 0,
            digest: None,
            end: End::default(),
            frames: Frames::default(),
            drops: Vec::new(),
            devices: Vec::new(),
            collisions: Vec::new(),
            neighbour_failures: Vec::new(),
            apps: Vec::new(),
            expectations: Vec::new(),
            namespaces: BTreeMap::new(),
        }
    }
}

/// A value as indented JSON with a line end.
///
/// # Panics
/// If it has keys that are no strings, or numbers that are not finite.
pub(super) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("documents have string keys and finite numbers only");
    text.push('\n');
    text
}

impl Run {
    /// Fills in the seed, the digest, the end of the run, the ledger of frames, and the apps.
    pub fn set_world(&mut self, world: &World, summary: &RunSummary) {
        self.seed = world.core.seed;
        self.digest = world.core.tracer.digest().map(|d| format!("{d:016x}"));
        self.end = summary.into();
        let ledger = &world.core.pool.ledger;
        self.frames = Frames {
            created: ledger.created(),
            delivered: ledger.delivered(),
            dropped: ledger.dropped_total(),
            in_flight: summary.in_flight,
        };
        let names = &world.core.tracer.names;
        let apps = world.apps().map(|a| App {
            ns: names.ns(a.ns).to_owned(),
            command: a.command,
            started_ns: a.started,
            exit: a.exit,
            outcome: serde_json::to_value(&a.outcome).expect("an outcome has string keys and finite numbers only"),
            output: a.output.to_vec(),
        });
        self.apps = apps.collect();
    }

    /// Fills in drops, devices, collisions and neighbour failures. The ledger is not touched: it is the world's.
    pub fn set_stats(&mut self, names: &Names, stats: &StatsSink) {
        let drops = stats.drops().map(|(&(reason, ns, dev), d)| Drop {
            code: reason.code(),
            sentence: reason.sentence(),
            at: words::place(names, ns, dev),
            count: d.count,
            first_ns: d.first,
            example: d.example.clone(),
        });
        self.drops = drops.collect();
        let devices = (0..names.dev_count() as u32).map(DevId).filter_map(|dev| {
            let traffic = stats.traffic(dev);
            (traffic != Traffic::default()).then(|| Device { device: names.full(dev), traffic })
        });
        self.devices = devices.collect();
        let collisions = stats.collisions().map(|(c, n)| Collision {
            bridge: c.bridge.map(|b| names.full(b)),
            mac: c.mac.to_string(),
            namespaces: [c.first, c.second].map(|ns| names.ns(ns).to_owned()),
            count: n.count,
            first_ns: n.first,
        });
        self.collisions = collisions.collect();
        let failures = stats.neighbour_failures().map(|((ns, dev, addr), n)| NeighbourFailure {
            at: words::place(names, *ns, *dev),
            addr: addr.to_string(),
            count: n.count,
            first_ns: n.first,
        });
        self.neighbour_failures = failures.collect();
    }

    /// The document, indented, with a line end.
    pub fn to_json(&self) -> String {
        pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::{Context, Outcome},
        base::{Errno, Mac, SEC, SockId},
        sim::Limits,
        trace::{Direction, DropReason, Event, FdbChange, FrameId, NeighState, Record, Sink},
    };
    use serde_json::json;

    /// The field names are a promise to programs: this is the whole document.
    #[test]
    fn schema() {
        let mut names = Names::default();
        let (a, b) = (names.add_ns("a"), names.add_ns("b"));
        let eth0 = names.add_dev(a, "eth0");
        let br0 = names.add_dev(b, "br0");
        let mut stats = StatsSink::new();
        let mut emit = |time, dev, frame, event| {
            let ns = names.owner(dev);
            let record = Record { time, ns, dev: Some(dev), frame, event };
            stats.record(&names, &record);
        };
        let frame = Some(FrameId { ns: a, seq: 1 });
        emit(5, eth0, frame, Event::Frame { dir: Direction::Out, bytes: &[0; 60] });
        emit(6, eth0, frame, Event::Dropped(DropReason::LinkLoss));
        let change = FdbChange::Collision { first: a, second: b };
        emit(7, br0, None, Event::Fdb { mac: Mac([2, 0, 0, 0, 0, 1]), port: br0, change });
        let (addr, to) = ([10, 0, 0, 9].into(), NeighState::Failed);
        emit(8, eth0, None, Event::Neighbour { addr, from: NeighState::Incomplete, to, mac: None });

        let digest = Some(format!("{:016x}", 0xabc));
        let mut run = Run { scenario: "s".into(), seed: 7, digest, ..Run::default() };
        run.set_stats(&names, &stats);
        run.end = End { reason: "quiescent", sentence: "rest".into(), limit: false, time_ns: 9, events: 4 };
        run.frames = Frames { created: 1, delivered: 0, dropped: 1, in_flight: 0 };
        run.apps.push(App {
            ns: "a".into(),
            command: "ping b".into(),
            started_ns: 0,
            exit: Some(1),
            outcome: json!({"app": "ping"}),
            output: vec!["PING".into()],
        });
        run.expectations.push(Expectation { text: "a reaches b".into(), holds: false, why: "lost".into() });
        run.namespaces.entry("a".into()).or_default().insert("routes".into(), vec!["default via b".into()]);
        let document: Value = serde_json::from_str(&run.to_json()).expect("JSON");
        assert_eq!(
            document,
            json!({
                "netsim": "0.1",
                "scenario": "s",
                "seed": 7,
                "digest": "0000000000000abc",
                "end": {"reason": "quiescent", "sentence": "rest", "limit": false, "time_ns": 9, "events": 4},
                "frames": {"created": 1, "delivered": 0, "dropped": 1, "in_flight": 0},
                "drops": [{
                    "code": "NETSIM_LINK_LOSS", "sentence": "the link lost it (configured loss)", "at": "a:eth0",
                    "count": 1, "first_ns": 6, "example": "ethertype=0x0000 len=46"
                }],
                "devices": [{"device": "a:eth0", "frames_in": 0, "bytes_in": 0, "frames_out": 1, "bytes_out": 60}],
                "collisions": [{
                    "bridge": "b:br0", "mac": "02:00:00:00:00:01", "namespaces": ["a", "b"], "count": 1, "first_ns": 7
                }],
                "neighbour_failures": [{"at": "a:eth0", "addr": "10.0.0.9", "count": 1, "first_ns": 8}],
                "apps": [{
                    "ns": "a", "command": "ping b", "started_ns": 0, "exit": 1, "outcome": {"app": "ping"},
                    "output": ["PING"]
                }],
                "expectations": [{"text": "a reaches b", "holds": false, "why": "lost"}],
                "namespaces": {"a": {"routes": ["default via b"]}}
            })
        );
    }
    /// Prints a line, stays a second, and leaves.
    struct Visitor;

    impl crate::app::App for Visitor {
        fn command(&self) -> String {
            "visitor".into()
        }

        fn start(&mut self, cx: &mut Context<'_>) {
            cx.print("hello");
            cx.timer(cx.now() + SEC, 1);
        }

        fn on_timer(&mut self, _token: u64, cx: &mut Context<'_>) {
            cx.exit(3);
        }

        fn on_socket(&mut self, _sock: SockId, _cx: &mut Context<'_>) {}

        fn outcome(&self) -> Outcome {
            Outcome::Server {
                served: 0,
                bytes: 0,
                peers: vec![([10, 0, 0, 1].into(), 80)],
                error: Some(Errno::EADDRINUSE),
                last: None,
                streams: Vec::new(),
            }
        }
    }

    #[test]
    fn a_world_fills_in_its_part() {
        let mut world = World::new(9);
        world.core.tracer.enable_digest();
        let a = world.add_namespace("a").expect("a new name");
        world.spawn(a, SEC, Box::new(Visitor));
        let summary = world.run(&Limits::default());
        let mut run = Run::default();
        run.set_world(&world, &summary);
        assert_eq!((run.seed, run.frames), (9, Frames::default()));
        assert_eq!((run.end.reason, run.end.limit, run.end.time_ns), ("quiescent", false, 2 * SEC));
        assert!(run.digest.is_some_and(|d| d.len() == 16));
        let [app] = &run.apps[..] else { panic!("one app was started") };
        assert_eq!((&app.ns[..], &app.command[..], app.started_ns, app.exit), ("a", "visitor", SEC, Some(3)));
        assert_eq!(app.output, ["hello"]);
        let outcome = json!({"app": "server", "served": 0, "bytes": 0, "peers": [["10.0.0.1", 80]], "error": "EADDRINUSE", "last": null, "streams": []});
        assert_eq!(app.outcome, outcome);
    }
}
