//! A world in a test: two containers behind a NAT, a server that sees one public address, a clock of its own.
//!
//! ```text
//! cargo run --example embed
//! ```

use netsim::{
    app::{HttpGet, HttpGetConfig, HttpServer, HttpServerConfig, Outcome},
    base::MS,
    device::bridge::BridgeConfig,
    netfilter::{Match, NatAction, NatRule},
    sim::{Limits, World},
};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut w = World::new(7);
    let host = w.add_namespace("host")?;
    let br0 = w.add_bridge(host, "br0", BridgeConfig::default())?;
    w.add_address(br0, "172.17.0.1/16".parse()?, None)?;

    let mut containers = Vec::new();
    for i in 2..4 {
        let c = w.add_namespace(&format!("c{i}"))?;
        let (eth0, port) = w.add_veth((c, "eth0"), (host, &format!("veth{i}")))?;
        w.set_master(port, br0)?;
        w.add_address(eth0, format!("172.17.0.{i}/16").parse()?, None)?;
        w.exec_route(c, "default via 172.17.0.1")?;
        containers.push(c);
    }

    let web = w.add_namespace("web")?;
    let (uplink, eth0) = w.add_veth((host, "eth0"), (web, "eth0"))?;
    w.add_address(uplink, "203.0.113.2/24".parse()?, None)?;
    w.add_address(eth0, "203.0.113.80/24".parse()?, None)?;
    w.set_sysctl(host, "net.ipv4.ip_forward", "1")?;
    let out = Match { oif: Some("eth0".into()), ..Match::default() };
    w.netfilter_mut(host).add_nat(NatRule::new(out, NatAction::Masquerade { ports: None, random: false }))?;

    w.spawn(web, 0, Box::new(HttpServer::new(HttpServerConfig::default())));
    let to = "203.0.113.80:80".parse()?;
    let gets: Vec<_> =
        containers.iter().map(|c| w.spawn(*c, 10 * MS, Box::new(HttpGet::new(HttpGetConfig::to(to))))).collect();

    let summary = w.run(&Limits::default());
    for id in gets {
        let app = w.app(id);
        println!("{} $ {}", w.ns_name(app.ns), app.command);
        for line in app.output {
            println!("  {line}");
        }
        assert!(matches!(app.outcome, Outcome::Http { status: Some(200), .. }), "the page arrives");
    }
    println!("{} after {} events", summary.end, summary.events);
    Ok(())
}
