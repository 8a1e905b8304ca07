//! Plain text for terminals: colour that the caller switches on, aligned tables, wrapped paragraphs.
//!
//! Widths count characters, which fits everything netsim prints; colour codes have no width.

/// ANSI colour, or none. The caller decides: nothing here looks at a terminal or an environment variable.
///
/// ```
/// use netsim::report::text::Style;
/// assert_eq!(Style::PLAIN.red("lost"), "lost");
/// assert_eq!(Style::COLOUR.red("lost"), "\u{1b}[31mlost\u{1b}[0m");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// Text as it is.
    pub const PLAIN: Style = Style { colour: false };
    /// Text with ANSI codes.
    pub const COLOUR: Style = Style { colour: true };

    /// Colour if `on`.
    pub const fn new(on: bool) -> Style {
        Style { colour: on }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For headings.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// For loss and failure.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For success.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For warnings and changes.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For names and addresses.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// `✓` in green or `✗` in red.
    pub fn mark(self, holds: bool) -> String {
        if holds { self.green("✓") } else { self.red("✗") }
    }
}

/// Columns a text takes on a terminal: its characters without colour codes.
pub fn width(text: &str) -> usize {
    let mut count = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ … m, the only codes Style writes.
            '\x1b' => while chars.next().is_some_and(|c| c != 'm') {},
            _ => count += 1,
        }
    }
    count
}

/// Which side of a column its cells keep to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with aligned columns.
///
/// ```
/// use netsim::report::text::{Align, Style, Table};
/// let mut t = Table::new(&[("reason", Align::Left), ("frames", Align::Right)]);
/// t.row(["NO_SOCKET", "3"]);
/// t.row(["IP_TTL_EXCEEDED", "12"]);
/// assert_eq!(t.render(Style::PLAIN, 2), "  reason           frames\n  NO_SOCKET             3\n  IP_TTL_EXCEEDED      12\n");
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows. Headings that are all empty are left out.
    pub fn new(columns: &[(&str, Align)]) -> Table {
        Table { columns: columns.iter().map(|(h, a)| ((*h).to_owned(), *a)).collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells may be coloured. Missing cells are empty; cells beyond the last column are left out.
    pub fn row<I>(&mut self, cells: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).take(self.columns.len()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, each ended, indented by `indent` and without blanks at its end.
    pub fn render(&self, style: Style, indent: usize) -> String {
        let headed = self.columns.iter().any(|(h, _)| !h.is_empty());
        let mut widths: Vec<usize> = self.columns.iter().map(|(h, _)| width(h)).collect();
        for row in &self.rows {
            for (w, cell) in widths.iter_mut().zip(row) {
                *w = (*w).max(width(cell));
            }
        }
        let heading = headed.then(|| self.columns.iter().map(|(h, _)| style.dim(h)).collect::<Vec<_>>());
        let mut out = String::new();
        for row in heading.iter().chain(&self.rows) {
            let mut line = " ".repeat(indent);
            for (i, ((cell, w), (_, align))) in row.iter().zip(&widths).zip(&self.columns).enumerate() {
                let gap = if i == 0 { 0 } else { 2 };
                let fill = w - width(cell);
                let (before, after) = if *align == Align::Left { (gap, fill) } else { (gap + fill, 0) };
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', after));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Breaks a text at blanks so that no line is wider than `columns`, as far as its words allow. Every line but the first
/// is indented by `indent`. Line breaks in the text stay.
///
/// ```
/// use netsim::report::text::wrap;
/// assert_eq!(wrap("a note the NAT kept", 10, 2), "a note the\n  NAT kept");
/// ```
pub fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let mut out = String::new();
    for (i, paragraph) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        }
        let mut used = if i > 0 { indent } else { 0 };
        let mut first = true;
        for word in paragraph.split(' ') {
            let w = width(word);
            if first {
                first = false;
            } else if used + 1 + w > columns {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                used = indent;
            } else {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += w;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colour_has_no_width() {
        assert_eq!(width(&Style::COLOUR.bold("→ fünf")), 6);
        assert_eq!(Style::new(true).dim(""), "", "nothing to colour");
        assert_eq!((Style::PLAIN.mark(true), Style::COLOUR.mark(false)), ("✓".into(), "\x1b[31m✗\x1b[0m".into()));
        let paint = [Style::bold, Style::dim, Style::red, Style::green, Style::yellow, Style::cyan];
        let painted: std::collections::BTreeSet<String> = paint.iter().map(|p| p(Style::COLOUR, "x")).collect();
        assert_eq!(painted.len(), paint.len(), "the colours differ");
        assert_eq!(width("\x1b[31"), 0, "a code cut off does not hang");
    }

    #[test]
    fn columns_line_up_in_colour() {
        let mut t = Table::new(&[("", Align::Left), ("", Align::Right), ("", Align::Left)]);
        assert!(t.is_empty());
        t.row([Style::COLOUR.red("a"), "1".into(), "end".into(), "beyond".into()]);
        t.row(["long", "1000"]);
        assert_eq!(t.render(Style::COLOUR, 0), "\x1b[31ma\x1b[0m        1  end\nlong  1000\n");
    }

    #[test]
    fn paragraphs_stay() {
        assert_eq!(wrap("one two\nthree four", 7, 1), "one two\n three\n four");
        assert_eq!(wrap("unbreakableword", 4, 2), "unbreakableword");
        assert_eq!(wrap("", 4, 2), "");
    }

    proptest! {
        #[test]
        fn wrapping_keeps_words_and_widths(text in "[a-z →]{0,80}", columns in 1..40usize, indent in 0..4usize) {
            let wrapped = wrap(&text, columns, indent);
            prop_assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
            let longest = text.split(' ').map(width).max().unwrap_or(0);
            for line in wrapped.lines() {
                prop_assert!(width(line) <= columns.max(indent + longest));
            }
        }
    }
}
