//! Bridge protocol data units of IEEE 802.1D-1998 §9 in their LLC and Ethernet clothes.

use crate::{
    base::{Mac, SEC, Time},
    wire::{be16, eth, put16},
};

/// The bridge group address, to which BPDUs are sent.
pub const GROUP: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
/// LLC header of the spanning tree protocol: DSAP and SSAP 0x42, unnumbered information.
const LLC: [u8; 3] = [0x42, 0x42, 0x03];
const CONFIG: u8 = 0;
const TCN: u8 = 0x80;
const CONFIG_LEN: usize = 35;
const TCN_LEN: usize = 4;
/// Times travel in units of 1/256 s.
pub(super) const TICK: Time = SEC / 256;

/// A bridge's or root's identifier: priority, then MAC; the smaller one wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BridgeId(u64);

impl BridgeId {
    /// The identifier of a bridge.
    pub fn new(priority: u16, mac: Mac) -> BridgeId {
        BridgeId(super::fdb::key(priority, mac))
    }

    /// The priority.
    pub fn priority(self) -> u16 {
        super::fdb::unkey(self.0).0
    }

    /// The address.
    pub fn mac(self) -> Mac {
        super::fdb::unkey(self.0).1
    }
}

impl std::fmt::Display for BridgeId {
    /// As `bridge -d link` and sysfs write it: `8000.2:0:0:1:1:0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let m = self.mac().0;
        write!(f, "{:04x}.{:x}:{:x}:{:x}:{:x}:{:x}:{:x}", self.priority(), m[0], m[1], m[2], m[3], m[4], m[5])
    }
}

/// A configuration message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConfigBpdu {
    /// The topology is changing: age stations quickly.
    pub topology_change: bool,
    /// The sender heard of a change.
    pub topology_change_ack: bool,
    /// The root the sender believes in.
    pub root: BridgeId,
    /// The sender's cost to the root.
    pub root_path_cost: u32,
    /// The sender.
    pub bridge: BridgeId,
    /// The port it was sent by.
    pub port: u16,
    /// How old the root's information is.
    pub message_age: Time,
    /// When it is too old.
    pub max_age: Time,
    /// The root's interval.
    pub hello_time: Time,
    /// The root's forward delay.
    pub forward_delay: Time,
}

/// A message between bridges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bpdu {
    /// Configuration.
    Config(ConfigBpdu),
    /// Topology change notification.
    Tcn,
}

impl Bpdu {
    /// Reads what follows an Ethernet header. `None` for anything but a well-formed BPDU: wrong LLC header, protocol,
    /// version or type, too short, or a configuration older than its own limit (§9.3.4, `br_stp_rcv`).
    pub fn parse(b: &[u8]) -> Option<Bpdu> {
        let b = b.strip_prefix(&LLC)?;
        if b.len() < TCN_LEN || b[..3] != [0, 0, 0] {
            return None;
        }
        match b[3] {
            TCN => Some(Bpdu::Tcn),
            CONFIG if b.len() >= CONFIG_LEN => {
                let time = |at| Time::from(be16(b, at)) * TICK;
                let id = |at| BridgeId::new(be16(b, at), Mac::read(b, at + 2));
                let c = ConfigBpdu {
                    topology_change: b[4] & 1 != 0,
                    topology_change_ack: b[4] & 0x80 != 0,
                    root: id(5),
                    root_path_cost: u32::from_be_bytes([b[13], b[14], b[15], b[16]]),
                    bridge: id(17),
                    port: be16(b, 25),
                    message_age: time(27),
                    max_age: time(29),
                    hello_time: time(31),
                    forward_delay: time(33),
                };
                (c.message_age <= c.max_age).then_some(Bpdu::Config(c))
            }
            _ => None,
        }
    }

