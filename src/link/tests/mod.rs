//! The host's end against a device by script, under a simulated clock.

mod device;
mod world;

use super::*;
use crate::wire::session::{Access, Key};
use crate::wire::{Format, Mode, Reason};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use world::{World, samples};

#[test]
fn on_a_good_link_every_bin_comes_whole_and_in_time() {
    let mut world = World::sealed(1);
    world.run_ms(3000);
    assert_eq!(world.events[..2], ["connecting 1", "connected false"], "{:?}", world.events);
    assert!(world.has("counts in bins of 20.0 ms") && world.gaps.is_empty());
    assert!((145..=150).contains(&world.bins.len()), "{}", world.bins.len());
    assert!(world.bins.iter().all(|bin| bin.is_whole && bin.width == 400));
    // A bin is given out when its last packet has come: 3 ms after its end, on a clock of millisecond steps.
    let late: Vec<u64> = world.bins.iter().map(|bin| delay_ms(&world, bin)).collect();
    assert!(late.iter().all(|late| (3..=5).contains(late)), "{late:?}");
    let before = world.device.commands.clone();
    assert_eq!(before, ["SetBudget(0)", "SetBinWidth(400)", "SetMode(Counts)", "Start"]);
    let n_reports = world.device.reports.len();
    assert!((6..=8).contains(&n_reports), "{n_reports} in three seconds");
    let reading = world.host.clock().expect("answered").reading(crate::HostTime { ns: world.now_ns });
    let off = reading.expect("pings were answered").sample - world.device.sample(world.now_ns) as f64;
    assert!(off.abs() < 62.0, "{off} samples, where half a round trip is 60");
    world.close();
    let ledger = world.host.ledger();
    assert_eq!(ledger.datagrams.lost + ledger.datagrams.dropped, 0);
    assert_eq!(ledger.datagrams.sent, u64::from(world.device.sent));
    let json = serde_json::to_string(&ledger).expect("plain values");
    assert!(json.contains("\"whole\":"), "{json}");
}

#[test]
fn lost_bins_are_gaps_and_half_lost_ones_are_partial() {
    let mut world = World::sealed(2);
    world.run_ms(1000);
    world.up.loss = 0.2;
    world.run_ms(10_000);
    world.up.loss = 0.0;
    world.run_ms(500);
    let n_partial = world.bins.iter().filter(|bin| !bin.is_whole).count();
    assert!(n_partial > 100 && world.lost(Cause::Radio) > 10, "{n_partial}, {:?}", world.gaps);
    for bin in world.bins.iter().filter(|bin| !bin.is_whole) {
        assert!([40, 60].contains(&bin.n_unknown), "one of its two datagrams: {bin:?}");
        // Its own width, the allowance, and what is due within the step.
        assert!(delay_ms(&world, bin) <= 3 + 40 + 2, "{bin:?} after {} ms", delay_ms(&world, bin));
    }
    assert!(world.gaps.iter().all(|gap| gap.cause == Cause::Radio), "{:?}", world.gaps);
    world.close();
    let ledger = world.host.ledger();
    assert_eq!(ledger.datagrams.sent, u64::from(world.device.sent));
    assert_eq!(ledger.datagrams.received, world.delivered.len() as u64);
}

#[test]
fn what_the_device_gives_up_is_told_from_what_the_radio_loses() {
    let mut world = World::sealed(3);
    world.run_ms(2000);
    world.device.to_drop = 5;
    world.run_ms(3000);
    assert_eq!((world.lost(Cause::Device), world.gaps.len()), (5, 1));
    world.close();
    assert_eq!(world.host.ledger().link.device_dropped_bins, 5);
}

#[test]
fn repeated_reordered_and_damaged_packets_change_nothing_but_counters() {
    let mut world = World::sealed(4);
    world.run_ms(1000);
    (world.up.twice, world.up.jitter_ns) = (0.3, 15_000_000);
    world.run_ms(5000);
    assert!(world.gaps.is_empty() && world.bins.iter().all(|bin| bin.is_whole), "{:?}", world.gaps);
    (world.up.damage, world.up.truncation) = (0.1, 0.1);
    world.run_ms(5000);
    (world.up.damage, world.up.truncation) = (0.0, 0.0);
    world.run_ms(500);
    world.close();
    let dropped = world.host.ledger().packets.dropped;
    for cause in ["replayed", "forged", "truncated"] {
        assert!(dropped.get(cause).is_some_and(|n| *n > 10), "{cause}: {dropped:?}");
    }
}

