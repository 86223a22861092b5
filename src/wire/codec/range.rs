//! A range coder: symbols with known frequencies to bytes, and back.
//!
//! In: for each symbol where it begins on a scale of [`SCALE`] and how much of it is its own. Out: about as many bytes as
//! the frequencies say, one or two more at the end. Guarantees: exact on every machine; a decoder reads zeros behind the
//! end, so zeros among the last [`AHEAD`] bytes aren't sent.
//!
//! Martin 1979, "Range encoding"; carries as in Subbotin and Pavlov: the byte that a carry may still reach is held back,
//! with the run of 255s behind it.

/// Frequencies of an alphabet add up to this.
pub const SCALE: u32 = 1 << SCALE_BITS;
/// Its logarithm.
pub const SCALE_BITS: u32 = 14;

/// The bytes don't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Writes symbols.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut [u8],
    at: usize,
    low: u64,
    range: u32,
    /// The last byte that no carry has passed; `None` before the first.
    held: Option<u8>,
    /// Bytes of 255 behind it.
    n_run: usize,
    is_full: bool,
    /// Bytes that a decoder has read in full when it is through; those [`AHEAD`] of them it has only begun.
    n_needed: usize,
}

impl<'a> Encoder<'a> {
    /// Into `out`, from its beginning.
    #[must_use]
    pub fn new(out: &'a mut [u8]) -> Self {
        Encoder { out, at: 0, low: 0, range: u32::MAX, held: None, n_run: 0, is_full: false, n_needed: 0 }
    }

    /// A symbol that owns `frequency`, at least 1, of the scale from `begin` on.
    #[inline]
    pub fn encode(&mut self, begin: u32, frequency: u32) {
        let step = self.range >> SCALE_BITS;
        self.low += u64::from(step) * u64::from(begin);
        self.range = step * frequency;
        self.normalise();
    }

    /// One of `n` values, 1 to 65,536 of them, each as likely.
    #[inline]
    pub fn uniform(&mut self, value: u32, n: u32) {
        let step = self.range / n;
        self.low += u64::from(step) * u64::from(value);
        self.range = step;
        self.normalise();
    }

    /// The `n` low bits of a number, at most 14, as they are.
    #[inline]
    pub fn bits(&mut self, value: u32, n: u32) {
        let frequency = SCALE >> n;
        self.encode((value & ((1 << n) - 1)) * frequency, frequency);
    }

    /// Ends; the bytes used.
    ///
    /// # Errors
    /// [`Full`] if they didn't fit.
    pub fn finish(mut self) -> Result<usize, Full> {
        // Of the numbers that decode alike, the one with the most zeros at its end.
        let end = self.low + u64::from(self.range);
        let mut value = self.low;
        for bits in (0..32).rev() {
            let rounded = (self.low + ((1u64 << bits) - 1)) >> bits << bits;
            if rounded < end {
                value = rounded;
                break;
            }
        }
        self.low = value;
        for _ in 0..5 {
            self.shift();
        }
        let mut n = self.at.min(self.out.len());
        if self.is_full || n < self.n_needed {
            // The zeros that aren't sent need no room.
            return Err(Full);
        }
        while n > self.n_needed && self.out[n - 1] == 0 {
            n -= 1;
        }
        Ok(n)
    }

    #[inline]
    fn normalise(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.n_needed += 1;
            self.shift();
        }
    }

    #[inline]
    fn shift(&mut self) {
        if self.low < 0xFF00_0000 || self.low > 0xFFFF_FFFF {
            let carry = (self.low >> 32) as u8;
            if let Some(held) = self.held {
                self.put(held.wrapping_add(carry));
            }
            for _ in 0..self.n_run {
                self.put(0xFFu8.wrapping_add(carry));
            }
            self.n_run = 0;
            self.held = Some((self.low >> 24) as u8);
        } else {
            self.n_run += 1;
        }
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    #[inline]
    fn put(&mut self, byte: u8) {
        match self.out.get_mut(self.at) {
            Some(to) => *to = byte,
            None => self.is_full |= byte != 0,
        }
        self.at += 1;
    }
}

/// Reads symbols.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    code: u32,
    range: u32,
}

impl<'a> Decoder<'a> {
    /// Of what an encoder wrote.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Decoder { bytes, at: 0, code: 0, range: u32::MAX };
        for _ in 0..AHEAD {
            decoder.code = decoder.code << 8 | decoder.byte();
        }
        decoder
    }

    /// How much of the scale stands for one unit of the code now: a symbol that begins at `b` is the one, or one behind
    /// it, if [`Decoder::code`] is at least `b × step`.
    #[inline]
    #[must_use]
    pub fn step(&self) -> u32 {
        self.range >> SCALE_BITS
    }

    /// See [`Decoder::step`].
    #[inline]
    #[must_use]
    pub fn code(&self) -> u32 {
        self.code
    }

    /// Whether it is the symbol that begins at 0 and owns `frequency`; goes on behind it if so.
    #[inline]
    pub fn take_first(&mut self, frequency: u32) -> bool {
        let end = self.step() * frequency;
        let is_first = self.code < end;
        if is_first {
            self.range = end;
            self.normalise();
        }
        is_first
    }

    /// Goes on behind the symbol that was found.
    #[inline]
    pub fn take(&mut self, begin: u32, frequency: u32) {
        let step = self.step();
        self.code = self.code.wrapping_sub(step * begin);
        self.range = step * frequency;
        self.normalise();
    }

    /// Which of `n` values it is, 1 to 65,536 of them, each as likely.
    #[inline]
    pub fn uniform(&mut self, n: u32) -> u32 {
        let step = self.range / n;
        let value = (self.code / step).min(n - 1);
        self.code = self.code.wrapping_sub(step * value);
        self.range = step;
        self.normalise();
        value
    }

    /// `n` bits, at most 14.
    #[inline]
    pub fn bits(&mut self, n: u32) -> u32 {
        let frequency = SCALE >> n;
        let value = (self.code / (self.step() * frequency)).min((1 << n) - 1);
        self.take(value * frequency, frequency);
        value
    }

    /// Whether the symbols took as many bytes as there are: no byte was left, and no more were missing than an encoder
    /// leaves out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.at >= self.bytes.len() && self.at <= self.bytes.len() + AHEAD
    }

    #[inline]
    fn normalise(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.code = self.code << 8 | self.byte();
        }
    }

    #[inline]
    fn byte(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        u32::from(byte)
    }
}

