//! Butterworth and notch filters as second-order sections.
//!
//! In: an order, cut-off frequencies and a sample rate in hertz. Out: [`Section`]s in the order, pairing and
//! gain of SciPy: `butter(…, output='sos')` and `iirnotch`, equal to 1e-12 relative (vectors in `tests`).
//!
//! The way is the textbook's: poles of the analogue prototype, moved to the band, mapped by the bilinear
//! transform with pre-warped edges (Oppenheim & Schafer, *Discrete-Time Signal Processing*, chapter 7), then
//! paired into sections, the poles nearest the unit circle last.

use crate::error::Error;
use faer::c64;
use std::f64::consts::PI;

/// Order that a Butterworth filter has at most; a band-pass of order n has n sections.
pub const ORDER_MAX: usize = 8;

/// One second-order section, `y[t] = b0 x[t] + b1 x[t−1] + b2 x[t−2] − a1 y[t−1] − a2 y[t−2]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section {
    /// `b0, b1, b2`.
    pub b: [f64; 3],
    /// `a1, a2`; `a0` is 1.
    pub a: [f64; 2],
}

/// A Butterworth band-pass; −3 dB at `low_hz` and `high_hz`. `order` is that of either flank, as in SciPy.
///
/// # Errors
/// If `order` is not within 1 to [`ORDER_MAX`] or not `0 < low_hz < high_hz < rate / 2`.
///
/// ```
/// let sections = efference::filter::design::butterworth_band_pass(2, 300.0, 6_000.0, 30_000.0).unwrap();
/// assert_eq!(sections.len(), 2);
/// let error = efference::filter::design::butterworth_band_pass(2, 300.0, 600.0, 1_000.0).unwrap_err();
/// assert!(error.to_string().contains("high_cut_hz"));
/// ```
pub fn butterworth_band_pass(
    order: usize,
    low_hz: f64,
    high_hz: f64,
    rate: f64,
) -> Result<Vec<Section>, Error> {
    check_order(order)?;
    check_frequency("high_cut_hz", high_hz, 0.0, rate)?;
    check_frequency("low_cut_hz", low_hz, 0.0, 2.0 * high_hz)?;
    let (low, high) = (warped(low_hz, rate), warped(high_hz, rate));
    let (width, centre_squared) = (high - low, low * high);
    let mut poles = Vec::with_capacity(2 * order);
    for sign in [1.0, -1.0] {
        for pole in prototype_poles(order) {
            let half = pole * (width / 2.0);
            poles.push(half + (half * half - centre_squared).sqrt() * sign);
        }
    }
    Ok(bilinear(&vec![c64::new(0.0, 0.0); order], &poles, width.powi(order as i32)))
}

/// A Butterworth high-pass; −3 dB at `cut_hz`.
///
/// # Errors
/// If `order` is not within 1 to [`ORDER_MAX`] or not `0 < cut_hz < rate / 2`.
pub fn butterworth_high_pass(order: usize, cut_hz: f64, rate: f64) -> Result<Vec<Section>, Error> {
    check_order(order)?;
    check_frequency("low_cut_hz", cut_hz, 0.0, rate)?;
    let cut = warped(cut_hz, rate);
    let poles: Vec<c64> = prototype_poles(order).map(|pole| pole.inv() * cut).collect();
    Ok(bilinear(&vec![c64::new(0.0, 0.0); order], &poles, 1.0))
}

/// A Butterworth low-pass; −3 dB at `cut_hz`.
///
/// # Errors
/// If `order` is not within 1 to [`ORDER_MAX`] or not `0 < cut_hz < rate / 2`.
pub fn butterworth_low_pass(order: usize, cut_hz: f64, rate: f64) -> Result<Vec<Section>, Error> {
    check_order(order)?;
    check_frequency("high_cut_hz", cut_hz, 0.0, rate)?;
    let cut = warped(cut_hz, rate);
    let poles: Vec<c64> = prototype_poles(order).map(|pole| pole * cut).collect();
    Ok(bilinear(&[], &poles, cut.powi(order as i32)))
}

