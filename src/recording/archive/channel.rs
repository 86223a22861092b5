//! One channel of one chunk: codes in, bytes out, and back.
//!
//! In: codes of a [`Converter`]. Out: four bytes (their mean and how large they are) and what the range coder makes of
//! the rest. Guarantees: lossless; whatever the bytes, decoding gives codes of the converter and no panic.

use super::mixture::Mixture;
use super::predict::Predictors;
use efference_wire::codec::raw::Converter;
use efference_wire::codec::raw::range::{RangeDecoder, RangeEncoder, TOTAL, TOTAL_BITS};

/// The bytes of `codes`, each of which is one of the converter's.
pub(super) fn encode(converter: Converter, codes: &[i16]) -> Vec<u8> {
    let head = Head::of(converter, codes);
    let mut model = Model::new(converter, head);
    let mut bytes = vec![0; HEAD_BYTES + codes.len() * BYTES_A_SAMPLE_MAX + BYTES_AT_THE_END];
    bytes[..HEAD_BYTES].copy_from_slice(&head.to_bytes());
    let mut coder = RangeEncoder::new(&mut bytes[HEAD_BYTES..]);
    for &code in codes {
        let code = i32::from(code);
        model.predict();
        coder.encode(model.below(code), model.below(code + 1));
        model.learn(code);
    }
    let n_bytes = coder.finish().expect("room for the least probable codes");
    bytes.truncate(HEAD_BYTES + n_bytes);
    bytes
}

/// The `codes.len()` codes of which `encode` made `bytes`; `None` if there are too few bytes for any.
pub(super) fn decode(converter: Converter, bytes: &[u8], codes: &mut [i16]) -> Option<()> {
    let (head, rest) = bytes.split_first_chunk()?;
    let mut model = Model::new(converter, Head::from_bytes(head));
    let mut coder = RangeDecoder::new(rest);
    for code in codes {
        model.predict();
        let (found, low, high) = model.find(coder.position());
        coder.narrow(low, high);
        model.learn(found);
        *code = found as i16;
    }
    Some(())
}

/// What is known of a channel before its first sample.
#[derive(Clone, Copy)]
struct Head {
    /// In counts.
    mean: i32,
    /// Samples are divided by two to the power of it.
    shift: i8,
}

impl Head {
    fn of(converter: Converter, codes: &[i16]) -> Self {
        let middle = |code: i16| {
            let code = i32::from(code);
            i64::from(converter.edge(code) + converter.edge(code + 1))
        };
        let half = converter.edge_bits() + 1;
        let sum: i64 = codes.iter().map(|&code| middle(code)).sum();
        let mean = ((sum / codes.len().max(1) as i64) >> half) as i32;
        let step = |pair: &[i16]| middle(pair[1]).abs_diff(middle(pair[0]));
        let steps: u64 = codes.windows(2).map(step).sum::<u64>() / codes.len().max(1) as u64;
        // A sample and the next are 4 to 8 apart, as in the recordings by which the predictors were chosen.
        let exponent = 63 - (steps | 1).leading_zeros() as i32;
        Head { mean, shift: (exponent - half as i32 - 2).max(0) as i8 }
    }

    fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let [.., a, b, c] = self.mean.to_be_bytes();
        [a, b, c, self.shift as u8]
    }

    fn from_bytes(&[a, b, c, shift]: &[u8; HEAD_BYTES]) -> Self {
        Head { mean: i32::from_be_bytes([a, b, c, 0]) >> 8, shift: shift.min(SHIFT_MAX) as i8 }
    }
}

/// State of one channel, the same on both sides.
struct Model {
    converter: Converter,
    half: i32,
    mean: f64,
    /// Of an edge.
    unit: f64,
    predictors: Predictors,
    mixture: Mixture,
    predicted: f64,
}

impl Model {
    fn new(converter: Converter, head: Head) -> Self {
        let power = |exponent: i32| f64::from_bits(((1023 + exponent) as u64) << 52);
        let shift = power(-i32::from(head.shift));
        Model {
            converter,
            half: 1 << (converter.bits() - 1),
            mean: f64::from(head.mean) * shift,
            unit: power(-(converter.edge_bits() as i32)) * shift,
            predictors: Predictors::new(),
            mixture: Mixture::new(),
            predicted: 0.0,
        }
    }

    fn edge(&self, code: i32) -> f64 {
        f64::from(self.converter.edge(code)) * self.unit - self.mean
    }

    fn predict(&mut self) {
        // Outside of what the converter can give nothing is ever right.
        self.predicted = self.predictors.predict().clamp(self.edge(-self.half), self.edge(self.half));
    }

    /// The share of TOTAL below the lower edge of `code`; one of it is set aside for every code.
    fn below(&self, code: i32) -> u32 {
        match code + self.half {
            0 => 0,
            n_below if n_below == 2 * self.half => TOTAL,
            n_below => {
                let share = self.mixture.below(self.edge(code) - self.predicted);
                share - (share >> (TOTAL_BITS - self.converter.bits())) + n_below as u32
            }
        }
    }

    /// The code in whose interval `position` lies, and the interval.
    fn find(&self, position: u32) -> (i32, u32, u32) {
        let (mut code, mut end) = (-self.half, self.half);
        let (mut low, mut high) = (0, TOTAL);
        while end - code > 1 {
            let middle = (code + end) >> 1;
            let below = self.below(middle);
            match below <= position {
                true => (code, low) = (middle, below),
                false => (end, high) = (middle, below),
            }
        }
        (code, low, high)
    }

    fn learn(&mut self, code: i32) {
        let (low, high) = (self.edge(code), self.edge(code + 1));
        let sample = 0.5 * (low + high);
        self.mixture.learn(low - self.predicted, high - self.predicted, sample - self.predicted);
        self.predictors.learn(sample);
    }
}

const HEAD_BYTES: usize = 4;
const SHIFT_MAX: u8 = 20;
/// The least probable code has one part of TOTAL.
const BYTES_A_SAMPLE_MAX: usize = TOTAL_BITS.div_ceil(8) as usize + 1;
const BYTES_AT_THE_END: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_codes_come_back(
            samples in prop::collection::vec(any::<i16>(), 0..600), bits in 2_u8..=16, is_n1: bool, quiet in 0_u32..16,
        ) {
            let converter = if is_n1 { Converter::NeuralinkN1 } else { Converter::Uniform { bits } };
            let shift = (16 - converter.bits() + quiet).min(15);
            let codes: Vec<i16> = samples.iter().map(|sample| sample >> shift).collect();
            let bytes = encode(converter, &codes);
            let mut back = vec![0; codes.len()];
            prop_assert_eq!(decode(converter, &bytes, &mut back), Some(()));
            prop_assert_eq!(back, codes);
        }

        #[test]
        fn any_bytes_give_codes(bytes in prop::collection::vec(any::<u8>(), 0..300), bits in 2_u8..=16) {
            let mut codes = vec![0; 400];
            let half = 1 << (bits - 1);
            if decode(Converter::Uniform { bits }, &bytes, &mut codes).is_some() {
                prop_assert!(codes.iter().all(|&code| (-half..half).contains(&i32::from(code))));
            }
        }
    }
}
