//! `efference pack`: a recording as an archive, lossless.

use crate::cli::unpack::{read, refuse_to_replace};
use crate::cli::{say, say_json};
use efference::Error;
use efference::recording::archive::{self, Packed};
use efference::sinks::PendingFile;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Pack a recording into an archive, from which `unpack` restores it byte for byte.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  efference pack neuralink-n1/0052503c-2849-4f41-ab51-db382103690c.wav -o n1.efa

Packed are WAV files of 16-bit integers, and flat int16 with its sidecar (which stays as it is: keep it). Each channel is
predicted and coded by itself. The archive is read again before it is put in its place.

The last figure to compare with is the entropy of the differences from one code to the next: no coder that sends these
with one fixed table a channel takes less.")]
pub(crate) struct PackArgs {
    /// The recording
    recording: PathBuf,
    /// The archive to write; nothing may stand there
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &PackArgs) -> Result<(), Error> {
    refuse_to_replace(&args.out)?;
    let mut file = PendingFile::create(&args.out)?;
    let packed = archive::pack(&args.recording)?;
    check(&packed, &args.recording)?;
    file.write(&packed.bytes)?;
    file.finish()?;
    match args.json {
        true => say_json(&json!({
            "recording": args.recording.display().to_string(),
            "archive": args.out.display().to_string(),
            "bytes_before": packed.n_bytes_before,
            "bytes": packed.bytes.len(),
            "ratio": packed.ratio(),
            "difference_entropy_ratio": packed.difference_entropy_ratio(),
            "n_channels": packed.n_channels,
            "n_frames": packed.n_frames,
            "sample_rate_hz": packed.sample_rate_hz,
            "code_bits": packed.code_bits,
            "n1_lattice": packed.is_n1,
        })),
        false => say(text(args, &packed)),
    }
}

/// What can't be restored is not written.
fn check(packed: &Packed, recording: &Path) -> Result<(), Error> {
    let place = recording.display().to_string();
    match archive::unpack(&packed.bytes, &place)?.bytes == read(recording)? {
        true => Ok(()),
        false => {
            Err(Error::input(place, "it changed while it was packed").hint("again, when it is complete"))
        }
    }
}

fn text(args: &PackArgs, packed: &Packed) -> String {
    let lattice = if packed.is_n1 { ", N1 lattice" } else { "" };
    format!(
        "packed {}: {} channels x {} frames at {} Hz, codes of {} bits{lattice}\n\
         {} bytes -> {} bytes, ratio {:.4}; entropy of differences {:.4} bits a sample, ratio {:.4}\n\
         archive: {}",
        args.recording.display(),
        packed.n_channels,
        packed.n_frames,
        packed.sample_rate_hz,
        packed.code_bits,
        packed.n_bytes_before,
        packed.bytes.len(),
        packed.ratio(),
        packed.difference_entropy_bits,
        packed.difference_entropy_ratio(),
        args.out.display(),
    )
}
