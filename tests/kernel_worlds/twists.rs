//! What is unusual about a world, or wrong: every twist can be built, whatever the world is.

use super::{
    plan::{Choice, pick},
    topology::{Net, Node, Role, address, prefix},
};
use serde_json::{Value, json};

/// Applies a twist.
pub fn apply(net: &mut Net, t: Choice) {
    const ALL: [fn(&mut Net, Choice); 25] = [
        second_address,
        second_address,
        wrong_mask,
        duplicate_address,
        no_route_back,
        strange_default,
        routing_loop,
        special_route,
        metrics,
        policy_rule,
        policy_rule,
        setting,
        setting,
        setting,
        static_neighbour,
        small_mtu,
        switched_off,
        filter,
        filter,
        nat,
        nat,
        same_mac,
        port_flags,
        on_loopback,
        strange_route,
    ];
    pick(&ALL, t.kind)(net, t);
}

/// The nodes that route or are hosts, or only the routers if there are any.
fn chosen(net: &mut Net, n: u8, routers_first: bool) -> &mut Node {
    let routers = net.nodes.iter().filter(|n| n.role == Role::Router).count();
    let of: Vec<usize> = (0..net.nodes.len())
        .filter(|i| match net.nodes[*i].role {
            Role::Router => true,
            Role::Host => !routers_first || routers == 0,
            Role::Switch => false,
        })
        .collect();
    let at = *pick(&of, n);
    &mut net.nodes[at]
}

/// Index of an interface with an address.
fn addressed(node: &Node, n: u8) -> usize {
    let of: Vec<usize> =
        (0..node.ifaces.len()).filter(|i| node.ifaces[*i].name != "lo" && !node.ifaces[*i].addrs.is_empty()).collect();
    if of.is_empty() { 0 } else { *pick(&of, n) }
}

fn second_address(net: &mut Net, t: Choice) {
    let ipv6 = net.ipv6;
    let subnets = net.lans + 1;
    let node = chosen(net, t.a, false);
    let at = addressed(node, t.b);
    let iface = &mut node.ifaces[at];
    let (own, other) = (iface.subnet, 1 + t.d % subnets);
    let new = match (ipv6, t.c % 8) {
        (false, 0) => json!(format!("10.0.{own}.{}/24", 100 + t.d % 3)),
        (false, 1) => json!(format!("10.0.{own}.{}/25", 100 + t.d % 3)),
        (false, 2) => json!(format!("10.0.{own}.200/16")),
        (false, 3) => json!(format!("10.0.{other}.50/24")),
        (false, 4) => json!(format!("10.0.{own}.60/32")),
        (false, 5) => json!({"ip": format!("10.0.{own}.70/32"), "peer": format!("10.0.{other}.71/32")}),
        (false, 6) => json!(format!("172.16.{own}.{}/31", t.d % 2)),
        (false, _) => json!({"ip": format!("10.97.{own}.80/24"), "scope": "link"}),
        (true, 0 | 1) => json!(format!("fd00:0:0:{own:x}::{:x}/64", 100 + t.d % 3)),
        (true, 2) => json!(format!("fd00:0:0:{own:x}::200/128")),
        (true, 3) => json!(format!("fd00:0:0:{other:x}::50/64")),
        (true, 4) => json!(format!("fd00:0:0:{own:x}::60/80")),
        (true, 5) => json!(format!("fe80::{:x}/64", 0x70 + t.d % 2)),
        (true, _) => json!(format!("2001:db8:{own:x}::{:x}/48", 1 + t.d % 2)),
    };
    if !iface.addrs.contains(&new) {
        // The new one may come first, which makes it the primary one.
        let place = if t.d & 0x40 != 0 && !ipv6 { 0 } else { iface.addrs.len() };
        iface.addrs.insert(place, new);
    }
}

