//! A simulated user who watches a screen elsewhere, as `efference calibrate --screen` sends it, and intends what it shows.
//!
//! In: views of that screen over UDP, of this computer alone. Out: what the user intends from now on. The one part of a
//! closed loop through a link that isn't in the implant; synthetic.

use efference::Error;
use efference::closed_loop::{Doing, View};
use efference::tasks::user::{User, UserSettings};
use std::net::{SocketAddr, UdpSocket};

/// A user with eyes on a port.
pub struct Watcher {
    socket: UdpSocket,
    settings: UserSettings,
    seed: u64,
    user: Option<User>,
    /// Milliseconds since anything was seen.
    unseen_ms: u32,
}

/// What is intended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Intention {
    /// m/s.
    pub velocity: [f64; 2],
    /// To press a button.
    pub click: bool,
}

impl Watcher {
    /// Looks at what comes to `at`.
    ///
    /// # Errors
    /// Another computer's address; a port that is taken.
    pub fn open(at: SocketAddr, settings: UserSettings, seed: u64) -> Result<Self, Error> {
        let legal = "a free port of this computer: 127.0.0.1:PORT or [::1]:PORT";
        if !at.ip().is_loopback() {
            return Err(Error::usage("--watch", format!("{at} is another computer's")).legal(legal));
        }
        let taken = |error| Error::usage("--watch", format!("{at}: {error}")).legal(legal);
        let socket = UdpSocket::bind(at).map_err(taken)?;
        socket.set_nonblocking(true).map_err(taken)?;
        Ok(Watcher { socket, settings, seed, user: None, unseen_ms: 0 })
    }

    /// Where it looks; `None` of a socket that is gone.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Looks for what has come in the last `ms`; what is intended from now on where anything has.
    pub fn look(&mut self, ms: u32) -> Option<Intention> {
        let mut buffer = [0; VIEW_BYTES_MAX];
        let mut intention = None;
        while let Ok(n) = self.socket.recv(&mut buffer) {
            // What is no view is somebody else's.
            if let Ok(view) = serde_json::from_slice::<View>(&buffer[..n]) {
                intention = Some(self.see(&view));
            }
        }
        self.unseen_ms = if intention.is_some() { 0 } else { self.unseen_ms.saturating_add(ms) };
        match intention {
            // Who sees nothing any more wants nothing.
            None if self.unseen_ms >= REST_AFTER_MS => Some(Intention::default()),
            found => found,
        }
    }

    fn see(&mut self, view: &View) -> Intention {
        let is_legal = (STEP_SECONDS_MIN..=1.0).contains(&view.step_seconds);
        let step_seconds = if is_legal { view.step_seconds } else { STEP_SECONDS_MIN };
        let new = || User::new(self.settings.clone(), step_seconds, self.seed);
        let user = self.user.get_or_insert_with(new);
        let velocity = match view.doing {
            Doing::Observing => user.go_along(view.velocity),
            Doing::Assisted | Doing::Using => user.look(view.cursor, view.target),
            _ => user.go_along([0.0; 2]),
        };
        Intention { velocity, click: view.asks_for_click }
    }
}

const VIEW_BYTES_MAX: usize = 2_048;
const STEP_SECONDS_MIN: f64 = 0.001;
const REST_AFTER_MS: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_along_with_what_it_sees_and_rests_when_it_sees_nothing() {
        assert!(
            Watcher::open("192.0.2.1:4000".parse().expect("an address"), UserSettings::expert(), 1).is_err()
        );
        let mut watcher =
            Watcher::open("127.0.0.1:0".parse().expect("an address"), UserSettings::expert(), 1)
                .expect("free");
        let at = watcher.address().expect("bound");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("free");
        assert_eq!(watcher.look(1), None);
        sender.send_to(b"{}", at).expect("sent");
        let view = View {
            doing: Doing::Observing,
            seconds_left: 1.0,
            cursor: [0.0; 2],
            velocity: [0.2, 0.0],
            target: None,
            asks_for_click: true,
            n_targets: 0,
            problem: None,
            step_seconds: 0.02,
        };
        let mut last = Intention::default();
        for _ in 0..100 {
            sender.send_to(&serde_json::to_vec(&view).expect("plain values"), at).expect("sent");
            // Loopback delivers before it returns.
            last = watcher.look(20).unwrap_or(last);
        }
        assert!(last.click && last.velocity[0] > 0.1 && last.velocity[1].abs() < 0.1, "{last:?}");
        assert_eq!(watcher.look(999), None);
        assert_eq!(watcher.look(1), Some(Intention::default()));
    }
}
