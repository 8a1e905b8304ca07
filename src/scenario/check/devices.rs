//! Devices: bridges and their ports, VLANs and what is below them, plain devices without a cable.

use super::Checker;
use crate::{
    base::Map,
    scenario::{
        Device, Diagnostic, Span, Spanned,
        schema::{Bridge, Vlan},
    },
};

/// The code of the warning about a device without a cable.
pub(super) const NO_CABLE: &str = "no-cable";

pub(super) fn check(c: &mut Checker<'_, '_>) {
    for (_, ns, settings) in c.sound() {
        let mut ports: Map<&str, Span> = Map::default();
        let mut tags: Map<(&str, u16), Span> = Map::default();
        for (name, device) in settings.devices.iter() {
            if name.value == "lo" && !matches!(device, Device::Plain(_)) {
                let d = Diagnostic::error("reserved-name", name.span, "`lo` is the loopback device of every namespace");
                c.report(d.label("cannot be of another kind").help("choose another name"));
            }
            match device {
                Device::Bridge(bridge) => check_bridge(c, ns, name, bridge, &mut ports),
                Device::Vlan(vlan) => check_vlan(c, ns, name, vlan, &mut tags),
                Device::Plain(_) if name.value != "lo" && c.links_read && c.names.cable(ns, name).is_none() => {
                    let message = format!("device `{}` of `{ns}` has no cable", name.value);
                    // A device that comes from a preset is not written in the file; its namespace is.
                    let place = if name.span.is_none() { ns.span } else { name.span };
                    let d = Diagnostic::warning(NO_CABLE, place, message).label("not the end of any link");
                    c.report(d.help("add a link to it, or make it `Dummy(...)`"));
                }
                Device::Plain(_) | Device::Dummy(_) => {}
            }
        }
    }
}

fn check_bridge<'s>(
    c: &mut Checker<'s, '_>,
    ns: &'s str,
    name: &Spanned<String>,
    bridge: &'s Bridge,
    ports: &mut Map<&'s str, Span>,
) {
    for port in &bridge.ports {
        let dev = &port.0.dev;
        if let Some(first) = ports.get(dev.value.as_str()) {
            let d = Diagnostic::error(
                "port-used-twice",
                dev.span,
                format!("`{}` already is a port of a bridge", dev.value),
            );
            let d = d.label("listed again").related(*first, "first listed here");
            c.report(d.help("a device is a port of one bridge at most"));
            continue;
        }
        ports.insert(&dev.value, dev.span);
        if !c.device(ns, dev) {
            continue;
        }
        let refused = match c.names.device(ns, dev) {
            _ if dev.value == "lo" => "the loopback device",
            _ if dev.value == name.value => "the bridge itself",
            // br_add_if answers ELOOP.
            Some(Device::Bridge(_)) => "a bridge",
            other => {
                if let Some(address) = other.and_then(|d| d.addresses().first()) {
                    let d = Diagnostic::warning("port-with-address", address.span, "a bridge port has an address");
                    let d = d.label(format!("`{}` is a port of `{}`", dev.value, name.value));
                    c.report(d.help("give the address to the bridge; a port hands everything to it"));
                }
                ""
            }
        };
        if !refused.is_empty() {
            let message = format!("`{}` is {refused}; it cannot be a port", dev.value);
            c.report(Diagnostic::error("bad-port", dev.span, message).label("not a possible port"));
        }
        for vid in &port.0.tagged {
            vlan_id(c, vid);
        }
        let vlans = port.0.pvid.iter().chain(&port.0.tagged).next();
        if let Some(vid) = vlans.filter(|_| !bridge.vlan_filtering) {
            let d = Diagnostic::warning("vlan-without-filtering", vid.span, "this bridge does not look at VLANs");
            c.report(d.label("has no effect").help("add `vlan_filtering: true` to the bridge"));
        }
    }
}

fn vlan_id(c: &mut Checker<'_, '_>, id: &Spanned<u16>) {
    if !(1..=4094).contains(&id.value) {
        let d = Diagnostic::error("out-of-range", id.span, format!("{} is not a VLAN id", id.value));
        c.report(d.label("expected 1 to 4094"));
    }
}

fn check_vlan<'s>(
    c: &mut Checker<'s, '_>,
    ns: &str,
    name: &Spanned<String>,
    vlan: &'s Vlan,
    tags: &mut Map<(&'s str, u16), Span>,
) {
    let parent = &vlan.parent;
    if !c.device(ns, parent) {
        return;
    }
    if parent.value == "lo" {
        let d = Diagnostic::error("bad-parent", parent.span, "the loopback device carries no VLANs");
        c.report(d.label("expected another device"));
    }
    if let Some(first) = tags.insert((&parent.value, vlan.id.value), vlan.id.span) {
        let message = format!("`{}` already has a device for VLAN {}", parent.value, vlan.id.value);
        let d = Diagnostic::error("vlan-twice", vlan.id.span, message).label("the same VLAN again");
        c.report(d.related(first, "first here").help("use another id or another device below"));
    }
    // The kernel nests devices at most this deep (MAX_NEST_DEV), which also ends loops.
    const DEEPEST: usize = 8;
    let mut below = parent.value.as_str();
    for _ in 0..DEEPEST {
        match c.names.device(ns, below) {
            Some(Device::Vlan(next)) if below != name.value => below = &next.parent.value,
            Some(Device::Vlan(_)) => break,
            _ => return,
        }
    }
    let message = format!("`{}` does not come down to a device that is no VLAN", name.value);
    let d = Diagnostic::error("vlan-loop", parent.span, message).label("leads back, or too deep");
    c.report(d.help("the chain must end, after 8 steps at most, in a cable, a bridge or a dummy"));
}
