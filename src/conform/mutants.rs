//! Are the cases any good? Each deliberately wrong behaviour must make some of them fail, and all pass without one.

use super::{Case, judge, run};
use crate::base::{Mutant, mutant::ACTIVE};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// The cases of the kernel, each with its name and what was observed.
fn cases() -> Vec<(String, Case, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of cases") {
        let dir = entry.expect("an entry of the folder").path();
        let read = |name: &str| fs::read_to_string(dir.join(name)).expect("a file of the case");
        let case = Case::parse(&read("case.json")).expect("a case");
        all.push((dir.file_name().expect("a name").to_string_lossy().into_owned(), case, read("observed.json")));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The first case that notices `mutant`. One that brings the run to an end has noticed it, too.
fn caught(cases: &[(String, Case, String)], mutant: Option<Mutant>) -> Option<&str> {
    ACTIVE.set(mutant);
    let differs = |(_, case, golden): &&(String, Case, String)| {
        let judged = catch_unwind(AssertUnwindSafe(|| run(case, 1).and_then(|run| judge(case, &run, golden))));
        !matches!(judged, Ok(Ok(differences)) if differences.is_empty())
    };
    let found = cases.iter().find(differs).map(|(name, ..)| name.as_str());
    ACTIVE.set(None);
    found
}

#[test]
fn every_wrong_behaviour_is_caught() {
    let cases = cases();
    assert_eq!(caught(&cases, None), None);
    for mutant in [
        Mutant::KeepsTtl,
        Mutant::ForwardsDeadPackets,
        Mutant::StationNeverMoves,
        Mutant::FloodsBack,
        Mutant::ForgetsPort,
        Mutant::ForgetsQuote,
        Mutant::StaleChecksum,
        Mutant::NeverForgets,
        Mutant::AcceptsAnySource,
        Mutant::UnlimitedErrors,
        Mutant::ReportsAnything,
    ] {
        assert!(caught(&cases, Some(mutant)).is_some(), "no case notices {mutant:?}");
    }
}
