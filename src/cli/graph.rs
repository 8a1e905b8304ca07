//! `netsim graph`: the network of a scenario as a drawing.

use super::{Verdict, failure::Failure, input, output::Output, terminal::Terminal};
use clap::{Args, ValueEnum};
use netsim::report::graph;
use std::path::PathBuf;

/// Draw the network of a scenario
///
/// Namespaces with their devices and addresses, bridges, and the cables between them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  netsim graph scenarios/nat.ron
  netsim graph scenarios/nat.ron --format svg -o nat.svg
  netsim graph scenarios/nat.ron --format dot | dot -Tpdf -o nat.pdf")]
pub struct Graph {
    /// The scenario; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to draw
    #[arg(long, short, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// Write a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Formats of a drawing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// Boxes and lines, to be read here
    Terminal,
    /// Mermaid, for Markdown
    Mermaid,
    /// DOT, for Graphviz
    Dot,
    /// SVG, for a browser
    Svg,
}

impl Graph {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        let loaded = input::load(&self.file, terminal)?;
        let output = self.output.as_ref().map(|path| Output::prepare(path, &self.file)).transpose()?;
        let drawing = loaded.scenario.drawing();
        let text = match self.format {
            Format::Terminal => graph::terminal(&drawing),
            Format::Mermaid => graph::mermaid(&drawing),
            Format::Dot => graph::dot(&drawing),
            Format::Svg => graph::svg(&drawing),
        };
        match output {
            Some(mut output) => {
                let written = output.writer().write_all(text.as_bytes());
                output.keep(written)?;
            }
            None => terminal.print(&text)?,
        }
        Ok(Verdict::Good)
    }
}
