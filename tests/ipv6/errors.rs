//! ICMPv6 errors, their limits, and path MTU discovery (cases ipv6-errors, ipv6-router).

use crate::chain::{Chain, at};
use netsim::{
    app::{Traceroute, TracerouteConfig},
    base::{Errno, MS, SEC},
    socket::{ErrorOrigin, PmtuDiscover},
    trace::DropReason,
    wire::dissect::build,
};
use std::net::Ipv6Addr;

fn a(s: &str) -> Ipv6Addr {
    s.parse().unwrap()
}

#[test]
fn routes_that_lead_nowhere() {
    let mut c = Chain::new();
    for (kind, net) in [("unreachable", "a"), ("prohibit", "b"), ("blackhole", "c")] {
        c.w.exec_route(c.r, &format!("{kind} 2001:db8:{net}::/64")).unwrap();
    }
    let said = |c: &mut Chain, to: &str| c.ping(to)[1].clone();
    let from = "From 2001:db8:1::fe icmp_seq=1 Destination unreachable:";
    assert_eq!(said(&mut c, "2001:db8:99::1"), format!("{from} No route"));
    assert_eq!(said(&mut c, "2001:db8:a::1"), format!("{from} No route"));
    assert_eq!(said(&mut c, "2001:db8:b::1"), format!("{from} Administratively prohibited"));
    assert_eq!(said(&mut c, "2001:db8:c::1"), "", "silence");
    let s = c.udp(c.r, "[::]:5000");
    let sends = ["99", "a", "b", "c"].map(|n| c.w.send_to(s, b"x", at(&format!("[2001:db8:{n}::1]:9"))).unwrap_err());
    assert_eq!(sends, [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL]);
}

/// Measured: without forwarding a host swallows what it has a route for, and reports what it has none for.
#[test]
fn a_host_is_no_router() {
    let mut c = Chain::new();
    c.sysctl(c.r, "net.ipv6.conf.all.forwarding", "0");
    assert_eq!(c.ping("2001:db8:2::2")[1], "");
    assert!(c.drops().contains(&DropReason::IpInAddrErrors));
    assert!(c.ping("2001:db8:99::1")[1].ends_with("Destination unreachable: No route"));
    assert!(c.ping("2001:db8:2::fe")[1].starts_with("64 bytes"), "an address is an address, whatever device");
}

#[test]
fn a_closed_port() {
    let mut c = Chain::new();
    let s = c.udp(c.h1, "[2001:db8:1::1]:5000");
    c.w.send_to(s, b"hello", at("[2001:db8:2::2]:9")).unwrap();
    c.run(SEC);
    let e = c.w.recv_error(s).unwrap();
    assert_eq!((e.errno, e.origin), (Errno::ECONNREFUSED, ErrorOrigin::Icmp { kind: 1, code: 4 }));
    assert_eq!((e.offender, e.dst), (Some(a("2001:db8:2::2").into()), at("[2001:db8:2::2]:9")));
    let line = c.sent(c.h2_eth).pop().unwrap();
    assert!(line.contains("ICMP6 1/4 port-unreachable"), "{line}");
}

#[test]
fn the_hop_limit_runs_out() {
    let mut c = Chain::new();
    let lines = c.ping_with("2001:db8:2::2", |p| p.ttl = Some(1));
    assert_eq!(lines[1], "From 2001:db8:1::fe icmp_seq=1 Time exceeded: Hop limit");
    let config = TracerouteConfig { queries: 1, ..TracerouteConfig::to("2001:db8:2::2".parse().unwrap()) };
    let app = c.w.spawn(c.h1, c.w.core.now, Box::new(Traceroute::new(config)));
    c.run(20 * SEC);
    let output = c.w.app(app).output.join("\n");
    let hops: Vec<&str> = output.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)).collect();
    assert_eq!(hops, ["2001:db8:1::fe", "2001:db8:2::2"], "{output}");
}

/// Measured on 6.18: 100 ms per error and destination, six at once; the next at 106 ms.
#[test]
fn errors_are_limited_by_destination() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    let s = c.udp(c.h1, "[2001:db8:1::1]:5000");
    let mut errors = 0;
    for _ in 0..100 {
        // A pending error of an earlier datagram is taken first, as a sender would.
        c.w.take_error(s);
        c.w.send_to(s, b"x", at("[2001:db8:99::1]:9")).unwrap();
        c.run(10 * MS);
        while c.w.recv_error(s).is_some() {
            errors += 1;
        }
    }
    assert_eq!(errors, 6 + 9, "six at once, then one every 100 ms");
    c.sysctl(c.r, "net.ipv6.icmp.ratelimit", "0");
    for _ in 0..20 {
        c.w.take_error(s);
        c.w.send_to(s, b"x", at("[2001:db8:99::1]:9")).unwrap();
        c.run(10 * MS);
        assert!(c.w.recv_error(s).is_some());
    }
}

