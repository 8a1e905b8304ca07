//! ICMPv6: answering echo, reporting errors, learning from reports (RFC 4443; net/ipv6/icmp.c).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, MS, NsId, SEC, proto},
    kernel::{
        Kernel, MIN_MTU6,
        icmp_limit::Limited,
        mib::Mib,
        sysctl::{Conf, Knob},
    },
    netfilter,
    route::RouteType,
    trace::{Delivery, DropReason, Event, Origin},
    wire::{
        Frame, IpHeader, PacketType, be32,
        icmp::{self, v6},
        ip::{IpFields, V6_HEADER},
        put32,
    },
};
use std::net::IpAddr;

/// Code of "address unreachable" (RFC 4443 §3.1).
pub(super) const ADDRESS_UNREACHABLE: u8 = 3;

impl Kernel {
    /// Reports an error about an IPv6 packet to its sender (icmp6_send), unless the rules or the rate limits forbid it.
    /// `info` is the MTU of "packet too big", the offset of "parameter problem".
    #[allow(clippy::too_many_arguments)] // one parameter per field of the message
    pub(super) fn icmp6_error(
        &mut self,
        ns: NsId,
        dev: Option<DevId>,
        ip: &IpHeader,
        frame: &Frame,
        kind: u8,
        code: u8,
        info: u32,
    ) {
        if !may_report(ip, frame, kind, code) {
            return;
        }
        let IpAddr::V6(to) = ip.src else { return };
        let iif = frame.meta().iif.or(dev);
        let to_many = ip.dst.is_multicast() || frame.meta().packet_type != PacketType::Host;
        let own = (!to_many && self.is_local(ns, ip.dst)).then_some(ip.dst);
        // Unless the route back says otherwise, the error comes from an address of the device the packet came in by, even
        // if it leaves by another.
        let inbound = || {
            let dev = iif.filter(|_| !self.has_prefsrc6(ns, ip.src))?;
            self.select_source6(dev, to).map(IpAddr::V6)
        };
        let src = own.or_else(inbound);
        let oif = iif.filter(|_| to.is_unicast_link_local());
        let req = OutRequest { src, oif, proto: proto::ICMPV6, ..OutRequest::to(ip.src) };
        let Ok(route) = self.route_output(ns, &req) else { return };
        if !self.allow_error6(ns, iif, &route, ip.src, kind) {
            return;
        }
        // As much as fits in the smallest MTU (RFC 4443 §2.4 c).
        let room = MIN_MTU6 as usize - V6_HEADER - icmp::HEADER;
        let quote = frame.data().len().min(ip.total_len).min(room);
        let fields = self.icmp6_fields(&route, ip.src, 0);
        let mut error = self.core.new_frame(ns, V6_HEADER + icmp::HEADER + quote, Origin::Icmp, Some(frame.id()));
        let b = &mut error.data_mut()[V6_HEADER..];
        b[0] = kind;
        b[1] = code;
        put32(b, 4, info);
        b[icmp::HEADER..].copy_from_slice(&frame.data()[..quote]);
        icmp::seal(b, fields.src, fields.dst);
        fields.write(error.data_mut());
        error.meta_mut().ct = netfilter::attach(frame.meta().ct);
        self.count_out6(ns, kind);
        self.core.emit(ns, dev, Some(frame.id()), Event::IcmpError { kind, code, to: ip.src });
        // Whether the report arrives is not the reporter's business.
        let _ = self.ip_output(ns, error, &route);
    }

    /// The rate limits (icmpv6_global_allow, icmpv6_xrlim_allow): "packet too big" has none, nor has what stays on `lo`.
    fn allow_error6(&mut self, ns: NsId, iif: Option<DevId>, route: &RouteOut, to: IpAddr, kind: u8) -> bool {
        let from_lo = iif.is_some_and(|d| self.dev(d).is_loopback());
        if kind == v6::PACKET_TOO_BIG || from_lo || route.kind == RouteType::Local {
            return true;
        }
        let now = self.core.now;
        let n = &mut self.nss[ns.index()];
        let interval = n.knobs.get(Knob::Icmp6Ratelimit).max(0) as u64 * MS;
        let per_sec = n.knobs.get(Knob::IcmpMsgsPerSec).max(0) as u64;
        let burst = n.knobs.get(Knob::IcmpMsgsBurst).max(0) as u64;
        let limits = n.icmp_limits.get_or_insert_default();
        match limits.allow(now, to, interval, per_sec, burst, &mut n.rng) {
            Ok(()) => true,
            Err(Limited::Host) => {
                n.mib.add6(Mib::IcmpOutRateLimitHost, 1);
                false
            }
            Err(Limited::Global) => {
                n.mib.inc(Mib::IcmpOutRateLimitGlobal);
                false
            }
        }
    }

    fn icmp6_fields(&self, route: &RouteOut, dst: IpAddr, tos: u8) -> IpFields {
        let ttl = self.dev(route.dev).conf.get(Conf::HopLimit).clamp(1, 255) as u8;
        IpFields { src: route.src, dst, proto: proto::ICMPV6, ttl, tos, df: false, id: 0 }
    }

