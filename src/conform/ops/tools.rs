//! Steps that are programs: `ping`, `traceroute`, `ip route get`. The results are read off what they print, as the
//! oracle does.

use super::{Outcome, SLACK, object};
use crate::{
    app::{App, Ping as PingApp, PingConfig, Traceroute as TracerouteApp, TracerouteConfig, TracerouteMethod},
    base::{AppId, NsId},
    conform::{
        case::{Ping, RouteGet, Secs, Traceroute},
        exec::Lab,
        lab::firewall::{number, protocol},
    },
    ip::RouteQuery,
    socket::PmtuDiscover,
};
use serde_json::{Value, json};
use std::net::IpAddr;

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("not supported: `{text}`, which is not an address"))
}

/// Runs a program to its end: its exit status and what it printed.
async fn run(lab: &Lab, ns: NsId, app: Box<dyn App>) -> (i32, Vec<String>) {
    let now = lab.now();
    let id: AppId = lab.world.borrow_mut().spawn(ns, now, app);
    lab.event(|| {
        let w = lab.world.borrow();
        let info = w.app(id);
        info.exit.map(|exit| (exit, info.output.to_vec()))
    })
    .await
}

/// `ping`.
pub async fn ping(lab: &Lab, ns: NsId, p: Ping) -> Outcome {
    if p.flood_preload.is_some() {
        return Err("not supported: ping -l".into());
    }
    let df = match p.df.as_deref() {
        None => None,
        Some("do") => Some(PmtuDiscover::Do),
        Some("want") => Some(PmtuDiscover::Want),
        Some("dont") => Some(PmtuDiscover::Dont),
        Some(other) => return Err(format!("ping -M does not know `{other}`")),
    };
    let source = p.src.as_deref().map(|s| s.parse::<IpAddr>().map_err(|_| s.to_string())).transpose();
    // `fe80::1%eth0` names the link.
    let (dst, scope) = p.dst.split_once('%').map_or((&*p.dst, None), |(dst, dev)| (dst, Some(dev)));
    let config = PingConfig {
        count: Some(p.count.unwrap_or(1)),
        interval: p.interval.unwrap_or(Secs::ms(200)).0 + SLACK,
        wait: p.wait.unwrap_or(Secs::ms(1000)).0,
        deadline: p.deadline.map(|d| d.0),
        size: p.size.unwrap_or(56).try_into().map_err(|_| "ping -s takes at most 65535")?,
        ttl: p.ttl,
        df,
        device: source.as_ref().err().cloned().or(scope.map(String::from)),
        source: source.ok().flatten(),
        broadcast: p.broadcast,
        tos: p.tos.as_ref().map_or(Ok(0), number).map_err(|e| e.to_string())? as u8,
        id: p.id,
        ..PingConfig::to(address(dst)?)
    };
    let (exit, output) = run(lab, ns, Box::new(PingApp::new(config))).await;
    Ok(read_ping(exit, &output, &p))
}

/// The oracle's `parse_ping`.
pub fn read_ping(exit: i32, output: &[String], p: &Ping) -> Value {
    let complains = |l: &&String| l.starts_with("ping: ") || l.starts_with("WARNING: ");
    let complaints: Vec<&str> = output.iter().filter(complains).map(|l| l.as_str()).collect();
    let (mut events, mut text, mut counts) = (Vec::new(), Vec::new(), None);
    for line in output.iter().filter(|l| !complains(l)) {
        events.extend(reply(line, p).or_else(|| error(line)));
        counts = transmitted(line).or(counts);
        text.push(timeless(line));
    }
    text.extend(complaints.iter().map(|l| format!("stderr: {l}")));
    text.retain(|l| !l.is_empty());
    let local: Vec<&str> = complaints.iter().map(|l| l.strip_prefix("ping: ").unwrap_or(l)).collect();
    let mut r = object([
        ("exit", Some(json!(exit))),
        ("tx", counts.map(|(tx, _)| json!(tx))),
        ("rx", counts.map(|(_, rx)| json!(rx))),
        ("local_error", (!local.is_empty()).then(|| json!(local))),
    ]);
    let Some((lo, hi)) = p.summary_only else {
        r.insert("events".into(), Value::Array(events));
        r.insert("text".into(), json!(text));
        return Value::Object(r);
    };
    // Random losses: only their share is compared.
    r.remove("rx");
    r.remove("exit");
    r.insert("loss_pct_between".into(), json!([plain(lo), plain(hi)]));
    let (tx, rx) = counts.unwrap_or((0, 0));
    let loss = 100.0 * (1.0 - f64::from(rx) / f64::from(tx));
    if !(lo..=hi).contains(&loss) {
        r.insert("loss_pct_out_of_range".into(), json!(loss));
    }
    Value::Object(r)
}

