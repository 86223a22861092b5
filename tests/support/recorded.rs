//! The recordings that stand beside the project, where they are present.

use std::path::Path;

/// The path of a recording below `EFFERENCE_DATA`, or else below the folder where this project's people keep
/// theirs; says so where there is none, and the caller skips.
pub(crate) fn recorded(name: &str) -> Option<String> {
    let folder = std::env::var("EFFERENCE_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_string());
    let path = Path::new(&folder).join(name);
    if path.exists() {
        return Some(path.display().to_string());
    }
    println!("skipped: {} is absent; EFFERENCE_DATA names the folder of recordings", path.display());
    None
}
