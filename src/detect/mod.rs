//! Spike band to events: noise, thresholds crossed, power.
//!
//! In: filtered [`Tile`](crate::block::Tile)s in microvolt. Out: what a spike is looked for in ([`operator`]); its
//! noise per channel once, for the thresholds ([`noise`]); counts of threshold crossings per lane ([`crossings`]);
//! sums of squares per lane ([`power`]).
//! Every kernel gives the same bits however the stream is cut into blocks.

pub mod crossings;
pub mod noise;
pub mod operator;
pub mod power;

pub use crossings::{Crossed, CrossingDetector};
pub use noise::{NoiseEstimator, NoiseRule};
pub use operator::{DetectorKind, Operator};
