//! Choosing a way for IPv6 packets (net/ipv6/route.c, ip6_dst_lookup_tail in ip6_output.c).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, Errno, NsId},
    kernel::{InputRoute, Kernel, route_cache::NoWay, sysctl::Conf},
    route::{FlowKey, LookupError, RouteType},
    trace::DropReason,
    wire::icmp::v6,
};
use std::net::{IpAddr, Ipv6Addr};

/// Code of "no route to destination" (RFC 4443 §3.1).
const NO_ROUTE: u8 = 0;
/// Code of "administratively prohibited".
const PROHIBITED: u8 = 1;

/// Addresses that mean something else on every link (rt6_need_strict).
pub(super) fn needs_device(a: Ipv6Addr) -> bool {
    a.is_multicast() || a.is_unicast_link_local() || a.is_loopback()
}

impl Kernel {
    /// Chooses the way of an IPv6 packet sent in `ns`.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` without any address to send from, else as for IPv4. A socket bound to a device reaches nothing
    /// without a route.
    pub(super) fn route_output6(&self, ns: NsId, req: &OutRequest) -> Result<RouteOut, Errno> {
        let IpAddr::V6(dst) = req.dst else { return Err(Errno::EAFNOSUPPORT) };
        let dst = match (dst.is_unspecified(), req.src) {
            (false, _) => dst,
            (true, Some(IpAddr::V6(own))) => own,
            (true, _) => Ipv6Addr::LOCALHOST,
        };
        let n = self.ns(ns);
        let to = IpAddr::V6(dst);
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let hash = self.flow_hash(ns, req.src.unwrap_or(any), to, req.proto, req.sport, req.dport);
        // What is local is reached by `lo`, whichever device it is an address of.
        let oif = req.oif.filter(|d| *d != n.lo);
        let (proto, ports) = (req.proto, (req.sport, req.dport));
        let (mark, tos) = (req.mark, req.tos);
        let key = FlowKey { src: req.src, dst: to, iif: None, oif, mark, tos, proto, ports, hash };
        let found = match n.fib.lookup(&key, self.ignores_linkdown6(ns)) {
            Ok(found) => found,
            Err(e) => {
                // The source is chosen before the route is found wanting.
                if req.src.is_none() && self.any_source6(ns, req.oif, dst).is_none() {
                    return Err(Errno::EADDRNOTAVAIL);
                }
                return Err(match e {
                    LookupError::Unreachable => Errno::EHOSTUNREACH,
                    LookupError::Prohibit => Errno::EACCES,
                    LookupError::Blackhole => Errno::EINVAL,
                    _ => Errno::ENETUNREACH,
                });
            }
        };
        let dev = found.hop.dev.ok_or(Errno::ENETUNREACH)?;
        let prefsrc = || match found.route.src {
            Some(IpAddr::V6(src)) => Some(src),
            _ => self.select_source6(dev, dst),
        };
        let src = match req.src {
            Some(src) => src,
            None => IpAddr::V6(prefsrc().ok_or(Errno::EADDRNOTAVAIL)?),
        };
        let (kind, out) = match found.route.kind {
            RouteType::Local | RouteType::Anycast => (RouteType::Local, n.lo),
            _ if dst.is_multicast() => (RouteType::Multicast, dev),
            kind => (kind, dev),
        };
        let next_hop = if kind == RouteType::Unicast { found.hop.via.unwrap_or(to) } else { to };
        let mtu = found.route.path_mtu().unwrap_or(self.dev(out).mtu6());
        let mut way = RouteOut { dev: out, next_hop, src, mtu, mtu_locked: false, kind, advmss: 0 };
        if kind == RouteType::Unicast
            && let Some(e) = n.exceptions.as_ref().and_then(|x| x.get(self.core.now, to))
        {
            way.next_hop = e.gateway.unwrap_or(next_hop);
            way.mtu = e.mtu.map_or(mtu, |m| m.min(mtu));
        }
        Ok(way)
    }

