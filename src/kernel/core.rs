//! What all namespaces share: the clock, the timing wheel, the frame pool and the tracer.

use crate::{
    base::{AppId, DevId, NsId, SockId, Time, wheel::Wheel},
    trace::{Delivery, Direction, DropReason, Event, FrameId, Origin, Record, Tracer},
    wire::{Frame, Pool},
};
use std::net::{IpAddr, Ipv6Addr};

/// What a wheel entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A frame arrives at a device.
    Receive(DevId),
    /// A device's egress queue has something to send.
    Dequeue(DevId),
    /// A neighbour entry's deadline.
    Neighbour(DevId, IpAddr),
    /// A TCP socket's deadline.
    Socket(SockId),
    /// A namespace's oldest incomplete datagram times out.
    Reassembly(NsId),
    /// A bridge protocol timer.
    Bridge(DevId),
    /// Delayed proxy ARP replies of a namespace.
    ProxyArp(NsId),
    /// A timer of IPv6 autoconfiguration on a device.
    Ipv6(DevId, Ipv6Timer),
    /// An app's timer, with the app's own token.
    App(AppId, u64),
    /// The scenario's step of this number.
    Step(u32),
}

/// What a timer of IPv6 autoconfiguration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Timer {
    /// The next step of duplicate address detection.
    Dad(Ipv6Addr),
    /// A lifetime ends of something learned from an advertisement.
    Expire,
    /// The next router solicitation.
    Solicit,
    /// The next router advertisement.
    Advertise,
}

/// The clock, the wheel, the pool and the tracer.
pub struct Core {
    /// Virtual time.
    pub now: Time,
    /// The run's seed.
    pub seed: u64,
    /// What is to be done, and when.
    pub wheel: Wheel<Work>,
    /// Frame buffers and the ledger.
    pub pool: Pool,
    /// Names, digest and sinks.
    pub tracer: Tracer,
    /// Sockets with news for their apps, to be looked at before the next event.
    pub wakes: Vec<(AppId, SockId)>,
    /// Frames counted when they pass a device, in both directions.
    pub hops: u64,
    /// How long a frame takes over a cable between two namespaces, in nanoseconds; 0 unless set. Set it before the
    /// world runs: later, frames could overtake each other.
    pub cable: Time,
    /// Frames put on cables since the current event began. Each takes a nanosecond longer than the one before, so that
    /// they arrive in the order in which they left; without a cable delay they arrive by the order of devices.
    pub(crate) burst: Time,
    /// Tunnels the packet being sent has entered.
    pub(crate) nesting: u8,
    frame_seq: Vec<u32>,
    event_seq: Vec<u32>,
}

impl Core {
    /// A core at time zero.
    pub fn new(seed: u64) -> Core {
        Core {
            now: 0,
            seed,
            wheel: Wheel::default(),
            pool: Pool::default(),
            tracer: Tracer::default(),
            wakes: Vec::new(),
            hops: 0,
            cable: 0,
            burst: 0,
            nesting: 0,
            frame_seq: Vec::new(),
            event_seq: Vec::new(),
        }
    }

    pub(crate) fn add_ns(&mut self, name: &str) -> NsId {
        self.frame_seq.push(0);
        self.tracer.names.add_ns(name)
    }

    pub(crate) fn add_dev(&mut self, ns: NsId, name: &str) -> DevId {
        self.event_seq.push(0);
        self.tracer.names.add_dev(ns, name)
    }

    /// Puts `work` on the wheel. Ties at one nanosecond are broken by `entity`, then by the order in which that entity
    /// scheduled: never by a global counter, which would depend on how the world is spread over threads.
    #[inline]
    pub fn schedule(&mut self, at: Time, entity: DevId, work: Work) {
        let seq = &mut self.event_seq[entity.index()];
        *seq = seq.wrapping_add(1);
        let key = (entity.0 as u64) << 32 | *seq as u64;
        self.wheel.push(at, key, work);
    }

    /// When a frame that is put on a cable now arrives.
    #[inline]
    pub(crate) fn arrival(&mut self) -> Time {
        if self.cable == 0 {
            return self.now;
        }
        self.burst += 1;
        self.now + self.cable + self.burst
    }

    /// The next frame number of a namespace.
    #[inline]
    pub fn next_frame_id(&mut self, ns: NsId) -> FrameId {
        let seq = &mut self.frame_seq[ns.index()];
        *seq = seq.wrapping_add(1);
        FrameId { ns, seq: *seq }
    }

    /// The pool and a source of frame numbers for `ns`, for whoever must make frames without the rest of the core.
    pub(crate) fn pool_and_ids(&mut self, ns: NsId) -> (&mut Pool, impl FnMut() -> FrameId + '_) {
        let seq = &mut self.frame_seq[ns.index()];
        let next = move || {
            *seq = seq.wrapping_add(1);
            FrameId { ns, seq: *seq }
        };
        (&mut self.pool, next)
    }

    /// A new zeroed frame of `len` bytes.
    #[inline]
    pub fn new_frame(&mut self, ns: NsId, len: usize, origin: Origin, parent: Option<FrameId>) -> Frame {
        let id = self.next_frame_id(ns);
        let frame = self.pool.alloc(id, len);
        self.emit(ns, None, Some(id), Event::Created { origin, parent });
        frame
    }

    /// A copy of `frame` with a number of its own.
    #[inline]
    pub fn copy_frame(&mut self, ns: NsId, frame: &Frame, origin: Origin) -> Frame {
        let id = self.next_frame_id(ns);
        let copy = self.pool.copy(id, frame);
        self.emit(ns, None, Some(id), Event::Created { origin, parent: Some(frame.id()) });
        copy
    }

    /// The frame reached its goal.
    #[inline]
    pub fn deliver(&mut self, ns: NsId, dev: Option<DevId>, frame: Frame, to: Delivery) {
        self.emit(ns, dev, Some(frame.id()), Event::Delivered(to));
        self.pool.ledger.deliver();
        self.pool.recycle(frame);
    }

    /// The frame is dropped.
    #[inline]
    pub fn drop(&mut self, ns: NsId, dev: Option<DevId>, frame: Frame, reason: DropReason) {
        self.emit(ns, dev, Some(frame.id()), Event::Dropped(reason));
        self.pool.ledger.discard(reason);
        self.pool.recycle(frame);
    }

    /// A frame passes a device.
    #[inline]
    pub fn tap(&mut self, ns: NsId, dev: DevId, dir: Direction, frame: &Frame) {
        self.hops += 1;
        self.emit(ns, Some(dev), Some(frame.id()), Event::Frame { dir, bytes: frame.data() });
    }

    /// Records an event, if anybody listens.
    #[inline]
    pub fn emit(&mut self, ns: NsId, dev: Option<DevId>, frame: Option<FrameId>, event: Event<'_>) {
        if self.tracer.on() {
            self.tracer.emit(&Record { time: self.now, ns, dev, frame, event });
        }
    }
}
