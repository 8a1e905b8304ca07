//! Ports: joining and leaving, links going up and down, flags, and VLAN membership (net/bridge/br_if.c).

use crate::base::{DevId, Mac, Time};

use super::{
    Bridge, BridgeError, Change, PortConfig, PortFlags, PortState, VlanEntry,
    fdb::key,
    vlan::{VlanSet, Vlans},
};

/// The index of a port within its bridge; its port number is one more. Stays the same while the port is one, and is
/// given to another port afterwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortIdx(pub u32);

/// Ten bits of port number, 0 unused (`BR_MAX_PORTS`).
pub(super) const MAX_STP_PORTS: usize = 1023;
/// Ports of a bridge without STP. Linux stops at 1023 here too.
const MAX_PORTS: usize = 1 << 20;

/// A port.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) dev: DevId,
    pub(super) mac: Mac,
    pub(super) state: PortState,
    pub(super) flags: PortFlags,
    pub(super) priority: u8,
    /// Administratively up and with carrier.
    pub(super) link: bool,
    pub(super) mtu: u32,
    pub(super) path_cost: u32,
    /// Floods of this round spare the port.
    pub(super) spared: u64,
    pub(super) vlans: Option<Box<VlanSet>>,
}

impl Port {
    pub(super) fn id(&self, port: u32) -> u16 {
        (u16::from(self.priority) << 10) | ((port + 1) as u16 & 0x3ff)
    }
}

impl Bridge {
    /// Makes a device a port, with the lowest free port number.
    ///
    /// # Errors
    /// [`BridgeError::PortExists`], [`BridgeError::TooManyPorts`], or [`BridgeError::BadAddress`] for a device without
    /// a unicast MAC.
    pub fn add_port(&mut self, now: Time, cfg: PortConfig, out: &mut Vec<Change>) -> Result<PortIdx, BridgeError> {
        let PortConfig { dev, mac, mtu, up, path_cost, priority, flags } = cfg;
        if self.by_dev.contains_key(&dev) {
            return Err(BridgeError::PortExists);
        }
        if !mac.is_unicast() {
            return Err(BridgeError::BadAddress);
        }
        if self.order.len() >= if self.stp.is_some() { MAX_STP_PORTS } else { MAX_PORTS } {
            return Err(BridgeError::TooManyPorts);
        }
        let port = Port {
            dev,
            mac,
            state: PortState::Disabled,
            flags,
            priority: priority.min(63),
            link: up,
            mtu,
            path_cost,
            spared: 0,
            vlans: None,
        };
        // Only a bridge that lost ports has holes to search.
        let hole = (self.order.len() < self.slots.len()).then(|| self.slots.iter().position(Option::is_none)).flatten();
        let at = hole.unwrap_or(self.slots.len()) as u32;
        if let Some(stp) = &mut self.stp {
            stp.add_port(at, port.id(at), path_cost);
        }
        match hole {
            Some(hole) => self.slots[hole] = Some(port),
            None => self.slots.push(Some(port)),
        }
        self.order.push(at);
        self.by_dev.insert(dev, at);
        self.fdb.set_port(at, dev);
        self.local.add(mac, at);
        self.forget_station(now, mac, Some(at), out);
        let lowest = if self.order.len() == 1 { mac } else { mac.min(self.id_mac) };
        self.follow_mac(now, lowest, out);
        self.enable(now, at, out);
        Ok(PortIdx(at))
    }

    /// Releases a port: all its forwarding entries go.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`].
    pub fn remove_port(&mut self, now: Time, dev: DevId, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        self.disable(now, at, out);
        self.fdb.flush_port(at, None, true, &mut self.events);
        self.drain_events(out);
        if let Some(stp) = &mut self.stp {
            stp.remove_port(at);
        }
        let mac = self.port(at).mac;
        self.slots[at as usize] = None;
        self.by_dev.remove(&dev);
        self.order.retain(|p| *p != at);
        self.release_mac(mac, at);
        if mac == self.id_mac {
            self.follow_mac(now, self.auto_mac().unwrap_or(Mac::ZERO), out);
        }
        Ok(())
    }

    fn release_mac(&mut self, mac: Mac, at: u32) {
        let (slots, order) = (&self.slots, &self.order);
        let has = |p: &u32| *p != at && slots[*p as usize].as_ref().is_some_and(|q| q.mac == mac);
        self.local.del(mac, at, || order.iter().copied().find(has));
    }

    /// The port's device went up or down, or gained or lost carrier: `up` if both are there.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`].
    pub fn set_port_link(&mut self, now: Time, dev: DevId, up: bool, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        self.port_mut(at).link = up;
        if !up {
            if self.port(at).state != PortState::Disabled {
                self.disable(now, at, out);
            }
        } else {
            self.enable(now, at, out);
        }
        Ok(())
    }

    /// The bridge device goes up or down. While it is down no port forwards and the stations are forgotten.
    pub fn set_up(&mut self, now: Time, up: bool, out: &mut Vec<Change>) {
        if self.up == up {
            return;
        }
        self.up = up;
        if up {
            self.with_stp(now, out, |stp, _| stp.set_up(now, true));
        }
        for i in 0..self.order.len() {
            let at = self.order[i];
            if up {
                self.enable(now, at, out);
            } else if self.port(at).state != PortState::Disabled {
                self.disable(now, at, out);
            }
        }
        if !up {
            self.with_stp(now, out, |stp, _| stp.set_up(now, false));
        }
    }

