//! The kinds of probes: how each is sent and how its answers are told from others.

use super::{TracerouteConfig, TracerouteMethod, table::Note};
use crate::{
    app::Context,
    base::{Errno, Rng, SockId, proto},
    ip::OutRequest,
    socket::{Datagram, ErrorOrigin, PmtuDiscover, SockKind, SockOpt, SocketError},
    wire::{
        IpHeader, be16, checksum, icmp,
        ip::{V4_HEADER, V6_HEADER},
        put16, put32,
        tcp::{self, Segment},
        udp,
    },
};
use std::net::{IpAddr, SocketAddr};

/// First UDP port.
const UDP_PORT: u16 = 33_434;
/// TCP port.
const TCP_PORT: u16 = 80;
/// IPv4 never tells of a larger MTU (`IP_MAX_MTU`).
const MAX_MTU: u32 = 0xffff;
/// A TCP probe: header, MSS, SACK permitted, timestamps and window scale.
const TCP_LEN: usize = tcp::HEADER + 20;

/// The call that failed, as the tool names it, and why.
pub(super) type Failure = (&'static str, Errno);

/// A probe that is on its way.
pub(super) struct Sent {
    /// What its answers are matched by, unless it has a socket of its own.
    pub(super) key: u16,
    /// Its own socket.
    pub(super) sock: Option<SockId>,
}

/// Something that was received.
pub(super) struct Answer {
    /// The key of the probe it answers; `None` means the probe the socket belongs to.
    pub(super) key: Option<u16>,
    /// Who says what; `None` if it is no answer to a probe.
    pub(super) what: Option<(IpAddr, Note)>,
}

/// A kind of probe.
pub(super) trait Method: Send {
    /// Whole length of a packet, for the header line.
    fn packet_len(&self) -> u16;

    /// Opens what all probes share.
    fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Failure>;

    /// Sends probe number `n`.
    fn send(&mut self, cx: &mut Context<'_>, n: usize, ttl: u8) -> Result<Sent, Failure>;

    /// Takes one thing from a socket; `None` when nothing is left.
    fn receive(&mut self, cx: &mut Context<'_>, sock: SockId) -> Option<Answer>;
}

/// The method of a configuration.
pub(super) fn of(config: &TracerouteConfig) -> Box<dyn Method> {
    let config = config.clone();
    match config.method {
        TracerouteMethod::Udp => Box::new(Udp { next_port: or(config.port, UDP_PORT), config }),
        TracerouteMethod::Icmp => Box::new(Icmp { next_seq: or(config.port, 1), sock: None, config }),
        TracerouteMethod::Tcp => {
            Box::new(Tcp { port: or(config.port, TCP_PORT), mss: 0, raw: None, rng: None, config })
        }
    }
}

const fn or(port: u16, standard: u16) -> u16 {
    if port == 0 { standard } else { port }
}

/// Opens a socket the way the tool does for every method (`tune_socket`): bound, without DF, with an error queue.
fn socket(cx: &mut Context<'_>, c: &TracerouteConfig, kind: SockKind) -> Result<SockId, Failure> {
    let sock = cx.kernel.socket(cx.ns, c.family(), kind, Some(cx.app)).map_err(|e| ("socket", e))?;
    let source = c.source.unwrap_or(crate::socket::any(c.family()));
    if let Some(name) = &c.device {
        let dev = cx.kernel.find_dev(cx.ns, name).ok_or(("setsockopt SO_BINDTODEVICE", Errno::ENODEV))?;
        let bound = cx.kernel.set_option(sock, SockOpt::BindToDevice(Some(dev)));
        bound.map_err(|e| ("setsockopt SO_BINDTODEVICE", e))?;
    }
    let port = if kind == SockKind::Udp { c.source_port } else { 0 };
    cx.kernel.bind(sock, SocketAddr::new(source, port)).map_err(|e| ("bind", e))?;
    let df = if c.df { PmtuDiscover::Do } else { PmtuDiscover::Dont };
    for option in [SockOpt::MtuDiscover(df), SockOpt::RecvErr(true)] {
        cx.kernel.set_option(sock, option).map_err(|e| ("setsockopt", e))?;
    }
    Ok(sock)
}

/// `do_send`: a packet that is too big is reported by the error queue.
fn send(cx: &mut Context<'_>, sock: SockId, data: &[u8]) -> Result<(), Failure> {
    match cx.kernel.send(sock, data) {
        Ok(_) | Err(Errno::EMSGSIZE) => Ok(()),
        Err(e) => Err(("send", e)),
    }
}

/// Bytes `from..len` of the tool's payload pattern.
fn pattern(from: usize, len: usize) -> impl Iterator<Item = u8> {
    (from..len).map(|i| 0x40 + (i as u8 & 0x3f))
}

fn header_len(c: &TracerouteConfig) -> usize {
    if c.to.is_ipv4() { V4_HEADER } else { V6_HEADER }
}

/// A datagram or an entry of the error queue, whichever is there. An error that was only pending is skipped.
enum Received {
    Data(Datagram),
    Error(SocketError),
}

fn receive(cx: &mut Context<'_>, sock: SockId) -> Option<Received> {
    loop {
        if let Some(e) = cx.kernel.recv_error(sock) {
            return Some(Received::Error(e));
        }
        match cx.kernel.recv_from(sock) {
            Ok(d) => return Some(Received::Data(d)),
            Err(Errno::EAGAIN | Errno::EBADF) => return None,
            Err(_) => {}
        }
    }
}

/// Who reported an ICMP error, and what it means.
fn reported(e: &SocketError) -> Option<(IpAddr, Note)> {
    let ErrorOrigin::Icmp { kind, code } = e.origin else { return None };
    let from = e.offender?;
    Some((from, Note::of_icmp(from.is_ipv4(), kind, code, e.info)))
}

/// Datagrams, each from a socket of its own to the next port.
struct Udp {
    config: TracerouteConfig,
    next_port: u16,
}

impl Method for Udp {
    fn packet_len(&self) -> u16 {
        self.config.packet_len()
    }

    fn open(&mut self, _: &mut Context<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn send(&mut self, cx: &mut Context<'_>, _: usize, ttl: u8) -> Result<Sent, Failure> {
        let c = &self.config;
        let sock = socket(cx, c, SockKind::Udp)?;
        cx.kernel.set_option(sock, SockOpt::Ttl(Some(ttl))).map_err(|e| ("setsockopt", e))?;
        cx.kernel.connect(sock, SocketAddr::new(c.to, self.next_port)).map_err(|e| ("connect", e))?;
        let data: Vec<u8> =
            pattern(0, usize::from(c.packet_len()).saturating_sub(header_len(c) + udp::HEADER)).collect();
        if let Err(e) = send(cx, sock, &data) {
            cx.kernel.close(sock);
            return Err(e);
        }
        self.next_port = self.next_port.wrapping_add(1).max(1);
        Ok(Sent { key: 0, sock: Some(sock) })
    }

    fn receive(&mut self, cx: &mut Context<'_>, sock: SockId) -> Option<Answer> {
        let what = match receive(cx, sock)? {
            // Somebody does listen there.
            Received::Data(d) => Some((d.from.ip().to_canonical(), Note::Last(String::new()))),
            Received::Error(e) => reported(&e),
        };
        Some(Answer { key: None, what })
    }
}

/// Echo requests with one identifier and growing sequence numbers.
struct Icmp {
    config: TracerouteConfig,
    next_seq: u16,
    sock: Option<SockId>,
}

impl Method for Icmp {
    fn packet_len(&self) -> u16 {
        self.config.packet_len()
    }

    fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let sock = socket(cx, &self.config, SockKind::Ping)?;
        cx.kernel.connect(sock, SocketAddr::new(self.config.to, 0)).map_err(|e| ("connect", e))?;
        self.sock = Some(sock);
        Ok(())
    }

    fn send(&mut self, cx: &mut Context<'_>, _: usize, ttl: u8) -> Result<Sent, Failure> {
        let (c, sock) = (&self.config, self.sock.expect("opened before the first probe"));
        cx.kernel.set_option(sock, SockOpt::Ttl(Some(ttl))).map_err(|e| ("setsockopt", e))?;
        let len = usize::from(c.packet_len()).saturating_sub(header_len(c)).max(icmp::HEADER);
        let mut echo = vec![0; icmp::HEADER];
        echo.extend(pattern(icmp::HEADER, len));
        echo[0] = if c.to.is_ipv4() { icmp::ECHO } else { icmp::v6::ECHO };
        let key = self.next_seq;
        put16(&mut echo, 6, key);
        send(cx, sock, &echo)?;
        self.next_seq = self.next_seq.wrapping_add(1);
        Ok(Sent { key, sock: None })
    }

    fn receive(&mut self, cx: &mut Context<'_>, sock: SockId) -> Option<Answer> {
        // Both a reply and the quote of a request have the sequence number at the same place.
        let (message, what) = match receive(cx, sock)? {
            Received::Data(d) => {
                let from = d.from.ip().to_canonical();
                (d.data, Some((from, Note::Last(String::new()))))
            }
            Received::Error(e) => {
                let what = reported(&e);
                (e.data, what)
            }
        };
        let key = (message.len() >= icmp::HEADER).then(|| be16(&message, 6));
        Some(Answer { key: Some(key.unwrap_or_default()), what: what.filter(|_| key.is_some()) })
    }
}

/// SYN segments by a raw socket. Each has the port of a bound TCP socket as its source, so that nothing else uses it; the
/// kernel answers a SYN-ACK with a reset because that socket is not connecting: the attempt stays half open.
struct Tcp {
    config: TracerouteConfig,
    port: u16,
    /// What the MTU of the path leaves for data (the tool asks with `IP_MTU`).
    mss: u16,
    raw: Option<SockId>,
    rng: Option<Rng>,
}

impl Tcp {
    fn segment(&mut self, src: SocketAddr) -> [u8; TCP_LEN] {
        let mut b = [0; TCP_LEN];
        let seq = self.rng.as_mut().map_or(0, Rng::next_u64);
        put16(&mut b, 0, src.port());
        put16(&mut b, 2, self.port);
        put32(&mut b, 4, seq as u32);
        b[12] = ((TCP_LEN / 4) << 4) as u8;
        b[13] = tcp::SYN;
        put16(&mut b, 14, 5840);
        b[20..22].copy_from_slice(&[2, 4]);
        put16(&mut b, 22, self.mss);
        b[24..26].copy_from_slice(&[4, 2]); // SACK permitted
        b[26..28].copy_from_slice(&[8, 10]); // timestamps
        put32(&mut b, 28, (seq >> 32) as u32);
        b[36..40].copy_from_slice(&[1, 3, 3, 2]); // window scale 2
        let sum = checksum::upper(src.ip(), self.config.to, proto::TCP, &b);
        put16(&mut b, 16, sum);
        b
    }
}

impl Method for Tcp {
    fn packet_len(&self) -> u16 {
        (header_len(&self.config) + TCP_LEN) as u16
    }

    fn open(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let c = &self.config;
        let raw = socket(cx, c, SockKind::Raw(proto::TCP))?;
        cx.kernel.connect(raw, SocketAddr::new(c.to, 0)).map_err(|e| ("connect", e))?;
        let headers = header_len(c) + tcp::HEADER;
        let mtu = cx.kernel.route_output(cx.ns, &OutRequest { src: c.source, ..OutRequest::to(c.to) });
        let most = if c.to.is_ipv4() { MAX_MTU } else { u32::MAX };
        self.mss = mtu.map_or(0, |r| r.mtu.min(most).saturating_sub(headers as u32) as u16);
        self.raw = Some(raw);
        let names = [cx.kernel.ns_name(cx.ns), "traceroute", &cx.app.0.to_string()];
        self.rng = Some(Rng::keyed(cx.kernel.core.seed, &names));
        Ok(())
    }

    fn send(&mut self, cx: &mut Context<'_>, _: usize, ttl: u8) -> Result<Sent, Failure> {
        let raw = self.raw.expect("opened before the first probe");
        let local = cx.kernel.local_addr(raw).map_err(|e| ("getsockname", e))?.ip();
        let family = self.config.family();
        let holder = cx.kernel.socket(cx.ns, family, SockKind::Tcp, Some(cx.app)).map_err(|e| ("socket", e))?;
        cx.kernel.bind(holder, SocketAddr::new(local, self.config.source_port)).map_err(|e| ("bind", e))?;
        let src = cx.kernel.local_addr(holder).map_err(|e| ("getsockname", e))?;
        cx.kernel.set_option(raw, SockOpt::Ttl(Some(ttl))).map_err(|e| ("setsockopt", e))?;
        let segment = self.segment(src);
        if let Err(e) = send(cx, raw, &segment) {
            cx.kernel.close(holder);
            return Err(e);
        }
        Ok(Sent { key: src.port(), sock: Some(holder) })
    }

    fn receive(&mut self, cx: &mut Context<'_>, sock: SockId) -> Option<Answer> {
        if Some(sock) != self.raw {
            return None;
        }
        let answer = match receive(cx, sock)? {
            Received::Data(d) => {
                // An IPv4 raw socket reads the IP header too.
                let segment = match self.config.to {
                    IpAddr::V4(_) => IpHeader::parse(&d.data).ok().and_then(|ip| Segment::parse(ip.payload(&d.data))),
                    IpAddr::V6(_) => Segment::parse(&d.data),
                };
                let refused = |s: &Segment| s.flags & tcp::RST != 0;
                let accepted = |s: &Segment| s.flags & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK;
                let ours = segment.filter(|s| s.sport == self.port && (refused(s) || accepted(s)));
                let from = d.from.ip().to_canonical();
                Answer { key: Some(ours.map_or(0, |s| s.dport)), what: ours.map(|_| (from, Note::Last(String::new()))) }
            }
            // The quote starts with the TCP header of the probe: source port, destination port, sequence number.
            Received::Error(e) => {
                let ours = e.data.len() >= 8 && be16(&e.data, 2) == self.port;
                Answer {
                    key: Some(if ours { be16(&e.data, 0) } else { 0 }),
                    what: if ours { reported(&e) } else { None },
                }
            }
        };
        Some(answer)
    }
}
