//! The knobs of a namespace and of a device, under the names and with the defaults of the kernel.
//!
//! Values are kept as small arrays that exist only where something was changed: an untouched namespace costs nothing.
//! Defaults: Documentation/networking/ip-sysctl.rst and nf_conntrack-sysctl.rst, Linux 6.18.

use crate::{
    base::{MS, SEC, Time},
    netfilter::Tunables,
};
use std::fmt;

macro_rules! knobs {
    ($(#[$doc:meta])* $name:ident, $count:ident { $($(#[$vdoc:meta])* $variant:ident = $key:literal, $default:expr, $min:expr, $max:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum $name {
            $(
                #[doc = concat!("`", $key, "`")]
                $(#[$vdoc])*
                $variant,
            )*
        }

        impl $name {
            /// Every knob, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The knob's key, without the part that names a device.
            pub const fn key(self) -> &'static str {
                match self { $($name::$variant => $key,)* }
            }

            /// The kernel's default.
            pub const fn default(self) -> i32 {
                match self { $($name::$variant => $default,)* }
            }

            /// The smallest and the largest value accepted.
            pub const fn range(self) -> (i32, i32) {
                match self { $($name::$variant => ($min, $max),)* }
            }
        }

        const $count: usize = $name::ALL.len();
    };
}

/// Where conntrack's settings live.
const CONNTRACK: &str = "net.netfilter.";

const BIG: i32 = i32::MAX;

