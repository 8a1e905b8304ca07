//! The event queue against a naive twin: a binary heap over (time, key, insertion).

use std::{cmp::Reverse, collections::BinaryHeap};

use netsim::base::{
    Time,
    wheel::{TimerId, Wheel},
};
use proptest::prelude::*;

fn drain(wheel: &mut Wheel<u32>) -> Vec<(Time, u32)> {
    std::iter::from_fn(|| wheel.pop(Time::MAX)).collect()
}

#[test]
fn ties_go_by_key_then_by_insertion() {
    let mut wheel = Wheel::default();
    for (key, value) in [(5, 0), (1, 1), (5, 2), (3, 3), (1, 4)] {
        wheel.push(1000, key, value);
    }
    assert_eq!(drain(&mut wheel).iter().map(|e| e.1).collect::<Vec<_>>(), [1, 4, 3, 0, 2]);
}

#[test]
fn a_push_for_the_current_tick_is_ordered_among_the_remaining_ones() {
    let mut wheel = Wheel::default();
    for key in [1, 4, 6] {
        wheel.push(50, key, key as u32);
    }
    assert_eq!(wheel.pop(50), Some((50, 1)));
    wheel.push(50, 5, 5);
    wheel.push(9, 4, 44); // the past is now
    wheel.push(51, 0, 51);
    wheel.push(50, 2, 2);
    let rest = drain(&mut wheel);
    assert_eq!(rest, [(50, 2), (50, 4), (50, 44), (50, 5), (50, 6), (51, 51)]);
}

#[test]
fn the_far_end_of_time_is_reachable() {
    let mut wheel = Wheel::default();
    wheel.push(Time::MAX, 0, 3);
    wheel.push(1 << 62, 0, 2);
    wheel.push(0, 0, 1);
    wheel.push(Time::MAX, 1, 4);
    assert_eq!(drain(&mut wheel), [(0, 1), (1 << 62, 2), (Time::MAX, 3), (Time::MAX, 4)]);
    assert_eq!((wheel.now(), wheel.peek()), (Time::MAX, None));
}

#[test]
fn a_crowded_tick_is_not_quadratic() {
    let mut wheel = Wheel::default();
    let n = 100_000u32;
    for i in 0..n {
        wheel.push(7, u64::from(i.wrapping_mul(2_654_435_761)), i);
    }
    // Every other one pushes a successor into the same tick.
    let mut seen = 0;
    while let Some((at, i)) = wheel.pop(7) {
        assert_eq!(at, 7);
        seen += 1;
        if i % 2 == 0 && i < n {
            wheel.push(7, u64::from(i), n + 1);
        }
    }
    assert_eq!(seen, n + n / 2);
}

/// Elements in heap order, with what is needed to find one again.
type Twin = BinaryHeap<Reverse<(Time, u64, u32)>>;

#[derive(Clone, Debug)]
enum Op {
    Push(Time, u64),
    Pop(Time),
    Cancel(usize),
    Peek,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let delay = prop_oneof![Just(0u64), 0..4u64, 0..5_000u64, 0..3_000_000_000u64, any::<u64>()];
    let op = prop_oneof![
        4 => (delay.clone(), 0..4u64).prop_map(|(d, k)| Op::Push(d, k)),
        3 => delay.prop_map(Op::Pop),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => Just(Op::Peek),
    ];
    prop::collection::vec(op, 1..300)
}

proptest! {
    /// Invariant 7 of the design: wheel = binary heap, under pushes, bounded pops and cancellations.
    #[test]
    fn equals_a_binary_heap(ops in ops()) {
        let mut wheel = Wheel::default();
        let (mut twin, mut now) = (Twin::new(), 0 as Time);
        let mut ids: Vec<(TimerId, Option<(Time, u64)>)> = Vec::new();
        for op in ops {
            match op {
                Op::Push(delay, key) => {
                    // Now and then a time in the past.
                    let at = if delay == 3 { now / 2 } else { now.saturating_add(delay) };
                    let value = ids.len() as u32;
                    ids.push((wheel.push(at, key, value), Some((at.max(now), key))));
                    twin.push(Reverse((at.max(now), key, value)));
                }
                Op::Pop(delay) => {
                    let limit = now.saturating_add(delay);
                    let expected = match twin.peek() {
                        Some(Reverse(e)) if e.0 <= limit => twin.pop().map(|Reverse(e)| (e.0, e.2)),
                        _ => None,
                    };
                    let got = wheel.pop(limit);
                    prop_assert_eq!(got, expected);
                    if let Some((at, value)) = got {
                        now = at;
                        ids[value as usize].1 = None;
                    }
                }
                Op::Cancel(which) if !ids.is_empty() => {
                    let which = which % ids.len();
                    let live = ids[which].1.take();
                    prop_assert_eq!(wheel.cancel(ids[which].0), live.map(|_| which as u32));
                    twin.retain(|Reverse(e)| e.2 != which as u32);
                }
                Op::Cancel(_) => {}
                Op::Peek => prop_assert_eq!(wheel.peek(), twin.peek().map(|Reverse(e)| e.0)),
            }
            prop_assert_eq!(wheel.len(), twin.len());
            prop_assert_eq!(wheel.now(), now);
        }
        while let Some(Reverse((at, _, value))) = twin.pop() {
            prop_assert_eq!(wheel.pop(Time::MAX), Some((at, value)));
        }
        prop_assert!(wheel.is_empty() && wheel.pop(Time::MAX).is_none());
    }
}
