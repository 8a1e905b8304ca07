//! The administrator's side, and every limit of the table.

use crate::host::*;
use netsim::{
    base::{DevId, Errno, MS, SEC},
    neigh::{Action, Learned, NeighTable, SetMode, truesize},
    trace::NeighState,
};

#[test]
fn case_arp_static() {
    let mut host = Host::new();
    assert_eq!(host.set(2, Some(mac(2)), NeighState::Permanent, SetMode::Add), Ok(()));
    assert_eq!(host.set(2, Some(mac(9)), NeighState::Permanent, SetMode::Add), Err(Errno::EEXIST));
    assert_eq!(host.set(2, Some(mac(9)), NeighState::Permanent, SetMode::Replace), Ok(()));
    host.hear(2, 2, Learned::Request);
    host.pass(100 * SEC);
    host.send(2);
    assert_eq!(host.log().last().expect("sent"), "100000ms send #1 to 02:00:00:00:00:09 (None)");
    assert_eq!(host.table.delete(host.now, DEV, addr(2), &mut Vec::new()), Ok(()));
    assert_eq!(host.table.delete(host.now, DEV, addr(2), &mut Vec::new()), Err(Errno::ENOENT));
    assert_eq!(host.set(50, Some(mac(2)), NeighState::Stale, SetMode::Change), Err(Errno::ENOENT));
    assert_eq!(host.set(50, None, NeighState::Permanent, SetMode::Add), Err(Errno::EINVAL));
    assert!(host.table.is_empty(), "a refused command leaves nothing behind");
    assert_eq!(host.set(50, Some(mac(2)), NeighState::Stale, SetMode::Add), Ok(()));
    assert_eq!(host.set(50, None, NeighState::Reachable, SetMode::Change), Ok(()));
    assert_eq!((host.state(50), host.mac_of(50)), (NeighState::Reachable, Some(mac(2))));
    assert_eq!(host.set(50, None, NeighState::Probe, SetMode::Change), Ok(()));
    host.pass(0);
    assert!(host.log().last().is_some_and(|line| line.contains("ask 02:00:00:00:00:02")));
}

#[test]
fn setting_an_entry_serves_what_waits_and_deleting_one_reports_it() {
    let mut host = Host::new();
    host.send(2);
    host.send(3);
    assert_eq!(host.set(2, Some(mac(2)), NeighState::Permanent, SetMode::Replace), Ok(()));
    let mut out = Vec::new();
    assert_eq!(host.table.delete(0, DEV, addr(3), &mut out), Ok(()));
    host.carry_out(out);
    let log = host.log();
    assert!(log.contains(&"0ms send #1 to 02:00:00:00:00:02 (None)".to_string()), "{log:?}");
    assert!(log.contains(&"0ms unreachable 10.0.0.3 #2".to_string()), "{log:?}");
    host.pass(10 * SEC);
    assert_eq!(host.log(), [""; 0], "timers of what is gone are harmless");
}

#[test]
fn case_link_down_flushes_neigh() {
    let mut host = Host::reachable();
    host.send(3);
    host.set(4, Some(mac(4)), NeighState::Permanent, SetMode::Add).expect("a new entry");
    host.table.proxy_add(DEV, addr(5));
    host.log();
    let mut out = Vec::new();
    host.table.flush_device(host.now, DevId(2), None, false, &mut out);
    assert!(out.is_empty(), "another device");
    host.table.flush_device(host.now, DEV, None, true, &mut out);
    host.carry_out(out);
    let expected = ["0ms 10.0.0.2 REACHABLE -> NONE", "0ms drop #2 NEIGH_DEAD", "0ms 10.0.0.3 INCOMPLETE -> NONE"];
    assert_eq!(host.log(), expected);
    assert!(host.table.len() == 1 && host.table.proxy_has(DEV, addr(5)));
    host.table.flush_device(host.now, DEV, None, false, &mut Vec::new());
    assert!(host.table.is_empty() && !host.table.proxy_has(DEV, addr(5)));
    host.pool.ledger.check(0).expect("nothing waits any more");
}