knobs! {
    /// A knob of a whole namespace.
    Knob, KNOBS {
        /// Whether IPv4 packets are forwarded.
        IpForward = "net.ipv4.ip_forward", 0, 0, 1;
        /// TTL of packets sent.
        DefaultTtl = "net.ipv4.ip_default_ttl", 64, 1, 255;
        /// Milliseconds per ICMP error to one destination; 0: no limit.
        IcmpRatelimit = "net.ipv4.icmp_ratelimit", 1000, 0, BIG;
        /// The ICMP types the limit applies to.
        IcmpRatemask = "net.ipv4.icmp_ratemask", 6168, 0, BIG;
        /// ICMP errors per second, all destinations together.
        IcmpMsgsPerSec = "net.ipv4.icmp_msgs_per_sec", 1000, 0, BIG;
        /// Burst of the former.
        IcmpMsgsBurst = "net.ipv4.icmp_msgs_burst", 50, 0, BIG;
        /// Whether echo requests are ignored.
        IcmpEchoIgnoreAll = "net.ipv4.icmp_echo_ignore_all", 0, 0, 1;
        /// Whether echo requests to broadcast addresses are ignored.
        IcmpEchoIgnoreBroadcasts = "net.ipv4.icmp_echo_ignore_broadcasts", 1, 0, 1;
        /// Whether ICMP errors are sourced from the address of the receiving interface.
        IcmpErrorsUseInboundIfaddr = "net.ipv4.icmp_errors_use_inbound_ifaddr", 0, 0, 1;
        /// Seconds an incomplete datagram is kept.
        IpfragTime = "net.ipv4.ipfrag_time", 30, 0, BIG;
        /// Bytes of memory for incomplete datagrams.
        IpfragHighThresh = "net.ipv4.ipfrag_high_thresh", 4_194_304, 0, BIG;
        /// Bytes of memory for incomplete datagrams that none is thrown away for; not above the former.
        IpfragLowThresh = "net.ipv4.ipfrag_low_thresh", 3_145_728, 0, BIG;
        /// Most fragments of one source that may come between two of one datagram; 0: any number.
        IpfragMaxDist = "net.ipv4.ipfrag_max_dist", 64, 0, BIG;
        /// Whether ICMP errors about broadcasts are passed over without a word in the kernel's log; no other effect.
        IcmpIgnoreBogus = "net.ipv4.icmp_ignore_bogus_error_responses", 1, 0, 1;
        /// Whether sockets are looked up before routes, which is faster and changes no packet's way.
        IpEarlyDemux = "net.ipv4.ip_early_demux", 1, 0, 1;
        /// First ephemeral port (first value of `net.ipv4.ip_local_port_range`).
        LocalPortMin = "net.ipv4.ip_local_port_range#0", 32768, 1, 65535;
        /// Last ephemeral port (second value of `net.ipv4.ip_local_port_range`).
        LocalPortMax = "net.ipv4.ip_local_port_range#1", 60999, 1, 65535;
        /// Whether sockets may bind to addresses that are not local.
        IpNonlocalBind = "net.ipv4.ip_nonlocal_bind", 0, 0, 1;
        /// What multipath routing hashes: 0 addresses, 1 addresses and ports.
        MultipathHashPolicy = "net.ipv4.fib_multipath_hash_policy", 0, 0, 3;
        /// 1: never learn path MTUs.
        NoPmtuDisc = "net.ipv4.ip_no_pmtu_disc", 0, 0, 3;
        /// Whether forwarding honours learned path MTUs.
        ForwardUsePmtu = "net.ipv4.ip_forward_use_pmtu", 0, 0, 1;
        /// Seconds a learned path MTU is kept.
        RouteMtuExpires = "net.ipv4.route.mtu_expires", 600, 1, BIG;
        /// The smallest path MTU accepted.
        RouteMinPmtu = "net.ipv4.route.min_pmtu", 552, 68, 65535;
        /// Default receive buffer of a TCP socket in bytes (second value of `net.ipv4.tcp_rmem`).
        TcpRmem = "net.ipv4.tcp_rmem#1", 65536, 4096, 16_777_216;
        /// Default send buffer of a TCP socket in bytes (second value of `net.ipv4.tcp_wmem`).
        TcpWmem = "net.ipv4.tcp_wmem#1", 65536, 4096, 16_777_216;
        /// Retransmissions of a SYN.
        TcpSynRetries = "net.ipv4.tcp_syn_retries", 6, 1, 127;
        /// Retransmissions of a SYN in steps of a second, before the steps double.
        TcpSynLinearTimeouts = "net.ipv4.tcp_syn_linear_timeouts", 4, 0, 127;
        /// Retransmissions of a SYN-ACK.
        TcpSynackRetries = "net.ipv4.tcp_synack_retries", 5, 0, 255;
        /// Retransmissions of data, as the time they take.
        TcpRetries2 = "net.ipv4.tcp_retries2", 15, 0, 255;
        /// Whether replies to packets with a mark carry it too.
        FwmarkReflect = "net.ipv4.fwmark_reflect", 0, 0, 1;
        /// Milliseconds per ICMPv6 error to one destination; 0: no limit. Packet too big is never limited.
        Icmp6Ratelimit = "net.ipv6.icmp.ratelimit", 100, 0, BIG;
        /// Whether IPv6 echo requests are ignored.
        Icmp6EchoIgnoreAll = "net.ipv6.icmp.echo_ignore_all", 0, 0, 1;
        /// Whether IPv6 echo requests to groups are ignored.
        Icmp6EchoIgnoreMulticast = "net.ipv6.icmp.echo_ignore_multicast", 0, 0, 1;
        /// Whether IPv6 echo requests to anycast addresses are ignored.
        Icmp6EchoIgnoreAnycast = "net.ipv6.icmp.echo_ignore_anycast", 0, 0, 1;
        /// Seconds an incomplete IPv6 datagram is kept.
        Ip6fragTime = "net.ipv6.ip6frag_time", 60, 0, BIG;
        /// Seconds a learned IPv6 path MTU is kept.
        RouteMtuExpires6 = "net.ipv6.route.mtu_expires", 600, 1, BIG;
        /// Whether IPv6 sockets serve IPv6 only unless they say otherwise.
        Bindv6only = "net.ipv6.bindv6only", 0, 0, 1;
    }
}

