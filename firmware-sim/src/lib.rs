//! A pretend implant that needs no surgery: simulated tissue, the firmware of the real thing, and a bad radio.

pub mod bands;
pub mod ble;
pub mod body;
pub mod clock;
pub mod device_faults;
pub mod faults;
pub mod impedance;
pub mod implant;
pub mod radio;
pub mod scripts;
pub mod serve;
pub mod tissue;
pub mod watch;
pub mod world;
