//! Frames to leave out because a stimulator jumped into them.
//!
//! In: frame by frame, the mean of a reference group, or the samples of a tile where there is no reference; both
//! before any filter, in counts. Out: one bit for each frame of the block that is to be blanked. Guarantees: the
//! same frames however the stream is cut and on every CPU; no memory.
//!
//! A stimulus reaches all electrodes at once, a spike doesn't. A frame jumps where the mean differs from the mean
//! of the frame before by more than a level, or, without a reference, where the samples of at least
//! [`JUMPING_SHARE`] of the active lanes differ by more than it. Blanked are the frame that jumps and `hold_frames`
//! after it, so that both edges of a pulse, and what an amplifier does after it, are left out.
//!
//! One electrode moves the mean of n by 1/n of its own jump: a level above the converter's range over n can't be
//! reached by a single one.

use crate::block::{BLOCK_FRAMES_MAX, TILE_CHANNELS};
use crate::simd::{Level, dispatch};

/// Finds artefacts in the means of one reference group.
///
/// ```
/// use efference::{block::BLOCK_FRAMES_MAX, filter::Blanker};
/// let mut blanker = Blanker::new(100.0, 2);
/// let mut means = [0.0; BLOCK_FRAMES_MAX];
/// means[5] = 4_000.0;
/// assert_eq!(blanker.blank(&means, 20), 0b1_1110_0000);
/// ```
#[derive(Clone, Debug)]
pub struct Blanker {
    level: f32,
    /// Of the frame before the block; not a number, from which nothing jumps, where there is none.
    before: f32,
    hold: Hold,
}

impl Blanker {
    /// A frame jumps where the mean changes by more than `level`, in counts; `hold_frames` after it are blanked too.
    ///
    /// # Panics
    /// If `level` is not above 0.
    pub fn new(level: f32, hold_frames: u32) -> Self {
        assert!(level > 0.0, "a level of {level}");
        Blanker { level, before: f32::NAN, hold: Hold::new(hold_frames) }
    }

    /// Which of the first `n_frames` frames of a block are blanked; bit t is frame t.
    ///
    /// # Panics
    /// If `n_frames` is above [`BLOCK_FRAMES_MAX`].
    pub fn blank(&mut self, means: &[f32; BLOCK_FRAMES_MAX], n_frames: usize) -> u64 {
        let means = &means[..n_frames];
        let (Some(&first), Some(&last)) = (means.first(), means.last()) else { return 0 };
        let (level, before) = (self.level, self.before);
        self.before = last;
        let jumps = |from: f32, to: f32| (to - from).abs() > level;
        let pairs = means.iter().zip(&means[1..]);
        let any = pairs.clone().fold(jumps(before, first), |any, (&from, &to)| any | jumps(from, to));
        if !any {
            return self.hold.after(0, n_frames);
        }
        let frames = pairs.enumerate();
        let later = frames.fold(0, |mask, (t, (&from, &to))| mask | u64::from(jumps(from, to)) << (t + 1));
        self.hold.after(later | u64::from(jumps(before, first)), n_frames)
    }

    /// Says that the group has gained or lost an electrode, which moves its mean: the next frame is blanked, and
    /// jumps from nowhere.
    pub fn rebase(&mut self) {
        self.before = f32::NAN;
        self.hold.next_one();
    }

    /// Forgets the stream so far, as after [`Blanker::new`].
    pub fn reset(&mut self) {
        self.before = f32::NAN;
        self.hold.left = 0;
    }
}

/// Finds artefacts in the samples of one tile, where there is no reference.
#[derive(Clone, Debug)]
pub struct LaneBlanker {
    level: f32,
    before: [f32; TILE_CHANNELS],
    /// All ones for active lanes, else 0.
    active: [u32; TILE_CHANNELS],
    /// Lanes that have to jump at once.
    wanted: u32,
    hold: Hold,
}

impl LaneBlanker {
    /// As [`Blanker::new`], over the lanes whose bit is set in `active`.
    ///
    /// # Panics
    /// If `level` is not above 0.
    pub fn new(level: f32, hold_frames: u32, active: u64) -> Self {
        assert!(level > 0.0, "a level of {level}");
        let mut blanker = LaneBlanker {
            level,
            before: [f32::NAN; TILE_CHANNELS],
            active: [0; TILE_CHANNELS],
            wanted: 0,
            hold: Hold::new(hold_frames),
        };
        blanker.set_active(active);
        blanker
    }

    /// Which of `frames` are blanked; bit t is frame t.
    ///
    /// # Panics
    /// If there are more than [`BLOCK_FRAMES_MAX`] frames.
    pub fn blank(&mut self, level: Level, frames: &[[f32; TILE_CHANNELS]]) -> u64 {
        assert!(frames.len() <= BLOCK_FRAMES_MAX);
        let mut any = [0; TILE_CHANNELS];
        find_any(level, frames, &self.before, self.level, &mut any);
        let n_lanes: u32 = any.iter().zip(&self.active).map(|(any, active)| any & active & 1).sum();
        let mut jumps = 0;
        if n_lanes >= self.wanted {
            count_jumps(level, frames, &self.before, self.level, &self.active, self.wanted, &mut jumps);
        }
        if let Some(last) = frames.last() {
            self.before = *last;
        }
        self.hold.after(jumps, frames.len())
    }

