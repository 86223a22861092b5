//! What voltage a code of an analogue-to-digital converter stands for.
//!
//! In: a code. Out: the edges and the middle of its interval in fine units, 2⁻⁵ of a count as a rule. Guarantees: edges grow with the code. The N1's converter has steps of 0.06 to 2 counts, the same ones on
//! every electrode (code −1 never occurs); a codec that knows them needs a thirtieth fewer bits.

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
        2 * i32::from(N1_EDGES[((code + 512).max(0) as usize).min(1024)])
    }

    #[inline(always)]
    fn near(self, level: i32) -> i32 {
        let step = (((level >> 1) - N1_EDGES[0] as i32).max(0) >> NEAR_BITS) as usize;
        i32::from(N1_NEAR[step.min(N1_NEAR.len() - 1)])
    }
}

/// Fewest and most bits of a sample.
pub(super) const BITS_MIN: u32 = 2;
pub(super) const BITS_MAX: u32 = 16;
/// Binary places below a count where samples leave room for them.
const FINE_BITS: u32 = 5;
const N1_BITS: u32 = 10;

/// The lower edges of the codes −512..=512; 0 is that of code 0.
static N1_EDGES: [i16; 1025] = {
    let mut edges = [0; 1025];
    let mut code = 512;
    while code < 1024 {
        edges[code + 1] = edges[code] + N1_WIDTHS[code] as i16;
        code += 1;
    }
    code = 512;
    while code > 0 {
        code -= 1;
        edges[code] = edges[code + 1] - N1_WIDTHS[code] as i16;
    }
    edges
};

/// The code at the middle of each quarter of a count of voltage, from the lowest edge up.
static N1_NEAR: [i16; N1_SPAN] = {
    let mut near = [0; N1_SPAN];
    let (mut step, mut code) = (0, 0);
    while step < N1_SPAN {
        let level = N1_EDGES[0] as i32 + ((step as i32) << NEAR_BITS) + (1 << (NEAR_BITS - 1));
        while code < 1023 && N1_EDGES[code + 1] as i32 <= level {
            code += 1;
        }
        near[step] = code as i16 - 512;
        step += 1;
    }
    near
};
/// Fine units in a step of the search.
const NEAR_BITS: u32 = 3;
/// Steps from the lowest edge to the highest.
const N1_SPAN: usize = {
    let (mut span, mut code) = (0, 0);
    while code < 1024 {
        span += N1_WIDTHS[code] as usize;
        code += 1;
    }
    span.div_ceil(1 << NEAR_BITS)
};

