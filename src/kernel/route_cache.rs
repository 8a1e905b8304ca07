//! A small cache of routing decisions about packets that come in, as the kernel's `dst` on a socket or next hop saves it
//! the look-ups. It never changes a decision: an entry counts only while nothing it was made from has changed.

use crate::{
    base::{DevId, NsId},
    route::RouteType,
    trace::DropReason,
};
use std::net::IpAddr;

/// Slots; a power of two. Two flows that fall on one slot take turns, which costs time and nothing else.
const SLOTS: usize = 64;

/// What a namespace does with a packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRoute {
    /// `Local`, `Broadcast` or `Multicast`: for us; `Unicast`: to be forwarded.
    pub kind: RouteType,
    /// Where it goes: the egress device, or the input device for local packets.
    pub out: DevId,
    /// The next hop of a packet to be forwarded.
    pub next_hop: IpAddr,
    /// It passes through instead of being delivered here.
    pub forward: bool,
    /// The MTU the route says in bytes; 0: the device's counts.
    pub mtu: u32,
    /// The sender could have reached the next hop directly: tell it so.
    pub redirect: bool,
}

impl InputRoute {
    /// What stands for a route where there is none.
    pub(crate) fn nowhere(dev: DevId, dst: IpAddr) -> InputRoute {
        let kind = RouteType::Unreachable;
        InputRoute { kind, out: dev, next_hop: dst, forward: false, mtu: 0, redirect: false }
    }
}

/// Why a packet that came in has no way on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoWay {
    /// Its fate.
    pub(crate) reason: DropReason,
    /// The ICMP error to send: type and code in the packet's family.
    pub(crate) error: Option<(u8, u8)>,
}

/// What a decision depends on in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InputKey {
    pub(crate) dev: DevId,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) mark: u32,
    pub(crate) tos: u8,
}

/// What a decision depends on in the namespace: the version of its tables, and of everything else that is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) fib: u64,
    pub(crate) config: u64,
}

/// The way on, or why there is none.
pub(crate) type Decision = Result<InputRoute, NoWay>;

/// Decisions of one namespace.
pub struct RouteCache {
    slots: [Option<(InputKey, Stamp, Decision)>; SLOTS],
}

impl Default for RouteCache {
    fn default() -> RouteCache {
        RouteCache { slots: [None; SLOTS] }
    }
}

impl RouteCache {
    #[inline]
    pub(crate) fn get(&self, key: &InputKey, stamp: Stamp) -> Option<Decision> {
        match &self.slots[slot(key)] {
            Some((k, s, decision)) if k == key && *s == stamp => Some(*decision),
            _ => None,
        }
    }

    pub(crate) fn put(&mut self, key: InputKey, stamp: Stamp, decision: Decision) {
        self.slots[slot(&key)] = Some((key, stamp, decision));
    }
}

#[inline]
fn slot(key: &InputKey) -> usize {
    let low = |a: IpAddr| match a {
        IpAddr::V4(a) => u32::from(a),
        IpAddr::V6(a) => u128::from(a) as u32,
    };
    let mixed = (low(key.src) ^ low(key.dst).rotate_left(16) ^ key.dev.0).wrapping_mul(0x9e37_79b1);
    (mixed >> 26) as usize & (SLOTS - 1)
}

impl super::Kernel {
    /// Something that decisions about packets depend on was configured anew.
    pub(crate) fn config_changed(&mut self) {
        self.config_version += 1;
    }

    pub(crate) fn stamp(&self, ns: NsId) -> Stamp {
        Stamp { fib: self.ns(ns).fib.version(), config: self.config_version }
    }
}
