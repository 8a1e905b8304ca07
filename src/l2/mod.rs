//! The way of a frame through devices: transmit, cable, receive, bridge, ARP and neighbour discovery.
//!
//! ```text
//!  ip::output → neighbour ─→ transmit ─ qdisc ─ tap ═══ veth ═══ (wheel) ─→ receive ─ tap ─┬─ a port? → bridge
//!                                                                                          ├─ tagged? → vlan device
//!                                                                                          └─ ethernet_input → ARP, IP
//! ```

mod arp;
mod bridge;
mod dad;
mod nd;
mod neighbour;
mod receive;
mod router;
mod transmit;
