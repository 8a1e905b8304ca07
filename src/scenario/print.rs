//! A tree as RON text: how presets are shown expanded, and defaults in the documentation.

use super::{
    Scenario,
    node::{Node, Shape, Word},
    read::Read,
};
use std::fmt::Write;

/// Lines are broken so that they stay within this many characters where possible.
const WIDTH: usize = 110;

/// The whole scenario as RON with every preset expanded to the plain settings it stands for. Reading the text back
/// yields an equal scenario. Comments are not kept.
///
/// ```
/// let source = r#"(namespaces: { "h": Host(addr: "10.0.0.2/24", gateway: "10.0.0.1") })"#;
/// let scenario = netsim::scenario::load(source).unwrap();
/// let plain = netsim::scenario::print(&scenario);
/// assert!(plain.contains(r#"routes: ["default via 10.0.0.1"]"#));
/// assert_eq!(netsim::scenario::load(&plain).unwrap(), scenario);
/// ```
pub fn print(scenario: &Scenario) -> String {
    let mut out = String::new();
    block(&scenario.write(), 0, 0, &mut out);
    out.push('\n');
    out
}

/// A value on one line.
pub(crate) fn line(node: &Node) -> String {
    let mut out = String::new();
    flat(node, &mut out);
    out
}

fn flat(node: &Node, out: &mut String) {
    match &node.shape {
        Shape::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Shape::Number(text) | Shape::Word(text) => out.push_str(text),
        Shape::Text { text, .. } => quote(text, out),
        Shape::List(items) => group("", "[", "]", items.iter(), out, flat),
        Shape::Tuple(name, items) => {
            let open = if items.is_empty() && name.is_some() { "" } else { "(" };
            let close = if open.is_empty() { "" } else { ")" };
            group(name_of(name), open, close, items.iter(), out, flat);
        }
        Shape::Map(items) if items.is_empty() => out.push_str("{}"),
        Shape::Map(items) => group("", "{ ", " }", items.iter(), out, |(key, value), out| {
            flat(key, out);
            out.push_str(": ");
            flat(value, out);
        }),
        Shape::Record(name, fields) => group(name_of(name), "(", ")", fields.iter(), out, |(word, value), out| {
            let _ = write!(out, "{}: ", word.text);
            flat(value, out);
        }),
    }
}

/// Writes a value, broken over several lines if it would not fit behind `column`.
fn block(node: &Node, depth: usize, column: usize, out: &mut String) {
    let one_line = line(node);
    let always_broken = depth == 0 || matches!(&node.shape, Shape::Map(items) if items.len() > 1);
    if !always_broken && column + one_line.chars().count() <= WIDTH {
        out.push_str(&one_line);
        return;
    }
    match &node.shape {
        Shape::List(items) => lines("", "[", "]", items.iter(), depth, out, |item, d, out| block(item, d, d * 4, out)),
        Shape::Tuple(name, items) => {
            lines(name_of(name), "(", ")", items.iter(), depth, out, |item, d, out| block(item, d, d * 4, out));
        }
        Shape::Map(items) => lines("", "{", "}", items.iter(), depth, out, |(key, value), d, out| {
            let key = format!("{}: ", line(key));
            out.push_str(&key);
            block(value, d, d * 4 + key.chars().count(), out);
        }),
        Shape::Record(name, fields) => {
            lines(name_of(name), "(", ")", fields.iter(), depth, out, |(word, value), d, out| {
                let _ = write!(out, "{}: ", word.text);
                block(value, d, d * 4 + word.text.len() + 2, out);
            })
        }
        _ => out.push_str(&one_line),
    }
}

fn lines<T>(
    name: &str,
    open: &str,
    close: &str,
    items: impl Iterator<Item = T>,
    depth: usize,
    out: &mut String,
    each: impl Fn(T, usize, &mut String),
) {
    let _ = writeln!(out, "{name}{open}");
    for item in items {
        let _ = write!(out, "{:1$}", "", (depth + 1) * 4);
        each(item, depth + 1, out);
        out.push_str(",\n");
    }
    let _ = write!(out, "{:1$}{close}", "", depth * 4);
}

fn group<T>(
    name: &str,
    open: &str,
    close: &str,
    items: impl Iterator<Item = T>,
    out: &mut String,
    each: impl Fn(T, &mut String),
) {
    out.push_str(name);
    out.push_str(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        each(item, out);
    }
    out.push_str(close);
}

fn name_of(name: &Option<Word>) -> &str {
    name.as_ref().map_or("", |word| &word.text)
}

/// A string literal. Line breaks stay as they are: RON strings may contain them.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push('\n'),
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
