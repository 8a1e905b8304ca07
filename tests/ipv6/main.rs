//! IPv6 through the public API: neighbour discovery, forwarding, errors, path MTU, autoconfiguration, sockets, NAT.
//! Every frame's checksums and lengths are verified on the way.

mod autoconf;
mod chain;
mod errors;
mod hostile;
#[path = "../lab/mod.rs"]
mod lab;
mod nat;
mod neighbours;
mod sockets;
