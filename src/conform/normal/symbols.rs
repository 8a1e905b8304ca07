//! Symbols for what is random on Linux: ports and ICMP identifiers that do not occur in the case become `p#1`, `id#1`
//! and so on in the order of their first appearance; MACs get the names of their owners.

use crate::{
    base::{Mac, Map},
    conform::{case::Case, topo::Topology},
};
use serde_json::Value;
use std::{collections::BTreeSet, net::Ipv6Addr};

/// The symbols of one case, shared by its packets, results and tables.
pub struct Symbols<'a> {
    topo: &'a Topology,
    /// Numbers that occur in the case and keep their value.
    known: BTreeSet<u32>,
    /// Whether the ports traceroute counts through keep theirs.
    traceroute: bool,
    classes: &'a [(u32, u32, String)],
    ports: Map<u32, String>,
    /// How many symbols each prefix has given.
    given: Vec<(String, u32)>,
    ids: Map<u32, String>,
}

/// Ranges of ports wider than this are not taken as ports to be recognised.
const WIDEST: u32 = 64;

impl<'a> Symbols<'a> {
    /// Nothing has a symbol yet.
    pub fn new(case: &'a Case, topo: &'a Topology) -> Symbols<'a> {
        let mut known = BTreeSet::from([0, 7, 53, 4789]);
        let mut traceroute = false;
        for key in ["nodes", "links", "steps"] {
            strings(&case.source[key], &mut |s| {
                traceroute |= s == "traceroute";
                endpoints(s, &mut known);
            });
        }
        fields(&case.source, &mut known);
        Symbols {
            topo,
            known,
            traceroute,
            classes: &case.port_classes,
            ports: Map::default(),
            given: Vec::new(),
            ids: Map::default(),
        }
    }

    /// A port.
    pub fn port(&mut self, port: u32, is_destination: bool) -> String {
        let probe = is_destination && self.traceroute && (33434..33600).contains(&port);
        if probe || self.known.contains(&port) {
            return port.to_string();
        }
        if let Some(symbol) = self.ports.get(&port) {
            return symbol.clone();
        }
        let class = self.classes.iter().find(|(lo, hi, _)| (*lo..=*hi).contains(&port));
        let prefix = class.map_or("p", |(_, _, name)| name);
        let count = match self.given.iter_mut().find(|(p, _)| p == prefix) {
            Some((_, n)) => {
                *n += 1;
                *n
            }
            None => {
                self.given.push((prefix.into(), 1));
                1
            }
        };
        let symbol = format!("{prefix}#{count}");
        self.ports.insert(port, symbol.clone());
        symbol
    }

    /// An ICMP identifier.
    pub fn icmp_id(&mut self, id: u32) -> String {
        if self.known.contains(&id) {
            return id.to_string();
        }
        let next = self.ids.len() + 1;
        self.ids.entry(id).or_insert_with(|| format!("id#{next}")).clone()
    }

    /// A MAC by the name of its owner.
    pub fn mac(&self, mac: Mac) -> String {
        self.topo.name_of(mac).map_or_else(|| mac.to_string(), Into::into)
    }

    /// An IPv6 address; one made from the MAC of somebody known is named after it.
    pub fn v6(&self, addr: Ipv6Addr) -> String {
        let b = addr.octets();
        if addr.segments()[..4] == [0xfe80, 0, 0, 0] && b[11..13] == [0xff, 0xfe] {
            let mac = Mac([b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]]);
            if let Some(name) = self.topo.name_of(mac) {
                return format!("LL({name})");
            }
        }
        addr.to_string()
    }

    /// A result with symbols in all its strings.
    pub fn result(&mut self, v: &Value) -> Value {
        match v {
            Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), self.result(v))).collect()),
            Value::Array(a) => Value::Array(a.iter().map(|v| self.result(v)).collect()),
            Value::String(s) => Value::String(self.text(s)),
            other => other.clone(),
        }
    }

    /// One pass for each kind of symbol, in the oracle's order: numbers get theirs in the order they are met.
    fn text(&mut self, s: &str) -> String {
        let s = replace(s, |at, _| {
            let (mac, rest) = at.strip_prefix("MAC<")?.split_once('>')?;
            Some((at.len() - rest.len(), self.mac(mac.parse().ok()?)))
        });
        let s = replace(&s, |at, before| {
            let key = at.get(..6).filter(|k| matches!(*k, "sport=" | "dport=") && !in_word(before))?;
            let (n, len) = number(&at[6..])?;
            Some((6 + len, format!("{key}{}", self.port(n, true))))
        });
        let s = replace(&s, |at, before| {
            let (n, len) = number(at.strip_prefix("id=").filter(|_| !in_word(before))?)?;
            let ends = !at[3 + len..].starts_with(is_word);
            ends.then(|| (3 + len, format!("id={}", self.icmp_id(n))))
        });
        let s = replace(&s, |at, _| {
            let host = dotted(at).or_else(|| bracketed(at))?;
            let (n, len) = number(at[host..].strip_prefix(':')?)?;
            let end = host + 1 + len;
            (!at[end..].starts_with(is_word)).then(|| (end, format!("{}:{}", &at[..host], self.port(n, false))))
        });
        let s = replace(&s, |at, _| {
            let len = at.find(|c: char| !(c.is_ascii_digit() || matches!(c, 'a'..='f' | ':'))).unwrap_or(at.len());
            let addr: Ipv6Addr = at.get(..len).filter(|a| a.starts_with("fe80::"))?.parse().ok()?;
            (addr.octets()[11..13] == [0xff, 0xfe]).then(|| (len, self.v6(addr)))
        });
        replace(&s, |at, before| {
            let mac = at.get(..17).filter(|_| !in_word(before) && !at[17..].starts_with(is_word))?;
            // Only lower case: that is how tools write them.
            let lower = !mac.bytes().any(|b| b.is_ascii_uppercase());
            Some((17, self.mac(mac.parse().ok().filter(|_| lower)?)))
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn in_word(before: Option<char>) -> bool {
    before.is_some_and(is_word)
}

/// Rewrites `s` from left to right: `rule` gets the rest of the text and the character before it, and gives the length
/// it takes and what comes in its place.
fn replace(s: &str, mut rule: impl FnMut(&str, Option<char>) -> Option<(usize, String)>) -> String {
    let mut out = String::with_capacity(s.len());
    let (mut rest, mut before) = (s, None);
    while let Some(c) = rest.chars().next() {
        let taken = match rule(rest, before) {
            Some((len, put)) => {
                out += &put;
                len
            }
            None => {
                out.push(c);
                c.len_utf8()
            }
        };
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    out
}

/// The number at the beginning of a text and its length.
fn number(s: &str) -> Option<(u32, usize)> {
    let len = s.bytes().take_while(u8::is_ascii_digit).count();
    Some((s[..len].parse().ok()?, len))
}

/// The length of `1.2.3.4` at the beginning of a text.
fn dotted(s: &str) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        if part > 0 {
            at += s[at..].starts_with('.').then_some(1)?;
        }
        at += number(&s[at..])?.1;
    }
    Some(at)
}

/// The length of `[fd00::1]` at the beginning of a text.
fn bracketed(s: &str) -> Option<usize> {
    let inside = s.strip_prefix('[')?;
    let len = inside.find(|c: char| !(c.is_ascii_digit() || matches!(c, 'a'..='f' | ':')))?;
    (len > 0 && inside[len..].starts_with(']')).then_some(len + 2)
}

/// Every string of a value, keys included.
fn strings(v: &Value, see: &mut impl FnMut(&str)) {
    match v {
        Value::String(s) => see(s),
        Value::Array(a) => a.iter().for_each(|v| strings(v, see)),
        Value::Object(o) => o.iter().for_each(|(k, v)| {
            see(k);
            strings(v, see);
        }),
        _ => {}
    }
}

/// Notes a range of ports, unless it is too wide to be meant one by one.
fn note(known: &mut BTreeSet<u32>, lo: u32, hi: u32) {
    if hi < lo.saturating_add(WIDEST) {
        known.extend(lo..=hi);
    }
}

/// The ports of endpoints in a string: digits behind a colon that stands behind an address, `]`, `*`, a blank or
/// nothing.
fn endpoints(s: &str, known: &mut BTreeSet<u32>) {
    for (at, _) in s.match_indices(':') {
        let before = &s[..at];
        let fits = before.is_empty()
            || before.ends_with([']', '*', '"'])
            || before.ends_with(char::is_whitespace)
            || ends_in_dotted(before);
        // At most five digits are looked at.
        let digits = |s: &str| {
            let len = s.bytes().take(5).take_while(u8::is_ascii_digit).count();
            s[..len].parse::<u32>().ok().map(|n| (n, len))
        };
        if let Some((lo, len)) = digits(&s[at + 1..]).filter(|_| fits) {
            let rest = s[at + 1 + len..].strip_prefix('-');
            let hi = rest.and_then(digits).map_or(lo, |(n, _)| n);
            note(known, lo, hi);
        }
    }
}

fn ends_in_dotted(s: &str) -> bool {
    let start = s.rfind(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(0, |i| i + 1);
    let parts: Vec<&str> = s[start..].rsplit('.').take(4).collect();
    parts.len() == 4 && parts.iter().all(|p| !p.is_empty())
}

/// Numbers that stand alone in fields for ports and identifiers.
fn fields(v: &Value, known: &mut BTreeSet<u32>) {
    match v {
        Value::Object(o) => {
            for (key, value) in o {
                let field = &**key;
                match value {
                    Value::Number(n) if matches!(field, "port" | "sport" | "dport" | "id" | "known_ports") => {
                        known.extend(n.as_u64().and_then(|n| u32::try_from(n).ok()));
                    }
                    Value::String(s) if matches!(field, "sport" | "dport" | "to") => {
                        let (lo, hi) = s.split_once('-').unwrap_or((s, s));
                        if let (Ok(lo), Ok(hi)) = (lo.parse(), hi.parse()) {
                            note(known, lo, hi);
                        }
                    }
                    _ => {}
                }
                fields(value, known);
            }
        }
        Value::Array(a) => a.iter().for_each(|v| fields(v, known)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case::parse(
            r#"{"nodes": {"a": {"nat": [{"action": "snat", "to": "203.0.113.1:4000-4003"}]}, "b": {}},
                "links": [["a:eth0", "b:eth0"]], "port_classes": [[600, 1023, "low"]],
                "steps": [{"op": "udp_send", "node": "a", "to": "10.0.0.2:5000", "bind": ":6000"},
                          {"op": "ping", "node": "a", "dst": "10.0.0.2", "id": 77},
                          {"op": "traceroute", "node": "a", "dst": "10.0.0.2"}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_occurs_in_the_case_keeps_its_value() {
        let case = case();
        let topo = Topology::of(&case).unwrap();
        let mut s = Symbols::new(&case, &topo);
        for known in [0, 53, 77, 4000, 4003, 5000, 6000] {
            assert_eq!(s.port(known, false), known.to_string());
        }
        assert_eq!((s.port(33434, true), s.port(33434, false)), ("33434".into(), "p#1".into()));
        assert_eq!(
            (s.port(40000, false), s.port(700, false), s.port(33434, false)),
            ("p#2".into(), "low#1".into(), "p#1".into())
        );
        assert_eq!(
            (s.icmp_id(9), s.icmp_id(77), s.icmp_id(9), s.icmp_id(8)),
            ("id#1".into(), "77".into(), "id#1".into(), "id#2".into())
        );
    }

    #[test]
    fn results_get_symbols_everywhere() {
        let case = case();
        let topo = Topology::of(&case).unwrap();
        let mut s = Symbols::new(&case, &topo);
        let mut text = |t: &str| s.text(t);
        assert_eq!(text("from 10.0.0.1:41000 to [fd00::1]:41000"), "from 10.0.0.1:p#1 to [fd00::1]:p#1");
        assert_eq!(text("sport=41001 dport=5000 xsport=3"), "sport=p#2 dport=5000 xsport=3");
        assert_eq!(text("id=5 id=77 id=5x"), "id=id#1 id=77 id=5x");
        assert_eq!(text("10.0.0.2 lladdr MAC<02:00:00:00:00:0b> STALE"), "10.0.0.2 lladdr b:eth0 STALE");
        assert_eq!(text("addr 02:00:00:00:00:0a, not 02:00:00:00:00:0ab"), "addr a:eth0, not 02:00:00:00:00:0ab");
        assert_eq!(text("via fe80::ff:fe00:a dev eth0"), "via LL(a:eth0) dev eth0");
        assert_eq!(text("10.0.0.1/24 at 12:34"), "10.0.0.1/24 at 12:34");
    }

    #[test]
    fn ranges_of_ports_and_what_looks_like_one() {
        let mut known = BTreeSet::new();
        endpoints("10.0.0.1:80 x:81 10.0.0.1:90-92 [fd00::1]:99 02:00:00 *:7 1.2.3:5 10.0.0.1:1024-65535", &mut known);
        assert_eq!(known.into_iter().collect::<Vec<_>>(), [7, 80, 90, 91, 92, 99]);
    }
}
