//! `netsim proc`: a file of /proc as a namespace sees it at some time of a run.

use super::{
    Verdict,
    failure::{Failure, list, nearest},
    input,
    terminal::Terminal,
};
use clap::Args;
use netsim::{
    base::{Time, units},
    procfs,
    scenario::{self, BuildOptions},
    sim::Limits,
};
use std::path::PathBuf;

/// Print a file of /proc as a namespace sees it
///
/// Runs the scenario up to a virtual time (or to its end) and prints the file in the kernel's format. A directory is
/// listed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  netsim proc scenarios/nat.ron host net/nf_conntrack --at 5s
  netsim proc scenarios/nat.ron a /proc/net/arp
  netsim proc scenarios/nat.ron a net                     what there is")]
pub struct Proc {
    /// The scenario; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The namespace
    #[arg(value_name = "NS")]
    ns: String,
    /// The file; a leading /proc may be left out
    #[arg(value_name = "PATH")]
    path: String,
    /// Virtual time to look at, such as 500ms or 2min; without it, the end of the run
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    at: Option<Time>,
    /// Seed of all random choices, in place of the scenario's
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Proc {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let loaded = input::load(&self.file, terminal)?;
        let scenario = &loaded.scenario;
        let built = scenario::build(scenario, &BuildOptions { seed: self.seed });
        let mut world = built.map_err(|found| loaded.mistakes(&found, terminal))?.world;
        let Some(ns) = world.find_ns(&self.ns) else {
            let failure = Failure::new(format!("there is no namespace `{}` in {}", self.ns, loaded.name));
            let names: Vec<&str> = scenario.namespaces.names().collect();
            return Err(match nearest(&self.ns, names.iter().copied()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!("there is {}", list(names))),
            });
        };
        let limits = Limits {
            until: self.at.or(scenario.until.as_ref().map(|u| u.value.0)),
            events: *scenario.limits.events,
            frames: *scenario.limits.frames,
            time: scenario.limits.time.value.0,
        };
        world.run(&limits);
        let text = match procfs::list(&world, ns, &self.path) {
            Ok(names) => names.into_iter().map(|n| n + "\n").collect(),
            Err(_) => procfs::read(&world, ns, &self.path).map_err(|e| Failure::new(e.to_string()))?,
        };
        terminal.print(&text)?;
        Ok(Verdict::Good)
    }
}
