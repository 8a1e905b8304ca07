//! Patterns of `grep`, `awk` and the oracle's substitutions: literals, `.`, classes, `*`, `+`, `?`, groups, `|`, `^`, `$`,
//! `\d`, `\s`, `\w`.

/// A compiled pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Alternatives);

type Alternatives = Vec<Vec<Item>>;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Item {
    atom: Atom,
    least: usize,
    most: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Atom {
    Char(char),
    Any,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Start,
    End,
    Group(Alternatives),
}

/// Groups nested deeper are refused.
const DEEPEST: u32 = 16;
/// Steps after which a match is given up: patterns such as `(a*)*` could go on for ever.
const MOST_STEPS: u32 = 100_000;

impl Pattern {
    /// Reads a pattern. With `extended`, `+ ? ( ) |` mean something without a backslash.
    ///
    /// # Errors
    /// What is not understood.
    pub fn new(text: &str, extended: bool) -> Result<Pattern, String> {
        let chars: Vec<char> = text.chars().collect();
        let mut reader = Reader { chars: &chars, at: 0, extended };
        let all = reader.alternatives(0)?;
        match reader.at == chars.len() {
            true => Ok(Pattern(all)),
            false => Err(format!("not supported: the pattern `{text}`")),
        }
    }

    /// The first match in a text: its beginning and end in bytes.
    pub fn find(&self, text: &str) -> Option<(usize, usize)> {
        self.find_from(text, 0)
    }

    /// The first match that begins at byte `from` or later.
    pub fn find_from(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let mut starts: Vec<usize> = text.char_indices().map(|(i, _)| i).filter(|i| *i >= from).collect();
        starts.push(text.len());
        starts.into_iter().find_map(|start| {
            let mut run = Run { text, steps: 0 };
            run.any(&self.0, start, &mut |_, end| Some(end)).map(|end| (start, end))
        })
    }

    /// Every match that is not empty, from left to right.
    pub fn matches<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some((start, end)) = self.find_from(text, at) {
            if start < end {
                found.push(&text[start..end]);
                at = end;
            } else {
                match text[start..].chars().next() {
                    Some(c) => at = start + c.len_utf8(),
                    None => break,
                }
            }
        }
        found
    }

    /// Puts `with` in the place of every match.
    pub fn replace(&self, text: &str, with: &str) -> String {
        let (mut out, mut at) = (String::new(), 0);
        while let Some((start, end)) = self.find_from(text, at) {
            out += &text[at..start];
            out += with;
            at = end;
            if start == end {
                let Some(c) = text[end..].chars().next() else { break };
                out.push(c);
                at += c.len_utf8();
            }
        }
        out + text.get(at..).unwrap_or_default()
    }
}

struct Reader<'c> {
    chars: &'c [char],
    at: usize,
    extended: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Whether an operator is next: bare if patterns are extended, behind a backslash if not.
    fn operator(&mut self, op: char) -> bool {
        let here = match self.extended {
            true => self.peek() == Some(op),
            false => self.peek() == Some('\\') && self.chars.get(self.at + 1) == Some(&op),
        };
        self.at += if !here { 0 } else { 1 + usize::from(!self.extended) };
        here
    }

    fn sees(&mut self, op: char) -> bool {
        let before = self.at;
        let found = self.operator(op);
        self.at = before;
        found
    }

    fn alternatives(&mut self, depth: u32) -> Result<Alternatives, String> {
        if depth > DEEPEST {
            return Err("not supported: a pattern nested so deeply".into());
        }
        let mut all = vec![self.sequence(depth)?];
        while self.operator('|') {
            all.push(self.sequence(depth)?);
        }
        Ok(all)
    }

    fn sequence(&mut self, depth: u32) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        while self.at < self.chars.len() && !self.sees('|') && !self.sees(')') {
            let atom = self.atom(depth, items.is_empty())?;
            let (mut least, mut most) = (1, 1);
            if self.peek() == Some('*') {
                self.at += 1;
                (least, most) = (0, usize::MAX);
            } else if self.operator('+') {
                most = usize::MAX;
            } else if self.operator('?') {
                least = 0;
            }
            items.push(Item { atom, least, most });
        }
        Ok(items)
    }

    fn atom(&mut self, depth: u32, first: bool) -> Result<Atom, String> {
        if self.operator('(') {
            let inside = self.alternatives(depth + 1)?;
            return match self.operator(')') {
                true => Ok(Atom::Group(inside)),
                false => Err("a group of a pattern is not closed".into()),
            };
        }
        let c = self.peek().unwrap_or_default();
        self.at += 1;
        Ok(match c {
            '.' => Atom::Any,
            '^' if first => Atom::Start,
            '$' if self.at == self.chars.len() || self.sees('|') || self.sees(')') => Atom::End,
            '[' => self.class()?,
            '\\' => {
                let c = self.peek().ok_or("a pattern ends with a backslash")?;
                self.at += 1;
                let class = |ranges: &[(char, char)]| Atom::Class { negated: false, ranges: ranges.to_vec() };
                match c {
                    'd' => class(&[('0', '9')]),
                    's' => class(&[(' ', ' '), ('\t', '\r')]),
                    'w' => class(&[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]),
                    c => Atom::Char(c),
                }
            }
            c => Atom::Char(c),
        })
    }

    fn class(&mut self) -> Result<Atom, String> {
        let negated = self.peek() == Some('^');
        self.at += usize::from(negated);
        let (mut ranges, begin) = (Vec::new(), self.at);
        loop {
            let c = self.peek().ok_or("a class of a pattern is not closed")?;
            self.at += 1;
            if c == ']' && self.at > begin + 1 {
                return Ok(Atom::Class { negated, ranges });
            }
            let ranged = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            let end = if ranged { self.chars[self.at + 1] } else { c };
            self.at += if ranged { 2 } else { 0 };
            ranges.push((c, end));
        }
    }
}

