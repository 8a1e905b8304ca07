//! Numbers and addresses the way `/proc/net` writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IPv4 address as `%08X` of its 32-bit word on a little-endian machine: the bytes appear in reverse.
pub(super) fn word(a: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_le_bytes(a.octets()))
}

/// An IPv6 address as four such words.
pub(super) fn words(a: Ipv6Addr) -> String {
    let w = |i: usize| {
        let o = a.octets();
        u32::from_le_bytes([o[i], o[i + 1], o[i + 2], o[i + 3]])
    };
    format!("{:08X}{:08X}{:08X}{:08X}", w(0), w(4), w(8), w(12))
}

/// `ADDRESS:PORT` of a socket.
pub(super) fn end(a: SocketAddr) -> String {
    match a.ip() {
        IpAddr::V4(ip) => format!("{}:{:04X}", word(ip), a.port()),
        IpAddr::V6(ip) => format!("{}:{:04X}", words(ip), a.port()),
    }
}

/// A line padded with blanks to `width` characters (`seq_setwidth` and `seq_pad`), with its line feed.
pub(super) fn padded(line: &str, width: usize) -> String {
    format!("{line:<width$}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel wrote for these addresses (Linux 6.18, x86-64).
    #[test]
    fn addresses_are_words_in_host_order() {
        assert_eq!(word(Ipv4Addr::new(10, 0, 0, 254)), "FE00000A");
        assert_eq!(end("10.0.0.1:5000".parse().unwrap()), "0100000A:1388");
        assert_eq!(end("[::1]:7001".parse().unwrap()), "00000000000000000000000001000000:1B59");
        assert_eq!(words("2001:db8::1".parse().unwrap()), "B80D0120000000000000000001000000");
        assert_eq!(padded("ab", 4), "ab  \n");
    }
}
