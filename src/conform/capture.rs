//! Records every frame at every interface while a case runs, as the oracle's packet rings do.

use super::raw::Packet;
use crate::{
    base::DevId,
    trace::{Direction, Event, Names, Record, Sink},
};

/// The oracle's rings keep so many packets; later ones are lost, and the trace says so.
const LIMIT: usize = 60_000;

/// Collects packets. Add it as `Arc<Mutex<Capture>>` and keep the other handle.
#[derive(Default)]
pub struct Capture {
    /// The packets so far.
    pub packets: Vec<Packet>,
    /// Whether some were lost because there were too many.
    pub truncated: bool,
    skip: Vec<String>,
}

impl Capture {
    /// Records nothing of the namespaces called `skip`.
    pub fn without(skip: &[String]) -> Capture {
        Capture { skip: skip.to_vec(), ..Capture::default() }
    }

    fn packet(&mut self, names: &Names, record: &Record<'_>, dev: DevId, dir: Direction, bytes: &[u8]) {
        if self.packets.len() >= LIMIT {
            self.truncated = true;
            return;
        }
        let node = names.ns(record.ns);
        if self.skip.iter().any(|s| s == node) {
            return;
        }
        self.packets.push(Packet {
            time: record.time,
            node: node.into(),
            iface: names.dev(dev).into(),
            dir,
            bytes: bytes.into(),
        });
    }
}

impl Sink for Capture {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        if let (Event::Frame { dir, bytes }, Some(dev)) = (record.event, record.dev) {
            self.packet(names, record, dev, dir, bytes);
        }
    }
}
