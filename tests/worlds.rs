//! Invariants of every run, over random worlds: hosts on several segments, a router with NAT between them, impairments,
//! and traffic to good and bad addresses.

mod lab;

use lab::{flaws, host, switch, udp_at, udp_sink};
use netsim::{
    base::{MS, NsId},
    device::bridge::FdbMode,
    link::{NetemConfig, QdiscConfig},
    netfilter::{Match, NatAction, NatRule},
    sim::{Limits, World},
};
use proptest::{collection::vec, prelude::*};
use std::net::{Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    /// Per host: its segment.
    hosts: Vec<u8>,
    segments: u8,
    nat: bool,
    mtu: u32,
    impaired: bool,
    /// Sender, receiver (host number, or beyond them an address nobody has), port (9 is served), size.
    traffic: Vec<(u8, u8, bool, u16)>,
}

fn plans() -> impl Strategy<Value = Plan> {
    (
        any::<u64>(),
        vec(any::<u8>(), 2..7),
        1u8..4,
        any::<bool>(),
        prop_oneof![Just(1500u32), Just(600), Just(1400)],
        any::<bool>(),
        vec((any::<u8>(), any::<u8>(), any::<bool>(), 0u16..3000), 1..16),
    )
        .prop_map(|(seed, hosts, segments, nat, mtu, impaired, traffic)| Plan {
            seed,
            hosts,
            segments,
            nat,
            mtu,
            impaired,
            traffic,
        })
}

fn build(plan: &Plan) -> (World, Vec<(NsId, Ipv4Addr)>) {
    let mut w = World::new(plan.seed);
    let router = w.add_namespace("router").expect("a fresh world");
    w.set_sysctl(router, "net.ipv4.ip_forward", "1").expect("a sysctl");
    let mut switches = Vec::new();
    for s in 0..plan.segments {
        let (ns, br) = switch(&mut w, &format!("sw{s}"), FdbMode::Namespace);
        let (dev, port) = w.add_veth((router, &format!("eth{s}")), (ns, "up")).expect("fresh names");
        w.set_master(port, br).expect("a port");
        w.add_address(dev, format!("10.0.{s}.254/24").parse().expect("a prefix"), None).expect("an address");
        if s == 0 {
            w.set_mtu(dev, plan.mtu).expect("an MTU");
        }
        switches.push((ns, br));
    }
    if plan.nat {
        let matches = Match { oif: Some("eth0".into()), ..Match::default() };
        let rule = NatRule::new(matches, NatAction::Masquerade { ports: None, random: false });
        w.netfilter_mut(router).add_nat(rule).expect("postrouting");
    }
    let mut hosts = Vec::new();
    for (i, s) in plan.hosts.iter().enumerate() {
        let s = s % plan.segments;
        let (sw, br) = switches[s as usize];
        let a = Ipv4Addr::new(10, 0, s, 1 + i as u8);
        let (ns, eth0, port) = host(&mut w, &format!("h{i}"), &format!("{a}/24"), (sw, &format!("p{i}")));
        w.set_master(port, br).expect("a port");
        w.exec_route(ns, &format!("default via 10.0.{s}.254")).expect("a route");
        if plan.impaired {
            let impaired = NetemConfig {
                delay: MS,
                jitter: MS,
                loss: netsim::link::Loss::Random { share: 50_000, correlation: 0 },
                duplicate: 50_000,
                corrupt: 0,
                ..NetemConfig::default()
            };
            w.set_qdisc(eth0, QdiscConfig::Netem(impaired));
        }
        udp_sink(&mut w, ns, 9);
        hosts.push((ns, a));
    }
    (w, hosts)
}

fn traffic(w: &mut World, plan: &Plan, hosts: &[(NsId, Ipv4Addr)]) {
    for (i, (from, to, served, size)) in plan.traffic.iter().enumerate() {
        let (ns, own) = hosts[*from as usize % hosts.len()];
        let to = match *to as usize % (hosts.len() + 3) {
            n if n < hosts.len() => hosts[n].1,
            n if n == hosts.len() => Ipv4Addr::LOCALHOST,
            n if n == hosts.len() + 1 => Ipv4Addr::new(192, 0, 2, 1),
            _ => Ipv4Addr::new(10, 0, own.octets()[2], 200),
        };
        let port = if *served { 9 } else { 7 };
        udp_at(w, i as u64 * 3 * MS, ns, SocketAddr::new(to.into(), port), *size as usize);
    }
}

