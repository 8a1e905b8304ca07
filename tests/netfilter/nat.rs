//! The oracle's NAT and conntrack cases.

use crate::router::*;
use netsim::{
    base::{MS, SEC, proto},
    netfilter::{Action, Family, Match, NatAction, NatRule, NatTarget, Policy, Rule, Verdict},
    trace::{ConntrackChange, DropReason, HookPoint},
    wire::{
        IpHeader, icmp,
        tcp::{ACK, FIN, RST, SYN},
    },
};

/// Cases nat-masquerade-basic and ct-udp-states.
#[test]
fn a_masqueraded_datagram_and_the_life_of_its_entry() {
    let mut r = Router::masquerading();
    let out = udp_packet("10.0.0.1:5000", "203.0.113.10:9000");
    let back = udp_packet("203.0.113.10:9000", "203.0.113.1:5000");
    assert_eq!(r.receive(LAN, &out), Fate::Forwarded(udp_tuple("203.0.113.1:5000", "203.0.113.10:9000")));
    assert_eq!(r.changes, [(ConntrackChange::New, tuple(&out))]);
    r.now = 100 * MS;
    let unreplied = "ipv4     2 udp      17 29 src=10.0.0.1 dst=203.0.113.10 sport=5000 dport=9000 [UNREPLIED] \
                     src=203.0.113.10 dst=203.0.113.1 sport=9000 dport=5000";
    assert_eq!(r.table(), [unreplied]);
    assert_eq!(r.receive(WAN, &back), Fate::Forwarded(udp_tuple("203.0.113.10:9000", "10.0.0.1:5000")));
    assert_eq!(r.table(), [unreplied.replace("[UNREPLIED] ", "").replace("17 29", "17 30")]);
    r.receive(LAN, &out);
    assert!(!r.table()[0].contains("ASSURED"), "{:?}", r.table());
    r.now = 2200 * MS;
    r.receive(LAN, &out);
    assert_eq!(r.table(), [format!("{} [ASSURED]", unreplied.replace("[UNREPLIED] ", "").replace("17 29", "17 120"))]);
    // Case ct-udp-expiry: late packets are for the router itself.
    r.now += 121 * SEC;
    assert!(r.nf.is_empty(r.now));
    assert_eq!(r.receive(WAN, &back), Fate::Local(tuple(&back)));
}

/// Cases nat-masq-port-collision and nat-masq-same-port-two-dst.
#[test]
fn two_clients_with_one_port() {
    let mut r = Router::masquerading();
    r.receive(LAN, &udp_packet("10.0.0.1:5000", "203.0.113.10:9000"));
    let Fate::Forwarded(second) = r.receive(LAN, &udp_packet("10.0.0.2:5000", "203.0.113.10:9000")) else { panic!() };
    assert!(second.sport != 5000 && second.sport >= 1024);
    let third = r.receive(LAN, &udp_packet("10.0.0.3:5000", "203.0.113.11:9000"));
    assert_eq!(third, Fate::Forwarded(udp_tuple("203.0.113.1:5000", "203.0.113.11:9000")));
    let back = udp_packet("203.0.113.10:9000", &format!("203.0.113.1:{}", second.sport));
    assert_eq!(r.receive(WAN, &back), Fate::Forwarded(udp_tuple("203.0.113.10:9000", "10.0.0.2:5000")));
}

/// The router's own sockets share the tuple space: whoever comes second is moved.
#[test]
fn the_routers_own_port_is_moved_by_the_null_binding() {
    let mut r = Router::masquerading();
    r.receive(LAN, &udp_packet("10.0.0.1:5000", "203.0.113.10:9000"));
    let Fate::Sent(own) = r.send(&udp_packet("203.0.113.1:5000", "203.0.113.10:9000")) else { panic!() };
    assert_ne!(own.sport, 5000);
    let back = udp_packet("203.0.113.10:9000", &format!("203.0.113.1:{}", own.sport));
    assert_eq!(r.receive(WAN, &back), Fate::Local(udp_tuple("203.0.113.10:9000", "203.0.113.1:5000")));
}