    /// The way of an answer that should leave by the device the question came in by, if there are several as good
    /// (rt6_select with an `oif` that is only a wish).
    pub(super) fn route_back6(&self, ns: NsId, req: &OutRequest, dev: DevId) -> Result<RouteOut, Errno> {
        let IpAddr::V6(dst) = req.dst else { return Err(Errno::EAFNOSUPPORT) };
        let by_dev = OutRequest { oif: Some(dev), ..*req };
        if needs_device(dst) {
            return self.route_output6(ns, &by_dev);
        }
        let rank = |oif| {
            let key = FlowKey { src: req.src, oif, mark: req.mark, tos: req.tos, ..FlowKey::to(req.dst) };
            let found = self.ns(ns).fib.lookup(&key, self.ignores_linkdown6(ns)).ok()?;
            Some((found.table, found.route.dst.len(), found.route.metric))
        };
        let best = rank(None);
        if best.is_some() && rank(Some(dev)) == best {
            self.route_output6(ns, &by_dev)
        } else {
            self.route_output6(ns, req)
        }
    }

    /// Whether the route to `dst` names a source address (icmpv6_rt_has_prefsrc).
    pub(super) fn has_prefsrc6(&self, ns: NsId, dst: IpAddr) -> bool {
        let found = self.ns(ns).fib.lookup(&FlowKey::to(dst), false);
        found.is_ok_and(|f| f.route.src.is_some())
    }

    pub(super) fn ignores_linkdown6(&self, ns: NsId) -> bool {
        self.ns(ns).conf_all.on(Conf::IgnoreRoutesWithLinkdown6)
    }

    /// Decides about an IPv6 packet that came in by `dev` (ip6_route_input). A host without forwarding reports a missing
    /// route too, but swallows what it has a route for.
    pub(super) fn input_route6(
        &self,
        ns: NsId,
        dev: DevId,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        (tos, mark, l4): (u8, u32, super::route::FlowDetail),
    ) -> Result<InputRoute, NoWay> {
        let here = |kind| InputRoute { kind, out: dev, next_hop: dst.into(), forward: false, mtu: 0, redirect: false };
        if dst.is_multicast() {
            let member = self.in_group6(dev, dst);
            let silent = NoWay { reason: DropReason::IpInvalidDest, error: None };
            return if member { Ok(here(RouteType::Multicast)) } else { Err(silent) };
        }
        // `lo` receives for the addresses of all devices.
        let strict = needs_device(dst) && !self.dev(dev).is_loopback();
        let (from, to) = (IpAddr::V6(src), IpAddr::V6(dst));
        let oif = strict.then_some(dev);
        let (hash, proto, ports) = l4;
        let key = FlowKey { src: Some(from), dst: to, iif: Some(dev), oif, mark, tos, proto, ports, hash };
        let refused = |reason, code: Option<u8>| NoWay { reason, error: code.map(|c| (v6::UNREACHABLE, c)) };
        let found = self.ns(ns).fib.lookup(&key, self.ignores_linkdown6(ns)).map_err(|e| match e {
            LookupError::Unreachable => refused(DropReason::RouteUnreachable, Some(NO_ROUTE)),
            LookupError::Prohibit => refused(DropReason::RouteProhibit, Some(PROHIBITED)),
            LookupError::Blackhole => refused(DropReason::RouteBlackhole, None),
            _ => refused(DropReason::IpInNoRoutes, Some(NO_ROUTE)),
        })?;
        match found.route.kind {
            RouteType::Local | RouteType::Anycast => return Ok(here(RouteType::Local)),
            RouteType::Unicast => {}
            _ => return Err(refused(DropReason::IpInvalidDest, None)),
        }
        if !self.ns(ns).conf_all.on(Conf::Forwarding6) {
            return Err(refused(DropReason::IpInAddrErrors, None));
        }
        let out = found.hop.dev.expect("unicast routes have a device");
        let next_hop = found.hop.via.unwrap_or(to);
        // Sent on by the device it came in by: its sender could reach the next hop directly (ip6_forward).
        let redirect = out == dev;
        Ok(InputRoute { kind: RouteType::Unicast, out, next_hop, forward: true, mtu: 0, redirect })
    }
}
