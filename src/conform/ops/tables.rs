//! What tables look like, line by line, in the forms the oracle gives them.

use super::Outcome;
use crate::{
    base::{DevId, NsId},
    conform::{case::Dump, exec::Lab},
    device::{
        bridge::{Bridge, FdbEntry},
        tunnel::StationKind,
    },
    kernel::{DeviceKind, IfAddr, Kernel},
    procfs,
    route::Family,
    trace::NeighState,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, net::IpAddr};

/// Tables of a namespace.
pub fn dump(lab: &Lab, ns: NsId, node: &str, d: &Dump) -> Outcome {
    let k = lab.world.borrow();
    let mut out = Map::new();
    for what in &d.what {
        let lines = match &**what {
            "routes" => routes(&k, ns, d.table.as_ref().map_or("main", |t| &*t.0))?,
            "routes6" => sorted(routes6(&k, ns)),
            "rules" => rules(&k, ns),
            "addr" => addresses(&k, ns),
            "links" => links(&k, ns),
            "stp" => stp(&k, ns),
            "neigh" => neigh(&k, ns, true),
            "neigh6" => neigh(&k, ns, false),
            "fdb" => fdb(&k, ns, d.all),
            "vlans" => vlans(&k, ns),
            "conntrack" => conntrack(&k, ns),
            "proc_route" => trimmed(&proc_net(&k, ns, "route")),
            "proc_arp" => {
                let mut lines = trimmed(&proc_net(&k, ns, "arp"));
                lines.get_mut(1..).unwrap_or_default().sort();
                lines
            }
            "proc_dev" => devices_in(&proc_net(&k, ns, "dev")),
            "proc_tcp" => sockets_in(&proc_net(&k, ns, "tcp")),
            "proc_udp" => sockets_in(&proc_net(&k, ns, "udp")),
            "proc_raw" => {
                let files = d.files.iter().map(|f| (f.clone(), json!(trimmed(&proc_net(&k, ns, f)))));
                out.insert(what.clone(), Value::Object(files.collect()));
                continue;
            }
            "snmp" => {
                let before = lab.snmp.borrow().get(node).cloned().unwrap_or_default();
                out.insert(what.clone(), Value::Object(changed(&before, &snmp(&k, ns))));
                continue;
            }
            other => return Err(format!("there is no table `{other}`")),
        };
        out.insert(what.clone(), json!(lines));
    }
    Ok(Value::Object(out))
}

pub fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// The lines of a text without blanks at their ends.
pub fn trimmed(text: &str) -> Vec<String> {
    text.lines().map(|l| l.trim_end().to_string()).collect()
}

/// One blank between words.
pub fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn routes(k: &Kernel, ns: NsId, table: &str) -> Result<Vec<String>, String> {
    if table == "all" {
        let ids: Vec<u32> = k.ns(ns).fib.table_ids(Family::V4).collect();
        return Ok(ids.into_iter().flat_map(|id| routes_in(k, ns, id)).collect());
    }
    let id = crate::route::table::parse(table).ok_or_else(|| format!("there is no table `{table}`"))?;
    Ok(routes_of(k, ns, Family::V4, id))
}

/// The routes of a table as `ip route show table all` prints them: with the table unless it is main.
fn routes_in(k: &Kernel, ns: NsId, id: u32) -> Vec<String> {
    use crate::route::table;
    let name = table::name(id).map_or(id.to_string(), String::from);
    let routes = routes_of(k, ns, Family::V4, id).into_iter();
    routes.map(|line| if id == table::MAIN { line } else { with_table(&line, &name) }).collect()
}

/// The table stands behind gateway and device.
fn with_table(line: &str, table: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let behind = |word: &str| words.iter().position(|w| *w == word).map(|i| i + 2);
    let start =
        if matches!(words[0], "local" | "broadcast" | "unreachable" | "blackhole" | "prohibit" | "throw" | "multicast")
        {
            2
        } else {
            1
        };
    let at = behind("dev").or_else(|| behind("via")).unwrap_or(start).min(words.len());
    words.splice(at..at, ["table", table]);
    words.join(" ")
}

fn routes_of(k: &Kernel, ns: NsId, family: Family, table: u32) -> Vec<String> {
    k.ns(ns).fib.routes(family, table).map(|r| squeezed(&k.shown_route(ns, r).show(&|d| k.dev_name(d)))).collect()
}

