//! Finding the way: rules, tables, prefixes, next hops.
//!
//! Follows the kernel's `fib_rules_lookup`, `fib_table_lookup` and `fib_select_multipath`; IPv6 differs only where said.

use std::net::IpAddr;

use super::{
    error::LookupError,
    fib::Fib,
    rule::RuleAction,
    store::Table,
    types::{Family, Hops, NextHop, Route, RouteType, Scope, table},
};
use crate::base::DevId;

/// The bits of the type of service that routing looks at (`INET_DSCP_LEGACY_TOS_MASK`).
pub(super) const TOS_MASK: u8 = 0x1c;

/// What routing knows about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    /// The source; `None` while the sender has not chosen one.
    pub src: Option<IpAddr>,
    /// The destination.
    pub dst: IpAddr,
    /// The device it came in by; `None` for a locally generated packet.
    pub iif: Option<DevId>,
    /// The device the sending socket is bound to.
    pub oif: Option<DevId>,
    /// The firewall mark.
    pub mark: u32,
    /// The type of service.
    pub tos: u8,
    /// The upper-layer protocol, for rules that ask for it; 0 if it is not known.
    pub proto: u8,
    /// Its ports, source first.
    pub ports: (u16, u16),
    /// A hash of the flow, of which the lower 31 bits choose among the hops of a multipath route.
    pub hash: u32,
}

impl FlowKey {
    /// A locally generated packet to `dst`, nothing else known.
    pub const fn to(dst: IpAddr) -> FlowKey {
        FlowKey { src: None, dst, iif: None, oif: None, mark: 0, tos: 0, proto: 0, ports: (0, 0), hash: 0 }
    }
}

/// The way that was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lookup<'a> {
    /// The route.
    pub route: &'a Route,
    /// Which of its next hops.
    pub hop: &'a NextHop,
    /// The table it was found in.
    pub table: u32,
}

/// What one table says: a route, and its next hop unless it is a special one.
type Found<'a> = (&'a Route, Option<&'a NextHop>);

impl Fib {
    /// Finds the route of a packet.
    ///
    /// Rules are asked by priority. In a table the longest prefix wins, then an equal type of service, then the lowest
    /// metric, then the order of insertion. A route of which no hop can be used – dead, not by the bound device, or
    /// without carrier when `ignore_linkdown` is set – is passed over, if need be in favour of a shorter prefix.
    ///
    /// As long as no rule was ever added or deleted, IPv4 keeps the tables local and main as one: a longer prefix in
    /// main then beats a shorter one in local (`fib_unmerge`).
    ///
    /// ```
    /// use netsim::{base::DevId, route::{AddMode, Fib, FlowKey, LookupError, NextHop, Route, RouteType::Unicast}};
    /// let mut fib = Fib::default();
    /// let (near, far) = ("10.0.0.0/24".parse().unwrap(), "10.0.0.0/8".parse().unwrap());
    /// let gateway = NextHop::via("10.0.0.254".parse().unwrap(), DevId(1));
    /// fib.add(Route::new(near, Unicast, NextHop::dev(DevId(1))), AddMode::Add).unwrap();
    /// fib.add(Route::new(far, Unicast, gateway), AddMode::Add).unwrap();
    /// let way = fib.lookup(&FlowKey::to("10.0.0.7".parse().unwrap()), false).unwrap();
    /// assert_eq!((way.route.dst, way.hop.via), (near, None));
    /// let none = fib.lookup(&FlowKey::to("192.0.2.1".parse().unwrap()), false);
    /// assert_eq!(none, Err(LookupError::NoRoute));
    /// ```
    ///
    /// # Errors
    /// Why there is no way; see [`LookupError`].
    #[inline]
    pub fn lookup(&self, key: &FlowKey, ignore_linkdown: bool) -> Result<Lookup<'_>, LookupError> {
        self.find(key, Scope::Global, ignore_linkdown)
    }

    /// The same among routes whose scope is at least `scope`: asked for a gateway, only on-link routes count.
    pub(super) fn find(&self, key: &FlowKey, scope: Scope, skip: bool) -> Result<Lookup<'_>, LookupError> {
        let family = if key.dst.is_ipv4() { Family::V4 } else { Family::V6 };
        if !self.has_own_rules() {
            let local = self.table(family, table::LOCAL).and_then(|t| search(t, key, scope, skip));
            let main = || self.table(family, table::MAIN).and_then(|t| search(t, key, scope, skip));
            let first = match family {
                // Merged: the longer prefix wins, whichever table it is in.
                Family::V4 => match local {
                    Some(found) if found.0.dst.len() == 32 => local,
                    Some(found) => Some(main().filter(|m| m.0.dst.len() > found.0.dst.len()).unwrap_or(found)),
                    None => main(),
                },
                Family::V6 => local.filter(|l| l.0.kind != RouteType::Throw).or_else(main),
            };
            if let Some(result) = first.and_then(result) {
                return result;
            }
            let last = self.table(family, table::DEFAULT).filter(|_| family == Family::V4);
            return last
                .and_then(|t| search(t, key, scope, skip))
                .and_then(result)
                .unwrap_or(Err(LookupError::NoRoute));
        }
        for rule in self.rules(family).iter().filter(|rule| rule.matches(key, self.loopback())) {
            let id = match rule.action {
                RuleAction::Table(id) => id,
                // fib4_rule_action: a rule says ENETUNREACH where a route says EHOSTUNREACH.
                RuleAction::Unreachable => return Err(LookupError::NoRoute),
                RuleAction::Prohibit => return Err(LookupError::Prohibit),
                RuleAction::Blackhole => return Err(LookupError::Blackhole),
            };
            let Some(found) = self.table(family, id).and_then(|t| search(t, key, scope, skip)) else { continue };
            let suppressed = rule.suppress_prefixlength.is_some_and(|len| found.0.dst.len() <= len);
            match result(found) {
                Some(Ok(_)) if suppressed => {}
                Some(result) => return result,
                None => {}
            }
        }
        Err(LookupError::NoRoute)
    }

    /// A look-up in one table, without rules; `None` if it has no route or a `throw` one.
    pub(super) fn find_in(&self, id: u32, key: &FlowKey, scope: Scope) -> Option<Result<Lookup<'_>, LookupError>> {
        self.table(Family::of(key.dst), id).and_then(|t| search(t, key, scope, false)).and_then(result)
    }

    /// The type of the entry for `addr` in table local, if it has one: whether the address is delivered here, and how.
    #[inline]
    pub fn local_kind(&self, addr: IpAddr) -> Option<RouteType> {
        self.table(Family::of(addr), table::LOCAL)?.search(&addr, |route| Some(route.kind))
    }

    /// The device the entry for `addr` in table local names.
    pub fn local_dev(&self, addr: IpAddr) -> Option<DevId> {
        self.table(Family::of(addr), table::LOCAL)?.search(&addr, |route| route.hops().first().and_then(|h| h.dev))
    }

    /// What kind of address this is here: `Local`, `Broadcast`, `Anycast` or `Multicast`, by its form or by table
    /// local, else `Unicast`. With `dev` only entries of that device count (`inet_addr_type`,
    /// `inet_addr_type_dev_table`).
    ///
    /// ```
    /// use netsim::{base::DevId, route::{AddMode, Fib, NextHop, Route, RouteType}};
    /// let mut fib = Fib::default();
    /// let own = Route::new("10.0.0.1/32".parse().unwrap(), RouteType::Local, NextHop::dev(DevId(1)));
    /// fib.add(own, AddMode::Append).unwrap();
    /// assert_eq!(fib.addr_kind("10.0.0.1".parse().unwrap(), None), RouteType::Local);
    /// assert_eq!(fib.addr_kind("10.0.0.1".parse().unwrap(), Some(DevId(2))), RouteType::Unicast);
    /// assert_eq!(fib.addr_kind("224.0.0.1".parse().unwrap(), None), RouteType::Multicast);
    /// ```
    pub fn addr_kind(&self, addr: IpAddr, dev: Option<DevId>) -> RouteType {
        match addr {
            // ipv4_is_zeronet, ipv4_is_lbcast
            IpAddr::V4(a) if a.is_unspecified() || a.is_broadcast() => return RouteType::Broadcast,
            _ if addr.is_multicast() => return RouteType::Multicast,
            _ => {}
        }
        let usable = |route: &Route| dev.is_none_or(|dev| route.uses(dev)).then_some(route.kind);
        self.table(Family::of(addr), table::LOCAL).and_then(|t| t.search(&addr, usable)).unwrap_or(RouteType::Unicast)
    }
}

