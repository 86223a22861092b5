//! The caller's memory, so that 16 and 50,000 channels run the same code.
//!
//! Guarantees: what a channel costs is asserted here, in bytes.

use super::Crossing;
use super::band_pass::BandPassState;
use super::history::{History, Snippet};
use super::threshold::Threshold;
use efference_wire::Mode;

/// What the front end works in. `counts` has one entry a channel; each other part has as many, or none where what it is
/// for is never asked for.
#[derive(Debug, Default)]
pub struct Memory<'a> {
    /// For everything of the spike band; without it crossings are only what a simulation says.
    pub channels: &'a mut [ChannelState],
    /// Counts of the bin.
    pub counts: &'a mut [u16],
    /// For power of either band.
    pub powers: &'a mut [u64],
    /// For power of the field band.
    pub fields: &'a mut [FieldState],
    /// For snippets.
    pub histories: &'a mut [History],
    /// For crossings one by one: as many as a bin may have.
    pub crossings: &'a mut [Crossing],
    /// For snippets: as many as a bin may have.
    pub snippets: &'a mut [Snippet],
}

impl Memory<'_> {
    /// All parts are for the same channels.
    pub(super) fn check(&self) -> Result<(), NotBuilt> {
        let n_channels = self.counts.len();
        let lengths = [self.channels.len(), self.powers.len(), self.fields.len(), self.histories.len()];
        for length in lengths {
            if length != 0 && length != n_channels {
                return Err(NotBuilt { n_channels, n_found: length });
            }
        }
        Ok(())
    }

    pub(super) fn modes(&self) -> u16 {
        let has_spikes = !self.channels.is_empty();
        let has_power = !self.powers.is_empty();
        let has_list = !self.crossings.is_empty();
        let has_snippets = !self.histories.is_empty() && !self.snippets.is_empty();
        [
            (Mode::Quiet, true),
            (Mode::Counts, true),
            (Mode::SpikeBandPower, has_spikes && has_power),
            (Mode::BandPower, has_power && !self.fields.is_empty()),
            (Mode::Crossings, has_list),
            (Mode::Snippets, has_spikes && has_list && has_snippets),
        ]
        .iter()
        .fold(0, |set, &(mode, is_there)| set | u16::from(is_there) << mode as u8)
    }
}

/// What a channel's spike band needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelState {
    pub(super) filter: BandPassState,
    pub(super) threshold: Threshold,
}

impl ChannelState {
    /// Before the first frame.
    pub const NEW: ChannelState =
        ChannelState { filter: BandPassState::settled(0), threshold: Threshold::NEW };
}

/// What a channel's field band needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldState {
    pub(super) filter: BandPassState,
    /// Sum of samples since the filter got one.
    pub(super) pooled: i32,
}

impl FieldState {
    /// Before the first frame.
    pub const NEW: FieldState = FieldState { filter: BandPassState::settled(0), pooled: 0 };
}

/// Parts of the [`Memory`] are for different numbers of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBuilt {
    /// Counts.
    pub n_channels: usize,
    /// The other part's entries.
    pub n_found: usize,
}

// Bytes a channel: 48 and its count, 2; with spike-band power 8 more, with field-band power 36 besides; with snippets 66.
const _: () = assert!(size_of::<ChannelState>() == 48 && size_of::<FieldState>() == 36);
const _: () = assert!(size_of::<History>() == 66 && size_of::<Crossing>() == 4);
