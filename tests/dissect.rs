//! Packets in words: the vocabulary of the conformance recordings, word for word.

use netsim::{
    base::{Mac, proto},
    wire::{
        dissect::{
            LinkKind::{Ethernet, Ip},
            build, summary,
        },
        tcp::{ACK, FIN, PSH, RST, SYN},
    },
};
use std::net::{Ipv4Addr, Ipv6Addr};

const A: Mac = Mac([2, 0, 0, 0, 1, 0x0a]);
const B: Mac = Mac([2, 0, 0, 0, 1, 0x0b]);

fn h1_to_h2() -> build::Ip {
    build::ip([10, 0, 0, 1], [10, 0, 0, 2])
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

#[test]
fn arp() {
    let (s, t) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 254));
    assert_eq!(summary(&build::arp_request(A, s, t), Ethernet), "ARP who-has 10.0.0.254 tell 10.0.0.1");
    assert_eq!(summary(&build::arp_reply(B, t, A, s), Ethernet), "ARP 10.0.0.254 is-at 02:00:00:00:01:0b");
    assert_eq!(
        summary(&build::arp_reply(B, t, Mac::BROADCAST, t), Ethernet),
        "ARP 10.0.0.254 is-at 02:00:00:00:01:0b (to 10.0.0.254)"
    );
    let mut spoofed = build::arp_request(A, s, t);
    spoofed[6..12].copy_from_slice(&B.0);
    assert_eq!(summary(&spoofed, Ethernet), "ARP who-has 10.0.0.254 tell 10.0.0.1 sha=02:00:00:00:01:0a");
    assert_eq!(summary(&spoofed[..30], Ethernet), "ARP truncated(16)");
    spoofed[21] = 9;
    assert_eq!(summary(&spoofed, Ethernet), "ARP op=9");
    spoofed[16..18].copy_from_slice(&[0x86, 0xdd]);
    assert_eq!(summary(&spoofed, Ethernet), "ARP hw=1 proto=0x86dd");
}

#[test]
fn ip_header_words() {
    let p = build::ip([10, 0, 0, 1], [203, 0, 113, 10]).df().echo(1001, 1, &[0; 56]);
    assert_eq!(summary(&p, Ip), "IP 10.0.0.1>203.0.113.10 ttl=64 df ICMP echo-request id=1001 seq=1 len=56");
    let p = h1_to_h2().ttl(63).tos(0xc0).echo_reply(7, 2, b"");
    assert_eq!(summary(&p, Ip), "IP 10.0.0.1>10.0.0.2 ttl=63 tos=0xc0 ICMP echo-reply id=7 seq=2 len=0");
    let p = h1_to_h2().raw(200, &[0; 30]);
    assert_eq!(summary(&p, Ip), "IP 10.0.0.1>10.0.0.2 ttl=64 proto=200 len=30");
    assert_eq!(summary(&p[..40], Ip), "IP 10.0.0.1>10.0.0.2 ttl=64 truncated proto=200 len=20");
    assert_eq!(summary(&p[..19], Ip), "IP truncated(19)");
    assert_eq!(summary(&[0x50; 30], Ip), "IPv5? len=30");
    assert_eq!(summary(&[], Ip), "IP truncated(0)");
    assert_eq!(summary(&h1_to_h2().raw(2, &[0x16; 8]), Ip), "IP 10.0.0.1>10.0.0.2 ttl=64 IGMP");
}

#[test]
fn fragments() {
    // Case frag-in-router: the first fragment shows its upper layer, the others only where they belong.
    let whole = h1_to_h2().udp(5000, 7000, &[7; 3000]);
    let first = h1_to_h2().fragment(0, true).raw(proto::UDP, &whole[20..1500]);
    assert_eq!(summary(&first, Ip), "IP 10.0.0.1>10.0.0.2 ttl=64 frag(0+1480 mf) UDP 5000>7000 len=3000");
    let last = h1_to_h2().fragment(2960, false).raw(proto::UDP, &whole[2980..]);
    assert_eq!(summary(&last, Ip), "IP 10.0.0.1>10.0.0.2 ttl=64 frag(2960+48) proto=17");
    let six = build::ip(v6("2001:db8::1"), v6("2001:db8::2")).fragment(1448, true).raw(proto::UDP, &[1; 96]);
    assert_eq!(summary(&six, Ip), "IP6 2001:db8::1>2001:db8::2 hl=64 frag(1448+96 mf) proto=17");
    let hop_by_hop =
        build::ip(v6("2001:db8::1"), v6("2001:db8::2")).raw(0, &[17, 0, 1, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0]);
    assert_eq!(summary(&hop_by_hop, Ip), "IP6 2001:db8::1>2001:db8::2 hl=64 ext0 UDP 1>2 len=0");
    assert_eq!(summary(&hop_by_hop[..44], Ip), "IP6 2001:db8::1>2001:db8::2 hl=64 truncated ext0 proto=0 len=4");
}

