//! What a profile is made of: figures with their sources, the link, the lie of electrodes in a field.
//!
//! In: TOML. Out: plain values that [`Profile::from_toml`](super::Profile::from_toml) checks.

use serde::Deserialize;

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure<T> {
    /// The value.
    pub value: T,
    /// Where it comes from; starts with `unsourced` where nobody says.
    pub source: String,
}

impl<T> Figure<T> {
    /// Somebody publishes this value.
    pub fn is_sourced(&self) -> bool {
        !is_unsourced(&self.source)
    }
}

/// What electrodes hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Spikes of single neurons.
    Spikes,
    /// Field potentials alone.
    FieldPotential,
}

/// Electrodes that hear field potentials, row by row on a rectangle.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Electrodes of a row; 1 for a line of them.
    pub columns: Figure<u32>,
    /// Distance from one electrode to the next in a row and from row to row, mm.
    pub pitch_mm: Figure<f64>,
    /// Above it, what lies between brain and electrode weakens a field by 6 dB an octave, Hz; 0 for none.
    pub high_cut_hz: Figure<f64>,
}

/// What carries a device's data.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What it is.
    pub kind: Figure<LinkKind>,
    /// What it carries, bits a second, headers included.
    pub budget_bits_per_s: Figure<u64>,
    /// What the device can send over it; first what it sends unless asked.
    pub modes: Figure<Vec<Mode>>,
}

/// A kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// A cable to the rig, with room for every sample.
    Wired,
    /// Bluetooth Low Energy.
    Ble,
    /// Datagrams over Ethernet.
    Udp,
}

impl LinkKind {
    /// Its word in profiles.
    pub fn name(self) -> &'static str {
        match self {
            LinkKind::Wired => "wired",
            LinkKind::Ble => "ble",
            LinkKind::Udp => "udp",
        }
    }
}

/// What a device sends of its electrodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every sample.
    Raw,
    /// Crossings, counted in bins.
    Counts,
    /// Crossings, one by one.
    Crossings,
    /// Mean square in the spike band, a bin.
    SpikeBandPower,
    /// Mean square in a band of field potentials, a bin.
    BandPower,
}

impl Mode {
    /// Its word in profiles.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Raw => "raw",
            Mode::Counts => "counts",
            Mode::Crossings => "crossings",
            Mode::SpikeBandPower => "spike-band-power",
            Mode::BandPower => "band-power",
        }
    }
}

/// Whether nobody publishes a figure.
pub(super) fn is_unsourced(source: &str) -> bool {
    source.starts_with(UNSOURCED)
}

/// What the source of a figure starts with that nobody publishes.
pub(super) const UNSOURCED: &str = "unsourced";
