//! What all drawings show: boxes with rows, and cables between rows.

/// A topology to draw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Drawing {
    /// A line above it.
    pub title: Option<String>,
    /// The boxes, island by island and layer by layer.
    pub boxes: Vec<Node>,
    /// The cables between them.
    pub cables: Vec<Cable>,
    /// How many namespaces are left out because there are too many.
    pub hidden: usize,
}

/// A box: a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it is, in a word or two: `router`, `switch`, or nothing.
    pub kind: &'static str,
    /// Its devices.
    pub rows: Vec<Row>,
    /// The number of the island it belongs to; islands are not connected and drawn one below the other.
    pub island: usize,
    /// Its column in the island, from the left.
    pub layer: usize,
}

/// A row of a box: a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it is, unless it is the end of a cable.
    pub kind: &'static str,
    /// How deep it stands below others: ports below their bridge.
    pub depth: usize,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// The row of a box a cable ends at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The number of the box.
    pub node: usize,
    /// The number of the row.
    pub row: usize,
}

/// A line between two rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cable {
    /// One end.
    pub a: Place,
    /// The other end.
    pub b: Place,
    /// What the cable does to frames, in lines; the direction from `a` to `b` is marked `→`, the other one `←`.
    pub label: Vec<String>,
    /// Whether it is plugged in.
    pub up: bool,
}

impl Drawing {
    /// The rows a cable ends at.
    pub(super) fn row(&self, place: Place) -> &Row {
        &self.boxes[place.node].rows[place.row]
    }
}
