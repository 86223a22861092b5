//! The host's end of the link against the firmware's own, over a lossy air under a simulated clock.

use efference::link::{Event, Host, Settings, Wanted};
use efference::wire::Mode;
use efference::wire::codec::rates::Rate;
use efference::wire::session::{Access, Key};
use efference::{HostTime, block::COUNT_UNKNOWN};
use efference_firmware::link::{Abilities, Identity, LinkEnd, LinkMemory, Now, SLOT, Tables, Task, Vitals};

/// What a channel counts in the 20 ms from this sample on: some channels rarely, some often.
fn count(sample: u64, channel: usize) -> u16 {
    let mut mixed = sample ^ (channel as u64) << 32;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let sparse = 3 + (channel % 13) as u64 * 4;
    if (mixed >> 33).is_multiple_of(sparse) { 1 + (mixed >> 60) as u16 % 3 } else { 0 }
}

/// Runs for `seconds`; `loss` in packets of a thousand, both ways, up to three seconds before the end.
fn run(seconds: u64, budget_bps: u32, loss: u64) {
    let access = Access::Paired(Key::from_bytes([5; 32]));
    let mut totals = vec![0; N];
    let (mut rates, mut used, mut next) = (vec![Rate::default(); N], vec![0; N], vec![0; N]);
    let mut outbox = vec![0; 64 * SLOT];
    let memory = LinkMemory {
        totals: &mut totals,
        tables: Tables::new(&mut rates, &mut used, &mut next),
        outbox: &mut outbox,
        impedances: &mut [],
    };
    let identity =
        Identity { boot: 1, bits: 10, nv_per_count: 0, synthetic: true, name: "test", profile: "test" };
    let abilities = Abilities {
        n_electrodes: N as u32,
        sample_rate_millihertz: RATE_HZ as u32 * 1000,
        modes: 1 << Mode::Counts as u16 | 1,
        mtu_max: 512,
    };
    let mut device = LinkEnd::new(access.clone(), identity, abilities, memory);
    device.set_vitals(Vitals { battery_mv: 3700, battery_percent: 80, temperature_centi: 3000 });
    let wanted = Wanted { budget_bps, ..Wanted::default() };
    let mut host = Host::new(Settings::new(access, [1; 32], wanted), "test").expect("legal");

    let mut random = 88_172_645_463_325_252u64;
    let mut is_lost = move |loss: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 20) % 1000 < loss
    };
    let (mut collects_from, mut packet, mut n_asked) = (0u64, [0; 512], 0u8);
    let (mut n_bins, mut n_whole, mut n_gaps, mut end, mut widths) = (0u64, 0u64, 0u64, None, Vec::new());
    for ms in 0..seconds * 1000 {
        let host_now = HostTime { ns: 2_000_000_000 + ms * 1_000_000 };
        let sample = ms * RATE_HZ / 1000;
        let now = Now { us: ms * 1000, sample, fraction: 0 };
        let loss = if ms + 3000 < seconds * 1000 { loss } else { 0 };
        let width = u64::from(device.wanted().bin_samples);
        while collects_from + width <= sample {
            let counts: Vec<u16> = (0..N).map(|channel| count(collects_from, channel)).collect();
            collects_from += width;
            device.push_counts(now, collects_from, &counts);
        }
        while let Some(length) = device.poll_packet(now, 512, &mut packet) {
            if !is_lost(loss) {
                host.handle_packet(host_now, &packet[..length]);
            }
        }
        host.handle_timeout(host_now);
        while let Some(event) = host.poll_event() {
            match event {
                Event::Bin(bin) => {
                    let first = bin.first_sample.0;
                    assert!(end.is_none_or(|end| end == first), "{end:?}: {first}");
                    end = Some(first + u64::from(bin.width_samples));
                    (n_bins, n_whole) = (n_bins + 1, n_whole + u64::from(bin.is_whole));
                    if widths.last() != Some(&bin.width_samples) {
                        widths.push(bin.width_samples);
                    }
                    for (channel, &value) in bin.values.iter().enumerate() {
                        let n = u64::from(bin.width_samples) / 400;
                        let truth: u16 = (0..n).map(|k| count(bin.device_sample + k * 400, channel)).sum();
                        // Precision may be given up, and says so.
                        let is_true = value == truth || value < truth && widths.len() > 1;
                        assert!(
                            value == COUNT_UNKNOWN || is_true,
                            "{value}, not {truth}, of channel {channel}"
                        );
                    }
                }
                Event::Gap(gap) => {
                    n_gaps += gap.n_bins;
                    end = end.map(|end| end + gap.n_samples);
                }
                _ => {}
            }
        }
        while let Some(length) = host.poll_packet(host_now, &mut packet) {
            if is_lost(loss) {
                continue;
            }
            let mut restarts = false;
            n_asked = n_asked.wrapping_add(1);
            device.handle_packet(
                now,
                &packet[..length],
                || [n_asked; 32],
                |task| restarts |= task == Task::Epoch,
            );
            if restarts {
                collects_from = sample;
                device.begin_epoch(sample);
            }
        }
    }
    let sent = device.n_sent();
    host.close(HostTime { ns: 2_000_000_000 + seconds * 1_000_000_000 }, Some(sent));
    while host.poll_event().is_some() {}
    let ledger = host.ledger();
    println!(
        "{seconds} s, {budget_bps} bit/s, {loss} ‰: {n_bins} bins, {n_whole} whole, {n_gaps} lost, {widths:?}"
    );
    println!("{:?} {:?}", ledger.datagrams, ledger.bins);
    assert!(ledger.is_balanced(), "{ledger:#?}");
    assert_eq!(ledger.link.sessions, 1, "{ledger:#?}");
    assert_eq!(ledger.datagrams.sent, u64::from(sent));
    assert_eq!((ledger.records.malformed, ledger.records.unusable_tables, ledger.upward.refused), (0, 0, 0));
    assert!(n_bins + n_gaps >= seconds * 40 / if budget_bps == 0 { 1 } else { 4 }, "{n_bins} and {n_gaps}");
    assert!(end.is_some_and(|end| end + 2 * 1600 > collects_from), "up to date: {end:?} of {collects_from}");
    assert_eq!(widths.iter().any(|width| *width > 400), budget_bps > 0, "{widths:?}");
    if loss == 0 {
        assert_eq!(n_whole, n_bins);
        assert_eq!(ledger.datagrams.lost, 0);
    }
}

#[test]
fn without_loss_every_bin_comes_whole() {
    run(20, 0, 0);
}

#[test]
fn with_loss_values_are_true_and_sums_meet() {
    run(30, 0, 100);
}

#[test]
fn with_a_small_budget_what_is_given_up_is_told() {
    run(30, 14_000, 0);
    run(30, 14_000, 50);
}

const N: usize = 300;
const RATE_HZ: u64 = 20_000;
