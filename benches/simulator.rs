//! Time per sample of the simulator: broadband of a whole device on one core, counts, and crossings.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use efference::block::StreamKind;
use efference::device::Profile;
use efference::sources::SampleSource;
use efference::sources::simulator::{Settings, Simulator};
use std::hint::black_box;

fn simulator(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulator");
    for (profile, kind) in [
        ("neuralink-n1", StreamKind::Broadband),
        ("paradromics-50k", StreamKind::Broadband),
        ("neuralink-n1", StreamKind::Counts),
        ("paradromics-50k", StreamKind::Counts),
        ("paradromics-50k", StreamKind::Crossings),
    ] {
        let mut settings = Settings::new(Profile::named(profile).expect("a shipped profile"));
        settings.kind = kind;
        let mut simulator = Simulator::new(&settings).expect("legal settings");
        let mut block = simulator.new_block();
        simulator.intend([0.2, 0.1]);
        simulator.read(&mut block).expect("the simulator's own block");
        let samples = u64::from(block.header.n_frames) * settings.electrodes as u64;
        group.throughput(Throughput::Elements(samples));
        group.bench_function(format!("{profile}/{}", kind.name()), |b| {
            b.iter(|| simulator.read(black_box(&mut block)).expect("the simulator's own block"));
        });
    }
    group.finish();
}

criterion_group!(benches, simulator);
criterion_main!(benches);
