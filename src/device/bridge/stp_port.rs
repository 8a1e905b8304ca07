//! What the spanning tree protocol keeps per port, and the vocabulary it shares with the bridge.

use super::bpdu::{Bpdu, BridgeId};
use crate::base::Time;

/// The state of a bridge port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PortState {
    /// No link, or the bridge is down.
    #[default]
    Disabled,
    /// Kept out of the tree: only BPDUs are heard.
    Blocking,
    /// About to join the tree.
    Listening,
    /// About to forward, already learning.
    Learning,
    /// Part of the tree.
    Forwarding,
}

impl PortState {
    /// The name `bridge link` prints.
    pub const fn name(self) -> &'static str {
        match self {
            PortState::Disabled => "disabled",
            PortState::Blocking => "blocking",
            PortState::Listening => "listening",
            PortState::Learning => "learning",
            PortState::Forwarding => "forwarding",
        }
    }
}

/// What the protocol wants done, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum StpOut {
    State(u32, PortState),
    Send(u32, Bpdu),
}

/// What a port knows about its segment (§8.5.5).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StpPort {
    pub(super) present: bool,
    pub(super) id: u16,
    pub(super) path_cost: u32,
    pub(super) state: PortState,
    pub(super) designated_root: BridgeId,
    pub(super) designated_cost: u32,
    pub(super) designated_bridge: BridgeId,
    pub(super) designated_port: u16,
    /// When the information arrived, and how old it was then.
    pub(super) heard: (Time, Time),
    pub(super) change_ack: bool,
    pub(super) config_pending: bool,
    pub(super) message_age: Option<Time>,
    pub(super) forward_delay: Option<Time>,
    pub(super) hold: Option<Time>,
}

impl StpPort {
    pub(super) fn timers(&mut self) -> [&mut Option<Time>; 3] {
        [&mut self.message_age, &mut self.forward_delay, &mut self.hold]
    }

    pub(super) fn root_cost(&self) -> u32 {
        self.designated_cost.saturating_add(self.path_cost)
    }
}

/// Protocol times (§8.5.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) max_age: Time,
    pub(super) hello: Time,
    pub(super) forward_delay: Time,
}
