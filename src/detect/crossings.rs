//! Threshold crossings with a refractory period and a guard against ringing.
//!
//! In: a filtered [`Tile`] in microvolt. Out: crossings per lane, added to the caller's counts, and on request
//! which lanes crossed in which frame. Guarantees: a stream's first frame crosses nothing; the same crossings
//! however the stream is cut.
//!
//! # Definition
//!
//! A crossing at frame t is a downward pass through the level in force at t, `x[t] < level(t)` and
//! `x[t−1] ≥ level(t)`, unless t lies less than the refractory period after the last crossing that counted. The
//! level is the channel's threshold. Under a ring guard of a given share and length it is, until that length after
//! the last crossing,
//!
//! ```text
//! level(t) = min(threshold, share × trough)
//! ```
//!
//! where the trough is the smallest sample from that crossing to the end of its refractory period. It follows:
//!
//! - A signal that stays below the level counts once, however long it stays.
//! - What has gone below the threshold under the guard, but not below the level, doesn't count when the guard
//!   ends, for it passes nothing then; it counts if it passes the level before.
//! - A second spike on the flank of a first one counts, though the signal never came back above the threshold, if
//!   it came back above the level.
//! - Each crossing sets a trough and starts a guard of its own; that of the crossing before is over.
//!
//! # Why a guard
//!
//! A causal band-pass rings after a spike: with the usual 250 Hz to 5 kHz, a second trough of some 12 % of
//! the first at order 2 and of 40 % at order 4 follows 1 to 2.5 ms later, and crosses the threshold again if
//! the spike was large. A share of 0.3 therefore silences order 2, while order 4 asks for 0.5.

use super::crossed::Crossed;
use crate::block::{TILE_CHANNELS, Tile, n_tiles};
use crate::simd::{Level, dispatch};

