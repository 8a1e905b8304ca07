//! TCP and UDP over IPv6, dual-stack sockets, scopes, counters.

use crate::chain::{Chain, at};
use netsim::{
    app::{Outcome, TcpClient, TcpClientConfig, TcpPayload, TcpServer, TcpServerConfig, TcpServerMode},
    base::{Errno, SEC},
    procfs,
    socket::{Family, SockKind, SockOpt, tcp::TcpState},
};
use std::net::{SocketAddr, SocketAddrV6};

#[test]
fn a_stream_arrives_whole() {
    let mut c = Chain::new();
    c.w.set_mtu(c.r_right, 1400).unwrap();
    c.w.set_mtu(c.h2_eth, 1400).unwrap();
    let server = c.tcp(c.h2);
    c.w.bind(server, at("[::]:80")).unwrap();
    c.w.listen(server, 4).unwrap();
    let client = c.tcp(c.h1);
    assert_eq!(c.w.connect(client, at("[2001:db8:2::2]:80")), Err(Errno::EINPROGRESS));
    c.run(SEC);
    let (conn, peer) = c.w.accept(server).unwrap();
    assert_eq!(peer, c.w.local_addr(client).unwrap());
    assert_eq!(peer.ip().to_string(), "2001:db8:1::1");
    let sent: Vec<u8> = (0..60_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let (mut offered, mut received) = (0, Vec::new());
    let mut buf = vec![0; 65_536];
    while received.len() < sent.len() && c.w.core.now < 60 * SEC {
        offered += c.w.send(client, &sent[offered..]).unwrap_or(0);
        c.run(SEC / 10);
        if let Ok(n) = c.w.recv(conn, &mut buf) {
            received.extend_from_slice(&buf[..n]);
        }
    }
    assert_eq!(received, sent);
    let syn = c.sent(c.h1_eth).into_iter().find(|l| l.contains("TCP") && l.contains(" S ")).unwrap();
    assert!(syn.contains("mss=1440"), "{syn}");
    let refused = c.tcp(c.h1);
    assert_eq!(c.w.connect(refused, at("[2001:db8:2::2]:81")), Err(Errno::EINPROGRESS));
    c.run(SEC);
    assert_eq!(c.w.take_error(refused), Some(Errno::ECONNREFUSED));
}

/// The same by the programs.
#[test]
fn programs_stream_over_a_router() {
    let mut c = Chain::new();
    let to = at("[2001:db8:2::2]:80");
    let sink = TcpServerConfig { bind: to, mode: TcpServerMode::Sink, ..TcpServerConfig::default() };
    let sink = c.w.spawn(c.h2, 0, Box::new(TcpServer::new(sink)));
    let send = TcpPayload::Pattern { bytes: 20_000, seed: 1 };
    let client = TcpClientConfig { send, ..TcpClientConfig::to(to) };
    let client = c.w.spawn(c.h1, 0, Box::new(TcpClient::new(client)));
    c.run(60 * SEC);
    let Outcome::Tcp { complete, sent_digest, error, .. } = c.w.app(client).outcome else { panic!("a client") };
    assert!(complete, "{error:?}");
    let Outcome::Server { streams, .. } = c.w.app(sink).outcome else { panic!("a server") };
    assert_eq!((streams[0].bytes, streams[0].digest), (20_000, sent_digest));
}

/// Case ipv6-dual-stack.
#[test]
fn one_listener_for_both_families() {
    let mut c = Chain::new();
    c.address(c.h1_eth, "10.0.0.1/24");
    c.address(c.r_left, "10.0.0.2/24");
    let server = c.tcp(c.r);
    c.w.bind(server, at("[::]:80")).unwrap();
    c.w.listen(server, 4).unwrap();
    let v4 = c.w.socket(c.h1, Family::V4, SockKind::Tcp, None).unwrap();
    assert_eq!(c.w.connect(v4, at("10.0.0.2:80")), Err(Errno::EINPROGRESS));
    let v6 = c.tcp(c.h1);
    assert_eq!(c.w.connect(v6, at("[2001:db8:1::fe]:80")), Err(Errno::EINPROGRESS));
    c.run(SEC);
    let mut peers = [c.w.accept(server).unwrap().1.ip().to_string(), c.w.accept(server).unwrap().1.ip().to_string()];
    peers.sort();
    assert_eq!(peers, ["2001:db8:1::1", "::ffff:10.0.0.1"]);
    c.sysctl(c.r, "net.ipv6.bindv6only", "1");
    let only = c.tcp(c.r);
    c.w.bind(only, at("[::]:81")).unwrap();
    c.w.listen(only, 4).unwrap();
    let v4 = c.w.socket(c.h1, Family::V4, SockKind::Tcp, None).unwrap();
    assert_eq!(c.w.connect(v4, at("10.0.0.2:81")), Err(Errno::EINPROGRESS));
    c.run(SEC);
    assert_eq!(c.w.take_error(v4), Some(Errno::ECONNREFUSED));
}

#[test]
fn link_local_peers_need_a_scope() {
    let mut c = Chain::new();
    let to = c.w.dev(c.r_left).link_local().unwrap();
    let scoped = SocketAddr::V6(SocketAddrV6::new(to, 80, 0, c.w.scope_id(c.h1_eth)));
    let server = c.tcp(c.r);
    c.w.bind(server, at("[::]:80")).unwrap();
    c.w.listen(server, 4).unwrap();
    let client = c.tcp(c.h1);
    assert_eq!(c.w.connect(client, SocketAddr::new(to.into(), 80)), Err(Errno::EINVAL), "which link?");
    assert_eq!(c.w.connect(client, scoped), Err(Errno::EINPROGRESS));
    c.run(SEC);
    assert_eq!(c.w.tcp_state(client), Some(TcpState::Established));
    let (conn, peer) = c.w.accept(server).unwrap();
    assert!(matches!(peer, SocketAddr::V6(a) if a.scope_id() == c.w.scope_id(c.r_left)), "{peer}");
    c.w.send(conn, b"hi").unwrap();
    c.run(SEC);
    let mut buf = [0; 8];
    assert_eq!(c.w.recv(client, &mut buf), Ok(2));
    // A datagram's sender can be answered as it is.
    let (a, b) = (c.udp(c.h1, "[::]:5000"), c.udp(c.r, "[::]:6000"));
    let to = SocketAddr::V6(SocketAddrV6::new(to, 6000, 0, c.w.scope_id(c.h1_eth)));
    c.w.send_to(a, b"question", to).unwrap();
    c.run(SEC);
    let from = c.w.recv_from(b).unwrap().from;
    c.w.send_to(b, b"answer", from).unwrap();
    c.run(SEC);
    assert_eq!(c.w.recv_from(a).unwrap().data, b"answer");
    // Without a scope the first link is taken, as Linux does.
    let lost = c.udp(c.h1, "[::]:5001");
    assert_eq!(c.w.send_to(lost, b"x", at("[fe80::1]:9")), Ok(1));
}

#[test]
fn large_datagrams_and_groups() {
    let mut c = Chain::new();
    let (a, b) = (c.udp(c.h1, "[::]:5000"), c.udp(c.h2, "[::]:6000"));
    c.w.send_to(a, &[7; 20_000], at("[2001:db8:2::2]:6000")).unwrap();
    c.run(SEC);
    assert_eq!(c.w.recv_from(b).map(|d| d.data.len()), Ok(20_000));
    let group = "ff05::4242".parse().unwrap();
    c.w.set_option(b, SockOpt::JoinGroup(group, c.h2_eth)).unwrap();
    let r = c.udp(c.r, "[::]:5000");
    c.w.set_option(r, SockOpt::BindToDevice(Some(c.r_right))).unwrap();
    c.w.send_to(r, b"to all", SocketAddr::new(group, 6000)).unwrap();
    c.run(SEC);
    assert_eq!(c.w.recv_from(b).map(|d| d.data), Ok(b"to all".to_vec()));
    c.w.set_option(b, SockOpt::LeaveGroup(group, c.h2_eth)).unwrap();
    c.w.send_to(r, b"to all", SocketAddr::new(group, 6000)).unwrap();
    c.run(SEC);
    assert_eq!(c.w.recv_from(b).map(|d| d.data), Err(Errno::EAGAIN));
}

#[test]
fn counters_of_ipv6_are_its_own() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    c.ping("2001:db8:99::1");
    let snmp6 = procfs::read(&c.w, c.r, "/proc/net/snmp6").unwrap();
    let value = |name: &str| -> u64 {
        let line = snmp6.lines().find(|l| l.split_whitespace().next() == Some(name)).expect(name);
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let got =
        ["Ip6OutForwDatagrams", "Ip6InNoRoutes", "Icmp6OutDestUnreachs", "Icmp6InEchos", "Icmp6OutType1"].map(value);
    assert_eq!(got, [2, 1, 1, 0, 1]);
    assert_eq!(value("Icmp6InNeighborSolicits"), 2);
    assert_eq!(value("Icmp6OutMsgs"), 2 + 1 + 1, "two answers, a question, an error");
    let snmp = procfs::read(&c.w, c.r, "/proc/net/snmp").unwrap();
    let ip = snmp.lines().filter(|l| l.starts_with("Ip:")).nth(1).unwrap();
    assert!(ip.split_whitespace().nth(3) == Some("0"), "IPv4 received nothing: {ip}");
}
