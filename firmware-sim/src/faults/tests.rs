//! Fault scripts: every example is legal, every script survives being written, every mistake is named.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::path::Path;

fn parse(text: &str) -> Script {
    Script::parse(text, "test").expect("a legal script")
}

#[test]
fn every_example_is_legal_and_says_why() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/faults"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let script = Script::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            std::fs::read_to_string(&path).expect("text").starts_with("# "),
            "{} has comments",
            path.display()
        );
        names.push((path.file_stem().expect("a name").to_string_lossy().into_owned(), script));
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let found: Vec<(&str, usize, Option<u64>)> = names
        .iter()
        .map(|(name, script)| (name.as_str(), script.faults().len(), script.last_fault_end()))
        .collect();
    let expected = [
        ("bad-day", 16, Some(38_000_000)),
        ("blackout", 2, Some(20_000_000)),
        ("clean", 0, Some(0)),
        ("loss20", 1, None),
        ("loss5", 1, None),
    ];
    assert_eq!(found, expected);
    let kinds: std::collections::BTreeSet<&str> =
        names[0].1.faults().iter().map(|f| f.effect.kind()).collect();
    assert_eq!(kinds.len(), 16, "a bad day has everything");
    let off: Vec<(u64, u64)> = names[0].1.off().iter().collect();
    assert_eq!(off, [(24_000_000, 24_800_000), (33_000_000, 34_125_000)], "reboot and battery");
}

#[test]
fn a_file_that_is_absent_is_named() {
    let error = Script::read(Path::new("no-such-faults.toml")).expect_err("no file").to_string();
    assert!(error.starts_with("no-such-faults.toml: it can't be read"), "{error}");
}

