//! What Linux does, one behaviour per test.

use super::*;

#[test]
fn a_stream_arrives_and_both_ends_close() {
    let mut p = Pair::new(1);
    let (c, s) = p.open();
    let data = pattern(300_000);
    assert_eq!(p.transfer(c, s, &data, 60 * SEC), data);
    p.run_until(p.now + SEC);
    assert_eq!((p.state(0, c), p.state(1, s)), (Some(TcpState::FinWait2), Some(TcpState::CloseWait)));
    p.ends[1].close(s, p.now);
    p.run_until(p.now + SEC);
    assert_eq!((p.state(0, c), p.state(1, s)), (Some(TcpState::TimeWait), None));
    p.ends[0].close(c, p.now);
    p.run_until(p.now + 61 * SEC);
    assert_eq!((p.ends[0].len(), p.ends[1].len()), (0, 1), "only the listener is left");
    assert!(p.log.iter().all(|(_, _, s)| s.flags & wire::RST == 0));
}

#[test]
fn the_handshake_announces_the_mss_of_the_path() {
    let mut p = Pair::new(2);
    p.mtu = 1300;
    p.listen("10.0.0.2:80", 1);
    let c = p.ends[0].create(Family::V4, SockKind::Tcp, None).unwrap().slot;
    let (src, path) = (A.parse().unwrap(), p.path());
    let pool = &mut p.pool;
    let mut maker = |len: usize| pool.alloc(FrameId { ns: NsId(0), seq: 0 }, len);
    p.ends[0].tcp_connect(c, 0, src, at("10.0.0.2:80"), path, &mut maker).unwrap();
    let out = p.ends[0].take_tcp_out();
    let b = out.segments[0].frame.data();
    assert_eq!(b[40..44], [2, 4, 0x04, 0xec], "MSS option 1260");
    assert!(p.ends[0].get(c).unwrap().local().port().is_multiple_of(2), "connect() takes even ports");
}

#[test]
fn a_reset_refuses_a_connection() {
    let mut p = Pair::new(3);
    let c = p.connect("10.0.0.2:81");
    p.run_until(SEC);
    assert_eq!(p.error(0, c), Some(Errno::ECONNREFUSED));
    assert_eq!(p.state(0, c), Some(TcpState::Closed));
    assert_eq!((p.stats.active_opens, p.stats.attempt_fails), (1, 1));
    p.ends[0].close(c, p.now);
    assert!(p.ends[0].is_empty());
}

#[test]
fn icmp_ends_an_attempt_silently_but_not_a_connection() {
    let mut p = Pair::new(4);
    p.dead = true;
    let c = p.connect("10.0.0.2:80");
    p.run_until(500 * MS);
    let s = p.log[0].2;
    let mut l4 = [0; 8];
    l4[..2].copy_from_slice(&s.sport.to_be_bytes());
    l4[2..4].copy_from_slice(&s.dport.to_be_bytes());
    l4[4..].copy_from_slice(&s.seq.to_be_bytes());
    let quoted = quoted_header();
    let report = |p: &mut Pair, l4: &[u8]| {
        let slot = p.ends[0].find_quoted(&quoted, l4, None)?;
        let offender = B.parse().unwrap();
        let e = IcmpError { quoted: &quoted, l4, kind: 3, code: 1, mtu: 0, offender, iif: None, now: 0 };
        p.ends[0].icmp_error(slot, &e);
        Some(slot)
    };
    let mut stray = l4;
    stray[4..].copy_from_slice(&s.seq.wrapping_add(99).to_be_bytes());
    assert_eq!(report(&mut p, &stray), None, "a sequence number that is not in flight matches nothing");
    assert_eq!(report(&mut p, &l4), Some(c));
    assert_eq!((p.error(0, c), p.state(0, c)), (Some(Errno::EHOSTUNREACH), Some(TcpState::Closed)));
    p.run_until(10 * SEC);
    assert_eq!(p.log.len(), 1, "neither a reset nor another SYN leaves");

    let mut p = Pair::new(4);
    let (c, _) = p.open();
    p.dead = true;
    p.ends[0].tcp_send(c, b"x").unwrap();
    p.flush(0);
    let s = p.log.last().unwrap().2;
    l4[..2].copy_from_slice(&s.sport.to_be_bytes());
    l4[4..].copy_from_slice(&s.seq.to_be_bytes());
    assert_eq!(report(&mut p, &l4), Some(c));
    assert_eq!((p.error(0, c), p.state(0, c)), (None, Some(TcpState::Established)), "a soft error");
    p.run_until(1000 * SEC);
    assert_eq!((p.error(0, c), p.state(0, c)), (Some(Errno::EHOSTUNREACH), Some(TcpState::Closed)));
}

