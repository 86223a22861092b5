//! What an implant's electrodes hear: the simulator of `efference`, a millisecond at a time.
//!
//! In: a simulator's address without its `sim:`. Out: broadband frames, or the spikes themselves where nobody wants to
//! wait for filters. Guarantees the samples that `efference` itself simulates under the same address.

use crate::watch::Watcher;
use efference::block::{Block, Crossing, Payload, StreamKind};
use efference::recording::{self, Recording, Truth};
use efference::sources::simulator::{Settings, Simulator};
use efference::sources::{ReadOutcome, SampleSource};
use efference::{Error, SampleRate};
use std::collections::HashSet;

/// Simulated tissue round an implant.
pub struct Tissue {
    source: Source,
    block: Block,
    truth: Truth,
    dead: Vec<bool>,
    rehearsed: Option<Rehearsed>,
}

/// Whose tissue it is.
enum Source {
    /// Of a user who follows a script.
    Script(Box<dyn SampleSource>),
    /// Of one who watches a screen.
    Watching(Box<(Simulator, Watcher)>),
}

impl Source {
    fn get(&self) -> &dyn SampleSource {
        match self {
            Source::Script(source) => &**source,
            Source::Watching(both) => &both.0,
        }
    }
}

/// Blocks of spikes that were simulated beforehand.
struct Rehearsed {
    blocks: Vec<(u32, Vec<Crossing>)>,
    next: usize,
    left_ms: u64,
}

/// What was heard within a block.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// Samples in counts of the converter, frame by frame, all electrodes each.
    Frames(&'a [i16]),
    /// Spikes of so many milliseconds, one by one, as if found without error.
    Spikes {
        /// Milliseconds.
        n_ms: u32,
        /// Which, by millisecond and electrode.
        spikes: &'a [Crossing],
    },
}

impl Tissue {
    /// Tissue for `seconds`. `address` is a profile and what differs from it: `neuralink-n1,seed=3`. With `spikes`, no
    /// broadband is simulated, which is what 50,000 electrodes on a desk need.
    ///
    /// # Errors
    /// As the simulator's own address.
    pub fn open(address: &str, spikes: bool, seconds: f64) -> Result<Self, Error> {
        let kind = if spikes { "crossings,width_ms=1" } else { "broadband" };
        let Recording { source, truth, .. } =
            recording::open(&format!("sim:{address},kind={kind},seconds={seconds}"), None)?;
        // Of spikes, who is silent may just have no neuron.
        let dead = recording::open(&format!("sim:{address},kind=broadband,seconds=1"), None)?;
        let silent: HashSet<&String> = dead.about.silent_channels.iter().collect();
        let dead = source.info().channels.iter().map(|name| silent.contains(name)).collect();
        let block = source.new_block();
        Ok(Tissue { source: Source::Script(source), block, truth, dead, rehearsed: None })
    }

    /// From now on it fires to what somebody intends who watches a screen, until the implant is switched off.
    ///
    /// # Errors
    /// As [`Tissue::open`], with the same `address` and `spikes`.
    pub fn watch(&mut self, address: &str, spikes: bool, watcher: Watcher) -> Result<(), Error> {
        let kind = if spikes { "crossings,width_ms=1" } else { "broadband" };
        let settings = Settings::parse(&format!("sim:{address},kind={kind}"))?;
        self.source = Source::Watching(Box::new((Simulator::new(&settings)?, watcher)));
        Ok(())
    }

    /// Simulates its first `seconds` now and repeats them for `lifetime`: for tissue that takes longer to simulate than it
    /// lasts. What the user intends isn't true of the repetitions.
    ///
    /// # Errors
    /// Where samples are simulated, of which there would be too many.
    pub fn rehearse(&mut self, seconds: f64, lifetime: f64) -> Result<(), Error> {
        let (wanted_ms, mut ms, mut blocks) = ((seconds * 1e3).max(1.0) as u64, 0, Vec::new());
        while ms < wanted_ms {
            let Some(Heard::Spikes { n_ms, spikes }) = self.read()? else {
                return Err(Error::usage("--rehearse", "samples, or more than the tissue's life")
                    .legal("with --spikes, for less than --seconds"));
            };
            blocks.push((n_ms, spikes.to_vec()));
            ms += u64::from(n_ms);
        }
        self.rehearsed = Some(Rehearsed { blocks, next: 0, left_ms: (lifetime * 1e3) as u64 });
        Ok(())
    }

