//! One capture file for the whole lab: every frame at every device, each with a note of what became of it.
//!
//! The fate of a frame is known only later than its bytes, so the sink keeps what it sees, up to a limit, and writes the
//! file when the run is over. In Wireshark every device is an interface named `ns:dev`, and each packet carries
//! comments: the frame's number and where it came from, its fate, and what a bridge or NAT did to it on the way.

mod blocks;

use super::{LinkKinds, words};
use crate::{
    base::{DevId, Map, NsId, Time, Tuple},
    trace::{Delivery, Direction, DropReason, Event, FrameId, HookPoint, Names, Origin, Record, Sink, Switching},
    wire::dissect::LinkKind,
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::IpAddr,
};

/// Records every [`Event::Frame`] and writes them as pcapng.
///
/// Times in the file are virtual nanoseconds since 1970-01-01T00:00:00Z. The file holds nothing of the machine it was
/// written on: equal runs give equal files. Add the sink as `Arc<Mutex<PcapngSink>>` and keep the other handle.
///
/// ```
/// use netsim::{report::pcapng::PcapngSink, trace::Names};
/// let mut file = Vec::new();
/// let summary = PcapngSink::new(1 << 20).finish(&Names::default(), &mut file)?;
/// assert_eq!((summary.packets, summary.left_out, summary.bytes), (0, 0, file.len() as u64));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct PcapngSink {
    limit: usize,
    used: usize,
    full: bool,
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    frames: Vec<FrameInfo>,
    index: Map<FrameId, u32>,
    notes: Vec<Note>,
    left_out: u64,
    kinds: LinkKinds,
    hosts: Vec<(IpAddr, String)>,
}

/// What [`PcapngSink::finish`] wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PcapngSummary {
    /// Packets in the file.
    pub packets: u64,
    /// Devices with at least one packet: the interfaces of the file.
    pub devices: u64,
    /// Packets seen after the limit was reached; they are not in the file, and its header says so.
    pub left_out: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

struct Packet {
    time: Time,
    dev: DevId,
    dir: Direction,
    /// Index into `frames`.
    frame: Option<u32>,
    start: usize,
    len: usize,
}

struct FrameInfo {
    id: FrameId,
    born: Option<(Origin, Option<FrameId>)>,
    fate: Option<(Time, NsId, Option<DevId>, Fate)>,
}

#[derive(Clone, Copy)]
enum Fate {
    Delivered(Delivery),
    Dropped(DropReason),
}

/// Something that happened to a frame between two of its packets.
struct Note {
    frame: u32,
    /// How many packets had been recorded before.
    after: usize,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Nat(HookPoint, Tuple, Tuple),
    Switched(Option<DevId>, Switching),
}

impl PcapngSink {
    /// A sink that keeps at most about `limit` bytes in memory. When that is reached, later packets are counted but
    /// left out.
    pub fn new(limit: usize) -> PcapngSink {
        PcapngSink {
            limit,
            used: 0,
            full: false,
            bytes: Vec::new(),
            packets: Vec::new(),
            frames: Vec::new(),
            index: Map::default(),
            notes: Vec::new(),
            left_out: 0,
            kinds: LinkKinds::default(),
            hosts: Vec::new(),
        }
    }

    /// Declares that a device other than `lo` has no link-layer header.
    pub fn declare_ip(&mut self, dev: DevId) {
        self.kinds.declare_ip(dev);
    }

    /// Gives an address a name in the file's name resolution block.
    pub fn name_host(&mut self, addr: IpAddr, name: &str) {
        self.hosts.push((addr, name.to_owned()));
    }

    /// Packets left out so far because the limit was reached.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes `bytes` of the limit, once and for all.
    fn reserve(&mut self, bytes: usize) -> bool {
        self.full |= self.used + bytes > self.limit;
        if !self.full {
            self.used += bytes;
        }
        !self.full
    }

    /// The slot of a frame, made if there is room for it.
    fn frame(&mut self, id: FrameId) -> Option<u32> {
        if let Some(i) = self.index.get(&id) {
            return Some(*i);
        }
        // The map holds key and slot at a load of at least 7/16.
        const COST: usize = size_of::<FrameInfo>() + size_of::<(FrameId, u32)>() * 16 / 7;
        self.reserve(COST).then(|| {
            let i = self.frames.len() as u32;
            self.frames.push(FrameInfo { id, born: None, fate: None });
            self.index.insert(id, i);
            i
        })
    }

