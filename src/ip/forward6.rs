//! An IPv6 packet arrives and passes through (ip6_rcv_core, ip6_forward in net/ipv6/ip6_input.c and ip6_output.c).

use super::exthdr::{self, Refusal};
use crate::{
    base::{DevId, NsId},
    kernel::{InputRoute, Kernel, MIN_MTU6, mib::Mib},
    trace::{DropReason, Event, HookPoint, RouteUse},
    wire::{Frame, IpHeader, icmp::v6, ip::decrement_ttl},
};
use std::net::IpAddr;

/// Code of "beyond scope of source address" (RFC 4443 §3.1; `ICMPV6_NOT_NEIGHBOUR`).
const BEYOND_SCOPE: u8 = 2;

impl Kernel {
    /// What an IPv6 packet must satisfy before anybody looks at it; gives it back if it does (ip6_rcv_core).
    pub(super) fn check_arrival6(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame) -> Option<Frame> {
        let d = self.dev(dev);
        let loopback = d.is_loopback();
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (ip.src, ip.dst) else { return Some(frame) };
        let mib = &mut self.nss[ns.index()].mib;
        mib.add6(Mib::Ip6InOctets, ip.total_len as u64);
        if dst.is_multicast() {
            mib.add6(Mib::Ip6InMcastPkts, 1);
            mib.add6(Mib::Ip6InMcastOctets, ip.total_len as u64);
        }
        // RFC 4291 §2.5.3, §2.7: ::1 and interface-local groups stay inside, groups send nothing, scope 0 is reserved.
        let scope = dst.segments()[0] & 0xf;
        let reason = if src.is_multicast() {
            Some(DropReason::IpInvalidSource)
        } else if (src.is_loopback() || dst.is_loopback()) && !loopback {
            Some(DropReason::IpLocalNet)
        } else if dst.is_multicast() && (scope == 0 || (scope == 1 && !loopback)) {
            Some(DropReason::IpInvalidDest)
        } else {
            None
        };
        if let Some(reason) = reason {
            mib.add6(Mib::IpInHdrErrors, 1);
            self.core.drop(ns, Some(dev), frame, reason);
            return None;
        }
        match exthdr::check_hop_by_hop(frame.data(), ip) {
            Ok(()) => Some(frame),
            Err(refusal) => {
                self.refuse6(ns, dev, ip, frame, refusal);
                None
            }
        }
    }

    /// Drops a packet for its extension headers.
    pub(super) fn refuse6(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame, refusal: Refusal) {
        self.ns_mut(ns).mib.add6(Mib::IpInHdrErrors, 1);
        if let Refusal::Problem(code, pointer) = refusal {
            self.icmp_error(ns, Some(dev), ip, &frame, exthdr::PROBLEM, code, pointer);
        }
        self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
    }

    /// Forwards an IPv6 packet that came in by `dev`; `translated` if PREROUTING changed its destination.
    pub(super) fn ip6_forward(
        &mut self,
        ns: NsId,
        dev: DevId,
        mut ip: IpHeader,
        mut frame: Frame,
        way: InputRoute,
        translated: bool,
    ) {
        let via = (way.next_hop != ip.dst).then_some(way.next_hop);
        let event = Event::Route { purpose: RouteUse::Forward, dst: ip.dst, via, out: way.out };
        self.core.emit(ns, Some(dev), Some(frame.id()), event);
        if ip.ttl <= 1 {
            self.icmp_error(ns, Some(dev), &ip, &frame, v6::TIME_EXCEEDED, 0, 0);
            self.ns_mut(ns).mib.add6(Mib::IpInHdrErrors, 1);
            return self.core.drop(ns, Some(dev), frame, DropReason::TtlExceeded);
        }
        if way.redirect {
            // Redirects about translated flows are suppressed: the better gateway is a fiction of the translator.
            if !translated {
                self.send_redirect6(ns, dev, &ip, &frame, way.next_hop);
            }
        } else if let Some(reason) = self.stays_on_link(ns, dev, &ip, &frame) {
            self.ns_mut(ns).mib.add6(Mib::IpInAddrErrors, 1);
            return self.core.drop(ns, Some(dev), frame, reason);
        }
        self.ns_mut(ns).mib.add6(Mib::IpForwDatagrams, 1);
        let mtu = self.dev(way.out).mtu6().max(MIN_MTU6);
        if too_big(&ip, &frame, mtu) {
            self.icmp_error(ns, Some(dev), &ip, &frame, v6::PACKET_TOO_BIG, 0, mtu);
            let mib = &mut self.ns_mut(ns).mib;
            mib.add6(Mib::Ip6InTooBigErrors, 1);
            mib.add6(Mib::IpFragFails, 1);
            return self.core.drop(ns, Some(dev), frame, DropReason::PktTooBig);
        }
        decrement_ttl(frame.data_mut());
        ip.ttl -= 1;
        self.core.emit(ns, Some(dev), Some(frame.id()), Event::Forwarded { ttl: ip.ttl, out: way.out });
        let Some((frame, _)) = self.run_hook(ns, HookPoint::Forward, Some(dev), Some(way.out), None, &mut ip, frame)
        else {
            return;
        };
        // Nobody waits for the result: a forwarded packet's fate is in the trace.
        let _ = self.ip_postrouting(ns, Some(dev), way.out, way.next_hop, mtu, &mut ip, frame);
    }

    /// Sources that mean nothing beyond their link: why such a packet is not carried over to another (ip6_forward: "this
    /// check is security critical").
    fn stays_on_link(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: &Frame) -> Option<DropReason> {
        let IpAddr::V6(src) = ip.src else { return None };
        if src.is_unspecified() || src.is_loopback() {
            return Some(DropReason::IpInvalidSource);
        }
        if !src.is_unicast_link_local() {
            return None;
        }
        self.icmp_error(ns, Some(dev), ip, frame, v6::UNREACHABLE, BEYOND_SCOPE, 0);
        Some(DropReason::IpInvalidSource)
    }
}

/// Whether a packet that passes through is too large (ip6_pkt_too_big): routers never fragment (RFC 8200 §5), but what
/// was reassembled for conntrack leaves in pieces again.
fn too_big(ip: &IpHeader, frame: &Frame, mtu: u32) -> bool {
    let frag_max = frame.meta().frag_max as u32;
    ip.total_len > mtu as usize && (frag_max == 0 || frag_max > mtu)
}