/// `ip -6 route show`, line by line: next hops of a multipath route have lines of their own.
fn routes6(k: &Kernel, ns: NsId) -> Vec<String> {
    let routes = k.ns(ns).fib.routes(Family::V6, crate::route::table::MAIN);
    let texts = routes.map(|r| k.shown_route(ns, r).show(&|d| k.dev_name(d)));
    texts.flat_map(|t| t.lines().map(squeezed).collect::<Vec<_>>()).collect()
}

fn rules(k: &Kernel, ns: NsId) -> Vec<String> {
    k.ns(ns).fib.rules(Family::V4).iter().map(|r| squeezed(&r.show(&|d| k.dev_name(d)))).collect()
}

/// `ip addr show`.
pub fn addresses(k: &Kernel, ns: NsId) -> Vec<String> {
    let mut lines = Vec::new();
    for dev in &k.ns(ns).devices {
        let (v4, v6): (Vec<&IfAddr>, Vec<&IfAddr>) = k.dev(*dev).addrs.iter().partition(|a| a.prefix.is_ipv4());
        for a in v4.into_iter().chain(v6) {
            let addr = a.prefix.addr();
            let link_local = matches!(addr, IpAddr::V6(a) if a.is_unicast_link_local());
            let scope = match addr {
                IpAddr::V6(a) if a.is_loopback() => "host",
                IpAddr::V6(_) if link_local => "link",
                _ => a.scope.name(),
            };
            // The oracle gives no broadcast address to lo, to /31 and to /32.
            let broadcast = a.broadcast().filter(|_| !k.dev(*dev).is_loopback() && !a.unannounced);
            let broadcast = broadcast.map(|b| format!(" brd {b}")).unwrap_or_default();
            let secondary = if a.secondary { " secondary" } else { "" };
            let (name, len) = (k.dev_name(*dev), a.prefix.len());
            lines.push(format!("{name} {addr}/{len}{broadcast} scope {scope}{secondary}"));
        }
    }
    lines
}

/// `ip link show`.
fn links(k: &Kernel, ns: NsId) -> Vec<String> {
    k.ns(ns).devices.iter().map(|dev| link(k, *dev)).collect()
}

fn link(k: &Kernel, dev: DevId) -> String {
    let d = k.dev(dev);
    let below = match d.kind {
        DeviceKind::Vlan { parent, .. } => Some(parent),
        DeviceKind::Veth { peer: Some(peer) } if k.dev(peer).ns == d.ns => Some(peer),
        _ => None,
    };
    let mut flags = Vec::new();
    if d.is_loopback() {
        flags.push("LOOPBACK");
    }
    if d.is_running() {
        flags.push("LOWER_UP");
    }
    if below.is_some_and(|b| !k.dev(b).up) {
        flags.push("M-DOWN");
    }
    if d.up && !d.carrier {
        flags.push("NO-CARRIER");
    }
    if d.up {
        flags.push("UP");
    }
    let state = match (d.up, d.carrier) {
        (false, _) => "DOWN",
        // Devices without a carrier of their own do not know.
        _ if d.is_bare() || matches!(d.kind, DeviceKind::Vxlan(_)) => "UNKNOWN",
        (true, true) => "UP",
        (true, false) if matches!(d.kind, DeviceKind::Vlan { .. }) => "LOWERLAYERDOWN",
        (true, false) => "DOWN",
    };
    let mut line = format!("{} mtu {} {} state {state}", k.dev_name(dev), d.mtu, flags.join(","));
    match &d.kind {
        DeviceKind::Loopback => {}
        DeviceKind::Tunnel(t) => line += &format!(" addr {}", t.local),
        _ => line += &format!(" addr {}", d.mac),
    }
    if let Some(master) = d.master {
        line += &format!(" master {}", k.dev_name(master));
    }
    line
}

/// The bridges of a namespace.
fn bridges(k: &Kernel, ns: NsId) -> impl Iterator<Item = (DevId, &Bridge)> {
    k.ns(ns).devices.iter().filter_map(|d| k.dev(*d).bridge().map(|b| (*d, b)))
}

/// The bridge a device is a port of.
fn bridge_of(k: &Kernel, dev: DevId) -> Option<&Bridge> {
    k.dev(k.dev(dev).master?).bridge()
}

