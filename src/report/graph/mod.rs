//! Drawings of a scenario's topology: for the terminal, as Mermaid, as DOT and as a standalone SVG.
//!
//! All four show the same model: namespaces as boxes with their devices and addresses, cables between them with what they
//! do to frames. Names are escaped for each format, so that a scenario cannot smuggle markup into a page.

mod dot;
mod mermaid;
mod model;
mod svg;
mod terminal;

pub use dot::dot;
pub use mermaid::mermaid;
pub use model::{Cable, Drawing, Node, Place, Row};
pub use svg::svg;
pub use terminal::terminal;
