//! The names of namespaces and devices, kept once.

use crate::base::{DevId, NsId};

/// Resolves ids to the names people gave.
#[derive(Default, Debug, Clone)]
pub struct Names {
    ns: Vec<Box<str>>,
    dev: Vec<(NsId, Box<str>)>,
}

impl Names {
    /// Registers the next namespace.
    pub fn add_ns(&mut self, name: &str) -> NsId {
        self.ns.push(name.into());
        NsId(self.ns.len() as u32 - 1)
    }

    /// Registers the next device.
    pub fn add_dev(&mut self, ns: NsId, name: &str) -> DevId {
        self.dev.push((ns, name.into()));
        DevId(self.dev.len() as u32 - 1)
    }

    /// The name of a namespace.
    pub fn ns(&self, id: NsId) -> &str {
        &self.ns[id.index()]
    }

    /// The name of a device within its namespace.
    pub fn dev(&self, id: DevId) -> &str {
        &self.dev[id.index()].1
    }

    /// The namespace that owns a device.
    pub fn owner(&self, id: DevId) -> NsId {
        self.dev[id.index()].0
    }

    /// `ns:dev`.
    pub fn full(&self, id: DevId) -> String {
        format!("{}:{}", self.ns(self.owner(id)), self.dev(id))
    }

    /// How many namespaces there are.
    pub fn ns_count(&self) -> usize {
        self.ns.len()
    }

    /// How many devices there are.
    pub fn dev_count(&self) -> usize {
        self.dev.len()
    }
}
