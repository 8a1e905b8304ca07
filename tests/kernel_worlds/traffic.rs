//! What happens in a world: pings, datagrams, connections, raw frames, changes, and looks at the tables.
//!
//! Nothing waits for a second or more, and what answers does so at once, so that a world takes a kernel a second or two.

use super::{
    plan::{Choice, pick},
    topology::{Iface, Net, Node, Role, address, prefix},
    twists::{destination, some_chain, some_setting},
};
use serde_json::{Value, json};

/// Served on every host.
const UDP: u16 = 9000;
const TCP: u16 = 8000;
/// How long something unanswered is waited for.
const WAIT: f64 = 0.9;

/// The steps of a list of acts: the servers first, then the acts, then the tables of one node.
pub fn steps(net: &Net, acts: &[Choice]) -> Vec<Value> {
    let any = if net.ipv6 { "[::]" } else { "0.0.0.0" };
    let mut steps = Vec::new();
    for n in net.nodes.iter().filter(|n| n.role == Role::Host).take(3) {
        for (op, port) in [("udp_serve", UDP), ("tcp_serve", TCP)] {
            steps.push(json!({"op": op, "node": n.name, "bind": format!("{any}:{port}"), "settle": 0}));
        }
    }
    for (i, a) in acts.iter().enumerate() {
        for mut step in act(net, *a, i as u16) {
            if step["op"] == "dump" {
                step["what"] = without_tcp(&steps, step["what"].take());
            }
            steps.push(step);
        }
    }
    if let Some(last) = acts.last() {
        let nodes = walkers(net);
        let what = if net.ipv6 { json!(["neigh6"]) } else { json!(["neigh", "snmp", "conntrack"]) };
        let what = without_tcp(&steps, what);
        steps.push(json!({"op": "dump", "node": pick(&nodes, last.a.wrapping_add(last.d)).name, "what": what}));
    }
    steps
}

/// How many acknowledgements TCP sends is not defined, so neither are the counters.
fn without_tcp(steps: &[Value], mut what: Value) -> Value {
    if steps.iter().any(|s| s["op"] == "tcp_connect" || s["method"] == "tcp") {
        what.as_array_mut().expect("a list").retain(|w| w != "snmp");
    }
    what
}

/// Nodes with addresses: the hosts, then the routers.
fn walkers(net: &Net) -> Vec<&Node> {
    let of = |role| net.nodes.iter().filter(move |n| n.role == role);
    of(Role::Host).chain(of(Role::Router)).collect()
}

fn act(net: &Net, c: Choice, i: u16) -> Vec<Value> {
    const ALL: [fn(&Net, Choice, u16) -> Vec<Value>; 20] = [
        ping, ping, ping, ping, ping, udp, udp, udp, tcp, tcp, traceroute, route_get, route_get, inject, inject,
        inject, change, change, change, dump,
    ];
    pick(&ALL, c.kind)(net, c, i)
}

/// Who does something: more often a host than a router.
fn actor(net: &Net, c: Choice) -> &Node {
    let nodes = walkers(net);
    let hosts: Vec<&Node> = nodes.iter().copied().filter(|n| n.role == Role::Host).collect();
    let of = if c.a & 3 != 3 && !hosts.is_empty() { hosts } else { nodes };
    of[usize::from(c.a >> 2) % of.len()]
}

/// Every address of the world.
fn addresses(net: &Net) -> Vec<String> {
    walkers(net).iter().flat_map(|n| n.ifaces.iter().flat_map(Iface::addresses)).collect()
}

/// Whom it is about: most often somebody who exists.
fn target(net: &Net, me: &Node, n: u8) -> String {
    let others: Vec<&Node> = walkers(net).into_iter().filter(|o| o.name != me.name).collect();
    let hosts: Vec<&Node> = others.iter().copied().filter(|n| n.role == Role::Host).collect();
    let subnet = 1 + (n >> 4) % net.lans.max(1);
    let first = |of: &[&Node]| of.get(usize::from(n >> 4) % of.len().max(1)).and_then(|n| n.address());
    let found = match n & 15 {
        0..=6 => first(&hosts),
        7..=9 => first(&others),
        10..=12 => Some(pick(&addresses(net), n >> 4).clone()).filter(|a| !a.starts_with("fe80")),
        13 => Some(address(net.ipv6, subnet, 77)),
        14 => Some(if net.ipv6 { "2001:db8:99::1".into() } else { "192.0.2.1".into() }),
        _ if net.ipv6 => Some("::1".into()),
        _ => Some(pick(&["127.0.0.1", "10.0.1.0", "240.0.0.1", "10.99.0.1"], n >> 4).to_string()),
    };
    found.unwrap_or_else(|| address(net.ipv6, 1, 11))
}

