//! ICMP: answering echo, reporting errors, learning from reports (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3;
//! net/ipv4/icmp.c).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, MS, Mutant, NsId, SEC, mutated, proto},
    kernel::{
        Kernel,
        icmp_limit::Limited,
        mib::Mib,
        sysctl::{Conf, Knob},
    },
    netfilter,
    route::RouteType,
    trace::{Delivery, DropReason, Event, NeighState, Origin},
    wire::{
        Frame, IpHeader, PacketType, be16, be32, checksum,
        icmp::{self, unreach},
        ip::IpFields,
        options::Echo,
        ports, put16, put32,
    },
};
use std::net::{IpAddr, Ipv4Addr};

/// Largest ICMP error in bytes, IP header included (RFC 1812 §4.3.2.3).
const MAX_ERROR: usize = 576;
/// An ICMP error carries "internetwork control" precedence (RFC 1812 §4.3.2.5).
const PRECEDENCE: u8 = 0xc0;

/// The last type of RFC 792 and RFC 950; the kernel knows no later ones.
const NR_ICMP_TYPES: u8 = 18;

impl Kernel {
    /// Reports an error about a packet to its sender (icmp_send), unless the rules or the rate limits forbid it. Type and
    /// code are those of the packet's family; `info` is the MTU of "fragmentation needed". `frame` starts at the IP header `ip` describes.
    #[allow(clippy::too_many_arguments)] // one parameter per field of the message
    pub(crate) fn icmp_error(
        &mut self,
        ns: NsId,
        dev: Option<DevId>,
        ip: &IpHeader,
        frame: &Frame,
        kind: u8,
        code: u8,
        info: u32,
    ) {
        if !ip.is_ipv4() {
            return self.icmp6_error(ns, dev, ip, frame, kind, code, info);
        }
        if !self.may_report(ns, ip, frame) {
            return;
        }
        let tos = ip.tos & 0x1e | PRECEDENCE;
        // Only what came in for an address of ours is answered from that address.
        let own = dev.filter(|_| self.is_local(ns, ip.dst)).map(|_| ip.dst);
        let mark = if self.ns(ns).knobs.on(Knob::FwmarkReflect) { frame.meta().mark } else { 0 };
        let inbound = dev
            .filter(|_| self.ns(ns).knobs.on(Knob::IcmpErrorsUseInboundIfaddr))
            .and_then(|d| self.select_source(d, ip.src));
        let echo = self.echo_options(ns, ip, frame);
        let to = echo.first.map_or(ip.src, IpAddr::V4);
        let req = OutRequest { src: own.or(inbound), mark, tos, proto: proto::ICMP, ..OutRequest::to(to) };
        let Ok(route) = self.route_output(ns, &req) else { return };
        if !self.allow_error(ns, &route, ip.src, kind, code) {
            return;
        }
        let room = (route.mtu as usize).min(MAX_ERROR) - crate::wire::ip::V4_HEADER - icmp::HEADER - echo.bytes.len();
        let quote = frame.data().len().min(ip.total_len).min(room);
        let fields = self.icmp_fields(ns, &route, to, tos);
        let head = fields.header_len() + echo.bytes.len();
        let mut error = self.core.new_frame(ns, head + icmp::HEADER + quote, Origin::Icmp, Some(frame.id()));
        let b = &mut error.data_mut()[head..];
        b[0] = kind;
        b[1] = code;
        put32(b, 4, info);
        b[icmp::HEADER..].copy_from_slice(&frame.data()[..quote]);
        icmp::seal(b, fields.src, fields.dst);
        self.write_with_options(&fields, &echo, ip.src, error.data_mut());
        error.meta_mut().ct = netfilter::attach(frame.meta().ct);
        self.count_out(ns, kind);
        self.core.emit(ns, dev, Some(frame.id()), Event::IcmpError { kind, code, to: ip.src });
        // Whether the report arrives is not the reporter's business.
        let _ = self.ip_output(ns, error, &route);
    }

