//! The operations of a case, carried out as the oracle carries them out on Linux.

mod change;
pub(crate) mod inject;
mod shell;
pub(crate) mod tables;
mod tcp;
pub(crate) mod tools;
mod udp;
mod wait;

pub use tables::snmp;

use super::{
    case::{Op, Parallel, SockOpts, Step, UdpSend},
    exec::Lab,
    lab::Refusal,
};
use crate::{
    base::{DevId, Errno, MS, NsId, SockId, Time, US},
    socket::{Family, PmtuDiscover, SockKind, SockOpt},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{future::Future, net::SocketAddr, pin::Pin, rc::Rc};

/// What a program needs between two calls of a loop, measured: 8 to 200 µs. On Linux a datagram passes a whole lab within
/// the call that sends it; here it travels in the meantime, so it must be longer than the way there and back.
const CALL: Time = 100 * US;

/// What it takes to start a program, and to see that it ended: measured on the machine of the oracle, 2 to 7 ms and
/// about 1 ms. Every case comes out the same for any start between 5 and 30 ms and any end between 1 and 10 ms.
const START: Time = 7 * MS;
const END: Time = MS;

/// A program's timers fire late (`timer_slack_ns` and the scheduler): measured, 0.05 to 2 ms.
const SLACK: Time = MS;

/// What a step returns, or why it could not be carried out.
pub type Outcome = Result<Value, String>;

/// Carries out a step.
pub fn perform(lab: Rc<Lab>, step: Step) -> Pin<Box<dyn Future<Output = Outcome>>> {
    Box::pin(async move {
        let node = step.node.as_deref();
        let ns = node.map(|n| lab.ns(n)).transpose()?;
        let is_program = !matches!(
            step.op,
            Op::Sleep(_)
                | Op::UdpOpen(_)
                | Op::UdpSend(_)
                | Op::UdpRecv(_)
                | Op::UdpServe(_)
                | Op::Close(_)
                | Op::TcpServe(_)
                | Op::TcpConnect(_)
                | Op::TcpXfer(_)
                | Op::Inject(_)
                | Op::Sysctl { .. }
                | Op::Parallel(_)
                | Op::End
        );
        if is_program {
            lab.sleep(START).await;
        }
        let need = || ns.ok_or_else(|| "the step needs a `node`".to_string());
        let result = match step.op {
            Op::Ping(p) => tools::ping(&lab, need()?, p).await,
            Op::Traceroute(t) => tools::traceroute(&lab, need()?, t).await,
            Op::RouteGet(q) => tools::route_get(&lab, need()?, &q),
            Op::Exec { cmd, quiet, replace } => shell::exec(&lab, need()?, &cmd, quiet, &replace),
            Op::Sleep(span) => {
                lab.sleep(span.0).await;
                Ok(Value::Null)
            }
            Op::UdpOpen(u) => udp::open(&lab, need()?, u),
            Op::UdpSend(u) => udp::send(&lab, ns, u).await,
            Op::UdpRecv(u) => udp::recv(&lab, u).await,
            Op::UdpServe(u) => udp::serve(&lab, need()?, node.unwrap_or_default(), u),
            Op::Close(c) => close(&lab, &c.sock, c.rst),
            Op::TcpServe(t) => tcp::serve(&lab, need()?, node.unwrap_or_default(), t),
            Op::TcpConnect(t) => tcp::connect(&lab, need()?, t).await,
            Op::TcpXfer(t) => tcp::xfer(&lab, t).await,
            Op::Inject(i) => inject::inject(&lab, need()?, node.unwrap_or_default(), i).await,
            Op::Dump(d) => tables::dump(&lab, need()?, node.unwrap_or_default(), &d),
            Op::Parallel(p) => parallel(&lab, p).await,
            Op::WaitNeigh(w) => wait::neigh(&lab, need()?, w).await,
            Op::WaitFdbGone(w) => wait::fdb_gone(&lab, need()?, w).await,
            Op::WaitCtEmpty { timeout } => wait::ct_empty(&lab, need()?, timeout).await,
            Op::WaitPortsForwarding { timeout } => wait::ports_forwarding(&lab, need()?, timeout).await,
            Op::End => Ok(Value::Null),
            change => self::change::change(&lab, need()?, change),
        };
        if is_program {
            lab.sleep(END).await;
        }
        result
    })
}

/// Steps side by side, each started a little after the one before.
async fn parallel(lab: &Rc<Lab>, p: Parallel) -> Outcome {
    let count = p.steps.len();
    let results = Rc::new(std::cell::RefCell::new(vec![None; count]));
    for (i, step) in p.steps.into_iter().enumerate() {
        let (lab2, results) = (lab.clone(), results.clone());
        lab.spawn(Box::pin(async move {
            lab2.sleep(p.stagger.0 * i as u64).await;
            let result = match perform(lab2, step).await {
                Ok(value) => value,
                Err(e) => json!({ "harness_error": e }),
            };
            results.borrow_mut()[i] = Some(result);
        }));
    }
    lab.sleep(p.stagger.0 * count as u64).await;
    let all = lab.event(|| {
        let r = results.borrow();
        r.iter().all(Option::is_some).then(|| r.iter().flatten().cloned().collect::<Vec<_>>())
    });
    Ok(Value::Array(all.await))
}

/// Closes a socket or a server's.
fn close(lab: &Lab, name: &str, reset: bool) -> Outcome {
    let kept = lab.socks.borrow_mut().remove(name);
    let sock = kept.or_else(|| lab.servers.borrow().get(name).map(|s| s.sock));
    let sock = sock.ok_or_else(|| format!("there is no socket `{name}`"))?;
    shut(lab, sock, reset);
    Ok(Value::Null)
}

fn shut(lab: &Lab, sock: SockId, reset: bool) {
    let mut w = lab.world.borrow_mut();
    if reset {
        // The id may be stale; closing it is then no more than naming it.
        let _ = w.set_option(sock, SockOpt::LingerZero(true));
    }
    w.close(sock);
}

impl Lab {
    /// Finds a namespace.
    fn ns(&self, name: &str) -> Result<NsId, String> {
        self.world.borrow().find_ns(name).ok_or_else(|| format!("there is no node `{name}`"))
    }

    /// Finds a device.
    fn dev(&self, ns: NsId, name: &str) -> Result<DevId, String> {
        self.world.borrow().find_dev(ns, name).ok_or_else(|| format!("there is no device `{name}`"))
    }

    /// A socket of the kind a step asks for, with its options.
    fn socket(&self, ns: NsId, kind: SockKind, towards: &str, o: &SockOpts) -> Result<Result<SockId, Errno>, String> {
        let v6 = towards.starts_with('[') || towards.matches(':').count() > 1;
        let family = if v6 { Family::V6 } else { Family::V4 };
        let device = o.device.as_deref().map(|d| self.dev(ns, d)).transpose()?;
        let pmtu = match o.pmtudisc.as_deref() {
            None => None,
            Some("dont") => Some(PmtuDiscover::Dont),
            Some("want") => Some(PmtuDiscover::Want),
            Some("do") => Some(PmtuDiscover::Do),
            Some("probe") => Some(PmtuDiscover::Probe),
            Some(other) => return Err(format!("pmtudisc is not `{other}`")),
        };
        let group = match &o.mcast_join {
            None => None,
            Some(text) => {
                let (group, dev) = text.split_once('%').ok_or("mcast_join is GROUP%DEVICE")?;
                let group = group.parse().map_err(|_| format!("`{group}` is no group"))?;
                Some(SockOpt::JoinGroup(group, self.dev(ns, dev)?))
            }
        };
        let options = [
            (kind == SockKind::Tcp || o.reuseaddr).then_some(SockOpt::ReuseAddr(true)),
            o.broadcast.then_some(SockOpt::Broadcast(true)),
            device.map(|d| SockOpt::BindToDevice(Some(d))),
            // The oracle sets these two for IPv4 only (IPPROTO_IP): on an IPv6 socket they mean nothing.
            o.ttl.filter(|_| family == Family::V4).map(|t| SockOpt::Ttl(Some(t))),
            pmtu.filter(|_| family == Family::V4).map(SockOpt::MtuDiscover),
            o.mark.map(SockOpt::Mark),
            o.recverr.unwrap_or(kind == SockKind::Udp).then_some(SockOpt::RecvErr(true)),
            group,
            o.mcast_ttl.map(SockOpt::MulticastTtl),
        ];
        let mut w = self.world.borrow_mut();
        let sock = match w.socket(ns, family, kind, None) {
            Ok(sock) => sock,
            Err(e) => return Ok(Err(e)),
        };
        for option in options.into_iter().flatten() {
            if let Err(e) = w.set_option(sock, option) {
                return Ok(Err(e));
            }
        }
        Ok(Ok(sock))
    }
}

/// `host:port`, `[host]:port`, or either alone; no host means any.
pub(crate) fn endpoint(text: &str) -> Result<SocketAddr, String> {
    let bad = || format!("`{text}` is not an address and port");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            (host, port.strip_prefix(':').unwrap_or_default())
        }
        None if text.matches(':').count() > 1 => (text, ""),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let port = if port.is_empty() { 0 } else { port.parse().map_err(|_| bad())? };
    Ok(SocketAddr::new(host.parse().map_err(|_| bad())?, port))
}

