//! Virtual time: unsigned nanoseconds since the start of the run.
//!
//! No part of the library reads a clock. `now` is an argument of everything that depends on time.

/// A point in virtual time, or a span of it, in nanoseconds. 64 bits last for 584 years.
pub type Time = u64;

/// One nanosecond.
pub const NS: Time = 1;
/// One microsecond.
pub const US: Time = 1_000;
/// One millisecond.
pub const MS: Time = 1_000_000;
/// One second.
pub const SEC: Time = 1_000_000_000;

/// Writes a time the way the story does: the largest unit that keeps it short, at most three decimals.
///
/// ```
/// use netsim::base::{time, MS, SEC, US};
/// assert_eq!(time::show(0), "0s");
/// assert_eq!(time::show(1500 * MS), "1.5s");
/// assert_eq!(time::show(20 * MS + 250 * US), "20.25ms");
/// assert_eq!(time::show(300 * SEC), "300s");
/// assert_eq!(time::show(7), "7ns");
/// ```
pub fn show(t: Time) -> String {
    let (unit, name) = match t {
        0 => return "0s".into(),
        _ if t >= SEC => (SEC, "s"),
        _ if t >= MS => (MS, "ms"),
        _ if t >= US => (US, "µs"),
        _ => (NS, "ns"),
    };
    let whole = t / unit;
    let thousandths = (t % unit) * 1000 / unit;
    let text = format!("{whole}.{thousandths:03}");
    format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}
