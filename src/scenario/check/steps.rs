//! Steps: that what they name exists.

use super::{Checker, links::check_impairment};
use crate::scenario::{
    Diagnostic, End, Span, Spanned, Target,
    diagnose::did_you_mean,
    node::shorten,
    read::list,
    schema::{Action, Save},
};

/// More steps than this are refused.
const MAX_STEPS: usize = 1_000_000;

pub(super) fn check(c: &mut Checker<'_, '_>) {
    let scenario = c.scenario;
    if let Some(step) = scenario.steps.get(MAX_STEPS) {
        let message = format!("there are more than {MAX_STEPS} steps");
        c.report(Diagnostic::error("too-many", step.at.span, message).label("one too many"));
    }
    for step in &scenario.steps {
        if let Some(until) = scenario.until
            && step.at.value >= until.value
        {
            let message = format!("the run has ended before {}", step.at.value);
            let d = Diagnostic::warning("step-after-end", step.at.span, message).label("never happens");
            c.report(d.related(until.span, "the end").help("raise `until`"));
        }
        check_action(c, &step.action.value);
    }
    if let Some(until) = scenario.until
        && until.value > scenario.limits.time.value
    {
        let message = format!("the limit of time, {}, comes before the end", scenario.limits.time.value);
        let d = Diagnostic::warning("until-after-limit", until.span, message).label("never reached");
        c.report(d.help("raise `limits: (time: ...)`"));
    }
    if scenario.steps.is_empty() && scenario.expect.is_empty() && c.reader.found.is_empty() {
        let d = Diagnostic::warning("nothing", Span::new(0, 1), "nothing happens in this scenario");
        c.report(d.label("no `steps`, no `expect`").help("add steps: [(\"0s\", Ping(from: ..., to: ...))]"));
    }
    check_files(c);
}

fn check_action(c: &mut Checker<'_, '_>, action: &Action) {
    match action {
        Action::Ping(p) => {
            from_to(c, &p.from, &p.to.value, p.to.span);
            if let Some(source) = &p.source {
                c.target(source, source.span);
            }
        }
        Action::Traceroute(t) => {
            from_to(c, &t.from, &t.to.value, t.to.span);
            if t.first.value > t.max.value {
                let span = if t.first.span.is_none() { t.max.span } else { t.first.span };
                let d = Diagnostic::error("empty-range", span, "the first TTL is above the last one");
                c.report(d.label("nothing would be sent"));
            }
        }
        Action::UdpSend(u) => {
            from_to(c, &u.from, &u.to.host, u.to.span);
            if let (Some(data), false) = (&u.data, u.size.span.is_none()) {
                let d = Diagnostic::error("data-and-size", u.size.span, "`data` has a size of its own");
                c.report(d.label("one too many").related(data.span, "the data").help("leave one of them out"));
            }
        }
        Action::TcpConnect(t) => from_to(c, &t.from, &t.to.host, t.to.span),
        Action::TcpBulk(t) => from_to(c, &t.from, &t.to.host, t.to.span),
        Action::HttpGet(h) => from_to(c, &h.from, &h.url.service.host, h.url.span),
        Action::Exec(e) => {
            c.namespace(&e.ns);
            check_command(c, &e.run);
        }
        Action::Cat(cat) => {
            c.namespace(&cat.ns);
            proc_path(c, &cat.path);
        }
        Action::Unplug(end) | Action::Plug(end) => cable_end(c, end),
        Action::Impair(impair) => {
            c.end(&impair.at);
            check_impairment(c, &impair.with);
        }
        Action::Note(_) => {}
    }
}

fn from_to(c: &mut Checker<'_, '_>, from: &Spanned<String>, to: &Target, span: Span) {
    c.namespace(from);
    c.target(to, span);
}

fn cable_end(c: &mut Checker<'_, '_>, end: &Spanned<End>) {
    if c.end(end) && c.is_sound(&end.ns) && c.names.cable(&end.ns, &end.dev).is_none() {
        let d = Diagnostic::error("not-a-cable-end", end.span, format!("no cable ends in `{}`", end.value));
        c.report(d.label("expected the end of a link"));
    }
}

const COMMANDS: &[&str] = &["ip", "bridge", "sysctl"];
const IP_OBJECTS: &[&str] = &["route", "rule", "addr", "link", "neigh"];

/// The first words of a command; the rest is understood when the world is built.
fn check_command(c: &mut Checker<'_, '_>, line: &Spanned<String>) {
    let mut words = line.split_whitespace();
    let command = words.next().unwrap_or("");
    let (word, known) = match command {
        "ip" => {
            let object = words.find(|w| !w.starts_with('-')).unwrap_or("");
            // iproute2 takes any unambiguous beginning: `ip r`, `ip address`.
            let short = |o: &&str| !object.is_empty() && (o.starts_with(object) || object.starts_with(*o));
            if IP_OBJECTS.iter().any(short) {
                return;
            }
            (object, IP_OBJECTS)
        }
        known if COMMANDS.contains(&known) => return,
        other => (other, COMMANDS),
    };
    let message = match word {
        "" => "the command is not complete".to_string(),
        _ => format!("`{}` is not a command netsim knows", shorten(word)),
    };
    let help = did_you_mean(word, known.iter().copied()).unwrap_or_else(|| format!("known are {}", list(known)));
    c.report(Diagnostic::error("unknown-command", line.span, message).label("cannot be run").help(help));
}

/// A path must lead to a file of `/proc`.
pub(super) fn proc_path(c: &mut Checker<'_, '_>, path: &Spanned<String>) {
    let good = path.starts_with("/proc/") && !path.split('/').any(|part| part == "..");
    if !good {
        let d = Diagnostic::error("bad-path", path.span, format!("`{}` is not a file of /proc", shorten(path)));
        c.report(d.label("expected a path such as \"/proc/net/arp\""));
    }
}

/// Files to save stay in the directory netsim is started in: a scenario may come from anybody.
fn check_files(c: &mut Checker<'_, '_>) {
    let mut seen: Vec<&Spanned<String>> = Vec::new();
    for save in &c.scenario.save {
        let Save::Pcapng(path) = &save.value;
        let text = path.value.as_str();
        let parts = || text.split(['/', '\\']);
        let bad = text.is_empty()
            || text.len() > 255
            || text.contains(|ch: char| ch.is_control() || ch == ':')
            || parts().any(|part| matches!(part, "" | "." | ".."));
        if bad {
            let d = Diagnostic::error("bad-path", path.span, format!("`{}` is not a file to write to", shorten(text)));
            let d = d.label("expected a relative path without `..`");
            c.report(d.help("a scenario only writes below the directory netsim is started in"));
        } else if let Some(first) = seen.iter().find(|other| other.value == path.value) {
            let d = Diagnostic::error("file-twice", path.span, format!("`{}` is written twice", shorten(text)));
            let first = first.span;
            c.report(d.label("again").related(first, "first").help("choose another name"));
        }
        if seen.len() < 64 {
            seen.push(path);
        }
    }
}
