//! Configuration commands of `Exec` steps: what they change, and that they fail with the words of the real tools.

use netsim::{
    base::{DevId, NsId},
    kernel::Kernel,
    scenario::exec::{Output, command},
};
use proptest::prelude::*;

struct Lab {
    k: Kernel,
    a: NsId,
}

impl Lab {
    /// Namespace `a` with `eth0` (10.0.0.1/24) on a cable to `b`.
    fn new() -> Lab {
        let mut k = Kernel::new(1);
        let (a, b) = (k.add_namespace("a").unwrap(), k.add_namespace("b").unwrap());
        let (x, _) = k.add_veth((a, "eth0"), (b, "eth0")).unwrap();
        k.add_address(x, "10.0.0.1/24".parse().unwrap(), None).unwrap();
        Lab { k, a }
    }

    fn run(&mut self, line: &str) -> Output {
        command(&mut self.k, self.a, line)
    }

    fn ok(&mut self, line: &str) -> Vec<String> {
        let done = self.run(line);
        assert_eq!(done.status, 0, "{line}: {:?}", done.lines);
        done.lines
    }

    fn fails(&mut self, line: &str, status: i32, text: &str) {
        let done = self.run(line);
        assert_eq!((done.status, done.lines.join("\n").as_str()), (status, text), "{line}");
    }

    fn dev(&self, name: &str) -> DevId {
        self.k.find_dev(self.a, name).unwrap()
    }
}

#[test]
fn routes() {
    let mut lab = Lab::new();
    lab.ok("ip route add default via 10.0.0.254");
    lab.ok("ip r a 192.0.2.0/24 via 10.0.0.9 metric 5");
    assert_eq!(
        lab.ok("ip -4 route show"),
        [
            "default via 10.0.0.254 dev eth0",
            "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1",
            "192.0.2.0/24 via 10.0.0.9 dev eth0 metric 5",
        ]
    );
    lab.ok("ip route replace default via 10.0.0.253");
    lab.ok("ip route change default via 10.0.0.252");
    lab.ok("ip route append default via 10.0.0.251");
    lab.ok("ip route prepend default via 10.0.0.250");
    let defaults: Vec<String> = lab.ok("ip route").into_iter().filter(|l| l.starts_with("default")).collect();
    assert_eq!(defaults.len(), 3);
    assert!(defaults[0].contains(".250") && defaults[2].contains(".251"), "{defaults:?}");
    lab.ok("ip route add unreachable 198.51.100.0/24 table 100");
    assert_eq!(lab.ok("ip route show table 100"), ["unreachable 198.51.100.0/24"]);
    assert!(lab.ok("ip route show table local").iter().any(|l| l.starts_with("local 10.0.0.1 dev eth0")));
    lab.ok("ip route del 192.0.2.0/24");

    lab.fails("ip route del 192.0.2.0/24", 2, "RTNETLINK answers: No such process");
    lab.fails("ip route add default via 10.0.0.250", 2, "RTNETLINK answers: File exists");
    lab.fails("ip route add 203.0.113.0/24 via 172.16.0.1", 2, "Error: Nexthop has invalid gateway.");
    lab.fails("ip route add default dev eth9", 1, "Cannot find device \"eth9\"");
    lab.fails("ip route show nonsense", 255, "Error: either \"nonsense\" is a garbage, or netsim does not know it.");
    assert_eq!(lab.run("ip route add nonsense").status, 255);
}

#[test]
fn rules() {
    let mut lab = Lab::new();
    lab.ok("ip rule add from 10.0.0.1 table 100 pref 1000");
    assert_eq!(lab.ok("ip rule")[1], "1000:\tfrom 10.0.0.1 lookup 100");
    lab.fails("ip rule add from 10.0.0.1 table 100 pref 1000", 2, "RTNETLINK answers: File exists");
    lab.ok("ip rule del pref 1000");
    assert_eq!(lab.ok("ip rule").len(), 3);
    lab.fails("ip rule del pref 1000", 2, "RTNETLINK answers: No such file or directory");
}

#[test]
fn addresses() {
    let mut lab = Lab::new();
    lab.ok("ip addr add 10.0.1.1/24 broadcast + dev eth0 label eth0:1");
    lab.ok("ip a a 10.9.0.1 peer 10.9.0.2/32 dev eth0");
    assert_eq!(lab.ok("ip addr show eth0"), ["eth0             UP             10.0.0.1/24 10.0.1.1/24 10.9.0.1/32"]);
    lab.fails("ip addr add 10.0.1.1/24 dev eth0", 2, "Error: Address already assigned.");
    lab.ok("ip addr del 10.0.1.1/24 dev eth0");
    assert_eq!(lab.run("ip addr del 10.0.1.1/24 dev eth0").status, 2);
    lab.fails(
        "ip addr add 10.0.0.300/24 dev eth0",
        255,
        "Error: any valid prefix is expected rather than \"10.0.0.300/24\".",
    );
    lab.fails("ip addr add 10.0.0.3/24", 255, "Not enough information: \"dev\" argument is required.");
    lab.fails("ip addr add 10.0.0.3/24 dev", 255, "Command line is not complete: what comes after \"dev\"?");
}

