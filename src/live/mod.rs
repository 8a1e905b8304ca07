//! The live oracle: runs a case in real network namespaces of the Linux kernel underneath.
//!
//! [`run`] gives what [`conform::run`](crate::conform::run) gives for netsim's own world, so the two are compared with one
//! call. It needs Linux, the right to make network namespaces, and the programs `ip`, `bridge`, `tc`, `nft`, `ping` and
//! `traceroute`. The namespaces have no names and vanish with the process; the host's network is not touched.

#![allow(
    clippy::disallowed_methods,
    reason = "the kernel runs in real time and beside us: here clocks, pauses and threads are the point"
)]

#[cfg(target_os = "linux")]
mod linux;
pub mod nft;
pub mod plan;
pub mod script;
pub mod translate;
pub mod verify;
pub mod words;

use crate::conform::{Case, Run};
use std::fmt;

/// Why a case could not be run on the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// This is not Linux.
    NotLinux,
    /// The process may not make namespaces.
    Permission(String),
    /// A program is not installed.
    Missing {
        /// Its name.
        program: String,
        /// The package of Debian it is in.
        package: String,
    },
    /// The kernel, or this way of looking at it, does not know such a thing.
    Unsupported(String),
    /// The case makes no sense, or a command was refused while its world was built.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotLinux => f.write_str("real network namespaces need Linux"),
            Error::Missing { program, package } => {
                write!(f, "needs the program `{program}`; on Debian: apt install {package}")
            }
            Error::Permission(text) | Error::Unsupported(text) | Error::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Error {
        Error::Failed(text)
    }
}

/// Runs a case on the kernel.
///
/// Several may run at once. Takes as long as the case does in real time.
///
/// # Errors
/// See [`Error`].
///
/// ```
/// use netsim::{conform::Case, live};
/// let case = Case::parse(r#"{"nodes": {"a": {}, "b": {}}, "links": [["a:eth0", "b:eth0"]], "steps": []}"#)?;
/// match live::run(&case) {
///     Ok(run) => assert!(run.raw.steps.len() == 1, "the end of the run"),
///     Err(e) => println!("not here: {e}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(case: &Case) -> Result<Run, Error> {
    #[cfg(target_os = "linux")]
    return linux::run(case);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = case;
        Err(Error::NotLinux)
    }
}

/// Whether cases can be run at all: the right to make namespaces, and the program `ip`.
///
/// # Errors
/// Why not.
pub fn available() -> Result<(), Error> {
    #[cfg(target_os = "linux")]
    return linux::available();
    #[cfg(not(target_os = "linux"))]
    Err(Error::NotLinux)
}

/// What of a case the kernel underneath lacks, in the words of the case's `requires`: `netem`, `tbf`, `vlan`, `gre`,
/// `ipip`, `vxlan` … Empty if it can be run.
///
/// # Errors
/// If that cannot be found out.
pub fn lacking(case: &Case) -> Result<Vec<String>, Error> {
    #[cfg(target_os = "linux")]
    return linux::lacking(case);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = case;
        Err(Error::NotLinux)
    }
}

/// Whether the kernel underneath lacks one of those things.
///
/// # Errors
/// If that cannot be found out.
pub fn lacks(what: &str) -> Result<bool, Error> {
    #[cfg(target_os = "linux")]
    return linux::lacks(what);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = what;
        Err(Error::NotLinux)
    }
}

/// Plays a translated scenario on the kernel: every job at its time, cut into the windows of netsim's run.
///
/// # Errors
/// See [`Error`].
pub fn play(t: &translate::Translation, windows: &[verify::Window]) -> Result<verify::Seen, Error> {
    #[cfg(target_os = "linux")]
    return linux::play(t, windows);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (t, windows);
        Err(Error::NotLinux)
    }
}