struct Run<'t> {
    text: &'t str,
    steps: u32,
}

/// What must match behind a place.
type Then<'a> = &'a mut dyn FnMut(&mut Run<'_>, usize) -> Option<usize>;

impl Run<'_> {
    fn any(&mut self, all: &Alternatives, at: usize, then: Then<'_>) -> Option<usize> {
        all.iter().find_map(|items| self.items(items, at, then))
    }

    fn items(&mut self, items: &[Item], at: usize, then: Then<'_>) -> Option<usize> {
        match items.split_first() {
            None => then(self, at),
            Some((item, rest)) => self.repeat(item, 0, at, &mut |run, at| run.items(rest, at, then)),
        }
    }

    /// As many as possible first.
    fn repeat(&mut self, item: &Item, done: usize, at: usize, then: Then<'_>) -> Option<usize> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if done < item.most {
            let further = self.one(&item.atom, at, &mut |run, next| match next > at || done < item.least {
                true => run.repeat(item, done + 1, next, then),
                false => None,
            });
            if further.is_some() {
                return further;
            }
        }
        if done >= item.least { then(self, at) } else { None }
    }

    fn one(&mut self, atom: &Atom, at: usize, then: Then<'_>) -> Option<usize> {
        let next = self.text[at..].chars().next();
        let fits = match (atom, next) {
            (Atom::Group(all), _) => return self.any(all, at, then),
            (Atom::Start, _) => return if at == 0 { then(self, at) } else { None },
            (Atom::End, _) => return if next.is_none() { then(self, at) } else { None },
            (_, None) => false,
            (Atom::Any, Some(_)) => true,
            (Atom::Char(c), Some(n)) => *c == n,
            (Atom::Class { negated, ranges }, Some(n)) => {
                ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&n)) != *negated
            }
        };
        if fits { then(self, at + next.map_or(0, char::len_utf8)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_they_should() {
        let find = |p: &str, t: &'static str| {
            let (a, b) = Pattern::new(p, true).unwrap().find(t)?;
            Some(&t[a..b])
        };
        assert_eq!(find("via [0-9.]*", "8.8.8.8 via 10.0.0.1 dev eth0"), Some("via 10.0.0.1"));
        assert_eq!(find("ageing_time [0-9]*", "x ageing_time 30000 y"), Some("ageing_time 30000"));
        assert_eq!(find("^a.c$", "abc"), Some("abc"));
        assert_eq!(find("^a.c$", "abcd"), None);
        assert_eq!(find("(ab|c)+d?", "xxabcabd"), Some("abcabd"));
        assert_eq!(find("[^ ]+ \\d+", "tcp 42"), Some("tcp 42"));
        assert_eq!(find("[]x]+", "a]x"), Some("]x"));
        assert_eq!(find("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), None);
    }

    #[test]
    fn basic_patterns_take_their_operators_with_a_backslash() {
        let p = Pattern::new("a\\|b+", false).unwrap();
        assert_eq!(p.matches("a b+ bb"), ["a", "b+"]);
        assert_eq!(Pattern::new("a+", false).unwrap().find("aa"), None);
        assert!(
            Pattern::new("(a", true).is_err() && Pattern::new("[a", true).is_err() && Pattern::new("a)", true).is_err()
        );
    }

    #[test]
    fn replacements() {
        let p = Pattern::new("[0-9]+", true).unwrap();
        assert_eq!(p.replace("a12b3", "N"), "aNbN");
        assert_eq!(Pattern::new("x*", true).unwrap().replace("ab", "-"), "-a-b-");
    }
}
