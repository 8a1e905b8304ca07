//! The files that describe the machine, not the network: the same in every namespace, unless its view says otherwise.

use super::is_own;
use crate::{
    base::{NsId, SEC, Time},
    kernel::Kernel,
};
use std::fmt::Write;

/// How long the simulated host had been up when the run began: 3 days and 4 hours.
const BOOTED_BEFORE: Time = 76 * 3600 * SEC;
/// Processors of the host.
const HOST_CPUS: u64 = 4;

/// `/proc/meminfo` in kB: the host with 16 GiB, a container with 512 MiB. Nothing in a simulation uses memory of the
/// simulated machine, so the numbers stand still.
const MEMORY: &[(&str, u64, u64)] = &[
    ("MemTotal", 16_777_216, 524_288),
    ("MemFree", 11_534_336, 412_672),
    ("MemAvailable", 14_680_064, 468_992),
    ("Buffers", 131_072, 0),
    ("Cached", 3_145_728, 57_344),
    ("SwapCached", 0, 0),
    ("Active", 2_097_152, 40_960),
    ("Inactive", 2_359_296, 45_056),
    ("Active(anon)", 786_432, 28_672),
    ("Inactive(anon)", 131_072, 4_096),
    ("Active(file)", 1_310_720, 12_288),
    ("Inactive(file)", 2_228_224, 40_960),
    ("Unevictable", 16_384, 0),
    ("Mlocked", 16_384, 0),
    ("SwapTotal", 2_097_152, 0),
    ("SwapFree", 2_097_152, 0),
    ("Dirty", 256, 0),
    ("Writeback", 0, 0),
    ("AnonPages", 917_504, 32_768),
    ("Mapped", 393_216, 16_384),
    ("Shmem", 65_536, 4_096),
    ("Slab", 524_288, 5_120),
    ("SReclaimable", 393_216, 4_096),
    ("SUnreclaim", 131_072, 1_024),
    ("PageTables", 24_576, 768),
    ("CommitLimit", 10_485_760, 262_144),
    ("Committed_AS", 3_407_872, 65_536),
];

/// Seconds the machine, or the namespace that has a view of its own, has been up; and what its processors idled.
pub(super) fn uptime(kernel: &Kernel, ns: NsId) -> String {
    let n = kernel.ns(ns);
    let (up, cpus) = match is_own(n.proc_view) {
        true => (kernel.core.now.saturating_sub(n.born), 1),
        false => (BOOTED_BEFORE.saturating_add(kernel.core.now), HOST_CPUS),
    };
    // Simulated programs cost no processor time: all of it was idle.
    format!("{} {}\n", hundredths(up), hundredths(up.saturating_mul(cpus)))
}

fn hundredths(t: Time) -> String {
    format!("{}.{:02}", t / SEC, t % SEC / (SEC / 100))
}

/// Memory in kB (`meminfo_proc_show`: `%-16s%8lu kB`).
pub(super) fn meminfo(kernel: &Kernel, ns: NsId) -> String {
    let own = is_own(kernel.ns(ns).proc_view);
    let mut text = String::new();
    for (name, host, container) in MEMORY {
        let kb = if own { container } else { host };
        writeln!(text, "{:<16}{kb:>8} kB", format!("{name}:")).expect("writing to a string cannot fail");
    }
    text
}

/// Load, running and existing processes, the last process number.
pub(super) fn loadavg(kernel: &Kernel, ns: NsId) -> String {
    match is_own(kernel.ns(ns).proc_view) {
        true => "0.00 0.00 0.00 1/1 1\n".into(),
        false => "0.08 0.03 0.01 1/142 2048\n".into(),
    }
}

/// The kernel. There is one, however many namespaces: no view of `/proc` changes this file.
pub(super) fn version(_: &Kernel, _: NsId) -> String {
    concat!("Linux version 6.18.0-netsim (netsim ", env!("CARGO_PKG_VERSION"), ") #1 SMP\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_decimals() {
        assert_eq!(hundredths(2643 * SEC + 567_000_000), "2643.56");
        assert_eq!(hundredths(0), "0.00");
    }

    #[test]
    fn memory_adds_up() {
        let of = |name: &str| MEMORY.iter().find(|m| m.0 == name).map(|m| (m.1, m.2)).unwrap();
        let sum = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
        assert_eq!(sum(of("Active(anon)"), of("Active(file)")), of("Active"));
        assert_eq!(sum(of("Inactive(anon)"), of("Inactive(file)")), of("Inactive"));
        assert_eq!(sum(of("SReclaimable"), of("SUnreclaim")), of("Slab"));
        for (name, host, container) in MEMORY {
            assert!(container <= host, "{name}");
            assert!(*host <= of("MemTotal").0, "{name}");
        }
    }
}
