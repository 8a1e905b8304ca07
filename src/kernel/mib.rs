//! SNMP counters of a namespace, under the names of `/proc/net/snmp` and `/proc/net/netstat` (RFC 4293, 4022, 4113).

macro_rules! mib {
    ($($variant:ident = $group:literal, $name:literal;)*) => {
        /// A counter.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        #[allow(missing_docs)] // each variant is its group and name run together
        pub enum Mib { $($variant,)* }

        impl Mib {
            /// Every counter, in the order the kernel prints its group.
            pub const ALL: &'static [Mib] = &[$(Mib::$variant,)*];

            /// The line of `/proc/net/snmp` (or `netstat` for `IpExt`) it stands in.
            pub const fn group(self) -> &'static str {
                match self { $(Mib::$variant => $group,)* }
            }

            /// Its column there.
            pub const fn name(self) -> &'static str {
                match self { $(Mib::$variant => $name,)* }
            }
        }

        const COUNT: usize = Mib::ALL.len();
    };
}

mib! {
    IpInReceives = "Ip", "InReceives";
    IpInHdrErrors = "Ip", "InHdrErrors";
    IpInAddrErrors = "Ip", "InAddrErrors";
    IpForwDatagrams = "Ip", "ForwDatagrams";
    IpInUnknownProtos = "Ip", "InUnknownProtos";
    IpInDiscards = "Ip", "InDiscards";
    IpInDelivers = "Ip", "InDelivers";
    IpOutRequests = "Ip", "OutRequests";
    IpOutDiscards = "Ip", "OutDiscards";
    IpOutNoRoutes = "Ip", "OutNoRoutes";
    IpReasmTimeout = "Ip", "ReasmTimeout";
    IpReasmReqds = "Ip", "ReasmReqds";
    IpReasmOKs = "Ip", "ReasmOKs";
    IpReasmFails = "Ip", "ReasmFails";
    IpFragOKs = "Ip", "FragOKs";
    IpFragFails = "Ip", "FragFails";
    IpFragCreates = "Ip", "FragCreates";
    IpOutTransmits = "Ip", "OutTransmits";
    IcmpInMsgs = "Icmp", "InMsgs";
    IcmpInErrors = "Icmp", "InErrors";
    IcmpInCsumErrors = "Icmp", "InCsumErrors";
    IcmpInDestUnreachs = "Icmp", "InDestUnreachs";
    IcmpInTimeExcds = "Icmp", "InTimeExcds";
    IcmpInParmProbs = "Icmp", "InParmProbs";
    IcmpInSrcQuenchs = "Icmp", "InSrcQuenchs";
    IcmpInRedirects = "Icmp", "InRedirects";
    IcmpInEchos = "Icmp", "InEchos";
    IcmpInEchoReps = "Icmp", "InEchoReps";
    IcmpInTimestamps = "Icmp", "InTimestamps";
    IcmpInTimestampReps = "Icmp", "InTimestampReps";
    IcmpInAddrMasks = "Icmp", "InAddrMasks";
    IcmpInAddrMaskReps = "Icmp", "InAddrMaskReps";
    IcmpOutMsgs = "Icmp", "OutMsgs";
    IcmpOutErrors = "Icmp", "OutErrors";
    IcmpOutRateLimitGlobal = "Icmp", "OutRateLimitGlobal";
    IcmpOutRateLimitHost = "Icmp", "OutRateLimitHost";
    IcmpOutDestUnreachs = "Icmp", "OutDestUnreachs";
    IcmpOutTimeExcds = "Icmp", "OutTimeExcds";
    IcmpOutParmProbs = "Icmp", "OutParmProbs";
    IcmpOutRedirects = "Icmp", "OutRedirects";
    IcmpOutEchos = "Icmp", "OutEchos";
    IcmpOutEchoReps = "Icmp", "OutEchoReps";
    IcmpOutTimestamps = "Icmp", "OutTimestamps";
    IcmpOutTimestampReps = "Icmp", "OutTimestampReps";
    TcpActiveOpens = "Tcp", "ActiveOpens";
    TcpPassiveOpens = "Tcp", "PassiveOpens";
    TcpAttemptFails = "Tcp", "AttemptFails";
    TcpEstabResets = "Tcp", "EstabResets";
    TcpInSegs = "Tcp", "InSegs";
    TcpOutSegs = "Tcp", "OutSegs";
    TcpRetransSegs = "Tcp", "RetransSegs";
    TcpInErrs = "Tcp", "InErrs";
    TcpOutRsts = "Tcp", "OutRsts";
    TcpInCsumErrors = "Tcp", "InCsumErrors";
    UdpInDatagrams = "Udp", "InDatagrams";
    UdpNoPorts = "Udp", "NoPorts";
    UdpInErrors = "Udp", "InErrors";
    UdpOutDatagrams = "Udp", "OutDatagrams";
    UdpRcvbufErrors = "Udp", "RcvbufErrors";
    UdpSndbufErrors = "Udp", "SndbufErrors";
    UdpInCsumErrors = "Udp", "InCsumErrors";
    UdpIgnoredMulti = "Udp", "IgnoredMulti";
    IpExtInNoRoutes = "IpExt", "InNoRoutes";
    IpExtInMcastPkts = "IpExt", "InMcastPkts";
    IpExtOutMcastPkts = "IpExt", "OutMcastPkts";
    IpExtInBcastPkts = "IpExt", "InBcastPkts";
    IpExtOutBcastPkts = "IpExt", "OutBcastPkts";
    IpExtInOctets = "IpExt", "InOctets";
    IpExtOutOctets = "IpExt", "OutOctets";
    IpExtInMcastOctets = "IpExt", "InMcastOctets";
    IpExtOutMcastOctets = "IpExt", "OutMcastOctets";
    IpExtInBcastOctets = "IpExt", "InBcastOctets";
    IpExtOutBcastOctets = "IpExt", "OutBcastOctets";
    IpExtInNoECTPkts = "IpExt", "InNoECTPkts";
    IpExtInECT1Pkts = "IpExt", "InECT1Pkts";
    IpExtInECT0Pkts = "IpExt", "InECT0Pkts";
    IpExtInCEPkts = "IpExt", "InCEPkts";
    IpExtInCsumErrors = "IpExt", "InCsumErrors";
    IpExtReasmOverlaps = "IpExt", "ReasmOverlaps";
    Ip6InTooBigErrors = "Ip6", "InTooBigErrors";
    Ip6InMcastPkts = "Ip6", "InMcastPkts";
    Ip6OutMcastPkts = "Ip6", "OutMcastPkts";
    Ip6InOctets = "Ip6", "InOctets";
    Ip6OutOctets = "Ip6", "OutOctets";
    Ip6InMcastOctets = "Ip6", "InMcastOctets";
    Ip6OutMcastOctets = "Ip6", "OutMcastOctets";
}