/// Case nat-icmp-id-collision, and a reply with an identifier nobody has.
#[test]
fn ping_identifiers_are_ports() {
    let mut r = Router::masquerading();
    r.receive(LAN, &ping("10.0.0.1", "203.0.113.10", icmp::ECHO, 42));
    let Fate::Forwarded(t) = r.receive(LAN, &ping("10.0.0.2", "203.0.113.10", icmp::ECHO, 42)) else { panic!() };
    assert_ne!(t.sport, 42);
    let reply = ping("203.0.113.10", "203.0.113.1", icmp::ECHO_REPLY, t.sport);
    assert_eq!(r.receive(WAN, &reply), Fate::Forwarded(tuple(&ping("203.0.113.10", "10.0.0.2", 0, 42))));
    assert!(r.table()[0].starts_with(
        "ipv4     2 icmp     1 30 src=10.0.0.1 dst=203.0.113.10 type=8 code=0 id=42 [UNREPLIED] src=203.0.113.10 \
         dst=203.0.113.1 type=0 code=0 id=42"
    ));
    let stray = ping("203.0.113.10", "203.0.113.1", icmp::ECHO_REPLY, 9);
    assert_eq!(r.receive(WAN, &stray), Fate::Local(tuple(&stray)));
    assert_eq!((r.nf.stats().invalid, r.nf.count()), (1, 2));
}

