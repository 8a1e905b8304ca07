//! The words all outputs share for what happened to a frame.

use crate::{
    base::{DevId, NsId, Time, Tuple, time},
    trace::{Delivery, Direction, DropReason, FrameId, HookPoint, Names, Origin, Switching},
};

/// A frame's name: the namespace that created it and its number there, as in `a#12`.
pub fn frame(names: &Names, id: FrameId) -> String {
    format!("{}#{}", names.ns(id.ns), id.seq)
}

/// The place of a record: `ns:dev`, or `ns` alone.
pub fn place(names: &Names, ns: NsId, dev: Option<DevId>) -> String {
    match dev {
        Some(dev) => names.full(dev),
        None => names.ns(ns).to_owned(),
    }
}

/// `in` or `out`.
pub const fn direction(d: Direction) -> &'static str {
    match d {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

/// Why a frame exists, for a frame that has no parent.
pub const fn origin(o: Origin) -> &'static str {
    match o {
        Origin::Socket => "sent by a socket",
        Origin::Icmp => "sent by ICMP",
        Origin::Neighbour => "sent to resolve a neighbour",
        Origin::Reset => "a TCP reset",
        Origin::Flood => "a copy for one more port",
        Origin::Duplicate => "a duplicate made by the link",
        Origin::Fragment => "a fragment",
        Origin::Reassembled => "put together from fragments",
        Origin::LocalCopy => "a copy for a local listener",
        Origin::Bpdu => "sent by the bridge protocol",
        Origin::Injected => "injected",
    }
}

/// Why a frame exists, and what it came from: `a copy for one more port, from a#12`.
pub fn birth(names: &Names, o: Origin, parent: Option<FrameId>) -> String {
    match (o, parent) {
        (_, None) => origin(o).into(),
        (Origin::Icmp | Origin::Reset | Origin::Neighbour, Some(p)) => {
            format!("{}, because of {}", origin(o), frame(names, p))
        }
        (_, Some(p)) => format!("{}, from {}", origin(o), frame(names, p)),
    }
}

/// Who took a delivered frame.
pub const fn delivery(d: Delivery) -> &'static str {
    match d {
        Delivery::Socket => "delivered to a socket",
        Delivery::Icmp => "delivered to ICMP",
        Delivery::Neighbour => "delivered to the neighbour table",
        Delivery::Bridge => "delivered to the bridge protocol",
        Delivery::Split => "taken apart; its parts travel on",
        Delivery::Joined => "joined with the other fragments",
        Delivery::Copied => "copied to several ports; the copies travel on",
        Delivery::External => "delivered outside the simulation",
    }
}

/// Why a frame was dropped: `CODE – sentence`.
pub fn drop_reason(r: DropReason) -> String {
    format!("{} – {}", r.code(), r.sentence())
}

/// A fate with its place and time: `delivered to a socket at b:eth0, 1.5ms`.
pub fn fate(what: &str, place: &str, at: Time) -> String {
    format!("{what} at {place}, {}", time::show(at))
}

/// What a bridge decided.
pub fn switching(names: &Names, bridge: Option<DevId>, to: Switching) -> String {
    let bridge = bridge.map_or("bridge", |b| names.dev(b));
    match to {
        Switching::Port(port) => format!("{bridge}: station known, to port {}", names.dev(port)),
        Switching::Flood(1) => format!("{bridge}: flooded to 1 port"),
        Switching::Flood(n) => format!("{bridge}: flooded to {n} ports"),
        Switching::Up => format!("{bridge}: handed up to its namespace"),
    }
}

/// A translation: `NAT postrouting: udp 10.0.0.1:5000 → … becomes udp 203.0.113.2:5000 → …`.
pub fn nat(hook: HookPoint, before: Tuple, after: Tuple) -> String {
    format!("NAT {}: {before} becomes {after}", hook.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MS;

    #[test]
    fn sentences() {
        let mut names = Names::default();
        let (a, host) = (names.add_ns("a"), names.add_ns("host"));
        let (eth0, br0) = (names.add_dev(a, "eth0"), names.add_dev(host, "br0"));
        let id = FrameId { ns: a, seq: 12 };
        assert_eq!(frame(&names, id), "a#12");
        assert_eq!((place(&names, a, Some(eth0)), place(&names, a, None)), ("a:eth0".into(), "a".into()));
        assert_eq!(birth(&names, Origin::Flood, Some(id)), "a copy for one more port, from a#12");
        assert_eq!(birth(&names, Origin::Icmp, Some(id)), "sent by ICMP, because of a#12");
        assert_eq!(birth(&names, Origin::Socket, None), "sent by a socket");
        assert_eq!(fate(delivery(Delivery::Socket), "a:eth0", 3 * MS / 2), "delivered to a socket at a:eth0, 1.5ms");
        assert_eq!(drop_reason(DropReason::NoSocket), "NO_SOCKET – no socket is listening on that port");
        assert_eq!(switching(&names, Some(br0), Switching::Port(eth0)), "br0: station known, to port eth0");
        assert_eq!(switching(&names, Some(br0), Switching::Flood(1)), "br0: flooded to 1 port");
        let before = Tuple { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into(), sport: 5, dport: 6, proto: 17 };
        assert_eq!(
            nat(HookPoint::Postrouting, before, Tuple { sport: 7, ..before }),
            "NAT postrouting: udp 10.0.0.1:5 → 10.0.0.2:6 becomes udp 10.0.0.1:7 → 10.0.0.2:6"
        );
    }
}
