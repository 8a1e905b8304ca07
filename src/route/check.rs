//! What the kernel checks before it takes a route: scopes, gateways, devices, preferred sources.
//!
//! `fib_create_info`, `fib_check_nh` (net/ipv4/fib_semantics.c), `ip6_validate_gw` (net/ipv6/route.c); case
//! invalid-gateway.

use std::net::{IpAddr, Ipv6Addr};

use super::{
    error::RouteError,
    fib::Fib,
    lookup::FlowKey,
    types::{Family, NextHop, Route, RouteType, Scope, table},
};
use crate::base::DevId;

/// The state of a device, as far as routes care.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkState {
    /// Up, with carrier.
    Up,
    /// Up, without carrier: next hops are marked `linkdown`.
    NoCarrier,
    /// Administratively down: no route can be added.
    Down,
}

impl Fib {
    /// Finds the device behind which a gateway is, as seen by a route of `table` with `scope`; `dev` if it is given.
    ///
    /// The gateway must be reachable without another gateway: the look-up counts only routes of scope link or nearer.
    /// An address of the host itself is accepted by IPv4, a broadcast address is not. With `onlink` only the latter is
    /// checked.
    ///
    /// # Errors
    /// [`RouteError::InvalidGateway`] and its IPv6 relatives.
    pub fn check_gateway(
        &self,
        via: IpAddr,
        dev: Option<DevId>,
        onlink: bool,
        table: u32,
        scope: Scope,
    ) -> Result<DevId, RouteError> {
        match via {
            IpAddr::V4(_) => self.check_gateway4(via, dev, onlink, table, scope),
            IpAddr::V6(addr) => self.check_gateway6(addr, dev, onlink, table),
        }
    }

    /// `fib_check_nh_v4_gw`
    fn check_gateway4(
        &self,
        via: IpAddr,
        dev: Option<DevId>,
        onlink: bool,
        table: u32,
        scope: Scope,
    ) -> Result<DevId, RouteError> {
        if onlink {
            let dev = dev.ok_or(RouteError::OnlinkDevice)?;
            if scope >= Scope::Link {
                return Err(RouteError::InvalidScope);
            }
            let unicast = self.addr_kind(via, Some(dev)) == RouteType::Unicast;
            return if unicast { Ok(dev) } else { Err(RouteError::InvalidGateway) };
        }
        // flowi4_scope = scope + 1, at least link: a gateway's gateway would have scope global.
        let nearer = match scope {
            Scope::Global | Scope::Site => Scope::Link,
            Scope::Link => Scope::Host,
            Scope::Host | Scope::Nowhere => Scope::Nowhere,
        };
        let key = FlowKey { oif: dev, ..FlowKey::to(via) };
        let own = (table != table::MAIN).then(|| self.find_in(table, &key, nearer)).flatten();
        let way = match own {
            Some(Ok(way)) => way,
            _ => self.find(&key, nearer, false).map_err(|_| RouteError::InvalidGateway)?,
        };
        if !matches!(way.route.kind, RouteType::Unicast | RouteType::Local) {
            return Err(RouteError::InvalidGateway);
        }
        way.hop.dev.ok_or(RouteError::InvalidGateway)
    }

