//! The TCP tracker: the state a middle box guesses from the segments that pass (nf_conntrack_proto_tcp.c, Linux 6.18).
//!
//! Segments outside the sequence windows are INVALID unless `nf_conntrack_tcp_be_liberal` is set; see `tcp_window`.

use super::{
    Tunables,
    tcp_state::{Kind, Next, TcpState, kind, next},
    tcp_window::{InWindow, Peer, judge, syn_options},
};
use crate::wire::tcp::{ACK, FIN, RST, SYN, Segment};

/// The tracker's memory of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp {
    pub state: TcpState,
    peers: [Peer; 2],
    last_kind: Kind,
    last_reply: bool,
    retrans: u8,
    last_seq: u32,
    last_ack: u32,
    last_end: u32,
    last_win: u16,
    /// Window scale and SACK-permitted of a SYN that was ignored.
    last_scale: Option<u8>,
    last_sack: bool,
    /// Both sides sent a SYN.
    simultaneous: bool,
    /// A SYN was ignored while the last FIN was under way: the answer may be a challenge ACK (RFC 5961 §4).
    challenge: bool,
}

/// What the tracker says of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Part of the connection; refresh to this many seconds.
    Refresh(u32),
    /// Let it pass, change no timeout.
    Keep,
    /// INVALID: forget that it had an entry.
    Invalid,
    /// INVALID, and the entry lives no longer than this many seconds.
    Shorten(u32),
    /// Part of the connection, which ends with it at once.
    Kill,
    /// A new connection with the addresses and ports of a finished one: remove that and look again.
    Reopen,
}

/// What the entry around the tracker knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub reply: bool,
    pub assured: bool,
}

fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// Whether the flags of a segment make sense together (`tcp_valid_flags`; PSH, ECE, CWR and URG do not matter).
pub(crate) fn flags_ok(flags: u8) -> bool {
    const URG: u8 = 0x20;
    match flags & (FIN | SYN | RST | ACK) {
        ACK => true,
        f if f == SYN || f == FIN | ACK => true,
        f => (f == SYN | ACK || f == RST || f == RST | ACK) && flags & URG == 0,
    }
}

impl Tcp {
    /// A connection whose first segment, in the original direction, is `seg` (`tcp_new`). `None` if a connection cannot
    /// begin like that.
    pub fn new(seg: &Segment, options: &[u8], t: &Tunables) -> Option<Tcp> {
        let Next::To(state) = next(kind(seg.flags), false, TcpState::None) else { return None };
        if state != TcpState::SynSent && t.tcp_loose == 0 {
            return None;
        }
        let first = Peer::opening(seg, options);
        let other = Peer { sack: first.liberal, liberal: first.liberal, ..Peer::default() };
        Some(Tcp {
            state: TcpState::None,
            peers: [first, other],
            last_kind: Kind::Bare,
            last_reply: false,
            retrans: 0,
            last_seq: 0,
            last_ack: 0,
            last_end: 0,
            last_win: 0,
            last_scale: None,
            last_sack: false,
            simultaneous: false,
            challenge: false,
        })
    }

    /// The sequence number behind the client's SYN, to compare an old connection with a new one.
    pub fn original_end(&self) -> u32 {
        self.peers[0].end
    }

