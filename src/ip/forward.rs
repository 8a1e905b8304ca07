//! A packet passes through (ip_forward).

use super::InputRoute;
use crate::{
    base::{DevId, Mutant, NsId, mutated},
    kernel::{Kernel, mib::Mib, sysctl::Knob},
    trace::{DropReason, Event, HookPoint, RouteUse},
    wire::{
        Frame, IpHeader,
        icmp::{self, unreach},
        ip::decrement_ttl,
    },
};
use std::net::IpAddr;

impl Kernel {
    /// Forwards a packet that came in by `dev`; `translated` if PREROUTING changed its destination.
    pub(crate) fn ip_forward(
        &mut self,
        ns: NsId,
        dev: DevId,
        ip: &mut IpHeader,
        mut frame: Frame,
        way: InputRoute,
        translated: bool,
    ) {
        if !ip.is_ipv4() {
            return self.ip6_forward(ns, dev, *ip, frame, way, translated);
        }
        let via = (way.next_hop != ip.dst).then_some(way.next_hop);
        let event = Event::Route { purpose: RouteUse::Forward, dst: ip.dst, via, out: way.out };
        self.core.emit(ns, Some(dev), Some(frame.id()), event);
        if ip.ttl <= 1 && !mutated(Mutant::ForwardsDeadPackets) {
            // RFC 1812 §5.3.1: the error quotes the TTL as it arrived.
            self.ns_mut(ns).mib.inc(Mib::IpInHdrErrors);
            self.icmp_error(ns, Some(dev), ip, &frame, icmp::TIME_EXCEEDED, 0, 0);
            return self.core.drop(ns, Some(dev), frame, DropReason::TtlExceeded);
        }
        let options = frame.meta().options;
        if options.strict && way.next_hop != ip.dst && options.srr_hit.is_none_or(|hop| way.next_hop != IpAddr::V4(hop))
        {
            self.icmp_error(ns, Some(dev), ip, &frame, icmp::UNREACHABLE, unreach::SOURCE_ROUTE_FAILED, 0);
            return self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
        }
        self.ns_mut(ns).mib.inc(Mib::IpForwDatagrams);
        let mtu = self.forward_mtu(ns, &way, ip);
        if self.exceeds_mtu(ip, &frame, mtu) {
            self.ns_mut(ns).mib.inc(Mib::IpFragFails);
            self.icmp_error(ns, Some(dev), ip, &frame, icmp::UNREACHABLE, unreach::FRAG_NEEDED, mtu);
            return self.core.drop(ns, Some(dev), frame, DropReason::PktTooBig);
        }
        if !mutated(Mutant::KeepsTtl) && !mutated(Mutant::ForwardsDeadPackets) {
            decrement_ttl(frame.data_mut());
            ip.ttl -= 1;
        }
        // Redirects about translated flows are suppressed: the better gateway is a fiction of the translator.
        if way.redirect && !translated && options.srr == 0 {
            self.icmp_redirect(ns, dev, ip, &frame, way.next_hop);
        }
        self.core.emit(ns, Some(dev), Some(frame.id()), Event::Forwarded { ttl: ip.ttl, out: way.out });
        let Some((frame, _)) = self.run_hook(ns, HookPoint::Forward, Some(dev), Some(way.out), None, ip, frame) else {
            return;
        };
        let mut frame = frame;
        self.forward_options(ns, way.out, ip, &mut frame);
        // Nobody waits for the result: a forwarded packet's fate is in the trace.
        let _ = self.ip_postrouting(ns, Some(dev), way.out, way.next_hop, mtu, ip, frame);
    }

    /// The MTU that counts for a packet passing through (ip_dst_mtu_maybe_forward): the route's or the device's, unless
    /// `ip_forward_use_pmtu` admits learned ones.
    fn forward_mtu(&self, ns: NsId, way: &InputRoute, ip: &IpHeader) -> u32 {
        let mtu = if way.mtu > 0 { way.mtu } else { self.dev(way.out).mtu };
        let n = self.ns(ns);
        if !n.knobs.on(Knob::ForwardUsePmtu) {
            return mtu;
        }
        n.exceptions.as_ref().and_then(|e| e.get(self.core.now, ip.dst)).and_then(|e| e.mtu).map_or(mtu, |m| m.min(mtu))
    }

    /// Whether a packet is too large and may not be fragmented (ip_exceeds_mtu).
    fn exceeds_mtu(&self, ip: &IpHeader, frame: &Frame, mtu: u32) -> bool {
        let frag_max = frame.meta().frag_max as u32;
        if frag_max > 0 {
            // Reassembled for conntrack: it leaves in pieces as large as it came.
            return ip.df && frag_max > mtu;
        }
        ip.total_len > mtu as usize && ip.df
    }
}
