//! The client.

use super::CHUNK;
use crate::{
    app::{
        App, Context, Outcome,
        stream::{Attempt, Digest, Pattern, attempt, connect, milliseconds},
    },
    base::{Errno, SockId, Time},
    socket::SockOpt,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum TcpPayload {
    /// Nothing.
    #[default]
    Nothing,
    /// These bytes.
    Data(Vec<u8>),
    /// That many bytes that follow from a seed.
    Pattern {
        /// How many.
        bytes: u64,
        /// The seed.
        seed: u64,
    },
}

impl TcpPayload {
    fn len(&self) -> u64 {
        match self {
            TcpPayload::Nothing => 0,
            TcpPayload::Data(data) => data.len() as u64,
            TcpPayload::Pattern { bytes, .. } => *bytes,
        }
    }

    /// Fills `buf` with what comes at position `at`; returns how much.
    fn fill(&self, at: u64, buf: &mut [u8]) -> usize {
        let n = (self.len() - at).min(buf.len() as u64) as usize;
        match self {
            TcpPayload::Nothing => {}
            TcpPayload::Data(data) => buf[..n].copy_from_slice(&data[at as usize..at as usize + n]),
            TcpPayload::Pattern { seed, .. } => Pattern(*seed).fill(at, &mut buf[..n]),
        }
        n
    }
}

/// What a client does when everything was sent, and received if it expects an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TcpEnd {
    /// Closes its sending half, reads to the end and closes.
    #[default]
    Close,
    /// Resets the connection.
    Reset,
    /// Keeps it open, and goes on reading.
    Keep,
}

/// What a TCP client is asked to do.
///
/// ```
/// use netsim::app::{App, TcpClient, TcpClientConfig, TcpPayload};
/// let to = "10.0.0.2:9".parse().unwrap();
/// let config = TcpClientConfig { send: TcpPayload::Pattern { bytes: 100_000, seed: 1 }, ..TcpClientConfig::to(to) };
/// assert_eq!(TcpClient::new(config).command(), "tcp-connect 10.0.0.2:9 (sends 100000 bytes)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpClientConfig {
    /// Where to connect to.
    pub to: SocketAddr,
    /// Where to connect from; `None` lets the kernel choose.
    pub bind: Option<SocketAddr>,
    /// What to send.
    pub send: TcpPayload,
    /// Whether as much is expected back before the end.
    pub echo: bool,
    /// What to do in the end.
    pub end: TcpEnd,
    /// When to give up, in nanoseconds after the start; `None` leaves that to TCP.
    pub timeout: Option<Time>,
}

impl Default for TcpClientConfig {
    /// Connects to port 7 of the loopback address and closes.
    fn default() -> TcpClientConfig {
        TcpClientConfig {
            to: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7),
            bind: None,
            send: TcpPayload::Nothing,
            echo: false,
            end: TcpEnd::Close,
            timeout: None,
        }
    }
}

impl TcpClientConfig {
    /// Connects to `to` and closes.
    pub fn to(to: SocketAddr) -> TcpClientConfig {
        TcpClientConfig { to, ..TcpClientConfig::default() }
    }
}

/// Where the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// Sending, and reading what comes.
    Open,
    /// The sending half is closed.
    Ending,
    /// Nothing more to do, but the connection stays.
    Kept,
    Over,
}

/// A TCP client.
pub struct TcpClient {
    config: TcpClientConfig,
    phase: Phase,
    sock: Option<SockId>,
    began: Time,
    connected: bool,
    /// What is sent next, prepared: the socket often takes only a part.
    chunk: Vec<u8>,
    /// Where in `chunk` that begins.
    chunk_at: usize,
    /// A buffer to read into.
    buf: Vec<u8>,
    sent: u64,
    sent_digest: Digest,
    received: u64,
    digest: Digest,
    error: Option<Errno>,
    took: Option<Time>,
    complete: bool,
}

