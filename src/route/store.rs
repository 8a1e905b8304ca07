//! One routing table's routes, found by longest prefix.
//!
//! A table of a host has a handful of routes: up to [`FEW`] they are a list, longest prefix first, that a look-up walks.
//! Beyond that they are kept in a trie (`prefix-trie`, a tree bitmap), a list for every prefix.

use std::net::IpAddr;

use prefix_trie::PrefixMap;

use super::types::{Family, Route};
use crate::base::{Prefix, mask4, mask6};

/// From this many routes on a trie is faster than a list.
const FEW: usize = 16;
/// A trie that has shrunk to this becomes a list again.
const FEW_AGAIN: usize = 8;

/// A table: its number and its routes, all of one family. Routes to one prefix are ordered by type of service
/// (descending), metric, and then as they were inserted.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) id: u32,
    len: u32,
    store: Store,
}

#[derive(Clone)]
enum Store {
    /// Ordered by prefix length, descending; then by address.
    Few(Vec<Route>),
    Many4(Box<PrefixMap<(u32, u8), Group>>),
    Many6(Box<PrefixMap<(u128, u8), Group>>),
}

/// The routes to one prefix. There is nearly always one, and a look-up finds it without another step; the list is
/// empty only for a moment.
#[derive(Clone)]
enum Group {
    One(Route),
    Several(Vec<Route>),
}

impl Default for Group {
    fn default() -> Group {
        Group::Several(Vec::new())
    }
}

impl Group {
    #[inline]
    fn routes(&self) -> &[Route] {
        match self {
            Group::One(route) => std::slice::from_ref(route),
            Group::Several(routes) => routes,
        }
    }

    fn routes_mut(&mut self) -> &mut [Route] {
        match self {
            Group::One(route) => std::slice::from_mut(route),
            Group::Several(routes) => routes,
        }
    }

    /// Changes the list of routes.
    fn edit<R>(&mut self, change: impl FnOnce(&mut Vec<Route>) -> R) -> R {
        let mut routes = self.take();
        let result = change(&mut routes);
        *self = match routes.pop() {
            Some(only) if routes.is_empty() => Group::One(only),
            last => {
                routes.extend(last);
                Group::Several(routes)
            }
        };
        result
    }

    fn take(&mut self) -> Vec<Route> {
        match std::mem::take(self) {
            Group::One(route) => vec![route],
            Group::Several(routes) => routes,
        }
    }
}

/// What the trie is keyed by.
fn key4(dst: Prefix) -> (u32, u8) {
    match dst.addr() {
        IpAddr::V4(a) => (a.into(), dst.len()),
        IpAddr::V6(_) => unreachable!("an IPv4 table holds IPv4 routes"),
    }
}

fn key6(dst: Prefix) -> (u128, u8) {
    match dst.addr() {
        IpAddr::V6(a) => (a.into(), dst.len()),
        IpAddr::V4(_) => unreachable!("an IPv6 table holds IPv6 routes"),
    }
}

impl Table {
    pub(super) fn new(id: u32) -> Table {
        Table { id, len: 0, store: Store::Few(Vec::new()) }
    }

    #[cfg(test)]
    pub(super) fn is_trie(&self) -> bool {
        !matches!(self.store, Store::Few(_))
    }

    /// The routes to exactly this prefix.
    pub(super) fn group(&self, dst: Prefix) -> &[Route] {
        match &self.store {
            Store::Few(routes) => &routes[span(routes, dst)],
            Store::Many4(map) => map.get(&key4(dst)).map_or(&[], Group::routes),
            Store::Many6(map) => map.get(&key6(dst)).map_or(&[], Group::routes),
        }
    }

    /// The same, to be changed in place; what orders the group must stay as it is.
    pub(super) fn group_mut(&mut self, dst: Prefix) -> &mut [Route] {
        match &mut self.store {
            Store::Few(routes) => {
                let span = span(routes, dst);
                &mut routes[span]
            }
            Store::Many4(map) => map.get_mut(&key4(dst)).map_or(&mut [], Group::routes_mut),
            Store::Many6(map) => map.get_mut(&key6(dst)).map_or(&mut [], Group::routes_mut),
        }
    }

