//! What must have come true when a run has ended.

use crate::{
    base::Prefix,
    scenario::{
        Duration, Hop, Service, Size, Spanned, Target, Url,
        node::{Node, Shape},
        read::{Read, Reader, choice, record},
    },
};

choice! {
    /// What must have come true. Each is judged when the run has ended. `Reach`, `NoReach` and `Hops` take the result of
    /// the last step that tried the same, unless the world was reconfigured since; without one they send a probe.
    pub enum Expect is "an expectation" {
        /// A probe gets through and its answer comes back.
        Reach(Probe),
        /// A probe gets no answer.
        NoReach(Probe),
        /// A packet arrived in a namespace from this source address.
        SeenAs(Seen),
        /// No packet arrived in a namespace from this source address.
        NeverSeen(Seen),
        /// The last traceroute between two places showed these routers.
        Hops(HopList),
        /// The last ping between two places had this result.
        Pinged(PingResult),
        /// Frames were dropped for a reason.
        Dropped(Dropped),
        /// Packets from one namespace reached another.
        Delivered(Delivered),
        /// Frames whose sender had resolved one namespace came in at another.
        Misdelivered(Misdelivered),
        /// A connection is in the tracking table at the end.
        Conntrack(Conntrack),
        /// A file of `/proc` has a line at the end.
        Proc(ProcFile),
        /// The last HTTP get of a page had this result.
        Http(HttpAnswer),
        /// The last TCP connection attempt or transfer between two places had this result.
        Tcp(TcpOutcome),
        /// A TCP server received bytes, in order and unharmed.
        TcpReceived(TcpReceived),
        /// A UDP server received datagrams.
        UdpReceived(UdpReceived),
        /// A program of a namespace printed something.
        Prints(Prints),
        /// How the run ended.
        Ended(Finish),
    }
}

record! {
    /// A probe from one place to another: an echo request, or with `tcp` the attempt to connect, or with `udp` a datagram
    /// that must be answered. An answer must come within 5 s. A step that tried the same (`Ping`, `TcpConnect`,
    /// `UdpSend`) counts instead if no `Exec`, `Plug`, `Unplug` or `Impair` came after it; otherwise the probe is sent
    /// after everything else has ended.
    pub struct Probe is "a probe" {
        /// The namespace that sends.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Target>,
        /// Connect to this TCP port.
        tcp: Option<Spanned<u16>> [1..=65_535] = None,
        /// Send a datagram to this UDP port.
        udp: Option<Spanned<u16>> [1..=65_535] = None,
        /// Send the probe at this time instead, while the scenario runs.
        when: Option<Spanned<Duration>> = None,
    }
}

record! {
    /// A source address as seen in a namespace, at the device a packet came in by.
    pub struct Seen is "an observation" {
        /// The namespace that looks.
        at: Spanned<String>,
        /// The source: an address or a network.
        src: Spanned<Prefix>,
    }
}

record! {
    /// The routers a traceroute shows, first to last, the target not included: that of the last such step if nothing was
    /// reconfigured since, otherwise one that is run after everything else has ended.
    pub struct HopList is "a list of hops" {
        /// The namespace that sent.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Target>,
        /// The routers; `"*"` for one that did not answer.
        via: Vec<Spanned<Hop>>,
    }
}

record! {
    /// The statistics of a ping.
    pub struct PingResult is "a ping result" {
        /// The namespace that sent.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Target>,
        /// Replies, duplicates not counted.
        received: Count,
        /// Duplicated replies.
        duplicates: Option<Count> = None,
        /// Errors reported.
        errors: Option<Count> = None,
    }
}

record! {
    /// Frames that were dropped.
    pub struct Dropped is "a drop" {
        /// The stable code of the reason, such as `NO_SOCKET`.
        reason: Spanned<String>,
        /// Only in this namespace.
        at: Option<Spanned<String>> = None,
        /// How many.
        count: Count = Count::AT_LEAST_ONE,
    }
}

record! {
    /// Packets that reached a socket or the ICMP code of a namespace.
    pub struct Delivered is "a delivery" {
        /// The namespace that created them.
        from: Spanned<String>,
        /// The namespace they reached.
        to: Spanned<String>,
        /// How many.
        count: Count = Count::AT_LEAST_ONE,
    }
}

record! {
    /// Unicast frames that came in at a namespace their sender did not mean.
    pub struct Misdelivered is "a wrong delivery" {
        /// The namespace they came in at.
        at: Spanned<String>,
        /// The namespace the sender had resolved. Default: any other.
        meant: Option<Spanned<String>> = None,
        /// How many.
        count: Count = Count::AT_LEAST_ONE,
    }
}

