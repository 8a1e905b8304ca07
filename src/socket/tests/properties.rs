//! Lookup and port tables against naive scans, and odd bytes.

use super::{ETH0, arrive, at, header, ip, opened, report, table, udp4};
use crate::{
    base::{DevId, proto},
    socket::{Family, SockKind, SockOpt},
};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

/// What the kernel's two passes do, written as a scan over every socket: exact addresses first, then wildcards; the
/// highest score wins, among equals the newest.
fn naive_udp(all: &[(u32, Twin)], src: SocketAddr, dst: SocketAddr) -> Option<u32> {
    let score = |t: &Twin| {
        let mut n = if t.family == Family::V4 { 2 } else { 1 };
        if let Some(peer) = t.peer {
            if peer != src {
                return None;
            }
            n += 4 + 4;
        }
        if let Some(dev) = t.device {
            if Some(dev) != ETH0 {
                return None;
            }
            n += 4;
        }
        Some(n)
    };
    for exact in [true, false] {
        let fits = |t: &Twin| t.port == dst.port() && if exact { t.addr == dst.ip() } else { t.addr.is_unspecified() };
        let mut best: Option<(i32, u32)> = None;
        for (slot, t) in all.iter().filter(|(_, t)| fits(t)) {
            if let Some(n) = score(t)
                && best.is_none_or(|(b, _)| n >= b)
            {
                best = Some((n, *slot));
            }
        }
        if let Some((_, slot)) = best {
            return Some(slot);
        }
    }
    None
}

struct Twin {
    family: Family,
    addr: IpAddr,
    port: u16,
    peer: Option<SocketAddr>,
    device: Option<DevId>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn udp_lookup_equals_two_scans(
        sockets in proptest::collection::vec((any::<bool>(), 0..4usize, 50..53u16, 0..4usize, 0..3u32), 0..12),
        packets in proptest::collection::vec((1..3usize, 1..4usize, 50..53u16), 1..12),
    ) {
        let addrs = ["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"];
        let mut t = table();
        let mut all = Vec::new();
        for (v6, addr, port, peer, dev) in sockets {
            let wild = addr == 0;
            let family = if v6 && wild { Family::V6 } else { Family::V4 };
            let bind = if family == Family::V6 { format!("[::]:{port}") } else { format!("{}:{port}", addrs[addr]) };
            let device = (dev > 0).then_some(DevId(dev));
            let opts = [SockOpt::ReuseAddr(true), SockOpt::BindToDevice(device)];
            let slot = opened(&mut t, family, SockKind::Udp, &opts, &bind).unwrap();
            let peer = (peer > 1).then(|| at(&format!("10.0.0.{peer}:9")));
            if let (Some(p), false) = (peer, wild) {
                t.connect_datagram(slot, p, ip("10.0.0.77")).unwrap();
            }
            all.push((slot, Twin {
                family,
                addr: at(&bind).ip(),
                port,
                peer: peer.filter(|_| !wild),
                device,
            }));
        }
        for (src, dst, port) in packets {
            let (src, dst) = (format!("10.0.0.{}:9", src + 1), format!("{}:{port}", addrs[dst]));
            let want = naive_udp(&all, at(&src), at(&dst));
            arrive(&mut t, &src, &dst, false);
            let got: Vec<u32> = all.iter().map(|(s, _)| *s).filter(|s| t.recv(*s).is_ok()).collect();
            prop_assert_eq!(got, want.into_iter().collect::<Vec<_>>());
        }
    }

    /// Whatever is bound, closed and bound again: nobody shares a port who may not, and ports do not leak.
    #[test]
    fn ports_are_never_shared_by_accident(ops in proptest::collection::vec((0..3u8, 0..3usize, 50..52u16, any::<bool>()), 1..60)) {
        let addrs = ["0.0.0.0", "10.0.0.1", "10.0.0.2"];
        let mut t = table();
        let mut open: Vec<(u32, usize, u16, bool)> = Vec::new();
        for (op, addr, port, reuse) in ops {
            if op == 0 && !open.is_empty() {
                let (slot, ..) = open.remove(addr % open.len());
                t.close(slot, 0);
                continue;
            }
            let clash = |o: &(u32, usize, u16, bool)| {
                o.2 == port && (o.1 == 0 || addr == 0 || o.1 == addr) && !(o.3 && reuse)
            };
            let want = !open.iter().any(clash);
            let bind = format!("{}:{port}", addrs[addr]);
            let got = opened(&mut t, Family::V4, SockKind::Udp, &[SockOpt::ReuseAddr(reuse)], &bind);
            prop_assert_eq!(got.is_ok(), want);
            if let Ok(slot) = got {
                open.push((slot, addr, port, reuse));
            }
        }
        prop_assert_eq!(t.len(), open.len());
        prop_assert_eq!(t.list().count(), open.len());
    }

    #[test]
    fn odd_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80), protocol in 0..2usize) {
        let mut t = table();
        let s = udp4(&mut t, "10.0.0.1:5000").unwrap();
        t.set_option(s, SockOpt::RecvErr(true)).unwrap();
        let raw = opened(&mut t, Family::V4, SockKind::Raw(proto::UDP), &[], "0.0.0.0:0").unwrap();
        let p = [proto::UDP, proto::ICMP][protocol];
        let h = header("10.0.0.1", "10.0.0.1", p, bytes.len());
        t.udp_input(&h, &bytes, ETH0, false, false);
        t.ping_input(&h, &bytes, ETH0);
        t.raw_input(&h, &[&[0; 20][..], &bytes[..]].concat(), ETH0);
        for slot in [t.find_quoted(&h, &bytes, ETH0), Some(s), Some(raw)].into_iter().flatten() {
            t.icmp_error(slot, &report(&h, &bytes, 3, 0));
        }
        t.raw_error(&report(&h, &bytes, 4, 600));
        while t.recv_error(s).is_some() {}
    }
}