#[test]
fn a_carrier_that_comes_up_is_used_at_once_in_packets_that_fit() {
    let mut world = World::sealed(6);
    (world.up.is_dead, world.down.is_dead) = (true, true);
    world.run_ms(3_000);
    (world.up.is_dead, world.down.is_dead) = (false, false);
    let now = |world: &World| crate::HostTime { ns: world.now_ns };
    world.host.carrier_is_up(now(&world), 20);
    // There and back, where the next call would be later.
    world.run_ms(20);
    assert!(world.host.is_live(), "{:?}", world.events);
    world.run_ms(500);
    assert_eq!(world.device.commands[..2], ["SetMtu(20)", "SetBudget(0)"]);
    world.host.carrier_is_up(now(&world), 20);
    world.host.carrier_is_up(now(&world), 200);
    world.run_ms(500);
    let n_told = world.device.commands.iter().filter(|command| command.starts_with("SetMtu")).count();
    assert_eq!((n_told, world.device.commands.last().map(String::as_str)), (2, Some("SetMtu(200)")));
    // A device that went on sending is heard before it is called.
    (world.up.is_dead, world.down.is_dead) = (true, true);
    world.run_ms(1_000);
    (world.up.is_dead, world.down.is_dead) = (false, false);
    world.host.carrier_is_up(now(&world), 200);
    world.run_ms(500);
    assert!(world.host.is_live());
    world.close();
    assert_eq!(world.host.ledger().link.sessions, 1);
}

#[test]
fn a_silence_that_the_session_outlives_is_a_stall() {
    let mut world = World::sealed(5);
    world.run_ms(2000);
    world.up.is_dead = true;
    world.run_ms(550);
    assert!(world.has("silent") && !world.host.is_live());
    world.up.is_dead = false;
    world.run_ms(500);
    assert!(world.has("audible") && !world.has("connecting 2") && world.host.is_live());
    assert_eq!(world.gaps.len(), 1, "{:?}", world.gaps);
    assert!(world.lost(Cause::Stall) >= 26, "{:?}", world.gaps);
    // What the radio loses later has nothing to do with it.
    world.up.is_dead = true;
    world.run_ms(60);
    world.up.is_dead = false;
    world.run_ms(500);
    assert!(world.lost(Cause::Radio) >= 2 && world.gaps.len() == 2, "{:?}", world.gaps);
    world.close();
    assert_eq!((world.host.ledger().link.stalls, world.host.ledger().link.sessions), (1, 1));
}

#[test]
fn a_longer_silence_is_called_into_and_the_stream_goes_on() {
    let mut world = World::sealed(6);
    world.run_ms(2000);
    let sent_before = world.device.sent;
    (world.up.is_dead, world.down.is_dead) = (true, true);
    world.run_ms(4000);
    assert!(world.has("disconnected: nothing came any more") && world.has("connecting 8"));
    (world.up.is_dead, world.down.is_dead) = (false, false);
    let back_ns = world.now_ns;
    world.run_ms(1000);
    let first = world.bins.iter().find(|bin| bin.given_ns > back_ns).expect("it is heard again");
    assert!(first.given_ns - back_ns < 600_000_000, "after {} ms", (first.given_ns - back_ns) / 1_000_000);
    // The device's clock went on, and so did the stream.
    assert_eq!(first.first, first.device_sample);
    let lost = world.lost(Cause::Disconnect) + world.lost(Cause::Stall);
    assert!((195..230).contains(&lost) && world.gaps.len() == 1, "{:?}", world.gaps);
    world.close();
    let ledger = world.host.ledger();
    // How many the first session sent after its last telemetry nobody knows.
    assert!(ledger.datagrams.sent <= u64::from(sent_before) + 250 + u64::from(world.device.sent));
    assert_eq!(ledger.datagrams.received, world.delivered.len() as u64);
    assert_eq!(ledger.link.boots, 1);
}

