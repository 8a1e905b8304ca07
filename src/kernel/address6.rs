//! IPv6 on a device: its addresses, the routes that come with them, and what switches it on and off
//! (net/ipv6/addrconf.c, RFC 4862).
//!
//! Deliberate differences from Linux, so that IPv4 labs stay quiet and worlds come to rest:
//! * `disable_ipv6` is 1 until a namespace gets its first IPv6 address or somebody writes the sysctl;
//! * `accept_dad` is 0 and `router_solicitations` is 0; with Linux's values (1 and -1) both behave as there;
//! * multicast memberships are kept but not reported (no MLD);
//! * devices are up from the start, so a link-local address follows its device's MAC while the world is being built, at
//!   time 0. Later it stays, as in Linux.

use super::{ConfigError, IfAddr, Kernel, device::AddrState, sysctl::Conf};
use crate::{
    base::{DevId, Errno, Mac, NsId, Prefix},
    route::{AddMode, Family, NextHop, Protocol, Route, RouteType, table},
};
use std::net::{IpAddr, Ipv6Addr};

/// Metric of the routes that come with addresses (`IP6_RT_PRIO_ADDRCONF`).
const METRIC: u32 = 256;
/// Metric of the local and anycast routes.
const METRIC_LOCAL: u32 = 0;

/// The link-local address that follows from a MAC (RFC 4291 appendix A, `addrconf_ifid_eui48`).
///
/// ```
/// use netsim::{base::Mac, kernel::link_local_of};
/// assert_eq!(link_local_of(Mac([0x02, 0, 0, 0, 0, 0x0a])).to_string(), "fe80::ff:fe00:a");
/// ```
pub fn link_local_of(mac: Mac) -> Ipv6Addr {
    with_interface_id(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), mac)
}

/// The first 64 bits of `prefix` with the modified EUI-64 identifier of `mac`.
pub(crate) fn with_interface_id(prefix: Ipv6Addr, Mac(m): Mac) -> Ipv6Addr {
    let mut o = prefix.octets();
    o[8..].copy_from_slice(&[m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]]);
    Ipv6Addr::from(o)
}

/// How far an address reaches, in the order of `ip addr`: `ipv6_addr_src_scope`.
pub(crate) fn scope_of(a: Ipv6Addr) -> u8 {
    match a.segments()[0] {
        s if s & 0xff00 == 0xff00 => (s & 0xf) as u8,
        _ if a.is_loopback() => 2,
        s if s & 0xffc0 == 0xfe80 => 2,
        s if s & 0xffc0 == 0xfec0 => 5,
        _ => 14,
    }
}

impl Kernel {
    /// Gives a device an IPv6 address (inet6_addr_add). In a namespace where nobody said whether it has IPv6, the first
    /// one switches it on.
    pub(crate) fn add_address6(&mut self, dev: DevId, new: IfAddr) -> Result<(), ConfigError> {
        let IpAddr::V6(addr) = new.prefix.addr() else { return Err(Errno::EAFNOSUPPORT.into()) };
        let d = self.dev(dev);
        let ns = d.ns;
        if addr.is_loopback() && !d.is_loopback() {
            return Err(ConfigError::new(Errno::EADDRNOTAVAIL, format!("{addr} belongs on `lo`")));
        }
        if new.peer.is_some_and(|p| p.is_ipv4()) {
            return Err(Errno::EINVAL.into());
        }
        if d.mtu < super::MIN_MTU6 {
            return Err(ConfigError::new(Errno::EINVAL, "IPv6 needs an MTU of at least 1280 bytes"));
        }
        if d.conf.on(Conf::DisableIpv6) {
            if self.ns(ns).ipv6_chosen {
                return Err(ConfigError::new(Errno::EACCES, "ipv6: IPv6 is disabled on this device."));
            }
            self.enable_ipv6(ns);
        }
        // `lo` gets ::1 by itself.
        if self.dev(dev).addrs6().any(|(a, _)| a == addr) {
            if addr.is_loopback() {
                return Ok(());
            }
            return Err(ConfigError::new(Errno::EEXIST, "ipv6: address already assigned."));
        }
        self.insert_address6(dev, new);
        Ok(())
    }

