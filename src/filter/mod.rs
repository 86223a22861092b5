//! Broadband to spike band: design of filters, and the kernels that run them on tiles.
//!
//! In: samples of a block ([`common_average`] turns them into microvolt tiles) and cut-off frequencies in
//! hertz ([`design`]). Out: the same tiles, filtered in place by a [`bank::FilterBank`]. Every kernel gives
//! the same bits however the stream is cut into blocks, and takes its memory when it is built.

pub mod artefact;
pub mod bank;
mod cascade;
pub mod common_average;
pub mod design;
pub mod reference;
pub mod regression_reference;

pub use artefact::{Blanker, LaneBlanker};
pub use bank::FilterBank;
pub use cascade::Found;

pub use common_average::CommonAverage;
pub use design::Section;
pub use regression_reference::{RegressionReference, RegressionWeights};
