//! Addresses that come and go: link-local ones, duplicate address detection, router advertisements.

use crate::{chain::Chain, lab::ip};
use netsim::{
    base::{DevId, Errno, MS, NsId, SEC},
    kernel::{AddrState, AdvertPrefix, RouterAdvert},
};

fn state(c: &Chain, dev: DevId, addr: &str) -> AddrState {
    c.w.dev(dev).addrs6().find(|(a, _)| ip(addr) == *a).expect("the device has the address").1.state
}

#[test]
fn ipv6_begins_with_the_first_address() {
    let mut c = Chain::bare();
    assert_eq!(c.addresses(c.h1_eth), Vec::<String>::new());
    assert_eq!(c.w.connect_udp(c.h1, "[2001:db8::1]:9"), Err(Errno::EADDRNOTAVAIL));
    c.address(c.h1_eth, "2001:db8:1::1/64");
    c.address(c.h1_eth, "2001:db8:1::2/64");
    assert_eq!(c.addresses(c.h1_eth), ["2001:db8:1::2/64", "2001:db8:1::1/64", "fe80::ff:fe00:a/64"]);
    assert_eq!(c.addresses(c.w.ns(c.h1).lo), ["::1/128"]);
    assert_eq!(c.routes(c.h1), ["2001:db8:1::/64 dev eth0 proto kernel", "fe80::/64 dev eth0 proto kernel"]);
    assert_eq!(c.w.connect_udp(c.h1, "[2001:db8:9::1]:9"), Err(Errno::ENETUNREACH));
    // Switched off by hand it stays off.
    c.sysctl(c.h1, "net.ipv6.conf.all.disable_ipv6", "1");
    assert_eq!((c.addresses(c.h1_eth), c.routes(c.h1)), (vec![], vec![]));
    let refused = c.w.add_address(c.h1_eth, "2001:db8:1::1/64".parse().unwrap(), None).unwrap_err();
    assert_eq!((refused.errno, &*refused.message), (Errno::EACCES, "ipv6: IPv6 is disabled on this device."));
    c.sysctl(c.h1, "net.ipv6.conf.all.disable_ipv6", "0");
    assert_eq!(c.addresses(c.h1_eth), ["fe80::ff:fe00:a/64"]);
}

trait ConnectUdp {
    fn connect_udp(&mut self, ns: NsId, to: &str) -> Result<(), Errno>;
}

impl ConnectUdp for netsim::sim::World {
    fn connect_udp(&mut self, ns: NsId, to: &str) -> Result<(), Errno> {
        let s = self.socket(ns, netsim::socket::Family::V6, netsim::socket::SockKind::Udp, None)?;
        self.connect(s, to.parse().expect("a literal socket address"))
    }
}

/// Measured (v6-linkdown): addresses go with the device, and only the link-local one comes back.
#[test]
fn a_device_that_goes_down_loses_its_addresses() {
    let mut c = Chain::new();
    c.w.set_up(c.h1_eth, false);
    assert_eq!((c.addresses(c.h1_eth), c.routes(c.h1)), (vec![], vec![]));
    // The other end has lost its carrier: addresses and routes stay, neighbours go.
    assert_eq!(c.addresses(c.r_left), ["2001:db8:1::fe/64", "fe80::ff:fe00:b/64"]);
    c.w.set_up(c.h1_eth, true);
    assert_eq!(c.addresses(c.h1_eth), ["fe80::ff:fe00:a/64"]);
    assert_eq!(c.routes(c.h1), ["fe80::/64 dev eth0 proto kernel"]);
    // With keep_addr_on_down those set by hand survive.
    c.sysctl(c.h1, "net.ipv6.conf.eth0.keep_addr_on_down", "1");
    c.address(c.h1_eth, "2001:db8:1::1/64");
    c.w.set_up(c.h1_eth, false);
    assert_eq!((c.addresses(c.h1_eth), c.routes(c.h1)), (vec!["2001:db8:1::1/64".to_string()], vec![]));
    c.w.set_up(c.h1_eth, true);
    assert_eq!(c.addresses(c.h1_eth), ["2001:db8:1::1/64", "fe80::ff:fe00:a/64"]);
    assert!(c.ping("2001:db8:1::fe")[1].starts_with("64 bytes"));
    // An MTU below 1280 bytes is the end of IPv6 (RFC 8200 §5).
    c.w.set_mtu(c.h1_eth, 1279).unwrap();
    assert_eq!(c.addresses(c.h1_eth), Vec::<String>::new());
}

