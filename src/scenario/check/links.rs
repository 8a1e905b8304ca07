//! Cables: that both ends exist once, and that their impairments make sense.

use super::Checker;
use crate::{
    base::Map,
    scenario::{Device, Diagnostic, End, Span, Spanned, schema::Impairment},
};

pub(super) fn check(c: &mut Checker<'_, '_>) {
    let mut used: Map<&End, Span> = Map::default();
    for link in &c.scenario.links {
        for end in [link.a(), link.b()] {
            let (ns, dev) = c.parts(end);
            if !c.namespace(&ns) {
                continue;
            }
            if let Some(first) = used.get(&end.value) {
                let message = if *first == link.a().span && *first != end.span && link.a().value == link.b().value {
                    format!("both ends of the link are `{end}`")
                } else {
                    format!("`{end}` already is the end of a link")
                };
                let d = Diagnostic::error("device-used-twice", end.span, message).label("used again");
                c.report(d.related(*first, "used first").help("a device has one cable; use another device name"));
            } else {
                used.insert(&end.value, end.span);
            }
            kind(c, end, &dev);
        }
        let (forward, backward) = (link.forward_impairment(), link.backward_impairment());
        check_impairment(c, &forward);
        if backward != forward {
            check_impairment(c, &backward);
        }
        if [&link.forward, &link.backward].into_iter().flatten().any(Impairment::is_none) {
            let d = Diagnostic::warning("empty-impairment", link.ends.span, "one direction of this link is empty");
            c.report(d.label("`forward` or `backward` says nothing").help("leave it out"));
        }
    }
}

/// A cable ends in a device that has no other kind.
fn kind(c: &mut Checker<'_, '_>, end: &Spanned<End>, dev: &Spanned<String>) {
    let kind = match c.names.device(&end.ns, &end.dev) {
        _ if end.dev == "lo" => "the loopback device",
        Some(Device::Plain(_)) | None => return,
        Some(Device::Bridge(_)) => "a bridge",
        Some(Device::Vlan(_)) => "a VLAN device",
        Some(Device::Dummy(_)) => "a dummy device",
    };
    let d = Diagnostic::error("not-a-cable-end", dev.span, format!("`{end}` is {kind}; a cable cannot end in it"));
    let d = d.label("expected a plain device");
    c.report(match kind {
        "a bridge" => d.help("end the cable in another name and list that among the bridge's `ports`"),
        _ => d.help("use another device name"),
    });
}

/// What netem would refuse or not do as meant.
pub(super) fn check_impairment(c: &mut Checker<'_, '_>, impairment: &Impairment) {
    let delay = impairment.delay.map_or(0, |d| d.value.0);
    if let Some(reorder) = impairment.reorder
        && delay == 0
        && reorder.value.0 > 0
    {
        let d = Diagnostic::error("reorder-without-delay", reorder.span, "reordering needs a delay to skip");
        c.report(d.label("no frame can overtake another here").help("add a `delay`"));
    }
    if let Some(jitter) = impairment.jitter
        && jitter.value.0 > delay
    {
        let d = Diagnostic::warning("jitter-above-delay", jitter.span, "the jitter is larger than the delay");
        c.report(d.label("delays below zero become zero").help("choose a jitter of at most the delay"));
    }
}
