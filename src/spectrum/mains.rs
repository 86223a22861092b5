//! Mains hum in a spectrum: which of 50 and 60 Hz, how strong, and how far over what lies beside it.
//!
//! In: the density of one channel, in unit²/Hz. Out: [`Mains`], in that unit and in dB. A line's power is the
//! sum over the window's main lobe less the floor, so that it doesn't depend on where between two bins it falls.

use super::floor::median_density;

/// What mains leave in a channel.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Mains {
    /// 50 or 60 Hz where lines of it are present.
    pub fundamental_hz: Option<f64>,
    /// Of all its lines that are present together, RMS in the stream's unit; 0 without.
    pub rms: f64,
    /// Every line that was looked for, of 50 Hz and then of 60 Hz. Empty where bins are too far apart to tell.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Line {
    /// Where it was looked for, Hz.
    pub hz: f64,
    /// Its highest bin over the median of the bins around, dB.
    pub over_floor_db: f64,
    /// Its amplitude without the floor's share, RMS in the stream's unit.
    pub rms: f64,
    /// It stands higher than chance would have it.
    pub present: bool,
}

/// Looks for lines in `density`, bins of `resolution_hz` that are means of `n_segments`.
pub fn find_mains(density: &[f32], resolution_hz: f64, n_segments: u64) -> Mains {
    if resolution_hz > RESOLUTION_MAX_HZ {
        return Mains::default();
    }
    let over_chance = 10.0 * over_chance(n_segments).log10();
    let least_db = over_chance.max(OVER_FLOOR_MIN_DB);
    let mut mains = Mains::default();
    for fundamental_hz in FUNDAMENTALS_HZ {
        let highest_hz = (density.len() as f64 - 1.0 - LOBE_BINS as f64) * resolution_hz;
        let lines = (1..=HARMONICS).map(|nth| fundamental_hz * nth as f64).take_while(|&hz| hz < highest_hz);
        let lines: Vec<Line> =
            lines.map(|hz| line(density, resolution_hz, n_segments, hz, least_db)).collect();
        // 300 Hz is a line of both, and decides nothing.
        let own = |line: &&Line| line.present && FUNDAMENTALS_HZ.iter().any(|hz| line.hz % hz != 0.0);
        let is_there = lines.first().is_some_and(|line| line.present) || lines.iter().filter(own).count() > 1;
        let power: f64 = lines.iter().filter(|line| line.present).map(|line| line.rms.powi(2)).sum();
        if is_there && power.sqrt() > mains.rms {
            mains.fundamental_hz = Some(fundamental_hz);
            mains.rms = power.sqrt();
        }
        mains.lines.extend(lines);
    }
    mains
}

fn line(density: &[f32], resolution_hz: f64, n_segments: u64, hz: f64, least_db: f64) -> Line {
    let bin = |hz: f64| (hz / resolution_hz).round() as usize;
    // The grid is off by a fifth of a hertz at the very most, and a harmonic by as many times more.
    let reach = (1.0 + hz * MAINS_TOLERANCE / resolution_hz) as usize;
    let near = bin(hz).saturating_sub(reach).max(1)..(bin(hz) + reach + 1).min(density.len());
    let peak = near.max_by(|&a, &b| density[a].total_cmp(&density[b])).unwrap_or_default();
    let around = (bin(AROUND_HZ)).max(AROUND_BINS_MIN);
    let beside = |bin: &usize| bin.abs_diff(peak) > LOBE_BINS;
    let floor_bins = (peak.saturating_sub(around).max(1)..=peak + around).filter(beside);
    let floor = median_density(floor_bins.filter_map(|bin| density.get(bin)).copied(), n_segments);
    if floor <= 0.0 {
        return Line { hz, over_floor_db: 0.0, rms: 0.0, present: false };
    }
    let lobe = &density[peak.saturating_sub(LOBE_BINS)..(peak + LOBE_BINS + 1).min(density.len())];
    let power: f64 = lobe.iter().map(|&x| f64::from(x) - floor).sum::<f64>() * resolution_hz;
    let over_floor_db = 10.0 * (f64::from(density[peak]) / floor).log10();
    Line { hz, over_floor_db, rms: power.max(0.0).sqrt(), present: over_floor_db >= least_db && power > 0.0 }
}