    /// About what no error may be sent (RFC 1122 §3.2.2; the head of icmp_send).
    fn may_report(&self, ns: NsId, ip: &IpHeader, frame: &Frame) -> bool {
        if frame.meta().packet_type != PacketType::Host || ip.frag_offset > 0 {
            return false;
        }
        let IpAddr::V4(src) = ip.src else { return false };
        if mutated(Mutant::ReportsAnything) {
            return true;
        }
        if src.is_unspecified() || src.is_multicast() || src.is_broadcast() {
            return false;
        }
        let limited = ip.dst == IpAddr::V4(Ipv4Addr::BROADCAST);
        let to_many =
            limited || ip.dst.is_multicast() || self.ns(ns).fib.local_kind(ip.dst) == Some(RouteType::Broadcast);
        if to_many {
            return false;
        }
        let l4 = &frame.data()[ip.header_len.min(frame.len())..];
        // A type the kernel has no handler for may be an error, too (case icmp-no-error-about).
        !(ip.proto == proto::ICMP && l4.first().is_none_or(|t| icmp::is_error(true, *t) || *t > NR_ICMP_TYPES))
    }

    /// The rate limits (icmpv4_global_allow, icmpv4_xrlim_allow).
    fn allow_error(&mut self, ns: NsId, route: &RouteOut, to: IpAddr, kind: u8, code: u8) -> bool {
        let now = self.core.now;
        let n = &mut self.nss[ns.index()];
        let masked = kind < 32 && n.knobs.get(Knob::IcmpRatemask) >> kind & 1 == 1;
        let pmtud = kind == icmp::UNREACHABLE && code == unreach::FRAG_NEEDED;
        if !masked || pmtud || route.kind == RouteType::Local || mutated(Mutant::UnlimitedErrors) {
            return true;
        }
        let interval = n.knobs.get(Knob::IcmpRatelimit).max(0) as u64 * MS;
        let per_sec = n.knobs.get(Knob::IcmpMsgsPerSec).max(0) as u64;
        let burst = n.knobs.get(Knob::IcmpMsgsBurst).max(0) as u64;
        let limits = n.icmp_limits.get_or_insert_default();
        match limits.allow(now, to, interval, per_sec, burst, &mut n.rng) {
            Ok(()) => true,
            Err(Limited::Host) => {
                n.mib.inc(Mib::IcmpOutRateLimitHost);
                false
            }
            Err(Limited::Global) => {
                n.mib.inc(Mib::IcmpOutRateLimitGlobal);
                false
            }
        }
    }

    /// The extra limit on errors about missing routes (ip_error).
    pub(crate) fn allow_route_error(&mut self, ns: NsId, to: IpAddr) -> bool {
        let now = self.core.now;
        self.ns_mut(ns).icmp_limits.get_or_insert_default().allow_route_error(now, to)
    }

    /// Writes the header of an answer with the options it carries; `asker` is whom it is for in the end.
    fn write_with_options(&self, fields: &IpFields, echo: &Echo, asker: IpAddr, packet: &mut [u8]) {
        fields.write(packet);
        if let (false, IpAddr::V4(src), IpAddr::V4(dst)) = (echo.bytes.is_empty(), fields.src, asker) {
            let header = fields.header_len() + echo.bytes.len();
            packet[0] = 0x40 | (header / 4) as u8;
            echo.write(&mut packet[..header], src, dst, self.milliseconds());
            put16(packet, 10, 0);
            let sum = checksum::of(&packet[..header]);
            put16(packet, 10, sum);
        }
    }

    fn icmp_fields(&mut self, ns: NsId, route: &RouteOut, dst: IpAddr, tos: u8) -> IpFields {
        let ttl = self.ns(ns).knobs.get(Knob::DefaultTtl) as u8;
        let id = self.next_ip_id(ns);
        IpFields { src: route.src, dst, proto: proto::ICMP, ttl, tos, df: false, id }
    }

    /// The next IPv4 identification for packets that belong to no connection.
    pub(crate) fn next_ip_id(&mut self, ns: NsId) -> u16 {
        let n = self.ns_mut(ns);
        n.ip_id = n.ip_id.wrapping_add(1);
        n.ip_id as u16
    }

    /// Tells the sender of a forwarded packet about a better first hop (ip_rt_send_redirect).
    pub(crate) fn icmp_redirect(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: &Frame, gateway: IpAddr) {
        let now = self.core.now;
        let IpAddr::V4(gw) = gateway else { return };
        let limits = self.ns_mut(ns).icmp_limits.get_or_insert_default();
        if limits.allow_redirect(now, ip.src) {
            self.icmp_error(ns, Some(dev), ip, frame, icmp::REDIRECT, 1, u32::from(gw));
        }
    }

