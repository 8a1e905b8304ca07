//! The probes of a traceroute: which is sent next, how long each is waited for, which lines can be printed
//! (`do_it`, `get_timeout`, `check_expired`, `print_probe` of traceroute 2.1).

use crate::{
    app::Hop,
    base::{MS, SockId, Time},
};
use std::net::IpAddr;

/// A probe that was lost is waited for this many times as long as an answer from the same hop took …
const HERE_FACTOR: u64 = 3;
/// … or from a later hop.
const NEAR_FACTOR: u64 = 10;
/// Added to measured times before they are multiplied.
const WAIT_PRECISION: Time = MS;

/// One probe.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    pub(super) sent: Option<Time>,
    /// When the answer came.
    pub(super) answered: Option<Time>,
    /// Who answered.
    pub(super) from: Option<IpAddr>,
    /// `!H` and the like; empty for an answer that says nothing more.
    pub(super) note: String,
    /// Answered or given up.
    pub(super) done: bool,
    /// The answer shows that going further makes no sense.
    pub(super) last: bool,
    /// The probe's own socket, while one is open.
    pub(super) sock: Option<SockId>,
    /// What answers are matched by: sequence number or source port.
    pub(super) key: u16,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the probe of this number, then ask again.
    Send(usize),
    /// Close the socket of this probe: it is not waited for any longer. Then ask again.
    Close(SockId),
    /// Wait for answers until this time.
    Wait(Time),
    /// Everything is printed.
    Done,
}

/// All probes, hop after hop.
#[derive(Debug)]
pub(super) struct Table {
    probes: Vec<Probe>,
    per_hop: usize,
    first_hop: usize,
    at_once: usize,
    wait: Time,
    /// Whether answers shorten the wait for others. They do not once the user says how long to wait (set_wait_specs, case
    /// traceroute-chain).
    adaptive: bool,
    /// The first probe not printed yet, and the first that will not be sent.
    start: usize,
    end: usize,
    /// The line being built.
    line: String,
}

impl Table {
    pub(super) fn new(first_hop: u8, max_hops: u8, per_hop: u8, at_once: u8, wait: Time) -> Table {
        let per_hop = usize::from(per_hop.max(1));
        let first_hop = usize::from(first_hop.clamp(1, max_hops.max(1)));
        let all = usize::from(max_hops.max(1)) * per_hop;
        Table {
            probes: vec![Probe::default(); all],
            per_hop,
            first_hop,
            at_once: usize::from(at_once.max(1)),
            wait,
            adaptive: true,
            start: (first_hop - 1) * per_hop,
            end: all,
            line: String::new(),
        }
    }

    /// Waits the whole time for every probe.
    pub(super) fn patient(self) -> Table {
        Table { adaptive: false, ..self }
    }

    pub(super) fn probe(&mut self, n: usize) -> &mut Probe {
        &mut self.probes[n]
    }

    /// The TTL of a probe.
    pub(super) fn ttl(&self, n: usize) -> u8 {
        (n / self.per_hop + 1) as u8
    }

    /// The probe that waits for answers with this key.
    pub(super) fn by_key(&self, key: u16) -> Option<usize> {
        self.probes.iter().position(|p| p.sent.is_some() && !p.done && p.key == key)
    }

    /// The probe with this socket.
    pub(super) fn by_socket(&self, sock: SockId) -> Option<usize> {
        self.probes.iter().position(|p| p.sock == Some(sock))
    }

    /// An answer arrived; returns the socket to close.
    pub(super) fn answer(&mut self, n: usize, now: Time, from: IpAddr, note: Note) -> Option<SockId> {
        let p = &mut self.probes[n];
        p.answered = Some(now);
        p.from = Some(from);
        match note {
            Note::OnTheWay => {}
            Note::Last(text) => {
                p.last = true;
                p.note = text;
            }
        }
        p.done = true;
        p.sock.take()
    }

