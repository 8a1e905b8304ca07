//! The steps of a case.

use super::{AddrWords, FdbWords, Impairment, NeighWords, RouteWords, RuleWords, Scalar, Secs, fields::*};
use serde::de::DeserializeOwned;
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
#[allow(clippy::large_enum_variant)] // a case has a few dozen steps
pub enum Op {
    Ping(Ping),
    Traceroute(Traceroute),
    RouteGet(RouteGet),
    Exec {
        cmd: String,
        quiet: bool,
        replace: Vec<(String, String)>,
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
                let replace = take(&mut rest, "sub")?.unwrap_or_default();
                end(rest, Op::Exec { cmd, quiet, replace })?
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
