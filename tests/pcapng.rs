//! The capture file: read back block by block, and judged by the real tshark where it is installed.

use netsim::{
    base::{DevId, MS, Mac, NsId, Time, Tuple, proto},
    report::pcapng::PcapngSink,
    trace::{Delivery, Direction, DropReason, Event, FrameId, HookPoint, Names, Origin, Record, Sink, Switching},
    wire::dissect::build,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/check-pcapng");

/// A host behind a NAT router, as a stage for hand-made records.
struct Lab {
    names: Names,
    sink: PcapngSink,
    now: Time,
    a: NsId,
    r: NsId,
    a_eth0: DevId,
    a_lo: DevId,
    r_va: DevId,
    r_wan: DevId,
    r_br0: DevId,
}

impl Lab {
    fn new(limit: usize) -> Lab {
        let mut names = Names::default();
        let (a, r) = (names.add_ns("a"), names.add_ns("r"));
        let dev = |names: &mut Names, ns, name: &str| names.add_dev(ns, name);
        let (a_lo, a_eth0) = (dev(&mut names, a, "lo"), dev(&mut names, a, "eth0"));
        let (r_va, r_wan, r_br0) = (dev(&mut names, r, "va"), dev(&mut names, r, "wan"), dev(&mut names, r, "br0"));
        Lab { names, sink: PcapngSink::new(limit), now: 0, a, r, a_eth0, a_lo, r_va, r_wan, r_br0 }
    }

    fn emit(&mut self, ns: NsId, dev: Option<DevId>, id: FrameId, event: Event<'_>) {
        self.now += MS / 4;
        self.sink.record(&self.names, &Record { time: self.now, ns, dev, frame: Some(id), event });
    }

    fn created(&mut self, id: FrameId, origin: Origin, parent: Option<FrameId>) {
        self.emit(id.ns, None, id, Event::Created { origin, parent });
    }

    fn seen(&mut self, id: FrameId, dev: DevId, dir: Direction, bytes: &[u8]) {
        self.emit(self.names.owner(dev), Some(dev), id, Event::Frame { dir, bytes });
    }

    /// A datagram leaves `a`, is bridged up and translated in `r`, and dropped there for want of a socket further on.
    fn journey(&mut self) {
        let (a, r) = (self.a, self.r);
        let id = FrameId { ns: a, seq: 1 };
        let (mac_a, mac_r) = (Mac::derived("a", "eth0"), Mac::derived("r", "br0"));
        let packet = |src: [u8; 4], sport, ttl| build::ip(src, [203, 0, 113, 9]).ttl(ttl).udp(sport, 7, b"query");
        let inside = build::ethernet(mac_r, mac_a, &packet([10, 0, 0, 2], 5000, 64));
        self.created(id, Origin::Socket, None);
        self.seen(id, self.a_eth0, Direction::Out, &inside);
        self.seen(id, self.r_va, Direction::In, &inside);
        self.emit(r, Some(self.r_br0), id, Event::Switched { dst: mac_r, to: Switching::Up });
        self.seen(id, self.r_br0, Direction::In, &inside);
        let tuple = |src: [u8; 4], sport| Tuple {
            src: src.into(),
            dst: [203, 0, 113, 9].into(),
            sport,
            dport: 7,
            proto: proto::UDP,
        };
        let (before, after) = (tuple([10, 0, 0, 2], 5000), tuple([203, 0, 113, 2], 5000));
        self.emit(r, Some(self.r_wan), id, Event::Nat { hook: HookPoint::Postrouting, before, after });
        let outside = build::ethernet(mac_a, mac_r, &packet([203, 0, 113, 2], 5000, 63));
        self.seen(id, self.r_wan, Direction::Out, &outside);
        self.emit(r, Some(self.r_wan), id, Event::Dropped(DropReason::NoSocket));
    }

    /// Pings over `lo` in both families, TCP, ARP, an ICMP error, and a copy that is still under way at the end.
    fn bystanders(&mut self) {
        let a = self.a;
        let mut seq = 10;
        let mut one = |lab: &mut Lab, dev, bytes: &[u8], parent: Option<FrameId>, delivered: bool| {
            seq += 1;
            let id = FrameId { ns: a, seq };
            lab.created(id, if parent.is_some() { Origin::Flood } else { Origin::Socket }, parent);
            lab.seen(id, dev, Direction::In, bytes);
            if delivered {
                lab.emit(a, Some(dev), id, Event::Delivered(Delivery::Socket));
            }
            id
        };
        let (lo, eth0) = (self.a_lo, self.a_eth0);
        let local: IpAddr = [127, 0, 0, 1].into();
        one(self, lo, &build::ip(local, local).echo(1, 1, &[7; 56]), None, true);
        let v6: IpAddr = "2001:db8::1".parse().expect("an address");
        one(self, lo, &build::ip(v6, v6).echo(1, 1, &[7; 56]), None, true);
        let (x, y) = (Mac::derived("a", "x"), Mac::derived("a", "y"));
        let tcp = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).df().tcp_syn(40000, 80, 1, 1460);
        let id = one(self, eth0, &build::ethernet(y, x, &tcp), None, true);
        one(self, eth0, &build::ethernet(y, x, &tcp), Some(id), false);
        one(self, eth0, &build::arp_request(x, [10, 0, 0, 1].into(), [10, 0, 0, 2].into()), None, true);
        let quoted = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).udp(40000, 9, &[1; 2000]);
        let error = build::ip([10, 0, 0, 2], [10, 0, 0, 1]).tos(0xc0).icmp(3, 3, [0; 4], &quoted[..548]);
        one(self, eth0, &build::ethernet(x, y, &error), None, true);
        let exceeded = build::ip(v6, v6).icmp(3, 0, [0; 4], &build::ip(v6, v6).udp(1, 2, &[3; 100])[..80]);
        one(self, eth0, &build::ethernet(x, y, &exceeded), None, true);
        let first = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).id(9).fragment(0, true).raw(proto::UDP, &quoted[20..1500]);
        one(self, eth0, &build::ethernet(y, x, &first), None, true);
    }

    fn file(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let summary = self.sink.finish(&self.names, &mut bytes).expect("a Vec takes all");
        assert_eq!(summary.bytes, bytes.len() as u64);
        bytes
    }
}

