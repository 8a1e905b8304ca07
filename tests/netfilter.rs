//! Netfilter as a router uses it: the oracle's NAT, conntrack and filter cases without the rest of the stack, and the
//! properties of translation under random traffic.

use netsim::{
    base::{DevId, MS, NsId, SEC, Time, Tuple, proto},
    netfilter::{
        Action, Chain, CtStates, Family, HookEnv, HookFacts, HookOut, Match, NatAction, NatRule, NatTarget, Netfilter,
        Policy, RejectWith, Rule, Verdict, attach,
    },
    trace::{ConntrackChange, DropReason, FrameId, HookPoint},
    wire::{
        CtInfo, Frame, IpHeader, Pool, checksum, icmp,
        ip::IpFields,
        ports, put16, put32,
        tcp::{ACK, FIN, RST, SYN},
        udp,
    },
};
use proptest::prelude::*;
use std::net::IpAddr;

const LAN: DevId = DevId(1);
const WAN: DevId = DevId(2);
const WAN2: DevId = DevId(3);

/// The addresses of the router: 10.0.0.254 and fd00::254 inside, 203.0.113.1 and 2001:db8::1 outside.
struct Facts;

impl HookFacts for Facts {
    fn dev_name(&self, dev: DevId) -> &str {
        match dev {
            LAN => "lan",
            WAN => "wan",
            _ => "wan2",
        }
    }
    fn masquerade_addr(&self, out: DevId, dst: IpAddr) -> Option<IpAddr> {
        self.redirect_addr(out, dst.is_ipv4())
    }
    fn redirect_addr(&self, dev: DevId, ipv4: bool) -> Option<IpAddr> {
        let text = match (dev, ipv4) {
            (LAN, true) => "10.0.0.254",
            (LAN, false) => "fd00::254",
            (WAN, true) => "203.0.113.1",
            (WAN, false) => "2001:db8::1",
            (_, true) => "198.18.0.1",
            (_, false) => return None,
        };
        text.parse().ok()
    }
}

/// What became of a packet.
#[derive(Debug, PartialEq)]
enum Fate {
    Forwarded(Tuple),
    Local(Tuple),
    Sent(Tuple),
    Refused(Verdict),
}

struct Router {
    nf: Netfilter,
    pool: Pool,
    out: HookOut,
    now: Time,
    uplink: DevId,
    /// The packet as it left the last hook.
    last: Vec<u8>,
    changes: Vec<(ConntrackChange, Tuple)>,
}

impl Router {
    fn new() -> Router {
        Router {
            nf: Netfilter::new(7, "r"),
            pool: Pool::default(),
            out: HookOut::default(),
            now: 0,
            uplink: WAN,
            last: vec![],
            changes: vec![],
        }
    }

    fn masquerading() -> Router {
        Router::new().nat(on_wan(), NatAction::Masquerade { ports: None, random: false })
    }

    fn nat(mut self, matches: Match, action: NatAction) -> Router {
        self.nf.add_nat(NatRule::new(matches, action)).expect("a well-placed rule");
        self
    }

    fn chain(mut self, hook: HookPoint, policy: Policy, rules: Vec<Rule>) -> Router {
        self.nf.add_chain(Chain { policy, rules, ..Chain::new(hook.name(), hook) });
        self
    }

    fn hook(
        &mut self,
        hook: HookPoint,
        f: &mut Frame,
        ip: &mut IpHeader,
        devs: [Option<DevId>; 2],
    ) -> Result<(), Fate> {
        let env = HookEnv { in_dev: devs[0], out_dev: devs[1], facts: &Facts };
        let verdict = self.nf.hook(self.now, hook, f, ip, &env, &mut self.out);
        self.changes.extend(self.out.changes.iter().map(|c| (c.change, c.original)));
        self.last = f.data().to_vec();
        assert_eq!(*ip, IpHeader::parse(f.data()).expect("a valid header"), "the header is kept in step");
        assert!(valid(&self.last), "checksums after {hook:?}: {:?}", tuple(&self.last));
        match verdict {
            Verdict::Accept => Ok(()),
            other => Err(Fate::Refused(other)),
        }
    }

    fn frame(&mut self, bytes: &[u8]) -> (Frame, IpHeader) {
        let frame = self.pool.alloc_from(FrameId { ns: NsId(0), seq: 0 }, bytes);
        let ip = IpHeader::parse(frame.data()).expect("a valid packet");
        (frame, ip)
    }

    /// A packet from a wire: forwarded, or delivered if it is for one of the router's addresses then.
    fn receive(&mut self, dev: DevId, bytes: &[u8]) -> Fate {
        let (mut f, mut ip) = self.frame(bytes);
        self.receive_frame(dev, &mut f, &mut ip).unwrap_or_else(|fate| fate)
    }

    fn receive_frame(&mut self, dev: DevId, f: &mut Frame, ip: &mut IpHeader) -> Result<Fate, Fate> {
        self.hook(HookPoint::Prerouting, f, ip, [Some(dev), None])?;
        if [LAN, WAN, WAN2].iter().any(|d| Facts.redirect_addr(*d, ip.is_ipv4()) == Some(ip.dst)) {
            self.hook(HookPoint::Input, f, ip, [Some(dev), None])?;
            return Ok(Fate::Local(tuple(&self.last)));
        }
        let out = if inside(ip.dst) { LAN } else { self.uplink };
        self.hook(HookPoint::Forward, f, ip, [Some(dev), Some(out)])?;
        self.hook(HookPoint::Postrouting, f, ip, [Some(dev), Some(out)])?;
        Ok(Fate::Forwarded(tuple(&self.last)))
    }

