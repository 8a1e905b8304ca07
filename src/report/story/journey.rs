//! One packet's way, told step by step.

use super::{Entry, moment::Moment};
use crate::{
    base::{NsId, Time, Tuple, proto},
    trace::{Delivery, Direction, FdbChange, FrameId, HookPoint, Names, NeighState, Origin, RouteUse, Switching},
    wire::icmp::{self, unreach},
};
use serde::Serialize;

/// At most this many stages are told of one packet: a packet in a routing loop would have hundreds.
const MAX_STAGES: usize = 40;

/// What a stage is about: the word in front of its line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// A route lookup.
    Route,
    /// Resolving the next hop.
    Neighbour,
    /// Crossing a cable.
    Veth,
    /// A bridge's decision.
    Bridge,
    /// Passing through a router.
    Router,
    /// Address translation.
    Nat,
    /// Connection tracking.
    Conntrack,
    /// Arrival.
    Arrival,
    /// An error report.
    Icmp,
    /// The end before arrival.
    Drop,
}

impl Topic {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Topic::Route => "route",
            Topic::Neighbour => "neighbour",
            Topic::Veth => "veth",
            Topic::Bridge => "bridge",
            Topic::Router => "router",
            Topic::Nat => "NAT",
            Topic::Conntrack => "conntrack",
            Topic::Arrival => "arrival",
            Topic::Icmp => "icmp",
            Topic::Drop => "drop",
        }
    }
}

/// One step of a journey.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stage {
    /// When, in virtual nanoseconds.
    #[serde(rename = "time_ns")]
    pub time: Time,
    /// In which namespace.
    pub ns: String,
    /// What it is about.
    pub topic: Topic,
    /// What happened, in words.
    pub text: String,
}

/// The way of one packet, or of the answer to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Leg {
    /// What the packet is, in words, as it first stood on a wire.
    pub packet: String,
    /// Whether it answers the packet of the leg before.
    pub answer: bool,
    /// The steps.
    pub stages: Vec<Stage>,
    /// Stages beyond the limit.
    pub left_out: usize,
}

/// A packet's way and, if there was one, the answer's way back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Journey {
    /// There, and back.
    pub legs: Vec<Leg>,
}

/// Follows a frame through its copies and parts, then the frame that answers it.
pub(super) fn follow(entries: &[Entry], names: &Names, frame: FrameId) -> Journey {
    let start = entries.iter().position(|e| e.frame == Some(frame)).unwrap_or(entries.len());
    let (leg, end) = Teller { entries, names }.leg(frame, start, false);
    let mut legs = vec![leg];
    if let Some((reply, at)) = answer(entries, end) {
        legs.push(Teller { entries, names }.leg(reply, at, true).0);
    }
    Journey { legs }
}

/// Where and as which frame a packet ended.
struct LegEnd {
    frame: FrameId,
    at: usize,
    ns: NsId,
}

/// The frame that answers what ended at `end`: the one made from it (an ICMP reply or error, a reset), or else the next
/// packet a socket of that namespace sends at the same moment.
fn answer(entries: &[Entry], end: Option<LegEnd>) -> Option<(FrameId, usize)> {
    let end = end?;
    let time = entries[end.at].time;
    let from = entries.partition_point(|e| e.time < time);
    let by_parent = entries[from..].iter().position(|e| {
        matches!(e.moment, Moment::Created { origin: Origin::Icmp | Origin::Reset, parent: Some(p) } if p == end.frame)
    });
    // A socket may answer before the end of the packet is noted: look from where it came in.
    let came_in = entries[..end.at]
        .iter()
        .rposition(|e| e.frame == Some(end.frame) && matches!(e.moment, Moment::Passed { dir: Direction::In, .. }));
    let first = came_in.unwrap_or(end.at);
    let by_socket = || {
        let later = entries[first..].iter().take_while(|e| e.time == time);
        let made = |e: &Entry| e.ns == end.ns && matches!(e.moment, Moment::Created { origin: Origin::Socket, .. });
        later.enumerate().find(|(_, e)| made(e)).map(|(i, _)| first + i)
    };
    let delivered = matches!(entries[end.at].moment, Moment::Delivered(Delivery::Socket));
    let at = by_parent.map(|i| from + i).or_else(|| if delivered { by_socket() } else { None })?;
    Some((entries[at].frame?, at))
}

struct Teller<'a> {
    entries: &'a [Entry],
    names: &'a Names,
}

