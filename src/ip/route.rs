//! Choosing a way: for packets sent here, and for packets that came in (net/ipv4/route.c, fib_frontend.c).

use crate::{
    base::{DevId, Errno, Mutant, NsId, mutated, proto},
    kernel::{
        IfAddr, InputRoute, Kernel,
        route_cache::{InputKey, NoWay},
        sysctl::{Conf, Knob},
    },
    route::{Family, FlowKey, LookupError, Route, RouteType, Scope},
    trace::DropReason,
};
use std::net::{IpAddr, Ipv4Addr};

/// What a sender asks the routing tables.
#[derive(Clone, Copy, Debug)]
pub struct OutRequest {
    /// Source address, if the socket is bound to one.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: IpAddr,
    /// The device the socket is bound to.
    pub oif: Option<DevId>,
    /// Firewall mark.
    pub mark: u32,
    /// Type of service.
    pub tos: u8,
    /// Upper-layer protocol, for multipath hashing.
    pub proto: u8,
    /// Source port, for multipath hashing.
    pub sport: u16,
    /// Destination port, for multipath hashing.
    pub dport: u16,
    /// The source need not be an address of the namespace (FLOWI_FLAG_ANYSRC).
    pub any_src: bool,
}

/// What routing may look at beyond the IP header: the hash of the flow for multipath routes, and the upper-layer protocol
/// and its ports for rules that ask for them. All zero where neither matters.
pub(crate) type FlowDetail = (u32, u8, (u16, u16));

impl OutRequest {
    /// A request that names nothing but the destination.
    pub fn to(dst: IpAddr) -> OutRequest {
        OutRequest { src: None, dst, oif: None, mark: 0, tos: 0, proto: 0, sport: 0, dport: 0, any_src: false }
    }
}

/// The way a packet takes out of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteOut {
    /// Egress device; `lo` for local destinations.
    pub dev: DevId,
    /// The gateway, or the destination itself if it is on the link.
    pub next_hop: IpAddr,
    /// Source address to use.
    pub src: IpAddr,
    /// Path MTU in bytes: the device's, the route's or a learned one.
    pub mtu: u32,
    /// The learned path MTU is below the minimum: do not set DF.
    pub mtu_locked: bool,
    /// Unicast, local, broadcast or multicast.
    pub kind: RouteType,
    /// The most bytes of a TCP segment the peer is told; 0: what the MTU allows.
    pub advmss: u16,
}

const fn silent(reason: DropReason) -> NoWay {
    NoWay { reason, error: None }
}

impl Kernel {
    /// Whether `addr` is delivered locally in `ns`.
    #[inline]
    pub fn is_local(&self, ns: NsId, addr: IpAddr) -> bool {
        self.ns(ns).fib.local_kind(addr) == Some(RouteType::Local)
    }

    /// Whether `addr` is assigned to some device of `ns`; unlike [`Kernel::is_local`] this looks at addresses, not routes.
    pub(crate) fn owns_address(&self, ns: NsId, addr: IpAddr) -> bool {
        self.ns(ns).devices.iter().any(|d| self.dev(*d).addrs.iter().any(|a| a.prefix.addr() == addr))
    }

    /// The device that has that address.
    fn device_with(&self, ns: NsId, addr: IpAddr) -> Option<DevId> {
        self.ns(ns).devices.iter().copied().find(|d| self.dev(*d).addrs.iter().any(|a| a.prefix.addr() == addr))
    }

    /// Whether packets to `addr` leave by `dev`.
    pub(crate) fn routed_by(&self, ns: NsId, dev: DevId, addr: IpAddr) -> bool {
        let key = FlowKey::to(addr);
        let ignore = self.ignore_linkdown(ns);
        self.ns(ns).fib.lookup(&key, ignore).is_ok_and(|l| l.hop.dev == Some(dev))
    }

    /// Routes over a device without carrier are skipped where that device says so; the FIB asks per namespace, for which
    /// all devices without carrier must agree.
    fn ignore_linkdown(&self, ns: NsId) -> bool {
        let n = self.ns(ns);
        let on = |d: &DevId| self.dev(*d).conf.on(Conf::IgnoreRoutesWithLinkdown);
        n.conf_all.on(Conf::IgnoreRoutesWithLinkdown)
            || (n.some_ignore_linkdown && n.devices.iter().filter(|d| !self.dev(**d).carrier).all(on))
    }

