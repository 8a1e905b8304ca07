//! The socket calls of a namespace, non-blocking, with the errors of Linux.
//!
//! Each call routes first (rules, tables, source address) and then acts on the socket with explicit addresses. Where
//! Linux would block, the call fails with `EAGAIN` or `EINPROGRESS`, and the app that owns the socket is told when to try
//! again. Segments that calls cause leave before the next event of the loop.
//!
//! ```
//! use netsim::{base::{Errno, SEC}, sim::{Limits, World}, socket::{Family, SockKind}};
//! let mut w = World::new(7);
//! let a = w.add_namespace("a")?;
//! let s = w.socket(a, Family::V4, SockKind::Udp, None)?;
//! w.bind(s, "127.0.0.1:53".parse()?)?;
//! let c = w.socket(a, Family::V4, SockKind::Udp, None)?;
//! w.send_to(c, b"question", "127.0.0.1:53".parse()?)?;
//! w.run(&Limits::default());
//! assert_eq!(w.recv_from(s)?.data, b"question");
//! assert_eq!(w.connect(c, "192.0.2.1:53".parse()?), Err(Errno::ENETUNREACH));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connect;
mod datagram;
mod open;
mod scope;
mod stream;
