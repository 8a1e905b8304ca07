//! Two socket tables joined by a pipe that loses, repeats, reorders and damages packets.

use super::*;
use crate::{
    base::{Errno, NsId, Rng, US, proto},
    socket::{Family, IcmpError, SockKind, SockOpt, Sockets},
    trace::{DropReason, FrameId},
    wire::{IpHeader, Pool, checksum, icmp, tcp as wire},
};
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
        let e = IcmpError {
            quoted: &quoted,
            l4: &l4,
            kind: 3,
            code: 4,
            mtu,
            offender: at("10.0.0.9:0").ip(),
            iif: None,
            now: 0,
        };
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

mod behaviour;
mod properties;
