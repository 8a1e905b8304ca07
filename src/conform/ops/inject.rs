//! Raw frames, built as the oracle builds them.

use super::{CALL, Outcome};
use crate::{
    base::{Mac, NsId, proto},
    conform::{
        case::{Frame, FrameIcmp, FrameIp, FrameQuote, FrameTcp, FrameUdp, Inject},
        exec::Lab,
        topo::Topology,
    },
    wire::checksum,
};
use serde_json::Value;
use std::net::Ipv4Addr;

/// The shortest frame an Ethernet carries, without its checksum.
const SHORTEST: usize = 60;

/// Puts a frame on a device.
pub async fn inject(lab: &Lab, ns: NsId, node: &str, i: Inject) -> Outcome {
    let dev = lab.dev(ns, &i.dev)?;
    let frame = build(&lab.topo, node, &i.dev, &i.frame)?;
    let count = i.count.unwrap_or(1);
    for _ in 0..count {
        // What a packet socket is told is not part of the observation.
        let _ = lab.world.borrow_mut().inject(dev, &frame);
        lab.sleep(i.gap.unwrap_or_default().0.max(if count > 1 { CALL } else { 0 })).await;
    }
    Ok(Value::Null)
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("`{hex}` is not hexadecimal");
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0).ok_or_else(bad)?;
    Ok(digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
}

fn ip(text: &str) -> Result<[u8; 4], String> {
    text.parse::<Ipv4Addr>().map(|a| a.octets()).map_err(|_| format!("`{text}` is not an IPv4 address"))
}

pub fn build(topo: &Topology, node: &str, dev: &str, f: &Frame) -> Result<Vec<u8>, String> {
    let own = format!("{node}:{dev}");
    let src = topo.mac(f.src.as_deref().unwrap_or(&own))?;
    let mut b = topo.mac(&f.dst)?.0.to_vec();
    b.extend(src.0);
    if let Some(vlan) = f.vlan {
        b.extend([0x81, 0]);
        b.extend(vlan.to_be_bytes());
    }
    if let Some(a) = &f.arp {
        let op: u16 = match &*a.op {
            "request" => 1,
            "reply" => 2,
            other => return Err(format!("there is no ARP operation `{other}`")),
        };
        b.extend([8, 6, 0, 1, 8, 0, 6, 4]);
        b.extend(op.to_be_bytes());
        b.extend(a.sha.as_deref().map_or(Ok(src), |m| topo.mac(m))?.0);
        b.extend(ip(&a.spa)?);
        b.extend(a.tha.as_deref().map_or(Ok(Mac::ZERO), |m| topo.mac(m))?.0);
        b.extend(ip(&a.tpa)?);
    } else if let Some(i) = &f.ip {
        b.extend([8, 0]);
        b.extend(packet(f, i)?);
        if f.pad == Some(false) {
            return Ok(b);
        }
    } else {
        let text = f.ethertype.as_ref().map_or("88b5", |e| e.0.trim_start_matches("0x"));
        let ethertype = u16::from_str_radix(text, 16).map_err(|_| format!("`{text}` is not an ethertype"))?;
        b.extend(ethertype.to_be_bytes());
        b.extend(f.payload.as_deref().map_or(Ok(vec![0; 46]), bytes)?);
    }
    b.resize(b.len().max(SHORTEST), 0);
    Ok(b)
}

/// An IPv4 packet, or the fragment of it that is asked for.
fn packet(f: &Frame, i: &FrameIp) -> Result<Vec<u8>, String> {
    let mut options = i.options.as_deref().map_or(Ok(Vec::new()), bytes)?;
    options.resize(options.len().next_multiple_of(4), 0);
    let (src, dst) = (ip(&i.src)?, ip(&i.dst)?);
    let (mut l4, protocol) = match (&f.udp, &f.icmp, &f.tcp) {
        (Some(u), ..) => (udp(u, src, dst), proto::UDP),
        (_, Some(m), _) => (icmp(m)?, proto::ICMP),
        (.., Some(t)) => (tcp(t, src, dst)?, proto::TCP),
        _ => {
            let protocol = i.proto.ok_or("a packet without UDP, ICMP or TCP needs a `proto`")?;
            (f.payload.as_deref().map_or(Ok(Vec::new()), bytes)?, protocol)
        }
    };
    if i.frag_len.is_some() || i.frag_off > 0 {
        let from = i.frag_off.min(l4.len());
        let to = i.frag_len.map_or(l4.len(), |n| from.saturating_add(n).min(l4.len()));
        l4 = l4[from..to].to_vec();
    }
    let header = 20 + options.len();
    let flags = (i.frag_off / 8) as u16 | (i.mf as u16) << 13 | (i.df as u16) << 14;
    let mut b = vec![0x40 | (header / 4) as u8, i.tos.unwrap_or(0)];
    b.extend(((header + l4.len()) as u16).to_be_bytes());
    b.extend(i.id.unwrap_or(0x1234).to_be_bytes());
    b.extend(flags.to_be_bytes());
    b.extend([i.ttl.unwrap_or(64), i.proto.unwrap_or(protocol), 0, 0]);
    b.extend(src);
    b.extend(dst);
    b.extend(options);
    let sum = checksum::of(&b) ^ if i.badsum { 0x1111 } else { 0 };
    b[10..12].copy_from_slice(&sum.to_be_bytes());
    b.extend(l4);
    Ok(b)
}

