//! Routing: the forwarding information base and the policy rules of a namespace, as Linux has them.
//!
//! Plain data: nothing here knows a device but by its id, sends anything or looks at the time. [`Fib`] holds the tables
//! and rules of both families; [`Fib::lookup`] finds a packet's way; [`parse_route`] and [`parse_rule`] read, and
//! [`Route::show`] and [`Rule::show`] write the words of iproute2.
//!
//! Not modelled: nexthop objects, route caches (what redirects and path MTU discovery learn is kept elsewhere), realms,
//! `fib_select_default` (among several default routes of one metric the first is used, whether its gateway answers or
//! not), the preference of IPv4's multipath for a hop whose device has the given source address, `sysctl
//! fib_multipath_use_neigh`, goto and nop rules, port and protocol rules.

mod check;
mod error;
mod fib;
mod lookup;
mod parse;
mod rule;
mod selector;
mod show;
mod store;
mod types;
mod words;

pub use check::LinkState;
pub use error::{LookupError, RouteError};
pub use fib::{AddMode, Fib};
pub use lookup::{FlowKey, Lookup};
pub use parse::{HopSpec, RouteSpec, RuleSpec, parse_route, parse_rule};
pub use rule::{Rule, RuleAction, RuleSelector};
pub use selector::{HopSelector, RouteSelector};
pub use types::{Family, NextHop, Protocol, Route, RouteType, Scope, table};
pub use words::{Spanned, WordError};
