//! Diagnostics as text with the source underlined. The only file that uses miette.

use super::{Diagnostic, line_column};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};
use std::fmt;

/// Lines longer than this many bytes are shown in part.
const LONGEST_LINE: usize = 240;

/// Renders mistakes one after the other as people read them: what, where with the source underlined, and what to try;
/// at the end, how many there are. `name` is what the file is called; `color` turns on ANSI colours.
///
/// Control characters of the source are shown as `?`, so that a file cannot command the terminal.
///
/// ```
/// use netsim::scenario::{diagnose::render, load};
/// let source = "(namespaces: { \"a\": (devces: {}) })";
/// let mistakes = load(source).unwrap_err();
/// let text = render(&mistakes, source, "lab.ron", false);
/// assert!(text.contains("a namespace has no field `devces`"));
/// assert!(text.contains("lab.ron:1:22"));
/// assert!(text.contains("did you mean `devices`?"));
/// ```
pub fn render(found: &[Diagnostic], source: &str, name: &str, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_context_lines(1)
        .with_width(110)
        .with_links(false)
        .without_syntax_highlighting();
    let clean = printable(source);
    let mut out = String::new();
    for diagnostic in found {
        let report = Report { diagnostic, source: Excerpt { text: &clean, name } };
        // Writing to a string fails only if the handler does; a mistake must be shown all the same.
        if handler.render_report(&mut out, &report).is_err() {
            let (line, column) = line_column(source, diagnostic.span.start as usize);
            out.push_str(&format!("  {name}:{line}:{column}: {diagnostic}\n"));
        }
        out.push('\n');
    }
    out.push_str(&summary(found, name));
    out
}

fn summary(found: &[Diagnostic], name: &str) -> String {
    let errors = found.iter().filter(|d| d.is_error()).count();
    let warnings = found.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => String::new(),
        (0, _) => format!("{name}: {}\n", count(warnings, "warning")),
        (_, 0) => format!("{name}: {}\n", count(errors, "error")),
        _ => format!("{name}: {}, {}\n", count(errors, "error"), count(warnings, "warning")),
    }
}

/// The text with control characters replaced by as many question marks as they have bytes.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => out.push(' '),
            c if c.is_control() => out.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => out.push(c),
        }
    }
    out
}

struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Excerpt<'a>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.diagnostic.is_error() { miette::Severity::Error } else { miette::Severity::Warning })
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.diagnostic.span.is_none()).then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let d = self.diagnostic;
        if d.span.is_none() {
            return None;
        }
        let label = |span: super::Span, text: &str, primary: bool| {
            let len = self.source.shown(span.start as usize, span.len());
            let span = SourceSpan::new((span.start as usize).into(), len);
            let text = Some(text.to_string());
            if primary {
                LabeledSpan::new_primary_with_span(text, span)
            } else {
                LabeledSpan::new_with_span(text, span)
            }
        };
        let main = label(d.span, &d.label, true);
        let other = d.related.as_ref().map(|(span, text)| label(*span, text, false));
        Some(Box::new(std::iter::once(main).chain(other)))
    }
}

/// The source, shown around one place at a time.
struct Excerpt<'a> {
    text: &'a str,
    name: &'a str,
}

impl Excerpt<'_> {
    /// A range moved to where it cuts no character and is not beyond the end. A file that is not text is shown with
    /// replacement characters, whose positions differ.
    fn inside(&self, start: usize, end: usize) -> (usize, usize) {
        let start = floor_boundary(self.text, start);
        (start, ceil_boundary(self.text, end.clamp(start, self.text.len())))
    }

    /// How much of a span is underlined: its first line, and not more than fits.
    fn shown(&self, start: usize, len: usize) -> usize {
        let (start, end) = self.inside(start, start.saturating_add(len));
        let span = &self.text[start..end];
        let line = span.lines().next().unwrap_or("");
        floor_boundary(line, LONGEST_LINE / 2)
    }
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = self.inside(span.offset(), span.offset().saturating_add(span.len()));
        // Without context, miette asks for the line and column to print in the heading.
        if before == 0 && after == 0 {
            return Ok(self.contents(start, end));
        }
        let line_start = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[end..].find('\n').map_or(self.text.len(), |i| end + i);
        let (from, to) = if line_end - line_start > LONGEST_LINE {
            // A part of the line around the place; the lines around it may be as long.
            let from = ceil_boundary(self.text, start.saturating_sub(LONGEST_LINE / 4).max(line_start));
            (from, end + floor_boundary(&self.text[end..line_end], LONGEST_LINE / 4))
        } else {
            (self.context_before(line_start, before), self.context_after(line_end, after))
        };
        Ok(self.contents(from, to))
    }
}

impl Excerpt<'_> {
    /// The text from `from` to `to` with its place in the file.
    fn contents<'a>(&'a self, from: usize, to: usize) -> Box<dyn SpanContents<'a> + 'a> {
        let (line, column) = line_column(self.text, from);
        let data = &self.text.as_bytes()[from..to];
        let lines = data.iter().filter(|b| **b == b'\n').count();
        let span = SourceSpan::new(from.into(), to - from);
        Box::new(MietteSpanContents::new_named(self.name.into(), data, span, line - 1, column - 1, lines))
    }

    fn context_before(&self, mut at: usize, lines: usize) -> usize {
        for _ in 0..lines {
            let previous = self.text[..at.saturating_sub(1)].rfind('\n').map_or(0, |i| i + 1);
            if at == 0 || at - previous > LONGEST_LINE {
                break;
            }
            at = previous;
        }
        at
    }

    fn context_after(&self, mut at: usize, lines: usize) -> usize {
        for _ in 0..lines {
            let Some(rest) = self.text.get(at + 1..) else { break };
            let next = rest.find('\n').map_or(self.text.len(), |i| at + 1 + i);
            if next - at > LONGEST_LINE {
                break;
            }
            at = next;
        }
        at
    }
}

/// The largest length of at most `most` bytes that does not cut a character.
fn floor_boundary(text: &str, most: usize) -> usize {
    let mut at = most.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The smallest position from `at` on that does not cut a character.
fn ceil_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Span;

    #[test]
    fn long_lines_are_cut_and_control_characters_shown_as_question_marks() {
        let source = format!("{}\u{1b}[2Jbad{}", "x".repeat(100_000), "y".repeat(100_000));
        let at = source.find("bad").unwrap();
        let d = Diagnostic::error("test", Span::new(at, at + 3), "wrong").label("this");
        let text = render(&[d], &source, "noise", false);
        assert!(text.len() < 2_000, "{} bytes", text.len());
        assert!(text.contains("?[2Jbad") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("noise:1:100005"), "{text}");
        assert!(text.contains("noise: 1 error"), "{text}");
    }

    #[test]
    fn a_place_at_the_end_or_beyond_is_no_trouble() {
        for (source, start, end) in [("", 0, 1), ("ä", 0, 1), ("ab\n", 3, 4), ("ab", 1, 900), ("a\nb\nc", 2, 3)] {
            let d = Diagnostic::warning("test", Span::new(start, end), "odd").related(Span::new(0, 1), "see here");
            assert!(render(&[d], source, "f", false).contains("odd"), "{source:?}");
        }
    }
}
