//! The kernel of the filter bank: up to [`PASS`] sections over the frames of one tile, in one go.
//!
//! In: samples of a block as the converter gave them less the mean of their group, or rows of a tile. Out: the rows
//! filtered, and on the way, since the samples are in registers: the lowest sample and the sum of squares of every
//! lane. Guarantees: the same bits on every CPU and for every cut; no state stays denormal longer than
//! [`CLEARED_EVERY`] frames.

use super::design::Section;
use crate::block::TILE_CHANNELS;
use crate::simd::{Level, dispatch};

/// What a section multiplies with; the equation stands in [`super::bank`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Coefficients {
    c: [f32; 3],
    a: [f32; 2],
    /// −1 for a mirrored section, else 1.
    sign: f32,
}

impl Coefficients {
    pub(super) fn of(section: &Section) -> Self {
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

/// How the output of a section is taken, where its numerator has small whole coefficients: two bits a section, the
/// first section lowest.
pub(super) type Forms = u32;

/// y = w0 of the next frame: of 1 − z⁻¹.
const INTEGRAL: Forms = 0;
/// y = v: of (1 − z⁻¹)².
const PLAIN: Forms = 1;
/// y = v + 4 w1 of the next frame: of (1 + z⁻¹)².
const SUMMING: Forms = 2;
/// y = c0 v + c1 w0 + c2 w1: of any.
const GENERAL: Forms = 3;

/// Band-pass of order 2 behind a difference.
const BAND_2: Forms = INTEGRAL | SUMMING << 2;
/// Band-pass of order 4 behind a difference.
const BAND_4: Forms = INTEGRAL | PLAIN << 2 | SUMMING << 4 | SUMMING << 6;
/// High-pass of order 4 (as of 3 and 2, whose first sections these are) behind a difference.
const HIGH_4: Forms = INTEGRAL | PLAIN << 2;
/// Beside forms: multiplications and additions fused, for benches to measure what it costs to go without. What comes
/// of it differs from CPU to CPU.
pub(super) const FUSED: Forms = 1 << 31;
const BAND_2_FUSED: Forms = BAND_2 | FUSED;
/// Four sections that aren't looked at.
const ANY: Forms = GENERAL | GENERAL << 2 | GENERAL << 4 | GENERAL << 6;

/// The forms of a whole cascade of unit gain whose first section stands behind a difference; `None` where no kernel
/// is made for them.
pub(super) fn forms_of(sections: &[Section]) -> Option<Forms> {
    let form = |section: &Section| match section.b.map(|b| b as f32) {
        [1.0, -1.0, 0.0] => INTEGRAL,
        [1.0, -2.0, 1.0] => PLAIN,
        [1.0, 2.0, 1.0] => SUMMING,
        _ => GENERAL,
    };
    if sections.iter().any(|section| section.a[0] > MIRROR_ABOVE) {
        return None;
    }
    let forms = sections.iter().enumerate().take(PASS).map(|(s, section)| form(section) << (2 * s));
    let forms = forms.fold(0, |all, form| all | form);
    let known = [(2, BAND_2), (2, HIGH_4), (4, BAND_4)];
    known.contains(&(sections.len(), forms)).then_some(forms)
}

/// `w0` and `w1` of one section for the lanes of one group.
pub(super) type SectionState = [[f32; LANES]; 2];

/// Where samples come from.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// `sample − means[frame]` where `keep` has a bit, else 0; the first section's difference is taken.
    Int16(Int16<'a>),
    /// The rows themselves; their difference is taken.
    Differenced,
    /// The rows as they are.
    Rows,
}

/// Samples of one whole tile, where they stand in a block.
#[derive(Clone, Copy)]
pub(crate) struct Int16<'a> {
    /// From lane 0 of the first frame on.
    pub(crate) samples: &'a [i16],
    /// From one frame to the next.
    pub(crate) stride: usize,
    /// What is taken off, one a frame.
    pub(crate) means: &'a [f32],
    /// A bit for every lane that is active; others read 0.
    pub(crate) keep: u64,
}

/// What is found on the way, per lane.
#[derive(Clone, Debug)]
pub struct Found {
    /// The lowest output of these frames; +∞ of none.
    pub lowest: [f32; TILE_CHANNELS],
    /// The sum of squares so far, to which the outputs of these frames were added in their order.
    pub squares: [f32; TILE_CHANNELS],
}

impl Found {
    /// Nothing yet.
    pub fn new() -> Self {
        Found { lowest: [f32::INFINITY; TILE_CHANNELS], squares: [0.0; TILE_CHANNELS] }
    }
}

impl Default for Found {
    fn default() -> Self {
        Found::new()
    }
}

/// Some sections of a cascade over one tile.
pub(super) struct Pass<'a> {
    pub(super) input: Input<'a>,
    /// In where `input` says so, and out.
    pub(super) rows: &'a mut [[f32; TILE_CHANNELS]],
    pub(super) coefficients: &'a [Coefficients],
    pub(super) forms: Option<Forms>,
    /// What the output is multiplied with.
    pub(super) gain: f32,
    /// The last frame before the difference was taken.
    pub(super) before: &'a mut [f32; TILE_CHANNELS],
    /// Of each group, of each section of the whole cascade.
    pub(super) states: &'a mut [SectionState],
    /// Of the whole cascade.
    pub(super) n_sections: usize,
    /// Which of them is the pass's first.
    pub(super) first_section: usize,
    /// Frames that the tile has had, modulo [`CLEARED_EVERY`].
    pub(super) phase: usize,
    /// The lowest output of each lane, written.
    pub(super) lowest: &'a mut [f32; TILE_CHANNELS],
    /// The sum of squares of each lane, added to.
    pub(super) squares: &'a mut [f32; TILE_CHANNELS],
}