/// A number as it was written: whole if it is whole.
fn plain(n: f64) -> Value {
    if n.fract() == 0.0 { json!(n as i64) } else { json!(n) }
}

/// `64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.066 ms`.
fn reply(line: &str, p: &Ping) -> Option<Value> {
    let (bytes, rest) = line.split_once(" bytes from ")?;
    let bytes: u32 = bytes.parse().ok()?;
    let (from, rest) = rest.split_once(" icmp_seq=")?;
    let (seq, rest) = rest.split_once(" ttl=")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (ttl, rest) = rest.split_at(digits);
    let time = rest.strip_prefix(" time=").and_then(|r| r.split_once(" ms")).map(|(t, _)| t);
    let rtt = p
        .rtt
        .zip(time.and_then(|t| t.parse::<f64>().ok()))
        .map(|((lo, hi), t)| if (lo..=hi).contains(&t) { json!(format!("{lo}..{hi}")) } else { json!(t) });
    Some(Value::Object(object([
        ("seq", Some(json!(seq.parse::<u32>().ok()?))),
        ("reply_from", Some(json!(from.strip_suffix(':').unwrap_or(from)))),
        ("ttl", Some(json!(ttl.parse::<u32>().ok()?))),
        ("bytes", Some(json!(bytes))),
        ("dup", rest.contains("DUP").then_some(json!(true))),
        ("rtt", rtt),
    ])))
}

/// `From 10.0.0.254 icmp_seq=1 Time to live exceeded`, or a redirect.
fn error(line: &str) -> Option<Value> {
    let (from, rest) = line.strip_prefix("From ")?.split_once(' ')?;
    let who = from.strip_suffix(':').unwrap_or(from);
    let Some(rest) = rest.strip_prefix("icmp_seq=") else {
        let redirect = rest.starts_with("Redirect ") && from.ends_with(':');
        return redirect.then(|| json!({ "redirect_from": who, "error": rest }));
    };
    let (seq, what) = rest.split_once(' ')?;
    Some(json!({ "seq": seq.parse::<u32>().ok()?, "error_from": who, "error": what.trim() }))
}

/// `3 packets transmitted, 2 received`.
fn transmitted(line: &str) -> Option<(u32, u32)> {
    let (tx, rest) = line.split_once(" packets transmitted, ")?;
    Some((tx.parse().ok()?, rest.split_once(" received")?.0.parse().ok()?))
}

/// A line of output without its times, which no two runs share.
fn timeless(line: &str) -> String {
    let number = |s: &str| s.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '/'))).unwrap_or(s.len());
    let mut line = line.to_string();
    for (before, after, put) in [("time=", " ms", "T ms"), ("time ", "ms", "T"), ("= ", " ms", "T ms")] {
        let Some(at) = line.find(before).map(|i| i + before.len()) else { continue };
        let end = at + number(&line[at..]);
        if end > at && line[end..].starts_with(after) {
            line.replace_range(at..end + after.len(), put);
        }
    }
    match line.find(", pipe ").or(line.find(", ipg/ewma")) {
        Some(at) => line[..at].into(),
        None => line,
    }
}

