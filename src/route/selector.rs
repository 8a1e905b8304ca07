//! Which route `ip route del` means.

use std::net::IpAddr;

use super::types::{Family, NextHop, Protocol, Route, RouteType, Scope, table};
use crate::base::{DevId, Prefix};

/// A next hop by what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HopSelector {
    /// Its gateway.
    pub via: Option<IpAddr>,
    /// Its device.
    pub dev: Option<DevId>,
}

impl HopSelector {
    pub(super) fn matches(&self, hop: &NextHop) -> bool {
        self.via.is_none_or(|via| hop.via == Some(via)) && self.dev.is_none_or(|dev| hop.dev == Some(dev))
    }
}

/// Which route to delete: prefix, table and type of service must be equal, and of the rest what is given
/// (`fib_table_delete`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSelector {
    /// Its destination.
    pub dst: Prefix,
    /// Its table.
    pub table: u32,
    /// Its type of service.
    pub tos: u8,
    /// Its type.
    pub kind: Option<RouteType>,
    /// Its metric; 0 counts as not given.
    pub metric: Option<u32>,
    /// Its preferred source.
    pub src: Option<IpAddr>,
    /// Its scope.
    pub scope: Option<Scope>,
    /// Who made it.
    pub protocol: Option<Protocol>,
    /// Its bound on the path MTU.
    pub mtu: Option<u32>,
    /// Its next hops. A single one needs to agree with the first of the route (IPv6: with any); several with each.
    pub hops: Vec<HopSelector>,
    /// Whether the route must have exactly these next hops, even if one is given.
    pub multipath: bool,
}

impl RouteSelector {
    /// Any route of table main to exactly this prefix, without type of service.
    pub fn new(dst: Prefix) -> RouteSelector {
        RouteSelector {
            dst,
            table: table::MAIN,
            tos: 0,
            kind: None,
            metric: None,
            src: None,
            scope: None,
            protocol: None,
            mtu: None,
            hops: Vec::new(),
            multipath: false,
        }
    }

    /// The family of its destination.
    pub fn family(&self) -> Family {
        Family::of(self.dst.addr())
    }

    /// Whether a route to `dst` is meant.
    pub(super) fn matches(&self, route: &Route) -> bool {
        let hops = match (&self.hops[..], self.family()) {
            ([], _) => true,
            ([one], Family::V4) if !self.multipath => one.matches(&route.hops[0]),
            ([one], Family::V6) => route.hops.iter().any(|hop| one.matches(hop)),
            (several, _) => {
                several.len() == route.hops.len() && several.iter().zip(route.hops.iter()).all(|(s, h)| s.matches(h))
            }
        };
        hops && self.tos == route.tos
            && self.kind.is_none_or(|kind| kind == route.kind)
            && self.metric.is_none_or(|metric| metric == 0 || metric == route.metric)
            && self.src.is_none_or(|src| route.src == Some(src))
            && self.scope.is_none_or(|scope| scope == route.scope)
            && self.protocol.is_none_or(|protocol| protocol == route.protocol)
            && self.mtu.is_none_or(|mtu| route.path_mtu() == Some(mtu))
    }
}