impl Pass<'_> {
    /// Picks the kernel in which number and forms of the sections are constants, so that their state stays in
    /// registers.
    pub(super) fn run(&mut self, level: Level) {
        // A single section or two leave registers for two groups of lanes, if there are 32 of them.
        let wide = level.name() == "avx512";
        match (self.coefficients.len(), self.forms) {
            (2, Some(BAND_2)) if wide => self.input_of::<2, BAND_2, 2>(level),
            (2, Some(BAND_2_FUSED)) if wide => self.input_of::<2, BAND_2_FUSED, 2>(level),
            (2, Some(BAND_2)) => self.input_of::<2, BAND_2, 1>(level),
            (2, Some(HIGH_4)) => self.input_of::<2, HIGH_4, 1>(level),
            (4, Some(BAND_4)) => self.input_of::<4, BAND_4, 1>(level),
            (0, _) => self.input_of::<0, ANY, 1>(level),
            (1, _) => self.input_of::<1, ANY, 1>(level),
            (2, _) => self.input_of::<2, ANY, 1>(level),
            (3, _) => self.input_of::<3, ANY, 1>(level),
            _ => self.input_of::<4, ANY, 1>(level),
        }
    }

    fn input_of<const S: usize, const FORMS: Forms, const G: usize>(&mut self, level: Level) {
        match self.input {
            Input::Int16(_) => int16::<S, FORMS, G>(level, self),
            Input::Differenced => differenced::<S, FORMS, G>(level, self),
            Input::Rows => rows::<S, FORMS, G>(level, self),
        }
    }
}