    /// Switches IPv6 on in the whole namespace, as `net.ipv6.conf.all.disable_ipv6=0` does.
    fn enable_ipv6(&mut self, ns: NsId) {
        let n = self.ns_mut(ns);
        n.conf_all.set(Conf::DisableIpv6, 0);
        n.conf_default.set(Conf::DisableIpv6, 0);
        for dev in n.devices.clone() {
            self.dev_mut(dev).conf.set(Conf::DisableIpv6, 0);
            self.ipv6_sync(dev);
        }
    }

    /// Enters an address: wider scopes first, the newest of a scope first (ipv6_link_dev_addr), which is also the order
    /// in which source addresses are considered.
    pub(crate) fn insert_address6(&mut self, dev: DevId, mut new: IfAddr) {
        let IpAddr::V6(addr) = new.prefix.addr() else { return };
        new.state = if self.wants_dad(dev) { AddrState::Tentative } else { AddrState::Valid };
        let addrs = &mut self.dev_mut(dev).addrs;
        let behind = |a: &IfAddr| matches!(a.prefix.addr(), IpAddr::V6(x) if scope_of(x) <= scope_of(addr));
        let at = addrs.iter().position(behind).unwrap_or(addrs.len());
        addrs.insert(at, new);
        self.ipv6_sync(dev);
        if new.is_usable() {
            self.address6_ready(dev, addr);
        }
    }

    /// Takes an IPv6 address away (inet6_addr_del).
    pub(crate) fn delete_address6(&mut self, dev: DevId, prefix: Prefix) -> Result<(), ConfigError> {
        let addrs = &self.dev(dev).addrs;
        let at = addrs
            .iter()
            .position(|a| a.prefix == prefix)
            .or_else(|| addrs.iter().position(|a| prefix.is_host() && a.prefix.addr() == prefix.addr()))
            .ok_or_else(|| ConfigError::new(Errno::EADDRNOTAVAIL, "ipv6: address not found."))?;
        self.remove_address6(dev, at);
        Ok(())
    }

    fn remove_address6(&mut self, dev: DevId, at: usize) {
        let ns = self.dev(dev).ns;
        let gone = self.dev_mut(dev).addrs.remove(at);
        let (host, subnet) = (Prefix::host(gone.prefix.addr()), gone.subnet());
        let subnet_left = self.dev(dev).addrs.iter().any(|a| a.subnet() == subnet);
        let fib = &mut self.ns_mut(ns).fib;
        fib.remove(|r| {
            let ours = matches!(r.protocol, Protocol::Kernel | Protocol::Ra) && r.uses(dev);
            let local = r.kind == RouteType::Local && r.dst == host;
            let connected = matches!(r.kind, RouteType::Unicast | RouteType::Anycast)
                && !subnet_left
                && (r.dst == subnet && r.hops().iter().all(|h| h.via.is_none())
                    || r.kind == RouteType::Anycast && r.dst == Prefix::host(subnet.addr()));
            ours && (local || connected)
        });
        fib.remove_routes_with_src(gone.prefix.addr());
        self.forget_address6(dev, gone.prefix.addr());
        self.change_netfilter(ns, |nf, out| nf.addr_removed(dev, gone.prefix.addr(), out));
        self.routes_changed(ns);
    }

