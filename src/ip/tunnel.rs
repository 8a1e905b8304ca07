//! Packets inside packets: what leaves by a tunnel device gets an outer header, what arrives for a tunnel loses it
//! (ip_tunnel_xmit, ip_tunnel_rcv; vxlan_xmit_one, vxlan_rcv).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, Errno, Mac, NsId, SEC, Time, proto},
    device::tunnel::{Tunnel, VXLAN_HEADER, Vxlan},
    kernel::{DevStats, DeviceKind, Kernel, mib::Mib, sysctl::Knob},
    trace::{DropReason, Origin},
    wire::{
        Frame, IpHeader, be16, eth,
        icmp::{self, unreach},
        ip::{IpFields, V4_HEADER},
        ports, put16, udp,
    },
};
use std::net::{IpAddr, Ipv4Addr};

/// Tunnels within tunnels that a packet may enter on its way out; a route that leads a tunnel through itself would
/// never end (`XMIT_RECURSION_LIMIT`).
const DEEPEST: u8 = 8;
/// A tunnel carried a packet of `len` bytes.
fn count_tx(stats: &mut DevStats, len: usize) {
    stats.tx_packets += 1;
    stats.tx_bytes += len as u64;
}

/// For how long an error about a tunnel's packet is remembered (`IPTUNNEL_ERR_TIMEO`).
const ERROR_TIME: Time = 30 * SEC;
/// Code of an unreachable message that no tunnel can cause.
const SOURCE_ROUTE_FAILED: u8 = 5;
/// Largest IP packet in bytes.
const LARGEST: usize = 65_535;

impl Kernel {
    /// A packet leaves by a point-to-point tunnel.
    pub(crate) fn tunnel_output(&mut self, dev: DevId, frame: Frame) -> Result<(), Errno> {
        let d = self.dev(dev);
        let ns = d.ns;
        let DeviceKind::Tunnel(tunnel) = &d.kind else { unreachable!("the caller looked at the kind") };
        let tunnel: Tunnel = **tunnel;
        let Some(inner) = IpHeader::parse(frame.data()).ok().filter(IpHeader::is_ipv4) else {
            self.core.drop(ns, Some(dev), frame, DropReason::UnhandledProto);
            return Ok(());
        };
        let request = OutRequest {
            src: Some(tunnel.local.into()).filter(|_| !tunnel.local.is_unspecified()),
            oif: tunnel.link,
            mark: frame.meta().mark,
            proto: tunnel.protocol(),
            ..OutRequest::to(tunnel.remote.into())
        };
        let Some((route, mut frame)) = self.route_outer(dev, &request, frame) else { return Ok(()) };
        let room = route.mtu.saturating_sub(tunnel.overhead() as u32);
        // What the path leaves is noted for the inner destination, packet by packet (skb_dst_update_pmtu_no_confirm).
        if self.is_news(ns, inner.dst, room) {
            self.learn_pmtu(ns, inner.dst, room);
        }
        if inner.df && inner.total_len > room as usize {
            // The sender learns what the path leaves for it (tnl_update_pmtu).
            self.icmp_error(ns, frame.meta().iif, &inner, &frame, icmp::UNREACHABLE, unreach::FRAG_NEEDED, room);
            self.dev_mut(dev).stats.tx_errors += 1;
            self.core.drop(ns, Some(dev), frame, DropReason::PktTooBig);
            return Ok(());
        }
        if self.owes_failure(dev) {
            self.link_failure(ns, &frame);
        }
        count_tx(&mut self.dev_mut(dev).stats, frame.len());
        let b = frame.push(tunnel.header_len());
        tunnel.write_header(b);
        let fields = IpFields {
            src: route.src,
            dst: tunnel.remote.into(),
            proto: tunnel.protocol(),
            ttl: if tunnel.ttl == 0 { inner.ttl } else { tunnel.ttl },
            // The congestion mark shows outside (RFC 6040 §4.1), nothing else of the inner type of service.
            tos: inner.tos & 3,
            df: true,
            id: self.next_ip_id(ns),
        };
        self.send_outer(dev, fields, frame, &route)
    }

    /// The way of what a tunnel sends; without one the frame is dropped. A tunnel whose packets would go through itself
    /// carries nothing (ip_tunnel_xmit: collisions).
    fn route_outer(&mut self, dev: DevId, request: &OutRequest, frame: Frame) -> Option<(RouteOut, Frame)> {
        let ns = self.dev(dev).ns;
        match self.route_output(ns, request) {
            Ok(route) if route.dev != dev => Some((route, frame)),
            _ => {
                self.dev_mut(dev).stats.tx_errors += 1;
                self.core.drop(ns, Some(dev), frame, DropReason::IpOutNoRoutes);
                None
            }
        }
    }