knobs! {
    /// A knob every device has, and that also exists as `all` and `default`.
    Conf, CONFS {
        /// Whether IPv4 packets that come in by the device are forwarded.
        Forwarding = "net.ipv4.conf.*.forwarding", 0, 0, 1;
        /// Reverse path filter: 0 off, 1 strict, 2 loose (RFC 3704).
        RpFilter = "net.ipv4.conf.*.rp_filter", 0, 0, 2;
        /// Whether packets from own addresses are accepted.
        AcceptLocal = "net.ipv4.conf.*.accept_local", 0, 0, 1;
        /// Whether 127/8 may be routed.
        RouteLocalnet = "net.ipv4.conf.*.route_localnet", 0, 0, 1;
        /// Whether ICMP redirects are obeyed.
        AcceptRedirects = "net.ipv4.conf.*.accept_redirects", 1, 0, 1;
        /// Whether ICMP redirects are sent.
        SendRedirects = "net.ipv4.conf.*.send_redirects", 1, 0, 1;
        /// Whether redirects must come from a default gateway's list.
        SecureRedirects = "net.ipv4.conf.*.secure_redirects", 1, 0, 1;
        /// Whether the mark of a packet counts when the way back to its sender is looked up.
        SrcValidMark = "net.ipv4.conf.*.src_valid_mark", 0, 0, 1;
        /// Whether packets with a source route are taken.
        AcceptSourceRoute = "net.ipv4.conf.*.accept_source_route", 1, 0, 1;
        /// Whether unicast packets in link-layer broadcasts are dropped.
        DropUnicastInL2Multicast = "net.ipv4.conf.*.drop_unicast_in_l2_multicast", 0, 0, 1;
        /// Whether different subnets share the medium.
        SharedMedia = "net.ipv4.conf.*.shared_media", 1, 0, 1;
        /// Whether directed broadcasts are forwarded.
        BcForwarding = "net.ipv4.conf.*.bc_forwarding", 0, 0, 1;
        /// Which addresses are answered for: 0 any local, 1 those of the device, 2 also sender in the subnet.
        ArpIgnore = "net.ipv4.conf.*.arp_ignore", 0, 0, 8;
        /// Which source address ARP requests carry.
        ArpAnnounce = "net.ipv4.conf.*.arp_announce", 0, 0, 2;
        /// Whether gratuitous ARP creates entries.
        ArpAccept = "net.ipv4.conf.*.arp_accept", 0, 0, 2;
        /// Whether only the device a reply would leave by answers.
        ArpFilter = "net.ipv4.conf.*.arp_filter", 0, 0, 1;
        /// Whether gratuitous ARP is sent when a device comes up or changes its address.
        ArpNotify = "net.ipv4.conf.*.arp_notify", 0, 0, 1;
        /// Whether losing the carrier empties the neighbour table.
        ArpEvictNocarrier = "net.ipv4.conf.*.arp_evict_nocarrier", 1, 0, 1;
        /// Whether ARP is answered for addresses routed elsewhere.
        ProxyArp = "net.ipv4.conf.*.proxy_arp", 0, 0, 1;
        /// The medium the device is attached to, to proxy ARP only between different ones; 0: its own, -1: none.
        MediumId = "net.ipv4.conf.*.medium_id", 0, -1, BIG;
        /// Proxy ARP within a private VLAN.
        ProxyArpPvlan = "net.ipv4.conf.*.proxy_arp_pvlan", 0, 0, 1;
        /// Whether a secondary address takes over when the primary goes.
        PromoteSecondaries = "net.ipv4.conf.*.promote_secondaries", 0, 0, 1;
        /// Whether routes over a device without carrier are skipped.
        IgnoreRoutesWithLinkdown = "net.ipv4.conf.*.ignore_routes_with_linkdown", 0, 0, 1;
        /// Whether a martian is logged.
        LogMartians = "net.ipv4.conf.*.log_martians", 0, 0, 1;
        /// Milliseconds a confirmed neighbour counts as reachable, on average.
        BaseReachableTimeMs = "net.ipv4.neigh.*.base_reachable_time_ms", 30_000, 1, BIG;
        /// Milliseconds between two probes.
        RetransTimeMs = "net.ipv4.neigh.*.retrans_time_ms", 1000, 1, BIG;
        /// Seconds between the first use of a stale entry and the probe.
        DelayFirstProbeTime = "net.ipv4.neigh.*.delay_first_probe_time", 5, 0, BIG;
        /// Seconds after which an unused stale entry may go.
        GcStaleTime = "net.ipv4.neigh.*.gc_stale_time", 60, 0, BIG;
        /// Broadcast probes.
        McastSolicit = "net.ipv4.neigh.*.mcast_solicit", 3, 0, 255;
        /// Unicast probes.
        UcastSolicit = "net.ipv4.neigh.*.ucast_solicit", 3, 0, 255;
        /// Probes by a user-space resolver.
        AppSolicit = "net.ipv4.neigh.*.app_solicit", 0, 0, 255;
        /// Broadcast probes after unicast and app probes failed.
        McastResolicit = "net.ipv4.neigh.*.mcast_resolicit", 0, 0, 255;
        /// Bytes that may wait for one neighbour.
        UnresQlenBytes = "net.ipv4.neigh.*.unres_qlen_bytes", 212_992, 0, BIG;
        /// Hundredths of a second an entry resists being replaced.
        Locktime = "net.ipv4.neigh.*.locktime", 100, 0, BIG;
        /// Hundredths of a second a proxy reply is delayed at most.
        ProxyDelay = "net.ipv4.neigh.*.proxy_delay", 80, 0, BIG;
        /// Proxy replies that may wait.
        ProxyQlen = "net.ipv4.neigh.*.proxy_qlen", 64, 0, BIG;
        /// Whether IPv6 is off on the device. Unlike Linux, it is until a namespace gets an IPv6 address or this is set.
        DisableIpv6 = "net.ipv6.conf.*.disable_ipv6", 1, 0, 1;
        /// Of `all`: whether IPv6 packets are forwarded. Of a device: whether it acts as a router's towards its link.
        Forwarding6 = "net.ipv6.conf.*.forwarding", 0, 0, 1;
        /// Hop limit of packets sent.
        HopLimit = "net.ipv6.conf.*.hop_limit", 64, 1, 255;
        /// IPv6 MTU of the link, as a router advertised it; 0: the device's.
        Mtu6 = "net.ipv6.conf.*.mtu", 0, 0, 65_536;
        /// Whether router advertisements are obeyed: 0 never, 1 unless forwarding, 2 always.
        AcceptRa = "net.ipv6.conf.*.accept_ra", 1, 0, 2;
        /// Whether advertised prefixes yield addresses.
        Autoconf = "net.ipv6.conf.*.autoconf", 1, 0, 1;
        /// Whether duplicate addresses are detected. Linux: 1, which keeps a new address unusable for up to two seconds.
        AcceptDad = "net.ipv6.conf.*.accept_dad", 0, 0, 2;
        /// Probes per address.
        DadTransmits = "net.ipv6.conf.*.dad_transmits", 1, 0, 255;
        /// Whether IPv6 redirects are obeyed.
        AcceptRedirects6 = "net.ipv6.conf.*.accept_redirects", 1, 0, 1;
        /// Router solicitations per device; negative: without end. Linux: -1, which never lets a world come to rest.
        RouterSolicitations = "net.ipv6.conf.*.router_solicitations", 0, -1, BIG;
        /// Whether neighbour solicitations are answered for addresses with a proxy entry.
        ProxyNdp = "net.ipv6.conf.*.proxy_ndp", 0, 0, 1;
        /// Whether IPv6 addresses set by hand survive that the device is taken down.
        KeepAddrOnDown = "net.ipv6.conf.*.keep_addr_on_down", 0, 0, 1;
        /// Whether IPv6 routes over a device without carrier are skipped.
        IgnoreRoutesWithLinkdown6 = "net.ipv6.conf.*.ignore_routes_with_linkdown", 0, 0, 1;
        /// As the IPv4 knob of that name.
        BaseReachableTimeMs6 = "net.ipv6.neigh.*.base_reachable_time_ms", 30_000, 1, BIG;
        /// As the IPv4 knob of that name.
        RetransTimeMs6 = "net.ipv6.neigh.*.retrans_time_ms", 1000, 1, BIG;
        /// As the IPv4 knob of that name.
        DelayFirstProbeTime6 = "net.ipv6.neigh.*.delay_first_probe_time", 5, 0, BIG;
        /// As the IPv4 knob of that name.
        GcStaleTime6 = "net.ipv6.neigh.*.gc_stale_time", 60, 0, BIG;
        /// Multicast solicitations.
        McastSolicit6 = "net.ipv6.neigh.*.mcast_solicit", 3, 0, 255;
        /// Unicast solicitations.
        UcastSolicit6 = "net.ipv6.neigh.*.ucast_solicit", 3, 0, 255;
        /// As the IPv4 knob of that name.
        UnresQlenBytes6 = "net.ipv6.neigh.*.unres_qlen_bytes", 212_992, 0, BIG;
    }
}

