//! The rings under loom: small programs of two or three threads, each run in every order of events that the memory
//! model allows (with a bound on preemptions), so that torn items, lost counts and lost wake-ups can't hide.
//!
//! An item is a loom cell with its number in it: loom itself fails on a read that isn't ordered after the write.
#![cfg(all(loom, test))]

#[path = "../../src/rings/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod rings;

use loom::thread;
use rings::{Reader, WaitStrategy, Waited, Writer, hand_over, ring};

fn publish(writer: &mut Writer<u64>, number: u64) {
    let mut slot = writer.claim();
    *slot = number;
    slot.publish();
}

/// Takes at most `n_items` and checks their order; gives how many there were, and the number after the last.
fn take(reader: &mut Reader<u64>, n_items: usize, mut after: u64) -> (u64, u64) {
    let mut held = 0;
    for _ in 0..n_items {
        let Some(item) = reader.next() else { break };
        assert!(*item >= after, "{} after {after}", *item);
        (held, after) = (held + 1, *item + 1);
    }
    (held, after)
}

/// At the end: the newest item is there, and every item was held or overwritten.
fn settle(reader: &mut Reader<u64>, before: (u64, u64), published: u64) {
    let (held, after) = take(reader, 100, before.1);
    let last = if held == 0 { before.1 } else { after };
    assert_eq!(last, published, "the newest is the last");
    assert_eq!((before.0 + held + reader.overwritten(), reader.lag()), (published, 0));
}

#[test]
fn one_reader_is_overtaken() {
    loom::model(|| {
        let (mut writer, mut readers) = ring(vec![99; 3], 1);
        let mut reader = readers.remove(0);
        let thread = thread::spawn(move || (0..5).for_each(|number| publish(&mut writer, number)));
        let before = take(&mut reader, 3, 0);
        thread.join().unwrap();
        settle(&mut reader, before, 5);
    });
}

#[test]
fn two_readers_and_the_writer_want_one_slot() {
    loom::model(|| {
        let (mut writer, readers) = ring(vec![99; 4], 2);
        (0..4).for_each(|number| publish(&mut writer, number));
        let read = |mut reader: Reader<u64>| {
            thread::spawn(move || {
                let before = take(&mut reader, 1, 0);
                (reader, before)
            })
        };
        let reading: Vec<_> = readers.into_iter().map(read).collect();
        publish(&mut writer, 4);
        for reading in reading {
            let (mut reader, before) = reading.join().unwrap();
            settle(&mut reader, before, 5);
        }
    });
}

#[test]
fn a_held_slot_is_gone_round() {
    loom::model(|| {
        let (mut writer, mut readers) = ring(vec![99; 4], 2);
        let (mut stuck, mut other) = (readers.remove(0), readers.remove(0));
        (0..4).for_each(|number| publish(&mut writer, number));
        let held = stuck.next().unwrap();
        let writing = thread::spawn(move || (4..6).for_each(|number| publish(&mut writer, number)));
        let before = take(&mut other, 2, 0);
        assert_eq!(*held, 0);
        drop(held);
        writing.join().unwrap();
        settle(&mut stuck, (1, 1), 6);
        settle(&mut other, before, 6);
    });
}

#[test]
fn a_claim_given_up_tears_nothing() {
    loom::model(|| {
        let (mut writer, mut readers) = ring(vec![99; 3], 1);
        let mut reader = readers.remove(0);
        (0..3).for_each(|number| publish(&mut writer, number));
        let writing = thread::spawn(move || {
            *writer.claim() = 77;
            publish(&mut writer, 3);
        });
        let before = take(&mut reader, 2, 0);
        writing.join().unwrap();
        settle(&mut reader, before, 4);
    });
}

/// Sleeps without a limit here, so that a lost wake-up is a deadlock.
fn wait_until_closed(mut reader: Reader<u64>, published: u64) {
    let (mut held, mut after) = (0, 0);
    loop {
        match reader.wait(&WaitStrategy::PARK) {
            Waited::Item => {
                let (more, next) = take(&mut reader, 100, after);
                (held, after) = (held + more, if more == 0 { after } else { next });
            }
            Waited::Closed => break,
            Waited::TimedOut => {}
        }
    }
    settle(&mut reader, (held, after), published);
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (mut writer, mut readers) = ring(vec![99; 3], 1);
        let reader = readers.remove(0);
        let reading = thread::spawn(move || wait_until_closed(reader, 2));
        publish(&mut writer, 0);
        publish(&mut writer, 1);
        drop(writer);
        reading.join().unwrap();
    });
}

#[test]
fn no_wake_up_of_two_readers_is_lost() {
    loom::model(|| {
        let (mut writer, mut readers) = ring(vec![99; 4], 2);
        let (one, other) = (readers.remove(0), readers.remove(0));
        let reading = [one, other].map(|reader| thread::spawn(move || wait_until_closed(reader, 1)));
        publish(&mut writer, 0);
        drop(writer);
        reading.into_iter().for_each(|reading| reading.join().unwrap());
    });
}

#[test]
fn the_end_is_not_lost() {
    loom::model(|| {
        let (writer, mut readers) = ring(vec![99; 3], 1);
        let reader = readers.remove(0);
        let reading = thread::spawn(move || wait_until_closed(reader, 0));
        drop(writer);
        reading.join().unwrap();
    });
}

#[test]
fn what_is_handed_over_has_one_owner() {
    loom::model(|| {
        let (mut giver, mut taker) = hand_over();
        let thread = thread::spawn(move || {
            let mut taken = Vec::new();
            for _ in 0..3 {
                taken.extend(taker.take().map(|number: Box<u64>| *number));
            }
            (taker, taken)
        });
        let given: Vec<u64> = (0..2).filter(|number| giver.give(Box::new(*number)).is_ok()).collect();
        let (mut taker, mut taken) = thread.join().unwrap();
        taken.extend(taker.take().map(|number| *number));
        assert_eq!(taken, given, "each once, in order");
    });
}
