//! The sequence windows of a tracked TCP connection (`tcp_in_window` of nf_conntrack_proto_tcp.c, Linux 6.18): which
//! segments can belong to the connection, judged from what each side sent, acknowledged and offered.

use super::{Tunables, tcp_state::TcpState};
use crate::wire::{
    be32,
    tcp::{ACK, RST, SYN, Segment},
};

/// Acknowledgments may lag behind by this much, or by the largest window if that is larger (`MAXACKWINCONST`).
const MAX_ACK_WINDOW: u32 = 66_000;
/// The largest shift of a window (RFC 7323 §2.3).
const MAX_SCALE: u8 = 14;

/// What is known of one side (`struct ip_ct_tcp_state`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// Sequence number behind the last byte it sent.
    pub end: u32,
    /// The highest sequence number the other side allows, plus one.
    pub max_end: u32,
    /// The largest window it offered; 0 before its first segment.
    pub max_window: u32,
    /// Highest acknowledgment it sent.
    pub max_ack: u32,
    /// The shift of its window.
    pub scale: u8,
    pub scales: bool,
    pub sack: bool,
    pub max_ack_set: bool,
    /// It sent the first FIN.
    pub close_init: bool,
    /// It sent data that is not acknowledged.
    pub unacked: bool,
    /// Its windows are not known, so nothing it sends is called INVALID for them.
    pub liberal: bool,
}

/// What the windows say of a segment (`enum nf_ct_tcp_action`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InWindow {
    Yes,
    /// An old segment: it passes and changes nothing.
    Old,
    /// It cannot belong to the connection.
    No,
}

/// The numbers of a segment, for one look at the windows.
struct Numbers {
    seq: u32,
    end: u32,
    ack: u32,
    sack: u32,
    window: u32,
}

fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

fn after(a: u32, b: u32) -> bool {
    before(b, a)
}

impl Peer {
    /// The sender of a segment that opens a connection (`tcp_new`): a SYN tells everything, a segment from the middle
    /// tells where the stream is and leaves the scale unknown.
    pub fn opening(seg: &Segment, options: &[u8]) -> Peer {
        let end = seg.seq.wrapping_add(seg.seq_len());
        let window = (seg.window as u32).max(1);
        let mut peer = Peer { end, max_end: end, max_window: window, ..Peer::default() };
        if seg.flags & SYN != 0 {
            peer.read_options(options);
        } else {
            peer.max_end = end.wrapping_add(window);
            (peer.sack, peer.liberal) = (true, true);
        }
        peer
    }

    /// A side of which only an ignored SYN is known, now that it was answered.
    pub fn from_ignored(end: u32, window: u16, scale: Option<u8>, sack: bool) -> Peer {
        let (max_window, scales) = ((window as u32).max(1), scale.is_some());
        Peer { end, max_end: end, max_window, scale: scale.unwrap_or(0), scales, sack, ..Peer::default() }
    }

    /// The options of a SYN (`tcp_options`).
    fn read_options(&mut self, options: &[u8]) {
        let (scale, sack) = syn_options(options);
        (self.scale, self.scales, self.sack) = (scale.unwrap_or(0), scale.is_some(), sack);
    }

    fn max_ack_window(&self) -> u32 {
        self.max_window.max(MAX_ACK_WINDOW)
    }
}

/// Calls `see` with kind and value of each option.
fn each_option(options: &[u8], mut see: impl FnMut(u8, &[u8])) {
    let mut rest = options;
    while let [kind, tail @ ..] = rest {
        match (kind, tail.first()) {
            (0, _) => return,
            (1, _) => rest = tail,
            (kind, Some(&len)) if len >= 2 && len as usize <= rest.len() => {
                see(*kind, &rest[2..len as usize]);
                rest = &rest[len as usize..];
            }
            _ => return,
        }
    }
}

/// Window scale and SACK-permitted of a SYN.
pub(super) fn syn_options(options: &[u8]) -> (Option<u8>, bool) {
    let (mut scale, mut sack) = (None, false);
    each_option(options, |kind, value| match (kind, value) {
        (3, [shift]) => scale = Some((*shift).min(MAX_SCALE)),
        (4, []) => sack = true,
        _ => {}
    });
    (scale, sack)
}

/// The highest right edge of the SACK blocks, or `ack` (`tcp_sack`).
fn sacked(options: &[u8], ack: u32) -> u32 {
    let mut highest = ack;
    each_option(options, |kind, value| {
        if kind == 5 {
            for block in value.chunks_exact(8) {
                let right = be32(block, 4);
                if after(right, highest) {
                    highest = right;
                }
            }
        }
    });
    highest
}

