//! The lattice of Neuralink's N1 recordings: 10-bit codes that were spread over 16 bits.
//!
//! In: 16-bit samples. Out: codes in −512..=511, one count each, exactly. A code `c` ≥ 0 stands in the file
//! as v(c) = ⌊64.061577·c + 31.034184 + 0.5⌋, and c < 0 as v(c) = −v(−c−1) − 1, so that c = ⌊v / 64⌋.
//! Source: fitted to the recordings of Neuralink's compression challenge (2024); exact on every sample of
//! the 200 that the tests read. The microvolts of a code are not published.

/// The code of a sample, or `None` where the sample is not on the lattice.
#[inline]
pub(super) fn code(sample: i16) -> Option<i16> {
    let code = sample >> 6;
    (LATTICE[(code + 512) as usize] == sample).then_some(code)
}

/// The sample of a code in −512..=511; of the nearest of these where it lies outside.
#[inline]
pub(super) fn sample(code: i16) -> i16 {
    LATTICE[(code.clamp(-512, 511) + 512) as usize]
}

/// The samples of the codes −512..=511.
const LATTICE: [i16; 1024] = {
    let mut lattice = [0; 1024];
    let mut c = 0;
    while c < 512 {
        // Casting floors here, since the value is positive.
        let v = (64.061577 * c as f64 + 31.034184 + 0.5) as i16;
        lattice[512 + c] = v;
        lattice[511 - c] = -v - 1;
        c += 1;
    }
    lattice
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_and_every_other_sample_is_refused() {
        let codes: Vec<i16> = (i16::MIN..=i16::MAX).filter_map(code).collect();
        assert_eq!(codes, (-512..512).collect::<Vec<i16>>());
    }

    #[test]
    fn samples_of_a_recording_have_their_codes() {
        let samples = [-1570, -2018, -2338, -1634, -1890, -1313];
        assert_eq!(samples.map(code), [-25, -32, -37, -26, -30, -21].map(Some));
    }
}
