//! The device's end of the link against a host that reads every record: nothing wrong arrives, whatever the packets, the
//! loss and the budget. All of it synthetic.

mod desk;

use desk::{Desk, Firing};
use efference_wire::{Mode, Operation, Reason, Record, Status};

/// Runs bins; what was fired in each since the first.
fn run(desk: &mut Desk, firing: &mut Firing, n_bins: usize) -> Vec<Vec<u16>> {
    (0..n_bins)
        .map(|_| {
            let counts = firing.bin();
            desk.bin(&counts);
            counts
        })
        .collect()
}

/// Sums of what was fired in the bins that an epoch's bin spans; `None` where they aren't all known.
fn fired(
    desk: &Desk,
    epoch: u8,
    bin: u32,
    channel: usize,
    bins: &[Vec<u16>],
    first_sample: u64,
) -> Option<u16> {
    let format = desk.heard.format(epoch)?;
    let begin = format.origin_sample + u64::from(bin) * u64::from(format.bin_samples);
    let from = begin.checked_sub(first_sample)?;
    assert_eq!(from % 400, 0, "bins begin with the bins that were asked for");
    let bins = bins.get((from / 400) as usize..)?.get(..(format.bin_samples / 400) as usize)?;
    Some(bins.iter().map(|counts| counts[channel]).sum::<u16>().min(format.count_max))
}

/// Compares all that was heard with what was fired; channel-bins that were.
fn check(desk: &Desk, bins: &[Vec<u16>], first_sample: u64) -> usize {
    assert_eq!(desk.heard.undecoded, 0);
    let mut n_checked = 0;
    for (&(epoch, bin), counts) in &desk.heard.counts {
        for (channel, &count) in counts.iter().enumerate() {
            let expected = fired(desk, epoch, bin, channel, bins, first_sample);
            if let (Some(count), Some(expected)) = (count, expected) {
                assert_eq!(count, expected, "channel {channel}, bin {bin} of epoch {epoch}");
                n_checked += 1;
            }
        }
    }
    n_checked
}

fn started(n_channels: usize, mtu: usize) -> Desk {
    let mut desk = Desk::new(n_channels, false, mtu);
    assert_eq!(desk.command(Operation::Start).status, Status::Done);
    // To where a bin begins.
    desk.us = 0;
    desk
}

#[test]
fn counts_arrive_as_they_were_fired_whatever_the_packets() {
    for (n_channels, mtu) in [(1, 512), (16, 20), (100, 64), (1_024, 185), (5_000, 512)] {
        let mut desk = started(n_channels, mtu);
        let mut firing = Firing::new(n_channels, 10.0, 1);
        let first = desk.heard.formats.last().expect("a format came").1.origin_sample;
        let bins = run(&mut desk, &mut firing, 300);
        let n_checked = check(&desk, &bins, first);
        assert!(n_checked >= 295 * n_channels, "{n_checked} of {n_channels} channels, MTU {mtu}");
        let with_table: u32 =
            desk.heard.by_table.iter().filter(|(table, _)| **table != 0).map(|(_, n)| n).sum();
        assert!(with_table > 100, "{:?}, {n_channels} channels", desk.heard.by_table);
        assert_eq!(desk.implant.link().bins_dropped(), 0);
    }
}

#[test]
fn each_lane_has_datagrams_of_its_own_where_the_carrier_keeps_them_apart() {
    for (n_channels, mtu) in [(100, 20), (1_024, 244), (5_000, 512)] {
        let mut desk = Desk::new(n_channels, false, mtu);
        desk.is_apart = true;
        desk.us = 0;
        desk.host.connect([8; 32]);
        desk.exchange();
        desk.say(&Record::Ping(1));
        assert_eq!(desk.command(Operation::Start).status, Status::Done);
        let mut firing = Firing::new(n_channels, 10.0, 3);
        desk.us = 0;
        let first = desk.heard.formats.last().expect("a format came").1.origin_sample;
        let mut bins = run(&mut desk, &mut firing, 100);
        let asked = Operation::RequestImpedance { first_electrode: 0, n_electrodes: n_channels as u16 };
        assert_eq!(desk.command(asked).status, Status::Done);
        desk.us = desk.us.next_multiple_of(20_000);
        bins.extend(run(&mut desk, &mut firing, 100));
        let n_checked = check(&desk, &bins[..100], first);
        assert!(n_checked >= 95 * n_channels, "{n_checked} of {n_channels} channels, MTU {mtu}");
        assert_eq!(desk.heard.impedances.len(), n_channels);
        assert!(desk.heard.impedances.values().all(|&value| value == 4_711), "as was measured");
        assert!(desk.n_of_lane.iter().all(|&n| n >= 3), "{:?}", desk.n_of_lane);
        assert_eq!(desk.implant.link().bins_dropped(), 0);
    }
}

