//! Egress queues: rates to the nanosecond, shares within four sigma, order, and the books.

use netsim::{
    base::{MS, NsId, Rng, SEC, Time},
    link::{Distribution, Loss, NetemConfig, Qdisc, QdiscConfig, QdiscEvent, TbfConfig},
    trace::{DropReason, FrameId},
    wire::{Frame, Pool},
};
use proptest::prelude::*;

/// A queue with everything around it, and what came out of it.
struct Port {
    qdisc: Qdisc,
    pool: Pool,
    rng: Rng,
    seq: u32,
    /// Time, number and length of what was sent.
    sent: Vec<(Time, u32, usize)>,
    dropped: Vec<(u32, DropReason)>,
    copies: Vec<(u32, u32)>,
    corrupted: usize,
}

impl Port {
    fn new(config: QdiscConfig) -> Port {
        Port {
            qdisc: Qdisc::new(config),
            pool: Pool::default(),
            rng: Rng::keyed(11, &["h1", "eth0"]),
            seq: 0,
            sent: Vec::new(),
            dropped: Vec::new(),
            copies: Vec::new(),
            corrupted: 0,
        }
    }

    fn netem(config: NetemConfig) -> Port {
        Port::new(QdiscConfig::Netem(config))
    }

    fn offer(&mut self, now: Time, len: usize) {
        let mut next_id = || {
            self.seq += 1;
            FrameId { ns: NsId(0), seq: self.seq }
        };
        let frame = self.pool.alloc(next_id(), len);
        let mut out = Vec::new();
        self.qdisc.enqueue(now, frame, &mut self.rng, &mut self.pool, &mut next_id, &mut out);
        self.take(now, out);
        self.check();
    }

    fn take(&mut self, now: Time, events: Vec<QdiscEvent>) {
        for event in events {
            match event {
                QdiscEvent::Send(frame) => self.put_on_wire(now, frame),
                QdiscEvent::Drop(frame, reason) => {
                    self.pool.ledger.discard(reason);
                    self.dropped.push((frame.id().seq, reason));
                    self.pool.recycle(frame);
                }
                QdiscEvent::Duplicated { copy, parent } => self.copies.push((copy.seq, parent.seq)),
            }
        }
    }

    fn put_on_wire(&mut self, now: Time, frame: Frame) {
        let flipped: u32 = frame.data().iter().map(|b| b.count_ones()).sum();
        assert_eq!(flipped, frame.meta().corrupted as u32, "one bit, and marked");
        self.corrupted += flipped as usize;
        self.pool.ledger.deliver();
        self.sent.push((now, frame.id().seq, frame.len()));
        self.pool.recycle(frame);
    }

    fn run_until(&mut self, end: Time) {
        while let Some(at) = self.qdisc.next_at().filter(|at| *at <= end) {
            let frame = self.qdisc.dequeue(at).expect("next_at says there is one");
            self.put_on_wire(at, frame);
        }
    }

    fn check(&self) {
        self.pool.ledger.check(self.qdisc.queued() as u64).expect("in = out + dropped + queued");
    }

    fn times(&self) -> Vec<Time> {
        self.sent.iter().map(|(time, ..)| *time).collect()
    }

    fn in_order(&self) -> bool {
        self.sent.iter().map(|(_, seq, _)| seq).is_sorted()
    }
}

/// `count` of `n` trials with probability `ppm` lies within four sigma.
fn assert_share(count: usize, n: usize, ppm: u32) {
    let (p, n) = (ppm as f64 / 1e6, n as f64);
    let sigma = (n * p * (1.0 - p)).sqrt();
    assert!((count as f64 - n * p).abs() <= 4.0 * sigma, "{count} of {n} at {p}");
}

#[test]
fn a_plain_device_has_no_queue() {
    let mut port = Port::new(QdiscConfig::Noqueue);
    assert!(port.qdisc.is_noqueue());
    port.offer(5, 60);
    assert_eq!((port.times(), port.qdisc.next_at()), (vec![5], None));
}

#[test]
fn case_netem_delay_holds_every_frame_for_the_delay() {
    let mut port = Port::netem(NetemConfig { delay: 100 * MS, ..NetemConfig::default() });
    [0, 1, 50 * MS].into_iter().for_each(|at| port.offer(at, 98));
    port.run_until(SEC);
    assert_eq!(port.times(), [100 * MS, 100 * MS + 1, 150 * MS]);
}

