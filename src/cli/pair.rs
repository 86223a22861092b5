//! `efference pair`: a new key for an implant and its host.

use crate::cli::say;
use efference::Error;
use efference::sources::link::PairingKey;
use std::path::PathBuf;

/// Make a pairing key, which an implant and its host share.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference pair implant.key
  firmware-sim serve neuralink-n1 --listen 'udp://127.0.0.1:47500?key=implant.key'
  efference run --source 'udp://127.0.0.1:47500?key=implant.key' --seconds 10
  efference run --source 'ble://N1-0042?key=implant.key' --seconds 10

Both ends need the same file. Whoever has it can read and command the implant: carry it by hand, not by mail.
Over Bluetooth it is what counts: bonding of the two adapters is welcome and not relied on.
The fingerprint tells keys apart and gives nothing away.")]
pub(crate) struct PairArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the fingerprint of a key that is there
    #[arg(long)]
    show: bool,
}

pub(crate) fn run(args: &PairArgs) -> Result<(), Error> {
    let key = match args.show {
        true => PairingKey::load(&args.file)?,
        false => {
            let key = PairingKey::new()?;
            key.save(&args.file)?;
            key
        }
    };
    say(format!("{}: pairing key {}", args.file.display(), key.fingerprint()))
}
