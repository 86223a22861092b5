//! The bands that the shipped profiles need, as integers.
//!
//! `firmware-sim/src/bands.rs` computes each from its edges by `efference::filter::design` and compares; it makes those of
//! other rates too.

use super::BandPass;

/// A band, and for which rate its numbers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Samples a second, times 1,000.
    pub rate_millihertz: u32,
    /// −3 dB, Hz.
    pub low_cut_hz: u32,
    /// −3 dB, Hz.
    pub high_cut_hz: u32,
    /// The filter.
    pub filter: BandPass,
}

/// 250 Hz to 5 kHz of 19,531 Hz.
pub const SPIKES_N1: BandPass =
    BandPass { gain: 301_178_812, low: [-2_025_702_475, 959_033_875], high: [1_055_056, 206_791_836] };
/// 250 Hz to 5 kHz of 20 kHz.
pub const SPIKES_20_KHZ: BandPass =
    BandPass { gain: 290_187_500, low: [-2_028_579_315, 961_598_173], high: [-47_887_156, 207_505_581] };
/// 250 Hz to 5 kHz of 30 kHz.
pub const SPIKES_30_KHZ: BandPass =
    BandPass { gain: 153_462_340, low: [-2_068_431_849, 997_782_218], high: [-727_416_968, 295_190_853] };
/// 70 to 150 Hz of a tenth of 19,531 Hz.
pub const FIELD_N1: BandPass =
    BandPass { gain: 14_985_020, low: [-1_951_517_110, 939_695_323], high: [-1_744_398_685, 852_632_771] };
/// 70 to 150 Hz of 2 kHz, also as a tenth of 20 kHz or a fifteenth of 30.
pub const FIELD_2_KHZ: BandPass =
    BandPass { gain: 14_344_332, low: [-1_957_293_635, 942_701_317], high: [-1_756_887_779, 857_195_124] };
/// 70 to 150 Hz of 1 kHz.
pub const FIELD_1_KHZ: BandPass =
    BandPass { gain: 49_533_645, low: [-1_674_671_837, 820_559_368], high: [-1_150_303_676, 691_017_526] };

/// All of them.
pub const BANDS: [Band; 6] = [
    spikes(19_531_000, SPIKES_N1),
    spikes(20_000_000, SPIKES_20_KHZ),
    spikes(30_000_000, SPIKES_30_KHZ),
    field(1_953_100, FIELD_N1),
    field(2_000_000, FIELD_2_KHZ),
    field(1_000_000, FIELD_1_KHZ),
];

const fn spikes(rate_millihertz: u32, filter: BandPass) -> Band {
    Band { rate_millihertz, low_cut_hz: 250, high_cut_hz: 5_000, filter }
}

const fn field(rate_millihertz: u32, filter: BandPass) -> Band {
    Band { rate_millihertz, low_cut_hz: 70, high_cut_hz: 150, filter }
}
