//! The programs: what they print and what comes of them, in small worlds.

use netsim::{
    app::{
        HttpGet, HttpGetConfig, HttpServer, HttpServerConfig, Outcome, Ping, PingConfig, TcpClient, TcpClientConfig,
        TcpEnd, TcpPayload, TcpServer, TcpServerConfig, TcpServerMode, Traceroute, TracerouteConfig, TracerouteMethod,
        UdpSend, UdpSendConfig, UdpServer, UdpServerConfig,
    },
    base::{AppId, DevId, Errno, MS, NsId, SEC},
    device::bridge::BridgeConfig,
    link::{Loss, NetemConfig, QdiscConfig},
    neigh::{SetEntry, SetMode},
    sim::{Limits, World},
    socket::PmtuDiscover,
    trace::NeighState,
};
use std::net::{IpAddr, SocketAddr};

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn at(s: &str) -> SocketAddr {
    s.parse().unwrap()
}

/// `a` — `r1` — `r2` — `b`, with 10.0.0.0/24, 10.0.12.0/24 and 10.0.2.0/24; hosts are .2, routers .1 (and 12.1, 12.2).
struct Chain {
    w: World,
    a: NsId,
    b: NsId,
    a_eth: DevId,
    b_link: DevId,
}

fn route(w: &mut World, ns: NsId, text: &str) {
    w.add_route_spec(ns, &netsim::route::parse_route(text).unwrap(), netsim::route::AddMode::Add).unwrap();
}

fn chain() -> Chain {
    let mut w = World::new(7);
    let [a, r1, r2, b] = ["a", "r1", "r2", "b"].map(|n| w.add_namespace(n).unwrap());
    let (a_eth, r1_left) = w.add_veth((a, "eth0"), (r1, "eth0")).unwrap();
    let (r1_right, r2_left) = w.add_veth((r1, "eth1"), (r2, "eth0")).unwrap();
    let (b_link, b_eth) = w.add_veth((r2, "eth1"), (b, "eth0")).unwrap();
    for (dev, addr) in [
        (a_eth, "10.0.0.2/24"),
        (r1_left, "10.0.0.1/24"),
        (r1_right, "10.0.12.1/24"),
        (r2_left, "10.0.12.2/24"),
        (b_link, "10.0.2.1/24"),
        (b_eth, "10.0.2.2/24"),
    ] {
        w.add_address(dev, addr.parse().unwrap(), None).unwrap();
    }
    for r in [r1, r2] {
        w.set_sysctl(r, "net.ipv4.ip_forward", "1").unwrap();
    }
    route(&mut w, a, "default via 10.0.0.1");
    route(&mut w, r1, "10.0.2.0/24 via 10.0.12.2");
    route(&mut w, r2, "10.0.0.0/24 via 10.0.12.1");
    route(&mut w, b, "default via 10.0.2.1");
    Chain { w, a, b, a_eth, b_link }
}

impl Chain {
    fn run(&mut self) {
        self.w.run(&Limits::default());
    }

    fn ping(&mut self, config: PingConfig) -> AppId {
        self.w.spawn(self.a, 0, Box::new(Ping::new(config)))
    }

    /// Everything that leaves by `dev`.
    fn impair(&mut self, dev: DevId, config: NetemConfig) {
        self.w.set_qdisc(dev, QdiscConfig::Netem(config));
    }

    fn lines(&self, app: AppId) -> Vec<String> {
        self.w.app(app).output.to_vec()
    }
}

/// Replaces times by `T`, as the oracle does.
fn timeless(lines: &[String]) -> Vec<String> {
    let number = |c: char| c.is_ascii_digit() || c == '.' || c == '/';
    lines
        .iter()
        .map(|line| match (line.find("time="), line.find("time "), line.find("mdev = ")) {
            (Some(i), ..) => format!("{}T{}", &line[..i + 5], line[i + 5..].trim_start_matches(number)),
            (_, Some(i), _) if line.contains("packet loss") => format!("{}T", &line[..i + 5]),
            (.., Some(i)) => format!("{}T{}", &line[..i + 7], line[i + 7..].trim_start_matches(number)),
            _ => line.clone(),
        })
        .collect()
}

