//! What the battery has left.
//!
//! In: time that passed, bits that the radio sent. Out: percent and millivolt for telemetry. Guarantees: whole numbers;
//! charge only sinks, unless it is charged, and never below nothing. The figures are a made-up cell's of the size that
//! implants have, not any maker's.

use crate::link::Vitals;

/// A lithium-ion cell, and what draws on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Battery {
    full_nj: u64,
    left_nj: u64,
    /// What is drawn whatever is sent.
    idle_uw: u32,
    /// What a bit on the air takes.
    bit_nj: u32,
    /// Nanojoules of a microsecond's fraction that are not drawn yet, in 1/1,000.
    rest: u64,
}

impl Battery {
    /// A full cell of so many joules. `idle_uw` µW are drawn all the time, `bit_nj` nJ for each bit sent.
    ///
    /// ```
    /// use efference_firmware::Battery;
    /// let mut battery = Battery::new(1, 1_000, 100);
    /// battery.drain(500_000_000, 0); // 500 s of 1 mW: half a joule.
    /// assert_eq!((battery.percent(), battery.millivolt()), (50, 3_810));
    /// battery.drain(0, 2_000_000); // 0.2 J.
    /// assert_eq!(battery.percent(), 30);
    /// ```
    #[must_use]
    pub const fn new(joule: u32, idle_uw: u32, bit_nj: u32) -> Self {
        let full_nj = joule as u64 * 1_000_000_000;
        Battery { full_nj, left_nj: full_nj, idle_uw, bit_nj, rest: 0 }
    }

    /// `us` microseconds have passed, in which `bits` were sent.
    pub fn drain(&mut self, us: u64, bits: u64) {
        // A microwatt is a thousandth of a nanojoule a microsecond.
        let idle = us.saturating_mul(u64::from(self.idle_uw)).saturating_add(self.rest);
        self.rest = idle % 1_000;
        let sent = bits.saturating_mul(u64::from(self.bit_nj));
        self.left_nj = self.left_nj.saturating_sub((idle / 1_000).saturating_add(sent));
    }

    /// Charges it to so many percent.
    pub fn charge_to(&mut self, percent: u8) {
        self.left_nj = self.full_nj / 100 * u64::from(percent.min(100));
    }

    /// Charge left, percent, rounded to the nearest.
    #[must_use]
    pub fn percent(&self) -> u8 {
        let hundredth = (self.full_nj / 100).max(1);
        ((self.left_nj + hundredth / 2) / hundredth).min(100) as u8
    }

    /// Voltage without load, mV, along `CURVE_MV`.
    #[must_use]
    pub fn millivolt(&self) -> u16 {
        let per_mille = (self.left_nj / (self.full_nj / 1_000).max(1)).min(1_000) as u16;
        let (step, within) = (usize::from(per_mille / 100), per_mille % 100);
        let from = CURVE_MV[step];
        let to = CURVE_MV.get(step + 1).copied().unwrap_or(from);
        from + ((u32::from(to - from) * u32::from(within)) / 100) as u16
    }

    /// Nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left_nj == 0
    }

    /// For telemetry, with a temperature in 1/100 °C.
    #[must_use]
    pub fn vitals(&self, temperature_centi: i16) -> Vitals {
        Vitals { battery_mv: self.millivolt(), battery_percent: self.percent(), temperature_centi }
    }
}

/// Millivolt at 0, 10 … 100 %: steep at its ends, flat between, as such cells are.
const CURVE_MV: [u16; 11] = [3_000, 3_550, 3_660, 3_720, 3_770, 3_810, 3_860, 3_920, 3_990, 4_080, 4_200];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_drain_what_large_ones_do() {
        let (mut small, mut large) = (Battery::new(2, 333, 7), Battery::new(2, 333, 7));
        for _ in 0..10_000 {
            small.drain(7, 3);
        }
        large.drain(70_000, 30_000);
        assert_eq!(small, large);
        assert!(small.left_nj < small.full_nj);
    }

    #[test]
    fn it_ends_at_nothing_and_voltage_only_sinks() {
        let mut battery = Battery::new(1, 1_000, 100);
        assert_eq!((battery.percent(), battery.millivolt()), (100, 4_200));
        let mut before = u16::MAX;
        for _ in 0..1_000 {
            battery.drain(1_100_000, 0);
            assert!(battery.millivolt() <= before);
            before = battery.millivolt();
        }
        assert!(battery.is_empty() && battery.percent() == 0 && battery.millivolt() == 3_000);
        battery.drain(u64::MAX, u64::MAX);
        battery.charge_to(80);
        assert_eq!((battery.percent(), battery.vitals(3_700).battery_mv), (80, 3_990));
    }
}
