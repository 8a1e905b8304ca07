//! What a run yields before normalisation: the raw trace and the packets, in the oracle's formats.

use crate::{
    base::{SEC, Time},
    trace::Direction,
};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// A packet seen at an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// When, in virtual nanoseconds.
    pub time: Time,
    /// In which namespace.
    pub node: Box<str>,
    /// At which interface.
    pub iface: Box<str>,
    /// Which way.
    pub dir: Direction,
    /// Whether it begins with a link-layer header; on `lo` and in tunnels it does not.
    pub ethernet: bool,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

/// A step and what came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct RawStep {
    /// The step as it is written.
    pub step: Value,
    /// Its start.
    pub start: Time,
    /// Its end, with the time that was waited afterwards.
    pub end: Time,
    /// How long it took by itself.
    pub elapsed: Time,
    /// What it returned.
    pub result: Value,
}

/// The raw trace of a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Raw {
    /// The steps; the last is the end of the run.
    pub steps: Vec<RawStep>,
    /// What each server received.
    pub servers: Map<String, Value>,
    /// Whether packets were lost because there were too many.
    pub truncated: bool,
}

impl Raw {
    /// The trace as `oracle.py normalise` reads it.
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| {
                json!({
                    "step": s.step,
                    "t0": s.start,
                    "t1": s.end,
                    "elapsed": s.elapsed as f64 / SEC as f64,
                    "result": s.result,
                })
            })
            .collect();
        json!({ "steps": steps, "servers": self.servers, "truncated": self.truncated })
    }

    /// Writes the trace.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.to_json())?;
        out.write_all(b"\n")
    }
}
