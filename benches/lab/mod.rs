//! The worlds the benchmarks run: one path with a bridge and a NAT router, and a switch with many hosts.

#![allow(dead_code, reason = "each benchmark uses its own part of the lab")]

use netsim::{
    base::{DevId, Mac, NsId, Prefix},
    device::bridge::BridgeConfig,
    neigh::{SetEntry, SetMode},
    netfilter::{Match, NatAction, NatRule},
    sim::{Limits, World},
    trace::NeighState,
};
use std::net::IpAddr;

/// Reads an address or a prefix written in the source.
pub fn ip(s: &str) -> IpAddr {
    s.parse().expect("a literal address")
}

/// Reads a prefix written in the source.
pub fn net(s: &str) -> Prefix {
    s.parse().expect("a literal prefix")
}

/// A client, a bridge, a masquerading router and a server:
/// `client -- (bridge in sw) -- router -- server`.
pub struct Path {
    /// The world.
    pub world: World,
    /// The client and its device.
    pub client: (NsId, DevId),
    /// The router's inside device.
    pub router_mac: Mac,
    /// The server and its device.
    pub server: (NsId, DevId),
}

/// Builds the path. The router masquerades everything that leaves towards the server.
pub fn path() -> Path {
    let mut w = World::new(1);
    let client = w.add_namespace("client").expect("a fresh world");
    let sw = w.add_namespace("sw").expect("a fresh world");
    let router = w.add_namespace("router").expect("a fresh world");
    let server = w.add_namespace("server").expect("a fresh world");
    let (c, p1) = w.add_veth((client, "eth0"), (sw, "p1")).expect("free names");
    let (r, p2) = w.add_veth((router, "lan"), (sw, "p2")).expect("free names");
    let (wan, s) = w.add_veth((router, "wan"), (server, "eth0")).expect("free names");
    let br = w.add_bridge(sw, "br0", BridgeConfig::default()).expect("a free name");
    w.set_master(p1, br).expect("a port");
    w.set_master(p2, br).expect("a port");
    w.add_address(c, net("10.0.0.2/24"), None).expect("an address");
    w.add_address(r, net("10.0.0.1/24"), None).expect("an address");
    w.add_address(wan, net("203.0.113.1/24"), None).expect("an address");
    w.add_address(s, net("203.0.113.2/24"), None).expect("an address");
    w.set_sysctl(router, "net.ipv4.ip_forward", "1").expect("a sysctl");
    w.exec_route(client, "default via 10.0.0.1").expect("a route");
    let matches = Match { oif: Some("wan".into()), ..Match::default() };
    let masquerade = NatRule::new(matches, NatAction::Masquerade { ports: None, random: false });
    w.netfilter_mut(router).add_nat(masquerade).expect("masquerading happens in postrouting");
    let router_mac = w.dev(r).mac;
    // Both sides know their neighbours, so that the benchmark measures forwarding and not ARP.
    for (dev, addr, of) in [
        (wan, "203.0.113.2", s),
        (wan, "203.0.113.9", s),
        (c, "10.0.0.1", r),
        (r, "10.0.0.2", c),
        (s, "203.0.113.1", wan),
    ] {
        let entry = SetEntry { dev, addr: ip(addr), mac: Some(w.dev(of).mac), state: NeighState::Permanent };
        w.set_neighbour(&entry, SetMode::Replace).expect("a neighbour");
    }
    // The bridge learns where the router is from its first frame.
    let mut hello = vec![0; 60];
    hello[..6].copy_from_slice(&w.dev(c).mac.0);
    hello[6..12].copy_from_slice(&w.dev(r).mac.0);
    w.inject(r, &hello).expect("the device is up");
    w.run(&Limits::default());
    Path { world: w, client: (client, c), router_mac, server: (server, s) }
}

/// `n` hosts with one address and a default route each, on one bridge.
pub fn star(n: u32) -> World {
    let mut w = World::new(1);
    let sw = w.add_namespace("sw").expect("a fresh world");
    let br = w.add_bridge(sw, "br0", BridgeConfig::default()).expect("a free name");
    for i in 0..n {
        let host = w.add_namespace(&format!("h{i}")).expect("a fresh name");
        let (eth0, port) = w.add_veth((host, "eth0"), (sw, &format!("p{i}"))).expect("fresh names");
        w.set_master(port, br).expect("a port");
        let addr = IpAddr::from((0x0a00_0002 + i).to_be_bytes());
        w.add_address(eth0, Prefix::new(addr, 8).expect("8 bits"), None).expect("an address");
        w.exec_route(host, "default via 10.0.0.1").expect("a route");
    }
    w
}
