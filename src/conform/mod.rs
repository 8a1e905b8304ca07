//! Runs the oracle's cases and compares what happened with what a real kernel did.

pub(crate) mod capture;
pub mod case;
mod diff;
mod exec;
pub(crate) mod lab;
#[cfg(test)]
mod mutants;
mod normal;
pub(crate) mod ops;
pub mod raw;
mod run;
pub(crate) mod shell;
pub mod topo;

pub use case::{Case, CaseError};
pub use diff::{IGNORED, compare};
pub use normal::normalise;
pub use run::{Run, compare_runs, judge, run};
