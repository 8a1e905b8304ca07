//! Single changes of configuration, in the words of `ip`, `bridge` and `tc`: used to build a case's world and by its
//! steps.

use super::{Refusal, firewall::number};
use crate::{
    base::{DevId, Errno, MS, Mac, NsId, Prefix, Time},
    conform::{
        case::{AddrWords, ConfigVerb, FdbWords, Impairment, NeighWords, Ordered, RouteWords, RuleWords, Scalar},
        topo::Topology,
    },
    device::{
        bridge::{BridgeConfig, FdbKind, FdbMode, FdbSpec, FdbVerb, PortFlags, PortState},
        tunnel::{StationKind, StationVerb},
    },
    kernel::{DeviceKind, IfAddr, Kernel},
    link::{Loss, NetemConfig, QdiscConfig, TbfConfig},
    neigh::{SetEntry, SetMode},
    route::{AddMode, Scope, parse_route, parse_rule},
    trace::NeighState,
};
use std::net::IpAddr;

type Done = Result<(), Refusal>;

/// Finds a device.
pub fn device(k: &Kernel, ns: NsId, name: &str) -> Result<DevId, Refusal> {
    k.find_dev(ns, name).ok_or_else(|| Refusal::Said(format!("Cannot find device \"{name}\"")))
}

/// Reads a word; `what` says what is wrong if it cannot be read.
pub fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::said(what, text))
}

/// `10.0.0.1/24`; without a length a host's own.
fn prefix(text: &str) -> Result<Prefix, Refusal> {
    match text.contains('/') {
        true => parse(text, "any valid prefix is expected rather than"),
        false => Ok(Prefix::host(parse::<IpAddr>(text, "any valid address is expected rather than")?)),
    }
}

/// `ip addr add|del`.
pub fn addr(k: &mut Kernel, dev: DevId, verb: ConfigVerb, words: &AddrWords) -> Done {
    let a = words.object();
    let mut own = prefix(&a.ip)?;
    let mut peer = None;
    if let Some(p) = &a.peer {
        // The length given with the peer counts for both.
        let p = prefix(p)?;
        peer = Some(p.addr());
        own = Prefix::new(own.addr(), p.len()).ok_or_else(|| Refusal::said("not of one family", &a.ip))?;
    }
    if verb == ConfigVerb::Del {
        return Ok(k.delete_address(dev, own)?);
    }
    let mut new = IfAddr::new(own, peer);
    if let Some(scope) = &a.scope {
        new.scope = Scope::from_name(scope).ok_or_else(|| Refusal::said("invalid scope value", scope))?;
    }
    // The oracle says `broadcast +` with `add` only.
    new.unannounced = verb != ConfigVerb::Add;
    let there = k.dev(dev).addrs.iter().any(|x| x.prefix == own && x.peer == peer);
    match verb {
        ConfigVerb::Add if own.addr().is_ipv4() && own.addr().is_unspecified() => Ok(()),
        ConfigVerb::Add => Ok(k.add_address_as(dev, new)?),
        ConfigVerb::Replace | ConfigVerb::Change if there => Ok(()),
        ConfigVerb::Replace | ConfigVerb::Change => Ok(k.add_address_as(dev, new)?),
        _ => Err(Refusal::Said(format!("Command \"{verb:?}\" is unknown, try \"ip address help\"."))),
    }
}

/// `ip route VERB`.
pub fn route(k: &mut Kernel, ns: NsId, verb: ConfigVerb, words: &RouteWords) -> Done {
    let spec = parse_route(&words.words()).map_err(|e| Refusal::Said(e.to_string()))?;
    let mode = match verb {
        ConfigVerb::Add => AddMode::Add,
        ConfigVerb::Replace => AddMode::Replace,
        ConfigVerb::Append => AddMode::Append,
        ConfigVerb::Change => AddMode::Change,
        ConfigVerb::Prepend => AddMode::Prepend,
        ConfigVerb::Del => return Ok(k.delete_route_spec(ns, &spec)?),
    };
    Ok(k.add_route_spec(ns, &spec, mode)?)
}

