//! Binding, demultiplexing and errors of datagram sockets.

use super::*;
use crate::{
    base::DevId,
    trace::DropReason,
    wire::{IpHeader, be16, icmp, put16, udp},
};

const ETH0: Option<DevId> = Some(DevId(1));

fn table() -> Sockets {
    Sockets::new(NsId(0), Rng::keyed(7, &["host"]))
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn header(src: &str, dst: &str, proto: u8, payload: usize) -> IpHeader {
    let src: IpAddr = ip(src);
    let header_len = if src.is_ipv4() { 20 } else { 40 };
    IpHeader {
        src,
        dst: ip(dst),
        proto,
        ttl: 63,
        tos: 0,
        header_len,
        total_len: header_len + payload,
        frag_offset: 0,
        more_fragments: false,
        df: true,
        id: 0,
        frag_header_at: None,
    }
}

/// A socket, with its options set before it is bound.
fn opened(t: &mut Sockets, family: Family, kind: SockKind, opts: &[SockOpt], bind: &str) -> Result<u32, Errno> {
    let slot = t.create(family, kind, Some(AppId(1))).unwrap().slot;
    for o in opts {
        t.set_option(slot, *o).unwrap();
    }
    match t.bind(slot, at(bind)) {
        Ok(()) => Ok(slot),
        Err(e) => {
            t.close(slot, 0);
            Err(e)
        }
    }
}

fn udp4(t: &mut Sockets, bind: &str) -> Result<u32, Errno> {
    opened(t, Family::V4, SockKind::Udp, &[], bind)
}

/// Sends a UDP datagram from `src` to `dst` into the table.
fn arrive(t: &mut Sockets, src: &str, dst: &str, group: bool) -> DatagramOutcome {
    let (src, dst) = (at(src), at(dst));
    let mut l4 = vec![0; udp::HEADER + 5];
    l4[udp::HEADER..].copy_from_slice(b"hello");
    udp::write(&mut l4, src.ip(), dst.ip(), src.port(), dst.port());
    let h = header(&src.ip().to_string(), &dst.ip().to_string(), proto::UDP, l4.len());
    t.udp_input(&h, &l4, ETH0, group, true)
}

/// Which sockets hold a datagram now; empties them.
fn holders(t: &mut Sockets, all: &[u32]) -> Vec<usize> {
    (0..all.len()).filter(|i| t.recv(all[*i]).is_ok()).collect()
}

/// Case bind-errors, the part that needs no routes.
#[test]
fn bind_conflicts_of_case_bind_errors() {
    let mut t = table();
    assert!(udp4(&mut t, "10.0.0.1:5000").is_ok());
    assert_eq!(udp4(&mut t, "10.0.0.1:5000"), Err(Errno::EADDRINUSE));
    assert_eq!(udp4(&mut t, "0.0.0.0:5000"), Err(Errno::EADDRINUSE), "a wildcard meets every address");
    assert!(udp4(&mut t, "127.0.0.1:5000").is_ok());
    assert!(udp4(&mut t, "10.0.0.255:5000").is_ok());
    let tcp = opened(&mut t, Family::V4, SockKind::Tcp, &[], "10.0.0.1:5000").unwrap();
    t.tcp_listen(tcp, 5).unwrap();
    assert_eq!(opened(&mut t, Family::V4, SockKind::Tcp, &[], "0.0.0.0:5000"), Err(Errno::EADDRINUSE));
    assert_eq!(t.bind(tcp, at("10.0.0.1:5001")), Err(Errno::EINVAL), "bound twice");
    let listed: Vec<_> = t.list().map(|i| (i.local.to_string(), i.state)).collect();
    let want = [("10.0.0.1:5000", 7), ("127.0.0.1:5000", 7), ("10.0.0.255:5000", 7), ("10.0.0.1:5000", 10)];
    assert_eq!(listed, want.map(|(a, s)| (a.to_string(), s)));
}

#[test]
fn sharing_a_port_takes_the_right_options_on_both_sides() {
    use SockOpt::{BindToDevice, ReuseAddr, ReusePort, V6Only};
    let (v4, v6) = (Family::V4, Family::V6);
    type Side<'a> = (Family, &'a [SockOpt], &'a str);
    let dev = |n| BindToDevice(Some(DevId(n)));
    let (dev1, dev2) = ([dev(1)], [dev(2)]);
    let table_of: &[(SockKind, Side<'_>, Side<'_>, bool)] = &[
        (SockKind::Udp, (v4, &[ReuseAddr(true)], "0.0.0.0:53"), (v4, &[ReuseAddr(true)], "0.0.0.0:53"), true),
        (SockKind::Udp, (v4, &[ReuseAddr(true)], "0.0.0.0:53"), (v4, &[], "0.0.0.0:53"), false),
        (SockKind::Udp, (v4, &[ReusePort(true)], "0.0.0.0:53"), (v4, &[ReusePort(true)], "10.0.0.1:53"), true),
        (SockKind::Udp, (v4, &dev1, "0.0.0.0:53"), (v4, &dev2, "0.0.0.0:53"), true),
        (SockKind::Udp, (v4, &dev1, "0.0.0.0:53"), (v4, &[], "0.0.0.0:53"), false),
        (SockKind::Udp, (v6, &[], "[::]:53"), (v4, &[], "10.0.0.1:53"), false),
        (SockKind::Udp, (v6, &[V6Only(true)], "[::]:53"), (v4, &[], "10.0.0.1:53"), true),
        (SockKind::Udp, (v6, &[], "[2001:db8::1]:53"), (v4, &[], "0.0.0.0:53"), true),
        (SockKind::Udp, (v6, &[], "[::ffff:10.0.0.1]:53"), (v4, &[], "10.0.0.1:53"), false),
        (SockKind::Udp, (v6, &[], "[::ffff:10.0.0.1]:53"), (v4, &[], "10.0.0.2:53"), true),
        (SockKind::Tcp, (v4, &[ReuseAddr(true)], "0.0.0.0:80"), (v4, &[ReuseAddr(true)], "0.0.0.0:80"), true),
        (SockKind::Tcp, (v6, &[], "[::]:80"), (v4, &[], "0.0.0.0:80"), false),
    ];
    for (i, (kind, a, b, ok)) in table_of.iter().enumerate() {
        let mut t = table();
        opened(&mut t, a.0, *kind, a.1, a.2).unwrap();
        assert_eq!(opened(&mut t, b.0, *kind, b.1, b.2).is_ok(), *ok, "row {i}");
    }
}

#[test]
fn only_one_of_two_reusers_may_listen() {
    let mut t = table();
    let reuse = [SockOpt::ReuseAddr(true)];
    let a = opened(&mut t, Family::V4, SockKind::Tcp, &reuse, "0.0.0.0:80").unwrap();
    let b = opened(&mut t, Family::V4, SockKind::Tcp, &reuse, "0.0.0.0:80").unwrap();
    assert_eq!(t.tcp_listen(a, 1), Ok(()));
    assert_eq!(t.tcp_listen(b, 1), Err(Errno::EADDRINUSE));
    assert_eq!(opened(&mut t, Family::V4, SockKind::Tcp, &reuse, "0.0.0.0:80"), Err(Errno::EADDRINUSE));
}

#[test]
fn ephemeral_ports_have_the_parity_and_range_of_linux() {
    let mut t = table();
    let mut udp_parities = [0; 2];
    for _ in 0..50 {
        let u = udp4(&mut t, "0.0.0.0:0").unwrap();
        let port = t.get(u).unwrap().local().port();
        assert!((32_768..=60_999).contains(&port));
        udp_parities[port as usize % 2] += 1;
        let l = opened(&mut t, Family::V4, SockKind::Tcp, &[], "0.0.0.0:0").unwrap();
        assert_eq!(t.get(l).unwrap().local().port() % 2, 1, "bind(0) takes odd ports");
    }
    assert!(udp_parities.iter().all(|n| *n > 10), "UDP takes any");
}

#[test]
fn ports_run_out_and_come_back() {
    let mut t = table();
    let all: Vec<u32> = (0..28_232).map(|_| udp4(&mut t, "0.0.0.0:0").unwrap()).collect();
    assert_eq!(udp4(&mut t, "0.0.0.0:0"), Err(Errno::EADDRINUSE));
    let freed = t.get(all[5]).unwrap().local();
    t.close(all[5], 0);
    let again = udp4(&mut t, "0.0.0.0:0").unwrap();
    assert_eq!(t.get(again).unwrap().local(), freed);
    assert!(t.get(all[5]).is_none(), "a reused slot has another number");
}

/// compute_score: exact address over wildcard, connected over unconnected, bound device over any, newest over older.
#[test]
fn the_best_udp_socket_wins() {
    let reuse = SockOpt::ReuseAddr(true);
    let mut t = table();
    let any_old = opened(&mut t, Family::V4, SockKind::Udp, &[reuse], "0.0.0.0:53").unwrap();
    let any_new = opened(&mut t, Family::V4, SockKind::Udp, &[reuse], "0.0.0.0:53").unwrap();
    let dual = opened(&mut t, Family::V6, SockKind::Udp, &[reuse], "[::]:53").unwrap();
    let dev_opts = [reuse, SockOpt::BindToDevice(ETH0)];
    let dev = opened(&mut t, Family::V4, SockKind::Udp, &dev_opts, "0.0.0.0:53").unwrap();
    let exact = opened(&mut t, Family::V4, SockKind::Udp, &[reuse], "10.0.0.1:53").unwrap();
    let conn = opened(&mut t, Family::V4, SockKind::Udp, &[reuse], "0.0.0.0:53").unwrap();
    t.connect_datagram(conn, at("10.0.0.9:1000"), ip("10.0.0.2")).unwrap();
    let all = [any_old, any_new, dual, dev, exact, conn];
    let mut winner = |src: &str, dst: &str| {
        assert_eq!(arrive(&mut t, src, dst, false), DatagramOutcome::Delivered(1));
        holders(&mut t, &all)
    };
    assert_eq!(winner("10.0.0.9:1000", "10.0.0.1:53"), [4], "exact address");
    assert_eq!(winner("10.0.0.9:1000", "10.0.0.2:53"), [5], "connected to the sender");
    assert_eq!(winner("10.0.0.9:1001", "10.0.0.2:53"), [3], "bound to the device");
    assert_eq!(winner("[2001:db8::9]:1", "[2001:db8::1]:53"), [2], "only the IPv6 socket speaks IPv6");
    t.close(dev, 0);
    assert_eq!(arrive(&mut t, "10.0.0.9:1001", "10.0.0.3:53", false), DatagramOutcome::Delivered(1));
    assert_eq!(holders(&mut t, &all), [1], "IPv4 before dual-stack, the newest among equals");
    t.close(any_new, 0);
    t.close(any_old, 0);
    arrive(&mut t, "10.0.0.9:1001", "10.0.0.3:53", false);
    let d = t.recv(dual).unwrap();
    assert_eq!((d.from, d.to), (at("[::ffff:10.0.0.9]:1001"), at("[::ffff:10.0.0.3]:53")), "mapped addresses");
    assert_eq!(arrive(&mut t, "10.0.0.9:1", "10.0.0.3:54", false), DatagramOutcome::NoSocket);
}

#[test]
fn broadcasts_reach_every_matching_socket() {
    let reuse = [SockOpt::ReuseAddr(true)];
    let mut t = table();
    let binds = ["0.0.0.0:67", "0.0.0.0:67", "10.0.0.255:67", "10.0.0.1:67"];
    let all = binds.map(|b| opened(&mut t, Family::V4, SockKind::Udp, &reuse, b).unwrap());
    assert_eq!(arrive(&mut t, "10.0.0.9:68", "10.0.0.255:67", true), DatagramOutcome::Delivered(3));
    assert_eq!(holders(&mut t, &all), [0, 1, 2], "not the one bound to a unicast address");
}

#[test]
fn reuseport_shares_by_flow_and_stays_with_it() {
    let mut t = table();
    let opts = [SockOpt::ReusePort(true)];
    let all = [0; 4].map(|_| opened(&mut t, Family::V4, SockKind::Udp, &opts, "0.0.0.0:53").unwrap());
    let mut hits = [0; 4];
    for port in 1000..1200u16 {
        let src = format!("10.0.0.9:{port}");
        arrive(&mut t, &src, "10.0.0.1:53", false);
        let first = holders(&mut t, &all);
        arrive(&mut t, &src, "10.0.0.1:53", false);
        assert_eq!(first, holders(&mut t, &all));
        hits[first[0]] += 1;
    }
    assert!(hits.iter().all(|n| *n > 20), "{hits:?}");
}

#[test]
fn bad_datagrams_have_named_fates() {
    let mut t = table();
    let s = udp4(&mut t, "10.0.0.1:53").unwrap();
    let (a, b) = (ip("10.0.0.2"), ip("10.0.0.1"));
    let mut l4 = vec![7; 20];
    udp::write(&mut l4, a, b, 1, 53);
    let h = header("10.0.0.2", "10.0.0.1", proto::UDP, l4.len());
    let fate = |t: &mut Sockets, l4: &[u8]| t.udp_input(&h, l4, ETH0, false, true);
    assert_eq!(fate(&mut t, &l4[..7]), DatagramOutcome::Dropped(DropReason::HdrTrunc));
    assert_eq!(fate(&mut t, &l4[..19]), DatagramOutcome::Dropped(DropReason::HdrTrunc), "shorter than it says");
    l4[15] ^= 1;
    assert_eq!(fate(&mut t, &l4), DatagramOutcome::Dropped(DropReason::UdpCsum));
    assert!(be16(&l4, 4) == 20);
    t.set_option(s, SockOpt::RcvBuf(1)).unwrap();
    let mut taken = 0;
    while arrive(&mut t, "10.0.0.2:9", "10.0.0.1:53", false) == DatagramOutcome::Delivered(1) {
        taken += 1;
    }
    assert_eq!(taken, 3, "2304 / 768");
    assert_eq!(t.list().next().unwrap().drops, 1);
}

fn report<'a>(quoted: &'a IpHeader, l4: &'a [u8], code: u8, mtu: u32) -> IcmpError<'a> {
    IcmpError { quoted, l4, kind: icmp::UNREACHABLE, code, mtu, offender: ip("10.0.0.254"), iif: ETH0, now: 0 }
}

/// Case udp-unconnected-no-error, and IP_RECVERR of case filter-reject-codes.
#[test]
fn who_learns_of_icmp_errors() {
    let mut t = table();
    let s = udp4(&mut t, "10.0.0.1:5000").unwrap();
    let mut l4 = [0; 13];
    udp::write(&mut l4, ip("10.0.0.1"), ip("10.0.0.2"), 5000, 9);
    l4[8..].copy_from_slice(b"hello");
    let q = header("10.0.0.1", "10.0.0.2", proto::UDP, 13);
    let tell = |t: &mut Sockets, code, mtu| {
        let slot = t.find_quoted(&q, &l4, ETH0);
        if let Some(slot) = slot {
            t.icmp_error(slot, &report(&q, &l4, code, mtu));
        }
        slot
    };
    assert_eq!(tell(&mut t, 3, 0), Some(s));
    assert_eq!(t.recv(s), Err(Errno::EAGAIN), "unconnected, no IP_RECVERR: nothing");

    t.connect_datagram(s, at("10.0.0.2:9"), ip("10.0.0.1")).unwrap();
    tell(&mut t, 3, 0);
    assert_eq!(t.recv(s), Err(Errno::ECONNREFUSED));
    assert_eq!(t.recv(s), Err(Errno::EAGAIN), "reported once");
    tell(&mut t, 1, 0);
    assert_eq!(t.recv(s), Err(Errno::EAGAIN), "host unreachable is no hard error");
    tell(&mut t, 4, 1300);
    assert_eq!(t.recv(s), Err(Errno::EMSGSIZE));

    t.disconnect_datagram(s);
    t.set_option(s, SockOpt::RecvErr(true)).unwrap();
    for code in [1, 3, 4] {
        tell(&mut t, code, 1300);
    }
    assert!(t.readiness(s).error);
    let mut seen = Vec::new();
    while let Some(e) = t.recv_error(s) {
        assert_eq!((e.offender, e.dst, &e.data[..]), (Some(ip("10.0.0.254")), at("10.0.0.2:9"), &b"hello"[..]));
        seen.push((e.errno, e.origin, e.info));
    }
    let icmp = |code| ErrorOrigin::Icmp { kind: 3, code };
    let want = [(Errno::EHOSTUNREACH, icmp(1), 0), (Errno::ECONNREFUSED, icmp(3), 0), (Errno::EMSGSIZE, icmp(4), 1300)];
    assert_eq!(seen, want);
    assert_eq!(t.recv(s), Err(Errno::EAGAIN), "an empty error queue clears SO_ERROR");

    let mut other = l4;
    put16(&mut other, 0, 5001);
    assert_eq!(t.find_quoted(&q, &other, ETH0), None);
    assert_eq!(t.find_quoted(&q, &other[..3], ETH0), None, "a quote too short to name a port");
}

#[test]
fn local_errors_are_queued_but_are_not_so_error() {
    let mut t = table();
    let s = udp4(&mut t, "10.0.0.1:5000").unwrap();
    t.local_error(s, Errno::EMSGSIZE, at("10.0.0.2:9"), 1400, b"big");
    assert_eq!(t.recv_error(s), None, "only with IP_RECVERR");
    t.set_option(s, SockOpt::RecvErr(true)).unwrap();
    t.local_error(s, Errno::EMSGSIZE, at("10.0.0.2:9"), 1400, b"big");
    assert_eq!(t.recv(s), Err(Errno::EAGAIN));
    let e = t.recv_error(s).unwrap();
    assert_eq!((e.errno, e.origin, e.info, e.offender), (Errno::EMSGSIZE, ErrorOrigin::Local, 1400, None));
}

#[test]
fn raw_sockets_get_copies_and_filter_types() {
    let mut t = table();
    let all = opened(&mut t, Family::V4, SockKind::Raw(proto::ICMP), &[], "0.0.0.0:0").unwrap();
    let mine = opened(&mut t, Family::V4, SockKind::Raw(proto::ICMP), &[], "10.0.0.1:0").unwrap();
    let filter = [SockOpt::IcmpFilter(1 << icmp::ECHO)];
    let picky = opened(&mut t, Family::V4, SockKind::Raw(proto::ICMP), &filter, "0.0.0.0:0").unwrap();
    let other = opened(&mut t, Family::V4, SockKind::Raw(proto::GRE), &[], "0.0.0.0:0").unwrap();
    let mut packet = vec![0; 28];
    packet[20] = icmp::ECHO;
    let h = header("10.0.0.2", "10.0.0.3", proto::ICMP, 8);
    assert_eq!(t.raw_input(&h, &packet, ETH0), 1);
    assert_eq!(holders(&mut t, &[all, mine, picky, other]), [0]);
    packet[20] = icmp::ECHO_REPLY;
    let h = header("10.0.0.2", "10.0.0.1", proto::ICMP, 8);
    assert_eq!(t.raw_input(&h, &packet, ETH0), 3);
    assert_eq!(t.recv(all).unwrap().data.len(), 28, "IPv4 raw sockets read the header too");
    assert!(t.has_raw(proto::GRE) && !t.has_raw(proto::TCP));
    t.close(other, 0);
    assert!(!t.has_raw(proto::GRE));
}

#[test]
fn ping_sockets_own_their_identifier() {
    let mut t = table();
    let s = t.create(Family::V4, SockKind::Ping, None).unwrap().slot;
    t.autobind(s).unwrap();
    let id = t.get(s).unwrap().local().port();
    let mut m = vec![0; 16];
    assert_eq!(t.ping_prepare(s, &mut m), Err(Errno::EINVAL), "only echo requests");
    m[0] = icmp::ECHO;
    t.ping_prepare(s, &mut m).unwrap();
    assert_eq!(be16(&m, 4), id);
    m[0] = icmp::ECHO_REPLY;
    let h = header("10.0.0.2", "10.0.0.1", proto::ICMP, m.len());
    assert_eq!(t.ping_input(&h, &m, ETH0), DatagramOutcome::Delivered(1));
    assert_eq!(t.recv(s).unwrap().data, m);
    put16(&mut m, 4, id.wrapping_add(1));
    assert_eq!(t.ping_input(&h, &m, ETH0), DatagramOutcome::NoSocket);
    put16(&mut m, 4, id);
    m[0] = icmp::ECHO;
    let q = header("10.0.0.1", "10.0.0.2", proto::ICMP, m.len());
    assert_eq!(t.find_quoted(&q, &m, ETH0), Some(s), "errors come back by the identifier");
}

#[test]
fn owners_are_told_once_until_they_look() {
    let mut t = table();
    let s = udp4(&mut t, "10.0.0.1:53").unwrap();
    for _ in 0..3 {
        arrive(&mut t, "10.0.0.2:9", "10.0.0.1:53", false);
    }
    assert_eq!(t.wakes.len(), 1);
    assert_eq!(t.wakes[0].0, AppId(1));
    t.recv(s).unwrap();
    arrive(&mut t, "10.0.0.2:9", "10.0.0.1:53", false);
    assert_eq!(t.wakes.len(), 2);
}

#[test]
fn families_are_kept_apart() {
    let mut t = table();
    assert_eq!(udp4(&mut t, "[::1]:5"), Err(Errno::EAFNOSUPPORT));
    let only = [SockOpt::V6Only(true)];
    assert_eq!(
        opened(&mut t, Family::V6, SockKind::Udp, &only, "[::ffff:10.0.0.1]:5"),
        Err(Errno::ENETUNREACH),
        "a mapped address on an IPv6-only socket"
    );
    assert_eq!(t.create(Family::V4, SockKind::Raw(0), None), Err(Errno::EPROTONOSUPPORT));
    assert_eq!(t.set_option(99, SockOpt::Broadcast(true)), Err(Errno::EBADF));
    assert_eq!(t.recv(99), Err(Errno::EBADF));
}

mod properties;
