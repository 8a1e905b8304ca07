//! Steps that are programs: `ping`, `traceroute`, `ip route get`.

use super::{
    Error, NetNs,
    steps::{Outcome, complaint},
};
use crate::conform::{
    case::{Ping, RouteGet, Secs, Traceroute},
    ops::tools::{plain_route, read_ping, read_traceroute},
};
use serde_json::json;
use std::{fmt::Display, process::Output};

/// The words of a command line.
struct Words(Vec<String>);

impl Words {
    fn say(&mut self, word: impl Display) -> &mut Self {
        self.0.push(word.to_string());
        self
    }

    fn option(&mut self, key: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(v) = value {
            self.say(key).say(v);
        }
        self
    }
}

/// How long traceroute waits if it is not told.
const OWN_WAIT: Secs = Secs::ms(5000);

/// Seconds as the programs read them.
fn seconds(s: Secs) -> f64 {
    s.0 as f64 / 1e9
}

/// What a program printed, first on one and then on the other stream.
fn lines(done: &Output) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stderr = text(&done.stderr);
    text(&done.stdout).lines().chain(stderr.trim().lines()).map(String::from).collect()
}

/// `ping`.
pub fn ping(ns: &NetNs, p: &Ping) -> Outcome {
    let mut w = Words(vec!["-n".into()]);
    w.option("-c", Some(p.count.unwrap_or(1)));
    w.option("-i", Some(seconds(p.interval.unwrap_or(Secs::ms(200)))));
    w.option("-W", Some(seconds(p.wait.unwrap_or(Secs::ms(1000)))));
    w.option("-s", p.size).option("-t", p.ttl).option("-M", p.df.as_ref()).option("-I", p.src.as_ref());
    w.option("-e", p.id).option("-Q", p.tos.as_ref()).option("-w", p.deadline.map(seconds));
    if p.broadcast {
        w.say("-b");
    }
    w.option("-l", p.flood_preload).say(&p.dst);
    let done = ns.program("ping", &w.0, "")?;
    Ok(read_ping(done.status.code().unwrap_or(-1), &lines(&done), p))
}

/// `traceroute`.
pub fn traceroute(ns: &NetNs, t: &Traceroute) -> Outcome {
    let mut w = Words(Vec::new());
    if t.dst.contains(':') {
        w.say("-6");
    }
    w.say("-n");
    // A wait that is given makes the program patient: it is not shortened by what was learned of the way.
    if t.sequential != Some(false) || t.wait != Some(OWN_WAIT) {
        w.option("-w", Some(seconds(t.wait.unwrap_or(Secs::ms(1000)))));
    }
    w.option("-q", Some(t.queries.unwrap_or(3))).option("-m", Some(t.max.unwrap_or(8)));
    if t.sequential.unwrap_or(true) {
        w.say("-N").say(1);
    }
    match t.method.as_deref() {
        None | Some("udp") => {}
        Some("icmp") => {
            w.say("-I");
        }
        Some("tcp") => {
            w.say("-T");
        }
        Some(other) => return Err(Error::Failed(format!("traceroute has no method `{other}`"))),
    }
    w.option("-p", t.port).option("-f", t.first).option("-s", t.src.as_ref()).option("-i", t.dev.as_ref());
    if let Some(sport) = t.sport {
        w.say(format_args!("--sport={sport}"));
    }
    w.option("-z", t.sendwait.as_ref());
    for (said, word) in [(t.mtu, "--mtu"), (t.df, "-F")] {
        if said {
            w.say(word);
        }
    }
    w.say(&t.dst);
    if let Some(len) = t.packetlen {
        w.say(len);
    }
    let done = ns.program("traceroute", &w.0, "")?;
    Ok(read_traceroute(done.status.code().unwrap_or(-1), &lines(&done)))
}

/// `ip route get`.
pub fn route_get(ns: &NetNs, g: &RouteGet) -> Outcome {
    let mut w = Words(vec!["route".into(), "get".into(), g.dst.clone()]);
    w.option("from", g.from.as_ref()).option("iif", g.iif.as_ref()).option("oif", g.oif.as_ref());
    w.option("mark", g.mark.as_ref()).option("tos", g.tos.as_ref()).option("ipproto", g.ipproto.as_ref());
    w.option("sport", g.sport.as_ref()).option("dport", g.dport.as_ref());
    let done = ns.program("ip", &w.0, "")?;
    Ok(match done.status.success() {
        true => json!({ "route": plain_route(&String::from_utf8_lossy(&done.stdout)) }),
        false => json!({ "error": complaint(&String::from_utf8_lossy(&done.stderr)) }),
    })
}
