//! Steps with TCP sockets.

use super::{Error, Log, NetNs, Server, Session, Sock, locked, name_of, options, steps::Outcome, udp::address};
use crate::conform::{
    case::{Secs, SockOpts, TcpConnect, TcpServe, TcpXfer},
    ops::{endpoint, object, payload, shown},
};
use nix::{
    libc,
    poll::PollFlags,
    sys::socket::{Backlog, SockType, SockaddrStorage, connect, getsockopt, listen, setsockopt, sockopt},
};
use serde_json::{Map, Value, json};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::Scope,
    time::Duration,
};

/// Most bytes taken from a socket at once.
const CHUNK: usize = 65_536;

/// How often a server looks whether it is over, in milliseconds.
const LOOK: u16 = 10;

/// How long a server waits for a peer that takes nothing.
const STUCK: Duration = Duration::from_secs(2);

/// Makes the end of a connection a reset.
pub fn reset_on_close(stream: &TcpStream) {
    // Whatever is wrong with the socket, it is closed all the same.
    let _ = setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
}

/// Sends `data` and reads until as much has come back or the stream ends.
fn echo(stream: &mut TcpStream, data: &[u8], timeout: Secs) -> io::Result<Vec<u8>> {
    let timeout = Some(Duration::from_nanos(timeout.0.max(1)));
    stream.set_write_timeout(timeout)?;
    stream.set_read_timeout(timeout)?;
    stream.write_all(data)?;
    let (mut got, mut buffer) = (Vec::new(), vec![0; CHUNK]);
    while got.len() < data.len() {
        match stream.read(&mut buffer)? {
            0 => break,
            n => got.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(got)
}

fn reply(result: io::Result<Vec<u8>>) -> String {
    match result {
        Ok(data) => shown(&data),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) && is_timeout(&e) => {
            "timeout".into()
        }
        Err(e) => name_of(&e),
    }
}

/// A wait of ours that was over, not the kernel's that gave up.
fn is_timeout(e: &io::Error) -> bool {
    e.raw_os_error() != Some(libc::ETIMEDOUT)
}

/// Connects; an inner error says why not.
fn attempt(fd: &OwnedFd, to: SocketAddr, timeout: Secs) -> Result<(), String> {
    let name = |e: nix::Error| name_of(&io::Error::from(e));
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(nix::Error::EINPROGRESS) => {}
        Err(e) => return Err(name(e)),
    }
    let ms = u16::try_from(timeout.0 / 1_000_000).unwrap_or(u16::MAX);
    if !options::ready(fd, PollFlags::POLLOUT, ms) {
        return Err("timeout".into());
    }
    match getsockopt(fd, sockopt::SocketError) {
        Ok(0) => Ok(()),
        Ok(e) => Err(name(nix::Error::from_raw(e))),
        Err(e) => Err(name(e)),
    }
}

/// Connects a socket; afterwards it blocks.
fn join(fd: OwnedFd, to: SocketAddr, timeout: Secs) -> Result<TcpStream, String> {
    let stream = TcpStream::from(fd);
    stream.set_nonblocking(true).map_err(|e| name_of(&e))?;
    let fd = OwnedFd::from(stream);
    attempt(&fd, to, timeout)?;
    let stream = TcpStream::from(fd);
    stream.set_nonblocking(false).map_err(|e| name_of(&e))?;
    Ok(stream)
}

/// A connection; an inner error is the errno, or `timeout`.
pub fn connect_to(
    ns: &NetNs,
    to: &str,
    at: Option<&str>,
    opts: &SockOpts,
    timeout: Secs,
) -> Result<Result<TcpStream, String>, Error> {
    let fd = options::open(ns, SockType::Stream, to, at, opts)?;
    let to = endpoint(to)?;
    Ok(fd.map_err(|e| name_of(&e)).and_then(|fd| join(fd, to, timeout)))
}