/// Widths of the codes −512..=511, 1/32 of the mean: the most likely ones given 100 recordings (of the 200 by name,
/// every second) under a Gaussian about a linear prediction. Codes too rare to tell have the mean of those that agree
/// with them in sign and in their last five bits.
#[rustfmt::skip]
static N1_WIDTHS: [u8; 1024] = [
    22, 22, 22, 20, 18, 15, 15, 14, 12, 8, 10, 13, 9, 12, 13, 21, 15, 16, 25, 38, 22, 27, 25, 60,
    18, 23, 32, 56, 18, 29, 27, 33, 17, 23, 34, 51, 26, 31, 27, 61, 25, 26, 35, 58, 19, 32, 28, 48,
    22, 22, 36, 48, 26, 33, 28, 60, 19, 23, 35, 52, 19, 30, 28, 34, 17, 21, 34, 48, 26, 31, 27, 54,
    26, 23, 35, 57, 19, 32, 29, 41, 23, 25, 36, 43, 27, 31, 28, 60, 19, 23, 36, 58, 20, 30, 29, 29,
    17, 22, 36, 45, 27, 32, 28, 54, 26, 24, 34, 56, 19, 32, 28, 41, 22, 23, 36, 46, 27, 31, 28, 61,
    19, 23, 36, 57, 20, 32, 27, 29, 17, 21, 34, 48, 28, 32, 28, 55, 26, 24, 36, 58, 19, 32, 28, 42,
    24, 24, 37, 45, 26, 34, 29, 59, 19, 22, 37, 53, 20, 30, 29, 27, 17, 22, 36, 46, 27, 31, 28, 53,
    27, 24, 35, 54, 19, 31, 28, 43, 23, 22, 36, 44, 26, 31, 30, 57, 19, 24, 37, 52, 20, 32, 28, 33,
    17, 22, 35, 46, 27, 32, 28, 52, 27, 23, 36, 51, 19, 31, 29, 40, 23, 24, 38, 43, 27, 31, 30, 57,
    20, 22, 36, 53, 20, 29, 29, 25, 18, 22, 37, 44, 28, 30, 28, 50, 27, 23, 37, 57, 19, 31, 28, 40,
    23, 23, 38, 44, 28, 32, 29, 63, 20, 23, 36, 57, 20, 31, 30, 22, 17, 25, 38, 50, 28, 32, 29, 56,
    28, 24, 39, 56, 21, 34, 30, 43, 24, 23, 38, 49, 28, 34, 34, 61, 21, 25, 37, 58, 20, 32, 30, 23,
    17, 22, 35, 44, 28, 31, 27, 48, 25, 21, 34, 45, 18, 28, 26, 36, 21, 20, 31, 36, 24, 26, 25, 48,
    17, 20, 30, 42, 17, 25, 24, 21, 15, 19, 30, 36, 23, 26, 23, 39, 23, 19, 29, 43, 16, 28, 24, 32,
    22, 20, 31, 38, 23, 28, 26, 54, 18, 23, 34, 50, 18, 30, 28, 26, 15, 21, 36, 45, 27, 31, 29, 53,
    28, 23, 37, 55, 20, 33, 30, 48, 21, 24, 39, 47, 29, 34, 32, 63, 21, 26, 41, 58, 20, 35, 31, 20,
    12, 24, 40, 50, 31, 35, 33, 58, 32, 27, 42, 59, 21, 36, 33, 40, 31, 25, 43, 49, 29, 34, 33, 65,
    22, 25, 40, 57, 21, 32, 30, 19, 25, 23, 37, 44, 28, 30, 27, 47, 25, 22, 34, 47, 19, 28, 26, 37,
    19, 20, 32, 38, 25, 26, 26, 50, 18, 20, 32, 45, 18, 27, 26, 25, 16, 21, 34, 39, 26, 28, 27, 45,
    27, 21, 35, 47, 20, 28, 28, 32, 27, 22, 35, 41, 28, 28, 28, 53, 20, 21, 35, 47, 21, 28, 28, 21,
    20, 21, 35, 39, 27, 28, 28, 45, 28, 21, 35, 47, 21, 28, 28, 38, 21, 21, 36, 40, 29, 28, 29, 53,
    22, 21, 37, 48, 22, 20, 3, 20, 26, 22, 38, 41, 30, 30, 31, 47, 31, 22, 39, 51, 24, 31, 32, 33,
    33, 23, 41, 44, 33, 31, 33, 58, 25, 23, 41, 52, 25, 32, 32, 11, 35, 23, 42, 43, 33, 31, 33, 48,
    33, 23, 41, 50, 24, 30, 32, 39, 25, 22, 39, 41, 32, 29, 31, 53, 25, 21, 38, 47, 24, 28, 28, 8,
    35, 20, 39, 38, 30, 27, 30, 42, 31, 20, 37, 46, 23, 27, 30, 28, 31, 19, 38, 38, 32, 27, 31, 50,
    24, 21, 39, 47, 24, 28, 31, 15, 29, 21, 39, 39, 33, 28, 31, 44, 32, 20, 41, 48, 24, 28, 32, 34,
    26, 20, 38, 40, 34, 30, 33, 53, 27, 22, 41, 52, 25, 27, 21, 11, 45, 22, 41, 38, 36, 29, 32, 44,
    35, 20, 40, 47, 26, 27, 30, 29, 34, 20, 40, 39, 33, 29, 32, 54, 27, 21, 40, 50, 25, 28, 30, 11,
    39, 21, 41, 40, 34, 29, 30, 45, 34, 21, 43, 47, 26, 28, 32, 33, 28, 20, 42, 39, 33, 28, 31, 51,
    26, 21, 38, 51, 23, 30, 30, 11, 36, 20, 39, 37, 33, 29, 32, 42, 35, 21, 41, 49, 24, 29, 31, 31,
    30, 20, 39, 39, 33, 28, 32, 52, 25, 21, 40, 50, 24, 31, 30, 11, 35, 21, 40, 37, 34, 29, 33, 45,
    35, 20, 42, 48, 26, 28, 31, 32, 28, 20, 39, 39, 36, 29, 32, 50, 26, 22, 42, 51, 24, 29, 28, 11,
    41, 21, 39, 41, 34, 28, 31, 43, 33, 21, 41, 47, 25, 28, 33, 31, 33, 20, 40, 39, 37, 28, 34, 52,
    25, 21, 39, 47, 25, 29, 30, 11, 40, 22, 42, 40, 34, 29, 31, 42, 34, 21, 40, 46, 24, 28, 33, 32,
    30, 21, 40, 39, 34, 28, 33, 52, 26, 21, 39, 47, 24, 28, 29, 11, 43, 21, 40, 38, 33, 29, 33, 42,
    35, 21, 42, 46, 27, 28, 33, 31, 31, 21, 43, 37, 33, 29, 33, 50, 26, 21, 42, 49, 25, 29, 31, 11,
    38, 20, 41, 38, 37, 29, 34, 42, 39, 20, 41, 46, 26, 29, 33, 31, 32, 20, 40, 39, 36, 28, 31, 49,
    27, 21, 42, 46, 28, 28, 28, 11, 51, 21, 42, 38, 35, 28, 32, 41, 35, 20, 42, 44, 27, 29, 31, 30,
    34, 20, 43, 37, 38, 29, 34, 49, 30, 21, 43, 51, 29, 28, 28, 11, 43, 20, 42, 36, 35, 28, 32, 42,
    36, 20, 41, 45, 25, 28, 31, 30, 29, 20, 40, 37, 35, 28, 33, 49, 27, 20, 44, 46, 27, 28, 27, 11,
    49, 19, 41, 36, 36, 27, 35, 39, 39, 19, 43, 42, 30, 28, 36, 27, 40, 19, 46, 35, 37, 28, 35, 47,
    34, 20, 43, 44, 29, 27, 28, 11, 40, 19, 42, 36, 37, 25, 33, 37, 36, 19, 41, 42, 28, 26, 34, 29,
    37, 20, 45, 37, 42, 27, 40, 51, 38, 21, 55, 62, 53, 38, 72, 12,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: impl Steps) {
        let half = 1 << (steps.bits() - 1);
        for code in -half..half {
            assert!(steps.edge(code) < steps.edge(code + 1), "{code}");
            let middle = 2 * i32::from(steps.middle(code));
            assert!((steps.edge(code)..steps.edge(code + 1)).contains(&middle), "{code}");
            assert!((steps.near(middle) - code).abs() <= 2, "{code}");
        }
    }

    #[test]
    fn middles_lie_between_growing_edges() {
        (BITS_MIN..=BITS_MAX).for_each(|bits| check(Uniform { bits }));
        check(NeuralinkN1);
    }
}
