//! Duplicate address detection (RFC 4862 §5.4; addrconf_dad_work in net/ipv6/addrconf.c).

use super::nd::ALL_ROUTERS;
use crate::{
    base::{DevId, NsId, SEC},
    kernel::{
        AddrState, Ipv6Timer, Kernel, Work,
        ipv6::{Dad, Soliciting},
        solicited_node,
        sysctl::Conf,
    },
    wire::{icmp::v6, nd::Message},
};
use std::net::Ipv6Addr;

/// The first probe, and the first router solicitation, wait a random time up to this (`router_solicitation_delay`).
const MAX_DELAY: u64 = SEC;
/// Time from the first router solicitation to the second (`router_solicitation_interval`).
const SOLICIT_INTERVAL: u64 = 4 * SEC;
/// It doubles up to this (`router_solicitation_max_interval`).
const SOLICIT_MAX_INTERVAL: u64 = 3600 * SEC;

impl Kernel {
    /// A timer of IPv6 autoconfiguration.
    pub(crate) fn ipv6_timer(&mut self, dev: DevId, timer: Ipv6Timer) {
        match timer {
            Ipv6Timer::Dad(addr) => self.dad_step(dev, addr),
            Ipv6Timer::Solicit => self.solicit_routers(dev),
            Ipv6Timer::Advertise => self.send_advert(dev),
            Ipv6Timer::Expire => self.expire6(dev),
        }
    }

    /// Starts the check of tentative addresses whose device can carry frames now.
    pub(crate) fn resume_dad(&mut self, dev: DevId) {
        let d = self.dev(dev);
        let (ns, running) = (d.ns, d.is_running());
        if !running {
            return;
        }
        let left = d.conf.get(Conf::DadTransmits).max(0) as u32;
        let tentative: Vec<Ipv6Addr> =
            d.addrs6().filter(|(_, a)| a.state == AddrState::Tentative).map(|(ip, _)| ip).collect();
        for addr in tentative {
            let n = &mut self.nss[ns.index()];
            let state = n.ipv6.get_or_insert_default();
            if state.dad.iter().any(|x| x.dev == dev && x.addr == addr) {
                continue;
            }
            let [.., a, b, c, d, e, f] = n.rng.next_u64().to_be_bytes();
            state.dad.push(Dad { dev, addr, left, nonce: [a, b, c, d, e, f] });
            let at = self.core.now + n.rng.below(MAX_DELAY);
            self.core.schedule(at, dev, Work::Ipv6(dev, Ipv6Timer::Dad(addr)));
        }
    }

    /// The next probe, or the end of the check: nobody objected.
    fn dad_step(&mut self, dev: DevId, addr: Ipv6Addr) {
        let ns = self.dev(dev).ns;
        let n = &mut self.nss[ns.index()];
        let Some(state) = &mut n.ipv6 else { return };
        let Some(at) = state.dad.iter().position(|x| x.dev == dev && x.addr == addr) else { return };
        if state.dad[at].left == 0 {
            state.dad.remove(at);
            self.set_address6_state(dev, addr, AddrState::Valid);
            self.ipv6_sync(dev);
            return self.address6_ready(dev, addr);
        }
        state.dad[at].left -= 1;
        let nonce = Some(state.dad[at].nonce);
        let wait = self.dev(dev).conf.neighbour(false).retrans_time;
        self.core.schedule(self.core.now + wait, dev, Work::Ipv6(dev, Ipv6Timer::Dad(addr)));
        let m = Message { target: addr, nonce, ..Message::new(v6::NEIGHBOUR_SOLICIT) };
        self.nd_send(dev, Ipv6Addr::UNSPECIFIED, solicited_node(addr), &m.write(&[]));
    }

