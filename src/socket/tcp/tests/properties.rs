//! Any pipe, any segment, any seed.

use super::{A, B, Faults, Pair, pattern};
use crate::{
    base::{MS, SEC, proto},
    wire::checksum,
};
use proptest::prelude::*;
use std::net::IpAddr;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Invariant 9: no segment, however odd, makes a connection, a listener or TIME-WAIT panic or run for ever.
    #[test]
    fn odd_segments_are_survived(
        seed: u64,
        odd in proptest::collection::vec((any::<u8>(), -70_000i64..70_000, -70_000i64..70_000, any::<u16>(), 0..1500usize), 1..80),
    ) {
        let mut p = Pair::new(seed);
        let (c, s) = p.open();
        p.ends[0].tcp_send(c, &pattern(5000)).unwrap();
        p.run_until(p.now + SEC);
        let (port, last) = (p.ends[0].get(c).unwrap().local().port(), p.log.last().unwrap().2);
        for (i, (flags, seq, ack, window, len)) in odd.into_iter().enumerate() {
            let mut l4 = vec![0x5a; 24 + len];
            l4[..2].copy_from_slice(&port.to_be_bytes());
            l4[2..4].copy_from_slice(&80u16.to_be_bytes());
            l4[4..8].copy_from_slice(&(last.ack as i64 + seq).to_be_bytes()[4..]);
            l4[8..12].copy_from_slice(&(last.seq as i64 + ack).to_be_bytes()[4..]);
            l4[12] = if i % 7 == 0 { 6 << 4 } else { 5 << 4 };
            l4[13] = flags;
            l4[14..16].copy_from_slice(&window.to_be_bytes());
            let (src, dst): (IpAddr, IpAddr) = (A.parse().unwrap(), B.parse().unwrap());
            l4[16..18].fill(0);
            let sum = checksum::upper(src, dst, proto::TCP, &l4);
            l4[16..18].copy_from_slice(&sum.to_be_bytes());
            let mut b = vec![0; 20];
            b.extend_from_slice(&l4);
            let fields = crate::wire::ip::IpFields { src, dst, proto: proto::TCP, ttl: 9, tos: 0, df: true, id: 0 };
            fields.write(&mut b);
            p.receive(1, &b);
            p.run_until(p.now + 100 * MS);
        }
        p.ends[1].close(s, p.now);
        p.run_until(p.now + 3000 * SEC);
        p.ends[0].close(c, p.now);
        p.run_until(p.now + 3000 * SEC);
        prop_assert!(p.ends[0].is_empty(), "everything ends");
        prop_assert_eq!(p.ends[1].list().filter(|i| i.state != 10).count(), 0);
    }
}
