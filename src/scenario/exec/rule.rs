//! `ip rule`.

use super::{ExecError, Outcome, Words, is};
use crate::{
    base::NsId,
    kernel::Kernel,
    route::{Family, parse_rule},
};

pub(super) fn run(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let verb = words.next().unwrap_or("show");
    if is(verb, "add") {
        let spec = parse_rule(words.rest(), false)?;
        spec.resolve(&|name| kernel.find_dev(ns, name), 0)?;
        kernel.add_rule_spec(ns, &spec)?;
    } else if is(verb, "delete") {
        let spec = parse_rule(words.rest(), false)?;
        spec.selector(&|name| kernel.find_dev(ns, name))?;
        kernel.delete_rule_spec(ns, &spec)?;
    } else if is(verb, "show") || is(verb, "list") {
        let rules = kernel.ns(ns).fib.rules(Family::V4);
        return Ok(rules.iter().map(|r| r.show(&|dev| kernel.dev_name(dev))).collect());
    } else {
        return Err(ExecError::garbage(verb));
    }
    Ok(Vec::new())
}