/// How many times its mean the mean of `n_segments` periodograms of noise exceeds with a probability of [`CHANCE`]
/// at most: exp(−n (x − 1 − ln x)) bounds the tail (Chernoff).
fn over_chance(n_segments: u64) -> f64 {
    let wanted = -CHANCE.ln() / n_segments.max(1) as f64;
    let (mut low, mut high) = (1.0_f64, 2.0 * wanted + 4.0);
    for _ in 0..60 {
        let x = (low + high) / 2.0;
        if x - 1.0 - x.ln() < wanted { low = x } else { high = x }
    }
    high
}

const FUNDAMENTALS_HZ: [f64; 2] = [50.0, 60.0];
/// Lines of each: to 400 and 480 Hz.
const HARMONICS: u32 = 8;
/// Hann's main lobe is two bins wide to either side.
const LOBE_BINS: usize = 2;
/// Coarser bins can't tell 50 Hz from 60 Hz, since their lobes meet.
const RESOLUTION_MAX_HZ: f64 = 2.5;
/// The floor of a line is taken from this far to either side, and from this many bins at least.
const AROUND_HZ: f64 = 12.0;
const AROUND_BINS_MIN: usize = 8;
/// Grids are held within 0.2 Hz of 50 Hz in normal running.
const MAINS_TOLERANCE: f64 = 0.004;
/// A line that is less prominent does no harm.
const OVER_FLOOR_MIN_DB: f64 = 6.0;
/// Of a bin of noise to be taken for a line.
const CHANCE: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    /// A floor of 1 unit²/Hz that falls as 1/f below 100 Hz, and lines of the given RMS, in bins of 1 Hz.
    fn density(lines: &[(f64, f64)]) -> Vec<f32> {
        let floor = |bin: usize| if bin == 0 { 0.0 } else { (100.0 / bin as f64).max(1.0) };
        let mut density: Vec<f64> = (0..=2000).map(floor).collect();
        for &(hz, rms) in lines {
            // Hann's main lobe on a bin, of Σw²: 2/3 in the middle, 1/6 to either side.
            for (bin, share) in
                [(hz as usize - 1, 1.0 / 6.0), (hz as usize, 2.0 / 3.0), (hz as usize + 1, 1.0 / 6.0)]
            {
                density[bin] += share * rms * rms;
            }
        }
        density.into_iter().map(|x| x as f32).collect()
    }

    fn at(mains: &Mains, hz: f64) -> Line {
        *mains.lines.iter().find(|line| line.hz == hz).expect("looked for")
    }

    #[test]
    fn the_fundamental_and_the_amplitude_of_each_line_are_found() {
        for (fundamental, other) in [(50.0, 60.0), (60.0, 50.0)] {
            let lines = [(fundamental, 20.0), (3.0 * fundamental, 5.0)];
            let mains = find_mains(&density(&lines), 1.0, 19);
            assert_eq!(mains.fundamental_hz, Some(fundamental));
            assert!((mains.rms - 425.0_f64.sqrt()).abs() < 0.3, "{}", mains.rms);
            for (hz, rms) in lines {
                let line = at(&mains, hz);
                assert!(line.present && (line.rms - rms).abs() < 0.1 * rms, "{line:?} for {rms}");
            }
            assert!(!at(&mains, other).present && !at(&mains, 2.0 * fundamental).present);
        }
    }

    #[test]
    fn a_line_elsewhere_or_one_harmonic_alone_is_no_mains() {
        for lines in [&[][..], &[(97.0, 50.0)], &[(300.0, 50.0)], &[(250.0, 50.0)]] {
            let mains = find_mains(&density(lines), 1.0, 19);
            assert_eq!((mains.fundamental_hz, mains.rms), (None, 0.0), "{lines:?}");
        }
        assert_eq!(find_mains(&density(&[(100.0, 9.0), (150.0, 9.0)]), 1.0, 19).fundamental_hz, Some(50.0));
    }

    #[test]
    fn silence_and_coarse_bins_have_no_lines() {
        assert_eq!(find_mains(&[0.0; 2000], 1.0, 19).fundamental_hz, None);
        assert!(find_mains(&density(&[(50.0, 20.0)]), 3.0, 19).lines.is_empty());
        assert!(find_mains(&density(&[])[..40], 1.0, 19).lines.is_empty(), "no 50 Hz below 40 Hz");
    }

    /// Of one periodogram the tail is exp(−x) itself; a mean of many hardly strays.
    #[test]
    fn chance_is_bounded() {
        let one = over_chance(1);
        assert!((-one).exp() < CHANCE && one < 22.0, "{one}");
        assert!((over_chance(19) - 2.5).abs() < 0.3, "{}", over_chance(19));
        assert!(over_chance(100_000) < 1.03);
    }
}
