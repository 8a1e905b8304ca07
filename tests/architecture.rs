//! The rules of the house, kept by a test: layers, one door per dependency, file size, headers, no orphans.
//!
//! Works on tokens, so that comments, documentation and strings may name anything. Every rule lists all its breaches
//! at once. The rules are told to readers in `docs/architecture.md`, which is compared with the tables here.

mod rust;

use rust::{Source, Token};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the ground up. A module imports only modules of rows above it in this list, and its own; modules of one row do
/// not know each other.
///
/// `kernel`, `l2`, `ip` and `sys` are one stack in four files of methods on `Kernel`: methods may call each other, but
/// what they import still points downwards.
const ROWS: &[&[&str]] = &[
    &["base"],
    &["trace"],
    &["wire"],
    &["link"],
    &["neigh", "route", "device"],
    &["netfilter"],
    &["socket"],
    &["kernel"],
    &["l2"],
    &["ip"],
    &["sys"],
    &["procfs"],
    &["app"],
    &["sim"],
    &["report"],
    &["scenario"],
    &["conform"],
    &["live"],
];

/// Each dependency and the only places that may name it, as beginnings of paths.
const DOORS: &[(&str, &[&str])] = &[
    ("clap", &["src/cli/", "src/main.rs"]),
    ("clap_complete", &["src/cli/"]),
    ("crossbeam_channel", &["src/link/"]),
    ("etherparse", &["src/wire/dissect"]),
    ("foldhash", &["src/base/"]),
    ("hashbrown", &["src/base/"]),
    ("indicatif", &["src/cli/"]),
    ("miette", &["src/scenario/diagnose"]),
    ("petgraph", &["src/scenario/topology"]),
    ("prefix_trie", &["src/route/"]),
    // The kernel underneath: namespaces, packet sockets, socket options.
    ("nix", &["src/live/linux/"]),
    ("ron", &["src/scenario/load"]),
    ("rustix", &["src/live/linux/"]),
    // Derives for what is printed or read as data; no layer is bound to it.
    ("serde", &["src/"]),
    ("serde_json", &["src/report/json", "src/conform/", "src/live/"]),
    ("smoltcp", &["src/socket/tcp"]),
    // One function; every "did you mean" uses it.
    ("strsim", &["src/"]),
];

/// Lines a source file may have; its tests are not counted.
const MOST_LINES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of some directories, by path relative to the package, sorted.
fn sources(directories: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> = directories.iter().map(|d| root().join(d)).collect();
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of the package") {
            let path = entry.expect("an entry of the directory").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source files are UTF-8");
                let name = path.strip_prefix(root()).expect("below the package").to_str().expect("UTF-8").to_owned();
                files.push(Source::new(name, text));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!files.is_empty());
    files
}

fn everything() -> Vec<Source> {
    sources(&["src", "tests", "benches"])
}

