//! Every frame at every device as one line: what `-v` shows.

use super::{
    LinkKinds,
    text::{Align, Style, Table},
    words,
};
use crate::{
    base::{DevId, Time, time},
    trace::{Direction, Event, FrameId, Names, Record, Sink},
    wire::dissect::summary,
};

/// One frame at one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLine {
    /// When, in virtual nanoseconds.
    pub time: Time,
    /// Which way, seen from the device.
    pub dir: Direction,
    /// Where.
    pub dev: DevId,
    /// Which frame.
    pub frame: Option<FrameId>,
    /// What, in words ([`summary`]).
    pub summary: String,
}

impl FrameLine {
    /// `DIR ns:dev summary`, as in `out a:eth0 ARP who-has 10.0.0.254 tell 10.0.0.1`.
    pub fn show(&self, names: &Names) -> String {
        format!("{} {} {}", words::direction(self.dir), names.full(self.dev), self.summary)
    }
}

/// Keeps the first frames of a run, one line each.
#[derive(Clone, Debug)]
pub struct FrameLog {
    limit: usize,
    lines: Vec<FrameLine>,
    left_out: u64,
    kinds: LinkKinds,
}

impl FrameLog {
    /// A log of at most `limit` lines; later frames are counted only.
    pub fn new(limit: usize) -> FrameLog {
        FrameLog { limit, lines: Vec::new(), left_out: 0, kinds: LinkKinds::default() }
    }

    /// Declares that a device other than `lo` has no link-layer header.
    pub fn declare_ip(&mut self, dev: DevId) {
        self.kinds.declare_ip(dev);
    }

    /// The lines in the order they were recorded.
    pub fn lines(&self) -> &[FrameLine] {
        &self.lines
    }

    /// Frames seen after the limit was reached.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// All lines with their times, aligned, and a last line that says how many are missing.
    pub fn render(&self, names: &Names, style: Style) -> String {
        let mut table = Table::new(&[("", Align::Right), ("", Align::Left), ("", Align::Left), ("", Align::Left)]);
        for l in &self.lines {
            let place = style.cyan(&names.full(l.dev));
            table.row([style.dim(&time::show(l.time)), words::direction(l.dir).into(), place, l.summary.clone()]);
        }
        let mut out = table.render(style, 0);
        if self.left_out > 0 {
            out.push_str(&style.yellow(&format!("… and {} more frames", self.left_out)));
            out.push('\n');
        }
        out
    }
}

impl Sink for FrameLog {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        let (Event::Frame { dir, bytes }, Some(dev)) = (record.event, record.dev) else { return };
        if self.lines.len() >= self.limit {
            self.left_out += 1;
            return;
        }
        let summary = summary(bytes, self.kinds.of(names, dev));
        self.lines.push(FrameLine { time: record.time, dir, dev, frame: record.frame, summary });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{MS, Mac, NsId},
        wire::dissect::build,
    };

    #[test]
    fn frames_become_lines_up_to_the_limit() {
        let mut names = Names::default();
        let a = names.add_ns("a");
        let (lo, eth0, tun0) = (names.add_dev(a, "lo"), names.add_dev(a, "eth0"), names.add_dev(a, "tun0"));
        let mut log = FrameLog::new(3);
        log.declare_ip(tun0);
        let arp = build::arp_request(Mac::derived("a", "eth0"), [10, 0, 0, 1].into(), [10, 0, 0, 254].into());
        let local = build::ip([127, 0, 0, 1], [127, 0, 0, 1]).echo(1, 1, b"");
        let mut see = |time, dev, dir, bytes: &[u8]| {
            let event = Event::Frame { dir, bytes };
            log.record(&names, &Record { time, ns: NsId(0), dev: Some(dev), frame: None, event });
        };
        see(MS, eth0, Direction::Out, &arp);
        see(20 * MS, lo, Direction::In, &local);
        see(21 * MS, tun0, Direction::In, &local);
        see(22 * MS, lo, Direction::In, &local);
        log.record(&names, &Record { time: 0, ns: a, dev: Some(eth0), frame: None, event: Event::Link { up: true } });
        assert_eq!(log.lines()[0].show(&names), "out a:eth0 ARP who-has 10.0.0.254 tell 10.0.0.1");
        assert_eq!(log.left_out(), 1);
        assert_eq!(
            log.render(&names, Style::PLAIN),
            " 1ms  out  a:eth0  ARP who-has 10.0.0.254 tell 10.0.0.1\n\
             20ms  in   a:lo    IP 127.0.0.1>127.0.0.1 ttl=64 ICMP echo-request id=1 seq=1 len=0\n\
             21ms  in   a:tun0  IP 127.0.0.1>127.0.0.1 ttl=64 ICMP echo-request id=1 seq=1 len=0\n\
             … and 1 more frames\n"
        );
    }
}
