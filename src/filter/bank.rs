//! A cascade of second-order sections over every channel of a stream, in f32.
//!
//! In and out: a [`Tile`] (frames × lanes, any unit), filtered in place. Coefficients are constant and shared;
//! state is per tile. Guarantees: the same bits however the stream is cut into blocks and on every CPU
//! (plain f32 multiply and add, none fused); silence in gives exact zeros out after the filter rang out; no state
//! stays denormal.
//!
//! # Equation
//!
//! Direct form II in the delta operator δ = z − 1 (Kauraniemi et al. 1998, "Delta operator realizations
//! of direct-form IIR filters", IEEE Trans. Circuits Syst. II 45), whose coefficients are small differences held
//! to full precision where the poles crowd round z = 1:
//!
//! ```text
//! v = x − (1 + a1 + a2) w1 − (2 + a1) w0
//! y = b0 v + (2 b0 + b1) w0 + (b0 + b1 + b2) w1
//! w1 += w0,  w0 += v
//! ```
//!
//! Sections that block the mean run first; the first of them gives one of its zeros at z = 1 to a difference
//! `x[t] − x[t−1]` before it, so that slow potentials cancel before they can round the spikes away.
//! Where poles crowd round z = −1 (an edge near half the sample rate), a section runs mirrored: in −z, its
//! states changing sign each frame.
//!
//! # Measured accuracy
//!
//! max|y − y_scipy| / max|y_scipy| against float64 `sosfilt` of the same samples; slow potential of 1 mV, noise
//! of 8 µV, spikes of 200 µV; largest over the filters of each row. `tests/scipy_vectors.rs` holds every row.
//!
//! | filters | order 1 to 4 | order 5 to 8 |
//! |---|---|---|
//! | band-pass 250–300 Hz to 3–9 kHz at 19.5, 20 and 30 kHz | 1.9e-7 | 2.5e-7 |
//! | band-pass 70–150 Hz at 1 and 2 kHz; 0.5–300, 1–100 Hz at 2 kHz | 3.9e-7 | 4.3e-7 |
//! | high-pass 250–300 Hz at 20 and 30 kHz; 1 Hz at 2 kHz | 3.9e-7 | 3.3e-7 |
//! | low-pass 300 Hz to 9.5 kHz at 20 and 30 kHz | 4.1e-7 | 4.7e-7 |
//! | notch 50–180 Hz, quality 30 to 35, at 1, 2 and 30 kHz | 2.2e-7 | |
//!
//! With slow potentials of 5 mV and no spikes, over 3 s: at most 3.3e-7 in the first row and 8.3e-7 in any. The
//! usual direct forms in f32 give 6e-6 to 2e-5 for the first row from order 2 on.

use super::cascade::{
    CLEARED_EVERY, Coefficients, Forms, Found, GROUPS, Input, Int16, PASS, Pass, SectionState,
};
use super::cascade::{FUSED, LANES, forms_of};
use crate::block::{TILE_CHANNELS, Tile};
use crate::filter::design::Section;
use crate::simd::Level;

/// Sections that a cascade has at most: an 8th-order band-pass and 8 notches.
pub const SECTIONS_MAX: usize = 16;

/// One cascade for all channels of a stream.
#[derive(Clone, Debug)]
pub struct FilterBank {
    level: Level,
    coefficients: Vec<Coefficients>,
    forms: Option<Forms>,
    gain: f32,
    differenced: bool,
    settled: bool,
    tiles: Vec<TileState>,
    /// Of each tile, group and section.
    states: Vec<SectionState>,
    /// What the passes but the last one find.
    passing: Found,
}

#[derive(Clone, Debug)]
struct TileState {
    /// The last frame before the difference was taken.
    before: [f32; TILE_CHANNELS],
    /// A settled bank has seen a frame.
    started: bool,
    /// Frames so far, modulo [`CLEARED_EVERY`].
    phase: usize,
}

impl TileState {
    const AT_REST: TileState = TileState { before: [0.0; TILE_CHANNELS], started: false, phase: 0 };
}

