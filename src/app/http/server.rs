//! The server.

use super::{
    CHUNK,
    message::{Request, answer, request, response},
};
use crate::{
    app::{
        App, Context, Outcome, Stream,
        stream::{MAX_PEERS, listen, plain},
    },
    base::{Errno, SockId},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Most connections open at once; further ones wait in the accept queue.
const MAX_OPEN: usize = 1024;
/// Connections that may wait to be accepted.
const BACKLOG: usize = 128;

/// What an HTTP server is asked to do.
///
/// ```
/// use netsim::app::{App, HttpServer, HttpServerConfig};
/// assert_eq!(HttpServer::new(HttpServerConfig::default()).command(), "http-server 0.0.0.0:80");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpServerConfig {
    /// Where to listen.
    pub bind: SocketAddr,
    /// The first line of the page at `/`; the second says who is asking, as the server sees it.
    pub text: String,
}

impl Default for HttpServerConfig {
    /// Port 80 of every IPv4 address.
    fn default() -> HttpServerConfig {
        HttpServerConfig {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80),
            text: "Hello from a simulated server.".into(),
        }
    }
}

struct Connection {
    peer: SocketAddr,
    /// What has arrived of the request.
    request: Vec<u8>,
    /// What is left to send of the response; `None` before the request is complete.
    response: Option<Vec<u8>>,
    /// The peer has ended its half, and this end its own.
    ended: bool,
    closing: bool,
}

/// An HTTP server: `GET /` answers with a text and with the address the request came from, which behind a NAT router is
/// not the client's own. It prints one line per request.
pub struct HttpServer {
    config: HttpServerConfig,
    listener: Option<SockId>,
    open: BTreeMap<SockId, Connection>,
    served: u64,
    bytes: u64,
    streams: Vec<Stream>,
    error: Option<Errno>,
}

impl HttpServer {
    /// The program, not yet started.
    pub fn new(config: HttpServerConfig) -> HttpServer {
        HttpServer {
            config,
            listener: None,
            open: BTreeMap::new(),
            served: 0,
            bytes: 0,
            streams: Vec::new(),
            error: None,
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        let Some(listener) = self.listener else { return };
        while self.open.len() < MAX_OPEN {
            let Ok((sock, peer)) = cx.kernel.accept(listener) else { return };
            let connection =
                Connection { peer: plain(peer), request: Vec::new(), response: None, ended: false, closing: false };
            self.open.insert(sock, connection);
            self.serve(sock, cx);
        }
    }

    fn serve(&mut self, sock: SockId, cx: &mut Context<'_>) {
        match self.step(sock, cx) {
            Ok(false) => {}
            Ok(true) | Err(_) => {
                self.open.remove(&sock);
                cx.kernel.close(sock);
            }
        }
    }

    /// Reads the request, then writes the response; `true` when the connection may be closed.
    fn step(&mut self, sock: SockId, cx: &mut Context<'_>) -> Result<bool, Errno> {
        let Some(c) = self.open.get_mut(&sock) else { return Ok(true) };
        let mut buf = [0; CHUNK];
        loop {
            match cx.kernel.recv(sock, &mut buf) {
                Ok(0) if c.response.is_none() || c.closing => return Ok(true),
                Ok(0) => {
                    c.ended = true;
                    break;
                }
                Err(Errno::EAGAIN) => break,
                // Nothing more is wanted from this peer; it is read so that closing does not reset the connection.
                Ok(_) if c.response.is_some() => {}
                Ok(n) => {
                    self.bytes += n as u64;
                    c.request.extend_from_slice(&buf[..n]);
                    let (status, body, line) = match request(&c.request) {
                        Request::Partial => continue,
                        Request::Whole { method, target } => {
                            let (status, body) = answer(&self.config.text, c.peer, &method, &target);
                            (status, body, format!("\"{method} {target}\""))
                        }
                        Request::Malformed => (400, String::new(), "\"-\"".into()),
                        Request::TooLarge => (431, String::new(), "\"-\"".into()),
                    };
                    c.request = Vec::new();
                    c.response = Some(response(status, &body));
                    self.served += 1;
                    if self.streams.len() < MAX_PEERS {
                        let peer = (c.peer.ip(), c.peer.port());
                        self.streams.push(Stream { peer, bytes: n as u64, digest: 0, complete: status == 200 });
                        cx.print(format!("{} {line} {status}", c.peer));
                    }
                }
                Err(e) => return Err(e),
            }
        }
        let Some(rest) = &mut c.response else { return Ok(false) };
        while !rest.is_empty() {
            match cx.kernel.send(sock, rest) {
                Ok(n) => {
                    rest.drain(..n);
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        if !c.closing {
            c.closing = true;
            cx.kernel.shutdown(sock, false, true)?;
        }
        Ok(c.ended)
    }
}

impl App for HttpServer {
    fn command(&self) -> String {
        format!("http-server {}", self.config.bind)
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        match listen(cx, self.config.bind, BACKLOG) {
            Ok(sock) => self.listener = Some(sock),
            Err(e) => {
                self.error = Some(e);
                cx.print(format!("http-server: bind {}: {e}", self.config.bind));
                cx.exit(1);
            }
        }
    }

    fn on_timer(&mut self, _: u64, _: &mut Context<'_>) {}

    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>) {
        if self.listener != Some(sock) {
            self.serve(sock, cx);
        }
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
