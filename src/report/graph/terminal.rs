//! A drawing in box characters: boxes one below the other, cables as lines on their right.
//!
//! Each cable runs in a track, a column right of the boxes; short cables take the inner tracks. This shape fits any
//! topology and any terminal that is wide enough for the longest address.

use super::model::{Drawing, Node, Row};

/// With more tracks than this, cables are named instead of drawn.
const MAX_TRACKS: usize = 24;

/// Names are cut after this many characters.
const MAX_TEXT: usize = 60;

/// The topology drawn with box characters, for a terminal.
///
/// ```
/// let drawing = netsim::scenario::load(r#"(
///     namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: [(ends: "a:eth0 -- b:eth0", delay: "10ms")],
/// )"#).unwrap().drawing();
/// assert_eq!(netsim::report::graph::terminal(&drawing), "\
/// ╭─ a ───────────────╮
/// │ eth0  10.0.0.1/24 ├─╮ 10ms
/// ╰───────────────────╯ │
/// ╭─ b ───────────────╮ │
/// │ eth0  10.0.0.2/24 ├─╯
/// ╰───────────────────╯
/// ");
/// ```
pub fn terminal(drawing: &Drawing) -> String {
    let canvas = Canvas::new(drawing);
    let mut out = String::new();
    for line in canvas.lines {
        out.push_str(line.iter().collect::<String>().trim_end());
        out.push('\n');
    }
    if drawing.hidden > 0 {
        out.push_str(&format!("and {} more namespaces\n", drawing.hidden));
    }
    out
}

/// The characters of the drawing, line by line.
struct Canvas {
    lines: Vec<Vec<char>>,
}

/// A cable as it is drawn: from one line down to another, in a track.
struct Track {
    top: usize,
    bottom: usize,
    label: String,
    up: bool,
    track: usize,
}

impl Canvas {
    fn new(drawing: &Drawing) -> Canvas {
        let name_width = |row: &Row| row.depth * 3 + cut(&row.name).chars().count();
        let names = drawing.boxes.iter().flat_map(|b| &b.rows).map(name_width).max().unwrap_or(0);
        let mut lines: Vec<Vec<char>> = Vec::new();
        // The line each row of each box is on.
        let mut at: Vec<Vec<usize>> = Vec::new();
        let texts: Vec<Vec<String>> = drawing.boxes.iter().map(|b| row_texts(b, names)).collect();
        let titles: Vec<String> = drawing.boxes.iter().map(title).collect();
        let longest = texts.iter().flatten().map(|t| t.chars().count()).max().unwrap_or(0);
        let inner = titles.iter().map(|t| t.chars().count() + 2).max().unwrap_or(0).max(longest + 2);
        let mut island = 0;
        for (i, b) in drawing.boxes.iter().enumerate() {
            if b.island != island {
                island = b.island;
                lines.push(Vec::new());
            }
            let fill = "─".repeat(inner - 1 - titles[i].chars().count());
            lines.push(format!("╭─{}{fill}╮", titles[i]).chars().collect());
            let mut rows = Vec::new();
            for text in &texts[i] {
                rows.push(lines.len());
                let pad = " ".repeat(inner - 1 - text.chars().count());
                lines.push(format!("│ {text}{pad}│").chars().collect());
            }
            at.push(rows);
            lines.push(format!("╰{}╯", "─".repeat(inner)).chars().collect());
        }
        let mut canvas = Canvas { lines };
        let tracks = assign(drawing, &at);
        match tracks.iter().map(|t| t.track + 1).max() {
            Some(count) if count > MAX_TRACKS => canvas.name_peers(drawing, &at),
            Some(count) => canvas.draw(&tracks, inner + 1, count),
            None => {}
        }
        canvas
    }

