//! Where records go.

use super::{Digest, Names, Record};
use std::sync::{Arc, Mutex};

/// Consumes the records of a run: the story, a capture, a counter.
pub trait Sink: Send {
    /// Takes one record. `names` resolves its ids.
    fn record(&mut self, names: &Names, record: &Record<'_>);
}

/// Keep the other handle to read the sink after the run.
impl<S: Sink> Sink for Arc<Mutex<S>> {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        self.lock().expect("a sink that panicked ends the run").record(names, record);
    }
}

/// Distributes records to the digest and to every sink.
#[derive(Default)]
pub struct Tracer {
    /// Names of everything in the world.
    pub names: Names,
    digest: Option<Digest>,
    sinks: Vec<Box<dyn Sink>>,
    on: bool,
}

impl Tracer {
    /// Starts computing the digest. Records before this call are not part of it.
    pub fn enable_digest(&mut self) {
        self.digest.get_or_insert_default();
        self.on = true;
    }

    /// Adds a sink.
    pub fn add(&mut self, sink: Box<dyn Sink>) {
        self.sinks.push(sink);
        self.on = true;
    }

    /// Whether anybody listens. Callers skip building a record when nobody does.
    #[inline]
    pub fn on(&self) -> bool {
        self.on
    }

    /// Passes a record on.
    pub fn emit(&mut self, record: &Record<'_>) {
        if let Some(d) = &mut self.digest {
            d.record(record);
        }
        for s in &mut self.sinks {
            s.record(&self.names, record);
        }
    }

    /// The digest of everything recorded so far, if it was enabled.
    pub fn digest(&self) -> Option<u64> {
        self.digest.as_ref().map(|d| d.value(&self.names))
    }
}
