//! What a namespace remembers about IPv6 autoconfiguration (RFC 4861 §6, RFC 4862): addresses being checked, lifetimes,
//! and the advertisements it sends as a router.

use super::{ConfigError, Ipv6Timer, Kernel, Work, device::AddrState, sysctl::Conf};
use crate::base::{DevId, Errno, Prefix, SEC, Time};
use std::net::{IpAddr, Ipv6Addr};

/// At most this many addresses of one device come from advertisements (`net.ipv6.conf.*.max_addresses`).
pub(crate) const MAX_LEARNED: usize = 16;
/// No end (RFC 4861 §4.6.2: all one bits).
pub(crate) const FOREVER: Time = Time::MAX;

/// What a router tells the hosts of a link: the content of its router advertisements (RFC 4861 §4.2), as `radvd` has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterAdvert {
    /// Seconds for which it may be a default router; 0: not at all.
    pub router_lifetime: u16,
    /// Hop limit hosts should use; 0: no opinion.
    pub hop_limit: u8,
    /// MTU of the link in bytes.
    pub mtu: Option<u32>,
    /// Prefixes of the link.
    pub prefixes: Vec<AdvertPrefix>,
    /// Time between two unsolicited advertisements after the three initial ones; `None` sends no more, so that a world
    /// can come to rest. Solicitations are always answered.
    pub interval: Option<Time>,
}

/// A prefix in a router advertisement (RFC 4861 §4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvertPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// Its addresses are on the link (L flag).
    pub on_link: bool,
    /// Hosts make themselves addresses in it (A flag); only with 64 bits.
    pub autonomous: bool,
    /// Seconds for which it is valid; `None`: for ever.
    pub valid: Option<u32>,
    /// Seconds for which its addresses are preferred; `None`: for ever.
    pub preferred: Option<u32>,
}

impl RouterAdvert {
    /// A default router for half an hour (RFC 4861 §6.2.1) and one prefix for ever, in which hosts make themselves
    /// addresses.
    pub fn new(prefix: Prefix) -> RouterAdvert {
        let prefix =
            AdvertPrefix { prefix: prefix.network(), on_link: true, autonomous: true, valid: None, preferred: None };
        RouterAdvert { router_lifetime: 1800, hop_limit: 64, mtu: None, prefixes: vec![prefix], interval: None }
    }
}

/// An address whose uniqueness is being checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dad {
    pub(crate) dev: DevId,
    pub(crate) addr: Ipv6Addr,
    /// Probes still to be sent.
    pub(crate) left: u32,
    /// Tells the probes of this host from those of others (RFC 7527).
    pub(crate) nonce: [u8; 6],
}

/// What expires when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Learned {
    /// An address; the second time is the end of its preference.
    Address(Ipv6Addr, Time),
    /// An on-link prefix.
    Prefix(Prefix),
    /// A default router.
    Router(Ipv6Addr),
}

/// Something learned from an advertisement, and its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    pub(crate) dev: DevId,
    pub(crate) what: Learned,
    pub(crate) until: Time,
}

/// A device on which routers are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Soliciting {
    pub(crate) dev: DevId,
    /// Solicitations still to be sent; negative: without end.
    pub(crate) left: i32,
    /// Time to the next.
    pub(crate) interval: Time,
}

/// A device on which the namespace is a router.
#[derive(Clone, Debug)]
pub(crate) struct Advertising {
    pub(crate) dev: DevId,
    pub(crate) advert: RouterAdvert,
    /// Initial advertisements still to be sent (RFC 4861 §6.2.4).
    pub(crate) initial: u32,
    /// When the next is due, if one is.
    pub(crate) next: Option<Time>,
}

/// See the module. Lists are short: a few entries per device.
#[derive(Default)]
pub struct Ipv6State {
    pub(crate) dad: Vec<Dad>,
    pub(crate) lifetimes: Vec<Lifetime>,
    pub(crate) soliciting: Vec<Soliciting>,
    pub(crate) advertising: Vec<Advertising>,
}

impl Ipv6State {
    /// When an address learned from an advertisement ends: its preference and its validity. `None` for others.
    pub fn lifetime(&self, dev: DevId, addr: Ipv6Addr) -> Option<(Time, Time)> {
        self.lifetimes.iter().find_map(|l| match l.what {
            Learned::Address(a, preferred) if l.dev == dev && a == addr => Some((preferred, l.until)),
            _ => None,
        })
    }
}

