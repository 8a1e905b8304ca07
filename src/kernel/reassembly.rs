//! Putting fragments back together (RFC 791 §3.2, RFC 815, RFC 5722; net/ipv4/ip_fragment.c).

use crate::{
    base::{Map, Time},
    trace::DropReason,
    wire::{Frame, IpHeader},
};
use std::{collections::VecDeque, net::IpAddr};

/// At most this many datagrams are incomplete at once; the oldest goes first.
const MAX_DATAGRAMS: usize = 1024;
/// A datagram is at most 64 KiB, in pieces of at least 8 bytes; nobody sends more than this many.
const MAX_PIECES: usize = 8192;

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct DatagramKey {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    proto: u8,
}

struct Datagram {
    key: DatagramKey,
    deadline: Time,
    /// Sorted by offset, never overlapping.
    pieces: Vec<Piece>,
    /// Bytes of payload of the whole datagram, known once its last fragment is here.
    total: Option<usize>,
    /// The furthest end of a fragment so far.
    end: usize,
    have: usize,
    bytes: usize,
    largest: usize,
    /// How many fragments of its source had come when the last of its own came.
    seen: u32,
}

struct Piece {
    offset: usize,
    len: usize,
    header: IpHeader,
    frame: Frame,
    /// Pieces that came one right behind the other share a number.
    run: u32,
}

/// What became of a fragment.
pub enum Outcome {
    /// The datagram is not complete yet.
    Waiting,
    /// The datagram is complete: its pieces in order, first fragment first, and the size of the largest packet.
    Complete(Vec<(IpHeader, Frame)>, usize),
    /// The fragments in the list are dropped.
    Dropped(Vec<(Frame, DropReason)>),
}

/// The incomplete datagrams of a namespace, oldest first.
#[derive(Default)]
pub struct Reassembly {
    datagrams: VecDeque<Datagram>,
    bytes: usize,
    /// Fragments by source, while `ipfrag_max_dist` is on.
    from: Map<IpAddr, u32>,
    runs: u32,
}

impl Reassembly {
    /// Counts a fragment of its source. If too many others came since the last of its datagram, that datagram begins anew:
    /// its identification was used twice (ip_frag_too_far, ip_frag_reinit). Gives back what was there.
    pub fn restart_if_far(&mut self, ip: &IpHeader, distance: u32) -> Vec<Frame> {
        if distance == 0 {
            return Vec::new();
        }
        if self.from.len() >= MAX_DATAGRAMS && !self.from.contains_key(&ip.src) {
            self.from.clear();
        }
        let count = self.from.entry(ip.src).or_default();
        *count = count.wrapping_add(1);
        let count = *count;
        let key = DatagramKey { src: ip.src, dst: ip.dst, id: ip.id, proto: ip.proto };
        let Some(d) = self.datagrams.iter_mut().find(|d| d.key == key) else { return Vec::new() };
        let far = count.wrapping_sub(d.seen) > distance && !d.pieces.is_empty();
        d.seen = count;
        if !far {
            return Vec::new();
        }
        self.bytes -= d.bytes;
        (d.total, d.have, d.bytes, d.largest, d.end) = (None, 0, 0, 0, 0);
        std::mem::take(&mut d.pieces).into_iter().map(|p| p.frame).collect()
    }

