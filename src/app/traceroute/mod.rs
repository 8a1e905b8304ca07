//! `traceroute`: probes with growing TTL, and who reports that they expired (traceroute 2.1).

mod method;
mod table;

use super::{App, Context, Outcome};
use crate::{
    base::{Errno, MS, SEC, SockId, Time},
    socket::Family,
};
use method::Sent;
use std::net::{IpAddr, Ipv4Addr};
use table::{Next, Note, Table};

/// What the probes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TracerouteMethod {
    /// UDP datagrams to ports where nobody is expected to listen; each from a port of its own.
    #[default]
    Udp,
    /// Echo requests (`-I`).
    Icmp,
    /// TCP connection attempts that are never completed (`-T`).
    Tcp,
}

/// What `traceroute` is asked to do. The output is that of `traceroute -n`.
///
/// ```
/// use netsim::app::{App, Traceroute, TracerouteConfig, TracerouteMethod};
/// let to = "10.0.1.2".parse().unwrap();
/// let config = TracerouteConfig { method: TracerouteMethod::Icmp, queries: 1, ..TracerouteConfig::to(to) };
/// assert_eq!(Traceroute::new(config).command(), "traceroute -n -I -q 1 10.0.1.2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracerouteConfig {
    /// The destination.
    pub to: IpAddr,
    /// The name `to` was given by, if any; it is printed.
    pub name: Option<String>,
    /// The kind of probes.
    pub method: TracerouteMethod,
    /// TTL of the first probes (`-f`), at least 1.
    pub first_ttl: u8,
    /// TTL of the last probes (`-m`).
    pub max_ttl: u8,
    /// Probes per hop (`-q`), at most 10.
    pub queries: u8,
    /// One probe at a time (`-N 1`) instead of sixteen.
    pub sequential: bool,
    /// The first UDP port, the TCP port, or the first ICMP sequence number (`-p`); 0 is the method's default: 33434, 80
    /// and 1.
    pub port: u16,
    /// How long a probe is waited for, in nanoseconds (`-w`). With the default of 5 s, answers of the same or a later hop
    /// shorten that.
    pub wait: Time,
    /// Whole length of a probe in bytes, IP header included; `None` is 60 (80 for IPv6). Of no effect for TCP.
    pub packet_len: Option<u16>,
    /// Source address (`-s`).
    pub source: Option<IpAddr>,
    /// The device to use (`-i`), by its name.
    pub device: Option<String>,
    /// Source port (`--sport`); 0 lets the kernel choose. Of no effect for ICMP.
    pub source_port: u16,
    /// Whether probes carry DF (`-F`).
    pub df: bool,
}

impl Default for TracerouteConfig {
    /// `traceroute -n 127.0.0.1`.
    fn default() -> TracerouteConfig {
        TracerouteConfig {
            to: IpAddr::V4(Ipv4Addr::LOCALHOST),
            name: None,
            method: TracerouteMethod::Udp,
            first_ttl: 1,
            max_ttl: 30,
            queries: 3,
            sequential: false,
            port: 0,
            wait: 5 * SEC,
            packet_len: None,
            source: None,
            device: None,
            source_port: 0,
            df: false,
        }
    }
}

impl TracerouteConfig {
    /// `traceroute -n ADDRESS`.
    pub fn to(to: IpAddr) -> TracerouteConfig {
        TracerouteConfig { to, ..TracerouteConfig::default() }
    }

