//! Servers and steps as programs a person would start.

use super::topology;
use crate::{
    base::Time,
    conform::case::{Impairment, Ping, Secs, Traceroute},
    scenario::{
        Directory, Scenario, Target,
        schema::{self, Action, Method, Server},
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A server that runs from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The namespace.
    pub node: String,
    /// Where it listens.
    pub at: SocketAddr,
    /// What it does.
    pub kind: ServiceKind,
}

/// What a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Answers `GET /` with this text and who is asking.
    Http(String),
    /// Sends datagrams back.
    UdpEcho,
    /// Takes datagrams.
    UdpSink,
    /// Sends streams back.
    TcpEcho,
    /// Reads streams.
    TcpSink,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Job {
    /// When it begins.
    pub at: Time,
    /// Its number in the scenario.
    pub step: usize,
    /// The namespace; empty if it is in none.
    pub node: String,
    /// What is done.
    pub deed: Deed,
    /// The command a person would type; what it is, if there is none.
    pub command: String,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Deed {
    /// `ping`
    Ping(Ping),
    /// `traceroute`
    Traceroute(Traceroute),
    /// Datagrams.
    Udp {
        /// Where to.
        to: SocketAddr,
        /// The local port.
        port: Option<u16>,
        /// The payload of each.
        data: Vec<u8>,
        /// How many.
        count: u32,
        /// Time between two.
        interval: Time,
        /// How long to wait for answers after the last.
        wait: Time,
        /// Whether ICMP errors are to be seen.
        errors: bool,
        /// Whether broadcasts are allowed.
        broadcast: bool,
    },
    /// A TCP connection over which a pattern of bytes is sent.
    Tcp {
        /// Where to.
        to: SocketAddr,
        /// How many bytes.
        bytes: u64,
        /// How long to try.
        timeout: Option<Time>,
    },
    /// A page.
    Http {
        /// Where from.
        to: SocketAddr,
        /// Which.
        path: String,
        /// How long to try.
        timeout: Time,
    },
    /// A command line.
    Command(String),
    /// A file of `/proc` is printed.
    Cat(String),
    /// What a device sends is impaired from now on.
    Netem {
        /// The device.
        dev: String,
        /// How.
        set: Option<Impairment>,
    },
    /// Something is said.
    Nothing,
}

/// The servers of a scenario.
pub fn services(scenario: &Scenario) -> Vec<Service> {
    let mut all = Vec::new();
    for (node, ns) in scenario.namespaces.iter() {
        for server in &ns.run {
            let (port, bind) = server.listens();
            // As netsim's: where IPv6 is spoken, a server hears both families.
            let everywhere = match ns.speaks_ipv6() {
                true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            };
            let at = SocketAddr::new(bind.map_or(everywhere, |b| *b), *port);
            let kind = match &server.value {
                Server::Http(h) => {
                    let own = h.body.as_ref().map(|b| b.value.clone());
                    ServiceKind::Http(own.unwrap_or_else(|| format!("This is {node}.")))
                }
                Server::UdpEcho(_) => ServiceKind::UdpEcho,
                Server::UdpSink(_) => ServiceKind::UdpSink,
                Server::TcpEcho(_) => ServiceKind::TcpEcho,
                Server::TcpSink(_) => ServiceKind::TcpSink,
            };
            all.push(Service { node: node.value.clone(), at, kind });
        }
    }
    all
}

/// The steps of a scenario.
pub fn jobs(scenario: &Scenario, names: &Directory<'_>) -> Result<Vec<Job>, String> {
    let job = |(step, s): (usize, &schema::Step)| {
        let (node, deed, command) = deed(&s.action.value, names)?;
        Ok(Job { at: s.at.value.0, step, node, deed, command })
    };
    scenario.steps.iter().enumerate().map(job).collect()
}

fn seconds(t: Time) -> String {
    (t as f64 / 1e9).to_string()
}

fn deed(action: &Action, names: &Directory<'_>) -> Result<(String, Deed, String), String> {
    let addr = |t: &Target| names.address(t).map_err(|_| format!("`{t}` has no address"));
    let service = |s: &crate::scenario::Service| Ok::<_, String>(SocketAddr::new(addr(&s.host)?, s.port));
    Ok(match action {
        Action::Ping(p) => {
            let ping = Ping {
                dst: addr(&p.to)?.to_string(),
                count: Some(*p.count),
                interval: Some(Secs(p.interval.0)),
                wait: Some(Secs(p.timeout.0)),
                size: (p.size.0 != 56).then_some(p.size.0 as u32),
                ttl: (*p.ttl != 64).then_some(*p.ttl),
                df: p.df.then(|| "do".into()),
                src: p.source.as_ref().map(|s| addr(s).map(|a| a.to_string())).transpose()?,
                ..Ping::default()
            };
            let mut c = format!("ping -c {} -i {} -W {}", *p.count, seconds(p.interval.0), seconds(p.timeout.0));
            let options = [
                (" -s ", ping.size.map(|v| v.to_string())),
                (" -t ", ping.ttl.map(|v| v.to_string())),
                (" -M ", ping.df.clone()),
                (" -I ", ping.src.clone()),
            ];
            for (key, value) in options {
                c += &value.map_or(String::new(), |v| format!("{key}{v}"));
            }
            c += &format!(" {}", ping.dst);
            (p.from.value.clone(), Deed::Ping(ping), c)
        }
        Action::Traceroute(t) => {
            let icmp = t.method == Method::Icmp;
            let trace = Traceroute {
                dst: addr(&t.to)?.to_string(),
                method: Some(if icmp { "icmp" } else { "udp" }.into()),
                queries: Some(*t.queries),
                max: Some(*t.max),
                first: (*t.first != 1).then_some(*t.first),
                wait: Some(Secs(t.timeout.0)),
                sequential: Some(false),
                ..Traceroute::default()
            };
            let first = if *t.first != 1 { format!(" -f {}", *t.first) } else { String::new() };
            let (how, wait) = (if icmp { " -I" } else { "" }, seconds(t.timeout.0));
            let c = format!("traceroute -n{how} -q {} -m {}{first} -w {wait} {}", *t.queries, *t.max, trace.dst);
            (t.from.value.clone(), Deed::Traceroute(trace), c)
        }
        Action::UdpSend(u) => {
            let to = service(&u.to)?;
            let pattern = || (0..u.size.0).map(|i| b'a' + (i % 26) as u8).collect();
            let data: Vec<u8> = u.data.as_ref().map_or_else(pattern, |d| d.value.clone().into_bytes());
            let c = format!("nc -u {} {}    # {} datagrams of {} bytes", to.ip(), to.port(), *u.count, data.len());
            let deed = Deed::Udp {
                to,
                port: u.port.map(|p| *p),
                data,
                count: *u.count,
                interval: u.interval.0,
                wait: u.wait.0,
                errors: u.errors,
                broadcast: u.broadcast,
            };
            (u.from.value.clone(), deed, c)
        }
        Action::TcpConnect(t) => {
            let to = service(&t.to)?;
            let c = format!("nc -z -w {} {} {}", t.timeout.0.div_ceil(1_000_000_000), to.ip(), to.port());
            (t.from.value.clone(), Deed::Tcp { to, bytes: 0, timeout: Some(t.timeout.0) }, c)
        }
        Action::TcpBulk(b) => {
            let to = service(&b.to)?;
            let c = format!("head -c {} /dev/zero | nc -N {} {}", b.size.0, to.ip(), to.port());
            (b.from.value.clone(), Deed::Tcp { to, bytes: b.size.0, timeout: None }, c)
        }
        Action::HttpGet(g) => {
            let to = service(&g.url.service)?;
            let (path, timeout) = (g.url.path.clone(), g.timeout.0);
            let c = format!("curl -m {} http://{to}{path}", seconds(timeout));
            (g.from.value.clone(), Deed::Http { to, path, timeout }, c)
        }
        Action::Exec(e) => (e.ns.value.clone(), Deed::Command(e.run.value.clone()), e.run.value.clone()),
        Action::Cat(c) => (c.ns.value.clone(), Deed::Cat(c.path.value.clone()), format!("cat {}", c.path.value)),
        Action::Impair(i) => {
            let (ns, dev) = (i.at.ns.clone(), i.at.dev.clone());
            let set = topology::impairment(&i.with);
            let c = format!("tc {}", crate::live::words::qdisc("replace", &dev, set.as_ref()));
            (ns, Deed::Netem { dev, set }, c)
        }
        Action::Note(text) => (String::new(), Deed::Nothing, text.value.clone()),
        Action::Unplug(end) | Action::Plug(end) => {
            return Err(format!("the cable of {end} is pulled or plugged: a veth pair has none to pull"));
        }
    })
}

/// The ports that are named somewhere; all others are random.
pub fn ports(scenario: &Scenario, services: &[Service], jobs: &[Job]) -> Vec<u16> {
    let mut all: Vec<u16> = services.iter().map(|s| s.at.port()).collect();
    for job in jobs {
        match &job.deed {
            Deed::Udp { to, port, .. } => all.extend([to.port()].iter().chain(port)),
            Deed::Tcp { to, .. } | Deed::Http { to, .. } => all.push(to.port()),
            _ => {}
        }
    }
    for (_, ns) in scenario.namespaces.iter() {
        for nat in &ns.nat {
            let ports = match &nat.value {
                schema::Nat::Dnat(d) => [d.tcp, d.udp],
                schema::Nat::PortForward(p) => [p.tcp, p.udp],
                schema::Nat::Redirect(r) => [r.tcp, r.udp],
                schema::Nat::Masquerade(_) | schema::Nat::Snat(_) | schema::Nat::Netmap(_) => [None, None],
            };
            all.extend(ports.into_iter().flatten().map(|p| p.first));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}
