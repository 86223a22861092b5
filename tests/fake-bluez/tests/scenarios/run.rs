//! Runs scenarios at once, each in a child process with a bus of its own.
//!
//! In: names and functions. Out: a line for each, what failed ones printed, an exit code.

use fake_bluez::Bus;
use std::process::{Child, Command, Stdio, exit};
use std::time::Instant;

/// A name, and what to do.
pub(crate) type Scenario = (&'static str, fn());

/// What the test program does.
#[expect(clippy::disallowed_methods, reason = "a person wants to know what takes long")]
pub(crate) fn main(usual: &[Scenario], long: &[Scenario]) {
    if let Ok(name) = std::env::var(NAME) {
        let (_, scenario) =
            usual.iter().chain(long).find(|(own, _)| *own == name).expect("a scenario's name");
        return scenario();
    }
    // Options of the usual harness mean nothing here.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_named = |name: &str| wanted.iter().any(|part| name.contains(part.as_str()));
    let usual = usual.iter().filter(|(name, _)| wanted.is_empty() || is_named(name));
    let chosen = usual.chain(long.iter().filter(|(name, _)| is_named(name)));
    let begun = Instant::now();
    let mut running: Vec<(&str, Bus, Child)> = Vec::new();
    for (name, _) in chosen {
        let Some(bus) = Bus::start().expect("a bus") else {
            println!("skipped: this machine has no dbus-daemon; on Debian: sudo apt-get install dbus-daemon");
            return;
        };
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.env(NAME, name).env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
        let child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        running.push((name, bus, child.expect("this program starts")));
    }
    let n = running.len();
    // Everyone's output is read at once: a full pipe would hold a child up.
    let done: Vec<_> = std::thread::scope(|scope| {
        let waiting: Vec<_> = running
            .into_iter()
            .map(|(name, bus, child)| {
                scope.spawn(move || {
                    let output = child.wait_with_output().expect("a child ends");
                    drop(bus);
                    (name, output, begun.elapsed())
                })
            })
            .collect();
        waiting.into_iter().map(|waiting| waiting.join().expect("no panic")).collect()
    });
    let mut n_failed = 0;
    for (name, output, took) in &done {
        let is_good = output.status.success();
        println!("test {name} ... {} ({:.2} s)", if is_good { "ok" } else { "FAILED" }, took.as_secs_f64());
        if !is_good || !wanted.is_empty() {
            let text = [&output.stdout[..], &output.stderr[..]].concat();
            println!("{}", String::from_utf8_lossy(&text));
        }
        n_failed += usize::from(!is_good);
    }
    println!("{} of {n} scenarios passed in {:.2} s", n - n_failed, begun.elapsed().as_secs_f64());
    exit(i32::from(n_failed > 0));
}

/// Tells a child which scenario it is.
const NAME: &str = "FAKE_BLUEZ_SCENARIO";
