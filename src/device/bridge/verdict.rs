//! What a bridge is told about a frame, and what it decides.

use crate::{
    base::{DevId, Mac, NsId},
    trace::{DropReason, FdbChange},
};

use super::PortIdx;

/// Where a frame enters the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ingress {
    /// Received by a port.
    Port(DevId),
    /// Received by a port whose index the caller has kept, which saves a look-up.
    Index(PortIdx),
    /// Sent by the namespace through the bridge device.
    SelfDevice,
}

/// What decides about a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameInfo {
    /// Destination address.
    pub dst: Mac,
    /// Source address.
    pub src: Mac,
    /// Tag control information of the 802.1Q tag, if the frame has one.
    pub vlan: Option<u16>,
    /// Bytes behind the Ethernet header; a tag held beside the bytes does not count.
    pub len: usize,
    /// The namespace of the station that sent it, if known.
    pub src_ns: Option<NsId>,
    /// The namespace the sender's neighbour entry resolved to, if known.
    pub dst_ns: Option<NsId>,
}

/// What happens to the VLAN tag on the way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tag {
    /// Leaves as it came, tagged or not.
    #[default]
    Keep,
    /// The tag is removed.
    Strip,
    /// Leaves with this tag control information, whether it had a tag or not.
    Put(u16),
}

/// One copy that leaves by a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Egress {
    /// The port's device.
    pub dev: DevId,
    /// The port.
    pub port: PortIdx,
    /// What to do with the VLAN tag.
    pub tag: Tag,
    /// The frame exceeds the port's MTU and 4 bytes of VLAN allowance (`is_skb_forwardable`): the caller drops this
    /// copy. Bridges never fragment.
    pub oversize: bool,
}

/// A change of the forwarding table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbEvent {
    /// The station.
    pub mac: Mac,
    /// Its VLAN; 0 without VLAN filtering.
    pub vlan: u16,
    /// Its port.
    pub port: DevId,
    /// What changed.
    pub change: FdbChange,
}

/// What becomes of a frame. Reuse one value for all frames: nothing is allocated once its lists have grown.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Hand a copy up to the bridge device.
    pub local: bool,
    /// What to do with the VLAN tag of the copy that goes up.
    pub local_tag: Tag,
    /// The copy that goes up does so at the port's own device: frames between neighbours (`br_handle_local_finish`).
    pub at_port: bool,
    /// The frame is a BPDU: hand it to [`Bridge::receive_bpdu`](super::Bridge::receive_bpdu).
    pub bpdu: bool,
    /// The copies that leave by ports, in the kernel's order: newest port first.
    pub ports: Vec<Egress>,
    /// The ports were not chosen by a forwarding entry.
    pub flooded: bool,
    /// The VLAN the frame was classified to; 0 without VLAN filtering.
    pub vlan: u16,
    /// The bridge does not know namespaces: clear `src_ns` and `dst_ns` of every copy.
    pub clear_marks: bool,
    /// Why it goes nowhere at all.
    pub drop: Option<DropReason>,
    /// Changes of the forwarding table the frame caused.
    pub fdb_events: Vec<FdbEvent>,
}

impl Verdict {
    /// Makes it ready for the next frame, keeping what is allocated.
    pub(super) fn reset(&mut self, clear_marks: bool) {
        self.ports.clear();
        self.fdb_events.clear();
        self.local = false;
        self.local_tag = Tag::Keep;
        self.bpdu = false;
        self.at_port = false;
        self.flooded = false;
        self.vlan = 0;
        self.clear_marks = clear_marks;
        self.drop = None;
    }
}
