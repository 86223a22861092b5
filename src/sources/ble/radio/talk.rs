//! A connection as long as it carries: notifications to whoever decodes, packets to the implant.
//!
//! In: an [`Open`] connection. Out: why it is [`Over`]. Guarantees: notifications are taken as they come, whatever a write
//! does; one packet is written at a time, with response; what was handed over before the link was closed still goes out.

use super::open::Open;
use super::shared::Sink;
use super::watch::{SILENT, Verdict, Watch};
use btleplug::api::{Peripheral as _, WriteType};
use btleplug::platform::Peripheral;
use futures_util::stream::StreamExt;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The link was closed.
    Closed,
    /// It broke; something had come over it or not.
    Lost { why: String, was_heard: bool },
}

/// Carries packets until the connection is over. `gone` ends when the system says that it is.
pub(super) async fn talk(
    implant: &Peripheral,
    open: Open,
    mut gone: Pin<&mut impl Future<Output = String>>,
    upward: &mut mpsc::Receiver<Vec<u8>>,
    sink: &Sink,
) -> Over {
    let Open { mut notifications, mut socket, control, .. } = open;
    let mut watch = Watch::new(Instant::now());
    let mut bursts = Bursts::default();
    let mut look_at = Instant::now() + SILENT;
    let (mut n_failed, mut writing) = (0, None);
    let why = loop {
        tokio::select! {
            why = &mut gone => break why,
            value = notifications.next() => {
                let Some(value) = value else { break "its notifications have ended".to_string() };
                let now = Instant::now();
                watch.heard(now);
                bursts.heard(now);
                // An indication of nothing asks for its confirmation alone, which the system has sent.
                if !(value.value.is_empty() && value.uuid == control.uuid) {
                    sink.push(value.value);
                }
            }
            goes_on = async { match &mut socket {
                Some(socket) => socket.take(|packet| sink.push(packet.to_vec())).await,
                None => pending().await,
            } } => {
                if !goes_on {
                    // The socket ends with the connection, and the system says in a moment why that did.
                    let why = timeout(MOMENT, &mut gone).await;
                    break why.unwrap_or_else(|_| "its notifications have ended".to_string());
                }
                let now = Instant::now();
                watch.heard(now);
                bursts.heard(now);
            }
            packet = upward.recv(), if writing.is_none() => {
                let Some(packet) = packet else { return Over::Closed };
                watch.asks(Instant::now());
                let control = &control;
                writing = Some(Box::pin(async move {
                    implant.write(control, &packet, WriteType::WithResponse).await
                }));
            }
            // Not polled where nothing is being written.
            result = async { match &mut writing { Some(write) => write.await, None => Ok(()) } }, if writing.is_some() => {
                writing = None;
                match result {
                    Ok(()) => {
                        watch.answered(Instant::now());
                        sink.count(|counts| &counts.written);
                        n_failed = 0;
                    }
                    Err(error) => {
                        sink.count(|counts| &counts.unwritten);
                        n_failed += 1;
                        if n_failed == FAILED_MAX {
                            break format!("nothing can be written ({error})");
                        }
                    }
                }
            }
            () = sleep_until(look_at) => {
                let now = Instant::now();
                look_at = match watch.verdict(now) {
                    Verdict::Wait(until) => until,
                    Verdict::Stalled(until) => {
                        sink.count(|counts| &counts.stalls);
                        until
                    }
                    Verdict::Lost(why) => {
                        if watch.was_heard() && !watch.is_stalled() {
                            sink.count(|counts| &counts.stalls);
                        }
                        break why.to_string();
                    }
                };
                sink.bursts(bursts.usual_ms());
            }
        }
    };
    Over::Lost { why, was_heard: watch.was_heard() }
}

/// Times between bursts of notifications: those of one connection event come together.
struct Bursts {
    last: Option<Instant>,
    /// How many were so many times 1.25 ms long.
    counts: [u32; BURST_UNITS_MAX],
    n: u32,
}

impl Default for Bursts {
    fn default() -> Self {
        Bursts { last: None, counts: [0; BURST_UNITS_MAX], n: 0 }
    }
}

impl Bursts {
    fn heard(&mut self, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        let units = (now - last).as_micros() / BURST_UNIT_US;
        // Shorter ones are within a burst, longer ones a pause.
        let Some(count) =
            usize::try_from(units).ok().filter(|n| *n >= 2).and_then(|n| self.counts.get_mut(n))
        else {
            return;
        };
        *count += 1;
        self.n += 1;
        if self.n == BURSTS_MAX {
            // What was long ago counts less and less.
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.n = self.counts.iter().sum();
        }
    }

    /// The time that a tenth of them are shorter than, ms.
    fn usual_ms(&self) -> Option<f64> {
        let mut n_shorter = 0;
        let at = self.counts.iter().position(|count| {
            n_shorter += count;
            n_shorter * 10 > self.n
        });
        let at = at.filter(|_| self.n >= BURSTS_MIN)?;
        Some((at as f64 + 0.5) * BURST_UNIT_US as f64 / 1e3)
    }
}

/// How soon the system says that a connection is gone.
const MOMENT: Duration = Duration::from_millis(50);
/// Writes in a row that fail.
const FAILED_MAX: u32 = 3;
/// Connection intervals are multiples of this.
const BURST_UNIT_US: u128 = 1_250;
const BURST_UNITS_MAX: usize = 80;
const BURSTS_MIN: u32 = 50;
const BURSTS_MAX: u32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_show_the_interval() {
        let (mut bursts, start) = (Bursts::default(), Instant::now());
        assert_eq!(bursts.usual_ms(), None);
        // Three notifications each 15 ms, of which every fifth event has none; a pause now and then.
        for n in (0..10_000_u64).filter(|n| n % 5 != 4) {
            for within in 0..3 {
                let at_us = n * 15_000 + n / 1_000 * 300_000 + within * 200;
                bursts.heard(start + Duration::from_micros(at_us));
            }
        }
        let found = bursts.usual_ms().expect("enough");
        assert!((13.75..=16.25).contains(&found), "{found}");
    }
}
