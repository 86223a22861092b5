//! Arrays of a MAT v5 file: numbers, text, cells and structs.
//!
//! In: the bytes of one `miMATRIX` element. Out: an [`Array`] that borrows them, column-major as stored.
//! Complex numbers and 64-bit integers beyond 2^53 are outside what [`Numeric::value`] keeps exactly.

use super::VariableInfo;
use super::element::{Cursor, MATRIX, Order, Parsed};

/// One array.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    /// What its values are.
    pub class: Class,
    /// Rows, columns and further dimensions.
    pub dims: Vec<usize>,
    /// The values, column-major.
    pub data: Data<'a>,
}

/// The values of an [`Array`].
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// Real numbers.
    Numeric(Numeric<'a>),
    /// Characters, column by column: an array of one row reads as it stands.
    Text(String),
    /// Arrays, one per element.
    Cell(Vec<Array<'a>>),
    /// Arrays, `fields.len()` per element: field `f` of element `e` is `values[e × fields.len() + f]`.
    Struct {
        /// Names of the fields.
        fields: Vec<String>,
        /// Their values, element by element.
        values: Vec<Array<'a>>,
    },
    /// A class that is not read: sparse, complex, object, function.
    Unsupported,
}

/// Real numbers in the type they were stored in, which may be narrower than the array's class.
#[derive(Clone, Copy, Debug)]
pub struct Numeric<'a> {
    storage: Storage,
    order: Order,
    bytes: &'a [u8],
}

/// MATLAB's class of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are MATLAB's own")]
pub enum Class {
    Cell,
    Struct,
    Object,
    Char,
    Sparse,
    Double,
    Single,
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Function,
    Opaque,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Storage {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Single,
    Double,
    Int64,
    UInt64,
}

impl Class {
    /// MATLAB's word for it.
    pub fn name(self) -> &'static str {
        CLASSES.iter().find(|(_, class, _)| *class == self).map_or("unknown", |(_, _, name)| name)
    }

    /// Numbers.
    pub fn is_numeric(self) -> bool {
        !matches!(
            self,
            Class::Cell
                | Class::Struct
                | Class::Object
                | Class::Char
                | Class::Sparse
                | Class::Function
                | Class::Opaque
        )
    }
}

impl Numeric<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.storage.n_bytes()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `index`-th, column-major.
    ///
    /// # Panics
    /// If `index` is not below [`Numeric::len`].
    #[inline]
    pub fn value(&self, index: usize) -> f64 {
        let (bytes, order) = (self.bytes, self.order);
        match self.storage {
            Storage::Int8 => f64::from(bytes[index] as i8),
            Storage::UInt8 => f64::from(bytes[index]),
            Storage::Int16 => f64::from(i16::from_le_bytes(order.word(bytes, index))),
            Storage::UInt16 => f64::from(u16::from_le_bytes(order.word(bytes, index))),
            Storage::Int32 => f64::from(i32::from_le_bytes(order.word(bytes, index))),
            Storage::UInt32 => f64::from(u32::from_le_bytes(order.word(bytes, index))),
            Storage::Single => f64::from(f32::from_le_bytes(order.word(bytes, index))),
            Storage::Double => f64::from_le_bytes(order.word(bytes, index)),
            Storage::Int64 => i64::from_le_bytes(order.word(bytes, index)) as f64,
            Storage::UInt64 => u64::from_le_bytes(order.word(bytes, index)) as f64,
        }
    }
}

/// The array in the content of a `miMATRIX` element.
pub(super) fn parse(content: &[u8], order: Order) -> Parsed<Array<'_>> {
    Parser { order, arrays_left: ARRAYS_MAX }.array(content, 0)
}

/// Name, class and shape in the content of a `miMATRIX` element, of which the beginning is enough.
pub(super) fn head(content: &[u8], order: Order) -> Parsed<VariableInfo> {
    let (head, _) = Head::read(content, order)?;
    Ok(VariableInfo { name: head.name, class: head.class, dims: head.dims })
}

struct Head {
    class: Class,
    complex: bool,
    dims: Vec<usize>,
    name: String,
}

