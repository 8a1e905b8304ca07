//! Routes, rules and neighbours set by hand (`ip route`, `ip rule`, `ip neigh`).

use super::{ConfigError, Kernel};
use crate::{
    base::{DevId, NsId, Prefix},
    neigh::{SetEntry, SetMode},
    route::{
        AddMode, Family, LinkState, Route, RouteError, RouteSelector, RouteSpec, Rule, RuleSpec, WordError, parse_route,
    },
    trace::NeighState,
};
use std::net::IpAddr;

impl Kernel {
    /// Adds a route whose next hops are complete, after checking that each gateway can be reached (fib_check_nh).
    ///
    /// # Errors
    /// `EEXIST` if there is one already, `ENETUNREACH` or `EINVAL` for an impossible gateway.
    pub fn add_route(&mut self, ns: NsId, route: Route, mode: AddMode) -> Result<(), ConfigError> {
        let (dst, ipv4) = (route.dst, route.dst.is_ipv4());
        let n = self.ns_mut(ns);
        n.fib.add(route, mode).map_err(route_error)?;
        if ipv4 && matches!(mode, AddMode::Add | AddMode::Append | AddMode::Prepend) {
            self.config_changed();
        } else {
            self.route_gone(ns, dst);
        }
        Ok(())
    }

    /// Adds a route from the words of `ip route add`, with device names resolved in this namespace.
    ///
    /// # Errors
    /// As rtnetlink would answer.
    pub fn add_route_spec(&mut self, ns: NsId, spec: &RouteSpec, mode: AddMode) -> Result<(), ConfigError> {
        let route = self.resolve_route(ns, spec)?;
        self.add_route(ns, route, mode)
    }

