//! What `ping` counts, and its closing lines (`gather_statistics`, `finish` of iputils 20221126).

use crate::base::{Time, US};

/// Sequence numbers are 16 bits; duplicates are recognised among as many (`MAX_DUP_CHK`).
const SEQUENCES: usize = 1 << 16;

/// Counters of one run. Times are in whole microseconds, as the tool keeps them.
#[derive(Debug)]
pub(super) struct Stats {
    /// Requests sent, and those that failed to be.
    pub(super) transmitted: u32,
    /// Replies, duplicates excluded.
    pub(super) received: u32,
    /// Duplicates.
    pub(super) repeats: u32,
    /// ICMP errors and local errors.
    pub(super) errors: u32,
    sum: u64,
    sum_of_squares: f64,
    min: u64,
    pub(super) max: u64,
    pipe: u16,
    acked: u16,
    /// One bit per sequence number; empty until the first reply.
    seen: Vec<u64>,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            transmitted: 0,
            received: 0,
            repeats: 0,
            errors: 0,
            sum: 0,
            sum_of_squares: 0.0,
            min: u64::MAX,
            max: 0,
            pipe: 0,
            acked: 0,
            seen: Vec::new(),
        }
    }
}

impl Stats {
    /// A request went out, or is treated as if it had (`advance_ntransmitted`).
    pub(super) fn sent(&mut self) {
        self.transmitted += 1;
        let low = self.transmitted as u16;
        if low.wrapping_sub(self.acked) > 0x7fff {
            self.acked = low.wrapping_add(1);
        }
        // The number will be used again after 65536 requests: what came back for its last use is forgotten (`rcvd_clear`).
        if let Some(word) = self.seen.get_mut(low as usize / 64) {
            *word &= !(1 << (low % 64));
        }
    }

    /// Something came back for a request (`acknowledge`): the longest distance to the newest request is the pipe size.
    pub(super) fn acknowledge(&mut self, seq: u16) {
        let low = self.transmitted as u16;
        let distance = low.wrapping_sub(seq);
        if distance <= 0x7fff {
            self.pipe = self.pipe.max(distance + 1);
            if seq.wrapping_sub(self.acked) as i16 > 0 || low.wrapping_sub(self.acked) > 0x7fff {
                self.acked = seq;
            }
        }
    }

    /// Requests nothing has come back for (`in_flight`).
    pub(super) fn in_flight(&self) -> u32 {
        match (self.transmitted as u16).wrapping_sub(self.acked) {
            near @ 0..=0x7fff => near.into(),
            _ => self.transmitted.saturating_sub(self.received + self.errors),
        }
    }

    /// A reply after `rtt`, if the payload has room for a timestamp. Returns whether it is a duplicate.
    pub(super) fn reply(&mut self, seq: u16, rtt: Option<Time>) -> bool {
        self.acknowledge(seq);
        if let Some(us) = rtt.map(|t| t / US) {
            self.sum = self.sum.saturating_add(us);
            self.sum_of_squares += us as f64 * us as f64;
            self.min = self.min.min(us);
            self.max = self.max.max(us);
        }
        if self.seen.is_empty() {
            self.seen = vec![0; SEQUENCES / 64];
        }
        let (word, bit) = (seq as usize / 64, 1 << (seq % 64));
        let duplicate = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        match duplicate {
            true => self.repeats += 1,
            false => self.received += 1,
        }
        duplicate
    }

    /// `N packets transmitted, …`; `span` is the time from the first request to the last.
    pub(super) fn summary(&self, span: Time) -> String {
        let mut text = format!("{} packets transmitted, {} received", self.transmitted, self.received);
        if self.repeats > 0 {
            text += &format!(", +{} duplicates", self.repeats);
        }
        if self.errors > 0 {
            text += &format!(", +{} errors", self.errors);
        }
        if self.transmitted > 0 {
            let lost = f64::from(self.transmitted) - f64::from(self.received);
            let percent = (lost * 100.0 / f64::from(self.transmitted)) as f32;
            text += &format!(", {}% packet loss, time {}ms", general(percent.into()), (span + 500_000) / 1_000_000);
        }
        text
    }

