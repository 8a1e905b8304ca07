//! A case's objects in the words of `ip`, `bridge` and `tc`.

use crate::conform::{
    case::{
        AddrObject, ConfigVerb, FdbWords, Iface, Impairment, LinkSet, NeighWords, Ordered, RouteWords, Scalar,
        VlanWords,
    },
    topo::Topology,
};
use std::fmt::Display;

/// The verb as the tools say it.
pub fn verb(v: ConfigVerb) -> &'static str {
    match v {
        ConfigVerb::Add => "add",
        ConfigVerb::Del => "del",
        ConfigVerb::Replace => "replace",
        ConfigVerb::Append => "append",
        ConfigVerb::Change => "change",
        ConfigVerb::Prepend => "prepend",
    }
}

/// Whether a route has to be said to `ip -6`.
pub fn is_ipv6(r: &RouteWords) -> bool {
    match r {
        RouteWords::Short(_) => false,
        RouteWords::Long(r) => r.dst.contains(':') || r.via.as_deref().is_some_and(|v| v.contains(':')),
    }
}

fn pair(text: &mut String, key: &str, value: Option<impl Display>) {
    if let Some(v) = value {
        *text += &format!(" {key} {v}");
    }
}

/// `ip link add`, with `{index}` where the device's number may be given.
///
/// # Errors
/// If a kind lacks what it needs, or is not known.
pub fn link_add(dev: &str, kind: &str, c: &Iface) -> Result<String, String> {
    let needs = |what: &str| format!("{dev}: a {kind} needs `{what}`");
    let parent = || c.parent.as_deref().ok_or_else(|| needs("parent"));
    let mut t = match kind {
        "bridge" => {
            let mut t = format!("link add {dev} {{index}} type bridge");
            for (key, value) in c.bridge.iter() {
                pair(&mut t, key, Some(value));
            }
            if c.bridge.get("mcast_snooping").is_none() {
                // Else every bridge reports its groups.
                t += " mcast_snooping 0";
            }
            return Ok(t);
        }
        "vlan" => {
            let id = c.id.ok_or_else(|| needs("id"))?;
            let mut t = format!("link add link {} name {dev} {{index}} type vlan id {id}", parent()?);
            pair(&mut t, "protocol", c.protocol.as_ref());
            return Ok(t);
        }
        "macvlan" => {
            let mode = c.mode.as_deref().unwrap_or("bridge");
            return Ok(format!("link add link {} name {dev} {{index}} type macvlan mode {mode}", parent()?));
        }
        "vxlan" => {
            let id = c.id.ok_or_else(|| needs("id"))?;
            let port = c.port.unwrap_or(4789);
            let mut t = format!("link add {dev} {{index}} type vxlan id {id} dstport {port}");
            let ends = [("local", &c.local), ("remote", &c.remote), ("dev", &c.dev), ("group", &c.group)];
            ends.into_iter().for_each(|(key, value)| pair(&mut t, key, value.as_ref()));
            if c.nolearning {
                t += " nolearning";
            }
            return Ok(t);
        }
        "dummy" => return Ok(format!("link add {dev} {{index}} type dummy")),
        "gre" | "ipip" | "gretap" => format!("link add {dev} {{index}} type {kind}"),
        other => return Err(format!("{dev}: there are no devices of kind `{other}`")),
    };
    pair(&mut t, "local", Some(c.local.as_ref().ok_or_else(|| needs("local"))?));
    pair(&mut t, "remote", Some(c.remote.as_ref().ok_or_else(|| needs("remote"))?));
    pair(&mut t, "ttl", c.ttl.as_ref());
    pair(&mut t, "key", c.key.as_ref());
    Ok(t)
}

/// `ip link set`; an empty master leaves the bridge.
///
/// # Errors
/// If the MAC names nobody.
pub fn link_set(set: &LinkSet, master: Option<&Option<String>>, topo: &Topology) -> Result<String, String> {
    let on = |b: bool| if b { "on" } else { "off" };
    let mut t = format!("link set dev {}", set.dev);
    if let Some(up) = set.up {
        t += if up { " up" } else { " down" };
    }
    if let Some(mac) = &set.mac {
        t += &format!(" address {}", topo.mac(mac)?);
    }
    pair(&mut t, "mtu", set.mtu);
    match master {
        None => {}
        Some(Some(bridge)) if !bridge.is_empty() => t += &format!(" master {bridge}"),
        Some(_) => t += " nomaster",
    }
    pair(&mut t, "arp", set.arp.map(on));
    pair(&mut t, "promisc", set.promisc.map(on));
    Ok(t)
}

/// `ip addr`.
pub fn addr(v: ConfigVerb, dev: &str, a: &AddrObject) -> String {
    let mut t = match &a.peer {
        None => format!("addr {} {} dev {dev}", verb(v), a.ip),
        Some(peer) => format!("addr {} {} peer {peer} dev {dev}", verb(v), a.ip.split('/').next().unwrap_or(&a.ip)),
    };
    let ipv6 = a.ip.contains(':');
    if v == ConfigVerb::Add
        && !ipv6
        && !a.ip.ends_with("/31")
        && !a.ip.ends_with("/32")
        && a.peer.is_none()
        && dev != "lo"
    {
        t += " broadcast +";
    }
    if v == ConfigVerb::Add && ipv6 && !a.dad {
        t += " nodad";
    }
    pair(&mut t, "scope", a.scope.as_ref());
    t
}

