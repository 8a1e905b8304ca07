//! Router solicitations and advertisements (RFC 4861 §6, RFC 4862 §5.5; ndisc_router_discovery and
//! addrconf_prefix_rcv): how hosts find their addresses and default routers.

use super::nd::ALL_NODES;
use crate::{
    base::{DevId, NsId, Prefix, SEC, Time},
    kernel::{
        AddrState, IfAddr, Ipv6Timer, Kernel, MIN_MTU6, Work,
        ipv6::{FOREVER, Learned, Lifetime, MAX_LEARNED},
        sysctl::Conf,
        with_interface_id,
    },
    neigh,
    route::{AddMode, NextHop, Protocol, Route, RouteType},
    trace::{Delivery, DropReason},
    wire::{
        Frame,
        icmp::v6,
        nd::{Message, PrefixInfo},
    },
};
use std::net::{IpAddr, Ipv6Addr};

/// Between two of the initial advertisements (MAX_INITIAL_RTR_ADVERT_INTERVAL).
const INITIAL_INTERVAL: Time = 16 * SEC;
/// A solicitation is answered within this time (MAX_RA_DELAY_TIME).
const ANSWER_DELAY: Time = SEC / 2;
/// A shorter remaining lifetime cannot be imposed by an advertisement nobody authenticates (RFC 4862 §5.5.3 e).
const TWO_HOURS: Time = 7200 * SEC;
/// Metric of a default route from an advertisement (`ra_defrtr_metric`).
const DEFAULT_METRIC: u32 = 1024;
/// Metric of a connected route (`IP6_RT_PRIO_ADDRCONF`).
const PREFIX_METRIC: u32 = 256;

impl Kernel {
    /// A host asks for routers (ndisc_recv_rs).
    pub(super) fn router_solicited(&mut self, ns: NsId, dev: DevId, m: &Message, src: Ipv6Addr, frame: Frame) {
        let advertises = self.ns(ns).ipv6.as_ref().is_some_and(|s| s.advertising.iter().any(|a| a.dev == dev));
        if !self.dev(dev).forwards(false) && !advertises {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        }
        if !src.is_unspecified() {
            self.nd_learn(ns, dev, src, m.source, neigh::Learned::Request, &frame);
        }
        self.schedule_advert(dev, ANSWER_DELAY);
        self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
    }

    /// The time of an advertisement has come.
    pub(super) fn send_advert(&mut self, dev: DevId) {
        let (ns, now) = (self.dev(dev).ns, self.core.now);
        let (source, mac, running) = (self.dev(dev).link_local(), self.dev(dev).mac, self.dev(dev).is_running());
        let Some(state) = &mut self.nss[ns.index()].ipv6 else { return };
        let Some(a) = state.advertising.iter_mut().find(|a| a.dev == dev) else { return };
        if a.next != Some(now) {
            return; // another one was due before this
        }
        a.next = None;
        let Some(source) = source.filter(|_| running) else { return };
        a.initial = a.initial.saturating_sub(1);
        let wait = if a.initial > 0 { Some(INITIAL_INTERVAL) } else { a.advert.interval };
        if let Some(wait) = wait {
            let at = now + wait.max(SEC);
            a.next = Some(at);
            self.core.schedule(at, dev, Work::Ipv6(dev, Ipv6Timer::Advertise));
        }
        let seconds = |s: Option<u32>| s.unwrap_or(u32::MAX);
        let prefixes = a.advert.prefixes.iter().map(|p| PrefixInfo {
            prefix: p.prefix,
            on_link: p.on_link,
            autonomous: p.autonomous,
            valid: seconds(p.valid),
            preferred: seconds(p.preferred),
        });
        let m = Message {
            hop_limit: a.advert.hop_limit,
            router_lifetime: a.advert.router_lifetime,
            source: Some(mac),
            mtu: a.advert.mtu,
            prefixes: prefixes.collect(),
            ..Message::new(v6::ROUTER_ADVERT)
        };
        self.nd_send(dev, source, ALL_NODES, &m.write(&[]));
    }

