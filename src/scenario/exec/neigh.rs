//! `ip neighbour`.

use super::{ExecError, Outcome, Words, is};
use crate::{
    base::{DevId, Mac, NsId},
    kernel::Kernel,
    neigh::{SetEntry, SetMode},
    trace::NeighState,
};
use std::net::IpAddr;

pub(super) fn run(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let verb = words.next().unwrap_or("show");
    let mode = match verb {
        _ if is(verb, "add") => SetMode::Add,
        _ if is(verb, "change") => SetMode::Change,
        _ if is(verb, "replace") => SetMode::Replace,
        _ if is(verb, "delete") => {
            let entry = read(kernel, ns, words)?;
            kernel.delete_neighbour(entry.dev, entry.addr)?;
            return Ok(Vec::new());
        }
        _ if is(verb, "show") || is(verb, "list") => return Ok(lines(kernel, ns)),
        _ => return Err(ExecError::garbage(verb)),
    };
    let entry = read(kernel, ns, words)?;
    match entry.state {
        // `proxy`: an address this namespace answers for.
        NeighState::None => kernel.add_proxy_neighbour(entry.dev, entry.addr),
        _ => kernel.set_neighbour(&entry, mode)?,
    }
    Ok(Vec::new())
}

/// `[to|proxy] ADDRESS [lladdr MAC] dev NAME [nud STATE]`; a proxy entry has no state.
fn read(kernel: &Kernel, ns: NsId, words: &mut Words<'_>) -> Result<SetEntry, ExecError> {
    let (mut addr, mut mac, mut dev) = (None::<IpAddr>, None::<Mac>, None::<DevId>);
    let mut state = NeighState::Permanent;
    while let Some(word) = words.next() {
        match word {
            "dev" => dev = Some(words.device(kernel, ns, "dev")?),
            "lladdr" => mac = Some(words.parse("lladdr")?),
            "nud" => {
                let name = words.value("nud")?;
                state = STATES.into_iter().find(|s| s.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
                    ExecError::Words(format!("Error: argument \"{name}\" is wrong: nud state is bad"))
                })?;
            }
            "proxy" => {
                addr = Some(words.parse("proxy")?);
                state = NeighState::None;
            }
            "to" => addr = Some(words.parse("to")?),
            _ if addr.is_none() => {
                let wrong =
                    || ExecError::Words(format!("Error: any valid address is expected rather than \"{word}\"."));
                addr = Some(word.parse().map_err(|_| wrong())?);
            }
            _ => return Err(ExecError::garbage(word)),
        }
    }
    match (addr, dev) {
        (Some(addr), Some(dev)) => Ok(SetEntry { dev, addr, mac, state }),
        _ => Err(ExecError::Words("Device and destination are required arguments.".into())),
    }
}

/// The states `nud` accepts.
const STATES: [NeighState; 8] = [
    NeighState::Permanent,
    NeighState::Reachable,
    NeighState::Stale,
    NeighState::NoArp,
    NeighState::Delay,
    NeighState::Probe,
    NeighState::Failed,
    NeighState::Incomplete,
];

/// The table as `ip neighbour` prints it.
pub(in crate::scenario) fn lines(kernel: &Kernel, ns: NsId) -> Vec<String> {
    let shown = kernel.ns(ns).neigh.iter(kernel.core.now);
    let shown = shown.filter(|n| !matches!(n.state, NeighState::None | NeighState::NoArp));
    let lines = shown.map(|n| {
        let mac = n.mac.map_or_else(String::new, |m| format!(" lladdr {m}"));
        let router = if n.router { " router" } else { "" };
        format!("{} dev {}{mac}{router} {}", n.addr, kernel.dev_name(n.dev), n.state.name())
    });
    lines.collect()
}
