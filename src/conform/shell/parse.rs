//! Reads a script into lists of pipelines of commands.

/// When a pipeline of a list is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    /// After `;`, a line break, or at the beginning.
    Always,
    /// After `&&`.
    IfGood,
    /// After `||`.
    IfBad,
}

/// Commands that feed each other.
pub type Pipeline = Vec<Command>;

/// Pipelines in a row.
pub type List = Vec<(Join, Pipeline)>;

/// A command.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// A program and its arguments.
    Simple { words: Vec<Word>, redirections: Vec<String> },
    /// A loop.
    For { name: String, words: Vec<Word>, body: List },
}

/// A word before its substitutions are made.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Word(pub Vec<Part>);

/// A part of a word. Substitutions know whether they stand in quotes: then what they give is not split.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// Text that stays as it is.
    Text(String),
    /// `$NAME`
    Variable(String, bool),
    /// `$((…))`
    Arithmetic(String),
    /// `$(…)`
    Command(List, bool),
}

#[derive(Clone, PartialEq, Debug)]
enum Token {
    Word(Word),
    /// `;` `|` `&&` `||`
    Operator(&'static str),
    Redirection(String),
}

/// Scripts nested deeper are refused.
const DEEPEST: u32 = 16;

/// Reads a script.
pub fn script(text: &str) -> Result<List, String> {
    nested(text, 0)
}

fn nested(text: &str, depth: u32) -> Result<List, String> {
    if depth > DEEPEST {
        return Err("not supported: scripts nested so deeply".into());
    }
    let tokens = tokens(text, depth)?;
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let list = reader.list(&[], depth)?;
    match reader.at == tokens.len() {
        true => Ok(list),
        false => Err(format!("not supported: `{:?}` here", tokens[reader.at])),
    }
}

fn tokens(text: &str, depth: u32) -> Result<Vec<Token>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\n' || c == ';' {
            all.push(Token::Operator(";"));
            rest = &rest[1..];
        } else if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
        } else if let Some(op) = ["&&", "||", "|"].into_iter().find(|op| rest.starts_with(op)) {
            all.push(Token::Operator(op));
            rest = &rest[op.len()..];
        } else if rest.starts_with(['>', '<']) || rest.starts_with("2>") {
            // A redirection goes up to the end of the file's name.
            let head = rest.find(['>', '<']).map_or(1, |i| i + 1);
            let blanks = rest[head..].len() - rest[head..].trim_start().len();
            let tail = &rest[head + blanks..];
            let len = tail.find([' ', '\t', '\n', ';', '|']).unwrap_or(tail.len());
            all.push(Token::Redirection(match blanks {
                0 => format!("{}{}", &rest[..head], &tail[..len]),
                _ => format!("{} {}", &rest[..head], &tail[..len]),
            }));
            rest = &tail[len..];
        } else {
            let (word, after) = word(rest, depth)?;
            all.push(Token::Word(word));
            rest = after;
        }
    }
    Ok(all)
}

