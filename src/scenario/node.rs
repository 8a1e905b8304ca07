//! A scenario file as a tree whose every node knows its place; the step between RON text and the typed schema.

use super::Span;

/// A bare word of the file: the name of a field or of a variant.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub text: String,
    pub span: Span,
}

impl Word {
    pub(crate) fn unwritten(text: &str) -> Word {
        Word { text: text.into(), span: Span::NONE }
    }
}

/// One value of the file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: Span,
    pub shape: Shape,
}

/// What a value looks like.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// `true` or `false`
    Bool(bool),
    /// A number as it is written.
    Number(String),
    /// A string. `plain` says that it has no escapes, so that its bytes are those of the source.
    Text { text: String, plain: bool },
    /// `[a, b]`
    List(Vec<Node>),
    /// `{ a: b }`
    Map(Vec<(Node, Node)>),
    /// `Name`
    Word(String),
    /// `Name(field: a)` or `(field: a)`
    Record(Option<Word>, Vec<(Word, Node)>),
    /// `Name(a, b)` or `(a, b)`
    Tuple(Option<Word>, Vec<Node>),
}

impl Node {
    /// A node that is not written in a file.
    pub(crate) fn unwritten(shape: Shape) -> Node {
        Node { span: Span::NONE, shape }
    }

    /// A string that is not written in a file.
    pub(crate) fn text(text: impl Into<String>) -> Node {
        Node::unwritten(Shape::Text { text: text.into(), plain: true })
    }

    /// The place of some bytes of a string value; the whole value where that cannot be told.
    pub(crate) fn part(&self, start: usize, end: usize) -> Span {
        match &self.shape {
            Shape::Text { text, plain: true } if end <= text.len() && start <= end && !self.span.is_none() => {
                let base = self.span.start as usize + 1;
                Span::new(base + start, base + end)
            }
            _ => self.span,
        }
    }

    /// What the value is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.shape {
            Shape::Bool(b) => format!("`{b}`"),
            Shape::Number(n) => format!("the bare number `{n}`"),
            Shape::Text { text, .. } => format!("the text \"{}\"", shorten(text)),
            Shape::List(_) => "a list `[...]`".into(),
            Shape::Map(_) => "a map `{...}`".into(),
            Shape::Word(w) => format!("the word `{}`", shorten(w)),
            Shape::Record(Some(n), _) | Shape::Tuple(Some(n), _) => format!("`{}(...)`", shorten(&n.text)),
            Shape::Record(None, _) => "a group `(...)`".into(),
            Shape::Tuple(None, _) => "a tuple `(...)`".into(),
        }
    }
}

/// Cuts a text that comes from the file so that a message stays readable.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.escape_debug().to_string();
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{}…", head.escape_debug())
}
