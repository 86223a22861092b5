//! What happened to the decoder in a run, so that a replay of the same bins can say the same: swaps, panics, resumes.
//!
//! In: lines of JSON, written as things happen. Out: the same, read back and checked. Guarantee: each line names the first bin
//! that it counts for, and no line depends on the time of day; what a decoder without some channels is follows from the model
//! and its statistics, which the first line names by their sum.

use crate::decode::Decoder;
use crate::decode::keeper::Masked;
use crate::error::Error;
use crate::pipeline::{Pipeline, Said};
use crate::train::Basis;
use serde::{Deserialize, Serialize};

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LogLine {
    /// The first: of which run.
    Start {
        /// The layout; this program reads [`LOG_FORMAT`].
        format: u32,
        /// Channels of the stream.
        n_channels: usize,
        /// SHA-256 of the model's weights, in hex.
        weights_sha256: String,
    },
    /// A decoder took over.
    Swap(Swap),
    /// Someone panicked; all is held from this bin on.
    Panic {
        /// The first bin that was held.
        bin: u64,
    },
    /// Someone holds the way to resume from this bin on, or has let go of it.
    Hold {
        /// The first bin.
        bin: u64,
        /// Holds it.
        is_held: bool,
    },
    /// It was held for long enough: this bin is the last that was held. Follows from the lines before.
    Resumed {
        /// The bin.
        bin: u64,
    },
}

/// A swap, with how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    /// From which bin on, why, and without which channels.
    #[serde(flatten)]
    pub masked: Masked,
    /// When that bin ended, in seconds of the stream.
    pub seconds: f64,
    /// The bin that showed the loss; of a rollback, the last that was seen before it was asked for.
    pub found_bin: u64,
    /// From when that bin was decoded, or a rollback was heard, to when the decoder took over, ms.
    pub ms: f64,
    /// Of that, how long solving took, ms.
    pub solve_ms: f64,
}

/// A log that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLog {
    /// SHA-256 of the weights that it belongs to.
    pub weights_sha256: String,
    /// In the order of their bins.
    pub swaps: Vec<Masked>,
    /// In the order of their bins, each with the first that it counts for.
    pub said: Vec<(u64, Said)>,
}

