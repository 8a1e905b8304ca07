//! The states of a tracked TCP connection and what moves it between them.

use super::Tunables;
use crate::wire::tcp::{ACK, FIN, RST, SYN};

/// The state of a tracked connection (`enum tcp_conntrack`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TcpState {
    /// No segment seen yet.
    None,
    /// A SYN was seen.
    SynSent,
    /// A SYN-ACK was seen.
    SynRecv,
    /// Open, or picked up in the middle.
    Established,
    /// One side closed.
    FinWait,
    /// The first FIN was acknowledged.
    CloseWait,
    /// Both sides closed.
    LastAck,
    /// The last ACK was seen.
    TimeWait,
    /// Reset.
    Close,
    /// A SYN came back for a SYN: simultaneous open.
    SynSent2,
}

impl TcpState {
    /// The name `/proc/net/nf_conntrack` prints.
    pub const fn name(self) -> &'static str {
        match self {
            TcpState::None => "NONE",
            TcpState::SynSent => "SYN_SENT",
            TcpState::SynRecv => "SYN_RECV",
            TcpState::Established => "ESTABLISHED",
            TcpState::FinWait => "FIN_WAIT",
            TcpState::CloseWait => "CLOSE_WAIT",
            TcpState::LastAck => "LAST_ACK",
            TcpState::TimeWait => "TIME_WAIT",
            TcpState::Close => "CLOSE",
            TcpState::SynSent2 => "SYN_SENT2",
        }
    }

    pub(super) fn timeout(self, t: &Tunables) -> u32 {
        match self {
            TcpState::None | TcpState::SynSent | TcpState::SynSent2 => t.tcp_timeout_syn_sent,
            TcpState::SynRecv => t.tcp_timeout_syn_recv,
            TcpState::Established => t.tcp_timeout_established,
            TcpState::FinWait => t.tcp_timeout_fin_wait,
            TcpState::CloseWait => t.tcp_timeout_close_wait,
            TcpState::LastAck => t.tcp_timeout_last_ack,
            TcpState::TimeWait => t.tcp_timeout_time_wait,
            TcpState::Close => t.tcp_timeout_close,
        }
    }
}

/// What kind of segment it is: the strongest flag decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Syn,
    SynAck,
    Fin,
    Ack,
    Rst,
    Bare,
}

pub(super) fn kind(flags: u8) -> Kind {
    match flags {
        f if f & RST != 0 => Kind::Rst,
        f if f & SYN != 0 && f & ACK != 0 => Kind::SynAck,
        f if f & SYN != 0 => Kind::Syn,
        f if f & FIN != 0 => Kind::Fin,
        f if f & ACK != 0 => Kind::Ack,
        _ => Kind::Bare,
    }
}

/// Where a segment takes a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// To this state.
    To(TcpState),
    /// Let it pass and change nothing: the peers may know better (`sIG`).
    Ignore,
    /// It cannot belong to the connection (`sIV`).
    Invalid,
}

/// The transitions: what the sender's side of the connection must be in after sending such a segment.
pub(super) fn next(kind: Kind, reply: bool, state: TcpState) -> Next {
    use Next::{Ignore, Invalid, To};
    use TcpState::*;
    match (kind, state) {
        (Kind::Bare, _) => Invalid,
        // Anything but a SYN or an ACK cannot open; an ACK in the original direction is a pick-up.
        (Kind::Rst | Kind::Fin | Kind::SynAck, None) => Invalid,
        (Kind::Rst, _) => To(Close),

        (Kind::Syn, None | Close) if !reply => To(SynSent),
        (Kind::Syn, SynSent) => To(if reply { SynSent2 } else { SynSent }),
        (Kind::Syn, SynSent2) => To(SynSent2),
        // RFC 9293 §3.6.1: a SYN may reopen a connection in TIME-WAIT, from either side.
        (Kind::Syn, TimeWait) => To(SynSent),
        (Kind::Syn, _) => {
            if reply {
                Invalid
            } else {
                Ignore
            }
        }

        (Kind::SynAck, SynSent) => {
            if reply {
                To(SynRecv)
            } else {
                Invalid
            }
        }
        (Kind::SynAck, SynSent2) => To(SynRecv),
        (Kind::SynAck, _) => Ignore,

        // No FIN before the SYN was answered.
        (Kind::Fin, SynSent | SynSent2) => Invalid,
        (Kind::Fin, SynRecv | Established) => To(FinWait),
        (Kind::Fin, FinWait | CloseWait | LastAck) => To(LastAck),
        (Kind::Fin, TimeWait | Close) => To(state),

        (Kind::Ack, None) => {
            if reply {
                Invalid
            } else {
                To(Established)
            }
        }
        // From the server it may belong to a half-open connection; the client cannot send one yet.
        (Kind::Ack, SynSent | SynSent2) => {
            if reply {
                Ignore
            } else {
                Invalid
            }
        }
        (Kind::Ack, SynRecv) => To(if reply { SynRecv } else { Established }),
        (Kind::Ack, Established) => To(Established),
        (Kind::Ack, FinWait | CloseWait) => To(CloseWait),
        (Kind::Ack, LastAck | TimeWait) => To(TimeWait),
        (Kind::Ack, Close) => To(Close),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_segment_reaches_none() {
        use TcpState::*;
        for state in [None, SynSent, SynRecv, Established, FinWait, CloseWait, LastAck, TimeWait, Close, SynSent2] {
            for k in [Kind::Syn, Kind::SynAck, Kind::Fin, Kind::Ack, Kind::Rst, Kind::Bare] {
                for reply in [false, true] {
                    assert_ne!(next(k, reply, state), Next::To(None));
                }
            }
        }
    }

    /// The rows a user meets: open, close from either side, reset; and what the original direction may do that the
    /// reply may not.
    #[test]
    fn the_main_road() {
        use Next::{Ignore, Invalid, To};
        use TcpState::*;
        let road = [
            (Kind::Syn, false, None, To(SynSent)),
            (Kind::SynAck, true, SynSent, To(SynRecv)),
            (Kind::Ack, false, SynRecv, To(Established)),
            (Kind::Fin, true, Established, To(FinWait)),
            (Kind::Ack, false, FinWait, To(CloseWait)),
            (Kind::Fin, false, CloseWait, To(LastAck)),
            (Kind::Ack, true, LastAck, To(TimeWait)),
            (Kind::Syn, true, TimeWait, To(SynSent)),
            (Kind::Rst, true, SynSent, To(Close)),
            (Kind::Syn, false, Established, Ignore),
            (Kind::Syn, true, Established, Invalid),
            (Kind::SynAck, false, SynSent, Invalid),
            (Kind::Ack, true, SynSent, Ignore),
            (Kind::Ack, false, SynSent, Invalid),
            (Kind::Ack, true, None, Invalid),
            (Kind::Bare, false, Established, Invalid),
        ];
        for (k, reply, state, expected) in road {
            assert_eq!(next(k, reply, state), expected, "{k:?} {reply} {state:?}");
        }
        assert_eq!(kind(RST | SYN), Kind::Rst);
        assert_eq!(kind(FIN | ACK), Kind::Fin);
    }
}
