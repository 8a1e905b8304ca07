//! Addresses of devices and the routes that come with them (net/ipv4/devinet.c, fib_add_ifaddr in fib_frontend.c).

use super::{ConfigError, IfAddr, Kernel, sysctl::Conf};
use crate::{
    base::{DevId, Errno, Prefix},
    route::{AddMode, Family, NextHop, Protocol, Route, RouteType, Scope, table},
};
use std::net::IpAddr;

impl Kernel {
    /// Gives a device an address, and the namespace the routes that follow from it.
    ///
    /// # Errors
    /// `EEXIST` if the device has it already; `EINVAL` for a multicast or broadcast address.
    ///
    /// ```
    /// use netsim::kernel::Kernel;
    /// let mut k = Kernel::new(1);
    /// let a = k.add_namespace("a").unwrap();
    /// let b = k.add_namespace("b").unwrap();
    /// let (eth0, _) = k.add_veth((a, "eth0"), (b, "eth0")).unwrap();
    /// k.add_address(eth0, "10.0.0.1/24".parse().unwrap(), None).unwrap();
    /// assert!(k.is_local(a, "10.0.0.1".parse().unwrap()));
    /// assert!(!k.is_local(b, "10.0.0.1".parse().unwrap()));
    /// ```
    pub fn add_address(&mut self, dev: DevId, prefix: Prefix, peer: Option<IpAddr>) -> Result<(), ConfigError> {
        let addr = prefix.addr();
        if (addr.is_ipv6() && addr.is_multicast()) || addr.is_unspecified() {
            return Err(ConfigError::new(Errno::EINVAL, format!("{addr} cannot be the address of a device")));
        }
        self.add_address_as(dev, IfAddr::new(prefix, peer))
    }

    /// The same with everything that can be said of an address.
    ///
    /// # Errors
    /// Those of [`Kernel::add_address`], and `EINVAL` for another scope than that of the other addresses of its subnet.
    pub fn add_address_as(&mut self, dev: DevId, mut new: IfAddr) -> Result<(), ConfigError> {
        let (prefix, addr) = (new.prefix, new.prefix.addr());
        if addr.is_ipv6() {
            if addr.is_multicast() {
                return Err(ConfigError::new(Errno::EINVAL, format!("{addr} cannot be the address of a device")));
            }
            return self.add_address6(dev, new);
        }
        let (d, subnet) = (self.dev(dev), new.subnet());
        // A second address of one subnet with the same mask is secondary (inet_insert_ifa).
        for a in d.addrs.iter().filter(|a| a.prefix.len() == prefix.len() && a.subnet() == subnet) {
            if a.prefix.addr() == addr {
                return Err(ConfigError::new(Errno::EEXIST, "Address already assigned."));
            }
            if a.scope != new.scope {
                return Err(ConfigError::new(Errno::EINVAL, "Invalid scope value."));
            }
            new.secondary = true;
        }
        self.insert_address(dev, new);
        self.add_address_routes(dev, new);
        let (ns, up, carrier) = (self.dev(dev).ns, self.dev(dev).up, self.dev(dev).carrier);
        if up {
            // Next hops that died with the last address live again (fib_inetaddr_event, fib_sync_up).
            self.ns_mut(ns).fib.device_up(dev, carrier);
        }
        Ok(())
    }

    /// A primary IPv4 address stands behind those of its scope and of narrower ones, secondary ones stand last
    /// (inet_insert_ifa, case src-address-selection).
    fn insert_address(&mut self, dev: DevId, new: IfAddr) {
        let addrs = &mut self.dev_mut(dev).addrs;
        let at = match new.secondary {
            true => addrs.len(),
            false => {
                let before = |a: &IfAddr| a.prefix.is_ipv4() && !a.secondary && new.scope <= a.scope;
                addrs.iter().rposition(before).map_or(0, |i| i + 1)
            }
        };
        addrs.insert(at, new);
    }

    /// Takes an address away. Deleting a primary IPv4 address deletes its secondaries too, unless
    /// `promote_secondaries` is on; the last address takes every route of the device with it.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the device does not have it.
    pub fn delete_address(&mut self, dev: DevId, prefix: Prefix) -> Result<(), ConfigError> {
        if !prefix.is_ipv4() {
            return self.delete_address6(dev, prefix);
        }
        let addrs = &self.dev(dev).addrs;
        let at = addrs
            .iter()
            .position(|a| a.prefix == prefix)
            .or_else(|| addrs.iter().position(|a| prefix.is_host() && a.prefix.addr() == prefix.addr()))
            .ok_or_else(|| ConfigError::new(Errno::EADDRNOTAVAIL, "ipv4: Address not found."))?;
        let gone = self.dev_mut(dev).addrs.remove(at);
        let same = |a: &IfAddr| a.secondary && a.prefix.len() == gone.prefix.len() && a.subnet() == gone.subnet();
        let mut removed = vec![gone];
        if !gone.secondary {
            if self.conf_or(dev, Conf::PromoteSecondaries) {
                if let Some(next) = self.dev(dev).addrs.iter().position(same) {
                    // The others change their primary: their routes go, and come back below.
                    let all: Vec<IfAddr> = self.dev(dev).addrs.iter().copied().filter(same).collect();
                    let ns = self.dev(dev).ns;
                    self.ns_mut(ns).fib.remove(|r| {
                        r.protocol == Protocol::Kernel
                            && r.kind == RouteType::Local
                            && r.src == Some(gone.prefix.addr())
                            && r.uses(dev)
                            && all.iter().any(|a| r.dst == Prefix::host(a.prefix.addr()))
                    });
                    let heir = self.dev_mut(dev).addrs.remove(next);
                    self.insert_address(dev, IfAddr { secondary: false, ..heir });
                }
            } else {
                let d = self.dev_mut(dev);
                removed.extend(d.addrs.iter().copied().filter(same));
                d.addrs.retain(|a| !same(a));
            }
        }
        for a in removed {
            self.delete_address_routes(dev, a);
        }
        for a in self.addrs4(dev) {
            self.add_address_routes(dev, a); // what the loss of the primary took with it; existing ones stay
        }
        let ns = self.dev(dev).ns;
        if self.dev(dev).addrs.iter().all(|a| !a.prefix.is_ipv4()) {
            self.ns_mut(ns).fib.device_without_address(dev, Family::V4);
            self.flush_neighbours(dev, Some(Family::V4)); // fib_disable_ip: arp_ifdown
        }
        self.change_netfilter(ns, |nf, out| nf.addr_removed(dev, gone.prefix.addr(), out));
        self.routes_changed(ns);
        Ok(())
    }