    /// An ICMP message for this namespace (icmp_rcv).
    pub(crate) fn icmp_input(&mut self, ns: NsId, dev: DevId, ip: IpHeader, frame: Frame, to_one: bool) {
        let message = ip.payload(frame.data());
        let mib = &mut self.nss[ns.index()].mib;
        mib.inc(Mib::IcmpInMsgs);
        if message.len() < icmp::HEADER {
            mib.inc(Mib::IcmpInErrors);
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        }
        if !icmp::checksum_ok(message, ip.src, ip.dst) {
            mib.inc(Mib::IcmpInCsumErrors);
            mib.inc(Mib::IcmpInErrors);
            return self.core.drop(ns, Some(dev), frame, DropReason::IcmpCsum);
        }
        let kind = message[0];
        mib.icmp_in(kind);
        if let Some(counter) = counter_in(kind) {
            mib.inc(counter);
        }
        let n = self.ns(ns);
        // RFC 1122 §3.2.2: unknown types are discarded; §3.2.2.6, §3.2.2.8: of messages to several only questions count.
        let questions = [icmp::ECHO, icmp::TIMESTAMP, icmp::MASK_REQUEST, icmp::MASK_REPLY];
        let ignored = matches!(kind, icmp::ECHO | icmp::TIMESTAMP) && n.knobs.on(Knob::IcmpEchoIgnoreBroadcasts);
        // PROBE requests and replies (RFC 8335) are known, and passed over unless switched on.
        let known = kind <= NR_ICMP_TYPES || matches!(kind, 42 | 43);
        if !known || !to_one && (ignored || !questions.contains(&kind)) {
            self.ns_mut(ns).mib.inc(Mib::IcmpInErrors);
            return self.core.drop(ns, Some(dev), frame, DropReason::InvalidProto);
        }
        match kind {
            icmp::ECHO if n.knobs.on(Knob::IcmpEchoIgnoreAll) => {
                self.core.drop(ns, Some(dev), frame, DropReason::InvalidProto);
            }
            icmp::ECHO => self.icmp_reply(ns, &ip, frame, icmp::ECHO_REPLY, to_one),
            icmp::TIMESTAMP if message.len() >= icmp::HEADER + 4 => {
                self.icmp_reply(ns, &ip, frame, icmp::TIMESTAMP_REPLY, to_one)
            }
            icmp::ECHO_REPLY => self.ping_input(ns, dev, ip, frame),
            icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAM_PROBLEM => self.icmp_error_input(ns, dev, &ip, frame),
            icmp::REDIRECT => self.icmp_redirect_input(ns, dev, &ip, frame),
            // A source quench is read like an error, and means nothing (RFC 6633).
            4 if IpHeader::parse_quoted(&message[icmp::HEADER..]).is_none() => {
                self.ns_mut(ns).mib.inc(Mib::IcmpInErrors);
                self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
            }
            // Messages nobody acts on, replies to questions nobody asked included.
            _ => self.core.drop(ns, Some(dev), frame, DropReason::InvalidProto),
        }
    }

    /// Turns a request into its reply (icmp_reply): same payload, addresses swapped, TOS kept.
    fn icmp_reply(&mut self, ns: NsId, ip: &IpHeader, frame: Frame, kind: u8, to_one: bool) {
        let own = to_one.then_some(ip.dst);
        let mark = if self.ns(ns).knobs.on(Knob::FwmarkReflect) { frame.meta().mark } else { 0 };
        let echo = self.echo_options(ns, ip, &frame);
        let to = echo.first.map_or(ip.src, IpAddr::V4);
        let req = OutRequest { src: own, mark, tos: ip.tos, proto: proto::ICMP, ..OutRequest::to(to) };
        let Ok(route) = self.route_output(ns, &req) else {
            // The question arrived, the answer has no way back: silence, as the kernel does.
            return self.core.deliver(ns, frame.meta().iif, frame, Delivery::Icmp);
        };
        let fields = self.icmp_fields(ns, &route, to, ip.tos);
        let head = fields.header_len() + echo.bytes.len();
        // A timestamp reply has three times, whatever the request brought (icmp_timestamp).
        let body = if kind == icmp::TIMESTAMP_REPLY { icmp::HEADER + 12 } else { ip.payload(frame.data()).len() };
        let mut reply = self.core.new_frame(ns, head + body, Origin::Icmp, Some(frame.id()));
        let b = &mut reply.data_mut()[head..];
        let asked = ip.payload(frame.data());
        let same = asked.len().min(body);
        b[..same].copy_from_slice(&asked[..same]);
        b[0] = kind;
        if kind == icmp::TIMESTAMP_REPLY {
            let ms = self.milliseconds();
            put32(b, 12, ms);
            put32(b, 16, ms);
        }
        icmp::seal(b, fields.src, fields.dst);
        self.write_with_options(&fields, &echo, ip.src, reply.data_mut());
        self.core.deliver(ns, frame.meta().iif, frame, Delivery::Icmp);
        // The kernel counts every reply as one to an echo request.
        self.count_out(ns, icmp::ECHO_REPLY);
        let _ = self.ip_output(ns, reply, &route);
    }