/// The checksum of an upper-layer message with its pseudo header.
fn upper(src: [u8; 4], dst: [u8; 4], protocol: u8, l4: &[u8]) -> u16 {
    checksum::upper(Ipv4Addr::from(src).into(), Ipv4Addr::from(dst).into(), protocol, l4)
}

fn udp(u: &FrameUdp, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
    let data = match u.size {
        Some(n) => vec![b'y'; n],
        None => u.data.as_deref().unwrap_or("hello").as_bytes().to_vec(),
    };
    let mut b = Vec::new();
    for word in [u.sport, u.dport, (8 + data.len()) as u16, 0] {
        b.extend(word.to_be_bytes());
    }
    b.extend(data);
    let sum = match upper(src, dst, proto::UDP, &b) {
        0 => 0xffff,
        sum => sum,
    };
    let sum = if u.nosum { 0 } else { sum ^ if u.badsum { 0x5555 } else { 0 } };
    b[6..8].copy_from_slice(&sum.to_be_bytes());
    b
}

fn icmp(m: &FrameIcmp) -> Result<Vec<u8>, String> {
    let mut b = vec![m.kind, m.code, 0, 0];
    match &m.quote {
        Some(q) => {
            match &m.gw {
                Some(gw) => b.extend(ip(gw)?),
                None => b.extend((m.mtu as u32).to_be_bytes()),
            }
            b.extend(quote(q)?);
        }
        None => {
            b.extend(m.id.unwrap_or(1).to_be_bytes());
            b.extend(m.seq.unwrap_or(1).to_be_bytes());
            match m.size {
                Some(n) => b.resize(b.len() + n, b'y'),
                None => b.extend(m.data.as_deref().unwrap_or_default().bytes()),
            }
        }
    }
    let sum = checksum::of(&b) ^ if m.badsum { 0x5555 } else { 0 };
    b[2..4].copy_from_slice(&sum.to_be_bytes());
    Ok(b)
}

/// The IP header and the first eight bytes behind it that an ICMP error carries.
fn quote(q: &FrameQuote) -> Result<Vec<u8>, String> {
    let (protocol, l4) = match &*q.proto {
        "icmp" => (proto::ICMP, [0x0800, 0, q.id, q.seq.unwrap_or(1)]),
        "udp" => (proto::UDP, [q.sport, q.dport, 13, 0]),
        "tcp" => (proto::TCP, [q.sport, q.dport, 13, 0]),
        other => return Err(format!("a quoted packet is not of protocol `{other}`")),
    };
    let mut b = vec![0x45, 0, 0, 33, 0, 0, 0x40, 0, q.ttl.unwrap_or(60), protocol, 0, 0];
    b.extend(ip(&q.src)?);
    b.extend(ip(&q.dst)?);
    let sum = checksum::of(&b);
    b[10..12].copy_from_slice(&sum.to_be_bytes());
    for word in l4 {
        b.extend(word.to_be_bytes());
    }
    Ok(b)
}

fn tcp(t: &FrameTcp, src: [u8; 4], dst: [u8; 4]) -> Result<Vec<u8>, String> {
    let flag = |c: char| match c {
        'F' => Ok(1),
        'S' => Ok(2),
        'R' => Ok(4),
        'P' => Ok(8),
        'A' => Ok(16),
        other => Err(format!("there is no TCP flag `{other}`")),
    };
    let flags = t.flags.chars().map(flag).try_fold(0u8, |all, f| f.map(|f| all | f))?;
    let mut b = Vec::new();
    b.extend(t.sport.to_be_bytes());
    b.extend(t.dport.to_be_bytes());
    b.extend(t.seq.unwrap_or(1000).to_be_bytes());
    b.extend(t.ack.to_be_bytes());
    b.extend([5 << 4, flags]);
    b.extend(64_240u16.to_be_bytes());
    b.extend([0; 4]);
    b.extend(t.data.as_deref().unwrap_or_default().bytes());
    let sum = upper(src, dst, proto::TCP, &b);
    b[16..18].copy_from_slice(&sum.to_be_bytes());
    Ok(b)
}
