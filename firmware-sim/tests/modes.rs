//! What a device can send, decoded: crossings and snippets become the counts that it would have sent, power feeds a model
//! of power, raw samples go through the front end. All of it synthetic.

use efference::block::{Payload, StreamKind};
use efference::config::Config;
use efference::decode::Decoder;
use efference::intents::Intent;
use efference::link::Wanted;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording;
use efference::sources::{ReadOutcome, SampleSource};
use efference::train;
use efference::wire::Mode;
use firmware_sim::faults::Script;
use firmware_sim::radio::Budget;
use firmware_sim::tissue::{Heard, Tissue};
use firmware_sim::world::{Scene, World};

/// A scene on a radio that carries all of it.
fn scene(device: &str, seconds: f64, spikes: bool, wanted: Wanted) -> Scene {
    let budget = Budget { bits_per_second: 20_000_000, latency_us: 2_000, mtu: 512, queue_packets: 64 };
    Scene { spikes, wanted, budget, ..Scene::new(device, seconds) }
}

fn wanted(mode: Mode) -> Wanted {
    Wanted { mode, ..Wanted::default() }
}

/// A decoder of counts, trained behind a good radio.
fn decoder_of_counts(device: &str, seconds: f64, config: &Config) -> Decoder {
    let mut world = World::new(&scene(device, seconds, true, wanted(Mode::Counts))).expect("legal");
    let truth = world.truth().expect("frames come");
    let mut recording = recording::of_source("world", "link", Box::new(world), 0);
    recording.truth = truth;
    let n_bins = (seconds * 50.0) as u64 - 20;
    let data =
        train::collect(&mut recording, config, &Calibration::default(), n_bins, |_| ()).expect("enough bins");
    train::fit(&data, &config.decoder).expect("enough bins").decoder
}

/// All intents of a world, and every frame that led to them.
fn decoded(scene: &Scene, config: &Config, decoder: &Decoder) -> (Vec<Intent>, Vec<Vec<u16>>) {
    let mut world = World::new(scene).expect("legal");
    let none = Calibration::default();
    let mut pipeline =
        Pipeline::from_config(config, world.info(), &none, Some(decoder.clone())).expect("legal");
    let (mut intents, mut frames, mut block) = (Vec::new(), Vec::new(), world.new_block());
    let n = world.info().n_channels();
    while world.read(&mut block).expect("a simulation") == ReadOutcome::Block {
        let Payload::Counts(counts) = &block.payload else { panic!("counts") };
        frames.extend(counts[..n * block.header.n_frames as usize].chunks(n).map(<[u16]>::to_vec));
        pipeline.process(&block, |event| {
            if let Event::Intent(intent) = event {
                intents.push(*intent);
            }
        });
    }
    let report = world.report();
    assert!(report.balanced && report.ledger.bins.lost == 0, "{:?}", report.ledger.bins);
    assert_eq!(report.ledger.records.malformed, 0);
    (intents, frames)
}

#[test]
fn crossings_give_the_intents_that_counts_give() {
    let device = "blackrock-utah,electrodes=40,seed=5";
    let config = Config::parse("[bins]\nwidth_ms = 20\n[decoder]\nkind = \"wiener\"\nlags = 5", "test")
        .expect("legal");
    let decoder = decoder_of_counts(device, 60.0, &config);
    let of = |mode| decoded(&scene(device, 12.0, true, wanted(mode)), &config, &decoder);
    let (counts, crossings) = (of(Mode::Counts), of(Mode::Crossings));
    assert!(counts.0.len() > 580 && counts.1.iter().flatten().any(|&count| count > 1));
    assert!(counts.1 == crossings.1, "the same counts");
    assert!(counts.0 == crossings.0, "the same intents, to the bit");
}

#[test]
fn snippets_are_counted_as_the_crossings_that_they_are_cut_round() {
    let device = "blackrock-utah,electrodes=8,seed=5,snr=14";
    let config = Config::parse("[bins]\nwidth_ms = 20\n[decoder]\nkind = \"wiener\"\nlags = 2", "test")
        .expect("legal");
    let decoder = decoder_of_counts(device, 30.0, &config);
    let of = |mode| decoded(&scene(device, 4.0, false, wanted(mode)), &config, &decoder);
    let (counts, snippets) = (of(Mode::Counts), of(Mode::Snippets));
    assert!(counts.1.iter().flatten().any(|&count| count > 0), "something crosses");
    assert!(counts == snippets, "the same counts and intents");
}

#[test]
fn crossings_behind_a_lossy_radio_are_never_made_up() {
    let device = "blackrock-utah,electrodes=40,seed=5";
    let text = "[[fault]]\nkind = \"loss\"\nprobability = 0.2";
    let script = Script::parse(text, "test").expect("legal");
    let frames = |script: Script| {
        let scene = Scene { script, ..scene(device, 8.0, true, wanted(Mode::Crossings)) };
        let mut world = World::new(&scene).expect("legal");
        let (mut block, mut frames) = (world.new_block(), Vec::new());
        while world.read(&mut block).expect("a simulation") == ReadOutcome::Block {
            let Payload::Counts(counts) = &block.payload else { panic!("counts") };
            frames.push((block.header.first_sample.0, counts[..40].to_vec()));
        }
        let report = world.report();
        assert!(report.balanced, "{:?}", report.ledger);
        (frames, report.ledger.bins.lost + report.ledger.bins.partial)
    };
    let ((whole, n_missing), (lossy, n_lossy)) = (frames(Script::clean()), frames(script));
    assert!(n_missing == 0 && n_lossy > 20, "{n_missing} and {n_lossy} bins are not whole");
    // The handshake took as long or longer, so that the one grid may begin later than the other.
    let is_prefix_of = |offset: usize| {
        lossy.iter().all(|(index, counts)| {
            whole.get(*index as usize + offset).is_none_or(|(_, all)| {
                counts.iter().zip(all).all(|(one, other)| *one == u16::MAX || one == other)
            })
        })
    };
    assert!((0..100).any(is_prefix_of), "what came is what was sent");
}