    /// `ip6_validate_gw`
    fn check_gateway6(&self, via: Ipv6Addr, dev: Option<DevId>, onlink: bool, table: u32) -> Result<DevId, RouteError> {
        let addr = IpAddr::V6(via);
        // A link-local address is somebody else's on another link.
        let own = if via.is_unicast_link_local() { dev } else { None };
        if self.addr_kind(addr, own) == RouteType::Local {
            return Err(RouteError::LocalGateway);
        }
        if via.is_unicast_link_local() {
            let dev = dev.ok_or(RouteError::NoEgressDevice)?;
            return if Some(dev) == self.loopback() { Err(RouteError::LoopbackEgress) } else { Ok(dev) };
        }
        if via.is_multicast() || via.is_unspecified() || via.is_loopback() {
            return Err(RouteError::InvalidGatewayAddress);
        }
        let egress = if onlink {
            dev.ok_or(RouteError::OnlinkDevice)?
        } else {
            // ip6_route_check_nh: in the route's table, then everywhere; reached without a gateway.
            let key = FlowKey { oif: dev, ..FlowKey::to(addr) };
            let direct = |way: &super::Lookup<'_>| way.hop.via.is_none() && way.route.kind == RouteType::Unicast;
            let own = self.find_in(table, &key, Scope::Global).and_then(Result::ok).filter(direct);
            let way = own.or_else(|| self.lookup(&key, false).ok().filter(direct));
            way.and_then(|way| way.hop.dev).ok_or(RouteError::NoRouteToGateway)?
        };
        if Some(egress) == self.loopback() { Err(RouteError::LoopbackEgress) } else { Ok(egress) }
    }

    /// Checks a route as the kernel does before adding it, and fills in what follows: the device behind which each
    /// gateway is, and the `linkdown` marks.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check_route(&self, route: &mut Route, link: &dyn Fn(DevId) -> LinkState) -> Result<(), RouteError> {
        let family = route.family();
        if route.src.is_some_and(|src| Family::of(src) != family) {
            return Err(RouteError::Family);
        }
        if family == Family::V4 {
            if route.tos & 3 != 0 {
                return Err(RouteError::InvalidTos);
            }
            if route.dst.has_host_bits() {
                return Err(RouteError::InvalidPrefix);
            }
            // fib_props: how near a destination of each type is at least.
            let least = match route.kind {
                RouteType::Local => Scope::Host,
                RouteType::Broadcast | RouteType::Anycast => Scope::Link,
                _ => Scope::Global,
            };
            if route.scope < least || route.scope > Scope::Host {
                return Err(RouteError::InvalidScope);
            }
        }
        if route.kind.is_special() {
            let hopless = |hop: &NextHop| hop.via.is_none() && (hop.dev.is_none() || family == Family::V6);
            return if route.hops.iter().all(hopless) { Ok(()) } else { Err(RouteError::SpecialWithHop) };
        }
        if route.hosted() {
            if route.hops.len() > 1 {
                return Err(RouteError::HostScopeMultipath);
            }
            if route.hops[0].via.is_some() {
                return Err(RouteError::HostScopeGateway);
            }
            // The device may be down: the address is local all the same.
            route.hops[0].dev.ok_or(RouteError::NoDevice)?;
        } else {
            let (table, scope) = (route.table, route.scope);
            for hop in route.hops_mut() {
                self.check_hop(hop, family, table, scope, link)?;
            }
        }
        match route.src {
            // fib_valid_prefsrc: the route that makes an address local may name it.
            Some(src) if route.kind == RouteType::Local && src == route.dst.addr() => Ok(()),
            Some(src) if self.addr_kind(src, None) != RouteType::Local => Err(RouteError::InvalidPrefsrc),
            _ => Ok(()),
        }
    }

    fn check_hop(
        &self,
        hop: &mut NextHop,
        family: Family,
        table: u32,
        scope: Scope,
        link: &dyn Fn(DevId) -> LinkState,
    ) -> Result<(), RouteError> {
        let mut down = RouteError::DeviceDown;
        let dev = match hop.via {
            Some(via) if family == Family::V6 && via.is_ipv4() => return Err(RouteError::Family),
            Some(via) => {
                if hop.onlink {
                    down = RouteError::OnlinkDeviceDown;
                }
                self.check_gateway(via, hop.dev, hop.onlink, table, scope)?
            }
            None => hop.dev.ok_or(RouteError::NoDevice)?,
        };
        hop.dev = Some(dev);
        match link(dev) {
            LinkState::Down => return Err(down),
            state => hop.linkdown = state == LinkState::NoCarrier,
        }
        Ok(())
    }
}
