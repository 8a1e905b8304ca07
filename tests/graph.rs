//! Drawings of a topology: what they contain, that names are escaped, that they hold for any scenario.

use netsim::{
    report::graph,
    scenario::{inspect, load},
};
use proptest::prelude::*;

const NAT: &str = r#"(
    title: "Two containers share one public address",
    namespaces: {
        "a": Host(addr: "10.10.0.2/24", gateway: "10.10.0.1"),
        "b": Host(addr: "10.10.0.3/24", gateway: "10.10.0.1"),
        "host": Router(
            devices: { "br0": Bridge(ports: ["va", "vb"], addr: ["10.10.0.1/24"]), "eth0": (addr: ["203.0.113.2/24"]) },
            routes: ["default via 203.0.113.1"],
            nat: [Masquerade(out: "eth0", from: "10.10.0.0/24")],
        ),
        "isp": Router(devices: { "eth0": (addr: ["203.0.113.1/24"]), "eth1": (addr: ["198.51.100.1/24"]) }),
        "web": Host(addr: "198.51.100.20/24", gateway: "198.51.100.1"),
    },
    links: [
        "a:eth0 -- host:va",
        "b:eth0 -- host:vb",
        (ends: "host:eth0 -- isp:eth0", delay: "10ms", rate: "100Mbit"),
        "isp:eth1 -- web:eth0",
    ],
)"#;

#[test]
fn the_terminal_drawing_of_a_nat_lab() {
    let drawing = load(NAT).unwrap().drawing();
    assert_eq!(
        graph::terminal(&drawing),
        "\
╭─ a ─────────────────────────╮
│ eth0   10.10.0.2/24         ├───╮
╰─────────────────────────────╯   │
╭─ b ─────────────────────────╮   │
│ eth0   10.10.0.3/24         ├─╮ │
╰─────────────────────────────╯ │ │
╭─ host (NAT router) ─────────╮ │ │
│ br0    bridge  10.10.0.1/24 │ │ │
│ ├─ va                       ├─┼─╯
│ └─ vb                       ├─╯
│ eth0   203.0.113.2/24       ├─╮ 10ms 100Mbit
╰─────────────────────────────╯ │
╭─ isp (router) ──────────────╮ │
│ eth0   203.0.113.1/24       ├─╯
│ eth1   198.51.100.1/24      ├─╮
╰─────────────────────────────╯ │
╭─ web ───────────────────────╮ │
│ eth0   198.51.100.20/24     ├─╯
╰─────────────────────────────╯
"
    );
}

#[test]
fn layers_follow_the_way_of_a_packet() {
    let drawing = load(NAT).unwrap().drawing();
    let layers: Vec<(&str, usize)> = drawing.boxes.iter().map(|b| (b.name.as_str(), b.layer)).collect();
    assert_eq!(layers, [("a", 0), ("b", 0), ("host", 1), ("isp", 2), ("web", 3)]);
    assert_eq!(drawing.boxes[2].kind, "NAT router");
}

#[test]
fn mermaid_and_dot_name_every_cable() {
    let drawing = load(NAT).unwrap().drawing();
    let mermaid = graph::mermaid(&drawing);
    assert!(mermaid.contains("n0[\"<b>a</b><br>eth0 10.10.0.2/24\"]"), "{mermaid}");
    assert!(mermaid.contains("n2 ---|\"eth0 – eth0<br>10ms 100Mbit\"| n3"), "{mermaid}");
    let dot = graph::dot(&drawing);
    assert!(dot.contains("n0:d0 -- n2:d1"), "{dot}");
    assert!(dot.contains("n2:d3 -- n3:d0 [label=\"10ms 100Mbit\"]"), "{dot}");
}

#[test]
fn each_direction_has_its_line_and_arrows_point_onwards() {
    let source = r#"(
        namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
        links: [(ends: "b:eth0 -- a:eth0", up: false, delay: "1ms", forward: (loss: "5%"))],
    )"#;
    let drawing = load(source).unwrap().drawing();
    assert_eq!(drawing.cables[0].label, ["unplugged", "→ 1ms", "← 1ms 5% lost"]);
    assert!(graph::svg(&drawing).contains("class=\"cable down\""));
}

#[test]
fn names_cannot_break_out_of_any_format() {
    let evil = r#"</text><script>alert(1)</script>\"];x#`|&"#;
    let name = evil.replace('\\', "\\\\").replace('"', "\\\"").replace([':', '/'], "_");
    let source = format!(
        "(title: \"{name}\", namespaces: {{ \"{name}\": Host(addr: \"10.0.0.1/24\"), \"b\": Host(addr: \"10.0.0.2/24\") }}, \
         links: [\"{name}:eth0 -- b:eth0\"])"
    );
    let drawing = load(&source).unwrap_or_else(|e| panic!("{e:?}")).drawing();
    for text in [graph::svg(&drawing), graph::mermaid(&drawing)] {
        assert!(!text.contains("<script>"), "{text}");
    }
    // In DOT, a quoted text ends at the first quote that has no backslash of its own.
    let dot = graph::dot(&drawing);
    let label = dot.lines().find_map(|l| l.trim().strip_prefix("label=\"")).expect("the title");
    let end = label.replace("\\\\", "__").replace("\\\"", "__").find('"').expect("the end of the title");
    assert_eq!(&label[end..], "\"; labelloc=t;");
    let mermaid = graph::mermaid(&drawing);
    assert!(mermaid.lines().all(|line| line.matches('"').count() % 2 == 0), "{mermaid}");
}

#[test]
fn a_crowd_is_counted_and_not_drawn() {
    let source = r#"(
        namespaces: { "sw": Switch(ports: ["p{1..500}"]), "h{1..250}": (devices: { "eth0": () }), "g{251..500}": () },
        links: ["h{1..250}:eth0 -- sw:p{}", "g{251..500}:eth0 -- sw:p{}"],
    )"#;
    let drawing = load(source).unwrap().drawing();
    assert_eq!((drawing.boxes.len(), drawing.hidden), (200, 301));
    let text = graph::terminal(&drawing);
    assert!(text.contains("and 301 more namespaces") && text.contains("├── sw:p7"), "{text}");
    assert!(graph::svg(&drawing).len() < 200_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any cabling: every cable is drawn once in every format, and nothing overlaps in the terminal.
    #[test]
    fn any_cabling_can_be_drawn(pairs in prop::collection::vec((0..7usize, 0..7usize), 0..16)) {
        let namespaces: Vec<String> = (0..7).map(|i| format!("\"n{i}\": ()")).collect();
        let links: Vec<String> =
            pairs.iter().enumerate().map(|(i, (a, b))| format!("\"n{a}:a{i} -- n{b}:b{i}\"")).collect();
        let source = format!("(namespaces: {{ {} }}, links: [{}])", namespaces.join(","), links.join(","));
        let drawing = inspect(source.as_bytes()).0.expect("a good scenario").drawing();
        prop_assert_eq!(drawing.boxes.len(), 7);
        prop_assert_eq!(drawing.cables.len(), pairs.len());
        prop_assert_eq!(graph::svg(&drawing).matches("<path class=\"cable").count(), pairs.len());
        prop_assert_eq!(graph::mermaid(&drawing).matches(" ---|").count(), pairs.len());
        let text = graph::terminal(&drawing);
        for corner in ['╮', '╯'] {
            // One corner for each box and each cable.
            prop_assert_eq!(text.matches(corner).count(), 7 + pairs.len(), "{}", text);
        }
        let borders = text.matches('├').count();
        prop_assert_eq!(borders, 2 * pairs.len(), "{}", text);
    }
}
