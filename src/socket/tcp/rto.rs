//! When a connection sends again what was not acknowledged (RFC 6298 with Linux's numbers: net/ipv4/tcp_input.c
//! `tcp_rtt_estimator`, tcp_output.c `tcp_schedule_loss_probe`, tcp_timer.c).
//!
//! smoltcp waits a second at least; Linux waits 200 ms beyond the round trip. So the clock of when to send again is kept
//! here, and an engine's own clock runs ahead of the world's by `lead`: it is put forward to the engine's deadline
//! whenever a retransmission is due here.

use crate::base::{MS, SEC, Time, US};

/// Added to the round trip (`TCP_RTO_MIN`).
pub(super) const RTO_MIN: Time = 200 * MS;
/// No timeout grows beyond this (`TCP_RTO_MAX`).
pub(super) const RTO_MAX: Time = 120 * SEC;
/// Before the first measurement (`TCP_TIMEOUT_INIT`).
const RTO_INIT: Time = SEC;
/// Timeouts are counted in ticks of the kernel's clock (HZ = 250).
const TICK: Time = 4 * MS;

/// The retransmission clock of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retransmit {
    /// Eight times the smoothed round trip, in microseconds; 0 before the first measurement.
    srtt: u64,
    /// Four times the mean deviation, in microseconds.
    mdev: u64,
    /// The largest of them in this flight, and the one the timeout is made of.
    mdev_max: u64,
    rttvar: u64,
    /// The flight these belong to ends here.
    flight_end: u32,
    backoff: u32,
    /// The next call, and whether it is the probe for a loss at the tail, which does not double the timeout (RFC 8985 §7).
    due: Option<(Time, bool)>,
    /// A segment under measurement: what acknowledges it, and when it left.
    sample: Option<(u32, Time)>,
    /// How far the engine's clock runs ahead.
    pub(super) lead: Time,
}

/// When a timer of the kernel fires that is set for `after`: its wheel is the coarser the farther away (kernel/time/timer.c,
/// levels of 1, 8 and 64 ticks). Half of what it may be late, since nobody knows how the wheel stands.
fn wheel(after: Time) -> Time {
    after
        + match after / TICK {
            0..64 => TICK / 2,
            64..512 => 4 * TICK,
            _ => 32 * TICK,
        }
}

/// What a run of the connection did to its flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// Oldest sequence number not acknowledged, before the run.
    pub una_before: u32,
    pub una: u32,
    /// Next sequence number, before the run.
    pub nxt_before: u32,
    pub nxt: u32,
    /// Largest payload of a segment.
    pub mss: u32,
}

impl Retransmit {
    fn rto(&self) -> Time {
        let us = if self.srtt == 0 { RTO_INIT / US } else { self.srtt / 8 + self.rttvar };
        ((us * US).div_ceil(TICK) * TICK).min(RTO_MAX)
    }

