//! Raw samples of chosen electrodes, put side by side again.
//!
//! In: records of one electrode each, of frames that all chosen ones have at once. Out: runs of frames, all electrodes
//! each, in order. Guarantees: positions only grow; a run that an electrode's part is missing of is lost as a whole and
//! counted, since a front end has no use for half a frame; memory is taken when it is built.
//!
//! A lost record costs its electrode all that follows it up to the next key frame: [`Taken::WantsKey`] says when to
//! ask for one.

use crate::time::HostTime;
use crate::wire::Raw;
use crate::wire::codec::raw::{Converter, Decoder, FRAME_MAX, RawError, usual_frames};

/// Joins the chosen electrodes of one device.
pub struct RawJoiner {
    electrodes: Vec<u32>,
    decoders: Vec<Decoder>,
    converter: Converter,
    usual: u16,
    rate_millihertz: u32,
    /// A run's samples may come so much later than its first, ns.
    patience_ns: u64,
    runs: Vec<Run>,
    /// Position of the device's sample 0.
    base: i128,
    /// One past the last frame that was given out, and when that was.
    end: Option<(u64, HostTime)>,
    is_restarted: bool,
    decoded: Vec<i16>,
    /// What came of it.
    pub counts: RawCounts,
}

/// What became of raw samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RawCounts {
    /// Runs that were given out.
    pub runs: u64,
    /// Runs of which some electrode's part never came.
    pub incomplete_runs: u64,
    /// Records that came twice, too late, or of an electrode that nobody chose.
    pub unusable_records: u64,
    /// Records behind one that was lost, before the next key frame.
    pub without_key: u64,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in its run, or of no use.
    Done,
    /// One before it was lost: only a key frame helps.
    WantsKey,
}

/// Frames one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRun<'a> {
    /// Number of the first frame in the stream.
    pub index: u64,
    /// Frames before it that won't come.
    pub n_lost: u64,
    /// One past its last sample on the device's own clock.
    pub device_end: u64,
    /// Samples, frame by frame, all electrodes each.
    pub samples: &'a [i16],
    /// When its last part came.
    pub arrived_at: HostTime,
}

#[derive(Clone)]
struct Run {
    is_used: bool,
    first: u64,
    n_frames: usize,
    /// Bit k: the k-th electrode has come.
    came: u32,
    due_at: HostTime,
    arrived_at: HostTime,
    samples: Vec<i16>,
}

impl RawJoiner {
    /// For these electrodes of a device with samples of `bits`.
    ///
    /// # Panics
    /// If there are none, or more than 32.
    pub fn new(electrodes: &[u32], bits: u8, rate_millihertz: u32, patience_ns: u64) -> Self {
        assert!((1..=32).contains(&electrodes.len()), "1 to 32 electrodes");
        let (converter, usual) = (Converter::Uniform { bits }, usual_frames(rate_millihertz));
        let run = Run {
            is_used: false,
            first: 0,
            n_frames: 0,
            came: 0,
            due_at: HostTime::default(),
            arrived_at: HostTime::default(),
            samples: vec![0; FRAME_MAX * electrodes.len()],
        };
        RawJoiner {
            decoders: vec![Decoder::new(converter, usual); electrodes.len()],
            electrodes: electrodes.to_vec(),
            converter,
            usual,
            rate_millihertz,
            patience_ns,
            runs: vec![run; RUNS],
            base: 0,
            end: None,
            is_restarted: false,
            decoded: vec![0; FRAME_MAX],
            counts: RawCounts::default(),
        }
    }

    /// The most frames of a run.
    pub fn n_frames_max(&self) -> usize {
        FRAME_MAX
    }

    /// The device has started anew, and with it its clock and its encoders.
    pub fn restart(&mut self) {
        self.decoders.fill(Decoder::new(self.converter, self.usual));
        self.runs.iter_mut().for_each(|run| run.is_used = false);
        self.is_restarted = true;
    }

