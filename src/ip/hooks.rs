//! Between the way of a packet and netfilter.

use crate::{
    base::{DevId, NsId},
    kernel::Kernel,
    netfilter::{HookEnv, HookFacts, RejectWith, Verdict},
    trace::{DropReason, Event, HookPoint},
    wire::{Frame, IpHeader},
};
use std::net::IpAddr;

/// What netfilter may ask about the namespace.
struct Facts<'a> {
    devs: &'a [crate::kernel::Device],
    names: &'a crate::trace::Names,
    fib: &'a crate::route::Fib,
}

impl HookFacts for Facts<'_> {
    fn dev_name(&self, dev: DevId) -> &str {
        self.names.dev(dev)
    }

    fn masquerade_addr(&self, out: DevId, towards: IpAddr) -> Option<IpAddr> {
        let v4 = towards.is_ipv4();
        let primary = || self.devs[out.index()].addrs.iter().filter(move |a| a.prefix.is_ipv4() == v4 && !a.secondary);
        primary().find(|a| a.subnet().contains(towards)).or_else(|| primary().next()).map(|a| a.prefix.addr())
    }

    fn is_local(&self, addr: IpAddr) -> bool {
        self.fib.local_kind(addr) == Some(crate::route::RouteType::Local)
    }
}

impl Kernel {
    /// Whether conntrack looks at packets of this namespace.
    #[inline]
    pub(crate) fn tracks(&self, ns: NsId) -> bool {
        self.ns(ns).netfilter.as_ref().is_some_and(|nf| nf.tracks())
    }

    /// Passes a packet through a hook. Gives it back if it goes on, with whether it must be routed anew.
    #[inline]
    pub(crate) fn run_hook(
        &mut self,
        ns: NsId,
        hook: HookPoint,
        in_dev: Option<DevId>,
        out_dev: Option<DevId>,
        ip: &mut IpHeader,
        frame: Frame,
    ) -> Option<(Frame, bool)> {
        if self.nss[ns.index()].netfilter.is_none() {
            return Some((frame, false));
        }
        self.run_hook_slow(ns, hook, in_dev, out_dev, ip, frame).ok()
    }

    /// As [`Kernel::run_hook`], with the verdict of a packet that does not go on.
    pub(crate) fn run_hook_slow(
        &mut self,
        ns: NsId,
        hook: HookPoint,
        in_dev: Option<DevId>,
        out_dev: Option<DevId>,
        ip: &mut IpHeader,
        mut frame: Frame,
    ) -> Result<(Frame, bool), Verdict> {
        let now = self.core.now;
        let mut out = std::mem::take(&mut self.scratch.hook);
        out.clear();
        let n = &mut self.nss[ns.index()];
        let Some(nf) = n.netfilter.as_deref_mut() else {
            self.scratch.hook = out;
            return Ok((frame, false));
        };
        let facts = Facts { devs: &self.devs, names: &self.core.tracer.names, fib: &n.fib };
        let env = HookEnv { in_dev, out_dev, facts: &facts };
        let verdict = nf.hook(now, hook, &mut frame, ip, &env, &mut out);
        let at = out_dev.filter(|_| in_dev.is_none()).or(in_dev);
        if self.core.tracer.on() {
            let id = Some(frame.id());
            if let Some((before, after)) = out.nat {
                self.core.emit(ns, at, id, Event::Nat { hook, before, after });
            }
            for c in &out.conntrack {
                let event = Event::Conntrack { change: c.change, original: c.original, reply: c.reply };
                self.core.emit(ns, at, id, event);
            }
        }
        let reroute = out.reroute;
        self.scratch.hook = out;
        match verdict {
            Verdict::Accept => Ok((frame, reroute)),
            Verdict::Drop(reason) => {
                self.core.drop(ns, at, frame, reason);
                Err(verdict)
            }
            Verdict::Reject(with) => {
                self.reject(ns, in_dev, ip, &frame, with);
                self.core.drop(ns, at, frame, DropReason::NetfilterReject);
                Err(verdict)
            }
        }
    }

    /// Answers a packet that a rule rejected (nf_send_unreach, nf_send_reset).
    fn reject(&mut self, ns: NsId, in_dev: Option<DevId>, ip: &IpHeader, frame: &Frame, with: RejectWith) {
        match with {
            RejectWith::Icmp(code) => {
                let kind = if ip.is_ipv4() { crate::wire::icmp::UNREACHABLE } else { crate::wire::icmp::v6::UNREACHABLE };
                self.icmp_error(ns, in_dev, ip, frame, kind, code, 0);
            }
            RejectWith::TcpReset => self.tcp_reset(ns, ip, frame),
        }
    }
}
