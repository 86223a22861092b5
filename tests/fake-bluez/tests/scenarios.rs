//! The central against a fake BlueZ: real btleplug, real D-Bus, real sealed packets of the firmware, no Bluetooth.
//!
//! Each scenario runs in a process of its own with a bus of its own, all at once; `cargo test -p fake-bluez -- gaps` runs
//! one; `soak` and `cpu` take longer and run where they are named. Values are checked against what the electrodes crossed, datagrams against what the firmware sealed.

#[cfg(target_os = "linux")]
#[path = "scenarios/run.rs"]
mod run;
#[cfg(target_os = "linux")]
#[path = "scenarios/scenario.rs"]
mod scenario;

#[cfg(target_os = "linux")]
fn main() {
    run::main(&scenario::ALL, &scenario::LONG);
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: D-Bus is Linux's");
}