    /// Adds a route written in the words of `ip route add`, for instance `default via 10.0.0.1`.
    ///
    /// # Errors
    /// If the words make no sense, or as rtnetlink would answer.
    ///
    /// ```
    /// use netsim::kernel::Kernel;
    /// let mut k = Kernel::new(1);
    /// let a = k.add_namespace("a")?;
    /// let b = k.add_namespace("b")?;
    /// let (eth0, _) = k.add_veth((a, "eth0"), (b, "eth0"))?;
    /// k.add_address(eth0, "10.0.0.2/24".parse()?, None)?;
    /// k.exec_route(a, "default via 10.0.0.1")?;
    /// assert!(k.exec_route(a, "192.0.2.0/24 via 172.16.0.1").is_err(), "that gateway is not on a link");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exec_route(&mut self, ns: NsId, words: &str) -> Result<(), ConfigError> {
        let spec = parse_route(words).map_err(word_error)?;
        self.add_route_spec(ns, &spec, AddMode::Add)
    }

    /// Deletes the first route that matches.
    ///
    /// # Errors
    /// `ESRCH` if none does.
    pub fn delete_route(&mut self, ns: NsId, selector: &RouteSelector) -> Result<Route, ConfigError> {
        let gone = self.ns_mut(ns).fib.delete(selector).map_err(route_error)?;
        // Routes that say the same share their next hops, and what was learned for them (fib_find_info).
        let fib = &self.ns(ns).fib;
        let mut all = fib.table_ids(Family::V4).flat_map(|id| fib.routes(Family::V4, id));
        let shared = all.any(|r| r.shares_hops(&gone));
        drop(all);
        if shared {
            self.config_changed();
        } else {
            self.route_gone(ns, gone.dst);
        }
        Ok(gone)
    }

    /// What was learned about the destinations of a route goes with it (free_nh_exceptions).
    fn route_gone(&mut self, ns: NsId, dst: Prefix) {
        if !dst.is_ipv4() {
            return self.routes_changed(ns);
        }
        self.config_changed();
        if let Some(x) = self.ns_mut(ns).exceptions.as_mut() {
            x.forget(dst);
        }
    }

    /// Forgets what was learned about all destinations (`ip route flush cache`).
    pub fn flush_route_cache(&mut self, ns: NsId) {
        self.routes_changed(ns);
    }

    /// Adds a routing rule.
    ///
    /// # Errors
    /// `EEXIST` if the same rule is there.
    pub fn add_rule(&mut self, ns: NsId, rule: Rule) -> Result<(), ConfigError> {
        self.ns_mut(ns).fib.add_rule(rule).map_err(route_error)?;
        self.routes_changed(ns);
        Ok(())
    }

    /// Adds a routing rule from the words of `ip rule add`.
    ///
    /// # Errors
    /// As rtnetlink would answer.
    pub fn add_rule_spec(&mut self, ns: NsId, spec: &RuleSpec) -> Result<(), ConfigError> {
        let priority = self.ns(ns).fib.default_priority(spec.family);
        let rule = spec.resolve(&|name| self.find_dev(ns, name), priority).map_err(word_error)?;
        self.add_rule(ns, rule)
    }

    /// Deletes the route the words of `ip route del` mean.
    ///
    /// # Errors
    /// `ESRCH` if there is none.
    pub fn delete_route_spec(&mut self, ns: NsId, spec: &RouteSpec) -> Result<(), ConfigError> {
        let selector = spec.selector(&|name| self.find_dev(ns, name)).map_err(word_error)?;
        self.delete_route(ns, &selector).map(|_| ())
    }

    /// Deletes the first routing rule that the words of `ip rule del` fit.
    ///
    /// # Errors
    /// `ENOENT` if none does.
    pub fn delete_rule_spec(&mut self, ns: NsId, spec: &RuleSpec) -> Result<Rule, ConfigError> {
        let selector = spec.selector(&|name| self.find_dev(ns, name)).map_err(word_error)?;
        let gone = self.ns_mut(ns).fib.delete_rule(spec.family, &selector).map_err(route_error)?;
        self.routes_changed(ns);
        Ok(gone)
    }

    /// Fills in what the words leave open – the device a gateway is on – after the checks of fib_create_info.
    fn resolve_route(&self, ns: NsId, spec: &RouteSpec) -> Result<Route, ConfigError> {
        let mut route = spec.resolve(&|name| self.find_dev(ns, name)).map_err(word_error)?;
        let link = |dev: DevId| match self.dev(dev) {
            d if !d.up => LinkState::Down,
            d if d.carrier => LinkState::Up,
            _ => LinkState::NoCarrier,
        };
        self.ns(ns).fib.check_route(&mut route, &link).map_err(route_error)?;
        Ok(route)
    }

    /// A neighbour set by hand (`ip neigh add|replace … lladdr … nud …`).
    ///
    /// # Errors
    /// `EEXIST` if there is an entry and the mode is to add, `ENOENT` if there is none and the mode is to change.
    pub fn set_neighbour(&mut self, entry: &SetEntry, mode: SetMode) -> Result<(), ConfigError> {
        let ns = self.dev(entry.dev).ns;
        let now = self.core.now;
        let params = self.dev(entry.dev).conf.neighbour(entry.addr.is_ipv4());
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let n = &mut self.nss[ns.index()];
        let result = n.neigh.set(now, entry, mode, &params, &mut n.rng, &mut actions);
        self.neighbour_actions(ns, actions);
        result.map_err(ConfigError::from)
    }

    /// Answers ARP for an address that is elsewhere (`ip neigh add proxy`).
    pub fn add_proxy_neighbour(&mut self, dev: DevId, addr: IpAddr) {
        let ns = self.dev(dev).ns;
        self.ns_mut(ns).neigh.proxy_add(dev, addr);
    }

    /// Forgets a neighbour.
    ///
    /// # Errors
    /// `ENOENT` if there is none.
    pub fn delete_neighbour(&mut self, dev: DevId, addr: IpAddr) -> Result<(), ConfigError> {
        let ns = self.dev(dev).ns;
        let now = self.core.now;
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let result = self.ns_mut(ns).neigh.delete(now, dev, addr, &mut actions);
        self.neighbour_actions(ns, actions);
        result.map_err(ConfigError::from)
    }

    /// Forgets every neighbour that was learned (`ip neigh flush all`); those set by hand stay.
    pub fn flush_learned_neighbours(&mut self, ns: NsId) {
        for n in self.ns(ns).neigh.iter(self.core.now) {
            if !matches!(n.state, NeighState::Permanent | NeighState::NoArp) {
                // It was just listed, so it is there.
                let _ = self.delete_neighbour(n.dev, n.addr);
            }
        }
    }

    /// What was learned about single destinations may be wrong now (rt_cache_flush).
    pub(crate) fn routes_changed(&mut self, ns: NsId) {
        self.config_changed();
        if let Some(x) = self.ns_mut(ns).exceptions.as_mut() {
            x.clear();
        }
    }
}

fn route_error(e: RouteError) -> ConfigError {
    ConfigError { errno: e.errno(), message: e.explanation().unwrap_or_default().into() }
}

fn word_error(e: WordError) -> ConfigError {
    ConfigError { errno: e.errno(), message: e.to_string() }
}
