//! The board: reset, console, timer, stack.
//!
//! The one place with `unsafe`, since a program without an operating system has to touch addresses. Each use says why it
//! may.

use core::arch::asm;
use core::fmt;
use core::panic::PanicInfo;

unsafe extern "C" {
    static mut stack_top: u32;
    static mut data_start: u32;
    static mut data_end: u32;
    static data_source: u32;
    static mut bss_start: u32;
    static mut bss_end: u32;
}

/// Stack pointer and reset handler; faults end the program.
#[repr(C)]
struct Vectors {
    stack: *mut u32,
    handlers: [unsafe extern "C" fn() -> !; 15],
}

// SAFETY: nothing writes to it.
unsafe impl Sync for Vectors {}

#[unsafe(link_section = ".vectors")]
#[used]
static VECTORS: Vectors = Vectors {
    stack: &raw mut stack_top,
    handlers: [
        reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
        fault,
    ],
};

/// The first instructions.
#[unsafe(no_mangle)]
unsafe extern "C" fn reset() -> ! {
    // SAFETY: the linker script gives these ranges, aligned to words; nobody holds a reference into them yet. The stack
    // is painted up to where it now stands; `run` has a frame of its own below.
    unsafe {
        let mut to = &raw mut bss_start;
        while to < &raw mut bss_end {
            to.write_volatile(0);
            to = to.add(1);
        }
        let (mut to, mut from) = (&raw mut data_start, &raw const data_source);
        while to < &raw mut data_end {
            to.write_volatile(from.read());
            (to, from) = (to.add(1), from.add(1));
        }
        let mut to = &raw mut bss_end;
        let end: *mut u32;
        asm!("mov {0}, sp", out(reg) end, options(nomem, nostack));
        while to < end {
            to.write_volatile(PAINT);
            to = to.add(1);
        }
        // The floating point registers may hold integers: the compiler moves memory by them.
        CPACR.write_volatile(CPACR.read_volatile() | 0xF << 20);
        asm!("dsb", "isb");
    }
    crate::run();
    exit(true)
}

unsafe extern "C" fn fault() -> ! {
    let _ = fmt::Write::write_str(&mut Console, "fault\n");
    exit(false)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = fmt::Write::write_fmt(&mut Console, format_args!("panic: {info}\n"));
    exit(false)
}

/// Bytes of the stack that were ever written to.
pub fn stack_used() -> usize {
    // SAFETY: between the variables and the top of the stack; nothing else reads or writes what is unused.
    unsafe {
        let mut at = &raw const bss_end;
        let end = &raw const stack_top;
        while at < end && at.read_volatile() == PAINT {
            at = at.add(1);
        }
        end.offset_from(at) as usize * size_of::<u32>()
    }
}

/// Text to the debugger, here QEMU.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.as_bytes().chunks(63) {
            let mut zero_ended = [0; 64];
            zero_ended[..piece.len()].copy_from_slice(piece);
            semihost(SYS_WRITE0, zero_ended.as_ptr() as usize);
        }
        Ok(())
    }
}

fn exit(is_well: bool) -> ! {
    semihost(SYS_EXIT, if is_well { ADP_STOPPED_APPLICATION_EXIT } else { ADP_STOPPED_RUN_TIME_ERROR });
    loop {}
}

fn semihost(operation: usize, parameter: usize) {
    // SAFETY: the debugger reads the text that the parameter points to, and writes nothing but r0.
    unsafe { asm!("bkpt 0xAB", inout("r0") operation => _, in("r1") parameter, options(nostack)) }
}

/// A timer that counts down at 25 MHz.
pub struct Timer;

impl Timer {
    pub fn start() -> Self {
        // SAFETY: the board's first timer; nobody else uses it.
        unsafe {
            TIMER_RELOAD.write_volatile(u32::MAX);
            TIMER_VALUE.write_volatile(u32::MAX);
            TIMER_CONTROL.write_volatile(1);
        }
        Timer
    }

    /// Instructions since the start, to 40; wraps after 170,000 million.
    pub fn instructions(&self) -> u64 {
        // SAFETY: as above.
        u64::from(u32::MAX - unsafe { TIMER_VALUE.read_volatile() }) * INSTRUCTIONS_PER_TICK
    }
}

/// So many turns of two instructions.
pub fn spin(turns: u32) {
    // SAFETY: touches one register and the flags.
    unsafe { asm!("2:", "subs {0}, #1", "bne 2b", inout(reg) turns => _, options(nomem, nostack)) }
}

const PAINT: u32 = 0xA5C3_96E1;
const CPACR: *mut u32 = 0xE000_ED88 as *mut u32;
const TIMER_CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
const TIMER_VALUE: *mut u32 = 0x4000_0004 as *mut u32;
const TIMER_RELOAD: *mut u32 = 0x4000_0008 as *mut u32;
const INSTRUCTIONS_PER_TICK: u64 = 40;
const SYS_WRITE0: usize = 0x04;
const SYS_EXIT: usize = 0x18;
const ADP_STOPPED_APPLICATION_EXIT: usize = 0x2_0026;
const ADP_STOPPED_RUN_TIME_ERROR: usize = 0x2_0023;