/// The word at the beginning of a text, and what follows it.
fn word(text: &str, depth: u32) -> Result<(Word, &str), String> {
    let mut parts = Vec::new();
    let mut rest = text;
    let push = |parts: &mut Vec<Part>, t: &str| match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(t),
        _ => parts.push(Part::Text(t.into())),
    };
    while let Some(c) = rest.chars().next() {
        match c {
            '\'' => {
                let end = rest[1..].find('\'').ok_or("a quote is not closed")?;
                push(&mut parts, &rest[1..1 + end]);
                rest = &rest[end + 2..];
            }
            '"' => {
                push(&mut parts, "");
                rest = &rest[1..];
                loop {
                    let c = rest.chars().next().ok_or("a quote is not closed")?;
                    match c {
                        '"' => break,
                        '\\' if rest[1..].starts_with(['"', '\\', '$']) => {
                            push(&mut parts, &rest[1..2]);
                            rest = &rest[2..];
                        }
                        '$' => rest = substitution(rest, true, &mut parts, depth)?,
                        c => {
                            push(&mut parts, &rest[..c.len_utf8()]);
                            rest = &rest[c.len_utf8()..];
                        }
                    }
                }
                rest = &rest[1..];
            }
            '\\' => {
                let next = rest[1..].chars().next().ok_or("a backslash at the end")?;
                push(&mut parts, &rest[1..1 + next.len_utf8()]);
                rest = &rest[1 + next.len_utf8()..];
            }
            '$' => rest = substitution(rest, false, &mut parts, depth)?,
            '`' => return Err("not supported: backquotes".into()),
            c if c.is_whitespace() || matches!(c, ';' | '|' | '&' | '>' | '<') => break,
            c => {
                push(&mut parts, &rest[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    match rest.len() == text.len() {
        true => Err(format!("not supported: {}", text.split_whitespace().next().unwrap_or_default())),
        false => Ok((Word(parts), rest)),
    }
}

/// What a `$` begins; gives what follows.
fn substitution<'t>(text: &'t str, quoted: bool, parts: &mut Vec<Part>, depth: u32) -> Result<&'t str, String> {
    if let Some(body) = text.strip_prefix("$(") {
        let end = closing(body).ok_or("a parenthesis is not closed")?;
        let inside = &body[..end];
        match inside.strip_prefix('(').and_then(|i| i.strip_suffix(')')) {
            Some(e) => parts.push(Part::Arithmetic(e.into())),
            None => parts.push(Part::Command(nested(inside, depth + 1)?, quoted)),
        }
        return Ok(&body[end + 1..]);
    }
    let braced = text.starts_with("${");
    let start = if braced { 2 } else { 1 };
    let name = &text[start..];
    let len = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
    if len == 0 || (braced && !name[len..].starts_with('}')) {
        return Err(format!("not supported: {}", text.split_whitespace().next().unwrap_or_default()));
    }
    parts.push(Part::Variable(name[..len].into(), quoted));
    Ok(&text[start + len + usize::from(braced)..])
}

/// Where the parenthesis that is open at the beginning of a text is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (1, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Reader<'_> {
    /// The plain text of the next token, if it is a word without substitutions.
    fn keyword(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some(Token::Word(Word(parts))) => match &parts[..] {
                [Part::Text(t)] => Some(t),
                _ => None,
            },
            _ => None,
        }
    }

    fn operator(&mut self, wanted: &str) -> bool {
        let found = self.tokens.get(self.at)
            == Some(&Token::Operator(match wanted {
                "&&" => "&&",
                "||" => "||",
                "|" => "|",
                _ => ";",
            }));
        self.at += usize::from(found);
        found
    }

    /// Pipelines up to one of the words in `ends`.
    fn list(&mut self, ends: &[&str], depth: u32) -> Result<List, String> {
        let mut list = Vec::new();
        let mut join = Join::Always;
        loop {
            while self.operator(";") {}
            if self.at == self.tokens.len() || self.keyword().is_some_and(|k| ends.contains(&k)) {
                return Ok(list);
            }
            let mut pipeline = vec![self.command(depth)?];
            while self.operator("|") {
                pipeline.push(self.command(depth)?);
            }
            list.push((join, pipeline));
            join = match () {
                () if self.operator("&&") => Join::IfGood,
                () if self.operator("||") => Join::IfBad,
                () => Join::Always,
            };
        }
    }

    fn command(&mut self, depth: u32) -> Result<Command, String> {
        if self.keyword() == Some("for") {
            return self.looped(depth + 1);
        }
        if let Some(k @ ("if" | "while" | "until" | "case" | "{" | "(" | "function")) = self.keyword() {
            return Err(format!("not supported: `{k}` in a script"));
        }
        let (words, redirections) = self.words();
        match words.is_empty() {
            true => Err("not supported: an empty command".into()),
            false => Ok(Command::Simple { words, redirections }),
        }
    }

    fn words(&mut self) -> (Vec<Word>, Vec<String>) {
        let (mut words, mut redirections) = (Vec::new(), Vec::new());
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Word(w)) => words.push(w.clone()),
                Some(Token::Redirection(r)) => redirections.push(r.clone()),
                _ => return (words, redirections),
            }
            self.at += 1;
        }
    }

    fn looped(&mut self, depth: u32) -> Result<Command, String> {
        let bad = || "not supported: a `for` that is not `for NAME in WORDS; do …; done`".to_string();
        if depth > DEEPEST {
            return Err(bad());
        }
        self.at += 1;
        let name = self.keyword().ok_or_else(bad)?.to_string();
        self.at += 1;
        if self.keyword() != Some("in") {
            return Err(bad());
        }
        self.at += 1;
        let (words, _) = self.words();
        while self.operator(";") {}
        if self.keyword() != Some("do") {
            return Err(bad());
        }
        self.at += 1;
        let body = self.list(&["done"], depth)?;
        if self.keyword() != Some("done") {
            return Err(bad());
        }
        self.at += 1;
        Ok(Command::For { name, words, body })
    }
}

/// The value of `$((…))`: sums and products of whole numbers.
pub fn arithmetic(text: &str, variable: &dyn Fn(&str) -> String) -> Result<i64, String> {
    let mut rest = text;
    let value = sum(&mut rest, variable, 0)?;
    match rest.trim().is_empty() {
        true => Ok(value),
        false => Err(format!("not supported: $(({text}))")),
    }
}

fn sum(rest: &mut &str, variable: &dyn Fn(&str) -> String, depth: u32) -> Result<i64, String> {
    let mut value = product(rest, variable, depth)?;
    while let Some(op) = operator(rest, "+-") {
        let next = product(rest, variable, depth)?;
        value = if op == '+' { value.wrapping_add(next) } else { value.wrapping_sub(next) };
    }
    Ok(value)
}

fn product(rest: &mut &str, variable: &dyn Fn(&str) -> String, depth: u32) -> Result<i64, String> {
    let mut value = factor(rest, variable, depth)?;
    while let Some(op) = operator(rest, "*/%") {
        let next = factor(rest, variable, depth)?;
        value = match op {
            '*' => Some(value.wrapping_mul(next)),
            '/' => value.checked_div(next),
            _ => value.checked_rem(next),
        }
        .ok_or("division by zero")?;
    }
    Ok(value)
}

fn factor(rest: &mut &str, variable: &dyn Fn(&str) -> String, depth: u32) -> Result<i64, String> {
    let bad = |at: &str| format!("not supported: arithmetic with `{at}`");
    if depth > DEEPEST {
        return Err(bad(rest));
    }
    if operator(rest, "(").is_some() {
        let value = sum(rest, variable, depth + 1)?;
        operator(rest, ")").ok_or_else(|| bad(rest))?;
        return Ok(value);
    }
    if operator(rest, "-").is_some() {
        return Ok(factor(rest, variable, depth + 1)?.wrapping_neg());
    }
    let text = rest.trim_start().trim_start_matches('$');
    let len = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, after) = text.split_at(len);
    *rest = after;
    match word.parse() {
        Ok(n) => Ok(n),
        Err(_) if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) => Err(bad(word)),
        Err(_) => Ok(variable(word).trim().parse().unwrap_or(0)),
    }
}

/// Takes one of some operators, if it is next.
fn operator(rest: &mut &str, set: &str) -> Option<char> {
    let text = rest.trim_start();
    let c = text.chars().next().filter(|c| set.contains(*c))?;
    *rest = &text[c.len_utf8()..];
    Some(c)
}
