//! Events in a form that can be kept.

use crate::{
    base::{DevId, Mac, Tuple},
    trace::{
        ConntrackChange, Delivery, Direction, DropReason, Event, FdbChange, FrameId, HookPoint, NeighState, Origin,
        RouteUse, Switching,
    },
};
use std::net::IpAddr;

/// [`Event`] without what it borrows. The bytes of a frame are kept as a one-line summary when it is first seen.
#[derive(Clone, Debug)]
pub(super) enum Moment {
    Created { origin: Origin, parent: Option<FrameId> },
    Passed { dir: Direction, summary: Box<str> },
    Route { purpose: RouteUse, dst: IpAddr, via: Option<IpAddr>, out: DevId },
    Forwarded { ttl: u8 },
    Awaits { addr: IpAddr },
    Neighbour { addr: IpAddr, to: NeighState, mac: Option<Mac> },
    Collision { mac: Mac, change: FdbChange },
    Switched { dst: Mac, to: Switching },
    Nat { hook: HookPoint, before: Tuple, after: Tuple },
    Remembered { original: Tuple, reply: Tuple },
    IcmpError { kind: u8, code: u8, to: IpAddr },
    Delivered(Delivery),
    Dropped(DropReason),
}

impl Moment {
    /// The moment an event makes, if the story has a use for it.
    pub(super) fn of(event: &Event<'_>) -> Option<Moment> {
        Some(match *event {
            Event::Created { origin, parent } => Moment::Created { origin, parent },
            Event::Frame { dir, bytes } => {
                let link = match bytes.first().map(|b| b >> 4) {
                    // Frames on `lo` have no link-layer header. A MAC whose first byte reads as an IP version would be
                    // locally administered; derived and oracle MACs start with 02.
                    Some(4 | 6) => crate::wire::dissect::LinkKind::Ip,
                    _ => crate::wire::dissect::LinkKind::Ethernet,
                };
                Moment::Passed { dir, summary: crate::wire::dissect::summary(bytes, link).into() }
            }
            Event::Route { purpose, dst, via, out } => Moment::Route { purpose, dst, via, out },
            Event::Forwarded { ttl, .. } => Moment::Forwarded { ttl },
            Event::AwaitNeighbour { addr } => Moment::Awaits { addr },
            Event::Neighbour { addr, to, mac, .. } => Moment::Neighbour { addr, to, mac },
            Event::Fdb { mac, change: change @ FdbChange::Collision { .. }, .. } => Moment::Collision { mac, change },
            Event::Switched { dst, to } => Moment::Switched { dst, to },
            Event::Nat { hook, before, after } => Moment::Nat { hook, before, after },
            Event::Conntrack { change: ConntrackChange::New, original, reply } => {
                Moment::Remembered { original, reply }
            }
            Event::IcmpError { kind, code, to } => Moment::IcmpError { kind, code, to },
            Event::Delivered(to) => Moment::Delivered(to),
            Event::Dropped(reason) => Moment::Dropped(reason),
            _ => return None,
        })
    }
}
