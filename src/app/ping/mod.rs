//! `ping`: echo requests and what comes back (iputils 20221126; RFC 1122 §3.2.2.6, RFC 4443 §4).

mod config;
mod message;
mod stats;

use super::{App, Context, Outcome};
use crate::{
    base::{DevId, Errno, MS, SEC, SockId, Time, US, proto},
    socket::{Datagram, ErrorOrigin, Family, PmtuDiscover, SockKind, SockOpt, SocketError},
    wire::{IpHeader, be16, be32, icmp},
};
pub use config::PingConfig;
use stats::Stats;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Most entries kept in the lists of [`Outcome::Ping`].
const KEPT: usize = 65_536;
/// The smallest interval: the tool counts in milliseconds.
const MIN_INTERVAL: Time = MS;

/// Timer tokens.
const SEND: u64 = 0;
const LINGER: u64 = 1;
const DEADLINE: u64 = 2;

/// The program.
///
/// It uses an unprivileged ping socket, which receives exactly the replies to its own requests. Redirects do not reach
/// such sockets; for them it also opens a raw socket that lets nothing else through, as the tool run by root sees them.
pub struct Ping {
    config: PingConfig,
    stats: Stats,
    sock: Option<SockId>,
    redirects: Option<SockId>,
    /// The device to send by, and the address requests have then.
    device: Option<(DevId, IpAddr)>,
    /// When the first and the last request were sent.
    began: Time,
    last: Time,
    /// Sends refused in a row because a queue was full.
    refused: u32,
    lingering: bool,
    over: bool,
    errors: Vec<(IpAddr, String)>,
    rtt: Vec<Time>,
    ttl: Option<u8>,
    local_error: Option<Errno>,
}

impl Ping {
    /// The program, not yet started.
    pub fn new(mut config: PingConfig) -> Ping {
        config.interval = config.interval.max(MIN_INTERVAL);
        Ping {
            config,
            stats: Stats::default(),
            sock: None,
            redirects: None,
            device: None,
            began: 0,
            last: 0,
            refused: 0,
            lingering: false,
            over: false,
            errors: Vec::new(),
            rtt: Vec::new(),
            ttl: None,
            local_error: None,
        }
    }

    fn is_ipv4(&self) -> bool {
        self.config.to.is_ipv4()
    }

    fn family(&self) -> Family {
        if self.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn timed(&self) -> bool {
        self.config.size as usize >= message::TIMESTAMP
    }

    /// A group may answer: many replies to one request are no surprise.
    fn to_many(&self) -> bool {
        self.config.broadcast || self.config.to.is_multicast()
    }

    fn host(&self) -> String {
        self.config.name.clone().unwrap_or_else(|| self.config.to.to_string())
    }

    /// Ends with a message on standard error.
    fn fail(&mut self, cx: &mut Context<'_>, errno: Errno, call: &str) {
        self.local_error = Some(errno);
        self.over = true;
        cx.print(format!("ping: {call}: {errno}"));
        cx.exit(2);
    }

    /// The tool's check that there is a way at all: a UDP socket is connected to the destination, which also tells the
    /// source address.
    fn probe_route(&mut self, cx: &mut Context<'_>) -> Result<(), ()> {
        let to = SocketAddr::new(self.config.to, 1025);
        let probe =
            cx.kernel.socket(cx.ns, self.family(), SockKind::Udp, None).map_err(|e| self.fail(cx, e, "socket"))?;
        let device = match self.config.device.as_deref().map(|name| cx.kernel.find_dev(cx.ns, name)) {
            Some(None) => {
                cx.kernel.close(probe);
                self.fail(cx, Errno::ENODEV, "SO_BINDTODEVICE");
                return Err(());
            }
            found => found.flatten(),
        };
        if let Some(dev) = device {
            let bound = cx.kernel.set_option(probe, SockOpt::BindToDevice(Some(dev)));
            bound.map_err(|e| self.fail(cx, e, "SO_BINDTODEVICE"))?;
        }
        let mut connected = cx.kernel.connect(probe, to);
        // EACCES may also come from a prohibit route: the tool takes both for a broadcast address.
        if connected == Err(Errno::EACCES) && self.config.broadcast {
            cx.print("WARNING: pinging broadcast address");
            connected =
                cx.kernel.set_option(probe, SockOpt::Broadcast(true)).and_then(|()| cx.kernel.connect(probe, to));
        } else if connected == Err(Errno::EACCES) && self.is_ipv4() {
            cx.kernel.close(probe);
            self.local_error = Some(Errno::EACCES);
            self.over = true;
            cx.print("ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules");
            cx.exit(2);
            return Err(());
        }
        let source = cx.kernel.local_addr(probe).map(|a| a.ip());
        cx.kernel.close(probe);
        connected.map_err(|e| self.fail(cx, e, "connect"))?;
        self.device = device.zip(source.ok());
        if let Some((dev, source)) = self.device
            && !cx.kernel.dev(dev).addrs.iter().any(|a| a.prefix.addr() == source)
        {
            let name = cx.kernel.dev_name(dev).to_owned();
            cx.print(format!("ping: Warning: source address might be selected on device other than: {name}"));
        }
        Ok(())
    }

    fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let c = &self.config;
        let sock = cx.kernel.socket(cx.ns, self.family(), SockKind::Ping, Some(cx.app))?;
        self.sock = Some(sock);
        let df = c.df.or(self.to_many().then_some(PmtuDiscover::Do));
        let options = [
            Some(SockOpt::RecvErr(true)),
            c.ttl.map(|t| SockOpt::Ttl(Some(t))),
            c.ttl.map(SockOpt::MulticastTtl),
            df.map(SockOpt::MtuDiscover),
            c.broadcast.then_some(SockOpt::Broadcast(true)),
            (c.tos != 0).then_some(SockOpt::Tos(c.tos)),
            self.device.map(|(dev, _)| SockOpt::BindToDevice(Some(dev))),
        ];
        for option in options.into_iter().flatten() {
            cx.kernel.set_option(sock, option)?;
        }
        if self.is_ipv4() {
            let raw = cx.kernel.socket(cx.ns, Family::V4, SockKind::Raw(proto::ICMP), Some(cx.app))?;
            cx.kernel.set_option(raw, SockOpt::IcmpFilter(!(1 << icmp::REDIRECT)))?;
            self.redirects = Some(raw);
        }
        Ok(())
    }