/// Judges a segment in direction `reply` of a connection in `state`, and moves the windows on.
pub(super) fn judge(
    peers: &mut [Peer; 2],
    state: TcpState,
    seg: &Segment,
    options: &[u8],
    reply: bool,
    t: &Tunables,
) -> InWindow {
    let (syn, has_ack) = (seg.flags & SYN != 0, seg.flags & ACK != 0);
    let [original, answering] = peers;
    let (sender, receiver) = if reply { (answering, original) } else { (original, answering) };
    let end = seg.seq.wrapping_add(seg.seq_len());
    let sack = if receiver.sack { sacked(options, seg.ack) } else { seg.ack };
    let mut n = Numbers { seq: seg.seq, end, ack: seg.ack, sack, window: seg.window as u32 };
    if sender.max_window == 0 && !syn {
        // The middle of a connection: what the segment says is all there is.
        let window = n.window << sender.scale;
        sender.end = end;
        sender.max_window = window.max(1);
        sender.max_end = end.wrapping_add(sender.max_window);
        if receiver.max_window == 0 {
            (receiver.end, receiver.max_end) = (n.sack, n.sack);
        } else if n.sack == receiver.end.wrapping_add(1) {
            receiver.end = receiver.end.wrapping_add(1); // the answer to a keep-alive
        }
    } else if sender.max_window == 0 || (syn && reply && state == TcpState::SynSent) {
        begin(sender, receiver, &n, options, reply);
        if !has_ack {
            return InWindow::Yes; // simultaneous open
        }
    } else if matches!((state, reply), (TcpState::SynSent, false) | (TcpState::SynRecv, true)) && after(end, sender.end)
    {
        // RFC 9293 §3.6.1: begun again, with higher sequence numbers.
        (sender.end, sender.max_end, sender.max_window) = (end, end, n.window.max(1));
        sender.read_options(options);
    }
    if !has_ack || (seg.flags & RST != 0 && n.ack == 0) {
        (n.ack, n.sack) = (receiver.end, receiver.end);
    }
    if seg.flags & RST != 0 && n.seq == 0 && state == TcpState::SynSent {
        (n.seq, n.end) = (sender.end, sender.end); // the answer to a SYN
    }
    match fits(sender, receiver, &n) {
        InWindow::Yes => {}
        _ if sender.liberal || t.tcp_be_liberal != 0 => return InWindow::Yes,
        no => return no,
    }
    follow(sender, receiver, &n, syn, has_ack);
    InWindow::Yes
}

/// The first SYN of a side (`tcp_init_sender`). Windows are scaled only if both sides offer to.
fn begin(sender: &mut Peer, receiver: &mut Peer, n: &Numbers, options: &[u8], reply: bool) {
    (sender.end, sender.max_end, sender.max_window) = (n.end, n.end, n.window.max(1));
    sender.read_options(options);
    if reply && !(sender.scales && receiver.scales) {
        (sender.scale, receiver.scale) = (0, 0);
    }
}

/// The four bounds.
fn fits(sender: &mut Peer, receiver: &Peer, n: &Numbers) -> InWindow {
    let in_window = after(n.end, sender.end.wrapping_sub(receiver.max_window).wrapping_sub(1));
    let ack_recent = after(n.sack, receiver.end.wrapping_sub(sender.max_ack_window()).wrapping_sub(1));
    let ack_sent = before(n.sack, receiver.end.wrapping_add(1));
    if !before(n.seq, sender.max_end.wrapping_add(1)) {
        let overshot = n.end.wrapping_sub(sender.max_end).wrapping_add(1);
        if receiver.max_window != 0 && in_window && ack_recent && ack_sent && overshot <= receiver.max_window {
            // More than the window allows: INVALID, but its acknowledgment must not be.
            sender.end = n.end;
            sender.unacked = true;
        }
        return InWindow::No;
    }
    if !ack_sent {
        return InWindow::No;
    }
    if (receiver.max_window != 0 && !in_window) || !ack_recent { InWindow::Old } else { InWindow::Yes }
}

