//! Graphviz.

use super::model::{Drawing, Row};
use std::fmt::Write;

/// The topology in the DOT language of Graphviz: `netsim graph --dot lab.ron | dot -Tsvg`.
///
/// ```
/// let drawing = netsim::scenario::load(r#"(
///     namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: [(ends: "a:eth0 -- b:eth0", delay: "10ms")],
/// )"#).unwrap().drawing();
/// let text = netsim::report::graph::dot(&drawing);
/// assert!(text.starts_with("graph"));
/// assert!(text.contains("n0:d0 -- n1:d0"));
/// ```
pub fn dot(drawing: &Drawing) -> String {
    let mut out = String::from("graph netsim {\n");
    out.push_str("  graph [rankdir=LR, fontname=\"Helvetica\", nodesep=0.4, ranksep=1.2];\n");
    out.push_str("  node [shape=plain, fontname=\"Helvetica\", fontsize=11];\n");
    out.push_str("  edge [fontname=\"Helvetica\", fontsize=10, color=\"#52606d\"];\n");
    if let Some(title) = &drawing.title {
        let _ = writeln!(out, "  label=\"{}\"; labelloc=t;", quoted(title));
    }
    for (i, b) in drawing.boxes.iter().enumerate() {
        let kind = if b.kind.is_empty() { String::new() } else { format!(" <i>{}</i>", b.kind) };
        let _ = write!(
            out,
            "  n{i} [label=<<table border=\"1\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"4\">\
             <tr><td bgcolor=\"#e4eef8\"><b>{}</b>{kind}</td></tr>",
            html(&b.name)
        );
        for (r, row) in b.rows.iter().enumerate() {
            let _ = write!(out, "<tr><td port=\"d{r}\" align=\"left\">{}</td></tr>", html(&device(row)));
        }
        out.push_str("</table>>];\n");
    }
    for cable in &drawing.cables {
        let style = if cable.up { "" } else { ", style=dashed" };
        let (a, b) = (cable.a, cable.b);
        let _ = writeln!(
            out,
            "  n{}:d{} -- n{}:d{} [label=\"{}\"{style}];",
            a.node,
            a.row,
            b.node,
            b.row,
            cable.label.iter().map(|line| quoted(line)).collect::<Vec<_>>().join("\\n")
        );
    }
    if drawing.hidden > 0 {
        let _ = writeln!(out, "  more [shape=plaintext, label=\"and {} more namespaces\"];", drawing.hidden);
    }
    out.push_str("}\n");
    out
}

fn device(row: &Row) -> String {
    let mut text = format!("{}{}", "\u{a0}\u{a0}".repeat(row.depth), row.name);
    for part in std::iter::once(row.kind.to_string()).chain(row.addresses.iter().cloned()).filter(|p| !p.is_empty()) {
        text.push_str("  ");
        text.push_str(&part);
    }
    text
}

/// The content of a quoted DOT string.
fn quoted(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| [(c == '"' || c == '\\').then_some('\\'), Some(c)])
        .flatten()
        .collect()
}

/// The content of an HTML-like label.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
