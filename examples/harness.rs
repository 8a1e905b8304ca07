//! The other end of a cable in the hands of a program: raw frames in, raw frames out.
//!
//! The program plays a host at 10.0.0.9 that pings a namespace; any code that speaks Ethernet could stand in its place,
//! in this thread or in another one.
//!
//! ```text
//! cargo run --example harness
//! ```

use netsim::{
    base::{MS, Mac},
    sim::{Limits, World},
    wire::dissect::{self, LinkKind, build},
};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut w = World::new(1);
    let ns = w.add_namespace("victim")?;
    let (eth0, cable) = w.add_external(ns, "eth0")?;
    w.add_address(eth0, "10.0.0.1/24".parse()?, None)?;
    let (me, them) = (Mac([2, 0, 0, 0, 0, 9]), w.dev(eth0).mac);

    // The namespace will ask who has 10.0.0.9 before it answers: the harness answers too.
    let ping = build::ethernet(them, me, &build::ip([10, 0, 0, 9], [10, 0, 0, 1]).echo(1, 1, b"abcdefgh"));
    cable.send(&ping)?;
    w.run(&Limits { until: Some(10 * MS), ..Limits::default() });
    let reply = build::arp_reply(me, "10.0.0.9".parse()?, them, "10.0.0.1".parse()?);
    cable.send(&reply)?;
    w.run(&Limits { until: Some(20 * MS), ..Limits::default() });

    let mut answered = false;
    while let Some(frame) = cable.try_recv() {
        let line = dissect::summary(&frame.bytes, LinkKind::Ethernet);
        answered |= line.contains("echo-reply");
        println!("{:>9} ns  {line}", frame.time);
    }
    assert!(answered, "the namespace answers a ping");
    Ok(())
}
