//! The way of a packet through the trackers: which entry it belongs to, and what it does to it (`nf_conntrack_in`).

use super::{
    Conntrack, FlowChange, Memory, Tunables,
    entry::Entry,
    flow::{Flow, Hit},
    plain_timeout, status,
    tcp::{Outcome, Seen, Tcp, flags_ok},
};
use crate::{
    base::{SEC, Time, proto},
    trace::DropReason,
    wire::{
        CtInfo, CtRef, Frame, IpHeader, be16, checksum, icmp,
        tcp::{HEADER, Segment},
        udp,
    },
};

/// A segment and its options.
type Tracked<'a> = (Segment, &'a [u8]);

/// A replied UDP flow becomes a stream after this time (`udp_packet`: `stream_ts`; case ct-udp-states).
const STREAM_AFTER: Time = 2 * SEC;
/// The highest ICMP type that is not a mystery (`NR_ICMP_TYPES`).
const ICMP_TYPES: u8 = 18;

impl Conntrack {
    /// Classifies a packet and notes it in its entry: sets `frame.meta().ct`, or clears it for an INVALID packet.
    ///
    /// A packet that already has an entry keeps it: it came over `lo`, or is an error about a tracked packet.
    ///
    /// # Errors
    /// The table is full.
    #[inline]
    pub fn track(
        &mut self,
        now: Time,
        frame: &mut Frame,
        ip: &IpHeader,
        prerouting: bool,
        changes: &mut Vec<FlowChange>,
    ) -> Result<(), DropReason> {
        if self.get(frame.meta().ct).is_some() {
            return Ok(());
        }
        let verify = prerouting && frame.meta().corrupted && self.tunables.checksum != 0;
        let ct = self.classify(now, ip, ip.payload(frame.data()), verify, changes)?;
        frame.meta_mut().ct = ct;
        if ct.is_none() && !is_untracked(ip, ip.payload(frame.data())) {
            self.stats.invalid += 1;
        }
        Ok(())
    }

    fn classify(
        &mut self,
        now: Time,
        ip: &IpHeader,
        l4: &[u8],
        verify: bool,
        changes: &mut Vec<FlowChange>,
    ) -> Result<Option<CtRef>, DropReason> {
        if ip.frag_offset > 0 || (verify && !checksum_ok(ip, l4)) {
            return Ok(None);
        }
        if matches!(ip.proto, proto::ICMP | proto::ICMPV6) {
            match l4.first() {
                Some(kind) if l4.len() >= icmp::HEADER => {
                    if icmp::is_error(ip.is_ipv4(), *kind) {
                        return Ok(self.related(now, ip, &l4[icmp::HEADER..], changes));
                    }
                    if (ip.is_ipv4() && *kind > ICMP_TYPES) || is_untracked(ip, l4) {
                        return Ok(None);
                    }
                }
                _ => return Ok(None),
            }
        }
        let Some(flow) = Flow::of(ip, l4) else { return Ok(None) };
        let segment = if ip.proto == proto::TCP {
            match Segment::parse(l4) {
                Some(s) if flags_ok(s.flags) => Some((s, &l4[HEADER..s.header_len])),
                _ => return Ok(None),
            }
        } else {
            None
        };
        if ip.proto == proto::UDP && !udp_ok(l4) {
            return Ok(None);
        }
        let bytes = ip.total_len as u64;
        // Twice, because a SYN may end a finished connection and begin a new one (`-NF_REPEAT`).
        for _ in 0..2 {
            match self.find(now, &flow, changes) {
                None => return self.first(now, flow, segment.as_ref(), bytes, changes),
                Some(hit) => match self.follow(now, hit, segment.as_ref(), bytes) {
                    Outcome::Reopen => self.kill(hit.slot, changes),
                    Outcome::Invalid | Outcome::Shorten(_) => return Ok(None),
                    outcome => {
                        let ct = self.reference(hit);
                        if hit.reply {
                            self.slot_mut(hit.slot).status |= status::SEEN_REPLY;
                        }
                        if outcome == Outcome::Kill {
                            self.kill(hit.slot, changes);
                        }
                        return Ok(Some(ct));
                    }
                },
            }
        }
        Ok(None)
    }

    /// How a packet refers to its entry, given the replies seen before it (`resolve_normal_ct`).
    #[inline]
    fn reference(&self, hit: Hit) -> CtRef {
        let e = self.slot(hit.slot);
        let info = if hit.reply || e.has(status::SEEN_REPLY) { CtInfo::Established } else { CtInfo::New };
        CtRef { slot: hit.slot, generation: e.generation, reply: hit.reply, info }
    }