/// `ip rule add|del`.
pub fn rule(k: &mut Kernel, ns: NsId, verb: ConfigVerb, words: &RuleWords) -> Done {
    let spec = parse_rule(&words.words(), false).map_err(|e| Refusal::Said(e.to_string()))?;
    match verb {
        ConfigVerb::Add => Ok(k.add_rule_spec(ns, &spec)?),
        ConfigVerb::Del => {
            k.delete_rule_spec(ns, &spec)?;
            Ok(())
        }
        _ => Err(Refusal::unsupported("this verb of ip rule")),
    }
}

/// `ip neigh VERB`.
pub fn neigh(k: &mut Kernel, ns: NsId, topo: &Topology, verb: ConfigVerb, e: &NeighWords) -> Done {
    let dev = device(k, ns, &e.dev)?;
    let addr: IpAddr = parse(&e.ip, "any valid address is expected rather than")?;
    let mode = match verb {
        ConfigVerb::Del => return Ok(k.delete_neighbour(dev, addr)?),
        ConfigVerb::Add => SetMode::Add,
        ConfigVerb::Change => SetMode::Change,
        ConfigVerb::Replace => SetMode::Replace,
        ConfigVerb::Append | ConfigVerb::Prepend => {
            return Err(Refusal::Said("Command is unknown, try \"ip neigh help\".".into()));
        }
    };
    if e.proxy {
        k.add_proxy_neighbour(dev, addr);
        return Ok(());
    }
    let mac = e.mac.as_ref().map(|m| topo.mac(m)).transpose().map_err(Refusal::Said)?;
    let state = match e.nud.as_deref() {
        None | Some("permanent") => NeighState::Permanent,
        Some("reachable") => NeighState::Reachable,
        Some("stale") => NeighState::Stale,
        Some("delay") => NeighState::Delay,
        Some("probe") => NeighState::Probe,
        Some("failed") => NeighState::Failed,
        Some("noarp") => NeighState::NoArp,
        Some("incomplete") => NeighState::Incomplete,
        Some("none") => NeighState::None,
        Some(other) => return Err(Refusal::said("nud state is bad", other)),
    };
    Ok(k.set_neighbour(&SetEntry { dev, addr, mac, state }, mode)?)
}

/// `ip neigh flush all`: what was learned goes, what was set by hand stays.
pub fn neigh_flush(k: &mut Kernel, ns: NsId) {
    k.flush_learned_neighbours(ns);
}

/// `bridge fdb VERB`.
pub fn fdb(k: &mut Kernel, ns: NsId, topo: &Topology, verb: ConfigVerb, e: &FdbWords) -> Done {
    let dev = device(k, ns, &e.dev)?;
    let mac = topo.mac(&e.mac).map_err(Refusal::Said)?;
    let default = ["master".to_string(), "static".to_string()];
    let flags = e.flags.as_deref().unwrap_or(&default);
    let has = |f: &str| flags.iter().any(|x| x == f);
    let now = k.core.now;
    if let (DeviceKind::Vxlan(v), false) = (&mut k.dev_mut(dev).kind, has("master")) {
        let remote = e.dst.as_deref().map(|d| parse(d, "any valid address is expected rather than")).transpose()?;
        let kind = match (has("static"), has("dynamic")) {
            (true, _) => StationKind::Static,
            (_, true) => StationKind::Dynamic,
            _ => StationKind::Permanent,
        };
        let done = match (verb, remote) {
            (ConfigVerb::Del, remote) => v.delete_station(mac, remote),
            (_, None) => Err(Errno::EINVAL),
            (ConfigVerb::Add, Some(remote)) => v.set_station(now, StationVerb::Add, mac, remote, kind),
            (ConfigVerb::Append, Some(remote)) => v.set_station(now, StationVerb::Append, mac, remote, kind),
            (_, Some(remote)) => v.set_station(now, StationVerb::Replace, mac, remote, kind),
        };
        return done.map_err(|e| Refusal::Said(e.name().into()));
    }
    let own = k.dev(dev).bridge().is_some().then_some(dev);
    let Some(bridge) = own.or(k.dev(dev).master) else { return Err(Refusal::Said("EOPNOTSUPP".into())) };
    let kind = match (has("static") || has("temp"), has("dynamic")) {
        (true, _) => FdbKind::Static,
        (_, true) => FdbKind::Dynamic,
        _ => FdbKind::Permanent,
    };
    let spec = FdbSpec { mac, dev, vlan: e.vlan, kind, sticky: has("sticky") };
    k.administer_bridge(bridge, |b, now, out| match verb {
        ConfigVerb::Del => b.fdb_del(now, mac, dev, e.vlan, out),
        ConfigVerb::Add => b.fdb_set(now, FdbVerb::Add, spec, out),
        _ => b.fdb_set(now, FdbVerb::Replace, spec, out),
    })?;
    Ok(())
}

