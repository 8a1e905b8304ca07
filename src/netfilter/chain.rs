//! Base chains and the rules in them: what is accepted, dropped, rejected or marked.

use super::{
    expr::{ExprParseError, Family},
    matching::{Match, View},
};
use crate::{
    base::proto,
    trace::HookPoint,
    wire::icmp::{self, unreach},
};
use std::{fmt, str::FromStr};

/// Where between conntrack and NAT a chain runs; lower first (`enum nf_ip_hook_priorities`).
pub mod priority {
    /// Before conntrack.
    pub const RAW: i32 = -300;
    /// Conntrack itself.
    pub const CONNTRACK: i32 = -200;
    /// Between conntrack and destination NAT.
    pub const MANGLE: i32 = -150;
    /// Destination NAT itself.
    pub const DSTNAT: i32 = -100;
    /// The usual place.
    pub const FILTER: i32 = 0;
    /// Source NAT itself.
    pub const SRCNAT: i32 = 100;
}

/// How a rejected packet's sender is told.
///
/// ```
/// use netsim::netfilter::RejectWith;
/// let with: RejectWith = "icmp-admin-prohibited".parse().unwrap();
/// assert_eq!(with.icmp(true), Some((3, 13)));
/// assert_eq!(with.icmp(false), Some((1, 1)));
/// assert_eq!("tcp-reset".parse::<RejectWith>().unwrap().icmp(true), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RejectWith {
    /// ICMP network unreachable.
    NetUnreachable,
    /// ICMP host unreachable.
    HostUnreachable,
    /// ICMP protocol unreachable.
    ProtUnreachable,
    /// ICMP port unreachable, the default.
    #[default]
    PortUnreachable,
    /// ICMP network administratively prohibited.
    NetProhibited,
    /// ICMP host administratively prohibited.
    HostProhibited,
    /// ICMP communication administratively prohibited.
    AdminProhibited,
    /// A TCP reset, from the address the segment was sent to.
    TcpReset,
}

impl RejectWith {
    const NAMES: [(RejectWith, &'static str); 8] = [
        (RejectWith::NetUnreachable, "net-unreachable"),
        (RejectWith::HostUnreachable, "host-unreachable"),
        (RejectWith::ProtUnreachable, "prot-unreachable"),
        (RejectWith::PortUnreachable, "port-unreachable"),
        (RejectWith::NetProhibited, "net-prohibited"),
        (RejectWith::HostProhibited, "host-prohibited"),
        (RejectWith::AdminProhibited, "admin-prohibited"),
        (RejectWith::TcpReset, "tcp-reset"),
    ];

    /// Type and code of the ICMP or ICMPv6 error, or `None` for a TCP reset.
    pub fn icmp(self, ipv4: bool) -> Option<(u8, u8)> {
        let (v4, v6) = match self {
            RejectWith::NetUnreachable => (unreach::NET, 0),
            RejectWith::HostUnreachable => (unreach::HOST, 3),
            RejectWith::ProtUnreachable => (unreach::PROTOCOL, 4),
            RejectWith::PortUnreachable => (unreach::PORT, 4),
            RejectWith::NetProhibited => (unreach::NET_PROHIBITED, 1),
            RejectWith::HostProhibited => (unreach::HOST_PROHIBITED, 1),
            RejectWith::AdminProhibited => (unreach::ADMIN_PROHIBITED, 1),
            RejectWith::TcpReset => return None,
        };
        Some(if ipv4 { (icmp::UNREACHABLE, v4) } else { (icmp::v6::UNREACHABLE, v6) })
    }
}

impl FromStr for RejectWith {
    type Err = ExprParseError;

    /// `port-unreachable` and its kin, with or without `icmp-` in front, or `tcp-reset`.
    fn from_str(s: &str) -> Result<RejectWith, ExprParseError> {
        let name = s.strip_prefix("icmp-").unwrap_or(s);
        RejectWith::NAMES.iter().find(|(_, n)| *n == name).map(|(w, _)| *w).ok_or_else(|| {
            ExprParseError::new(
                s,
                "a way to reject: icmp-{net,host,prot,port}-unreachable, icmp-{net,host,admin}-prohibited or tcp-reset",
            )
        })
    }
}

impl fmt::Display for RejectWith {
    /// As in `reject with …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == RejectWith::TcpReset {
            return f.write_str("tcp reset");
        }
        let (_, name) = RejectWith::NAMES.iter().find(|(w, _)| w == self).expect("every variant has a name");
        write!(f, "icmp type {name}")
    }
}

