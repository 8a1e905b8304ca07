//! smoltcp as the engine.
//!
//! smoltcp's `Interface` serves as a *context*: it holds the MTU and the random stream, and nothing of a connection. So
//! there is one per (egress device, path MTU), made on first use (256 B), and each socket sits in a set of its own. A
//! lower path MTU simply means another context. smoltcp counts microseconds: instants round down, deadlines up.

use super::{
    device::{Blueprint, Wire},
    engine::{Path, Setup, TcpConn, TcpEngine, TcpState, Tx},
};
use crate::{
    base::{MS, Rng, Time, US},
    socket::Options,
};
use smoltcp::{
    iface::{Config, Interface, PollResult, SocketHandle, SocketSet},
    socket::tcp,
    time::{Duration, Instant},
    wire::{HardwareAddress, IpAddress, IpListenEndpoint},
};
use std::net::{IpAddr, SocketAddr};

/// Contexts kept; the oldest goes first. Path MTUs come from the network, so their number must be bounded.
const MAX_CONTEXTS: usize = 64;
/// Delay of an acknowledgment that nothing else carries (`TCP_DELACK_MIN`).
const ACK_DELAY: Duration = Duration::from_millis(40);
/// Segments one run may send: a full buffer in the smallest segments.
const MAX_BURST: usize = 4096;
/// smoltcp asked to be polled at once although polling changed nothing: it is asked again after this time.
const RETRY: Time = MS;

/// One connection: a socket alone in its set.
#[derive(Debug)]
pub(super) struct SmolConn {
    set: SocketSet<'static>,
    handle: SocketHandle,
}

impl SmolConn {
    fn new(setup: &Setup<'_>) -> SmolConn {
        let buffer = |len: usize| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(buffer(setup.rcvbuf), buffer(setup.sndbuf));
        // Reno computes in integers: CUBIC's floating point would make a run depend on the platform.
        socket.set_congestion_control(tcp::CongestionControl::Reno);
        socket.set_ack_delay(None); // see Conn::acknowledge
        // RFC 7323 timestamps, as Linux sends unless told otherwise. smoltcp has no clock to ask for a value: `Tx` writes it.
        socket.set_tsval_generator(Some(|| 0));
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        let mut conn = SmolConn { set, handle };
        conn.apply(setup.opts);
        conn
    }

    fn socket(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }
}

impl TcpConn for SmolConn {
    fn state(&self) -> TcpState {
        match self.socket().state() {
            tcp::State::Closed => TcpState::Closed,
            tcp::State::Listen => TcpState::Listen,
            tcp::State::SynSent => TcpState::SynSent,
            tcp::State::SynReceived => TcpState::SynReceived,
            tcp::State::Established => TcpState::Established,
            tcp::State::FinWait1 => TcpState::FinWait1,
            tcp::State::FinWait2 => TcpState::FinWait2,
            tcp::State::CloseWait => TcpState::CloseWait,
            tcp::State::Closing => TcpState::Closing,
            tcp::State::LastAck => TcpState::LastAck,
            tcp::State::TimeWait => TcpState::TimeWait,
        }
    }

    fn send(&mut self, data: &[u8]) -> usize {
        self.socket_mut().send_slice(data).unwrap_or(0)
    }

    fn recv(&mut self, buf: &mut [u8]) -> usize {
        self.socket_mut().recv_slice(buf).unwrap_or(0)
    }

    fn unread(&self) -> usize {
        self.socket().recv_queue()
    }

    fn unacked(&self) -> usize {
        self.socket().send_queue()
    }

    fn room(&self) -> usize {
        self.socket().send_capacity() - self.socket().send_queue()
    }

    fn shutdown(&mut self) {
        self.socket_mut().close();
    }

    fn abort(&mut self) {
        self.socket_mut().abort();
    }

    fn delay_acks(&mut self, on: bool) {
        self.socket_mut().set_ack_delay(on.then_some(ACK_DELAY));
    }

    fn apply(&mut self, opts: &Options) {
        let keep_alive = opts.keep_alive.map(|ns| Duration::from_micros(ns / US));
        let socket = self.socket_mut();
        socket.set_nagle_enabled(!opts.no_delay);
        socket.set_keep_alive(keep_alive);
    }
}

