//! Operators between filter and threshold: what a spike is looked for in.
//!
//! In: a filtered [`Tile`] in microvolt. Out: a tile of the same lanes and frames in which a spike is a trough, so
//! that one [`CrossingDetector`](super::CrossingDetector) serves all: it finds where the operator's output passes
//! downward through a threshold, which stays a number below 0 in the operator's unit. Guarantees: the same bits
//! however the stream is cut and at every [`Level`]; no memory is taken after building.
//!
//! | detector | output y\[t\] of x | unit | delay |
//! |---|---|---|---|
//! | negative | x\[t\] | µV | 0 |
//! | absolute | −\|x\[t\]\| | µV | 0 |
//! | NEO | −ψ\[t − 1\], ψ\[t\] = x\[t\]² − x\[t − 1\]·x\[t + 1\] | µV² | 1 frame |
//!
//! ψ is the nonlinear energy operator (Kaiser 1990, Proc. ICASSP, 381), which a spike raises twice: it is large and
//! it is fast. As a spike detector with a threshold of some multiple of its mean: Mukhopadhyay & Ray 1998, IEEE
//! Trans. Biomed. Eng. 45:180, who also smooth it; here it isn't smoothed, so that a crossing keeps its time. ψ needs
//! the frame after, so it comes one frame late; [`DetectorKind::delay_frames`] says so, and whoever reports the time
//! of a crossing takes it off. Before the stream's first frame x counts as 0.

use crate::block::{TILE_CHANNELS, Tile};
use crate::detect::NoiseRule;
use crate::simd::{Level, dispatch};
use serde::{Deserialize, Serialize};

/// In what a spike is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DetectorKind {
    /// The signal itself: spikes that go down.
    #[default]
    Negative,
    /// Its magnitude: spikes that go either way.
    Absolute,
    /// The nonlinear energy operator: what is large and fast at once.
    Neo,
}

impl DetectorKind {
    /// All of them.
    pub const ALL: [DetectorKind; 3] = [DetectorKind::Negative, DetectorKind::Absolute, DetectorKind::Neo];

    /// The word that stands in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            DetectorKind::Negative => "negative",
            DetectorKind::Absolute => "absolute",
            DetectorKind::Neo => "neo",
        }
    }

    /// Frames by which the output comes late.
    pub fn delay_frames(self) -> u64 {
        match self {
            DetectorKind::Negative | DetectorKind::Absolute => 0,
            DetectorKind::Neo => 1,
        }
    }

    /// How noise is measured where nothing is asked: as the literature does it.
    pub fn usual_noise(self) -> NoiseRule {
        match self {
            DetectorKind::Negative | DetectorKind::Absolute => NoiseRule::Mad,
            DetectorKind::Neo => NoiseRule::Mean,
        }
    }

    /// The threshold where none is asked, as a multiple of that noise.
    ///
    /// −4.5 for the signal itself is the field's habit. The others are those at which the simulator's noise without
    /// spikes (synthetic; `sim:neuralink-n1` and `sim:blackrock-utah` with `empty=1,double=0,dead=0,drift_uv=0,`
    /// `mains_uv=0`) crosses as often as it does −4.5 × MAD of the signal itself, so that they compare.
    pub fn usual_threshold(self, noise: NoiseRule) -> f64 {
        match (self, noise) {
            (DetectorKind::Negative, _) => -4.5,
            (DetectorKind::Absolute, NoiseRule::Rms | NoiseRule::Mad) => -4.6,
            (DetectorKind::Absolute, NoiseRule::Mean) => -5.8,
            (DetectorKind::Neo, NoiseRule::Rms) => -9.5,
            (DetectorKind::Neo, NoiseRule::Mad) => -14.5,
            (DetectorKind::Neo, NoiseRule::Mean) => -15.0,
        }
    }

    /// What of a trough a ring guard asks for, where `share` is that of the signal's: energy goes with the square
    /// of the signal.
    pub fn guard_share(self, share: f64) -> f64 {
        match self {
            DetectorKind::Negative | DetectorKind::Absolute => share,
            DetectorKind::Neo => share * share,
        }
    }
}

/// One operator over all channels of a stream.
#[derive(Clone, Debug)]
pub struct Operator {
    kind: DetectorKind,
    level: Level,
    tiles: Vec<TileState>,
    output: Tile,
}

impl Operator {
    /// An operator for `n_tiles` tiles, whose kernels run with `level`.
    ///
    /// ```
    /// use efference::{block::Tile, detect::{DetectorKind, Operator}, simd::Level};
    /// let mut neo = Operator::new(DetectorKind::Neo, 1, Level::widest());
    /// let mut tile = Tile::new();
    /// tile.n_frames = 3;
    /// for (frame, uv) in tile.uv.iter_mut().zip([0.0, -10.0, 4.0]) {
    ///     frame[7] = uv;
    /// }
    /// // A frame late: −ψ of the −10 µV stands in the frame of the 4 µV.
    /// assert_eq!(neo.process(&tile).uv[2][7], -100.0);
    /// ```
    pub fn new(kind: DetectorKind, n_tiles: usize, level: Level) -> Self {
        let n_states = if kind == DetectorKind::Neo { n_tiles } else { 0 };
        Operator { kind, level, tiles: vec![AT_REST; n_states], output: Tile::new() }
    }

