//! The egress queue of a device.

use super::{Netem, NetemConfig, Tbf, TbfConfig};
use crate::{
    base::{Rng, Time},
    trace::{DropReason, FrameId},
    wire::{Frame, Pool},
};
use std::fmt;

/// What the queue did with a frame, in order. Every frame that goes in comes out in a `Send`, in a `Drop`, or later by
/// [`Qdisc::dequeue`].
#[derive(Debug)]
pub enum QdiscEvent {
    /// It goes onto the wire now.
    Send(Frame),
    /// It is dropped. [`DropReason::QdiscDrop`] is what a sender learns as `ENOBUFS`; a configured loss is silent.
    Drop(Frame, DropReason),
    /// A copy was created and entered in the ledger. Its own event follows, or it waits in the queue.
    Duplicated {
        /// The copy.
        copy: FrameId,
        /// What it is a copy of.
        parent: FrameId,
    },
}

/// The settings of an egress queue. `Display` gives the words `tc qdisc show` prints after `root refcnt 2`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum QdiscConfig {
    /// Frames go out at once: the default of veth, bridge and lo.
    #[default]
    Noqueue,
    /// Impairments.
    Netem(NetemConfig),
    /// A token bucket filter.
    Tbf(TbfConfig),
}

impl QdiscConfig {
    /// The name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            QdiscConfig::Noqueue => "noqueue",
            QdiscConfig::Netem(_) => "netem",
            QdiscConfig::Tbf(_) => "tbf",
        }
    }
}

impl fmt::Display for QdiscConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QdiscConfig::Noqueue => Ok(()),
            QdiscConfig::Netem(config) => config.fmt(f),
            QdiscConfig::Tbf(config) => config.fmt(f),
        }
    }
}

/// The egress queue of a device: holds frames with their Ethernet header until it is their time.
///
/// The caller enqueues, carries out the events, and calls [`Qdisc::dequeue`] until it gives nothing whenever
/// [`Qdisc::next_at`] has come. Captures happen after the queue.
///
/// ```
/// use netsim::{
///     base::{MS, NsId, Rng},
///     link::{NetemConfig, Qdisc, QdiscConfig},
///     trace::FrameId,
///     wire::Pool,
/// };
/// let (mut pool, mut rng, mut seq, mut out) = (Pool::default(), Rng::keyed(7, &["h1", "eth0"]), 0, Vec::new());
/// let mut next_id = || { seq += 1; FrameId { ns: NsId(0), seq } };
/// let mut qdisc = Qdisc::new(QdiscConfig::Netem(NetemConfig { delay: 10 * MS, ..NetemConfig::default() }));
/// let frame = pool.alloc(next_id(), 98);
/// qdisc.enqueue(0, frame, &mut rng, &mut pool, &mut next_id, &mut out);
/// assert!(out.is_empty() && qdisc.dequeue(9 * MS).is_none());
/// assert_eq!(qdisc.next_at(), Some(10 * MS));
/// assert!(qdisc.dequeue(10 * MS).is_some());
/// ```
#[derive(Default)]
pub struct Qdisc(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Noqueue,
    Netem(Box<Netem>),
    Tbf(Box<Tbf>),
}

impl Qdisc {
    /// An empty queue.
    pub fn new(config: QdiscConfig) -> Qdisc {
        Qdisc(match config {
            QdiscConfig::Noqueue => Kind::Noqueue,
            QdiscConfig::Netem(config) => Kind::Netem(Box::new(Netem::new(config))),
            QdiscConfig::Tbf(config) => Kind::Tbf(Box::new(Tbf::new(config))),
        })
    }

    /// Whether frames go straight through: a caller that asks first can transmit without the detour.
    #[inline]
    pub fn is_noqueue(&self) -> bool {
        matches!(self.0, Kind::Noqueue)
    }

    /// The settings.
    pub fn config(&self) -> QdiscConfig {
        match &self.0 {
            Kind::Noqueue => QdiscConfig::Noqueue,
            Kind::Netem(netem) => QdiscConfig::Netem(netem.config().clone()),
            Kind::Tbf(tbf) => QdiscConfig::Tbf(tbf.config().clone()),
        }
    }

    /// Takes a frame, Ethernet header included, at `now`. `next_id` names a copy if one is made.
    pub fn enqueue(
        &mut self,
        now: Time,
        frame: Frame,
        rng: &mut Rng,
        pool: &mut Pool,
        next_id: &mut dyn FnMut() -> FrameId,
        out: &mut Vec<QdiscEvent>,
    ) {
        match &mut self.0 {
            Kind::Noqueue => return out.push(QdiscEvent::Send(frame)),
            Kind::Netem(netem) => netem.enqueue(now, frame, rng, pool, next_id, out),
            Kind::Tbf(tbf) => tbf.enqueue(frame, out),
        }
        while let Some(due) = self.dequeue(now) {
            out.push(QdiscEvent::Send(due));
        }
    }

    /// The next frame whose time has come, to go onto the wire. At [`Time::MAX`], the end of
    /// time, everything does.
    pub fn dequeue(&mut self, now: Time) -> Option<Frame> {
        match &mut self.0 {
            Kind::Noqueue => None,
            Kind::Netem(netem) => netem.dequeue(now),
            Kind::Tbf(tbf) => tbf.dequeue(now),
        }
    }

    /// When the next frame goes; `None` if the queue is empty.
    pub fn next_at(&self) -> Option<Time> {
        match &self.0 {
            Kind::Noqueue => None,
            Kind::Netem(netem) => netem.next_at(),
            Kind::Tbf(tbf) => tbf.next_at(),
        }
    }

    /// Number of frames held: all are in flight.
    pub fn queued(&self) -> usize {
        match &self.0 {
            Kind::Noqueue => 0,
            Kind::Netem(netem) => netem.queued(),
            Kind::Tbf(tbf) => tbf.queued(),
        }
    }

    /// New settings (`tc qdisc change | replace`). A queue of the same kind keeps its frames; another kind starts empty, and
    /// the frames of the old one are dropped.
    pub fn change(&mut self, config: QdiscConfig, out: &mut Vec<QdiscEvent>) {
        match (&mut self.0, config) {
            (Kind::Netem(netem), QdiscConfig::Netem(config)) => netem.change(config),
            (Kind::Tbf(tbf), QdiscConfig::Tbf(config)) => tbf.change(config),
            (_, config) => {
                self.purge(DropReason::QdiscDrop, out);
                *self = Qdisc::new(config);
            }
        }
    }

    /// Drops every frame held, for example because the device goes down (`qdisc_reset()`).
    pub fn purge(&mut self, reason: DropReason, out: &mut Vec<QdiscEvent>) {
        while let Some(frame) = self.dequeue(Time::MAX) {
            out.push(QdiscEvent::Drop(frame, reason));
        }
    }
}
