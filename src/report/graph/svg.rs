//! A standalone SVG: boxes in columns by distance, cables as curves between their devices.

use super::{
    dot::html,
    model::{Cable, Drawing, Node, Place, Row},
};
use std::fmt::Write;

/// Pixels.
const CHAR: f64 = 7.3;
const ROW: f64 = 22.0;
const HEAD: f64 = 30.0;
const PAD: f64 = 12.0;
const MARGIN: f64 = 28.0;
const ROW_GAP: f64 = 26.0;
const ISLAND_GAP: f64 = 36.0;
/// Least distance between two columns; labels of cables need more.
const COLUMN_GAP: f64 = 70.0;
const LABEL_CHAR: f64 = 6.4;
const LABEL_LINE: f64 = 14.0;
const KIND_CHAR: f64 = 7.6;

/// The look. Colours adapt to a dark page; all are set here so that the file stands alone.
const STYLE: &str = "\
.netsim{--paper:#ffffff;--box:#fbfcfe;--edge:#b6c3d1;--ink:#1f2933;--soft:#52606d;--cable:#7b8794}\
.netsim .host{--head:#e6eff9;--name:#174a7c}.netsim .router{--head:#fdf0dc;--name:#8a4b08}.netsim .switch{--head:#e3f4ea;--name:#17613a}\
@media(prefers-color-scheme:dark){.netsim{--paper:#14191f;--box:#1c232b;--edge:#3e4c59;--ink:#e4e7eb;--soft:#9aa5b1;--cable:#9aa5b1}\
.netsim .host{--head:#1f3347;--name:#a7cbf0}.netsim .router{--head:#42301a;--name:#f3c98b}.netsim .switch{--head:#1d3a2b;--name:#9fdcb8}}\
.netsim text{font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px;fill:var(--ink)}\
.netsim .title{font-size:18px;font-weight:600}.netsim .name{font-weight:600;fill:var(--name)}\
.netsim .kind{font-size:11px;fill:var(--name)}.netsim .what{font-size:11px;fill:var(--soft)}\
.netsim .dev,.netsim .addr{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:12px}.netsim .addr{fill:var(--soft)}\
.netsim .label{font-size:11px;fill:var(--soft);text-anchor:middle;paint-order:stroke;stroke:var(--paper);stroke-width:5px;stroke-linejoin:round}\
.netsim .cable{fill:none;stroke:var(--cable);stroke-width:1.6}.netsim .down{stroke-dasharray:5 4}\
.netsim .plug{fill:var(--cable)}.netsim .paper{fill:var(--paper)}.netsim .frame{fill:none;stroke:var(--edge)}\
.netsim .body{fill:var(--box)}.netsim .head{fill:var(--head)}.netsim .tree{stroke:var(--edge);fill:none}";

/// A box with its place on the page.
struct Placed {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    /// Where addresses begin, from the left border.
    tab: f64,
}

/// The topology as a standalone SVG image.
///
/// ```
/// let drawing = netsim::scenario::load(r#"(
///     namespaces: { "<b>": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: ["<b>:eth0 -- b:eth0"],
/// )"#).unwrap().drawing();
/// let image = netsim::report::graph::svg(&drawing);
/// assert!(image.starts_with("<svg xmlns") && image.contains("&lt;b&gt;") && !image.contains("<b>"));
/// ```
pub fn svg(drawing: &Drawing) -> String {
    let (placed, width, height) = place(drawing);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"netsim\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\"><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>"
    );
    if let Some(title) = &drawing.title {
        let title = html(title);
        let _ = write!(out, "<title>{title}</title><text class=\"title\" x=\"{MARGIN}\" y=\"38\">{title}</text>");
    }
    for cable in &drawing.cables {
        curve(drawing, &placed, cable, &mut out);
    }
    for (node, p) in drawing.boxes.iter().zip(&placed) {
        draw_box(node, p, &mut out);
    }
    // Labels come last, so that no box or cable covers them.
    for cable in drawing.cables.iter().filter(|c| !c.label.is_empty()) {
        let (a, b) = ends(drawing, &placed, cable);
        let (x, y) = middle(a, b);
        for (i, line) in cable.label.iter().enumerate() {
            let y = y - 6.0 - LABEL_LINE * (cable.label.len() - 1 - i) as f64;
            let _ = write!(out, "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", html(line));
        }
    }
    if drawing.hidden > 0 {
        let text = format!("and {} more namespaces", drawing.hidden);
        let _ = write!(out, "<text class=\"what\" x=\"{MARGIN}\" y=\"{:.1}\">{text}</text>", height - 10.0);
    }
    out.push_str("</svg>\n");
    out
}

