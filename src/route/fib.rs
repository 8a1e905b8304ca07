//! The routing tables and rules of a namespace: changing and listing them.
//!
//! Follows the kernel's `fib_table_insert`, `fib_table_delete` and `fib_sync_down_dev` (net/ipv4/fib_trie.c,
//! fib_semantics.c) and, where IPv6 differs, `fib6_add_rt2node`, `ip6_route_del` and `fib6_ifdown` (net/ipv6/ip6_fib.c,
//! route.c). How the tables are searched is in `lookup`, what is checked before a route is added in `check`.

use std::net::IpAddr;

use super::{
    error::RouteError,
    rule::{Rule, RuleSelector, defaults},
    selector::RouteSelector,
    store::Table,
    types::{Family, NextHop, Route, RouteType, table},
};
use crate::base::DevId;

/// What `add` does when there are routes with the same prefix, type of service and metric (case
/// equal-metric-duplicate).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddMode {
    /// `ip route add`: refuses.
    Add,
    /// `ip route append`: behind them. IPv6 makes routes through gateways into one multipath route.
    Append,
    /// `ip route prepend`: before them, so the new one is used. IPv6 knows no difference to `Append`.
    Prepend,
    /// `ip route replace`: in place of the first; adds if there is none.
    Replace,
    /// `ip route change`: in place of the first; refuses if there is none.
    Change,
}

/// Why the routes through a device are affected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    /// It was taken down.
    Down,
    /// It lost its last address of the family.
    NoAddress,
    /// It no longer exists.
    Gone,
}

/// The forwarding information base of a namespace: tables and rules of both families.
#[derive(Clone, Default)]
pub struct Fib {
    v4: Vec<Table>,
    v6: Vec<Table>,
    /// Only once a rule was added or deleted.
    rules: Option<Box<[Vec<Rule>; 2]>>,
    loopback: Option<DevId>,
    len: u32,
    multipath: u32,
    version: u64,
}

