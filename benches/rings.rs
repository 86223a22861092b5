//! Handing blocks of 60 KB over: these rings against `rtrb` and `crossbeam-channel` with boxes that go round.
//!
//! `one_thread` is the cost of a hand-over by itself: take a block, write its header, pass it on, read the header,
//! give it back. `there_and_back` is two hand-overs between two spinning threads. `two_readers` copies the samples
//! too, once for each time that a peer needs them: these rings once, one queue a reader twice, or
//! once into new memory that is counted.

use criterion::{Criterion, criterion_group, criterion_main};
use crossbeam_channel::{Receiver, Sender, bounded};
use efference::rings::{Reader, WaitStrategy, Waited, Writer, ring};
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::thread;

/// 1,024 channels × 30 frames.
struct Block {
    header: u64,
    samples: Vec<i16>,
}

const N_SAMPLES: usize = 1024 * 30;
const N_SLOTS: usize = 8;
const END: u64 = u64::MAX;

fn blocks(n_blocks: usize) -> Vec<Block> {
    (0..n_blocks).map(|_| Block { header: 0, samples: vec![1; N_SAMPLES] }).collect()
}

/// A queue for blocks and one that brings them back.
struct Queues {
    full: (rtrb::Producer<Box<Block>>, rtrb::Consumer<Box<Block>>),
    free: (rtrb::Producer<Box<Block>>, rtrb::Consumer<Box<Block>>),
}

impl Queues {
    fn new() -> Self {
        let (full, mut free) = (rtrb::RingBuffer::new(N_SLOTS), rtrb::RingBuffer::new(N_SLOTS));
        blocks(N_SLOTS).into_iter().for_each(|block| free.0.push(Box::new(block)).expect("room"));
        Queues { full, free }
    }

    fn hand_over(&mut self, fill: impl FnOnce(&mut Block)) -> u64 {
        let mut block = self.free.1.pop().expect("a free block");
        fill(&mut block);
        self.full.0.push(block).expect("room");
        let block = self.full.1.pop().expect("a full block");
        let header = block.header;
        self.free.0.push(block).expect("room");
        header
    }
}

struct Channels {
    full: (Sender<Box<Block>>, Receiver<Box<Block>>),
    free: (Sender<Box<Block>>, Receiver<Box<Block>>),
}

impl Channels {
    fn new() -> Self {
        let (full, free) = (bounded(N_SLOTS), bounded(N_SLOTS));
        blocks(N_SLOTS).into_iter().for_each(|block| free.0.try_send(Box::new(block)).expect("room"));
        Channels { full, free }
    }

    fn hand_over(&mut self, fill: impl FnOnce(&mut Block)) -> u64 {
        let mut block = self.free.1.try_recv().expect("a free block");
        fill(&mut block);
        self.full.0.try_send(block).expect("room");
        let block = self.full.1.try_recv().expect("a full block");
        let header = block.header;
        self.free.0.try_send(block).expect("room");
        header
    }
}

fn publish(writer: &mut Writer<Block>, fill: impl FnOnce(&mut Block)) {
    let mut block = writer.claim();
    fill(&mut block);
    block.publish();
}

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("rings/one_thread");
    let mut number = 0;
    let mut fill = |block: &mut Block| {
        number += 1;
        block.header = black_box(number);
    };
    let (mut writer, mut readers) = ring(blocks(N_SLOTS), 1);
    group.bench_function("efference", |b| {
        b.iter(|| {
            publish(&mut writer, &mut fill);
            readers[0].next().expect("a block").header
        });
    });
    let mut queues = Queues::new();
    group.bench_function("rtrb", |b| b.iter(|| queues.hand_over(&mut fill)));
    let mut channels = Channels::new();
    group.bench_function("crossbeam-channel", |b| b.iter(|| channels.hand_over(&mut fill)));
    group.finish();
}

