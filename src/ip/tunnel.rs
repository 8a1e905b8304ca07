//! Packets inside packets: what leaves by a tunnel device gets an outer header, what arrives for a tunnel loses it
//! (ip_tunnel_xmit, ip_tunnel_rcv; vxlan_xmit_one, vxlan_rcv).

use super::OutRequest;
use crate::{
    base::{DevId, Errno, Mac, NsId, proto},
    device::tunnel::{Tunnel, VXLAN_HEADER, Vxlan},
    kernel::{DeviceKind, Kernel, mib::Mib, sysctl::Knob},
    trace::DropReason,
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
/// Largest IP packet in bytes.
const LARGEST: usize = 65_535;

impl Kernel {
    /// A packet leaves by a point-to-point tunnel.
    pub(crate) fn tunnel_output(&mut self, dev: DevId, mut frame: Frame) -> Result<(), Errno> {
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
        let route = match self.route_output(ns, &request) {
            // A tunnel whose packets would go through itself carries nothing (ip_tunnel_xmit: collisions).
            Ok(route) if route.dev != dev => route,
            _ => {
                self.link_failure(ns, &frame);
                self.core.drop(ns, Some(dev), frame, DropReason::IpOutNoRoutes);
                return Ok(());
            }
        };
        let room = route.mtu.saturating_sub(tunnel.overhead() as u32);
        if inner.df && inner.total_len > room as usize {
            // The sender learns what the path leaves for it (tnl_update_pmtu).
            self.icmp_error(ns, frame.meta().iif, &inner, &frame, icmp::UNREACHABLE, unreach::FRAG_NEEDED, room);
            self.core.drop(ns, Some(dev), frame, DropReason::PktTooBig);
            return Ok(());
        }
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

    /// A frame leaves by a VXLAN.
    pub(crate) fn vxlan_output(&mut self, dev: DevId, mut frame: Frame) -> Result<(), Errno> {
        let now = self.core.now;
        let d = self.dev(dev);
        let ns = d.ns;
        let DeviceKind::Vxlan(v) = &d.kind else { unreachable!("the caller looked at the kind") };
        let (port, local, link) = (v.port, v.local, v.link);
        let Some(remote) = v.remote_of(now, eth::dst(frame.data())) else {
            self.core.drop(ns, Some(dev), frame, DropReason::BridgeNoPort);
            return Ok(());
        };
        let sport = self.flow_port(ns, frame.data());
        let request = OutRequest {
            src: local.map(IpAddr::V4),
            oif: link,
            proto: proto::UDP,
            sport,
            dport: port,
            ..OutRequest::to(remote.into())
        };
        let route = match self.route_output(ns, &request) {
            Ok(route) if route.dev != dev => route,
            _ => {
                self.core.drop(ns, Some(dev), frame, DropReason::IpOutNoRoutes);
                return Ok(());
            }
        };
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
        self.decapsulated(dev, frame);
        None
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
        self.vxlan_learn(dev, eth::src(frame.data()), src);
        self.decapsulated(dev, frame);
        None
    }

    fn vxlan_learn(&mut self, dev: DevId, mac: Mac, from: Ipv4Addr) {
        let now = self.core.now;
        if let DeviceKind::Vxlan(v) = &mut self.dev_mut(dev).kind {
            let v: &mut Vxlan = v;
            v.learn(now, mac, from);
        }
    }

    /// What was inside arrives at the tunnel's device.
    fn decapsulated(&mut self, dev: DevId, mut frame: Frame) {
        let meta = frame.meta_mut();
        (meta.ct, meta.frag_max, meta.vlan, meta.dst_ns) = (None, 0, None, None);
        meta.packet_type = crate::wire::PacketType::Host;
        self.upper_input(dev, frame);
    }
}