impl FilterBank {
    /// A bank at rest for `n_tiles` tiles. With no sections it changes nothing.
    ///
    /// # Panics
    /// If there are more than [`SECTIONS_MAX`] sections.
    ///
    /// ```
    /// use efference::{block::Tile, filter::{FilterBank, design::butterworth_high_pass}};
    /// let mut bank = FilterBank::new(&butterworth_high_pass(2, 300.0, 30_000.0).unwrap(), 1);
    /// let mut tile = Tile::new();
    /// tile.n_frames = 1;
    /// tile.uv[0][5] = 100.0;
    /// bank.process(&mut tile);
    /// assert!((tile.uv[0][5] - 95.6).abs() < 0.1);
    /// assert_eq!(tile.uv[0][6], 0.0);
    /// ```
    pub fn new(sections: &[Section], n_tiles: usize) -> Self {
        assert!(sections.len() <= SECTIONS_MAX, "{} sections, at most {SECTIONS_MAX}", sections.len());
        let (mut sections, mut gain) = mean_blocking_first(sections);
        let differenced = sections.first().is_some_and(|s| zeros_at_one(s) > 0);
        if differenced {
            let b = &mut sections[0].b;
            *b = [b[0], -b[2], 0.0];
        }
        let forms = differenced.then(|| forms_of(&sections)).flatten();
        if forms.is_none() {
            share(&mut sections, gain);
            gain = 1.0;
        }
        let coefficients: Vec<_> = sections.iter().map(Coefficients::of).collect();
        FilterBank {
            level: Level::widest(),
            forms,
            gain: gain as f32,
            differenced,
            settled: false,
            tiles: vec![TileState::AT_REST; n_tiles],
            states: vec![[[0.0; LANES]; 2]; n_tiles * GROUPS * coefficients.len()],
            coefficients,
            passing: Found::new(),
        }
    }

    /// The same bank on another level of vector instructions: the same bits at another speed.
    pub fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The same bank with multiplications and additions fused, if it is a band-pass of order 2 on AVX-512: `None` else.
    /// For benches alone, to measure what it costs that results are the same on every CPU.
    #[doc(hidden)]
    pub fn fused(mut self) -> Option<Self> {
        self.forms = self.forms.map(|forms| forms | FUSED);
        (self.forms.is_some() && self.coefficients.len() == 2 && self.level.name() == "avx512")
            .then_some(self)
    }

    /// The same bank, which takes a stream's first frame for what had been there always, where a bank at rest takes
    /// it for a step from 0 (as SciPy's `sosfilt` without `zi`): an electrode's offset of some millivolt then
    /// rings like no spike does. Changes nothing where no section blocks the mean.
    ///
    /// ```
    /// use efference::{block::Tile, filter::{FilterBank, design::butterworth_high_pass}};
    /// let sections = butterworth_high_pass(2, 300.0, 30_000.0).unwrap();
    /// let mut bank = FilterBank::new(&sections, 1).settled();
    /// let mut tile = Tile::new();
    /// tile.n_frames = 2;
    /// (tile.uv[0][5], tile.uv[1][5]) = (5_000.0, 5_000.0);
    /// bank.process(&mut tile);
    /// assert_eq!((tile.uv[0][5], tile.uv[1][5]), (0.0, 0.0));
    /// ```
    pub fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// Filters the frames of one tile, which continue those that the tile of this index had before.
    ///
    /// # Panics
    /// If `tile.index` is not below the `n_tiles` that the bank was built for.
    pub fn process(&mut self, tile: &mut Tile) {
        self.process_and_find(tile, &mut Found::new());
    }

    /// As [`FilterBank::process`]; what is found on the way enters `found`.
    ///
    /// # Panics
    /// As [`FilterBank::process`].
    pub fn process_and_find(&mut self, tile: &mut Tile, found: &mut Found) {
        let input = if self.differenced { Input::Differenced } else { Input::Rows };
        self.run(input, tile, &mut found.lowest, &mut found.squares);
    }

    /// Whether [`FilterBank::process_samples`] serves: the filter blocks the mean and has had a frame.
    pub(crate) fn takes_samples(&self, tile: usize) -> bool {
        self.differenced && (self.tiles[tile].started || !self.settled)
    }

    /// As [`FilterBank::process_and_find`], of samples that have not become rows yet: they are converted on the way.
    /// The lowest sample of each lane is written to `lowest`, the squares are added to `squares`.
    ///
    /// # Panics
    /// As [`FilterBank::process`], and if [`FilterBank::takes_samples`] doesn't hold.
    pub(crate) fn process_samples(
        &mut self,
        samples: Int16<'_>,
        tile: &mut Tile,
        lowest: &mut [f32; TILE_CHANNELS],
        squares: &mut [f32; TILE_CHANNELS],
    ) {
        assert!(self.takes_samples(tile.index), "rows come first");
        self.run(Input::Int16(samples), tile, lowest, squares);
    }

