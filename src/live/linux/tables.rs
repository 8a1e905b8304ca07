//! Tables of a namespace, in the forms the oracle gives them.

use super::{Error, NetNs, Session, build::links};
use crate::conform::{
    case::Dump,
    ops::tables::{changed, connections_in, counters_in, devices_in, sockets_in, sorted, squeezed, trimmed},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs};

/// Devices some kernels put into every namespace.
const EVERYWHERE: [&str; 7] = ["ifb0", "ifb1", "tunl0", "gre0", "gretap0", "erspan0", "sit0"];

impl Session<'_> {
    /// Tables.
    pub fn dump(&self, ns: &NetNs, node: &str, d: &Dump) -> Result<Value, Error> {
        let mut out = Map::new();
        for what in &d.what {
            let lines = match &**what {
                "routes" => {
                    let table = d.table.as_ref().map_or("main", |t| &*t.0);
                    routes(&said(ns, "ip", &["route", "show", "table", table])?)
                }
                "routes6" => sorted(said(ns, "ip", &["-6", "route", "show"])?.lines().map(squeezed).collect()),
                "rules" => said(ns, "ip", &["rule"])?.lines().map(squeezed).collect(),
                "addr" => addresses(ns)?,
                "links" => links(ns)?.iter().filter(|l| own(l)).map(link).collect(),
                "stp" => stp(ns)?,
                "neigh" => neigh(ns, true)?,
                "neigh6" => neigh(ns, false)?,
                "fdb" => fdb(ns, d.all)?,
                "vlans" => said(ns, "bridge", &["vlan", "show"])?.lines().map(squeezed).collect(),
                "conntrack" => conntrack(ns)?,
                "proc_route" => trimmed(&proc_net(ns, "route")?),
                "proc_arp" => {
                    let mut lines = trimmed(&proc_net(ns, "arp")?);
                    lines.get_mut(1..).unwrap_or_default().sort();
                    lines
                }
                "proc_dev" => {
                    let all = devices_in(&proc_net(ns, "dev")?);
                    all.into_iter().filter(|l| !EVERYWHERE.iter().any(|d| l.starts_with(&format!("{d} ")))).collect()
                }
                "proc_tcp" => sockets_in(&proc_net(ns, "tcp")?),
                "proc_udp" => sockets_in(&proc_net(ns, "udp")?),
                "proc_raw" => {
                    let mut files = Map::new();
                    for f in &d.files {
                        files.insert(f.clone(), json!(trimmed(&proc_net(ns, f)?)));
                    }
                    out.insert(what.clone(), Value::Object(files));
                    continue;
                }
                "snmp" => {
                    let before = self.snmp.get(node).cloned().unwrap_or_default();
                    out.insert(what.clone(), Value::Object(changed(&before, &snmp(ns)?)));
                    continue;
                }
                other => return Err(Error::Failed(format!("there is no table `{other}`"))),
            };
            out.insert(what.clone(), json!(lines));
        }
        Ok(Value::Object(out))
    }
}

fn said(ns: &NetNs, tool: &str, words: &[&str]) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&ns.program(tool, words, "")?.stdout).into_owned())
}

fn rows(ns: &NetNs, words: &[&str]) -> Result<Vec<Value>, Error> {
    Ok(serde_json::from_str(&said(ns, "ip", words)?).unwrap_or_default())
}

/// Whether a device was made by the case.
fn own(link: &Value) -> bool {
    !EVERYWHERE.iter().any(|d| link["ifname"] == **d)
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_default()
}

/// A string or number as it is shown.
fn shown(v: &Value) -> String {
    match v {
        Value::String(s) => s.clone(),
        Value::Null => "None".into(),
        other => other.to_string(),
    }
}

/// A file of `/proc/net`; empty if there is none.
fn proc_net(ns: &NetNs, file: &str) -> Result<String, Error> {
    ns.inside(|| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default())
}

/// The SNMP counters.
pub fn snmp(ns: &NetNs) -> Result<BTreeMap<String, i64>, Error> {
    Ok(counters_in(&proc_net(ns, "snmp")?, &proc_net(ns, "netstat")?))
}

/// The connection table.
pub fn conntrack(ns: &NetNs) -> Result<Vec<String>, Error> {
    Ok(connections_in(&proc_net(ns, "nf_conntrack")?))
}

/// Next hops of a route follow it on lines of their own.
fn routes(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut().filter(|_| line.starts_with(char::is_whitespace) && line.trim().starts_with("nexthop")) {
            Some(route) => *route += &format!(" {}", squeezed(line)),
            None => lines.push(squeezed(line)),
        }
    }
    lines
}

