//! `bridge vlan add|del` and `bridge link set`, as scripts of cases use them.

use super::Output;
use crate::{
    base::NsId,
    conform::{
        case::{Ordered, Scalar},
        lab::{Refusal, config},
    },
    device::bridge::VlanEntry,
    kernel::Kernel,
};

/// `bridge …`
pub fn bridge(k: &mut Kernel, ns: NsId, args: &[&str]) -> Result<Output, String> {
    let done = match args {
        ["vlan", verb @ ("add" | "del" | "delete"), rest @ ..] => vlan(k, ns, *verb == "add", rest),
        ["link", "set", "dev", port, rest @ ..] if rest.len() % 2 == 0 => {
            let pairs = rest.chunks(2).map(|p| (p[0].to_string(), Scalar(p[1].into()))).collect();
            config::device(k, ns, port).and_then(|d| config::port_set(k, d, &Ordered(pairs)))
        }
        _ => return Err(format!("not supported: bridge {}", args.join(" "))),
    };
    match done {
        Ok(()) => Ok(Output::default()),
        Err(Refusal::Said(message)) => Ok(Output::failed(format!("RTNETLINK answers: {message}\n"), 255)),
        Err(Refusal::Unsupported(what)) => Err(what),
    }
}

/// `bridge vlan add|del dev DEV vid N[-M] [pvid] [untagged] [self|master]`
fn vlan(k: &mut Kernel, ns: NsId, add: bool, words: &[&str]) -> Result<(), Refusal> {
    let (mut dev, mut range, mut pvid, mut untagged) = (None, None, false, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "dev" => dev = words.next(),
            "vid" => range = words.next(),
            "pvid" => pvid = true,
            "untagged" => untagged = true,
            "self" | "master" => {}
            other => return Err(Refusal::Said(format!("what is `{other}`?"))),
        }
    }
    let (Some(dev), Some(range)) = (dev, range) else { return Err(Refusal::Said("a device and a vid".into())) };
    let dev = config::device(k, ns, dev)?;
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (config::parse(first, "Invalid VLAN ID")?, config::parse(last, "Invalid VLAN ID")?);
    let bridge = if k.dev(dev).bridge().is_some() { Some(dev) } else { k.dev(dev).master };
    let Some(bridge) = bridge else { return Err(Refusal::Said("EOPNOTSUPP".into())) };
    for vid in first..=last {
        k.administer_bridge(bridge, |b, now, out| match add {
            true => b.vlan_add(now, dev, VlanEntry { vid, pvid, untagged }, out),
            false => b.vlan_del(dev, vid, out),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::bridge::BridgeConfig;

    #[test]
    fn vlans_are_added_and_taken_away() {
        let mut k = Kernel::new(1);
        let ns = k.add_namespace("s").unwrap();
        let br0 = k.add_bridge(ns, "br0", BridgeConfig { vlan_filtering: true, ..BridgeConfig::default() }).unwrap();
        let mut run = |line: &str| bridge(&mut k, ns, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(run("vlan add dev br0 vid 10-12 self").unwrap().status, 0);
        assert_eq!(run("vlan del dev br0 vid 11 self").unwrap().status, 0);
        assert_eq!(run("vlan del dev br0 vid 99 self").unwrap().status, 255);
        assert!(run("mdb show").is_err());
        let vids: Vec<u16> = k.dev(br0).bridge().unwrap().vlans(br0).unwrap().iter().map(|v| v.vid).collect();
        assert_eq!(vids, [1, 10, 12]);
    }
}