fn switch(value: &Scalar) -> bool {
    !matches!(&*value.0, "0" | "off")
}

/// Hundredths of a second, as `ip` takes the times of a bridge.
fn centiseconds(value: &Scalar) -> Result<Time, Refusal> {
    Ok(number(value)? as Time * 10 * MS)
}

/// The settings of a new bridge.
pub fn bridge_config(options: &Ordered<Scalar>) -> Result<BridgeConfig, Refusal> {
    let mut c = BridgeConfig { fdb: FdbMode::Mac, ..BridgeConfig::default() };
    for (key, value) in options.iter() {
        match key {
            "stp_state" => c.stp = switch(value),
            "ageing_time" => c.ageing = centiseconds(value)?,
            "forward_delay" => c.forward_delay = centiseconds(value)?,
            "hello_time" => c.hello_time = centiseconds(value)?,
            "max_age" => c.max_age = centiseconds(value)?,
            "priority" => c.priority = number(value)? as u16,
            "vlan_filtering" => c.vlan_filtering = switch(value),
            "vlan_default_pvid" => c.default_pvid = number(value)? as u16,
            "group_fwd_mask" => c.group_fwd_mask = number(value)? as u16,
            other if WITHOUT_EFFECT.contains(&other) => {}
            other => return Err(Refusal::unsupported(&format!("bridge option {other}"))),
        }
    }
    c.check().map_err(|e| Refusal::Said(e.to_string()))?;
    Ok(c)
}

/// `ip link set BRIDGE type bridge …`.
pub fn bridge_set(k: &mut Kernel, bridge: DevId, options: &Ordered<Scalar>) -> Done {
    for (key, value) in options.iter() {
        let n = number(value)?;
        match key {
            "stp_state" => k.administer_bridge(bridge, |b, now, out| b.set_stp(now, n != 0, out))?,
            "priority" if n > u16::MAX.into() => {
                return Err(Refusal::said("invalid priority", &value.0));
            }
            "priority" => k.administer_bridge(bridge, |b, now, out| {
                b.set_priority(now, n as u16, out);
                Ok(())
            })?,
            "ageing_time" => k.administer_bridge(bridge, |b, now, out| {
                b.set_ageing(now, n as Time * 10 * MS, out);
                Ok(())
            })?,
            "vlan_filtering" => k.administer_bridge(bridge, |b, now, out| {
                b.set_vlan_filtering(now, n != 0, out);
                Ok(())
            })?,
            "forward_delay" | "hello_time" | "max_age" => {
                let time = n as Time * 10 * MS;
                k.administer_bridge(bridge, |b, _, _| {
                    b.set_times(|c| match key {
                        "forward_delay" => c.forward_delay = time,
                        "hello_time" => c.hello_time = time,
                        _ => c.max_age = time,
                    })
                })?
            }
            "group_fwd_mask" => {
                k.administer_bridge(bridge, |b, _, _| b.set_times(|c| c.group_fwd_mask = n as u16))?;
            }
            other if WITHOUT_EFFECT.contains(&other) => {}
            other => return Err(Refusal::unsupported(&format!("bridge option {other}"))),
        }
    }
    Ok(())
}

/// Settings of a bridge that change nothing as long as nobody asks for groups and `br_netfilter` is off.
const WITHOUT_EFFECT: [&str; 7] = [
    "mcast_snooping",
    "mcast_querier",
    "mcast_router",
    "nf_call_iptables",
    "nf_call_ip6tables",
    "nf_call_arptables",
    "mcast_stats_enabled",
];