    /// Somebody reports an error about a packet sent from here (icmp_unreach).
    fn icmp_error_input(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame) {
        let message = ip.payload(frame.data());
        let (kind, code) = (message[0], message[1]);
        let quoted = &message[icmp::HEADER..];
        let Some(inner) = IpHeader::parse_quoted(quoted).filter(|h| quoted.len() >= h.header_len + 8) else {
            self.ns_mut(ns).mib.inc(Mib::IcmpInErrors);
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        };
        let too_big = kind == icmp::UNREACHABLE && code == unreach::FRAG_NEEDED;
        let mode = self.ns(ns).knobs.get(Knob::NoPmtuDisc);
        // Nobody hears of an unknown code, of an expired reassembly, nor with `ip_no_pmtu_disc` 2 of a small MTU.
        let last = if kind == icmp::UNREACHABLE { 15 } else { u8::MAX };
        let unheard = (kind == icmp::TIME_EXCEEDED && code == 1) || code > last || (too_big && mode >= 2);
        if unheard {
            return self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
        }
        let mtu = if too_big && mode == 0 { be16(message, 6) as u32 } else { 0 };
        let matched = self.socket_error(ns, dev, ip.src, &inner, kind, code, mtu, quoted);
        self.tunnel_error(ns, &inner, kind, code);
        // A tunnel's own packets are known by their ends (gre_err, ipip_err).
        if too_big && (matched || self.is_of_tunnel(ns, &inner)) {
            self.learn_pmtu(ns, inner.dst, mtu);
        }
        self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
    }

    /// Remembers the MTU of the path to `dst` (ip_rt_update_pmtu): never below `min_pmtu`, for `mtu_expires`.
    pub(crate) fn learn_pmtu(&mut self, ns: NsId, dst: IpAddr, mtu: u32) {
        let now = self.core.now;
        let Ok(way) = self.route_output(ns, &OutRequest::to(dst)) else { return };
        // What is fixed stays, and nothing grows (ip_rt_update_pmtu).
        if way.mtu_locked || way.mtu < mtu || way.kind != RouteType::Unicast {
            return;
        }
        let n = self.ns_mut(ns);
        let min = n.knobs.get(Knob::RouteMinPmtu) as u32;
        let expires = now + n.knobs.get(Knob::RouteMtuExpires) as u64 * SEC;
        let locked = mtu < min;
        let known = n.exceptions.get_or_insert_default();
        let first = known.get(now, dst).is_none();
        known.set_mtu(now, dst, mtu.max(min), locked, expires);
        if first {
            known.bind(dst, (way.dev, way.next_hop));
        }
    }

    /// A router says there is a better first hop (icmp_redirect, __ip_do_redirect; RFC 1122 §3.2.2.2).
    fn icmp_redirect_input(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: Frame) {
        let message = ip.payload(frame.data());
        let gateway = IpAddr::V4(Ipv4Addr::from(be32(message, 4)));
        let quoted = &message[icmp::HEADER..];
        let inner = IpHeader::parse_quoted(quoted).filter(|h| quoted.len() >= h.header_len + 8);
        if let Some(inner) = inner {
            let tuple = ports::tuple(&inner, &quoted[inner.header_len..]);
            let matched = self.socket_matches(ns, tuple);
            let counted = !matched && matches!(inner.proto, proto::TCP | proto::UDP);
            self.ns_mut(ns).mib.count_if(counted, true, Mib::IcmpInErrors);
            if matched {
                self.apply_redirect(ns, dev, ip.src, inner.dst, gateway);
            }
        }
        self.core.deliver(ns, Some(dev), frame, Delivery::Icmp);
    }

