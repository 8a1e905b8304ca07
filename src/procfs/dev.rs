//! `/proc/net/dev`.

use crate::{
    base::NsId,
    kernel::{DevStats, Kernel},
};

const HEADER: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
";

/// Counters of every device (`dev_seq_show`; case proc-net-dev).
pub(super) fn dev(kernel: &Kernel, ns: NsId) -> String {
    let mut text = String::from(HEADER);
    for id in &kernel.ns(ns).devices {
        text.push_str(&line(kernel.dev_name(*id), &kernel.dev(*id).stats));
    }
    text
}

/// One device (`dev_seq_printf_stats`). Of the error columns only `drop` and a tunnel's `errs` can move: no device has a FIFO, frames
/// out of alignment, collisions or compression.
fn line(name: &str, s: &DevStats) -> String {
    format!(
        "{name:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n",
        s.rx_bytes,
        s.rx_packets,
        0,
        s.rx_dropped,
        0,
        0,
        0,
        s.multicast,
        s.tx_bytes,
        s.tx_packets,
        s.tx_errors,
        s.tx_dropped,
        0,
        0,
        0,
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a real namespace.
    #[test]
    fn columns_are_the_kernels() {
        let s = DevStats { rx_bytes: 871, rx_packets: 11, tx_bytes: 2264, tx_packets: 18, ..DevStats::default() };
        assert_eq!(
            line("eth0", &s),
            "  eth0:     871      11    0    0    0     0          0         0     2264      18    0    0    0     0       0          0\n"
        );
        assert_eq!(
            line("lo", &DevStats::default()),
            "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n"
        );
    }
}