#[test]
fn a_session_that_the_device_gave_up_is_followed_by_another() {
    let mut world = World::sealed(16);
    world.run_ms(2000);
    world.up.is_dead = true;
    world.device.hang_up();
    world.run_ms(1000);
    world.up.is_dead = false;
    world.run_ms(1000);
    assert!(world.has("connected true") && world.gaps.len() == 1, "{:?} {:?}", world.events, world.gaps);
    assert!((50..80).contains(&world.lost(Cause::Disconnect)), "{:?}", world.gaps);
    // It says goodbye, and is called again at once.
    world.device.say(&[crate::wire::Record::Bye]);
    world.device.hang_up();
    world.run_ms(1000);
    assert!(world.endings.contains(&Ending::Bye) && world.host.is_live());
    assert!(world.gaps.len() <= 2 && world.bins.len() > 150, "{:?}", world.gaps);
    assert_eq!(world.device.commands.len(), 4, "what was asked for stands");
    world.close();
    let ledger = world.host.ledger();
    assert_eq!((ledger.link.sessions, ledger.link.boots), (3, 1));
    // Datagrams of a session that was over by then are lost, though they came.
    let n_void =
        ["no session", "wrong session"].iter().filter_map(|c| ledger.packets.dropped.get(c)).sum::<u64>();
    assert_eq!(ledger.datagrams.received + n_void, world.delivered.len() as u64);
}

#[test]
fn what_was_under_way_when_a_session_began_anew_is_taken() {
    let mut world = World::sealed(20);
    world.run_ms(2000);
    // A radio that is behind: it carries everything, a second and a half late.
    world.up.delay_ns = 1_500_000_000;
    world.run_ms(6000);
    assert!(world.endings.contains(&Ending::Silence), "it was called into: {:?}", world.events);
    world.close();
    let ledger = world.host.ledger();
    assert!(ledger.link.sessions >= 2, "{ledger:?}");
    assert!(world.gaps.is_empty() && world.bins.iter().all(|bin| bin.is_whole), "{:?}", world.gaps);
    assert_eq!(ledger.packets.dropped.get("wrong session"), None, "{ledger:?}");
    assert_eq!(ledger.datagrams.received, world.delivered.len() as u64);
}

#[test]
fn a_session_before_is_over_in_the_end() {
    let mut world = World::sealed(21);
    world.run_ms(2000);
    world.up.delay_ns = 7_000_000_000;
    world.run_ms(20_000);
    world.close();
    let ledger = world.host.ledger();
    let n_void =
        ["no session", "wrong session"].iter().filter_map(|c| ledger.packets.dropped.get(c)).sum::<u64>();
    let n_delivered = world.delivered.len() as u64;
    assert!(ledger.datagrams.received < n_delivered, "what comes five seconds late is not taken: {ledger:?}");
    // Greetings of calls that were given up are void too.
    assert!(ledger.datagrams.received + n_void >= n_delivered, "{ledger:?}");
}

#[test]
fn a_device_with_nothing_to_say_is_not_silent() {
    let mut world = World::sealed(19);
    world.run_ms(1000);
    world.device.is_running = false;
    world.down.delay_ns = 50_000_000;
    world.run_ms(5000);
    assert!(world.host.is_live() && !world.has("silent"), "{:?}", world.events);
    world.close();
}

#[test]
fn another_device_is_not_taken_for_the_first() {
    let mut world = World::sealed(17);
    world.run_ms(1000);
    world.device.reboot(world.now_ns);
    world.device.n_channels = 50;
    world.run_ms(2000);
    assert!(world.endings.contains(&Ending::OtherDevice) && !world.host.is_live());
    world.device.reboot(world.now_ns);
    world.run_ms(2000);
    assert!(world.host.is_live() && world.bins.last().is_some_and(|bin| bin.boot == 7002));
    world.host.close(crate::HostTime { ns: world.now_ns }, Some(world.device.sent));
    assert!(world.host.ledger().is_balanced());
}

#[test]
fn packets_take_no_memory_once_the_device_has_answered() {
    let mut world = World::sealed(18);
    world.run_ms(500);
    assert!(world.n_allocations > 0, "the counter counts");
    world.n_allocations = 0;
    (world.up.loss, world.up.jitter_ns, world.up.twice, world.down.loss) = (0.1, 30_000_000, 0.1, 0.1);
    world.device.telling = 1;
    world.run_ms(1000);
    world.device.change(|format| format.bin_samples = 800);
    world.device.send_raw(1);
    world.run_ms(1000);
    world.up.is_dead = true;
    world.run_ms(1000);
    world.up.is_dead = false;
    world.run_ms(1000);
    assert_eq!(world.n_allocations, 0);
}

