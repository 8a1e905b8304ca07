//! Steps that are shell commands.

use super::Outcome;
use crate::{
    base::NsId,
    conform::{
        exec::Lab,
        shell::{self, Pattern},
    },
};
use serde_json::json;

/// Runs a script; `replace` rewrites what it printed, `quiet` leaves only the exit status.
pub fn exec(lab: &Lab, ns: NsId, script: &str, quiet: bool, replace: &[(String, String)]) -> Outcome {
    let done = shell::run(&mut lab.world.borrow_mut(), ns, script)?;
    if quiet {
        return Ok(json!({ "exit": done.status }));
    }
    let (mut out, mut err) = (done.out, done.err);
    for (pattern, with) in replace {
        let pattern = Pattern::new(pattern, true)?;
        out = pattern.replace(&out, with);
        err = pattern.replace(&err, with);
    }
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    let mut result = json!({ "exit": done.status, "stdout": lines(&out) });
    if !err.is_empty() {
        result["stderr"] = json!(lines(&err));
    }
    Ok(result)
}
