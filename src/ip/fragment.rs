//! Taking packets apart and putting them together (ip_do_fragment, ip_defrag; RFC 791 §3.2).

use crate::{
    base::{DevId, Errno, NsId},
    kernel::{Kernel, Work, mib::Mib, reassembly::Outcome, sysctl::Knob},
    trace::{Delivery, DropReason, Origin},
    wire::{Frame, IpHeader, checksum, icmp, put16},
};
use std::net::IpAddr;

/// IPv4 header bit: more fragments follow.
const MF: u16 = 0x2000;
/// IPv4 header bit: don't fragment.
const DF: u16 = 0x4000;

impl Kernel {
    /// Sends an IPv4 packet in pieces that fit `mtu`.
    pub(crate) fn fragment(
        &mut self,
        ns: NsId,
        out: DevId,
        next_hop: IpAddr,
        mtu: u32,
        ip: &IpHeader,
        frame: Frame,
    ) -> Result<(), Errno> {
        let frag_max = frame.meta().frag_max as usize;
        let limit = if frag_max > 0 { frag_max.min(mtu as usize) } else { mtu as usize };
        let header = ip.header_len;
        let room = limit.saturating_sub(header) & !7;
        if room == 0 {
            self.ns_mut(ns).mib.inc(Mib::IpFragFails);
            self.core.drop(ns, Some(out), frame, DropReason::PktTooBig);
            return Err(Errno::EMSGSIZE);
        }
        let payload = ip.total_len - header;
        let mut result = Ok(());
        let mut at = 0;
        while at < payload {
            let len = room.min(payload - at);
            let more = at + len < payload || ip.more_fragments;
            let mut piece = self.core.new_frame(ns, header + len, Origin::Fragment, Some(frame.id()));
            let (b, whole) = (piece.data_mut(), frame.data());
            b[..header].copy_from_slice(&whole[..header]);
            b[header..].copy_from_slice(&whole[header + at..header + at + len]);
            if at > 0 && header > crate::wire::ip::V4_HEADER {
                crate::wire::options::strip(&mut b[..header]);
            }
            let offset = (ip.frag_offset + at) / 8;
            // DF stays on fragments of a datagram that had it when it was reassembled (ip_do_fragment, IPCB DF).
            let df = if ip.df && frag_max > 0 { DF } else { 0 };
            put16(b, 2, (header + len) as u16);
            put16(b, 6, offset as u16 | if more { MF } else { 0 } | df);
            put16(b, 10, 0);
            let c = checksum::of(&b[..header]);
            put16(b, 10, c);
            let (iif, mark) = (frame.meta().iif, frame.meta().mark);
            (piece.meta_mut().iif, piece.meta_mut().mark) = (iif, mark);
            self.ns_mut(ns).mib.inc(Mib::IpFragCreates);
            result = result.and(self.ip_finish(out, next_hop, piece));
            at += len;
        }
        self.ns_mut(ns).mib.inc(Mib::IpFragOKs);
        self.core.deliver(ns, Some(out), frame, Delivery::Split);
        result
    }

    /// Takes a fragment; gives back the whole datagram once it is complete.
    pub(crate) fn reassemble(
        &mut self,
        ns: NsId,
        dev: Option<DevId>,
        ip: IpHeader,
        frame: Frame,
    ) -> Option<(IpHeader, Frame)> {
        let now = self.core.now;
        let ipv4 = ip.is_ipv4();
        self.ns_mut(ns).mib.count(ipv4, Mib::IpReasmReqds);
        if let (false, true, Some(dev)) = (ipv4, ip.more_fragments, dev)
            && !(ip.total_len - ip.header_len).is_multiple_of(8)
        {
            // RFC 8200 §4.5 wants the payload length pointed at (ip6_frag_queue).
            self.refuse6(ns, dev, &ip, frame, super::exthdr::Refusal::Problem(0, 4));
            return None;
        }
        let n = self.ns_mut(ns);
        let timeout = n.knobs.seconds(if ipv4 { Knob::IpfragTime } else { Knob::Ip6fragTime });
        let budget = n.knobs.get(Knob::IpfragHighThresh).max(0) as usize;
        let distance = if ipv4 { n.knobs.get(Knob::IpfragMaxDist).max(0) as u32 } else { 0 };
        let r = n.reassembly.get_or_insert_default();
        let armed = r.next_deadline();
        let too_far = r.restart_if_far(&ip, distance);
        let outcome = r.add(now, timeout, budget, &ip, frame);
        let (next, lo) = (r.next_deadline(), n.lo);
        if let Some(at) = next.filter(|_| next != armed) {
            self.core.schedule(at, lo, Work::Reassembly(ns));
        }
        if !too_far.is_empty() {
            self.ns_mut(ns).mib.count(ipv4, Mib::IpReasmFails);
            for f in too_far {
                self.core.drop(ns, dev, f, DropReason::FragTooFar);
            }
        }
        match outcome {
            Outcome::Waiting => None,
            Outcome::Dropped(frames) => {
                // The datagram is counted, not its pieces (ip_frag_queue).
                let mib = &mut self.nss[ns.index()].mib;
                match frames.first().map(|(_, reason)| *reason) {
                    None | Some(DropReason::DupFrag) => {}
                    Some(reason) => {
                        mib.count(ipv4, Mib::IpReasmFails);
                        if reason == DropReason::FragOverlap && ipv4 {
                            mib.inc(Mib::IpExtReasmOverlaps);
                        }
                    }
                }
                for (f, reason) in frames {
                    self.core.drop(ns, dev, f, reason);
                }
                None
            }
            Outcome::Complete(pieces, largest) => self.join(ns, dev, pieces, largest),
        }
    }

