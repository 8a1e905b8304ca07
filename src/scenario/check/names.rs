//! Rules for names, and how many there may be.

use super::Checker;
use crate::scenario::{Diagnostic, Spanned, node::shorten};
use std::net::IpAddr;

/// The largest world a scenario describes.
const MAX_NAMESPACES: usize = 100_000;

/// Longest name of a namespace in bytes; the kernel's is that of a file.
const MAX_NAMESPACE_NAME: usize = 64;

/// Longest name of a device in bytes (`IFNAMSIZ` less the terminator).
const MAX_DEVICE_NAME: usize = 15;

pub(super) fn check(c: &mut Checker<'_, '_>) {
    let count = c.scenario.namespaces.len();
    if count > MAX_NAMESPACES {
        let span = c.scenario.namespaces.0[MAX_NAMESPACES].0.span;
        let message = format!("there are {count} namespaces; {MAX_NAMESPACES} is the most");
        c.report(Diagnostic::error("too-many", span, message).label("one too many"));
    }
    if c.scenario.namespaces.is_empty() && c.reader.found.is_empty() {
        let d = Diagnostic::error("nothing", crate::scenario::Span::new(0, 1), "there are no namespaces");
        c.report(d.label("the world is empty").help("add one: `namespaces: { \"a\": () }`"));
    }
    for (name, settings) in c.scenario.namespaces.iter() {
        if let Some(reason) = bad_namespace_name(name) {
            let message = format!("`{}` cannot be the name of a namespace", shorten(name));
            c.report(Diagnostic::error("bad-name", name.span, message).label(reason));
        }
        for (device, _) in settings.devices.iter() {
            device_name(c, device);
        }
    }
    for link in &c.scenario.links {
        for end in [link.a(), link.b()] {
            let (ns, dev) = c.parts(end);
            // Declared names have been looked at.
            if c.names.device(&ns, &dev).is_none() {
                device_name(c, &dev);
            }
        }
    }
}

fn bad_namespace_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("a name cannot be empty"),
        _ if name.len() > MAX_NAMESPACE_NAME => Some("at most 64 bytes"),
        _ if name.contains(|c: char| c.is_whitespace() || c.is_control()) => Some("no blanks"),
        _ if name.contains(['/', ':']) => Some("no `/` or `:`"),
        _ if matches!(name, "." | ".." | "*") => Some("this means something else"),
        // Names can stand where addresses can; they must not look alike.
        _ if name.parse::<IpAddr>().is_ok() => Some("this is an address"),
        _ if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Some("a name needs a letter"),
        _ => None,
    }
}

fn device_name(c: &mut Checker<'_, '_>, name: &Spanned<String>) {
    let reason = match name.value.as_str() {
        "" => "a name cannot be empty",
        text if text.len() > MAX_DEVICE_NAME => "at most 15 bytes, as in Linux (IFNAMSIZ)",
        text if text.contains(|c: char| c.is_whitespace() || c.is_control()) => "no blanks",
        text if text.contains(['/', ':']) => "no `/` or `:`",
        "." | ".." => "this means something else",
        // `net.ipv4.conf.all` and `.default` are not devices.
        "all" | "default" => "reserved: settings of this name are those of every device",
        _ => return,
    };
    let message = format!("`{}` cannot be the name of a device", shorten(name));
    c.report(Diagnostic::error("bad-name", name.span, message).label(reason));
}
