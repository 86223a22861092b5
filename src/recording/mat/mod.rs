//! MAT v5 files (MATLAB's `-v6` and `-v7`, SciPy's `savemat`), read without trust.
//!
//! In: the bytes of a file. Out: the list of its variables with class and shape, and each as a tree of
//! arrays in the types they were stored in; numbers stay where they are and are decoded one by one.
//! Reads both byte orders, compressed and plain elements, numbers, text, cells and structs; sparse,
//! complex, object and function variables are listed and refused when used.
//!
//! Guarantees: arbitrary bytes give an [`Error`], never a panic; memory stays below
//! [`INFLATED_BYTES_MIN`] or [`INFLATE_RATIO_MAX`] times the file, whichever is more, and sizes are checked
//! against the bytes present before memory is taken for them.
//!
//! Source: MathWorks, "MAT-File Format", R2019b, chapter 1.

mod array;
mod element;

pub use array::{Array, Class, Data, Numeric};

use crate::error::{Error, nearest};
use element::{COMPRESSED, Cursor, MATRIX, Order, Parsed};
use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// A file in memory and the list of its variables.
pub struct MatFile {
    place: String,
    bytes: Vec<u8>,
    order: Order,
    entries: Vec<Entry>,
}

/// What the file says of a variable before its values.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableInfo {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub class: Class,
    /// Rows, columns and further dimensions; empty for classes that have none.
    pub dims: Vec<usize>,
}

/// A variable's bytes, inflated where the file has them compressed.
pub struct Variable<'f> {
    place: &'f str,
    name: String,
    bytes: Cow<'f, [u8]>,
    order: Order,
}

struct Entry {
    info: VariableInfo,
    compressed: bool,
    range: Range<usize>,
}

impl MatFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it can't be read, is empty, cut short, of another MAT version, or damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        MatFile::from_bytes(super::files::read_all(path, FILE_BYTES_MAX)?, &path.display().to_string())
    }

    /// Reads a file that is in memory; `place` names it in errors.
    ///
    /// # Errors
    /// As [`MatFile::open`].
    pub fn from_bytes(bytes: Vec<u8>, place: &str) -> Result<Self, Error> {
        let order = byte_order(&bytes, place)?;
        let entries = entries(&bytes, order).map_err(|what| damaged(place, what))?;
        Ok(MatFile { place: place.to_string(), bytes, order, entries })
    }

    /// The file's name, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its variables, in the file's order.
    pub fn variables(&self) -> impl Iterator<Item = &VariableInfo> {
        self.entries.iter().map(|entry| &entry.info)
    }

    /// What the file says of `name`, where it has it.
    pub fn find(&self, name: &str) -> Option<&VariableInfo> {
        self.variables().find(|info| info.name == name)
    }

    /// "spikes (196×13205 uint8), handVel (3×13205 double)": every variable, for messages.
    pub fn list(&self) -> String {
        let listed: Vec<String> = self.variables().take(LISTED_MAX).map(VariableInfo::describe).collect();
        match self.entries.len() {
            0 => "no variable".to_string(),
            n if n > LISTED_MAX => format!("{} and {} more", listed.join(", "), n - LISTED_MAX),
            _ => listed.join(", "),
        }
    }

    /// The variable `name`, inflated.
    ///
    /// # Errors
    /// If the file doesn't have it (the message lists those that it has), or it is damaged.
    pub fn variable(&self, name: &str) -> Result<Variable<'_>, Error> {
        let entry = self.entries.iter().find(|entry| entry.info.name == name).ok_or_else(|| {
            let near = nearest(name, self.variables().map(|info| info.name.as_str()));
            Error::input(&self.place, format!("it has no variable of this name; it has {}", self.list()))
                .field(name)
                .legal("a variable that the file holds")
                .hint(match near {
                    Some(near) => format!("`{near}` in the mapping, or a mapping written for this file"),
                    None => "a mapping with the names that this file uses".to_string(),
                })
        })?;
        let stored = &self.bytes[entry.range.clone()];
        let bytes = match entry.compressed {
            false => Cow::Borrowed(stored),
            true => Cow::Owned(
                inflate(stored, self.order, inflated_max(self.bytes.len()))
                    .map_err(|what| damaged(&self.place, what).field(name))?,
            ),
        };
        Ok(Variable { place: &self.place, name: name.to_string(), bytes, order: self.order })
    }
}

