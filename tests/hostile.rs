//! Invariant 9: nothing that arrives on a wire panics, hangs or upsets the books.

mod lab;

use lab::{host, switch, udp_sink};
use netsim::{
    base::{DevId, MS, Mac},
    device::bridge::FdbMode,
    netfilter::{Match, NatAction, NatRule},
    sim::{Limits, World},
    socket::{Family, SockKind},
    wire::dissect::build,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::net::SocketAddr;

/// A client on a bridge, a NAT router with rules, a server with UDP, TCP and raw sockets.
fn world() -> (World, DevId) {
    let mut w = World::new(9);
    let router = w.add_namespace("router").expect("a fresh world");
    w.set_sysctl(router, "net.ipv4.ip_forward", "1").expect("a sysctl");
    let (sw, br) = switch(&mut w, "sw", FdbMode::Namespace);
    let (lan, up) = w.add_veth((router, "lan"), (sw, "up")).expect("fresh names");
    w.set_master(up, br).expect("a port");
    w.add_address(lan, "10.0.0.254/24".parse().expect("a prefix"), None).expect("an address");
    w.set_mac(lan, Mac([2, 0, 0, 0, 0, 0xfe])).expect("a MAC");
    let (client, eth0, port) = host(&mut w, "client", "10.0.0.1/24", (sw, "p0"));
    w.set_master(port, br).expect("a port");
    w.exec_route(client, "default via 10.0.0.254").expect("a route");
    let (server, _, wan) = host(&mut w, "server", "192.0.2.2/24", (router, "wan"));
    w.add_address(wan, "192.0.2.1/24".parse().expect("a prefix"), None).expect("an address");
    let matches = Match { oif: Some("wan".into()), ..Match::default() };
    let rule = NatRule::new(matches, NatAction::Masquerade { ports: None, random: false });
    w.netfilter_mut(router).add_nat(rule).expect("postrouting");
    udp_sink(&mut w, server, 9);
    let tcp = w.socket(server, Family::V4, SockKind::Tcp, None).expect("a socket");
    w.bind(tcp, SocketAddr::new(lab::ip("0.0.0.0"), 80)).expect("a free port");
    w.listen(tcp, 4).expect("a bound socket");
    w.socket(server, Family::V4, SockKind::Raw(47), None).expect("a socket");
    (w, eth0)
}

/// Sound frames towards the router and beyond, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let (client, server, router) = (lab::ip("10.0.0.1"), lab::ip("192.0.2.2"), lab::ip("10.0.0.254"));
    let me = Mac([2, 0, 0, 0, 0, 1]);
    let to = Mac([2, 0, 0, 0, 0, 0xfe]);
    let packets = [
        build::ip(client, server).udp(5000, 9, b"hello"),
        build::ip(client, router).udp(5000, 7, b"closed"),
        build::ip(client, server).echo(7, 1, b"abcdefgh"),
        build::ip(client, server).tcp_syn(5001, 80, 1000, 1460),
        build::ip(client, server).ttl(1).echo(7, 2, b"abcdefgh"),
        build::ip(client, server).raw(47, b"tunnelled"),
        build::ip(client, server).raw(99, b"unknown"),
    ];
    let mut frames: Vec<_> = packets.iter().map(|p| build::ethernet(to, me, p)).collect();
    frames.push(build::arp_request(
        me,
        "10.0.0.1".parse().expect("an address"),
        "10.0.0.254".parse().expect("an address"),
    ));
    frames
}

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Cut(Index),
    Insert(Index, u8),
    Noise(Vec<u8>),
}

fn damage() -> impl Strategy<Value = (Index, Vec<Damage>)> {
    let one = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(i, b)| Damage::Insert(i, b)),
        1 => vec(any::<u8>(), 0..200).prop_map(Damage::Noise),
    ];
    (any::<Index>(), vec(one, 0..4))
}

fn damaged(seeds: &[Vec<u8>], which: &Index, damages: &[Damage]) -> Vec<u8> {
    let mut frame = which.get(seeds).clone();
    for d in damages {
        match d {
            Damage::Set(i, b) if !frame.is_empty() => *i.get_mut(&mut frame) = *b,
            Damage::Cut(i) if !frame.is_empty() => frame.truncate(i.index(frame.len())),
            Damage::Insert(i, b) => frame.insert(i.index(frame.len() + 1), *b),
            Damage::Noise(bytes) => frame.extend_from_slice(bytes),
            Damage::Set(..) | Damage::Cut(_) => {}
        }
    }
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn damaged_frames_harm_nobody(frames in vec(damage(), 1..24)) {
        let (mut w, dev) = world();
        let seeds = seeds();
        for (i, (which, damages)) in frames.iter().enumerate() {
            let frame = damaged(&seeds, which, damages);
            // A frame without a whole Ethernet header is refused before it exists.
            let _ = w.inject(dev, &frame);
            w.run(&Limits { until: Some((i as u64 + 1) * MS), ..Limits::default() });
        }
        let end = w.run(&Limits { events: 100_000, ..Limits::default() });
        prop_assert!(!end.end.is_limit(), "{}", end.end);
        prop_assert_eq!(end.in_flight, 0);
    }
}
