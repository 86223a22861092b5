//! From samples to what is sent: filtered, compared with the noise, counted.
//!
//! In: frames, one sample a channel, in counts of at most 16 bits. Out: per channel the crossings of a bin, or the sum of
//! squares in one of two bands; the crossings one by one; the samples round them. Guarantees: integers alone; no
//! allocation, the caller's [`Memory`]; the same bits on every machine; every crossing that finds no room is counted.
//!
//! One frame at a time, as a converter gives them. A simulation without samples says [`FrontEnd::count`] instead.

mod band_pass;
pub mod bands;
mod history;
mod memory;
mod power;
mod threshold;

pub use band_pass::{BandPass, BandPassState, COEFFICIENT_BITS, FRACTION_BITS};
pub use efference_wire::codec::crossings::Crossing;
pub use history::{History, SNIPPET_BEFORE, SNIPPET_SAMPLES, Snippet};
pub use memory::{ChannelState, FieldState, Memory, NotBuilt};
pub use power::power_level;
pub use threshold::{MULTIPLE_MAX, MULTIPLE_MIN, MULTIPLE_USUAL};

use efference_wire::Mode;
use threshold::{LOOK_EVERY, READY_LOOKS, Rule};

/// What the firmware was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The spike band, at the rate of the frames.
    pub spikes: BandPass,
    /// The field band, at the rate of the frames over `field_every`.
    pub field: BandPass,
    /// The field band's filter gets the mean of so many samples; at least 1.
    pub field_every: u8,
    /// Frames after a crossing in which none is counted.
    pub refractory_frames: u8,
    /// Frames after a crossing in which only what is lower than 0.3 of its trough counts.
    pub guard_frames: u8,
}

impl Settings {
    /// For a rate near one of those that [`bands`] has numbers for; none for others. Refractory period 0.5 ms, guard
    /// 4 ms.
    #[must_use]
    pub const fn of_rate(rate_millihertz: u32) -> Option<Settings> {
        let (spikes, field, field_every) = match rate_millihertz {
            19_000_000..19_750_000 => (bands::SPIKES_N1, bands::FIELD_N1, 10),
            19_750_000..21_000_000 => (bands::SPIKES_20_KHZ, bands::FIELD_2_KHZ, 10),
            29_000_000..31_000_000 => (bands::SPIKES_30_KHZ, bands::FIELD_2_KHZ, 15),
            // No spikes at these rates; the spike filter stands there for nothing.
            1_900_000..2_100_000 => (bands::SPIKES_20_KHZ, bands::FIELD_2_KHZ, 1),
            950_000..1_050_000 => (bands::SPIKES_20_KHZ, bands::FIELD_1_KHZ, 1),
            _ => return None,
        };
        Some(Settings {
            spikes,
            field,
            field_every,
            refractory_frames: ((rate_millihertz + 1_000_000) / 2_000_000) as u8,
            guard_frames: ((rate_millihertz + 125_000) / 250_000) as u8,
        })
    }
}

/// The signal's way through the implant.
#[derive(Debug)]
pub struct FrontEnd<'a> {
    settings: Settings,
    memory: Memory<'a>,
    rule: Rule,
    mode: Mode,
    frame: u64,
    /// Samples that each sum of squares has.
    n_summed: u32,
    /// First frame of the span that crossings are listed in.
    span: u64,
    n_crossings: usize,
    n_snippets: usize,
    n_missed: u32,
    is_settled: bool,
    is_field_settled: bool,
    n_pooled: u8,
}

impl<'a> FrontEnd<'a> {
    /// In [`Mode::Quiet`], with the usual threshold.
    ///
    /// # Errors
    /// Where the parts of the memory are not for one number of channels.
    pub fn new(settings: Settings, memory: Memory<'a>) -> Result<Self, NotBuilt> {
        memory.check()?;
        Ok(FrontEnd {
            rule: Rule::new(MULTIPLE_USUAL, settings.refractory_frames, settings.guard_frames),
            settings,
            memory,
            mode: Mode::Quiet,
            frame: 0,
            n_summed: 0,
            span: 0,
            n_crossings: 0,
            n_snippets: 0,
            n_missed: 0,
            is_settled: false,
            is_field_settled: false,
            n_pooled: 0,
        })
    }

    /// One frame, a sample a channel; further samples are passed over.
    pub fn process_frame(&mut self, samples: &[i16]) {
        if !self.is_settled {
            for (state, &sample) in self.memory.channels.iter_mut().zip(samples) {
                state.filter = BandPassState::settled(scaled(sample));
            }
            self.is_settled = true;
        }
        match self.mode {
            Mode::Quiet => self.spikes::<QUIET>(samples),
            Mode::Counts => self.spikes::<COUNTED>(samples),
            Mode::SpikeBandPower => self.spikes::<POWER>(samples),
            Mode::Crossings => self.spikes::<LISTED>(samples),
            Mode::Snippets => self.spikes::<CUT>(samples),
            Mode::BandPower => {
                // Thresholds stay warm for when another mode is asked for.
                self.spikes::<QUIET>(samples);
                self.field(samples);
            }
        }
        self.frame += 1;
    }

