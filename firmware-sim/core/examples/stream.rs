//! The stream that `firmware-sim/qemu` runs on a microcontroller, on this machine: the same bytes, or `scripts/test-firmware`
//! fails.

#[allow(unreachable_pub)]
#[path = "../../qemu/src/stream.rs"]
mod stream;

/// The standard output as [`std::fmt::Write`].
struct Console;

impl std::fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        print!("{text}");
        Ok(())
    }
}

fn main() {
    stream::run(&mut Console, || 0);
}
