//! The spanning tree protocol, IEEE 802.1D-1998 §8, in the variant of net/bridge/br_stp*.c.
//!
//! A state machine over port indices: it is told about links, BPDUs and time, and says which states ports take and
//! which BPDUs leave. Section numbers beside the procedures are those of the standard.

use super::{
    bpdu::{Bpdu, BridgeId, ConfigBpdu, TICK},
    stp_port::{PortState, StpOut, StpPort, Times},
};
use crate::base::{SEC, Time};

/// Shortest time between two configuration messages of one port (§8.10.2, Table 8-3).
const HOLD_TIME: Time = SEC;
/// What a bridge adds to the age of the information it passes on (`MESSAGE_AGE_INCR`).
const MESSAGE_AGE_INCREMENT: Time = TICK;

/// The protocol entity of one bridge.
#[derive(Clone, Debug)]
pub(super) struct Stp {
    pub(super) id: BridgeId,
    pub(super) root: BridgeId,
    pub(super) root_path_cost: u32,
    pub(super) root_port: Option<u32>,
    /// The times this bridge uses when it is root.
    own: Times,
    /// The times in force: the root's.
    pub(super) times: Times,
    pub(super) topology_change: bool,
    change_detected: bool,
    up: bool,
    hello: Option<Time>,
    tcn: Option<Time>,
    change: Option<Time>,
    pub(super) ports: Vec<StpPort>,
    pub(super) out: Vec<StpOut>,
}

