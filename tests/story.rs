//! The story as text, from reports made by hand: what is shown, what is cut, and what is quiet.

use netsim::report::{
    json::{App, Collision, Drop, Expectation},
    run::{Misdelivery, RunReport, StepKind, StepReport, TableChange},
    story::{Detail, Journey, Leg, Stage, Topic, render},
    text::Style,
};

fn tell(report: &RunReport) -> String {
    render(report, Detail::Normal, Style::PLAIN)
}

fn lines(n: usize) -> Vec<String> {
    (1..=n).map(|i| format!("line {i}")).collect()
}

fn with_step(step: StepReport) -> RunReport {
    RunReport { steps: vec![step], ..RunReport::default() }
}

#[test]
fn a_journey_is_numbered_through() {
    let stage = |topic, text: &str| Stage { time: 0, ns: "a".into(), topic, text: text.into() };
    let there = vec![stage(Topic::Route, "a: on the link"), stage(Topic::Veth, "a:eth0 ═══ b:eth0")];
    let back = vec![stage(Topic::Drop, "b drops it: no")];
    let journey = Journey {
        legs: vec![
            Leg { packet: "IP 1>2".into(), answer: false, stages: there, left_out: 3 },
            Leg { packet: "IP 2>1".into(), answer: true, stages: back, left_out: 0 },
        ],
    };
    let step = StepReport {
        at_ns: 1_500_000_000,
        ns: Some("a".into()),
        command: "ping b".into(),
        output: vec!["PING".into()],
        exit: Some(1),
        journey: Some(journey),
        ..StepReport::default()
    };
    assert_eq!(
        tell(&with_step(step)),
        "\n1.5s  a$ ping b\n  \
         The way of its first packet: IP 1>2\n   \
         1  route      a: on the link\n   \
         2  veth       a:eth0 ═══ b:eth0\n      \
         … and 3 more steps like these\n  \
         The way of the answer: IP 2>1\n   \
         3  drop       b drops it: no\n\n  \
         PING\n  (exit status 1)\n\n\
         Ended at 0s: .\nFrames: 0 created = 0 delivered + 0 dropped + 0 in flight\n"
    );
}

#[test]
fn steps_of_every_kind() {
    let step = |kind, ns: Option<&str>, exit| StepReport {
        kind,
        ns: ns.map(Into::into),
        command: "this".into(),
        exit,
        ..StepReport::default()
    };
    assert!(tell(&with_step(step(StepKind::Note, None, Some(0)))).starts_with("\n0s  this\n"));
    assert!(tell(&with_step(step(StepKind::Cable, None, Some(0)))).starts_with("\n0s  this\n\nEnded"));
    assert!(tell(&with_step(step(StepKind::Command, Some("a"), None))).contains("the run ended before that"));
    assert!(tell(&with_step(step(StepKind::Command, Some("a"), Some(2)))).starts_with("\n0s  a$ this\n\nEnded"));
    assert!(tell(&with_step(step(StepKind::Program, Some("a"), None))).contains("still running at the end"));
}

#[test]
fn long_texts_are_cut_in_the_middle() {
    let text = tell(&with_step(StepReport { output: lines(100), exit: Some(0), ..StepReport::default() }));
    assert!(text.contains("line 20\n  … 60 lines …\n  line 81\n"), "{text}");
    let text = tell(&with_step(StepReport { output: lines(40), exit: Some(0), ..StepReport::default() }));
    assert!(text.contains("line 20\n  line 21\n"), "{text}");
    let change = |added| TableChange { ns: "a".into(), table: "routes", added, removed: vec!["old   route".into()] };
    let text = tell(&RunReport { changes: vec![change(lines(20))], ..RunReport::default() });
    assert!(text.contains("  a routes\n    - old route\n    + line 1\n"), "{text}");
    assert!(text.contains("    + line 11\n    … and 9 more\n"), "{text}");
    let many = RunReport { changes: (0..30).map(|_| change(lines(1))).collect(), ..RunReport::default() };
    assert!(tell(&many).contains("… and 6 more tables"));
}

