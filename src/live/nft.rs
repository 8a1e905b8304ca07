//! A case's filter chains and NAT rules in the language of nft.

use crate::conform::case::{ChainSpec, Ordered, RuleSpec};
use std::fmt::Write;

/// The input of `nft -f -`; nothing if there are no rules.
pub fn render(nat: &[RuleSpec], filter: &Ordered<ChainSpec>, own: Option<&str>) -> Option<String> {
    let mut out = String::new();
    if !nat.is_empty() {
        let mut chains: Vec<(&str, Vec<String>)> = Vec::new();
        for r in nat {
            let source = matches!(&*r.action, "masquerade" | "snat");
            let hook = r.hook.as_deref().unwrap_or(if source { "postrouting" } else { "prerouting" });
            match chains.iter_mut().find(|(h, _)| *h == hook) {
                Some((_, rules)) => rules.push(nat_rule(r)),
                None => chains.push((hook, vec![nat_rule(r)])),
            }
        }
        out += "table ip nat {\n";
        for (hook, rules) in chains {
            let priority = if matches!(hook, "prerouting" | "output") { -100 } else { 100 };
            chain(&mut out, hook, "nat", priority, "accept", &rules);
        }
        out += "}\n";
    }
    if !filter.0.is_empty() {
        out += "table inet filter {\n";
        for (hook, c) in filter.iter() {
            let priority = if hook == "prerouting" { -300 } else { 0 };
            let rules: Vec<String> = c.rules.iter().map(filter_rule).collect();
            chain(&mut out, hook, "filter", priority, c.policy.as_deref().unwrap_or("accept"), &rules);
        }
        out += "}\n";
    }
    if let Some(own) = own {
        let _ = writeln!(out, "{own}");
    }
    (!out.is_empty()).then_some(out)
}

fn chain(out: &mut String, hook: &str, kind: &str, priority: i32, policy: &str, rules: &[String]) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  chain {hook} {{ type {kind} hook {hook} priority {priority}; policy {policy};");
    for r in rules {
        let _ = writeln!(out, "    {r}");
    }
    *out += "  }\n";
}

fn nat_rule(r: &RuleSpec) -> String {
    let to = r.to.as_ref();
    let mut words = matches(r);
    words.push(match &*r.action {
        "masquerade" | "redirect" => to.map_or(r.action.clone(), |to| format!("{} to :{to}", r.action)),
        action => format!("{action} to {}", to.map_or("", |t| &t.0)),
    });
    words.extend(r.flags.as_ref().filter(|f| !f.is_empty()).map(|f| f.join(",")));
    words.join(" ")
}

fn filter_rule(r: &RuleSpec) -> String {
    let mut words = matches(r);
    words.push(match &*r.action {
        "reject" => match r.with.as_deref().unwrap_or("icmp-port-unreachable") {
            "tcp-reset" => "reject with tcp reset".into(),
            with => format!("reject with icmp type {}", with.replace("icmp-", "")),
        },
        "mark" => format!("meta mark set {}", r.set_mark.as_ref().map_or("0", |m| &m.0)),
        action => action.into(),
    });
    words.join(" ")
}

/// The expressions a packet has to match.
fn matches(r: &RuleSpec) -> Vec<String> {
    let mut e = Vec::new();
    e.extend(r.iif.as_ref().map(|d| format!("iifname \"{d}\"")));
    e.extend(r.oif.as_ref().map(|d| format!("oifname \"{d}\"")));
    for (addr, word) in [(&r.src, "saddr"), (&r.dst, "daddr")] {
        let Some(addr) = addr else { continue };
        let (not, addr) = addr.strip_prefix('!').map_or(("", &**addr), |rest| ("!= ", rest));
        let family = if addr.contains(':') { "ip6" } else { "ip" };
        e.push(format!("{family} {word} {not}{addr}"));
    }
    match (&r.proto, &r.icmp_type) {
        (Some(p), _) if r.sport.is_some() || r.dport.is_some() => {
            e.extend(r.sport.as_ref().map(|s| format!("{p} sport {s}")));
            e.extend(r.dport.as_ref().map(|d| format!("{p} dport {d}")));
        }
        (Some(p), Some(kind)) if p == "icmp" => e.push(format!("icmp type {kind}")),
        (Some(p), _) => e.push(format!("meta l4proto {p}")),
        (None, _) => {}
    }
    e.extend(r.ct_state.as_ref().map(|s| format!("ct state {{ {} }}", s.join(", "))));
    e.extend(r.ct_status.as_ref().map(|s| format!("ct status {s}")));
    e.extend(r.mark.as_ref().map(|m| format!("meta mark {m}")));
    e
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_nft_writes_them() {
        let rule = |text: &str| serde_json::from_str::<RuleSpec>(text).unwrap();
        let nat = [
            rule(r#"{"action": "masquerade", "oif": "wan", "src": "10.0.0.0/24"}"#),
            rule(r#"{"action": "dnat", "iif": "wan", "proto": "tcp", "dport": 8080, "to": "10.0.0.2:80"}"#),
        ];
        let filter: Ordered<ChainSpec> = serde_json::from_str(
            r#"{"forward": {"policy": "drop", "rules": [{"ct_state": ["established", "related"], "action": "accept"},
                {"src": "!10.0.0.0/8", "action": "reject", "with": "icmp-host-prohibited"}]}}"#,
        )
        .unwrap();
        let text = render(&nat, &filter, None).unwrap();
        assert_eq!(
            text.lines().map(str::trim).collect::<Vec<_>>(),
            [
                "table ip nat {",
                "chain postrouting { type nat hook postrouting priority 100; policy accept;",
                "oifname \"wan\" ip saddr 10.0.0.0/24 masquerade",
                "}",
                "chain prerouting { type nat hook prerouting priority -100; policy accept;",
                "iifname \"wan\" tcp dport 8080 dnat to 10.0.0.2:80",
                "}",
                "}",
                "table inet filter {",
                "chain forward { type filter hook forward priority 0; policy drop;",
                "ct state { established, related } accept",
                "ip saddr != 10.0.0.0/8 reject with icmp type host-prohibited",
                "}",
                "}",
            ]
        );
        assert_eq!(render(&[], &Ordered::default(), None), None);
    }
}
