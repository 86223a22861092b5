//! What a front end must know of its stream before it starts: measured by `train::calibrate`, kept in a model.

use crate::filter::RegressionWeights;

/// What was measured on a stretch of the stream, channel by channel.
///
/// ```
/// use efference::pipeline::Calibration;
/// let calibration = Calibration::of_thresholds(vec![-40.0, f32::NEG_INFINITY]);
/// assert_eq!(calibration.thresholds.len(), 2);
/// assert!(Calibration::default().thresholds.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// One per channel in the stream's unit, negative; −∞ for channels that are left out. Empty for streams of
    /// counts.
    pub thresholds: Vec<f32>,
    /// What each channel hears from the others; where the settings ask for a linear regression reference.
    pub reference: Option<RegressionWeights>,
}

impl Calibration {
    /// Thresholds and nothing else.
    pub fn of_thresholds(thresholds: Vec<f32>) -> Self {
        Calibration { thresholds, reference: None }
    }

    /// For `n_channels` of broadband of which nothing is known yet: no channel ever crosses.
    pub fn unknown(n_channels: usize) -> Self {
        Calibration::of_thresholds(vec![f32::NEG_INFINITY; n_channels])
    }
}
