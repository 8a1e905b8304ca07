//! Steps with UDP sockets. `IP_RECVERR` is on unless the step says otherwise, so ICMP errors are seen.

use super::{CALL, Outcome, datagrams, endpoint, failed, object, outcomes, shown};
use crate::{
    base::{Errno, NsId, SockId, Time},
    conform::{
        case::{Secs, UdpOpen, UdpRecv, UdpSend, UdpServe},
        exec::{Lab, Server},
    },
    socket::{Datagram, ErrorOrigin, SockKind, SocketError},
};
use serde_json::{Value, json};
use std::{cell::RefCell, rc::Rc};

/// Opens a socket that stays open.
pub fn open(lab: &Lab, ns: NsId, u: UdpOpen) -> Outcome {
    let towards = u.bind.as_deref().or(u.connect.as_deref()).unwrap_or("0.0.0.0");
    let sock = match lab.socket(ns, SockKind::Udp, towards, &u.opts)? {
        Ok(sock) => sock,
        Err(e) => return Ok(failed(e)),
    };
    let mut w = lab.world.borrow_mut();
    let bind = u.bind.as_deref().map(endpoint).transpose()?;
    let connect = u.connect.as_deref().map(endpoint).transpose()?;
    let bound = bind.map_or(Ok(()), |at| w.bind(sock, at));
    if let Err(e) = bound.and_then(|()| connect.map_or(Ok(()), |to| w.connect(sock, to))) {
        w.close(sock);
        return Ok(failed(e));
    }
    let local = connect.and_then(|_| w.local_addr(sock).ok()).map(|a| json!(a.to_string()));
    lab.socks.borrow_mut().insert(u.sock, sock);
    Ok(Value::Object(object([("ok", Some(json!(true))), ("local", local)])))
}

/// Sends datagrams, from an open socket or one of its own, and waits for what comes back.
pub async fn send(lab: &Lab, ns: Option<NsId>, u: UdpSend) -> Outcome {
    let (sock, own) = match &u.sock {
        Some(name) => (named(lab, name)?, false),
        None => {
            let towards = u.to.as_deref().or(u.bind.as_deref()).unwrap_or("0.0.0.0");
            let ns = ns.ok_or("the step needs a `node`")?;
            match one_shot(lab, ns, towards, &u)? {
                Ok(sock) => (sock, true),
                Err(e) => return Ok(failed(e)),
            }
        }
    };
    let to = u.to.as_deref().map(endpoint).transpose()?;
    let count = u.count.unwrap_or(1);
    let mut sent = Vec::new();
    for data in datagrams(&u) {
        let result = {
            let mut w = lab.world.borrow_mut();
            match to {
                Some(to) => w.send_to(sock, &data, to),
                None => w.send(sock, &data),
            }
        };
        sent.push(result.map_or_else(Errno::name, |_| "ok"));
        lab.sleep(u.gap.unwrap_or_default().0.max(if count > 1 { CALL } else { 0 })).await;
    }
    let sent = outcomes(&sent);
    let wait = u.wait.unwrap_or(Secs::ms(400));
    let (got, errors) = drain(lab, sock, wait.0, u.want.unwrap_or(count as usize)).await;
    if own {
        lab.world.borrow_mut().close(sock);
    }
    let some = |v: Vec<Value>| (!v.is_empty()).then_some(Value::Array(v));
    Ok(Value::Object(object([("sent", Some(sent)), ("recv", some(got)), ("errors", some(errors))])))
}

fn one_shot(lab: &Lab, ns: NsId, towards: &str, u: &UdpSend) -> Result<Result<SockId, Errno>, String> {
    let sock = match lab.socket(ns, SockKind::Udp, towards, &u.opts)? {
        Ok(sock) => sock,
        Err(e) => return Ok(Err(e)),
    };
    let Some(at) = &u.bind else { return Ok(Ok(sock)) };
    let mut w = lab.world.borrow_mut();
    let bound = w.bind(sock, endpoint(at)?);
    if bound.is_err() {
        w.close(sock);
    }
    Ok(bound.map(|()| sock))
}

fn named(lab: &Lab, name: &str) -> Result<SockId, String> {
    lab.socks.borrow().get(name).copied().ok_or_else(|| format!("there is no socket `{name}`"))
}

