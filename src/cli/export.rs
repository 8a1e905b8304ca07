//! `netsim export`: a scenario or case as a script for a real kernel.

use super::{
    Verdict,
    failure::{Failure, reason},
    input,
    output::Output,
    terminal::Terminal,
};
use clap::{Args, ValueEnum};
use netsim::{
    conform::Case,
    live::{
        script::Script,
        translate::{Choices, Untranslatable, translate},
    },
};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// Write a script that builds the same network on Linux
///
/// The script makes a network namespace for each of the scenario's, with the same devices, MAC addresses, addresses,
/// routes and firewall, by ip, bridge, nft, tc and sysctl; `down` removes them again. Servers and steps stand at its end
/// as commands to type. What Linux has no word for is told in the script and here, with what is done instead.
#[derive(Args)]
#[command(after_help = "\
Examples:
  netsim export scenarios/nat.ron --to linux -o nat.sh
  sudo bash nat.sh
  sudo ip netns exec nat-a ping 198.51.100.20
  sudo bash nat.sh down")]
pub struct Export {
    /// The scenario, or a conformance case (.json); `-` is a scenario from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is written for
    #[arg(long, value_enum, value_name = "SYSTEM")]
    to: System,
    /// Where the script goes. Default: standard output
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum System {
    /// A shell script for Linux, to be run as root
    Linux,
}

impl Export {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let System::Linux = self.to;
        let output = self.output.as_ref().map(|path| Output::prepare(path, &self.file)).transpose()?;
        let text = match self.file.extension() == Some(OsStr::new("json")) {
            true => self.case()?,
            false => self.scenario(terminal)?,
        };
        match output {
            Some(mut file) => {
                let written = file.writer().write_all(text.as_bytes());
                file.keep(written)?;
            }
            None => terminal.print(&text)?,
        }
        Ok(Verdict::Good)
    }

    fn scenario(&self, terminal: &Terminal) -> Result<String, Failure> {
        let loaded = input::load(&self.file, terminal)?;
        let choices = Choices { plain_bridges: true, ..Choices::default() };
        let t = translate(&loaded.scenario, choices).map_err(|e| match e {
            Untranslatable::Refused(found) => loaded.mistakes(&found, terminal),
            Untranslatable::Unknown(what) => {
                Failure::new(format!("`{}` cannot be written for Linux: {what}", loaded.name))
            }
        })?;
        terminal.note(&t.notes.iter().fold(String::new(), |text, n| text + "note: " + n + "\n"));
        Script::of(&t, &loaded.stem, &loaded.name).text().map_err(Failure::new)
    }

    fn case(&self) -> Result<String, Failure> {
        let name = self.file.display().to_string();
        let text = fs::read_to_string(&self.file)
            .map_err(|e| Failure::new(format!("cannot read `{name}`: {}", reason(&e))))?;
        let case = Case::parse(&text).map_err(|e| Failure::new(format!("`{name}` is not a case: {e}")))?;
        // A case is called after its directory.
        let dir = self.file.parent().and_then(Path::file_name).filter(|_| self.file.ends_with("case.json"));
        let stem = dir.or(self.file.file_stem()).unwrap_or(OsStr::new("case")).to_string_lossy();
        let script = Script { prefix: &stem, file: &name, case: &case, services: &[], jobs: &[], notes: &[] };
        script.text().map_err(Failure::new)
    }
}
