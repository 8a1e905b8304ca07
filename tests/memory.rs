//! What the promises about memory rest on: bytes per idle host, and no allocation per packet.
//!
//! One test, because the counter counts for the whole process.

#[path = "../benches/lab/mod.rs"]
mod lab;

use netsim::{
    sim::{Limits, World},
    wire::{eth, ip::IpFields, put16, udp},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTER: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const HOSTS: u32 = 20_000;

/// Bytes still allocated after a piece of work.
fn kept<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let region = Region::new(COUNTER);
    let result = work();
    let change = region.change();
    let grown = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    (result, grown.max(0) as usize)
}

fn idle_hosts() {
    let (world, bytes) = kept(|| lab::star(HOSTS));
    let per_host = bytes / HOSTS as usize;
    assert!(
        per_host <= 4096,
        "an idle host (namespace, lo, cable, bridge port, address, route) takes {per_host} bytes"
    );
    drop(world);
    let (world, bytes) = kept(|| {
        let mut w = World::new(1);
        for i in 0..HOSTS {
            w.add_namespace(&format!("n{i}")).expect("fresh names");
        }
        w
    });
    let per_namespace = bytes / HOSTS as usize;
    assert!(per_namespace <= 2048, "an idle namespace takes {per_namespace} bytes");
    drop(world);
}

fn packets() {
    let mut p = lab::path();
    let dev = p.client.1;
    let (src, dst) = (lab::ip("10.0.0.2"), lab::ip("203.0.113.9"));
    let mut frame = vec![0; 60];
    frame[..6].copy_from_slice(&p.router_mac.0);
    frame[6..12].copy_from_slice(&p.world.dev(dev).mac.0);
    put16(&mut frame, 12, eth::IPV4);
    udp::write(&mut frame[34..], src, dst, 1024, 9);
    IpFields { src, dst, proto: 17, ttl: 64, tos: 0, df: true, id: 1 }.write(&mut frame[14..]);
    let mut send = |n: u16| {
        for i in 0..n {
            put16(&mut frame, 34, 1024 + i % 500);
            put16(&mut frame, 40, 0);
            p.world.inject(dev, &frame).expect("the device is up");
            p.world.run(&Limits { events: u64::MAX, frames: u64::MAX, ..Limits::default() });
        }
    };
    send(2_000); // buffers, tables and flows come into being
    let region = Region::new(COUNTER);
    send(2_000);
    let change = region.change();
    assert_eq!(change.allocations + change.reallocations, 0, "2000 packets of known flows allocate nothing");
}

#[test]
fn idle_hosts_are_small_and_packets_allocate_nothing() {
    idle_hosts();
    packets();
}