fn wrong_mask(net: &mut Net, t: Choice) {
    let ipv6 = net.ipv6;
    let node = chosen(net, t.a, false);
    let at = addressed(node, t.b);
    let len = if ipv6 { *pick(&[48, 60, 80, 112], t.c) } else { *pick(&[16, 8, 25, 28, 23], t.c) };
    if let Some(text) = node.ifaces[at].addrs.first().and_then(Value::as_str) {
        let bare = text.split('/').next().unwrap_or_default();
        let host: u8 = if ipv6 { 1 } else { bare.rsplit('.').next().and_then(|h| h.parse().ok()).unwrap_or(1) };
        // The gateway must stay on the link, or the world cannot be built.
        if len < 28 || ipv6 || host < 14 {
            node.ifaces[at].addrs[0] = json!(format!("{bare}/{len}"));
        }
    }
}

fn duplicate_address(net: &mut Net, t: Choice) {
    let hosts: Vec<usize> = (0..net.nodes.len()).filter(|i| net.nodes[*i].role == Role::Host).collect();
    if hosts.len() < 2 {
        return;
    }
    let (x, y) = (*pick(&hosts, t.a), *pick(&hosts, t.b));
    let Some(taken) = net.nodes[x].ifaces.first().and_then(|i| i.addrs.first()).cloned() else { return };
    let iface = &mut net.nodes[y].ifaces[0];
    if x != y && !iface.addrs.contains(&taken) {
        if t.c.is_multiple_of(2) && net.nodes[x].ifaces[0].subnet == net.nodes[y].ifaces[0].subnet {
            net.nodes[y].ifaces[0].addrs[0] = taken;
        } else {
            net.nodes[y].ifaces[0].addrs.push(taken);
        }
    }
}

fn no_route_back(net: &mut Net, t: Choice) {
    let node = chosen(net, t.a, t.c.is_multiple_of(2));
    if !node.routes.is_empty() {
        let at = usize::from(t.b) % node.routes.len();
        node.routes.remove(at);
    }
}

/// A gateway on a link of the node that does not exist or is not a router.
fn strange_gateway(ipv6: bool, node: &Node, b: u8, c: u8) -> String {
    let subnet = node.ifaces[addressed(node, b)].subnet;
    let host = if subnet >= 20 { 1 + c % 2 } else { *pick(&[77, 11, 12, 1], c) };
    address(ipv6, subnet, host)
}

fn strange_default(net: &mut Net, t: Choice) {
    let ipv6 = net.ipv6;
    let node = chosen(net, t.a, false);
    let via = strange_gateway(ipv6, node, t.b, t.c);
    let own = node.ifaces.iter().flat_map(|i| i.addresses()).any(|a| a == via);
    let masked = node.ifaces.iter().flat_map(|i| &i.addrs).any(|a| a.as_str().is_some_and(|a| a.ends_with("/28")));
    if own || masked {
        return;
    }
    node.routes.retain(|r| r["dst"] != "default" || r.get("table").is_some());
    node.routes.push(json!({"dst": "default", "via": via}));
}

fn routing_loop(net: &mut Net, t: Choice) {
    let routers: Vec<usize> = (0..net.nodes.len()).filter(|i| net.nodes[*i].role == Role::Router).collect();
    if routers.len() < 2 {
        return;
    }
    let peer = |net: &Net, x: usize, y: usize| {
        let shared = |i: &&super::topology::Iface| net.nodes[x].ifaces.iter().any(|j| j.subnet == i.subnet);
        net.nodes[y].with_address().filter(|i| i.subnet >= 20).find(shared).and_then(|i| i.addresses().next())
    };
    let (x, y) = (routers[0], routers[1]);
    let dst = if t.a.is_multiple_of(2) {
        json!("default")
    } else {
        json!(if net.ipv6 { "2001:db8:99::/48" } else { "192.0.2.0/24" })
    };
    for (from, to) in [(x, y), (y, x)] {
        if let Some(via) = peer(net, from, to) {
            let node = &mut net.nodes[from];
            if !node.routes.iter().any(|r| r["dst"] == dst) {
                node.routes.push(json!({"dst": dst, "via": via}));
            }
        }
    }
}

