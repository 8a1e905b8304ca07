//! A progress bar for runs that take long, on a terminal only.

use super::terminal::Terminal;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use netsim::{
    base::{MS, time},
    scenario::Progress,
};
use std::time::{Duration, Instant};

/// Runs shorter than this show nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows how far a run has got; vanishes when dropped.
pub struct Meter {
    what: String,
    watched: bool,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// Starts measuring. `what` is shown in front of the bar.
    #[expect(clippy::disallowed_methods, reason = "the patience of whoever watches is measured in real time")]
    pub fn new(what: impl Into<String>, terminal: &Terminal) -> Meter {
        Meter { what: what.into(), watched: terminal.is_watched(), started: Instant::now(), bar: None }
    }

    /// Takes note of how far the run has got.
    pub fn update(&mut self, progress: Progress) {
        if !self.watched || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| new_bar(&self.what, progress.until.is_some()));
        if let Some(until) = progress.until {
            bar.set_length(until / MS);
        }
        bar.set_position(progress.time / MS);
        bar.set_message(message(progress));
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(what: &str, end_known: bool) -> ProgressBar {
    let template = if end_known { "{prefix} [{bar:30}] {msg}" } else { "{prefix} {spinner} {msg}" };
    let style = ProgressStyle::with_template(template).expect("the template is constant and well formed");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style).with_prefix(what.to_owned())
}

fn message(progress: Progress) -> String {
    let (events, frames) = (HumanCount(progress.events), HumanCount(progress.frames));
    format!("{} of virtual time, {events} events, {frames} frames", time::show(progress.time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::Color;

    #[test]
    fn says_how_far() {
        let progress = Progress { time: 90_000 * MS, until: None, events: 1_234_567, frames: 12 };
        assert_eq!(message(progress), "90s of virtual time, 1,234,567 events, 12 frames");
    }

    #[test]
    fn short_runs_show_nothing() {
        let mut meter = Meter::new("run", &Terminal::new(Color::Never));
        meter.update(Progress { time: 1, until: Some(2), events: 1, frames: 1 });
        assert!(meter.bar.is_none());
    }
}
