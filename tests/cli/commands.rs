//! What each command does when all is well.

use super::{LAB, command, failing, lab, netsim, netsim_fed, netsim_in, scenarios};
use std::{io::Read, process::Stdio};

const COMMANDS: [&str; 7] = ["run", "check", "graph", "proc", "new", "list", "completions"];

#[test]
fn help_teaches() {
    let help = netsim(&["--help"]).expect(0).out;
    for part in ["First steps:", "Exit status:", "docs/scenario.md"].iter().chain(&COMMANDS) {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert!(netsim(&["--version"]).expect(0).out.starts_with("netsim 0."));
    let nothing = netsim::<&str>(&[]).expect(2);
    assert!(nothing.err.contains("First steps:"));
}

/// The reference names every command and every option, and no others.
#[test]
fn the_reference_is_complete() {
    let reference = include_str!("../../docs/cli.md");
    for name in COMMANDS {
        let section = reference.split("\n## ").find(|s| s.starts_with(&format!("{name}\n")));
        let section = section.unwrap_or_else(|| panic!("docs/cli.md has no section {name}"));
        let help = netsim(&[name, "--help"]).expect(0).out;
        let words = |text: &str| -> Vec<String> {
            let breaks = |c: char| !(c.is_alphanumeric() || c == '-');
            text.split(breaks)
                .filter(|w| w.starts_with("--") && w.contains(char::is_alphabetic))
                .map(str::to_owned)
                .collect()
        };
        for option in words(&help).iter().filter(|o| !matches!(o.as_str(), "--help" | "--color")) {
            assert!(section.contains(option.as_str()), "docs/cli.md does not tell of {name} {option}");
        }
        for option in &words(section) {
            assert!(help.contains(option.as_str()), "docs/cli.md tells of {name} {option}, which does not exist");
        }
    }
}

#[test]
fn every_scenario_is_good() {
    let files = scenarios();
    let arguments: Vec<_> = std::iter::once("check".into()).chain(files.clone()).collect();
    let done = netsim(&arguments).expect(0);
    assert_eq!(done.out.lines().count(), files.len());
    // Two hosts with one MAC address are what that scenario is about.
    let warned: Vec<&str> = done.err.lines().filter(|l| l.ends_with(" warnings") || l.ends_with(" warning")).collect();
    assert!(matches!(warned[..], [w] if w.contains("mac_collision.ron")), "{}", done.err);
}

#[test]
fn every_scenario_is_listed() {
    let done = netsim_in(env!("CARGO_MANIFEST_DIR").as_ref(), &["list"]).expect(0);
    for file in scenarios() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(done.out.contains(&format!("scenarios/{name}  ")), "{}", done.out);
    }
    assert!(!done.out.contains("no title") && !done.out.contains("mistakes"), "{}", done.out);
}

#[test]
fn a_run_is_told_counted_and_judged() {
    let (_dir, file) = lab();
    let told = netsim(&["run".as_ref(), file.as_os_str()]).expect(0).out;
    for part in ["A lab\n", "a:eth0", "ping -c 20", "ping statistics", "NETSIM_LINK_LOSS", "✓", "Digest: "] {
        assert!(told.contains(part), "{part:?} is missing in\n{told}");
    }
    let quiet = netsim(&["run".as_ref(), "-q".as_ref(), file.as_os_str()]).expect(0).out;
    assert!(quiet.lines().count() < 12 && quiet.contains("✓") && quiet.contains("Digest: "), "{quiet}");
    let verbose = netsim(&["run".as_ref(), "-v".as_ref(), file.as_os_str()]).expect(0).out;
    assert!(verbose.lines().count() > told.lines().count() + 40, "every frame is told");
}

/// What the README shows is what is printed: its lines come in the same order, and `...` stands for what is left out.
#[test]
fn the_readme_shows_what_happens() {
    let readme = include_str!("../../README.md");
    let demo = readme.split("```text\n").nth(1).and_then(|d| d.split("```").next()).expect("a demo");
    let told = netsim_in(env!("CARGO_MANIFEST_DIR").as_ref(), &["run", "scenarios/nat.ron"]).expect(0).out;
    let mut lines = told.lines();
    for shown in demo.lines().filter(|l| *l != "...") {
        assert!(lines.any(|l| l == shown), "README.md shows a line that is not printed there:\n{shown}");
    }
}

#[test]
fn an_expectation_that_fails_is_status_1() {
    let done = netsim_fed(&failing(), &["run", "-"]).expect(1);
    assert!(done.out.contains('✗'), "{}", done.out);
    netsim_fed(&failing(), &["run", "-", "-q"]).expect(1);
    let json = netsim_fed(&failing(), &["run", "-", "--json"]).expect(1).out;
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["passed"], false);
    assert_eq!(report["expectations"][0]["holds"], false);
}

#[test]
fn a_report_for_programs() {
    let (_dir, file) = lab();
    let json = netsim(&["run".as_ref(), file.as_os_str(), "--json".as_ref()]).expect(0).out;
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&report["scenario"], &report["passed"]), (&"lab".into(), &true.into()));
    let frames = |what: &str| report["frames"][what].as_u64().expect("a number");
    assert_eq!(frames("created"), frames("delivered") + frames("dropped") + frames("in_flight"));
    assert_eq!(report["digest"].as_str().map(str::len), Some(16));
}