/// Puts every box on the page; the result ends with the width and height of the page.
fn place(drawing: &Drawing) -> (Vec<Placed>, f64, f64) {
    let mut placed: Vec<Placed> = drawing.boxes.iter().map(measure).collect();
    let top = if drawing.title.is_some() { MARGIN + 36.0 } else { MARGIN };
    let title_width = drawing.title.as_ref().map_or(0.0, |t| t.chars().count() as f64 * 9.6);
    let (mut y, mut page_width) = (top, title_width + 2.0 * MARGIN);
    let islands = drawing.boxes.iter().map(|b| b.island + 1).max().unwrap_or(0);
    for island in 0..islands {
        let members = |layer: usize| {
            let all = drawing.boxes.iter().enumerate();
            all.filter(move |(_, b)| b.island == island && b.layer == layer).map(|(i, _)| i).collect::<Vec<usize>>()
        };
        let layers = drawing.boxes.iter().filter(|b| b.island == island).map(|b| b.layer + 1).max().unwrap_or(0);
        let columns: Vec<Vec<usize>> = (0..layers).map(members).collect();
        let column_height = |column: &Vec<usize>| {
            column.iter().map(|i| placed[*i].height).sum::<f64>() + ROW_GAP * column.len().saturating_sub(1) as f64
        };
        let heights: Vec<f64> = columns.iter().map(column_height).collect();
        let height = heights.iter().copied().fold(0.0, f64::max);
        let mut x = MARGIN;
        for (layer, column) in columns.iter().enumerate() {
            let width = column.iter().map(|i| placed[*i].width).fold(0.0, f64::max);
            let mut at = y + (height - heights[layer]) / 2.0;
            for i in column {
                placed[*i].width = width;
                placed[*i].x = x;
                placed[*i].y = at;
                at += placed[*i].height + ROW_GAP;
            }
            x += width
                + if layer + 1 < layers { gap(drawing, island, layer) } else { side_room(drawing, island, layer) };
        }
        page_width = page_width.max(x + MARGIN);
        y += height + ISLAND_GAP;
    }
    (placed, page_width, y - ISLAND_GAP + MARGIN + if drawing.hidden > 0 { 20.0 } else { 0.0 })
}

/// The size of a box. All boxes of a column get the width of the widest.
fn measure(node: &Node) -> Placed {
    let chars = |text: &str| text.chars().count() as f64 * CHAR;
    let indent = |row: &Row| row.depth as f64 * 16.0;
    let tab = PAD + node.rows.iter().map(|r| indent(r) + chars(&r.name)).fold(0.0, f64::max) + 14.0;
    let rest = |row: &Row| {
        let kind = if row.kind.is_empty() { 0.0 } else { row.kind.len() as f64 * KIND_CHAR + 8.0 };
        kind + chars(&row.addresses.join("  "))
    };
    let body = tab + node.rows.iter().map(rest).fold(0.0, f64::max) + PAD;
    let head = PAD * 2.0 + chars(&node.name) * 1.08 + if node.kind.is_empty() { 0.0 } else { chars(node.kind) + 14.0 };
    let height = HEAD + node.rows.len() as f64 * ROW + if node.rows.is_empty() { 0.0 } else { 8.0 };
    Placed { x: 0.0, y: 0.0, width: body.max(head).max(96.0), height, tab }
}

/// The distance between a column and the next: enough for the labels of the cables that cross it.
fn gap(drawing: &Drawing, island: usize, layer: usize) -> f64 {
    let crosses = |cable: &&Cable| {
        let (a, b) = (&drawing.boxes[cable.a.node], &drawing.boxes[cable.b.node]);
        let (left, right) = (a.layer.min(b.layer), a.layer.max(b.layer));
        a.island == island && left <= layer && (layer < right || left == right && left == layer)
    };
    let lines = drawing.cables.iter().filter(crosses).flat_map(|c| &c.label);
    let longest = lines.map(|line| line.chars().count()).max().unwrap_or(0);
    (longest as f64 * LABEL_CHAR + 24.0).max(COLUMN_GAP)
}

/// Room right of the last column for cables inside it.
fn side_room(drawing: &Drawing, island: usize, layer: usize) -> f64 {
    let inside = |c: &Cable| {
        let (a, b) = (&drawing.boxes[c.a.node], &drawing.boxes[c.b.node]);
        a.island == island && a.layer == layer && b.layer == layer
    };
    if drawing.cables.iter().any(inside) { gap(drawing, island, layer) } else { 0.0 }
}

