//! Wrong scenario files: each one clear message with line, column and a hint, exit status 2, at once.

use super::{Done, netsim};
use std::{
    fs::File,
    time::{Duration, Instant},
};

/// Runs of a debug build on a busy machine are slower than what a user sees; what is meant is "not for ever".
const AT_ONCE: Duration = Duration::from_secs(20);

fn lab(namespaces: &str, rest: &str) -> String {
    format!("(\n    namespaces: {{\n        {namespaces}\n    }},\n    {rest}\n)\n")
}

const TWO: &str = r#""a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24"),"#;
const CABLE: &str = r#"links: ["a:eth0 -- b:eth0"],"#;

/// What is wrong, the text of the file, the line it is on, and words of the message.
fn wrong_files() -> Vec<(&'static str, String, usize, Vec<&'static str>)> {
    vec![
        (
            "unknown name",
            lab(TWO, r#"links: ["a:eth0 -- b:eth0", "a:eth1 -- c:eth0"],"#),
            5,
            vec!["`c`", "`a` and `b`"],
        ),
        (
            "unknown name, nearly right",
            lab(r#""host": (), "web": (),"#, r#"links: ["host:e -- wbe:e"]"#),
            5,
            vec!["`web`?"],
        ),
        ("typo in a field", lab(r#""a": (devces: {}),"#, ""), 3, vec!["`devces`", "did you mean `devices`?"]),
        ("duplicate key", lab(r#""a": (), "a": (),"#, ""), 3, vec!["a"]),
        ("bad prefix", lab(r#""a": Host(addr: "10.0.0.1/33"),"#, ""), 3, vec!["33"]),
        ("no prefix", lab(r#""a": Host(addr: "10.0.0.1"),"#, ""), 3, vec!["10.0.0.1/24"]),
        ("bad address", lab(r#""a": Host(addr: "10.0.0.256/24"),"#, ""), 3, vec!["10.0.0.256"]),
        (
            "gateway not on-link",
            lab(r#""a": Host(addr: "10.0.0.1/24", gateway: "10.9.0.1"), "b": (),"#, CABLE),
            3,
            vec!["10.9.0.1"],
        ),
        (
            "port of two bridges",
            lab(
                r#""s": (devices: { "x": Bridge(ports: ["p"]), "y": Bridge(ports: ["p"]) }), "a": (),"#,
                r#"links: ["a:e -- s:p"]"#,
            ),
            3,
            vec!["`p`"],
        ),
        ("cable used twice", lab(TWO, r#"links: ["a:eth0 -- b:eth0", "a:eth0 -- b:eth1"],"#), 5, vec!["eth0"]),
        (
            "address twice",
            lab(r#""a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.1/24"),"#, CABLE),
            3,
            vec!["10.0.0.1"],
        ),
        ("unit missing", lab(TWO, r#"links: [(ends: "a:eth0 -- b:eth0", delay: "10")],"#), 5, vec!["unit", "ms"]),
        ("bare number", lab(TWO, r#"links: [(ends: "a:eth0 -- b:eth0", delay: 10)],"#), 5, vec!["10", "ms"]),
        ("wrong unit", lab(TWO, r#"links: [(ends: "a:eth0 -- b:eth0", rate: "10ms")],"#), 5, vec!["ms"]),
        (
            "unknown variant",
            lab(TWO, r#"links: ["a:eth0 -- b:eth0"], steps: [("0s", Pign(from: "a", to: "b"))],"#),
            5,
            vec!["`Pign`", "`Ping`"],
        ),
        (
            "missing field",
            lab(TWO, r#"links: ["a:eth0 -- b:eth0"], steps: [("0s", Ping(from: "a"))],"#),
            5,
            vec!["`to`"],
        ),
        ("unbalanced", "(\n    namespaces: {\n        \"a\": (devices: {),\n    },\n)\n".into(), 3, vec![")"]),
        ("missing comma", lab(r#""a": () "b": (),"#, ""), 3, vec!["comma"]),
        ("open string", lab(r#""a: (),"#, ""), 3, vec!["\""]),
        ("unknown sysctl", lab(r#""a": (sysctl: { "net.ipv4.ip_forwrad": "1" }),"#, ""), 3, vec!["ip_forward"]),
        (
            "unknown reason",
            lab(TWO, r#"links: ["a:eth0 -- b:eth0"], expect: [Dropped(reason: "NO_SOKCET")],"#),
            5,
            vec!["NO_SOCKET"],
        ),
        ("empty", String::new(), 0, vec!["empty", "netsim new"]),
        ("only a comment", "// nothing\n".into(), 0, vec!["empty"]),
        ("a list", "[1, 2]".into(), 1, vec!["scenario"]),
        ("recursion bomb", format!("(namespaces: {}", "(".repeat(1_000_000)), 1, vec!["deep"]),
        ("a billion namespaces", lab(r#""h{1..1000000000}": (),"#, ""), 3, vec!["100000"]),
    ]
}

fn check(text: &str) -> Done {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lab.ron");
    std::fs::write(&file, text).unwrap();
    timed(&["check".as_ref(), file.as_os_str()])
}

#[expect(clippy::disallowed_methods, reason = "the test is about how long a person waits")]
fn timed(arguments: &[&std::ffi::OsStr]) -> Done {
    let start = Instant::now();
    let done = netsim(arguments);
    assert!(start.elapsed() < AT_ONCE, "{arguments:?} took {:?}", start.elapsed());
    done
}

#[test]
fn each_mistake_is_told_once_with_its_place_and_a_hint() {
    let mut trouble = Vec::new();
    for (what, text, line, parts) in wrong_files() {
        let done = check(&text);
        let mut complain = |why: String| trouble.push(format!("{what}: {why}\n{}", done.err));
        if done.status != 2 || !done.out.is_empty() {
            complain(format!("status {}, {:?}", done.status, done.out));
        }
        if !done.err.contains("lab.ron: 1 error\n") {
            complain("not one error".into());
        }
        if line > 0 && !done.err.contains(&format!("lab.ron:{line}:")) {
            complain(format!("not on line {line}"));
        }
        for part in parts.iter().filter(|p| !done.err.contains(**p)) {
            complain(format!("{part:?} is missing"));
        }
        if done.err.len() > 3000 {
            complain("too long to read".into());
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn all_mistakes_come_in_one_go() {
    let text = lab(
        r#""a": (devices: { "eth0": (addr: ["10.0.0.1/99"], mtuu: 1500) }), "b": (),"#,
        r#"links: ["a:eth0 -- b:eth0", "a:eth1 -- c:eth0"], steps: [("1", Ping(from: "x", to: "b"))],"#,
    );
    let done = check(&text).expect(2);
    for part in ["`99` is not a prefix length", "`mtuu`", "namespace `c`", "`1` has no unit"] {
        assert!(done.err.contains(part), "{part} is missing in\n{}", done.err);
    }
    assert!(done.err.contains(" errors"), "{}", done.err);
}

#[test]
fn all_commands_refuse_in_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lab.ron");
    std::fs::write(&file, lab(TWO, r#"links: ["a:eth0 -- c:eth0"],"#)).unwrap();
    let file = file.as_os_str();
    let told = timed(&["check".as_ref(), file]).expect(2).err;
    for command in [vec!["run"], vec!["run", "--json"], vec!["graph"]] {
        let mut arguments: Vec<&std::ffi::OsStr> = command.iter().map(|c| c.as_ref()).collect();
        arguments.push(file);
        assert_eq!(timed(&arguments).expect(2).err, told, "{command:?}");
    }
    let good = dir.path().join("good.ron");
    std::fs::write(&good, super::LAB).unwrap();
    let both = netsim(&["check".as_ref(), file, good.as_os_str()]).expect(2);
    assert!(both.out.contains('✓'), "good files beside it are told of: {}", both.out);
    assert_eq!(both.err, told);
}

#[test]
fn a_gigabyte_of_noise_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("noise.ron");
    File::create(&file).unwrap().set_len(1 << 30).unwrap();
    timed(&["run".as_ref(), file.as_os_str()]).refused(&["1073741824 bytes", "at most 4 MiB", "hint:"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_without_end_is_not_read_to_its_end() {
    timed(&["run".as_ref(), "/dev/zero".as_ref()]).expect(2);
    timed(&["run".as_ref(), "/dev/urandom".as_ref()]).expect(2);
}

#[test]
fn binary_files_do_not_reach_the_terminal() {
    let done = check("\u{1b}[2J\u{7}(((\u{1b}]0;x\u{7}").expect(2);
    assert!(!done.err.contains(['\u{1b}', '\u{7}']), "{:?}", done.err);
}
