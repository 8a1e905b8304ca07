//! Look-ups in the routing tables: against a linear scan, and as the kernel does special cases.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netsim::{
    base::{DevId, Prefix},
    route::{
        AddMode, Family, Fib, FlowKey, LookupError, NextHop, Route, RouteSelector, RouteType, Rule, RuleAction,
        RuleSelector, parse_route, parse_rule, table,
    },
};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["lo", "eth0", "eth1", "eth2"];

fn dev(name: &str) -> Option<DevId> {
    NAMES.iter().position(|n| *n == name).map(|n| DevId(n as u32 + 1))
}

fn addr(text: &str) -> IpAddr {
    text.parse().expect("a test writes valid addresses")
}

fn fib(routes: &[&str]) -> Fib {
    let mut fib = Fib::default();
    fib.set_loopback(DevId(1));
    for words in routes {
        let route = parse_route(words).and_then(|spec| spec.resolve(&dev)).unwrap_or_else(|e| panic!("{words}: {e}"));
        fib.add(route, AddMode::Append).unwrap_or_else(|e| panic!("{words}: {e}"));
    }
    fib
}

fn rule(fib: &mut Fib, words: &str) {
    let spec = parse_rule(words, false).unwrap();
    let priority = fib.default_priority(spec.family);
    fib.add_rule(spec.resolve(&dev, priority).unwrap()).unwrap();
}

/// The gateway or the device a packet goes to, or why it goes nowhere.
fn way(fib: &Fib, key: FlowKey) -> Result<String, LookupError> {
    let found = fib.lookup(&key, false)?;
    let device = found.hop.dev.map_or("-", |d| NAMES[d.index() - 1]);
    Ok(found.hop.via.map_or(device.into(), |via| via.to_string()))
}

fn to(fib: &Fib, dst: &str) -> Result<String, LookupError> {
    way(fib, FlowKey::to(addr(dst)))
}

#[test]
fn the_longest_prefix_wins_over_metric_and_order() {
    // case lpm
    let fib = fib(&[
        "default via 10.0.0.250 dev eth0",
        "172.16.0.0/12 via 10.0.0.251 dev eth0 metric 1",
        "172.16.5.0/24 via 10.0.0.252 dev eth0 metric 500",
        "172.16.5.7/32 via 10.0.0.253 dev eth0 metric 900",
    ]);
    for (dst, via) in [
        ("8.8.8.8", "10.0.0.250"),
        ("172.31.255.255", "10.0.0.251"),
        ("172.16.5.6", "10.0.0.252"),
        ("172.16.5.7", "10.0.0.253"),
    ] {
        assert_eq!(to(&fib, dst).unwrap(), via, "{dst}");
    }
}

#[test]
fn type_of_service_then_metric() {
    let fib =
        fib(&["10.0.0.0/8 dev eth0 metric 5", "10.0.0.0/8 dev eth1 metric 2", "10.0.0.0/8 dev eth2 tos 0x10 metric 9"]);
    let key = FlowKey::to(addr("10.1.1.1"));
    assert_eq!(way(&fib, key).unwrap(), "eth1");
    assert_eq!(way(&fib, FlowKey { tos: 0x10, ..key }).unwrap(), "eth2");
    // The precedence bits do not count.
    assert_eq!(way(&fib, FlowKey { tos: 0xf0, ..key }).unwrap(), "eth2");
}

