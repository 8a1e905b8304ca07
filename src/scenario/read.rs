//! From the tree to typed values: the reading side of the schema. Mistakes are collected, not returned one by one.

use super::{
    Diagnostic, Span, Spanned,
    diagnose::did_you_mean,
    node::{Node, Shape, Word},
};

/// At most this many mistakes are reported; more would hide the first ones.
const MAX_DIAGNOSTICS: usize = 50;

/// What is collected while a file is read.
#[derive(Default)]
pub(crate) struct Reader {
    pub found: Vec<Diagnostic>,
}

impl Reader {
    /// Notes a mistake and yields the `None` that stands for the value that could not be read.
    pub(crate) fn report<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        if !self.is_full() {
            self.found.push(diagnostic);
        }
        None
    }

    /// Whether no further mistake will be kept: what only serves to describe one need not be worked out.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MAX_DIAGNOSTICS
    }

    /// Notes that a value has the wrong form.
    pub(crate) fn wrong<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let d = Diagnostic::error("wrong-kind", node.span, format!("{} does not fit here", node.describe()));
        self.report(d.label(format!("expected {expected}")))
    }
}

/// A type that can be read from a scenario file and written back.
pub(crate) trait Read: Sized {
    /// What is expected, for messages: `a duration such as "10ms"`.
    fn expected() -> String;

    /// Reads a value that stands on its own. A mistake is reported to `reader`; what can be made of the rest is
    /// returned all the same, so that later checks find further mistakes. Only with no report is the value as written.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// Reads what stands in the parentheses of a variant, `Name(...)`: by default one value.
    fn read_arguments(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.shape {
            Shape::Tuple(_, items) if items.len() == 1 => Self::read(&items[0], reader),
            _ => reader.wrong(node, &format!("{} in parentheses", Self::expected())),
        }
    }

    /// What to put in the place of an entry of a map that could not be read, so that its name stays known.
    fn stand_in(span: Span) -> Option<Self> {
        let _ = span;
        None
    }

    /// The value as a tree.
    fn write(&self) -> Node;

    /// The value as the parentheses of a variant called `name`.
    fn write_arguments(&self, name: &str) -> Node {
        Node::unwritten(Shape::Tuple(Some(Word::unwritten(name)), vec![self.write()]))
    }
}

/// A field of a group, as documentation and messages describe it.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name in the file.
    pub name: &'static str,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
    /// The name of its type in the library.
    pub kind: &'static str,
    /// Writes its default as it would be written in a file; `None` if the field must be given.
    pub default: Option<fn() -> String>,
    /// The values it may take, if limited.
    pub range: Option<&'static str>,
}

/// A variant of a choice, as documentation and messages describe it.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name in the file.
    pub name: &'static str,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
}

/// A scalar with a range: a count or a quantity.
pub(crate) trait Amount {
    /// The number that is compared with the range.
    fn amount(&self) -> u64;
    /// A number in the unit people write.
    fn show(amount: u64) -> String;
}

/// A value or an optional one that has an amount and a place.
pub(crate) trait Ranged {
    /// Complains if the amount is outside.
    fn check_range(&self, field: &str, range: std::ops::RangeInclusive<u64>, reader: &mut Reader) -> bool;
}

impl<T: Amount> Ranged for Spanned<T> {
    fn check_range(&self, field: &str, range: std::ops::RangeInclusive<u64>, reader: &mut Reader) -> bool {
        let amount = self.value.amount();
        if range.contains(&amount) {
            return true;
        }
        let (low, high) = (T::show(*range.start()), T::show(*range.end()));
        let message = format!("`{field}` cannot be {}", T::show(amount));
        let d = Diagnostic::error("out-of-range", self.span, message).label(format!("expected {low} to {high}"));
        reader.report::<()>(d).is_some()
    }
}

impl<T: Amount> Ranged for Option<Spanned<T>> {
    fn check_range(&self, field: &str, range: std::ops::RangeInclusive<u64>, reader: &mut Reader) -> bool {
        self.as_ref().is_none_or(|v| v.check_range(field, range, reader))
    }
}