    fn family(&self) -> Family {
        if self.to.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn packet_len(&self) -> u16 {
        self.packet_len.unwrap_or(if self.to.is_ipv4() { 60 } else { 80 })
    }
}

/// Most probes per hop, as in the tool.
const MAX_QUERIES: u8 = 10;
/// Probes under way at once, as in the tool.
const AT_ONCE: u8 = 16;
/// What it takes to send that many. Answers that come meanwhile are read together, before more is sent.
const BURST: Time = MS;

/// The program.
pub struct Traceroute {
    config: TracerouteConfig,
    table: Table,
    method: Box<dyn method::Method>,
    /// Number of the timer in force; others are stale.
    timer: u64,
    over: bool,
}

impl Traceroute {
    /// The program, not yet started.
    pub fn new(config: TracerouteConfig) -> Traceroute {
        let at_once = if config.sequential { 1 } else { AT_ONCE };
        let queries = config.queries.min(MAX_QUERIES);
        let table = Table::new(config.first_ttl, config.max_ttl, queries, at_once, config.wait);
        let given = config.wait != TracerouteConfig::default().wait;
        Traceroute {
            table: if given { table.patient() } else { table },
            method: method::of(&config),
            timer: 0,
            over: false,
            config,
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, call: &str, errno: Errno) {
        self.over = true;
        cx.print(format!("{call}: {errno}"));
        cx.exit(1);
    }

    /// Sends what is due and prints what is complete, then waits.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        while !self.over {
            let mut lines = Vec::new();
            let next = self.table.next(cx.now(), &mut lines);
            lines.into_iter().for_each(|line| cx.print(line));
            match next {
                Next::Send(n) => {
                    let ttl = self.table.ttl(n);
                    match self.method.send(cx, n, ttl) {
                        Ok(Sent { key, sock }) => {
                            let now = cx.now();
                            let probe = self.table.probe(n);
                            (probe.sent, probe.key, probe.sock) = (Some(now), key, sock);
                        }
                        // A full queue: tried again when something was answered or given up.
                        Err((_, e @ (Errno::ENOBUFS | Errno::EAGAIN))) => match self.table.first_expiry() {
                            Some(at) => return self.wait(cx, at),
                            None => return self.fail(cx, "send probe", e),
                        },
                        Err((call, e)) => return self.fail(cx, call, e),
                    }
                }
                Next::Close(sock) => cx.kernel.close(sock),
                Next::Wait(at) => return self.wait(cx, at),
                Next::Done => {
                    self.over = true;
                    cx.exit(0);
                }
            }
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>, until: Time) {
        self.timer += 1;
        cx.timer(until, self.timer);
    }

    fn answer(&mut self, cx: &mut Context<'_>, n: usize, from: IpAddr, note: Note) {
        if let Some(sock) = self.table.answer(n, cx.now(), from, note) {
            cx.kernel.close(sock);
        }
    }
}

impl App for Traceroute {
    fn command(&self) -> String {
        let (c, standard) = (&self.config, TracerouteConfig::default());
        let method = match c.method {
            TracerouteMethod::Udp => None,
            TracerouteMethod::Icmp => Some("-I".to_string()),
            TracerouteMethod::Tcp => Some("-T".to_string()),
        };
        let words = [
            Some("traceroute -n".to_string()),
            method,
            (c.first_ttl != standard.first_ttl).then(|| format!("-f {}", c.first_ttl)),
            (c.max_ttl != standard.max_ttl).then(|| format!("-m {}", c.max_ttl)),
            (c.queries != standard.queries).then(|| format!("-q {}", c.queries)),
            c.sequential.then(|| "-N 1".to_string()),
            (c.port != 0).then(|| format!("-p {}", c.port)),
            (c.wait != standard.wait).then(|| format!("-w {}", c.wait as f64 / SEC as f64)),
            c.source.map(|s| format!("-s {s}")),
            Some(c.name.clone().unwrap_or_else(|| c.to.to_string())),
            c.packet_len.map(|n| n.to_string()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        let c = &self.config;
        let name = c.name.clone().unwrap_or_else(|| c.to.to_string());
        let (to, hops, len) = (c.to, c.max_ttl, self.method.packet_len());
        cx.print(format!("traceroute to {name} ({to}), {hops} hops max, {len} byte packets"));
        match self.method.open(cx) {
            Ok(()) => self.go_on(cx),
            Err((call, e)) => self.fail(cx, call, e),
        }
    }

    fn on_timer(&mut self, token: u64, cx: &mut Context<'_>) {
        if token == self.timer {
            self.go_on(cx);
        }
    }

    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>) {
        while let Some(answer) = self.method.receive(cx, sock) {
            let n = match answer.key {
                Some(key) => self.table.by_key(key),
                None => self.table.by_socket(sock),
            };
            if let (Some(n), Some((from, note))) = (n, answer.what) {
                self.answer(cx, n, from, note);
            }
        }
        match self.config.sequential {
            true => self.go_on(cx),
            false if !self.over => self.wait(cx, cx.now().saturating_add(BURST)),
            false => {}
        }
    }

    fn outcome(&self) -> Outcome {
        let hops = self.table.hops();
        let reached = hops.iter().flat_map(|h| &h.probes).flatten().any(|(from, _)| *from == self.config.to);
        Outcome::Traceroute { to: self.config.to, hops, reached }
    }
}
