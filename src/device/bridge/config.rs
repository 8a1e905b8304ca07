//! What a bridge and its ports are told: settings with the kernel's defaults, and what can be wrong with them.

use crate::base::{DevId, Mac, SEC, Time};
use std::{error, fmt};

/// What a forwarding table is keyed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FdbMode {
    /// (namespace, VLAN, MAC): two namespaces that carry one MAC stay apart.
    #[default]
    Namespace,
    /// (VLAN, MAC), exactly as Linux: the entry of a duplicated MAC follows whoever spoke last.
    Mac,
}

/// Settings of a bridge; the default is what `ip link add type bridge` makes, but for [`FdbMode`].
///
/// ```
/// use netsim::{base::SEC, device::bridge::{BridgeConfig, FdbMode}};
/// let cfg = BridgeConfig { stp: true, ..BridgeConfig::default() };
/// assert_eq!((cfg.ageing, cfg.forward_delay, cfg.priority), (300 * SEC, 15 * SEC, 32768));
/// assert_eq!(cfg.fdb, FdbMode::Namespace);
/// assert!(cfg.check().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// What the forwarding table is keyed on.
    pub fdb: FdbMode,
    /// Whether the spanning tree protocol runs.
    pub stp: bool,
    /// How long a silent station is remembered; 0 makes the bridge a hub.
    pub ageing: Time,
    /// Time spent in each of the listening and learning states, 2 s to 30 s while STP runs.
    pub forward_delay: Time,
    /// Time between the root's BPDUs, 1 s to 10 s.
    pub hello_time: Time,
    /// How long a received BPDU is believed, 6 s to 40 s.
    pub max_age: Time,
    /// The bridge's STP priority; the lowest becomes root.
    pub priority: u16,
    /// Whether VLAN tags are looked at.
    pub vlan_filtering: bool,
    /// The VLAN every new port gets as untagged PVID; 0 for none, at most 4094.
    pub default_pvid: u16,
    /// Bit n forwards the reserved group `01:80:c2:00:00:0n`; bits 0 to 2 cannot be set.
    pub group_fwd_mask: u16,
    /// At most this many stations are learned; frames to the others are flooded. Linux has no limit by default.
    pub max_learned: u32,
}

impl Default for BridgeConfig {
    fn default() -> BridgeConfig {
        BridgeConfig {
            fdb: FdbMode::default(),
            stp: false,
            ageing: 300 * SEC,
            forward_delay: 15 * SEC,
            hello_time: 2 * SEC,
            max_age: 20 * SEC,
            priority: 0x8000,
            vlan_filtering: false,
            default_pvid: 1,
            group_fwd_mask: 0,
            max_learned: 1 << 20,
        }
    }
}

/// `BR_GROUPFWD_RESTRICTED`: the bridge group, pause and slow-protocol addresses are never forwarded on request.
const GROUP_FWD_RESTRICTED: u16 = 0x0007;

impl BridgeConfig {
    /// Says what the kernel would refuse.
    ///
    /// # Errors
    /// [`BridgeError::Range`] with the name of the first setting that is out of range.
    pub fn check(&self) -> Result<(), BridgeError> {
        let range = |ok: bool, what| if ok { Ok(()) } else { Err(BridgeError::Range(what)) };
        range((SEC..=10 * SEC).contains(&self.hello_time), "hello_time must be 1s to 10s")?;
        range((6 * SEC..=40 * SEC).contains(&self.max_age), "max_age must be 6s to 40s")?;
        let delay = (2 * SEC..=30 * SEC).contains(&self.forward_delay);
        range(!self.stp || delay, "forward_delay must be 2s to 30s while STP runs")?;
        range(self.default_pvid < 4095, "default_pvid must be 0 to 4094")?;
        range(self.group_fwd_mask & GROUP_FWD_RESTRICTED == 0, "group_fwd_mask may not contain bits 0, 1 and 2")
    }

    /// The same settings with everything out of range brought into range, so that no timer can spin.
    pub(super) fn clamped(mut self) -> BridgeConfig {
        self.hello_time = self.hello_time.clamp(SEC, 10 * SEC);
        self.max_age = self.max_age.clamp(6 * SEC, 40 * SEC);
        self.default_pvid = if self.default_pvid < 4095 { self.default_pvid } else { 0 };
        self.group_fwd_mask &= !GROUP_FWD_RESTRICTED;
        self
    }
}

