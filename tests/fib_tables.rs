//! Changing and listing the routing tables, as a kernel (6.18) and iproute2 (6.1) were seen to do it.

use netsim::{
    base::DevId,
    route::{AddMode, Family, Fib, LinkState, RouteError, parse_route, parse_rule, table},
};

const NAMES: [&str; 3] = ["lo", "e0", "e1"];

fn dev(name: &str) -> Option<DevId> {
    NAMES.iter().position(|n| *n == name).map(|n| DevId(n as u32 + 1))
}

fn name(dev: DevId) -> &'static str {
    NAMES[dev.index() - 1]
}

/// A namespace's tables, changed in the words of `ip`.
struct Lab(Fib);

impl Lab {
    fn new(routes: &[&str]) -> Lab {
        let mut lab = Lab(Fib::default());
        lab.0.set_loopback(DevId(1));
        for words in routes {
            lab.ip("append", words).unwrap_or_else(|e| panic!("{words}: {e}"));
        }
        lab
    }

    /// `ip route VERB WORDS`, with both devices up.
    fn ip(&mut self, verb: &str, words: &str) -> Result<(), RouteError> {
        let spec = parse_route(words).unwrap_or_else(|e| panic!("{words}: {e}"));
        let mode = match verb {
            "add" => AddMode::Add,
            "append" => AddMode::Append,
            "prepend" => AddMode::Prepend,
            "replace" => AddMode::Replace,
            "change" => AddMode::Change,
            _ => return self.0.delete(&spec.selector(&dev).unwrap()).map(drop),
        };
        let mut route = spec.resolve(&dev).unwrap();
        self.0.check_route(&mut route, &|_| LinkState::Up)?;
        self.0.add(route, mode)
    }

    fn show(&self, family: Family, table: u32) -> Vec<String> {
        self.0.routes(family, table).map(|route| route.show(&name)).collect()
    }

    fn main(&self) -> Vec<String> {
        self.show(Family::V4, table::MAIN)
    }
}

/// What belongs to `e0` with 10.0.0.1/24 and `e1` with 10.0.1.1/24.
const NEAR: [&str; 6] = [
    "local 10.0.0.1 dev e0 proto kernel src 10.0.0.1",
    "broadcast 10.0.0.255 dev e0 proto kernel src 10.0.0.1",
    "10.0.0.0/24 dev e0 proto kernel src 10.0.0.1",
    "local 10.0.1.1 dev e1 proto kernel src 10.0.1.1",
    "broadcast 10.0.1.255 dev e1 proto kernel src 10.0.1.1",
    "10.0.1.0/24 dev e1 proto kernel src 10.0.1.1",
];

