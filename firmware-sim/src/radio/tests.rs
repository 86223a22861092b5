//! The radio under simulated time: what each fault does to packets, and that none is ever missing from the ledger.

use super::*;
use crate::faults::Effect;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const BUDGET: Budget = Budget { bits_per_second: 1_000_000, latency_us: 3_000, mtu: 247, queue_packets: 16 };

fn radio_with(text: &str) -> Radio {
    Radio::new(&Script::parse(text, "test").expect("a legal script"), BUDGET).expect("a legal budget")
}

/// Sends a packet of 125 bytes, 1 ms of air, that begins with `number`.
fn send(radio: &mut Radio, now_us: u64, number: u8) -> Result<(), Dropped> {
    radio.send(now_us, Direction::Up, &[number; 125])
}

/// Arrivals until nothing is under way: time in µs, first byte, length.
fn drain(radio: &mut Radio) -> Vec<(u64, u8, usize)> {
    let mut arrived = Vec::new();
    while let Some(at_us) = radio.next_arrival() {
        let mut buffer = [0; 247];
        for direction in [Direction::Up, Direction::Down] {
            if let Some(length) = radio.receive(at_us, direction, &mut buffer) {
                arrived.push((at_us, buffer[0], length));
            }
        }
    }
    arrived
}

#[test]
fn packets_queue_for_the_air_and_the_newest_is_refused() {
    let mut radio = radio_with("");
    let answers: Vec<bool> = (0..18).map(|number| send(&mut radio, 0, number).is_ok()).collect();
    assert_eq!(answers, [[true; 16].as_slice(), &[false; 2]].concat());
    assert_eq!(send(&mut radio, 999, 18), Err(Dropped::QueueFull));
    assert_eq!(send(&mut radio, 1_000, 19), Ok(()), "the first has left the air");
    let arrived = drain(&mut radio);
    assert_eq!(arrived[0], (4_000, 0, 125));
    assert_eq!(arrived[16], (20_000, 19, 125));
    let ledger = radio.ledger(Direction::Up);
    assert_eq!((ledger.sent, ledger.delivered, ledger.dropped), (20, 17, [3, 0, 0, 0]));
    assert_eq!(
        ledger.to_string(),
        "20 sent = 17 delivered + 0 lost + 3 dropped (3 queue full) + 0 in flight; 0 damaged, 0 of 0 copies delivered"
    );
}

#[test]
fn each_way_has_the_air_to_itself() {
    let mut radio = radio_with("");
    send(&mut radio, 0, 1).expect("taken");
    radio.send(0, Direction::Down, &[2; 125]).expect("taken");
    assert_eq!(drain(&mut radio), [(4_000, 1, 125), (4_000, 2, 125)]);
    assert_eq!((radio.ledger(Direction::Up).sent, radio.ledger(Direction::Down).sent), (1, 1));
}

#[test]
fn a_stall_looks_up_and_keeps_what_is_sent() {
    let mut radio = radio_with("[[fault]]\nkind = \"stall\"\nfrom_s = 0.002\nto_s = 0.1");
    (0..3).for_each(|number| send(&mut radio, 0, number).expect("taken"));
    assert!(radio.is_connected(50_000));
    send(&mut radio, 50_000, 3).expect("taken");
    assert_eq!(radio.ledger(Direction::Up).in_flight, 4);
    // The first two have left the air and arrive when the stall ends; the others take the air only then.
    assert_eq!(
        drain(&mut radio),
        [(100_000, 0, 125), (100_000, 1, 125), (104_000, 2, 125), (105_000, 3, 125)]
    );
    assert_eq!(radio.poll_event(1_000_000), None, "nobody is told");
}

#[test]
fn a_stall_for_good_keeps_packets_in_flight() {
    let mut radio = radio_with("[[fault]]\nkind = \"stall\"\nfrom_s = 0.002");
    let taken = (0..30).filter(|&number| send(&mut radio, 1_500, number).is_ok()).count();
    assert_eq!((taken, radio.next_arrival()), (16, None));
    radio.advance(1 << 60);
    let ledger = radio.ledger(Direction::Up);
    assert_eq!((ledger.in_flight, ledger.is_balanced()), (16, true));
}

