//! What a route consists of: type, scope, protocol, next hops.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    ops::{Deref, DerefMut},
};

use crate::base::{DevId, Prefix};

/// An address family: each has its own tables and rules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[inline]
    pub const fn of(addr: IpAddr) -> Family {
        if addr.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// `0.0.0.0/0` or `::/0`.
    pub const fn any(self) -> Prefix {
        match self {
            Family::V4 => Prefix::ANY4,
            Family::V6 => Prefix::ANY6,
        }
    }
}

/// The numbers of the tables every namespace has.
pub mod table {
    /// Own and broadcast addresses; looked at first. Kept by the kernel.
    pub const LOCAL: u32 = 255;
    /// What `ip route` shows and changes unless told otherwise.
    pub const MAIN: u32 = 254;
    /// Empty by default; looked at last (IPv4 only).
    pub const DEFAULT: u32 = 253;

    /// The name in `/etc/iproute2/rt_tables`.
    pub(crate) const fn name(id: u32) -> Option<&'static str> {
        match id {
            LOCAL => Some("local"),
            MAIN => Some("main"),
            DEFAULT => Some("default"),
            _ => None,
        }
    }

    /// The table called `name`, or numbered so.
    pub(crate) fn parse(name: &str) -> Option<u32> {
        [LOCAL, MAIN, DEFAULT]
            .into_iter()
            .find(|id| self::name(*id) == Some(name))
            .or_else(|| name.parse().ok().filter(|id| *id != 0))
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $number,)*
        }

        impl $name {
            /// Every one, by its number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// iproute2's word.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The one of that name.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|x| x.name() == name)
            }

            /// The kernel's number.
            pub const fn number(self) -> u8 {
                self as u8
            }
        }
    };
}

named! {
    /// What happens to a packet that a route matches (`RTN_*`).
    RouteType {
        /// Goes to the next hop.
        Unicast = 1 "unicast",
        /// Is delivered here.
        Local = 2 "local",
        /// Is delivered here as a broadcast, sent out as one.
        Broadcast = 3 "broadcast",
        /// Is delivered here, as to one of several.
        Anycast = 4 "anycast",
        /// Goes to a group.
        Multicast = 5 "multicast",
        /// Vanishes; a local sender gets `EINVAL`.
        Blackhole = 6 "blackhole",
        /// ICMP host unreachable; a local sender gets `EHOSTUNREACH`.
        Unreachable = 7 "unreachable",
        /// ICMP communication prohibited; a local sender gets `EACCES`.
        Prohibit = 8 "prohibit",
        /// This table has no route: the next rule is asked.
        Throw = 9 "throw",
    }
}

impl RouteType {
    /// Whether packets that match end here: the route has no next hop.
    pub const fn is_special(self) -> bool {
        matches!(self, Self::Blackhole | Self::Unreachable | Self::Prohibit | Self::Throw)
    }
}

named! {
    /// How far away a destination is (`RT_SCOPE_*`); ordered from far to near.
    Scope {
        /// Anywhere: behind a gateway.
        Global = 0 "global",
        /// Inside the site.
        Site = 200 "site",
        /// On a directly attached link.
        Link = 253 "link",
        /// This host itself.
        Host = 254 "host",
        /// Nowhere: does not exist.
        Nowhere = 255 "nowhere",
    }
}

/// Who made a route (`RTPROT_*`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// An ICMP redirect.
    Redirect,
    /// The kernel, when an address was added.
    Kernel,
    /// `ip route add` without `proto`; not shown.
    Boot,
    /// An administrator.
    Static,
    /// An IPv6 router advertisement.
    Ra,
    /// A DHCP client.
    Dhcp,
    /// A routing daemon, by its number.
    Other(u8),
}

/// `/etc/iproute2/rt_protos`, without those that have a variant.
const DAEMONS: [(u8, &str); 16] = [
    (8, "gated"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (18, "keepalived"),
    (42, "babel"),
    (84, "ovn"),
    (99, "openr"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];

impl Protocol {
    const WORDS: [(Protocol, u8, &'static str); 6] = [
        (Protocol::Redirect, 1, "redirect"),
        (Protocol::Kernel, 2, "kernel"),
        (Protocol::Boot, 3, "boot"),
        (Protocol::Static, 4, "static"),
        (Protocol::Ra, 9, "ra"),
        (Protocol::Dhcp, 16, "dhcp"),
    ];

    /// The protocol of that number.
    pub fn from_number(number: u8) -> Protocol {
        Self::WORDS.iter().find(|w| w.1 == number).map_or(Protocol::Other(number), |w| w.0)
    }

    /// The kernel's number.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Other(n) => n,
            named => Self::WORDS.iter().find(|w| w.0 == named).map_or(0, |w| w.1),
        }
    }

    /// The protocol of that name or number (1–255).
    pub fn from_name(name: &str) -> Option<Protocol> {
        let named = Self::WORDS.iter().find(|w| w.2 == name).map(|w| w.0);
        let daemon = || DAEMONS.iter().find(|d| d.1 == name).map(|d| Protocol::Other(d.0));
        named.or_else(daemon).or_else(|| name.parse().ok().filter(|n| *n != 0).map(Protocol::from_number))
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.number();
        let word = Self::WORDS.iter().find(|w| w.1 == number).map(|w| w.2);
        match word.or_else(|| DAEMONS.iter().find(|d| d.0 == number).map(|d| d.1)) {
            Some(word) => f.write_str(word),
            None => write!(f, "{number}"),
        }
    }
}

/// One way out of a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NextHop {
    /// The gateway's address; `None` if the destination is on the link itself. An IPv4 route may have an IPv6 gateway
    /// (RFC 8950).
    pub via: Option<IpAddr>,
    /// The gateway counts as reachable on `dev` whatever its address.
    pub onlink: bool,
    /// The device was taken down while other hops of the route remained: never used.
    pub dead: bool,
    /// The device has no carrier: used unless `ignore_routes_with_linkdown` is set.
    pub linkdown: bool,
    /// The device packets leave by. Only special routes have none.
    pub dev: Option<DevId>,
    /// The share among the hops of a multipath route, 1 to 256.
    pub weight: u32,
}

