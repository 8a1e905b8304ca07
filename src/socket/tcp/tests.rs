//! Two socket tables joined by a pipe that loses, repeats, reorders and damages packets.

use super::*;
use crate::{
    base::{Errno, NsId, Rng, US, proto},
    socket::{Family, IcmpError, SockKind, SockOpt, Sockets},
    trace::{DropReason, FrameId},
    wire::{IpHeader, Pool, checksum, icmp, tcp as wire},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// What the pipe does to packets, in parts per million.
#[derive(Clone, Copy, Default, Debug)]
struct Faults {
    loss: u32,
    duplicate: u32,
    reorder: u32,
    corrupt: u32,
}

enum Happening {
    Packet(usize, Vec<u8>),
    Timer(usize, u32),
}

struct Pair {
    ends: [Sockets; 2],
    now: Time,
    mtu: u32,
    delay: Time,
    faults: Faults,
    rng: Rng,
    seq: u64,
    queue: BTreeMap<(Time, u64), Happening>,
    pool: Pool,
    /// Segments as they left: (time, from, header fields).
    log: Vec<(Time, usize, wire::Segment)>,
    outcomes: Vec<SegmentOutcome>,
    /// Packets larger than this are answered with *fragmentation needed*.
    bottleneck: u32,
    stats: TcpStats,
    /// End 1 is switched off: what it is sent vanishes.
    dead: bool,
}

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const DEV: DevId = DevId(1);

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let end = |n: u32| Sockets::new(NsId(n), Rng::keyed(seed, &["end", if n == 0 { "a" } else { "b" }]));
        Pair {
            ends: [end(0), end(1)],
            now: 0,
            mtu: 1500,
            delay: 5 * MS,
            faults: Faults::default(),
            rng: Rng::keyed(seed, &["pipe"]),
            seq: 0,
            queue: BTreeMap::new(),
            pool: Pool::default(),
            log: Vec::new(),
            outcomes: Vec::new(),
            bottleneck: u32::MAX,
            stats: TcpStats::default(),
            dead: false,
        }
    }

    fn path(&self) -> Path {
        Path { dev: DEV, mtu: self.mtu }
    }

    fn push(&mut self, at: Time, h: Happening) {
        self.seq += 1;
        self.queue.insert((at, self.seq), h);
    }

    /// Runs something on one end with a frame maker, then carries its segments away.
    fn with<R>(&mut self, end: usize, f: impl FnOnce(&mut Sockets, Time, Path, &mut dyn FrameMaker) -> R) -> R {
        let path = self.path();
        let pool = &mut self.pool;
        let mut maker = |len: usize| pool.alloc(FrameId { ns: NsId(end as u32), seq: 0 }, len);
        let r = f(&mut self.ends[end], self.now, path, &mut maker);
        self.carry(end);
        r
    }

    fn flush(&mut self, end: usize) {
        while let Some(slot) = self.ends[end].next_dirty() {
            self.with(end, |s, now, path, maker| s.tcp_run(slot, now, Some(path), maker));
        }
    }

    fn carry(&mut self, end: usize) {
        let mut out = self.ends[end].take_tcp_out();
        self.stats.active_opens += out.stats.active_opens;
        self.stats.attempt_fails += out.stats.attempt_fails;
        for (id, at) in out.timers.drain(..) {
            self.push(at, Happening::Timer(end, id.slot));
        }
        for s in out.segments.drain(..) {
            let bytes = s.frame.data().to_vec();
            self.pool.recycle(s.frame);
            self.check(&bytes);
            let ip = IpHeader::parse(&bytes).unwrap();
            self.log.push((self.now, end, wire::Segment::parse(ip.payload(&bytes)).unwrap()));
            if bytes.len() as u32 > self.bottleneck {
                self.too_big(end, &bytes);
            } else {
                self.launch(1 - end, bytes);
            }
        }
        self.ends[end].return_tcp_out(out);
    }

    /// Every packet that leaves is well formed.
    fn check(&self, b: &[u8]) {
        let ip = IpHeader::parse(b).expect("the IP header and its checksum are right");
        assert!(ip.df && ip.ttl == 64 && b.len() <= self.mtu as usize);
        assert_eq!(checksum::upper(ip.src, ip.dst, proto::TCP, ip.payload(b)), 0);
    }

    fn launch(&mut self, to: usize, bytes: Vec<u8>) {
        if self.rng.chance(self.faults.loss) || (self.dead && to == 1) {
            return;
        }
        for _ in 0..1 + self.rng.chance(self.faults.duplicate) as u32 {
            let mut copy = bytes.clone();
            if self.rng.chance(self.faults.corrupt) {
                let i = 20 + self.rng.below(copy.len() as u64 - 20) as usize;
                copy[i] ^= 1 << self.rng.below(8);
            }
            let late = if self.rng.chance(self.faults.reorder) { self.rng.below(20 * MS) } else { 0 };
            self.push(self.now + self.delay + late, Happening::Packet(to, copy));
        }
    }

    fn too_big(&mut self, end: usize, bytes: &[u8]) {
        self.mtu = self.bottleneck; // what the router's report teaches the routing table
        let quoted = IpHeader::parse(bytes).unwrap();
        let l4 = quoted.payload(bytes).to_vec();
        let slot = self.ends[end].find_quoted(&quoted, &l4, Some(DEV)).expect("the segment is in flight");
        let mtu = self.bottleneck;
        let e =
            IcmpError { quoted: &quoted, l4: &l4, kind: 3, code: 4, mtu, offender: at("10.0.0.9:0").ip(), iif: None };
        self.ends[end].icmp_error(slot, &e);
    }

    fn receive(&mut self, end: usize, bytes: &[u8]) {
        let Ok(ip) = IpHeader::parse(bytes) else { return };
        let l4 = ip.payload(bytes);
        if checksum::upper(ip.src, ip.dst, proto::TCP, l4) != 0 {
            return;
        }
        let Some(s) = wire::Segment::parse(l4) else { return };
        let outcome = match self.ends[end].tcp_target(&ip, &s, Some(DEV)) {
            None => SegmentOutcome::NoSocket,
            Some(t) => {
                self.with(end, |k, now, path, maker| k.tcp_segment(t, now, &ip, s, bytes, Some(DEV), Some(path), maker))
            }
        };
        self.outcomes.push(outcome);
        if outcome == SegmentOutcome::NoSocket && s.flags & wire::RST == 0 {
            let reset = s.reset(ip.dst, ip.src);
            let mut b = vec![0; 20 + reset.len()];
            b[20..].copy_from_slice(&reset);
            let fields = crate::wire::ip::IpFields {
                src: ip.dst,
                dst: ip.src,
                proto: proto::TCP,
                ttl: 64,
                tos: 0,
                df: true,
                id: 0,
            };
            fields.write(&mut b);
            self.launch(1 - end, b);
        }
    }

    /// Advances to the next happening; false when nothing is left or it lies beyond `until`.
    fn turn(&mut self, until: Time) -> bool {
        self.flush(0);
        self.flush(1);
        let Some((&(at, seq), _)) = self.queue.first_key_value() else { return false };
        if at > until {
            return false;
        }
        self.now = at;
        match self.queue.remove(&(at, seq)).unwrap() {
            Happening::Packet(end, bytes) => self.receive(end, &bytes),
            Happening::Timer(end, slot) => {
                if self.ends[end].tcp_timer(slot, at) {
                    self.with(end, |s, now, path, maker| s.tcp_run(slot, now, Some(path), maker));
                } else {
                    self.carry(end);
                }
            }
        }
        true
    }

    fn run_until(&mut self, until: Time) {
        for _ in 0..2_000_000 {
            if !self.turn(until) {
                self.now = self.now.max(until);
                return;
            }
        }
        panic!("the pair never comes to rest");
    }

    fn listen(&mut self, at_: &str, backlog: usize) -> u32 {
        let l = self.ends[1].create(Family::V4, SockKind::Tcp, None).unwrap().slot;
        self.ends[1].bind(l, at(at_)).unwrap();
        self.ends[1].tcp_listen(l, backlog).unwrap();
        l
    }

    fn connect(&mut self, to: &str) -> u32 {
        let c = self.ends[0].create(Family::V4, SockKind::Tcp, None).unwrap().slot;
        let (src, to): (IpAddr, _) = (A.parse().unwrap(), at(to));
        self.with(0, |s, now, path, maker| s.tcp_connect(c, now, src, to, path, maker)).unwrap();
        c
    }

    fn state(&self, end: usize, slot: u32) -> Option<TcpState> {
        self.ends[end].tcp_state(slot)
    }

    fn error(&mut self, end: usize, slot: u32) -> Option<Errno> {
        self.ends[end].get_mut(slot).unwrap().take_error()
    }

    /// An open connection: client slot, server slot.
    fn open(&mut self) -> (u32, u32) {
        let l = self.listen("10.0.0.2:80", 10);
        let c = self.connect("10.0.0.2:80");
        self.run_until(self.now + SEC);
        let s = self.ends[1].tcp_accept(l).unwrap().slot;
        (c, s)
    }

    /// Sends `data` from end 0 to end 1 and returns what arrived before `until`.
    fn transfer(&mut self, c: u32, s: u32, data: &[u8], until: Time) -> Vec<u8> {
        let (mut sent, mut got, mut buf) = (0, Vec::new(), [0; 4096]);
        let mut closed = false;
        loop {
            while sent < data.len() {
                match self.ends[0].tcp_send(c, &data[sent..]) {
                    Ok(n) => sent += n,
                    Err(_) => break,
                }
            }
            if sent == data.len() && !closed {
                closed = self.ends[0].shutdown(c, false, true).is_ok();
            }
            match self.ends[1].tcp_recv(s, &mut buf) {
                Ok(0) => return got,
                Ok(n) => {
                    got.extend_from_slice(&buf[..n]);
                    continue;
                }
                Err(Errno::EAGAIN) => {}
                Err(e) => panic!("{e:?} after {} bytes", got.len()),
            }
            if !self.turn(until) {
                return got;
            }
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

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
    assert!(p.ends[0].get(c).unwrap().local().port() % 2 == 0, "connect() takes even ports");
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
        let e = IcmpError { quoted: &quoted, l4, kind: 3, code: 1, mtu: 0, offender, iif: None };
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
            if p.ends[0].len() % 500 == 0 {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Invariant 8: a stream arrives intact under any loss, duplication, reordering and corruption.
    #[test]
    fn any_pipe_delivers_the_stream(
        seed: u64,
        loss in 0..150_000u32,
        duplicate in 0..150_000u32,
        reorder in 0..300_000u32,
        corrupt in 0..50_000u32,
        len in 1..60_000usize,
    ) {
        let mut p = Pair::new(seed);
        let l = p.listen("10.0.0.2:80", 10);
        p.faults = Faults { loss, duplicate, reorder, corrupt };
        let c = p.connect("10.0.0.2:80");
        let mut waited = 0;
        let s = loop {
            p.run_until(p.now + SEC);
            match p.ends[1].tcp_accept(l) {
                Ok(id) => break id.slot,
                Err(_) => waited += 1,
            }
            prop_assert!(waited < 120, "no handshake");
        };
        let data = pattern(len);
        let got = p.transfer(c, s, &data, p.now + 7200 * SEC);
        prop_assert_eq!(got.len(), data.len());
        prop_assert!(got == data);
    }

    /// The same seed gives the same segments at the same times.
    #[test]
    fn a_run_repeats(seed: u64) {
        let run = || {
            let mut p = Pair::new(seed);
            p.faults = Faults { loss: 50_000, ..Faults::default() };
            let l = p.listen("10.0.0.2:80", 10);
            let c = p.connect("10.0.0.2:80");
            p.run_until(20 * SEC);
            if let Ok(id) = p.ends[1].tcp_accept(l) {
                p.transfer(c, id.slot, &pattern(30_000), p.now + 100 * SEC);
            }
            p.log
        };
        prop_assert_eq!(run(), run());
    }
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
