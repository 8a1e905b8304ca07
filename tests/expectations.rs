//! Expectations: when they hold, when they do not, and that the reason names the first wrong table entry or drop.

use netsim::{
    base::SEC,
    report::run::RunReport,
    scenario::{self, BuildOptions, RunOptions},
};

fn run(source: &str) -> RunReport {
    let scenario = scenario::load(source).unwrap_or_else(|found| panic!("{found:?}"));
    scenario::run(&scenario, RunOptions::default()).unwrap_or_else(|found| panic!("{found:?}"))
}

/// A chain a – r – b in which `extra` replaces parts, with expectations.
fn chain(a: &str, r: &str, b: &str, steps: &str, expect: &str) -> RunReport {
    run(&format!(
        r#"(
            namespaces: {{
                "a": (devices: {{ "eth0": (addr: ["10.0.1.2/24"]) }}, {a}),
                "r": (devices: {{ "e1": (addr: ["10.0.1.1/24"]), "e2": (addr: ["10.0.2.1/24"]) }}, {r}),
                "b": (devices: {{ "eth0": (addr: ["10.0.2.2/24"]) }}, {b}),
            }},
            links: ["a:eth0 -- r:e1", "b:eth0 -- r:e2"],
            steps: [{steps}],
            expect: [{expect}],
        )"#
    ))
}

const GATEWAY_A: &str = r#"routes: ["default via 10.0.1.1"]"#;
const GATEWAY_B: &str = r#"routes: ["default via 10.0.2.1"]"#;
const FORWARDS: &str = r#"sysctl: {"net.ipv4.ip_forward": "1"}"#;
const REACH: &str = r#"Reach(from: "a", to: "b")"#;

/// The reason of the only expectation, which does not hold.
fn reason(report: &RunReport) -> &str {
    assert!(!report.passed);
    let e = &report.document.expectations[0];
    assert!(!e.holds, "{e:?}");
    &e.why
}

#[test]
fn a_missing_route_is_named() {
    let why = chain("", FORWARDS, GATEWAY_B, "", REACH);
    assert_eq!(reason(&why), "a has no route to 10.0.2.2, so nothing is sent (ENETUNREACH)");
}

#[test]
fn a_router_that_does_not_forward_is_named() {
    let report = chain(GATEWAY_A, "", GATEWAY_B, "", REACH);
    let expected = "lost on the way there: r drops it: the packet is for another host and forwarding is off here (IP_INADDRERRORS)";
    assert_eq!(reason(&report), expected);
}

#[test]
fn a_missing_way_back_is_named() {
    let report = chain(GATEWAY_A, FORWARDS, "", "", REACH);
    assert_eq!(reason(&report), "b receives it but has no route back to 10.0.1.2");
}

#[test]
fn a_silent_neighbour_is_named() {
    let expect = r#"Reach(from: "a", to: "10.0.1.77")"#;
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, "", expect);
    assert!(reason(&report).contains("nobody answered when asked for the next hop's MAC address (NEIGH_FAILED)"));
}

#[test]
fn a_firewall_on_the_way_back_is_named() {
    let r = format!(r#"{FORWARDS}, filter: (forward: (rules: [Drop(in: "e2")]))"#);
    let report = chain(GATEWAY_A, &r, GATEWAY_B, "", REACH);
    assert_eq!(
        reason(&report),
        "the answer is lost on the way back: r drops it: a firewall rule dropped it (NETFILTER_DROP)"
    );
}

#[test]
fn steps_count_unless_the_world_changed_since() {
    let ping = r#"("0s", Ping(from: "a", to: "b", count: 2))"#;
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, ping, REACH);
    assert!(report.passed && report.document.expectations[0].why.starts_with("2 of 2 answered"), "the step counts");
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, "", REACH);
    assert!(report.passed && report.document.expectations[0].why.starts_with("1 of 1 answered"), "a probe is sent");
    let steps = format!(r#"{ping}, ("5s", Exec(in: "r", run: "sysctl -w net.ipv4.ip_forward=0"))"#);
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, &steps, r#"NoReach(from: "a", to: "b")"#);
    assert!(report.passed, "{:?}", report.document.expectations);
}

