//! The scenario file: its schema, how it is read, what can be wrong with it, and the topology it describes.
//!
//! A file goes through three stages. The text becomes a tree whose nodes know their places; the tree becomes the typed
//! [`schema`], collecting every mistake on the way; the result is checked as a whole (names, addresses, reachability of
//! gateways). Whoever consumes a [`Scenario`] may rely on those checks.

mod build;
mod check;
pub mod diagnose;
mod directory;
mod drawing;
pub mod exec;
mod expect;
mod lines;
mod load;
mod names;
mod node;
mod print;
mod quantities;
mod read;
mod repeat;
mod run;
pub mod schema;
mod sketch;
mod span;
pub mod topology;
mod values;

pub use build::{BuildOptions, Built, build};
pub use diagnose::{Diagnostic, Severity};
pub use directory::{Cable, Directory, NoAddress};
pub use lines::{NeighLine, RouteLine, RuleLine};
pub use load::{MAX_DEPTH, MAX_SOURCE_BYTES, inspect, load};
pub use names::{End, Ends, Hop, IfAddr, NatTo, Net, Ports, Service, Target, Url};
pub use print::print;
pub use quantities::{BitRate, Duration, Share, Size};
pub use read::{Field, Variant};
pub use repeat::MAX_COPIES;
pub use run::{Progress, RunOptions, run};
pub use schema::{Device, Expanded, Namespace, Scenario};
pub use span::{Span, Spanned};
pub use values::Entries;