impl Stp {
    pub(super) fn new(id: BridgeId, own: Times) -> Stp {
        // `br_stp_start` brings the forward delay into its range.
        let own = Times { forward_delay: own.forward_delay.clamp(2 * SEC, 30 * SEC), ..own };
        Stp {
            id,
            root: id,
            root_path_cost: 0,
            root_port: None,
            own,
            times: own,
            topology_change: false,
            change_detected: false,
            up: false,
            hello: None,
            tcn: None,
            change: None,
            ports: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Other times for a bridge that is root.
    pub(super) fn set_own(&mut self, own: Times) {
        self.own = own;
        if self.is_root() {
            self.times = own;
        }
    }

    /// Another path cost of a port.
    pub(super) fn set_cost(&mut self, now: Time, p: u32, cost: u32) {
        self.ports[p as usize].path_cost = cost;
        self.select_root();
        self.select_designated();
        self.select_states(now);
    }

    /// Another identifier of a port.
    pub(super) fn set_port_id(&mut self, now: Time, p: u32, id: u16) {
        let designated = self.is_designated(p);
        let own = self.id;
        let port = &mut self.ports[p as usize];
        if designated {
            port.designated_port = id;
        }
        port.id = id;
        if port.designated_bridge == own && id < port.designated_port {
            self.become_designated(p);
            self.select_states(now);
        }
    }

    fn is_root(&self) -> bool {
        self.root == self.id
    }

    fn is_designated(&self, p: u32) -> bool {
        let p = &self.ports[p as usize];
        p.designated_bridge == self.id && p.designated_port == p.id
    }

    /// Every index a port may have; check [`Stp::enabled`].
    fn indices(&self) -> std::ops::Range<u32> {
        0..self.ports.len() as u32
    }

    fn enabled(&self, p: &u32) -> bool {
        let port = &self.ports[*p as usize];
        port.present && port.state != PortState::Disabled
    }

    fn set_state(&mut self, p: u32, state: PortState) {
        let port = &mut self.ports[p as usize];
        if port.state != state {
            port.state = state;
            self.out.push(StpOut::State(p, state));
        }
    }

    /// A port joins, disabled. `id` is its port identifier: six bits of priority, ten of number.
    pub(super) fn add_port(&mut self, p: u32, id: u16, path_cost: u32) {
        if self.ports.len() <= p as usize {
            self.ports.resize(p as usize + 1, StpPort::default());
        }
        self.ports[p as usize] = StpPort { present: true, id, path_cost, ..StpPort::default() };
        self.become_designated(p);
    }

    /// A port leaves; it must be disabled.
    pub(super) fn remove_port(&mut self, p: u32) {
        self.ports[p as usize] = StpPort::default();
    }

    /// The protocol starts while this port forwards already: it stays so.
    pub(super) fn adopt_forwarding(&mut self, p: u32) {
        self.ports[p as usize].state = PortState::Forwarding;
    }

    /// The bridge goes up or down; ports follow by `enable` and `disable`.
    pub(super) fn set_up(&mut self, now: Time, up: bool) {
        self.up = up;
        if up {
            self.hello = Some(now + self.times.hello);
            self.generate_configs(now);
        } else {
            (self.topology_change, self.change_detected) = (false, false);
            (self.hello, self.tcn, self.change) = (None, None, None);
        }
    }

    /// A link came up (§8.8.2).
    pub(super) fn enable(&mut self, now: Time, p: u32) {
        self.become_designated(p);
        let port = &mut self.ports[p as usize];
        (port.change_ack, port.config_pending) = (false, false);
        self.set_state(p, PortState::Blocking);
        self.select_states(now);
    }

    /// A link went down (§8.8.3).
    pub(super) fn disable(&mut self, now: Time, p: u32) {
        let was_root = self.is_root();
        self.become_designated(p);
        let port = &mut self.ports[p as usize];
        (port.change_ack, port.config_pending) = (false, false);
        for timer in port.timers() {
            *timer = None;
        }
        self.set_state(p, PortState::Disabled);
        self.update(now, was_root);
    }

    /// The bridge's identifier changed (§8.8.4, `br_stp_change_bridge_id`).
    pub(super) fn set_id(&mut self, now: Time, id: BridgeId) {
        let (was_root, old) = (self.is_root(), self.id);
        self.id = id;
        for port in self.ports.iter_mut().filter(|p| p.present) {
            for known in [&mut port.designated_bridge, &mut port.designated_root] {
                if *known == old {
                    *known = id;
                }
            }
        }
        self.update(now, was_root);
    }

    fn update(&mut self, now: Time, was_root: bool) {
        self.select_root();
        self.select_designated();
        self.select_states(now);
        if self.is_root() && !was_root {
            self.become_root(now);
        }
    }

    fn become_root(&mut self, now: Time) {
        self.times = self.own;
        self.detect_change(now);
        self.tcn = None;
        if self.up {
            self.generate_configs(now);
            self.hello = Some(now + self.times.hello);
        }
    }

    /// Root selection, §8.6.8.
    fn select_root(&mut self) {
        let mut best: Option<u32> = None;
        for p in self.indices().filter(|p| self.enabled(p) && !self.is_designated(*p)) {
            let port = &self.ports[p as usize];
            if port.designated_root >= self.id {
                continue;
            }
            let rank = |q: &StpPort| (q.designated_root, q.root_cost(), q.designated_bridge, q.designated_port, q.id);
            if best.is_none_or(|b| rank(port) < rank(&self.ports[b as usize])) {
                best = Some(p);
            }
        }
        self.root_port = best;
        (self.root, self.root_path_cost) = match best {
            None => (self.id, 0),
            Some(p) => (self.ports[p as usize].designated_root, self.ports[p as usize].root_cost()),
        };
    }

    /// Designated port selection, §8.6.9.
    fn select_designated(&mut self) {
        for p in self.indices() {
            if !self.enabled(&p) {
                continue;
            }
            let port = &self.ports[p as usize];
            let ours = (self.root_path_cost, self.id, port.id);
            let theirs = (port.designated_cost, port.designated_bridge, port.designated_port);
            if self.is_designated(p) || port.designated_root != self.root || ours < theirs {
                self.become_designated(p);
            }
        }
    }

    /// §8.6.10
    fn become_designated(&mut self, p: u32) {
        let (root, cost, id) = (self.root, self.root_path_cost, self.id);
        let port = &mut self.ports[p as usize];
        port.designated_root = root;
        port.designated_cost = cost;
        port.designated_bridge = id;
        port.designated_port = port.id;
    }

    /// Port state selection, §8.6.11.
    fn select_states(&mut self, now: Time) {
        for p in self.indices() {
            if !self.enabled(&p) {
                continue;
            }
            let designated = self.is_designated(p);
            let is_root_port = self.root_port == Some(p);
            let port = &mut self.ports[p as usize];
            if is_root_port || !designated {
                (port.config_pending, port.change_ack) = (false, false);
            } else {
                port.message_age = None;
            }
            if is_root_port || designated { self.make_forwarding(now, p) } else { self.make_blocking(now, p) }
        }
    }

    /// §8.6.12
    fn make_forwarding(&mut self, now: Time, p: u32) {
        if self.ports[p as usize].state != PortState::Blocking {
            return;
        }
        if self.times.forward_delay == 0 {
            // Only a foreign root can announce this.
            self.set_state(p, PortState::Forwarding);
            self.detect_change(now);
            self.ports[p as usize].forward_delay = None;
        } else {
            self.set_state(p, PortState::Listening);
            self.ports[p as usize].forward_delay = Some(now + self.times.forward_delay);
        }
    }

    /// §8.6.13
    fn make_blocking(&mut self, now: Time, p: u32) {
        match self.ports[p as usize].state {
            PortState::Disabled | PortState::Blocking => return,
            PortState::Forwarding | PortState::Learning => self.detect_change(now),
            PortState::Listening => {}
        }
        self.set_state(p, PortState::Blocking);
        self.ports[p as usize].forward_delay = None;
    }

    /// Topology change detection, §8.6.14.
    fn detect_change(&mut self, now: Time) {
        if self.is_root() {
            self.topology_change = true;
            self.change = Some(now + self.own.forward_delay + self.own.max_age);
        } else if !self.change_detected {
            self.send_tcn(now);
        }
        self.change_detected = true;
    }

    /// §8.6.6, and the timer that repeats it.
    fn send_tcn(&mut self, now: Time) {
        if let Some(p) = self.root_port {
            self.out.push(StpOut::Send(p, Bpdu::Tcn));
        }
        self.tcn = Some(now + self.own.hello);
    }

    /// Configuration BPDU generation, §8.6.4.
    fn generate_configs(&mut self, now: Time) {
        for p in self.indices() {
            if self.enabled(&p) && self.is_designated(p) {
                self.send_config(now, p);
            }
        }
    }

    /// §8.6.1
    fn send_config(&mut self, now: Time, p: u32) {
        if self.ports[p as usize].hold.is_some() {
            self.ports[p as usize].config_pending = true;
            return;
        }
        let message_age = match self.root_port {
            None => 0,
            Some(r) => {
                let (at, age) = self.ports[r as usize].heard;
                now - at + age + MESSAGE_AGE_INCREMENT
            }
        };
        if message_age >= self.times.max_age {
            return;
        }
        let port = &mut self.ports[p as usize];
        let config = ConfigBpdu {
            topology_change: self.topology_change,
            topology_change_ack: port.change_ack,
            root: self.root,
            root_path_cost: self.root_path_cost,
            bridge: self.id,
            port: port.id,
            message_age,
            max_age: self.times.max_age,
            hello_time: self.times.hello,
            forward_delay: self.times.forward_delay,
        };
        (port.change_ack, port.config_pending) = (false, false);
        port.hold = Some(now + HOLD_TIME);
        self.out.push(StpOut::Send(p, Bpdu::Config(config)));
    }

    /// A BPDU arrived at an enabled port of a bridge that is up (§8.7.1, §8.7.2).
    pub(super) fn receive(&mut self, now: Time, p: u32, bpdu: Bpdu) {
        match bpdu {
            Bpdu::Config(c) if self.supersedes(p, &c) => self.accept(now, p, &c),
            Bpdu::Config(_) if self.is_designated(p) => self.send_config(now, p),
            Bpdu::Config(_) => {}
            Bpdu::Tcn if self.is_designated(p) => {
                self.detect_change(now);
                self.ports[p as usize].change_ack = true;
                self.send_config(now, p);
            }
            Bpdu::Tcn => {}
        }
    }

    /// §8.6.2.2: better information, or news from the bridge that gave the present information.
    fn supersedes(&self, p: u32, c: &ConfigBpdu) -> bool {
        let port = &self.ports[p as usize];
        let theirs = (c.root, c.root_path_cost, c.bridge);
        let known = (port.designated_root, port.designated_cost, port.designated_bridge);
        theirs < known || (theirs == known && (c.bridge != self.id || c.port <= port.designated_port))
    }

    fn accept(&mut self, now: Time, p: u32, c: &ConfigBpdu) {
        let was_root = self.is_root();
        let port = &mut self.ports[p as usize];
        port.designated_root = c.root;
        port.designated_cost = c.root_path_cost;
        port.designated_bridge = c.bridge;
        port.designated_port = c.port;
        port.heard = (now, c.message_age);
        port.message_age = Some(now + (c.max_age - c.message_age));
        self.select_root();
        self.select_designated();
        self.select_states(now);
        if was_root && !self.is_root() {
            self.hello = None;
            if self.change_detected {
                self.change = None;
                self.send_tcn(now);
            }
        }
        if self.root_port == Some(p) {
            self.times = Times { max_age: c.max_age, hello: c.hello_time, forward_delay: c.forward_delay };
            self.topology_change = c.topology_change;
            self.generate_configs(now);
            if c.topology_change_ack {
                self.change_detected = false;
                self.tcn = None;
            }
        }
    }

    /// When `on_timer` wants to be called next.
    pub(super) fn next_at(&self) -> Option<Time> {
        let ports = self.ports.iter().flat_map(|p| [p.message_age, p.forward_delay, p.hold]);
        [self.hello, self.tcn, self.change].into_iter().chain(ports).flatten().min()
    }

    /// Fires every timer that is due: the bridge's first, then port by port. A timer set while others fire is due
    /// later, but for a root that announces times of zero; what that leaves fires at the next call.
    pub(super) fn on_timer(&mut self, now: Time) {
        let due = |timer: &mut Option<Time>| timer.take_if(|at| *at <= now).is_some();
        if due(&mut self.hello) && self.up {
            self.generate_configs(now);
            self.hello = Some(now + self.times.hello.max(SEC));
        }
        if due(&mut self.tcn) && self.up {
            self.send_tcn(now);
        }
        if due(&mut self.change) {
            (self.topology_change, self.change_detected) = (false, false);
        }
        for p in self.indices() {
            let [age, delay, hold] = self.ports[p as usize].timers().map(due);
            if age {
                self.forget(now, p);
            }
            if delay {
                self.advance(now, p);
            }
            if hold && self.ports[p as usize].config_pending {
                self.send_config(now, p);
            }
        }
    }

    /// The segment's designated bridge fell silent (§8.7.4).
    fn forget(&mut self, now: Time, p: u32) {
        let was_root = self.is_root();
        self.become_designated(p);
        self.update(now, was_root);
    }

    /// The forward delay ran out (§8.7.5).
    fn advance(&mut self, now: Time, p: u32) {
        match self.ports[p as usize].state {
            PortState::Listening => {
                self.set_state(p, PortState::Learning);
                self.ports[p as usize].forward_delay = Some(now + self.times.forward_delay);
            }
            PortState::Learning => {
                self.set_state(p, PortState::Forwarding);
                let ours = |q: &u32| self.enabled(q) && self.ports[*q as usize].designated_bridge == self.id;
                if self.indices().any(|q| ours(&q)) {
                    self.detect_change(now);
                }
            }
            PortState::Disabled | PortState::Blocking | PortState::Forwarding => {}
        }
    }
}
