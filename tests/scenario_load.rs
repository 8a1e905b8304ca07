//! Good scenario files: they load, print, and load again to the same.

use netsim::scenario::{Directory, Scenario, Target, diagnose, inspect, load, print, schema::reference};

fn everything() -> (String, Scenario) {
    let source = include_str!("scenarios_good/everything.ron");
    let (scenario, found) = inspect(source.as_bytes());
    let text = diagnose::render(&found, source, "everything.ron", false);
    (text, scenario.unwrap_or_else(|| panic!("{}", diagnose::render(&found, source, "everything.ron", false))))
}

#[test]
fn the_file_with_everything_loads_without_a_word() {
    let (text, scenario) = everything();
    assert_eq!(text, "");
    assert_eq!(scenario.namespaces.len(), 10);
    assert_eq!(scenario.links.len(), 9);
}

#[test]
fn the_file_with_everything_has_every_field_and_variant() {
    let source = include_str!("scenarios_good/everything.ron");
    let mut words = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect::<Vec<_>>();
    words.sort_unstable();
    let has = |word: &str| words.binary_search(&word).is_ok();
    let mut missing = Vec::new();
    for section in reference() {
        let fields = section.fields.iter().map(|f| f.name).filter(|f| !source.contains(&format!("{f}: ")));
        // `Plain` is what a group without a name stands for.
        let variants = section.variants.iter().map(|v| v.name).filter(|v| !has(v) && *v != "Plain");
        missing.extend(fields.chain(variants).map(|name| format!("{}: {name}", section.name)));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_printed_reads_back_to_the_same() {
    let (_, scenario) = everything();
    let text = print(&scenario);
    let again = load(&text).unwrap_or_else(|found| panic!("{}", diagnose::render(&found, &text, "printed", false)));
    assert_eq!(again, scenario);
    assert_eq!(print(&again), text);
}

#[test]
fn values_keep_their_places() {
    let source = include_str!("scenarios_good/everything.ron");
    let (_, scenario) = everything();
    let cut = |span: netsim::scenario::Span| &source[span.start as usize..span.end as usize];
    assert_eq!(cut(scenario.seed.span), "7");
    assert_eq!(cut(scenario.links[0].a().span), "a:eth0");
    assert_eq!(cut(scenario.links[2].delay.unwrap().span), "\"10ms\"");
    assert_eq!(cut(scenario.steps[1].at.span), "\"0s\"");
    let a = scenario.namespaces.get("a").unwrap();
    assert_eq!(cut(a.routes[1].span), "\"blackhole 192.0.2.128/25\"");
    assert_eq!(cut(scenario.expect[3].span), "SeenAs(at: \"web\", src: \"203.0.113.2\")");
}

#[test]
fn names_stand_for_addresses() {
    let (_, scenario) = everything();
    let names = Directory::new(&scenario);
    let address = |target: Target| names.address(&target).map(|a| a.to_string());
    assert_eq!(address(Target::Ns("a".into())), Ok("10.10.0.2".into()));
    assert_eq!(address(Target::Ns("host".into())), Ok("10.10.0.1".into()));
    assert!(address(Target::Ns("sw".into())).is_err());
}

#[test]
fn directions_of_a_link_combine_common_and_own_values() {
    let (_, scenario) = everything();
    let (forward, backward) = (scenario.links[2].forward_impairment(), scenario.links[2].backward_impairment());
    assert_eq!(forward.delay.unwrap().to_string(), "10ms");
    assert_eq!(forward.rate.unwrap().to_string(), "10Mbit");
    assert_eq!(backward.delay.unwrap().to_string(), "20ms");
    assert_eq!(backward.rate.unwrap().to_string(), "100Mbit");
    assert!(scenario.links[0].forward_impairment().is_none());
}