/// Every line as `ip route show` printed it, in its order; they were added in another.
#[test]
fn listing_as_iproute2_prints_it() {
    let lines = [
        "0.0.0.0/1 via 10.0.0.253 dev e0",
        "default via 10.0.0.254 dev e0",
        "default via 10.0.0.253 dev e0 metric 50",
        "10.0.0.0 via 10.0.0.253 dev e0",
        "10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1",
        "10.0.0.0/16 via 10.0.0.253 dev e0",
        "10.0.0.0/8 tos 0x10 via 10.0.0.253 dev e0",
        "10.0.0.0/8 tos 0x08 via 10.0.0.252 dev e0",
        "10.0.0.0/8 via 10.0.0.253 dev e0",
        "10.0.0.0/8 via 10.0.0.253 dev e0 metric 10",
        "172.16.5.0/24\n\tnexthop via 10.0.0.5 dev e0 weight 3\n\tnexthop via 10.0.0.6 dev e0 weight 1",
        "unreachable 172.17.0.0/16",
        "prohibit 172.17.1.0/24 metric 77",
        "blackhole 172.17.2.0/24",
        "throw 172.17.3.0/24",
        "172.18.0.0/16 via 9.9.9.9 dev e0 onlink",
        "172.19.0.0/16 dev e0 scope link src 10.0.0.1 mtu 1400",
        "172.20.0.0/16 dev e0 scope host",
        "172.21.0.0/16 dev e0 proto static scope link",
        "172.22.1.0/24 dev e0 proto ra scope link",
        "172.22.3.0/24 dev e0 proto 77 scope link",
        "172.23.0.0/16 via inet6 2001:db8::9 dev e0",
        "multicast 239.0.0.0/8 dev e0 scope link",
    ];
    let mut lab = Lab::new(&NEAR[..2]);
    lab.ip("add", "2001:db8::/64 dev e0").unwrap();
    lab.ip("add", lines[4]).unwrap();
    for line in lines.iter().rev().filter(|line| **line != lines[4]) {
        // The words that are printed are those that are read.
        lab.ip("add", line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    assert_eq!(lab.main(), lines);
    let local = ["local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1"];
    assert_eq!(lab.show(Family::V4, table::LOCAL)[..1], local);
    let with_table = lab.0.routes(Family::V4, table::LOCAL).next().map(|r| r.show_with_table(&name));
    assert_eq!(with_table.unwrap(), "local 10.0.0.1 dev e0 table local proto kernel scope host src 10.0.0.1");
}

#[test]
fn ipv6_listing() {
    let lines = [
        "2001:db8::/64 dev e0 proto kernel metric 256 pref medium",
        "2001:db8:5::/48 metric 5 pref medium\n\tnexthop via 2001:db8::254 dev e0 weight 1\n\tnexthop via 2001:db8::253 dev e0 weight 1",
        "2001:db8:5::/48 dev e1 metric 5 pref medium",
        "unreachable 2001:db8:7::/48 dev lo metric 1024 pref medium",
        "2001:db8:b::/48 dev e0 proto static metric 1024 mtu 1400 pref medium",
        "2001:db8:c::/48 via fe80::1 dev e0 metric 1024 onlink pref medium",
        "2001:db8:e::1 dev e0 metric 1024 pref medium",
        "fe80::/64 dev e1 proto kernel metric 256 pref medium",
        "fe80::/64 dev e0 proto kernel metric 256 pref medium",
        "default via 2001:db8::254 dev e0 metric 1024 pref medium",
    ];
    let lab = Lab::new(&[
        "2001:db8::/64 dev e0 proto kernel metric 256",
        "fe80::/64 dev e1 proto kernel metric 256",
        "fe80::/64 dev e0 proto kernel metric 256",
        "default via 2001:db8::254",
        "2001:db8:5::/48 via 2001:db8::254 metric 5",
        "2001:db8:5::/48 dev e1 metric 5",
        "2001:db8:5::/48 via 2001:db8::253 metric 5",
        "unreachable 2001:db8:7::/48",
        "2001:db8:b::1/48 dev e0 proto static mtu 1400",
        "2001:db8:c::/48 via fe80::1 dev e0 onlink",
        "2001:db8:e::1 dev e0",
    ]);
    assert_eq!(lab.show(Family::V6, table::MAIN), lines);
    assert_eq!(lab.main(), [] as [&str; 0]);
}

#[test]
fn ipv6_siblings_come_and_go() {
    let mut lab = Lab::new(&["2001:db8::/64 dev e0", "2001:db8:5::/48 via 2001:db8::254 metric 5"]);
    let prefix = "2001:db8:5::/48 via 2001:db8::253 metric 5";
    assert_eq!(lab.ip("add", prefix), Err(RouteError::Exists));
    lab.ip("append", prefix).unwrap();
    assert_eq!(lab.ip("append", prefix), Err(RouteError::Exists));
    assert!(lab.0.has_multipath());
    lab.ip("append", "2001:db8:5::/48 dev e1 metric 5").unwrap();
    lab.ip("del", "2001:db8:5::/48 via 2001:db8::254").unwrap();
    assert!(!lab.0.has_multipath());
    lab.ip("replace", "2001:db8:5::/48 via 2001:db8::99 metric 5").unwrap();
    let shown = lab.show(Family::V6, table::MAIN);
    assert_eq!(shown[1], "2001:db8:5::/48 via 2001:db8::99 dev e0 metric 5 pref medium");
    assert_eq!(shown[2], "2001:db8:5::/48 dev e1 metric 5 pref medium");
    let error = lab.ip("change", "2001:db8:99::/48 via 2001:db8::99").unwrap_err();
    assert_eq!(error.to_string(), "Error: Can not replace route - no match found.");
}

/// Case equal-metric-duplicate.
#[test]
fn duplicates() {
    let mut lab = Lab::new(&NEAR[..3]);
    lab.ip("add", "172.16.0.0/16 via 10.0.0.250").unwrap();
    let exists = lab.ip("add", "172.16.0.0/16 via 10.0.0.251").unwrap_err();
    assert_eq!((exists.errno().name(), exists.to_string()), ("EEXIST", "RTNETLINK answers: File exists".into()));
    lab.ip("append", "172.16.0.0/16 via 10.0.0.251").unwrap();
    assert_eq!(lab.ip("append", "172.16.0.0/16 via 10.0.0.251"), Err(RouteError::Exists));
    lab.ip("prepend", "172.16.0.0/16 via 10.0.0.252").unwrap();
    let via = |n: u8| format!("172.16.0.0/16 via 10.0.0.{n} dev e0");
    assert_eq!(lab.main()[1..], [via(252), via(250), via(251)]);
    lab.ip("replace", "172.16.0.0/16 via 10.0.0.253").unwrap();
    assert_eq!(lab.main()[1..], [via(253), via(250), via(251)]);
    assert_eq!(lab.ip("replace", "172.16.0.0/16 via 10.0.0.250"), Err(RouteError::Exists));
    lab.ip("replace", "172.16.0.0/16 via 10.0.0.253").unwrap();
    lab.ip("del", "172.16.0.0/16").unwrap();
    assert_eq!(lab.main()[1..], [via(250), via(251)]);
    let none = lab.ip("del", "192.168.0.0/16").unwrap_err();
    assert_eq!((none.errno().name(), none.to_string()), ("ESRCH", "RTNETLINK answers: No such process".into()));
    let bits = lab.ip("add", "172.16.0.1/16 via 10.0.0.250 metric 9").unwrap_err();
    assert_eq!(bits.to_string(), "Error: Invalid prefix for given prefix length.");
    assert_eq!(lab.ip("change", "99.0.0.0/8 via 10.0.0.4").unwrap_err().errno().name(), "ENOENT");
}

#[test]
fn delete_matches_what_is_given() {
    let mut lab = Lab::new(&NEAR);
    for words in ["via 10.0.0.2", "via 10.0.0.3 metric 5", "via 10.0.0.4 metric 6 proto static", "dev e1 metric 7"] {
        lab.ip("add", &format!("20.0.0.0/8 {words}")).unwrap();
    }
    for (words, left) in [
        ("20.0.0.0/8 via 10.0.0.3", 3),
        ("20.0.0.0/8 proto static", 2),
        ("20.0.0.0/8 dev e1", 1),
        ("20.0.0.0/8 metric 0", 0),
    ] {
        assert_eq!(lab.ip("del", "20.0.0.0/8 metric 99"), Err(RouteError::NotFound));
        lab.ip("del", words).unwrap();
        assert_eq!(lab.main().len(), left + 2, "{words}");
    }
    lab.ip("add", "unreachable 20.0.0.0/8").unwrap();
    assert_eq!(lab.ip("del", "prohibit 20.0.0.0/8"), Err(RouteError::NotFound));
    assert_eq!(lab.ip("del", "20.0.0.0/8 tos 0x10"), Err(RouteError::NotFound));
    lab.ip("del", "unreachable 20.0.0.0/8").unwrap();
    lab.ip("del", "local 10.0.1.1").unwrap();
    assert_eq!(lab.show(Family::V4, table::LOCAL).len(), 3);
}

/// Case invalid-gateway, and what else a kernel was seen to refuse.
#[test]
fn what_is_refused() {
    let mut lab = Lab::new(&NEAR[..3]);
    lab.ip("add", "default via 10.0.0.254").unwrap();
    for (words, message) in [
        ("172.16.0.0/16 via 192.168.7.7", "Error: Nexthop has invalid gateway."),
        ("172.16.0.0/16 via 192.168.7.7 dev e0", "Error: Nexthop has invalid gateway."),
        ("172.18.0.0/16 via 10.0.0.255", "Error: Nexthop has invalid gateway."),
        ("172.18.0.0/16 via 10.0.0.255 dev e0 onlink", "Error: Nexthop has invalid gateway."),
        ("172.18.0.0/16 via 10.0.0.5 onlink", "Error: Nexthop device required for onlink."),
        ("172.20.0.0/16 via 10.0.0.254 src 10.0.0.77", "Error: Invalid prefsrc address."),
        ("1.0.0.0/8 via 10.0.0.5 scope link", "Error: Nexthop has invalid gateway."),
        ("1.0.0.0/8 via 10.0.0.5 dev e0 scope host", "Error: Route with host scope can not have a gateway."),
        ("1.0.0.0/8 dev e0 tos 0x3", "Error: Invalid dsfield (tos): ECN bits must be 0."),
        ("1.0.0.0/8", "RTNETLINK answers: No such device"),
        ("local 1.2.3.4 dev e0 scope link", "Error: Invalid scope."),
        (
            "blackhole 1.0.0.0/8 dev e0",
            "Error: Gateway, device and multipath can not be specified for this route type.",
        ),
        ("2001:db8:d::/48 via fe80::1", "Error: Egress device not specified."),
        ("2001:db8:d::/48 via 2001:dead::1", "RTNETLINK answers: No route to host"),
        ("2001:db8:d::/48 via ff02::1 dev e0", "Error: Invalid gateway address."),
        ("2001:db8:d::/48 via fe80::1 dev lo", "Error: Egress device can not be loopback device for this route."),
    ] {
        let error = lab.ip("add", words).expect_err(words);
        assert_eq!(error.to_string(), message, "{words}");
    }
    lab.ip("add", "172.16.0.0/16 via 192.168.7.7 dev e0 onlink").unwrap();
    lab.ip("add", "172.17.0.0/16 via 10.0.0.1").unwrap();
    assert_eq!(lab.main()[2..], ["172.16.0.0/16 via 192.168.7.7 dev e0 onlink", "172.17.0.0/16 via 10.0.0.1 dev e0"]);
    lab.ip("append", "local 2001:db8::1 dev e0").unwrap();
    assert_eq!(lab.ip("add", "2001:db8:d::/48 via 2001:db8::1"), Err(RouteError::LocalGateway));
    let mut route = parse_route("30.0.0.0/8 dev e1").unwrap().resolve(&dev).unwrap();
    assert_eq!(lab.0.check_route(&mut route, &|_| LinkState::Down), Err(RouteError::DeviceDown));
    lab.0.check_route(&mut route, &|_| LinkState::NoCarrier).unwrap();
    assert_eq!(route.show(&name), "30.0.0.0/8 dev e1 scope link linkdown");
}

/// As seen with `ip link set e1 down` on a veth pair e0–e1, and up again.
#[test]
fn a_device_goes_down() {
    let mut lab = Lab::new(&NEAR);
    for words in [
        "70.0.0.0/8 nexthop via 10.0.0.5 nexthop via 10.0.1.5 weight 2",
        "71.0.0.0/8 nexthop via 10.0.0.5 onlink dev e0 nexthop dev e1 weight 256",
        "71.1.0.0/16 dev e1",
        "172.20.0.0/16 dev e1 scope host",
    ] {
        lab.ip("add", words).unwrap();
    }
    let shown = lab.main();
    lab.0.set_linkdown(DevId(2), true);
    let gone = lab.0.device_down(DevId(3));
    assert_eq!(gone.len(), 3, "connected, static and broadcast route");
    assert_eq!(
        lab.main(),
        [
            "10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 linkdown",
            "70.0.0.0/8 linkdown\n\tnexthop via 10.0.0.5 dev e0 weight 1 linkdown\n\tnexthop via 10.0.1.5 dev e1 weight 2 dead linkdown",
            "71.0.0.0/8 linkdown\n\tnexthop via 10.0.0.5 dev e0 weight 1 onlink linkdown\n\tnexthop dev e1 weight 256 dead linkdown",
            "172.20.0.0/16 dev e1 scope host",
        ]
    );
    let local = lab.show(Family::V4, table::LOCAL);
    assert_eq!(local[0], "local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1");
    assert_eq!(local[1], "broadcast 10.0.0.255 dev e0 proto kernel scope link src 10.0.0.1 linkdown");
    assert_eq!(local[2..], ["local 10.0.1.1 dev e1 proto kernel scope host src 10.0.1.1"]);
    lab.0.device_up(DevId(3), true);
    lab.0.set_linkdown(DevId(2), false);
    let left: Vec<&String> = shown.iter().filter(|l| !l.starts_with("10.0.1.0") && !l.starts_with("71.1")).collect();
    assert_eq!(lab.main().iter().collect::<Vec<_>>(), left);
    // Its last address goes, then the device: multipath routes keep the other hop, then are gone.
    assert_eq!(lab.0.device_without_address(DevId(3), Family::V4).len(), 2);
    assert_eq!(lab.0.remove_device_routes(DevId(3)).len(), 2);
    assert_eq!((lab.main().len(), lab.0.len(), lab.0.has_multipath()), (1, 3, false));
}

/// Seen on 6.18: only table main of IPv4 loses routes, IPv6 routes only forget the source.
#[test]
fn a_source_address_goes() {
    let mut lab = Lab::new(&NEAR[..3]);
    lab.ip("append", "local 10.0.0.9 dev e0").unwrap();
    lab.ip("append", "local 2001:db8::9 dev e0").unwrap();
    lab.ip("add", "60.0.0.0/8 via 10.0.0.254 src 10.0.0.9").unwrap();
    lab.ip("add", "61.0.0.0/8 via 10.0.0.254 src 10.0.0.9 table 100").unwrap();
    lab.ip("add", "2001:db8:f::/48 dev e0 src 2001:db8::9").unwrap();
    assert_eq!(lab.0.remove_routes_with_src("10.0.0.9".parse().unwrap()).len(), 1);
    assert_eq!(lab.0.remove_routes_with_src("2001:db8::9".parse().unwrap()).len(), 0);
    assert_eq!(lab.show(Family::V4, 100), ["61.0.0.0/8 via 10.0.0.254 dev e0 src 10.0.0.9"]);
    assert_eq!(lab.show(Family::V6, table::MAIN), ["2001:db8:f::/48 dev e0 metric 1024 pref medium"]);
    assert_eq!(lab.0.table_ids(Family::V4).collect::<Vec<_>>(), [100, 254, 255]);
    assert_eq!(lab.0.retain(|route| route.family() == Family::V6).len(), 5);
    assert_eq!(lab.0.remove(|route| route.table == table::LOCAL).len(), 1);
    assert!(!lab.0.is_empty());
}

/// Every line as `ip rule show` printed it.
#[test]
fn rules_as_iproute2_prints_them() {
    let lines = [
        "0:\tfrom all lookup local",
        "5:\tfrom 10.0.0.0/8 tos 0x10 lookup local",
        "7:\tfrom 10.0.0.1/8 lookup 5",
        "597:\tfrom all blackhole",
        "598:\tfrom all iif lo unreachable",
        "599:\tfrom all fwmark 0x5 oif e1 lookup 300",
        "600:\tfrom all fwmark 0x1/0xff lookup 100",
        "700:\tfrom all lookup main suppress_prefixlength 0",
        "800:\tnot from 10.0.0.1 to 9.9.9.0/24 prohibit",
        "900:\tfrom all to 8.8.8.8 iif e0 lookup 100",
        "32766:\tfrom all lookup main",
        "32767:\tfrom all lookup default",
    ];
    let mut fib = Fib::default();
    let mut add = |words: &str, ipv6| {
        let spec = parse_rule(words, ipv6).unwrap_or_else(|e| panic!("{words}: {e}"));
        let rule = spec.resolve(&dev, fib.default_priority(spec.family)).unwrap();
        fib.add_rule(rule)
    };
    for words in [
        "iif e0 to 8.8.8.8 lookup 100 prio 900",
        "not from 10.0.0.1 to 9.9.9.0/24 prio 800 prohibit",
        "from all lookup main suppress_prefixlength 0 prio 700",
        "fwmark 0x1/0xff lookup 100 prio 600",
        "fwmark 5 oif e1 lookup 300",
        "unreachable iif lo",
        "blackhole",
        "from 10/8 tos 0x10 lookup local pref 5",
        "from 10.0.0.1/8 lookup 5 pref 7",
    ] {
        add(words, false).unwrap();
    }
    assert_eq!(add("from 10.0.0.0/8 tos 0x10 lookup local pref 5", false), Err(RouteError::Exists));
    add("from 2001:db8::/32 lookup 100", false).unwrap();
    add("lookup 7 pref 9", true).unwrap();
    let shown = |family| fib.rules(family).iter().map(|r| r.show(&name)).collect::<Vec<_>>();
    assert_eq!(shown(Family::V4), lines);
    assert_eq!(
        shown(Family::V6),
        [lines[0], "9:\tfrom all lookup 7", "32765:\tfrom 2001:db8::/32 lookup 100", lines[10]]
    );
    let nothing = parse_rule("pref 999", false).unwrap().selector(&dev).unwrap();
    assert_eq!(fib.delete_rule(Family::V4, &nothing).unwrap_err().errno().name(), "ENOENT");
}
