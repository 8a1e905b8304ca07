//! Expectations in words.

use crate::scenario::schema::{Count, Expect, Finish, LimitKind, Probe};

/// The expectation as a sentence without a full stop.
pub(super) fn text(expect: &Expect) -> String {
    match expect {
        Expect::Reach(p) => format!("{} reaches {}", p.from, goal(p)),
        Expect::NoReach(p) => format!("{} does not reach {}", p.from, goal(p)),
        Expect::SeenAs(s) => format!("{} sees packets from {}", s.at, host(s.src.value)),
        Expect::NeverSeen(s) => format!("{} never sees packets from {}", s.at, host(s.src.value)),
        Expect::Hops(h) => {
            let via: Vec<String> = h.via.iter().map(|hop| hop.to_string()).collect();
            match via.is_empty() {
                true => format!("from {} to {} there is no router", h.from, h.to),
                false => format!("from {} to {} the way is {}", h.from, h.to, via.join(" → ")),
            }
        }
        Expect::Pinged(p) => {
            let mut text = format!("ping from {} to {}: answers: {}", p.from, p.to, amount(p.received));
            for (count, what) in [(p.duplicates, "duplicates"), (p.errors, "errors")] {
                if let Some(count) = count {
                    text.push_str(&format!(", {what}: {}", amount(count)));
                }
            }
            text
        }
        Expect::Dropped(d) => {
            let at = d.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
            format!("frames dropped for {}{at}: {}", d.reason, amount(d.count))
        }
        Expect::Delivered(d) => format!("packets of {} delivered at {}: {}", d.from, d.to, amount(d.count)),
        Expect::Misdelivered(m) => {
            let meant = m.meant.as_ref().map_or_else(|| "another namespace".to_string(), |ns| ns.to_string());
            format!("frames meant for {meant} that come in at {}: {}", m.at, amount(m.count))
        }
        Expect::Conntrack(c) => format!("{} tracks connections with `{}`: {}", c.ns, c.has, amount(c.count)),
        Expect::Proc(p) => format!("{} of {} has lines with `{}`: {}", p.path, p.ns, p.has, amount(p.count)),
        Expect::Http(h) => {
            let size = h.size.as_ref().map_or_else(String::new, |size| format!(", {size}"));
            match *h.status {
                0 => format!("{} gets no answer from {}", h.from, h.url),
                status => format!("{} gets {} with status {status}{size}", h.from, h.url),
            }
        }
        Expect::Tcp(t) => match &t.error {
            Some(error) => format!("TCP from {} to {} fails with {error}", t.from, t.to),
            None => format!("TCP from {} to {} works", t.from, t.to),
        },
        Expect::TcpReceived(t) => format!("the TCP server at {}:{} receives {}", t.at, t.port, t.size),
        Expect::UdpReceived(u) => {
            format!("the UDP server at {}:{} receives datagrams: {}", u.at, u.port, amount(u.count))
        }
        Expect::Prints(p) => format!("programs in {} print `{}`: {}", p.ns, p.has, amount(p.count)),
        Expect::Ended(Finish::Quiescent) => "the network comes to rest".into(),
        Expect::Ended(Finish::Until) => "the run goes on until its end time".into(),
        Expect::Ended(Finish::Limit(kind)) => {
            let kind = match kind {
                LimitKind::Events => "events",
                LimitKind::Frames => "frames",
                LimitKind::Time => "time",
            };
            format!("the run ends by the limit of {kind}")
        }
    }
}

fn goal(p: &Probe) -> String {
    match (p.tcp, p.udp) {
        (Some(port), _) => format!("{} by TCP at port {port}", p.to),
        (_, Some(port)) => format!("{} by UDP at port {port}", p.to),
        _ => p.to.to_string(),
    }
}

fn host(prefix: crate::base::Prefix) -> String {
    if prefix.is_host() { prefix.addr().to_string() } else { prefix.to_string() }
}

/// A count in words.
fn amount(count: Count) -> String {
    match (count.min, count.max) {
        (0, 0) => "none".into(),
        (min, max) if min == max => format!("exactly {min}"),
        (0, max) => format!("at most {max}"),
        (min, u64::MAX) => format!("at least {min}"),
        (min, max) => format!("{min} to {max}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_words() {
        let of = |min, max| amount(Count { min, max });
        assert_eq!([of(0, 0), of(3, 3), of(0, 9)], ["none", "exactly 3", "at most 9"]);
        assert_eq!([of(1, u64::MAX), of(2, 4)], ["at least 1", "2 to 4"]);
    }
}
