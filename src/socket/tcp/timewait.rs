//! TIME-WAIT without a state machine (RFC 9293 §3.6.1, RFC 6191; `tcp_timewait_state_process`).

use super::TIME_WAIT;
use crate::{
    base::Time,
    wire::tcp::{ACK, HEADER, RST, SYN, Segment},
};

/// An orphaned connection in TIME-WAIT: the numbers of its last acknowledgment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeWait {
    seq: u32,
    ack: u32,
    window: u16,
    pub(super) until: Time,
}

/// What a segment does to a connection in TIME-WAIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Ignore,
    /// The last acknowledgment was lost: it is sent again.
    Acknowledge,
    /// The peer reset the connection: it is forgotten.
    Forget,
    /// A new connection between the same ends may begin.
    Reopen,
}

impl TimeWait {
    pub(super) fn new((seq, ack, window): (u32, u32, u16), now: Time) -> TimeWait {
        TimeWait { seq, ack, window, until: now + TIME_WAIT }
    }

    /// Judges a segment; a repeated FIN starts the wait over.
    pub(super) fn judge(&mut self, s: &Segment, now: Time) -> Verdict {
        let at_edge = s.seq == self.ack;
        if s.flags & RST != 0 {
            return if at_edge { Verdict::Forget } else { Verdict::Ignore };
        }
        if s.flags & (SYN | ACK) == SYN && (s.seq.wrapping_sub(self.ack) as i32) > 0 {
            return Verdict::Reopen;
        }
        if at_edge && s.seq_len() == 0 {
            return Verdict::Ignore; // an acknowledgment in sequence
        }
        self.until = now + TIME_WAIT;
        Verdict::Acknowledge
    }

    /// The acknowledgment, without IP header and checksum.
    pub(super) fn ack(&self, sport: u16, dport: u16) -> [u8; HEADER] {
        let mut b = [0; HEADER];
        b[..2].copy_from_slice(&sport.to_be_bytes());
        b[2..4].copy_from_slice(&dport.to_be_bytes());
        b[4..8].copy_from_slice(&self.seq.to_be_bytes());
        b[8..12].copy_from_slice(&self.ack.to_be_bytes());
        b[12] = 5 << 4;
        b[13] = ACK;
        b[14..16].copy_from_slice(&self.window.to_be_bytes());
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::FIN;

    fn segment(seq: u32, flags: u8, len: usize) -> Segment {
        Segment { sport: 1, dport: 2, seq, ack: 1000, flags, window: 0, header_len: HEADER, len }
    }

    #[test]
    fn a_repeated_fin_is_acknowledged_and_starts_the_wait_over() {
        let mut tw = TimeWait::new((1000, 500, 64), 0);
        assert_eq!(tw.judge(&segment(499, FIN | ACK, 0), 10), Verdict::Acknowledge);
        assert_eq!(tw.until, 10 + TIME_WAIT);
        let b = tw.ack(1, 2);
        let s = Segment::parse(&b).unwrap();
        assert_eq!((s.seq, s.ack, s.flags, s.window), (1000, 500, ACK, 64));
    }

    #[test]
    fn only_a_newer_syn_reopens_and_only_an_exact_reset_ends() {
        let mut tw = TimeWait::new((1000, 500, 64), 0);
        assert_eq!(tw.judge(&segment(501, SYN, 0), 1), Verdict::Reopen);
        assert_eq!(tw.judge(&segment(400, SYN, 0), 1), Verdict::Acknowledge);
        assert_eq!(tw.judge(&segment(500, RST, 0), 1), Verdict::Forget);
        assert_eq!(tw.judge(&segment(700, RST, 0), 1), Verdict::Ignore);
        assert_eq!(tw.judge(&segment(500, ACK, 0), 1), Verdict::Ignore);
    }
}