#[test]
fn tcp_words() {
    let tcp = |flags, data: &[u8]| {
        let line = summary(&h1_to_h2().df().tcp(40000, 80, flags, 1, 1, data), Ip);
        line.strip_prefix("IP 10.0.0.1>10.0.0.2 ttl=64 df TCP 40000>80 ").expect("the same header").to_owned()
    };
    assert_eq!(tcp(SYN | ACK, b""), "SA len=0");
    assert_eq!(tcp(PSH | ACK, b"GET /"), "PA len=5 \"GET /\"");
    assert_eq!(tcp(FIN | ACK, b""), "FA len=0");
    assert_eq!(tcp(RST, b""), "R len=0");
    assert_eq!(tcp(0, b"line\n"), "none len=5");
    assert_eq!(
        summary(&h1_to_h2().df().tcp_syn(40000, 80, 1, 1460), Ip),
        "IP 10.0.0.1>10.0.0.2 ttl=64 df TCP 40000>80 S mss=1460 len=0"
    );
    let cut = h1_to_h2().raw(proto::TCP, &[0, 1, 0, 2, 0, 0, 0, 0]);
    assert_eq!(summary(&cut, Ip), "IP 10.0.0.1>10.0.0.2 ttl=64 TCP 1>2 truncated(8)");
}

#[test]
fn icmp_errors_quote() {
    let probe = h1_to_h2().udp(40000, 9, b"hello");
    let error = |kind, code, rest, quoted: &[u8]| {
        let line = summary(&build::ip([10, 0, 0, 2], [10, 0, 0, 1]).icmp(kind, code, rest, quoted), Ip);
        line.strip_prefix("IP 10.0.0.2>10.0.0.1 ttl=64 ICMP ").expect("the same header").to_owned()
    };
    assert_eq!(
        error(3, 3, [0; 4], &probe),
        "3/3 port-unreachable quoting(33) [IP 10.0.0.1>10.0.0.2 ttl=64 UDP 40000>9]"
    );
    assert_eq!(
        error(3, 4, [0, 0, 5, 0x78], &h1_to_h2().df().echo(5, 1, &[0; 20])),
        "3/4 frag-needed mtu=1400 quoting(48) [IP 10.0.0.1>10.0.0.2 ttl=64 df ICMP echo-request id=5 seq=1]"
    );
    assert_eq!(
        error(5, 1, [10, 0, 0, 254], &h1_to_h2().ttl(1).tcp(1, 2, SYN, 0, 0, b"")[..28]),
        "5/1 redirect-host gw=10.0.0.254 quoting(28) [IP 10.0.0.1>10.0.0.2 ttl=1 TCP 1>2]"
    );
    assert_eq!(error(12, 0, [8, 0, 0, 0], &[]), "12/0 param-problem ptr=8 quoting(0) [IP truncated(0)]");
    assert_eq!(
        error(11, 1, [0; 4], &h1_to_h2().fragment(0, true).raw(proto::UDP, &probe[20..])),
        "11/1 reassembly-timeout quoting(33) [IP 10.0.0.1>10.0.0.2 ttl=64 frag(0 mf) UDP 40000>9]"
    );
    assert_eq!(error(13, 0, [0; 4], &[0; 12]), "type=13");
    assert_eq!(error(40, 2, [0; 4], &[]), "type=40 code=2");
}