/// What this table says of the packet.
#[inline]
fn search<'a>(table: &'a Table, key: &FlowKey, scope: Scope, ignore_linkdown: bool) -> Option<Found<'a>> {
    table.search(&key.dst, |route| {
        if route.tos != 0 && route.tos != key.tos & TOS_MASK || route.scope < scope {
            return None;
        }
        let hop = match route.kind.is_special() {
            // IPv6 keeps special routes on lo: who is bound to a device does not see them (rt6_check_dev).
            true if key.oif.is_some() && key.dst.is_ipv6() => return None,
            true => None,
            false => Some(pick(&route.hops, key, ignore_linkdown)?),
        };
        Some((route, hop))
    })
}

/// The answer; `None` to ask the next rule.
#[inline]
fn result((route, hop): Found<'_>) -> Option<Result<Lookup<'_>, LookupError>> {
    match (hop, route.kind) {
        (Some(hop), _) => Some(Ok(Lookup { route, hop, table: route.table })),
        (None, RouteType::Unreachable) => Some(Err(LookupError::Unreachable)),
        (None, RouteType::Prohibit) => Some(Err(LookupError::Prohibit)),
        (None, RouteType::Blackhole) => Some(Err(LookupError::Blackhole)),
        (None, _) => None, // throw
    }
}

/// Chooses a usable hop (`fib_lookup_good_nhc`, `fib_select_multipath`).
#[inline]
fn pick<'a>(hops: &'a Hops, key: &FlowKey, ignore_linkdown: bool) -> Option<&'a NextHop> {
    let alive = |hop: &NextHop| !(hop.dead || ignore_linkdown && hop.linkdown);
    let usable = |hop: &NextHop| alive(hop) && key.oif.is_none_or(|dev| hop.dev == Some(dev));
    match hops {
        Hops::One(hop) => usable(hop).then_some(hop),
        // A bound device leaves no choice.
        Hops::Many(hops) if key.oif.is_some() => hops.iter().find(|hop| usable(hop)),
        Hops::Many(hops) => {
            let total: u64 = hops.iter().filter(|hop| alive(hop)).map(|hop| u64::from(hop.weight)).sum();
            let hash = u64::from(key.hash & (u32::MAX >> 1));
            let mut weight = 0;
            hops.iter().filter(|hop| alive(hop)).find(|hop| {
                weight += u64::from(hop.weight);
                // fib_rebalance: the upper bound is round(2^31 × share) − 1.
                hash < ((weight << 31) + total / 2) / total
            })
        }
    }
}