    /// A router tells about the link (ndisc_router_discovery).
    pub(super) fn router_advertised(&mut self, ns: NsId, dev: DevId, m: &Message, src: Ipv6Addr, frame: Frame) {
        if !src.is_unicast_link_local() || !self.accepts_adverts(dev) {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        }
        self.stop_soliciting(dev);
        let how = neigh::Learned::Advert { solicited: false, override_flag: true, router: true };
        self.nd_learn(ns, dev, src, m.source, how, &frame);
        let conf = &mut self.dev_mut(dev).conf;
        if m.hop_limit > 0 {
            conf.set(Conf::HopLimit, m.hop_limit.into());
        }
        if let Some(mtu) = m.mtu.filter(|mtu| (MIN_MTU6..=65_536).contains(mtu)) {
            conf.set(Conf::Mtu6, mtu as i32);
        }
        let until = (m.router_lifetime > 0).then(|| self.core.now + m.router_lifetime as Time * SEC);
        self.set_lifetime(dev, Learned::Router(src), until);
        self.install_default_router(dev);
        for p in &m.prefixes {
            self.prefix_advertised(dev, p);
        }
        self.schedule_expiry(dev);
        self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
    }

    /// A prefix of the link (addrconf_prefix_rcv).
    fn prefix_advertised(&mut self, dev: DevId, p: &PrefixInfo) {
        let IpAddr::V6(network) = p.prefix.addr() else { return };
        if network.is_unicast_link_local() || p.preferred > p.valid {
            return;
        }
        let now = self.core.now;
        let end = |s: u32| if s == u32::MAX { FOREVER } else { now + s as Time * SEC };
        if p.on_link {
            let until = (p.valid > 0).then(|| end(p.valid));
            self.set_lifetime(dev, Learned::Prefix(p.prefix), until);
            self.set_prefix_route(dev, p.prefix, until.is_some());
        }
        if !p.autonomous || p.prefix.len() != 64 || !self.dev(dev).conf.on(Conf::Autoconf) {
            return;
        }
        let addr = with_interface_id(network, self.dev(dev).mac);
        let (ns, learned) = (self.dev(dev).ns, self.dev(dev).addrs6().filter(|(_, a)| a.dynamic).count());
        let dynamic = self.dev(dev).addrs6().find(|(ip, _)| *ip == addr).map(|(_, a)| a.dynamic);
        match dynamic {
            None if p.valid > 0 && learned < MAX_LEARNED => {
                let prefix = Prefix::new(addr.into(), 64).expect("64 is a prefix length");
                self.set_lifetime(dev, Learned::Address(addr, end(p.preferred)), Some(end(p.valid)));
                self.insert_address6(dev, IfAddr { dynamic: true, ..IfAddr::new(prefix, None) });
            }
            Some(true) => {
                let known = self.ns(ns).ipv6.as_ref().and_then(|s| s.lifetime(dev, addr)).map_or(now, |l| l.1);
                let valid = match end(p.valid) {
                    new if new > now + TWO_HOURS || new > known => new,
                    _ => known.min(now + TWO_HOURS),
                };
                self.set_lifetime(dev, Learned::Address(addr, end(p.preferred)), Some(valid));
            }
            // Configured by hand: not a router's to change.
            Some(false) | None => return,
        }
        let state = match self.address6_state(dev, addr) {
            Some(AddrState::Valid | AddrState::Deprecated) if p.preferred == 0 => AddrState::Deprecated,
            Some(AddrState::Deprecated) => AddrState::Valid,
            _ => return,
        };
        self.set_address6_state(dev, addr, state);
    }

    fn set_prefix_route(&mut self, dev: DevId, prefix: Prefix, on: bool) {
        let ns = self.dev(dev).ns;
        let own = self.dev(dev).addrs6().any(|(_, a)| a.subnet() == prefix);
        let fib = &mut self.ns_mut(ns).fib;
        if on {
            let hop = NextHop::dev(dev);
            let route = Route::new(prefix, RouteType::Unicast, hop).with_protocol(Protocol::Kernel);
            // The very same route may be there already, and stays.
            let _ = fib.add(route.with_metric(PREFIX_METRIC), AddMode::Append);
        } else if !own {
            fib.remove(|r| {
                let connected = r.kind == RouteType::Unicast && r.hops().iter().all(|h| h.via.is_none());
                connected && r.dst == prefix && r.protocol == Protocol::Kernel && r.uses(dev)
            });
        }
        self.routes_changed(ns);
    }

