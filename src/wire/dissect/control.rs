//! Control messages in words: ICMP, ICMPv6 and bridge protocol data units.

use super::words::quoted;
use crate::wire::{be16, be32, icmp};
use std::{
    fmt::{Result, Write},
    net::{Ipv4Addr, Ipv6Addr},
};

/// Names of ICMP errors by type and code.
fn name(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (3, 0) => "net-unreachable",
        (3, 1) => "host-unreachable",
        (3, 2) => "proto-unreachable",
        (3, 3) => "port-unreachable",
        (3, 4) => "frag-needed",
        (3, 5) => "source-route-failed",
        (3, 9) => "net-prohibited",
        (3, 10) => "host-prohibited",
        (3, 13) => "admin-prohibited",
        (5, 0) => "redirect-net",
        (5, 1) => "redirect-host",
        (11, 0) => "ttl-exceeded",
        (11, 1) => "reassembly-timeout",
        (12, 0) => "param-problem",
        _ => "?",
    }
}

/// Names of ICMPv6 errors by type and code.
fn name6(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (1, 0) => "no-route",
        (1, 1) => "admin-prohibited",
        (1, 3) => "addr-unreachable",
        (1, 4) => "port-unreachable",
        (1, 5) => "policy-fail",
        (1, 6) => "reject-route",
        (2, 0) => "packet-too-big",
        (3, 0) => "hop-limit-exceeded",
        (3, 1) => "reassembly-timeout",
        (4, 1) => "unrecognized-next-header",
        _ => "?",
    }
}

fn quotation(o: &mut String, b: &[u8]) -> Result {
    write!(o, " quoting({}) [", b.len() - icmp::HEADER)?;
    quoted(o, &b[icmp::HEADER..])?;
    o.write_char(']')
}

fn echo(o: &mut String, b: &[u8], request: bool, quoted: bool) -> Result {
    let what = if request { "request" } else { "reply" };
    write!(o, "echo-{what} id={} seq={}", be16(b, 4), be16(b, 6))?;
    if quoted { Ok(()) } else { write!(o, " len={}", b.len() - icmp::HEADER) }
}

/// Describes an ICMP message of at least eight bytes.
pub fn icmp(o: &mut String, b: &[u8], inside: bool) -> Result {
    o.write_str("ICMP ")?;
    let (kind, code) = (b[0], b[1]);
    match kind {
        icmp::ECHO | icmp::ECHO_REPLY => echo(o, b, kind == icmp::ECHO, inside),
        13..=18 => write!(o, "type={kind}"),
        icmp::UNREACHABLE | 4 | icmp::REDIRECT | icmp::TIME_EXCEEDED | icmp::PARAM_PROBLEM => {
            write!(o, "{kind}/{code} {}", name(kind, code))?;
            match (kind, code) {
                (icmp::UNREACHABLE, icmp::unreach::FRAG_NEEDED) => write!(o, " mtu={}", be16(b, 6))?,
                (icmp::REDIRECT, _) => write!(o, " gw={}", Ipv4Addr::from_bits(be32(b, 4)))?,
                (icmp::PARAM_PROBLEM, _) => write!(o, " ptr={}", b[4])?,
                _ => {}
            }
            if inside { Ok(()) } else { quotation(o, b) }
        }
        _ => write!(o, "type={kind} code={code}"),
    }
}

/// Describes an ICMPv6 message of at least eight bytes.
pub fn icmpv6(o: &mut String, b: &[u8], inside: bool) -> Result {
    use icmp::v6;
    o.write_str("ICMP6 ")?;
    let (kind, code) = (b[0], b[1]);
    let address = |at: usize| b.get(at..at + 16).map(|a| Ipv6Addr::from(<[u8; 16]>::try_from(a).expect("16 bytes")));
    let target = |o: &mut String, name: &str, at: usize| match address(at) {
        Some(a) => write!(o, " {name}={a}"),
        None => write!(o, " truncated({})", b.len()),
    };
    match kind {
        v6::ECHO | v6::ECHO_REPLY => echo(o, b, kind == v6::ECHO, inside),
        v6::UNREACHABLE..=v6::PARAM_PROBLEM => {
            write!(o, "{kind}/{code} {}", name6(kind, code))?;
            if kind == v6::PACKET_TOO_BIG {
                write!(o, " mtu={}", be32(b, 4))?;
            }
            if inside { Ok(()) } else { quotation(o, b) }
        }
        v6::ROUTER_SOLICIT => o.write_str("router-solicit"),
        v6::ROUTER_ADVERT => o.write_str("router-advert"),
        v6::NEIGHBOUR_SOLICIT => {
            o.write_str("neighbor-solicit")?;
            target(o, "target", 8)
        }
        v6::NEIGHBOUR_ADVERT => {
            const FLAGS: [(u8, char); 3] = [(0x80, 'R'), (0x40, 'S'), (0x20, 'O')];
            let flags: String = FLAGS.iter().filter(|(bit, _)| b[4] & bit != 0).map(|(_, c)| c).collect();
            write!(o, "neighbor-advert flags={flags}")?;
            target(o, "target", 8)
        }
        v6::REDIRECT => {
            o.write_str("redirect")?;
            target(o, "target", 8)?;
            target(o, "dst", 24)
        }
        130..=132 | 143 => write!(o, "mld type={kind}"),
        _ => write!(o, "type={kind} code={code}"),
    }
}

/// Describes an LLC frame to the bridge group SAP (IEEE 802.1D-2004 §9.3): three LLC bytes, protocol, version, type.
pub fn bpdu(o: &mut String, b: &[u8]) -> Result {
    o.write_str(match b.get(6) {
        Some(0x00) => "STP config",
        Some(0x80) => "STP tcn",
        Some(0x02) => "STP rapid",
        _ => "LLC",
    })
}
