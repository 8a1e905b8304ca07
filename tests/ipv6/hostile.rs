//! Packets nobody should send.

use crate::chain::{Chain, at};
use netsim::{
    base::SEC,
    trace::DropReason,
    wire::{
        icmp::{self, v6},
        ip::IpFields,
    },
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv6Addr};

fn a(s: &str) -> Ipv6Addr {
    s.parse().unwrap()
}

/// An IPv6 packet with these bytes behind its header.
fn packet(src: &str, dst: &str, proto: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut b = vec![0; 40];
    b.extend(payload);
    let (src, dst) = (IpAddr::V6(a(src)), IpAddr::V6(a(dst)));
    IpFields { src, dst, proto, ttl: hop_limit, tos: 0, df: false, id: 0 }.write(&mut b);
    b
}

fn sealed(src: &str, dst: &str, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let mut m = message.to_vec();
    icmp::seal(&mut m, a(src).into(), a(dst).into());
    packet(src, dst, 58, hop_limit, &m)
}

#[test]
fn unknown_headers_are_a_parameter_problem() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    c.sent(c.r_left);
    c.inject(c.h1_eth, c.r_left, &packet("2001:db8:1::1", "2001:db8:1::fe", 200, 64, &[0; 16]));
    c.run(SEC);
    let line = c.sent(c.r_left).pop().unwrap();
    assert!(line.contains("ICMP6 4/1"), "{line}");
    // An unknown hop-by-hop option that must be reported; one that must be skipped.
    for (option, reported) in [(0x9e, true), (0x1e, false)] {
        c.inject(
            c.h1_eth,
            c.r_left,
            &packet("2001:db8:1::1", "2001:db8:1::fe", 0, 64, &[59, 0, option, 4, 0, 0, 0, 0]),
        );
        c.run(SEC);
        assert_eq!(c.sent(c.r_left).iter().any(|l| l.contains("ICMP6 4/2")), reported);
    }
    // No next header: nothing to do, nothing to say.
    c.inject(c.h1_eth, c.r_left, &packet("2001:db8:1::1", "2001:db8:1::fe", 59, 64, &[]));
    c.run(SEC);
    assert_eq!(c.sent(c.r_left), Vec::<String>::new());
    assert!(c.drops().contains(&DropReason::IpNoProto));
}

#[test]
fn addresses_that_stay_where_they_belong() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    c.drops();
    let echo = [v6::ECHO, 0, 0, 0, 0, 1, 0, 1];
    for (src, dst, reason) in [
        ("::1", "2001:db8:1::fe", DropReason::IpLocalNet),
        ("2001:db8:1::1", "::1", DropReason::IpLocalNet),
        ("ff02::1", "2001:db8:1::fe", DropReason::IpInvalidSource),
        ("2001:db8:1::1", "ff01::1", DropReason::IpInvalidDest),
        ("2001:db8:1::1", "ff02::4242", DropReason::IpInvalidDest),
        ("::", "2001:db8:2::2", DropReason::IpInvalidSource),
    ] {
        c.inject(c.h1_eth, c.r_left, &sealed(src, dst, 64, &echo));
        c.run_unchecked(SEC / 100);
        assert_eq!(c.drops(), [reason], "{src} > {dst}");
    }
    // A link-local source is not carried over to another link: it is told so.
    c.sent(c.r_left);
    c.inject(c.h1_eth, c.r_left, &sealed("fe80::ff:fe00:a", "2001:db8:2::2", 64, &echo));
    c.run_unchecked(SEC);
    assert!(c.sent(c.r_left).iter().any(|l| l.contains("ICMP6 1/2")));
}

#[test]
fn neighbour_discovery_believes_only_the_link() {
    let mut c = Chain::new();
    c.run(SEC);
    c.drops();
    let mut solicit = vec![v6::NEIGHBOUR_SOLICIT, 0, 0, 0, 0, 0, 0, 0];
    solicit.extend(a("2001:db8:1::fe").octets());
    solicit.extend([1, 1, 2, 0, 0, 0, 0, 0x0a]);
    let to = "ff02::1:ff00:fe";
    let mut send = |hop_limit, change: &dyn Fn(&mut Vec<u8>)| {
        let mut m = solicit.clone();
        change(&mut m);
        c.sent(c.r_left);
        c.inject(c.h1_eth, c.r_left, &sealed("2001:db8:1::1", to, hop_limit, &m));
        c.run(SEC / 100);
        c.sent(c.r_left).iter().any(|l| l.contains("neighbor-advert"))
    };
    assert!(send(255, &|_| {}));
    assert!(!send(254, &|_| {}), "it came over a router");
    assert!(!send(255, &|m| m[1] = 1), "an unknown code");
    assert!(!send(255, &|m| m[25] = 0), "an option of length 0");
    assert!(!send(255, &|m| m[8] = 0xff), "a group as target");
    assert!(!send(255, &|m| m.truncate(20)), "cut off");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes behind an IPv6 header, sound or damaged: nobody panics and the books balance.
    #[test]
    fn nothing_breaks(
        headers in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..80)), 1..8),
        to_router: bool,
    ) {
        let mut c = Chain::new();
        for (proto, bytes) in &headers {
            let proto = [58, 58, 0, 43, 44, 60, 17, 6, 59, *proto][*proto as usize % 10];
            let dst = if to_router { "2001:db8:1::fe" } else { "2001:db8:2::2" };
            let mut b = packet("2001:db8:1::1", dst, proto, 255, bytes);
            if proto == 58 && bytes.len() >= 8 {
                b[40] = 128 + bytes[0] % 12;
                icmp::seal(&mut b[40..], a("2001:db8:1::1").into(), a(dst).into());
            }
            c.inject(c.h1_eth, c.r_left, &b);
            c.run_unchecked(SEC);
        }
        let s = c.udp(c.h1, "[::]:5000");
        c.w.send_to(s, b"x", at("[2001:db8:2::2]:9")).unwrap();
        c.run_unchecked(100 * SEC);
        prop_assert!(c.w.audit().is_ok());
    }
}
