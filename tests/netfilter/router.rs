//! A router that is nothing but its hooks, and the packets it meets.

use netsim::{
    base::{DevId, NsId, Time, Tuple, proto},
    netfilter::{Chain, HookEnv, HookFacts, HookOut, Match, NatAction, NatRule, Netfilter, Policy, Rule, Verdict},
    trace::{ConntrackChange, FrameId, HookPoint},
    wire::{Frame, IpHeader, Pool, checksum, icmp, ip::IpFields, ports, put16, put32, udp},
};
use std::net::IpAddr;

pub const LAN: DevId = DevId(1);
pub const WAN: DevId = DevId(2);
pub const WAN2: DevId = DevId(3);

/// The addresses of the router: 10.0.0.254 and fd00::254 inside, 203.0.113.1 and 2001:db8::1 outside.
pub struct Facts;

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
pub enum Fate {
    Forwarded(Tuple),
    Local(Tuple),
    Sent(Tuple),
    Refused(Verdict),
}

pub struct Router {
    pub nf: Netfilter,
    pub pool: Pool,
    pub out: HookOut,
    pub now: Time,
    pub uplink: DevId,
    /// The packet as it left the last hook.
    pub last: Vec<u8>,
    pub changes: Vec<(ConntrackChange, Tuple)>,
}

impl Router {
    pub fn new() -> Router {
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

    pub fn masquerading() -> Router {
        Router::new().nat(on_wan(), NatAction::Masquerade { ports: None, random: false })
    }

    pub fn nat(mut self, matches: Match, action: NatAction) -> Router {
        self.nf.add_nat(NatRule::new(matches, action)).expect("a well-placed rule");
        self
    }

    pub fn chain(mut self, hook: HookPoint, policy: Policy, rules: Vec<Rule>) -> Router {
        self.nf.add_chain(Chain { policy, rules, ..Chain::new(hook.name(), hook) });
        self
    }

    pub fn hook(
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

    pub fn frame(&mut self, bytes: &[u8]) -> (Frame, IpHeader) {
        let frame = self.pool.alloc_from(FrameId { ns: NsId(0), seq: 0 }, bytes);
        let ip = IpHeader::parse(frame.data()).expect("a valid packet");
        (frame, ip)
    }

    /// A packet from a wire: forwarded, or delivered if it is for one of the router's addresses then.
    pub fn receive(&mut self, dev: DevId, bytes: &[u8]) -> Fate {
        let (mut f, mut ip) = self.frame(bytes);
        self.receive_frame(dev, &mut f, &mut ip).unwrap_or_else(|fate| fate)
    }

    pub fn receive_frame(&mut self, dev: DevId, f: &mut Frame, ip: &mut IpHeader) -> Result<Fate, Fate> {
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
    pub fn send(&mut self, bytes: &[u8]) -> Fate {
        let (mut f, mut ip) = self.frame(bytes);
        self.send_frame(&mut f, &mut ip).unwrap_or_else(|fate| fate)
    }

    pub fn send_frame(&mut self, f: &mut Frame, ip: &mut IpHeader) -> Result<Fate, Fate> {
        let route = |ip: &IpHeader| Some(if inside(ip.dst) { LAN } else { WAN });
        self.hook(HookPoint::Output, f, ip, [None, route(ip)])?;
        self.hook(HookPoint::Postrouting, f, ip, [None, route(ip)])?;
        Ok(Fate::Sent(tuple(&self.last)))
    }

    /// The table as `/proc` shows it, without the columns every line has.
    pub fn table(&self) -> Vec<String> {
        let entries = self.nf.entries(self.now);
        entries.iter().map(|e| e.proc_line(self.now).replace(" mark=0 zone=0 use=2", "")).collect()
    }
}

pub fn inside(addr: IpAddr) -> bool {
    ["10.0.0.0/8", "fd00::/8"].iter().any(|p| p.parse::<netsim::base::Prefix>().unwrap().contains(addr))
}

pub fn on_wan() -> Match {
    Match { oif: Some("wan".into()), ..Match::default() }
}

pub fn tuple(b: &[u8]) -> Tuple {
    let ip = IpHeader::parse(b).unwrap();
    ports::tuple(&ip, ip.payload(b))
}

/// Every checksum, computed in full: the twin of the incremental updates.
pub fn valid(b: &[u8]) -> bool {
    let ip = IpHeader::parse(b).unwrap();
    let l4 = ip.payload(b);
    match ip.proto {
        proto::UDP => udp::checksum_ok(l4, ip.src, ip.dst),
        proto::TCP => checksum::upper(ip.src, ip.dst, proto::TCP, l4) == 0,
        proto::ICMP | proto::ICMPV6 => icmp::checksum_ok(l4, ip.src, ip.dst),
        _ => true,
    }
}

pub fn packet(src: &str, dst: &str, protocol: u8, l4: &[u8]) -> Vec<u8> {
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
pub fn end(text: &str) -> (String, u16) {
    let (addr, port) = text.rsplit_once(':').unwrap();
    (addr.trim_matches(['[', ']']).into(), port.parse().unwrap())
}

pub fn udp_packet(from: &str, to: &str) -> Vec<u8> {
    let ((src, sport), (dst, dport)) = (end(from), end(to));
    let mut l4 = [0; 12];
    put16(&mut l4, 0, sport);
    put16(&mut l4, 2, dport);
    l4[8..].copy_from_slice(b"data");
    packet(&src, &dst, proto::UDP, &l4)
}

pub fn tcp_packet(from: &str, to: &str, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
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

pub fn ping(src: &str, dst: &str, kind: u8, id: u16) -> Vec<u8> {
    let mut l4 = [0; 12];
    l4[0] = kind;
    put16(&mut l4, 4, id);
    packet(src, dst, if src.contains(':') { proto::ICMPV6 } else { proto::ICMP }, &l4)
}

/// An ICMP error from `src` about `quote`, to the sender of that.
pub fn error_about(src: &str, kind: u8, code: u8, quote: &[u8]) -> Vec<u8> {
    let ip = IpHeader::parse_quoted(quote).unwrap();
    let l4 = [&[kind, code, 0, 0, 0, 0, 0, 0][..], quote].concat();
    packet(src, &ip.src.to_string(), icmp::proto_of(ip.src), &l4)
}

pub fn udp_tuple(from: &str, to: &str) -> Tuple {
    tuple(&udp_packet(from, to))
}