/// `ip neigh`.
///
/// # Errors
/// If the MAC names nobody.
pub fn neigh(v: ConfigVerb, e: &NeighWords, topo: &Topology) -> Result<String, String> {
    let (ip, dev) = (&e.ip, &e.dev);
    Ok(match (v, e.proxy, &e.mac) {
        (ConfigVerb::Del, ..) => format!("neigh del {ip} dev {dev}"),
        (_, true, _) => format!("neigh {} proxy {ip} dev {dev}", verb(v)),
        (.., mac) => {
            let mac = mac.as_ref().ok_or("a neighbour needs a `mac`")?;
            let nud = e.nud.as_deref().unwrap_or("permanent");
            format!("neigh {} {ip} lladdr {} dev {dev} nud {nud}", verb(v), topo.mac(mac)?)
        }
    })
}

/// `bridge fdb`.
///
/// # Errors
/// If the MAC names nobody.
pub fn fdb(v: ConfigVerb, e: &FdbWords, topo: &Topology) -> Result<String, String> {
    let mut t = format!("fdb {} {} dev {}", verb(v), topo.mac(&e.mac)?, e.dev);
    pair(&mut t, "dst", e.dst.as_ref());
    pair(&mut t, "vlan", e.vlan);
    match &e.flags {
        Some(flags) => flags.iter().for_each(|f| t += &format!(" {f}")),
        None => t += " master static",
    }
    Ok(t)
}

/// `bridge vlan`.
pub fn vlan(dev: &str, is_bridge: bool, v: &VlanWords) -> String {
    let mut t = format!("vlan {} dev {dev} vid {}", if v.del { "del" } else { "add" }, v.vid);
    for (said, word) in [(v.pvid && !v.del, " pvid"), (v.untagged && !v.del, " untagged"), (is_bridge, " self")] {
        t += if said { word } else { "" };
    }
    t
}

/// `bridge link set`. Switches were truth values or numbers in the case; the tool wants `on` and `off`.
pub fn port_set(dev: &str, options: &Ordered<Scalar>) -> String {
    const NUMBERS: [&str; 3] = ["cost", "priority", "state"];
    let mut t = format!("link set dev {dev}");
    for (key, value) in options.iter() {
        let value = match &*value.0 {
            "1" if !NUMBERS.contains(&key) => "on",
            "0" if !NUMBERS.contains(&key) => "off",
            other => other,
        };
        t += &format!(" {key} {value}");
    }
    t
}

/// `ip link set DEV type bridge`.
pub fn bridge_set(dev: &str, options: &Ordered<Scalar>) -> String {
    options.iter().fold(format!("link set dev {dev} type bridge"), |t, (key, value)| t + &format!(" {key} {value}"))
}

/// `tc qdisc`.
pub fn qdisc(verb: &str, dev: &str, set: Option<&Impairment>) -> String {
    let Some(p) = set else { return format!("qdisc del dev {dev} root") };
    if let Some(t) = &p.tbf {
        let (burst, limit) = (t.burst.unwrap_or(3000), t.limit.unwrap_or(100_000));
        return format!("qdisc {verb} dev {dev} root tbf rate {}kbit burst {burst} limit {limit}", t.rate_kbit);
    }
    let mut t = format!("qdisc {verb} dev {dev} root netem");
    let percent = |v: Option<f64>| v.map(|v| format!("{v}%"));
    if let Some(delay) = p.delay_ms {
        t += &format!(" delay {delay}ms");
        if let Some(jitter) = p.jitter_ms {
            t += &format!(" {jitter}ms");
        }
    }
    pair(&mut t, "loss", percent(p.loss_pct));
    pair(&mut t, "duplicate", percent(p.duplicate_pct));
    pair(&mut t, "corrupt", percent(p.corrupt_pct));
    pair(&mut t, "reorder", percent(p.reorder_pct));
    pair(&mut t, "gap", p.gap.filter(|_| p.reorder_pct.is_some()));
    pair(&mut t, "rate", p.rate_kbit.map(|r| format!("{r}kbit")));
    pair(&mut t, "limit", p.limit);
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conform::Case;

    #[test]
    fn words_are_those_of_the_tools() {
        let case = Case::parse(r#"{"nodes": {"a": {}, "b": {}}, "links": [["a:e", "b:e"]]}"#).unwrap();
        let topo = Topology::of(&case).unwrap();
        let set = LinkSet { dev: "e".into(), up: Some(false), mac: Some("b:e".into()), ..LinkSet::default() };
        assert_eq!(
            link_set(&set, Some(&None), &topo).unwrap(),
            "link set dev e down address 02:00:00:00:00:0b nomaster"
        );
        let e = NeighWords { ip: "10.0.0.1".into(), dev: "e".into(), mac: Some("b:e".into()), ..NeighWords::default() };
        assert_eq!(
            neigh(ConfigVerb::Replace, &e, &topo).unwrap(),
            "neigh replace 10.0.0.1 lladdr 02:00:00:00:00:0b dev e nud permanent"
        );
        let a = AddrObject { ip: "10.0.0.1/32".into(), peer: Some("10.9.0.1/32".into()), ..AddrObject::default() };
        assert_eq!(addr(ConfigVerb::Add, "e", &a), "addr add 10.0.0.1 peer 10.9.0.1/32 dev e");
        let a = AddrObject { ip: "fd00::1/64".into(), ..AddrObject::default() };
        assert_eq!(addr(ConfigVerb::Add, "e", &a), "addr add fd00::1/64 dev e nodad");
        let set = Impairment { delay_ms: Some(10.0), loss_pct: Some(0.5), gap: Some(3), ..Impairment::default() };
        assert_eq!(qdisc("add", "e", Some(&set)), "qdisc add dev e root netem delay 10ms loss 0.5%");
        assert_eq!(qdisc("replace", "e", None), "qdisc del dev e root");
    }
}