fn run(plan: &Plan, watched: bool) -> (Option<u64>, Vec<String>) {
    let (mut w, hosts) = build(plan);
    w.core.tracer.enable_digest();
    let seen = watched.then(|| flaws(&mut w));
    traffic(&mut w, plan, &hosts);
    let end = w.run(&Limits { events: 200_000, ..Limits::default() }); // panics if the ledger does not balance
    assert!(!end.end.is_limit(), "{}", end.end);
    assert_eq!(end.in_flight, 0, "a network at rest holds no frame");
    let seen = seen.map(|s| s.lock().expect("the run is over").clone()).unwrap_or_default();
    (w.core.tracer.digest(), seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Invariants 1, 2, 3 and 5: every frame has one fate, equal runs have equal digests, nothing of one namespace shows
    /// at another's device, 127/8 stays inside, every checksum on every tap is right, NAT or not.
    #[test]
    fn every_run_keeps_the_books_and_sends_only_sound_frames(plan in plans()) {
        let (first, flaws) = run(&plan, true);
        prop_assert_eq!(flaws, Vec::<String>::new());
        prop_assert_eq!(first, run(&plan, false).0, "sinks must not change the run");
    }
}

/// The worlds above are worth something only if packets arrive, are translated, fragmented and dropped in them.
#[test]
fn the_random_worlds_are_alive() {
    use netsim::trace::{DropReason, Event};
    let plan = Plan {
        seed: 1,
        hosts: vec![0, 1, 1, 0],
        segments: 2,
        nat: true,
        mtu: 600,
        impaired: false,
        traffic: vec![(1, 0, true, 100), (1, 3, true, 2000), (2, 0, false, 10), (0, 5, true, 10), (3, 6, true, 10)],
    };
    let (mut w, hosts) = build(&plan);
    let seen = lab::Watch::on(&mut w, |seen: &mut Vec<&'static str>, _, r| {
        seen.push(match r.event {
            Event::Nat { .. } => "nat",
            Event::Delivered(netsim::trace::Delivery::Socket) => "delivered",
            Event::Delivered(netsim::trace::Delivery::Split) => "fragmented",
            Event::Delivered(netsim::trace::Delivery::Joined) => "reassembled",
            Event::Dropped(DropReason::NoSocket) => "no socket",
            Event::Dropped(DropReason::NeighFailed) => "no neighbour",
            Event::IcmpError { .. } => "icmp error",
            _ => return,
        });
    });
    traffic(&mut w, &plan, &hosts);
    w.run(&Limits::default());
    let seen = seen.lock().expect("the run is over");
    for what in ["nat", "delivered", "fragmented", "reassembled", "no socket", "no neighbour", "icmp error"] {
        assert!(seen.contains(&what), "nothing was {what}: {seen:?}");
    }
}

#[test]
fn a_bystander_changes_nobodys_draws() {
    let plan = Plan {
        seed: 5,
        hosts: vec![0, 0, 0],
        segments: 1,
        nat: false,
        mtu: 1500,
        impaired: true,
        traffic: (0..12).map(|i| (i % 2, (i + 1) % 2, true, 100)).collect(),
    };
    let frames = |extra: bool| {
        let (mut w, hosts) = build(&plan);
        if extra {
            w.add_namespace("bystander").expect("a fresh name");
        }
        let seen = lab::Watch::on(&mut w, |seen: &mut Vec<(u64, Vec<u8>)>, names, r| {
            if let (netsim::trace::Event::Frame { bytes, .. }, Some(dev)) = (r.event, r.dev)
                && names.ns(names.owner(dev)) == "h0"
            {
                seen.push((r.time, bytes.to_vec()));
            }
        });
        traffic(&mut w, &plan, &hosts);
        w.run(&Limits::default());
        seen.lock().expect("the run is over").clone()
    };
    let alone = frames(false);
    assert!(alone.len() > 10, "there was traffic to compare");
    assert_eq!(alone, frames(true));
}
