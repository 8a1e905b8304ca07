//! Carries out the steps of a case.

use super::{Error, NetNs, Server, Session, Sock, build::write_setting, locked, name_of, pause};
use crate::{
    base::Errno,
    conform::{
        case::{Nft, Op, Parallel, Step},
        ops::inject,
        shell::Pattern,
    },
    live::{nft, words},
};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, sendto, setsockopt, socket, sockopt},
};
use serde_json::{Value, json};
use std::{
    os::fd::AsRawFd,
    sync::atomic::Ordering,
    thread::{self, Scope},
};

/// What a step returns.
pub type Outcome = Result<Value, Error>;

impl<'c> Session<'c> {
    /// Carries out a step, without the pause afterwards.
    pub fn perform<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>, step: &Step) -> Outcome {
        let name = step.node.as_deref().unwrap_or_default();
        let ns = || match step.node.as_deref() {
            Some(name) => self.node(name),
            None => Err(Error::Failed("the step needs a `node`".into())),
        };
        let ip = |words: String| change(ns()?, "ip", &words);
        let bridge = |words: String| change(ns()?, "bridge", &words);
        match &step.op {
            Op::Ping(p) => super::tools::ping(ns()?, p),
            Op::Traceroute(t) => super::tools::traceroute(ns()?, t),
            Op::RouteGet(g) => super::tools::route_get(ns()?, g),
            Op::Exec { cmd, quiet, replace } => exec(ns()?, cmd, *quiet, replace),
            Op::Sleep(span) => {
                pause(span.0);
                Ok(Value::Null)
            }
            Op::Link { set, master } => ip(words::link_set(set, master.as_ref(), &self.topo)?),
            Op::LinkDel { dev } => ip(format!("link del {dev}")),
            Op::Addr { dev, verb, addr } => ip(words::addr(*verb, dev, &addr.object())),
            Op::Route { verb, route } => {
                let family = if words::is_ipv6(route) { "-6 " } else { "" };
                ip(format!("{family}route {} {}", words::verb(*verb), route.words()))
            }
            Op::Rule { verb, rule } => ip(format!("rule {} {}", words::verb(*verb), rule.words())),
            Op::Neigh { verb, entry } => ip(words::neigh(*verb, entry, &self.topo)?),
            Op::NeighFlush => ip("neigh flush all".into()),
            Op::Fdb { verb, entry } => bridge(words::fdb(*verb, entry, &self.topo)?),
            Op::FdbFlush { dev } => ip(format!("link set dev {dev} type bridge fdb_flush")),
            Op::Sysctl { key, value } => Ok(match ns()?.inside(|| write_setting(key, &value.0))? {
                Ok(()) => json!({ "ok": true }),
                Err(e) => json!({ "ok": false, "message": name_of(&e) }),
            }),
            Op::Bridge(b) => ip(words::bridge_set(&b.dev, &b.set)),
            Op::BrPort(b) => bridge(words::port_set(&b.dev, &b.set)),
            Op::Netem { dev, set } => change(ns()?, "tc", &words::qdisc("replace", dev, set.as_ref())),
            Op::CtFlush => {
                ns()?.program("conntrack", &["-F"], "")?;
                Ok(json!({ "ok": true }))
            }
            Op::Nft(n) => rules(ns()?, n),
            Op::UdpOpen(u) => self.udp_open(ns()?, u),
            Op::UdpSend(u) => self.udp_send(step.node.as_deref().map(|n| self.node(n)).transpose()?, u),
            Op::UdpRecv(u) => self.udp_recv(u),
            Op::UdpServe(u) => self.udp_serve(scope, ns()?, name, u),
            Op::Close(c) => self.close(&c.sock, c.rst),
            Op::TcpServe(t) => self.tcp_serve(scope, ns()?, name, t),
            Op::TcpConnect(t) => self.tcp_connect(ns()?, t),
            Op::TcpXfer(t) => self.tcp_xfer(t),
            Op::Inject(i) => {
                let frame = inject::build(&self.topo, name, &i.dev, &i.frame)?;
                let gap = i.gap.unwrap_or_default().0;
                ns()?.inside(|| send_frames(&i.dev, &frame, i.count.unwrap_or(1), gap))??;
                Ok(Value::Null)
            }
            Op::Dump(d) => self.dump(ns()?, name, d),
            Op::Parallel(p) => self.parallel(scope, p),
            Op::WaitNeigh(w) => self.wait_neigh(ns()?, w),
            Op::WaitFdbGone(w) => self.wait_fdb_gone(ns()?, w),
            Op::WaitCtEmpty { timeout } => self.wait_ct_empty(ns()?, timeout.0),
            Op::WaitPortsForwarding { timeout } => self.wait_ports_forwarding(ns()?, timeout.0),
            Op::End => Ok(Value::Null),
        }
    }

    /// Steps side by side, each started a little after the one before.
    fn parallel<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>, p: &Parallel) -> Outcome {
        let results = thread::scope(|s| {
            let started: Vec<_> = p
                .steps
                .iter()
                .map(|step| {
                    let thread = s.spawn(move || self.perform(scope, step));
                    pause(p.stagger.0);
                    thread
                })
                .collect();
            let join = |t: thread::ScopedJoinHandle<'_, Outcome>| {
                t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            started.into_iter().map(join).collect::<Vec<_>>()
        });
        let value = |r: Outcome| r.unwrap_or_else(|e| json!({ "harness_error": e.to_string() }));
        Ok(Value::Array(results.into_iter().map(value).collect()))
    }

    /// Closes a socket or a server's.
    fn close(&self, name: &str, reset: bool) -> Outcome {
        let kept = locked(&self.socks).remove(name);
        if let Some(Sock::Tcp(stream)) = &kept
            && reset
        {
            super::tcp::reset_on_close(stream);
        }
        if kept.is_none() {
            let servers = locked(&self.servers);
            let server: &Server =
                servers.get(name).ok_or_else(|| Error::Failed(format!("there is no socket `{name}`")))?;
            server.closed.store(true, Ordering::SeqCst);
        }
        Ok(Value::Null)
    }
}