/// `bridge link set dev PORT …`.
pub fn port_set(k: &mut Kernel, port: DevId, options: &Ordered<Scalar>) -> Done {
    let Some(bridge) = k.dev(port).master else { return Err(Refusal::Said("EOPNOTSUPP".into())) };
    let Some(view) = k.dev(bridge).bridge().and_then(|b| b.port_view(port)) else {
        return Err(Refusal::Said("EOPNOTSUPP".into()));
    };
    let mut flags: PortFlags = view.flags;
    for (key, value) in options.iter() {
        let flag = match key {
            "isolated" => &mut flags.isolated,
            "hairpin" => &mut flags.hairpin,
            "learning" => &mut flags.learning,
            "flood" => &mut flags.flood,
            "mcast_flood" => &mut flags.mcast_flood,
            "bcast_flood" => &mut flags.bcast_flood,
            // Who asked for a group is not looked at.
            "mcast_fast_leave" | "fastleave" | "mcast_router" | "learning_sync" => continue,
            "cost" => {
                // The tool leaves out a cost of zero.
                let cost = number(value)?;
                if cost > 0 {
                    k.administer_bridge(bridge, |b, now, out| b.set_port_cost(now, port, cost, out))?;
                }
                continue;
            }
            "priority" => {
                let priority = number(value)?.min(255) as u8;
                k.administer_bridge(bridge, |b, now, out| b.set_port_priority(now, port, priority, out))?;
                continue;
            }
            "state" => {
                let state = port_state(value)?;
                k.administer_bridge(bridge, |b, _, out| b.set_port_state(port, state, out))?;
                continue;
            }
            "proxy_arp" | "proxy_arp_wifi" => return Err(Refusal::Said("Usage: bridge link set dev DEV".into())),
            other => return Err(Refusal::unsupported(&format!("port option {other}"))),
        };
        *flag = switch(value);
    }
    Ok(k.administer_bridge(bridge, |b, _, _| b.set_port_flags(port, flags))?)
}

/// A state by number or name, as `bridge link set` takes it (`enum br_state`).
fn port_state(value: &Scalar) -> Result<PortState, Refusal> {
    Ok(match &*value.0 {
        "0" | "disabled" => PortState::Disabled,
        "1" | "listening" => PortState::Listening,
        "2" | "learning" => PortState::Learning,
        "3" | "forwarding" => PortState::Forwarding,
        "4" | "blocking" => PortState::Blocking,
        other => return Err(Refusal::said("invalid STP port state", other)),
    })
}

/// `ip link set dev DEV address MAC`.
pub fn set_mac(k: &mut Kernel, dev: DevId, mac: Mac) -> Done {
    Ok(k.set_mac(dev, mac)?)
}

/// `tc qdisc replace dev DEV root …`, or `del` without settings.
pub fn impair(k: &mut Kernel, dev: DevId, set: Option<&Impairment>) -> Done {
    let Some(p) = set else {
        if matches!(k.dev(dev).qdisc.config(), QdiscConfig::Noqueue) {
            return Err(Refusal::Said("Cannot delete qdisc with handle of zero.".into()));
        }
        k.set_qdisc(dev, QdiscConfig::Noqueue);
        return Ok(());
    };
    if let Some(t) = &p.tbf {
        let config =
            TbfConfig { rate: t.rate_kbit * 1000, burst: t.burst.unwrap_or(3000), limit: t.limit.unwrap_or(100_000) };
        k.set_qdisc(dev, QdiscConfig::Tbf(config));
        return Ok(());
    }
    let time = |ms: Option<f64>| (ms.unwrap_or(0.0).max(0.0) * MS as f64).round() as Time;
    let ppm = |pct: Option<f64>| (pct.unwrap_or(0.0).clamp(0.0, 100.0) * 10_000.0).round() as u32;
    let config = NetemConfig {
        delay: time(p.delay_ms),
        jitter: time(p.jitter_ms),
        loss: Loss::Random { share: ppm(p.loss_pct), correlation: 0 },
        duplicate: ppm(p.duplicate_pct),
        corrupt: ppm(p.corrupt_pct),
        reorder: ppm(p.reorder_pct),
        // The oracle says the gap only together with the share.
        gap: p.gap.filter(|_| p.reorder_pct.is_some()).unwrap_or(0),
        rate: p.rate_kbit.unwrap_or(0) * 1000,
        limit: p.limit.unwrap_or(NetemConfig::default().limit),
        ..NetemConfig::default()
    };
    k.set_qdisc(dev, QdiscConfig::Netem(config));
    Ok(())
}
