//! The hooks: what happens to a packet at each of them, in which order.

use super::{
    Netfilter,
    chain::{ChainVerdict, RejectWith, priority},
    conntrack::{FlowChange, status},
    matching::{CtView, View},
    nat::{Manip, NatAction, NatTarget, rewrite, unique},
};
use crate::{
    base::{DevId, Time, Tuple, proto},
    netfilter::conntrack::is_untracked,
    trace::{DropReason, HookPoint},
    wire::{CtInfo, CtRef, Frame, IpHeader, icmp, ports},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

/// What rules need to know of the namespace around them.
pub trait HookFacts {
    /// The name of a device.
    fn dev_name(&self, dev: DevId) -> &str;

    /// The source address a packet to `dst` leaving by `out` would get (`inet_select_addr` for the next hop).
    fn masquerade_addr(&self, out: DevId, dst: IpAddr) -> Option<IpAddr>;

    /// The first address of a device, for `redirect`.
    fn redirect_addr(&self, dev: DevId, ipv4: bool) -> Option<IpAddr>;
}

/// Where a packet is.
#[derive(Clone, Copy)]
pub struct HookEnv<'a> {
    /// The device it came in by.
    pub in_dev: Option<DevId>,
    /// The device it leaves by, once routed.
    pub out_dev: Option<DevId>,
    /// The namespace.
    pub facts: &'a dyn HookFacts,
}

/// What became of a packet at a hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It is dropped.
    Drop(DropReason),
    /// The caller tells the sender, then drops it with [`DropReason::NetfilterReject`].
    Reject(RejectWith),
}

/// What a hook did beside its verdict. Reused from call to call, so that nothing is allocated per packet.
#[derive(Clone, Debug, Default)]
pub struct HookOut {
    /// The destination of an outgoing packet changed: it must be routed again.
    pub reroute: bool,
    /// The packet's tuple before and after a translation.
    pub nat: Option<(Tuple, Tuple)>,
    /// Entries that appeared and went, oldest first.
    pub changes: Vec<FlowChange>,
}

/// The entry an ICMP error or reset about a packet belongs to (`nf_conntrack_attach`): that of the packet, in the other
/// direction. Put it in the `ct` of the answer before it passes the output hook.
///
/// ```
/// use netsim::{netfilter::attach, wire::{CtInfo, CtRef}};
/// let ct = CtRef { slot: 3, generation: 0, reply: false, info: CtInfo::New };
/// let answer = attach(Some(ct)).unwrap();
/// assert!(answer.reply && answer.info == CtInfo::Related && answer.slot == 3);
/// assert_eq!(attach(None), None);
/// ```
pub fn attach(ct: Option<CtRef>) -> Option<CtRef> {
    ct.map(|ct| CtRef { reply: !ct.reply, info: CtInfo::Related, ..ct })
}

const DROP: Verdict = Verdict::Drop(DropReason::NetfilterDrop);

impl Netfilter {
    /// Passes a packet through a hook. The frame starts with the IP header that `ip` describes; both are rewritten by
    /// NAT. `out` is cleared first.
    pub fn hook(
        &mut self,
        now: Time,
        hook: HookPoint,
        frame: &mut Frame,
        ip: &mut IpHeader,
        env: &HookEnv<'_>,
        out: &mut HookOut,
    ) -> Verdict {
        out.reroute = false;
        out.nat = None;
        out.changes.clear();
        match self.pass(now, hook, frame, ip, env, out) {
            Ok(()) => Verdict::Accept,
            Err(verdict) => verdict,
        }
    }

    #[inline]
    fn pass(
        &mut self,
        now: Time,
        hook: HookPoint,
        frame: &mut Frame,
        ip: &mut IpHeader,
        env: &HookEnv<'_>,
        out: &mut HookOut,
    ) -> Result<(), Verdict> {
        use priority::{CONNTRACK, DSTNAT, SRCNAT};
        let family = ip.is_ipv4() as usize;
        if !self.tracking[family] {
            return self.filter(hook, i32::MIN..i32::MAX, frame, ip, env);
        }
        match hook {
            HookPoint::Prerouting | HookPoint::Output => {
                self.filter(hook, i32::MIN..CONNTRACK, frame, ip, env)?;
                self.ct
                    .track(now, frame, ip, hook == HookPoint::Prerouting, &mut out.changes)
                    .map_err(Verdict::Drop)?;
                self.filter(hook, CONNTRACK..DSTNAT, frame, ip, env)?;
                if self.translating[family] {
                    self.translate(now, hook, Manip::Dst, frame, ip, env, out)?;
                }
                self.filter(hook, DSTNAT..i32::MAX, frame, ip, env)
            }
            HookPoint::Forward => self.filter(hook, i32::MIN..i32::MAX, frame, ip, env),
            HookPoint::Input | HookPoint::Postrouting => {
                self.filter(hook, i32::MIN..SRCNAT, frame, ip, env)?;
                if self.translating[family] {
                    self.translate(now, hook, Manip::Src, frame, ip, env, out)?;
                }
                self.filter(hook, SRCNAT..i32::MAX, frame, ip, env)?;
                self.confirm(now, frame, self.translating[family], out)
            }
        }
    }

