//! IPv6 packets leave: neighbour discovery past the routing tables, and fragmentation at the source (RFC 8200 §4.5;
//! ip6_fragment, ndisc_send_skb).

use super::RouteOut;
use crate::{
    base::{DevId, Errno, NsId, proto},
    kernel::{Kernel, MIN_MTU6, mib::Mib},
    route::RouteType,
    trace::{Delivery, DropReason, Origin},
    wire::{
        Frame, IpHeader, icmp,
        ip::{IpFields, V6_FRAGMENT, V6_HEADER},
        nd::HOP_LIMIT,
        put16, put32,
    },
};
use std::net::{IpAddr, Ipv6Addr};

impl Kernel {
    /// Sends a neighbour discovery message on a link (ndisc_send_skb); its checksum is computed here.
    pub(crate) fn nd_send(&mut self, dev: DevId, src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) {
        let d = self.dev(dev);
        let (ns, mtu) = (d.ns, d.mtu);
        let (src, dst) = (IpAddr::V6(src), IpAddr::V6(dst));
        let mut frame = self.core.new_frame(ns, V6_HEADER + message.len(), Origin::Neighbour, None);
        let b = &mut frame.data_mut()[V6_HEADER..];
        b.copy_from_slice(message);
        icmp::seal(b, src, dst);
        let fields = IpFields { src, dst, proto: proto::ICMPV6, ttl: HOP_LIMIT, tos: 0, df: false, id: 0 };
        fields.write(frame.data_mut());
        self.count_out6(ns, message[0]);
        let kind = if dst.is_multicast() { RouteType::Multicast } else { RouteType::Unicast };
        let route = RouteOut { dev, next_hop: dst, src, mtu, mtu_locked: false, kind, advmss: 0 };
        // A lost message shows in the trace; the state machine asks again.
        let _ = self.ip_output(ns, frame, &route);
    }

    /// Sends an IPv6 packet in pieces that fit `mtu`. The fragment header comes behind the headers routers look at.
    pub(super) fn fragment6(
        &mut self,
        ns: NsId,
        out: DevId,
        next_hop: IpAddr,
        mtu: u32,
        ip: &IpHeader,
        frame: Frame,
    ) -> Result<(), Errno> {
        // What was reassembled for conntrack leaves in pieces no larger than it came.
        let limit = match frame.meta().frag_max as u32 {
            0 => mtu,
            largest => largest.clamp(MIN_MTU6, mtu.max(MIN_MTU6)),
        } as usize;
        let (head, field) = unfragmentable(frame.data(), ip);
        let room = limit.saturating_sub(head + V6_FRAGMENT) & !7;
        if room == 0 {
            self.ns_mut(ns).mib.add6(Mib::IpFragFails, 1);
            self.core.drop(ns, Some(out), frame, DropReason::PktTooBig);
            return Err(Errno::EMSGSIZE);
        }
        let n = self.ns_mut(ns);
        n.ip_id = n.ip_id.wrapping_add(1);
        let id = n.ip_id;
        let payload = ip.total_len - head;
        let (iif, mark) = (frame.meta().iif, frame.meta().mark);
        let mut result = Ok(());
        let mut at = 0;
        while at < payload {
            let len = room.min(payload - at);
            let more = at + len < payload;
            let size = head + V6_FRAGMENT + len;
            let mut piece = self.core.new_frame(ns, size, Origin::Fragment, Some(frame.id()));
            let (b, whole) = (piece.data_mut(), frame.data());
            b[..head].copy_from_slice(&whole[..head]);
            b[head + V6_FRAGMENT..].copy_from_slice(&whole[head + at..head + at + len]);
            put16(b, 4, (size - V6_HEADER) as u16);
            b[head] = std::mem::replace(&mut b[field], proto::FRAGMENT);
            b[head + 1] = 0;
            put16(b, head + 2, at as u16 | more as u16);
            put32(b, head + 4, id);
            (piece.meta_mut().iif, piece.meta_mut().mark) = (iif, mark);
            self.ns_mut(ns).mib.add6(Mib::IpFragCreates, 1);
            result = result.and(self.ip_finish(out, next_hop, piece));
            at += len;
        }
        self.ns_mut(ns).mib.add6(Mib::IpFragOKs, 1);
        self.core.deliver(ns, Some(out), frame, Delivery::Split);
        result
    }
}

/// Bytes of the part every fragment repeats – the IPv6 header with hop-by-hop options and a routing header
/// (ip6_find_1stfragopt) –, and where its last next-header field stands.
fn unfragmentable(b: &[u8], ip: &IpHeader) -> (usize, usize) {
    let (mut end, mut field) = (V6_HEADER, 6);
    while end < ip.header_len && matches!(b[field], 0 | 43) {
        (field, end) = (end, end + (b[end + 1] as usize + 1) * 8);
    }
    (end, field)
}