    /// Puts a route at a position of its group.
    pub(super) fn insert(&mut self, position: usize, route: Route) {
        self.len += 1;
        let dst = route.dst;
        match &mut self.store {
            Store::Few(routes) => {
                let at = span(routes, dst).start + position;
                insert(routes, at, route);
                if routes.len() > FEW {
                    let routes = std::mem::take(routes);
                    self.store = if dst.is_ipv4() { many4(routes) } else { many6(routes) };
                }
            }
            Store::Many4(map) => map.entry(key4(dst)).or_default().edit(|g| insert(g, position, route)),
            Store::Many6(map) => map.entry(key6(dst)).or_default().edit(|g| insert(g, position, route)),
        }
    }

    /// Takes a route out of its group.
    pub(super) fn remove(&mut self, dst: Prefix, position: usize) -> Route {
        self.len -= 1;
        let route = match &mut self.store {
            Store::Few(routes) => {
                let at = span(routes, dst).start + position;
                return routes.remove(at);
            }
            Store::Many4(map) => {
                let group = map.get_mut(&key4(dst)).expect("the caller found the route here");
                let route = group.edit(|routes| routes.remove(position));
                if group.routes().is_empty() {
                    map.remove(&key4(dst));
                }
                route
            }
            Store::Many6(map) => {
                let group = map.get_mut(&key6(dst)).expect("the caller found the route here");
                let route = group.edit(|routes| routes.remove(position));
                if group.routes().is_empty() {
                    map.remove(&key6(dst));
                }
                route
            }
        };
        self.shrink();
        route
    }

    /// Shows every route to `keep`, which may change the state of its hops; returns those it did not want.
    pub(super) fn retain(&mut self, keep: &mut dyn FnMut(&mut Route) -> bool) -> Vec<Route> {
        let mut gone = Vec::new();
        let sift = |group: &mut Group| match group {
            Group::One(route) => {
                if !keep(route) {
                    gone.extend(group.take());
                }
            }
            Group::Several(routes) => gone.extend(routes.extract_if(.., |route| !keep(route))),
        };
        match &mut self.store {
            Store::Few(routes) => gone.extend(routes.extract_if(.., |route| !keep(route))),
            Store::Many4(map) => map.values_mut().for_each(sift),
            Store::Many6(map) => map.values_mut().for_each(sift),
        }
        if !gone.is_empty() {
            match &mut self.store {
                Store::Few(_) => {}
                Store::Many4(map) => map.retain(|_, group| !group.routes().is_empty()),
                Store::Many6(map) => map.retain(|_, group| !group.routes().is_empty()),
            }
            self.len -= gone.len() as u32;
            self.shrink();
        }
        gone
    }

    fn shrink(&mut self) {
        if self.len as usize > FEW_AGAIN {
            return;
        }
        let mut routes: Vec<Route> = match &mut self.store {
            Store::Few(_) => return,
            Store::Many4(map) => std::mem::take(&mut **map).into_values().flat_map(|mut g| g.take()).collect(),
            Store::Many6(map) => std::mem::take(&mut **map).into_values().flat_map(|mut g| g.take()).collect(),
        };
        routes.sort_by_key(|r| order(r.dst)); // stable: groups keep their order
        self.store = Store::Few(routes);
    }

    /// Offers the routes whose prefix contains `addr`, the longest first, until one is taken.
    #[inline]
    pub(super) fn search<'a, R>(&'a self, addr: &IpAddr, mut take: impl FnMut(&'a Route) -> Option<R>) -> Option<R> {
        match (&self.store, addr) {
            (Store::Few(routes), IpAddr::V4(addr)) => {
                let addr = u32::from(*addr);
                routes.iter().filter(|r| r.dst.contains4(addr)).find_map(take)
            }
            (Store::Few(routes), _) => routes.iter().filter(|r| r.dst.contains(*addr)).find_map(take),
            (Store::Many4(map), IpAddr::V4(addr)) => {
                let mut key = (u32::from(*addr), 32);
                loop {
                    let ((_, len), group) = map.get_lpm(&key)?;
                    if let Some(taken) = group.routes().iter().find_map(&mut take) {
                        return Some(taken);
                    }
                    key.1 = len.checked_sub(1)?;
                    key.0 &= mask4(key.1);
                }
            }
            (Store::Many6(map), IpAddr::V6(addr)) => {
                let mut key = (u128::from(*addr), 128);
                loop {
                    let ((_, len), group) = map.get_lpm(&key)?;
                    if let Some(taken) = group.routes().iter().find_map(&mut take) {
                        return Some(taken);
                    }
                    key.1 = len.checked_sub(1)?;
                    key.0 &= mask6(key.1);
                }
            }
            _ => None,
        }
    }

