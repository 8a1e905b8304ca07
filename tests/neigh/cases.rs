//! Resolution and learning: what the kernel did, case by case, and RFC 4861 §7.2.5.

use crate::host::*;
use netsim::{
    base::{MS, NsId, SEC},
    neigh::Learned,
    trace::NeighState,
};

#[test]
fn case_arp_failure_local_three_requests_a_second_apart_then_unreachable_and_start_over() {
    let mut host = Host::new();
    host.send(9);
    host.pass(200 * MS);
    host.send(9);
    host.pass(5 * SEC);
    let expected = [
        "0ms 10.0.0.9 NONE -> INCOMPLETE",
        "0ms ask all for 10.0.0.9 tell 10.0.0.1",
        "1000ms ask all for 10.0.0.9 tell 10.0.0.1",
        "2000ms ask all for 10.0.0.9 tell 10.0.0.1",
        "3000ms 10.0.0.9 INCOMPLETE -> FAILED",
        "3000ms unreachable 10.0.0.9 #1",
        "3000ms unreachable 10.0.0.9 #2",
    ];
    assert_eq!(host.log(), expected);
    assert_eq!(host.mac_of(9), None);
    host.send(9);
    assert_eq!(host.log()[1], "5200ms ask all for 10.0.0.9 tell 10.0.0.1");
}

#[test]
fn case_arp_probe_count_settings_set_number_and_spacing() {
    let mut host = Host::new();
    (host.params.mcast_solicit, host.params.retrans_time) = (5, 300 * MS);
    host.send(9);
    host.pass(2 * SEC);
    let log = host.log();
    assert_eq!(log.iter().filter(|line| line.contains("ask all")).count(), 5);
    assert_eq!(log.last().expect("it failed"), "1500ms unreachable 10.0.0.9 #1");
}

#[test]
fn case_arp_queue_flush_what_waited_goes_in_order() {
    let mut host = Host::new();
    (0..5).for_each(|_| host.send(2));
    assert_eq!((host.state(2), host.table.queued()), (NeighState::Incomplete, 5));
    host.log();
    host.hear(2, 2, REPLY);
    let sent: Vec<_> = (1..=5).map(|n| format!("0ms send #{n} to 02:00:00:00:00:02 (Some(NsId#2))")).collect();
    assert_eq!(host.log()[1..], sent);
}

#[test]
fn case_neigh_state_machine_stale_delay_unicast_probe_reachable() {
    let mut host = Host::reachable();
    host.params.base_reachable_time = 3 * SEC;
    host.params.delay_first_probe_time = SEC;
    host.pass(60 * SEC);
    assert_eq!(host.log(), [""; 0], "time alone does nothing");
    assert_eq!(host.state(2), NeighState::Stale);
    host.send(2);
    assert_eq!(host.state(2), NeighState::Delay);
    host.pass(2 * SEC - 1);
    assert_eq!(host.state(2), NeighState::Probe);
    let expected = [
        "60000ms 10.0.0.2 REACHABLE -> STALE",
        "60000ms 10.0.0.2 STALE -> DELAY",
        "60000ms send #2 to 02:00:00:00:00:02 (Some(NsId#2))",
        "61000ms 10.0.0.2 DELAY -> PROBE",
        "61000ms ask 02:00:00:00:00:02 (Some(NsId#2)) for 10.0.0.2 tell -",
    ];
    assert_eq!(host.log(), expected);
    host.hear(2, 2, REPLY);
    assert_eq!(host.state(2), NeighState::Reachable);
}

#[test]
fn a_station_that_died_is_probed_three_times_and_fails() {
    let mut host = Host::reachable();
    host.pass(60 * SEC);
    host.send(2);
    host.log();
    host.pass(20 * SEC);
    let asked = host.log().iter().filter(|line| line.contains("ask 02:00:00:00:00:02")).count();
    assert_eq!((asked, host.state(2)), (3, NeighState::Failed));
}

#[test]
fn mcast_resolicit_asks_everybody_after_the_unicast_probes_and_app_solicit_is_silent() {
    let mut host = Host::reachable();
    (host.params.mcast_resolicit, host.params.ucast_solicit, host.params.app_solicit) = (2, 1, 1);
    host.pass(60 * SEC);
    host.send(2);
    host.log();
    host.pass(20 * SEC);
    let asked: Vec<_> = host.log().into_iter().filter(|line| line.contains("ask")).collect();
    let expected = [
        "65000ms ask 02:00:00:00:00:02 (Some(NsId#2)) for 10.0.0.2 tell -",
        "67000ms ask all for 10.0.0.2 tell -",
        "68000ms ask all for 10.0.0.2 tell -",
    ];
    assert_eq!(asked, expected);
}

#[test]
fn reachable_time_lies_between_half_and_one_and_a_half_of_the_base() {
    let mut spans = Vec::new();
    let mut host = Host::new();
    for to in 2..200 {
        host.send(to);
        host.hear(to, to, REPLY);
    }
    for second in 0..60 {
        let reachable = (2..200).filter(|n| host.state(*n) == NeighState::Reachable).count();
        spans.push(reachable);
        if second < 15 {
            assert_eq!(reachable, 198);
        } else if second > 45 {
            assert_eq!(reachable, 0);
        }
        host.pass(SEC);
    }
    assert!((60..140).contains(&spans[30]), "{}", spans[30]);
}

