//! `ip link`.

use super::{ExecError, Outcome, Words, is};
use crate::{
    base::{DevId, NsId},
    device::bridge::BridgeConfig,
    kernel::Kernel,
};

pub(super) fn run(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let verb = words.next().unwrap_or("show");
    if is(verb, "set") {
        set(kernel, ns, words)?;
    } else if is(verb, "add") {
        add(kernel, ns, words)?;
    } else if is(verb, "delete") {
        let dev = named(kernel, ns, words)?;
        kernel.delete_device(dev)?;
    } else if is(verb, "show") || is(verb, "list") {
        return Ok(kernel.ns(ns).devices.iter().map(|d| line(kernel, *d)).collect());
    } else {
        return Err(ExecError::garbage(verb));
    }
    Ok(Vec::new())
}

/// `[dev] NAME`
fn named(kernel: &Kernel, ns: NsId, words: &mut Words<'_>) -> Result<DevId, ExecError> {
    if words.peek() == Some("dev") {
        words.next();
    }
    words.device(kernel, ns, "dev")
}

fn set(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Result<(), ExecError> {
    let dev = named(kernel, ns, words)?;
    while let Some(word) = words.next() {
        match word {
            "up" => kernel.set_up(dev, true),
            "down" => kernel.set_up(dev, false),
            "mtu" => {
                let mtu = words.parse("mtu")?;
                kernel.set_mtu(dev, mtu)?;
            }
            "address" => {
                let mac = words.parse("address")?;
                kernel.set_mac(dev, mac)?;
            }
            "master" => {
                let bridge = words.device(kernel, ns, "master")?;
                kernel.clear_master(dev);
                kernel.set_master(dev, bridge)?;
            }
            "nomaster" => kernel.clear_master(dev),
            _ => return Err(ExecError::garbage(word)),
        }
    }
    Ok(())
}

/// `NAME type bridge`, `NAME type veth peer [name] NAME`, or `link PARENT [name] NAME type vlan id ID`.
fn add(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Result<(), ExecError> {
    let (mut name, mut parent) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "link" => parent = Some(words.device(kernel, ns, "link")?),
            "name" | "dev" => name = Some(words.value(word)?),
            "type" => break,
            _ if name.is_none() => name = Some(word),
            _ => return Err(ExecError::garbage(word)),
        }
    }
    let name = name.ok_or_else(|| ExecError::Words("Not enough information: \"name\" argument is required.".into()))?;
    match (words.value("type")?, parent) {
        ("bridge", _) => {
            kernel.add_bridge(ns, name, BridgeConfig::default())?;
        }
        ("veth", _) => {
            let peer = match (words.next(), words.next()) {
                (Some("peer"), Some("name")) => words.value("name")?,
                (Some("peer"), Some(peer)) => peer,
                _ => return Err(ExecError::usage("ip link add NAME type veth peer name NAME")),
            };
            kernel.add_veth((ns, name), (ns, peer))?;
        }
        ("vlan", Some(parent)) if words.next() == Some("id") => {
            let vid = words.parse("id")?;
            kernel.add_vlan(parent, name, vid)?;
        }
        ("vlan", _) => return Err(ExecError::usage("ip link add link PARENT name NAME type vlan id ID")),
        (kind, _) => return Err(ExecError::Words(format!("Error: netsim cannot make devices of type \"{kind}\"."))),
    }
    match words.next() {
        Some(word) => Err(ExecError::garbage(word)),
        None => Ok(()),
    }
}

/// As `ip -brief link`: name, state, MAC address.
fn line(kernel: &Kernel, id: DevId) -> String {
    let dev = kernel.dev(id);
    let state = match (dev.is_loopback(), dev.is_running()) {
        (true, true) => "UNKNOWN",
        (_, true) => "UP",
        _ => "DOWN",
    };
    let master = dev.master.map_or_else(String::new, |m| format!(" master {}", kernel.dev_name(m)));
    format!("{:<16} {state:<14} {} mtu {}{master}", kernel.dev_name(id), dev.mac, dev.mtu)
}