/// A destination: a LAN, half of it, one address in it, everything, or what nobody has.
pub fn destination(ipv6: bool, lans: u8, n: u8, m: u8) -> String {
    let subnet = 1 + n % lans.max(1);
    match (m % 6, ipv6) {
        (0, _) => prefix(ipv6, subnet),
        (1, false) => format!("10.0.{subnet}.0/28"),
        (1, true) => format!("fd00:0:0:{subnet:x}::/124"),
        (2, false) => format!("10.0.{subnet}.11/32"),
        (2, true) => format!("fd00:0:0:{subnet:x}::b/128"),
        (3, false) => "10.0.0.0/16".into(),
        (3, true) => "fd00::/16".into(),
        (4, false) => "192.0.2.0/24".into(),
        (4, true) => "2001:db8:99::/48".into(),
        (_, false) => "0.0.0.0/0".into(),
        (_, true) => "::/0".into(),
    }
}

fn add_route(node: &mut Node, route: Value) {
    let same = |r: &Value| {
        let key = |r: &Value| {
            let dst = r["dst"].as_str().unwrap_or_default().replace("default", "*").replace("0.0.0.0/0", "*");
            (dst.replace("::/0", "*"), r.get("metric").cloned(), r.get("table").cloned())
        };
        key(r) == key(&route)
    };
    if !node.routes.iter().any(same) {
        node.routes.push(route);
    }
}

fn special_route(net: &mut Net, t: Choice) {
    let (ipv6, lans) = (net.ipv6, net.lans);
    let node = chosen(net, t.a, !t.d.is_multiple_of(4));
    let kind = *pick(&["blackhole", "unreachable", "prohibit", "throw"], t.b);
    let dst = destination(ipv6, lans, t.d, t.c);
    add_route(node, json!({"dst": dst, "type": kind, "metric": 50}));
}

fn metrics(net: &mut Net, t: Choice) {
    let ipv6 = net.ipv6;
    let node = chosen(net, t.a, t.d.is_multiple_of(2));
    let Some(first) = node.routes.first().cloned() else { return };
    let mut other = first;
    other["metric"] = json!(*pick(&[1, 10, 200, 2000], t.b));
    match t.c % 4 {
        0 => {
            other.as_object_mut().expect("routes are objects").remove("via");
            other["type"] = json!("unreachable");
        }
        1 => other["via"] = json!(strange_gateway(ipv6, node, t.c, t.d)),
        2 => other["mtu"] = json!(1300),
        _ => {}
    }
    let own = node.ifaces.iter().flat_map(|i| i.addresses()).any(|a| Some(&*a) == other["via"].as_str());
    let masked = node.ifaces.iter().flat_map(|i| &i.addrs).any(|a| a.as_str().is_some_and(|a| a.ends_with("/28")));
    if !own && !masked {
        add_route(node, other);
    }
}

