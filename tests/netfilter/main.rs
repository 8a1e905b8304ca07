//! Netfilter as a router uses it: the oracle's NAT, conntrack and filter cases without the rest of the stack, and the
//! properties of translation under random traffic.

mod filter;
mod nat;
mod properties;
mod router;