    /// All routes in the order the kernel dumps them: see [`super::Fib::routes`].
    pub(super) fn dump(&self, family: Family) -> Vec<&Route> {
        let mut routes: Vec<&Route> = match &self.store {
            Store::Few(routes) => routes.iter().collect(),
            Store::Many4(map) => map.values().flat_map(Group::routes).collect(),
            Store::Many6(map) => map.values().flat_map(Group::routes).collect(),
        };
        match family {
            Family::V4 => routes.sort_by_key(|r| (r.dst.addr(), std::cmp::Reverse(r.dst.len()))),
            Family::V6 => routes.sort_by_key(|r| {
                let (first, len) = key6(r.dst);
                (first | !mask6(len), std::cmp::Reverse(len))
            }),
        }
        routes
    }
}

/// Lists of routes are many and short: they grow by one instead of doubling.
fn insert(routes: &mut Vec<Route>, at: usize, route: Route) {
    routes.reserve_exact(1);
    routes.insert(at, route);
}

fn many4(routes: Vec<Route>) -> Store {
    let mut map: PrefixMap<(u32, u8), Group> = PrefixMap::new();
    for route in routes {
        map.entry(key4(route.dst)).or_default().edit(|group| insert(group, group.len(), route));
    }
    Store::Many4(Box::new(map))
}

fn many6(routes: Vec<Route>) -> Store {
    let mut map: PrefixMap<(u128, u8), Group> = PrefixMap::new();
    for route in routes {
        map.entry(key6(route.dst)).or_default().edit(|group| insert(group, group.len(), route));
    }
    Store::Many6(Box::new(map))
}

/// The order of the list: a walk meets longer prefixes first.
fn order(dst: Prefix) -> (std::cmp::Reverse<u8>, IpAddr) {
    (std::cmp::Reverse(dst.len()), dst.addr())
}

/// Where the group of a prefix stands in the list.
fn span(routes: &[Route], dst: Prefix) -> std::ops::Range<usize> {
    let start = routes.partition_point(|r| order(r.dst) < order(dst));
    let len = routes[start..].iter().take_while(|r| r.dst == dst).count();
    start..start + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::DevId,
        route::types::{NextHop, RouteType},
    };

    fn route(octet: u32, len: u8) -> Route {
        let dst = Prefix::new(std::net::Ipv4Addr::from(octet << 24).into(), len).expect("the length fits");
        Route::new(dst.network(), RouteType::Unicast, NextHop::dev(DevId(octet)))
    }

    #[test]
    fn a_list_becomes_a_trie_and_a_list_again() {
        let mut table = Table::new(7);
        for octet in 0..=FEW as u32 {
            assert!(!table.is_trie());
            table.insert(0, route(octet, 8 + octet as u8));
        }
        assert!(table.is_trie());
        // A group keeps its order through both changes.
        table.insert(1, route(3, 11).with_metric(9));
        let gone = table.retain(&mut |route| route.hops()[0].dev.is_some_and(|dev| dev.0 < 6));
        assert_eq!(gone.len(), FEW + 1 - 6);
        assert!(!table.is_trie());
        assert_eq!(table.group(route(3, 11).dst).iter().map(|r| r.metric).collect::<Vec<_>>(), [0, 9]);
        assert_eq!(table.remove(route(3, 11).dst, 0).metric, 0);
        assert_eq!(table.dump(Family::V4).len(), 6);
        let found = table.search(&IpAddr::from([3, 1, 2, 3]), |r| Some(r.metric));
        assert_eq!(found, Some(9));
    }
}