impl Head {
    fn read(content: &[u8], order: Order) -> Parsed<(Head, Cursor<'_>)> {
        let mut cursor = Cursor::new(content, order, 0);
        let (_, flags) = cursor.element()?;
        if flags.len() < 4 {
            return Err("array flags of under 4 bytes".to_string());
        }
        let flags = u32::from_le_bytes(order.word(flags, 0));
        let (_, class, _) = *CLASSES
            .iter()
            .find(|(code, _, _)| *code == flags & 0xff)
            .ok_or_else(|| format!("an array of unknown class {}", flags & 0xff))?;
        let dims = if class == Class::Opaque { Vec::new() } else { dims(cursor.element()?.1, order)? };
        let (_, name) = cursor.element()?;
        let name = String::from_utf8_lossy(name).into_owned();
        Ok((Head { class, complex: flags & FLAG_COMPLEX != 0, dims, name }, cursor))
    }
}

fn dims(bytes: &[u8], order: Order) -> Parsed<Vec<usize>> {
    let n_dims = bytes.len() / 4;
    if !(1..=DIMS_MAX).contains(&n_dims) || !bytes.len().is_multiple_of(4) {
        return Err(format!("an array of {n_dims} dimensions; 1 to {DIMS_MAX} are legal"));
    }
    let dim = |i| i32::from_le_bytes(order.word(bytes, i));
    (0..n_dims).map(|i| usize::try_from(dim(i)).map_err(|_| format!("a dimension of {}", dim(i)))).collect()
}

struct Parser {
    order: Order,
    arrays_left: usize,
}

impl Parser {
    fn array<'a>(&mut self, content: &'a [u8], depth: usize) -> Parsed<Array<'a>> {
        if content.is_empty() {
            // How MATLAB writes the empty array in a cell or a field.
            let data = Data::Numeric(Numeric { storage: Storage::Double, order: self.order, bytes: &[] });
            return Ok(Array { class: Class::Double, dims: vec![0, 0], data });
        }
        if depth > DEPTH_MAX {
            return Err(format!("cells and structs nested deeper than {DEPTH_MAX}"));
        }
        let (head, mut cursor) = Head::read(content, self.order)?;
        let n = head
            .dims
            .iter()
            .try_fold(1_usize, |n, &dim| n.checked_mul(dim))
            .ok_or_else(|| format!("dimensions {:?} overflow", head.dims))?;
        let data = match head.class {
            _ if head.complex => Data::Unsupported,
            Class::Cell => Data::Cell(self.arrays(&mut cursor, n, depth)?),
            Class::Struct => self.fields(&mut cursor, n, depth)?,
            Class::Char => Data::Text(text(cursor.element()?, self.order)?),
            class if class.is_numeric() => Data::Numeric(self.numbers(&mut cursor, n)?),
            _ => Data::Unsupported,
        };
        Ok(Array { class: head.class, dims: head.dims, data })
    }

    fn numbers<'a>(&self, cursor: &mut Cursor<'a>, n: usize) -> Parsed<Numeric<'a>> {
        let (kind, bytes) = cursor.element()?;
        let storage = Storage::of(kind).ok_or_else(|| format!("numbers of unknown type {kind}"))?;
        match n.checked_mul(storage.n_bytes()) {
            Some(n_bytes) if n_bytes == bytes.len() => Ok(Numeric { storage, order: self.order, bytes }),
            _ => Err(format!("an array of {n} numbers with {} bytes of them", bytes.len())),
        }
    }

    fn fields<'a>(&mut self, cursor: &mut Cursor<'a>, n: usize, depth: usize) -> Parsed<Data<'a>> {
        let (_, width) = cursor.element()?;
        let (_, names) = cursor.element()?;
        if width.len() != 4 {
            return Err("a struct without the length of its field names".to_string());
        }
        let width = u32::from_le_bytes(self.order.word(width, 0)) as usize;
        if !(1..=FIELD_NAME_BYTES_MAX).contains(&width) || !names.len().is_multiple_of(width) {
            return Err(format!("a struct with field names of {width} bytes in {} bytes", names.len()));
        }
        self.take(names.len() / width)?;
        let name = |bytes: &[u8]| {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let fields: Vec<String> = names.chunks_exact(width).map(name).collect();
        let n_values = n.checked_mul(fields.len()).ok_or("a struct whose size overflows")?;
        Ok(Data::Struct { values: self.arrays(cursor, n_values, depth)?, fields })
    }

    fn arrays<'a>(&mut self, cursor: &mut Cursor<'a>, n: usize, depth: usize) -> Parsed<Vec<Array<'a>>> {
        self.take(n)?;
        // Each takes a tag of eight bytes at least.
        if n > cursor.rest().len() / 8 {
            return Err(format!("{n} arrays in {} bytes", cursor.rest().len()));
        }
        let mut arrays = Vec::with_capacity(n);
        for _ in 0..n {
            match cursor.element()? {
                (MATRIX, content) => arrays.push(self.array(content, depth + 1)?),
                (kind, _) => return Err(format!("an element of type {kind} where an array should be")),
            }
        }
        Ok(arrays)
    }

    fn take(&mut self, n: usize) -> Parsed<()> {
        self.arrays_left = self
            .arrays_left
            .checked_sub(n)
            .ok_or_else(|| format!("more than {ARRAYS_MAX} cells and fields in one variable"))?;
        Ok(())
    }
}

