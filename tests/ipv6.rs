//! IPv6 through the public API: neighbour discovery, forwarding, errors, path MTU, autoconfiguration, TCP.

mod lab;

use lab::{Watch, flaws, ip};
use netsim::{
    app::{
        Outcome, Ping, PingConfig, TcpClient, TcpClientConfig, TcpPayload, TcpServer, TcpServerConfig, TcpServerMode,
        Traceroute, TracerouteConfig,
    },
    base::{DevId, Errno, NsId, SEC, SockId, Time},
    kernel::{AddrState, RouterAdvert, link_local_of},
    sim::{Limits, World},
    socket::{ErrorOrigin, Family, SockKind, SockOpt},
    trace::{Direction, Event},
    wire::dissect::{self, LinkKind},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

fn at(s: &str) -> SocketAddr {
    s.parse().expect("a literal socket address")
}

/// `h1 — r — h2` with 2001:db8:1::/64 and 2001:db8:2::/64, as in case ipv6-router.
struct Lab {
    w: World,
    h1: NsId,
    r: NsId,
    h2: NsId,
    h1_eth: DevId,
    r_left: DevId,
    r_right: DevId,
    flaws: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<(DevId, String)>>>,
}

fn lab() -> Lab {
    let mut w = World::new(7);
    let [h1, r, h2] = ["h1", "r", "h2"].map(|n| w.add_namespace(n).expect("a fresh name"));
    let (h1_eth, r_left) = w.add_veth((h1, "eth0"), (r, "eth0")).expect("fresh names");
    let (r_right, h2_eth) = w.add_veth((r, "eth1"), (h2, "eth0")).expect("fresh names");
    w.set_sysctl(r, "net.ipv6.conf.all.forwarding", "1").expect("a sysctl");
    for (dev, addr) in [
        (h1_eth, "2001:db8:1::1/64"),
        (r_left, "2001:db8:1::fe/64"),
        (r_right, "2001:db8:2::fe/64"),
        (h2_eth, "2001:db8:2::2/64"),
    ] {
        w.add_address(dev, addr.parse().expect("a prefix"), None).expect("a new address");
    }
    w.exec_route(h1, "default via 2001:db8:1::fe").expect("a route");
    w.exec_route(h2, "default via 2001:db8:2::fe").expect("a route");
    let flaws = flaws(&mut w);
    let seen = frames(&mut w);
    Lab { w, h1, r, h2, h1_eth, r_left, r_right, flaws, seen }
}

/// Every frame that leaves a device, in words.
fn frames(w: &mut World) -> Arc<Mutex<Vec<(DevId, String)>>> {
    Watch::on(w, |seen: &mut Vec<(DevId, String)>, names, r| {
        let (Event::Frame { bytes, dir: Direction::Out }, Some(dev)) = (r.event, r.dev) else { return };
        let link = if names.dev(dev) == "lo" { LinkKind::Ip } else { LinkKind::Ethernet };
        seen.push((dev, dissect::summary(bytes, link)));
    })
}

impl Lab {
    fn run(&mut self, span: Time) {
        let until = Some(self.w.core.now + span);
        self.w.run(&Limits { until, ..Limits::default() });
        assert_eq!(*self.flaws.lock().unwrap(), Vec::<String>::new());
    }

    fn ping(&mut self, to: &str, change: impl FnOnce(&mut PingConfig)) -> Vec<String> {
        let mut config = PingConfig { count: Some(1), wait: SEC, ..PingConfig::to(ip(to)) };
        change(&mut config);
        let (now, wait) = (self.w.core.now, config.wait);
        let app = self.w.spawn(self.h1, now, Box::new(Ping::new(config)));
        self.run(wait + 2 * SEC);
        self.w.app(app).output.to_vec()
    }

    /// A UDP socket that wants to hear of errors.
    fn udp(&mut self, ns: NsId, bind: &str) -> SockId {
        let s = self.w.socket(ns, Family::V6, SockKind::Udp, None).expect("a socket");
        self.w.set_option(s, SockOpt::RecvErr(true)).expect("an option of UDP");
        self.w.bind(s, at(bind)).expect("a free port");
        s
    }

    /// What left `dev` so far.
    fn sent(&self, dev: DevId) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|(d, _)| *d == dev).map(|(_, line)| line.clone()).collect()
    }
}

