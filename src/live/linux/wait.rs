//! Steps that wait for a table to look a certain way.

use super::{Error, NetNs, Session, now, pause, tables};
use crate::{
    base::{MS, Time},
    conform::case::{Secs, WaitFdbGone, WaitNeigh},
};
use serde_json::{Value, json};

/// Looks every `rest` whether `ready` holds, for at most `timeout`.
fn poll(timeout: Time, rest: Time, mut ready: impl FnMut() -> Result<bool, Error>) -> Result<bool, Error> {
    let end = now() + timeout;
    while now() < end {
        if ready()? {
            return Ok(true);
        }
        pause(rest);
    }
    Ok(false)
}

fn patience(timeout: Option<Secs>) -> Time {
    timeout.unwrap_or(Secs::ms(10_000)).0
}

impl Session<'_> {
    /// Waits until a neighbour is in one of the wanted states.
    pub fn wait_neigh(&self, ns: &NetNs, w: &WaitNeigh) -> Result<Value, Error> {
        let reached = poll(patience(w.timeout), 30 * MS, || {
            let table = tables::neigh(ns, true)?;
            let entry = table.iter().find(|l| l.split(' ').next() == Some(&w.ip));
            let state = entry.and_then(|l| l.rsplit(' ').next()).unwrap_or("NONE");
            Ok(w.state.iter().any(|s| s == state))
        });
        Ok(json!({ "reached": reached? }))
    }

    /// Waits until a station is in no table of the namespace's bridges.
    pub fn wait_fdb_gone(&self, ns: &NetNs, w: &WaitFdbGone) -> Result<Value, Error> {
        let mac = self.topo.mac(&w.mac)?.to_string();
        let gone = poll(patience(w.timeout), 50 * MS, || Ok(!tables::fdb(ns, false)?.iter().any(|l| l.contains(&mac))));
        Ok(json!({ "gone": gone? }))
    }

    /// Waits until conntrack is empty.
    pub fn wait_ct_empty(&self, ns: &NetNs, timeout: Time) -> Result<Value, Error> {
        let empty = poll(timeout, 100 * MS, || Ok(tables::conntrack(ns)?.is_empty()));
        Ok(json!({ "empty": empty? }))
    }

    /// Waits until every port of the namespace's bridges forwards or blocks.
    pub fn wait_ports_forwarding(&self, ns: &NetNs, timeout: Time) -> Result<Value, Error> {
        let ok = poll(timeout, 100 * MS, || {
            let table = tables::stp(ns)?;
            let mut ports = table.iter().filter(|l| l.contains(" state ")).peekable();
            Ok(ports.peek().is_some() && ports.all(|l| matches!(l.split(' ').nth(2), Some("forwarding" | "blocking"))))
        });
        Ok(json!({ "ok": ok? }))
    }
}