/// A segment within the windows moves them.
fn follow(sender: &mut Peer, receiver: &mut Peer, n: &Numbers, syn: bool, has_ack: bool) {
    let window = if syn { n.window } else { n.window << sender.scale };
    sender.max_window = sender.max_window.max(window.wrapping_add(n.sack.wrapping_sub(n.ack)));
    if after(n.end, sender.end) {
        sender.end = n.end;
        sender.unacked = true;
    }
    if has_ack && (!sender.max_ack_set || after(n.ack, sender.max_ack)) {
        (sender.max_ack, sender.max_ack_set) = (n.ack, true);
    }
    if receiver.max_window != 0 && after(n.end, sender.max_end) {
        receiver.max_window = receiver.max_window.wrapping_add(n.end.wrapping_sub(sender.max_end));
    }
    let allowed = n.sack.wrapping_add(window);
    if after(allowed, receiver.max_end.wrapping_sub(1)) {
        receiver.max_end = allowed.wrapping_add((window == 0) as u32);
    }
    if n.ack == receiver.end {
        receiver.unacked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seg(flags: u8, seq: u32, ack: u32, len: usize) -> Segment {
        Segment { sport: 1, dport: 2, seq, ack, flags, window: 1000, header_len: 20, len }
    }

    /// Two peers after the handshake: the client sent 100, the server 500, both offer 1000 << 1.
    fn open() -> [Peer; 2] {
        let scale = [3, 3, 1, 4, 2];
        let mut peers = [Peer::opening(&seg(SYN, 100, 0, 0), &scale), Peer::default()];
        let t = Tunables::default();
        let mut say = |state, s: Segment, options: &[u8], reply| {
            assert_eq!(judge(&mut peers, state, &s, options, reply, &t), InWindow::Yes);
        };
        say(TcpState::None, seg(SYN, 100, 0, 0), &scale, false);
        say(TcpState::SynSent, seg(SYN | ACK, 500, 101, 0), &scale, true);
        say(TcpState::SynRecv, seg(ACK, 101, 501, 0), &[], false);
        say(TcpState::Established, seg(ACK, 501, 101, 0), &[], true);
        peers
    }

    #[test]
    fn bounds() {
        let t = Tunables::default();
        let look = |s: Segment, reply| judge(&mut open(), TcpState::Established, &s, &[], reply, &t);
        assert_eq!(look(seg(ACK, 101, 501, 1000), false), InWindow::Yes);
        assert_eq!(look(seg(ACK, 2101, 501, 0), false), InWindow::Yes); // the scaled window
        assert_eq!(look(seg(ACK, 2102, 501, 1), false), InWindow::No); // beyond it
        assert_eq!(look(seg(ACK, 101, 502, 0), false), InWindow::No); // acknowledges what was not sent
        assert_eq!(look(seg(ACK, 101u32.wrapping_sub(3000), 501, 10), false), InWindow::Old);
        assert_eq!(look(seg(ACK, 101, 501u32.wrapping_sub(67_000), 0), false), InWindow::Old);
        let liberal = Tunables { tcp_be_liberal: 1, ..t.clone() };
        assert_eq!(
            judge(&mut open(), TcpState::Established, &seg(ACK, 9999, 501, 0), &[], false, &liberal),
            InWindow::Yes
        );
    }

    /// Data beyond the window is INVALID, yet the acknowledgment of it is not.
    #[test]
    fn the_acknowledgment_of_an_overshot_passes() {
        let (t, mut peers) = (Tunables::default(), open());
        let mut look = |s: Segment, reply| judge(&mut peers, TcpState::Established, &s, &[], reply, &t);
        assert_eq!(look(seg(ACK, 2102, 501, 10), false), InWindow::No);
        assert_eq!(look(seg(ACK, 501, 2112, 0), true), InWindow::Yes);
    }

    #[test]
    fn scaling_takes_two() {
        let mut peers = [Peer::opening(&seg(SYN, 100, 0, 0), &[1, 3, 3, 7]), Peer::default()];
        assert!(peers[0].scales && !peers[0].sack);
        let t = Tunables::default();
        judge(&mut peers, TcpState::SynSent, &seg(SYN | ACK, 500, 101, 0), &[4, 2], true, &t);
        assert_eq!((peers[0].scale, peers[1].scale, peers[1].sack), (0, 0, true));
    }

    #[test]
    fn a_picked_up_connection_is_not_judged() {
        let mut peers = [Peer::opening(&seg(ACK, 100, 7, 10), &[]), Peer::default()];
        let t = Tunables::default();
        assert_eq!(judge(&mut peers, TcpState::Established, &seg(ACK, 90_000, 7, 0), &[], false, &t), InWindow::Yes);
    }

    #[test]
    fn options_and_blocks() {
        assert_eq!(syn_options(&[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 20]), (Some(14), true));
        assert_eq!(syn_options(&[0, 3, 3, 7]), (None, false));
        assert_eq!(syn_options(&[3]), (None, false));
        assert_eq!(syn_options(&[3, 0]), (None, false));
        let blocks = [1, 1, 5, 18, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 40, 0, 0, 0, 50];
        assert_eq!(sacked(&blocks, 10), 50);
        assert_eq!(sacked(&[], 10), 10);
    }
}
