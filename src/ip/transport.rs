//! Between the way of a packet and the sockets (net/ipv4/udp.c, tcp_ipv4.c, raw.c, ping.c at their edges).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, Errno, NsId, SockId, Tuple, proto},
    kernel::{
        Kernel, Work,
        mib::Mib,
        sysctl::{Conf, Knob},
    },
    socket::{
        DatagramOutcome, IcmpError,
        tcp::{Path, SegmentOutcome, Target, TcpConfig},
    },
    trace::{Delivery, DropReason, Event, NeighState, Origin},
    wire::{
        Frame, IpHeader, PacketType, be16, checksum,
        icmp::{self, unreach},
        ip::IpFields,
        put16,
        tcp::{HEADER, RST, SYN, Segment},
    },
};
use std::net::IpAddr;

impl Kernel {
    /// A UDP datagram for this namespace (`__udp4_lib_rcv`). `to_one` is false for broadcasts and groups.
    pub(crate) fn udp_input(&mut self, ns: NsId, dev: DevId, ip: IpHeader, frame: Frame, to_one: bool) {
        let verify = untrusted(&frame);
        let via = self.seen_by(ns, dev, ip.dst);
        let n = &mut self.nss[ns.index()];
        let l4 = ip.payload(frame.data());
        let outcome = match &mut n.sockets {
            Some(s) => s.udp_input(&ip, l4, Some(via), !to_one, verify),
            None => DatagramOutcome::NoSocket,
        };
        match outcome {
            DatagramOutcome::Delivered(_) => {
                self.sockets_changed(ns);
                self.core.deliver(ns, Some(dev), frame, Delivery::Socket);
            }
            DatagramOutcome::NoSocket if to_one && verify && bad_udp_checksum(&ip, l4) => {
                n.mib.count(ip.is_ipv4(), Mib::UdpInErrors);
                n.mib.count(ip.is_ipv4(), Mib::UdpInCsumErrors);
                self.core.drop(ns, Some(dev), frame, DropReason::UdpCsum);
            }
            DatagramOutcome::NoSocket if to_one => {
                n.mib.count(ip.is_ipv4(), Mib::UdpNoPorts);
                let (kind, code) = port_unreachable(&ip);
                self.icmp_error(ns, Some(dev), &ip, &frame, kind, code, 0);
                self.core.drop(ns, Some(dev), frame, DropReason::NoSocket);
            }
            DatagramOutcome::NoSocket => {
                n.mib.count(ip.is_ipv4(), Mib::UdpIgnoredMulti);
                self.core.drop(ns, Some(dev), frame, DropReason::NoSocket);
            }
            DatagramOutcome::Dropped(reason) => {
                n.mib.count(ip.is_ipv4(), Mib::UdpInErrors);
                match reason {
                    DropReason::UdpCsum => n.mib.count(ip.is_ipv4(), Mib::UdpInCsumErrors),
                    DropReason::SocketRcvBuff => n.mib.count(ip.is_ipv4(), Mib::UdpRcvbufErrors),
                    _ => {}
                }
                self.core.drop(ns, Some(dev), frame, reason);
            }
        }
    }

    /// The device sockets see a packet come in by: of what a namespace sends itself over `lo`, the device the address
    /// belongs to (the packet keeps its output route, whose `rt_iif`, or for IPv6 `rt6i_idev`, that is).
    fn seen_by(&self, ns: NsId, dev: DevId, dst: IpAddr) -> DevId {
        if dev != self.ns(ns).lo {
            return dev;
        }
        self.ns(ns).fib.local_dev(dst).unwrap_or(dev)
    }

    /// A TCP segment for this namespace (`tcp_v4_rcv`).
    pub(crate) fn tcp_input(&mut self, ns: NsId, dev: DevId, ip: IpHeader, frame: Frame) {
        let l4 = ip.payload(frame.data());
        let mib = &mut self.nss[ns.index()].mib;
        mib.inc(Mib::TcpInSegs);
        let Some(segment) = Segment::parse(l4) else {
            mib.inc(Mib::TcpInErrs);
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        };
        if untrusted(&frame) && checksum::upper(ip.src, ip.dst, proto::TCP, l4) != 0 {
            mib.inc(Mib::TcpInErrs);
            mib.inc(Mib::TcpInCsumErrors);
            return self.core.drop(ns, Some(dev), frame, DropReason::TcpCsum);
        }
        let via = self.seen_by(ns, dev, ip.dst);
        let target = self.ns(ns).sockets.as_ref().and_then(|s| s.tcp_target(&ip, &segment, Some(via)));
        let outcome = match target {
            None => SegmentOutcome::NoSocket,
            Some(target) => self.tcp_segment(ns, dev, target, &ip, segment, &frame),
        };
        match outcome {
            SegmentOutcome::Delivered => self.core.deliver(ns, Some(dev), frame, Delivery::Socket),
            SegmentOutcome::NoSocket => {
                // Counted whether or not there is a way back (case no-return-route).
                if self.tcp_reset(ns, &ip, &frame) {
                    let mib = &mut self.ns_mut(ns).mib;
                    mib.inc(Mib::TcpOutSegs);
                    mib.inc(Mib::TcpOutRsts);
                }
                self.core.drop(ns, Some(dev), frame, DropReason::NoSocket);
            }
            SegmentOutcome::Dropped(reason) => self.core.drop(ns, Some(dev), frame, reason),
        }
    }