/// Case ping-router.
#[test]
fn ping_prints_what_the_tool_prints() {
    let mut c = chain();
    let app = c.ping(PingConfig { count: Some(2), ..PingConfig::to(ip("10.0.2.2")) });
    c.run();
    assert_eq!(
        timeless(&c.lines(app)),
        [
            "PING 10.0.2.2 (10.0.2.2) 56(84) bytes of data.",
            "64 bytes from 10.0.2.2: icmp_seq=1 ttl=62 time=T ms",
            "64 bytes from 10.0.2.2: icmp_seq=2 ttl=62 time=T ms",
            "",
            "--- 10.0.2.2 ping statistics ---",
            "2 packets transmitted, 2 received, 0% packet loss, time T",
            "rtt min/avg/max/mdev = T ms",
        ]
    );
    let info = c.w.app(app);
    assert_eq!(info.exit, Some(0));
    let Outcome::Ping { sent: 2, received: 2, ttl: Some(62), rtt, .. } = info.outcome else {
        panic!("{:?}", info.outcome)
    };
    assert_eq!(rtt.len(), 2);
}

/// Case netem-delay-both: the first exchange includes address resolution.
#[test]
fn round_trip_times_are_those_of_the_links() {
    let mut c = chain();
    c.impair(c.a_eth, NetemConfig { delay: 20 * MS, ..NetemConfig::default() });
    let app = c.ping(PingConfig { count: Some(3), ..PingConfig::to(ip("10.0.0.1")) });
    c.run();
    let lines = c.lines(app);
    assert_eq!(lines[1], "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=40.0 ms", "{lines:?}");
    assert_eq!(lines[2], "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=20.0 ms");
    assert_eq!(lines[6], "3 packets transmitted, 3 received, 0% packet loss, time 2000ms");
    assert_eq!(lines[7], "rtt min/avg/max/mdev = 20.000/26.666/40.000/9.428 ms");
}

/// Case netem-duplicate.
#[test]
fn duplicates_are_marked() {
    let mut c = chain();
    c.impair(c.b_link, NetemConfig { duplicate: 1_000_000, ..NetemConfig::default() });
    let app = c.ping(PingConfig { count: Some(2), ..PingConfig::to(ip("10.0.2.2")) });
    c.run();
    let lines = timeless(&c.lines(app));
    assert!(lines.contains(&"64 bytes from 10.0.2.2: icmp_seq=1 ttl=62 time=T ms (DUP!)".into()), "{lines:?}");
    assert!(lines.contains(&"2 packets transmitted, 2 received, +1 duplicates, 0% packet loss, time T".into()));
}

/// Case arp-failure-local: the host reports to itself after three probes.
#[test]
fn a_dead_neighbour_is_unreachable() {
    let mut c = chain();
    let app = c.ping(PingConfig { count: Some(2), interval: 200 * MS, ..PingConfig::to(ip("10.0.0.9")) });
    c.run();
    assert_eq!(
        timeless(&c.lines(app)),
        [
            "PING 10.0.0.9 (10.0.0.9) 56(84) bytes of data.",
            "From 10.0.0.2 icmp_seq=1 Destination Host Unreachable",
            "From 10.0.0.2 icmp_seq=2 Destination Host Unreachable",
            "",
            "--- 10.0.0.9 ping statistics ---",
            "2 packets transmitted, 0 received, +2 errors, 100% packet loss, time T",
            "pipe 2",
        ]
    );
    assert_eq!(c.w.app(app).exit, Some(1));
}

