//! The story as text: what a student reads after `netsim run`.

use super::{Journey, Leg, Topic};
use crate::{
    base::time,
    report::{
        run::{RunReport, StepKind, StepReport},
        text::{Align, Style, Table, wrap},
    },
    trace::DropReason,
};

/// Columns of running text.
const COLUMNS: usize = 100;
/// Where the text of a stage begins: behind its number and topic.
const TEXT_AT: usize = 17;
/// At most this many lines of output are shown of one program, half from its beginning and half from its end.
const MAX_OUTPUT: usize = 40;
/// At most this many changed lines are shown of one table.
const MAX_CHANGES: usize = 12;
/// At most this many rows are shown of a list.
const MAX_ROWS: usize = 24;

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Detail {
    /// Expectations and digest.
    Quiet,
    /// The story.
    #[default]
    Normal,
    /// The story, then every frame at every device.
    Verbose,
}

/// Tells a run.
///
/// ```
/// use netsim::report::{run::RunReport, story::{render, Detail}, text::Style};
/// let report = RunReport { title: Some("Silence".into()), passed: true, ..RunReport::default() };
/// let text = render(&report, Detail::Normal, Style::PLAIN);
/// assert!(text.starts_with("Silence\n"));
/// assert!(text.contains("0 created = 0 delivered + 0 dropped + 0 in flight"));
/// ```
pub fn render(report: &RunReport, detail: Detail, style: Style) -> String {
    let mut page = Page { style, text: String::new() };
    if detail != Detail::Quiet {
        page.opening(report);
        for step in &report.steps {
            page.step(step);
        }
        page.servers(report);
        page.wrong_deliveries(report);
        page.collisions(report);
        page.changes(report);
        page.drops(report);
    }
    if let (Detail::Verbose, Some(frames)) = (detail, &report.frames) {
        page.heading("Every frame at every device");
        page.text.push_str(frames);
    }
    page.verdicts(report);
    page.closing(report, detail);
    page.text
}

