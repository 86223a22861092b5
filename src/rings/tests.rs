//! The rings against a slow obvious twin, on one thread, and under threads that run into each other.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::mem::forget;
use std::time::Duration;

fn publish<T: Send + Sync>(writer: &mut Writer<T>, item: T) {
    let mut slot = writer.claim();
    *slot = item;
    slot.publish();
}

/// What the reader gets until nothing is left.
fn drain(reader: &mut Reader<u64>) -> Vec<u64> {
    std::iter::from_fn(|| reader.next().map(|item| *item)).collect()
}

#[test]
fn a_held_slot_stays_as_it_is_and_the_writer_goes_round_it() {
    let (mut writer, mut readers) = ring(vec![u64::MAX; 4], 2);
    let (mut stuck, mut awake) = (readers.remove(0), readers.remove(0));
    publish(&mut writer, 0);
    let held = stuck.next().expect("item 0");
    for number in 1..100 {
        publish(&mut writer, number);
        assert_eq!(awake.lag(), if number == 1 { 2 } else { 1 });
        assert_eq!(drain(&mut awake).last(), Some(&number));
    }
    assert_eq!(*held, 0);
    drop(held);
    // Three slots went on turning.
    assert_eq!(drain(&mut stuck), [97, 98, 99]);
    assert_eq!((stuck.overwritten(), awake.overwritten()), (96, 0));
    // The slot that was held is now the oldest, and the first to be used.
    publish(&mut writer, 100);
    publish(&mut writer, 101);
    assert_eq!((drain(&mut stuck), drain(&mut awake)), (vec![100, 101], vec![100, 101]));
}

#[test]
fn the_newest_item_survives_though_all_readers_hold_one() {
    let (mut writer, mut readers) = ring(vec![0u64; 5], 3);
    for (number, reader) in (0..).zip(&mut readers) {
        publish(&mut writer, number);
        while reader.lag() > 1 {
            drop(reader.next());
        }
        forget(reader.next());
    }
    for number in 3..50 {
        publish(&mut writer, number);
        *writer.claim() = 1000;
    }
    for reader in &mut readers {
        assert_eq!(drain(reader).last(), Some(&49));
        assert_eq!(reader.lag(), 0);
    }
}

#[test]
fn a_claim_that_is_given_up_shows_nothing_and_its_slot_comes_next() {
    let (mut writer, mut readers) = ring(vec![0u64; 3], 1);
    let reader = &mut readers[0];
    *writer.claim() = 6;
    *writer.claim() += 1;
    assert_eq!((reader.lag(), reader.next().is_none(), writer.published()), (0, true, 0));
    let claim = writer.claim();
    assert_eq!(*claim, 7);
    claim.publish();
    assert_eq!((drain(reader), reader.overwritten()), (vec![7], 0));
}

#[test]
fn what_was_published_before_the_end_is_still_read() {
    let (mut writer, mut readers) = ring(vec![0u64; 4], 1);
    let reader = &mut readers[0];
    let once = WaitStrategy { spins: 1, yields: 1, park: Some(Duration::from_micros(1)) };
    assert_eq!(reader.wait(&once), Waited::TimedOut);
    publish(&mut writer, 5);
    assert_eq!((reader.wait(&WaitStrategy::PARK), reader.is_closed()), (Waited::Item, false));
    drop(writer);
    assert_eq!((reader.wait(&once), reader.is_closed()), (Waited::Item, true));
    assert_eq!(drain(reader), [5]);
    assert_eq!((reader.wait(&once), reader.next().is_none()), (Waited::Closed, true));
}

#[test]
fn readers_may_go_and_slots_outlive_the_writer() {
    let (mut writer, mut readers) = ring(vec![String::new(); 4], 2);
    publish(&mut writer, "a".to_string());
    forget(readers[0].next());
    drop(readers.remove(0));
    (0..10).for_each(|number| publish(&mut writer, number.to_string()));
    let held = readers[0].next().expect("an item");
    drop(writer);
    assert_eq!(*held, "6");
}

#[test]
#[should_panic(expected = "3 slots for 2 readers")]
fn too_few_slots_are_refused() {
    ring(vec![0; 3], 2);
}

#[test]
#[should_panic(expected = "64 readers; legal: 1 to 63")]
fn too_many_readers_are_refused() {
    ring(vec![0; 100], 64);
}

#[test]
fn readers_up_to_the_limit_hold_one_item() {
    let (mut writer, mut readers) = ring(vec![0u64; READERS_MAX + 2], READERS_MAX);
    publish(&mut writer, 1);
    let held: Vec<_> = readers.iter_mut().map(|reader| reader.next().expect("item 1")).collect();
    (2..500).for_each(|number| publish(&mut writer, number));
    assert!(held.iter().all(|item| **item == 1));
    drop(held);
    assert!(readers.iter_mut().all(|reader| drain(reader).len() == READERS_MAX + 1));
}

