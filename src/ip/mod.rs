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
mod forward;
mod fragment;
mod get;
mod hooks;
pub mod icmp;
mod input;
mod output;
mod route;
mod transport;

pub use crate::kernel::InputRoute;
pub use get::RouteQuery;
pub use route::{OutRequest, RouteOut};