    /// Whether a probe is one of our own that came back, by a loop or a hub (RFC 7527).
    pub(super) fn is_own_probe(&self, ns: NsId, dev: DevId, m: &Message) -> bool {
        let state = self.ns(ns).ipv6.as_ref();
        let nonce = state.and_then(|s| s.dad.iter().find(|x| x.dev == dev && x.addr == m.target)).map(|x| x.nonce);
        nonce.is_some() && nonce == m.nonce
    }

    /// Somebody else has the address, or wants it too: it stays, unused (addrconf_dad_failure). With `accept_dad` 2 a
    /// duplicate link-local address switches IPv6 off on the device.
    pub(super) fn dad_failed(&mut self, dev: DevId, addr: Ipv6Addr) {
        let ns = self.dev(dev).ns;
        if let Some(state) = &mut self.ns_mut(ns).ipv6 {
            state.dad.retain(|x| x.dev != dev || x.addr != addr);
        }
        self.set_address6_state(dev, addr, AddrState::Duplicate);
        if addr.is_unicast_link_local() && self.dev(dev).conf.get(Conf::AcceptDad) > 1 {
            self.dev_mut(dev).conf.set(Conf::DisableIpv6, 1);
            self.ipv6_sync(dev);
        }
    }

    /// An address can be used now. With the link-local one a host begins to ask for routers (addrconf_dad_completed), and
    /// a router to speak.
    pub(crate) fn address6_ready(&mut self, dev: DevId, addr: Ipv6Addr) {
        if !addr.is_unicast_link_local() || !self.dev(dev).is_running() {
            return;
        }
        self.schedule_advert(dev, SEC / 2);
        let left = self.dev(dev).conf.get(Conf::RouterSolicitations);
        if left == 0 || !self.accepts_adverts(dev) {
            return;
        }
        let ns = self.dev(dev).ns;
        let state = self.ns_mut(ns).ipv6.get_or_insert_default();
        state.soliciting.retain(|s| s.dev != dev);
        state.soliciting.push(Soliciting { dev, left, interval: SOLICIT_INTERVAL });
        let at = self.core.now + self.ns_mut(ns).rng.below(MAX_DELAY);
        self.core.schedule(at, dev, Work::Ipv6(dev, Ipv6Timer::Solicit));
    }

    /// Asks for routers, until one answers or the number is used up (addrconf_rs_timer, RFC 7559).
    fn solicit_routers(&mut self, dev: DevId) {
        let ns = self.dev(dev).ns;
        if !self.accepts_adverts(dev) {
            return self.stop_soliciting(dev);
        }
        let Some(source) = self.dev(dev).link_local() else { return };
        let Some(state) = &mut self.ns_mut(ns).ipv6 else { return };
        let Some(s) = state.soliciting.iter_mut().find(|s| s.dev == dev) else { return };
        s.left -= (s.left > 0) as i32;
        let (left, wait) = (s.left, s.interval);
        s.interval = (s.interval * 2).min(SOLICIT_MAX_INTERVAL);
        if left == 0 {
            self.stop_soliciting(dev);
        } else {
            self.core.schedule(self.core.now + wait, dev, Work::Ipv6(dev, Ipv6Timer::Solicit));
        }
        let m = Message { source: Some(self.dev(dev).mac), ..Message::new(v6::ROUTER_SOLICIT) };
        self.nd_send(dev, source, ALL_ROUTERS, &m.write(&[]));
    }

    pub(super) fn stop_soliciting(&mut self, dev: DevId) {
        let ns = self.dev(dev).ns;
        if let Some(state) = &mut self.ns_mut(ns).ipv6 {
            state.soliciting.retain(|s| s.dev != dev);
        }
    }

    /// Whether router advertisements are obeyed on a device (ipv6_accept_ra): by a router only with `accept_ra` 2.
    pub(super) fn accepts_adverts(&self, dev: DevId) -> bool {
        let d = self.dev(dev);
        match d.conf.get(Conf::AcceptRa) {
            0 => false,
            1 => !d.forwards(false),
            _ => true,
        }
    }
}
