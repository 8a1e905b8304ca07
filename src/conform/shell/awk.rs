//! As much of `awk` as prints columns: `[/PATTERN/] { print EXPRESSION, … }` with fields, `NF`, `NR`, strings, numbers,
//! arithmetic, comparison and `?:`.

use super::{Output, Pattern};

/// `awk PROGRAM` over standard input.
pub fn awk(args: &[&str], input: &str) -> Result<Output, String> {
    let [program] = args else { return Err(format!("not supported: awk {}", args.join(" "))) };
    let bad = || format!("not supported: the awk program `{program}`");
    let mut rest = program.trim();
    let mut pattern = None;
    if let Some(after) = rest.strip_prefix('/') {
        let (text, after) = after.split_once('/').ok_or_else(bad)?;
        pattern = Some(Pattern::new(text, true)?);
        rest = after.trim();
    }
    let body = match rest {
        "" if pattern.is_some() => "print",
        _ => rest.strip_prefix('{').and_then(|r| r.strip_suffix('}')).ok_or_else(bad)?.trim().trim_end_matches(';'),
    };
    let list = body.strip_prefix("print").ok_or_else(bad)?;
    let mut out = String::new();
    for (n, line) in input.lines().enumerate() {
        if pattern.as_ref().is_some_and(|p| p.find(line).is_none()) {
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let mut e = Evaluator { rest: list, line, fields: &fields, number: n + 1, depth: 0 };
        let mut values = Vec::new();
        e.blanks();
        while !e.rest.is_empty() {
            values.push(e.choice().ok_or_else(bad)?.text());
            if !e.takes(",") && !e.rest.is_empty() {
                return Err(bad());
            }
        }
        out += &if values.is_empty() { line.to_string() } else { values.join(" ") };
        out.push('\n');
    }
    Ok(Output::said(out))
}

/// A value: fields that look like numbers compare as such.
#[derive(Clone, PartialEq, Debug)]
enum Value {
    Number(f64),
    Field(String),
    Text(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Number(n) => n.to_string(),
            Value::Field(s) | Value::Text(s) => s.clone(),
        }
    }

    /// The number at the beginning of the text, else 0.
    fn number(&self) -> f64 {
        match self {
            Value::Number(n) => *n,
            Value::Field(s) | Value::Text(s) => {
                let s = s.trim_start();
                let len = s.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(s.len());
                s[..len].parse().unwrap_or(0.0)
            }
        }
    }

    fn is_numeric(&self) -> bool {
        match self {
            Value::Number(_) => true,
            Value::Field(s) => s.parse::<f64>().is_ok(),
            Value::Text(_) => false,
        }
    }

    fn holds(&self) -> bool {
        if self.is_numeric() { self.number() != 0.0 } else { !self.text().is_empty() }
    }
}

struct Evaluator<'e> {
    rest: &'e str,
    line: &'e str,
    fields: &'e [&'e str],
    number: usize,
    depth: u32,
}

/// Expressions nested deeper are refused.
const DEEPEST: u32 = 32;

impl Evaluator<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, word: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(word) {
            Some(after) => {
                self.rest = after;
                self.blanks();
                true
            }
            None => false,
        }
    }

    fn choice(&mut self) -> Option<Value> {
        let condition = self.comparison()?;
        if !self.takes("?") {
            return Some(condition);
        }
        let yes = self.choice()?;
        let no = self.takes(":").then(|| self.choice())??;
        Some(if condition.holds() { yes } else { no })
    }

    fn comparison(&mut self) -> Option<Value> {
        let left = self.concatenation()?;
        let Some(op) = ["==", "!=", ">=", "<=", ">", "<"].into_iter().find(|op| self.takes(op)) else {
            return Some(left);
        };
        let right = self.concatenation()?;
        let order = match left.is_numeric() && right.is_numeric() {
            true => left.number().partial_cmp(&right.number())?,
            false => left.text().cmp(&right.text()),
        };
        let holds = match op {
            "==" => order.is_eq(),
            "!=" => order.is_ne(),
            ">=" => order.is_ge(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_lt(),
        };
        Some(Value::Number(f64::from(holds)))
    }

    fn concatenation(&mut self) -> Option<Value> {
        let mut value = self.sum()?;
        while self.rest.starts_with(['$', '"', '(']) || self.rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let next = self.sum()?;
            value = Value::Text(value.text() + &next.text());
        }
        Some(value)
    }

    fn sum(&mut self) -> Option<Value> {
        let mut value = self.product()?;
        while let Some(op) = ["+", "-"].into_iter().find(|op| self.takes(op)) {
            let next = self.product()?.number();
            value = Value::Number(if op == "+" { value.number() + next } else { value.number() - next });
        }
        Some(value)
    }

    fn product(&mut self) -> Option<Value> {
        let mut value = self.primary()?;
        while let Some(op) = ["*", "/", "%"].into_iter().find(|op| self.takes(op)) {
            let next = self.primary()?.number();
            value = Value::Number(match op {
                "*" => value.number() * next,
                "/" => value.number() / next,
                _ => value.number() % next,
            });
        }
        Some(value)
    }

    fn primary(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.blanks();
        let value = self.bare();
        self.blanks();
        self.depth -= 1;
        value
    }

    fn bare(&mut self) -> Option<Value> {
        if self.takes("(") {
            let inside = self.choice()?;
            return self.takes(")").then_some(inside);
        }
        if let Some(after) = self.rest.strip_prefix('"') {
            let (text, after) = after.split_once('"')?;
            self.rest = after;
            return Some(Value::Text(text.into()));
        }
        if self.takes("$") {
            let n = self.primary()?.number();
            let field = if n == 0.0 { Some(self.line) } else { self.fields.get(n as usize - 1).copied() };
            return Some(Value::Field(field.unwrap_or_default().into()));
        }
        let len = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(len);
        let value = match word {
            "NF" => self.fields.len() as f64,
            "NR" => self.number as f64,
            other => other.parse().ok()?,
        };
        self.rest = after;
        Some(Value::Number(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(program: &str, input: &str) -> String {
        awk(&[program], input).unwrap().out
    }

    #[test]
    fn columns_and_conditions() {
        let counted = "      3 via 10.1.0.2\n      2 via 10.2.0.2\n";
        let program = "{print $2,$3, ($1>2 ? \"used\" : \"rare\")}";
        assert_eq!(out(program, counted), "via 10.1.0.2 used\nvia 10.2.0.2 rare\n");
        assert_eq!(out("{print $3}", "a b c\n"), "c\n");
        assert_eq!(out("/b/ { print NR \":\" $NF, $1 + 2*3 }", "1 a\n4 b\n"), "2:b 10\n");
        assert_eq!(out("{print}", "x  y\n") + &out("/x/", "x\ny\n"), "x  y\nx\n");
        assert_eq!(out("{print $9 \"|\" ($1 == \"a\")}", "a\n"), "|1\n");
    }

    #[test]
    fn other_programs_are_refused() {
        for program in ["BEGIN {print 1}", "{x = 1}", "{print $1 > \"file\"", "{print ((((}"] {
            assert!(awk(&[program], "a\n").is_err(), "{program}");
        }
    }
}
