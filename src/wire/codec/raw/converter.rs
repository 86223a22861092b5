//! What voltage a code of an analogue-to-digital converter stands for.
//!
//! In: a code. Out: the edges and the middle of its interval in fine units, 2⁻⁵ of a count as a rule. Guarantees: edges
//! never fall as the code grows. The N1's converter has steps of 0 to 2 counts, the same ones on every electrode (code
//! −1 all but never occurs); a codec that knows them needs 2 % fewer bits.

/// How wide the codes of a converter are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converter {
    /// All the same, with samples of 2 to 16 `bits`: −2^(bits − 1)..2^(bits − 1).
    Uniform {
        /// Of a sample.
        bits: u8,
    },
    /// 10-bit codes of Neuralink's N1, with the steps that 100 of its recordings show.
    NeuralinkN1,
}

impl Converter {
    /// Bits of a sample, 2 to 16.
    pub fn bits(self) -> u32 {
        match self {
            Converter::Uniform { bits } => u32::from(bits).clamp(BITS_MIN, BITS_MAX),
            Converter::NeuralinkN1 => N1_BITS,
        }
    }

    /// The lower edge of a code's interval, or the upper edge of the last code's, in 2^−[`Converter::edge_bits`] counts.
    pub fn edge(self, code: i32) -> i32 {
        match self {
            Converter::Uniform { .. } => Uniform { bits: self.bits() }.edge(code),
            Converter::NeuralinkN1 => NeuralinkN1.edge(code),
        }
    }

    /// Binary places of [`Converter::edge`].
    pub fn edge_bits(self) -> u32 {
        1 + match self {
            Converter::Uniform { .. } => Uniform { bits: self.bits() }.fine_bits(),
            Converter::NeuralinkN1 => NeuralinkN1.fine_bits(),
        }
    }
}

/// A converter whose kind is known when the loops are compiled.
pub(super) trait Steps: Copy {
    /// Of a sample.
    fn bits(self) -> u32;
    /// Binary places of a count that a fine unit has.
    fn fine_bits(self) -> u32;
    /// Twice the lower edge of `code`, which may be one more than the last. (Where a fine unit is a count, edges lie
    /// between.)
    fn edge(self, code: i32) -> i32;
    /// A code in or near whose interval half of `level` lies.
    fn near(self, level: i32) -> i32;

    /// The middle of the interval of `code`.
    #[inline(always)]
    fn middle(self, code: i32) -> i16 {
        ((self.edge(code) + self.edge(code + 1)) >> 2) as i16
    }
}

/// See [`Converter::Uniform`].
#[derive(Clone, Copy)]
pub(super) struct Uniform {
    pub(super) bits: u32,
}

impl Steps for Uniform {
    #[inline(always)]
    fn bits(self) -> u32 {
        self.bits
    }

    #[inline(always)]
    fn fine_bits(self) -> u32 {
        (BITS_MAX - self.bits).min(FINE_BITS)
    }

    #[inline(always)]
    fn edge(self, code: i32) -> i32 {
        (code << (self.fine_bits() + 1)) - i32::from(self.bits == BITS_MAX)
    }

    #[inline(always)]
    fn near(self, level: i32) -> i32 {
        (level + i32::from(self.bits == BITS_MAX)) >> (self.fine_bits() + 1)
    }
}

/// See [`Converter::NeuralinkN1`].
#[derive(Clone, Copy)]
pub(super) struct NeuralinkN1;

impl Steps for NeuralinkN1 {
    #[inline(always)]
    fn bits(self) -> u32 {
        N1_BITS
    }

    #[inline(always)]
    fn fine_bits(self) -> u32 {
        FINE_BITS
    }

    #[inline(always)]
    fn edge(self, code: i32) -> i32 {
        N1_EDGES[((code + 512).max(0) as usize).min(1024)]
    }

    #[inline(always)]
    fn near(self, level: i32) -> i32 {
        let step = ((level - N1_EDGES[0]).max(0) >> NEAR_BITS) as usize;
        i32::from(N1_NEAR[step.min(N1_NEAR.len() - 1)])
    }
}

/// Fewest and most bits of a sample.
pub(super) const BITS_MIN: u32 = 2;
pub(super) const BITS_MAX: u32 = 16;
/// Binary places below a count where samples leave room for them.
const FINE_BITS: u32 = 5;
const N1_BITS: u32 = 10;

/// Twice the lower edges of the codes −512..=512 in fine units; 0 is that of code 0.
static N1_EDGES: [i32; 1025] = {
    let mut edges = [0; 1025];
    let mut code = 512;
    while code < 1024 {
        edges[code + 1] = edges[code] + N1_WIDTHS[code] as i32;
        code += 1;
    }
    code = 512;
    while code > 0 {
        code -= 1;
        edges[code] = edges[code + 1] - N1_WIDTHS[code] as i32;
    }
    edges
};

