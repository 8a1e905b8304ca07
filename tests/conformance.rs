//! Every case of `tests/conformance/cases`, or of the folder `NETSIM_CASES` names: run in netsim, normalised, and
//! compared with what a real kernel did.
//!
//! After a run of all cases of the project, the table in `docs/fidelity.md` must be the one that follows from it;
//! `NETSIM_UPDATE=1` writes it there.
//!
//! `NETSIM_CASE=NAME`, or the name behind `--`, runs only the cases whose names contain it, and prints every difference.

use netsim::conform::{self, Case};
use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Instant,
};

/// The differences of one case; an error counts as one.
fn differences(dir: &Path) -> Vec<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| examine(dir)));
    match outcome {
        Ok(Ok(found)) => found,
        Ok(Err(e)) => vec![e],
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
            vec![format!("panicked: {text}")]
        }
    }
}

fn examine(dir: &Path) -> Result<Vec<String>, String> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).map_err(|e| format!("{name}: {e}"));
    let mut case = Case::parse(&read("case.json")?).map_err(|e| format!("case.json: {e}"))?;
    case.name.get_or_insert_with(|| name_of(dir));
    let run = conform::run(&case, 1)?;
    conform::judge(&case, &run, &read("observed.json")?)
}

fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "which cases are run is the caller's choice, and so is how long it takes"
)]
fn main() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let other = env::var_os("NETSIM_CASES").map(PathBuf::from);
    // Options are those of the usual harness; none of them means anything here but the question what tests there are.
    if env::args().any(|a| a == "--list") {
        println!("cases: test");
        return;
    }
    let named = env::args().skip(1).find(|a| !a.starts_with('-'));
    let filter = named.or_else(|| env::var("NETSIM_CASE").ok()).unwrap_or_default();
    let whole = other.is_none() && filter.is_empty();
    let folder = other.unwrap_or_else(|| home.join("cases"));
    let mut dirs: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of cases")
        .map(|e| e.expect("an entry of the folder").path())
        .filter(|p| p.join("case.json").is_file() && name_of(p).contains(&filter))
        .collect();
    dirs.sort();
    let (mut passed, mut failed) = (0, 0);
    let mut results = Vec::new();
    for dir in &dirs {
        let start = Instant::now();
        let found = differences(dir);
        let (name, took) = (name_of(dir), start.elapsed().as_millis());
        results.push((name.clone(), found.is_empty()));
        match &found[..] {
            [] => {
                println!("ok    {name} ({took} ms)");
                passed += 1;
            }
            [first, rest @ ..] => {
                println!("FAIL  {name} ({took} ms, {} differences)\n      {first}", found.len());
                if !filter.is_empty() {
                    rest.iter().for_each(|d| println!("      {d}"));
                }
                failed += 1;
            }
        }
    }
    println!("conformance: {passed} passed, {failed} failed");
    assert!(failed == 0 && !dirs.is_empty(), "{failed} of {} cases differ from the kernel", dirs.len());
    if whole {
        let update = env::var_os("NETSIM_UPDATE").is_some();
        let areas = fs::read_to_string(home.join("areas.txt")).expect("the areas");
        check_page(&home.join("../../docs/fidelity.md"), &table(&areas, &results), update);
    }
}

/// Area, number of cases, result: `areas` gives the beginnings of the names of each area's cases.
fn table(areas: &str, results: &[(String, bool)]) -> String {
    let areas: Vec<(&str, Vec<&str>)> = areas
        .lines()
        .map(|line| line.split_once(": ").expect("an area and what its cases begin with"))
        .map(|(area, begins)| (area, begins.split_whitespace().collect()))
        .collect();
    let area_of = |name: &str| areas.iter().position(|(_, begins)| begins.iter().any(|b| name.starts_with(b)));
    let strays: Vec<&str> = results.iter().map(|(n, _)| n.as_str()).filter(|n| area_of(n).is_none()).collect();
    assert!(strays.is_empty(), "tests/conformance/areas.txt has no area for {strays:?}");
    let mut text = "| area | cases | as the kernel did |\n|---|---:|---:|\n".to_string();
    let mut row = |name: &str, of: &[bool]| {
        text += &format!("| {name} | {} | {} |\n", of.len(), of.iter().filter(|passed| **passed).count());
    };
    for (i, (area, _)) in areas.iter().enumerate() {
        row(area, &results.iter().filter(|(n, _)| area_of(n) == Some(i)).map(|r| r.1).collect::<Vec<_>>());
    }
    row("**all**", &results.iter().map(|r| r.1).collect::<Vec<_>>());
    text
}

/// The page must have the table between its two marks.
fn check_page(page: &Path, table: &str, update: bool) {
    const MARKS: (&str, &str) = ("<!-- cases -->\n", "<!-- end -->");
    let text = fs::read_to_string(page).expect("the page");
    let (before, rest) = text.split_once(MARKS.0).expect("the first mark");
    let (old, after) = rest.split_once(MARKS.1).expect("the second mark");
    if old != table && update {
        fs::write(page, format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1)).expect("the page can be written");
    } else {
        assert_eq!(old, table, "the table of docs/fidelity.md is out of date: NETSIM_UPDATE=1 writes it");
    }
}
