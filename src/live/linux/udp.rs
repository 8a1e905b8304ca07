//! Steps with UDP sockets.

use super::{
    Error, Log, NetNs, Server, Session, Sock, errno_name, locked, name_of, now, options, pause, steps::Outcome,
};
use crate::{
    base::{MS, Time},
    conform::{
        case::{Secs, UdpOpen, UdpRecv, UdpSend, UdpServe},
        ops::{datagrams, endpoint, object, outcomes, shown},
    },
};
use nix::{
    libc,
    poll::PollFlags,
    sys::socket::{ControlMessageOwned, MsgFlags, SockType, SockaddrStorage, recvmsg, setsockopt, sockopt},
};
use serde_json::{Value, json};
use std::{
    io::{self, IoSliceMut},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::Scope,
};

/// Longer than any datagram.
const LONGEST: usize = 70_000;

/// How often a server looks whether it is over, in milliseconds.
const LOOK: u16 = 10;

/// A UDP socket that does not block.
pub struct Udp(UdpSocket);

/// An address as a result shows it: without the scope of a link-local one.
pub fn address(a: SocketAddr) -> String {
    SocketAddr::new(a.ip(), a.port()).to_string()
}

fn std_address(a: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = a.as_sockaddr_in().map(|a| SocketAddr::new(a.ip().into(), a.port()));
    v4.or_else(|| a.as_sockaddr_in6().map(|a| SocketAddr::new(a.ip().into(), a.port())))
}

impl Udp {
    /// Opens one.
    pub fn open(
        ns: &NetNs,
        towards: &str,
        at: Option<&str>,
        o: &crate::conform::case::SockOpts,
    ) -> Result<io::Result<Udp>, Error> {
        let socket = options::open(ns, SockType::Datagram, towards, at, o)?;
        Ok(socket.and_then(|fd| {
            let socket = UdpSocket::from(fd);
            socket.set_nonblocking(true)?;
            Ok(Udp(socket))
        }))
    }

    /// Sends a datagram.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send_to(data, to).map(|_| ())
    }

    /// All queued errors.
    fn errors(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let (mut buffer, mut control) = ([0; 2048], [0u8; 512]);
        loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let Ok(got) = recvmsg::<SockaddrStorage>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags) else {
                return all;
            };
            let to = got.address.as_ref().and_then(std_address).map(address);
            let Ok(cmsgs) = got.cmsgs() else { return all };
            all.extend(cmsgs.filter_map(|c| error(c, to.as_deref())));
        }
    }

    /// Collects datagrams and errors for `wait`, or until there are `want` of them if that is not 0.
    pub fn drain(&self, wait: Time, want: usize) -> (Vec<Value>, Vec<Value>) {
        let end = now() + wait;
        let (mut got, mut errors, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        let mut buffer = vec![0; LONGEST];
        loop {
            let left = end.saturating_sub(now());
            if left == 0 {
                break;
            }
            options::ready(&self.0, PollFlags::POLLIN, (left / MS + 1).min(50) as u16);
            match self.0.recv_from(&mut buffer) {
                Ok((n, from)) => got.push(json!({ "from": address(from), "data": shown(&buffer[..n]) })),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => plain.push(json!({ "errno": name_of(&e) })),
            }
            errors.extend(self.errors());
            if want > 0 && got.len() + errors.len() >= want {
                break;
            }
        }
        // The queue says more than the errno alone.
        (got, if errors.is_empty() { plain } else { errors })
    }
}

/// An entry of the error queue.
fn error(c: ControlMessageOwned, to: Option<&str>) -> Option<Value> {
    let (e, from) = match c {
        ControlMessageOwned::Ipv4RecvErr(e, from) => {
            let from = from.filter(|a| i32::from(a.sin_family) == libc::AF_INET);
            (e, from.map(|a| Ipv4Addr::from(u32::from_be(a.sin_addr.s_addr)).to_string()))
        }
        ControlMessageOwned::Ipv6RecvErr(e, from) => {
            let from = from.filter(|a| i32::from(a.sin6_family) == libc::AF_INET6);
            (e, from.map(|a| Ipv6Addr::from(a.sin6_addr.s6_addr).to_string()))
        }
        _ => return None,
    };
    let (origin, icmp) = match e.ee_origin {
        libc::SO_EE_ORIGIN_LOCAL => (json!("local"), false),
        libc::SO_EE_ORIGIN_ICMP => (json!("icmp"), true),
        libc::SO_EE_ORIGIN_ICMP6 => (json!("icmp6"), true),
        other => (json!(other), false),
    };
    Some(Value::Object(object([
        ("errno", Some(json!(errno_name(e.ee_errno as i32)))),
        ("origin", Some(origin)),
        ("icmp", icmp.then(|| json!(format!("{}/{}", e.ee_type, e.ee_code)))),
        ("from", from.filter(|_| icmp).map(Value::String)),
        ("info", (e.ee_info != 0).then(|| json!(e.ee_info))),
        ("to", Some(json!(to))),
    ])))
}

fn failed(e: &io::Error) -> Outcome {
    Ok(json!({ "error": name_of(e) }))
}

impl<'c> Session<'c> {
    fn udp(&self, name: &str) -> Result<Arc<Udp>, Error> {
        match locked(&self.socks).get(name) {
            Some(Sock::Udp(udp)) => Ok(udp.clone()),
            _ => Err(Error::Failed(format!("there is no UDP socket `{name}`"))),
        }
    }