fn no_breach(rule: &str, breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// Why a module may not import another; `None` if it may.
fn objection(from: &str, to: &str) -> Option<String> {
    let (Some(here), Some(there)) = (row_of(from), row_of(to)) else {
        return Some("is not a row of ROWS in tests/architecture.rs".into());
    };
    match from == to || there < here {
        true => None,
        false if there == here => Some(format!("stands beside {from}")),
        false => Some(format!("stands above {from}")),
    }
}

#[test]
fn a_row_imports_only_rows_below_it() {
    let mut breaches = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources(&["src"]) {
        let Some(module) = source.top_module().filter(|_| !source.is_binary()) else { continue };
        seen.insert(module.clone());
        for (line, target) in source.crate_paths() {
            if let Some(why) = objection(&module, &target) {
                breaches.push(format!("{}:{line}: crate::{target} {why}", source.path));
            }
        }
    }
    no_breach("a row imports only rows below it", breaches);
    let named: BTreeSet<String> = ROWS.iter().flat_map(|r| r.iter()).map(|m| (*m).to_owned()).collect();
    assert_eq!(seen, named, "ROWS and the modules of the library differ");
}

#[test]
fn the_library_does_not_know_the_binary() {
    let mut breaches = Vec::new();
    for source in sources(&["src"]) {
        let names_library = source.names_crate("netsim").next();
        if let (false, Some(line)) = (source.is_binary(), names_library) {
            breaches.push(format!("{}:{line}: the library names itself as a dependency", source.path));
        }
        if source.is_binary() {
            for (line, target) in source.crate_paths() {
                if target != "cli" {
                    breaches.push(format!("{}:{line}: crate::{target} is not part of the binary", source.path));
                }
            }
        }
    }
    no_breach("the binary sees the library as every user does", breaches);
}

#[test]
fn each_dependency_has_one_door() {
    let mut breaches = Vec::new();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let declared = manifest.split("[dependencies]").nth(1).and_then(|m| m.split("\n[").next()).expect("dependencies");
    for line in declared.lines() {
        let Some((name, _)) = line.split_once(" = ") else { continue };
        let name = name.replace('-', "_");
        if !name.starts_with(' ') && !DOORS.iter().any(|(n, _)| *n == name) {
            breaches.push(format!("Cargo.toml: {name} has no door in DOORS of tests/architecture.rs"));
        }
    }
    let sources = sources(&["src"]);
    for (name, doors) in DOORS {
        let mut used = false;
        for source in &sources {
            let through = doors.iter().any(|door| source.path.starts_with(door));
            for line in source.names_crate(name) {
                used = true;
                if !through {
                    breaches.push(format!("{}:{line}: {name} only in {}", source.path, doors.join(", ")));
                }
            }
        }
        if !used {
            breaches.push(format!("Cargo.toml: {name} is not used"));
        }
    }
    no_breach("each dependency has one door", breaches);
}

#[test]
fn each_file_says_what_it_is_and_is_not_too_long() {
    let mut breaches = Vec::new();
    for source in everything() {
        if !source.text.starts_with("//! ") {
            breaches.push(format!("{}: does not begin with a `//! ` header", source.path));
        }
        let lines = source.lines_of_code();
        if source.path.starts_with("src/") && lines > MOST_LINES {
            breaches.push(format!("{}: {lines} lines, at most {MOST_LINES}", source.path));
        }
    }
    no_breach("each file says what it is and is not too long", breaches);
}

#[test]
fn no_file_is_an_orphan() {
    let all = everything();
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> = all.iter().filter(|s| s.is_crate_root()).map(|s| s.path.clone()).collect();
    while let Some(path) = waiting.pop() {
        if let Some(source) = all.iter().find(|s| s.path == path)
            && reached.insert(path)
        {
            waiting.extend(source.module_files());
        }
    }
    let orphans = all.iter().filter(|s| !reached.contains(&s.path)).map(|s| s.path.clone()).collect();
    no_breach("no file is an orphan: each is declared by a `mod`", orphans);
}

#[test]
fn nothing_is_unsafe_unfinished_or_silenced_without_a_reason() {
    let mut breaches = Vec::new();
    for source in everything() {
        for (line, what) in source.shortcuts() {
            breaches.push(format!("{}:{line}: {what}", source.path));
        }
    }
    no_breach("nothing is unsafe, unfinished or silenced without a reason", breaches);
}

#[test]
fn the_guide_names_every_row_and_every_door() {
    let guide = fs::read_to_string(root().join("docs/architecture.md")).expect("the guide");
    let mut breaches = Vec::new();
    for module in ROWS.iter().flat_map(|row| row.iter()).chain(&["cli"]) {
        if !guide.contains(&format!("### `{module}`")) {
            breaches.push(format!("no section for {module}"));
        }
    }
    for (name, _) in DOORS {
        if !guide.contains(name) && !guide.contains(&name.replace('_', "-")) {
            breaches.push(format!("{name} is not named"));
        }
    }
    no_breach("docs/architecture.md names every row and every door", breaches);
}

#[test]
fn links_and_test_names_in_the_documents_lead_somewhere() {
    let mut breaches = Vec::new();
    let mut documents = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    let in_docs = fs::read_dir(root().join("docs")).expect("docs").map(|e| e.expect("an entry").path());
    documents.extend(in_docs.filter(|p| p.extension().is_some_and(|e| e == "md")));
    documents.sort();
    for document in documents {
        let text = fs::read_to_string(&document).expect("documents are UTF-8");
        let name = document.strip_prefix(root()).expect("below the package").display();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|t| !t.contains("://") && !t.starts_with('#')) {
            let file = target.split('#').next().unwrap_or(target);
            if !document.parent().expect("a file has a directory").join(file).exists() {
                breaches.push(format!("{name}: {target} does not exist"));
            }
        }
        for code in text.split('`').skip(1).step_by(2).filter(|c| c.starts_with("tests/") && !c.contains(' ')) {
            // `tests/file.rs::name` names a test.
            let (file, test) = code.split_once("::").map_or((code, None), |(f, t)| (f, Some(t)));
            match fs::read_to_string(root().join(file)) {
                Err(_) if root().join(file).is_dir() => {}
                Err(_) => breaches.push(format!("{name}: {file} does not exist")),
                Ok(body) => {
                    if let Some(test) = test.filter(|t| !body.contains(&format!("fn {t}("))) {
                        breaches.push(format!("{name}: {file} has no test {test}"));
                    }
                }
            }
        }
    }
    no_breach("links and test names in the documents lead somewhere", breaches);
}

