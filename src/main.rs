//! The `efference` program: one file per command in `cli`, all of them thin over the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