    /// Follows one more segment (`nf_conntrack_tcp_packet`). `seen.reply` tells of replies before this segment; ASSURED
    /// is set through `seen.assured`.
    pub fn packet(&mut self, seg: &Segment, options: &[u8], reply: bool, seen: &mut Seen, t: &Tunables) -> Outcome {
        let kind = kind(seg.flags);
        let dir = reply as usize;
        let mut old = self.state;
        let mut new = match next(kind, reply, old) {
            Next::Invalid => return Outcome::Invalid,
            // RFC 9293 §3.6.1: reopening after an orderly close, or after a reset by the side that opens again.
            Next::To(TcpState::SynSent)
                if old >= TcpState::TimeWait
                    && (self.peers.iter().any(|p| p.close_init)
                        || (self.last_reply == reply && self.last_kind == Kind::Rst)) =>
            {
                return Outcome::Reopen;
            }
            Next::To(TcpState::SynSent) if old >= TcpState::TimeWait => None,
            Next::Ignore => None,
            Next::To(state) => Some(state),
        };
        if new.is_none() {
            // The peers are in step and the tracker is not: a SYN it ignored is answered now, so it follows them.
            if kind == Kind::SynAck
                && self.last_kind == Kind::Syn
                && self.last_reply != reply
                && seg.ack == self.last_end
            {
                old = TcpState::SynSent;
                new = Some(TcpState::SynRecv);
                self.peers[self.last_reply as usize] =
                    Peer::from_ignored(self.last_end, self.last_win, self.last_scale, self.last_sack);
                self.peers[dir] = Peer::default();
                self.challenge = false;
            } else {
                self.note(seg, options, kind, reply);
                return Outcome::Keep;
            }
        }
        let mut new = new.expect("set in both branches above");
        match new {
            TcpState::TimeWait
                if old == TcpState::LastAck
                    && kind == Kind::Ack
                    && self.challenge
                    && self.last_reply != reply
                    && self.last_kind == Kind::Syn =>
            {
                self.challenge = false;
                return Outcome::Keep;
            }
            TcpState::SynSent2 => self.simultaneous = true,
            TcpState::SynRecv if reply && kind == Kind::Ack && self.simultaneous => new = TcpState::Established,
            _ => {}
        }
        let mut unseen = false;
        if kind == Kind::Rst {
            match self.check_reset(seg, reply, seen, old, t) {
                Some((state, late)) => (new, unseen) = (state, late),
                None => return Outcome::Invalid,
            }
        }
        if !unseen {
            match judge(&mut self.peers, self.state, seg, options, reply, t) {
                InWindow::Yes => self.count(seg, kind, reply),
                InWindow::Old => return Outcome::Keep,
                InWindow::No => return self.invalid(kind, reply, seen, t),
            }
        }
        self.last_kind = kind;
        self.last_reply = reply;
        self.state = new;
        if new != old && new == TcpState::FinWait {
            self.peers[dir].close_init = true;
        }
        let mut timeout = self.timeout(kind, t);
        if !seen.reply {
            if kind == Kind::Rst {
                return Outcome::Kill; // the only answer is a reset: refused (case ct-tcp-states)
            }
            if kind == Kind::Syn && old == TcpState::SynSent {
                return Outcome::Keep; // a retransmitted SYN must not keep a dead mapping alive
            }
            if new == TcpState::Established {
                timeout = timeout.min(t.tcp_timeout_unacknowledged); // picked up, nobody answered yet
            }
        } else if matches!(old, TcpState::SynRecv | TcpState::Established) && new == TcpState::Established {
            seen.assured = true;
        }
        Outcome::Refresh(timeout)
    }

    /// The state after a reset and whether it needs no look at the windows, or `None` if it is forged or late (the
    /// `TCP_CONNTRACK_CLOSE` case).
    fn check_reset(
        &self,
        seg: &Segment,
        reply: bool,
        seen: &Seen,
        old: TcpState,
        t: &Tunables,
    ) -> Option<(TcpState, bool)> {
        let other = &self.peers[!reply as usize];
        let open = old == TcpState::Established && seen.assured;
        if matches!(
            old,
            TcpState::FinWait | TcpState::CloseWait | TcpState::LastAck | TcpState::TimeWait | TcpState::Close
        ) {
            return Some((TcpState::Close, true));
        }
        let mut state = TcpState::Close;
        if other.max_ack_set && self.last_kind != Kind::Syn {
            if seg.seq == 0 && !open {
                return Some((state, false));
            }
            if before(seg.seq, other.max_ack) && t.tcp_ignore_invalid_rst == 0 {
                return None;
            }
            let in_train = self.last_kind == Kind::Ack && self.last_reply == reply && seg.seq == self.last_end;
            if !open || seg.seq == other.max_ack || in_train {
                return Some((state, false));
            }
            // RFC 5961 §3.2: the receiver will answer with a challenge ACK, so the connection may live on.
            state = old;
        }
        // The answer to a SYN or an ACK that was let through unseen.
        let doubted = (seen.reply && self.last_kind == Kind::Syn) || (!seen.assured && self.last_kind == Kind::Ack);
        Some((state, doubted && seg.ack == self.last_end))
    }

