//! The servers and programs of a scenario, with real sockets.

use super::{Error, NetNs, Session, locked, name_of, now, options, pause, steps::Outcome};
use crate::{
    app::http::message::{Request, answer, end_of_header, get, request, response, status},
    base::Time,
    conform::case::{Secs, SockOpts, TcpServe, UdpServe},
    live::translate::{Deed, Job, Service, ServiceKind},
};
use nix::{libc, poll::PollFlags};
use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::atomic::Ordering,
    thread::Scope,
    time::Duration,
};

/// How long a program waits that was given no limit.
const PATIENCE: Time = 120_000_000_000;

/// Bytes of a bulk transfer that are handed over at once.
const CHUNK: usize = 65_536;

/// How often a server looks whether it is over, in milliseconds.
const LOOK: u16 = 10;

impl<'c> Session<'c> {
    /// Starts a server.
    pub fn serve<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        service: &'env Service,
    ) -> Result<(), Error> {
        let ns = self.node(&service.node)?;
        let (bind, opts) = (service.at.to_string(), SockOpts::default());
        let udp = |mode: &str| UdpServe { bind: bind.clone(), sock: None, mode: Some(mode.into()), opts: opts.clone() };
        let tcp = |mode: &str| TcpServe { bind: bind.clone(), sock: None, mode: Some(mode.into()), opts: opts.clone() };
        let started = match &service.kind {
            ServiceKind::UdpEcho => self.udp_serve(scope, ns, &service.node, &udp("echo"))?,
            ServiceKind::UdpSink => self.udp_serve(scope, ns, &service.node, &udp("sink"))?,
            ServiceKind::TcpEcho => self.tcp_serve(scope, ns, &service.node, &tcp("echo"))?,
            ServiceKind::TcpSink => self.tcp_serve(scope, ns, &service.node, &tcp("sink"))?,
            ServiceKind::Http(text) => match self.listen(ns, &bind)? {
                Ok(listener) => {
                    scope.spawn(move || self.http(scope, listener, text));
                    json!({ "ok": true })
                }
                Err(e) => json!({ "error": name_of(&e) }),
            },
        };
        match started.get("error") {
            Some(e) => Err(Error::Failed(format!("{}: the server at {bind}: {e}", service.node))),
            None => Ok(()),
        }
    }

    /// Answers clients until the run is over.
    fn http<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>, listener: TcpListener, text: &'env str) {
        while !self.over.load(Ordering::SeqCst) {
            if options::ready(&listener, PollFlags::POLLIN, LOOK)
                && let Ok((stream, peer)) = listener.accept()
            {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                // A client that goes away is no trouble of the server's.
                scope.spawn(move || drop(converse(stream, peer, text)));
            }
        }
    }

    /// Carries out a job and says what came of it, in the form netsim's side gives it.
    pub fn job(&self, job: &Job) -> Outcome {
        let ns = || self.node(&job.node);
        match &job.deed {
            Deed::Ping(p) => super::tools::ping(ns()?, p),
            Deed::Traceroute(t) => super::tools::traceroute(ns()?, t),
            Deed::Http { to, path, timeout } => http_get(ns()?, *to, path, *timeout),
            Deed::Tcp { to, bytes, timeout } => tcp(ns()?, *to, *bytes, timeout.unwrap_or(PATIENCE)),
            Deed::Udp { .. } => self.datagrams(ns()?, &job.deed),
            Deed::Command(line) => {
                let done = ns()?.program("timeout", &["60", "sh", "-c", line], "")?;
                let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
                let lines: Vec<String> = text.lines().map(String::from).collect();
                Ok(crate::live::verify::command(done.status.code().unwrap_or(-1), &lines))
            }
            Deed::Cat(path) => {
                // `/proc/net` is a link that leads to the process, not to the thread.
                let own = path.replacen("/proc/net/", "/proc/thread-self/net/", 1);
                let text = ns()?.inside(|| std::fs::read_to_string(own).unwrap_or_default())?;
                Ok(crate::live::verify::file(path, &text))
            }
            Deed::Netem { dev, set } => {
                let words = crate::live::words::qdisc("replace", dev, set.as_ref());
                let words: Vec<&str> = words.split_whitespace().collect();
                ns()?.program("tc", &words, "")?;
                Ok(Value::Null)
            }
            Deed::Nothing => Ok(Value::Null),
        }
    }

    /// Sends datagrams and counts what comes back.
    fn datagrams(&self, ns: &NetNs, deed: &Deed) -> Outcome {
        let Deed::Udp { to, port, data, count, interval, wait, errors, broadcast } = deed else {
            return Ok(Value::Null);
        };
        let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
        let at = port.map(|p| format!("{any}:{p}"));
        let opts = SockOpts { recverr: Some(*errors), broadcast: *broadcast, ..SockOpts::default() };
        let udp = match super::udp::Udp::open(ns, &to.to_string(), at.as_deref(), &opts)? {
            Ok(udp) => udp,
            Err(e) => return Ok(json!({ "sent": 0, "received": 0, "bytes": 0, "errors": [name_of(&e)] })),
        };
        let (mut sent, mut received, mut bytes, mut failed) = (0u64, 0u64, 0u64, Vec::<String>::new());
        for i in 0..*count {
            let before = failed.len();
            let result = udp.send_to(data, *to);
            let last = i + 1 == *count;
            let want = if last { (*count as usize).saturating_sub(received as usize + failed.len()) } else { 0 };
            match result {
                Ok(()) => sent += 1,
                Err(e) => failed.push(name_of(&e)),
            }
            let span = if last { *wait } else { *interval };
            let (got, errors) = udp.drain(span, if *broadcast { 0 } else { want });
            received += got.len() as u64;
            bytes += got.iter().map(|g| length(&g["data"])).sum::<u64>();
            if failed.len() > before && !errors.is_empty() {
                failed.pop();
            }
            failed.extend(errors.iter().filter_map(|e| e["errno"].as_str().map(String::from)));
        }
        Ok(json!({ "sent": sent, "received": received, "bytes": bytes, "errors": failed }))
    }

    fn listen(&self, ns: &NetNs, bind: &str) -> Result<io::Result<TcpListener>, Error> {
        super::tcp::listener(ns, bind, &SockOpts::default())
    }
}

