//! Text to tree, with places. It runs after ron has accepted the text, so it need not explain what is wrong; where it
//! finds something it cannot place, it says so and stops.

use crate::scenario::{
    Diagnostic, Span,
    node::{Node, Shape, Word},
};

/// Whether there is nothing but blanks and comments.
pub(super) fn is_blank(text: &str) -> bool {
    let mut cursor = Cursor { text, at: 0, depth: 0 };
    cursor.skip_blank();
    cursor.at == text.len()
}

/// Builds the tree of a valid RON text with at most `depth` levels.
pub(super) fn build(text: &str, depth: usize) -> Result<Node, Diagnostic> {
    let mut cursor = Cursor { text, at: 0, depth };
    cursor.skip_attributes();
    let node = cursor.value()?;
    cursor.skip_blank();
    if cursor.at == text.len() { Ok(node) } else { Err(cursor.unexpected()) }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn unexpected(&self) -> Diagnostic {
        let len = self.peek().map_or(0, char::len_utf8);
        let d = Diagnostic::error("syntax", Span::new(self.at, self.at + len), "a scenario has no values of this form");
        d.label("not understood")
    }

    /// Skips blanks and comments. An unclosed comment extends to the end.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(is_blank_char);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.at += block_comment(trimmed);
            } else {
                return;
            }
        }
    }

    /// Skips `#![enable(...)]` and `#![type = "..."]` at the head of the file.
    fn skip_attributes(&mut self) {
        loop {
            self.skip_blank();
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find(']').map_or(self.rest().len(), |i| i + 1);
        }
    }

    fn take(&mut self, c: char) -> bool {
        self.skip_blank();
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Result<(), Diagnostic> {
        if self.take(c) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn value(&mut self) -> Result<Node, Diagnostic> {
        self.skip_blank();
        let start = self.at;
        let shape = match self.peek() {
            Some('"') => self.string()?,
            Some('r') if self.is_raw_string() => self.raw_string()?,
            Some('[') => self.nested(|c| Ok(Shape::List(c.items('[', ']')?)))?,
            Some('{') => self.nested(Cursor::map)?,
            Some('(') => self.nested(|c| c.parentheses(None))?,
            Some('0'..='9' | '-' | '+' | '.') => {
                let text = self.while_matching(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+'));
                Shape::Number(text.into())
            }
            Some(c) if is_word_char(c) => self.word()?,
            _ => return Err(self.unexpected()),
        };
        Ok(Node { span: Span::new(start, self.at), shape })
    }

    /// Runs one level deeper. ron has limited the depth already; this keeps the promise even if the two disagree.
    fn nested(&mut self, f: impl FnOnce(&mut Self) -> Result<Shape, Diagnostic>) -> Result<Shape, Diagnostic> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| self.unexpected())?;
        let shape = f(self)?;
        self.depth += 1;
        Ok(shape)
    }

    fn items(&mut self, open: char, close: char) -> Result<Vec<Node>, Diagnostic> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.value()?);
            if !self.take(',') {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Shape, Diagnostic> {
        self.expect('{')?;
        let mut items = Vec::new();
        while !self.take('}') {
            let key = self.value()?;
            self.expect(':')?;
            items.push((key, self.value()?));
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Shape::Map(items))
    }

    /// What stands in parentheses: fields with names, or values in order.
    fn parentheses(&mut self, name: Option<Word>) -> Result<Shape, Diagnostic> {
        if !self.starts_with_field() {
            return Ok(Shape::Tuple(name, self.items('(', ')')?));
        }
        self.expect('(')?;
        let mut fields = Vec::new();
        while !self.take(')') {
            self.skip_blank();
            let word = self.identifier();
            self.expect(':')?;
            fields.push((word, self.value()?));
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(Shape::Record(name, fields))
    }

    /// Whether `(` is followed by a word and a colon.
    fn starts_with_field(&self) -> bool {
        let mut ahead = Cursor { text: self.text, at: self.at + 1, depth: 0 };
        ahead.skip_blank();
        let word = ahead.identifier();
        ahead.skip_blank();
        !word.text.is_empty() && ahead.rest().starts_with(':')
    }

    /// A word: a truth value, a name, or a name with parentheses.
    fn word(&mut self) -> Result<Shape, Diagnostic> {
        let word = self.identifier();
        self.skip_blank_before_parenthesis();
        match word.text.as_str() {
            "" => Err(self.unexpected()),
            "true" => Ok(Shape::Bool(true)),
            "false" => Ok(Shape::Bool(false)),
            _ if self.rest().starts_with('(') => self.nested(|c| c.parentheses(Some(word))),
            _ => Ok(Shape::Word(word.text)),
        }
    }

    /// Moves to a parenthesis that follows blanks; stays put if something else follows.
    fn skip_blank_before_parenthesis(&mut self) {
        let before = self.at;
        self.skip_blank();
        if !self.rest().starts_with('(') {
            self.at = before;
        }
    }

    fn identifier(&mut self) -> Word {
        let start = self.at;
        if self.rest().starts_with("r#") {
            self.at += 2;
        }
        let text = self.while_matching(is_word_char);
        Word { text: text.into(), span: Span::new(start, self.at) }
    }

    fn while_matching(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !f(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn string(&mut self) -> Result<Shape, Diagnostic> {
        let rest = self.rest();
        let mut escaped = false;
        let mut plain = true;
        for (i, b) in rest.bytes().enumerate().skip(1) {
            match b {
                _ if escaped => escaped = false,
                b'\\' => (escaped, plain) = (true, false),
                b'"' => return self.literal(i + 1, plain),
                _ => {}
            }
        }
        Err(self.unexpected())
    }

    fn is_raw_string(&self) -> bool {
        self.rest()[1..].trim_start_matches('#').starts_with('"')
    }

    fn raw_string(&mut self) -> Result<Shape, Diagnostic> {
        let rest = self.rest();
        let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
        let head = 1 + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        match rest[head..].find(&close) {
            Some(i) => self.literal(head + i + close.len(), false),
            None => Err(self.unexpected()),
        }
    }

    /// The string whose literal is the next `len` bytes. ron decodes escapes.
    fn literal(&mut self, len: usize, plain: bool) -> Result<Shape, Diagnostic> {
        let literal = &self.rest()[..len];
        let text = match plain {
            true => literal[1..len - 1].to_string(),
            false => ron::from_str(literal).map_err(|_| self.unexpected())?,
        };
        self.at += len;
        Ok(Shape::Text { text, plain })
    }
}

/// Length of the block comment `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// The blanks of RON: Unicode's `Pattern_White_Space`.
fn is_blank_char(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

fn is_word_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
