//! Namespaces and the presets that stand for common ones.

use super::{Bridge, Device, Fdb, Filter, Nat, Plain, Port, Server};
use crate::{
    base::Prefix,
    scenario::{
        Entries, IfAddr, NeighLine, RouteLine, RuleLine, Span, Spanned,
        node::Node,
        read::{Read, Reader, choice, record},
    },
};
use std::net::IpAddr;

record! {
    /// A namespace: a network stack of its own.
    pub struct Namespace is "a namespace" {
        /// Its devices by name. Ends of cables that are not listed here come into being without an address. `lo` always
        /// exists.
        devices: Entries<Device> = Entries::default(),
        /// Its routes in the words of `ip route add`: `"default via 10.0.0.1"`.
        routes: Vec<Spanned<RouteLine>> = Vec::new(),
        /// Its routing rules in the words of `ip rule add`: `"from 10.0.0.0/24 table 100"`.
        rules: Vec<Spanned<RuleLine>> = Vec::new(),
        /// Its neighbours entered by hand, in the words of `ip neigh add`: `"10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0"`.
        neigh: Vec<Spanned<NeighLine>> = Vec::new(),
        /// Its kernel settings, named and valued as in `/proc/sys`: `"net.ipv4.ip_forward": "1"`.
        sysctl: Entries<Spanned<String>> = Entries::default(),
        /// Its address translation; the first rule that matches a new flow decides.
        nat: Vec<Spanned<Nat>> = Vec::new(),
        /// Its firewall.
        filter: Filter = Filter::default(),
        /// What it tells the hosts of its links by IPv6 router advertisements, as `radvd` does.
        advertise: Vec<Spanned<Advertise>> = Vec::new(),
        /// The servers that run in it from the start.
        run: Vec<Spanned<Server>> = Vec::new(),
        /// Its own view of the parts of `/proc` that network namespaces share.
        proc: ProcView = ProcView::default(),
    }
}

#[allow(clippy::derivable_impls, reason = "`record!` derives what every record has; not every one has a default")]
impl Default for Namespace {
    fn default() -> Namespace {
        Namespace {
            devices: Entries::default(),
            routes: Vec::new(),
            rules: Vec::new(),
            neigh: Vec::new(),
            sysctl: Entries::default(),
            nat: Vec::new(),
            filter: Filter::default(),
            advertise: Vec::new(),
            run: Vec::new(),
            proc: ProcView::default(),
        }
    }
}

record! {
    /// The router advertisements on one device (RFC 4861): three at the start, 16 s apart, and one for each host that asks.
    pub struct Advertise is "a router advertisement" {
        /// The device.
        dev: Spanned<String>,
        /// The prefixes of the link. Hosts make themselves addresses in those of 64 bits.
        prefixes: Vec<Spanned<Prefix>> = Vec::new(),
        /// Whether hosts may use it as their default gateway.
        router: bool = true,
        /// The MTU of the link in bytes. Default: not mentioned.
        mtu: Option<Spanned<u32>> [1280..=65_535] = None,
    }
}

record! {
    /// Namespaces beside the network namespace. A network namespace separates `/proc/net` only: without these, a
    /// container sees the `/proc/meminfo`, `/proc/uptime` and processes of the whole machine.
    pub struct ProcView is "a view of /proc" {
        /// A mount namespace with a `/proc` of its own.
        mount: bool = false,
        /// A PID namespace: only its own processes are visible.
        pid: bool = false,
    }
}

#[allow(clippy::derivable_impls, reason = "`record!` derives what every record has; not every one has a default")]
impl Default for ProcView {
    fn default() -> ProcView {
        ProcView { mount: false, pid: false }
    }
}

choice! {
    /// What stands behind a name in `namespaces`. A group without a name is a namespace with exactly what it says; the
    /// presets stand for common ones and expand to plain settings, which `netsim check --expand` prints.
    pub enum Preset is "a namespace or preset", plain Plain(Namespace) {
        /// A namespace with exactly the settings given.
        Plain(Namespace),
        /// A namespace that forwards packets: `net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding` are 1. Takes every
        /// field of a namespace.
        Router(Router),
        /// One cable, one address, one default route.
        Host(Host),
        /// A bridge and nothing else.
        Switch(Switch),
    }
}

