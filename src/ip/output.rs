//! A packet leaves (ip_local_out, ip_output, ip_finish_output).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, Errno, NsId, proto},
    kernel::{Kernel, mib::Mib},
    netfilter::Verdict,
    route::RouteType,
    trace::{DropReason, Event, HookPoint, Origin, RouteUse},
    wire::{
        Frame, IpHeader,
        icmp::{self, unreach},
        ports,
    },
};
use std::net::IpAddr;

impl Kernel {
    /// Sends a packet of this namespace's own along `route`. `frame` starts at its IP header, which is complete.
    ///
    /// # Errors
    /// What a sender sees at once: `EPERM` from a filter, `EMSGSIZE` for a packet that may not be fragmented,
    /// `ENOBUFS` from a full queue.
    pub fn ip_output(&mut self, ns: NsId, frame: Frame, route: &RouteOut) -> Result<(), Errno> {
        let sent = self.ip_local_out(ns, frame, route);
        if let Err((_, Some((ipv4, proto)))) = sent
            && proto != proto::TCP
        {
            self.ns_mut(ns).mib.count(ipv4, Mib::IpOutDiscards); // ip_send_skb; TCP goes another way
        }
        sent.map_err(|(e, _)| e)
    }

    /// Errors come with family and protocol of the packet, if it had a header.
    fn ip_local_out(&mut self, ns: NsId, frame: Frame, route: &RouteOut) -> Result<(), (Errno, Option<(bool, u8)>)> {
        let Ok(mut ip) = IpHeader::parse(frame.data()) else {
            self.core.drop(ns, Some(route.dev), frame, DropReason::IpInHdr);
            return Err((Errno::EINVAL, None));
        };
        let what = Some((ip.is_ipv4(), ip.proto));
        self.ns_mut(ns).mib.count(ip.is_ipv4(), Mib::IpOutRequests);
        let via = (route.next_hop != ip.dst).then_some(route.next_hop);
        let event = Event::Route { purpose: RouteUse::Output, dst: ip.dst, via, out: route.dev };
        self.core.emit(ns, Some(route.dev), Some(frame.id()), event);
        let mut route = *route;
        let mut frame = frame;
        if self.ns(ns).netfilter.is_some() {
            let hook = self.run_hook_slow(ns, HookPoint::Output, None, Some(route.dev), None, &mut ip, frame);
            let (passed, reroute) = hook.map_err(|verdict| match verdict {
                Verdict::Drop(_) | Verdict::Reject(_) => (Errno::EPERM, what),
                Verdict::Accept => unreachable!("an accepted packet is given back"),
            })?;
            frame = passed;
            if reroute {
                // DNAT or a mark changed what decides about the way (ip_route_me_harder).
                let t = ports::tuple(&ip, ip.payload(frame.data()));
                let req = OutRequest {
                    src: Some(ip.src),
                    dst: ip.dst,
                    oif: None,
                    mark: frame.meta().mark,
                    tos: ip.tos,
                    proto: ip.proto,
                    sport: t.sport,
                    dport: t.dport,
                    any_src: true,
                };
                match self.route_output(ns, &req) {
                    Ok(r) => route = r,
                    Err(e) => {
                        self.core.drop(ns, None, frame, DropReason::IpOutNoRoutes);
                        return Err((e, what));
                    }
                }
            }
        }
        if matches!(route.kind, RouteType::Broadcast | RouteType::Multicast) {
            self.loop_back(ns, route.dev, &ip, &frame);
        }
        self.ip_postrouting(ns, None, route.dev, route.next_hop, route.mtu, &mut ip, frame).map_err(|e| (e, what))
    }

    /// The end of every packet's way through the namespace: SNAT, fragmentation, the neighbour.
    #[allow(clippy::too_many_arguments)] // what the kernel keeps in skb and dst
    pub(crate) fn ip_postrouting(
        &mut self,
        ns: NsId,
        in_dev: Option<DevId>,
        out: DevId,
        next_hop: IpAddr,
        mtu: u32,
        ip: &mut IpHeader,
        frame: Frame,
    ) -> Result<(), Errno> {
        let ipv4 = ip.is_ipv4();
        let mib = &mut self.ns_mut(ns).mib;
        mib.count(ipv4, Mib::IpOutTransmits);
        if ipv4 {
            mib.add(Mib::IpExtOutOctets, ip.total_len as u64);
        }
        let Some((frame, _)) = self.run_hook(ns, HookPoint::Postrouting, in_dev, Some(out), Some(next_hop), ip, frame)
        else {
            return Err(Errno::EPERM);
        };
        let frag_max = frame.meta().frag_max as usize;
        if !ipv4 {
            self.count_out_octets6(ns, ip);
        }
        // IPv6 keeps what was reassembled whole if it is no larger than its largest fragment was (ip6_finish_output).
        if ip.total_len <= mtu as usize && (frag_max == 0 || (!ipv4 && ip.total_len <= frag_max)) {
            return self.ip_finish(out, next_hop, frame);
        }
        let too_big = match (ipv4, frag_max) {
            (true, 0) => ip.df,
            (true, _) => ip.df && frag_max > mtu as usize,
            // Only sources fragment (RFC 8200 §5), and who takes apart again what came in pieces.
            (false, 0) => in_dev.is_some(),
            (false, _) => frag_max > mtu as usize,
        };
        if too_big {
            self.ns_mut(ns).mib.count(ipv4, Mib::IpFragFails);
            let (kind, code) = match ipv4 {
                true => (icmp::UNREACHABLE, unreach::FRAG_NEEDED),
                false => (icmp::v6::PACKET_TOO_BIG, 0),
            };
            self.icmp_error(ns, in_dev, ip, &frame, kind, code, mtu);
            self.core.drop(ns, Some(out), frame, DropReason::PktTooBig);
            return Err(Errno::EMSGSIZE);
        }
        if ipv4 {
            self.fragment(ns, out, next_hop, mtu, ip, frame)
        } else {
            self.fragment6(ns, out, next_hop, mtu, ip, frame)
        }
    }

