//! Cables and what they do to frames.

use crate::scenario::{
    BitRate, Duration, End, Ends, Share, Spanned,
    node::{Node, Shape},
    read::{Read, Reader, record},
};

/// A cable between two devices, each of which comes into being with it: a veth pair. The short form is a text,
/// `"a:eth0 -- host:va"`; the long form a group, `(ends: "a:eth0 -- host:va", delay: "10ms")`.
#[derive(Clone, PartialEq, Debug)]
pub struct Link(pub LinkSettings);

impl std::ops::Deref for Link {
    type Target = LinkSettings;

    fn deref(&self) -> &LinkSettings {
        &self.0
    }
}

impl Read for Link {
    fn expected() -> String {
        "a link such as \"a:eth0 -- host:va\", or `(ends: \"a:eth0 -- host:va\", ...)`".into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Link> {
        match &node.shape {
            Shape::Text { .. } => Spanned::<Ends>::read(node, reader).map(|ends| Link(LinkSettings::plain(ends))),
            Shape::Record(..) => LinkSettings::read(node, reader).map(Link),
            _ => reader.wrong(node, &Self::expected()),
        }
    }

    fn write(&self) -> Node {
        if self.0 == LinkSettings::plain(self.0.ends.clone()) { self.0.ends.write() } else { self.0.write() }
    }
}

record! {
    /// A cable in its long form. The impairments hold in both directions; `forward` (from the
    /// end written first) and `backward` change single values for one direction. They are netem's: they act on what
    /// leaves a device, ARP included, and a capture on the sending device sees frames after them.
    pub struct LinkSettings is "a link" {
        /// The two ends.
        ends: Spanned<Ends>,
        /// Whether the cable is plugged in at the start.
        up: bool = true,
        /// The MTU of both devices in bytes; a device's own `mtu` takes precedence. Default 1500.
        mtu: Option<Spanned<u32>> [68..=65_535] = None,
        /// Time a frame takes.
        delay: Option<Spanned<Duration>> = None,
        /// The delay varies by as much in both directions, uniformly. Frames may overtake each other, unless a rate is set.
        jitter: Option<Spanned<Duration>> = None,
        /// Bits per second, link-layer header included.
        rate: Option<Spanned<BitRate>> [1..=1_000_000_000_000] = None,
        /// Share of the frames that is lost.
        loss: Option<Spanned<Share>> = None,
        /// Share of the frames that arrives twice.
        duplicate: Option<Spanned<Share>> = None,
        /// Share of the frames that skips the delay and so overtakes others. Needs a delay.
        reorder: Option<Spanned<Share>> = None,
        /// Share of the frames in which one bit is flipped.
        corrupt: Option<Spanned<Share>> = None,
        /// Frames that may wait in the queue of the sending device. Default 1000.
        queue: Option<Spanned<u32>> [1..=1_000_000] = None,
        /// What is different on the way from the first end to the second.
        forward: Option<Impairment> = None,
        /// What is different on the way from the second end to the first.
        backward: Option<Impairment> = None,
    }
}

record! {
    /// What happens to the frames one device sends.
    pub struct Impairment is "an impairment" {
        /// Time a frame takes.
        delay: Option<Spanned<Duration>> = None,
        /// The delay varies by as much in both directions, uniformly.
        jitter: Option<Spanned<Duration>> = None,
        /// Bits per second, link-layer header included.
        rate: Option<Spanned<BitRate>> [1..=1_000_000_000_000] = None,
        /// Share of the frames that is lost.
        loss: Option<Spanned<Share>> = None,
        /// Share of the frames that arrives twice.
        duplicate: Option<Spanned<Share>> = None,
        /// Share of the frames that skips the delay. Needs a delay.
        reorder: Option<Spanned<Share>> = None,
        /// Share of the frames in which one bit is flipped.
        corrupt: Option<Spanned<Share>> = None,
        /// Frames that may wait in the queue. Default 1000.
        queue: Option<Spanned<u32>> [1..=1_000_000] = None,
    }
}

impl Impairment {
    /// A perfect wire.
    pub const NONE: Impairment = Impairment {
        delay: None,
        jitter: None,
        rate: None,
        loss: None,
        duplicate: None,
        reorder: None,
        corrupt: None,
        queue: None,
    };

    /// Whether nothing is impaired.
    pub fn is_none(&self) -> bool {
        *self == Impairment::NONE
    }

    /// These values, and the common ones where there is none.
    fn over(&self, common: &Impairment) -> Impairment {
        Impairment {
            delay: self.delay.or(common.delay),
            jitter: self.jitter.or(common.jitter),
            rate: self.rate.or(common.rate),
            loss: self.loss.or(common.loss),
            duplicate: self.duplicate.or(common.duplicate),
            reorder: self.reorder.or(common.reorder),
            corrupt: self.corrupt.or(common.corrupt),
            queue: self.queue.or(common.queue),
        }
    }
}

impl LinkSettings {
    /// The end written first.
    pub fn a(&self) -> &Spanned<End> {
        &self.ends.value.a
    }

    /// The end written second.
    pub fn b(&self) -> &Spanned<End> {
        &self.ends.value.b
    }

    /// What holds in both directions.
    pub fn common(&self) -> Impairment {
        Impairment {
            delay: self.delay,
            jitter: self.jitter,
            rate: self.rate,
            loss: self.loss,
            duplicate: self.duplicate,
            reorder: self.reorder,
            corrupt: self.corrupt,
            queue: self.queue,
        }
    }

    /// What happens to the frames the first end sends.
    pub fn forward_impairment(&self) -> Impairment {
        self.forward.as_ref().map_or(self.common(), |own| own.over(&self.common()))
    }

    /// What happens to the frames the second end sends.
    pub fn backward_impairment(&self) -> Impairment {
        self.backward.as_ref().map_or(self.common(), |own| own.over(&self.common()))
    }

    /// A cable without impairments.
    pub fn plain(ends: Spanned<Ends>) -> LinkSettings {
        LinkSettings {
            ends,
            up: true,
            mtu: None,
            delay: None,
            jitter: None,
            rate: None,
            loss: None,
            duplicate: None,
            reorder: None,
            corrupt: None,
            queue: None,
            forward: None,
            backward: None,
        }
    }
}
