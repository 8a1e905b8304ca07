//! What a bridge shows: the tables behind `bridge fdb`, `bridge vlan`, `bridge link` and STP's state.

use crate::base::{DevId, Mac, NsId, Time};

use super::{
    Bridge, BridgeError, BridgeId, PortFlags, PortIdx, PortState, VlanEntry,
    fdb::{self, NOBODY, unkey},
    ports::Port,
};

/// A line of `bridge fdb show`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbEntry {
    /// The station.
    pub mac: Mac,
    /// The port; the bridge's own address is at the bridge.
    pub dev: DevId,
    /// The VLAN; 0 is not printed.
    pub vlan: u16,
    /// The namespace it belongs to, if a namespace-aware bridge knows it.
    pub ns: Option<NsId>,
    /// Since when the station is silent; 0 for entries that do not age.
    pub idle: Time,
    /// Does not age.
    pub is_static: bool,
    /// Frames to it go up (`permanent`).
    pub permanent: bool,
    /// Does not move.
    pub sticky: bool,
}

/// A port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortView {
    /// Its index.
    pub port: PortIdx,
    /// Its device.
    pub dev: DevId,
    /// Its MAC.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its state.
    pub state: PortState,
    /// Its switches.
    pub flags: PortFlags,
    /// Its STP cost.
    pub path_cost: u32,
    /// Its STP priority.
    pub priority: u8,
}

/// STP's view of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StpPortView {
    /// Its device.
    pub dev: DevId,
    /// Its number, from 1.
    pub number: u32,
    /// Its state.
    pub state: PortState,
    /// Its cost.
    pub path_cost: u32,
    /// The root as heard or announced there.
    pub designated_root: BridgeId,
    /// The bridge that leads from that segment to the root.
    pub designated_bridge: BridgeId,
    /// That bridge's port identifier.
    pub designated_port: u16,
    /// That bridge's cost.
    pub designated_cost: u32,
}

/// STP's view of the bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StpView {
    /// The bridge's identifier.
    pub id: BridgeId,
    /// The root's.
    pub root: BridgeId,
    /// The number of the port that leads to the root; 0 for the root itself.
    pub root_port: u32,
    /// The cost to the root.
    pub root_path_cost: u32,
    /// Whether the root says the topology is changing.
    pub topology_change: bool,
    /// Ports in order of number.
    pub ports: Vec<StpPortView>,
}

impl Bridge {
    /// The index of a port.
    pub fn port_idx(&self, dev: DevId) -> Option<PortIdx> {
        self.by_dev.get(&dev).copied().map(PortIdx)
    }

    /// The number of ports.
    pub fn port_count(&self) -> usize {
        self.order.len()
    }

    /// The ports in order of number.
    pub fn ports(&self) -> impl Iterator<Item = PortView> + '_ {
        self.numbered().map(|(at, p)| view(at, p))
    }

    /// One port.
    pub fn port_view(&self, dev: DevId) -> Option<PortView> {
        let at = self.by_dev.get(&dev).copied()?;
        Some(view(at, self.port(at)))
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Port)> {
        (0u32..).zip(&self.slots).filter_map(|(at, p)| Some((at, p.as_ref()?)))
    }

    /// The forwarding table: port by port in order of number, there by VLAN, MAC and namespace; the bridge's own
    /// address last. Ports' addresses are listed as `permanent`, as Linux does.
    pub fn fdb(&self, now: Time) -> Vec<FdbEntry> {
        let mut all = Vec::new();
        for (at, port) in self.numbered() {
            let first = all.len();
            self.permanent(port.mac, port.dev, Some(at), &mut all);
            all.extend(self.fdb.living_of_port(now, at).map(|slot| {
                let e = self.fdb.entry(slot);
                let (vlan, mac) = unkey(e.key);
                let flag = |f| e.flags & f != 0;
                FdbEntry {
                    mac,
                    dev: port.dev,
                    vlan,
                    ns: (e.owner != NOBODY).then_some(NsId(e.owner)),
                    idle: if flag(fdb::STATIC) { 0 } else { now.saturating_sub(e.updated) },
                    is_static: flag(fdb::STATIC),
                    permanent: flag(fdb::LOCAL),
                    sticky: flag(fdb::STICKY),
                }
            }));
            all[first..].sort_unstable_by_key(|e| (e.vlan, e.mac, e.ns));
        }
        // An address the bridge shares with a port is listed at the port.
        if self.local.get(self.mac).is_some_and(|l| l.ports == 0) {
            self.permanent(self.mac, self.dev, None, &mut all);
        }
        for mac in self.local.extras() {
            self.permanent(mac, self.dev, None, &mut all);
        }
        all
    }

    fn permanent(&self, mac: Mac, dev: DevId, port: Option<u32>, all: &mut Vec<FdbEntry>) {
        let filtered = self.cfg.vlan_filtering.then(|| self.vlans_of(port).iter().map(|v| v.vid));
        all.extend(std::iter::once(0).chain(filtered.into_iter().flatten()).map(|vlan| FdbEntry {
            mac,
            dev,
            vlan,
            ns: Some(self.ns),
            idle: 0,
            is_static: true,
            permanent: true,
            sticky: false,
        }));
    }

    /// The VLANs of a port, or of the bridge itself, in order of id.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`].
    pub fn vlans(&self, dev: DevId) -> Result<Vec<VlanEntry>, BridgeError> {
        let port = if dev == self.dev { None } else { Some(self.index_of(dev)?) };
        Ok(self.vlans_of(port).iter().collect())
    }

    /// The state of the spanning tree. Without STP the bridge is its own root.
    pub fn stp(&self) -> StpView {
        let id = self.id();
        let ports = self.numbered().map(|(at, p)| {
            let heard = self.stp.as_ref().map(|stp| &stp.ports[at as usize]);
            StpPortView {
                dev: p.dev,
                number: at + 1,
                state: p.state,
                path_cost: p.path_cost,
                designated_root: heard.map_or(id, |h| h.designated_root),
                designated_bridge: heard.map_or(id, |h| h.designated_bridge),
                designated_port: heard.map_or(p.id(at), |h| h.designated_port),
                designated_cost: heard.map_or(0, |h| h.designated_cost),
            }
        });
        let ports = ports.collect();
        match &self.stp {
            None => StpView { id, root: id, root_port: 0, root_path_cost: 0, topology_change: false, ports },
            Some(stp) => StpView {
                id,
                root: stp.root,
                root_port: stp.root_port.map_or(0, |p| p + 1),
                root_path_cost: stp.root_path_cost,
                topology_change: stp.topology_change,
                ports,
            },
        }
    }
}

fn view(at: u32, p: &Port) -> PortView {
    PortView {
        port: PortIdx(at),
        dev: p.dev,
        mac: p.mac,
        mtu: p.mtu,
        state: p.state,
        flags: p.flags,
        path_cost: p.path_cost,
        priority: p.priority,
    }
}