#[test]
fn after_a_restart_the_stream_goes_on_by_the_hosts_time() {
    let mut world = World::sealed(7);
    world.run_ms(2000);
    world.device.telling = 1;
    world.run_ms(1000);
    assert_eq!(world.device.table, 1, "the table was acknowledged");
    let end = world.stream_end();
    let at_ns = world.now_ns;
    world.device.reboot(world.now_ns);
    world.run_ms(2000);
    assert!(world.has("disconnected: the device started anew") && world.endings.contains(&Ending::Reboot));
    let first = world.bins.iter().find(|bin| bin.boot == 7001).expect("bins of the new start");
    assert!(first.device_sample < samples(1500) && first.first > end);
    assert!(first.given_ns - at_ns < 1_000_000_000, "{} ms", (first.given_ns - at_ns) / 1_000_000);
    // Within a bin of where the host's clock has it.
    let expected = end + samples((first.given_ns - at_ns) / 1_000_000);
    assert!((first.first + 400).abs_diff(expected) <= 400, "{first:?}, {expected}");
    assert_eq!((first.first - end) % 400, 0, "whole bins on: a grid of frames goes on");
    assert!(world.gaps.len() == 1 && world.lost(Cause::Reboot) > 20, "{:?}", world.gaps);
    assert_eq!(world.device.commands.iter().filter(|command| *command == "Start").count(), 2);
    world.close();
    let link = world.host.ledger().link;
    assert_eq!((link.boots, link.clock_jumps), (2, 0), "another start is no jump");
}

#[test]
fn the_width_may_change_in_the_middle() {
    let mut world = World::sealed(8);
    world.run_ms(1500);
    world.device.change(|format| {
        *format = Format { bin_samples: 800, budget_bps: 1_000_000, reason: Reason::Budget, ..*format };
    });
    world.run_ms(1500);
    world.device.change(|format| (format.bin_samples, format.reason) = (400, Reason::Recovered));
    world.run_ms(1500);
    assert!(world.has("counts in bins of 40.0 ms instead of 20.0 ms, since 1.00 Mbit/s carry no more"));
    assert!(world.has("counts in bins of 20.0 ms, since the link carries more again"));
    assert!(world.gaps.is_empty() && world.bins.iter().all(|bin| bin.is_whole));
    let wide = world.bins.iter().filter(|bin| bin.width == 800).count();
    assert!((35..=39).contains(&wide), "{wide}");
    world.close();
    assert_eq!(world.host.ledger().link.format_changes, 3, "the start and two more");
}

#[test]
fn a_change_whose_format_was_lost_is_asked_for() {
    let mut world = World::sealed(9);
    world.run_ms(1500);
    world.device.change(|format| format.bin_samples = 200);
    world.up.is_dead = true;
    world.run_ms(1);
    world.up.is_dead = false;
    world.run_ms(400);
    assert!(world.device.commands.iter().any(|command| command == "RequestKey"));
    assert!(world.bins.last().is_some_and(|bin| bin.width == 200), "{:?}", world.events);
    assert_eq!(world.gaps.len(), 1);
    assert!([Cause::Key, Cause::Radio].contains(&world.gaps[0].cause), "{:?}", world.gaps);
    assert!(world.gaps[0].n_samples <= samples(80), "{:?}", world.gaps);
    world.close();
}

#[test]
fn tables_are_reported_and_channels_left_out_are_unknown_in_whole_bins() {
    let mut world = World::sealed(10);
    world.device.n_bins = 2;
    world.run_ms(1500);
    world.device.telling = 1;
    world.run_ms(500);
    assert_eq!(world.device.table, 1);
    assert!(world.bins.iter().all(|bin| bin.n_unknown == 0));
    world.device.change(|format| format.level_min = 16);
    let from = world.bins.len() + 4;
    world.run_ms(1000);
    let n_unsent = (0..device::N_CHANNELS).filter(|channel| !world.device.is_sent(*channel)).count();
    assert!(n_unsent > 20);
    let after = &world.bins[from..];
    assert!(after.iter().all(|bin| bin.is_whole && bin.n_unknown == n_unsent), "{after:?}");
    assert!(!after.is_empty() && world.gaps.is_empty());
    world.close();
}