    /// Changes which lanes are active.
    pub fn set_active(&mut self, active: u64) {
        self.active = std::array::from_fn(|lane| if active >> lane & 1 == 1 { u32::MAX } else { 0 });
        // With no lane active, none of 65 can jump.
        self.wanted = match active.count_ones() {
            0 => TILE_CHANNELS as u32 + 1,
            n => (f64::from(n) * JUMPING_SHARE).ceil() as u32,
        };
    }

    /// Forgets the stream so far, as after [`LaneBlanker::new`].
    pub fn reset(&mut self) {
        self.before = [f32::NAN; TILE_CHANNELS];
        self.hold.left = 0;
    }
}

/// How long frames are blanked after one that jumped.
#[derive(Clone, Copy, Debug)]
struct Hold {
    frames: u32,
    /// Frames still to be blanked.
    left: u32,
}

impl Hold {
    fn new(frames: u32) -> Self {
        Hold { frames, left: 0 }
    }

    /// The frames to blank, of `n_frames`, where those of `jumps` jump.
    fn after(&mut self, jumps: u64, n_frames: usize) -> u64 {
        if jumps == 0 && self.left == 0 {
            return 0;
        }
        let mut blanked = 0;
        for t in 0..n_frames {
            if jumps >> t & 1 == 1 {
                self.left = self.frames.saturating_add(1);
            }
            if self.left > 0 {
                blanked |= 1 << t;
                self.left -= 1;
            }
        }
        blanked
    }

    fn next_one(&mut self) {
        self.left = self.left.max(1);
    }
}

dispatch! {
    fn find_any(
        frames: &[[f32; TILE_CHANNELS]],
        before: &[f32; TILE_CHANNELS],
        level: f32,
        any: &mut [u32; TILE_CHANNELS],
    ) = any_jump;
    fn count_jumps(
        frames: &[[f32; TILE_CHANNELS]],
        before: &[f32; TILE_CHANNELS],
        level: f32,
        active: &[u32; TILE_CHANNELS],
        wanted: u32,
        jumps: &mut u64,
    ) = frames_that_jump;
}

/// All ones where a lane jumps in any frame.
#[inline(always)]
fn any_jump(
    frames: &[[f32; TILE_CHANNELS]],
    before: &[f32; TILE_CHANNELS],
    level: f32,
    any: &mut [u32; TILE_CHANNELS],
) {
    let mut found = *any;
    let mut before = before;
    for frame in frames {
        for l in 0..TILE_CHANNELS {
            found[l] |= mask((frame[l] - before[l]).abs() > level);
        }
        before = frame;
    }
    *any = found;
}

/// One bit for each frame in which at least `wanted` active lanes jump.
#[inline(always)]
fn frames_that_jump(
    frames: &[[f32; TILE_CHANNELS]],
    before: &[f32; TILE_CHANNELS],
    level: f32,
    active: &[u32; TILE_CHANNELS],
    wanted: u32,
    jumps: &mut u64,
) {
    let mut before = before;
    for (t, frame) in frames.iter().enumerate() {
        let mut n_lanes = 0;
        for l in 0..TILE_CHANNELS {
            n_lanes += mask((frame[l] - before[l]).abs() > level) & active[l] & 1;
        }
        *jumps |= u64::from(n_lanes >= wanted) << t;
        before = frame;
    }
}

#[inline(always)]
fn mask(condition: bool) -> u32 {
    u32::from(condition).wrapping_neg()
}

