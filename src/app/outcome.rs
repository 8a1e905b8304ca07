//! What came of an app, for expectations and reports.

use crate::base::{Errno, Time};
use serde::Serialize;
use std::net::IpAddr;

/// One hop of a traceroute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// The TTL probed.
    pub ttl: u8,
    /// Who answered each probe, with the annotation (`!N`, `!H`, `!X` …) if any; `None` for `*`.
    pub probes: Vec<Option<(IpAddr, String)>>,
}

/// One connection a server took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stream {
    /// Who connected.
    pub peer: (IpAddr, u16),
    /// Bytes received.
    pub bytes: u64,
    /// A digest of the bytes received, to compare with [`Outcome::Tcp`]'s `sent_digest`.
    pub digest: u64,
    /// The peer ended the connection in order, and everything that was to be sent back was; for an HTTP server, the
    /// answer was 200.
    pub complete: bool,
}

/// What came of an app so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "app")]
pub enum Outcome {
    /// `ping`
    Ping {
        /// The address pinged.
        to: IpAddr,
        /// Requests sent.
        sent: u32,
        /// Replies received, duplicates excluded.
        received: u32,
        /// Duplicate replies.
        duplicates: u32,
        /// Errors reported by ICMP: who, in words.
        errors: Vec<(IpAddr, String)>,
        /// Round-trip times in nanoseconds, in the order of arrival.
        rtt: Vec<Time>,
        /// TTL of the last reply.
        ttl: Option<u8>,
        /// The local error that ended it, for instance `ENETUNREACH`.
        local_error: Option<Errno>,
    },
    /// `traceroute`
    Traceroute {
        /// The address traced.
        to: IpAddr,
        /// The hops in order.
        hops: Vec<Hop>,
        /// Whether the destination itself answered.
        reached: bool,
    },
    /// A UDP sender.
    UdpSend {
        /// Datagrams handed to the socket.
        sent: u64,
        /// Answers received.
        received: u64,
        /// Bytes received.
        bytes: u64,
        /// Errors seen by the program.
        errors: Vec<Errno>,
    },
    /// A UDP or TCP server.
    Server {
        /// Datagrams or connections taken.
        served: u64,
        /// Bytes received.
        bytes: u64,
        /// The peers seen, in order of first appearance, at most 1024.
        peers: Vec<(IpAddr, u16)>,
        /// The error that kept it from starting.
        error: Option<Errno>,
        /// The start of the last datagram, as text.
        last: Option<String>,
        /// The connections taken, in the order they were accepted, at most 1024.
        streams: Vec<Stream>,
    },
    /// A TCP client.
    Tcp {
        /// Whether the connection was established.
        connected: bool,
        /// Bytes the socket took.
        sent: u64,
        /// A digest of those bytes.
        sent_digest: u64,
        /// Bytes received.
        received: u64,
        /// The error that ended it.
        error: Option<Errno>,
        /// Time from start to end in nanoseconds, once it ended.
        took: Option<Time>,
        /// Everything that was to be transferred was, and the connection was closed in order.
        complete: bool,
        /// A digest of the bytes received; that of an empty stream is not 0.
        digest: u64,
    },
    /// An HTTP client.
    Http {
        /// The status code, once known.
        status: Option<u16>,
        /// Bytes of the body.
        bytes: u64,
        /// The error that ended it.
        error: Option<Errno>,
        /// Time from start to end in nanoseconds, once it ended.
        took: Option<Time>,
    },
    /// An app with nothing to report.
    Other,
}
