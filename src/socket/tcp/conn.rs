//! One connection: the engine's state machine and what Linux keeps beside it.

use super::{
    FIN_TIMEOUT, FrameMaker, INITIAL_RTO, ORPHAN_TIMEOUT, TIME_WAIT, TcpConfig,
    engine::{Path, Setup, TcpConn, TcpEngine, TcpState, Tx},
    rto::{Flight, RTO_MAX, RTO_MIN, Retransmit},
    smol::{SmolConn, SmolEngine},
};
use crate::{
    base::{Errno, MS, Time, US},
    socket::Options,
    wire::{Frame, tcp::Segment},
};
use std::net::SocketAddr;

/// Acknowledgments sent at once at the beginning (`TCP_MAX_QUICKACKS`).
const QUICK_ACKS: u8 = 16;
/// Data sent this soon after data arrived is an answer to it (`TCP_ATO_MIN`).
const ANSWER: Time = 40 * MS;
/// Segments in flight at the beginning (`TCP_INIT_CWND`).
const INITIAL_WINDOW: u32 = 10;
/// The smallest path MTU an engine is given: an MSS of 48 bytes (`TCP_MIN_SND_MSS`).
const MIN_MTU: u32 = 88;

/// A connection attempt: when the next SYN, or SYN-ACK, is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) isn_seed: u64,
    pub(super) sent: u32,
    pub(super) first: Time,
    pub(super) next: Time,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) engine: SmolConn,
    pub(super) path: Path,
    /// The state everybody but the engine sees: an ended connection is closed whatever the engine thinks.
    pub(crate) state: TcpState,
    pub(super) attempt: Option<Attempt>,
    /// The listener it belongs to until it is accepted.
    pub(super) parent: Option<u32>,
    /// Nobody will read or close it any more.
    pub(super) orphan: bool,
    /// The app found the send buffer full and wants to know when there is room.
    pub(super) want_write: bool,
    /// The app reads no more.
    pub(super) read_shut: bool,
    /// On the list of connections to run before the next event.
    pub(super) dirty: bool,
    /// When the wheel will call next; `Time::MAX` if it will not call.
    pub(super) armed: Time,
    /// A soft error to report if the connection is given up (`sk_err_soft`).
    pub(super) soft: Option<Errno>,
    /// When the current state began.
    since: Time,
    /// How long data may go unacknowledged before the connection is given up.
    user_timeout: Time,
    /// Since when something sent waits for an acknowledgment while the peer is silent.
    stalled: Option<Time>,
    snd_una: u32,
    snd_nxt: u32,
    /// Sequence number, acknowledgment, window of the last segment sent.
    pub(super) last: (u32, u32, u16),
    rtx: Retransmit,
    /// When data arrived last.
    heard: Option<Time>,
    /// A FIN is acknowledged at this time, unless our own FIN does it before.
    fin_ack: Option<Time>,
    /// Acknowledgments that do not wait for data to carry them.
    quick_acks: u8,
    /// Linux's congestion window in segments were nothing ever lost, and the segments since the last PSH.
    window: u32,
    train: u32,
}

/// What a run needs to know about the socket around the connection.
pub(super) struct Around<'a> {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) opts: &'a Options,
    pub(super) config: &'a TcpConfig,
    pub(super) held: bool,
    pub(super) ip_id: &'a mut u16,
    pub(super) maker: &'a mut dyn FrameMaker,
    pub(super) frames: &'a mut Vec<Frame>,
}

/// What a run changed.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Why the connection ended, if it ended badly.
    pub(super) error: Option<Errno>,
    /// The connection is over.
    pub(super) ended: bool,
    /// An embryo went back to where it came from.
    pub(super) withdrawn: bool,
    /// Something an app may wait for happened.
    pub(super) news: bool,
    /// A reset was sent.
    pub(super) reset: bool,
    /// Segments sent again, and those of them that were SYN-ACKs.
    pub(super) repeated: (u64, u64),
    /// When to run again.
    pub(super) deadline: Option<Time>,
}