    /// Takes a record that came at `now`.
    pub fn take(&mut self, now: HostTime, raw: &Raw<'_>) -> Taken {
        let Some(own) = self.electrodes.iter().position(|&electrode| electrode == raw.electrode) else {
            self.counts.unusable_records += 1;
            return Taken::Done;
        };
        let n_frames = match self.decoders[own].decode(raw.coded, &mut self.decoded) {
            Ok(n_frames) => n_frames,
            Err(RawError::NoKey | RawError::Missed { .. }) => {
                self.counts.without_key += 1;
                return Taken::WantsKey;
            }
            Err(_) => {
                self.counts.unusable_records += 1;
                return Taken::Done;
            }
        };
        let Some(at) = self.place(now, raw.first_sample, n_frames) else {
            self.counts.unusable_records += 1;
            return Taken::Done;
        };
        let (run, n) = (&mut self.runs[at], self.electrodes.len());
        if run.came >> own & 1 == 1 || run.n_frames != n_frames {
            self.counts.unusable_records += 1;
            return Taken::Done;
        }
        run.came |= 1 << own;
        run.arrived_at = now;
        let places = run.samples.iter_mut().skip(own).step_by(n);
        places.zip(&self.decoded[..n_frames]).for_each(|(place, &sample)| *place = sample);
        Taken::Done
    }

    /// The next run that is whole; those before it that won't be are given up.
    pub fn next(&mut self, now: HostTime) -> Option<RawRun<'_>> {
        loop {
            let used = self.runs.iter().enumerate().filter(|(_, run)| run.is_used);
            let (at, first) = used.map(|(at, run)| (at, run.first)).min_by_key(|&(_, first)| first)?;
            let whole = u32::MAX >> (32 - self.electrodes.len());
            let is_full = self.runs.iter().all(|run| run.is_used);
            let run = &mut self.runs[at];
            if run.came != whole {
                if run.due_at > now && !is_full {
                    return None;
                }
                run.is_used = false;
                self.counts.incomplete_runs += 1;
                continue;
            }
            run.is_used = false;
            let end = self.end.map_or(0, |(end, _)| end);
            let index = u64::try_from(i128::from(first) + self.base).unwrap_or(end).max(end);
            self.end = Some((index + run.n_frames as u64, now));
            self.counts.runs += 1;
            let run = &self.runs[at];
            return Some(RawRun {
                index,
                n_lost: index - end,
                device_end: first + run.n_frames as u64,
                samples: &run.samples[..run.n_frames * self.electrodes.len()],
                arrived_at: run.arrived_at,
            });
        }
    }

    /// The run that begins with this sample, begun if need be; `None` if it is over or makes no sense.
    fn place(&mut self, now: HostTime, first: u64, n_frames: usize) -> Option<usize> {
        if first > SAMPLE_MAX {
            return None;
        }
        if let Some(at) = self.runs.iter().position(|run| run.is_used && run.first == first) {
            return Some(at);
        }
        self.rebase(now, first);
        let end = self.end.map_or(0, |(end, _)| end);
        if i128::from(first) + self.base < i128::from(end) {
            return None;
        }
        let at = self.runs.iter().position(|run| !run.is_used)?;
        let run = &mut self.runs[at];
        (run.is_used, run.first, run.n_frames, run.came) = (true, first, n_frames, 0);
        run.due_at = now.after(self.patience_ns);
        Some(at)
    }

    /// Where the device's clock isn't where it could be (it started anew, or jumped), positions go on with the host's time.
    fn rebase(&mut self, now: HostTime, first: u64) {
        let Some((end, at)) = self.end else {
            if !self.runs.iter().any(|run| run.is_used) {
                self.base = -i128::from(first);
            }
            self.is_restarted = false;
            return;
        };
        let passed = u128::from(now.since(at)) * u128::from(self.rate_millihertz) / 1_000_000_000_000;
        let expected = i128::from(end) + passed as i128;
        let off = (i128::from(first) + self.base - expected).unsigned_abs();
        if std::mem::take(&mut self.is_restarted) || off > u128::from(self.rate_millihertz / 1_000) {
            self.runs.iter_mut().for_each(|run| run.is_used = false);
            self.base = expected - i128::from(first);
        }
    }
}

/// Runs that wait at a time.
const RUNS: usize = 16;
/// A device that counts further than this counts wrongly.
const SAMPLE_MAX: u64 = 1 << 53;
