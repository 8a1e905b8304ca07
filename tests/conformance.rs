//! Every case of `tests/conformance/cases`, or of the folder `NETSIM_CASES` names: run in netsim, normalised, and
//! compared with what a real kernel did.
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
    let folder = other.unwrap_or_else(|| home.join("cases"));
    let mut dirs: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of cases")
        .map(|e| e.expect("an entry of the folder").path())
        .filter(|p| p.join("case.json").is_file() && name_of(p).contains(&filter))
        .collect();
    dirs.sort();
    let (mut passed, mut failed) = (0, 0);
    for dir in &dirs {
        let start = Instant::now();
        let found = differences(dir);
        let (name, took) = (name_of(dir), start.elapsed().as_millis());
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
}
