//! Invariant 8: a TCP stream arrives intact under loss, duplication, reordering and corruption, NAT in between or not.

mod lab;

use lab::host;
use netsim::{
    app::{Outcome, TcpClient, TcpClientConfig, TcpPayload, TcpServer, TcpServerConfig, TcpServerMode},
    base::{MS, SEC},
    link::{Loss, NetemConfig, QdiscConfig},
    netfilter::{Match, NatAction, NatRule},
    sim::{Limits, World},
};
use proptest::prelude::*;
use std::net::SocketAddr;

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    bytes: u64,
    nat: bool,
    mtu: u32,
    loss: u32,
    duplicate: u32,
    corrupt: u32,
    jitter: u64,
}

fn plans() -> impl Strategy<Value = Plan> {
    let ppm = |most: u32| prop_oneof![Just(0), 0..most];
    (any::<u64>(), 0u64..60_000, any::<bool>(), 600u32..1500, ppm(60_000), ppm(60_000), ppm(60_000), 0..3 * MS)
        .prop_map(|(seed, bytes, nat, mtu, loss, duplicate, corrupt, jitter)| Plan {
            seed,
            bytes,
            nat,
            mtu,
            loss,
            duplicate,
            corrupt,
            jitter,
        })
}

fn run(plan: &Plan) -> (Outcome, Outcome) {
    let mut w = World::new(plan.seed);
    let router = w.add_namespace("router").expect("a fresh world");
    w.set_sysctl(router, "net.ipv4.ip_forward", "1").expect("a sysctl");
    let (client, c, lan) = host(&mut w, "client", "10.0.0.2/24", (router, "lan"));
    let (server, s, wan) = host(&mut w, "server", "192.0.2.2/24", (router, "wan"));
    w.add_address(lan, "10.0.0.1/24".parse().expect("a prefix"), None).expect("an address");
    w.add_address(wan, "192.0.2.1/24".parse().expect("a prefix"), None).expect("an address");
    w.set_mtu(wan, plan.mtu).expect("an MTU"); // the path is narrower than the client's link: path MTU discovery
    w.exec_route(client, "default via 10.0.0.1").expect("a route");
    w.exec_route(server, "default via 192.0.2.1").expect("a route");
    if plan.nat {
        let matches = Match { oif: Some("wan".into()), ..Match::default() };
        let rule = NatRule::new(matches, NatAction::Masquerade { ports: None, random: false });
        w.netfilter_mut(router).add_nat(rule).expect("postrouting");
    }
    for dev in [c, s] {
        let netem = NetemConfig {
            delay: 5 * MS,
            jitter: plan.jitter,
            loss: Loss::Random { share: plan.loss, correlation: 0 },
            duplicate: plan.duplicate,
            corrupt: plan.corrupt,
            ..NetemConfig::default()
        };
        w.set_qdisc(dev, QdiscConfig::Netem(netem));
    }
    let at = SocketAddr::new(lab::ip("192.0.2.2"), 5001);
    let sink = TcpServerConfig { bind: at, mode: TcpServerMode::Sink, ..TcpServerConfig::default() };
    let sink = w.spawn(server, 0, Box::new(TcpServer::new(sink)));
    let send = TcpPayload::Pattern { bytes: plan.bytes, seed: plan.seed };
    let client = w.spawn(client, 0, Box::new(TcpClient::new(TcpClientConfig { send, ..TcpClientConfig::to(at) })));
    w.run(&Limits { time: 4000 * SEC, ..Limits::default() });
    (w.app(client).outcome, w.app(sink).outcome)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_stream_arrives_intact_over_any_link(plan in plans()) {
        let (client, server) = run(&plan);
        let Outcome::Tcp { complete, sent, sent_digest, error, .. } = client else { panic!("a TCP client") };
        let Outcome::Server { streams, .. } = server else { panic!("a server") };
        // A link this bad may defeat a connection; it must not pass a wrong byte off as a right one.
        prop_assert!(complete || error.is_some(), "neither complete nor failed");
        if complete {
            prop_assert_eq!(sent, plan.bytes);
            prop_assert_eq!((streams[0].bytes, streams[0].digest), (plan.bytes, sent_digest));
        }
        if plan.loss + plan.corrupt == 0 {
            prop_assert!(complete, "a link without loss carries everything: {error:?}");
        }
    }
}
