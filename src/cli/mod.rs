//! Commands: arguments in, text for people or JSON for scripts out.

mod bins;
mod calibrate;
mod clock;
mod compare;
mod demo;
mod detect;
mod devices;
mod drill;
mod eval;
mod field;
mod hybrid;
mod inspect;
mod link;
mod live;
mod pack;
mod pair;
mod plot;
mod progress;
mod replay;
mod run;
mod source;
mod spectrum;
mod swaps;
mod table;
mod task;
mod train;
mod unpack;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use efference::{Error, sinks};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    // What is half written goes away; what was there before stays.
    let interrupted = || {
        if live::interrupt() {
            return;
        }
        sinks::remove_pending();
        eprintln!("interrupted: nothing half written is left");
        std::process::exit(EXIT_INTERRUPTED);
    };
    if let Err(error) = ctrlc::set_handler(interrupted) {
        eprintln!("warning: Ctrl-C can't be caught ({error})");
    }
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// As shells count it: 128 + SIGINT.
pub(crate) const EXIT_INTERRUPTED: i32 = 130;

/// Brain signals in, intents out: train a linear decoder on a recording, replay the rest through the very
/// pipeline that runs live, and see how well it decodes. A research tool, not a medical device.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  2    usage: an argument or a setting is wrong
  3    input: a recording or mapping can't be used as it is
  4    model: it is damaged, or doesn't fit the recording
  5    fit: the numbers can't be fitted
  6    output: a result can't be written
  130  interrupted; nothing half written is left

Start here:
  efference demo";

#[derive(Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Task(task::TaskArgs),
    Calibrate(calibrate::CalibrateArgs),
    Inspect(inspect::InspectArgs),
    Train(train::TrainArgs),
    Replay(replay::ReplayArgs),
    Run(live::RunArgs),
    Eval(eval::EvalArgs),
    Drill(drill::DrillArgs),
    Detect(detect::DetectArgs),
    Hybrid(hybrid::HybridArgs),
    Pair(pair::PairArgs),
    Devices(devices::DevicesArgs),
    Link(link::LinkArgs),
    Pack(pack::PackArgs),
    Unpack(unpack::UnpackArgs),
    Completions(CompletionsArgs),
}

impl Command {
    fn run(&self) -> Result<(), Error> {
        match self {
            Command::Demo(args) => demo::run(args),
            Command::Task(args) => task::run(args),
            Command::Calibrate(args) => calibrate::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Train(args) => train::run(args),
            Command::Replay(args) => replay::run(args),
            Command::Run(args) => live::run(args),
            Command::Eval(args) => eval::run(args),
            Command::Drill(args) => drill::run(args),
            Command::Detect(args) => detect::run(args),
            Command::Hybrid(args) => hybrid::run(args),
            Command::Pair(args) => pair::run(args),
            Command::Devices(args) => devices::run(args),
            Command::Link(args) => link::run(args),
            Command::Pack(args) => pack::run(args),
            Command::Unpack(args) => unpack::run(args),
            Command::Completions(args) => {
                let mut script = Vec::new();
                clap_complete::generate(args.shell, &mut Cli::command(), "efference", &mut script);
                say(String::from_utf8_lossy(&script))
            }
        }
    }
}

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  efference completions bash > ~/.local/share/bash-completion/completions/efference")]
struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

/// Writes a line (or several) to standard output. A reader who has seen enough is no error.
fn say(text: impl std::fmt::Display) -> Result<(), Error> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::output("standard output", format!("it can't be written ({error})")))
        }
        _ => Ok(()),
    }
}

/// Writes `value` to standard output as JSON on one line.
fn say_json(value: &impl serde::Serialize) -> Result<(), Error> {
    say(serde_json::to_string(value).expect("results can be written"))
}