impl Around<'_> {
    fn setup(&self) -> Setup<'_> {
        let TcpConfig { rcvbuf, sndbuf, .. } = *self.config;
        Setup { local: self.local, remote: self.remote, rcvbuf, sndbuf, opts: self.opts }
    }
}

/// A path an engine can use: IPv4 packets end at 65535 bytes, so the MSS on `lo` is 65495 (case lo-own-address).
fn usable(path: Path, ipv4: bool) -> Path {
    let mtu = if ipv4 { path.mtu.clamp(MIN_MTU, 65_535) } else { path.mtu.clamp(1280, 65_536) };
    Path { mtu, ..path }
}

impl Conn {
    /// Whether the current state began so lately that the call that led to it may not have returned yet.
    pub(super) fn is_new(&self, now: Time) -> bool {
        now < self.since + 100 * US
    }

    fn new(engine: SmolConn, path: Path, state: TcpState, now: Time) -> Conn {
        Conn {
            engine,
            path,
            state,
            attempt: None,
            parent: None,
            orphan: false,
            want_write: false,
            read_shut: false,
            dirty: false,
            armed: Time::MAX,
            soft: None,
            since: now,
            stalled: None,
            user_timeout: model_timeout(TcpConfig::default().retries2, RTO_MIN),
            snd_una: 0,
            snd_nxt: 0,
            last: (0, 0, 0),
            rtx: Retransmit::default(),
            heard: None,
            fin_ack: None,
            quick_acks: QUICK_ACKS,
            window: INITIAL_WINDOW,
            train: 0,
        }
    }

    /// A connection attempt; the first run sends the SYN.
    pub(super) fn active(engine: &mut SmolEngine, path: Path, now: Time, isn_seed: u64, setup: &Setup<'_>) -> Conn {
        let path = usable(path, setup.remote.is_ipv4());
        let mut conn = Conn::new(engine.connect(path, setup, isn_seed), path, TcpState::SynSent, now);
        conn.attempt = Some(Attempt { isn_seed, sent: 0, first: now, next: now });
        conn
    }

    /// An embryo of `listener`; the first run is fed the SYN.
    pub(super) fn passive(engine: &mut SmolEngine, path: Path, now: Time, listener: u32, setup: &Setup<'_>) -> Conn {
        let path = usable(path, setup.remote.is_ipv4());
        let mut conn = Conn::new(engine.accept(setup), path, TcpState::Listen, now);
        conn.parent = Some(listener);
        conn.attempt = Some(Attempt { isn_seed: 0, sent: 1, first: now, next: now + INITIAL_RTO });
        conn
    }

    pub(super) fn apply(&mut self, opts: &Options) {
        self.engine.apply(opts);
    }

    /// Whether `seq` lies in what was sent and is not acknowledged.
    pub(super) fn in_flight(&self, seq: u32) -> bool {
        self.state != TcpState::Closed
            && seq.wrapping_sub(self.snd_una) < self.snd_nxt.wrapping_sub(self.snd_una).max(1)
    }

    /// Whether a segment brings data nobody will read.
    pub(super) fn refuses_data(&self, s: &Segment) -> bool {
        self.orphan
            && s.len > 0
            && matches!(self.state, TcpState::FinWait1 | TcpState::FinWait2)
            && (s.seq.wrapping_add(s.len as u32).wrapping_sub(self.last.1) as i32) > 0
    }

    /// Whether its app let go of it.
    pub(crate) fn is_orphan(&self) -> bool {
        self.orphan
    }

    pub(crate) fn unread(&self) -> usize {
        self.engine.unread()
    }

    pub(crate) fn unacked(&self) -> usize {
        self.engine.unacked()
    }

