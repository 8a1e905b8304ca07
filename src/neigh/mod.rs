//! A namespace's neighbour table: ARP (RFC 826) and neighbour discovery (RFC 4861 §7) with the states of Linux.
//!
//! [`NeighTable`] is sans-IO. It is told the time and what was heard, and answers with [`Action`]s the caller carries
//! out: ask on the wire, transmit a frame, report it unreachable, arm a timer. It follows `net/core/neighbour.c` and
//! `arp_process()` of Linux 6.18; the function is named beside each branch.
//!
//! The methods are of four kinds:
//! * for every packet: [`NeighTable::resolve`], and when it has no answer [`NeighTable::output`];
//! * for what is heard: [`NeighTable::learn`], [`NeighTable::confirm`], [`NeighTable::probe`];
//! * for time: [`NeighTable::on_timer`], [`NeighTable::proxy_due`];
//! * for the administrator: [`NeighTable::set`], [`NeighTable::delete`], [`NeighTable::flush_device`],
//!   [`NeighTable::iter`] and the proxy entries.
//!
//! What differs from Linux: an entry that becomes REACHABLE stays so for a time drawn for that entry (Linux draws one per device
//! every five minutes); REACHABLE turns into STALE when somebody looks, not by a timer, which nobody can tell apart;
//! unused entries are collected when the table grows, not by a timer; probes are exactly `retrans_time` apart.

mod action;
mod admin;
mod entry;
mod learn;
mod params;
mod proxy;
mod resolve;
mod table;

pub use action::Action;
pub use admin::{SetEntry, SetMode};
pub use entry::truesize;
pub use learn::{Heard, Learned};
pub use params::NeighParams;
pub use table::{NeighInfo, NeighTable};
