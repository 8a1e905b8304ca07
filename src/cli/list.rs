//! `netsim list`: the scenarios of a directory, and what each shows.

use super::{Verdict, failure::Failure, input, terminal::Terminal};
use clap::Args;
use netsim::report::text::{Style, wrap};
use std::path::PathBuf;

/// Columns of the text.
const WIDTH: usize = 100;

/// List the scenarios of a directory with what each of them shows
#[derive(Args)]
pub struct List {
    /// The directory to look in
    #[arg(value_name = "DIR", default_value = "scenarios")]
    dir: PathBuf,
}

impl List {
    pub fn run(&self, terminal: &Terminal) -> Result<Verdict, Failure> {
        if !self.dir.is_dir() {
            let failure = Failure::new(format!("there is no directory `{}`", self.dir.display()));
            return Err(failure.hint("name a directory that holds scenarios: `netsim list DIR`"));
        }
        let files = input::scenarios_in(&self.dir);
        if files.is_empty() {
            let failure = Failure::new(format!("there is no scenario (*.ron) in `{}`", self.dir.display()));
            return Err(failure.hint("`netsim new lab.ron` writes one to start from"));
        }
        let style = terminal.style();
        let mut text = String::new();
        for file in files {
            let about = match input::read(&file) {
                Ok(found) => match found.scenario {
                    Some(scenario) => {
                        let title = scenario.title.map_or("(no title)".into(), |t| t.value);
                        let about = scenario.about.map(|a| first_sentence(&a.value)).unwrap_or_default();
                        (title, about)
                    }
                    None => (style.red("has mistakes"), format!("`netsim check {}` shows them", file.display())),
                },
                Err(_) => (style.red("cannot be read"), String::new()),
            };
            text.push_str(&entry(style, &file.display().to_string(), &about.0, &about.1));
        }
        text.push_str(&style.dim("\nnetsim run FILE  runs one;  netsim graph FILE  draws it\n"));
        terminal.print(&text)?;
        Ok(Verdict::Good)
    }
}

fn entry(style: Style, file: &str, title: &str, about: &str) -> String {
    let mut text = format!("{}  {title}\n", style.cyan(file));
    if !about.is_empty() {
        text.push_str(&format!("    {}\n", wrap(about, WIDTH - 4, 4)));
    }
    text
}

/// Up to the first full stop, on one line.
fn first_sentence(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let end = words.iter().position(|w| w.ends_with(['.', '!', '?'])).map_or(words.len(), |i| i + 1);
    words[..end].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        assert_eq!(first_sentence("\n  One way\n  out.\n  And back."), "One way out.");
        assert_eq!(first_sentence("10.0.0.1 answers"), "10.0.0.1 answers");
        assert_eq!(first_sentence(""), "");
        assert_eq!(entry(Style::PLAIN, "a.ron", "A", ""), "a.ron  A\n");
    }
}
