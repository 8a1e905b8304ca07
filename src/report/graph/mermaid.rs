//! Mermaid, as Markdown pages show it.

use super::model::Drawing;
use std::fmt::Write;

/// The topology as a Mermaid flow chart, ready for a fenced `mermaid` block of a Markdown page.
///
/// ```
/// let drawing = netsim::scenario::load(r#"(
///     namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: [(ends: "a:eth0 -- b:eth0", delay: "10ms")],
/// )"#).unwrap().drawing();
/// let text = netsim::report::graph::mermaid(&drawing);
/// assert!(text.starts_with("flowchart LR"));
/// assert!(text.contains("n0 ---|\"eth0 – eth0<br>10ms\"| n1"));
/// ```
pub fn mermaid(drawing: &Drawing) -> String {
    let mut out = String::from("flowchart LR\n");
    for (i, b) in drawing.boxes.iter().enumerate() {
        let mut label = format!("<b>{}</b>", escape(&b.name));
        if !b.kind.is_empty() {
            let _ = write!(label, " <i>{}</i>", b.kind);
        }
        for row in &b.rows {
            let indent = "&nbsp;&nbsp;".repeat(row.depth);
            let _ = write!(label, "<br>{indent}{}", escape(&row.name));
            for part in std::iter::once(row.kind).chain(row.addresses.iter().map(String::as_str)) {
                if !part.is_empty() {
                    let _ = write!(label, " {}", escape(part));
                }
            }
        }
        let (open, close) = match b.kind {
            "" => ("[", "]"),
            "switch" => ("[[", "]]"),
            _ => ("([", "])"),
        };
        let _ = writeln!(out, "    n{i}{open}\"{label}\"{close}");
    }
    for cable in &drawing.cables {
        let name = |place| escape(&drawing.row(place).name);
        let mut label = format!("{} – {}", name(cable.a), name(cable.b));
        for line in &cable.label {
            let _ = write!(label, "<br>{}", escape(line));
        }
        let line = if cable.up { "---" } else { "-.-" };
        let _ = writeln!(out, "    n{} {line}|\"{label}\"| n{}", cable.a.node, cable.b.node);
    }
    if drawing.hidden > 0 {
        let _ = writeln!(out, "    more[\"and {} more namespaces\"]", drawing.hidden);
    }
    out
}

/// Text inside a quoted Mermaid label, where entities are written with `#`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '<' | '>' | '&' | '#' | '`' | ';' | '|' => {
                let _ = write!(out, "#{};", c as u32);
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
