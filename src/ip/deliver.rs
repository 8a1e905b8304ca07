//! A packet for this namespace (ip_local_deliver).

use super::exthdr;
use crate::{
    base::{DevId, NsId, proto},
    kernel::{Kernel, mib::Mib},
    route::RouteType,
    trace::{DropReason, HookPoint},
    wire::{
        Frame, IpHeader, PacketType,
        icmp::{self, unreach},
        ip::next_header_field,
    },
};

/// IP in IP (RFC 2003).
const IPIP: u8 = 4;

impl Kernel {
    /// Delivers a packet; `kind` says whether it was addressed to one, to all or to a group.
    pub(crate) fn ip_local_deliver(&mut self, ns: NsId, dev: DevId, ip: IpHeader, frame: Frame, kind: RouteType) {
        let (mut ip, frame) = if ip.is_fragment() {
            match self.reassemble(ns, Some(dev), ip, frame) {
                Some(whole) => whole,
                None => return,
            }
        } else {
            (ip, frame)
        };
        let Some((frame, _)) = self.run_hook(ns, HookPoint::Input, Some(dev), None, None, &mut ip, frame) else {
            return;
        };
        let to_one = kind == RouteType::Local;
        if !ip.is_ipv4()
            && let Err(refusal) = exthdr::check_destination(frame.data(), &ip)
        {
            return self.refuse6(ns, dev, &ip, frame, refusal);
        }
        let n = self.ns_mut(ns);
        let tunnels = n.tunnels;
        let ipv4 = ip.is_ipv4();
        if !ipv4 {
            n.mib.count(false, Mib::IpInDelivers);
        }
        let raw = n.sockets.is_some() && self.raw_input(ns, dev, &ip, &frame);
        // IPv4 counts as delivered only what somebody takes (ip_protocol_deliver_rcu).
        let taken = matches!(ip.proto, proto::ICMP | proto::UDP | proto::TCP | IPIP | proto::GRE | 2) || raw;
        if ipv4 && taken {
            self.ns_mut(ns).mib.inc(Mib::IpInDelivers);
        }
        match ip.proto {
            proto::ICMP if ip.is_ipv4() => self.icmp_input(ns, dev, ip, frame, to_one),
            proto::ICMPV6 if !ip.is_ipv4() => self.icmp6_input(ns, dev, ip, frame, to_one),
            proto::UDP if tunnels == 0 => self.udp_input(ns, dev, ip, frame, to_one),
            proto::UDP => {
                if let Some(frame) = self.vxlan_input(ns, &ip, frame) {
                    self.udp_input(ns, dev, ip, frame, to_one);
                }
            }
            // TCP answers nothing that was sent to several (tcp_v4_rcv: pkt_type != PACKET_HOST).
            proto::TCP if !to_one || frame.meta().packet_type != PacketType::Host => {
                self.core.drop(ns, Some(dev), frame, DropReason::UnicastInL2Multicast);
            }
            proto::TCP => self.tcp_input(ns, dev, ip, frame),
            _ if raw => self.core.deliver(ns, Some(dev), frame, crate::trace::Delivery::Socket),
            exthdr::NONE if !ip.is_ipv4() => self.core.drop(ns, Some(dev), frame, DropReason::IpNoProto),
            _ if !ip.is_ipv4() => {
                self.ns_mut(ns).mib.add6(Mib::IpInUnknownProtos, 1);
                let pointer = next_header_field(frame.data(), ip.header_len) as u32;
                self.icmp_error(ns, Some(dev), &ip, &frame, exthdr::PROBLEM, exthdr::UNKNOWN_HEADER, pointer);
                self.core.drop(ns, Some(dev), frame, DropReason::IpNoProto);
            }
            IPIP | proto::GRE if tunnels > 0 && self.has_tunnels(ns) => {
                if let Some(frame) = self.tunnel_input(ns, &ip, frame) {
                    // The protocol is known here, but there is no such tunnel.
                    self.icmp_error(ns, Some(dev), &ip, &frame, icmp::UNREACHABLE, unreach::PORT, 0);
                    self.core.drop(ns, Some(dev), frame, DropReason::NoSocket);
                }
            }
            _ => {
                self.ns_mut(ns).mib.inc(Mib::IpInUnknownProtos);
                self.icmp_error(ns, Some(dev), &ip, &frame, icmp::UNREACHABLE, unreach::PROTOCOL, 0);
                self.core.drop(ns, Some(dev), frame, DropReason::IpNoProto);
            }
        }
    }
}
