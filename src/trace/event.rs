//! The events a run is made of. Each says what one layer decided about one frame, or how one table changed.

use crate::base::{AppId, DevId, Mac, NsId, Time, Tuple};
use std::net::IpAddr;

use super::DropReason;

/// The number of a frame: the namespace that created it and a counter there, so it is the same for any number of threads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FrameId {
    /// The namespace that created the frame.
    pub ns: NsId,
    /// Counts the frames that namespace created.
    pub seq: u32,
}

/// Which way a frame passes a device, seen from that device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// Received.
    In,
    /// Transmitted, after the egress queue.
    Out,
}

/// Why a frame exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// A socket sent it.
    Socket,
    /// An ICMP reply or error.
    Icmp,
    /// ARP or neighbour discovery.
    Neighbour,
    /// A TCP reset for a port nobody listens on, or from a `reject` rule.
    Reset,
    /// A copy made for one more port of a bridge.
    Flood,
    /// A copy made by a duplicating link.
    Duplicate,
    /// A fragment of a larger packet.
    Fragment,
    /// A datagram put together from fragments.
    Reassembled,
    /// A copy for a local listener beside the one that travels on.
    LocalCopy,
    /// A bridge protocol data unit.
    Bpdu,
    /// Put on the wire by an external harness or a raw app.
    Injected,
}

/// What a route lookup was for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RouteUse {
    /// A packet this namespace sends.
    Output,
    /// A packet passing through.
    Forward,
    /// A packet for this namespace.
    Input,
}

/// The states of a neighbour entry (`NUD_*` in include/uapi/linux/neighbour.h).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NeighState {
    /// No entry.
    None,
    /// Asked, no answer yet.
    Incomplete,
    /// Confirmed recently.
    Reachable,
    /// Known, not confirmed recently.
    Stale,
    /// Used while stale, a probe is due.
    Delay,
    /// Being asked by unicast.
    Probe,
    /// Nobody answered.
    Failed,
    /// Configured by hand.
    Permanent,
    /// A device that needs no resolution.
    NoArp,
}

impl NeighState {
    /// The name `ip neigh` prints.
    pub const fn name(self) -> &'static str {
        match self {
            NeighState::None => "NONE",
            NeighState::Incomplete => "INCOMPLETE",
            NeighState::Reachable => "REACHABLE",
            NeighState::Stale => "STALE",
            NeighState::Delay => "DELAY",
            NeighState::Probe => "PROBE",
            NeighState::Failed => "FAILED",
            NeighState::Permanent => "PERMANENT",
            NeighState::NoArp => "NOARP",
        }
    }
}

/// How a forwarding table of a bridge changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FdbChange {
    /// A station was seen for the first time.
    Learned,
    /// A station was seen on another port than before.
    Moved {
        /// The port it was on.
        from: DevId,
    },
    /// An entry ran out of time, or its port went down.
    Removed,
    /// Two namespaces carry one MAC (namespace-aware bridges only).
    Collision {
        /// The namespace that owned the address first.
        first: NsId,
        /// The namespace that was just seen with it.
        second: NsId,
    },
}

/// What a bridge did with a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Switching {
    /// Sent to the one port behind which the station is known.
    Port(DevId),
    /// Sent to this many ports because the station is unknown or the frame is a broadcast.
    Flood(u32),
    /// Handed up to the namespace that owns the bridge.
    Up,
}

/// The five places where netfilter looks at a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HookPoint {
    /// Before routing.
    Prerouting,
    /// For this namespace.
    Input,
    /// Passing through.
    Forward,
    /// Sent by this namespace.
    Output,
    /// About to leave.
    Postrouting,
}

impl HookPoint {
    /// The name nftables uses.
    pub const fn name(self) -> &'static str {
        match self {
            HookPoint::Prerouting => "prerouting",
            HookPoint::Input => "input",
            HookPoint::Forward => "forward",
            HookPoint::Output => "output",
            HookPoint::Postrouting => "postrouting",
        }
    }
}

