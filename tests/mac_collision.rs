//! Two namespaces with one MAC address: what a bridge that knows namespaces guarantees, and what one that does not
//! gets wrong (case bridge-mac-collision).

mod lab;

use lab::{Watch, host, switch, udp_at, udp_sink};
use netsim::{
    base::{MS, Mac, NsId},
    device::bridge::FdbMode,
    sim::{Limits, World},
    trace::{Delivery, DropReason, Event, FdbChange},
    wire::eth,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use std::net::{Ipv4Addr, SocketAddr};

/// Hosts on two bridges that are joined by a cable, their MACs from a small stock, and who sends to whom.
#[derive(Clone, Debug)]
struct Plan {
    /// Per host: which bridge, which MAC.
    hosts: Vec<(bool, u8)>,
    /// Sender and receiver by number, one after the other; numbers no host has send nothing.
    traffic: Vec<(u8, u8)>,
}

fn plans() -> impl Strategy<Value = Plan> {
    (vec((any::<bool>(), 0u8..3), 2..7), vec((0u8..7, 0u8..7), 1..12))
        .prop_map(|(hosts, traffic)| Plan { hosts, traffic })
}

fn addr(i: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 1 + i as u8)
}

/// Datagrams that reached the stack of a namespace they were not meant for.
fn wrong_deliveries(plan: &Plan, fdb: FdbMode) -> Vec<String> {
    let mut w = World::new(3);
    let (s0, b0) = switch(&mut w, "s0", fdb);
    let (s1, b1) = switch(&mut w, "s1", fdb);
    let (t0, t1) = w.add_veth((s0, "trunk"), (s1, "trunk")).expect("fresh names");
    w.set_master(t0, b0).expect("a port");
    w.set_master(t1, b1).expect("a port");
    let mut hosts: Vec<NsId> = Vec::new();
    for (i, (second, mac)) in plan.hosts.iter().enumerate() {
        let (sw, br) = if *second { (s1, b1) } else { (s0, b0) };
        let (ns, eth0, port) = host(&mut w, &format!("h{i}"), &format!("{}/24", addr(i)), (sw, &format!("p{i}")));
        w.set_mac(eth0, Mac([2, 0, 0, 0, 0, 10 + mac])).expect("a station's address");
        w.set_master(port, br).expect("a port");
        udp_sink(&mut w, ns, 9);
        hosts.push(ns);
    }
    let wrong = Watch::on(&mut w, |wrong: &mut Vec<String>, names, r| {
        // A unicast IPv4 frame that arrives at a host and carries that host's MAC is taken by its stack.
        let (Event::Frame { dir: netsim::trace::Direction::In, bytes }, Some(dev)) = (r.event, r.dev) else { return };
        if names.dev(dev) != "eth0" || bytes[12..14] != [8, 0] || bytes[0] & 1 == 1 {
            return;
        }
        let mine: usize = names.ns(r.ns)[1..].parse().expect("hosts are numbered");
        let to = Ipv4Addr::new(bytes[30], bytes[31], bytes[32], bytes[33]);
        if to != addr(mine) {
            wrong.push(format!("{} got a packet for {to} sent to {}", names.ns(r.ns), eth::dst(bytes)));
        }
    });
    for (i, (from, to)) in plan.traffic.iter().enumerate() {
        let (from, to) = (*from as usize, *to as usize);
        if from >= hosts.len() || to >= hosts.len() {
            continue;
        }
        let peer = SocketAddr::new(addr(to).into(), 9);
        udp_at(&mut w, i as u64 * 10 * MS, hosts[from], peer, 8);
    }
    w.run(&Limits::default());
    wrong.lock().expect("the run is over").clone()
}

proptest! {
    #![proptest_config(Config::with_cases(96))]

    /// Invariant 4: a unicast frame reaches no namespace but the one its sender resolved, for any assignment of MACs.
    #[test]
    fn the_aware_bridge_never_delivers_to_another_namespace(plan in plans()) {
        prop_assert_eq!(wrong_deliveries(&plan, FdbMode::Namespace), Vec::<String>::new());
    }
}

