//! `efference unpack`: the recording that was packed, byte for byte.

use crate::cli::{say, say_json};
use efference::Error;
use efference::recording::archive;
use efference::sinks::PendingFile;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Restore the recording that an archive holds.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  efference unpack n1.efa -o n1.wav

A damaged archive is refused. With --salvage what is whole is restored, and the frames of damaged parts (10 s each) are
written as zeros and listed.")]
pub(crate) struct UnpackArgs {
    /// The archive
    archive: PathBuf,
    /// The recording to write; nothing may stand there
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Restore what is whole of a damaged archive
    #[arg(long)]
    salvage: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &UnpackArgs) -> Result<(), Error> {
    refuse_to_replace(&args.out)?;
    let mut file = PendingFile::create(&args.out)?;
    let (bytes, place) = (read(&args.archive)?, args.archive.display().to_string());
    let restored = match args.salvage {
        true => archive::salvage(&bytes, &place),
        false => archive::unpack(&bytes, &place),
    }?;
    file.write(&restored.bytes)?;
    file.finish()?;
    let lost: Vec<String> =
        restored.lost_frames.iter().map(|frames| format!("{}..{}", frames.start, frames.end)).collect();
    if args.json {
        return say_json(&json!({
            "archive": place,
            "recording": args.out.display().to_string(),
            "bytes": restored.bytes.len(),
            "lost_frames": lost,
        }));
    }
    let lost = if lost.is_empty() {
        String::new()
    } else {
        format!("\nLOST, zeros there: frames {}", lost.join(", "))
    };
    say(format!("unpacked {place}: {} bytes\nrecording: {}{lost}", restored.bytes.len(), args.out.display()))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::unreadable(path, &error))
}

/// Recordings and archives are never written over.
pub(crate) fn refuse_to_replace(place: &Path) -> Result<(), Error> {
    match place.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::output(place.display().to_string(), "something stands there already")
            .legal("a new path")
            .hint("another name, or remove it first")),
    }
}