impl RunLog {
    /// Reads a log back for a stream of so many channels; `place` is what messages call it.
    ///
    /// # Errors
    /// Lines that are none, that are cut off, whose bins don't ascend, or whose channels don't ascend or are not of this
    /// stream; a log of another stream.
    pub fn read(text: &str, place: &str, n_channels: usize) -> Result<Self, Error> {
        let mut log: Option<RunLog> = None;
        let mut last = 0;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |found: String| Error::input(format!("{place}, line {}", at + 1), found);
            let line: LogLine = serde_json::from_str(line).map_err(|error| {
                wrong(error.to_string()).legal("a line as `run --swaps` writes it").hint(
                    "a run that was cut off leaves half a line at most: leave the last one out, and know so",
                )
            })?;
            let bin = match &line {
                LogLine::Start { .. } => 0,
                LogLine::Swap(swap) => swap.masked.bin,
                LogLine::Panic { bin } | LogLine::Hold { bin, .. } | LogLine::Resumed { bin } => *bin,
            };
            if bin < last {
                return Err(wrong(format!("bin {bin} after bin {last}"))
                    .field("bin")
                    .legal("bins that ascend"));
            }
            last = bin;
            let Some(log) = &mut log else {
                log = Some(Self::begin(line, wrong, n_channels)?);
                continue;
            };
            match line {
                LogLine::Start { .. } => return Err(wrong("a second run".into()).legal("the log of one run")),
                LogLine::Swap(Swap { masked, .. }) => {
                    let twice = log.swaps.last().is_some_and(|before| before.bin >= masked.bin);
                    if masked.bin == 0 || twice {
                        let found = format!("bin {}", masked.bin);
                        return Err(wrong(found).field("bin").legal("one swap a bin, after the first bin"));
                    }
                    let ascend = masked.lost.windows(2).all(|two| two[0] < two[1]);
                    if !ascend || masked.lost.last().is_some_and(|&lost| lost >= n_channels) {
                        let legal = format!("channels, ascending: 0 to {}", n_channels.saturating_sub(1));
                        return Err(wrong(format!("{:?}", masked.lost)).field("lost").legal(legal));
                    }
                    log.swaps.push(masked);
                }
                LogLine::Panic { bin } => log.said.push((bin, Said::Panic)),
                LogLine::Hold { bin, is_held } => log.said.push((bin, Said::Hold(is_held))),
                LogLine::Resumed { .. } => {}
            }
        }
        log.ok_or_else(|| {
            Error::input(place, "nothing stands in it").legal("a log as `run --swaps` writes it")
        })
    }

    fn begin(line: LogLine, wrong: impl Fn(String) -> Error, n_channels: usize) -> Result<Self, Error> {
        match line {
            LogLine::Start { format: LOG_FORMAT, n_channels: n, weights_sha256 } if n == n_channels => {
                Ok(RunLog { weights_sha256, swaps: Vec::new(), said: Vec::new() })
            }
            LogLine::Start { format: LOG_FORMAT, n_channels: n, .. } => Err(wrong(format!("{n} channels"))
                .field("n_channels")
                .legal(format!("a run of this stream of {n_channels}"))),
            LogLine::Start { format, .. } => Err(wrong(format!("format {format}"))
                .field("format")
                .legal(format!("{LOG_FORMAT}, which this version writes"))),
            _ => Err(wrong("it doesn't begin with its start".into())
                .legal(r#"{"event":"start",…} as the first line"#)),
        }
    }

    /// Channels have to be solved around: a replay needs the model's statistics.
    pub fn needs_basis(&self) -> bool {
        self.swaps.iter().any(|swap| !swap.lost.is_empty())
    }

    /// Has `pipeline`, in which `decoder` runs, do what was done in the run, each at its bin.
    ///
    /// # Errors
    /// A decoder that can't be solved without the channels of a swap.
    pub fn follow(
        &self,
        pipeline: &mut Pipeline,
        decoder: &Decoder,
        basis: &Basis,
        n_channels: usize,
    ) -> Result<(), Error> {
        for swap in &self.swaps {
            let solved = basis.without(decoder, &swap.lost, n_channels);
            if !solved.is_some_and(|solved| pipeline.take_over_behind(swap.bin - 1, solved)) {
                let found = format!("the decoder can't be solved for the swap at bin {}", swap.bin);
                return Err(Error::model("the model's statistics", found)
                    .legal("the model and statistics of the run"));
            }
        }
        self.said.iter().for_each(|&(bin, said)| pipeline.say_at(bin, said));
        Ok(())
    }
}

/// The layout of a log that this version reads and writes.
pub const LOG_FORMAT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::keeper::MaskReason;

    fn start() -> LogLine {
        LogLine::Start { format: LOG_FORMAT, n_channels: 4, weights_sha256: "ab".into() }
    }

    fn swap(bin: u64, lost: &[usize]) -> LogLine {
        let masked = Masked { bin, reason: MaskReason::Electrodes, lost: lost.to_vec() };
        LogLine::Swap(Swap { masked, seconds: 0.1, found_bin: bin - 1, ms: 21.5, solve_ms: 0.25 })
    }

    fn text(lines: &[LogLine]) -> String {
        lines.iter().map(|line| serde_json::to_string(line).expect("plain values") + "\n").collect()
    }

    #[test]
    fn a_log_reads_back() {
        let (panic, hold) = (LogLine::Panic { bin: 7 }, LogLine::Hold { bin: 9, is_held: true });
        let lines = [start(), swap(7, &[0, 3]), panic, hold, LogLine::Resumed { bin: 30 }, swap(90, &[])];
        let written = text(&lines);
        let of_swap = written.lines().nth(1).expect("six lines");
        let wanted = r#"{"event":"swap","bin":7,"reason":"electrodes","lost":[0,3],"seconds":0.1,"#;
        assert!(of_swap.starts_with(wanted), "{of_swap}");
        let log = RunLog::read(&written, "swaps", 4).expect("as written");
        assert_eq!(log.said, [(7, Said::Panic), (9, Said::Hold(true))]);
        assert_eq!(log.swaps.iter().map(|swap| swap.bin).collect::<Vec<_>>(), [7, 90]);
        assert!(log.needs_basis() && log.weights_sha256 == "ab");
    }

    #[test]
    fn a_damaged_log_says_where() {
        let wrong = [
            (text(&[]), "nothing stands in it"),
            (text(&[swap(7, &[0])]), "line 1"),
            (text(&[LogLine::Start { format: 2, n_channels: 4, weights_sha256: String::new() }]), "format 2"),
            (
                text(&[LogLine::Start { format: 1, n_channels: 5, weights_sha256: String::new() }]),
                "5 channels",
            ),
            (text(&[start(), start()]), "line 2"),
            (text(&[start(), swap(7, &[4])]), "line 2"),
            (text(&[start(), swap(7, &[1, 1])]), "line 2"),
            (text(&[start(), swap(7, &[0]), swap(7, &[1])]), "line 3"),
            (text(&[start(), LogLine::Panic { bin: 7 }, LogLine::Panic { bin: 6 }]), "line 3"),
            (text(&[start()]) + "\n{\"event\":\"swap\",\"bin", "line 3"),
            (text(&[start()]) + "{\"event\":\"dance\",\"bin\":3}", "line 2"),
        ];
        for (text, place) in wrong {
            let error = RunLog::read(&text, "swaps", 4).expect_err("it is wrong").to_string();
            assert!(error.contains(place), "{place}: {error}");
        }
    }
}