/// A rule, and what its table says.
fn policy_rule(net: &mut Net, t: Choice) {
    let (ipv6, lans) = (net.ipv6, net.lans);
    if ipv6 {
        // The oracle's words for rules are those of IPv4.
        return special_route(net, t);
    }
    let node = chosen(net, t.a, !t.d.is_multiple_of(3));
    let subnet = 1 + t.b % lans.max(1);
    let mut rule = match t.b % 6 {
        0 => json!({"from": prefix(ipv6, subnet)}),
        1 => json!({"to": prefix(ipv6, subnet)}),
        2 if !ipv6 => json!({"iif": node.ifaces[addressed(node, t.c)].name}),
        3 if !ipv6 => json!({"tos": 10}),
        4 => json!({"from": address(ipv6, subnet, 11), "not": true}),
        _ => json!({"from": address(ipv6, subnet, 11)}),
    };
    rule["prio"] = json!(100 + t.c % 3);
    match t.c % 5 {
        0 => rule["type"] = json!(*pick(&["prohibit", "unreachable", "blackhole"], t.d)),
        1 => {
            rule["table"] = json!("main");
            rule["suppress_prefixlength"] = json!(0);
        }
        n => {
            rule["table"] = json!(100);
            let via = node.routes.first().and_then(|r| r.get("via")).cloned();
            let route = match (n, via) {
                (2, Some(via)) => Some(json!({"dst": "default", "via": via, "table": 100})),
                (3, _) => {
                    let kind = *pick(&["unreachable", "throw", "prohibit", "blackhole"], t.d);
                    Some(json!({"dst": destination(ipv6, lans, t.d, 0), "type": kind, "table": 100}))
                }
                _ => None,
            };
            if let Some(route) = route {
                add_route(node, route);
            }
        }
    }
    if rule.get("type").is_some() && rule.get("tos").is_some() {
        return;
    }
    node.rules.push(rule);
}

const SETTINGS: [(&str, i32); 34] = [
    ("net.ipv4.conf.*.rp_filter", 1),
    ("net.ipv4.conf.*.rp_filter", 2),
    ("net.ipv4.conf.*.accept_local", 1),
    ("net.ipv4.conf.*.arp_ignore", 1),
    ("net.ipv4.conf.*.arp_ignore", 2),
    ("net.ipv4.conf.*.arp_announce", 1),
    ("net.ipv4.conf.*.arp_announce", 2),
    ("net.ipv4.conf.*.arp_filter", 1),
    ("net.ipv4.conf.*.forwarding", 0),
    ("net.ipv4.conf.*.forwarding", 1),
    ("net.ipv4.conf.*.send_redirects", 0),
    ("net.ipv4.conf.*.accept_redirects", 0),
    ("net.ipv4.conf.*.secure_redirects", 0),
    ("net.ipv4.conf.*.shared_media", 0),
    ("net.ipv4.conf.*.bc_forwarding", 1),
    ("net.ipv4.conf.*.proxy_arp", 1),
    ("net.ipv4.conf.*.proxy_arp", 1),
    ("net.ipv4.conf.*.proxy_arp_pvlan", 1),
    ("net.ipv4.conf.*.route_localnet", 1),
    ("net.ipv4.conf.*.arp_accept", 1),
    ("net.ipv4.conf.*.arp_evict_nocarrier", 0),
    ("net.ipv4.conf.*.promote_secondaries", 1),
    ("net.ipv4.conf.*.ignore_routes_with_linkdown", 1),
    ("net.ipv4.ip_default_ttl", 3),
    ("net.ipv4.ip_default_ttl", 128),
    ("net.ipv4.icmp_echo_ignore_all", 1),
    ("net.ipv4.icmp_echo_ignore_broadcasts", 0),
    ("net.ipv4.icmp_errors_use_inbound_ifaddr", 1),
    ("net.ipv4.icmp_ratelimit", 0),
    ("net.ipv4.ip_no_pmtu_disc", 1),
    ("net.ipv4.ip_forward_use_pmtu", 1),
    ("net.ipv4.ip_nonlocal_bind", 1),
    ("net.ipv4.ip_forward", 0),
    ("net.ipv4.neigh.*.mcast_solicit", 1),
];

const SETTINGS_6: [(&str, i32); 8] = [
    ("net.ipv6.conf.*.hop_limit", 3),
    ("net.ipv6.icmp.echo_ignore_all", 1),
    ("net.ipv6.icmp.ratelimit", 0),
    ("net.ipv6.conf.*.accept_redirects", 0),
    ("net.ipv6.conf.*.proxy_ndp", 1),
    ("net.ipv6.conf.*.keep_addr_on_down", 1),
    ("net.ipv6.conf.*.ignore_routes_with_linkdown", 1),
    ("net.ipv6.conf.all.forwarding", 0),
];