    /// What to do; lines that are complete are put into `out`. Ask until it says to wait or that all is done.
    pub(super) fn next(&mut self, now: Time, out: &mut Vec<String>) -> Next {
        let mut wake = None;
        let mut waiting = 0;
        let mut n = self.start;
        while n < self.end {
            if n == self.start && !self.probes[n].done && self.probes[n].sent.is_some() {
                let expires = self.expiry(n);
                if expires <= now {
                    self.probes[n].done = true;
                    let sock = self.probes[n].sock.take();
                    self.move_final(n);
                    if let Some(sock) = sock {
                        return Next::Close(sock);
                    }
                }
            }
            let p = &self.probes[n];
            if p.done {
                if p.last {
                    self.end = (n / self.per_hop + 1) * self.per_hop;
                }
                if n == self.start {
                    self.print(n, out);
                    self.start += 1;
                }
            } else if p.sent.is_none() {
                return Next::Send(n);
            } else {
                wake.get_or_insert(self.expiry(n));
                waiting += 1;
                if waiting >= self.at_once {
                    break;
                }
            }
            n += 1;
        }
        match wake {
            Some(at) => Next::Wait(at),
            None => {
                self.flush(out);
                Next::Done
            }
        }
    }

    /// When the first probe under way is given up.
    pub(super) fn first_expiry(&self) -> Option<Time> {
        let under_way = |n: &usize| !self.probes[*n].done && self.probes[*n].sent.is_some();
        (self.start..self.end).find(under_way).map(|n| self.expiry(n))
    }

    fn expiry(&self, n: usize) -> Time {
        let p = &self.probes[n];
        p.sent.unwrap_or_default().saturating_add(self.timeout(n))
    }

    /// How long to wait for a probe: less than `wait` if its own hop, or a later one, has answered already.
    fn timeout(&self, n: usize) -> Time {
        let trip = |p: &Probe| match (p.done, p.answered, p.sent) {
            (true, Some(answered), Some(sent)) => Some(answered.saturating_sub(sent)).filter(|t| *t > 0),
            _ => None,
        };
        if !self.adaptive {
            return self.wait;
        }
        let hop = n - n % self.per_hop;
        let here = self.probes[hop..hop + self.per_hop].iter().find_map(trip).map(|t| (t, HERE_FACTOR));
        let later = || self.probes[n + 1..].iter().take_while(|p| p.sent.is_some()).find_map(trip);
        let (trip, factor) = match here.or_else(|| later().map(|t| (t, NEAR_FACTOR))) {
            Some(found) => found,
            None => return self.wait,
        };
        trip.saturating_add(WAIT_PRECISION).saturating_mul(factor).min(self.wait)
    }

    /// A probe was given up. Its hop may be the last one, which answered only to later probes because it limits its
    /// errors: then the first of those answers is shown here.
    fn move_final(&mut self, n: usize) {
        let hop = n - n % self.per_hop;
        if self.probes[hop..n].iter().any(|p| !p.done || !p.last) {
            return;
        }
        let earlier_is_last = n > hop;
        let later = self.probes[n + 1..].iter().take_while(|p| p.sent.is_some()).position(|p| p.done);
        let Some(found) = later.map(|i| n + 1 + i) else { return };
        // Echo replies, resets and port unreachables come in order; only other errors are known to be limited.
        if !self.probes[found].last || self.probes[found].note.is_empty() {
            return;
        }
        let same_hop = found < hop + self.per_hop;
        let reporter_seen = self.probes[..n].iter().any(|p| p.from.is_some() && p.from == self.probes[found].from);
        if earlier_is_last || same_hop || reporter_seen {
            self.probes[n] = std::mem::take(&mut self.probes[found]);
            self.probes[found].sent = Some(0); // not to be sent again, and not to be waited for
        }
    }

