//! The figures of the front end: samples a second from 16-bit samples to bins, and of only reading the same bytes.
//!
//! In, as arguments: `--rounds N`, and `--only NAME,NAME` for some of the cases. Out: one line of JSON with what
//! every round gave; read and front end alternate. The streams are synthetic.
//!
//! The machine may be shared. Each measurement is therefore taken twice: by the clock (`gsps`), and by the time
//! that its thread had a core (`gsps_on_cpu`), into which other programs reach only through the caches. On an idle
//! machine they agree. Ratios (`ceiling_share`) are of the latter, within a round.
//!
//! `scripts/figures frontend` runs it on one core and on two, and makes the table of it.

#[path = "support/stream.rs"]
mod stream;

use efference::Error;
use efference::simd::Level;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;
use stream::{Case, Stream};

fn main() -> Result<(), Error> {
    let options = Options::of_arguments()?;
    let mut measured: Vec<Measured> =
        options.cases.iter().map(|&case| Measured::new(case, &options)).collect();
    for _ in 0..options.rounds {
        measured.iter_mut().for_each(|measured| measured.round(&options));
    }
    let cases: Vec<Value> = measured.iter().map(Measured::to_json).collect();
    let cores = thread::available_parallelism().map_or(1, |n| n.get());
    let report = json!({
        "synthetic": true,
        "level": Level::widest().name(),
        "cores": cores,
        "rounds": options.rounds,
        "cases": cases,
    });
    println!("{report}");
    Ok(())
}

struct Options {
    rounds: usize,
    cases: Vec<Case>,
    /// Of one measurement of the front end.
    samples: usize,
}

impl Options {
    /// Cargo's own words, `--bench` and `--test`, are among the arguments; as a test it is small.
    fn of_arguments() -> Result<Self, Error> {
        let mut options = Options { rounds: ROUNDS, cases: Case::ALL.to_vec(), samples: SAMPLES };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), &mut arguments) {
                ("--bench", _) => {}
                ("--test", _) => {
                    options = Options {
                        rounds: 2,
                        cases: Case::ALL.map(Case::small).to_vec(),
                        samples: SAMPLES / 1_000,
                    };
                }
                ("--rounds", rest) => {
                    options.rounds = number(&rest.next().unwrap_or_default())?;
                }
                ("--only", rest) => {
                    let names = rest.next().unwrap_or_default();
                    options.cases.retain(|case| names.split(',').any(|name| name == case.name));
                    if options.cases.is_empty() {
                        return Err(illegal(&names, "--only", &Case::ALL.map(|case| case.name).join(", ")));
                    }
                }
                _ => return Err(illegal(&argument, "arguments", "--rounds N, --only NAME,NAME")),
            }
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<usize, Error> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| illegal(text, "--rounds", "1 or more"))
}

fn illegal(found: &str, field: &str, legal: &str) -> Error {
    Error::usage("figures", format!("`{found}`")).field(field).legal(legal)
}

/// A case and what its rounds gave.
struct Measured {
    case: Case,
    streams: Vec<Stream>,
    reader: Level,
    crossings_per_second: f64,
    rounds: Vec<Speed>,
    ceiling: Vec<Speed>,
}

impl Measured {
    fn new(case: Case, options: &Options) -> Self {
        let mut streams = case.streams();
        // The fastest of the loops that only read: narrower vectors may well be as fast, memory being the limit.
        let read = |level: Level| (reading(&case, &mut streams, level, options).on_cpu, level);
        let trials: Vec<(f64, Level)> =
            Level::all().into_iter().cycle().take(TRIALS * Level::all().len()).map(read).collect();
        let fastest = trials.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        let reader = fastest.map_or(Level::widest(), |(_, level)| level);
        let mut crossings = 0.0;
        let n_blocks = options.samples.div_ceil(case.samples(1)).next_multiple_of(BLOCKS_OF_A_BIN);
        for stream in &mut streams {
            stream.run(n_blocks, |bin| {
                let counts = &bin.features[..bin.features.len() / 2];
                crossings += counts.iter().map(|&count| f64::from(count)).sum::<f64>();
            });
        }
        let seconds = n_blocks as f64 * case.n_frames as f64 / case.rate_hz;
        let crossings_per_second = crossings / seconds / case.n_channels as f64;
        Measured { case, streams, reader, crossings_per_second, rounds: Vec::new(), ceiling: Vec::new() }
    }

