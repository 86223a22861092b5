//! Buffers for TrouBLE, whose size sets the largest ATT_MTU that the implant agrees to.

use std::cell::Cell;
use trouble_host::{Packet, PacketPool};

/// Buffers of so many bytes: 4 more than the ATT_MTU.
pub(super) struct Pool<const BYTES: usize>;

/// One of them.
pub(super) struct Buffer<const BYTES: usize>(Box<[u8; BYTES]>);

thread_local! {
    static N_HELD: Cell<usize> = const { Cell::new(0) };
}

impl<const BYTES: usize> PacketPool for Pool<BYTES> {
    type Packet = Buffer<BYTES>;
    const MTU: usize = BYTES;

    fn allocate() -> Option<Buffer<BYTES>> {
        let n_held = N_HELD.get();
        if n_held >= BUFFERS_MAX {
            return None;
        }
        N_HELD.set(n_held + 1);
        Some(Buffer(Box::new([0; BYTES])))
    }

    fn capacity() -> usize {
        BUFFERS_MAX
    }
}

impl<const BYTES: usize> Packet for Buffer<BYTES> {}

impl<const BYTES: usize> AsRef<[u8]> for Buffer<BYTES> {
    fn as_ref(&self) -> &[u8] {
        &self.0[..]
    }
}

impl<const BYTES: usize> AsMut<[u8]> for Buffer<BYTES> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0[..]
    }
}

impl<const BYTES: usize> Drop for Buffer<BYTES> {
    fn drop(&mut self) {
        N_HELD.set(N_HELD.get() - 1);
    }
}

/// More than all of TrouBLE's queues hold, so that none is ever missing.
const BUFFERS_MAX: usize = 64;
