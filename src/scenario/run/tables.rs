//! The tables of every namespace at a moment, and what changed between two.

use crate::{base::NsId, kernel::Kernel, report::run::TableChange, scenario::exec};
use std::collections::BTreeMap;

/// At most this many namespaces are looked at: the tables of more would be read by nobody.
const MAX_NAMESPACES: usize = 1000;
/// At most this many lines of a table are kept.
const MAX_LINES: usize = 500;

/// A table's name and its lines.
type Lines = (&'static str, Vec<String>);

/// The tables by namespace and name.
pub(super) struct Tables(Vec<(String, [Lines; 4])>);

impl Tables {
    /// The tables now.
    pub(super) fn of(kernel: &Kernel) -> Tables {
        let all = (0..kernel.nss.len().min(MAX_NAMESPACES) as u32).map(NsId).map(|ns| {
            let tables = [
                ("routes", exec::route_lines(kernel, ns)),
                ("neighbours", exec::neigh_lines(kernel, ns)),
                ("fdb", fdb_lines(kernel, ns)),
                ("conntrack", conntrack_lines(kernel, ns)),
            ];
            let cut = tables.map(|(name, mut lines)| {
                lines.truncate(MAX_LINES);
                (name, lines)
            });
            (kernel.ns_name(ns).to_string(), cut)
        });
        Tables(all.collect())
    }

    /// What is different in `later`.
    pub(super) fn changes(&self, later: &Tables) -> Vec<TableChange> {
        let mut changes = Vec::new();
        for ((ns, before), (_, after)) in self.0.iter().zip(&later.0) {
            for ((table, old), (_, new)) in before.iter().zip(after) {
                let added: Vec<String> = new.iter().filter(|l| !old.contains(l)).cloned().collect();
                let removed: Vec<String> = old.iter().filter(|l| !new.contains(l)).cloned().collect();
                if !added.is_empty() || !removed.is_empty() {
                    changes.push(TableChange { ns: ns.clone(), table, added, removed });
                }
            }
        }
        changes
    }

    /// The tables that are not empty, for a document.
    pub(super) fn by_namespace(self) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
        let all = self.0.into_iter().map(|(ns, tables)| {
            let filled = tables.into_iter().filter(|(_, lines)| !lines.is_empty());
            (ns, filled.map(|(table, lines)| (table.to_string(), lines)).collect())
        });
        all.collect()
    }
}

/// What bridges learned, as `bridge fdb` prints it, and on a namespace-aware bridge whose station it is.
fn fdb_lines(kernel: &Kernel, ns: NsId) -> Vec<String> {
    let mut lines = Vec::new();
    for dev in &kernel.ns(ns).devices {
        let Some(bridge) = kernel.dev(*dev).bridge() else { continue };
        for e in bridge.fdb(kernel.core.now).into_iter().filter(|e| !e.permanent) {
            let mut line = format!("{} dev {} master {}", e.mac, kernel.dev_name(e.dev), kernel.dev_name(*dev));
            if e.vlan != 0 {
                line.push_str(&format!(" vlan {}", e.vlan));
            }
            if e.is_static {
                line.push_str(" static");
            }
            if let Some(owner) = e.ns {
                line.push_str(&format!(" (station of {})", kernel.ns_name(owner)));
            }
            lines.push(line);
        }
    }
    lines
}

/// Connections as `/proc/net/nf_conntrack` lists them.
fn conntrack_lines(kernel: &Kernel, ns: NsId) -> Vec<String> {
    let Some(nf) = &kernel.ns(ns).netfilter else { return Vec::new() };
    nf.entries(kernel.core.now).into_iter().map(|e| e.proc_line(kernel.core.now)).collect()
}
