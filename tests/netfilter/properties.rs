//! What holds for any traffic.

use crate::router::*;
use netsim::{
    base::{SEC, Time, proto},
    netfilter::{Family, HookEnv, HookOut, NatAction, NatRule, Verdict},
    trace::{ConntrackChange, DropReason, HookPoint},
    wire::{
        IpHeader, icmp,
        ip::IpFields,
        tcp::{ACK, SYN},
    },
};
use proptest::prelude::*;
use std::net::IpAddr;

/// One step of random traffic between three clients and two servers, ports chosen to collide.
#[derive(Clone, Debug)]
enum Step {
    Out { client: u8, sport: u16, server: u8, dport: u16, protocol: u8 },
    In { server: u8, sport: u16, dport: u16, protocol: u8 },
    Own { sport: u16, server: u8, dport: u16, protocol: u8 },
    Wait(u16),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = || prop_oneof![Just(80u16), Just(500), Just(5000), 1023..1026u16];
    let protocol = || prop_oneof![Just(proto::UDP), Just(proto::TCP), Just(proto::ICMP)];
    let step = prop_oneof![
        8 => (1..4u8, port(), 10..12u8, port(), protocol())
            .prop_map(|(client, sport, server, dport, protocol)| Step::Out { client, sport, server, dport, protocol }),
        3 => (10..12u8, port(), port(), protocol())
            .prop_map(|(server, sport, dport, protocol)| Step::In { server, sport, dport, protocol }),
        3 => (port(), 10..12u8, port(), protocol())
            .prop_map(|(sport, server, dport, protocol)| Step::Own { sport, server, dport, protocol }),
        2 => (0..40u16).prop_map(Step::Wait),
        1 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 1..60)
}

fn opening(src: &str, sport: u16, dst: &str, dport: u16, protocol: u8) -> Vec<u8> {
    let (from, to) = (format!("{src}:{sport}"), format!("{dst}:{dport}"));
    match protocol {
        proto::UDP => udp_packet(&from, &to),
        proto::TCP => tcp_packet(&from, &to, SYN, 100, 0),
        _ => ping(src, dst, icmp::ECHO, sport),
    }
}