#[test]
fn a_broken_link_loses_what_is_under_way_and_tells() {
    let mut radio = radio_with("[[fault]]\nkind = \"disconnect\"\nfrom_s = 0.0045\nto_s = 0.1");
    (0..4).for_each(|number| send(&mut radio, 0, number).expect("taken"));
    assert_eq!(radio.next_event(), Some(4_500));
    assert_eq!(radio.poll_event(4_499), None);
    assert_eq!(radio.ledger(Direction::Up).lost_in_all(), 0, "nothing is lost yet");
    let broken = LinkEvent { at_us: 4_500, link: Link::Disconnected };
    assert_eq!(radio.poll_event(4_500), Some(broken));
    assert_eq!(radio.ledger(Direction::Up).lost, [0, 0, 3, 0]);
    assert_eq!(send(&mut radio, 50_000, 4), Err(Dropped::Disconnected));
    assert_eq!((radio.is_connected(99_999), radio.is_connected(100_000)), (false, true));
    assert_eq!(radio.poll_event(200_000), Some(LinkEvent { at_us: 100_000, link: Link::Up }));
    assert_eq!((radio.poll_event(200_000), radio.next_event()), (None, None));
    send(&mut radio, 200_000, 5).expect("taken");
    assert_eq!(drain(&mut radio), [(4_000, 0, 125), (204_000, 5, 125)]);
}

#[test]
fn a_device_without_power_has_no_link() {
    let text = "[[fault]]\nkind = \"reboot\"\nat_s = 0.002\ndown_s = 0.01\n\
                [[fault]]\nkind = \"disconnect\"\nfrom_s = 0.01\nto_s = 0.02";
    let mut radio = radio_with(text);
    send(&mut radio, 0, 0).expect("taken");
    assert_eq!(radio.poll_event(2_000), Some(LinkEvent { at_us: 2_000, link: Link::DeviceOff }));
    assert_eq!(radio.ledger(Direction::Up).lost, [0, 0, 0, 1]);
    assert_eq!(send(&mut radio, 3_000, 1), Err(Dropped::DeviceOff));
    assert_eq!(send(&mut radio, 12_000, 2), Err(Dropped::Disconnected), "it is on, and not yet connected");
    assert_eq!(radio.poll_event(30_000), Some(LinkEvent { at_us: 20_000, link: Link::Up }));
}

#[test]
fn the_mtu_and_the_throughput_change_with_time() {
    let text = "[[fault]]\nkind = \"mtu\"\nfrom_s = 1\nto_s = 2\nbytes = 100\ndirection = \"up\"\n\
                [[fault]]\nkind = \"mtu\"\nfrom_s = 1.5\nbytes = 200\n\
                [[fault]]\nkind = \"throughput\"\nfrom_s = 2\nto_s = 3\nbits_per_second = 10_000";
    let mut radio = radio_with(text);
    let times = [0, 1_000_000, 1_500_000, 2_000_000];
    assert_eq!(times.map(|now| radio.mtu(now, Direction::Up)), [247, 100, 100, 200]);
    assert_eq!(times.map(|now| radio.mtu(now, Direction::Down)), [247, 247, 200, 200]);
    assert_eq!(send(&mut radio, 1_000_000, 0), Err(Dropped::TooLong));
    send(&mut radio, 2_000_000, 1).expect("taken");
    assert_eq!(drain(&mut radio), [(2_103_000, 1, 125)]);
}

#[test]
fn held_packets_are_passed_until_the_fault_ends() {
    let all = "kind = \"reorder\"\nprobability = 1\ndelay_ms = 50";
    let mut radio = radio_with(&format!("[[fault]]\n{all}\nto_s = 0.02"));
    (0..2).for_each(|number| send(&mut radio, 0, number).expect("taken"));
    assert_eq!(drain(&mut radio), [(20_000, 0, 125), (20_000, 1, 125)], "the fault's end lets them go");
    let mut radio = radio_with("seed = 2\n[[fault]]\nkind = \"reorder\"\nprobability = 0.5\ndelay_ms = 2.5");
    (0..16).for_each(|number| send(&mut radio, 0, number).expect("taken"));
    let arrived = drain(&mut radio);
    for &(at_us, number, _) in &arrived {
        let in_order = 4_000 + 1_000 * u64::from(number);
        assert!([in_order, in_order + 2_500].contains(&at_us), "packet {number} at {at_us} µs");
    }
    assert!(arrived.windows(2).any(|two| two[0].1 > two[1].1), "some were passed: {arrived:?}");
}