fn own(me: &Node, n: u8) -> String {
    let all: Vec<String> = me.ifaces.iter().flat_map(Iface::addresses).filter(|a| !a.starts_with("fe80")).collect();
    if all.is_empty() { "127.0.0.1".into() } else { pick(&all, n).clone() }
}

fn device(me: &Node, n: u8) -> &str {
    let all: Vec<&str> = me.with_address().map(|i| &*i.name).collect();
    if all.is_empty() { "lo" } else { pick::<&str>(&all, n) }
}

fn ping(net: &Net, c: Choice, i: u16) -> Vec<Value> {
    let me = actor(net, c);
    let dst = target(net, me, c.b);
    let mut step = json!({"op": "ping", "node": me.name, "dst": dst, "wait": WAIT, "id": 1000 + i});
    match c.c % 16 {
        0..=4 => {}
        5 => step["ttl"] = json!(1 + c.d % 4),
        6 => step["size"] = json!(*pick(&[0, 1472, 1473, 2000, 1400, 1372, 3000, 8], c.d)),
        7 => {
            step["size"] = json!(*pick(&[1472, 1473, 1372, 1400, 1453], c.d));
            step["df"] = json!(*pick(&["do", "want", "dont"], c.d / 5));
        }
        8 => {
            step["size"] = json!(*pick(&[1400, 1472, 2000], c.d));
            step["count"] = json!(2);
        }
        9 | 10 => step["src"] = json!(own(me, c.d)),
        11 => step["src"] = json!(device(me, c.d)),
        12 if !net.ipv6 => step["tos"] = json!(*pick(&[16, 0xb8, 2], c.d)),
        13 if !net.ipv6 => {
            let subnet = 1 + c.d % net.lans.max(1);
            step["dst"] = json!(*pick(&[format!("10.0.{subnet}.255"), "255.255.255.255".into()], c.d / 4));
            step["broadcast"] = json!(true);
        }
        14 => step["count"] = json!(2 + c.d % 3),
        _ => step["df"] = json!("do"),
    }
    in_pieces(&mut step);
    vec![step]
}

/// The kernel sends the second fragment when all that the first one set off is over, errors included; netsim sends both
/// at once.
fn in_pieces(step: &mut Value) {
    if step["size"].as_u64().is_some_and(|size| size > 400) {
        step["packet_order"] = json!("multiset");
    }
}

/// An address with a port.
fn at(ipv6: bool, addr: &str, port: u16) -> String {
    if ipv6 { format!("[{addr}]:{port}") } else { format!("{addr}:{port}") }
}

fn udp(net: &Net, c: Choice, i: u16) -> Vec<Value> {
    let me = actor(net, c);
    let dst = target(net, me, c.b);
    let port = *pick(&[UDP, UDP, UDP, 9, 9001], c.d);
    let mut step = json!({"op": "udp_send", "node": me.name, "to": at(net.ipv6, &dst, port), "wait": WAIT});
    match c.c % 14 {
        0..=3 => step["bind"] = json!(at(net.ipv6, if net.ipv6 { "::" } else { "0.0.0.0" }, 5000 + i)),
        4 | 5 => step["bind"] = json!(at(net.ipv6, &own(me, c.d), 5000 + i)),
        6 => step["size"] = json!(*pick(&[1472, 1473, 1400, 3000, 0, 1372], c.d)),
        7 => {
            step["size"] = json!(*pick(&[1472, 1473, 1400, 1372], c.d));
            if !net.ipv6 {
                step["opts"] = json!({"pmtudisc": *pick(&["do", "dont", "want", "probe"], c.d / 4)});
            }
        }
        8 if !net.ipv6 => step["opts"] = json!({"ttl": 1 + c.d % 4}),
        9 => step["opts"] = json!({"device": device(me, c.d)}),
        10 if !net.ipv6 => {
            let subnet = 1 + c.d % net.lans.max(1);
            let to =
                pick(&[format!("10.0.{subnet}.255"), "255.255.255.255".into(), "224.0.0.1".into()], c.d / 4).clone();
            step["to"] = json!(at(false, &to, port));
            step["opts"] = json!({"broadcast": c.d & 1 == 0});
            // Several may answer.
            step["want"] = json!(9);
        }
        11 => {
            step["count"] = json!(2 + c.d % 2);
            // Whether the answer to the first or the second datagram comes first is the scheduler's.
            step["packet_order"] = json!("multiset");
        }
        _ => {}
    }
    in_pieces(&mut step);
    vec![step]
}