    fn bind(&self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let (Some(sock), c) = (self.sock, &self.config) else { return Ok(()) };
        if c.source.is_none() && c.id.is_none() {
            return Ok(());
        }
        let any = crate::socket::any(self.family());
        cx.kernel.bind(sock, SocketAddr::new(c.source.unwrap_or(any), c.id.unwrap_or(0)))
    }

    fn header(&self) -> String {
        let (host, c) = (self.host(), &self.config);
        let from = match (c.source, self.device.zip(c.device.as_deref())) {
            (Some(source), _) => format!("from {source} : "),
            (None, Some(((_, source), name))) => format!("from {source} {name}: "),
            (None, None) => String::new(),
        };
        match c.to {
            IpAddr::V4(to) => format!("PING {host} ({to}) {from}{}({}) bytes of data.", c.size, u32::from(c.size) + 28),
            IpAddr::V6(to) => format!("PING {host}({to}) {from}{} data bytes", c.size),
        }
    }

    /// Sends the next request, if it is time for one (`pinger`).
    fn send(&mut self, cx: &mut Context<'_>) {
        let Some(sock) = self.sock else { return };
        let c = &self.config;
        let enough = c.deadline.is_none() && c.count.is_some_and(|n| self.stats.transmitted >= n);
        if self.over || enough {
            return;
        }
        self.last = cx.now();
        let seq = (self.stats.transmitted as u16).wrapping_add(1);
        let request = message::request(self.is_ipv4(), seq, c.size.into(), cx.now());
        match cx.kernel.send_to(sock, &request, SocketAddr::new(c.to, 0)) {
            Ok(_) => {
                self.refused = 0;
                self.stats.sent();
            }
            Err(e) => self.send_failed(cx, sock, e),
        }
        let c = &self.config;
        let done = c.deadline.is_none() && c.count.is_some_and(|n| self.stats.transmitted >= n);
        if !done {
            cx.timer(cx.now().saturating_add(c.interval), SEND);
        } else if !self.lingering {
            // How long to wait is decided once, when the last request is sent (__schedule_exit).
            self.lingering = true;
            let wait = match self.stats.received {
                0 => c.wait,
                _ => self.stats.max.saturating_mul(2 * US).max(c.interval),
            };
            cx.timer(cx.now().saturating_add(wait), LINGER);
        }
        self.check_end(cx);
    }

