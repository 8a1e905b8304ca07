//! What a namespace learned about single destinations: path MTUs and better gateways (fib_nh_exception in
//! net/ipv4/route.c, RFC 1191, RFC 1122 §3.2.2.2).

use crate::base::{DevId, Map, Prefix, Time};
use std::net::IpAddr;

/// At most this many destinations are remembered; then the table starts over, which costs one lost packet each.
const MAX: usize = 16_384;

/// What is known about one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The path MTU in bytes, if one was learned.
    pub mtu: Option<u32>,
    /// The MTU reported was below the minimum: DF is no longer set towards this destination.
    pub locked: bool,
    /// A better first hop, from an ICMP redirect.
    pub gateway: Option<IpAddr>,
    /// When it is forgotten.
    pub expires: Time,
    /// The way out it was learned for, device and next hop: on another it means nothing (fib_nh_exception).
    pub way: Option<(DevId, IpAddr)>,
}

/// Exceptions of a namespace by destination.
#[derive(Default)]
pub struct Exceptions {
    by_dst: Map<IpAddr, Exception>,
}

impl Exceptions {
    /// What is known about `dst` now.
    #[inline]
    pub fn get(&self, now: Time, dst: IpAddr) -> Option<Exception> {
        self.by_dst.get(&dst).copied().filter(|e| e.expires > now)
    }

    /// What is known about `dst` on the way that leaves by this device and next hop.
    #[inline]
    pub fn get_for(&self, now: Time, dst: IpAddr, way: (DevId, IpAddr)) -> Option<Exception> {
        self.get(now, dst).filter(|e| e.way.is_none_or(|w| w == way))
    }

    /// Says for which way out the entry for `dst` holds.
    pub fn bind(&mut self, dst: IpAddr, way: (DevId, IpAddr)) {
        if let Some(e) = self.by_dst.get_mut(&dst) {
            e.way = Some(way);
        }
    }

    /// The MTU of a device changed: no path over it is wider, and those that were as wide as it follow (fib_nhc_update_mtu).
    #[expect(clippy::disallowed_methods, reason = "each entry changes by itself: the order does not show")]
    pub fn follow_mtu(&mut self, dev: DevId, new: u32, old: u32) {
        for e in self.by_dst.values_mut().filter(|e| e.way.is_some_and(|w| w.0 == dev)) {
            let Some(mtu) = e.mtu else { continue };
            if e.locked && new <= mtu {
                (e.mtu, e.locked) = (Some(new), false);
            } else if !e.locked && (new < mtu || old == mtu) {
                e.mtu = Some(new);
            }
        }
    }

    /// Forgets what was learned for destinations in `dst`: their route is gone.
    #[expect(clippy::disallowed_methods, reason = "each entry goes or stays by itself: the order does not show")]
    pub fn forget(&mut self, dst: Prefix) {
        self.by_dst.retain(|addr, _| !dst.contains(*addr));
    }

    /// Remembers a path MTU until `expires`.
    pub fn set_mtu(&mut self, now: Time, dst: IpAddr, mtu: u32, locked: bool, expires: Time) {
        let e = self.entry(now, dst);
        (e.mtu, e.locked, e.expires) = (Some(mtu), locked, expires);
    }

    /// Remembers a gateway until `expires`.
    pub fn set_gateway(&mut self, now: Time, dst: IpAddr, gateway: IpAddr, expires: Time) {
        let e = self.entry(now, dst);
        (e.gateway, e.expires) = (Some(gateway), expires);
    }

    /// Forgets everything, as a change of routes does.
    pub fn clear(&mut self) {
        self.by_dst.clear();
    }

    fn entry(&mut self, now: Time, dst: IpAddr) -> &mut Exception {
        if self.by_dst.len() >= MAX && !self.by_dst.contains_key(&dst) {
            self.by_dst.clear();
        }
        let fresh = Exception { mtu: None, locked: false, gateway: None, expires: 0, way: None };
        let e = self.by_dst.entry(dst).or_insert(fresh);
        if e.expires <= now {
            *e = fresh;
        }
        e
    }
}
