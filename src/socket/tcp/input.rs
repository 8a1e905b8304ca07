//! A segment arrives (`tcp_v4_rcv`).

use super::{FrameMaker, OutSegment, Path, Tcp, TcpState, Transition, timewait::Verdict, tuple};
use crate::{
    base::{DevId, Errno, Time, proto},
    socket::{IcmpError, Sockets, demux::Arrival},
    trace::DropReason,
    wire::{
        IpHeader, checksum,
        ip::IpFields,
        put16,
        tcp::{ACK, FIN, HEADER, RST, SYN, Segment},
    },
};
use std::net::SocketAddr;

/// The socket a segment is for. The caller routes with this socket's options before it hands the segment over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A connection, or one in TIME-WAIT.
    Connection(u32),
    /// A listener.
    Listener(u32),
}

impl Target {
    /// The socket.
    pub fn slot(self) -> u32 {
        match self {
            Target::Connection(s) | Target::Listener(s) => s,
        }
    }
}

/// What became of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentOutcome {
    /// A socket took it.
    Delivered,
    /// Nobody is there: answer with a reset unless it was one.
    NoSocket,
    /// It goes no further, for that reason.
    Dropped(DropReason),
}

impl Sockets {
    /// Finds the socket for a segment; SYNs also find listeners.
    pub fn tcp_target(&self, ip: &IpHeader, s: &Segment, iif: Option<DevId>) -> Option<Target> {
        let a = arrival(ip, s, iif);
        match self.flow(a.local, a.remote) {
            Some(slot) => Some(Target::Connection(slot)),
            None => self.find_listener(&a).map(Target::Listener),
        }
    }

    /// Hands a segment to the socket [`Sockets::tcp_target`] named. `packet` starts at the IP header; `path` is the way
    /// back to the sender, `None` without a route. The caller has verified the checksum.
    #[allow(clippy::too_many_arguments)] // one packet, its place and its way back
    pub fn tcp_segment(
        &mut self,
        target: Target,
        now: Time,
        ip: &IpHeader,
        s: Segment,
        packet: &[u8],
        iif: Option<DevId>,
        path: Option<Path>,
        maker: &mut dyn FrameMaker,
    ) -> SegmentOutcome {
        match target {
            Target::Connection(slot) => match self.get_mut(slot).map(|s| &mut s.tcp) {
                // Data for an orphan is reset as if nobody were there (TCPABORTONDATA in tcp_rcv_state_process).
                Some(Tcp::Conn(c)) if c.refuses_data(&s) => {
                    self.forget_time_wait(slot);
                    SegmentOutcome::NoSocket
                }
                Some(Tcp::Conn(_)) => {
                    if s.flags & (RST | SYN) == 0 && self.refuses_handshake(slot) {
                        return SegmentOutcome::Dropped(DropReason::TcpBacklog);
                    }
                    self.step(slot, now, path, Some((packet, s)), maker);
                    SegmentOutcome::Delivered
                }
                Some(Tcp::TimeWait(_)) => self.time_wait_input(slot, now, ip, s, packet, iif, path, maker),
                _ => SegmentOutcome::NoSocket,
            },
            Target::Listener(slot) => self.listener_input(slot, now, ip, s, packet, iif, path, maker),
        }
    }

    /// A segment for a listener (`tcp_rcv_state_process`, `tcp_conn_request`).
    #[allow(clippy::too_many_arguments)] // as tcp_segment
    fn listener_input(
        &mut self,
        listener: u32,
        now: Time,
        ip: &IpHeader,
        s: Segment,
        packet: &[u8],
        iif: Option<DevId>,
        path: Option<Path>,
        maker: &mut dyn FrameMaker,
    ) -> SegmentOutcome {
        if s.flags & RST != 0 || s.flags & (SYN | FIN | ACK) == SYN | FIN {
            return SegmentOutcome::Dropped(DropReason::TcpFlags);
        }
        if s.flags & ACK != 0 {
            return SegmentOutcome::NoSocket; // an acknowledgment of nothing is reset (case tcp-closed-rst)
        }
        if s.flags & SYN == 0 {
            return SegmentOutcome::Dropped(DropReason::TcpFlags);
        }
        if self.refuses_syn(listener) {
            return SegmentOutcome::Dropped(DropReason::TcpBacklog);
        }
        let Some(path) = path else {
            return SegmentOutcome::Dropped(DropReason::IpOutNoRoutes);
        };
        let a = arrival(ip, &s, iif);
        let Some(slot) = self.embryo(listener, a.local, a.remote, path, now) else {
            return SegmentOutcome::Dropped(DropReason::TcpBacklog);
        };
        self.step(slot, now, Some(path), Some((packet, s)), maker);
        SegmentOutcome::Delivered
    }

