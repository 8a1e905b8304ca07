//! Addresses and MACs: which ones no device can have, and which ones clash on a segment.

use super::Checker;
use crate::{
    base::{Mac, Map},
    scenario::{Device, Diagnostic, IfAddr, Span, Spanned},
};
use std::net::IpAddr;

pub(super) fn check(c: &mut Checker<'_, '_>) {
    let mut on_segment: Map<(usize, IpAddr), (usize, Span)> = Map::default();
    let mut macs: Map<(usize, Mac), (usize, Span)> = Map::default();
    for id in 0..c.shape.devices().len() {
        let node = *c.shape.node(id);
        let Some(settings) = node.settings.filter(|_| c.sound[node.ns]) else { continue };
        let segment = c.shape.segment(id);
        for (i, addr) in settings.addresses().iter().enumerate() {
            possible(c, node.name, addr);
            let earlier = &settings.addresses()[..i];
            // A device has few addresses; the limit keeps a hostile file from making this slow.
            if let Some(first) = earlier.iter().take(64).find(|a| a.local.addr() == addr.local.addr()) {
                twice(c, addr, first.span, "the device already has it");
                continue;
            }
            if node.name == "lo" {
                continue;
            }
            match on_segment.get(&(segment, addr.local.addr())) {
                Some((other, first)) if *other != id => {
                    let other = c.shape.node(*other);
                    let text =
                        format!("`{}:{}` on the same segment has it", c.shape.namespaces()[other.ns], other.name);
                    twice(c, addr, *first, &text);
                }
                Some(_) => {}
                None => _ = on_segment.insert((segment, addr.local.addr()), (id, addr.span)),
            }
        }
        if let Some(mac) = settings.mac() {
            let bridged = node.bridge.is_some() || matches!(settings, Device::Vlan(_));
            match macs.get(&(segment, mac.value)) {
                Some((other, first)) if !bridged => {
                    let other = c.shape.node(*other);
                    let message = format!("two devices of one segment have the MAC address {}", mac.value);
                    let d = Diagnostic::warning("mac-twice", mac.span, message).label("the same address again");
                    let text = format!("`{}:{}` has it too", c.shape.namespaces()[other.ns], other.name);
                    c.report(d.related(*first, text).help("fine if that is what the lab is about"));
                }
                Some(_) => {}
                None => _ = macs.insert((segment, mac.value), (id, mac.span)),
            }
        }
    }
}

fn twice(c: &mut Checker<'_, '_>, addr: &Spanned<IfAddr>, first: Span, why: &str) {
    let message = format!("the address {} is given twice", addr.local.addr());
    let d = Diagnostic::error("address-twice", addr.span, message).label("given again").related(first, why);
    c.report(
        d.help("change one of them; to study a clash, add the second by a step: `Exec(run: \"ip addr add ...\")`"),
    );
}

/// What no device can have as an address, or hardly means to.
fn possible(c: &mut Checker<'_, '_>, device: &str, addr: &Spanned<IfAddr>) {
    let ip = addr.local.addr();
    let refused = match ip {
        _ if ip.is_unspecified() => "stands for no address",
        _ if ip.is_multicast() => "is a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "is the broadcast address",
        _ if ip.is_loopback() && device != "lo" => "belongs to the loopback device",
        _ if addr.local.len() == 0 => {
            let d =
                Diagnostic::error("bad-address", addr.span, "a prefix length of 0 puts the whole world on this link");
            c.report(d.label("expected a longer prefix"));
            return;
        }
        _ => "",
    };
    if !refused.is_empty() {
        let d = Diagnostic::error("bad-address", addr.span, format!("{ip} {refused}"));
        c.report(d.label("not an address for this device"));
        return;
    }
    if let IpAddr::V4(v4) = ip
        && addr.local.broadcast() == Some(v4)
    {
        let d = Diagnostic::warning(
            "broadcast-address",
            addr.span,
            format!("{ip} is the broadcast address of its network"),
        );
        c.report(d.label("nobody will answer it").help("choose another last number"));
    } else if addr.local.len() < 31 && addr.local.is_ipv4() && !addr.local.has_host_bits() {
        let d = Diagnostic::warning("network-address", addr.span, format!("{ip} is the address of the network itself"));
        c.report(d.label("unusual for a host").help("did you forget the last number?"));
    }
}
