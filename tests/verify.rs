//! Every shipped scenario on the kernel underneath: no difference between the two worlds; and as a script: it is one for
//! bash, builds the network and removes it again.
//!
//! Where namespaces may not be made the tests say `skipped: …` and pass; so they do with `NETSIM_KERNEL=0`.

mod kernel;

use netsim::{
    live::{
        script::Script,
        translate::{Choices, translate},
        verify::{Comparison, Trouble, judge, simulate, verify},
    },
    scenario::{self, Scenario},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// The shipped scenarios by name.
fn scenarios() -> Vec<(String, Scenario)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(dir).expect("scenarios").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let load = |f: PathBuf| {
        let name = f.file_stem().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&f).expect("a scenario");
        (name, scenario::load(&text).expect("a good scenario"))
    };
    files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "ron")).map(load).collect()
}

/// A scenario compared; a difference counts if it comes three times: the machine may have been busy at the wrong moment.
fn compared(scenario: &Scenario) -> Result<Comparison, Trouble> {
    for _ in 0..2 {
        let comparison = verify(scenario)?;
        if comparison.differences.is_empty() {
            return Ok(comparison);
        }
    }
    verify(scenario)
}

#[test]
fn no_shipped_scenario_is_different_on_linux() {
    if let Err(e) = kernel::permitted() {
        println!("skipped: {e}");
        return;
    }
    let all = scenarios();
    // The storm would disturb the others.
    let (storms, calm): (Vec<_>, Vec<_>) = all.iter().partition(|(name, _)| name == "storm");
    let mut outcomes: Vec<(&str, Result<Comparison, Trouble>)> = thread::scope(|s| {
        let running: Vec<_> = calm.iter().map(|(name, sc)| (&**name, s.spawn(|| compared(sc)))).collect();
        running.into_iter().map(|(name, t)| (name, t.join().expect("a comparison"))).collect()
    });
    outcomes.extend(storms.iter().map(|(name, sc)| (&**name, compared(sc))));
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(c) => {
                let what = if c.differences.is_empty() { "same" } else { "DIFFERS" };
                println!("{what:8} {name}: {} packets at {} devices, {} steps", c.packets, c.devices, c.steps);
                c.notes.iter().for_each(|n| println!("         {n}"));
                c.differences.iter().take(5).for_each(|d| println!("         {d}"));
                failed.extend((!c.differences.is_empty()).then_some(name));
            }
            Err(Trouble::Skipped(why)) => println!("skipped  {name}: {why}"),
            Err(Trouble::Live(e)) => {
                println!("FAILED   {name}: {e}");
                failed.push(name);
            }
            Err(Trouble::Refused(found)) => panic!("{name}: {found:?}"),
        }
    }
    assert!(failed.is_empty(), "different on Linux: {failed:?}");
}

/// What netsim shows of a scenario, compared with itself and with a scenario that differs in one thing.
#[test]
fn a_comparison_finds_what_differs() {
    let lab = |count: u32, ttl: u8| {
        let text = format!(
            r#"(namespaces: {{ "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") }},
                links: ["a:eth0 -- b:eth0"],
                steps: [("0s", Ping(from: "a", to: "b", count: {count}, ttl: {ttl}, interval: "200ms"))])"#
        );
        let scenario = scenario::load(&text).expect("a good scenario");
        translate(&scenario, Choices::default()).unwrap_or_else(|_| panic!("Linux has all of that"))
    };
    let (windows, golden) = simulate(&lab(2, 64)).expect("a world");
    let differences = |count, ttl| {
        let (_, seen) = simulate(&lab(count, ttl)).expect("a world");
        judge(lab(2, 64), &windows, &golden, &seen).expect("a topology").differences
    };
    assert_eq!(differences(2, 64), []);
    let ttl = differences(2, 63);
    assert!(ttl[0].step.starts_with("at 0 s, a: ping -c 2"), "{:?}", ttl[0]);
    assert!(ttl.iter().any(|d| d.what.starts_with("packets.a:eth0: +out") && d.what.contains("ttl=63")), "{ttl:?}");
    let count = differences(1, 64);
    assert!(count.iter().any(|d| d.what.contains("Linux 2, netsim 1")), "{count:?}");
}

#[test]
fn every_shipped_scenario_can_be_built_by_its_script() {
    let permitted = kernel::permitted();
    if let Err(e) = &permitted {
        println!("scripts are read by bash, but not run: {e}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (name, scenario) in scenarios() {
        let choices = Choices { plain_bridges: true, ..Choices::default() };
        let t = translate(&scenario, choices).unwrap_or_else(|_| panic!("{name}: Linux has all of that"));
        let prefix = format!("ns{}{name}", std::process::id());
        let script = Script::of(&t, &prefix, &name).text().expect("a script");
        let file = dir.path().join(format!("{name}.sh"));
        fs::write(&file, script).expect("a file");
        let bash = |before: &[&str], after: &str| {
            let done = Command::new("bash").args(before).arg(&file).arg(after).env("LC_ALL", "C").output();
            let done = done.expect("bash");
            (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        assert_eq!(bash(&["-n"], "up"), (true, String::new()), "{name}: not a script for bash");
        if permitted.is_err() {
            continue;
        }
        let (built, said) = bash(&[], "up");
        let names = namespaces(&prefix);
        let (removed, _) = bash(&[], "down");
        assert!(built, "{name}: {said}");
        assert_eq!(names, t.case.nodes.0.len(), "{name}: {said}");
        assert!(removed && namespaces(&prefix) == 0, "{name}: something is left over");
    }
}

/// How many named namespaces begin so.
fn namespaces(prefix: &str) -> usize {
    let done = Command::new("ip").args(["netns", "list"]).output().expect("ip");
    String::from_utf8_lossy(&done.stdout).lines().filter(|l| l.starts_with(prefix)).count()
}
