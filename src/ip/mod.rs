//! The way of a packet through a namespace (net/ipv4/ip_input.c, ip_forward.c, ip_output.c, route.c, icmp.c).
//!
//! ```text
//!  transport → output ─ OUTPUT ─────────────────────────────────────────┐
//!                                                                       ├─ POSTROUTING → fragment → neighbour
//!  forward ◄─ route ◄─ PREROUTING ◄─ input ◄─ device                    │
//!     TTL ≤ 1 → Time Exceeded   │ local?                                │
//!     TTL−1, FORWARD ───────────┼───────────────────────────────────────┘
//!                               └→ INPUT → ICMP, UDP, TCP, raw
//! ```

mod deliver;
mod exthdr;
mod forward;
mod forward6;
mod fragment;
mod fragment6;
mod get;
mod get6;
mod hooks;
pub mod icmp;
mod icmp6;
mod input;
mod options;
mod output;
mod redirect6;
mod route;
mod route6;
mod source6;
mod transport;
mod tunnel;

pub use crate::kernel::InputRoute;
pub use get::RouteQuery;
pub use route::{OutRequest, RouteOut};
