//! The fields of the operations, as they are written.

use super::{ChainSpec, Ordered, RuleSpec, Scalar, Secs};
use serde::Deserialize;

macro_rules! op_struct {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty $(= $key:literal)?,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs)] // the fields of the oracle's operations, told in its README
        pub struct $name {
            $($(#[serde(rename = $key)])? pub $field: $ty,)*
        }
    };
}

op_struct! {
    /// `ping`
    Ping {
        dst: String,
        count: Option<u32>,
        interval: Option<Secs>,
        wait: Option<Secs>,
        deadline: Option<Secs>,
        size: Option<u32>,
        ttl: Option<u8>,
        df: Option<String>,
        src: Option<String>,
        id: Option<u16>,
        tos: Option<Scalar>,
        broadcast: bool,
        flood_preload: Option<u32>,
        timeout: Option<Secs>,
        rtt: Option<(f64, f64)>,
        summary_only: Option<(f64, f64)>,
    }
}

op_struct! {
    /// `traceroute`
    Traceroute {
        dst: String,
        method: Option<String>,
        queries: Option<u8>,
        max: Option<u8>,
        first: Option<u8>,
        port: Option<u16>,
        wait: Option<Secs>,
        sequential: Option<bool>,
        src: Option<String>,
        dev: Option<String>,
        sport: Option<u16>,
        sendwait: Option<Scalar>,
        mtu: bool,
        df: bool,
        packetlen: Option<u16>,
    }
}

op_struct! {
    /// `ip route get`
    RouteGet {
        dst: String,
        from: Option<String>,
        iif: Option<String>,
        oif: Option<String>,
        mark: Option<Scalar>,
        tos: Option<Scalar>,
        ipproto: Option<Scalar>,
        sport: Option<Scalar>,
        dport: Option<Scalar>,
    }
}

op_struct! {
    /// `ip link set`
    LinkSet {
        dev: String,
        up: Option<bool>,
        mac: Option<String>,
        mtu: Option<u32>,
        arp: Option<bool>,
        promisc: Option<bool>,
    }
}

op_struct! {
    /// `ip link set type bridge`, `bridge link set`
    BridgeSet {
        dev: String,
        set: Ordered<Scalar>,
    }
}

op_struct! {
    /// `nft -f`
    Nft {
        flush: bool,
        nat: Vec<RuleSpec>,
        filter: Ordered<ChainSpec>,
        nft: Option<String>,
    }
}

op_struct! {
    /// Options of a socket.
    SockOpts {
        reuseaddr: bool,
        broadcast: bool,
        device: Option<String>,
        ttl: Option<u8>,
        pmtudisc: Option<String>,
        mark: Option<u32>,
        recverr: Option<bool>,
        mcast_join: Option<String>,
        mcast_ttl: Option<u8>,
    }
}

op_struct! {
    /// A UDP socket that stays open.
    UdpOpen {
        sock: String,
        bind: Option<String>,
        connect: Option<String>,
        opts: SockOpts,
    }
}

op_struct! {
    /// Datagrams, and what comes back.
    UdpSend {
        sock: Option<String>,
        to: Option<String>,
        bind: Option<String>,
        opts: SockOpts,
        data: Option<String>,
        size: Option<usize>,
        count: Option<u32>,
        gap: Option<Secs>,
        wait: Option<Secs>,
        want: Option<usize>,
    }
}

op_struct! {
    /// What has arrived at a socket.
    UdpRecv {
        sock: String,
        wait: Option<Secs>,
        want: usize,
    }
}

op_struct! {
    /// A UDP server.
    UdpServe {
        bind: String,
        sock: Option<String>,
        mode: Option<String>,
        opts: SockOpts,
    }
}

op_struct! {
    /// The end of a socket or server.
    Close {
        sock: String,
        rst: bool,
    }
}

op_struct! {
    /// A TCP server.
    TcpServe {
        bind: String,
        sock: Option<String>,
        mode: Option<String>,
        opts: SockOpts,
    }
}

op_struct! {
    /// A TCP connection.
    TcpConnect {
        to: String,
        bind: Option<String>,
        opts: SockOpts,
        timeout: Option<Secs>,
        data: Option<String>,
        size: Option<usize>,
        keep: bool,
        sock: Option<String>,
        rst: bool,
    }
}

op_struct! {
    /// An exchange on a connection that was kept.
    TcpXfer {
        sock: String,
        data: Option<String>,
        size: Option<usize>,
        timeout: Option<Secs>,
    }
}

op_struct! {
    /// A raw frame.
    Inject {
        dev: String,
        frame: Frame,
        count: Option<u32>,
        gap: Option<Secs>,
    }
}

op_struct! {
    /// The frame to inject.
    Frame {
        dst: String,
        src: Option<String>,
        vlan: Option<u16>,
        arp: Option<FrameArp>,
        ip: Option<FrameIp>,
        udp: Option<FrameUdp>,
        icmp: Option<FrameIcmp>,
        tcp: Option<FrameTcp>,
        ethertype: Option<Scalar>,
        payload: Option<String>,
        pad: Option<bool>,
    }
}

op_struct! {
    /// An ARP message.
    FrameArp {
        op: String,
        sha: Option<String>,
        spa: String,
        tha: Option<String>,
        tpa: String,
    }
}

op_struct! {
    /// An IPv4 header.
    FrameIp {
        src: String,
        dst: String,
        proto: Option<u8>,
        ttl: Option<u8>,
        tos: Option<u8>,
        id: Option<u16>,
        df: bool,
        mf: bool,
        frag_off: usize,
        frag_len: Option<usize>,
        options: Option<String>,
        badsum: bool,
    }
}

op_struct! {
    /// A UDP datagram.
    FrameUdp {
        sport: u16,
        dport: u16,
        data: Option<String>,
        size: Option<usize>,
        badsum: bool,
        nosum: bool,
    }
}

op_struct! {
    /// An ICMP message.
    FrameIcmp {
        kind: u8 = "type",
        code: u8,
        id: Option<u16>,
        seq: Option<u16>,
        data: Option<String>,
        size: Option<usize>,
        quote: Option<FrameQuote>,
        mtu: u16,
        gw: Option<String>,
        badsum: bool,
    }
}

op_struct! {
    /// The packet an ICMP error quotes.
    FrameQuote {
        proto: String,
        src: String,
        dst: String,
        ttl: Option<u8>,
        sport: u16,
        dport: u16,
        id: u16,
        seq: Option<u16>,
    }
}

op_struct! {
    /// A TCP segment.
    FrameTcp {
        sport: u16,
        dport: u16,
        flags: String,
        seq: Option<u32>,
        ack: u32,
        data: Option<String>,
    }
}

op_struct! {
    /// Tables.
    Dump {
        what: Vec<String>,
        table: Option<Scalar>,
        files: Vec<String>,
        all: bool,
    }
}

op_struct! {
    /// A wait for a neighbour's state.
    WaitNeigh {
        ip: String,
        state: Vec<String>,
        timeout: Option<Secs>,
    }
}

op_struct! {
    /// A wait for a bridge to forget a station.
    WaitFdbGone {
        mac: String,
        timeout: Option<Secs>,
    }
}
