//! The event queue against a naive twin: a binary heap over (time, key, insertion).

use std::{cmp::Reverse, collections::BinaryHeap};

use netsim::base::{
    Time,
    wheel::{TimerId, Wheel},
};
use proptest::prelude::*;

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
