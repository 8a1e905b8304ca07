//! netem: delay, jitter, loss, duplication, reordering, corruption and rate (`net/sched/sch_netem.c`).

use super::{
    Loss, NetemConfig, QdiscEvent,
    chance::{Correlated, offset, scale},
};
use crate::{
    base::{Rng, SEC, Time},
    trace::{DropReason, FrameId},
    wire::{Frame, Pool},
};
use std::collections::{BTreeMap, VecDeque};

/// The queue of a netem device.
pub(crate) struct Netem {
    config: NetemConfig,
    delay_random: Correlated,
    loss_random: Correlated,
    duplicate_random: Correlated,
    reorder_random: Correlated,
    corrupt_random: Correlated,
    /// Gilbert-Elliott: the link is in its bad state.
    bad: bool,
    /// Frames since one skipped the delay.
    counter: u32,
    /// `tfifo`: frames in the order they came and go.
    fifo: VecDeque<(Time, Frame)>,
    /// Frames that go before one that came earlier, by time and arrival.
    early: BTreeMap<(Time, u64), Frame>,
    arrivals: u64,
    /// Latest time any queued frame goes.
    last: Time,
    /// What the division by the rate left over from the frame before, in units of 1/rate ns: back-to-back frames leave
    /// exactly at the rate, however many there are.
    remainder: u64,
}

impl Netem {
    pub(crate) fn new(config: NetemConfig) -> Netem {
        Netem {
            config,
            delay_random: Correlated::default(),
            loss_random: Correlated::default(),
            duplicate_random: Correlated::default(),
            reorder_random: Correlated::default(),
            corrupt_random: Correlated::default(),
            bad: false,
            counter: 0,
            fifo: VecDeque::new(),
            early: BTreeMap::new(),
            arrivals: 0,
            last: 0,
            remainder: 0,
        }
    }

    pub(crate) fn config(&self) -> &NetemConfig {
        &self.config
    }

    /// `netem_change()`: new settings for the frames to come. Those in the queue keep their times.
    pub(crate) fn change(&mut self, config: NetemConfig) {
        self.config = config;
        self.counter = 0;
        self.bad = false;
        self.remainder = 0;
    }

    pub(crate) fn queued(&self) -> usize {
        self.fifo.len() + self.early.len()
    }

    /// `netem_enqueue()`.
    pub(crate) fn enqueue(
        &mut self,
        now: Time,
        mut frame: Frame,
        rng: &mut Rng,
        pool: &mut Pool,
        next_id: &mut dyn FnMut() -> FrameId,
        out: &mut Vec<QdiscEvent>,
    ) {
        let config = &self.config;
        let twice = self.duplicate_random.happens(config.duplicate, config.duplicate_correlation, rng);
        let lost = self.loses(rng);
        if lost && !twice {
            return out.push(QdiscEvent::Drop(frame, DropReason::LinkLoss));
        }
        // A frame to be doubled that is also lost is one frame again.
        let copy = (twice && !lost && !self.is_full()).then(|| pool.copy(next_id(), &frame));
        self.corrupt(&mut frame, rng);
        if self.is_full() {
            return out.push(QdiscEvent::Drop(frame, DropReason::QdiscDrop));
        }
        if let Some(mut copy) = copy {
            // The copy goes first, and through everything but duplication.
            out.push(QdiscEvent::Duplicated { copy: copy.id(), parent: frame.id() });
            if self.loses(rng) {
                out.push(QdiscEvent::Drop(copy, DropReason::LinkLoss));
            } else {
                self.corrupt(&mut copy, rng);
                self.hold(now, copy, rng, out);
            }
        }
        self.hold(now, frame, rng, out);
    }

    /// The next frame that is due.
    pub(crate) fn dequeue(&mut self, now: Time) -> Option<Frame> {
        if self.next_at()? > now {
            return None;
        }
        if self.early_first() { self.early.pop_first().map(|(_, f)| f) } else { self.fifo.pop_front().map(|(_, f)| f) }
    }