#[test]
fn a_time_that_has_passed_is_the_latest() {
    let mut radio = radio_with("");
    radio.advance(50_000);
    send(&mut radio, 10_000, 0).expect("taken");
    assert_eq!(drain(&mut radio), [(54_000, 0, 125)]);
}

#[test]
#[should_panic(expected = "the buffer holds the longest packet")]
fn a_short_buffer_is_refused() {
    radio_with("").receive(0, Direction::Up, &mut [0; 246]);
}

#[test]
fn held_packets_and_copies_wait_for_a_stall() {
    let stall = "[[fault]]\nkind = \"stall\"\nfrom_s = 0.01\nto_s = 0.02";
    let held = "[[fault]]\nkind = \"reorder\"\nprobability = 1\ndelay_ms = 7";
    let copy = "[[fault]]\nkind = \"duplicate\"\nprobability = 1\ndelay_ms = 7";
    for (fault, expected) in [(held, &[20_000][..]), (copy, &[4_000, 20_000])] {
        let mut radio = radio_with(&format!("{stall}\n{fault}"));
        send(&mut radio, 0, 0).expect("taken");
        let times: Vec<u64> = drain(&mut radio).iter().map(|arrived| arrived.0).collect();
        assert_eq!(times, expected, "{fault}");
    }
}

#[test]
fn after_a_break_nothing_waits_for_what_was_before() {
    let broken = "[[fault]]\nkind = \"disconnect\"\nfrom_s = 0.01\nto_s = 0.02\n";
    let slow = "[[fault]]\nkind = \"throughput\"\nto_s = 0.02\nbits_per_second = 1_000";
    let mut radio = radio_with(&format!("{broken}{slow}"));
    (0..3).for_each(|number| send(&mut radio, 0, number).expect("taken"));
    send(&mut radio, 20_000, 3).expect("taken");
    assert_eq!(drain(&mut radio), [(24_000, 3, 125)], "the air is free");
    assert_eq!(radio.ledger(Direction::Up).lost, [0, 0, 3, 0]);
    // With this seed the first packet is late by more than the second, which waits for it unless it is lost.
    let late = "seed = 3\n[[fault]]\nkind = \"jitter\"\nmean_ms = 500";
    let arrivals = |text: &str| {
        let mut radio = radio_with(text);
        [0, 30_000].iter().for_each(|&now| send(&mut radio, now, 0).expect("taken"));
        drain(&mut radio).iter().map(|arrived| arrived.0).collect::<Vec<_>>()
    };
    let (whole, cut) = (arrivals(late), arrivals(&format!("{late}\n{broken}")));
    assert!(whole[0] == whole[1] && cut.len() == 1 && cut[0] < whole[1], "{whole:?}, {cut:?}");
}

#[test]
fn copies_are_lost_with_the_link() {
    let text = "[[fault]]\nkind = \"duplicate\"\nprobability = 1\ndelay_ms = 7\n\
                [[fault]]\nkind = \"disconnect\"\nfrom_s = 0.005\nto_s = 0.02";
    let mut radio = radio_with(text);
    (0..2).for_each(|number| send(&mut radio, 0, number).expect("taken"));
    assert_eq!(drain(&mut radio), [(4_000, 0, 125)]);
    radio.advance(5_000);
    let ledger = radio.ledger(Direction::Up);
    assert_eq!((ledger.delivered, ledger.lost), (1, [0, 0, 1, 0]));
    assert_eq!(ledger.copies, CopyLedger { made: 2, delivered: 0, lost: 2, in_flight: 0 });
    assert!(ledger.is_balanced());
}

#[test]
fn copies_come_later_and_are_counted_apart() {
    let mut radio = radio_with("[[fault]]\nkind = \"duplicate\"\nprobability = 1\ndelay_ms = 1.5");
    send(&mut radio, 0, 0).expect("taken");
    send(&mut radio, 0, 1).expect("taken");
    let before = radio.ledger(Direction::Up);
    assert_eq!((before.in_flight, before.copies.made, before.copies.in_flight), (2, 2, 2));
    assert_eq!(drain(&mut radio), [(4_000, 0, 125), (5_000, 1, 125), (5_500, 0, 125), (6_500, 1, 125)]);
    let after = radio.ledger(Direction::Up);
    assert_eq!(
        (after.delivered, after.copies),
        (2, CopyLedger { made: 2, delivered: 2, lost: 0, in_flight: 0 })
    );
}