/// Text in whatever width it was stored; what is not Unicode becomes the replacement character.
fn text((kind, bytes): (u32, &[u8]), order: Order) -> Parsed<String> {
    match kind {
        UTF8 | 1 | 2 => Ok(String::from_utf8_lossy(bytes).into_owned()),
        UTF16 | 3 | 4 => {
            let units = (0..bytes.len() / 2).map(|i| u16::from_le_bytes(order.word(bytes, i)));
            Ok(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        UTF32 | 5 | 6 => Ok((0..bytes.len() / 4)
            .map(|i| u32::from_le_bytes(order.word(bytes, i)))
            .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()),
        other => Err(format!("text of unknown type {other}")),
    }
}

impl Storage {
    /// The storage of an element type (`miINT8` …).
    fn of(kind: u32) -> Option<Storage> {
        Some(match kind {
            1 => Storage::Int8,
            2 => Storage::UInt8,
            3 => Storage::Int16,
            4 => Storage::UInt16,
            5 => Storage::Int32,
            6 => Storage::UInt32,
            7 => Storage::Single,
            9 => Storage::Double,
            12 => Storage::Int64,
            13 => Storage::UInt64,
            _ => return None,
        })
    }

    fn n_bytes(self) -> usize {
        match self {
            Storage::Int8 | Storage::UInt8 => 1,
            Storage::Int16 | Storage::UInt16 => 2,
            Storage::Int32 | Storage::UInt32 | Storage::Single => 4,
            Storage::Double | Storage::Int64 | Storage::UInt64 => 8,
        }
    }
}

/// The class codes (`mxCELL_CLASS` …) and MATLAB's words for them.
const CLASSES: [(u32, Class, &str); 17] = [
    (1, Class::Cell, "cell"),
    (2, Class::Struct, "struct"),
    (3, Class::Object, "object"),
    (4, Class::Char, "char"),
    (5, Class::Sparse, "sparse"),
    (6, Class::Double, "double"),
    (7, Class::Single, "single"),
    (8, Class::Int8, "int8"),
    (9, Class::UInt8, "uint8"),
    (10, Class::Int16, "int16"),
    (11, Class::UInt16, "uint16"),
    (12, Class::Int32, "int32"),
    (13, Class::UInt32, "uint32"),
    (14, Class::Int64, "int64"),
    (15, Class::UInt64, "uint64"),
    (16, Class::Function, "function"),
    (17, Class::Opaque, "opaque"),
];
const FLAG_COMPLEX: u32 = 0x0800;
const UTF8: u32 = 16;
const UTF16: u32 = 17;
const UTF32: u32 = 18;
const DIMS_MAX: usize = 32;
const DEPTH_MAX: usize = 32;
/// Cells, fields and field names of one variable; bounds what a file of empty arrays takes in memory.
const ARRAYS_MAX: usize = 1 << 20;
/// MATLAB's own limit is 63 and the closing zero.
const FIELD_NAME_BYTES_MAX: usize = 256;