/// What a rule does with a packet that fits it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Leave this chain; chains behind it still see the packet.
    Accept,
    /// Drop it in silence.
    Drop,
    /// Drop it and tell the sender. [`RejectWith::TcpReset`] fits TCP only: other packets go on to the next rule.
    Reject(RejectWith),
    /// Set the packet's mark and go on.
    Mark(u32),
    /// Set the connection's mark and go on.
    CtMark(u32),
    /// Only count, and go on.
    Counter,
    /// Leave the rules; the chain's policy decides.
    Return,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Accept => f.write_str("accept"),
            Action::Drop => f.write_str("drop"),
            Action::Reject(RejectWith::PortUnreachable) => f.write_str("reject"),
            Action::Reject(with) => write!(f, "reject with {with}"),
            Action::Mark(m) => write!(f, "meta mark set 0x{m:08x}"),
            Action::CtMark(m) => write!(f, "ct mark set 0x{m:08x}"),
            Action::Counter => f.write_str("counter"),
            Action::Return => f.write_str("return"),
        }
    }
}

/// Packets and bytes that fitted a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP header included.
    pub bytes: u64,
}

impl Counter {
    pub(super) fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// A rule of a filter chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Which packets.
    pub matches: Match,
    /// What happens to them.
    pub action: Action,
    /// How many there were.
    pub counter: Counter,
}

impl Rule {
    /// A rule that has seen nothing yet.
    pub fn new(matches: Match, action: Action) -> Rule {
        Rule { matches, action, counter: Counter::default() }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Action::Counter => {
                let Counter { packets, bytes } = self.counter;
                write!(f, "{}counter packets {packets} bytes {bytes}", self.matches)
            }
            action => write!(f, "{}{action}", self.matches),
        }
    }
}

/// What happens to a packet no rule decided about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// It passes.
    #[default]
    Accept,
    /// It is dropped in silence.
    Drop,
}

/// A base chain: rules at one hook.
///
/// ```
/// use netsim::{netfilter::{Action, Chain, CtStates, Match, Policy, Rule}, trace::HookPoint};
/// let mut chain = Chain::new("forward", HookPoint::Forward);
/// chain.policy = Policy::Drop;
/// chain.rules.push(Rule::new(
///     Match { ct_state: Some(CtStates::ESTABLISHED | CtStates::RELATED), ..Match::default() },
///     Action::Accept,
/// ));
/// assert_eq!(
///     chain.to_string(),
///     "chain forward {\n  type filter hook forward priority 0; policy drop;\n  ct state established,related accept\n}\n",
/// );
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Its name.
    pub name: Box<str>,
    /// Which packets it sees.
    pub family: Family,
    /// Where it sees them.
    pub hook: HookPoint,
    /// When at that hook, among the other chains, conntrack and NAT: see [`priority`].
    pub priority: i32,
    /// What happens at its end.
    pub policy: Policy,
    /// The rules, in order; the first that decides ends the chain.
    pub rules: Vec<Rule>,
}

/// What a chain says of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChainVerdict {
    Accept,
    Drop,
    Reject(RejectWith),
}

impl Chain {
    /// An empty chain for both families at priority [`priority::FILTER`] that accepts.
    pub fn new(name: &str, hook: HookPoint) -> Chain {
        Chain {
            name: name.into(),
            family: Family::Inet,
            hook,
            priority: priority::FILTER,
            policy: Policy::Accept,
            rules: Vec::new(),
        }
    }

    /// Whether the chain needs conntrack.
    pub(crate) fn needs_conntrack(&self) -> bool {
        self.rules.iter().any(|r| r.matches.needs_conntrack() || matches!(r.action, Action::CtMark(_)))
    }

