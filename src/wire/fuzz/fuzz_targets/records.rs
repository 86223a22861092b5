//! The records of a datagram: what parses writes to the same again.
//!
//! In: bytes of the fuzzer. Out: nothing, or a crash to look at. `cargo +nightly fuzz run records` in `src/wire`.

#![no_main]

use efference_wire::{RecordWriter, Records};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut again = vec![0; 2 * bytes.len() + 64];
    for record in Records::new(bytes).flatten() {
        let mut writer = RecordWriter::new(&mut again);
        writer.push(&record).expect("it was shorter before");
        assert_eq!(Records::new(writer.written()).next(), Some(Ok(record)));
    }
});
