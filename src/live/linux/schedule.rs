//! Plays a translated scenario on the kernel: every job at its time.

use super::{
    Error, NetNs, Session, Tap, change_all, now, pause,
    programs::{forget, wait_until},
    record,
};
use crate::{
    base::{MS, Time},
    conform::{case::Dump, ops::object},
    live::{
        translate::{Deed, Job, Translation},
        verify::{Seen, Window},
    },
};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// How long a storm is watched before the network is switched off.
const STORM: Time = 150 * MS;

/// What still happens after the last program has ended.
const AFTERMATH: Time = 300 * MS;

/// Between steps that begin at the same time: they do so in the order of the file.
const STAGGER: Time = 2 * MS;

/// The tables that are compared at the end.
const TABLES: [&str; 5] = ["routes", "addr", "neigh", "fdb", "conntrack"];

/// See [`crate::live::play`].
pub fn play(t: &Translation, windows: &[Window]) -> Result<Seen, Error> {
    let session = Session::build(&t.case)?;
    let mut taps = session.nodes.iter().map(|(name, ns)| Tap::new(name, ns)).collect::<Result<Vec<_>, _>>()?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let recorder = scope.spawn(|| record(&mut taps, &stop));
        let played = t.services.iter().try_for_each(|s| session.serve(scope, s)).and_then(|()| {
            pause(t.case.warmup.0);
            session.jobs(t, windows)
        });
        stop.store(true, Ordering::SeqCst);
        let captured = recorder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        session.over.store(true, Ordering::SeqCst);
        let (mut seen, captured) = (played?, captured?);
        seen.packets = captured.packets;
        Ok(seen)
    })
}

impl<'c> Session<'c> {
    fn jobs(&self, t: &Translation, windows: &[Window]) -> Result<Seen, Error> {
        let begin = now();
        let mut seen = Seen {
            results: vec![Value::Null; t.jobs.len()],
            spans: Vec::new(),
            tables: Vec::new(),
            packets: Vec::new(),
        };
        let results = thread::scope(|scope| {
            let mut running = Vec::new();
            for w in windows {
                let first = t.jobs.get(w.jobs.start).map_or(w.start, |j| j.at);
                wait_until(begin + first);
                let start = now();
                if let Some((_, end)) = seen.spans.last_mut() {
                    *end = start - 1;
                }
                for i in w.jobs.clone() {
                    let job = if w.storm { brief(&t.jobs[i]) } else { t.jobs[i].clone() };
                    wait_until(begin + job.at);
                    running.push((i, scope.spawn(move || self.job(&job))));
                    pause(STAGGER);
                }
                seen.spans.push((start, Time::MAX));
                if w.storm {
                    pause(STORM);
                    change_all(&self.nodes, "down");
                }
            }
            let join = |(i, thread): (usize, thread::ScopedJoinHandle<'_, Result<Value, Error>>)| {
                Ok((i, thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?))
            };
            running.into_iter().map(join).collect::<Result<Vec<_>, Error>>()
        })?;
        for (i, result) in results {
            seen.results[i] = result;
        }
        pause(AFTERMATH);
        if let Some((_, end)) = seen.spans.last_mut() {
            *end = now();
        }
        for (name, ns) in &self.nodes {
            seen.tables.push((name.to_string(), self.tables_of(name, ns)?));
        }
        forget(self);
        Ok(seen)
    }

    fn tables_of(&self, name: &str, ns: &NetNs) -> Result<Value, Error> {
        let what = TABLES.iter().map(|t| t.to_string()).collect();
        let all = self.dump(ns, name, &Dump { what, ..Dump::default() })?;
        let table = |key: &'static str| (key, all.get(key).cloned());
        Ok(Value::Object(object(TABLES.map(table))))
    }
}

/// A ping that gives up soon.
fn brief(job: &Job) -> Job {
    let mut job = job.clone();
    if let Deed::Ping(p) = &mut job.deed {
        p.deadline = Some(crate::conform::case::Secs::ms(1000));
    }
    job
}
