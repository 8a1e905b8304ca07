//! Files that are written: complete or not at all, and refused before the run if they cannot be.

use super::{LAB, lab, netsim, netsim_in};
use std::{ffi::OsStr, fs, path::Path};

const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

fn run(dir: &Path, pcap: &str) -> super::Done {
    netsim_in(dir, &["run", "lab.ron", "-q", "--pcap", pcap])
}

#[test]
fn a_capture_is_written_and_replaces_what_was_there() {
    let (dir, _) = lab();
    let capture = dir.path().join("lab.pcapng");
    let done = run(dir.path(), "lab.pcapng").expect(0);
    assert!(done.err.contains("Wrote lab.pcapng: ") && done.err.contains("at 2 devices"), "{}", done.err);
    let first = fs::read(&capture).unwrap();
    assert!(first.starts_with(&PCAPNG) && first.len() > 1000);
    fs::write(&capture, "old").unwrap();
    run(dir.path(), "./lab.pcapng").expect(0);
    assert_eq!(fs::read(&capture).unwrap(), first, "equal runs give equal files");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn what_cannot_be_written_is_refused_before_the_run() {
    let (dir, file) = lab();
    run(dir.path(), "no/lab.pcapng").refused(&["cannot write `no/lab.pcapng`", "no such file", "hint:"]);
    run(dir.path(), ".").refused(&["it is a directory"]);
    run(dir.path(), "lab.ron").refused(&["is the scenario itself", "hint:"]);
    assert_eq!(fs::read_to_string(file).unwrap(), LAB);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_wrong_scenario_leaves_a_capture_alone() {
    let (dir, file) = lab();
    fs::write(dir.path().join("old.pcapng"), "old").unwrap();
    fs::write(file, "(").unwrap();
    run(dir.path(), "old.pcapng").expect(2);
    assert_eq!(fs::read(dir.path().join("old.pcapng")).unwrap(), b"old");
}

#[test]
fn a_scenario_can_ask_for_a_capture() {
    let (dir, file) = lab();
    fs::write(&file, LAB.replace("title:", "save: [Pcapng(\"saved.pcapng\")], title:")).unwrap();
    netsim_in(dir.path(), &["run", "lab.ron", "-q", "--check"]).expect(0);
    assert!(fs::read(dir.path().join("saved.pcapng")).unwrap().starts_with(&PCAPNG));
}

/// Devices are written to, not replaced; a full one is told of.
#[cfg(target_os = "linux")]
#[test]
fn devices() {
    let (dir, file) = lab();
    run(dir.path(), "/dev/null").expect(0);
    run(dir.path(), "/dev/full").expect(2);
    assert!(Path::new("/dev/null").exists());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = super::command().args([OsStr::new("run"), file.as_os_str()]).stdout(full).output().unwrap();
    super::Done::of(&output).refused(&["cannot write to standard output"]);
}

#[test]
fn a_missing_file_is_answered_with_the_nearest() {
    let (dir, _) = lab();
    netsim_in(dir.path(), &["run", "lba.ron"]).refused(&["there is no file `lba.ron`", "did you mean `lab.ron`?"]);
    netsim_in(dir.path(), &["run", "lab"]).refused(&["did you mean `lab.ron`?"]);
    netsim_in(dir.path(), &["run", "storm.ron"]).refused(&["`netsim list`"]);
    netsim_in(dir.path(), &["run", "."]).refused(&["is a directory", "`./lab.ron`"]);
    netsim_in(dir.path(), &["list", "nowhere"]).refused(&["there is no directory `nowhere`", "hint:"]);
    fs::create_dir(dir.path().join("scenarios")).unwrap();
    netsim_in(dir.path(), &["list"]).refused(&["there is no scenario", "netsim new"]);
    fs::write(dir.path().join("scenarios/storm.ron"), LAB).unwrap();
    netsim_in(dir.path(), &["run", "strom"]).refused(&["did you mean `scenarios/storm.ron`?"]);
    let empty = tempfile::tempdir().unwrap();
    netsim_in(empty.path(), &["run", "lab.ron"]).refused(&["netsim new lab.ron"]);
}

#[test]
fn wrong_arguments() {
    netsim(&["rum"]).refused(&["unrecognized subcommand 'rum'", "'run'"]);
    netsim(&["run"]).refused(&["<FILE>"]);
    netsim(&["run", "x.ron", "-q", "-v"]).refused(&["cannot be used with"]);
    netsim(&["run", "x.ron", "--until", "10"]).refused(&["`10` has no unit"]);
    netsim(&["run", "x.ron", "--seed", "-1"]).expect(2);
    netsim(&["graph", "x.ron", "--format", "jpeg"]).refused(&["terminal", "mermaid", "dot", "svg"]);
}