/// The code at the middle of each quarter of a count of voltage, from the lowest edge up.
static N1_NEAR: [i16; N1_SPAN] = {
    let mut near = [0; N1_SPAN];
    let (mut step, mut code) = (0, 0);
    while step < N1_SPAN {
        let level = N1_EDGES[0] + ((step as i32) << NEAR_BITS) + (1 << (NEAR_BITS - 1));
        while code < 1023 && N1_EDGES[code + 1] <= level {
            code += 1;
        }
        near[step] = code as i16 - 512;
        step += 1;
    }
    near
};
/// Half fine units in a step of the search.
const NEAR_BITS: u32 = 4;
/// Steps from the lowest edge to the highest.
const N1_SPAN: usize = {
    let (mut span, mut code) = (0, 0);
    while code < 1024 {
        span += N1_WIDTHS[code] as usize;
        code += 1;
    }
    span.div_ceil(1 << NEAR_BITS)
};

/// Widths of the codes −512..=511, 1/64 of the mean: the most likely ones given 100 recordings (of the 200 by name,
/// every second) under a Gaussian about a linear prediction. Codes too rare to tell have the mean of those that agree
/// with them in sign and in their last five bits.
#[rustfmt::skip]
static N1_WIDTHS: [u8; 1024] = [
    36, 28, 44, 40, 36, 30, 30, 28, 24, 16, 20, 25, 19, 24, 27, 42, 31, 33, 50, 75, 44, 54, 50, 120,
    35, 46, 64, 111, 36, 58, 54, 66, 33, 46, 68, 102, 52, 61, 54, 121, 51, 51, 69, 117, 38, 64, 57, 97,
    43, 44, 71, 96, 52, 66, 55, 121, 38, 45, 70, 104, 38, 61, 56, 67, 34, 42, 69, 95, 52, 62, 54, 108,
    53, 47, 70, 114, 38, 63, 57, 82, 46, 51, 73, 86, 53, 61, 57, 120, 38, 45, 72, 116, 40, 61, 58, 57,
    34, 44, 71, 90, 53, 63, 55, 108, 53, 48, 68, 111, 39, 64, 56, 82, 44, 45, 72, 91, 54, 63, 57, 122,
    38, 45, 71, 114, 39, 64, 55, 57, 34, 41, 69, 95, 56, 63, 56, 110, 53, 47, 73, 116, 38, 64, 56, 83,
    47, 48, 74, 90, 53, 69, 57, 118, 39, 45, 74, 106, 40, 60, 58, 54, 34, 45, 72, 93, 54, 61, 55, 106,
    53, 47, 70, 108, 38, 63, 57, 85, 45, 45, 71, 89, 53, 61, 60, 115, 39, 48, 73, 104, 40, 63, 55, 66,
    34, 44, 70, 92, 55, 64, 56, 104, 54, 46, 72, 102, 39, 63, 58, 79, 46, 49, 75, 87, 54, 61, 61, 114,
    40, 45, 71, 105, 40, 58, 58, 51, 35, 44, 74, 88, 55, 60, 56, 100, 54, 46, 74, 113, 39, 62, 57, 80,
    46, 46, 75, 88, 56, 63, 58, 126, 40, 45, 72, 115, 40, 63, 59, 44, 35, 50, 76, 100, 55, 63, 57, 113,
    55, 49, 78, 112, 42, 67, 61, 86, 49, 47, 76, 98, 56, 68, 68, 123, 42, 50, 75, 117, 40, 64, 59, 47,
    35, 45, 69, 89, 56, 61, 54, 97, 51, 42, 68, 91, 36, 55, 53, 71, 41, 40, 62, 72, 48, 52, 50, 95,
    35, 39, 61, 83, 35, 49, 47, 42, 30, 38, 60, 72, 45, 52, 47, 79, 46, 37, 58, 85, 33, 56, 47, 64,
    43, 41, 63, 76, 46, 55, 52, 109, 36, 47, 68, 100, 36, 60, 56, 51, 31, 42, 71, 90, 55, 61, 59, 105,
    56, 46, 75, 110, 40, 66, 60, 97, 42, 48, 78, 95, 59, 68, 64, 125, 41, 51, 83, 116, 41, 70, 62, 40,
    25, 49, 81, 101, 63, 71, 66, 115, 64, 53, 83, 118, 42, 72, 67, 79, 61, 50, 85, 98, 59, 69, 65, 129,
    43, 49, 81, 115, 43, 64, 60, 38, 51, 46, 74, 87, 55, 60, 54, 95, 50, 44, 69, 93, 37, 55, 52, 75,
    38, 40, 65, 75, 50, 53, 52, 100, 35, 39, 64, 90, 36, 55, 51, 49, 31, 42, 67, 78, 52, 56, 54, 90,
    55, 41, 71, 95, 40, 57, 56, 64, 55, 43, 71, 81, 55, 56, 56, 105, 40, 43, 70, 93, 41, 56, 56, 42,
    39, 42, 70, 79, 55, 56, 56, 89, 56, 41, 71, 93, 41, 56, 57, 76, 42, 42, 72, 80, 57, 57, 58, 107,
    43, 43, 74, 96, 43, 40, 5, 0, 52, 43, 76, 82, 61, 59, 62, 95, 63, 45, 79, 101, 47, 61, 64, 65,
    66, 46, 82, 87, 66, 63, 66, 116, 50, 47, 82, 105, 49, 63, 64, 23, 70, 46, 83, 87, 67, 62, 65, 97,
    67, 45, 81, 100, 49, 60, 64, 78, 50, 43, 79, 82, 64, 58, 62, 107, 49, 42, 77, 95, 47, 56, 57, 17,
    70, 41, 78, 76, 61, 55, 60, 85, 62, 40, 73, 91, 46, 55, 60, 56, 63, 39, 76, 76, 63, 55, 61, 100,
    49, 42, 78, 94, 48, 55, 61, 29, 58, 42, 79, 77, 65, 57, 62, 89, 65, 40, 81, 96, 48, 57, 65, 69,
    51, 41, 77, 79, 68, 59, 65, 107, 53, 43, 82, 104, 50, 55, 41, 22, 90, 43, 82, 76, 71, 58, 65, 87,
    70, 41, 81, 93, 51, 54, 60, 58, 68, 40, 80, 77, 65, 57, 63, 107, 55, 43, 81, 99, 49, 56, 61, 21,
    78, 41, 81, 80, 67, 58, 61, 91, 68, 43, 87, 93, 52, 57, 64, 67, 56, 41, 84, 77, 67, 56, 61, 101,
    53, 42, 77, 101, 47, 59, 61, 22, 73, 40, 78, 74, 67, 57, 65, 84, 69, 42, 82, 97, 48, 57, 63, 62,
    61, 39, 78, 78, 65, 56, 65, 104, 50, 43, 80, 100, 48, 63, 59, 22, 71, 42, 80, 75, 68, 57, 66, 90,
    69, 40, 84, 96, 53, 55, 62, 64, 55, 40, 77, 78, 72, 58, 63, 100, 52, 44, 84, 102, 49, 58, 57, 22,
    82, 43, 79, 83, 69, 56, 62, 86, 67, 42, 83, 94, 50, 57, 66, 63, 66, 41, 80, 77, 75, 56, 67, 103,
    51, 43, 78, 94, 50, 58, 59, 23, 79, 43, 84, 81, 68, 57, 62, 85, 68, 41, 79, 91, 48, 56, 66, 65,
    60, 41, 79, 77, 68, 56, 66, 105, 52, 43, 79, 95, 49, 56, 57, 22, 85, 42, 81, 76, 65, 58, 66, 84,
    71, 43, 84, 92, 53, 57, 66, 62, 61, 42, 86, 74, 66, 57, 67, 101, 53, 42, 84, 98, 49, 57, 63, 22,
    77, 40, 83, 76, 74, 58, 69, 83, 78, 41, 82, 93, 52, 57, 67, 61, 64, 40, 80, 77, 73, 56, 62, 99,
    53, 42, 85, 91, 55, 55, 56, 22, 102, 43, 84, 77, 70, 55, 65, 81, 71, 40, 85, 88, 54, 58, 62, 59,
    67, 40, 85, 73, 76, 57, 67, 99, 60, 42, 85, 102, 57, 56, 57, 22, 87, 41, 84, 72, 70, 56, 63, 83,
    72, 41, 81, 90, 51, 55, 61, 60, 59, 40, 80, 73, 69, 56, 67, 97, 54, 40, 87, 93, 55, 56, 53, 22,
    97, 39, 83, 71, 72, 55, 70, 78, 78, 38, 86, 85, 60, 57, 71, 53, 79, 37, 92, 69, 74, 56, 70, 94,
    67, 39, 85, 89, 59, 54, 56, 21, 81, 38, 85, 71, 74, 51, 67, 74, 72, 39, 83, 84, 56, 53, 67, 58,
    75, 39, 91, 73, 83, 55, 80, 102, 75, 42, 111, 124, 106, 77, 144, 23,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: impl Steps) {
        let half = 1 << (steps.bits() - 1);
        for code in -half..half {
            assert!(steps.edge(code) <= steps.edge(code + 1), "{code}");
            let middle = 2 * i32::from(steps.middle(code));
            assert!((steps.edge(code) - 1..=steps.edge(code + 1)).contains(&middle), "{code}");
            assert!((steps.near(middle) - code).abs() <= 2, "{code}");
        }
    }

    #[test]
    fn middles_lie_between_growing_edges() {
        (BITS_MIN..=BITS_MAX).for_each(|bits| check(Uniform { bits }));
        check(NeuralinkN1);
    }
}
