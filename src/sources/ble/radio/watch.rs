//! Whether a connection that the system believes in still carries anything.
//!
//! In: when a notification came, when a packet went out and was answered. Out: a [`Verdict`]. Guarantees: silence that
//! somebody asked into is noticed within [`SILENT`]; where the air itself is dead, the radio has until [`DEAD`] to come
//! back, since connecting anew takes it longer. Reads no clock.
//!
//! A write that is answered shows that the radio carries, so that silence then means that the notifications are lost, which
//! only a new connection cures. A device that was never heard may have another key, and is given longer.

use std::time::Duration;
use tokio::time::Instant;

/// The watch over one connection.
pub(super) struct Watch {
    heard_at: Instant,
    was_heard: bool,
    /// The last write that was begun, and the last that was answered.
    asked_at: Option<Instant>,
    answered_at: Option<Instant>,
    is_stalled: bool,
}

/// What to make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Wait(Instant),
    /// It is silent now, and was not when last asked; look again then.
    Stalled(Instant),
    /// Connect anew.
    Lost(&'static str),
}

impl Watch {
    /// Over a connection that began at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Watch { heard_at: now, was_heard: false, asked_at: None, answered_at: None, is_stalled: false }
    }

    /// A notification came.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard_at, self.was_heard, self.is_stalled) = (now, true, false);
    }

    /// Something has come over this connection.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard
    }

    /// A packet goes out.
    pub(super) fn asks(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// A packet that went out was answered by the implant's radio.
    pub(super) fn answered(&mut self, now: Instant) {
        self.answered_at = Some(now);
    }

    /// How it stands.
    pub(super) fn verdict(&mut self, now: Instant) -> Verdict {
        let silence = now - self.heard_at;
        // Who asks nothing is told nothing.
        if self.asked_at.is_none_or(|at| at < self.heard_at) {
            return Verdict::Wait(now + SILENT);
        }
        if !self.was_heard {
            return match silence >= UNHEARD {
                true => Verdict::Lost("it takes packets and answers none: another key?"),
                false => Verdict::Wait(self.heard_at + UNHEARD),
            };
        }
        if silence < SILENT {
            return Verdict::Wait(self.heard_at + SILENT);
        }
        // What was on its way when the last notification came proves nothing.
        if self.answered_at.is_some_and(|at| at >= self.heard_at + FRESH) {
            return Verdict::Lost("its notifications have stopped");
        }
        if silence >= DEAD {
            return Verdict::Lost("it can't be heard any more");
        }
        match std::mem::replace(&mut self.is_stalled, true) {
            false => Verdict::Stalled(now + AGAIN),
            true => Verdict::Wait(now + AGAIN),
        }
    }

    /// The silence of this moment was told of.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled
    }
}

/// Silence of a connection that was heard before.
pub(super) const SILENT: Duration = Duration::from_millis(500);
/// Silence of one that was never heard.
const UNHEARD: Duration = Duration::from_secs(3);
/// How long the air may be dead.
const DEAD: Duration = Duration::from_secs(2);
/// A write answered so long after the last notification shows that there is air.
const FRESH: Duration = Duration::from_millis(150);
const AGAIN: Duration = Duration::from_millis(50);
const _: () = assert!(FRESH.as_millis() < SILENT.as_millis() && SILENT.as_millis() <= 500);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn silence_after_an_answered_question_is_noticed_within_half_a_second() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        watch.heard(start);
        assert_eq!(watch.verdict(start + ms(5_000)), Verdict::Wait(start + ms(5_500)), "nobody asked");
        watch.asks(start + ms(200));
        watch.answered(start + ms(220));
        assert_eq!(watch.verdict(start + ms(220)), Verdict::Wait(start + SILENT));
        assert!(matches!(watch.verdict(start + SILENT), Verdict::Lost(why) if why.contains("notifications")));
    }

    #[test]
    fn dead_air_has_time_to_come_back() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        watch.heard(start);
        watch.asks(start + ms(10));
        watch.answered(start + ms(20));
        watch.asks(start + ms(210));
        assert!(matches!(watch.verdict(start + SILENT), Verdict::Stalled(_)));
        assert!(
            watch.is_stalled() && matches!(watch.verdict(start + ms(600)), Verdict::Wait(_)),
            "told once"
        );
        watch.heard(start + ms(900));
        assert!(!watch.is_stalled() && watch.was_heard());
        watch.asks(start + ms(1_200));
        assert!(matches!(watch.verdict(start + ms(1_400)), Verdict::Stalled(_)));
        assert!(matches!(watch.verdict(start + ms(900) + DEAD), Verdict::Lost(_)));
    }

    #[test]
    fn who_was_never_heard_is_given_longer() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        watch.asks(start + ms(1));
        watch.answered(start + ms(400));
        assert_eq!(watch.verdict(start + ms(600)), Verdict::Wait(start + UNHEARD));
        assert!(matches!(watch.verdict(start + UNHEARD), Verdict::Lost(why) if why.contains("key")));
    }
}