/// The length of data as a result shows it.
fn length(shown: &Value) -> u64 {
    let text = shown.as_str().unwrap_or_default();
    let long = text.strip_prefix("len=").and_then(|n| n.parse().ok()).filter(|n| *n > 64);
    long.unwrap_or(text.chars().count() as u64)
}

fn limit(stream: &TcpStream, timeout: Time) -> io::Result<()> {
    let timeout = Some(Duration::from_nanos(timeout.max(1)));
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)
}

/// One client of the HTTP server: its request is answered, then its end awaited.
fn converse(mut stream: TcpStream, peer: SocketAddr, text: &str) -> io::Result<()> {
    limit(&stream, 10_000_000_000)?;
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    let (code, body) = loop {
        match request(&asked) {
            Request::Partial => match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => asked.extend_from_slice(&buffer[..n]),
            },
            Request::Whole { method, target } => break answer(text, peer, &method, &target),
            Request::Malformed => break (400, String::new()),
            Request::TooLarge => break (431, String::new()),
        }
    };
    stream.write_all(&response(code, &body))?;
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The name of an error; running out of time is `ETIMEDOUT`, whoever gave up.
fn error(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::EAGAIN) => "ETIMEDOUT".into(),
        _ => name_of(e),
    }
}

fn connect(ns: &NetNs, to: SocketAddr, timeout: Time) -> Result<Result<TcpStream, String>, Error> {
    let stream = super::tcp::connect_to(ns, &to.to_string(), None, &SockOpts::default(), Secs(timeout))?;
    Ok(stream.map_err(|why| if why == "timeout" { "ETIMEDOUT".into() } else { why }))
}

/// Gets a page.
fn http_get(ns: &NetNs, to: SocketAddr, path: &str, timeout: Time) -> Outcome {
    let failed = |error: String| json!({ "status": null, "bytes": 0, "error": error });
    let mut stream = match connect(ns, to, timeout)? {
        Ok(stream) => stream,
        Err(why) => return Ok(failed(why)),
    };
    let host = if to.port() == 80 { to.to_string().trim_end_matches(":80").into() } else { to.to_string() };
    let mut all = Vec::new();
    let talk = limit(&stream, timeout).and_then(|()| stream.write_all(&get(path, &host)));
    if let Err(e) = talk.and_then(|()| stream.read_to_end(&mut all)) {
        return Ok(failed(error(&e)));
    }
    let Some((end, (_, code, _))) = end_of_header(&all).and_then(|end| Some((end, status(&all[..end])?))) else {
        return Ok(failed("EPROTO".into()));
    };
    Ok(json!({ "status": code, "bytes": all.len() - end, "error": null }))
}

/// Sends bytes over a connection, ends it and waits for the other end.
fn tcp(ns: &NetNs, to: SocketAddr, bytes: u64, timeout: Time) -> Outcome {
    let told = |connected: bool, sent: u64, received: u64, error: Option<String>| {
        let complete = error.is_none();
        Ok(json!({ "connected": connected, "sent": sent, "received": received, "error": error, "complete": complete }))
    };
    let mut stream = match connect(ns, to, timeout)? {
        Ok(stream) => stream,
        Err(why) => return told(false, 0, 0, Some(why)),
    };
    let (mut sent, mut received, data) = (0, 0, vec![b'x'; CHUNK]);
    let begun = now();
    let mut talk = || -> io::Result<()> {
        limit(&stream, timeout)?;
        while sent < bytes {
            sent += stream.write(&data[..(bytes - sent).min(CHUNK as u64) as usize])? as u64;
        }
        stream.shutdown(Shutdown::Write)?;
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => received += n as u64,
            }
            if now() - begun > timeout {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
        }
    };
    let failed = talk().err().map(|e| error(&e));
    told(true, sent, received, failed)
}

/// Waits until a time of the machine's clock.
pub fn wait_until(at: Time) {
    pause(at.saturating_sub(now()));
}

/// What the servers of a session logged is not compared: their packets are.
pub fn forget(session: &Session<'_>) {
    locked(&session.servers).clear();
}
