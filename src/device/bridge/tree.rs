//! The bridge and its spanning tree: starting and stopping the protocol, BPDUs and timers in, actions out.

use crate::base::{DevId, Time};

use super::{
    Bpdu, Bridge, BridgeConfig, BridgeError, BridgeId, Change, PortState,
    ports::MAX_STP_PORTS,
    stp::Stp,
    stp_port::{StpOut, Times},
};

impl Bridge {
    pub(super) fn id(&self) -> BridgeId {
        BridgeId::new(self.cfg.priority, self.id_mac)
    }

    pub(super) fn new_stp(&self) -> Stp {
        let c = &self.cfg;
        Stp::new(self.id(), Times { max_age: c.max_age, hello: c.hello_time, forward_delay: c.forward_delay })
    }

    /// Starts or stops the protocol. Ports that forward when it starts go on doing so until a better bridge is heard;
    /// when it stops, every port with a link forwards.
    ///
    /// # Errors
    /// [`BridgeError::TooManyPorts`]: port identifiers have room for 1023 ports.
    pub fn set_stp(&mut self, now: Time, on: bool, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        if on == self.cfg.stp {
            return Ok(());
        }
        if on && self.slots.len() > MAX_STP_PORTS {
            return Err(BridgeError::TooManyPorts);
        }
        self.cfg.stp = on;
        if on {
            let mut stp = Box::new(self.new_stp());
            for at in &self.order {
                let port = self.port(*at);
                stp.add_port(*at, port.id(*at), port.path_cost);
                if port.state == PortState::Forwarding {
                    stp.adopt_forwarding(*at);
                }
            }
            self.stp = Some(stp);
            if self.up {
                self.with_stp(now, out, |stp, _| stp.set_up(now, true));
            }
        } else {
            self.stp = None;
            self.follow_hold(now);
            self.drain_events(out);
            for i in 0..self.order.len() {
                let at = self.order[i];
                if self.port(at).state != PortState::Disabled {
                    self.set_state(at, PortState::Forwarding, out);
                }
            }
        }
        self.follow_carrier(out);
        Ok(())
    }

    /// Changes one of the times the bridge uses while it is root (`br_set_forward_delay` and its siblings).
    ///
    /// # Errors
    /// [`BridgeError::Range`]; nothing has changed then.
    pub fn set_times(&mut self, change: impl FnOnce(&mut BridgeConfig)) -> Result<(), BridgeError> {
        let mut cfg = self.cfg.clone();
        change(&mut cfg);
        cfg.check()?;
        self.cfg = cfg;
        if let Some(stp) = &mut self.stp {
            let c = &self.cfg;
            stp.set_own(Times { max_age: c.max_age, hello: c.hello_time, forward_delay: c.forward_delay });
        }
        Ok(())
    }

    /// Changes the path cost of a port, 1 to 65 535 (`br_stp_set_path_cost`).
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`], [`BridgeError::Range`].
    pub fn set_port_cost(
        &mut self,
        now: Time,
        dev: DevId,
        cost: u32,
        out: &mut Vec<Change>,
    ) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        if !(1..=65_535).contains(&cost) {
            return Err(BridgeError::Range("the cost of a port must be 1 to 65535"));
        }
        self.port_mut(at).path_cost = cost;
        self.with_stp(now, out, |stp, _| stp.set_cost(now, at, cost));
        Ok(())
    }

    /// Changes the priority of a port, 0 to 63 (`br_stp_set_port_priority`).
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`], [`BridgeError::Range`].
    pub fn set_port_priority(
        &mut self,
        now: Time,
        dev: DevId,
        priority: u8,
        out: &mut Vec<Change>,
    ) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        if priority > 63 {
            return Err(BridgeError::Range("the priority of a port must be 0 to 63"));
        }
        let port = self.port_mut(at);
        port.priority = priority;
        let id = port.id(at);
        self.with_stp(now, out, |stp, _| stp.set_port_id(now, at, id));
        Ok(())
    }

    /// Puts a port into a state by hand, which takes a bridge without STP (`br_set_port_state`).
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`], [`BridgeError::PortBusy`] while STP runs, [`BridgeError::PortDown`].
    pub fn set_port_state(&mut self, dev: DevId, state: PortState, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        let at = self.index_of(dev)?;
        if self.stp.is_some() {
            return Err(BridgeError::PortBusy);
        }
        if !self.port(at).link && state != PortState::Disabled {
            return Err(BridgeError::PortDown);
        }
        self.set_state(at, state, out);
        Ok(())
    }

    /// Changes the bridge's STP priority.
    pub fn set_priority(&mut self, now: Time, priority: u16, out: &mut Vec<Change>) {
        self.cfg.priority = priority;
        self.with_stp(now, out, |stp, id| stp.set_id(now, id));
    }

    /// A frame with [`Verdict::bpdu`](super::Verdict::bpdu) arrived at a port; `payload` is what follows its Ethernet
    /// header. False if it was ignored: malformed, STP off, bridge or port down (`br_stp_rcv`).
    pub fn receive_bpdu(&mut self, now: Time, dev: DevId, payload: &[u8], out: &mut Vec<Change>) -> bool {
        let (Ok(at), Some(bpdu)) = (self.index_of(dev), Bpdu::parse(payload)) else { return false };
        if !self.up || self.stp.is_none() || self.port(at).state == PortState::Disabled {
            return false;
        }
        self.with_stp(now, out, |stp, _| stp.receive(now, at, bpdu));
        true
    }

    /// When [`Bridge::on_timer`] wants to be called next; ask again after anything that yields changes. `None` without
    /// STP: stations age without a timer.
    pub fn next_at(&self) -> Option<Time> {
        self.stp.as_ref()?.next_at()
    }

    /// Fires what is due at `now`.
    pub fn on_timer(&mut self, now: Time, out: &mut Vec<Change>) {
        self.with_stp(now, out, |stp, _| stp.on_timer(now));
    }

    /// Lets the protocol do something, if it runs, and carries out what it wants. `f` also gets the bridge's identifier.
    pub(super) fn with_stp(&mut self, now: Time, out: &mut Vec<Change>, f: impl FnOnce(&mut Stp, BridgeId)) {
        let id = self.id();
        let Some(mut stp) = self.stp.take() else { return };
        f(&mut stp, id);
        let mut moved = false;
        for action in stp.out.drain(..) {
            match action {
                StpOut::State(at, state) => {
                    self.set_state(at, state, out);
                    moved = true;
                }
                StpOut::Send(at, bpdu) => {
                    let port = self.port(at);
                    out.push(Change::SendBpdu { port: port.dev, frame: bpdu.frame(port.mac) });
                }
            }
        }
        self.stp = Some(stp);
        if moved {
            self.follow_carrier(out);
        }
        self.follow_hold(now);
        self.drain_events(out);
    }
}
