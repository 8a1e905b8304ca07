//! Makes a scenario comparable: names become addresses, what only one of the two worlds has is left out.

use super::Choices;
use crate::scenario::{
    Device, Directory, Scenario, Service, Spanned, Target,
    schema::{Action, Fdb, Impair, Impairment},
};

/// Whether anything of the scenario is about IPv6.
pub fn uses_ipv6(scenario: &Scenario) -> bool {
    scenario.namespaces.iter().any(|(_, ns)| ns.speaks_ipv6())
}

/// The scenario with the changes that are asked for; what is changed is added to the notes.
pub fn tame(scenario: &Scenario, choices: Choices, notes: &mut Vec<String>) -> Scenario {
    let mut s = scenario.clone();
    s.expect.clear();
    s.save.clear();
    addresses(&mut s);
    families(&mut s);
    cables(&mut s, choices, notes);
    if choices.plain_bridges {
        bridges(&mut s, notes);
    }
    s
}

/// Targets of steps become addresses, so that programs print these in both worlds.
fn addresses(s: &mut Scenario) {
    let whole = s.clone();
    let names = Directory::new(&whole);
    let fix = |t: &mut Target| {
        if let Ok(addr) = names.address(t) {
            *t = Target::Addr(addr);
        }
    };
    let service = |s: &mut Spanned<Service>| fix(&mut s.value.host);
    for step in &mut s.steps {
        match &mut step.action.value {
            Action::Ping(p) => {
                fix(&mut p.to.value);
                if let Some(source) = &mut p.source {
                    fix(&mut source.value);
                }
            }
            Action::Traceroute(t) => fix(&mut t.to.value),
            Action::UdpSend(u) => service(&mut u.to),
            Action::TcpConnect(c) => service(&mut c.to),
            Action::TcpBulk(b) => service(&mut b.to),
            Action::HttpGet(g) => fix(&mut g.url.value.service.host),
            _ => {}
        }
    }
}

/// Without IPv6 addresses both worlds do without IPv6; with them, both without what depends on random delays. The plan of
/// a case says the same to Linux.
pub fn family_settings(ipv6: bool) -> &'static [(&'static str, &'static str)] {
    match ipv6 {
        true => &[
            ("net.ipv6.conf.all.accept_dad", "0"),
            ("net.ipv6.conf.default.accept_dad", "0"),
            ("net.ipv6.conf.all.router_solicitations", "0"),
            ("net.ipv6.conf.default.router_solicitations", "0"),
        ],
        false => &[("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1")],
    }
}

fn families(s: &mut Scenario) {
    let settings = family_settings(uses_ipv6(s));
    for (_, ns) in &mut s.namespaces.0 {
        for (key, value) in settings {
            if ns.namespace.sysctl.get(key).is_none() {
                ns.namespace.sysctl.0.insert(0, (key.to_string().into(), value.to_string().into()));
            }
        }
    }
}

fn cables(s: &mut Scenario, choices: Choices, notes: &mut Vec<String>) {
    let (mut perfected, mut steadied) = (Vec::new(), Vec::new());
    let mut tame = |i: &mut Impairment, whose: String| {
        if choices.perfect_cables && !i.is_none() {
            *i = Impairment::NONE;
            perfected.push(whose);
        } else if choices.nothing_random {
            let random = [&mut i.loss, &mut i.duplicate, &mut i.reorder, &mut i.corrupt];
            let mut any = i.jitter.take().is_some();
            random.into_iter().for_each(|share| any |= share.take().is_some());
            if any {
                steadied.push(whose);
            }
        }
    };
    for link in &mut s.links {
        let l = &mut link.0;
        let mut common = l.common();
        tame(&mut common, format!("`{}`", l.ends.value));
        (l.delay, l.jitter, l.rate, l.loss) = (common.delay, common.jitter, common.rate, common.loss);
        (l.duplicate, l.reorder, l.corrupt, l.queue) = (common.duplicate, common.reorder, common.corrupt, common.queue);
        for way in [&mut l.forward, &mut l.backward].into_iter().flatten() {
            tame(way, format!("`{}`", l.ends.value));
        }
    }
    for step in &mut s.steps {
        if let Action::Impair(Impair { at, with }) = &mut step.action.value {
            tame(with, format!("`{}`", at.value));
        }
    }
    let why = [
        (perfected, "cables are perfect, because the kernel has no netem"),
        (steadied, "cables are without what is random about them"),
    ];
    for (whose, what) in why.iter().filter(|(whose, _)| !whose.is_empty()) {
        notes.push(format!("{what}: {}", whose.join(", ")));
    }
}

/// Bridges that know namespaces are nothing Linux has.
fn bridges(s: &mut Scenario, notes: &mut Vec<String>) {
    let mut changed = Vec::new();
    for (name, ns) in &mut s.namespaces.0 {
        for (dev, device) in &mut ns.namespace.devices.0 {
            if let Device::Bridge(b) = device
                && b.fdb == Fdb::Namespace
            {
                b.fdb = Fdb::Mac;
                changed.push(format!("{name}:{dev}"));
            }
        }
    }
    if !changed.is_empty() {
        let whose = changed.join(", ");
        notes.push(format!("bridges look at MAC addresses alone, as those of Linux do: {whose}"));
    }
}
