//! `netsim conform`: a conformance case, run here instead of on a kernel.

use super::{
    Verdict,
    failure::{Failure, reason},
    output::Output,
    terminal::Terminal,
};
use clap::Args;
use netsim::{
    conform::{self, Case},
    live,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Run a conformance case and compare it with what a kernel did
///
/// Builds the topology of a case file, performs its steps in virtual time, and writes what happened in the formats of
/// the oracle that recorded the kernel: a raw trace, a capture. With --golden it also compares, prints the differences
/// and exits with status 1 if there are any.
#[derive(Args)]
#[command(after_help = "\
Examples:
  netsim conform tests/conformance/cases/ping-basic/case.json --raw raw.json --pcap ping.pcapng
  netsim conform case.json --golden observed.json
  sudo netsim conform case.json --live --observed observed.json    record a new case")]
pub struct Conform {
    /// The case, in JSON
    #[arg(value_name = "CASE.json")]
    case: PathBuf,
    /// Write the raw trace: what each step returned, and when
    #[arg(long, value_name = "RAW.json")]
    raw: Option<PathBuf>,
    /// Write every packet at every interface
    #[arg(long, value_name = "CAP.pcapng")]
    pcap: Option<PathBuf>,
    /// Let the kernel of this machine do it, in real network namespaces (Linux, root)
    #[arg(long)]
    live: bool,
    /// Write the normalised observation: what a case is compared by
    #[arg(long, value_name = "OBSERVED.json")]
    observed: Option<PathBuf>,
    /// What a kernel did, to compare with
    #[arg(long, value_name = "OBSERVED.json")]
    golden: Option<PathBuf>,
    /// Seed of all random choices
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

impl Conform {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let mut case = Case::parse(&read(&self.case)?)
            .map_err(|e| Failure::new(format!("`{}` is not a case: {e}", self.case.display())))?;
        if case.name.is_none() {
            // The oracle calls a case without a name after its directory.
            let dir = fs::canonicalize(&self.case).ok();
            case.name = dir.and_then(|p| Some(p.parent()?.file_name()?.to_string_lossy().into_owned()));
        }
        let golden = self.golden.as_deref().map(read).transpose()?;
        let prepare = |path: &PathBuf| Output::prepare(path, &self.case);
        let raw = self.raw.as_ref().map(prepare).transpose()?;
        let pcap = self.pcap.as_ref().map(prepare).transpose()?;
        let observed = self.observed.as_ref().map(prepare).transpose()?;
        let run = match self.live {
            true => live::run(&case).map_err(|e| Failure::new(e.to_string()))?,
            false => conform::run(&case, self.seed).map_err(Failure::new)?,
        };
        if let Some(mut file) = observed {
            let seen = conform::normalise(&case, &run.raw, &run.packets).map_err(Failure::new)?;
            let written = writeln!(file.writer(), "{seen:#}");
            file.keep(written)?;
        }
        if let Some(mut file) = raw {
            let written = run.raw.write(file.writer());
            file.keep(written)?;
        }
        if let Some(mut file) = pcap {
            let written = run.write_pcapng(file.writer());
            file.keep(written)?;
        }
        let Some(golden) = golden else { return Ok(Verdict::Good) };
        let found = conform::judge(&case, &run, &golden).map_err(Failure::new)?;
        let text = found.iter().fold(String::new(), |text, line| text + line + "\n");
        terminal.print(if found.is_empty() { "same\n" } else { &text })?;
        Ok(if found.is_empty() { Verdict::Good } else { Verdict::Failed })
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::new(format!("cannot read `{}`: {}", path.display(), reason(&e))))
}