    /// A segment outside the windows (`nf_tcp_handle_invalid`): if both sides try to end a connection and cannot, it
    /// need not be remembered for days.
    fn invalid(&mut self, kind: Kind, reply: bool, seen: &Seen, t: &Tunables) -> Outcome {
        if !seen.assured || !matches!(kind, Kind::Rst | Kind::Fin) {
            return Outcome::Invalid;
        }
        if self.last_reply != reply && matches!(self.last_kind, Kind::Rst | Kind::Fin) {
            return Outcome::Shorten(t.tcp_timeout_unacknowledged);
        }
        (self.last_kind, self.last_reply) = (kind, reply);
        Outcome::Invalid
    }

    /// Remembers a segment that was let through without following it.
    fn note(&mut self, seg: &Segment, options: &[u8], kind: Kind, reply: bool) {
        self.last_kind = kind;
        self.last_reply = reply;
        self.last_seq = seg.seq;
        self.last_end = seg.seq.wrapping_add(seg.seq_len());
        self.last_win = seg.window;
        if kind == Kind::Syn && !reply {
            (self.last_scale, self.last_sack) = syn_options(options);
            self.challenge = self.state == TcpState::LastAck;
        }
    }

    /// Counts equal acknowledgments.
    fn count(&mut self, seg: &Segment, kind: Kind, reply: bool) {
        if kind != Kind::Ack {
            return;
        }
        let now = (reply, seg.seq, seg.ack, seg.seq.wrapping_add(seg.seq_len()), seg.window);
        let same = (self.last_reply, self.last_seq, self.last_ack, self.last_end, self.last_win) == now;
        self.retrans = if same { self.retrans.saturating_add(1) } else { 0 };
        (_, self.last_seq, self.last_ack, self.last_end, self.last_win) = now;
    }