impl Teller<'_> {
    fn leg(&self, frame: FrameId, start: usize, answer: bool) -> (Leg, Option<LegEnd>) {
        let mut leg = Leg { packet: String::new(), answer, stages: Vec::new(), left_out: 0 };
        let mut current = frame;
        let mut end = None;
        let mut at = start;
        let mut out_at: Option<usize> = None;
        while at < self.entries.len() {
            let e = &self.entries[at];
            at += 1;
            if e.frame != Some(current) {
                continue;
            }
            let stage = match &e.moment {
                Moment::Passed { dir, summary } => {
                    if leg.packet.is_empty() {
                        leg.packet = summary.to_string();
                    }
                    match dir {
                        Direction::Out => {
                            out_at = Some(at - 1);
                            None
                        }
                        Direction::In => self.crossed(out_at.take(), e),
                    }
                }
                Moment::Delivered(Delivery::Split | Delivery::Joined | Delivery::Copied) => {
                    let child = self.entries[..]
                        .iter()
                        .find(|c| matches!(c.moment, Moment::Created { parent: Some(p), .. } if p == current));
                    let text = match e.moment {
                        Moment::Delivered(Delivery::Split) => "too large for the next device: sent in fragments",
                        _ => "all fragments are here: put together again",
                    };
                    self.push(&mut leg, e, Topic::Router, text.to_string());
                    match child.and_then(|c| c.frame) {
                        Some(next) => {
                            current = next;
                            at = self.entries.iter().position(|x| x.frame == Some(next)).unwrap_or(at);
                            continue;
                        }
                        None => break,
                    }
                }
                _ => self.stage(e, at - 1, &leg.packet),
            };
            if let Some((topic, text)) = stage {
                self.push(&mut leg, e, topic, text);
            }
            if matches!(e.moment, Moment::Delivered(_) | Moment::Dropped(_)) {
                end = Some(LegEnd { frame: current, at: at - 1, ns: e.ns });
                break;
            }
        }
        (leg, end)
    }

    fn push(&self, leg: &mut Leg, e: &Entry, topic: Topic, text: String) {
        if leg.stages.len() < MAX_STAGES {
            leg.stages.push(Stage { time: e.time, ns: self.names.ns(e.ns).to_string(), topic, text });
        } else {
            leg.left_out += 1;
        }
    }

    /// A frame left by one device and arrived at another.
    fn crossed(&self, out: Option<usize>, arrived: &Entry) -> Option<(Topic, String)> {
        let from = &self.entries[out?];
        let (a, b) = (from.dev?, arrived.dev?);
        if a == b
            || from.ns == arrived.ns && self.names.ns(from.ns) == self.names.ns(arrived.ns) && self.same_cable(from)
        {
            return None;
        }
        let took = arrived.time - from.time;
        let how = if took > 0 { format!(", {} later", crate::base::time::show(took)) } else { String::new() };
        Some((Topic::Veth, format!("{} ═══ {}{how}", self.names.full(a), self.names.full(b))))
    }

    /// Frames on `lo` do not cross a cable.
    fn same_cable(&self, from: &Entry) -> bool {
        from.dev.is_some_and(|d| self.names.dev(d) == "lo")
    }

    fn stage(&self, e: &Entry, at: usize, packet: &str) -> Option<(Topic, String)> {
        let ns = self.names.ns(e.ns);
        Some(match &e.moment {
            Moment::Route { purpose: RouteUse::Output, dst, via, out } => {
                let dev = self.names.dev(*out);
                let text = match via {
                    _ if dev == "lo" => format!("{ns}: {dst} is one of its own addresses, it stays inside (lo)"),
                    Some(gw) => format!("{ns}: {dst} is reached via the gateway {gw} on {dev}"),
                    None => format!("{ns}: {dst} is on the link of {dev}"),
                };
                (Topic::Route, text)
            }
            Moment::Route { purpose: RouteUse::Forward, dst, via, out } => {
                let dev = self.names.dev(*out);
                let ttl = self.entries[at..].iter().find_map(|n| match n.moment {
                    Moment::Forwarded { ttl } if n.frame == e.frame => Some(ttl),
                    _ => None,
                });
                let way = match via {
                    Some(gw) => format!("via {gw} on {dev}"),
                    None => format!("straight out of {dev}"),
                };
                match ttl {
                    Some(ttl) => (Topic::Router, format!("{ns} forwards it to {dst} {way}; TTL {} → {ttl}", ttl + 1)),
                    None => (Topic::Router, format!("{ns} would forward it to {dst} {way}")),
                }
            }
            Moment::Awaits { addr } => {
                let reply = self.entries[at..].iter().find_map(|n| match n.moment {
                    Moment::Neighbour { addr: a, to, mac, .. }
                        if n.ns == e.ns && a == *addr && to != NeighState::Incomplete =>
                    {
                        Some((to, mac))
                    }
                    _ => None,
                });
                let found = match reply {
                    Some((NeighState::Failed, _)) => "nobody answers".to_string(),
                    Some((_, Some(mac))) => format!("it is at {mac}"),
                    _ => "no answer yet".to_string(),
                };
                (Topic::Neighbour, format!("{ns} asks who has {addr}: {found}"))
            }
            Moment::Switched { dst, to } => {
                let bridge = e.dev.map_or_else(String::new, |d| self.names.full(d));
                let text = match to {
                    Switching::Up => format!("{bridge} hands it up: {dst} is the bridge's own address"),
                    Switching::Port(p) => format!("{bridge} knows {dst} behind port {}", self.names.dev(*p)),
                    Switching::Flood(n) if dst.is_multicast() => {
                        format!("{bridge} floods it to {n} port(s): it is for everybody")
                    }
                    Switching::Flood(n) => format!("{bridge} does not know {dst}: floods it to {n} port(s)"),
                };
                (Topic::Bridge, text)
            }
            Moment::Nat { hook, before, after } => (Topic::Nat, format!("{ns} {}", rewrite(*hook, before, after))),
            Moment::Remembered { original, reply } => {
                let text = if original.inverse() == *reply {
                    format!("{ns} remembers the connection: {original}")
                } else {
                    format!("{ns} remembers: {original}, answers come as {reply}")
                };
                (Topic::Conntrack, text)
            }
            Moment::IcmpError { kind, code, to } => {
                let what = icmp_words(to.is_ipv4(), *kind, *code);
                (Topic::Icmp, format!("{ns} reports to {to}: {what}"))
            }
            Moment::Delivered(to) => {
                let text = match to {
                    Delivery::Socket => format!("{ns} delivers it to a socket"),
                    Delivery::Icmp if packet.contains("echo-request") && !packet.contains("quoting") => {
                        format!("{ns} takes it: echo requests are answered without any program")
                    }
                    Delivery::Icmp => format!("{ns} takes it, and tells the program it is about"),
                    Delivery::Neighbour => format!("{ns} takes note in its neighbour table"),
                    Delivery::Bridge => format!("{ns} takes it: a message of the bridge protocol"),
                    Delivery::External => "it leaves the lab by an external wire".to_string(),
                    Delivery::Split | Delivery::Joined | Delivery::Copied => return None,
                };
                (Topic::Arrival, text)
            }
            Moment::Dropped(reason) => {
                (Topic::Drop, format!("{ns} drops it: {} ({})", reason.sentence(), reason.code()))
            }
            Moment::Collision { mac, change: FdbChange::Collision { first, second } } => {
                let (a, b) = (self.names.ns(*first), self.names.ns(*second));
                (Topic::Bridge, format!("{mac} belongs to two namespaces: {a} and {b}"))
            }
            Moment::Created { .. }
            | Moment::Passed { .. }
            | Moment::Forwarded { .. }
            | Moment::Neighbour { .. }
            | Moment::Collision { .. }
            | Moment::Route { purpose: RouteUse::Input, .. } => return None,
        })
    }
}

