//! Records every frame at every device of a namespace, with one packet socket each: the tap `tcpdump` uses.
//!
//! A packet socket is handed references to frames, not copies. Linux copies a frame before it writes to it, with one
//! exception: fragments that are put together for conntrack and taken apart again on the way out get their new header in
//! place (`ip_do_fragment`, the fast path), so at the router's entrance such fragments show the header they leave with.

use super::super::Error;
use super::netns::NetNs;
use crate::{base::Time, conform::raw::Packet, trace::Direction};
use nix::{
    libc,
    net::if_::if_nameindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
            setsockopt, socket, sockopt,
        },
        time::TimeSpec,
    },
};
use std::{
    collections::BTreeMap,
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

/// So many packets are recorded; later ones are lost, and the trace says so.
const LIMIT: usize = 60_000;

/// Bytes the kernel may keep for a socket until they are read, with its own overhead.
const BUFFER: usize = 64 << 20;

/// So many packets are read from one socket before the others have their turn: in a storm it is never empty.
const SHARE: usize = 256;

/// Longer than any frame.
const LONGEST: usize = 70_000;

/// How long the reader sleeps while nothing happens before it looks whether it should stop, in milliseconds.
const PAUSE: u8 = 20;

/// `PACKET_OUTGOING` of linux/if_packet.h.
const OUTGOING: u8 = 4;

/// Hardware types whose frames begin with an Ethernet header.
const ETHERNET: [u16; 2] = [libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK];

/// A namespace's packet socket.
pub struct Tap<'a> {
    node: &'a str,
    ns: &'a NetNs,
    socket: OwnedFd,
    names: BTreeMap<usize, String>,
}

fn failed(e: nix::Error) -> Error {
    Error::Failed(format!("cannot record packets: {e}"))
}

fn names(ns: &NetNs) -> Result<BTreeMap<usize, String>, Error> {
    let list = || {
        let all = if_nameindex()?;
        Ok(all.iter().map(|i| (i.index() as usize, i.name().to_string_lossy().into_owned())).collect())
    };
    ns.inside(list)?.map_err(failed)
}

/// The packets of a run.
#[derive(Default)]
pub struct Captured {
    /// In the order they passed.
    pub packets: Vec<Packet>,
    /// Whether some were lost because there were too many.
    pub truncated: bool,
}

impl<'a> Tap<'a> {
    /// Begins to record; the packets are read by [`record`].
    pub fn new(node: &'a str, ns: &'a NetNs) -> Result<Tap<'a>, Error> {
        let socket = ns.inside(|| {
            let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
            setsockopt(&fd, sockopt::RcvBufForce, &BUFFER)?;
            setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
            Ok(fd)
        })?;
        Ok(Tap { node, ns, socket: socket.map_err(failed)?, names: names(ns)? })
    }

    /// Takes what has arrived, up to a share; whether there was something.
    fn drain(&mut self, buffer: &mut [u8], all: &mut Captured) -> Result<bool, Error> {
        let mut any = false;
        let mut control = nix::cmsg_space!(TimeSpec);
        for _ in 0..SHARE {
            let mut parts = [IoSliceMut::new(buffer)];
            let fd = self.socket.as_raw_fd();
            let got = match recvmsg::<LinkAddr>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
                Ok(got) => got,
                Err(nix::Error::EAGAIN) => return Ok(any),
                // An interface went down.
                Err(nix::Error::ENETDOWN) => continue,
                Err(e) => return Err(failed(e)),
            };
            any = true;
            let time = got.cmsgs().map_err(failed)?.find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(t) => {
                    Some(t.tv_sec() as Time * 1_000_000_000 + t.tv_nsec() as Time)
                }
                _ => None,
            });
            let (Some(from), Some(time), len) = (got.address, time, got.bytes) else { continue };
            self.keep(from, time, &buffer[..len], all)?;
        }
        Ok(any)
    }

    fn keep(&mut self, from: LinkAddr, time: Time, bytes: &[u8], all: &mut Captured) -> Result<(), Error> {
        let index = from.ifindex();
        if !self.names.contains_key(&index) {
            self.names.extend(names(self.ns)?);
        }
        let iface = self.names.entry(index).or_insert_with(|| format!("if{index}"));
        let outgoing = from.pkttype() == OUTGOING;
        let lo = iface == "lo";
        // What passes `lo` is seen twice.
        if lo && outgoing {
            return Ok(());
        }
        if all.packets.len() >= LIMIT {
            all.truncated = true;
            return Ok(());
        }
        let ethernet = ETHERNET.contains(&from.hatype()) && !lo;
        all.packets.push(Packet {
            time,
            node: self.node.into(),
            iface: (&**iface).into(),
            dir: if outgoing { Direction::Out } else { Direction::In },
            ethernet,
            bytes: if lo { bytes.get(14..).unwrap_or_default().into() } else { bytes.into() },
        });
        Ok(())
    }
}

/// Reads the taps until `stop` is set and nothing is left.
pub fn record(taps: &mut [Tap<'_>], stop: &AtomicBool) -> Result<Captured, Error> {
    let mut all = Captured::default();
    let mut buffer = vec![0; LONGEST];
    loop {
        let stopping = stop.load(Ordering::SeqCst);
        let mut fds: Vec<PollFd<'_>> = taps.iter().map(|t| PollFd::new(t.socket.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::from(if stopping { 0 } else { PAUSE })) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(e) => return Err(failed(e)),
        }
        let mut any = false;
        for tap in taps.iter_mut() {
            any |= tap.drain(&mut buffer, &mut all)?;
        }
        if stopping && !any {
            return Ok(all);
        }
    }
}