/// A block's options by code.
type Options = BTreeMap<u16, Vec<Vec<u8>>>;

/// What a reader finds in a file: (block type, fixed part, options).
fn read(mut b: &[u8]) -> Vec<(u32, Vec<u8>, Options)> {
    let u16_at = |b: &[u8], at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
    let u32_at = |b: &[u8], at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    let mut blocks = Vec::new();
    while !b.is_empty() {
        let (kind, len) = (u32_at(b, 0), u32_at(b, 4) as usize);
        assert_eq!((len % 4, u32_at(b, len - 4) as usize), (0, len), "a block ends with its length");
        let body = &b[8..len - 4];
        let fixed = match kind {
            0x0a0d_0d0a => 16,
            1 => 8,
            4 => 0,
            6 => 20 + (u32_at(body, 12) as usize).next_multiple_of(4),
            other => panic!("unexpected block {other}"),
        };
        let (mut options, mut at) = (Options::new(), fixed);
        while u16_at(body, at) != 0 {
            let n = u16_at(body, at + 2) as usize;
            options.entry(u16_at(body, at)).or_default().push(body[at + 4..at + 4 + n].to_vec());
            at += 4 + n.next_multiple_of(4);
        }
        blocks.push((kind, body[..fixed].to_vec(), options));
        b = &b[len..];
    }
    blocks
}

fn comments(options: &Options) -> Vec<String> {
    options.get(&1).into_iter().flatten().map(|c| String::from_utf8(c.clone()).expect("UTF-8")).collect()
}

#[test]
fn every_packet_tells_its_story() {
    let mut lab = Lab::new(1 << 20);
    lab.journey();
    let blocks = read(&lab.file());
    let interfaces: Vec<_> = blocks.iter().filter(|b| b.0 == 1).map(|b| b.2[&2][0].clone()).collect();
    assert_eq!(interfaces, [&b"a:eth0"[..], b"r:va", b"r:wan", b"r:br0"].map(<[u8]>::to_vec));
    let packets: Vec<_> = blocks.iter().filter(|b| b.0 == 6).collect();
    let fate = "dropped: NO_SOCKET – no socket is listening on that port at r:wan, 2ms";
    let story: Vec<Vec<String>> = packets.iter().map(|p| comments(&p.2)).collect();
    let plain = ["frame a#1: sent by a socket", fate];
    assert_eq!(story[0], plain);
    assert_eq!(story[1], plain);
    assert_eq!(story[2], [&plain[..], &["br0: handed up to its namespace"]].concat());
    let nat = "NAT postrouting: udp 10.0.0.2:5000 → 203.0.113.9:7 becomes udp 203.0.113.2:5000 → 203.0.113.9:7";
    assert_eq!(story[3], [&plain[..], &[nat]].concat());
    let directions: Vec<u8> = packets.iter().map(|p| p.2[&2][0][0]).collect();
    assert_eq!(directions, [2, 1, 1, 2], "out, in, in, out");
    assert_eq!(packets[0].1[4..12], [0, 0, 0, 0, 0x20, 0xa1, 0x07, 0x00], "500 µs in ns, high word first");
}