#[test]
fn an_address_is_found_unique_before_it_is_used() {
    let mut c = Chain::new();
    c.sysctl(c.h1, "net.ipv6.conf.eth0.accept_dad", "1");
    c.address(c.h1_eth, "2001:db8:1::7/64");
    assert_eq!(state(&c, c.h1_eth, "2001:db8:1::7"), AddrState::Tentative);
    assert!(!c.w.is_local(c.h1, ip("2001:db8:1::7")));
    c.run(SEC);
    assert_eq!(
        c.sent(c.h1_eth),
        ["IP6 ::>ff02::1:ff00:7 hl=255 ICMP6 neighbor-solicit target=2001:db8:1::7"],
        "one probe, within a second"
    );
    c.run(SEC);
    assert_eq!(state(&c, c.h1_eth, "2001:db8:1::7"), AddrState::Valid);
    assert!(c.w.is_local(c.h1, ip("2001:db8:1::7")));
}

#[test]
fn a_duplicate_address_is_not_used() {
    let mut c = Chain::new();
    c.sysctl(c.h1, "net.ipv6.conf.eth0.accept_dad", "1");
    c.address(c.h1_eth, "2001:db8:1::fe/64");
    c.run(3 * SEC);
    assert_eq!(state(&c, c.h1_eth, "2001:db8:1::fe"), AddrState::Duplicate);
    assert!(!c.w.is_local(c.h1, ip("2001:db8:1::fe")));
    // The owner tells everybody.
    let told = "IP6 2001:db8:1::fe>ff02::1 hl=255 ICMP6 neighbor-advert flags=RO target=2001:db8:1::fe";
    assert!(c.sent(c.r_left).contains(&told.to_string()));
    // Measured: what the owner says about an address the host would like to have teaches it nothing, so it cannot reach
    // the owner by that address.
    assert!(c.ping("2001:db8:1::fe")[1].ends_with("Destination unreachable: Address unreachable"));
}

#[test]
fn of_two_hosts_that_want_one_address_the_first_to_ask_keeps_it() {
    let mut c = Chain::bare();
    for (ns, dev) in [(c.h1, c.h1_eth), (c.r, c.r_left)] {
        c.sysctl(ns, "net.ipv6.conf.eth0.accept_dad", "1");
        c.address(dev, "2001:db8:1::5/64");
    }
    c.run(3 * SEC);
    let states = [state(&c, c.h1_eth, "2001:db8:1::5"), state(&c, c.r_left, "2001:db8:1::5")];
    assert!(states.contains(&AddrState::Duplicate) && states.contains(&AddrState::Valid), "{states:?}");
}

/// A chain whose router advertises 2001:db8:1::/64 to `h1`.
fn advertised(change: impl FnOnce(&mut RouterAdvert)) -> Chain {
    let mut c = Chain::bare();
    c.sysctl(c.r, "net.ipv6.conf.all.forwarding", "1");
    for (dev, addr) in
        [(c.r_left, "2001:db8:1::fe/64"), (c.r_right, "2001:db8:2::fe/64"), (c.h2_eth, "2001:db8:2::2/64")]
    {
        c.address(dev, addr);
    }
    c.w.exec_route(c.h2, "default via 2001:db8:2::fe").unwrap();
    c.sysctl(c.h1, "net.ipv6.conf.all.disable_ipv6", "0");
    let mut advert = RouterAdvert::new("2001:db8:1::/64".parse().unwrap());
    change(&mut advert);
    c.w.advertise(c.r_left, advert).unwrap();
    c
}

#[test]
fn a_host_configures_itself() {
    let mut c = advertised(|_| {});
    c.run(SEC);
    assert_eq!(c.addresses(c.h1_eth), ["2001:db8:1::ff:fe00:a/64", "fe80::ff:fe00:a/64"]);
    assert_eq!(
        c.routes(c.h1),
        [
            "2001:db8:1::/64 dev eth0 proto kernel",
            "fe80::/64 dev eth0 proto kernel",
            "::/0 via fe80::ff:fe00:b dev eth0 proto ra"
        ]
    );
    let lines = c.ping("2001:db8:2::2");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    // The router is gone when its lifetime is over; the prefix was for ever.
    c.run(1840 * SEC); // the last advertisement left at 32 s
    assert_eq!(c.routes(c.h1).len(), 2);
    assert_eq!(c.addresses(c.h1_eth).len(), 2);
}

