//! A cascade of second-order sections over every channel of a stream, in f32.
//!
//! In and out: a [`Tile`] (frames × lanes, any unit), filtered in place. Coefficients are constant and shared;
//! state is per tile. Guarantees: the same bits however the stream is cut into blocks and on every CPU
//! (plain f32 multiply and add, none fused); silence in gives exact zeros out after the filter rang out; no
//! state ever is denormal.
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

use crate::block::{TILE_CHANNELS, Tile};
use crate::filter::design::Section;

/// Sections that a cascade has at most: an 8th-order band-pass and 8 notches.
pub const SECTIONS_MAX: usize = 16;

/// One cascade for all channels of a stream.
#[derive(Clone, Debug)]
pub struct FilterBank {
    coefficients: Vec<Coefficients>,
    mirrored: bool,
    differenced: bool,
    settled: bool,
    tiles: Vec<TileState>,
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
        let mut sections = mean_blocking_first(sections);
        let differenced = sections.first().is_some_and(|s| zeros_at_one(s) > 0);
        if differenced {
            let b = &mut sections[0].b;
            *b = [b[0], -b[2], 0.0];
        }
        let coefficients: Vec<_> = sections.iter().map(Coefficients::of).collect();
        let mirrored = coefficients.iter().any(|c| c.sign < 0.0);
        let tiles = vec![TileState::at_rest(coefficients.len()); n_tiles];
        FilterBank { coefficients, mirrored, differenced, settled: false, tiles }
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
        let state = &mut self.tiles[tile.index];
        let frames = &mut tile.uv[..tile.n_frames];
        if self.differenced {
            if let (true, false, Some(first)) = (self.settled, state.started, frames.first()) {
                state.before = *first;
                state.started = true;
            }
            difference(frames, &mut state.before);
        }
        for group in 0..GROUPS {
            let states = &mut state.sections[group];
            for (coefficients, states) in self.coefficients.chunks(PASS).zip(states.chunks_mut(PASS)) {
                match self.mirrored {
                    false => run::<false>(frames, group, coefficients, states),
                    true => run::<true>(frames, group, coefficients, states),
                }
            }
        }
    }

    /// Back to rest, as after [`FilterBank::new`].
    pub fn reset(&mut self) {
        self.tiles.iter_mut().for_each(TileState::rest);
    }
}

/// What a section multiplies with; see the equation above.
#[derive(Clone, Copy, Debug)]
struct Coefficients {
    c: [f32; 3],
    a: [f32; 2],
    /// −1 for a mirrored section, else 1.
    sign: f32,
}

impl Coefficients {
    fn of(section: &Section) -> Self {
        let sign = if section.a[0] > MIRROR_ABOVE { -1.0 } else { 1.0 };
        let ([b0, b1, b2], [a1, a2]) = (section.b, section.a);
        let (b1, a1) = (sign * b1, sign * a1);
        Coefficients {
            c: [b0 as f32, (2.0 * b0 + b1) as f32, (b0 + b1 + b2) as f32],
            a: [(2.0 + a1) as f32, (1.0 + a1 + a2) as f32],
            sign: sign as f32,
        }
    }
}

/// `w0 + BIAS` and `w1` of one section for the lanes of one group.
type SectionState = [[f32; LANES]; 2];

const AT_REST: SectionState = [[BIAS; LANES], [0.0; LANES]];

#[derive(Clone, Debug, PartialEq)]
struct TileState {
    /// The last frame before the difference was taken.
    before: [f32; TILE_CHANNELS],
    /// A settled bank has seen a frame.
    started: bool,
    sections: [Vec<SectionState>; GROUPS],
}

impl TileState {
    fn at_rest(n_sections: usize) -> Self {
        let rest = vec![AT_REST; n_sections];
        TileState {
            before: [0.0; TILE_CHANNELS],
            started: false,
            sections: std::array::from_fn(|_| rest.clone()),
        }
    }

    /// Back to rest in the memory that it has.
    fn rest(&mut self) {
        self.before = [0.0; TILE_CHANNELS];
        self.started = false;
        self.sections.iter_mut().for_each(|states| states.fill(AT_REST));
    }
}

/// The same filter with the sections that have zeros at z = 1 first, and with its gain shared out by powers of
/// two, so that no section's output leaves the range of f32 and small whole coefficients stay exact.
fn mean_blocking_first(sections: &[Section]) -> Vec<Section> {
    let mut sections = sections.to_vec();
    sections.sort_by_key(|section| std::cmp::Reverse(zeros_at_one(section)));
    let mut gain = 1.0;
    for section in sections.iter_mut().filter(|section| section.b[0] != 0.0) {
        let b0 = section.b[0];
        gain *= b0;
        section.b = section.b.map(|b| b / b0);
    }
    let share = (gain.abs().log2() / sections.len() as f64).round().exp2();
    for section in sections.iter_mut().skip(1) {
        section.b = section.b.map(|b| b * share);
        gain /= share;
    }
    if let Some(first) = sections.first_mut() {
        first.b = first.b.map(|b| b * gain);
    }
    sections
}