    /// Takes a fragment. `timeout` is how long its datagram is kept from its first fragment on, `budget` how many
    /// bytes all incomplete datagrams together may take.
    pub fn add(&mut self, now: Time, timeout: Time, budget: usize, ip: &IpHeader, frame: Frame) -> Outcome {
        let key = DatagramKey { src: ip.src, dst: ip.dst, id: ip.id, proto: if ip.is_ipv4() { ip.proto } else { 0 } };
        let at = match self.datagrams.iter().position(|d| d.key == key) {
            Some(i) => i,
            None => {
                self.datagrams.push_back(Datagram {
                    key,
                    deadline: now + timeout,
                    pieces: Vec::new(),
                    total: None,
                    end: 0,
                    seen: self.from.get(&ip.src).copied().unwrap_or(0),
                    have: 0,
                    bytes: 0,
                    largest: 0,
                });
                self.datagrams.len() - 1
            }
        };
        let offset = ip.frag_offset;
        // All but the last fragment count in units of 8 bytes; what is more is cut off (ip_frag_queue). IPv6 refuses it.
        let whole = ip.total_len - ip.header_len;
        let len = if ip.more_fragments && ip.is_ipv4() { ((offset + whole) & !7) - offset } else { whole };
        let end = offset + len;
        let datagram = &mut self.datagrams[at];

        // Nothing lies behind the last (RFC 791 §3.2).
        let misfit = len == 0
            || (ip.more_fragments && !len.is_multiple_of(8))
            || end > 65_535
            || datagram.total.is_some_and(|t| end > t || (!ip.more_fragments && end != t))
            || (!ip.more_fragments && datagram.end > end);
        if misfit {
            return self.discard(at, frame, DropReason::IpInHdr);
        }
        let slot = datagram.pieces.partition_point(|p| p.offset < offset);
        datagram.end = datagram.end.max(end);
        // A copy of what came in one run is ignored; any other overlap discards everything (RFC 5722; inet_frag_queue_insert).
        let covered = datagram.pieces.iter().any(|first| {
            let run = datagram.pieces.iter().filter(|p| p.run == first.run);
            first.offset <= offset && run.map(|p| p.offset + p.len).max().is_some_and(|last| end <= last)
        });
        if covered {
            return Outcome::Dropped(vec![(frame, DropReason::DupFrag)]);
        }
        let before = slot > 0 && datagram.pieces[slot - 1].offset + datagram.pieces[slot - 1].len > offset;
        let after = datagram.pieces.get(slot).is_some_and(|p| p.offset < end);
        if before || after || datagram.pieces.len() >= MAX_PIECES {
            return self.discard(at, frame, DropReason::FragOverlap);
        }
        if !ip.more_fragments {
            datagram.total = Some(end);
        }
        let size = frame.len();
        datagram.have += len;
        datagram.bytes += size;
        datagram.largest = datagram.largest.max(ip.total_len);
        let run = match datagram.pieces.last() {
            Some(last) if last.offset + last.len == offset => last.run,
            _ => {
                self.runs = self.runs.wrapping_add(1);
                self.runs
            }
        };
        let mut header = *ip;
        header.total_len -= whole - len;
        datagram.pieces.insert(slot, Piece { offset, len, header, frame, run });
        self.bytes += size;
        if datagram.total == Some(datagram.have) {
            let done = self.datagrams.remove(at).expect("found above");
            self.bytes -= done.bytes;
            let largest = done.largest;
            return Outcome::Complete(done.pieces.into_iter().map(|p| (p.header, p.frame)).collect(), largest);
        }
        let mut evicted = Vec::new();
        while (self.bytes > budget || self.datagrams.len() > MAX_DATAGRAMS) && self.datagrams.len() > 1 {
            let old = self.datagrams.pop_front().expect("more than one");
            self.bytes -= old.bytes;
            evicted.extend(old.pieces.into_iter().map(|p| (p.frame, DropReason::FragQueueFull)));
        }
        if evicted.is_empty() { Outcome::Waiting } else { Outcome::Dropped(evicted) }
    }

    fn discard(&mut self, at: usize, frame: Frame, reason: DropReason) -> Outcome {
        let gone = self.datagrams.remove(at).expect("the caller found it");
        self.bytes -= gone.bytes;
        let mut frames: Vec<_> = gone.pieces.into_iter().map(|p| (p.frame, reason)).collect();
        frames.push((frame, reason));
        Outcome::Dropped(frames)
    }

    /// Removes the oldest datagram if its time is over: its pieces in order, and whether the first fragment is among
    /// them, in which case the sender is told (RFC 792, RFC 1122 §3.3.2).
    pub fn expire(&mut self, now: Time) -> Option<(Vec<(IpHeader, Frame)>, bool)> {
        // Timeouts can differ when the sysctl changed meanwhile, so the oldest is not always the first due.
        let at = self.datagrams.iter().position(|d| d.deadline <= now)?;
        let gone = self.datagrams.remove(at).expect("position found it");
        self.bytes -= gone.bytes;
        let first = gone.pieces.first().is_some_and(|p| p.offset == 0);
        Some((gone.pieces.into_iter().map(|p| (p.header, p.frame)).collect(), first))
    }

    /// When the next datagram times out.
    pub fn next_deadline(&self) -> Option<Time> {
        self.datagrams.iter().map(|d| d.deadline).min()
    }

    /// Fragments waiting.
    pub fn queued(&self) -> usize {
        self.datagrams.iter().map(|d| d.pieces.len()).sum()
    }

    /// Datagrams waiting and the bytes they take (`/proc/net/sockstat`).
    pub fn usage(&self) -> (usize, usize) {
        (self.datagrams.len(), self.bytes)
    }
}
