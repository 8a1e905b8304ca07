//! The scenario file: its schema, how it is read, what can be wrong with it, and the topology it describes.
//!
//! A file goes through three stages. The text becomes a tree whose nodes know their places; the tree becomes the typed
//! [`schema`], collecting every mistake on the way; the result is checked as a whole (names, addresses, reachability of
//! gateways). Whoever consumes a [`Scenario`] may rely on those checks.

pub mod diagnose;
mod lines;
mod names;
mod node;
mod quantities;
mod read;
pub mod schema;
mod span;
mod values;

pub use diagnose::{Diagnostic, Severity};
pub use lines::{NeighLine, RouteLine, RuleLine};
pub use names::{End, Ends, Hop, IfAddr, NatTo, Net, Ports, Service, Target, Url};
pub use quantities::{BitRate, Duration, Share, Size};
pub use read::{Field, Variant};
pub use schema::Scenario;
pub use span::{Span, Spanned};
pub use values::Entries;
