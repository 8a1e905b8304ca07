//! What a namespace owns.

use super::{
    exceptions::Exceptions,
    icmp_limit::Limits,
    ipv6::Ipv6State,
    mib::Counters,
    reassembly::Reassembly,
    route_cache::RouteCache,
    sysctl::{Confs, Knobs},
};
use crate::{
    base::{DevId, Rng, Time},
    neigh::NeighTable,
    netfilter::Netfilter,
    route::Fib,
    socket::Sockets,
};

/// Which parts of `/proc` a namespace sees as its own.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ProcView {
    /// It has a mount namespace with a `/proc` of its own.
    pub mount: bool,
    /// It has a process namespace: `/proc/uptime` and `/proc/meminfo` can be virtualised for it.
    pub pid: bool,
}

/// A network namespace. Parts that a namespace may never use are boxed or empty: an idle one stays small.
pub struct Namespace {
    /// Its loopback device.
    pub lo: DevId,
    /// Its devices, `lo` first, in the order they were made.
    pub devices: Vec<DevId>,
    /// How many of them are tunnels and VXLANs.
    pub tunnels: u16,
    /// Rules and routing tables.
    pub fib: Fib,
    /// ARP and neighbour discovery.
    pub neigh: NeighTable,
    /// Filter, conntrack and NAT; `None` until a rule asks for one of them.
    pub netfilter: Option<Box<Netfilter>>,
    /// Sockets; `None` until the first is opened.
    pub sockets: Option<Box<Sockets>>,
    /// Incomplete datagrams; `None` until the first fragment.
    pub reassembly: Option<Box<Reassembly>>,
    /// Rate limits of ICMP errors; `None` until the first error.
    pub icmp_limits: Option<Box<Limits>>,
    /// Routing decisions about packets that came in; `None` until the first.
    pub route_cache: Option<Box<RouteCache>>,
    /// Learned path MTUs and redirects; `None` until the first.
    pub exceptions: Option<Box<Exceptions>>,
    /// Some device was ever told to pass over routes without carrier.
    pub some_ignore_linkdown: bool,
    /// Autoconfiguration and router advertisements; `None` until the first.
    pub ipv6: Option<Box<Ipv6State>>,
    /// Somebody wrote a `disable_ipv6`: an IPv6 address no longer switches IPv6 on by itself.
    pub(crate) ipv6_chosen: bool,
    /// Knobs.
    pub knobs: Knobs,
    /// Knobs of `conf.all` and `neigh.all`.
    pub conf_all: Confs,
    /// Knobs new devices start with.
    pub conf_default: Confs,
    /// SNMP counters.
    pub mib: Counters,
    /// Which parts of `/proc` it sees as its own.
    pub proc_view: ProcView,
    /// When it was made: its uptime counts from here, if it has a view of its own.
    pub born: Time,
    /// The stream its neighbour table and its sockets draw from.
    pub rng: Rng,
    /// Start of the IPv4 identification counter.
    pub ip_id: u32,
}
