//! The spectrum of each channel, to judge electrodes and their surroundings by: mains, noise, bands. Off the hot
//! path.
//!
//! In: blocks of broadband from a stream's beginning. Out: a [`Spectrum`]: densities in µV²/Hz (counts²/Hz where
//! the stream has no scale), and what [`ChannelSpectrum`] reads from each. Pure; memory is taken when it is
//! built, whatever the stream's length. How blocks are cut changes nothing; the last bits may differ between
//! CPUs, as the Fourier transform's do.

mod across;
mod extremes;
mod floor;
mod mains;
mod plan;
mod welch;

pub use across::{Across, quantile};
pub use floor::{Band, NoiseFloor, bands, floor_band_hz, noise_floor, slope};
pub use mains::{Line, Mains, find_mains};
pub use plan::{FRAMES_MIN, Plan, SPECTRUM_CHANNELS_MAX};
pub use welch::{Densities, Welch};

use crate::block::{Block, StreamInfo};
use crate::error::Error;
use extremes::Extremes;

/// Takes in a stream, and ends in its spectrum.
///
/// ```
/// use efference::sources::{ReadOutcome, SampleSource};
/// use efference::spectrum::{Collector, Plan};
///
/// let mut recording = efference::recording::open("sim:blackrock-utah,electrodes=16,seconds=2", None)?;
/// let info = recording.source.info().clone();
/// let mut collector = Collector::new(&info, Plan::new(&info, 0..16, 60_000, "example")?);
/// let mut block = recording.source.new_block();
/// while !collector.is_done() && recording.source.read(&mut block)? == ReadOutcome::Block {
///     collector.observe(&block);
/// }
/// let spectrum = collector.finish("example")?;
/// assert_eq!(spectrum.mains_hz(), Some(50.0)); // the simulator's hum, synthetic
/// # Ok::<(), efference::Error>(())
/// ```
pub struct Collector {
    info: StreamInfo,
    plan: Plan,
    /// Frames until the end of the stretch.
    next: u64,
    n_frames: u64,
    welch: Welch,
    extremes: Vec<Extremes>,
}

impl Collector {
    /// For a stream of `info`, as `plan` says.
    pub fn new(info: &StreamInfo, plan: Plan) -> Self {
        Collector {
            welch: Welch::new(plan.channels.clone(), plan.segment_frames),
            extremes: vec![Extremes::new(); plan.channels.len()],
            next: 0,
            n_frames: 0,
            info: info.clone(),
            plan,
        }
    }

    /// Takes in the next block, as far as it belongs to the stretch.
    pub fn observe(&mut self, block: &Block) {
        let n_channels = self.info.n_channels();
        let left = self.plan.n_frames.saturating_sub(block.header.first_sample.0);
        let n = left.min(u64::from(block.header.n_frames)) as usize;
        self.welch.observe(block, n, n_channels);
        for (extremes, &channel) in self.extremes.iter_mut().zip(&self.plan.channels) {
            extremes.observe(block, channel, n, n_channels);
        }
        self.n_frames += n as u64;
        self.next = block.end_sample().0;
    }

    /// The stretch is over.
    pub fn is_done(&self) -> bool {
        self.next >= self.plan.n_frames
    }

    /// The spectrum of what came.
    ///
    /// # Errors
    /// If no segment was whole, since frames were lost too often or the stream ended early. `place` names the
    /// recording.
    pub fn finish(self, place: &str) -> Result<Spectrum, Error> {
        let rate_hz = self.info.sample_rate.hz();
        if self.welch.n_segments() == 0 {
            return Err(Error::input(place, "no stretch without lost frames is long enough for a spectrum")
                .field("length")
                .legal(format!("{} frames in a row", self.plan.segment_frames))
                .hint("fewer --seconds, so that segments are shorter"));
        }
        let mut densities = self.welch.finish(rate_hz);
        let scale = self.info.uv_per_count.unwrap_or(1.0).powi(2);
        densities.values.iter_mut().for_each(|density| *density *= scale);
        let floor_band_hz = floor_band_hz(rate_hz);
        let mut channels: Vec<ChannelSpectrum> = (self.plan.channels.iter().zip(&self.extremes))
            .zip(densities.values.chunks(densities.n_bins))
            .map(|((&channel, extremes), density)| {
                let (resolution_hz, n_segments) = (densities.resolution_hz, densities.n_segments);
                ChannelSpectrum {
                    channel,
                    name: self.info.channels[channel].clone(),
                    noise: noise_floor(density, resolution_hz, n_segments, floor_band_hz),
                    mains: find_mains(density, resolution_hz, n_segments),
                    bands: bands(density, resolution_hz),
                    slope: slope(density, resolution_hz),
                    flags: extremes.flags(),
                }
            })
            .collect();
        flag(&mut channels);
        let unit = if self.info.uv_per_count.is_some() { "µV" } else { "counts" };
        Ok(Spectrum {
            unit,
            plan: self.plan,
            n_frames: self.n_frames,
            seconds: self.n_frames as f64 / rate_hz,
            floor_band_hz,
            densities,
            channels,
        })
    }
}

