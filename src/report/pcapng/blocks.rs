//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian on every platform.
//!
//! Written here rather than by a crate: five kinds of block are needed, with several comments on one packet, which the
//! stable crates do not offer.

use std::{
    io::{self, Write},
    net::IpAddr,
};

/// LINKTYPE_ETHERNET.
pub const ETHERNET: u16 = 1;
/// LINKTYPE_RAW: the packet begins with its IPv4 or IPv6 header.
pub const RAW: u16 = 101;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const NRB_IPV4: u16 = 1;
const NRB_IPV6: u16 = 2;

/// The longest text in an option; its length field has 16 bits.
const MAX_TEXT: usize = 4096;

/// Writes blocks and counts their bytes.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    body: Vec<u8>,
    written: u64,
}

/// One packet.
pub struct Packet<'a> {
    /// Index of its interface block.
    pub interface: u32,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time: u64,
    /// Its bytes.
    pub data: &'a [u8],
    /// Seen on its way in (1) or out (2).
    pub direction: u32,
    /// Notes, each a comment of its own.
    pub comments: &'a [String],
}

impl<'a> Writer<'a> {
    /// A writer that has written nothing.
    pub fn new(out: &'a mut dyn Write) -> Writer<'a> {
        Writer { out, body: Vec::new(), written: 0 }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The start of the file.
    pub fn section_header(&mut self, application: &str, comment: Option<&str>) -> io::Result<()> {
        self.put32(0x1a2b_3c4d); // byte-order magic
        self.put16(1); // version 1.0
        self.put16(0);
        self.body.extend_from_slice(&(-1i64).to_le_bytes()); // section length: unknown
        if let Some(c) = comment {
            self.text(OPT_COMMENT, c);
        }
        self.text(SHB_USERAPPL, application);
        self.end_options();
        self.block(SECTION_HEADER)
    }

    /// An interface with timestamps in nanoseconds and packets of any length.
    pub fn interface(&mut self, link_type: u16, name: &str) -> io::Result<()> {
        self.put16(link_type);
        self.put16(0);
        self.put32(0); // no snap length
        self.text(IF_NAME, name);
        self.option(IF_TSRESOL, &[9]);
        self.end_options();
        self.block(INTERFACE)
    }

    /// Names of addresses.
    pub fn names(&mut self, hosts: &[(IpAddr, String)]) -> io::Result<()> {
        for (addr, name) in hosts {
            let (kind, mut record) = match addr {
                IpAddr::V4(a) => (NRB_IPV4, a.octets().to_vec()),
                IpAddr::V6(a) => (NRB_IPV6, a.octets().to_vec()),
            };
            record.extend_from_slice(clip(name).as_bytes());
            record.push(0);
            self.option(kind, &record);
        }
        self.end_options(); // records end the way options do
        self.block(NAME_RESOLUTION)
    }

    /// A packet.
    pub fn packet(&mut self, p: &Packet<'_>) -> io::Result<()> {
        self.put32(p.interface);
        self.put32((p.time >> 32) as u32);
        self.put32(p.time as u32);
        self.put32(p.data.len() as u32); // captured
        self.put32(p.data.len() as u32); // on the wire
        self.body.extend_from_slice(p.data);
        self.pad();
        for c in p.comments {
            self.text(OPT_COMMENT, c);
        }
        self.option(EPB_FLAGS, &p.direction.to_le_bytes());
        self.end_options();
        self.block(ENHANCED_PACKET)
    }

    fn put16(&mut self, v: u16) {
        self.body.extend_from_slice(&v.to_le_bytes());
    }

    fn put32(&mut self, v: u32) {
        self.body.extend_from_slice(&v.to_le_bytes());
    }

    /// Fills up to a multiple of 32 bits.
    fn pad(&mut self) {
        let len = self.body.len().next_multiple_of(4);
        self.body.resize(len, 0);
    }

    fn text(&mut self, code: u16, text: &str) {
        self.option(code, clip(text).as_bytes());
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.put16(code);
        self.put16(value.len() as u16);
        self.body.extend_from_slice(value);
        self.pad();
    }

    fn end_options(&mut self) {
        self.put16(OPT_END);
        self.put16(0);
    }

    /// Frames the body as a block and writes it.
    fn block(&mut self, kind: u32) -> io::Result<()> {
        let total = (self.body.len() + 12) as u32;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&total.to_le_bytes())?;
        self.out.write_all(&self.body)?;
        self.out.write_all(&total.to_le_bytes())?;
        self.written += total as u64;
        self.body.clear();
        Ok(())
    }
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte for byte: the layout must not depend on the platform.
    #[test]
    fn a_file_of_one_packet() {
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes);
        w.section_header("netsim", None).expect("a Vec takes all");
        w.interface(RAW, "a:lo").expect("a Vec takes all");
        let comments = ["x".to_owned()];
        let packet =
            Packet { interface: 0, time: 0x1_0000_0002, data: &[0x45, 1, 2], direction: 2, comments: &comments };
        w.packet(&packet).expect("a Vec takes all");
        let written = w.written();
        #[rustfmt::skip]
        let expected: &[u8] = &[
            0x0a, 0x0d, 0x0d, 0x0a, 44, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            4, 0, 6, 0, b'n', b'e', b't', b's', b'i', b'm', 0, 0, 0, 0, 0, 0, 44, 0, 0, 0,
            1, 0, 0, 0, 40, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0,
            2, 0, 4, 0, b'a', b':', b'l', b'o', 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0,
            6, 0, 0, 0, 56, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x45, 1, 2, 0,
            1, 0, 1, 0, b'x', 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 56, 0, 0, 0,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(written, expected.len() as u64);
    }

    #[test]
    fn long_texts_are_clipped_at_a_character() {
        assert_eq!(clip(&"ü".repeat(5000)).len(), MAX_TEXT);
        assert_eq!(clip(&format!("a{}", "ü".repeat(5000))).len(), MAX_TEXT - 1);
        assert_eq!(clip("short"), "short");
    }

    #[test]
    fn names_are_records() {
        let mut bytes = Vec::new();
        let hosts = [([10, 0, 0, 1].into(), "a".to_owned()), ([0u16; 8].into(), "b".to_owned())];
        Writer::new(&mut bytes).names(&hosts).expect("a Vec takes all");
        assert_eq!(bytes[8..20], [1, 0, 6, 0, 10, 0, 0, 1, b'a', 0, 0, 0]);
        assert_eq!(bytes[20..24], [2, 0, 18, 0]);
        assert_eq!(bytes.len() % 4, 0);
    }
}