#[test]
fn tcp_progress_keeps_a_neighbour_reachable_and_ends_delay() {
    let mut host = Host::reachable();
    for _ in 0..20 {
        host.pass(10 * SEC);
        host.table.confirm(host.now, DEV, addr(2));
    }
    assert_eq!(host.state(2), NeighState::Reachable);
    host.pass(60 * SEC);
    host.table.confirm(host.now, DEV, addr(2));
    assert_eq!(host.state(2), NeighState::Stale, "too late for this entry");
    host.send(2);
    host.pass(SEC);
    host.table.confirm(host.now, DEV, addr(2));
    assert_eq!(host.state(2), NeighState::Delay);
    host.log();
    host.pass(5 * SEC);
    assert_eq!(host.log(), ["265000ms 10.0.0.2 DELAY -> REACHABLE"]);
}

#[test]
fn with_a_short_reachable_time_a_used_entry_goes_to_delay_by_itself() {
    let mut host = Host::new();
    host.params.base_reachable_time = SEC;
    host.send(2);
    host.hear(2, 2, REPLY);
    host.pass(2 * SEC);
    assert_eq!(host.state(2), NeighState::Delay);
    host.pass(6 * SEC);
    assert_eq!(host.state(2), NeighState::Probe);
}

#[test]
fn case_duplicate_ip_the_first_reply_wins_for_one_second() {
    let mut host = Host::reachable();
    host.pass(SEC);
    host.hear(2, 3, REPLY);
    assert_eq!(host.mac_of(2), Some(mac(2)));
    host.pass(1);
    host.hear(2, 3, REPLY);
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(3)), NeighState::Reachable));
}

#[test]
fn case_arp_gratuitous_update() {
    let mut host = Host::reachable();
    host.pass(1100 * MS);
    host.hear(2, 3, BROADCAST); // A broadcast reply whose target MAC is not its sender's is not gratuitous.
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(3)), NeighState::Stale));
    host.send(2);
    host.hear(2, 2, GARP); // within locktime
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(2)), NeighState::Stale));
    host.send(2);
    host.hear(77, 3, GARP);
    assert_eq!((host.state(2), host.state(77)), (NeighState::Delay, NeighState::None));
    assert_eq!(host.table.len(), 1);
}

#[test]
fn a_request_for_us_creates_a_stale_entry_and_serves_what_waits() {
    let mut host = Host::new();
    host.hear(3, 3, Learned::Request);
    assert_eq!(host.state(3), NeighState::Stale);
    host.send(2);
    host.log();
    host.hear(2, 2, Learned::Request);
    let expected = [
        "0ms 10.0.0.2 INCOMPLETE -> STALE",
        "0ms 10.0.0.2 STALE -> DELAY",
        "0ms send #1 to 02:00:00:00:00:02 (Some(NsId#2))",
    ];
    assert_eq!(host.log(), expected);
    host.hear(2, 2, REPLY);
    host.hear(2, 2, Learned::Request);
    assert_eq!(host.state(2), NeighState::Reachable, "the same address again takes nothing away");
}

#[test]
fn rfc4861_7_2_5_advertisements() {
    let advert = |solicited, override_flag| Learned::Advert { solicited, override_flag, router: true };
    // Another address without the O flag makes a reachable entry doubtful, and changes no other.
    let mut host = Host::reachable();
    host.hear(2, 3, advert(true, false));
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(2)), NeighState::Stale));
    host.hear(2, 3, advert(true, false));
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(2)), NeighState::Stale));
    // With it the address is replaced: reachable if solicited, else stale.
    host.hear(2, 3, advert(false, true));
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(3)), NeighState::Stale));
    host.hear(2, 2, advert(true, true));
    assert_eq!((host.mac_of(2), host.state(2)), (Some(mac(2)), NeighState::Reachable));
    assert!(host.table.get(0, DEV, addr(2)).is_some_and(|info| info.router));
    // Without the link-layer option it confirms what is known and resolves nothing.
    host.hear_mac(2, None, None, advert(true, true));
    assert_eq!(host.state(2), NeighState::Reachable);
    host.send(4);
    host.hear_mac(4, None, None, advert(true, true));
    assert_eq!(host.state(4), NeighState::Incomplete);
    host.pass(4 * SEC);
    host.hear(4, 4, advert(true, true));
    assert_eq!(host.state(4), NeighState::Failed, "an entry that failed waits for the next packet");
}

#[test]
fn the_owner_follows_the_address() {
    let owner = |host: &Host| host.table.get(host.now, DEV, addr(2)).and_then(|info| info.owner);
    let mut host = Host::reachable();
    host.hear_mac(2, Some(mac(2)), Some(NsId(9)), REPLY);
    assert_eq!(owner(&host), Some(NsId(2)), "the same MAC from another namespace: the first answer holds");
    host.hear_mac(2, Some(mac(2)), None, Learned::Request);
    assert_eq!(owner(&host), Some(NsId(2)), "an unmarked frame does not erase it");
    host.hear_mac(2, Some(mac(2)), Some(NsId(9)), Learned::Request);
    assert_eq!((owner(&host), host.state(2)), (Some(NsId(9)), NeighState::Reachable));
    host.hear_mac(2, Some(mac(3)), None, Learned::Request);
    assert_eq!((owner(&host), host.mac_of(2)), (None, Some(mac(3))));
}

#[test]
fn case_icmp_redirect_a_probe_resolves_without_a_packet() {
    let mut host = Host::new();
    let mut out = Vec::new();
    host.table.probe(0, DEV, addr(9), &host.params, &mut out);
    host.carry_out(out);
    assert_eq!(host.log(), ["0ms 10.0.0.9 NONE -> INCOMPLETE", "0ms ask all for 10.0.0.9 tell -"]);
    host.hear(9, 9, REPLY);
    assert_eq!((host.state(9), host.table.queued()), (NeighState::Reachable, 0));
}
