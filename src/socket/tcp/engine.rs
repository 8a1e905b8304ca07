//! The seam around the TCP state machine: everything else in `tcp` talks to an engine through these traits, so another
//! one (with SACK-based recovery, say) can take the place of smoltcp without touching listeners, errors or calls.

use super::FrameMaker;
use crate::{
    base::{DevId, Time},
    socket::Options,
    wire::{Frame, be16, be32, checksum, ip, put16, tcp},
};
use std::net::SocketAddr;

/// States of a connection (RFC 9293 §3.3.2).
///
/// ```
/// use netsim::socket::tcp::TcpState;
/// assert_eq!(TcpState::TimeWait.name(), "TIME-WAIT");
/// assert_eq!(TcpState::Listen.number(), 0x0a);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TcpState {
    /// No connection.
    Closed,
    /// Waiting for connections.
    Listen,
    /// SYN sent.
    SynSent,
    /// SYN received and answered.
    SynReceived,
    /// Open.
    Established,
    /// FIN sent, not acknowledged.
    FinWait1,
    /// FIN acknowledged, none received.
    FinWait2,
    /// FIN received, none sent.
    CloseWait,
    /// Both FINs crossed.
    Closing,
    /// FIN received, then sent; not acknowledged.
    LastAck,
    /// Both FINs acknowledged; old segments may still arrive.
    TimeWait,
}

impl TcpState {
    /// The name in RFC 9293.
    pub const fn name(self) -> &'static str {
        match self {
            TcpState::Closed => "CLOSED",
            TcpState::Listen => "LISTEN",
            TcpState::SynSent => "SYN-SENT",
            TcpState::SynReceived => "SYN-RECEIVED",
            TcpState::Established => "ESTABLISHED",
            TcpState::FinWait1 => "FIN-WAIT-1",
            TcpState::FinWait2 => "FIN-WAIT-2",
            TcpState::CloseWait => "CLOSE-WAIT",
            TcpState::Closing => "CLOSING",
            TcpState::LastAck => "LAST-ACK",
            TcpState::TimeWait => "TIME-WAIT",
        }
    }

    /// The number `/proc/net/tcp` prints (include/net/tcp_states.h).
    pub const fn number(self) -> u8 {
        match self {
            TcpState::Established => 1,
            TcpState::SynSent => 2,
            TcpState::SynReceived => 3,
            TcpState::FinWait1 => 4,
            TcpState::FinWait2 => 5,
            TcpState::TimeWait => 6,
            TcpState::Closed => 7,
            TcpState::CloseWait => 8,
            TcpState::LastAck => 9,
            TcpState::Listen => 10,
            TcpState::Closing => 11,
        }
    }
}

/// The way segments of a connection leave: it decides the maximum segment size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Egress device.
    pub dev: DevId,
    /// Path MTU in bytes.
    pub mtu: u32,
}

/// The end points and settings a connection starts with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) rcvbuf: usize,
    pub(crate) sndbuf: usize,
    pub(crate) opts: &'a Options,
}

/// Runs state machines. Time is an argument; segments leave through a [`Tx`].
pub(crate) trait TcpEngine {
    /// One connection.
    type Conn: TcpConn;

