//! Putting fragments back together (RFC 791 §3.2, RFC 815, RFC 5722; net/ipv4/ip_fragment.c).

use crate::{
    base::Time,
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
    have: usize,
    bytes: usize,
    largest: usize,
}

struct Piece {
    offset: usize,
    len: usize,
    header: IpHeader,
    frame: Frame,
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
}

impl Reassembly {
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
                    have: 0,
                    bytes: 0,
                    largest: 0,
                });
                self.datagrams.len() - 1
            }
        };
        let offset = ip.frag_offset;
        let len = ip.total_len - ip.header_len;
        let end = offset + len;
        let datagram = &mut self.datagrams[at];

        // All but the last fragment carry a multiple of 8 bytes; nothing lies behind the last (RFC 791 §3.2).
        let misfit = (ip.more_fragments && (len == 0 || !len.is_multiple_of(8)))
            || end > 65_535
            || datagram.total.is_some_and(|t| end > t || (!ip.more_fragments && end != t))
            || (!ip.more_fragments && datagram.pieces.last().is_some_and(|p| p.offset + p.len > end));
        if misfit {
            return self.discard(at, frame, DropReason::IpInHdr);
        }
        let slot = datagram.pieces.partition_point(|p| p.offset < offset);
        // An exact copy of what is here is ignored; any other overlap discards everything (RFC 5722; inet_frag_queue_insert).
        let covered = datagram.pieces.iter().any(|p| p.offset <= offset && end <= p.offset + p.len);
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
        datagram.pieces.insert(slot, Piece { offset, len, header: *ip, frame });
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