#[test]
fn mistakes_are_named_with_what_is_legal() {
    let cases = [
        ("seed = -1", "f.toml, field `seed`: -1. Legal: a whole number from 0 to 9223372036854775807."),
        (
            "sed = 1",
            "f.toml, field `sed`: the key is unknown. Legal: seed, fault. Try: `seed`, which is the nearest in spelling.",
        ),
        ("seed = ", "f.toml, line 1: "),
        ("[[fault]]\nkind = \"stall\"\nfrom_s = 1 2", "f.toml, line 3: "),
        ("[fault]\nkind = \"stall\"", "f.toml, field `fault`: "),
        ("fault = [1]", "f.toml, field `fault`: 1. Legal: tables that begin with [[fault]]."),
        (
            "[[fault]]\nfrom_s = 1",
            "f.toml, fault 1, field `kind`: the key is missing. Legal: loss, burst-loss, ",
        ),
        ("[[fault]]\nkind = 3", "f.toml, fault 1, field `kind`: 3. Legal: loss, "),
        ("[[fault]]\nkind = \"stal\"", "Try: `stall`, which is the nearest in spelling."),
        (
            "[[fault]]\nkind = \"stall\"\n[[fault]]\nkind = \"loss\"\nprobabilty = 0.1",
            "f.toml, fault 2 (loss), field `probabilty`: the key is unknown. Legal: kind, from_s, to_s, direction, \
             probability. Try: `probability`",
        ),
        (
            "[[fault]]\nkind = \"loss\"",
            "fault 1 (loss), field `probability`: the key is missing. Legal: 0 to 1.",
        ),
        ("[[fault]]\nkind = \"loss\"\nprobability = 1.5", "field `probability`: 1.5. Legal: 0 to 1."),
        ("[[fault]]\nkind = \"loss\"\nprobability = nan", "field `probability`: nan. Legal: 0 to 1."),
        ("[[fault]]\nkind = \"loss\"\nprobability = \"0.1\"", "field `probability`: \"0.1\". Legal: 0 to 1."),
        ("[[fault]]\nkind = \"stall\"\nfrom_s = -1", "field `from_s`: -1. Legal: 0 to 1000000."),
        (
            "[[fault]]\nkind = \"stall\"\nfrom_s = 3\nto_s = 3",
            "field `to_s`: 3. Legal: more than from_s, which is 3.",
        ),
        (
            "[[fault]]\nkind = \"stall\"\ndirection = \"sideways\"",
            "field `direction`: sideways. Legal: up, down, both.",
        ),
        (
            "[[fault]]\nkind = \"disconnect\"\ndirection = \"up\"",
            "(disconnect), field `direction`: the key is unknown. Legal: kind, from_s, to_s.",
        ),
        ("[[fault]]\nkind = \"reboot\"", "(reboot), field `at_s`: the key is missing."),
        ("[[fault]]\nkind = \"reboot\"\nat_s = 1\ndown_s = 0", "field `down_s`: 0. Legal: 0.001 to 3600."),
        ("[[fault]]\nkind = \"mtu\"\nbytes = 19", "field `bytes`: 19. Legal: 20 to 512."),
        ("[[fault]]\nkind = \"mtu\"\nbytes = 20.5", "field `bytes`: 20.5. Legal: a whole number, 20 to 512."),
        ("[[fault]]\nkind = \"throughput\"\nbits_per_second = 0", "Legal: 100 to 10000000000."),
        ("[[fault]]\nkind = \"bit-flips\"\nprobability = 1\nbits = 65", "field `bits`: 65. Legal: 1 to 64."),
        ("[[fault]]\nkind = \"jitter\"\nmean_ms = 1\nshape = \"normal\"", "Legal: uniform, exponential."),
        (
            "[[fault]]\nkind = \"jitter\"\nmean_ms = 1\nshape = 1",
            "field `shape`: 1. Legal: uniform, exponential.",
        ),
        (
            "[[fault]]\nkind = \"reorder\"\nprobability = 1",
            "field `delay_ms`: the key is missing. Legal: 0.001 to 10000.",
        ),
        (
            "[[fault]]\nkind = \"burst-loss\"\nmean_burst = 0.5\nmean_gap = 9",
            "field `mean_burst`: 0.5. Legal: 1 to 1000000.",
        ),
        ("[[fault]]\nkind = \"burst-loss\"\nmean_burst = 4", "field `mean_gap`: the key is missing."),
        (
            "[[fault]]\nkind = \"burst-loss\"\nmean_burst = 4\ngood_to_bad = 0.1",
            "field `mean_burst`: the chain is given twice. Legal: good_to_bad and bad_to_good, or mean_burst and mean_gap.",
        ),
        ("[[fault]]\nkind = \"burst-loss\"\ngood_to_bad = 0.1\nbad_to_good = 0", "Legal: 0.000001 to 1."),
        ("[[fault]]\nkind = \"clock-drift\"\nppm = 201", "field `ppm`: 201. Legal: -200 to 200."),
        (
            "[[fault]]\nkind = \"clock-drift\"\nppm = 1\nto_s = 2\n[[fault]]\nkind = \"clock-drift\"\nppm = 2\nfrom_s = 1.9",
            "f.toml, fault 2 (clock-drift), field `from_s`: the clock drifts at another rate at the same time. Legal: one \
             clock-drift at a time.",
        ),
        ("[[fault]]\nkind = \"clock-jump\"\nat_s = 1\nby_ms = 1e9", "Legal: -3600000 to 3600000."),
        (
            "[[fault]]\nkind = \"dead-electrodes\"",
            "field `fraction`: the key is missing. Legal: either fraction or channels.",
        ),
        (
            "[[fault]]\nkind = \"dead-electrodes\"\nfraction = 0.1\nchannels = [1]",
            "field `fraction`: which electrodes is said twice. Legal: either fraction or channels.",
        ),
        (
            "[[fault]]\nkind = \"dead-electrodes\"\nchannels = []",
            "field `channels`: []. Legal: a list of channels from 0 to 65535.",
        ),
        ("[[fault]]\nkind = \"dead-electrodes\"\nchannels = [-1]", "field `channels`: -1. Legal: a list"),
        (
            "[[fault]]\nkind = \"battery\"",
            "field `points`: the key is missing. Legal: 2 to 1000 pairs [time_s, level]",
        ),
        (
            "[[fault]]\nkind = \"battery\"\npoints = [[0, 1]]",
            "field `points`: 1 points. Legal: 2 to 1000 pairs",
        ),
        (
            "[[fault]]\nkind = \"battery\"\npoints = [[2, 1], [1, 0]]",
            "field `points`: [1, 0]. Legal: 2 to 1000 pairs",
        ),
        ("[[fault]]\nkind = \"battery\"\npoints = [[2, 1], [3, 1.1]]", "field `points`: [3, 1.1]. Legal"),
        (
            "[[fault]]\nkind = \"battery\"\npoints = [[2, 1], [3, 0]]\nreset_below = 0.2\nback_from = 0.1",
            "field `back_from`: 0.1. Legal: 0.2 to 1.",
        ),
        (
            "[[fault]]\nkind = \"battery\"\npoints = [[2, 1], [3, 1]]\n[[fault]]\nkind = \"battery\"\npoints = [[2, 1], [3, 1]]",
            "f.toml, fault 2 (battery), field `kind`: a second battery. Legal: one battery in a script.",
        ),
    ];
    for (text, expected) in cases {
        let error = Script::parse(text, "f.toml").expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n{error}\n{expected}");
        assert!(error.starts_with("f.toml"), "{error}");
    }
    let many = "[[fault]]\nkind = \"stall\"\n".repeat(FAULTS_MAX + 1);
    let error = Script::parse(&many, "f.toml").expect_err("too many").to_string();
    assert_eq!(error, "f.toml, field `fault`: 65 faults. Legal: at most 64.");
}

