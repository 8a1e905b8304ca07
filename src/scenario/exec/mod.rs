//! The commands an `Exec` step understands: a small part of iproute2 and `sysctl`, with their words and their messages.

mod addr;
mod error;
mod link;
mod neigh;
mod route;
mod rule;
mod sysctl;
mod words;

pub use error::ExecError;
pub(super) use neigh::lines as neigh_lines;
pub(super) use route::lines as route_lines;

use crate::{base::NsId, kernel::Kernel};
use words::Words;

/// What a command printed, and its exit status.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// The lines, of standard output or standard error.
    pub lines: Vec<String>,
    /// 0 if it worked.
    pub status: i32,
}

/// What a command group makes of the words after its name: lines to print, or an error.
type Outcome = Result<Vec<String>, ExecError>;

/// What carries out a command group.
type Runner = fn(&mut Kernel, NsId, &mut Words<'_>) -> Outcome;

/// A command group: its name, how far that may be shortened, and what carries it out.
struct Group {
    name: &'static str,
    least: usize,
    run: Runner,
}

/// The objects of `ip`.
const GROUPS: &[Group] = &[
    Group { name: "address", least: 1, run: addr::run },
    Group { name: "link", least: 1, run: link::run },
    Group { name: "neighbour", least: 1, run: neigh::run },
    Group { name: "neighbor", least: 1, run: neigh::run },
    Group { name: "route", least: 1, run: route::run },
    Group { name: "rule", least: 2, run: rule::run },
];

/// Runs a command line in a namespace.
///
/// ```
/// use netsim::{kernel::Kernel, scenario::exec};
/// let mut k = Kernel::new(1);
/// let a = k.add_namespace("a").unwrap();
/// let done = exec::command(&mut k, a, "sysctl -w net.ipv4.ip_forward=1");
/// assert_eq!((done.lines, done.status), (vec!["net.ipv4.ip_forward = 1".to_string()], 0));
/// let done = exec::command(&mut k, a, "ip route add 192.0.2.0/24 via 10.0.0.1");
/// assert_eq!((done.lines, done.status), (vec!["Error: Nexthop has invalid gateway.".to_string()], 2));
/// ```
pub fn command(kernel: &mut Kernel, ns: NsId, line: &str) -> Output {
    let mut words = Words::new(line);
    let outcome = match words.next() {
        Some("ip") => ip(kernel, ns, &mut words),
        Some("sysctl") => sysctl::run(kernel, ns, &mut words),
        Some(other) => Err(ExecError::not_found(other)),
        None => Ok(Vec::new()),
    };
    match outcome {
        Ok(lines) => Output { lines, status: 0 },
        Err(e) => Output { lines: vec![e.to_string()], status: e.status() },
    }
}

/// Adds an object from the words of `ip OBJECT add`.
///
/// # Errors
/// As the command would print.
pub(super) fn add(kernel: &mut Kernel, ns: NsId, object: &str, words: &str) -> Result<(), ExecError> {
    let line = format!("add {words}");
    group(object)?(kernel, ns, &mut Words::new(&line)).map(|_| ())
}

fn ip(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    // Options in front of the object choose a family or a form of output; the words decide the family here.
    while words.peek().is_some_and(|w| w.starts_with('-')) {
        words.next();
    }
    let object =
        words.next().ok_or_else(|| ExecError::usage("ip { address | link | neighbour | route | rule } ..."))?;
    group(object)?(kernel, ns, words)
}

fn group(object: &str) -> Result<Runner, ExecError> {
    let found = GROUPS.iter().find(|g| object.len() >= g.least && g.name.starts_with(object));
    found.map(|g| g.run).ok_or_else(|| ExecError::Words(format!("Object \"{object}\" is unknown, try \"ip help\".")))
}

/// Whether a word is a verb, which iproute2 lets people shorten.
fn is(word: &str, verb: &str) -> bool {
    !word.is_empty() && verb.starts_with(word)
}
