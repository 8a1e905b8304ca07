//! One world: in netsim, on the kernel, and made smaller while the two differ.

use super::{
    emit,
    plan::{Plan, plans},
};
use netsim::{
    conform::{self, Case},
    live,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Smaller worlds tried for one that differs. Each takes the kernel a second or two.
const TRIES: u32 = 50;

/// A world: which of which seed.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub seed: u64,
    pub index: u64,
}

/// What became of it.
pub enum Verdict {
    Same,
    /// The kernel would not build it or run it, or netsim cannot express it.
    Refused(String),
    /// The kernel did not do the same twice.
    Unstable(Vec<String>),
    /// The smallest world found that differs, what the kernel did in it, and the differences.
    Different {
        case: Value,
        observed: String,
        found: Vec<String>,
    },
}

/// What the kernel did, and what netsim did otherwise.
struct Comparison {
    observed: Value,
    found: Vec<String>,
}

impl World {
    pub fn name(&self) -> String {
        format!("w{}-{}", self.seed, self.index)
    }

    fn tree(&self) -> impl ValueTree<Value = Plan> + use<> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.index.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        plans().new_tree(&mut TestRunner::new_with_rng(Config::default(), rng)).expect("nothing is filtered out")
    }

    /// The case of the whole world.
    pub fn case(&self) -> Value {
        emit::case(&self.tree().current(), &self.name())
    }

    /// Runs it in both, and makes it smaller if it differs.
    pub fn examine(&self) -> Verdict {
        let mut tree = self.tree();
        let plan = tree.current();
        let case = emit::case(&plan, &self.name());
        let first = match compare(&case) {
            Ok(c) if c.found.is_empty() => return Verdict::Same,
            Ok(c) => c,
            Err(e) => return Verdict::Refused(e),
        };
        // The machine may have been busy at the wrong moment.
        match again(&case, &first) {
            Ok(changed) if changed.is_empty() => {}
            Ok(changed) => return Verdict::Unstable(changed),
            Err(e) => return Verdict::Unstable(vec![e]),
        }
        let mut smallest = (case, first);
        for _ in 0..TRIES {
            if !tree.simplify() {
                break;
            }
            let case = emit::case(&tree.current(), &self.name());
            if case == smallest.0 {
                continue;
            }
            let differs = compare(&case).ok().filter(|c| !c.found.is_empty());
            let stable = differs.filter(|c| again(&case, c).is_ok_and(|changed| changed.is_empty()));
            match stable {
                Some(c) => smallest = (case, c),
                None => {
                    if !tree.complicate() {
                        break;
                    }
                }
            }
        }
        let (case, Comparison { observed, found }) = smallest;
        let observed = serde_json::to_string_pretty(&observed).expect("an observation is JSON") + "\n";
        Verdict::Different { case, observed, found }
    }
}

fn parse(case: &Value) -> Case {
    let text = serde_json::to_string(case).expect("a case is JSON");
    Case::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// What the kernel does.
fn observe(case: &Case) -> Result<Value, String> {
    let run = live::run(case).map_err(|e| e.to_string())?;
    conform::normalise(case, &run.raw, &run.packets)
}

fn compare(written: &Value) -> Result<Comparison, String> {
    let case = parse(written);
    let observed = observe(&case)?;
    let here = catch_unwind(AssertUnwindSafe(|| {
        let run = conform::run(&case, 1)?;
        conform::normalise(&case, &run.raw, &run.packets)
    }));
    let found = match here {
        Ok(Ok(here)) => conform::compare(&observed, &here, &conform::IGNORED),
        Ok(Err(e)) => vec![e],
        Err(_) => vec!["netsim panics".into()],
    };
    Ok(Comparison { observed, found })
}

/// In what the kernel does otherwise the second time.
fn again(written: &Value, first: &Comparison) -> Result<Vec<String>, String> {
    let second = observe(&parse(written))?;
    Ok(conform::compare(&first.observed, &second, &conform::IGNORED))
}
