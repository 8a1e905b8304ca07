//! Options of IPv4 headers (RFC 791 §3.1, RFC 2113; net/ipv4/ip_options.c).

use super::{be32, put32};
use std::net::Ipv4Addr;

/// The fixed part of a header, behind which the options stand.
const FIXED: usize = 20;

const END: u8 = 0;
const NOOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// Kinds of timestamp options: times only, with addresses, with addresses given by the sender.
const WITH_ADDR: u8 = 1;
const PRESPECIFIED: u8 = 3;

/// What was found in the options of a packet, and what is still to be filled in when it leaves. Offsets are from the start
/// of the IP header, 0 if there is no such option.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OptionMarks {
    /// The record route option.
    pub rr: u8,
    /// The timestamp option.
    pub ts: u8,
    /// The source route option.
    pub srr: u8,
    /// The record route option waits for an address.
    pub rr_needaddr: bool,
    /// The timestamp option waits for an address.
    pub ts_needaddr: bool,
    /// The timestamp option waits for a time (of the packet that answers).
    pub ts_needtime: bool,
    /// Every hop of the source route must be a neighbour.
    pub strict: bool,
    /// The packet came to its next hop of the source route.
    pub srr_hit: Option<Ipv4Addr>,
}

/// What a host fills in.
pub struct Host<'h> {
    /// The address it is known by towards the sender; `None` before a route is known.
    pub addr: Option<Ipv4Addr>,
    /// Milliseconds since midnight.
    pub time: u32,
    /// Whether an address belongs to somebody else (`inet_addr_type() == RTN_UNICAST`).
    pub elsewhere: &'h dyn Fn(Ipv4Addr) -> bool,
}