/// What was found in a stretch of a stream.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// Of the samples, after the stream's scale: `µV` or `counts`. Densities are in its square per Hz.
    pub unit: &'static str,
    /// What was computed of the stream.
    pub plan: Plan,
    /// Frames that came.
    pub n_frames: u64,
    /// Their length.
    pub seconds: f64,
    /// The band over which the noise floor is taken.
    pub floor_band_hz: (f64, f64),
    /// Channels × bins, in unit²/Hz.
    pub densities: Densities,
    /// In the order of `plan.channels`.
    pub channels: Vec<ChannelSpectrum>,
}

/// What is found in the spectrum of one channel.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ChannelSpectrum {
    /// Its index in the stream.
    pub channel: usize,
    /// Its name.
    pub name: String,
    /// What a person should look at.
    pub flags: Vec<Flag>,
    /// The level of its noise.
    pub noise: NoiseFloor,
    /// The hum of the mains.
    pub mains: Mains,
    /// Power in the bands of physiology.
    pub bands: Vec<Band>,
    /// Exponent of the density between 2 and 40 Hz.
    pub slope: Option<f64>,
}

/// What a person should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Flag {
    /// No sample differs from the first: not connected, or switched off.
    #[serde(rename = "flat")]
    Flat,
    /// Samples pile up at one value at the end of their range, as they do where a converter can't go further.
    #[serde(rename = "clipped?")]
    Clipped,
    /// Under its spikes it has three times the noise of the median channel or more.
    #[serde(rename = "noisy")]
    Noisy,
    /// Lines of 50 or 60 Hz are present.
    #[serde(rename = "mains")]
    Mains,
}

impl Flag {
    /// The word that stands in tables.
    pub fn name(self) -> &'static str {
        match self {
            Flag::Flat => "flat",
            Flag::Clipped => "clipped?",
            Flag::Noisy => "noisy",
            Flag::Mains => "mains",
        }
    }
}

impl ChannelSpectrum {
    /// Whether it has this flag.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
}

impl Spectrum {
    /// Indices of the channels that aren't flat, into `channels`.
    pub fn live(&self) -> Vec<usize> {
        (0..self.channels.len()).filter(|&i| !self.channels[i].has(Flag::Flat)).collect()
    }

    /// The density of the `i`-th of `channels`, unit²/Hz.
    pub fn density(&self, i: usize) -> &[f32] {
        &self.densities.values[i * self.densities.n_bins..(i + 1) * self.densities.n_bins]
    }

    /// The fundamental that most channels with mains have.
    pub fn mains_hz(&self) -> Option<f64> {
        let having =
            |hz: f64| self.channels.iter().filter(|channel| channel.mains.fundamental_hz == Some(hz)).count();
        let (fifty, sixty) = (having(50.0), having(60.0));
        (fifty + sixty > 0).then_some(if fifty >= sixty { 50.0 } else { 60.0 })
    }

    /// The channels that aren't flat, worst first: those that may be clipped, then by mains and the noise that
    /// stands under the spikes, together as RMS. Indices into `channels`.
    pub fn worst(&self) -> Vec<usize> {
        let mut worst = self.live();
        let trouble = |i: usize| {
            let channel = &self.channels[i];
            let noise = (channel.noise.low_density * (self.floor_band_hz.1 - self.floor_band_hz.0)).sqrt();
            (channel.has(Flag::Clipped), noise.hypot(channel.mains.rms))
        };
        worst.sort_by(|&a, &b| {
            let ((clipped_a, a), (clipped_b, b)) = (trouble(a), trouble(b));
            clipped_b.cmp(&clipped_a).then(b.total_cmp(&a))
        });
        worst
    }
}

/// Adds the flags that the spectra tell of.
fn flag(channels: &mut [ChannelSpectrum]) {
    let live = channels.iter().filter(|channel| !channel.has(Flag::Flat));
    let median = quantile(live.map(|channel| channel.noise.low_density).collect(), 0.5).unwrap_or_default();
    for channel in channels.iter_mut().filter(|channel| !channel.has(Flag::Flat)) {
        if channel.noise.low_density >= NOISY_MIN.powi(2) * median {
            channel.flags.push(Flag::Noisy);
        }
        if channel.mains.fundamental_hz.is_some() {
            channel.flags.push(Flag::Mains);
        }
    }
}

/// Times the median, in amplitude. Electrodes of one array differ by a factor of two as a rule.
const NOISY_MIN: f64 = 3.0;

#[cfg(test)]
mod tests;