    fn send_failed(&mut self, cx: &mut Context<'_>, sock: SockId, e: Errno) {
        if matches!(e, Errno::ENOBUFS | Errno::ENOMEM) {
            // The request was not sent and is tried again, for as long as replies are waited for.
            self.refused += 1;
            let pause = (self.config.interval / 2).min(500 * MS);
            if u64::from(self.refused) * pause < self.config.wait {
                return;
            }
        }
        // What waits in the error queue is told; an errno alone is not: the tool takes the empty queue for a local error
        // that was told (receive_error_msg gives -1 at EAGAIN).
        if matches!(e, Errno::ENOBUFS | Errno::ENOMEM) {
            cx.print(format!("ping: sendmsg: {e}"));
        } else {
            self.take_error(cx, sock);
        }
        self.local_error = Some(e);
        self.stats.sent();
    }

    /// Reads one entry of the error queue (`receive_error_msg`).
    fn take_error(&mut self, cx: &mut Context<'_>, sock: SockId) -> Taken {
        let Some(e) = cx.kernel.recv_error(sock) else { return Taken::Nothing };
        match e.origin {
            ErrorOrigin::Local => {
                let text = match (e.errno, self.is_ipv4()) {
                    (Errno::EMSGSIZE, true) => format!("message too long, mtu={}", e.info),
                    (Errno::EMSGSIZE, false) => format!("message too long, mtu: {}", e.info),
                    _ => e.errno.to_string(),
                };
                cx.print(format!("ping: local error: {text}"));
                self.stats.errors += 1;
                self.local_error = Some(e.errno);
                Taken::Local
            }
            ErrorOrigin::Icmp { kind, code } => {
                self.icmp_error(cx, &e, kind, code);
                Taken::Icmp
            }
        }
    }

    fn icmp_error(&mut self, cx: &mut Context<'_>, e: &SocketError, kind: u8, code: u8) {
        let ipv4 = self.is_ipv4();
        let (Some(from), Some((seq, _))) = (e.offender, message::reply(&e.data)) else { return };
        if e.dst.ip() != self.config.to {
            return;
        }
        if ipv4 {
            self.stats.acknowledge(seq);
        }
        self.stats.errors += 1;
        let words = message::error(ipv4, kind, code, e.info);
        cx.print(format!("From {from} icmp_seq={seq} {words}"));
        if self.errors.len() < KEPT {
            self.errors.push((from, words));
        }
    }

    /// A reply (`ping4_parse_reply`, `gather_statistics`).
    fn reply(&mut self, cx: &mut Context<'_>, d: &Datagram) {
        let Some((seq, sent)) = message::reply(&d.data) else { return };
        let from = d.from.ip().to_canonical();
        let whole = d.data.len() >= self.config.size as usize + icmp::HEADER;
        let rtt = sent.filter(|_| self.timed()).map(|t| cx.now().saturating_sub(t));
        let duplicate = self.stats.reply(seq, rtt);
        self.ttl = Some(d.ttl);
        if let (Some(rtt), false, true) = (rtt, duplicate, self.rtt.len() < KEPT) {
            self.rtt.push(rtt);
        }
        // The link of a link-local address is named with it (getnameinfo).
        let shown = match (from, &self.config.device) {
            (IpAddr::V6(a), Some(dev)) if a.is_unicast_link_local() => format!("{from}%{dev}"),
            _ => from.to_string(),
        };
        let mut line = format!("{} bytes from {shown}: icmp_seq={seq} ttl={}", d.data.len(), d.ttl);
        if !whole {
            line += " (truncated)";
        } else {
            line += &rtt.map(stats::time).unwrap_or_default();
            line += if duplicate && !self.to_many() { " (DUP!)" } else { "" };
            line += if from != self.config.to && !self.to_many() { " (DIFFERENT ADDRESS!)" } else { "" };
        }
        cx.print(line);
    }

    /// A redirect about one of our requests; it is printed but is no error.
    fn redirect(&self, cx: &mut Context<'_>, packet: &[u8]) {
        let Ok(outer) = IpHeader::parse(packet) else { return };
        let message = outer.payload(packet);
        let Some(quoted) = message.get(icmp::HEADER..) else { return };
        let Some(inner) = IpHeader::parse_quoted(quoted) else { return };
        let Some(echo) = quoted.get(inner.header_len..).filter(|e| e.len() >= icmp::HEADER) else { return };
        let id = self.sock.and_then(|s| cx.kernel.local_addr(s).ok()).map(|a| a.port());
        if echo[0] != icmp::ECHO || inner.dst != self.config.to || Some(be16(echo, 4)) != id {
            return;
        }
        let words = message::redirect(message[1], Ipv4Addr::from(be32(message, 4)));
        cx.print(format!("From {}: icmp_seq={} {words}", outer.src, be16(echo, 6)));
    }

