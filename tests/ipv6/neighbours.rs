//! Neighbour discovery: who is asked, by whom, and what is answered (cases ipv6-nd-ping, ipv6-router).

use crate::{chain::Chain, lab::ip};
use netsim::{
    app::PingConfig,
    base::SEC,
    trace::{DropReason, NeighState},
};

#[test]
fn a_ping_over_a_router_asks_twice_on_each_link() {
    let mut c = Chain::new();
    let lines = c.ping("2001:db8:2::2");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
    // The router asks for what it forwards with its link-local address, the hosts with the packet's.
    let id = |line: String| line.replace(|c: char| c.is_ascii_digit(), "#");
    let expected = [
        "IP6 fe80::ff:fe00:10a>ff02::1:ff00:2 hl=255 ICMP6 neighbor-solicit target=2001:db8:2::2",
        "IP6 2001:db8:1::1>2001:db8:2::2 hl=63 ICMP6 echo-request id=9 seq=1 len=56",
        "IP6 2001:db8:2::fe>2001:db8:2::2 hl=255 ICMP6 neighbor-advert flags=RSO target=2001:db8:2::fe",
    ];
    let seen: Vec<String> = c.sent(c.r_right);
    assert_eq!(seen.len(), 3);
    assert_eq!((&seen[0], &seen[2]), (&expected[0].to_string(), &expected[2].to_string()));
    assert_eq!(id(seen[1].split(" id=").next().unwrap().into()), id(expected[1].split(" id=").next().unwrap().into()));
    let neigh = |ns, dev, a| c.w.ns(ns).neigh.get(c.w.core.now, dev, ip(a)).unwrap();
    let router = neigh(c.h1, c.h1_eth, "2001:db8:1::fe");
    assert_eq!((router.state, router.router), (NeighState::Reachable, true));
    // Learned from a question: used, not confirmed.
    assert_eq!(neigh(c.r, c.r_left, "2001:db8:1::1").state, NeighState::Delay);
}

#[test]
fn an_entry_that_was_only_heard_of_is_probed_by_unicast() {
    let mut c = Chain::new();
    c.ping("2001:db8:2::2");
    c.sent(c.r_left);
    c.run(6 * SEC);
    assert!(
        c.sent(c.r_left).contains(
            &"IP6 fe80::ff:fe00:b>2001:db8:1::1 hl=255 ICMP6 neighbor-solicit target=2001:db8:1::1".to_string()
        )
    );
    let info = c.w.ns(c.r).neigh.get(c.w.core.now, c.r_left, ip("2001:db8:1::1")).unwrap();
    assert_eq!(info.state, NeighState::Reachable);
    // An answer to a unicast question carries neither the O flag nor an address.
    let mut d = Chain::new();
    d.ping("2001:db8:2::2");
    d.sent(d.h1_eth);
    d.run(6 * SEC);
    assert!(d.sent(d.h1_eth).contains(
        &"IP6 2001:db8:1::1>fe80::ff:fe00:b hl=255 ICMP6 neighbor-advert flags=S target=2001:db8:1::1".to_string()
    ));
}

/// Case ipv6-nd-ping, last step.
#[test]
fn nobody_answers() {
    let mut c = Chain::new();
    let lines = c.ping("2001:db8:1::99");
    assert_eq!(lines[1], "From 2001:db8:1::1 icmp_seq=1 Destination unreachable: Address unreachable");
    assert_eq!(c.w.core.now / SEC, 3, "three questions, a second apart");
    let asked = "IP6 2001:db8:1::1>ff02::1:ff00:99 hl=255 ICMP6 neighbor-solicit target=2001:db8:1::99";
    assert_eq!(c.sent(c.h1_eth), [asked; 3]);
    // Behind a router, the router reports; it quotes the hop limit as it was when it asked.
    let lines = c.ping("2001:db8:2::99");
    assert_eq!(lines[1], "From 2001:db8:1::fe icmp_seq=1 Destination unreachable: Address unreachable");
    assert!(c.drops().contains(&DropReason::NeighFailed));
}

/// Measured: unlike ARP, neighbour discovery answers only for addresses of the device that was asked.
#[test]
fn addresses_of_other_devices_are_not_answered_for() {
    let mut c = Chain::new();
    c.w.exec_route(c.h1, "2001:db8:2::fe dev eth0").unwrap();
    let lines = c.ping("2001:db8:2::fe");
    assert_eq!(lines[1], "From 2001:db8:1::1 icmp_seq=1 Destination unreachable: Address unreachable");
    // But packets to them are taken in, once they arrive.
    c.w.exec_route(c.h1, "2001:db8:2:0:8000::/65 via 2001:db8:1::fe").unwrap();
    c.address(c.r_right, "2001:db8:2:0:8000::1/128");
    let lines = c.ping("2001:db8:2:0:8000::1");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2:0:8000::1: icmp_seq=1 ttl=64"), "{lines:?}");
}

