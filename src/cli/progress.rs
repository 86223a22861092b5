//! Progress bars and text that is redrawn in place, on a terminal; none in a pipe.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar of `length` steps, labelled; gone when it is dropped or finished.
pub(crate) fn bar(label: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {percent:>3} % {eta:>4}")
        .expect("a legal template");
    ProgressBar::new(length).with_style(style).with_message(label.to_string())
}

/// A spinner for work of unknown length.
pub(crate) fn spinner(label: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(label.to_string());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Lines that are redrawn in place whenever its message is set.
pub(crate) fn text() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").expect("a legal template");
    ProgressBar::new_spinner().with_style(style)
}
