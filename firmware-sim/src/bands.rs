//! The firmware's filters, from their edges.
//!
//! In: band edges and a rate, Hz. Out: the five integers that a band-pass of order 2 has on the implant. Guarantees: the
//! filter of `efference::filter::design`, each number rounded to 2⁻³⁰.

use efference::Error;
use efference::filter::design::{self, Section};
use efference_firmware::signal::{BandPass, COEFFICIENT_BITS};

/// A Butterworth band-pass of order 2.
///
/// # Errors
/// As [`design::butterworth_band_pass`]; a band so wide that its poles are real and lie beyond what 32 bits hold.
///
/// ```
/// let band = firmware_sim::bands::band_pass(250.0, 5_000.0, 20_000.0)?;
/// assert_eq!(band, efference_firmware::signal::bands::SPIKES_20_KHZ);
/// # Ok::<(), efference::Error>(())
/// ```
pub fn band_pass(low_hz: f64, high_hz: f64, rate_hz: f64) -> Result<BandPass, Error> {
    let mut sections = design::butterworth_band_pass(2, low_hz, high_hz, rate_hz)?;
    // The square of the angle at which a pole stands near +1 goes with 1 + a1 + a2.
    sections.sort_by(|one, other| angle(one).total_cmp(&angle(other)));
    let whole = |value: f64| {
        let scaled = (value * f64::from(1 << COEFFICIENT_BITS)).round();
        if scaled.abs() > f64::from(i32::MAX) {
            return Err(Error::usage("the firmware's filter", format!("a coefficient of {value}"))
                .field("low_cut_hz")
                .legal("a band whose poles 32 bits hold")
                .hint("250 Hz to a quarter of the rate for spikes"));
        }
        Ok(scaled as i32)
    };
    let gain: f64 = sections.iter().map(|section| section.b[0]).product();
    let poles =
        |section: &Section| -> Result<[i32; 2], Error> { Ok([whole(section.a[0])?, whole(section.a[1])?]) };
    Ok(BandPass { gain: whole(gain)?, low: poles(&sections[0])?, high: poles(&sections[1])? })
}

fn angle(section: &Section) -> f64 {
    1.0 + section.a[0] + section.a[1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use efference_firmware::signal::bands::BANDS;

    #[test]
    fn the_shipped_bands_are_those_of_the_design() {
        for band in &BANDS {
            let rate_hz = f64::from(band.rate_millihertz) / 1e3;
            let (low_hz, high_hz) = (f64::from(band.low_cut_hz), f64::from(band.high_cut_hz));
            assert_eq!(band_pass(low_hz, high_hz, rate_hz).expect("legal"), band.filter, "{band:?}");
        }
    }

    #[test]
    fn what_has_no_filter_is_refused() {
        assert!(band_pass(300.0, 200.0, 20_000.0).is_err());
        assert!(band_pass(0.01, 9_999.0, 20_000.0).is_ok_and(|band| band.low[0] < 0));
    }
}
