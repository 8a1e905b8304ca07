//! Network namespaces without a name: they live as long as their file descriptor, so that nothing of them is left over
//! however the process ends.

use super::super::Error;
use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    process::{self, Command, Output, Stdio},
    thread,
};

/// A network namespace.
#[derive(Debug)]
pub struct NetNs {
    file: File,
}

impl NetNs {
    /// Makes a namespace.
    pub fn new() -> Result<NetNs, Error> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        };
        match on_thread(make)? {
            Ok(file) => Ok(NetNs { file }),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::Permission("making network namespaces needs root (CAP_SYS_ADMIN)".into()))
            }
            Err(e) => Err(Error::Failed(format!("cannot make a network namespace: {e}"))),
        }
    }

    /// A path that names the namespace, for other programs; good while this process lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd())
    }

    /// Does something inside, in a thread of its own. Sockets made there stay inside wherever they are used.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T, Error> {
        on_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .map_err(|e| Error::Failed(format!("cannot enter a namespace: {e}")))?;
            Ok(what())
        })?
    }

    /// Runs a program inside to its end.
    pub fn program<W: AsRef<str> + Sync>(&self, name: &str, words: &[W], input: &str) -> Result<Output, Error> {
        self.inside(|| run(name, words, input))?
    }
}

/// Runs something in a thread of its own, whose namespace is its own affair.
fn on_thread<T: Send>(what: impl FnOnce() -> T + Send) -> Result<T, Error> {
    thread::scope(|s| {
        let thread = thread::Builder::new().spawn_scoped(s, what);
        let thread = thread.map_err(|e| Error::Failed(format!("cannot start a thread: {e}")))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Runs a program in the caller's namespace.
fn run<W: AsRef<str>>(name: &str, words: &[W], input: &str) -> Result<Output, Error> {
    let mut child = Command::new(name)
        .args(words.iter().map(AsRef::as_ref))
        .envs([("LC_ALL", "C"), ("LANG", "C")])
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failure(name, &e))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read to the end says why itself.
        let _ = pipe.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(|e| failure(name, &e))
}

/// Why a program does not run, and where it comes from if it is not there.
fn failure(name: &str, e: &io::Error) -> Error {
    if e.kind() != io::ErrorKind::NotFound {
        return Error::Failed(format!("{name}: {e}"));
    }
    let package = match name {
        "ip" | "bridge" | "tc" => "iproute2",
        "nft" => "nftables",
        "ping" => "iputils-ping",
        other => other,
    };
    Error::Missing { program: name.into(), package: package.into() }
}
