//! The closed catalogue of reasons for which a frame can be dropped.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a frame was dropped. Codes are stable: named after the kernel's `SKB_DROP_REASON_*` where one exists
        /// (include/net/dropreason-core.h, Linux 6.18), with the prefix `NETSIM_` where the kernel has none.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        impl DropReason {
            /// Every reason, in the order of declaration.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(DropReason::$name => $code,)* }
            }

            /// The reason as a sentence for people, without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(DropReason::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// No socket is bound to the destination port.
    NoSocket = "NO_SOCKET", "no socket is listening on that port";
    /// The socket's receive buffer is full.
    SocketRcvBuff = "SOCKET_RCVBUFF", "the socket's receive buffer is full";
    /// The listener's backlog is full.
    TcpBacklog = "SOCKET_BACKLOG", "the listener's backlog is full";
    /// A TCP segment no state accepts.
    TcpFlags = "TCP_FLAGS", "the TCP segment does not fit the state of the connection";
    /// Shorter than its headers say.
    HdrTrunc = "PKT_TOO_SMALL", "the packet is shorter than its headers say";
    /// An IPv4 or IPv6 header with impossible fields.
    IpInHdr = "IP_INHDR", "the IP header is malformed or its TTL ran out";
    /// TTL or hop limit ran out while forwarding.
    TtlExceeded = "IP_TTL_EXCEEDED", "the TTL ran out before the packet arrived";
    /// Bad IP header checksum.
    IpCsum = "IP_CSUM", "the IP header checksum is wrong";
    /// Bad TCP checksum.
    TcpCsum = "TCP_CSUM", "the TCP checksum is wrong";
    /// Bad UDP checksum.
    UdpCsum = "UDP_CSUM", "the UDP checksum is wrong";
    /// Bad ICMP checksum.
    IcmpCsum = "ICMP_CSUM", "the ICMP checksum is wrong";
    /// An upper protocol nobody handles.
    IpNoProto = "IP_NOPROTO", "nobody here speaks that IP protocol";
    /// An ICMP message that is ignored by design.
    InvalidProto = "INVALID_PROTO", "ICMP messages of this kind are ignored here";
    /// Addressed to another station's MAC.
    OtherHost = "OTHERHOST", "the frame is addressed to another station's MAC";
    /// Not for this host, and forwarding is off.
    IpInAddrErrors = "IP_INADDRERRORS", "the packet is for another host and forwarding is off here";
    /// No route to the destination.
    IpInNoRoutes = "IP_INNOROUTES", "there is no route to the destination";
    /// An outgoing packet without a route.
    IpOutNoRoutes = "IP_OUTNOROUTES", "there is no route to the destination";
    /// An `unreachable` route.
    RouteUnreachable = "NETSIM_ROUTE_UNREACHABLE", "an unreachable route covers the destination";
    /// A `prohibit` route.
    RouteProhibit = "NETSIM_ROUTE_PROHIBIT", "a prohibit route covers the destination";
    /// A `blackhole` route.
    RouteBlackhole = "NETSIM_ROUTE_BLACKHOLE", "a blackhole route covers the destination";
    /// Source address is one of our own.
    IpLocalSource = "IP_LOCAL_SOURCE", "the source address belongs to this very namespace";
    /// Source address that no packet may carry.
    IpInvalidSource = "IP_INVALID_SOURCE", "no packet may carry that source address";
    /// 127/8 arriving from a wire.
    IpLocalNet = "IP_LOCALNET", "loopback addresses may not arrive from a wire";
    /// Reverse path filter.
    IpRpFilter = "IP_RPFILTER", "the reverse path filter rejects that source on this device";
    /// An IP packet addressed to one host inside a link-layer broadcast, where that is not acceptable.
    UnicastInL2Multicast = "UNICAST_IN_L2_MULTICAST", "a unicast packet arrived inside a link-layer broadcast";
    /// A destination that may not be forwarded (link-local, broadcast, multicast).
    IpInvalidDest = "IP_INVALID_DEST", "packets to that destination are not forwarded";
    /// Larger than the MTU and fragmentation is forbidden.
    PktTooBig = "PKT_TOO_BIG", "the packet is larger than the MTU and may not be fragmented";
    /// Neighbour resolution failed.
    NeighFailed = "NEIGH_FAILED", "nobody answered when asked for the next hop's MAC address";
    /// The queue of packets waiting for a neighbour overflowed.
    NeighQueueFull = "NEIGH_QUEUEFULL", "too many packets are waiting for the same neighbour";
    /// The neighbour entry vanished while packets waited.
    NeighDead = "NEIGH_DEAD", "the neighbour entry was removed while the packet waited";
    /// The neighbour table is full.
    NeighCreateFail = "NEIGH_CREATEFAIL", "the neighbour table has no room for another entry";
    /// Netfilter rule or NAT clash.
    NetfilterDrop = "NETFILTER_DROP", "a firewall rule dropped it";
    /// Netfilter `reject`.
    NetfilterReject = "NETSIM_NETFILTER_REJECT", "a firewall rule rejected it";
    /// The conntrack table is full.
    ConntrackFull = "NETSIM_CONNTRACK_FULL", "the connection tracking table is full";
    /// No free port was left for a translation.
    NatExhausted = "NETSIM_NAT_EXHAUSTED", "no free port is left for the translation";
    /// Device or carrier down, or the queue is full.
    QdiscDrop = "QDISC_DROP", "the egress queue is full or the device has no carrier";
    /// The receiving device is down.
    DevDown = "DEV_READY", "the receiving device is down";
    /// Lost by the link's loss model.
    LinkLoss = "NETSIM_LINK_LOSS", "the link lost it (configured loss)";
    /// Too large for the device at the other end.
    PeerMtu = "NETSIM_PEER_MTU", "the frame is larger than the MTU at the other end of the wire";
    /// Bridge port in a state that does not forward.
    BridgeStpState = "BRIDGE_INGRESS_STP_STATE", "the bridge port is not forwarding";
    /// Frame for the port it came from.
    BridgeSamePort = "NETSIM_BRIDGE_SAME_PORT", "the bridge knows the station on the port the frame came from";
    /// No port left to forward to.
    BridgeNoPort = "BRIDGE_NO_EGRESS_PORT", "the bridge has no port left to send it to";
    /// Illegal source MAC.
    MacInvalidSource = "MAC_INVALID_SOURCE", "no station may use that source MAC";
    /// Reserved link-local group.
    MacControl = "MAC_IEEE_MAC_CONTROL", "frames to that reserved group address are not forwarded";
    /// VLAN not allowed on the port.
    VlanFiltered = "NETSIM_VLAN_FILTERED", "the port is not a member of that VLAN";
    /// Aware bridge: a MAC owned by two namespaces, frame without a mark.
    MacAmbiguous = "NETSIM_MAC_AMBIGUOUS", "two namespaces own that MAC and the frame does not say which is meant";
    /// Aware bridge: resolved for another namespace.
    NsMismatch = "NETSIM_NS_MISMATCH", "the sender resolved another namespace that carries the same MAC";
    /// EtherType nobody handles.
    UnhandledProto = "UNHANDLED_PROTO", "nobody here speaks that EtherType";
    /// ARP that is not for us or malformed.
    ArpIgnored = "NETSIM_ARP_IGNORED", "the ARP message is not for this host";
    /// Neighbour discovery that is not for us, or malformed.
    NdIgnored = "NETSIM_ND_IGNORED", "the neighbour discovery message is not for this host";
    /// IPv6 where it is switched off.
    Ipv6Disabled = "IPV6DISABLED", "IPv6 is switched off on the receiving device";
    /// Duplicate fragment.
    DupFrag = "DUP_FRAG", "that part of the datagram is already here";
    /// Reassembly timed out.
    FragReasmTimeout = "FRAG_REASM_TIMEOUT", "the missing fragments did not arrive in time";
    /// Only some fragments say that their sender knows ECN.
    FragEcn = "NETSIM_FRAG_ECN", "the ECN fields of the fragments contradict each other";
    /// The same segment still waits for its neighbour.
    StillQueued = "NETSIM_STILL_QUEUED", "the same segment still waits in this host";
    /// So many other fragments came in between that the datagram began anew.
    FragTooFar = "FRAG_TOO_FAR", "too many other fragments of that source came in between";
    /// Overlapping fragments discard the datagram.
    FragOverlap = "NETSIM_FRAG_OVERLAP", "fragments of that datagram overlap";
    /// Too many fragments wait.
    FragQueueFull = "NETSIM_FRAG_QUEUE_FULL", "too many incomplete datagrams are waiting";
    /// Nobody reads at the other end.
    NoReader = "NETSIM_NO_READER", "nobody reads the other end of the wire";
    /// The device has no other end.
    NoPeer = "NETSIM_NO_PEER", "the device has no cable";
    /// Packet for a tunnel nobody configured.
    NoTunnel = "NETSIM_NO_TUNNEL", "no tunnel is configured for that packet";
    /// The namespace or device was deleted while the frame was under way.
    DevGone = "NETSIM_DEV_GONE", "the device was deleted while the frame was under way";
    /// Packet queue exceeded a limit of the simulator.
    RecursionLimit = "NETSIM_RECURSION_LIMIT", "the packet went through too many devices of one namespace";
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