/// Trials happen after everything else: they are in no count, and other expectations do not see them.
#[test]
fn trials_do_not_disturb_what_others_count() {
    let expect =
        r#"Reach(from: "a", to: "b"), Delivered(from: "a", to: "b", count: 0), NeverSeen(at: "b", src: "10.0.1.2")"#;
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, "", expect);
    assert!(report.passed, "{:?}", report.document.expectations);
    assert_eq!(report.document.frames.created, 0);
}

#[test]
fn probes_may_have_a_time() {
    let steps = r#"("1s", Unplug("a:eth0")), ("5s", Plug("a:eth0"))"#;
    let expect = r#"
        Reach(from: "a", to: "b", when: "500ms"),
        NoReach(from: "a", to: "b", when: "2s"),
        Reach(from: "a", to: "b", when: "20s"),
    "#;
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, steps, expect);
    assert!(report.passed, "{:?}", report.document.expectations);
}

#[test]
fn ports_are_tried_by_their_protocol() {
    let b = format!(r#"{GATEWAY_B}, run: [TcpEcho(port: 7), UdpEcho(port: 9), UdpSink(port: 10)]"#);
    let expect = r#"
        Reach(from: "a", to: "b", tcp: 7), NoReach(from: "a", to: "b", tcp: 8),
        Reach(from: "a", to: "b", udp: 9), NoReach(from: "a", to: "b", udp: 10), NoReach(from: "a", to: "b", udp: 11),
    "#;
    let report = chain(GATEWAY_A, FORWARDS, &b, "", expect);
    assert!(report.passed, "{:?}", report.document.expectations);
    let whys: Vec<&str> = report.document.expectations.iter().map(|e| e.why.as_str()).collect();
    assert!(whys[1].starts_with("Connection refused (ECONNREFUSED)") && whys[4].contains("ECONNREFUSED"), "{whys:?}");
}

#[test]
fn each_kind_can_fail() {
    let b = format!(r#"{GATEWAY_B}, run: [Http(port: 80), TcpSink(port: 9), UdpSink(port: 9)]"#);
    let steps = r#"
        ("0s", Ping(from: "a", to: "b", count: 2)),
        ("3s", Traceroute(from: "a", to: "b")),
        ("9s", HttpGet(from: "a", url: "http://b/")),
        ("10s", TcpBulk(from: "a", to: "b:9", size: "10kB")),
        ("11s", UdpSend(from: "a", to: "b:9", wait: "0s")),
        ("12s", Exec(in: "a", run: "ip route show")),
    "#;
    let holds = r#"
        Pinged(from: "a", to: "b", received: 2), Hops(from: "a", to: "b", via: ["r"]), SeenAs(at: "b", src: "10.0.1.0/24"),
        Http(from: "a", url: "http://b/"), Tcp(from: "a", to: "b:9"), TcpReceived(at: "b", port: 9, size: "10kB"),
        UdpReceived(at: "b", port: 9, count: 1), Prints(in: "a", has: "proto kernel"), Ended(Quiescent),
        Proc(in: "r", path: "/proc/net/arp", has: "10.0.1.2 e1"), Conntrack(in: "r", has: "icmp", count: 0),
        Misdelivered(at: "b", count: 0), Dropped(reason: "IP_TTL_EXCEEDED", at: "r", count: 3),
    "#;
    let report = chain(GATEWAY_A, FORWARDS, &b, steps, holds);
    assert!(report.passed, "{:#?}", report.document.expectations);
    let fails = r#"
        Pinged(from: "a", to: "b", received: 3), Hops(from: "a", to: "b", via: []), SeenAs(at: "b", src: "10.9.0.0/24"),
        NeverSeen(at: "b", src: "10.0.1.2"), Http(from: "a", url: "http://b/", status: 404),
        Tcp(from: "a", to: "b:9", error: "ECONNREFUSED"), TcpReceived(at: "b", port: 9, size: "11kB"),
        UdpReceived(at: "b", port: 9, count: 2), Prints(in: "a", has: "proto kernel", count: 7), Ended(Limit(Frames)),
        Proc(in: "r", path: "/proc/net/arp", has: "e1 10.0.1.2"), Conntrack(in: "r", has: "icmp"),
        Misdelivered(at: "b"), Dropped(reason: "IP_TTL_EXCEEDED", count: 4), Delivered(from: "b", to: "b"),
        Hops(from: "b", to: "a", via: ["10.0.2.1", "*"]),
    "#;
    let report = chain(GATEWAY_A, FORWARDS, &b, steps, fails);
    for e in &report.document.expectations {
        assert!(!e.holds, "{e:?}");
        assert!(!e.why.is_empty());
    }
}

#[test]
fn wrong_deliveries_are_told_whole() {
    let world = |fdb: &str| {
        run(&format!(
            r#"(
                namespaces: {{
                    "h1": (devices: {{ "eth0": (addr: ["10.0.0.1/24"], mac: "02:aa:00:00:00:01") }}),
                    "h2": (devices: {{ "eth0": (addr: ["10.0.0.2/24"], mac: "02:aa:00:00:00:01") }}),
                    "h3": Host(addr: "10.0.0.3/24"),
                    "sw": Switch(ports: ["p1", "p2", "p3"], fdb: {fdb}),
                }},
                links: ["h1:eth0 -- sw:p1", "h2:eth0 -- sw:p2", "h3:eth0 -- sw:p3"],
                steps: [
                    ("0s", Ping(from: "h3", to: "h1", count: 1)),
                    ("1s", Ping(from: "h3", to: "h2", count: 1)),
                    ("2s", Ping(from: "h3", to: "h1", count: 1, timeout: "1s")),
                ],
            )"#
        ))
    };
    let report = world("Mac");
    let [wrong] = &report.misdeliveries[..] else { panic!("{:?}", report.misdeliveries) };
    assert_eq!((&*wrong.from, &*wrong.meant, &*wrong.at, wrong.count), ("h3", "h1", "h2", 1));
    assert!(wrong.first_ns == 2 * SEC && wrong.packet.contains("10.0.0.3>10.0.0.1"), "{wrong:?}");
    assert!(wrong.fate.contains("IP_INADDRERRORS") && wrong.mac == "02:aa:00:00:00:01", "{wrong:?}");
    let report = world("Namespace");
    assert!(report.misdeliveries.is_empty());
    assert_eq!(report.document.collisions.len(), 1, "the collision itself is reported");
}

#[test]
fn tables_show_what_changed() {
    let steps = r#"("0s", Ping(from: "a", to: "b", count: 1)), ("1s", Exec(in: "a", run: "ip route del default"))"#;
    let report = chain(GATEWAY_A, FORWARDS, GATEWAY_B, steps, "");
    let of = |ns: &str, table: &str| report.changes.iter().find(|c| c.ns == ns && c.table == table);
    let routes = of("a", "routes").expect("a route went");
    assert_eq!(routes.removed, ["default via 10.0.1.1 dev eth0"]);
    assert!(routes.added.is_empty() && of("r", "routes").is_none());
    assert_eq!(of("r", "neighbours").map(|c| c.added.len()), Some(2));
    assert_eq!(report.document.namespaces["b"]["routes"].len(), 2, "the tables at the end are in the document");
}

#[test]
fn what_the_kernel_refuses_is_a_mistake_in_the_file() {
    let source = r#"(namespaces: { "a": (devices: { "eth0": (addr: ["10.0.0.1/24"]) }), "b": () }, links: ["a:eth0 -- b:eth0"])"#;
    let mut scenario = scenario::load(source).expect("a good scenario");
    // As if the loader had let it pass.
    let routes = scenario::load(
        &source.replace(r#"["10.0.0.1/24"]) }"#, r#"["10.0.0.1/24"]) }, routes: ["10.9.0.0/24 via 10.0.0.7"]"#),
    );
    let mut line = routes.expect("a good route").namespaces.get("a").expect("a").routes[0].clone();
    line.value.text = "10.9.0.0/24 via 172.16.0.1".into();
    let span = line.span;
    scenario.namespaces.0[0].1.namespace.routes.push(line);
    let found = scenario::build(&scenario, &BuildOptions::default()).err().expect("the gateway is on no link");
    assert_eq!((found[0].span, found[0].message.as_str()), (span, "Nexthop has invalid gateway"));
    assert!(found[0].is_error());
}
