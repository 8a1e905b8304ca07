//! Just enough of Rust's grammar to ask a source file what it names: tokens, paths, module declarations.

/// A token, without comments, numbers' values and blanks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// An identifier or a keyword.
    Word(String),
    /// The content of a string.
    Text(String),
    /// Any other character that is not blank.
    Sign(char),
}

/// A source file of the package.
pub struct Source {
    /// Relative to the package, with `/`.
    pub path: String,
    /// The whole file.
    pub text: String,
    /// Its tokens with their lines, inline test modules left out.
    code: Vec<(usize, Token)>,
    all: Vec<(usize, Token)>,
    last_line: usize,
}

impl Source {
    /// Reads a file's text.
    pub fn new(path: String, text: String) -> Source {
        let all = tokens(&text);
        let (code, cut) = without_tests(&all);
        let last_line = cut.map_or_else(|| text.lines().count(), |line| line - 1);
        Source { path, text, code, all, last_line }
    }

    fn module_path(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').skip(1).collect();
        if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
            parts.pop();
        }
        parts
    }

    /// The module below the root of the crate; `None` for the root itself.
    pub fn top_module(&self) -> Option<String> {
        self.module_path().first().map(|m| (*m).to_owned())
    }

    /// Whether the file belongs to the binary.
    pub fn is_binary(&self) -> bool {
        self.path == "src/main.rs" || self.path.starts_with("src/cli/")
    }

    /// Whether a crate begins here: the library, the binary, a test or a bench.
    pub fn is_crate_root(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        match parts[..] {
            ["src", file] => matches!(file, "lib.rs" | "main.rs"),
            ["tests" | "benches", _] => true,
            ["tests" | "benches", _, file] => file == "main.rs",
            _ => false,
        }
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// Lines without those of tests.
    pub fn lines_of_code(&self) -> usize {
        if self.is_test() { 0 } else { self.last_line }
    }

    /// The files a `mod` declaration of this file may mean.
    pub fn module_files(&self) -> Vec<String> {
        let (dir, file) = self.path.rsplit_once('/').expect("sources are in a directory");
        let here = match self.is_crate_root() || file == "mod.rs" {
            true => dir.to_owned(),
            false => format!("{dir}/{}", file.trim_end_matches(".rs")),
        };
        let mut files = Vec::new();
        for (i, window) in self.all.windows(3).enumerate() {
            let [(_, Token::Word(word)), (_, Token::Word(name)), (_, Token::Sign(';'))] = window else { continue };
            if word != "mod" {
                continue;
            }
            // #[path = "…"] mod name;
            let attribute = i.checked_sub(3).map(|at| &self.all[at..i]);
            match attribute {
                Some([(_, Token::Sign('=')), (_, Token::Text(path)), (_, Token::Sign(']'))]) => {
                    files.push(format!("{dir}/{path}"));
                }
                _ => files.extend([format!("{here}/{name}.rs"), format!("{here}/{name}/mod.rs")]),
            }
        }
        files
    }

    /// Lines on which another crate is named: `name::` that does not continue a longer path, or `use name;`.
    pub fn names_crate(&self, name: &str) -> impl Iterator<Item = usize> {
        let colon =
            |at: Option<usize>| at.and_then(|i| self.all.get(i)).is_some_and(|(_, token)| *token == Token::Sign(':'));
        self.all.iter().enumerate().filter_map(move |(i, (line, token))| {
            let begins = *token == Token::Word(name.to_owned()) && !colon(i.checked_sub(1));
            (begins && colon(Some(i + 1)) && colon(Some(i + 2))).then_some(*line)
        })
    }

    /// The modules below the root of the crate that are named, with lines: `crate::x`, `crate::{x, y::z}`, and
    /// `super::…::x` where that reaches the root.
    pub fn crate_paths(&self) -> impl Iterator<Item = (usize, String)> {
        let depth = self.module_path().len();
        let mut found = Vec::new();
        if self.is_test() {
            return found.into_iter();
        }
        let mut i = 0;
        while i < self.code.len() {
            let mut at = i;
            let mut supers = 0;
            while self.word(at) == Some("super") && self.path_sign(at + 1) {
                (at, supers) = (at + 3, supers + 1);
            }
            if supers == 0 && self.word(at) == Some("crate") && self.path_sign(at + 1) {
                at += 3;
            } else if supers == 0 || supers < depth {
                i = at.max(i + 1);
                continue;
            }
            self.heads(at, &mut found);
            i = at;
        }
        found.into_iter()
    }

    /// The first names of a path or of the branches of a `{…}` tree.
    fn heads(&self, at: usize, found: &mut Vec<(usize, String)>) {
        match self.code.get(at) {
            Some((line, Token::Word(name))) => found.push((*line, name.clone())),
            Some((_, Token::Sign('{'))) => {
                let (mut level, mut head) = (0, true);
                for (line, token) in &self.code[at..] {
                    match token {
                        Token::Sign('{') => level += 1,
                        Token::Sign('}') => level -= 1,
                        Token::Sign(',') if level == 1 => head = true,
                        Token::Word(name) if level == 1 && head => {
                            found.push((*line, name.clone()));
                            head = false;
                        }
                        _ => {}
                    }
                    if level == 0 {
                        break;
                    }
                }
            }
            _ => {}
        }
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.code.get(at) {
            Some((_, Token::Word(word))) => Some(word),
            _ => None,
        }
    }

    fn path_sign(&self, at: usize) -> bool {
        let colon = |i| matches!(self.code.get(i), Some((_, Token::Sign(':'))));
        colon(at) && colon(at + 1)
    }

    /// What must not be in the package, tests included: unsafe code, macros for what is missing, tests that do not
    /// run, lints silenced without a reason (as `reason = "…"` or in a comment after the attribute).
    pub fn shortcuts(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let sign = |i: usize, c: char| matches!(self.all.get(i), Some((_, Token::Sign(s))) if *s == c);
        for (i, (line, token)) in self.all.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            let in_attribute = i > 0 && sign(i - 1, '[') && i > 1 && (sign(i - 2, '#') || sign(i - 2, '!'));
            let what = match word.as_str() {
                "unsafe" => "unsafe code",
                "todo" | "unimplemented" | "dbg" if sign(i + 1, '!') => "a macro for what is not finished",
                "ignore" if in_attribute => "a test that does not run",
                "allow" | "expect" if in_attribute && sign(i + 1, '(') => {
                    let end = self.all[i..].iter().take_while(|(_, t)| *t != Token::Sign(']'));
                    let told = self.text.lines().nth(line - 1).is_some_and(|l| l.contains("] // "));
                    if told || end.into_iter().any(|(_, t)| *t == Token::Word("reason".into())) {
                        continue;
                    }
                    "a lint silenced without a reason"
                }
                _ => continue,
            };
            found.push((*line, what.to_owned()));
        }
        found
    }
}

