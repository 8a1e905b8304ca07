//! A TCP transfer through a bridge and a NAT router, checksums on: bytes per second of processor time.
//!
//! The world is that of `path`; smoltcp is at both ends, MTU 1500, buffers of 64 KiB.

mod lab;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netsim::{
    app::{Outcome, TcpClient, TcpClientConfig, TcpPayload, TcpServer, TcpServerConfig, TcpServerMode},
    link::{NetemConfig, QdiscConfig},
    sim::Limits,
};
use std::net::SocketAddr;

const BYTES: u64 = 8 << 20;

/// Transfers [`BYTES`] in a fresh world.
fn transfer(delayed: bool) {
    let mut p = lab::path();
    if delayed {
        // A millisecond each way, so that the window and not the processor is the limit: more idle time, more timers.
        let netem = NetemConfig { delay: 1_000_000, ..NetemConfig::default() };
        p.world.set_qdisc(p.client.1, QdiscConfig::Netem(netem.clone()));
        p.world.set_qdisc(p.server.1, QdiscConfig::Netem(netem));
    }
    let at = SocketAddr::new(lab::ip("203.0.113.2"), 5001);
    let server = TcpServerConfig { bind: at, mode: TcpServerMode::Sink, ..TcpServerConfig::default() };
    p.world.spawn(p.server.0, 0, Box::new(TcpServer::new(server)));
    let send = TcpPayload::Pattern { bytes: BYTES, seed: 1 };
    let client = TcpClient::new(TcpClientConfig { send, ..TcpClientConfig::to(at) });
    let client = p.world.spawn(p.client.0, 0, Box::new(client));
    p.world.run(&Limits::default());
    let Outcome::Tcp { complete, .. } = p.world.app(client).outcome else { panic!("a TCP client has a TCP outcome") };
    assert!(complete, "the transfer was not complete");
}

fn tcp_bulk(c: &mut Criterion) {
    let mut group = c.benchmark_group("tcp_bulk");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES));
    group.bench_function("8MiB", |b| b.iter(|| transfer(false)));
    group.bench_function("8MiB/rtt2ms", |b| b.iter(|| transfer(true)));
    group.finish();
}

criterion_group!(benches, tcp_bulk);
criterion_main!(benches);
