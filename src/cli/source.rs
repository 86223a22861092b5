//! What `RECORDING` and `--mapping` on the command line mean.

use efference::Error;
use efference::recording::{self, Recording};
use efference::sources::link::LinkAddress;
use std::path::Path;

/// Arguments that name a recording.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SourceArgs {
    /// A file, a folder of WAV files, an archive (.efa), or a simulator's address such as `sim:neuralink-n1,seconds=60`
    #[arg(value_name = "RECORDING")]
    pub(crate) recording: String,
    /// What the file's variables mean: a TOML file, or the name of a shipped one (m1-reaching, reach-8dir)
    #[arg(long, value_name = "MAP.toml")]
    pub(crate) mapping: Option<String>,
}

impl SourceArgs {
    /// Opens it.
    ///
    /// # Errors
    /// As [`recording::open`].
    pub(crate) fn open(&self) -> Result<Recording, Error> {
        recording::open(&self.recording, self.mapping.as_deref())
    }

    /// Says on standard error which mapping was taken where none was given.
    pub(crate) fn say_mapping(&self, recording: &Recording) {
        if let (None, Some(mapping)) = (&self.mapping, &recording.about.mapping) {
            eprintln!("note: read by the mapping `{mapping}`; --mapping names another");
        }
    }

    /// The recording's name without the folders of this machine.
    pub(crate) fn name(&self) -> String {
        if self.recording.starts_with("sim:") {
            return self.recording.clone();
        }
        if LinkAddress::is_link(&self.recording) {
            // The key's place is nobody's business.
            return self.recording.split('?').next().unwrap_or_default().to_string();
        }
        let name = Path::new(&self.recording).file_name();
        name.map_or_else(|| self.recording.clone(), |name| name.to_string_lossy().into_owned())
    }
}