    /// Runs the connection: a packet if there is one, then whatever is due at `now` on `path`.
    pub(super) fn run(
        &mut self,
        engine: &mut SmolEngine,
        now: Time,
        path: Option<Path>,
        packet: Option<(&[u8], Segment)>,
        around: &mut Around<'_>,
    ) -> Ran {
        let mut ran = Ran::default();
        if self.state == TcpState::Closed {
            return ran;
        }
        self.user_timeout = model_timeout(around.config.retries2, RTO_MIN);
        let before_mtu = self.path.mtu;
        self.path = path.map_or(self.path, |p| usable(p, around.remote.is_ipv4()));
        let due = self.due(engine, now, around);
        if let Due::End(error) = due {
            self.state = TcpState::Closed;
            return Ran { error, ended: true, news: true, ..ran };
        }
        let (state0, unread0) = (self.engine.state(), self.engine.unread());
        let (una0, nxt0) = (self.snd_una, self.snd_nxt);
        if let Some((_, s)) = packet {
            self.acknowledge(&s, now);
        }
        let clock = now + self.rtx.lead;
        let mut tx = Tx {
            maker: around.maker,
            frames: around.frames,
            ttl: around.opts.ttl.unwrap_or(around.config.default_ttl),
            tos: around.opts.tos,
            ip_id: around.ip_id,
            clock: (now / MS) as u32,
            snd_nxt: &mut self.snd_nxt,
            last: &mut self.last,
            repeated: 0,
            acks: 0,
            data: false,
            train: (&mut self.train, self.window / 2),
            reset: false,
        };
        if let Some((bytes, segment)) = packet {
            let una = &mut self.snd_una;
            if segment.ack.wrapping_sub(*una) <= tx.snd_nxt.wrapping_sub(*una) {
                *una = segment.ack;
            }
            engine.input(&mut self.engine, self.path, clock, bytes, &mut tx);
        }
        let state1 = self.engine.state();
        // A repeated SYN asks for the SYN-ACK again (tcp_check_req); what was too big for the path is sent again at once
        // (tcp_v4_mtu_reduced, case pmtud-tcp).
        let syn_again = state0 == TcpState::SynReceived && packet.is_some_and(|(_, s)| is_syn(&s));
        let path_shrank = self.path.mtu < before_mtu && self.engine.unacked() > 0;
        let again = matches!(due, Due::Again) && !around.held && self.engine.state() != TcpState::Closed;
        let mut clock = clock;
        if syn_again || path_shrank || again {
            clock = engine.retransmit(&mut self.engine, self.path, clock, &mut tx);
        }
        // Neither SYNs and their answers nor the end of TIME-WAIT follow the engine's own timers.
        let bare_fin = packet.is_some_and(|(_, s)| s.len == 0 && s.flags & crate::wire::tcp::FIN != 0);
        if bare_fin && (state0, state1) == (TcpState::Established, TcpState::CloseWait) {
            self.fin_ack = Some(now + ANSWER);
        } else if packet.is_some() || state1 != TcpState::CloseWait {
            self.fin_ack = None;
        }
        let send = match state1 {
            TcpState::CloseWait if self.fin_ack.is_some_and(|t| now < t) && self.engine.unacked() == 0 => false,
            TcpState::SynSent => matches!(due, Due::Syn) || packet.is_some(),
            TcpState::TimeWait | TcpState::SynReceived => packet.is_some(),
            _ => true,
        };
        if send {
            self.fin_ack = None;
            engine.output(&mut self.engine, self.path, clock, &mut tx);
        }
        self.rtx.lead = clock - now;
        let (repeated, acks, data) = (tx.repeated, tx.acks, tx.data);
        ran.reset = tx.reset;
        let again_synack = (syn_again || again) && state1 == TcpState::SynReceived;
        ran.repeated = match state1 {
            TcpState::SynReceived => (again_synack as u64, again_synack as u64),
            TcpState::SynSent => (matches!(due, Due::Syn) as u64 * self.is_retrying() as u64, 0),
            _ => (repeated, 0),
        };
        if matches!(due, Due::Syn) || state0 == TcpState::Listen {
            self.snd_una = self.snd_nxt.wrapping_sub(1); // the initial sequence number
            self.rtx.measure(self.snd_nxt, now);
        } else if again_synack {
            self.rtx.measure(self.snd_nxt, now);
            if let Some(a) = self.attempt.as_mut().filter(|_| syn_again) {
                a.next = now + (INITIAL_RTO << (a.sent - 1).min(7)); // tcp_check_req restarts the timer
            }
        }
        if data && self.heard.is_some_and(|t| now < t + ANSWER) {
            self.quick_acks = 0; // a dialogue: answers carry acknowledgments (tcp_event_data_sent)
        }
        self.quick_acks = self.quick_acks.saturating_sub(acks);
        self.settle(&mut ran, state0, state1, packet.map(|(_, s)| s), now);
        ran.news |= self.engine.unread() > unread0;
        if self.want_write && self.engine.room() >= self.engine.unacked() / 2 {
            self.want_write = false; // sk_stream_is_writeable: a third is free
            ran.news = true;
        }
        if !matches!(self.state, TcpState::SynSent | TcpState::SynReceived | TcpState::Closed) {
            let mss = self.path.mtu.saturating_sub(52).max(1);
            let flight = Flight { una_before: una0, una: self.snd_una, nxt_before: nxt0, nxt: self.snd_nxt, mss };
            self.window =
                self.window.saturating_add(self.snd_una.wrapping_sub(una0).div_ceil(mss).min(64)).min(1 << 16);
            if repeated > 0 && !again {
                self.rtx.repeated();
            }
            self.rtx.follow(flight, now, repeated > 0);
        }
        if !ran.ended {
            ran.deadline = self.next_deadline(engine, now);
        }
        ran
    }

