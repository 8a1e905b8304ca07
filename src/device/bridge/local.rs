//! The addresses of the bridge and of its ports: frames to them go up (the kernel's `local` forwarding entries).

use crate::base::{Mac, Map};
use std::collections::BTreeSet;

/// Who carries an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Local {
    /// The bridge itself.
    pub(super) own: bool,
    /// How many ports.
    pub(super) ports: u32,
    /// The port that had it first, if any has.
    pub(super) first: u32,
}

/// All local addresses. The bridge's own is kept apart because it usually equals a port's.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalMacs {
    own: Option<Mac>,
    /// Set by hand on the bridge itself.
    extra: BTreeSet<Mac>,
    ports: Map<Mac, (u32, u32)>,
}

impl LocalMacs {
    /// The bridge's own address.
    pub(super) fn set_own(&mut self, own: Option<Mac>) {
        self.own = own;
    }

    /// A port got the address.
    pub(super) fn extra(&mut self) -> &mut BTreeSet<Mac> {
        &mut self.extra
    }

    pub(super) fn extras(&self) -> impl Iterator<Item = Mac> {
        self.extra.iter().copied()
    }

    pub(super) fn add(&mut self, mac: Mac, port: u32) {
        self.ports.entry(mac).or_insert((port, 0)).1 += 1;
    }

    /// A port gave the address up; `heir` finds another port that has it.
    pub(super) fn del(&mut self, mac: Mac, port: u32, heir: impl FnOnce() -> Option<u32>) {
        let Some((first, count)) = self.ports.get_mut(&mac) else { return };
        *count -= 1;
        if *count == 0 {
            self.ports.remove(&mac);
        } else if *first == port {
            *first = heir().expect("the count says that another port has the address");
        }
    }

    #[inline]
    pub(super) fn get(&self, mac: Mac) -> Option<Local> {
        let own = self.own == Some(mac) || (!self.extra.is_empty() && self.extra.contains(&mac));
        match self.ports.get(&mac) {
            Some(&(first, ports)) => Some(Local { own, ports, first }),
            None if own => Some(Local { own, ports: 0, first: 0 }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lasts_as_long_as_someone_has_it() {
        let (mac, mut l) = (Mac([2; 6]), LocalMacs::default());
        assert_eq!(l.get(mac), None);
        l.add(mac, 4);
        l.add(mac, 7);
        l.set_own(Some(mac));
        assert_eq!(l.get(mac), Some(Local { own: true, ports: 2, first: 4 }));
        l.del(mac, 4, || Some(7));
        l.set_own(None);
        assert_eq!(l.get(mac), Some(Local { own: false, ports: 1, first: 7 }));
        l.del(mac, 7, || None);
        assert_eq!(l.get(mac), None);
    }
}
