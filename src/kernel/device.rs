//! Devices: what every one has, and what makes each kind what it is.

use super::sysctl::{Conf, Confs};
use crate::{
    base::{DevId, Mac, NsId, Prefix},
    device::{
        bridge::{Bridge, PortIdx},
        tunnel::{Tunnel, Vxlan},
    },
    link::{Qdisc, Wire},
    route::Scope,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// MTU of an Ethernet device unless set otherwise.
pub const DEFAULT_MTU: u32 = 1500;
/// The smallest MTU IPv6 works with (RFC 8200 §5).
pub const MIN_MTU6: u32 = 1280;
/// MTU of `lo`.
pub const LOOPBACK_MTU: u32 = 65_536;

/// What a device is.
pub enum DeviceKind {
    /// `lo`: what is sent comes back.
    Loopback,
    /// One end of a cable. The peer is `None` once the other end was deleted.
    Veth {
        /// The other end.
        peer: Option<DevId>,
    },
    /// One end of a cable whose other end is held by an external harness.
    External,
    /// A switch that has other devices of the namespace as ports.
    Bridge(Box<Bridge>),
    /// A sub-interface that sends and receives with one VLAN tag.
    Vlan {
        /// The device that carries the tagged frames.
        parent: DevId,
        /// The VLAN, 1 to 4094.
        vid: u16,
    },
    /// A point-to-point tunnel: IP packets without a link layer.
    Tunnel(Box<Tunnel>),
    /// An end of a VXLAN.
    Vxlan(Box<Vxlan>),
    /// The device was deleted; ids are never reused.
    Deleted,
}

/// An address of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IfAddr {
    /// The address itself and the length of its subnet's prefix.
    pub prefix: Prefix,
    /// The other end of a point-to-point address.
    pub peer: Option<IpAddr>,
    /// Not the first of its subnet: never chosen as a source by itself, and deleted with the first one.
    pub secondary: bool,
    /// How far it may be known: those of scope host and link are not offered on other devices. IPv4 only.
    pub scope: Scope,
    /// Made without a broadcast address (`ip addr` without `broadcast`); the route to it is there all the same.
    pub unannounced: bool,
    /// How far it can be used; IPv4 addresses always can.
    pub state: AddrState,
    /// Learned from a router advertisement.
    pub dynamic: bool,
}

/// The life of an IPv6 address (RFC 4862 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum AddrState {
    /// In use.
    #[default]
    Valid,
    /// Its preferred lifetime is over: in use, but not chosen for new flows while there is another.
    Deprecated,
    /// Duplicate address detection is under way: not in use yet.
    Tentative,
    /// Somebody else on the link has it: not in use.
    Duplicate,
}

impl IfAddr {
    /// An address of the administrator's, in use at once.
    pub fn new(prefix: Prefix, peer: Option<IpAddr>) -> IfAddr {
        // What iproute2 assumes (default_scope).
        let scope = if prefix.is_ipv4() && prefix.addr().is_loopback() { Scope::Host } else { Scope::Global };
        let state = AddrState::Valid;
        IfAddr { prefix, peer, secondary: false, scope, unannounced: false, state, dynamic: false }
    }

    /// Whether packets may come from it and go to it.
    #[inline]
    pub fn is_usable(&self) -> bool {
        matches!(self.state, AddrState::Valid | AddrState::Deprecated)
    }

    /// The subnet the address connects to.
    pub fn subnet(&self) -> Prefix {
        match self.peer {
            Some(p) => Prefix::new(p, self.prefix.len()).expect("a peer has the address's family").network(),
            None => self.prefix.network(),
        }
    }

    /// The directed broadcast address, if the subnet has one.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        if self.peer.is_some() { None } else { self.prefix.broadcast() }
    }
}

/// Frames and bytes a device carried (`/proc/net/dev`).
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct DevStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received, link-layer header included.
    pub rx_bytes: u64,
    /// Received frames that were dropped.
    pub rx_dropped: u64,
    /// Received multicast frames.
    pub multicast: u64,
    /// Frames transmitted.
    pub tx_packets: u64,
    /// Bytes transmitted.
    pub tx_bytes: u64,
    /// Frames that could not be transmitted.
    pub tx_dropped: u64,
    /// Packets a tunnel found no way for.
    pub tx_errors: u64,
}

