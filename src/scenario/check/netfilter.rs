//! Address translation and firewall.

use super::Checker;
use crate::scenario::{
    Diagnostic, Expanded, Net, Ports, Span, Spanned,
    schema::{Chain, FilterRule, Match, Nat, Netmap, RejectWith},
};

pub(super) fn check(c: &mut Checker<'_, '_>) {
    for (_, ns, settings) in c.sound() {
        for rule in &settings.nat {
            check_nat(c, ns, rule);
        }
        does_not_forward(c, ns, settings);
        for (chain, name) in [
            (&settings.filter.input, "input"),
            (&settings.filter.forward, "forward"),
            (&settings.filter.output, "output"),
        ] {
            check_chain(c, ns, chain, name);
        }
    }
}

fn check_nat(c: &mut Checker<'_, '_>, ns: &str, rule: &Spanned<Nat>) {
    let (device, to, ports, needs_ports) = match &rule.value {
        Nat::Masquerade(m) => (Some(&m.out), None, None, false),
        Nat::Snat(s) => (s.out.as_ref(), Some(&s.to), None, false),
        Nat::Dnat(d) => (d.dev.as_ref(), Some(&d.to), Some((&d.tcp, &d.udp)), d.to.ports.is_some()),
        Nat::PortForward(p) => (Some(&p.dev), Some(&p.to), Some((&p.tcp, &p.udp)), true),
        Nat::Redirect(r) => (r.dev.as_ref(), None, Some((&r.tcp, &r.udp)), true),
        Nat::Netmap(n) => {
            same_size(c, n);
            (Some(&n.out), None, None, false)
        }
    };
    if let Some(device) = device {
        c.device(ns, device);
    }
    if let Some(to) = to {
        c.target(&to.host, to.span);
    }
    let Some((tcp, udp)) = ports else { return };
    both(c, tcp, udp, "write two rules");
    if needs_ports && tcp.is_none() && udp.is_none() {
        let message = format!("`{}` does not say which port", rule.name());
        let d = Diagnostic::error("missing-port", head(rule.span, rule.name()), message).label("no `tcp` or `udp`");
        c.report(d.help("add `tcp: PORT` or `udp: PORT`"));
    }
}

/// Every address inside needs one outside.
fn same_size(c: &mut Checker<'_, '_>, n: &Netmap) {
    let (inner, outer) = (&n.inner, &n.outer);
    if inner.len() == outer.len() && inner.is_ipv4() == outer.is_ipv4() {
        return;
    }
    let d =
        Diagnostic::error("netmap-size", outer.span, format!("{} is not of the size of {}", outer.value, inner.value));
    c.report(
        d.label("two networks of one family and one prefix length are needed").help(format!("write /{}", inner.len())),
    );
}

/// The name of a rule, without its parentheses.
fn head(span: Span, name: &str) -> Span {
    Span { end: span.end.min(span.start + name.len() as u32), ..span }
}

/// Translating what passes through needs forwarding; a step may turn it on later, so this is a warning.
fn does_not_forward(c: &mut Checker<'_, '_>, ns: &str, settings: &Expanded) {
    let passing = settings.nat.iter().find(|rule| matches!(rule.value, Nat::Masquerade(_) | Nat::PortForward(_)));
    let Some(rule) = passing else { return };
    let on = |key: &str| key.replace('/', ".").ends_with("forward") || key.ends_with("forwarding");
    if !settings.sysctl.iter().any(|(key, _)| on(key)) {
        let d = Diagnostic::warning(
            "nat-without-forwarding",
            head(rule.span, rule.name()),
            format!("`{ns}` translates addresses but does not forward packets"),
        );
        c.report(
            d.label("nothing will pass through").help("make it a `Router(...)`, or set `net.ipv4.ip_forward` to \"1\""),
        );
    }
}

fn check_chain(c: &mut Checker<'_, '_>, ns: &str, chain: &Chain, name: &str) {
    for rule in &chain.rules {
        let properties = match &rule.value {
            FilterRule::Accept(m) | FilterRule::Drop(m) => m.clone(),
            FilterRule::Reject(reject) => {
                if reject.with == RejectWith::TcpReset && reject.tcp.is_none() {
                    let message = "only TCP can be answered with a reset";
                    let d = Diagnostic::error("reset-without-tcp", head(rule.span, "Reject"), message);
                    c.report(d.label("the rule matches more than TCP").help("add `tcp: \"1-65535\"`"));
                }
                reject.matches()
            }
        };
        check_match(c, ns, &properties, name);
    }
}

fn check_match(c: &mut Checker<'_, '_>, ns: &str, m: &Match, chain: &str) {
    for (device, known, word) in [(&m.dev, chain != "output", "in"), (&m.out, chain != "input", "out")] {
        let Some(device) = device else { continue };
        c.device(ns, device);
        if !known {
            let what = if word == "in" { "arrived by no device" } else { "leave by no device" };
            let message = format!("packets of the {chain} chain {what}");
            let d = Diagnostic::error("no-such-device-here", device.span, message);
            c.report(d.label(format!("`{word}` cannot match here")).help("leave it out, or move the rule"));
        }
    }
    for net in [&m.from, &m.to].into_iter().flatten() {
        if let Net::Host(target) = &net.value {
            c.target(target, net.span);
        }
    }
    both(c, &m.tcp, &m.udp, "write two rules");
    if let (true, Some(ports)) = (m.icmp, m.tcp.or(m.udp)) {
        let d = Diagnostic::error("two-protocols", ports.span, "ICMP has no ports");
        c.report(d.label("no packet can be both").help("write two rules"));
    }
}

fn both(c: &mut Checker<'_, '_>, tcp: &Option<Spanned<Ports>>, udp: &Option<Spanned<Ports>>, help: &str) {
    if let (Some(tcp), Some(udp)) = (tcp, udp) {
        let d = Diagnostic::error("two-protocols", udp.span, "no packet is both TCP and UDP").label("and UDP");
        c.report(d.related(tcp.span, "TCP").help(help));
    }
}