    /// What has become due by our own clocks.
    fn due(&mut self, engine: &mut SmolEngine, now: Time, around: &Around<'_>) -> Due {
        let timed_out = Due::End(Some(self.soft.unwrap_or(Errno::ETIMEDOUT)));
        let patience = self.patience();
        match (self.state, &mut self.attempt) {
            (TcpState::SynSent, Some(a)) if now >= a.next => {
                let TcpConfig { syn_retries, syn_linear, .. } = *around.config;
                let retried = a.sent.saturating_sub(1);
                // tcp_write_timeout: by number, or by the time so many exponential steps take.
                if a.sent > 0
                    && (retried >= syn_retries + syn_linear
                        || (retried > 0 && now - a.first >= model_timeout(syn_retries, INITIAL_RTO)))
                {
                    return timed_out;
                }
                if a.sent > 0 && !around.held {
                    // The same SYN from a fresh state machine: the handshake's losses leave no trace in its estimators.
                    self.engine = engine.connect(self.path, &around.setup(), a.isn_seed);
                }
                a.sent += 1;
                let doublings = a.sent.saturating_sub(syn_linear + 1).min(7);
                a.next = now + (INITIAL_RTO << doublings).min(RTO_MAX);
                if a.sent > 1 && around.held { Due::Nothing } else { Due::Syn }
            }
            (TcpState::SynReceived, Some(a)) if now >= a.next => {
                if a.sent > around.config.synack_retries {
                    return timed_out;
                }
                a.next = now + (INITIAL_RTO << a.sent.min(7)).min(RTO_MAX);
                a.sent += 1;
                Due::Again
            }
            (TcpState::TimeWait, _) if now >= self.since + TIME_WAIT => Due::End(None),
            (TcpState::FinWait2, _) if self.orphan && now >= self.since + FIN_TIMEOUT => Due::End(None),
            _ if self.stalled.is_some_and(|t| now >= t + patience) => timed_out,
            _ if self.rtx.is_due(now) => Due::Again,
            _ => Due::Nothing,
        }
    }

    fn patience(&self) -> Time {
        if self.orphan { ORPHAN_TIMEOUT } else { self.user_timeout }
    }

    /// Whether the SYN was sent before.
    pub(super) fn is_retrying(&self) -> bool {
        self.attempt.is_some_and(|a| a.sent > 1)
    }

