//! `/proc/net/{tcp,tcp6,udp,udp6,raw,icmp}`.

use super::hex::{end, padded};
use crate::{
    base::NsId,
    kernel::Kernel,
    socket::{Family, SockKind, SocketInfo},
};

/// Listeners and connections, IPv4 (`tcp4_seq_show`).
pub(super) fn tcp(kernel: &Kernel, ns: NsId) -> String {
    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    let lines = tcp_sockets(kernel, ns, Family::V4).into_iter().enumerate().map(|(n, s)| padded(&tcp_line(n, &s), 149));
    padded(HEADER, 149) + &lines.collect::<String>()
}

/// The same for IPv6 (`tcp6_seq_show`), without padding.
pub(super) fn tcp6(kernel: &Kernel, ns: NsId) -> String {
    const HEADER: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let lines = tcp_sockets(kernel, ns, Family::V6).into_iter().enumerate().map(|(n, s)| tcp_line(n, &s) + "\n");
    String::from(HEADER) + &lines.collect::<String>()
}

/// UDP, IPv4 (`udp4_seq_show`).
pub(super) fn udp(kernel: &Kernel, ns: NsId) -> String {
    const HEADER: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
    datagram(kernel, ns, HEADER, 127, 5, UDP_BUCKETS, |s| s.kind == SockKind::Udp && s.family == Family::V4)
}

/// UDP, IPv6 (`udp6_seq_show`), without padding.
pub(super) fn udp6(kernel: &Kernel, ns: NsId) -> String {
    const HEADER: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
    datagram(kernel, ns, HEADER, 0, 5, UDP_BUCKETS, |s| s.kind == SockKind::Udp && s.family == Family::V6)
}

/// Raw sockets, IPv4; the protocol stands in place of the port (`raw_sock_seq_show`).
pub(super) fn raw(kernel: &Kernel, ns: NsId) -> String {
    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
    datagram(kernel, ns, HEADER, 0, 4, 256, |s| matches!(s.kind, SockKind::Raw(_)) && s.family == Family::V4)
}

/// Ping sockets, IPv4; the identifier stands in place of the port (`ping_v4_seq_show`).
pub(super) fn icmp(kernel: &Kernel, ns: NsId) -> String {
    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
    datagram(kernel, ns, HEADER, 127, 5, 64, |s| s.kind == SockKind::Ping && s.family == Family::V4)
}

/// Buckets of the UDP hash table of a machine with some gigabytes of memory.
const UDP_BUCKETS: u16 = 16_384;
/// `TCP_ESTABLISHED`, `TCP_SYN_SENT`, `TCP_SYN_RECV`, `TCP_TIME_WAIT` and `TCP_LISTEN` in the state column.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;

fn sockets(kernel: &Kernel, ns: NsId, wanted: impl Fn(&SocketInfo) -> bool) -> Vec<SocketInfo> {
    let Some(sockets) = &kernel.ns(ns).sockets else { return Vec::new() };
    sockets.list().filter(wanted).collect()
}

/// Listeners first, then connections, as the kernel walks its two tables (`tcp_get_idx`).
fn tcp_sockets(kernel: &Kernel, ns: NsId, family: Family) -> Vec<SocketInfo> {
    let mut all = sockets(kernel, ns, |s| s.kind == SockKind::Tcp && s.family == family);
    all.sort_by_key(|s| s.state != LISTEN);
    all
}

/// `get_tcp4_sock`, `get_openreq4` and `get_timewait4_sock`. Timers, retransmissions and the congestion window are the
/// engine's and not shown: the columns hold what an idle connection has.
fn tcp_line(n: usize, s: &SocketInfo) -> String {
    let tx = if s.state == LISTEN { 0 } else { s.tx_queue };
    let head = format!(
        "{n:4}: {} {} {:02X} {tx:08X}:{:08X} {:02X}:{:08X} {:08X}",
        end(s.local),
        end(s.remote),
        s.state,
        s.rx_queue,
        timer(s.state),
        0,
        0,
    );
    let tail = match s.state {
        TIME_WAIT | SYN_RECV => "",
        SYN_SENT => " 100 0 0 10 -1",
        LISTEN => " 100 0 0 10 0",
        _ => " 20 4 0 10 -1",
    };
    format!("{head} {:5} {:8} {} {} {:016x}{tail}", s.uid, 0, s.inode, s.refcount, 0)
}

