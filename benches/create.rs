//! Hosts per second: a namespace, a cable, a bridge port, an address and a default route each, on one bridge.

mod lab;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

fn create(c: &mut Criterion) {
    let mut group = c.benchmark_group("create");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for n in [1_000u32, 10_000, 100_000] {
        group.throughput(Throughput::Elements(n as u64));
        group.bench_with_input(BenchmarkId::from_parameter(n), &n, |b, n| b.iter_with_large_drop(|| lab::star(*n)));
    }
    group.finish();
}

criterion_group!(benches, create);
criterion_main!(benches);
