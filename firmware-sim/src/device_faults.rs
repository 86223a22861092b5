//! What a script does to the device itself: true time in, power, battery and dead electrodes out.

use crate::faults::{BatteryCurve, Effect, Electrodes, FOREVER, Script, Spans};
use efference::Error;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The device's faults, for a device of so many channels. Times are true time, µs since the start.
#[derive(Clone, Debug)]
pub struct DeviceFaults {
    n_channels: usize,
    off: Spans,
    battery: Option<BatteryCurve>,
    dead: Vec<Dead>,
}

#[derive(Clone, Debug)]
struct Dead {
    from_us: u64,
    to_us: u64,
    channels: Vec<usize>,
}

impl DeviceFaults {
    /// Draws which electrodes die where the script gives a share; the same seed draws the same.
    ///
    /// # Errors
    /// A script that names a channel that the device doesn't have.
    pub fn new(script: &Script, n_channels: usize) -> Result<Self, Error> {
        let mut dead = Vec::new();
        let mut battery = None;
        for (at, fault) in script.faults().iter().enumerate() {
            let channels = match &fault.effect {
                Effect::Battery(curve) => {
                    battery = Some(curve.clone());
                    continue;
                }
                Effect::DeadElectrodes(Electrodes::Fraction(fraction)) => {
                    let stream = script.seed() ^ (at as u64 + 1).wrapping_mul(STREAM);
                    draw(*fraction, n_channels, &mut Xoshiro256PlusPlus::seed_from_u64(stream))
                }
                Effect::DeadElectrodes(Electrodes::Channels(channels)) => channels.clone(),
                _ => continue,
            };
            if let Some(channel) = channels.iter().find(|&&channel| channel >= n_channels) {
                let place = format!("the fault script, fault {} (dead-electrodes)", at + 1);
                return Err(Error::usage(place, format!("channel {channel} of a device with {n_channels}"))
                    .field("channels")
                    .legal(format!("channels below {n_channels}"))
                    .hint("fraction, which suits any device"));
            }
            dead.push(Dead { from_us: fault.from_us, to_us: fault.to_us, channels });
        }
        Ok(DeviceFaults { n_channels, off: script.off(), battery, dead })
    }

    /// Whether the device has power.
    pub fn is_on(&self, now_us: u64) -> bool {
        !self.off.contains(now_us)
    }

    /// How often the device has started again by now: when this number grows, it has forgotten everything.
    pub fn n_restarts(&self, now_us: u64) -> u64 {
        self.off.iter().filter(|&(_, to)| to <= now_us).count() as u64
    }

    /// When power goes or comes back next after `now_us`, µs.
    pub fn next_power_change(&self, now_us: u64) -> Option<u64> {
        let times = self.off.iter().flat_map(|(from, to)| [from, to]);
        times.filter(|&time| time > now_us && time != FOREVER).min()
    }

    /// The battery's level, 0 to 1; 1 where the script has no battery.
    pub fn battery(&self, now_us: u64) -> f64 {
        self.battery.as_ref().map_or(1.0, |curve| curve.level(now_us))
    }

    /// Marks each channel that gives nothing now and clears the others.
    ///
    /// # Panics
    /// Another number of channels than the device's.
    pub fn fill_dead(&self, now_us: u64, dead: &mut [bool]) {
        assert_eq!(dead.len(), self.n_channels, "one mark a channel");
        dead.fill(false);
        for fault in self.dead.iter().filter(|fault| (fault.from_us..fault.to_us).contains(&now_us)) {
            fault.channels.iter().for_each(|&channel| dead[channel] = true);
        }
    }

    /// When electrodes die or come back next after `now_us`, µs; until then the marks stay.
    pub fn next_dead_change(&self, now_us: u64) -> Option<u64> {
        let times = self.dead.iter().flat_map(|fault| [fault.from_us, fault.to_us]);
        times.filter(|&time| time > now_us && time != FOREVER).min()
    }
}

