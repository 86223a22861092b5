//! Hybrid recordings: a recorded background to which spikes are added whose times are known.
//!
//! In: a broadband recording, a seed, and signal-to-noise ratios. Out: a [`Hybrid`]: for every ratio a copy of each
//! usable electrode with one added unit, as int16 codes, with the times of all that was added; and the same
//! electrodes untouched. Guarantee: the same recording and settings give the same bytes. The result is synthetic:
//! the background was recorded, the spikes in question were not.
//!
//! # What is added
//!
//! Shapes come from the recording's own large spikes ([`template`]), as averages of the broadband signal. A unit
//! has one of them, and fires as a Poisson process with a refractory period at whole frames, on one electrode alone:
//! its neighbours hear nothing. Sums are rounded to codes and held at the converter's rails.
//!
//! # Signal-to-noise ratio
//!
//! The depth of the added trough in the **broadband** signal, before any filter, over the electrode's noise in the
//! spike band: median |x| / 0.6745 of the background after the causal band-pass of the usual front end, 250 Hz to
//! 5 kHz of order 2. That filter leaves some 0.65 to 0.8 of a trough's depth, so a ratio of 6 stands about 4.3 times
//! the noise deep where a threshold sees it.
//!
//! The background has spikes of its own, which detectors find too: what is no added spike is *unexplained* rather
//! than false, and is to be read beside the crossings of the untouched background.

mod background;
pub mod settings;
pub mod template;
mod times;

pub use settings::Settings;
pub use template::Template;

use crate::error::Error;
use crate::recording::Recording;
use crate::recording::spikes::Spike;
use crate::time::{SampleIndex, SampleRate};
use background::{Background, Electrode};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

/// A background, with added spikes and without.
#[derive(Clone, Debug)]
pub struct Hybrid {
    /// Frames a second.
    pub sample_rate: SampleRate,
    /// µV of a code, where the recording says so.
    pub uv_per_count: Option<f32>,
    /// The background was simulated, not recorded.
    pub background_synthetic: bool,
    /// Frames of either stream.
    pub n_frames: u64,
    /// Codes frame by frame, one channel per unit.
    pub samples: Vec<i16>,
    /// Codes of the untouched electrodes, frame by frame, in the order of `electrodes`.
    pub background: Vec<i16>,
    /// Names of the electrodes that were taken.
    pub electrodes: Vec<String>,
    /// What was left out, and why: a name and a reason each.
    pub left_out: Vec<(String, String)>,
    /// What was added, by channel.
    pub units: Vec<Unit>,
    /// What the added spikes look like.
    pub templates: Vec<Template>,
    /// Every added spike, by time, then by unit; `sample` is its trough in the broadband signal.
    pub spikes: Vec<Spike>,
    /// Samples that an added spike drove past a rail.
    pub n_clipped: u64,
}

/// One added unit. Its number is its channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// The channel that it is on, and on no other.
    pub peak_channel: usize,
    /// The electrode whose background it is added to.
    pub electrode: String,
    /// Depth of its trough over the electrode's noise, as the module defines it.
    pub snr: f64,
    /// Depth of its trough in codes.
    pub trough_codes: f64,
    /// The electrode's noise in codes.
    pub noise_codes: f64,
    /// Which of the templates it has.
    pub template: usize,
    /// How often it fires.
    pub spikes: usize,
}

/// Makes a hybrid of `recording`, whose samples it reads to their end. `place` names it in errors.
///
/// # Errors
/// Settings out of range; a recording that isn't int16 broadband, has no usable electrode or no large spikes, or is
/// damaged; more samples than fit [`settings::VALUES_MAX`].
pub fn make(recording: Recording, settings: &Settings, place: &str) -> Result<Hybrid, Error> {
    settings.check(place)?;
    let recorded = Background::read(recording, settings, place)?;
    let templates = template::of_recording(&recorded.columns, recorded.sample_rate, settings)?;
    if templates.is_empty() {
        return Err(Error::input(place, "no electrode has enough large spikes to make a template of")
            .legal(format!(
                "at least {} spikes of {} × noise on one electrode",
                template::SPIKES_MIN,
                template::TROUGH_MIN
            ))
            .hint("more electrodes, or a longer recording"));
    }
    let (electrodes, left_out) = recorded.usable(settings)?;
    if electrodes.is_empty() {
        return Err(Error::input(place, "no electrode is quiet and whole enough")
            .legal("electrodes whose samples change, touch no rail, and cross seldom by themselves")
            .hint("other --channels, or a higher --own-max-hz"));
    }
    settings.check_size(electrodes.len(), recorded.n_frames, place)?;
    Ok(mix(&recorded, &electrodes, left_out, templates, settings))
}

fn mix(
    recorded: &Background,
    electrodes: &[Electrode],
    left_out: Vec<(String, String)>,
    templates: Vec<Template>,
    settings: &Settings,
) -> Hybrid {
    let (n_frames, n_channels) = (recorded.n_frames, electrodes.len() * settings.snr.len());
    let mut samples = vec![0; n_frames * n_channels];
    let mut background = vec![0; n_frames * electrodes.len()];
    let (mut units, mut spikes, mut n_clipped) = (Vec::new(), Vec::new(), 0);
    for (at, electrode) in electrodes.iter().enumerate() {
        let codes = &recorded.columns[electrode.channel].codes;
        let column = background[at..].iter_mut().step_by(electrodes.len());
        column.zip(codes).for_each(|(sample, &code)| *sample = code);
    }
    for (channel, (&snr, (at, electrode))) in settings
        .snr
        .iter()
        .flat_map(|snr| electrodes.iter().enumerate().map(move |electrode| (snr, electrode)))
        .enumerate()
    {
        let mut rng = generator(settings.seed, channel);
        let template = rng.random_range(0..templates.len());
        let times = times::draw(n_frames, recorded.sample_rate, settings.rate_hz, &mut rng);
        let trough = snr * electrode.noise;
        let mut signal: Vec<f64> =
            recorded.columns[electrode.channel].codes.iter().map(|&code| f64::from(code)).collect();
        times.iter().for_each(|&time| templates[template].add(&mut signal, time, trough));
        let column = samples[channel..].iter_mut().step_by(n_channels);
        for (sample, value) in column.zip(signal) {
            let code = value.round();
            let held = code.clamp(f64::from(*settings.rails.start()), f64::from(*settings.rails.end()));
            n_clipped += u64::from(held != code);
            *sample = held as i16;
        }
        let unit = channel as u32;
        let spike = |&time: &usize| Spike { sample: SampleIndex(time as u64), unit, peak_channel: unit };
        spikes.extend(times.iter().map(spike));
        units.push(Unit {
            peak_channel: channel,
            electrode: electrodes[at].name.clone(),
            snr,
            trough_codes: trough,
            noise_codes: electrode.noise,
            template,
            spikes: times.len(),
        });
    }
    spikes.sort_by_key(|spike| (spike.sample.0, spike.unit));
    Hybrid {
        sample_rate: recorded.sample_rate,
        uv_per_count: recorded.uv_per_count,
        background_synthetic: recorded.synthetic,
        n_frames: n_frames as u64,
        samples,
        background,
        electrodes: electrodes.iter().map(|electrode| electrode.name.clone()).collect(),
        left_out,
        units,
        templates,
        spikes,
        n_clipped,
    }
}

/// Each channel has random numbers of its own.
fn generator(seed: u64, channel: usize) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add((channel as u64 + 1).wrapping_mul(GOLDEN)))
}

/// 2⁶⁴ over the golden ratio, odd: seeds that follow one another land far apart.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests;
