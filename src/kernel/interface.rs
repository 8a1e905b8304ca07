//! Making, changing and removing namespaces and devices (`ip netns`, `ip link`).

use super::{
    ConfigError, DEFAULT_MTU, Device, DeviceKind, Kernel, LOOPBACK_MTU, Namespace, ProcView,
    mib::Counters,
    sysctl::{Conf, Confs, Knobs},
};
use crate::{
    base::{DevId, Errno, Mac, NsId, Prefix, Rng},
    device::bridge::{Bridge, BridgeConfig},
    link::{ExternalEnd, ExternalWire, Qdisc, QdiscConfig, Wire},
    neigh::NeighTable,
    route::{Family, Fib},
    trace::DropReason,
};
use std::net::{IpAddr, Ipv4Addr};

/// At most this many namespaces fit in a world.
pub const MAX_NAMESPACES: usize = 1 << 20;
/// At most this many devices fit in a world.
pub const MAX_DEVICES: usize = 1 << 22;
/// Longest name of a device in bytes (`IFNAMSIZ` less the terminator).
pub const MAX_DEV_NAME: usize = 15;

impl Kernel {
    /// Makes a namespace with nothing but a loopback device that is up.
    ///
    /// # Errors
    /// If the name is empty or taken, or the world is full.
    pub fn add_namespace(&mut self, name: &str) -> Result<NsId, ConfigError> {
        if name.is_empty() || name.len() > 255 || name.contains(['/', ':']) || name.contains(char::is_whitespace) {
            return Err(ConfigError::new(Errno::EINVAL, format!("`{name}` cannot be the name of a namespace")));
        }
        if self.nss.len() >= MAX_NAMESPACES {
            return Err(ConfigError::new(Errno::ENOBUFS, format!("a world holds at most {MAX_NAMESPACES} namespaces")));
        }
        if self.index.contains_key(name) {
            return Err(ConfigError::new(Errno::EEXIST, format!("there is a namespace `{name}` already")));
        }
        let ns = self.core.add_ns(name);
        self.index.insert(name.into(), ns);
        self.nss.push(Namespace {
            lo: DevId(0),
            devices: Vec::new(),
            tunnels: 0,
            fib: Fib::default(),
            neigh: NeighTable::default(),
            netfilter: None,
            sockets: None,
            reassembly: None,
            icmp_limits: None,
            route_cache: None,
            exceptions: None,
            some_ignore_linkdown: false,
            ipv6: None,
            ipv6_chosen: false,
            knobs: Knobs::default(),
            conf_all: Confs::of_all(),
            conf_default: Confs::default(),
            mib: Counters::default(),
            proc_view: ProcView::default(),
            born: self.core.now,
            rng: Rng::keyed(self.core.seed, &["namespace", name]),
            ip_id: 0,
        });
        let lo = self.new_device(ns, "lo", Mac::ZERO, LOOPBACK_MTU, DeviceKind::Loopback)?;
        let n = self.ns_mut(ns);
        n.lo = lo;
        n.fib.set_loopback(lo);
        n.ip_id = n.rng.next_u64() as u32;
        self.give_home(lo);
        Ok(ns)
    }

    /// Lays a cable between two new devices.
    ///
    /// # Errors
    /// If a name is not valid or taken in its namespace.
    pub fn add_veth(&mut self, a: (NsId, &str), b: (NsId, &str)) -> Result<(DevId, DevId), ConfigError> {
        self.check_dev_name(b.0, b.1)?;
        if a == b {
            return Err(ConfigError::new(Errno::EEXIST, format!("both ends of the cable are called `{}`", a.1)));
        }
        let mac = |k: &Kernel, (ns, name): (NsId, &str)| Mac::derived(k.ns_name(ns), name);
        let (ma, mb) = (mac(self, a), mac(self, b));
        let x = self.new_device(a.0, a.1, ma, DEFAULT_MTU, DeviceKind::Veth { peer: None })?;
        let y = self.new_device(b.0, b.1, mb, DEFAULT_MTU, DeviceKind::Veth { peer: Some(x) })?;
        self.dev_mut(x).kind = DeviceKind::Veth { peer: Some(y) };
        Ok((x, y))
    }

    /// Makes a device whose cable ends in the hands of the caller: a harness, or another thread. Raw Ethernet frames go
    /// in and out by the [`ExternalEnd`]; they are taken in whenever the world runs.
    ///
    /// # Errors
    /// If the name is not valid or taken.
    pub fn add_external(&mut self, ns: NsId, name: &str) -> Result<(DevId, ExternalEnd), ConfigError> {
        let (wire, end) = Wire::external(ExternalWire::DEFAULT_CAPACITY);
        let mac = Mac::derived(self.ns_name(ns), name);
        let dev = self.new_device(ns, name, mac, DEFAULT_MTU, DeviceKind::External)?;
        self.dev_mut(dev).wire = wire;
        self.externals.push(dev);
        Ok((dev, end))
    }

