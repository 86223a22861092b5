//! A writer of small MAT v5 files: little-endian, uncompressed numbers and struct arrays.
//!
//! In: named arrays, column by column. Out: the bytes of a file that MATLAB and SciPy read too.

/// A matrix or a struct array; values stand column by column.
pub(crate) enum Array {
    U8 {
        rows: usize,
        values: Vec<u8>,
    },
    F64 {
        rows: usize,
        values: Vec<f64>,
    },
    /// `values` has every field of the first element, then of the second …
    Struct {
        rows: usize,
        fields: Vec<&'static str>,
        values: Vec<Array>,
    },
}

/// A file of these variables.
pub(crate) fn file(variables: &[(&str, Array)]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(HEADER_TEXT, b' ');
    bytes.extend(b"\x00\x01IM");
    for (name, array) in variables {
        bytes.extend(matrix(name, array));
    }
    bytes
}

fn matrix(name: &str, array: &Array) -> Vec<u8> {
    let (class, rows, n) = match array {
        Array::U8 { rows, values } => (9, *rows, values.len()),
        Array::F64 { rows, values } => (6, *rows, values.len()),
        Array::Struct { rows, fields, values } => (2, *rows, values.len() / fields.len()),
    };
    let flags = [u32::to_le_bytes(class), [0; 4]].concat();
    let dims = [rows as i32, (n / rows) as i32].map(i32::to_le_bytes).concat();
    let mut body = [element(6, &flags), element(5, &dims), element(1, name.as_bytes())].concat();
    match array {
        Array::U8 { values, .. } => body.extend(element(2, values)),
        Array::F64 { values, .. } => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            body.extend(element(9, &bytes));
        }
        Array::Struct { fields, values, .. } => {
            let mut names = vec![0; FIELD_NAME * fields.len()];
            for (slot, field) in names.chunks_exact_mut(FIELD_NAME).zip(fields) {
                slot[..field.len()].copy_from_slice(field.as_bytes());
            }
            body.extend(element(5, &(FIELD_NAME as i32).to_le_bytes()));
            body.extend(element(1, &names));
            values.iter().for_each(|value| body.extend(matrix("", value)));
        }
    }
    element(14, &body)
}

/// Type, length, bytes, and zeros up to a multiple of 8.
fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut element = [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    element.extend(bytes);
    element.resize(element.len().next_multiple_of(8), 0);
    element
}

const HEADER_TEXT: usize = 124;
const FIELD_NAME: usize = 32;
