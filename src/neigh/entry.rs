//! One neighbour: its state, its clocks and the packets waiting for it.

use super::{Action, NeighParams};
use crate::{
    base::{DevId, Mac, NsId, Rng, Time},
    trace::{DropReason, NeighState},
    wire::Frame,
};
use std::{collections::VecDeque, net::IpAddr};

/// No deadline.
const NEVER: Time = Time::MAX;

/// What a waiting packet of `len` bytes, network header included, counts against `unres_qlen_bytes`: the kernel's
/// `skb->truesize`. That is a buffer for the packet, 31 bytes of link-layer reserve and alignment rounded up to a
/// cache line, and the 320-byte `skb_shared_info`: 704 bytes if it fits (`skb_small_head_cache`), else a power of two;
/// plus the 256-byte `sk_buff`.
///
/// ```
/// use netsim::neigh::truesize;
/// assert_eq!(truesize(84), 960); // a ping
/// assert_eq!(truesize(1500), 2304); // a full Ethernet packet
/// ```
pub fn truesize(len: usize) -> u64 {
    let data = (len as u64 + 31).next_multiple_of(64) + 320;
    (if data <= 704 { 704 } else { data.next_power_of_two() }) + 256
}

/// `NUD_VALID`: the link-layer address may be used.
pub(super) fn is_valid(state: NeighState) -> bool {
    !matches!(state, NeighState::None | NeighState::Incomplete | NeighState::Failed)
}

/// `NUD_CONNECTED`: it may be used without a second thought.
pub(super) fn is_connected(state: NeighState) -> bool {
    matches!(state, NeighState::Permanent | NeighState::NoArp | NeighState::Reachable)
}

pub(super) struct Entry {
    pub(super) dev: DevId,
    pub(super) addr: IpAddr,
    /// Meaningful while the state is valid, and as the target of unicast probes.
    pub(super) mac: Mac,
    pub(super) owner: Option<NsId>,
    pub(super) state: NeighState,
    pub(super) router: bool,
    pub(super) probes: u32,
    /// When `on_timer` has something to do.
    deadline: Time,
    /// REACHABLE up to and including this time.
    pub(super) reachable_until: Time,
    /// The span that was drawn when it last became REACHABLE.
    reachable_span: Time,
    /// Last proof that the station answers; `None` if there is none for the current address.
    pub(super) confirmed: Option<Time>,
    pub(super) used: Time,
    pub(super) updated: Time,
    pub(super) queue: VecDeque<Frame>,
    queued_bytes: u64,
}