/// What happens to a ring, one thing after another.
#[derive(Clone, Copy, Debug)]
enum Event {
    Publish,
    GiveUp,
    Next { reader: usize, keep: bool },
}

fn event() -> impl Strategy<Value = Event> {
    let next = (0..3usize, any::<bool>()).prop_map(|(reader, keep)| Event::Next { reader, keep });
    prop_oneof![5 => Just(Event::Publish), 1 => Just(Event::GiveUp), 6 => next]
}

/// The contract in other words: a list of items, the oldest first.
struct Twin {
    n_slots: usize,
    items: Vec<u64>,
    published: u64,
    held: [Option<u64>; 3],
    passed: [u64; 3],
    overwritten: [u64; 3],
}

impl Twin {
    fn claim(&mut self) {
        if self.items.len() == self.n_slots {
            let free = self.items.iter().position(|item| !self.held.contains(&Some(*item)));
            self.items.remove(free.expect("more slots than readers"));
        }
    }

    fn publish(&mut self) {
        self.claim();
        self.items.push(self.published);
        self.published += 1;
    }

    fn next(&mut self, reader: usize) -> Option<u64> {
        let findable =
            |item: &u64| *item >= self.passed[reader] && item + self.n_slots as u64 >= self.published;
        let found = self.items.iter().copied().find(findable);
        let first = found.unwrap_or(self.published);
        self.overwritten[reader] += first - self.passed[reader];
        self.passed[reader] = found.map_or(first, |item| item + 1);
        self.held[reader] = found;
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_list_of_items_does(
        n_slots in 5..9usize,
        events in prop::collection::vec(event(), 1..120),
    ) {
        let (mut writer, mut readers) = ring(vec![u64::MAX; n_slots], 3);
        let (passed, overwritten) = ([0; 3], [0; 3]);
        let mut twin = Twin { n_slots, items: Vec::new(), published: 0, held: [None; 3], passed, overwritten };
        for event in events {
            match event {
                Event::Publish => {
                    let number = twin.published;
                    publish(&mut writer, number);
                    twin.publish();
                }
                Event::GiveUp => {
                    *writer.claim() = u64::MAX;
                    twin.claim();
                }
                Event::Next { reader, keep } => {
                    let item = readers[reader].next();
                    prop_assert_eq!(item.as_deref().copied(), twin.next(reader));
                    match (item, keep) {
                        // What is forgotten is held until the next call.
                        (Some(item), true) => forget(item),
                        _ => twin.held[reader] = None,
                    }
                }
            }
            prop_assert_eq!(writer.published(), twin.published);
            for (number, reader) in readers.iter().enumerate() {
                prop_assert_eq!(reader.overwritten(), twin.overwritten[number]);
                prop_assert_eq!(reader.lag(), twin.published - twin.passed[number]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Items that are never torn, in order, and every one of them accounted for, whoever is late and however they wait.
    #[test]
    fn threads_lose_nothing_silently(
        n_readers in 1..4usize,
        more_slots in 2..6usize,
        writer_spins in 0..60u32,
        reader_spins in 0..120u32,
        strategy in prop_oneof![
            Just(WaitStrategy::SPIN),
            Just(WaitStrategy::PARK),
            Just(WaitStrategy { spins: 3, yields: 1, park: Some(Duration::from_millis(1)) }),
        ],
        seed in any::<u64>(),
    ) {
        let (mut writer, readers) = ring(vec![[u64::MAX; 64]; n_readers + more_slots], n_readers);
        let late = |seed: u64, spins_max: u32| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            move || (0..random.random_range(0..=spins_max)).for_each(|_| std::hint::spin_loop())
        };
        std::thread::scope(|scope| {
            let mut pause = late(seed, writer_spins);
            scope.spawn(move || {
                for number in 0..ITEMS {
                    if number % 64 == 63 {
                        // Given up, half written.
                        writer.claim()[..32].fill(u64::MAX);
                    }
                    let mut slot = writer.claim();
                    slot.fill(number);
                    slot.publish();
                    pause();
                }
            });
            let read = |(mut reader, number): (Reader<[u64; 64]>, u64)| {
                let mut pause = late(seed ^ number, reader_spins);
                scope.spawn(move || {
                    let (mut held, mut last) = (0, None);
                    while reader.wait(&strategy) != Waited::Closed {
                        while let Some(item) = reader.next() {
                            let number = item[0];
                            pause();
                            assert!(item.iter().all(|value| *value == number), "torn: {:?}", *item);
                            assert!(last < Some(number), "{number} after {last:?}");
                            (held, last) = (held + 1, Some(number));
                        }
                    }
                    assert_eq!(last, Some(ITEMS - 1), "the newest item is there at the end");
                    assert_eq!((held + reader.overwritten(), reader.lag()), (ITEMS, 0));
                })
            };
            let threads: Vec<_> = readers.into_iter().zip(1..).map(read).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("a reader"));
        });
    }
}

const ITEMS: u64 = 20_000;