    fn timeout(&self, kind: Kind, t: &Tunables) -> u32 {
        let normal = self.state.timeout(t);
        if self.retrans as u32 >= t.tcp_max_retrans && normal > t.tcp_timeout_max_retrans {
            t.tcp_timeout_max_retrans
        } else if kind == Kind::Rst {
            t.tcp_timeout_close
        } else if self.peers.iter().any(|p| p.unacked) && normal > t.tcp_timeout_unacknowledged {
            t.tcp_timeout_unacknowledged
        } else if self.last_win == 0 && normal > t.tcp_timeout_max_retrans {
            t.tcp_timeout_max_retrans // a closed window
        } else {
            normal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: bool = false; // the client: original direction
    const S: bool = true; // the server

    struct Line {
        tcp: Tcp,
        seen: Seen,
        t: Tunables,
    }

    fn seg(flags: u8, seq: u32, ack: u32, len: usize) -> Segment {
        Segment { sport: 1, dport: 2, seq, ack, flags, window: 1000, header_len: 20, len }
    }

    impl Line {
        fn open(first: Segment) -> Line {
            let t = Tunables::default();
            let tcp = Tcp::new(&first, &[], &t).expect("a connection can begin like this");
            let mut line = Line { tcp, seen: Seen { reply: false, assured: false }, t };
            line.send(C, first);
            line
        }

        fn send(&mut self, from: bool, s: Segment) -> Outcome {
            let out = self.tcp.packet(&s, &[], from, &mut self.seen, &self.t);
            self.seen.reply |= from == S && out != Outcome::Invalid;
            out
        }

        fn established() -> Line {
            let mut l = Line::open(seg(SYN, 100, 0, 0));
            assert_eq!(l.send(S, seg(SYN | ACK, 500, 101, 0)), Outcome::Refresh(60));
            assert_eq!(l.send(C, seg(ACK, 101, 501, 0)), Outcome::Refresh(432_000));
            assert!(l.seen.assured);
            l
        }
    }

    #[test]
    fn an_orderly_life_ends_in_time_wait() {
        let mut l = Line::established();
        assert_eq!(l.send(C, seg(ACK, 101, 501, 10)), Outcome::Refresh(300)); // unacknowledged
        assert_eq!(l.send(S, seg(ACK, 501, 111, 0)), Outcome::Refresh(432_000));
        assert_eq!(l.send(C, seg(FIN | ACK, 111, 501, 0)), Outcome::Refresh(120));
        assert_eq!(l.send(S, seg(ACK, 501, 112, 0)), Outcome::Refresh(60));
        assert_eq!(l.tcp.state, TcpState::CloseWait);
        assert_eq!(l.send(S, seg(FIN | ACK, 501, 112, 0)), Outcome::Refresh(30));
        assert_eq!(l.send(C, seg(ACK, 112, 502, 0)), Outcome::Refresh(120));
        assert_eq!(l.tcp.state, TcpState::TimeWait);
        // RFC 9293 §3.6.1
        assert_eq!(l.send(C, seg(SYN, 9000, 0, 0)), Outcome::Reopen);
    }

    #[test]
    fn refused_dies_at_once_and_a_reset_of_an_open_connection_lingers() {
        let mut l = Line::open(seg(SYN, 100, 0, 0));
        assert_eq!(l.send(S, seg(RST | ACK, 0, 101, 0)), Outcome::Kill);
        let mut l = Line::established();
        assert_eq!(l.send(C, seg(RST | ACK, 101, 501, 0)), Outcome::Refresh(10));
        assert_eq!(l.tcp.state, TcpState::Close);
    }

    #[test]
    fn a_forged_reset_is_invalid_and_an_inexact_one_leaves_the_state() {
        let mut l = Line::established();
        assert_eq!(l.send(S, seg(RST, 400, 0, 0)), Outcome::Invalid);
        assert_eq!(l.send(S, seg(RST, 600, 0, 0)), Outcome::Refresh(10));
        assert_eq!(l.tcp.state, TcpState::Established);
        l.t.tcp_ignore_invalid_rst = 1;
        assert_ne!(l.send(S, seg(RST, 400, 0, 0)), Outcome::Invalid);
    }

    #[test]
    fn a_retransmitted_syn_does_not_prolong_the_entry() {
        let mut l = Line::open(seg(SYN, 100, 0, 0));
        assert_eq!(l.send(C, seg(SYN, 100, 0, 0)), Outcome::Keep);
    }

    #[test]
    fn mid_stream_segments_are_picked_up_unless_forbidden() {
        let mut l = Line::open(seg(ACK, 100, 7, 10));
        assert_eq!(l.tcp.state, TcpState::Established);
        assert_eq!(l.send(C, seg(ACK, 110, 7, 10)), Outcome::Refresh(300));
        let strict = Tunables { tcp_loose: 0, ..Tunables::default() };
        assert!(Tcp::new(&seg(ACK, 100, 7, 10), &[], &strict).is_none());
        assert!(Tcp::new(&seg(SYN, 100, 0, 0), &[], &strict).is_some());
        for flags in [SYN | ACK, FIN | ACK, RST, 0] {
            assert!(Tcp::new(&seg(flags, 100, 7, 0), &[], &Tunables::default()).is_none(), "{flags:#x}");
        }
    }

    #[test]
    fn simultaneous_open() {
        let mut l = Line::open(seg(SYN, 100, 0, 0));
        assert_eq!(l.send(S, seg(SYN, 500, 0, 0)), Outcome::Keep);
        assert_eq!(l.tcp.state, TcpState::SynSent2);
        assert_eq!(l.send(C, seg(SYN | ACK, 100, 501, 0)), Outcome::Refresh(60));
        assert_eq!(l.tcp.state, TcpState::SynRecv);
    }

    #[test]
    fn a_stale_entry_gets_in_step_with_peers_that_start_over() {
        let mut l = Line::established();
        // The client rebooted; the server forgot too, and answers the SYN the tracker ignored.
        assert_eq!(l.send(C, seg(SYN, 9000, 0, 0)), Outcome::Keep);
        assert_eq!(l.tcp.state, TcpState::Established);
        assert_eq!(l.send(S, seg(SYN | ACK, 7000, 9001, 0)), Outcome::Refresh(60));
        assert_eq!(l.tcp.state, TcpState::SynRecv);
    }

    #[test]
    fn three_equal_acks_shorten_the_life() {
        let mut l = Line::established();
        for _ in 0..3 {
            l.send(C, seg(ACK, 101, 501, 0));
        }
        assert_eq!(l.send(C, seg(ACK, 101, 501, 0)), Outcome::Refresh(300));
    }

    #[test]
    fn flag_combinations() {
        for ok in [SYN, SYN | ACK, RST, RST | ACK, FIN | ACK, ACK, ACK | 8, ACK | 0x20, SYN | 0xc0] {
            assert!(flags_ok(ok), "{ok:#x}");
        }
        for bad in [0, FIN, SYN | FIN, SYN | RST, 0x29, 0x3f, RST | FIN] {
            assert!(!flags_ok(bad), "{bad:#x}");
        }
    }
}