/// A setting of a node: for all devices, or for one.
pub fn some_setting(ipv6: bool, node: &Node, b: u8, c: u8) -> (String, i32) {
    let (key, value) = if ipv6 { *pick(&SETTINGS_6, b) } else { *pick(&SETTINGS, b) };
    let needs_device = key.contains(".neigh.") || key.ends_with(".mtu");
    let device = match c % 3 {
        0 if !needs_device => "all",
        _ => &node.ifaces[addressed(node, c)].name,
    };
    (key.replace('*', device), value)
}

fn setting(net: &mut Net, t: Choice) {
    let ipv6 = net.ipv6;
    let node = chosen(net, t.a, t.d.is_multiple_of(4));
    let (key, value) = some_setting(ipv6, node, t.b, t.c);
    node.sysctl.insert(key, json!(value));
}

fn static_neighbour(net: &mut Net, t: Choice) {
    if net.ipv6 {
        // Where IPv6 hosts are, bridges learn from what the hosts say at random times.
        return special_route(net, t);
    }
    let ipv6 = net.ipv6;
    let macs: Vec<String> = net.links.iter().flatten().cloned().collect();
    let node = chosen(net, t.a, false);
    let iface = &node.ifaces[addressed(node, t.b)];
    let ip = if iface.subnet >= 20 {
        address(ipv6, iface.subnet, 2)
    } else {
        address(ipv6, iface.subnet, *pick(&[1, 11, 12, 77], t.c))
    };
    let entry = match t.d % 4 {
        0 => json!({"ip": ip, "dev": iface.name, "mac": "02:00:00:00:99:99"}),
        1 if !ipv6 => json!({"ip": ip, "dev": iface.name, "proxy": true}),
        2 => json!({"ip": ip, "dev": iface.name, "mac": pick(&macs, t.c), "nud": "reachable"}),
        _ => json!({"ip": ip, "dev": iface.name, "mac": pick(&macs, t.c)}),
    };
    if !node.neigh.iter().any(|e| e["ip"] == entry["ip"] && e["dev"] == entry["dev"]) {
        node.neigh.push(entry);
    }
}

/// At both ends of a cable, or at one.
fn small_mtu(net: &mut Net, t: Choice) {
    let mtu = if net.ipv6 { *pick(&[1280, 1400, 1492], t.b) } else { *pick(&[1400, 1000, 576, 1492, 500], t.b) };
    let ends = pick(&net.links, t.a).clone();
    let ends: Vec<&String> =
        if t.c.is_multiple_of(3) { vec![&ends[usize::from(t.c & 4 != 0)]] } else { ends.iter().collect() };
    for end in ends {
        let (node, name) = end.split_once(':').expect("node:iface");
        let node = net.nodes.iter_mut().find(|n| n.name == node).expect("a node of the world");
        let iface = node.ifaces.iter_mut().find(|i| i.name == name).expect("an interface of the world");
        iface.rest.insert("mtu".into(), json!(mtu));
    }
}

/// An interface without traffic: nothing is routed over it that the world's building needs.
fn switched_off(net: &mut Net, t: Choice) {
    let (ipv6, at) = (net.ipv6, usize::from(t.a) % net.nodes.len());
    let node = &mut net.nodes[at];
    match node.role {
        Role::Switch => {
            let port = 1 + usize::from(t.b) % (node.ifaces.len() - 1);
            node.ifaces[port].rest.insert("up".into(), json!(false));
        }
        _ if !ipv6 => {
            let n = addressed(node, t.b);
            let iface = &mut node.ifaces[n];
            if t.c.is_multiple_of(2) {
                iface.rest.insert("arp".into(), json!(false));
            } else if node.routes.is_empty() && node.neigh.is_empty() {
                iface.rest.insert("up".into(), json!(false));
            }
        }
        _ => {}
    }
}

