//! Frames: exclusively owned, recycled buffers with headroom for headers yet to be pushed.

use super::options::OptionMarks;
use crate::{
    base::{DevId, NsId},
    trace::{FrameId, Ledger},
};

/// Bytes kept free in front of a new frame: Ethernet, VLAN tag, and an outer tunnel header.
pub const HEADROOM: usize = 128;
/// Buffers up to this size, headroom included, are recycled: a 1500-byte packet with everything in front of it.
const SMALL: usize = 2048;
/// Largest recycled buffer: a 64 KiB loopback packet.
const LARGE: usize = HEADROOM + 65_536 + 64;
/// At most this many idle buffers are kept per size.
const KEEP: usize = 4096;

/// How the link layer addressed a received frame (`PACKET_*` in include/uapi/linux/if_packet.h).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PacketType {
    /// To this device.
    #[default]
    Host,
    /// To everybody.
    Broadcast,
    /// To a group.
    Multicast,
    /// To somebody else.
    OtherHost,
}

/// How conntrack classified a packet (`ip_conntrack_info`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CtInfo {
    /// Belongs to a flow that saw both directions.
    Established,
    /// An error about, or a helper flow of, another flow.
    Related,
    /// First packets of a flow.
    New,
}

/// A packet's conntrack entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CtRef {
    /// Slot in the namespace's conntrack table.
    pub slot: u32,
    /// Generation of the slot, so that a stale reference is noticed.
    pub generation: u32,
    /// Whether the packet travels in the reply direction.
    pub reply: bool,
    /// Classification.
    pub info: CtInfo,
}

/// What the simulator knows about a frame beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Its number.
    pub id: FrameId,
    /// The namespace that put it on the link layer: the station behind the source MAC. `None` from an external harness.
    pub src_ns: Option<NsId>,
    /// The namespace its sender's neighbour entry resolved to. `None` for broadcasts and unmarked frames.
    pub dst_ns: Option<NsId>,
    /// The device it came in by; `None` for a packet this namespace created.
    pub iif: Option<DevId>,
    /// Conntrack entry within the current namespace.
    pub ct: Option<CtRef>,
    /// Firewall mark within the current namespace.
    pub mark: u32,
    /// IEEE 802.1Q tag control information, when the tag is held here instead of in the bytes.
    pub vlan: Option<u16>,
    /// The tag its bytes begin with was held beside them by the sender: devices do not count it.
    pub tagged: bool,
    /// How the link layer addressed it.
    pub packet_type: PacketType,
    /// A link flipped bits in it: checksums must be verified, not trusted.
    pub corrupted: bool,
    /// Size of the largest fragment it was reassembled from, to refragment the same way; 0 if it never was.
    pub frag_max: u16,
    /// What its IP options say, since it came into the current namespace.
    pub options: OptionMarks,
}

/// A packet or frame. Exactly one place owns it; it ends in [`Pool::recycle`] by way of a fate.
pub struct Frame(Box<Inner>);

struct Inner {
    buf: Vec<u8>,
    off: usize,
    meta: Meta,
}

impl Frame {
    /// Metadata.
    #[inline]
    pub fn meta(&self) -> &Meta {
        &self.0.meta
    }

    /// Metadata, to change.
    #[inline]
    pub fn meta_mut(&mut self) -> &mut Meta {
        &mut self.0.meta
    }

    /// The frame's number.
    #[inline]
    pub fn id(&self) -> FrameId {
        self.0.meta.id
    }

    /// The bytes from the current header on.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.0.buf[self.0.off..]
    }

    /// The bytes from the current header on, to change.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let off = self.0.off;
        &mut self.0.buf[off..]
    }

    /// Number of bytes from the current header on.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.buf.len() - self.0.off
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Steps over a header of `n` bytes. Panics if the frame is shorter.
    #[inline]
    pub fn pull(&mut self, n: usize) {
        assert!(n <= self.len(), "pulled a header the frame does not have");
        self.0.off += n;
    }

    /// Makes room for a header of `n` bytes in front and returns the whole frame. Grows the buffer when the headroom
    /// is used up, which nested tunnels can do.
    #[inline]
    pub fn push(&mut self, n: usize) -> &mut [u8] {
        let inner = &mut *self.0;
        if inner.off < n {
            let more = n - inner.off + HEADROOM;
            inner.buf.splice(0..0, std::iter::repeat_n(0, more));
            inner.off += more;
        }
        inner.off -= n;
        &mut inner.buf[inner.off..]
    }

    /// Cuts the frame to `n` bytes from the current header on; longer than it is changes nothing.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        let end = self.0.off + n;
        self.0.buf.truncate(end);
    }

    /// Lengthens or shortens the frame at its tail; new bytes are zero.
    pub fn resize(&mut self, n: usize) {
        let end = self.0.off + n;
        self.0.buf.resize(end, 0);
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("meta", &self.0.meta).field("len", &self.len()).finish()
    }
}

/// Makes frames and takes back their buffers, and keeps the ledger of both.
#[derive(Default)]
#[allow(clippy::vec_box, reason = "the boxes are what frames are made of; they move in and out as they are")]
pub struct Pool {
    small: Vec<Box<Inner>>,
    large: Vec<Box<Inner>>,
    fresh: u64,
    /// The books.
    pub ledger: Ledger,
}

impl Pool {
    /// A new zeroed frame of `len` bytes with [`HEADROOM`] in front.
    #[inline]
    pub fn alloc(&mut self, id: FrameId, len: usize) -> Frame {
        let need = HEADROOM + len;
        let mut inner = self.take(need, id);
        inner.buf.resize(need, 0);
        Frame(inner)
    }

    /// A new frame that holds a copy of `bytes`.
    pub fn alloc_from(&mut self, id: FrameId, bytes: &[u8]) -> Frame {
        let mut inner = self.take(HEADROOM + bytes.len(), id);
        inner.buf.resize(HEADROOM, 0);
        inner.buf.extend_from_slice(bytes);
        Frame(inner)
    }

    /// A copy of a frame, metadata included, under a number of its own.
    pub fn copy(&mut self, id: FrameId, frame: &Frame) -> Frame {
        let mut copy = self.alloc_from(id, frame.data());
        *copy.meta_mut() = Meta { id, ..*frame.meta() };
        copy
    }

    fn take(&mut self, need: usize, id: FrameId) -> Box<Inner> {
        self.ledger.create();
        let meta = Meta {
            id,
            src_ns: None,
            dst_ns: None,
            iif: None,
            ct: None,
            mark: 0,
            vlan: None,
            tagged: false,
            packet_type: PacketType::Host,
            corrupted: false,
            frag_max: 0,
            options: OptionMarks::default(),
        };
        let (list, size) = if need <= SMALL { (&mut self.small, SMALL) } else { (&mut self.large, LARGE.max(need)) };
        match list.pop() {
            Some(mut inner) => {
                inner.buf.clear();
                inner.off = HEADROOM;
                inner.meta = meta;
                inner
            }
            None => {
                self.fresh += 1;
                Box::new(Inner { buf: Vec::with_capacity(size), off: HEADROOM, meta })
            }
        }
    }

    /// Takes a buffer back. The caller has entered the frame's fate in the ledger.
    #[inline]
    pub fn recycle(&mut self, frame: Frame) {
        let list = match frame.0.buf.capacity() {
            SMALL => &mut self.small,
            LARGE => &mut self.large,
            _ => return,
        };
        if list.len() < KEEP {
            list.push(frame.0);
        }
    }

    /// How many buffers were ever allocated: constant in steady state.
    pub fn fresh(&self) -> u64 {
        self.fresh
    }
}