    fn tcp_segment(
        &mut self,
        ns: NsId,
        dev: DevId,
        target: Target,
        ip: &IpHeader,
        segment: Segment,
        frame: &Frame,
    ) -> SegmentOutcome {
        let back = Tuple { src: ip.dst, dst: ip.src, sport: segment.dport, dport: segment.sport, proto: proto::TCP };
        let config = matches!(target, Target::Listener(_)).then(|| self.tcp_config(ns, dev, ip.is_ipv4()));
        let Some(sockets) = self.nss[ns.index()].sockets.as_deref_mut() else { return SegmentOutcome::NoSocket };
        if let Some(config) = config {
            sockets.tcp.config = config;
        }
        let Some(opts) = sockets.get(target.slot()).map(|s| s.options()) else { return SegmentOutcome::NoSocket };
        let device = opts.device.or(link_of(ip.src, Some(dev)));
        let request = request(&back, device, opts.mark, opts.tos);
        let route = self.route_output(ns, &request).ok();
        let parent = Some(frame.id());
        let now = self.core.now;
        let Kernel { core, nss, .. } = self;
        let sockets = nss[ns.index()].sockets.as_deref_mut().expect("the socket was just found");
        let mut maker = |len: usize| core.new_frame(ns, len, Origin::Socket, parent);
        let path = route.as_ref().map(path_of);
        let outcome = sockets.tcp_segment(target, now, ip, segment, frame.data(), Some(dev), path, &mut maker);
        self.tcp_drain(ns, route.map(|r| (back, r)));
        outcome
    }

    /// Answers a segment with a reset in the name of its destination (`tcp_v4_send_reset`, `nf_send_reset`); resets are
    /// not answered. Returns whether an answer is due, even if there is no way back.
    pub(crate) fn tcp_reset(&mut self, ns: NsId, ip: &IpHeader, frame: &Frame) -> bool {
        let Some(segment) = Segment::parse(ip.payload(frame.data())) else { return false };
        if segment.flags & RST != 0 || ip.is_fragment() || frame.meta().packet_type != PacketType::Host {
            return false;
        }
        let back = Tuple { src: ip.dst, dst: ip.src, sport: segment.dport, dport: segment.sport, proto: proto::TCP };
        let mark = if self.ns(ns).knobs.on(Knob::FwmarkReflect) { frame.meta().mark } else { 0 };
        let device = link_of(ip.src, frame.meta().iif);
        // A filter resets in the name of hosts that are somewhere else.
        let wanted = OutRequest { any_src: true, ..request(&back, device, mark, ip.tos) };
        let Ok(route) = self.route_output(ns, &wanted) else { return true };
        let ttl = self.default_ttl(ns, route.dev, ip.is_ipv4());
        let fields = IpFields { src: ip.dst, dst: ip.src, proto: proto::TCP, ttl, tos: ip.tos, df: true, id: 0 };
        let head = fields.header_len();
        let mut reset = self.core.new_frame(ns, head + HEADER, Origin::Reset, Some(frame.id()));
        reset.data_mut()[head..].copy_from_slice(&segment.reset(ip.dst, ip.src));
        fields.write(reset.data_mut());
        reset.meta_mut().mark = mark;
        // Nobody waits for the result: the reset's fate is in the trace.
        if self.ip_output(ns, reset, &route) == Err(Errno::EPERM) {
            self.ns_mut(ns).mib.count(ip.is_ipv4(), Mib::IpOutDiscards);
        }
        true
    }

