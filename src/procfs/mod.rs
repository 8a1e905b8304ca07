//! `/proc` as a process in a namespace sees it: `/proc/net` and `/proc/sys/net` in the kernel's exact columns, and the
//! part of `/proc` that a network namespace does *not* make private.
//!
//! # What a network namespace hides, and what it does not
//!
//! `/proc/net` is a symbolic link to `/proc/self/net`: it leads to the network namespace of whoever reads it, whichever
//! `/proc` is mounted. That is why a new network namespace alone is enough to change what `/proc/net/tcp` shows. The same
//! holds for `/proc/sys/net`.
//!
//! Nothing else in `/proc` asks for the reader's network namespace. `/proc/meminfo`, `/proc/uptime`, `/proc/loadavg` and
//! `/proc/version` describe the machine, and a program in a fresh network namespace reads the same numbers as the host.
//! To show a container numbers of its own, Linux needs more namespaces: a *process* namespace, without which the
//! container's `/proc` lists the host's processes, and a *mount* namespace, in which a `/proc` of that process namespace
//! is mounted and files such as `meminfo` and `uptime` can be covered by others (LXCFS does that; time namespaces shift
//! `uptime` since Linux 5.5). netsim stands for all of it with [`ProcView`]: a namespace with both `mount` and `pid` sees
//! its own uptime and memory; with only one of them, or none, it sees the host's.
//!
//! ```
//! use netsim::{kernel::{Kernel, ProcView}, procfs};
//! let mut k = Kernel::new(1);
//! let (a, b) = (k.add_namespace("a")?, k.add_namespace("b")?);
//! assert!(procfs::read(&k, a, "/proc/net/dev")?.contains("    lo:"));
//! assert_eq!(procfs::read(&k, a, "/proc/meminfo")?, procfs::read(&k, b, "/proc/meminfo")?);
//! k.ns_mut(b).proc_view = ProcView { mount: true, pid: true };
//! assert_ne!(procfs::read(&k, a, "/proc/meminfo")?, procfs::read(&k, b, "/proc/meminfo")?);
//! assert_eq!(
//!     procfs::read(&k, a, "/proc/net/tpc").unwrap_err().to_string(),
//!     "/proc/net/tpc: No such file or directory; did you mean /proc/net/tcp?"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two differences from a real machine are deliberate: entries of hash tables are listed in a fixed order, and kernel
//! pointers are shown as zeros, as with `kernel.kptr_restrict` = 2.

mod arp;
mod dev;
mod hex;
mod ipv6;
mod machine;
mod route;
mod snmp;
mod snmp6;
mod sockets;
mod sockstat;
mod sysctl;

use crate::{
    base::NsId,
    kernel::{Kernel, ProcView},
};
use std::fmt;

/// A file that depends on the namespace.
type Render = fn(&Kernel, NsId) -> String;

/// `/proc/net`, sorted by name.
const NET: &[(&str, Render)] = &[
    ("arp", arp::arp),
    ("dev", dev::dev),
    ("icmp", sockets::icmp),
    ("if_inet6", ipv6::if_inet6),
    ("ipv6_route", ipv6::ipv6_route),
    ("netstat", snmp::netstat),
    ("nf_conntrack", conntrack),
    ("raw", sockets::raw),
    ("route", route::route),
    ("snmp", snmp::snmp),
    ("snmp6", snmp6::snmp6),
    ("sockstat", sockstat::sockstat),
    ("sockstat6", sockstat::sockstat6),
    ("tcp", sockets::tcp),
    ("tcp6", sockets::tcp6),
    ("udp", sockets::udp),
    ("udp6", sockets::udp6),
];

/// `/proc` itself, sorted by name: the machine's files.
const MACHINE: &[(&str, Render)] = &[
    ("loadavg", machine::loadavg),
    ("meminfo", machine::meminfo),
    ("uptime", machine::uptime),
    ("version", machine::version),
];

/// Why a path cannot be read or listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProcError {
    /// `ENOENT`.
    NoSuchFile {
        /// The whole path.
        path: String,
        /// The existing path it was probably meant to be.
        near: Option<String>,
        /// What there is in the last directory of the path that exists.
        entries: Vec<String>,
    },
    /// `EISDIR`: the path to read is a directory.
    IsDirectory {
        /// The whole path.
        path: String,
        /// What is in it.
        entries: Vec<String>,
    },
    /// `ENOTDIR`: the path to list is a file.
    NotDirectory {
        /// The whole path.
        path: String,
    },
}

impl fmt::Display for ProcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcError::NoSuchFile { path, near: Some(near), .. } => {
                write!(f, "{path}: No such file or directory; did you mean {near}?")
            }
            ProcError::NoSuchFile { path, near: None, entries } => {
                write!(f, "{path}: No such file or directory; there is: {}", entries.join(" "))
            }
            ProcError::IsDirectory { path, entries } => {
                write!(f, "{path}: Is a directory; it contains: {}", entries.join(" "))
            }
            ProcError::NotDirectory { path } => write!(f, "{path}: Not a directory"),
        }
    }
}

impl std::error::Error for ProcError {}

