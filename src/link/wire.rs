//! A wire: what one device puts in, the other takes out, in order.

use super::{ExternalEnd, ExternalWire};
use crate::{base::Time, wire::Frame};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;

/// A device's end of a cable.
///
/// A veth pair is a pair of channels, one for each direction. Where both devices belong to one world each owns the ring
/// it *receives* from, and its peer's `transmit` pushes into that ring: no sharing, no counting of references. Where the
/// other end is held elsewhere, this end sends and receives through a bounded channel. No variant delays or loses a frame.
///
/// ```
/// use netsim::{base::NsId, link::Wire, trace::FrameId, wire::Pool};
/// let mut pool = Pool::default();
/// let mut to_b = Wire::local();
/// let Wire::Local(ring) = &mut to_b else { unreachable!() };
/// ring.push_back(pool.alloc(FrameId { ns: NsId(0), seq: 0 }, 60));
/// assert_eq!(to_b.queued(), 1);
/// ```
pub enum Wire {
    /// Frames on their way to this device from its peer in the same world. It is emptied before time moves on, so it holds no
    /// more than one instant's frames; what bounds a sender is its queue and the limits of the run.
    Local(VecDeque<Frame>),
    /// The other end is a device of a world that another thread runs.
    Thread(ThreadWire),
    /// The other end is in the hands of an external harness.
    External(ExternalWire),
}

impl Wire {
    /// A wire within one world, empty.
    pub fn local() -> Wire {
        Wire::Local(VecDeque::new())
    }

    /// The two ends of a cable between two threads, at most `capacity` frames on their way in each direction.
    pub fn across_threads(capacity: usize) -> (Wire, Wire) {
        let ((to_b, from_a), (to_a, from_b)) = (bounded(capacity), bounded(capacity));
        (
            Wire::Thread(ThreadWire { send: to_b, receive: from_b }),
            Wire::Thread(ThreadWire { send: to_a, receive: from_a }),
        )
    }

    /// A cable into the world and its other end, for an external harness; see [`ExternalEnd`].
    pub fn external(capacity: usize) -> (Wire, ExternalEnd) {
        let (wire, end) = ExternalWire::pair(capacity);
        (Wire::External(wire), end)
    }

    /// Number of frames on their way to this device that were created in this world: those count as in flight.
    pub fn queued(&self) -> usize {
        match self {
            Wire::Local(ring) => ring.len(),
            Wire::Thread(wire) => wire.receive.len(),
            Wire::External(_) => 0,
        }
    }
}

/// One end of a cable between two threads. Frames travel with the virtual time they were sent.
pub struct ThreadWire {
    send: Sender<(Time, Frame)>,
    receive: Receiver<(Time, Frame)>,
}

impl ThreadWire {
    /// Sends a frame at `time`. Never blocks.
    ///
    /// # Errors
    /// Gives the frame back if the wire is full or the other end is gone.
    pub fn send(&self, time: Time, frame: Frame) -> Result<(), Frame> {
        self.send.try_send((time, frame)).map_err(|error| error.into_inner().1)
    }

    /// The next frame from the other end and the time it was sent. Never blocks.
    pub fn receive(&self) -> Option<(Time, Frame)> {
        self.receive.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::NsId, trace::FrameId, wire::Pool};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an end held by another thread is what is tested")]
    fn frames_cross_threads_in_order_and_a_full_wire_gives_back() {
        let mut pool = Pool::default();
        let mut frame = |seq| pool.alloc(FrameId { ns: NsId(0), seq }, 60);
        let (Wire::Thread(a), Wire::Thread(b)) = Wire::across_threads(2) else { panic!("two thread wires") };
        assert!(a.send(10, frame(0)).is_ok() && a.send(11, frame(1)).is_ok());
        let refused = a.send(12, frame(2)).expect_err("only two fit");
        assert_eq!(refused.id().seq, 2);
        let seen = std::thread::spawn(move || {
            let seen: Vec<_> = std::iter::from_fn(|| b.receive()).map(|(time, f)| (time, f.id().seq)).collect();
            (seen, Wire::Thread(b).queued())
        });
        assert_eq!(seen.join().expect("the thread does not panic"), (vec![(10, 0), (11, 1)], 0));
        assert!(a.send(13, refused).is_err(), "the other end is gone");
    }
}