    /// When it calls next.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.map(|(at, _)| at)
    }

    /// Whether something has to be sent again at `now`. The next call is arranged.
    pub(super) fn is_due(&mut self, now: Time) -> bool {
        let Some((_, probe)) = self.due.filter(|(at, _)| now >= *at) else { return false };
        if !probe {
            self.backoff += 1;
        }
        self.due = Some((now + wheel((self.rto() << self.backoff.min(16)).min(RTO_MAX)), false));
        self.sample = None; // RFC 6298 §3, Karn's algorithm
        true
    }

    /// The engine repeated something by itself: no measurement can come of it.
    pub(super) fn repeated(&mut self) {
        self.sample = None;
    }

    /// A flight that begins outside: a SYN left at `now`, whose acknowledgment is `ack`.
    pub(super) fn measure(&mut self, ack: u32, now: Time) {
        self.sample = Some((ack, now));
    }

    /// Follows what was sent and acknowledged in a run at `now`. `retransmitting` says whether the flight was sent again
    /// in it.
    pub(super) fn follow(&mut self, f: Flight, now: Time, retransmitting: bool) {
        let acknowledged = f.una != f.una_before;
        if let Some((ack, sent)) = self.sample
            && acknowledged
            && (f.una.wrapping_sub(ack) as i32) >= 0
        {
            self.sample = None;
            self.learn((now - sent) / US, f);
        }
        if acknowledged {
            self.backoff = 0;
        }
        if f.una == f.nxt {
            self.due = None;
            return;
        }
        let sent = f.nxt != f.nxt_before;
        if sent && self.sample.is_none() && !retransmitting {
            self.sample = Some((f.nxt, now));
        }
        // In the state of loss only acknowledgments move the timer.
        if acknowledged || self.due.is_none() || (sent && self.backoff == 0) {
            self.arm(f, now);
        }
    }

    fn arm(&mut self, f: Flight, now: Time) {
        let rto = self.rto();
        let alone = f.nxt.wrapping_sub(f.una) <= f.mss;
        let probe = (self.srtt / 4 * US + RTO_MIN).div_ceil(TICK) * TICK;
        let probing = alone && self.srtt != 0;
        self.due = Some((now + wheel(if probing { probe.min(rto) } else { rto }), probing));
    }

    /// One round trip of `m` microseconds.
    fn learn(&mut self, m: u64, f: Flight) {
        let (m, floor) = (m.max(1), RTO_MIN / US);
        if self.srtt == 0 {
            self.srtt = m * 8;
            self.mdev = m * 2;
            self.rttvar = self.mdev.max(floor);
            self.mdev_max = self.rttvar;
            self.flight_end = f.nxt;
            return;
        }
        let error = m as i64 - (self.srtt / 8) as i64;
        self.srtt = (self.srtt as i64 + error).max(1) as u64;
        let mut change = error.abs() - (self.mdev / 4) as i64;
        if error < 0 && change > 0 {
            change /= 8; // a shorter round trip is no reason for a longer timeout
        }
        self.mdev = (self.mdev as i64 + change).max(0) as u64;
        if self.mdev > self.mdev_max {
            self.mdev_max = self.mdev;
            self.rttvar = self.rttvar.max(self.mdev_max);
        }
        if (f.una.wrapping_sub(self.flight_end) as i32) > 0 {
            if self.mdev_max < self.rttvar {
                self.rttvar -= (self.rttvar - self.mdev_max) / 4;
            }
            self.flight_end = f.nxt;
            self.mdev_max = floor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(una_before: u32, una: u32, nxt_before: u32, nxt: u32) -> Flight {
        Flight { una_before, una, nxt_before, nxt, mss: 1448 }
    }

    /// A connection whose handshake took `rtt`.
    fn open(rtt: Time) -> Retransmit {
        let mut r = Retransmit::default();
        r.measure(1, 0);
        r.follow(flight(0, 1, 1, 1), rtt, false);
        assert_eq!(r.deadline(), None);
        r
    }

    #[test]
    fn a_lost_segment_is_probed_for_and_then_timed_out_twice_as_late_each_time() {
        let mut r = open(100 * US);
        r.follow(flight(1, 1, 1, 6), SEC, false);
        let mut sent = vec![];
        while sent.len() < 5 {
            let at = r.deadline().unwrap();
            assert!(!r.is_due(at - 1) && r.is_due(at));
            r.follow(flight(1, 1, 6, 6), at, true);
            sent.push((at - SEC) / MS);
        }
        assert_eq!(sent, [206, 412, 836, 1668, 3316]);
        r.follow(flight(1, 6, 6, 6), 9 * SEC, false);
        assert_eq!(r.deadline(), None);
    }

    #[test]
    fn several_segments_wait_for_the_timeout() {
        let mut r = open(10 * MS);
        r.follow(flight(1, 1, 1, 5001), SEC, false);
        assert_eq!(r.deadline(), Some(SEC + 214 * MS));
    }

    #[test]
    fn a_long_way_makes_a_long_timeout_and_steady_ones_shorten_it() {
        let mut r = open(400 * MS);
        assert_eq!(r.rto(), 1200 * MS);
        let (mut now, mut seq) = (SEC, 1);
        for _ in 0..40 {
            r.follow(flight(seq, seq, seq, seq + 9), now, false);
            now += 400 * MS;
            r.follow(flight(seq, seq + 9, seq + 9, seq + 9), now, false);
            seq += 9;
        }
        assert!((600 * MS..700 * MS).contains(&r.rto()), "{}", r.rto());
    }

    #[test]
    fn what_was_sent_twice_is_not_measured() {
        let mut r = open(MS);
        r.follow(flight(1, 1, 1, 6), SEC, false);
        assert!(r.is_due(2 * SEC));
        r.follow(flight(1, 1, 6, 6), 2 * SEC, true);
        let before = r.srtt;
        r.follow(flight(1, 6, 6, 6), 9 * SEC, false);
        assert_eq!(r.srtt, before);
        assert!(Retransmit::default().rto() == RTO_INIT);
    }
}
