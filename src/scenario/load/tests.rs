//! The loader against hostile and broken input.

use super::*;
use proptest::prelude::*;

const EVERYTHING: &str = include_str!("../../../tests/scenarios_good/everything.ron");

fn codes(source: &[u8]) -> Vec<&'static str> {
    inspect(source).1.iter().map(|d| d.code).collect()
}

/// A place that can be underlined: inside the text, on character boundaries.
fn is_place(source: &[u8], span: Span) -> bool {
    span.start <= span.end && span.start as usize <= source.len() + 1
}

#[test]
fn noise_is_refused_before_it_is_looked_at() {
    assert_eq!(codes(&vec![b'('; MAX_SOURCE_BYTES + 1]), ["too-large"]);
    assert_eq!(codes(&[b'(', 0xff, 0xfe]), ["not-text"]);
    assert_eq!(codes(b""), ["empty"]);
    assert_eq!(codes(b" // only a comment\n/* and /* another */ one */ "), ["empty"]);
}

#[test]
fn nesting_is_limited() {
    for open in ["(", "[", "{\"a\": ", "A(", "(a: ", "Some("] {
        let bomb = format!("(namespaces: {}", open.repeat(100_000));
        let found = inspect(bomb.as_bytes()).1;
        assert_eq!(found.len(), 1, "{open}");
        assert!(matches!(found[0].code, "too-deep" | "unbalanced"), "{open}: {:?}", found[0]);
    }
}

#[test]
fn large_files_of_small_tricks_end_soon() {
    let full = |unit: &str| {
        let body = unit.repeat((MAX_SOURCE_BYTES - 100) / unit.len());
        format!("(namespaces: {{}}, {body})")
    };
    let units = [
        "a: 1, ",
        "links: [], ",
        "/**/",
        "\"",
        "é",
        "steps: [(\"0s\", Note(\"\"))], ",
        "x: \"{1..100000}\", ",
        "r#\"",
        "0_",
    ];
    for unit in units {
        let found = inspect(full(unit).as_bytes()).1;
        assert!(!found.is_empty() && found.len() <= 50, "{unit}: {}", found.len());
    }
    let links = format!("(namespaces: {{}}, links: [{}])", "\"a:b -- c:d\",".repeat(200_000));
    assert_eq!(inspect(links.as_bytes()).1.len(), 50);
}