/// The contexts of one namespace.
pub(super) struct SmolEngine {
    contexts: Vec<(Path, Interface)>,
    rng: Rng,
}

impl SmolEngine {
    pub(super) fn new(seed: u64) -> SmolEngine {
        SmolEngine { contexts: Vec::new(), rng: Rng::keyed(seed, &["tcp"]) }
    }

    fn context(&mut self, path: Path) -> &mut Interface {
        let at = match self.contexts.iter().position(|(p, _)| *p == path) {
            Some(i) => i,
            None => {
                if self.contexts.len() == MAX_CONTEXTS {
                    self.contexts.remove(0);
                }
                let seed = self.rng.next_u64();
                self.contexts.push((path, interface(path, seed)));
                self.contexts.len() - 1
            }
        };
        &mut self.contexts[at].1
    }
}

fn interface(path: Path, seed: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut context = Interface::new(config, &mut Blueprint { mtu: path.mtu as usize }, Instant::ZERO);
    context.set_any_ip(true); // addresses are the caller's business
    context
}

fn instant(t: Time) -> Instant {
    Instant::from_micros((t / US) as i64)
}

fn address(ip: IpAddr) -> IpAddress {
    match ip {
        IpAddr::V4(a) => IpAddress::Ipv4(a),
        IpAddr::V6(a) => IpAddress::Ipv6(a),
    }
}

fn endpoint(a: SocketAddr) -> IpListenEndpoint {
    IpListenEndpoint { addr: Some(address(a.ip())), port: a.port() }
}

impl TcpEngine for SmolEngine {
    type Conn = SmolConn;

    fn connect(&mut self, path: Path, setup: &Setup<'_>, isn_seed: u64) -> SmolConn {
        let mut conn = SmolConn::new(setup);
        // A context of its own for a moment: the sequence number is its first random draw.
        let mut context = interface(path, isn_seed);
        let remote = (address(setup.remote.ip()), setup.remote.port());
        conn.socket_mut()
            .connect(context.context(), remote, endpoint(setup.local))
            .expect("both ends are specified and of one family: the caller checked");
        conn
    }

    fn accept(&mut self, setup: &Setup<'_>) -> SmolConn {
        let mut conn = SmolConn::new(setup);
        conn.socket_mut().listen(endpoint(setup.local)).expect("a SYN's destination port is not 0");
        conn
    }

    fn input(&mut self, conn: &mut SmolConn, path: Path, now: Time, packet: &[u8], tx: &mut Tx<'_>) {
        let mut wire = Wire { rx: Some(packet), tx, mtu: path.mtu as usize };
        self.context(path).poll_ingress_single(instant(now), &mut wire, &mut conn.set);
    }

    fn output(&mut self, conn: &mut SmolConn, path: Path, now: Time, tx: &mut Tx<'_>) {
        let context = self.context(path);
        let mut wire = Wire { rx: None, tx, mtu: path.mtu as usize };
        for _ in 0..MAX_BURST {
            if context.poll_egress(instant(now), &mut wire, &mut conn.set) == PollResult::None {
                break;
            }
        }
    }

    fn retransmit(&mut self, conn: &mut SmolConn, path: Path, now: Time, tx: &mut Tx<'_>) -> Time {
        let context = self.context(path);
        let before = tx.repeated;
        let mut wire = Wire { rx: None, tx, mtu: path.mtu as usize };
        let mut clock = instant(now);
        // A connection's clock is just an argument: let it run to its own deadlines, at most a delayed acknowledgment
        // and the retransmission, until something is repeated.
        for _ in 0..3 {
            if wire.tx.repeated > before {
                break;
            }
            let Some(at) = context.poll_at(clock, &conn.set) else { break };
            clock = clock.max(at);
            context.poll_egress(clock, &mut wire, &mut conn.set);
        }
        now.max(clock.total_micros().max(0) as Time * US)
    }

    fn deadline(&mut self, conn: &SmolConn, path: Path, now: Time) -> Option<Time> {
        let at = self.context(path).poll_at(instant(now), &conn.set)?;
        let at = at.total_micros().max(0) as Time * US;
        Some(if at > now { at } else { now + RETRY })
    }
}