/// A network device.
pub struct Device {
    /// Its owner.
    pub ns: NsId,
    /// Its link-layer address.
    pub mac: Mac,
    /// Largest network-layer packet in bytes.
    pub mtu: u32,
    /// Administratively up (`ip link set up`).
    pub up: bool,
    /// Has a link partner that is up too.
    pub carrier: bool,
    /// Answers ARP and asks with it (`ip link set arp on`).
    pub arp: bool,
    /// What it is.
    pub kind: DeviceKind,
    /// The bridge it is a port of.
    pub master: Option<DevId>,
    /// Which port of that bridge it is, to spare every frame the look-up; it stays the same until it leaves.
    pub(crate) master_port: PortIdx,
    /// The VLAN sub-interfaces on it.
    pub vlans: Vec<(u16, DevId)>,
    /// Addresses in the order they were added.
    pub addrs: Vec<IfAddr>,
    /// Its end of the cable: for a veth, the ring its peer puts frames in.
    pub wire: Wire,
    /// Its egress queue.
    pub qdisc: Qdisc,
    /// The stream its queue draws from, once it needs one.
    pub rng: Option<Box<crate::base::Rng>>,
    /// Counters.
    pub stats: DevStats,
    /// Knobs.
    pub conf: Confs,
}

impl Device {
    pub(crate) fn new(ns: NsId, mac: Mac, mtu: u32, kind: DeviceKind) -> Device {
        Device {
            ns,
            mac,
            mtu,
            up: true,
            carrier: true,
            arp: true,
            kind,
            master: None,
            master_port: PortIdx(0),
            vlans: Vec::new(),
            addrs: Vec::new(),
            wire: Wire::local(),
            qdisc: Qdisc::default(),
            rng: None,
            stats: DevStats::default(),
            conf: Confs::default(),
        }
    }

    /// Whether this is `lo`.
    #[inline]
    pub fn is_loopback(&self) -> bool {
        matches!(self.kind, DeviceKind::Loopback)
    }

    /// Whether its packets have no link-layer header: `lo` and point-to-point tunnels.
    #[inline]
    pub fn is_bare(&self) -> bool {
        matches!(self.kind, DeviceKind::Loopback | DeviceKind::Tunnel(_))
    }

    /// Whether frames can pass: up, and with a carrier.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.up && self.carrier
    }

    /// Whether IPv4 packets that come in here may be forwarded; for IPv6, whether it is a router towards its link. (What
    /// decides about forwarding IPv6 packets is `net.ipv6.conf.all.forwarding`.)
    #[inline]
    pub fn forwards(&self, ipv4: bool) -> bool {
        self.conf.on(if ipv4 { Conf::Forwarding } else { Conf::Forwarding6 })
    }

    /// Whether it takes part in IPv6.
    #[inline]
    pub fn has_ipv6(&self) -> bool {
        !self.conf.on(Conf::DisableIpv6) && self.mtu >= MIN_MTU6
    }

    /// The largest IPv6 packet its link takes: its own MTU, or a smaller one a router advertised (RFC 4861 §6.3.4).
    #[inline]
    pub fn mtu6(&self) -> u32 {
        match self.conf.get(Conf::Mtu6) as u32 {
            MIN_MTU6.. => self.mtu.min(self.conf.get(Conf::Mtu6) as u32),
            _ => self.mtu,
        }
    }

    /// Its IPv6 addresses, in the order of `ip addr`.
    pub fn addrs6(&self) -> impl Iterator<Item = (Ipv6Addr, &IfAddr)> {
        self.addrs.iter().filter_map(|a| match a.prefix.addr() {
            IpAddr::V6(ip) => Some((ip, a)),
            IpAddr::V4(_) => None,
        })
    }

    /// Its link-local IPv6 address, if it has one in use.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addrs6().find(|(ip, a)| ip.is_unicast_link_local() && a.is_usable()).map(|(ip, _)| ip)
    }

    /// The bridge, if this is one.
    pub fn bridge(&self) -> Option<&Bridge> {
        match &self.kind {
            DeviceKind::Bridge(b) => Some(b),
            _ => None,
        }
    }

    /// The bridge, to change, if this is one.
    pub fn bridge_mut(&mut self) -> Option<&mut Bridge> {
        match &mut self.kind {
            DeviceKind::Bridge(b) => Some(b),
            _ => None,
        }
    }
}