    /// Whether each electrode hears nothing from the beginning on.
    pub fn dead_electrodes(&self) -> &[bool] {
        &self.dead
    }

    /// Electrodes.
    pub fn n_electrodes(&self) -> usize {
        self.source.get().info().n_channels()
    }

    /// Frames a second of broadband; 1,000 where there are spikes alone.
    pub fn sample_rate(&self) -> SampleRate {
        self.source.get().info().sample_rate
    }

    /// What the user intends.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The next block, about a millisecond; `None` when the time is over.
    ///
    /// # Errors
    /// None of a simulator.
    pub fn read(&mut self) -> Result<Option<Heard<'_>>, Error> {
        if let Some(rehearsed) = &mut self.rehearsed {
            let (n_ms, spikes) = &rehearsed.blocks[rehearsed.next];
            rehearsed.next = (rehearsed.next + 1) % rehearsed.blocks.len();
            let is_over = rehearsed.left_ms < u64::from(*n_ms);
            rehearsed.left_ms = rehearsed.left_ms.saturating_sub(u64::from(*n_ms));
            return Ok((!is_over).then_some(Heard::Spikes { n_ms: *n_ms, spikes }));
        }
        let outcome = match &mut self.source {
            Source::Script(source) => source.read(&mut self.block)?,
            Source::Watching(both) => {
                let (simulator, watcher) = &mut **both;
                if let Some(intention) = watcher.look(BLOCK_MS) {
                    simulator.intend(intention.velocity);
                    simulator.intend_click(intention.click);
                }
                simulator.read(&mut self.block)?
            }
        };
        if outcome == ReadOutcome::End {
            return Ok(None);
        }
        let info = self.source.get().info();
        let n_frames = self.block.header.n_frames;
        Ok(Some(match (&self.block.payload, info.kind) {
            (Payload::Crossings(spikes), StreamKind::Crossings) => Heard::Spikes { n_ms: n_frames, spikes },
            (Payload::Int16(samples), _) => Heard::Frames(&samples[..n_frames as usize * info.n_channels()]),
            _ => return Err(Error::usage("tissue", "a block of another kind than was asked for")),
        }))
    }
}

/// About a block's.
const BLOCK_MS: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_either_kind_is_heard_whole() {
        let mut tissue = Tissue::open("blackrock-utah,electrodes=16,seed=2", false, 1.0).expect("legal");
        let mut n_samples = 0;
        while let Some(heard) = tissue.read().expect("a simulator") {
            let Heard::Frames(samples) = heard else { panic!("broadband was asked for") };
            n_samples += samples.len();
        }
        assert_eq!(n_samples, 30_000 * 16);
        let mut tissue = Tissue::open("blackrock-utah,electrodes=16,seed=2", true, 1.0).expect("legal");
        let (mut ms, mut n_spikes) = (0, 0);
        while let Some(heard) = tissue.read().expect("a simulator") {
            let Heard::Spikes { n_ms, spikes } = heard else { panic!("spikes were asked for") };
            assert!(spikes.iter().all(|spike| u32::from(spike.frame) < n_ms && spike.channel < 16));
            (ms, n_spikes) = (ms + n_ms, n_spikes + spikes.len());
        }
        assert!(ms == 1000 && n_spikes > 10, "{ms} ms, {n_spikes} spikes");
    }

    #[test]
    fn what_was_rehearsed_is_heard_again_and_again() {
        let open = || Tissue::open("blackrock-utah,electrodes=16,seed=2", true, 2.0).expect("legal");
        let heard = |tissue: &mut Tissue| {
            let mut all = Vec::new();
            while let Some(Heard::Spikes { n_ms, spikes }) = tissue.read().expect("a simulator") {
                all.push((n_ms, spikes.to_vec()));
            }
            all
        };
        let (live, mut rehearsed) = (heard(&mut open()), open());
        rehearsed.rehearse(0.5, 1.2).expect("spikes");
        let again = heard(&mut rehearsed);
        assert_eq!(again.iter().map(|(n_ms, _)| n_ms).sum::<u32>(), 1200);
        let first: Vec<_> = live.iter().take(500).cloned().collect();
        assert_eq!(&again[..500], &first[..]);
        assert_eq!(&again[500..1000], &first[..]);
        let mut samples = Tissue::open("blackrock-utah,electrodes=16,seed=2", false, 1.0).expect("legal");
        assert!(samples.rehearse(0.5, 1.0).is_err());
    }
}
