//! What the neighbour table asks its caller to do.

use crate::{
    base::{DevId, Mac, NsId, Time},
    trace::{DropReason, NeighState},
    wire::Frame,
};
use std::net::IpAddr;

/// Something to be done, in the order given. Every frame handed to the table comes back in exactly one of these.
#[derive(Debug)]
pub enum Action {
    /// Send an ARP request or a neighbour solicitation.
    Solicit {
        /// The device to ask on.
        dev: DevId,
        /// The address to ask for.
        target: IpAddr,
        /// Ask this station only; `None` asks everybody.
        unicast: Option<Mac>,
        /// The namespace a unicast request is meant for, if known.
        owner: Option<NsId>,
        /// Source address of the youngest waiting packet. `arp_solicit()` asks in its name if the address is local and
        /// `arp_announce` is 0; without one it selects an address of the device.
        source: Option<IpAddr>,
    },
    /// Put a link-layer header on the frame and transmit it.
    Transmit {
        /// The device to leave by.
        dev: DevId,
        /// The packet.
        frame: Frame,
        /// The destination station.
        mac: Mac,
        /// The namespace that station belongs to, if known.
        owner: Option<NsId>,
    },
    /// Nobody answered. The caller reports host unreachable to the source and drops the frame for
    /// [`DropReason::NeighFailed`].
    Unreachable {
        /// The device that was asked on.
        dev: DevId,
        /// The next hop.
        addr: IpAddr,
        /// The packet that waited.
        frame: Frame,
    },
    /// Drop the frame without telling anybody.
    Drop {
        /// The packet.
        frame: Frame,
        /// Why.
        reason: DropReason,
    },
    /// Call [`crate::neigh::NeighTable::on_timer`] at this time. Firing late, twice, or for an entry that is gone is harmless.
    Timer {
        /// The device of the entry.
        dev: DevId,
        /// The address of the entry.
        addr: IpAddr,
        /// When, in virtual nanoseconds.
        at: Time,
    },
    /// Call [`crate::neigh::NeighTable::proxy_due`] at this time.
    ProxyTimer {
        /// When, in virtual nanoseconds.
        at: Time,
    },
    /// An entry changed its state or its address.
    Changed {
        /// The device of the entry.
        dev: DevId,
        /// The address of the entry.
        addr: IpAddr,
        /// State before; [`NeighState::None`] for a new entry.
        from: NeighState,
        /// State after; [`NeighState::None`] for an entry that was removed.
        to: NeighState,
        /// The station, if it is known in the new state.
        mac: Option<Mac>,
    },
}
