//! IPv6 redirects (RFC 4861 §8; ndisc_send_redirect, rt6_do_redirect).

use super::OutRequest;
use crate::{
    base::{DevId, NsId, SEC, Time},
    kernel::{Kernel, MIN_MTU6, sysctl::Conf},
    neigh,
    route::RouteType,
    trace::{Delivery, DropReason},
    wire::{Frame, IpHeader, icmp::v6, ip::V6_HEADER, nd::Message},
};
use std::net::{IpAddr, Ipv6Addr};

/// One redirect a second to a destination, and to a sender.
const INTERVAL: Time = SEC;
/// Bytes of a redirect in front of what it quotes: fixed part, link-layer address option, option header.
const HEAD: usize = 40 + 8 + 8;

impl Kernel {
    /// Tells the sender of a packet that leaves by the device it came in by about its better first hop. A gateway is named
    /// only by its link-local address: with any other the host would not know it for the router it is.
    pub(super) fn send_redirect6(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: &Frame, next_hop: IpAddr) {
        let (IpAddr::V6(to), IpAddr::V6(dst), IpAddr::V6(target)) = (ip.src, ip.dst, next_hop) else { return };
        if target != dst && !target.is_unicast_link_local() {
            return;
        }
        let Some(source) = self.dev(dev).link_local() else { return };
        let oif = to.is_unicast_link_local().then_some(dev);
        let Ok(back) = self.route_output(ns, &OutRequest { oif, ..OutRequest::to(ip.src) }) else { return };
        if back.dev != dev || back.next_hop != ip.src || back.kind != RouteType::Unicast {
            return; // it is no neighbour
        }
        let now = self.core.now;
        let limits = self.ns_mut(ns).icmp_limits.get_or_insert_default();
        if !limits.allow_peer(now, ip.dst, INTERVAL) || !limits.allow_peer(now, ip.src, INTERVAL) {
            return;
        }
        let target_mac = self.ns(ns).neigh.get(now, dev, next_hop).and_then(|n| n.mac);
        let room = MIN_MTU6 as usize - V6_HEADER - HEAD;
        let quoted = &frame.data()[..frame.len().min(ip.total_len).min(room)];
        let m = Message { target, destination: dst, target_mac, ..Message::new(v6::REDIRECT) }.write(quoted);
        self.nd_send(dev, source, to, &m);
    }

    /// A router says there is a better first hop. It is believed if it is the gateway in use, which it can only prove if
    /// the route names its link-local address.
    pub(crate) fn redirected6(&mut self, ns: NsId, dev: DevId, m: &Message, src: Ipv6Addr, frame: Frame) {
        let on_link = m.target == m.destination;
        let well_formed = src.is_unicast_link_local()
            && !m.destination.is_multicast()
            && (on_link || m.target.is_unicast_link_local());
        let d = self.dev(dev);
        if !well_formed || d.forwards(false) || !d.conf.on(Conf::AcceptRedirects6) {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        }
        let dst = IpAddr::V6(m.destination);
        let current = self.route_output(ns, &OutRequest::to(dst));
        if !current.is_ok_and(|r| r.dev == dev && r.next_hop == IpAddr::V6(src)) {
            return self.core.drop(ns, Some(dev), frame, DropReason::NdIgnored);
        }
        let target = IpAddr::V6(m.target);
        let how = neigh::Learned::Advert { solicited: false, override_flag: true, router: !on_link };
        let heard = neigh::Heard { dev, addr: target, mac: m.target_mac, owner: None, how, create: true };
        self.learn(ns, &heard);
        let now = self.core.now;
        self.ns_mut(ns).exceptions.get_or_insert_default().set_gateway(now, dst, target, Time::MAX);
        self.core.deliver(ns, Some(dev), frame, Delivery::Neighbour);
    }
}