    fn count_out_octets6(&mut self, ns: NsId, ip: &IpHeader) {
        let mib = &mut self.ns_mut(ns).mib;
        mib.add6(Mib::Ip6OutOctets, ip.total_len as u64);
        if ip.dst.is_multicast() {
            mib.add6(Mib::Ip6OutMcastPkts, 1);
            mib.add6(Mib::Ip6OutMcastOctets, ip.total_len as u64);
        }
    }

    /// Hands a packet that fits to the neighbour layer.
    pub(crate) fn ip_finish(&mut self, out: DevId, next_hop: IpAddr, frame: Frame) -> Result<(), Errno> {
        if self.dev(out).is_bare() {
            return self.transmit(out, frame);
        }
        if next_hop.is_multicast() {
            self.count_out_many(out, RouteType::Multicast, &frame);
            let mac = crate::device::multicast_mac(next_hop);
            return self.send_to_station(out, frame, mac, None, ethertype(next_hop));
        }
        // A device without ARP takes its own address even for that of all (arp_constructor asks for it first).
        if self.dev(out).arp && self.is_broadcast_on(out, next_hop) {
            self.count_out_many(out, RouteType::Broadcast, &frame);
            return self.send_to_station(out, frame, crate::base::Mac::BROADCAST, None, ethertype(next_hop));
        }
        self.neighbour_output(out, next_hop, frame)
    }

    fn count_out_many(&mut self, out: DevId, kind: RouteType, frame: &Frame) {
        if frame.data()[0] >> 4 == 4 {
            self.count_many(
                self.dev(out).ns,
                kind,
                frame.len(),
                [
                    [Mib::IpExtOutMcastPkts, Mib::IpExtOutMcastOctets],
                    [Mib::IpExtOutBcastPkts, Mib::IpExtOutBcastOctets],
                ],
            );
        }
    }

    /// Whether `addr` is sent to everybody on the link of `dev`.
    fn is_broadcast_on(&self, dev: DevId, addr: IpAddr) -> bool {
        let IpAddr::V4(a) = addr else { return false };
        if self.dev(dev).is_loopback() {
            return false;
        }
        a.is_broadcast() || self.ns(self.dev(dev).ns).fib.local_kind(addr) == Some(RouteType::Broadcast)
    }

    /// Broadcasts, and multicasts to groups the device is in, come back to their sender (ip_mc_output,
    /// dev_loopback_xmit).
    fn loop_back(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: &Frame) {
        let listeners = match ip.dst {
            // Members of the group hear themselves, broadcasts everybody; the copy arrives like any packet.
            IpAddr::V4(group) if group.is_multicast() => self.in_group4(ns, dev, group),
            IpAddr::V4(_) => true,
            // Every member hears itself, but for neighbour discovery (ip6_finish_output2, MC6_LOOP of ndisc's socket).
            IpAddr::V6(group) => !is_nd(ip, frame) && self.in_group6(dev, group),
        };
        if !listeners || self.dev(dev).is_loopback() {
            return;
        }
        let mut copy = self.core.copy_frame(ns, frame, Origin::LocalCopy);
        copy.meta_mut().iif = Some(dev);
        let kind = if ip.dst.is_multicast() { RouteType::Multicast } else { RouteType::Broadcast };
        if ip.is_ipv4() {
            return self.ip_input_own(ns, dev, *ip, copy, kind);
        }
        self.ip_local_deliver(ns, dev, *ip, copy, kind);
    }
}

fn is_nd(ip: &IpHeader, frame: &Frame) -> bool {
    let kind = ip.payload(frame.data()).first();
    ip.proto == proto::ICMPV6 && kind.is_some_and(|k| (icmp::v6::ROUTER_SOLICIT..=icmp::v6::REDIRECT).contains(k))
}

fn ethertype(addr: IpAddr) -> u16 {
    if addr.is_ipv4() { crate::wire::eth::IPV4 } else { crate::wire::eth::IPV6 }
}
