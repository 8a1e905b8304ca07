//! Builds the world of a case, as the oracle builds it from namespaces: same order, same preconditions.

pub mod config;
pub mod firewall;

use super::{
    case::{Case, ConfigVerb, Iface, Node},
    topo::{Interface, Topology, iface, split},
};
use crate::{
    base::{Mac, NsId, Time, US},
    device::{
        bridge::VlanEntry,
        tunnel::{StationKind, StationVerb, Tunnel, TunnelMode, VXLAN_PORT, Vxlan},
    },
    kernel::{ConfigError, Kernel},
    sim::World,
};
use std::{fmt, net::Ipv4Addr};

/// How long a frame takes over a cable. On a real machine about this long; without it, frames that circulate in a loop
/// of bridges would do so for ever at one instant.
pub const CABLE: Time = 10 * US;

/// Why a change was not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// As the tool reports it: the kernel's own words, or the name of the errno.
    Said(String),
    /// netsim does not know such a thing.
    Unsupported(String),
}

impl Refusal {
    fn said(what: &str, about: &str) -> Refusal {
        Refusal::Said(format!("{what}: {about}"))
    }

    /// There is no such thing here.
    pub fn unsupported(what: &str) -> Refusal {
        Refusal::Unsupported(format!("not supported: {what}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Said(text) | Refusal::Unsupported(text) => f.write_str(text),
        }
    }
}

impl From<ConfigError> for Refusal {
    fn from(e: ConfigError) -> Refusal {
        match e.message.is_empty() {
            true => Refusal::Said(e.errno.name().into()),
            false => Refusal::Said(e.message),
        }
    }
}

/// Something done to each interface in turn.
type Stage = fn(&mut World, NsId, &Interface, Option<&Iface>, &Topology) -> Result<(), Refusal>;

/// What every namespace starts with. The oracle pins these because its namespaces inherit from the host; they are the
/// kernel's defaults.
pub const PINNED: [(&str, &str); 9] = [
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.accept_redirects", "1"),
    ("net.ipv4.conf.default.accept_redirects", "1"),
    ("net.ipv4.conf.all.send_redirects", "1"),
    ("net.ipv4.conf.default.send_redirects", "1"),
    ("net.ipv4.conf.all.arp_ignore", "0"),
    ("net.ipv4.conf.all.arp_announce", "0"),
];
/// What a namespace with IPv6 starts with beside: steps are not to wait for duplicate address detection.
pub const WITH_IPV6: [(&str, &str); 4] = [
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.router_solicitations", "0"),
    ("net.ipv6.conf.all.router_solicitations", "0"),
];
/// What a namespace without IPv6 starts with beside.
pub const WITHOUT_IPV6: [(&str, &str); 2] =
    [("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1")];

/// The world of a case, before its first step.
///
/// # Errors
/// What the oracle would have been refused, with the node it happened at, or what netsim cannot do.
pub fn build(case: &Case, topo: &Topology, seed: u64) -> Result<World, String> {
    let mut w = World::new(seed);
    w.core.cable = CABLE;
    let at = |node: &str, what: &dyn fmt::Display| format!("build: node {node}: {what}");
    for (name, node) in case.nodes.iter() {
        let ns = w.add_namespace(name).map_err(|e| at(name, &e))?;
        settings(&mut w, ns, case, node).map_err(|e| at(name, &e))?;
    }
    for [a, b] in &case.links {
        let ((an, ai), (bn, bi)) = (split(a)?, split(b)?);
        let ends = (find(&w, an)?, find(&w, bn)?);
        w.add_veth((ends.0, ai), (ends.1, bi)).map_err(|e| at(an, &e))?;
    }
    let each = |w: &mut World, stage: Stage| {
        for i in topo.ifaces() {
            let node = case.nodes.get(&i.node).expect("interfaces belong to nodes");
            let ns = find(w, &i.node)?;
            let done = stage(w, ns, i, iface(node, &i.name), topo);
            done.map_err(|e| at(&i.node, &format_args!("{}: {e}", i.name)))?;
        }
        Ok::<(), String>(())
    };
    each(&mut w, make)?;
    each(&mut w, dress)?;
    for (name, node) in case.nodes.iter() {
        let ns = find(&w, name)?;
        device_settings(&mut w, ns, node).map_err(|e| at(name, &e))?;
    }
    for stage in [enslave, switch_on, port] {
        each(&mut w, stage)?;
    }
    for (name, node) in case.nodes.iter() {
        let ns = find(&w, name)?;
        addresses(&mut w, ns, node).map_err(|e| at(name, &e))?;
    }
    for (name, node) in case.nodes.iter() {
        let ns = find(&w, name)?;
        tables(&mut w, ns, node, topo).map_err(|e| at(name, &e))?;
    }
    for (name, node) in case.nodes.iter() {
        let ns = find(&w, name)?;
        for (i, config) in node.ifaces.iter().filter(|(_, c)| c.netem.is_some()) {
            let dev = config::device(&w, ns, i).map_err(|e| at(name, &e))?;
            config::impair(&mut w, dev, config.netem.as_ref()).map_err(|e| at(name, &e))?;
        }
    }
    Ok(w)
}

fn find(k: &Kernel, node: &str) -> Result<NsId, String> {
    k.find_ns(node).ok_or_else(|| format!("there is no node `{node}`"))
}

/// Whether a key names a device: those are set once the device is there.
pub fn names_device(key: &str) -> bool {
    let device = |table: &str| {
        let rest = key.split_once(table).map(|(_, rest)| rest);
        rest.is_some_and(|r| !["all", "default", "lo"].iter().any(|d| r.starts_with(d)))
    };
    device(".conf.") || device(".neigh.")
}

fn sysctl(k: &mut Kernel, ns: NsId, key: &str, value: &str) -> Result<(), Refusal> {
    k.set_sysctl(ns, key, value).map_err(|e| Refusal::Said(format!("{key}: {e}")))
}

/// The settings of a namespace, and its `lo`.
fn settings(k: &mut Kernel, ns: NsId, case: &Case, node: &Node) -> Result<(), Refusal> {
    let family: &[(&str, &str)] = if case.ipv6 { &WITH_IPV6 } else { &WITHOUT_IPV6 };
    if case.ipv6 {
        // Here, unlike on Linux, it is off at first.
        sysctl(k, ns, "net.ipv6.conf.all.disable_ipv6", "0")?;
    }
    for (key, value) in PINNED.iter().chain(family) {
        sysctl(k, ns, key, value)?;
    }
    if node.forward {
        sysctl(k, ns, "net.ipv4.ip_forward", "1")?;
        if case.ipv6 {
            sysctl(k, ns, "net.ipv6.conf.all.forwarding", "1")?;
        }
    }
    for (key, value) in node.sysctl.iter().filter(|(key, _)| !names_device(key)) {
        sysctl(k, ns, key, &value.0)?;
    }
    if node.ifaces.get("lo").and_then(|lo| lo.up) == Some(false) {
        // On Linux a namespace begins like this: `lo` is down and has never had an address.
        let lo = k.ns(ns).lo;
        for a in k.dev(lo).addrs.clone() {
            k.delete_address(lo, a.prefix)?;
        }
        k.set_up(lo, false);
    }
    Ok(())
}

fn device_settings(w: &mut World, ns: NsId, node: &Node) -> Result<(), Refusal> {
    for (key, value) in node.sysctl.iter().filter(|(key, _)| names_device(key)) {
        sysctl(w, ns, key, &value.0)?;
    }
    Ok(())
}

/// Makes a device that is not the end of a cable.
fn make(w: &mut World, ns: NsId, i: &Interface, config: Option<&Iface>, _: &Topology) -> Result<(), Refusal> {
    let Some(c) = config.filter(|_| i.kind != "veth") else { return Ok(()) };
    match &*i.kind {
        "bridge" => {
            w.add_bridge(ns, &i.name, config::bridge_config(&c.bridge)?)?;
        }
        "vlan" => {
            if c.protocol.as_deref().is_some_and(|p| !p.eq_ignore_ascii_case("802.1q")) {
                return Err(Refusal::unsupported("VLAN protocols other than 802.1Q"));
            }
            let parent = c.parent.as_deref().ok_or_else(|| Refusal::said("a vlan needs", "parent"))?;
            let parent = config::device(w, ns, parent)?;
            let vid = c.id.and_then(|id| u16::try_from(id).ok()).unwrap_or(0);
            w.add_vlan(parent, &i.name, vid)?;
        }
        "gre" | "ipip" => {
            let key = c.key.as_ref().map(firewall::number).transpose()?;
            let mode = if i.kind == "gre" { TunnelMode::Gre { key } } else { TunnelMode::Ipip };
            let ttl = match c.ttl.as_ref().map(|t| &*t.0) {
                None | Some("inherit") => 0,
                Some(ttl) => config::parse(ttl, "argument is wrong")?,
            };
            let tunnel = Tunnel::new(mode, end(&c.local)?.unwrap_or(ANY), end(&c.remote)?.unwrap_or(ANY));
            w.add_tunnel(ns, &i.name, Tunnel { ttl, ..tunnel })?;
        }
        "vxlan" => {
            if c.group.is_some() {
                return Err(Refusal::unsupported("VXLAN groups"));
            }
            let vni = c.id.ok_or_else(|| Refusal::said("a vxlan needs", "id"))?;
            let mut vxlan = Vxlan::new(vni);
            vxlan.port = c.port.unwrap_or(VXLAN_PORT);
            vxlan.local = end(&c.local)?;
            if let Some(remote) = end(&c.remote)? {
                // Where frames to unknown stations go: the entry of the zero MAC (vxlan_dev_configure).
                let kind = StationKind::Permanent;
                vxlan.set_station(0, StationVerb::Add, Mac::ZERO, remote, kind).expect("the table is empty");
            }
            vxlan.link = c.dev.as_deref().map(|d| config::device(w, ns, d)).transpose()?;
            vxlan.learning = !c.nolearning;
            w.add_vxlan(ns, &i.name, vxlan)?;
        }
        other => return Err(Refusal::unsupported(&format!("devices of kind {other}"))),
    }
    Ok(())
}

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// An end of a tunnel.
fn end(addr: &Option<String>) -> Result<Option<Ipv4Addr>, Refusal> {
    addr.as_deref().map(|a| config::parse(a, "any valid address is expected rather than")).transpose()
}

/// MAC, MTU and ARP of a device.
fn dress(w: &mut World, ns: NsId, i: &Interface, config: Option<&Iface>, _: &Topology) -> Result<(), Refusal> {
    let dev = config::device(w, ns, &i.name)?;
    if let Some(mac) = i.mac {
        w.set_mac(dev, mac)?;
    }
    if let Some(mtu) = config.and_then(|c| c.mtu) {
        w.set_mtu(dev, mtu)?;
    }
    if config.and_then(|c| c.arp) == Some(false) {
        w.set_arp(dev, false);
    }
    Ok(())
}

fn enslave(w: &mut World, ns: NsId, i: &Interface, config: Option<&Iface>, _: &Topology) -> Result<(), Refusal> {
    let Some(master) = config.and_then(|c| c.master.as_deref()) else { return Ok(()) };
    let (dev, bridge) = (config::device(w, ns, &i.name)?, config::device(w, ns, master)?);
    Ok(w.set_master(dev, bridge)?)
}

/// Devices are made up; the others are switched off.
fn switch_on(w: &mut World, ns: NsId, i: &Interface, config: Option<&Iface>, _: &Topology) -> Result<(), Refusal> {
    if config.and_then(|c| c.up) == Some(false) {
        let dev = config::device(w, ns, &i.name)?;
        w.set_up(dev, false);
    }
    Ok(())
}

/// VLANs and switches of a port.
fn port(w: &mut World, ns: NsId, i: &Interface, config: Option<&Iface>, _: &Topology) -> Result<(), Refusal> {
    let Some(c) = config else { return Ok(()) };
    let dev = config::device(w, ns, &i.name)?;
    if !c.vlans.is_empty() {
        let bridge = if i.kind == "bridge" { Some(dev) } else { w.dev(dev).master };
        let bridge = bridge.ok_or_else(|| Refusal::said("is no port of a bridge", &i.name))?;
        for v in &c.vlans {
            let entry = VlanEntry { vid: v.vid, pvid: v.pvid, untagged: v.untagged };
            w.administer_bridge(bridge, |b, now, out| match v.del {
                true => b.vlan_del(dev, v.vid, out),
                false => b.vlan_add(now, dev, entry, out),
            })?;
        }
    }
    if c.brport.0.is_empty() { Ok(()) } else { config::port_set(w, dev, &c.brport) }
}

fn addresses(w: &mut World, ns: NsId, node: &Node) -> Result<(), Refusal> {
    for (name, config) in node.ifaces.iter().filter(|(_, c)| !c.addr.is_empty()) {
        let dev = config::device(w, ns, name)?;
        for a in &config.addr {
            config::addr(w, dev, ConfigVerb::Add, a)?;
        }
    }
    Ok(())
}

fn tables(w: &mut World, ns: NsId, node: &Node, topo: &Topology) -> Result<(), Refusal> {
    for r in &node.routes {
        config::route(w, ns, ConfigVerb::Add, r)?;
    }
    for r in &node.rules {
        config::rule(w, ns, ConfigVerb::Add, r)?;
    }
    for e in &node.neigh {
        config::neigh(w, ns, topo, ConfigVerb::Add, e)?;
    }
    for e in &node.fdb {
        config::fdb(w, ns, topo, ConfigVerb::Add, e)?;
    }
    firewall::apply(w, ns, &node.nat, &node.filter, node.nft.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_devices_are_told_from_those_of_namespaces() {
        assert!(names_device("net.ipv4.conf.eth0.proxy_arp") && !names_device("net.ipv4.conf.all.rp_filter"));
    }
}
