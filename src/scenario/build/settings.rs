//! Kernel settings, routes, rules and neighbours.

use super::Builder;
use crate::{
    base::Prefix,
    kernel::{AdvertPrefix, ConfigError, RouterAdvert},
    scenario::{Diagnostic, Spanned, exec},
};

impl Builder<'_> {
    pub(super) fn settings(&mut self) {
        let scenario = self.scenario;
        for (name, ns) in scenario.namespaces.iter() {
            let Some(id) = self.world.find_ns(name) else { continue };
            for (key, value) in ns.sysctl.iter() {
                if let Err(e) = self.world.set_sysctl(id, key, value) {
                    let span =
                        if matches!(e, crate::kernel::sysctl::SysctlError::Value(_)) { value.span } else { key.span };
                    self.refuse(Diagnostic::error("bad-sysctl", span, e.to_string()));
                }
            }
            let lines = ns.routes.iter().map(|l| (l.span, "route", l.text.as_str()));
            let lines = lines.chain(ns.rules.iter().map(|l| (l.span, "rule", l.text.as_str())));
            let lines = lines.chain(ns.neigh.iter().map(|l| (l.span, "neigh", l.text.as_str())));
            for (span, object, words) in lines {
                let done = exec::add(&mut self.world, id, object, words);
                self.check(span, done.map_err(|e| ConfigError::new(e.errno(), e.sentence())));
            }
            for a in &ns.advertise {
                let Some(dev) = self.dev(id, &a.dev) else { continue };
                let prefix = |p: &Spanned<Prefix>| AdvertPrefix {
                    prefix: p.value,
                    on_link: true,
                    autonomous: p.len() == 64,
                    valid: None,
                    preferred: None,
                };
                let advert = RouterAdvert {
                    router_lifetime: if a.router { 1800 } else { 0 }, // RFC 4861 §6.2.1
                    hop_limit: 64,
                    mtu: a.mtu.map(|m| *m),
                    prefixes: a.prefixes.iter().map(prefix).collect(),
                    interval: None,
                };
                let done = self.world.advertise(dev, advert);
                self.check(a.span, done);
            }
        }
    }
}
