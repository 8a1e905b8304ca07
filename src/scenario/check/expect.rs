//! Expectations: that what they speak about exists and can come true.

use super::{Checker, steps::proc_path};
use crate::{
    base::Errno,
    scenario::{
        Diagnostic, Hop, Span, Spanned, Target,
        diagnose::did_you_mean,
        node::shorten,
        read::list,
        schema::{Action, Expect, Finish, Probe},
    },
    trace::DropReason,
};
use std::collections::BTreeSet;

/// What programs the steps run: the name of the action, the namespace, and the target as it is written.
type Done = BTreeSet<(&'static str, String, String)>;

pub(super) fn check(c: &mut Checker<'_, '_>) {
    let scenario = c.scenario;
    let done: Done = scenario.steps.iter().filter_map(|step| program(&step.action.value)).collect();
    for expect in &scenario.expect {
        check_one(c, &expect.value, expect.span, &done);
    }
}

fn program(action: &Action) -> Option<(&'static str, String, String)> {
    let (from, to) = match action {
        Action::Ping(p) => (&p.from, p.to.to_string()),
        Action::Traceroute(t) => (&t.from, t.to.to_string()),
        Action::HttpGet(h) => (&h.from, h.url.to_string()),
        Action::TcpConnect(t) => (&t.from, t.to.to_string()),
        Action::TcpBulk(t) => (&t.from, t.to.to_string()),
        _ => return None,
    };
    Some((action.name(), from.value.clone(), to))
}

fn check_one(c: &mut Checker<'_, '_>, expect: &Expect, span: Span, done: &Done) {
    match expect {
        Expect::Reach(probe) | Expect::NoReach(probe) => check_probe(c, probe),
        Expect::SeenAs(seen) | Expect::NeverSeen(seen) => _ = c.namespace(&seen.at),
        Expect::Hops(hops) => {
            from_to(c, &hops.from, &hops.to);
            for hop in &hops.via {
                if let Hop::Router(target) = &hop.value {
                    c.target(target, hop.span);
                }
            }
        }
        Expect::Pinged(ping) => {
            from_to(c, &ping.from, &ping.to);
            needs_step(c, done, &["Ping"], &ping.from, ping.to.to_string(), span);
        }
        Expect::Dropped(dropped) => {
            if let Some(at) = &dropped.at {
                c.namespace(at);
            }
            let reason = dropped.reason.value.as_str();
            let codes = || DropReason::ALL.iter().map(|r| r.code());
            if !codes().any(|code| code == reason) {
                let message = format!("there is no drop reason `{}`", shorten(reason));
                let d = Diagnostic::error("unknown-reason", dropped.reason.span, message).label("unknown code");
                c.report(d.help(did_you_mean(reason, codes()).unwrap_or("a run prints the codes it meets".into())));
            }
        }
        Expect::Delivered(delivered) => {
            c.namespace(&delivered.from);
            c.namespace(&delivered.to);
        }
        Expect::Misdelivered(wrong) => {
            c.namespace(&wrong.at);
            if let Some(meant) = &wrong.meant {
                c.namespace(meant);
                if *meant == wrong.at {
                    let d = Diagnostic::error("no-misdelivery", meant.span, "a frame that was meant for its receiver");
                    c.report(d.label("expected another namespace").related(wrong.at.span, "the receiver"));
                }
            }
        }
        Expect::Conntrack(entry) => _ = c.namespace(&entry.ns),
        Expect::Proc(file) => {
            c.namespace(&file.ns);
            proc_path(c, &file.path);
        }
        Expect::Http(http) => {
            c.namespace(&http.from);
            c.target(&http.url.service.host, http.url.span);
            needs_step(c, done, &["HttpGet"], &http.from, http.url.to_string(), span);
        }
        Expect::Tcp(tcp) => {
            c.namespace(&tcp.from);
            c.target(&tcp.to.host, tcp.to.span);
            needs_step(c, done, &["TcpConnect", "TcpBulk"], &tcp.from, tcp.to.to_string(), span);
            if let Some(error) = &tcp.error
                && Errno::from_name(error).is_none()
            {
                let d = Diagnostic::error("unknown-error", error.span, format!("`{}` is not an error", shorten(error)));
                c.report(d.label("expected a name such as \"ECONNREFUSED\""));
            }
        }
        Expect::TcpReceived(tcp) => needs_server(c, &tcp.at, tcp.port, false),
        Expect::UdpReceived(udp) => needs_server(c, &udp.at, udp.port, true),
        Expect::Prints(prints) => _ = c.namespace(&prints.ns),
        Expect::Ended(Finish::Until) if c.scenario.until.is_none() => {
            let d = Diagnostic::error("no-until", span, "the scenario does not say when it ends");
            c.report(d.label("cannot come true").help("add `until: \"60s\"`"));
        }
        Expect::Ended(_) => {}
    }
}

fn from_to(c: &mut Checker<'_, '_>, from: &Spanned<String>, to: &Spanned<Target>) {
    c.namespace(from);
    c.target(&to.value, to.span);
}

fn check_probe(c: &mut Checker<'_, '_>, probe: &Probe) {
    from_to(c, &probe.from, &probe.to);
    if let (Some(tcp), Some(udp)) = (probe.tcp, probe.udp) {
        let d = Diagnostic::error("two-protocols", udp.span, "a probe is either TCP or UDP").label("and UDP");
        c.report(d.related(tcp.span, "TCP").help("write two expectations"));
    }
    if let (Some(when), Some(until)) = (probe.when, c.scenario.until)
        && when.value >= until.value
    {
        let d = Diagnostic::error("step-after-end", when.span, format!("the run has ended before {}", when.value));
        c.report(d.label("never sent").related(until.span, "the end").help("raise `until`"));
    }
}

/// An expectation about the outcome of a step needs that step.
fn needs_step(
    c: &mut Checker<'_, '_>,
    done: &Done,
    steps: &[&'static str],
    from: &Spanned<String>,
    to: String,
    span: Span,
) {
    // If a step could not be read, it may be the one that is missed.
    if c.reader.found.iter().any(Diagnostic::is_error) {
        return;
    }
    let mut key = ("", from.value.clone(), to);
    for step in steps {
        key.0 = *step;
        if done.contains(&key) {
            return;
        }
    }
    let span = Span { end: span.end.min(span.start + 8), ..span };
    let message = format!("no step goes from `{}` to `{}`", shorten(from), shorten(&key.2));
    let d = Diagnostic::error("no-such-step", span, message).label(format!("expected a step {}", list(steps)));
    c.report(d.help("write `from` and the target exactly as in the step"));
}

fn needs_server(c: &mut Checker<'_, '_>, at: &Spanned<String>, port: Spanned<u16>, udp: bool) {
    if !c.namespace(at) || !c.is_sound(at) {
        return;
    }
    let Some((_, settings)) = c.names.namespace(at) else { return };
    if !settings.run.iter().any(|s| s.is_udp() == udp && s.listens().0 == port) {
        let protocol = if udp { "UDP" } else { "TCP" };
        let message = format!("no server of `{}` listens on {protocol} port {}", at.value, port.value);
        let d = Diagnostic::error("no-such-server", port.span, message).label("cannot come true");
        c.report(d.help("add one to the namespace's `run`"));
    }
}