fn tcp(net: &Net, c: Choice, i: u16) -> Vec<Value> {
    let me = actor(net, c);
    let dst = target(net, me, c.b);
    let port = *pick(&[TCP, TCP, TCP, 81], c.d);
    let mut step = json!({"op": "tcp_connect", "node": me.name, "to": at(net.ipv6, &dst, port), "timeout": 0.75});
    match c.c % 8 {
        0..=2 => step["data"] = json!("hello"),
        3 => step["size"] = json!(*pick(&[100, 400, 1000], c.d)),
        4 => step["bind"] = json!(at(net.ipv6, &own(me, c.d), 6000 + i)),
        5 => {
            step["data"] = json!("hello");
            step["rst"] = json!(true);
        }
        _ => {}
    }
    vec![step]
}

fn traceroute(net: &Net, c: Choice, _: u16) -> Vec<Value> {
    let me = actor(net, c);
    let dst = target(net, me, c.b);
    let mut step = json!({"op": "traceroute", "node": me.name, "dst": dst, "queries": 1, "max": 4, "wait": 0.8});
    match c.c % 4 {
        0 | 1 => {}
        2 => step["method"] = json!("icmp"),
        _ => {
            step["method"] = json!("tcp");
            step["port"] = json!(*pick(&[TCP, 81], c.d));
        }
    }
    vec![step]
}

fn route_get(net: &Net, c: Choice, _: u16) -> Vec<Value> {
    let me = actor(net, c);
    let mut step = json!({"op": "route_get", "node": me.name, "dst": target(net, me, c.b), "settle": 0});
    match c.c % 10 {
        0..=3 => {}
        4 => step["from"] = json!(own(me, c.d)),
        5 => step["oif"] = json!(device(me, c.d)),
        6 | 7 => {
            step["from"] = json!(pick(&addresses(net), c.d));
            step["iif"] = json!(device(me, c.d / 16));
        }
        8 if !net.ipv6 => step["tos"] = json!(10),
        _ => step["mark"] = json!(1 + c.d % 2),
    }
    vec![step]
}

