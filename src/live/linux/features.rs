//! What the kernel underneath can do, found out by trying.

use super::{Error, NetNs};
use crate::conform::Case;
use serde_json::Value;
use std::sync::OnceLock;

/// Whether namespaces can be made and filled at all.
pub fn available() -> Result<(), Error> {
    let done = NetNs::new()?.program("ip", &["link", "set", "lo", "up"], "")?;
    match done.status.success() {
        true => Ok(()),
        false => Err(Error::Permission(String::from_utf8_lossy(&done.stderr).trim().into())),
    }
}

/// A thing a kernel may lack, and the commands of `ip` or `tc` that show whether it does.
const TRIALS: [(&str, &str, &[&str]); 10] = [
    ("netem", "tc", &["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]),
    ("tbf", "tc", &["qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "3000", "limit", "9000"]),
    ("vlan", "ip", &["link", "add", "link", "lo", "name", "t0", "type", "vlan", "id", "7"]),
    ("vlan-filtering", "ip", &["link", "add", "t1", "type", "bridge", "vlan_filtering", "1"]),
    ("gre", "ip", &["link", "add", "t2", "type", "gre", "local", "127.0.0.1", "remote", "127.0.0.2"]),
    ("ipip", "ip", &["link", "add", "t3", "type", "ipip", "local", "127.0.0.1", "remote", "127.0.0.2"]),
    ("vxlan", "ip", &["link", "add", "t4", "type", "vxlan", "id", "7", "dstport", "4789"]),
    ("bridge", "ip", &["link", "add", "t5", "type", "bridge"]),
    ("veth", "ip", &["link", "add", "t6", "type", "veth", "peer", "name", "t7"]),
    ("nft", "nft", &["add", "table", "ip", "nat"]),
];

/// What is missing, by name. Tried once.
fn missing() -> Result<&'static [&'static str], Error> {
    static MISSING: OnceLock<Result<Vec<&'static str>, Error>> = OnceLock::new();
    let tried = MISSING.get_or_init(|| {
        let mut missing = Vec::new();
        for (what, tool, words) in TRIALS {
            // Each in a namespace of its own: one trial must not spoil the next.
            if !NetNs::new()?.program(tool, words, "")?.status.success() {
                missing.push(what);
            }
        }
        Ok(missing)
    });
    tried.as_deref().map_err(Clone::clone)
}

/// See [`crate::live::lacks`].
pub fn lacks(what: &str) -> Result<bool, Error> {
    Ok(missing()?.contains(&what))
}

/// See [`crate::live::lacking`].
pub fn lacking(case: &Case) -> Result<Vec<String>, Error> {
    let missing = missing()?;
    let mut used: Vec<&str> = Vec::new();
    if let Some(Value::Array(all)) = case.source.get("requires") {
        used.extend(all.iter().filter_map(Value::as_str));
    }
    for (_, node) in case.nodes.iter() {
        for (_, i) in node.ifaces.iter() {
            used.extend(i.kind.as_deref());
            used.extend(i.netem.as_ref().map(|n| if n.tbf.is_some() { "tbf" } else { "netem" }));
            let filters = !i.vlans.is_empty() || i.bridge.get("vlan_filtering").is_some_and(|v| v.0 != "0");
            used.extend(filters.then_some("vlan-filtering"));
        }
        let rules = !node.nat.is_empty() || !node.filter.0.is_empty() || node.nft.is_some();
        used.extend(rules.then_some("nft"));
    }
    if !case.links.is_empty() {
        used.push("veth");
    }
    for step in &case.steps {
        used.extend((step.source["op"] == "netem").then_some("netem"));
    }
    let mut lacking: Vec<String> = missing.iter().filter(|m| used.contains(m)).map(|m| m.to_string()).collect();
    if used.contains(&"vlan") && !missing.contains(&"vlan") {
        // The tag of a frame is told beside it (PACKET_AUXDATA), which cannot be asked for in safe Rust.
        lacking.push("tags in captures".into());
    }
    Ok(lacking)
}
