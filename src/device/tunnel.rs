//! Devices that carry their traffic in packets of another network: IPIP (RFC 2003), GRE (RFC 2784, RFC 2890) and VXLAN
//! (RFC 7348). Their settings, the headers they add, and the table a VXLAN learns.

use crate::{
    base::{DevId, Mac, SEC, Time, proto},
    wire::{be16, be32, ip::V4_HEADER, put16, put32, udp},
};
use std::{collections::BTreeMap, net::Ipv4Addr};

/// IP in IP.
const IPIP: u8 = 4;
const GRE_HEADER: usize = 4;
const GRE_KEY: usize = 4;
const GRE_HAS_KEY: u16 = 0x2000;
/// EtherType of IPv4, which is all that is carried.
const IPV4: u16 = 0x0800;
/// Bytes of a VXLAN header.
pub const VXLAN_HEADER: usize = 8;
/// The flag that says a VNI is given.
const VXLAN_HAS_VNI: u32 = 0x0800_0000;
/// The port of RFC 7348 §5.
pub const VXLAN_PORT: u16 = 4789;
/// Stations a VXLAN remembers; more are flooded.
const MAX_STATIONS: usize = 65_536;
/// How long a silent station is remembered (`ageing 300`).
const AGEING: Time = 300 * SEC;

/// What a point-to-point tunnel puts around packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TunnelMode {
    /// Nothing but the outer header (`ip link add type ipip`).
    Ipip,
    /// A GRE header, with a key if both ends agree on one (`ip link add type gre`).
    Gre {
        /// The key.
        key: Option<u32>,
    },
}

/// A point-to-point tunnel for IPv4 packets: no link layer, no ARP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tunnel {
    /// What it puts around packets.
    pub mode: TunnelMode,
    /// Its own end: the source of what it sends.
    pub local: Ipv4Addr,
    /// The other end.
    pub remote: Ipv4Addr,
    /// TTL of the outer packets; 0 takes that of the inner ones.
    pub ttl: u8,
    /// The device to leave by, if it is bound to one.
    pub link: Option<DevId>,
}

impl Tunnel {
    /// A tunnel with the TTL of what it carries.
    pub fn new(mode: TunnelMode, local: Ipv4Addr, remote: Ipv4Addr) -> Tunnel {
        Tunnel { mode, local, remote, ttl: 0, link: None }
    }

    /// Bytes of everything it puts around a packet.
    ///
    /// ```
    /// use netsim::device::tunnel::{Tunnel, TunnelMode};
    /// let ends = ["10.0.0.1", "10.0.1.2"].map(|a| a.parse().unwrap());
    /// assert_eq!(Tunnel::new(TunnelMode::Gre { key: None }, ends[0], ends[1]).overhead(), 24);
    /// assert_eq!(Tunnel::new(TunnelMode::Ipip, ends[0], ends[1]).overhead(), 20);
    /// ```
    pub fn overhead(&self) -> usize {
        V4_HEADER + self.header_len()
    }

    /// Bytes of the header between the outer and the inner packet.
    pub fn header_len(&self) -> usize {
        match self.mode {
            TunnelMode::Ipip => 0,
            TunnelMode::Gre { key: None } => GRE_HEADER,
            TunnelMode::Gre { key: Some(_) } => GRE_HEADER + GRE_KEY,
        }
    }

    /// The protocol of the outer packet.
    pub fn protocol(&self) -> u8 {
        match self.mode {
            TunnelMode::Ipip => IPIP,
            TunnelMode::Gre { .. } => proto::GRE,
        }
    }

    /// Writes the header between the packets.
    pub(crate) fn write_header(&self, b: &mut [u8]) {
        if let TunnelMode::Gre { key } = self.mode {
            put16(b, 0, if key.is_some() { GRE_HAS_KEY } else { 0 });
            put16(b, 2, IPV4);
            if let Some(key) = key {
                put32(b, GRE_HEADER, key);
            }
        }
    }

    /// Whether a packet of that protocol from `src` to `dst` comes out of this tunnel: then how long the header is that
    /// stands before the inner packet (`ip_tunnel_lookup`). Checksums and sequence numbers of GRE are not agreed on, so
    /// what has them is not for this tunnel.
    pub(crate) fn accepts(&self, protocol: u8, src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8]) -> Option<usize> {
        let any = |a: Ipv4Addr, b: Ipv4Addr| a.is_unspecified() || a == b;
        if protocol != self.protocol() || !any(self.local, dst) || !any(self.remote, src) {
            return None;
        }
        let TunnelMode::Gre { key } = self.mode else { return Some(0) };
        if payload.len() < self.header_len() || be16(payload, 2) != IPV4 {
            return None;
        }
        let flags = be16(payload, 0);
        let fits = match key {
            Some(key) => flags == GRE_HAS_KEY && be32(payload, GRE_HEADER) == key,
            None => flags == 0,
        };
        fits.then(|| self.header_len())
    }
}

/// A station behind the other end of a VXLAN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Station {
    /// The end it is behind.
    pub remote: Ipv4Addr,
    /// When it was last heard.
    pub heard: Time,
    /// Set by hand: does not age and does not move.
    pub permanent: bool,
}