    /// Draws every cable. `edge` is the column of the boxes' right border.
    fn draw(&mut self, tracks: &[Track], edge: usize, count: usize) {
        let column = |track: usize| edge + 2 + track * 2;
        let width = column(count);
        for line in &mut self.lines {
            line.resize(width.max(line.len()), ' ');
        }
        for t in tracks {
            let x = column(t.track);
            let horizontal = if t.up { '─' } else { '╌' };
            for y in [t.top, t.bottom] {
                self.lines[y][edge] = '├';
                for cell in &mut self.lines[y][edge + 1..x] {
                    *cell = if *cell == '│' || *cell == '┼' { '┼' } else { horizontal };
                }
            }
            for y in t.top + 1..t.bottom {
                let cell = &mut self.lines[y][x];
                *cell = if *cell == '─' || *cell == '╌' || *cell == '┼' { '┼' } else { '│' };
            }
            self.lines[t.top][x] = '╮';
            self.lines[t.bottom][x] = '╯';
        }
        for t in tracks.iter().filter(|t| !t.label.is_empty()) {
            let line = &mut self.lines[t.top];
            // Behind the last line that passes here.
            let end = line.iter().rposition(|c| *c != ' ').map_or(0, |i| i + 1);
            line.truncate(end);
            line.push(' ');
            line.extend(t.label.chars());
        }
    }

    /// Writes the other end of each cable behind its row.
    fn name_peers(&mut self, drawing: &Drawing, at: &[Vec<usize>]) {
        for cable in &drawing.cables {
            for (from, to) in [(cable.a, cable.b), (cable.b, cable.a)] {
                let peer = &drawing.boxes[to.node];
                let text = format!("── {}:{} {}", cut(&peer.name), cut(&drawing.row(to).name), cable.label.join(", "));
                let line = &mut self.lines[at[from.node][from.row]];
                if let Some(last) = line.last_mut() {
                    *last = '├';
                }
                line.extend(text.chars());
            }
        }
    }
}

fn title(b: &Node) -> String {
    if b.kind.is_empty() { format!(" {} ", cut(&b.name)) } else { format!(" {} ({}) ", cut(&b.name), b.kind) }
}

fn row_texts(b: &Node, names: usize) -> Vec<String> {
    let last_child = |i: usize| {
        let depth = b.rows[i].depth;
        b.rows[i + 1..].iter().take_while(|r| r.depth >= depth).all(|r| r.depth > depth)
    };
    let text = |(i, row): (usize, &Row)| {
        let branch = match row.depth {
            0 => String::new(),
            d => format!("{}{} ", "   ".repeat(d - 1), if last_child(i) { "└─" } else { "├─" }),
        };
        let name = format!("{branch}{}", cut(&row.name));
        let pad = " ".repeat(names - name.chars().count().min(names));
        let rest: Vec<&str> = std::iter::once(row.kind)
            .chain(row.addresses.iter().map(String::as_str))
            .filter(|t| !t.is_empty())
            .collect();
        if rest.is_empty() { name } else { format!("{name}{pad}  {}", rest.join("  ")) }
    };
    b.rows.iter().enumerate().map(text).collect()
}

/// Gives each cable the innermost track that is free over its whole length, short cables first.
fn assign(drawing: &Drawing, at: &[Vec<usize>]) -> Vec<Track> {
    let mut all: Vec<Track> = drawing
        .cables
        .iter()
        .map(|cable| {
            let (a, b) = (at[cable.a.node][cable.a.row], at[cable.b.node][cable.b.row]);
            Track { top: a.min(b), bottom: a.max(b), label: cable.label.join(", "), up: cable.up, track: 0 }
        })
        .collect();
    all.sort_by_key(|t| (t.bottom - t.top, t.top));
    let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
    for cable in &mut all {
        let free =
            |used: &Vec<(usize, usize)>| used.iter().all(|(top, bottom)| cable.bottom < *top || *bottom < cable.top);
        let track = taken.iter().position(free).unwrap_or(taken.len());
        if track == taken.len() {
            taken.push(Vec::new());
        }
        taken[track].push((cable.top, cable.bottom));
        cable.track = track;
    }
    all
}

/// A name without control characters, cut to a readable length.
fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(MAX_TEXT).collect()
}
