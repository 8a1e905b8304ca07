//! `/proc` in small worlds, compared with what real namespaces show.

use netsim::{
    app::{
        Ping, PingConfig, TcpClient, TcpClientConfig, TcpEnd, TcpServer, TcpServerConfig, UdpServer, UdpServerConfig,
    },
    base::{NsId, SEC},
    kernel::ProcView,
    neigh::{SetEntry, SetMode},
    procfs::{self, ProcError},
    sim::{Limits, World},
    trace::NeighState,
};

struct Lab {
    w: World,
    h1: NsId,
    h2: NsId,
}

/// Two hosts and a router, as in case proc-net-files.
fn lab() -> Lab {
    let mut w = World::new(7);
    let [h1, r, h2] = ["h1", "r", "h2"].map(|n| w.add_namespace(n).unwrap());
    let (h1_eth, r_left) = w.add_veth((h1, "eth0"), (r, "eth0")).unwrap();
    let (r_right, h2_eth) = w.add_veth((r, "eth1"), (h2, "eth0")).unwrap();
    w.set_mac(r_left, "02:00:00:00:00:0b".parse().unwrap()).unwrap();
    for (dev, addr) in
        [(h1_eth, "10.0.0.1/24"), (r_left, "10.0.0.254/24"), (r_right, "10.0.1.254/24"), (h2_eth, "10.0.1.2/24")]
    {
        w.add_address(dev, addr.parse().unwrap(), None).unwrap();
    }
    w.set_sysctl(r, "net.ipv4.ip_forward", "1").unwrap();
    let routes = [
        (h1, "default via 10.0.0.254"),
        (h1, "172.16.0.0/12 via 10.0.0.253 metric 50"),
        (h1, "unreachable 192.168.77.0/24"),
        (h2, "default via 10.0.1.254"),
    ];
    for (ns, text) in routes {
        w.add_route_spec(ns, &netsim::route::parse_route(text).unwrap(), netsim::route::AddMode::Add).unwrap();
    }
    Lab { w, h1, h2 }
}

impl Lab {
    fn read(&self, ns: NsId, path: &str) -> String {
        procfs::read(&self.w, ns, path).unwrap()
    }

    fn run(&mut self) {
        self.w.run(&Limits::default());
    }

    fn ping(&mut self, ns: NsId, to: &str, count: u32) {
        let config = PingConfig { count: Some(count), ..PingConfig::to(to.parse().unwrap()) };
        self.w.spawn(ns, 0, Box::new(Ping::new(config)));
        self.run();
    }
}

/// Case proc-net-files, line by line, and the padding of a real kernel.
#[test]
fn routes_as_the_kernel_lists_them() {
    let lab = lab();
    let text = lab.read(lab.h1, "/proc/net/route");
    assert!(text.lines().all(|l| l.len() == 127));
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
            "eth0\t00000000\tFE00000A\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            "eth0\t000010AC\tFD00000A\t0003\t0\t0\t50\t0000F0FF\t0\t0\t0",
            "*\t004DA8C0\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0",
        ]
    );
}

/// Case proc-net-files.
#[test]
fn neighbours_as_the_kernel_lists_them() {
    let mut lab = lab();
    lab.ping(lab.h1, "10.0.1.2", 1);
    lab.ping(lab.h1, "10.0.0.99", 1);
    let eth0 = lab.w.find_dev(lab.h1, "eth0").unwrap();
    let mac = Some("02:00:00:00:50:50".parse().unwrap());
    let entry = SetEntry { dev: eth0, addr: "10.0.0.50".parse().unwrap(), mac, state: NeighState::Permanent };
    lab.w.set_neighbour(&entry, SetMode::Add).unwrap();
    assert_eq!(
        lab.read(lab.h1, "/proc/net/arp"),
        "IP address       HW type     Flags       HW address            Mask     Device\n\
         10.0.0.50        0x1         0x6         02:00:00:00:50:50     *        eth0\n\
         10.0.0.99        0x1         0x0         00:00:00:00:00:00     *        eth0\n\
         10.0.0.254       0x1         0x2         02:00:00:00:00:0b     *        eth0\n"
    );
}

