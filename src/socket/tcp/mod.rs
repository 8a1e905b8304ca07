//! TCP (RFC 9293): connections, listeners, accept queues and errors are ours; the state machine of one connection is an
//! engine's, behind the `TcpEngine` trait.
//!
//! ```text
//!  segment → flow table ─┬─ connection ── step ─► engine ─► segments, one deadline, what changed
//!                        ├─ time-wait  ── a few numbers that answer by themselves
//!                        └─ listener   ── SYN: a new connection (embryo) → accept queue
//! ```
//!
//! Every connection is run by itself and only for a cause: a segment, its own deadline, a call of its app, or a change of
//! its path. Linux's rules about what an app sees are applied around the engine:
//!
//! * a reset in SYN-SENT is `ECONNREFUSED`, in CLOSE-WAIT `EPIPE`, else `ECONNRESET` (`tcp_reset`);
//! * SYNs go out at 0, 1, 2, 3, 4, 5, 7, 11, 19 … s (`tcp_syn_linear_timeouts` = 4), and nothing is sent when
//!   `connect` gives up with `ETIMEDOUT`;
//! * what is not acknowledged goes out again after the round trip and 200 ms, and then ever later (see `rto`);
//! * the first acknowledgments go out at once, later ones with the data that answers; that of a FIN with our own;
//! * an ICMP error ends a connection attempt at once, and is remembered for later in any other state;
//! * a full accept queue ignores SYNs and the last ACK of the handshake (`tcp_conn_request`, `tcp_v4_syn_recv_sock`);
//! * TIME-WAIT lasts 60 s, an orphaned FIN-WAIT-2 as well; data for an orphan, or closing with unread data, resets.

mod calls;
mod close;
mod conn;
mod device;
mod engine;
mod input;
mod listen;
mod rto;
mod smol;
mod step;
mod timewait;

pub use engine::{Path, TcpState};
pub use input::{SegmentOutcome, Target};

use super::Options;
use crate::{
    base::{DevId, MS, SEC, SockId, Time, Tuple, proto},
    wire::Frame,
};
use conn::Conn;
use listen::Listener;
use std::{collections::VecDeque, net::SocketAddr};
use timewait::TimeWait;

/// The first retransmission timeout, and the step of the linear SYN retransmissions (RFC 6298 §2.1).
const INITIAL_RTO: Time = SEC;
/// How long TIME-WAIT lasts (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Time = 60 * SEC;
/// How long an orphan stays in FIN-WAIT-2 (`net.ipv4.tcp_fin_timeout`).
const FIN_TIMEOUT: Time = 60 * SEC;
/// The same for an orphan (`tcp_orphan_retries` = 8).
const ORPHAN_TIMEOUT: Time = 102_200 * MS;
/// Embryos of one listener; more SYNs are ignored. Linux would answer with cookies instead.
const MAX_EMBRYOS: usize = 1024;

/// Sizes and limits taken from the namespace's sysctls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// Receive buffer in bytes (`net.ipv4.tcp_rmem`).
    pub rcvbuf: usize,
    /// Send buffer in bytes (`net.ipv4.tcp_wmem`).
    pub sndbuf: usize,
    /// Retransmissions of a SYN beside the linear ones (`net.ipv4.tcp_syn_retries`).
    pub syn_retries: u32,
    /// Retransmissions of a SYN in steps of a second before the step doubles (`net.ipv4.tcp_syn_linear_timeouts`).
    pub syn_linear: u32,
    /// Retransmissions of a SYN-ACK (`net.ipv4.tcp_synack_retries`).
    pub synack_retries: u32,
    /// Retransmissions of data, as the time they take (`net.ipv4.tcp_retries2`).
    pub retries2: u32,
    /// TTL or hop limit unless the socket sets one (`net.ipv4.ip_default_ttl`).
    pub default_ttl: u8,
}

impl Default for TcpConfig {
    fn default() -> Self {
        TcpConfig {
            rcvbuf: 65_536,
            sndbuf: 65_536,
            syn_retries: 6,
            syn_linear: 4,
            synack_retries: 5,
            retries2: 15,
            default_ttl: 64,
        }
    }
}

/// Makes frames for outgoing segments, so that their creation is recorded where frames are numbered.
pub trait FrameMaker {
    /// A zeroed frame of `len` bytes.
    fn frame(&mut self, len: usize) -> Frame;
}

impl<F: FnMut(usize) -> Frame> FrameMaker for F {
    fn frame(&mut self, len: usize) -> Frame {
        self(len)
    }
}

