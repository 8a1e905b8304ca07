//! Routes, rules and neighbours: that devices exist and gateways can be reached.

use super::Checker;
use crate::{
    base::Prefix,
    route::HopSpec,
    scenario::{Diagnostic, Expanded, RouteLine, Span, Spanned},
};
use std::{net::IpAddr, ops::Range};

/// Networks on the link that are looked through for one gateway; beyond, a gateway is taken to be right.
const MAX_ON_LINK: usize = 256;

pub(super) fn check(c: &mut Checker<'_, '_>) {
    for (_, ns, settings) in c.sound() {
        // What is on the link: networks of addresses, and routes without gateway as far as they are written above.
        let mut on_link: Vec<(Prefix, String)> = Vec::new();
        for (name, device) in settings.devices.iter().take(MAX_ON_LINK) {
            on_link.extend(device.on_link().take(MAX_ON_LINK).map(|network| (network, name.value.clone())));
        }
        for route in &settings.routes {
            let mut known = true;
            for dev in route.spec.hops.iter().filter_map(|hop| hop.dev.as_ref()) {
                known &= c.device(ns, &Spanned::new(dev.value.clone(), part(route, &dev.at)));
            }
            if known {
                check_gateways(c, ns, settings, route, &on_link);
            }
            if let [HopSpec { via: None, dev: Some(dev), .. }] = route.spec.hops.as_slice()
                && on_link.len() < MAX_ON_LINK
            {
                on_link.push((route.spec.dst.value, dev.value.clone()));
            }
            check_source(c, ns, settings, route);
        }
        for rule in &settings.rules {
            for dev in [&rule.spec.iif, &rule.spec.oif].into_iter().flatten() {
                c.device(ns, &Spanned::new(dev.value.clone(), part(rule, &dev.at)));
            }
        }
        for neigh in &settings.neigh {
            let (dev, range) = &neigh.dev;
            c.device(ns, &Spanned::new(dev.clone(), part(neigh, range)));
        }
    }
}

/// The place of a part of a line. The line's span includes its quotes unless it is a preset's single value.
fn part<T: std::fmt::Display>(line: &Spanned<T>, range: &Range<usize>) -> Span {
    let text = line.value.to_string();
    if line.span.len() == text.len() + 2 {
        let base = line.span.start as usize + 1;
        return Span::new(base + range.start, base + range.end);
    }
    line.span
}

/// A gateway must be on the link (fib_check_nh: "Nexthop has invalid gateway").
fn check_gateways(
    c: &mut Checker<'_, '_>,
    ns: &str,
    settings: &Expanded,
    route: &Spanned<RouteLine>,
    on_link: &[(Prefix, String)],
) {
    for hop in &route.spec.hops {
        let Some(via) = &hop.via else { continue };
        let (via, range) = (&via.value, &via.at);
        let dev = hop.dev.as_ref().map(|dev| dev.value.as_str());
        let reaches = |(network, on): &&(Prefix, String)| network.contains(*via) && dev.is_none_or(|dev| dev == on);
        let link_local = matches!(via, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if hop.onlink || link_local || on_link.len() >= MAX_ON_LINK || on_link.iter().any(|n| reaches(&n)) {
            broadcast_gateway(c, part(route, range), *via, on_link);
            continue;
        }
        let place = dev.map_or("any device".to_string(), |dev| format!("`{dev}`"));
        let message = format!("the gateway {via} is not on a network of {place} of `{ns}`");
        let d =
            Diagnostic::error("gateway-not-on-link", part(route, range), message).label("cannot be reached directly");
        let networks: Vec<String> =
            on_link.iter().take(4).map(|(network, on)| format!("{network} on `{on}`")).collect();
        let help = match networks.is_empty() {
            true if settings.devices.is_empty() => "no device of this namespace has an address".to_string(),
            true => "give the device an address in the gateway's network".to_string(),
            false => format!("the networks on its links are {}", networks.join(", ")),
        };
        c.report(d.help(help));
    }
}

fn broadcast_gateway(c: &mut Checker<'_, '_>, span: Span, via: IpAddr, on_link: &[(Prefix, String)]) {
    if on_link.iter().any(|(network, _)| network.broadcast().is_some_and(|b| IpAddr::V4(b) == via)) {
        let d = Diagnostic::error("gateway-not-on-link", span, format!("{via} is a broadcast address, not a gateway"));
        c.report(d.label("expected the address of a router"));
    }
}

/// `src` must be an address of the namespace (fib_valid_prefsrc).
fn check_source(c: &mut Checker<'_, '_>, ns: &str, settings: &Expanded, route: &Spanned<RouteLine>) {
    let Some(src) = &route.spec.src else { return };
    let (src, range) = (&src.value, &src.at);
    let mut own = settings.devices.iter().flat_map(|(_, device)| device.addresses());
    if !src.is_loopback() && !own.any(|addr| addr.local.addr() == *src) {
        let message = format!("{src} is not an address of `{ns}`");
        let d = Diagnostic::error("foreign-source", part(route, range), message).label("cannot be the source");
        c.report(d.help("`src` takes one of the namespace's own addresses"));
    }
}