    /// Makes a bridge without ports.
    ///
    /// # Errors
    /// If the name is not valid or taken.
    pub fn add_bridge(&mut self, ns: NsId, name: &str, config: BridgeConfig) -> Result<DevId, ConfigError> {
        let mac = Mac::derived(self.ns_name(ns), name);
        let dev = self.new_device(ns, name, mac, DEFAULT_MTU, DeviceKind::Deleted)?;
        let mut bridge = Bridge::new(dev, ns, mac, config);
        let mut changes = Vec::new();
        bridge.set_up(self.core.now, true, &mut changes);
        self.dev_mut(dev).kind = DeviceKind::Bridge(Box::new(bridge));
        self.bridge_changes(dev, changes);
        Ok(dev)
    }

    /// Makes a sub-interface of `parent` for one VLAN.
    ///
    /// # Errors
    /// If the name is not valid or taken, the VLAN is out of range, or `parent` has it already.
    pub fn add_vlan(&mut self, parent: DevId, name: &str, vid: u16) -> Result<DevId, ConfigError> {
        if !(1..=4094).contains(&vid) {
            return Err(ConfigError::new(Errno::EINVAL, format!("{vid} is not a VLAN id (1 to 4094)")));
        }
        let p = self.dev(parent);
        if p.vlans.iter().any(|(v, _)| *v == vid) {
            return Err(ConfigError::new(Errno::EEXIST, format!("`{}` has VLAN {vid} already", self.dev_name(parent))));
        }
        let (ns, mac, mtu) = (p.ns, p.mac, p.mtu);
        let dev = self.new_device(ns, name, mac, mtu, DeviceKind::Vlan { parent, vid })?;
        self.dev_mut(parent).vlans.push((vid, dev));
        Ok(dev)
    }

    fn check_dev_name(&self, ns: NsId, name: &str) -> Result<(), ConfigError> {
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > MAX_DEV_NAME || name.contains(odd) || name == "." || name == ".." {
            let message = format!(
                "`{name}` cannot be the name of a device (1 to {MAX_DEV_NAME} characters, no `/`, `:` or spaces)"
            );
            return Err(ConfigError::new(Errno::EINVAL, message));
        }
        if self.find_dev(ns, name).is_some() {
            return Err(ConfigError::new(
                Errno::EEXIST,
                format!("namespace `{}` has a device `{name}` already", self.ns_name(ns)),
            ));
        }
        if self.devs.len() >= MAX_DEVICES {
            return Err(ConfigError::new(Errno::ENOBUFS, format!("a world holds at most {MAX_DEVICES} devices")));
        }
        Ok(())
    }

    pub(super) fn new_device(
        &mut self,
        ns: NsId,
        name: &str,
        mac: Mac,
        mtu: u32,
        kind: DeviceKind,
    ) -> Result<DevId, ConfigError> {
        self.check_dev_name(ns, name)?;
        let dev = self.core.add_dev(ns, name);
        let mut device = Device::new(ns, mac, mtu, kind);
        device.conf = self.ns(ns).conf_default.clone();
        self.devs.push(device);
        self.ns_mut(ns).devices.push(dev);
        self.dev_index.insert((ns, name.into()), dev);
        self.ipv6_sync(dev);
        Ok(dev)
    }

    /// Sets the link-layer address.
    ///
    /// # Errors
    /// If it is a multicast or the zero address.
    pub fn set_mac(&mut self, dev: DevId, mac: Mac) -> Result<(), ConfigError> {
        if !mac.is_unicast() {
            return Err(ConfigError::new(Errno::EADDRNOTAVAIL, format!("{mac} is not the address of a station")));
        }
        let d = self.dev_mut(dev);
        let old = std::mem::replace(&mut d.mac, mac);
        let master = d.master;
        self.ipv6_mac_changed(dev, old);
        if old != mac {
            self.flush_neighbours(dev, None); // neigh_changeaddr, of both families
        }
        // Sub-interfaces that still carry the address they inherited follow (vlan_sync_address).
        for (_, vlan) in self.dev(dev).vlans.clone() {
            if self.dev(vlan).mac == old {
                self.set_mac(vlan, mac)?;
            }
        }
        if self.dev(dev).bridge().is_some() {
            self.change_bridge(dev, |b, now, out| b.set_mac(now, mac, out));
        }
        if let Some(bridge) = master {
            self.change_bridge(bridge, |b, now, out| b.set_port_mac(now, dev, mac, out));
        }
        if self.conf_or(dev, Conf::ArpNotify) && self.dev(dev).is_running() {
            self.announce_all(dev);
        }
        Ok(())
    }

