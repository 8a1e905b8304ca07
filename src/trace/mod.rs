//! What happened: events, the fate of every frame, the ledger that balances them, and the digest of it all.

mod digest;
mod event;
mod fate;
mod ledger;
mod names;
mod sink;

pub use digest::Digest;
pub use event::{
    ConntrackChange, Delivery, Direction, Event, FdbChange, FrameId, HookPoint, NeighState, Origin, Record, RouteUse,
    Switching,
};
pub use fate::DropReason;
pub use ledger::{Ledger, LedgerError};
pub use names::Names;
pub use sink::{Sink, Tracer};
