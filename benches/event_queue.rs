//! The event queue in the hold model: pop the first event, push one at a later time, so the number pending stays.
//!
//! The wheel stands beside `std`'s binary heap, with three mixes of delays:
//! `const` (one link latency of 1 ms), `mix` (70 % links of 1 to 20 µs, 25 % about 1 ms, 5 % timers of 200 ms), `uniform` (0 to 2 ms).

use std::{cmp::Reverse, collections::BinaryHeap, hint::black_box};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use netsim::base::{MS, Rng, Time, US, wheel::Wheel};

trait Queue: Default {
    fn push(&mut self, at: Time, key: u64, value: u32);
    fn pop(&mut self) -> Option<(Time, u32)>;
}

impl Queue for Wheel<u32> {
    fn push(&mut self, at: Time, key: u64, value: u32) {
        Wheel::push(self, at, key, value);
    }

    fn pop(&mut self) -> Option<(Time, u32)> {
        Wheel::pop(self, Time::MAX)
    }
}

#[derive(Default)]
struct Heap(BinaryHeap<Reverse<(Time, u64, u32)>>);

impl Queue for Heap {
    fn push(&mut self, at: Time, key: u64, value: u32) {
        self.0.push(Reverse((at, key, value)));
    }

    fn pop(&mut self) -> Option<(Time, u32)> {
        self.0.pop().map(|Reverse((at, _, value))| (at, value))
    }
}

/// A thousand delays of one kind, used round and round: the generator stays out of the measurement.
fn delays(kind: &str) -> Vec<Time> {
    let mut rng = Rng::keyed(1, &[kind]);
    (0..1024)
        .map(|_| match kind {
            "const" => MS,
            "uniform" => rng.below(2 * MS),
            _ => match rng.below(100) {
                0..70 => rng.between(US, 20 * US),
                70..95 => rng.between(900 * US, 1100 * US),
                _ => 200 * MS,
            },
        })
        .collect()
}

fn hold<Q: Queue>(c: &mut Criterion, name: &str) {
    let mut group = c.benchmark_group(format!("event_queue/{name}"));
    for (pending, label) in [(1_000u32, "1k"), (100_000, "100k"), (1_000_000, "1M")] {
        for kind in ["const", "mix", "uniform"] {
            let delays = delays(kind);
            let mut queue = Q::default();
            let mut start = Rng::keyed(2, &[kind]);
            for value in 0..pending {
                let at = delays[value as usize % 1024] * start.below(1024) / 1024 + start.below(US);
                queue.push(at, u64::from(value) << 32, value);
            }
            let mut turn = 0;
            let mut step = || {
                let (now, value) = queue.pop().expect("as many are pushed as popped");
                turn += 1;
                queue.push(now + delays[turn % 1024], u64::from(value) << 32 | turn as u64, value);
                now
            };
            // Reach the steady state of the mix before measuring.
            for _ in 0..2 * pending {
                step();
            }
            group.bench_function(BenchmarkId::new(label, kind), |b| b.iter(|| black_box(step())));
        }
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    hold::<Wheel<u32>>(c, "wheel");
    hold::<Heap>(c, "binary_heap");
}

criterion_group! {
    name = event_queue;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(1));
    targets = benches
}
criterion_main!(event_queue);