/// Where a cable leaves a box, and to which side: +1 right, -1 left.
#[derive(Clone, Copy)]
struct End {
    x: f64,
    y: f64,
    side: f64,
}

fn ends(drawing: &Drawing, placed: &[Placed], cable: &Cable) -> (End, End) {
    let layer = |place: Place| drawing.boxes[place.node].layer;
    let end = |place: Place, side: f64| {
        let p = &placed[place.node];
        let y = p.y + HEAD + 4.0 + (place.row as f64 + 0.5) * ROW;
        End { x: if side > 0.0 { p.x + p.width } else { p.x }, y, side }
    };
    match layer(cable.a).cmp(&layer(cable.b)) {
        std::cmp::Ordering::Less => (end(cable.a, 1.0), end(cable.b, -1.0)),
        std::cmp::Ordering::Greater => (end(cable.a, -1.0), end(cable.b, 1.0)),
        std::cmp::Ordering::Equal => (end(cable.a, 1.0), end(cable.b, 1.0)),
    }
}

/// How far the control points of a curve stand off.
fn reach(a: End, b: End) -> f64 {
    if a.side == b.side { 46.0 + (a.y - b.y).abs() * 0.08 } else { ((a.x - b.x).abs() * 0.5).max(30.0) }
}

/// The middle of the curve, where its label stands.
fn middle(a: End, b: End) -> (f64, f64) {
    let r = reach(a, b);
    ((a.x + b.x) / 2.0 + 0.375 * r * (a.side + b.side), (a.y + b.y) / 2.0)
}

fn curve(drawing: &Drawing, placed: &[Placed], cable: &Cable, out: &mut String) {
    let (a, b) = ends(drawing, placed, cable);
    let r = reach(a, b);
    let down = if cable.up { "" } else { " down" };
    let _ = write!(
        out,
        "<path class=\"cable{down}\" d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\"/>",
        a.x,
        a.y,
        a.x + r * a.side,
        a.y,
        b.x + r * b.side,
        b.y,
        b.x,
        b.y
    );
    for end in [a, b] {
        let _ = write!(out, "<circle class=\"plug\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>", end.x, end.y);
    }
}

fn draw_box(node: &Node, p: &Placed, out: &mut String) {
    let Placed { x, y, width: w, height: h, .. } = *p;
    let class = match node.kind {
        "" => "host",
        "switch" => "switch",
        _ => "router",
    };
    let _ = write!(
        out,
        "<g class=\"{class}\"><rect class=\"body\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"8\"/>\
         <path class=\"head\" d=\"M{x:.1} {:.1}v{:.1}a8 8 0 0 1 8 -8h{:.1}a8 8 0 0 1 8 8v{:.1}z\"/>\
         <rect class=\"frame\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"8\"/>\
         <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        y + HEAD,
        8.0 - HEAD,
        w - 16.0,
        HEAD - 8.0,
        x + PAD,
        y + 20.0,
        html(&node.name)
    );
    if !node.kind.is_empty() {
        let (tx, ty) = (x + w - PAD, y + 20.0);
        let _ =
            write!(out, "<text class=\"kind\" x=\"{tx:.1}\" y=\"{ty:.1}\" text-anchor=\"end\">{}</text>", node.kind);
    }
    for (i, row) in node.rows.iter().enumerate() {
        draw_row(row, x, y + HEAD + 4.0 + i as f64 * ROW, p.tab, out);
    }
    out.push_str("</g>");
}

fn draw_row(row: &Row, x: f64, y: f64, tab: f64, out: &mut String) {
    let indent = row.depth as f64 * 16.0;
    if row.depth > 0 {
        // A little elbow that shows what it hangs on.
        let (ex, ey) = (x + PAD + indent - 10.0, y + ROW / 2.0);
        let _ = write!(out, "<path class=\"tree\" d=\"M{ex:.1} {:.1}V{ey:.1}h7\"/>", y - 5.0);
    }
    let base = y + 15.5;
    let _ = write!(out, "<text class=\"dev\" x=\"{:.1}\" y=\"{base:.1}\">{}</text>", x + PAD + indent, html(&row.name));
    let mut at = x + tab;
    if !row.kind.is_empty() {
        let _ = write!(out, "<text class=\"what\" x=\"{at:.1}\" y=\"{base:.1}\">{}</text>", row.kind);
        at += row.kind.len() as f64 * KIND_CHAR + 8.0;
    }
    if !row.addresses.is_empty() {
        let text = html(&row.addresses.join("  "));
        let _ = write!(out, "<text class=\"addr\" x=\"{at:.1}\" y=\"{base:.1}\">{text}</text>");
    }
}
