//! `[decoder]`: features to intents.

use serde::{Deserialize, Serialize};

/// Features to intents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DecoderConfig {
    /// Which family is fitted.
    pub kind: DecoderKind,
    /// Bins of history that a Wiener filter sees, the present one included.
    pub lags: usize,
    /// How features are scaled; by default as suits the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normaliser: Option<NormaliserKind>,
    /// Ridge strengths to choose from by cross-validation inside the training part.
    pub ridge: Vec<f64>,
    /// How the ridge penalty is spread over channels and lags.
    pub ridge_shape: RidgeShape,
    /// Contiguous folds of that cross-validation.
    pub folds: usize,
    /// Channels with fewer events than this in the training part are left out (decoders of movement); in a part
    /// of fewer than 10,800 bins, with fewer than one in 108 bins.
    pub min_events: f64,
    /// Kalman filter: the state holds velocity up to this many bins ahead; activity leads movement.
    pub lead_bins: usize,
    /// Kalman filter: and down to this many bins behind.
    pub trail_bins: usize,
    /// Kalman filter: what a channel did one bin before predicts what it does now, beside the state.
    pub whiten: bool,
    /// Decoders of movement: what is put right behind the linear decoder ([`crate::decode::Cascade`]).
    #[serde(skip_serializing_if = "CascadeKind::is_none")]
    pub cascade: CascadeKind,
    /// LDA: shrinkages to choose from by cross-validation inside the training part.
    pub shrinkage: Vec<f64>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        DecoderConfig {
            kind: DecoderKind::Auto,
            lags: 15,
            normaliser: None,
            // Steps of about 1.6: the optimum is narrow enough for a decade's step to cost 0.005 R².
            ridge: vec![
                0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 300.0, 500.0, 800.0, 1200.0,
                2000.0, 3000.0, 5000.0, 8000.0, 12000.0, 20000.0, 30000.0,
            ],
            ridge_shape: RidgeShape::Decaying,
            folds: 5,
            min_events: 100.0,
            lead_bins: 5,
            trail_bins: 6,
            whiten: true,
            cascade: CascadeKind::None,
            shrinkage: vec![
                0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
            ],
        }
    }
}

impl DecoderConfig {
    /// The normaliser asked for, or the one that suits the kind.
    pub fn normaliser(&self) -> NormaliserKind {
        self.normaliser.unwrap_or(match self.kind {
            DecoderKind::Blend => NormaliserKind::FiveQuarters,
            DecoderKind::Lda | DecoderKind::Logistic => NormaliserKind::Sqrt,
            _ => NormaliserKind::Zscore,
        })
    }
}

/// The families of decoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DecoderKind {
    /// Wiener for movement, LDA for classes.
    Auto,
    /// Wiener filter: linear regression of velocity and position on the features' history.
    Wiener,
    /// Kalman filter over position and velocity, steady-state gain.
    Kalman,
    /// Kalman filter over velocity alone, steady-state gain.
    VelocityKalman,
    /// Kalman filter over position and velocity whose gain is carried from bin to bin: right from the first bin on.
    FullKalman,
    /// Kalman filter over position and velocity for very many channels: each one's noise is its own.
    WideKalman,
    /// Mean of a Wiener filter and a Kalman filter: their errors differ.
    Blend,
    /// Linear discriminant analysis with shrinkage, for classes.
    Lda,
    /// Multinomial logistic regression, for classes.
    Logistic,
}

impl DecoderKind {
    /// The word that stands in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            DecoderKind::Auto => "auto",
            DecoderKind::Wiener => "wiener",
            DecoderKind::Kalman => "kalman",
            DecoderKind::VelocityKalman => "velocity-kalman",
            DecoderKind::FullKalman => "full-kalman",
            DecoderKind::WideKalman => "wide-kalman",
            DecoderKind::Blend => "blend",
            DecoderKind::Lda => "lda",
            DecoderKind::Logistic => "logistic",
        }
    }

    /// The family that [`DecoderKind::Auto`] stands for; any other is itself.
    pub fn settled(self, classes: bool) -> Self {
        match (self, classes) {
            (DecoderKind::Auto, true) => DecoderKind::Lda,
            (DecoderKind::Auto, false) => DecoderKind::Wiener,
            (chosen, _) => chosen,
        }
    }

    /// It chooses among classes instead of moving.
    pub fn is_classifier(self) -> bool {
        matches!(self, DecoderKind::Lda | DecoderKind::Logistic)
    }
}

/// What is put right of what a linear decoder of movement says, by a static nonlinearity behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CascadeKind {
    /// Nothing.
    None,
    /// A gain that all neurons share, told by activity that speed doesn't explain.
    Activity,
    /// That, and speed: fast movement that a ridge makes too slow, and slow movement that it makes too fast.
    Full,
}

impl CascadeKind {
    /// The word that stands in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            CascadeKind::None => "none",
            CascadeKind::Activity => "activity",
            CascadeKind::Full => "full",
        }
    }

    /// Nothing is put right.
    pub fn is_none(&self) -> bool {
        *self == CascadeKind::None
    }
}

/// How the ridge penalty is spread over channels and lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RidgeShape {
    /// The same for each z-scored feature and lag.
    Plain,
    /// Grows with the lag (e-fold in 5 bins) and falls with the channel's deviation: old bins and channels
    /// with few events have little to say.
    Decaying,
}

/// How features are scaled before they are decoded: f(x), then to mean 0 and standard deviation 1 over the
/// training part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum NormaliserKind {
    /// f(x) = x
    Zscore,
    /// f(x) = √(x + 3/8)
    Sqrt,
    /// f(x) = x^(5/4)
    FiveQuarters,
}

impl NormaliserKind {
    /// The word that stands in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            NormaliserKind::Zscore => "zscore",
            NormaliserKind::Sqrt => "sqrt",
            NormaliserKind::FiveQuarters => "five-quarters",
        }
    }
}