    /// An ICMPv6 message for this namespace (icmpv6_rcv).
    pub(super) fn icmp6_input(&mut self, ns: NsId, dev: DevId, ip: IpHeader, frame: Frame, to_one: bool) {
        let message = ip.payload(frame.data());
        let n = &mut self.nss[ns.index()];
        n.mib.add6(Mib::IcmpInMsgs, 1);
        if message.len() < icmp::HEADER {
            n.mib.add6(Mib::IcmpInErrors, 1);
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        }
        if !icmp::checksum_ok(message, ip.src, ip.dst) {
            n.mib.add6(Mib::IcmpInCsumErrors, 1);
            n.mib.add6(Mib::IcmpInErrors, 1);
            return self.core.drop(ns, Some(dev), frame, DropReason::IcmpCsum);
        }
        let kind = message[0];
        n.mib.icmp6_in(kind);
        match kind {
            v6::ECHO if self.ignores_echo6(ns, ip.dst, to_one) => {
                self.core.drop(ns, Some(dev), frame, DropReason::InvalidProto);
            }
            v6::ECHO => self.icmp6_echo(ns, dev, &ip, frame),
            v6::ECHO_REPLY => self.ping_input(ns, dev, ip, frame),
            v6::ROUTER_SOLICIT..=v6::REDIRECT => self.nd_input(ns, dev, &ip, frame),
            _ if icmp::is_error(false, kind) => self.icmp6_error_input(ns, dev, &ip, frame),
            // Multicast listener discovery, and whatever programs read from raw sockets.
            _ => self.core.drop(ns, Some(dev), frame, DropReason::InvalidProto),
        }
    }

    fn ignores_echo6(&self, ns: NsId, dst: IpAddr, to_one: bool) -> bool {
        let n = self.ns(ns);
        let anycast = || n.fib.local_kind(dst) == Some(RouteType::Anycast);
        n.knobs.on(Knob::Icmp6EchoIgnoreAll)
            || (!to_one && n.knobs.on(Knob::Icmp6EchoIgnoreMulticast))
            || (n.knobs.on(Knob::Icmp6EchoIgnoreAnycast) && anycast())
    }

    /// Answers an echo request (icmpv6_echo_reply): from the address asked, or if that is not one host's own, from one
    /// that suits the sender; by the device the question came in by, if it has as good a route.
    fn icmp6_echo(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame) {
        if ip.src.is_unspecified() {
            return self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
        }
        let own = self.is_local(ns, ip.dst).then_some(ip.dst);
        let req = OutRequest { src: own, tos: ip.tos, proto: proto::ICMPV6, ..OutRequest::to(ip.src) };
        let back =
            if self.dev(dev).is_loopback() { self.route_output(ns, &req) } else { self.route_back6(ns, &req, dev) };
        let Ok(route) = back else {
            // The question arrived, the answer has no way back: silence, as the kernel does.
            return self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
        };
        let fields = self.icmp6_fields(&route, ip.src, ip.tos);
        let body = ip.payload(frame.data()).len();
        let mut reply = self.core.new_frame(ns, V6_HEADER + body, Origin::Icmp, Some(frame.id()));
        let b = &mut reply.data_mut()[V6_HEADER..];
        b.copy_from_slice(ip.payload(frame.data()));
        b[0] = v6::ECHO_REPLY;
        icmp::seal(b, fields.src, fields.dst);
        fields.write(reply.data_mut());
        self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
        self.count_out6(ns, v6::ECHO_REPLY);
        let _ = self.ip_output(ns, reply, &route);
    }

    /// Somebody reports an error about a packet sent from here (icmpv6_notify).
    fn icmp6_error_input(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame) {
        let message = ip.payload(frame.data());
        let (kind, code) = (message[0], message[1]);
        let quoted = &message[icmp::HEADER..];
        let Some(inner) = IpHeader::parse_quoted(quoted).filter(|h| !h.is_ipv4() && quoted.len() >= h.header_len + 8)
        else {
            self.ns_mut(ns).mib.add6(Mib::IcmpInErrors, 1);
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        };
        let mtu = if kind == v6::PACKET_TOO_BIG { be32(message, 4) } else { 0 };
        let matched = self.socket_error(ns, dev, ip.src, &inner, kind, code, mtu, quoted);
        // About echo everything is believed (icmpv6_err); about the rest, if a socket sent it.
        if mtu > 0 && (matched || inner.proto == proto::ICMPV6) {
            self.learn_pmtu6(ns, inner.dst, mtu);
        }
        self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
    }

    /// Remembers the MTU of the path to `dst` (__ip6_rt_update_pmtu): never one below 1280 (RFC 8201 §4), nor a larger one
    /// than is known.
    fn learn_pmtu6(&mut self, ns: NsId, dst: IpAddr, mtu: u32) {
        let known = self.route_output(ns, &OutRequest::to(dst)).map(|r| r.mtu);
        if mtu < MIN_MTU6 || known.is_ok_and(|known| mtu >= known) {
            return;
        }
        let now = self.core.now;
        let n = self.ns_mut(ns);
        let expires = now + n.knobs.get(Knob::RouteMtuExpires6) as u64 * SEC;
        n.exceptions.get_or_insert_default().set_mtu(now, dst, mtu, false, expires);
    }

    pub(crate) fn count_out6(&mut self, ns: NsId, kind: u8) {
        let mib = &mut self.ns_mut(ns).mib;
        mib.add6(Mib::IcmpOutMsgs, 1);
        mib.icmp6_out(kind);
    }
}

/// About what no error may be sent (RFC 4443 §2.4 e; the head of icmp6_send, is_ineligible).
fn may_report(ip: &IpHeader, frame: &Frame, kind: u8, code: u8) -> bool {
    let exempt = kind == v6::PACKET_TOO_BIG || (kind == v6::PARAM_PROBLEM && code == super::exthdr::UNKNOWN_OPTION);
    let to_many = ip.dst.is_multicast() || frame.meta().packet_type != PacketType::Host;
    if (to_many && !exempt) || ip.src.is_unspecified() || ip.src.is_multicast() {
        return false;
    }
    let l4 = &frame.data()[ip.header_len.min(frame.len())..];
    // A later fragment has no ICMPv6 header: its first byte is taken for one, as in the kernel.
    !(ip.proto == proto::ICMPV6 && l4.first().is_none_or(|t| icmp::is_error(false, *t)))
}