#[test]
fn lifetimes_end() {
    let mut c = advertised(|a| {
        a.prefixes[0] = AdvertPrefix { valid: Some(100), preferred: Some(50), ..a.prefixes[0] };
        a.interval = None;
    });
    let own = "2001:db8:1::ff:fe00:a";
    c.run(40 * SEC); // the last of three advertisements leaves at 32 s
    assert_eq!(state(&c, c.h1_eth, own), AddrState::Valid);
    c.run(45 * SEC);
    assert_eq!(state(&c, c.h1_eth, own), AddrState::Deprecated);
    assert!(c.ping("2001:db8:2::2")[1].starts_with("64 bytes"), "deprecated is better than none");
    c.run(60 * SEC);
    assert_eq!(c.addresses(c.h1_eth), ["fe80::ff:fe00:a/64"]);
    assert!(!c.routes(c.h1).iter().any(|r| r.starts_with("2001:db8:1::/64")));
}

#[test]
fn hosts_ask_for_routers() {
    let mut c = advertised(|_| {});
    c.run(40 * SEC); // the initial advertisements are over
    c.w.delete_address(c.h1_eth, "2001:db8:1::ff:fe00:a/64".parse().unwrap()).unwrap();
    c.sysctl(c.h1, "net.ipv6.conf.eth0.router_solicitations", "3");
    c.w.set_up(c.h1_eth, false);
    c.w.set_up(c.h1_eth, true);
    c.sent(c.h1_eth);
    c.run(2 * SEC);
    let asked = "IP6 fe80::ff:fe00:a>ff02::2 hl=255 ICMP6 router-solicit";
    assert!(c.sent(c.h1_eth).iter().any(|l| l.starts_with(asked)));
    assert_eq!(c.addresses(c.h1_eth).len(), 2, "and are answered");
    c.run(60 * SEC);
    assert!(!c.sent(c.h1_eth).iter().any(|l| l.starts_with(asked)), "once is enough");
    // Nobody answers on the other link: three questions, at growing distances.
    let lonely = c.w.add_namespace("lonely").unwrap();
    let (eth0, _) = c.w.add_veth((lonely, "eth0"), (c.h2, "eth1")).unwrap();
    c.sysctl(lonely, "net.ipv6.conf.default.router_solicitations", "3");
    c.sysctl(lonely, "net.ipv6.conf.eth0.router_solicitations", "3");
    c.sysctl(lonely, "net.ipv6.conf.all.disable_ipv6", "0");
    c.run(100 * SEC);
    assert_eq!(c.sent(eth0).iter().filter(|l| l.contains("router-solicit")).count(), 3);
}

#[test]
fn routers_and_the_deaf_do_not_listen() {
    let mut c = advertised(|_| {});
    c.sysctl(c.h1, "net.ipv6.conf.eth0.accept_ra", "0");
    c.run(SEC);
    assert_eq!(c.addresses(c.h1_eth), ["fe80::ff:fe00:a/64"]);
    let mut c = advertised(|_| {});
    c.sysctl(c.h1, "net.ipv6.conf.all.forwarding", "1");
    c.run(SEC);
    assert_eq!(c.addresses(c.h1_eth), ["fe80::ff:fe00:a/64"], "a router");
    c.sysctl(c.h1, "net.ipv6.conf.eth0.accept_ra", "2");
    c.run(17 * SEC);
    assert_eq!(c.addresses(c.h1_eth).len(), 2, "unless told so");
}

#[test]
fn an_advertisement_sets_mtu_and_hop_limit() {
    let mut c = advertised(|a| (a.mtu, a.hop_limit) = (Some(1300), 33));
    c.run(SEC);
    c.sent(c.h1_eth);
    let lines = c.ping_with("2001:db8:2::2", |p| p.size = 1300);
    assert!(lines[1].starts_with("1308 bytes"), "{lines:?}");
    let sent = c.sent(c.h1_eth);
    let packet = sent.iter().find(|l| l.contains("echo-request")).unwrap();
    assert!(packet.contains("hl=33") && packet.contains("frag(0+1248 mf)"), "{packet}");
    assert!(c.w.core.now < 2 * SEC + 500 * MS);
}
