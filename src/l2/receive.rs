//! A frame arrives at a device (`__netif_receive_skb_core`).

use crate::{
    base::{DevId, NsId},
    kernel::Kernel,
    link::Wire,
    trace::{Direction, DropReason, Origin},
    wire::{Frame, PacketType, be16, eth},
};

impl Kernel {
    /// The wheel says that a frame arrives at `dev`.
    pub(crate) fn receive(&mut self, dev: DevId) {
        let d = &mut self.devs[dev.index()];
        // A frame that waited here when the device was deleted has been dropped already.
        let Wire::Local(ring) = &mut d.wire else { return };
        let Some(frame) = ring.pop_front() else { return };
        self.arrive(dev, frame);
    }

    fn arrive(&mut self, dev: DevId, frame: Frame) {
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        if !d.up {
            d.stats.rx_dropped += 1;
            return self.core.drop(ns, Some(dev), frame, DropReason::DevDown);
        }
        d.stats.rx_packets += 1;
        d.stats.rx_bytes += super::transmit::counted(&frame);
        if d.is_loopback() {
            return self.network_input(ns, dev, frame);
        }
        self.core.tap(ns, dev, Direction::In, &frame);
        self.frame_input(dev, frame);
    }

    /// Takes what an external harness put on its end of a cable since the last look.
    pub(crate) fn poll_external(&mut self, dev: DevId) {
        loop {
            let d = &self.devs[dev.index()];
            let ns = d.ns;
            let Wire::External(wire) = &d.wire else { return };
            let Some(bytes) = wire.poll() else { return };
            let mut frame = self.core.new_frame(ns, bytes.len(), Origin::Injected, None);
            frame.data_mut().copy_from_slice(&bytes);
            frame.meta_mut().corrupted = true; // nobody vouches for its checksums: receivers verify them
            self.arrive(dev, frame);
        }
    }

    /// A frame that passed the tap of `dev`: to the VLAN device, the bridge or the stack.
    fn frame_input(&mut self, dev: DevId, mut frame: Frame) {
        let ns = self.dev(dev).ns;
        if frame.len() < eth::HEADER {
            return self.core.drop(ns, Some(dev), frame, DropReason::HdrTrunc);
        }
        take_tag(&mut frame);
        let d = self.dev(dev);
        if let Some(tci) = frame.meta().vlan
            && let Some((_, vlan)) = d.vlans.iter().find(|(vid, _)| *vid == tci & 0xfff)
        {
            // The tag is served before the bridge sees the frame (vlan_do_receive).
            let vlan = *vlan;
            frame.meta_mut().vlan = None;
            return self.upper_input(vlan, frame, false);
        }
        match d.master {
            Some(bridge) => self.bridge_input(bridge, dev, frame),
            None => self.ethernet_input(dev, frame, false),
        }
    }

    /// A frame arrives at a device that sits on another: a VLAN, a tunnel, or a bridge's own end. `host`: it was addressed
    /// to this host below already.
    pub(crate) fn upper_input(&mut self, dev: DevId, mut frame: Frame, host: bool) {
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        if !d.up {
            d.stats.rx_dropped += 1;
            return self.core.drop(ns, Some(dev), frame, DropReason::DevDown);
        }
        // The link-layer header is no longer counted here (skb->len after eth_type_trans).
        let header = if d.is_bare() { 0 } else { eth::HEADER };
        d.stats.rx_packets += 1;
        d.stats.rx_bytes += frame.len().saturating_sub(header) as u64;
        super::transmit::put_tag(&mut frame);
        self.core.tap(ns, dev, Direction::In, &frame);
        if self.dev(dev).is_bare() {
            return self.network_input(ns, dev, frame);
        }
        if self.dev(dev).master.is_some() || !self.dev(dev).vlans.is_empty() {
            self.frame_input(dev, frame);
        } else {
            take_tag(&mut frame);
            self.ethernet_input(dev, frame, host);
        }
    }

    /// The end of the link layer: is it for us, and which protocol is it (eth_type_trans)?
    pub(super) fn ethernet_input(&mut self, dev: DevId, mut frame: Frame, host: bool) {
        let d = &self.devs[dev.index()];
        let ns = d.ns;
        let b = frame.data();
        let dst = eth::dst(b);
        let kind = if dst == d.mac || host {
            PacketType::Host
        } else if dst.is_broadcast() {
            PacketType::Broadcast
        } else if dst.is_multicast() {
            PacketType::Multicast
        } else {
            return self.core.drop(ns, Some(dev), frame, DropReason::OtherHost);
        };
        if kind == PacketType::Host && frame.meta().dst_ns.is_some_and(|meant| meant != ns) {
            // Flooded by an aware bridge that does not know the station yet; the sender resolved another namespace.
            return self.core.drop(ns, Some(dev), frame, DropReason::NsMismatch);
        }
        if frame.meta().vlan.is_some_and(|tci| tci & 0xfff != 0) {
            return self.core.drop(ns, Some(dev), frame, DropReason::VlanFiltered);
        }
        if kind == PacketType::Multicast {
            self.devs[dev.index()].stats.multicast += 1;
        }
        frame.meta_mut().packet_type = kind;
        self.network_input(ns, dev, frame);
    }

    /// Hands a packet to its protocol. On `lo` and tunnels packets have no link-layer header.
    fn network_input(&mut self, ns: NsId, dev: DevId, mut frame: Frame) {
        let loopback = self.dev(dev).is_loopback();
        let ethertype = if self.dev(dev).is_bare() {
            match frame.data().first().map(|b| b >> 4) {
                Some(6) => eth::IPV6,
                _ => eth::IPV4,
            }
        } else {
            let ethertype = be16(frame.data(), 12);
            frame.pull(eth::HEADER);
            ethertype
        };
        let meta = frame.meta_mut();
        meta.iif = Some(dev);
        meta.mark = 0;
        meta.vlan = None;
        if !loopback {
            meta.ct = None; // on lo the entry made at OUTPUT stays with the packet
        }
        match ethertype {
            eth::IPV4 | eth::IPV6 => self.ip_input(ns, dev, frame),
            eth::ARP => self.arp_input(ns, dev, frame),
            _ => self.core.drop(ns, Some(dev), frame, DropReason::UnhandledProto),
        }
    }
}

/// Moves a VLAN tag from the bytes into the metadata (skb_vlan_untag).
pub(super) fn take_tag(frame: &mut Frame) {
    let b = frame.data_mut();
    if b.len() < eth::HEADER + eth::TAG || be16(b, 12) != eth::VLAN {
        return;
    }
    let tci = be16(b, 14);
    b.copy_within(0..12, 4);
    frame.pull(eth::TAG);
    let meta = frame.meta_mut();
    (meta.vlan, meta.tagged) = (Some(tci), false);
}