fn addresses(ns: &NetNs) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for i in rows(ns, &["-j", "addr", "show"])?.iter().filter(|i| own(i)) {
        for a in i["addr_info"].as_array().into_iter().flatten() {
            let broadcast = a["broadcast"].as_str().map(|b| format!(" brd {b}")).unwrap_or_default();
            let secondary = if a["secondary"] == true { " secondary" } else { "" };
            let (dev, addr, len, scope) = (text(i, "ifname"), text(a, "local"), &a["prefixlen"], text(a, "scope"));
            lines.push(format!("{dev} {addr}/{len}{broadcast} scope {scope}{secondary}"));
        }
    }
    Ok(lines)
}

fn link(l: &Value) -> String {
    let told = ["UP", "LOWER_UP", "NO-CARRIER", "LOOPBACK", "M-DOWN"];
    let mut flags: Vec<&str> = l["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    flags.retain(|f| told.contains(f));
    flags.sort_unstable();
    let (name, mtu, state) = (text(l, "ifname"), &l["mtu"], text(l, "operstate"));
    let mut line = format!("{name} mtu {mtu} {} state {state}", flags.join(","));
    if let Some(mac) = l["address"].as_str().filter(|_| name != "lo") {
        line += &format!(" addr {mac}");
    }
    if let Some(master) = l["master"].as_str() {
        line += &format!(" master {master}");
    }
    line
}

/// The ports of bridges and the bridges, as STP sees them.
pub fn stp(ns: &NetNs) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for l in links(ns)? {
        let (name, info) = (text(&l, "ifname"), &l["linkinfo"]);
        if info["info_slave_kind"] == "bridge" {
            let d = &info["info_slave_data"];
            let root = if d["root_id"].is_null() { &d["designated_root"] } else { &d["root_id"] };
            let (state, cost, root) = (shown(&d["state"]), shown(&d["cost"]), shown(root));
            lines.push(format!("{name} state {state} cost {cost} designated_root {root}"));
        }
        if info["info_kind"] == "bridge" {
            let d = &info["info_data"];
            let (root, port, cost) = (shown(&d["root_id"]), shown(&d["root_port"]), shown(&d["root_path_cost"]));
            lines.push(format!("{name} root_id {root} root_port {port} root_path_cost {cost}"));
        }
    }
    Ok(lines)
}

/// The neighbours of one family.
pub fn neigh(ns: &NetNs, ipv4: bool) -> Result<Vec<String>, Error> {
    let all = rows(ns, &["-j", if ipv4 { "-4" } else { "-6" }, "neigh", "show"])?;
    let line = |e: &Value| {
        let mac = e["lladdr"].as_str().map_or("-".into(), |m| format!("MAC<{m}>"));
        let state: Vec<&str> = e["state"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // A flag: the key is there, with nothing behind it.
        let router = if !ipv4 && e.get("router").is_some() { " router" } else { "" };
        format!("{} dev {} lladdr {mac} {router}{}", text(e, "dst"), text(e, "dev"), state.join(","))
    };
    let listed = all.iter().filter(|e| ipv4 || !text(e, "dst").starts_with("ff"));
    Ok(sorted(listed.map(line).collect()))
}

/// The stations of bridges and tunnels; with `all` their own addresses too.
pub fn fdb(ns: &NetNs, all: bool) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for line in said(ns, "bridge", &["fdb", "show"])?.lines().map(squeezed) {
        let Some((mac, rest)) = line.split_once(' ') else { continue };
        let group = u8::from_str_radix(mac.get(..2).unwrap_or_default(), 16).is_ok_and(|first| first & 1 == 1);
        let own = line.contains(" self") && !line.contains(" dst ");
        if !group && !own && (all || !line.contains(" permanent")) {
            lines.push(format!("MAC<{mac}> {rest}"));
        }
    }
    Ok(sorted(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_are_joined_with_their_route() {
        let text = "default \n\tnexthop via 10.0.0.1 dev a weight 1 \n\tnexthop via 10.0.1.1 dev b weight 1 \n10.0.0.0/24 dev a \n";
        assert_eq!(
            routes(text),
            ["default nexthop via 10.0.0.1 dev a weight 1 nexthop via 10.0.1.1 dev b weight 1", "10.0.0.0/24 dev a"]
        );
    }

    #[test]
    fn a_link_in_short() {
        let l = json!({"ifname": "e", "mtu": 1500, "flags": ["BROADCAST", "UP", "LOWER_UP"], "operstate": "UP",
                       "address": "02:00:00:00:00:0a", "master": "br0"});
        assert_eq!(link(&l), "e mtu 1500 LOWER_UP,UP state UP addr 02:00:00:00:00:0a master br0");
    }
}
