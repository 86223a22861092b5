//! Electrodes that are lost while a decoder runs: found by their counts, left out, and the decoder solved again for those
//! that remain; through the pipeline, on synthetic counts.

use efference::block::{Block, StreamKind};
use efference::config::{Config, DecoderKind};
use efference::decode::Decoder;
use efference::decode::electrodes::{ElectrodeChange, ElectrodeWatch};
use efference::intents::{Action, Intent};
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording;
use efference::sources::{ReadOutcome, Recut, SampleSource};
use efference::train::{self, Basis, Choices, Dataset, score_actions};

/// Five minutes; from the fourth on, a third of the electrodes is silent.
const ADDRESS: &str =
    "sim:neuralink-n1,kind=counts,electrodes=64,width_ms=50,seconds=300,seed=5,lose=0.35@200";
const TRAINED: std::ops::Range<usize> = 0..3600;
const LOST_FROM: u64 = 4000;
const SCORED: std::ops::Range<usize> = 4800..6000;

struct Session {
    config: Config,
    data: Dataset,
    decoder: Decoder,
    choices: Choices,
}

fn session(kind: DecoderKind) -> Session {
    let mut recording = recording::open(ADDRESS, None).expect("an address");
    let mut config = recording.settle(Config::default(), "test").expect("legal");
    config.decoder.kind = kind;
    config.decoder.lags = 4;
    config.decoder.ridge = vec![100.0];
    let nothing = Calibration::default();
    let mut data = train::collect(&mut recording, &config, &nothing, 6000, |_| ()).expect("counts");
    data.rows = TRAINED;
    let fitted = train::fit(&data, &config.decoder).expect("regular");
    Session { config, data, decoder: fitted.decoder, choices: fitted.choices }
}

/// All intents and changes of a run in which `watch` sees every bin and `act` may prepare another decoder behind it.
fn run(
    session: &Session,
    cut: bool,
    mut act: impl FnMut(&[ElectrodeChange], u64) -> Option<(u64, Decoder)>,
) -> (Vec<Intent>, Vec<ElectrodeChange>) {
    let source = recording::open(ADDRESS, None).expect("an address").source;
    let mut source: Box<dyn SampleSource> = if cut { Box::new(Recut::to_about_1_ms(source)) } else { source };
    let info = source.info().clone();
    assert_eq!(info.kind, StreamKind::Counts);
    let decoder = Some(session.decoder.clone());
    let mut pipeline = Pipeline::from_config(&session.config, &info, &Calibration::default(), decoder)
        .expect("a decoder of this stream");
    let mut watch = ElectrodeWatch::of(session.decoder.normaliser(), info.n_channels());
    let (mut intents, mut changes, mut next) = (Vec::new(), Vec::new(), None);
    let mut block: Block = source.new_block();
    while source.read(&mut block).expect("no damage") == ReadOutcome::Block {
        if let Some((bin, decoder)) = std::mem::take(&mut next) {
            assert!(pipeline.take_over_behind(bin, decoder));
        }
        pipeline.process(&block, |event| match event {
            Event::Bin(bin) => {
                watch.observe(bin, |change| changes.push(change));
                if let Some(prepared) = act(&changes, bin.index) {
                    next = Some(prepared);
                }
            }
            Event::Intent(intent) => intents.push(*intent),
            _ => {}
        });
    }
    (intents, changes)
}

fn velocity_r2(session: &Session, intents: &[Intent]) -> f64 {
    let decoded: Vec<(usize, Action)> = intents
        .iter()
        .filter(|intent| SCORED.contains(&(intent.bin as usize)))
        .map(|intent| (intent.bin as usize, intent.action))
        .collect();
    score_actions(&session.data.targets, &decoded).velocity_r2.expect("movement").mean
}

#[test]
fn what_is_lost_is_found_and_solved_around_whatever_the_cut() {
    for kind in [DecoderKind::Wiener, DecoderKind::Kalman, DecoderKind::Blend] {
        let session = session(kind);
        let basis = Basis::of(&session.data, &session.config.decoder, &session.decoder, &session.choices)
            .expect("regular");
        let same = basis.resolve(|_| false).expect("regular");
        let before = session.decoder.linear().weights();
        let size = before.readout.iter().map(|w| w.abs()).fold(0.0, f32::max);
        let off = same.readout.iter().zip(&before.readout).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-3 * size, "with nothing lost it is the decoder that was fitted: {off} of {size}");

        let (plain, found) = run(&session, false, |_, _| None);
        let lost: Vec<usize> = found.iter().map(|change| change.channel).collect();
        assert!(found.iter().all(|change| change.bin >= LOST_FROM), "nothing is found before: {found:?}");
        assert!((12..=24).contains(&lost.len()), "{} of about 22 electrodes are found", lost.len());

        // Solved again behind the bin that showed the last loss, ready ten bins later.
        let decide = |changes: &[ElectrodeChange], bin: u64| {
            let behind = found.last().map(|change| change.bin).expect("some are lost");
            (bin == behind && changes.len() == found.len()).then(|| {
                let weights = basis.resolve(|feature| lost.contains(&feature)).expect("regular");
                (behind + 10, session.decoder.with_weights(weights).expect("of the same shape"))
            })
        };
        let (solved, _) = run(&session, false, decide);
        let (cut, _) = run(&session, true, decide);
        assert_eq!(solved, cut, "{kind:?}: the same bits for any cut");
        let behind = found.last().map(|change| change.bin).expect("some are lost") as usize + 10;
        assert_eq!(solved[..=behind], plain[..=behind], "{kind:?}: nothing changes before the swap");
        let (without, with) = (velocity_r2(&session, &plain), velocity_r2(&session, &solved));
        println!("{kind:?}: velocity R² {without:.3} as it was, {with:.3} solved again (synthetic)");
        assert!(with > without + 0.02, "{kind:?}: {with} for {without}");
    }
}

#[test]
fn two_sessions_added_are_one_long_one() {
    let Session { config, data, .. } = session(DecoderKind::Wiener);
    let first = Dataset { rows: 0..1800, ..data.clone() };
    let fitted = train::fit(&first, &config.decoder).expect("regular");
    let basis = Basis::of(&first, &config.decoder, &fitted.decoder, &fitted.choices).expect("regular");
    let (statistics, _) = basis.wiener.expect("a Wiener filter has sums");
    let second = Dataset { rows: 1800..3600, ..data.clone() };
    let (both, sums) =
        train::fit_onto(&second, &config.decoder, &fitted.decoder, &statistics).expect("regular");
    assert_eq!(both.choices.n_bins, 3600);
    let (total, strength) = sums.wiener.expect("and so has the next");
    assert_eq!((total.total().n, strength), (3600.0, 100.0));
    // The same bins in one session, with the first one's normaliser: a decoder as good as the joint one.
    let test = Dataset { rows: 3600..4000, ..data };
    let r2 = |decoder: &Decoder| test.score(&mut decoder.clone()).velocity_r2.expect("movement").mean;
    let joint = train::fit(&Dataset { rows: 0..3600, ..test.clone() }, &config.decoder).expect("regular");
    assert!((r2(&both.decoder) - r2(&joint.decoder)).abs() < 0.01);
    assert!(r2(&both.decoder) > r2(&fitted.decoder) - 0.01, "more bins don't make it worse");
}
