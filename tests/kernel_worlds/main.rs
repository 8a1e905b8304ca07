//! Random worlds, in netsim and on the kernel underneath: what is seen must be the same.
//!
//! A world is a small topology of hosts, bridges, routers and NAT with a few unusual or wrong things, and some traffic,
//! written as a case in the oracle's form. It runs in netsim and in real namespaces, and the two observations are
//! compared as those of every case. A difference counts if it comes again when the kernel runs the world again; then
//! the world is made smaller as long as it differs, and written as a case: `target/kernel_worlds/NAME/`.
//!
//! Where namespaces may not be made the test says `skipped: …` and passes; so it does with `NETSIM_KERNEL=0`. `NETSIM_WORLDS=N` runs that many worlds,
//! `NETSIM_WORLDS_SEED=S` those of another seed, `NETSIM_WORLDS_JOBS=J` so many at once. `NETSIM_WORLDS_OUT=DIR` only
//! writes the cases.

mod compare;
mod emit;
#[path = "../kernel/mod.rs"]
mod kernel;
mod plan;
mod topology;
mod traffic;
mod twists;

use compare::{Verdict, World};
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

/// Worlds of the bounded run: the first ones of a fixed seed, and some that nobody has seen.
const USUAL: u64 = 54;
const FRESH: u64 = 6;
/// The fixed seed.
const SEED: u64 = 1;
/// Worlds of the fixed seed that are known to differ, each with what differs; the bounded run leaves them out. The list is
/// only ever to become shorter.
const KNOWN: &[(u64, &str)] = &[
    (0, "a neighbour heard of while it is REACHABLE stays so; the kernel has it in DELAY"),
    (36, "a router asks for the sender of a frame whose error the kernel limits"),
    (42, "a bridge whose only port lost its carrier for a moment is seen as UP"),
];
/// So many run at once; they mostly wait.
const AT_ONCE: u64 = 8;

#[expect(clippy::disallowed_methods, reason = "how much is run is the caller's choice")]
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|v| v.parse().ok())
}

/// The worlds to run: seed and number.
#[expect(clippy::disallowed_methods, reason = "a fresh seed is one no run had before")]
fn chosen() -> Vec<World> {
    let of = |seed: u64, count: u64| (0..count).map(move |index| World { seed, index });
    let seed = number("NETSIM_WORLDS_SEED");
    if let Some(only) = number("NETSIM_WORLDS_ONLY") {
        return vec![World { seed: seed.unwrap_or(SEED), index: only }];
    }
    match (number("NETSIM_WORLDS"), seed) {
        (None, None) => {
            let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(2, |t| t.as_secs());
            let known = |w: &World| KNOWN.iter().any(|(index, _)| *index == w.index);
            of(SEED, USUAL).filter(|w| !known(w)).chain(of(fresh, FRESH)).collect()
        }
        (count, seed) => of(seed.unwrap_or(SEED), count.unwrap_or(USUAL)).collect(),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "where cases are written is the caller's choice")]
fn worlds() {
    let worlds = chosen();
    if let Some(dir) = env::var_os("NETSIM_WORLDS_OUT").map(PathBuf::from) {
        for w in &worlds {
            write(&dir.join(w.name()), &w.case(), None);
        }
        return;
    }
    if let Err(e) = kernel::permitted() {
        println!("skipped: {e}");
        return;
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kernel_worlds");
    let (next, told) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|s| {
        for _ in 0..number("NETSIM_WORLDS_JOBS").unwrap_or(AT_ONCE) {
            s.spawn(|| {
                while let Some(w) = worlds.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let verdict = w.examine();
                    let mut told = told.lock().expect("nobody panics with it");
                    tell(w, &verdict, &home);
                    told.push((*w, verdict));
                }
            });
        }
    });
    let verdicts = told.into_inner().expect("nobody panicked with it");
    let count = |of: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, v)| of(v)).count();
    let refused = count(|v| matches!(v, Verdict::Refused(_)));
    let unstable = count(|v| matches!(v, Verdict::Unstable(_)));
    let different = count(|v| matches!(v, Verdict::Different { .. }));
    let compared = verdicts.len() - refused;
    println!("worlds: {compared} compared, {unstable} unstable, {different} different");
    for (index, what) in KNOWN {
        println!("(world {index} of seed {SEED} is known to differ: {what})");
    }
    if refused > 0 {
        println!("({refused} more could not be built or run on this kernel)");
    }
    // A fresh world that differs is news and is told; the test fails for those that were the same before.
    let named = number("NETSIM_WORLDS_SEED");
    let lost = |(w, v): &&(World, Verdict)| matches!(v, Verdict::Different { .. }) && w.seed == named.unwrap_or(SEED);
    let lost: Vec<String> = verdicts.iter().filter(lost).map(|(w, _)| w.name()).collect();
    assert!(lost.is_empty(), "{lost:?} differ from the kernel; the smallest of each is in {}", home.display());
}

/// A line for a world that was not the same, and its case if it differs.
fn tell(w: &World, verdict: &Verdict, home: &Path) {
    let first = |found: &[String]| found.iter().take(3).map(|d| format!("\n      {d}")).collect::<String>();
    match verdict {
        Verdict::Same => {}
        Verdict::Refused(why) => println!("no    {}: {why}", w.name()),
        Verdict::Unstable(found) => {
            println!("UNSTABLE {}: the kernel does not repeat itself{}", w.name(), first(found))
        }
        Verdict::Different { case, observed, found } => {
            let dir = home.join(w.name());
            write(&dir, case, Some(observed));
            let text: String = found.iter().map(|d| format!("{d}\n")).collect();
            fs::write(dir.join("differences"), text).expect("the differences are written");
            println!(
                "FAIL  {} ({} differences; seed {}, world {}){}",
                w.name(),
                found.len(),
                w.seed,
                w.index,
                first(found)
            );
        }
    }
}

/// Writes a case, and what the kernel did.
fn write(dir: &Path, case: &serde_json::Value, observed: Option<&str>) {
    fs::create_dir_all(dir).expect("a folder for the case");
    let text = serde_json::to_string_pretty(case).expect("a case is JSON");
    fs::write(dir.join("case.json"), text + "\n").expect("the case is written");
    if let Some(text) = observed {
        fs::write(dir.join("observed.json"), text).expect("the observation is written");
    }
}