/// `traceroute`.
pub async fn traceroute(lab: &Lab, ns: NsId, t: Traceroute) -> Outcome {
    if t.sendwait.is_some() || t.mtu {
        return Err("not supported: traceroute with pause or --mtu".into());
    }
    let method = match t.method.as_deref() {
        None | Some("udp") => TracerouteMethod::Udp,
        Some("icmp") => TracerouteMethod::Icmp,
        Some("tcp") => TracerouteMethod::Tcp,
        Some(other) => return Err(format!("traceroute has no method `{other}`")),
    };
    let config = TracerouteConfig {
        method,
        first_ttl: t.first.unwrap_or(1),
        max_ttl: t.max.unwrap_or(8),
        queries: t.queries.unwrap_or(3),
        sequential: t.sequential.unwrap_or(true),
        port: t.port.unwrap_or(0),
        wait: t.wait.unwrap_or(Secs::ms(1000)).0,
        packet_len: t.packetlen,
        device: t.dev.clone(),
        source_port: t.sport.unwrap_or(0),
        df: t.df,
        source: t.src.as_deref().map(address).transpose()?,
        ..TracerouteConfig::to(address(&t.dst)?)
    };
    let (exit, output) = run(lab, ns, Box::new(TracerouteApp::new(config))).await;
    Ok(read_traceroute(exit, &output))
}

pub fn read_traceroute(exit: i32, output: &[String]) -> Value {
    let is_hop = |l: &str| l.starts_with(' ') || l.starts_with(|c: char| c.is_ascii_digit());
    let (stdout, stderr): (Vec<&String>, Vec<&String>) =
        output.iter().partition(|l| is_hop(l) || l.starts_with("traceroute to "));
    let hops: Vec<Value> = stdout.iter().filter(|l| is_hop(l)).map(|l| hop(l)).collect();
    let text: Vec<String> = stdout.iter().map(|l| untimed(l)).collect();
    let stderr = (!stderr.is_empty()).then(|| json!(stderr));
    Value::Object(object([
        ("exit", Some(json!(exit))),
        ("hops", Some(json!(hops))),
        ("text", Some(json!(text))),
        ("stderr", stderr),
    ]))
}

/// Who answered the probes of one hop; `null` for nobody.
fn hop(line: &str) -> Value {
    let mut probes: Vec<Option<String>> = Vec::new();
    let mut current = String::new();
    let mut words = line.split_whitespace().skip(1).peekable();
    while let Some(word) = words.next() {
        if word == "*" {
            probes.push(None);
        } else if words.next_if_eq(&"ms").is_some() {
            probes.push(Some(current.clone()));
        } else if word.starts_with("F=") {
            probes.push(Some(word.into()));
        } else if word.starts_with('!') {
            if let Some(last) = probes.last_mut() {
                *last = Some(format!("{} {word}", last.as_deref().unwrap_or("None")));
            }
        } else {
            current = word.into();
        }
    }
    json!(probes)
}

/// A hop's line without its times.
fn untimed(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(" ms") {
        let (before, after) = rest.split_at(at);
        let digits = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        out += digits;
        out += if digits.len() < before.len() { "T" } else { "" };
        out += " ms";
        rest = &after[3..];
    }
    out + rest
}

/// `ip route get`.
pub fn route_get(lab: &Lab, ns: NsId, g: &RouteGet) -> Outcome {
    let said = |e: crate::conform::lab::Refusal| e.to_string();
    for name in g.iif.iter().chain(&g.oif) {
        if lab.world.borrow().find_dev(ns, name).is_none() {
            return Ok(json!({ "error": format!("Cannot find device \"{name}\"") }));
        }
    }
    let query = RouteQuery {
        src: g.from.as_deref().map(address).transpose()?,
        iif: g.iif.as_deref().map(|d| lab.dev(ns, d)).transpose()?,
        oif: g.oif.as_deref().map(|d| lab.dev(ns, d)).transpose()?,
        mark: g.mark.as_ref().map_or(Ok(0), number).map_err(said)?,
        tos: g.tos.as_ref().map_or(Ok(0), number).map_err(said)? as u8,
        proto: g.ipproto.as_ref().map_or(Ok(0), |p| protocol(&p.0)).map_err(said)?,
        sport: g.sport.as_ref().map_or(Ok(0), number).map_err(said)? as u16,
        dport: g.dport.as_ref().map_or(Ok(0), number).map_err(said)? as u16,
        ..RouteQuery::to(address(&g.dst)?)
    };
    let answer = lab.world.borrow_mut().route_get(ns, &query);
    Ok(match answer {
        Ok(text) => json!({ "route": plain_route(&text) }),
        Err(e) => json!({ "error": e.name() }),
    })
}

