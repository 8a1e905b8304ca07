//! A frame leaves by a device (`dev_queue_xmit`, drivers/net/veth.c).

use crate::{
    base::{DevId, Errno, Mac, NsId, Rng},
    kernel::{Device, DeviceKind, Kernel, Work},
    link::{QdiscEvent, Wire},
    trace::{Delivery, Direction, DropReason, Event, Origin},
    wire::{Frame, eth},
};

/// Bytes a frame may exceed the MTU of a device by, beside its Ethernet header: room for a VLAN tag.
const VLAN_ALLOWANCE: usize = 4;

impl Kernel {
    /// Sends a network-layer packet to a station: pushes the Ethernet header and transmits.
    pub(crate) fn send_to_station(
        &mut self,
        dev: DevId,
        mut frame: Frame,
        to: Mac,
        owner: Option<NsId>,
        ethertype: u16,
    ) -> Result<(), Errno> {
        let d = self.dev(dev);
        let (ns, from) = (d.ns, d.mac);
        eth::push(&mut frame, to, from, ethertype);
        let meta = frame.meta_mut();
        meta.src_ns = Some(ns);
        meta.dst_ns = owner;
        meta.vlan = None;
        self.transmit(dev, frame)
    }

    /// Sends a frame by a device.
    ///
    /// # Errors
    /// `ENOBUFS` if a full queue or the other end of the cable refused it.
    pub(crate) fn transmit(&mut self, dev: DevId, frame: Frame) -> Result<(), Errno> {
        let d = self.dev_mut(dev);
        let ns = d.ns;
        if !d.is_running() {
            // Down or without carrier the queue is `noop`, whose verdict is no error to the sender (net_xmit_errno).
            d.stats.tx_dropped += 1;
            self.core.drop(ns, Some(dev), frame, DropReason::QdiscDrop);
            return Ok(());
        }
        if d.qdisc.is_noqueue() { self.hard_transmit(dev, frame) } else { self.enqueue(dev, frame) }
    }

    /// Hands a frame to the device itself, behind any queue.
    fn hard_transmit(&mut self, dev: DevId, mut frame: Frame) -> Result<(), Errno> {
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        let peer = match &d.kind {
            DeviceKind::Veth { peer } => *peer,
            DeviceKind::Vlan { parent, vid } => {
                let (parent, vid) = (*parent, *vid);
                // A tag that is there already becomes the inner one.
                put_tag(&mut frame);
                frame.meta_mut().tagged = false;
                count_tx(d, &frame);
                self.core.tap(ns, dev, Direction::Out, &frame);
                frame.meta_mut().vlan = Some(vid);
                return self.transmit(parent, frame);
            }
            DeviceKind::Bridge(_) => {
                put_tag(&mut frame);
                count_tx(d, &frame);
                self.core.tap(ns, dev, Direction::Out, &frame);
                super::receive::take_tag(&mut frame);
                self.bridge_output(dev, frame);
                return Ok(());
            }
            DeviceKind::Loopback => {
                count_tx(d, &frame);
                self.core.tap(ns, dev, Direction::Out, &frame);
                push(d, frame);
                self.core.schedule(self.core.now, dev, Work::Receive(dev));
                return Ok(());
            }
            DeviceKind::External => {
                put_tag(&mut frame);
                count_tx(d, &frame);
                self.core.tap(ns, dev, Direction::Out, &frame);
                let Wire::External(wire) = &d.wire else { unreachable!("external devices have an external wire") };
                match wire.deliver(self.core.now, frame.data()) {
                    Ok(()) => self.core.deliver(ns, Some(dev), frame, Delivery::External),
                    Err(_) => self.core.drop(ns, Some(dev), frame, DropReason::NoReader),
                }
                return Ok(());
            }
            // Tunnels count what they find a way for.
            DeviceKind::Tunnel(_) => {
                self.core.tap(ns, dev, Direction::Out, &frame);
                return self.tunnel_output(dev, frame);
            }
            DeviceKind::Vxlan(_) => {
                put_tag(&mut frame);
                self.core.tap(ns, dev, Direction::Out, &frame);
                return self.vxlan_output(dev, frame);
            }
            DeviceKind::Deleted => {
                self.core.drop(ns, Some(dev), frame, DropReason::DevGone);
                return Err(Errno::ENODEV);
            }
        };
        put_tag(&mut frame);
        self.core.tap(ns, dev, Direction::Out, &frame);
        let Some(peer) = peer else {
            self.core.drop(ns, Some(dev), frame, DropReason::NoPeer);
            return Ok(());
        };
        let limit = self.dev(peer).mtu as usize + eth::HEADER + VLAN_ALLOWANCE;
        let d = &mut self.devs[dev.index()];
        if counted(&frame) > limit as u64 {
            // is_skb_forwardable in __dev_forward_skb2: both ends count it, and the sender sees ENOBUFS.
            d.stats.tx_dropped += 1;
            self.devs[peer.index()].stats.rx_dropped += 1;
            self.core.drop(ns, Some(dev), frame, DropReason::PeerMtu);
            return Err(Errno::ENOBUFS);
        }
        count_tx(d, &frame);
        push(&mut self.devs[peer.index()], frame);
        let at = self.core.arrival();
        self.core.schedule(at, peer, Work::Receive(peer));
        Ok(())
    }

