//! `netsim check`: every mistake of a scenario in one go.

use super::{Verdict, failure::Failure, input, terminal::Terminal};
use clap::Args;
use netsim::{report::text::Style, scenario::print};
use std::path::PathBuf;

/// Look for mistakes in scenarios without running them
///
/// Shows every mistake in one go, with the place underlined and what to try. Nothing is run and nothing is written.
#[derive(Args)]
#[command(after_help = "Exit status: 0 if all files are good (there may be warnings), 2 if one is not.")]
pub struct Check {
    /// Scenario files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print each good scenario with its presets and repetitions expanded to plain settings
    #[arg(long)]
    expand: bool,
}

impl Check {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let style = terminal.style();
        let mut all_good = true;
        for file in &self.files {
            let inspected = match input::read(file) {
                Ok(inspected) => inspected,
                Err(failure) => {
                    failure.report(terminal);
                    all_good = false;
                    continue;
                }
            };
            terminal.note(&inspected.mistakes(terminal.err_style() == Style::COLOUR));
            match &inspected.scenario {
                Some(scenario) if self.expand => terminal.print(&print(scenario))?,
                Some(scenario) => terminal.print(&format!(
                    "{} {}: {}, {}, {}, {}\n",
                    style.mark(true),
                    inspected.name,
                    count(scenario.namespaces.len(), "namespace"),
                    count(scenario.links.len(), "link"),
                    count(scenario.steps.len(), "step"),
                    count(scenario.expect.len(), "expectation"),
                ))?,
                None => all_good = false,
            }
        }
        Ok(if all_good { Verdict::Good } else { Verdict::BadInput })
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
