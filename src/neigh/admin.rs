//! What the administrator does: `ip neigh add | change | replace | del`, and what happens when a device goes.

use super::{Action, NeighParams, NeighTable, learn::Update};
use crate::{
    base::{DevId, Errno, Mac, Rng, Time},
    trace::{DropReason, NeighState},
};
use std::net::IpAddr;

/// Which of the three `ip neigh` verbs is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetMode {
    /// `add`: there must be no entry yet.
    Add,
    /// `change`: there must be one.
    Change,
    /// `replace`: either.
    Replace,
}

/// An entry as the administrator writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetEntry {
    /// The device.
    pub dev: DevId,
    /// The neighbour's address.
    pub addr: IpAddr,
    /// Its station; `None` keeps the one that is known.
    pub mac: Option<Mac>,
    /// `nud`: [`NeighState::Permanent`] unless said otherwise. INCOMPLETE is taken, but nothing asks for the address then.
    pub state: NeighState,
}

impl NeighTable {
    /// Adds or changes an entry (`neigh_add()`). A resolved entry sends what was waiting for it.
    ///
    /// # Errors
    /// `EEXIST` and `ENOENT` as the mode demands, `EINVAL` without an address that is needed,
    /// `ENOBUFS` if the table is full.
    ///
    /// ```
    /// use netsim::{
    ///     base::{DevId, Errno, Mac, Rng},
    ///     neigh::{NeighParams, NeighTable, SetEntry, SetMode},
    ///     trace::NeighState,
    /// };
    /// let (mut table, mut rng, mut out) = (NeighTable::default(), Rng::keyed(1, &["h1"]), Vec::new());
    /// let (addr, mac) = ("10.0.0.2".parse().unwrap(), Mac::derived("h2", "eth0"));
    /// let entry = SetEntry { dev: DevId(1), addr, mac: Some(mac), state: NeighState::Permanent };
    /// let params = NeighParams::default();
    /// assert_eq!(table.set(0, &entry, SetMode::Add, &params, &mut rng, &mut out), Ok(()));
    /// assert_eq!(table.set(0, &entry, SetMode::Add, &params, &mut rng, &mut out), Err(Errno::EEXIST));
    /// assert_eq!(table.resolve(0, DevId(1), addr), Some((mac, None)));
    /// ```
    pub fn set(
        &mut self,
        now: Time,
        set: &SetEntry,
        mode: SetMode,
        params: &NeighParams,
        rng: &mut Rng,
        out: &mut Vec<Action>,
    ) -> Result<(), Errno> {
        let SetEntry { dev, addr, mac, state } = *set;
        let known = self.find_mut(dev, addr).is_some();
        match mode {
            SetMode::Add if known => return Err(Errno::EEXIST),
            SetMode::Change if !known => return Err(Errno::ENOENT),
            _ => {}
        }
        let needs_mac = super::entry::is_valid(state);
        if needs_mac && mac.is_none() && !super::entry::is_valid(self.state(now, dev, addr)) {
            return Err(Errno::EINVAL);
        }
        let entry = if state == NeighState::Permanent {
            Some(self.find_or_insert(now, dev, addr)) // Permanent entries do not count against the limit.
        } else {
            self.find_or_create(now, dev, addr, params, out)
        };
        let entry = entry.ok_or(Errno::ENOBUFS)?;
        entry.settle(now, out);
        let update = Update { mac, owner: None, state, replace: true, weak: false, admin: true, router: Some(false) };
        if entry.update(now, &update, params, rng, out) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// Removes an entry (`neigh_delete()`). Packets that wait for it are unreachable.
    ///
    /// # Errors
    /// `ENOENT` if there is none.
    pub fn delete(&mut self, now: Time, dev: DevId, addr: IpAddr, out: &mut Vec<Action>) -> Result<(), Errno> {
        let entry = self.find_mut(dev, addr).ok_or(Errno::ENOENT)?;
        entry.settle(now, out);
        if matches!(entry.state, NeighState::Incomplete | NeighState::Probe) {
            entry.fail(now, out);
        }
        self.remove(dev, addr, out);
        Ok(())
    }

    /// Removes the entries of a device: all, or those whose addresses are IPv4, or are not. Packets that wait for them are dropped for [`DropReason::NeighDead`].
    ///
    /// Loss of carrier keeps permanent entries and proxy entries (`neigh_carrier_down()`); a device that goes down or changes its
    /// MAC loses them too (`neigh_ifdown()`, case link-down-flushes-neigh).
    pub fn flush_device(
        &mut self,
        now: Time,
        dev: DevId,
        ipv4: Option<bool>,
        keep_permanent: bool,
        out: &mut Vec<Action>,
    ) {
        for info in self.iter(now) {
            let wanted = info.dev == dev && ipv4.is_none_or(|v4| v4 == info.addr.is_ipv4());
            if wanted && !(keep_permanent && info.state == NeighState::Permanent) {
                self.remove(dev, info.addr, out);
            }
        }
        if ipv4.is_none() {
            self.proxy_flush(dev, keep_permanent, out);
        }
    }

    /// Takes an entry out of the table. Frames still waiting are dropped for [`DropReason::NeighDead`].
    pub(super) fn remove(&mut self, dev: DevId, addr: IpAddr, out: &mut Vec<Action>) {
        let Some(mut entry) = self.take(dev, addr) else { return };
        while let Some(frame) = entry.dequeue() {
            out.push(Action::Drop { frame, reason: DropReason::NeighDead });
        }
        if entry.state != NeighState::None {
            entry.enter(NeighState::None, out);
        }
    }
}