    /// Brings a device's IPv6 side in line with its state: called after whatever may have changed that (addrconf_notify).
    /// It adds what is missing; what goes when a device goes down is the business of [`Kernel::ipv6_down`].
    pub(crate) fn ipv6_sync(&mut self, dev: DevId) {
        let d = self.dev(dev);
        if !d.has_ipv6() {
            if d.addrs6().next().is_some() {
                self.ipv6_down(dev, false);
            }
            return;
        }
        if !d.up {
            return self.add_local_routes6(dev);
        }
        if d.is_loopback() {
            if !d.addrs6().any(|(a, _)| a.is_loopback()) {
                self.insert_address6(dev, IfAddr::new(Prefix::host(Ipv6Addr::LOCALHOST.into()), None));
            }
        } else {
            let own = link_local_of(d.mac);
            let missing = d.carrier && !d.addrs6().any(|(a, _)| a.is_unicast_link_local());
            self.add_route6(dev, Prefix::new(GROUPS, 8).expect("8 is a prefix length"), RouteType::Multicast);
            if missing {
                let prefix = Prefix::new(own.into(), 64).expect("64 is a prefix length");
                self.insert_address6(dev, IfAddr::new(prefix, None));
            }
        }
        self.add_local_routes6(dev);
        self.add_subnet_routes6(dev);
        self.resume_dad(dev);
    }

    /// `local` routes of the addresses in use: those of a device that is down stay reachable.
    fn add_local_routes6(&mut self, dev: DevId) {
        let usable: Vec<Ipv6Addr> = self.dev(dev).addrs6().filter(|(_, a)| a.is_usable()).map(|(ip, _)| ip).collect();
        for ip in usable {
            self.add_route6(dev, Prefix::host(ip.into()), RouteType::Local);
        }
    }

    /// Connected routes, and the subnet-router anycast addresses of a router (RFC 4291 §2.6.1, addrconf_join_anycast).
    fn add_subnet_routes6(&mut self, dev: DevId) {
        let d = self.dev(dev);
        let router = d.forwards(false) && !d.is_loopback();
        // Every address set by hand has one, those of lo and /128 too; ::1 is the kernel's own (addrconf_prefix_route).
        let own = d.addrs6().filter(|(ip, _)| !ip.is_loopback());
        let subnets: Vec<Prefix> = own.map(|(_, a)| a.subnet()).collect();
        for subnet in subnets {
            self.add_route6(dev, subnet, RouteType::Unicast);
            if router && subnet.len() < 127 {
                self.add_route6(dev, Prefix::host(subnet.addr()), RouteType::Anycast);
            }
        }
    }

    fn add_route6(&mut self, dev: DevId, dst: Prefix, kind: RouteType) {
        let d = self.dev(dev);
        let (ns, linkdown) = (d.ns, !d.carrier);
        let local = matches!(kind, RouteType::Local | RouteType::Anycast);
        let hop = NextHop { linkdown: linkdown && !local, ..NextHop::dev(dev) };
        let table = if kind == RouteType::Unicast { table::MAIN } else { table::LOCAL };
        let metric = if local { METRIC_LOCAL } else { METRIC };
        let route = Route::new(dst, kind, hop).in_table(table).with_protocol(Protocol::Kernel).with_metric(metric);
        // The very same route may be there already, and stays.
        if self.ns_mut(ns).fib.add(route, AddMode::Append).is_ok() {
            self.routes_changed(ns);
        }
    }

    /// IPv6 stops on a device: its addresses go, with their routes (addrconf_ifdown). `keep` those the administrator set.
    pub(crate) fn ipv6_down(&mut self, dev: DevId, keep: bool) {
        let ns = self.dev(dev).ns;
        let goes = |a: &IfAddr| {
            let IpAddr::V6(ip) = a.prefix.addr() else { return false };
            !keep || a.dynamic || ip.is_unicast_link_local() || ip.is_loopback()
        };
        while let Some(at) = self.dev(dev).addrs.iter().position(goes) {
            self.remove_address6(dev, at);
        }
        if self.ns(ns).fib.table_ids(Family::V6).next().is_some() {
            self.ns_mut(ns).fib.remove(|r| !r.dst.is_ipv4() && r.uses(dev));
            self.forget_device6(dev);
            self.routes_changed(ns);
        }
    }

