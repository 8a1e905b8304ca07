//! The socket calls of a small network, against what a real kernel did (cases named per test).

use netsim::{
    base::{DevId, Errno, MS, NsId, SEC, SockId},
    sim::{Limits, World},
    socket::{ErrorOrigin, Family, PmtuDiscover, SockKind, SockOpt, tcp::TcpState},
};
use std::net::SocketAddr;

/// h1 (10.0.0.1) — r (10.0.0.254, 10.0.1.254) — h2 (10.0.1.2).
struct Lab {
    w: World,
    h1: NsId,
    r: NsId,
    h2: NsId,
    eth: Vec<DevId>,
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

impl Lab {
    fn new() -> Lab {
        let mut w = World::new(7);
        let [h1, r, h2] = ["h1", "r", "h2"].map(|n| w.add_namespace(n).unwrap());
        let (a, b) = w.add_veth((h1, "eth0"), (r, "eth0")).unwrap();
        let (c, d) = w.add_veth((r, "eth1"), (h2, "eth0")).unwrap();
        for (dev, addr) in [(a, "10.0.0.1/24"), (b, "10.0.0.254/24"), (c, "10.0.1.254/24"), (d, "10.0.1.2/24")] {
            w.add_address(dev, addr.parse().unwrap(), None).unwrap();
        }
        w.exec_route(h1, "default via 10.0.0.254").unwrap();
        w.exec_route(h2, "default via 10.0.1.254").unwrap();
        w.set_sysctl(r, "net.ipv4.ip_forward", "1").unwrap();
        Lab { w, h1, r, h2, eth: vec![a, b, c, d] }
    }

    fn socket(&mut self, ns: NsId, kind: SockKind) -> SockId {
        self.w.socket(ns, Family::V4, kind, None).unwrap()
    }

    fn udp(&mut self, ns: NsId, bind: &str) -> SockId {
        let s = self.socket(ns, SockKind::Udp);
        self.w.bind(s, at(bind)).unwrap();
        s
    }

    fn run(&mut self, time: u64) {
        let until = self.w.core.now + time;
        self.w.run(&Limits { until: Some(until), ..Limits::default() });
    }

    fn serve(&mut self, ns: NsId, bind: &str) -> SockId {
        let l = self.socket(ns, SockKind::Tcp);
        self.w.bind(l, at(bind)).unwrap();
        self.w.listen(l, 16).unwrap();
        l
    }

    /// Connects and runs for `time`; the result as a program would see it.
    fn connect(&mut self, ns: NsId, to: &str, time: u64) -> (SockId, Result<(), Errno>) {
        let s = self.socket(ns, SockKind::Tcp);
        let mut result = self.w.connect(s, at(to));
        if result == Err(Errno::EINPROGRESS) {
            self.run(time);
            result = match (self.w.take_error(s), self.w.tcp_state(s)) {
                (Some(e), _) => Err(e),
                (None, Some(TcpState::Established)) => Ok(()),
                _ => Err(Errno::EINPROGRESS),
            };
        }
        (s, result)
    }

