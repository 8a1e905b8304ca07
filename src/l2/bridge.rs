//! Between a bridge's table and its ports' devices (net/bridge/br_input.c, br_forward.c).

use crate::{
    base::DevId,
    device::bridge::{Change, Egress, FrameInfo, Ingress, Tag, Verdict},
    kernel::{Kernel, Work},
    trace::{Delivery, DropReason, Event, Origin, Switching},
    wire::{Frame, eth},
};

impl Kernel {
    /// A frame arrives at a port.
    pub(crate) fn bridge_input(&mut self, bridge: DevId, port: DevId, frame: Frame) {
        let index = self.dev(port).master_port;
        self.bridge_switch(bridge, Ingress::Index(index), Some(port), frame);
    }

    /// The namespace sends a frame by the bridge device itself.
    pub(crate) fn bridge_output(&mut self, bridge: DevId, frame: Frame) {
        self.bridge_switch(bridge, Ingress::SelfDevice, None, frame);
    }

    fn bridge_switch(&mut self, dev: DevId, from: Ingress, port: Option<DevId>, mut frame: Frame) {
        let now = self.core.now;
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        let b = frame.data();
        let info = FrameInfo {
            dst: eth::dst(b),
            src: eth::src(b),
            vlan: frame.meta().vlan,
            len: b.len() - eth::HEADER,
            src_ns: frame.meta().src_ns,
            dst_ns: frame.meta().dst_ns,
        };
        let verdict = &mut self.scratch.bridge;
        let bridge = d.bridge_mut().expect("only bridges are masters");
        bridge.ingress(now, from, &info, verdict);
        if self.core.tracer.on() {
            for e in &verdict.fdb_events {
                self.core.emit(ns, Some(dev), None, Event::Fdb { mac: e.mac, port: e.port, change: e.change });
            }
        }
        if let Some(reason) = verdict.drop {
            return self.core.drop(ns, Some(dev), frame, reason);
        }
        if verdict.bpdu {
            return self.bridge_bpdu(dev, port, frame);
        }
        if let (true, Some(port)) = (verdict.at_port, port) {
            return self.ethernet_input(port, frame, false);
        }
        if verdict.clear_marks {
            let meta = frame.meta_mut();
            (meta.src_ns, meta.dst_ns) = (None, None);
        }
        if let ([one], false, false) = (verdict.ports.as_slice(), verdict.flooded, verdict.local) {
            // Known unicast, the common case: nothing to be copied, and no list to be kept while it is sent.
            let one = *one;
            let event = Event::Switched { dst: info.dst, to: Switching::Port(one.dev) };
            self.core.emit(ns, Some(dev), Some(frame.id()), event);
            return self.bridge_egress(&one, frame);
        }
        let verdict = std::mem::take(verdict);
        // A frame to the address of the port it came in by is for this host, whatever the bridge's address is.
        let to_port = port.is_some_and(|p| self.dev(p).mac == info.dst);
        self.bridge_forward(dev, &info, &verdict, to_port, frame);
        self.scratch.bridge = verdict;
    }

    fn bridge_forward(&mut self, dev: DevId, info: &FrameInfo, verdict: &Verdict, to_port: bool, frame: Frame) {
        let ns = self.dev(dev).ns;
        let egress = &verdict.ports;
        let to = match (egress.as_slice(), verdict.flooded) {
            ([], _) => Switching::Up,
            ([one], false) => Switching::Port(one.dev),
            (many, _) => Switching::Flood(many.len() as u32),
        };
        self.core.emit(ns, Some(dev), Some(frame.id()), Event::Switched { dst: info.dst, to });
        if verdict.local {
            for e in egress {
                let copy = self.core.copy_frame(ns, &frame, Origin::Flood);
                self.bridge_egress(e, copy);
            }
            // Inside, frames are untagged: the bridge device's VLANs sit on top of it.
            let mut frame = frame;
            tag(&mut frame, verdict.local_tag);
            return self.upper_input(dev, frame, to_port);
        }
        let Some((last, rest)) = egress.split_last() else {
            return self.core.drop(ns, Some(dev), frame, DropReason::BridgeNoPort);
        };
        for e in rest {
            let copy = self.core.copy_frame(ns, &frame, Origin::Flood);
            self.bridge_egress(e, copy);
        }
        self.bridge_egress(last, frame);
    }

    fn bridge_egress(&mut self, to: &Egress, mut frame: Frame) {
        if to.oversize {
            // Bridges never fragment: what does not fit vanishes (br_dev_queue_push_xmit, is_skb_forwardable).
            let ns = self.dev(to.dev).ns;
            return self.core.drop(ns, Some(to.dev), frame, DropReason::PeerMtu);
        }
        tag(&mut frame, to.tag);
        // A port's queue drops for reasons of its own; they are in the trace.
        let _ = self.transmit(to.dev, frame);
    }

    /// A BPDU for the bridge itself.
    fn bridge_bpdu(&mut self, dev: DevId, port: Option<DevId>, frame: Frame) {
        let Some(port) = port else {
            let ns = self.dev(dev).ns;
            return self.core.drop(ns, Some(dev), frame, DropReason::MacControl);
        };
        let now = self.core.now;
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        let mut changes = Vec::new();
        let bridge = d.bridge_mut().expect("only bridges are masters");
        if bridge.receive_bpdu(now, port, &frame.data()[eth::HEADER..], &mut changes) {
            self.core.deliver(ns, Some(port), frame, Delivery::Bridge);
        } else {
            self.core.drop(ns, Some(port), frame, DropReason::MacControl);
        }
        self.bridge_changes(dev, changes);
    }

    /// A bridge protocol timer.
    pub(crate) fn bridge_timer(&mut self, dev: DevId) {
        let now = self.core.now;
        let mut changes = Vec::new();
        if let Some(b) = self.devs[dev.index()].bridge_mut() {
            b.on_timer(now, &mut changes);
        }
        self.bridge_changes(dev, changes);
    }

    /// Carries out what follows from a change of a bridge and arms its next timer.
    pub(crate) fn bridge_changes(&mut self, dev: DevId, changes: Vec<Change>) {
        let ns = self.dev(dev).ns;
        for change in changes {
            match change {
                Change::SendBpdu { port, frame } => {
                    let bytes = frame.bytes();
                    let mut f = self.core.new_frame(ns, bytes.len(), Origin::Bpdu, None);
                    f.data_mut().copy_from_slice(bytes);
                    f.meta_mut().src_ns = Some(ns);
                    // Hellos are repeated: a lost one is nobody's concern.
                    let _ = self.transmit(port, f);
                }
                Change::Fdb(e) => {
                    self.core.emit(ns, Some(dev), None, Event::Fdb { mac: e.mac, port: e.port, change: e.change });
                }
                Change::Carrier(on) => self.set_carrier(dev, on),
                Change::Address(mac) => {
                    let old = std::mem::replace(&mut self.dev_mut(dev).mac, mac);
                    self.ipv6_mac_changed(dev, old);
                }
                Change::PortState { .. } => {}
            }
        }
        self.arm_bridge(dev);
    }

    fn arm_bridge(&mut self, dev: DevId) {
        if let Some(at) = self.devs[dev.index()].bridge().and_then(|b| b.next_at()) {
            let at = at.max(self.core.now);
            self.core.schedule(at, dev, Work::Bridge(dev));
        }
    }
}

fn tag(frame: &mut Frame, action: Tag) {
    match action {
        Tag::Keep => {}
        Tag::Strip => frame.meta_mut().vlan = None,
        Tag::Put(tci) => frame.meta_mut().vlan = Some(tci),
    }
}