    /// Decides how soon the answer to a segment goes out (`tcp_event_data_recv`, `__tcp_ack_snd_check`, `tcp_fin`): at
    /// once in the beginning, later together with data that answers. A FIN waits for the app to close its end too.
    fn acknowledge(&mut self, s: &Segment, now: Time) {
        let fin = s.flags & crate::wire::tcp::FIN != 0;
        if fin && self.state == TcpState::Established {
            self.quick_acks = 0;
        }
        let closing = matches!(self.state, TcpState::FinWait1 | TcpState::FinWait2) && fin;
        self.engine.delay_acks(self.quick_acks == 0 && !closing);
        if s.len > 0 {
            self.heard = Some(now);
        }
    }

    /// Draws conclusions from what the engine did: which state, which error, whether it is over. The engine does not
    /// report errors; where a connection closed tells which it was.
    fn settle(&mut self, ran: &mut Ran, state0: TcpState, state1: TcpState, segment: Option<Segment>, now: Time) {
        let state2 = self.engine.state();
        let reset = segment.is_some_and(|s| s.flags & crate::wire::tcp::RST != 0);
        if reset && state1 == TcpState::Closed && state0 != TcpState::Closed {
            ran.error = match state0 {
                TcpState::SynSent => Some(Errno::ECONNREFUSED),
                TcpState::CloseWait => Some(Errno::EPIPE),
                TcpState::TimeWait | TcpState::LastAck => None,
                _ => Some(Errno::ECONNRESET),
            };
        }
        // An engine that went back to listening was reset before it was established.
        ran.withdrawn = state2 == TcpState::Listen;
        ran.ended = ran.withdrawn || state2 == TcpState::Closed;
        let state = if ran.ended { TcpState::Closed } else { state2 };
        if state != self.state {
            (self.state, self.since, ran.news) = (state, now, true);
            if !matches!(state, TcpState::SynSent | TcpState::SynReceived) {
                self.attempt = None;
            }
        }
        let waiting =
            self.engine.unacked() > 0 || matches!(state, TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck);
        self.stalled = match (waiting, segment) {
            (false, _) => None,
            (true, Some(_)) => Some(now),
            (true, None) => self.stalled.or(Some(now)),
        };
    }

    fn next_deadline(&self, engine: &mut SmolEngine, now: Time) -> Option<Time> {
        let ours = match self.state {
            TcpState::SynSent => return self.attempt.map(|a| a.next),
            TcpState::TimeWait => return Some(self.since + TIME_WAIT),
            TcpState::SynReceived => return self.attempt.map(|a| a.next),
            TcpState::FinWait2 if self.orphan => Some(self.since + FIN_TIMEOUT),
            _ => self.stalled.map(|t| t + self.patience()),
        };
        let lead = self.rtx.lead;
        let engine = engine.deadline(&self.engine, self.path, now + lead).map(|at| at - lead);
        // The engine would acknowledge a FIN at once.
        let engine = if self.fin_ack.is_some() { self.fin_ack } else { engine };
        [ours, engine, self.rtx.deadline()].into_iter().flatten().min()
    }

    /// The app let go of the connection at `now`: what remains to be done is nobody's.
    pub(super) fn let_go(&mut self, now: Time) {
        self.orphan = true;
        if self.state == TcpState::FinWait2 {
            self.since = now; // tcp_fin_timeout counts from the close
        }
    }
}

/// What is due by our own clocks.
enum Due {
    Nothing,
    /// A SYN is to be sent.
    Syn,
    /// What is unacknowledged is to be sent again.
    Again,
    /// The connection is over.
    End(Option<Errno>),
}

/// How long `retries` exponential steps take (`tcp_model_timeout`).
fn model_timeout(retries: u32, first: Time) -> Time {
    let doubling = (RTO_MAX / first).ilog2();
    let steps = (2 << retries.min(doubling)) - 1;
    steps * first + retries.saturating_sub(doubling) as Time * RTO_MAX
}

fn is_syn(s: &Segment) -> bool {
    use crate::wire::tcp::{ACK, RST, SYN};
    s.flags & (SYN | ACK | RST) == SYN
}