/// Splits the parentheses of a group into fields, complaining about unknown and doubled ones.
pub(crate) fn fields<'n>(
    node: &'n Node,
    what: &str,
    known: &[Field],
    reader: &mut Reader,
) -> Option<&'n [(Word, Node)]> {
    let given = match &node.shape {
        Shape::Record(_, fields) => fields.as_slice(),
        // `()` and a variant without parentheses are groups in which everything has its default.
        Shape::Tuple(_, items) if items.is_empty() => &[],
        Shape::Word(_) => &[],
        Shape::Tuple(..) => {
            let names: Vec<_> = known.iter().map(|f| f.name).collect();
            let d = Diagnostic::error("unnamed-field", node.span, format!("the fields of {what} need their names"))
                .label("expected `name: value` pairs")
                .help(format!("the fields are {}", list(&names)));
            return reader.report(d);
        }
        _ => return reader.wrong(node, &format!("the fields of {what} in parentheses")),
    };
    for (i, (word, _)) in given.iter().enumerate() {
        // Only mistakes make the list longer than `known`, and there is an end to those.
        if reader.is_full() {
            break;
        }
        if !known.iter().any(|f| f.name == word.text) {
            let names = || known.iter().map(|f| f.name);
            let help = did_you_mean(&word.text, names())
                .unwrap_or_else(|| format!("the fields are {}", list(&names().collect::<Vec<_>>())));
            let text = super::node::shorten(&word.text);
            let d = Diagnostic::error("unknown-field", word.span, format!("{what} has no field `{text}`"));
            reader.report::<()>(d.label("unknown field").help(help));
        }
        if let Some((first, _)) = given[..i].iter().find(|(w, _)| w.text == word.text) {
            let d = Diagnostic::error("double-field", word.span, format!("`{}` is given twice", word.text))
                .label("given again")
                .related(first.span, "given first")
                .help("remove one of them");
            reader.report::<()>(d);
        }
    }
    Some(given)
}

/// Complains about a field that must be given.
pub(crate) fn missing<T>(node: &Node, what: &str, field: &str, expected: &str, reader: &mut Reader) -> Option<T> {
    // The name of the variant alone is marked, not pages of parentheses.
    let span = match &node.shape {
        Shape::Record(Some(name), _) | Shape::Tuple(Some(name), _) => name.span,
        Shape::Record(None, fields) if !fields.is_empty() => fields[0].0.span,
        _ => node.span,
    };
    let d = Diagnostic::error("missing-field", span, format!("{what} needs the field `{field}`"))
        .label(format!("`{field}` is missing"))
        .help(format!("add `{field}: ...`, {expected}"));
    reader.report(d)
}

/// Complains about a variant that does not exist.
pub(crate) fn unknown_variant<T>(
    span: Span,
    name: &str,
    what: &str,
    known: &[Variant],
    reader: &mut Reader,
) -> Option<T> {
    let names = || known.iter().map(|v| v.name);
    let help = did_you_mean(name, names())
        .unwrap_or_else(|| format!("{what} is one of {}", list(&names().collect::<Vec<_>>())));
    let text = super::node::shorten(name);
    let d = Diagnostic::error("unknown-variant", span, format!("`{text}` is not {what}")).label("unknown name");
    reader.report(d.help(help))
}

/// `a, b and c` with each in backquotes.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.split_last() {
        None => "none".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Declares a group of named fields: the type, how it is read and written, and its description, all from one text.
