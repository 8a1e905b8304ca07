//! The steps of a case.

use super::{
    AddrWords, ChainSpec, FdbWords, Impairment, NeighWords, Ordered, RouteWords, RuleSpec, RuleWords, Scalar, Secs,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A step: what is done, where, and how it is looked at.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// In which namespace.
    pub node: Option<String>,
    /// How long to wait afterwards.
    pub settle: Secs,
    /// The step as it is written.
    pub source: Value,
}

/// What a step does.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the names of the oracle's operations
pub enum Op {
    Ping(Ping),
    Traceroute(Traceroute),
    RouteGet(RouteGet),
    Exec {
        cmd: String,
        quiet: bool,
    },
    Sleep(Secs),
    /// `master` is `Some(None)` to leave the bridge.
    Link {
        set: LinkSet,
        master: Option<Option<String>>,
    },
    LinkDel {
        dev: String,
    },
    Addr {
        dev: String,
        verb: ConfigVerb,
        addr: AddrWords,
    },
    Route {
        verb: ConfigVerb,
        route: RouteWords,
    },
    Rule {
        verb: ConfigVerb,
        rule: RuleWords,
    },
    Neigh {
        verb: ConfigVerb,
        entry: NeighWords,
    },
    NeighFlush,
    Fdb {
        verb: ConfigVerb,
        entry: FdbWords,
    },
    FdbFlush {
        dev: String,
    },
    Sysctl {
        key: String,
        value: Scalar,
    },
    Bridge(BridgeSet),
    BrPort(BridgeSet),
    Netem {
        dev: String,
        set: Option<Impairment>,
    },
    CtFlush,
    Nft(Nft),
    UdpOpen(UdpOpen),
    UdpSend(UdpSend),
    UdpRecv(UdpRecv),
    UdpServe(UdpServe),
    Close(Close),
    TcpServe(TcpServe),
    TcpConnect(TcpConnect),
    TcpXfer(TcpXfer),
    Inject(Inject),
    Dump(Dump),
    Parallel(Parallel),
    WaitNeigh(WaitNeigh),
    WaitFdbGone(WaitFdbGone),
    WaitCtEmpty {
        timeout: Secs,
    },
    WaitPortsForwarding {
        timeout: Secs,
    },
    End,
}

/// The verb of a change of configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the verbs of `ip`
pub enum ConfigVerb {
    Add,
    Del,
    Replace,
    Append,
    Change,
    Prepend,
}

impl ConfigVerb {
    /// In the order the oracle looks for them.
    const ALL: [(&'static str, ConfigVerb); 6] = [
        ("add", ConfigVerb::Add),
        ("del", ConfigVerb::Del),
        ("replace", ConfigVerb::Replace),
        ("append", ConfigVerb::Append),
        ("change", ConfigVerb::Change),
        ("prepend", ConfigVerb::Prepend),
    ];
}

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
        sport: Option<u16>,
        dport: Option<u16>,
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

/// Steps that run side by side.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// The steps.
    pub steps: Vec<Step>,
    /// Time between their starts.
    pub stagger: Secs,
}

/// Keys every step may have. `note` and the like are for readers; `result` was written by an early version of the tool.
const COMMON: [&str; 6] = ["op", "node", "note", "packets", "packet_order", "result"];

/// How long a step is followed by nothing, unless it says otherwise.
const SETTLE: Secs = Secs::ms(120);

impl Step {
    /// Reads a step.
    pub(super) fn parse(source: Value) -> Result<Step, String> {
        let Value::Object(mut rest) = source.clone() else { return Err("a step is an object".into()) };
        let op = match rest.get("op") {
            Some(Value::String(op)) => op.clone(),
            _ => return Err("a step needs an `op`".into()),
        };
        let node = match rest.get("node") {
            None => None,
            Some(Value::String(n)) => Some(n.clone()),
            Some(_) => return Err("`node` is a name".into()),
        };
        for key in COMMON {
            rest.remove(key);
        }
        let settle = match rest.remove("settle") {
            Some(v) => serde_json::from_value(v).map_err(|e| format!("settle: {e}"))?,
            None => SETTLE,
        };
        let op = Op::parse(&op, rest).map_err(|e| format!("{op}: {e}"))?;
        Ok(Step { op, node, settle, source })
    }
}