/// Values of the knobs of one namespace; empty until one is set.
#[derive(Default, Clone, Debug)]
pub struct Knobs(Option<Box<[i32; KNOBS]>>);

impl Knobs {
    /// The value of a knob.
    #[inline]
    pub fn get(&self, k: Knob) -> i32 {
        match &self.0 {
            Some(v) => v[k as usize],
            None => k.default(),
        }
    }

    /// Whether a switch is on.
    #[inline]
    pub fn on(&self, k: Knob) -> bool {
        self.get(k) != 0
    }

    /// A knob counted in seconds.
    pub fn seconds(&self, k: Knob) -> Time {
        self.get(k).max(0) as Time * SEC
    }

    pub(crate) fn set(&mut self, k: Knob, value: i32) {
        let all = self.0.get_or_insert_with(|| {
            let mut v = [0; KNOBS];
            for k in Knob::ALL {
                v[*k as usize] = k.default();
            }
            Box::new(v)
        });
        all[k as usize] = value;
    }
}

/// Values of the knobs of one device, of `all` or of `default`; empty until one is set.
#[derive(Default, Clone, Debug)]
pub struct Confs(Option<Box<[i32; CONFS]>>);

impl Confs {
    /// Those of `all`: source routes, which every device takes, are off there, and both must be on.
    pub(crate) fn of_all() -> Confs {
        let mut all = Confs::default();
        all.set(Conf::AcceptSourceRoute, 0);
        all
    }

