//! The rewriting of packets in place, checksums included (nf_nat_proto.c; RFC 1624, RFC 5508 for ICMP errors).

use super::Manip;
use crate::{
    base::{Mutant, mutated, proto},
    netfilter::conntrack::flow::Flow,
    wire::{
        IpHeader, be16, icmp,
        ip::{V4_HEADER, V6_HEADER},
        put16,
    },
};
use std::net::{IpAddr, Ipv6Addr};

/// The change of a one's complement sum (RFC 1624 eqn. 3), gathered word by word and applied to several checksums.
#[derive(Clone, Copy, Default)]
struct Delta(u32);

impl Delta {
    #[inline]
    fn word(&mut self, old: u16, new: u16) {
        self.0 += !old as u32 + new as u32;
    }

    #[inline]
    fn addr4(old: u32, new: u32) -> Delta {
        let mut d = Delta::default();
        d.word((old >> 16) as u16, (new >> 16) as u16);
        d.word(old as u16, new as u16);
        d
    }

    fn addr6(old: Ipv6Addr, new: Ipv6Addr) -> Delta {
        let mut d = Delta::default();
        for (o, n) in old.segments().into_iter().zip(new.segments()) {
            d.word(o, n);
        }
        d
    }

    /// Two foldings suffice for any sum of 32 bits.
    #[inline]
    fn apply(self, b: &mut [u8], at: usize) {
        let s = self.0 + !be16(b, at) as u32;
        let s = (s & 0xffff) + (s >> 16);
        let s = (s & 0xffff) + (s >> 16);
        put16(b, at, !(s as u16));
    }
}

/// Rewrites one end of the packet `b`, whose header is `ip`, to that end of `target` (`nf_nat_manip_pkt`). `ip` is kept in
/// step. Parts that are cut off, as in a quoted packet, are left alone.
#[inline]
pub(crate) fn packet(b: &mut [u8], ip: &mut IpHeader, target: &Flow, manip: Manip) {
    let Some((head, l4)) = b.split_at_mut_checked(ip.header_len) else { return };
    let new = if manip == Manip::Src { target.src } else { target.dst };
    let old = if manip == Manip::Src { &mut ip.src } else { &mut ip.dst };
    let pseudo = match (&old, new) {
        (IpAddr::V4(was), IpAddr::V4(new)) => {
            let Some(head) = head.first_chunk_mut::<V4_HEADER>() else { return };
            let at = if manip == Manip::Src { 12 } else { 16 };
            let delta = Delta::addr4(u32::from(*was), u32::from(new));
            head[at..at + 4].copy_from_slice(&new.octets());
            delta.apply(head, 10);
            delta
        }
        (IpAddr::V6(was), IpAddr::V6(new)) => {
            let Some(head) = head.first_chunk_mut::<V6_HEADER>() else { return };
            let at = if manip == Manip::Src { 8 } else { 24 };
            head[at..at + 16].copy_from_slice(&new.octets());
            Delta::addr6(*was, new)
        }
        _ => return,
    };
    *old = new;
    let pseudo = if mutated(Mutant::StaleChecksum) { Delta::default() } else { pseudo };
    if ip.frag_offset == 0 {
        upper(l4, ip.proto, target, manip, pseudo);
    }
}

/// Ports, identifier and checksum of the upper layer (`l4proto_manip_pkt`). `sum` already holds the change of address.
#[inline]
fn upper(l4: &mut [u8], protocol: u8, target: &Flow, manip: Manip, mut sum: Delta) {
    match protocol {
        proto::TCP | proto::UDP if l4.len() >= 8 => {
            let (at, port) = if manip == Manip::Src { (0, target.sport) } else { (2, target.dport) };
            let port = if mutated(Mutant::ForgetsPort) { be16(l4, at) } else { port };
            sum.word(be16(l4, at), port);
            put16(l4, at, port);
            if protocol == proto::TCP {
                // A quoted segment may end before its checksum.
                if l4.len() >= crate::wire::tcp::HEADER {
                    sum.apply(l4, 16);
                }
            } else if be16(l4, 6) != 0 {
                // RFC 768: 0 means "no checksum", so a computed 0 is sent as all ones.
                sum.apply(l4, 6);
                if be16(l4, 6) == 0 {
                    put16(l4, 6, 0xffff);
                }
            }
        }
        // No pseudo header (RFC 792); only queries have an identifier.
        proto::ICMP if l4.len() >= icmp::HEADER && has_id(true, l4[0]) => {
            let mut sum = Delta::default();
            sum.word(be16(l4, 4), target.sport);
            put16(l4, 4, target.sport);
            sum.apply(l4, 2);
        }
        proto::ICMPV6 if l4.len() >= icmp::HEADER => {
            if has_id(false, l4[0]) {
                sum.word(be16(l4, 4), target.sport);
                put16(l4, 4, target.sport);
            }
            sum.apply(l4, 2);
        }
        _ => {}
    }
}