impl Default for NextHop {
    fn default() -> NextHop {
        NextHop { dev: None, via: None, weight: 1, onlink: false, dead: false, linkdown: false }
    }
}

impl NextHop {
    /// Straight onto the link of a device.
    pub fn dev(dev: DevId) -> NextHop {
        NextHop { dev: Some(dev), ..NextHop::default() }
    }

    /// Through a gateway on the link of a device.
    pub fn via(via: IpAddr, dev: DevId) -> NextHop {
        NextHop { via: Some(via), ..NextHop::dev(dev) }
    }

    /// The same way out, whatever the state of its device (`nh_comp`).
    pub(super) fn same_way(&self, other: &NextHop) -> bool {
        (self.dev, self.via, self.weight, self.onlink) == (other.dev, other.via, other.weight, other.onlink)
    }
}

/// The next hops of a route; one, which is nearly always the case, needs no allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Hops {
    /// The only one.
    One(NextHop),
    /// A multipath route's.
    Many(Box<[NextHop]>),
}

impl From<NextHop> for Hops {
    fn from(hop: NextHop) -> Hops {
        Hops::One(hop)
    }
}

impl From<Vec<NextHop>> for Hops {
    /// An empty list becomes a hop to nowhere, which only special routes may have.
    fn from(hops: Vec<NextHop>) -> Hops {
        match hops[..] {
            [] => Hops::One(NextHop::default()),
            [one] => Hops::One(one),
            _ => Hops::Many(hops.into()),
        }
    }
}

impl Deref for Hops {
    type Target = [NextHop];

    #[inline]
    fn deref(&self) -> &[NextHop] {
        match self {
            Hops::One(hop) => std::slice::from_ref(hop),
            Hops::Many(hops) => hops,
        }
    }
}

impl DerefMut for Hops {
    fn deref_mut(&mut self) -> &mut [NextHop] {
        match self {
            Hops::One(hop) => std::slice::from_mut(hop),
            Hops::Many(hops) => hops,
        }
    }
}

/// An entry of a routing table.
///
/// ```
/// use netsim::{base::DevId, route::{NextHop, Route, RouteType}};
/// let gateway = NextHop::via("10.0.0.254".parse().unwrap(), DevId(2));
/// let route = Route::new("0.0.0.0/0".parse().unwrap(), RouteType::Unicast, gateway).with_metric(100);
/// assert_eq!(route.show(&|_| "eth0"), "default via 10.0.0.254 dev eth0 metric 100");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Where packets must go for the route to match.
    pub dst: Prefix,
    /// The source address of packets that have none yet.
    pub src: Option<IpAddr>,
    /// What happens to them.
    pub kind: RouteType,
    /// How far away the destination is. IPv4 only; IPv6 routes are all [`Scope::Global`].
    pub scope: Scope,
    /// Who made the route.
    pub protocol: Protocol,
    /// The type of service packets must have, 0 for any. IPv4 only.
    pub tos: u8,
    /// The table the route is in.
    pub table: u32,
    /// The preference among routes to one prefix: the lowest wins.
    pub metric: u32,
    /// A bound on the path MTU, in bytes.
    pub mtu: Option<NonZeroU32>,
    /// That bound is fixed: no smaller one is learned, and packets may be fragmented.
    pub mtu_lock: bool,
    /// The most bytes of a TCP segment the peer is told; 0: what the MTU allows.
    pub advmss: u16,
    /// The ways out.
    pub(super) hops: Hops,
}