/// A match for a rule.
fn some_match(net: &Net, b: u8, c: u8) -> Value {
    let subnet = 1 + c % net.lans.max(1);
    match b % 7 {
        0 if net.ipv6 => json!({"proto": "icmpv6"}),
        0 => json!({"proto": "icmp"}),
        1 => json!({"proto": "udp", "dport": *pick(&[9000, 9, 9001], c)}),
        2 => json!({"proto": "tcp", "dport": *pick(&[8000, 81], c)}),
        3 => json!({"src": prefix(net.ipv6, subnet)}),
        4 => json!({"dst": address(net.ipv6, subnet, 11)}),
        5 if net.ipv6 => json!({"proto": "udp"}),
        5 => {
            json!({"proto": "icmp", "icmp_type": *pick(&["echo-request", "echo-reply", "destination-unreachable", "time-exceeded"], c)})
        }
        _ => json!({"proto": "tcp"}),
    }
}

/// A chain of one to three rules.
pub fn some_chain(net: &Net, t: Choice) -> (&'static str, &'static str, Vec<Value>) {
    let hook = *pick(&["forward", "input", "output", "prerouting"], t.b);
    let mut rules = Vec::new();
    let with = *pick(
        &[
            "icmp-port-unreachable",
            "icmp-host-unreachable",
            "icmp-admin-prohibited",
            "icmp-net-unreachable",
            "tcp-reset",
        ],
        t.d,
    );
    if t.c.is_multiple_of(3) && hook != "prerouting" {
        rules.push(json!({"ct_state": ["established", "related"], "action": "accept"}));
    }
    if t.c.is_multiple_of(5) && hook != "prerouting" {
        rules.push(json!({"ct_state": ["invalid"], "action": "drop"}));
    }
    let mut rule = some_match(net, t.c, t.d);
    match t.d % 3 {
        0 => rule["action"] = json!("drop"),
        1 if hook == "prerouting" || net.ipv6 => rule["action"] = json!("drop"),
        1 if with == "tcp-reset" => {
            rule = json!({"proto": "tcp", "action": "reject", "with": with});
        }
        1 => {
            rule["action"] = json!("reject");
            rule["with"] = json!(with);
        }
        _ => rule["action"] = json!("accept"),
    }
    let accepts = rule["action"] == "accept";
    rules.push(rule);
    let policy = if accepts && hook != "prerouting" && t.d & 8 != 0 { "drop" } else { "accept" };
    if policy == "drop" && net.ipv6 {
        rules.push(json!({"proto": "icmpv6", "action": "accept"}));
    }
    (hook, policy, rules)
}

fn filter(net: &mut Net, t: Choice) {
    let chain = some_chain(net, t);
    let node = chosen(net, t.a, t.b.is_multiple_of(2));
    if !node.filter.iter().any(|(h, ..)| *h == chain.0) {
        node.filter.push(chain);
    }
}

fn nat(net: &mut Net, t: Choice) {
    if net.ipv6 {
        return filter(net, t);
    }
    let lans = net.lans;
    let servers: Vec<String> = net.nodes.iter().filter(|n| n.role == Role::Host).filter_map(Node::address).collect();
    let node = chosen(net, t.a, true);
    let iface = &node.ifaces[addressed(node, t.b)];
    let (dev, own) = (iface.name.clone(), iface.addresses().next().unwrap_or_default());
    let lan = prefix(false, 1 + t.c % lans.max(1));
    let server = pick(&servers, t.d);
    let rule = match t.c % 10 {
        0 => json!({"action": "masquerade", "oif": dev}),
        1 => json!({"action": "masquerade", "src": lan}),
        2 => json!({"action": "snat", "src": lan, "to": own}),
        3 => json!({"action": "snat", "oif": dev, "proto": "udp", "to": format!("{own}:4000")}),
        4 => json!({"action": "dnat", "dst": own, "proto": "udp", "dport": 9, "to": format!("{server}:9000")}),
        5 => json!({"action": "dnat", "dst": own, "proto": "tcp", "dport": 81, "to": format!("{server}:8000")}),
        6 => json!({"action": "dnat", "iif": dev, "to": server}),
        7 => json!({"action": "redirect", "proto": "udp", "dport": 9, "to": 9000}),
        8 => json!({"action": "dnat", "hook": "output", "dst": "192.0.2.1", "to": server}),
        _ => json!({"action": "snat", "oif": dev, "to": address(false, 1, 99)}),
    };
    node.nat.push(rule);
}