    /// The value of a knob.
    #[inline]
    pub fn get(&self, k: Conf) -> i32 {
        match &self.0 {
            Some(v) => v[k as usize],
            None => k.default(),
        }
    }

    /// Whether a switch is on.
    #[inline]
    pub fn on(&self, k: Conf) -> bool {
        self.get(k) != 0
    }

    pub(crate) fn set(&mut self, k: Conf, value: i32) {
        let all = self.0.get_or_insert_with(|| {
            let mut v = [0; CONFS];
            for k in Conf::ALL {
                v[*k as usize] = k.default();
            }
            Box::new(v)
        });
        all[k as usize] = value;
    }

    /// The knobs of the neighbour table for one family, in the form it takes them.
    pub fn neighbour(&self, ipv4: bool) -> crate::neigh::NeighParams {
        let of = |v4, v6| self.get(if ipv4 { v4 } else { v6 }).max(0);
        let ms = |v4, v6| of(v4, v6) as Time * MS;
        // An advertisement's own flags say whether it replaces an address; IPv6 knows no lock time (ndisc.c, nd_tbl).
        let locktime = if ipv4 { self.get(Conf::Locktime).max(0) as Time * 10 * MS } else { 0 };
        crate::neigh::NeighParams {
            base_reachable_time: ms(Conf::BaseReachableTimeMs, Conf::BaseReachableTimeMs6),
            retrans_time: ms(Conf::RetransTimeMs, Conf::RetransTimeMs6),
            delay_first_probe_time: of(Conf::DelayFirstProbeTime, Conf::DelayFirstProbeTime6) as Time * SEC,
            gc_stale_time: of(Conf::GcStaleTime, Conf::GcStaleTime6) as Time * SEC,
            mcast_solicit: of(Conf::McastSolicit, Conf::McastSolicit6) as u32,
            ucast_solicit: of(Conf::UcastSolicit, Conf::UcastSolicit6) as u32,
            app_solicit: if ipv4 { self.get(Conf::AppSolicit).max(0) as u32 } else { 0 },
            mcast_resolicit: if ipv4 { self.get(Conf::McastResolicit).max(0) as u32 } else { 0 },
            unres_qlen_bytes: of(Conf::UnresQlenBytes, Conf::UnresQlenBytes6) as u64,
            locktime,
            proxy_delay: self.get(Conf::ProxyDelay).max(0) as Time * 10 * MS,
            proxy_qlen: self.get(Conf::ProxyQlen).max(0) as u32,
            ..crate::neigh::NeighParams::default()
        }
    }
}

