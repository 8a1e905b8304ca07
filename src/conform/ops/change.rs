//! Steps that change configuration.

use super::{Outcome, done};
use crate::{
    base::NsId,
    conform::{
        case::{LinkSet, Nft, Op},
        exec::Lab,
        lab::{Refusal, config, firewall},
    },
    kernel::{Kernel, sysctl::SysctlError},
};
use serde_json::json;

/// Makes a change.
pub fn change(lab: &Lab, ns: NsId, op: Op) -> Outcome {
    let topo = &lab.topo;
    let mut world = lab.world.borrow_mut();
    let k: &mut Kernel = &mut world;
    let device = |k: &Kernel, name: &str| config::device(k, ns, name);
    let result = match op {
        Op::Link { set, master } => link(k, lab, ns, &set, master),
        Op::LinkDel { dev } => device(k, &dev).and_then(|d| Ok(k.delete_device(d)?)),
        Op::Addr { dev, verb, addr } => device(k, &dev).and_then(|d| config::addr(k, d, verb, &addr)),
        Op::Route { verb, route } => config::route(k, ns, verb, &route),
        Op::Rule { verb, rule } => config::rule(k, ns, verb, &rule),
        Op::Neigh { verb, entry } => config::neigh(k, ns, topo, verb, &entry),
        Op::NeighFlush => {
            config::neigh_flush(k, ns);
            Ok(())
        }
        Op::Fdb { verb, entry } => config::fdb(k, ns, topo, verb, &entry),
        Op::FdbFlush { dev } => {
            device(k, &dev).and_then(|d| Ok(k.administer_bridge(d, |b, _, out| b.fdb_flush(None, out))?))
        }
        Op::Sysctl { key, value } => match k.set_sysctl(ns, &key, &value.0) {
            Ok(()) => Ok(()),
            Err(SysctlError::Unknown(_) | SysctlError::NoDevice(_)) => {
                return Ok(json!({ "ok": false, "message": "ENOENT" }));
            }
            Err(SysctlError::Value(_)) => return Ok(json!({ "ok": false, "message": "EINVAL" })),
        },
        Op::Bridge(b) => device(k, &b.dev).and_then(|d| config::bridge_set(k, d, &b.set)),
        Op::BrPort(b) => device(k, &b.dev).and_then(|d| config::port_set(k, d, &b.set)),
        Op::Netem { dev, set } => device(k, &dev).and_then(|d| config::impair(k, d, set.as_ref())),
        Op::CtFlush => {
            k.flush_conntrack(ns);
            Ok(())
        }
        Op::Nft(n) => nft(k, ns, &n),
        other => return Err(format!("{other:?} changes nothing")),
    };
    done(result)
}

fn link(k: &mut Kernel, lab: &Lab, ns: NsId, set: &LinkSet, master: Option<Option<String>>) -> Result<(), Refusal> {
    let dev = config::device(k, ns, &set.dev)?;
    // Promiscuous mode (`set.promisc`) has nothing to switch: no cable filters addresses, frames for other stations
    // reach the device in any case, and the stack discards them in any case.
    if let Some(mac) = &set.mac {
        let mac = lab.topo.mac(mac).map_err(Refusal::Said)?;
        config::set_mac(k, dev, mac)?;
    }
    if let Some(mtu) = set.mtu {
        k.set_mtu(dev, mtu)?;
    }
    if let Some(on) = set.arp {
        k.set_arp(dev, on);
    }
    if let Some(master) = master {
        k.clear_master(dev);
        if let Some(name) = master.filter(|m| !m.is_empty()) {
            let bridge = config::device(k, ns, &name)?;
            k.set_master(dev, bridge)?;
        }
    }
    if let Some(up) = set.up {
        k.set_up(dev, up);
    }
    Ok(())
}

/// `nft -f`: an existing chain gets more rules. Flushing first removes all of them.
fn nft(k: &mut Kernel, ns: NsId, n: &Nft) -> Result<(), Refusal> {
    if n.flush {
        k.netfilter_mut(ns).flush_rules();
    }
    firewall::apply(k, ns, &n.nat, &n.filter, n.nft.as_deref())
}
