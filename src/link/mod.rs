//! Cables and what happens to frames on their way into one: the wire, the external end, and the egress queue.
//!
//! A [`Wire`] only carries: it has no delay, no loss and no order of its own. All of that is the egress queue's, the
//! [`Qdisc`], which is what `tc` configures. A plain veth has none ([`QdiscConfig::Noqueue`]).

mod chance;
mod external;
mod netem;
mod netem_config;
mod qdisc;
mod tbf;
mod wire;

pub use external::{Closed, ExternalEnd, ExternalFrame, ExternalWire, MAX_EXTERNAL_FRAME, SendError, Undelivered};
pub use netem_config::{Distribution, Loss, NetemConfig};
pub use qdisc::{Qdisc, QdiscConfig, QdiscEvent};
pub use tbf::TbfConfig;
pub use wire::{ThreadWire, Wire};

pub(crate) use netem::Netem;
pub(crate) use tbf::Tbf;