#[test]
fn what_a_host_needs_to_join_comes_each_second() {
    let mut desk = started(64, 247);
    run(&mut desk, &mut Firing::new(64, 10.0, 2), 500);
    for pair in desk.heard.formats.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= 1_000_000, "{pair:?}");
    }
    for pair in desk.heard.telemetry.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= 1_025_000 && pair[1].1.sample > pair[0].1.sample, "{pair:?}");
        assert!(pair[1].1.datagrams_sent > pair[0].1.datagrams_sent);
    }
    assert!(desk.heard.telemetry.len() >= 9);
    desk.say(&Record::Ping(77));
    assert_eq!(desk.heard.pongs, [1, 77]);
    let hellos = desk.heard.hellos;
    assert_eq!(desk.command(Operation::RequestKey).status, Status::Done);
    run(&mut desk, &mut Firing::new(64, 10.0, 2), 2);
    assert_eq!(desk.heard.hellos, hellos + 1);
    desk.command(Operation::RequestImpedance { first_electrode: 10, n_electrodes: 50 });
    run(&mut desk, &mut Firing::new(64, 10.0, 2), 5);
    assert!(desk.heard.impedances.keys().copied().eq(10..60), "{:?}", desk.heard.impedances);
}

#[test]
fn nothing_wrong_arrives_over_a_radio_that_loses_a_fifth() {
    let mut desk = started(700, 185);
    let mut firing = Firing::new(700, 10.0, 3);
    let first = desk.heard.formats.last().expect("a format came").1.origin_sample;
    let mut dice = Firing::new(1, 1.0, 99);
    desk.arrives = Box::new(move || dice.uniform() > 0.2);
    let bins = run(&mut desk, &mut firing, 500);
    let n_checked = check(&desk, &bins, first);
    let share = n_checked as f64 / (500.0 * 700.0);
    assert!((0.72..0.88).contains(&share), "{share}");
    assert!(
        desk.heard.by_table.keys().any(|&table| table != 0),
        "tables come through: {:?}",
        desk.heard.by_table
    );
}

#[test]
fn fifty_thousand_electrodes_fit_and_give_way_when_they_fire_more() {
    const BUDGET: u32 = 1_300_000;
    let mut desk = started(50_000, 512);
    assert_eq!(desk.command(Operation::SetBudget(BUDGET)).status, Status::Done);
    let mut firing = Firing::new(50_000, 5.0, 4);
    let first = desk.heard.formats.last().expect("a format came").1.origin_sample;
    desk.us = (desk.us / 20_000) * 20_000;
    let mut bins = run(&mut desk, &mut firing, 700);
    let format = desk.heard.formats.last().expect("a format came").1;
    let settled = &desk.bits[8..13];
    let mbps = |bits: &[u64]| bits.iter().sum::<u64>() as f64 / bits.len() as f64 / 1e6;
    println!("synthetic: 50,000 electrodes, mean 5 Hz, 20 ms: {:.3} Mbit/s, {format:?}", mbps(settled));
    assert_eq!((format.bin_samples, format.count_max, format.level_min), (400, 65_534, 0), "{:?}", desk.bits);
    assert!(settled.iter().all(|&bits| bits <= u64::from(BUDGET)), "{:?}", desk.bits);
    firing.scale(2.0);
    bins.extend(run(&mut desk, &mut firing, 700));
    let format = desk.heard.formats.last().expect("a format came").1;
    let settled = &desk.bits[20..27];
    println!("synthetic: 50,000 electrodes, mean 10 Hz: {:.3} Mbit/s, {format:?}", mbps(settled));
    assert!(format.bin_samples > 400 && format.reason != Reason::Asked, "{format:?}");
    assert!(
        settled.iter().all(|&bits| bits <= u64::from(BUDGET) + u64::from(BUDGET) / 50),
        "{:?}",
        desk.bits
    );
    let n_checked = check(&desk, &bins, first);
    assert!(n_checked > 30_000_000, "{n_checked}");
    println!("bins dropped: {}; bits a second: {:?}", desk.implant.link().bins_dropped(), desk.bits);
}