    /// A frame leaves by a VXLAN: once for every end the station is behind.
    pub(crate) fn vxlan_output(&mut self, dev: DevId, frame: Frame) -> Result<(), Errno> {
        let now = self.core.now;
        let d = self.dev_mut(dev);
        let ns = d.ns;
        let DeviceKind::Vxlan(v) = &mut d.kind else { unreachable!("the caller looked at the kind") };
        let remotes = v.remotes_of(now, eth::dst(frame.data()));
        let Some((last, others)) = remotes.split_last() else {
            self.dev_mut(dev).stats.tx_dropped += 1;
            self.core.drop(ns, Some(dev), frame, DropReason::BridgeNoPort);
            return Ok(());
        };
        for remote in others {
            let copy = self.core.copy_frame(ns, &frame, Origin::Flood);
            self.vxlan_output_to(dev, *remote, copy)?;
        }
        self.vxlan_output_to(dev, *last, frame)
    }

    /// `vxlan_xmit_one`
    fn vxlan_output_to(&mut self, dev: DevId, remote: Ipv4Addr, frame: Frame) -> Result<(), Errno> {
        let d = self.dev(dev);
        let ns = d.ns;
        let DeviceKind::Vxlan(v) = &d.kind else { unreachable!("the caller looked at the kind") };
        let (port, local, link) = (v.port, v.local, v.link);
        let sport = self.flow_port(ns, frame.data());
        let request = OutRequest {
            src: local.map(IpAddr::V4),
            oif: link,
            proto: proto::UDP,
            sport,
            dport: port,
            ..OutRequest::to(remote.into())
        };
        let Some((route, mut frame)) = self.route_outer(dev, &request, frame) else { return Ok(()) };
        self.vxlan_limit(ns, dev, &route, &frame);
        // Counted is what is inside the inner frame (iptunnel_xmit_stats).
        count_tx(&mut self.dev_mut(dev).stats, frame.len() - eth::HEADER);
        let b = frame.push(udp::HEADER + VXLAN_HEADER);
        let len = b.len();
        if let DeviceKind::Vxlan(v) = &self.devs[dev.index()].kind {
            v.write_header(&mut b[udp::HEADER..]);
        }
        for (at, word) in [sport, port, len as u16, 0].into_iter().enumerate() {
            put16(b, at * 2, word); // no checksum over IPv4 (`noudpcsum`)
        }
        let ttl = self.default_ttl(ns, route.dev, true);
        let id = self.next_ip_id(ns);
        let fields = IpFields { src: route.src, dst: remote.into(), proto: proto::UDP, ttl, tos: 0, df: false, id };
        self.send_outer(dev, fields, frame, &route)
    }

    /// What does not fit into one outer packet teaches the route it took how much does (`skb_tunnel_check_pmtu`). The
    /// packet itself goes on, in fragments.
    fn vxlan_limit(&mut self, ns: NsId, dev: DevId, route: &super::RouteOut, frame: &Frame) {
        let room = route.mtu.saturating_sub(Vxlan::OVERHEAD as u32);
        let inner = frame.data().get(eth::HEADER..).unwrap_or_default();
        // A frame that was bridged has no route.
        let routed = self.dev(dev).master.is_none() && frame.meta().src_ns == Some(ns);
        if !routed || inner.len() <= room as usize || be16(frame.data(), 12) != eth::IPV4 {
            return;
        }
        if let Some(ip) = IpHeader::parse_quoted(inner) {
            self.learn_pmtu(ns, ip.dst, room);
        }
    }

    /// Puts the outer header on and sends the packet on its way.
    fn send_outer(
        &mut self,
        dev: DevId,
        fields: IpFields,
        mut frame: Frame,
        route: &super::RouteOut,
    ) -> Result<(), Errno> {
        let ns = self.dev(dev).ns;
        if self.core.nesting >= DEEPEST || frame.len() + V4_HEADER > LARGEST {
            self.core.drop(ns, Some(dev), frame, DropReason::PktTooBig);
            return Ok(());
        }
        frame.push(V4_HEADER);
        fields.write(frame.data_mut());
        let meta = frame.meta_mut();
        // Outside it is another flow (skb_scrub_packet).
        (meta.ct, meta.frag_max, meta.vlan, meta.iif) = (None, 0, None, None);
        self.core.nesting += 1;
        // What becomes of the outer packet is not the inner sender's business.
        let _ = self.ip_output(ns, frame, route);
        self.core.nesting -= 1;
        Ok(())
    }