    fn print(&mut self, n: usize, out: &mut Vec<String>) {
        let within = n % self.per_hop;
        if within == 0 {
            self.flush(out);
            self.line = format!("{:2} ", n / self.per_hop + 1);
        }
        let p = &self.probes[n];
        match p.from {
            None => self.line += " *",
            Some(from) => {
                // The address is repeated only if it differs from that of the previous answer on the line.
                let before = self.probes[n - within..n].iter().rev().find_map(|p| p.from);
                if before != Some(from) {
                    self.line += &format!(" {from}");
                }
            }
        }
        if let (Some(answered), Some(sent)) = (p.answered, p.sent) {
            self.line += &format!("  {} ms", milliseconds(answered.saturating_sub(sent)));
        }
        if !p.note.is_empty() {
            self.line += &format!(" {}", p.note);
        }
    }

    fn flush(&mut self, out: &mut Vec<String>) {
        if !self.line.is_empty() {
            out.push(std::mem::take(&mut self.line));
        }
    }

    /// The hops printed so far.
    pub(super) fn hops(&self) -> Vec<Hop> {
        let first = (self.first_hop - 1) * self.per_hop;
        let printed = &self.probes[first..self.start.max(first)];
        printed
            .chunks(self.per_hop)
            .enumerate()
            .map(|(i, probes)| Hop {
                ttl: (self.first_hop + i) as u8,
                probes: probes.iter().map(|p| p.from.map(|from| (from, p.note.clone()))).collect(),
            })
            .collect()
    }
}

/// `%.3f` of milliseconds.
fn milliseconds(t: Time) -> String {
    let us = (t + 500) / 1000;
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A router on the way: TTL exceeded.
    OnTheWay,
    /// The probe ended here, with a remark for the line.
    Last(String),
}