fn quoted_header() -> IpHeader {
    IpHeader {
        src: A.parse().unwrap(),
        dst: B.parse().unwrap(),
        proto: proto::TCP,
        ttl: 63,
        tos: 0,
        header_len: 20,
        total_len: 60,
        frag_offset: 0,
        more_fragments: false,
        df: true,
        id: 0,
        frag_header_at: None,
    }
}

/// SYNs at 0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s; ETIMEDOUT after 131 s (tcp_syn_retries, Linux 6.18).
#[test]
fn syns_are_repeated_as_linux_does() {
    let mut p = Pair::new(5);
    p.dead = true;
    let c = p.connect("10.0.0.2:80");
    p.run_until(130 * SEC);
    let times: Vec<Time> = p.log.iter().map(|(t, _, _)| t / SEC).collect();
    assert_eq!(times, [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]);
    assert!(p.log.iter().all(|(_, _, s)| s.seq == p.log[0].2.seq && s.flags == wire::SYN));
    assert_eq!(p.error(0, c), None);
    p.run_until(132 * SEC);
    assert_eq!((p.error(0, c), p.state(0, c)), (Some(Errno::ETIMEDOUT), Some(TcpState::Closed)));
    assert_eq!(p.log.len(), 11, "no reset when connect gives up");
}

#[test]
fn a_late_listener_is_still_reached() {
    let mut p = Pair::new(6);
    p.dead = true;
    let l = p.listen("10.0.0.2:80", 1);
    let c = p.connect("10.0.0.2:80");
    p.run_until(6 * SEC);
    p.dead = false;
    p.run_until(8 * SEC);
    assert_eq!(p.state(0, c), Some(TcpState::Established));
    let s = p.ends[1].tcp_accept(l).unwrap().slot;
    assert_eq!(p.transfer(c, s, b"hello", 9 * SEC), b"hello", "the estimator did not remember the lost SYNs");
}

#[test]
fn a_full_backlog_ignores_syns() {
    let mut p = Pair::new(7);
    let l = p.listen("10.0.0.2:80", 1);
    let all: Vec<u32> = (0..4).map(|_| p.connect("10.0.0.2:80")).collect();
    p.run_until(500 * MS);
    // Two wait (backlog + 1); the others' last ACK was ignored, which they cannot know.
    assert!(all.iter().all(|c| p.state(0, *c) == Some(TcpState::Established)));
    assert!(p.outcomes.contains(&SegmentOutcome::Dropped(DropReason::TcpBacklog)));
    let late = p.connect("10.0.0.2:80");
    p.run_until(900 * MS);
    assert_eq!(p.state(0, late), Some(TcpState::SynSent), "with a full queue the SYN itself is ignored");
    let mut accepted = 0;
    for _ in 0..20 {
        while p.ends[1].tcp_accept(l).is_ok() {
            accepted += 1;
        }
        p.run_until(p.now + 5 * SEC);
    }
    assert_eq!(accepted, 5, "accepting makes room for the SYN-ACKs and SYNs that are repeated");
    assert_eq!(p.ends[1].tcp_accept(l), Err(Errno::EAGAIN));
}

#[test]
fn a_lower_path_mtu_is_used_at_once() {
    let mut p = Pair::new(8);
    let (c, s) = p.open();
    p.bottleneck = 1300;
    let began = p.now;
    let data = pattern(100_000);
    assert_eq!(p.transfer(c, s, &data, 60 * SEC), data);
    assert!(p.now - began < 800 * MS, "no retransmission timeout was waited for: {} ms", (p.now - began) / MS);
    let big: Vec<usize> = p.log.iter().filter(|(_, e, s)| *e == 0 && s.len > 1260).map(|(_, _, s)| s.len).collect();
    assert!(!big.is_empty() && big.len() < 4, "only the first flight was too big: {big:?}");
}

