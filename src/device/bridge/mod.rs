//! The Linux bridge (net/bridge/*), and its variant that knows which namespace a station belongs to.
//!
//! A [`Bridge`] is a model without a world: it is told which devices are its ports, which links are up and what time it
//! is; it answers with a [`Verdict`] about each frame and with a list of [`Change`]s for everything else. Four kinds of
//! methods:
//!
//! * **configure** – ports, VLANs, forwarding entries, STP; those that have consequences append them to a `Vec<Change>`;
//! * **[`Bridge::ingress`]** – decide about one frame: no allocation, one or two hash look-ups for a known station;
//! * **time** – [`Bridge::next_at`] and [`Bridge::on_timer`] drive the spanning tree protocol, [`Bridge::receive_bpdu`]
//!   feeds it; stations age without a timer;
//! * **look** – [`Bridge::fdb`], [`Bridge::ports`], [`Bridge::vlans`], [`Bridge::stp`].
//!
//! # (namespace, MAC)
//!
//! Linux keys its forwarding table on (VLAN, MAC); two stations with one MAC then fight for the entry. With
//! [`FdbMode::Namespace`] the namespace of the station is part of the key. A frame carries the namespace its sender
//! belongs to and, if the sender resolved a neighbour, the namespace that answered. The bridge sends a unicast frame
//! marked so to exactly that station, floods it if the station is unknown – but never into a port behind which another
//! namespace is known to own the MAC – and drops an unmarked frame if two namespaces own the MAC. Where no MAC is used
//! twice both kinds of bridge behave the same (a property test).
//!
//! # Not modelled
//!
//! IGMP/MLD snooping, `locked` ports, per-VLAN and multiple spanning trees, 802.1ad, VLAN tunnels, neighbour suppression.
//!
//! ```
//! use netsim::base::{DevId, Mac, NsId};
//! use netsim::device::bridge::{Bridge, BridgeConfig, FrameInfo, Ingress, PortConfig, Verdict};
//!
//! let mac = |n| Mac([2, 0, 0, 0, 0, n]);
//! let mut changes = Vec::new();
//! let mut br = Bridge::new(DevId(0), NsId(0), mac(0), BridgeConfig::default());
//! br.set_up(0, true, &mut changes);
//! for n in 1..=3 {
//!     br.add_port(0, PortConfig::new(DevId(n as u32), mac(n)), &mut changes).unwrap();
//! }
//! let frame = |src, dst| FrameInfo { src, dst, vlan: None, len: 46, src_ns: None, dst_ns: None };
//! let mut verdict = Verdict::default();
//! // The first frame is flooded, and teaches the bridge where its sender is.
//! br.ingress(0, Ingress::Port(DevId(1)), &frame(mac(0xa), Mac::BROADCAST), &mut verdict);
//! assert!(verdict.local && verdict.flooded && verdict.ports.len() == 2);
//! br.ingress(0, Ingress::Port(DevId(2)), &frame(mac(0xb), mac(0xa)), &mut verdict);
//! assert_eq!(verdict.ports.iter().map(|e| e.dev).collect::<Vec<_>>(), [DevId(1)]);
//! ```

mod admin;
mod bpdu;
mod config;
mod fdb;
mod forward;
mod local;
mod ports;
mod show;
mod stp;
mod stp_port;
mod tree;
mod verdict;
mod vlan;

use crate::base::{DevId, Mac, Map, NsId, Time};

pub use admin::{FdbKind, FdbSpec, FdbVerb};
pub use bpdu::{Bpdu, BpduFrame, BridgeId, ConfigBpdu, GROUP};
pub use config::{BridgeConfig, BridgeError, FdbMode, PortConfig, PortFlags};
pub use ports::PortIdx;
pub use show::{FdbEntry, PortView, StpPortView, StpView};
pub use stp_port::PortState;
pub use verdict::{Egress, FdbEvent, FrameInfo, Ingress, Tag, Verdict};
pub use vlan::VlanEntry;

use fdb::Fdb;
use local::LocalMacs;
use ports::Port;
use stp::Stp;
use vlan::VlanSet;

/// A consequence of a change of configuration, of a BPDU or of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Send this BPDU by a port, past the bridge.
    SendBpdu {
        /// The port's device.
        port: DevId,
        /// The whole frame.
        frame: BpduFrame,
    },
    /// A port entered a state.
    PortState {
        /// The port's device.
        port: DevId,
        /// The state.
        state: PortState,
    },
    /// The forwarding table changed.
    Fdb(FdbEvent),
    /// The bridge device gained or lost its carrier: whether any port forwards.
    Carrier(bool),
    /// The bridge device took over the lowest MAC of its ports; all zero when the last one left.
    Address(Mac),
}

/// A bridge.
#[derive(Clone, Debug)]
pub struct Bridge {
    dev: DevId,
    ns: NsId,
    mac: Mac,
    /// The address was chosen by a user and no longer follows the ports.
    mac_set: bool,
    /// Whether a user gave the device its MTU.
    mtu_set: bool,
    /// The address in the bridge identifier: all zero until a port or a user gives one.
    id_mac: Mac,
    up: bool,
    carrier: bool,
    cfg: BridgeConfig,
    /// By port index; holes are taken again by the next port.
    slots: Vec<Option<Port>>,
    /// Port indices in order of arrival.
    order: Vec<u32>,
    by_dev: Map<DevId, u32>,
    forwarding: u32,
    local: LocalMacs,
    fdb: Fdb,
    vlans: Option<Box<VlanSet>>,
    stp: Option<Box<Stp>>,
    /// Scratch for table changes on their way into a list of [`Change`]s.
    events: Vec<FdbEvent>,
    flood_round: u64,
}

