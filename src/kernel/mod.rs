//! The state of a world: namespaces, devices, and what they share. Behaviour is in `l2` and `ip`; this layer only owns
//! the data and knows how to build and change it.

mod address;
mod address6;
mod core;
mod device;
mod error;
pub mod exceptions;
pub mod icmp_limit;
mod interface;
pub mod ipv6;
pub mod mib;
mod namespace;
mod ports;
pub mod reassembly;
pub(crate) mod route_cache;
mod routes;
pub mod sysctl;
mod tune;
mod tunnels;

pub use self::core::{Core, Ipv6Timer, Work};
pub use address6::{link_local_of, solicited_node};
pub(crate) use address6::{scope_of, with_interface_id};
pub use device::{AddrState, DEFAULT_MTU, DevStats, Device, DeviceKind, IfAddr, LOOPBACK_MTU, MIN_MTU6};
pub use error::ConfigError;
pub use ipv6::{AdvertPrefix, RouterAdvert};
pub use namespace::{Namespace, ProcView};
pub use route_cache::{InputRoute, RouteCache};

use crate::base::{DevId, Map, NsId};

/// Everything there is in a world.
pub struct Kernel {
    /// Clock, wheel, frame pool, tracer.
    pub core: Core,
    /// Devices by [`DevId`].
    pub devs: Vec<Device>,
    /// Namespaces by [`NsId`].
    pub nss: Vec<Namespace>,
    /// Devices whose cable ends in the hands of a harness.
    pub(crate) externals: Vec<DevId>,
    index: Map<Box<str>, NsId>,
    dev_index: Map<(NsId, Box<str>), DevId>,
    config_version: u64,
    pub(crate) scratch: Scratch,
    /// Namespaces with TCP connections to run before the next event.
    pub(crate) dirty_sockets: Vec<NsId>,
}

/// Buffers that would otherwise be allocated per packet. Whoever needs one takes it and puts it back.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) neigh: Vec<crate::neigh::Action>,
    pub(crate) bridge: crate::device::bridge::Verdict,
    pub(crate) queue: Vec<crate::link::QdiscEvent>,
    pub(crate) hook: crate::netfilter::HookOut,
}

impl Kernel {
    /// An empty world at time zero.
    pub fn new(seed: u64) -> Kernel {
        Kernel {
            core: Core::new(seed),
            devs: Vec::new(),
            nss: Vec::new(),
            externals: Vec::new(),
            index: Map::default(),
            dev_index: Map::default(),
            config_version: 0,
            scratch: Scratch::default(),
            dirty_sockets: Vec::new(),
        }
    }

    /// A device.
    #[inline]
    pub fn dev(&self, id: DevId) -> &Device {
        &self.devs[id.index()]
    }

    /// A device, to change.
    #[inline]
    pub fn dev_mut(&mut self, id: DevId) -> &mut Device {
        &mut self.devs[id.index()]
    }

    /// A namespace.
    #[inline]
    pub fn ns(&self, id: NsId) -> &Namespace {
        &self.nss[id.index()]
    }

    /// A namespace, to change.
    #[inline]
    pub fn ns_mut(&mut self, id: NsId) -> &mut Namespace {
        &mut self.nss[id.index()]
    }

    /// The name of a device within its namespace.
    #[inline]
    pub fn dev_name(&self, id: DevId) -> &str {
        self.core.tracer.names.dev(id)
    }

    /// The name of a namespace.
    #[inline]
    pub fn ns_name(&self, id: NsId) -> &str {
        self.core.tracer.names.ns(id)
    }

    /// Finds a namespace by name.
    pub fn find_ns(&self, name: &str) -> Option<NsId> {
        self.index.get(name).copied()
    }

    /// Finds a device of a namespace by name.
    pub fn find_dev(&self, ns: NsId, name: &str) -> Option<DevId> {
        let n = self.ns(ns);
        if n.devices.len() <= 8 {
            return n.devices.iter().copied().find(|d| self.dev_name(*d) == name);
        }
        self.dev_index.get(&(ns, Box::from(name))).copied()
    }
}