    /// Runs the chains of a hook whose priority lies in `band`.
    #[inline]
    fn filter(
        &mut self,
        hook: HookPoint,
        band: Range<i32>,
        frame: &mut Frame,
        ip: &IpHeader,
        env: &HookEnv<'_>,
    ) -> Result<(), Verdict> {
        if self.chain_order[hook as usize].is_empty() {
            return Ok(());
        }
        let ct = frame.meta().ct;
        let mut view = view(frame, ip, env, self.ct.get(ct));
        let ct_mark = view.ct.mark;
        for i in &self.chain_order[hook as usize] {
            let chain = &mut self.chains[*i];
            if !band.contains(&chain.priority) || !chain.family.covers(ip.is_ipv4()) {
                continue;
            }
            match chain.run(&mut view) {
                ChainVerdict::Accept => {}
                ChainVerdict::Drop => return Err(DROP),
                ChainVerdict::Reject(with) => return Err(Verdict::Reject(with)),
            }
        }
        let (mark, new_ct_mark) = (view.mark, view.ct.mark);
        frame.meta_mut().mark = mark;
        if new_ct_mark != ct_mark
            && let Some(entry) = self.ct.get_mut(ct)
        {
            entry.mark = new_ct_mark;
        }
        Ok(())
    }

    /// Destination or source NAT (`nf_nat_inet_fn`).
    #[inline]
    fn translate(
        &mut self,
        now: Time,
        hook: HookPoint,
        manip: Manip,
        frame: &mut Frame,
        ip: &mut IpHeader,
        env: &HookEnv<'_>,
        out: &mut HookOut,
    ) -> Result<(), Verdict> {
        let Some(ct) = frame.meta().ct else { return Ok(()) };
        let Some(e) = self.ct.get(Some(ct)) else { return Ok(()) };
        let about_flow = ct.info == CtInfo::Related && matches!(ip.proto, proto::ICMP | proto::ICMPV6);
        if about_flow && is_redirect(ip, frame.data()) {
            // Hosts behind a translation would learn a gateway for an address that is not theirs.
            let done = status::SRC_NAT_DONE | status::DST_NAT_DONE;
            if e.status & done != done || e.has(status::SRC_NAT | status::DST_NAT) {
                return Err(DROP);
            }
        }
        let done = if manip == Manip::Src { status::SRC_NAT_DONE } else { status::DST_NAT_DONE };
        if ct.info != CtInfo::Established && !about_flow && !e.has(done) {
            if !e.has(status::CONFIRMED | status::DYING) {
                self.bind(now, hook, manip, ct, frame, ip, env, out)?;
            }
        } else if !about_flow
            && hook == HookPoint::Postrouting
            && !ct.reply
            && e.masq_dev.is_some_and(|dev| Some(dev) != env.out_dev)
        {
            // The uplink changed under a masqueraded flow (`nf_nat_oif_changed`): its next packet begins a new one.
            self.ct.kill(ct.slot, &mut out.changes);
            return Err(DROP);
        }
        let e = self.ct.slot(ct.slot);
        let translated = if (manip == Manip::Src) != ct.reply { status::SRC_NAT } else { status::DST_NAT };
        if !e.has(translated) {
            return Ok(());
        }
        let (inner, before) = (*e.dir(!ct.reply), ports::tuple(ip, ip.payload(frame.data())));
        let target = inner.inverse();
        if about_flow {
            rewrite::icmp_error(frame.data_mut(), ip, &inner, &target, manip);
        } else {
            rewrite::packet(frame.data_mut(), ip, &target, manip);
        }
        let after = ports::tuple(ip, ip.payload(frame.data()));
        out.nat = Some((before, after));
        out.reroute = hook == HookPoint::Output && before.dst != after.dst;
        Ok(())
    }

