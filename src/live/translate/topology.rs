//! Namespaces, devices, addresses and tables.

use super::{Untranslatable, mac_of};
use crate::{
    conform::case::{
        AddrObject, AddrWords, FdbWords, Iface, Impairment, NeighWords, Node, Ordered, RouteWords, RuleWords, Scalar,
        VlanWords,
    },
    scenario::{
        Built, Device, Directory, IfAddr, Namespace, Scenario,
        schema::{self, Bridge, PortSettings},
    },
};

pub struct Translator<'a> {
    pub scenario: &'a Scenario,
    pub built: &'a Built,
    pub names: &'a Directory<'a>,
    pub name: &'a str,
    pub notes: &'a mut Vec<String>,
}

fn scalar(value: impl ToString) -> Scalar {
    Scalar(value.to_string())
}

/// An address in the words of a case.
fn address(a: &IfAddr) -> AddrWords {
    let peer = a.peer.map(|p| p.to_string());
    AddrWords::Long(AddrObject { ip: a.local.to_string(), peer, dad: false, scope: None })
}

/// Hundredths of a second, as `ip` takes the times of a bridge.
fn centiseconds(ns: u64) -> Scalar {
    scalar(ns / 10_000_000)
}

impl Translator<'_> {
    /// The namespace, without its firewall.
    pub fn node(&mut self, ns: &Namespace) -> Result<Node, Untranslatable> {
        if !ns.advertise.is_empty() || ns.devices.iter().any(|(_, d)| d.is_autoconf()) {
            let what = "router advertisements need a program (radvd) that is not started";
            return Err(Untranslatable::Unknown(format!("{}: {what}", self.name)));
        }
        let mut node = Node::default();
        for (key, value) in ns.sysctl.iter() {
            node.sysctl.0.push((key.value.clone(), scalar(&value.value)));
        }
        // What sits on another device comes after it.
        let all = self.names.devices(self.name);
        let is_vlan = |dev: &&&str| matches!(self.names.device(self.name, dev), Some(Device::Vlan(_)));
        let mut order: Vec<&str> = all.iter().filter(|d| !is_vlan(d)).copied().collect();
        let mut waiting: Vec<&str> = all.iter().filter(is_vlan).copied().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|dev| match self.names.device(self.name, dev) {
                Some(Device::Vlan(v)) if !order.contains(&v.parent.as_str()) => true,
                _ => {
                    order.push(dev);
                    false
                }
            });
            if waiting.len() == before {
                return Err(Untranslatable::Unknown(format!("{}: VLANs that sit on each other", self.name)));
            }
        }
        for dev in order {
            let iface = self.iface(dev);
            node.ifaces.0.push((dev.to_string(), iface));
        }
        for (dev, device) in ns.devices.iter() {
            if let Device::Bridge(bridge) = device {
                for port in &bridge.ports {
                    self.port(&mut node, dev, bridge, &port.0);
                }
            }
        }
        node.routes = ns.routes.iter().map(|r| RouteWords::Short(r.text.clone())).collect();
        for rule in &ns.rules {
            node.rules.push(rule_words(&rule.text));
        }
        for n in &ns.neigh {
            node.neigh.push(neigh_words(&n.text));
        }
        if ns.proc.mount || ns.proc.pid {
            let note = "its own view of /proc (mount and PID namespace) is not made";
            self.notes.push(format!("{}: {note}", self.name));
        }
        Ok(node)
    }

    fn iface(&mut self, dev: &str) -> Iface {
        let device = self.names.device(self.name, dev);
        let cable = self.names.cable(self.name, dev).map(|c| &self.scenario.links[c.link]);
        let mut i = Iface::default();
        if dev != "lo" {
            i.mac = mac_of(self.built, self.name, dev).map(|m| m.to_string());
        }
        i.mtu = cable.and_then(|c| c.mtu).map(|m| *m);
        let Some(device) = device else { return i };
        i.mtu = device.mtu().map(|m| *m).or(i.mtu);
        i.up = (!device.is_up()).then_some(false);
        i.addr = device.addresses().iter().map(|a| address(a)).collect();
        match device {
            Device::Bridge(b) => {
                i.kind = Some("bridge".into());
                i.bridge = bridge_options(b);
            }
            Device::Vlan(v) => {
                i.kind = Some("vlan".into());
                i.parent = Some(v.parent.value.clone());
                i.id = Some(u32::from(*v.id));
            }
            Device::Plain(_) if dev == "lo" || cable.is_some() => {}
            Device::Plain(_) | Device::Dummy(_) => {
                i.kind = Some("dummy".into());
                let what = "is a dummy device, which on Linux asks no ARP and always has a carrier";
                self.notes.push(format!("{}:{dev} {what}", self.name));
            }
        }
        i
    }

    fn port(&mut self, node: &mut Node, bridge: &str, settings: &Bridge, p: &PortSettings) {
        for mac in &p.stations {
            let entry = FdbWords { mac: mac.to_string(), dev: p.dev.value.clone(), ..FdbWords::default() };
            node.fdb.push(entry);
        }
        let Some((_, iface)) = node.ifaces.0.iter_mut().find(|(d, _)| *d == p.dev.value) else { return };
        iface.master = Some(bridge.into());
        let switches = [
            ("isolated", p.isolated, false),
            ("hairpin", p.hairpin, false),
            ("learning", p.learning, true),
            ("flood", p.flood, true),
        ];
        let set = switches.iter().filter(|(_, value, default)| value != default);
        iface.brport = Ordered(set.map(|(key, value, _)| (key.to_string(), scalar(u8::from(*value)))).collect());
        for (key, value, default) in [("cost", *p.cost, 2), ("priority", u32::from(*p.priority), 32)] {
            if value != default {
                iface.brport.0.push((key.into(), scalar(value)));
            }
        }
        if let Some(pvid) = p.pvid {
            let default = *settings.default_pvid;
            if default != 0 && default != *pvid {
                iface.vlans.push(VlanWords { vid: default, del: true, ..VlanWords::default() });
            }
            iface.vlans.push(VlanWords { vid: *pvid, pvid: true, untagged: true, del: false });
        }
        let tagged = p.tagged.iter().map(|vid| VlanWords { vid: **vid, ..VlanWords::default() });
        iface.vlans.extend(tagged);
    }
}