#[test]
fn the_rules_can_be_broken() {
    assert_eq!(objection("ip", "base"), None);
    assert_eq!(objection("ip", "ip"), None);
    assert!(objection("base", "ip").is_some_and(|w| w.contains("above")));
    assert!(objection("neigh", "route").is_some_and(|w| w.contains("beside")));
    assert!(objection("ip", "nonsense").is_some());

    let text = "//! crate::sim in a comment\nuse crate::{base::{Mac, Time}, sim, wire::eth as e};\nconst S: &str = \
                \"crate::app\";\nfn f<'a>(x: &'a str) { super::super::link::g('\\'') }\n#[cfg(test)]\nmod tests { use \
                crate::scenario::X; }\n";
    let source = Source::new("src/ip/input.rs".into(), text.into());
    let paths: Vec<(usize, String)> = source.crate_paths().collect();
    let expected = [(2, "base"), (2, "sim"), (2, "wire"), (4, "link")].map(|(l, m)| (l, m.to_owned()));
    assert_eq!(paths, expected);
    assert_eq!(source.lines_of_code(), 4);

    let marked = |text: &str| Source::new("src/x.rs".into(), text.into()).shortcuts().len();
    assert_eq!(marked(&["#[ign", "ore] fn f() { to", "do!() } uns", "afe fn g() {}"].concat()), 3);
    assert_eq!(marked("#[allow(dead_code)] fn f() {}"), 1);
    assert_eq!(marked("#![allow(dead_code, reason = \"shown\")] // unsafe"), 0);
    assert_eq!(marked("#[allow(dead_code)] // told in a comment"), 0);

    let source = Source::new("src/x.rs".into(), "use smoltcp::wire; fn f(smoltcp: u8) { a::smoltcp::b() }".into());
    assert_eq!(source.names_crate("smoltcp").collect::<Vec<_>>(), [1], "a variable or a module is no dependency");

    let source = Source::new("src/ip/mod.rs".into(), "mod a; #[path = \"z.rs\"] mod b; mod c { fn f() {} }".into());
    let files: Vec<String> = source.module_files();
    assert_eq!(files, ["src/ip/a.rs", "src/ip/a/mod.rs", "src/ip/z.rs"]);
    assert_eq!(Source::new("tests/rust.rs".into(), "mod a;".into()).module_files(), ["tests/a.rs", "tests/a/mod.rs"]);
    assert!(matches!(rust::tokens("r#\"crate::x\"#")[..], [(1, Token::Text(_))]));
}