/// Says something to a tool that changes configuration.
fn change(ns: &NetNs, tool: &str, words: &str) -> Outcome {
    let words: Vec<&str> = words.split_whitespace().collect();
    let done = ns.program(tool, &words, "")?;
    Ok(answer(done.status.success(), &done.stderr))
}

fn answer(good: bool, stderr: &[u8]) -> Value {
    match good {
        true => json!({ "ok": true }),
        false => json!({ "ok": false, "message": complaint(&String::from_utf8_lossy(stderr)) }),
    }
}

/// What a tool complained of: the name of the errno, or its own words.
pub fn complaint(stderr: &str) -> String {
    let text = stderr.trim();
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest.lines().next().unwrap_or_default().trim());
    if let Some(said) = after("RTNETLINK answers: ") {
        return Errno::ALL.iter().find(|e| e.text() == said).map_or_else(|| said.into(), |e| e.name().into());
    }
    after("Error: ").or(text.lines().next()).unwrap_or("?").into()
}

fn rules(ns: &NetNs, n: &Nft) -> Outcome {
    if n.flush {
        ns.program("nft", &["flush", "ruleset"], "")?;
    }
    let Some(text) = nft::render(&n.nat, &n.filter, n.nft.as_deref()) else { return Ok(json!({ "ok": true })) };
    let done = ns.program("nft", &["-f", "-"], &text)?;
    Ok(answer(done.status.success(), &done.stderr))
}

/// A script; whatever it does, it ends.
fn exec(ns: &NetNs, script: &str, quiet: bool, replace: &[(String, String)]) -> Outcome {
    let done = ns.program("timeout", &["60", "sh", "-c", script], "")?;
    let exit = done.status.code().unwrap_or(-1);
    if quiet {
        return Ok(json!({ "exit": exit }));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut out, mut err) = (text(&done.stdout), text(&done.stderr));
    for (pattern, with) in replace {
        let pattern = Pattern::new(pattern, true)?;
        out = pattern.replace(&out, with);
        err = pattern.replace(&err, with);
    }
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    let mut result = json!({ "exit": exit, "stdout": lines(&out) });
    if !err.is_empty() {
        result["stderr"] = json!(lines(&err));
    }
    Ok(result)
}

/// Puts a frame on a device of the namespace the thread is in.
fn send_frames(dev: &str, frame: &[u8], count: u32, gap: u64) -> Result<(), Error> {
    let failed = |e: nix::Error| Error::Failed(format!("cannot send a frame on {dev}: {e}"));
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let mut all = getifaddrs().map_err(failed)?;
    let link = all.find_map(|i| i.address?.as_link_addr().filter(|_| i.interface_name == dev).copied());
    let link = link.ok_or_else(|| Error::Failed(format!("there is no device `{dev}`")))?;
    setsockopt(&fd, sockopt::SndBufForce, &(4 << 20)).map_err(failed)?;
    for _ in 0..count {
        // What a packet socket is told is not part of the observation.
        let _ = sendto(fd.as_raw_fd(), frame, &link, MsgFlags::empty());
        pause(gap);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_names_where_there_is_one() {
        assert_eq!(complaint("RTNETLINK answers: File exists\n"), "EEXIST");
        assert_eq!(complaint("Error: Nexthop has invalid gateway.\n"), "Nexthop has invalid gateway.");
        assert_eq!(complaint("Cannot find device \"x\"\n"), "Cannot find device \"x\"");
        assert_eq!(complaint(""), "?");
    }
}