/// Reads the options of a header, and fills in what a host fills in on arrival (`__ip_options_compile`). The checksum of
/// the header is stale afterwards; `marks` says what was found, up to an error.
///
/// # Errors
/// The offset of the byte that is wrong, for a parameter problem.
pub fn compile(header: &mut [u8], host: &Host<'_>, marks: &mut OptionMarks) -> Result<(), u8> {
    let mut at = FIXED;
    let end = header.len();
    while at < end {
        match header[at] {
            END => {
                header[at..].fill(END);
                break;
            }
            NOOP => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let here = at as u8;
        let len = if at + 1 < end { header[at + 1] as usize } else { 0 };
        if len < 2 || at + len > end {
            return Err(here);
        }
        let option = &mut header[at..at + len];
        match option[0] {
            STRICT_ROUTE | LOOSE_ROUTE => {
                pointer(option, 3, 4).map_err(|e| here + e)?;
                if marks.srr != 0 {
                    return Err(here);
                }
                (marks.srr, marks.strict) = (here, option[0] == STRICT_ROUTE);
            }
            RECORD_ROUTE => {
                if marks.rr != 0 {
                    return Err(here);
                }
                let next = pointer(option, 3, 4).map_err(|e| here + e)?;
                if next <= len {
                    if next + 3 > len {
                        return Err(here + 2);
                    }
                    if let Some(addr) = host.addr {
                        put32(option, next - 1, addr.into());
                    }
                    option[2] += 4;
                    marks.rr_needaddr = true;
                }
                marks.rr = here;
            }
            TIMESTAMP => {
                if marks.ts != 0 {
                    return Err(here);
                }
                stamp(option, host, marks).map_err(|e| here + e)?;
                marks.ts = here;
            }
            ROUTER_ALERT if len < 4 => return Err(here + 1),
            _ => {}
        }
        at += len;
    }
    Ok(())
}

/// The pointer of an option of at least `least` bytes, which is at least `first`.
fn pointer(option: &[u8], least: usize, first: u8) -> Result<usize, u8> {
    if option.len() < least {
        return Err(1);
    }
    if option[2] < first { Err(2) } else { Ok(option[2] as usize) }
}

fn stamp(option: &mut [u8], host: &Host<'_>, marks: &mut OptionMarks) -> Result<(), u8> {
    let len = option.len();
    let next = pointer(option, 4, 5)?;
    let kind = option[3] & 15;
    if next > len {
        // No room: hosts that could not enter themselves are counted.
        if kind != PRESPECIFIED {
            let missed = option[3] >> 4;
            if missed == 15 {
                return Err(3);
            }
            option[3] = kind | (missed + 1) << 4;
        }
        return Ok(());
    }
    let room = if kind == 0 { 3 } else { 7 };
    if next + 3 > len || (matches!(kind, WITH_ADDR | PRESPECIFIED) && next + room > len) {
        return Err(2);
    }
    match kind {
        0 => {
            put32(option, next - 1, host.time);
            option[2] += 4;
        }
        WITH_ADDR => {
            if let Some(addr) = host.addr {
                put32(option, next - 1, addr.into());
                put32(option, next + 3, host.time);
            }
            option[2] += 8;
            marks.ts_needaddr = true;
        }
        PRESPECIFIED => {
            if (host.elsewhere)(be32(option, next - 1).into()) {
                return Ok(());
            }
            put32(option, next + 3, host.time);
            option[2] += 8;
        }
        _ => return Ok(()),
    }
    marks.ts_needtime = true;
    Ok(())
}

/// The addresses of the source route of a packet from the pointer on, with their positions in the header.
pub fn hops(header: &[u8], marks: &OptionMarks) -> Vec<(usize, Ipv4Addr)> {
    let at = marks.srr as usize;
    let (len, next) = (header[at + 1] as usize, header[at + 2] as usize);
    let positions = (next..).step_by(4).take_while(move |p| p + 3 <= len).map(move |p| at + p - 1);
    positions.map(|p| (p, Ipv4Addr::from(be32(header, p)))).collect()
}

/// The options of an answer to a packet (`__ip_options_echo`): its routes and times go on, its source route goes back.
/// Also says which address the answer goes to first.
pub fn echo(header: &[u8], marks: &OptionMarks, elsewhere: &dyn Fn(Ipv4Addr) -> bool) -> Echo {
    let mut echo = Echo::default();
    let option = |at: u8| {
        let at = at as usize;
        &header[at..at + header[at + 1] as usize]
    };
    if marks.rr != 0 {
        echo.marks.rr = (FIXED + echo.bytes.len()) as u8;
        let o = option(marks.rr);
        echo.bytes.extend_from_slice(o);
        if marks.rr_needaddr && o[2] as usize + 3 <= o.len() {
            let at = echo.bytes.len() - o.len();
            echo.bytes[at + 2] += 4;
            echo.marks.rr_needaddr = true;
        }
    }
    if marks.ts != 0 {
        echo.marks.ts = (FIXED + echo.bytes.len()) as u8;
        let o = option(marks.ts);
        let at = echo.bytes.len();
        echo.bytes.extend_from_slice(o);
        let (len, mut next) = (o.len(), o[2] as usize);
        if next <= len {
            if marks.ts_needaddr {
                echo.marks.ts_needaddr = true;
                next += 4;
            }
            if marks.ts_needtime && o[3] & 15 != PRESPECIFIED {
                echo.marks.ts_needtime = true;
                next += 4;
            } else if marks.ts_needtime && next + 7 <= len && !elsewhere(be32(o, next - 1).into()) {
                echo.marks.ts_needtime = true;
                next += 8;
            }
            echo.bytes[at + 2] = next as u8;
        }
    }
    if marks.srr != 0 {
        echo_route(option(marks.srr), be32(header, 12).into(), &mut echo);
    }
    while !echo.bytes.len().is_multiple_of(4) {
        echo.bytes.push(END);
    }
    echo.marks.strict = marks.strict && echo.marks.srr != 0;
    echo
}

fn echo_route(option: &[u8], sender: Ipv4Addr, echo: &mut Echo) {
    let visited = (option[2] as usize).min(option.len() + 1) - 4;
    let mut back: Vec<Ipv4Addr> = (0..visited / 4).rev().map(|i| be32(option, 3 + 4 * i).into()).collect();
    let Some(first) = (!back.is_empty()).then(|| back.remove(0)) else { return };
    // RFC 1812 wants illegal source routes repaired: the sender itself is no hop.
    back.pop_if(|last| *last == sender);
    // The last place is for the final destination, which is filled in when the answer is built.
    let len = 3 + 4 * (back.len() + 1);
    echo.first = Some(first);
    echo.marks.srr = (FIXED + echo.bytes.len()) as u8;
    echo.bytes.extend_from_slice(&[option[0], len as u8, 4]);
    back.iter().for_each(|hop| echo.bytes.extend_from_slice(&hop.octets()));
    echo.bytes.extend_from_slice(&[0; 4]);
}

/// The options of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Echo {
    /// The options, padded.
    pub bytes: Vec<u8>,
    /// Where they stand in the header of the answer, and what they wait for.
    pub marks: OptionMarks,
    /// The first hop of the way back, if there is a source route.
    pub first: Option<Ipv4Addr>,
}