/// The tokens outside `#[cfg(test)] mod name { … }`, and the line where the first such module begins.
fn without_tests(all: &[(usize, Token)]) -> (Vec<(usize, Token)>, Option<usize>) {
    let (mut code, mut first, mut i) = (Vec::new(), None, 0);
    while i < all.len() {
        if let Some(open) = test_module(&all[i..]) {
            first = first.or(Some(all[i].0));
            let mut level = 0;
            i += open;
            while i < all.len() {
                match all[i].1 {
                    Token::Sign('{') => level += 1,
                    Token::Sign('}') => level -= 1,
                    _ => {}
                }
                i += 1;
                if level == 0 {
                    break;
                }
            }
        } else {
            code.push(all[i].clone());
            i += 1;
        }
    }
    (code, first)
}

/// Where the `{` of a test module is that begins here.
fn test_module(from: &[(usize, Token)]) -> Option<usize> {
    let word = |i: usize, w: &str| matches!(from.get(i), Some((_, Token::Word(t))) if t == w);
    let sign = |i: usize, c: char| matches!(from.get(i), Some((_, Token::Sign(t))) if *t == c);
    // # [ cfg ( test ) ] mod name {
    let attribute = sign(0, '#') && sign(1, '[') && word(2, "cfg") && sign(3, '(') && word(4, "test") && sign(5, ')');
    (attribute && sign(6, ']') && word(7, "mod") && sign(9, '{')).then_some(9)
}

/// Cuts a text into tokens, each with its line.
pub fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let (start, begin) = (line, i);
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut level = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (level, i) = (level + 1, i + 2),
                        ('*', '/') => (level, i) = (level - 1, i + 2),
                        _ => i += 1,
                    }
                    if level == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            'r' if at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#')) => {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                i += hashes + 2;
                let body = i;
                while i < chars.len() && !chars[i..].starts_with(&end) {
                    i += 1;
                }
                out.push((start, Token::Text(chars[body..i.min(chars.len())].iter().collect())));
                i += end.len();
            }
            '"' => {
                i += 1;
                let body = i;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                out.push((start, Token::Text(chars[body.min(chars.len())..i.min(chars.len())].iter().collect())));
                i += 1;
            }
            // A character literal, unless it is a lifetime.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                out.push((start, Token::Word(chars[begin..i].iter().collect())));
            }
            c => {
                if !c.is_whitespace() {
                    out.push((start, Token::Sign(c)));
                }
                i += 1;
            }
        }
        line += chars[begin..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}
