//! UDP: a server that answers or only counts, and a program that sends.

use super::{
    App, Context, Outcome,
    stream::{MAX_PEERS, family, plain, preview},
};
use crate::{
    base::{Errno, SEC, SockId, Time},
    socket::{ErrorOrigin, SockKind, SockOpt},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// What a UDP server is asked to do.
///
/// ```
/// use netsim::app::{App, UdpServer, UdpServerConfig};
/// let config = UdpServerConfig { bind: "0.0.0.0:7".parse().unwrap(), echo: true };
/// assert_eq!(UdpServer::new(config).command(), "udp-echo 0.0.0.0:7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpServerConfig {
    /// Where to receive.
    pub bind: SocketAddr,
    /// Whether every datagram is sent back.
    pub echo: bool,
}

impl Default for UdpServerConfig {
    /// An echo server on port 7 of every IPv4 address.
    fn default() -> UdpServerConfig {
        UdpServerConfig { bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7), echo: true }
    }
}

/// A UDP server. It prints one line per peer and remembers the last datagram.
pub struct UdpServer {
    config: UdpServerConfig,
    sock: Option<SockId>,
    served: u64,
    bytes: u64,
    known: BTreeSet<SocketAddr>,
    peers: Vec<(IpAddr, u16)>,
    last: Option<String>,
    error: Option<Errno>,
}

impl UdpServer {
    /// The program, not yet started.
    pub fn new(config: UdpServerConfig) -> UdpServer {
        UdpServer {
            config,
            sock: None,
            served: 0,
            bytes: 0,
            known: BTreeSet::new(),
            peers: Vec::new(),
            last: None,
            error: None,
        }
    }

    fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let sock = cx.kernel.socket(cx.ns, family(self.config.bind), SockKind::Udp, Some(cx.app))?;
        cx.kernel.bind(sock, self.config.bind)?;
        self.sock = Some(sock);
        Ok(())
    }

    fn name(&self) -> &'static str {
        if self.config.echo { "udp-echo" } else { "udp-sink" }
    }
}

impl App for UdpServer {
    fn command(&self) -> String {
        format!("{} {}", self.name(), self.config.bind)
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        if let Err(e) = self.open(cx) {
            self.error = Some(e);
            cx.print(format!("{}: bind {}: {e}", self.name(), self.config.bind));
            cx.exit(1);
        }
    }

    fn on_timer(&mut self, _: u64, _: &mut Context<'_>) {}

    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>) {
        loop {
            let d = match cx.kernel.recv_from(sock) {
                Ok(d) => d,
                Err(Errno::EAGAIN | Errno::EBADF) => return,
                // An ICMP error about one of the answers: nobody's business here.
                Err(_) => continue,
            };
            let from = plain(d.from);
            self.served += 1;
            self.bytes += d.data.len() as u64;
            if self.known.len() < MAX_PEERS && self.known.insert(from) {
                self.peers.push((from.ip(), from.port()));
                let (n, text) = (d.data.len(), preview(&d.data));
                cx.print(format!("{from} → {}: {n} bytes {text}", plain(d.to)));
            }
            self.last = Some(preview(&d.data));
            if self.config.echo {
                // A full queue or a missing route loses the answer, as it would any datagram.
                let _ = cx.kernel.send_to(sock, &d.data, d.from);
            }
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome::Server {
            served: self.served,
            bytes: self.bytes,
            peers: self.peers.clone(),
            error: self.error,
            last: self.last.clone(),
            streams: Vec::new(),
        }
    }
}

/// What a UDP sender is asked to do.
///
/// ```
/// use netsim::{app::{App, UdpSend, UdpSendConfig}, base::SEC};
/// let to = "10.0.0.2:7".parse().unwrap();
/// let config = UdpSendConfig { data: b"hello".to_vec(), wait: SEC, ..UdpSendConfig::to(to) };
/// assert_eq!(UdpSend::new(config).command(), "udp-send 10.0.0.2:7 (1 × 5 bytes)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpSendConfig {
    /// Where to send.
    pub to: SocketAddr,
    /// Where to send from; `None` lets the kernel choose.
    pub bind: Option<SocketAddr>,
    /// The payload of every datagram.
    pub data: Vec<u8>,
    /// Number of datagrams.
    pub count: u32,
    /// Time between two of them in nanoseconds; 0 sends all at once.
    pub interval: Time,
    /// How long to wait for answers and errors after the last one, in nanoseconds. It ends earlier when each datagram
    /// was answered, by a reply or an error.
    pub wait: Time,
    /// Whether ICMP errors and full queues are to be seen (`IP_RECVERR`).
    pub errors: bool,
    /// TTL; `None` is the namespace's default.
    pub ttl: Option<u8>,
    /// Whether broadcast addresses may be sent to.
    pub broadcast: bool,
}

impl Default for UdpSendConfig {
    /// `hello` to port 7 of the loopback address, waiting one second for an answer.
    fn default() -> UdpSendConfig {
        UdpSendConfig {
            to: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7),
            bind: None,
            data: b"hello".to_vec(),
            count: 1,
            interval: SEC,
            wait: SEC,
            errors: true,
            ttl: None,
            broadcast: false,
        }
    }
}