///
/// `field as "name": Type [range] = default` — `as` where the file's word is a keyword of Rust; a field without a
/// default must be given.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident is $what:literal {
            $( $(#[doc = $fdoc:literal])* $field:ident $(as $key:literal)? : $ty:ty $([$range:expr])? $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Debug)]
        $vis struct $name {
            $( $(#[doc = $fdoc])* pub $field: $ty, )*
        }

        impl $name {
            /// What the group is about, line by line.
            pub const DOC: &'static [&'static str] = &[$($doc),*];

            /// The fields as they are written in a scenario.
            pub const FIELDS: &'static [$crate::scenario::read::Field] = &[
                $( $crate::scenario::read::Field {
                    name: record!(@key $field $($key)?),
                    doc: &[$($fdoc),*],
                    kind: stringify!($ty),
                    default: record!(@default $ty $(, $default)?),
                    range: record!(@text $($range)?),
                }, )*
            ];

            fn read_fields(
                node: &$crate::scenario::node::Node,
                reader: &mut $crate::scenario::read::Reader,
            ) -> Option<Self> {
                let given = $crate::scenario::read::fields(node, $what, Self::FIELDS, reader)?;
                $(
                    let key = record!(@key $field $($key)?);
                    let $field: Option<$ty> = match given.iter().find(|(w, _)| w.text == key) {
                        // What could not be read is replaced by the default, so that the rest can still be checked.
                        Some((_, value)) => <$ty as $crate::scenario::read::Read>::read(value, reader)
                            $(.filter(|v| $crate::scenario::read::Ranged::check_range(v, key, $range, reader)))?
                            $(.or(Some($default)))?,
                        None => record!(@missing node, $what, key, $ty, reader $(, $default)?),
                    };
                )*
                Some($name { $($field: $field?,)* })
            }

            fn write_fields(&self, name: Option<&str>) -> $crate::scenario::node::Node {
                use $crate::scenario::node::{Node, Shape, Word};
                let mut out = Vec::new();
                $(
                    if record!(@written self.$field, $ty $(, $default)?) {
                        let value = $crate::scenario::read::Read::write(&self.$field);
                        out.push((Word::unwritten(record!(@key $field $($key)?)), value));
                    }
                )*
                let name = name.map(Word::unwritten);
                Node::unwritten(if out.is_empty() { Shape::Tuple(name, Vec::new()) } else { Shape::Record(name, out) })
            }
        }

        impl $crate::scenario::read::Read for $name {
            fn expected() -> String {
                concat!("the fields of ", $what, " in parentheses").into()
            }

            fn read(
                node: &$crate::scenario::node::Node,
                reader: &mut $crate::scenario::read::Reader,
            ) -> Option<Self> {
                use $crate::scenario::node::Shape;
                match &node.shape {
                    Shape::Record(Some(word), _) | Shape::Tuple(Some(word), _) if word.text != stringify!($name) => {
                        reader.wrong(node, &Self::expected())
                    }
                    Shape::Word(_) => reader.wrong(node, &Self::expected()),
                    _ => Self::read_fields(node, reader),
                }
            }

            fn read_arguments(
                node: &$crate::scenario::node::Node,
                reader: &mut $crate::scenario::read::Reader,
            ) -> Option<Self> {
                Self::read_fields(node, reader)
            }

            fn write(&self) -> $crate::scenario::node::Node {
                self.write_fields(None)
            }

            fn write_arguments(&self, name: &str) -> $crate::scenario::node::Node {
                self.write_fields(Some(name))
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@default $ty:ty) => { None };
    (@default $ty:ty, $default:expr) => {{
        fn default() -> String {
            let value: $ty = $default;
            $crate::scenario::print::line(&$crate::scenario::read::Read::write(&value))
        }
        Some(default)
    }};
    (@text) => { None };
    (@text $e:expr) => { Some(stringify!($e)) };
    (@missing $node:ident, $what:literal, $key:ident, $ty:ty, $reader:ident) => {
        $crate::scenario::read::missing(
            $node, $what, $key, &<$ty as $crate::scenario::read::Read>::expected(), $reader,
        )
    };
    (@missing $node:ident, $what:literal, $key:ident, $ty:ty, $reader:ident, $default:expr) => { Some($default) };
    (@written $value:expr, $ty:ty) => { true };
    (@written $value:expr, $ty:ty, $default:expr) => {{
        let default: $ty = $default;
        $value != default
    }};
}

/// Declares a choice of named variants. A variant may carry a group or one value; `plain Variant` names the one that a
/// group without a name stands for.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident is $what:literal $(, plain $plain:ident($plain_ty:ty))? {
            $( $(#[doc = $vdoc:literal])* $variant:ident $(($payload:ty))? ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Debug)]
        $vis enum $name {
            $( $(#[doc = $vdoc])* $variant $(($payload))?, )*
        }

        impl $name {
            /// What the choice is about, line by line.
            pub const DOC: &'static [&'static str] = &[$($doc),*];

            /// The variants as they are written in a scenario.
            pub const VARIANTS: &'static [$crate::scenario::read::Variant] = &[
                $( $crate::scenario::read::Variant { name: stringify!($variant), doc: &[$($vdoc),*] }, )*
            ];

            /// The name of the variant as it is written in a scenario.
            pub fn name(&self) -> &'static str {
                match self { $( choice!(@any $name $variant $($payload)?) => stringify!($variant), )* }
            }
        }

        impl $crate::scenario::read::Read for $name {
            fn expected() -> String {
                let names: Vec<&str> = Self::VARIANTS.iter().map(|v| v.name).collect();
                format!("{}: {}", $what, $crate::scenario::read::list(&names))
            }

            fn read(
                node: &$crate::scenario::node::Node,
                reader: &mut $crate::scenario::read::Reader,
            ) -> Option<Self> {
                use $crate::scenario::node::Shape;
                let (name, span) = match &node.shape {
                    Shape::Word(name) => (name.as_str(), node.span),
                    Shape::Record(Some(word), _) | Shape::Tuple(Some(word), _) => (word.text.as_str(), word.span),
                    $(
                        Shape::Record(None, _) => {
                            return <$plain_ty as $crate::scenario::read::Read>::read(node, reader).map(Self::$plain);
                        }
                        Shape::Tuple(None, items) if items.is_empty() => {
                            return <$plain_ty as $crate::scenario::read::Read>::read(node, reader).map(Self::$plain);
                        }
                    )?
                    _ => return reader.wrong(node, &<Self as $crate::scenario::read::Read>::expected()),
                };
                $( if name == stringify!($variant) { return choice!(@read $variant, node, reader $(, $payload)?); } )*
                $crate::scenario::read::unknown_variant(span, name, $what, Self::VARIANTS, reader)
            }

            fn write(&self) -> $crate::scenario::node::Node {
                $( if let Self::$plain(inner) = self { return $crate::scenario::read::Read::write(inner); } )?
                match self { $( choice!(@bind $variant inner $($payload)?) => choice!(@write $variant inner $($payload)?), )* }
            }
        }
    };
    (@any $name:ident $variant:ident) => { $name::$variant };
    (@any $name:ident $variant:ident $payload:ty) => { $name::$variant(_) };
    (@bind $variant:ident $inner:ident) => { Self::$variant };
    (@bind $variant:ident $inner:ident $payload:ty) => { Self::$variant($inner) };
    (@read $variant:ident, $node:ident, $reader:ident) => {
        match &$node.shape {
            $crate::scenario::node::Shape::Word(_) => Some(Self::$variant),
            $crate::scenario::node::Shape::Tuple(_, items) if items.is_empty() => Some(Self::$variant),
            _ => $reader.wrong($node, concat!("`", stringify!($variant), "` alone")),
        }
    };
    (@read $variant:ident, $node:ident, $reader:ident, $payload:ty) => {
        <$payload as $crate::scenario::read::Read>::read_arguments($node, $reader).map(Self::$variant)
    };
    (@write $variant:ident $inner:ident) => {
        $crate::scenario::node::Node::unwritten($crate::scenario::node::Shape::Word(stringify!($variant).into()))
    };
    (@write $variant:ident $inner:ident $payload:ty) => {
        $crate::scenario::read::Read::write_arguments($inner, stringify!($variant))
    };
}

pub(crate) use {choice, record};
