//! Every file in `tests/scenarios_bad` is wrong in its own way; what is said about it is kept in a snapshot beside it.

use netsim::scenario::{MAX_SOURCE_BYTES, diagnose::render, inspect};
use std::{fs, path::Path, time::Instant};

/// The files, sorted.
fn files() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios_bad");
    let entries = fs::read_dir(directory).expect("the directory exists").map(|e| e.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "ron")).collect();
    files.sort();
    let name = |path: &Path| path.file_stem().expect("a name").to_str().expect("UTF-8").to_string();
    files.iter().map(|path| (name(path), fs::read(path).expect("readable"))).collect()
}

#[test]
fn every_wrong_file_gets_its_messages() {
    let files = files();
    assert!(files.len() >= 30, "{} files", files.len());
    insta::with_settings!({
        snapshot_path => "scenarios_bad", prepend_module_to_snapshot => false, omit_expression => true
    }, {
        for (name, source) in files {
            let (scenario, found) = inspect(&source);
            assert_eq!(scenario.is_some(), name == "warnings_only", "{name}");
            let text = render(&found, &String::from_utf8_lossy(&source), &format!("{name}.ron"), false);
            insta::assert_snapshot!(name, text);
        }
    });
}

/// Each message says where, and most say what to try.
#[test]
fn messages_have_a_place_and_a_hint() {
    let mut hints = 0;
    let mut all = 0;
    for (name, source) in files() {
        for d in inspect(&source).1 {
            all += 1;
            hints += usize::from(d.help.is_some() || d.label.starts_with("expected"));
            assert!(!d.message.is_empty() && !d.label.is_empty(), "{name}: {d:?}");
            assert!(d.span.end as usize <= source.len() + 1, "{name}: {d:?}");
            assert!(!d.message.ends_with('.'), "{name}: {d:?}");
        }
    }
    assert!(hints * 10 >= all * 9, "{hints} of {all} messages say what to try");
}

/// "A gigabyte of noise": nothing larger than the limit is looked at, so what takes longest is just below it.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about time on the wall")]
fn hostile_files_end_soon() {
    let just_below = |unit: &str| unit.repeat(MAX_SOURCE_BYTES / unit.len());
    let inputs = [
        just_below("\u{1b}]0;noise\u{7}"),
        just_below("(("),
        just_below("[]"),
        just_below("/*"),
        just_below("//\n"),
        format!("(namespaces: {{{}}})", "\"a\": (),".repeat(500_000)),
        format!("(namespaces: {{ \"h{{1..100000}}\": () }}, steps: [{}])", "(\"0s\", Note(\"h{1..20}\")),".repeat(100)),
        format!("(namespaces: {{ \"a\": () }}, links: [{}])", "\"x:y -- z:w\",".repeat(250_000)),
        format!("(namespaces: {{ \"a\": (routes: [{}]) }})", "\"default vai x\",".repeat(200_000)),
        "x".repeat(MAX_SOURCE_BYTES * 2),
    ];
    for source in inputs {
        let start = Instant::now();
        let (_, found) = inspect(source.as_bytes());
        let text = render(&found, &source, "noise", false);
        let head: String = source.chars().take(40).collect();
        assert!(!text.contains('\u{1b}'), "{head}");
        assert!(text.len() < 60_000, "{head}: {} bytes of messages", text.len());
        // Debug builds on a busy machine: generous, but far from hanging.
        assert!(start.elapsed().as_secs() < 20, "{head} took {:?}", start.elapsed());
    }
}