#[test]
fn what_went_wrong_is_named() {
    let mut report = RunReport {
        misdeliveries: vec![Misdelivery {
            from: "h3".into(),
            meant: "h1".into(),
            at: "h2".into(),
            mac: "02:aa:00:00:00:01".into(),
            count: 2,
            first_ns: 1_000_000,
            packet: "IP 3>1".into(),
            fate: "dropped it: X".into(),
        }],
        trouble: Some("the limit of 5 frames was reached".into()),
        ..RunReport::default()
    };
    let drop =
        |code, count| Drop { code, sentence: "a reason", at: "a:eth0".into(), count, first_ns: 0, example: None };
    report.document.drops = vec![drop("NO_SOCKET", 3), drop("NETSIM_ARP_IGNORED", 7)];
    report.document.collisions = vec![Collision {
        bridge: Some("sw:br0".into()),
        mac: "02:aa:00:00:00:01".into(),
        namespaces: ["n1".into(), "n2".into()],
        count: 1,
        first_ns: 0,
    }];
    report.document.expectations =
        vec![Expectation { text: "a reaches b".into(), holds: false, why: "a has no route".into() }];
    report.document.digest = Some("00ff".into());
    let text = tell(&report);
    for part in [
        "2 packets from h3 meant for h1 came in at h2, because both use the MAC address 02:aa:00:00:00:01.\n    \
         first at 1ms: IP 3>1\n    h2 dropped it: X\n",
        "02:aa:00:00:00:01 is used by n1 and by n2. sw:br0 noticed and keeps them apart.",
        "       3  a:eth0  a reason  NO_SOCKET\n  (ARP questions for somebody else, ignored: 7)\n",
        "  ✗ a reaches b\n    a has no route\n  ✗ the run ends by itself\n    the limit of 5 frames was reached\n",
        "\nDigest: 00ff (seed 0)\n",
    ] {
        assert!(text.contains(part), "{part}\n--- is not in\n{text}");
    }
    let quiet = render(&report, Detail::Quiet, Style::PLAIN);
    assert!(quiet.starts_with("What was expected\n") && quiet.ends_with("\n\nDigest: 00ff (seed 0)\n"), "{quiet}");
    assert!(!quiet.contains("h3"));
}

#[test]
fn servers_are_told_apart_from_steps() {
    let app = |command: &str, started_ns| App {
        ns: "web".into(),
        command: command.into(),
        started_ns,
        exit: None,
        outcome: serde_json::Value::Null,
        output: vec!["GET /".into()],
    };
    let mut report =
        with_step(StepReport { command: "ping x".into(), at_ns: 5, exit: Some(0), ..StepReport::default() });
    report.document.apps = vec![app("http-server", 0), app("ping x", 5)];
    let text = tell(&report);
    assert!(text.contains("What the servers say\n  web$ http-server\n    GET /\n"), "{text}");
    assert_eq!(text.matches("GET /").count(), 1, "the output of a step is told with the step");
}

#[test]
fn paragraphs_and_frames() {
    let about = "one\n   line.\n\n  Two.\n";
    let report = RunReport {
        title: Some("T".into()),
        about: Some(about.into()),
        topology: vec!["a:eth0 ═══ b:eth0".into()],
        frames: Some("0s out a:eth0\n".into()),
        ..RunReport::default()
    };
    assert!(tell(&report).starts_with("T\none line.\nTwo.\n\nThe network\n  a:eth0 ═══ b:eth0\n"));
    assert!(!tell(&report).contains("0s out"), "frames are for those who ask");
    let verbose = render(&report, Detail::Verbose, Style::COLOUR);
    assert!(verbose.contains("0s out a:eth0") && verbose.contains("\x1b[1m"));
}
