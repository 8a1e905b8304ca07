//! `/proc/sys`: the sysctls of the namespace as files.

use super::Node;
use crate::{
    base::NsId,
    kernel::{Kernel, sysctl},
};
use std::collections::BTreeSet;

/// What a path below `/proc/sys` leads to.
pub(super) fn node(kernel: &Kernel, ns: NsId, parts: &[&str]) -> Option<Node> {
    let mut below = BTreeSet::new();
    for key in sysctl::keys() {
        let pattern: Vec<&str> = key.split('.').collect();
        if pattern.len() < parts.len() || !pattern.iter().zip(parts).all(|(p, part)| fits(kernel, ns, p, part)) {
            continue;
        }
        match pattern.get(parts.len()) {
            Some(&"*") => below.extend(devices(kernel, ns)),
            Some(next) => {
                below.insert(String::from(*next));
            }
            None => return kernel.sysctl(ns, &parts.join("/")).ok().map(|value| Node::File(value + "\n")),
        }
    }
    (!below.is_empty()).then(|| Node::Dir(below.into_iter().collect()))
}

/// Whether a component of a path matches one of a key; a star is a device, `all` or `default`.
fn fits(kernel: &Kernel, ns: NsId, pattern: &str, part: &str) -> bool {
    match pattern {
        "*" => matches!(part, "all" | "default") || kernel.find_dev(ns, part).is_some(),
        _ => pattern == part,
    }
}

fn devices(kernel: &Kernel, ns: NsId) -> impl Iterator<Item = String> + '_ {
    let own = kernel.ns(ns).devices.iter().map(|d| kernel.dev_name(*d));
    ["all", "default"].into_iter().chain(own).map(String::from)
}
