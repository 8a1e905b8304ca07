//! Records every frame at every interface while a case runs, as the oracle's packet rings do.

use super::raw::Packet;
use crate::{
    base::{DevId, Time},
    report::pcapng::PcapngSink,
    trace::{Direction, Event, Names, Record, Sink},
};

/// The oracle's rings keep so many packets; later ones are lost, and the trace says so.
const LIMIT: usize = 60_000;

/// How much later than the frames that arrive at an instant those are stamped that leave: longer than a burst of arrivals
/// takes, shorter than a cable.
const REACTION: Time = 500;

/// Bytes of memory for the packets of a file and what is told about them.
pub const FILE_LIMIT: usize = 256 << 20;

/// Collects packets. Add it as `Arc<Mutex<Capture>>` and keep the other handle.
pub struct Capture {
    /// The packets so far.
    pub packets: Vec<Packet>,
    /// Whether some were lost because there were too many.
    pub truncated: bool,
    skip: Vec<String>,
    bare: Vec<DevId>,
    /// The same packets, for a file.
    pcapng: PcapngSink,
}

impl Capture {
    /// Records nothing of the namespaces called `skip`.
    /// `bare` are the devices whose packets have no link-layer header.
    pub fn new(skip: &[String], bare: Vec<DevId>) -> Capture {
        let mut pcapng = PcapngSink::new(FILE_LIMIT);
        bare.iter().for_each(|dev| pcapng.declare_ip(*dev));
        Capture { packets: Vec::new(), truncated: false, skip: skip.to_vec(), bare, pcapng }
    }

    /// Takes the packets, and the sink that writes them as a file.
    pub fn into_parts(self) -> (Vec<Packet>, PcapngSink) {
        (self.packets, self.pcapng)
    }

    /// Whether the packet is recorded.
    fn packet(&mut self, names: &Names, record: &Record<'_>, dev: DevId, dir: Direction, bytes: &[u8]) -> bool {
        let node = names.ns(record.ns);
        if self.skip.iter().any(|s| s == node) {
            return false;
        }
        if self.packets.len() >= LIMIT {
            self.truncated = true;
            return false;
        }
        self.packets.push(Packet {
            time: record.time,
            node: node.into(),
            iface: names.dev(dev).into(),
            dir,
            ethernet: !self.bare.contains(&dev),
            bytes: bytes.into(),
        });
        true
    }
}

impl Sink for Capture {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        let mut record = *record;
        if let (Event::Frame { dir, bytes }, Some(dev)) = (record.event, record.dev) {
            // Linux stamps a received frame when its sender put it on the cable. So what arrives with it is stamped
            // before anything the receiver does about the first (case icmp-redirect).
            record.time += if dir == Direction::Out { REACTION } else { 0 };
            if !self.packet(names, &record, dev, dir, bytes) {
                return;
            }
        }
        self.pcapng.record(names, &record);
    }
}
