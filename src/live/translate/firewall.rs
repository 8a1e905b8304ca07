//! NAT rules and firewall chains.

use crate::{
    base::Prefix,
    conform::case::{ChainSpec, Node, RuleSpec, Scalar},
    scenario::{
        Directory, Namespace, NatTo, Net, Ports, Spanned,
        schema::{Chain, FilterRule, Match, Nat, Policy, RejectWith, State},
    },
};

/// Translates the firewall of a namespace.
pub fn rules(names: &Directory<'_>, ns: &Namespace, node: &mut Node) -> Result<(), String> {
    for rule in &ns.nat {
        let first = node.nat.len();
        nat(names, &rule.value, &mut node.nat)?;
        let six = |r: &RuleSpec| [&r.src, &r.dst].into_iter().flatten().any(|a| a.contains(':'));
        if node.nat[first..].iter().any(six) {
            return Err("NAT of IPv6 addresses is not translated yet".into());
        }
    }
    let chains = [("input", &ns.filter.input), ("forward", &ns.filter.forward), ("output", &ns.filter.output)];
    for (name, chain) in chains {
        if !chain.rules.is_empty() || chain.policy != Policy::Accept {
            node.filter.0.push((name.into(), chain_spec(names, chain)?));
        }
    }
    Ok(())
}

fn network(p: &Option<Spanned<Prefix>>) -> Option<String> {
    p.map(|p| if p.is_host() { p.addr().to_string() } else { p.to_string() })
}

fn device(name: &Option<Spanned<String>>) -> Option<String> {
    name.as_ref().map(|n| n.value.clone())
}

fn target(names: &Directory<'_>, to: &NatTo) -> Result<Scalar, String> {
    let addr = names.address(&to.host).map_err(|_| format!("`{}` has no address", to.host))?;
    let host = if addr.is_ipv4() { addr.to_string() } else { format!("[{addr}]") };
    Ok(Scalar(to.ports.map_or(host.clone(), |ports| format!("{host}:{ports}"))))
}

fn random(yes: bool) -> Option<Vec<String>> {
    yes.then(|| vec!["random".to_string()])
}

fn nat(names: &Directory<'_>, rule: &Nat, out: &mut Vec<RuleSpec>) -> Result<(), String> {
    match rule {
        Nat::Masquerade(m) => out.push(RuleSpec {
            action: "masquerade".into(),
            oif: Some(m.out.value.clone()),
            src: network(&m.from),
            dst: network(&m.dst),
            flags: random(m.random),
            ..RuleSpec::default()
        }),
        Nat::Snat(s) => out.push(RuleSpec {
            action: "snat".into(),
            to: Some(target(names, &s.to)?),
            oif: device(&s.out),
            src: network(&s.from),
            dst: network(&s.dst),
            flags: random(s.random),
            ..RuleSpec::default()
        }),
        Nat::Dnat(d) => {
            let base = RuleSpec {
                action: "dnat".into(),
                to: Some(target(names, &d.to)?),
                iif: device(&d.dev),
                src: network(&d.from),
                dst: network(&d.dst),
                ..RuleSpec::default()
            };
            let all = by_protocol(&base, d.tcp, d.udp);
            if d.local {
                let own = all.iter().map(|r| RuleSpec { hook: Some("output".into()), iif: None, ..r.clone() });
                out.extend(own.collect::<Vec<_>>());
            }
            out.extend(all);
        }
        Nat::PortForward(p) => {
            let base = RuleSpec {
                action: "dnat".into(),
                to: Some(target(names, &p.to)?),
                iif: Some(p.dev.value.clone()),
                ..RuleSpec::default()
            };
            out.extend(by_protocol(&base, p.tcp, p.udp));
        }
        Nat::Redirect(r) => {
            let to = r.to.map(|p| Scalar(p.to_string()));
            let base = RuleSpec { action: "redirect".into(), to, iif: device(&r.dev), ..RuleSpec::default() };
            out.extend(by_protocol(&base, r.tcp, r.udp));
        }
        Nat::Netmap(_) => return Err("Netmap is not translated yet".into()),
    }
    Ok(())
}

/// One rule for each protocol that is named, or one for all.
fn by_protocol(base: &RuleSpec, tcp: Option<Spanned<Ports>>, udp: Option<Spanned<Ports>>) -> Vec<RuleSpec> {
    let named = [("tcp", tcp), ("udp", udp)].into_iter().filter_map(|(p, ports)| {
        let dport = Some(Scalar(ports?.to_string()));
        Some(RuleSpec { proto: Some(p.into()), dport, ..base.clone() })
    });
    let all: Vec<RuleSpec> = named.collect();
    if all.is_empty() { vec![base.clone()] } else { all }
}

fn chain_spec(names: &Directory<'_>, chain: &Chain) -> Result<ChainSpec, String> {
    let mut rules = Vec::new();
    for rule in &chain.rules {
        let (m, action, with) = match &rule.value {
            FilterRule::Accept(m) => (m.clone(), "accept", None),
            FilterRule::Drop(m) => (m.clone(), "drop", None),
            FilterRule::Reject(r) => (r.matches(), "reject", Some(reject_with(&r.with).to_string())),
        };
        let base = RuleSpec { action: action.into(), with, ..RuleSpec::default() };
        rules.extend(matches(names, &m, base)?);
    }
    let policy = if chain.policy == Policy::Drop { "drop" } else { "accept" };
    Ok(ChainSpec { policy: Some(policy.into()), rules })
}

fn matches(names: &Directory<'_>, m: &Match, mut base: RuleSpec) -> Result<Vec<RuleSpec>, String> {
    let net = |n: &Option<Spanned<Net>>| match n.as_ref().map(|n| &n.value) {
        None => Ok(None),
        Some(Net::Prefix(p)) => Ok(Some(p.to_string())),
        Some(Net::Host(t)) => {
            let addr = names.address(t).map_err(|_| format!("`{t}` has no address"))?;
            Ok::<_, String>(Some(addr.to_string()))
        }
    };
    (base.src, base.dst) = (net(&m.from)?, net(&m.to)?);
    (base.iif, base.oif) = (device(&m.dev), device(&m.out));
    let state = |s: &State| {
        let name = match s {
            State::New => "new",
            State::Established => "established",
            State::Related => "related",
            State::Invalid => "invalid",
        };
        name.to_string()
    };
    base.ct_state = (!m.state.is_empty()).then(|| m.state.iter().map(state).collect());
    if !m.icmp {
        return Ok(by_protocol(&base, m.tcp, m.udp));
    }
    let family = base.src.as_ref().or(base.dst.as_ref()).map(|a| !a.contains(':'));
    let protocols = [(true, "icmp"), (false, "icmpv6")];
    let fitting = protocols.into_iter().filter(|(ipv4, _)| family.is_none_or(|f| f == *ipv4));
    Ok(fitting.map(|(_, p)| RuleSpec { proto: Some(p.into()), ..base.clone() }).collect())
}

fn reject_with(with: &RejectWith) -> &'static str {
    match with {
        RejectWith::PortUnreachable => "icmp-port-unreachable",
        RejectWith::HostUnreachable => "icmp-host-unreachable",
        RejectWith::NetUnreachable => "icmp-net-unreachable",
        RejectWith::AdminProhibited => "icmp-admin-prohibited",
        RejectWith::TcpReset => "tcp-reset",
    }
}
