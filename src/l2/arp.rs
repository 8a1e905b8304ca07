//! ARP (RFC 826, RFC 5227; arp_process in net/ipv4/arp.c).

use crate::{
    base::{DevId, Mac, NsId},
    kernel::{Kernel, sysctl::Conf},
    neigh::{Heard, Learned},
    route::RouteType,
    trace::{Delivery, DropReason, Origin},
    wire::{
        Frame, PacketType,
        arp::{self, Arp},
        eth,
    },
};
use std::net::{IpAddr, Ipv4Addr};

/// How an ARP message is answered.
enum Answer {
    No,
    Now,
    /// As a proxy, after a random delay.
    Later,
}

impl Kernel {
    /// An ARP message arrives.
    pub(crate) fn arp_input(&mut self, ns: NsId, dev: DevId, frame: Frame) {
        self.arp_process(ns, dev, frame, false);
    }

    /// `deferred`: a proxy waited with this request, and answers it now.
    fn arp_process(&mut self, ns: NsId, dev: DevId, frame: Frame, deferred: bool) {
        let Some(msg) = Arp::parse(frame.data()) else {
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        };
        let d = self.dev(dev);
        let known_op = msg.op == arp::REQUEST || msg.op == arp::REPLY;
        let senseless =
            msg.tpa.is_multicast() || (msg.tpa.is_loopback() && !self.conf_or(dev, Conf::RouteLocalnet)) || !d.arp;
        if !known_op || senseless {
            return self.core.drop(ns, Some(dev), frame, DropReason::ArpIgnored);
        }
        let owner = frame.meta().src_ns;
        let reply_to_us = msg.op == arp::REPLY && frame.meta().packet_type == PacketType::Host;
        let spa = IpAddr::V4(msg.spa);
        let heard = Heard { dev, addr: spa, mac: Some(msg.sha), owner, how: Learned::Request, create: true };
        // Duplicate address detection asks from 0.0.0.0 (RFC 5227 §2.1.1): answered, nothing learned.
        if msg.spa.is_unspecified() {
            if msg.op == arp::REQUEST && self.is_local(ns, msg.tpa.into()) && !self.arp_ignores(dev, &msg) {
                self.arp_reply(dev, &msg, owner);
                return self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
            }
            return self.core.drop(ns, Some(dev), frame, DropReason::ArpIgnored);
        }
        if msg.op == arp::REQUEST {
            match self.arp_answer(ns, dev, &msg) {
                Answer::No => {}
                Answer::Later if !deferred => {
                    // The asker will want to talk to us next, so its entry is made now (neigh_event_ns).
                    self.learn(ns, &heard);
                    let params = self.dev(dev).conf.neighbour(true);
                    let now = self.core.now;
                    let mut actions = std::mem::take(&mut self.scratch.neigh);
                    let n = &mut self.nss[ns.index()];
                    n.neigh.proxy_delay(now, dev, frame, &params, &mut n.rng, &mut actions);
                    return self.neighbour_actions(ns, actions);
                }
                _ => {
                    if !deferred {
                        self.learn(ns, &heard);
                    }
                    self.arp_reply(dev, &msg, owner);
                    return self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
                }
            }
        }
        // Everybody else updates what they know, and creates nothing unless arp_accept says so (arp_is_garp).
        let gratuitous = msg.spa == msg.tpa && (msg.op == arp::REQUEST || msg.tha == msg.sha);
        let accepts = match self.conf_max(dev, Conf::ArpAccept) {
            0 => false,
            1 => true,
            // Only senders of the device's own subnets.
            _ => self.dev(dev).addrs.iter().any(|a| a.subnet().contains(spa)),
        };
        // Own addresses are nobody's neighbours (RTN_UNICAST).
        let create = accepts && (gratuitous || msg.op == arp::REPLY) && !self.is_local(ns, spa);
        if !create && self.ns(ns).neigh.get(self.core.now, dev, spa).is_none() {
            return self.core.drop(ns, Some(dev), frame, DropReason::ArpIgnored);
        }
        self.learn(ns, &Heard { how: Learned::Arp { reply_to_us, gratuitous }, create, ..heard });
        self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
    }

