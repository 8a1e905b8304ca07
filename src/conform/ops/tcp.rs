//! Steps with TCP sockets.

use super::{CALL, Outcome, endpoint, failed, object, payload, shown, shut};
use crate::{
    base::{Errno, NsId, SockId, Time},
    conform::{
        case::{Secs, TcpConnect, TcpServe, TcpXfer},
        exec::{Lab, Server},
    },
    socket::SockKind,
};
use serde_json::{Map, Value, json};
use std::{cell::RefCell, net::SocketAddr, rc::Rc};

/// Most bytes taken from a socket at once.
const CHUNK: usize = 65_536;

/// Takes what has arrived; an empty result is the end of the stream.
fn take(lab: &Lab, sock: SockId) -> Option<Result<Vec<u8>, Errno>> {
    let mut buf = vec![0; CHUNK];
    match lab.world.borrow_mut().recv(sock, &mut buf) {
        Err(Errno::EAGAIN) => None,
        result => Some(result.map(|n| {
            buf.truncate(n);
            buf
        })),
    }
}

/// Sends everything, as `sendall` does: waits for room, and gives up at `deadline`.
async fn send_all(lab: &Lab, sock: SockId, mut data: &[u8], deadline: Time) -> Result<(), Option<Errno>> {
    while !data.is_empty() {
        let part = data;
        let n = lab.until(deadline, || match lab.world.borrow_mut().send(sock, part) {
            Err(Errno::EAGAIN) => None,
            result => Some(result),
        });
        data = &data[n.await.ok_or(None)?.map_err(Some)?..];
    }
    Ok(())
}

/// Sends `data` and reads until as much has come back or the stream ends; `None` is a timeout.
async fn echo(lab: &Lab, sock: SockId, data: &[u8], timeout: Time) -> Result<Vec<u8>, Option<Errno>> {
    send_all(lab, sock, data, lab.now() + timeout).await?;
    let mut got = Vec::new();
    while got.len() < data.len() {
        let part = lab.until(lab.now() + timeout, || take(lab, sock)).await.ok_or(None)?.map_err(Some)?;
        if part.is_empty() {
            break;
        }
        got.extend(part);
    }
    Ok(got)
}

fn reply(result: Result<Vec<u8>, Option<Errno>>) -> String {
    match result {
        Ok(data) => shown(&data),
        Err(None) => "timeout".into(),
        Err(Some(e)) => e.name().into(),
    }
}

/// Connects; with data, expects it back; then closes unless it is kept.
pub async fn connect(lab: &Lab, ns: NsId, t: TcpConnect) -> Outcome {
    let sock = match lab.socket(ns, SockKind::Tcp, &t.to, &t.opts)? {
        Ok(sock) => sock,
        Err(e) => return Ok(failed(e)),
    };
    let to = endpoint(&t.to)?;
    if let Some(at) = &t.bind {
        let bound = lab.world.borrow_mut().bind(sock, endpoint(at)?);
        if let Err(e) = bound {
            lab.world.borrow_mut().close(sock);
            return Ok(failed(e));
        }
    }
    let timeout = t.timeout.unwrap_or(Secs::ms(1500)).0;
    let attempt = lab.world.borrow_mut().connect(sock, to);
    let outcome = match attempt {
        Ok(()) => Ok(()),
        Err(Errno::EINPROGRESS) => {
            let settled = || {
                let mut w = lab.world.borrow_mut();
                let ready = w.poll(sock);
                (ready.writable || ready.error).then(|| w.take_error(sock))
            };
            match lab.until(lab.now() + timeout, settled).await {
                None => Err("timeout"),
                Some(Some(e)) => Err(e.name()),
                Some(None) => Ok(()),
            }
        }
        Err(e) => Err(e.name()),
    };
    if let Err(why) = outcome {
        lab.world.borrow_mut().close(sock);
        return Ok(json!({ "connect": why }));
    }
    let name = |a: Result<SocketAddr, Errno>| a.ok().map(|a| json!(a.to_string()));
    let (local, peer) = {
        let w = lab.world.borrow();
        (name(w.local_addr(sock)), name(w.peer_addr(sock)))
    };
    let mut r = object([("connect", Some(json!("ok"))), ("local", local), ("peer", peer)]);
    if t.data.is_some() || t.size.is_some() {
        let data = payload(t.data.as_deref(), t.size);
        r.insert("reply".into(), json!(reply(echo(lab, sock, &data, timeout).await)));
    }
    if t.keep {
        lab.socks.borrow_mut().insert(t.sock.unwrap_or_else(|| "tcp".into()), sock);
    } else {
        shut(lab, sock, t.rst);
    }
    Ok(Value::Object(r))
}

