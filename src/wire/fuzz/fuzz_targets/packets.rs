//! Packets to both ends in the clear, where a checksum that fits carries the bytes to every parser.
//!
//! In: bytes of the fuzzer: a length, so many bytes of a packet, and again. Out: nothing, or a crash to look at.
//! `cargo +nightly fuzz run packets` in `src/wire`.

#![no_main]

use efference_wire::Records;
use efference_wire::session::{Access, Endpoint, Received};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut host = Endpoint::host(Access::Plain, 1);
    let mut device = Endpoint::device(Access::Plain);
    host.connect([0; 32]);
    let mut rest = bytes;
    while let Some((length, more)) = rest.split_first() {
        let (packet, behind) = more.split_at(usize::from(*length).min(more.len()));
        rest = behind;
        // The fuzzer can't guess a checksum, so it is mended.
        let mut packet = packet.to_vec();
        if let Some((body, sum)) = packet.split_last_chunk_mut::<4>() {
            *sum = crc32(body).to_le_bytes();
        }
        if let Ok(Received::Records(records) | Received::Session(records) | Received::Earlier(records)) = host.receive(&packet) {
            assert!(Records::new(records).count() <= records.len());
        }
        if device.receive(&packet) == Ok(Received::Hello) {
            device.answer([0; 32], &[127, 0]).expect("it was asked");
        }
        assert!(host.counters().is_balanced(host.n_held()));
        assert!(device.counters().is_balanced(device.n_held()));
    }
});

/// CRC-32 (ISO-HDLC), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}
