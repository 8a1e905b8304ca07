//! From a plan to nodes, cables, addresses and routes that work.

use super::plan::{LanPlan, Plan};
use serde_json::{Map, Value, json};

/// Namespaces a world has at most.
const NODES: usize = 8;

/// A world before it is written down.
pub struct Net {
    pub ipv6: bool,
    pub nodes: Vec<Node>,
    pub links: Vec<[String; 2]>,
    /// Whether ICMP errors are limited as they are by default.
    pub limited: bool,
    /// How many LANs there are; they are the subnets 1 to that.
    pub lans: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Host,
    Router,
    Switch,
}

pub struct Node {
    pub name: String,
    pub role: Role,
    pub forward: bool,
    pub sysctl: Map<String, Value>,
    pub ifaces: Vec<Iface>,
    pub routes: Vec<Value>,
    pub rules: Vec<Value>,
    pub neigh: Vec<Value>,
    pub nat: Vec<Value>,
    /// By hook: policy and rules.
    pub filter: Vec<(&'static str, &'static str, Vec<Value>)>,
}

pub struct Iface {
    pub name: String,
    /// Addresses as they are written: a word or an object.
    pub addrs: Vec<Value>,
    /// Everything else of the interface.
    pub rest: Map<String, Value>,
    /// The subnet, 0 for a bare port.
    pub subnet: u8,
}

impl Iface {
    /// The addresses, without their masks.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.addrs.iter().map(|a| {
            let text = a.as_str().or_else(|| a["ip"].as_str()).unwrap_or_default();
            text.split('/').next().unwrap_or_default().to_string()
        })
    }
}

impl Node {
    fn new(name: String, role: Role) -> Node {
        Node {
            name,
            role,
            forward: role == Role::Router,
            sysctl: Map::new(),
            ifaces: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            neigh: Vec::new(),
            nat: Vec::new(),
            filter: Vec::new(),
        }
    }

    /// Interfaces that have an address.
    pub fn with_address(&self) -> impl Iterator<Item = &Iface> {
        self.ifaces.iter().filter(|i| !i.addrs.is_empty() && i.name != "lo")
    }

    /// The address of the first interface.
    pub fn address(&self) -> Option<String> {
        self.with_address().next().and_then(|i| i.addresses().next())
    }
}

/// A host of a subnet.
pub fn address(ipv6: bool, subnet: u8, host: u8) -> String {
    match ipv6 {
        false => format!("10.0.{subnet}.{host}"),
        true => format!("fd00:0:0:{subnet:x}::{host:x}"),
    }
}

/// A subnet.
pub fn prefix(ipv6: bool, subnet: u8) -> String {
    match ipv6 {
        false => format!("10.0.{subnet}.0/24"),
        true => format!("fd00:0:0:{subnet:x}::/64"),
    }
}

/// First subnet between routers.
const BETWEEN: u8 = 20;

struct Builder {
    net: Net,
    /// Per node: how many cables it has.
    ports: Vec<u8>,
    narrow: bool,
}

impl Builder {
    fn node(&mut self, name: String, role: Role) -> usize {
        self.net.nodes.push(Node::new(name, role));
        self.ports.push(0);
        self.net.nodes.len() - 1
    }

    /// A new interface at the end of a cable.
    fn port(&mut self, node: usize, subnet: u8) -> String {
        let name = format!("eth{}", self.ports[node]);
        self.ports[node] += 1;
        self.net.nodes[node].ifaces.push(Iface { name: name.clone(), addrs: Vec::new(), rest: Map::new(), subnet });
        name
    }

    fn cable(&mut self, a: usize, b: usize, subnet: u8) -> (String, String) {
        let (i, j) = (self.port(a, subnet), self.port(b, subnet));
        let end = |node: usize, iface: &str| format!("{}:{iface}", self.net.nodes[node].name);
        self.net.links.push([end(a, &i), end(b, &j)]);
        (i, j)
    }

    fn set_address(&mut self, node: usize, iface: &str, subnet: u8, host: u8) {
        let len = match (self.net.ipv6, subnet >= BETWEEN, self.narrow) {
            (true, ..) => 64,
            (false, true, true) => 31,
            (false, true, false) => 30,
            _ => 24,
        };
        let text = format!("{}/{len}", address(self.net.ipv6, subnet, host));
        let iface = self.net.nodes[node].ifaces.iter_mut().find(|i| i.name == iface);
        iface.expect("made before").addrs.push(json!(text));
    }

    fn slave(&mut self, node: usize, iface: &str) {
        let iface = self.net.nodes[node].ifaces.iter_mut().find(|i| i.name == iface).expect("made before");
        iface.rest.insert("master".into(), json!("br0"));
        iface.subnet = 0;
    }

    /// A bridge within a node, unless it has one.
    fn bridge(&mut self, node: usize, subnet: u8) {
        let ifaces = &mut self.net.nodes[node].ifaces;
        let rest = Map::from_iter([("kind".to_string(), json!("bridge"))]);
        ifaces.insert(0, Iface { name: "br0".into(), addrs: Vec::new(), rest, subnet });
    }