/// What an ICMP error says, in words.
fn icmp_words(ipv4: bool, kind: u8, code: u8) -> String {
    let words = match (ipv4, kind, code) {
        (true, icmp::UNREACHABLE, unreach::NET) | (false, icmp::v6::UNREACHABLE, 0) => "network unreachable",
        (true, icmp::UNREACHABLE, unreach::HOST) | (false, icmp::v6::UNREACHABLE, 3) => "host unreachable",
        (true, icmp::UNREACHABLE, unreach::PROTOCOL) => "protocol unreachable",
        (true, icmp::UNREACHABLE, unreach::PORT) | (false, icmp::v6::UNREACHABLE, 4) => {
            "port unreachable, nobody listens there"
        }
        (true, icmp::UNREACHABLE, unreach::FRAG_NEEDED) | (false, icmp::v6::PACKET_TOO_BIG, _) => {
            "too big for the next link"
        }
        (true, icmp::UNREACHABLE, unreach::NET_PROHIBITED | unreach::HOST_PROHIBITED | unreach::ADMIN_PROHIBITED)
        | (false, icmp::v6::UNREACHABLE, 1) => "prohibited by the administrator",
        (true, icmp::TIME_EXCEEDED, 0) | (false, icmp::v6::TIME_EXCEEDED, 0) => "time exceeded, the TTL ran out here",
        (true, icmp::TIME_EXCEEDED, _) | (false, icmp::v6::TIME_EXCEEDED, _) => "fragments are missing",
        (true, icmp::REDIRECT, _) => "there is a shorter way",
        _ => return format!("ICMP type {kind} code {code}"),
    };
    words.to_string()
}

/// What a translation changed.
fn rewrite(hook: HookPoint, before: &Tuple, after: &Tuple) -> String {
    let icmp = matches!(before.proto, proto::ICMP | proto::ICMPV6);
    let end = |ip: std::net::IpAddr, port: u16| {
        if icmp || port == 0 { ip.to_string() } else { std::net::SocketAddr::new(ip, port).to_string() }
    };
    let mut parts = Vec::new();
    if (before.src, before.sport) != (after.src, after.sport) && (!icmp || before.src != after.src) {
        parts.push(format!("source {} → {}", end(before.src, before.sport), end(after.src, after.sport)));
    }
    if (before.dst, before.dport) != (after.dst, after.dport) && (!icmp || before.dst != after.dst) {
        parts.push(format!("destination {} → {}", end(before.dst, before.dport), end(after.dst, after.dport)));
    }
    if icmp && before.sport != after.sport {
        parts.push(format!("id {} → {}", before.sport, after.sport));
    }
    format!("rewrites {} ({})", parts.join(", "), hook.name())
}
