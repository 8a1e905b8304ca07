//! Neighbour discovery (RFC 4861 §7; net/ipv6/ndisc.c): who has an address on a link, asked and answered.

use crate::{
    base::{DevId, Mac, NsId},
    kernel::{AddrState, Kernel, solicited_node, sysctl::Conf},
    neigh::{Heard, Learned},
    route::RouteType,
    trace::{Delivery, DropReason},
    wire::{
        Frame, IpHeader, PacketType,
        icmp::v6,
        nd::{HOP_LIMIT, Message, OVERRIDE, ROUTER, SOLICITED},
    },
};
use std::net::{IpAddr, Ipv6Addr};

/// All nodes of a link, `ff02::1`.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of a link, `ff02::2`.
pub(super) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

impl Kernel {
    /// A message of types 133 to 137 arrives (ndisc_rcv).
    pub(crate) fn nd_input(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame) {
        let body = ip.payload(frame.data());
        let believed = ip.ttl == HOP_LIMIT && body.get(1) == Some(&0);
        let message = Message::parse(body).filter(|_| believed);
        let (Some(m), IpAddr::V6(src), IpAddr::V6(dst)) = (message, ip.src, ip.dst) else {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        };
        match m.kind {
            v6::NEIGHBOUR_SOLICIT => self.nd_solicited(ns, dev, &m, (src, dst), frame, false),
            v6::NEIGHBOUR_ADVERT => self.nd_advertised(ns, dev, &m, dst, frame),
            v6::ROUTER_SOLICIT => self.router_solicited(ns, dev, &m, src, frame),
            v6::ROUTER_ADVERT => self.router_advertised(ns, dev, &m, src, frame),
            _ => self.redirected6(ns, dev, &m, src, frame),
        }
    }

