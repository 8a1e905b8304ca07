//! Between the neighbour table and the devices: packets wait here for the next hop's MAC.

use crate::{
    base::{DevId, Errno, Mac, NsId},
    kernel::{Kernel, Work},
    neigh::Action,
    trace::{DropReason, Event},
    wire::{Frame, eth},
};
use std::net::{IpAddr, Ipv4Addr};

impl Kernel {
    /// Sends an IP packet to a next hop on the link of `dev`, resolving its MAC first if need be.
    pub(crate) fn neighbour_output(&mut self, dev: DevId, next_hop: IpAddr, frame: Frame) -> Result<(), Errno> {
        let now = self.core.now;
        let d = &self.devs[dev.index()];
        let ns = d.ns;
        let ethertype = if next_hop.is_ipv4() { eth::IPV4 } else { eth::IPV6 };
        if d.is_bare() {
            return self.transmit(dev, frame);
        }
        if let Some((mac, owner)) = self.nss[ns.index()].neigh.resolve(now, dev, next_hop) {
            return self.send_to_station(dev, frame, mac, owner, ethertype);
        }
        if !d.arp {
            // NOARP devices take their own address for everybody's (arp_constructor, ndisc_constructor).
            let own = d.mac;
            return self.send_to_station(dev, frame, own, None, ethertype);
        }
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let params = self.devs[dev.index()].conf.neighbour(next_hop.is_ipv4());
        let id = frame.id();
        self.nss[ns.index()].neigh.output(now, dev, next_hop, frame, &params, &mut actions);
        if !actions.iter().any(|a| matches!(a, Action::Transmit { frame, .. } if frame.id() == id)) {
            self.core.emit(ns, Some(dev), Some(id), Event::AwaitNeighbour { addr: next_hop });
        }
        self.neighbour_actions(ns, actions);
        Ok(())
    }

    /// A neighbour entry's deadline.
    pub(crate) fn neighbour_timer(&mut self, dev: DevId, addr: IpAddr) {
        let now = self.core.now;
        let d = &self.devs[dev.index()];
        let (ns, params) = (d.ns, d.conf.neighbour(addr.is_ipv4()));
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let n = &mut self.nss[ns.index()];
        n.neigh.on_timer(now, dev, addr, &params, &mut n.rng, &mut actions);
        self.neighbour_actions(ns, actions);
    }

    /// Carries out what the neighbour table wants.
    pub(crate) fn neighbour_actions(&mut self, ns: NsId, mut actions: Vec<Action>) {
        for action in actions.drain(..) {
            match action {
                Action::Solicit { dev, target, unicast, owner, source } => {
                    self.solicit(dev, target, unicast, owner, source);
                }
                Action::Transmit { dev, frame, mac, owner } => {
                    let ethertype = if frame.data()[0] >> 4 == 4 { eth::IPV4 } else { eth::IPV6 };
                    // The packet waited in a queue: its sender has long gone on.
                    let _ = self.send_to_station(dev, frame, mac, owner, ethertype);
                }
                Action::Unreachable { dev, addr: _, frame } => self.neighbour_failed(ns, dev, frame),
                Action::Drop { frame, reason } => self.core.drop(ns, None, frame, reason),
                Action::Timer { dev, addr, at } => self.core.schedule(at, dev, Work::Neighbour(dev, addr)),
                Action::ProxyTimer { at } => {
                    let lo = self.ns(ns).lo;
                    self.core.schedule(at, lo, Work::ProxyArp(ns));
                }
                Action::Changed { dev, addr, from, to, mac } => {
                    self.core.emit(ns, Some(dev), None, Event::Neighbour { addr, from, to, mac });
                }
            }
        }
        self.scratch.neigh = actions;
    }

    /// Asks for the MAC of `target`. The sender address is the source of the packet that waits (arp_solicit with
    /// arp_announce 0), or the address the device would choose.
    fn solicit(
        &mut self,
        dev: DevId,
        target: IpAddr,
        unicast: Option<Mac>,
        owner: Option<NsId>,
        source: Option<IpAddr>,
    ) {
        let ns = self.dev(dev).ns;
        match target {
            IpAddr::V4(target) => {
                let announce = self.conf_max(dev, crate::kernel::sysctl::Conf::ArpAnnounce);
                let own = source.filter(|a| self.is_local(ns, *a));
                let usable = own.filter(|a| match announce {
                    0 => true,
                    1 => {
                        self.dev(dev).addrs.iter().any(|x| x.subnet().contains(target.into()) && x.prefix.addr() == *a)
                    }
                    _ => false,
                });
                let source = usable.or_else(|| self.select_source(dev, IpAddr::V4(target)));
                let source = match source {
                    Some(IpAddr::V4(a)) => a,
                    _ => Ipv4Addr::UNSPECIFIED,
                };
                self.arp_request(dev, source, target, unicast, owner);
            }
            IpAddr::V6(target) => self.nd_solicit(dev, target, unicast.is_some(), source),
        }
    }

    /// Asks for a neighbour without having anything to send to it.
    pub(crate) fn probe_neighbour(&mut self, ns: NsId, dev: DevId, addr: IpAddr) {
        let now = self.core.now;
        let params = self.dev(dev).conf.neighbour(addr.is_ipv4());
        let mut actions = std::mem::take(&mut self.scratch.neigh);
        let n = &mut self.nss[ns.index()];
        n.neigh.probe(now, dev, addr, &params, &mut actions);
        self.neighbour_actions(ns, actions);
    }

    /// Nobody answered for the next hop of a packet: its sender is told (arp_error_report → ipv4_link_failure).
    fn neighbour_failed(&mut self, ns: NsId, dev: DevId, frame: Frame) {
        self.link_failure(ns, &frame);
        self.core.drop(ns, Some(dev), frame, DropReason::NeighFailed);
    }
}
