//! Expectations about what was counted: drops, deliveries, sources, lines of files.

use super::{Case, Verdict, plural};
use crate::{
    procfs,
    scenario::{
        run::open,
        schema::{Count, Delivered, Dropped, Misdelivered, Prints, Seen},
    },
};
use std::net::Ipv6Addr;

impl Case<'_> {
    pub(super) fn seen(&self, seen: &Seen, wanted: bool) -> Verdict {
        let Some(ns) = self.ns(&seen.at) else { return nowhere(&seen.at) };
        let watch = open(&self.built.watch);
        let here: Vec<_> = watch.seen.iter().filter(|((at, _), _)| *at == ns).map(|((_, src), n)| (*src, *n)).collect();
        let count: u64 = here.iter().filter(|(src, _)| seen.src.contains(*src)).map(|(_, n)| n).sum();
        if count > 0 {
            return Verdict::new(wanted, format!("{} came in from there", plural(count, "packet")));
        }
        let others: Vec<String> = here.iter().take(5).map(|(src, _)| src.to_string()).collect();
        let why = match others.is_empty() {
            true => "no packet came in at all".to_string(),
            false => format!("packets came in from {} only", others.join(", ")),
        };
        Verdict::new(!wanted, why)
    }

    pub(super) fn dropped(&self, dropped: &Dropped) -> Verdict {
        let names = &self.built.world.core.tracer.names;
        let stats = open(&self.books.stats);
        let fitting = || {
            stats.drops().filter(|((reason, ns, _), _)| {
                reason.code() == dropped.reason.value && dropped.at.as_ref().is_none_or(|at| names.ns(*ns) == at.value)
            })
        };
        let count = fitting().map(|(_, stat)| stat.count).sum();
        let mut verdict = Verdict::count(dropped.count, count, "frame");
        if let Some((_, first)) = fitting().min_by_key(|(_, stat)| stat.first) {
            let example = first.example.as_deref().map_or_else(String::new, |e| format!(", the first: {e}"));
            verdict.why.push_str(&example);
        }
        verdict
    }

    pub(super) fn delivered(&self, d: &Delivered) -> Verdict {
        let (Some(from), Some(to)) = (self.ns(&d.from), self.ns(&d.to)) else { return nowhere(&d.from) };
        let count = open(&self.built.watch).delivered.get(&(from, to)).copied().unwrap_or(0);
        Verdict::count(d.count, count, "packet")
    }

    pub(super) fn misdelivered(&self, m: &Misdelivered) -> Verdict {
        let fits = |w: &&crate::report::run::Misdelivery| {
            w.at == m.at.value && m.meant.as_ref().is_none_or(|meant| w.meant == meant.value)
        };
        let wrong: Vec<_> = self.report.misdeliveries.iter().filter(fits).collect();
        let count = wrong.iter().map(|w| w.count).sum();
        let mut verdict = Verdict::count(m.count, count, "frame");
        if let Some(first) = wrong.first() {
            verdict.why.push_str(&format!(", the first meant for {}: {}", first.meant, first.packet));
        }
        verdict
    }

    /// Lines of a file of `/proc` that have all these words in this order.
    pub(super) fn lines(&self, ns: &str, path: &str, has: &str, count: Count) -> Verdict {
        let Some(id) = self.ns(ns) else { return nowhere(ns) };
        match procfs::read(&self.built.world, id, path) {
            Ok(text) => {
                let fitting: Vec<&str> = text.lines().filter(|line| in_order(line, has)).collect();
                let mut verdict = Verdict::count(count, fitting.len() as u64, "line");
                match fitting.first() {
                    Some(first) if verdict.holds => verdict.why = format!("{}: {}", verdict.why, squeeze(first)),
                    _ => {}
                }
                verdict
            }
            Err(e) => Verdict::new(count.contains(0), e.to_string()),
        }
    }

    pub(super) fn prints(&self, p: &Prints) -> Verdict {
        let Some(ns) = self.ns(&p.ns) else { return nowhere(&p.ns) };
        let programs = self.built.world.apps().filter(|a| a.ns == ns).flat_map(|a| a.output.iter());
        let of_programs = programs.filter(|line| line.contains(&p.has.value)).count();
        let commands = self.report.steps.iter().zip(self.steps_in_order());
        let of_commands = commands
            .filter(|(_, planned)| planned.app.is_none() && planned.ns == Some(ns))
            .flat_map(|(report, _)| report.output.iter())
            .filter(|line| line.contains(&p.has.value))
            .count();
        Verdict::count(p.count, (of_programs + of_commands) as u64, "line")
    }

    /// The steps as the report lists them: by time.
    fn steps_in_order(&self) -> Vec<&crate::scenario::build::PlannedStep> {
        let mut steps: Vec<_> = self.built.steps.iter().collect();
        steps.sort_by_key(|s| s.at);
        steps
    }
}

/// A namespace that does not exist; a loaded scenario has none such.
fn nowhere(ns: &str) -> Verdict {
    Verdict::new(false, format!("there is no namespace `{ns}`"))
}

/// The words with every `key=IPV6` as the kernel writes it in `/proc/net/nf_conntrack`: all 32 digits (`%pI6`).
pub(super) fn spelt_out(has: &str) -> String {
    let spell = |word: &str| match word.split_once('=').and_then(|(k, v)| Some((k, v.parse::<Ipv6Addr>().ok()?))) {
        Some((key, addr)) => format!("{key}={}", addr.segments().map(|s| format!("{s:04x}")).join(":")),
        None => word.to_string(),
    };
    has.split_whitespace().map(spell).collect::<Vec<_>>().join(" ")
}

/// Whether all words of `has` are parts of the line, in this order.
fn in_order(line: &str, has: &str) -> bool {
    let mut rest = line;
    has.split_whitespace().all(|word| match rest.find(word) {
        Some(at) => {
            rest = &rest[at + word.len()..];
            true
        }
        None => false,
    })
}

/// A line with its columns set close.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_are_spelt_out() {
        let all = "icmpv6 src=fd00:0000:0000:0000:0000:0000:0000:0001 id=7";
        assert_eq!(spelt_out("icmpv6 src=fd00::1  id=7"), all);
    }

    #[test]
    fn words_are_found_in_order() {
        let line = "icmp 1 29 src=10.0.0.2 dst=198.51.100.20 src=198.51.100.20 dst=203.0.113.2";
        assert!(in_order(line, "icmp src=10.0.0.2 dst=203.0.113.2"));
        assert!(!in_order(line, "dst=203.0.113.2 src=10.0.0.2"));
        assert!(in_order(line, ""));
        assert_eq!(squeeze("a   b\t c "), "a b c");
    }
}