    /// Reads what there is until nothing is left or nothing more is expected, as the tool's inner loop does.
    fn drain(&mut self, cx: &mut Context<'_>, sock: SockId) {
        loop {
            match cx.kernel.recv_from(sock) {
                Ok(d) => self.reply(cx, &d),
                Err(Errno::EAGAIN) => return,
                Err(e) => {
                    if self.take_error(cx, sock) == Taken::Nothing {
                        return cx.print(format!("ping: recvmsg: {e}"));
                    }
                }
            }
            if self.stats.in_flight() == 0 {
                return;
            }
        }
    }

    fn check_end(&mut self, cx: &mut Context<'_>) {
        let s = &self.stats;
        let answered = self.config.count.is_some_and(|n| s.received + s.errors >= n);
        if answered || (self.config.deadline.is_some() && s.errors > 0) {
            self.finish(cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        cx.print("");
        cx.print(format!("--- {} ping statistics ---", self.host()));
        cx.print(self.stats.summary(self.last.saturating_sub(self.began)));
        cx.print(self.stats.times(self.timed()));
        let (received, wanted) = (self.stats.received, self.config.count.unwrap_or(0));
        let short = received == 0 || (self.config.deadline.is_some() && received < wanted);
        cx.exit(short as i32);
    }
}

/// What was found in the error queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Local,
    Icmp,
}

impl App for Ping {
    fn command(&self) -> String {
        let c = &self.config;
        let seconds = |t: Time| format!("{}", t as f64 / SEC as f64);
        let df = c.df.map(|d| match d {
            PmtuDiscover::Dont => "dont",
            PmtuDiscover::Want => "want",
            PmtuDiscover::Do => "do",
            PmtuDiscover::Probe => "probe",
        });
        let standard = PingConfig::default();
        let words = [
            c.broadcast.then(|| "-b".to_string()),
            c.count.map(|n| format!("-c {n}")),
            (c.interval != standard.interval).then(|| format!("-i {}", seconds(c.interval))),
            (c.size != standard.size).then(|| format!("-s {}", c.size)),
            c.ttl.map(|t| format!("-t {t}")),
            df.map(|d| format!("-M {d}")),
            (c.wait != standard.wait).then(|| format!("-W {}", seconds(c.wait))),
            c.deadline.map(|t| format!("-w {}", seconds(t))),
            c.source.map(|s| format!("-I {s}")),
            c.device.as_ref().map(|d| format!("-I {d}")),
            (c.tos != 0).then(|| format!("-Q {}", c.tos)),
            c.id.map(|id| format!("-e {id}")),
            Some(self.host()),
        ];
        words.into_iter().flatten().fold("ping".into(), |line, word| line + " " + &word)
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        if self.config.source.is_none() && self.probe_route(cx).is_err() {
            return;
        }
        if let Err(e) = self.open(cx) {
            return self.fail(cx, e, "socket");
        }
        if let Err(e) = self.bind(cx) {
            let call = if self.is_ipv4() { "bind" } else { "bind icmp socket" };
            return self.fail(cx, e, call);
        }
        cx.print(self.header());
        self.began = cx.now();
        if let Some(deadline) = self.config.deadline {
            cx.timer(cx.now().saturating_add(deadline), DEADLINE);
        }
        self.send(cx);
    }

    fn on_timer(&mut self, token: u64, cx: &mut Context<'_>) {
        match token {
            SEND => self.send(cx),
            _ => self.finish(cx),
        }
    }

    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>) {
        if self.redirects == Some(sock) {
            while let Ok(d) = cx.kernel.recv_from(sock) {
                self.redirect(cx, &d.data);
            }
        } else if !self.over {
            self.drain(cx, sock);
            self.check_end(cx);
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome::Ping {
            to: self.config.to,
            sent: self.stats.transmitted,
            received: self.stats.received,
            duplicates: self.stats.repeats,
            errors: self.errors.clone(),
            rtt: self.rtt.clone(),
            ttl: self.ttl,
            local_error: self.local_error,
        }
    }
}