#[test]
fn the_queue_is_bounded_in_bytes_and_the_oldest_go() {
    let mut host = Host::new();
    let fit = host.params.unres_qlen_bytes / truesize(1500);
    assert_eq!(fit, 92);
    (0..fit + 2).for_each(|_| host.send_len(2, 1500));
    assert_eq!(host.table.queued() as u64, fit);
    let dropped: Vec<_> = host.log().into_iter().filter(|line| line.contains("drop")).collect();
    assert_eq!(dropped, ["0ms drop #1 NEIGH_QUEUEFULL", "0ms drop #2 NEIGH_QUEUEFULL"]);
    host.params.unres_qlen_bytes = 0;
    host.send(3);
    assert_eq!(host.table.queued() as u64, fit + 1, "one always fits");
}

#[test]
fn no_probes_configured_means_no_resolution() {
    let mut host = Host::new();
    host.params.mcast_solicit = 0;
    host.send(2);
    assert_eq!(host.log().last().expect("dropped"), "0ms drop #1 NEIGH_FAILED");
}

#[test]
fn the_table_is_bounded_and_collects_what_is_old() {
    let mut host = Host::new();
    (host.params.gc_thresh1, host.params.gc_thresh2, host.params.gc_thresh3) = (4, 6, 8);
    (2..12).for_each(|to| host.send(to));
    assert_eq!(host.table.len(), 8);
    assert_eq!(host.log().last().expect("dropped"), "0ms drop #10 NEIGH_CREATEFAIL");
    host.hear(100, 100, Learned::Request);
    assert_eq!(host.state(100), NeighState::None, "no room to remember it");
    host.set(101, Some(mac(1)), NeighState::Permanent, SetMode::Add).expect("permanent entries do not count");
    host.pass(30 * SEC);
    host.send(12);
    assert_eq!(host.state(12), NeighState::Incomplete, "the failed ones made room");
    assert_eq!(host.state(101), NeighState::Permanent);
}

#[test]
fn below_the_first_threshold_entries_stay_for_ever() {
    let mut host = Host::reachable();
    host.pass(100_000 * SEC);
    host.send(3);
    assert_eq!(host.state(2), NeighState::Stale);
}

#[test]
fn proxy_answers_wait_a_random_time_and_their_queue_is_bounded() {
    let mut host = Host::new();
    let mut out = Vec::new();
    for _ in 0..70 {
        let frame = host.frame(28);
        host.table.proxy_delay(0, DEV, frame, &host.params, &mut host.rng, &mut out);
    }
    let times: Vec<_> =
        out.iter().filter_map(|a| if let Action::ProxyTimer { at } = a { Some(*at) } else { None }).collect();
    assert!(times.len() == 65 && times.iter().all(|at| *at < 800 * MS) && times.iter().any(|at| *at > 400 * MS));
    assert_eq!(host.table.queued(), 65);
    for at in times {
        assert_eq!(host.table.proxy_due(at).map(|(dev, _)| dev), Some(DEV));
    }
    assert_eq!((host.table.queued(), host.table.proxy_due(SEC).is_none()), (0, true));
}

#[test]
fn proxy_entries_and_the_order_of_iteration() {
    let mut host = Host::new();
    for (dev, to) in [(2, 9), (1, 9), (1, 3), (1, 9)] {
        host.table.proxy_add(DevId(dev), addr(to));
    }
    let all: Vec<_> = host.table.proxy_iter().collect();
    assert_eq!(all, [(DevId(1), addr(3)), (DevId(1), addr(9)), (DevId(2), addr(9))]);
    assert_eq!(host.table.proxy_delete(DevId(1), addr(9)), Ok(()));
    assert_eq!(host.table.proxy_delete(DevId(1), addr(9)), Err(Errno::ENOENT));
    [9, 2, 5].into_iter().for_each(|n| host.hear(n, n, Learned::Request));
    assert_eq!(host.table.iter(0).map(|info| info.addr).collect::<Vec<_>>(), [addr(2), addr(5), addr(9)]);
}

#[test]
fn an_idle_table_is_a_pointer() {
    assert_eq!(size_of::<NeighTable>(), size_of::<usize>());
}