    /// Opens a socket that stays open.
    pub fn udp_open(&self, ns: &NetNs, u: &UdpOpen) -> Outcome {
        let towards = u.bind.as_deref().or(u.connect.as_deref()).unwrap_or("0.0.0.0");
        let udp = match Udp::open(ns, towards, u.bind.as_deref(), &u.opts)? {
            Ok(udp) => udp,
            Err(e) => return failed(&e),
        };
        let mut result = json!({ "ok": true });
        if let Some(to) = u.connect.as_deref() {
            if let Err(e) = udp.0.connect(endpoint(to)?) {
                return failed(&e);
            }
            result["local"] = json!(udp.0.local_addr().ok().map(address));
        }
        locked(&self.socks).insert(u.sock.clone(), Sock::Udp(Arc::new(udp)));
        Ok(result)
    }

    /// Sends datagrams, from an open socket or one of its own, and waits for what comes back.
    pub fn udp_send(&self, ns: Option<&NetNs>, u: &UdpSend) -> Outcome {
        let udp = match &u.sock {
            Some(name) => self.udp(name)?,
            None => {
                let towards = u.to.as_deref().or(u.bind.as_deref()).unwrap_or("0.0.0.0");
                let ns = ns.ok_or("the step needs a `node`".to_string())?;
                match Udp::open(ns, towards, u.bind.as_deref(), &u.opts)? {
                    Ok(udp) => Arc::new(udp),
                    Err(e) => return failed(&e),
                }
            }
        };
        let to = u.to.as_deref().map(endpoint).transpose()?;
        let count = u.count.unwrap_or(1);
        let mut sent = Vec::new();
        for data in datagrams(u) {
            let result = to.map_or_else(|| udp.0.send(&data), |to| udp.0.send_to(&data, to));
            sent.push(result.map_or_else(|e| name_of(&e), |_| "ok".into()));
            pause(u.gap.unwrap_or_default().0);
        }
        let sent = outcomes(&sent);
        let (got, errors) = udp.drain(u.wait.unwrap_or(Secs::ms(400)).0, u.want.unwrap_or(count as usize));
        let some = |v: Vec<Value>| (!v.is_empty()).then_some(Value::Array(v));
        Ok(Value::Object(object([("sent", Some(sent)), ("recv", some(got)), ("errors", some(errors))])))
    }

    /// What has arrived at an open socket.
    pub fn udp_recv(&self, u: &UdpRecv) -> Outcome {
        let (got, errors) = self.udp(&u.sock)?.drain(u.wait.unwrap_or(Secs::ms(300)).0, u.want);
        let errors = (!errors.is_empty()).then_some(Value::Array(errors));
        Ok(Value::Object(object([("recv", Some(Value::Array(got))), ("errors", errors)])))
    }

    /// Starts a server that logs every datagram and, unless it is a sink, sends it back.
    pub fn udp_serve<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        ns: &NetNs,
        node: &str,
        u: &UdpServe,
    ) -> Outcome {
        let udp = match Udp::open(ns, &u.bind, Some(&u.bind), &u.opts)? {
            Ok(udp) => udp,
            Err(e) => return failed(&e),
        };
        if !u.bind.starts_with('[') && setsockopt(&udp.0, sockopt::Ipv4PacketInfo, &true).is_err() {
            return Err(Error::Failed("cannot ask for the address datagrams are sent to".into()));
        }
        let (log, closed) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let name = u.sock.clone().unwrap_or_else(|| format!("{node}/udp/{}", u.bind));
        locked(&self.servers).insert(name, Server { log: log.clone(), closed: closed.clone() });
        let echo = u.mode.as_deref().is_none_or(|m| m == "echo");
        scope.spawn(move || {
            let mut buffer = vec![0; LONGEST];
            while !self.over.load(Ordering::SeqCst) && !closed.load(Ordering::SeqCst) {
                if options::ready(&udp.0, PollFlags::POLLIN, LOOK) {
                    answer(&udp, &log, echo, &mut buffer);
                }
            }
        });
        Ok(json!({ "ok": true }))
    }
}

/// Takes a datagram and sends it back.
fn answer(udp: &Udp, log: &Mutex<Vec<serde_json::Map<String, Value>>>, echo: bool, buffer: &mut [u8]) {
    let mut control = [0u8; 256];
    let mut parts = [IoSliceMut::new(buffer)];
    let got = recvmsg::<SockaddrStorage>(udp.0.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT);
    let Ok(got) = got else {
        udp.errors();
        return;
    };
    let to = got.cmsgs().ok().and_then(|mut all| {
        all.find_map(|c| match c {
            ControlMessageOwned::Ipv4PacketInfo(i) => Some(Ipv4Addr::from(u32::from_be(i.ipi_addr.s_addr))),
            _ => None,
        })
    });
    let (Some(from), len) = (got.address.as_ref().and_then(full_address), got.bytes) else { return };
    let data = &buffer[..len];
    locked(log).push(object([
        ("from", Some(json!(address(from)))),
        ("to", Some(json!(to.map(|a| a.to_string())))),
        ("data", Some(json!(shown(data)))),
    ]));
    if echo && let Err(e) = udp.0.send_to(data, from) {
        locked(log).push(object([("reply_error", Some(json!(name_of(&e))))]));
    }
}

/// With the scope, without which a link-local address cannot be answered.
fn full_address(a: &SockaddrStorage) -> Option<SocketAddr> {
    match a.as_sockaddr_in6() {
        Some(v6) => Some(SocketAddr::V6(std::net::SocketAddrV6::new(v6.ip(), v6.port(), 0, v6.scope_id()))),
        None => std_address(a),
    }
}
