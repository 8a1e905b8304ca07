//! Random operations: the books balance and nothing waits for ever.

use crate::host::*;
use netsim::{
    base::{SEC, Time},
    neigh::{Learned, SetMode},
    trace::NeighState,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Send(u8),
    Hear(u8, u8, Learned),
    Pass(Time),
    Confirm(u8),
    Set(u8, u8, NeighState, SetMode),
    Delete(u8),
    Flush(bool),
}

fn op() -> impl Strategy<Value = Op> {
    use NeighState::*;
    let who = 2u8..6;
    let how =
        prop_oneof![
            Just(Learned::Request),
            (any::<bool>(), any::<bool>())
                .prop_map(|(reply_to_us, gratuitous)| Learned::Arp { reply_to_us, gratuitous }),
            (any::<bool>(), any::<bool>(), any::<bool>())
                .prop_map(|(solicited, override_flag, router)| Learned::Advert { solicited, override_flag, router }),
        ];
    let state = prop::sample::select(vec![Permanent, NoArp, Reachable, Stale, Delay, Probe, Failed, None]);
    let mode = prop::sample::select(vec![SetMode::Add, SetMode::Change, SetMode::Replace]);
    prop_oneof![
        6 => who.clone().prop_map(Op::Send),
        4 => (who.clone(), who.clone(), how).prop_map(|(a, m, how)| Op::Hear(a, m, how)),
        4 => (0..40 * SEC).prop_map(Op::Pass),
        1 => who.clone().prop_map(Op::Confirm),
        1 => (who.clone(), who.clone(), state, mode).prop_map(|(a, m, s, mode)| Op::Set(a, m, s, mode)),
        1 => who.prop_map(Op::Delete),
        1 => any::<bool>().prop_map(Op::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens: every frame is accounted for, frames wait only for unresolved entries, every unresolved entry
    /// comes to an end, `resolve` agrees with the state, and two runs are equal.
    #[test]
    fn the_books_balance(ops in prop::collection::vec(op(), 1..60), tight in any::<bool>()) {
        let run = |ops: &[Op]| {
            let mut host = Host::new();
            if tight {
                (host.params.gc_thresh1, host.params.gc_thresh2, host.params.gc_thresh3) = (0, 1, 2);
                host.params.unres_qlen_bytes = 2000;
            }
            for op in ops {
                match op {
                    Op::Send(to) => host.send(*to),
                    Op::Hear(from, at, how) => host.hear(*from, *at, *how),
                    Op::Pass(span) => host.pass(*span),
                    Op::Confirm(of) => host.table.confirm(host.now, DEV, addr(*of)),
                    Op::Set(to, at, state, mode) => drop(host.set(*to, Some(mac(*at)), *state, *mode)),
                    Op::Delete(of) => {
                        let mut out = Vec::new();
                        let _ = host.table.delete(host.now, DEV, addr(*of), &mut out);
                        host.carry_out(out);
                    }
                    Op::Flush(keep) => {
                        let mut out = Vec::new();
                        host.table.flush_device(host.now, DEV, None, *keep, &mut out);
                        host.carry_out(out);
                    }
                }
                host.pool.ledger.check(host.table.queued() as u64).expect("the books balance");
                for info in host.table.iter(host.now) {
                    assert!(info.waiting == 0 || info.state == NeighState::Incomplete, "{info:?}");
                    let usable = host.table.resolve(host.now, DEV, info.addr);
                    match info.state {
                        NeighState::None | NeighState::Incomplete | NeighState::Failed | NeighState::Stale => {
                            assert_eq!(usable, None);
                        }
                        _ => assert_eq!(usable.map(|(mac, _)| mac), info.mac),
                    }
                }
            }
            host.pass(100 * SEC);
            let ended = |s| !matches!(s, NeighState::Incomplete | NeighState::Delay | NeighState::Probe);
            assert!(host.table.iter(host.now).all(|info| ended(info.state)));
            assert_eq!(host.table.queued(), 0);
            host.log()
        };
        prop_assert_eq!(run(&ops), run(&ops));
    }
}