    /// The operator's output for the frames of `tile`, which continue those that the tile of this index had before.
    /// The negative detector's is `tile` itself.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub fn process<'a>(&'a mut self, tile: &'a Tile) -> &'a Tile {
        let output = &mut self.output;
        (output.n_frames, output.index) = (tile.n_frames, tile.index);
        match self.kind {
            DetectorKind::Negative => return tile,
            DetectorKind::Absolute => below_zero(self.level, tile.frames(), output.frames_mut()),
            DetectorKind::Neo => {
                energy(self.level, tile.frames(), output.frames_mut(), &mut self.tiles[tile.index]);
            }
        }
        &self.output
    }

    /// Frames by which the output comes late.
    pub fn delay_frames(&self) -> u64 {
        self.kind.delay_frames()
    }

    /// The output is the input: there is nothing to do.
    pub fn is_identity(&self) -> bool {
        self.kind == DetectorKind::Negative
    }

    /// Forgets the stream so far.
    pub fn reset(&mut self) {
        self.tiles.fill(AT_REST);
    }
}

/// The last two frames, the older one first.
type TileState = [[f32; TILE_CHANNELS]; 2];

const AT_REST: TileState = [[0.0; TILE_CHANNELS]; 2];

dispatch! {
    fn below_zero(frames: &[[f32; TILE_CHANNELS]], output: &mut [[f32; TILE_CHANNELS]]) = negated_magnitudes;
    fn energy(frames: &[[f32; TILE_CHANNELS]], output: &mut [[f32; TILE_CHANNELS]], state: &mut TileState)
        = negated_energy;
}

#[inline(always)]
fn negated_magnitudes(frames: &[[f32; TILE_CHANNELS]], output: &mut [[f32; TILE_CHANNELS]]) {
    for (frame, into) in frames.iter().zip(output) {
        for l in 0..TILE_CHANNELS {
            into[l] = -frame[l].abs();
        }
    }
}

/// Reads every frame three times from the first cache: with the last two frames held in registers, as the filter holds
/// its state, the AVX-512 version ran at a tenth of this speed.
#[inline(always)]
fn negated_energy(
    frames: &[[f32; TILE_CHANNELS]],
    output: &mut [[f32; TILE_CHANNELS]],
    state: &mut TileState,
) {
    let [mut older, mut before] = [&state[0], &state[1]];
    for (x, into) in frames.iter().zip(output) {
        for l in 0..TILE_CHANNELS {
            into[l] = older[l] * x[l] - before[l] * before[l];
        }
        (older, before) = (before, x);
    }
    *state = [*older, *before];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_FRAMES_MAX;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// The definition, one channel.
    fn obvious(kind: DetectorKind, uv: &[f32]) -> Vec<f32> {
        let x = |t: usize, before: usize| if t < before { 0.0 } else { uv[t - before] };
        let of = |t: usize| match kind {
            DetectorKind::Negative => x(t, 0),
            DetectorKind::Absolute => -x(t, 0).abs(),
            DetectorKind::Neo => -(x(t, 1) * x(t, 1) - x(t, 2) * x(t, 0)),
        };
        (0..uv.len()).map(of).collect()
    }

    /// Two tiles whose every lane has the samples of `uv`, turned by as many frames as the lane's number.
    fn operate(operator: &mut Operator, uv: &[f32], cuts: &[usize]) -> Vec<[f32; 2 * TILE_CHANNELS]> {
        let (mut tile, mut from) = (Tile::new(), 0);
        let mut out = vec![[0.0; 2 * TILE_CHANNELS]; uv.len()];
        for &n_frames in cuts {
            tile.n_frames = n_frames.min(uv.len() - from);
            for index in 0..2 {
                tile.index = index;
                for (t, frame) in tile.frames_mut().iter_mut().enumerate() {
                    *frame = std::array::from_fn(|lane| turned(uv, index * TILE_CHANNELS + lane, from + t));
                }
                let output = operator.process(&tile);
                assert_eq!((output.index, output.n_frames), (index, tile.n_frames));
                for (row, frame) in out[from..].iter_mut().zip(output.frames()) {
                    row[index * TILE_CHANNELS..][..TILE_CHANNELS].copy_from_slice(frame);
                }
            }
            from += tile.n_frames;
        }
        assert_eq!(from, uv.len());
        out
    }

    fn turned(uv: &[f32], lane: usize, t: usize) -> f32 {
        uv[(t + lane) % uv.len()]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_and_level_gives_the_bits_of_the_definition(
            uv in prop::collection::vec(-1000.0_f32..1000.0, 1..200),
            mut cuts in prop::collection::vec(0_usize..=BLOCK_FRAMES_MAX, 6),
        ) {
            cuts.extend([BLOCK_FRAMES_MAX; 4]);
            for kind in DetectorKind::ALL {
                for level in Level::all() {
                    let mut operator = Operator::new(kind, 2, level);
                    for _ in 0..2 {
                        let out = operate(&mut operator, &uv, &cuts);
                        for lane in [0, 1, 17, 63, 64, 127] {
                            let input: Vec<f32> = (0..uv.len()).map(|t| turned(&uv, lane, t)).collect();
                            // Adding 0 makes one zero of two.
                            let bits = |y: f32| (y + 0.0).to_bits();
                            let got: Vec<u32> = out.iter().map(|row| bits(row[lane])).collect();
                            let expected: Vec<u32> = obvious(kind, &input).into_iter().map(bits).collect();
                            prop_assert_eq!(got, expected, "{} at {}", kind.name(), level.name());
                        }
                        operator.reset();
                    }
                }
            }
        }
    }

    #[test]
    fn the_usual_settings_are_legal_and_fall_below_zero() {
        for kind in DetectorKind::ALL {
            assert!(kind.usual_threshold(kind.usual_noise()) < -1.0);
            assert!((0.0..=1.0).contains(&kind.guard_share(1.0)));
        }
        assert!((DetectorKind::Neo.guard_share(0.3) - 0.09).abs() < 1e-12);
    }
}