impl Kernel {
    /// Lets a namespace send router advertisements on a device: three soon, later as configured, and one whenever a host
    /// asks. Forwarding is switched by sysctl, as on Linux.
    ///
    /// # Errors
    /// `EINVAL` for `lo` or an IPv4 prefix.
    ///
    /// ```
    /// use netsim::{base::SEC, kernel::RouterAdvert, sim::{Limits, World}};
    /// let mut w = World::new(7);
    /// let (r, h) = (w.add_namespace("r")?, w.add_namespace("h")?);
    /// let (lan, eth0) = w.add_veth((r, "lan"), (h, "eth0"))?;
    /// w.set_sysctl(r, "net.ipv6.conf.all.forwarding", "1")?;
    /// w.add_address(lan, "2001:db8::1/64".parse()?, None)?;
    /// w.advertise(lan, RouterAdvert::new("2001:db8::/64".parse()?))?;
    /// w.set_sysctl(h, "net.ipv6.conf.all.disable_ipv6", "0")?;
    /// w.run(&Limits { until: Some(SEC), ..Limits::default() });
    /// assert!(w.dev(eth0).addrs6().any(|(a, _)| a.to_string().starts_with("2001:db8::")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advertise(&mut self, dev: DevId, advert: RouterAdvert) -> Result<(), ConfigError> {
        if self.dev(dev).is_loopback() || advert.prefixes.iter().any(|p| p.prefix.is_ipv4()) {
            return Err(ConfigError::new(Errno::EINVAL, "router advertisements carry IPv6 prefixes, on a link"));
        }
        let ns = self.dev(dev).ns;
        let state = self.ns_mut(ns).ipv6.get_or_insert_default();
        state.advertising.retain(|a| a.dev != dev);
        state.advertising.push(Advertising { dev, advert, initial: 3, next: None });
        self.schedule_advert(dev, SEC / 2);
        Ok(())
    }

    /// Sends no more router advertisements on a device.
    pub fn stop_advertising(&mut self, dev: DevId) {
        let ns = self.dev(dev).ns;
        if let Some(state) = &mut self.ns_mut(ns).ipv6 {
            state.advertising.retain(|a| a.dev != dev);
        }
    }

    /// The next advertisement leaves within `span`, unless one is due before.
    pub(crate) fn schedule_advert(&mut self, dev: DevId, span: Time) {
        let ns = self.dev(dev).ns;
        let n = &mut self.nss[ns.index()];
        let Some(a) = n.ipv6.as_mut().and_then(|s| s.advertising.iter_mut().find(|a| a.dev == dev)) else { return };
        let at = self.core.now + n.rng.below(span.max(1));
        if a.next.is_none_or(|next| at < next) {
            a.next = Some(at);
            self.core.schedule(at, dev, Work::Ipv6(dev, Ipv6Timer::Advertise));
        }
    }

    /// Whether a new address of the device must first be found unique (the head of addrconf_dad_begin).
    pub(crate) fn wants_dad(&self, dev: DevId) -> bool {
        let d = self.dev(dev);
        !d.is_loopback() && d.arp && d.conf.on(Conf::AcceptDad) && d.conf.get(Conf::DadTransmits) > 0
    }

    /// The state of an address of a device; `None` if it has no such address.
    pub(crate) fn address6_state(&self, dev: DevId, addr: Ipv6Addr) -> Option<AddrState> {
        self.dev(dev).addrs6().find(|(ip, _)| *ip == addr).map(|(_, a)| a.state)
    }

    pub(crate) fn set_address6_state(&mut self, dev: DevId, addr: Ipv6Addr, state: AddrState) {
        if let Some(a) = self.dev_mut(dev).addrs.iter_mut().find(|a| a.prefix.addr() == IpAddr::V6(addr)) {
            a.state = state;
        }
    }

    /// An address is gone: nothing more is to be done about it.
    pub(crate) fn forget_address6(&mut self, dev: DevId, addr: IpAddr) {
        let ns = self.dev(dev).ns;
        let (Some(state), IpAddr::V6(addr)) = (self.ns_mut(ns).ipv6.as_mut(), addr) else { return };
        state.dad.retain(|d| d.dev != dev || d.addr != addr);
        state.lifetimes.retain(|l| l.dev != dev || !matches!(l.what, Learned::Address(a, _) if a == addr));
    }

    /// IPv6 stopped on a device: what was learned there is forgotten. Its advertisements start again when it is back.
    pub(crate) fn forget_device6(&mut self, dev: DevId) {
        let ns = self.dev(dev).ns;
        let Some(state) = self.ns_mut(ns).ipv6.as_mut() else { return };
        state.dad.retain(|d| d.dev != dev);
        state.lifetimes.retain(|l| l.dev != dev);
        state.soliciting.retain(|s| s.dev != dev);
    }
}
