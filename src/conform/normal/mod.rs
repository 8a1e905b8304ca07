//! From a raw trace to an observation: what happened without what no two runs share (`normalise` of the oracle).

mod frame;
mod network;
mod symbols;
mod transport;

use super::{
    case::{Case, Observe},
    raw::{Packet, Raw},
    topo::Topology,
};
use crate::{
    base::{SEC, Time},
    trace::Direction,
};
use frame::Class;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use symbols::Symbols;

/// A packet of an observation.
struct Seen {
    /// `in` or `out`; nothing on `lo`.
    dir: &'static str,
    line: String,
}

/// The packets of one step, by `node:interface`.
type Bucket = BTreeMap<String, Vec<Seen>>;

/// The observation of a run, in the form of `observed.json`.
///
/// # Errors
/// If the case's topology makes no sense.
pub fn normalise(case: &Case, raw: &Raw, packets: &[Packet]) -> Result<Value, String> {
    let topo = Topology::of(case)?;
    let mut symbols = Symbols::new(case, &topo);
    let buckets = sort_packets(&mut symbols, &case.observe, raw, packets);
    let mut steps = Vec::new();
    for (i, (s, bucket)) in raw.steps.iter().zip(buckets).enumerate() {
        let op = s.step["op"].as_str().unwrap_or_default();
        let mut e = Map::new();
        e.insert("step".into(), json!(i));
        e.insert("op".into(), json!(op));
        for key in ["node", "dst", "to", "dev"] {
            if let Some(v) = s.step.get(key) {
                e.insert(key.into(), v.clone());
            }
        }
        if !s.result.is_null() {
            let mut result = symbols.result(&s.result);
            if op == "dump" {
                tidy_dump(&mut result, &s.result);
            }
            e.insert("result".into(), result);
        }
        if s.elapsed as f64 >= 0.9 * SEC as f64 && op != "sleep" {
            e.insert("elapsed_s".into(), json!(rounded(s.elapsed)));
        }
        if let Some(note) = s.step.get("note").filter(|n| n.as_str() != Some("")) {
            e.insert("note".into(), note.clone());
        }
        let listed = match s.step.get("packets") == Some(&json!(false)) {
            true => Map::new(),
            false => {
                let own = s.step.get("packet_order").and_then(Value::as_str);
                let mode = own.or(case.observe.packet_order.as_deref()).unwrap_or("seq");
                bucket.into_iter().map(|(k, seen)| (k, listing(mode, &seen))).collect()
            }
        };
        let empty = listed.is_empty();
        if !empty {
            e.insert("packets".into(), Value::Object(listed));
        }
        if op != "end" || !empty {
            steps.push(Value::Object(e));
        }
    }
    let servers: Map<String, Value> = raw.servers.iter().map(|(k, v)| (k.clone(), symbols.result(v))).collect();
    let mut all = Map::new();
    all.insert("case".into(), json!(case.name));
    all.insert("purpose".into(), json!(case.purpose));
    all.insert("steps".into(), Value::Array(steps));
    if !servers.is_empty() {
        all.insert("servers".into(), Value::Object(servers));
    }
    Ok(Value::Object(all))
}

/// Seconds, rounded to the even neighbour from the middle, as Python rounds.
fn rounded(t: Time) -> u64 {
    let (whole, rest) = (t / SEC, t % SEC);
    let up = rest > SEC / 2 || (rest == SEC / 2 && whole % 2 == 1);
    whole + u64::from(up)
}

/// Gives every packet its line and its step, and leaves out noise.
fn sort_packets(symbols: &mut Symbols<'_>, o: &Observe, raw: &Raw, packets: &[Packet]) -> Vec<Bucket> {
    let mut order: Vec<&Packet> = packets.iter().collect();
    order.sort_by_key(|p| p.time);
    let mut buckets: Vec<Bucket> = raw.steps.iter().map(|_| Bucket::new()).collect();
    // Unicast ARP requests whose replies are still to come, by interface and target.
    let mut probes: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut step = 0;
    for p in order {
        while step + 1 < raw.steps.len() && p.time > raw.steps[step].end {
            step += 1;
        }
        let name = format!("{}:{}", p.node, p.iface);
        let lo = &*p.iface == "lo";
        let (class, line) = symbols.packet(&p.bytes, p.ethernet);
        let unwanted = match class {
            Class::Noise => true,
            Class::TcpAck => !o.tcp_acks,
            Class::Stp => !o.stp,
            _ => false,
        };
        if unwanted || (!o.arp_probes && is_probe(&mut probes, &name, class, &line)) {
            continue;
        }
        if o.drop_ifaces.contains(&name) || !(o.only_ifaces.is_empty() || o.only_ifaces.contains(&name)) {
            continue;
        }
        let dir = match p.dir {
            _ if lo => "",
            Direction::In => "in ",
            Direction::Out => "out ",
        };
        if let Some(bucket) = buckets.get_mut(step) {
            bucket.entry(name).or_default().push(Seen { dir, line });
        }
    }
    buckets
}

