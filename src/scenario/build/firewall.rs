//! NAT rules and firewall chains.

use super::Builder;
use crate::{
    base::{NsId, Prefix, proto},
    netfilter::{
        Action, AddrMatch, Chain as NfChain, CtStates, Family, Match as NfMatch, NatAction, NatRule, NatTarget,
        Policy as NfPolicy, Ports as NfPorts, RejectWith as NfReject, Rule,
    },
    scenario::{
        Net, Ports, Spanned,
        names::NatTo,
        schema::{Chain, FilterRule, Match, Nat, Policy, RejectWith, State},
    },
    trace::HookPoint,
};

impl Builder<'_> {
    pub(super) fn firewalls(&mut self) {
        let scenario = self.scenario;
        for (name, ns) in scenario.namespaces.iter() {
            let Some(id) = self.world.find_ns(name) else { continue };
            for nat in &ns.nat {
                for rule in self.nat_rules(nat).unwrap_or_default() {
                    // The schema has no rule at a hook where its action cannot work.
                    self.world.netfilter_mut(id).add_nat(rule).expect("the rules below are well placed");
                }
            }
            let f = &ns.filter;
            let chains = [("input", HookPoint::Input, &f.input), ("forward", HookPoint::Forward, &f.forward)];
            for (chain_name, hook, chain) in chains.into_iter().chain([("output", HookPoint::Output, &f.output)]) {
                self.chain(id, chain_name, hook, chain);
            }
        }
    }

    /// The rules one NAT entry stands for: one for each protocol it names.
    fn nat_rules(&mut self, nat: &Spanned<Nat>) -> Option<Vec<NatRule>> {
        let network = |p: Option<Spanned<Prefix>>| p.map(|p| AddrMatch { prefix: *p, negate: false });
        let name = |n: &Option<Spanned<String>>| n.as_ref().map(|n| n.value.as_str().into());
        Some(match &nat.value {
            Nat::Masquerade(m) => {
                let matches = NfMatch {
                    oif: Some(m.out.value.as_str().into()),
                    src: network(m.from),
                    dst: network(m.dst),
                    ..NfMatch::default()
                };
                vec![rule(matches, NatAction::Masquerade { ports: None, random: m.random })]
            }
            Nat::Snat(s) => {
                let matches =
                    NfMatch { oif: name(&s.out), src: network(s.from), dst: network(s.dst), ..NfMatch::default() };
                let to = self.nat_target(&s.to)?;
                vec![NatRule::new(matches, NatAction::Snat { to, random: s.random, persistent: false })]
            }
            Nat::Dnat(d) => {
                let matches =
                    NfMatch { iif: name(&d.dev), src: network(d.from), dst: network(d.dst), ..NfMatch::default() };
                let to = self.nat_target(&d.to)?;
                let rules = by_protocol(matches, d.tcp, d.udp).map(|m| NatRule::new(m, NatAction::Dnat { to }));
                let rules: Vec<NatRule> = rules.collect();
                let own = d.local.then(|| rules.clone().into_iter().map(NatRule::on_output)).into_iter().flatten();
                let own: Vec<NatRule> = own.collect();
                rules.into_iter().chain(own).collect()
            }
            Nat::PortForward(p) => {
                let matches = NfMatch { iif: Some(p.dev.value.as_str().into()), ..NfMatch::default() };
                let to = self.nat_target(&p.to)?;
                by_protocol(matches, p.tcp, p.udp).map(|m| NatRule::new(m, NatAction::Dnat { to })).collect()
            }
            Nat::Redirect(r) => {
                let matches = NfMatch { iif: name(&r.dev), ..NfMatch::default() };
                let ports = r.to.map(|p| NfPorts::one(*p));
                by_protocol(matches, r.tcp, r.udp).map(|m| rule(m, NatAction::Redirect { ports })).collect()
            }
            Nat::Netmap(n) => {
                let device = || Some(n.out.value.as_str().into());
                let out = NfMatch { oif: device(), src: network(Some(n.inner)), ..NfMatch::default() };
                let back = NfMatch { iif: device(), dst: network(Some(n.outer)), ..NfMatch::default() };
                vec![
                    NatRule::new(out, NatAction::SnatPrefix { to: *n.outer }),
                    NatRule::new(back, NatAction::DnatPrefix { to: *n.inner }),
                ]
            }
        })
    }

    fn nat_target(&mut self, to: &Spanned<NatTo>) -> Option<NatTarget> {
        let addr = self.addr(&to.host, to.span)?;
        Some(NatTarget { ports: to.ports.map(port_range), ..NatTarget::addr(addr) })
    }

    fn chain(&mut self, ns: NsId, name: &str, hook: HookPoint, chain: &Chain) {
        if chain.rules.is_empty() && chain.policy == Policy::Accept {
            return;
        }
        let mut made = NfChain::new(name, hook);
        made.policy = match chain.policy {
            Policy::Accept => NfPolicy::Accept,
            Policy::Drop => NfPolicy::Drop,
        };
        for rule in &chain.rules {
            let (matches, action) = match &rule.value {
                FilterRule::Accept(m) => (m.clone(), Action::Accept),
                FilterRule::Drop(m) => (m.clone(), Action::Drop),
                FilterRule::Reject(r) => (r.matches(), Action::Reject(reject_with(&r.with))),
            };
            let Some(expanded) = self.matches(&matches) else { continue };
            made.rules.extend(expanded.into_iter().map(|m| Rule::new(m, action)));
        }
        self.world.netfilter_mut(ns).add_chain(made);
    }

    /// The kernel's rules for one rule of the file: one for each protocol it names.
    fn matches(&mut self, m: &Match) -> Option<Vec<NfMatch>> {
        let mut net = |n: &Option<Spanned<Net>>| match n {
            None => Some(None),
            Some(n) => {
                let prefix = match &n.value {
                    Net::Prefix(prefix) => *prefix,
                    Net::Host(target) => Prefix::host(self.addr(target, n.span)?),
                };
                Some(Some(AddrMatch { prefix, negate: false }))
            }
        };
        let (src, dst) = (net(&m.from)?, net(&m.to)?);
        let states = m.state.iter().map(|s| match s {
            State::New => CtStates::NEW,
            State::Established => CtStates::ESTABLISHED,
            State::Related => CtStates::RELATED,
            State::Invalid => CtStates::INVALID,
        });
        let base = NfMatch {
            iif: m.dev.as_ref().map(|n| n.value.as_str().into()),
            oif: m.out.as_ref().map(|n| n.value.as_str().into()),
            src,
            dst,
            ct_state: states.reduce(|a, b| a | b),
            ..NfMatch::default()
        };
        if !m.icmp {
            return Some(by_protocol(base, m.tcp, m.udp).collect());
        }
        let family = src.or(dst).map(|a| a.prefix.is_ipv4());
        let protocols = [(true, proto::ICMP), (false, proto::ICMPV6)];
        let fitting = protocols.into_iter().filter(|(ipv4, _)| family.is_none_or(|f| f == *ipv4));
        Some(fitting.map(|(_, p)| NfMatch { proto: Some(p), ..base.clone() }).collect())
    }
}

