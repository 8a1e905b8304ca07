//! Words that are no route or rule: which one is named, where, and what is expected instead.

use netsim::{
    base::DevId,
    route::{Family, RouteType, parse_route, parse_rule},
};
use proptest::prelude::*;

/// The error of a text, with the words it underlines.
fn wrong(text: &str) -> (String, String) {
    let error = parse_route(text).expect_err(text);
    assert_eq!(error.errno().name(), "EINVAL");
    (text[error.at.clone()].into(), error.to_string())
}

#[test]
fn the_offending_word_is_named() {
    for (text, word, expected) in [
        ("", "", "the text ends too early: expected a route, such as `default via 10.0.0.1`"),
        ("banana via 1.1.1.1", "banana", "expected a prefix such as 10.0.0.0/24, an address, or `default`"),
        ("1.0.0.0/33 dev eth0", "1.0.0.0/33", "expected a prefix"),
        ("unreachable", "", "expected a prefix after the type of the route"),
        ("1.0.0.0/8 via 10.0.0.5 foo", "foo", "`foo` is wrong: expected via, dev, metric"),
        ("1.0.0.0/8 via", "", "the text ends too early: expected the address of the gateway after `via`"),
        ("1.0.0.0/8  via\tbanana", "banana", "expected the address of the gateway after `via`"),
        ("1.0.0.0/8 via inet6 10.0.0.1", "10.0.0.1", "expected the address of the gateway after `via`"),
        ("1.0.0.0/8 dev eth0 dev eth1", "dev", "expected `dev` only once"),
        ("1.0.0.0/8 dev eth0 metric x", "x", "expected a number after `metric`"),
        ("1.0.0.0/8 dev eth0 metric 4294967296", "4294967296", "expected a number"),
        ("1.0.0.0/8 dev eth0 table foo", "foo", "expected a table (main, local, default or a number) after `table`"),
        ("1.0.0.0/8 dev eth0 scope far", "far", "expected global, site, link or host after `scope`"),
        ("1.0.0.0/8 dev eth0 tos 0x100", "0x100", "expected a type of service"),
        ("1.0.0.0/8 dev eth0 mtu 0", "0", "expected a number of bytes after `mtu`"),
        ("1.0.0.0/8 via 1.1.1.1 nexthop via 1.1.1.2", "nexthop", "either one gateway or device, or several"),
        ("1.0.0.0/8 nexthop via 1.1.1.2 weight 257", "257", "expected a number from 1 to 256 after `weight`"),
        ("1.0.0.0/8 nexthop via 1.1.1.2 metric 5", "metric", "expected via, dev, weight, onlink or nexthop"),
    ] {
        let (found, message) = wrong(text);
        assert_eq!(found, word, "{text}");
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn unknown_devices_are_named() {
    let spec = parse_route("172.19.0.0/16 dev eth9").unwrap();
    let error = spec.resolve(&|_| None).unwrap_err();
    assert_eq!(error.to_string(), "Cannot find device \"eth9\""); // case invalid-gateway
    assert_eq!((error.errno().name(), error.at), ("ENODEV", 18..22));
    assert!(spec.selector(&|_| None).is_err());
    let rule = parse_rule("iif eth9 lookup 5", false).unwrap();
    assert_eq!(rule.resolve(&|_| None, 1).unwrap_err().at, 4..8);
}

#[test]
fn the_default_route_takes_its_family_from_the_gateway() {
    for (text, dst) in [
        ("default dev eth0", "0.0.0.0/0"),
        ("default via fe80::1 dev eth0", "::/0"),
        ("default dev eth0 src 2001:db8::1", "::/0"),
        ("default nexthop via 2001:db8::1 nexthop via 2001:db8::2", "::/0"),
        ("to 10.1/16 dev eth0", "10.1.0.0/16"),
        ("10/8 dev eth0", "10.0.0.0/8"),
    ] {
        assert_eq!(parse_route(text).unwrap().dst.value.to_string(), dst, "{text}");
    }
    let special = parse_route("blackhole 2001:db8::/32").unwrap();
    let route = special.resolve(&|name| (name == "lo").then_some(DevId(7))).unwrap();
    assert_eq!((route.kind, route.hops()[0].dev), (RouteType::Blackhole, Some(DevId(7))));
}

#[test]
fn rules() {
    for (text, word) in [
        ("from banana", "banana"),
        ("fwmark 1/x", "1/x"),
        ("lookup 5 prohibit", "prohibit"),
        ("prohibit lookup 5", "lookup"),
        ("from 10.0.0.0/8 to 2001:db8::/32", "2001:db8::/32"),
        ("suppress_prefixlength 129", "129"),
        ("goto 7", "goto"),
    ] {
        let error = parse_rule(text, false).expect_err(text);
        assert_eq!(&text[error.at], word, "{text}");
    }
    assert_eq!(parse_rule("to ::1", false).unwrap().family, Family::V6);
}

proptest! {
    /// Whatever the text, an error points into it; what is understood can be resolved.
    #[test]
    fn no_text_panics(words in prop::collection::vec(
        prop_oneof![
            Just("default"), Just("via"), Just("dev"), Just("nexthop"), Just("10.0.0.0/8"), Just("::1"), Just("10.0.0.1"),
            Just("e0"), Just("metric"), Just("0x10"), Just("7"), Just("weight"), Just("onlink"), Just("table"), Just("local"),
            Just("from"), Just("to"), Just("not"), Just("lookup"), Just("é/9"), Just("1.2.3.4.5/8"), Just("/"),
        ], 0..9)) {
        let text = words.join(" ");
        match parse_route(&text) {
            Ok(spec) => {
                let route = spec.resolve(&|_| Some(DevId(1))).expect("every name is a device");
                prop_assert!(!route.show(&|_| "e0").is_empty());
            }
            Err(error) => prop_assert_eq!(text.get(error.at), Some(error.word.as_deref().unwrap_or_default())),
        }
        if let Err(error) = parse_rule(&text, false) {
            prop_assert_eq!(text.get(error.at), Some(error.word.as_deref().unwrap_or_default()));
        }
    }
}