#[test]
fn special_routes() {
    // cases special-route-types-local, rule-iif-prohibit-suppress
    let mut fib = fib(&[
        "default via 10.0.1.2 dev eth1",
        "blackhole 172.16.0.0/24",
        "unreachable 172.16.1.0/24",
        "prohibit 172.16.2.0/24",
        "throw 172.16.3.0/24",
        "172.16.3.0/24 dev eth2 table default",
    ]);
    assert_eq!(to(&fib, "172.16.0.1"), Err(LookupError::Blackhole));
    assert_eq!(to(&fib, "172.16.1.1"), Err(LookupError::Unreachable));
    assert_eq!(to(&fib, "172.16.2.1"), Err(LookupError::Prohibit));
    assert_eq!(to(&fib, "172.16.3.1").unwrap(), "eth2", "thrown to the next rule");
    let errnos = [LookupError::NoRoute, LookupError::Unreachable, LookupError::Prohibit, LookupError::Blackhole];
    assert_eq!(errnos.map(|e| e.errno().name()), ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL"]);
    rule(&mut fib, "to 9.9.9.9 unreachable pref 10");
    rule(&mut fib, "to 9.9.9.8 prohibit pref 10");
    rule(&mut fib, "to 9.9.9.7 blackhole pref 10");
    assert_eq!(to(&fib, "9.9.9.9"), Err(LookupError::NoRoute), "a rule says ENETUNREACH");
    assert_eq!(to(&fib, "9.9.9.8"), Err(LookupError::Prohibit));
    assert_eq!(to(&fib, "9.9.9.7"), Err(LookupError::Blackhole));
    assert_eq!(to(&fib, "172.16.3.1").unwrap(), "eth2", "thrown with own rules, too");
}

#[test]
fn rules_choose_the_table() {
    // cases rule-from, rule-iif-prohibit-suppress
    let mut fib = fib(&[
        "default via 10.1.0.2 dev eth1",
        "10.0.0.0/24 dev eth0",
        "8.8.0.0/16 via 10.2.0.2 dev eth2 table 100",
        "throw 8.8.8.9 table 100",
    ]);
    rule(&mut fib, "iif eth0 to 8.8.8.8/29 lookup 100 pref 900");
    rule(&mut fib, "from 10.0.0.1 to 9.9.9.0/24 prohibit pref 800");
    rule(&mut fib, "from all lookup main suppress_prefixlength 0 pref 700");
    let from = |src: &str, dst: &str| FlowKey { src: Some(addr(src)), iif: dev("eth0"), ..FlowKey::to(addr(dst)) };
    assert_eq!(to(&fib, "8.8.8.8").unwrap(), "10.1.0.2");
    assert_eq!(way(&fib, from("10.0.0.1", "8.8.8.8")).unwrap(), "10.2.0.2");
    assert_eq!(way(&fib, from("10.0.0.1", "8.8.8.9")).unwrap(), "10.1.0.2", "throw");
    assert_eq!(way(&fib, from("10.0.0.1", "7.7.7.7")).unwrap(), "10.1.0.2");
    assert_eq!(way(&fib, from("10.0.0.1", "9.9.9.9")), Err(LookupError::Prohibit));
    assert_eq!(way(&fib, from("10.0.0.2", "9.9.9.9")).unwrap(), "10.1.0.2");
    assert_eq!(way(&fib, from("10.0.0.1", "10.0.0.77")).unwrap(), "eth0", "not suppressed");
    // No source yet is 0.0.0.0, which no longer prefix contains.
    assert_eq!(to(&fib, "9.9.9.9").unwrap(), "10.1.0.2");
}

#[test]
fn rules_by_mark_device_and_exclusion() {
    let mut fib =
        fib(&["default dev eth0", "default dev eth1 table 1", "default dev eth2 table 2", "default dev lo table 3"]);
    rule(&mut fib, "fwmark 0x2/0xf lookup 1 pref 1");
    rule(&mut fib, "iif lo to 5.0.0.0/8 lookup 2 pref 2");
    rule(&mut fib, "not from 10.0.0.0/8 to 6.0.0.0/8 lookup 3 pref 3");
    let key = FlowKey { src: Some(addr("10.1.1.1")), ..FlowKey::to(addr("6.6.6.6")) };
    assert_eq!(way(&fib, FlowKey { mark: 0x12, ..key }).unwrap(), "eth1");
    assert_eq!(way(&fib, FlowKey { mark: 0x13, ..key }).unwrap(), "eth0");
    assert_eq!(to(&fib, "5.5.5.5").unwrap(), "eth2", "locally generated packets come from lo");
    assert_eq!(
        way(&fib, FlowKey { iif: dev("eth1"), ..FlowKey::to(addr("5.5.5.5")) }).unwrap(),
        "lo",
        "not from 10/8 to 6/8"
    );
    assert_eq!(way(&fib, key).unwrap(), "eth0");
    let gone = fib.delete_rule(Family::V4, &RuleSelector { priority: Some(1), ..RuleSelector::default() }).unwrap();
    assert_eq!(gone.fwmark, Some((2, 15)));
    assert_eq!(way(&fib, FlowKey { mark: 0x12, ..key }).unwrap(), "eth0");
}

/// Seen on 6.18: without own rules local and main are one trie, once a rule was added they stay apart.
#[test]
fn local_and_main_are_merged_until_a_rule_is_added() {
    let mut fib = fib(&["local 50.0.0.0/8 dev lo", "50.1.0.0/16 via 10.0.0.254 dev eth0"]);
    assert_eq!(to(&fib, "50.1.0.1").unwrap(), "10.0.0.254");
    assert_eq!(to(&fib, "50.2.0.1").unwrap(), "lo");
    rule(&mut fib, "from 9.9.9.9 lookup 100");
    assert_eq!(to(&fib, "50.1.0.1").unwrap(), "lo");
    fib.delete_rule(Family::V4, &RuleSelector { from: Some(Prefix::host(addr("9.9.9.9"))), ..Default::default() })
        .unwrap();
    assert_eq!(to(&fib, "50.1.0.1").unwrap(), "lo");
    assert_eq!(fib.rules(Family::V4).len(), 3);
}

#[test]
fn unusable_hops_are_passed_over() {
    let mut fib = fib(&[
        "10.0.0.0/8 dev eth0",
        "10.1.0.0/16 dev eth1",
        "10.2.0.0/16 nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.0.2 dev eth1",
    ]);
    let bound = |name: &str, dst: &str| FlowKey { oif: dev(name), ..FlowKey::to(addr(dst)) };
    assert_eq!(way(&fib, bound("eth0", "10.1.1.1")).unwrap(), "eth0", "a shorter prefix of the bound device");
    assert_eq!(way(&fib, bound("eth1", "10.2.1.1")).unwrap(), "10.0.0.2");
    assert_eq!(way(&fib, bound("eth2", "10.1.1.1")), Err(LookupError::NoRoute));
    fib.set_linkdown(DevId(3), true);
    assert_eq!(to(&fib, "10.1.1.1").unwrap(), "eth1", "linkdown is used (case link-peer-down)");
    let skipped = fib.lookup(&FlowKey::to(addr("10.1.1.1")), true).unwrap();
    assert_eq!(skipped.hop.dev, dev("eth0"));
    // case ecmp-l4: a dead hop is skipped whatever the hash.
    assert_eq!(fib.device_down(DevId(3)).len(), 1);
    for hash in [0, u32::MAX / 4, u32::MAX / 2, u32::MAX] {
        assert_eq!(way(&fib, FlowKey { hash, ..FlowKey::to(addr("10.2.0.1")) }).unwrap(), "10.0.0.1");
    }
    fib.device_up(DevId(3), true);
    assert_eq!(way(&fib, FlowKey { hash: u32::MAX / 2, ..FlowKey::to(addr("10.2.0.1")) }).unwrap(), "10.0.0.2");
}

#[test]
fn multipath_follows_the_hash_threshold() {
    let fib = fib(&["10.0.0.0/8 nexthop via 1.0.0.1 dev eth0 weight 3 nexthop via 1.0.0.2 dev eth1"]);
    let third = |hash| way(&fib, FlowKey { hash, ..FlowKey::to(addr("10.0.0.1")) }).unwrap();
    // The upper bound of the first is 3/4 of 2^31, less one.
    let bound = (3u32 << 29) - 1;
    assert_eq!((third(0), third(bound)), ("1.0.0.1".into(), "1.0.0.1".into()));
    assert_eq!((third(bound + 1), third((1 << 31) - 1)), ("1.0.0.2".into(), "1.0.0.2".into()));
    assert!(fib.has_multipath());
}

/// A route of a random test: the rest is made from its position.
fn arb_prefix(v6: bool) -> impl Strategy<Value = Prefix> {
    // Few distinct bits, so that prefixes nest and repeat.
    (any::<u8>(), any::<u8>(), 0..=if v6 { 128u8 } else { 32 }).prop_map(move |(a, b, len)| {
        let addr: IpAddr = if v6 {
            Ipv6Addr::from((u128::from(a & 0x83) << 120) | (u128::from(b) << 64) | u128::from(a)).into()
        } else {
            Ipv4Addr::from((u32::from(a & 0x83) << 24) | (u32::from(b & 0xc1) << 12) | u32::from(a)).into()
        };
        Prefix::new(addr, len).expect("the length fits").network()
    })
}

#[derive(Clone, Debug)]
enum Op {
    Add(Prefix, u32, bool),
    Delete(prop::sample::Index),
    Lose(u32),
    Find(Prefix),
}

fn arb_ops(v6: bool) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (arb_prefix(v6), 0..3u32, any::<bool>()).prop_map(|(p, m, front)| Op::Add(p, m, front)),
        2 => any::<prop::sample::Index>().prop_map(Op::Delete),
        1 => (2..40u32).prop_map(Op::Lose),
        4 => arb_prefix(v6).prop_map(Op::Find),
    ];
    prop::collection::vec(op, 1..150)
}

