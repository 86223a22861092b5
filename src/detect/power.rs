//! Spike-band power: the energy of each lane, to be divided by the frames of a bin.
//!
//! In: a filtered [`Tile`] in microvolt. Out: sums of squares in µV², one a lane, added to the caller's.
//! Guarantee: one f32 addition a frame and lane, in the order of the frames, so the same bits come out however
//! the stream is cut. Spike-band power as a feature is from Nason et al. 2020 (Nat Biomed Eng 4:973), who average
//! magnitudes; here it is the mean square.

use crate::block::{TILE_CHANNELS, Tile};

/// Adds the square of every sample of `tile` to the sum of its lane.
///
/// ```
/// use efference::{block::{TILE_CHANNELS, Tile}, detect::power::add_squares};
/// let mut tile = Tile::new();
/// tile.n_frames = 2;
/// (tile.uv[0][3], tile.uv[1][3]) = (3.0, -4.0);
/// let mut sums = [0.0; TILE_CHANNELS];
/// add_squares(&tile, &mut sums);
/// assert_eq!(sums[3], 25.0);
/// ```
pub fn add_squares(tile: &Tile, sums: &mut [f32; TILE_CHANNELS]) {
    let mut local = *sums;
    for frame in tile.frames() {
        for lane in 0..TILE_CHANNELS {
            local[lane] += frame[lane] * frame[lane];
        }
    }
    *sums = local;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn the_cut_changes_no_bit(
            uv in prop::collection::vec(-500.0_f32..500.0, 40),
            cut in 0_usize..=40,
        ) {
            let tile_of = |uv: &[f32]| {
                let mut tile = Tile::new();
                tile.n_frames = uv.len();
                for (frame, &value) in tile.frames_mut().iter_mut().zip(uv) {
                    frame[63] = value;
                }
                tile
            };
            let (mut whole, mut parts) = ([0.0; TILE_CHANNELS], [0.0; TILE_CHANNELS]);
            add_squares(&tile_of(&uv), &mut whole);
            add_squares(&tile_of(&uv[..cut]), &mut parts);
            add_squares(&tile_of(&uv[cut..]), &mut parts);
            prop_assert_eq!(whole, parts);
            let exact: f64 = uv.iter().map(|&v| f64::from(v).powi(2)).sum();
            prop_assert!((f64::from(whole[63]) - exact).abs() <= 1e-5 * exact);
            prop_assert_eq!(whole[0], 0.0);
        }
    }
}
