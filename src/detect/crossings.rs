//! Threshold crossings with a refractory period.
//!
//! In: a filtered [`Tile`] in microvolt. Out: crossings per lane, added to the caller's counts, and on request
//! which lanes crossed in which frame. A crossing is a downward pass: `x[t] < threshold` and
//! `x[t−1] ≥ threshold`, unless it lies less than the refractory period after the last one that was counted.
//! Guarantees: a stream's first frame crosses nothing; the same crossings however the stream is cut.

use crate::block::{BLOCK_FRAMES_MAX, TILE_CHANNELS, Tile, n_tiles};

/// Crossings of all channels of a stream.
#[derive(Clone, Debug)]
pub struct CrossingDetector {
    refractory: i32,
    tiles: Vec<TileState>,
}

impl CrossingDetector {
    /// A detector for `n_channels` with one threshold each, in µV and below zero as a rule; −∞ never crosses.
    /// After a crossing at frame t the next counts from frame t + `refractory_frames` on (0 and 1: the
    /// very next frame).
    ///
    /// # Panics
    /// If `thresholds_uv` has another length than `n_channels` or holds a NaN, or `refractory_frames` is
    /// beyond [`REFRACTORY_FRAMES_MAX`].
    pub fn new(n_channels: usize, thresholds_uv: &[f32], refractory_frames: u32) -> Self {
        assert_eq!(thresholds_uv.len(), n_channels, "one threshold a channel");
        assert!(thresholds_uv.iter().all(|t| !t.is_nan()), "a threshold is not a number");
        assert!(
            refractory_frames <= REFRACTORY_FRAMES_MAX,
            "a refractory period of {refractory_frames} frames"
        );
        let mut tiles = vec![TileState::never(); n_tiles(n_channels)];
        for (channel, &threshold) in thresholds_uv.iter().enumerate() {
            tiles[channel / TILE_CHANNELS].thresholds[channel % TILE_CHANNELS] = threshold;
        }
        CrossingDetector { refractory: refractory_frames as i32, tiles }
    }

    /// Adds the crossings in `tile`, which continues the tile of this index before it, to the counts of
    /// its lanes, and writes them frame by frame to `crossed`.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub fn process(&mut self, tile: &Tile, counts: &mut [f32; TILE_CHANNELS], crossed: Option<&mut Crossed>) {
        let state = &mut self.tiles[tile.index];
        match crossed {
            None => {
                for group in 0..GROUPS {
                    detect(tile.frames(), group, self.refractory, state, counts, |_, _| ());
                }
            }
            Some(crossed) => {
                crossed.n_frames = tile.n_frames;
                crossed.frames[..tile.n_frames].fill(0);
                for group in 0..GROUPS {
                    detect(tile.frames(), group, self.refractory, state, counts, |frame, lanes| {
                        crossed.frames[frame] |= bits(lanes) << (group * LANES);
                    });
                }
            }
        }
    }

    /// Forgets the stream so far, as after [`CrossingDetector::new`].
    pub fn reset(&mut self) {
        for tile in &mut self.tiles {
            *tile = TileState { thresholds: tile.thresholds, ..TileState::never() };
        }
    }
}

/// Which lanes of one tile crossed in which of its frames.
#[derive(Clone, Debug)]
pub struct Crossed {
    frames: [u64; BLOCK_FRAMES_MAX],
    n_frames: usize,
}

impl Crossed {
    /// No frames yet.
    pub fn new() -> Self {
        Crossed { frames: [0; BLOCK_FRAMES_MAX], n_frames: 0 }
    }

    /// One mask per frame of the tile: bit `l` is set where lane `l` crossed.
    pub fn masks(&self) -> &[u64] {
        &self.frames[..self.n_frames]
    }

    /// Every crossing as `(frame, lane)`, by frame, then by lane.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.masks().iter().enumerate().flat_map(|(frame, &mask)| {
            let after = |rest: &u64| Some(rest & (rest - 1)).filter(|rest| *rest != 0);
            let from = Some(mask).filter(|mask| *mask != 0);
            std::iter::successors(from, after).map(move |rest| (frame, rest.trailing_zeros() as usize))
        })
    }
}

impl Default for Crossed {
    fn default() -> Self {
        Crossed::new()
    }
}

/// State of the lanes of one tile.
#[derive(Clone, Copy, Debug)]
struct TileState {
    thresholds: [f32; TILE_CHANNELS],
    /// −1 where the last frame lay below the threshold, and before the first one; else 0.
    below: [i32; TILE_CHANNELS],
    /// The frame, counted from the next tile's first, from which a crossing counts again.
    free_from: [i32; TILE_CHANNELS],
}

impl TileState {
    fn never() -> Self {
        TileState {
            thresholds: [f32::NEG_INFINITY; TILE_CHANNELS],
            below: [-1; TILE_CHANNELS],
            free_from: [0; TILE_CHANNELS],
        }
    }
}

