//! The values a field can hold: numbers, texts with a grammar of their own, lists, maps. Each with its place.

use super::{
    Diagnostic, Span, Spanned,
    node::{Node, Shape},
    read::{Amount, Read, Reader},
};

/// Why a text is not what its field takes.
pub(crate) struct TextError {
    /// What is wrong.
    pub message: String,
    /// What to try.
    pub help: Option<String>,
    /// The bytes of the text it is about; all of it if `None`.
    pub part: Option<(usize, usize)>,
}

impl TextError {
    pub(crate) fn new(message: impl Into<String>) -> TextError {
        TextError { message: message.into(), help: None, part: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> TextError {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(mut self, start: usize, end: usize) -> TextError {
        self.part = Some((start, end));
        self
    }
}

/// A scalar that is written as a string with a grammar of its own.
pub(crate) trait TextLeaf: Sized + std::fmt::Display {
    /// What is expected, with an example.
    const EXPECTED: &'static str;

    /// Parses the content of the string.
    fn parse(text: &str) -> Result<Self, TextError>;

    /// What to say if a bare number stands where the string belongs.
    fn bare_number(number: &str) -> Option<String> {
        let _ = number;
        None
    }
}

impl<T: TextLeaf> Read for T {
    fn expected() -> String {
        T::EXPECTED.into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<T> {
        let text = match &node.shape {
            Shape::Text { text, .. } => text,
            Shape::Number(number) => {
                let d = Diagnostic::error("bare-number", node.span, format!("{} does not fit here", node.describe()));
                let d = d.label(format!("expected {}", T::EXPECTED));
                return reader.report(d.maybe_help(T::bare_number(number)));
            }
            _ => return reader.wrong(node, T::EXPECTED),
        };
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let span = error.part.map_or(node.span, |(start, end)| node.part(start, end));
                let d = Diagnostic::error("bad-value", span, error.message);
                let d = d.label(format!("expected {}", T::EXPECTED));
                reader.report(d.maybe_help(error.help))
            }
        }
    }

    fn write(&self) -> Node {
        Node::text(self.to_string())
    }
}

impl<T: Read> Read for Spanned<T> {
    fn expected() -> String {
        T::expected()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Spanned<T>> {
        T::read(node, reader).map(|value| Spanned::new(value, node.span))
    }

    fn read_arguments(node: &Node, reader: &mut Reader) -> Option<Spanned<T>> {
        match &node.shape {
            // One value in parentheses: its own place is closer than that of the variant around it.
            Shape::Tuple(_, items) if items.len() == 1 => Self::read(&items[0], reader),
            _ => T::read_arguments(node, reader).map(|value| Spanned::new(value, node.span)),
        }
    }

    fn write(&self) -> Node {
        self.value.write()
    }

    fn write_arguments(&self, name: &str) -> Node {
        self.value.write_arguments(name)
    }
}

macro_rules! whole_number {
    ($($ty:ty, $expected:literal;)*) => {$(
        impl Read for $ty {
            fn expected() -> String {
                $expected.into()
            }

            fn read(node: &Node, reader: &mut Reader) -> Option<$ty> {
                let Shape::Number(text) = &node.shape else { return reader.wrong(node, $expected) };
                match text.replace('_', "").parse() {
                    Ok(value) => Some(value),
                    Err(_) => {
                        let message = format!("`{}` does not fit here", super::node::shorten(text));
                        let d = Diagnostic::error("bad-number", node.span, message);
                        reader.report(d.label(concat!("expected ", $expected)))
                    }
                }
            }

            fn write(&self) -> Node {
                Node::unwritten(Shape::Number(self.to_string()))
            }
        }

        impl Amount for $ty {
            fn amount(&self) -> u64 {
                u64::from(*self)
            }

            fn show(amount: u64) -> String {
                amount.to_string()
            }
        }
    )*};
}

whole_number! {
    u8, "a whole number from 0 to 255";
    u16, "a whole number from 0 to 65535";
    u32, "a whole number from 0 to 4294967295";
    u64, "a whole number";
}

impl Read for String {
    fn expected() -> String {
        "a text in double quotes".into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<String> {
        match &node.shape {
            Shape::Text { text, .. } => Some(text.clone()),
            Shape::Word(word) => {
                let message = format!("{} does not fit here", node.describe());
                let d = Diagnostic::error("wrong-kind", node.span, message).label("expected a text in double quotes");
                reader.report(d.help(format!("write \"{}\"", super::node::shorten(word))))
            }
            _ => reader.wrong(node, "a text in double quotes"),
        }
    }

    fn write(&self) -> Node {
        Node::text(self.as_str())
    }
}

impl Read for bool {
    fn expected() -> String {
        "`true` or `false`".into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<bool> {
        match node.shape {
            Shape::Bool(value) => Some(value),
            _ => reader.wrong(node, "`true` or `false`"),
        }
    }

    fn write(&self) -> Node {
        Node::unwritten(Shape::Bool(*self))
    }
}

impl<T: Read> Read for Option<T> {
    fn expected() -> String {
        T::expected()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Option<T>> {
        match &node.shape {
            Shape::Word(word) if word == "None" => Some(None),
            Shape::Tuple(Some(name), items) if name.text == "Some" && items.len() == 1 => {
                T::read(&items[0], reader).map(Some)
            }
            _ => T::read(node, reader).map(Some),
        }
    }

    fn write(&self) -> Node {
        match self {
            Some(value) => value.write(),
            None => Node::unwritten(Shape::Word("None".into())),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn expected() -> String {
        format!("a list of {}", T::expected())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Vec<T>> {
        let Shape::List(items) = &node.shape else {
            return reader.wrong(node, &format!("a list `[...]` of {}", T::expected()));
        };
        Some(items.iter().filter_map(|item| T::read(item, reader)).collect())
    }

    fn write(&self) -> Node {
        Node::unwritten(Shape::List(self.iter().map(Read::write).collect()))
    }
}

/// A map with unique names as keys, in the order of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Entries<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries(Vec::new())
    }
}

impl<T> Entries<T> {
    /// The value under a name. Looks at every entry; keep an index where it matters.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
    }

    /// Names and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&Spanned<String>, &T)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The names in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.value.as_str())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Read> Read for Entries<T> {
    fn expected() -> String {
        format!("a map `{{ \"name\": ... }}` of {}", T::expected())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Entries<T>> {
        let Shape::Map(items) = &node.shape else { return reader.wrong(node, &Self::expected()) };
        let mut first: crate::base::Map<&str, Span> = crate::base::Map::default();
        let mut out = Vec::with_capacity(items.len());
        for (key, value) in items {
            let name = Spanned::<String>::read(key, reader);
            if let Shape::Text { text, .. } = &key.shape {
                if let Some(earlier) = first.get(text.as_str()) {
                    let text = super::node::shorten(text);
                    let d = Diagnostic::error("double-key", key.span, format!("\"{text}\" is there twice"))
                        .label("the same name again")
                        .related(*earlier, "first here")
                        .help("give one of them another name");
                    reader.report::<()>(d);
                    continue;
                }
                first.insert(text, key.span);
            }
            let value = T::read(value, reader).or_else(|| T::stand_in(value.span));
            out.extend(name.zip(value));
        }
        Some(Entries(out))
    }

    fn write(&self) -> Node {
        let pairs = self.0.iter().map(|(key, value)| (Node::text(key.value.as_str()), value.write()));
        Node::unwritten(Shape::Map(pairs.collect()))
    }
}