/// Measured (v6-pmtu): the first packet is lost and teaches the sender, which fragments from then on.
#[test]
fn sources_fragment_after_packet_too_big() {
    let mut c = Chain::new();
    c.w.set_mtu(c.r_right, 1400).unwrap();
    c.w.set_mtu(c.h2_eth, 1400).unwrap();
    let big = |p: &mut netsim::app::PingConfig| p.size = 1452;
    assert_eq!(c.ping_with("2001:db8:2::2", big)[1], "From 2001:db8:1::fe icmp_seq=1 Packet too big: mtu=1400");
    c.sent(c.h1_eth);
    let lines = c.ping_with("2001:db8:2::2", big);
    assert!(lines[1].starts_with("1460 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    let sent = c.sent(c.h1_eth);
    assert!(sent[0].contains("frag(0+1352 mf)") && sent[1].contains("frag(1352+108)"), "{sent:?}");
    // Who forbids fragmentation learns the path's MTU at once.
    let s = c.udp(c.h1, "[2001:db8:1::1]:5000");
    c.w.set_option(s, netsim::socket::SockOpt::MtuDiscover(PmtuDiscover::Do)).unwrap();
    assert_eq!(c.w.send_to(s, &[0; 1400], at("[2001:db8:2::2]:9")), Err(Errno::EMSGSIZE));
    assert_eq!(c.w.recv_error(s).map(|e| (e.origin, e.info)), Some((ErrorOrigin::Local, 1400)));
    // It is forgotten after ten minutes.
    c.run(601 * SEC);
    let lines = c.ping_with("2001:db8:2::2", big);
    assert!(lines[1].contains("Packet too big"), "{lines:?}");
}

/// RFC 8201: who sends datagrams is told too, and what is sent from then on arrives in pieces.
#[test]
fn packets_too_big_for_the_path_are_the_senders_business() {
    let mut c = Chain::new();
    c.w.set_mtu(c.r_right, 1300).unwrap();
    let receiver = c.udp(c.h2, "[2001:db8:2::2]:9");
    let s = c.udp(c.h1, "[2001:db8:1::1]:5000");
    let data: Vec<u8> = (0..1400u32).map(|i| i as u8).collect();
    c.w.send_to(s, &data, at("[2001:db8:2::2]:9")).expect("it fits the link");
    c.run(2 * SEC);
    assert!(c.sent(c.r_left).iter().any(|l| l.contains("ICMP6 2/0")));
    assert!(c.w.recv_from(receiver).is_err(), "the first is lost");
    let e = c.w.recv_error(s).expect("the sender is told");
    assert_eq!((e.errno, e.origin, e.info), (Errno::EMSGSIZE, ErrorOrigin::Icmp { kind: 2, code: 0 }, 1300));
    c.w.send_to(s, &data, at("[2001:db8:2::2]:9")).expect("it goes in pieces");
    c.run(2 * SEC);
    assert_eq!(c.sent(c.h1_eth).iter().filter(|l| l.contains("frag(")).count(), 2);
    assert_eq!(c.w.recv_from(receiver).map(|d| d.data), Ok(data));
}

#[test]
fn a_path_mtu_below_1280_is_not_believed() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    let quoted = build::ip(a("2001:db8:1::1"), a("2001:db8:2::2")).echo(7, 1, &[0; 8]);
    for (mtu, believed) in [(1279u32, 1500), (1300, 1300), (1400, 1300)] {
        let error = build::ip(a("2001:db8:2::2"), a("2001:db8:1::1")).icmp(2, 0, mtu.to_be_bytes(), &quoted);
        c.inject(c.r_left, c.h1_eth, &error);
        c.run(MS);
        let route = c.w.route_output(c.h1, &netsim::ip::OutRequest::to(a("2001:db8:2::2").into())).unwrap();
        assert_eq!(route.mtu, believed, "after {mtu}");
    }
}

#[test]
fn fragments_that_never_come() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    let first = build::ip(a("2001:db8:1::1"), a("2001:db8:2::2")).id(77).fragment(0, true).raw(17, &[1; 64]);
    c.inject(c.h1_eth, c.r_left, &first);
    c.sent(c.h2_eth);
    c.run(59 * SEC);
    assert!(!c.sent(c.h2_eth).iter().any(|l| l.contains("3/1")));
    c.run(2 * SEC);
    assert!(c.sent(c.h2_eth).iter().any(|l| l.contains("2001:db8:2::2>2001:db8:1::1") && l.contains("3/1")));
    assert!(c.drops().contains(&DropReason::FragReasmTimeout));
}

/// Measured (v6-src): the error comes from an address of the device the packet came in by, though it leaves by another.
#[test]
fn errors_name_the_device_that_was_reached() {
    let mut c = Chain::new();
    let (h1_second, r_third) = c.w.add_veth((c.h1, "eth1"), (c.r, "eth2")).unwrap();
    c.address(h1_second, "2001:db8:9::1/64");
    c.address(r_third, "2001:db8:9::fe/64");
    c.address(c.w.ns(c.h1).lo, "2001:db8:aaaa::1/128");
    c.w.exec_route(c.r, "2001:db8:aaaa::/64 via 2001:db8:9::1").unwrap();
    let lines = c.ping_with("2001:db8:99::1", |p| p.source = Some("2001:db8:aaaa::1".parse().unwrap()));
    assert_eq!(lines[1], "From 2001:db8:1::fe icmp_seq=1 Destination unreachable: No route");
    assert!(c.sent(r_third).iter().any(|l| l.starts_with("IP6 2001:db8:1::fe>2001:db8:aaaa::1")));
}