/// One match for each protocol that is named, or one for all.
/// A rule that names no address translates both families, as in an `inet` table.
fn rule(matches: NfMatch, action: NatAction) -> NatRule {
    let unaddressed = matches.src.is_none() && matches.dst.is_none();
    let mut rule = NatRule::new(matches, action);
    if unaddressed {
        rule.family = Family::Inet;
    }
    rule
}

fn by_protocol(
    base: NfMatch,
    tcp: Option<Spanned<Ports>>,
    udp: Option<Spanned<Ports>>,
) -> impl Iterator<Item = NfMatch> {
    let named = [(proto::TCP, tcp), (proto::UDP, udp)];
    let none = tcp.is_none() && udp.is_none();
    let all = none.then(|| base.clone());
    let each = named.into_iter().filter_map(move |(p, ports)| {
        ports.map(|ports| NfMatch { proto: Some(p), dport: Some(port_range(*ports)), ..base.clone() })
    });
    all.into_iter().chain(each)
}

fn port_range(ports: Ports) -> NfPorts {
    NfPorts { min: ports.first, max: ports.last }
}

fn reject_with(with: &RejectWith) -> NfReject {
    match with {
        RejectWith::PortUnreachable => NfReject::PortUnreachable,
        RejectWith::HostUnreachable => NfReject::HostUnreachable,
        RejectWith::NetUnreachable => NfReject::NetUnreachable,
        RejectWith::AdminProhibited => NfReject::AdminProhibited,
        RejectWith::TcpReset => NfReject::TcpReset,
    }
}
