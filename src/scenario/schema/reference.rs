//! The schema as data: what documentation lists and tests compare.

use super::*;
use crate::scenario::read::{Field, Variant};

/// A group or a choice of the schema.
#[derive(Clone, Debug)]
pub struct Section {
    /// The name of its type in the library; for a variant with a group, mostly that of the variant.
    pub name: &'static str,
    /// What it is about, line by line.
    pub doc: &'static [&'static str],
    /// The fields, if it is a group.
    pub fields: Vec<Field>,
    /// The variants, if it is a choice.
    pub variants: Vec<Variant>,
}

macro_rules! sections {
    (groups: $($group:ident),*; choices: $($choice:ident),* $(,)?) => {
        vec![
            $(Section {
                name: stringify!($group),
                doc: $group::DOC,
                fields: $group::FIELDS.to_vec(),
                variants: Vec::new(),
            },)*
            $(Section {
                name: stringify!($choice),
                doc: $choice::DOC,
                fields: Vec::new(),
                variants: $choice::VARIANTS.to_vec(),
            },)*
        ]
    };
}

/// Every group with its fields, then every choice with its variants.
///
/// ```
/// use netsim::scenario::schema::reference;
/// let all = reference();
/// let ping = all.iter().find(|section| section.name == "Ping").unwrap();
/// let count = ping.fields.iter().find(|field| field.name == "count").unwrap();
/// assert_eq!(count.default.unwrap()(), "3");
/// assert_eq!(count.doc[0].trim(), "Number of requests.");
/// ```
pub fn reference() -> Vec<Section> {
    let mut all = sections! {
        groups: Scenario, Limits, Namespace, Host, Switch, Advertise, ProcView, Plain, Bridge, PortSettings, Vlan, LinkSettings,
            Impairment, Masquerade, Snat, Dnat, PortForward, Redirect, Netmap, Filter, Chain, Match, Reject, Listen, Http, Ping,
            Traceroute, UdpSend, TcpConnect, TcpBulk, HttpGet, Exec, Cat, Probe, Seen, HopList, PingResult,
            Dropped, Delivered, Misdelivered, Conntrack, ProcFile, HttpAnswer, TcpOutcome, TcpReceived, UdpReceived,
            Prints;
        choices: Preset, Device, Fdb, Nat, Policy, FilterRule, RejectWith, State, Server, Action, Method, Expect, Finish,
            LimitKind, Save,
    };
    // Its fields are those of an impairment and one more.
    let doc = &[" Replaces the impairments of what a device sends; without any, the wire is perfect again."];
    all.push(Section { name: "Impair", doc, fields: Impair::fields(), variants: Vec::new() });
    all
}