    /// A sysctl that concerns IPv6 was written.
    pub(crate) fn ipv6_setting_changed(&mut self, ns: NsId, conf: Conf) {
        match conf {
            Conf::DisableIpv6 => self.ns_mut(ns).ipv6_chosen = true,
            Conf::Forwarding6 => {
                // A router is its own default router (rt6_purge_dflt_routers), and only a router has anycast addresses.
                let router = self.ns(ns).conf_all.on(Conf::Forwarding6);
                let on: Vec<DevId> =
                    self.ns(ns).devices.iter().copied().filter(|d| self.dev(*d).forwards(false)).collect();
                self.ns_mut(ns).fib.remove(|r| {
                    let anycast = r.kind == RouteType::Anycast && r.protocol == Protocol::Kernel;
                    let learned = r.protocol == Protocol::Ra && r.dst == Prefix::ANY6;
                    (anycast && !on.iter().any(|d| r.uses(*d))) || (learned && router)
                });
                self.routes_changed(ns);
            }
            _ => return,
        }
        for dev in self.ns(ns).devices.clone() {
            self.ipv6_sync(dev);
        }
    }

    /// While the world is being built, the link-local address follows the MAC, which was `old`.
    pub(crate) fn ipv6_mac_changed(&mut self, dev: DevId, old: Mac) {
        let derived = IpAddr::V6(link_local_of(old));
        let at = self.dev(dev).addrs.iter().position(|a| a.prefix.addr() == derived);
        if let Some(at) = at.filter(|_| self.core.now == 0 && self.dev(dev).mac != old) {
            self.remove_address6(dev, at);
            self.ipv6_sync(dev);
        }
    }

    /// Whether a device receives packets to a group: it belongs to the groups every node is in, to that of each of its
    /// addresses and of those it is a proxy for (RFC 4291 §2.8), and to those sockets joined (ipv6_chk_mcast_addr).
    pub(crate) fn in_group6(&self, dev: DevId, group: Ipv6Addr) -> bool {
        let d = self.dev(dev);
        let s = group.segments();
        let every = matches!(s, [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]);
        let routers = matches!(s, [0xff01 | 0xff02 | 0xff05, 0, 0, 0, 0, 0, 0, 2]) && d.forwards(false);
        let n = self.ns(d.ns);
        let joined = |s: &crate::socket::Sockets| s.is_member(group.into(), dev);
        let proxied = |a| matches!(a, IpAddr::V6(ip) if solicited_node(ip) == group);
        every
            || routers
            || self.solicited_here(dev, group)
            || n.sockets.as_deref().is_some_and(joined)
            || n.neigh.proxy_iter().any(|(on, a)| on == dev && proxied(a)) // pndisc_constructor
    }

    /// Whether `group` is the solicited-node group of an address of the device, whatever its state, or of an anycast
    /// address it answers for.
    fn solicited_here(&self, dev: DevId, group: Ipv6Addr) -> bool {
        let d = self.dev(dev);
        let router = d.forwards(false);
        d.addrs6().any(|(ip, a)| {
            let anycast = match a.subnet().addr() {
                IpAddr::V6(net) if router && a.prefix.len() < 127 => solicited_node(net) == group,
                _ => false,
            };
            anycast || solicited_node(ip) == group
        })
    }
}

/// `ff00::`
const GROUPS: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0));

/// The solicited-node group of an address (RFC 4291 §2.7.1).
///
/// ```
/// use netsim::kernel::solicited_node;
/// assert_eq!(solicited_node("2001:db8::1:2:3".parse().unwrap()).to_string(), "ff02::1:ff02:3");
/// ```
pub fn solicited_node(a: Ipv6Addr) -> Ipv6Addr {
    let o = a.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | o[13] as u16, u16::from_be_bytes([o[14], o[15]]))
}
