//! What the host's end tells whoever decodes.
//!
//! Events borrow from the [`Host`](super::Host) until it is called again.

use crate::time::{HostTime, SampleIndex};
use crate::wire::{Ack, Format, Mode, Reason, Record, Telemetry};
use serde::Serialize;
use std::fmt;

/// Something that happened, in the order in which it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// The host calls the device, for the so manieth time since it was last connected, 1 for the first.
    Connecting {
        /// Which call.
        attempt: u32,
    },
    /// The device has answered, and data may come.
    Connected {
        /// What it is.
        device: &'a Device,
        /// Whether it is the one that was connected before, not started anew since.
        is_resumed: bool,
    },
    /// What data mean has changed; bins of the new epoch follow.
    FormatChanged(FormatChange),
    /// A bin, the next one in time.
    Bin(Bin<'a>),
    /// Bins that won't come.
    Gap(Gap),
    /// How the device is.
    Telemetry(Telemetry),
    /// What became of a command.
    Acknowledged(Ack),
    /// Data that aren't bins, as they came: raw samples, crossings, snippets, impedances.
    Data(Record<'a>),
    /// Nothing has come for a while; what is decoded is stale.
    Silent,
    /// Packets come again; no handshake was needed.
    Audible,
    /// The session is over; the host calls again unless it was told to end.
    Disconnected(Ending),
}

/// What a device says of itself, with what is known of its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Differs from start to start.
    pub boot: u32,
    /// Version of the firmware, major and minor.
    pub firmware: (u8, u8),
    /// Electrodes, one channel each.
    pub n_electrodes: usize,
    /// Frames a second, times 1,000.
    pub sample_rate_millihertz: u32,
    /// Bits of a sample.
    pub bits: u8,
    /// Nanovolt of one count of a sample; `None` where nobody says.
    pub nv_per_count: Option<u32>,
    /// Set of [`Mode`]s, bit `mode as u8`.
    pub modes: u16,
    /// Largest packet that it sends, bytes.
    pub mtu_max: usize,
    /// Electrodes that it can send raw at a time.
    pub n_raw_max: usize,
    /// Made by a simulator.
    pub synthetic: bool,
    /// Its own name.
    pub name: String,
    /// The profile that it follows.
    pub profile: String,
}

impl Device {
    /// Whether it can send this.
    pub fn offers(&self, mode: Mode) -> bool {
        self.modes >> (mode as u8) & 1 == 1
    }

    /// Samples of `us` microseconds, at least one.
    pub fn samples(&self, us: u32) -> u32 {
        let samples = (u64::from(us) * u64::from(self.sample_rate_millihertz) + 500_000_000) / 1_000_000_000;
        u32::try_from(samples).unwrap_or(u32::MAX).max(1)
    }
}

/// What one value per channel was in one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin<'a> {
    /// Its first sample in the stream, which goes on over restarts of the device.
    pub first_sample: SampleIndex,
    /// The same on the device's own clock.
    pub device_sample: u64,
    /// Its length, samples.
    pub width_samples: u32,
    /// Its epoch.
    pub epoch: u8,
    /// Its number in the epoch.
    pub number: u32,
    /// What the values are: counts, or power as `8 · log2` of the mean square in counts².
    pub mode: Mode,
    /// A value per channel; [`COUNT_UNKNOWN`](crate::block::COUNT_UNKNOWN) where it is not known.
    pub values: &'a [u16],
    /// Channels that are not known, those that the device leaves out included.
    pub n_unknown: usize,
    /// All came that the device sends.
    pub is_whole: bool,
    /// When the last part of it came.
    pub arrived_at: HostTime,
}

/// Bins that won't come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its first sample in the stream.
    pub first_sample: SampleIndex,
    /// Its length, samples.
    pub n_samples: u64,
    /// Bins that it had.
    pub n_bins: u64,
    /// Why.
    pub cause: Cause,
}

/// Why bins are missing. The later ones outweigh those before where several are true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The device gave them up before they were sent: every datagram round them came.
    Device,
    /// The radio lost their datagrams.
    Radio,
    /// They came, but not the format or the rate table that they need.
    Key,
    /// The link was silent, and the session outlived it.
    Stall,
    /// The session ended and another began.
    Disconnect,
    /// The device's clock jumped.
    ClockJump,
    /// The device started anew.
    Reboot,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing came for too long.
    Silence,
    /// The device said goodbye.
    Bye,
    /// The device has started anew.
    Reboot,
    /// The host was told to end it.
    Asked,
    /// Its sequence numbers are used up.
    Exhausted,
    /// Another device answered, with other electrodes or another sample rate than the first.
    OtherDevice,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Silence => "nothing came any more",
            Ending::Bye => "the device said goodbye",
            Ending::Reboot => "the device started anew",
            Ending::Asked => "it was ended here",
            Ending::Exhausted => "its numbers were used up",
            Ending::OtherDevice => {
                "another device answered, whose electrodes or sample rate are not those before"
            }
        })
    }
}

