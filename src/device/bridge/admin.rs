//! What `bridge fdb` does to the forwarding table (`br_fdb_add`, `br_fdb_delete`).

use crate::base::{DevId, Mac, Time};

use super::{
    Bridge, BridgeError, Change,
    fdb::{self, NOBODY, key, unkey},
};
use crate::trace::FdbChange;

/// Addresses a bridge can have beside its own.
const MAX_OWN: usize = 1024;

/// The kinds of entries a user can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FdbKind {
    /// `dynamic`: ages like a learned one.
    Dynamic,
    /// `static`: does not age, but follows its station (case bridge-static-fdb).
    Static,
    /// `permanent`, the default of the tool: frames to it go up to the bridge device.
    Permanent,
}

/// How an existing entry is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FdbVerb {
    /// `add`: refused.
    Add,
    /// `replace` and `append`: a bridge has one entry per station, so both overwrite it.
    Replace,
}

/// A forwarding entry as a user gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbSpec {
    /// The station.
    pub mac: Mac,
    /// Its port.
    pub dev: DevId,
    /// Its VLAN; `None` for none, and with VLAN filtering every VLAN of the port too.
    pub vlan: Option<u16>,
    /// Kind.
    pub kind: FdbKind,
    /// Never moves to another port.
    pub sticky: bool,
}

impl Bridge {
    /// `bridge fdb add|replace|append MAC dev PORT master [vlan VID] KIND [sticky]`.
    ///
    /// On a namespace-aware bridge the entry stands for whichever namespace owns the MAC, until the station speaks.
    ///
    /// # Errors
    /// [`BridgeError::EntryExists`] for `add`; [`BridgeError::NoSuchPort`], [`BridgeError::BadAddress`],
    /// [`BridgeError::NotInVlan`], [`BridgeError::StickyPermanent`], [`BridgeError::TableFull`].
    pub fn fdb_set(
        &mut self,
        now: Time,
        verb: FdbVerb,
        spec: FdbSpec,
        out: &mut Vec<Change>,
    ) -> Result<(), BridgeError> {
        if spec.dev == self.dev {
            return self.fdb_set_own(now, verb, spec, out);
        }
        let at = self.index_of(spec.dev)?;
        if spec.mac == Mac::ZERO {
            return Err(BridgeError::BadAddress);
        }
        let flags = fdb::USER
            | match spec.kind {
                FdbKind::Dynamic => 0,
                FdbKind::Static => fdb::STATIC,
                FdbKind::Permanent => fdb::STATIC | fdb::LOCAL,
            }
            | if spec.sticky { fdb::STICKY } else { 0 };
        if spec.sticky && spec.kind == FdbKind::Permanent {
            return Err(BridgeError::StickyPermanent);
        }
        if self.local.get(spec.mac).is_some() && verb == FdbVerb::Add {
            return Err(BridgeError::EntryExists);
        }
        let vids = self.vids(at, spec.vlan)?;
        if verb == FdbVerb::Add {
            for vid in &vids {
                if !self.fdb.chain(now, key(*vid, spec.mac), &mut self.events).is_empty() {
                    self.drain_events(out);
                    return Err(BridgeError::EntryExists);
                }
            }
        }
        let mut result = Ok(());
        for vid in vids {
            result = result.and(self.fdb_put(now, key(vid, spec.mac), at, flags));
        }
        self.drain_events(out);
        result
    }

    /// An entry of the bridge itself: an address that goes up (`bridge fdb add MAC dev BRIDGE self`). It has no port, so it
    /// is kept as one more own address.
    fn fdb_set_own(
        &mut self,
        now: Time,
        verb: FdbVerb,
        spec: FdbSpec,
        out: &mut Vec<Change>,
    ) -> Result<(), BridgeError> {
        if !spec.mac.is_unicast() {
            return Err(BridgeError::BadAddress);
        }
        if self.local.get(spec.mac).is_some() {
            return if verb == FdbVerb::Add { Err(BridgeError::EntryExists) } else { Ok(()) };
        }
        if self.local.extra().len() >= MAX_OWN {
            return Err(BridgeError::TableFull);
        }
        self.local.extra().insert(spec.mac);
        self.forget_station(now, spec.mac, None, out);
        Ok(())
    }

    fn fdb_put(&mut self, now: Time, key: u64, at: u32, flags: u8) -> Result<(), BridgeError> {
        let mut from = None;
        let mut gone = Vec::new();
        for slot in self.fdb.chain(now, key, &mut self.events) {
            from.get_or_insert(self.port(self.fdb.entry(slot).port).dev);
            self.fdb.remove(slot, &mut gone);
        }
        self.fdb.insert(now, key, NOBODY, at, flags, &mut self.events).ok_or(BridgeError::TableFull)?;
        let (vlan, mac) = unkey(key);
        let port = self.port(at).dev;
        let change = match from {
            None => FdbChange::Learned,
            Some(from) if from != port => FdbChange::Moved { from },
            Some(_) => return Ok(()),
        };
        self.events.push(super::FdbEvent { mac, vlan, port, change });
        Ok(())
    }

    /// `bridge fdb del MAC dev PORT master [vlan VID]`.
    ///
    /// # Errors
    /// [`BridgeError::NoSuchEntry`], [`BridgeError::NoSuchPort`], [`BridgeError::NotInVlan`].
    pub fn fdb_del(
        &mut self,
        now: Time,
        mac: Mac,
        dev: DevId,
        vlan: Option<u16>,
        out: &mut Vec<Change>,
    ) -> Result<(), BridgeError> {
        if dev == self.dev {
            return if self.local.extra().remove(&mac) { Ok(()) } else { Err(BridgeError::NoSuchEntry) };
        }
        let at = self.index_of(dev)?;
        let mut found = false;
        for vid in self.vids(at, vlan)? {
            for slot in self.fdb.chain(now, key(vid, mac), &mut self.events) {
                if self.fdb.entry(slot).port == at {
                    self.fdb.remove(slot, &mut self.events);
                    found = true;
                }
            }
        }
        self.drain_events(out);
        if found { Ok(()) } else { Err(BridgeError::NoSuchEntry) }
    }

    /// Removes what was learned: on one port, or everywhere (`ip link set BRIDGE type bridge fdb_flush`).
    ///
    /// # Errors
    /// [`BridgeError::NoSuchPort`].
    pub fn fdb_flush(&mut self, dev: Option<DevId>, out: &mut Vec<Change>) -> Result<(), BridgeError> {
        let ports = match dev {
            Some(dev) => vec![self.index_of(dev)?],
            None => self.order.clone(),
        };
        for at in ports {
            self.fdb.flush_port(at, None, false, &mut self.events);
        }
        self.drain_events(out);
        Ok(())
    }

    fn vids(&self, at: u32, vlan: Option<u16>) -> Result<Vec<u16>, BridgeError> {
        match vlan {
            Some(vid) if self.vlans_of(Some(at)).contains(vid) => Ok(vec![vid]),
            Some(vid) => Err(BridgeError::NotInVlan(vid)),
            None if self.cfg.vlan_filtering => {
                Ok(std::iter::once(0).chain(self.vlans_of(Some(at)).iter().map(|v| v.vid)).collect())
            }
            None => Ok(vec![0]),
        }
    }
}