impl Route {
    /// A route with one next hop and what `ip route add` gives it by default. Table: local for the types `Local`,
    /// `Broadcast` and `Anycast`, else main. Scope: host for `Local`; link for `Broadcast`, `Anycast`, `Multicast` and a
    /// unicast route without gateway; else global. Metric: 1024 for IPv6, else 0.
    pub fn new(dst: Prefix, kind: RouteType, hop: NextHop) -> Route {
        let ipv4 = dst.is_ipv4();
        let scope = match kind {
            _ if !ipv4 => Scope::Global,
            RouteType::Local => Scope::Host,
            RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => Scope::Link,
            RouteType::Unicast if hop.via.is_none() => Scope::Link,
            _ => Scope::Global,
        };
        let in_local = matches!(kind, RouteType::Local | RouteType::Broadcast | RouteType::Anycast);
        Route {
            dst,
            src: None,
            kind,
            scope,
            protocol: Protocol::Boot,
            tos: 0,
            table: if in_local { table::LOCAL } else { table::MAIN },
            metric: if ipv4 { 0 } else { 1024 },
            mtu: None,
            mtu_lock: false,
            advmss: 0,
            hops: hop.into(),
        }
    }

    /// A route of a type that ends here: it has no next hop.
    pub fn special(dst: Prefix, kind: RouteType) -> Route {
        Route::new(dst, kind, NextHop::default())
    }

    /// The same in another table.
    pub fn in_table(self, table: u32) -> Route {
        Route { table, ..self }
    }

    /// The same with another scope.
    pub fn with_scope(self, scope: Scope) -> Route {
        Route { scope, ..self }
    }

    /// The same made by someone else.
    pub fn with_protocol(self, protocol: Protocol) -> Route {
        Route { protocol, ..self }
    }

    /// The same with a preferred source address.
    pub fn with_src(self, src: IpAddr) -> Route {
        Route { src: Some(src), ..self }
    }

    /// The same with another metric.
    pub fn with_metric(self, metric: u32) -> Route {
        Route { metric, ..self }
    }

    /// The same for one type of service.
    pub fn with_tos(self, tos: u8) -> Route {
        Route { tos, ..self }
    }

    /// The same with other next hops.
    pub fn with_hops(self, hops: Vec<NextHop>) -> Route {
        Route { hops: hops.into(), ..self }
    }

    /// The next hops: at least one. That of a special route names no device.
    #[inline]
    pub fn hops(&self) -> &[NextHop] {
        &self.hops
    }

    /// The next hops, to be changed.
    pub fn hops_mut(&mut self) -> &mut [NextHop] {
        &mut self.hops
    }

    /// The family of its destination.
    #[inline]
    pub fn family(&self) -> Family {
        if self.dst.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// Whether it leaves by `dev`, by any of its hops.
    pub fn uses(&self, dev: DevId) -> bool {
        self.hops.iter().any(|hop| hop.dev == Some(dev))
    }

    /// Whether it is an IPv4 route of host scope: it does not depend on the state of its device.
    pub(super) fn hosted(&self) -> bool {
        self.family() == Family::V4 && self.scope == Scope::Host
    }

    /// The bound on the path MTU, in bytes.
    pub fn path_mtu(&self) -> Option<u32> {
        self.mtu.map(NonZeroU32::get)
    }

    /// Whether two IPv4 routes differ in nothing but where they lead to: the kernel keeps the rest once.
    pub fn shares_hops(&self, other: &Route) -> bool {
        self.family() == Family::V4 && self.same_route(&Route { dst: self.dst, tos: self.tos, ..other.clone() })
    }

    /// What must be equal for IPv4 to see the same route twice (`fib_find_info`).
    pub(super) fn same_route(&self, other: &Route) -> bool {
        (self.dst, self.src, self.kind, self.scope, self.protocol, self.tos)
            == (other.dst, other.src, other.kind, other.scope, other.protocol, other.tos)
            && (self.metric, self.hops.len()) == (other.metric, other.hops.len())
            && (self.mtu, self.mtu_lock, self.advmss) == (other.mtu, other.mtu_lock, other.advmss)
            && self.hops.iter().zip(other.hops.iter()).all(|(a, b)| a.same_way(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 000 idle namespaces with eight routes each: 96 bytes a route keep them under 1 KiB.
    #[test]
    fn a_route_is_small() {
        assert!(size_of::<Route>() <= 96, "{}", size_of::<Route>());
        assert!(size_of::<NextHop>() <= 40);
        assert!(size_of::<crate::route::Fib>() <= 80, "{}", size_of::<crate::route::Fib>());
    }

    #[test]
    fn words_and_numbers_are_found_again() {
        for kind in RouteType::ALL {
            assert_eq!(RouteType::from_name(kind.name()), Some(*kind));
        }
        assert!(Scope::ALL.windows(2).all(|w| w[0] < w[1] && w[0].number() < w[1].number()));
        for number in 1..=255 {
            let protocol = Protocol::from_number(number);
            assert_eq!(protocol.number(), number);
            assert_eq!(Protocol::from_name(&protocol.to_string()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("bgp"), Some(Protocol::Other(186)));
        assert_eq!((Protocol::from_name("0"), Protocol::from_name("martian")), (None, None));
        assert_eq!((table::parse("main"), table::parse("100"), table::parse("0")), (Some(254), Some(100), None));
    }

    #[test]
    fn hops_deref_to_a_slice() {
        let hop = NextHop::dev(DevId(1));
        assert_eq!(Hops::from(vec![hop]), Hops::One(hop));
        assert_eq!(Hops::from(vec![hop, hop]).len(), 2);
        assert_eq!(Hops::from(Vec::new())[0].dev, None);
    }
}
