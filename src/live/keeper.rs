//! The keeper's thread: decoders for the electrodes that are left, and the log of what happened to the decoder.
//!
//! In: bins that were decoded, what someone says. Out: decoders, each handed over in a slot to the thread that decodes; and a
//! line for each swap, panic and resume. Guarantees: the thread that decodes takes and frees no memory for it, and waits for
//! nothing: a decoder takes over between two bins once it is there, and the one that it replaced comes back to be freed here.

use super::Plan;
use super::clock::HostTime;
use super::log::{LogLine, Swap};
use crate::binning::Bin;
use crate::decode::Decoder;
use crate::decode::keeper::Keeper;
use crate::error::Error;
use crate::pipeline::Joint;
use crate::rings::{Giver, Reader, Taker, Writer, hand_over, ring};
use crate::train::Basis;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where the lines of a log go.
pub type WriteLine<'a> = Box<dyn FnMut(&LogLine) -> Result<(), Error> + Send + 'a>;

/// What a run does about its decoder while it runs.
pub struct Keeping<'a> {
    /// What the decoder is solved again from when electrodes are lost or come back; `None` leaves it as it is.
    pub basis: Option<&'a Basis>,
    /// How often someone has asked for the decoder before. Added to from anywhere.
    pub rollbacks: &'a AtomicU32,
    /// Hears of swaps, panics and resumes as they happen, on a thread that may take its time. What fails is told once, and
    /// then hears no more.
    pub log: Option<WriteLine<'a>>,
}

/// What happened at a bin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    TakenOver,
    Panic,
    Hold(bool),
    Resumed,
}

#[derive(Clone, Copy, Debug)]
struct Happened {
    what: What,
    bin: u64,
    /// Of the bin's end.
    seconds: f64,
    at: HostTime,
}

/// A bin that was decoded.
#[derive(Clone, Debug)]
struct Seen {
    bin: Bin,
    at: HostTime,
}

/// The end at the thread that decodes.
pub(crate) struct Port {
    prepared: Taker<Box<Decoder>>,
    retired: Giver<Box<Decoder>>,
    /// `None` where nobody follows the electrodes.
    seen: Option<Writer<Seen>>,
    happened: Writer<Happened>,
    rate_hz: f64,
}

impl Port {
    /// Before a bin is decoded: lets a decoder take over that is there.
    pub(crate) fn take_over(&mut self, joint: &mut Joint, plan: &Plan<'_>) {
        let Some(mut decoder) = self.prepared.take() else { return };
        joint.take_over(&mut decoder);
        // There is room: the keeper gives the next one only when it has this one back.
        if let Err(decoder) = self.retired.give(decoder) {
            // Never freed here.
            std::mem::forget(decoder);
        }
        self.tell(What::TakenOver, joint.bin(), plan);
    }

    /// After a bin was decoded.
    pub(crate) fn show(&mut self, bin: &Bin, at: HostTime) {
        if let Some(seen) = &mut self.seen {
            let mut slot = seen.claim();
            slot.bin.copy_from(bin);
            slot.at = at;
            slot.publish();
        }
    }

    /// Tells of what counts from `bin` on.
    pub(crate) fn tell(&mut self, what: What, bin: &Bin, plan: &Plan<'_>) {
        let mut slot = self.happened.claim();
        let seconds = bin.end.0 as f64 / self.rate_hz;
        *slot = Happened { what, bin: bin.index, seconds, at: plan.clock.now() };
        slot.publish();
    }
}

/// The other end, with all that takes time and memory.
pub(crate) struct KeeperThread<'a> {
    /// `None` where nobody follows the electrodes.
    follows: Option<Follows<'a>>,
    rollbacks: &'a AtomicU32,
    heard_rollbacks: u32,
    log: Option<WriteLine<'a>>,
    happened: Reader<Happened>,
    pub(crate) swaps: Vec<Swap>,
    pub(crate) panics: u32,
    pub(crate) resumes: u32,
    /// Asked for where there was no decoder before.
    pub(crate) refused_rollbacks: u32,
    /// Solutions that were singular.
    pub(crate) unsolved: u32,
    pub(crate) failures: Vec<Error>,
}

