//! What was recorded, electrode by electrode, and which electrodes will do as a background.
//!
//! In: a recording of int16 broadband. Out: its samples channel by channel, and per usable electrode its noise in the
//! spike band, in codes. An electrode is left out where its samples don't change, touch a rail, hardly leave a code
//! (its noise is then the converter's), or cross too often by themselves.

use super::settings::{Settings, VALUES_MAX};
use super::template::{Column, SETTLE_SECONDS, noise_of};
use crate::block::{Payload, StreamKind};
use crate::config::FrontEndConfig;
use crate::error::Error;
use crate::filter::Section;
use crate::filter::reference::sosfilt;
use crate::recording::Recording;
use crate::sources::ReadOutcome;
use crate::time::SampleRate;

/// A recording, channel by channel.
pub(super) struct Background {
    pub(super) sample_rate: SampleRate,
    pub(super) uv_per_count: Option<f32>,
    pub(super) synthetic: bool,
    pub(super) n_frames: usize,
    pub(super) columns: Vec<Column>,
}

/// An electrode that will do.
pub(super) struct Electrode {
    pub(super) channel: usize,
    pub(super) name: String,
    /// In the spike band, in codes.
    pub(super) noise: f64,
}

impl Background {
    /// All samples of `recording`.
    pub(super) fn read(recording: Recording, settings: &Settings, place: &str) -> Result<Self, Error> {
        let mut source = recording.source;
        let info = source.info().clone();
        let n_channels = info.n_channels();
        let mut block = source.new_block();
        if info.kind != StreamKind::Broadband || !matches!(block.payload, Payload::Int16(_)) {
            return Err(Error::input(place, "it doesn't hold samples as a converter gave them")
                .field("kind")
                .legal("broadband of 16-bit integers")
                .hint("`efference inspect` says what a recording holds"));
        }
        if settings.channels.is_empty() || settings.channels.end > n_channels {
            let found = format!("channels {}..{}", settings.channels.start, settings.channels.end);
            return Err(Error::usage(place, found)
                .field("--channels")
                .legal(format!("A..B with A < B, within 0..{n_channels}, the channels of this recording")));
        }
        let n_frames = source.n_frames().unwrap_or(0) as usize;
        if n_frames.saturating_mul(n_channels) > VALUES_MAX {
            return Err(Error::input(place, format!("{n_channels} channels of {n_frames} frames"))
                .legal(format!("at most {VALUES_MAX} samples"))
                .hint("a part of the recording"));
        }
        let mut codes = vec![Vec::with_capacity(n_frames); n_channels];
        while source.read(&mut block)? == ReadOutcome::Block {
            let Payload::Int16(samples) = &block.payload else { continue };
            for frame in samples.chunks_exact(n_channels).take(block.header.n_frames as usize) {
                codes.iter_mut().zip(frame).for_each(|(column, &code)| column.push(code));
            }
        }
        let columns = codes.into_iter().zip(&info.channels);
        Ok(Background {
            sample_rate: info.sample_rate,
            uv_per_count: info.uv_per_count,
            synthetic: info.synthetic,
            n_frames: block.end_sample().0 as usize,
            columns: columns.map(|(codes, name)| Column { name: name.clone(), codes }).collect(),
        })
    }

    /// The electrodes among `settings.channels` that will do, and the others with the reason.
    #[allow(clippy::type_complexity)]
    pub(super) fn usable(
        &self,
        settings: &Settings,
    ) -> Result<(Vec<Electrode>, Vec<(String, String)>), Error> {
        let sections = FrontEndConfig::default().sections(self.sample_rate)?;
        let (mut usable, mut left_out) = (Vec::new(), Vec::new());
        for channel in settings.channels.clone() {
            let column = &self.columns[channel];
            match self.noise(column, settings, &sections) {
                Ok(noise) => usable.push(Electrode { channel, name: column.name.clone(), noise }),
                Err(reason) => left_out.push((column.name.clone(), reason)),
            }
        }
        Ok((usable, left_out))
    }

    /// An electrode's noise in codes, or why it won't do.
    fn noise(&self, column: &Column, settings: &Settings, sections: &[Section]) -> Result<f64, String> {
        if let Some(reason) = column.spoilt(&settings.rails) {
            return Err(reason.to_string());
        }
        let settle = (SETTLE_SECONDS * self.sample_rate.hz()) as usize;
        let filtered = sosfilt(sections, &column.less_its_first());
        let filtered = filtered.get(settle..).unwrap_or_default();
        let noise = noise_of(filtered);
        if noise < NOISE_MIN_CODES {
            return Err(format!("its noise is {noise:.2} codes"));
        }
        let level = OWN_THRESHOLD * noise;
        let own = filtered.windows(2).filter(|pair| pair[1] < level && pair[0] >= level).count();
        let own_hz = own as f64 * self.sample_rate.hz() / filtered.len() as f64;
        match own_hz > settings.own_max_hz {
            true => Err(format!("it crosses {own_hz:.1} times a second by itself")),
            false => Ok(noise),
        }
    }
}

/// By how much an electrode has to leave its codes.
const NOISE_MIN_CODES: f64 = 1.0;
/// At which its own crossings are counted, times its noise.
const OWN_THRESHOLD: f64 = -4.5;