/// The share of a tile's active lanes that jump at once in an artefact.
pub const JUMPING_SHARE: f64 = 0.75;
const _: () = assert!(BLOCK_FRAMES_MAX <= u64::BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    const LEVEL: f32 = 100.0;

    /// The definition: whether each frame is blanked, where `jumps` says which ones jump.
    fn obvious(jumps: &[bool], hold_frames: usize) -> Vec<bool> {
        (0..jumps.len()).map(|t| (t.saturating_sub(hold_frames)..=t).any(|from| jumps[from])).collect()
    }

    fn blanked_means(blanker: &mut Blanker, means: &[f32], length: usize) -> Vec<bool> {
        let mut block = [f32::NAN; BLOCK_FRAMES_MAX];
        let mut blanked = Vec::new();
        for part in means.chunks(length) {
            block[..part.len()].copy_from_slice(part);
            let mask = blanker.blank(&block, part.len());
            assert_eq!(mask.checked_shr(part.len() as u32).unwrap_or(0), 0, "bits past the block");
            blanked.extend((0..part.len()).map(|t| mask >> t & 1 == 1));
        }
        blanked
    }

    fn blanked_lanes(
        blanker: &mut LaneBlanker,
        level: Level,
        frames: &[[f32; TILE_CHANNELS]],
        length: usize,
    ) -> Vec<bool> {
        let mask = |part: &[[f32; TILE_CHANNELS]]| (blanker.blank(level, part), part.len());
        let parts: Vec<(u64, usize)> = frames.chunks(length).map(mask).collect();
        parts.into_iter().flat_map(|(mask, n)| (0..n).map(move |t| mask >> t & 1 == 1)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_of_means_gives_the_definition(
            // Most steps are below the level, some beyond it.
            steps in prop::collection::vec((-60.0_f32..60.0, 0_u8..40), 200),
            length in 1_usize..=BLOCK_FRAMES_MAX,
            hold_frames in 0_u32..90,
        ) {
            let means: Vec<f32> = steps.iter().map(|(x, dice)| x + if *dice == 0 { 900.0 } else { 0.0 }).collect();
            let jump = |t: usize| t > 0 && (means[t] - means[t - 1]).abs() > LEVEL;
            let jumps: Vec<bool> = (0..means.len()).map(jump).collect();
            let mut blanker = Blanker::new(LEVEL, hold_frames);
            prop_assert_eq!(blanked_means(&mut blanker, &means, length), obvious(&jumps, hold_frames as usize));
        }

        #[test]
        fn any_cut_of_lanes_gives_the_definition_on_every_level(
            seed in 0_u32..1_000_000,
            length in 1_usize..=BLOCK_FRAMES_MAX,
            hold_frames in 0_u32..90,
            active in prop::num::u64::ANY,
        ) {
            let noise = |i: usize| (i as u32).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 16;
            // In some frames a share of the lanes jumps, all of them at the most.
            let frame = |t: usize| -> [f32; TILE_CHANNELS] {
                let share = if noise(t).is_multiple_of(10) { noise(t + 77) % 130 } else { 0 };
                std::array::from_fn(|l| {
                    let jumps = noise(t * TILE_CHANNELS + l) % 100 < share;
                    (noise(t + l) % 50) as f32 + if jumps { 5_000.0 } else { 0.0 }
                })
            };
            let frames: Vec<_> = (0..200).map(frame).collect();
            let is_active = |l: &usize| active >> l & 1 == 1;
            let n_active = (0..TILE_CHANNELS).filter(is_active).count();
            let jump = |t: usize| {
                let jumps = |l: &usize| (frames[t][*l] - frames[t - 1][*l]).abs() > LEVEL;
                let n = (0..TILE_CHANNELS).filter(is_active).filter(jumps).count();
                n_active > 0 && n as f64 >= 0.75 * n_active as f64
            };
            let jumps: Vec<bool> = (0..frames.len()).map(|t| t > 0 && jump(t)).collect();
            for level in Level::all() {
                let mut blanker = LaneBlanker::new(LEVEL, hold_frames, active);
                let found = blanked_lanes(&mut blanker, level, &frames, length);
                prop_assert_eq!(found, obvious(&jumps, hold_frames as usize));
            }
        }
    }

    #[test]
    fn a_pulse_is_blanked_from_edge_to_edge_and_one_electrode_is_no_pulse() {
        let pulse = |t: usize| if (30..36).contains(&t) { 8_000.0 } else { 0.0 };
        let all: Vec<_> = (0..128).map(|t| [pulse(t); TILE_CHANNELS]).collect();
        let mut blanker = LaneBlanker::new(LEVEL, 45, u64::MAX);
        let found = blanked_lanes(&mut blanker, Level::widest(), &all, 20);
        assert_eq!(found, (0..128).map(|t| (30..=36 + 45).contains(&t)).collect::<Vec<_>>());
        let mut some = all.clone();
        some.iter_mut().for_each(|frame| frame[..47].fill(0.0));
        blanker.reset();
        assert!(!blanked_lanes(&mut blanker, Level::widest(), &some, 20).contains(&true));
    }

    #[test]
    fn a_group_that_changed_blanks_one_frame_and_a_reset_none() {
        let mut blanker = Blanker::new(LEVEL, 10);
        assert_eq!(blanker.blank(&[0.0; BLOCK_FRAMES_MAX], 5), 0);
        blanker.rebase();
        assert_eq!(blanker.blank(&[700.0; BLOCK_FRAMES_MAX], 5), 1);
        blanker.reset();
        assert_eq!(blanker.blank(&[0.0; BLOCK_FRAMES_MAX], 5), 0);
        assert_eq!(blanker.blank(&[0.0; BLOCK_FRAMES_MAX], 0), 0);
    }

    /// The state is the last frame and a number of frames: after a signal that stops, exact zeros and no bit.
    #[test]
    fn silence_after_signal_leaves_no_state() {
        let mut means = Blanker::new(LEVEL, 3);
        let mut lanes = LaneBlanker::new(LEVEL, 3, u64::MAX);
        means.blank(&[1e-40; BLOCK_FRAMES_MAX], 64);
        lanes.blank(Level::widest(), &[[9_000.0; TILE_CHANNELS]; 4]);
        for _ in 0..10 {
            means.blank(&[0.0; BLOCK_FRAMES_MAX], 64);
            lanes.blank(Level::widest(), &[[0.0; TILE_CHANNELS]; 64]);
        }
        assert_eq!((means.before, means.hold.left, lanes.hold.left), (0.0, 0, 0));
        assert_eq!(lanes.before, [0.0; TILE_CHANNELS]);
    }
}