    /// Sends gratuitous ARP for every address of a device (`arp_notify`).
    fn announce_all(&mut self, dev: DevId) {
        let addrs: Vec<Ipv4Addr> = self
            .dev(dev)
            .addrs
            .iter()
            .filter_map(|a| match a.prefix.addr() {
                IpAddr::V4(a) => Some(a),
                IpAddr::V6(_) => None,
            })
            .collect();
        for a in addrs {
            self.arp_announce(dev, a);
        }
    }

    /// Sets the MTU in bytes.
    ///
    /// # Errors
    /// If it is below 68 (RFC 791 §3.2) or above 65 535 (65 536 for `lo`).
    pub fn set_mtu(&mut self, dev: DevId, mtu: u32) -> Result<(), ConfigError> {
        let max = if self.dev(dev).is_loopback() { LOOPBACK_MTU } else { 65_535 };
        if !(68..=max).contains(&mtu) {
            return Err(ConfigError::new(Errno::EINVAL, format!("{mtu} is not an MTU (68 to {max} bytes)")));
        }
        if let DeviceKind::Vlan { parent, .. } = self.dev(dev).kind
            && mtu > self.dev(parent).mtu
        {
            // vlan_dev_change_mtu
            return Err(ConfigError::new(Errno::ERANGE, format!("the MTU of `{}` is smaller", self.dev_name(parent))));
        }
        let (ns, old) = (self.dev(dev).ns, self.dev(dev).mtu);
        if let Some(x) = self.ns_mut(ns).exceptions.as_mut() {
            x.follow_mtu(dev, mtu, old);
        }
        let d = self.dev_mut(dev);
        d.mtu = mtu;
        if let Some(b) = d.bridge_mut() {
            b.pin_mtu();
        }
        if let Some(bridge) = d.master {
            self.change_bridge(bridge, |b, _, _| b.set_port_mtu(dev, mtu));
            self.follow_mtu(bridge);
        }
        self.ipv6_sync(dev);
        // A sub-interface is never larger than what carries it (vlan_device_event, NETDEV_CHANGEMTU).
        for (_, vlan) in self.dev(dev).vlans.clone() {
            if self.dev(vlan).mtu > mtu {
                self.set_mtu(vlan, mtu)?;
            }
        }
        Ok(())
    }

