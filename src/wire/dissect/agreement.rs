//! Properties: netsim's own header code against etherparse, incremental against full checksums, and no panic anywhere.

use super::{Flaw, LinkKind, build, summary, verify};
use crate::{
    base::{Mac, proto},
    trace::DropReason,
    wire::{IpHeader, checksum, eth, icmp, ip::IpFields, put16, tcp, udp},
};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use proptest::{collection::vec, prelude::*};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Two addresses of one family, none of them loopback.
fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let v4 = any::<[u8; 4]>().prop_map(|mut o| {
        o[0] = o[0].max(128);
        Ipv4Addr::from(o)
    });
    let v6 = any::<[u8; 16]>().prop_map(|mut o| {
        o[0] = 0x20;
        Ipv6Addr::from(o)
    });
    prop_oneof![
        (v4.clone(), v4).prop_map(|(a, b)| (a.into(), b.into())),
        (v6.clone(), v6).prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

/// A start of a packet with random marks.
fn marks() -> impl Strategy<Value = build::Ip> {
    (ends(), any::<(u8, u8, bool, u16)>()).prop_map(|((src, dst), (ttl, tos, df, id))| {
        let ip = build::ip(src, dst).ttl(ttl).tos(tos).id(id as u32);
        if df { ip.df() } else { ip }
    })
}

/// A whole and valid IP packet.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    (marks(), 0..8u8, any::<(u16, u16, u8)>(), any::<(u32, u32)>(), vec(any::<u8>(), 0..120)).prop_map(
        |(ip, kind, (a, b, flags), (seq, ack), payload)| match kind {
            0 => ip.udp(a, b, &payload),
            1 => ip.tcp(a, b, flags & 0x1f, seq, ack, &payload),
            2 => ip.tcp_syn(a, b, seq, ack as u16),
            3 => ip.echo(a, b, &payload),
            4 => {
                let quoted = build::ip([192, 0, 2, 1], [192, 0, 2, 2]).udp(a, b, &payload);
                let quoted6 = build::ip([1u16; 8], [2u16; 8]).tcp(a, b, flags & 0x1f, seq, ack, &payload);
                // Type 3 is unreachable for IPv4 and time exceeded for IPv6; each quotes its own family.
                ip.icmp(3, flags % 5, seq.to_be_bytes(), if ip.is_ipv4() { &quoted } else { &quoted6 })
            }
            5 => ip.fragment((a & 0xfff8).max(8), flags & 1 == 1).raw(proto::UDP, &payload),
            6 => ip.raw(proto::IPIP, &build::ip([192, 0, 2, 1], [192, 0, 2, 2]).udp(a, b, &payload)),
            _ => ip.raw(200, &payload),
        },
    )
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    build::ethernet(Mac::derived("b", "eth0"), Mac::derived("a", "eth0"), packet)
}

