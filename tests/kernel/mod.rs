//! For tests that ask the kernel of this machine.

use netsim::live;
use std::env;

/// Whether this machine's kernel is asked: not where it may not be, and not with `NETSIM_KERNEL=0`.
#[expect(clippy::disallowed_methods, reason = "whether the kernel is asked is the caller's choice")]
pub fn permitted() -> Result<(), String> {
    if env::var("NETSIM_KERNEL").is_ok_and(|v| v == "0") {
        return Err("NETSIM_KERNEL is 0".into());
    }
    live::available().map_err(|e| e.to_string())
}
