//! Addresses answered on behalf of others (`ip neigh add proxy`), and the random delay of such answers.

use super::{Action, NeighParams, NeighTable};
use crate::{
    base::{DevId, Errno, Rng, Time},
    trace::DropReason,
    wire::Frame,
};
use std::{collections::VecDeque, net::IpAddr};

/// Proxy entries and the requests that wait for an answer.
#[derive(Default)]
pub(super) struct Proxies {
    /// Sorted.
    entries: Vec<(DevId, IpAddr)>,
    /// In order of arrival, each with the time it is due.
    pub(super) waiting: VecDeque<(Time, DevId, Frame)>,
}

impl NeighTable {
    /// Answers for `addr` on `dev` from now on. Adding it twice changes nothing (`pneigh_lookup()` with `creat`).
    pub fn proxy_add(&mut self, dev: DevId, addr: IpAddr) {
        let proxies = &mut self.inner_mut().proxies;
        if let Err(at) = proxies.entries.binary_search(&(dev, addr)) {
            proxies.entries.insert(at, (dev, addr));
        }
    }

    /// Answers no longer.
    ///
    /// # Errors
    /// `ENOENT` if there is no such entry.
    pub fn proxy_delete(&mut self, dev: DevId, addr: IpAddr) -> Result<(), Errno> {
        let inner = self.inner_opt_mut().ok_or(Errno::ENOENT)?;
        let at = inner.proxies.entries.binary_search(&(dev, addr)).map_err(|_| Errno::ENOENT)?;
        inner.proxies.entries.remove(at);
        Ok(())
    }

    /// Whether `addr` is answered for on `dev` by an entry of its own.
    ///
    /// ```
    /// use netsim::{base::DevId, neigh::NeighTable};
    /// let mut table = NeighTable::default();
    /// let addr = "10.0.1.2".parse().unwrap();
    /// table.proxy_add(DevId(1), addr);
    /// assert!(table.proxy_has(DevId(1), addr) && !table.proxy_has(DevId(2), addr));
    /// ```
    pub fn proxy_has(&self, dev: DevId, addr: IpAddr) -> bool {
        self.inner().is_some_and(|inner| inner.proxies.entries.binary_search(&(dev, addr)).is_ok())
    }

    /// The proxy entries, by device and address.
    pub fn proxy_iter(&self) -> impl Iterator<Item = (DevId, IpAddr)> + '_ {
        self.inner().into_iter().flat_map(|inner| inner.proxies.entries.iter().copied())
    }

    /// Holds back a request that is to be answered for another host, for a random time below `proxy_delay`
    /// (`pneigh_enqueue()`; measured 0.06 to 0.77 s, case proxy-arp). The caller answers at once, without this, a request that was
    /// sent to this host alone, and any if `proxy_delay` is 0. Beyond `proxy_qlen` requests the frame is dropped.
    pub fn proxy_delay(
        &mut self,
        now: Time,
        dev: DevId,
        frame: Frame,
        params: &NeighParams,
        rng: &mut Rng,
        out: &mut Vec<Action>,
    ) {
        let waiting = &mut self.inner_mut().proxies.waiting;
        if waiting.len() > params.proxy_qlen as usize {
            return out.push(Action::Drop { frame, reason: DropReason::NeighQueueFull });
        }
        let at = now.saturating_add(rng.below(params.proxy_delay));
        waiting.push_back((at, dev, frame));
        out.push(Action::ProxyTimer { at });
    }

    /// The next request whose delay is over, and the device it came in by. Called until it gives `None`.
    pub fn proxy_due(&mut self, now: Time) -> Option<(DevId, Frame)> {
        let waiting = &mut self.inner_opt_mut()?.proxies.waiting;
        let at = waiting.iter().position(|(due, ..)| *due <= now)?;
        waiting.remove(at).map(|(_, dev, frame)| (dev, frame))
    }

    /// A device loses its waiting requests, and unless `keep_entries` its proxy entries (`pneigh_ifdown_and_unlock()`).
    pub(super) fn proxy_flush(&mut self, dev: DevId, keep_entries: bool, out: &mut Vec<Action>) {
        let Some(inner) = self.inner_opt_mut() else { return };
        if !keep_entries {
            inner.proxies.entries.retain(|(on, _)| *on != dev);
        }
        for (at, on, frame) in std::mem::take(&mut inner.proxies.waiting) {
            if on == dev {
                out.push(Action::Drop { frame, reason: DropReason::NeighDead });
            } else {
                inner.proxies.waiting.push_back((at, on, frame));
            }
        }
    }
}