    /// Enters or changes the end of something learned; `None` forgets it.
    fn set_lifetime(&mut self, dev: DevId, what: Learned, until: Option<Time>) {
        let ns = self.dev(dev).ns;
        let list = &mut self.ns_mut(ns).ipv6.get_or_insert_default().lifetimes;
        let same = |l: &Lifetime| {
            l.dev == dev
                && match (l.what, what) {
                    (Learned::Address(a, _), Learned::Address(b, _)) => a == b,
                    (a, b) => a == b,
                }
        };
        match (list.iter().position(same), until) {
            (Some(at), Some(until)) => list[at] = Lifetime { dev, what, until },
            (Some(at), None) => drop(list.remove(at)),
            // Routers and prefixes count against the same bound as addresses.
            (None, Some(until)) if list.iter().filter(|l| l.dev == dev).count() < 3 * MAX_LEARNED => {
                list.push(Lifetime { dev, what, until });
            }
            (None, _) => {}
        }
    }

    /// The first router heard that has not expired is the one in use (RFC 4861 §6.3.6 leaves the choice open).
    fn install_default_router(&mut self, dev: DevId) {
        let ns = self.dev(dev).ns;
        let n = self.ns_mut(ns);
        let router = n.ipv6.as_ref().and_then(|s| {
            s.lifetimes.iter().find_map(|l| match l.what {
                Learned::Router(a) if l.dev == dev => Some(IpAddr::V6(a)),
                _ => None,
            })
        });
        let ours = |r: &Route| r.protocol == Protocol::Ra && r.dst == Prefix::ANY6 && r.uses(dev);
        n.fib.remove(|r| ours(r) && r.hops().iter().all(|h| h.via != router));
        if let Some(router) = router {
            let route = Route::new(Prefix::ANY6, RouteType::Unicast, NextHop::via(router, dev));
            // The very same route may be there already, and stays.
            let _ = n.fib.add(route.with_protocol(Protocol::Ra).with_metric(DEFAULT_METRIC), AddMode::Append);
        }
        self.routes_changed(ns);
    }

    /// Lifetimes on a device end (addrconf_verify, fib6_age).
    pub(super) fn expire6(&mut self, dev: DevId) {
        let (ns, now) = (self.dev(dev).ns, self.core.now);
        let Some(state) = &self.ns(ns).ipv6 else { return };
        let all: Vec<Lifetime> = state.lifetimes.iter().copied().filter(|l| l.dev == dev).collect();
        for l in all {
            match l.what {
                Learned::Address(addr, preferred) if l.until > now => {
                    if preferred <= now && self.address6_state(dev, addr) == Some(AddrState::Valid) {
                        self.set_address6_state(dev, addr, AddrState::Deprecated);
                    }
                }
                _ if l.until > now => {}
                Learned::Address(addr, _) => {
                    // It may have been deleted by hand.
                    let _ = self.delete_address6(dev, Prefix::host(addr.into()));
                    self.forget_address6(dev, addr.into());
                }
                Learned::Prefix(prefix) => {
                    self.set_lifetime(dev, l.what, None);
                    self.set_prefix_route(dev, prefix, false);
                }
                Learned::Router(_) => {
                    self.set_lifetime(dev, l.what, None);
                    self.install_default_router(dev);
                }
            }
        }
        self.schedule_expiry(dev);
    }

    fn schedule_expiry(&mut self, dev: DevId) {
        let (ns, now) = (self.dev(dev).ns, self.core.now);
        let Some(state) = &self.ns(ns).ipv6 else { return };
        let ends = state.lifetimes.iter().filter(|l| l.dev == dev).flat_map(|l| match l.what {
            Learned::Address(_, preferred) => [preferred, l.until],
            _ => [FOREVER, l.until],
        });
        if let Some(at) = ends.filter(|t| *t > now && *t != FOREVER).min() {
            self.core.schedule(at, dev, Work::Ipv6(dev, Ipv6Timer::Expire));
        }
    }
}