    /// The source port of a VXLAN datagram: the same for all packets of an inner flow, so that they take one path
    /// (udp_flow_src_port).
    fn flow_port(&self, ns: NsId, b: &[u8]) -> u16 {
        let knobs = &self.ns(ns).knobs;
        let (lo, hi) = (knobs.get(Knob::LocalPortMin) as u64, knobs.get(Knob::LocalPortMax) as u64);
        let l3 = b.get(eth::HEADER..).unwrap_or_default();
        let flow = (be16(b, 12) == eth::IPV4).then(|| IpHeader::parse_quoted(l3)).flatten();
        let words: [u64; 3] = match flow {
            Some(ip) => {
                let t = ports::tuple(&ip, l3.get(ip.header_len..).unwrap_or_default());
                let v4 = |a| match a {
                    IpAddr::V4(a) => u32::from(a) as u64,
                    IpAddr::V6(_) => 0,
                };
                [v4(t.src), v4(t.dst), (t.proto as u64) << 32 | (t.sport as u64) << 16 | t.dport as u64]
            }
            None => {
                let number = |m: Mac| m.0.iter().fold(0, |n, b| n << 8 | *b as u64);
                [number(eth::dst(b)), number(eth::src(b)), be16(b, 12) as u64]
            }
        };
        let hash = words.into_iter().fold(self.core.seed, |h, w| {
            let h = (h ^ w).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            h ^ h >> 31
        });
        ((((hash >> 32) * hi.saturating_sub(lo)) >> 32) + lo) as u16
    }

    /// A packet for this namespace may be the outside of one: gives it back if no tunnel takes it.
    pub(crate) fn tunnel_input(&mut self, ns: NsId, ip: &IpHeader, frame: Frame) -> Option<Frame> {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (ip.src, ip.dst) else { return Some(frame) };
        let payload = ip.payload(frame.data());
        let found = self.ns(ns).devices.iter().find_map(|id| match &self.dev(*id).kind {
            DeviceKind::Tunnel(t) if self.dev(*id).up => Some((*id, t.accepts(ip.proto, src, dst, payload)?)),
            _ => None,
        });
        let Some((dev, header)) = found else { return Some(frame) };
        let mut frame = frame;
        frame.pull(ip.header_len + header);
        if frame.len() < V4_HEADER {
            // pskb_inet_may_pull
            self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
            return None;
        }
        self.decapsulated(dev, frame);
        None
    }

    /// Whether it is worth noting that `room` bytes fit on the way to `dst`: not while it is known for less than half the
    /// time it is kept (__ip_rt_update_pmtu).
    fn is_news(&self, ns: NsId, dst: IpAddr, room: u32) -> bool {
        let n = self.ns(ns);
        let half = n.knobs.get(Knob::RouteMtuExpires) as Time * SEC / 2;
        let known = n.exceptions.as_ref().and_then(|x| x.get(self.core.now, dst));
        known.is_none_or(|e| e.mtu != Some(room) || e.expires < self.core.now + half)
    }

    /// An ICMP error about a tunnel's own packet: whoever uses the tunnel next is told that the other end cannot be
    /// reached, once per error within 30 s (`err_count` of gre_err and ipip_err).
    pub(crate) fn tunnel_error(&mut self, ns: NsId, outer: &IpHeader, kind: u8, code: u8) {
        let is_gre = outer.proto == proto::GRE;
        let unreachable = kind == icmp::UNREACHABLE
            && code != unreach::FRAG_NEEDED
            && code != SOURCE_ROUTE_FAILED
            && !(is_gre && code == unreach::PORT);
        let expired = kind == icmp::TIME_EXCEEDED && code == 0;
        if self.ns(ns).tunnels == 0 || !(unreachable || expired) {
            return;
        }
        let now = self.core.now;
        let Some(dev) = self.tunnel_of(ns, outer) else { return };
        if let DeviceKind::Tunnel(t) = &mut self.dev_mut(dev).kind
            && !(expired && t.ttl == 0)
        {
            let recent = t.errors.1 > 0 && now < t.errors.0 + ERROR_TIME;
            t.errors = (now, if recent { t.errors.1 + 1 } else { 1 });
        }
    }