impl TcpClient {
    /// The program, not yet started.
    pub fn new(config: TcpClientConfig) -> TcpClient {
        TcpClient {
            config,
            phase: Phase::Connecting,
            sock: None,
            began: 0,
            connected: false,
            chunk: Vec::new(),
            chunk_at: 0,
            buf: Vec::new(),
            sent: 0,
            sent_digest: Digest::default(),
            received: 0,
            digest: Digest::default(),
            error: None,
            took: None,
            complete: false,
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, e: Errno) {
        let what = if self.connected { "connection" } else { "connect" };
        cx.print(format!("{what} to {}: {e}", self.config.to));
        self.error = Some(e);
        self.stop(cx, 1);
    }

    fn stop(&mut self, cx: &mut Context<'_>, status: i32) {
        self.phase = Phase::Over;
        self.took = Some(cx.now() - self.began);
        if self.connected {
            let took = milliseconds(cx.now() - self.began);
            cx.print(format!("{} bytes sent, {} bytes received in {took}", self.sent, self.received));
        }
        cx.exit(status);
    }

    /// Does what can be done now.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        let Some(sock) = self.sock else { return };
        if self.phase == Phase::Connecting {
            match attempt(cx, sock) {
                Attempt::Waiting => return,
                Attempt::Failed(e) => return self.fail(cx, e),
                Attempt::Connected => {
                    self.connected = true;
                    self.phase = Phase::Open;
                    if let Ok(local) = cx.kernel.local_addr(sock) {
                        cx.print(format!("connected to {} from {local}", self.config.to));
                    }
                }
            }
        }
        let progress = self.write(cx, sock).and_then(|()| self.read(cx, sock));
        match progress {
            Err(e) => self.fail(cx, e),
            Ok(ended) => self.turn(cx, sock, ended),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, sock: SockId) -> Result<(), Errno> {
        while self.phase == Phase::Open && self.sent < self.config.send.len() {
            if self.chunk_at == self.chunk.len() {
                self.chunk.resize(CHUNK, 0);
                let n = self.config.send.fill(self.sent, &mut self.chunk);
                self.chunk.truncate(n);
                self.chunk_at = 0;
            }
            let next = &self.chunk[self.chunk_at..];
            match cx.kernel.send(sock, next) {
                Ok(taken) => {
                    self.sent_digest.add(&next[..taken]);
                    self.chunk_at += taken;
                    self.sent += taken as u64;
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads what is there; `true` at the end of the stream.
    fn read(&mut self, cx: &mut Context<'_>, sock: SockId) -> Result<bool, Errno> {
        self.buf.resize(CHUNK, 0);
        loop {
            match cx.kernel.recv(sock, &mut self.buf) {
                Ok(0) => return Ok(true),
                Ok(n) => {
                    self.digest.add(&self.buf[..n]);
                    self.received += n as u64;
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    /// Goes to the next phase when this one is done.
    fn turn(&mut self, cx: &mut Context<'_>, sock: SockId, ended: bool) {
        let all_sent = self.sent == self.config.send.len();
        let all_back = !self.config.echo || self.received >= self.sent;
        if self.phase == Phase::Open && all_sent && all_back {
            match self.config.end {
                TcpEnd::Close => {
                    self.phase = Phase::Ending;
                    if let Err(e) = cx.kernel.shutdown(sock, false, true) {
                        return self.fail(cx, e);
                    }
                }
                TcpEnd::Reset => {
                    self.complete = true;
                    // What closing does to it is decided here; the loop closes sockets of programs that ended.
                    let reset = cx.kernel.set_option(sock, SockOpt::LingerZero(true));
                    return self.stop(cx, reset.is_err() as i32);
                }
                TcpEnd::Keep => {
                    self.phase = Phase::Kept;
                    self.complete = true;
                }
            }
        }
        if ended {
            self.complete = all_sent && all_back;
            self.stop(cx, !self.complete as i32);
        }
    }
}

impl App for TcpClient {
    fn command(&self) -> String {
        let sends = match self.config.send.len() {
            0 => String::new(),
            n => format!(" (sends {n} bytes)"),
        };
        format!("tcp-connect {}{sends}", self.config.to)
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        self.began = cx.now();
        match connect(cx, self.config.to, self.config.bind) {
            Ok(sock) => {
                self.sock = Some(sock);
                if let Some(timeout) = self.config.timeout {
                    cx.timer(cx.now().saturating_add(timeout), 0);
                }
            }
            Err(e) => self.fail(cx, e),
        }
    }

    fn on_timer(&mut self, _: u64, cx: &mut Context<'_>) {
        if self.phase != Phase::Kept {
            self.fail(cx, Errno::ETIMEDOUT);
        }
    }

    fn on_socket(&mut self, _: SockId, cx: &mut Context<'_>) {
        self.go_on(cx);
    }

    fn outcome(&self) -> Outcome {
        Outcome::Tcp {
            connected: self.connected,
            sent: self.sent,
            sent_digest: self.sent_digest.value(),
            received: self.received,
            error: self.error,
            took: self.took,
            complete: self.complete,
            digest: self.digest.value(),
        }
    }
}