impl Echo {
    /// Writes the options into the header of an answer from `src` to `dst` that leaves at `time` (`ip_options_build`).
    pub fn write(&self, header: &mut [u8], src: Ipv4Addr, dst: Ipv4Addr, time: u32) {
        header[FIXED..FIXED + self.bytes.len()].copy_from_slice(&self.bytes);
        let m = &self.marks;
        if m.srr != 0 {
            let at = m.srr as usize;
            let end = at + header[at + 1] as usize;
            put32(header, end - 4, dst.into());
        }
        fill(header, m.rr_needaddr, m.rr, 5, src.into());
        fill(header, m.ts_needaddr, m.ts, 9, src.into());
        fill(header, m.ts_needtime, m.ts, 5, time);
    }
}

/// Writes a word `before` bytes in front of the pointer of the option at `at`.
pub fn fill(header: &mut [u8], needed: bool, at: u8, before: usize, word: u32) {
    if needed {
        let at = at as usize;
        let next = at + header[at + 2] as usize;
        put32(header, next - before, word);
    }
}

/// Later fragments carry only what is to be copied; the rest becomes padding (`ip_options_fragment`).
pub fn strip(header: &mut [u8]) {
    let mut at = FIXED;
    while at + 1 < header.len() && header[at] != END {
        if header[at] == NOOP {
            at += 1;
            continue;
        }
        let len = header[at + 1] as usize;
        if len < 2 || at + len > header.len() {
            return;
        }
        if header[at] & 0x80 == 0 {
            header[at..at + len].fill(NOOP);
        }
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(options: &[u8]) -> Vec<u8> {
        let mut h = vec![0; FIXED];
        h[12..16].copy_from_slice(&[10, 0, 1, 2]);
        h.extend_from_slice(options);
        h
    }

    fn host(addr: [u8; 4]) -> Host<'static> {
        Host { addr: Some(addr.into()), time: 7, elsewhere: &|_| true }
    }

    #[test]
    fn a_route_is_recorded_and_echoed() {
        let mut h = header(&[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut marks = OptionMarks::default();
        compile(&mut h, &host([10, 0, 1, 1]), &mut marks).unwrap();
        assert_eq!((marks.rr, marks.rr_needaddr), (20, true));
        assert_eq!(h[20..27], [7, 11, 8, 10, 0, 1, 1]);
        let echo = echo(&h, &marks, &|_| true);
        let mut answer = header(&[0; 12]);
        echo.write(&mut answer, [10, 0, 3, 1].into(), [10, 0, 1, 2].into(), 0);
        assert_eq!(answer[20..32], [7, 11, 12, 10, 0, 1, 1, 10, 0, 3, 1, 0]);
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (options, at) in [
            (&[7, 3, 3, 0][..], 22),
            (&[7, 5, 4, 0, 0, 0, 0, 0], 22),
            (&[7, 1, 0, 0], 20),
            (&[7, 255, 4, 0], 20),
            (&[68, 4, 4, 0], 22),
            (&[68, 12, 13, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0], 23),
            (&[131, 3, 3, 0], 22),
            (&[148, 3, 0, 0], 21),
        ] {
            let mut marks = OptionMarks::default();
            assert_eq!(compile(&mut header(options), &host([1, 1, 1, 1]), &mut marks), Err(at), "{options:?}");
        }
    }

    #[test]
    fn later_fragments_keep_only_what_is_copied() {
        let mut h = header(&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0]);
        strip(&mut h);
        assert_eq!(h[20..32], [1, 1, 1, 1, 1, 1, 1, 148, 4, 0, 0, 0]);
    }

    #[test]
    fn a_source_route_goes_back() {
        let mut h = header(&[131, 11, 12, 10, 0, 2, 2, 10, 0, 3, 2, 0]);
        let mut marks = OptionMarks::default();
        compile(&mut h, &host([10, 0, 3, 1]), &mut marks).unwrap();
        let echo = echo(&h, &marks, &|_| true);
        assert_eq!(echo.first, Some([10, 0, 3, 2].into()));
        assert_eq!(echo.bytes, [131, 11, 4, 10, 0, 2, 2, 0, 0, 0, 0, 0]);
    }
}