/// What a step sends.
pub(crate) fn payload(data: Option<&str>, size: Option<usize>) -> Vec<u8> {
    match size {
        Some(n) => vec![b'x'; n],
        None => data.unwrap_or("hello").as_bytes().to_vec(),
    }
}

/// The datagrams of a step: several are told apart by a number behind the data.
pub(crate) fn datagrams(u: &UdpSend) -> impl Iterator<Item = Vec<u8>> {
    let count = u.count.unwrap_or(1);
    (1..=count).map(move |i| {
        let mut data = payload(u.data.as_deref(), u.size);
        if count > 1 && u.size.is_none() {
            data.extend_from_slice(format!("-{i}").as_bytes());
        }
        data
    })
}

/// What became of several calls: one word if it was the same for all.
pub(crate) fn outcomes<T: PartialEq + Serialize>(sent: &[T]) -> Value {
    match sent {
        [one] => json!(one),
        [first, ..] if sent.iter().all(|s| s == first) => json!({ "count": sent.len(), "each": first }),
        _ => json!(sent),
    }
}

/// Bytes as a result shows them: short ones as Latin-1, of long ones the length.
pub(crate) fn shown(data: &[u8]) -> String {
    if data.len() <= 64 { data.iter().map(|b| char::from(*b)).collect() } else { format!("len={}", data.len()) }
}

