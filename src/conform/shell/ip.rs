//! `ip`: what scenarios can say, and the two outputs scripts of cases read: `ip route get` and `ip link show`.

use super::Output;
use crate::{
    base::{DevId, MS, NsId},
    conform::{case::Scalar, lab::firewall::protocol},
    ip::RouteQuery,
    kernel::{DeviceKind, Kernel},
    scenario::exec,
};

/// `ip …`
pub fn ip(k: &mut Kernel, ns: NsId, args: &[&str]) -> Result<Output, String> {
    let options = args.iter().take_while(|a| a.starts_with('-')).count();
    let (flags, words) = args.split_at(options);
    match words {
        ["route" | "r", "get", rest @ ..] => route_get(k, ns, rest),
        ["link" | "l", "show" | "list", rest @ ..] => link_show(k, ns, flags, rest),
        _ => {
            let mut line = vec!["ip"];
            line.extend(args);
            Ok(delegate(k, ns, &line))
        }
    }
}

/// What scenarios can do too.
pub fn delegate(k: &mut Kernel, ns: NsId, words: &[&str]) -> Output {
    let done = exec::command(k, ns, &words.join(" "));
    let text = done.lines.iter().fold(String::new(), |text, line| text + line + "\n");
    match done.status {
        0 => Output::said(text),
        status => Output::failed(text, status),
    }
}

fn device(k: &Kernel, ns: NsId, name: &str) -> Result<DevId, Output> {
    k.find_dev(ns, name).ok_or_else(|| Output::failed(format!("Device \"{name}\" does not exist.\n"), 1))
}

fn route_get(k: &mut Kernel, ns: NsId, words: &[&str]) -> Result<Output, String> {
    let bad = || format!("not supported: ip route get {}", words.join(" "));
    let (dst, pairs) = words.split_first().ok_or_else(bad)?;
    let host = dst.strip_suffix("/32").or(dst.strip_suffix("/128")).unwrap_or(dst);
    let Ok(to) = host.parse() else {
        let text = format!("Error: any valid prefix is expected rather than \"{dst}\".\n");
        return Ok(Output::failed(text, 1));
    };
    let mut query = RouteQuery::to(to);
    for pair in pairs.chunks(2) {
        let [key, value] = pair else { return Err(bad()) };
        let port = || value.parse().map_err(|_| bad());
        match *key {
            "from" => query.src = Some(value.parse().map_err(|_| bad())?),
            "iif" | "oif" => match device(k, ns, value) {
                Ok(dev) if *key == "iif" => query.iif = Some(dev),
                Ok(dev) => query.oif = Some(dev),
                Err(output) => return Ok(output),
            },
            "mark" => query.mark = super::super::lab::firewall::number(&Scalar((*value).into())).map_err(|_| bad())?,
            "ipproto" => query.proto = protocol(value).map_err(|_| bad())?,
            "sport" => query.sport = port()?,
            "dport" => query.dport = port()?,
            _ => return Err(bad()),
        }
    }
    Ok(match k.route_get(ns, &query) {
        Ok(text) => Output::said(text + "\n"),
        Err(e) => Output::failed(format!("RTNETLINK answers: {e}\n"), 2),
    })
}

fn link_show(k: &Kernel, ns: NsId, flags: &[&str], words: &[&str]) -> Result<Output, String> {
    let has = |short: &str| flags.iter().any(|f| f.starts_with(short));
    let words: Vec<&str> = words.iter().copied().filter(|w| *w != "dev").collect();
    let shown = match &words[..] {
        [] => k.ns(ns).devices.clone(),
        [name] => match device(k, ns, name) {
            Ok(dev) => vec![dev],
            Err(output) => return Ok(output),
        },
        _ => return Err(format!("not supported: ip link show {}", words.join(" "))),
    };
    let mut out = String::new();
    for dev in shown {
        let d = k.dev(dev);
        let at = k.ns(ns).devices.iter().position(|x| *x == dev).unwrap_or(0) + 1;
        let (name, mac) = (k.dev_name(dev), d.mac);
        let state = match (d.is_loopback(), d.is_running()) {
            (true, true) => "UNKNOWN",
            (false, true) => "UP",
            _ => "DOWN",
        };
        let flags = link_flags(k, dev);
        if has("-br") {
            out += &format!("{name:<16} {state:<14} {mac} <{flags}> \n");
            continue;
        }
        let kind = if d.is_loopback() { "loopback" } else { "ether" };
        let master = d.master.map(|m| format!(" master {}", k.dev_name(m))).unwrap_or_default();
        out += &format!("{at}: {name}: <{flags}> mtu {}{master} state {state}\n    link/{kind} {mac}\n", d.mtu);
        if let Some(b) = d.bridge().filter(|_| has("-d")) {
            let c = b.config();
            let [delay, hello, age, ageing] =
                [c.forward_delay, c.hello_time, c.max_age, c.ageing].map(|t| t / (10 * MS));
            out += &format!(
                "    bridge forward_delay {delay} hello_time {hello} max_age {age} ageing_time {ageing} stp_state {} \
                 priority {} vlan_filtering {} bridge_id {}\n",
                u8::from(c.stp),
                c.priority,
                u8::from(c.vlan_filtering),
                b.stp().id
            );
        }
    }
    Ok(Output::said(out))
}

fn link_flags(k: &Kernel, dev: DevId) -> String {
    let d = k.dev(dev);
    let many = !d.is_loopback() && !matches!(d.kind, DeviceKind::Deleted);
    let all = [
        ("NO-CARRIER", d.up && !d.carrier),
        ("LOOPBACK", d.is_loopback()),
        ("BROADCAST", many),
        ("MULTICAST", many),
        ("NOARP", !d.arp),
        ("UP", d.up),
        ("LOWER_UP", d.is_running()),
    ];
    all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect::<Vec<_>>().join(",")
}