proptest! {
    #[test]
    fn built_packets_are_flawless_and_described(p in packet(), vid in 0..4096u16) {
        prop_assert_eq!(verify(&p, LinkKind::Ip), Ok(()));
        let frame = ethernet(&p);
        prop_assert_eq!(verify(&frame, LinkKind::Ethernet), Ok(()));
        let line = summary(&p, LinkKind::Ip);
        prop_assert!(!line.contains("truncated") && !line.ends_with(' '), "{}", line);
        prop_assert_eq!(&summary(&frame, LinkKind::Ethernet), &line);
        prop_assert_eq!(summary(&build::tagged(vid, &frame), LinkKind::Ethernet), format!("vlan {vid} {line}"));
    }

    #[test]
    fn no_bytes_panic(b in vec(any::<u8>(), 0..200)) {
        for link in [LinkKind::Ethernet, LinkKind::Ip] {
            summary(&b, link);
            let _ = verify(&b, link);
        }
        let _ = IpHeader::parse(&b);
        IpHeader::parse_quoted(&b);
    }

    /// Random bytes seldom look like extension headers; these do, and end anywhere.
    #[test]
    fn no_extension_header_panics(chain in vec(prop_oneof![Just(0u8), Just(43), Just(44), Just(51), Just(60), any::<u8>()], 0..6), body in vec(0..3u8, 0..60)) {
        let mut extensions = Vec::new();
        for next in chain.iter().skip(1) {
            extensions.extend_from_slice(&[*next, 0, 0, 0, 0, 0, 0, 0]);
        }
        extensions.extend_from_slice(&body);
        let p = build::ip([1u16; 8], [2u16; 8]).raw(chain.first().copied().unwrap_or(59), &extensions);
        for end in 0..=p.len() {
            summary(&p[..end], LinkKind::Ip);
            let _ = verify(&p[..end], LinkKind::Ip);
            let _ = IpHeader::parse(&p[..end]);
            IpHeader::parse_quoted(&p[..end]);
        }
    }

    #[test]
    fn no_damaged_packet_panics(p in packet(), hits in vec(any::<(prop::sample::Index, u8)>(), 1..6), cut: prop::sample::Index) {
        let mut frame = ethernet(&p);
        for (at, byte) in hits {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(cut.index(frame.len() + 1));
        summary(&frame, LinkKind::Ethernet);
        let _ = verify(&frame, LinkKind::Ethernet);
        let inner = frame.get(eth::HEADER..).unwrap_or_default();
        summary(inner, LinkKind::Ip);
        IpHeader::parse_quoted(inner);
        if let Ok(h) = IpHeader::parse(inner) {
            prop_assert!(h.header_len <= h.total_len && h.total_len <= inner.len());
            h.payload(inner);
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed(p in packet(), at: prop::sample::Index, bit in 0..8u8) {
        let IpHeader { src, proto, .. } = IpHeader::parse(&p).expect("valid");
        // What no checksum covers: IPv6 headers, fragments, and protocols etherparse does not know.
        if src.is_ipv6() {
            return Ok(());
        }
        let end = if [proto::TCP, proto::UDP, proto::ICMP].contains(&proto) && p[6] & 0x3f == 0 && p[7] == 0 { p.len() } else { 20 };
        let mut bad = p.clone();
        bad[at.index(end)] ^= 1 << bit;
        // A UDP checksum that turns into 0 means "none".
        prop_assume!(proto != proto::UDP || end == 20 || bad[26..28] != [0, 0]);
        prop_assert!(verify(&bad, LinkKind::Ip).is_err());
    }

    #[test]
    fn headers_agree((src, dst) in ends(), (proto, ttl, tos, df, id) in any::<(u8, u8, u8, bool, u16)>(), payload in vec(any::<u8>(), 0..60)) {
        // These are IPv6 extension headers; a payload of noise is none.
        let proto = if [0, 43, 44, 51, 60].contains(&proto) { 99 } else { proto };
        let fields = IpFields { src, dst, proto, ttl, tos, df, id };
        let mut ours = vec![0; fields.header_len()];
        ours.extend_from_slice(&payload);
        fields.write(&mut ours);
        let mut theirs = build::ip(src, dst).ttl(ttl).tos(tos).id(id as u32);
        if df { theirs = theirs.df(); }
        prop_assert_eq!(&ours, &theirs.raw(proto, &payload));

        let h = IpHeader::parse(&ours).expect("valid");
        prop_assert_eq!((h.src, h.dst, h.proto, h.ttl, h.tos), (src, dst, proto, ttl, tos));
        prop_assert_eq!(h.payload(&ours), &payload[..]);
    }

    #[test]
    fn parsing_agrees(p in packet(), padding in 0..20usize) {
        let mut padded = p.clone();
        padded.resize(p.len() + padding, 0xaa);
        let h = IpHeader::parse(&padded).expect("valid");
        prop_assert_eq!(h.total_len, p.len());
        prop_assert_eq!(IpHeader::parse_quoted(&p), Some(h));
        if let Ok(v4) = Ipv4HeaderSlice::from_slice(&p) {
            prop_assert_eq!((h.src, h.dst), (v4.source_addr().into(), v4.destination_addr().into()));
            prop_assert_eq!((h.ttl, h.proto, h.df, h.id), (v4.ttl(), v4.protocol().0, v4.dont_fragment(), v4.identification() as u32));
            prop_assert_eq!(h.frag_offset, v4.fragments_offset().byte_offset() as usize);
            prop_assert_eq!((h.more_fragments, h.is_fragment()), (v4.more_fragments(), v4.is_fragmenting_payload()));
            prop_assert_eq!(h.header_len, v4.slice().len());
            let mut bad = p.clone();
            bad[8] ^= 0x10;
            prop_assert_eq!(IpHeader::parse(&bad), Err(DropReason::IpCsum));
        } else {
            let v6 = Ipv6HeaderSlice::from_slice(&p).expect("the other family");
            prop_assert_eq!((h.src, h.dst), (v6.source_addr().into(), v6.destination_addr().into()));
            prop_assert_eq!((h.ttl, h.tos), (v6.hop_limit(), v6.traffic_class()));
            prop_assert_eq!(h.frag_header_at.is_some(), v6.next_header().0 == proto::FRAGMENT);
        }
        prop_assert_eq!(IpHeader::parse(&p[..p.len() - 1]), Err(DropReason::HdrTrunc));
    }

    #[test]
    fn udp_agrees((src, dst) in ends(), sport: u16, dport: u16, payload in vec(any::<u8>(), 0..99)) {
        let mut ours = vec![0; udp::HEADER];
        ours.extend_from_slice(&payload);
        udp::write(&mut ours, src, dst, sport, dport);
        let theirs = build::ip(src, dst).udp(sport, dport, &payload);
        prop_assert_eq!(&ours, &theirs[theirs.len() - ours.len()..]);
        prop_assert!(udp::checksum_ok(&ours, src, dst));
    }

    #[test]
    fn icmp_agrees((src, dst) in ends(), code: u8, word: [u8; 4], rest in vec(any::<u8>(), 0..99)) {
        let mut ours = vec![42, code, 0xde, 0xad];
        ours.extend_from_slice(&word);
        ours.extend_from_slice(&rest);
        icmp::seal(&mut ours, src, dst);
        let theirs = build::ip(src, dst).icmp(42, code, word, &rest);
        prop_assert_eq!(&ours, &theirs[theirs.len() - ours.len()..]);
        prop_assert!(icmp::checksum_ok(&ours, src, dst));
    }

    #[test]
    fn tcp_agrees((src, dst) in ends(), (sport, dport, flags) in any::<(u16, u16, u8)>(), (seq, ack) in any::<(u32, u32)>(), payload in vec(any::<u8>(), 0..50)) {
        let whole = build::ip(src, dst).tcp(sport, dport, flags & 0x1f, seq, ack, &payload);
        let s = tcp::Segment::parse(&whole[whole.len() - payload.len() - tcp::HEADER..]).expect("valid");
        prop_assert_eq!((s.sport, s.dport, s.seq, s.ack, s.flags, s.len), (sport, dport, seq, ack, flags & 0x1f, payload.len()));
        // The reset goes the other way, and etherparse finds its checksum right.
        let reset = s.reset(dst, src);
        prop_assert_eq!(verify(&build::ip(dst, src).raw(proto::TCP, &reset), LinkKind::Ip), Ok(()));
        let r = tcp::Segment::parse(&reset).expect("valid");
        prop_assert_eq!((r.sport, r.dport, r.len), (dport, sport, 0));
    }

    #[test]
    fn incremental_is_full(mut data in vec(any::<u8>(), 4..80), at: prop::sample::Index, old in word(), new in word(), wide: [u8; 8]) {
        data.resize(data.len() & !1, 0);
        data[0] |= 1; // no header is all zero, and only there do the two differ (RFC 1624 §3)
        let at = 2 + at.index(data.len() / 2 - 1) * 2;
        put16(&mut data, at, old);
        let before = checksum::of(&data);
        put16(&mut data, at, new);
        prop_assert_eq!(checksum::update16(before, old, new), checksum::of(&data));

        let end = data.len().min(at + 8);
        let (was, is) = (data[at..end].to_vec(), &wide[..end - at]);
        let before = checksum::of(&data);
        data[at..end].copy_from_slice(is);
        prop_assert_eq!(checksum::update(before, &was, is), checksum::of(&data));
    }

    #[test]
    fn sums_join_at_even_places(data in vec(any::<u8>(), 0..99), cut: prop::sample::Index) {
        let cut = cut.index(data.len() + 1) & !1;
        let (a, b) = data.split_at(cut);
        prop_assert_eq!(checksum::finish(checksum::sum(checksum::sum(0, a), b)), naive(&data));
    }
}

/// Words with the corners of one's complement arithmetic among them.
fn word() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), Just(1), Just(0xfffe), Just(0xffff), any::<u16>()]
}