    /// Puts a frame in the egress queue of a device.
    fn enqueue(&mut self, dev: DevId, frame: Frame) -> Result<(), Errno> {
        let mut out = std::mem::take(&mut self.scratch.queue);
        let d = &mut self.devs[dev.index()];
        let ns = d.ns;
        let core = &mut self.core;
        let rng = d.rng.get_or_insert_with(|| {
            let names = &core.tracer.names;
            Box::new(Rng::keyed(core.seed, &["qdisc", names.ns(ns), names.dev(dev)]))
        });
        let before = d.qdisc.next_at();
        let (now, id) = (core.now, frame.id());
        {
            let (pool, mut next_id) = core.pool_and_ids(ns);
            d.qdisc.enqueue(now, frame, rng, pool, &mut next_id, &mut out);
        }
        let after = d.qdisc.next_at();
        if let Some(at) = after.filter(|_| after != before) {
            core.schedule(at, dev, Work::Dequeue(dev));
        }
        let mut result = Ok(());
        for event in out.drain(..) {
            match event {
                QdiscEvent::Duplicated { copy, parent } => {
                    let event = Event::Created { origin: Origin::Duplicate, parent: Some(parent) };
                    self.core.emit(ns, Some(dev), Some(copy), event);
                }
                QdiscEvent::Send(frame) => result = self.hard_transmit(dev, frame),
                QdiscEvent::Drop(frame, reason) => {
                    // netem reports its own losses as success; only a full queue is an error (netem_enqueue).
                    if reason == DropReason::QdiscDrop && frame.id() == id {
                        result = Err(Errno::ENOBUFS);
                    }
                    // The queue keeps its own count; the device's does not move.
                    self.core.drop(ns, Some(dev), frame, reason);
                }
            }
        }
        self.scratch.queue = out;
        result
    }

    /// The queue of a device has something due.
    pub(crate) fn dequeue(&mut self, dev: DevId) {
        let now = self.core.now;
        loop {
            let d = &mut self.devs[dev.index()];
            let Some(frame) = d.qdisc.dequeue(now) else { break };
            if d.is_running() {
                // The sender has long gone on: what happens to the frame now is in the trace, not in an errno.
                let _ = self.hard_transmit(dev, frame);
            } else {
                let ns = d.ns;
                self.core.drop(ns, Some(dev), frame, DropReason::QdiscDrop);
            }
        }
        if let Some(at) = self.devs[dev.index()].qdisc.next_at() {
            self.core.schedule(at, dev, Work::Dequeue(dev));
        }
    }

    /// Puts a raw Ethernet frame on a device, as a packet socket does.
    ///
    /// The frame carries no mark: a namespace-aware bridge looks it up by MAC alone.
    pub fn inject(&mut self, dev: DevId, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.len() < eth::HEADER {
            return Err(Errno::EINVAL);
        }
        let ns = self.dev(dev).ns;
        let mut frame = self.core.new_frame(ns, bytes.len(), Origin::Injected, None);
        frame.data_mut().copy_from_slice(bytes);
        frame.meta_mut().corrupted = true; // nobody vouches for its checksums: receivers verify them
        self.transmit(dev, frame)
    }

    /// Tells the trace that a device can or cannot carry frames now.
    pub(crate) fn emit_link(&mut self, dev: DevId) {
        let d = self.dev(dev);
        let (ns, up) = (d.ns, d.is_running());
        self.core.emit(ns, Some(dev), None, Event::Link { up });
    }
}

/// Puts a frame in the ring its receiver takes it from.
#[inline]
fn push(d: &mut Device, frame: Frame) {
    let Wire::Local(ring) = &mut d.wire else { unreachable!("a veth's peer lives in this world") };
    ring.push_back(frame);
}

#[inline]
fn count_tx(d: &mut Device, frame: &Frame) {
    d.stats.tx_packets += 1;
    d.stats.tx_bytes += counted(frame);
}

/// The bytes of a frame that devices count: without a tag that travels beside it.
pub(super) fn counted(frame: &Frame) -> u64 {
    (frame.len() - if frame.meta().tagged { eth::TAG } else { 0 }) as u64
}

/// Writes a VLAN tag held in the metadata into the bytes (IEEE 802.1Q).
pub(super) fn put_tag(frame: &mut Frame) {
    let Some(tci) = frame.meta_mut().vlan.take() else { return };
    let b = frame.push(eth::TAG);
    b.copy_within(4..16, 0);
    b[12..14].copy_from_slice(&eth::VLAN.to_be_bytes());
    b[14..16].copy_from_slice(&tci.to_be_bytes());
    frame.meta_mut().tagged = true;
}
