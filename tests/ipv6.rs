//! IPv6 through the public API: neighbour discovery, forwarding, errors, path MTU, autoconfiguration, NAT.

mod lab;

use lab::{Watch, flaws, ip};
use netsim::{
    app::{Ping, PingConfig, Traceroute, TracerouteConfig},
    base::{AppId, DevId, Errno, MS, NsId, SEC, Time},
    kernel::{AddrState, RouterAdvert, link_local_of},
    netfilter::{Match, NatAction, NatRule},
    sim::{Limits, World},
    socket::{ErrorOrigin, Family, PmtuDiscover, SockKind, SockOpt},
    trace::{Direction, Event, NeighState},
    wire::dissect::{self, LinkKind},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

fn at(s: &str) -> SocketAddr {
    s.parse().expect("a literal socket address")
}

/// `h1 — r — h2` with 2001:db8:1::/64 and 2001:db8:2::/64, as in case ipv6-router.
struct Lab {
    w: World,
    h1: NsId,
    r: NsId,
    h2: NsId,
    h1_eth: DevId,
    r_left: DevId,
    r_right: DevId,
    h2_eth: DevId,
    flaws: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<(DevId, String)>>>,
}

fn lab() -> Lab {
    let mut w = World::new(7);
    let [h1, r, h2] = ["h1", "r", "h2"].map(|n| w.add_namespace(n).expect("a fresh name"));
    let (h1_eth, r_left) = w.add_veth((h1, "eth0"), (r, "eth0")).expect("fresh names");
    let (r_right, h2_eth) = w.add_veth((r, "eth1"), (h2, "eth0")).expect("fresh names");
    w.set_sysctl(r, "net.ipv6.conf.all.forwarding", "1").expect("a sysctl");
    for (dev, addr) in [
        (h1_eth, "2001:db8:1::1/64"),
        (r_left, "2001:db8:1::fe/64"),
        (r_right, "2001:db8:2::fe/64"),
        (h2_eth, "2001:db8:2::2/64"),
    ] {
        w.add_address(dev, addr.parse().expect("a prefix"), None).expect("a new address");
    }
    w.exec_route(h1, "default via 2001:db8:1::fe").expect("a route");
    w.exec_route(h2, "default via 2001:db8:2::fe").expect("a route");
    let flaws = flaws(&mut w);
    let seen = frames(&mut w);
    Lab { w, h1, r, h2, h1_eth, r_left, r_right, h2_eth, flaws, seen }
}

/// Every frame that leaves a device, in words.
fn frames(w: &mut World) -> Arc<Mutex<Vec<(DevId, String)>>> {
    Watch::on(w, |seen: &mut Vec<(DevId, String)>, names, r| {
        let (Event::Frame { bytes, dir: Direction::Out }, Some(dev)) = (r.event, r.dev) else { return };
        let link = if names.dev(dev) == "lo" { LinkKind::Ip } else { LinkKind::Ethernet };
        seen.push((dev, dissect::summary(bytes, link)));
    })
}

impl Lab {
    fn run(&mut self, span: Time) {
        let until = Some(self.w.core.now + span);
        self.w.run(&Limits { until, ..Limits::default() });
        assert_eq!(*self.flaws.lock().unwrap(), Vec::<String>::new());
    }

    fn ping(&mut self, to: &str, change: impl FnOnce(&mut PingConfig)) -> Vec<String> {
        let mut config = PingConfig { count: Some(1), wait: SEC, ..PingConfig::to(ip(to)) };
        change(&mut config);
        let at = self.w.core.now;
        let app = self.w.spawn(self.h1, at, Box::new(Ping::new(config)));
        self.run(20 * SEC);
        self.lines(app)
    }

    fn lines(&self, app: AppId) -> Vec<String> {
        self.w.app(app).output.to_vec()
    }

    /// What left `dev` since the last call.
    fn sent(&self, dev: DevId) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap();
        let all = std::mem::take(&mut *seen);
        all.into_iter().filter(|(d, _)| *d == dev).map(|(_, line)| line).collect()
    }

    fn udp(&mut self, ns: NsId, bind: &str) -> netsim::base::SockId {
        let s = self.w.socket(ns, Family::V6, SockKind::Udp, None).unwrap();
        self.w.set_option(s, SockOpt::RecvErr(true)).unwrap();
        self.w.bind(s, at(bind)).unwrap();
        s
    }
}

#[test]
fn ping_over_a_router() {
    let mut l = lab();
    let lines = l.ping("2001:db8:2::2", |_| {});
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    for line in l.sent(l.r_right) {
        println!("{line}");
    }
}