    /// The last line: round-trip times and pipe size; empty if there is nothing to say.
    pub(super) fn times(&self, timed: bool) -> String {
        let mut parts = Vec::new();
        if self.received > 0 && timed {
            let total = u64::from(self.received) + u64::from(self.repeats);
            let average = self.sum / total;
            // The order of the operations is the tool's: it decides the last digit of mdev.
            let variance = match self.sum < i32::MAX as u64 {
                true => (self.sum_of_squares - ((self.sum * self.sum) / total) as f64) / total as f64,
                false => self.sum_of_squares / total as f64 - average as f64 * average as f64,
            };
            let deviation = (variance.max(0.0) as u64).isqrt();
            let ms = |us: u64| format!("{}.{:03}", us / 1000, us % 1000);
            parts.push(format!(
                "rtt min/avg/max/mdev = {}/{}/{}/{} ms",
                ms(self.min),
                ms(average),
                ms(self.max),
                ms(deviation)
            ));
        }
        if self.pipe > 1 {
            parts.push(format!("pipe {}", self.pipe));
        }
        parts.join(", ")
    }
}

/// ` time=… ms` with three significant digits.
pub(super) fn time(rtt: Time) -> String {
    let us = rtt / US;
    match us {
        99_950.. => format!(" time={} ms", (us + 500) / 1000),
        9_995.. => format!(" time={}.{} ms", (us + 50) / 1000, (us + 50) % 1000 / 100),
        1_000.. => format!(" time={}.{:02} ms", (us + 5) / 1000, (us + 5) % 1000 / 10),
        _ => format!(" time=0.{us:03} ms"),
    }
}

/// C's `%g`: six significant digits without trailing zeros.
fn general(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the format writes a number");
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => s.to_string(),
    };
    match exponent {
        -4..=5 => trim(&format!("{value:.*}", (5 - exponent) as usize)),
        _ => format!("{}e{}{:02}", trim(mantissa), if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{MS, SEC};

    #[test]
    fn times_have_three_significant_digits() {
        let of = |us: u64| time(us * US);
        assert_eq!(of(0), " time=0.000 ms");
        assert_eq!(of(66), " time=0.066 ms");
        assert_eq!(of(999), " time=0.999 ms");
        assert_eq!(of(1_000), " time=1.00 ms");
        assert_eq!(of(1_234), " time=1.23 ms");
        assert_eq!(of(9_994), " time=9.99 ms");
        assert_eq!(of(9_995), " time=10.0 ms");
        assert_eq!(of(20_260), " time=20.3 ms");
        assert_eq!(of(99_949), " time=99.9 ms");
        assert_eq!(of(99_950), " time=100 ms");
        assert_eq!(of(3_055_123), " time=3055 ms");
    }

    #[test]
    fn loss_is_printed_like_c_prints_it() {
        for (value, text) in [
            (0.0, "0"),
            (100.0, "100"),
            (50.0, "50"),
            (100.0 / 3.0, "33.3333"),
            (200.0 / 3.0, "66.6667"),
            (100.0 / 7.0, "14.2857"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.00001, "1e-05"),
        ] {
            assert_eq!(general(f64::from(value as f32)), text);
        }
    }

    /// What ping 20221126 printed for these round-trip times.
    #[test]
    fn closing_lines() {
        let mut s = Stats::default();
        for (seq, us) in [(1, 66), (2, 60), (3, 75)] {
            s.sent();
            assert!(!s.reply(seq, Some(us * US)));
        }
        assert_eq!(s.summary(2 * SEC + 40 * MS), "3 packets transmitted, 3 received, 0% packet loss, time 2040ms");
        assert_eq!(s.times(true), "rtt min/avg/max/mdev = 0.060/0.067/0.075/0.006 ms");
        assert_eq!(s.times(false), "", "payloads too small for a timestamp");
    }

    #[test]
    fn duplicates_are_counted_apart() {
        let mut s = Stats::default();
        s.sent();
        s.reply(1, None);
        s.sent();
        assert!(!s.reply(2, None) && s.reply(2, None));
        assert_eq!(s.summary(0), "2 packets transmitted, 2 received, +1 duplicates, 0% packet loss, time 0ms");
    }

    /// Case arp-failure-local: both requests fail together after 3 s.
    #[test]
    fn errors_and_the_pipe() {
        let mut s = Stats::default();
        for _ in 0..2 {
            s.sent();
        }
        assert_eq!(s.in_flight(), 2);
        for seq in 1..=2 {
            s.acknowledge(seq);
            s.errors += 1;
        }
        assert_eq!(s.in_flight(), 0);
        assert_eq!(s.summary(SEC), "2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1000ms");
        assert_eq!(s.times(true), "pipe 2");
    }

    #[test]
    fn sequence_numbers_may_be_used_again() {
        let mut s = Stats::default();
        for _ in 0..=u16::MAX {
            s.sent();
        }
        s.reply(0, None);
        for _ in 0..=u16::MAX {
            s.sent();
        }
        assert!(!s.reply(0, None), "65536 requests later it is another request");
    }
}
