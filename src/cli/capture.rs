//! A capture file of a whole run: prepared before, written after.

use super::{failure::Failure, output::Output};
use netsim::{
    report::pcapng::PcapngSink,
    scenario::{Directory, Scenario},
    sim::World,
    trace::Sink,
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// A capture keeps at most this many bytes in memory; what comes later is left out, and the file says so.
const LIMIT: usize = 2 << 30;

/// A file that will hold every frame at every device.
pub struct Capture {
    output: Output,
    sink: Arc<Mutex<PcapngSink>>,
}

impl Capture {
    /// Makes sure that the file can be written. `source` is the scenario's file.
    pub fn prepare(path: &Path, source: &Path) -> Result<Capture, Failure> {
        let sink = Arc::new(Mutex::new(PcapngSink::new(LIMIT)));
        Ok(Capture { output: Output::prepare(path, source)?, sink })
    }

    /// What the run has to report to.
    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.sink.clone())
    }

    /// Writes the file after the run. Returns what to tell about it.
    pub fn write(self, scenario: &Scenario, world: &World) -> Result<String, Failure> {
        let Capture { mut output, sink } = self;
        let mut sink = sink.lock().expect("a sink that panicked ends the run");
        let directory = Directory::new(scenario);
        for name in scenario.namespaces.names() {
            for device in directory.devices(name) {
                let settings = directory.device(name, device);
                for address in settings.into_iter().flat_map(|d| d.addresses()) {
                    sink.name_host(address.local.addr(), name);
                }
            }
        }
        let shown = output.shown().display().to_string();
        let written = sink.finish(&world.core.tracer.names, output.writer());
        let summary = written.as_ref().ok().copied();
        output.keep(written.map(|_| ()))?;
        let Some(summary) = summary else { return Ok(String::new()) };
        let left_out = match summary.left_out {
            0 => String::new(),
            n => format!(" ({n} later ones left out: the capture was full)"),
        };
        Ok(format!("Wrote {shown}: {} packets at {} devices{left_out}\n", summary.packets, summary.devices))
    }
}
