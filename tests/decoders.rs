//! Rule: what decodes, learns and watches between bins takes no memory, whichever decoder is live.

use efference::SampleIndex;
use efference::binning::Bin;
use efference::config::{Features, NormaliserKind};
use efference::decode::click::{ClickDecoder, ClickRule, Dwell};
use efference::decode::electrodes::ElectrodeWatch;
use efference::decode::shadow::{Shadow, ShadowRule};
use efference::decode::{
    Decoder, FullGain, LinearDecoder, Normaliser, Output, RecursiveLeastSquares, Weights,
};

const N: usize = 70;

fn normaliser() -> Normaliser {
    Normaliser::from_parts(NormaliserKind::Zscore, vec![0.5; N], vec![1.4; N]).expect("finite")
}

fn weights(lags: usize) -> Weights {
    Weights {
        n_features: N,
        lags,
        n_states: 2,
        readout: (0..lags * 2 * N).map(|i| (i % 13) as f32 * 0.01 - 0.06).collect(),
        recurrence: vec![0.9, 0.0, 0.0, 0.9],
        output: vec![],
        offset: vec![0.0; 2],
    }
}

const MOVES: Output = Output::Move { n_axes: 2, has_position: false };

fn steady(lags: usize) -> Decoder {
    Decoder::new(normaliser(), LinearDecoder::new(weights(lags), MOVES).expect("sizes fit"))
}

fn full() -> Decoder {
    let weights = Weights { recurrence: vec![], ..weights(1) };
    let square = |x: f64| vec![x, 0.0, 0.0, x];
    let gain = FullGain::new(square(0.9), square(0.1), square(3.0)).expect("square");
    let linear = LinearDecoder::new(weights, MOVES).and_then(|linear| linear.with_full_gain(gain));
    Decoder::new(normaliser(), linear.expect("sizes fit"))
}

fn bin(index: u64) -> Bin {
    let mut bin = Bin::of_crossings(Features::Counts, N);
    for channel in (0..N).filter(|channel| (channel + index as usize).is_multiple_of(3)) {
        bin.features[channel] = 1.0;
        bin.touched.as_mut().expect("of crossings").insert(channel);
    }
    (bin.index, bin.end, bin.received_frames) = (index, SampleIndex(index + 1), 1);
    bin.starts_segment = index == 0;
    bin
}

#[test]
fn decoders_take_over_without_memory() {
    let bins: Vec<Bin> = (0..200).map(bin).collect();
    let pairs = [
        (steady(1), steady(1)),
        (steady(5), steady(5)),
        (full(), full()),
        (steady(5).for_crossings(), steady(5).for_crossings()),
        (full().for_crossings(), full().for_crossings()),
    ];
    for (mut live, mut prepared) in pairs {
        let mut swaps = 0;
        let measured = allocation_counter::measure(|| {
            for bin in &bins {
                live.decode(bin);
                live.prepare();
                if bin.index.is_multiple_of(7) {
                    swaps += u32::from(live.take_over(&mut prepared));
                }
                live.place_cursor([0.0; 3]);
            }
        });
        assert_eq!((measured.count_total, swaps), (0, 29));
    }
}

#[test]
fn a_full_gain_settles_and_both_paths_agree() {
    let (mut dense, mut sparse) = (full(), full().for_crossings());
    for index in 0..100 {
        let bin = bin(index);
        let (a, b) = (dense.decode(&bin), sparse.decode(&bin));
        let (
            efference::intents::Action::Move { velocity: a, .. },
            efference::intents::Action::Move { velocity: b, .. },
        ) = (a.action, b.action)
        else {
            panic!("it moves")
        };
        for axis in 0..2 {
            assert!((a[axis] - b[axis]).abs() < 1e-5, "bin {index}: {a:?} and {b:?}");
        }
    }
}

#[test]
fn what_learns_watches_and_clicks_takes_no_memory() {
    let bins: Vec<Bin> = (0..600).map(bin).collect();
    let mut learner = RecursiveLeastSquares::new(vec![0.0; 2 * N], N, 10.0, 0.999).expect("legal");
    let mut watch = ElectrodeWatch::of(&normaliser(), N);
    let mut clicks = ClickDecoder::new(ClickRule::default()).expect("legal");
    let mut dwell = Dwell::new(0.1, 20);
    let mut shadow = Shadow::new(steady(3), ShadowRule { bins: 50, ..ShadowRule::default() });
    shadow.try_out(steady(3), 1);
    let features: Vec<f64> = (0..N).map(|i| i as f64 * 0.01).collect();
    let mut said = [0.0; 2];
    let mut changes = 0;
    let measured = allocation_counter::measure(|| {
        for bin in &bins {
            learner.predict(&features, &mut said);
            learner.learn(&features, &[0.5, -0.5]);
            watch.observe(bin, |_| changes += 1);
            clicks.step(if bin.index % 90 < 20 { 3.0 } else { -3.0 });
            dwell.step([bin.index as f64 * 0.01, 0.0, 0.0]);
            let both = shadow.decode(bin);
            shadow.learn(&both, [1.0, 0.0, 0.0]);
        }
    });
    assert_eq!(measured.count_total, 0);
    assert_eq!(changes, 0, "channels that fire as in training stay");
    learner.predict(&features, &mut said);
    assert!((said[0] - 0.5).abs() < 0.01, "{said:?}");
}