/// The first of the best, by walking over all routes: prefix length, then metric, then order.
fn scan(twin: &[(Prefix, u32, DevId)], dst: IpAddr) -> Option<DevId> {
    let matching = twin.iter().filter(|r| r.0.contains(dst));
    matching.min_by_key(|r| (std::cmp::Reverse(r.0.len()), r.1)).map(|r| r.2)
}

fn equals_a_scan(ops: Vec<Op>, v6: bool) -> Result<(), TestCaseError> {
    let mut fib = Fib::default();
    let family = if v6 { Family::V6 } else { Family::V4 };
    let mut twin: Vec<(Prefix, u32, DevId)> = Vec::new();
    for (n, op) in ops.into_iter().enumerate() {
        let before = fib.version();
        match op {
            Op::Add(dst, metric, front) => {
                // Every route has a device of its own to tell it by.
                let hop = NextHop::dev(DevId(n as u32 + 2));
                let route = Route::new(dst, RouteType::Unicast, hop).with_metric(metric);
                let mode = if front && !v6 { AddMode::Prepend } else { AddMode::Append };
                prop_assert_eq!(fib.add(route, mode), Ok(()));
                let entry = (dst, metric, DevId(n as u32 + 2));
                if mode == AddMode::Prepend { twin.insert(0, entry) } else { twin.push(entry) }
            }
            Op::Delete(which) if !twin.is_empty() => {
                let (dst, metric, _) = twin[which.index(twin.len())];
                let first = twin.iter().position(|r| (r.0, r.1) == (dst, metric)).expect("it was taken from there");
                // Metric 0 means any: the lowest goes first.
                let lowest = twin.iter().filter(|r| r.0 == dst).map(|r| r.1).min();
                let first = match metric {
                    0 => twin.iter().position(|r| r.0 == dst && Some(r.1) == lowest).expect("there is one"),
                    _ => first,
                };
                let gone = fib.delete(&RouteSelector { metric: Some(metric), ..RouteSelector::new(dst) }).unwrap();
                prop_assert!(gone.uses(twin.remove(first).2));
            }
            Op::Lose(dev) => {
                let gone = fib.remove_device_routes(DevId(dev));
                prop_assert_eq!(gone.len(), twin.iter().filter(|r| r.2 == DevId(dev)).count());
                twin.retain(|r| r.2 != DevId(dev));
            }
            Op::Find(prefix) => {
                let found = fib.lookup(&FlowKey::to(prefix.addr()), false).ok().and_then(|l| l.hop.dev);
                prop_assert_eq!(found, scan(&twin, prefix.addr()));
                prop_assert_eq!(fib.version(), before);
                continue;
            }
            Op::Delete(_) => continue,
        }
        prop_assert!(fib.version() > before);
        prop_assert_eq!(fib.len(), twin.len());
    }
    // The listing is complete and in the documented order.
    let listed: Vec<&Route> = fib.routes(family, table::MAIN).collect();
    prop_assert_eq!(listed.len(), twin.len());
    for pair in listed.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if a.dst == b.dst {
            prop_assert!(a.metric <= b.metric);
        } else if v6 {
            prop_assert!(b.dst.contains(a.dst.addr()) && a.dst.len() > b.dst.len() || a.dst.addr() < b.dst.addr());
        } else {
            prop_assert!((a.dst.addr(), b.dst.len()) < (b.dst.addr(), a.dst.len()));
        }
    }
    for route in &twin {
        let found = fib.lookup(&FlowKey::to(route.0.addr()), false).ok().and_then(|l| l.hop.dev);
        prop_assert_eq!(found, scan(&twin, route.0.addr()));
    }
    Ok(())
}

proptest! {
    /// Invariant 7 of the design: FIB = linear scan, with lists and tries, while they turn into each other.
    #[test]
    fn ipv4_equals_a_scan(ops in arb_ops(false)) {
        equals_a_scan(ops, false)?;
    }

    #[test]
    fn ipv6_equals_a_scan(ops in arb_ops(true)) {
        equals_a_scan(ops, true)?;
    }
}

#[test]
fn rules_have_a_limit() {
    let mut fib = Fib::default();
    let mut rules = 0;
    let refused = loop {
        match fib.add_rule(Rule::new(Family::V6, rules, RuleAction::Table(7))) {
            Ok(()) => rules += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused, fib.rules(Family::V6).len()), (netsim::route::RouteError::Full, Fib::MAX_RULES));
}