/// Whether a frame belongs to the re-confirmation of a neighbour: a unicast request, or the reply to one.
fn is_probe(probes: &mut BTreeMap<(String, String), u32>, name: &str, class: Class, line: &str) -> bool {
    let word = |text: Option<&str>| text.unwrap_or_default().to_string();
    match class {
        Class::ArpUnicast => {
            let target = line.split_once("who-has ").and_then(|(_, rest)| rest.split_whitespace().next());
            *probes.entry((name.into(), word(target))).or_default() += 1;
            true
        }
        Class::ArpReply if !line.contains("(to ") => {
            let target = line.split_once(" is-at").and_then(|(before, _)| before.split_whitespace().next_back());
            match probes.get_mut(&(name.into(), word(target))).filter(|n| **n > 0) {
                Some(n) => {
                    *n -= 1;
                    true
                }
                None => false,
            }
        }
        _ => false,
    }
}

/// The packets of an interface, as far as their order and number are defined.
fn listing(mode: &str, seen: &[Seen]) -> Value {
    let mut lines: Vec<String> = seen.iter().map(|s| format!("{}{}", s.dir, s.line)).collect();
    match mode {
        "set" => json!({ "set": lines.into_iter().collect::<BTreeSet<_>>() }),
        "multiset" => {
            lines.sort();
            json!({ "multiset": lines })
        }
        "count" => json!({ "packets": lines.len() }),
        "flood" => json!({ "more_than_100": lines.len() > 100 }),
        _ => json!(lines),
    }
}

/// Tables whose lines are sorted again once their ports and MACs have symbols; `proc_arp` stays as it was read.
fn tidy_dump(result: &mut Value, raw: &Value) {
    let Value::Object(tables) = result else { return };
    for key in ["proc_udp", "proc_tcp", "conntrack", "fdb", "neigh"] {
        if let Some(Value::Array(lines)) = tables.get_mut(key) {
            lines.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
    if let Some(verbatim) = raw.get("proc_arp") {
        tables.insert("proc_arp".into(), verbatim.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_as_in_python() {
        let halves: Vec<u64> = [1, 3, 5, 7].map(|n| rounded(n * SEC / 2)).into();
        assert_eq!(halves, [0, 2, 2, 4]);
        assert_eq!((rounded(SEC * 14 / 10), rounded(SEC * 16 / 10)), (1, 2));
    }

    #[test]
    fn a_probe_takes_one_reply_with_it() {
        let mut probes = BTreeMap::new();
        let mut probe = |class, line| is_probe(&mut probes, "a:eth0", class, line);
        let reply = "x>y ARP 10.0.0.2 is-at x";
        assert!(!probe(Class::ArpReply, reply), "an answer to a broadcast");
        assert!(probe(Class::ArpUnicast, "y>x ARP who-has 10.0.0.2 tell 10.0.0.1"));
        assert!(!probe(Class::ArpReply, "x>y ARP 10.0.0.9 is-at x"), "about somebody else");
        assert!(!probe(Class::ArpReply, "x>bcast ARP 10.0.0.2 is-at x (to 10.0.0.2)"), "gratuitous");
        assert!(probe(Class::ArpReply, reply));
        assert!(!probe(Class::ArpReply, reply));
    }

    #[test]
    fn listings_say_as_much_as_is_defined() {
        let seen = |l: &str| Seen { dir: "in ", line: l.into() };
        let two = [seen("b"), seen("a"), seen("b")];
        assert_eq!(listing("seq", &two), json!(["in b", "in a", "in b"]));
        assert_eq!(listing("set", &two), json!({"set": ["in a", "in b"]}));
        assert_eq!(listing("multiset", &two), json!({"multiset": ["in a", "in b", "in b"]}));
        assert_eq!(listing("count", &two), json!({"packets": 3}));
        assert_eq!(listing("flood", &two), json!({"more_than_100": false}));
    }
}