    fn apply_redirect(&mut self, ns: NsId, dev: DevId, from: IpAddr, dst: IpAddr, gateway: IpAddr) {
        let d = self.dev(dev);
        // Routers do not listen to redirects; `all` and the device are combined accordingly (IN_DEV_RX_REDIRECTS).
        let accepted = if d.forwards(true) {
            self.conf_and(dev, Conf::AcceptRedirects)
        } else {
            self.conf_or(dev, Conf::AcceptRedirects)
        };
        let IpAddr::V4(gw) = gateway else { return };
        if !accepted || gw.is_multicast() || gw.is_broadcast() || gw.octets()[0] == 0 || gateway == from {
            return;
        }
        let off_link = !self.same_subnet(dev, gateway, from);
        if (off_link && !self.conf_or(dev, Conf::SharedMedia)) || self.is_local(ns, gateway) {
            return;
        }
        let Ok(current) = self.route_output(ns, &OutRequest::to(dst)) else { return };
        if current.dev != dev || current.next_hop != from {
            return;
        }
        let now = self.core.now;
        if self
            .ns(ns)
            .neigh
            .get(now, dev, gateway)
            .is_some_and(|n| n.mac.is_some() && !matches!(n.state, NeighState::Incomplete | NeighState::Failed))
        {
            let expires = now + 300 * SEC;
            let known = self.ns_mut(ns).exceptions.get_or_insert_default();
            known.set_gateway(now, dst, gateway, expires);
            known.bind(dst, (dev, from));
        } else {
            // The first redirect only makes us ask for the new gateway's MAC (neigh_event_send).
            self.probe_neighbour(ns, dev, gateway);
        }
    }

    /// The next hop of a packet sent here did not answer (ipv4_link_failure): the sender, which may be ourselves, is told.
    pub(crate) fn link_failure(&mut self, ns: NsId, frame: &Frame) {
        let Ok(ip) = IpHeader::parse(frame.data()) else { return };
        let (kind, code) = match ip.is_ipv4() {
            true => (icmp::UNREACHABLE, unreach::HOST),
            false => (icmp::v6::UNREACHABLE, super::icmp6::ADDRESS_UNREACHABLE),
        };
        self.icmp_error(ns, frame.meta().iif, &ip, frame, kind, code, 0);
    }

    pub(crate) fn count_out(&mut self, ns: NsId, kind: u8) {
        let mib = &mut self.ns_mut(ns).mib;
        mib.inc(Mib::IcmpOutMsgs);
        mib.icmp_out(kind);
        if let Some(counter) = counter_out(kind) {
            mib.inc(counter);
        }
    }
}

fn counter_in(kind: u8) -> Option<Mib> {
    Some(match kind {
        icmp::ECHO_REPLY => Mib::IcmpInEchoReps,
        icmp::UNREACHABLE => Mib::IcmpInDestUnreachs,
        icmp::REDIRECT => Mib::IcmpInRedirects,
        icmp::ECHO => Mib::IcmpInEchos,
        icmp::TIME_EXCEEDED => Mib::IcmpInTimeExcds,
        icmp::PARAM_PROBLEM => Mib::IcmpInParmProbs,
        icmp::TIMESTAMP => Mib::IcmpInTimestamps,
        icmp::TIMESTAMP_REPLY => Mib::IcmpInTimestampReps,
        4 => Mib::IcmpInSrcQuenchs,
        17 => Mib::IcmpInAddrMasks,
        18 => Mib::IcmpInAddrMaskReps,
        _ => return None,
    })
}

fn counter_out(kind: u8) -> Option<Mib> {
    Some(match kind {
        icmp::ECHO_REPLY => Mib::IcmpOutEchoReps,
        icmp::UNREACHABLE => Mib::IcmpOutDestUnreachs,
        icmp::REDIRECT => Mib::IcmpOutRedirects,
        icmp::ECHO => Mib::IcmpOutEchos,
        icmp::TIME_EXCEEDED => Mib::IcmpOutTimeExcds,
        icmp::PARAM_PROBLEM => Mib::IcmpOutParmProbs,
        icmp::TIMESTAMP => Mib::IcmpOutTimestamps,
        icmp::TIMESTAMP_REPLY => Mib::IcmpOutTimestampReps,
        _ => return None,
    })
}
