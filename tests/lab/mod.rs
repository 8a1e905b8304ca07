//! A few words to build small worlds with, and sinks that watch them.
#![allow(dead_code, reason = "each test file uses its own part of the lab")]

use netsim::{
    base::{DevId, NsId, Time},
    device::bridge::{BridgeConfig, FdbMode},
    kernel::Kernel,
    sim::World,
    socket::{Family, SockKind},
    trace::{Event, Names, Record, Sink},
    wire::dissect::{self, LinkKind},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

/// An address written in a test.
pub fn ip(s: &str) -> IpAddr {
    s.parse().expect("a literal address")
}

/// A namespace with one cable to another one's new device; gives (namespace, device, far device).
pub fn host(w: &mut World, name: &str, addr: &str, to: (NsId, &str)) -> (NsId, DevId, DevId) {
    let ns = w.add_namespace(name).expect("a fresh name");
    let (eth0, far) = w.add_veth((ns, "eth0"), to).expect("fresh names");
    w.add_address(eth0, addr.parse().expect("a literal prefix"), None).expect("a new address");
    (ns, eth0, far)
}

/// A namespace that holds nothing but a bridge.
pub fn switch(w: &mut World, name: &str, fdb: FdbMode) -> (NsId, DevId) {
    let ns = w.add_namespace(name).expect("a fresh name");
    let br = w.add_bridge(ns, "br0", BridgeConfig { fdb, ..BridgeConfig::default() }).expect("a fresh name");
    (ns, br)
}

/// Binds a UDP socket that nobody reads: what arrives counts as delivered.
pub fn udp_sink(w: &mut World, ns: NsId, port: u16) {
    let s = w.socket(ns, Family::V4, SockKind::Udp, None).expect("a socket");
    w.bind(s, SocketAddr::new(ip("0.0.0.0"), port)).expect("a free port");
}

/// Sends one datagram at `at`. Errors are a sender's own business.
pub fn udp_at(w: &mut World, at: Time, ns: NsId, to: SocketAddr, size: usize) {
    w.at(at, move |w| {
        let k: &mut Kernel = w;
        let s = k.socket(ns, Family::V4, SockKind::Udp, None).expect("a socket");
        let _ = k.send_to(s, &vec![0x5a; size], to);
    });
}

/// A sink made of a closure over shared state.
pub struct Watch<S> {
    state: Arc<Mutex<S>>,
    look: fn(&mut S, &Names, &Record<'_>),
}

impl<S: Send + Default + 'static> Watch<S> {
    /// Watches `w` with `look`; the state is read through the handle that is returned.
    pub fn on(w: &mut World, look: fn(&mut S, &Names, &Record<'_>)) -> Arc<Mutex<S>> {
        let state = Arc::new(Mutex::new(S::default()));
        w.core.tracer.add(Box::new(Watch { state: state.clone(), look }));
        state
    }
}

impl<S: Send> Sink for Watch<S> {
    fn record(&mut self, names: &Names, record: &Record<'_>) {
        (self.look)(&mut self.state.lock().expect("no test panics inside"), names, record);
    }
}

/// Collects every flaw of every frame on every device: checksums, lengths, loopback addresses on a wire.
pub fn flaws(w: &mut World) -> Arc<Mutex<Vec<String>>> {
    Watch::on(w, |found: &mut Vec<String>, names, r| {
        let (Event::Frame { bytes, dir }, Some(dev)) = (r.event, r.dev) else { return };
        let loopback = names.dev(dev) == "lo";
        let link = if loopback { LinkKind::Ip } else { LinkKind::Ethernet };
        let mut note = |what: String| {
            let line = dissect::summary(bytes, link);
            found.push(format!("{} {} {dir:?} {what}: {line}", r.time, names.full(dev)));
        };
        if let Err(flaws) = dissect::verify(bytes, link) {
            note(format!("{flaws:?}"));
        }
        if !loopback && bytes.len() >= 34 && bytes[12..14] == [8, 0] && (bytes[26] == 127 || bytes[30] == 127) {
            note("loopback address on a wire".into());
        }
        if r.ns != names.owner(dev) {
            note("seen by a namespace that does not own the device".into());
        }
    })
}