    /// Whether the bridge device is up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// `br_stp_enable_port`, if link and bridge are up.
    fn enable(&mut self, now: Time, at: u32, out: &mut Vec<Change>) {
        let port = self.port(at);
        if !self.up || !port.link || port.state != PortState::Disabled {
            return;
        }
        if self.stp.is_some() {
            self.with_stp(now, out, |stp, _| stp.enable(now, at));
        } else {
            // Without STP a port forwards at once.
            self.set_state(at, PortState::Forwarding, out);
        }
        self.follow_carrier(out);
    }

    /// `br_stp_disable_port`: what was learned there is gone at once (case bridge-port-down-flush), static entries stay.
    fn disable(&mut self, now: Time, at: u32, out: &mut Vec<Change>) {
        self.fdb.flush_port(at, None, false, &mut self.events);
        self.drain_events(out);
        if self.stp.is_some() {
            self.with_stp(now, out, |stp, _| stp.disable(now, at));
        } else {
            self.set_state(at, PortState::Disabled, out);
        }
        self.follow_carrier(out);
    }

    pub(super) fn set_state(&mut self, at: u32, state: PortState, out: &mut Vec<Change>) {
        let port = self.port_mut(at);
        let (dev, before) = (port.dev, std::mem::replace(&mut port.state, state));
        if before != state {
            self.forwarding += (state == PortState::Forwarding) as u32;
            self.forwarding -= (before == PortState::Forwarding) as u32;
            out.push(Change::PortState { port: dev, state });
        }
    }

    pub(super) fn follow_carrier(&mut self, out: &mut Vec<Change>) {
        let carrier = self.forwarding > 0;
        if carrier != self.carrier {
            self.carrier = carrier;
            out.push(Change::Carrier(carrier));
        }
    }

    /// Changes a port's switches.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`].
    pub fn set_port_flags(&mut self, dev: DevId, flags: PortFlags) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        self.port_mut(at).flags = flags;
        Ok(())
    }

    /// The port's device has another MTU.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`].
    pub fn set_port_mtu(&mut self, dev: DevId, mtu: u32) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        self.port_mut(at).mtu = mtu;
        Ok(())
    }

    /// The port's device has another MAC (`br_fdb_changeaddr`).
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`], [`BridgeError::BadAddress`].
    pub fn set_port_mac(&mut self, now: Time, dev: DevId, mac: Mac, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        if !mac.is_unicast() {
            return Err(BridgeError::BadAddress);
        }
        let old = std::mem::replace(&mut self.port_mut(at).mac, mac);
        self.local.add(mac, at);
        self.release_mac(old, at);
        self.forget_station(now, mac, Some(at), out);
        let lowest = self.auto_mac().unwrap_or(mac);
        self.follow_mac(now, lowest, out);
        Ok(())
    }

    /// An address became local: what was learned about it as a station of this namespace, or of none, is void
    /// (`fdb_add_local`). Stations of other namespaces that carry it too stay.
    pub(super) fn forget_station(&mut self, now: Time, mac: Mac, port: Option<u32>, out: &mut Vec<Change>) {
        let mut vids = vec![0];
        if self.cfg.vlan_filtering {
            vids.extend(self.vlans_of(port).iter().map(|v| v.vid));
        }
        for vid in vids {
            for owner in [super::fdb::NOBODY, self.ns.0] {
                if let Some(slot) = self.fdb.find(now, key(vid, mac), owner) {
                    self.fdb.remove(slot, &mut self.events);
                }
            }
        }
        self.drain_events(out);
    }

    /// The VLANs of a port, or of the bridge itself.
    #[inline]
    pub(super) fn vlans_of(&self, port: Option<u32>) -> Vlans<'_> {
        let set = match port {
            Some(port) => &self.port(port).vlans,
            None => &self.vlans,
        };
        Vlans::new(set.as_deref(), self.cfg.default_pvid)
    }

    fn vlan_set(&mut self, dev: DevId) -> Result<&mut VlanSet, BridgeError> {
        let pvid = self.cfg.default_pvid;
        let set = match dev == self.dev {
            true => &mut self.vlans,
            false => {
                let at = self.index_of(dev)?;
                &mut self.port_mut(at).vlans
            }
        };
        Ok(set.get_or_insert_with(|| Box::new(VlanSet::initial(pvid))))
    }

    /// `bridge vlan add vid VID dev DEV [pvid] [untagged]`; `dev` may be the bridge itself. For a VLAN it is in
    /// already this changes the flags.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`], [`BridgeError::BadVlan`].
    pub fn vlan_add(
        &mut self,
        now: Time,
        dev: DevId,
        entry: VlanEntry,
        out: &mut Vec<Change>,
    ) -> Result<(), BridgeError> {
        self.vlan_set(dev)?.add(entry.vid, entry.pvid, entry.untagged)?;
        match self.index_of(dev) {
            Ok(at) => self.forget_station(now, self.port(at).mac, Some(at), out),
            Err(_) => self.forget_station(now, self.mac, None, out),
        }
        Ok(())
    }

    /// `bridge vlan del vid VID dev DEV`; what was learned there is forgotten.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`], [`BridgeError::NotInVlan`].
    pub fn vlan_del(&mut self, dev: DevId, vid: u16, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        self.vlan_set(dev)?.del(vid)?;
        if let Ok(at) = self.index_of(dev) {
            self.fdb.flush_port(at, Some(vid), false, &mut self.events);
            self.drain_events(out);
        }
        Ok(())
    }

    /// Switches VLAN filtering on or off (`ip link set BRIDGE type bridge vlan_filtering`).
    pub fn set_vlan_filtering(&mut self, now: Time, on: bool, out: &mut Vec<Change>) {
        self.cfg.vlan_filtering = on;
        self.forget_station(now, self.mac, None, out);
        for i in 0..self.order.len() {
            let at = self.order[i];
            self.forget_station(now, self.port(at).mac, Some(at), out);
        }
    }
}
