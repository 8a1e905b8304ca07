//! `{1..3}`: one entry of a file that stands for several.
//!
//! A key of a map or an item of a list that contains `{first..last}` stands for one copy for each number, both ends
//! included. In a copy the range, and every `{}` in its texts, is replaced by the number:
//!
//! ```
//! let scenario = netsim::scenario::load(r#"(
//!     namespaces: { "sw": Switch(ports: ["p{1..3}"]), "h{1..3}": Host(addr: "10.0.0.{}/24") },
//!     links: ["h{1..3}:eth0 -- sw:p{}"],
//! )"#).unwrap();
//! assert_eq!((scenario.namespaces.len(), scenario.links.len()), (4, 3));
//! ```
//!
//! The number of copies is limited before the first is made.

use super::{
    Diagnostic,
    node::{Node, Shape},
    read::Reader,
};

/// A whole file may grow to this many values by repetition.
const MAX_NODES: u64 = 2_000_000;

/// One entry may stand for this many at most.
pub const MAX_COPIES: u64 = 100_000;

/// Replaces every repeated entry by its copies. `None` if there are too many.
pub(crate) fn expand(node: &mut Node, reader: &mut Reader) -> Option<()> {
    let mut budget = MAX_NODES;
    expand_in(node, &mut budget, reader)
}

fn expand_in(node: &mut Node, budget: &mut u64, reader: &mut Reader) -> Option<()> {
    match &mut node.shape {
        Shape::List(items) => {
            for item in items.iter_mut() {
                expand_in(item, budget, reader)?;
            }
            if items.iter().any(|item| find(item).is_some()) {
                let mut out = Vec::with_capacity(items.len());
                for item in std::mem::take(items) {
                    match find(&item) {
                        None => out.push(item),
                        Some(range) => {
                            let copies = range.copies(&item, size(&item), budget, reader)?;
                            out.extend(copies.map(|n| copy(&item, &range, n)));
                        }
                    }
                }
                *items = out;
            }
        }
        Shape::Map(items) => {
            for (_, value) in items.iter_mut() {
                expand_in(value, budget, reader)?;
            }
            if items.iter().any(|(key, _)| find(key).is_some()) {
                let mut out = Vec::with_capacity(items.len());
                for (key, value) in std::mem::take(items) {
                    match find(&key) {
                        None => out.push((key, value)),
                        Some(range) => {
                            let copies = range.copies(&key, size(&key) + size(&value), budget, reader)?;
                            out.extend(copies.map(|n| (copy(&key, &range, n), copy(&value, &range, n))));
                        }
                    }
                }
                *items = out;
            }
        }
        Shape::Record(_, fields) => {
            for (_, value) in fields {
                expand_in(value, budget, reader)?;
            }
        }
        Shape::Tuple(_, items) => {
            for item in items {
                expand_in(item, budget, reader)?;
            }
        }
        Shape::Bool(_) | Shape::Number(_) | Shape::Text { .. } | Shape::Word(_) => {}
    }
    Some(())
}

/// A range as it is written, braces included.
struct Range {
    text: String,
    first: u64,
    last: u64,
}

impl Range {
    /// The first range in a text.
    fn parse(text: &str) -> Option<Range> {
        let mut from = 0;
        while let Some(open) = text[from..].find('{').map(|i| from + i) {
            let close = open + text[open..].find('}')?;
            if let Some((first, last)) = text[open + 1..close].split_once("..") {
                // Numbers of any length are numbers; those beyond 64 bits are certainly too many.
                let number = |t: &str| {
                    let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
                    digits.then(|| t.parse::<u64>().unwrap_or(u64::MAX))
                };
                if let (Some(first), Some(last)) = (number(first), number(last)) {
                    return Some(Range { text: text[open..=close].into(), first, last });
                }
            }
            from = open + 1;
        }
        None
    }

    /// The numbers, if that many copies of `size` values may be made.
    fn copies(
        &self,
        at: &Node,
        size: u64,
        budget: &mut u64,
        reader: &mut Reader,
    ) -> Option<std::ops::RangeInclusive<u64>> {
        if self.first > self.last {
            let d = Diagnostic::error("empty-range", at.span, format!("`{}` counts down", self.text));
            return reader.report(d.label("expected the smaller number first"));
        }
        let count = (self.last - self.first).saturating_add(1);
        if count > MAX_COPIES {
            let message = format!("`{}` stands for {count} copies; {MAX_COPIES} is the most", self.text);
            let d = Diagnostic::error("too-many", at.span, message).label("too many");
            return reader.report(d.help("use a smaller range"));
        }
        match budget.checked_sub(count.saturating_mul(size)) {
            Some(left) => *budget = left,
            None => {
                let d = Diagnostic::error("too-many", at.span, "the repeated entries of this file are too many");
                return reader.report(d.label("the limit is reached here").help("use smaller ranges"));
            }
        }
        Some(self.first..=self.last)
    }
}

/// The range an entry is repeated for. Lists and maps inside it have been expanded and stand for themselves.
fn find(node: &Node) -> Option<Range> {
    match &node.shape {
        Shape::Text { text, .. } => Range::parse(text),
        Shape::Record(_, fields) => fields.iter().find_map(|(_, value)| find(value)),
        Shape::Tuple(_, items) => items.iter().find_map(find),
        _ => None,
    }
}

/// Number of values in a tree.
fn size(node: &Node) -> u64 {
    1 + match &node.shape {
        Shape::List(items) | Shape::Tuple(_, items) => items.iter().map(size).sum(),
        Shape::Map(items) => items.iter().map(|(key, value)| size(key) + size(value)).sum(),
        Shape::Record(_, fields) => fields.iter().map(|(_, value)| size(value)).sum(),
        // Long texts are copied too.
        Shape::Text { text, .. } | Shape::Number(text) | Shape::Word(text) => text.len() as u64 / 64,
        Shape::Bool(_) => 0,
    }
}

/// The copy for one number.
fn copy(node: &Node, range: &Range, n: u64) -> Node {
    let shape = match &node.shape {
        Shape::Text { text, plain } => {
            let new = text.replace(&range.text, &n.to_string()).replace("{}", &n.to_string());
            // Changed texts no longer have the bytes of the source.
            let plain = *plain && new == *text;
            Shape::Text { text: new, plain }
        }
        Shape::List(items) => Shape::List(items.iter().map(|item| copy(item, range, n)).collect()),
        Shape::Tuple(name, items) => {
            Shape::Tuple(name.clone(), items.iter().map(|item| copy(item, range, n)).collect())
        }
        Shape::Map(items) => Shape::Map(items.iter().map(|(k, v)| (copy(k, range, n), copy(v, range, n))).collect()),
        Shape::Record(name, fields) => {
            Shape::Record(name.clone(), fields.iter().map(|(w, v)| (w.clone(), copy(v, range, n))).collect())
        }
        Shape::Bool(_) | Shape::Number(_) | Shape::Word(_) => node.shape.clone(),
    };
    Node { span: node.span, shape }
}