    /// One datagram from its fragments, which are in order.
    fn join(
        &mut self,
        ns: NsId,
        dev: Option<DevId>,
        pieces: Vec<(IpHeader, Frame)>,
        largest: usize,
    ) -> Option<(IpHeader, Frame)> {
        let (first, first_frame) = pieces.first().expect("a complete datagram has a first fragment");
        let (ipv4, header) = (first.is_ipv4(), first.header_len);
        let ecn = common_ecn(pieces.iter().map(|(h, _)| h.tos));
        if ipv4 && ecn.is_none() {
            self.ns_mut(ns).mib.inc(Mib::IpReasmFails);
            for (_, f) in pieces {
                self.core.drop(ns, dev, f, DropReason::FragEcn);
            }
            return None;
        }
        let payload: usize = pieces.iter().map(|(h, _)| h.total_len - h.header_len).sum();
        // The fragment header of IPv6 goes; everything in front of it stays.
        let kept = if ipv4 { header } else { header - crate::wire::ip::V6_FRAGMENT };
        let mut whole = self.core.new_frame(ns, kept + payload, Origin::Reassembled, Some(first_frame.id()));
        let meta = *first_frame.meta();
        *whole.meta_mut() = crate::wire::Meta { id: whole.id(), frag_max: largest as u16, ..meta };
        let b = whole.data_mut();
        let src = first_frame.data();
        b[..kept].copy_from_slice(&src[..kept]);
        let mut at = kept;
        for (h, f) in &pieces {
            let part = h.payload(f.data());
            b[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        if ipv4 {
            let df = pieces.iter().any(|(h, _)| h.df);
            b[1] |= ecn.unwrap_or(0);
            put16(b, 2, (kept + payload) as u16);
            put16(b, 6, if df { DF } else { 0 });
            put16(b, 10, 0);
            let c = checksum::of(&b[..kept]);
            put16(b, 10, c);
        } else {
            join_v6(b, first, kept, payload);
        }
        for (_, f) in pieces {
            self.core.deliver(ns, dev, f, Delivery::Joined);
        }
        self.ns_mut(ns).mib.count(ipv4, Mib::IpReasmOKs);
        match IpHeader::parse(whole.data()) {
            Ok(ip) => Some((ip, whole)),
            Err(reason) => {
                self.core.drop(ns, dev, whole, reason);
                None
            }
        }
    }

    /// The oldest incomplete datagrams of a namespace have waited long enough.
    pub(crate) fn reassembly_timer(&mut self, ns: NsId) {
        let now = self.core.now;
        while let Some((pieces, first)) = self.ns_mut(ns).reassembly.as_mut().and_then(|r| r.expire(now)) {
            let ipv4 = pieces.first().is_none_or(|(ip, _)| ip.is_ipv4());
            let mib = &mut self.ns_mut(ns).mib;
            mib.count(ipv4, Mib::IpReasmTimeout);
            mib.count(ipv4, Mib::IpReasmFails);
            for (i, (ip, frame)) in pieces.into_iter().enumerate() {
                let dev = frame.meta().iif;
                // Only the host the datagram was for reports the timeout (ip_expire).
                if i == 0 && first && !ipv4 {
                    // ip6frag_expire_frag_queue: whoever reassembles reports.
                    self.icmp_error(ns, dev, &ip, &frame, icmp::v6::TIME_EXCEEDED, 1, 0);
                } else if i == 0 && first && self.is_local(ns, ip.dst) {
                    self.icmp_error(ns, dev, &ip, &frame, icmp::TIME_EXCEEDED, 1, 0);
                }
                self.core.drop(ns, dev, frame, DropReason::FragReasmTimeout);
            }
        }
        let n = self.ns(ns);
        let (next, lo) = (n.reassembly.as_ref().and_then(|r| r.next_deadline()), n.lo);
        if let Some(at) = next {
            self.core.schedule(at, lo, Work::Reassembly(ns));
        }
    }
}

/// What the whole datagram's ECN field gains from its pieces; `None` if they contradict each other: only some of them
/// were sent by somebody who knows ECN (RFC 3168 §5.3; ip_frag_ecn_table).
fn common_ecn(fields: impl Iterator<Item = u8>) -> Option<u8> {
    let seen = fields.fold(0u8, |seen, tos| seen | 1 << (tos & 3));
    match (seen & 1 != 0, seen & !1) {
        (true, 0) => Some(0),
        (true, _) => None,
        // Congestion met by one piece is congestion met by all.
        (false, set) => Some(if set & 8 != 0 && set != 8 { 3 } else { 0 }),
    }
}

/// Repairs the header chain of an IPv6 packet whose fragment header was taken out (RFC 8200 §4.5).
fn join_v6(b: &mut [u8], first: &IpHeader, kept: usize, payload: usize) {
    put16(b, 4, (kept + payload - crate::wire::ip::V6_HEADER) as u16);
    let at = first.frag_header_at.expect("an IPv6 fragment has a fragment header");
    // Find the field that named the fragment header and let it name what follows.
    let (mut field, mut next) = (6, crate::wire::ip::V6_HEADER);
    while next < at {
        field = next;
        next += (b[next + 1] as usize + 1) * 8;
    }
    b[field] = first.proto;
}
