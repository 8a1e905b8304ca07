//! Devices that carry their traffic in packets of another network: IPIP (RFC 2003), GRE (RFC 2784, RFC 2890) and VXLAN
//! (RFC 7348). Their settings, the headers they add, and the table a VXLAN learns.

use crate::{
    base::{DevId, Errno, Mac, SEC, Time, proto},
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
/// Ends one station can be behind.
const MAX_REMOTES: usize = 1024;
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
    /// When the last error about one of its packets came, and how many of its users are still to be told.
    pub(crate) errors: (Time, u32),
}

impl Tunnel {
    /// A tunnel with the TTL of what it carries.
    pub fn new(mode: TunnelMode, local: Ipv4Addr, remote: Ipv4Addr) -> Tunnel {
        Tunnel { mode, local, remote, ttl: 0, link: None, errors: (0, 0) }
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
        // What it carries is the receiver's affair.
        if payload.len() < self.header_len() {
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

/// A station behind the other end of a VXLAN. That of the zero MAC stands for all that are not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Station {
    /// The ends it is behind: one, but for group addresses and the zero MAC.
    pub remotes: Vec<Ipv4Addr>,
    /// When it was last heard or sent to.
    pub used: Time,
    /// How it got here.
    pub kind: StationKind,
}

/// How a station got into the table of a VXLAN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StationKind {
    /// Heard, or set by hand as `dynamic`: moves and ages.
    Dynamic,
    /// `static`.
    Static,
    /// `permanent`, as everything set by hand unless it says otherwise.
    Permanent,
}

/// What `bridge fdb` does with a station of a VXLAN (`vxlan_fdb_update`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StationVerb {
    /// Refused if there is one.
    Add,
    /// The station is behind this end from now on.
    Replace,
    /// One more end, for group addresses and the zero MAC.
    Append,
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
    /// The device to leave by.
    pub link: Option<DevId>,
    /// Whether it remembers which end a station is behind.
    pub learning: bool,
    stations: BTreeMap<Mac, Station>,
}

impl Station {
    fn is_alive(&self, now: Time) -> bool {
        self.kind != StationKind::Dynamic || now < self.used + AGEING
    }
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

    /// The ends a frame to `mac` is sent to, in the order of sending: an unknown station is looked for behind those of
    /// the zero MAC (`vxlan_xmit`, which copies for all ends but the first, and sends the frame itself there at last).
    pub fn remotes_of(&mut self, now: Time, mac: Mac) -> Vec<Ipv4Addr> {
        let known = match self.stations.get_mut(&mac) {
            Some(s) if s.is_alive(now) => {
                s.used = now;
                Some(&*s)
            }
            _ => self.stations.get(&Mac::ZERO),
        };
        let mut remotes = known.map(|s| s.remotes.clone()).unwrap_or_default();
        if !remotes.is_empty() {
            remotes.rotate_left(1);
        }
        remotes
    }

    /// A frame from `mac` came from `remote`. False if it must not: the station is fixed at another end (`vxlan_snoop`).
    pub(crate) fn learn(&mut self, now: Time, mac: Mac, remote: Ipv4Addr) -> bool {
        if !self.learning || !mac.is_unicast() {
            return true;
        }
        let full = self.stations.len() >= MAX_STATIONS;
        match self.stations.get_mut(&mac) {
            Some(s) if s.remotes.first() == Some(&remote) => s.used = now,
            Some(s) if s.kind != StationKind::Dynamic => return false,
            Some(s) => (s.remotes, s.used) = (vec![remote], now),
            None if full => {}
            None => {
                let station = Station { remotes: vec![remote], used: now, kind: StationKind::Dynamic };
                self.stations.insert(mac, station);
            }
        }
        true
    }

