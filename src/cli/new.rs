//! `netsim new`: a commented scenario to start from.

use super::{Verdict, failure::Failure, terminal::Terminal};
use clap::{Args, ValueEnum};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::PathBuf,
};

/// Write a commented scenario to start from
///
/// Without FILE, the scenario is printed. A file that exists is never overwritten.
#[derive(Args)]
#[command(after_help = "Example:\n  netsim new lab.ron --template nat && netsim run lab.ron")]
pub struct New {
    /// The file to write; `.ron` is added if it has no ending
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What to start from
    #[arg(long, short, value_enum, default_value_t = Template::Hosts)]
    template: Template,
}

/// What a new scenario starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Template {
    /// Two hosts and one cable: the smallest network
    Hosts,
    /// Three hosts on one bridge
    Bridge,
    /// Two networks and the router between them
    Router,
    /// A private network behind an address-translating router
    Nat,
    /// A host that protects itself with filter rules
    Firewall,
}

impl Template {
    const fn text(self) -> &'static str {
        match self {
            Template::Hosts => include_str!("templates/hosts.ron"),
            Template::Bridge => include_str!("templates/bridge.ron"),
            Template::Router => include_str!("templates/router.ron"),
            Template::Nat => include_str!("templates/nat.ron"),
            Template::Firewall => include_str!("templates/firewall.ron"),
        }
    }
}

impl New {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let text = self.template.text();
        let Some(file) = &self.file else {
            terminal.print(text)?;
            return Ok(Verdict::Good);
        };
        let file = if file.extension().is_none() { file.with_extension("ron") } else { file.clone() };
        let written = OpenOptions::new().write(true).create_new(true).open(&file);
        match written.and_then(|mut f| f.write_all(text.as_bytes())) {
            Ok(()) => {
                let shown = file.display();
                terminal.print(&format!("Wrote {shown}. Run it with: netsim run {shown}\n"))?;
                Ok(Verdict::Good)
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let failure = Failure::new(format!("`{}` exists already; it was left as it is", file.display()));
                Err(failure.hint("name another file, or leave the name out to print the scenario"))
            }
            Err(e) => Err(Failure::file("write", &file, &e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim::scenario;

    #[test]
    fn every_template_is_a_good_scenario() {
        for template in Template::value_variants() {
            let (scenario, found) = scenario::inspect(template.text().as_bytes());
            assert!(found.is_empty(), "{template:?}: {found:?}");
            let scenario = scenario.expect("no mistakes");
            assert!(scenario.title.is_some() && !scenario.expect.is_empty(), "{template:?} teaches nothing");
        }
    }
}
