//! The firmware on a Cortex-M4: runs the seeded stream of `stream.rs` and prints what came of it.
//!
//! In: nothing. Out: lines on the semihosting console. Under QEMU's `-icount shift=0` an instruction takes a nanosecond
//! of pretended time, so a timer of 25 MHz counts 40 instructions a tick; a loop of known length checks that.

#![no_std]
#![no_main]

mod machine;
mod stream;

use core::fmt::Write;
use machine::{Console, Timer};

/// What the reset vector calls, with memory set up.
#[inline(never)]
fn run() {
    let timer = Timer::start();
    let begin = timer.instructions();
    machine::spin(TURNS);
    // Two instructions a turn. The console can't fail.
    let _ = writeln!(Console, "check {} {}", 2 * TURNS, timer.instructions().wrapping_sub(begin));
    stream::run(&mut Console, || timer.instructions());
    let _ = writeln!(Console, "stack {}", machine::stack_used());
}

const TURNS: u32 = 1_000_000;
