//! The command line: arguments are parsed first, then given meaning; one file for each subcommand.

mod capture;
mod check;
mod completions;
mod conform;
mod export;
mod failure;
mod graph;
mod input;
mod list;
mod new;
mod output;
mod proc;
mod progress;
mod run;
mod terminal;
mod verify;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;
use terminal::{Color, Terminal};

/// What a command found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All is as it should be: exit status 0.
    Good,
    /// An expectation does not hold, or two runs differ: exit status 1.
    Failed,
    /// The input is not usable, which has been said: exit status 2.
    BadInput,
}

const LONG_ABOUT: &str = "\
netsim simulates networks of Linux machines in one process, packet by packet, without root and without a kernel's help.

A scenario file describes namespaces (each with its own devices, addresses, routes, neighbours, firewall, connection \
tracking and sockets), the cables between them, what happens when, and what must have come true at the end. netsim \
builds that world, lets virtual time pass, and tells what each packet went through. The same scenario and seed give \
the same run on every machine, down to the last bit; the trace digest shows it.";

const AFTER_HELP: &str = "\
First steps:
  netsim list                                    what there is to run
  netsim run scenarios/nat.ron                   the journey of a packet through NAT
  netsim graph scenarios/nat.ron                 the same network as a drawing
  netsim run scenarios/nat.ron --pcap nat.pcapng everything on every wire, for Wireshark
  netsim proc scenarios/nat.ron host net/route   a table as the kernel prints it
  netsim new lab.ron                             a scenario of your own to start from

Exit status:
  0  all went well and every expectation holds
  1  an expectation does not hold, or with --check, two runs differ
  2  the command line or a file is wrong, or a file cannot be written

`netsim COMMAND --help` tells more. docs/scenario.md is the reference of the scenario file.";

/// A virtual network simulator that behaves like Linux, packet by packet
#[derive(Parser)]
#[command(name = "netsim", version, long_about = LONG_ABOUT, after_help = AFTER_HELP)]
#[command(max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to colour the output
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, value_name = "WHEN")]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Graph(graph::Graph),
    Proc(proc::Proc),
    New(new::New),
    List(list::List),
    Conform(conform::Conform),
    Export(export::Export),
    Verify(verify::Verify),
    Completions(completions::Completions),
}

impl Command {
    fn execute(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        match self {
            Command::Run(run) => run.run(terminal),
            Command::Check(check) => check.run(terminal),
            Command::Graph(graph) => graph.run(terminal),
            Command::Proc(proc) => proc.run(terminal),
            Command::New(new) => new.run(terminal),
            Command::List(list) => list.run(terminal),
            Command::Conform(conform) => conform.run(terminal),
            Command::Export(export) => export.run(terminal),
            Command::Verify(verify) => verify.run(terminal),
            Command::Completions(completions) => completions.run(terminal),
        }
    }
}

/// Does what the command line asks. Wrong arguments end the process with status 2, `--help` with 0.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let terminal = Terminal::new(arguments.color);
    let verdict = arguments.command.execute(&terminal).unwrap_or_else(|failure| {
        failure.report(&terminal);
        Verdict::BadInput
    });
    ExitCode::from(match verdict {
        Verdict::Good => 0,
        Verdict::Failed => 1,
        Verdict::BadInput => 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_argument_is_explained() {
        let top = Arguments::command();
        for command in std::iter::once(&top).chain(top.get_subcommands()) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
