//! Figures of a whole link in simulated time: what it takes, what a lossy radio costs a decoder, what random faults do.
//!
//! In: `--scripts N` random fault scripts (1,000 by default) from the seed `--first F` on (0), `--seconds S` for the
//! others, `--only throughput|loss|scripts` for one part. Out: lines `name value` for `scripts/figures link`. All of it
//! synthetic.

use efference::Error;
use efference::config::{Config, DecoderConfig, DecoderKind};
use efference::decode::Decoder;
use efference::link::Wanted;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording;
use efference::sources::{ReadOutcome, SampleSource};
use efference::train::{self, Targets, score_actions};
use firmware_sim::faults::Script;
use firmware_sim::radio::Budget;
use firmware_sim::scripts::{Outcome, run};
use firmware_sim::world::{Scene, World};

fn main() -> Result<(), Error> {
    let argument = |name: &str, usual: u64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().and_then(|value| value.parse().ok()).unwrap_or(usual)
    };
    let (first, n_scripts) = (argument("--first", 0), argument("--scripts", 1_000));
    let seconds = argument("--seconds", 60);
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    let is_wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if is_wanted("throughput") {
        throughput(seconds as f64)?;
    }
    if is_wanted("loss") {
        loss(seconds.max(30) as f64 * 5.0)?;
    }
    if is_wanted("scripts") {
        scripts(first, n_scripts)?;
    }
    Ok(())
}

/// Bits a second of everything that the device sends, headers, seals and tables included.
fn throughput(seconds: f64) -> Result<(), Error> {
    for (name, profile, mean_hz, budget_bps) in [
        ("link.1024.10hz", "neuralink-n1", 10.0, 0),
        ("link.50k.5hz", "paradromics-50k", 5.0, 1_300_000),
        ("link.50k.10hz", "paradromics-50k", 10.0, 1_300_000),
    ] {
        let device = format!("{profile},dead=0,rate_hz={}", rate_for(profile, mean_hz)?);
        let wanted = Wanted { budget_bps, ..Wanted::default() };
        let budget = Budget { bits_per_second: 2_000_000, latency_us: 2_000, mtu: 512, queue_packets: 16 };
        let mut world = World::new(&Scene { wanted, budget, ..Scene::new(&device, seconds) })?;
        let mut block = world.new_block();
        let (mut at_half, mut n_frames, mut n_bins) = (0, 0, 0.0);
        while world.step()? {
            while world.pop(&mut block).is_some() {
                n_frames += block.header.n_frames;
                n_bins += f64::from(block.header.n_frames) / f64::from(block.header.spread.max(1));
            }
            if world.now_us() == (seconds * 5e5) as u64 {
                at_half = world.report().ledger.packets.bytes;
            }
        }
        let report = world.report();
        let bytes = report.ledger.packets.bytes;
        println!("{name}.mbps {:.4}", bytes as f64 * 8.0 / seconds / 1e6);
        println!("{name}.settled_mbps {:.4}", (bytes - at_half) as f64 * 8.0 / (seconds / 2.0) / 1e6);
        println!("{name}.bin_frames {:.2}", f64::from(n_frames) / n_bins);
        println!("{name}.bins_lost {}", report.ledger.bins.lost);
        println!("{name}.balanced {}", u8::from(report.balanced));
        eprintln!("{name}: {}", report.format.as_deref().unwrap_or_default());
    }
    Ok(())
}

/// The simulator's median rate at which its electrodes have this mean.
fn rate_for(profile: &str, mean_hz: f64) -> Result<f64, Error> {
    let address = format!("sim:{profile},kind=counts,width_ms=20,dead=0,rate_hz={mean_hz},seconds=2");
    let mut source = recording::open(&address, None)?.source;
    let (mut block, n, mut sum, mut n_frames) = (source.new_block(), source.info().n_channels(), 0u64, 0u64);
    while source.read(&mut block)? == ReadOutcome::Block {
        let frames = block.header.n_frames as usize;
        if let efference::block::Payload::Counts(counts) = &block.payload {
            sum += counts[..frames * n].iter().map(|&count| u64::from(count)).sum::<u64>();
        }
        n_frames += frames as u64;
    }
    let mean = sum as f64 / n_frames as f64 / n as f64 * 50.0;
    Ok(mean_hz * mean_hz / mean)
}