/// Cases nat-hole-punch-fails (as measured: the entry of the unsolicited packet blocks the port) and …-works.
#[test]
fn hole_punching_depends_on_whether_unsolicited_input_is_dropped() {
    let punch = |mut r: Router| {
        r.receive(WAN, &udp_packet("203.0.113.2:5000", "203.0.113.1:5000"));
        match r.receive(LAN, &udp_packet("10.0.0.1:5000", "203.0.113.2:5000")) {
            Fate::Forwarded(t) => t.sport,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(punch(Router::masquerading()), 5000);
    let known = Match { ct_state: "established,related".parse().ok(), ..Match::default() };
    let guarded = Router::masquerading().chain(HookPoint::Input, Policy::Drop, vec![Rule::new(known, Action::Accept)]);
    assert_eq!(punch(guarded), 5000);
}

/// Case nat-icmp-error-inbound: translated back inside and outside; the entry stays.
#[test]
fn icmp_errors_find_their_flow() {
    let mut r = Router::masquerading();
    let original = udp_packet("10.0.0.1:5000", "203.0.113.10:9");
    r.receive(LAN, &original);
    let on_wire = r.last.clone();
    r.receive(WAN, &error_about("198.51.100.7", 3, 3, &on_wire));
    assert_eq!(r.last, error_about("198.51.100.7", 3, 3, &original));
    assert_eq!(r.nf.count(), 1);
    // Only to the address the flow has (`outer daddr != inner daddr`), and only about known flows.
    let mut astray = error_about("198.51.100.7", 3, 3, &on_wire);
    let ip = IpHeader::parse(&astray).unwrap();
    astray = packet("198.51.100.7", "10.0.0.77", proto::ICMP, ip.payload(&astray));
    assert_eq!(r.receive(WAN, &astray), Fate::Forwarded(tuple(&astray)));
    let about_nothing = error_about("198.51.100.7", 3, 3, &udp_packet("203.0.113.1:6000", "203.0.113.10:9"));
    assert_eq!(r.receive(WAN, &about_nothing), Fate::Local(tuple(&about_nothing)));
    assert_eq!(r.nf.stats().invalid, 2);
}

/// Redirects about translated flows would mislead the host (`nf_nat_icmp_reply_translation`).
#[test]
fn redirects_about_translated_flows_are_dropped() {
    let mut r = Router::masquerading();
    r.receive(LAN, &udp_packet("10.0.0.1:5000", "203.0.113.10:9"));
    let redirect = error_about("203.0.113.254", icmp::REDIRECT, 1, &r.last.clone());
    assert_eq!(r.receive(WAN, &redirect), Fate::Refused(Verdict::Drop(DropReason::NetfilterDrop)));
}

/// Case pmtud-through-nat in IPv6: packet too big from beyond a NAT66.
#[test]
fn ipv6_is_translated_alike() {
    let masquerade =
        NatRule { family: Family::Ip6, ..NatRule::new(on_wan(), NatAction::Masquerade { ports: None, random: false }) };
    let mut r = Router::new();
    r.nf.add_nat(masquerade).unwrap();
    assert!(r.nf.tracks(false) && !r.nf.tracks(true));
    let original = udp_packet("[fd00::1]:5000", "[2001:db8:9::9]:9");
    assert_eq!(r.receive(LAN, &original), Fate::Forwarded(udp_tuple("[2001:db8::1]:5000", "[2001:db8:9::9]:9")));
    let on_wire = r.last.clone();
    r.receive(WAN, &error_about("2001:db8:5::5", icmp::v6::PACKET_TOO_BIG, 0, &on_wire));
    assert_eq!(r.last, error_about("2001:db8:5::5", icmp::v6::PACKET_TOO_BIG, 0, &original));
    r.receive(LAN, &ping("fd00::1", "2001:db8:9::9", icmp::v6::ECHO, 7));
    let reply = ping("2001:db8:9::9", "2001:db8::1", icmp::v6::ECHO_REPLY, 7);
    assert_eq!(r.receive(WAN, &reply), Fate::Forwarded(tuple(&ping("2001:db8:9::9", "fd00::1", 129, 7))));
    // Neighbour discovery is not tracked, so it is not INVALID either.
    let entries = r.nf.count();
    let (mut f, mut ip) = r.frame(&ping("fd00::1", "fd00::254", icmp::v6::NEIGHBOUR_SOLICIT, 0));
    r.receive_frame(LAN, &mut f, &mut ip).unwrap();
    assert_eq!((r.nf.count(), r.nf.stats().invalid, f.meta().ct), (entries, 0, None));
}

/// Cases nat-dnat-port-forward and nat-hairpin-masq.
#[test]
fn a_forwarded_port_from_outside_and_from_inside() {
    let to = "10.0.0.1:80".parse().unwrap();
    let forwarded = Match {
        dst: "203.0.113.1".parse().ok(),
        proto: Some(proto::TCP),
        dport: "8080".parse().ok(),
        ..Match::default()
    };
    let hairpin = Match { src: "10.0.0.0/24".parse().ok(), dst: "10.0.0.0/24".parse().ok(), ..Match::default() };
    let mut r = Router::masquerading()
        .nat(forwarded, NatAction::Dnat { to })
        .nat(hairpin, NatAction::Masquerade { ports: None, random: false });
    let syn = tcp_packet("203.0.113.10:6000", "203.0.113.1:8080", SYN, 1, 0);
    assert_eq!(
        r.receive(WAN, &syn),
        Fate::Forwarded(tuple(&tcp_packet("203.0.113.10:6000", "10.0.0.1:80", SYN, 1, 0)))
    );
    let answer = tcp_packet("10.0.0.1:80", "203.0.113.10:6000", SYN | ACK, 9, 2);
    assert_eq!(
        r.receive(LAN, &answer),
        Fate::Forwarded(tuple(&tcp_packet("203.0.113.1:8080", "203.0.113.10:6000", SYN, 0, 0)))
    );
    let syn = tcp_packet("10.0.0.2:6001", "203.0.113.1:8080", SYN, 1, 0);
    assert_eq!(r.receive(LAN, &syn), Fate::Forwarded(tuple(&tcp_packet("10.0.0.254:6001", "10.0.0.1:80", SYN, 0, 0))));
    let answer = tcp_packet("10.0.0.1:80", "10.0.0.254:6001", SYN | ACK, 9, 2);
    assert_eq!(
        r.receive(LAN, &answer),
        Fate::Forwarded(tuple(&tcp_packet("203.0.113.1:8080", "10.0.0.2:6001", SYN, 0, 0)))
    );
    let other = tcp_packet("203.0.113.10:6002", "203.0.113.1:81", SYN, 1, 0);
    assert_eq!(r.receive(WAN, &other), Fate::Local(tuple(&other)));
}

/// Case nat-redirect: to the router itself, and destination translation of what it sends.
#[test]
fn redirect_and_output() {
    let dns = Match { proto: Some(proto::UDP), dport: "53".parse().ok(), ..Match::default() };
    let mut r = Router::new().nat(dns, NatAction::Redirect { ports: "5300".parse().ok() });
    let there = Match { dst: "192.0.2.4".parse().ok(), ..Match::default() };
    let to = "10.0.0.1:8080".parse().unwrap();
    r.nf.add_nat(NatRule::new(there, NatAction::Dnat { to }).on_output()).unwrap();
    let query = udp_packet("10.0.0.1:5000", "8.8.8.8:53");
    assert_eq!(r.receive(LAN, &query), Fate::Local(udp_tuple("10.0.0.1:5000", "10.0.0.254:5300")));
    let answer = r.send(&udp_packet("10.0.0.254:5300", "10.0.0.1:5000"));
    assert_eq!(answer, Fate::Sent(udp_tuple("8.8.8.8:53", "10.0.0.1:5000")));
    let (mut f, mut ip) = r.frame(&udp_packet("203.0.113.1:6000", "192.0.2.4:80"));
    r.hook(HookPoint::Output, &mut f, &mut ip, [None, Some(WAN)]).unwrap();
    assert!(r.out.reroute, "the new destination lies inside");
    assert_eq!(r.out.nat.map(|(_, after)| after), Some(udp_tuple("203.0.113.1:6000", "10.0.0.1:8080")));
    let masquerade = NatAction::Masquerade { ports: None, random: false };
    let wrong = NatRule { hook: HookPoint::Prerouting, ..NatRule::new(Match::default(), masquerade) };
    assert_eq!(r.nf.add_nat(wrong).unwrap_err().to_string(), "`masquerade` cannot be done in prerouting");
}

/// Case nat-snat-fixed: the third flow to one server is dropped.
#[test]
fn an_exhausted_range_drops() {
    let to: NatTarget = "203.0.113.77:4000-4001".parse().unwrap();
    let mut r = Router::new().nat(on_wan(), NatAction::Snat { to, random: false, persistent: false });
    assert!(matches!(r.receive(LAN, &udp_packet("10.0.0.1:4000", "203.0.113.10:9000")), Fate::Forwarded(_)));
    assert!(matches!(r.receive(LAN, &udp_packet("10.0.0.1:5001", "203.0.113.10:9000")), Fate::Forwarded(_)));
    let third = udp_packet("10.0.0.2:5002", "203.0.113.10:9000");
    assert_eq!(r.receive(LAN, &third), Fate::Refused(Verdict::Drop(DropReason::NatExhausted)));
    assert_eq!(r.nf.count(), 2);
    r.now += 31 * SEC;
    assert!(matches!(r.receive(LAN, &third), Fate::Forwarded(_)), "expired mappings are free again");
}

/// A finished connection gives up its port for a new one with higher sequence numbers (`nf_nat_used_tuple_harder`).
#[test]
fn time_wait_does_not_block_a_port() {
    let to: NatTarget = "203.0.113.77:4000-4001".parse().unwrap();
    let mut r = Router::new().nat(on_wan(), NatAction::Snat { to, random: false, persistent: false });
    let server = "203.0.113.10:80";
    for (client, mapped) in [("10.0.0.1:4000", "203.0.113.77:4000"), ("10.0.0.1:4001", "203.0.113.77:4001")] {
        r.receive(LAN, &tcp_packet(client, server, SYN, 100, 0));
        r.receive(WAN, &tcp_packet(server, mapped, SYN | ACK, 500, 101));
        r.receive(LAN, &tcp_packet(client, server, ACK, 101, 501));
    }
    let next = |seq| tcp_packet("10.0.0.2:5000", server, SYN, seq, 0);
    let exhausted = Fate::Refused(Verdict::Drop(DropReason::NatExhausted));
    assert_eq!(r.receive(LAN, &next(9000)), exhausted);
    r.receive(LAN, &tcp_packet("10.0.0.1:4001", server, FIN | ACK, 101, 501));
    r.receive(WAN, &tcp_packet(server, "203.0.113.77:4001", FIN | ACK, 501, 102));
    r.receive(LAN, &tcp_packet("10.0.0.1:4001", server, ACK, 102, 502));
    assert!(r.table()[1].contains("TIME_WAIT"), "{:?}", r.table());
    assert_eq!(r.receive(LAN, &next(50)), exhausted, "sequence numbers of the old connection");
    let mapped = tuple(&tcp_packet("203.0.113.77:4001", server, SYN, 0, 0));
    assert_eq!(r.receive(LAN, &next(9000)), Fate::Forwarded(mapped));
    assert_eq!(r.nf.count(), 2);
}

/// Case ct-tcp-states: a refused connection leaves nothing, but its reset is still translated.
#[test]
fn a_refused_connection() {
    let mut r = Router::masquerading();
    r.receive(LAN, &tcp_packet("10.0.0.1:5003", "203.0.113.10:81", SYN, 100, 0));
    let reset = tcp_packet("203.0.113.10:81", "203.0.113.1:5003", RST | ACK, 0, 101);
    let inside = tcp_packet("203.0.113.10:81", "10.0.0.1:5003", RST | ACK, 0, 101);
    assert_eq!(r.receive(WAN, &reset), Fate::Forwarded(tuple(&inside)));
    assert!(r.table().is_empty());
    assert_eq!(r.changes.last().map(|c| c.0), Some(ConntrackChange::Destroyed));
}