/// How many of the numerator's zeros lie at z = 1: 0, 1 or 2.
fn zeros_at_one(section: &Section) -> u32 {
    let [b0, b1, b2] = section.b;
    let small = ZERO_TOLERANCE * b0.abs().max(b1.abs()).max(b2.abs());
    let (mean, slope) = (b0 + b1 + b2, 2.0 * b0 + b1);
    if mean.abs() > small { 0 } else { 1 + u32::from(slope.abs() <= small) }
}

fn difference(frames: &mut [[f32; TILE_CHANNELS]], before: &mut [f32; TILE_CHANNELS]) {
    for frame in frames {
        for (x, before) in frame.iter_mut().zip(before.iter_mut()) {
            let now = *x;
            *x = now - *before;
            *before = now;
        }
    }
}

/// Picks the kernel whose number of sections is a constant, so that all of their state stays in registers.
fn run<const MIRRORED: bool>(
    frames: &mut [[f32; TILE_CHANNELS]],
    group: usize,
    coefficients: &[Coefficients],
    states: &mut [SectionState],
) {
    fn fixed<const S: usize, const MIRRORED: bool>(
        frames: &mut [[f32; TILE_CHANNELS]],
        group: usize,
        coefficients: &[Coefficients],
        states: &mut [SectionState],
    ) {
        let coefficients = coefficients.first_chunk::<S>().expect("matched by length");
        let states = states.first_chunk_mut::<S>().expect("one state a section");
        cascade::<S, MIRRORED>(frames, group, coefficients, states);
    }
    match coefficients.len() {
        1 => fixed::<1, MIRRORED>(frames, group, coefficients, states),
        2 => fixed::<2, MIRRORED>(frames, group, coefficients, states),
        3 => fixed::<3, MIRRORED>(frames, group, coefficients, states),
        _ => fixed::<PASS, MIRRORED>(frames, group, coefficients, states),
    }
}

/// `S` sections over the lanes of one group.
fn cascade<const S: usize, const MIRRORED: bool>(
    frames: &mut [[f32; TILE_CHANNELS]],
    group: usize,
    coefficients: &[Coefficients; S],
    states: &mut [SectionState; S],
) {
    let (coefficients, mut local) = (*coefficients, *states);
    for frame in frames {
        let lanes = &mut frame.as_chunks_mut::<LANES>().0[group];
        let mut x = *lanes;
        for s in 0..S {
            let Coefficients { c, a, sign } = coefficients[s];
            let [biased, w1] = &mut local[s];
            for l in 0..LANES {
                let w0 = biased[l] - BIAS;
                let v = (x[l] - a[1] * w1[l]) - a[0] * w0;
                x[l] = (c[0] * v + c[1] * w0) + c[2] * w1[l];
                if MIRRORED {
                    w1[l] = sign * (w1[l] + w0);
                    biased[l] = sign * (w0 + v) + BIAS;
                } else {
                    w1[l] += w0;
                    biased[l] += v;
                }
            }
        }
        for l in 0..LANES {
            lanes[l] = (x[l] + SETTLE) - SETTLE;
        }
    }
    *states = local;
}

/// Lanes that a kernel holds at once: of 8, 16 and 32 the fastest with SSE2, and within a tenth of it with AVX2
/// and AVX-512.
const LANES: usize = 16;
const GROUPS: usize = TILE_CHANNELS / LANES;
/// Sections of one pass over the tile; the state of more spills out of the registers.
const PASS: usize = 4;
/// Added to `w0` where it is stored: what is far below it rounds to nothing, so that silence neither ends in
/// denormals (hundreds of cycles each on some CPUs) nor needs a branch.
const BIAS: f32 = 1e-20;
/// Added to and taken from the output: the remains of `w1`, below 10⁻²⁰, become exact zeros.
const SETTLE: f32 = 1e-12;
/// Beyond this `a1` the poles are nearer to −1 than the plain form holds to full precision.
const MIRROR_ABOVE: f64 = 1.0;
/// Zeros of the design are exact; this allows for a gain multiplied in.
const ZERO_TOLERANCE: f64 = 1e-9;
const _: () = assert!(TILE_CHANNELS.is_multiple_of(LANES));

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
    fn after_silence_nothing_is_denormal_and_the_output_is_zero() {
        for n_sections in 1..=SECTIONS_MAX {
            let mut bank = FilterBank::new(&sections(n_sections), 1);
            falls_silent(&mut bank, &format!("{n_sections} sections"));
        }
        let low = butterworth_low_pass(3, 0.5, 30_000.0).expect("legal");
        falls_silent(&mut FilterBank::new(&low, 1), "a low-pass");
    }

    fn falls_silent(bank: &mut FilterBank, name: &str) {
        let mut tile = Tile::new();
        tile.n_frames = BLOCK_FRAMES_MAX;
        for block in 0..60_000 {
            let loud = block < 3;
            for (t, frame) in tile.frames_mut().iter_mut().enumerate() {
                frame.fill(if loud { (t * 7919 % 201) as f32 - 100.0 } else { 0.0 });
            }
            bank.process(&mut tile);
            for state in bank.tiles[0].sections.iter().flatten().flatten().flatten() {
                assert!(!state.is_subnormal(), "{name}: a state of {state:e} in block {block}");
            }
            if tile.frames().as_flattened().iter().all(|y| *y == 0.0) && !loud {
                return;
            }
        }
        panic!("{name}: still not silent");
    }
}