/// A frame no ordinary program sends. In IPv4 worlds only: the oracle has no others.
fn inject(net: &Net, c: Choice, i: u16) -> Vec<Value> {
    if net.ipv6 {
        return ping(net, c, i);
    }
    let me = actor(net, c);
    let iface = me.with_address().nth(usize::from(c.d & 1)).or_else(|| me.with_address().next());
    let Some(iface) = iface else { return Vec::new() };
    let all = addresses(net);
    let macs: Vec<String> = net.links.iter().flatten().cloned().collect();
    // The other end: whoever the cable leads to, or a member of the segment.
    let near: Vec<String> = walkers(net)
        .iter()
        .filter(|n| n.name != me.name)
        .flat_map(|n| n.with_address().filter(|j| j.subnet == iface.subnet).map(|j| format!("{}:{}", n.name, j.name)))
        .filter(|end| macs.contains(end))
        .collect();
    let near = near.get(usize::from(c.b >> 5) % near.len().max(1)).cloned().unwrap_or_else(|| pick(&macs, c.b).clone());
    let dst_mac = match c.b % 8 {
        0..=5 => near,
        6 => "bcast".to_string(),
        _ => {
            pick(&["02:00:00:00:55:55".to_string(), "01:00:5e:00:00:01".into(), pick(&macs, c.d).clone()], c.d).clone()
        }
    };
    let mine = iface.addresses().next().unwrap_or_default();
    let src = match c.d % 8 {
        0..=3 => mine.clone(),
        4 => pick(&all, c.d / 8).clone(),
        5 => "192.0.2.77".to_string(),
        6 => format!("10.0.{}.55", iface.subnet),
        _ => pick(&["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.5", "240.0.0.1", "10.0.1.255"], c.d / 8)
            .to_string(),
    };
    let dst = target(net, me, c.b.rotate_left(3));
    let dst = if dst.starts_with("127") { format!("10.0.{}.255", iface.subnet) } else { dst };
    let mut ip = json!({"src": src, "dst": dst, "id": 100 + i});
    let mut frame = json!({"dst": dst_mac});
    let mut count = 1;
    let port = 7000 + i;
    let echo = json!({"type": 8, "id": 1000 + i, "size": 8});
    let datagram = json!({"sport": port, "dport": *pick(&[UDP, 9], c.d), "data": "odd"});
    match c.c % 32 {
        0 | 1 => frame["udp"] = datagram,
        2 | 3 => frame["icmp"] = echo,
        4 => {
            ip["ttl"] = json!(*pick(&[1, 0, 2, 255], c.d));
            frame["udp"] = datagram;
        }
        5 => {
            ip["badsum"] = json!(true);
            frame["icmp"] = echo;
        }
        6 => frame["icmp"] = json!({"type": 8, "id": 1000 + i, "size": 8, "badsum": true}),
        7 => {
            let odd = *pick(&["badsum", "nosum"], c.d);
            frame["udp"] = datagram;
            frame["udp"][odd] = json!(true);
        }
        8 => {
            ip["proto"] = json!(*pick(&[99, 132, 47, 4, 41, 50, 0, 255], c.d));
            frame["payload"] = json!("0102030405060708");
        }
        9..=11 => {
            let flags = *pick(&["S", "A", "F", "R", "SA", "RA", "FA", "PA", ""], c.d);
            frame["tcp"] = json!({"sport": port, "dport": *pick(&[TCP, 81], c.d / 16), "flags": flags, "ack": 77});
        }
        12 => {
            let kind = *pick(&[0, 13, 15, 17, 40, 9, 10, 18, 4], c.d);
            frame["icmp"] = json!({"type": kind, "code": 0, "id": 1000 + i, "size": 12});
        }
        13 | 14 => {
            let (kind, code) = *pick(&[(3, 1), (3, 3), (3, 4), (11, 0), (5, 1), (3, 13), (12, 0), (4, 0)], c.d);
            let quote = json!({"proto": *pick(&["udp", "tcp", "icmp"], c.d / 8), "src": pick(&all, c.b / 2), "dst": mine,
                "sport": UDP, "dport": 5000, "id": 1000});
            frame["icmp"] = json!({"type": kind, "code": code, "quote": quote, "mtu": 1200});
            if kind == 5 {
                frame["icmp"]["gw"] = json!(mine);
            }
        }
        15 | 16 => {
            ip["options"] = json!(*pick(
                &[
                    "94040000",
                    "01010100",
                    "07070400000000",
                    "440c05000000000000000000",
                    "83070400000000",
                    "8907040a000101",
                    "8204",
                    "0101",
                    "00",
                    "9999",
                    "0703",
                    "44080500000000ff"
                ],
                c.d
            ));
            frame["icmp"] = echo;
        }
        17 => {
            ip["mf"] = json!(true);
            ip["frag_len"] = json!(16);
            frame["icmp"] = json!({"type": 8, "id": 1000 + i, "size": 24});
        }
        18 => {
            ip["frag_off"] = json!(16);
            frame["icmp"] = json!({"type": 8, "id": 1000 + i, "size": 24});
        }
        19 => {
            ip["tos"] = json!(*pick(&[0x10, 0xb8, 3], c.d));
            frame["icmp"] = echo;
        }
        20 => {
            ip["df"] = json!(true);
            frame["udp"] = json!({"sport": port, "dport": UDP, "size": *pick(&[1472, 1400, 1000, 500], c.d)});
        }
        21 => frame["udp"] = json!({"sport": port, "dport": UDP, "size": *pick(&[1472, 1400, 1000, 500], c.d)}),
        22..=26 => {
            let op = *pick(&["request", "reply"], c.d);
            let tpa = [dst.clone(), mine.clone(), pick(&all, c.d / 4).clone(), "10.0.1.255".into()];
            let tpa = pick(&tpa, c.b / 8).clone();
            let spa = pick(&[src.clone(), mine.clone(), "0.0.0.0".into(), tpa.clone()], c.c / 32).clone();
            frame["arp"] = json!({"op": op, "spa": spa, "tpa": tpa});
            if c.d & 0x80 != 0 {
                frame["arp"]["sha"] = json!("02:00:00:00:66:66");
            }
        }
        27 => frame["ethertype"] = json!(*pick(&["88b5", "0842", "88cc", "86dd", "0800", "0806"], c.d)),
        28 => {
            frame["vlan"] = json!(*pick(&[5, 0, 1], c.d));
            frame["icmp"] = echo;
        }
        29 => {
            frame["src"] = json!(*pick(&["02:00:00:00:66:66", "01:00:5e:00:00:05", "00:00:00:00:00:00"], c.d));
            frame["icmp"] = echo;
        }
        30 => {
            let to = *pick(&["224.0.0.1", "224.0.0.251", "255.255.255.255", "10.0.1.255"], c.d / 8);
            ip["dst"] = json!(to);
            frame["udp"] = datagram;
        }
        _ => {
            count = 2 + c.d % 8;
            frame["udp"] = json!({"sport": port, "dport": 9, "data": "burst"});
        }
    }
    if frame.get("arp").is_none() && frame.get("ethertype").is_none() {
        frame["ip"] = ip;
    }
    // Where a frame sets off several things at once, their order is the kernel's timers'.
    let mut step = json!({"op": "inject", "node": me.name, "dev": iface.name, "frame": frame, "settle": 0.8,
        "packet_order": "multiset"});
    if count > 1 {
        step["count"] = json!(count);
    }
    vec![step]
}

