//! A world that runs: the kernel's state, the apps in it, and the event loop.

mod run;
mod world;

pub use run::{End, Limits, RunSummary};
pub use world::{AppInfo, World};