    /// When [`Netem::dequeue`] has a frame.
    pub(crate) fn next_at(&self) -> Option<Time> {
        let early = self.early.keys().next().map(|(time, _)| *time);
        let fifo = self.fifo.front().map(|(time, _)| *time);
        early.into_iter().chain(fifo).min()
    }

    /// `netem_peek()`. Frames of equal time go in order of arrival: one in `fifo` came before one in `early`.
    fn early_first(&self) -> bool {
        match (self.early.first_key_value(), self.fifo.front()) {
            (Some(((early, _), _)), Some((fifo, _))) => early < fifo,
            (early, _) => early.is_some(),
        }
    }

    fn is_full(&self) -> bool {
        self.queued() >= self.config.limit as usize
    }

    /// `loss_event()`, `loss_gilb_ell()`.
    fn loses(&mut self, rng: &mut Rng) -> bool {
        match self.config.loss {
            Loss::Random { share, correlation } => self.loss_random.happens(share, correlation, rng),
            Loss::GilbertElliott { p, r, bad, good } => {
                let (turn, loss) = if self.bad { (r, bad) } else { (p, good) };
                self.bad ^= rng.chance(turn);
                rng.chance(loss)
            }
        }
    }

    /// Flips one bit, maybe. The bytes no longer fit their checksums, which the mark says to whoever would not look.
    fn corrupt(&mut self, frame: &mut Frame, rng: &mut Rng) {
        let config = &self.config;
        if self.corrupt_random.happens(config.corrupt, config.corrupt_correlation, rng) && !frame.is_empty() {
            let at = rng.below(frame.len() as u64) as usize;
            frame.data_mut()[at] ^= 1 << rng.below(8);
            frame.meta_mut().corrupted = true;
        }
    }

    /// Decides when the frame goes. One that is reordered goes at once.
    fn hold(&mut self, now: Time, frame: Frame, rng: &mut Rng, out: &mut Vec<QdiscEvent>) {
        let (reorder, gap) = self.config.reordering();
        let correlation = self.config.reorder_correlation;
        let delayed = gap == 0 || self.counter < gap - 1 || scale(reorder) < self.reorder_random.next(correlation, rng);
        if !delayed {
            self.counter = 0;
            return out.push(QdiscEvent::Send(frame));
        }
        self.counter = self.counter.saturating_add(1);
        let at = self.departure(now, frame.len(), rng);
        self.insert(at, frame);
    }

    /// `time_to_send`: after the delay, and with a rate after the frame before it has been serialised; the time spent
    /// behind that one counts towards the delay.
    fn departure(&mut self, now: Time, len: usize, rng: &mut Rng) -> Time {
        let config = &self.config;
        let mut delay = config.delay as i128;
        if config.jitter > 0 {
            delay += offset(config.jitter, config.distribution, self.delay_random.next(config.delay_correlation, rng));
        }
        let mut from = now as i128;
        if config.rate > 0 {
            if self.queued() > 0 {
                delay = (delay - (self.last as i128 - from)).max(0);
                from = self.last as i128;
                if delay > 0 {
                    self.remainder = 0;
                }
            } else {
                self.remainder = 0;
            }
            let work = len as u128 * 8 * SEC as u128 + self.remainder as u128;
            let rate = config.rate as u128;
            self.remainder = (work % rate) as u64;
            delay += (work / rate) as i128;
        }
        // Jitter may throw a frame into the past; it then goes now.
        (from + delay).clamp(now as i128, Time::MAX as i128 - 1) as Time
    }

    /// `tfifo_enqueue()`.
    fn insert(&mut self, at: Time, frame: Frame) {
        self.last = if self.queued() == 0 { at } else { self.last.max(at) };
        if self.fifo.back().is_none_or(|(back, _)| at >= *back) {
            self.fifo.push_back((at, frame));
        } else {
            self.arrivals += 1;
            self.early.insert((at, self.arrivals), frame);
        }
    }
}
