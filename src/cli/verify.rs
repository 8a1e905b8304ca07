//! `netsim verify`: a scenario here and on the Linux kernel underneath, compared.

use super::{
    Verdict,
    failure::Failure,
    input::{self, Loaded},
    terminal::Terminal,
};
use clap::Args;
use netsim::live::{
    Error,
    verify::{Comparison, Trouble, verify},
};
use std::path::PathBuf;

/// Run a scenario on the Linux kernel too and compare
///
/// Builds the scenario's world from real network namespaces (Linux, as root; the host's own network is not touched),
/// does its steps in both worlds, and compares every packet at every device, what programs reported, and the tables at
/// the end. Takes as long as the scenario does in real time. What random choices differ is normalised; what the kernel
/// lacks, or has no counterpart for, is left out in both worlds and said.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sudo netsim verify scenarios/nat.ron
  sudo netsim verify lab.ron --all

Exit status: 0 if there is no difference, 1 if there is one, 2 if the comparison cannot be made.")]
pub struct Verify {
    /// The scenario; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show all differences, not only the first
    #[arg(long)]
    all: bool,
}

impl Verify {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let loaded = input::load(&self.file, terminal)?;
        let found = verify(&loaded.scenario).map_err(|t| failure(t, &loaded, terminal))?;
        terminal.note(&found.notes.iter().fold(String::new(), |text, n| text + "note: " + n + "\n"));
        terminal.print(&report(&found, self.all))?;
        Ok(if found.differences.is_empty() { Verdict::Good } else { Verdict::Failed })
    }
}

fn report(found: &Comparison, all: bool) -> String {
    let Comparison { packets, devices, steps, .. } = found;
    let plural = |n: &usize, what: &str| format!("{n} {what}{}", if *n == 1 { "" } else { "s" });
    let scope = format!("{} at {}, {}", plural(packets, "packet"), plural(devices, "device"), plural(steps, "step"));
    let Some(first) = found.differences.first() else { return format!("no difference: {scope}\n") };
    let shown = if all { &found.differences[..] } else { std::slice::from_ref(first) };
    let mut text = format!("{}: {scope}\n", plural(&found.differences.len(), "difference"));
    for d in shown {
        text += &format!("{d}\n");
    }
    if shown.len() < found.differences.len() {
        text += "(`-` only Linux, `+` only netsim; --all shows the rest)\n";
    }
    text
}

fn failure(trouble: Trouble, loaded: &Loaded, terminal: &Terminal) -> Failure {
    match trouble {
        Trouble::Refused(found) => loaded.mistakes(&found, terminal),
        Trouble::Skipped(why) => Failure::new(format!("`{}` cannot be compared: {why}", loaded.name)),
        Trouble::Live(e @ Error::Permission(_)) => {
            Failure::new(e.to_string()).hint("run it as root: `sudo netsim verify`")
        }
        Trouble::Live(e) => Failure::new(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim::live::verify::Difference;

    #[test]
    fn the_first_difference_is_shown_and_the_others_counted() {
        let mut found = Comparison { packets: 8, devices: 2, steps: 1, ..Comparison::default() };
        assert_eq!(report(&found, false), "no difference: 8 packets at 2 devices, 1 step\n");
        let d = |what: &str| Difference { step: "at 0 s, a: ping b".into(), what: what.into() };
        found.differences = vec![d("packets.a:eth0: -x"), d("packets.a:eth0: +y")];
        assert_eq!(
            report(&found, false),
            "2 differences: 8 packets at 2 devices, 1 step\nat 0 s, a: ping b\n  packets.a:eth0: -x\n\
             (`-` only Linux, `+` only netsim; --all shows the rest)\n"
        );
        assert_eq!(report(&found, true).lines().count(), 5);
    }
}