    /// A connection in SYN-SENT whose initial sequence number depends on `isn_seed` alone: the same seed gives the
    /// same SYN again.
    fn connect(&mut self, path: Path, setup: &Setup<'_>, isn_seed: u64) -> Self::Conn;

    /// A connection that waits for the SYN it will be fed next.
    fn accept(&mut self, setup: &Setup<'_>) -> Self::Conn;

    /// Feeds a packet (IP header first) to a connection.
    fn input(&mut self, conn: &mut Self::Conn, path: Path, now: Time, packet: &[u8], tx: &mut Tx<'_>);

    /// Sends whatever is due.
    fn output(&mut self, conn: &mut Self::Conn, path: Path, now: Time, tx: &mut Tx<'_>);

    /// Retransmits what is unacknowledged now instead of when the timeout runs out. Returns what the engine's clock says
    /// afterwards; it must not be told an earlier time.
    fn retransmit(&mut self, conn: &mut Self::Conn, path: Path, now: Time, tx: &mut Tx<'_>) -> Time;

    /// When [`TcpEngine::output`] has something to do next, later than `now`.
    fn deadline(&mut self, conn: &Self::Conn, path: Path, now: Time) -> Option<Time>;
}

/// The app's side of a connection.
pub(crate) trait TcpConn {
    /// Its state.
    fn state(&self) -> TcpState;
    /// Appends to the send buffer and returns how much found room.
    fn send(&mut self, data: &[u8]) -> usize;
    /// Takes from the receive buffer.
    fn recv(&mut self, buf: &mut [u8]) -> usize;
    /// Bytes in the receive buffer.
    fn unread(&self) -> usize;
    /// Bytes in the send buffer, acknowledged ones excluded.
    fn unacked(&self) -> usize;
    /// Room in the send buffer.
    fn room(&self) -> usize;
    /// Sends a FIN after what is in the send buffer.
    fn shutdown(&mut self);
    /// Ends the connection; the next output sends a RST.
    fn abort(&mut self);
    /// Applies changed options.
    fn apply(&mut self, opts: &Options);
    /// Whether acknowledgments that nothing carries wait a little for something to carry them.
    fn delay_acks(&mut self, on: bool);
}

/// Takes outgoing segments: gets a frame for each, lets the engine write it, then sets what IP decides per socket and
/// notes what was said.
pub(crate) struct Tx<'a> {
    pub(crate) maker: &'a mut dyn FrameMaker,
    pub(crate) frames: &'a mut Vec<Frame>,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) ip_id: &'a mut u16,
    /// What the clock of the timestamp option says, in milliseconds. Linux adds a random offset for each connection.
    pub(crate) clock: u32,
    /// Highest sequence number sent so far, plus one.
    pub(crate) snd_nxt: &'a mut u32,
    /// Sequence number, acknowledgment and window of the last segment.
    pub(crate) last: &'a mut (u32, u32, u16),
    /// Segments that repeated what had been sent before.
    pub(crate) repeated: u64,
    /// Segments that only acknowledge.
    pub(crate) acks: u8,
    /// Data was sent.
    pub(crate) data: bool,
    /// Full segments since the last PSH, and how many of them go out as one (see [`Tx::push`]).
    pub(crate) train: (&'a mut u32, u32),
    /// Some segment was a reset.
    pub(crate) reset: bool,
}

impl Tx<'_> {
    /// Lets `fill` write a packet of `len` bytes and takes it.
    pub(crate) fn emit<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut frame = self.maker.frame(len);
        let b = frame.data_mut();
        let result = fill(b);
        let header = self.finish_ip(b);
        stamp(&mut b[header..], self.clock);
        if let Some(s) = tcp::Segment::parse(&b[header..]) {
            let end = s.seq.wrapping_add(s.seq_len());
            let first = s.flags & tcp::SYN != 0;
            // A SYN starts the numbers; the same SYN again does not.
            let old = s.seq_len() > 0 && (s.seq.wrapping_sub(*self.snd_nxt) as i32) < 0;
            let repeats = old && (!first || end == *self.snd_nxt);
            self.repeated += repeats as u64;
            self.acks += (s.seq_len() == 0 && s.flags & tcp::RST == 0) as u8;
            self.data |= s.len > 0;
            if s.len > 0 && !repeats {
                self.push(&mut b[header..], s.flags);
            }
            if first || (end.wrapping_sub(*self.snd_nxt) as i32) > 0 {
                *self.snd_nxt = end;
            }
            self.reset |= s.flags & tcp::RST != 0;
            *self.last = (s.seq, s.ack, s.window);
        }
        self.frames.push(frame);
        result
    }

    /// Linux hands segments to the device in trains of at most half the congestion window, and the last of a train
    /// carries PSH (`tcp_cwnd_test`, `__tcp_transmit_skb`, `tcp_gso_segment`).
    fn push(&mut self, segment: &mut [u8], flags: u8) {
        let (train, longest) = &mut self.train;
        **train += 1;
        if flags & tcp::PSH == 0 && **train >= (*longest).max(2) {
            let old = be16(segment, 12);
            segment[13] |= tcp::PSH;
            let new = be16(segment, 12);
            let sum = checksum::update(be16(segment, 16), &old.to_be_bytes(), &new.to_be_bytes());
            put16(segment, 16, sum);
        }
        if segment[13] & tcp::PSH != 0 {
            **train = 0;
        }
    }

    /// TTL, TOS and identification are the socket's, not the engine's: a SYN-ACK carries 0, everything else counts up
    /// (`ip_build_and_send_pkt`, `inet_sk(sk)->inet_id`). Returns the length of the IP header.
    fn finish_ip(&mut self, b: &mut [u8]) -> usize {
        if b[0] >> 4 != 4 {
            let word = be32(b, 0) & 0xf00f_ffff | (self.tos as u32) << 20;
            crate::wire::put32(b, 0, word);
            b[7] = self.ttl;
            return ip::V6_HEADER;
        }
        let header = (b[0] & 15) as usize * 4;
        let syn_ack = b.get(header + 13).is_some_and(|f| f & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK);
        let id = if syn_ack {
            0
        } else {
            *self.ip_id = self.ip_id.wrapping_add(1);
            *self.ip_id
        };
        b[1] = self.tos;
        b[8] = self.ttl;
        put16(b, 4, id);
        put16(b, 6, 0x4000 | be16(b, 6) & 0x8000);
        put16(b, 10, 0);
        let c = checksum::of(&b[..header]);
        put16(b, 10, c);
        header
    }
}

/// Writes the time into the timestamp option of a segment, if it has one (RFC 7323 §3.2), and repairs the checksum.
fn stamp(segment: &mut [u8], clock: u32) {
    const TIMESTAMP: u8 = 8;
    let end = segment.get(12).map_or(0, |b| (b >> 4) as usize * 4).min(segment.len());
    let mut at = tcp::HEADER;
    while at + 10 <= end && segment[at] != TIMESTAMP {
        at += match segment[at] {
            0 => return,
            1 => 1,
            _ => segment[at + 1].max(2) as usize,
        };
    }
    if at + 10 <= end {
        let (old, new) = ([segment[at + 2], segment[at + 3], segment[at + 4], segment[at + 5]], clock.to_be_bytes());
        segment[at + 2..at + 6].copy_from_slice(&new);
        // The checksum counts 16-bit words of the segment: an option at an odd place has its bytes in the other halves.
        let words = |[a, b, c, d]: [u8; 4]| if at.is_multiple_of(2) { [a, b, c, d, 0, 0] } else { [0, a, b, c, d, 0] };
        let sum = checksum::update(be16(segment, 16), &words(old), &words(new));
        put16(segment, 16, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    /// The checksum stays right wherever the option stands, and segments without one are left alone.
    #[test]
    fn time_is_written_into_the_option() {
        let (src, dst) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
        for padding in [0, 1, 2, 3] {
            let mut s = vec![0; tcp::HEADER];
            s.extend(std::iter::repeat_n(1, padding));
            s.extend([8, 10, 0, 0, 0, 0, 1, 2, 3, 4]);
            s.resize(s.len().next_multiple_of(4), 0);
            s[12] = ((s.len() / 4) << 4) as u8;
            s.extend(b"data");
            let sum = checksum::upper(src, dst, crate::base::proto::TCP, &s);
            put16(&mut s, 16, sum);
            stamp(&mut s, 0x1234_5678);
            let at = tcp::HEADER + padding;
            assert_eq!(s[at + 2..at + 10], [0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4]);
            assert_eq!(checksum::upper(src, dst, crate::base::proto::TCP, &s), 0, "{padding}");
        }
        let mut plain = vec![7; tcp::HEADER + 4];
        plain[12] = 6 << 4;
        let before = plain.clone();
        stamp(&mut plain, 1);
        assert_eq!(plain, before);
        stamp(&mut [], 1);
    }
}