    /// Whether the user of a tunnel has to be told about an error.
    fn owes_failure(&mut self, dev: DevId) -> bool {
        let now = self.core.now;
        let DeviceKind::Tunnel(t) = &mut self.dev_mut(dev).kind else { return false };
        let (at, count) = t.errors;
        let owed = count > 0 && now < at + ERROR_TIME;
        t.errors.1 = if owed { count - 1 } else { 0 };
        owed
    }

    /// Whether one of the namespace's VXLANs may have sent that datagram.
    pub(crate) fn is_of_vxlan(&self, ns: NsId, outer: &IpHeader, quoted: &[u8]) -> bool {
        let n = self.ns(ns);
        let Some(l4) = quoted.get(outer.header_len..).filter(|b| b.len() >= 4) else { return false };
        let to = be16(l4, 2);
        n.tunnels > 0
            && outer.proto == proto::UDP
            && n.devices.iter().any(|d| matches!(&self.dev(*d).kind, DeviceKind::Vxlan(v) if v.port == to))
    }

    /// Whether one of the namespace's tunnels may have sent that outer packet.
    pub(crate) fn is_of_tunnel(&self, ns: NsId, outer: &IpHeader) -> bool {
        self.tunnel_of(ns, outer).is_some()
    }

    fn tunnel_of(&self, ns: NsId, outer: &IpHeader) -> Option<DevId> {
        let n = self.ns(ns);
        if n.tunnels == 0 {
            return None;
        }
        let sent = |t: &Tunnel| {
            t.protocol() == outer.proto
                && outer.dst == IpAddr::V4(t.remote)
                && (t.local.is_unspecified() || outer.src == IpAddr::V4(t.local))
        };
        n.devices.iter().copied().find(|d| matches!(&self.dev(*d).kind, DeviceKind::Tunnel(t) if sent(t)))
    }

    /// Whether the namespace has tunnels: then it answers for the protocols they use (`tunnel4_rcv`, `gre_rcv`).
    pub(crate) fn has_tunnels(&self, ns: NsId) -> bool {
        self.ns(ns).devices.iter().any(|d| matches!(self.dev(*d).kind, DeviceKind::Tunnel(_)))
    }

    /// A datagram may carry a frame of a VXLAN: gives it back if there is no end at that port.
    pub(crate) fn vxlan_input(&mut self, ns: NsId, ip: &IpHeader, frame: Frame) -> Option<Frame> {
        let payload = ip.payload(frame.data());
        let IpAddr::V4(src) = ip.src else { return Some(frame) };
        if payload.len() < udp::HEADER {
            return Some(frame);
        }
        let port = be16(payload, 2);
        let inner = &payload[udp::HEADER..];
        let mut end = None;
        for id in &self.ns(ns).devices {
            let d = self.dev(*id);
            match &d.kind {
                DeviceKind::Vxlan(v) if v.port == port && d.up => end = Some((*id, v.accepts(inner))),
                _ => continue,
            }
            if end.is_some_and(|(_, ours)| ours) {
                break;
            }
        }
        let Some((dev, ours)) = end else { return Some(frame) };
        self.ns_mut(ns).mib.inc(Mib::UdpInDatagrams);
        if !ours {
            // The port is taken, but not by that network (vxlan_rcv).
            self.core.drop(ns, Some(dev), frame, DropReason::NoSocket);
            return None;
        }
        let mut frame = frame;
        frame.pull(ip.header_len + udp::HEADER + VXLAN_HEADER);
        let (now, source) = (self.core.now, eth::src(frame.data()));
        let d = self.dev_mut(dev);
        let echo = source == d.mac; // a frame of its own came back (vxlan_set_mac)
        let DeviceKind::Vxlan(v) = &mut d.kind else { unreachable!("found by its kind") };
        if echo || !source.is_unicast() || !v.learn(now, source, src) {
            self.core.drop(ns, Some(dev), frame, DropReason::MacInvalidSource);
            return None;
        }
        self.decapsulated(dev, frame);
        None
    }

    /// What was inside arrives at the tunnel's device.
    fn decapsulated(&mut self, dev: DevId, mut frame: Frame) {
        let meta = frame.meta_mut();
        (meta.ct, meta.frag_max, meta.vlan, meta.dst_ns) = (None, 0, None, None);
        meta.packet_type = crate::wire::PacketType::Host;
        self.upper_input(dev, frame, false);
    }
}