#[test]
fn resets_and_their_errors() {
    // The peer aborts: data first, then ECONNRESET, then the end.
    let mut p = Pair::new(9);
    let (c, s) = p.open();
    p.ends[1].tcp_send(s, b"last words").unwrap();
    p.run_until(p.now + SEC);
    p.ends[1].abort(s, p.now);
    p.run_until(p.now + SEC);
    let mut buf = [0; 64];
    assert_eq!(p.ends[0].tcp_recv(c, &mut buf), Ok(10));
    assert_eq!(p.ends[0].tcp_recv(c, &mut buf), Err(Errno::ECONNRESET));
    assert_eq!(p.ends[0].tcp_recv(c, &mut buf), Ok(0));
    assert_eq!(p.ends[0].tcp_send(c, b"x"), Err(Errno::EPIPE));
    assert_eq!(p.ends[1].len(), 1);

    // Closing with unread data resets (RFC 2525 §2.17).
    let mut p = Pair::new(9);
    let (c, s) = p.open();
    p.ends[0].tcp_send(c, b"never read").unwrap();
    p.run_until(p.now + SEC);
    p.ends[1].close(s, p.now);
    p.run_until(p.now + SEC);
    assert_eq!(p.error(0, c), Some(Errno::ECONNRESET));

    // Data for an orphan resets.
    let mut p = Pair::new(9);
    let (c, s) = p.open();
    p.ends[1].close(s, p.now);
    p.run_until(p.now + SEC);
    assert_eq!(p.state(0, c), Some(TcpState::CloseWait));
    p.ends[0].tcp_send(c, b"anybody there?").unwrap();
    p.run_until(p.now + SEC);
    assert_eq!(p.error(0, c), Some(Errno::EPIPE), "a reset in CLOSE-WAIT");
}

#[test]
fn an_orphan_in_fin_wait_2_goes_after_a_minute() {
    let mut p = Pair::new(10);
    let (c, _s) = p.open();
    p.ends[0].close(c, p.now);
    p.run_until(p.now + 59 * SEC);
    assert_eq!(p.ends[0].len(), 1);
    p.run_until(p.now + 2 * SEC);
    assert!(p.ends[0].is_empty());
}

#[test]
fn closing_a_listener_resets_what_waits() {
    let mut p = Pair::new(11);
    let l = p.listen("10.0.0.2:80", 5);
    let c = p.connect("10.0.0.2:80");
    p.run_until(SEC);
    p.ends[1].close(l, p.now);
    p.run_until(2 * SEC);
    assert_eq!(p.error(0, c), Some(Errno::ECONNRESET));
    assert!(p.ends[1].is_empty());
    let again = p.connect("10.0.0.2:80");
    p.run_until(3 * SEC);
    assert_eq!(p.error(0, again), Some(Errno::ECONNREFUSED));
}

#[test]
fn time_wait_is_small_answers_and_can_be_reopened() {
    let mut p = Pair::new(12);
    let l = p.listen("10.0.0.2:80", 5);
    let c = p.ends[0].create(Family::V4, SockKind::Tcp, None).unwrap().slot;
    p.ends[0].bind(c, at("10.0.0.1:5000")).unwrap();
    let src: IpAddr = A.parse().unwrap();
    p.with(0, |s, now, path, m| s.tcp_connect(c, now, src, at("10.0.0.2:80"), path, m)).unwrap();
    p.run_until(SEC);
    let s = p.ends[1].tcp_accept(l).unwrap().slot;
    p.ends[1].close(s, p.now);
    p.run_until(2 * SEC);
    p.ends[0].close(c, p.now);
    p.run_until(3 * SEC);
    assert!(matches!(p.ends[1].get(s).unwrap().tcp, Tcp::TimeWait(_)));
    assert!(p.ends[0].is_empty(), "the passive closer keeps nothing");
    // The same four numbers again: a newer SYN takes over from TIME-WAIT.
    p.ends[0] = Sockets::new(NsId(0), Rng::keyed(99, &["reborn"]));
    let mut opened = false;
    for _ in 0..8 {
        let c = p.ends[0].create(Family::V4, SockKind::Tcp, None).unwrap().slot;
        p.ends[0].bind(c, at("10.0.0.1:5000")).unwrap();
        p.with(0, |s, now, path, m| s.tcp_connect(c, now, src, at("10.0.0.2:80"), path, m)).unwrap();
        p.run_until(p.now + 500 * MS);
        if p.state(0, c) == Some(TcpState::Established) {
            opened = true;
            break;
        }
        p.ends[0].close(c, p.now);
    }
    assert!(opened, "half of all sequence numbers are newer");
}