struct Follows<'a> {
    basis: &'a Basis,
    /// As it was trained.
    decoder: Decoder,
    n_channels: usize,
    keeper: Keeper,
    seen: Reader<Seen>,
    last_bin: u64,
    prepared: Giver<Box<Decoder>>,
    retired: Taker<Box<Decoder>>,
    /// The demand that is open.
    found_bin: u64,
    found_at: HostTime,
    solve_ns: u64,
}

/// Both ends, for the `decoder` that runs in `joint`.
///
/// # Errors
/// A decoder that can't be solved from its basis.
pub(crate) fn keeper<'a>(
    keeping: Keeping<'a>,
    joint: &Joint,
    decoder: Decoder,
    rate_hz: f64,
) -> Result<(Port, KeeperThread<'a>), Error> {
    let (to_port, prepared) = hand_over();
    let (retired, from_port) = hand_over();
    let nothing = Happened { what: What::Resumed, bin: 0, seconds: 0.0, at: HostTime::default() };
    let (happened, mut hearers) = ring(vec![nothing; HAPPENED], 1);
    let (mut seen, mut follows) = (None, None);
    if let Some(basis) = keeping.basis {
        let bin = joint.bin();
        let decoder = if bin.touched.is_some() { decoder.for_crossings() } else { decoder };
        // What can't be done is known before the stream begins.
        let solved = basis.without(&decoder, &[0], bin.n_channels);
        if !solved.is_some_and(|solved| solved.is_alike(&decoder)) {
            return Err(Error::model("the model's statistics", "the decoder can't be solved from them")
                .legal("the statistics that it was trained with")
                .hint("train it again with --keep-statistics"));
        }
        let (writer, mut readers) = ring(vec![Seen { bin: bin.clone(), at: HostTime::default() }; SEEN], 1);
        seen = Some(writer);
        follows = Some(Follows {
            basis,
            n_channels: bin.n_channels,
            keeper: Keeper::new(decoder.normaliser(), bin.n_channels),
            decoder,
            seen: readers.remove(0),
            last_bin: 0,
            prepared: to_port,
            retired: from_port,
            found_bin: 0,
            found_at: HostTime::default(),
            solve_ns: 0,
        });
    }
    let keeper = KeeperThread {
        follows,
        rollbacks: keeping.rollbacks,
        heard_rollbacks: keeping.rollbacks.load(Ordering::Relaxed),
        log: keeping.log,
        happened: hearers.remove(0),
        swaps: Vec::new(),
        panics: 0,
        resumes: 0,
        refused_rollbacks: 0,
        unsolved: 0,
        failures: Vec::new(),
    };
    Ok((Port { prepared, retired, seen, happened, rate_hz }, keeper))
}