/// Bytes that a decoder has read ahead of what it knows.
pub const AHEAD: usize = 4;
const RANGE_MIN: u32 = 1 << 24;
/// A step of one of 65,536 values, or of the scale, has bits enough.
const _: () = assert!(RANGE_MIN >> 16 >= 256 && SCALE_BITS <= 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::vec;
    use std::vec::Vec;

    /// Cumulative frequencies of some alphabet.
    fn alphabet(weights: &[u16]) -> Vec<u32> {
        let n = weights.len() as u32;
        let total: u32 = weights.iter().map(|&w| u32::from(w)).sum::<u32>().max(1);
        let mut begins = vec![0];
        for &w in weights {
            let frequency = 1 + u32::from(w) * (SCALE - n) / total;
            begins.push(begins[begins.len() - 1] + frequency);
        }
        *begins.last_mut().expect("one") = SCALE;
        begins
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn symbols_come_back_in_about_their_entropy(
            weights in prop::collection::vec(0u16..2000, 2..40),
            symbols in prop::collection::vec(any::<prop::sample::Index>(), 0..600),
            raw in prop::collection::vec((any::<u32>(), 1u32..=14), 0..20),
            even in prop::collection::vec((any::<u32>(), 1u32..=65_536), 0..20),
        ) {
            let begins = alphabet(&weights);
            let symbols: Vec<usize> = symbols.iter().map(|s| s.index(weights.len())).collect();
            let mut bytes = [0; 4096];
            let mut encoder = Encoder::new(&mut bytes);
            let mut wanted_bits = 0.0;
            for &s in &symbols {
                encoder.encode(begins[s], begins[s + 1] - begins[s]);
                wanted_bits -= (f64::from(begins[s + 1] - begins[s]) / f64::from(SCALE)).log2();
            }
            for &(value, n) in &raw {
                encoder.bits(value, n);
                wanted_bits += f64::from(n);
            }
            for &(value, n) in &even {
                encoder.uniform(value % n, n);
                // A step of at least 256 loses so much at most.
                wanted_bits += f64::from(n).log2() + (1.0 + 1.0 / 256f64).log2();
            }
            let n_bytes = encoder.finish().expect("room");
            prop_assert!(n_bytes as f64 <= wanted_bits / 8.0 * 1.001 + 2.0, "{n_bytes} bytes, {wanted_bits} bits");
            let mut decoder = Decoder::new(&bytes[..n_bytes]);
            for &s in &symbols {
                let found = (0..weights.len()).rev().find(|&s| decoder.code() >= begins[s] * decoder.step());
                prop_assert_eq!(found, Some(s));
                decoder.take(begins[s], begins[s + 1] - begins[s]);
            }
            for &(value, n) in &raw {
                prop_assert_eq!(decoder.bits(n), value & ((1 << n) - 1));
            }
            for &(value, n) in &even {
                prop_assert_eq!(decoder.uniform(n), value % n);
            }
            prop_assert!(decoder.is_whole());
            // With less room it says so, and never writes beyond.
            let mut bytes = [0; 4096];
            let short = n_bytes.saturating_sub(1);
            let mut encoder = Encoder::new(&mut bytes[..short]);
            symbols.iter().for_each(|&s| encoder.encode(begins[s], begins[s + 1] - begins[s]));
            raw.iter().for_each(|&(value, n)| encoder.bits(value, n));
            even.iter().for_each(|&(value, n)| encoder.uniform(value % n, n));
            prop_assert_eq!(encoder.finish().is_err(), n_bytes > 0);
        }
    }

    #[test]
    fn a_stream_that_ends_too_early_or_too_late_is_not_whole() {
        let mut bytes = [0; 100];
        let mut encoder = Encoder::new(&mut bytes);
        (0..40u32).for_each(|value| encoder.uniform(value, 256));
        let n_bytes = encoder.finish().expect("room");
        assert!((40..=41).contains(&n_bytes), "{n_bytes} bytes of 40");
        for n in 0..100 {
            let mut decoder = Decoder::new(&bytes[..n]);
            (0..40).for_each(|_| {
                decoder.uniform(256);
            });
            assert_eq!(decoder.is_whole(), (40..=40 + AHEAD).contains(&n), "{n} bytes");
        }
    }
}