#[test]
fn case_netem_rate_serialises_to_the_nanosecond() {
    let mut port = Port::netem(NetemConfig { rate: 80_000, ..NetemConfig::default() });
    port.offer(0, 1042);
    port.offer(0, 1042);
    port.run_until(SEC);
    assert_eq!(port.times(), [104_200_000, 208_400_000]);
    // Idle in between: the next one starts when it comes.
    port.offer(SEC, 1042);
    port.run_until(2 * SEC);
    assert_eq!(port.times()[2], SEC + 104_200_000);
}

#[test]
fn a_rate_that_does_not_divide_stays_exact_over_many_frames() {
    let rate = 7_777_777;
    let mut port = Port::netem(NetemConfig { rate, limit: 5000, ..NetemConfig::default() });
    (0..3000).for_each(|_| port.offer(0, 1514));
    port.run_until(100 * SEC);
    for (i, time) in port.times().into_iter().enumerate() {
        let exact = (i as u128 + 1) * 1514 * 8 * SEC as u128 / rate as u128;
        assert_eq!(time as u128, exact, "frame {i}");
    }
}

#[test]
fn waiting_for_the_rate_counts_towards_the_delay() {
    let mut port = Port::netem(NetemConfig { delay: 100 * MS, rate: 80_000, ..NetemConfig::default() });
    [0, 0, 300 * MS].into_iter().for_each(|at| {
        port.run_until(at);
        port.offer(at, 1000);
    });
    port.run_until(SEC);
    assert_eq!(port.times(), [200 * MS, 300 * MS, 500 * MS]);
}

#[test]
fn case_netem_limit_drops_at_the_tail() {
    let mut port = Port::netem(NetemConfig { delay: 300 * MS, limit: 2, ..NetemConfig::default() });
    (0..6).for_each(|_| port.offer(0, 49));
    assert_eq!(port.dropped, [3, 4, 5, 6].map(|seq| (seq, DropReason::QdiscDrop)));
    port.run_until(SEC);
    assert_eq!(port.sent, [(300 * MS, 1, 49), (300 * MS, 2, 49)]);
}

#[test]
fn case_netem_duplicate_sends_everything_twice() {
    let mut port = Port::netem(NetemConfig { duplicate: 1_000_000, ..NetemConfig::default() });
    port.offer(0, 42);
    port.offer(0, 42);
    assert_eq!(port.copies, [(2, 1), (4, 3)]);
    assert_eq!(port.sent.iter().map(|s| s.1).collect::<Vec<_>>(), [2, 1, 4, 3]);
    assert_eq!(port.pool.ledger.created(), 4);
}

#[test]
fn case_netem_loss_total_and_half() {
    let lose = |share, correlation| {
        let loss = Loss::Random { share, correlation };
        let mut port = Port::netem(NetemConfig { loss, ..NetemConfig::default() });
        (0..20_000).for_each(|_| port.offer(0, 60));
        assert!(port.dropped.iter().all(|(_, reason)| *reason == DropReason::LinkLoss));
        port
    };
    assert_eq!(lose(1_000_000, 0).sent.len(), 0);
    assert_eq!(lose(0, 0).dropped.len(), 0);
    for share in [1_000, 50_000, 500_000] {
        assert_share(lose(share, 0).dropped.len(), 20_000, share);
    }
    let repeats = |port: Port| port.dropped.windows(2).filter(|w| w[1].0 == w[0].0 + 1).count();
    assert!(repeats(lose(500_000, 500_000)) > repeats(lose(500_000, 0)) * 5 / 4, "correlated losses come in runs");
}

#[test]
fn gilbert_elliott_loses_in_bursts() {
    let loss = Loss::GilbertElliott { p: 10_000, r: 90_000, bad: 1_000_000, good: 0 };
    let mut port = Port::netem(NetemConfig { loss, ..NetemConfig::default() });
    (0..50_000).for_each(|_| port.offer(0, 60));
    // The link is bad for p / (p + r) = 10 % of the time, in bursts of 1 / r = 11 frames on average.
    let lost = port.dropped.len();
    assert!((4_000..6_000).contains(&lost), "{lost}");
    let bursts = 1 + port.dropped.windows(2).filter(|w| w[1].0 != w[0].0 + 1).count();
    assert!((8..15).contains(&(lost / bursts)), "{lost} in {bursts}");
}

