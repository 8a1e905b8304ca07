//! Between the way of a packet and netfilter.

use crate::{
    base::{DevId, NsId, proto},
    kernel::Kernel,
    netfilter::{HookEnv, HookFacts, RejectWith, Verdict},
    trace::{DropReason, Event, HookPoint},
    wire::{Frame, IpHeader, checksum, icmp},
};
use std::net::IpAddr;

/// What netfilter may ask about the namespace.
struct Facts<'a> {
    devs: &'a [crate::kernel::Device],
    names: &'a crate::trace::Names,
    next_hop: Option<IpAddr>,
}

impl HookFacts for Facts<'_> {
    fn dev_name(&self, dev: DevId) -> &str {
        self.names.dev(dev)
    }

    fn masquerade_addr(&self, out: DevId, dst: IpAddr) -> Option<IpAddr> {
        let towards = self.next_hop.unwrap_or(dst);
        let primary = || self.primary(out, dst.is_ipv4());
        primary().find(|a| a.subnet().contains(towards)).or_else(|| primary().next()).map(|a| a.prefix.addr())
    }

    fn redirect_addr(&self, dev: DevId, ipv4: bool) -> Option<IpAddr> {
        self.primary(dev, ipv4).next().map(|a| a.prefix.addr())
    }
}

impl<'a> Facts<'a> {
    fn primary(&self, dev: DevId, ipv4: bool) -> impl Iterator<Item = &'a crate::kernel::IfAddr> + use<'a> {
        let addrs: &'a [crate::kernel::IfAddr] = &self.devs[dev.index()].addrs;
        addrs.iter().filter(move |a| a.prefix.is_ipv4() == ipv4 && !a.secondary)
    }
}

impl Kernel {
    /// Whether conntrack looks at packets of this namespace.
    #[inline]
    pub(crate) fn tracks(&self, ns: NsId, ipv4: bool) -> bool {
        self.ns(ns).netfilter.as_ref().is_some_and(|nf| nf.tracks(ipv4))
    }

    /// Passes a packet through a hook. Gives it back if it goes on, with whether it must be routed anew.
    #[inline]
    #[allow(clippy::too_many_arguments)] // nf_hook_state, field by field
    pub(crate) fn run_hook(
        &mut self,
        ns: NsId,
        hook: HookPoint,
        in_dev: Option<DevId>,
        out_dev: Option<DevId>,
        next_hop: Option<IpAddr>,
        ip: &mut IpHeader,
        frame: Frame,
    ) -> Option<(Frame, bool)> {
        match &self.nss[ns.index()].netfilter {
            Some(nf) if !nf.is_idle(hook, ip.is_ipv4()) => {}
            _ => return Some((frame, false)),
        }
        self.run_hook_slow(ns, hook, in_dev, out_dev, next_hop, ip, frame).ok()
    }

    /// As [`Kernel::run_hook`], with the verdict of a packet that does not go on.
    #[allow(clippy::too_many_arguments)] // nf_hook_state, field by field
    pub(crate) fn run_hook_slow(
        &mut self,
        ns: NsId,
        hook: HookPoint,
        in_dev: Option<DevId>,
        out_dev: Option<DevId>,
        next_hop: Option<IpAddr>,
        ip: &mut IpHeader,
        mut frame: Frame,
    ) -> Result<(Frame, bool), Verdict> {
        let now = self.core.now;
        let Some(nf) = self.nss[ns.index()].netfilter.as_deref_mut() else { return Ok((frame, false)) };
        let out = &mut self.scratch.hook;
        out.skip_nat = !self.core.tracer.on();
        let facts = Facts { devs: &self.devs, names: &self.core.tracer.names, next_hop };
        let env = HookEnv { in_dev, out_dev, facts: &facts };
        let verdict = nf.hook(now, hook, &mut frame, ip, &env, out);
        let at = out_dev.filter(|_| in_dev.is_none()).or(in_dev);
        if self.core.tracer.on() {
            let id = Some(frame.id());
            if let Some((before, after)) = out.nat {
                self.core.emit(ns, at, id, Event::Nat { hook, before, after });
            }
            for c in &out.changes {
                let event = Event::Conntrack { change: c.change, original: c.original, reply: c.reply };
                self.core.emit(ns, at, id, event);
            }
        }
        let reroute = out.reroute;
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
        // Nobody is told about a packet that may be damaged, nor about one that is only a part of what its checksum is
        // of (nf_reject_verify_csum, reject6_csum_ok).
        if ip.is_fragment() && !spares_checksum(ip, frame) || !transport_intact(ip, frame) {
            return;
        }
        match with.icmp(ip.is_ipv4()) {
            Some((kind, code)) => self.icmp_error(ns, in_dev, ip, frame, kind, code, 0),
            // A filter's resets are not TCP's own and are not counted as such (nf_send_reset).
            None => {
                self.tcp_reset(ns, ip, frame);
            }
        }
    }
}

/// Whether the packet carries no checksum over all of it: GRE, DCCP, ESP, AH, SCTP, UDP-Lite, and UDP that does without.
fn spares_checksum(ip: &IpHeader, frame: &Frame) -> bool {
    match ip.proto {
        proto::UDP => ip.is_ipv4() && ip.payload(frame.data()).get(6..8) == Some(&[0, 0]),
        other => matches!(other, proto::GRE | 33 | 50 | 51 | 132 | 136),
    }
}

/// Whether the checksum of what the packet carries is right, or need not be looked at. Of protocols it does not know the
/// kernel expects that their words sum up (nf_ip_checksum; case filter-reject-checksums).
fn transport_intact(ip: &IpHeader, frame: &Frame) -> bool {
    let l4 = ip.payload(frame.data());
    if ip.is_fragment() || !super::transport::untrusted(frame) || spares_checksum(ip, frame) {
        return true;
    }
    match ip.proto {
        proto::ICMP => icmp::checksum_ok(l4, ip.src, ip.dst),
        proto::TCP | proto::UDP | proto::ICMPV6 => checksum::upper(ip.src, ip.dst, ip.proto, l4) == 0,
        _ => checksum::of(l4) == 0,
    }
}
