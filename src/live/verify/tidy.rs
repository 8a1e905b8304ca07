//! Takes out of results and tables what no two runs share.

use crate::conform::ops::tables::{devices_in, sockets_in, squeezed, trimmed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a command printed.
pub fn command(exit: i32, lines: &[String]) -> Value {
    let lines: Vec<String> = lines.iter().map(|l| squeezed(l)).filter(|l| !l.is_empty()).collect();
    json!({ "exit": exit, "lines": lines })
}

/// A file of `/proc`, as far as it is about the namespace.
pub fn file(path: &str, text: &str) -> Value {
    let name = path.strip_prefix("/proc/net/").or_else(|| path.strip_prefix("/proc/self/net/"));
    match name {
        Some("arp" | "route") => {
            let mut lines: Vec<String> = trimmed(text).iter().map(|l| squeezed(l)).collect();
            lines.get_mut(1..).unwrap_or_default().sort();
            json!(lines)
        }
        Some("dev") => json!(devices_in(text)),
        Some("tcp" | "udp") => json!(sockets_in(text)),
        // The rest describes the machine, or is full of addresses of the kernel's memory.
        _ => json!("not compared"),
    }
}

/// Tables without the age of their entries.
pub fn tables(all: &Value) -> Value {
    let Value::Object(all) = all else { return Value::Null };
    let tidy = |(key, value): (&String, &Value)| {
        let lines = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        let lines: Vec<String> = match &**key {
            "neigh" => lines.map(neighbour).collect(),
            "conntrack" => lines.map(connection).collect(),
            _ => lines.map(String::from).collect(),
        };
        (key.clone(), json!(lines))
    };
    Value::Object(all.iter().map(tidy).collect())
}

/// How long a neighbour is believed is partly random.
fn neighbour(line: &str) -> String {
    let (rest, state) = line.rsplit_once(' ').unwrap_or((line, ""));
    let state = match state {
        "REACHABLE" | "STALE" | "DELAY" | "PROBE" => "known",
        "INCOMPLETE" | "FAILED" => "unknown",
        other => other,
    };
    format!("{rest} {state}")
}

/// What is left of a connection's time depends on the moment it is looked at.
fn connection(line: &str) -> String {
    let words = line.split(' ').filter(|w| !w.starts_with("timeout<="));
    words.collect::<Vec<_>>().join(" ")
}

/// Puts the data of each stream of TCP in one line: where segments end is a matter of TCP's dynamics.
pub fn merge_streams(packets: &mut Value) {
    for (_, listed) in packets.as_object_mut().into_iter().flatten() {
        let lines = if listed.is_array() { &*listed } else { &listed["multiset"] };
        let (mut others, mut streams) = (Vec::new(), BTreeMap::new());
        for line in lines.as_array().into_iter().flatten().filter_map(Value::as_str) {
            match segment(line) {
                Some((stream, len, end)) => {
                    *streams.entry(stream.to_string()).or_insert(0u64) += len;
                    others.extend(end.then(|| format!("{stream} end")));
                }
                None => others.push(line.to_string()),
            }
        }
        others.extend(streams.into_iter().filter(|(_, len)| *len > 0).map(|(s, len)| format!("{s} {len} bytes")));
        others.sort();
        *listed = json!({ "multiset": others });
    }
}

/// The stream a segment belongs to, its length, and whether it ends the stream. Openings and resets stay as they are.
fn segment(line: &str) -> Option<(&str, u64, bool)> {
    let (before, after) = line.split_once(" TCP ")?;
    let mut words = after.split(' ');
    let (ports, flags) = (words.next()?, words.next()?);
    let len = words.find_map(|w| w.strip_prefix("len="))?.parse().ok()?;
    if flags.contains(['S', 'R']) {
        return None;
    }
    Some((&line[..before.len() + " TCP ".len() + ports.len()], len, flags.contains('F')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_one_line_each_way() {
        let mut packets = json!({ "a:eth0": [
            "out a>b IP 1>2 TCP p#1>80 S mss=1460 len=0", "out a>b IP 1>2 TCP p#1>80 A len=1448",
            "out a>b IP 1>2 TCP p#1>80 FPA len=552", "in b>a IP 2>1 TCP 80>p#1 FA len=0", "out ARP"
        ] });
        merge_streams(&mut packets);
        assert_eq!(
            packets["a:eth0"]["multiset"],
            json!([
                "in b>a IP 2>1 TCP 80>p#1 end",
                "out ARP",
                "out a>b IP 1>2 TCP p#1>80 2000 bytes",
                "out a>b IP 1>2 TCP p#1>80 S mss=1460 len=0",
                "out a>b IP 1>2 TCP p#1>80 end"
            ])
        );
    }

    #[test]
    fn ages_are_left_out() {
        assert_eq!(neighbour("10.0.0.1 dev e lladdr MAC<x> STALE"), "10.0.0.1 dev e lladdr MAC<x> known");
        assert_eq!(connection("udp timeout<=30 src=1"), "udp src=1");
        assert_eq!(file("/proc/meminfo", "MemTotal: 1 kB"), json!("not compared"));
        assert_eq!(command(0, &["a  b ".into(), String::new()]), json!({"exit": 0, "lines": ["a b"]}));
    }
}