#[test]
fn a_command_out_of_range_is_told_what_would_do() {
    let mut desk = Desk::new(10, false, 512);
    let ack = desk.command(Operation::SetBinWidth(1));
    assert_eq!((ack.status, ack.value), (Status::Range, 20));
    let ack = desk.command(Operation::SetMode(Mode::BandPower));
    assert_eq!(ack.status, Status::Unknown, "there is no memory for it");
    let ack = desk.command(Operation::SetBinWidth(800));
    assert_eq!((ack.status, ack.value), (Status::Done, 800));
    desk.command(Operation::Start);
    assert_eq!(desk.heard.formats.last().expect("a format came").1.bin_samples, 800);
}

#[test]
fn crossings_and_snippets_arrive_with_their_times() {
    for mode in [Mode::Crossings, Mode::Snippets] {
        let mut desk = Desk::new(24, true, 185);
        assert_eq!(desk.command(Operation::SetMode(mode)).status, Status::Done);
        assert_eq!(desk.command(Operation::Start).status, Status::Done);
        let mut noise = Firing::new(24, 10.0, 5);
        let mut spikes = Vec::new();
        for t in 0..60_000_u64 {
            // A spike on channel c each 1,000 + 37 c frames, once the noise is known.
            let samples: Vec<i16> = (0..24)
                .map(|c| {
                    let since = (t % (1_000 + 37 * c)) as usize;
                    let spike = [-60.0, -160.0, -120.0, -40.0, 30.0, 60.0].get(since).copied().unwrap_or(0.0);
                    let is_on = t >= 20_000 + since as u64;
                    if is_on && since == 0 {
                        spikes.push((c as u16, t));
                    }
                    ((noise.uniform() + noise.uniform() - 1.0) * 20.0 + if is_on { spike } else { 0.0 })
                        as i16
                })
                .collect();
            desk.frame(&samples);
        }
        let heard = &desk.heard;
        assert!(heard.crossings.is_sorted_by_key(|&(_, span, _)| span), "spans come in order");
        // The clock of the desk may be some frames ahead of the electrodes' own.
        let of = |channel: u16| {
            heard
                .crossings
                .iter()
                .filter(move |found| found.0 == channel)
                .map(|&(_, span, offset)| span + offset)
        };
        let n_found = spikes
            .iter()
            .filter(|&&(channel, t)| of(channel).any(|found| found.abs_diff(t + 2) <= 4))
            .count();
        assert!(n_found * 100 >= spikes.len() * 98, "{n_found} of {} spikes", spikes.len());
        assert!(heard.crossings.len() < spikes.len() * 11 / 10, "{} crossings", heard.crossings.len());
        assert_eq!(heard.snippets.is_empty(), mode == Mode::Crossings);
        if mode == Mode::Snippets {
            let n_troughs =
                heard.snippets.iter().filter(|(_, _, samples)| samples[12..16].iter().any(|&x| x < -60));
            assert!(n_troughs.count() * 100 >= spikes.len() * 95, "{} snippets", heard.snippets.len());
        }
        assert_eq!(desk.implant.link().bins_dropped(), 0);
    }
}

#[test]
fn who_comes_late_and_cant_ask_reads_everything_after_a_second_of_a_broadcast() {
    let n_read = |is_broadcast: bool, n_before: usize| {
        let mut desk = started(300, 185);
        desk.implant.set_broadcast(is_broadcast);
        let mut firing = Firing::new(300, 10.0, 4);
        run(&mut desk, &mut firing, n_before);
        desk.tap();
        let n_formats = desk.heard.formats.len();
        run(&mut desk, &mut firing, 50);
        let (hellos, formats) = (desk.heard.hellos, desk.heard.formats.len() - n_formats);
        let (n_undecoded, n_read) = (desk.heard.undecoded, desk.heard.counts.len());
        let bins = run(&mut desk, &mut firing, 100);
        let with_table: u32 =
            desk.heard.by_table.iter().filter(|(table, _)| **table != 0).map(|(_, n)| n).sum();
        let n_new = desk.heard.counts.len() - n_read;
        assert_eq!(bins.len(), 100);
        (hellos, formats, desk.heard.undecoded - n_undecoded, n_new, with_table)
    };
    let (hellos, formats, n_undecoded, n_new, with_table) = n_read(true, 400);
    assert!(hellos >= 1 && formats >= 1, "{hellos} greetings, {formats} formats in a second");
    assert!(n_undecoded == 0 && n_new >= 99 && with_table > 100, "{n_undecoded}, {n_new}, {with_table}");
    let (_, formats, n_undecoded, ..) = n_read(false, 400);
    assert!(formats >= 1 && n_undecoded > 0, "without it the table is not told again");
    // Before any table, counts need none; and one who listens hears the first that comes.
    let (_, _, n_undecoded, n_new, _) = n_read(false, 20);
    assert!(n_undecoded == 0 && n_new >= 99, "{n_undecoded}, {n_new}");
}