#[test]
fn a_jump_of_the_clock_moves_no_position_back() {
    let mut world = World::sealed(11);
    world.run_ms(2000);
    // Ahead by 300 ms: less than what the host's time forbids, so bins are missing.
    world.device.booted_ns -= 300_000_000;
    world.run_ms(2000);
    assert!(world.lost(Cause::ClockJump) + world.lost(Cause::Device) == 0, "bins follow the samples");
    // Ahead by a minute, all at once: the device's bins in between were never made.
    let end = world.stream_end();
    let jump = samples(60_000);
    world.device.booted_ns -= 60_000_000_000;
    world.device.change(|format| format.origin_sample += jump);
    world.run_ms(2000);
    assert!(world.stream_end() - end <= samples(2100), "the stream keeps to the host's time");
    // And back by ten seconds.
    world.device.booted_ns += 10_000_000_000;
    world.device.change(|format| format.origin_sample -= samples(10_000));
    let n_before = world.bins.len();
    world.run_ms(2000);
    assert!(world.bins.len() >= n_before + 70, "{} bins", world.bins.len() - n_before);
    assert!(world.stream_end() - end <= samples(4100) && world.lost(Cause::ClockJump) > 0);
    world.close();
    assert!(world.host.ledger().link.clock_jumps >= 2);
}

#[test]
fn small_packets_are_put_together() {
    let wanted = Wanted { mtu: Some(20), ..Wanted::default() };
    let mut world = World::new(12, wanted, Access::Plain);
    world.run_ms(3000);
    assert!(world.bins.len() > 140 && world.bins.iter().all(|bin| bin.is_whole));
    world.up.loss = 0.1;
    world.run_ms(3000);
    assert!(world.bins.iter().any(|bin| !bin.is_whole));
    world.close();
    assert!(world.host.ledger().packets.dropped.contains_key("incomplete"));
}

#[test]
fn power_comes_as_it_is_and_data_are_handed_on() {
    let wanted = Wanted { mode: Mode::SpikeBandPower, threshold: Some(9), ..Wanted::default() };
    let mut world = World::new(13, wanted, Access::Plain);
    world.device.mode = Mode::SpikeBandPower;
    world.run_ms(1000);
    world.device.send_raw(3);
    world.run_ms(100);
    assert!(world.has("spike-band power in bins of 20.0 ms") && world.bins.iter().all(|bin| bin.is_whole));
    assert!(world.has("Raw(Raw { electrode: 3, first_sample: 5, coded: [1, 2, 3] })"));
    assert!(world.has("Range 1"), "a refused threshold is told: {:?}", world.events);
    world.close();
    assert_eq!(world.host.ledger().upward.refused, 1);
}

#[test]
fn a_wrong_key_gives_nothing_and_ends_nothing() {
    let mut world = World::sealed(14);
    let other = Access::Paired(Key::from_bytes([8; 32]));
    world.device = device::Scripted::new(other, world.now_ns);
    world.run_ms(3000);
    assert!(world.bins.is_empty() && world.device.rejected > 3 && world.has("connecting 5"));
    world.host.close(crate::HostTime { ns: world.now_ns }, None);
    assert!(world.host.ledger().is_balanced());
}

