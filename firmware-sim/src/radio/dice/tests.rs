//! Chance, counted over many packets: every share and mean is what the script asks for.

use super::*;

/// Packets drawn for; the tolerances below are five standard errors at least.
const N_PACKETS: u64 = 1_000_000;
const SEED: u64 = 11;

fn dice(fault: &str) -> Dice {
    println!("seed {SEED}: {fault:?}");
    let script =
        Script::parse(&format!("seed = {SEED}\n[[fault]]\n{fault}"), "test").expect("a legal script");
    Dice::new(&script, Direction::Up)
}

/// Share of packets lost, and mean length of the runs of lost ones.
fn losses(dice: &mut Dice) -> (f64, f64) {
    let (mut n_lost, mut n_runs, mut was_lost) = (0_u64, 0_u64, false);
    for now in 0..N_PACKETS {
        let is_lost = dice.roll(now, &mut vec![0]).lost.is_some();
        n_lost += u64::from(is_lost);
        n_runs += u64::from(is_lost && !was_lost);
        was_lost = is_lost;
    }
    (n_lost as f64 / N_PACKETS as f64, n_lost as f64 / n_runs as f64)
}

fn assert_near(found: f64, expected: f64, tolerance: f64) {
    println!("found {found}, expected {expected} ± {tolerance}");
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} ± {tolerance}");
}

#[test]
fn losses_alone_are_as_many_as_asked_for() {
    let (share, run) = losses(&mut dice("kind = \"loss\"\nprobability = 0.05"));
    assert_near(share, 0.05, 0.0012);
    assert_near(run, 1.0 / 0.95, 0.006);
}

/// Of a chain with steps p and r, the share of bad is p / (p + r), and a run in it lasts 1 / r.
#[test]
fn bursts_have_their_share_and_length() {
    for (burst, gap, share_within, run_within) in [(4.0, 76.0, 0.003, 0.16), (4.0, 16.0, 0.005, 0.08)] {
        let text = format!("kind = \"burst-loss\"\nmean_burst = {burst}\nmean_gap = {gap}");
        let (share, run) = losses(&mut dice(&text));
        assert_near(share, burst / (burst + gap), share_within);
        assert_near(run, burst, run_within);
    }
}

#[test]
fn both_states_may_lose() {
    let text = "kind = \"burst-loss\"\ngood_to_bad = 0.02\nbad_to_good = 0.1\nloss_in_good = 0.01\nloss_in_bad = 0.6";
    let (share, _) = losses(&mut dice(text));
    // A sixth of the packets meets the bad state.
    assert_near(share, 0.6 / 6.0 + 0.01 * 5.0 / 6.0, 0.005);
}

#[test]
fn the_first_state_is_as_likely_as_any_later() {
    let text = "kind = \"burst-loss\"\nmean_burst = 10\nmean_gap = 30";
    let n_scripts = 20_000_u64;
    let n_lost = (0..n_scripts).filter(|&seed| {
        let script =
            Script::parse(&format!("seed = {seed}\n[[fault]]\n{text}"), "test").expect("a legal script");
        Dice::new(&script, Direction::Up).roll(0, &mut vec![0]).lost == Some(Lost::Burst)
    });
    assert_near(n_lost.count() as f64 / n_scripts as f64, 0.25, 0.016);
}

#[test]
fn jitter_has_its_mean_and_its_end() {
    for (shape, longest) in [("uniform", 2.0), ("exponential", 10.0)] {
        let mut dice = dice(&format!("kind = \"jitter\"\nshape = \"{shape}\"\nmean_ms = 7"));
        let (mut sum, mut most) = (0, 0);
        for now in 0..N_PACKETS {
            let delays = dice.roll(now, &mut vec![]).jitter;
            assert_eq!(delays.len(), 1, "each packet has a delay");
            sum += delays[0].by_us;
            most = most.max(delays[0].by_us);
        }
        assert_near(sum as f64 / N_PACKETS as f64, 7_000.0, 40.0);
        assert!(most as f64 <= longest * 7_000.0 && most as f64 > longest * 6_300.0, "{most} µs");
    }
}

#[test]
fn damage_is_as_often_and_as_large_as_asked_for() {
    let mut flips = dice("kind = \"bit-flips\"\nprobability = 0.1\nbits = 3");
    let mut cuts = dice("kind = \"truncation\"\nprobability = 0.1");
    let (mut n_flipped, mut n_bits, mut n_cut, mut n_left) = (0_u64, 0_u64, 0_u64, 0_u64);
    for now in 0..N_PACKETS / 10 {
        let (mut flipped, mut cut) = (vec![0_u8; 64], vec![0_u8; 64]);
        flips.roll(now, &mut flipped);
        cuts.roll(now, &mut cut);
        let bits: u32 = flipped.iter().map(|byte| byte.count_ones()).sum();
        assert!(bits <= 3 && flipped.len() == 64);
        n_flipped += u64::from(bits > 0);
        n_bits += u64::from(bits);
        if cut.len() < 64 {
            n_cut += 1;
            n_left += cut.len() as u64;
        }
    }
    let share = |n: u64| n as f64 / (N_PACKETS / 10) as f64;
    assert_near(share(n_flipped), 0.1, 0.005);
    assert_near(share(n_cut), 0.1, 0.005);
    // Of three draws among 512 bits, hardly any meets another.
    assert_near(n_bits as f64 / n_flipped as f64, 3.0, 0.03);
    assert_near(n_left as f64 / n_cut as f64, 31.5, 1.0);
    let mut nothing = Vec::new();
    (0..100).for_each(|now| drop((flips.roll(now, &mut nothing), cuts.roll(now, &mut nothing))));
    assert_eq!(nothing, [0_u8; 0], "of nothing, nothing is lost");
}

#[test]
fn a_fault_draws_for_its_own_time_and_way_alone() {
    let mut dice =
        dice("kind = \"loss\"\nprobability = 1\nfrom_s = 0.000005\nto_s = 0.000007\ndirection = \"up\"");
    let lost: Vec<u64> = (0..10).filter(|&now| dice.roll(now, &mut vec![0]).lost.is_some()).collect();
    assert_eq!(lost, [5, 6]);
    let script = Script::parse("[[fault]]\nkind = \"loss\"\nprobability = 1\ndirection = \"down\"", "test");
    let mut up = Dice::new(&script.expect("legal"), Direction::Up);
    assert_eq!(up.roll(0, &mut vec![0]), Outcome::default());
}

#[test]
fn one_more_fault_changes_no_draw_of_the_others() {
    let one = "seed = 4\n[[fault]]\nkind = \"loss\"\nprobability = 0.3\n";
    let more = format!("{one}[[fault]]\nkind = \"burst-loss\"\nmean_burst = 2\nmean_gap = 2");
    let drawn = |text: &str, direction| {
        let mut dice = Dice::new(&Script::parse(text, "test").expect("a legal script"), direction);
        (0..1_000).map(|now| dice.roll(now, &mut vec![0]).lost == Some(Lost::Alone)).collect::<Vec<_>>()
    };
    assert_eq!(drawn(one, Direction::Up), drawn(&more, Direction::Up));
    assert_ne!(drawn(one, Direction::Up), drawn(one, Direction::Down), "each way has its own");
}