    /// Hosts, bridges and the router's side of a LAN.
    fn lan(&mut self, index: u8, plan: LanPlan, router: Option<usize>) {
        let (ipv6, subnet) = (self.net.ipv6, index + 1);
        let mut wiring = plan.wiring % 4;
        let mut hosts = 1 + (plan.hosts + 1) % 2;
        if router.is_none() {
            hosts = 2 + plan.hosts % 2;
            wiring = if hosts == 2 { wiring % 3 } else { 1 + wiring % 2 };
        } else if wiring == 0 {
            hosts = 1;
        }
        if let Some(r) = router {
            wiring = if wiring == 3 && self.net.nodes[r].ifaces.iter().any(|i| i.name == "br0") { 1 } else { wiring };
        }
        let room = NODES.saturating_sub(self.net.nodes.len());
        let needs = usize::from(hosts) + [0, 1, 2, 0][usize::from(wiring)];
        if needs > room {
            return;
        }
        let names = |b: &Builder, role| b.net.nodes.iter().filter(|n| n.role == role).count() + 1;
        let hosts: Vec<usize> = (0..hosts)
            .map(|_| {
                let name = format!("h{}", names(self, Role::Host));
                self.node(name, Role::Host)
            })
            .collect();
        let mut members = hosts.clone();
        members.extend(router);
        let mut ends: Vec<(usize, String)> = Vec::new();
        match wiring {
            0 => {
                let (i, j) = self.cable(members[0], members[1], subnet);
                ends.extend([(members[0], i), (members[1], j)]);
            }
            1 | 2 => {
                let switches: Vec<usize> = (0..wiring)
                    .map(|_| {
                        let name = format!("s{}", names(self, Role::Switch));
                        let s = self.node(name, Role::Switch);
                        self.bridge(s, 0);
                        s
                    })
                    .collect();
                if let [s, t] = switches[..] {
                    let (i, j) = self.cable(s, t, 0);
                    self.slave(s, &i);
                    self.slave(t, &j);
                }
                for (n, m) in members.iter().enumerate() {
                    let s = switches[n % switches.len()];
                    let (i, j) = self.cable(*m, s, subnet);
                    self.slave(s, &j);
                    ends.push((*m, i));
                }
            }
            _ => {
                let r = router.expect("only routers have bridges of their own");
                self.bridge(r, subnet);
                for h in &hosts {
                    let (i, j) = self.cable(*h, r, subnet);
                    self.slave(r, &j);
                    ends.push((*h, i));
                }
                ends.push((r, "br0".into()));
            }
        }
        let mut host = 10;
        for (node, iface) in ends {
            if Some(node) == router {
                self.set_address(node, &iface, subnet, 1);
            } else {
                host += 1;
                self.set_address(node, &iface, subnet, host);
                if router.is_some() {
                    let via = address(ipv6, subnet, 1);
                    self.net.nodes[node].routes.push(json!({"dst": "default", "via": via}));
                }
            }
        }
        self.net.lans += 1;
    }
}

/// The world of a plan, with nothing wrong in it.
pub fn build(plan: &Plan) -> Net {
    let net = Net { ipv6: plan.ipv6, nodes: Vec::new(), links: Vec::new(), limited: plan.acts.len() < 3, lans: 0 };
    let mut b = Builder { net, ports: Vec::new(), narrow: plan.narrow };
    let count = usize::from(plan.routers % 4);
    let routers: Vec<usize> = (0..count).map(|i| b.node(format!("r{}", i + 1), Role::Router)).collect();
    let mut between: Vec<(usize, usize)> = (1..count).map(|i| (i - 1, i)).collect();
    if count == 3 && plan.triangle {
        between.push((0, 2));
    }
    // Which subnets a router is connected to, and through which address its neighbours reach it.
    let mut cables: Vec<(usize, usize, String, String)> = Vec::new();
    for (k, (x, y)) in between.iter().enumerate() {
        let subnet = BETWEEN + k as u8;
        let (i, j) = b.cable(routers[*x], routers[*y], subnet);
        let low = if plan.narrow && !plan.ipv6 { 0 } else { 1 };
        b.set_address(routers[*x], &i, subnet, low);
        b.set_address(routers[*y], &j, subnet, low + 1);
        cables.push((*x, *y, address(plan.ipv6, subnet, low), address(plan.ipv6, subnet, low + 1)));
    }
    let mut homes: Vec<(u8, usize)> = (0..between.len()).map(|k| (BETWEEN + k as u8, between[k].0)).collect();
    let lans = if count == 0 { &plan.lans[..1] } else { &plan.lans[..] };
    for lan in lans {
        let home = if count == 0 { 0 } else { usize::from(lan.router) % count };
        let before = b.net.lans;
        b.lan(before, *lan, routers.get(home).copied());
        if b.net.lans > before {
            homes.push((before + 1, home));
        }
    }
    for (me, node) in routers.iter().enumerate() {
        for (subnet, home) in &homes {
            let connected = b.net.nodes[*node].ifaces.iter().any(|i| i.subnet == *subnet && !i.addrs.is_empty());
            let Some(via) = (!connected).then(|| next_hop(&cables, me, *home)).flatten() else { continue };
            let dst = match (plan.ipv6, *subnet >= BETWEEN, plan.narrow) {
                (false, true, true) => format!("10.0.{subnet}.0/31"),
                (false, true, false) => format!("10.0.{subnet}.0/30"),
                _ => prefix(plan.ipv6, *subnet),
            };
            b.net.nodes[*node].routes.push(json!({"dst": dst, "via": via}));
        }
    }
    b.net
}

/// The neighbour through which a router reaches another: directly, else the first that does.
fn next_hop(cables: &[(usize, usize, String, String)], from: usize, to: usize) -> Option<String> {
    let neighbours = || {
        cables.iter().filter_map(move |(x, y, at_x, at_y)| match () {
            () if *x == from => Some((*y, at_y)),
            () if *y == from => Some((*x, at_x)),
            () => None,
        })
    };
    let direct = neighbours().find(|(n, _)| *n == to);
    direct.or_else(|| neighbours().find(|(n, _)| n.abs_diff(to) == 1)).map(|(_, via)| via.clone())
}