    /// A simulation says: `n` crossings of `channel` in the frame to come. Channels that are not there are passed over.
    pub fn count(&mut self, channel: u32, n: u16) {
        if let Some(count) = self.memory.counts.get_mut(channel as usize) {
            *count = count.saturating_add(n).min(COUNT_MAX);
            if matches!(self.mode, Mode::Crossings | Mode::Snippets) {
                let offset = (self.frame - self.span) as u32;
                for _ in 0..n {
                    list(self.memory.crossings, &mut self.n_crossings, &mut self.n_missed, channel, offset);
                }
            }
        }
    }

    /// A simulation says: so many frames have passed.
    pub fn advance(&mut self, n_frames: u32) {
        self.frame += u64::from(n_frames);
    }

    /// Frames since the start.
    #[must_use]
    pub const fn frame(&self) -> u64 {
        self.frame
    }

    /// Channels.
    #[must_use]
    pub fn n_channels(&self) -> usize {
        self.memory.counts.len()
    }

    /// Set of modes that the memory suffices for, bit `mode as u8`.
    #[must_use]
    pub fn modes(&self) -> u16 {
        self.memory.modes()
    }

    /// What is taken from the signal now.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Takes something else, from the next frame on; what was collected is gone. Does nothing where the memory does
    /// not suffice; says whether.
    pub fn set_mode(&mut self, mode: Mode) -> bool {
        if self.modes() >> mode as u8 & 1 == 0 {
            return false;
        }
        self.mode = mode;
        (self.is_field_settled, self.n_pooled) = (false, 0);
        self.memory.fields.fill(FieldState::NEW);
        self.memory.histories.fill(History::EMPTY);
        self.next_bin();
        true
    }

    /// Crossings of each channel in this bin, 65,534 at most.
    #[must_use]
    pub fn counts(&self) -> &[u16] {
        self.memory.counts
    }

    /// Power of a channel in this bin, as [`power_level`] gives it; 0 of one that is not there.
    #[must_use]
    pub fn power(&self, channel: usize) -> u8 {
        self.memory.powers.get(channel).map_or(0, |&sum| power_level(sum, self.n_summed))
    }

    /// Crossings since the bin began, in their order, of one frame by channel; sorted by channel, then time, after
    /// [`FrontEnd::sort_crossings`].
    #[must_use]
    pub fn crossings(&self) -> &[Crossing] {
        &self.memory.crossings[..self.n_crossings]
    }

    /// Sorts the crossings of the bin as their codec wants them.
    pub fn sort_crossings(&mut self) {
        self.memory.crossings[..self.n_crossings].sort_unstable();
    }

    /// Frame from which [`Crossing::offset`] counts: the bin's first.
    #[must_use]
    pub const fn span(&self) -> u64 {
        self.span
    }

    /// Snippets that were completed since the bin began.
    #[must_use]
    pub fn snippets(&self) -> &[Snippet] {
        &self.memory.snippets[..self.n_snippets]
    }

    /// Crossings and snippets that found no room, since the start.
    #[must_use]
    pub const fn n_missed(&self) -> u32 {
        self.n_missed
    }

    /// A bin begins with the next frame: forgets what was collected in the one before.
    pub fn next_bin(&mut self) {
        self.memory.counts.fill(0);
        self.memory.powers.fill(0);
        (self.n_summed, self.n_crossings, self.n_snippets, self.span) = (0, 0, 0, self.frame);
    }

    /// Threshold of all channels that were given none of their own, as a multiple of their noise in 1/256,
    /// [`MULTIPLE_MIN`] to [`MULTIPLE_MAX`]. They follow within `LOOK_EVERY` frames.
    pub fn set_multiple(&mut self, multiple: u16) {
        let multiple = multiple.clamp(MULTIPLE_MIN, MULTIPLE_MAX);
        let gear = self.rule.gear;
        self.rule = Rule::new(multiple, self.settings.refractory_frames, self.settings.guard_frames);
        self.rule.gear = gear;
    }

    /// A channel's threshold in counts, below 0; or `None` to follow its noise.
    pub fn set_threshold(&mut self, channel: usize, counts: Option<i16>) {
        let is_ready = self.is_ready();
        if let Some(state) = self.memory.channels.get_mut(channel) {
            state.threshold.set(&self.rule, counts, is_ready);
        }
    }

    /// A channel's threshold in counts, rounded towards 0.
    #[must_use]
    pub fn threshold(&self, channel: usize) -> Option<i32> {
        self.memory.channels.get(channel).map(|state| state.threshold.in_counts())
    }