    /// Whether and how a request is answered (the middle of arp_process).
    fn arp_answer(&mut self, ns: NsId, dev: DevId, msg: &Arp) -> Answer {
        let (src, dst) = (IpAddr::V4(msg.spa), IpAddr::V4(msg.tpa));
        let Ok(input) = self.input_route(ns, dev, src, dst, 0, 0) else { return Answer::No };
        if input.kind == RouteType::Local {
            let filtered = self.conf_or(dev, Conf::ArpFilter) && !self.routed_by(ns, dev, src);
            return if self.arp_ignores(dev, msg) || filtered { Answer::No } else { Answer::Now };
        }
        if input.kind != RouteType::Unicast || !self.dev(dev).forwards(true) {
            return Answer::No;
        }
        let by_entry = self.nss[ns.index()].neigh.proxy_has(dev, dst);
        let by_device = self.conf_or(dev, Conf::ProxyArp) && input.out != dev && self.media_differ(dev, input.out);
        let pvlan = self.conf_or(dev, Conf::ProxyArpPvlan) && input.out == dev;
        if !(by_entry || by_device || pvlan) || (by_entry && input.out == dev) {
            return Answer::No;
        }
        if by_device && !by_entry && self.dev(dev).conf.get(Conf::ProxyDelay) == 0 {
            Answer::Now
        } else {
            Answer::Later
        }
    }

    /// Whether two devices are attached to different media, as `medium_id` tells (arp_fwd_proxy).
    fn media_differ(&self, dev: DevId, out: DevId) -> bool {
        match (self.dev(dev).conf.get(Conf::MediumId), self.dev(out).conf.get(Conf::MediumId)) {
            (0, _) => true,
            (-1, _) | (_, -1) => false,
            (here, there) => here != there,
        }
    }

    /// `arp_ignore` (arp_ignore() in net/ipv4/arp.c).
    fn arp_ignores(&self, dev: DevId, msg: &Arp) -> bool {
        let addrs = &self.dev(dev).addrs;
        let here = |a: Ipv4Addr| addrs.iter().find(|x| x.prefix.addr() == IpAddr::V4(a));
        match self.conf_max(dev, Conf::ArpIgnore) {
            0 => false,
            1 => here(msg.tpa).is_none(),
            2 => here(msg.tpa).is_none_or(|x| !x.subnet().contains(msg.spa.into())),
            8 => true,
            _ => false,
        }
    }

    /// Tells the neighbour table what was heard, and does what follows.
    pub(crate) fn learn(&mut self, ns: NsId, heard: &Heard) {
        let now = self.core.now;
        let params = self.dev(heard.dev).conf.neighbour(heard.addr.is_ipv4());
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let n = &mut self.nss[ns.index()];
        n.neigh.learn(now, heard, &params, &mut n.rng, &mut actions);
        self.neighbour_actions(ns, actions);
    }

    fn arp_send(&mut self, dev: DevId, msg: &Arp, to: Mac, owner: Option<NsId>) {
        let ns = self.dev(dev).ns;
        let mut frame = self.core.new_frame(ns, arp::LEN, Origin::Neighbour, None);
        msg.write(frame.data_mut());
        // A lost ARP message shows in the trace; the state machine asks again.
        let _ = self.send_to_station(dev, frame, to, owner, eth::ARP);
    }

    /// Asks who has `tpa`: everybody, or with `unicast` just the station believed to have it.
    pub(crate) fn arp_request(
        &mut self,
        dev: DevId,
        spa: Ipv4Addr,
        tpa: Ipv4Addr,
        unicast: Option<Mac>,
        owner: Option<NsId>,
    ) {
        let sha = self.dev(dev).mac;
        let msg = Arp { op: arp::REQUEST, sha, spa, tha: Mac::ZERO, tpa };
        let to = unicast.unwrap_or(Mac::BROADCAST);
        self.arp_send(dev, &msg, to, if unicast.is_some() { owner } else { None });
    }

    fn arp_reply(&mut self, dev: DevId, request: &Arp, owner: Option<NsId>) {
        let sha = self.dev(dev).mac;
        let msg = Arp { op: arp::REPLY, sha, spa: request.tpa, tha: request.sha, tpa: request.spa };
        self.arp_send(dev, &msg, request.sha, owner);
    }

    /// Proxy answers that were delayed are due: the requests are looked at again (parp_redo).
    pub(crate) fn proxy_arp_timer(&mut self, ns: NsId) {
        let now = self.core.now;
        while let Some((dev, frame)) = self.ns_mut(ns).neigh.proxy_due(now) {
            // ARP begins with its hardware type, whose first byte is 0; neighbour discovery with an IPv6 header.
            if frame.data().first().is_some_and(|b| b >> 4 == 6) {
                self.nd_redo(ns, dev, frame);
            } else {
                self.arp_process(ns, dev, frame, true);
            }
        }
    }

    /// Announces an address: a gratuitous request (arp_send in inetdev_send_gratuitous_arp).
    pub(crate) fn arp_announce(&mut self, dev: DevId, addr: Ipv4Addr) {
        let sha = self.dev(dev).mac;
        let msg = Arp { op: arp::REQUEST, sha, spa: addr, tha: Mac::ZERO, tpa: addr };
        self.arp_send(dev, &msg, Mac::BROADCAST, None);
    }
}
