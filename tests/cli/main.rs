//! The built command from outside: arguments, files, streams, exit status.

mod commands;
mod files;
mod wrong;

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A scenario with something of everything the command shows: an answer, a loss, an expectation.
const LAB: &str = r#"(
    title: "A lab",
    about: "It is small. It is lossy.",
    namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
    links: [(ends: "a:eth0 -- b:eth0", delay: "5ms", loss: "30%")],
    steps: [("0s", Ping(from: "a", to: "b", count: 20, interval: "100ms"))],
    expect: [Pinged(from: "a", to: "b", received: "1..19"), Dropped(reason: "NETSIM_LINK_LOSS")],
)"#;

/// The same with an expectation that does not hold.
fn failing() -> String {
    LAB.replace("expect: [", "expect: [Pinged(from: \"a\", to: \"b\", received: 20), ")
}

/// What a run of the command left.
struct Done {
    status: i32,
    out: String,
    err: String,
}

impl Done {
    fn of(output: &Output) -> Done {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("netsim prints UTF-8");
        let status = output.status.code().expect("ended by itself");
        let done = Done { status, out: text(&output.stdout), err: text(&output.stderr) };
        assert!(!done.err.contains("panicked"), "{}", done.err);
        done
    }

    #[track_caller]
    fn expect(self, status: i32) -> Done {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// A refusal: status 2, nothing on standard output, all parts in the message.
    #[track_caller]
    fn refused(self, parts: &[&str]) {
        let done = self.expect(2);
        assert_eq!(done.out, "", "nothing is printed");
        for part in parts {
            assert!(done.err.contains(part), "{part:?} is missing in\n{}", done.err);
        }
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netsim"));
    command.env_remove("NO_COLOR").env_remove("TERM").stdin(Stdio::null());
    command
}

fn netsim<S: AsRef<OsStr>>(arguments: &[S]) -> Done {
    Done::of(&command().args(arguments).output().expect("the command starts"))
}

fn netsim_in<S: AsRef<OsStr>>(dir: &Path, arguments: &[S]) -> Done {
    Done::of(&command().current_dir(dir).args(arguments).output().expect("the command starts"))
}

fn netsim_fed(input: &str, arguments: &[&str]) -> Done {
    let mut command = command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("netsim reads its input");
    Done::of(&child.wait_with_output().expect("the command ends"))
}

/// A directory with `lab.ron` in it.
fn lab() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("lab.ron");
    std::fs::write(&file, LAB).expect("a file");
    (dir, file)
}

/// The scenarios that come with netsim.
fn scenarios() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = std::fs::read_dir(dir).expect("the scenarios").map(|e| e.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension() == Some(OsStr::new("ron"))).collect();
    files.sort();
    files
}