/// A notch at `frequency_hz` whose −3 dB width is `frequency_hz / quality` (Orfanidis, *Introduction to Signal
/// Processing*, equations 11.3.4 to 11.3.7).
///
/// # Errors
/// If not `0 < frequency_hz < rate / 2`, or `quality` is not within [`QUALITY_MIN`] to [`QUALITY_MAX`].
pub fn notch(frequency_hz: f64, quality: f64, rate: f64) -> Result<Section, Error> {
    check_frequency("notch_hz", frequency_hz, 0.0, rate)?;
    if !(QUALITY_MIN..=QUALITY_MAX).contains(&quality) {
        return Err(Error::usage("filter", format!("a notch quality of {quality}"))
            .field("notch_quality")
            .legal(format!("{QUALITY_MIN} to {QUALITY_MAX}"))
            .hint("30, a notch of 1.7 Hz at 50 Hz"));
    }
    let w0 = 2.0 * frequency_hz / rate;
    let gain = 1.0 / (1.0 + (w0 / quality * PI / 2.0).tan());
    let cos = (w0 * PI).cos();
    Ok(Section { b: [gain, gain * (-2.0 * cos), gain], a: [-2.0 * gain * cos, 2.0 * gain - 1.0] })
}

fn check_order(order: usize) -> Result<(), Error> {
    if (1..=ORDER_MAX).contains(&order) {
        return Ok(());
    }
    Err(Error::usage("filter", format!("an order of {order}"))
        .field("order")
        .legal(format!("1 to {ORDER_MAX}"))
        .hint("2, which distorts spikes little"))
}

/// `floor < value < ceiling / 2`, where `ceiling` is the rate or twice the upper edge.
fn check_frequency(key: &str, value: f64, floor: f64, ceiling: f64) -> Result<(), Error> {
    if value > floor && value < ceiling / 2.0 {
        return Ok(());
    }
    Err(Error::usage("filter", format!("{value} Hz"))
        .field(key)
        .legal(format!(
            "above {floor} and below {} Hz (0 < low < high < half the sample rate)",
            ceiling / 2.0
        ))
        .hint("a band such as 300 to 6000 Hz for spikes at 30 kHz"))
}

/// The analogue frequency that the bilinear transform, at a rate of 2, maps to `hz`.
fn warped(hz: f64, rate: f64) -> f64 {
    BILINEAR * (PI * (2.0 * hz / rate) / 2.0).tan()
}

/// Poles of the analogue low-pass of cut-off 1: `−exp(iπm / 2n)`, m = −n+1, −n+3 … n−1.
fn prototype_poles(order: usize) -> impl Iterator<Item = c64> {
    let n = order as f64;
    (0..order).map(move |i| {
        let m = 2.0 * i as f64 - n + 1.0;
        if m == 0.0 { c64::new(-1.0, 0.0) } else { -c64::from_polar(1.0, PI * m / (2.0 * n)) }
    })
}

/// Maps an analogue filter to sections. All zeros of the analogue filters here lie at 0 or at infinity, so
/// the digital ones lie at +1 or −1.
fn bilinear(zeros: &[c64], poles: &[c64], gain: f64) -> Vec<Section> {
    let mut ratio = c64::new(1.0, 0.0);
    for zero in zeros {
        ratio *= -zero + BILINEAR;
    }
    for pole in poles {
        ratio /= -pole + BILINEAR;
    }
    let mut digital_zeros = vec![1.0; zeros.len()];
    digital_zeros.resize(poles.len(), -1.0);
    let digital_poles = poles.iter().map(|pole| (pole + BILINEAR) / (-pole + BILINEAR)).collect();
    pair(digital_zeros, digital_poles, gain * ratio.re)
}

/// Pairs poles and zeros into sections as SciPy's `zpk2sos(pairing='nearest')` does: from the last section to
/// the first, the pole nearest the unit circle with the zeros nearest to it; the gain goes into the first.
fn pair(mut zeros: Vec<f64>, poles: Vec<c64>, gain: f64) -> Vec<Section> {
    let n_sections = poles.len().div_ceil(2);
    let mut poles = upper_half(poles);
    let mut sections = Vec::with_capacity(n_sections);
    // An odd filter gets a pole and a zero at the origin, which cancel.
    if zeros.len() % 2 == 1 {
        zeros.push(0.0);
        poles.push(c64::new(0.0, 0.0));
    }
    while !poles.is_empty() {
        let first = poles.remove(nearest_to_circle(&poles, |_| true));
        let a = if first.im != 0.0 {
            [-2.0 * first.re, first.norm_sqr()]
        } else {
            let second = poles.remove(nearest_to_circle(&poles, |pole| pole.im == 0.0));
            [-(first.re + second.re), first.re * second.re]
        };
        let z1 = zeros.remove(nearest_zero(&zeros, first));
        let z2 = zeros.remove(nearest_zero(&zeros, first));
        sections.push(Section { b: [1.0, -(z1 + z2), z1 * z2], a });
    }
    sections.reverse();
    sections[0].b = sections[0].b.map(|b| b * gain);
    sections
}