/// Case proc-net-dev: frames with their link-layer header, loopback in both directions.
#[test]
fn devices_count_frames() {
    let mut lab = lab();
    for to in ["10.0.0.254", "127.0.0.1"] {
        let config = PingConfig { count: Some(1), ..PingConfig::to(to.parse().unwrap()) };
        lab.w.spawn(lab.h1, 0, Box::new(Ping::new(config)));
    }
    // Five seconds later the neighbours would probe each other.
    lab.w.run(&Limits { until: Some(SEC), ..Limits::default() });
    let text = lab.read(lab.h1, "/proc/net/dev");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[2..],
        [
            "    lo:     168       2    0    0    0     0          0         0      168       2    0    0    0     0       0          0",
            "  eth0:     140       2    0    0    0     0          0         0      140       2    0    0    0     0       0          0",
        ]
    );
    assert_eq!(lab.read(lab.h1, "/proc/self/net/dev"), text, "/proc/net is a link to /proc/self/net");
}

#[test]
fn sockets_are_private() {
    let mut lab = lab();
    let listen = TcpServerConfig { bind: "10.0.1.2:80".parse().unwrap(), ..TcpServerConfig::default() };
    lab.w.spawn(lab.h2, 0, Box::new(TcpServer::new(listen)));
    let receive = UdpServerConfig { bind: "0.0.0.0:7000".parse().unwrap(), echo: false };
    lab.w.spawn(lab.h2, 0, Box::new(UdpServer::new(receive)));
    let to = TcpClientConfig::to("10.0.1.2:80".parse().unwrap());
    let bind = Some("10.0.0.1:5000".parse().unwrap());
    lab.w.spawn(lab.h1, SEC, Box::new(TcpClient::new(TcpClientConfig { bind, end: TcpEnd::Keep, ..to })));
    lab.run();

    let ends = |text: String| -> Vec<String> {
        text.lines().skip(1).map(|l| l.split_whitespace().skip(1).take(3).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(ends(lab.read(lab.h1, "/proc/net/tcp")), ["0100000A:1388 0201000A:0050 01"]);
    assert_eq!(
        ends(lab.read(lab.h2, "/proc/net/tcp")),
        ["0201000A:0050 00000000:0000 0A", "0201000A:0050 0100000A:1388 01"]
    );
    assert_eq!(ends(lab.read(lab.h1, "/proc/net/udp")), [""; 0]);
    assert_eq!(ends(lab.read(lab.h2, "/proc/net/udp")), ["00000000:1B58 00000000:0000 07"]);
    let text = lab.read(lab.h2, "/proc/net/tcp");
    assert!(text.lines().all(|l| l.len() == 149));
    let stat = lab.read(lab.h2, "/proc/net/sockstat");
    assert!(stat.contains("TCP: inuse 2 orphan 0 tw 0 alloc 3 "), "TCP memory is the machine's: {stat}");
    assert!(lab.read(lab.h2, "/proc/net/snmp").contains("\nTcp: 1 200 120000 -1 0 1 0 0 1 "));
    assert!(lab.read(lab.h1, "/proc/net/snmp").contains("\nTcp: 1 200 120000 -1 1 0 0 0 1 "));
}

/// Case snmp-counters, its first ping.
#[test]
fn counters_move() {
    let mut lab = lab();
    lab.ping(lab.h1, "10.0.1.2", 1);
    let r = lab.w.find_ns("r").unwrap();
    let of = |ns| lab.read(ns, "/proc/net/snmp");
    assert!(of(r).contains("\nIp: 1 64 2 0 0 2 0 0 0 0 0 0 "), "{}", of(r));
    assert!(of(lab.h2).contains("\nIp: 2 64 1 0 0 0 0 0 1 1 "), "{}", of(lab.h2));
    assert!(of(lab.h2).contains("IcmpMsg: InType8 OutType0\nIcmpMsg: 1 1\n"));
    assert!(lab.read(r, "/proc/net/netstat").starts_with("IpExt: InNoRoutes InTruncatedPkts"));
    assert_eq!(lab.read(r, "/proc/net/nf_conntrack"), "", "nothing is tracked without a rule");
}

/// What only more namespaces than the network one would hide.
#[test]
fn the_machine_is_shared_unless_the_view_is_private() {
    let mut lab = lab();
    lab.ping(lab.h1, "10.0.1.2", 3);
    let later = lab.w.add_namespace("later").unwrap();
    let since = |text: String| text.split('.').next().unwrap().parse::<u64>().unwrap();
    let host = since(lab.read(lab.h1, "/proc/uptime"));
    assert_eq!(since(lab.read(later, "/proc/uptime")), host);
    assert!(host > 3 * 24 * 3600);

    lab.w.ns_mut(lab.h2).proc_view = ProcView { mount: true, pid: false };
    assert_eq!(since(lab.read(lab.h2, "/proc/uptime")), host, "a mount of the host's /proc shows the host");
    for ns in [lab.h2, later] {
        lab.w.ns_mut(ns).proc_view = ProcView { mount: true, pid: true };
    }
    assert!((2..60).contains(&since(lab.read(lab.h2, "/proc/uptime"))));
    assert_eq!(lab.read(later, "/proc/uptime"), "0.00 0.00\n");
    assert!(lab.read(later, "/proc/meminfo").starts_with("MemTotal:         524288 kB\n"));
    assert!(lab.read(lab.h1, "/proc/meminfo").starts_with("MemTotal:       16777216 kB\n"));
    assert_eq!(lab.read(later, "/proc/version"), lab.read(lab.h1, "/proc/version"));
}

#[test]
fn sysctls_are_files() {
    let lab = lab();
    let r = lab.w.find_ns("r").unwrap();
    assert_eq!(lab.read(r, "/proc/sys/net/ipv4/ip_forward"), "1\n");
    assert_eq!(lab.read(lab.h1, "/proc/sys/net/ipv4/ip_forward"), "0\n");
    assert_eq!(lab.read(r, "/proc/sys/net/ipv4/conf/eth1/forwarding"), "1\n");
    assert_eq!(lab.read(r, "/proc/sys/net/ipv4/ip_local_port_range"), "32768\t60999\n");
    let list = |path| procfs::list(&lab.w, r, path).unwrap();
    assert_eq!(list("/proc/sys/net/ipv4/conf"), ["all", "default", "eth0", "eth1", "lo"]);
    assert_eq!(list("/proc/sys"), ["net"]);
    assert!(list("/proc/net").contains(&"tcp".to_string()));
    // Every key is reachable as a file.
    let mut waiting = vec![String::from("/proc/sys")];
    let mut files = 0;
    while let Some(dir) = waiting.pop() {
        for name in procfs::list(&lab.w, r, &dir).unwrap() {
            let path = format!("{dir}/{name}");
            match procfs::read(&lab.w, r, &path) {
                Ok(text) => {
                    assert!(text.ends_with('\n'));
                    files += 1;
                }
                Err(ProcError::IsDirectory { .. }) => waiting.push(path),
                Err(e) => panic!("{e}"),
            }
        }
    }
    assert!(files > 200, "{files}");
}

#[test]
fn mistakes_are_explained() {
    let lab = lab();
    let error = |path: &str| procfs::read(&lab.w, lab.h1, path).unwrap_err().to_string();
    assert_eq!(error("/proc/net/rout"), "/proc/net/rout: No such file or directory; did you mean /proc/net/route?");
    assert_eq!(
        error("/proc/sys/net/ipv4/ip_forwad"),
        "/proc/sys/net/ipv4/ip_forwad: No such file or directory; did you mean /proc/sys/net/ipv4/ip_forward?"
    );
    assert_eq!(
        error("/proc/sys/net/ipv4/conf/eht0/rp_filter"),
        "/proc/sys/net/ipv4/conf/eht0/rp_filter: No such file or directory; did you mean /proc/sys/net/ipv4/conf/eth0?"
    );
    assert_eq!(error("/proc/self"), "/proc/self: Is a directory; it contains: net");
    assert!(error("/proc/zzzzqqqq").contains("there is: loadavg meminfo net self sys uptime version"));
    assert_eq!(error("/proc/uptime/x"), "/proc/uptime/x: No such file or directory; did you mean /proc/uptime?");
    let listed = procfs::list(&lab.w, lab.h1, "/proc/uptime").unwrap_err();
    assert_eq!(listed.to_string(), "/proc/uptime: Not a directory");
}