#[test]
fn what_follows_the_last_packet_is_shown_there() {
    let mut lab = Lab::new(1 << 20);
    let (id, copy) = (FrameId { ns: lab.a, seq: 1 }, FrameId { ns: lab.a, seq: 2 });
    let frame = build::with_ethertype(Mac::BROADCAST, Mac::derived("a", "x"), 0x88b5, &[0; 46]);
    lab.created(id, Origin::Injected, None);
    lab.seen(id, lab.r_va, Direction::In, &frame);
    let to = Switching::Flood(2);
    lab.emit(lab.r, Some(lab.r_br0), id, Event::Switched { dst: Mac::BROADCAST, to });
    lab.created(copy, Origin::Flood, Some(id));
    lab.seen(copy, lab.r_wan, Direction::Out, &frame);
    lab.emit(lab.r, Some(lab.r_br0), id, Event::Delivered(Delivery::Copied));
    let blocks = read(&lab.file());
    let story: Vec<Vec<String>> = blocks.iter().filter(|b| b.0 == 6).map(|b| comments(&b.2)).collect();
    assert_eq!(
        story[0],
        [
            "frame a#1: injected",
            "copied to several ports; the copies travel on at r:br0, 1.5ms",
            "br0: flooded to 2 ports"
        ]
    );
    assert_eq!(story[1], ["frame a#2: a copy for one more port, from a#1", "in flight when the run ended"]);
}

#[test]
fn the_limit_is_kept_and_reported() {
    let mut lab = Lab::new(2000);
    for _ in 0..50 {
        lab.journey();
    }
    let mut bytes = Vec::new();
    let summary = lab.sink.finish(&lab.names, &mut bytes).expect("a Vec takes all");
    assert!(summary.packets > 4 && summary.packets + summary.left_out == 200, "{summary:?}");
    let blocks = read(&bytes);
    let note = comments(&blocks[0].2).remove(0);
    assert_eq!(
        note,
        format!(
            "The limit of 2000 bytes for the capture was reached: {} later packets are not in this file.",
            summary.left_out
        )
    );
    assert!(comments(&read(&Lab::new(2000).file())[0].2).is_empty(), "no note without cause");
}

#[test]
fn time_goes_forward() {
    let mut lab = Lab::new(1 << 20);
    lab.now = 7 * MS;
    lab.journey();
    lab.now = 0;
    lab.bystanders();
    let times: Vec<u32> = read(&lab.file())
        .iter()
        .filter(|b| b.0 == 6)
        .map(|b| u32::from_le_bytes([b.1[8], b.1[9], b.1[10], b.1[11]]))
        .collect();
    assert_eq!(times.len(), 12);
    assert!(times.is_sorted(), "{times:?}");
}

/// Runs the check of `.ci/` over a file, or says why not.
fn check(dir: &Path, bytes: &[u8]) -> Option<Output> {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: tshark is not installed, so nobody but netsim can judge the capture");
        return None;
    }
    if !Path::new(SCRIPT).exists() {
        println!("skipped: .ci/check-pcapng is not part of the published package");
        return None;
    }
    let file: PathBuf = dir.join("lab.pcapng");
    std::fs::write(&file, bytes).expect("the temporary directory is writable");
    Some(Command::new(SCRIPT).arg(&file).output().expect("the script can be run"))
}

#[test]
fn tshark_finds_nothing_wrong() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut lab = Lab::new(1 << 20);
    lab.sink.name_host([10, 0, 0, 2].into(), "a.example");
    lab.journey();
    lab.bystanders();
    let Some(checked) = check(dir.path(), &lab.file()) else { return };
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(said, "check-pcapng: 12 packets, all sound\n");

    let fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "_ws.col.Protocol", "ip.src_host"];
    let mut tshark = Command::new("tshark");
    tshark.args(["-N", "n", "-r", "lab.pcapng", "-T", "fields", "-c", "1"]).current_dir(dir.path());
    fields.iter().for_each(|f| {
        tshark.args(["-e", f]);
    });
    let line = String::from_utf8(tshark.output().expect("tshark ran above").stdout).expect("UTF-8");
    for expected in
        ["a:eth0\t", "0.000500000\t", "frame a#1: sent by a socket,dropped: NO_SOCKET", "\tECHO\t", "a.example"]
    {
        assert!(line.contains(expected), "{expected:?} is not in {line:?}");
    }
}

#[test]
fn tshark_finds_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let udp = build::ip([10, 0, 0, 1], [10, 0, 0, 2]).udp(40000, 9, b"hello");
    for (at, text) in [(10, "bad ip checksum"), (27, "bad udp checksum"), (25, "malformed packet")] {
        let mut lab = Lab::new(1 << 20);
        let mut bad = udp.clone();
        bad[at] ^= if at == 25 { 0x0f } else { 0x55 };
        lab.seen(FrameId { ns: lab.a, seq: 1 }, lab.a_lo, Direction::In, &bad);
        let Some(checked) = check(dir.path(), &lab.file()) else { return };
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.code() == Some(1) && said.contains(text), "{at}: {said}");
    }
    let Some(checked) = check(dir.path(), b"not a capture") else { return };
    assert_eq!(checked.status.code(), Some(1));
}
