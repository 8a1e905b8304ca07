//! The client.

use super::{
    CHUNK,
    message::{MAX_HEADER, end_of_header, get, status},
};
use crate::{
    app::{
        App, Context, Outcome,
        stream::{Attempt, attempt, connect},
    },
    base::{Errno, SockId, Time},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Bytes of a body that are kept to be printed; the rest is only counted.
const MAX_BODY: usize = 65_536;

/// What an HTTP client is asked to do.
///
/// ```
/// use netsim::app::{App, HttpGet, HttpGetConfig};
/// let config = HttpGetConfig { host: Some("web".into()), ..HttpGetConfig::to("198.51.100.20:80".parse().unwrap()) };
/// assert_eq!(HttpGet::new(config).command(), "http-get http://web/");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGetConfig {
    /// The server.
    pub to: SocketAddr,
    /// The server's name, if it was given by one.
    pub host: Option<String>,
    /// The path to ask for, with its leading slash.
    pub path: String,
    /// Where to connect from; `None` lets the kernel choose.
    pub bind: Option<SocketAddr>,
    /// When to give up, in nanoseconds after the start; `None` leaves that to TCP.
    pub timeout: Option<Time>,
}

impl Default for HttpGetConfig {
    /// `http://127.0.0.1/`
    fn default() -> HttpGetConfig {
        HttpGetConfig {
            to: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
            host: None,
            path: "/".into(),
            bind: None,
            timeout: None,
        }
    }
}

impl HttpGetConfig {
    /// The page at `/` of `to`.
    pub fn to(to: SocketAddr) -> HttpGetConfig {
        HttpGetConfig { to, ..HttpGetConfig::default() }
    }

    fn host(&self) -> String {
        let name = self.host.clone().unwrap_or_else(|| match self.to.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        if self.to.port() == 80 { name } else { format!("{name}:{}", self.to.port()) }
    }
}

/// An HTTP client. It prints the status line and the body.
pub struct HttpGet {
    config: HttpGetConfig,
    sock: Option<SockId>,
    began: Time,
    /// What is left to send of the request, once connected.
    request: Option<Vec<u8>>,
    /// The header as far as it has arrived, then empty.
    header: Vec<u8>,
    body: Vec<u8>,
    bytes: u64,
    expected: Option<u64>,
    status: Option<u16>,
    error: Option<Errno>,
    took: Option<Time>,
    over: bool,
}

impl HttpGet {
    /// The program, not yet started.
    pub fn new(config: HttpGetConfig) -> HttpGet {
        HttpGet {
            config,
            sock: None,
            began: 0,
            request: None,
            header: Vec::new(),
            body: Vec::new(),
            bytes: 0,
            expected: None,
            status: None,
            error: None,
            took: None,
            over: false,
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, e: Errno) {
        let what = if self.request.is_some() { "connection" } else { "connect" };
        cx.print(format!("http-get: {what} to {}: {e}", self.config.to));
        self.error = Some(e);
        self.stop(cx, 1);
    }

    fn stop(&mut self, cx: &mut Context<'_>, exit: i32) {
        self.over = true;
        self.took = Some(cx.now() - self.began);
        cx.exit(exit);
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let Some(sock) = self.sock else { return Ok(()) };
        if self.request.is_none() {
            match attempt(cx, sock) {
                Attempt::Waiting => return Ok(()),
                Attempt::Failed(e) => return Err(e),
                Attempt::Connected => {
                    let (path, host) = (&self.config.path, self.config.host());
                    self.request = Some(get(path, &host));
                }
            }
        }
        if let Some(rest) = self.request.as_mut().filter(|r| !r.is_empty()) {
            match cx.kernel.send(sock, rest) {
                Ok(n) => {
                    rest.drain(..n);
                }
                Err(Errno::EAGAIN) => {}
                Err(e) => return Err(e),
            }
        }
        let mut buf = [0; CHUNK];
        loop {
            match cx.kernel.recv(sock, &mut buf) {
                Ok(0) => return self.end(cx),
                Ok(n) => self.take(cx, &buf[..n])?,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    /// Takes bytes of the response. Anything that is not HTTP is `EPROTO`.
    fn take(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Result<(), Errno> {
        if self.status.is_some() {
            return self.take_body(data);
        }
        self.header.extend_from_slice(data);
        match end_of_header(&self.header) {
            None if self.header.len() > MAX_HEADER => Err(Errno::EPROTO),
            None => Ok(()),
            Some(end) => {
                let header = std::mem::take(&mut self.header);
                let (line, code, length) = status(&header[..end]).ok_or(Errno::EPROTO)?;
                cx.print(line);
                (self.status, self.expected) = (Some(code), length);
                self.take_body(&header[end..])
            }
        }
    }

    fn take_body(&mut self, data: &[u8]) -> Result<(), Errno> {
        self.bytes += data.len() as u64;
        let room = MAX_BODY - self.body.len();
        self.body.extend_from_slice(&data[..data.len().min(room)]);
        Ok(())
    }

    /// The server closed the connection.
    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let code = self.status.ok_or(Errno::EPROTO)?;
        let body = String::from_utf8_lossy(&self.body).into_owned();
        body.lines().for_each(|line| cx.print(line));
        let whole = self.expected.is_none_or(|n| n == self.bytes);
        if !whole {
            cx.print("http-get: the response was cut off");
        }
        self.stop(cx, !(whole && code < 400) as i32);
        Ok(())
    }
}

impl App for HttpGet {
    fn command(&self) -> String {
        format!("http-get http://{}{}", self.config.host(), self.config.path)
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
        self.fail(cx, Errno::ETIMEDOUT);
    }

    fn on_socket(&mut self, _: SockId, cx: &mut Context<'_>) {
        if !self.over
            && let Err(e) = self.go_on(cx)
        {
            self.fail(cx, e);
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome::Http { status: self.status, bytes: self.bytes, error: self.error, took: self.took }
    }
}