fn failed(e: Errno) -> Value {
    json!({ "error": e.name() })
}

/// The answer of a tool that changes configuration.
fn done(result: Result<(), Refusal>) -> Outcome {
    match result {
        Ok(()) => Ok(json!({ "ok": true })),
        Err(Refusal::Said(message)) => Ok(json!({ "ok": false, "message": message })),
        Err(Refusal::Unsupported(what)) => Err(what),
    }
}

/// An object, entry by entry.
pub(crate) fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Map<String, Value> {
    entries.into_iter().filter_map(|(k, v)| v.map(|v| (k.to_string(), v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_read_as_the_oracle_reads_them() {
        for (text, want) in [
            ("10.0.0.1:53", "10.0.0.1:53"),
            (":53", "0.0.0.0:53"),
            ("10.0.0.1", "10.0.0.1:0"),
            ("[fd00::1]:80", "[fd00::1]:80"),
            ("fd00::1", "[fd00::1]:0"),
            ("[::]", "[::]:0"),
        ] {
            assert_eq!(endpoint(text).unwrap().to_string(), want);
        }
        assert!(endpoint("nowhere:1").is_err() && endpoint("10.0.0.1:x").is_err());
    }

    #[test]
    fn data_is_shown_as_latin_1_up_to_64_bytes() {
        assert_eq!(shown(b"h\xe9"), "h\u{e9}");
        assert_eq!(shown(&[b'x'; 64]).len(), 64);
        assert_eq!(shown(&[0; 65]), "len=65");
        assert_eq!(payload(None, None), b"hello");
        assert_eq!(payload(Some("a"), Some(3)), b"xxx");
    }
}