    /// Says by hand which end a station is behind (`bridge fdb add|replace|append MAC dev VXLAN dst REMOTE`).
    ///
    /// # Errors
    /// `EEXIST` if `add` finds one, `EOPNOTSUPP` to replace a group or the zero MAC, `ENOSPC` if the table is full.
    pub fn set_station(
        &mut self,
        now: Time,
        verb: StationVerb,
        mac: Mac,
        remote: Ipv4Addr,
        kind: StationKind,
    ) -> Result<(), Errno> {
        let many = !mac.is_unicast();
        if many && verb == StationVerb::Replace {
            return Err(Errno::EOPNOTSUPP);
        }
        let full = self.stations.len() >= MAX_STATIONS;
        match self.stations.get_mut(&mac) {
            Some(_) if verb == StationVerb::Add => return Err(Errno::EEXIST),
            Some(s) => {
                s.kind = kind;
                if verb == StationVerb::Replace {
                    s.remotes = vec![remote];
                } else if many && !s.remotes.contains(&remote) {
                    if s.remotes.len() >= MAX_REMOTES {
                        return Err(Errno::ENOSPC);
                    }
                    s.remotes.push(remote);
                }
            }
            None if full => return Err(Errno::ENOSPC),
            None => {
                self.stations.insert(mac, Station { remotes: vec![remote], used: now, kind });
            }
        }
        Ok(())
    }

    /// Forgets a station, or that it is behind one of several ends (`vxlan_fdb_delete`).
    ///
    /// # Errors
    /// `ENOENT` if it is not known, or not behind that end.
    pub fn delete_station(&mut self, mac: Mac, remote: Option<Ipv4Addr>) -> Result<(), Errno> {
        let s = self.stations.get_mut(&mac).ok_or(Errno::ENOENT)?;
        if let Some(remote) = remote {
            let at = s.remotes.iter().position(|r| *r == remote).ok_or(Errno::ENOENT)?;
            s.remotes.remove(at);
        }
        if remote.is_none() || s.remotes.is_empty() {
            self.stations.remove(&mac);
        }
        Ok(())
    }

    /// The stations known now, by MAC.
    pub fn stations(&self, now: Time) -> impl Iterator<Item = (Mac, &Station)> + '_ {
        self.stations.iter().map(|(m, s)| (*m, s)).filter(move |(_, s)| s.is_alive(now))
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
        let mut v = Vxlan::new(42);
        let (x, y) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        assert!(v.remotes_of(0, x).is_empty());
        v.set_station(0, StationVerb::Append, Mac::ZERO, B, StationKind::Permanent).unwrap();
        v.set_station(0, StationVerb::Append, Mac::ZERO, A, StationKind::Permanent).unwrap();
        assert!(v.learn(0, x, A) && v.learn(0, Mac::BROADCAST, A));
        assert_eq!((v.remotes_of(SEC, x), v.remotes_of(SEC, y)), (vec![A], vec![A, B]));
        assert_eq!(v.remotes_of(SEC + AGEING, x), [A, B], "forgotten");
        v.set_station(0, StationVerb::Add, y, A, StationKind::Static).unwrap();
        assert!(!v.learn(SEC, y, B), "fixed at another end");
        assert_eq!(v.remotes_of(2 * AGEING, y), [A], "set by hand");
        assert_eq!(v.stations(2 * AGEING).count(), 2);
    }

    #[test]
    fn stations_are_administered_as_bridge_fdb_does() {
        let (mut v, x) = (Vxlan::new(42), Mac([2, 0, 0, 0, 0, 1]));
        let mut set = |verb, mac, remote| v.set_station(0, verb, mac, remote, StationKind::Permanent);
        assert_eq!(set(StationVerb::Add, x, A), Ok(()));
        assert_eq!(set(StationVerb::Add, x, B), Err(Errno::EEXIST));
        assert_eq!(set(StationVerb::Append, x, B), Ok(()), "a station is behind one end");
        assert_eq!(set(StationVerb::Replace, Mac::ZERO, B), Err(Errno::EOPNOTSUPP));
        assert_eq!(v.remotes_of(0, x), [A]);
        assert_eq!(v.delete_station(x, Some(B)), Err(Errno::ENOENT));
        assert_eq!(v.delete_station(x, Some(A)), Ok(()));
        assert_eq!(v.delete_station(x, None), Err(Errno::ENOENT));
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
