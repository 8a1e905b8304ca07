//! Random worlds, in netsim and on a real kernel: what is seen must be the same.
//!
//! A world is a small topology of hosts, bridges, routers and NAT with a few unusual or wrong things, and some traffic,
//! written as a case in the oracle's form.
//!
//! `NETSIM_WORLDS_OUT=DIR` writes the cases of `NETSIM_WORLDS` worlds of the seed `NETSIM_WORLDS_SEED` instead of running
//! them.

mod emit;
mod plan;
mod topology;
mod traffic;
mod twists;

use netsim::conform::{self, Case};
use plan::{Plan, plans};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{env, fs, path::PathBuf};

/// The worlds of a seed, one after the other.
struct Worlds(TestRunner);

impl Worlds {
    fn new(seed: u64) -> Worlds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Worlds(TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)))
    }

    fn next(&mut self) -> impl ValueTree<Value = Plan> + use<> {
        plans().new_tree(&mut self.0).expect("nothing is filtered out")
    }
}

#[expect(clippy::disallowed_methods, reason = "how much is run, and where it goes, is the caller's choice")]
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|v| v.parse().ok())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how much is run, and where it goes, is the caller's choice")]
fn worlds() {
    let seed = number("NETSIM_WORLDS_SEED").unwrap_or(1);
    let count = number("NETSIM_WORLDS").unwrap_or(60);
    let mut worlds = Worlds::new(seed);
    let out = env::var_os("NETSIM_WORLDS_OUT").map(PathBuf::from);
    for i in 0..count {
        let plan = worlds.next().current();
        let name = format!("w{seed}-{i}");
        let case = emit::case(&plan, &name);
        let text = serde_json::to_string_pretty(&case).expect("a case is JSON");
        let parsed = Case::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        match &out {
            Some(dir) => {
                fs::create_dir_all(dir.join(&name)).expect("a folder for the case");
                fs::write(dir.join(&name).join("case.json"), text).expect("the case is written");
            }
            None => {
                if let Err(e) = conform::run(&parsed, 1) {
                    println!("{name}: {e}");
                }
            }
        }
    }
}
