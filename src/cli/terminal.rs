//! Where text goes: standard output and standard error, with or without colour.

use super::failure::{Failure, reason};
use clap::ValueEnum;
use netsim::report::text::Style;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is "dumb"
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Standard output and standard error.
pub struct Terminal {
    out: Style,
    err: Style,
    err_is_terminal: bool,
}

impl Terminal {
    /// Looks once at what the two streams are.
    pub fn new(color: Color) -> Terminal {
        let err_is_terminal = io::stderr().is_terminal();
        let style = |terminal: bool| {
            Style::new(match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && environment_allows_colour(),
            })
        };
        Terminal { out: style(io::stdout().is_terminal()), err: style(err_is_terminal), err_is_terminal }
    }

    /// How to colour what is printed.
    pub fn style(&self) -> Style {
        self.out
    }

    /// How to colour notes and errors.
    pub fn err_style(&self) -> Style {
        self.err
    }

    /// Whether somebody may be watching standard error.
    pub fn is_watched(&self) -> bool {
        self.err_is_terminal
    }

    /// Prints to standard output. A reader that went away, as in `netsim … | head`, is no trouble.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("cannot write to standard output: {}", reason(&e))))
            }
            _ => Ok(()),
        }
    }

    /// Prints to standard error. If that fails there is nobody left to tell.
    pub fn note(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// <https://no-color.org>: set and not empty means no colour.
#[expect(clippy::disallowed_methods, reason = "how text looks on this terminal is the environment's business")]
fn environment_allows_colour() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    !no_color && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_obeyed() {
        assert_eq!(Terminal::new(Color::Always).style(), Style::COLOUR);
        let plain = Terminal::new(Color::Never);
        assert_eq!((plain.style(), plain.err_style()), (Style::PLAIN, Style::PLAIN));
    }
}