    /// The whole frame as the port with address `src` sends it, without padding.
    ///
    /// ```
    /// use netsim::{base::Mac, device::bridge::Bpdu};
    /// let frame = Bpdu::Tcn.frame(Mac([2, 0, 0, 0, 0, 1]));
    /// assert_eq!(frame.bytes()[12..], [0, 7, 0x42, 0x42, 3, 0, 0, 0, 0x80]);
    /// assert_eq!(Bpdu::parse(&frame.bytes()[14..]), Some(Bpdu::Tcn));
    /// ```
    pub fn frame(&self, src: Mac) -> BpduFrame {
        let mut f = BpduFrame { bytes: [0; FRAME_LEN], len: 0 };
        let b = &mut f.bytes;
        b[..6].copy_from_slice(&GROUP.0);
        b[6..12].copy_from_slice(&src.0);
        b[eth::HEADER..eth::HEADER + LLC.len()].copy_from_slice(&LLC);
        let body = &mut b[eth::HEADER + LLC.len()..];
        let len = match self {
            Bpdu::Tcn => {
                body[3] = TCN;
                TCN_LEN
            }
            Bpdu::Config(c) => {
                body[4] = c.topology_change as u8 | (c.topology_change_ack as u8) << 7;
                body[5..13].copy_from_slice(&c.root.0.to_be_bytes());
                body[13..17].copy_from_slice(&c.root_path_cost.to_be_bytes());
                body[17..25].copy_from_slice(&c.bridge.0.to_be_bytes());
                put16(body, 25, c.port);
                for (at, time) in [(27, c.message_age), (29, c.max_age), (31, c.hello_time), (33, c.forward_delay)] {
                    put16(body, at, (time / TICK).min(u16::MAX as Time) as u16);
                }
                CONFIG_LEN
            }
        };
        // An 802.3 length, not an EtherType.
        put16(b, 12, (LLC.len() + len) as u16);
        f.len = (eth::HEADER + LLC.len() + len) as u8;
        f
    }
}

const FRAME_LEN: usize = eth::HEADER + LLC.len() + CONFIG_LEN;

/// A BPDU ready to be sent, Ethernet header included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BpduFrame {
    bytes: [u8; FRAME_LEN],
    len: u8,
}

impl BpduFrame {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> impl Strategy<Value = BridgeId> {
        any::<u64>().prop_map(BridgeId)
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed(
            (root, bridge, port, cost, tc, ack) in
                (id(), id(), any::<u16>(), any::<u32>(), any::<bool>(), any::<bool>()),
            ticks in (0u64..100, 100u64..65536, 0u64..65536, 0u64..65536),
        ) {
            let c = ConfigBpdu {
                topology_change: tc, topology_change_ack: ack, root, root_path_cost: cost, bridge, port,
                message_age: ticks.0 * TICK, max_age: ticks.1 * TICK,
                hello_time: ticks.2 * TICK, forward_delay: ticks.3 * TICK,
            };
            let frame = Bpdu::Config(c).frame(Mac([2; 6]));
            prop_assert_eq!(frame.bytes().len(), 52);
            prop_assert_eq!(be16(frame.bytes(), 12), 38);
            prop_assert_eq!(Bpdu::parse(&frame.bytes()[14..]), Some(Bpdu::Config(c)));
            // Every cut of it is refused, never a panic.
            for n in 14..52 {
                prop_assert_eq!(Bpdu::parse(&frame.bytes()[14..n]), None);
            }
        }

        #[test]
        fn no_bytes_panic(b in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut framed = LLC.to_vec();
            framed.extend([0, 0, 0]);
            framed.extend(&b);
            let _ = (Bpdu::parse(&b), Bpdu::parse(&framed));
        }
    }

    #[test]
    fn identifiers_order_by_priority_then_address() {
        let (low, high) = (Mac([2, 0, 0, 1, 0, 0]), Mac([2, 0, 0, 1, 1, 0]));
        assert!(BridgeId::new(0x1000, high) < BridgeId::new(0x8000, low));
        assert!(BridgeId::new(0x8000, low) < BridgeId::new(0x8000, high));
        assert_eq!(BridgeId::new(0x1000, low).to_string(), "1000.2:0:0:1:0:0");
    }

    #[test]
    fn older_than_its_limit_is_refused() {
        let c = ConfigBpdu { message_age: 2 * SEC, max_age: SEC, ..Default::default() };
        assert_eq!(Bpdu::parse(&Bpdu::Config(c).frame(Mac::ZERO).bytes()[14..]), None);
    }
}
