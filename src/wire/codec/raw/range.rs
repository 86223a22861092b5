//! A range coder: intervals of probability in, bytes out, and back.
//!
//! In: intervals `low..high` of a scale of [`TOTAL`]. Out: close to −log2((high − low) / TOTAL) bits each. Guarantees:
//! whatever the bytes, decoding gives positions in 0..TOTAL; past the end of the bytes there are zeros, so that
//! trailing zeros need not be sent. Source: Martin 1979, "Range encoding"; carries are added to the bytes already out.

/// Of the scale on which probabilities stand.
pub const TOTAL_BITS: u32 = 24;
/// The sum of all probabilities.
pub const TOTAL: u32 = 1 << TOTAL_BITS;

/// Writes intervals into a slice.
pub struct RangeEncoder<'a> {
    out: &'a mut [u8],
    n_bytes: usize,
    is_full: bool,
    /// The lower end, in 48 bits and a carry.
    low: u64,
    range: u64,
}

impl<'a> RangeEncoder<'a> {
    /// Into `out`, from its start.
    pub fn new(out: &'a mut [u8]) -> Self {
        RangeEncoder { out, n_bytes: 0, is_full: false, low: 0, range: WHOLE }
    }

    /// Narrows to `low..high`, where 0 ≤ low < high ≤ TOTAL.
    #[inline(always)]
    pub fn encode(&mut self, low: u32, high: u32) {
        let unit = self.range >> TOTAL_BITS;
        self.low += unit * u64::from(low);
        self.range = unit * u64::from(high - low);
        while self.range < RANGE_MIN {
            self.is_full |= !self.emit();
            self.range <<= 16;
        }
    }

    /// Sends just enough that any bytes after it can be zeros; the number of bytes, or `None` if they didn't fit.
    pub fn finish(mut self) -> Option<usize> {
        let mut end = self.low;
        for n_zeros in (0..=6).map(|n_bytes| 48 - 8 * n_bytes) {
            let mask = (1 << n_zeros) - 1;
            end = (self.low + mask) & !mask;
            if end - self.low < self.range {
                break;
            }
        }
        self.low = end;
        if self.low >> 48 != 0 {
            self.carry();
        }
        for _ in 0..3 {
            // Zeros at the end need no room.
            let [high, low] = ((self.low >> 32) as u16).to_be_bytes();
            if !self.emit() {
                let fits_by_half = low == 0 && self.n_bytes < self.out.len();
                match fits_by_half {
                    true => {
                        self.out[self.n_bytes] = high;
                        self.n_bytes += 1;
                    }
                    false => self.is_full |= high | low != 0,
                }
            }
        }
        let zeros = self.out[..self.n_bytes].iter().rev().take_while(|&&byte| byte == 0).count();
        (!self.is_full).then_some(self.n_bytes - zeros)
    }

    /// Sends the upper 16 bits; false where there is no room for them.
    #[inline(always)]
    fn emit(&mut self) -> bool {
        if self.low >> 48 != 0 {
            self.carry();
        }
        let two = ((self.low >> 32) as u16).to_be_bytes();
        self.low = (self.low & (RANGE_MIN - 1)) << 16;
        match self.out.get_mut(self.n_bytes..self.n_bytes + 2) {
            Some(place) => {
                place.copy_from_slice(&two);
                self.n_bytes += 2;
                true
            }
            None => false,
        }
    }

    /// The interval lies past what was sent: one is added to it.
    #[cold]
    fn carry(&mut self) {
        self.low &= WHOLE - 1;
        for byte in self.out[..self.n_bytes].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
}

/// Reads what [`RangeEncoder`] wrote.
pub struct RangeDecoder<'a> {
    rest: &'a [u8],
    /// How far above the lower end the bytes lie.
    above: u64,
    range: u64,
    unit: u64,
}

impl<'a> RangeDecoder<'a> {
    /// From what `finish` gave, with or without more zeros after it.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = RangeDecoder { rest: bytes, above: 0, range: WHOLE, unit: 0 };
        for _ in 0..3 {
            decoder.take();
        }
        decoder
    }

    /// Where in 0..TOTAL the bytes point. The interval round it must be given to `narrow`.
    #[inline(always)]
    pub fn position(&mut self) -> u32 {
        self.unit = self.range >> TOTAL_BITS;
        (self.above / self.unit).min(u64::from(TOTAL - 1)) as u32
    }

    /// Narrows to the interval `low..high` round the position.
    #[inline(always)]
    pub fn narrow(&mut self, low: u32, high: u32) {
        self.above -= self.unit * u64::from(low);
        self.range = self.unit * u64::from(high - low);
        while self.range < RANGE_MIN {
            self.take();
            self.range <<= 16;
        }
    }

    #[inline(always)]
    fn take(&mut self) {
        let two = match self.rest {
            [high, low, rest @ ..] => {
                self.rest = rest;
                u16::from_be_bytes([*high, *low])
            }
            [high] => {
                self.rest = &[];
                u16::from_be_bytes([*high, 0])
            }
            [] => 0,
        };
        // Only damaged bytes can lie above the range; they must not grow without limit either.
        self.above = (self.above << 16 | u64::from(two)) & (WHOLE - 1);
    }
}

/// Of `low` and `range`.
const WHOLE: u64 = 1 << 48;
/// Below it two bytes are sent, so that a unit is never less than 256.
const RANGE_MIN: u64 = 1 << 32;
const _: () = assert!(RANGE_MIN > TOTAL as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::vec::Vec;

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn intervals_come_back(wanted in prop::collection::vec((0..TOTAL, 0_u32..24), 0..300)) {
            let interval = |(at, width_bits): (u32, u32)| (at, at.saturating_add(1 << width_bits).min(TOTAL));
            let mut bytes = [0; 2048];
            let mut encoder = RangeEncoder::new(&mut bytes);
            let mut bits = 0.0;
            for &one in &wanted {
                let (low, high) = interval(one);
                encoder.encode(low, high);
                bits += f64::from(TOTAL_BITS) - f64::from(high - low).log2();
            }
            let n_bytes = encoder.finish().unwrap();
            prop_assert!(n_bytes as f64 <= bits * 1.006 / 8.0 + 2.0, "{n_bytes} bytes for {bits} bits");

            let mut decoder = RangeDecoder::new(&bytes[..n_bytes]);
            for &one in &wanted {
                let (low, high) = interval(one);
                let at = decoder.position();
                prop_assert!((low..high).contains(&at));
                decoder.narrow(low, high);
            }
            let mut small: Vec<u8> = std::vec![0; n_bytes.saturating_sub(1)];
            let mut encoder = RangeEncoder::new(&mut small);
            wanted.iter().for_each(|&one| {
                let (low, high) = interval(one);
                encoder.encode(low, high);
            });
            prop_assert_eq!(encoder.finish().is_none(), n_bytes > 0, "a byte too few is noticed");
        }

        #[test]
        fn any_bytes_give_positions(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = RangeDecoder::new(&bytes);
            for _ in 0..200 {
                let at = decoder.position();
                prop_assert!(at < TOTAL);
                decoder.narrow(at, at + 1);
            }
        }
    }
}