/// The same search against the unaware bridge finds a counterexample and shrinks it to the essential: two hosts
/// that share a MAC, somebody who talks to one of them, and at most one more to be talked to.
#[test]
fn the_unaware_bridge_delivers_to_the_wrong_namespace() {
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let found = TestRunner::new_with_rng(config, rng).run(&plans(), |plan| {
        let wrong = wrong_deliveries(&plan, FdbMode::Mac);
        prop_assert!(wrong.is_empty(), "{}", wrong[0]);
        Ok(())
    });
    let Err(TestError::Fail(why, least)) = found else { panic!("no counterexample found: {found:?}") };
    assert!(why.message().contains("got a packet for"), "{why}");
    let macs: Vec<u8> = least.hosts.iter().map(|h| h.1).collect();
    let shared = macs.iter().any(|m| macs.iter().filter(|x| *x == m).count() == 2);
    assert!(least.hosts.len() <= 4 && shared && least.traffic.len() <= 3, "shrunk to {least:?}");
}

/// The world of case bridge-mac-collision: h1 and h2 carry one MAC; h3 talks to h1 after h2 was the last to speak.
fn collision(fdb: FdbMode) -> (World, [NsId; 3]) {
    let mut w = World::new(1);
    let (sw, br) = switch(&mut w, "sw", fdb);
    let hosts = ["h1", "h2", "h3"].map(|name| {
        let n = &name[1..];
        let (ns, eth0, port) = host(&mut w, name, &format!("10.0.0.{n}/24"), (sw, &format!("p{n}")));
        if name != "h3" {
            w.set_mac(eth0, "02:00:00:00:00:99".parse().expect("a MAC")).expect("a station's address");
        }
        w.set_master(port, br).expect("a port");
        udp_sink(&mut w, ns, 9);
        ns
    });
    (w, hosts)
}

#[test]
fn frames_follow_the_last_sender_on_the_unaware_bridge() {
    let (mut w, [_, h2, h3]) = collision(FdbMode::Mac);
    let to = |n: u8| SocketAddr::new(Ipv4Addr::new(10, 0, 0, n).into(), 9);
    udp_at(&mut w, 0, h3, to(1), 8);
    udp_at(&mut w, 10 * MS, h2, to(3), 8);
    udp_at(&mut w, 20 * MS, h3, to(1), 8);
    w.run(&Limits::default());
    // The third datagram went to h2, whose stack saw an address that is not its own.
    assert_eq!(w.core.pool.ledger.dropped(DropReason::IpInAddrErrors), 1);
}

#[test]
fn the_aware_bridge_tells_them_apart_and_reports_the_collision() {
    let (mut w, [h1, h2, h3]) = collision(FdbMode::Namespace);
    let collisions = Watch::on(&mut w, |seen: &mut Vec<(String, String)>, names, r| {
        if let Event::Fdb { change: FdbChange::Collision { first, second }, .. } = r.event {
            seen.push((names.ns(first).into(), names.ns(second).into()));
        }
    });
    let delivered = Watch::on(&mut w, |n: &mut u32, _, r| {
        *n += (r.event == Event::Delivered(Delivery::Socket)) as u32;
    });
    let to = |n: u8| SocketAddr::new(Ipv4Addr::new(10, 0, 0, n).into(), 9);
    udp_at(&mut w, 0, h3, to(1), 8);
    udp_at(&mut w, 10 * MS, h2, to(3), 8);
    udp_at(&mut w, 20 * MS, h3, to(1), 8);
    // On a kernel these two cannot even resolve each other (case bridge-mac-collision).
    udp_at(&mut w, 30 * MS, h1, to(2), 8);
    w.run(&Limits::default());
    assert_eq!(*delivered.lock().expect("the run is over"), 4, "every datagram reached a socket");
    let only_broadcasts = w.core.pool.ledger.dropped(DropReason::ArpIgnored);
    assert_eq!(w.core.pool.ledger.dropped_total(), only_broadcasts, "what is dropped is ARP for others");
    assert_eq!(*collisions.lock().expect("the run is over"), [("h1".to_string(), "h2".to_string())]);
}
