//! `sysctl`.

use super::{ExecError, Outcome, Words};
use crate::{base::NsId, kernel::Kernel};

pub(super) fn run(kernel: &mut Kernel, ns: NsId, words: &mut Words<'_>) -> Outcome {
    let mut lines = Vec::new();
    while words.peek().is_some_and(|w| w.starts_with('-')) {
        words.next();
    }
    let settings = words.rest();
    // Values may hold blanks, as in `net.ipv4.ip_local_port_range="1024 2000"`; then there is one setting only.
    let quoted = settings.contains(['"', '\'']);
    let each = if quoted { vec![settings] } else { settings.split_whitespace().collect() };
    if each.is_empty() {
        return Err(ExecError::usage("sysctl [-w] KEY[=VALUE] ..."));
    }
    for setting in each {
        match setting.split_once('=') {
            Some((key, value)) => {
                let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
                kernel.set_sysctl(ns, key, value).map_err(|e| ExecError::Words(format!("sysctl: {e}")))?;
                lines.push(format!("{key} = {value}"));
            }
            None => {
                let value = kernel.sysctl(ns, setting).map_err(|e| ExecError::Words(format!("sysctl: {e}")))?;
                lines.push(format!("{setting} = {value}"));
            }
        }
    }
    Ok(lines)
}
