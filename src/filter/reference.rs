//! The slow, obvious filter that the fast one is tested against.
//!
//! In: sections and one channel's samples in f64. Out: as many samples. It equals `scipy.signal.sosfilt`
//! started at rest to 1e-12 of the largest output.

use crate::filter::design::Section;

/// Runs `samples` of one channel through the cascade, from rest (transposed direct form II, as SciPy does).
///
/// ```
/// use efference::filter::{Section, reference::sosfilt};
/// let mean_of_two = Section { b: [0.5, 0.5, 0.0], a: [0.0, 0.0] };
/// assert_eq!(sosfilt(&[mean_of_two], &[1.0, 3.0, 5.0]), [0.5, 2.0, 4.0]);
/// ```
pub fn sosfilt(sections: &[Section], samples: &[f64]) -> Vec<f64> {
    let mut signal = samples.to_vec();
    for Section { b, a } in sections {
        let [mut s0, mut s1] = [0.0, 0.0];
        for sample in &mut signal {
            let x = *sample;
            let y = b[0] * x + s0;
            s0 = b[1] * x - a[0] * y + s1;
            s1 = b[2] * x - a[1] * y;
            *sample = y;
        }
    }
    signal
}