/// Case ipv6-router: hosts ask with the address they send from, the router with its link-local one.
#[test]
fn ping_over_a_router() {
    let mut l = lab();
    let lines = l.ping("2001:db8:2::2", |c| c.id = Some(1001));
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    assert_eq!(
        l.sent(l.h1_eth),
        [
            "IP6 2001:db8:1::1>ff02::1:ff00:fe hl=255 ICMP6 neighbor-solicit target=2001:db8:1::fe",
            "IP6 2001:db8:1::1>2001:db8:2::2 hl=64 ICMP6 echo-request id=1001 seq=1 len=56",
        ]
    );
    let ll = l.w.dev(l.r_right).link_local().expect("a link-local address");
    assert_eq!(
        l.sent(l.r_right),
        [
            format!("IP6 {ll}>ff02::1:ff00:2 hl=255 ICMP6 neighbor-solicit target=2001:db8:2::2"),
            "IP6 2001:db8:1::1>2001:db8:2::2 hl=63 ICMP6 echo-request id=1001 seq=1 len=56".into(),
            "IP6 2001:db8:2::fe>2001:db8:2::2 hl=255 ICMP6 neighbor-advert flags=RSO target=2001:db8:2::fe".into(),
        ]
    );
}

#[test]
fn the_hop_limit_runs_out() {
    let mut l = lab();
    let lines = l.ping("2001:db8:2::2", |c| c.ttl = Some(1));
    assert_eq!(lines[1], "From 2001:db8:1::fe icmp_seq=1 Time exceeded: Hop limit");
    let error = "IP6 2001:db8:1::fe>2001:db8:1::1 hl=64 ICMP6 3/0";
    assert!(l.sent(l.r_left).iter().any(|f| f.starts_with(error)), "{:?}", l.sent(l.r_left));

    let config = TracerouteConfig { queries: 1, sequential: true, ..TracerouteConfig::to(ip("2001:db8:2::2")) };
    let now = l.w.core.now;
    let app = l.w.spawn(l.h1, now, Box::new(Traceroute::new(config)));
    l.run(20 * SEC);
    let lines = l.w.app(app).output.to_vec();
    assert_eq!(lines[0], "traceroute to 2001:db8:2::2 (2001:db8:2::2), 30 hops max, 80 byte packets");
    assert!(lines[1].starts_with(" 1  2001:db8:1::fe  ") && lines[2].starts_with(" 2  2001:db8:2::2  "), "{lines:?}");
    assert_eq!(lines.len(), 3);
}

/// Case ipv6-errors.
#[test]
fn a_closed_port_answers_with_an_error() {
    let mut l = lab();
    let s = l.udp(l.h1, "[2001:db8:1::1]:5000");
    assert_eq!(l.w.send_to(s, b"hello", at("[2001:db8:2::2]:9")), Ok(5));
    l.run(2 * SEC);
    let e = l.w.recv_error(s).expect("an error came back");
    assert_eq!((e.errno, e.origin), (Errno::ECONNREFUSED, ErrorOrigin::Icmp { kind: 1, code: 4 }));
    assert_eq!((e.offender, e.dst), (Some(ip("2001:db8:2::2")), at("[2001:db8:2::2]:9")));
    assert!(l.w.recv_error(s).is_none(), "one datagram, one error");
}

/// Case ipv6-errors: no route is 1/0, no neighbour 1/3 after three questions.
#[test]
fn what_cannot_be_reached_is_reported() {
    let mut l = lab();
    let lines = l.ping("2001:db8:99::1", |_| {});
    assert_eq!(lines[1], "From 2001:db8:1::fe icmp_seq=1 Destination unreachable: No route");
    let lines = l.ping("2001:db8:2::99", |c| c.wait = 5 * SEC);
    assert_eq!(lines[1], "From 2001:db8:1::fe icmp_seq=1 Destination unreachable: Address unreachable");
    let asked = l.sent(l.r_right).iter().filter(|f| f.contains("neighbor-solicit target=2001:db8:2::99")).count();
    assert_eq!(asked, 3);
    let error = "IP6 2001:db8:1::fe>2001:db8:1::1 hl=64 ICMP6 1/3";
    assert!(l.sent(l.r_left).iter().any(|f| f.starts_with(error)), "{:?}", l.sent(l.r_left));
}

/// RFC 8200 §5, RFC 8201: the router reports the MTU, the source fragments what it sends from then on.
#[test]
fn packets_too_big_for_the_path() {
    let mut l = lab();
    l.w.set_mtu(l.r_right, 1300).expect("an MTU");
    let receiver = l.udp(l.h2, "[2001:db8:2::2]:9");
    let s = l.udp(l.h1, "[2001:db8:1::1]:5000");
    let data: Vec<u8> = (0..1400u32).map(|i| i as u8).collect();
    l.w.send_to(s, &data, at("[2001:db8:2::2]:9")).expect("it fits the link");
    l.run(2 * SEC);
    let error = "IP6 2001:db8:1::fe>2001:db8:1::1 hl=64 ICMP6 2/0";
    assert!(l.sent(l.r_left).iter().any(|f| f.starts_with(error)), "{:?}", l.sent(l.r_left));
    assert!(l.w.recv_from(receiver).is_err(), "the first is lost");
    let e = l.w.recv_error(s).expect("the sender is told");
    assert_eq!((e.errno, e.origin, e.info), (Errno::EMSGSIZE, ErrorOrigin::Icmp { kind: 2, code: 0 }, 1300));
    let before = l.sent(l.h1_eth).len();
    l.w.send_to(s, &data, at("[2001:db8:2::2]:9")).expect("it goes in pieces");
    l.run(2 * SEC);
    let pieces = l.sent(l.h1_eth)[before..].iter().filter(|f| f.contains("2001:db8:1::1>2001:db8:2::2")).count();
    assert_eq!(pieces, 2);
    assert_eq!(l.w.recv_from(receiver).map(|d| d.data), Ok(data));
}

