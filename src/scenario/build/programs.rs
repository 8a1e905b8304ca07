//! The registry of programs: which app a server, a step or a probe stands for. A new app is one file in `app/` and one
//! arm here.

use super::{Builder, RunningServer, address_of};
use crate::{
    app::{
        App, HttpGet, HttpGetConfig, HttpServer, HttpServerConfig, Ping, PingConfig, TcpClient, TcpClientConfig,
        TcpPayload, TcpServer, TcpServerConfig, TcpServerMode, Traceroute, TracerouteConfig, TracerouteMethod, UdpSend,
        UdpSendConfig, UdpServer, UdpServerConfig,
    },
    base::{NsId, SEC, Time},
    kernel::Kernel,
    scenario::{
        Service, Spanned, Target,
        schema::{self, Action, HopList, Method, Probe, Server},
    },
    socket::PmtuDiscover,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How long a probe waits for its answer.
const PATIENCE: Time = 5 * SEC;

/// A program that is ready to be started.
pub(in crate::scenario) struct Trial {
    pub ns: NsId,
    pub to: IpAddr,
    pub app: Box<dyn App>,
}

impl Builder<'_> {
    /// Starts the servers, which run from the beginning.
    pub(super) fn servers(&mut self) -> Vec<RunningServer> {
        let scenario = self.scenario;
        let mut running = Vec::new();
        for (name, settings) in scenario.namespaces.iter() {
            let Some(ns) = self.world.find_ns(name) else { continue };
            for server in &settings.run {
                let (port, udp) = (*server.listens().0, server.is_udp());
                let app = self.world.spawn(ns, 0, server_app(name, server, settings.speaks_ipv6()));
                running.push(RunningServer { ns, port, udp, app });
            }
        }
        running
    }

    /// The program of a step; `None` if the step is none, an error if something it names does not exist.
    pub(super) fn program(&mut self, action: &Spanned<Action>) -> Option<Result<Trial, ()>> {
        let made = match &action.value {
            Action::Ping(p) => self.ping(p),
            Action::Traceroute(t) => self.traceroute(t),
            Action::UdpSend(u) => self.udp_send(u),
            Action::TcpConnect(c) => self.tcp(&c.from, &c.to, TcpPayload::Nothing, Some(c.timeout.0)),
            Action::TcpBulk(b) => {
                let pattern = TcpPayload::Pattern { bytes: b.size.0, seed: *self.scenario.seed };
                self.tcp(&b.from, &b.to, pattern, None)
            }
            Action::HttpGet(g) => self.http_get(g),
            Action::Exec(_)
            | Action::Cat(_)
            | Action::Unplug(_)
            | Action::Plug(_)
            | Action::Impair(_)
            | Action::Note(_) => return None,
        };
        Some(made.ok_or(()))
    }

    fn ping(&mut self, p: &schema::Ping) -> Option<Trial> {
        let (ns, to) = self.ends(&p.from, &p.to.value, p.to.span)?;
        let source = match &p.source {
            Some(source) => Some(self.addr(source, source.span)?),
            None => None,
        };
        let config = PingConfig {
            name: name_of(&p.to),
            count: Some(*p.count),
            interval: p.interval.0,
            size: u16::try_from(p.size.0).expect("the schema bounds it"),
            ttl: (*p.ttl != 64).then_some(*p.ttl),
            df: p.df.then_some(PmtuDiscover::Do),
            wait: p.timeout.0,
            source,
            ..PingConfig::to(to)
        };
        Some(Trial { ns, to, app: Box::new(Ping::new(config)) })
    }

    fn traceroute(&mut self, t: &schema::Traceroute) -> Option<Trial> {
        let (ns, to) = self.ends(&t.from, &t.to.value, t.to.span)?;
        let config = TracerouteConfig {
            to,
            name: name_of(&t.to),
            method: match t.method {
                Method::Udp => TracerouteMethod::Udp,
                Method::Icmp => TracerouteMethod::Icmp,
            },
            first_ttl: *t.first,
            max_ttl: *t.max,
            queries: *t.queries,
            wait: t.timeout.0,
            ..TracerouteConfig::default()
        };
        Some(Trial { ns, to, app: Box::new(Traceroute::new(config)) })
    }

    fn udp_send(&mut self, u: &schema::UdpSend) -> Option<Trial> {
        let (ns, to) = self.ends(&u.from, &u.to.host, u.to.span)?;
        let pattern = || (0..u.size.0).map(|i| b'a' + (i % 26) as u8).collect();
        let config = UdpSendConfig {
            bind: u.port.map(|port| SocketAddr::new(any(to), *port)),
            data: u.data.as_ref().map_or_else(pattern, |d| d.value.clone().into_bytes()),
            count: *u.count,
            interval: u.interval.0,
            wait: u.wait.0,
            errors: u.errors,
            broadcast: u.broadcast,
            ..UdpSendConfig::to(SocketAddr::new(to, u.to.port))
        };
        Some(Trial { ns, to, app: Box::new(UdpSend::new(config)) })
    }

    fn tcp(
        &mut self,
        from: &Spanned<String>,
        service: &Spanned<Service>,
        send: TcpPayload,
        timeout: Option<Time>,
    ) -> Option<Trial> {
        let (ns, to) = self.ends(from, &service.host, service.span)?;
        let config = TcpClientConfig { send, timeout, ..TcpClientConfig::to(SocketAddr::new(to, service.port)) };
        Some(Trial { ns, to, app: Box::new(TcpClient::new(config)) })
    }

    fn http_get(&mut self, g: &schema::HttpGet) -> Option<Trial> {
        let service = &g.url.service;
        let (ns, to) = self.ends(&g.from, &service.host, g.url.span)?;
        let config = HttpGetConfig {
            host: name_of(&service.host),
            path: g.url.path.clone(),
            timeout: Some(g.timeout.0),
            ..HttpGetConfig::to(SocketAddr::new(to, service.port))
        };
        Some(Trial { ns, to, app: Box::new(HttpGet::new(config)) })
    }

    /// Where a program runs, and the address its packets go to.
    fn ends(&mut self, from: &Spanned<String>, to: &Target, span: crate::scenario::Span) -> Option<(NsId, IpAddr)> {
        let ns = self.ns(from);
        let addr = self.addr(to, span);
        Some((ns?, addr?))
    }
}

