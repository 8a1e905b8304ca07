//! Cables that are unplugged and wires that are not perfect.

use super::Builder;
use crate::{
    link::{Loss, NetemConfig, QdiscConfig},
    scenario::schema::Impairment,
};

impl Builder<'_> {
    pub(super) fn impairments(&mut self) {
        let scenario = self.scenario;
        for link in &scenario.links {
            let ends = [(link.a(), link.forward_impairment()), (link.b(), link.backward_impairment())];
            for (end, impairment) in ends {
                let Some(ns) = self.world.find_ns(&end.ns) else { continue };
                let Some(dev) = self.world.find_dev(ns, &end.dev) else { continue };
                if !impairment.is_none() {
                    self.world.set_qdisc(dev, queue_of(&impairment));
                }
                if !link.up {
                    self.world.set_carrier(dev, false);
                }
            }
        }
    }
}

/// The egress queue that impairs frames so.
pub(super) fn queue_of(i: &Impairment) -> QdiscConfig {
    if i.is_none() {
        return QdiscConfig::Noqueue;
    }
    let time = |t: Option<crate::scenario::Spanned<crate::scenario::Duration>>| t.map_or(0, |t| t.0);
    let share = |s: Option<crate::scenario::Spanned<crate::scenario::Share>>| s.map_or(0, |s| s.0);
    QdiscConfig::Netem(NetemConfig {
        delay: time(i.delay),
        jitter: time(i.jitter),
        loss: Loss::Random { share: share(i.loss), correlation: 0 },
        duplicate: share(i.duplicate),
        reorder: share(i.reorder),
        corrupt: share(i.corrupt),
        rate: i.rate.map_or(0, |r| r.0),
        limit: i.queue.map_or(NetemConfig::default().limit, |q| *q),
        ..NetemConfig::default()
    })
}
