//! 60-byte UDP frames through a bridge and a NAT router: nanoseconds per packet, and proof that no packet allocates.
//!
//! The world is `benches/lab`: client — bridge — router (masquerade, conntrack) — server, plain veth pairs, nobody
//! traces. A packet is injected at the client's device and counted when the server's stack has looked at it.

mod lab;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netsim::{
    sim::Limits,
    trace::DropReason,
    wire::{eth, ip::IpFields, put16, udp},
};

const BATCH: u64 = 64;

/// A 60-byte frame: Ethernet, IPv4, UDP and 18 bytes of payload.
fn template(p: &lab::Path, payload: usize) -> Vec<u8> {
    let mut b = vec![0; eth::HEADER + 20 + 8 + payload];
    b[..6].copy_from_slice(&p.router_mac.0);
    b[6..12].copy_from_slice(&p.world.dev(p.client.1).mac.0);
    put16(&mut b, 12, eth::IPV4);
    let (src, dst) = (lab::ip("10.0.0.2"), lab::ip("203.0.113.9"));
    udp::write(&mut b[34..], src, dst, 1024, 9);
    let fields = IpFields { src, dst, proto: 17, ttl: 64, tos: 0, df: true, id: 1 };
    fields.write(&mut b[14..]);
    b
}

fn run(c: &mut Criterion, name: &str, payload: usize, flows: u16) {
    let mut p = lab::path();
    let mut frame = template(&p, payload);
    let dev = p.client.1;
    let mut next = 0u16;
    let mut batch = |p: &mut lab::Path| {
        for _ in 0..BATCH {
            next = (next + 1) % flows;
            // A new source port changes the flow; the checksum 0 says "none" (RFC 768), so it need not follow.
            put16(&mut frame, 34, 1024 + next);
            put16(&mut frame, 40, 0);
            p.world.inject(dev, &frame).expect("the device is up");
        }
        p.world.run(&Limits { events: u64::MAX, frames: u64::MAX, ..Limits::default() })
    };
    // Every flow exists before the measurement.
    for _ in 0..=(flows as u64 / BATCH) {
        batch(&mut p);
    }
    // What arrives is for an address the server does not have: its stack looks at the packet and drops it.
    let arrived = p.world.core.pool.ledger.dropped(DropReason::IpInAddrErrors);
    assert!(arrived >= flows as u64, "the packets take the whole way: {arrived}");
    let fresh = p.world.core.pool.fresh();
    let mut group = c.benchmark_group("path");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(name, |b| b.iter(|| batch(&mut p)));
    group.finish();
    assert_eq!(p.world.core.pool.fresh(), fresh, "no packet needs a new buffer");
}

fn path(c: &mut Criterion) {
    run(c, "udp60/1flow", 18, 1);
    run(c, "udp60/10kflows", 18, 10_000);
    run(c, "udp1514/10kflows", 1472, 10_000);
}

criterion_group!(benches, path);
criterion_main!(benches);