    #[allow(clippy::too_many_arguments)] // as tcp_segment
    fn time_wait_input(
        &mut self,
        slot: u32,
        now: Time,
        ip: &IpHeader,
        s: Segment,
        packet: &[u8],
        iif: Option<DevId>,
        path: Option<Path>,
        maker: &mut dyn FrameMaker,
    ) -> SegmentOutcome {
        let Some(socket) = self.get_mut(slot) else { return SegmentOutcome::NoSocket };
        let id = socket.next_ip_id();
        let opts = socket.opts.clone();
        let Tcp::TimeWait(tw) = &mut socket.tcp else { return SegmentOutcome::NoSocket };
        match tw.judge(&s, now) {
            Verdict::Ignore => {}
            Verdict::Forget => self.forget_time_wait(slot),
            Verdict::Reopen => {
                let a = arrival(ip, &s, iif);
                let Some(listener) = self.find_listener(&a) else { return SegmentOutcome::NoSocket };
                self.forget_time_wait(slot);
                return self.listener_input(listener, now, ip, s, packet, iif, path, maker);
            }
            Verdict::Acknowledge => {
                let a = arrival(ip, &s, iif);
                let mut ack = tw.ack(s.dport, s.sport);
                let c = checksum::upper(ip.dst, ip.src, proto::TCP, &ack);
                put16(&mut ack, 16, c);
                let ttl = opts.ttl.unwrap_or(self.tcp.config.default_ttl);
                let fields = IpFields { src: ip.dst, dst: ip.src, proto: proto::TCP, ttl, tos: opts.tos, df: true, id };
                let head = fields.header_len();
                let mut frame = maker.frame(head + HEADER);
                frame.data_mut()[head..].copy_from_slice(&ack);
                fields.write(frame.data_mut());
                self.tcp.out.segments.push(OutSegment {
                    frame,
                    tuple: tuple(a.local, a.remote),
                    oif: opts.device,
                    mark: opts.mark,
                    tos: opts.tos,
                });
            }
        }
        SegmentOutcome::Delivered
    }

    pub(super) fn forget_time_wait(&mut self, slot: u32) {
        self.unlink(slot);
        self.remove(slot);
    }

    /// An ICMP error about a connection (`tcp_v4_err`): it ends an attempt at once (`tcp_done` without a reset) and is
    /// remembered otherwise. An embryo is dropped only for errors that mean the peer cannot be reached (`tcp_req_err`).
    pub(in crate::socket) fn tcp_icmp_error(&mut self, slot: u32, errno: Errno, e: &IcmpError<'_>) {
        let now = e.now;
        let Some(s) = self.get_mut(slot) else { return };
        let recv_err = s.opts.recv_err;
        let Tcp::Conn(conn) = &mut s.tcp else { return };
        match conn.state {
            // IPv6 keeps for later what comes while the call to connect is still under way: on links without delay, every
            // answer to the first SYN (tcp_v6_err, sock_owned_by_user).
            TcpState::SynSent if !e.quoted.is_ipv4() && conn.is_new(now) => conn.soft = Some(errno),
            TcpState::SynSent => {
                // The answer to the first SYN comes while `connect` still holds the socket: it is only a soft error
                // then, which counts nowhere and is what SO_ERROR reports next.
                let retrying = conn.is_retrying();
                conn.state = TcpState::Closed;
                s.error = Some(errno);
                if let (local, Some(peer)) = (s.local, s.peer) {
                    self.tcp.out.transitions.push(Transition { tuple: tuple(local, peer), state: TcpState::Closed });
                }
                self.tcp.out.stats.attempt_fails += retrying as u64;
                self.unlink(slot);
                self.wake(slot);
            }
            TcpState::SynReceived => {
                if let Some(listener) = conn.parent.filter(|_| unreachable_for_good(e)) {
                    self.miscarried(listener);
                    self.unlink(slot);
                    self.remove(slot);
                }
            }
            TcpState::Closed => {}
            _ => {
                conn.soft = Some(errno);
                if recv_err {
                    s.error = Some(errno);
                    self.queue_icmp_error(slot, errno, e);
                    self.wake(slot);
                }
            }
        }
    }
}

/// Errors that end an embryo: net or host unreachable, time exceeded, parameter problem.
fn unreachable_for_good(e: &IcmpError<'_>) -> bool {
    match (e.quoted.is_ipv4(), e.kind) {
        (true, 3) => e.code <= 1,
        (true, kind) => kind == 11 || kind == 12,
        (false, 1) => e.code == 0 || e.code == 3,
        (false, kind) => kind == 3 || kind == 4,
    }
}

fn arrival(ip: &IpHeader, s: &Segment, iif: Option<DevId>) -> Arrival {
    Arrival { local: SocketAddr::new(ip.dst, s.dport), remote: SocketAddr::new(ip.src, s.sport), iif }
}
