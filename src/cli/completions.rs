//! `netsim completions`: what a shell has to know to complete netsim's arguments.

use super::{Arguments, Verdict, failure::Failure, terminal::Terminal};
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

/// Print shell completions
#[derive(Args)]
#[command(after_help = "\
Examples:
  netsim completions bash > ~/.local/share/bash-completion/completions/netsim
  netsim completions zsh  > ~/.zfunc/_netsim
  netsim completions fish > ~/.config/fish/completions/netsim.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Arguments::command(), "netsim", &mut script);
        terminal.print(&String::from_utf8_lossy(&script))?;
        Ok(Verdict::Good)
    }
}