/// The lanes of one group over the frames of a tile. Conditions are masks, −1 or 0, so that nothing branches.
fn detect(
    frames: &[[f32; TILE_CHANNELS]],
    group: usize,
    refractory: i32,
    state: &mut TileState,
    counts: &mut [f32; TILE_CHANNELS],
    mut report: impl FnMut(usize, &[i32; LANES]),
) {
    let thresholds = state.thresholds.as_chunks::<LANES>().0[group];
    let below_state = &mut state.below.as_chunks_mut::<LANES>().0[group];
    let free_state = &mut state.free_from.as_chunks_mut::<LANES>().0[group];
    let (mut below, mut free_from, mut count) = (*below_state, *free_state, [0; LANES]);
    for (t, frame) in frames.iter().enumerate() {
        let lanes = &frame.as_chunks::<LANES>().0[group];
        let t = t as i32;
        let mut crossing = [0; LANES];
        for l in 0..LANES {
            let is_below = -i32::from(lanes[l] < thresholds[l]);
            let is_free = -i32::from(free_from[l] <= t);
            crossing[l] = is_below & !below[l] & is_free;
            below[l] = is_below;
            free_from[l] = (free_from[l] & !crossing[l]) | ((t + refractory) & crossing[l]);
            count[l] -= crossing[l];
        }
        report(t as usize, &crossing);
    }
    *below_state = below;
    let n_frames = frames.len() as i32;
    *free_state = free_from.map(|free_from| (free_from - n_frames).max(0));
    for (total, count) in counts.as_chunks_mut::<LANES>().0[group].iter_mut().zip(count) {
        *total += count as f32;
    }
}

/// Lane masks as bits.
fn bits(lanes: &[i32; LANES]) -> u64 {
    let mut bits = 0;
    for (l, lane) in lanes.iter().enumerate() {
        bits |= lane & (1 << l);
    }
    u64::from(bits as u32)
}

/// Frames of a refractory period at most: above a second at any rate.
pub const REFRACTORY_FRAMES_MAX: u32 = 1 << 24;
/// Lanes that the kernel holds at once: of 8, 16 and 32 the fastest with SSE2; 32 gains up to a fifth with AVX-512.
const LANES: usize = 16;
const GROUPS: usize = TILE_CHANNELS / LANES;
const _: () = assert!(LANES <= 32 && TILE_CHANNELS.is_multiple_of(LANES) && TILE_CHANNELS <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// The definition, one channel, no masks: frames of its crossings.
    fn obvious(uv: &[f32], threshold: f32, refractory: usize) -> Vec<usize> {
        let mut crossings: Vec<usize> = Vec::new();
        for t in 1..uv.len() {
            let downward = uv[t] < threshold && uv[t - 1] >= threshold;
            if downward && crossings.last().is_none_or(|last| t - last >= refractory.max(1)) {
                crossings.push(t);
            }
        }
        crossings
    }

    /// Runs `lanes[lane][t]` through a detector in tiles of the given lengths; counts and `(frame, lane)`s.
    fn run(
        detector: &mut CrossingDetector,
        lanes: &[Vec<f32>],
        cuts: &[usize],
    ) -> ([f32; TILE_CHANNELS], Vec<(usize, usize)>) {
        let (mut counts, mut events, mut crossed) = ([0.0; TILE_CHANNELS], Vec::new(), Crossed::new());
        let (mut tile, mut from) = (Tile::new(), 0);
        for &n_frames in cuts {
            tile.n_frames = n_frames.min(lanes[0].len() - from);
            for (t, frame) in tile.frames_mut().iter_mut().enumerate() {
                frame.iter_mut().zip(lanes).for_each(|(x, lane)| *x = lane[from + t]);
            }
            let mut unlisted = counts;
            detector.clone().process(&tile, &mut unlisted, None);
            detector.process(&tile, &mut counts, Some(&mut crossed));
            assert_eq!(counts, unlisted);
            events.extend(crossed.iter().map(|(frame, lane)| (from + frame, lane)));
            from += tile.n_frames;
        }
        (counts, events)
    }

    fn channels() -> impl Strategy<Value = Vec<Vec<f32>>> {
        // Few levels, so that samples often equal the threshold.
        prop::collection::vec(prop::collection::vec((-3_i8..=1).prop_map(f32::from), 150), 50)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_finds_what_the_definition_finds(
            lanes in channels(),
            cuts in prop::collection::vec(0_usize..=BLOCK_FRAMES_MAX, 60),
            refractory in 0_u32..90,
        ) {
            let mut cuts = cuts;
            cuts.extend([BLOCK_FRAMES_MAX; 3]);
            let mut detector = CrossingDetector::new(50, &[-2.0; 50], refractory);
            let (counts, events) = run(&mut detector, &lanes, &cuts);
            let mut expected = Vec::new();
            for (l, lane) in lanes.iter().enumerate() {
                let crossings = obvious(lane, -2.0, refractory as usize);
                prop_assert_eq!(counts[l], crossings.len() as f32);
                expected.extend(crossings.into_iter().map(|t| (t, l)));
            }
            expected.sort_unstable();
            prop_assert_eq!(events, expected);
            prop_assert!(counts[50..].iter().all(|count| *count == 0.0));
        }
    }

    #[test]
    fn the_first_frame_after_a_start_crosses_nothing() {
        let mut detector = CrossingDetector::new(2, &[-5.0, f32::NEG_INFINITY], 0);
        let lanes = [vec![-9.0, 0.0, -9.0, -9.0, 0.0], vec![0.0, -1e30, f32::NEG_INFINITY, 0.0, 0.0]];
        let once = run(&mut detector, &lanes, &[5]);
        assert_eq!(once.1, [(2, 0)]);
        assert_eq!(run(&mut detector, &lanes, &[5]).1, [(0, 0), (2, 0)], "the stream goes on");
        detector.reset();
        assert_eq!(run(&mut detector, &lanes, &[5]), once);
    }
}