/// An exchange on a connection that was kept.
pub async fn xfer(lab: &Lab, t: TcpXfer) -> Outcome {
    let sock = lab.socks.borrow().get(&t.sock).copied().ok_or_else(|| format!("there is no socket `{}`", t.sock))?;
    let data = payload(t.data.as_deref(), t.size);
    let result = echo(lab, sock, &data, t.timeout.unwrap_or(Secs::ms(1000)).0).await;
    let text = match &result {
        Ok(got) if got.len() < data.len() => "eof".into(),
        _ => reply(result),
    };
    Ok(json!({ "reply": text }))
}

/// Starts a server: it sends back what comes and closes when the peer does, closes at once, or only holds.
pub fn serve(lab: &Rc<Lab>, ns: NsId, node: &str, t: TcpServe) -> Outcome {
    let sock = match lab.socket(ns, SockKind::Tcp, &t.bind, &t.opts)? {
        Ok(sock) => sock,
        Err(e) => return Ok(failed(e)),
    };
    let at = endpoint(&t.bind)?;
    let listening = {
        let mut w = lab.world.borrow_mut();
        w.bind(sock, at).and_then(|()| w.listen(sock, 16)).inspect_err(|_| w.close(sock))
    };
    if let Err(e) = listening {
        return Ok(failed(e));
    }
    let name = t.sock.unwrap_or_else(|| format!("{node}/tcp/{}", t.bind));
    let log = Rc::new(RefCell::new(Vec::new()));
    lab.servers.borrow_mut().insert(name, Server { sock, log: log.clone() });
    let (lab2, mode) = (lab.clone(), t.mode.unwrap_or_else(|| "echo".into()));
    lab.spawn(Box::pin(async move {
        loop {
            let accepted = lab2.event(|| match lab2.world.borrow_mut().accept(sock) {
                Err(Errno::EAGAIN) => None,
                result => Some(result),
            });
            let Ok((child, peer)) = accepted.await else { return };
            let local = lab2.world.borrow().local_addr(child).ok().map(|a| json!(a.to_string()));
            let at = log.borrow().len();
            log.borrow_mut().push(object([("from", Some(json!(peer.to_string()))), ("to", local)]));
            lab2.spawn(Box::pin(converse(lab2.clone(), child, mode.clone(), log.clone(), at)));
        }
    }));
    Ok(json!({ "ok": true }))
}

/// One connection of a server, whose entry in the log is `log[at]`.
async fn converse(lab: Rc<Lab>, sock: SockId, mode: String, log: Rc<RefCell<Vec<Map<String, Value>>>>, at: usize) {
    if mode == "close" {
        return lab.world.borrow_mut().close(sock);
    }
    let mut total = 0;
    loop {
        let note = |key: &str, value: Value| {
            log.borrow_mut()[at].insert(key.into(), value);
        };
        // A thread takes a moment to wake up, and by then a whole flight has arrived.
        lab.event(|| {
            let ready = lab.world.borrow().poll(sock);
            (ready.readable || ready.error).then_some(())
        })
        .await;
        lab.sleep(CALL / 2).await;
        match lab.event(|| take(&lab, sock)).await {
            Ok(data) if data.is_empty() => break,
            Ok(data) => {
                total += data.len();
                if data.len() <= 64 && !log.borrow()[at].contains_key("data") {
                    note("data", json!(shown(&data)));
                } else {
                    note("bytes", json!(total));
                }
                if mode == "echo"
                    && let Err(Some(e)) = send_all(&lab, sock, &data, Time::MAX).await
                {
                    note("error", json!(e.name()));
                    break;
                }
            }
            Err(e) => {
                note("error", json!(e.name()));
                break;
            }
        }
    }
    lab.world.borrow_mut().close(sock);
}
