//! The trace as JSON lines: every kind of event, field by field.

use netsim::{
    base::{AppId, Mac, Tuple},
    report::jsonl::JsonlSink,
    trace::{
        ConntrackChange, Delivery, Direction, DropReason, Event, FdbChange, FrameId, HookPoint, Names, NeighState,
        Origin, Record, RouteUse, Sink, Switching,
    },
    wire::dissect::build,
};
use serde_json::{Value, json};
use std::io;

#[test]
fn every_event_has_its_fields() {
    let mut names = Names::default();
    let (a, b) = (names.add_ns("a"), names.add_ns("b"));
    let (eth0, eth1) = (names.add_dev(a, "eth0"), names.add_dev(a, "eth1"));
    let tuple = Tuple { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into(), sport: 5, dport: 6, proto: 17 };
    let flow = json!({"proto": 17, "src": "10.0.0.1", "sport": 5, "dst": "10.0.0.2", "dport": 6});
    let back = json!({"proto": 17, "src": "10.0.0.2", "sport": 6, "dst": "10.0.0.1", "dport": 5});
    let id = FrameId { ns: a, seq: 3 };
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let addr = tuple.dst;
    let frame = build::with_ethertype(mac, mac, 0x88b5, &[1]);
    let hex = "0200000000010200000000018".to_owned() + "8b501";
    let fdb = |change| Event::Fdb { mac, port: eth0, change };
    let switched = |to| Event::Switched { dst: mac, to };
    let cases = [
        (
            Event::Created { origin: Origin::LocalCopy, parent: Some(id) },
            json!({"event": "created", "origin": "local_copy", "parent": "a#3"}),
        ),
        (
            Event::Frame { dir: Direction::Out, bytes: &frame },
            json!({"event": "frame", "dir": "out", "len": 15, "packet": "ethertype=0x88b5 len=1", "bytes": hex}),
        ),
        (
            Event::Route { purpose: RouteUse::Forward, dst: addr, via: Some(tuple.src), out: eth1 },
            json!({"event": "route", "purpose": "forward", "dst": "10.0.0.2", "via": "10.0.0.1", "out": "eth1"}),
        ),
        (Event::Forwarded { ttl: 63, out: eth1 }, json!({"event": "forwarded", "ttl": 63, "out": "eth1"})),
        (Event::AwaitNeighbour { addr }, json!({"event": "await_neighbour", "addr": "10.0.0.2"})),
        (
            Event::Neighbour { addr, from: NeighState::Incomplete, to: NeighState::Reachable, mac: Some(mac) },
            json!({"event": "neighbour", "addr": "10.0.0.2", "from": "INCOMPLETE", "to": "REACHABLE", "mac": "02:00:00:00:00:01"}),
        ),
        (
            fdb(FdbChange::Learned),
            json!({"event": "fdb", "mac": "02:00:00:00:00:01", "port": "eth0", "change": "learned"}),
        ),
        (
            fdb(FdbChange::Moved { from: eth1 }),
            json!({"event": "fdb", "mac": "02:00:00:00:00:01", "port": "eth0", "change": "moved", "from": "eth1"}),
        ),
        (
            fdb(FdbChange::Removed),
            json!({"event": "fdb", "mac": "02:00:00:00:00:01", "port": "eth0", "change": "removed"}),
        ),
        (
            fdb(FdbChange::Collision { first: a, second: b }),
            json!({"event": "fdb", "mac": "02:00:00:00:00:01", "port": "eth0", "change": "collision", "first": "a", "second": "b"}),
        ),
        (
            switched(Switching::Port(eth1)),
            json!({"event": "switched", "dst": "02:00:00:00:00:01", "decision": "port", "port": "eth1"}),
        ),
        (
            switched(Switching::Flood(3)),
            json!({"event": "switched", "dst": "02:00:00:00:00:01", "decision": "flood", "ports": 3}),
        ),
        (switched(Switching::Up), json!({"event": "switched", "dst": "02:00:00:00:00:01", "decision": "up"})),
        (
            Event::Nat { hook: HookPoint::Prerouting, before: tuple, after: tuple.inverse() },
            json!({"event": "nat", "hook": "prerouting", "before": flow, "after": back}),
        ),
        (
            Event::Conntrack { change: ConntrackChange::New, original: tuple, reply: tuple.inverse() },
            json!({"event": "conntrack", "change": "new", "original": flow, "reply": back}),
        ),
        (
            Event::IcmpError { kind: 3, code: 1, to: addr },
            json!({"event": "icmp_error", "type": 3, "code": 1, "to": "10.0.0.2"}),
        ),
        (Event::Delivered(Delivery::Joined), json!({"event": "delivered", "to": "joined"})),
        (
            Event::Dropped(DropReason::NoSocket),
            json!({"event": "dropped", "reason": "NO_SOCKET", "sentence": DropReason::NoSocket.sentence()}),
        ),
        (Event::Link { up: false }, json!({"event": "link", "up": false})),
        (
            Event::App { app: AppId(4), line: "a \"quoted\"\tline" },
            json!({"event": "app", "app": 4, "line": "a \"quoted\"\tline"}),
        ),
        (Event::Tcp { tuple, state: "SYN-SENT" }, json!({"event": "tcp", "flow": flow, "state": "SYN-SENT"})),
        (Event::Step { text: "link down" }, json!({"event": "step", "text": "link down"})),
    ];
    let mut sink = JsonlSink::new(Vec::new()).with_bytes();
    for (event, _) in &cases {
        sink.record(&names, &Record { time: 9, ns: a, dev: Some(eth0), frame: Some(id), event: *event });
    }
    assert_eq!(sink.finish().expect("a Vec takes all"), cases.len() as u64);
    let text = String::from_utf8(sink.into_inner()).expect("UTF-8");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("{\"netsim\":\"0.1\"}"));
    for (line, (_, mut expected)) in lines.zip(cases) {
        for (field, value) in [("t", json!(9)), ("ns", json!("a")), ("dev", json!("eth0")), ("frame", json!("a#3"))] {
            expected[field] = value;
        }
        assert_eq!(serde_json::from_str::<Value>(line).expect("JSON"), expected);
    }
}

/// Takes two lines, then the disk is full.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(b.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn trouble_with_the_writer_is_reported_at_the_end() {
    let mut names = Names::default();
    let a = names.add_ns("a");
    let mut sink = JsonlSink::new(Full(10));
    let step = |sink: &mut JsonlSink<Full>, names: &Names| {
        sink.record(names, &Record { time: 0, ns: a, dev: None, frame: None, event: Event::Step { text: "x" } });
    };
    step(&mut sink, &names);
    assert!(sink.finish().is_ok());
    for _ in 0..20 {
        step(&mut sink, &names);
    }
    assert_eq!(sink.finish().expect_err("the disk is full").kind(), io::ErrorKind::StorageFull);
}