    /// Gives copies of a packet to raw sockets; true if any took one (`raw_local_deliver`).
    pub(crate) fn raw_input(&mut self, ns: NsId, dev: DevId, ip: &IpHeader, frame: &Frame) -> bool {
        let via = self.seen_by(ns, dev, ip.dst);
        let Some(sockets) = &mut self.nss[ns.index()].sockets else { return false };
        let taken = sockets.raw_input(ip, frame.data(), Some(via)) > 0;
        if taken {
            self.sockets_changed(ns);
        }
        taken
    }

    /// An echo reply: for the ping socket with its identifier, or for raw sockets, which have their copies already.
    pub(crate) fn ping_input(&mut self, ns: NsId, dev: DevId, ip: IpHeader, frame: Frame) {
        let via = self.seen_by(ns, dev, ip.dst);
        let sockets = self.nss[ns.index()].sockets.as_deref_mut();
        let outcome = sockets.map_or(DatagramOutcome::NoSocket, |s| {
            match s.ping_input(&ip, ip.payload(frame.data()), Some(via)) {
                DatagramOutcome::NoSocket if s.has_raw(ip.proto) => DatagramOutcome::Delivered(1),
                outcome => outcome,
            }
        });
        match outcome {
            DatagramOutcome::Delivered(_) => {
                self.sockets_changed(ns);
                self.core.deliver(ns, Some(dev), frame, Delivery::Socket);
            }
            DatagramOutcome::NoSocket => self.core.drop(ns, Some(dev), frame, DropReason::NoSocket),
            DatagramOutcome::Dropped(reason) => self.core.drop(ns, Some(dev), frame, reason),
        }
    }

    /// An ICMP error about a packet of this namespace; whether a socket sent that packet, raw sockets included. `quoted`
    /// starts at the quoted IP header `inner`. Errors about datagrams and segments of no socket of their protocol are
    /// counted as errors themselves (__udp4_lib_err, tcp_v4_err).
    #[allow(clippy::too_many_arguments)] // the fields of the message
    pub(crate) fn socket_error(
        &mut self,
        ns: NsId,
        dev: DevId,
        offender: IpAddr,
        inner: &IpHeader,
        kind: u8,
        code: u8,
        mtu: u32,
        quoted: &[u8],
    ) -> bool {
        let now = self.core.now;
        // A VXLAN has a socket too, which hears of errors about what it sent (__udp4_lib_err_encap).
        let counted = matches!(inner.proto, proto::TCP | proto::UDP) && !self.is_of_vxlan(ns, inner, quoted);
        // IPv4 looks at the device the report came by, IPv6 at that of the route it kept (__udp4_lib_err, __udp6_lib_err).
        let via = if inner.is_ipv4() { dev } else { self.seen_by(ns, dev, inner.src) };
        let n = &mut self.nss[ns.index()];
        let Some(sockets) = n.sockets.as_deref_mut() else {
            n.mib.count_if(counted, inner.is_ipv4(), Mib::IcmpInErrors);
            return false;
        };
        let l4 = quoted.get(inner.header_len..).unwrap_or_default();
        let error = IcmpError { quoted: inner, l4, kind, code, mtu, offender, iif: Some(dev), now };
        let slot = sockets.find_quoted(inner, l4, Some(via));
        if let Some(slot) = slot {
            sockets.icmp_error(slot, &error);
        }
        let raw = sockets.raw_error(&error);
        n.mib.count_if(counted && slot.is_none(), inner.is_ipv4(), Mib::IcmpInErrors);
        self.sockets_changed(ns);
        slot.is_some() || raw
    }

    /// Whether a socket of this namespace sends packets with this tuple.
    pub(crate) fn socket_matches(&self, ns: NsId, tuple: Tuple) -> bool {
        self.ns(ns).sockets.as_ref().is_some_and(|s| s.sends(&tuple))
    }

    /// The wheel calls for a TCP socket.
    pub(crate) fn socket_timer(&mut self, id: SockId) {
        let now = self.core.now;
        let Some(sockets) = self.nss[id.ns.index()].sockets.as_deref_mut() else { return };
        if sockets.tcp_timer(id.slot, now) {
            self.tcp_run(id);
        } else {
            self.tcp_drain(id.ns, None);
        }
    }

    /// Runs the connections that apps or errors touched since the last event.
    pub(crate) fn flush_sockets(&mut self) {
        while let Some(ns) = self.dirty_sockets.pop() {
            while let Some(slot) = self.nss[ns.index()].sockets.as_mut().and_then(|s| s.next_dirty()) {
                self.tcp_run(SockId { ns, slot });
            }
        }
    }