/// Crossings of all channels of a stream.
#[derive(Clone, Debug)]
pub struct CrossingDetector {
    level: Level,
    rule: Rule,
    tiles: Vec<TileState>,
    /// Looked at only where something lies below a threshold.
    guarded: Vec<GuardState>,
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
        let rule = Rule { refractory: refractory_frames.max(1) as i32, share: 0.0, beyond_refractory: 0 };
        let guarded = vec![GuardState::never(); tiles.len()];
        CrossingDetector { level: Level::widest(), rule, tiles, guarded }
    }

    /// The same detector on another level of vector instructions: the same bits at another speed.
    pub fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The same detector with a ring guard: less than `guard_frames` after a crossing only what goes below `share`
    /// of its trough counts. A share of 0, or a guard no longer than the refractory period, guards nothing.
    ///
    /// ```
    /// use efference::{block::{TILE_CHANNELS, Tile}, detect::CrossingDetector};
    /// let mut tile = Tile::new();
    /// tile.n_frames = 8;
    /// for (frame, uv) in tile.uv.iter_mut().zip([0.0, -200.0, -80.0, 20.0, -55.0, 0.0, -65.0, 0.0]) {
    ///     frame[0] = uv;
    /// }
    /// let mut counts = [0.0; TILE_CHANNELS];
    /// let plain = CrossingDetector::new(1, &[-50.0], 2);
    /// plain.clone().process(&tile, &mut counts, None);
    /// assert_eq!(counts[0], 3.0);
    /// plain.with_ring_guard(0.3, 100).process(&tile, &mut counts, None);
    /// assert_eq!(counts[0], 3.0 + 2.0, "below -60 only");
    /// ```
    ///
    /// # Panics
    /// If `share` is not within 0 to 1, `guard_frames` is beyond [`REFRACTORY_FRAMES_MAX`], or a threshold is
    /// above 0.
    pub fn with_ring_guard(mut self, share: f32, guard_frames: u32) -> Self {
        assert!((0.0..=1.0).contains(&share), "a ring guard of {share} of the trough");
        let mut thresholds = self.tiles.iter().flat_map(|tile| tile.thresholds);
        assert!(thresholds.all(|threshold| threshold <= 0.0), "a trough of spikes that go up");
        assert!(guard_frames <= REFRACTORY_FRAMES_MAX, "a ring guard of {guard_frames} frames");
        let beyond_refractory = guard_frames as i32 - self.rule.refractory;
        if share > 0.0 && beyond_refractory > 0 {
            self.rule = Rule { share, beyond_refractory, ..self.rule };
        }
        self
    }

    /// The thresholds in force on the lanes of one tile, to be changed between two frames; they stay at or below 0
    /// under a ring guard.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub fn thresholds_mut(&mut self, tile: usize) -> &mut [f32; TILE_CHANNELS] {
        &mut self.tiles[tile].thresholds
    }

    /// Adds the crossings in `tile`, which continues the tile of this index before it, to the counts of
    /// its lanes, and writes them frame by frame to `crossed`.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub fn process(&mut self, tile: &Tile, counts: &mut [f32; TILE_CHANNELS], crossed: Option<&mut Crossed>) {
        let mut lowest = [f32::INFINITY; TILE_CHANNELS];
        for frame in tile.frames() {
            for l in 0..TILE_CHANNELS {
                lowest[l] = lower(frame[l], lowest[l]);
            }
        }
        self.process_found(tile, &lowest, counts, crossed);
    }

    /// As [`CrossingDetector::process`], where the lowest sample of every lane is known from the filter. A tile in
    /// which none lies below its threshold holds no crossing and deepens no trough, which starts below the
    /// threshold: it passes by. That is the rule, since electrodes are silent for most of the time.
    ///
    /// # Panics
    /// As [`CrossingDetector::process`].
    pub fn process_found(
        &mut self,
        tile: &Tile,
        lowest: &[f32; TILE_CHANNELS],
        counts: &mut [f32; TILE_CHANNELS],
        mut crossed: Option<&mut Crossed>,
    ) {
        if let Some(crossed) = &mut crossed {
            crossed.clear(tile.n_frames);
        }
        let Some(last) = tile.frames().last() else { return };
        let state = &mut self.tiles[tile.index];
        let mut loud = 0;
        loud_lanes(self.level, lowest, &state.thresholds, &mut loud);
        if loud != 0 {
            let work = Work {
                frames: tile.frames(),
                loud,
                rule: self.rule,
                state,
                guarded: &mut self.guarded[tile.index],
                counts,
            };
            match (crossed, self.rule.share > 0.0) {
                (None, false) => plain(self.level, work),
                (None, true) => guarded(self.level, work),
                (Some(crossed), false) => plain_listed(self.level, work, crossed),
                (Some(crossed), true) => guarded_listed(self.level, work, crossed),
            }
        }
        state.before = *last;
        state.now += tile.n_frames as i32;
        if state.now > CLOCK_MAX {
            self.guarded[tile.index].rewind(state.now);
            state.now = 0;
        }
    }

    /// Forgets the stream so far, as after [`CrossingDetector::new`].
    pub fn reset(&mut self) {
        for tile in &mut self.tiles {
            *tile = TileState { thresholds: tile.thresholds, ..TileState::never() };
        }
        self.guarded.fill(GuardState::never());
    }
}

/// When a crossing counts.
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// At least 1.
    refractory: i32,
    /// Of the trough, under the guard; 0 where there is none.
    share: f32,
    /// Frames that the guard lasts beyond the refractory period.
    beyond_refractory: i32,
}

/// State of the lanes of one tile that every block needs.
#[derive(Clone, Copy, Debug)]
struct TileState {
    thresholds: [f32; TILE_CHANNELS],
    /// The last frame; −∞, from where nothing passes downward, before the first one.
    before: [f32; TILE_CHANNELS],
    /// The number of the next frame on the tile's own clock, which starts again at [`CLOCK_MAX`].
    now: i32,
}

impl TileState {
    fn never() -> Self {
        TileState {
            thresholds: [f32::NEG_INFINITY; TILE_CHANNELS],
            before: [f32::NEG_INFINITY; TILE_CHANNELS],
            now: 0,
        }
    }
}

/// State that only crossings change.
#[derive(Clone, Copy, Debug)]
struct GuardState {
    /// The frame on the tile's clock from which a crossing counts again.
    free_from: [i32; TILE_CHANNELS],
    /// share × trough of the last crossing, for as long as the guard lasts.
    lows: [f32; TILE_CHANNELS],
}

impl GuardState {
    fn never() -> Self {
        GuardState { free_from: [LONG_AGO; TILE_CHANNELS], lows: [0.0; TILE_CHANNELS] }
    }