fn two_readers(c: &mut Criterion) {
    let mut group = c.benchmark_group("rings/two_readers");
    let samples = vec![2i16; N_SAMPLES];
    let fill = |block: &mut Block| {
        block.header += 1;
        block.samples.copy_from_slice(black_box(&samples));
    };
    let (mut writer, mut readers) = ring(blocks(N_SLOTS), 2);
    group.bench_function("efference", |b| {
        b.iter(|| {
            publish(&mut writer, fill);
            readers.iter_mut().map(|reader| reader.next().expect("a block").header).sum::<u64>()
        });
    });
    let mut queues = [Queues::new(), Queues::new()];
    group.bench_function("rtrb, two copies", |b| {
        b.iter(|| queues.iter_mut().map(|queues| queues.hand_over(fill)).sum::<u64>());
    });
    let mut shared = [rtrb::RingBuffer::new(N_SLOTS), rtrb::RingBuffer::new(N_SLOTS)];
    group.bench_function("rtrb, new memory", |b| {
        b.iter(|| {
            let block = Arc::new(Block { header: 1, samples: black_box(&samples).clone() });
            shared.iter_mut().for_each(|queue| queue.0.push(block.clone()).expect("room"));
            drop(block);
            shared.iter_mut().map(|queue| queue.1.pop().expect("a block").header).sum::<u64>()
        });
    });
    let mut channels = [Channels::new(), Channels::new()];
    group.bench_function("crossbeam-channel, two copies", |b| {
        b.iter(|| channels.iter_mut().map(|channels| channels.hand_over(fill)).sum::<u64>());
    });
    group.finish();
}

/// Spins until there is a block, and gives its header; `END` when the writer is gone.
fn header_of_next(reader: &mut Reader<Block>) -> u64 {
    while reader.wait(&WaitStrategy::SPIN) == Waited::TimedOut {}
    reader.next().map_or(END, |block| block.header)
}

fn spin<T>(mut pop: impl FnMut() -> Option<T>) -> T {
    loop {
        match pop() {
            Some(item) => return item,
            None => spin_loop(),
        }
    }
}

fn there_and_back(c: &mut Criterion) {
    let mut group = c.benchmark_group("rings/there_and_back");

    let (mut writer, mut far_readers) = ring(blocks(N_SLOTS), 1);
    let (mut far_writer, mut readers) = ring(blocks(N_SLOTS), 1);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                match header_of_next(&mut far_readers[0]) {
                    END => return,
                    header => publish(&mut far_writer, |block| block.header = header),
                }
            }
        });
        group.bench_function("efference", |b| {
            b.iter(|| {
                publish(&mut writer, |block| block.header = 1);
                header_of_next(&mut readers[0])
            });
        });
        drop(writer);
    });

    // One block goes there and comes back, so that these hand over a pointer and nothing else.
    let (mut out, mut far_in) = rtrb::RingBuffer::new(N_SLOTS);
    let (mut far_out, mut back) = rtrb::RingBuffer::new(N_SLOTS);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let block: Box<Block> = spin(|| far_in.pop().ok());
                if block.header == END {
                    return;
                }
                far_out.push(block).expect("room");
            }
        });
        let mut block = blocks(1).pop().map(Box::new);
        group.bench_function("rtrb", |b| {
            b.iter(|| {
                let mut there = block.take().expect("it came back");
                there.header = 1;
                out.push(there).expect("room");
                block = Some(spin(|| back.pop().ok()));
            });
        });
        let mut last = block.expect("it came back");
        last.header = END;
        out.push(last).expect("room");
    });

    let (out, far_in) = bounded::<Box<Block>>(N_SLOTS);
    let (far_out, back) = bounded(N_SLOTS);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let block = spin(|| far_in.try_recv().ok());
                if block.header == END {
                    return;
                }
                far_out.try_send(block).expect("room");
            }
        });
        let mut block = blocks(1).pop().map(Box::new);
        group.bench_function("crossbeam-channel", |b| {
            b.iter(|| {
                let mut there = block.take().expect("it came back");
                there.header = 1;
                out.try_send(there).expect("room");
                block = Some(spin(|| back.try_recv().ok()));
            });
        });
        let mut last = block.expect("it came back");
        last.header = END;
        out.try_send(last).expect("room");
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2));
    targets = one_thread, two_readers, there_and_back
}
criterion_main!(benches);