fn change(net: &Net, c: Choice, i: u16) -> Vec<Value> {
    let nodes: Vec<&Node> = if c.a.is_multiple_of(5) { net.nodes.iter().collect() } else { walkers(net) };
    let me = *pick(&nodes, c.a / 5);
    let dev = match me.role {
        Role::Switch => pick(&me.ifaces, c.b).name.clone(),
        _ => device(me, c.b).to_string(),
    };
    let ipv6 = net.ipv6;
    let subnet = me.ifaces.iter().find(|i| i.name == dev).map_or(1, |i| i.subnet.max(1));
    let via = address(ipv6, subnet, *pick(&[1, 11, 2, 77, 12], c.d));
    let dst = destination(ipv6, net.lans, c.d, c.d / 4);
    let mut step = match c.c % 20 {
        0 => {
            // The kernel takes up to a second to notice that a carrier has gone.
            let down = json!({"op": "link", "node": me.name, "dev": dev, "up": false, "settle": 1.2});
            let up = json!({"op": "link", "node": me.name, "dev": dev, "up": true, "settle": 1.2});
            let look = if ipv6 { "routes6" } else { "routes" };
            let look = json!({"op": "dump", "node": me.name, "what": [look, "addr"], "settle": 0});
            return vec![down, look.clone(), up, look];
        }
        1 => json!({"op": "link", "node": me.name, "dev": dev, "up": false, "settle": 1.2}),
        2 => json!({"op": "link", "node": me.name, "dev": dev, "mtu": *pick(&[1400, 1300, 1492, 1280], c.d)}),
        3 => json!({"op": "link", "node": me.name, "dev": dev, "mac": "02:00:00:00:44:44"}),
        4 => match me.ifaces.iter().find(|i| i.name == dev).and_then(|i| i.addrs.first()) {
            Some(a) => json!({"op": "addr", "node": me.name, "dev": dev, "del": a}),
            None => json!({"op": "fdb", "node": me.name, "flush": "br0"}),
        },
        5 | 6 => {
            let host = 90 + c.d % 2;
            let len = if ipv6 { *pick(&[64, 128], c.d) } else { *pick(&[24, 32, 25, 16], c.d) };
            json!({"op": "addr", "node": me.name, "dev": dev, "add": format!("{}/{len}", address(ipv6, subnet, host))})
        }
        7 => json!({"op": "route", "node": me.name, "add": {"dst": dst, "via": via}}),
        8 => json!({"op": "route", "node": me.name, "replace": {"dst": dst, "via": via}}),
        9 => match me.routes.get(usize::from(c.d) % me.routes.len().max(1)) {
            Some(r) => json!({"op": "route", "node": me.name, "del": r}),
            None => json!({"op": "route", "node": me.name, "del": {"dst": dst}}),
        },
        10 => {
            let kind = *pick(&["blackhole", "unreachable", "prohibit", "throw"], c.b);
            json!({"op": "route", "node": me.name, "add": {"dst": dst, "type": kind}})
        }
        11 => {
            let verb = *pick(&["append", "prepend", "change", "del"], c.b);
            let mut step = json!({"op": "route", "node": me.name});
            step[verb] = json!({"dst": dst, "via": via});
            step
        }
        12 if !ipv6 => {
            let from = if c.d.is_multiple_of(2) { prefix(ipv6, subnet) } else { address(ipv6, subnet, 11) };
            let rule = json!({"from": from, "prio": 50, "type": *pick(&["unreachable", "prohibit", "blackhole"], c.b)});
            json!({"op": "rule", "node": me.name, "add": rule})
        }
        13 => {
            let mac = *pick(&["02:00:00:00:99:99", "h1:eth0"], c.d);
            let mac = if net.links.iter().flatten().any(|e| e == mac) { mac } else { "02:00:00:00:99:99" };
            json!({"op": "neigh", "node": me.name, "replace": {"ip": via, "dev": dev, "mac": mac}})
        }
        14 => json!({"op": "neigh", "node": me.name, "del": {"ip": via, "dev": dev}}),
        15 => json!({"op": "neigh", "node": me.name, "flush": true}),
        16 | 17 if me.role != Role::Switch => {
            let (key, value) = some_setting(ipv6, me, c.b, c.d);
            if key.contains("proxy") {
                return dump(net, c, i);
            }
            json!({"op": "sysctl", "node": me.name, "key": key, "value": value})
        }
        18 => {
            let (hook, policy, rules) = some_chain(net, c);
            json!({"op": "nft", "node": me.name, "filter": {hook: {"policy": policy, "rules": rules}}})
        }
        _ => match me.ifaces.iter().find(|i| i.rest.contains_key("master")) {
            Some(port) => {
                let flag = *pick(&["isolated", "learning", "hairpin", "flood"], c.d);
                json!({"op": "brport", "node": me.name, "dev": port.name, "set": {flag: c.d & 16 == 0}})
            }
            None => json!({"op": "route", "node": me.name, "add": {"dst": dst, "dev": dev}}),
        },
    };
    if step.get("settle").is_none() {
        step["settle"] = json!(0.05);
    }
    vec![step]
}

fn dump(net: &Net, c: Choice, _: u16) -> Vec<Value> {
    let me = *pick(&net.nodes.iter().collect::<Vec<_>>(), c.a);
    if me.role == Role::Switch {
        // IPv6 hosts are learned from what they say at random times.
        let what = if net.ipv6 { json!(["links"]) } else { json!(["fdb", "links"]) };
        return vec![json!({"op": "dump", "node": me.name, "what": what, "settle": 0})];
    }
    let all: &[&[&str]] = match net.ipv6 {
        false => &[
            &["routes", "rules"],
            &["neigh"],
            &["addr", "links"],
            &["snmp"],
            &["conntrack"],
            &["proc_arp"],
            &["proc_udp", "proc_tcp"],
            &["proc_route"],
        ],
        true => &[&["routes6"], &["neigh6"], &["addr", "links"]],
    };
    let mut step = json!({"op": "dump", "node": me.name, "what": pick(all, c.b), "settle": 0});
    if !net.ipv6 && c.c.is_multiple_of(4) {
        step["what"] = json!(["routes"]);
        step["table"] = json!(*pick(&["local", "main"], c.d));
    }
    vec![step]
}