/// Measured: a router answers for the first address of its subnets, after a random wait, and from an address of its own.
#[test]
fn the_subnet_router_anycast_address() {
    let mut c = Chain::new();
    let lines = c.ping("2001:db8:1::");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:1::fe: icmp_seq=1 ttl=64"), "{lines:?}");
    assert!(c.w.core.now < SEC, "{}", c.w.core.now);
    let answer = "IP6 2001:db8:1::fe>2001:db8:1::1 hl=255 ICMP6 neighbor-advert flags=RS target=2001:db8:1::";
    assert!(c.sent(c.r_left).contains(&answer.to_string()));
    c.sysctl(c.r, "net.ipv6.conf.all.forwarding", "0");
    let lines = c.ping_with("2001:db8:1::", |p: &mut PingConfig| p.wait = SEC);
    assert!(!lines[1].starts_with("64 bytes"), "a host has no such address: {lines:?}");
}

#[test]
fn a_proxy_answers_for_others() {
    let mut c = Chain::new();
    c.w.exec_route(c.h1, "2001:db8:2::2 dev eth0").unwrap();
    c.w.add_proxy_neighbour(c.r_left, ip("2001:db8:2::2"));
    let lines = c.ping("2001:db8:2::2");
    assert!(lines[1].contains("Address unreachable"), "the sysctl is off: {lines:?}");
    c.sysctl(c.r, "net.ipv6.conf.eth0.proxy_ndp", "1");
    c.run(SEC);
    let lines = c.ping("2001:db8:2::2");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:2::2: icmp_seq=1 ttl=63"), "{lines:?}");
}

#[test]
fn link_local_addresses_and_groups_are_reached_by_their_device() {
    let mut c = Chain::new();
    let all = c.w.socket(c.h1, netsim::socket::Family::V6, netsim::socket::SockKind::Ping, None).unwrap();
    let mut request = vec![0; 64];
    request[0] = 128;
    let scope = c.w.scope_id(c.h1_eth);
    let to = std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, scope);
    c.w.send_to(all, &request, to.into()).unwrap();
    c.run(SEC);
    // Everybody on the link answers, the asker included, each from its link-local address.
    let mut from: Vec<String> = Vec::new();
    while let Ok(d) = c.w.recv_from(all) {
        from.push(d.from.ip().to_string());
    }
    from.sort();
    assert_eq!(from, ["fe80::ff:fe00:a", "fe80::ff:fe00:b"]);
    assert!(c.sent(c.h1_eth)[0].starts_with("IP6 fe80::ff:fe00:a>ff02::1 hl=1 ICMP6 echo-request"));
}

#[test]
fn a_router_tells_about_a_better_first_hop() {
    let mut c = Chain::new();
    // h1 sends everything to the router, whom it knows by its link-local address, even to its own neighbour.
    let (sw, far) = (c.w.add_namespace("h3").unwrap(), "2001:db8:1::3/64");
    let (r_third, h3_eth) = c.w.add_veth((c.r, "eth2"), (sw, "eth0")).unwrap();
    c.address(h3_eth, far);
    let br = c.w.add_bridge(c.r, "br0", Default::default()).unwrap();
    c.w.delete_address(c.r_left, "2001:db8:1::fe/64".parse().unwrap()).unwrap();
    c.w.set_master(c.r_left, br).unwrap();
    c.w.set_master(r_third, br).unwrap();
    c.address(br, "2001:db8:1::fe/64");
    c.w.delete_address(c.h1_eth, "2001:db8:1::1/64".parse().unwrap()).unwrap();
    c.address(c.h1_eth, "2001:db8:1::1/128");
    let gateway = c.w.dev(br).link_local().unwrap();
    let words = netsim::route::parse_route(&format!("2001:db8:1::/64 via {gateway} dev eth0")).unwrap();
    c.w.add_route_spec(c.h1, &words, netsim::route::AddMode::Add).unwrap();
    let lines = c.ping("2001:db8:1::3");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:1::3"), "the packet goes on all the same: {lines:?}");
    let redirects = |sent: Vec<String>| sent.iter().filter(|l| l.contains("redirect")).count();
    assert_eq!(redirects(c.sent(c.r_left)), 1);
    let lines = c.ping("2001:db8:1::3");
    assert!(lines[1].starts_with("64 bytes from 2001:db8:1::3: icmp_seq=1 ttl=64"), "directly: {lines:?}");
    assert!(c.sent(c.r_left).iter().all(|l| !l.contains("redirect")));
}
