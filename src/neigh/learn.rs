//! What an ARP message or a neighbour discovery message does to the table: `neigh_update()`.

use super::{
    Action, NeighParams, NeighTable,
    entry::{Entry, is_connected, is_valid},
};
use crate::{
    base::{DevId, Mac, NsId, Rng, Time},
    trace::{DropReason, NeighState},
};
use std::net::IpAddr;

/// In what kind of message an address was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// The neighbour asked for an address that is answered here (`neigh_event_ns()`), by ARP or by neighbour
    /// solicitation. Always replaces the address; the entry is STALE.
    Request,
    /// Any other ARP message (`arp_process()`).
    Arp {
        /// A reply in a frame addressed to this host: proof that the neighbour can be reached.
        reply_to_us: bool,
        /// `arp_is_garp()`: sender and target address are equal, in a reply also the two hardware addresses. It
        /// replaces an address within `locktime` too.
        gratuitous: bool,
    },
    /// A neighbour advertisement, RFC 4861 §7.2.5.
    Advert {
        /// The S flag: an answer to a solicitation.
        solicited: bool,
        /// The O flag: replaces a known address.
        override_flag: bool,
        /// The R flag.
        router: bool,
    },
}

/// An address heard on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// The device it was heard on.
    pub dev: DevId,
    /// The neighbour's address.
    pub addr: IpAddr,
    /// Its station. `None` if the message does not say, as an advertisement without the link-layer option.
    pub mac: Option<Mac>,
    /// The namespace that sent the frame, if marked.
    pub owner: Option<NsId>,
    /// In what message.
    pub how: Learned,
    /// Whether an entry is made if there is none: true for a request answered here, for others only with `arp_accept`.
    pub create: bool,
}

/// A proposed change, with the `NEIGH_UPDATE_F_*` flags.
pub(super) struct Update {
    pub(super) mac: Option<Mac>,
    pub(super) owner: Option<NsId>,
    pub(super) state: NeighState,
    /// `OVERRIDE`: replaces a known address.
    pub(super) replace: bool,
    /// `WEAK_OVERRIDE`: makes a known address doubtful instead of replacing it.
    pub(super) weak: bool,
    /// `ADMIN`: the administrator wants it.
    pub(super) admin: bool,
    /// Whether the neighbour is a router, if the message says.
    pub(super) router: Option<bool>,
}

impl NeighTable {
    /// Takes note of an address heard on a link. Resolves waiting packets.
    ///
    /// ```
    /// use netsim::{
    ///     base::{DevId, Mac, NsId, Rng},
    ///     neigh::{Heard, Learned, NeighParams, NeighTable},
    ///     trace::NeighState,
    /// };
    /// let (mut table, mut rng, mut out) = (NeighTable::default(), Rng::keyed(1, &["h1"]), Vec::new());
    /// let addr = "10.0.0.2".parse().unwrap();
    /// let mac = Some(Mac::derived("h2", "eth0"));
    /// let heard = Heard { dev: DevId(1), addr, mac, owner: Some(NsId(2)), how: Learned::Request, create: true };
    /// table.learn(0, &heard, &NeighParams::default(), &mut rng, &mut out);
    /// assert_eq!(table.state(0, DevId(1), addr), NeighState::Stale);
    /// ```
    pub fn learn(&mut self, now: Time, heard: &Heard, params: &NeighParams, rng: &mut Rng, out: &mut Vec<Action>) {
        let entry = if heard.create && heard.mac.is_some() {
            self.find_or_create(now, heard.dev, heard.addr, params, out)
        } else {
            self.find_mut(heard.dev, heard.addr)
        };
        // With no room for a new entry the message is simply not remembered.
        let Some(entry) = entry else { return };
        entry.settle(now, out);
        let (reachable, replace, weak, router) = match heard.how {
            Learned::Request => (false, true, false, None),
            Learned::Arp { reply_to_us, gratuitous } => {
                // Of several answers the first wins (case duplicate-ip); a later change of heart is accepted
                // (case arp-gratuitous-update).
                let late = now > entry.updated.saturating_add(params.locktime);
                (reply_to_us, late || gratuitous, false, None)
            }
            // ndisc_recv_na(): only a new packet revives an entry that failed.
            Learned::Advert { .. } if entry.state == NeighState::Failed => return,
            Learned::Advert { solicited, override_flag, router } => (solicited, override_flag, true, Some(router)),
        };
        let state = if reachable { NeighState::Reachable } else { NeighState::Stale };
        let update = Update { mac: heard.mac, owner: heard.owner, state, replace, weak, admin: false, router };
        entry.update(now, &update, params, rng, out);
    }
}