/// Cases ttl-exceeded, net-unreachable-router and df-frag-needed.
#[test]
fn routers_report_errors() {
    let mut c = chain();
    c.w.set_mtu(c.b_link, 1400).unwrap();
    let to = |s| PingConfig { count: Some(1), ..PingConfig::to(ip(s)) };
    let ttl = c.ping(PingConfig { ttl: Some(1), ..to("10.0.2.2") });
    let net = c.ping(to("172.16.0.1"));
    let big = PingConfig { size: 1400, df: Some(PmtuDiscover::Do), ..to("10.0.2.2") };
    let first = c.ping(big.clone());
    c.run();
    let second = c.ping(big);
    c.run();
    assert_eq!(c.lines(ttl)[1], "From 10.0.0.1 icmp_seq=1 Time to live exceeded");
    assert_eq!(c.lines(net)[1], "From 10.0.0.1 icmp_seq=1 Destination Net Unreachable");
    assert_eq!(c.lines(first)[0], "PING 10.0.2.2 (10.0.2.2) 1400(1428) bytes of data.");
    assert_eq!(c.lines(first)[1], "From 10.0.12.2 icmp_seq=1 Frag needed and DF set (mtu = 1400)");
    assert_eq!(c.lines(second)[1], "ping: local error: message too long, mtu=1400");
    assert_eq!(c.lines(second)[4], "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms");
    assert_eq!(c.lines(second)[5], "");
}

/// Cases no-route-local, src-address-selection and broadcast-ping.
#[test]
fn local_errors_end_ping_at_once() {
    let mut c = chain();
    let lonely = c.w.add_namespace("lonely").unwrap();
    let to = |s| PingConfig { count: Some(1), ..PingConfig::to(ip(s)) };
    let no_route = c.w.spawn(lonely, 0, Box::new(Ping::new(to("8.8.8.8"))));
    let source = c.ping(PingConfig { source: Some(ip("10.9.9.9")), ..to("10.0.2.2") });
    let broadcast = c.ping(to("10.0.0.255"));
    c.run();
    for (app, line) in [
        (no_route, "ping: connect: Network is unreachable"),
        (source, "ping: bind: Cannot assign requested address"),
        (broadcast, "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules"),
    ] {
        assert_eq!(c.lines(app), [line]);
        assert_eq!(c.w.app(app).exit, Some(2));
    }
    let Outcome::Ping { local_error, .. } = c.w.app(no_route).outcome else { panic!() };
    assert_eq!(local_error, Some(Errno::ENETUNREACH));
}

/// Case icmp-redirect: the redirect is printed, the request is answered.
#[test]
fn ping_shows_redirects() {
    let mut w = World::new(7);
    let [h, r1, r2, sw] = ["h", "r1", "r2", "sw"].map(|n| w.add_namespace(n).unwrap());
    let bridge = w.add_bridge(sw, "br0", BridgeConfig::default()).unwrap();
    for (ns, port, addr) in [(h, "p0", "10.0.0.1/24"), (r1, "p1", "10.0.0.254/24"), (r2, "p2", "10.0.0.253/24")] {
        let (eth, port) = w.add_veth((ns, "eth0"), (sw, port)).unwrap();
        w.set_master(port, bridge).unwrap();
        w.add_address(eth, addr.parse().unwrap(), None).unwrap();
    }
    let lo = w.find_dev(r2, "lo").unwrap();
    w.add_address(lo, "10.9.0.9/32".parse().unwrap(), None).unwrap();
    w.set_sysctl(r1, "net.ipv4.ip_forward", "1").unwrap();
    route(&mut w, h, "default via 10.0.0.254");
    route(&mut w, r1, "10.9.0.0/24 via 10.0.0.253");
    let app = w.spawn(h, 0, Box::new(Ping::new(PingConfig { count: Some(1), ..PingConfig::to(ip("10.9.0.9")) })));
    w.run(&Limits::default());
    let lines = timeless(w.app(app).output);
    assert_eq!(
        lines[1..3],
        [
            "From 10.0.0.254: icmp_seq=1 Redirect Host(New nexthop: 10.0.0.253)",
            "64 bytes from 10.9.0.9: icmp_seq=1 ttl=64 time=T ms",
        ]
    );
}

