//! Reading the words of a line, and saying which of them is wrong.

use std::{fmt, ops::Range};

use crate::base::Errno;

/// A value and where in the text it stands, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place in the text.
    pub at: Range<usize>,
}

/// What is wrong with a word, and what was expected in its place.
///
/// ```
/// use netsim::route::parse_route;
/// let error = parse_route("default via banana").unwrap_err();
/// assert_eq!(error.to_string(), "`banana` is wrong: expected the address of the gateway after `via`");
/// assert_eq!(error.at, 12..18);
/// let error = parse_route("default via").unwrap_err();
/// assert_eq!(error.to_string(), "the text ends too early: expected the address of the gateway after `via`");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WordError {
    /// The word in the text, in bytes; at the end of the text if one is missing.
    pub at: Range<usize>,
    /// The word; `None` if one is missing.
    pub word: Option<String>,
    /// What would have been right.
    pub expected: String,
    missing_device: bool,
}

impl WordError {
    /// The error number of a command that fails so: `ENODEV` for an unknown device, else `EINVAL`.
    pub const fn errno(&self) -> Errno {
        if self.missing_device { Errno::ENODEV } else { Errno::EINVAL }
    }

    /// There is no device of that name.
    pub(super) fn no_device(name: &Spanned<String>) -> WordError {
        WordError {
            at: name.at.clone(),
            word: Some(name.value.clone()),
            expected: "the name of a device of this namespace".into(),
            missing_device: true,
        }
    }
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.word {
            // iproute2's sentence
            Some(word) if self.missing_device => write!(f, "Cannot find device \"{word}\""),
            Some(word) => write!(f, "`{word}` is wrong: expected {}", self.expected),
            None => write!(f, "the text ends too early: expected {}", self.expected),
        }
    }
}

impl std::error::Error for WordError {}

/// A word and its place.
#[derive(Clone)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) at: Range<usize>,
}

impl Word<'_> {
    /// This word is wrong.
    pub(super) fn wrong(&self, expected: impl Into<String>) -> WordError {
        let word = Some(self.text.into());
        WordError { at: self.at.clone(), word, expected: expected.into(), missing_device: false }
    }
}

/// The words of a text, one after the other.
pub(super) struct Reader<'t> {
    text: &'t str,
    pos: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Reader<'t> {
        Reader { text, pos: 0 }
    }

    /// The next word, which stays the next one.
    pub(super) fn peek(&self) -> Option<Word<'t>> {
        let rest = &self.text[self.pos..];
        let start = self.pos + rest.find(|c: char| !c.is_whitespace())?;
        let len = self.text[start..].find(char::is_whitespace).unwrap_or(self.text.len() - start);
        Some(Word { text: &self.text[start..start + len], at: start..start + len })
    }

    pub(super) fn next(&mut self) -> Option<Word<'t>> {
        let word = self.peek()?;
        self.pos = word.at.end;
        Some(word)
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == text);
        if found {
            self.next();
        }
        found
    }

    /// A word must follow.
    pub(super) fn need(&mut self, expected: &str) -> Result<Word<'t>, WordError> {
        let end = self.text.len();
        let missing = || WordError { at: end..end, word: None, expected: expected.into(), missing_device: false };
        self.next().ok_or_else(missing)
    }

    /// The value of `keyword` must follow, and may be given only once.
    pub(super) fn value<T>(
        &mut self,
        slot: &mut Option<Spanned<T>>,
        keyword: &Word<'_>,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<(), WordError> {
        if slot.is_some() {
            return Err(keyword.wrong(format!("`{}` only once", keyword.text)));
        }
        let expected = format!("{what} after `{}`", keyword.text);
        let word = self.need(&expected)?;
        let value = parse(word.text).ok_or_else(|| word.wrong(expected))?;
        *slot = Some(Spanned { value, at: word.at });
        Ok(())
    }
}

/// A number in decimal, or in hexadecimal after `0x`.
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