/// STP's part of `ip -d link show`: ports and bridges in the order of their devices.
pub fn stp(k: &Kernel, ns: NsId) -> Vec<String> {
    let mut lines = Vec::new();
    for dev in &k.ns(ns).devices {
        let name = k.dev_name(*dev);
        if let Some(view) = bridge_of(k, *dev).map(Bridge::stp)
            && let Some(p) = view.ports.iter().find(|p| p.dev == *dev)
        {
            let (state, root) = (p.state.name(), p.designated_root);
            lines.push(format!("{name} state {state} cost {} designated_root {root}", p.path_cost));
        }
        if let Some(view) = k.dev(*dev).bridge().map(Bridge::stp) {
            // The tool prints the bridge's own identifier under this name (iplink_bridge.c, case bridge-loop-stp).
            let (own, port, cost) = (view.id, view.root_port, view.root_path_cost);
            lines.push(format!("{name} root_id {own} root_port {port} root_path_cost {cost}"));
        }
    }
    lines
}

/// `ip neigh show` of one family.
pub fn neigh(k: &Kernel, ns: NsId, ipv4: bool) -> Vec<String> {
    let shown = k.ns(ns).neigh.iter(k.core.now).filter(|n| {
        n.addr.is_ipv4() == ipv4
            && !matches!(n.state, NeighState::None | NeighState::NoArp)
            && (ipv4 || !n.addr.is_multicast())
    });
    let lines = shown.map(|n| {
        // An address is listed while it counts (NUD_VALID).
        let known = !matches!(n.state, NeighState::Incomplete | NeighState::Failed);
        let mac = n.mac.filter(|_| known).map_or("-".into(), |m| format!("MAC<{m}>"));
        let router = if n.router && !ipv4 { " router" } else { "" };
        // The oracle puts the word right before the state.
        format!("{} dev {} lladdr {mac} {router}{}", n.addr, k.dev_name(n.dev), n.state.name())
    });
    sorted(lines.collect())
}

/// `bridge fdb show`: the stations of all bridges; with `all` the bridges' own addresses too.
pub fn fdb(k: &Kernel, ns: NsId, all: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (master, bridge) in bridges(k, ns) {
        // The oracle does not list groups.
        let listed = |e: &&FdbEntry| (all || !e.permanent) && e.mac.0[0] & 1 == 0;
        for e in bridge.fdb(k.core.now).iter().filter(listed) {
            let vlan = if e.vlan != 0 { format!(" vlan {}", e.vlan) } else { String::new() };
            let sticky = if e.sticky { " sticky" } else { "" };
            let state = match (e.permanent, e.is_static) {
                (true, _) => " permanent",
                (false, true) => " static",
                (false, false) => "",
            };
            let (dev, master) = (k.dev_name(e.dev), k.dev_name(master));
            lines.push(format!("MAC<{}> dev {dev}{vlan}{sticky} master {master}{state}", e.mac));
        }
    }
    for dev in &k.ns(ns).devices {
        let DeviceKind::Vxlan(v) = &k.dev(*dev).kind else { continue };
        for (mac, s) in v.stations(k.core.now) {
            let state = match s.kind {
                StationKind::Permanent if !all => continue,
                StationKind::Permanent => " permanent",
                StationKind::Static => " static",
                StationKind::Dynamic => "",
            };
            if mac.0[0] & 1 != 0 {
                continue; // the oracle does not list groups
            }
            let line = |remote| format!("MAC<{mac}> dev {} dst {remote} self{state}", k.dev_name(*dev));
            lines.extend(s.remotes.iter().map(line));
        }
    }
    sorted(lines)
}

/// `bridge vlan show`.
fn vlans(k: &Kernel, ns: NsId) -> Vec<String> {
    let mut lines = vec!["port vlan-id".to_string()];
    for dev in &k.ns(ns).devices {
        let bridge = k.dev(*dev).bridge().or_else(|| bridge_of(k, *dev));
        let Some(Ok(entries)) = bridge.map(|b| b.vlans(*dev)) else { continue };
        for (i, v) in entries.iter().enumerate() {
            let name = if i == 0 { format!("{} ", k.dev_name(*dev)) } else { String::new() };
            let pvid = if v.pvid { " PVID" } else { "" };
            let untagged = if v.untagged { " Egress Untagged" } else { "" };
            lines.push(format!("{name}{}{pvid}{untagged}", v.vid));
        }
    }
    lines
}

/// A file of `/proc/net`; empty if there is none.
fn proc_net(k: &Kernel, ns: NsId, file: &str) -> String {
    procfs::read(k, ns, &format!("net/{file}")).unwrap_or_default()
}

/// Timeouts conntrack starts with, in seconds. What is left of one is rounded up to the next.
const TIMEOUTS: [u64; 12] = [1, 2, 3, 5, 10, 30, 60, 120, 180, 300, 600, 432_000];

