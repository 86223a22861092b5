//! What records carry, read by the codecs: counts, crossings, tables, raw samples.
//!
//! In: bytes of the fuzzer, taken for records. Out: nothing, or a crash to look at. `cargo +nightly fuzz run codecs` in
//! `src/wire`.

#![no_main]

#[path = "../../examples/fuzz/codecs.rs"]
mod codecs;
#[path = "../../examples/fuzz/records.rs"]
#[allow(dead_code)]
mod records;

use codecs::Codecs;
use efference_wire::Records;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut codecs = Codecs::default();
    for record in Records::new(bytes).flatten() {
        codecs.read(&record);
    }
});