    /// A route as `ip route` shows it: hops without carrier that are passed over count as dead (fib_nexthop_info).
    pub fn shown_route(&self, ns: NsId, route: &Route) -> Route {
        let mut shown = route.clone();
        let ignored = match route.family() {
            Family::V4 => self.ignore_linkdown(ns),
            Family::V6 => self.ignores_linkdown6(ns),
        };
        if ignored {
            shown.hops_mut().iter_mut().filter(|h| h.linkdown).for_each(|h| h.dead = true);
        }
        shown
    }

    /// Chooses the way of a packet sent in `ns` (ip_route_output_key_hash_rcu).
    ///
    /// # Errors
    /// `ENETUNREACH` without a route, `EHOSTUNREACH`, `EACCES`, `EINVAL` for unreachable, prohibit and blackhole routes.
    pub fn route_output(&mut self, ns: NsId, req: &OutRequest) -> Result<RouteOut, Errno> {
        if req.dst.is_ipv6() {
            return self.route_output6(ns, req);
        }
        let n = self.ns(ns);
        let v4 = req.dst.is_ipv4();
        let mut dst = req.dst;
        if dst.is_unspecified() {
            // "Any" as a destination means this host.
            dst = req.src.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let limited = dst == IpAddr::V4(Ipv4Addr::BROADCAST);
        if let Some(src @ IpAddr::V4(a)) = req.src {
            if a.is_multicast() || a.is_broadcast() || a.is_unspecified() {
                return Err(Errno::EINVAL);
            }
            if !req.any_src && !self.owns_address(ns, src) && !self.is_local(ns, src) {
                return Err(Errno::ENETUNREACH);
            }
        }
        // A source of lo stays on lo (__mkroute_output).
        let home = |dev: DevId| {
            let at_home = req.src.is_some_and(|s| s.is_loopback()) && !self.dev(dev).is_loopback();
            if at_home && !self.conf_or(dev, Conf::RouteLocalnet) { Err(Errno::EINVAL) } else { Ok(()) }
        };
        if let Some(oif) = req.oif
            && !self.dev(oif).up
        {
            return Err(Errno::ENETUNREACH);
        }
        let to_link = limited || dst.is_multicast();
        // Without a device that of the source will do (the "special hack" of ip_route_output_key_hash_rcu).
        let oif = req.oif.or_else(|| req.src.filter(|_| to_link).and_then(|s| self.device_with(ns, s)));
        if let Some(oif) = oif.filter(|_| to_link) {
            home(oif)?;
            let src = req.src.or_else(|| self.select_source4(oif, None, Scope::Link)).unwrap_or(unspecified(v4));
            let kind = if limited { RouteType::Broadcast } else { RouteType::Multicast };
            return Ok(self.way(ns, oif, dst, src, dst, kind, None));
        }
        let key = FlowKey {
            src: req.src,
            dst,
            iif: None,
            oif: req.oif,
            mark: req.mark,
            tos: req.tos,
            proto: req.proto,
            ports: (req.sport, req.dport),
            hash: self.flow_hash(ns, req.src.unwrap_or(unspecified(v4)), dst, req.proto, req.sport, req.dport),
        };
        let found = match n.fib.lookup(&key, self.ignore_linkdown(ns)) {
            Ok(f) => f,
            Err(e) => {
                // A socket bound to a device reaches its link whatever the tables say.
                if let Some(oif) = req.oif {
                    home(oif)?;
                    let select = || self.select_source4(oif, None, Scope::Link);
                    let src = req.src.or_else(select).unwrap_or(unspecified(v4));
                    return Ok(self.way(ns, oif, dst, src, dst, RouteType::Unicast, None));
                }
                return Err(match e {
                    LookupError::Unreachable => Errno::EHOSTUNREACH,
                    LookupError::Prohibit => Errno::EACCES,
                    LookupError::Blackhole => Errno::EINVAL,
                    _ => Errno::ENETUNREACH,
                });
            }
        };
        let route = found.route;
        if route.kind == RouteType::Local {
            // All of 127/8 is spoken to from the address of lo (case lo-127-slash-8).
            let src = req.src.or(route.src).unwrap_or(dst);
            return Ok(self.way(ns, n.lo, dst, src, dst, RouteType::Local, None));
        }
        let kind = match route.kind {
            _ if limited => RouteType::Broadcast,
            RouteType::Broadcast => RouteType::Broadcast,
            _ if dst.is_multicast() => RouteType::Multicast,
            kind => kind,
        };
        let out = found.hop.dev.ok_or(Errno::ENETUNREACH)?;
        home(out)?;
        let next_hop = if kind == RouteType::Unicast { found.hop.via.unwrap_or(dst) } else { dst };
        let (prefsrc, mtu, lock, advmss) = (route.src, route.path_mtu(), route.mtu_lock, route.advmss);
        // fib_info_update_nhc_saddr: near the gateway, of the scope of the route.
        let (via, scope) = (found.hop.via, route.scope);
        let select = || self.select_source4(out, via, scope);
        let src = req.src.or(prefsrc).or_else(select).unwrap_or(unspecified(v4));
        let mut way = self.way(ns, out, next_hop, src, dst, kind, mtu);
        way.advmss = advmss;
        if lock && mtu.is_some() {
            // What is fixed is not learned (ip_rt_update_pmtu), and DF is not set (ip_dont_fragment).
            (way.mtu, way.mtu_locked) = (mtu.unwrap_or(way.mtu), true);
        }
        Ok(way)
    }

    /// Completes a route with what was learned about the destination.
    #[allow(clippy::too_many_arguments, reason = "the parts of the route it completes")]
    fn way(
        &self,
        ns: NsId,
        dev: DevId,
        next_hop: IpAddr,
        src: IpAddr,
        dst: IpAddr,
        kind: RouteType,
        mtu: Option<u32>,
    ) -> RouteOut {
        let mut r =
            RouteOut { dev, next_hop, src, mtu: mtu.unwrap_or(self.dev(dev).mtu), mtu_locked: false, kind, advmss: 0 };
        if kind == RouteType::Unicast
            && let Some(e) =
                self.ns(ns).exceptions.as_ref().and_then(|x| x.get_for(self.core.now, dst, (dev, next_hop)))
        {
            r.next_hop = e.gateway.unwrap_or(r.next_hop);
            if let Some(mtu) = e.mtu.filter(|m| *m < r.mtu) {
                (r.mtu, r.mtu_locked) = (mtu, e.locked);
            }
        }
        r
    }

    /// The source address a device offers towards a next hop on its link.
    pub(crate) fn select_source(&self, dev: DevId, towards: IpAddr) -> Option<IpAddr> {
        match towards {
            IpAddr::V6(dst) => self.select_source6(dev, dst).map(IpAddr::V6),
            IpAddr::V4(_) => self.select_source4(dev, Some(towards), Scope::Link),
        }
    }

    /// The source address a device offers within `scope` (inet_select_addr): the first primary address whose subnet
    /// contains `towards`, else the device's first, else the first of another device that is not of scope link.
    fn select_source4(&self, dev: DevId, towards: Option<IpAddr>, scope: Scope) -> Option<IpAddr> {
        let primary = |d: DevId| self.dev(d).addrs.iter().filter(|a| a.prefix.is_ipv4() && !a.secondary);
        let narrowest = if self.conf_or(dev, Conf::RouteLocalnet) { Scope::Link } else { Scope::Host };
        let mut fitting = primary(dev).filter(|a| a.scope.min(narrowest) <= scope);
        let near = |a: &&IfAddr| towards.is_none_or(|t| a.subnet().contains(t));
        if let Some(a) = fitting.clone().find(near).or_else(|| fitting.next()) {
            return Some(a.prefix.addr());
        }
        let ns = self.dev(dev).ns;
        let mut others = self.ns(ns).devices.iter().flat_map(|d| primary(*d));
        others.find(|a| a.scope != Scope::Link && a.scope <= scope).map(|a| a.prefix.addr())
    }

    /// Whether `dev` belongs to a group (ip_check_mc_rcu): all hosts (224.0.0.1) is joined everywhere, other groups need
    /// a member socket.
    pub(crate) fn in_group4(&self, ns: NsId, dev: DevId, group: Ipv4Addr) -> bool {
        let joined = |s: &crate::socket::Sockets| s.is_member(IpAddr::V4(group), dev);
        group == Ipv4Addr::new(224, 0, 0, 1) || self.ns(ns).sockets.as_deref().is_some_and(joined)
    }

    /// Decides about a packet that came in by `dev` (ip_route_input_noref): from the cache, or anew.
    #[inline]
    pub(crate) fn input_route_cached(&mut self, ns: NsId, key: InputKey, l4: FlowDetail) -> Result<InputRoute, NoWay> {
        let stamp = self.stamp(ns);
        // Memberships come and go with sockets and addresses, which no stamp knows.
        let cached = l4 == FlowDetail::default() && !key.dst.is_multicast();
        if cached && let Some(decision) = self.ns(ns).route_cache.as_ref().and_then(|c| c.get(&key, stamp)) {
            return decision;
        }
        let InputKey { dev, src, dst, mark, tos } = key;
        let decision = self.input_route_hashed(ns, dev, src, dst, tos, mark, l4);
        if cached {
            self.ns_mut(ns).route_cache.get_or_insert_default().put(key, stamp, decision);
        }
        decision
    }

    /// Decides about a packet that came in by `dev` (ip_route_input_slow).
    pub(crate) fn input_route(
        &self,
        ns: NsId,
        dev: DevId,
        src: IpAddr,
        dst: IpAddr,
        tos: u8,
        mark: u32,
    ) -> Result<InputRoute, NoWay> {
        self.input_route_hashed(ns, dev, src, dst, tos, mark, FlowDetail::default())
    }

    #[allow(clippy::too_many_arguments)] // the fields of the kernel's flow key
    pub(crate) fn input_route_hashed(
        &self,
        ns: NsId,
        dev: DevId,
        src: IpAddr,
        dst: IpAddr,
        tos: u8,
        mark: u32,
        l4: FlowDetail,
    ) -> Result<InputRoute, NoWay> {
        if let (IpAddr::V6(s), IpAddr::V6(t)) = (src, dst) {
            return self.input_route6(ns, dev, s, t, (tos, mark, l4));
        }
        let n = self.ns(ns);
        let d = self.dev(dev);
        let here = |kind| InputRoute { kind, out: dev, next_hop: dst, forward: false, mtu: 0, redirect: false };
        if let (IpAddr::V4(s), IpAddr::V4(t)) = (src, dst) {
            if s.is_multicast() || s.is_broadcast() {
                return Err(silent(DropReason::IpInvalidSource));
            }
            if t.is_broadcast() || (s.is_unspecified() && t.is_unspecified()) {
                if !s.is_unspecified() {
                    // brd_input: a broadcast is not believed to come from ourselves either.
                    self.validate_source(ns, dev, (src, IpAddr::V4(Ipv4Addr::UNSPECIFIED), tos, mark), None)?;
                }
                return Ok(here(RouteType::Broadcast));
            }
            if s.is_unspecified() {
                return Err(silent(DropReason::IpInvalidSource));
            }
            if t.is_unspecified() {
                return Err(silent(DropReason::IpInvalidDest));
            }
            if (t.is_loopback() || s.is_loopback()) && !d.is_loopback() && !self.conf_or(dev, Conf::RouteLocalnet) {
                return Err(silent(DropReason::IpLocalNet));
            }
            if t.is_multicast() {
                return if self.in_group4(ns, dev, t) {
                    Ok(here(RouteType::Multicast))
                } else {
                    Err(silent(DropReason::IpInvalidDest))
                };
            }
        }
        let v4 = dst.is_ipv4();
        let flow = (src, dst, tos, mark);
        let (hash, proto, ports) = l4;
        let key = FlowKey { src: Some(src), dst, iif: Some(dev), oif: None, mark, tos, proto, ports, hash };
        let forwards = d.forwards(v4);
        let refused = |error, reason| {
            // Without forwarding every failure is a silent "not for me" (ip_error).
            if forwards { Err(NoWay { reason, error }) } else { Err(silent(DropReason::IpInAddrErrors)) }
        };
        let found = match n.fib.lookup(&key, self.ignore_linkdown(ns)) {
            Ok(f) => f,
            Err(LookupError::Unreachable) => return refused(Some((3, 1)), DropReason::RouteUnreachable),
            Err(LookupError::Prohibit) => return refused(Some((3, 13)), DropReason::RouteProhibit),
            Err(LookupError::Blackhole) => return refused(None, DropReason::RouteBlackhole),
            Err(_) => return refused(Some((3, 0)), DropReason::IpInNoRoutes),
        };
        let kind = found.route.kind;
        match kind {
            RouteType::Broadcast if !self.conf_and(dev, Conf::BcForwarding) => {
                self.validate_source(ns, dev, flow, None)?;
                return Ok(here(kind));
            }
            RouteType::Local => {
                self.validate_source(ns, dev, flow, None)?;
                return Ok(here(kind));
            }
            RouteType::Unicast | RouteType::Broadcast => {}
            _ => return Err(silent(DropReason::IpInvalidDest)),
        }
        if !forwards {
            return Err(silent(DropReason::IpInAddrErrors));
        }
        let out = found.hop.dev.expect("unicast routes have a device");
        let on_link = self.validate_source(ns, dev, flow, Some(out))?;
        let via = found.hop.via;
        let redirect = out == dev
            && on_link
            && self.conf_or(dev, Conf::SendRedirects)
            && (self.conf_or(dev, Conf::SharedMedia) || self.same_subnet(dev, src, via.unwrap_or(dst)));
        let mtu = found.route.path_mtu().unwrap_or(0);
        Ok(InputRoute { kind, out, next_hop: via.unwrap_or(dst), forward: true, mtu, redirect })
    }

    /// Reverse path check (fib_validate_source, RFC 3704). Returns whether the source is on the link of `dev`.
    fn validate_source(
        &self,
        ns: NsId,
        dev: DevId,
        (src, dst, tos, mark): (IpAddr, IpAddr, u8, u32),
        out: Option<DevId>,
    ) -> Result<bool, NoWay> {
        if self.dev(dev).is_loopback() {
            return Ok(false);
        }
        let mode = if mutated(Mutant::AcceptsAnySource) { 0 } else { self.conf_max(dev, Conf::RpFilter) };
        let accept_local = self.conf_or(dev, Conf::AcceptLocal);
        let redirects = out == Some(dev) && self.conf_or(dev, Conf::SendRedirects);
        let n = self.ns(ns);
        if mode == 0 && !redirects && (accept_local || !n.fib.has_own_rules()) {
            if !accept_local && self.owns_address(ns, src) {
                return Err(silent(DropReason::IpLocalSource));
            }
            return Ok(false);
        }
        // The way back: from the destination, as if it came in where the packet goes out.
        let mark = if self.conf_or(dev, Conf::SrcValidMark) { mark } else { 0 };
        let mut key = FlowKey { src: Some(dst), iif: out, mark, tos, ..FlowKey::to(src) };
        let filtered = || if mode > 0 { Err(silent(DropReason::IpRpFilter)) } else { Ok(false) };
        let ignore = self.ignore_linkdown(ns);
        let Ok(back) = n.fib.lookup(&key, ignore) else { return filtered() };
        match back.route.kind {
            RouteType::Unicast => {}
            RouteType::Local if accept_local => {}
            RouteType::Local => return Err(silent(DropReason::IpLocalSource)),
            _ => return Err(silent(DropReason::IpInvalidSource)),
        }
        if back.route.hops().iter().any(|h| h.dev == Some(dev)) {
            return Ok(back.hop.via.is_none() && back.route.scope >= Scope::Link);
        }
        if self.dev(dev).addrs.is_empty() || mode == 1 {
            return filtered();
        }
        key.oif = Some(dev);
        Ok(n.fib.lookup(&key, ignore).is_ok_and(|l| l.route.kind == RouteType::Unicast && l.hop.via.is_none()))
    }

    /// Whether two addresses lie in one subnet of `dev` (inet_addr_onlink).
    pub(crate) fn same_subnet(&self, dev: DevId, a: IpAddr, b: IpAddr) -> bool {
        self.dev(dev).addrs.iter().any(|x| x.subnet().contains(a) && x.subnet().contains(b))
    }

    /// The hash multipath routing uses (fib_multipath_hash): addresses, and with policy 1 ports too.
    pub(crate) fn flow_hash(&self, ns: NsId, src: IpAddr, dst: IpAddr, protocol: u8, sport: u16, dport: u16) -> u32 {
        if !self.ns(ns).fib.has_multipath() {
            return 0;
        }
        let l4 = self.ns(ns).knobs.get(Knob::MultipathHashPolicy) == 1 && matches!(protocol, proto::TCP | proto::UDP);
        let half = |a: IpAddr| match a {
            IpAddr::V4(a) => u32::from(a) as u64,
            IpAddr::V6(a) => (u128::from(a) ^ (u128::from(a) >> 64)) as u64,
        };
        let mut h = self.core.seed ^ half(src).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for word in [half(dst), if l4 { (sport as u64) << 24 | (dport as u64) << 8 | protocol as u64 } else { 0 }] {
            h = (h ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            h ^= h >> 31;
        }
        (h >> 33) as u32
    }

    /// `all` or the device has it on.
    pub(crate) fn conf_or(&self, dev: DevId, k: Conf) -> bool {
        let d = self.dev(dev);
        d.conf.on(k) || self.ns(d.ns).conf_all.on(k)
    }

    /// `all` and the device have it on.
    pub(crate) fn conf_and(&self, dev: DevId, k: Conf) -> bool {
        let d = self.dev(dev);
        d.conf.on(k) && self.ns(d.ns).conf_all.on(k)
    }

    /// The larger of `all` and the device.
    pub(crate) fn conf_max(&self, dev: DevId, k: Conf) -> i32 {
        let d = self.dev(dev);
        d.conf.get(k).max(self.ns(d.ns).conf_all.get(k))
    }
}

fn unspecified(v4: bool) -> IpAddr {
    if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) }
}
