//! Which socket a packet is for.

use super::{Family, SockKind, Socket, Sockets, bind::port_key};
use crate::base::{DevId, Tuple, proto};
use std::net::{IpAddr, SocketAddr};

/// The two ends of a TCP connection, packed for hashing; IPv4 addresses in their mapped form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct FlowKey {
    local: u128,
    remote: u128,
    ports: u32,
}

impl FlowKey {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> FlowKey {
        FlowKey {
            local: bits(local.ip()),
            remote: bits(remote.ip()),
            ports: (local.port() as u32) << 16 | remote.port() as u32,
        }
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(a) => a.to_ipv6_mapped().to_bits(),
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// Where a packet came from and where it goes, seen by the receiver.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) iif: Option<DevId>,
}

impl Arrival {
    pub(super) fn of(t: &Tuple, iif: Option<DevId>) -> Arrival {
        Arrival { local: SocketAddr::new(t.dst, t.dport), remote: SocketAddr::new(t.src, t.sport), iif }
    }
}

fn device_ok(s: &Socket, iif: Option<DevId>) -> bool {
    s.opts.device.is_none() || s.opts.device == iif
}

/// How well a datagram socket fits (`compute_score` in net/ipv4/udp.c and net/ipv6/udp.c); `None` if not at all.
/// An exact local address outweighs everything else, as the kernel looks for it in a separate pass.
fn datagram_score(s: &Socket, a: &Arrival) -> Option<u32> {
    if !s.speaks(a.local.ip()) || !device_ok(s, a.iif) {
        return None;
    }
    let mut score = if s.family == Family::V4 { 2 } else { 1 };
    if !s.local.ip().is_unspecified() {
        if s.local.ip() != a.local.ip() {
            return None;
        }
        score += 32;
    }
    if let Some(peer) = s.peer {
        // A ping socket's peer has no port.
        if peer.ip() != a.remote.ip() || (s.kind == SockKind::Udp && peer.port() != a.remote.port()) {
            return None;
        }
        score += 8;
    }
    if s.opts.device.is_some() {
        score += 4;
    }
    Some(score)
}

impl Sockets {
    fn receivers_of(&self, space: u8, port: u16) -> &[u32] {
        self.receivers.get(&port_key(space, port)).map_or(&[], Vec::as_slice)
    }

    /// The socket a unicast datagram is for. Among equals the newest wins, as it is first in the kernel's chain;
    /// `SO_REUSEPORT` groups share by a hash of the flow.
    pub(super) fn find_datagram(&self, space: u8, a: &Arrival) -> Option<u32> {
        let list = self.receivers_of(space, a.local.port());
        let mut best: Option<(u32, u32)> = None;
        for slot in list.iter().rev() {
            if let Some(score) = self.get(*slot).and_then(|s| datagram_score(s, a))
                && best.is_none_or(|(b, _)| score > b)
            {
                best = Some((score, *slot));
            }
        }
        let (score, slot) = best?;
        Some(self.share(list, slot, a, |s| s.peer.is_none() && datagram_score(s, a) == Some(score)))
    }

    /// Every socket a broadcast or group datagram is for, in the order of binding (`__udp4_lib_mcast_deliver`).
    pub(super) fn find_all_datagram(&self, space: u8, a: &Arrival) -> Vec<u32> {
        let fits = |slot: &u32| self.get(*slot).is_some_and(|s| datagram_score(s, a).is_some());
        self.receivers_of(space, a.local.port()).iter().copied().filter(fits).collect()
    }

    /// The connection between two ends.
    pub(crate) fn flow(&self, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        self.flows.get(&FlowKey::new(local, remote)).copied()
    }

    /// The listener a SYN is for (`__inet_lookup_listener`).
    pub(super) fn find_listener(&self, a: &Arrival) -> Option<u32> {
        let list = self.receivers_of(proto::TCP, a.local.port());
        let score = |s: &Socket| {
            let exact = s.local.ip() == a.local.ip();
            let fits = s.speaks(a.local.ip()) && device_ok(s, a.iif) && (exact || s.local.ip().is_unspecified());
            fits.then_some(exact as u32 * 8 + s.opts.device.is_some() as u32 * 2 + (s.family == Family::V4) as u32)
        };
        let mut best: Option<(u32, u32)> = None;
        for slot in list.iter().rev() {
            if let Some(n) = self.get(*slot).and_then(score)
                && best.is_none_or(|(b, _)| n > b)
            {
                best = Some((n, *slot));
            }
        }
        let (n, slot) = best?;
        Some(self.share(list, slot, a, |s| score(s) == Some(n)))
    }

    /// Spreads flows over the members of a `SO_REUSEPORT` group (`reuseport_select_sock`).
    fn share(&self, list: &[u32], chosen: u32, a: &Arrival, member: impl Fn(&Socket) -> bool) -> u32 {
        if list.len() < 2 || !self.get(chosen).is_some_and(|s| s.opts.reuse_port && s.peer.is_none()) {
            return chosen;
        }
        let in_group = |slot: &&u32| self.get(**slot).is_some_and(|s| s.opts.reuse_port && member(s));
        let count = list.iter().filter(in_group).count();
        let k = FlowKey::new(a.local, a.remote);
        let folded = (k.remote as u64) ^ (k.local as u64).rotate_left(17) ^ (k.ports as u64) << 20;
        let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32; // Fibonacci hashing
        let nth = (hash % count.max(1) as u64) as usize;
        list.iter().filter(in_group).nth(nth).copied().unwrap_or(chosen)
    }

    /// The raw sockets that see a packet of `protocol` (`raw_v4_match`), in the order of creation.
    pub(super) fn find_raw(&self, protocol: u8, a: &Arrival) -> Vec<u32> {
        let fits = |slot: &u32| {
            self.get(*slot).is_some_and(|s| {
                let family = if a.local.is_ipv4() { Family::V4 } else { Family::V6 };
                s.kind == SockKind::Raw(protocol)
                    && s.family == family
                    && device_ok(s, a.iif)
                    && (s.local.ip().is_unspecified() || s.local.ip() == a.local.ip())
                    && s.peer.is_none_or(|p| p.ip() == a.remote.ip())
            })
        };
        self.raws.iter().copied().filter(fits).collect()
    }
}
