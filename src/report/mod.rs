//! What a run looked like: each output is a [`crate::trace::Sink`], a document built after the run, or both.
//!
//! Nothing here reads a clock, an environment or a terminal. Where words are needed for what happened to a frame, all
//! outputs take them from [`words`].

pub mod frames;
pub mod graph;
pub mod json;
pub mod jsonl;
pub mod pcapng;
pub mod run;
pub mod stats;
pub mod story;
pub mod text;
pub mod words;

use crate::{base::DevId, trace::Names, wire::dissect::LinkKind};
use std::collections::BTreeSet;

/// Which devices carry bare IP packets instead of Ethernet frames: every `lo`, and those named here.
#[derive(Clone, Default, Debug)]
pub struct LinkKinds {
    bare: BTreeSet<DevId>,
}

impl LinkKinds {
    /// Declares that a device (an IP tunnel) has no link-layer header.
    pub fn declare_ip(&mut self, dev: DevId) {
        self.bare.insert(dev);
    }

    /// What frames of a device begin with.
    ///
    /// ```
    /// use netsim::{report::LinkKinds, trace::Names, wire::dissect::LinkKind};
    /// let mut names = Names::default();
    /// let a = names.add_ns("a");
    /// let (lo, eth0) = (names.add_dev(a, "lo"), names.add_dev(a, "eth0"));
    /// let kinds = LinkKinds::default();
    /// assert_eq!((kinds.of(&names, lo), kinds.of(&names, eth0)), (LinkKind::Ip, LinkKind::Ethernet));
    /// ```
    pub fn of(&self, names: &Names, dev: DevId) -> LinkKind {
        if names.dev(dev) == "lo" || self.bare.contains(&dev) { LinkKind::Ip } else { LinkKind::Ethernet }
    }
}
