//! From a case's topology to the commands that build it from network namespaces.
//!
//! The order is the oracle's: settings, cables, devices, MACs, bridges, everything up; when that is done everywhere,
//! addresses, tables, rules and queues. What runs the commands, or prints them, is somebody else's concern.

use super::words;
use crate::{
    base::Mac,
    conform::{
        case::{Case, ConfigVerb, Iface, Node},
        lab::{PINNED, WITH_IPV6, WITHOUT_IPV6, names_device},
        topo::{Topology, split},
    },
};

/// The number of a case's first device in its namespace. All numbers are given explicitly: where both ends of a cable
/// have the same one, Linux sees no carrier for up to a second (`linkwatch_urgent_event`).
pub const FIRST_INDEX: u32 = 100;

/// What a command is said to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// `ip`
    Ip,
    /// `ip -6`
    Ip6,
    /// `bridge`
    Bridge,
    /// `tc`
    Tc,
    /// `nft -f -`; the words are its input.
    Nft,
    /// A setting: key and value.
    Sysctl {
        /// Whether a kernel without such a setting is good enough.
        optional: bool,
    },
}

/// A command in a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// Who understands it.
    pub tool: Tool,
    /// Its words.
    pub words: String,
}

impl Command {
    /// A command.
    pub fn new(tool: Tool, words: impl Into<String>) -> Command {
        Command { tool, words: words.into() }
    }
}

/// One end of a cable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The namespace.
    pub node: String,
    /// The device.
    pub dev: String,
    /// Its number.
    pub index: u32,
    /// Its MAC.
    pub mac: Mac,
}

/// How a case's world is built.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The namespaces, in order.
    pub nodes: Vec<String>,
    /// The cables: veth pairs.
    pub cables: Vec<[End; 2]>,
    /// For each namespace what it starts with; devices inherit from it, so it comes before the cables.
    pub settings: Vec<Vec<Command>>,
    /// For each namespace what makes its devices; comes after the cables.
    pub devices: Vec<Vec<Command>>,
    /// For each namespace what gives it addresses, tables and rules; comes when all devices are up everywhere.
    pub tables: Vec<Vec<Command>>,
    /// For each namespace the devices that must have a carrier before anything begins.
    pub carriers: Vec<Vec<String>>,
}

/// Bridges do not show frames to the firewall.
const BRIDGES_PASS: [&str; 3] = [
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-arptables",
];

impl Plan {
    /// Plans a case's world.
    ///
    /// # Errors
    /// What of the case makes no sense.
    pub fn of(case: &Case, topo: &Topology) -> Result<Plan, String> {
        let nodes: Vec<String> = case.nodes.iter().map(|(n, _)| n.to_string()).collect();
        let mut index = FIRST_INDEX;
        let mut next = || {
            index += 1;
            index
        };
        let mut cables = Vec::new();
        for ends in &case.links {
            let mut end = |text: &str| {
                let (node, dev) = split(text)?;
                Ok::<_, String>(End { node: node.into(), dev: dev.into(), index: next(), mac: topo.mac(text)? })
            };
            cables.push([end(&ends[0])?, end(&ends[1])?]);
        }
        let mut plan = Plan { nodes, cables, ..Plan::default() };
        for (name, node) in case.nodes.iter() {
            let mut b = Builder { case, topo, name, node, out: Vec::new() };
            b.settings();
            plan.settings.push(std::mem::take(&mut b.out));
            b.make(&mut next)?;
            b.dress();
            plan.devices.push(std::mem::take(&mut b.out));
            b.ports();
            b.addresses();
            b.tables()?;
            plan.tables.push(b.out);
            plan.carriers.push(carriers(case, name));
        }
        Ok(plan)
    }
}

