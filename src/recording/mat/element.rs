//! The elements that a MAT v5 file is made of: a tag with a type and a size, then the bytes.
//!
//! In: bytes and their order. Out: slices of them. Every size is checked against the bytes present.

use std::ops::Range;

/// What a damaged file makes of a step: a few words for the error's brackets.
pub(super) type Parsed<T> = Result<T, String>;

/// Byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The `index`-th word of `N` bytes, in little-endian order.
    ///
    /// # Panics
    /// If `bytes` ends before it.
    #[inline]
    pub(super) fn word<const N: usize>(self, bytes: &[u8], index: usize) -> [u8; N] {
        let mut word = [0; N];
        word.copy_from_slice(&bytes[index * N..(index + 1) * N]);
        if self == Order::Big {
            word.reverse();
        }
        word
    }
}

/// Reads elements one after another.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    order: Order,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], order: Order, at: usize) -> Self {
        Cursor { bytes, order, at }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    /// The next element of a matrix: its type and bytes, the padding to eight bytes skipped.
    pub(super) fn element(&mut self) -> Parsed<(u32, &'a [u8])> {
        let (kind, range) = self.next()?;
        // The last element's padding may be missing; `rest` and `at_end` allow for it.
        self.at = range.end.next_multiple_of(8);
        Ok((kind, &self.bytes[range]))
    }

    /// The next element of the file itself, where compressed ones are not padded.
    pub(super) fn top_element(&mut self) -> Parsed<(u32, Range<usize>)> {
        let (kind, range) = self.next()?;
        self.at = if kind == COMPRESSED { range.end } else { range.end.next_multiple_of(8) };
        Ok((kind, range))
    }

    /// Reads the tag of a matrix and says how many bytes it announces, wherever they may be.
    pub(super) fn matrix_tag(&mut self) -> Parsed<usize> {
        let [kind, n_bytes] = self.two_words()?;
        self.at += 8;
        match kind {
            MATRIX => Ok(n_bytes as usize),
            other => Err(format!("an element of type {other} where a variable should be")),
        }
    }

    fn next(&mut self) -> Parsed<(u32, Range<usize>)> {
        let [first, second] = self.two_words()?;
        // A small element has its size in the tag's upper half and its bytes in the tag's second word.
        let (kind, start, n_bytes) = match first >> 16 {
            0 => (first, self.at + 8, second as usize),
            n_bytes if n_bytes <= 4 => (first & 0xffff, self.at + 4, n_bytes as usize),
            n_bytes => return Err(format!("a small element of {n_bytes} bytes at byte {}", self.at)),
        };
        match start.checked_add(n_bytes) {
            Some(end) if end <= self.bytes.len() => Ok((kind, start..end)),
            _ => Err(format!(
                "the element at byte {} announces {n_bytes} bytes, {} are there",
                self.at,
                self.bytes.len().saturating_sub(start)
            )),
        }
    }

    fn two_words(&self) -> Parsed<[u32; 2]> {
        match self.rest() {
            tag if tag.len() < 8 => Err(format!("an element's tag is cut at byte {}", self.bytes.len())),
            tag => Ok([0, 1].map(|i| u32::from_le_bytes(self.order.word(tag, i)))),
        }
    }
}

/// `miMATRIX`.
pub(super) const MATRIX: u32 = 14;
/// `miCOMPRESSED`.
pub(super) const COMPRESSED: u32 = 15;