/// A VXLAN end: an Ethernet device whose frames travel in UDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vxlan {
    /// The network's number, 24 bits.
    pub vni: u32,
    /// The UDP port both ends use.
    pub port: u16,
    /// The source of what it sends; without one the route decides.
    pub local: Option<Ipv4Addr>,
    /// Where frames to unknown stations go.
    pub remote: Option<Ipv4Addr>,
    /// The device to leave by.
    pub link: Option<DevId>,
    /// Whether it remembers which end a station is behind.
    pub learning: bool,
    stations: BTreeMap<Mac, Station>,
}

impl Vxlan {
    /// Bytes around the inner Ethernet payload: outer IPv4, UDP, VXLAN, inner Ethernet.
    pub const OVERHEAD: usize = V4_HEADER + udp::HEADER + VXLAN_HEADER + 14;

    /// An end of network `vni` at the usual port.
    pub fn new(vni: u32) -> Vxlan {
        Vxlan {
            vni: vni & 0x00ff_ffff,
            port: VXLAN_PORT,
            local: None,
            remote: None,
            link: None,
            learning: true,
            stations: BTreeMap::new(),
        }
    }

    /// Writes its header.
    pub(crate) fn write_header(&self, b: &mut [u8]) {
        put32(b, 0, VXLAN_HAS_VNI);
        put32(b, 4, self.vni << 8);
    }

    /// Whether a datagram's payload is for this network.
    pub(crate) fn accepts(&self, payload: &[u8]) -> bool {
        payload.len() >= VXLAN_HEADER + 14 && be32(payload, 0) == VXLAN_HAS_VNI && be32(payload, 4) >> 8 == self.vni
    }

    /// The end a frame to `mac` is sent to.
    pub fn remote_of(&self, now: Time, mac: Mac) -> Option<Ipv4Addr> {
        let known = self.stations.get(&mac).filter(|s| s.permanent || now < s.heard + AGEING);
        known.map(|s| s.remote).or(self.remote)
    }

    /// A frame from `mac` came from `remote` (`vxlan_snoop`).
    pub(crate) fn learn(&mut self, now: Time, mac: Mac, remote: Ipv4Addr) {
        if !self.learning || !mac.is_unicast() {
            return;
        }
        let full = self.stations.len() >= MAX_STATIONS;
        match self.stations.get_mut(&mac) {
            Some(s) if s.permanent => {}
            Some(s) => (s.remote, s.heard) = (remote, now),
            None if full => {}
            None => {
                self.stations.insert(mac, Station { remote, heard: now, permanent: false });
            }
        }
    }

    /// Says by hand which end a station is behind (`bridge fdb add MAC dev VXLAN dst REMOTE`); `None` forgets it.
    pub fn set_station(&mut self, now: Time, mac: Mac, remote: Option<Ipv4Addr>) {
        match remote {
            Some(remote) => self.stations.insert(mac, Station { remote, heard: now, permanent: true }),
            None => self.stations.remove(&mac),
        };
    }

    /// The stations known now, by MAC.
    pub fn stations(&self, now: Time) -> impl Iterator<Item = (Mac, Station)> + '_ {
        let alive = move |s: &Station| s.permanent || now < s.heard + AGEING;
        self.stations.iter().map(|(m, s)| (*m, *s)).filter(move |(_, s)| alive(s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);

    #[test]
    fn a_tunnel_takes_what_its_other_end_sends() {
        for mode in [TunnelMode::Ipip, TunnelMode::Gre { key: None }, TunnelMode::Gre { key: Some(7) }] {
            let (here, there) = (Tunnel::new(mode, A, B), Tunnel::new(mode, B, A));
            let mut header = vec![0; 60];
            there.write_header(&mut header);
            let p = there.protocol();
            assert_eq!(here.accepts(p, B, A, &header), Some(here.header_len()));
            assert_eq!(here.accepts(p, A, B, &header), None, "from the wrong end");
            assert_eq!(here.accepts(p, B, B, &header), None, "to another address");
            assert_eq!(here.accepts(p ^ 1, B, A, &header), None, "another protocol");
        }
        let keyed = Tunnel::new(TunnelMode::Gre { key: Some(7) }, A, B);
        let mut header = vec![0; 60];
        Tunnel::new(TunnelMode::Gre { key: Some(8) }, B, A).write_header(&mut header);
        assert_eq!(keyed.accepts(proto::GRE, B, A, &header), None);
        assert_eq!(keyed.accepts(proto::GRE, B, A, &header[..3]), None);
    }

    #[test]
    fn a_vxlan_learns_ages_and_floods() {
        let mut v = Vxlan { remote: Some(B), ..Vxlan::new(42) };
        let (x, y) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        v.learn(0, x, A);
        v.learn(0, Mac::BROADCAST, A);
        assert_eq!((v.remote_of(SEC, x), v.remote_of(SEC, y)), (Some(A), Some(B)));
        assert_eq!(v.remote_of(AGEING, x), Some(B), "forgotten");
        v.set_station(0, y, Some(A));
        v.learn(SEC, y, B);
        assert_eq!(v.remote_of(2 * AGEING, y), Some(A), "set by hand");
        assert_eq!(v.stations(2 * AGEING).count(), 1);
        v.set_station(0, y, None);
        assert_eq!(v.remote_of(0, y), Some(B));
    }

    #[test]
    fn headers_of_other_networks_are_refused() {
        let v = Vxlan::new(42);
        let mut b = vec![0; VXLAN_HEADER + 14];
        v.write_header(&mut b);
        assert!(v.accepts(&b) && !Vxlan::new(43).accepts(&b) && !v.accepts(&b[..20]));
        b[0] = 0;
        assert!(!v.accepts(&b));
    }
}
