//! The server.

use super::CHUNK;
use crate::{
    app::{
        App, Context, Outcome, Stream,
        stream::{Digest, MAX_PEERS, listen, plain},
    },
    base::{Errno, SockId},
    socket::tcp::TcpState,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Most connections open at once; further ones wait in the accept queue.
const MAX_OPEN: usize = 4096;
/// Bytes of one connection that wait to be sent back; nothing is read beyond.
const MAX_PENDING: usize = 65_536;

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TcpServerMode {
    /// Sends everything back.
    #[default]
    Echo,
    /// Reads everything.
    Sink,
    /// Reads nothing.
    Hold,
    /// Closes at once.
    Close,
}

/// What a TCP server is asked to do.
///
/// ```
/// use netsim::app::{App, TcpServer, TcpServerConfig, TcpServerMode};
/// let bind = "0.0.0.0:9".parse().unwrap();
/// let server = TcpServer::new(TcpServerConfig { bind, mode: TcpServerMode::Sink, ..TcpServerConfig::default() });
/// assert_eq!(server.command(), "tcp-sink 0.0.0.0:9");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpServerConfig {
    /// Where to listen.
    pub bind: SocketAddr,
    /// What to do with connections.
    pub mode: TcpServerMode,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
}

impl Default for TcpServerConfig {
    /// An echo server on port 7 of every IPv4 address.
    fn default() -> TcpServerConfig {
        TcpServerConfig {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7),
            mode: TcpServerMode::Echo,
            backlog: 128,
        }
    }
}

struct Connection {
    /// Its number in the list of streams; those beyond the limit are not recorded.
    number: Option<usize>,
    digest: Digest,
    pending: Vec<u8>,
    ended: bool,
}

/// A TCP server. It prints one line per connection.
pub struct TcpServer {
    config: TcpServerConfig,
    listener: Option<SockId>,
    open: BTreeMap<SockId, Connection>,
    /// A buffer to read into.
    buf: Vec<u8>,
    served: u64,
    bytes: u64,
    streams: Vec<Stream>,
    error: Option<Errno>,
}

impl TcpServer {
    /// The program, not yet started.
    pub fn new(config: TcpServerConfig) -> TcpServer {
        TcpServer {
            config,
            listener: None,
            open: BTreeMap::new(),
            buf: Vec::new(),
            served: 0,
            bytes: 0,
            streams: Vec::new(),
            error: None,
        }
    }

    fn name(&self) -> &'static str {
        match self.config.mode {
            TcpServerMode::Echo => "tcp-echo",
            TcpServerMode::Sink => "tcp-sink",
            TcpServerMode::Hold => "tcp-hold",
            TcpServerMode::Close => "tcp-close",
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        let Some(listener) = self.listener else { return };
        while self.open.len() < MAX_OPEN {
            let Ok((sock, peer)) = cx.kernel.accept(listener) else { return };
            let peer = plain(peer);
            self.served += 1;
            let number = (self.streams.len() < MAX_PEERS).then_some(self.streams.len());
            if number.is_some() {
                self.streams.push(Stream { peer: (peer.ip(), peer.port()), bytes: 0, digest: 0, complete: false });
                cx.print(format!("connection from {peer}"));
            }
            if self.config.mode == TcpServerMode::Close {
                cx.kernel.close(sock);
                continue;
            }
            let (digest, pending) = (Digest::default(), Vec::new());
            self.open.insert(sock, Connection { number, digest, pending, ended: false });
            self.serve(sock, cx); // data may have come with the handshake
        }
    }

    /// Reads and sends back what can be.
    fn serve(&mut self, sock: SockId, cx: &mut Context<'_>) {
        if self.config.mode == TcpServerMode::Hold {
            return self.hold(sock, cx);
        }
        let Some(c) = self.open.get_mut(&sock) else { return };
        let buf = &mut self.buf;
        buf.resize(CHUNK, 0);
        let error = loop {
            if !c.pending.is_empty() {
                match cx.kernel.send(sock, &c.pending) {
                    Ok(n) => {
                        c.pending.drain(..n);
                    }
                    Err(Errno::EAGAIN) => {}
                    Err(e) => break Some(e),
                }
            }
            if c.ended || c.pending.len() >= MAX_PENDING {
                break None;
            }
            match cx.kernel.recv(sock, buf) {
                Ok(0) => c.ended = true,
                Ok(n) => {
                    c.digest.add(&buf[..n]);
                    self.bytes += n as u64;
                    if let Some(s) = c.number.map(|i| &mut self.streams[i]) {
                        s.bytes += n as u64;
                        s.digest = c.digest.value();
                    }
                    if self.config.mode == TcpServerMode::Echo {
                        c.pending.extend_from_slice(&buf[..n]);
                    }
                }
                Err(Errno::EAGAIN) => break None,
                Err(e) => break Some(e),
            }
        };
        let finished = c.ended && c.pending.is_empty();
        if finished && let Some(s) = c.number.map(|i| &mut self.streams[i]) {
            s.complete = true;
            s.digest = c.digest.value();
        }
        if error.is_some() || finished {
            self.forget(sock, cx);
        }
    }

    /// A connection nobody reads still has to go when it breaks.
    fn hold(&mut self, sock: SockId, cx: &mut Context<'_>) {
        if cx.kernel.tcp_state(sock).is_none_or(|s| s == TcpState::Closed) {
            self.forget(sock, cx);
        }
    }

    fn forget(&mut self, sock: SockId, cx: &mut Context<'_>) {
        self.open.remove(&sock);
        cx.kernel.close(sock);
    }
}

impl App for TcpServer {
    fn command(&self) -> String {
        format!("{} {}", self.name(), self.config.bind)
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        match listen(cx, self.config.bind, self.config.backlog) {
            Ok(sock) => self.listener = Some(sock),
            Err(e) => {
                self.error = Some(e);
                cx.print(format!("{}: bind {}: {e}", self.name(), self.config.bind));
                cx.exit(1);
            }
        }
    }

    fn on_timer(&mut self, _: u64, _: &mut Context<'_>) {}

    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>) {
        if self.listener != Some(sock) {
            self.serve(sock, cx);
        }
        // Also when a connection ended: there may be room for one that waits.
        self.accept(cx);
    }

    fn outcome(&self) -> Outcome {
        Outcome::Server {
            served: self.served,
            bytes: self.bytes,
            peers: self.streams.iter().map(|s| s.peer).collect(),
            error: self.error,
            last: None,
            streams: self.streams.clone(),
        }
    }
}
