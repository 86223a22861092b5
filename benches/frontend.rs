//! Time per sample of the whole front end, 16-bit samples in and bins out, from 1,024 to 50,000 channels.
//!
//! The throughput in elements is samples a second on one core; two cores are measured by `figures`, which also
//! holds all of this against the fastest read of the same bytes. The streams are synthetic.

#[path = "support/stream.rs"]
mod stream;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use efference::simd::Level;
use stream::Case;

fn front_end(criterion: &mut Criterion) {
    // A run that only tests needs no 50,000 channels.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let mut group = criterion.benchmark_group("frontend");
    for case in Case::ALL.into_iter().filter(|case| case.n_shards == 1) {
        let case = if is_test { case.small() } else { case };
        group.throughput(Throughput::Elements(case.samples(1) as u64));
        let mut streams = case.streams();
        let stream = &mut streams[0];
        stream.run(BLOCKS_OF_A_BIN, |_| ());
        group.bench_function(format!("{}/bins", case.name), |b| b.iter(|| stream.run(1, |_| ())));
        if case.order == 2 {
            for level in Level::all() {
                let name = format!("{}/only read, {}", case.name, level.name());
                group.bench_function(name, |b| b.iter(|| stream.read(level, 1)));
            }
        }
    }
    group.finish();
}

/// 20 ms of blocks of 1 ms.
const BLOCKS_OF_A_BIN: usize = 20;

criterion_group!(benches, front_end);
criterion_main!(benches);