impl Entry {
    /// `__neigh_update()`. Returns false if the change is impossible: the entry is static, or no address is known.
    pub(super) fn update(
        &mut self,
        now: Time,
        update: &Update,
        params: &NeighParams,
        rng: &mut Rng,
        out: &mut Vec<Action>,
    ) -> bool {
        let (old, mut new) = (self.state, update.state);
        if !update.admin && matches!(old, NeighState::NoArp | NeighState::Permanent) {
            return false;
        }
        if !is_valid(new) {
            // Only the administrator takes an address away (`!(new & NUD_VALID)`). What waits is unreachable if the
            // entry was being asked for.
            if new == NeighState::Failed {
                self.fail(now, out);
            } else if old != new {
                // Linux keeps what waits with an entry that is NONE; nothing would ever send it.
                while let Some(frame) = self.dequeue() {
                    out.push(Action::Drop { frame, reason: DropReason::NeighDead });
                }
                self.disarm();
                self.enter(new, out);
            }
            return true;
        }
        let mac = match update.mac {
            Some(mac) => mac,
            None if is_valid(old) => self.mac,
            None => return false,
        };
        let moved = !is_valid(old) || mac != self.mac;
        if is_connected(new) {
            // Even an answer that is then not believed shows that somebody is there.
            self.confirm(now);
        }
        if is_valid(old) && moved && !update.replace {
            if update.weak && is_connected(old) {
                // RFC 4861 §7.2.5: a contradiction without the O flag makes a reachable address doubtful.
                self.updated = now;
                self.disarm();
                self.enter(NeighState::Stale, out);
            }
            return true;
        }
        if !moved && new == NeighState::Stale && !update.admin {
            new = old;
        }
        // The namespace behind an address has the same precedence as the address, but moves no clock: Linux has no such
        // notion, and its timing must not depend on it.
        if moved || (update.owner.is_some() && (update.replace || self.owner.is_none())) {
            self.owner = update.owner;
        }
        self.router = update.router.unwrap_or(self.router);
        if moved {
            self.mac = mac;
            if !is_connected(new) {
                self.confirmed = None;
            }
        }
        if new != old {
            self.disarm();
            self.enter(new, out);
            match new {
                NeighState::Reachable => self.start_reachable(now, params, rng, out),
                NeighState::Delay | NeighState::Probe => {
                    self.probes = 0;
                    self.arm(now, out);
                }
                _ => {}
            }
        } else if moved {
            self.announce(old, out);
        }
        if new != old || moved {
            self.updated = now;
        }
        self.release_waiting(now, params, out);
        true
    }

    /// Sends what waited for the address, in order (case arp-queue-flush). An address that is only STALE is thereby in use.
    fn release_waiting(&mut self, now: Time, params: &NeighParams, out: &mut Vec<Action>) {
        if !self.queue.is_empty() && self.state == NeighState::Stale {
            self.used = now;
            self.enter(NeighState::Delay, out);
            self.arm(now.saturating_add(params.delay_first_probe_time), out);
        }
        while let Some(frame) = self.dequeue() {
            self.transmit(frame, out);
        }
    }
}
