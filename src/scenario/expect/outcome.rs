//! Expectations about what came of programs.

use super::{Case, Verdict, goes, last_step, plural};
use crate::{
    app::Outcome,
    base::Errno,
    scenario::{
        Service,
        build::address_of,
        schema::{Action, HttpAnswer, PingResult, TcpOutcome, TcpReceived, UdpReceived},
    },
};

const NO_STEP: &str = "no step does that";

impl Case<'_> {
    pub(super) fn pinged(&self, p: &PingResult) -> Verdict {
        let (from, to) = (self.ns(&p.from), address_of(&self.built.world, &p.to));
        let step = last_step(self.built, |a, planned| matches!(a, Action::Ping(_)) && goes(planned, from, to));
        let Some((_, Outcome::Ping { sent, received, duplicates, errors, .. })) = step else {
            return Verdict::new(false, NO_STEP);
        };
        let errors = errors.len() as u64;
        let holds = p.received.contains(received.into())
            && p.duplicates.is_none_or(|d| d.contains(duplicates.into()))
            && p.errors.is_none_or(|e| e.contains(errors));
        let mut why = format!("{received} of {sent} requests answered");
        for (n, what) in [(u64::from(duplicates), "duplicate"), (errors, "error")] {
            if n > 0 {
                why.push_str(&format!(", {}", plural(n, what)));
            }
        }
        Verdict::new(holds, why)
    }

    pub(super) fn http(&self, h: &HttpAnswer) -> Verdict {
        let from = self.ns(&h.from);
        let step = last_step(self.built, |a, planned| match a {
            Action::HttpGet(get) => planned.ns == from && get.url.value == h.url.value,
            _ => false,
        });
        let Some((_, Outcome::Http { status, bytes, error, .. })) = step else { return Verdict::new(false, NO_STEP) };
        let why = match (status, error) {
            (Some(status), _) => format!("status {status}, {bytes} bytes"),
            (None, Some(error)) => format!("no answer: {}", fault(error)),
            (None, None) => "no answer".into(),
        };
        let holds = status.unwrap_or(0) == *h.status && h.size.is_none_or(|size| size.0 == bytes);
        Verdict::new(holds, why)
    }

    pub(super) fn tcp(&self, t: &TcpOutcome) -> Verdict {
        let from = self.ns(&t.from);
        let step = last_step(self.built, |a, planned| {
            let to = match a {
                Action::TcpConnect(c) => &c.to,
                Action::TcpBulk(b) => &b.to,
                _ => return false,
            };
            planned.ns == from && self.same_service(to, &t.to)
        });
        let Some((_, Outcome::Tcp { connected, sent, error, complete, .. })) = step else {
            return Verdict::new(false, NO_STEP);
        };
        let why = match (error, connected) {
            (Some(error), false) => format!("no connection: {}", fault(error)),
            (Some(error), true) => format!("connected, then: {}", fault(error)),
            (None, true) if complete && sent > 0 => format!("{sent} bytes were sent and acknowledged"),
            (None, true) if complete => "connected, and closed in order".into(),
            (None, true) => format!("connected, not finished after {sent} bytes"),
            (None, false) => "neither connection nor error".into(),
        };
        let holds = match &t.error {
            Some(expected) => error.is_some_and(|e| e.name() == expected.value),
            None => connected && error.is_none(),
        };
        Verdict::new(holds, why)
    }

    /// Whether two services are the same address and port, whatever names they are written with.
    pub(super) fn same_service(&self, a: &Service, b: &Service) -> bool {
        let world = &self.built.world;
        a.port == b.port && address_of(world, &a.host) == address_of(world, &b.host)
    }

    pub(super) fn tcp_received(&self, t: &TcpReceived) -> Verdict {
        let Some(Outcome::Server { served, bytes, error, streams, .. }) = self.server(&t.at, *t.port, false) else {
            return Verdict::new(false, "there is no such server");
        };
        if let Some(error) = error {
            return Verdict::new(false, format!("the server could not start: {}", fault(error)));
        }
        // What arrived is what some client sent, byte for byte.
        let sent: Vec<u64> = self.built.world.apps().filter_map(|a| sent_digest(&a.outcome)).collect();
        let unharmed = streams.iter().all(|s| sent.contains(&s.digest));
        let state = if unharmed { "in order and unharmed" } else { "but not as they were sent" };
        let why = format!("{bytes} bytes in {} arrived, {state}", plural(served, "connection"));
        Verdict::new(bytes == t.size.0 && unharmed, why)
    }

    pub(super) fn udp_received(&self, u: &UdpReceived) -> Verdict {
        match self.server(&u.at, *u.port, true) {
            Some(Outcome::Server { error: Some(error), .. }) => {
                Verdict::new(false, format!("the server could not start: {}", fault(error)))
            }
            Some(Outcome::Server { served, .. }) => Verdict::count(u.count, served, "datagram"),
            _ => Verdict::new(false, "there is no such server"),
        }
    }

    fn server(&self, at: &str, port: u16, udp: bool) -> Option<Outcome> {
        let ns = self.ns(at)?;
        let server = self.built.servers.iter().find(|s| s.ns == ns && s.port == port && s.udp == udp)?;
        Some(self.built.world.app(server.app).outcome)
    }
}

fn sent_digest(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Tcp { sent_digest, .. } => Some(*sent_digest),
        _ => None,
    }
}

/// An error number with its text.
pub(super) fn fault(error: Errno) -> String {
    format!("{} ({})", error.text(), error.name())
}
