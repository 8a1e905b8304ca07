//! `ip route`.

use super::{ExecError, Outcome, Words, is};
use crate::{
    base::NsId,
    kernel::Kernel,
    route::{AddMode, Family, parse_route, table},
};

pub(super) fn run(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let verb = words.next().unwrap_or("show");
    let mode = match verb {
        "append" => AddMode::Append,
        "prepend" => AddMode::Prepend,
        _ if is(verb, "add") => AddMode::Add,
        _ if is(verb, "replace") => AddMode::Replace,
        _ if is(verb, "change") => AddMode::Change,
        _ if is(verb, "delete") => {
            let spec = parse_route(words.rest())?;
            let selector = spec.selector(&|name| kernel.find_dev(ns, name))?;
            kernel.delete_route(ns, &selector)?;
            return Ok(Vec::new());
        }
        "flush" if words.peek() == Some("cache") => {
            kernel.flush_route_cache(ns);
            return Ok(Vec::new());
        }
        _ if is(verb, "show") || is(verb, "list") => return show(kernel, ns, words),
        _ => return Err(ExecError::garbage(verb)),
    };
    let spec = parse_route(words.rest())?;
    // A name that is no device is the tool's complaint, not the kernel's.
    spec.resolve(&|name| kernel.find_dev(ns, name))?;
    kernel.add_route_spec(ns, &spec, mode)?;
    Ok(Vec::new())
}

fn show(kernel: &Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    match words.next() {
        None => Ok(lines(kernel, ns)),
        Some("table") => {
            let name = words.value("table")?;
            let id = match name {
                "main" => table::MAIN,
                "local" => table::LOCAL,
                "default" => table::DEFAULT,
                _ => name.parse().map_err(|_| ExecError::garbage(name))?,
            };
            Ok(of_table(kernel, ns, Family::V4, id))
        }
        Some(word) => Err(ExecError::garbage(word)),
    }
}

/// Table main, IPv4 before IPv6, as `ip route` prints it.
pub(in crate::scenario) fn lines(kernel: &Kernel, ns: NsId) -> Vec<String> {
    let mut lines = of_table(kernel, ns, Family::V4, table::MAIN);
    lines.extend(of_table(kernel, ns, Family::V6, table::MAIN));
    lines
}

fn of_table(kernel: &Kernel, ns: NsId, family: Family, id: u32) -> Vec<String> {
    kernel.ns(ns).fib.routes(family, id).map(|r| kernel.shown_route(ns, r).show(&|dev| kernel.dev_name(dev))).collect()
}