impl VariableInfo {
    /// "spikes (196×13205 uint8)".
    pub fn describe(&self) -> String {
        format!("{} ({} {})", self.name, shape(&self.dims), self.class.name())
    }
}

impl Variable<'_> {
    /// The variable as a tree of arrays.
    ///
    /// # Errors
    /// If the bytes don't hold what they announce.
    pub fn array(&self) -> Result<Array<'_>, Error> {
        array::parse(&self.bytes, self.order).map_err(|what| damaged(self.place, what).field(&self.name))
    }
}

/// "91×8": a shape, for messages.
pub fn shape(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

fn damaged(place: &str, what: String) -> Error {
    Error::input(place, format!("it is cut short or damaged ({what})"))
        .legal("a whole MAT v5 file")
        .hint("copy the recording again, or save it anew with `save -v7` or scipy.io.savemat")
}

/// Checks the 128-byte header; its last two bytes tell the byte order.
fn byte_order(bytes: &[u8], place: &str) -> Result<Order, Error> {
    let legal = "a MAT v5 file, as `save -v7`, `save -v6` or scipy.io.savemat write it";
    let starts = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    if starts(0, HDF5) || starts(512, HDF5) || starts(0, b"MATLAB 7.3") {
        return Err(Error::input(place, "it is a MAT v7.3 file, which is HDF5 inside")
            .legal(legal)
            .hint("save it again in MATLAB with `save FILE -v7`"));
    }
    let order = match bytes.get(124..128) {
        None => return Err(damaged(place, format!("{} bytes, and the header alone has 128", bytes.len()))),
        Some([_, 1, b'I', b'M']) => Order::Little,
        Some([1, _, b'M', b'I']) => Order::Big,
        Some(_) => {
            return Err(Error::input(place, "its header is not that of a MAT v5 file (MAT v4 has none)")
                .legal(legal)
                .hint("save it again with `save FILE -v7`, or check that it is a MAT file at all"));
        }
    };
    Ok(order)
}

/// Walks the file's elements and reads the head of each.
fn entries(bytes: &[u8], order: Order) -> Parsed<Vec<Entry>> {
    let mut cursor = Cursor::new(bytes, order, HEADER_BYTES);
    let mut entries = Vec::new();
    while !cursor.at_end() {
        let (kind, range) = cursor.top_element()?;
        if entries.len() == VARIABLES_MAX {
            return Err(format!("more than {VARIABLES_MAX} variables"));
        }
        let stored = &bytes[range.clone()];
        let info = match kind {
            MATRIX => array::head(stored, order)?,
            COMPRESSED => {
                let mut head = Vec::new();
                ZlibDecoder::new(stored)
                    .take(HEAD_BYTES_MAX)
                    .read_to_end(&mut head)
                    .map_err(|e| format!("compressed data: {e}"))?;
                let mut inner = Cursor::new(&head, order, 0);
                inner.matrix_tag()?;
                array::head(inner.rest(), order)?
            }
            other => return Err(format!("an element of type {other} where a variable should be")),
        };
        entries.push(Entry { info, compressed: kind == COMPRESSED, range });
    }
    Ok(entries)
}

/// The content of the one matrix element that a compressed element holds.
fn inflate(stored: &[u8], order: Order, bytes_max: usize) -> Parsed<Vec<u8>> {
    let zlib = |e: std::io::Error| format!("compressed data: {e}");
    let mut decoder = ZlibDecoder::new(stored);
    let mut tag = [0; 8];
    decoder.read_exact(&mut tag).map_err(zlib)?;
    let n_bytes = Cursor::new(&tag, order, 0).matrix_tag()?;
    if n_bytes > bytes_max {
        return Err(format!(
            "{} compressed bytes announce {n_bytes}; at most {bytes_max} are accepted for a file of this size",
            stored.len()
        ));
    }
    let mut bytes = Vec::new();
    // One byte more than announced, so that the decoder reaches its end and checks its checksum.
    decoder.take(n_bytes as u64 + 1).read_to_end(&mut bytes).map_err(zlib)?;
    match bytes.len() == n_bytes {
        true => Ok(bytes),
        false => Err(format!("a compressed variable announces {n_bytes} bytes and holds others")),
    }
}

/// Bytes that one variable of a file of `file_len` bytes may inflate to.
fn inflated_max(file_len: usize) -> usize {
    INFLATED_BYTES_MIN.max(file_len.saturating_mul(INFLATE_RATIO_MAX))
}

/// A variable may always inflate to this much: small files of zeros are legal.
pub const INFLATED_BYTES_MIN: usize = 16 << 20;
/// Beyond that, to this many times the file. Spikes of 1 ms as bytes reach 56; deflate itself ends at 1,032,
/// which only a bomb comes near.
pub const INFLATE_RATIO_MAX: usize = 200;
/// A v5 variable ends at 4 GiB; a file of more is not meant for memory.
const FILE_BYTES_MAX: u64 = 4 << 30;
const VARIABLES_MAX: usize = 10_000;
/// Variables that a message lists.
const LISTED_MAX: usize = 40;
/// Enough for flags, dimensions and name.
const HEAD_BYTES_MAX: u64 = 4096;
const HEADER_BYTES: usize = 128;
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

#[cfg(test)]
mod tests {
    use super::*;

    const COMPRESSED_FILE: &[u8] = include_bytes!("../../../tests/data/classes_v7.mat");

    #[test]
    fn every_prefix_is_an_error_or_a_shorter_list() {
        let whole = MatFile::from_bytes(COMPRESSED_FILE.to_vec(), "test").expect("whole").entries.len();
        for n in 0..COMPRESSED_FILE.len() {
            if let Ok(file) = MatFile::from_bytes(COMPRESSED_FILE[..n].to_vec(), "test") {
                assert!(file.entries.len() < whole, "{n} bytes read as the whole file");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_opens() {
        let mut content = vec![0_u8; 64 << 20];
        content[..8].copy_from_slice(&[14, 0, 0, 0, 0xf8, 0xff, 0xff, 0x03]);
        content[8..64].copy_from_slice(&HEAD_OF_ZEROS);
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &content).expect("in memory");
        let packed = encoder.finish().expect("in memory");
        let mut bytes = COMPRESSED_FILE[..128].to_vec();
        bytes.extend(15_u32.to_le_bytes());
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.extend(packed);
        let file = MatFile::from_bytes(bytes, "bomb.mat").expect("its head is legal");
        let error = file.variable("z").err().expect("a bomb").to_string();
        assert!(error.contains("bomb.mat, field `z`") && error.contains("at most"), "{error}");
    }

    /// The content of a cell array without a name: its dimensions, then `cells`.
    fn cell_array(n: u32, cells: &[u8]) -> Vec<u8> {
        let words = [6, 8, 1, 0, 5, 8, n, 1, 1, 0];
        let mut content: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        content.extend(cells);
        content
    }

    #[test]
    fn cells_that_are_not_there_take_no_memory() {
        let error = array::parse(&cell_array(1 << 20, &[]), Order::Little).expect_err("no cell is there");
        assert_eq!(error, "1048576 arrays in 0 bytes");
        let error = array::parse(&cell_array(u32::MAX >> 1, &[]), Order::Little).expect_err("too many");
        assert!(error.starts_with("more than 1048576 cells"), "{error}");
    }

    #[test]
    fn cells_nest_only_so_deep() {
        let nested = |depth| {
            (0..depth).fold(cell_array(0, &[]), |inner, _| {
                let tag = [MATRIX, inner.len() as u32].map(u32::to_le_bytes).concat();
                cell_array(1, &[tag, inner].concat())
            })
        };
        assert!(array::parse(&nested(32), Order::Little).is_ok());
        let error = array::parse(&nested(10_000), Order::Little).expect_err("too deep");
        assert!(error.contains("deeper than 32"), "{error}");
    }

    /// Flags, dimensions 8,191 × 8,192 and the name `z` of an uint8 matrix.
    const HEAD_OF_ZEROS: [u8; 56] = [
        6, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0xff, 0x1f, 0, 0, 0, 0x20, 0,
        0, 1, 0, 1, 0, b'z', 0, 0, 0, 2, 0, 0, 0, 0, 0xe0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
}