    /// Runs one connection over the route its socket has now: routes may have changed since it last ran.
    fn tcp_run(&mut self, id: SockId) {
        let ns = id.ns;
        let Some(sockets) = self.nss[ns.index()].sockets.as_deref() else { return };
        let Some((tuple, opts)) = sockets.get(id.slot).and_then(|s| Some((s.tuple()?, s.options()))) else { return };
        let request = request(&tuple, opts.device, opts.mark, opts.tos);
        let route = self.route_output(ns, &request).ok();
        let now = self.core.now;
        let config = route.as_ref().map(|r| self.tcp_config(ns, r.dev, tuple.dst.is_ipv4()));
        let held = route.as_ref().is_some_and(|r| {
            !self.dev(r.dev).is_bare() && self.ns(ns).neigh.state(now, r.dev, r.next_hop) == NeighState::Incomplete
        });
        let Kernel { core, nss, .. } = self;
        let Some(sockets) = nss[ns.index()].sockets.as_deref_mut() else { return };
        sockets.tcp.config = config.unwrap_or(sockets.tcp.config);
        sockets.tcp.held = held;
        let mut maker = |len: usize| core.new_frame(ns, len, Origin::Socket, None);
        sockets.tcp_run(id.slot, now, route.as_ref().map(path_of), &mut maker);
        sockets.tcp.held = false;
        self.tcp_drain(ns, route.map(|r| (tuple, r)));
    }

    /// Carries away what connections produced: events, deadlines, counters, wake-ups, segments. `known` is a route the
    /// caller has already looked up.
    pub(crate) fn tcp_drain(&mut self, ns: NsId, known: Option<(Tuple, RouteOut)>) {
        let Some(sockets) = self.nss[ns.index()].sockets.as_deref_mut() else { return };
        let mut out = sockets.take_tcp_out();
        for t in out.transitions.drain(..) {
            self.core.emit(ns, None, None, Event::Tcp { tuple: t.tuple, state: t.state.name() });
        }
        let lo = self.ns(ns).lo;
        for (id, at) in out.timers.drain(..) {
            self.core.schedule(at, lo, Work::Socket(id));
        }
        if out.stats != Default::default() || !out.segments.is_empty() {
            let mib = &mut self.ns_mut(ns).mib;
            mib.add(Mib::TcpActiveOpens, out.stats.active_opens);
            mib.add(Mib::TcpPassiveOpens, out.stats.passive_opens);
            mib.add(Mib::TcpAttemptFails, out.stats.attempt_fails);
            mib.add(Mib::TcpEstabResets, out.stats.estab_resets);
            mib.add(Mib::TcpOutRsts, out.stats.out_resets);
            mib.add(Mib::TcpOutSegs, (out.segments.len() as u64).saturating_sub(out.stats.unsent));
            mib.add(Mib::TcpRetransSegs, out.stats.retransmitted);
        }
        self.sockets_changed(ns);
        let mut known = known;
        for s in out.segments.drain(..) {
            let mut frame = s.frame;
            frame.meta_mut().mark = s.mark;
            let route = match known {
                Some((tuple, route)) if tuple == s.tuple => Ok(route),
                _ => self.route_output(ns, &request(&s.tuple, s.oif, s.mark, s.tos)),
            };
            match route {
                Ok(route) => {
                    known = Some((s.tuple, route));
                    // TCP sends nothing again that has not left yet (skb_still_in_host_queue).
                    let waits = |queued: &Frame| same_segment(queued.data(), frame.data());
                    if self.ns_mut(ns).neigh.waiting(route.dev, route.next_hop).any(waits) {
                        self.core.drop(ns, Some(route.dev), frame, DropReason::StillQueued);
                        continue;
                    }
                    if route.advmss > 0 {
                        limit_mss(&mut frame, route.advmss);
                    }
                    // TCP retransmits whatever happened to the segment; its fate is in the trace.
                    let _ = self.ip_output(ns, frame, &route);
                }
                Err(_) => {
                    self.ns_mut(ns).mib.count(s.tuple.dst.is_ipv4(), Mib::IpOutNoRoutes);
                    self.core.drop(ns, None, frame, DropReason::IpOutNoRoutes);
                }
            }
        }
        if let Some(sockets) = self.nss[ns.index()].sockets.as_deref_mut() {
            sockets.return_tcp_out(out);
        }
    }

    /// Hands the wake-ups of a namespace to the loop, and notes whether connections wait to be run.
    pub(crate) fn sockets_changed(&mut self, ns: NsId) {
        let Some(sockets) = self.nss[ns.index()].sockets.as_deref_mut() else { return };
        self.core.wakes.append(&mut sockets.wakes);
        if sockets.has_dirty() && self.dirty_sockets.last() != Some(&ns) {
            self.dirty_sockets.push(ns);
        }
    }