/// Velocity R² of the last fifth, decoded behind a radio that loses nothing, 5 % and 20 % of the packets in bursts, by the
/// same decoder of half a second's history, which was trained behind the good one.
fn loss(seconds: f64) -> Result<(), Error> {
    let device = "neuralink-n1,electrodes=256,seed=11";
    let config = Config::parse("[bins]\nwidth_ms = 20", "figures")?;
    let decoder_config = DecoderConfig { kind: DecoderKind::Wiener, lags: 25, ..config.decoder.clone() };
    let n_bins = (seconds * 50.0) as u64 - 20;
    let mut world = World::new(&Scene::new(device, seconds))?;
    let truth = world.truth()?;
    let mut clean = recording::of_source("world", "link", Box::new(world), 0);
    clean.truth = truth;
    let data = train::collect(&mut clean, &config, &Calibration::default(), n_bins, |_| ())?;
    let (fitted, _) = train::score_last_fifth(&data, &decoder_config)?;
    let mut without = None;
    for (name, script) in [
        ("link.loss0", Script::clean()),
        ("link.loss5", shipped("loss5")?),
        ("link.loss20", shipped("loss20")?),
    ] {
        let mut world = World::new(&Scene { script, ..Scene::new(device, seconds) })?;
        let r2 = decoded(&mut world, &config, &fitted.decoder, n_bins)?;
        let report = world.report();
        let datagrams = report.ledger.datagrams;
        let share = r2 / *without.get_or_insert(r2);
        println!("{name}.lost_share {:.4}", datagrams.lost as f64 / datagrams.sent as f64);
        println!("{name}.velocity_r2 {r2:.4}");
        println!("{name}.r2_share {share:.4}");
        println!("{name}.balanced {}", u8::from(report.balanced));
    }
    Ok(())
}

fn shipped(name: &str) -> Result<Script, Error> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("faults");
    Script::read(&folder.join(format!("{name}.toml")))
}

/// Mean velocity R² of the last fifth of the bins, lost ones included.
fn decoded(world: &mut World, config: &Config, decoder: &Decoder, n_bins: u64) -> Result<f64, Error> {
    let (nothing, truth) = (Calibration::default(), world.truth()?);
    let mut pipeline = Pipeline::from_config(config, world.info(), &nothing, Some(decoder.clone()))?;
    let targets = Targets::of(&truth, pipeline.schedule(), n_bins as usize)
        .ok_or_else(|| Error::usage("figures", "the tissue says nothing of movement"))?;
    let (mut block, mut decoded) = (world.new_block(), Vec::new());
    while world.read(&mut block)? == ReadOutcome::Block {
        pipeline.process(&block, |event| {
            if let Event::Intent(intent) = event
                && (n_bins * 4 / 5..n_bins).contains(&intent.bin)
            {
                decoded.push((intent.bin as usize, intent.action));
            }
        });
    }
    let score = score_actions(&targets, &decoded);
    Ok(score.velocity_r2.map_or(0.0, |r2| r2.mean))
}

fn scripts(first: u64, n: u64) -> Result<(), Error> {
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let runs = |thread: u64| -> Result<(Vec<f64>, u64), Error> {
        let (mut recovered, mut wrong) = (Vec::new(), 0);
        for seed in (first + thread..first + n).step_by(n_threads as usize) {
            match run(seed)? {
                Outcome::Held { recovered_ms, .. } => recovered.extend(recovered_ms),
                Outcome::Wrong(what) => {
                    eprintln!("seed {seed}: {what}");
                    wrong += 1;
                }
            }
        }
        Ok((recovered, wrong))
    };
    let (mut recovered, mut wrong) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|thread| scope.spawn(move || runs(thread))).collect();
        for thread in threads {
            let (found, n_wrong) = thread.join().expect("no script panics")?;
            recovered.extend(found);
            wrong += n_wrong;
        }
        Ok::<(), Error>(())
    })?;
    recovered.sort_by(f64::total_cmp);
    let at =
        |share: f64| recovered.get(((recovered.len() - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
    println!("faults.scripts {n}");
    println!("faults.wrong {wrong}");
    println!("faults.recovery_p50_ms {:.0}", at(0.5));
    println!("faults.recovery_max_ms {:.0}", at(1.0));
    Ok(())
}