record! {
    /// Lines of the connection tracking table at the end of the run.
    pub struct Conntrack is "a conntrack entry" {
        /// The namespace.
        ns as "in": Spanned<String>,
        /// Words that appear in the line in this order: `"icmp src=10.0.0.2 dst=198.51.100.20 dst=203.0.113.2"`.
        has: Spanned<String>,
        /// How many lines.
        count: Count = Count::AT_LEAST_ONE,
    }
}

record! {
    /// Lines of a file of `/proc` at the end of the run.
    pub struct ProcFile is "a /proc file" {
        /// The namespace.
        ns as "in": Spanned<String>,
        /// The file.
        path: Spanned<String>,
        /// Words that appear in the line in this order.
        has: Spanned<String>,
        /// How many lines.
        count: Count = Count::AT_LEAST_ONE,
    }
}

record! {
    /// The result of an `HttpGet` step.
    pub struct HttpAnswer is "an HTTP answer" {
        /// The namespace of the client.
        from: Spanned<String>,
        /// The page.
        url: Spanned<Url>,
        /// The status code. 0: there was no answer.
        status: Spanned<u16> [0..=599] = 200.into(),
        /// The length of the page.
        size: Option<Spanned<Size>> = None,
    }
}

record! {
    /// The result of a `TcpConnect` or `TcpBulk` step.
    pub struct TcpOutcome is "a TCP result" {
        /// The namespace of the client.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Service>,
        /// The error the client saw, such as `ECONNREFUSED`. Default: none, the connection was established.
        error: Option<Spanned<String>> = None,
    }
}

record! {
    /// What a TCP server of a namespace received, all connections together.
    pub struct TcpReceived is "a TCP delivery" {
        /// The namespace.
        at: Spanned<String>,
        /// The server's port.
        port: Spanned<u16> [1..=65_535],
        /// How much, exactly.
        size: Spanned<Size>,
    }
}

record! {
    /// What a UDP server of a namespace received.
    pub struct UdpReceived is "a UDP delivery" {
        /// The namespace.
        at: Spanned<String>,
        /// The server's port.
        port: Spanned<u16> [1..=65_535],
        /// How many datagrams.
        count: Count = Count::AT_LEAST_ONE,
    }
}

record! {
    /// Lines printed by the programs of a namespace.
    pub struct Prints is "a printed line" {
        /// The namespace.
        ns as "in": Spanned<String>,
        /// A part of the line.
        has: Spanned<String>,
        /// How many lines.
        count: Count = Count::AT_LEAST_ONE,
    }
}

choice! {
    /// How a run ends.
    pub enum Finish is "an end" {
        /// Nothing more could happen.
        Quiescent,
        /// The time given by `until` was reached.
        Until,
        /// A limit was reached.
        Limit(LimitKind),
    }
}

choice! {
    /// Which limit ended a run.
    pub enum LimitKind is "a limit" {
        /// `limits.events`
        Events,
        /// `limits.frames`
        Frames,
        /// `limits.time`
        Time,
    }
}

/// How many: a number, `3`, or a range, `"1..10"`, `"1.."`, `"..10"` (both ends belong to it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Count {
    /// One or more.
    pub const AT_LEAST_ONE: Count = Count { min: 1, max: u64::MAX };

    /// Whether the number is one of those meant.
    pub const fn contains(self, n: u64) -> bool {
        self.min <= n && n <= self.max
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.min, self.max) {
            (min, max) if min == max => write!(f, "{min}"),
            (0, max) if max != u64::MAX => write!(f, "..{max}"),
            (min, u64::MAX) => write!(f, "{min}.."),
            (min, max) => write!(f, "{min}..{max}"),
        }
    }
}

const COUNT: &str = "a number such as 3, or a range such as \"1..\" or \"10..20\"";

impl Read for Count {
    fn expected() -> String {
        COUNT.into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Count> {
        let exactly = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
        let count = match &node.shape {
            Shape::Number(text) => exactly(text).map(|n| Count { min: n, max: n }),
            Shape::Text { text, .. } => text.split_once("..").and_then(|(low, high)| {
                let end = |text: &str, open: u64| if text.trim().is_empty() { Some(open) } else { exactly(text) };
                Some(Count { min: end(low, 0)?, max: end(high, u64::MAX)? })
            }),
            _ => None,
        };
        match count {
            Some(count) if count.min <= count.max => Some(count),
            _ => reader.wrong(node, COUNT),
        }
    }

    fn write(&self) -> Node {
        match self.min == self.max {
            true => Node::unwritten(Shape::Number(self.min.to_string())),
            false => Node::text(self.to_string()),
        }
    }
}