/// Whether bytes 4–5 of such a message are an identifier.
fn has_id(ipv4: bool, kind: u8) -> bool {
    icmp::is_echo(ipv4, kind) || (ipv4 && (13..=18).contains(&kind))
}

/// Translates an ICMP error about a translated flow: the packet it quotes, and its own address
/// (`nf_nat_icmp_reply_translation`). `outer` is the flow whose `manip` end the error takes; `inner` the flow of the
/// quoted packet, which travelled the other way.
pub(crate) fn icmp_error(b: &mut [u8], ip: &mut IpHeader, inner: &Flow, outer: &Flow, manip: Manip) {
    let end = ip.total_len.min(b.len());
    let quote = ip.header_len + icmp::HEADER;
    if let Some(quoted) = b.get_mut(quote..end)
        && let Some(mut header) = IpHeader::parse_quoted(quoted)
        && !mutated(Mutant::ForgetsQuote)
    {
        packet(quoted, &mut header, inner, manip.opposite());
    }
    packet(b, ip, outer, manip);
    icmp::seal(&mut b[ip.header_len..end], ip.src, ip.dst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Rng,
        wire::{checksum, ip::IpFields, udp},
    };

    fn build(src: &str, dst: &str, protocol: u8, l4: &[u8]) -> Vec<u8> {
        let fields = IpFields {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            proto: protocol,
            ttl: 64,
            tos: 0,
            df: true,
            id: 7,
        };
        let mut b = vec![0; fields.header_len()];
        b.extend_from_slice(l4);
        fields.write(&mut b);
        let at = fields.header_len();
        seal(&mut b[at..], fields.src, fields.dst, protocol);
        b
    }

    fn seal(l4: &mut [u8], src: IpAddr, dst: IpAddr, protocol: u8) {
        match protocol {
            proto::UDP => udp::write(l4, src, dst, be16(l4, 0), be16(l4, 2)),
            proto::TCP => {
                put16(l4, 16, 0);
                let c = checksum::upper(src, dst, protocol, l4);
                put16(l4, 16, c);
            }
            _ => icmp::seal(l4, src, dst),
        }
    }

    /// The full recomputation as the twin of the incremental update.
    fn checksums_ok(b: &[u8]) -> bool {
        let Ok(ip) = IpHeader::parse(b) else { return false };
        let l4 = ip.payload(b);
        match ip.proto {
            proto::UDP => udp::checksum_ok(l4, ip.src, ip.dst),
            proto::TCP => checksum::upper(ip.src, ip.dst, proto::TCP, l4) == 0,
            _ => icmp::checksum_ok(l4, ip.src, ip.dst),
        }
    }

    fn target(rng: &mut Rng, ipv4: bool, protocol: u8) -> Flow {
        let mut addr = || match ipv4 {
            true => IpAddr::V4((rng.next_u64() as u32).into()),
            false => IpAddr::V6(((rng.next_u64() as u128) << 64 | rng.next_u64() as u128).into()),
        };
        let (src, dst) = (addr(), addr());
        let ports = rng.next_u64();
        Flow { src, dst, sport: ports as u16, dport: (ports >> 16) as u16, proto: protocol }
    }

    #[test]
    fn rewriting_there_and_back_restores_every_byte() {
        let mut rng = Rng::keyed(3, &["rewrite"]);
        for round in 0..500 {
            let len = 20 + rng.below(60) as usize;
            let mut l4: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            for (src, dst, protocols) in [
                ("10.0.0.1", "192.0.2.1", [proto::TCP, proto::UDP, proto::ICMP]),
                ("fd00::1", "fd00::2", [proto::TCP, proto::UDP, proto::ICMPV6]),
            ] {
                for protocol in protocols {
                    if protocol == proto::ICMP {
                        l4[0] = [0, 8, 13, 17][round % 4];
                    } else if protocol == proto::ICMPV6 {
                        l4[0] = 128 + (round % 2) as u8;
                    }
                    let original = build(src, dst, protocol, &l4);
                    let mut b = original.clone();
                    let mut ip = IpHeader::parse(&b).unwrap();
                    let back = Flow::of(&ip, ip.payload(&b)).unwrap();
                    let there = target(&mut rng, ip.is_ipv4(), protocol);
                    for (flow, manip) in
                        [(&there, Manip::Src), (&there, Manip::Dst), (&back, Manip::Dst), (&back, Manip::Src)]
                    {
                        packet(&mut b, &mut ip, flow, manip);
                        assert!(checksums_ok(&b), "{protocol} {manip:?}");
                        assert_eq!(ip, IpHeader::parse(&b).unwrap(), "the header is kept in step");
                    }
                    assert_eq!(b, original);
                }
            }
        }
    }

    #[test]
    fn udp_without_checksum_stays_without_and_zero_is_sent_as_ones() {
        let mut b = build("10.0.0.1", "192.0.2.1", proto::UDP, &[0x13, 0x88, 0, 53, 0, 8, 0, 0]);
        put16(&mut b, 26, 0);
        let mut ip = IpHeader::parse(&b).unwrap();
        let to = Flow { src: "203.0.113.1".parse().unwrap(), sport: 1, ..Flow::of(&ip, &b[20..]).unwrap() };
        packet(&mut b, &mut ip, &to, Manip::Src);
        assert_eq!((be16(&b, 26), be16(&b, 20)), (0, 1));
        // Some port makes the sum all ones; it must never be written as 0.
        let mut seen_ones = false;
        let mut b = build("10.0.0.1", "192.0.2.1", proto::UDP, &[0x13, 0x88, 0, 53, 0, 8, 0, 0]);
        ip = IpHeader::parse(&b).unwrap();
        for port in 0..=u16::MAX {
            packet(&mut b, &mut ip, &Flow { sport: port, ..to }, Manip::Src);
            ip = IpHeader::parse(&b).unwrap();
            assert_ne!(be16(&b, 26), 0);
            seen_ones |= be16(&b, 26) == 0xffff;
        }
        assert!(seen_ones && checksums_ok(&b));
    }

    /// Case nat-icmp-error-inbound: 3/3 about a masqueraded datagram, on its way back to the client.
    #[test]
    fn an_icmp_error_is_translated_inside_and_outside() {
        let udp = build("203.0.113.1", "198.51.100.9", proto::UDP, &[0x13, 0x89, 0, 9, 0, 10, 0, 0, 1, 2]);
        let wanted = build("10.0.0.1", "198.51.100.9", proto::UDP, &[0x13, 0x88, 0, 9, 0, 10, 0, 0, 1, 2]);
        let error = |quote: &[u8]| [&[3u8, 3, 0, 0, 0, 0, 0, 0][..], quote].concat();
        for cut in [28, 30] {
            let mut b = build("198.51.100.9", "203.0.113.1", proto::ICMP, &error(&udp[..cut]));
            let mut ip = IpHeader::parse(&b).unwrap();
            let inner = Flow {
                src: "10.0.0.1".parse().unwrap(),
                dst: "198.51.100.9".parse().unwrap(),
                sport: 5000,
                dport: 9,
                proto: proto::UDP,
            };
            icmp_error(&mut b, &mut ip, &inner, &inner.inverse(), Manip::Dst);
            assert_eq!(b, build("198.51.100.9", "10.0.0.1", proto::ICMP, &error(&wanted[..cut])));
        }
    }

    #[test]
    fn a_quoted_segment_of_eight_bytes_has_no_checksum_to_update() {
        let mut b = build("10.0.0.1", "192.0.2.1", proto::TCP, &[0; 20]);
        let mut ip = IpHeader::parse_quoted(&b[..28]).unwrap();
        let before = be16(&b, 36);
        let to = Flow { src: "10.9.9.9".parse().unwrap(), sport: 9, ..Flow::of(&ip, &b[20..28]).unwrap() };
        packet(&mut b[..28], &mut ip, &to, Manip::Src);
        assert_eq!((be16(&b, 20), be16(&b, 36)), (9, before));
    }
}