/// So large a share of the channels, ascending, each set as likely as any other.
fn draw(fraction: f64, n_channels: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    let n_dead = (fraction * n_channels as f64).round() as usize;
    let mut channels: Vec<usize> = (0..n_channels).collect();
    for at in 0..n_dead {
        let other = rng.random_range(at as u64..n_channels as u64);
        channels.swap(at, other as usize);
    }
    channels.truncate(n_dead);
    channels.sort_unstable();
    channels
}

/// Sets these draws apart from those of the radio, which multiplies another number.
const STREAM: u64 = 0xD1B5_4A32_D192_ED03;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, n_channels: usize) -> Result<DeviceFaults, Error> {
        DeviceFaults::new(&Script::parse(text, "test").expect("a legal script"), n_channels)
    }

    fn dead(faults: &DeviceFaults, now_us: u64) -> Vec<usize> {
        let mut marks = vec![true; faults.n_channels];
        faults.fill_dead(now_us, &mut marks);
        (0..marks.len()).filter(|&channel| marks[channel]).collect()
    }

    #[test]
    fn named_electrodes_die_and_come_back() {
        let text = "[[fault]]\nkind = \"dead-electrodes\"\nfrom_s = 1\nto_s = 2\nchannels = [9, 3, 3]\n\
                    [[fault]]\nkind = \"dead-electrodes\"\nfrom_s = 1.5\nchannels = [4]";
        let faults = of(text, 10).expect("legal");
        assert!(dead(&faults, 999_999).is_empty());
        assert_eq!(dead(&faults, 1_000_000), [3, 9]);
        assert_eq!(dead(&faults, 1_999_999), [3, 4, 9], "both hold");
        assert_eq!(dead(&faults, 9_000_000), [4]);
        let changes = [0, 1_000_000, 1_500_000, 2_000_000].map(|now| faults.next_dead_change(now));
        assert_eq!(changes, [Some(1_000_000), Some(1_500_000), Some(2_000_000), None]);
        let error = of(text, 9).expect_err("no such channel").to_string();
        assert!(error.contains("fault 1") && error.contains("channels below 9"), "{error}");
    }

    #[test]
    fn a_share_of_the_electrodes_is_drawn_by_the_seed() {
        let text = |seed| format!("seed = {seed}\n[[fault]]\nkind = \"dead-electrodes\"\nfraction = 0.1");
        let drawn = |seed| dead(&of(&text(seed), 1_024).expect("legal"), 5);
        assert_eq!(drawn(1).len(), 102);
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert_eq!(
            dead(&of("[[fault]]\nkind = \"dead-electrodes\"\nfraction = 1", 7).expect("legal"), 0).len(),
            7
        );
    }

    #[test]
    fn a_battery_takes_the_device_down_and_up() {
        let text = "[[fault]]\nkind = \"battery\"\npoints = [[0, 1.0], [10, 0.0], [20, 1.0]]\n\
                    reset_below = 0.125\nback_from = 0.5\n[[fault]]\nkind = \"reboot\"\nat_s = 2\ndown_s = 1";
        let faults = of(text, 1).expect("legal");
        assert_eq!(
            [0, 5_000_000, 15_000_000, 90_000_000].map(|now| faults.battery(now)),
            [1.0, 0.5, 0.5, 1.0]
        );
        let mut changes = vec![];
        while let Some(next) = faults.next_power_change(changes.last().copied().unwrap_or(0)) {
            changes.push(next);
        }
        // At 8.75 s the level is 0.125, which isn't below it.
        assert_eq!(changes, [2_000_000, 3_000_000, 8_750_001, 15_000_000]);
        let on = [1_999_999, 2_000_000, 3_000_000, 8_750_001, 14_999_999, 15_000_000];
        assert_eq!(on.map(|now| faults.is_on(now)), [true, false, true, false, false, true]);
        assert_eq!(on.map(|now| faults.n_restarts(now)), [0, 0, 1, 1, 1, 2]);
    }
}
