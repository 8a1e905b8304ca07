//! Every scenario that comes with netsim does what it says with IPv6 as well: each address is rewritten, and what the file
//! expects still comes true.

use netsim::{
    report::{
        story::{Detail, render},
        text::Style,
    },
    scenario::{self, RunOptions},
};
use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// What a file says of IPv4 in other words than addresses, and how that is said of IPv6; a line without a counterpart is
/// replaced by nothing.
const WORDS: [(&str, &str, &str); 14] = [
    ("routing_loop", "Time to live exceeded", "Time exceeded: Hop limit"),
    ("firewall", "Packet filtered", "Administratively prohibited"),
    ("nat", "\"icmp src=", "\"icmpv6 src="),
    ("nat", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"),
    ("port_forward", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"),
    // Neighbour discovery is made of IPv6 packets: the server sees those of its neighbour.
    ("port_forward", "NeverSeen(at: \"server\", src: \"10.0.0.9\"),", ""),
    ("proc_net", "Proc(in: \"plain\", path: \"/proc/net/arp\", has: \"10.0.0.254 eth0\"),", ""),
    ("proc_net", "net/tcp", "net/tcp6"),
    ("proc_net", "net/udp", "net/udp6"),
    ("proc_net", "00000000:0007", "00000000000000000000000000000000:0007"),
    ("storm", "NETSIM_ARP_IGNORED", "IP_INVALID_DEST"),
    // Two hosts with one MAC address have one link-local address, too. They ask each other for it for ever.
    ("mac_collision", "    expect: [", "    until: \"30s\",\n    expect: ["),
    ("loopback", "net.ipv4.", "net.ipv6."),
    ("two_routers", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"),
];

/// 10.1.2.3 becomes fd00:a01:2::3, and 127.0.0.1 becomes ::1.
fn counterpart(addr: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = addr.octets();
    match addr {
        Ipv4Addr::LOCALHOST => Ipv6Addr::LOCALHOST,
        _ => Ipv6Addr::new(0xfd00, u16::from_be_bytes([a, b]), c.into(), 0, 0, 0, 0, d.into()),
    }
}

/// The prefix length that has the same meaning for the counterparts: /24 becomes /64.
fn length(len: u32) -> u32 {
    match len {
        0 => 0,
        1..=16 => 16 + len,
        17..=24 => 32 + (len - 16) * 4,
        _ => 96 + len,
    }
}

/// The text with every IPv4 address in it replaced.
fn rewrite(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let inside_a_word = rest[..start].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == ':');
        let end = rest[start..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |n| start + n);
        out += &rest[..start];
        let Some(addr) = rest[start..end].parse::<Ipv4Addr>().ok().filter(|_| !inside_a_word) else {
            out += &rest[start..end];
            rest = &rest[end..];
            continue;
        };
        let url = rest[..start].ends_with("//");
        rest = &rest[end..];
        let new = counterpart(addr);
        let number = |t: &str| t.bytes().take_while(u8::is_ascii_digit).count();
        if let Some(len) = rest.strip_prefix('/').filter(|t| !url && number(t) > 0) {
            let digits = number(len);
            out += &format!("{new}/{}", length(len[..digits].parse().expect("digits")));
            rest = &len[digits..];
        } else if url || rest.strip_prefix(':').is_some_and(|t| number(t) > 0) {
            out += &format!("[{new}]");
        } else {
            out += &new.to_string();
        }
    }
    out + rest
}

#[test]
fn every_scenario_holds_with_ipv6() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).expect("the scenarios") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut text = fs::read_to_string(&path).expect("a scenario");
        for (_, old, new) in WORDS.iter().filter(|(file, ..)| *file == name) {
            text = text.replace(old, new);
        }
        let text = rewrite(&text);
        let scenario = scenario::load(&text).unwrap_or_else(|found| panic!("{name}: {found:?}\n{text}"));
        let report =
            scenario::run(&scenario, RunOptions::default()).unwrap_or_else(|found| panic!("{name}: {found:?}"));
        assert!(report.passed, "{name}:\n{}", render(&report, Detail::Normal, Style::PLAIN));
        count += 1;
    }
    assert!(count >= 10);
}

#[test]
fn addresses_are_found_in_every_place() {
    let given = r#"a "10.0.0.1/24" http://10.0.0.1/ "10.0.0.1:80" v1.2 127.0.0.1 10.0.0.0/8 1.5s"#;
    let expected = r#"a "fd00:a00::1/64" http://[fd00:a00::1]/ "[fd00:a00::1]:80" v1.2 ::1 fd00:a00::/24 1.5s"#;
    assert_eq!(rewrite(given), expected);
}