impl std::fmt::Debug for Fib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fib").field("routes", &self.len).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Fib {
    /// The most routes a namespace may have.
    pub const MAX_ROUTES: usize = 1 << 20;
    /// The most next hops a route may have.
    pub const MAX_HOPS: usize = 256;
    /// The most rules a family may have.
    pub const MAX_RULES: usize = 4096;

    /// A number that changes with every change, for those who keep results of look-ups.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of routes in all tables.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no route at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether some route has several next hops, so that the hash of a flow matters.
    #[inline]
    pub fn has_multipath(&self) -> bool {
        self.multipath > 0
    }

    /// Whether a rule looks at the upper-layer protocol or its ports.
    pub fn sees_ports(&self, ipv4: bool) -> bool {
        let family = if ipv4 { Family::V4 } else { Family::V6 };
        let looks = |r: &Rule| r.ipproto.is_some() || r.sport.is_some() || r.dport.is_some();
        self.has_own_rules() && self.rules(family).iter().any(looks)
    }

    /// Says which device is the loopback device: rules with `iif lo` then match locally generated packets.
    pub fn set_loopback(&mut self, dev: DevId) {
        self.loopback = Some(dev);
        self.version += 1;
    }

    pub(super) fn loopback(&self) -> Option<DevId> {
        self.loopback
    }

    fn tables(&self, family: Family) -> &[Table] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    #[inline]
    pub(super) fn table(&self, family: Family, id: u32) -> Option<&Table> {
        self.tables(family).iter().find(|t| t.id == id)
    }

    fn table_mut(&mut self, family: Family, id: u32) -> Option<&mut Table> {
        let tables = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        tables.iter_mut().find(|t| t.id == id)
    }

    /// The table, made if need be. The kernel lists tables by 256 hash buckets, the newest of a bucket first.
    fn table_or_new(&mut self, family: Family, id: u32) -> &mut Table {
        let tables = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let at = tables.iter().position(|t| t.id == id).unwrap_or_else(|| {
            let at = tables.partition_point(|t| t.id & 255 < id & 255);
            tables.reserve_exact(1);
            tables.insert(at, Table::new(id));
            at
        });
        &mut tables[at]
    }

    /// The tables that were ever used, in the order of `ip route show table all`.
    pub fn table_ids(&self, family: Family) -> impl Iterator<Item = u32> + '_ {
        self.tables(family).iter().map(|t| t.id)
    }

    /// The routes of a table in the order of `ip route show` and `/proc/net/route`.
    ///
    /// IPv4 (`fib_trie`): by address, then longer prefixes first, so `0.0.0.0/1` stands before the default route. IPv6:
    /// a prefix stands behind those it contains, so the default route comes last. Routes to one prefix stand by type of
    /// service (descending), metric, and as they were inserted.
    pub fn routes(&self, family: Family, table: u32) -> impl Iterator<Item = &Route> + '_ {
        self.table(family, table).map(|t| t.dump(family)).unwrap_or_default().into_iter()
    }

    /// Adds a route as it is; see [`Fib::check_route`] for what should be checked before.
    ///
    /// # Errors
    /// [`RouteError::Exists`] for a route with the same prefix, type of service and metric in mode `Add` – whatever its
    /// gateway or type –, and for the very same route in the other modes; [`RouteError::NothingToChange`];
    /// [`RouteError::InvalidPrefix`], [`RouteError::InvalidTos`]; [`RouteError::Full`] at a limit.
    pub fn add(&mut self, mut route: Route, mode: AddMode) -> Result<(), RouteError> {
        let family = route.family();
        match family {
            Family::V4 if route.dst.has_host_bits() => return Err(RouteError::InvalidPrefix),
            Family::V4 if route.tos & 3 != 0 => return Err(RouteError::InvalidTos),
            Family::V4 => {}
            Family::V6 => {
                route.dst = route.dst.network();
                route.tos = 0;
            }
        }
        if self.len() >= Self::MAX_ROUTES || route.hops.len() > Self::MAX_HOPS {
            return Err(RouteError::Full);
        }
        let dst = route.dst;
        let group = self.table(family, route.table).map_or(&[][..], |t| t.group(dst));
        let rank = |r: &Route| (std::cmp::Reverse(r.tos), r.metric);
        let first = group.partition_point(|r| rank(r) < rank(&route));
        let equal = group[first..].iter().take_while(|r| rank(r) == rank(&route)).count();
        let same = &group[first..first + equal];
        match mode {
            AddMode::Add if equal > 0 => return Err(RouteError::Exists),
            AddMode::Change if equal == 0 => return Err(RouteError::NothingToChange(family)),
            AddMode::Replace | AddMode::Change if equal > 0 => {
                let old = match family {
                    Family::V4 => match same.iter().position(|r| r.same_route(&route)) {
                        Some(0) => return Ok(()),
                        Some(_) => return Err(RouteError::Exists),
                        None => 0,
                    },
                    Family::V6 => same.iter().position(|r| joins(r) == joins(&route)).unwrap_or(0),
                };
                let table = self.table_or_new(family, route.table);
                let multipath = many(&route);
                let old = std::mem::replace(&mut table.group_mut(dst)[first + old], route);
                self.multipath = self.multipath + multipath - many(&old);
            }
            _ => {
                if family == Family::V4 && same.iter().any(|r| r.same_route(&route)) {
                    return Err(RouteError::Exists);
                }
                let twice = |r: &Route| r.hops.iter().any(|h| route.hops.iter().any(|n| n.same_way(h)));
                if family == Family::V6 && same.iter().any(twice) {
                    return Err(RouteError::Exists);
                }
                let sibling = same.iter().position(|r| family == Family::V6 && joins(r) && joins(&route));
                if let Some(sibling) = sibling {
                    return self.join(route, first + sibling);
                }
                let position = if mode == AddMode::Prepend && family == Family::V4 { first } else { first + equal };
                self.len += 1;
                self.multipath += many(&route);
                self.table_or_new(family, route.table).insert(position, route);
            }
        }
        self.version += 1;
        Ok(())
    }

    /// Makes an IPv6 route further hops of a route that exists (`fib6_nsiblings`).
    fn join(&mut self, route: Route, position: usize) -> Result<(), RouteError> {
        let table = self.table_or_new(Family::V6, route.table);
        let old = &mut table.group_mut(route.dst)[position];
        if old.hops.len() + route.hops.len() > Self::MAX_HOPS {
            return Err(RouteError::Full);
        }
        let was = many(old);
        let hops: Vec<NextHop> = old.hops.iter().chain(route.hops.iter()).copied().collect();
        old.hops = hops.into();
        self.multipath += 1 - was;
        self.version += 1;
        Ok(())
    }

    /// Deletes the first route that has everything the selector gives, and returns it. Of an IPv6 multipath route only
    /// the hops through the given gateway go.
    ///
    /// # Errors
    /// [`RouteError::NotFound`] if there is none.
    pub fn delete(&mut self, selector: &RouteSelector) -> Result<Route, RouteError> {
        let family = selector.family();
        let dst = if family == Family::V6 { selector.dst.network() } else { selector.dst };
        let table = self.table_mut(family, selector.table).ok_or(RouteError::NotFound)?;
        let position = table.group(dst).iter().position(|r| selector.matches(r)).ok_or(RouteError::NotFound)?;
        let route = &mut table.group_mut(dst)[position];
        let was = many(route);
        let leaving = selector.hops.first().filter(|hop| family == Family::V6 && hop.via.is_some());
        let (gone, stay): (Vec<NextHop>, Vec<NextHop>) =
            route.hops.iter().partition(|hop| leaving.is_none_or(|l| l.matches(hop)));
        let (deleted, left, is) = if stay.is_empty() {
            (table.remove(dst, position), 0, 0)
        } else {
            route.hops = stay.into();
            (Route { hops: gone.into(), ..route.clone() }, 1, many(route))
        };
        self.len = self.len - 1 + left;
        self.multipath = self.multipath - was + is;
        self.version += 1;
        Ok(deleted)
    }

    /// Keeps the routes that `keep` wants and returns the others, in no particular but always the same order.
    pub fn retain(&mut self, mut keep: impl FnMut(&Route) -> bool) -> Vec<Route> {
        self.sift(None, &mut |route| keep(route))
    }

    /// Removes the routes that `unwanted` picks and returns them.
    pub fn remove(&mut self, mut unwanted: impl FnMut(&Route) -> bool) -> Vec<Route> {
        self.sift(None, &mut |route| !unwanted(route))
    }

    /// An address is no longer local: IPv4 routes of table main that prefer it as source go, those of other tables
    /// stay (`fib_sync_down_addr`); IPv6 routes forget it (`fib6_remove_prefsrc`). Returns what went.
    pub fn remove_routes_with_src(&mut self, addr: IpAddr) -> Vec<Route> {
        self.sift(Some(Family::of(addr)), &mut |route| match addr {
            IpAddr::V4(_) => route.table != table::MAIN || route.src != Some(addr),
            IpAddr::V6(_) => {
                route.src = route.src.filter(|src| *src != addr);
                true
            }
        })
    }

    /// A device was taken down: routes through it go, `local` ones of IPv4 stay. Hops of multipath routes die; when all
    /// are dead the route goes too. Returns what went.
    pub fn device_down(&mut self, dev: DevId) -> Vec<Route> {
        self.lose(dev, Loss::Down, None)
    }

    /// A device lost its last address of a family: every route of that family through it goes.
    pub fn device_without_address(&mut self, dev: DevId, family: Family) -> Vec<Route> {
        self.lose(dev, Loss::NoAddress, Some(family))
    }

    /// A device no longer exists: every route with a hop through it goes.
    pub fn remove_device_routes(&mut self, dev: DevId) -> Vec<Route> {
        self.lose(dev, Loss::Gone, None)
    }

    /// `fib_sync_down_dev`, `fib6_ifdown`.
    fn lose(&mut self, dev: DevId, loss: Loss, family: Option<Family>) -> Vec<Route> {
        self.sift(family, &mut |route| {
            // A host-scope route's hop has scope nowhere: only force takes it away.
            let exempt = loss == Loss::Down && route.hosted();
            let concerned = |hop: &NextHop| hop.dev == Some(dev) && !exempt;
            if !route.hops.iter().any(concerned) {
                return true;
            }
            for hop in route.hops.iter_mut().filter(|hop| concerned(hop)) {
                (hop.dead, hop.linkdown) = (true, true);
            }
            loss != Loss::Gone && route.hops.iter().any(|hop| !hop.dead)
        })
    }

    /// A device was taken up: hops through it live again. Their `linkdown` follows the carrier (`fib_sync_up`).
    pub fn device_up(&mut self, dev: DevId, carrier: bool) {
        self.sift(None, &mut |route| {
            for hop in route.hops.iter_mut().filter(|hop| hop.dev == Some(dev) && hop.dead) {
                (hop.dead, hop.linkdown) = (false, !carrier);
            }
            true
        });
    }

    /// The carrier of a device went or came: routes stay, their hops are marked (case link-peer-down).
    pub fn set_linkdown(&mut self, dev: DevId, down: bool) {
        self.sift(None, &mut |route| {
            // Own addresses stay usable (fib_sync_down_dev, fib6_ifdown).
            let own = route.family() == Family::V6 && matches!(route.kind, RouteType::Local | RouteType::Anycast);
            let exempt = down && (route.hosted() || own);
            for hop in route.hops.iter_mut().filter(|hop| hop.dev == Some(dev) && !exempt) {
                hop.linkdown = down;
            }
            true
        });
    }

    /// Shows every route to `keep`, which may change anything but what orders it; removes those it does not want.
    fn sift(&mut self, family: Option<Family>, keep: &mut dyn FnMut(&mut Route) -> bool) -> Vec<Route> {
        let v4 = if family == Some(Family::V6) { &mut [][..] } else { &mut self.v4[..] };
        let v6 = if family == Some(Family::V4) { &mut [][..] } else { &mut self.v6[..] };
        let gone: Vec<Route> = v4.iter_mut().chain(v6).flat_map(|table| table.retain(keep)).collect();
        self.len -= gone.len() as u32;
        self.multipath -= gone.iter().map(many).sum::<u32>();
        self.version += 1;
        gone
    }

    /// Whether rules were ever changed. From then on IPv4's tables local and main are searched one after the other.
    #[inline]
    pub(crate) fn has_own_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// The rules of a family by priority.
    pub fn rules(&self, family: Family) -> &[Rule] {
        self.rules.as_ref().map_or(defaults(family), |rules| &rules[family as usize])
    }

    fn rules_mut(&mut self, family: Family) -> &mut Vec<Rule> {
        let own = || Box::new([Family::V4, Family::V6].map(|family| defaults(family).to_vec()));
        &mut self.rules.get_or_insert_with(own)[family as usize]
    }

    /// The priority of a rule added without one: just before the second rule (`fib_default_rule_pref`).
    pub fn default_priority(&self, family: Family) -> u32 {
        self.rules(family).get(1).map_or(0, |second| second.priority.saturating_sub(1))
    }

    /// Adds a rule, behind those of the same priority.
    ///
    /// # Errors
    /// [`RouteError::Exists`] for the very same rule; [`RouteError::Family`] if its prefixes are of the other family;
    /// [`RouteError::Full`] at the limit.
    pub fn add_rule(&mut self, rule: Rule) -> Result<(), RouteError> {
        let foreign = |prefix: &crate::base::Prefix| Family::of(prefix.addr()) != rule.family;
        if rule.from.iter().chain(&rule.to).any(foreign) {
            return Err(RouteError::Family);
        }
        let rules = self.rules(rule.family);
        if rules.contains(&rule) {
            return Err(RouteError::Exists);
        }
        if rules.len() >= Self::MAX_RULES {
            return Err(RouteError::Full);
        }
        let at = rules.partition_point(|r| r.priority <= rule.priority);
        self.rules_mut(rule.family).insert(at, rule);
        self.version += 1;
        Ok(())
    }

    /// Deletes the first rule that has everything the selector gives, and returns it.
    ///
    /// # Errors
    /// [`RouteError::NoRule`] if there is none.
    pub fn delete_rule(&mut self, family: Family, selector: &RuleSelector) -> Result<Rule, RouteError> {
        let at = self.rules(family).iter().position(|r| selector.matches(r)).ok_or(RouteError::NoRule)?;
        self.version += 1;
        Ok(self.rules_mut(family).remove(at))
    }
}

fn many(route: &Route) -> u32 {
    u32::from(route.hops.len() > 1)
}

/// Whether an IPv6 route becomes part of a multipath route (`rt6_qualify_for_ecmp`).
fn joins(route: &Route) -> bool {
    route.kind == RouteType::Unicast && route.hops.iter().all(|hop| hop.via.is_some())
}