/// A segment to be sent: a whole IP packet, and what its route depends on.
#[derive(Debug)]
pub struct OutSegment {
    /// The packet.
    pub frame: Frame,
    /// Its tuple.
    pub tuple: Tuple,
    /// The device the socket is bound to.
    pub oif: Option<DevId>,
    /// The socket's firewall mark.
    pub mark: u32,
    /// The socket's TOS.
    pub tos: u8,
}

/// A connection changed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Local end as source, remote end as destination.
    pub tuple: Tuple,
    /// The new state.
    pub state: TcpState,
}

/// What running connections produced: the caller drains it after each call.
#[derive(Default, Debug)]
pub struct TcpOut {
    /// Segments in the order they are to be sent.
    pub segments: Vec<OutSegment>,
    /// State changes, for the trace.
    pub transitions: Vec<Transition>,
    /// Deadlines to put on the wheel; each is earlier than the one armed before for that socket.
    pub timers: Vec<(SockId, Time)>,
    /// What the namespace's counters have to count.
    pub stats: TcpStats,
}

/// Events the kernel counts in `/proc/net/snmp`, since the caller last took them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpStats {
    /// `connect` calls that sent a SYN.
    pub active_opens: u64,
    /// Embryos made.
    pub passive_opens: u64,
    /// Attempts that failed, on either side.
    pub attempt_fails: u64,
    /// Established connections that were reset.
    pub estab_resets: u64,
    /// Resets sent by connections.
    pub out_resets: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Those of them that do not count as sent: all but SYN-ACKs (`tcp_make_synack`, `__tcp_transmit_skb`).
    pub unsent: u64,
}

/// What all connections of a namespace share.
pub(crate) struct TcpShared {
    engine: smol::SmolEngine,
    pub(crate) config: TcpConfig,
    pub(crate) out: TcpOut,
    /// Connections to run before the next event.
    dirty: VecDeque<u32>,
    /// What was sent last to this destination still waits in this host, for its neighbour: it is not sent again
    /// (`skb_still_in_host_queue`).
    pub(crate) held: bool,
    /// How often a connection was run.
    pub(crate) steps: u64,
    /// A buffer for the frames of one run.
    spare: Vec<Frame>,
}

impl TcpShared {
    pub(crate) fn new(seed: u64) -> TcpShared {
        TcpShared {
            engine: smol::SmolEngine::new(seed),
            config: TcpConfig::default(),
            out: TcpOut::default(),
            dirty: VecDeque::new(),
            held: false,
            steps: 0,
            spare: Vec::new(),
        }
    }
}

/// The TCP part of a socket.
#[derive(Debug)]
pub(crate) enum Tcp {
    /// Not connected, not listening; also every socket that does not speak TCP.
    Idle,
    /// Waits for connections.
    Listen(Listener),
    /// A connection, or what is left of one that has been closed.
    Conn(Box<Conn>),
    /// Orphaned and in TIME-WAIT.
    TimeWait(TimeWait),
}

impl Tcp {
    /// The state `/proc/net/tcp` shows.
    pub(crate) fn state(&self) -> TcpState {
        match self {
            Tcp::Idle => TcpState::Closed,
            Tcp::Listen(_) => TcpState::Listen,
            Tcp::Conn(c) => c.state,
            Tcp::TimeWait(_) => TcpState::TimeWait,
        }
    }

    pub(crate) fn conn(&self) -> Option<&Conn> {
        match self {
            Tcp::Conn(c) => Some(c),
            _ => None,
        }
    }

    fn conn_mut(&mut self) -> Option<&mut Conn> {
        match self {
            Tcp::Conn(c) => Some(c),
            _ => None,
        }
    }

    fn listener_mut(&mut self) -> Option<&mut Listener> {
        match self {
            Tcp::Listen(l) => Some(l),
            _ => None,
        }
    }

    /// Whether `seq` lies in what was sent and is not acknowledged.
    pub(crate) fn in_flight(&self, seq: u32) -> bool {
        self.conn().is_some_and(|c| c.in_flight(seq))
    }

    /// Passes changed options on to the engine.
    pub(crate) fn apply(&mut self, opts: &Options) {
        if let Tcp::Conn(c) = self {
            c.apply(opts);
        }
    }
}

/// The tuple of what a connection sends.
pub(super) fn tuple(local: SocketAddr, remote: SocketAddr) -> Tuple {
    Tuple { src: local.ip(), dst: remote.ip(), sport: local.port(), dport: remote.port(), proto: proto::TCP }
}

#[cfg(test)]
mod tests;
