//! `/proc/net/sockstat` and `/proc/net/sockstat6`.

use crate::{
    base::NsId,
    kernel::Kernel,
    socket::{Family, SockKind, SocketInfo},
};

/// `TCP_TIME_WAIT`, `TCP_CLOSE` in the state column.
const TIME_WAIT: u8 = 6;

/// Sockets in use, by kind.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Usage {
    tcp: usize,
    orphan: usize,
    time_wait: usize,
    udp: usize,
    raw: usize,
}

impl Usage {
    fn of<'a>(sockets: impl Iterator<Item = &'a SocketInfo>) -> Usage {
        let mut u = Usage::default();
        for s in sockets {
            match s.kind {
                SockKind::Tcp if s.state == TIME_WAIT => u.time_wait += 1,
                SockKind::Tcp => {
                    u.tcp += 1;
                    u.orphan += (s.inode == 0) as usize;
                }
                SockKind::Udp => u.udp += 1,
                SockKind::Raw(_) => u.raw += 1,
                SockKind::Ping => {}
            }
        }
        u
    }
}

/// IPv4 and totals (`sockstat_seq_show`). `alloc` and the memory columns count the whole machine, whichever namespace
/// asks: TCP memory is one pool for all.
pub(super) fn sockstat(kernel: &Kernel, ns: NsId) -> String {
    let all = listed(kernel, ns);
    let u = Usage::of(all.iter().filter(|s| s.family == Family::V4));
    let open = kernel.ns(ns).sockets.as_ref().map_or(0, |s| s.len());
    let fragments = kernel.ns(ns).reassembly.as_ref().map_or(0, |r| r.queued());
    let alloc: usize = kernel
        .nss
        .iter()
        .filter_map(|n| n.sockets.as_ref())
        .flat_map(|s| s.list())
        .filter(|s| s.kind == SockKind::Tcp && s.state != TIME_WAIT)
        .count();
    format!(
        "sockets: used {}\nTCP: inuse {} orphan {} tw {} alloc {alloc} mem 0\nUDP: inuse {} mem 0\nUDPLITE: inuse 0\n\
         RAW: inuse {}\nFRAG: inuse {fragments} memory 0\n",
        open - u.time_wait,
        u.tcp,
        u.orphan,
        u.time_wait,
        u.udp,
        u.raw,
    )
}

/// IPv6 (`sockstat6_seq_show`).
pub(super) fn sockstat6(kernel: &Kernel, ns: NsId) -> String {
    let u = Usage::of(listed(kernel, ns).iter().filter(|s| s.family == Family::V6));
    format!(
        "TCP6: inuse {}\nUDP6: inuse {}\nUDPLITE6: inuse 0\nRAW6: inuse {}\nFRAG6: inuse 0 memory 0\n",
        u.tcp, u.udp, u.raw
    )
}

fn listed(kernel: &Kernel, ns: NsId) -> Vec<SocketInfo> {
    kernel.ns(ns).sockets.as_ref().map_or(Vec::new(), |s| s.list().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SockId;

    #[test]
    fn time_wait_is_counted_apart_and_orphans_twice() {
        let any = "0.0.0.0:1".parse().unwrap();
        let one = |kind, state, inode| SocketInfo {
            id: SockId { ns: NsId(0), slot: 0 },
            kind,
            family: Family::V4,
            local: any,
            remote: any,
            state,
            tx_queue: 0,
            rx_queue: 0,
            uid: 0,
            inode,
            refcount: 1,
            drops: 0,
        };
        let all = [
            one(SockKind::Tcp, 1, 7),
            one(SockKind::Tcp, 5, 0),
            one(SockKind::Tcp, TIME_WAIT, 0),
            one(SockKind::Udp, 7, 8),
            one(SockKind::Raw(1), 7, 9),
            one(SockKind::Ping, 7, 10),
        ];
        assert_eq!(Usage::of(all.iter()), Usage { tcp: 2, orphan: 1, time_wait: 1, udp: 1, raw: 1 });
    }
}
