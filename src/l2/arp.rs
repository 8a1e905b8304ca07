//! ARP (RFC 826, RFC 5227; arp_process in net/ipv4/arp.c).

use crate::{
    base::{DevId, MS, Mac, NsId, Time},
    kernel::{Kernel, Work, sysctl::Conf},
    neigh::Learned,
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
    /// An ARP message arrives; `src` is the sender of its Ethernet frame.
    pub(crate) fn arp_input(&mut self, ns: NsId, dev: DevId, frame: Frame, _src: Mac) {
        let Some(msg) = Arp::parse(frame.data()) else {
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        };
        let d = self.dev(dev);
        let known_op = msg.op == arp::REQUEST || msg.op == arp::REPLY;
        let senseless = msg.tpa.is_multicast()
            || (msg.tpa.is_loopback() && !self.conf_or(dev, Conf::RouteLocalnet))
            || msg.sha == d.mac
            || !d.arp;
        if !known_op || senseless {
            return self.core.drop(ns, Some(dev), frame, DropReason::ArpIgnored);
        }
        let owner = frame.meta().src_ns;
        let to_us = frame.meta().packet_type == PacketType::Host;
        let spa = IpAddr::V4(msg.spa);
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
                answer => {
                    // The asker will want to talk to us next, so its entry is made now (neigh_event_ns).
                    self.learn(ns, dev, spa, msg.sha, owner, Learned::Request, true);
                    match answer {
                        Answer::Now => self.arp_reply(dev, &msg, owner),
                        _ => self.arp_reply_later(dev, &msg, owner),
                    }
                    return self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
                }
            }
        }
        // Everybody else updates what they know, and creates nothing (unless arp_accept says so).
        let gratuitous = msg.spa == msg.tpa && (msg.op == arp::REQUEST || msg.tha == msg.sha);
        let create = gratuitous && self.conf_max(dev, Conf::ArpAccept) == 1 && self.routed_by(ns, dev, spa);
        let solicited = msg.op == arp::REPLY && to_us;
        let known = self.nss[ns.index()].neigh.knows(dev, spa);
        if !known && !create {
            return self.core.drop(ns, Some(dev), frame, DropReason::ArpIgnored);
        }
        self.learn(ns, dev, spa, msg.sha, owner, Learned::Update { solicited, gratuitous }, create);
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
        let by_entry = self.nss[ns.index()].neigh.is_proxy(dev, dst);
        let by_device = self.conf_or(dev, Conf::ProxyArp) && input.out != dev;
        let pvlan = self.conf_or(dev, Conf::ProxyArpPvlan) && input.out == dev;
        if !(by_entry || by_device || pvlan) || (by_entry && input.out == dev) {
            return Answer::No;
        }
        if by_device && !by_entry && self.dev(dev).conf.get(Conf::ProxyDelay) == 0 { Answer::Now } else { Answer::Later }
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

    fn learn(&mut self, ns: NsId, dev: DevId, addr: IpAddr, mac: Mac, owner: Option<NsId>, how: Learned, create: bool) {
        let now = self.core.now;
        let params = self.dev(dev).conf.neighbour();
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let n = &mut self.nss[ns.index()];
        n.neigh.learn(now, dev, addr, mac, owner, how, create, &params, &mut n.rng, &mut actions);
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

    /// A proxy answers after a random delay of up to `proxy_delay`, so that the owner, if there is one, is first
    /// (pneigh_enqueue; RFC 4861 §7.2.8 has the same idea).
    fn arp_reply_later(&mut self, dev: DevId, request: &Arp, owner: Option<NsId>) {
        let params = self.dev(dev).conf.neighbour();
        let ns = self.dev(dev).ns;
        let now = self.core.now;
        let n = &mut self.nss[ns.index()];
        // Whole jiffies of 4 ms, as the kernel this was measured on.
        let delay = n.rng.below(params.proxy_delay.max(1) / (4 * MS)) as Time * 4 * MS;
        let at = now + delay;
        if n.neigh.defer_proxy_reply(at, dev, *request, owner, params.proxy_qlen) {
            self.core.schedule(at, dev, Work::ProxyArp(dev));
        }
    }

    /// A delayed proxy reply is due.
    pub(crate) fn proxy_arp_timer(&mut self, dev: DevId) {
        let (ns, now) = (self.dev(dev).ns, self.core.now);
        while let Some((request, owner)) = self.nss[ns.index()].neigh.due_proxy_reply(now, dev) {
            self.arp_reply(dev, &request, owner);
        }
    }

    /// Announces an address: a gratuitous request (arp_send in inetdev_send_gratuitous_arp).
    pub(crate) fn arp_announce(&mut self, dev: DevId, addr: Ipv4Addr) {
        let sha = self.dev(dev).mac;
        let msg = Arp { op: arp::REQUEST, sha, spa: addr, tha: Mac::ZERO, tpa: addr };
        self.arp_send(dev, &msg, Mac::BROADCAST, None);
    }
}