dispatch! {
    fn int16<const S: usize, const FORMS: u32, const G: usize>(pass: &mut Pass<'_>) = kernel::<S, FORMS, G, 0>;
    fn differenced<const S: usize, const FORMS: u32, const G: usize>(pass: &mut Pass<'_>) = kernel::<S, FORMS, G, 1>;
    fn rows<const S: usize, const FORMS: u32, const G: usize>(pass: &mut Pass<'_>) = kernel::<S, FORMS, G, 2>;
}

/// `S` sections over the frames of a tile, `G` groups of lanes at once. All that is done to a frame stands in one
/// loop over the lanes: loops of their own are unrolled before they can become vectors.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "lanes are numbers in all arrays at once")]
fn kernel<const S: usize, const FORMS: u32, const G: usize, const INPUT: u32>(pass: &mut Pass<'_>) {
    let coefficients: [Coefficients; S] = *pass.coefficients.first_chunk().expect("matched by length");
    let (gain, n_frames, at) = (pass.gain, pass.rows.len(), pass.first_section);
    let before_of = pass.before.as_chunks_mut::<LANES>().0;
    let lowest_of = pass.lowest.as_chunks_mut::<LANES>().0;
    let squares_of = pass.squares.as_chunks_mut::<LANES>().0;
    for first in (0..GROUPS).step_by(G) {
        let mut before = [[0.0; LANES]; G];
        let mut keep = [[0; LANES]; G];
        let mut w = [[[[0.0; LANES]; 2]; S]; G];
        let mut lowest = [[f32::INFINITY; LANES]; G];
        let mut squares = [[0.0; LANES]; G];
        for g in 0..G {
            before[g] = before_of[first + g];
            squares[g] = squares_of[first + g];
            if let Input::Int16(int16) = &pass.input {
                let bits = (int16.keep >> ((first + g) * LANES)) as u32;
                for l in 0..LANES {
                    keep[g][l] = 0u32.wrapping_sub(bits >> l & 1);
                }
            }
            for s in 0..S {
                w[g][s] = pass.states[(first + g) * pass.n_sections + at + s];
            }
        }
        let (mut from, mut phase) = (0, pass.phase);
        while from < n_frames {
            if phase == 0 {
                w.iter_mut().flatten().for_each(clear);
            }
            let to = n_frames.min(from + CLEARED_EVERY - phase);
            for t in from..to {
                for g in 0..G {
                    let out = &mut pass.rows[t].as_chunks_mut::<LANES>().0[first + g];
                    let mut samples = [0; LANES];
                    let mut mean = 0.0;
                    if let (0, Input::Int16(int16)) = (INPUT, &pass.input) {
                        let from = t * int16.stride + (first + g) * LANES;
                        samples = *int16.samples[from..].first_chunk().expect("a whole tile");
                        mean = int16.means[t];
                    }
                    let mut y = [0.0; LANES];
                    for l in 0..LANES {
                        let now = match INPUT {
                            0 => f32::from_bits((f32::from(samples[l]) - mean).to_bits() & keep[g][l]),
                            _ => out[l],
                        };
                        let mut x = now;
                        if INPUT < 2 {
                            x = now - before[g][l];
                            before[g][l] = now;
                        }
                        for s in 0..S {
                            let Coefficients { c, a, sign } = coefficients[s];
                            let [w0, w1] = [w[g][s][0][l], w[g][s][1][l]];
                            let v = plus::<FORMS>(-a[0], w0, plus::<FORMS>(-a[1], w1, x));
                            let (mut next_w0, mut next_w1) = (w0 + v, w1 + w0);
                            x = match (FORMS >> (2 * s)) & 3 {
                                INTEGRAL => next_w0,
                                PLAIN => v,
                                SUMMING => plus::<FORMS>(4.0, next_w1, v),
                                _ => {
                                    (next_w0, next_w1) = (sign * next_w0, sign * next_w1);
                                    (c[0] * v + c[1] * w0) + c[2] * w1
                                }
                            };
                            (w[g][s][0][l], w[g][s][1][l]) = (next_w0, next_w1);
                        }
                        let x = x * gain;
                        y[l] = x;
                        lowest[g][l] = if x < lowest[g][l] { x } else { lowest[g][l] };
                        squares[g][l] = plus::<FORMS>(x, x, squares[g][l]);
                    }
                    *out = y;
                }
            }
            (from, phase) = (to, 0);
        }
        for g in 0..G {
            before_of[first + g] = before[g];
            squares_of[first + g] = squares[g];
            lowest_of[first + g] = lowest[g];
            for s in 0..S {
                pass.states[(first + g) * pass.n_sections + at + s] = w[g][s];
            }
        }
    }
}

/// a·b + c, rounded twice; once where it is asked to fuse.
#[inline(always)]
fn plus<const FORMS: Forms>(a: f32, b: f32, c: f32) -> f32 {
    if FORMS & FUSED == 0 { a * b + c } else { a.mul_add(b, c) }
}

/// What is far below any sample becomes 0, so that silence doesn't end in denormals, which cost hundreds of cycles
/// each on some CPUs.
#[inline(always)]
fn clear([w0, w1]: &mut SectionState) {
    for l in 0..LANES {
        // One of them alone may be small for long: w0 is the slope of w1.
        let nothing = w0[l].abs() < NOTHING && w1[l].abs() < NOTHING;
        w0[l] = if nothing { 0.0 } else { w0[l] };
        w1[l] = if nothing { 0.0 } else { w1[l] };
    }
}

/// Lanes of a group: one register of AVX-512. A group of 16 is also the fastest with AVX2 and SSE2.
pub(super) const LANES: usize = 16;
pub(super) const GROUPS: usize = TILE_CHANNELS / LANES;
/// Sections of one pass over the tile; the state of more spills out of the registers.
pub(super) const PASS: usize = 4;
/// Frames from one look at the states to the next. What is above [`NOTHING`] now and decays so slowly that it would
/// stay denormal for long is not denormal before the next look: 10⁻²⁰ · 0.5⁶⁴ is still normal.
pub(super) const CLEARED_EVERY: usize = 64;
/// A state below this is none.
const NOTHING: f32 = 1e-20;
/// Beyond this `a1` the poles are nearer to −1 than the plain form holds to full precision.
const MIRROR_ABOVE: f64 = 1.0;
const _: () = assert!(TILE_CHANNELS.is_multiple_of(2 * LANES));