    /// A proxy or anycast answer that was delayed is due (pndisc_redo).
    pub(super) fn nd_redo(&mut self, ns: NsId, dev: DevId, frame: Frame) {
        let Ok(ip) = IpHeader::parse(frame.data()) else {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        };
        match (Message::parse(ip.payload(frame.data())), ip.src, ip.dst) {
            (Some(m), IpAddr::V6(src), IpAddr::V6(dst)) => self.nd_solicited(ns, dev, &m, (src, dst), frame, true),
            _ => self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored),
        }
    }

    /// Somebody asks for an address (ndisc_recv_ns). Only those of the receiving device count: unlike ARP, neighbour
    /// discovery knows the strong host model.
    fn nd_solicited(
        &mut self,
        ns: NsId,
        dev: DevId,
        m: &Message,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        frame: Frame,
        redo: bool,
    ) {
        let dad = src.is_unspecified();
        let to_group = dst.is_multicast();
        let probe_ok = dst == solicited_node(m.target) && m.source.is_none();
        if m.target.is_multicast() || (dad && !probe_ok) {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        }
        let own = self.address6_state(dev, m.target);
        match own {
            Some(AddrState::Tentative | AddrState::Duplicate) => {
                // An address being checked is not answered for; a probe by another host for it decides the check.
                if dad && !self.is_own_probe(ns, dev, m) {
                    self.dad_failed(dev, m.target);
                    return self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
                }
                return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
            }
            Some(_) => {}
            None if !self.answers_for(ns, dev, m.target) => {
                return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
            }
            // RFC 4861 §7.2.7: of several that may answer each waits a random time.
            None if !redo && to_group && frame.meta().packet_type != PacketType::Host => {
                let params = self.dev(dev).conf.neighbour(false);
                if params.proxy_delay > 0 {
                    let now = self.core.now;
                    let mut actions = std::mem::take(&mut self.scratch.neigh);
                    let n = &mut self.nss[ns.index()];
                    // The message starts at its IP header again when it is looked at the second time.
                    n.neigh.proxy_delay(now, dev, frame, &params, &mut n.rng, &mut actions);
                    return self.neighbour_actions(ns, actions);
                }
            }
            None => {}
        }
        let addr = IpAddr::V6(m.target);
        let proxied = own.is_none() && self.ns(ns).neigh.proxy_has(dev, addr);
        // A proxy says of itself that it is no router, unless its entry says so (pndisc_is_router).
        let router = if self.dev(dev).forwards(false) && !proxied { ROUTER } else { 0 };
        let replaces = if own.is_some() { OVERRIDE } else { 0 };
        if dad {
            // Somebody probes for an address of ours: all are told whose it is.
            self.nd_advertise(dev, ALL_NODES, m.target, own.is_some(), router | replaces, true);
            return self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
        }
        let addr = IpAddr::V6(src);
        let how = Learned::Request;
        let heard = Heard { dev, addr, mac: m.source, owner: frame.meta().src_ns, how, create: m.source.is_some() };
        self.learn(ns, &heard);
        if self.ns(ns).neigh.get(self.core.now, dev, addr).is_some() || !to_group {
            let flags = router | SOLICITED | if to_group { replaces } else { 0 };
            self.nd_advertise(dev, src, m.target, own.is_some(), flags, to_group);
        }
        self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
    }

    /// Whether an address that is not ours is answered for: a subnet-router anycast address, or by proxy (pndisc_is_router).
    fn answers_for(&self, ns: NsId, dev: DevId, target: Ipv6Addr) -> bool {
        if !self.dev(dev).forwards(false) {
            return false;
        }
        let addr = IpAddr::V6(target);
        let anycast = self.ns(ns).fib.addr_kind(addr, Some(dev)) == RouteType::Anycast;
        anycast || (self.conf_or(dev, Conf::ProxyNdp) && self.ns(ns).neigh.proxy_has(dev, addr))
    }

    /// Sends a neighbour advertisement (ndisc_send_na).
    fn nd_advertise(&mut self, dev: DevId, to: Ipv6Addr, target: Ipv6Addr, own: bool, flags: u8, with_mac: bool) {
        let source = if own { Some(target) } else { self.select_source6(dev, to) };
        let Some(source) = source else { return };
        let mac = self.dev(dev).mac;
        let m = Message { target, flags, target_mac: with_mac.then_some(mac), ..Message::new(v6::NEIGHBOUR_ADVERT) };
        self.nd_send(dev, source, to, &m.write(&[]));
    }

    /// Somebody says who has an address (ndisc_recv_na, RFC 4861 §7.2.5).
    fn nd_advertised(&mut self, ns: NsId, dev: DevId, m: &Message, dst: Ipv6Addr, frame: Frame) {
        let solicited = m.flags & SOLICITED != 0;
        if m.target.is_multicast() || (dst.is_multicast() && solicited) {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        }
        let addr = IpAddr::V6(m.target);
        match self.address6_state(dev, m.target) {
            Some(AddrState::Tentative) => self.dad_failed(dev, m.target),
            // Somebody claims an address in use here: Linux logs that and keeps it.
            Some(_) => return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored),
            None if self.ns(ns).neigh.get(self.core.now, dev, addr).is_none() => {
                return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
            }
            None => {
                let (override_flag, router) = (m.flags & OVERRIDE != 0, m.flags & ROUTER != 0);
                let how = Learned::Advert { solicited, override_flag, router };
                let owner = frame.meta().src_ns;
                self.learn(ns, &Heard { dev, addr, mac: m.target_mac, owner, how, create: false });
            }
        }
        self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
    }

    /// Asks who has `target`: its group, or with `unicast` just the station believed to have it (ndisc_solicit). The
    /// source is that of the waiting packet if it is an address of this device, else the link-local address; so routers
    /// ask with the latter for what they forward (case ipv6-router).
    pub(super) fn nd_solicit(&mut self, dev: DevId, target: Ipv6Addr, unicast: bool, source: Option<IpAddr>) {
        let d = self.dev(dev);
        let of_packet = match source {
            Some(IpAddr::V6(s)) => d.addrs6().find(|(ip, a)| *ip == s && a.is_usable()).map(|(ip, _)| ip),
            _ => None,
        };
        let Some(source) = of_packet.or_else(|| d.link_local()) else { return };
        let mac = d.mac;
        let m = Message { target, source: Some(mac), ..Message::new(v6::NEIGHBOUR_SOLICIT) };
        let to = if unicast { target } else { solicited_node(target) };
        self.nd_send(dev, source, to, &m.write(&[]));
    }

    /// Takes note of a station that sent its link-layer address along.
    pub(super) fn nd_learn(
        &mut self,
        ns: NsId,
        dev: DevId,
        addr: Ipv6Addr,
        mac: Option<Mac>,
        how: Learned,
        frame: &Frame,
    ) {
        let owner = frame.meta().src_ns;
        self.learn(ns, &Heard { dev, addr: IpAddr::V6(addr), mac, owner, how, create: true });
    }
}