#[test]
fn programs_speak_ipv6() {
    let mut c = chain();
    let lo = c.w.find_dev(c.a, "lo").unwrap();
    if !c.w.dev(lo).addrs.iter().any(|a| a.prefix.addr() == ip("::1")) {
        c.w.add_address(lo, "::1/128".parse().unwrap(), None).unwrap();
    }
    let server = UdpServer::new(UdpServerConfig { bind: at("[::1]:7000"), echo: true });
    c.w.spawn(c.a, 0, Box::new(server));
    let config = UdpSendConfig { bind: Some(at("[::1]:5001")), ..UdpSendConfig::to(at("[::1]:7000")) };
    let client = c.w.spawn(c.a, 0, Box::new(UdpSend::new(config)));
    let ping = c.ping(PingConfig { count: Some(1), ..PingConfig::to(ip("2001:db8::1")) });
    c.run();
    assert_eq!(c.lines(client), ["5 bytes from [::1]:7000: \"hello\"", "1 datagrams sent, 1 answered"]);
    assert_eq!(c.lines(ping), ["ping: connect: Network is unreachable"]);
    let address = "00000000000000000000000000000001 01 80 10 80       lo\n";
    // With IPv6 on, eth0 has its link-local address besides.
    assert!(netsim::procfs::read(&c.w, c.a, "/proc/net/if_inet6").unwrap().contains(address));
}

#[test]
fn ping_gives_up_after_its_wait_and_at_its_deadline() {
    let mut c = chain();
    c.impair(
        c.a_eth,
        NetemConfig { loss: Loss::Random { share: 1_000_000, correlation: 0 }, ..NetemConfig::default() },
    );
    let mac = Some("02:00:00:00:00:01".parse().unwrap());
    let entry = SetEntry { dev: c.a_eth, addr: ip("10.0.0.1"), mac, state: NeighState::Permanent };
    c.w.set_neighbour(&entry, SetMode::Replace).unwrap();
    let silent = c.ping(PingConfig { count: Some(1), wait: 2 * SEC, ..PingConfig::to(ip("10.0.2.2")) });
    let bounded = c.ping(PingConfig { deadline: Some(3500 * MS), ..PingConfig::to(ip("10.0.2.2")) });
    c.run();
    assert!(c.lines(silent)[3].starts_with("1 packets transmitted, 0 received, 100% packet loss"));
    assert_eq!(c.lines(bounded)[3], "4 packets transmitted, 0 received, 100% packet loss, time 3000ms");
    assert_eq!(c.w.app(bounded).exit, Some(1));
}

/// Case traceroute-chain.
#[test]
fn traceroute_finds_the_way() {
    for method in [TracerouteMethod::Udp, TracerouteMethod::Icmp, TracerouteMethod::Tcp] {
        let mut c = chain();
        let config = TracerouteConfig { method, ..TracerouteConfig::to(ip("10.0.2.2")) };
        let app = c.w.spawn(c.a, 0, Box::new(Traceroute::new(config)));
        c.run();
        let lines = c.lines(app);
        assert_eq!(lines[0], "traceroute to 10.0.2.2 (10.0.2.2), 30 hops max, 60 byte packets");
        assert_eq!(lines.len(), 4, "{method:?}: {lines:?}");
        let info = c.w.app(app);
        assert_eq!(info.exit, Some(0));
        let Outcome::Traceroute { hops, reached: true, .. } = info.outcome else { panic!("{:?}", info.outcome) };
        let via: Vec<IpAddr> = hops.iter().map(|h| h.probes[0].as_ref().unwrap().0).collect();
        assert_eq!(via, [ip("10.0.0.1"), ip("10.0.12.2"), ip("10.0.2.2")], "{method:?}");
        for (i, hop) in hops.iter().enumerate() {
            assert_eq!((hop.ttl as usize, hop.probes.len()), (i + 1, 3));
            assert!(hop.probes.iter().flatten().all(|(_, note)| note.is_empty()));
            assert!(lines[i + 1].starts_with(&format!("{:2}  {}  ", i + 1, via[i])) && lines[i + 1].ends_with(" ms"));
        }
    }
}

