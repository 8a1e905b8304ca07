//! Network devices: what each kind does with a frame.

pub mod bridge;
pub mod tunnel;

use crate::base::Mac;
use std::net::IpAddr;

/// The link-layer group of an IP multicast address (RFC 1112 §6.4, RFC 2464 §7).
///
/// ```
/// use netsim::device::multicast_mac;
/// assert_eq!(multicast_mac("224.0.0.251".parse().unwrap()).to_string(), "01:00:5e:00:00:fb");
/// assert_eq!(multicast_mac("ff02::1:ff00:1".parse().unwrap()).to_string(), "33:33:ff:00:00:01");
/// ```
pub fn multicast_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(a) => {
            let o = a.octets();
            Mac([0x01, 0x00, 0x5e, o[1] & 0x7f, o[2], o[3]])
        }
        IpAddr::V6(a) => {
            let o = a.octets();
            Mac([0x33, 0x33, o[12], o[13], o[14], o[15]])
        }
    }
}
