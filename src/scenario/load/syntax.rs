//! What ron says about broken syntax, in words a student can act on, at the place that helps most.

use super::MAX_DEPTH;
use crate::scenario::{Diagnostic, Span};
use ron::error::{Error, Position, SpannedError};

/// Turns ron's error into a diagnostic.
pub(super) fn explain(text: &str, error: &SpannedError) -> Diagnostic {
    let at = offset(text, error.span.start);
    let end = offset(text, error.span.end);
    if matches!(error.code, Error::ExceededRecursionLimit) {
        let message = format!("the parentheses are nested more than {MAX_DEPTH} deep");
        return Diagnostic::error("too-deep", Span::new(at, at + 1), message).label("too deep here");
    }
    if let Some(bracket) = unbalanced(text) {
        return bracket;
    }
    match &error.code {
        Error::ExpectedComma | Error::ExpectedArrayEnd | Error::ExpectedMapEnd | Error::ExpectedStructLikeEnd => {
            let gap = end_of_previous(text, at);
            let d = Diagnostic::error("missing-comma", Span::new(gap, gap + 1), "a comma is missing");
            d.label("expected `,` after this").help("values are separated by commas")
        }
        Error::ExpectedMapColon => {
            let d = Diagnostic::error("missing-colon", mark(text, at), "a colon is missing");
            d.label("expected `: value` before this").help("an entry of a map is written `\"name\": value`")
        }
        Error::TrailingCharacters => {
            let behind = at + (text[at..].len() - text[at..].trim_start().len());
            let d = Diagnostic::error("trailing", mark(text, behind), "something follows the end of the scenario");
            d.label("not expected").help("everything belongs into one pair of parentheses")
        }
        Error::ExpectedStringEnd => {
            let d = Diagnostic::error("unclosed-text", mark(text, at), "a text is not closed");
            d.label("begins here").help("add the closing `\"`")
        }
        Error::UnclosedBlockComment => {
            let d = Diagnostic::error("unclosed-comment", mark(text, at), "a comment is not closed");
            d.label("begins here").help("add the closing `*/`")
        }
        Error::Eof => Diagnostic::error("syntax", mark(text, at), "the file ends too early").label("expected more"),
        code => {
            let span = if end > at { Span::new(at, end) } else { mark(text, at) };
            let message = lower_first(&code.to_string());
            Diagnostic::error("syntax", span, message).label("cannot be read")
        }
    }
}

/// Finds a bracket that is not closed, closed by the wrong one, or closed but never opened.
fn unbalanced(text: &str) -> Option<Diagnostic> {
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut odd = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                // A text that runs into the next line and is followed by a word swallowed what was meant to follow it.
                if odd.is_none() && runs_on(bytes, start, at) {
                    odd = Some(start);
                }
                if at >= bytes.len() {
                    return Some(unclosed_text(odd.unwrap_or(start)));
                }
            }
            b'/' if bytes[at..].starts_with(b"//") => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
            }
            // Raw strings and block comments may contain anything; the rest of the file is left to ron.
            b'/' if bytes[at..].starts_with(b"/*") => return None,
            b'r' if bytes[at..].starts_with(b"r#") || bytes[at..].starts_with(b"r\"") => return None,
            b @ (b'(' | b'[' | b'{') => open.push((b, at)),
            b @ (b')' | b']' | b'}') => match open.pop() {
                Some((o, _)) if closing(o) == b => {}
                _ if odd.is_some() => return odd.map(unclosed_text),
                Some((o, opened)) => {
                    let message = format!("`{}` is closed by `{}`", o as char, b as char);
                    let d = Diagnostic::error("unbalanced", Span::new(at, at + 1), message);
                    let d = d.label(format!("expected `{}`", closing(o) as char));
                    return Some(d.related(Span::new(opened, opened + 1), "opened here"));
                }
                None => {
                    let message = format!("`{}` closes nothing", b as char);
                    let d = Diagnostic::error("unbalanced", Span::new(at, at + 1), message).label("never opened");
                    return Some(d.help("remove it, or add the opening one"));
                }
            },
            _ => {}
        }
        at += 1;
    }
    if let Some(start) = odd {
        return Some(unclosed_text(start));
    }
    let (o, opened) = open.pop()?;
    let message = format!("`{}` is never closed", o as char);
    let d = Diagnostic::error("unbalanced", Span::new(opened, opened + 1), message).label("opened here");
    Some(d.help(format!("add the closing `{}`", closing(o) as char)))
}

fn unclosed_text(start: usize) -> Diagnostic {
    let d = Diagnostic::error("unclosed-text", Span::new(start, start + 1), "a text is not closed");
    d.label("begins here").help("add the closing `\"`")
}

/// Whether the text between two quotes spans lines and is not followed by what separates values.
fn runs_on(bytes: &[u8], start: usize, end: usize) -> bool {
    let next = bytes.get(end + 1..).and_then(|rest| rest.iter().find(|b| !b.is_ascii_whitespace()));
    bytes[start..end.min(bytes.len())].contains(&b'\n') && next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

fn closing(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

/// The last byte before `at` that is not blank.
fn end_of_previous(text: &str, at: usize) -> usize {
    let before = text[..at].trim_end();
    before.char_indices().next_back().map_or(0, |(i, _)| i)
}

/// The character at `at`, or the last one of the file if that is its end.
fn mark(text: &str, at: usize) -> Span {
    match text[at..].chars().next() {
        Some(c) => Span::new(at, at + c.len_utf8()),
        None => {
            let last = end_of_previous(text, text.len());
            Span::new(last, text[last..].chars().next().map_or(last, |c| last + c.len_utf8()))
        }
    }
}

/// The byte of a line and column of ron, which count from 1 and in characters.
fn offset(text: &str, position: Position) -> usize {
    let mut start = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if i + 1 == position.line {
            return start + line.char_indices().nth(position.col.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
        }
        start += line.len();
    }
    text.len()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().chain(chars).collect())
}