#[test]
fn corruption_flips_one_bit_and_marks_the_frame() {
    let mut port = Port::netem(NetemConfig { corrupt: 100_000, ..NetemConfig::default() });
    (0..20_000).for_each(|_| port.offer(0, 60));
    assert_share(port.corrupted, 20_000, 100_000);
}

#[test]
fn every_nth_frame_skips_the_delay() {
    let mut port = Port::netem(NetemConfig { delay: 10 * MS, gap: 3, ..NetemConfig::default() });
    (0..7).for_each(|_| port.offer(0, 60));
    assert_eq!(port.sent, [(0, 3, 60), (0, 6, 60)]);
    let reorder = NetemConfig { delay: 10 * MS, reorder: 250_000, limit: 20_000, ..NetemConfig::default() };
    let mut port = Port::netem(reorder);
    (0..20_000).for_each(|_| port.offer(0, 60));
    assert_share(port.sent.len(), 20_000, 250_000);
}

#[test]
fn jitter_reorders_by_departure_within_its_bounds() {
    let config = NetemConfig { delay: 100 * MS, jitter: 10 * MS, limit: 5000, ..NetemConfig::default() };
    let mut port = Port::netem(config.clone());
    (0..4000).for_each(|_| port.offer(0, 60));
    port.run_until(SEC);
    assert!(port.times().is_sorted() && !port.in_order());
    let (first, last) = (port.sent[0].0, port.sent[3999].0);
    assert!((90 * MS..91 * MS).contains(&first) && (109 * MS..110 * MS).contains(&last), "{first} {last}");

    let mut port = Port::netem(NetemConfig { distribution: Distribution::Normal, ..config });
    (0..4000).for_each(|_| port.offer(0, 60));
    port.run_until(SEC);
    let within = |sigmas: u64| {
        let bounds = (100 - 10 * sigmas) * MS..(100 + 10 * sigmas) * MS;
        port.times().iter().filter(|t| bounds.contains(t)).count()
    };
    assert_share(within(1), 4000, 682_689);
    assert_share(within(2), 4000, 954_500);
}

#[test]
fn jitter_larger_than_the_delay_never_sends_into_the_past() {
    let mut port = Port::netem(NetemConfig { delay: 1, jitter: SEC, ..NetemConfig::default() });
    (0..500).for_each(|_| port.offer(10 * SEC, 60));
    port.run_until(20 * SEC);
    assert!(port.times().iter().all(|t| (10 * SEC..=11 * SEC).contains(t)));
    assert!(port.times().iter().filter(|t| **t == 10 * SEC).count() > 100);
}

#[test]
fn a_change_keeps_what_waits_and_another_kind_drops_it() {
    let slow = NetemConfig { delay: SEC, ..NetemConfig::default() };
    let mut port = Port::netem(slow);
    port.offer(0, 60);
    let mut out = Vec::new();
    port.qdisc.change(QdiscConfig::Netem(NetemConfig::default()), &mut out);
    assert_eq!((out.len(), port.qdisc.next_at()), (0, Some(SEC)));
    port.offer(1, 60);
    assert_eq!(port.sent, [(1, 2, 60)]);
    port.qdisc.change(QdiscConfig::Noqueue, &mut out);
    assert_eq!((port.qdisc.config(), port.qdisc.queued()), (QdiscConfig::Noqueue, 0));
    port.take(1, out);
    assert_eq!(port.dropped, [(1, DropReason::QdiscDrop)]);
    port.check();
}

#[test]
fn tbf_lets_a_burst_through_and_then_keeps_the_rate() {
    let config = TbfConfig { rate: 1_000_000, burst: 3000, limit: 5000 };
    let mut port = Port::new(QdiscConfig::Tbf(config));
    (0..9).for_each(|_| port.offer(SEC, 1000));
    port.offer(SEC, 3001);
    // Three on the burst, five wait, the rest has no room.
    assert_eq!((port.times(), port.qdisc.queued()), (vec![SEC; 3], 5));
    assert_eq!(port.dropped, [(9, DropReason::QdiscDrop), (10, DropReason::QdiscDrop)]);
    port.run_until(2 * SEC);
    assert_eq!(port.times()[3..], [1, 2, 3, 4, 5].map(|n| SEC + n * 8 * MS));
    // A smaller burst does not block what was admitted before.
    (0..4).for_each(|_| port.offer(2 * SEC, 1000));
    port.qdisc.change(QdiscConfig::Tbf(TbfConfig { rate: 1_000_000, burst: 100, limit: 5000 }), &mut Vec::new());
    port.run_until(10 * SEC);
    assert_eq!(port.qdisc.queued(), 0);
    assert_eq!(port.qdisc.config().kind(), "tbf");
}

