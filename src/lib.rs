//! netsim: a userspace virtual network simulator that behaves like Linux, packet by packet.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod app;
pub mod base;
pub mod conform;
pub mod device;
pub mod ip;
pub mod kernel;
mod l2;
pub mod link;
pub mod live;
pub mod neigh;
pub mod netfilter;
pub mod procfs;
pub mod report;
pub mod route;
pub mod scenario;
pub mod sim;
pub mod socket;
pub mod sys;
pub mod trace;
pub mod wire;

/// The examples of the README are run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