/// One of each conjugate pair (imaginary part above 0), then the real poles, each sorted by real part.
fn upper_half(mut poles: Vec<c64>) -> Vec<c64> {
    for pole in &mut poles {
        if pole.im.abs() <= REAL_TOLERANCE * pole.norm() {
            pole.im = 0.0;
        }
    }
    poles.retain(|pole| pole.im >= 0.0);
    poles.sort_by(|p, q| (p.im == 0.0).cmp(&(q.im == 0.0)).then(p.re.total_cmp(&q.re)));
    poles
}

fn nearest_to_circle(poles: &[c64], fits: impl Fn(&c64) -> bool) -> usize {
    let distance = |pole: &c64| if fits(pole) { (1.0 - pole.norm()).abs() } else { f64::INFINITY };
    smallest(poles.iter().map(distance))
}

fn nearest_zero(zeros: &[f64], pole: c64) -> usize {
    smallest(zeros.iter().map(|zero| (pole - zero).norm()))
}

/// The index of the smallest value, the first of equal ones.
fn smallest(values: impl Iterator<Item = f64>) -> usize {
    let best = values.enumerate().min_by(|(_, x), (_, y)| x.total_cmp(y));
    best.expect("pole and zero counts are equal and even").0
}

/// Twice the rate of 2 at which the analogue filters are designed.
const BILINEAR: f64 = 4.0;
/// An imaginary part this small against the modulus is rounding (SciPy's `_cplxreal`).
const REAL_TOLERANCE: f64 = 100.0 * f64::EPSILON;
/// Quality of a notch at least: wider ones take the band with them.
pub const QUALITY_MIN: f64 = 0.1;
/// Quality of a notch at most: narrower ones ring for seconds.
pub const QUALITY_MAX: f64 = 1_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// |H| at `hz`.
    fn gain(sections: &[Section], hz: f64, rate: f64) -> f64 {
        let z = c64::from_polar(1.0, -2.0 * PI * hz / rate);
        let of = |s: &Section| {
            (z * s.b[1] + z * z * s.b[2] + s.b[0]) / (z * s.a[0] + z * z * s.a[1] + c64::new(1.0, 0.0))
        };
        sections.iter().map(|s| of(s).norm()).product()
    }

    #[test]
    fn the_edges_lie_at_minus_3_db() {
        let half = 0.5_f64.sqrt();
        for order in 1..=ORDER_MAX {
            let band = butterworth_band_pass(order, 300.0, 6_000.0, 30_000.0).expect("legal");
            assert_eq!(band.len(), order);
            assert!((gain(&band, 300.0, 30_000.0) - half).abs() < 1e-9, "order {order}");
            assert!((gain(&band, 6_000.0, 30_000.0) - half).abs() < 1e-9, "order {order}");
            let high = butterworth_high_pass(order, 250.0, 20_000.0).expect("legal");
            assert!((gain(&high, 250.0, 20_000.0) - half).abs() < 1e-9, "order {order}");
            let low = butterworth_low_pass(order, 250.0, 2_000.0).expect("legal");
            assert!((gain(&low, 250.0, 2_000.0) - half).abs() < 1e-9, "order {order}");
        }
        let notch = [notch(50.0, 30.0, 2_000.0).expect("legal")];
        assert!(gain(&notch, 50.0, 2_000.0) < 1e-12);
        assert!((gain(&notch, 400.0, 2_000.0) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn what_is_not_legal_is_refused_by_key() {
        let key = |result: Result<Vec<Section>, Error>| result.expect_err("not legal").to_string();
        assert!(key(butterworth_band_pass(0, 300.0, 6e3, 3e4)).contains("`order`: an order of 0"));
        assert!(key(butterworth_band_pass(9, 300.0, 6e3, 3e4)).contains("1 to 8"));
        assert!(key(butterworth_band_pass(2, 300.0, 15e3, 3e4)).contains("below 15000 Hz"));
        assert!(key(butterworth_band_pass(2, 6e3, 300.0, 3e4)).contains("`low_cut_hz`: 6000 Hz"));
        assert!(key(butterworth_high_pass(2, f64::NAN, 3e4)).contains("low_cut_hz"));
        assert!(key(butterworth_low_pass(2, -1.0, 3e4)).contains("high_cut_hz"));
        assert!(notch(50.0, 0.0, 2e3).expect_err("not legal").to_string().contains("notch_quality"));
    }
}