    /// Runs the rules (`nft_do_chain`). Marks are set in the view.
    pub(crate) fn run(&mut self, p: &mut View<'_>) -> ChainVerdict {
        for rule in &mut self.rules {
            if rule.action == Action::Reject(RejectWith::TcpReset) && p.ip.proto != proto::TCP {
                continue;
            }
            if !rule.matches.fits(p) {
                continue;
            }
            rule.counter.add(p.ip.total_len);
            match rule.action {
                Action::Accept => return ChainVerdict::Accept,
                Action::Drop => return ChainVerdict::Drop,
                Action::Reject(with) => return ChainVerdict::Reject(with),
                Action::Mark(m) => p.mark = m,
                Action::CtMark(m) => p.ct.mark = m,
                Action::Counter => {}
                Action::Return => break,
            }
        }
        match self.policy {
            Policy::Accept => ChainVerdict::Accept,
            Policy::Drop => ChainVerdict::Drop,
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = if self.policy == Policy::Drop { "drop" } else { "accept" };
        writeln!(f, "chain {} {{", self.name)?;
        writeln!(f, "  type filter hook {} priority {}; policy {policy};", self.hook.name(), self.priority)?;
        for rule in &self.rules {
            writeln!(f, "  {rule}")?;
        }
        writeln!(f, "}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        netfilter::{
            expr::{CtStates, MarkMatch},
            matching::CtView,
        },
        wire::{IpHeader, PacketType, ip::IpFields},
    };

    fn run(chain: &mut Chain, protocol: u8) -> (ChainVerdict, u32) {
        let mut b = [0; 40];
        let (src, dst) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        IpFields { src, dst, proto: protocol, ttl: 64, tos: 0, df: false, id: 0 }.write(&mut b);
        let ip = IpHeader::parse(&b).unwrap();
        let ct = CtView { state: CtStates::NEW, snat: false, dnat: false, mark: 0 };
        let (packet_type, l4) = (PacketType::Host, ip.payload(&b));
        let mut view = View { ip: &ip, l4, in_dev: None, out_dev: None, packet_type, mark: 0, ct };
        let verdict = chain.run(&mut view);
        (verdict, view.mark)
    }

    #[test]
    fn the_first_rule_that_decides_ends_the_chain() {
        let mut c = Chain::new("input", HookPoint::Input);
        let any = Match::default;
        c.rules = vec![
            Rule::new(any(), Action::Counter),
            Rule::new(any(), Action::Mark(7)),
            Rule::new(Match { mark: Some(MarkMatch::exactly(7)), proto: Some(6), ..any() }, Action::Drop),
            Rule::new(any(), Action::Accept),
            Rule::new(any(), Action::Drop),
        ];
        assert_eq!(run(&mut c, 6), (ChainVerdict::Drop, 7));
        assert_eq!(run(&mut c, 17), (ChainVerdict::Accept, 7));
        let counted: Vec<u64> = c.rules.iter().map(|r| r.counter.packets).collect();
        assert_eq!(counted, [2, 2, 1, 1, 0]);
        assert_eq!(c.rules[0].to_string(), "counter packets 2 bytes 80");
    }

    #[test]
    fn policy_and_return() {
        let mut c = Chain::new("input", HookPoint::Input);
        c.policy = Policy::Drop;
        assert_eq!(run(&mut c, 6).0, ChainVerdict::Drop);
        c.rules = vec![Rule::new(Match::default(), Action::Return), Rule::new(Match::default(), Action::Accept)];
        assert_eq!(run(&mut c, 6).0, ChainVerdict::Drop);
    }

    #[test]
    fn a_reset_is_for_tcp_only() {
        let mut c = Chain::new("input", HookPoint::Input);
        c.rules = vec![Rule::new(Match::default(), Action::Reject(RejectWith::TcpReset))];
        assert_eq!(run(&mut c, 6).0, ChainVerdict::Reject(RejectWith::TcpReset));
        assert_eq!(run(&mut c, 17).0, ChainVerdict::Accept);
        assert_eq!(c.rules[0].to_string(), "reject with tcp reset");
    }

    /// Case filter-reject-codes.
    #[test]
    fn reject_words_and_codes() {
        let codes: Vec<_> = RejectWith::NAMES.iter().filter_map(|(w, _)| w.icmp(true)).collect();
        assert_eq!(codes, [(3, 0), (3, 1), (3, 2), (3, 3), (3, 9), (3, 10), (3, 13)]);
        for (with, name) in RejectWith::NAMES {
            assert_eq!(name.parse(), Ok(with));
        }
        assert!("icmp-nonsense".parse::<RejectWith>().is_err());
        assert_eq!(Action::Reject(RejectWith::default()).to_string(), "reject");
    }
}
