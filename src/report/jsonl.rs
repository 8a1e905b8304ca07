//! The whole trace for programs: one JSON object a line, one line a record.
//!
//! Every line has `t` (virtual nanoseconds), `ns`, `event`, and where they apply `dev` (within `ns`) and `frame`
//! (`NS#NUMBER`). The other fields belong to the event. The first line names the schema: `{"netsim":"0.1"}`.

use super::{LinkKinds, json::SCHEMA, words};
use crate::{
    base::{DevId, Mac, Time, Tuple},
    trace::{
        ConntrackChange, Delivery, Direction, Event, FdbChange, FrameId, Names, Origin, Record, RouteUse, Sink,
        Switching,
    },
    wire::dissect::summary,
};
use serde::Serialize;
use std::{
    fmt::Write as _,
    io::{self, Write},
    net::IpAddr,
};

/// Writes each record as a line of JSON.
///
/// ```
/// use netsim::{report::jsonl::JsonlSink, trace::{Event, Names, Record, Sink}};
/// let mut names = Names::default();
/// let a = names.add_ns("a");
/// let mut sink = JsonlSink::new(Vec::new());
/// sink.record(&names, &Record { time: 5, ns: a, dev: None, frame: None, event: Event::Step { text: "go" } });
/// assert_eq!(sink.finish()?, 1);
/// assert_eq!(sink.into_inner(), b"{\"netsim\":\"0.1\"}\n{\"t\":5,\"ns\":\"a\",\"event\":\"step\",\"text\":\"go\"}\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct JsonlSink<W> {
    out: W,
    kinds: LinkKinds,
    with_bytes: bool,
    records: u64,
    trouble: Option<io::Error>,
}

impl<W: Write> JsonlSink<W> {
    /// A sink that writes to `out`; buffer it if writes are costly.
    pub fn new(mut out: W) -> JsonlSink<W> {
        let trouble = writeln!(out, "{{\"netsim\":\"{SCHEMA}\"}}").err();
        JsonlSink { out, kinds: LinkKinds::default(), with_bytes: false, records: 0, trouble }
    }

    /// Adds the bytes of every frame in hexadecimal, as field `bytes`.
    pub fn with_bytes(self) -> JsonlSink<W> {
        JsonlSink { with_bytes: true, ..self }
    }

    /// Declares that a device other than `lo` has no link-layer header.
    pub fn declare_ip(&mut self, dev: DevId) {
        self.kinds.declare_ip(dev);
    }