    fn addrs4(&self, dev: DevId) -> Vec<IfAddr> {
        self.dev(dev).addrs.iter().filter(|a| a.prefix.is_ipv4()).copied().collect()
    }

    fn add_address_routes(&mut self, dev: DevId, a: IfAddr) {
        let ns = self.dev(dev).ns;
        let loopback = self.dev(dev).is_loopback();
        let up = self.dev(dev).up;
        let addr = a.prefix.addr();
        let linkdown = !self.dev(dev).carrier;
        // fib_add_ifaddr: the routes of a secondary address prefer its primary as source.
        let same = |x: &&IfAddr| !x.secondary && x.prefix.len() == a.prefix.len() && x.subnet() == a.subnet();
        let primary = self.dev(dev).addrs.iter().find(same).filter(|_| a.secondary).map_or(addr, |p| p.prefix.addr());
        let mut add = |dst: Prefix, kind: RouteType, table: u32, scope: Scope| {
            let hop = NextHop { linkdown: linkdown && kind != RouteType::Local, ..NextHop::dev(dev) };
            let route = Route::new(dst, kind, hop).in_table(table).with_protocol(Protocol::Kernel);
            let route = route.with_scope(scope).with_src(primary);
            // The very same route may be there already, and stays.
            let _ = self.ns_mut(ns).fib.add(route, AddMode::Append);
        };
        add(Prefix::host(addr), RouteType::Local, table::LOCAL, Scope::Host);
        if !up {
            return;
        }
        let subnet = a.subnet();
        if loopback {
            if !subnet.is_host() {
                add(subnet, RouteType::Local, table::LOCAL, Scope::Host);
            }
        } else if !a.secondary && !addr.is_multicast() && (!subnet.is_host() || a.peer.is_some()) {
            add(subnet, RouteType::Unicast, table::MAIN, Scope::Link);
        }
        if let Some(b) = a.broadcast().filter(|_| !a.secondary && !addr.is_multicast()) {
            add(Prefix::host(b.into()), RouteType::Broadcast, table::LOCAL, Scope::Link);
        }
        self.routes_changed(ns);
    }

    /// Removes the routes of an address that is gone, and those that name it as their source (fib_del_ifaddr,
    /// fib_sync_down_addr).
    fn delete_address_routes(&mut self, dev: DevId, a: IfAddr) {
        let ns = self.dev(dev).ns;
        let addr = a.prefix.addr();
        let elsewhere = self.owns_address(ns, addr);
        let subnet_left =
            self.dev(dev).addrs.iter().any(|x| x.subnet() == a.subnet() && x.prefix.len() == a.prefix.len());
        let broadcast = a.broadcast().map(|b| Prefix::host(b.into()));
        let broadcast_left = self.dev(dev).addrs.iter().any(|x| x.broadcast() == a.broadcast());
        // What its heir gets again has another source (fib_del_ifaddr).
        let heir = self.dev(dev).addrs.iter().find(|x| !x.secondary && x.broadcast() == a.broadcast());
        let inherited = heir.is_some_and(|h| h.subnet() == a.subnet()) && !a.secondary;
        let fib = &mut self.ns_mut(ns).fib;
        fib.remove(|r| {
            let here = r.hops().iter().any(|h| h.dev == Some(dev));
            let kernel = r.protocol == Protocol::Kernel && here;
            (kernel && !elsewhere && r.kind == RouteType::Local && r.dst == Prefix::host(addr))
                || (kernel && !subnet_left && r.dst == a.subnet() && r.kind != RouteType::Broadcast && !r.dst.is_host())
                || (kernel && !subnet_left && a.peer.is_some() && r.dst == a.subnet() && r.kind == RouteType::Unicast)
                || (kernel
                    && inherited
                    && r.kind == RouteType::Broadcast
                    && Some(r.dst) == broadcast
                    && r.src == Some(addr))
                || (kernel && !broadcast_left && r.kind == RouteType::Broadcast && Some(r.dst) == broadcast)
        });
        if !elsewhere {
            fib.remove_routes_with_src(addr);
        }
        self.routes_changed(ns);
    }

    /// A device came up again: its connected routes return, others do not (fib_netdev_event NETDEV_UP).
    pub(crate) fn restore_connected_routes(&mut self, dev: DevId) {
        let (ns, carrier) = (self.dev(dev).ns, self.dev(dev).carrier);
        self.ns_mut(ns).fib.device_up(dev, carrier);
        for a in self.addrs4(dev) {
            self.add_address_routes(dev, a);
        }
        self.ipv6_sync(dev);
    }

    /// A device went down: its routes go, but IPv4 addresses stay local (fib_disable_ip).
    pub(crate) fn flush_routes_of(&mut self, dev: DevId) {
        let ns = self.dev(dev).ns;
        self.ns_mut(ns).fib.device_down(dev);
        self.routes_changed(ns);
    }
}
