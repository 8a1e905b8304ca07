//! The topology in a few lines: a line for each bridge and each cable.

use super::{
    Scenario,
    schema::{Device, Impairment, Link},
};

/// At most this many lines; a larger world is better drawn.
const MAX_LINES: usize = 24;

/// Bridges, then cables, in the order of the file.
pub(super) fn lines(scenario: &Scenario) -> Vec<String> {
    let mut lines = Vec::new();
    for (ns, settings) in scenario.namespaces.iter() {
        for (name, device) in settings.devices.iter() {
            let Device::Bridge(bridge) = device else { continue };
            let ports: Vec<&str> = bridge.ports.iter().map(|p| p.0.dev.value.as_str()).collect();
            lines.push(format!("{}  is a bridge over {}", end(scenario, ns, name), ports.join(", ")));
        }
    }
    lines.extend(scenario.links.iter().map(|link| cable(scenario, link)));
    let beyond = lines.len().saturating_sub(MAX_LINES);
    if beyond > 0 {
        lines.truncate(MAX_LINES);
        lines.push(format!("… and {beyond} more"));
    }
    lines
}

fn cable(scenario: &Scenario, link: &Link) -> String {
    let (a, b) = (link.a(), link.b());
    let mut line = format!("{} ═══ {}", end(scenario, &a.ns, &a.dev), end(scenario, &b.ns, &b.dev));
    let (there, back) = (impaired(&link.forward_impairment()), impaired(&link.backward_impairment()));
    match (there.is_empty(), there == back) {
        (true, true) => {}
        (false, true) => line.push_str(&format!("  ({there})")),
        _ => line.push_str(&format!("  (→ {}, ← {})", or_perfect(&there), or_perfect(&back))),
    }
    if !link.up {
        line.push_str("  (unplugged)");
    }
    line
}

fn or_perfect(words: &str) -> &str {
    if words.is_empty() { "perfect" } else { words }
}

/// `ns:dev` and its addresses.
fn end(scenario: &Scenario, ns: &str, dev: &str) -> String {
    let device = scenario.namespaces.get(ns).and_then(|n| n.devices.get(dev));
    let addrs = device.map_or(&[][..], |d| d.addresses());
    let addrs: String = addrs.iter().map(|a| format!(" {}", a.value)).collect();
    format!("{ns}:{dev}{addrs}")
}

fn impaired(i: &Impairment) -> String {
    let mut words = Vec::new();
    let mut say = |name: &str, value: Option<String>| words.extend(value.map(|v| format!("{name} {v}")));
    say("delay", i.delay.map(|v| v.to_string()));
    say("jitter", i.jitter.map(|v| v.to_string()));
    say("rate", i.rate.map(|v| v.to_string()));
    say("loss", i.loss.map(|v| v.to_string()));
    say("duplicate", i.duplicate.map(|v| v.to_string()));
    say("reorder", i.reorder.map(|v| v.to_string()));
    say("corrupt", i.corrupt.map(|v| v.to_string()));
    say("queue", i.queue.map(|v| v.to_string()));
    words.join(", ")
}
