//! Little-endian integers and variable-length ones, in and out of slices.
//!
//! In: bytes, a cursor. Out: integers, or `None` at the end. Guarantees: no panic, no read or write outside the slice.

/// Takes integers from the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// All that was not taken yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn bytes(&mut self, n_bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n_bytes)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_le_bytes(*taken))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*taken))
    }

    /// LEB128 of at most `n_bytes_max` bytes; `None` also where it is longer or the value has more than 64 bits.
    pub(crate) fn varint(&mut self, n_bytes_max: usize) -> Option<u64> {
        let (mut value, mut shift) = (0u64, 0u32);
        for _ in 0..n_bytes_max {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            // The tenth byte has room for one bit of the 64.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
        None
    }

    pub(crate) fn varint_u32(&mut self) -> Option<u32> {
        u32::try_from(self.varint(5)?).ok()
    }

    pub(crate) fn varint_u16(&mut self) -> Option<u16> {
        u16::try_from(self.varint(3)?).ok()
    }

    pub(crate) fn varint_u64(&mut self) -> Option<u64> {
        self.varint(10)
    }
}

/// Puts integers into a slice; what doesn't fit is remembered, not written.
pub(crate) struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(bytes: &'a mut [u8]) -> Self {
        Writer { bytes, at: 0, overflowed: false }
    }

    /// Bytes written; `None` where something did not fit.
    pub(crate) const fn finish(self) -> Option<usize> {
        if self.overflowed { None } else { Some(self.at) }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.at..).and_then(|rest| rest.get_mut(..bytes.len())) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.overflowed = true,
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// LEB128: seven bits a byte, the lowest first, bit 7 set where more follow.
    pub(crate) fn varint(&mut self, value: u64) {
        let mut rest = value;
        while rest >= 0x80 {
            self.u8(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.u8(rest as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_integers_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = [0; 10];
            let mut writer = Writer::new(&mut bytes);
            writer.varint(value);
            let length = writer.finish().unwrap();
            let mut reader = Reader::new(&bytes[..length]);
            assert_eq!((reader.varint_u64(), reader.rest()), (Some(value), &[][..]), "{value}");
        }
    }

    #[test]
    fn what_is_too_large_or_cut_off_is_none() {
        assert_eq!(Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x10]).varint_u32(), None, "33 bits");
        assert_eq!(Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]).varint_u32(), Some(u32::MAX));
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).varint_u32(), None, "six bytes");
        assert_eq!(Reader::new(&[0x80]).varint_u32(), None, "cut off");
        let mut long = [0xFF; 10];
        long[9] = 2;
        assert_eq!(Reader::new(&long).varint_u64(), None, "65 bits");
        assert_eq!((Reader::new(&[1]).u16(), Reader::new(&[1, 2, 3]).u32()), (None, None));
    }

    #[test]
    fn a_writer_without_room_says_so() {
        let mut bytes = [0; 3];
        let mut writer = Writer::new(&mut bytes);
        writer.u16(0x0201);
        writer.u16(0x0403);
        assert_eq!(writer.finish(), None);
        assert_eq!(bytes, [1, 2, 0]);
    }
}
