//! Filter chains, their place among conntrack and NAT, and what is tracked at all.

use crate::router::*;
use netsim::{
    base::{SEC, proto},
    netfilter::{Action, Chain, CtStates, HookOut, Match, NatAction, Policy, RejectWith, Rule, Verdict, attach},
    trace::{DropReason, HookPoint},
    wire::{
        CtInfo, checksum, put16,
        tcp::{ACK, FIN, RST, SYN},
    },
};

/// Case filter-stateful: connections work outward only, errors about them pass.
#[test]
fn a_stateful_filter() {
    let known = Match { ct_state: Some(CtStates::ESTABLISHED | CtStates::RELATED), ..Match::default() };
    let from_lan = Match { iif: Some("lan".into()), ..Match::default() };
    let rules = vec![Rule::new(known, Action::Accept), Rule::new(from_lan, Action::Accept)];
    let mut r = Router::new().chain(HookPoint::Forward, Policy::Drop, rules);
    let out = udp_packet("10.0.0.1:5001", "203.0.113.10:9");
    let dropped = Fate::Refused(Verdict::Drop(DropReason::NetfilterDrop));
    assert_eq!(r.receive(WAN, &udp_packet("203.0.113.10:9", "10.0.0.1:5001")), dropped);
    assert_eq!(r.receive(LAN, &out), Fate::Forwarded(tuple(&out)));
    assert!(matches!(r.receive(WAN, &error_about("203.0.113.10", 3, 3, &out)), Fate::Forwarded(_)));
    assert!(matches!(r.receive(WAN, &udp_packet("203.0.113.10:9", "10.0.0.1:5001")), Fate::Forwarded(_)));
    assert_eq!(r.receive(WAN, &udp_packet("203.0.113.10:9", "10.0.0.1:5002")), dropped);
    assert_eq!(r.nf.chains()[0].rules.iter().map(|r| r.counter.packets).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(r.nf.count(), 1, "what was dropped left no entry");
}

/// A reject of a translated connection: the reset comes from the address the client knows.
#[test]
fn a_reset_for_a_rejected_connection_is_translated_back() {
    let web = Match { proto: Some(proto::TCP), dport: "80".parse().ok(), ..Match::default() };
    let to = "10.0.0.1:80".parse().unwrap();
    let mut r = Router::new().nat(Match::default(), NatAction::Dnat { to }).chain(
        HookPoint::Forward,
        Policy::Accept,
        vec![Rule::new(web, Action::Reject(RejectWith::TcpReset))],
    );
    let (mut f, mut ip) = r.frame(&tcp_packet("203.0.113.10:6000", "203.0.113.1:8080", SYN, 5, 0));
    let fate = r.receive_frame(WAN, &mut f, &mut ip).unwrap_err();
    assert_eq!(fate, Fate::Refused(Verdict::Reject(RejectWith::TcpReset)));
    let (mut reset, mut rip) = r.frame(&tcp_packet("10.0.0.1:80", "203.0.113.10:6000", RST | ACK, 0, 6));
    reset.meta_mut().ct = attach(f.meta().ct);
    let sent = r.send_frame(&mut reset, &mut rip).unwrap();
    assert_eq!(sent, Fate::Sent(tuple(&tcp_packet("203.0.113.1:8080", "203.0.113.10:6000", RST, 0, 0))));
    assert_eq!(r.nf.count(), 0);
}

/// The uplink changed: the first packet dies with the entry, the next is mapped anew. A removed address flushes.
#[test]
fn uplink_changes() {
    let any_wan = Match { oif: Some("wan*".into()), ..Match::default() };
    let mut r = Router::new().nat(any_wan, NatAction::Masquerade { ports: None, random: false });
    let out = udp_packet("10.0.0.1:5000", "8.8.8.8:53");
    r.receive(LAN, &out);
    r.uplink = WAN2;
    assert_eq!(r.receive(LAN, &out), Fate::Refused(Verdict::Drop(DropReason::NetfilterDrop)));
    assert_eq!(r.receive(LAN, &out), Fate::Forwarded(udp_tuple("198.18.0.1:5000", "8.8.8.8:53")));
    let mut note = HookOut::default();
    assert_eq!(r.nf.device_down(WAN, &mut note), 0);
    assert_eq!(r.nf.addr_removed(WAN2, "198.18.0.9".parse().unwrap(), &mut note), 0);
    assert_eq!(r.nf.addr_removed(WAN2, "198.18.0.1".parse().unwrap(), &mut note), 1);
    assert_eq!(note.changes.len(), 1);
    r.receive(LAN, &out);
    assert_eq!(r.nf.device_down(WAN2, &mut note), 1);
}

/// A packet looped back over `lo` keeps its entry and is not translated again.
#[test]
fn loopback_keeps_the_entry() {
    let mut r = Router::masquerading();
    let (mut f, mut ip) = r.frame(&udp_packet("127.0.0.1:5000", "127.0.0.1:53"));
    r.hook(HookPoint::Output, &mut f, &mut ip, [None, Some(LAN)]).unwrap();
    r.hook(HookPoint::Postrouting, &mut f, &mut ip, [None, Some(LAN)]).unwrap();
    let ct = f.meta().ct;
    r.hook(HookPoint::Prerouting, &mut f, &mut ip, [Some(LAN), None]).unwrap();
    r.hook(HookPoint::Input, &mut f, &mut ip, [Some(LAN), None]).unwrap();
    assert_eq!((f.meta().ct, r.nf.count()), (ct, 1));
    assert_eq!(ct.map(|c| c.info), Some(CtInfo::New));
}

/// Priorities place a chain before conntrack (raw), and after source NAT.
#[test]
fn chains_run_in_the_order_of_their_priorities() {
    let mut r = Router::masquerading();
    let any = Match::default;
    let known = Match { ct_state: Some(CtStates::NEW), ..any() };
    let mapped = Match { src: "203.0.113.1".parse().ok(), ..any() };
    for (hook, priority, matches) in [
        (HookPoint::Prerouting, -300, known.clone()),
        (HookPoint::Prerouting, -150, known),
        (HookPoint::Postrouting, 0, mapped.clone()),
        (HookPoint::Postrouting, 150, mapped),
    ] {
        let rules = vec![Rule::new(matches, Action::Counter), Rule::new(any(), Action::Mark(9))];
        r.nf.add_chain(Chain { priority, rules, ..Chain::new("c", hook) });
    }
    let (mut f, mut ip) = r.frame(&udp_packet("10.0.0.1:5000", "8.8.8.8:53"));
    r.receive_frame(LAN, &mut f, &mut ip).unwrap();
    let counts: Vec<u64> = r.nf.chains().iter().map(|c| c.rules[0].counter.packets).collect();
    assert_eq!(counts, [0, 1, 0, 1]);
    assert_eq!(f.meta().mark, 9);
    r.nf.flush_rules();
    assert!(!r.nf.tracks(true) && r.nf.to_string().is_empty());
}

/// Nothing is tracked unless a rule asks for it; with tracking, fragments and broken packets are INVALID.
#[test]
fn what_is_tracked() {
    let mut r = Router::new();
    r.receive(LAN, &udp_packet("10.0.0.1:5000", "8.8.8.8:53"));
    assert_eq!(r.nf.count(), 0);
    r.nf.track_always(true);
    let mut fragment = udp_packet("10.0.0.1:5000", "8.8.8.8:53");
    put16(&mut fragment, 6, 1); // offset 8
    put16(&mut fragment, 10, 0);
    let c = checksum::of(&fragment[..20]);
    put16(&mut fragment, 10, c);
    let christmas = tcp_packet("10.0.0.1:5000", "8.8.8.8:53", SYN | FIN, 0, 0);
    let late = tcp_packet("10.0.0.1:5000", "8.8.8.8:53", RST, 0, 0);
    for (i, b) in [fragment, christmas, late].iter().enumerate() {
        let (mut f, mut ip) = r.frame(b);
        assert!(r.receive_frame(LAN, &mut f, &mut ip).is_ok());
        assert_eq!((f.meta().ct, r.nf.stats().invalid), (None, i as u64 + 1));
    }
    let gre = packet("10.0.0.1", "8.8.8.8", proto::GRE, &[0; 8]);
    r.receive(LAN, &gre);
    r.receive(LAN, &packet("10.0.0.1", "8.8.8.8", 99, &[]));
    assert!(r.table()[0].starts_with("ipv4     2 gre      47 30 timeout=30, stream_timeout=180 src=10.0.0.1"));
    assert!(r.table()[1].starts_with("ipv4     2 unknown  99 600 src=10.0.0.1"));
    let mut out = HookOut::default();
    assert_eq!(r.nf.delete_if(&mut out, |e| e.proto() == 99), 1);
    r.now += 30 * SEC;
    assert_eq!((r.nf.expire(r.now, &mut out), r.nf.flush(&mut out)), (1, 0));
}