fn same_mac(net: &mut Net, t: Choice) {
    let hosts: Vec<usize> = (0..net.nodes.len()).filter(|i| net.nodes[*i].role == Role::Host).collect();
    if hosts.len() >= 2 && t.a % hosts.len() as u8 != t.b % hosts.len() as u8 {
        for h in [*pick(&hosts, t.a), *pick(&hosts, t.b)] {
            net.nodes[h].ifaces[0].rest.insert("mac".into(), json!("02:00:00:00:77:77"));
        }
    }
}

fn port_flags(net: &mut Net, t: Choice) {
    let ports: Vec<(usize, usize)> = (0..net.nodes.len())
        .flat_map(|n| (0..net.nodes[n].ifaces.len()).map(move |i| (n, i)))
        .filter(|(n, i)| net.nodes[*n].ifaces[*i].rest.contains_key("master"))
        .collect();
    if ports.is_empty() {
        return;
    }
    let (n, i) = *pick(&ports, t.a);
    let flags = *pick(
        &[
            ("isolated", true),
            ("hairpin", true),
            ("learning", false),
            ("flood", false),
            ("mcast_flood", false),
            ("bcast_flood", false),
        ],
        t.b,
    );
    net.nodes[n].ifaces[i].rest.insert("brport".into(), json!({flags.0: flags.1}));
}

fn on_loopback(net: &mut Net, t: Choice) {
    let (ipv6, lans) = (net.ipv6, net.lans);
    let node = chosen(net, t.a, t.c.is_multiple_of(2));
    if node.ifaces.iter().any(|i| i.name == "lo") {
        return;
    }
    let new = match (ipv6, t.b % 4) {
        (false, 0) => "10.99.0.1/32".to_string(),
        (false, 1) => "10.98.0.0/24".into(),
        (false, 2) => format!("10.0.{}.1/32", 1 + t.c % lans.max(1)),
        (false, _) => "127.1.2.3/8".into(),
        (true, 0) => "fd99::1/128".into(),
        (true, 1) => "fd98::1/64".into(),
        (true, _) => format!("fd00:0:0:{:x}::1/128", 1 + t.c % lans.max(1)),
    };
    let rest = serde_json::Map::new();
    node.ifaces.push(super::topology::Iface { name: "lo".into(), addrs: vec![json!(new)], rest, subnet: 0 });
}

fn strange_route(net: &mut Net, t: Choice) {
    let (ipv6, lans) = (net.ipv6, net.lans);
    let node = chosen(net, t.a, t.d.is_multiple_of(2));
    let dst = destination(ipv6, lans, t.d, t.c);
    let iface = &node.ifaces[addressed(node, t.b)];
    if iface.rest.get("up").is_some() {
        return;
    }
    let dev = iface.name.clone();
    let own = iface.addresses().next().unwrap_or_default();
    let mut route = json!({"dst": dst, "dev": dev, "metric": 30});
    match t.d % 4 {
        0 => {}
        1 => {
            route["via"] = json!(if ipv6 { "2001:db8:5::1" } else { "198.51.100.1" });
            route["onlink"] = json!(true);
        }
        2 => route["src"] = json!(own),
        _ if ipv6 => route["mtu"] = json!(1300),
        _ => route["scope"] = json!("link"),
    }
    add_route(node, route);
}
