//! From the text of a file to a scenario: the limits of what is accepted, the three stages, the only door to ron.

mod syntax;
mod tree;

use super::{
    Diagnostic, Scenario, Span, check,
    node::{Node, Shape},
    read::{Read, Reader},
    repeat,
};

/// Larger files are refused before they are looked at: 4 MiB.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;

/// Parentheses nested deeper than this are refused.
pub const MAX_DEPTH: usize = 24;

/// Reads a scenario and checks it.
///
/// ```
/// use netsim::scenario::load;
/// let scenario = load(r#"(namespaces: { "a": (), "b": () }, links: ["a:eth0 -- b:eth0"])"#).unwrap();
/// assert_eq!(scenario.namespaces.len(), 2);
///
/// let mistakes = load(r#"(namespaces: { "a": () }, links: ["a:eth0 -- c:eth0"])"#).unwrap_err();
/// assert_eq!(mistakes[0].message, "there is no namespace `c`");
/// ```
///
/// # Errors
/// Every mistake that was found, in the order of the file: at least one error, and the warnings too. A mistake in the
/// syntax hides those behind it.
pub fn load(source: &str) -> Result<Scenario, Vec<Diagnostic>> {
    let (scenario, found) = inspect(source.as_bytes());
    scenario.ok_or(found)
}

/// Reads a scenario from bytes that need not be UTF-8, and keeps the warnings of a good one.
///
/// The scenario is there if none of the diagnostics is an error. Never panics and never takes longer than a few seconds,
/// whatever the bytes.
pub fn inspect(source: &[u8]) -> (Option<Scenario>, Vec<Diagnostic>) {
    let mut reader = Reader::default();
    let scenario = read_all(source, &mut reader);
    let mut found = reader.found;
    found.sort_by_key(|d| d.span.start);
    let good = !found.iter().any(Diagnostic::is_error);
    (scenario.filter(|_| good), found)
}

fn read_all(source: &[u8], reader: &mut Reader) -> Option<Scenario> {
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!("the file has {} bytes; a scenario has at most {MAX_SOURCE_BYTES}", source.len());
        let d = Diagnostic::error("too-large", Span::NONE, message).label("not read");
        return reader.report(d.help("this is probably not a scenario; `netsim new` writes one to start from"));
    }
    let text = match std::str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let d = Diagnostic::error("not-text", Span::new(at, at + 1), "the file is not text in UTF-8");
            return reader.report(d.label("not a character").help("this is probably not a scenario"));
        }
    };
    let mut node = match parse(text) {
        Ok(node) => node,
        Err(diagnostic) => return reader.report(diagnostic),
    };
    repeat::expand(&mut node, reader)?;
    let scenario = Scenario::read(&node, reader)?;
    check::check(&scenario, reader);
    Some(scenario)
}

/// The text as a tree. ron decides what is a valid file; the tree adds the places.
fn parse(text: &str) -> Result<Node, Diagnostic> {
    if tree::is_blank(text) {
        let d = Diagnostic::error("empty", Span::new(0, text.len().min(1)), "the file is empty");
        return Err(d.label("nothing here").help("`netsim new` writes a scenario to start from"));
    }
    let options = ron::Options::default().with_recursion_limit(MAX_DEPTH);
    if let Err(error) = options.from_str::<serde::de::IgnoredAny>(text) {
        return Err(syntax::explain(text, &error));
    }
    let node = tree::build(text, MAX_DEPTH + 2)?;
    match &node.shape {
        Shape::Record(None, _) | Shape::Tuple(None, _) => Ok(node),
        Shape::Record(Some(name), _) | Shape::Tuple(Some(name), _) if name.text == "Scenario" => Ok(node),
        _ => {
            let d = Diagnostic::error("wrong-kind", node.span, format!("{} is not a scenario", node.describe()));
            Err(d.label("expected `(namespaces: { ... }, ...)`").help("put parentheses around the whole file"))
        }
    }
}

#[cfg(test)]
mod tests;