#[test]
fn simultaneous_connections_keep_apart() {
    let mut p = Pair::new(13);
    let l = p.listen("10.0.0.2:80", 100);
    let clients: Vec<u32> = (0..50).map(|_| p.connect("10.0.0.2:80")).collect();
    p.run_until(SEC);
    for (i, c) in clients.iter().enumerate() {
        p.ends[0].tcp_send(*c, &pattern(100 + i)).unwrap();
    }
    p.run_until(2 * SEC);
    let mut sizes = Vec::new();
    while let Ok(id) = p.ends[1].tcp_accept(l) {
        let mut buf = [0; 4096];
        let n = p.ends[1].tcp_recv(id.slot, &mut buf).unwrap();
        assert_eq!(buf[..n], pattern(n)[..]);
        sizes.push(n);
    }
    sizes.sort_unstable();
    assert_eq!(sizes, (100..150).collect::<Vec<_>>());
}

/// 10 000 idle connections cost an active one nothing: only the active one is ever run.
#[test]
fn idle_connections_are_never_run() {
    let runs = |idle: usize| {
        let mut p = Pair::new(14);
        for end in &mut p.ends {
            end.tcp.config = TcpConfig { rcvbuf: 4096, sndbuf: 4096, ..TcpConfig::default() };
        }
        let l = p.listen("10.0.0.2:80", 4096);
        for _ in 0..idle {
            p.connect("10.0.0.2:80");
            if p.ends[0].len().is_multiple_of(500) {
                p.run_until(p.now + 50 * MS);
                while p.ends[1].tcp_accept(l).is_ok() {}
            }
        }
        p.run_until(p.now + SEC);
        while p.ends[1].tcp_accept(l).is_ok() {}
        let c = p.connect("10.0.0.2:80");
        p.run_until(p.now + SEC);
        let s = p.ends[1].tcp_accept(l).unwrap().slot;
        let before = p.ends[0].tcp.steps + p.ends[1].tcp.steps;
        let data = pattern(20_000);
        assert_eq!(p.transfer(c, s, &data, p.now + 60 * SEC), data);
        p.ends[0].tcp.steps + p.ends[1].tcp.steps - before
    };
    assert_eq!(runs(10_000), runs(0));
}

#[test]
fn options_reach_the_wire() {
    let mut p = Pair::new(15);
    p.listen("10.0.0.2:80", 5);
    let c = p.ends[0].create(Family::V4, SockKind::Tcp, None).unwrap().slot;
    p.ends[0].set_option(c, SockOpt::Tos(0x10)).unwrap();
    p.ends[0].set_option(c, SockOpt::Ttl(Some(7))).unwrap();
    let (src, path) = (A.parse().unwrap(), p.path());
    let pool = &mut p.pool;
    let mut maker = |len: usize| pool.alloc(FrameId { ns: NsId(0), seq: 0 }, len);
    p.ends[0].tcp_connect(c, 0, src, at("10.0.0.2:80"), path, &mut maker).unwrap();
    let out = p.ends[0].take_tcp_out();
    let ip = IpHeader::parse(out.segments[0].frame.data()).unwrap();
    assert_eq!((ip.ttl, ip.tos, ip.df), (7, 0x10, true));
    assert_eq!(out.transitions[0].state.name(), "SYN-SENT");
    assert_eq!(icmp::proto_of(ip.src), proto::ICMP);
}

#[test]
fn clocks_of_other_units_do_not_stall() {
    // A delay that is no whole number of microseconds: deadlines and instants must not fall between two stools.
    let mut p = Pair::new(16);
    p.delay = 3 * US + 333;
    let (c, s) = p.open();
    let data = pattern(50_000);
    assert_eq!(p.transfer(c, s, &data, 10 * SEC), data);
}