impl UdpSendConfig {
    /// The default datagram to `to`.
    pub fn to(to: SocketAddr) -> UdpSendConfig {
        UdpSendConfig { to, ..UdpSendConfig::default() }
    }
}

/// Timer tokens.
const SEND: u64 = 0;
const STOP: u64 = 1;
/// Most datagrams sent at one point of time; the rest follows in the next nanosecond.
const BURST: u32 = 1024;

/// A program that sends datagrams and shows what comes back.
pub struct UdpSend {
    config: UdpSendConfig,
    sock: Option<SockId>,
    /// Datagrams tried.
    tried: u32,
    sent: u64,
    received: u64,
    bytes: u64,
    lines: usize,
    reported: u64,
    errors: Vec<Errno>,
    over: bool,
}

impl UdpSend {
    /// The program, not yet started.
    pub fn new(config: UdpSendConfig) -> UdpSend {
        UdpSend {
            config,
            sock: None,
            tried: 0,
            sent: 0,
            received: 0,
            bytes: 0,
            lines: 0,
            reported: 0,
            errors: Vec::new(),
            over: false,
        }
    }

    fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let c = &self.config;
        let sock = cx.kernel.socket(cx.ns, family(c.to), SockKind::Udp, Some(cx.app))?;
        self.sock = Some(sock);
        cx.kernel.set_option(sock, SockOpt::RecvErr(c.errors))?;
        cx.kernel.set_option(sock, SockOpt::Broadcast(c.broadcast))?;
        if let Some(ttl) = c.ttl {
            cx.kernel.set_option(sock, SockOpt::Ttl(Some(ttl)))?;
        }
        c.bind.map_or(Ok(()), |at| cx.kernel.bind(sock, at))
    }

    fn note(&mut self, cx: &mut Context<'_>, errno: Errno, line: String) {
        self.reported += 1;
        if self.errors.len() < MAX_PEERS {
            self.errors.push(errno);
        }
        self.say(cx, line);
    }

    fn say(&mut self, cx: &mut Context<'_>, line: String) {
        self.lines += 1;
        if self.lines <= MAX_PEERS {
            cx.print(line);
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let Some(sock) = self.sock else { return };
        let at_once = if self.config.interval == 0 { BURST } else { 1 };
        for _ in 0..at_once.min(self.config.count - self.tried) {
            self.tried += 1;
            match cx.kernel.send_to(sock, &self.config.data, self.config.to) {
                Ok(_) => self.sent += 1,
                Err(e) => {
                    // The error queue, if it has an entry, tells more about it.
                    let before = self.reported;
                    self.drain(cx, sock);
                    if self.reported == before {
                        self.note(cx, e, format!("sendto {}: {e}", self.config.to));
                    }
                }
            }
        }
        if self.tried < self.config.count {
            cx.timer(cx.now().saturating_add(self.config.interval.max(1)), SEND);
        } else {
            cx.timer(cx.now().saturating_add(self.config.wait), STOP);
        }
    }

    fn drain(&mut self, cx: &mut Context<'_>, sock: SockId) {
        loop {
            while let Some(e) = cx.kernel.recv_error(sock) {
                let line = match (e.origin, e.offender) {
                    (ErrorOrigin::Icmp { kind, code }, Some(from)) => {
                        format!("From {from}: {} (ICMP {kind}/{code}) for {}", e.errno, plain(e.dst))
                    }
                    _ if e.info > 0 => format!("sendto {}: {}, mtu={}", plain(e.dst), e.errno, e.info),
                    _ => format!("sendto {}: {}", plain(e.dst), e.errno),
                };
                self.note(cx, e.errno, line);
            }
            match cx.kernel.recv_from(sock) {
                Ok(d) => {
                    self.received += 1;
                    self.bytes += d.data.len() as u64;
                    let line = format!("{} bytes from {}: {}", d.data.len(), plain(d.from), preview(&d.data));
                    self.say(cx, line);
                }
                Err(Errno::EAGAIN | Errno::EBADF) => return,
                Err(e) if !self.config.errors => self.note(cx, e, format!("recvfrom: {e}")),
                // The errno of an entry of the error queue, which comes next.
                Err(_) => {}
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let answers = if self.config.wait > 0 { format!(", {} answered", self.received) } else { String::new() };
        cx.print(format!("{} datagrams sent{answers}", self.sent));
        let failed = self.reported > 0 || (self.config.wait > 0 && self.received == 0);
        cx.exit(failed as i32);
    }
}

impl App for UdpSend {
    fn command(&self) -> String {
        format!("udp-send {} ({} × {} bytes)", self.config.to, self.config.count, self.config.data.len())
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        match self.open(cx) {
            Ok(()) => self.send(cx),
            Err(e) => {
                self.errors.push(e);
                self.over = true;
                cx.print(format!("udp-send: bind: {e}"));
                cx.exit(1);
            }
        }
    }

    fn on_timer(&mut self, token: u64, cx: &mut Context<'_>) {
        match token {
            SEND => self.send(cx),
            _ => self.finish(cx),
        }
    }

    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>) {
        self.drain(cx, sock);
        let answered = self.received + self.reported >= u64::from(self.config.count);
        if answered && self.tried == self.config.count && !self.config.broadcast {
            self.finish(cx);
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome::UdpSend { sent: self.sent, received: self.received, bytes: self.bytes, errors: self.errors.clone() }
    }
}