/// Cases no-route-local and net-unreachable-router; a hop that says nothing is a star.
#[test]
fn traceroute_meets_obstacles() {
    let mut c = chain();
    let quick = TracerouteConfig { queries: 1, wait: SEC, max_ttl: 3, ..TracerouteConfig::default() };
    let lonely = c.w.add_namespace("lonely").unwrap();
    let nowhere =
        c.w.spawn(lonely, 0, Box::new(Traceroute::new(TracerouteConfig { to: ip("8.8.8.8"), ..quick.clone() })));
    let none = c.w.spawn(c.a, 0, Box::new(Traceroute::new(TracerouteConfig { to: ip("172.16.0.1"), ..quick.clone() })));
    let dead = c.w.spawn(c.a, 0, Box::new(Traceroute::new(TracerouteConfig { to: ip("10.0.2.9"), ..quick })));
    c.run();
    assert_eq!(c.lines(nowhere)[1], "connect: Network is unreachable");
    assert_eq!(c.w.app(nowhere).exit, Some(1));
    assert!(c.lines(none)[1].ends_with(" ms !N"), "{:?}", c.lines(none));
    assert_eq!(c.lines(none).len(), 2);
    assert_eq!(c.lines(dead)[3], " 3  *", "address resolution takes longer than the wait");
}

#[test]
fn udp_echo_and_errors() {
    let mut c = chain();
    let server = UdpServer::new(UdpServerConfig { bind: at("0.0.0.0:7000"), echo: true });
    let server = c.w.spawn(c.b, 0, Box::new(server));
    let config = UdpSendConfig { count: 3, interval: 10 * MS, ..UdpSendConfig::to(at("10.0.2.2:7000")) };
    let good = c.w.spawn(c.a, 0, Box::new(UdpSend::new(UdpSendConfig { bind: Some(at("10.0.0.2:5001")), ..config })));
    let bad = c.w.spawn(c.a, 0, Box::new(UdpSend::new(UdpSendConfig::to(at("10.0.2.2:9")))));
    c.run();
    assert_eq!(c.lines(server), ["10.0.0.2:5001 → 10.0.2.2:7000: 5 bytes \"hello\""]);
    let Outcome::Server { served: 3, bytes: 15, peers, last, .. } = c.w.app(server).outcome else { panic!() };
    assert_eq!((peers, last.as_deref()), (vec![(ip("10.0.0.2"), 5001)], Some("\"hello\"")));
    assert_eq!(c.lines(good)[0], "5 bytes from 10.0.2.2:7000: \"hello\"");
    assert_eq!(c.lines(good)[3], "3 datagrams sent, 3 answered");
    assert_eq!((c.w.app(good).exit, c.w.app(bad).exit), (Some(0), Some(1)));
    assert_eq!(c.lines(bad)[0], "From 10.0.2.2: Connection refused (ICMP 3/3) for 10.0.2.2:9");
    let Outcome::UdpSend { errors, .. } = c.w.app(bad).outcome else { panic!() };
    assert_eq!(errors, [Errno::ECONNREFUSED]);
}

#[test]
fn a_port_can_be_used_once_per_namespace() {
    let mut c = chain();
    let config = UdpServerConfig { bind: at("0.0.0.0:7000"), echo: false };
    let mut start = |ns| c.w.spawn(ns, 0, Box::new(UdpServer::new(config.clone())));
    let (first, second, elsewhere) = (start(c.a), start(c.a), start(c.b));
    c.run();
    assert_eq!((c.w.app(first).exit, c.w.app(elsewhere).exit), (None, None));
    assert_eq!(c.lines(second), ["udp-sink: bind 0.0.0.0:7000: Address already in use"]);
}

