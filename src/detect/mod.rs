//! Spike band to events: noise, thresholds crossed, power.
//!
//! In: filtered [`Tile`](crate::block::Tile)s in microvolt. Out: what a spike is looked for in ([`operator`]); its
//! noise per channel once, for the thresholds ([`noise`]), and from then on as it drifts ([`adaptive`]); counts of
//! threshold crossings per lane ([`crossings`]); sums of squares per lane ([`power`]). Electrodes that fail are found
//! by [`health`].
//! Every kernel gives the same bits however the stream is cut into blocks.

pub mod adaptive;
mod crossed;
pub mod crossings;
pub mod health;
pub mod noise;
pub mod operator;
pub mod power;
pub mod stride;

pub use adaptive::RunningNoise;
pub use crossed::Crossed;
pub use crossings::CrossingDetector;
pub use health::{Fault, TileHealth};
pub use noise::{NoiseEstimator, NoiseRule};
pub use operator::{DetectorKind, Operator};
pub use stride::Stride;