#[test]
fn icmpv6_words() {
    let (a, b) = (v6("2001:db8::1"), v6("2001:db8::2"));
    let words = |kind, code, word, rest: &[u8]| {
        let line = summary(&build::ip(a, b).ttl(255).icmp(kind, code, word, rest), Ip);
        line.strip_prefix("IP6 2001:db8::1>2001:db8::2 hl=255 ICMP6 ").expect("the same header").to_owned()
    };
    let ping = build::ip(b, a).echo(1004, 1, &[0; 56]);
    assert_eq!(summary(&ping, Ip), "IP6 2001:db8::2>2001:db8::1 hl=64 ICMP6 echo-request id=1004 seq=1 len=56");
    assert_eq!(
        words(1, 3, [0; 4], &ping),
        "1/3 addr-unreachable quoting(104) [IP6 2001:db8::2>2001:db8::1 hl=64 ICMP6 echo-request id=1004 seq=1]"
    );
    assert!(words(2, 0, 1280u32.to_be_bytes(), &ping).starts_with("2/0 packet-too-big mtu=1280 quoting(104)"));
    assert_eq!(words(135, 0, [0; 4], &b.octets()), "neighbor-solicit target=2001:db8::2");
    assert_eq!(words(136, 0, [0x60, 0, 0, 0], &b.octets()), "neighbor-advert flags=SO target=2001:db8::2");
    assert_eq!(words(136, 0, [0x80, 0, 0, 0], &[0; 3]), "neighbor-advert flags=R truncated(11)");
    let redirect = [a.octets(), b.octets()].concat();
    assert_eq!(words(137, 0, [0; 4], &redirect), "redirect target=2001:db8::1 dst=2001:db8::2");
    assert_eq!(words(133, 0, [0; 4], &[]), "router-solicit");
    assert_eq!(words(143, 0, [0; 4], &[]), "mld type=143");
}

#[test]
fn layers_within_layers() {
    let inner = h1_to_h2().echo(1, 1, b"");
    let line = summary(&inner, Ip);
    let outer = build::ip([192, 0, 2, 1], [192, 0, 2, 2]);
    assert_eq!(summary(&outer.raw(proto::IPIP, &inner), Ip), format!("IP 192.0.2.1>192.0.2.2 ttl=64 IPIP | {line}"));
    let gre = [&[0x20, 0, 0x08, 0x00, 0, 0, 0, 9][..], &inner].concat();
    assert_eq!(summary(&outer.raw(proto::GRE, &gre), Ip), format!("IP 192.0.2.1>192.0.2.2 ttl=64 GRE | {line}"));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &build::ethernet(B, A, &inner)].concat();
    assert_eq!(
        summary(&outer.udp(50000, 4789, &vxlan), Ip),
        format!("IP 192.0.2.1>192.0.2.2 ttl=64 UDP 50000>4789 VXLAN vni=42 | {line}")
    );
    let mut deep = inner;
    for _ in 0..50 {
        deep = outer.raw(proto::IPIP, &deep);
    }
    assert!(summary(&deep, Ip).ends_with("IPIP | …"), "nesting is cut off");
}

#[test]
fn other_frames() {
    let frame = build::with_ethertype(B, A, 0x88b5, &[0; 46]);
    assert_eq!(summary(&frame, Ethernet), "ethertype=0x88b5 len=46");
    assert_eq!(summary(&build::tagged(10, &frame), Ethernet), "vlan 10 ethertype=0x88b5 len=46");
    assert_eq!(summary(&frame[..10], Ethernet), "Ethernet truncated(10)");
    let mut urgent = build::tagged(10, &build::tagged(20, &frame));
    urgent[12..15].copy_from_slice(&[0x88, 0xa8, 0xa0]);
    assert_eq!(summary(&urgent, Ethernet), "svlan 10 pcp 5 vlan 20 ethertype=0x88b5 len=46");
    assert_eq!(summary(&urgent[..15], Ethernet), "svlan truncated(1)");
    let bpdu = |kind| build::with_ethertype(Mac([1, 0x80, 0xc2, 0, 0, 0]), A, 38, &[0x42, 0x42, 3, 0, 0, 0, kind]);
    assert_eq!(summary(&bpdu(0), Ethernet), "STP config");
    assert_eq!(summary(&bpdu(0x80), Ethernet), "STP tcn");
}