impl Bridge {
    /// A bridge of namespace `ns`, without ports, down. It has the address `mac` until the first port joins, then the
    /// lowest one of its ports, unless [`Bridge::set_mac`] fixes one. Settings out of range are clamped;
    /// [`BridgeConfig::check`] tells a user about them.
    pub fn new(dev: DevId, ns: NsId, mac: Mac, cfg: BridgeConfig) -> Bridge {
        let cfg = cfg.clamped();
        let mut bridge = Bridge {
            dev,
            ns,
            mac,
            mac_set: false,
            mtu_set: false,
            id_mac: Mac::ZERO,
            up: false,
            carrier: true,
            slots: Vec::new(),
            order: Vec::new(),
            by_dev: Map::default(),
            forwarding: 0,
            local: LocalMacs::default(),
            fdb: Fdb::new(cfg.ageing, cfg.max_learned),
            vlans: None,
            stp: None,
            events: Vec::new(),
            flood_round: 0,
            cfg,
        };
        bridge.local.set_own(Some(mac));
        if bridge.cfg.stp {
            bridge.stp = Some(Box::new(bridge.new_stp()));
        }
        bridge
    }

    /// The bridge device.
    pub fn dev(&self) -> DevId {
        self.dev
    }

    /// The namespace that owns it.
    pub fn ns(&self) -> NsId {
        self.ns
    }

    /// Its settings.
    pub fn config(&self) -> &BridgeConfig {
        &self.cfg
    }

    /// The MAC of the bridge device.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Whether the device has carrier: some port forwards, or there never was an active one.
    pub fn carrier(&self) -> bool {
        self.carrier
    }

    /// Gives the bridge a MAC of its own; it no longer follows its ports.
    ///
    /// # Errors
    /// [`BridgeError::BadAddress`] for a group address or the zero address.
    pub fn set_mac(&mut self, now: Time, mac: Mac, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        if !mac.is_unicast() {
            return Err(BridgeError::BadAddress);
        }
        self.mac_set = true;
        if mac != self.mac || mac != self.id_mac {
            self.change_mac(now, mac, out);
        }
        Ok(())
    }

    /// The lowest MAC of the ports, which a bridge without an explicit MAC has (case bridge-mac-inherit).
    pub fn auto_mac(&self) -> Option<Mac> {
        self.order.iter().map(|p| self.port(*p).mac).min()
    }

    /// The lowest MTU of the ports, which the bridge device takes unless a user set one; 1500 without ports. Looks at
    /// every port. `None` if a user did.
    pub fn min_mtu(&self) -> Option<u32> {
        (!self.mtu_set).then(|| self.order.iter().map(|p| self.port(*p).mtu).min().unwrap_or(1500))
    }

    /// Whether a user chose the device's MTU.
    pub fn is_mtu_pinned(&self) -> bool {
        self.mtu_set
    }

    /// A user chose the device's MTU: it no longer follows the ports' (`BROPT_MTU_SET_BY_USER`).
    pub fn pin_mtu(&mut self) {
        self.mtu_set = true;
    }

    /// Follows the ports' MACs (`br_stp_recalculate_bridge_id`).
    fn follow_mac(&mut self, now: Time, lowest: Mac, out: &mut Vec<Change>) {
        if !self.mac_set && lowest != self.id_mac {
            self.change_mac(now, lowest, out);
            out.push(Change::Address(lowest));
        }
    }

    fn change_mac(&mut self, now: Time, mac: Mac, out: &mut Vec<Change>) {
        self.mac = mac;
        self.id_mac = mac;
        self.local.set_own(Some(mac).filter(|m| *m != Mac::ZERO));
        self.forget_station(now, mac, None, out);
        self.with_stp(now, out, |stp, id| stp.set_id(now, id));
    }

    /// How long stations are remembered from now on; 0 makes the bridge a hub.
    pub fn set_ageing(&mut self, now: Time, ageing: Time, out: &mut Vec<Change>) {
        self.cfg.ageing = ageing;
        self.follow_hold(now);
        self.drain_events(out);
    }

    /// Removes every station that ran out of time. Look-ups do not need this: to them it is gone already.
    pub fn expire(&mut self, now: Time, out: &mut Vec<Change>) {
        self.fdb.sweep(now, &mut self.events);
        self.drain_events(out);
    }

    /// The ageing time in force. During a topology change `hold_time` is the forward delay, but only the collector looks
    /// at it (`br_fdb_cleanup`), and nothing wakes that before the end of an ageing time that is longer: stations are
    /// then not forgotten any earlier (case stp-ring).
    fn follow_hold(&mut self, now: Time) {
        let hold = match &self.stp {
            Some(stp) if stp.topology_change => self.cfg.ageing.max(stp.times.forward_delay),
            _ => self.cfg.ageing,
        };
        self.fdb.set_hold(now, hold, &mut self.events);
    }

    fn drain_events(&mut self, out: &mut Vec<Change>) {
        out.extend(self.events.drain(..).map(Change::Fdb));
    }

    fn port(&self, port: u32) -> &Port {
        self.slots[port as usize].as_ref().expect("indices of ports in use are kept in `order` and `by_dev`")
    }

    fn port_mut(&mut self, port: u32) -> &mut Port {
        self.slots[port as usize].as_mut().expect("indices of ports in use are kept in `order` and `by_dev`")
    }

    fn index_of(&self, dev: DevId) -> Result<u32, BridgeError> {
        self.by_dev.get(&dev).copied().ok_or(BridgeError::NoSuchPort)
    }
}
