//! `h1 — r — h2` with 2001:db8:1::/64 and 2001:db8:2::/64, the topology of the oracle's IPv6 cases, and words to look at it.

use crate::lab::{Watch, flaws, ip};
use netsim::{
    app::{Ping, PingConfig},
    base::{DevId, Mac, NsId, SEC, SockId, Time},
    sim::{Limits, World},
    socket::{Family, SockKind, SockOpt},
    trace::{Direction, DropReason, Event},
    wire::dissect::{self, LinkKind, build},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

pub fn at(s: &str) -> SocketAddr {
    s.parse().expect("a literal socket address")
}

#[derive(Default)]
pub struct Seen {
    frames: Vec<(DevId, String)>,
    drops: Vec<DropReason>,
}

pub struct Chain {
    pub w: World,
    pub h1: NsId,
    pub r: NsId,
    pub h2: NsId,
    pub h1_eth: DevId,
    pub r_left: DevId,
    pub r_right: DevId,
    pub h2_eth: DevId,
    flaws: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Seen>>,
}

impl Chain {
    /// The topology without addresses; the MACs are the oracle's.
    pub fn bare() -> Chain {
        let mut w = World::new(7);
        let [h1, r, h2] = ["h1", "r", "h2"].map(|n| w.add_namespace(n).expect("a fresh name"));
        let (h1_eth, r_left) = w.add_veth((h1, "eth0"), (r, "eth0")).expect("fresh names");
        let (r_right, h2_eth) = w.add_veth((r, "eth1"), (h2, "eth0")).expect("fresh names");
        for (dev, mac) in [(h1_eth, [0, 0x0a]), (r_left, [0, 0x0b]), (r_right, [1, 0x0a]), (h2_eth, [1, 0x0b])] {
            w.set_mac(dev, Mac([2, 0, 0, 0, mac[0], mac[1]])).expect("a station's address");
        }
        let flaws = flaws(&mut w);
        let seen = Watch::on(&mut w, |seen: &mut Seen, names, r| match (r.event, r.dev) {
            (Event::Frame { bytes, dir: Direction::Out }, Some(dev)) => {
                let link = if names.dev(dev) == "lo" { LinkKind::Ip } else { LinkKind::Ethernet };
                seen.frames.push((dev, dissect::summary(bytes, link)));
            }
            (Event::Dropped(reason), _) => seen.drops.push(reason),
            _ => {}
        });
        Chain { w, h1, r, h2, h1_eth, r_left, r_right, h2_eth, flaws, seen }
    }

    /// With addresses and routes; `r` forwards.
    pub fn new() -> Chain {
        let mut c = Chain::bare();
        c.sysctl(c.r, "net.ipv6.conf.all.forwarding", "1");
        for (dev, addr) in [
            (c.h1_eth, "2001:db8:1::1/64"),
            (c.r_left, "2001:db8:1::fe/64"),
            (c.r_right, "2001:db8:2::fe/64"),
            (c.h2_eth, "2001:db8:2::2/64"),
        ] {
            c.address(dev, addr);
        }
        c.w.exec_route(c.h1, "default via 2001:db8:1::fe").expect("a route");
        c.w.exec_route(c.h2, "default via 2001:db8:2::fe").expect("a route");
        c
    }

    pub fn sysctl(&mut self, ns: NsId, key: &str, value: &str) {
        self.w.set_sysctl(ns, key, value).expect("a sysctl");
    }

    pub fn address(&mut self, dev: DevId, addr: &str) {
        self.w.add_address(dev, addr.parse().expect("a prefix"), None).expect("a new address");
    }

    /// Runs for a while and checks every frame.
    pub fn run(&mut self, span: Time) {
        self.run_unchecked(span);
        assert_eq!(*self.flaws.lock().unwrap(), Vec::<String>::new());
    }

    /// Runs for a while, with frames on the wire nobody would defend.
    pub fn run_unchecked(&mut self, span: Time) {
        let until = self.w.core.now + span;
        self.w.at(until - 1, |_| {}); // time passes even if nothing happens
        self.w.run(&Limits { until: Some(until), ..Limits::default() });
    }

    pub fn ping(&mut self, to: &str) -> Vec<String> {
        self.ping_with(to, |_| {})
    }

    /// What `ping -c 1` in `h1` prints.
    pub fn ping_with(&mut self, to: &str, change: impl FnOnce(&mut PingConfig)) -> Vec<String> {
        let mut config = PingConfig { count: Some(1), wait: 5 * SEC, ..PingConfig::to(ip(to)) };
        change(&mut config);
        let app = self.w.spawn(self.h1, self.w.core.now, Box::new(Ping::new(config)));
        while self.w.app(app).exit.is_none() && self.w.core.now < 3600 * SEC {
            self.run(SEC / 100);
        }
        self.w.app(app).output.to_vec()
    }

    /// What left `dev` since anything was asked for last.
    pub fn sent(&self, dev: DevId) -> Vec<String> {
        let all = std::mem::take(&mut self.seen.lock().unwrap().frames);
        all.into_iter().filter(|(d, _)| *d == dev).map(|(_, line)| line).collect()
    }

    /// The drops since anything was asked for last.
    pub fn drops(&self) -> Vec<DropReason> {
        std::mem::take(&mut self.seen.lock().unwrap().drops)
    }

    /// A UDP socket that keeps its errors.
    pub fn udp(&mut self, ns: NsId, bind: &str) -> SockId {
        let s = self.w.socket(ns, Family::V6, SockKind::Udp, None).expect("a socket");
        self.w.set_option(s, SockOpt::RecvErr(true)).expect("an option");
        self.w.bind(s, at(bind)).expect("a free port");
        s
    }

    /// A TCP socket.
    pub fn tcp(&mut self, ns: NsId) -> SockId {
        self.w.socket(ns, Family::V6, SockKind::Tcp, None).expect("a socket")
    }

    /// Puts a packet on the link of `from`, to `to`'s station.
    pub fn inject(&mut self, from: DevId, to: DevId, packet: &[u8]) {
        let frame = build::ethernet(self.w.dev(to).mac, self.w.dev(from).mac, packet);
        self.w.inject(from, &frame).expect("the device is up");
    }

    /// The IPv6 addresses of a device, in the order of `ip addr`.
    pub fn addresses(&self, dev: DevId) -> Vec<String> {
        self.w.dev(dev).addrs6().map(|(_, a)| a.prefix.to_string()).collect()
    }

    /// The routes of table main, without what is the same in all.
    pub fn routes(&self, ns: NsId) -> Vec<String> {
        let table = self.w.ns(ns).fib.routes(netsim::route::Family::V6, netsim::route::table::MAIN);
        table
            .map(|r| {
                let via = r.hops()[0].via.map_or(String::new(), |v: IpAddr| format!(" via {v}"));
                format!("{}{via} dev {} proto {}", r.dst, self.w.dev_name(r.hops()[0].dev.unwrap()), r.protocol)
            })
            .collect()
    }
}
