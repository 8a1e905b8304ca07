//! Why something did not arrive: the first wrong table entry or drop on the way.

use crate::{
    app::Outcome,
    base::{Errno, NsId},
    ip::OutRequest,
    kernel::Kernel,
    report::story::{Journey, Leg, Topic},
};
use std::net::IpAddr;

/// Why a probe from `ns` to `to` got no answer.
pub(super) fn lost(kernel: &mut Kernel, ns: NsId, to: IpAddr, outcome: &Outcome, journey: Option<&Journey>) -> String {
    if let Some(error) = local_error(outcome)
        && journey.is_none()
    {
        let name = kernel.ns_name(ns);
        return match error {
            Errno::ENETUNREACH => format!("{name} has no route to {to}, so nothing is sent ({})", error.name()),
            _ => format!("{name} cannot send: {} ({})", error.text(), error.name()),
        };
    }
    let Some(Journey { legs }) = journey else { return "no answer".into() };
    let Some(there) = legs.first() else { return "no answer".into() };
    if let Some(drop) = dropped(there) {
        return format!("lost on the way there: {drop}");
    }
    match legs.get(1) {
        Some(back) => match dropped(back) {
            Some(drop) => format!("the answer is lost on the way back: {drop}"),
            None => "the answer does not come back in time".into(),
        },
        None => no_answer(kernel, ns, to, there),
    }
}

/// It arrived, and nothing was sent back: most often for want of a route.
fn no_answer(kernel: &mut Kernel, ns: NsId, to: IpAddr, there: &Leg) -> String {
    let Some(last) = there.stages.last() else { return "no answer".into() };
    if last.topic != Topic::Arrival {
        return format!("still under way at {}", last.ns);
    }
    let translated = there.stages.iter().any(|s| s.topic == Topic::Nat);
    let source = kernel.route_output(ns, &OutRequest::to(to)).map(|way| way.src);
    let receiver = kernel.find_ns(&last.ns);
    if let (Ok(source), Some(receiver), false) = (source, receiver, translated)
        && kernel.route_output(receiver, &OutRequest::to(source)).is_err()
    {
        return format!("{} receives it but has no route back to {source}", last.ns);
    }
    format!("{} receives it and sends no answer", last.ns)
}

/// What dropped a packet, in words.
fn dropped(leg: &Leg) -> Option<&str> {
    leg.stages.iter().rev().find(|s| s.topic == Topic::Drop).map(|s| s.text.as_str())
}

fn local_error(outcome: &Outcome) -> Option<Errno> {
    match outcome {
        Outcome::Ping { local_error, .. } => *local_error,
        Outcome::UdpSend { errors, .. } => errors.first().copied(),
        Outcome::Tcp { error, .. } => *error,
        _ => None,
    }
}
