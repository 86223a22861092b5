//! What happens on a link, kept without taking memory and put into words at the end.

use crate::link::{Cause, Ending, FormatChange};
use crate::wire::Ack;
use std::fmt;

/// Something that a person wants to hear of.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// In somebody else's words; the only one that takes memory, for what happens at the start and when a link breaks.
    Said(String),
    /// The same each time.
    Word(&'static str),
    /// Data mean something else.
    Format(FormatChange),
    /// Many bins in a row are missing.
    Gap(u64, Cause),
    /// A command was refused.
    Refused(Ack),
    /// The session is over.
    Ended(Ending),
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Happening::Said(text) => f.write_str(text),
            Happening::Word(text) => f.write_str(text),
            Happening::Format(change) => change.fmt(f),
            Happening::Gap(n_bins, cause) => {
                f.write_str(&format!("{n_bins} bins are missing: {cause:?}").to_lowercase())
            }
            Happening::Refused(Ack { status, value, .. }) => {
                write!(f, "a command was refused ({status:?}); the nearest legal value is {value}")
            }
            Happening::Ended(why) => write!(f, "disconnected: {why}"),
        }
    }
}