#[test]
fn power_of_the_device_is_that_of_the_front_end() {
    for (device, band, mode, seconds) in [
        ("blackrock-utah,electrodes=12,seed=3", [250.0, 5000.0], Mode::SpikeBandPower, 6.0),
        ("synchron-stentrode,seed=3", [70.0, 150.0], Mode::BandPower, 20.0),
    ] {
        let text = format!(
            "[front_end]\nlow_cut_hz = {}\nhigh_cut_hz = {}\n[bins]\nwidth_ms = 20\nfeatures = \"power\"",
            band[0], band[1]
        );
        let config = Config::parse(&text, "test").expect("legal");
        let mut world = World::new(&scene(device, seconds, false, wanted(mode))).expect("legal");
        assert!(matches!(world.info().kind, StreamKind::Power(_)));
        let linked = mean_power(&mut world, &config, &Calibration::default());
        let address = format!("sim:{device},seconds={seconds}");
        let mut direct = recording::open(&address, None).expect("legal").source;
        let unknown = Calibration::unknown(direct.info().n_channels());
        let direct = mean_power(&mut *direct, &config, &unknown);
        for (channel, (linked, direct)) in linked.iter().zip(&direct).enumerate() {
            let ratio = linked / direct;
            // A dead electrode's power is below what a level can say.
            assert!(*direct < 0.1 || (0.95..1.05).contains(&ratio), "{device}, channel {channel}: {ratio}");
        }
        assert!(direct.iter().any(|&power| power > 1.0), "{direct:?}");
    }
}

/// The mean of each channel's power, of all bins but those of the first second.
fn mean_power(source: &mut dyn SampleSource, config: &Config, calibration: &Calibration) -> Vec<f64> {
    let mut pipeline = Pipeline::from_config(config, source.info(), calibration, None).expect("legal");
    let (mut block, mut sums, mut n) = (source.new_block(), vec![0.0; source.info().n_channels()], 0.0);
    while source.read(&mut block).expect("a good stream") == ReadOutcome::Block {
        pipeline.process(&block, |event| {
            if let Event::Bin(bin) = event
                && bin.index >= 50
            {
                n += 1.0;
                sums.iter_mut().zip(&bin.features).for_each(|(sum, &power)| *sum += f64::from(power));
            }
        });
    }
    sums.iter().map(|sum| sum / n).collect()
}

/// Frames of a world of raw samples by their number, and how many were lost on the way.
fn raw_frames(scene: &Scene) -> (Vec<(u64, Vec<i16>)>, u64) {
    let mut world = World::new(scene).expect("legal");
    let n = world.info().n_channels();
    assert_eq!((world.info().kind, n), (StreamKind::Broadband, scene.wanted.raw_electrodes.len()));
    let (mut block, mut frames, mut n_lost) = (world.new_block(), Vec::new(), 0);
    while world.read(&mut block).expect("a simulation") == ReadOutcome::Block {
        let Payload::Int16(samples) = &block.payload else { panic!("samples") };
        let first = block.header.first_sample.0;
        let end = frames.last().map_or(0, |&(index, _): &(u64, Vec<i16>)| index + 1);
        assert_eq!(first, end + u64::from(block.header.lost_frames), "every frame is accounted for");
        n_lost += u64::from(block.header.lost_frames);
        let rows = samples[..n * block.header.n_frames as usize].chunks(n);
        frames.extend((first..).zip(rows.map(<[i16]>::to_vec)));
    }
    (frames, n_lost)
}

#[test]
fn raw_samples_are_those_of_the_tissue_whatever_is_lost() {
    let device = "blackrock-utah,electrodes=8,seed=5";
    let chosen = [6, 0, 3];
    let asked = Wanted { raw_electrodes: chosen.to_vec(), ..wanted(Mode::Quiet) };
    let mut tissue = Tissue::open(device, false, 7.0).expect("legal");
    let mut heard: Vec<Vec<i16>> = Vec::new();
    while let Some(Heard::Frames(samples)) = tissue.read().expect("a simulator") {
        let chosen = |frame: &[i16]| chosen.iter().map(|&at| frame[at as usize]).collect();
        heard.extend(samples.chunks(8).map(chosen));
    }
    for (text, lost_max) in [("", 0.0), ("[[fault]]\nkind = \"loss\"\nprobability = 0.02", 0.7)] {
        let script = Script::parse(text, "test").expect("legal");
        let (frames, n_lost) = raw_frames(&Scene { script, ..scene(device, 6.0, false, asked.clone()) });
        let n_came = frames.len() as f64;
        assert!(n_came > 30_000.0, "{n_came} frames");
        let share = n_lost as f64 / (n_lost as f64 + n_came);
        assert!(share <= lost_max && (lost_max == 0.0 || n_lost > 0), "{share} of the frames are lost");
        let (first, probe) = (frames[0].0 as usize, &frames[..40]);
        let fits = |offset: usize| {
            probe.iter().all(|(index, frame)| heard.get(*index as usize - first + offset) == Some(frame))
        };
        let offset = (0..30_000).find(|&offset| fits(offset)).expect("where the stream began");
        for (index, frame) in &frames {
            assert_eq!(Some(frame), heard.get(*index as usize - first + offset), "frame {index}, `{text}`");
        }
    }
}
