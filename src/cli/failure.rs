//! Why a command could not do what it was asked: exit status 2.

use super::terminal::Terminal;
use std::{fmt::Display, io, path::Path};

/// What the user has to know and can do.
#[derive(Debug)]
pub enum Failure {
    /// One sentence, and what to try.
    Message { what: String, hint: Option<String> },
    /// Mistakes in a scenario, already underlined.
    Mistakes(String),
}

impl Failure {
    /// A sentence without a full stop.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure::Message { what: what.into(), hint: None }
    }

    /// Adds what to try.
    pub fn hint(self, text: impl Into<String>) -> Failure {
        match self {
            Failure::Message { what, .. } => Failure::Message { what, hint: Some(text.into()) },
            mistakes @ Failure::Mistakes(_) => mistakes,
        }
    }

    /// Adds what to try, if there is something.
    pub fn maybe_hint(self, text: Option<String>) -> Failure {
        match text {
            Some(text) => self.hint(text),
            None => self,
        }
    }

    /// The system refused something about a file: `doing` is "read", "write" …
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Failure {
        let failure = Failure::new(format!("cannot {doing} `{}`: {}", path.display(), reason(error)));
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint("its directory does not exist; create it first or name another"),
            io::ErrorKind::PermissionDenied => failure.hint("choose a place you may write to, such as /tmp"),
            _ => failure,
        }
    }

    /// Tells the user.
    pub fn report(&self, terminal: &Terminal) {
        let style = terminal.err_style();
        terminal.note(&match self {
            Failure::Mistakes(text) => text.clone(),
            Failure::Message { what, hint } => {
                let hint = hint.as_ref().map(|h| format!("  {} {h}\n", style.cyan("hint:"))).unwrap_or_default();
                format!("{} {what}\n{hint}", style.red("error:"))
            }
        });
    }
}

/// The system's words without the error number that Rust adds.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

/// The nearest of some names to a mistyped one.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let near = names.into_iter().map(|name| (strsim::damerau_levenshtein(&typed, &name.to_lowercase()), name));
    let (distance, name) = near.min()?;
    // Of a name with one letter, every other one is as near.
    let length = typed.chars().count();
    (distance < length && distance <= (length / 3).max(1)).then_some(name)
}

/// `a`, `b` and `c`; of a long list only the beginning.
pub fn list<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 12;
    let names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    match &names[..] {
        [] => "nothing".into(),
        [one] => one.clone(),
        [start @ .., last] if names.len() <= MOST => format!("{} and {last}", start.join(", ")),
        _ => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = ["nat.ron", "storm.ron"];
        assert_eq!(nearest("nta.ron", names), Some("nat.ron"));
        assert_eq!(nearest("NAT.ron", names), Some("nat.ron"));
        assert_eq!(nearest("firewall", names), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!((nearest("c", ["a"]), nearest("A", ["a"])), (None, Some("a")));
    }

    #[test]
    fn lists() {
        assert_eq!(list(["a"; 0]), "nothing");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
        assert!(list(0..20).ends_with("`11` and 8 more"));
    }

    #[test]
    fn the_systems_words() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(reason(&io::Error::other("odd")), "odd");
    }
}