/// The connection table, without what changes from moment to moment.
pub fn conntrack(k: &Kernel, ns: NsId) -> Vec<String> {
    connections_in(&proc_net(k, ns, "nf_conntrack"))
}

/// The same from the text of `/proc/net/nf_conntrack`.
pub fn connections_in(text: &str) -> Vec<String> {
    let volatile = ["mark=", "zone=", "use=", "secctx=", "zone-orig=", "zone-reply="];
    let line = |l: &str| {
        let words: Vec<&str> = l.split_whitespace().collect();
        let [_, _, protocol, _, timeout, rest @ ..] = &words[..] else { return None };
        let left: u64 = timeout.parse().ok()?;
        let class = TIMEOUTS.iter().find(|t| left <= **t).copied().unwrap_or(left);
        let rest = rest.iter().filter(|w| !volatile.iter().any(|v| w.starts_with(v)));
        Some(format!("{protocol} timeout<={class} {}", rest.copied().collect::<Vec<_>>().join(" ")))
    };
    sorted(text.lines().filter_map(line).collect())
}

/// The SNMP counters as `group:name`.
pub fn snmp(k: &Kernel, ns: NsId) -> BTreeMap<String, i64> {
    counters_in(&proc_net(k, ns, "snmp"), &proc_net(k, ns, "netstat"))
}

/// The same from the texts of `/proc/net/snmp` and `netstat`.
pub fn counters_in(snmp: &str, netstat: &str) -> BTreeMap<String, i64> {
    let lines: Vec<&str> = snmp.lines().chain(netstat.lines().filter(|l| l.starts_with("IpExt"))).collect();
    let mut all = BTreeMap::new();
    for pair in lines.chunks_exact(2) {
        let (names, values) = (pair[0].split_whitespace(), pair[1].split_whitespace());
        let group = pair[0].split_whitespace().next().unwrap_or_default();
        for (name, value) in names.zip(values).skip(1) {
            all.insert(format!("{group}{name}"), value.parse().unwrap_or(0));
        }
    }
    all
}

/// The counters that changed and whose values are worth comparing.
pub fn changed(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> Map<String, Value> {
    let skipped = |key: &str| {
        let octets = ["Octets", "NoECT", "ECT", "CEPkts"];
        ["Tcp:Rto", "Tcp:MaxConn", "Tcp:CurrEstab", "Ip:Forwarding", "Ip:DefaultTTL", "Ip:OutTransmits"]
            .iter()
            .any(|p| key.starts_with(p))
            || (key.starts_with("IpExt:") && octets.iter().any(|o| key.contains(o)))
    };
    let difference = |(key, value): (&String, &i64)| {
        let by = value - before.get(key).copied().unwrap_or(0);
        (by != 0 && !skipped(key)).then(|| (key.clone(), json!(by)))
    };
    after.iter().filter_map(difference).collect()
}

/// `/proc/net/dev` in short.
pub fn devices_in(text: &str) -> Vec<String> {
    let line = |l: &str| {
        let (name, counters) = l.split_once(':')?;
        let v: Vec<&str> = counters.split_whitespace().collect();
        (v.len() >= 12).then(|| {
            format!(
                "{} rx bytes={} packets={} errs={} drop={} tx bytes={} packets={} errs={} drop={}",
                name.trim(),
                v[0],
                v[1],
                v[2],
                v[3],
                v[8],
                v[9],
                v[10],
                v[11]
            )
        })
    };
    text.lines().skip(2).filter_map(line).collect()
}

/// `/proc/net/tcp` or `udp`: local end, remote end, state.
pub fn sockets_in(text: &str) -> Vec<String> {
    const STATES: [&str; 10] = [
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
    ];
    let end = |hex: &str| {
        let (addr, port) = hex.split_once(':')?;
        let addr = u32::from_str_radix(addr, 16).ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(format!("{}:{port}", std::net::Ipv4Addr::from(addr.to_le_bytes())))
    };
    let line = |l: &str| {
        let t: Vec<&str> = l.split_whitespace().collect();
        let state = usize::from_str_radix(t.get(3)?, 16).ok()?;
        let state = state.checked_sub(1).and_then(|s| STATES.get(s)).copied().unwrap_or(t[3]);
        Some(format!("{} {} {state}", end(t[1])?, end(t[2])?))
    };
    sorted(text.lines().skip(1).filter_map(line).collect())
}