/// The answer of `ip route get` on one line, without what differs from run to run.
pub fn plain_route(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.split_whitespace();
    while let Some(word) = rest.next() {
        match word {
            "uid" => {
                rest.next();
            }
            // What hardware made of it.
            "rt_offload" | "rt_offload_failed" | "rt_trap" => {}
            "expires" => {
                let left = rest.next().and_then(|w| w.strip_suffix("sec")).and_then(|n| n.parse::<u32>().ok());
                words.push(format!("expires<={}", if left.unwrap_or(0) <= 300 { 300 } else { 600 }));
            }
            _ => words.push(word.into()),
        }
    }
    words.pop_if(|w| w == "cache");
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn read(lines: &[&str], p: &Ping) -> Map<String, Value> {
        let lines: Vec<String> = lines.iter().map(|l| l.to_string()).collect();
        match read_ping(0, &lines, p) {
            Value::Object(o) => o,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_lines_of_ping() {
        let p = Ping { rtt: Some((0.0, 5.0)), ..Ping::default() };
        let r = read(
            &[
                "PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.",
                "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.066 ms",
                "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=9.5 ms (DUP!)",
                "From 10.0.0.254 icmp_seq=2 Time to live exceeded",
                "From 10.0.0.254: icmp_seq=3 Redirect Host(New nexthop: 10.0.0.253)",
                "ping: local error: message too long, mtu=1400",
                "",
                "--- 10.0.0.2 ping statistics ---",
                "3 packets transmitted, 1 received, +1 duplicates, +1 errors, 66% packet loss, time 401ms",
                "rtt min/avg/max/mdev = 0.066/0.066/0.066/0.000 ms, pipe 2",
            ],
            &p,
        );
        assert_eq!((&r["tx"], &r["rx"]), (&json!(3), &json!(1)));
        assert_eq!(r["local_error"], json!(["local error: message too long, mtu=1400"]));
        assert_eq!(
            r["events"],
            json!([
                {"seq": 1, "reply_from": "10.0.0.2", "ttl": 64, "bytes": 64, "rtt": "0..5"},
                {"seq": 1, "reply_from": "10.0.0.2", "ttl": 64, "bytes": 64, "dup": true, "rtt": 9.5},
                {"seq": 2, "error_from": "10.0.0.254", "error": "Time to live exceeded"},
                {"seq": 3, "error_from": "10.0.0.254", "error": "Redirect Host(New nexthop: 10.0.0.253)"},
            ])
        );
        assert_eq!(r["text"][1], "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=T ms");
        assert_eq!(r["text"][7], "rtt min/avg/max/mdev = T ms");
    }

    #[test]
    fn a_share_of_losses_instead_of_each() {
        let p = Ping { summary_only: Some((30.0, 70.0)), ..Ping::default() };
        let r = read(&["40 packets transmitted, 18 received, 55% packet loss, time 1ms"], &p);
        assert_eq!(Value::Object(r), json!({"tx": 40, "loss_pct_between": [30, 70]}));
        let r = read(&["40 packets transmitted, 0 received, 100% packet loss, time 1ms"], &p);
        assert_eq!(r["loss_pct_out_of_range"], json!(100.0));
    }

    #[test]
    fn the_lines_of_traceroute() {
        assert_eq!(hop(" 1  * 10.0.0.254  0.1 ms *"), json!([null, "10.0.0.254", null]));
        assert_eq!(hop(" 1  10.0.0.254  0.1 ms !N  0.2 ms !N"), json!(["10.0.0.254 !N", "10.0.0.254 !N"]));
        assert_eq!(untimed(" 1  10.0.0.254  0.031 ms  0.2 ms"), " 1  10.0.0.254  T ms  T ms");
        let r = read_traceroute(1, &["connect: Network is unreachable".into()]);
        assert_eq!(r["stderr"], json!(["connect: Network is unreachable"]));
    }

    #[test]
    fn the_answer_of_route_get() {
        let text = "10.0.1.2 via 10.0.0.254 dev eth0 src 10.0.0.1 uid 0 \n    cache expires 599sec mtu 1400 ";
        assert_eq!(plain_route(text), "10.0.1.2 via 10.0.0.254 dev eth0 src 10.0.0.1 cache expires<=600 mtu 1400");
        assert_eq!(plain_route("10.0.0.2 dev eth0 src 10.0.0.1 uid 0 \n    cache "), "10.0.0.2 dev eth0 src 10.0.0.1");
    }
}