/// What has arrived at an open socket.
pub async fn recv(lab: &Lab, u: UdpRecv) -> Outcome {
    let sock = named(lab, &u.sock)?;
    let (got, errors) = drain(lab, sock, u.wait.unwrap_or(Secs::ms(300)).0, u.want).await;
    let errors = (!errors.is_empty()).then_some(Value::Array(errors));
    Ok(Value::Object(object([("recv", Some(Value::Array(got))), ("errors", errors)])))
}

/// Collects datagrams and errors for `wait`, or until there are `want` of them if that is not 0.
async fn drain(lab: &Lab, sock: SockId, wait: Time, want: usize) -> (Vec<Value>, Vec<Value>) {
    let end = lab.now() + wait;
    let (mut got, mut errors, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    while lab.now() < end {
        let Some((datagram, queued)) = lab.until(end, || take(lab, sock)).await else { break };
        match datagram {
            Ok(d) => got.push(json!({ "from": d.from.to_string(), "data": shown(&d.data) })),
            Err(Errno::EAGAIN) => {}
            Err(e) => plain.push(json!({ "errno": e.name() })),
        }
        errors.extend(queued.iter().map(error));
        if want > 0 && got.len() + errors.len() >= want {
            break;
        }
    }
    // The queue says more than the errno alone.
    (got, if errors.is_empty() { plain } else { errors })
}

/// One datagram or pending error, and all queued errors; `None` if there is nothing.
fn take(lab: &Lab, sock: SockId) -> Option<(Result<Datagram, Errno>, Vec<SocketError>)> {
    let mut w = lab.world.borrow_mut();
    let datagram = w.recv_from(sock);
    let queued: Vec<_> = std::iter::from_fn(|| w.recv_error(sock)).collect();
    (!matches!(datagram, Err(Errno::EAGAIN)) || !queued.is_empty()).then_some((datagram, queued))
}

/// An entry of the error queue.
fn error(e: &SocketError) -> Value {
    let v4 = e.dst.is_ipv4();
    let (origin, icmp) = match e.origin {
        ErrorOrigin::Local => ("local", None),
        ErrorOrigin::Icmp { kind, code } => (if v4 { "icmp" } else { "icmp6" }, Some(json!(format!("{kind}/{code}")))),
    };
    Value::Object(object([
        ("errno", Some(json!(e.errno.name()))),
        ("origin", Some(json!(origin))),
        ("from", e.offender.filter(|_| icmp.is_some()).map(|a| json!(a.to_string()))),
        ("icmp", icmp),
        ("info", (e.info != 0).then(|| json!(e.info))),
        ("to", Some(json!(e.dst.to_string()))),
    ]))
}

/// Starts a server that logs every datagram and, unless it is a sink, sends it back.
pub fn serve(lab: &Rc<Lab>, ns: NsId, node: &str, u: UdpServe) -> Outcome {
    let sock = match lab.socket(ns, SockKind::Udp, &u.bind, &u.opts)? {
        Ok(sock) => sock,
        Err(e) => return Ok(failed(e)),
    };
    let at = endpoint(&u.bind)?;
    let bound = lab.world.borrow_mut().bind(sock, at);
    if let Err(e) = bound {
        lab.world.borrow_mut().close(sock);
        return Ok(failed(e));
    }
    let name = u.sock.unwrap_or_else(|| format!("{node}/udp/{}", u.bind));
    let log = Rc::new(RefCell::new(Vec::new()));
    lab.servers.borrow_mut().insert(name, Server { sock, log: log.clone() });
    let (lab2, echo) = (lab.clone(), u.mode.as_deref().is_none_or(|m| m == "echo"));
    lab.spawn(Box::pin(async move {
        loop {
            let d = match lab2.event(|| take(&lab2, sock)).await.0 {
                Ok(d) => d,
                Err(Errno::EBADF) => return,
                Err(_) => continue,
            };
            let to = if at.is_ipv4() { json!(d.to.ip().to_string()) } else { Value::Null };
            log.borrow_mut().push(object([
                ("from", Some(json!(d.from.to_string()))),
                ("to", Some(to)),
                ("data", Some(json!(shown(&d.data)))),
            ]));
            if echo && let Err(e) = lab2.world.borrow_mut().send_to(sock, &d.data, d.from) {
                log.borrow_mut().push(object([("reply_error", Some(json!(e.name())))]));
            }
        }
    }));
    Ok(json!({ "ok": true }))
}
