//! Kernel settings and servers.

use super::Checker;
use crate::{
    base::Map,
    kernel::sysctl,
    scenario::{Diagnostic, Expanded, Span, Spanned, diagnose::did_you_mean, node::shorten},
};
use std::net::IpAddr;

pub(super) fn check(c: &mut Checker<'_, '_>) {
    for (_, ns, settings) in c.sound() {
        for (key, value) in settings.sysctl.iter() {
            check_sysctl(c, ns, key, value);
        }
        check_servers(c, ns, settings);
        for a in &settings.advertise {
            c.device(ns, &a.dev);
            for prefix in a.prefixes.iter().filter(|p| p.is_ipv4()) {
                let d = Diagnostic::error("advertise-ipv4", prefix.span, "router advertisements carry IPv6 prefixes");
                c.report(d.label("an IPv4 network"));
            }
        }
        if settings.proc.pid && !settings.proc.mount {
            let span = settings.span;
            let message = format!("`{ns}` has its own processes but reads the machine's `/proc`");
            let d = Diagnostic::warning("pid-without-mount", Span { end: span.start + 1, ..span }, message);
            c.report(d.label("in this namespace").help("a PID namespace shows in `/proc` only with `mount: true`"));
        }
    }
}

fn check_sysctl(c: &mut Checker<'_, '_>, ns: &str, key: &Spanned<String>, value: &Spanned<String>) {
    if c.reader.is_full() {
        return;
    }
    let ranges = match sysctl::parse_key(key) {
        Ok(sysctl::Key::Namespace(knobs)) => knobs.iter().map(|k| k.range()).collect(),
        Ok(sysctl::Key::Conntrack(_)) => vec![(0, i32::MAX)],
        Ok(sysctl::Key::Device(conf, dev)) => {
            if !matches!(&*dev, "all" | "default") && !c.device(ns, &Spanned::new(dev.into(), key.span)) {
                return;
            }
            vec![conf.range()]
        }
        Err(_) => {
            let d = Diagnostic::error("unknown-sysctl", key.span, format!("there is no setting `{}`", shorten(key)));
            let help = nearest_key(key)
                .unwrap_or("settings are named as in /proc/sys, as in `net.ipv4.ip_forward`".to_string());
            c.report(d.label("unknown setting").help(help));
            return;
        }
    };
    let words: Vec<&str> = value.split_whitespace().take(ranges.len() + 1).collect();
    let fits = |(word, (min, max)): (&&str, &(i32, i32))| word.parse::<i32>().is_ok_and(|n| (*min..=*max).contains(&n));
    // Keys with several values of which only some have a meaning here, such as tcp_rmem, take all three.
    let several = ranges.len() == 1 && key.ends_with("mem") && value.split_whitespace().count() == 3;
    if several || (words.len() == ranges.len() && words.iter().zip(&ranges).all(fits)) {
        return;
    }
    let expected: Vec<String> = ranges
        .iter()
        .map(|(min, max)| if *max == i32::MAX { format!("at least {min}") } else { format!("{min} to {max}") })
        .collect();
    let message = format!("`{}` cannot be \"{}\"", shorten(key), shorten(value));
    let d = Diagnostic::error("bad-sysctl", value.span, message);
    c.report(d.label(format!("expected a whole number: {}", expected.join(", then "))));
}

/// The nearest key that exists, for the device the typed one names.
fn nearest_key(typed: &str) -> Option<String> {
    let typed = typed.replace('/', ".");
    let device = typed.split('.').nth(3).unwrap_or("all");
    let known: Vec<String> = sysctl::keys().map(|key| key.replace('*', device)).collect();
    did_you_mean(&typed, known.iter().map(String::as_str))
}

fn check_servers(c: &mut Checker<'_, '_>, ns: &str, settings: &Expanded) {
    let mut used: Map<(bool, u16), Vec<(Option<IpAddr>, Span)>> = Map::default();
    for server in &settings.run {
        let (port, bind) = server.listens();
        if let Some(bind) = bind
            && !bind.value.is_loopback()
            && !bind.value.is_unspecified()
            && !settings.devices.iter().any(|(_, d)| d.addresses().iter().any(|a| a.local.addr() == bind.value))
        {
            let d =
                Diagnostic::error("foreign-source", bind.span, format!("{} is not an address of `{ns}`", bind.value));
            c.report(d.label("a server cannot be bound to it").help("leave `bind` out to listen on every address"));
        }
        let bind = bind.map(|b| b.value).filter(|b| !b.is_unspecified());
        let others = used.entry((server.is_udp(), port.value)).or_default();
        // Two sockets clash if their addresses are equal or one of them is any.
        let clash = others.iter().take(64).find(|(other, _)| bind.is_none() || other.is_none() || *other == bind);
        if let Some((_, first)) = clash {
            let protocol = if server.is_udp() { "UDP" } else { "TCP" };
            let message = format!("two servers of `{ns}` listen on {protocol} port {}", port.value);
            let span = if port.span.is_none() { server.span } else { port.span };
            let d = Diagnostic::error("port-twice", span, message).label("the same port again");
            c.reader.report::<()>(d.related(*first, "first server").help("EADDRINUSE: give one of them another port"));
        }
        others.push((bind, server.span));
    }
}
