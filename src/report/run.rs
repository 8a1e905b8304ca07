//! All that is known about a run when it is over: what programs read as JSON and what the story tells.

use super::{json, story::Journey};
use crate::base::Time;
use serde::Serialize;

/// A run, its steps, and what it left behind.
///
/// As JSON it is the document of [`json::Run`] with the fields of this struct beside it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunReport {
    /// End, frames, drops, devices, apps, expectations, tables.
    #[serde(flatten)]
    pub document: json::Run,
    /// The scenario's title.
    pub title: Option<String>,
    /// What the scenario's author wants people to look for.
    pub about: Option<String>,
    /// Whether every expectation holds and no unexpected limit ended the run.
    pub passed: bool,
    /// The steps in the order of time.
    pub steps: Vec<StepReport>,
    /// What changed in the tables of the namespaces, by namespace and table.
    pub changes: Vec<TableChange>,
    /// Unicast frames that came in at a namespace their sender did not mean.
    pub misdeliveries: Vec<Misdelivery>,
    /// The limit that ended the run although the scenario did not expect it, as a sentence.
    pub trouble: Option<String>,
    /// How the namespaces are connected, a line for each cable or bridge.
    #[serde(skip)]
    pub topology: Vec<String>,
    /// Every frame at every device, a line each, if that was asked for.
    #[serde(skip)]
    pub frames: Option<String>,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// When it began.
    pub at_ns: Time,
    /// The namespace it happened in, if in one.
    pub ns: Option<String>,
    /// The command as one would type it, or what was done in words.
    pub command: String,
    /// What kind of step it is.
    pub kind: StepKind,
    /// What it printed, line by line.
    pub output: Vec<String>,
    /// The exit status of its program, once it ended.
    pub exit: Option<i32>,
    /// The way of the first packet it sent, and of the answer.
    pub journey: Option<Journey>,
}

/// Kinds of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A program that sends packets.
    #[default]
    Program,
    /// A command that changes or shows something.
    Command,
    /// Something done to a cable.
    Cable,
    /// Words for the reader.
    Note,
}

/// Lines that appeared in and vanished from one table of one namespace between the start and the end of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// The namespace.
    pub ns: String,
    /// The table: `routes`, `neighbours`, `fdb` or `conntrack`.
    pub table: &'static str,
    /// Lines that are there at the end only.
    pub added: Vec<String>,
    /// Lines that were there at the start only.
    pub removed: Vec<String>,
}

/// Unicast frames that reached another namespace than the one their sender meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misdelivery {
    /// The namespace whose neighbour table said where to send them.
    pub from: String,
    /// The namespace that owns the address they were sent to.
    pub meant: String,
    /// The namespace they came in at.
    pub at: String,
    /// The MAC address on them.
    pub mac: String,
    /// How many.
    pub count: u64,
    /// When the first one came in.
    pub first_ns: Time,
    /// The first one in words.
    pub packet: String,
    /// What became of it there.
    pub fate: String,
}

impl RunReport {
    /// The document, indented, with a line end.
    ///
    /// ```
    /// use netsim::report::run::RunReport;
    /// let report = RunReport { title: Some("Nothing".into()), passed: true, ..RunReport::default() };
    /// let json = report.to_json();
    /// assert!(json.starts_with("{\n  \"netsim\": \"0.1\",") && json.contains("\"passed\": true"));
    /// ```
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }

    /// The expectations that do not hold.
    pub fn failures(&self) -> impl Iterator<Item = &json::Expectation> {
        self.document.expectations.iter().filter(|e| !e.holds)
    }
}
