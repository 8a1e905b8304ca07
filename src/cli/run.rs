//! `netsim run`: a scenario from start to end, told, counted and judged.

use super::{
    Verdict,
    capture::Capture,
    failure::Failure,
    input::{self, Loaded},
    progress::Meter,
    terminal::Terminal,
};
use clap::Args;
use netsim::{
    base::{Time, units},
    report::{
        run::RunReport,
        story::{Detail, render},
    },
    scenario::{self, BuildOptions, RunOptions, Scenario, schema::Save},
};
use std::path::{Path, PathBuf};

/// Run a scenario and tell what happened
///
/// Prints the journey of the first packets step by step, what each program printed, the tables that changed, what was
/// dropped and why, and for each expectation of the scenario whether it holds.
#[derive(Args)]
#[command(after_help = "\
Examples:
  netsim run scenarios/nat.ron
  netsim run scenarios/nat.ron -v | less            every frame at every device
  netsim run scenarios/nat.ron --pcap nat.pcapng    open it with Wireshark: interfaces are named ns:dev
  netsim run scenarios/lossy_link.ron --seed 42     other random choices
  netsim run scenarios/storm.ron --check            equal runs have equal digests

Exit status: 0 every expectation holds, 1 one does not (or --check finds two digests), 2 wrong input.")]
pub struct Run {
    /// The scenario; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print only what was expected, and the digest
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print also every frame at every device
    #[arg(short, long)]
    verbose: bool,
    /// Print the report as one JSON document instead of text
    #[arg(long, conflicts_with_all = ["quiet", "verbose"])]
    json: bool,
    /// Write every frame at every device as one pcapng file
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Seed of all random choices, in place of the scenario's
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Virtual time at which the run ends, such as 500ms or 2min, in place of the scenario's
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    until: Option<Time>,
    /// Run twice and compare the digests
    #[arg(long)]
    check: bool,
}

impl Run {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let loaded = input::load(&self.file, terminal)?;
        let captures = self.captures(&loaded.scenario)?;
        let what = if self.check { "run 1 of 2" } else { "run" };
        let report = self.once(&loaded, captures, what, terminal)?;
        let second = match self.check {
            true => Some(self.once(&loaded, Vec::new(), "run 2 of 2", terminal)?.document.digest),
            false => None,
        };
        let same = second.as_ref().is_none_or(|digest| *digest == report.document.digest);

        let style = terminal.style();
        let detail = match (self.quiet, self.verbose) {
            (true, _) => Detail::Quiet,
            (_, true) => Detail::Verbose,
            _ => Detail::Normal,
        };
        terminal.print(&if self.json { report.to_json() } else { render(&report, detail, style) })?;
        let digest = |d: &Option<String>| d.clone().unwrap_or_default();
        match second {
            Some(second) if !same => terminal.note(&format!(
                "{} two runs differ: digest {} and then {}; this is a bug in netsim\n",
                terminal.err_style().red("error:"),
                digest(&report.document.digest),
                digest(&second),
            )),
            Some(_) if !self.json => {
                terminal.print(&format!("{} a second run has the same digest\n", style.mark(true)))?
            }
            _ => {}
        }
        Ok(if report.passed && same { Verdict::Good } else { Verdict::Failed })
    }

    /// The files to write, all prepared before the run so that its result cannot be lost.
    fn captures(&self, scenario: &Scenario) -> Result<Vec<Capture>, Failure> {
        let saved = scenario.save.iter().map(|save| match &save.value {
            Save::Pcapng(path) => Path::new(&path.value),
        });
        let mut paths: Vec<&Path> = saved.chain(self.pcap.as_deref()).collect();
        paths.sort();
        paths.dedup();
        paths.into_iter().map(|path| Capture::prepare(path, &self.file)).collect()
    }

    fn once(
        &self,
        loaded: &Loaded,
        captures: Vec<Capture>,
        what: &str,
        terminal: &Terminal,
    ) -> Result<RunReport, Failure> {
        let built = scenario::build(&loaded.scenario, &BuildOptions { seed: self.seed });
        let mut built = built.map_err(|found| loaded.mistakes(&found, terminal))?;
        let mut meter = Meter::new(what, terminal);
        let report = built.run(RunOptions {
            name: loaded.stem.clone(),
            seed: self.seed,
            until: self.until,
            verbose: self.verbose,
            sinks: captures.iter().map(Capture::sink).collect(),
            progress: Some(Box::new(|progress| meter.update(progress))),
        });
        drop(meter);
        for capture in captures {
            let note = capture.write(&loaded.scenario, &built.world)?;
            terminal.note(&note);
        }
        Ok(report)
    }
}