/// RFC 1071 §1, word by word.
fn naive(b: &[u8]) -> u16 {
    let mut s = 0u32;
    for pair in b.chunks(2) {
        s += u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]) as u32;
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}

/// A UDP checksum that comes out as 0 is sent as 0xffff, because 0 means "none" (RFC 768); RFC 1624 §3 gives the same
/// corner for updates. Every last payload word is tried, so the corner is certainly met.
#[test]
fn udp_checksum_is_never_zero() {
    let (src, dst): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let mut corner = 0;
    for last in 0..=u16::MAX {
        let mut d = [0; udp::HEADER + 2];
        put16(&mut d, udp::HEADER, last);
        udp::write(&mut d, src, dst, 5000, 7000);
        assert_ne!(d[6..8], [0, 0]);
        assert!(udp::checksum_ok(&d, src, dst));
        corner += u32::from(d[6..8] == [0xff, 0xff]);
    }
    assert_eq!(corner, 1);
}

#[test]
fn flaws_are_named() {
    let udp = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).udp(1, 2, b"x");
    let is = |b: &[u8], link, text: &str| {
        let flaws = verify(b, link).expect_err(text);
        assert!(flaws.iter().any(|f| f.to_string().contains(text)), "{flaws:?} lacks {text:?}");
    };
    let mut bad = udp.clone();
    bad[10] ^= 1;
    is(&bad, LinkKind::Ip, "IPv4 header checksum");
    let mut evil = udp.clone();
    evil[6] |= 0x80;
    is(&evil, LinkKind::Ip, "reserved flag");
    is(&udp[..20], LinkKind::Ip, "malformed");
    is(&[&udp[..], b"tail"].concat(), LinkKind::Ip, "4 bytes follow");
    assert_eq!(verify(&[&ethernet(&udp)[..], &[0; 17]].concat(), LinkKind::Ethernet), Ok(()), "padding is fine");
    is(&build::ethernet(Mac::ZERO, Mac::BROADCAST, &udp), LinkKind::Ethernet, "cannot send");

    let lo = build::ip([127, 0, 0, 1], [127, 0, 0, 1]).udp(1, 2, b"x");
    assert_eq!(verify(&lo, LinkKind::Ip), Ok(()));
    is(&ethernet(&lo), LinkKind::Ethernet, "127.0.0.1 is on a wire");
    let lo6 = build::ip(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST).udp(1, 2, b"x");
    is(&ethernet(&lo6), LinkKind::Ethernet, "::1 is on a wire");

    let mut none = lo6;
    put16(&mut none, 46, 0);
    assert_eq!(verify(&none, LinkKind::Ip), Err(vec![Flaw::NoUdpChecksum]));

    let mut short = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).raw(proto::UDP, &udp[20..28]);
    put16(&mut short, 24, 8);
    short.push(0);
    let longer = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).raw(proto::UDP, &short[20..]);
    is(&longer, LinkKind::Ip, "UDP says 8 bytes, IP says 9");

    let mut quoted = udp.clone();
    quoted[8] -= 1; // a TTL that was changed without its checksum
    is(
        &build::ip([10, 0, 0, 2], [10, 0, 0, 1]).icmp(3, 3, [0; 4], &quoted),
        LinkKind::Ip,
        "quoted IPv4 header checksum",
    );

    let mut inner = udp;
    inner[28] ^= 1;
    is(&build::ip([1, 1, 1, 1], [2, 2, 2, 2]).raw(proto::IPIP, &inner), LinkKind::Ip, "UDP checksum");
}
