//! NAT66 and filters for IPv6.

use crate::chain::{Chain, at};
use netsim::{
    base::SEC,
    netfilter::{Match, NatAction, NatRule},
    wire::dissect::build,
};
use std::net::Ipv6Addr;

fn masquerading() -> Chain {
    let mut c = Chain::new();
    let out = Match { oif: Some("eth1".into()), ..Match::default() };
    // A rule that names an IPv6 network makes conntrack look at IPv6.
    let matches = Match { src: Some("2001:db8:1::/64".parse().unwrap()), ..out };
    let rule = NatRule::new(matches, NatAction::Masquerade { ports: None, random: false });
    c.w.netfilter_mut(c.r).add_nat(rule).expect("masquerading happens in postrouting");
    c
}

#[test]
fn hosts_hide_behind_the_router() {
    let mut c = masquerading();
    let lines = c.ping("2001:db8:2::2");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    assert!(
        c.sent(c.r_right).iter().any(|l| l.starts_with("IP6 2001:db8:2::fe>2001:db8:2::2 hl=63 ICMP6 echo-request"))
    );
    let (a, b) = (c.udp(c.h1, "[::]:5000"), c.udp(c.h2, "[::]:6000"));
    c.w.send_to(a, b"hello", at("[2001:db8:2::2]:6000")).unwrap();
    c.run(SEC);
    let d = c.w.recv_from(b).unwrap();
    assert_eq!(d.from, at("[2001:db8:2::fe]:5000"));
    c.w.send_to(b, b"back", d.from).unwrap();
    c.run(SEC);
    assert_eq!(c.w.recv_from(a).unwrap().from, at("[2001:db8:2::2]:6000"));
    // Errors are translated back by what they quote.
    c.w.send_to(a, b"hello", at("[2001:db8:2::2]:9")).unwrap();
    c.run(SEC);
    let e = c.w.recv_error(a).unwrap();
    assert_eq!((e.dst, e.offender), (at("[2001:db8:2::2]:9"), Some("2001:db8:2::2".parse().unwrap())));
}

#[test]
fn what_is_reassembled_for_conntrack_leaves_in_pieces_as_large_as_it_came() {
    let mut c = masquerading();
    c.ping("2001:db8:2::2");
    let b = c.udp(c.h2, "[::]:6000");
    let (src, dst): (Ipv6Addr, Ipv6Addr) = ("2001:db8:1::1".parse().unwrap(), "2001:db8:2::2".parse().unwrap());
    let whole = build::ip(src, dst).udp(5000, 6000, &[3; 2600]);
    let l4 = &whole[40..];
    let piece =
        |from: usize, to: usize, more| build::ip(src, dst).id(9).fragment(from as u16, more).raw(17, &l4[from..to]);
    c.sent(c.r_right);
    for packet in [piece(0, 1304, true), piece(1304, 2608, false)] {
        c.inject(c.h1_eth, c.r_left, &packet);
    }
    c.run(SEC);
    let sent = c.sent(c.r_right);
    let sizes: Vec<&str> = sent.iter().filter_map(|l| l.split("frag(").nth(1)?.split(')').next()).collect();
    assert_eq!(sizes, ["0+1304 mf", "1304+1304"], "{sent:?}");
    assert_eq!(c.w.recv_from(b).map(|d| (d.from, d.data.len())), Ok((at("[2001:db8:2::fe]:5000"), 2600)));
}
