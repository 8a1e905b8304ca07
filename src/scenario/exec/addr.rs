//! `ip address`.

use super::{ExecError, Outcome, Words, is};
use crate::{
    base::{DevId, NsId, Prefix},
    kernel::Kernel,
};
use std::net::IpAddr;

pub(super) fn run(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let verb = words.next().unwrap_or("show");
    if is(verb, "add") {
        let (dev, prefix, peer) = read(kernel, ns, words)?;
        kernel.add_address(dev, prefix, peer)?;
    } else if is(verb, "delete") {
        let (dev, prefix, _) = read(kernel, ns, words)?;
        kernel.delete_address(dev, prefix)?;
    } else if is(verb, "show") || is(verb, "list") {
        return show(kernel, ns, words);
    } else {
        return Err(ExecError::garbage(verb));
    }
    Ok(Vec::new())
}

/// `[local] PREFIX [peer ADDRESS] dev NAME`; what only labels an address is passed over.
fn read(kernel: &Kernel, ns: NsId, words: &mut Words<'_>) -> Result<(DevId, Prefix, Option<IpAddr>), ExecError> {
    let (mut dev, mut prefix, mut peer) = (None, None, None);
    while let Some(word) = words.next() {
        match word {
            "dev" => dev = Some(words.device(kernel, ns, "dev")?),
            "peer" => peer = Some(words.parse::<Prefix>("peer")?.addr()),
            "broadcast" | "brd" | "label" | "scope" => {
                words.value(word)?;
            }
            "local" => prefix = Some(words.parse::<Prefix>("local")?),
            _ if prefix.is_none() => {
                let wrong = || ExecError::Words(format!("Error: any valid prefix is expected rather than \"{word}\"."));
                prefix = Some(word.parse::<Prefix>().map_err(|_| wrong())?);
            }
            _ => return Err(ExecError::garbage(word)),
        }
    }
    let dev = dev.ok_or_else(|| ExecError::Words("Not enough information: \"dev\" argument is required.".into()))?;
    let prefix = prefix.ok_or_else(|| ExecError::Words("Not enough information: an address is required.".into()))?;
    Ok((dev, prefix, peer))
}

/// As `ip -brief address`: name, state, addresses.
fn show(kernel: &Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let mut only = None;
    while let Some(word) = words.next() {
        let name = if word == "dev" { words.value("dev")? } else { word };
        only = Some(kernel.find_dev(ns, name).ok_or_else(|| ExecError::no_device(name))?);
    }
    let shown = kernel.ns(ns).devices.iter().filter(|d| only.is_none_or(|o| o == **d));
    let lines = shown.map(|id| {
        let dev = kernel.dev(*id);
        let state = match (dev.is_loopback(), dev.is_running()) {
            (true, true) => "UNKNOWN",
            (_, true) => "UP",
            _ => "DOWN",
        };
        let addrs: Vec<String> = dev.addrs.iter().map(|a| a.prefix.to_string()).collect();
        format!("{:<16} {state:<14} {}", kernel.dev_name(*id), addrs.join(" ")).trim_end().to_string()
    });
    Ok(lines.collect())
}
