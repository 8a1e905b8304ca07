//! Finding a route: a host with a handful of routes, and tables of a thousand and a hundred thousand.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use netsim::{
    base::{DevId, Prefix, Rng},
    route::{AddMode, Fib, FlowKey, NextHop, Route, RouteType},
};

fn add(fib: &mut Fib, dst: Prefix, kind: RouteType, hop: NextHop) {
    // Two random prefixes may be the same: one is enough.
    let _ = fib.add(Route::new(dst, kind, hop), AddMode::Replace);
}

/// What every host has: its addresses, two connected subnets and a default route.
fn host() -> Fib {
    let mut fib = Fib::default();
    for (dst, kind) in [
        ("127.0.0.0/8", RouteType::Local),
        ("127.0.0.1", RouteType::Local),
        ("127.255.255.255", RouteType::Broadcast),
        ("10.0.0.1", RouteType::Local),
        ("10.0.0.255", RouteType::Broadcast),
        ("10.0.0.0/24", RouteType::Unicast),
        ("::1", RouteType::Local),
        ("fe80::/64", RouteType::Unicast),
    ] {
        add(&mut fib, dst.parse().expect("a prefix"), kind, NextHop::dev(DevId(1)));
    }
    let gateways: [IpAddr; 2] =
        [Ipv4Addr::new(10, 0, 0, 254).into(), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into()];
    for (dst, via) in [Prefix::ANY4, Prefix::ANY6].into_iter().zip(gateways) {
        add(&mut fib, dst, RouteType::Unicast, NextHop::via(via, DevId(1)));
    }
    fib
}

/// A random prefix with the lengths of an Internet table: mostly /24 and shorter, /48 and shorter.
fn prefix(rng: &mut Rng, v6: bool) -> Prefix {
    let len = match rng.below(10) {
        0 => 8 + rng.below(8),
        1..4 => 16 + rng.below(8),
        4..9 => 24,
        _ => 25 + rng.below(8),
    } as u8;
    let bits = rng.next_u64();
    let (addr, len): (IpAddr, u8) = if v6 {
        (Ipv6Addr::from(u128::from(bits >> 3 | 1 << 61) << 64).into(), 2 * len)
    } else {
        (Ipv4Addr::from(bits as u32).into(), len)
    };
    Prefix::new(addr, len).expect("the length fits").network()
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("fib");
    for (v6, family) in [(false, "ipv4"), (true, "ipv6")] {
        for (n, label) in [(0, "host"), (1_000, "1k"), (100_000, "100k")] {
            let mut rng = Rng::keyed(1, &[family, label]);
            let mut fib = host();
            let prefixes: Vec<Prefix> = (0..n).map(|_| prefix(&mut rng, v6)).collect();
            for (i, dst) in prefixes.iter().enumerate() {
                let hop = NextHop::dev(DevId(i as u32 % 4));
                add(&mut fib, *dst, RouteType::Unicast, hop);
            }
            let keys: Vec<FlowKey> = (0..4096)
                .map(|_| match prefixes.len() as u64 {
                    0 => FlowKey::to(prefix(&mut rng, v6).addr()),
                    n => FlowKey::to(prefixes[rng.below(n) as usize].addr()),
                })
                .collect();
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(family, label), |b| {
                b.iter(|| {
                    turn = (turn + 1) % keys.len();
                    black_box(fib.lookup(&keys[turn], false).is_ok())
                });
            });
        }
    }
    let fib = host();
    let own: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    group.bench_function("local_kind", |b| b.iter(|| black_box(fib.local_kind(black_box(own)))));
    group.finish();
}

criterion_group! {
    name = fib;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = benches
}
criterion_main!(fib);