#[test]
fn a_billion_namespaces_fail_at_once() {
    for range in ["{1..1000000000}", "{0..18446744073709551615}", "{1..99999999999999999999999999}"] {
        let source = format!("(namespaces: {{ \"h{range}\": () }})");
        assert_eq!(codes(source.as_bytes()), ["too-many"], "{range}");
    }
    // Each is allowed, all together are not.
    let nested = r#"(namespaces: { "h{1..100000}": (routes: ["{1..1000}"]) })"#;
    assert_eq!(codes(nested.as_bytes()), ["too-many"]);
    assert_eq!(codes(br#"(namespaces: { "h{3..1}": () })"#), ["empty-range"]);
}

/// The tree holds what ron reads, whatever the text: ron's own value type is the twin.
#[test]
fn the_tree_agrees_with_ron() {
    for text in [
        "\"a\\n\\u{e9}\\\"b\"",
        "r#\"a \" b\"#",
        "[1, -2.5, 0xff, true, \"x\",]",
        "{\"a\": [], 1: ()}",
        "\"/* no */\"",
        "// c\n[/* d */ 1 // e\n]",
    ] {
        let value: ron::Value = ron::from_str(text).expect("valid RON");
        let node = tree::build(text, 10).unwrap_or_else(|d| panic!("{text}: {d}"));
        assert!(same(&node, &value), "{text}: {node:?} against {value:?}");
    }
}

fn same(node: &Node, value: &ron::Value) -> bool {
    match (&node.shape, value) {
        (Shape::Bool(a), ron::Value::Bool(b)) => a == b,
        (Shape::Text { text, .. }, ron::Value::String(b)) => text == b,
        (Shape::Number(a), number @ ron::Value::Number(_)) => ron::from_str::<ron::Value>(a).as_ref() == Ok(number),
        (Shape::List(a), ron::Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Shape::Tuple(None, a), ron::Value::Unit) => a.is_empty(),
        (Shape::Map(a), ron::Value::Map(b)) => {
            // ron sorts its maps.
            a.len() == b.len() && a.iter().all(|(ak, av)| b.iter().any(|(bk, bv)| same(ak, bk) && same(av, bv)))
        }
        _ => false,
    }
}

/// RON values without names, as text.
fn ron_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i32>().prop_map(|n| n.to_string()),
        any::<String>().prop_map(|s| ron::to_string(&s).expect("strings can be written")),
        "[a-z \\\\n\"]{0,8}".prop_map(|s| format!("r##\"{s}\"##")),
    ];
    let blank = prop_oneof![Just(""), Just(" "), Just("\n// x, ] )\n"), Just("/* ( /* \" */ */"), Just("\t")];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        let blank = blank.clone();
        let item = (blank.clone(), inner, blank).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let list = prop::collection::vec(item.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(",")));
        let map = prop::collection::btree_map(any::<u16>(), item, 0..4).prop_map(|m| {
            let items: Vec<String> = m.iter().map(|(k, v)| format!("{k}:{v}")).collect();
            format!("{{{}}}", items.join(","))
        });
        prop_oneof![list, map]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_value_gives_the_tree_ron_reads(text in ron_text()) {
        let value: ron::Value = ron::from_str(&text).expect("valid RON");
        let node = tree::build(&text, 32);
        prop_assert!(node.as_ref().is_ok_and(|n| same(n, &value)), "{} {:?}", text, node);
    }

    #[test]
    fn random_bytes_are_refused_with_a_place(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (scenario, found) = inspect(&bytes);
        prop_assert!(scenario.is_none() && !found.is_empty());
        prop_assert!(found.iter().all(|d| is_place(&bytes, d.span)));
    }

    #[test]
    fn random_ron_like_text_is_refused_or_loaded(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60),
    ) {
        let text = words.concat();
        let (scenario, found) = inspect(text.as_bytes());
        prop_assert_eq!(scenario.is_some(), !found.iter().any(Diagnostic::is_error));
        crate::scenario::diagnose::render(&found, &text, "f", false);
    }

    /// A good file with some bytes changed, removed or doubled.
    #[test]
    fn mutated_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6)) {
        let mut bytes = EVERYTHING.as_bytes().to_vec();
        for (at, kind, byte) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => _ = bytes.remove(at),
                2 => bytes.insert(at, b"()[]{}\",:.-/ 019aZ"[byte as usize % 18]),
                _ => {
                    // A whole token or a few of them goes.
                    let end = (at + byte as usize % 40).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
        let (scenario, found) = inspect(&bytes);
        prop_assert_eq!(scenario.is_some(), !found.iter().any(Diagnostic::is_error));
        prop_assert!(found.iter().all(|d| is_place(&bytes, d.span)));
        let text = String::from_utf8_lossy(&bytes);
        crate::scenario::diagnose::render(&found, &text, "f", true);
    }
}

/// Pieces that make a scenario, put together in any order.
const WORDS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    " ",
    "namespaces",
    "links",
    "steps",
    "expect",
    "\"a\"",
    "\"b\"",
    "\"a:eth0 -- b:eth0\"",
    "Router",
    "Host",
    "addr",
    "\"10.0.0.1/24\"",
    "\"h{1..3}\"",
    "Ping",
    "from",
    "to",
    "\"0s\"",
    "1",
    "true",
    "\"",
    "//",
    "/*",
    "devices",
    "(namespaces: {",
    "})",
    "None",
    "Some(",
    "Bridge(ports: [\"a\"])",
    "sysctl",
    "r#\"",
    "\\",
    "é",
];