    /// As [`FilterBank::process_and_find`], but nothing of what happens in the `blanked` frames (a bit each) comes
    /// through, neither from one sample to the next nor the step that is left.
    pub(crate) fn process_blanked(&mut self, blanked: u64, tile: &mut Tile, found: &mut Found) {
        if !self.differenced {
            return self.process_and_find(tile, found);
        }
        let state = self.start(tile);
        for (t, frame) in tile.frames_mut().iter_mut().enumerate() {
            let stays = blanked >> t & 1 == 0;
            for (x, before) in frame.iter_mut().zip(&mut state.before) {
                let now = *x;
                *x = if stays { now - *before } else { 0.0 };
                *before = now;
            }
        }
        self.run(Input::Rows, tile, &mut found.lowest, &mut found.squares);
    }

    /// Takes a tile's next frame for what was before it, as at the start of a settled stream: where a reference has gained
    /// or lost an electrode, its mean steps, and the step is no signal.
    pub(crate) fn resettle(&mut self, tile: usize) {
        self.tiles[tile].started = false;
    }

    /// Back to rest, as after [`FilterBank::new`].
    pub fn reset(&mut self) {
        self.tiles.fill(TileState::AT_REST);
        self.states.fill([[0.0; LANES]; 2]);
    }

    /// Of a settled bank, takes the first frame for what was before.
    fn start(&mut self, tile: &Tile) -> &mut TileState {
        let state = &mut self.tiles[tile.index];
        if let (true, false, Some(first)) = (self.settled, state.started, tile.frames().first()) {
            state.before = *first;
            state.started = true;
        }
        state
    }

    fn run(
        &mut self,
        input: Input<'_>,
        tile: &mut Tile,
        lowest: &mut [f32; TILE_CHANNELS],
        squares: &mut [f32; TILE_CHANNELS],
    ) {
        let n_sections = self.coefficients.len();
        if let Input::Differenced = input {
            self.start(tile);
        }
        let state = &mut self.tiles[tile.index];
        let states = &mut self.states[tile.index * GROUPS * n_sections..][..GROUPS * n_sections];
        let n_passes = n_sections.div_ceil(PASS).max(1);
        for p in 0..n_passes {
            let first_section = p * PASS;
            let is_last = p + 1 == n_passes;
            let mut pass = Pass {
                input: if p == 0 { input } else { Input::Rows },
                rows: &mut tile.uv[..tile.n_frames],
                coefficients: &self.coefficients[first_section..n_sections.min(first_section + PASS)],
                forms: self.forms,
                gain: if is_last { self.gain } else { 1.0 },
                before: &mut state.before,
                states,
                n_sections,
                first_section,
                phase: state.phase,
                lowest: if is_last { &mut *lowest } else { &mut self.passing.lowest },
                squares: if is_last { &mut *squares } else { &mut self.passing.squares },
            };
            pass.run(self.level);
        }
        state.phase = (state.phase + tile.n_frames) % CLEARED_EVERY;
    }
}

/// The same filter with a gain of its own, and the sections that have zeros at z = 1 first.
fn mean_blocking_first(sections: &[Section]) -> (Vec<Section>, f64) {
    let mut sections = sections.to_vec();
    sections.sort_by_key(|section| std::cmp::Reverse(zeros_at_one(section)));
    let mut gain = 1.0;
    for section in sections.iter_mut().filter(|section| section.b[0] != 0.0) {
        let b0 = section.b[0];
        gain *= b0;
        section.b = section.b.map(|b| b / b0);
    }
    (sections, gain)
}

/// Shares a gain out by powers of two, so that no section's output leaves the range of f32 and small whole
/// coefficients stay exact; the first section takes the rest.
fn share(sections: &mut [Section], mut gain: f64) {
    let share = (gain.abs().log2() / sections.len() as f64).round().exp2();
    for section in sections.iter_mut().skip(1) {
        section.b = section.b.map(|b| b * share);
        gain /= share;
    }
    if let Some(first) = sections.first_mut() {
        first.b = first.b.map(|b| b * gain);
    }
}

/// How many of the numerator's zeros lie at z = 1: 0, 1 or 2.
fn zeros_at_one(section: &Section) -> u32 {
    let [b0, b1, b2] = section.b;
    let small = ZERO_TOLERANCE * b0.abs().max(b1.abs()).max(b2.abs());
    let (mean, slope) = (b0 + b1 + b2, 2.0 * b0 + b1);
    if mean.abs() > small { 0 } else { 1 + u32::from(slope.abs() <= small) }
}