    /// Begins an entry (`init_conntrack`); `None` if a flow cannot begin with such a packet.
    fn first(
        &mut self,
        now: Time,
        flow: Flow,
        segment: Option<&Tracked<'_>>,
        bytes: u64,
        changes: &mut Vec<FlowChange>,
    ) -> Result<Option<CtRef>, DropReason> {
        let t = &self.tunables;
        let memory = match (flow.proto, segment) {
            (proto::TCP, Some((segment, options))) => match Tcp::new(segment, options, t) {
                Some(tcp) => Memory::Tcp(tcp),
                None => return Ok(None),
            },
            (proto::UDP, _) => Memory::Udp { stream_at: now + STREAM_AFTER },
            (proto::GRE, _) => Memory::Gre { timeout: t.gre_timeout, stream: t.gre_timeout_stream },
            // Only requests begin a flow (`valid_new`).
            (proto::ICMP, _) if !matches!(flow.icmp_type(), icmp::ECHO | 13 | 15 | 17) => return Ok(None),
            (proto::ICMPV6, _) if !matches!(flow.icmp_type(), icmp::v6::ECHO | 139) => return Ok(None),
            _ => Memory::Plain,
        };
        debug_assert!(flow.invertible(), "a request's type has a reply's type");
        let slot = self.create(now, flow, memory, changes)?;
        let hit = Hit { slot, reply: false };
        if self.follow(now, hit, segment, bytes) == Outcome::Invalid {
            return Ok(None);
        }
        Ok(Some(self.reference(hit)))
    }

    /// Lets the tracker of the protocol see a packet, and refreshes the entry.
    #[inline]
    fn follow(&mut self, now: Time, hit: Hit, segment: Option<&Tracked<'_>>, bytes: u64) -> Outcome {
        let (slots, t) = (&mut self.slots, &self.tunables);
        let e = &mut slots[hit.slot as usize];
        let outcome = consult(e, now, hit.reply, segment, t);
        if let Outcome::Refresh(seconds) = outcome {
            e.expires = now + seconds as Time * SEC;
        }
        if let Outcome::Shorten(seconds) = outcome
            && e.expires > now + 120 * SEC
        {
            e.expires = e.expires.min(now + seconds as Time * SEC);
        }
        if !matches!(outcome, Outcome::Invalid | Outcome::Shorten(_) | Outcome::Reopen)
            && let Some(acct) = &mut e.acct
        {
            acct[hit.reply as usize].packets += 1;
            acct[hit.reply as usize].bytes += bytes;
        }
        outcome
    }

    /// The entry an ICMP error is about, from the packet it quotes (`nf_conntrack_inet_error`).
    fn related(&mut self, now: Time, outer: &IpHeader, quoted: &[u8], changes: &mut Vec<FlowChange>) -> Option<CtRef> {
        let inner = IpHeader::parse_quoted(quoted)?;
        if inner.frag_offset > 0 || inner.is_ipv4() != outer.is_ipv4() {
            return None;
        }
        let flow = Flow::of(&inner, quoted.get(inner.header_len..)?)?;
        if !flow.invertible() {
            return None;
        }
        let hit = self.find(now, &flow.inverse(), changes)?;
        let e = self.slot(hit.slot);
        // The error must be addressed to the sender of what it quotes, as this namespace sees it.
        if e.dir(hit.reply).dst != outer.dst {
            return None;
        }
        Some(CtRef { slot: hit.slot, generation: e.generation, reply: hit.reply, info: CtInfo::Related })
    }
}

/// The tracker of the entry's protocol (`nf_conntrack_handle_packet`).
#[inline]
fn consult(e: &mut Entry, now: Time, reply: bool, segment: Option<&Tracked<'_>>, t: &Tunables) -> Outcome {
    let replied = e.has(status::SEEN_REPLY);
    match (&mut e.memory, segment) {
        (Memory::Tcp(tcp), Some((segment, options))) => {
            let mut seen = Seen { reply: replied, assured: e.status & status::ASSURED != 0 };
            let outcome = tcp.packet(segment, options, reply, &mut seen, t);
            if seen.assured {
                e.status |= status::ASSURED;
            }
            outcome
        }
        (Memory::Udp { stream_at }, _) => {
            if replied && now > *stream_at {
                e.status |= status::ASSURED;
                Outcome::Refresh(t.udp_timeout_stream)
            } else {
                Outcome::Refresh(t.udp_timeout)
            }
        }
        (Memory::Gre { timeout, stream }, _) => {
            if replied {
                e.status |= status::ASSURED;
                Outcome::Refresh(*stream)
            } else {
                Outcome::Refresh(*timeout)
            }
        }
        (Memory::Plain, _) => Outcome::Refresh(plain_timeout(e.original.proto, t)),
        (Memory::Tcp(_), None) => Outcome::Invalid,
    }
}

/// Neighbour and multicast listener discovery are not tracked (`noct_valid_new` of nf_conntrack_proto_icmpv6.c).
pub(crate) fn is_untracked(ip: &IpHeader, l4: &[u8]) -> bool {
    ip.proto == proto::ICMPV6 && matches!(l4.first(), Some(130..=136 | 143))
}

/// A datagram whose length field fits (`udp_error`).
#[inline]
fn udp_ok(l4: &[u8]) -> bool {
    l4.len() >= udp::HEADER && (udp::HEADER..=l4.len()).contains(&(be16(l4, 4) as usize))
}

fn checksum_ok(ip: &IpHeader, l4: &[u8]) -> bool {
    match ip.proto {
        proto::TCP => checksum::upper(ip.src, ip.dst, proto::TCP, l4) == 0,
        proto::UDP => l4.len() >= udp::HEADER && udp::checksum_ok(l4, ip.src, ip.dst),
        proto::ICMP | proto::ICMPV6 => icmp::checksum_ok(l4, ip.src, ip.dst),
        _ => true,
    }
}