    /// What TCP takes from the namespace's sysctls.
    pub(crate) fn tcp_config(&self, ns: NsId, dev: DevId, ipv4: bool) -> TcpConfig {
        let knobs = &self.ns(ns).knobs;
        TcpConfig {
            rcvbuf: knobs.get(Knob::TcpRmem).max(0) as usize,
            sndbuf: knobs.get(Knob::TcpWmem).max(0) as usize,
            syn_retries: knobs.get(Knob::TcpSynRetries).max(0) as u32,
            syn_linear: knobs.get(Knob::TcpSynLinearTimeouts).max(0) as u32,
            synack_retries: knobs.get(Knob::TcpSynackRetries).max(0) as u32,
            retries2: knobs.get(Knob::TcpRetries2).max(0) as u32,
            default_ttl: self.default_ttl(ns, dev, ipv4),
        }
    }

    /// The TTL of packets whose sender does not choose one; for IPv6 the hop limit of the device they leave by.
    pub(crate) fn default_ttl(&self, ns: NsId, dev: DevId, ipv4: bool) -> u8 {
        let ttl = if ipv4 { self.ns(ns).knobs.get(Knob::DefaultTtl) } else { self.dev(dev).conf.get(Conf::HopLimit) };
        ttl.clamp(1, 255) as u8
    }
}

/// Checksums of packets that never left the simulator's own hands are right by construction; those of damaged packets
/// and of packets somebody else made have to be looked at.
pub(super) fn untrusted(frame: &Frame) -> bool {
    frame.meta().corrupted || frame.meta().src_ns.is_none()
}

/// Whether two packets are the same TCP segment: of one connection, with one sequence number, length and flags.
fn same_segment(a: &[u8], b: &[u8]) -> bool {
    let read = |p: &[u8]| {
        let ip = IpHeader::parse(p).ok().filter(|ip| ip.proto == proto::TCP)?;
        let s = Segment::parse(ip.payload(p))?;
        Some((ip.src, ip.dst, s.sport, s.dport, s.seq, s.len, s.flags))
    };
    a.len() == b.len() && read(a).is_some_and(|r| read(b) == Some(r))
}

/// The route says how large the segments are that the peer is told to send (RTAX_ADVMSS).
fn limit_mss(frame: &mut Frame, most: u16) {
    let Ok(ip) = IpHeader::parse(frame.data()) else { return };
    let Some(segment) = Segment::parse(ip.payload(frame.data())) else { return };
    if segment.flags & SYN == 0 {
        return;
    }
    let at = ip.header_len;
    let b = frame.data_mut();
    let mut option = at + HEADER;
    while option + 4 <= at + segment.header_len && b[option] != 0 {
        match b[option] {
            1 => option += 1,
            2 if be16(b, option + 2) > most => {
                put16(b, option + 2, most);
                put16(b, at + 16, 0);
                let sum = checksum::upper(ip.src, ip.dst, proto::TCP, &b[at..]);
                return put16(b, at + 16, sum);
            }
            _ => option += usize::from(b[option + 1]).max(2),
        }
    }
}

/// Whether a datagram has a checksum, and a wrong one (`udp_lib_checksum_complete`). IPv6 knows no datagrams without.
fn bad_udp_checksum(ip: &IpHeader, l4: &[u8]) -> bool {
    let none = l4.get(6..8).is_some_and(|sum| sum == [0, 0]);
    !(none && ip.is_ipv4()) && checksum::upper(ip.src, ip.dst, proto::UDP, l4) != 0
}

/// The device an answer to a link-local address must leave by: the one the question came in by (inet6_iif).
fn link_of(peer: IpAddr, iif: Option<DevId>) -> Option<DevId> {
    iif.filter(|_| matches!(peer, IpAddr::V6(a) if a.is_unicast_link_local()))
}

fn port_unreachable(ip: &IpHeader) -> (u8, u8) {
    if ip.is_ipv4() { (icmp::UNREACHABLE, unreach::PORT) } else { (icmp::v6::UNREACHABLE, 4) }
}

fn path_of(r: &RouteOut) -> Path {
    Path { dev: r.dev, mtu: r.mtu }
}

pub(crate) fn request(t: &Tuple, oif: Option<DevId>, mark: u32, tos: u8) -> OutRequest {
    OutRequest {
        src: Some(t.src),
        dst: t.dst,
        oif,
        mark,
        tos,
        proto: t.proto,
        sport: t.sport,
        dport: t.dport,
        any_src: false,
    }
}