impl Op {
    fn parse(op: &str, mut rest: Map<String, Value>) -> Result<Op, String> {
        Ok(match op {
            "ping" => Op::Ping(all(rest)?),
            "traceroute" => Op::Traceroute(all(rest)?),
            "route_get" => Op::RouteGet(all(rest)?),
            "exec" => {
                let (cmd, quiet) = (need(&mut rest, "cmd")?, take(&mut rest, "quiet")?.unwrap_or(false));
                end(rest, Op::Exec { cmd, quiet })?
            }
            "sleep" => {
                let seconds = need(&mut rest, "seconds")?;
                end(rest, Op::Sleep(seconds))?
            }
            "link" => {
                // `null` takes the device out of its bridge; without the key nothing changes.
                let master =
                    rest.remove("master").map(serde_json::from_value).transpose().map_err(|e| e.to_string())?;
                Op::Link { set: all(rest)?, master }
            }
            "link_del" => {
                let dev = need(&mut rest, "dev")?;
                end(rest, Op::LinkDel { dev })?
            }
            "addr" => {
                let dev = need(&mut rest, "dev")?;
                let (verb, addr) = change(&mut rest)?;
                end(rest, Op::Addr { dev, verb, addr })?
            }
            "route" => {
                let (verb, route) = change(&mut rest)?;
                end(rest, Op::Route { verb, route })?
            }
            "rule" => {
                let (verb, rule) = change(&mut rest)?;
                end(rest, Op::Rule { verb, rule })?
            }
            "neigh" if rest.remove("flush").is_some_and(|v| v != false) => end(rest, Op::NeighFlush)?,
            "neigh" => {
                let (verb, entry) = change(&mut rest)?;
                end(rest, Op::Neigh { verb, entry })?
            }
            "fdb" if rest.contains_key("flush") => {
                let dev = need(&mut rest, "flush")?;
                end(rest, Op::FdbFlush { dev })?
            }
            "fdb" => {
                let (verb, entry) = change(&mut rest)?;
                end(rest, Op::Fdb { verb, entry })?
            }
            "sysctl" => {
                let (key, value) = (need(&mut rest, "key")?, need(&mut rest, "value")?);
                end(rest, Op::Sysctl { key, value })?
            }
            "bridge" => Op::Bridge(all(rest)?),
            "brport" => Op::BrPort(all(rest)?),
            "netem" => {
                let (dev, set) = (need(&mut rest, "dev")?, take(&mut rest, "set")?);
                end(rest, Op::Netem { dev, set })?
            }
            "ct_flush" => end(rest, Op::CtFlush)?,
            "nft" => Op::Nft(all(rest)?),
            "udp_open" => Op::UdpOpen(all(rest)?),
            "udp_send" => Op::UdpSend(all(rest)?),
            "udp_recv" => Op::UdpRecv(all(rest)?),
            "udp_serve" => Op::UdpServe(all(rest)?),
            "close" => Op::Close(all(rest)?),
            "tcp_serve" => Op::TcpServe(all(rest)?),
            "tcp_connect" => Op::TcpConnect(all(rest)?),
            "tcp_xfer" => Op::TcpXfer(all(rest)?),
            "inject" => Op::Inject(all(rest)?),
            "dump" => Op::Dump(all(rest)?),
            "parallel" => {
                let steps: Vec<Value> = need(&mut rest, "steps")?;
                let stagger = take(&mut rest, "stagger")?.unwrap_or_default();
                let steps = steps.into_iter().map(Step::parse).collect::<Result<_, _>>()?;
                end(rest, Op::Parallel(Parallel { steps, stagger }))?
            }
            "wait_neigh" => Op::WaitNeigh(all(rest)?),
            "wait_fdb_gone" => Op::WaitFdbGone(all(rest)?),
            "wait_ct_empty" => {
                let timeout = take(&mut rest, "timeout")?.unwrap_or(Secs::ms(10_000));
                end(rest, Op::WaitCtEmpty { timeout })?
            }
            "wait_ports_forwarding" => {
                let timeout = take(&mut rest, "timeout")?.unwrap_or(Secs::ms(20_000));
                end(rest, Op::WaitPortsForwarding { timeout })?
            }
            "end" => end(rest, Op::End)?,
            _ => return Err("there is no such operation".into()),
        })
    }
}

/// Everything that is left.
fn all<T: DeserializeOwned>(rest: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(rest)).map_err(|e| e.to_string())
}

/// One key that may be there; `null` counts as absent.
fn take<T: DeserializeOwned>(rest: &mut Map<String, Value>, key: &str) -> Result<Option<T>, String> {
    match rest.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(v) => serde_json::from_value(v).map(Some).map_err(|e| format!("{key}: {e}")),
    }
}

/// One key that must be there.
fn need<T: DeserializeOwned>(rest: &mut Map<String, Value>, key: &str) -> Result<T, String> {
    take(rest, key)?.ok_or_else(|| format!("needs `{key}`"))
}

/// A verb and its object.
fn change<T: DeserializeOwned>(rest: &mut Map<String, Value>) -> Result<(ConfigVerb, T), String> {
    let (key, verb) = ConfigVerb::ALL.into_iter().find(|(k, _)| rest.contains_key(*k)).ok_or("needs a verb")?;
    Ok((verb, need(rest, key)?))
}

/// Nothing must be left.
fn end(rest: Map<String, Value>, op: Op) -> Result<Op, String> {
    match rest.keys().next() {
        Some(key) => Err(format!("unknown field `{key}`")),
        None => Ok(op),
    }
}