impl Entry {
    pub(super) fn new(now: Time, dev: DevId, addr: IpAddr) -> Entry {
        Entry {
            dev,
            addr,
            mac: Mac::ZERO,
            owner: None,
            state: NeighState::None,
            router: false,
            probes: 0,
            deadline: NEVER,
            reachable_until: 0,
            reachable_span: 0,
            confirmed: None,
            used: now,
            updated: now,
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// The state at `now`, with the passage of time taken into account.
    pub(super) fn state_at(&self, now: Time) -> NeighState {
        match self.state {
            NeighState::Reachable if now > self.reachable_until => NeighState::Stale,
            state => state,
        }
    }

    /// When state or station last changed, likewise.
    pub(super) fn updated_at(&self, now: Time) -> Time {
        if self.state_at(now) == self.state { self.updated } else { self.reachable_until }
    }

    /// Makes an expired REACHABLE the STALE it has been since.
    pub(super) fn settle(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.state == NeighState::Reachable && now > self.reachable_until {
            self.updated = self.reachable_until;
            self.disarm();
            self.enter(NeighState::Stale, out);
        }
    }

    /// Changes the state and says so.
    pub(super) fn enter(&mut self, to: NeighState, out: &mut Vec<Action>) {
        let from = std::mem::replace(&mut self.state, to);
        self.announce(from, out);
    }

    /// Says that the entry came from state `from` to what it is now.
    pub(super) fn announce(&self, from: NeighState, out: &mut Vec<Action>) {
        let mac = is_valid(self.state).then_some(self.mac);
        out.push(Action::Changed { dev: self.dev, addr: self.addr, from, to: self.state, mac });
    }

    pub(super) fn arm(&mut self, at: Time, out: &mut Vec<Action>) {
        self.deadline = at;
        out.push(Action::Timer { dev: self.dev, addr: self.addr, at });
    }

    pub(super) fn disarm(&mut self) {
        self.deadline = NEVER;
    }

    /// Whether a deadline has been reached; it is then spent.
    pub(super) fn take_due(&mut self, now: Time) -> bool {
        let due = now >= self.deadline;
        if due {
            self.disarm();
        }
        due
    }

    /// Starts the reachable time at `since` (`neigh_rand_reach_time()`: 0.5 to 1.5 times the base).
    pub(super) fn start_reachable(&mut self, since: Time, params: &NeighParams, rng: &mut Rng, out: &mut Vec<Action>) {
        let base = params.base_reachable_time;
        self.reachable_span = rng.below(base).saturating_add(base / 2);
        self.reachable_until = since.saturating_add(self.reachable_span);
        self.watch_reachable(params, out);
    }

    /// A reachable entry whose last use lies within `delay_first_probe_time` of its expiry goes to DELAY, not STALE, and
    /// so needs its timer; every other entry turns STALE without one. Only unusual settings lead here.
    pub(super) fn watch_reachable(&mut self, params: &NeighParams, out: &mut Vec<Action>) {
        if self.used.saturating_add(params.delay_first_probe_time) > self.reachable_until {
            self.arm(self.reachable_until.saturating_add(1), out);
        }
    }

    /// `neigh_confirm()`: proof of life prolongs REACHABLE and is remembered for the end of DELAY.
    pub(super) fn confirm(&mut self, now: Time) {
        self.confirmed = Some(now);
        if self.state == NeighState::Reachable && now <= self.reachable_until {
            self.reachable_until = now.saturating_add(self.reachable_span);
        }
    }

    /// Lets a frame wait; the oldest go when there is no room (`__neigh_event_send()`). A frame larger than the whole
    /// queue still gets in alone, as in Linux.
    pub(super) fn enqueue(&mut self, frame: Frame, params: &NeighParams, out: &mut Vec<Action>) {
        let size = truesize(frame.len());
        while self.queued_bytes + size > params.unres_qlen_bytes {
            let Some(oldest) = self.dequeue() else { break };
            out.push(Action::Drop { frame: oldest, reason: DropReason::NeighQueueFull });
        }
        self.queued_bytes += size;
        self.queue.push_back(frame);
    }

    pub(super) fn dequeue(&mut self) -> Option<Frame> {
        let frame = self.queue.pop_front()?;
        self.queued_bytes -= truesize(frame.len());
        Some(frame)
    }

    pub(super) fn transmit(&self, frame: Frame, out: &mut Vec<Action>) {
        out.push(Action::Transmit { dev: self.dev, frame, mac: self.mac, owner: self.owner });
    }

    /// `neigh_invalidate()`: everything that waited is unreachable.
    pub(super) fn fail(&mut self, now: Time, out: &mut Vec<Action>) {
        self.disarm();
        self.updated = now;
        self.enter(NeighState::Failed, out);
        while let Some(frame) = self.dequeue() {
            out.push(Action::Unreachable { dev: self.dev, addr: self.addr, frame });
        }
    }

    /// The wait for an answer is over: asks again, or gives up.
    pub(super) fn probe_or_fail(&mut self, now: Time, params: &NeighParams, out: &mut Vec<Action>) {
        if self.probes >= self.max_probes(params) {
            self.fail(now, out);
        } else {
            self.arm(now.saturating_add(params.probe_interval()), out);
            self.probe(params, out);
        }
    }

    /// Sends the next probe (`neigh_probe()`, `arp_solicit()`, `ndisc_solicit()`): the first `ucast_solicit` to the known station,
    /// then `app_solicit` silent ones, then to everybody.
    pub(super) fn probe(&mut self, params: &NeighParams, out: &mut Vec<Action>) {
        let unicast = self.probes < params.ucast_solicit;
        let silent = !unicast && self.probes - params.ucast_solicit < params.app_solicit;
        self.probes = self.probes.saturating_add(1);
        if !silent {
            out.push(Action::Solicit {
                dev: self.dev,
                target: self.addr,
                unicast: unicast.then_some(self.mac),
                owner: self.owner.filter(|_| unicast),
                source: self.queue.back().and_then(source_of),
            });
        }
    }

    /// `neigh_max_probes()`.
    fn max_probes(&self, params: &NeighParams) -> u32 {
        let to_all = match self.state {
            NeighState::Probe => params.mcast_resolicit,
            _ => params.mcast_solicit,
        };
        params.ucast_solicit.saturating_add(params.app_solicit).saturating_add(to_all)
    }
}

/// The source address of an IP packet that starts at its network header.
fn source_of(frame: &Frame) -> Option<IpAddr> {
    let b = frame.data();
    match b.first()? >> 4 {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(b.get(12..16)?).ok()?)),
        6 => Some(IpAddr::from(<[u8; 16]>::try_from(b.get(8..24)?).ok()?)),
        _ => None,
    }
}