/// The kind of timer that runs: 1 retransmission, 3 TIME-WAIT.
fn timer(state: u8) -> u8 {
    match state {
        TIME_WAIT => 3,
        SYN_SENT | SYN_RECV => 1,
        _ => 0,
    }
}

/// Tables of datagram sockets: sorted by bucket, the first column. The kernel mixes a random number of the namespace into
/// the bucket; here it is zero.
fn datagram(
    kernel: &Kernel,
    ns: NsId,
    header: &str,
    width: usize,
    digits: usize,
    buckets: u16,
    wanted: impl Fn(&SocketInfo) -> bool,
) -> String {
    let bucket = |s: &SocketInfo| s.local.port() & (buckets - 1);
    let mut all = sockets(kernel, ns, wanted);
    all.sort_by_key(bucket);
    let mut text = padded(header, width);
    for s in &all {
        text.push_str(&padded(&datagram_line(bucket(s), digits, s), width));
    }
    text
}

fn datagram_line(bucket: u16, digits: usize, s: &SocketInfo) -> String {
    format!(
        "{bucket:digits$}: {} {} {:02X} {:08X}:{:08X} {:02X}:{:08X} {:08X} {:5} {:8} {} {} {:016x} {}",
        end(s.local),
        end(s.remote),
        s.state,
        s.tx_queue,
        s.rx_queue,
        0,
        0,
        0,
        s.uid,
        0,
        s.inode,
        s.refcount,
        0,
        s.drops,
    )
}

/// Whether a connection counts as current (`TCP_MIB_CURRESTAB`): ESTABLISHED or CLOSE-WAIT.
pub(super) fn is_current(s: &SocketInfo) -> bool {
    s.kind == SockKind::Tcp && matches!(s.state, ESTABLISHED | 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SockId;

    fn info(kind: SockKind, local: &str, remote: &str, state: u8) -> SocketInfo {
        let local: std::net::SocketAddr = local.parse().unwrap();
        SocketInfo {
            id: SockId { ns: NsId(0), slot: 0 },
            kind,
            family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
            local,
            remote: remote.parse().unwrap(),
            state,
            tx_queue: 0,
            rx_queue: 0,
            uid: 0,
            inode: 63400,
            refcount: 1,
            drops: 0,
        }
    }

    /// Lines of a real namespace, with the pointer zeroed.
    #[test]
    fn tcp_columns_are_the_kernels() {
        let mut s = info(SockKind::Tcp, "0.0.0.0:80", "0.0.0.0:0", 10);
        (s.rx_queue, s.tx_queue, s.refcount) = (3, 5, 4);
        assert_eq!(
            padded(&tcp_line(0, &s), 149),
            "   0: 00000000:0050 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 63400 4 0000000000000000 100 0 0 10 0                     \n"
        );
        let mut s = info(SockKind::Tcp, "10.0.0.2:80", "10.0.0.1:5009", 8);
        (s.rx_queue, s.inode) = (1, 0);
        assert_eq!(
            padded(&tcp_line(2, &s), 149),
            "   2: 0200000A:0050 0100000A:1391 08 00000000:00000001 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 0 10 -1                         \n"
        );
        let mut s = info(SockKind::Tcp, "10.0.0.1:5009", "10.0.0.2:80", 6);
        (s.inode, s.refcount) = (0, 3);
        let line = tcp_line(2, &s);
        assert!(
            line.ends_with("06 00000000:00000000 03:00000000 00000000     0        0 0 3 0000000000000000"),
            "{line}"
        );
        let s = info(SockKind::Tcp, "[::]:8080", "[::]:0", 10);
        assert_eq!(
            tcp_line(0, &s),
            "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 63400 1 0000000000000000 100 0 0 10 0"
        );
    }

    #[test]
    fn datagram_columns_are_the_kernels() {
        let mut s = info(SockKind::Udp, "0.0.0.0:7000", "0.0.0.0:0", 7);
        (s.rx_queue, s.refcount, s.inode) = (0x680, 2, 63401);
        assert_eq!(
            padded(&datagram_line(10115, 5, &s), 127),
            "10115: 00000000:1B58 00000000:0000 07 00000000:00000680 00:00000000 00000000     0        0 63401 2 0000000000000000 0         \n"
        );
        let mut s = info(SockKind::Raw(89), "0.0.0.0:89", "0.0.0.0:0", 7);
        (s.refcount, s.inode) = (2, 63405);
        assert_eq!(
            padded(&datagram_line(103, 4, &s), 0),
            " 103: 00000000:0059 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 63405 2 0000000000000000 0\n"
        );
    }
}