/// Servers take clients of both families where IPv6 is spoken, as Linux's do: a socket at `::` hears IPv4 as well
/// (RFC 3493 §3.7).
fn server_app(ns: &str, server: &Server, ipv6: bool) -> Box<dyn App> {
    let (port, bind) = server.listens();
    let everywhere = if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let at = SocketAddr::new(bind.map_or(everywhere, |b| *b), *port);
    let tcp = |mode| TcpServer::new(TcpServerConfig { bind: at, mode, ..TcpServerConfig::default() });
    match server {
        Server::Http(http) => {
            let text = http.body.as_ref().map_or_else(|| format!("This is {ns}."), |b| b.value.clone());
            Box::new(HttpServer::new(HttpServerConfig { bind: at, text }))
        }
        Server::UdpEcho(_) => Box::new(UdpServer::new(UdpServerConfig { bind: at, echo: true })),
        Server::UdpSink(_) => Box::new(UdpServer::new(UdpServerConfig { bind: at, echo: false })),
        Server::TcpEcho(_) => Box::new(tcp(TcpServerMode::Echo)),
        Server::TcpSink(_) => Box::new(tcp(TcpServerMode::Sink)),
    }
}

/// The name programs print; an address has none.
fn name_of(to: &Target) -> Option<String> {
    (!matches!(to, Target::Addr(_))).then(|| to.to_string())
}

/// The unspecified address of the other's family.
fn any(addr: IpAddr) -> IpAddr {
    if addr.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
}

/// The program that tries what `Reach` and `NoReach` are about.
pub(in crate::scenario) fn probe_trial(kernel: &Kernel, p: &Probe) -> Option<Trial> {
    let (ns, to) = (kernel.find_ns(&p.from)?, address_of(kernel, &p.to)?);
    let app: Box<dyn App> = match (p.tcp, p.udp) {
        (Some(port), _) => {
            let to = SocketAddr::new(to, *port);
            Box::new(TcpClient::new(TcpClientConfig { timeout: Some(PATIENCE), ..TcpClientConfig::to(to) }))
        }
        (_, Some(port)) => {
            let to = SocketAddr::new(to, *port);
            Box::new(UdpSend::new(UdpSendConfig { wait: PATIENCE, ..UdpSendConfig::to(to) }))
        }
        _ => {
            let name = name_of(&p.to);
            Box::new(Ping::new(PingConfig { name, count: Some(1), wait: PATIENCE, ..PingConfig::to(to) }))
        }
    };
    Some(Trial { ns, to, app })
}

/// The program that tries what `Hops` is about.
pub(in crate::scenario) fn trace_trial(kernel: &Kernel, list: &HopList) -> Option<Trial> {
    let (ns, to) = (kernel.find_ns(&list.from)?, address_of(kernel, &list.to)?);
    let config = TracerouteConfig { to, name: name_of(&list.to), ..TracerouteConfig::default() };
    Some(Trial { ns, to, app: Box::new(Traceroute::new(config)) })
}