record! {
    /// A host with one device, `eth0`.
    pub struct Host is "a host" {
        /// The address of `eth0`.
        addr: Spanned<IfAddr>,
        /// The default gateway.
        gateway: Option<Spanned<IpAddr>> = None,
        /// The servers that run on it from the start.
        run: Vec<Spanned<Server>> = Vec::new(),
    }
}

record! {
    /// A switch: a bridge `br0` without an address.
    pub struct Switch is "a switch" {
        /// Its ports, each the end of a cable.
        ports: Vec<Port>,
        /// What its table is keyed on.
        fdb: Fdb = Fdb::Namespace,
        /// Whether it speaks the spanning tree protocol.
        stp: bool = false,
    }
}

/// A namespace as it stands in a scenario, its preset expanded.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// All its settings.
    pub namespace: Namespace,
    /// The preset it was written as: `Plain`, `Router`, `Host` or `Switch`.
    pub preset: &'static str,
    /// Where all of it is written.
    pub span: Span,
}

impl PartialEq for Expanded {
    /// Whether both expand to the same settings.
    fn eq(&self, other: &Expanded) -> bool {
        self.namespace == other.namespace
    }
}

impl std::ops::Deref for Expanded {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Read for Expanded {
    fn expected() -> String {
        Preset::expected()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Expanded> {
        Preset::read(node, reader).map(|preset| preset.expand(node.span))
    }

    fn stand_in(span: Span) -> Option<Expanded> {
        Some(Expanded { namespace: Namespace::default(), preset: "Plain", span })
    }

    /// Writes the plain settings the preset stands for.
    fn write(&self) -> Node {
        self.namespace.write()
    }
}

impl Namespace {
    /// Whether a device of its own has an IPv6 address, or gets one.
    pub fn speaks_ipv6(&self) -> bool {
        self.devices.iter().any(|(_, d)| d.is_autoconf() || d.addresses().iter().any(|a| !a.local.is_ipv4()))
    }
}

impl Preset {
    /// The plain settings this stands for; `span` is where it is written.
    pub fn expand(self, span: Span) -> Expanded {
        let preset = self.name();
        let namespace = match self {
            Preset::Plain(namespace) => namespace,
            Preset::Router(Router(mut namespace)) => {
                for key in FORWARDING {
                    if namespace.sysctl.get(key).is_none() {
                        namespace.sysctl.0.push((key.to_string().into(), "1".to_string().into()));
                    }
                }
                namespace
            }
            Preset::Host(host) => {
                let route =
                    |gateway: Spanned<IpAddr>| Spanned::new(RouteLine::default_via(gateway.value), gateway.span);
                let eth0 = Device::Plain(Plain::with_addresses(vec![host.addr]));
                Namespace {
                    devices: Entries(vec![("eth0".to_string().into(), eth0)]),
                    routes: host.gateway.map(route).into_iter().collect(),
                    run: host.run,
                    ..Namespace::default()
                }
            }
            Preset::Switch(switch) => {
                let bridge = Bridge { ports: switch.ports, fdb: switch.fdb, stp: switch.stp, ..Bridge::default() };
                Namespace {
                    devices: Entries(vec![("br0".to_string().into(), Device::Bridge(bridge))]),
                    ..Namespace::default()
                }
            }
        };
        Expanded { namespace, preset, span }
    }
}

/// The settings that make a router of a namespace.
const FORWARDING: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];

/// The fields of a router are those of a namespace.
#[derive(Clone, PartialEq, Debug)]
pub struct Router(pub Namespace);

impl Read for Router {
    fn expected() -> String {
        Namespace::expected()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Router> {
        Namespace::read(node, reader).map(Router)
    }

    fn read_arguments(node: &Node, reader: &mut Reader) -> Option<Router> {
        Namespace::read_arguments(node, reader).map(Router)
    }

    fn write(&self) -> Node {
        self.0.write()
    }

    fn write_arguments(&self, name: &str) -> Node {
        self.0.write_arguments(name)
    }
}
