//! The ground floor: virtual time, identifiers, MAC addresses, prefixes, units and random streams.
//!
//! Nothing here knows what a packet is. Every other layer builds on these types.

mod errno;
mod id;
mod mac;
pub(crate) mod mutant;
mod prefix;
mod rng;
pub mod time;
mod tuple;
pub mod units;
pub mod wheel;

pub use errno::Errno;
pub use id::{AppId, DevId, NsId, SockId};
pub use mac::{Mac, MacParseError};
pub(crate) use mutant::{Mutant, mutated};
pub use prefix::{Prefix, PrefixParseError};
pub(crate) use prefix::{mask4, mask6};
pub use rng::{Rng, key_of};
pub use time::{MS, NS, SEC, Time, US};
pub use tuple::{Tuple, proto};

/// A hash map for look-ups, with a fixed seed: the same on every run. It is never iterated, so its order never shows.
pub type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;
