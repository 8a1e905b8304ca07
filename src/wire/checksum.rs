//! The Internet checksum, RFC 1071, and its incremental update, RFC 1624.

use std::net::IpAddr;

/// The one's complement sum of `b`, not yet folded; start from `init`.
#[inline]
pub fn sum(init: u64, b: &[u8]) -> u64 {
    // Big-endian words are summed in native order and swapped once at the end (RFC 1071 §2 B).
    let mut s = 0u64;
    let (words, rest) = b.as_chunks::<4>();
    for w in words {
        s += u32::from_ne_bytes(*w) as u64;
    }
    let mut tail = [0; 4];
    tail[..rest.len()].copy_from_slice(rest);
    s += u32::from_ne_bytes(tail) as u64;
    let folded = fold(s);
    init + if cfg!(target_endian = "little") { folded.swap_bytes() } else { folded } as u64
}

#[inline]
fn fold(mut s: u64) -> u16 {
    s = (s & 0xffff_ffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    s as u16
}

/// Folds and complements a sum into a checksum field's value.
#[inline]
pub fn finish(s: u64) -> u16 {
    !fold(s)
}

/// The checksum of `b` alone.
///
/// ```
/// use netsim::wire::checksum;
/// // RFC 1071 §3
/// assert_eq!(checksum::of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
/// ```
#[inline]
pub fn of(b: &[u8]) -> u16 {
    finish(sum(0, b))
}

/// The sum of the pseudo header of `len` bytes of `proto` (RFC 793 §3.1, RFC 8200 §8.1).
#[inline]
pub fn pseudo(src: IpAddr, dst: IpAddr, proto: u8, len: usize) -> u64 {
    let tail = proto as u64 + len as u64;
    match (src, dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => sum(sum(tail, &s.octets()), &d.octets()),
        (IpAddr::V6(s), IpAddr::V6(d)) => sum(sum(tail, &s.octets()), &d.octets()),
        _ => tail,
    }
}

/// The checksum of an upper-layer message `l4` (with its checksum field as it stands) under the pseudo header.
/// For a field that holds the right value the result is 0.
#[inline]
pub fn upper(src: IpAddr, dst: IpAddr, proto: u8, l4: &[u8]) -> u16 {
    finish(sum(pseudo(src, dst, proto, l4.len()), l4))
}

/// Updates `check` for a 16-bit word that changed from `old` to `new` (RFC 1624 eqn. 3).
#[inline]
pub fn update16(check: u16, old: u16, new: u16) -> u16 {
    let s = (!check) as u64 + (!old) as u64 + new as u64;
    !fold(s)
}

/// Updates `check` for bytes that changed from `old` to `new`; both must have the same even length.
#[inline]
pub fn update(check: u16, old: &[u8], new: &[u8]) -> u16 {
    debug_assert!(old.len() == new.len() && old.len().is_multiple_of(2));
    let mut s = (!check) as u64;
    for (o, n) in old.as_chunks::<2>().0.iter().zip(new.as_chunks::<2>().0) {
        s += (!u16::from_be_bytes(*o)) as u64 + u16::from_be_bytes(*n) as u64;
    }
    !fold(s)
}
