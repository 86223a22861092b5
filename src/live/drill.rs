//! A stage held up on purpose, so that one can see what an overload does before it comes by itself.

use super::clock::{Clock, HostTime};
use crate::error::Error;
use std::str::FromStr;

/// Holds a stage up once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drill {
    /// Which.
    pub stage: DrillStage,
    /// When, in seconds since the run began.
    pub at_seconds: f64,
    /// How long.
    pub ms: f64,
}

/// What can be held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillStage {
    /// The shard of this number.
    Shard(usize),
    /// Joining and decoding.
    Decoder,
    /// The sinks.
    Sinks,
}

impl FromStr for Drill {
    type Err = Error;

    /// Reads `STAGE@SECONDS:MS`, such as `shard0@2.5:300`, `decoder@1:50` or `sinks@1:200`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::usage("--drill", format!("`{text}`"))
                .legal("STAGE@SECONDS:MS with a stage of shard0, shard1, …, decoder, sinks")
                .hint("shard0@2.5:300")
        };
        let (stage, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (at, ms) = rest.split_once(':').ok_or_else(wrong)?;
        let number =
            |text: &str| text.parse().ok().filter(|x: &f64| (0.0..=1e6).contains(x)).ok_or_else(wrong);
        let stage = match (stage, stage.strip_prefix("shard").map(str::parse)) {
            ("decoder", _) => DrillStage::Decoder,
            ("sinks", _) => DrillStage::Sinks,
            (_, Some(Ok(shard))) => DrillStage::Shard(shard),
            _ => return Err(wrong()),
        };
        Ok(Drill { stage, at_seconds: number(at)?, ms: number(ms)? })
    }
}

/// Refuses a drill of what isn't there.
pub(crate) fn check(drill: Option<Drill>, n_shards: usize, has_sinks: bool) -> Result<(), Error> {
    let missing = match drill.map(|drill| drill.stage) {
        Some(DrillStage::Shard(shard)) if shard >= n_shards => format!("shard{shard}"),
        Some(DrillStage::Sinks) if !has_sinks => "sinks".to_string(),
        _ => return Ok(()),
    };
    let sinks = if has_sinks { ", sinks" } else { "" };
    Err(Error::usage("--drill", format!("this run has no stage `{missing}`"))
        .legal(format!("shard0 to shard{}, decoder{sinks}", n_shards - 1)))
}

/// A drill of one stage that is yet to come.
pub(crate) struct Pending(Option<Drill>);

impl Pending {
    pub(crate) fn of(drill: Option<Drill>, stage: DrillStage) -> Self {
        Pending(drill.filter(|drill| drill.stage == stage))
    }

    /// Busy until the drill is over, if its time has come.
    pub(crate) fn hold(&mut self, clock: &Clock, now: HostTime) {
        if let Some(drill) = self.0.filter(|drill| now.ns as f64 >= drill.at_seconds * 1e9) {
            self.0 = None;
            let until = now.ns + (drill.ms * 1e6) as u64;
            while clock.now().ns < until {
                std::hint::spin_loop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_reads_as_it_is_written() {
        let drill: Drill = "shard1@2.5:300".parse().expect("legal");
        assert_eq!(drill, Drill { stage: DrillStage::Shard(1), at_seconds: 2.5, ms: 300.0 });
        assert_eq!("decoder@0:1".parse::<Drill>().expect("legal").stage, DrillStage::Decoder);
        for wrong in ["", "shard@1:2", "decoder", "decoder@1", "sinks@x:1", "sinks@1:-1"] {
            let error = wrong.parse::<Drill>().expect_err(wrong).to_string();
            assert!(error.contains("STAGE@SECONDS:MS"), "{error}");
        }
    }
}