/// What became of a conntrack entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConntrackChange {
    /// Confirmed and entered in the table.
    New,
    /// Removed or timed out.
    Destroyed,
}

/// Who took a frame that reached its goal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Delivery {
    /// A socket.
    Socket,
    /// The namespace's ICMP code: an echo request, or an error about something sent from here.
    Icmp,
    /// The neighbour table.
    Neighbour,
    /// The bridge protocol.
    Bridge,
    /// Taken apart into fragments or into the payload of a tunnel; the parts have fates of their own.
    Split,
    /// Put together with others into one datagram that has a fate of its own.
    Joined,
    /// Copied to several ports; the copies have fates of their own.
    Copied,
    /// An external harness at the other end of the wire.
    External,
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event<'a> {
    /// A frame was created.
    Created {
        /// Why.
        origin: Origin,
        /// The frame it is a copy, a part or an answer of.
        parent: Option<FrameId>,
    },
    /// A frame passed a device, link-layer header included (on `lo`: without one).
    Frame {
        /// Which way.
        dir: Direction,
        /// Its bytes at that point.
        bytes: &'a [u8],
    },
    /// A route was chosen.
    Route {
        /// What for.
        purpose: RouteUse,
        /// The destination looked up.
        dst: IpAddr,
        /// The gateway, if the destination is not on the link.
        via: Option<IpAddr>,
        /// The device to leave by.
        out: DevId,
    },
    /// A packet is being forwarded; the TTL has been decremented.
    Forwarded {
        /// The TTL it leaves with.
        ttl: u8,
        /// The device it leaves by.
        out: DevId,
    },
    /// A packet waits for a neighbour to be resolved.
    AwaitNeighbour {
        /// The next hop.
        addr: IpAddr,
    },
    /// A neighbour entry changed.
    Neighbour {
        /// The neighbour.
        addr: IpAddr,
        /// State before.
        from: NeighState,
        /// State after.
        to: NeighState,
        /// Its MAC, once known.
        mac: Option<Mac>,
    },
    /// A bridge's table changed. The record's device is the bridge.
    Fdb {
        /// The station.
        mac: Mac,
        /// Its port.
        port: DevId,
        /// How.
        change: FdbChange,
    },
    /// A bridge decided. The record's device is the bridge.
    Switched {
        /// The destination of the frame.
        dst: Mac,
        /// The decision.
        to: Switching,
    },
    /// An address or port was rewritten.
    Nat {
        /// Where.
        hook: HookPoint,
        /// The packet's tuple before.
        before: Tuple,
        /// The packet's tuple after.
        after: Tuple,
    },
    /// A conntrack entry appeared or went.
    Conntrack {
        /// Which.
        change: ConntrackChange,
        /// Its original tuple.
        original: Tuple,
        /// Its reply tuple.
        reply: Tuple,
    },
    /// An ICMP error was sent about the record's frame.
    IcmpError {
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
        /// To whom.
        to: IpAddr,
    },
    /// The frame reached its goal.
    Delivered(Delivery),
    /// The frame was dropped.
    Dropped(DropReason),
    /// A device or its carrier went up or down.
    Link {
        /// Whether it can carry frames now.
        up: bool,
    },
    /// A line an app printed.
    App {
        /// Which app.
        app: AppId,
        /// The line, without its end.
        line: &'a str,
    },
    /// A TCP socket changed state.
    Tcp {
        /// Local and remote end.
        tuple: Tuple,
        /// The new state's name as in RFC 9293.
        state: &'static str,
    },
    /// The scenario did something: a step began.
    Step {
        /// What, in words.
        text: &'a str,
    },
}

/// An event with its place and time.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When, in virtual nanoseconds.
    pub time: Time,
    /// In which namespace.
    pub ns: NsId,
    /// At which device, if at one.
    pub dev: Option<DevId>,
    /// About which frame, if about one.
    pub frame: Option<FrameId>,
    /// What.
    pub event: Event<'a>,
}