/// What data mean from now on, and what they meant before. Its text says what was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatChange {
    /// What they mean from now on.
    pub format: Format,
    /// What they meant before; `None` at first.
    pub before: Option<Format>,
    /// Frames of the device a second, times 1,000.
    pub sample_rate_millihertz: u32,
    /// Channels of the device.
    pub n_channels: usize,
}

impl FormatChange {
    /// Something that was asked for isn't given.
    pub fn gives_up(&self) -> bool {
        let Format { bin_samples, asked_bin_samples, count_max, n_left_out, .. } = self.format;
        bin_samples != asked_bin_samples || count_max < COUNT_ANY || n_left_out > 0
    }

    fn ms(&self, samples: u32) -> f64 {
        f64::from(samples) * 1e6 / f64::from(self.sample_rate_millihertz.max(1))
    }
}

impl fmt::Display for FormatChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = &self.format;
        match format.mode {
            Mode::Quiet => return f.write_str("nothing is sent"),
            Mode::Counts => f.write_str("counts")?,
            Mode::SpikeBandPower => f.write_str("spike-band power")?,
            Mode::BandPower => f.write_str("band power")?,
            Mode::Crossings => f.write_str("crossings")?,
            Mode::Snippets => f.write_str("crossings with their snippets")?,
        }
        write!(f, " in bins of {:.1} ms", self.ms(format.bin_samples))?;
        if format.bin_samples != format.asked_bin_samples {
            write!(f, " instead of {:.1} ms", self.ms(format.asked_bin_samples))?;
        }
        if format.count_max < COUNT_ANY {
            write!(f, ", counts above {} cut off", format.count_max)?;
        }
        if format.n_left_out > 0 {
            write!(f, ", {} of {} channels left out", format.n_left_out, self.n_channels)?;
        }
        if self.gives_up() || format.reason != Reason::Asked {
            let budget = f64::from(format.budget_bps) / 1e6;
            match format.reason {
                Reason::Asked => f.write_str(", as asked")?,
                Reason::Budget => write!(f, ", since {budget:.2} Mbit/s carry no more")?,
                Reason::Recovered => f.write_str(", since the link carries more again")?,
                Reason::Battery => f.write_str(", since the battery is low")?,
            }
        }
        Ok(())
    }
}

/// [`Format::count_max`] where nothing is cut off.
const COUNT_ANY: u16 = 65_534;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_was_given_up() {
        let format = Format {
            epoch: 1,
            mode: Mode::Counts,
            origin_sample: 0,
            bin_samples: 400,
            asked_bin_samples: 400,
            count_max: COUNT_ANY,
            level_min: 0,
            n_left_out: 0,
            budget_bps: 0,
            reason: Reason::Asked,
        };
        let change = |format| FormatChange {
            format,
            before: None,
            sample_rate_millihertz: 20_000_000,
            n_channels: 1024,
        };
        assert_eq!(change(format).to_string(), "counts in bins of 20.0 ms");
        assert!(!change(format).gives_up());
        let less = Format {
            bin_samples: 800,
            count_max: 3,
            level_min: 2,
            n_left_out: 100,
            budget_bps: 1_300_000,
            reason: Reason::Budget,
            ..format
        };
        assert!(change(less).gives_up());
        assert_eq!(
            change(less).to_string(),
            "counts in bins of 40.0 ms instead of 20.0 ms, counts above 3 cut off, 100 of 1024 channels left out, \
             since 1.30 Mbit/s carry no more"
        );
        let again = Format { reason: Reason::Recovered, ..format };
        assert_eq!(change(again).to_string(), "counts in bins of 20.0 ms, since the link carries more again");
    }

    #[test]
    fn widths_are_whole_samples() {
        let device = Device {
            boot: 0,
            firmware: (1, 0),
            n_electrodes: 1,
            sample_rate_millihertz: 19_531_000,
            bits: 10,
            nv_per_count: None,
            modes: 0b10,
            mtu_max: 512,
            n_raw_max: 0,
            synthetic: true,
            name: String::new(),
            profile: String::new(),
        };
        assert_eq!((device.samples(20_000), device.samples(0)), (391, 1));
        assert!(device.offers(Mode::Counts) && !device.offers(Mode::Quiet));
    }
}