#[test]
fn what_is_not_given_has_its_default() {
    let script = parse("[[fault]]\nkind = \"loss\"\nprobability = 1");
    let always = Fault {
        from_us: 0,
        to_us: FOREVER,
        directions: Directions::Both,
        effect: Effect::Loss { probability: 1.0 },
    };
    assert_eq!((script.seed(), script.faults()), (1, &[always][..]));
    let script = parse("[[fault]]\nkind = \"burst-loss\"\nmean_burst = 4\nmean_gap = 16");
    let chain =
        Effect::BurstLoss { good_to_bad: 0.0625, bad_to_good: 0.25, loss_in_good: 0.0, loss_in_bad: 1.0 };
    assert_eq!(script.faults()[0].effect, chain);
    let script = parse(
        "[[fault]]\nkind = \"clock-drift\"\nppm = 1\nto_s = 2\n[[fault]]\nkind = \"clock-drift\"\nppm = 2\nfrom_s = 2",
    );
    assert_eq!(script.faults().len(), 2, "one after the other is no contradiction");
}

#[test]
fn the_last_fault_may_never_end() {
    let text = "[[fault]]\nkind = \"clock-jump\"\nat_s = 3\nby_ms = 1\n[[fault]]\nkind = \"reboot\"\nat_s = 2\ndown_s = 1.5";
    assert_eq!(parse(text).last_fault_end(), Some(3_500_000));
    let battery = |points| format!("[[fault]]\nkind = \"battery\"\npoints = {points}");
    assert_eq!(parse(&battery("[[0, 1], [10, 0]]")).last_fault_end(), None, "it never comes back");
    assert_eq!(parse(&battery("[[0, 1], [10, 0.5]]")).last_fault_end(), Some(10_000_000), "it never goes");
    assert_eq!(parse(&battery("[[0, 0], [10, 0.2], [20, 1]]")).last_fault_end(), Some(5_000_000));
}

#[test]
fn a_battery_goes_off_and_on_again_with_its_level() {
    let text = "[[fault]]\nkind = \"battery\"\npoints = [[1, 0.2], [2, 0.0], [3, 0.2], [4, 0.0], [5, 1.0]]\n\
                reset_below = 0.1\nback_from = 0.1";
    let off: Vec<(u64, u64)> = parse(text).off().iter().collect();
    assert_eq!(off, [(1_500_001, 2_500_000), (3_500_001, 4_100_000)]);
}

#[test]
fn random_scripts_are_legal_and_end_in_time() {
    let mut kinds = std::collections::BTreeMap::new();
    for seed in (0..2_000).chain([u64::MAX]) {
        let script = Script::random(seed);
        assert_eq!(script, Script::random(seed), "seed {seed}");
        let text = script.to_string();
        assert_eq!(Script::parse(&text, "test").unwrap_or_else(|error| panic!("{error}\n{text}")), script);
        let end = script.last_fault_end().expect("every random fault ends");
        assert!(end <= RANDOM_END_S * 1_000_000, "seed {seed} ends at {end} µs");
        for fault in script.faults() {
            let starts_late = fault.from_us >= RANDOM_START_S * 1_000_000;
            assert!(starts_late || matches!(fault.effect, Effect::Battery(_)), "seed {seed}");
            *kinds.entry(fault.effect.kind()).or_insert(0) += 1;
        }
    }
    assert_eq!(kinds.len(), 16);
    assert!(kinds.values().all(|&count| count > 200), "every kind is drawn often: {kinds:?}");
    assert_ne!(Script::random(1), Script::random(2));
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    /// A script is a file from anywhere: no text ends the program.
    #[test]
    fn any_text_is_a_script_or_an_error(
        kind in prop::sample::select(vec!["loss", "burst-loss", "mtu", "battery", "dead-electrodes", "reboot", "x"]),
        keys in prop::collection::vec(
            (
                prop::sample::select(vec!["from_s", "to_s", "at_s", "points", "channels", "bytes", "mean_gap", "probability"]),
                prop::sample::select(vec!["1", "-1", "1e300", "nan", "inf", "9223372036854775807", "[]", "[[]]", "[[0, 1], [1]]", "\"a\"", "true", "{}"]),
            ),
            0..5,
        ),
    ) {
        let mut text = format!("[[fault]]\nkind = \"{kind}\"\n");
        keys.iter().for_each(|(key, value)| text += &format!("{key} = {value}\n"));
        match Script::parse(&text, "f.toml") {
            Ok(script) => prop_assert_eq!(Script::parse(&script.to_string(), "again").expect("legal"), script),
            Err(error) => prop_assert!(error.to_string().starts_with("f.toml"), "{}", error),
        }
    }
}