    /// Finds the translation of one end of a new flow (`nf_nat_setup_info`).
    fn bind(
        &mut self,
        now: Time,
        hook: HookPoint,
        manip: Manip,
        ct: CtRef,
        frame: &Frame,
        ip: &IpHeader,
        env: &HookEnv<'_>,
        out: &mut HookOut,
    ) -> Result<(), Verdict> {
        let current = self.ct.slot(ct.slot).reply.inverse();
        let range = match self.rule_for(hook, ct, frame, ip, env)? {
            Some(range) => range,
            // The null binding (`nf_nat_alloc_null_binding`): the addresses as they are, any free port.
            None => {
                let addr = if manip == Manip::Src { current.src } else { current.dst };
                unique::Range { to: NatTarget::addr(addr), ..unique::Range::default() }
            }
        };
        let chosen =
            unique::choose(&mut self.ct, now, &mut self.rng, ct.slot, &current, &range, manip, &mut out.changes);
        let e = self.ct.slot_mut(ct.slot);
        let (done, translated) = match manip {
            Manip::Src => (status::SRC_NAT_DONE, status::SRC_NAT),
            Manip::Dst => (status::DST_NAT_DONE, status::DST_NAT),
        };
        e.status |= done;
        if chosen != current {
            e.reply = chosen.inverse();
            e.status |= translated;
        }
        Ok(())
    }

    /// The range of the first NAT rule that fits, or `None` if none does.
    fn rule_for(
        &mut self,
        hook: HookPoint,
        ct: CtRef,
        frame: &Frame,
        ip: &IpHeader,
        env: &HookEnv<'_>,
    ) -> Result<Option<unique::Range>, Verdict> {
        let view = view(frame, ip, env, self.ct.get(Some(ct)));
        let ipv4 = ip.is_ipv4();
        let rules = &mut self.nat;
        let fits = |i: &usize| rules[*i].family.covers(ipv4) && rules[*i].matches.fits(&view);
        let Some(i) = self.nat_order[hook as usize].iter().copied().find(fits) else { return Ok(None) };
        rules[i].counter.add(ip.total_len);
        let at = |addr: IpAddr, ports| NatTarget { addrs: Some((addr, addr)), ports };
        Ok(Some(match rules[i].action {
            NatAction::Snat { to, random, persistent } => unique::Range { to, random, persistent },
            NatAction::Dnat { to } => unique::Range { to, ..unique::Range::default() },
            NatAction::Redirect { ports } => {
                let addr = match hook {
                    HookPoint::Output if ipv4 => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                    HookPoint::Output => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
                    _ => env.in_dev.and_then(|dev| env.facts.redirect_addr(dev, ipv4)),
                };
                unique::Range { to: at(addr.ok_or(DROP)?, ports), ..unique::Range::default() }
            }
            // A packet without a source (DHCP) is not to be masqueraded (`nf_nat_masquerade_ipv4`).
            NatAction::Masquerade { .. } if ipv4 && ip.src.is_unspecified() => return Ok(None),
            NatAction::Masquerade { ports, random } => {
                let dev = env.out_dev.ok_or(DROP)?;
                let addr = env.facts.masquerade_addr(dev, ip.dst).ok_or(DROP)?;
                self.ct.slot_mut(ct.slot).masq_dev = Some(dev);
                unique::Range { to: at(addr, ports), random, persistent: false }
            }
        }))
    }

    /// A packet passed all hooks: its new flow is entered in the table (`nf_conntrack_confirm`).
    #[inline]
    fn confirm(&mut self, now: Time, frame: &Frame, nat: bool, out: &mut HookOut) -> Result<(), Verdict> {
        let Some(ct) = frame.meta().ct else { return Ok(()) };
        if ct.reply || self.ct.get(Some(ct)).is_none_or(|e| e.has(status::CONFIRMED | status::DYING)) {
            return Ok(());
        }
        if self.ct.confirm(now, ct.slot, &mut out.changes) {
            Ok(())
        } else if nat {
            Err(Verdict::Drop(DropReason::NatExhausted))
        } else {
            Err(DROP)
        }
    }
}

/// The packet as rules see it.
fn view<'a>(
    frame: &'a Frame,
    ip: &'a IpHeader,
    env: &HookEnv<'a>,
    entry: Option<&super::conntrack::Entry>,
) -> View<'a> {
    let (meta, l4) = (frame.meta(), ip.payload(frame.data()));
    View {
        ip,
        l4,
        in_dev: env.in_dev.map(|d| env.facts.dev_name(d)),
        out_dev: env.out_dev.map(|d| env.facts.dev_name(d)),
        packet_type: meta.packet_type,
        mark: meta.mark,
        ct: CtView::of(entry, meta.ct.map(|ct| ct.info), is_untracked(ip, l4)),
    }
}

fn is_redirect(ip: &IpHeader, b: &[u8]) -> bool {
    let kind = if ip.is_ipv4() { icmp::REDIRECT } else { icmp::v6::REDIRECT };
    ip.payload(b).first() == Some(&kind)
}
