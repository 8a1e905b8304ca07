//! Steps that wait for a table to look a certain way.

use super::{Outcome, tables};
use crate::{
    base::{MS, NsId, Time},
    conform::{
        case::{Secs, WaitFdbGone, WaitNeigh},
        exec::Lab,
    },
};
use serde_json::json;

/// Looks every `pause` whether `ready` holds, for at most `timeout`.
async fn poll(lab: &Lab, timeout: Time, pause: Time, mut ready: impl FnMut() -> bool) -> bool {
    let end = lab.now() + timeout;
    while lab.now() < end {
        if ready() {
            return true;
        }
        lab.sleep(pause).await;
    }
    false
}

/// Waits until a neighbour is in one of the wanted states.
pub async fn neigh(lab: &Lab, ns: NsId, w: WaitNeigh) -> Outcome {
    let timeout = w.timeout.unwrap_or(Secs::ms(10_000)).0;
    let reached = poll(lab, timeout, 30 * MS, || {
        let table = tables::neigh(&lab.world.borrow(), ns, true);
        let entry = table.iter().find(|l| l.split(' ').next() == Some(&w.ip));
        let state = entry.and_then(|l| l.rsplit(' ').next()).unwrap_or("NONE");
        w.state.iter().any(|s| s == state)
    });
    Ok(json!({ "reached": reached.await }))
}

/// Waits until a station is in no table of the namespace's bridges.
pub async fn fdb_gone(lab: &Lab, ns: NsId, w: WaitFdbGone) -> Outcome {
    let mac = lab.topo.mac(&w.mac)?.to_string();
    let timeout = w.timeout.unwrap_or(Secs::ms(10_000)).0;
    let gone =
        poll(lab, timeout, 50 * MS, || !tables::fdb(&lab.world.borrow(), ns, false).iter().any(|l| l.contains(&mac)));
    Ok(json!({ "gone": gone.await }))
}

/// Waits until conntrack is empty.
pub async fn ct_empty(lab: &Lab, ns: NsId, timeout: Secs) -> Outcome {
    let empty = poll(lab, timeout.0, 100 * MS, || tables::conntrack(&lab.world.borrow(), ns).is_empty());
    Ok(json!({ "empty": empty.await }))
}

/// Waits until every port of the namespace's bridges forwards or blocks.
pub async fn ports_forwarding(lab: &Lab, ns: NsId, timeout: Secs) -> Outcome {
    let ok = poll(lab, timeout.0, 100 * MS, || {
        let table = tables::stp(&lab.world.borrow(), ns);
        let mut ports = table.iter().filter(|l| l.contains(" state ")).peekable();
        ports.peek().is_some() && ports.all(|l| matches!(l.split(' ').nth(2), Some("forwarding" | "blocking")))
    });
    Ok(json!({ "ok": ok.await }))
}
