//! Namespaces, cables and devices.

use super::Builder;
use crate::{
    base::{DevId, NsId},
    device::bridge::{BridgeConfig, FdbKind, FdbMode, FdbSpec, FdbVerb, PortFlags, VlanEntry},
    kernel::ProcView,
    scenario::{
        Diagnostic, Spanned,
        schema::{Bridge, Device, Fdb, PortSettings},
    },
};

impl Builder<'_> {
    pub(super) fn namespaces(&mut self) {
        let scenario = self.scenario;
        for (name, ns) in scenario.namespaces.iter() {
            let made = self.world.add_namespace(name);
            if let Some(id) = self.check(name.span, made) {
                self.world.ns_mut(id).proc_view = ProcView { mount: ns.proc.mount, pid: ns.proc.pid };
            }
        }
    }

    pub(super) fn cables(&mut self) {
        let scenario = self.scenario;
        for link in &scenario.links {
            let (a, b) = (link.a(), link.b());
            let (na, nb) = (self.world.find_ns(&a.ns), self.world.find_ns(&b.ns));
            for (end, found) in [(a, na), (b, nb)] {
                if found.is_none() {
                    let message = format!("there is no namespace `{}`", end.ns);
                    self.refuse(Diagnostic::error("unknown-namespace", end.span, message));
                }
            }
            let (Some(na), Some(nb)) = (na, nb) else { continue };
            let taken = self.world.find_dev(nb, &b.dev).is_some();
            let made = self.world.add_veth((na, &a.dev), (nb, &b.dev));
            let Some((x, y)) = self.check(if taken { b.span } else { a.span }, made) else { continue };
            for (dev, end) in [(x, a), (y, b)] {
                let ns = scenario.namespaces.get(&end.ns).expect("found above");
                let own = ns.devices.get(&end.dev).and_then(Device::mtu);
                if let Some(mtu) = own.or(link.mtu) {
                    let set = self.world.set_mtu(dev, *mtu);
                    self.check(mtu.span, set);
                }
            }
        }
    }

    /// Bridges and dummies, then what sits on other devices, then settings and addresses.
    pub(super) fn devices(&mut self) {
        let scenario = self.scenario;
        for (ns_name, ns) in scenario.namespaces.iter() {
            let Some(id) = self.world.find_ns(ns_name) else { continue };
            for (name, device) in ns.devices.iter() {
                match device {
                    Device::Bridge(bridge) => {
                        let config = bridge_config(bridge);
                        if let Err(e) = config.check() {
                            self.refuse(Diagnostic::error("refused", name.span, e.to_string()));
                        }
                        let made = self.world.add_bridge(id, name, config);
                        self.check(name.span, made);
                    }
                    Device::Dummy(_) => {
                        // A wire whose other end nobody holds: what is sent vanishes there.
                        let made = self.world.add_external(id, name).map(|(dev, _)| dev);
                        self.check(name.span, made);
                    }
                    Device::Plain(_) if self.world.find_dev(id, name).is_none() => {
                        // The end of no cable: it exists, but has no carrier.
                        let made = self.world.add_external(id, name).map(|(dev, _)| dev);
                        if let Some(dev) = self.check(name.span, made) {
                            self.world.set_carrier(dev, false);
                        }
                    }
                    Device::Plain(_) | Device::Vlan(_) => {}
                }
            }
            let devices = || ns.devices.iter();
            for (name, device) in devices().filter(|(_, d)| !matches!(d, Device::Vlan(_))) {
                self.hardware(id, name, device);
            }
            self.vlans(id, devices());
            for (name, device) in devices() {
                if let (Some(bridge), Some(dev)) = (device.as_bridge(), self.world.find_dev(id, name)) {
                    self.ports(id, dev, bridge);
                }
            }
            for (name, device) in devices() {
                self.addresses(id, name, device);
            }
        }
    }

    /// VLAN devices, parents before children whatever the order of the file.
    fn vlans<'b>(&mut self, ns: NsId, devices: impl Iterator<Item = (&'b Spanned<String>, &'b Device)>) {
        let mut waiting: Vec<_> = devices
            .filter_map(|(name, device)| match device {
                Device::Vlan(vlan) => Some((name, device, vlan)),
                _ => None,
            })
            .collect();
        loop {
            let before = waiting.len();
            let mut still = Vec::new();
            for (name, device, vlan) in waiting {
                match self.world.find_dev(ns, &vlan.parent) {
                    Some(parent) => {
                        let made = self.world.add_vlan(parent, name, *vlan.id);
                        self.check(vlan.id.span, made);
                        self.hardware(ns, name, device);
                    }
                    None => still.push((name, device, vlan)),
                }
            }
            if still.len() == before || still.is_empty() {
                for (_, _, vlan) in still {
                    self.dev(ns, &vlan.parent);
                }
                return;
            }
            waiting = still;
        }
    }

    /// MAC and MTU. The MTU of a cable's end is set with the cable.
    fn hardware(&mut self, ns: NsId, name: &str, device: &Device) {
        let Some(dev) = self.world.find_dev(ns, name) else { return };
        if let Some(mac) = device.mac() {
            let set = self.world.set_mac(dev, *mac);
            self.check(mac.span, set);
        }
        if let (Some(mtu), false) = (device.mtu(), matches!(device, Device::Bridge(_))) {
            let set = self.world.set_mtu(dev, *mtu);
            self.check(mtu.span, set);
        }
    }

    fn ports(&mut self, ns: NsId, bridge: DevId, settings: &Bridge) {
        for port in &settings.ports {
            let p = &port.0;
            let Some(dev) = self.dev(ns, &p.dev) else { continue };
            let joined = self.world.add_port(dev, bridge, |config| {
                config.path_cost = *p.cost;
                config.priority = *p.priority;
                config.flags = PortFlags {
                    isolated: p.isolated,
                    hairpin: p.hairpin,
                    learning: p.learning,
                    flood: p.flood,
                    ..PortFlags::default()
                };
            });
            if self.check(p.dev.span, joined).is_some() {
                self.port_tables(bridge, dev, p, *settings.default_pvid);
            }
        }
        if let Some(mtu) = settings.mtu {
            let set = self.world.set_mtu(bridge, *mtu);
            self.check(mtu.span, set);
        }
    }

    /// VLAN memberships and stations entered by hand.
    fn port_tables(&mut self, bridge: DevId, dev: DevId, port: &PortSettings, default_pvid: u16) {
        if let Some(pvid) = port.pvid {
            let changed = self.world.administer_bridge(bridge, |b, now, out| {
                if default_pvid != 0 && default_pvid != *pvid {
                    b.vlan_del(dev, default_pvid, out)?;
                }
                b.vlan_add(now, dev, VlanEntry { vid: *pvid, pvid: true, untagged: true }, out)
            });
            self.check(pvid.span, changed);
        }
        for vid in &port.tagged {
            let entry = VlanEntry { vid: **vid, pvid: false, untagged: false };
            let added = self.world.administer_bridge(bridge, |b, now, out| b.vlan_add(now, dev, entry, out));
            self.check(vid.span, added);
        }
        for mac in &port.stations {
            let spec = FdbSpec { mac: **mac, dev, vlan: None, kind: FdbKind::Static, sticky: false };
            let added = self.world.administer_bridge(bridge, |b, now, out| b.fdb_set(now, FdbVerb::Replace, spec, out));
            self.check(mac.span, added);
        }
    }

    fn addresses(&mut self, ns: NsId, name: &str, device: &Device) {
        let Some(dev) = self.world.find_dev(ns, name) else { return };
        if !device.is_up() {
            self.world.set_up(dev, false);
        }
        if device.is_autoconf() {
            // In the names of settings, a dot in a device's name is a slash (sysctl(8)).
            let key = format!("net.ipv6.conf.{}.disable_ipv6", name.replace('.', "/"));
            self.world
                .set_sysctl(ns, &key, "0")
                .expect("the device exists, and IPv6 can be switched on for every device");
        }
        for addr in device.addresses() {
            let (prefix, peer) = (addr.local, addr.peer.map(|p| p.addr()));
            let added = self.world.add_address(dev, prefix, peer);
            self.check(addr.span, added);
        }
    }
}

fn bridge_config(bridge: &Bridge) -> BridgeConfig {
    BridgeConfig {
        fdb: match bridge.fdb {
            Fdb::Namespace => FdbMode::Namespace,
            Fdb::Mac => FdbMode::Mac,
        },
        stp: bridge.stp,
        ageing: bridge.ageing.0,
        forward_delay: bridge.forward_delay.0,
        hello_time: bridge.hello_time.0,
        max_age: bridge.max_age.0,
        priority: *bridge.priority,
        vlan_filtering: bridge.vlan_filtering,
        default_pvid: *bridge.default_pvid,
        ..BridgeConfig::default()
    }
}
