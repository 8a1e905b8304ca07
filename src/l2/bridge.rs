//! Between a bridge's table and its ports' devices (net/bridge/br_input.c, br_forward.c).

use crate::{
    base::DevId,
    device::bridge::{FrameInfo, Ingress, StpAction, TagAction, Verdict},
    kernel::{Kernel, Work},
    trace::{Delivery, DropReason, Event, Origin, Switching},
    wire::{Frame, be16, eth},
};

impl Kernel {
    /// A frame arrives at a port.
    pub(crate) fn bridge_input(&mut self, bridge: DevId, port: DevId, frame: Frame) {
        self.bridge_switch(bridge, Ingress::Port(port), frame);
    }

    /// The namespace sends a frame by the bridge device itself.
    pub(crate) fn bridge_output(&mut self, bridge: DevId, frame: Frame) {
        self.bridge_switch(bridge, Ingress::SelfDevice, frame);
    }

    fn bridge_switch(&mut self, dev: DevId, from: Ingress, mut frame: Frame) {
        let mut verdict = std::mem::take(&mut self.scratch.bridge);
        let now = self.core.now;
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        let b = frame.data();
        let info = FrameInfo {
            dst: eth::dst(b),
            src: eth::src(b),
            ethertype: be16(b, 12),
            vlan: frame.meta().vlan,
            src_ns: frame.meta().src_ns,
            dst_ns: frame.meta().dst_ns,
        };
        let bridge = d.bridge_mut().expect("only bridges are masters");
        bridge.ingress(now, from, &info, &mut verdict);
        if self.core.tracer.on() {
            for e in &verdict.fdb_events {
                self.core.emit(ns, Some(dev), None, Event::Fdb { mac: e.mac, port: e.port, change: e.change });
            }
        }
        if let Some(reason) = verdict.drop {
            self.core.drop(ns, Some(dev), frame, reason);
        } else if verdict.bpdu {
            self.bridge_bpdu(dev, from, frame);
        } else {
            if verdict.clear_marks {
                let meta = frame.meta_mut();
                (meta.src_ns, meta.dst_ns) = (None, None);
            }
            self.bridge_forward(dev, &info, &verdict, frame);
        }
        self.scratch.bridge = verdict;
    }

    fn bridge_forward(&mut self, dev: DevId, info: &FrameInfo, verdict: &Verdict, frame: Frame) {
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
                self.bridge_egress(e.dev, e.tag, copy);
            }
            // Inside, frames are untagged: the bridge device's VLANs sit on top of it.
            let mut frame = frame;
            tag(&mut frame, verdict.local_tag);
            return self.upper_input(dev, frame);
        }
        let Some((last, rest)) = egress.split_last() else {
            return self.core.drop(ns, Some(dev), frame, DropReason::BridgeNoPort);
        };
        for e in rest {
            let copy = self.core.copy_frame(ns, &frame, Origin::Flood);
            self.bridge_egress(e.dev, e.tag, copy);
        }
        self.bridge_egress(last.dev, last.tag, frame);
    }

    fn bridge_egress(&mut self, port: DevId, action: TagAction, mut frame: Frame) {
        let d = &self.devs[port.index()];
        let ns = d.ns;
        // Bridges never fragment: what does not fit vanishes (br_dev_queue_push_xmit, is_skb_forwardable).
        if frame.len() > d.mtu as usize + eth::HEADER + 4 {
            return self.core.drop(ns, Some(port), frame, DropReason::PeerMtu);
        }
        tag(&mut frame, action);
        // A port's queue drops for reasons of its own; they are in the trace.
        let _ = self.transmit(port, frame);
    }

    /// A BPDU for the bridge itself.
    fn bridge_bpdu(&mut self, dev: DevId, from: Ingress, frame: Frame) {
        let Ingress::Port(port) = from else {
            let ns = self.dev(dev).ns;
            return self.core.drop(ns, Some(dev), frame, DropReason::MacControl);
        };
        let now = self.core.now;
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        let mut actions = Vec::new();
        d.bridge_mut().expect("only bridges are masters").bpdu_input(now, port, &frame.data()[eth::HEADER..], &mut actions);
        self.core.deliver(ns, Some(port), frame, Delivery::Bridge);
        self.bridge_actions(dev, actions);
    }

    /// A bridge protocol timer.
    pub(crate) fn bridge_timer(&mut self, dev: DevId) {
        let now = self.core.now;
        let mut actions = Vec::new();
        if let Some(b) = self.devs[dev.index()].bridge_mut() {
            b.on_timer(now, &mut actions);
        }
        self.bridge_actions(dev, actions);
    }

    /// Carries out what the bridge protocol wants and arms its next timer.
    pub(crate) fn bridge_actions(&mut self, dev: DevId, actions: Vec<StpAction>) {
        let ns = self.dev(dev).ns;
        for action in actions {
            match action {
                StpAction::SendBpdu { port, bytes } => {
                    let mut frame = self.core.new_frame(ns, bytes.len(), Origin::Bpdu, None);
                    frame.data_mut().copy_from_slice(&bytes);
                    let _ = self.transmit(port, frame);
                }
                StpAction::Fdb(e) => {
                    self.core.emit(ns, Some(dev), None, Event::Fdb { mac: e.mac, port: e.port, change: e.change });
                }
                StpAction::PortState { .. } => {}
            }
        }
        if let Some(at) = self.devs[dev.index()].bridge().and_then(|b| b.next_at()) {
            let at = at.max(self.core.now);
            self.core.schedule(at, dev, Work::Bridge(dev));
        }
    }
}

fn tag(frame: &mut Frame, action: TagAction) {
    match action {
        TagAction::Keep => {}
        TagAction::Strip => frame.meta_mut().vlan = None,
        TagAction::Put(tci) => frame.meta_mut().vlan = Some(tci),
    }
}