/// What a sysctl key means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// Knobs of the namespace: one per value the key takes.
    Namespace(Vec<Knob>),
    /// A conntrack setting, by its name below `net.netfilter`.
    Conntrack(&'static str),
    /// A knob of `all`, of `default` or of the named device.
    Device(Conf, Box<str>),
}

/// Why a sysctl could not be read or written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SysctlError {
    /// There is no such key. Holds the nearest existing one.
    Unknown(String),
    /// The key names a device the namespace does not have.
    NoDevice(String),
    /// The value is not what the key takes; holds a description of that.
    Value(String),
}

impl fmt::Display for SysctlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SysctlError::Unknown(near) => write!(f, "there is no such sysctl; did you mean `{near}`?"),
            SysctlError::NoDevice(dev) => write!(f, "this namespace has no device `{dev}`"),
            SysctlError::Value(want) => write!(f, "the value must be {want}"),
        }
    }
}

impl std::error::Error for SysctlError {}

/// Finds the meaning of a key such as `net.ipv4.conf.eth0.rp_filter`; slashes are accepted for dots.
///
/// Device names may contain dots (`eth0.10`), so a device key is matched by its head and its tail.
///
/// # Errors
/// [`SysctlError::Unknown`] with the nearest key.
pub fn parse_key(key: &str) -> Result<Key, SysctlError> {
    let key = key.replace('/', ".");
    let whole: Vec<Knob> =
        Knob::ALL.iter().copied().filter(|k| k.key().split('#').next() == Some(key.as_str())).collect();
    if !whole.is_empty() {
        return Ok(Key::Namespace(whole));
    }
    let conntrack = key.strip_prefix(CONNTRACK).and_then(|k| Tunables::NAMES.iter().find(|n| **n == k));
    if let Some(name) = conntrack {
        return Ok(Key::Conntrack(name));
    }
    for conf in Conf::ALL {
        let (head, tail) = conf.key().split_once('*').expect("device knobs have a star");
        if let Some(dev) = key.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)) {
            return Ok(Key::Device(*conf, dev.into()));
        }
    }
    let near = keys().max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
    Err(SysctlError::Unknown(near.expect("there are keys")))
}

/// Every key, with `*` where a device is named.
pub fn keys() -> impl Iterator<Item = String> {
    let whole = Knob::ALL.iter().filter_map(|k| match k.key().split_once('#') {
        Some((name, "0" | "1")) => Some(name.to_string()),
        Some(_) => None,
        None => Some(k.key().to_string()),
    });
    let mut all: Vec<String> = whole
        .chain(Conf::ALL.iter().map(|c| c.key().to_string()))
        .chain(["net.ipv4.neigh.*.unres_qlen".to_string(), "net.ipv6.neigh.*.unres_qlen".to_string()])
        .chain(Tunables::NAMES.iter().map(|n| format!("{CONNTRACK}{n}")))
        .collect();
    all.dedup();
    all.into_iter()
}

/// Checks a value against a range.
pub(crate) fn parse_value(text: &str, (min, max): (i32, i32)) -> Result<i32, SysctlError> {
    match text.trim().parse::<i32>() {
        Ok(v) if (min..=max).contains(&v) => Ok(v),
        _ if max == BIG => Err(SysctlError::Value(format!("a whole number of at least {min}"))),
        _ => Err(SysctlError::Value(format!("a whole number from {min} to {max}"))),
    }
}
