//! IPv4 options of packets that come in and pass through (net/ipv4/ip_options.c; RFC 791 §3.1, RFC 1812 §5.3.13).

use super::{OutRequest, route::FlowDetail};
use crate::{
    base::{DevId, MS, NsId},
    kernel::{InputRoute, Kernel, mib::Mib, sysctl::Conf},
    route::RouteType,
    trace::DropReason,
    wire::{
        Frame, IpHeader, PacketType, checksum, icmp,
        options::{self, Echo, Host, OptionMarks},
        put16,
    },
};
use std::net::{IpAddr, Ipv4Addr};

impl Kernel {
    /// Reads the options of a packet whose route is known (ip_rcv_options); gives the packet back with the route it has
    /// now. A packet without options passes.
    pub(super) fn ip_options(
        &mut self,
        ns: NsId,
        dev: DevId,
        ip: &mut IpHeader,
        mut frame: Frame,
        way: InputRoute,
    ) -> Option<(InputRoute, Frame)> {
        frame.meta_mut().options = OptionMarks::default();
        if ip.header_len <= crate::wire::ip::V4_HEADER || !ip.is_ipv4() {
            return Some((way, frame));
        }
        let own = match way.kind {
            RouteType::Local => Some(ip.dst),
            _ => self.route_output(ns, &OutRequest::to(ip.src)).ok().map(|r| r.src),
        };
        let time = self.milliseconds();
        let header = ip.header_len;
        let mut bytes = frame.data()[..header].to_vec();
        let mut marks = OptionMarks::default();
        let host = Host { addr: own.and_then(v4), time, elsewhere: &|a| self.is_elsewhere(ns, a) };
        let read = options::compile(&mut bytes, &host, &mut marks);
        match read {
            Ok(()) => {}
            Err(at) => {
                // The quote shows the packet as it came, the options of the report what was filled in so far.
                reseal(frame.data_mut(), &bytes);
                frame.meta_mut().options = marks;
                self.ns_mut(ns).mib.inc(Mib::IpInHdrErrors);
                self.icmp_error(ns, Some(dev), ip, &frame, icmp::PARAM_PROBLEM, 0, u32::from(at) << 24);
                self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
                return None;
            }
        }
        reseal(frame.data_mut(), &bytes);
        frame.meta_mut().options = marks;
        if marks.srr == 0 {
            return Some((way, frame));
        }
        self.source_route(ns, dev, ip, frame, way)
    }

    /// The packet follows a source route (ip_options_rcv_srr).
    fn source_route(
        &mut self,
        ns: NsId,
        dev: DevId,
        ip: &mut IpHeader,
        mut frame: Frame,
        mut way: InputRoute,
    ) -> Option<(InputRoute, Frame)> {
        let mut marks = frame.meta().options;
        if !self.conf_and(dev, Conf::AcceptSourceRoute) || frame.meta().packet_type != PacketType::Host {
            self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
            return None;
        }
        if way.forward {
            if marks.strict {
                self.icmp_error(ns, Some(dev), ip, &frame, icmp::PARAM_PROBLEM, 0, 16 << 24);
                self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
                return None;
            }
            return Some((way, frame));
        }
        let mut bytes = frame.data()[..ip.header_len].to_vec();
        let all: Vec<(usize, Ipv4Addr)> = options::hops(&bytes, &marks);
        let [at, len] = [marks.srr as usize, bytes[marks.srr as usize + 1] as usize];
        let cut_off = (bytes[at + 2] as usize) <= len && all.is_empty();
        if way.kind != RouteType::Local || cut_off {
            if cut_off {
                self.icmp_error(ns, Some(dev), ip, &frame, icmp::PARAM_PROBLEM, 0, (u32::from(marks.srr) + 2) << 24);
            }
            self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
            return None;
        }
        for (_, hop) in all {
            let detail = FlowDetail::default();
            let next = self.input_route_hashed(ns, dev, ip.src, hop.into(), ip.tos, frame.meta().mark, detail);
            match next {
                Ok(next) if next.kind == RouteType::Unicast && next.forward => {
                    marks.srr_hit = Some(hop);
                    way = next;
                    break;
                }
                Ok(next) if next.kind == RouteType::Local => {
                    ip.dst = hop.into();
                    bytes[16..20].copy_from_slice(&hop.octets());
                    way = next;
                }
                _ => {
                    self.core.drop(ns, Some(dev), frame, DropReason::IpInHdr);
                    return None;
                }
            }
        }
        reseal(frame.data_mut(), &bytes);
        frame.meta_mut().options = marks;
        Some((way, frame))
    }

    /// Enters this router into the options of a packet that passes through (ip_forward_options).
    pub(super) fn forward_options(&mut self, ns: NsId, out: DevId, ip: &mut IpHeader, frame: &mut Frame) {
        let marks = frame.meta().options;
        if marks == OptionMarks::default() {
            return;
        }
        // ip_rt_get_source: the address packets to this destination would have.
        let request = OutRequest { oif: Some(out), ..OutRequest::to(marks.srr_hit.map_or(ip.dst, IpAddr::V4)) };
        let own = self.route_output(ns, &request).ok().and_then(|r| v4(r.src)).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let mut bytes = frame.data()[..ip.header_len].to_vec();
        options::fill(&mut bytes, marks.rr_needaddr, marks.rr, 5, own.into());
        if let Some(hop) = marks.srr_hit
            && let Some((at, _)) = options::hops(&bytes, &marks).into_iter().find(|(_, a)| *a == hop)
        {
            bytes[16..20].copy_from_slice(&hop.octets());
            bytes[at..at + 4].copy_from_slice(&own.octets());
            bytes[marks.srr as usize + 2] = (at + 1 - marks.srr as usize + 4) as u8;
            ip.dst = hop.into();
        }
        options::fill(&mut bytes, marks.ts_needaddr, marks.ts, 9, own.into());
        reseal(frame.data_mut(), &bytes);
    }

    /// The options of an answer to a packet.
    pub(super) fn echo_options(&self, ns: NsId, ip: &IpHeader, frame: &Frame) -> Echo {
        let marks = frame.meta().options;
        if marks == OptionMarks::default() {
            return Echo::default();
        }
        options::echo(&frame.data()[..ip.header_len], &marks, &|a| self.is_elsewhere(ns, a))
    }

    /// Milliseconds since midnight (RFC 792); virtual time starts at midnight.
    pub(super) fn milliseconds(&self) -> u32 {
        (self.core.now / MS % (24 * 3600 * 1000)) as u32
    }

    fn is_elsewhere(&self, ns: NsId, addr: Ipv4Addr) -> bool {
        self.ns(ns).fib.addr_kind(addr.into(), None) == RouteType::Unicast
    }
}

/// Puts a header with changed options in place, with its checksum.
fn reseal(packet: &mut [u8], header: &[u8]) {
    packet[..header.len()].copy_from_slice(header);
    put16(packet, 10, 0);
    let sum = checksum::of(&packet[..header.len()]);
    put16(packet, 10, sum);
}

fn v4(addr: IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(a) => Some(a),
        IpAddr::V6(_) => None,
    }
}