/// The digest of a run with more arguments.
fn digest(more: &[&str]) -> String {
    let json = netsim_fed(LAB, &[&["run", "-", "--json"], more].concat()).out;
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    report["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn the_seed_and_the_end_decide_the_digest_and_nothing_else_does() {
    assert_eq!(digest(&[]), digest(&[]));
    assert_eq!(digest(&["--seed", "1"]), digest(&[]), "1 is what a scenario has without a seed");
    assert_ne!(digest(&["--seed", "2"]), digest(&[]));
    assert_ne!(digest(&["--until", "300ms"]), digest(&[]));
    assert_eq!(digest(&["--until", "300ms"]), digest(&["--until", "0.3s"]));
    let checked = netsim_fed(LAB, &["run", "-", "-q", "--check"]).expect(0).out;
    assert!(checked.contains("a second run has the same digest"), "{checked}");
}

#[test]
fn proc_shows_what_the_namespace_sees_at_that_time() {
    let (_dir, file) = lab();
    let proc = |more: &[&str]| {
        let mut arguments = vec!["proc".as_ref(), file.as_os_str()];
        arguments.extend(more.iter().map(std::ffi::OsStr::new));
        netsim(&arguments)
    };
    let late = proc(&["a", "net/arp"]).expect(0).out;
    assert!(late.starts_with("IP address") && late.contains("10.0.0.2"), "{late}");
    assert_eq!(late, proc(&["a", "/proc/net/arp"]).out, "a leading /proc may be left out");
    let early = proc(&["a", "net/arp", "--at", "1ms"]).expect(0).out;
    assert_ne!(early, late);
    let listed = proc(&["a", "net"]).expect(0).out;
    assert!(listed.lines().any(|l| l == "snmp"), "{listed}");
    proc(&["c", "net/arp"]).refused(&["there is no namespace `c`", "`a` and `b`"]);
    proc(&["a", "net/apr"]).refused(&["No such file", "/proc/net/arp"]);
    proc(&["a", "net/arp", "--at", "5"]).refused(&["--at", "has no unit"]);
}

#[test]
fn a_graph_in_every_format() {
    let (dir, file) = lab();
    let starts = [("terminal", ""), ("mermaid", "flowchart"), ("dot", "graph"), ("svg", "<svg")];
    for (format, start) in starts {
        let done = netsim(&["graph".as_ref(), file.as_os_str(), "--format".as_ref(), format.as_ref()]).expect(0);
        assert!(done.out.contains("10.0.0.1") && done.out.contains(start), "{format}:\n{}", done.out);
        let target = dir.path().join(format);
        let arguments = ["graph", "lab.ron", "--format", format, "-o", format];
        netsim_in(dir.path(), &arguments).expect(0);
        assert_eq!(std::fs::read_to_string(target).unwrap(), done.out, "{format}");
    }
    netsim_in(dir.path(), &["graph", "lab.ron", "-o", "no/dir"]).refused(&["cannot write `no/dir`", "hint:"]);
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = netsim(&["completions", shell]).expect(0).out;
        for name in COMMANDS {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

#[test]
fn every_template_passes() {
    let dir = tempfile::tempdir().unwrap();
    for template in ["hosts", "bridge", "router", "nat", "firewall"] {
        netsim_in(dir.path(), &["new", template, "--template", template]).expect(0);
        let file = format!("{template}.ron");
        netsim_in(dir.path(), &["check", &file]).expect(0);
        netsim_in(dir.path(), &["run", "-q", &file]).expect(0);
        netsim_in(dir.path(), &["new", &file]).refused(&["exists already", "hint:"]);
        let printed = netsim(&["new", "-t", template]).expect(0).out;
        assert_eq!(printed, std::fs::read_to_string(dir.path().join(file)).unwrap(), "left as it was");
    }
    netsim_in(dir.path(), &["new", "no/lab.ron"]).refused(&["cannot write `no/lab.ron`"]);
}

#[test]
fn presets_can_be_seen_expanded() {
    let plain = netsim_fed(LAB, &["check", "-", "--expand"]).expect(0).out;
    assert!(!plain.contains("Host(") && plain.contains("addr: [\"10.0.0.1/24\"]"), "{plain}");
    netsim_fed(&plain, &["run", "-", "-q"]).expect(0);
}

#[test]
fn colour_is_for_those_who_want_it() {
    let (_dir, file) = lab();
    let colour = |color: &str| {
        let arguments = ["run".as_ref(), file.as_os_str(), "--color".as_ref(), color.as_ref()];
        netsim(&arguments).expect(0).out.contains('\u{1b}')
    };
    assert_eq!([colour("auto"), colour("never"), colour("always")], [false, false, true]);
    let wrong = netsim(&["check", "no.ron", "--color", "always"]).expect(2).err;
    assert!(wrong.contains('\u{1b}'), "{wrong}");
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let (_dir, file) = lab();
    let mut run = command();
    run.args(["run".as_ref(), "-v".as_ref(), file.as_os_str()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn a_scenario_becomes_a_script_for_linux() {
    let done = netsim_fed(LAB, &["export", "-", "--to", "linux"]).expect(0);
    assert!(done.out.starts_with("#!/usr/bin/env bash\n# A lab\n"), "{}", done.out);
    for line in [
        "NAMESPACES=(scenario-a scenario-b)",
        "    ip -n scenario-a addr add 10.0.0.1/24 dev eth0 broadcast +",
        "    impair scenario-a qdisc add dev eth0 root netem delay 5ms loss 30%",
        "#   at   0 s  ip netns exec scenario-a ping -c 20 -i 0.1 -W 10 10.0.0.2",
    ] {
        assert!(done.out.lines().any(|l| l == line), "{line:?} is missing in\n{}", done.out);
    }
    let unplugged = LAB.replace("loss: \"30%\"", "up: false");
    netsim_fed(&unplugged, &["export", "-", "--to", "linux"])
        .refused(&["cannot be written for Linux", "not plugged in"]);
    netsim_fed(&unplugged, &["export", "-"]).refused(&["--to <SYSTEM>"]);
}