fn tcp_server(c: &mut Chain, mode: TcpServerMode) -> AppId {
    let config = TcpServerConfig { bind: at("0.0.0.0:80"), mode, ..TcpServerConfig::default() };
    c.w.spawn(c.b, 0, Box::new(TcpServer::new(config)))
}

fn tcp_client(c: &mut Chain, config: TcpClientConfig) -> AppId {
    c.w.spawn(c.a, MS, Box::new(TcpClient::new(config)))
}

#[test]
fn tcp_bulk_arrives_intact_over_a_bad_link() {
    let mut c = chain();
    let bad = NetemConfig {
        delay: 5 * MS,
        loss: Loss::Random { share: 20_000, correlation: 0 },
        duplicate: 20_000,
        corrupt: 10_000,
        ..NetemConfig::default()
    };
    c.impair(c.a_eth, bad);
    let server = tcp_server(&mut c, TcpServerMode::Sink);
    let send = TcpPayload::Pattern { bytes: 300_000, seed: 3 };
    let client = tcp_client(&mut c, TcpClientConfig { send, ..TcpClientConfig::to(at("10.0.2.2:80")) });
    c.run();
    let Outcome::Tcp { connected: true, sent: 300_000, sent_digest, complete: true, error: None, .. } =
        c.w.app(client).outcome
    else {
        panic!("{:?} {:?}", c.w.app(client).outcome, c.lines(client))
    };
    let Outcome::Server { served: 1, bytes: 300_000, streams, .. } = c.w.app(server).outcome else { panic!() };
    assert_eq!((streams[0].digest, streams[0].complete), (sent_digest, true));
}

#[test]
fn tcp_echo_returns_what_was_sent() {
    let mut c = chain();
    let server = tcp_server(&mut c, TcpServerMode::Echo);
    let send = TcpPayload::Pattern { bytes: 200_000, seed: 5 };
    let config =
        TcpClientConfig { send, echo: true, bind: Some(at("10.0.0.2:5000")), ..TcpClientConfig::to(at("10.0.2.2:80")) };
    let client = tcp_client(&mut c, config);
    c.run();
    assert_eq!(c.lines(server), ["connection from 10.0.0.2:5000"]);
    assert_eq!(c.lines(client)[0], "connected to 10.0.2.2:80 from 10.0.0.2:5000");
    let Outcome::Tcp { sent_digest, digest, received: 200_000, complete: true, .. } = c.w.app(client).outcome else {
        panic!("{:?}", c.w.app(client).outcome)
    };
    assert_eq!(sent_digest, digest);
}

/// Case tcp-closed-rst, and a dead neighbour.
#[test]
fn tcp_errors_have_their_names() {
    let mut c = chain();
    let refused = tcp_client(&mut c, TcpClientConfig::to(at("10.0.2.2:81")));
    let dead = tcp_client(&mut c, TcpClientConfig::to(at("10.0.0.9:80")));
    let impatient = TcpClientConfig { timeout: Some(SEC), ..TcpClientConfig::to(at("10.0.0.9:80")) };
    let impatient = tcp_client(&mut c, impatient);
    c.run();
    assert_eq!(c.lines(refused), ["connect to 10.0.2.2:81: Connection refused"]);
    assert_eq!(c.lines(dead), ["connect to 10.0.0.9:80: No route to host"]);
    assert_eq!(c.lines(impatient), ["connect to 10.0.0.9:80: Connection timed out"]);
    assert_eq!(c.w.app(refused).exit, Some(1));
}

