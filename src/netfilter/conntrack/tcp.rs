//! The TCP tracker: the state a middle box guesses from the segments that pass (nf_conntrack_proto_tcp.c, Linux 6.18).
//!
//! Sequence windows are not enforced, as with the kernel's `nf_conntrack_tcp_be_liberal=1`; resets are checked.

use super::{
    Tunables,
    tcp_state::{Kind, Next, TcpState, kind, next},
};
use crate::wire::tcp::{ACK, FIN, RST, SYN, Segment};

/// What is known of one side (`struct ip_ct_tcp_state`).
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// Sequence number behind the last byte it sent.
    end: u32,
    /// Highest acknowledgment it sent.
    maxack: u32,
    seen: bool,
    maxack_set: bool,
    /// It sent the first FIN.
    close_init: bool,
    /// It sent data that is not acknowledged.
    unacked: bool,
}

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
    pub fn new(seg: &Segment, t: &Tunables) -> Option<Tcp> {
        let Next::To(state) = next(kind(seg.flags), false, TcpState::None) else { return None };
        if state != TcpState::SynSent && t.tcp_loose == 0 {
            return None;
        }
        let mut peers = [Peer::default(); 2];
        peers[0].end = seg.seq.wrapping_add(seg.seq_len());
        peers[0].seen = true;
        Some(Tcp {
            state: TcpState::None,
            peers,
            last_kind: Kind::Bare,
            last_reply: false,
            retrans: 0,
            last_seq: 0,
            last_ack: 0,
            last_end: 0,
            last_win: 0,
        })
    }

    /// The sequence number behind the client's SYN, to compare an old connection with a new one.
    pub fn original_end(&self) -> u32 {
        self.peers[0].end
    }

    /// Follows one more segment (`nf_conntrack_tcp_packet`). `seen.reply` tells of replies before this segment; ASSURED
    /// is set through `seen.assured`.
    pub fn packet(&mut self, seg: &Segment, reply: bool, seen: &mut Seen, t: &Tunables) -> Outcome {
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
                self.peers[self.last_reply as usize] = Peer { end: self.last_end, seen: true, ..Peer::default() };
                self.peers[dir] = Peer::default();
            } else {
                self.note(seg, kind, reply);
                return Outcome::Keep;
            }
        }
        let mut new = new.expect("set in both branches above");
        if kind == Kind::Rst {
            match self.check_reset(seg, reply, seen, old, t) {
                Some(state) => new = state,
                None => return Outcome::Invalid,
            }
        }
        self.follow(seg, kind, reply);
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

    /// The state after a reset, or `None` if it is forged or late (the `TCP_CONNTRACK_CLOSE` case).
    fn check_reset(&self, seg: &Segment, reply: bool, seen: &Seen, old: TcpState, t: &Tunables) -> Option<TcpState> {
        let other = &self.peers[!reply as usize];
        let closing = matches!(
            old,
            TcpState::FinWait | TcpState::CloseWait | TcpState::LastAck | TcpState::TimeWait | TcpState::Close
        );
        if closing || !other.maxack_set || self.last_kind == Kind::Syn {
            return Some(TcpState::Close);
        }
        let open = old == TcpState::Established && seen.assured;
        if seg.seq == 0 && !open {
            return Some(TcpState::Close);
        }
        if before(seg.seq, other.maxack) && t.tcp_ignore_invalid_rst == 0 {
            return None;
        }
        let in_train = self.last_kind == Kind::Ack && self.last_reply == reply && seg.seq == self.last_end;
        if !open || seg.seq == other.maxack || in_train {
            return Some(TcpState::Close);
        }
        // RFC 5961 §3.2: the receiver will answer with a challenge ACK, so the connection may live on.
        Some(old)
    }

    /// Remembers a segment that was let through without following it.
    fn note(&mut self, seg: &Segment, kind: Kind, reply: bool) {
        self.last_kind = kind;
        self.last_reply = reply;
        self.last_seq = seg.seq;
        self.last_end = seg.seq.wrapping_add(seg.seq_len());
        self.last_win = seg.window;
    }

    /// Keeps the books of sequence numbers (the updates of `tcp_in_window`).
    fn follow(&mut self, seg: &Segment, kind: Kind, reply: bool) {
        let (dir, other) = (reply as usize, !reply as usize);
        let has_ack = seg.flags & ACK != 0;
        let mut end = seg.seq.wrapping_add(seg.seq_len());
        if !self.peers[dir].seen {
            self.peers[dir].seen = true;
            self.peers[dir].end = end;
            if !self.peers[other].seen {
                self.peers[other].end = seg.ack;
            }
        } else if matches!((self.state, reply), (TcpState::SynSent, false) | (TcpState::SynRecv, true))
            && before(self.peers[dir].end, end)
        {
            self.peers[dir].end = end; // reinitialised with higher sequence numbers
        }
        let ack = if has_ack { seg.ack } else { self.peers[other].end };
        if seg.seq_len() == 0 && kind != Kind::Rst {
            end = self.peers[dir].end;
        }
        if before(self.peers[dir].end, end) {
            self.peers[dir].end = end;
            self.peers[dir].unacked = true;
        }
        if has_ack && (!self.peers[dir].maxack_set || before(self.peers[dir].maxack, ack)) {
            self.peers[dir].maxack = ack;
            self.peers[dir].maxack_set = true;
        }
        if ack == self.peers[other].end {
            self.peers[other].unacked = false;
        }
        if kind == Kind::Ack {
            let same = self.last_reply == reply
                && (self.last_seq, self.last_ack, self.last_end, self.last_win) == (seg.seq, ack, end, seg.window);
            self.retrans = if same { self.retrans.saturating_add(1) } else { 0 };
            (self.last_seq, self.last_ack, self.last_end, self.last_win) = (seg.seq, ack, end, seg.window);
        }
    }

    fn timeout(&self, kind: Kind, t: &Tunables) -> u32 {
        let normal = self.state.timeout(t);
        if self.retrans as u32 >= t.tcp_max_retrans && normal > t.tcp_timeout_max_retrans {
            t.tcp_timeout_max_retrans
        } else if kind == Kind::Rst {
            t.tcp_timeout_close
        } else if self.peers.iter().any(|p| p.unacked) && normal > t.tcp_timeout_unacknowledged {
            t.tcp_timeout_unacknowledged
        } else if kind == Kind::Ack && self.last_win == 0 && normal > t.tcp_timeout_max_retrans {
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
            let tcp = Tcp::new(&first, &t).expect("a connection can begin like this");
            let mut line = Line { tcp, seen: Seen { reply: false, assured: false }, t };
            line.send(C, first);
            line
        }

        fn send(&mut self, from: bool, s: Segment) -> Outcome {
            let out = self.tcp.packet(&s, from, &mut self.seen, &self.t);
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
        assert!(Tcp::new(&seg(ACK, 100, 7, 10), &strict).is_none());
        assert!(Tcp::new(&seg(SYN, 100, 0, 0), &strict).is_some());
        for flags in [SYN | ACK, FIN | ACK, RST, 0] {
            assert!(Tcp::new(&seg(flags, 100, 7, 0), &Tunables::default()).is_none(), "{flags:#x}");
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
