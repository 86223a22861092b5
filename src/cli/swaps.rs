//! Electrodes that are lost while a model runs: what `run` and `replay` need for it, and what is said of it at the end.

use efference::Error;
use efference::live::{Keeping, LOG_FORMAT, LogLine, Report, RunLog, Swap};
use efference::model::Model;
use efference::pipeline::Pipeline;
use efference::train::Basis;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

/// What `run` does about its decoder.
#[derive(clap::Args)]
pub(crate) struct KeepArgs {
    /// Find electrodes that die, run wild or come back, and go on with the decoder solved again for those that are left; the
    /// model needs its statistics (`train --keep-statistics`)
    // Not by itself: what is decoded then depends on when a solution was ready, which a replay knows from --swaps alone.
    #[arg(long, requires = "model")]
    follow_electrodes: bool,
    /// Write swaps of the decoder, panics and resumes here as they happen, a line of JSON each; `replay --swaps` does the same
    /// again
    #[arg(long, value_name = "FILE.jsonl", requires = "model")]
    swaps: Option<PathBuf>,
}

impl KeepArgs {
    /// Reads what the model in `folder` is solved again from, where that is asked for.
    pub(crate) fn basis(&self, model: Option<&Model>, folder: Option<&Path>) -> Result<Option<Basis>, Error> {
        let (Some(model), Some(folder), true) = (model, folder, self.follow_electrodes) else {
            return Ok(None);
        };
        let kind = model.about.config.decoder.kind;
        if !model.classes().is_empty() {
            let found = format!("`{}` chooses among classes and can't be solved again", kind.name());
            return Err(Error::usage("--follow-electrodes", found)
                .legal(format!("a model of movement: {}", efference::train::OF_MOVEMENT))
                .hint("run it without --follow-electrodes"));
        }
        Model::load_basis(folder).map(Some)
    }

    /// Refuses a log where something else is written.
    pub(crate) fn check_place(&self, others: [&Option<PathBuf>; 2]) -> Result<(), Error> {
        match &self.swaps {
            Some(place) if others.into_iter().flatten().any(|other| other == place) => {
                Err(Error::usage(place.display().to_string(), "it is named twice")
                    .field("--swaps")
                    .legal("different files for the log, the intents and the picture"))
            }
            _ => Ok(()),
        }
    }

    /// What the run is told, with the log begun.
    pub(crate) fn keeping<'a>(
        &self,
        basis: Option<&'a Basis>,
        folder: Option<&Path>,
        n_channels: usize,
        rollbacks: &'a AtomicU32,
    ) -> Result<Option<Keeping<'a>>, Error> {
        let Some(folder) = folder else { return Ok(None) };
        let log = match &self.swaps {
            None => None,
            Some(place) => {
                let mut log = Log::create(place)?;
                let weights_sha256 = Model::weights_sha256(folder)?;
                log.write(&LogLine::Start { format: LOG_FORMAT, n_channels, weights_sha256 })?;
                let write: efference::live::WriteLine<'a> = Box::new(move |line| log.write(line));
                Some(write)
            }
        };
        Ok(Some(Keeping { basis, rollbacks, log }))
    }
}

/// A file that has each line as soon as it is written: whatever ends the program, the lines before it stay.
struct Log {
    place: PathBuf,
    file: File,
}

impl Log {
    fn create(place: &Path) -> Result<Self, Error> {
        let file = File::create(place).map_err(|error| Error::unwritable(place, &error))?;
        Ok(Log { place: place.to_path_buf(), file })
    }

    fn write(&mut self, line: &LogLine) -> Result<(), Error> {
        let line = serde_json::to_string(line).expect("plain values") + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| Error::unwritable(&self.place, &error))
    }
}

/// Has a replay do what was done in the run whose log stands at `place`.
pub(crate) fn follow(
    place: &Path,
    folder: &Path,
    model: &Model,
    pipeline: &mut Pipeline,
) -> Result<(), Error> {
    let name = place.display().to_string();
    let text = std::fs::read_to_string(place).map_err(|error| Error::unreadable(place, &error))?;
    let n_channels = model.about.stream.n_channels;
    let log = RunLog::read(&text, &name, n_channels)?;
    if log.weights_sha256 != Model::weights_sha256(folder)? {
        return Err(Error::input(name, "it is of a run of another model")
            .field("weights_sha256")
            .legal("the log of a run of this --model"));
    }
    let basis = if log.needs_basis() { Model::load_basis(folder)? } else { Basis::default() };
    log.follow(pipeline, &model.decoder, &basis, n_channels)
}

/// What a report says of swaps and panics.
pub(crate) fn text(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(lost) = report.lost_channels {
        let n = report.swaps.len();
        lines.push(format!("decoder solved again {n} times; it does without {lost} channels at the end"));
        lines.extend(report.swaps.iter().take(SWAPS_SHOWN).map(of_swap));
        if n > SWAPS_SHOWN {
            lines.push(format!("  and {} more (--json has them)", n - SWAPS_SHOWN));
        }
    }
    if report.panics > 0 {
        lines.push(format!("panics {}, resumed {}", report.panics, report.resumes));
    }
    if report.refused_rollbacks > 0 {
        let n = report.refused_rollbacks;
        lines.push(format!("rollbacks without a decoder to go back to: {n}"));
    }
    lines
}

fn of_swap(swap: &Swap) -> String {
    let reason = serde_json::to_value(swap.masked.reason).expect("a word");
    format!(
        "  {:.1} s: from bin {} on without {} channels ({}), {:.1} ms after bin {}, {:.1} ms of them solving",
        swap.seconds,
        swap.masked.bin,
        swap.masked.lost.len(),
        reason.as_str().unwrap_or_default(),
        swap.ms,
        swap.found_bin,
        swap.solve_ms,
    )
}

/// Swaps that the text shows.
const SWAPS_SHOWN: usize = 12;