/// What differs from the kernel's defaults.
fn bridge_options(b: &Bridge) -> Ordered<Scalar> {
    let usual = Bridge::default();
    let mut options = Vec::new();
    let mut say = |key: &str, given: bool, value: Scalar| {
        if given {
            options.push((key.to_string(), value));
        }
    };
    say("ageing_time", b.ageing != usual.ageing, centiseconds(b.ageing.0));
    say("priority", b.priority != usual.priority, scalar(*b.priority));
    say("forward_delay", b.forward_delay != usual.forward_delay, centiseconds(b.forward_delay.0));
    say("hello_time", b.hello_time != usual.hello_time, centiseconds(b.hello_time.0));
    say("max_age", b.max_age != usual.max_age, centiseconds(b.max_age.0));
    say("vlan_filtering", b.vlan_filtering, scalar(1));
    say("vlan_default_pvid", b.default_pvid != usual.default_pvid, scalar(*b.default_pvid));
    // Last: the times are those it starts with.
    say("stp_state", b.stp, scalar(1));
    Ordered(options)
}

/// `ip rule` words, pair by pair.
fn rule_words(text: &str) -> RuleWords {
    let mut r = RuleWords::default();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_default().to_string();
        match word {
            "not" => r.not = true,
            "from" => r.from = Some(next()),
            "to" => r.to = Some(next()),
            "iif" | "dev" => r.iif = Some(next()),
            "oif" => r.oif = Some(next()),
            "fwmark" => r.fwmark = Some(Scalar(next())),
            "ipproto" => r.ipproto = Some(next()),
            "sport" => r.sport = Some(Scalar(next())),
            "dport" => r.dport = Some(Scalar(next())),
            "tos" | "dsfield" => r.tos = Some(Scalar(next())),
            "prio" | "pref" | "priority" | "preference" | "order" => r.prio = Some(Scalar(next())),
            "table" | "lookup" => r.table = Some(Scalar(next())),
            "suppress_prefixlength" | "sup_pl" => r.suppress_prefixlength = Some(Scalar(next())),
            kind => r.kind = Some(kind.into()),
        }
    }
    r
}

/// `ip neigh` words, pair by pair.
fn neigh_words(text: &str) -> NeighWords {
    let mut n = NeighWords::default();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_default().to_string();
        match word {
            "dev" => n.dev = next(),
            "lladdr" => n.mac = Some(next()),
            "nud" => n.nud = Some(next()),
            "proxy" => {
                n.proxy = true;
                n.ip = next();
            }
            "to" => n.ip = next(),
            ip => n.ip = ip.into(),
        }
    }
    n
}

/// An impairment in the words of a case; nothing if there is none.
pub fn impairment(i: &schema::Impairment) -> Option<Impairment> {
    let ms = |d: Option<crate::scenario::Spanned<crate::scenario::Duration>>| d.map(|d| d.0 as f64 / 1e6);
    let percent = |s: Option<crate::scenario::Spanned<crate::scenario::Share>>| s.map(|s| f64::from(s.0) / 1e4);
    (!i.is_none()).then(|| Impairment {
        delay_ms: ms(i.delay).or(i.jitter.map(|_| 0.0)),
        jitter_ms: ms(i.jitter),
        loss_pct: percent(i.loss),
        duplicate_pct: percent(i.duplicate),
        corrupt_pct: percent(i.corrupt),
        reorder_pct: percent(i.reorder),
        gap: None,
        rate_kbit: i.rate.map(|r| r.0 / 1000),
        limit: i.queue.map(|q| *q),
        tbf: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_apart_and_put_together_again() {
        let text = "not from 10.0.0.0/24 iif eth0 prio 100 table 7";
        assert_eq!(rule_words(text).words(), text);
        assert_eq!(rule_words("to 10.0.0.1 priority 5 prohibit").words(), "to 10.0.0.1 prio 5 prohibit");
        let n = neigh_words("10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud stale");
        assert_eq!(
            (&*n.ip, &*n.dev, n.mac.as_deref(), n.nud.as_deref()),
            ("10.0.0.9", "eth0", Some("02:00:00:00:00:09"), Some("stale"))
        );
    }
}