    /// The standard deviation of a channel's noise in 1/256 count.
    #[must_use]
    pub fn noise(&self, channel: usize) -> Option<u32> {
        self.memory.channels.get(channel).map(|state| state.threshold.noise())
    }

    fn n_looks(&self) -> u64 {
        self.frame / u64::from(LOOK_EVERY)
    }

    fn is_ready(&self) -> bool {
        self.n_looks() >= READY_LOOKS
    }

    /// The spike band's part of a frame.
    fn spikes<const WANTED: u8>(&mut self, samples: &[i16]) {
        let (filter, rule, frame) = (self.settings.spikes, self.rule, self.frame);
        let offset = (frame - self.span) as u32;
        for (channel, (state, &sample)) in self.memory.channels.iter_mut().zip(samples).enumerate() {
            let before = state.filter.last();
            let x = state.filter.process(&filter, scaled(sample));
            let crosses = state.threshold.process(&rule, before, x);
            if WANTED == POWER {
                let sum = &mut self.memory.powers[channel];
                *sum = sum.saturating_add(power::square(x));
            }
            if WANTED == CUT && self.memory.histories[channel].push(frame, x) {
                let snippet = self.memory.histories[channel].snippet(channel as u32, frame);
                match self.memory.snippets.get_mut(self.n_snippets) {
                    Some(place) => {
                        *place = snippet;
                        self.n_snippets += 1;
                    }
                    None => self.n_missed = self.n_missed.saturating_add(1),
                }
            }
            if WANTED >= COUNTED && crosses {
                let count = &mut self.memory.counts[channel];
                *count = count.saturating_add(1).min(COUNT_MAX);
                if WANTED >= LISTED {
                    let (list_into, n) = (&mut *self.memory.crossings, &mut self.n_crossings);
                    list(list_into, n, &mut self.n_missed, channel as u32, offset);
                }
                if WANTED == CUT && !self.memory.histories[channel].begin() {
                    self.n_missed = self.n_missed.saturating_add(1);
                }
            }
        }
        if WANTED == POWER {
            self.n_summed = self.n_summed.saturating_add(1);
        }
        let turn = (frame % u64::from(LOOK_EVERY)) as usize;
        let is_ready = self.is_ready();
        if turn == 0 {
            self.rule.shift(self.n_looks());
        }
        for state in self.memory.channels.iter_mut().skip(turn).step_by(LOOK_EVERY as usize) {
            state.threshold.look(&rule, state.filter.last(), is_ready);
        }
    }

    /// The field band's part of a frame.
    fn field(&mut self, samples: &[i16]) {
        let every = self.settings.field_every.clamp(1, FIELD_EVERY_MAX);
        self.n_pooled += 1;
        let is_due = self.n_pooled >= every;
        let sums = self.memory.fields.iter_mut().zip(self.memory.powers.iter_mut());
        for ((state, sum), &sample) in sums.zip(samples) {
            state.pooled += i32::from(sample);
            if is_due {
                let x = (state.pooled << FRACTION_BITS) / i32::from(every);
                if !self.is_field_settled {
                    state.filter = BandPassState::settled(x);
                }
                *sum = sum.saturating_add(power::square(state.filter.process(&self.settings.field, x)));
                state.pooled = 0;
            }
        }
        if is_due {
            (self.n_pooled, self.is_field_settled) = (0, true);
            self.n_summed = self.n_summed.saturating_add(1);
        }
    }
}

#[inline(always)]
const fn scaled(sample: i16) -> i32 {
    (sample as i32) << FRACTION_BITS
}

fn list(crossings: &mut [Crossing], n: &mut usize, n_missed: &mut u32, channel: u32, offset: u32) {
    // Neither number is larger where a bin is a second and a device has 65,536 electrodes.
    let crossing = u16::try_from(channel).ok().zip(u16::try_from(offset).ok());
    match (crossings.get_mut(*n), crossing) {
        (Some(place), Some((channel, offset))) => {
            *place = Crossing { channel, offset };
            *n += 1;
        }
        _ => *n_missed = n_missed.saturating_add(1),
    }
}

/// What is taken from the spike band; each takes what those from [`COUNTED`] on take.
const QUIET: u8 = 0;
const POWER: u8 = 1;
const COUNTED: u8 = 2;
const LISTED: u8 = 3;
const CUT: u8 = 4;
/// Counts stop here; the wire's coding has no higher one.
const COUNT_MAX: u16 = 65_534;
// The mean of so many samples of 16 bits is taken in 32.
const _: () = assert!(FRACTION_BITS + 15 + FIELD_EVERY_MAX.ilog2() < 31);
/// See [`Settings::field_every`].
pub const FIELD_EVERY_MAX: u8 = 32;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
