//! The way of a packet through the table, and what time does to an entry.

use super::{Action, NeighParams, NeighTable};
use crate::{
    base::{DevId, Mac, NsId, Rng, Time},
    trace::{DropReason, NeighState},
    wire::Frame,
};
use std::net::IpAddr;

impl NeighTable {
    /// The packets that wait for the MAC of a neighbour.
    pub fn waiting(&mut self, dev: DevId, addr: IpAddr) -> impl Iterator<Item = &Frame> {
        self.find_mut(dev, addr).into_iter().flat_map(|entry| entry.queue.iter())
    }

    /// The station and its namespace, if the address may be used right now: the fast path of every packet. `None` sends
    /// the caller to [`NeighTable::output`].
    #[inline]
    pub fn resolve(&mut self, now: Time, dev: DevId, addr: IpAddr) -> Option<(Mac, Option<NsId>)> {
        let entry = self.find_mut(dev, addr)?;
        match entry.state {
            NeighState::Permanent | NeighState::NoArp => {}
            NeighState::Reachable if now <= entry.reachable_until => {}
            NeighState::Delay | NeighState::Probe => entry.used = now,
            _ => return None,
        }
        Some((entry.mac, entry.owner))
    }

    /// Sends `frame`, a packet that starts at its network header, to the neighbour `addr`: at once if its station is
    /// known, else after resolution (`neigh_resolve_output()`).
    ///
    /// ```
    /// use netsim::{base::{DevId, NsId}, neigh::{Action, NeighParams, NeighTable}, trace::FrameId, wire::Pool};
    /// let (mut table, mut pool, mut out) = (NeighTable::default(), Pool::default(), Vec::new());
    /// let frame = pool.alloc(FrameId { ns: NsId(0), seq: 0 }, 84);
    /// let gateway = "10.0.0.1".parse().unwrap();
    /// assert!(table.resolve(0, DevId(1), gateway).is_none());
    /// table.output(0, DevId(1), gateway, frame, &NeighParams::default(), &mut out);
    /// assert!(matches!(out.pop(), Some(Action::Solicit { unicast: None, .. })));
    /// assert_eq!(table.queued(), 1);
    /// ```
    pub fn output(
        &mut self,
        now: Time,
        dev: DevId,
        addr: IpAddr,
        frame: Frame,
        params: &NeighParams,
        out: &mut Vec<Action>,
    ) {
        self.event_send(now, dev, addr, Some(frame), params, out);
    }

    /// Uses the neighbour without having anything to send to it, so that its station will be known (`neigh_event_send()` with
    /// no packet): what the first ICMP redirect to a new gateway does.
    pub fn probe(&mut self, now: Time, dev: DevId, addr: IpAddr, params: &NeighParams, out: &mut Vec<Action>) {
        self.event_send(now, dev, addr, None, params, out);
    }

    /// `__neigh_event_send()`: resolves, or hands the frame on.
    fn event_send(
        &mut self,
        now: Time,
        dev: DevId,
        addr: IpAddr,
        frame: Option<Frame>,
        params: &NeighParams,
        out: &mut Vec<Action>,
    ) {
        let Some(entry) = self.find_or_create(now, dev, addr, params, out) else {
            return out.extend(frame.map(|frame| Action::Drop { frame, reason: DropReason::NeighCreateFail }));
        };
        entry.settle(now, out);
        entry.used = now;
        match entry.state {
            NeighState::None | NeighState::Failed => {
                entry.updated = now;
                if params.mcast_solicit == 0 && params.app_solicit == 0 {
                    entry.enter(NeighState::Failed, out);
                    return out.extend(frame.map(|frame| Action::Drop { frame, reason: DropReason::NeighFailed }));
                }
                entry.probes = params.ucast_solicit;
                entry.enter(NeighState::Incomplete, out);
                entry.arm(now.saturating_add(params.probe_interval()), out);
                frame.into_iter().for_each(|frame| entry.enqueue(frame, params, out));
                return entry.probe(params, out);
            }
            NeighState::Incomplete => return frame.into_iter().for_each(|frame| entry.enqueue(frame, params, out)),
            NeighState::Stale => {
                entry.updated = now;
                entry.enter(NeighState::Delay, out);
                entry.arm(now.saturating_add(params.delay_first_probe_time), out);
            }
            NeighState::Permanent
            | NeighState::NoArp
            | NeighState::Reachable
            | NeighState::Delay
            | NeighState::Probe => {}
        }
        frame.into_iter().for_each(|frame| entry.transmit(frame, out));
    }

    /// A timer asked for by [`Action::Timer`] fired (`neigh_timer_handler()`). An entry that is gone or has another
    /// deadline by now is left alone.
    pub fn on_timer(
        &mut self,
        now: Time,
        dev: DevId,
        addr: IpAddr,
        params: &NeighParams,
        rng: &mut Rng,
        out: &mut Vec<Action>,
    ) {
        let Some(entry) = self.find_mut(dev, addr) else { return };
        if !entry.take_due(now) {
            return;
        }
        let delay = params.delay_first_probe_time;
        match entry.state {
            NeighState::Reachable if now <= entry.reachable_until => entry.watch_reachable(params, out),
            NeighState::Reachable if now <= entry.used.saturating_add(delay) => {
                entry.updated = now;
                entry.enter(NeighState::Delay, out);
                entry.arm(now.saturating_add(delay), out);
            }
            NeighState::Reachable => entry.settle(now, out),
            NeighState::Delay => match entry.confirmed {
                Some(confirmed) if now <= confirmed.saturating_add(delay) => {
                    entry.updated = now;
                    entry.enter(NeighState::Reachable, out);
                    entry.start_reachable(confirmed, params, rng, out);
                }
                _ => {
                    entry.updated = now;
                    entry.probes = 0;
                    entry.enter(NeighState::Probe, out);
                    entry.probe_or_fail(now, params, out);
                }
            },
            NeighState::Incomplete | NeighState::Probe => entry.probe_or_fail(now, params, out),
            // No deadline is armed in these states, and a change of state disarms an old one.
            NeighState::None | NeighState::Stale | NeighState::Failed | NeighState::Permanent | NeighState::NoArp => {}
        }
    }

    /// Proof from above that the neighbour answers, such as progress of a TCP connection (`neigh_confirm()`). It prolongs
    /// REACHABLE, and turns DELAY back to it when its timer fires. ICMP replies are no such proof (case neigh-state-machine).
    pub fn confirm(&mut self, now: Time, dev: DevId, addr: IpAddr) {
        if let Some(entry) = self.find_mut(dev, addr) {
            entry.confirm(now);
        }
    }
}