#[test]
fn a_purge_gives_back_every_frame_of_every_kind() {
    let netem = NetemConfig { delay: SEC, jitter: SEC / 2, ..NetemConfig::default() };
    let tbf = TbfConfig { rate: 1, burst: 2000, limit: 50_000 };
    for config in [QdiscConfig::Netem(netem), QdiscConfig::Tbf(tbf)] {
        let mut port = Port::new(config);
        (0..30).for_each(|_| port.offer(0, 1000));
        let (held, mut out) = (port.qdisc.queued(), Vec::new());
        port.qdisc.purge(DropReason::DevGone, &mut out);
        assert!(held >= 28 && out.len() == held && port.qdisc.queued() == 0);
        port.take(0, out);
        port.check();
    }
}

fn share() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0), 2 => 0u32..=1_000_000, 1 => Just(1_000_000)]
}

prop_compose! {
    fn netem()(
        delay in prop_oneof![Just(0), 0..50 * MS],
        jitter in prop_oneof![2 => Just(0), 1 => 0..60 * MS],
        (loss, duplicate, reorder, corrupt) in (share(), share(), share(), share()),
        correlation in share(),
        gap in 0u32..4,
        rate in prop_oneof![Just(0), 1u64..100_000_000],
        limit in 0u32..40,
        normal in any::<bool>(),
    ) -> NetemConfig {
        NetemConfig {
            delay, jitter, delay_correlation: correlation,
            distribution: if normal { Distribution::Normal } else { Distribution::Uniform },
            loss: Loss::Random { share: loss, correlation },
            duplicate, duplicate_correlation: correlation, reorder, reorder_correlation: correlation, gap,
            corrupt, corrupt_correlation: correlation, rate, limit,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Any settings: frames are conserved (checked after each), leave in the order of time, in bounded number, and without
    /// jitter and reordering in the order in which they came.
    #[test]
    fn netem_keeps_the_books(
        config in netem(),
        frames in prop::collection::vec((0..5 * MS, 14usize..1600), 1..80),
    ) {
        let ordered = config.jitter == 0 && config.reorder == 0 && config.gap == 0 && config.duplicate == 0;
        let limit = config.limit as usize;
        let mut port = Port::netem(config);
        let mut now = 0;
        for (pause, len) in frames {
            now += pause;
            port.run_until(now);
            port.offer(now, len);
            prop_assert!(port.qdisc.queued() <= limit + 1);
        }
        port.run_until(Time::MAX);
        port.check();
        prop_assert_eq!(port.qdisc.queued(), 0);
        prop_assert!(port.times().is_sorted());
        prop_assert!(!ordered || port.in_order());
    }

    /// A token bucket never lets more through in any interval than rate × time + burst, and keeps order.
    #[test]
    fn tbf_keeps_its_promise(
        rate in 1_000u64..1_000_000_000,
        burst in 1600u32..10_000,
        frames in prop::collection::vec((0..5 * MS, 14usize..1600), 1..80),
    ) {
        let mut port = Port::new(QdiscConfig::Tbf(TbfConfig { rate, burst, limit: 20_000 }));
        let mut now = 0;
        for (pause, len) in frames {
            now += pause;
            port.run_until(now);
            port.offer(now, len);
        }
        port.run_until(Time::MAX);
        port.check();
        prop_assert!(port.in_order() && port.times().is_sorted());
        for (i, first) in port.sent.iter().enumerate() {
            let mut bytes = 0;
            for last in &port.sent[i..] {
                bytes += last.2 as u128;
                let allowed = (last.0 - first.0) as u128 * rate as u128 / (8 * SEC as u128) + burst as u128;
                prop_assert!(bytes <= allowed + 1, "{bytes} > {allowed}");
            }
        }
    }
}
