//! VLAN membership of a port or of the bridge itself, and the 802.1Q classification rules (net/bridge/br_vlan.c).

use super::{BridgeError, Tag};

/// Bits of the tag control information that hold the VLAN id.
pub(super) const VID_MASK: u16 = 0x0fff;

/// A VLAN a port is a member of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VlanEntry {
    /// VLAN id, 1 to 4094.
    pub vid: u16,
    /// Frames that arrive without a tag, or with a priority tag, belong to it.
    pub pvid: bool,
    /// Frames of it leave without a tag.
    pub untagged: bool,
}

/// The VLANs of one port, sorted by id.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct VlanSet {
    pvid: u16,
    members: Vec<(u16, bool)>,
}

impl VlanSet {
    /// The set of a port nobody configured: the default PVID, untagged. `pvid` 0 gives the empty set.
    pub(super) fn initial(pvid: u16) -> VlanSet {
        VlanSet { pvid, members: if pvid == 0 { Vec::new() } else { vec![(pvid, true)] } }
    }

    /// Joins a VLAN, or changes how. Without `pvid` an existing PVID of that id is given up (`__vlan_flags_update`).
    pub(super) fn add(&mut self, vid: u16, pvid: bool, untagged: bool) -> Result<(), BridgeError> {
        if vid == 0 || vid >= 4095 {
            return Err(BridgeError::BadVlan(vid));
        }
        match self.members.binary_search_by_key(&vid, |m| m.0) {
            Ok(at) => self.members[at].1 = untagged,
            Err(at) => self.members.insert(at, (vid, untagged)),
        }
        if pvid {
            self.pvid = vid;
        } else if self.pvid == vid {
            self.pvid = 0;
        }
        Ok(())
    }

    /// Leaves a VLAN.
    pub(super) fn del(&mut self, vid: u16) -> Result<(), BridgeError> {
        let at = self.members.binary_search_by_key(&vid, |m| m.0).map_err(|_| BridgeError::NotInVlan(vid))?;
        self.members.remove(at);
        if self.pvid == vid {
            self.pvid = 0;
        }
        Ok(())
    }
}

/// A port's VLANs; most ports keep the bridge's default and store nothing.
#[derive(Clone, Copy)]
pub(super) struct Vlans<'a> {
    set: Option<&'a VlanSet>,
    default_pvid: u16,
}

impl<'a> Vlans<'a> {
    pub(super) fn new(set: Option<&'a VlanSet>, default_pvid: u16) -> Vlans<'a> {
        Vlans { set, default_pvid }
    }

    /// The VLAN of frames without one; 0 if there is none.
    pub(super) fn pvid(self) -> u16 {
        self.set.map_or(self.default_pvid, |s| s.pvid)
    }

    /// Whether frames of the VLAN leave untagged; `None` for no member.
    #[inline]
    pub(super) fn untagged(self, vid: u16) -> Option<bool> {
        match self.set {
            None => (vid == self.default_pvid && vid != 0).then_some(true),
            Some(s) => s.members.binary_search_by_key(&vid, |m| m.0).ok().map(|at| s.members[at].1),
        }
    }

    /// Whether it is a member.
    pub(super) fn contains(self, vid: u16) -> bool {
        self.untagged(vid).is_some()
    }

    /// The VLAN an arriving frame belongs to; `None` if it may not enter (`__allowed_ingress`).
    #[inline]
    pub(super) fn classify(self, tci: Option<u16>) -> Option<u16> {
        match tci.map_or(0, |t| t & VID_MASK) {
            // No tag, or a priority tag: the PVID, which is a member by construction.
            0 => Some(self.pvid()).filter(|pvid| *pvid != 0),
            vid => self.contains(vid).then_some(vid),
        }
    }

    /// How a frame of VLAN `vid` that came with `tci` leaves; `None` if it may not (`br_handle_vlan`).
    #[inline]
    pub(super) fn egress(self, vid: u16, tci: Option<u16>) -> Option<Tag> {
        Some(match (self.untagged(vid)?, tci) {
            (true, None) => Tag::Keep,
            (true, Some(_)) => Tag::Strip,
            (false, None) => Tag::Put(vid),
            (false, Some(t)) if t & VID_MASK == vid => Tag::Keep,
            // A priority tag keeps its priority bits.
            (false, Some(t)) => Tag::Put((t & !VID_MASK) | vid),
        })
    }

    /// The members in ascending order of id.
    pub(super) fn iter(self) -> impl Iterator<Item = VlanEntry> + 'a {
        let pvid = self.pvid();
        let initial = (self.set.is_none() && pvid != 0).then_some((pvid, true));
        let stored = self.set.map_or(&[][..], |s| &s.members[..]);
        initial.into_iter().chain(stored.iter().copied()).map(move |(vid, untagged)| VlanEntry {
            vid,
            pvid: vid == pvid,
            untagged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unconfigured_port_equals_the_initial_set() {
        for pvid in [0, 1, 7] {
            let stored = VlanSet::initial(pvid);
            let (a, b) = (Vlans::new(None, pvid), Vlans::new(Some(&stored), 99));
            assert_eq!(a.iter().collect::<Vec<_>>(), b.iter().collect::<Vec<_>>());
            for vid in 0..10 {
                assert_eq!(a.untagged(vid), b.untagged(vid), "vid {vid} pvid {pvid}");
                assert_eq!(a.classify(Some(vid)), b.classify(Some(vid)));
            }
        }
    }

    /// case bridge-vlan-trunk: access ports untagged in their PVID, the trunk tagged.
    #[test]
    fn access_and_trunk() {
        let mut access = VlanSet::initial(1);
        access.del(1).unwrap();
        access.add(10, true, true).unwrap();
        let mut trunk = VlanSet::initial(1);
        trunk.del(1).unwrap();
        trunk.add(10, false, false).unwrap();
        trunk.add(20, false, false).unwrap();
        let (access, trunk) = (Vlans::new(Some(&access), 1), Vlans::new(Some(&trunk), 1));
        assert_eq!(access.classify(None), Some(10));
        assert_eq!(access.classify(Some(0xe000)), Some(10), "a priority tag takes the PVID");
        assert_eq!(access.classify(Some(20)), None);
        assert_eq!(trunk.classify(None), None, "no PVID, no untagged frames");
        assert_eq!(trunk.egress(10, None), Some(Tag::Put(10)));
        assert_eq!(trunk.egress(10, Some(0xe000)), Some(Tag::Put(0xe00a)), "priority bits survive");
        assert_eq!(trunk.egress(10, Some(0x200a)), Some(Tag::Keep));
        assert_eq!(access.egress(10, Some(10)), Some(Tag::Strip));
        assert_eq!(access.egress(10, None), Some(Tag::Keep));
        assert_eq!(access.egress(20, Some(20)), None);
    }

    #[test]
    fn adding_again_changes_flags() {
        let mut set = VlanSet::initial(1);
        set.add(1, false, false).unwrap();
        assert_eq!(Vlans::new(Some(&set), 0).pvid(), 0, "adding without `pvid` gives the PVID up");
        assert_eq!(Vlans::new(Some(&set), 0).untagged(1), Some(false));
        assert_eq!(set.add(0, true, true), Err(BridgeError::BadVlan(0)));
        assert_eq!(set.add(4095, true, true), Err(BridgeError::BadVlan(4095)));
        assert_eq!(set.del(2), Err(BridgeError::NotInVlan(2)));
    }
}