/// Two devices of one link with the same new address: the second finds out (RFC 4862 §5.4).
#[test]
fn a_duplicate_address_is_not_used() {
    let mut w = World::new(7);
    let [a, b] = ["a", "b"].map(|n| w.add_namespace(n).expect("a fresh name"));
    let (a_eth, b_eth) = w.add_veth((a, "eth0"), (b, "eth0")).expect("fresh names");
    w.add_address(a_eth, "2001:db8::1/64".parse().expect("a prefix"), None).expect("a new address");
    w.set_sysctl(b, "net.ipv6.conf.all.disable_ipv6", "0").expect("a sysctl");
    w.set_sysctl(b, "net.ipv6.conf.eth0.accept_dad", "1").expect("a sysctl");
    for addr in ["2001:db8::1/64", "2001:db8::2/64"] {
        w.add_address(b_eth, addr.parse().expect("a prefix"), None).expect("a new address");
    }
    let state =
        |w: &World, dev, addr: &str| w.dev(dev).addrs6().find(|(ip, _)| ip.to_string() == addr).map(|(_, a)| a.state);
    assert_eq!(state(&w, b_eth, "2001:db8::1"), Some(AddrState::Tentative));
    w.run(&Limits { until: Some(5 * SEC), ..Limits::default() });
    assert_eq!(state(&w, a_eth, "2001:db8::1"), Some(AddrState::Valid));
    assert_eq!(state(&w, b_eth, "2001:db8::1"), Some(AddrState::Duplicate));
    assert_eq!(state(&w, b_eth, "2001:db8::2"), Some(AddrState::Valid));
}

/// A host without configuration finds its address and its router (RFC 4861 §6, RFC 4862 §5.5), and is reachable.
#[test]
fn a_host_configures_itself() {
    let mut l = lab();
    let auto = l.w.add_namespace("auto").expect("a fresh name");
    let (lan, eth0) = l.w.add_veth((l.r, "lan"), (auto, "eth0")).expect("fresh names");
    l.w.add_address(lan, "2001:db8:3::fe/64".parse().expect("a prefix"), None).expect("a new address");
    l.w.set_sysctl(auto, "net.ipv6.conf.all.disable_ipv6", "0").expect("a sysctl");
    l.w.advertise(lan, RouterAdvert::new("2001:db8:3::/64".parse().expect("a prefix"))).expect("a link");
    l.run(2 * SEC);
    let (addr, entry) = l.w.dev(eth0).addrs6().find(|(ip, _)| ip.segments()[2] == 3).expect("an address");
    assert_eq!((addr.segments()[..4].to_vec(), entry.state), (vec![0x2001, 0xdb8, 3, 0], AddrState::Valid));
    assert_eq!(addr.segments()[4..], link_local_of(l.w.dev(eth0).mac).segments()[4..]);
    let lines = l.ping(&addr.to_string(), |_| {});
    assert!(lines[1].starts_with(&format!("64 bytes from {addr}: icmp_seq=1 ttl=63")), "{lines:?}");
}

/// A stream over the router arrives as it was sent.
#[test]
fn tcp_over_a_router() {
    let mut l = lab();
    let to = at("[2001:db8:2::2]:80");
    let sink = TcpServerConfig { bind: to, mode: TcpServerMode::Sink, ..TcpServerConfig::default() };
    let sink = l.w.spawn(l.h2, 0, Box::new(TcpServer::new(sink)));
    let send = TcpPayload::Pattern { bytes: 20_000, seed: 1 };
    let client = TcpClientConfig { send, ..TcpClientConfig::to(to) };
    let client = l.w.spawn(l.h1, 0, Box::new(TcpClient::new(client)));
    l.run(60 * SEC);
    let Outcome::Tcp { complete, sent_digest, error, .. } = l.w.app(client).outcome else { panic!("a client") };
    assert!(complete, "{error:?}");
    let Outcome::Server { streams, .. } = l.w.app(sink).outcome else { panic!("a server") };
    assert_eq!((streams[0].bytes, streams[0].digest), (20_000, sent_digest));
}
