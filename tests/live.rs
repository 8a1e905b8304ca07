//! The live oracle against the recorded one: public cases, run in real namespaces here, give what was recorded.
//!
//! Where namespaces may not be made the test says `skipped: …` and passes; so it does with `NETSIM_KERNEL=0`. `NETSIM_CASE=NAME` runs only the cases whose
//! names contain it and prints every difference; `NETSIM_LIVE=all` runs those too that take long.

mod kernel;

use netsim::{
    conform::{self, Case},
    live,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::Instant,
};

/// Cases that take the kernel longer than this many seconds of waiting are left to `NETSIM_LIVE=all`.
const LONG: f64 = 6.0;

/// So many cases run at once; they mostly wait.
const AT_ONCE: usize = 6;

/// Cases whose packets this way of recording does not see as they were, each with the reason.
const UNSEEN: &[(&str, &str)] = &[
    ("tcp-address-gone", "what servers hear when the recorder closes what is still open at the end is not heard here"),
    ("nat-fragments", REBUILT),
    ("pmtud-modes", REBUILT),
    ("pmtud-through-nat", REBUILT),
    ("frag-nat-filter", REBUILT),
];
const REBUILT: &str = "fragments that conntrack puts together and takes apart are seen at its entrance as they leave";

enum Verdict {
    Same,
    Differs(Vec<String>),
    Skipped(String),
}

fn examine(dir: &Path, filtered: bool, all: bool) -> Verdict {
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("a file of the case");
    let mut case = Case::parse(&read("case.json")).expect("a case");
    let name = name_of(dir);
    case.name.get_or_insert_with(|| name.clone());
    if let Some((_, why)) = UNSEEN.iter().find(|(n, _)| *n == name) {
        return Verdict::Skipped((*why).into());
    }
    let observed = read("observed.json");
    let length = seconds(&observed);
    if !filtered && !all && length > LONG {
        return Verdict::Skipped(format!("takes {length:.0} s; NETSIM_LIVE=all runs it"));
    }
    match live::lacking(&case) {
        Ok(lacking) if lacking.is_empty() => {}
        Ok(lacking) => return Verdict::Skipped(format!("this kernel lacks {}", lacking.join(", "))),
        Err(e) => return Verdict::Skipped(e.to_string()),
    }
    let once = || match live::run(&case) {
        Ok(run) => conform::judge(&case, &run, &observed).unwrap_or_else(|e| vec![e]),
        Err(e) => vec![e.to_string()],
    };
    // The machine may have been busy at the wrong moment: a difference counts if it comes again.
    let found = once();
    match if found.is_empty() { found } else { once() } {
        found if found.is_empty() => Verdict::Same,
        found => Verdict::Differs(found),
    }
}

/// What the steps took when they were recorded, with the sleeps.
fn seconds(observed: &str) -> f64 {
    let after = |key: &str| {
        let parts = observed.split(key).skip(1);
        let number = |p: &str| p.split([',', '}', '\n']).next().and_then(|n| n.trim().parse::<f64>().ok());
        parts.filter_map(number).sum::<f64>()
    };
    after("\"elapsed_s\":")
}

fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel runs in real time, and which cases run is the caller's choice"
)]
fn the_kernel_does_what_was_recorded() {
    if let Err(e) = kernel::permitted() {
        println!("skipped: {e}");
        return;
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let folder = env::var_os("NETSIM_CASES").map_or(home, PathBuf::from);
    let filter = env::var("NETSIM_CASE").unwrap_or_default();
    let all = env::var_os("NETSIM_LIVE").is_some();
    let mut dirs: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of cases")
        .map(|e| e.expect("an entry of the folder").path())
        .filter(|p| p.join("case.json").is_file() && name_of(p).contains(&filter))
        .collect();
    dirs.sort();
    dirs.reverse();
    let (waiting, verdicts) = (Mutex::new(dirs), Mutex::new(Vec::new()));
    thread::scope(|s| {
        for _ in 0..AT_ONCE {
            s.spawn(|| {
                loop {
                    let Some(dir) = waiting.lock().expect("nobody panics with it").pop() else { return };
                    let start = Instant::now();
                    let verdict = examine(&dir, !filter.is_empty(), all);
                    let took = start.elapsed().as_millis();
                    verdicts.lock().expect("nobody panics with it").push((name_of(&dir), verdict, took));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().expect("nobody panicked with it");
    verdicts.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut same, mut skipped, mut differ) = (0, 0, 0);
    for (name, verdict, took) in &verdicts {
        match verdict {
            Verdict::Same => {
                same += 1;
                println!("ok    {name} ({took} ms)");
            }
            Verdict::Skipped(why) => {
                skipped += 1;
                println!("skip  {name}: {why}");
            }
            Verdict::Differs(found) => {
                differ += 1;
                println!("FAIL  {name} ({took} ms, {} differences)", found.len());
                let shown = if filter.is_empty() { 3 } else { usize::MAX };
                found.iter().take(shown).for_each(|d| println!("      {d}"));
            }
        }
    }
    println!("live: {same} as recorded, {differ} different, {skipped} skipped");
    assert_eq!(differ, 0, "cases the kernel does not do as recorded");
}
