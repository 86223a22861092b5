//! What the user sees: a field on the terminal, and a copy for another program.

use crate::cli::field::Field;
use crate::cli::progress;
use efference::Error;
use efference::closed_loop::{Doing, View};
use efference::sources::simulator::WORKSPACE_M;
use indicatif::ProgressBar;
use std::net::{SocketAddr, UdpSocket};

/// Redrawn in place on the terminal; gone when finished.
pub(super) struct Screen {
    text: ProgressBar,
    copy: Option<(UdpSocket, SocketAddr)>,
    n_shown: u32,
}

impl Screen {
    /// With a copy of it for whoever listens there.
    ///
    /// # Errors
    /// An address of another computer: what is on the screen goes in the clear.
    pub(super) fn new(copy: Option<SocketAddr>) -> Result<Self, Error> {
        let legal = "a port of this computer: 127.0.0.1:PORT or [::1]:PORT";
        let copy = match copy {
            None => None,
            Some(to) if !to.ip().is_loopback() => {
                return Err(Error::usage("--screen", format!("{to} is another computer")).legal(legal));
            }
            Some(to) => {
                let unbound = |error: std::io::Error| {
                    Error::usage("--screen", format!("{to} can't be sent to ({error})")).legal(legal)
                };
                let socket = UdpSocket::bind((to.ip(), 0)).map_err(unbound)?;
                socket.set_nonblocking(true).map_err(unbound)?;
                Some((socket, to))
            }
        };
        Ok(Screen { text: progress::text(), copy, n_shown: 0 })
    }

    /// Shows what is on it until the next bin.
    pub(super) fn show(&mut self, view: &View) {
        if let Some((socket, to)) = &self.copy {
            let line = serde_json::to_vec(view).expect("plain values");
            // Whether anybody looks at the copy is their business.
            let _sent = socket.send_to(&line, to);
        }
        self.n_shown = self.n_shown.wrapping_add(1);
        if self.text.is_hidden() || !self.n_shown.is_multiple_of(BINS_A_REDRAW) {
            return;
        }
        let target = view.target.map(|target| (target.center, target.half_width));
        let field = Field { edge: WORKSPACE_M * MARGIN, cursor: view.cursor, target };
        self.text.set_message(field.beside(&table(view)));
    }

    /// Draws it anew, after something was typed into it.
    pub(super) fn redraw(&self) {
        if !self.text.is_hidden() {
            self.text.suspend(|| eprint!("\x1b[2J\x1b[H"));
        }
    }

    /// Clears the terminal of it.
    pub(super) fn finish(&self) {
        self.text.finish_and_clear();
    }
}

fn table(view: &View) -> Vec<String> {
    let (what, how) = match view.doing {
        _ if view.asks_for_click => ("CLICK NOW", "as if you pressed a button"),
        Doing::Observing => ("go along", "move with the cursor, in mind"),
        Doing::Assisted => ("your turn", "move the cursor to the target"),
        Doing::Fitting => ("a moment", "the decoder is fitted"),
        Doing::Paused => ("a break", "`resume` goes on"),
        Doing::Waiting => ("it failed", "`retry`, or `cancel`"),
        Doing::Noise | Doing::Using => ("", ""),
    };
    let mut lines = vec![
        String::new(),
        what.to_string(),
        how.to_string(),
        String::new(),
        format!("{:14}{:>8.0} s", "left", view.seconds_left),
        format!("{:14}{:>8}", "targets", view.n_targets),
    ];
    if let Some(problem) = &view.problem {
        lines.push(String::new());
        lines.extend(problem.lines().map(str::to_string));
    }
    lines
}

/// Ten times a second of 20 ms.
const BINS_A_REDRAW: u32 = 5;
/// The cursor may leave the workspace of the targets so far.
const MARGIN: f64 = 1.3;