#[test]
fn damaged_packets_arrive_and_are_counted() {
    let mut radio = radio_with(
        "[[fault]]\nkind = \"truncation\"\nprobability = 1\nto_s = 0.5\n\
         [[fault]]\nkind = \"bit-flips\"\nprobability = 1\nfrom_s = 0.5\n",
    );
    send(&mut radio, 0, 1).expect("taken");
    send(&mut radio, 600_000, 1).expect("taken");
    let arrived = drain(&mut radio);
    assert!(arrived[0].2 < 125 && arrived[1].2 == 125, "{arrived:?}");
    assert_eq!((radio.ledger(Direction::Up).delivered, radio.ledger(Direction::Up).damaged), (2, 2));
}

#[test]
fn a_budget_out_of_range_is_refused() {
    let cases = [
        (Budget { bits_per_second: 99, ..BUDGET }, "`bits_per_second`: 99. Legal: 100 to 10000000000."),
        (Budget { latency_us: 10_000_001, ..BUDGET }, "`latency_us`: 10000001. Legal: 0 to 10000000."),
        (Budget { mtu: 19, ..BUDGET }, "`mtu`: 19. Legal: 20 to 512."),
        (Budget { queue_packets: 0, ..BUDGET }, "`queue_packets`: 0. Legal: 1 to 65536."),
    ];
    for (budget, expected) in cases {
        let error = Radio::new(&Script::clean(), budget).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What the world outside sees of one run: every call's answer.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    answers: Vec<Result<(), Dropped>>,
    /// Time, way, bytes.
    received: Vec<(u64, Direction, Vec<u8>)>,
    events: Vec<LinkEvent>,
    ledgers: Vec<(Ledger, Ledger)>,
}

/// Sends and receives at random times until 2 s after the last fault, checking the ledger at each step.
fn live(script: &Script, budget: Budget, seed: u64) -> Trace {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut radio = Radio::new(script, budget).expect("a legal budget");
    let (mut trace, mut now_us, mut buffer) = (Trace::default(), 0, [0; MTU_MAX]);
    let end_us = script.last_fault_end().expect("faults that end") + 2_000_000;
    let mut own = [Ledger::default(); 2];
    while now_us < end_us {
        // Now and then at the very time of an arrival or a change, else whenever.
        let soon = now_us + rng.random_range(0..20_000);
        let due = radio.next_arrival().into_iter().chain(radio.next_event()).min().unwrap_or(soon);
        now_us = if rng.random::<f64>() < 0.3 { due.clamp(now_us, soon) } else { soon };
        let direction = if rng.random::<f64>() < 0.7 { Direction::Up } else { Direction::Down };
        for _ in 0..rng.random_range(0..4) {
            let packet: Vec<u8> = (0..rng.random_range(0..budget.mtu + 2)).map(|_| rng.random()).collect();
            let answer = radio.send(now_us, direction, &packet);
            own[direction as usize].sent += 1;
            if let Err(reason) = answer {
                own[direction as usize].dropped[reason as usize] += 1;
            }
            assert_eq!(answer.is_err() && radio.is_connected(now_us), {
                matches!(answer, Err(Dropped::QueueFull | Dropped::TooLong))
            });
            trace.answers.push(answer);
        }
        for direction in [Direction::Up, Direction::Down] {
            while let Some(length) = radio.receive(now_us, direction, &mut buffer) {
                own[direction as usize].delivered += 1;
                trace.received.push((now_us, direction, buffer[..length].to_vec()));
            }
        }
        trace.events.extend(radio.poll_event(now_us));
        let ledgers = [Direction::Up, Direction::Down].map(|direction| radio.ledger(direction));
        for (ledger, own) in ledgers.iter().zip(own) {
            assert!(ledger.is_balanced(), "at {now_us} µs: {ledger}\n{script}");
            assert_eq!((ledger.sent, ledger.dropped), (own.sent, own.dropped));
            assert_eq!(ledger.delivered + ledger.copies.delivered, own.delivered);
        }
        trace.ledgers.push((ledgers[0], ledgers[1]));
    }
    drain(&mut radio);
    radio.advance(end_us + 60_000_000);
    for direction in [Direction::Up, Direction::Down] {
        let ledger = radio.ledger(direction);
        assert!(
            ledger.is_balanced() && ledger.in_flight == 0 && ledger.copies.in_flight == 0,
            "{ledger}\n{script}"
        );
    }
    trace
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        cases: 150,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_ledger_balances_at_every_instant_and_the_same_calls_answer_the_same(
        seed in any::<u64>(),
        bits_per_second in 2_000_u64..10_000_000,
        latency_us in 0_u64..50_000,
        mtu in MTU_MIN..=247,
        queue_packets in 1_usize..40,
    ) {
        let budget = Budget { bits_per_second, latency_us, mtu, queue_packets };
        let script = Script::random(seed);
        let trace = live(&script, budget, seed);
        prop_assert_eq!(&trace, &live(&script, budget, seed));
        prop_assert!(trace.answers.iter().any(Result::is_ok));
    }

    /// Packets come in order unless something may change it, and nothing comes while nothing can.
    #[test]
    fn arrivals_keep_what_the_faults_leave(seed in any::<u64>()) {
        let script = Script::random(seed);
        let holds = |wanted: fn(&Effect) -> bool, now: u64| {
            script.faults().iter().any(|fault| {
                wanted(&fault.effect) && fault.is_active(now) && fault.directions.contains(Direction::Up)
            })
        };
        let may_pass = script.faults().iter().any(|fault| {
            matches!(fault.effect, Effect::Reorder { .. } | Effect::Duplicate { .. })
        });
        let may_damage = script.faults().iter().any(|fault| {
            matches!(fault.effect, Effect::BitFlips { .. } | Effect::Truncation { .. })
        });
        let mut radio = Radio::new(&script, BUDGET).expect("a legal budget");
        let (mut last, mut buffer) = (None, [0; 247]);
        for number in 0..3_200_u64 {
            let now = number * 5_000;
            while let Some(at) = radio.next_arrival().filter(|&at| at <= now) {
                let length = radio.receive(at, Direction::Up, &mut buffer).expect("it is there");
                prop_assert!(!holds(|effect| *effect == Effect::Stall, at), "one passed a stall at {} µs", at);
                prop_assert!(radio.is_connected(at), "one passed a broken link at {} µs", at);
                if may_damage {
                    continue;
                }
                prop_assert_eq!(length, 20);
                let found = u64::from_le_bytes(buffer[..8].try_into().expect("8 bytes"));
                prop_assert!(at >= found * 5_000 + 3_160, "160 bits and the latency take their time");
                prop_assert!(may_pass || last.is_none_or(|last| last < found), "{} after {:?}", found, last);
                last = Some(found);
            }
            let mut packet = [0; 20];
            packet[..8].copy_from_slice(&number.to_le_bytes());
            let _ = radio.send(now, Direction::Up, &packet);
        }
        // 1 s after random faults have ended, all is as on a good day.
        prop_assert!(radio.ledger(Direction::Up).in_flight <= 1);
        if !may_damage {
            prop_assert!(last.is_some_and(|last| last >= 3_198), "{:?}", last);
        }
    }
}

#[test]
fn the_examples_lose_what_their_names_say() {
    // Within five standard errors of 200,000 packets in bursts.
    for (name, share, within) in [("clean", 0.0, 0.0), ("loss5", 0.05, 0.0063), ("loss20", 0.2, 0.0105)] {
        let path = format!("{}/faults/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let script = Script::read(std::path::Path::new(&path)).expect("an example");
        let mut radio = Radio::new(&script, BUDGET).expect("a legal budget");
        let mut buffer = [0; 247];
        for number in 0..200_000 {
            radio.send(number * 1_000, Direction::Up, &[0; 20]).expect("there is room");
            while radio.receive(number * 1_000, Direction::Up, &mut buffer).is_some() {}
        }
        let ledger = radio.ledger(Direction::Up);
        println!("{name}: {ledger}");
        assert!((ledger.lost_in_all() as f64 / 200_000.0 - share).abs() <= within, "{ledger}");
    }
}