/// Zeros of the design are exact; this allows for a gain multiplied in.
const ZERO_TOLERANCE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_FRAMES_MAX;
    use crate::filter::design::{butterworth_band_pass, butterworth_low_pass, notch};
    use crate::filter::reference::sosfilt;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// A band-pass and notches: `n` sections in all; every second cascade is mirrored.
    fn sections(n: usize) -> Vec<Section> {
        let order = n.min(8);
        let high = if n.is_multiple_of(2) { 6_000.0 } else { 13_000.0 };
        let mut sections = butterworth_band_pass(order, 300.0, high, 30_000.0).expect("legal");
        sections.extend((order..n).map(|k| notch(60.0 * k as f64, 30.0, 30_000.0).expect("legal")));
        sections
    }

    /// Filters 130 channels, all with the samples of `uv` but for their sign, in blocks of the given lengths.
    fn filter(bank: &mut FilterBank, uv: &[f32], cuts: &[usize]) -> Vec<[f32; 130]> {
        let (mut tile, mut out, mut from) = (Tile::new(), vec![[0.0; 130]; uv.len()], 0);
        for &n_frames in cuts {
            tile.n_frames = n_frames.min(uv.len() - from);
            for index in 0..3 {
                let first = index * TILE_CHANNELS;
                let width = TILE_CHANNELS.min(130 - first);
                tile.index = index;
                for (frame, &x) in tile.frames_mut().iter_mut().zip(&uv[from..]) {
                    *frame = std::array::from_fn(|lane| match lane {
                        _ if lane >= width => 0.0,
                        _ if lane % 2 == 0 => x,
                        _ => -x,
                    });
                }
                bank.process(&mut tile);
                for (row, frame) in out[from..].iter_mut().zip(tile.frames()) {
                    row[first..first + width].copy_from_slice(&frame[..width]);
                    assert!(frame[width..].iter().all(|x| x.to_bits() == 0), "lanes past the last channel");
                }
            }
            from += tile.n_frames;
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_gives_the_same_bits_and_the_reference(
            uv in prop::collection::vec(-1000.0_f32..1000.0, 200),
            mut cuts in prop::collection::vec(0_usize..=BLOCK_FRAMES_MAX, 10),
            n_sections in 0_usize..=SECTIONS_MAX,
        ) {
            cuts.extend([BLOCK_FRAMES_MAX; 4]);
            let sections = if n_sections == 0 { Vec::new() } else { sections(n_sections) };
            let mut bank = FilterBank::new(&sections, 3);
            let once = filter(&mut bank, &uv, &[BLOCK_FRAMES_MAX; 4]);
            bank.reset();
            let again = filter(&mut bank, &uv, &cuts);
            prop_assert!(once == again, "the cut changed bits");
            let expected = sosfilt(&sections, &uv.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            let largest = expected.iter().fold(0.0_f64, |m, y| m.max(y.abs()));
            for (row, y) in once.iter().zip(&expected) {
                for (channel, value) in row.iter().enumerate() {
                    let y = if (channel % TILE_CHANNELS).is_multiple_of(2) { *y } else { -y };
                    prop_assert!((f64::from(*value) - y).abs() <= 2e-6 * largest);
                }
            }
        }
    }

    #[test]
    fn a_settled_bank_has_had_the_first_frame_always() {
        let uv: Vec<f32> = (0..200).map(|t| (t * 7919 % 201) as f32 - 100.0).collect();
        let offset: Vec<f32> = uv.iter().map(|x| x - uv[0] - 20_000.0).collect();
        for n_sections in 1..=SECTIONS_MAX {
            let mut bank = FilterBank::new(&sections(n_sections), 3);
            let from_zero: Vec<f32> = uv.iter().map(|x| x - uv[0]).collect();
            let expected = filter(&mut bank, &from_zero, &[BLOCK_FRAMES_MAX; 4]);
            let mut bank = bank.settled();
            for cuts in [[50, 50, 50, 50], [0, 1, 63, 64]] {
                bank.reset();
                let n: usize = cuts.iter().sum();
                assert!(filter(&mut bank, &offset, &cuts)[..n] == expected[..n], "{n_sections} sections");
            }
        }
    }

    #[test]
    fn after_silence_nothing_stays_denormal_and_the_output_is_zero() {
        for n_sections in 1..=SECTIONS_MAX {
            let mut bank = FilterBank::new(&sections(n_sections), 1);
            falls_silent(&mut bank, &format!("{n_sections} sections"));
        }
        for order in 1..=4 {
            let band = butterworth_band_pass(order, 300.0, 6_000.0, 20_000.0).expect("legal");
            falls_silent(&mut FilterBank::new(&band, 1), &format!("a band-pass of order {order}"));
        }
        let low = butterworth_low_pass(3, 0.5, 30_000.0).expect("legal");
        falls_silent(&mut FilterBank::new(&low, 1), "a low-pass");
    }

    fn falls_silent(bank: &mut FilterBank, name: &str) {
        let mut tile = Tile::new();
        tile.n_frames = 1;
        let mut denormal_frames = 0;
        for t in 0..4_000_000 {
            let loud = t < 200;
            tile.uv[0].fill(if loud { (t * 7919 % 201) as f32 - 100.0 } else { 0.0 });
            bank.process(&mut tile);
            denormal_frames +=
                u32::from(bank.states.as_flattened().as_flattened().iter().any(|w| w.is_subnormal()));
            if !loud && bank.states.as_flattened().as_flattened().iter().all(|w| *w == 0.0) {
                assert!(tile.uv[0].iter().all(|y| *y == 0.0), "{name}: silence is silent");
                assert!(denormal_frames < 2 * CLEARED_EVERY as u32, "{name}: {denormal_frames} frames");
                return;
            }
        }
        panic!("{name}: still not silent");
    }

    #[test]
    fn every_level_and_every_input_gives_the_same_bits() {
        let samples: Vec<i16> =
            (0..60 * TILE_CHANNELS as i32).map(|i| (i * 7919 % 2001) as i16 - 1000).collect();
        let means: Vec<f32> = (0..60).map(|t| t as f32 / 7.0 - 3.0).collect();
        let keep: u64 = (0..TILE_CHANNELS).filter(|l| l % 9 > 0).map(|l| 1 << l).sum();
        let (mut rows, mut all) =
            (Tile { n_frames: 60, ..Tile::new() }, Tile { n_frames: 60, ..Tile::new() });
        for order in 1..=8 {
            let band = butterworth_band_pass(order, 300.0, 6_000.0, 20_000.0).expect("legal");
            let mut first: Option<(Tile, Found)> = None;
            for level in Level::all() {
                let mut bank = FilterBank::new(&band, 1).at_level(level);
                let mut of_samples = bank.clone();
                for round in 0..3 {
                    let int16 = Int16 { samples: &samples, stride: TILE_CHANNELS, means: &means, keep };
                    for (t, row) in rows.frames_mut().iter_mut().enumerate() {
                        let of = &samples[t * TILE_CHANNELS..];
                        *row = std::array::from_fn(|l| {
                            if keep >> l & 1 == 0 { 0.0 } else { f32::from(of[l]) - means[t] }
                        });
                    }
                    let (mut found, mut found_too) = (Found::new(), Found::new());
                    bank.process_and_find(&mut rows, &mut found);
                    let Found { lowest, squares } = &mut found_too;
                    of_samples.process_samples(int16, &mut all, lowest, squares);
                    assert_eq!(rows.frames(), all.frames(), "order {order}, {}, round {round}", level.name());
                    assert_eq!((found.lowest, found.squares), (found_too.lowest, found_too.squares));
                    for l in 0..TILE_CHANNELS {
                        let lane = || rows.frames().iter().map(|row| row[l]);
                        assert_eq!(found.lowest[l], lane().fold(f32::INFINITY, f32::min));
                        assert_eq!(found.squares[l], lane().fold(0.0, |sum, x| sum + x * x));
                    }
                    if round == 2 {
                        let (first, found_first) = first.get_or_insert((rows.clone(), found.clone()));
                        assert_eq!(first.frames(), rows.frames(), "order {order}, {}", level.name());
                        assert_eq!(found_first.squares, found.squares);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_of_a_blanked_stretch_comes_through() {
        let band = butterworth_band_pass(2, 300.0, 6_000.0, 20_000.0).expect("legal");
        let mut bank = FilterBank::new(&band, 1).settled();
        let mut tile = Tile { n_frames: 40, ..Tile::new() };
        for (t, row) in tile.frames_mut().iter_mut().enumerate() {
            // A pulse of 20 mV that leaves an offset of 1 mV.
            row.fill(if (10..14).contains(&t) {
                20_000.0
            } else if t < 10 {
                5.0
            } else {
                1_005.0
            });
        }
        bank.process_blanked(0b11111 << 10, &mut tile, &mut Found::new());
        assert!(tile.frames().as_flattened().iter().all(|y| *y == 0.0));
        tile.frames_mut().iter_mut().for_each(|row| row.fill(1_005.0));
        bank.process(&mut tile);
        assert!(
            tile.frames().as_flattened().iter().all(|y| *y == 0.0),
            "the stream goes on from where it is"
        );
    }
}