    /// `lo` comes up with 127.0.0.1/8 (inetdev_event; case netns-private-sysctl).
    fn give_home(&mut self, lo: DevId) {
        let home = Prefix::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8).expect("8 is a prefix length");
        // It may have it already.
        let _ = self.add_address(lo, home, None);
    }

    /// Switches ARP on or off (`ip link set arp`); a change empties the neighbour table of the device.
    pub fn set_arp(&mut self, dev: DevId, on: bool) {
        if self.dev(dev).arp != on {
            self.dev_mut(dev).arp = on;
            self.flush_neighbours(dev, None);
        }
    }

    /// Switches a device on or off (`ip link set up|down`), with everything Linux does about it: carrier at the other
    /// end, connected routes, neighbours, bridge tables.
    pub fn set_up(&mut self, dev: DevId, up: bool) {
        if self.dev(dev).up == up {
            return;
        }
        self.config_changed();
        let running = self.dev(dev).is_running();
        self.dev_mut(dev).up = up;
        if up {
            if self.dev(dev).is_loopback() {
                self.give_home(dev);
            }
            self.restore_connected_routes(dev);
        } else {
            self.ipv6_down(dev, self.conf_or(dev, Conf::KeepAddrOnDown));
            self.flush_routes_of(dev);
            self.flush_neighbours(dev, None);
            let ns = self.dev(dev).ns;
            self.change_netfilter(ns, |nf, out| nf.device_down(dev, out));
        }
        if running != self.dev(dev).is_running() {
            self.running_changed(dev);
        }
        // Sub-interfaces go up and down with what carries them (vlan_device_event).
        for (_, vlan) in self.dev(dev).vlans.clone() {
            self.set_up(vlan, up);
        }
        // A carrier that comes or goes with it tells its own followers.
        if let DeviceKind::Veth { peer: Some(peer) } = self.dev(dev).kind {
            let carrier = self.dev(dev).up && self.dev(peer).up;
            self.set_carrier(dev, carrier);
            self.set_carrier(peer, carrier);
        }
        if self.dev(dev).bridge().is_some() {
            self.change_bridge(dev, |b, now, out| {
                b.set_up(now, up, out);
                Ok(())
            });
        }
    }

    /// The cable of a device was plugged in or out.
    pub(crate) fn set_carrier(&mut self, dev: DevId, carrier: bool) {
        let d = self.dev_mut(dev);
        if d.carrier == carrier {
            return;
        }
        let running = d.is_running();
        d.carrier = carrier;
        let ns = d.ns;
        self.ns_mut(ns).fib.set_linkdown(dev, !carrier);
        if !carrier && self.conf_and(dev, Conf::ArpEvictNocarrier) {
            self.flush_neighbours(dev, None);
        }
        if running != self.dev(dev).is_running() {
            self.running_changed(dev);
        }
    }

    fn running_changed(&mut self, dev: DevId) {
        self.config_changed();
        let running = self.dev(dev).is_running();
        self.emit_link(dev);
        self.ipv6_sync(dev);
        if let Some(bridge) = self.dev(dev).master {
            self.change_bridge(bridge, |b, now, out| b.set_port_link(now, dev, running, out));
        }
        for (_, vlan) in self.dev(dev).vlans.clone() {
            self.set_carrier(vlan, running);
        }
        if running && self.conf_or(dev, Conf::ArpNotify) {
            self.announce_all(dev);
        }
    }

    /// Empties the neighbour table of a device, of one family or of both, with the packets that wait there.
    pub(crate) fn flush_neighbours(&mut self, dev: DevId, family: Option<Family>) {
        let ns = self.dev(dev).ns;
        let now = self.core.now;
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        self.ns_mut(ns).neigh.flush_device(now, dev, family.map(|f| f == Family::V4), false, &mut actions);
        self.neighbour_actions(ns, actions);
    }

    /// Deletes a device; a cable loses both ends, as a veth pair does.
    ///
    /// # Errors
    /// `lo` cannot be deleted.
    pub fn delete_device(&mut self, dev: DevId) -> Result<(), ConfigError> {
        if self.dev(dev).is_loopback() {
            return Err(ConfigError::new(Errno::EOPNOTSUPP, "`lo` cannot be deleted"));
        }
        let peer = match self.dev(dev).kind {
            DeviceKind::Veth { peer } => peer,
            DeviceKind::Deleted => return Err(Errno::ENODEV.into()),
            _ => None,
        };
        self.remove_device(dev);
        if let Some(peer) = peer {
            self.remove_device(peer);
        }
        Ok(())
    }

    fn remove_device(&mut self, dev: DevId) {
        self.clear_master(dev);
        self.set_up(dev, false);
        for (_, vlan) in self.dev(dev).vlans.clone() {
            self.remove_device(vlan);
        }
        if let DeviceKind::Vlan { parent, .. } = self.dev(dev).kind {
            self.dev_mut(parent).vlans.retain(|(_, d)| *d != dev);
        }
        if self.dev(dev).bridge().is_some() {
            let ns = self.dev(dev).ns;
            let ports: Vec<DevId> =
                self.ns(ns).devices.iter().copied().filter(|d| self.dev(*d).master == Some(dev)).collect();
            for p in ports {
                self.clear_master(p);
            }
        }
        let ns = self.dev(dev).ns;
        let addrs: Vec<_> = self.dev(dev).addrs.iter().map(|a| a.prefix).collect();
        for a in addrs {
            // The address was just listed, and promotion may already have removed it: both ends are fine.
            let _ = self.delete_address(dev, a);
        }
        self.ns_mut(ns).fib.remove_device_routes(dev);
        if matches!(self.dev(dev).kind, DeviceKind::Tunnel(_) | DeviceKind::Vxlan(_)) {
            self.ns_mut(ns).tunnels -= 1;
        }
        let d = self.dev_mut(dev);
        d.kind = DeviceKind::Deleted;
        let mut frames: Vec<_> = match &mut d.wire {
            Wire::Local(ring) => ring.drain(..).collect(),
            _ => Vec::new(),
        };
        while let Some(f) = d.qdisc.dequeue(crate::base::Time::MAX) {
            frames.push(f);
        }
        for f in frames {
            self.core.drop(ns, Some(dev), f, DropReason::DevGone);
        }
        let name: Box<str> = self.dev_name(dev).into();
        self.dev_index.remove(&(ns, name));
        self.ns_mut(ns).devices.retain(|d| *d != dev);
    }

    /// Sets the egress queue of a device: impairments (netem), a token bucket, or none. What waits in the old queue is
    /// dropped.
    pub fn set_qdisc(&mut self, dev: DevId, config: QdiscConfig) {
        self.replace_qdisc(dev, Qdisc::new(config));
    }

    fn replace_qdisc(&mut self, dev: DevId, new: Qdisc) {
        let ns = self.dev(dev).ns;
        let mut old = std::mem::replace(&mut self.dev_mut(dev).qdisc, new);
        while let Some(frame) = old.dequeue(crate::base::Time::MAX) {
            self.core.drop(ns, Some(dev), frame, DropReason::QdiscDrop);
        }
    }
}
