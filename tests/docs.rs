//! The documentation is what the program does: every RON block in `docs/` and the README loads and passes its own
//! expectations, and the tables of `docs/scenario.md` are those of the schema.

use netsim::{
    report::{
        story::{Detail, render},
        text::Style,
    },
    scenario::{self, BitRate, Duration, Field, RunOptions, Size, Variant, schema::reference},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and everything in `docs/`.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("the package has docs").map(|e| e.expect("an entry").path());
    let mut pages: Vec<PathBuf> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// The fenced blocks in a language, with the number of their first line.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (n, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, Some(info)) if info.trim() == language => open = Some((n + 2, String::new())),
            _ => {}
        }
    }
    found
}

#[test]
fn every_ron_block_is_a_scenario_that_does_what_it_expects() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("pages are UTF-8");
        for (line, block) in blocks(&text, "ron") {
            count += 1;
            let place = format!("{}:{line}", page.display());
            let scenario = scenario::load(&block).unwrap_or_else(|found| panic!("{place}: {found:?}"));
            let report = scenario::run(&scenario, RunOptions::default()).unwrap_or_else(|f| panic!("{place}: {f:?}"));
            assert!(report.passed, "{place}:\n{}", render(&report, Detail::Normal, Style::PLAIN));
        }
    }
    assert!(count >= 7, "the pages have examples");
}

#[test]
fn the_tables_are_those_of_the_schema() {
    let path = root().join("docs/scenario.md");
    let page = fs::read_to_string(&path).expect("docs/scenario.md");
    let sections = reference();
    let mut wanted = String::new();
    let mut told: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        inside &= line != "<!-- end -->";
        if !inside {
            wanted.push_str(line);
            wanted.push('\n');
        }
        let marker = line.strip_prefix("<!-- ").and_then(|l| l.strip_suffix(" -->")).and_then(|l| l.split_once(' '));
        let Some((kind, name)) = marker else { continue };
        let table = match kind {
            "fields" => sections.iter().find(|s| s.name == name).map(|s| fields_table(&s.fields)),
            "variants" => sections.iter().find(|s| s.name == name).map(|s| variants_table(&s.variants)),
            _ => continue,
        };
        wanted.push_str(&table.unwrap_or_else(|| panic!("the schema has no `{name}`")));
        told.push(name);
        inside = true;
    }
    for section in &sections {
        // Short ones, and those that add a field to another, are told in prose.
        let mut names = section.fields.iter().map(|f| f.name).chain(section.variants.iter().map(|v| v.name));
        let prose = ["Reject", "Method", "LimitKind", "Impair"].contains(&section.name);
        let told = if prose { names.all(|n| page.contains(&format!("`{n}`"))) } else { told.contains(&section.name) };
        assert!(told, "docs/scenario.md does not tell of `{}`", section.name);
    }
    if page != wanted {
        let right = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenario.md");
        fs::write(&right, wanted).expect("the temporary directory of the build can be written to");
        panic!("docs/scenario.md has fallen behind the schema; copy {} over it", right.display());
    }
}

fn fields_table(fields: &[Field]) -> String {
    let mut table = String::from("| field | meaning | value | default |\n|---|---|---|---|\n");
    for f in fields {
        let default = match f.default {
            None => "required".to_string(),
            Some(default) => match default().as_str() {
                "None" => "–".to_string(),
                written => format!("`{written}`"),
            },
        };
        let range = f.range.map_or_else(String::new, |r| format!(", {}", range(f.kind, r)));
        table.push_str(&format!("| `{}` | {} | {}{range} | {default} |\n", f.name, sentence(f.doc), value(f.kind)));
    }
    table
}

fn variants_table(variants: &[Variant]) -> String {
    let mut table = String::from("| name | meaning |\n|---|---|\n");
    for v in variants {
        table.push_str(&format!("| `{}` | {} |\n", v.name, sentence(v.doc)));
    }
    table
}

/// Documentation as one cell.
fn sentence(doc: &[&str]) -> String {
    doc.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A type of the library in the words of the page.
fn value(kind: &str) -> String {
    let kind: String = kind.split_whitespace().collect();
    if let Some(inner) = kind.strip_prefix("Vec<").and_then(|k| k.strip_suffix('>')) {
        return format!("list: {}", value(inner));
    }
    if let Some(inner) = kind.strip_prefix("Entries<").and_then(|k| k.strip_suffix('>')) {
        return format!("map: {}", value(inner));
    }
    for wrapper in ["Option<", "Spanned<"] {
        if let Some(inner) = kind.strip_prefix(wrapper).and_then(|k| k.strip_suffix('>')) {
            return value(inner);
        }
    }
    let words = match kind.as_str() {
        "String" => "text",
        "bool" => "`true` or `false`",
        "u8" | "u16" | "u32" | "u64" => "number",
        "Duration" => "duration",
        "BitRate" => "rate",
        "Share" => "share",
        "Size" => "size",
        "IfAddr" => "address with prefix length",
        "IpAddr" => "address",
        "Prefix" => "network",
        "Net" => "network or target",
        "Mac" => "MAC address",
        "Target" => "target",
        "Service" => "service",
        "NatTo" => "target, with ports if need be",
        "Ports" => "ports",
        "Url" => "URL",
        "End" => "end of a cable",
        "Ends" => "two ends, `\"a:eth0 -- b:eth0\"`",
        "Hop" => "target, or `\"*\"`",
        "Count" => "count",
        "RouteLine" => "words of `ip route add`",
        "RuleLine" => "words of `ip rule add`",
        "NeighLine" => "words of `ip neigh add`",
        "Expanded" => "a namespace or preset",
        "Device" => "a device",
        "Port" => "a port",
        "Impairment" => "an impairment",
        "Link" => "a link",
        "Step" => "a step",
        "Expect" => "an expectation",
        "Save" => "a file",
        "Limits" => "limits",
        "Advertise" => "a router advertisement",
        "ProcView" => "a view of /proc",
        "Filter" => "a filter",
        "Chain" => "a chain",
        "Nat" => "a NAT rule",
        "Server" => "a server",
        "FilterRule" => "a rule",
        "Fdb" => "`Namespace` or `Mac`",
        "Policy" => "a policy",
        "State" => "a state",
        "RejectWith" => "an answer",
        "Method" => "`Udp` or `Icmp`",
        other => panic!("the page has no words for `{other}`"),
    };
    words.to_string()
}

/// A range of a number or quantity, written in Rust, in the units of the page.
fn range(kind: &str, range: &str) -> String {
    let (low, high) = range.split_once("..=").expect("ranges of fields include both ends");
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().expect("ranges are numbers");
    let show = |n: u64| match kind {
        k if k.contains("Duration") => Duration(n).to_string(),
        k if k.contains("BitRate") => BitRate(n).to_string(),
        k if k.contains("Size") => Size(n).to_string(),
        _ => n.to_string(),
    };
    format!("{} to {}", show(number(low)), show(number(high)))
}

#[test]
fn blocks_are_found_between_fences() {
    let text = "a\n```ron\n(x)\n```\n```sh\nls\n```\n  ```ron\n(y)\n```\n";
    let found = blocks(text, "ron");
    assert_eq!(found, [(3, "(x)\n".to_string()), (9, "(y)\n".to_string())]);
    assert_eq!(range("Spanned < u16 >", "1..=65_535"), "1 to 65535");
    assert_eq!(range("Spanned < Duration >", "1_000_000..=3_600_000_000_000"), "1ms to 1h");
}
