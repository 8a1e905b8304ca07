//! Filter chains and NAT rules of a case, as the oracle says them to nft.

use super::Refusal;
use crate::{
    base::{NsId, proto},
    conform::case::{ChainSpec, Ordered, RuleSpec, Scalar},
    kernel::Kernel,
    netfilter::{
        Action, Chain, CtStates, MarkMatch, Match, NatAction, NatRule, NatTarget, Policy, Ports, RejectWith, Rule,
        priority,
    },
    trace::HookPoint,
};

/// Adds rules: to the chains that exist, else to new ones.
///
/// # Errors
/// For words nft would not understand, and [`Refusal::Unsupported`] for rules in nft's own language.
pub fn apply(
    k: &mut Kernel,
    ns: NsId,
    nat: &[RuleSpec],
    filter: &Ordered<ChainSpec>,
    nft: Option<&str>,
) -> Result<(), Refusal> {
    if nft.is_some() {
        return Err(Refusal::unsupported("rules in the language of nft"));
    }
    if nat.is_empty() && filter.0.is_empty() {
        return Ok(());
    }
    let nat = nat.iter().map(nat_rule).collect::<Result<Vec<_>, _>>()?;
    let mut chains = Vec::new();
    for (name, spec) in filter.iter() {
        let rules = spec.rules.iter().map(filter_rule).collect::<Result<Vec<_>, _>>()?;
        chains.push((name, hook(name)?, policy(spec)?, rules));
    }
    let nf = k.netfilter_mut(ns);
    for rule in nat {
        nf.add_nat(rule).map_err(|e| Refusal::Said(e.to_string()))?;
    }
    nf.update_chains(|all| {
        for (name, hook, policy, rules) in chains {
            let at = all.iter().position(|c| &*c.name == name).unwrap_or_else(|| {
                let priority = if hook == HookPoint::Prerouting { priority::RAW } else { priority::FILTER };
                all.push(Chain { priority, ..Chain::new(name, hook) });
                all.len() - 1
            });
            all[at].policy = policy;
            all[at].rules.extend(rules);
        }
    });
    Ok(())
}

fn hook(name: &str) -> Result<HookPoint, Refusal> {
    let all = [HookPoint::Prerouting, HookPoint::Input, HookPoint::Forward, HookPoint::Output, HookPoint::Postrouting];
    all.into_iter().find(|h| h.name() == name).ok_or_else(|| Refusal::said("there is no such hook", name))
}

fn policy(spec: &ChainSpec) -> Result<Policy, Refusal> {
    match spec.policy.as_deref() {
        None | Some("accept") => Ok(Policy::Accept),
        Some("drop") => Ok(Policy::Drop),
        Some(other) => Err(Refusal::said("there is no such policy", other)),
    }
}

fn filter_rule(r: &RuleSpec) -> Result<Rule, Refusal> {
    let action = match &*r.action {
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "reject" => {
            let with = r.with.as_deref().unwrap_or("icmp-port-unreachable");
            Action::Reject(with.parse::<RejectWith>().map_err(said)?)
        }
        "mark" => Action::Mark(number(r.set_mark.as_ref().ok_or(Refusal::said("a mark rule needs", "set_mark"))?)?),
        other => return Err(Refusal::said("there is no such action", other)),
    };
    Ok(Rule::new(matches(r)?, action))
}

fn nat_rule(r: &RuleSpec) -> Result<NatRule, Refusal> {
    let flag = |name: &str| r.flags.as_ref().is_some_and(|f| f.iter().any(|x| x == name));
    let random = flag("random") || flag("fully-random");
    let ports = || r.to.as_ref().map(|t| t.0.trim_start_matches(':').parse::<Ports>().map_err(said)).transpose();
    let target = || {
        let to = r.to.as_ref().ok_or_else(|| Refusal::said("a rule needs `to`", &r.action))?;
        to.0.parse::<NatTarget>().map_err(said)
    };
    let action = match &*r.action {
        "masquerade" => NatAction::Masquerade { ports: ports()?, random },
        "snat" => NatAction::Snat { to: target()?, random, persistent: flag("persistent") },
        "dnat" => NatAction::Dnat { to: target()? },
        "redirect" => NatAction::Redirect { ports: ports()? },
        other => return Err(Refusal::said("there is no such action", other)),
    };
    let mut rule = NatRule::new(matches(r)?, action);
    if let Some(name) = &r.hook {
        rule.hook = hook(name)?;
    }
    Ok(rule)
}

fn matches(r: &RuleSpec) -> Result<Match, Refusal> {
    let addr = |a: &Option<String>| a.as_ref().map(|a| a.parse().map_err(said)).transpose();
    let ports = |p: &Option<Scalar>| p.as_ref().map(|p| p.0.parse().map_err(said)).transpose();
    let protocol = r.proto.as_deref().map(protocol).transpose()?;
    let ct_state = match &r.ct_state {
        Some(states) => Some(states.join(",").parse::<CtStates>().map_err(said)?),
        None => None,
    };
    let icmp_type = r.icmp_type.as_ref().filter(|_| protocol == Some(proto::ICMP)).map(icmp_type).transpose()?;
    let status = |name: &str| r.ct_status.as_deref().and_then(|s| (s == name).then_some(true));
    if let Some(s) = r.ct_status.as_deref().filter(|s| !matches!(*s, "snat" | "dnat")) {
        return Err(Refusal::unsupported(&format!("ct status {s}")));
    }
    Ok(Match {
        iif: r.iif.as_deref().map(Into::into),
        oif: r.oif.as_deref().map(Into::into),
        src: addr(&r.src)?,
        dst: addr(&r.dst)?,
        proto: protocol,
        sport: ports(&r.sport)?,
        dport: ports(&r.dport)?,
        icmp_type,
        ct_state,
        ct_snat: status("snat"),
        ct_dnat: status("dnat"),
        mark: r.mark.as_ref().map(|m| number(m).map(MarkMatch::exactly)).transpose()?,
        ..Match::default()
    })
}

fn said(e: impl ToString) -> Refusal {
    Refusal::Said(e.to_string())
}

/// A number, decimal or with `0x` in front.
pub fn number(text: &Scalar) -> Result<u32, Refusal> {
    let parsed = match text.0.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.0.parse(),
    };
    parsed.map_err(|_| Refusal::said("this is not a number", &text.0))
}

/// The number of a protocol.
pub fn protocol(name: &str) -> Result<u8, Refusal> {
    Ok(match name {
        "icmp" => proto::ICMP,
        "tcp" => proto::TCP,
        "udp" => proto::UDP,
        "icmpv6" | "ipv6-icmp" => proto::ICMPV6,
        "gre" => proto::GRE,
        other => other.parse().map_err(|_| Refusal::said("there is no such protocol", other))?,
    })
}

/// The number of an ICMP type by nft's name for it.
fn icmp_type(name: &Scalar) -> Result<u8, Refusal> {
    const NAMES: [(&str, u8); 10] = [
        ("echo-reply", 0),
        ("destination-unreachable", 3),
        ("source-quench", 4),
        ("redirect", 5),
        ("echo-request", 8),
        ("router-advertisement", 9),
        ("router-solicitation", 10),
        ("time-exceeded", 11),
        ("parameter-problem", 12),
        ("timestamp-request", 13),
    ];
    match NAMES.iter().find(|(n, _)| *n == name.0) {
        Some((_, t)) => Ok(*t),
        None => name.0.parse().map_err(|_| Refusal::said("there is no such ICMP type", &name.0)),
    }
}
