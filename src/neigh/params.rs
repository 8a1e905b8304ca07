//! The knobs under `net.ipv4.neigh.*` and `net.ipv6.neigh.*`, one set per device and family.

use crate::base::{MS, SEC, Time};

/// The parameters of neighbour resolution on one device. Times are in nanoseconds; the defaults are those of Linux.
///
/// ```
/// use netsim::{base::SEC, neigh::NeighParams};
/// let params = NeighParams::default();
/// assert_eq!(params.base_reachable_time, 30 * SEC);
/// assert_eq!((params.mcast_solicit, params.ucast_solicit), (3, 3));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighParams {
    /// `base_reachable_time_ms`: an entry stays REACHABLE for a random 0.5 to 1.5 times this.
    pub base_reachable_time: Time,
    /// `retrans_time_ms`: between two probes. Taken as 10 ms if shorter.
    pub retrans_time: Time,
    /// `delay_first_probe_time`: how long a used stale entry waits for a confirmation before it is probed.
    pub delay_first_probe_time: Time,
    /// `gc_stale_time`: how long an unused entry is kept once there are more than `gc_thresh1`.
    pub gc_stale_time: Time,
    /// `mcast_solicit`: broadcast (IPv6: multicast) probes before an unresolved entry fails.
    pub mcast_solicit: u32,
    /// `ucast_solicit`: unicast probes of an entry that was reachable before.
    pub ucast_solicit: u32,
    /// `app_solicit`: probes left to a daemon. None exists here, so each is a silent wait.
    pub app_solicit: u32,
    /// `mcast_resolicit`: broadcast probes after the unicast ones when an entry is re-probed.
    pub mcast_resolicit: u32,
    /// `unres_qlen_bytes`: frames waiting for one neighbour, counted by [`crate::neigh::truesize`].
    pub unres_qlen_bytes: u64,
    /// `locktime`: for how long after a change another ARP answer may not replace the address.
    pub locktime: Time,
    /// `proxy_delay`: an answer on behalf of another host is delayed by a random time up to this.
    pub proxy_delay: Time,
    /// `proxy_qlen`: requests that may wait for that delay.
    pub proxy_qlen: u32,
    /// `gc_thresh1`: below this many entries of a family nothing is ever collected.
    pub gc_thresh1: u32,
    /// `gc_thresh2`: above this, entries unchanged for 5 s are collected.
    pub gc_thresh2: u32,
    /// `gc_thresh3`: the table never holds more entries of a family than this, permanent ones not counted.
    pub gc_thresh3: u32,
}

impl Default for NeighParams {
    fn default() -> Self {
        NeighParams {
            base_reachable_time: 30 * SEC,
            retrans_time: SEC,
            delay_first_probe_time: 5 * SEC,
            gc_stale_time: 60 * SEC,
            mcast_solicit: 3,
            ucast_solicit: 3,
            app_solicit: 0,
            mcast_resolicit: 0,
            unres_qlen_bytes: 212_992,
            locktime: SEC,
            proxy_delay: 800 * MS,
            proxy_qlen: 64,
            gc_thresh1: 128,
            gc_thresh2: 512,
            gc_thresh3: 1024,
        }
    }
}

impl NeighParams {
    /// `max(RETRANS_TIME, HZ/100)` in `neigh_timer_handler()`: no setting makes probes spin.
    pub(super) fn probe_interval(&self) -> Time {
        self.retrans_time.max(10 * MS)
    }
}