    fn round(&mut self, options: &Options) {
        self.ceiling.push(reading(&self.case, &mut self.streams, self.reader, options));
        let n_blocks = options.samples.div_ceil(self.case.samples(1)).next_multiple_of(BLOCKS_OF_A_BIN);
        // A shard waits for the others at the end of a bin, as a decoder of all of them would have it.
        let run = |stream: &mut Stream, bin_end: &Barrier| {
            for _ in 0..n_blocks / BLOCKS_OF_A_BIN {
                stream.run(BLOCKS_OF_A_BIN, |_| ());
                bin_end.wait();
            }
        };
        let took = together(&mut self.streams, |stream| stream.run(BLOCKS_OF_A_BIN, |_| ()), run);
        self.rounds.push(Speed::of(self.case.samples(n_blocks), took));
    }

    fn to_json(&self) -> Value {
        let rounds = self.rounds.iter().zip(&self.ceiling);
        let share: Vec<f64> = rounds.map(|(own, read)| own.on_cpu / read.on_cpu).collect();
        json!({
            "name": self.case.name,
            "n_channels": self.case.n_channels,
            "n_frames": self.case.n_frames,
            "order": self.case.order,
            "threads": self.case.n_shards,
            "crossings_per_second_and_channel": self.crossings_per_second,
            "gsps": spread(self.rounds.iter().map(|speed| speed.by_clock).collect()),
            "gsps_on_cpu": spread(self.rounds.iter().map(|speed| speed.on_cpu).collect()),
            "ceiling_gsps": spread(self.ceiling.iter().map(|speed| speed.by_clock).collect()),
            "ceiling_gsps_on_cpu": spread(self.ceiling.iter().map(|speed| speed.on_cpu).collect()),
            "ceiling_level": self.reader.name(),
            "ceiling_share": spread(share),
        })
    }
}

/// Gigasamples a second.
#[derive(Clone, Copy)]
struct Speed {
    by_clock: f64,
    on_cpu: f64,
}

impl Speed {
    fn of(n_samples: usize, took: Took) -> Self {
        let giga = n_samples as f64 / 1e9;
        Speed { by_clock: giga / took.seconds, on_cpu: giga / took.cpu_seconds }
    }
}

/// Of the loop that only reads.
fn reading(case: &Case, streams: &mut [Stream], level: Level, options: &Options) -> Speed {
    let n_blocks = READS_PER_SAMPLE * options.samples.div_ceil(case.samples(1));
    let took = together(streams, |stream| stream.read(level, 4), |stream, _| stream.read(level, n_blocks));
    Speed::of(case.samples(n_blocks), took)
}

/// By the clock, and of the thread that had a core for longest.
struct Took {
    seconds: f64,
    cpu_seconds: f64,
}

/// How long it took until every stream, on a thread of its own, had done its work; all begin at once, warmed up.
fn together(
    streams: &mut [Stream],
    warm_up: impl Fn(&mut Stream) + Sync,
    work: impl Fn(&mut Stream, &Barrier) + Sync,
) -> Took {
    let start = Barrier::new(streams.len());
    let bin_end = Barrier::new(streams.len());
    let one = |stream: &mut Stream| {
        warm_up(stream);
        start.wait();
        let (started, cpu_started) = (now(), cpu_now());
        work(stream, &bin_end);
        Took { seconds: started.elapsed().as_secs_f64(), cpu_seconds: cpu_now() - cpu_started }
    };
    if let [stream] = streams {
        return one(stream);
    }
    let longer = |a: Took, b: Took| Took {
        seconds: a.seconds.max(b.seconds),
        cpu_seconds: a.cpu_seconds.max(b.cpu_seconds),
    };
    thread::scope(|scope| {
        let threads: Vec<_> = streams.iter_mut().map(|stream| scope.spawn(|| one(stream))).collect();
        let took = threads.into_iter().map(|thread| thread.join().expect("a shard that doesn't panic"));
        took.reduce(longer).expect("a shard")
    })
}

/// What the rounds gave, in their order, and what lies in their middle and at their ends.
fn spread(each: Vec<f64>) -> Value {
    let mut values = each.clone();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    json!({
        "median": (values[(n - 1) / 2] + values[n / 2]) / 2.0,
        "min": values[0],
        "max": values[n - 1],
        "each": each,
    })
}

#[expect(clippy::disallowed_methods, reason = "a bench times what the stages do")]
fn now() -> Instant {
    Instant::now()
}

/// Seconds for which this thread had a core.
fn cpu_now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

const ROUNDS: usize = 15;
/// Some 30 ms of work.
const SAMPLES: usize = 60_000_000;
/// Reading is that much faster; a measurement of it takes about as long.
const READS_PER_SAMPLE: usize = 8;
/// Per level, to find the fastest.
const TRIALS: usize = 3;
/// 20 ms of blocks of 1 ms.
const BLOCKS_OF_A_BIN: usize = 20;