/// The counters of one namespace. They are allocated with the first packet of a family. Both families count what they
/// have in common under the same names; TCP counts for both in those of IPv4, as in the kernel.
#[derive(Default, Clone, Debug)]
pub struct Counters(Option<Box<Values>>);

#[derive(Clone, Debug)]
struct Values {
    plain: [u64; COUNT],
    icmp_in: [u32; 256],
    icmp_out: [u32; 256],
    six: Option<Box<Values>>,
}

impl Values {
    const fn new() -> Values {
        Values { plain: [0; COUNT], icmp_in: [0; 256], icmp_out: [0; 256], six: None }
    }
}

impl Counters {
    /// Counts one.
    #[inline]
    pub fn inc(&mut self, m: Mib) {
        self.add(m, 1);
    }

    /// Counts `n`.
    #[inline]
    pub fn add(&mut self, m: Mib, n: u64) {
        self.values().plain[m as usize] += n;
    }

    /// Counts one for a family, if there is something to count.
    #[inline]
    pub fn count_if(&mut self, yes: bool, ipv4: bool, m: Mib) {
        if yes {
            self.count(ipv4, m);
        }
    }

    /// Counts one for a family.
    #[inline]
    pub fn count(&mut self, ipv4: bool, m: Mib) {
        if ipv4 { self.inc(m) } else { self.add6(m, 1) }
    }

    /// Counts `n` for IPv6.
    pub fn add6(&mut self, m: Mib, n: u64) {
        self.values6().plain[m as usize] += n;
    }

    /// The value of a counter for IPv6.
    pub fn get6(&self, m: Mib) -> u64 {
        self.six().map_or(0, |v| v.plain[m as usize])
    }

    /// Counts an ICMPv6 message received.
    pub fn icmp6_in(&mut self, kind: u8) {
        self.values6().icmp_in[kind as usize] += 1;
    }

    /// Counts an ICMPv6 message sent.
    pub fn icmp6_out(&mut self, kind: u8) {
        self.values6().icmp_out[kind as usize] += 1;
    }

    /// ICMPv6 messages of a type: received and sent.
    pub fn icmp6_type(&self, kind: u8) -> (u32, u32) {
        self.six().map_or((0, 0), |v| (v.icmp_in[kind as usize], v.icmp_out[kind as usize]))
    }

    /// Counts an ICMP message received (`IcmpMsg: InTypeN`).
    pub fn icmp_in(&mut self, kind: u8) {
        self.values().icmp_in[kind as usize] += 1;
    }

    /// Counts an ICMP message sent (`IcmpMsg: OutTypeN`).
    pub fn icmp_out(&mut self, kind: u8) {
        self.values().icmp_out[kind as usize] += 1;
    }

    /// The value of a counter.
    pub fn get(&self, m: Mib) -> u64 {
        self.0.as_ref().map_or(0, |v| v.plain[m as usize])
    }

    /// ICMP messages by type: (type, received, sent), types that occurred only.
    pub fn icmp_types(&self) -> impl Iterator<Item = (u8, u32, u32)> + '_ {
        let v = self.0.as_deref();
        (0..=255u8).filter_map(move |t| {
            let (i, o) = v.map_or((0, 0), |v| (v.icmp_in[t as usize], v.icmp_out[t as usize]));
            (i + o > 0).then_some((t, i, o))
        })
    }

    #[inline]
    fn values(&mut self) -> &mut Values {
        self.0.get_or_insert_with(|| Box::new(Values::new()))
    }

    fn six(&self) -> Option<&Values> {
        self.0.as_ref()?.six.as_deref()
    }

    fn values6(&mut self) -> &mut Values {
        self.values().six.get_or_insert_with(|| Box::new(Values::new()))
    }
}
