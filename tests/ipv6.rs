//! IPv6 through the public API: neighbour discovery, forwarding, errors, path MTU, autoconfiguration, NAT.

mod lab;

use lab::{Watch, flaws, ip};
use netsim::{
    app::{Ping, PingConfig},
    base::{DevId, MS, NsId, SEC, Time},
    sim::{Limits, World},
    trace::{Direction, Event},
    wire::dissect::{self, LinkKind},
};
use std::sync::{Arc, Mutex};
/// `h1 — r — h2` with 2001:db8:1::/64 and 2001:db8:2::/64, as in case ipv6-router.
struct Lab {
    w: World,
    h1: NsId,
    h1_eth: DevId,
    r_right: DevId,
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
    Lab { w, h1, h1_eth, r_right, flaws, seen }
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
        let mut config = PingConfig { count: Some(1), wait: 100 * MS, ..PingConfig::to(ip(to)) };
        change(&mut config);
        let at = self.w.core.now;
        let app = self.w.spawn(self.h1, at, Box::new(Ping::new(config)));
        self.run(2 * SEC);
        self.w.app(app).output.to_vec()
    }

    /// What left `dev` so far.
    fn sent(&self, dev: DevId) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|(d, _)| *d == dev).map(|(_, line)| line.clone()).collect()
    }
}

/// Case ipv6-router: hosts ask with the address they send from, the router with its link-local one.
#[test]
fn ping_over_a_router() {
    let mut l = lab();
    let lines = l.ping("2001:db8:2::2", |c| c.id = Some(1001));
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    assert_eq!(
        l.sent(l.h1_eth),
        [
            "IP6 2001:db8:1::1>ff02::1:ff00:fe hl=255 ICMP6 neighbor-solicit target=2001:db8:1::fe",
            "IP6 2001:db8:1::1>2001:db8:2::2 hl=64 ICMP6 echo-request id=1001 seq=1 len=56",
        ]
    );
    let ll = l.w.dev(l.r_right).link_local().expect("a link-local address");
    assert_eq!(
        l.sent(l.r_right),
        [
            format!("IP6 {ll}>ff02::1:ff00:2 hl=255 ICMP6 neighbor-solicit target=2001:db8:2::2"),
            "IP6 2001:db8:1::1>2001:db8:2::2 hl=63 ICMP6 echo-request id=1001 seq=1 len=56".into(),
            "IP6 2001:db8:2::fe>2001:db8:2::2 hl=255 ICMP6 neighbor-advert flags=RSO target=2001:db8:2::fe".into(),
        ]
    );
}