    fn packet(&mut self, record: &Record<'_>, dir: Direction, bytes: &[u8]) {
        let Some(dev) = record.dev else { return };
        let frame = record.frame.and_then(|id| self.frame(id));
        if !self.reserve(size_of::<Packet>() + bytes.len()) {
            self.left_out += 1;
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.packets.push(Packet { time: record.time, dev, dir, frame, start, len: bytes.len() });
    }

    fn note(&mut self, record: &Record<'_>, what: What) {
        let frame = record.frame.and_then(|id| self.index.get(&id).copied());
        if let Some(frame) = frame
            && self.reserve(size_of::<Note>())
        {
            self.notes.push(Note { frame, after: self.packets.len(), what });
        }
    }

    fn fate(&mut self, record: &Record<'_>, fate: Fate) {
        if let Some(i) = record.frame.and_then(|id| self.index.get(&id)) {
            self.frames[*i as usize].fate = Some((record.time, record.ns, record.dev, fate));
        }
    }

    /// Where each note is shown: at the next packet of its frame, which shows the result, or else at the last.
    /// The answer is ordered by packet.
    fn placed_notes(&self) -> Vec<(usize, What)> {
        let mut last = vec![None; self.frames.len()];
        for (i, p) in self.packets.iter().enumerate() {
            if let Some(f) = p.frame {
                last[f as usize] = Some(i);
            }
        }
        let mut next: Vec<Option<usize>> = vec![None; self.frames.len()];
        let mut placed = Vec::with_capacity(self.notes.len());
        let mut notes = self.notes.iter().rev().peekable();
        for i in (0..=self.packets.len()).rev() {
            while let Some(n) = notes.next_if(|n| n.after == i) {
                let at = next[n.frame as usize].or(last[n.frame as usize]);
                placed.extend(at.map(|at| (at, n.what)));
            }
            if i > 0
                && let Some(f) = self.packets[i - 1].frame
            {
                next[f as usize] = Some(i - 1);
            }
        }
        placed.reverse();
        placed.sort_by_key(|(at, _)| *at); // stable: in the order they happened
        placed
    }

    fn comments(&self, names: &Names, frame: u32, notes: &[(usize, What)]) -> Vec<String> {
        let f = &self.frames[frame as usize];
        let name = words::frame(names, f.id);
        let mut comments = vec![match f.born {
            Some((origin, parent)) => format!("frame {name}: {}", words::birth(names, origin, parent)),
            None => format!("frame {name}"),
        }];
        comments.push(match f.fate {
            Some((at, ns, dev, fate)) => {
                let what = match fate {
                    Fate::Delivered(d) => words::delivery(d).to_owned(),
                    Fate::Dropped(r) => format!("dropped: {}", words::drop_reason(r)),
                };
                words::fate(&what, &words::place(names, ns, dev), at)
            }
            None => "in flight when the run ended".into(),
        });
        comments.extend(notes.iter().map(|(_, what)| match *what {
            What::Nat(hook, before, after) => words::nat(hook, before, after),
            What::Switched(bridge, to) => words::switching(names, bridge, to),
        }));
        comments
    }

    /// Writes everything recorded so far as one pcapng file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(&self, names: &Names, out: &mut dyn Write) -> io::Result<PcapngSummary> {
        let mut w = blocks::Writer::new(out);
        let note = (self.left_out > 0).then(|| {
            format!(
                "The limit of {} bytes for the capture was reached: {} later packets are not in this file.",
                self.limit, self.left_out
            )
        });
        w.section_header(concat!("netsim ", env!("CARGO_PKG_VERSION")), note.as_deref())?;
        if !self.hosts.is_empty() {
            w.names(&self.hosts)?;
        }
        let mut interfaces: BTreeMap<DevId, u32> = self.packets.iter().map(|p| (p.dev, 0)).collect();
        for (i, (dev, interface)) in interfaces.iter_mut().enumerate() {
            *interface = i as u32;
            let link_type = match self.kinds.of(names, *dev) {
                LinkKind::Ethernet => blocks::ETHERNET,
                LinkKind::Ip => blocks::RAW,
            };
            w.interface(link_type, &names.full(*dev))?;
        }
        let notes = self.placed_notes();
        // Partitions of a parallel run report one after the other; readers expect time to go forward.
        let mut order: Vec<usize> = (0..self.packets.len()).collect();
        order.sort_by_key(|i| self.packets[*i].time);
        for i in order {
            let p = &self.packets[i];
            let mine = notes.partition_point(|(at, _)| *at < i)..notes.partition_point(|(at, _)| *at <= i);
            let comments = p.frame.map(|f| self.comments(names, f, &notes[mine])).unwrap_or_default();
            w.packet(&blocks::Packet {
                interface: interfaces[&p.dev],
                time: p.time,
                data: &self.bytes[p.start..p.start + p.len],
                direction: match p.dir {
                    Direction::In => 1,
                    Direction::Out => 2,
                },
                comments: &comments,
            })?;
        }
        Ok(PcapngSummary {
            packets: self.packets.len() as u64,
            devices: interfaces.len() as u64,
            left_out: self.left_out,
            bytes: w.written(),
        })
    }
}

impl Sink for PcapngSink {
    fn record(&mut self, _names: &Names, record: &Record<'_>) {
        match record.event {
            Event::Created { origin, parent } => {
                if let Some(i) = record.frame.and_then(|id| self.frame(id)) {
                    self.frames[i as usize].born = Some((origin, parent));
                }
            }
            Event::Frame { dir, bytes } => self.packet(record, dir, bytes),
            Event::Nat { hook, before, after } => self.note(record, What::Nat(hook, before, after)),
            Event::Switched { to, .. } => self.note(record, What::Switched(record.dev, to)),
            Event::Delivered(d) => self.fate(record, Fate::Delivered(d)),
            Event::Dropped(r) => self.fate(record, Fate::Dropped(r)),
            _ => {}
        }
    }
}
