//! The hooks: what happens to a packet at each of them, in which order.

use super::{
    Netfilter,
    chain::{ChainVerdict, RejectWith, priority},
    conntrack::{Entry, FlowChange, is_untracked, status},
    matching::{CtView, View},
    nat::{Manip, NatAction, NatTarget, rewrite, unique},
};
use crate::{
    base::{DevId, Time, Tuple, proto},
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
    /// Set by the caller: leave `nat` empty, nobody will look at it.
    pub skip_nat: bool,
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

/// A packet on its way through one hook.
struct Pass<'a, 'e> {
    now: Time,
    hook: HookPoint,
    frame: &'a mut Frame,
    ip: &'a mut IpHeader,
    env: &'a HookEnv<'e>,
    out: &'a mut HookOut,
}

impl Pass<'_, '_> {
    /// The packet as rules see it.
    fn view(&self, entry: Option<&Entry>) -> View<'_> {
        let (meta, l4) = (self.frame.meta(), self.ip.payload(self.frame.data()));
        View {
            ip: self.ip,
            l4,
            in_dev: self.env.in_dev.map(|d| self.env.facts.dev_name(d)),
            out_dev: self.env.out_dev.map(|d| self.env.facts.dev_name(d)),
            packet_type: meta.packet_type,
            mark: meta.mark,
            ct: CtView::of(entry, meta.ct.map(|ct| ct.info), is_untracked(self.ip, l4)),
        }
    }
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
        match self.pass(&mut Pass { now, hook, frame, ip, env, out }) {
            Ok(()) => Verdict::Accept,
            Err(verdict) => verdict,
        }
    }

    #[inline]
    fn pass(&mut self, p: &mut Pass<'_, '_>) -> Result<(), Verdict> {
        use priority::{CONNTRACK, DSTNAT, SRCNAT};
        let family = p.ip.is_ipv4() as usize;
        if !self.tracking[family] {
            return self.filter(p, i32::MIN..i32::MAX);
        }
        match p.hook {
            HookPoint::Prerouting | HookPoint::Output => {
                self.filter(p, i32::MIN..CONNTRACK)?;
                let prerouting = p.hook == HookPoint::Prerouting;
                self.ct.track(p.now, p.frame, p.ip, prerouting, &mut p.out.changes).map_err(Verdict::Drop)?;
                self.filter(p, CONNTRACK..DSTNAT)?;
                if self.translating[family] {
                    self.translate(p, Manip::Dst)?;
                }
                self.filter(p, DSTNAT..i32::MAX)
            }
            HookPoint::Forward => self.filter(p, i32::MIN..i32::MAX),
            HookPoint::Input | HookPoint::Postrouting => {
                self.filter(p, i32::MIN..SRCNAT)?;
                if self.translating[family] {
                    self.translate(p, Manip::Src)?;
                }
                self.filter(p, SRCNAT..i32::MAX)?;
                self.confirm(p, self.translating[family])
            }
        }
    }

    /// Runs the chains of a hook whose priority lies in `band`.
    #[inline(always)]
    fn filter(&mut self, p: &mut Pass<'_, '_>, band: Range<i32>) -> Result<(), Verdict> {
        if self.chain_order[p.hook as usize].is_empty() { Ok(()) } else { self.run_chains(p, band) }
    }

    fn run_chains(&mut self, p: &mut Pass<'_, '_>, band: Range<i32>) -> Result<(), Verdict> {
        let ct = p.frame.meta().ct;
        let mut view = p.view(self.ct.get(ct));
        let ct_mark = view.ct.mark;
        for i in &self.chain_order[p.hook as usize] {
            let chain = &mut self.chains[*i];
            if !band.contains(&chain.priority) || !chain.family.covers(p.ip.is_ipv4()) {
                continue;
            }
            match chain.run(&mut view) {
                ChainVerdict::Accept => {}
                ChainVerdict::Drop => return Err(DROP),
                ChainVerdict::Reject(with) => return Err(Verdict::Reject(with)),
            }
        }
        let (mark, new_ct_mark) = (view.mark, view.ct.mark);
        p.frame.meta_mut().mark = mark;
        if new_ct_mark != ct_mark
            && let Some(entry) = self.ct.get_mut(ct)
        {
            entry.mark = new_ct_mark;
        }
        Ok(())
    }

    /// Destination or source NAT (`nf_nat_inet_fn`).
    #[inline]
    fn translate(&mut self, p: &mut Pass<'_, '_>, manip: Manip) -> Result<(), Verdict> {
        let Some(ct) = p.frame.meta().ct else { return Ok(()) };
        let Some(e) = self.ct.get(Some(ct)) else { return Ok(()) };
        let about_flow = ct.info == CtInfo::Related && matches!(p.ip.proto, proto::ICMP | proto::ICMPV6);
        if about_flow && is_redirect(p.ip, p.frame.data()) {
            // Hosts behind a translation would learn a gateway for an address that is not theirs.
            let done = status::SRC_NAT_DONE | status::DST_NAT_DONE;
            if e.status & done != done || e.has(status::SRC_NAT | status::DST_NAT) {
                return Err(DROP);
            }
        }
        let done = if manip == Manip::Src { status::SRC_NAT_DONE } else { status::DST_NAT_DONE };
        if ct.info != CtInfo::Established && !about_flow && !e.has(done) {
            if !e.has(status::CONFIRMED | status::DYING) {
                self.bind(p, manip, ct)?;
            }
        } else if !about_flow
            && p.hook == HookPoint::Postrouting
            && !ct.reply
            && e.masq_dev.is_some_and(|dev| Some(dev) != p.env.out_dev)
        {
            // The uplink changed under a masqueraded flow (`nf_nat_oif_changed`): its next packet begins a new one.
            self.ct.kill(ct.slot, &mut p.out.changes);
            return Err(DROP);
        }
        let e = self.ct.slot(ct.slot);
        let translated = if (manip == Manip::Src) != ct.reply { status::SRC_NAT } else { status::DST_NAT };
        if !e.has(translated) {
            return Ok(());
        }
        let inner = e.dir(!ct.reply);
        let (target, dst) = (inner.inverse(), p.ip.dst);
        let before = (!p.out.skip_nat).then(|| ports::tuple(p.ip, p.ip.payload(p.frame.data())));
        if about_flow {
            rewrite::icmp_error(p.frame.data_mut(), p.ip, inner, &target, manip);
        } else {
            rewrite::packet(p.frame.data_mut(), p.ip, &target, manip);
        }
        p.out.reroute = p.hook == HookPoint::Output && dst != p.ip.dst;
        if let Some(before) = before {
            let mut after = Tuple { src: p.ip.src, dst: p.ip.dst, ..before };
            match manip {
                _ if about_flow => {}
                _ if target.is_icmp() => (after.sport, after.dport) = (target.sport, target.sport),
                Manip::Src => after.sport = target.sport,
                Manip::Dst => after.dport = target.dport,
            }
            p.out.nat = Some((before, after));
        }
        Ok(())
    }

    /// Finds the translation of one end of a new flow (`nf_nat_setup_info`).
    fn bind(&mut self, p: &mut Pass<'_, '_>, manip: Manip, ct: CtRef) -> Result<(), Verdict> {
        let current = self.ct.slot(ct.slot).reply.inverse();
        let range = match self.rule_for(p, ct)? {
            Some(range) => range,
            // The null binding (`nf_nat_alloc_null_binding`): the addresses as they are, any free port.
            None => {
                let addr = if manip == Manip::Src { current.src } else { current.dst };
                unique::Range { to: NatTarget::addr(addr), ..unique::Range::default() }
            }
        };
        let mut choice = unique::Choice {
            ct: &mut self.ct,
            now: p.now,
            rng: &mut self.rng,
            entry: ct.slot,
            range,
            manip,
            changes: &mut p.out.changes,
        };
        let chosen = choice.choose(&current);
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
    fn rule_for(&mut self, p: &Pass<'_, '_>, ct: CtRef) -> Result<Option<unique::Range>, Verdict> {
        let view = p.view(self.ct.get(Some(ct)));
        let ipv4 = p.ip.is_ipv4();
        let rules = &mut self.nat;
        let fits = |i: &usize| rules[*i].family.covers(ipv4) && rules[*i].matches.fits(&view);
        let Some(i) = self.nat_order[p.hook as usize].iter().copied().find(fits) else { return Ok(None) };
        rules[i].counter.add(p.ip.total_len);
        let at = |addr: IpAddr, ports| NatTarget { addrs: Some((addr, addr)), ports };
        Ok(Some(match rules[i].action {
            NatAction::Snat { to, random, persistent } => unique::Range { to, random, persistent },
            NatAction::Dnat { to } => unique::Range { to, ..unique::Range::default() },
            // The kernel computes the one address, too (`nft_nat_setup_netmap`).
            NatAction::SnatPrefix { to } => {
                unique::Range { to: NatTarget::addr(to.on(p.ip.src)), ..Default::default() }
            }
            NatAction::DnatPrefix { to } => {
                unique::Range { to: NatTarget::addr(to.on(p.ip.dst)), ..Default::default() }
            }
            NatAction::Redirect { ports } => {
                let addr = match p.hook {
                    HookPoint::Output if ipv4 => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                    HookPoint::Output => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
                    _ => p.env.in_dev.and_then(|dev| p.env.facts.redirect_addr(dev, ipv4)),
                };
                unique::Range { to: at(addr.ok_or(DROP)?, ports), ..unique::Range::default() }
            }
            // A packet without a source (DHCP) is not to be masqueraded (`nf_nat_masquerade_ipv4`).
            NatAction::Masquerade { .. } if ipv4 && p.ip.src.is_unspecified() => return Ok(None),
            NatAction::Masquerade { ports, random } => {
                let dev = p.env.out_dev.ok_or(DROP)?;
                let addr = p.env.facts.masquerade_addr(dev, p.ip.dst).ok_or(DROP)?;
                self.ct.slot_mut(ct.slot).masq_dev = Some(dev);
                unique::Range { to: at(addr, ports), random, persistent: false }
            }
        }))
    }

    /// A packet passed all hooks: its new flow is entered in the table (`nf_conntrack_confirm`).
    #[inline]
    fn confirm(&mut self, p: &mut Pass<'_, '_>, nat: bool) -> Result<(), Verdict> {
        let Some(ct) = p.frame.meta().ct else { return Ok(()) };
        if ct.reply || self.ct.get(Some(ct)).is_none_or(|e| e.has(status::CONFIRMED | status::DYING)) {
            return Ok(());
        }
        if self.ct.confirm(p.now, ct.slot, &mut p.out.changes) {
            Ok(())
        } else if nat {
            Err(Verdict::Drop(DropReason::NatExhausted))
        } else {
            Err(DROP)
        }
    }
}

fn is_redirect(ip: &IpHeader, b: &[u8]) -> bool {
    let kind = if ip.is_ipv4() { icmp::REDIRECT } else { icmp::v6::REDIRECT };
    ip.payload(b).first() == Some(&kind)
}