/// The ends of cables of a node that are up on both sides.
fn carriers(case: &Case, name: &str) -> Vec<String> {
    let up = |end: &str| {
        let Ok((node, dev)) = split(end) else { return false };
        case.nodes.get(node).and_then(|n| n.ifaces.get(dev)).and_then(|i| i.up).unwrap_or(true)
    };
    let cables = case.links.iter().filter(|ends| ends.iter().all(|e| up(e)));
    let ends = cables.flatten().filter_map(|e| split(e).ok());
    ends.filter(|(node, _)| *node == name).map(|(_, dev)| dev.to_string()).collect()
}

struct Builder<'a> {
    case: &'a Case,
    topo: &'a Topology,
    name: &'a str,
    node: &'a Node,
    out: Vec<Command>,
}

impl<'a> Builder<'a> {
    fn say(&mut self, tool: Tool, words: impl Into<String>) {
        self.out.push(Command::new(tool, words));
    }

    fn iface(&self, dev: &str) -> Option<&'a Iface> {
        self.node.ifaces.get(dev)
    }

    /// The namespace's devices, in the order in which they are made.
    fn devices(&self) -> Vec<(&'a str, &'a str, Option<Mac>)> {
        let all = self.topo.ifaces().iter().filter(|i| i.node == self.name);
        all.map(|i| (&*i.name, &*i.kind, i.mac)).collect()
    }

    fn settings(&mut self) {
        let must = Tool::Sysctl { optional: false };
        let family: &[(&str, &str)] = if self.case.ipv6 { &WITH_IPV6 } else { &WITHOUT_IPV6 };
        // A kernel without IPv6 has nothing to switch off.
        for (key, value) in PINNED.iter().chain(family) {
            self.say(Tool::Sysctl { optional: true }, format!("{key}={value}"));
        }
        for key in BRIDGES_PASS {
            self.say(Tool::Sysctl { optional: true }, format!("{key}=0"));
        }
        if self.node.forward {
            self.say(must, "net.ipv4.ip_forward=1");
            if self.case.ipv6 {
                self.say(must, "net.ipv6.conf.all.forwarding=1");
            }
        }
        for (key, value) in self.node.sysctl.iter().filter(|(key, _)| !names_device(key)) {
            self.say(must, format!("{key}={value}"));
        }
    }

    /// `lo`, and devices that are no ends of cables.
    fn make(&mut self, next: &mut impl FnMut() -> u32) -> Result<(), String> {
        if self.iface("lo").and_then(|lo| lo.up).unwrap_or(true) {
            self.say(Tool::Ip, "link set lo up");
        }
        for (dev, kind, mac) in self.devices() {
            let Some(c) = self.iface(dev).filter(|_| kind != "veth") else { continue };
            let words = words::link_add(dev, kind, c)?;
            self.say(Tool::Ip, words.replace("{index}", &format!("index {}", next())));
            if let Some(mac) = mac {
                self.say(Tool::Ip, format!("link set dev {dev} address {mac}"));
            }
        }
        Ok(())
    }

    /// MTU, ARP and settings of the devices; their bridges; and all of them up.
    fn dress(&mut self) {
        for (dev, ..) in self.devices() {
            let Some(c) = self.iface(dev) else { continue };
            if let Some(mtu) = c.mtu {
                self.say(Tool::Ip, format!("link set dev {dev} mtu {mtu}"));
            }
            if c.arp == Some(false) {
                self.say(Tool::Ip, format!("link set dev {dev} arp off"));
            }
        }
        for (key, value) in self.node.sysctl.iter().filter(|(key, _)| names_device(key)) {
            self.say(Tool::Sysctl { optional: false }, format!("{key}={value}"));
        }
        for (dev, ..) in self.devices() {
            if let Some(master) = self.iface(dev).and_then(|c| c.master.as_ref()) {
                self.say(Tool::Ip, format!("link set dev {dev} master {master}"));
            }
        }
        for (dev, ..) in self.devices() {
            if self.iface(dev).and_then(|c| c.up).unwrap_or(true) {
                self.say(Tool::Ip, format!("link set dev {dev} up"));
            }
        }
    }

    /// VLANs and switches of the bridges' ports.
    fn ports(&mut self) {
        for (dev, kind, _) in self.devices() {
            let Some(c) = self.iface(dev) else { continue };
            for v in &c.vlans {
                self.say(Tool::Bridge, words::vlan(dev, kind == "bridge", v));
            }
            if !c.brport.0.is_empty() {
                self.say(Tool::Bridge, words::port_set(dev, &c.brport));
            }
        }
    }

    fn addresses(&mut self) {
        for (dev, c) in self.node.ifaces.iter() {
            for a in &c.addr {
                self.say(Tool::Ip, words::addr(ConfigVerb::Add, dev, &a.object()));
            }
        }
    }

    fn tables(&mut self) -> Result<(), String> {
        for r in &self.node.routes {
            let tool = if words::is_ipv6(r) { Tool::Ip6 } else { Tool::Ip };
            self.say(tool, format!("route add {}", r.words()));
        }
        for r in &self.node.rules {
            self.say(Tool::Ip, format!("rule add {}", r.words()));
        }
        for e in &self.node.neigh {
            let words = words::neigh(ConfigVerb::Add, e, self.topo)?;
            self.say(Tool::Ip, words);
        }
        for e in &self.node.fdb {
            let words = words::fdb(ConfigVerb::Add, e, self.topo)?;
            self.say(Tool::Bridge, words);
        }
        if let Some(text) = super::nft::render(&self.node.nat, &self.node.filter, self.node.nft.as_deref()) {
            self.say(Tool::Nft, text);
        }
        for (dev, c) in self.node.ifaces.iter() {
            if let Some(set) = &c.netem {
                self.say(Tool::Tc, words::qdisc("add", dev, Some(set)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        let case = Case::parse(text).unwrap();
        Plan::of(&case, &Topology::of(&case).unwrap()).unwrap()
    }

    #[test]
    fn devices_come_before_tables_and_each_has_its_own_number() {
        let p = plan(
            r#"{"nodes": {"h": {"ifaces": {"eth0": {"addr": ["10.0.0.1/24"]}}, "routes": ["default via 10.0.0.254"]},
                "s": {"ifaces": {"br0": {"kind": "bridge"}, "p0": {"master": "br0", "brport": {"isolated": true}}}}},
                "links": [["h:eth0", "s:p0"]]}"#,
        );
        let [a, b] = &p.cables[0];
        assert_eq!((&*a.dev, a.index, &*b.dev, b.index), ("eth0", 101, "p0", 102));
        let said =
            |c: &[Command]| c.iter().filter(|c| !matches!(c.tool, Tool::Sysctl { .. })).cloned().collect::<Vec<_>>();
        let ip = |w: &str| Command::new(Tool::Ip, w);
        assert_eq!(
            said(&p.devices[1]),
            [
                ip("link set lo up"),
                ip("link add br0 index 103 type bridge mcast_snooping 0"),
                ip("link set dev br0 address 02:00:00:01:01:00"),
                ip("link set dev p0 master br0"),
                ip("link set dev p0 up"),
                ip("link set dev br0 up"),
            ]
        );
        assert_eq!(said(&p.tables[1]), [Command::new(Tool::Bridge, "link set dev p0 isolated on")]);
        assert_eq!(
            said(&p.tables[0]),
            [ip("addr add 10.0.0.1/24 dev eth0 broadcast +"), ip("route add default via 10.0.0.254")]
        );
        assert_eq!(p.carriers, [["eth0"], ["p0"]]);
    }

    #[test]
    fn who_is_down_at_one_end_waits_for_no_carrier() {
        let p = plan(r#"{"nodes": {"a": {"ifaces": {"e": {"up": false}}}, "b": {}}, "links": [["a:e", "b:e"]]}"#);
        assert!(p.carriers.iter().all(Vec::is_empty));
    }
}
