//! The end of a cable that an external harness holds: another thread, a test, a bridge to a real network.

use crate::base::Time;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Longest frame an external harness may send, in bytes: a 64 KiB packet with an Ethernet header and a VLAN tag.
pub const MAX_EXTERNAL_FRAME: usize = 65_535 + 18;

/// A frame that left the world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExternalFrame {
    /// When it left, in virtual nanoseconds.
    pub time: Time,
    /// The frame, Ethernet header included.
    pub bytes: Vec<u8>,
}

/// Why a frame could not be sent into the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The world has not yet taken the frames sent before.
    Full,
    /// The world is gone.
    Closed,
    /// Shorter than an Ethernet header or longer than [`MAX_EXTERNAL_FRAME`].
    Length,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SendError::Full => "the wire is full: the world has not yet taken the frames sent before",
            SendError::Closed => "the world at the other end is gone",
            SendError::Length => "a frame has 14 to 65553 bytes",
        })
    }
}

impl std::error::Error for SendError {}

/// The world at the other end is gone, and all it sent has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SendError::Closed.fmt(f)
    }
}

impl std::error::Error for Closed {}

/// Why a frame could not be handed to the harness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undelivered {
    /// It does not read fast enough.
    Full,
    /// It is gone.
    Disconnected,
}

/// The end of a cable outside the world. Clones share the cable: each frame is received by one of them.
///
/// ```
/// use netsim::link::ExternalWire;
/// let (world, harness) = ExternalWire::pair(16);
/// let echo = std::thread::spawn(move || {
///     let frame = harness.recv().expect("the world sends one frame");
///     harness.send(&frame.bytes).expect("there is room");
///     frame.time
/// });
/// world.deliver(5_000, &[0xab; 60]).unwrap();
/// assert_eq!(echo.join().unwrap(), 5_000);
/// assert_eq!(world.poll(), Some(vec![0xab; 60]));
/// ```
#[derive(Clone, Debug)]
pub struct ExternalEnd {
    send: Sender<Vec<u8>>,
    receive: Receiver<ExternalFrame>,
}

impl ExternalEnd {
    /// Puts a frame, Ethernet header included, on the wire. The world receives it when it next runs. Never blocks.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, bytes: &[u8]) -> Result<(), SendError> {
        if !(crate::wire::eth::HEADER..=MAX_EXTERNAL_FRAME).contains(&bytes.len()) {
            return Err(SendError::Length);
        }
        self.send.try_send(bytes.to_vec()).map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Disconnected(_) => SendError::Closed,
        })
    }

    /// The next frame that left the world, if there is one now. Never blocks.
    pub fn try_recv(&self) -> Option<ExternalFrame> {
        self.receive.try_recv().ok()
    }

    /// The next frame that leaves the world. Blocks the calling thread until there is one.
    ///
    /// # Errors
    /// [`Closed`] if the world is gone.
    pub fn recv(&self) -> Result<ExternalFrame, Closed> {
        self.receive.recv().map_err(|_| Closed)
    }

    /// The frames that have left the world so far. Never blocks.
    pub fn iter(&self) -> impl Iterator<Item = ExternalFrame> + '_ {
        self.receive.try_iter()
    }
}

/// The world's side of a cable that leads outside.
pub struct ExternalWire {
    send: Sender<ExternalFrame>,
    receive: Receiver<Vec<u8>>,
}

impl ExternalWire {
    /// How many frames a cable holds in each direction unless said otherwise.
    pub const DEFAULT_CAPACITY: usize = 65_536;

    /// Both ends of a cable that holds up to `capacity` frames in each direction.
    pub fn pair(capacity: usize) -> (ExternalWire, ExternalEnd) {
        let ((out, from_world), (into, from_harness)) = (bounded(capacity), bounded(capacity));
        (ExternalWire { send: out, receive: from_harness }, ExternalEnd { send: into, receive: from_world })
    }

    /// Hands a frame to the harness. Never blocks.
    ///
    /// # Errors
    /// If the harness does not read or is gone; the frame's fate is then [`crate::trace::DropReason::NoReader`].
    pub fn deliver(&self, time: Time, bytes: &[u8]) -> Result<(), Undelivered> {
        let frame = ExternalFrame { time, bytes: bytes.to_vec() };
        self.send.try_send(frame).map_err(|error| match error {
            TrySendError::Full(_) => Undelivered::Full,
            TrySendError::Disconnected(_) => Undelivered::Disconnected,
        })
    }

    /// The next frame from the harness, if there is one now.
    pub fn poll(&self) -> Option<Vec<u8>> {
        self.receive.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_is_bounded_in_both_directions_and_notices_a_missing_end() {
        let (world, harness) = ExternalWire::pair(1);
        assert_eq!(harness.send(&[0; 13]), Err(SendError::Length));
        assert_eq!(harness.send(&vec![0; MAX_EXTERNAL_FRAME + 1]), Err(SendError::Length));
        assert_eq!((harness.send(&[1; 14]), harness.send(&[2; 14])), (Ok(()), Err(SendError::Full)));
        assert_eq!((world.deliver(7, &[3; 14]), world.deliver(8, &[4; 14])), (Ok(()), Err(Undelivered::Full)));
        assert_eq!(harness.iter().map(|f| f.time).collect::<Vec<_>>(), [7]);
        assert_eq!(harness.try_recv(), None);
        drop(harness);
        assert_eq!(world.deliver(9, &[5; 14]), Err(Undelivered::Disconnected));
        assert_eq!((world.poll(), world.poll()), (Some(vec![1; 14]), None));

        let (world, harness) = ExternalWire::pair(1);
        drop(world);
        assert_eq!((harness.send(&[0; 14]), harness.recv()), (Err(SendError::Closed), Err(Closed)));
    }
}