    /// Flushes, and says how many records were written.
    ///
    /// # Errors
    /// The first error of the writer. Records after it were not written.
    pub fn finish(&mut self) -> io::Result<u64> {
        match self.trouble.take() {
            Some(e) => Err(e),
            None => self.out.flush().map(|()| self.records),
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write + Send> Sink for JsonlSink<W> {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        if self.trouble.is_some() {
            return;
        }
        let line = Line {
            t: record.time,
            ns: names.ns(record.ns),
            dev: record.dev.map(|d| names.dev(d)),
            frame: record.frame.map(|id| words::frame(names, id)),
            what: self.what(names, record),
        };
        let mut text = serde_json::to_string(&line).expect("a line has string keys and finite numbers only");
        text.push('\n');
        match self.out.write_all(text.as_bytes()) {
            Ok(()) => self.records += 1,
            Err(e) => self.trouble = Some(e),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    t: Time,
    ns: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<String>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What<'a> {
    Created {
        origin: &'static str,
        parent: Option<String>,
    },
    Frame {
        dir: &'static str,
        len: usize,
        packet: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<String>,
    },
    Route {
        purpose: &'static str,
        dst: IpAddr,
        via: Option<IpAddr>,
        out: &'a str,
    },
    Forwarded {
        ttl: u8,
        out: &'a str,
    },
    AwaitNeighbour {
        addr: IpAddr,
    },
    Neighbour {
        addr: IpAddr,
        from: &'static str,
        to: &'static str,
        mac: Option<String>,
    },
    Fdb {
        mac: String,
        port: &'a str,
        #[serde(flatten)]
        change: Change<'a>,
    },
    Switched {
        dst: String,
        #[serde(flatten)]
        to: Decision<'a>,
    },
    Nat {
        hook: &'static str,
        before: Flow,
        after: Flow,
    },
    Conntrack {
        change: &'static str,
        original: Flow,
        reply: Flow,
    },
    IcmpError {
        #[serde(rename = "type")]
        kind: u8,
        code: u8,
        to: IpAddr,
    },
    Delivered {
        to: &'static str,
    },
    Dropped {
        reason: &'static str,
        sentence: &'static str,
    },
    Link {
        up: bool,
    },
    App {
        app: u32,
        line: &'a str,
    },
    Tcp {
        flow: Flow,
        state: &'static str,
    },
    Step {
        text: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum Change<'a> {
    Learned,
    Moved { from: &'a str },
    Removed,
    Collision { first: &'a str, second: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
enum Decision<'a> {
    Port { port: &'a str },
    Flood { ports: u32 },
    Up,
}

#[derive(Serialize)]
struct Flow {
    proto: u8,
    src: IpAddr,
    sport: u16,
    dst: IpAddr,
    dport: u16,
}

impl From<Tuple> for Flow {
    fn from(t: Tuple) -> Flow {
        Flow { proto: t.proto, src: t.src, sport: t.sport, dst: t.dst, dport: t.dport }
    }
}

impl<W> JsonlSink<W> {
    fn what<'a>(&self, names: &'a Names, record: &Record<'a>) -> What<'a> {
        let name = |id: FrameId| words::frame(names, id);
        let mac = |m: Mac| m.to_string();
        match record.event {
            Event::Created { origin, parent } => {
                What::Created { origin: origin_code(origin), parent: parent.map(name) }
            }
            Event::Frame { dir, bytes } => self.frame(names, record.dev, dir, bytes),
            Event::Route { purpose, dst, via, out } => {
                let purpose = match purpose {
                    RouteUse::Output => "output",
                    RouteUse::Forward => "forward",
                    RouteUse::Input => "input",
                };
                What::Route { purpose, dst, via, out: names.dev(out) }
            }
            Event::Forwarded { ttl, out } => What::Forwarded { ttl, out: names.dev(out) },
            Event::AwaitNeighbour { addr } => What::AwaitNeighbour { addr },
            Event::Neighbour { addr, from, to, mac: m } => {
                What::Neighbour { addr, from: from.name(), to: to.name(), mac: m.map(mac) }
            }
            Event::Fdb { mac: m, port, change } => {
                let change = match change {
                    FdbChange::Learned => Change::Learned,
                    FdbChange::Moved { from } => Change::Moved { from: names.dev(from) },
                    FdbChange::Removed => Change::Removed,
                    FdbChange::Collision { first, second } => {
                        Change::Collision { first: names.ns(first), second: names.ns(second) }
                    }
                };
                What::Fdb { mac: mac(m), port: names.dev(port), change }
            }
            Event::Switched { dst, to } => {
                let to = match to {
                    Switching::Port(port) => Decision::Port { port: names.dev(port) },
                    Switching::Flood(ports) => Decision::Flood { ports },
                    Switching::Up => Decision::Up,
                };
                What::Switched { dst: mac(dst), to }
            }
            Event::Nat { hook, before, after } => {
                What::Nat { hook: hook.name(), before: before.into(), after: after.into() }
            }
            Event::Conntrack { change, original, reply } => {
                let change = match change {
                    ConntrackChange::New => "new",
                    ConntrackChange::Destroyed => "destroyed",
                };
                What::Conntrack { change, original: original.into(), reply: reply.into() }
            }
            Event::IcmpError { kind, code, to } => What::IcmpError { kind, code, to },
            Event::Delivered(d) => What::Delivered { to: delivery_code(d) },
            Event::Dropped(r) => What::Dropped { reason: r.code(), sentence: r.sentence() },
            Event::Link { up } => What::Link { up },
            Event::App { app, line } => What::App { app: app.0, line },
            Event::Tcp { tuple, state } => What::Tcp { flow: tuple.into(), state },
            Event::Step { text } => What::Step { text },
        }
    }

    fn frame<'a>(&self, names: &Names, dev: Option<DevId>, dir: Direction, bytes: &[u8]) -> What<'a> {
        let packet = dev.map(|d| summary(bytes, self.kinds.of(names, d))).unwrap_or_default();
        let hex = |b: &[u8]| {
            b.iter().fold(String::with_capacity(2 * b.len()), |mut s, byte| {
                write!(s, "{byte:02x}").expect("writing to a String cannot fail");
                s
            })
        };
        let dump = self.with_bytes.then(|| hex(bytes));
        What::Frame { dir: words::direction(dir), len: bytes.len(), packet, bytes: dump }
    }
}

const fn origin_code(o: Origin) -> &'static str {
    match o {
        Origin::Socket => "socket",
        Origin::Icmp => "icmp",
        Origin::Neighbour => "neighbour",
        Origin::Reset => "reset",
        Origin::Flood => "flood",
        Origin::Duplicate => "duplicate",
        Origin::Fragment => "fragment",
        Origin::Reassembled => "reassembled",
        Origin::LocalCopy => "local_copy",
        Origin::Bpdu => "bpdu",
        Origin::Injected => "injected",
    }
}

const fn delivery_code(d: Delivery) -> &'static str {
    match d {
        Delivery::Socket => "socket",
        Delivery::Icmp => "icmp",
        Delivery::Neighbour => "neighbour",
        Delivery::Bridge => "bridge",
        Delivery::Split => "split",
        Delivery::Joined => "joined",
        Delivery::Copied => "copied",
        Delivery::External => "external",
    }
}