    fn listing(&self, ns: NsId) -> Vec<String> {
        let mut all: Vec<String> =
            self.w.list_sockets(ns).map(|s| format!("{} {} {:02X}", s.local, s.remote, s.state)).collect();
        all.sort();
        all
    }
}

/// Case bind-errors.
#[test]
fn bind_errors() {
    let mut l = Lab::new();
    let mut open = |bind: &str| {
        let s = l.socket(l.h1, SockKind::Udp);
        l.w.bind(s, at(bind))
    };
    assert_eq!(open("10.0.0.9:5000"), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(open("10.0.0.1:5000"), Ok(()));
    assert_eq!(open("10.0.0.1:5000"), Err(Errno::EADDRINUSE));
    assert_eq!(open("0.0.0.0:5000"), Err(Errno::EADDRINUSE));
    assert_eq!(open("127.0.0.1:5000"), Ok(()));
    assert_eq!(open("10.0.0.255:5000"), Ok(()));
    l.w.set_sysctl(l.h1, "net.ipv4.ip_nonlocal_bind", "1").unwrap();
    let s = l.socket(l.h1, SockKind::Udp);
    assert_eq!(l.w.bind(s, at("10.0.0.9:5000")), Ok(()));
    let f = l.socket(l.h1, SockKind::Udp);
    assert_eq!(l.w.connect(f, at("10.0.0.2:53")), Ok(()));
    assert_eq!(l.w.local_addr(f).unwrap().ip(), at("10.0.0.1:0").ip(), "the route's source address");
    assert_eq!(l.w.peer_addr(f), Ok(at("10.0.0.2:53")));
    let e = l.socket(l.r, SockKind::Udp);
    assert_eq!(l.w.connect(e, at("8.8.8.8:53")), Err(Errno::ENETUNREACH));
    assert_eq!(l.w.peer_addr(e), Err(Errno::ENOTCONN));
}

/// Case udp-unconnected-no-error.
#[test]
fn port_unreachable_reaches_connected_sockets_only() {
    let mut l = Lab::new();
    let u = l.udp(l.h1, "10.0.0.1:5000");
    for _ in 0..2 {
        assert_eq!(l.w.send_to(u, b"hello", at("10.0.1.2:9")), Ok(5));
        l.run(SEC);
    }
    let c = l.udp(l.h1, "10.0.0.1:5001");
    l.w.connect(c, at("10.0.1.2:9")).unwrap();
    assert_eq!(l.w.send(c, b"hello"), Ok(5));
    l.run(300 * MS);
    assert_eq!(l.w.recv_from(c).unwrap_err(), Errno::ECONNREFUSED);
    assert_eq!(l.w.send(c, b"hello"), Ok(5));
    l.run(300 * MS);
    assert_eq!(l.w.send(c, b"hello"), Err(Errno::ECONNREFUSED));
    assert_eq!(l.w.recv_from(c).unwrap_err(), Errno::EAGAIN);
}

#[test]
fn datagrams_travel_both_ways_with_addresses_and_ttl() {
    let mut l = Lab::new();
    let server = l.udp(l.h2, "0.0.0.0:7000");
    let client = l.socket(l.h1, SockKind::Udp);
    assert_eq!(l.w.send(client, b"x"), Err(Errno::EDESTADDRREQ));
    assert_eq!(l.w.send_to(client, b"x", at("10.0.1.2:0")), Err(Errno::EINVAL));
    l.w.send_to(client, b"question", at("10.0.1.2:7000")).unwrap();
    l.run(SEC);
    let d = l.w.recv_from(server).unwrap();
    assert_eq!((&d.data[..], d.to, d.ttl, d.iif), (&b"question"[..], at("10.0.1.2:7000"), 63, Some(l.eth[3])));
    assert_eq!(d.from, SocketAddr::new(at("10.0.0.1:0").ip(), l.w.local_addr(client).unwrap().port()));
    l.w.send_to(server, b"answer", d.from).unwrap();
    l.run(SEC);
    assert_eq!(l.w.recv_from(client).unwrap().data, b"answer");
}

/// Case emsgsize-local.
#[test]
fn too_long_messages_fail_locally_with_the_mtu() {
    let mut l = Lab::new();
    let s = l.udp(l.h1, "10.0.0.1:5000");
    l.w.set_option(s, SockOpt::RecvErr(true)).unwrap();
    l.w.set_option(s, SockOpt::MtuDiscover(PmtuDiscover::Do)).unwrap();
    assert_eq!(l.w.send_to(s, &[0; 1473], at("10.0.0.2:9")), Err(Errno::EMSGSIZE));
    let e = l.w.recv_error(s).unwrap();
    assert_eq!((e.errno, e.origin, e.info, e.dst), (Errno::EMSGSIZE, ErrorOrigin::Local, 1500, at("10.0.0.2:0")));
    assert_eq!(l.w.send_to(s, &[0; 1472], at("10.0.1.2:9")), Ok(1472));
    assert_eq!(l.w.send_to(s, &vec![0; 65_508], at("10.0.1.2:9")), Err(Errno::EMSGSIZE));
    // More than an IP packet holds is reported with the MTU too (ip_local_error; case ping-size-limits).
    let e = l.w.recv_error(s).unwrap();
    assert_eq!((e.errno, e.origin, e.info), (Errno::EMSGSIZE, ErrorOrigin::Local, 1500));
    l.run(SEC);
    let e = l.w.recv_error(s).unwrap();
    assert_eq!((e.errno, e.origin), (Errno::ECONNREFUSED, ErrorOrigin::Icmp { kind: 3, code: 3 }));
    assert_eq!(e.offender, Some(at("10.0.1.2:0").ip()));
}

/// Cases pmtud-udp and df-frag-needed.
#[test]
fn path_mtu_is_learned_from_datagrams() {
    let mut l = Lab::new();
    for dev in [l.eth[2], l.eth[3]] {
        l.w.set_mtu(dev, 1400).unwrap();
    }
    let server = l.udp(l.h2, "0.0.0.0:7000");
    let s = l.udp(l.h1, "10.0.0.1:5000");
    l.w.set_option(s, SockOpt::RecvErr(true)).unwrap();
    l.w.send_to(s, &[1; 1450], at("10.0.1.2:7000")).unwrap();
    l.run(SEC);
    let e = l.w.recv_error(s).unwrap();
    assert_eq!((e.errno, e.info, e.offender), (Errno::EMSGSIZE, 1400, Some(at("10.0.0.254:0").ip())));
    assert_eq!(l.w.recv_from(server).unwrap_err(), Errno::EAGAIN, "the first one is lost");
    l.w.send_to(s, &[2; 1450], at("10.0.1.2:7000")).unwrap();
    l.run(SEC);
    assert_eq!(l.w.recv_from(server).unwrap().data.len(), 1450, "the next one is fragmented here");
}

/// Case tcp-basic.
#[test]
fn tcp_echo_close_and_reset() {
    let mut l = Lab::new();
    let listener = l.serve(l.h2, "0.0.0.0:80");
    let (c, r) = l.connect(l.h1, "10.0.1.2:80", SEC);
    assert_eq!(r, Ok(()));
    let (s, peer) = l.w.accept(listener).unwrap();
    assert_eq!(peer, l.w.local_addr(c).unwrap());
    assert_eq!(l.w.accept(listener), Err(Errno::EAGAIN));
    assert_eq!(l.w.send(c, b"hello"), Ok(5));
    l.run(SEC);
    let mut buf = [0; 64];
    assert_eq!(l.w.recv(s, &mut buf), Ok(5));
    l.w.send(s, &buf[..5]).unwrap();
    l.run(SEC);
    assert_eq!(l.w.recv(c, &mut buf), Ok(5));
    l.w.close(c);
    l.run(SEC);
    assert_eq!(l.w.recv(s, &mut buf), Ok(0));
    l.w.close(s);
    l.run(SEC);
    assert_eq!(l.listing(l.h1).len(), 1);
    assert!(l.listing(l.h1)[0].ends_with("10.0.1.2:80 06"), "TIME_WAIT stays with the active closer");
    assert_eq!(l.listing(l.h2), ["0.0.0.0:80 0.0.0.0:0 0A"]);

    let (c, _) = l.connect(l.h1, "10.0.1.2:80", SEC);
    let (s, _) = l.w.accept(listener).unwrap();
    l.w.set_option(c, SockOpt::LingerZero(true)).unwrap();
    l.w.close(c);
    l.run(SEC);
    assert_eq!(l.w.recv(s, &mut buf), Err(Errno::ECONNRESET));
    assert_eq!(l.listing(l.h2), ["0.0.0.0:80 0.0.0.0:0 0A"]);
    assert_eq!(l.listing(l.h1).len(), 1, "an aborted connection leaves nothing");
}

/// Cases tcp-closed-rst, no-route-local, host-unreachable-router, arp-failure-local.
#[test]
fn why_connect_fails() {
    let mut l = Lab::new();
    assert_eq!(l.connect(l.h1, "10.0.1.2:81", SEC).1, Err(Errno::ECONNREFUSED));
    assert_eq!(l.connect(l.r, "172.16.0.1:80", SEC).1, Err(Errno::ENETUNREACH));
    assert_eq!(l.connect(l.h1, "10.0.1.97:80", 5 * SEC).1, Err(Errno::EHOSTUNREACH), "reported by the router");
    assert_eq!(l.connect(l.h1, "10.0.0.99:80", 5 * SEC).1, Err(Errno::EHOSTUNREACH), "nobody answers ARP");
    assert_eq!(l.connect(l.h1, "10.0.0.255:80", SEC).1, Err(Errno::ENETUNREACH), "a broadcast address");
    let (s, r) = l.connect(l.h1, "10.0.1.2:81", SEC);
    assert_eq!(r, Err(Errno::ECONNREFUSED));
    l.serve(l.h2, "0.0.0.0:81");
    assert_eq!(l.w.connect(s, at("10.0.1.2:81")), Err(Errno::EINPROGRESS), "the socket can be used again");
    assert_eq!(l.w.connect(s, at("10.0.1.2:81")), Err(Errno::EALREADY));
    l.run(SEC);
    assert_eq!(l.w.connect(s, at("10.0.1.2:81")), Err(Errno::EISCONN));
}

/// Case lo-own-address.
#[test]
fn own_addresses_are_reached_over_lo() {
    let mut l = Lab::new();
    let listener = l.serve(l.h1, "10.0.0.1:80");
    let (c, r) = l.connect(l.h1, "10.0.0.1:80", SEC);
    assert_eq!(r, Ok(()));
    assert_eq!(l.w.accept(listener).unwrap().1.ip(), at("10.0.0.1:0").ip());
    let (_, r) = l.connect(l.h1, "0.0.0.0:80", SEC);
    assert_eq!(r, Err(Errno::ECONNREFUSED), "0.0.0.0 is 127.0.0.1, where nobody listens");
    l.w.close(c);
    let u = l.udp(l.h1, "0.0.0.0:6000");
    l.w.set_option(u, SockOpt::RecvErr(true)).unwrap();
    l.w.send_to(u, b"hello", at("10.0.0.1:9")).unwrap();
    l.run(SEC);
    let e = l.w.recv_error(u).unwrap();
    assert_eq!((e.errno, e.offender, e.dst), (Errno::ECONNREFUSED, Some(at("10.0.0.1:0").ip()), at("10.0.0.1:9")));
}

/// Case pmtud-tcp: large segments meet a small MTU behind the router and are sent again at once.
#[test]
fn tcp_follows_the_path_mtu() {
    let mut l = Lab::new();
    for dev in [l.eth[2], l.eth[3]] {
        l.w.set_mtu(dev, 1300).unwrap();
    }
    // The far end still offers 1460, as if the small link were further away.
    l.w.set_mtu(l.eth[3], 1500).unwrap();
    let listener = l.serve(l.h2, "0.0.0.0:80");
    let (c, r) = l.connect(l.h1, "10.0.1.2:80", SEC);
    assert_eq!(r, Ok(()));
    let (s, _) = l.w.accept(listener).unwrap();
    let data: Vec<u8> = (0..50_000u32).map(|i| i as u8).collect();
    assert_eq!(l.w.send(c, &data), Ok(data.len()));
    l.run(900 * MS);
    let mut got = vec![0; 60_000];
    assert_eq!(l.w.recv(s, &mut got), Ok(data.len()), "no timeout was waited for");
    assert_eq!(got[..data.len()], data);
}

/// Case ipv6-dual-stack, the IPv4 half.
#[test]
fn a_dual_stack_socket_shows_mapped_addresses() {
    let mut l = Lab::new();
    let listener = l.w.socket(l.h2, Family::V6, SockKind::Tcp, None).unwrap();
    l.w.bind(listener, at("[::]:80")).unwrap();
    l.w.listen(listener, 1).unwrap();
    let (c, r) = l.connect(l.h1, "10.0.1.2:80", SEC);
    assert_eq!(r, Ok(()));
    let (s, peer) = l.w.accept(listener).unwrap();
    assert_eq!(peer.ip(), at("[::ffff:10.0.0.1]:0").ip());
    assert_eq!(l.w.local_addr(s), Ok(at("[::ffff:10.0.1.2]:80")));
    let c6 = l.w.socket(l.h1, Family::V6, SockKind::Tcp, None).unwrap();
    assert_eq!(l.w.connect(c6, at("[::ffff:10.0.1.2]:80")), Err(Errno::EINPROGRESS));
    l.run(SEC);
    assert_eq!(l.w.tcp_state(c6), Some(TcpState::Established));
    l.w.close(c);
}

#[test]
fn ping_sockets_and_raw_sockets() {
    let mut l = Lab::new();
    let p = l.socket(l.h1, SockKind::Ping);
    let raw = l.socket(l.h1, SockKind::Raw(1));
    let mut echo = vec![8, 0, 0, 0, 0, 0, 0, 1];
    echo.extend_from_slice(&[7; 56]);
    assert_eq!(l.w.send_to(p, &echo, at("10.0.1.2:0")), Ok(64));
    l.run(SEC);
    let d = l.w.recv_from(p).unwrap();
    assert_eq!((d.data[0], d.data.len(), d.ttl, d.from), (0, 64, 63, at("10.0.1.2:0")));
    let copy = l.w.recv_from(raw).unwrap();
    assert_eq!((copy.data.len(), copy.data[20]), (84, 0), "the whole packet, IP header included");
    assert_eq!(l.w.send_to(p, &[0; 64], at("10.0.1.2:0")), Err(Errno::EINVAL), "echo requests only");

    l.w.set_option(p, SockOpt::RecvErr(true)).unwrap();
    l.w.set_option(p, SockOpt::Ttl(Some(1))).unwrap();
    l.w.send_to(p, &echo, at("10.0.1.2:0")).unwrap();
    l.run(SEC);
    let e = l.w.recv_error(p).unwrap();
    assert_eq!((e.errno, e.origin), (Errno::EHOSTUNREACH, ErrorOrigin::Icmp { kind: 11, code: 0 }));
    assert_eq!((e.offender, e.data[0], e.data[7]), (Some(at("10.0.0.254:0").ip()), 8, 1), "the quoted request");
}

/// Case broadcast-udp, without the bridge.
#[test]
fn broadcasts_need_permission_and_are_heard_by_the_sender_too() {
    let mut l = Lab::new();
    let far = l.udp(l.r, "0.0.0.0:7000");
    let own = l.udp(l.h1, "0.0.0.0:7000");
    let s = l.udp(l.h1, "0.0.0.0:6000");
    assert_eq!(l.w.send_to(s, b"hello", at("10.0.0.255:7000")), Err(Errno::EACCES));
    assert_eq!(l.w.connect(s, at("10.0.0.255:7000")), Err(Errno::EACCES));
    l.w.set_option(s, SockOpt::Broadcast(true)).unwrap();
    assert_eq!(l.w.send_to(s, b"hello", at("10.0.0.255:7000")), Ok(5));
    l.run(SEC);
    for sock in [far, own] {
        let d = l.w.recv_from(sock).unwrap();
        assert_eq!((d.from, d.to), (at("10.0.0.1:6000"), at("10.0.0.255:7000")));
    }
}

/// Case multicast-link.
#[test]
fn groups_are_heard_by_members_only() {
    let mut l = Lab::new();
    let m = l.udp(l.r, "0.0.0.0:7000");
    let s = l.udp(l.h1, "10.0.0.1:5000");
    l.w.set_option(s, SockOpt::BindToDevice(Some(l.eth[0]))).unwrap();
    let group = at("239.1.2.3:7000");
    assert_eq!(l.w.set_option(m, SockOpt::JoinGroup(at("10.0.0.9:0").ip(), l.eth[1])), Err(Errno::EINVAL));
    assert_eq!(l.w.set_option(m, SockOpt::JoinGroup(group.ip(), l.eth[0])), Err(Errno::ENODEV));
    l.w.send_to(s, b"early", group).unwrap();
    l.run(SEC);
    assert_eq!(l.w.recv_from(m).unwrap_err(), Errno::EAGAIN);
    l.w.set_option(m, SockOpt::JoinGroup(group.ip(), l.eth[1])).unwrap();
    assert_eq!(l.w.set_option(m, SockOpt::JoinGroup(group.ip(), l.eth[1])), Err(Errno::EADDRINUSE));
    l.w.send_to(s, b"hello", group).unwrap();
    l.run(SEC);
    let d = l.w.recv_from(m).unwrap();
    assert_eq!((&d.data[..], d.ttl, d.to), (&b"hello"[..], 1, group));
    l.w.set_option(m, SockOpt::LeaveGroup(group.ip(), l.eth[1])).unwrap();
    l.w.send_to(s, b"late", group).unwrap();
    l.run(SEC);
    assert_eq!(l.w.recv_from(m).unwrap_err(), Errno::EAGAIN);
}

#[test]
fn every_call_on_a_closed_socket_fails() {
    let mut l = Lab::new();
    let s = l.udp(l.h1, "10.0.0.1:5000");
    l.w.close(s);
    assert_eq!(l.w.bind(s, at("10.0.0.1:1")), Err(Errno::EBADF));
    assert_eq!(l.w.connect(s, at("10.0.0.2:1")), Err(Errno::EBADF));
    assert_eq!(l.w.listen(s, 1), Err(Errno::EBADF));
    assert_eq!(l.w.accept(s), Err(Errno::EBADF));
    assert_eq!(l.w.send(s, b"x"), Err(Errno::EBADF));
    assert_eq!(l.w.send_to(s, b"x", at("10.0.0.2:1")), Err(Errno::EBADF));
    assert_eq!(l.w.recv_from(s).unwrap_err(), Errno::EBADF);
    assert_eq!(l.w.recv(s, &mut [0]), Err(Errno::EBADF));
    assert_eq!(l.w.shutdown(s, true, true), Err(Errno::EBADF));
    assert_eq!(l.w.local_addr(s), Err(Errno::EBADF));
    assert_eq!(l.w.set_option(s, SockOpt::Broadcast(true)), Err(Errno::EBADF));
    assert!(l.w.poll(s).error);
    l.w.close(s);
}

#[test]
fn ipv6_over_lo() {
    let mut l = Lab::new();
    // Whether `lo` has ::1 by itself depends on the IPv6 sysctls.
    let lo = l.w.ns(l.h1).lo;
    if l.w.dev(lo).addrs.iter().all(|a| a.prefix.is_ipv4()) {
        l.w.add_address(lo, "::1/128".parse().unwrap(), None).unwrap();
    }
    let v6 = |l: &mut Lab, kind| l.w.socket(l.h1, Family::V6, kind, None).unwrap();
    let listener = v6(&mut l, SockKind::Tcp);
    l.w.bind(listener, at("[::1]:80")).unwrap();
    l.w.listen(listener, 1).unwrap();
    let c = v6(&mut l, SockKind::Tcp);
    assert_eq!(l.w.connect(c, at("[::1]:80")), Err(Errno::EINPROGRESS));
    l.run(SEC);
    let (s, peer) = l.w.accept(listener).unwrap();
    assert_eq!(peer.ip(), at("[::1]:0").ip());
    l.w.send(c, &[7; 30_000]).unwrap();
    l.run(SEC);
    let mut buf = vec![0; 40_000];
    assert_eq!(l.w.recv(s, &mut buf), Ok(30_000));
    let u = v6(&mut l, SockKind::Udp);
    l.w.bind(u, at("[::]:53")).unwrap();
    let d = v6(&mut l, SockKind::Udp);
    l.w.send_to(d, b"six", at("[::1]:53")).unwrap();
    l.w.send_to(d, b"four", at("[::ffff:127.0.0.1]:53")).unwrap();
    l.run(SEC);
    let (six, four) = (l.w.recv_from(u).unwrap(), l.w.recv_from(u).unwrap());
    assert_eq!((&six.data[..], six.from.ip()), (&b"six"[..], at("[::1]:0").ip()));
    assert_eq!((&four.data[..], four.from.ip()), (&b"four"[..], at("[::ffff:127.0.0.1]:0").ip()));
}
