//! A world in the oracle's form.

use super::{
    plan::Plan,
    topology::{Net, Node, Role, build},
    traffic, twists,
};
use serde_json::{Map, Value, json};

/// The case of a plan.
pub fn case(plan: &Plan, name: &str) -> Value {
    let mut net = build(plan);
    for t in &plan.twists {
        twists::apply(&mut net, *t);
    }
    let steps = traffic::steps(&net, &plan.acts);
    let nodes: Map<String, Value> = net.nodes.iter().map(|n| (n.name.clone(), node(&net, n))).collect();
    let mut case = json!({"name": name, "purpose": "random world"});
    if net.ipv6 {
        case["ipv6"] = json!(true);
    }
    case["nodes"] = Value::Object(nodes);
    case["links"] = json!(net.links);
    case["steps"] = Value::Array(steps);
    case
}

fn node(net: &Net, n: &Node) -> Value {
    let mut all = Map::new();
    if n.forward {
        all.insert("forward".into(), json!(true));
    }
    let mut sysctl = Map::new();
    // A neighbour that is not there is given up within a step, instead of in a later one.
    let family = if net.ipv6 { "ipv6" } else { "ipv4" };
    let proxies = n.neigh.iter().any(|e| e.get("proxy").is_some()) || n.sysctl.keys().any(|k| k.contains("proxy"));
    for i in n.with_address() {
        sysctl.insert(format!("net.{family}.neigh.{}.retrans_time_ms", i.name), json!(200));
        if proxies && !net.ipv6 {
            // Its answers come after a random time.
            sysctl.insert(format!("net.{family}.neigh.{}.proxy_delay", i.name), json!(0));
        }
    }
    if !net.limited && n.role != Role::Switch {
        // The limits of ICMP errors refill with real time, which no two runs share exactly.
        let key = if net.ipv6 { "net.ipv6.icmp.ratelimit" } else { "net.ipv4.icmp_ratelimit" };
        sysctl.insert(key.into(), json!(0));
    }
    sysctl.extend(n.sysctl.clone());
    all.insert("sysctl".into(), Value::Object(sysctl));
    let mut ifaces = Map::new();
    for i in &n.ifaces {
        let mut one = i.rest.clone();
        if !i.addrs.is_empty() {
            one.insert("addr".into(), json!(i.addrs));
        }
        if !one.is_empty() {
            ifaces.insert(i.name.clone(), Value::Object(one));
        }
    }
    all.insert("ifaces".into(), Value::Object(ifaces));
    let lists = [("routes", &n.routes), ("rules", &n.rules), ("neigh", &n.neigh), ("nat", &n.nat)];
    for (key, list) in lists.into_iter().filter(|(_, l)| !l.is_empty()) {
        all.insert(key.into(), json!(list));
    }
    if !n.filter.is_empty() {
        let chains = n.filter.iter().map(|(hook, policy, rules)| {
            let chain = json!({"policy": policy, "rules": rules});
            (hook.to_string(), chain)
        });
        all.insert("filter".into(), Value::Object(chains.collect()));
    }
    Value::Object(all)
}