struct Page {
    style: Style,
    text: String,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// A blank line and a heading; no blank line at the top of the page.
    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let text = self.style.bold(text);
        self.line(&text);
    }

    fn opening(&mut self, report: &RunReport) {
        let title = report.title.as_deref().unwrap_or(&report.document.scenario);
        if !title.is_empty() {
            self.heading(title);
        }
        if let Some(about) = &report.about {
            for paragraph in paragraphs(about) {
                let text = wrap(&paragraph, COLUMNS, 0);
                self.line(&text);
            }
        }
        if !report.topology.is_empty() {
            self.heading("The network");
            for line in &report.topology {
                self.line(&format!("  {line}"));
            }
        }
    }

    fn step(&mut self, step: &StepReport) {
        let at = self.style.dim(&time::show(step.at_ns));
        match (step.kind, &step.ns) {
            (StepKind::Note, _) => {
                self.text.push('\n');
                let text = wrap(&step.command, COLUMNS, 2);
                let text = format!("{at}  {}", self.style.cyan(&text));
                return self.line(&text);
            }
            (_, Some(ns)) => {
                let command = self.style.bold(&step.command);
                let prompt = self.style.cyan(&format!("{ns}$"));
                self.text.push('\n');
                self.line(&format!("{at}  {prompt} {command}"));
            }
            (_, None) => {
                let what = self.style.bold(&step.command);
                self.text.push('\n');
                self.line(&format!("{at}  {what}"));
            }
        }
        if let Some(journey) = &step.journey {
            self.journey(journey);
        }
        self.output(step);
    }

    fn journey(&mut self, journey: &Journey) {
        let mut number = 1;
        for (n, leg) in journey.legs.iter().enumerate() {
            let what = if n == 0 { "its first packet" } else { "the answer" };
            let packet = if leg.packet.is_empty() { "it never came out of a device" } else { &leg.packet };
            let packet = self.style.dim(packet);
            self.line(&format!("  The way of {what}: {packet}"));
            number = self.leg(leg, number);
        }
        self.text.push('\n');
    }

    /// Numbered stages; the numbers go on from one leg to the next.
    fn leg(&mut self, leg: &Leg, first: usize) -> usize {
        for (number, stage) in (first..).zip(&leg.stages) {
            let told = wrap(&stage.text, COLUMNS, TEXT_AT);
            let told = match stage.topic {
                Topic::Drop => self.style.red(&told),
                Topic::Nat | Topic::Conntrack => self.style.yellow(&told),
                _ => told,
            };
            let (number, topic) = (format!("{number:>4}"), format!("{:<9}", stage.topic.word()));
            self.line(&format!("{}  {}  {told}", self.style.dim(&number), self.style.cyan(&topic)));
        }
        if leg.left_out > 0 {
            self.line(&format!("      … and {} more steps like these", leg.left_out));
        }
        first + leg.stages.len()
    }

    fn output(&mut self, step: &StepReport) {
        self.cut(&step.output, MAX_OUTPUT);
        match step.exit {
            Some(0) => {}
            Some(status) if step.kind == StepKind::Program => {
                let text = self.style.dim(&format!("  (exit status {status})"));
                self.line(&text);
            }
            Some(_) => {}
            None if step.kind == StepKind::Program => {
                let text = self.style.yellow("  (it was still running at the end)");
                self.line(&text);
            }
            None => {
                let text = self.style.yellow("  (the run ended before that)");
                self.line(&text);
            }
        }
    }

    /// Lines, with the middle of a long text left out.
    fn cut(&mut self, lines: &[String], most: usize) {
        let show = |page: &mut Page, lines: &[String]| {
            for line in lines {
                page.line(&format!("  {line}"));
            }
        };
        if lines.len() <= most {
            return show(self, lines);
        }
        show(self, &lines[..most / 2]);
        let left = self.style.dim(&format!("  … {} lines …", lines.len() - most / 2 * 2));
        self.line(&left);
        show(self, &lines[lines.len() - most / 2..]);
    }

    /// Programs that are no steps: servers, and what they printed.
    fn servers(&mut self, report: &RunReport) {
        let started_by_step = |app: &crate::report::json::App| {
            report
                .steps
                .iter()
                .any(|s| s.kind == StepKind::Program && s.at_ns == app.started_ns && s.command == app.command)
        };
        let servers: Vec<_> =
            report.document.apps.iter().filter(|app| !app.output.is_empty() && !started_by_step(app)).collect();
        if servers.is_empty() {
            return;
        }
        self.heading("What the servers say");
        for app in servers.iter().take(MAX_ROWS) {
            let name = self.style.cyan(&format!("{}$", app.ns));
            self.line(&format!("  {name} {}", app.command));
            self.cut(&app.output.iter().map(|l| format!("  {l}")).collect::<Vec<_>>(), 10);
        }
    }

    fn wrong_deliveries(&mut self, report: &RunReport) {
        if report.misdeliveries.is_empty() {
            return;
        }
        self.heading("Wrong deliveries");
        for m in report.misdeliveries.iter().take(MAX_ROWS) {
            let (n, s) = (m.count, if m.count == 1 { "" } else { "s" });
            let told = format!("{n} packet{s} from {} meant for {} came in at {}", m.from, m.meant, m.at);
            let told = self.style.red(&told);
            self.line(&format!("  {told}, because both use the MAC address {}.", m.mac));
            self.line(&format!("    first at {}: {}", time::show(m.first_ns), m.packet));
            self.line(&format!("    {} {}", m.at, m.fate));
        }
    }

    fn collisions(&mut self, report: &RunReport) {
        let collisions = &report.document.collisions;
        if collisions.is_empty() {
            return;
        }
        self.heading("MAC addresses used twice");
        for c in collisions.iter().take(MAX_ROWS) {
            let [a, b] = &c.namespaces;
            let bridge = c.bridge.as_deref().unwrap_or("a bridge");
            self.line(&format!("  {} is used by {a} and by {b}. {bridge} noticed and keeps them apart.", c.mac));
        }
    }

    fn changes(&mut self, report: &RunReport) {
        if report.changes.is_empty() {
            return;
        }
        self.heading("What changed in the tables");
        for c in report.changes.iter().take(MAX_ROWS) {
            let title = self.style.cyan(&c.ns);
            self.line(&format!("  {title} {}", table_words(c.table)));
            let removed = c.removed.iter().map(|l| (false, l));
            let all: Vec<(bool, &String)> = removed.chain(c.added.iter().map(|l| (true, l))).collect();
            for (added, line) in all.iter().take(MAX_CHANGES) {
                let line = squeeze(line);
                let line =
                    if *added { self.style.green(&format!("+ {line}")) } else { self.style.red(&format!("- {line}")) };
                self.line(&format!("    {line}"));
            }
            if all.len() > MAX_CHANGES {
                self.line(&format!("    … and {} more", all.len() - MAX_CHANGES));
            }
        }
        if report.changes.len() > MAX_ROWS {
            self.line(&format!("  … and {} more tables", report.changes.len() - MAX_ROWS));
        }
    }

    fn drops(&mut self, report: &RunReport) {
        // A question who has an address reaches everybody on the link; all but one ignore it.
        let (questions, drops): (Vec<_>, Vec<_>) =
            report.document.drops.iter().partition(|d| d.code == DropReason::ArpIgnored.code());
        if drops.is_empty() {
            return;
        }
        self.heading("What was dropped, and why");
        let columns = [("frames", Align::Right), ("at", Align::Left), ("why", Align::Left), ("code", Align::Left)];
        let mut table = Table::new(&columns);
        for d in drops.iter().take(MAX_ROWS) {
            let code = self.style.dim(d.code);
            table.row([d.count.to_string(), self.style.cyan(&d.at), d.sentence.to_string(), code]);
        }
        self.text.push_str(&table.render(self.style, 2));
        if drops.len() > MAX_ROWS {
            self.line(&format!("  … and {} more kinds", drops.len() - MAX_ROWS));
        }
        let ignored: u64 = questions.iter().map(|d| d.count).sum();
        if ignored > 0 {
            let told = format!("  (ARP questions for somebody else, ignored: {ignored})");
            let told = self.style.dim(&told);
            self.line(&told);
        }
    }

    fn verdicts(&mut self, report: &RunReport) {
        if report.document.expectations.is_empty() && report.trouble.is_none() {
            return;
        }
        self.heading("What was expected");
        for e in &report.document.expectations {
            let mark = self.style.mark(e.holds);
            let why = if e.holds { self.style.dim(&e.why) } else { self.style.red(&e.why) };
            self.line(&format!("  {mark} {}", e.text));
            self.line(&format!("    {why}"));
        }
        if let Some(trouble) = &report.trouble {
            let mark = self.style.mark(false);
            self.line(&format!("  {mark} the run ends by itself"));
            let text = wrap(trouble, COLUMNS, 4);
            let why = self.style.red(&text);
            self.line(&format!("    {why}"));
        }
    }

    fn closing(&mut self, report: &RunReport, detail: Detail) {
        let d = &report.document;
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        if detail != Detail::Quiet {
            self.line(&format!("Ended at {}: {}.", time::show(d.end.time_ns), d.end.sentence));
            let f = &d.frames;
            let balance = format!(
                "{} created = {} delivered + {} dropped + {} in flight",
                f.created, f.delivered, f.dropped, f.in_flight
            );
            self.line(&format!("Frames: {balance}"));
        }
        if let Some(digest) = &d.digest {
            self.line(&format!("Digest: {digest} (seed {})", d.seed));
        }
    }
}

/// Paragraphs are separated by blank lines; their own line breaks do not count.
fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.split(|l| l.is_empty()).map(|p| p.join(" ")).filter(|p| !p.is_empty()).collect()
}

/// A table's name for people.
fn table_words(table: &str) -> &str {
    match table {
        "routes" => "routes",
        "neighbours" => "neighbours: which MAC address an IP address has",
        "fdb" => "bridge: behind which port a MAC address is",
        "conntrack" => "connections it keeps track of",
        other => other,
    }
}

/// A line with its columns set close.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
