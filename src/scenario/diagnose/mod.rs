//! A user's mistake: where it is, what is wrong, what was expected and what to try.

mod render;

pub use render::render;

use super::Span;
use std::fmt;

/// How bad a mistake is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The scenario cannot be run.
    Error,
    /// The scenario runs, but probably not as meant.
    Warning,
}

/// One mistake in a scenario file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The bytes of the source it is about.
    pub span: Span,
    /// How bad it is.
    pub severity: Severity,
    /// A stable short name of the kind of mistake, such as `unknown-namespace`.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What is written under the marked place: what was expected there.
    pub label: String,
    /// What to try.
    pub help: Option<String>,
    /// Another place that belongs to the mistake (the first use of a name that is used twice), and a word about it.
    pub related: Option<(Span, String)>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            span,
            severity: Severity::Error,
            code,
            message: message.into(),
            label: "here".into(),
            help: None,
            related: None,
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// Sets the words under the marked place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Sets what to try.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Sets what to try, if there is something.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Diagnostic {
        self.help = help.or(self.help);
        self
    }

    /// Points to a second place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.related = Some((span, label.into()));
        self
    }

    /// Whether the scenario cannot be run because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}: {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, " (help: {help})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Line and column, both from 1 and the column in characters, of a byte of the source.
///
/// ```
/// use netsim::scenario::diagnose::line_column;
/// assert_eq!(line_column("ab\ncd", 4), (2, 2));
/// ```
pub fn line_column(source: &str, byte: usize) -> (usize, usize) {
    let mut at = byte.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let before = &source[..at];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (line, before[start..].chars().count() + 1)
}

/// The nearest of some names to a mistyped one, as the question "did you mean …?".
pub(crate) fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A name much longer than any real one is noise; comparing it would cost time for nothing.
    if typed.len() > 64 {
        return None;
    }
    let lower = typed.to_lowercase();
    let nearest = names
        .into_iter()
        .filter(|name| name.len() <= 64)
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)?;
    // Of a name with one letter, every other one is as near.
    let near = nearest.0 < typed.len() && nearest.0 <= (typed.len() / 3).max(1);
    near.then(|| format!("did you mean `{}`?", nearest.1))
}