/// A listener that does not block.
pub fn listener(ns: &NetNs, bind: &str, opts: &SockOpts) -> Result<io::Result<TcpListener>, Error> {
    Ok(options::open(ns, SockType::Stream, bind, Some(bind), opts)?.and_then(|fd| {
        listen(&fd, Backlog::new(16)?)?;
        let listener = TcpListener::from(fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }))
}

impl<'c> Session<'c> {
    /// Connects; with data, expects it back; then closes unless it is kept.
    pub fn tcp_connect(&self, ns: &NetNs, t: &TcpConnect) -> Outcome {
        let timeout = t.timeout.unwrap_or(Secs::ms(1500));
        let fd = match options::open(ns, SockType::Stream, &t.to, t.bind.as_deref(), &t.opts)? {
            Ok(fd) => fd,
            Err(e) => return Ok(json!({ "error": name_of(&e) })),
        };
        let mut stream = match join(fd, endpoint(&t.to)?, timeout) {
            Ok(stream) => stream,
            Err(why) => return Ok(json!({ "connect": why })),
        };
        let name = |a: io::Result<SocketAddr>| a.ok().map(|a| json!(address(a)));
        let ends = [("local", name(stream.local_addr())), ("peer", name(stream.peer_addr()))];
        let [local, peer] = ends;
        let mut r = object([("connect", Some(json!("ok"))), local, peer]);
        if t.data.is_some() || t.size.is_some() {
            let data = payload(t.data.as_deref(), t.size);
            r.insert("reply".into(), json!(reply(echo(&mut stream, &data, timeout))));
        }
        if t.keep {
            let name = t.sock.clone().unwrap_or_else(|| "tcp".into());
            locked(&self.socks).insert(name, Sock::Tcp(stream));
        } else if t.rst {
            reset_on_close(&stream);
        }
        Ok(Value::Object(r))
    }

    /// An exchange on a connection that was kept.
    pub fn tcp_xfer(&self, t: &TcpXfer) -> Outcome {
        let stream = match locked(&self.socks).get(&t.sock) {
            Some(Sock::Tcp(stream)) => stream.try_clone().ok(),
            _ => None,
        };
        let mut stream = stream.ok_or_else(|| Error::Failed(format!("there is no connection `{}`", t.sock)))?;
        let data = payload(t.data.as_deref(), t.size);
        let result = echo(&mut stream, &data, t.timeout.unwrap_or(Secs::ms(1000)));
        let text = match &result {
            Ok(got) if got.len() < data.len() => "eof".into(),
            _ => reply(result),
        };
        Ok(json!({ "reply": text }))
    }

    /// Starts a server: it sends back what comes and closes when the peer does, closes at once, or only holds.
    pub fn tcp_serve<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        ns: &NetNs,
        node: &str,
        t: &TcpServe,
    ) -> Outcome {
        let opened = listener(ns, &t.bind, &t.opts)?;
        let listener = match opened {
            Ok(listener) => listener,
            Err(e) => return Ok(json!({ "error": name_of(&e) })),
        };
        let (log, closed) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let name = t.sock.clone().unwrap_or_else(|| format!("{node}/tcp/{}", t.bind));
        locked(&self.servers).insert(name, Server { log: log.clone(), closed: closed.clone() });
        let mode = t.mode.clone().unwrap_or_else(|| "echo".into());
        scope.spawn(move || {
            while !self.over.load(Ordering::SeqCst) && !closed.load(Ordering::SeqCst) {
                if !options::ready(&listener, PollFlags::POLLIN, LOOK) {
                    continue;
                }
                let Ok((stream, peer)) = listener.accept() else { continue };
                // A peer that reads nothing must not hold up the end of the run.
                let _ = stream.set_write_timeout(Some(STUCK));
                let local = stream.local_addr().ok().map(|a| json!(address(a)));
                let at = {
                    let mut log = locked(&log);
                    log.push(object([("from", Some(json!(address(peer)))), ("to", local)]));
                    log.len() - 1
                };
                let (log, mode) = (log.clone(), mode.clone());
                scope.spawn(move || self.converse(stream, &mode, &log, at));
            }
        });
        Ok(json!({ "ok": true }))
    }

    /// One connection of a server, whose entry in the log is `log[at]`.
    fn converse(&self, mut stream: TcpStream, mode: &str, log: &Log, at: usize) {
        if mode == "close" {
            return;
        }
        let note = |key: &str, value: Value| {
            let mut log = locked(log);
            let entry: &mut Map<String, Value> = &mut log[at];
            entry.insert(key.into(), value);
        };
        let (mut total, mut buffer) = (0, vec![0; CHUNK]);
        while !self.over.load(Ordering::SeqCst) {
            if !options::ready(&stream, PollFlags::POLLIN, LOOK) {
                continue;
            }
            match stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    total += n;
                    let first = !locked(log)[at].contains_key("data");
                    match n <= 64 && first {
                        true => note("data", json!(shown(&buffer[..n]))),
                        false => note("bytes", json!(total)),
                    }
                    if mode == "echo"
                        && let Err(e) = stream.write_all(&buffer[..n])
                    {
                        return note("error", json!(name_of(&e)));
                    }
                }
                Err(e) => return note("error", json!(name_of(&e))),
            }
        }
    }
}
