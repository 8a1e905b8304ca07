//! A packet arrives (ip_rcv, ip_rcv_finish).

use crate::{
    base::{DevId, NsId},
    kernel::{
        InputRoute, Kernel,
        mib::Mib,
        route_cache::{InputKey, NoWay},
    },
    route::RouteType,
    trace::{DropReason, Event, HookPoint, RouteUse},
    wire::{Frame, IpHeader, PacketType},
};

/// The counters of the values of the ECN field (RFC 3168 §5).
const ECN: [Mib; 4] = [Mib::IpExtInNoECTPkts, Mib::IpExtInECT1Pkts, Mib::IpExtInECT0Pkts, Mib::IpExtInCEPkts];

impl Kernel {
    /// An IP packet arrives at `dev`; `frame` starts at its IP header.
    pub(crate) fn ip_input(&mut self, ns: NsId, dev: DevId, mut frame: Frame) {
        let ipv4 = frame.data().first().is_some_and(|b| b >> 4 == 4);
        if !ipv4 && !self.dev(dev).has_ipv6() {
            return self.core.drop(ns, Some(dev), frame, DropReason::Ipv6Disabled);
        }
        let mib = &mut self.ns_mut(ns).mib;
        mib.count(ipv4, Mib::IpInReceives);
        if ipv4 {
            mib.add(Mib::IpExtInOctets, frame.len() as u64);
        }
        let mut ip = match IpHeader::parse(frame.data()) {
            Ok(ip) => ip,
            Err(reason) => {
                self.ns_mut(ns).mib.count(ipv4, Mib::IpInHdrErrors);
                if ipv4 && reason == DropReason::IpCsum {
                    self.ns_mut(ns).mib.inc(Mib::IpExtInCsumErrors);
                }
                return self.core.drop(ns, Some(dev), frame, reason);
            }
        };
        frame.truncate(ip.total_len); // link-layer padding
        if ipv4 {
            self.ns_mut(ns).mib.inc(ECN[ip.tos as usize & 3]);
        }
        let frame = match ipv4 {
            true => frame,
            false => match self.check_arrival6(ns, dev, &ip, frame) {
                Some(frame) => frame,
                None => return,
            },
        };
        // Conntrack needs whole packets: it reassembles before every hook (nf_defrag_ipv4).
        if ip.is_fragment() && self.tracks(ns, ip.is_ipv4()) {
            if let Some((mut ip, frame)) = self.reassemble(ns, Some(dev), ip, frame) {
                self.ip_prerouting(ns, dev, &mut ip, frame);
            }
        } else {
            self.ip_prerouting(ns, dev, &mut ip, frame);
        }
    }

    /// A copy of a broadcast or multicast of this namespace's own arrives by the device it left by. It keeps its route: it
    /// is not asked where it comes from (dev_loopback_xmit).
    pub(super) fn ip_input_own(&mut self, ns: NsId, dev: DevId, mut ip: IpHeader, frame: Frame, kind: RouteType) {
        let mib = &mut self.ns_mut(ns).mib;
        mib.inc(Mib::IpInReceives);
        mib.add(Mib::IpExtInOctets, frame.len() as u64);
        mib.inc(ECN[ip.tos as usize & 3]);
        let hook = self.run_hook(ns, HookPoint::Prerouting, Some(dev), None, None, &mut ip, frame);
        let Some((frame, _)) = hook else { return };
        self.count_arrival(ns, kind, &ip);
        self.ip_local_deliver(ns, dev, ip, frame, kind);
    }

    fn count_arrival(&mut self, ns: NsId, kind: RouteType, ip: &IpHeader) {
        let counters =
            [[Mib::IpExtInMcastPkts, Mib::IpExtInMcastOctets], [Mib::IpExtInBcastPkts, Mib::IpExtInBcastOctets]];
        self.count_many(ns, kind, ip.total_len, counters);
    }

    fn ip_prerouting(&mut self, ns: NsId, dev: DevId, ip: &mut IpHeader, frame: Frame) {
        let before = ip.dst;
        let Some((frame, _)) = self.run_hook(ns, HookPoint::Prerouting, Some(dev), None, None, ip, frame) else {
            return;
        };
        let translated = before != ip.dst;
        self.ip_input_routed(ns, dev, ip, frame, translated);
    }

    fn ip_input_routed(&mut self, ns: NsId, dev: DevId, ip: &mut IpHeader, frame: Frame, translated: bool) {
        let fib = &self.ns(ns).fib;
        let detail = if fib.has_multipath() || fib.sees_ports(ip.is_ipv4()) {
            let t = crate::wire::ports::tuple(ip, ip.payload(frame.data()));
            let hash = self.flow_hash(ns, t.src, t.dst, t.proto, t.sport, t.dport);
            (hash, t.proto, (t.sport, t.dport))
        } else {
            (0, 0, (0, 0))
        };
        let key = InputKey { dev, src: ip.src, dst: ip.dst, mark: frame.meta().mark, tos: ip.tos };
        let way = match self.input_route_cached(ns, key, detail) {
            Ok(way) => way,
            // A packet that is merely not for us has its options read before it is refused (ip_rcv_finish).
            Err(no) if no.error.is_some() || no.reason == DropReason::IpInAddrErrors => {
                let nowhere = InputRoute::nowhere(dev, ip.dst);
                let Some((_, frame)) = self.ip_options(ns, dev, ip, frame, nowhere) else { return };
                return self.no_way(ns, dev, ip, frame, no);
            }
            Err(no) => return self.no_way(ns, dev, ip, frame, no),
        };
        if ip.is_ipv4() {
            self.count_arrival(ns, way.kind, ip);
        }
        let Some((way, frame)) = self.ip_options(ns, dev, ip, frame, way) else { return };
        if !way.forward {
            let event = Event::Route { purpose: RouteUse::Input, dst: ip.dst, via: None, out: dev };
            self.core.emit(ns, Some(dev), Some(frame.id()), event);
            self.ip_local_deliver(ns, dev, *ip, frame, way.kind);
        } else if frame.meta().packet_type != PacketType::Host {
            // A unicast packet inside a link-layer broadcast is delivered, never forwarded (ip_forward).
            self.core.drop(ns, Some(dev), frame, DropReason::UnicastInL2Multicast);
        } else {
            self.ip_forward(ns, dev, ip, frame, way, translated);
        }
    }

    /// Counts a packet to a group or to everybody, and its octets.
    pub(super) fn count_many(&mut self, ns: NsId, kind: RouteType, len: usize, [group, all]: [[Mib; 2]; 2]) {
        let [packets, octets] = match kind {
            RouteType::Multicast => group,
            RouteType::Broadcast => all,
            _ => return,
        };
        let mib = &mut self.ns_mut(ns).mib;
        mib.inc(packets);
        mib.add(octets, len as u64);
    }

    /// There is no way on: an ICMP error if the namespace is a router, and the drop (ip_error).
    fn no_way(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame, no: NoWay) {
        let mib = &mut self.ns_mut(ns).mib;
        match no.reason {
            DropReason::IpInAddrErrors => mib.count(ip.is_ipv4(), Mib::IpInAddrErrors),
            DropReason::IpInNoRoutes => mib.count(ip.is_ipv4(), Mib::IpExtInNoRoutes),
            _ => {}
        }
        if let Some((kind, code)) = no.error
            && (!ip.is_ipv4() || self.allow_route_error(ns, ip.src))
        {
            self.icmp_error(ns, Some(dev), ip, &frame, kind, code, 0);
        }
        self.core.drop(ns, Some(dev), frame, no.reason);
    }
}
