//! The `net.netfilter.nf_conntrack_*` settings of one namespace.

macro_rules! tunables {
    ($($(#[$doc:meta])* $field:ident = $name:literal, $default:literal;)*) => {
        /// The `net.netfilter.*` settings conntrack obeys. Times are in seconds.
        ///
        /// ```
        /// use netsim::netfilter::Tunables;
        /// let mut t = Tunables::default();
        /// assert_eq!(t.get("nf_conntrack_udp_timeout"), Some(30));
        /// assert!(t.set("nf_conntrack_udp_timeout", 5));
        /// assert_eq!(t.udp_timeout, 5);
        /// assert!(!t.set("nf_conntrack_nonsense", 1));
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Tunables {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Default for Tunables {
            /// The values of a new namespace (measured on 6.18).
            fn default() -> Tunables {
                Tunables { $($field: $default,)* }
            }
        }

        impl Tunables {
            /// The names below `net.netfilter`, in alphabetical order.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The value of the setting called `name`.
            pub fn get(&self, name: &str) -> Option<u32> {
                match name { $($name => Some(self.$field),)* _ => None }
            }

            /// Changes a setting; false if there is none of that name. Existing entries keep the time they have until
            /// their next packet.
            pub fn set(&mut self, name: &str, value: u32) -> bool {
                match name { $($name => self.$field = value,)* _ => return false }
                true
            }
        }
    };
}

tunables! {
    /// Count packets and bytes of entries created from now on.
    acct = "nf_conntrack_acct", 0;
    /// Verify the checksum of packets a link has corrupted; those that fail are INVALID.
    checksum = "nf_conntrack_checksum", 1;
    /// Protocols without a tracker of their own.
    generic_timeout = "nf_conntrack_generic_timeout", 600;
    /// GRE before a reply.
    gre_timeout = "nf_conntrack_gre_timeout", 30;
    /// GRE after a reply.
    gre_timeout_stream = "nf_conntrack_gre_timeout_stream", 180;
    /// ICMP requests.
    icmp_timeout = "nf_conntrack_icmp_timeout", 30;
    /// ICMPv6 requests.
    icmpv6_timeout = "nf_conntrack_icmpv6_timeout", 30;
    /// Most entries the table holds.
    max = "nf_conntrack_max", 262144;
    /// Call only resets INVALID for their sequence numbers.
    tcp_be_liberal = "nf_conntrack_tcp_be_liberal", 0;
    /// Do not call a reset with an old sequence number INVALID.
    tcp_ignore_invalid_rst = "nf_conntrack_tcp_ignore_invalid_rst", 0;
    /// Pick up connections whose SYN was not seen.
    tcp_loose = "nf_conntrack_tcp_loose", 1;
    /// After this many equal ACKs the shorter `tcp_timeout_max_retrans` applies.
    tcp_max_retrans = "nf_conntrack_tcp_max_retrans", 3;
    /// After a reset.
    tcp_timeout_close = "nf_conntrack_tcp_timeout_close", 10;
    /// After the ACK of a first FIN.
    tcp_timeout_close_wait = "nf_conntrack_tcp_timeout_close_wait", 60;
    /// An open connection.
    tcp_timeout_established = "nf_conntrack_tcp_timeout_established", 432_000;
    /// After a first FIN.
    tcp_timeout_fin_wait = "nf_conntrack_tcp_timeout_fin_wait", 120;
    /// After the second FIN.
    tcp_timeout_last_ack = "nf_conntrack_tcp_timeout_last_ack", 30;
    /// After `tcp_max_retrans` retransmissions or a closed window.
    tcp_timeout_max_retrans = "nf_conntrack_tcp_timeout_max_retrans", 300;
    /// After a SYN-ACK.
    tcp_timeout_syn_recv = "nf_conntrack_tcp_timeout_syn_recv", 60;
    /// After a SYN.
    tcp_timeout_syn_sent = "nf_conntrack_tcp_timeout_syn_sent", 120;
    /// After the last ACK.
    tcp_timeout_time_wait = "nf_conntrack_tcp_timeout_time_wait", 120;
    /// While data is unacknowledged, or a picked-up connection has seen no reply.
    tcp_timeout_unacknowledged = "nf_conntrack_tcp_timeout_unacknowledged", 300;
    /// UDP without a reply, or in its first two seconds.
    udp_timeout = "nf_conntrack_udp_timeout", 30;
    /// UDP in both directions for more than two seconds.
    udp_timeout_stream = "nf_conntrack_udp_timeout_stream", 120;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_can_be_read_and_written() {
        let mut t = Tunables::default();
        for (i, name) in Tunables::NAMES.iter().enumerate() {
            assert!(t.set(name, 1000 + i as u32), "{name}");
            assert_eq!(t.get(name), Some(1000 + i as u32), "{name}");
        }
        assert!(Tunables::NAMES.is_sorted());
        assert_eq!(t.get("ip_forward"), None);
    }
}