/// Switches of a port (`bridge link set dev PORT NAME on|off`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortFlags {
    /// Reaches only ports that are not isolated, and the bridge itself.
    pub isolated: bool,
    /// Frames may leave by the port they came from.
    pub hairpin: bool,
    /// Source addresses are learned.
    pub learning: bool,
    /// Frames to unknown stations leave by it.
    pub flood: bool,
    /// Multicast leaves by it.
    pub mcast_flood: bool,
    /// Broadcast leaves by it.
    pub bcast_flood: bool,
}

impl Default for PortFlags {
    fn default() -> PortFlags {
        PortFlags { isolated: false, hairpin: false, learning: true, flood: true, mcast_flood: true, bcast_flood: true }
    }
}

/// A device that becomes a port.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// The device.
    pub dev: DevId,
    /// Its MAC: frames to it go up.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is administratively up and has carrier.
    pub up: bool,
    /// STP cost of the link: 2 for 10 Gbit/s and veth, 4, 19 and 100 for 1 Gbit/s, 100 and 10 Mbit/s.
    pub path_cost: u32,
    /// STP priority of the port, 0 to 63 (larger values are cut to 63).
    pub priority: u8,
    /// Switches.
    pub flags: PortFlags,
}

impl PortConfig {
    /// A veth device that is up, with the kernel's defaults: MTU 1500, cost 2, priority 32.
    pub fn new(dev: DevId, mac: Mac) -> PortConfig {
        PortConfig { dev, mac, mtu: 1500, up: true, path_cost: 2, priority: 32, flags: PortFlags::default() }
    }
}

/// Why a bridge refuses to be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BridgeError {
    /// No room for another port: 1023 with STP (port identifiers have ten bits), 2^20 without.
    TooManyPorts,
    /// The device is a port already.
    PortExists,
    /// The device is not a port.
    NoSuchPort,
    /// A VLAN id outside 1 to 4094.
    BadVlan(u16),
    /// The port is not a member of that VLAN.
    NotInVlan(u16),
    /// The forwarding entry exists.
    EntryExists,
    /// There is no such forwarding entry.
    NoSuchEntry,
    /// A MAC no station can have.
    BadAddress,
    /// An entry cannot be both permanent and sticky.
    StickyPermanent,
    /// The forwarding table is full.
    TableFull,
    /// The state of a port is STP's affair while it runs.
    PortBusy,
    /// The port is down or has no carrier.
    PortDown,
    /// A setting is out of range; says which and the range.
    Range(&'static str),
}

impl fmt::Display for BridgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BridgeError::TooManyPorts => f.write_str("the bridge has no room for another port"),
            BridgeError::PortExists => f.write_str("the device is a port of this bridge already"),
            BridgeError::NoSuchPort => f.write_str("the device is not a port of this bridge"),
            BridgeError::BadVlan(vid) => write!(f, "{vid} is not a VLAN id (1 to 4094)"),
            BridgeError::NotInVlan(vid) => write!(f, "the port is not a member of VLAN {vid}"),
            BridgeError::EntryExists => f.write_str("the forwarding entry exists already"),
            BridgeError::NoSuchEntry => f.write_str("there is no such forwarding entry"),
            BridgeError::BadAddress => f.write_str("no station can have that MAC address"),
            BridgeError::StickyPermanent => f.write_str("a permanent entry cannot be sticky"),
            BridgeError::TableFull => f.write_str("the forwarding table is full"),
            BridgeError::PortBusy => f.write_str("the spanning tree protocol decides about the port's state"),
            BridgeError::PortDown => f.write_str("the port has no link"),
            BridgeError::Range(what) => f.write_str(what),
        }
    }
}

impl error::Error for BridgeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named_and_clamped() {
        let bad =
            BridgeConfig { hello_time: 0, max_age: 0, default_pvid: 4095, group_fwd_mask: 7, ..Default::default() };
        assert_eq!(bad.check(), Err(BridgeError::Range("hello_time must be 1s to 10s")));
        assert_eq!(bad.clamped().check(), Ok(()));
        let short = BridgeConfig { forward_delay: 0, ..Default::default() };
        assert!(short.check().is_ok(), "without STP the forward delay is free");
        assert!(BridgeConfig { stp: true, ..short }.check().is_err());
    }
}