impl KeeperThread<'_> {
    /// Looks after the decoder until no more bins come.
    pub(crate) fn run(&mut self, plan: &Plan<'_>) {
        loop {
            let is_over = self.happened.is_closed();
            self.hear();
            self.roll_back(plan);
            self.watch(plan);
            if is_over || plan.has_failed() {
                break;
            }
            // Rather than be woken, which would cost the thread that decodes a call of the system.
            std::thread::sleep(TURN);
        }
    }

    /// Things that happened before anyone heard of them: the log is not whole.
    pub(crate) fn unheard(&self) -> u64 {
        self.happened.overwritten()
    }

    /// Channels that the decoder does without now; `None` where nobody follows the electrodes.
    pub(crate) fn lost(&self) -> Option<usize> {
        self.follows.as_ref().map(|follows| follows.keeper.live().len())
    }

    fn hear(&mut self) {
        while let Some(happened) = self.happened.next().map(|happened| *happened) {
            let bin = happened.bin;
            let line = match happened.what {
                What::Panic => {
                    self.panics += 1;
                    LogLine::Panic { bin }
                }
                What::Hold(is_held) => LogLine::Hold { bin, is_held },
                What::Resumed => {
                    self.resumes += 1;
                    LogLine::Resumed { bin }
                }
                What::TakenOver => {
                    let Some(swap) = self.follows.as_mut().and_then(|follows| follows.taken(&happened))
                    else {
                        continue;
                    };
                    self.swaps.push(swap.clone());
                    LogLine::Swap(swap)
                }
            };
            if let Some(write) = &mut self.log
                && let Err(error) = write(&line)
            {
                self.failures.push(error);
                self.log = None;
            }
        }
    }

    fn watch(&mut self, plan: &Plan<'_>) {
        let Some(follows) = &mut self.follows else { return };
        while let Some((lost, bin, at)) = follows.next_loss() {
            let wanted = || self.rollbacks.load(Ordering::Relaxed) == self.heard_rollbacks;
            (follows.found_bin, follows.found_at) = (bin, at);
            self.unsolved += u32::from(!follows.solve(&lost, plan, wanted));
        }
    }

    /// Goes back to the decoder before once nothing else is under way.
    fn roll_back(&mut self, plan: &Plan<'_>) {
        let asked = self.rollbacks.load(Ordering::Relaxed);
        let Some(follows) = &mut self.follows else {
            self.refused_rollbacks += asked.wrapping_sub(self.heard_rollbacks);
            self.heard_rollbacks = asked;
            return;
        };
        if asked == self.heard_rollbacks || follows.keeper.is_asking() {
            return;
        }
        // One at a time.
        self.heard_rollbacks = self.heard_rollbacks.wrapping_add(1);
        let Some(lost) = follows.keeper.roll_back().map(<[usize]>::to_vec) else {
            self.refused_rollbacks += 1;
            return;
        };
        (follows.found_bin, follows.found_at) = (follows.last_bin, plan.clock.now());
        self.unsolved += u32::from(!follows.solve(&lost, plan, || true));
    }
}

impl Follows<'_> {
    /// Takes bins in until one says that the decoder has to do without other channels: which, and the bin.
    fn next_loss(&mut self) -> Option<(Vec<usize>, u64, HostTime)> {
        while let Some(seen) = self.seen.next() {
            self.last_bin = seen.bin.index;
            if let Some(lost) = self.keeper.observe(&seen.bin) {
                return Some((lost.to_vec(), seen.bin.index, seen.at));
            }
        }
        None
    }

    /// Solves and hands over, unless it is `wanted` no longer; false where it can't be solved.
    fn solve(&mut self, lost: &[usize], plan: &Plan<'_>, wanted: impl Fn() -> bool) -> bool {
        let began = plan.clock.now();
        let solved = self.basis.without(&self.decoder, lost, self.n_channels);
        self.solve_ns = plan.clock.now().since(began);
        let is_solved = solved.is_some();
        let given = solved.filter(|_| wanted()).is_some_and(|new| self.prepared.give(Box::new(new)).is_ok());
        if !given {
            self.keeper.failed();
        }
        is_solved
    }

    fn taken(&mut self, happened: &Happened) -> Option<Swap> {
        // What was replaced is freed here.
        drop(self.retired.take());
        let masked = self.keeper.taken(happened.bin)?;
        let ms = |ns: u64| (ns as f64 / 1e3).round() / 1e3;
        Some(Swap {
            masked,
            seconds: happened.seconds,
            found_bin: self.found_bin,
            ms: ms(happened.at.since(self.found_at)),
            solve_ms: ms(self.solve_ns),
        })
    }
}

/// How often the keeper looks for something to do.
const TURN: Duration = Duration::from_millis(1);
/// Bins that wait to be watched, while it solves: those that are overwritten say nothing of any electrode.
const SEEN: usize = 16;
/// Things that happened and wait to be logged: more than anyone can say within a second.
const HAPPENED: usize = 256;