#[test]
fn a_capture_gives_the_same_bins_again() {
    let mut world = World::sealed(15);
    world.run_ms(1000);
    (world.up.loss, world.up.jitter_ns) = (0.1, 80_000_000);
    world.run_ms(3000);
    world.device.reboot(world.now_ns);
    world.run_ms(3000);
    world.close();
    let access = Access::Paired(Key::from_bytes([9; 32]));
    let mut settings = Settings::new(access, [3; 32], Wanted::default());
    settings.listens_only = true;
    let mut host = Host::new(settings, "test").expect("legal");
    let mut replayed = Vec::new();
    let mut take = |host: &mut Host| {
        while let Some(event) = host.poll_event() {
            match event {
                Event::Bin(bin) => replayed.push((bin.first_sample.0, bin.n_unknown)),
                Event::Gap(gap) => replayed.push((gap.first_sample.0, gap.n_bins as usize + 1000)),
                _ => {}
            }
        }
    };
    for (at, is_up, packet) in &world.tape {
        match is_up {
            true => host.handle_packet(crate::HostTime { ns: *at }, packet),
            false => host.overhear(crate::HostTime { ns: *at }, packet),
        }
        take(&mut host);
    }
    host.close(crate::HostTime { ns: world.now_ns }, None);
    take(&mut host);
    let mut lived: Vec<(u64, usize)> = world.bins.iter().map(|bin| (bin.first, bin.n_unknown)).collect();
    lived.extend(world.gaps.iter().map(|gap| (gap.first_sample.0, gap.n_bins as usize + 1000)));
    lived.sort_unstable();
    assert_eq!(replayed, lived);
    assert_eq!(host.ledger().bins, world.host.ledger().bins);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Whatever the air does: what is given out is what was sent (the world looks at every value), each bin once, in
    /// order, without a hole that is not a gap; and the sums meet the device's own.
    #[test]
    fn whatever_the_air_does_bins_are_true_and_sums_meet(
        seed: u64,
        is_sealed: bool,
        loss in (0.0f64..0.5, 0.0f64..0.5),
        twice in 0.0f64..0.5,
        damage in (0.0f64..0.2, 0.0f64..0.2),
        jitter_ms in 0u64..60,
        part in 20usize..101,
        n_bins in 1u32..4,
        happenings in prop::collection::vec((0u8..8, 0u64..1500), 0..8),
    ) {
        let access = match is_sealed {
            true => Access::Paired(Key::from_bytes([9; 32])),
            false => Access::Plain,
        };
        let mut world = World::new(seed, Wanted::default(), access);
        (world.device.part, world.device.n_bins) = (part, n_bins);
        world.run_ms(500);
        (world.up.loss, world.down.loss) = loss;
        (world.up.twice, world.up.damage, world.up.truncation) = (twice, damage.0, damage.1);
        world.up.jitter_ns = jitter_ms * 1_000_000;
        for (what, ms) in happenings {
            match what {
                0 => world.up.is_dead = true,
                1 => world.down.is_dead = true,
                2 => world.device.reboot(world.now_ns),
                3 => world.device.change(|format| format.bin_samples = 800),
                4 => world.device.change(|format| format.bin_samples = 200),
                5 => world.device.to_drop = 7,
                6 => world.device.telling = world.device.telling.wrapping_add(1).max(1),
                _ => world.device.ppm = 200.0,
            }
            world.run_ms(ms);
            (world.up.is_dead, world.down.is_dead) = (false, false);
            world.run_ms(300);
        }
        // When all is over the stream is there again within a second.
        (world.up.loss, world.down.loss) = (0.0, 0.0);
        (world.up.twice, world.up.damage, world.up.truncation, world.up.jitter_ns) = (0.0, 0.0, 0.0, 0);
        world.run_ms(1000);
        let over_ns = world.now_ns;
        world.run_ms(500);
        let fresh = world.bins.iter().filter(|bin| bin.given_ns > over_ns);
        prop_assert!(fresh.clone().count() >= 10 && fresh.clone().all(|bin| bin.is_whole), "{:?}", world.events);
        world.close();
        let ledger = world.host.ledger();
        prop_assert!(ledger.datagrams.received <= world.delivered.len() as u64);
        if ledger.link.sessions == 1 {
            prop_assert_eq!(ledger.datagrams.received, world.delivered.len() as u64);
            prop_assert_eq!(ledger.datagrams.sent, u64::from(world.device.sent));
        }
        let end = world.bins.last().map_or(0, |bin| bin.first + u64::from(bin.width));
        let begin = world.bins[0].first;
        let elapsed = samples((world.bins.last().map_or(0, |bin| bin.given_ns) - world.bins[0].given_ns) / 1_000_000);
// At each restart by what the air's delay may differ, and a bin.
        let apart_max = samples(100) + samples(100) * ledger.link.boots;
        let apart = (end - begin).abs_diff(elapsed);
        prop_assert!(apart <= apart_max, "{apart} samples from the host's time, {} starts", ledger.link.boots);
    }
}

/// How long after a bin's end it was given out, ms; by the clock of the first start.
fn delay_ms(world: &World, bin: &world::Seen) -> u64 {
    let end_ns = (bin.device_sample + u64::from(bin.width)) * 1_000_000_000 / device::RATE_HZ;
    (bin.given_ns as i64 - world.device.booted_ns - end_ns as i64) as u64 / 1_000_000
}