/// What a path leads to.
enum Node {
    /// A directory with the names in it, sorted.
    Dir(Vec<String>),
    /// A file.
    File(String),
}

/// The text of a file, as a process in namespace `ns` reads it. A leading `/proc` may be left out.
///
/// # Errors
/// [`ProcError::NoSuchFile`] with a suggestion, [`ProcError::IsDirectory`] with what is in it.
pub fn read(kernel: &Kernel, ns: NsId, path: &str) -> Result<String, ProcError> {
    let parts = split(path);
    match node(kernel, ns, &parts) {
        Some(Node::File(text)) => Ok(text),
        Some(Node::Dir(entries)) => Err(ProcError::IsDirectory { path: join(&parts), entries }),
        None => Err(missing(kernel, ns, &parts)),
    }
}

/// The names in a directory, sorted.
///
/// # Errors
/// [`ProcError::NoSuchFile`] with a suggestion, [`ProcError::NotDirectory`] for a file.
pub fn list(kernel: &Kernel, ns: NsId, path: &str) -> Result<Vec<String>, ProcError> {
    let parts = split(path);
    match node(kernel, ns, &parts) {
        Some(Node::Dir(entries)) => Ok(entries),
        Some(Node::File(_)) => Err(ProcError::NotDirectory { path: join(&parts) }),
        None => Err(missing(kernel, ns, &parts)),
    }
}

/// The components of a path below `/proc`.
fn split(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.first() == Some(&"proc") {
        parts.remove(0);
    }
    parts
}

fn join(parts: &[&str]) -> String {
    parts.iter().fold(String::from("/proc"), |path, part| path + "/" + part)
}

fn node(kernel: &Kernel, ns: NsId, parts: &[&str]) -> Option<Node> {
    let names = |table: &[(&str, Render)], more: &[&str]| {
        let mut names: Vec<String> =
            table.iter().map(|(n, _)| *n).chain(more.iter().copied()).map(Into::into).collect();
        names.sort();
        Node::Dir(names)
    };
    let file = |table: &[(&str, Render)], name: &str| {
        table.iter().find(|(n, _)| *n == name).map(|(_, render)| Node::File(render(kernel, ns)))
    };
    match parts {
        [] => Some(names(MACHINE, &["net", "self", "sys"])),
        ["self"] => Some(Node::Dir(vec!["net".into()])),
        ["net"] | ["self", "net"] => Some(names(NET, &[])),
        ["net", name] | ["self", "net", name] => file(NET, name),
        ["sys", rest @ ..] => sysctl::node(kernel, ns, rest),
        [name] => file(MACHINE, name),
        _ => None,
    }
}

/// Finds the first component that does not exist, and what it may have been meant to be.
fn missing(kernel: &Kernel, ns: NsId, parts: &[&str]) -> ProcError {
    let path = join(parts);
    let known = (0..parts.len()).take_while(|n| node(kernel, ns, &parts[..=*n]).is_some()).count();
    let entries = match node(kernel, ns, &parts[..known]) {
        Some(Node::Dir(entries)) => entries,
        // The path goes on behind a file.
        _ => return ProcError::NoSuchFile { path, near: Some(join(&parts[..known])), entries: Vec::new() },
    };
    let wrong = parts.get(known).copied().unwrap_or_default();
    let distance = |name: &String| strsim::osa_distance(name, wrong);
    let near_enough = wrong.chars().count() / 3 + 1;
    let best = entries.iter().min_by_key(|name| distance(name)).filter(|name| distance(name) <= near_enough);
    let near = best.map(|name| join(&parts[..known]) + "/" + name);
    ProcError::NoSuchFile { path, near, entries }
}

/// `/proc/net/nf_conntrack` (`ct_seq_show`).
fn conntrack(kernel: &Kernel, ns: NsId) -> String {
    let now = kernel.core.now;
    let Some(netfilter) = &kernel.ns(ns).netfilter else { return String::new() };
    netfilter.entries(now).into_iter().map(|e| e.proc_line(now) + "\n").collect()
}

/// Whether a view replaces the machine's own files.
const fn is_own(view: ProcView) -> bool {
    view.mount && view.pid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        for table in [NET, MACHINE] {
            assert!(table.windows(2).all(|w| w[0].0 < w[1].0));
        }
    }

    #[test]
    fn a_path_may_leave_out_what_everybody_knows() {
        for path in ["/proc/net/tcp", "net/tcp", "/net//tcp/", "proc/./net/tcp"] {
            assert_eq!(split(path), ["net", "tcp"], "{path}");
        }
        assert_eq!(join(&[]), "/proc");
    }

    #[test]
    fn errors_say_what_there_is() {
        let path = String::from("/proc/net/x");
        let e = ProcError::NoSuchFile { path: path.clone(), near: None, entries: vec!["arp".into(), "dev".into()] };
        assert_eq!(e.to_string(), "/proc/net/x: No such file or directory; there is: arp dev");
        let e = ProcError::IsDirectory { path: path.clone(), entries: vec!["arp".into()] };
        assert_eq!(e.to_string(), "/proc/net/x: Is a directory; it contains: arp");
        assert_eq!(ProcError::NotDirectory { path }.to_string(), "/proc/net/x: Not a directory");
    }
}
