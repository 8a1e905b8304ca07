//! Every scenario in `scenarios/`: it loads without an unwanted warning, what it expects comes true, and it runs the same every
//! time.

use netsim::{
    report::{
        run::RunReport,
        story::{Detail, render},
        text::Style,
    },
    scenario::{self, BuildOptions, RunOptions, Scenario},
};
use std::{fs, path::Path};

/// Names and texts, sorted by name.
fn scenarios() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut all: Vec<(String, String)> = fs::read_dir(directory)
        .expect("the package has scenarios")
        .map(|entry| entry.expect("an entry of the directory").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ron"))
        .map(|path| {
            let name = path.file_stem().and_then(|n| n.to_str()).expect("names are UTF-8").to_owned();
            (name, fs::read_to_string(&path).expect("scenarios are UTF-8"))
        })
        .collect();
    all.sort();
    all
}

fn load(name: &str, source: &str) -> Scenario {
    match scenario::inspect(source.as_bytes()) {
        // One lab is about MAC addresses that are used twice; the loader warns of them.
        (Some(scenario), found) if found.iter().all(|d| name == "mac_collision" && d.code == "mac-twice") => scenario,
        (_, found) => panic!("{name}: {found:?}"),
    }
}

fn run(name: &str, source: &str) -> RunReport {
    let options = RunOptions { name: name.into(), ..RunOptions::default() };
    scenario::run(&load(name, source), options).unwrap_or_else(|found| panic!("{name}: {found:?}"))
}

#[test]
fn every_scenario_does_what_it_expects() {
    let all = scenarios();
    assert!(all.len() >= 10);
    for (name, source) in all {
        let report = run(&name, &source);
        let story = render(&report, Detail::Quiet, Style::PLAIN);
        assert!(report.passed, "{name}:\n{story}");
        assert!(!report.document.expectations.is_empty(), "{name} expects nothing");
        assert!(source.starts_with("//"), "{name} begins with a comment that teaches");
        assert!(report.title.is_some() && report.about.is_some(), "{name} has a title and says what to look for");
    }
}

/// The same digests in debug and release, on every platform: both compare with one file.
#[test]
fn digests_are_the_same_everywhere() {
    let mut table = String::new();
    for (name, source) in scenarios() {
        let (first, second) = (run(&name, &source), run(&name, &source));
        assert_eq!(first.document.digest, second.document.digest, "{name} runs differently the second time");
        assert_eq!(first.to_json(), second.to_json(), "{name} is reported differently the second time");
        table.push_str(&format!("{name:<16} {}\n", first.document.digest.expect("runs have a digest")));
    }
    insta::assert_snapshot!("digests", table);
}

/// What a student reads: the six steps of the journey out, the answer translated back, tables, drops, verdicts.
#[test]
fn the_story_of_nat() {
    let source = scenarios().into_iter().find(|(name, _)| name == "nat").expect("scenarios/nat.ron").1;
    let report = run("nat", &source);
    let topics: Vec<&str> =
        report.steps[0].journey.iter().flat_map(|j| &j.legs[0].stages).map(|s| s.topic.word()).collect();
    let steps = ["route", "neighbour", "veth", "bridge", "router", "NAT", "conntrack"];
    assert_eq!(topics[..steps.len()], steps, "{topics:?}");
    let back = &report.steps[0].journey.as_ref().expect("a ping has a journey").legs[1];
    assert!(back.answer && back.stages.iter().any(|s| s.text.contains("destination 203.0.113.2 → 10.10.0.2")));
    insta::assert_snapshot!("nat", render(&report, Detail::Normal, Style::PLAIN));
}

#[test]
fn another_seed_is_another_run_of_the_same_story() {
    let source = scenarios().into_iter().find(|(name, _)| name == "lossy_link").expect("scenarios/lossy_link.ron").1;
    let scenario = load("lossy_link", &source);
    let digest = |seed| {
        let options = RunOptions { seed, ..RunOptions::default() };
        scenario::run(&scenario, options).expect("it was built before").document.digest
    };
    assert_ne!(digest(Some(1)), digest(Some(2)));
    assert_eq!(digest(None), digest(Some(42)), "42 is the seed in the file");
}

/// The same world looked at half way, as `netsim proc --at` does.
#[test]
fn a_world_can_be_looked_at_in_between() {
    use netsim::{base::SEC, procfs, sim::Limits};
    let source = scenarios().into_iter().find(|(name, _)| name == "nat").expect("scenarios/nat.ron").1;
    let mut built = scenario::build(&load("nat", &source), &BuildOptions::default()).expect("nat builds");
    let host = built.world.find_ns("host").expect("nat has a host");
    let lines = |built: &scenario::Built| {
        procfs::read(&built.world, host, "/proc/net/nf_conntrack").expect("the file exists").lines().count()
    };
    assert_eq!(lines(&built), 0);
    built.world.run(&Limits { until: Some(SEC), ..Limits::default() });
    assert_eq!(lines(&built), 1, "the ping of a");
}

/// Frames and events are bounded whatever a scenario says, and the sentence says what happened.
#[test]
fn a_limit_nobody_expected_fails_the_run() {
    let source = scenarios().into_iter().find(|(name, _)| name == "storm").expect("scenarios/storm.ron").1;
    let mut scenario = load("storm", &source);
    scenario.expect.clear();
    let report = scenario::run(&scenario, RunOptions::default()).expect("it was built before");
    assert!(!report.passed);
    let trouble = report.trouble.as_deref().expect("it says why");
    assert!(trouble.contains("20000 frames") && trouble.contains("broadcast storm"), "{trouble}");
    assert!(render(&report, Detail::Quiet, Style::PLAIN).contains("✗ the run ends by itself"));
}

/// What the comment in the file promises.
#[test]
fn spanning_tree_cures_the_storm() {
    let source = scenarios().into_iter().find(|(name, _)| name == "storm").expect("scenarios/storm.ron").1;
    let source = source
        .replace(r#"["host", "left", "right"])"#, r#"["host", "left", "right"], stp: true)"#)
        .replace(r#"["left", "right"])"#, r#"["left", "right"], stp: true)"#)
        .replace(r#"("0s", Ping"#, r#"("35s", Ping"#)
        .replace("Ended(Limit(Frames))", r#"Pinged(from: "a", to: "b", received: 1)"#);
    let report = run("storm", &source);
    assert!(report.passed, "{:?}", report.document.expectations);
    assert_eq!((report.document.end.reason, report.document.end.time_ns), ("until", 95_000_000_000));
}

#[test]
fn a_long_run_tells_how_far_it_has_got() {
    let source = r#"(
        namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24", run: [UdpSink(port: 9)]) },
        links: ["a:eth0 -- b:eth0"],
        until: "1min",
        steps: [("0s", UdpSend(from: "a", to: "b:9", count: 100000, interval: "100us", wait: "0s"))],
        expect: [UdpReceived(at: "b", port: 9, count: 100000), Ended(Quiescent)],
    )"#;
    let mut seen = Vec::new();
    let progress = Box::new(|p| seen.push(p));
    let options = RunOptions { progress: Some(progress), verbose: true, ..RunOptions::default() };
    let report = scenario::run(&load("flood", source), options).expect("it builds");
    assert!(report.passed, "{:?}", report.document.expectations);
    assert!(seen.len() >= 2, "{seen:?}");
    assert!(seen.windows(2).all(|w| w[0].time <= w[1].time && w[0].events < w[1].events && w[0].frames < w[1].frames));
    let frames = report.frames.expect("lines were asked for");
    assert!(frames.lines().last().is_some_and(|l| l.contains("more frames")), "lines are bounded");
}