impl Note {
    /// The meaning of an ICMP error (`parse_icmp_res`); `info` is the MTU of *fragmentation needed*.
    pub(super) fn of_icmp(ipv4: bool, kind: u8, code: u8, info: u32) -> Note {
        let text = match (ipv4, kind, code) {
            (true, 11, 0) | (false, 3, 0) => return Note::OnTheWay,
            (true, 3, 0 | 6 | 8 | 11) | (false, 1, 0) => "!N",
            (true, 3, 1 | 7 | 12) | (false, 1, 2 | 3) => "!H",
            (true, 3, 9 | 10 | 13) | (false, 1, 1) => "!X",
            // Port unreachable: the destination itself.
            (true, 3, 3) | (false, 1, 4) => "",
            (true, 3, 2) => "!P",
            (true, 3, 4) | (false, 2, _) => return Note::Last(format!("!F-{info}")),
            (true, 3, 5) => "!S",
            (true, 3, 14) => "!V",
            (true, 3, 15) => "!C",
            (true, 3, _) | (false, 1, _) => return Note::Last(format!("!<{code}>")),
            _ => return Note::Last(format!("!<{kind}-{code}>")),
        };
        Note::Last(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SEC;

    const WAIT: Time = 5 * SEC;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Sends what is due; returns the numbers sent and when to wake up.
    fn drive(t: &mut Table, now: Time, out: &mut Vec<String>) -> (Vec<usize>, Option<Time>) {
        let mut sent = Vec::new();
        loop {
            match t.next(now, out) {
                Next::Send(n) => {
                    t.probe(n).sent = Some(now);
                    sent.push(n);
                }
                Next::Close(_) => {}
                Next::Wait(at) => return (sent, Some(at)),
                Next::Done => return (sent, None),
            }
        }
    }

    /// Case traceroute-chain: sixteen probes are under way at once, answers come back hop by hop.
    #[test]
    fn sixteen_at_once_and_the_end_at_the_destination() {
        let (mut t, mut out) = (Table::new(1, 8, 3, 16, WAIT), Vec::new());
        let (sent, wake) = drive(&mut t, 0, &mut out);
        assert_eq!((sent.len(), wake), (16, Some(WAIT)));
        for n in 0..3 {
            t.answer(n, 50_000, ip(254), Note::OnTheWay);
        }
        for n in 3..16 {
            t.answer(n, 90_000, ip(2), Note::Last(String::new()));
        }
        let (sent, wake) = drive(&mut t, 90_000, &mut out);
        assert_eq!((sent, wake), (vec![], None), "nothing is sent behind the destination");
        assert_eq!(out, [" 1  10.0.0.254  0.050 ms  0.050 ms  0.050 ms", " 2  10.0.0.2  0.090 ms  0.090 ms  0.090 ms"]);
        assert_eq!(t.hops().len(), 2);
        assert_eq!(t.hops()[1].probes, vec![Some((ip(2), String::new())); 3]);
    }

    /// Case traceroute-chain, with a router that limits its errors: ` 1  * 10.0.0.254  T ms *`.
    #[test]
    fn stars_and_changing_addresses() {
        let (mut t, mut out) = (Table::new(1, 1, 3, 1, WAIT), Vec::new());
        assert_eq!(drive(&mut t, 0, &mut out), (vec![0], Some(WAIT)));
        assert_eq!(drive(&mut t, WAIT, &mut out), (vec![1], Some(2 * WAIT)), "nothing answered: the whole wait");
        t.answer(1, WAIT + MS, ip(254), Note::OnTheWay);
        let (sent, wake) = drive(&mut t, WAIT + MS, &mut out);
        assert_eq!((sent, wake), (vec![2], Some(WAIT + MS + 6 * MS)), "three times the hop's own time and 1 ms more");
        assert_eq!(drive(&mut t, WAIT + 7 * MS, &mut out), (vec![], None));
        assert_eq!(out, [" 1  * 10.0.0.254  1.000 ms *"]);

        let (mut t, mut out) = (Table::new(1, 1, 3, 3, WAIT), Vec::new());
        drive(&mut t, 0, &mut out);
        for (n, host) in [(0, 1), (1, 2), (2, 2)] {
            t.answer(n, MS, ip(host), Note::OnTheWay);
        }
        drive(&mut t, MS, &mut out);
        assert_eq!(out, [" 1  10.0.0.1  1.000 ms 10.0.0.2  1.000 ms  1.000 ms"]);
    }

    /// Case net-unreachable-router: the router reports only some of the probes.
    #[test]
    fn a_late_error_is_moved_to_the_hop_it_belongs_to() {
        let (mut t, mut out) = (Table::new(1, 3, 2, 16, WAIT), Vec::new());
        drive(&mut t, 0, &mut out);
        t.answer(4, MS, ip(254), Note::Last("!N".into()));
        t.answer(5, MS, ip(254), Note::Last("!N".into()));
        let (_, wake) = drive(&mut t, MS, &mut out);
        assert_eq!(wake, Some(20 * MS), "ten times the time of a later answer and 1 ms more");
        t.answer(0, 2 * MS, ip(254), Note::Last("!N".into()));
        assert_eq!(drive(&mut t, 20 * MS, &mut out), (vec![], None));
        assert_eq!(out, [" 1  10.0.0.254  2.000 ms !N  1.000 ms !N"]);
    }

    #[test]
    fn a_first_hop_can_be_chosen_and_sizes_are_sane() {
        let (mut t, mut out) = (Table::new(3, 4, 2, 1, WAIT), Vec::new());
        assert_eq!(t.next(0, &mut out), Next::Send(4));
        assert_eq!(t.ttl(4), 3);
        assert!(t.hops().is_empty());
        let mut odd = Table::new(0, 0, 0, 0, 0);
        assert_eq!(odd.next(0, &mut out), Next::Send(0));
        assert_eq!(milliseconds(1_234_567), "1.235");
    }

    #[test]
    fn remarks() {
        let of = |kind, code| Note::of_icmp(true, kind, code, 1400);
        let last = |s: &str| Note::Last(s.into());
        assert_eq!(of(11, 0), Note::OnTheWay);
        assert_eq!((of(3, 0), of(3, 1), of(3, 2), of(3, 3)), (last("!N"), last("!H"), last("!P"), last("")));
        assert_eq!((of(3, 4), of(3, 13), of(3, 99)), (last("!F-1400"), last("!X"), last("!<99>")));
        assert_eq!(of(12, 0), last("!<12-0>"));
        assert_eq!(Note::of_icmp(false, 1, 4, 0), last(""));
        assert_eq!(Note::of_icmp(false, 3, 0, 0), Note::OnTheWay);
    }
}