#[test]
fn connections_can_be_kept_and_reset() {
    let mut c = chain();
    let server = tcp_server(&mut c, TcpServerMode::Sink);
    let to = TcpClientConfig::to(at("10.0.2.2:80"));
    let send = TcpPayload::Data(b"hi".to_vec());
    let kept = tcp_client(&mut c, TcpClientConfig { send: send.clone(), end: TcpEnd::Keep, ..to.clone() });
    let reset = tcp_client(&mut c, TcpClientConfig { end: TcpEnd::Reset, ..to.clone() });
    let polite = tcp_client(&mut c, TcpClientConfig { send, ..to });
    c.run();
    assert_eq!((c.w.app(kept).exit, c.w.app(reset).exit, c.w.app(polite).exit), (None, Some(0), Some(0)));
    let Outcome::Server { served: 3, streams, .. } = c.w.app(server).outcome else { panic!() };
    let mut ends: Vec<(u64, bool)> = streams.iter().map(|s| (s.bytes, s.complete)).collect();
    ends.sort_unstable();
    assert_eq!(ends, [(0, false), (2, false), (2, true)], "reset, kept, closed in order");
}

#[test]
fn http_tells_who_asked() {
    let mut c = chain();
    let server = c.w.spawn(c.b, 0, Box::new(HttpServer::new(HttpServerConfig::default())));
    let to = HttpGetConfig::to(at("10.0.2.2:80"));
    let found = HttpGetConfig { bind: Some(at("10.0.0.2:5000")), ..to.clone() };
    let found = c.w.spawn(c.a, 0, Box::new(HttpGet::new(found)));
    let missing = HttpGetConfig { path: "/nothing".into(), bind: Some(at("10.0.0.2:5001")), ..to.clone() };
    let missing = c.w.spawn(c.a, SEC, Box::new(HttpGet::new(missing)));
    let closed = c.w.spawn(c.a, SEC, Box::new(HttpGet::new(HttpGetConfig { to: at("10.0.2.2:81"), ..to })));
    c.run();
    assert_eq!(c.lines(found), ["HTTP/1.1 200 OK", "Hello from a simulated server.", "You are 10.0.0.2:5000."]);
    assert_eq!(c.lines(missing), ["HTTP/1.1 404 Not Found", "404"]);
    assert_eq!(c.lines(closed), ["http-get: connect to 10.0.2.2:81: Connection refused"]);
    assert_eq!((c.w.app(found).exit, c.w.app(missing).exit, c.w.app(closed).exit), (Some(0), Some(1), Some(1)));
    assert_eq!(c.lines(server), ["10.0.0.2:5000 \"GET /\" 200", "10.0.0.2:5001 \"GET /nothing\" 404"]);
    let Outcome::Http { status: Some(200), bytes: 54, .. } = c.w.app(found).outcome else {
        panic!("{:?}", c.w.app(found).outcome)
    };
}

#[test]
fn an_http_server_survives_anything() {
    let mut c = chain();
    let server = c.w.spawn(c.b, 0, Box::new(HttpServer::new(HttpServerConfig::default())));
    let to = TcpClientConfig::to(at("10.0.2.2:80"));
    let of = |send| TcpClientConfig { send, ..to.clone() };
    let empty = tcp_client(&mut c, of(TcpPayload::Nothing));
    let noise = tcp_client(&mut c, of(TcpPayload::Data(b"\0\xff\r\n\r\n".to_vec())));
    let endless = tcp_client(&mut c, of(TcpPayload::Pattern { bytes: 20_000, seed: 1 }));
    let post = tcp_client(&mut c, of(TcpPayload::Data(b"POST / HTTP/1.1\r\n\r\n".to_vec())));
    c.run();
    let mut codes: Vec<String> = c.lines(server).iter().map(|l| l.rsplit(' ').next().unwrap().into()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["400", "405", "431"]);
    for app in [empty, noise, endless, post] {
        assert!(c.w.app(app).exit.is_some(), "{:?}", c.lines(app));
    }
}