    /// A packet of the router's own.
    fn send(&mut self, bytes: &[u8]) -> Fate {
        let (mut f, mut ip) = self.frame(bytes);
        self.send_frame(&mut f, &mut ip).unwrap_or_else(|fate| fate)
    }

    fn send_frame(&mut self, f: &mut Frame, ip: &mut IpHeader) -> Result<Fate, Fate> {
        let route = |ip: &IpHeader| Some(if inside(ip.dst) { LAN } else { WAN });
        self.hook(HookPoint::Output, f, ip, [None, route(ip)])?;
        self.hook(HookPoint::Postrouting, f, ip, [None, route(ip)])?;
        Ok(Fate::Sent(tuple(&self.last)))
    }

    /// The table as `/proc` shows it, without the columns every line has.
    fn table(&self) -> Vec<String> {
        let entries = self.nf.entries(self.now);
        entries.iter().map(|e| e.proc_line(self.now).replace(" mark=0 zone=0 use=2", "")).collect()
    }
}

fn inside(addr: IpAddr) -> bool {
    ["10.0.0.0/8", "fd00::/8"].iter().any(|p| p.parse::<netsim::base::Prefix>().unwrap().contains(addr))
}

fn on_wan() -> Match {
    Match { oif: Some("wan".into()), ..Match::default() }
}

fn tuple(b: &[u8]) -> Tuple {
    let ip = IpHeader::parse(b).unwrap();
    ports::tuple(&ip, ip.payload(b))
}

/// Every checksum, computed in full: the twin of the incremental updates.
fn valid(b: &[u8]) -> bool {
    let ip = IpHeader::parse(b).unwrap();
    let l4 = ip.payload(b);
    match ip.proto {
        proto::UDP => udp::checksum_ok(l4, ip.src, ip.dst),
        proto::TCP => checksum::upper(ip.src, ip.dst, proto::TCP, l4) == 0,
        proto::ICMP | proto::ICMPV6 => icmp::checksum_ok(l4, ip.src, ip.dst),
        _ => true,
    }
}

fn packet(src: &str, dst: &str, protocol: u8, l4: &[u8]) -> Vec<u8> {
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    let fields = IpFields { src, dst, proto: protocol, ttl: 64, tos: 0, df: true, id: 7 };
    let at = fields.header_len();
    let mut b = [&vec![0; at], l4].concat();
    fields.write(&mut b);
    match protocol {
        proto::UDP => {
            udp::write(&mut b[at..], src, dst, u16::from_be_bytes([l4[0], l4[1]]), u16::from_be_bytes([l4[2], l4[3]]))
        }
        proto::TCP => {
            let c = checksum::upper(src, dst, protocol, &b[at..]);
            put16(&mut b[at..], 16, c);
        }
        proto::ICMP | proto::ICMPV6 => icmp::seal(&mut b[at..], src, dst),
        _ => {}
    }
    b
}

/// `"10.0.0.1:5000"`; IPv6 in brackets.
fn end(text: &str) -> (String, u16) {
    let (addr, port) = text.rsplit_once(':').unwrap();
    (addr.trim_matches(['[', ']']).into(), port.parse().unwrap())
}

fn udp_packet(from: &str, to: &str) -> Vec<u8> {
    let ((src, sport), (dst, dport)) = (end(from), end(to));
    let mut l4 = [0; 12];
    put16(&mut l4, 0, sport);
    put16(&mut l4, 2, dport);
    l4[8..].copy_from_slice(b"data");
    packet(&src, &dst, proto::UDP, &l4)
}

fn tcp_packet(from: &str, to: &str, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let ((src, sport), (dst, dport)) = (end(from), end(to));
    let mut l4 = [0; 20];
    put16(&mut l4, 0, sport);
    put16(&mut l4, 2, dport);
    put32(&mut l4, 4, seq);
    put32(&mut l4, 8, ack);
    l4[12] = 5 << 4;
    l4[13] = flags;
    put16(&mut l4, 14, 64000);
    packet(&src, &dst, proto::TCP, &l4)
}

fn ping(src: &str, dst: &str, kind: u8, id: u16) -> Vec<u8> {
    let mut l4 = [0; 12];
    l4[0] = kind;
    put16(&mut l4, 4, id);
    packet(src, dst, if src.contains(':') { proto::ICMPV6 } else { proto::ICMP }, &l4)
}

/// An ICMP error from `src` about `quote`, to the sender of that.
fn error_about(src: &str, kind: u8, code: u8, quote: &[u8]) -> Vec<u8> {
    let ip = IpHeader::parse_quoted(quote).unwrap();
    let l4 = [&[kind, code, 0, 0, 0, 0, 0, 0][..], quote].concat();
    packet(src, &ip.src.to_string(), icmp::proto_of(ip.src), &l4)
}

fn udp_tuple(from: &str, to: &str) -> Tuple {
    tuple(&udp_packet(from, to))
}

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
