//! How many ICMP errors a namespace sends (inet_peer_xrlim_allow, icmp_global_allow, ip_error; RFC 1812 §4.3.2.8).

use crate::base::{Map, Rng, SEC, Time};
use std::net::IpAddr;

/// Tokens of one destination pile up for at most this many intervals (`XRLIM_BURST_FACTOR`).
const BURST: u64 = 6;
/// A route error needs one second's worth of tokens, and at most five pile up (`ip_rt_error_cost`, `ip_rt_error_burst`).
const ROUTE_COST: Time = SEC;
const ROUTE_BURST: Time = 5 * SEC;
/// An unknown destination starts with full buckets: it was last served "a minute ago" (inet_getpeer).
const FULL: Time = 60 * SEC;
/// The kernel's clock ticks 250 times a second.
const JIFFY: Time = SEC / 250;
/// At most this many destinations are remembered; then all start over.
const MAX: usize = 65_536;

#[derive(Clone, Copy, Default)]
struct Peer {
    tokens: Time,
    last: Option<Time>,
    redirects: u32,
}

impl Peer {
    /// Adds what has accrued since the last look, up to `cap`.
    fn refill(&mut self, now: Time, cap: Time) {
        let accrued = self.last.map_or(FULL, |t| now - t);
        self.tokens = (self.tokens + accrued).min(cap);
        self.last = Some(now);
    }

    /// The same for an error, whose limit cuts what is there only as time goes by (inet_peer_xrlim_allow): what the
    /// limit of route errors left for it in the same moment counts.
    fn refill_error(&mut self, now: Time, cap: Time) {
        if self.last.is_none_or(|t| now / JIFFY != t / JIFFY) {
            self.refill(now, cap);
        }
    }

    fn take(&mut self, cost: Time) -> bool {
        if self.tokens >= cost {
            self.tokens -= cost;
            true
        } else {
            false
        }
    }
}

/// Why an ICMP error may not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limited {
    /// The destination got its share.
    Host,
    /// The namespace sent its share.
    Global,
}

/// Token buckets per destination and one for the namespace.
#[derive(Default)]
pub struct Limits {
    peers: Map<IpAddr, Peer>,
    global: u64,
    global_last: Option<Time>,
}

impl Limits {
    /// One route error for `dst`, before [`Limits::allow`] is asked: the kernel's two limiters share one bucket.
    pub fn allow_route_error(&mut self, now: Time, dst: IpAddr) -> bool {
        let p = self.peer(dst);
        p.refill(now, ROUTE_BURST);
        p.take(ROUTE_COST)
    }

    /// One ICMP error for `dst`. `interval` is `icmp_ratelimit`, 0 for none.
    ///
    /// # Errors
    /// Which limit forbids it.
    pub fn allow(
        &mut self,
        now: Time,
        dst: IpAddr,
        interval: Time,
        per_sec: u64,
        burst: u64,
        rng: &mut Rng,
    ) -> Result<(), Limited> {
        let elapsed = self.global_last.map_or(SEC, |t| (now - t).min(SEC));
        // The bucket is refilled only every 20 ms at most (icmp_global_allow).
        if elapsed >= SEC / 50 {
            self.global = (self.global + per_sec * elapsed / SEC).min(burst);
            self.global_last = Some(now);
        }
        if self.global == 0 {
            return Err(Limited::Global);
        }
        {
            let p = self.peer(dst);
            p.refill_error(now, BURST * interval);
            if !p.take(interval) {
                return Err(Limited::Host);
            }
        }
        // A random cost of 0 to 2 hides the counter from observers (icmp_global_consume).
        self.global = self.global.saturating_sub(rng.below(3));
        Ok(())
    }

    /// One message for `dst` without a global limit (inet_peer_xrlim_allow).
    pub fn allow_peer(&mut self, now: Time, dst: IpAddr, interval: Time) -> bool {
        let p = self.peer(dst);
        p.refill(now, BURST * interval);
        p.take(interval)
    }

    /// One ICMP redirect for `dst` (ip_rt_send_redirect): back-off 20 ms << n, silent after 9, forgotten after 20 s.
    pub fn allow_redirect(&mut self, now: Time, dst: IpAddr) -> bool {
        const LOAD: Time = 20_000_000;
        const NUMBER: u32 = 9;
        const SILENCE: Time = LOAD << (NUMBER + 1);
        // The bucket of errors is the same: after a redirect it is empty (rate_tokens, rate_last).
        let p = self.peer(dst);
        if p.last.is_none_or(|t| now > t + SILENCE) {
            p.tokens = 0;
            p.redirects = 0;
        }
        if p.redirects >= NUMBER {
            p.last = Some(now);
            return false;
        }
        if p.redirects == 0 || p.last.is_none_or(|t| now > t + (LOAD << p.redirects)) {
            p.last = Some(now);
            p.redirects += 1;
            return true;
        }
        false
    }

    fn peer(&mut self, dst: IpAddr) -> &mut Peer {
        if self.peers.len() >= MAX && !self.peers.contains_key(&dst) {
            self.peers.clear();
        }
        self.peers.entry(dst).or_default()
    }
}