#[test]
fn links() {
    let mut lab = Lab::new();
    lab.ok("ip link set dev eth0 down mtu 1400");
    assert!(!lab.k.dev(lab.dev("eth0")).up && lab.k.dev(lab.dev("eth0")).mtu == 1400);
    lab.ok("ip link set eth0 up address 02:00:00:00:00:77");
    lab.ok("ip link add br0 type bridge");
    lab.ok("ip link set eth0 master br0");
    assert_eq!(lab.k.dev(lab.dev("eth0")).master, Some(lab.dev("br0")));
    assert!(lab.ok("ip link").iter().any(|l| l.contains("02:00:00:00:00:77") && l.ends_with("master br0")));
    lab.ok("ip link set eth0 nomaster");
    lab.ok("ip link add link eth0 name eth0.5 type vlan id 5");
    lab.ok("ip link add v1 type veth peer name v2");
    lab.ok("ip link del v2");
    assert_eq!(lab.k.find_dev(lab.a, "v1"), None, "a veth pair goes with either end");
    lab.fails("ip link set eth7 up", 1, "Cannot find device \"eth7\"");
    lab.fails("ip link add x type wormhole", 255, "Error: netsim cannot make devices of type \"wormhole\".");
    lab.fails("ip link set eth0 mtu many", 255, "Error: argument \"many\" is wrong: invalid mtu");
    assert_eq!(lab.run("ip link set eth0 mtu 3").status, 2);
    assert_eq!(lab.run("ip link del lo").status, 2);
}

#[test]
fn neighbours() {
    let mut lab = Lab::new();
    lab.ok("ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0");
    lab.ok("ip neigh replace 10.0.0.9 lladdr 02:00:00:00:00:0a dev eth0 nud permanent");
    assert_eq!(lab.ok("ip neighbor"), ["10.0.0.9 dev eth0 lladdr 02:00:00:00:00:0a PERMANENT"]);
    lab.ok("ip neigh add proxy 10.0.0.77 dev eth0");
    lab.fails("ip n add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0", 2, "RTNETLINK answers: File exists");
    lab.ok("ip neigh del 10.0.0.9 dev eth0");
    lab.fails("ip neigh del 10.0.0.9 dev eth0", 2, "RTNETLINK answers: No such file or directory");
    lab.fails("ip neigh add 10.0.0.9", 255, "Device and destination are required arguments.");
    assert_eq!(lab.run("ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud asleep").status, 255);
}

#[test]
fn settings() {
    let mut lab = Lab::new();
    assert_eq!(lab.ok("sysctl -w net.ipv4.ip_forward=1"), ["net.ipv4.ip_forward = 1"]);
    assert_eq!(lab.ok("sysctl net.ipv4.conf.eth0.forwarding"), ["net.ipv4.conf.eth0.forwarding = 1"]);
    lab.ok("sysctl -w net.ipv4.ip_local_port_range=\"1024 2000\"");
    assert_eq!(lab.run("sysctl -w net.ipv4.ip_forwad=1").status, 255);
    assert_eq!(lab.run("sysctl").status, 255);
}

#[test]
fn other_commands() {
    let mut lab = Lab::new();
    assert_eq!(lab.run("").status, 0);
    assert_eq!(lab.run("tc qdisc show").status, 127);
    lab.fails("ip tunnel show", 255, "Object \"tunnel\" is unknown, try \"ip help\".");
    assert_eq!(lab.run("ip").status, 255);
}

proptest! {
    /// No line panics, and a line that fails says something.
    #[test]
    fn any_line_has_an_outcome(words in prop::collection::vec(
        prop_oneof![
            Just("ip"), Just("route"), Just("addr"), Just("link"), Just("neigh"), Just("rule"), Just("sysctl"), Just("add"),
            Just("del"), Just("set"), Just("show"), Just("dev"), Just("eth0"), Just("lo"), Just("via"), Just("10.0.0.1"),
            Just("10.0.0.1/24"), Just("default"), Just("table"), Just("100"), Just("type"), Just("bridge"), Just("vlan"),
            Just("id"), Just("4095"), Just("master"), Just("up"), Just("down"), Just("mtu"), Just("lladdr"), Just("nexthop"),
            Just("02:00:00:00:00:01"), Just("from"), Just("=1"), Just("-w"), Just("ü"), Just("net.ipv4.ip_forward=2"),
        ], 0..9)) {
        let mut lab = Lab::new();
        let done = lab.run(&words.join(" "));
        prop_assert!(done.status == 0 || !done.lines.is_empty());
    }
}