    /// Sets the clock back by `frames`.
    fn rewind(&mut self, frames: i32) {
        for free_from in &mut self.free_from {
            *free_from = (*free_from).max(LONG_AGO + frames) - frames;
        }
    }
}

/// A tile that has samples below thresholds.
struct Work<'a> {
    frames: &'a [[f32; TILE_CHANNELS]],
    /// Which lanes have any, a bit each.
    loud: u64,
    rule: Rule,
    state: &'a mut TileState,
    guarded: &'a mut GuardState,
    counts: &'a mut [f32; TILE_CHANNELS],
}

dispatch! {
    fn plain(work: Work<'_>) = detect::<false>;
    fn guarded(work: Work<'_>) = detect::<true>;
    fn plain_listed(work: Work<'_>, crossed: &mut Crossed) = detect_listed::<false>;
    fn loud_lanes(lowest: &[f32; TILE_CHANNELS], thresholds: &[f32; TILE_CHANNELS], loud: &mut u64) = lanes_below;
    fn guarded_listed(work: Work<'_>, crossed: &mut Crossed) = detect_listed::<true>;
}

/// One bit for each lane that goes below its threshold. Most groups of lanes have none.
#[inline(always)]
fn lanes_below(lowest: &[f32; TILE_CHANNELS], thresholds: &[f32; TILE_CHANNELS], loud: &mut u64) {
    let groups = lowest.as_chunks::<LANES>().0.iter().zip(thresholds.as_chunks::<LANES>().0);
    for (group, (lowest, thresholds)) in groups.enumerate() {
        let mut below = [0; LANES];
        let mut any = 0;
        for l in 0..LANES {
            below[l] = mask(lowest[l] < thresholds[l]);
            any |= below[l];
        }
        if any != 0 {
            *loud |= bits(&below) << (group * LANES);
        }
    }
}

#[inline(always)]
fn detect<const GUARD: bool>(work: Work<'_>) {
    for_groups::<GUARD>(work, |_, _| ());
}

#[inline(always)]
fn detect_listed<const GUARD: bool>(work: Work<'_>, crossed: &mut Crossed) {
    for_groups::<GUARD>(work, |frame, lanes| crossed.add(frame, lanes));
}

/// The lanes over the frames of a tile, group by group; `report` gets the lanes that crossed in a frame. Conditions
/// are masks, −1 or 0, so that nothing branches.
#[inline(always)]
fn for_groups<const GUARD: bool>(work: Work<'_>, mut report: impl FnMut(usize, u64)) {
    let Work { frames, loud, rule, state, guarded, counts } = work;
    for group in 0..GROUPS {
        let lanes = loud >> (group * LANES) & GROUP_MASK;
        if lanes.count_ones() <= APART_MAX {
            let mut rest = lanes;
            while rest != 0 {
                let lane = group * LANES + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                one_lane::<GUARD>(frames, lane, rule, state, guarded, counts, &mut report);
            }
            continue;
        }
        let thresholds = state.thresholds.as_chunks::<LANES>().0[group];
        let mut before = state.before.as_chunks::<LANES>().0[group];
        let mut free_from = guarded.free_from.as_chunks::<LANES>().0[group];
        let mut lows = guarded.lows.as_chunks::<LANES>().0[group];
        let mut count = [0; LANES];
        for (t, frame) in frames.iter().enumerate() {
            let lanes = &frame.as_chunks::<LANES>().0[group];
            let now = state.now + t as i32;
            let mut crossing = [0; LANES];
            for l in 0..LANES {
                let x = lanes[l];
                let is_busy = mask(free_from[l] > now);
                let mut level = thresholds[l];
                if GUARD {
                    let is_guarded = mask(free_from[l] > now - rule.beyond_refractory);
                    let low = keep(is_guarded, lows[l]);
                    level = lower(level, low);
                    crossing[l] = mask(x < level) & mask(before[l] >= level) & !is_busy;
                    // From a crossing to the end of its refractory period the trough may deepen.
                    lows[l] = lower(keep(crossing[l] | is_busy, rule.share) * x, keep(!crossing[l], low));
                } else {
                    crossing[l] = mask(x < level) & mask(before[l] >= level) & !is_busy;
                }
                free_from[l] = (free_from[l] & !crossing[l]) | ((now + rule.refractory) & crossing[l]);
                count[l] -= crossing[l];
                before[l] = x;
            }
            report(t, bits(&crossing) << (group * LANES));
        }
        guarded.free_from.as_chunks_mut::<LANES>().0[group] = free_from;
        guarded.lows.as_chunks_mut::<LANES>().0[group] = lows;
        add(count, group, counts);
    }
}

/// One lane over the frames of a tile, as [`for_groups`] does with sixteen: where few are loud, this is faster.
#[inline(always)]
fn one_lane<const GUARD: bool>(
    frames: &[[f32; TILE_CHANNELS]],
    lane: usize,
    rule: Rule,
    state: &TileState,
    guarded: &mut GuardState,
    counts: &mut [f32; TILE_CHANNELS],
    report: &mut impl FnMut(usize, u64),
) {
    let threshold = state.thresholds[lane];
    let (mut before, mut free_from) = (state.before[lane], guarded.free_from[lane]);
    for (t, frame) in frames.iter().enumerate() {
        let x = frame[lane];
        // Whatever the level, it lies at the threshold or below.
        if x < threshold {
            let now = state.now + t as i32;
            let is_busy = free_from > now;
            let is_guarded = GUARD && free_from > now - rule.beyond_refractory;
            let low = if is_guarded { guarded.lows[lane] } else { 0.0 };
            let level = if GUARD { lower(threshold, low) } else { threshold };
            if x < level && before >= level && !is_busy {
                free_from = now + rule.refractory;
                guarded.lows[lane] = rule.share * x;
                counts[lane] += 1.0;
                report(t, 1 << lane);
            } else if is_busy {
                // Until the end of the refractory period the trough may deepen.
                guarded.lows[lane] = lower(rule.share * x, low);
            }
        }
        before = x;
    }
    guarded.free_from[lane] = free_from;
}

/// Adds the counts of one group of lanes.
#[inline(always)]
fn add(count: [i32; LANES], group: usize, counts: &mut [f32; TILE_CHANNELS]) {
    for (total, count) in counts.as_chunks_mut::<LANES>().0[group].iter_mut().zip(count) {
        *total += count as f32;
    }
}

#[inline(always)]
fn mask(condition: bool) -> i32 {
    -i32::from(condition)
}

/// `x` where the mask is −1, 0 where it is 0.
#[inline(always)]
fn keep(mask: i32, x: f32) -> f32 {
    f32::from_bits(x.to_bits() & mask as u32)
}

#[inline(always)]
fn lower(x: f32, y: f32) -> f32 {
    if x < y { x } else { y }
}

/// Lane masks as bits.
#[inline(always)]
fn bits(lanes: &[i32; LANES]) -> u64 {
    let mut bits = 0;
    for (l, lane) in lanes.iter().enumerate() {
        bits |= lane & (1 << l);
    }
    u64::from(bits as u32)
}

/// Frames of a refractory period or a ring guard at most: above a second at any rate.
pub const REFRACTORY_FRAMES_MAX: u32 = 1 << 24;
/// Lanes that the kernel holds at once: of 8, 16 and 32 the fastest with SSE2; 32 gains up to a fifth with AVX-512.
const LANES: usize = 16;
const GROUPS: usize = TILE_CHANNELS / LANES;
const GROUP_MASK: u64 = (1 << LANES) - 1;
/// Loud lanes of a group that are looked at one by one; with more, all sixteen at once are faster.
const APART_MAX: u32 = 3;
/// Where a tile's clock starts again, in frames: hours.
const CLOCK_MAX: i32 = 1 << 29;
/// A frame before all others, from where no guard reaches to frame 0.
const LONG_AGO: i32 = -(1 << 29);
const _: () = assert!(CLOCK_MAX as u32 > 2 * REFRACTORY_FRAMES_MAX);
const _: () = assert!(LANES <= 32 && TILE_CHANNELS.is_multiple_of(LANES) && TILE_CHANNELS <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_FRAMES_MAX;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// What a detector is set to: frames of its refractory period, share and frames of its guard.
    type Settings = (u32, f32, u32);

    /// The definition, one channel, no masks: frames of its crossings.
    fn obvious(uv: &[f32], threshold: f32, (refractory, share, guard_frames): Settings) -> Vec<usize> {
        let refractory = refractory.max(1) as usize;
        let mut crossings: Vec<usize> = Vec::new();
        for t in 1..uv.len() {
            let mut level = threshold;
            if let Some(&last) = crossings.last()
                && share > 0.0
                && t - last < guard_frames as usize
            {
                let trough = uv[last..t.min(last + refractory)].iter().copied().fold(0.0, f32::min);
                level = threshold.min(share * trough);
            }
            let is_free = crossings.last().is_none_or(|last| t - last >= refractory);
            if uv[t] < level && uv[t - 1] >= level && is_free {
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

    /// 50 channels × 150 frames of few levels, so that samples often equal the threshold, with a silence in between
    /// and 14 channels that are silent but for one frame.
    fn channels() -> impl Strategy<Value = Vec<Vec<f32>>> {
        let lane = prop::collection::vec((-9_i8..=2).prop_map(f32::from), 150);
        (prop::collection::vec(lane, 50), 0_usize..150, 0_usize..150).prop_map(|(mut lanes, from, to)| {
            for (l, lane) in lanes.iter_mut().enumerate() {
                lane[from.min(to)..to].fill(0.0);
                if l >= 36 {
                    lane[..from].fill(0.0);
                    lane[(from + 1).min(150)..].fill(0.0);
                }
            }
            lanes
        })
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let share = prop_oneof![Just(0.0_f32), Just(0.3), Just(0.5), Just(1.0)];
        (prop_oneof![0_u32..6, 0_u32..90], share, 0_u32..100)
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
            cuts in prop::collection::vec(prop_oneof![0_usize..=5, 0_usize..=BLOCK_FRAMES_MAX], 60),
            settings in settings(),
        ) {
            let mut cuts = cuts;
            cuts.extend([BLOCK_FRAMES_MAX; 3]);
            let (refractory, share, guard_frames) = settings;
            let mut detector =
                CrossingDetector::new(50, &[-2.0; 50], refractory).with_ring_guard(share, guard_frames);
            let (counts, events) = run(&mut detector, &lanes, &cuts);
            let mut expected = Vec::new();
            for (l, lane) in lanes.iter().enumerate() {
                let crossings = obvious(lane, -2.0, settings);
                prop_assert_eq!(counts[l], crossings.len() as f32);
                expected.extend(crossings.into_iter().map(|t| (t, l)));
            }
            expected.sort_unstable();
            prop_assert_eq!(events, expected);
            prop_assert!(counts[50..].iter().all(|count| *count == 0.0));
        }
    }

    /// Frames in which one channel of these samples crosses −20, with a refractory period of 3 frames and a guard
    /// of 30 % over 10.
    fn guarded(uv: &[f32]) -> Vec<usize> {
        let mut detector = CrossingDetector::new(1, &[-20.0], 3).with_ring_guard(0.3, 10);
        run(&mut detector, &[uv.to_vec()], &[uv.len()]).1.into_iter().map(|(frame, _)| frame).collect()
    }

    #[test]
    fn what_rings_is_not_counted() {
        // The trough of −100 comes after the crossing; −29 lies above 30 % of it, −31 below.
        assert_eq!(guarded(&[0.0, -50.0, -100.0, 0.0, -29.0, 0.0, -31.0, 0.0]), [1, 6]);
        // The guard ends at frame 11: what is below the threshold by then passed it under the guard.
        let mut late = [0.0; 14];
        (late[1], late[10], late[11], late[12]) = (-100.0, -29.0, -29.0, -29.0);
        assert_eq!(guarded(&late), [1]);
        late[10] = 0.0;
        assert_eq!(guarded(&late), [1, 11]);
    }

    #[test]
    fn a_long_trough_counts_once_and_a_spike_on_its_flank_again() {
        let long =
            [0.0, -100.0, -90.0, -80.0, -70.0, -60.0, -50.0, -40.0, -35.0, -31.0, -25.0, -22.0, -21.0, 0.0];
        assert_eq!(guarded(&long), [1]);
        let mut flank = long;
        flank[11] = -32.0;
        assert_eq!(guarded(&flank), [1], "frame 11 is no longer guarded, and nothing passed the threshold");
        flank[6..9].copy_from_slice(&[-25.0, -60.0, -18.0]);
        assert_eq!(guarded(&flank[..9]), [1, 7]);
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
