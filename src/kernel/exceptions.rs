//! What a namespace learned about single destinations: path MTUs and better gateways (fib_nh_exception in
//! net/ipv4/route.c, RFC 1191, RFC 1122 §3.2.2.2).

use crate::base::{Map, Time};
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
        let fresh = Exception { mtu: None, locked: false, gateway: None, expires: 0 };
        let e = self.by_dst.entry(dst).or_insert(fresh);
        if e.expires <= now {
            *e = fresh;
        }
        e
    }
}
