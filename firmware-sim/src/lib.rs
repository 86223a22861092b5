//! A pretend implant that needs no surgery: simulated tissue, the firmware of the real thing, and a bad radio.

pub mod bands;
pub mod tissue;
