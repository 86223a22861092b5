//! The limits of a profile's figures.
//!
//! In: a [`Profile`] as read. Out: the first thing that is wrong with it, by place, field and legal range.

use super::parts::{Signal, UNSOURCED};
use super::{GROUP_STEP, Profile};
use crate::block::CHANNELS_MAX;
use crate::error::Error;

impl Profile {
    pub(super) fn check(&self, place: &str) -> Result<(), Error> {
        for (field, source) in self.sources() {
            if source.trim().is_empty() {
                return Err(Error::input(place, "its source is empty")
                    .field(field)
                    .legal(format!("where the value is published, or `{UNSOURCED}`")));
            }
        }
        for (field, value, [min, max]) in self.limits() {
            if !(min..=max).contains(&value) {
                return Err(Error::input(place, format!("a value of {value}"))
                    .field(field)
                    .legal(format!("{min} to {max}")));
            }
        }
        let group = self.electrodes_per_group.value;
        if !group.is_multiple_of(GROUP_STEP) {
            return Err(Error::input(place, format!("groups of {group} electrodes"))
                .field("electrodes_per_group")
                .legal(format!("a multiple of {GROUP_STEP}")));
        }
        let hears_fields = self.signal == Signal::FieldPotential;
        if hears_fields != self.field.is_some() {
            return Err(Error::input(
                place,
                if hears_fields { "it is missing" } else { "its signal is spikes" },
            )
            .field("field")
            .legal("columns, pitch_mm and high_cut_hz, for a signal of field-potential and for no other"));
        }
        let modes = &self.link.modes.value;
        if let Some(twice) = (0..modes.len()).find(|&m| modes[..m].contains(&modes[m])) {
            return Err(Error::input(place, format!("`{}` stands twice", modes[twice].name()))
                .field("link.modes")
                .legal("each mode once"));
        }
        Ok(())
    }

    /// Every figure's source.
    pub(super) fn sources(&self) -> Vec<(&'static str, &str)> {
        let mut sources: Vec<(&str, &str)> = vec![
            ("electrodes", &self.electrodes.source),
            ("sample_rate_hz", &self.sample_rate_hz.source),
            ("bits", &self.bits.source),
            ("uv_per_count", &self.uv_per_count.source),
            ("electrodes_per_group", &self.electrodes_per_group.source),
            ("bin_width_ms", &self.bin_width_ms.source),
            ("link.kind", &self.link.kind.source),
            ("link.budget_bits_per_s", &self.link.budget_bits_per_s.source),
            ("link.modes", &self.link.modes.source),
        ];
        if let Some(field) = &self.field {
            sources.push(("field.columns", &field.columns.source));
            sources.push(("field.pitch_mm", &field.pitch_mm.source));
            sources.push(("field.high_cut_hz", &field.high_cut_hz.source));
        }
        sources
    }

    /// Every figure that is a number, with its least and greatest legal value.
    fn limits(&self) -> Vec<(&'static str, f64, [f64; 2])> {
        let channels_max = CHANNELS_MAX as f64;
        let mut limits = vec![
            ("electrodes", f64::from(self.electrodes.value), [1.0, channels_max]),
            ("sample_rate_hz", self.sample_rate_hz.value, RATE_HZ),
            ("bits", f64::from(self.bits.value), [2.0, 16.0]),
            ("uv_per_count", f64::from(self.uv_per_count.value), [1e-3, 1e3]),
            (
                "electrodes_per_group",
                f64::from(self.electrodes_per_group.value),
                [f64::from(GROUP_STEP), channels_max],
            ),
            ("bin_width_ms", self.bin_width_ms.value, [1.0, 1e3]),
            ("link.budget_bits_per_s", self.link.budget_bits_per_s.value as f64, BUDGET_BITS_PER_S),
            ("link.modes", self.link.modes.value.len() as f64, [1.0, MODES_MAX]),
        ];
        if let Some(field) = &self.field {
            limits.push(("field.columns", f64::from(field.columns.value), [1.0, channels_max]));
            limits.push(("field.pitch_mm", field.pitch_mm.value, PITCH_MM));
            limits.push(("field.high_cut_hz", field.high_cut_hz.value, [0.0, RATE_HZ[1]]));
        }
        limits
    }
}

/// From what just holds 150 Hz to well above any spike band.
const RATE_HZ: [f64; 2] = [400.0, 1e5];
/// From a wire for Morse to more than any cable.
const BUDGET_BITS_PER_S: [f64; 2] = [1e3, 1e12];
/// From one contact of a chip to lobes.
const PITCH_MM: [f64; 2] = [1e-3, 100.0];
/// How many modes there are.
const MODES_MAX: f64 = 5.0;