/// The first packet that comes back for `sent`.
fn answer(sent: &[u8]) -> Vec<u8> {
    let t = tuple(sent);
    let (from, to) = (format!("{}:{}", t.dst, t.dport), format!("{}:{}", t.src, t.sport));
    match t.proto {
        proto::UDP => udp_packet(&from, &to),
        proto::TCP => tcp_packet(&from, &to, SYN | ACK, 500, 101),
        _ => ping(&t.dst.to_string(), &t.src.to_string(), icmp::ECHO_REPLY, t.sport),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever traffic came before: what a client sends is answered to that client, at the port it sent from; no two
    /// entries share a tuple; the table keeps its bound; every checksum is right (asserted at every hook).
    #[test]
    fn translation_is_collision_free_and_reversible(steps in steps(), random in any::<bool>(), max in 3..40u32) {
        let mut r = Router::new().nat(on_wan(), NatAction::Masquerade { ports: None, random });
        r.nf.tunables_mut().max = max;
        for step in steps {
            let (sent, fate) = match step {
                Step::Out { client, sport, server, dport, protocol } => {
                    let b = opening(&format!("10.0.0.{client}"), sport, &format!("203.0.113.{server}"), dport, protocol);
                    let fate = r.receive(LAN, &b);
                    (b, fate)
                }
                Step::Own { sport, server, dport, protocol } => {
                    let b = opening("203.0.113.1", sport, &format!("203.0.113.{server}"), dport, protocol);
                    let fate = r.send(&b);
                    (b, fate)
                }
                Step::In { server, sport, dport, protocol } => {
                    let b = opening(&format!("203.0.113.{server}"), sport, "203.0.113.1", dport, protocol);
                    r.receive(WAN, &b);
                    continue;
                }
                Step::Wait(seconds) => {
                    r.now += seconds as Time * SEC;
                    continue;
                }
                Step::Flush => {
                    r.nf.flush(&mut HookOut::default());
                    continue;
                }
            };
            match fate {
                Fate::Forwarded(t) | Fate::Sent(t) => {
                    prop_assert_eq!(t.src, "203.0.113.1".parse::<IpAddr>().unwrap());
                    let wanted = tuple(&sent).inverse();
                    let back = answer(&r.last.clone());
                    let got = r.receive(WAN, &back);
                    let local = wanted.dst == t.src;
                    prop_assert_eq!(got, if local { Fate::Local(wanted) } else { Fate::Forwarded(wanted) });
                }
                Fate::Refused(Verdict::Drop(DropReason::ConntrackFull)) => prop_assert!(r.nf.count() as u32 >= max),
                other => prop_assert!(false, "{:?}", other),
            }
            prop_assert!(r.nf.count() as u32 <= max);
            let mut tuples = vec![];
            for e in r.nf.entries(r.now) {
                // ICMP requests of both directions share a tuple without type; they differ in the type.
                tuples.push((e.original(), e.icmp().map(|_| 8)));
                tuples.push((e.reply(), e.icmp().map(|_| 0)));
            }
            let n = tuples.len();
            tuples.sort_unstable();
            tuples.dedup();
            prop_assert_eq!(tuples.len(), n, "two entries share a tuple");
        }
        // Every entry that appeared has gone or is still there.
        let born = r.changes.iter().filter(|c| c.0 == ConntrackChange::New).count();
        prop_assert!(born >= r.nf.count());
    }

    /// No bytes behind a valid IP header upset the hooks.
    #[test]
    fn garbage_is_harmless(
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), Just(47), Just(58), any::<u8>()],
        l4 in prop::collection::vec(any::<u8>(), 0..90),
        six in any::<bool>(),
        quote in any::<bool>(),
    ) {
        let mut r = Router::masquerading();
        let six_rule = NatRule::new(on_wan(), NatAction::Masquerade { ports: None, random: false });
        r.nf.add_nat(NatRule { family: Family::Ip6, ..six_rule }).unwrap();
        let (src, dst) = if six { ("fd00::1", "2001:db8:9::9") } else { ("10.0.0.1", "8.8.8.8") };
        let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
        // Extension headers would have to be well-formed to reach the hooks.
        prop_assume!(!six || ![0, 43, 44, 60].contains(&protocol));
        let l4 = if quote {
            let quoted = IpFields { src: dst, dst: src, proto: protocol, ttl: 1, tos: 0, df: false, id: 0 };
            let mut inner = [vec![0; quoted.header_len()], l4].concat();
            quoted.write(&mut inner);
            [&[if six { 1 } else { 3 }, 1, 0, 0, 0, 0, 0, 0][..], &inner].concat()
        } else {
            l4
        };
        let outer = if quote { icmp::proto_of(src) } else { protocol };
        let fields = IpFields { src, dst, proto: outer, ttl: 64, tos: 0, df: false, id: 0 };
        let mut b = [vec![0; fields.header_len()], l4].concat();
        fields.write(&mut b);
        let (mut f, mut ip) = r.frame(&b);
        for (hook, devs) in [
            (HookPoint::Prerouting, [Some(LAN), None]),
            (HookPoint::Forward, [Some(LAN), Some(WAN)]),
            (HookPoint::Postrouting, [Some(LAN), Some(WAN)]),
        ] {
            let env = HookEnv { in_dev: devs[0], out_dev: devs[1], facts: &Facts };
            prop_assert_eq!(r.nf.hook(0, hook, &mut f, &mut ip, &env, &mut r.out), Verdict::Accept);
        }
        prop_assert_eq!(ip, IpHeader::parse(f.data()).unwrap());
        prop_assert!(r.nf.count() <= 1);
    }
}
