//! One error for the whole library: what went wrong, where, what is legal, what to try.
//!
//! In: the facts at the place that failed. Out: one paragraph for a person and an [`ErrorKind`] that
//! tells a program what to do. Nothing on the hot path returns an [`Error`]: what can fail there is
//! checked when the pipeline is built.

use std::fmt;
use std::path::Path;

/// What the caller can do about an [`Error`]; each kind has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong (an argument, a config key): ask differently.
    Usage,
    /// A recording, mapping or other input can't be used as it is: mend or replace the input.
    Input,
    /// A model doesn't fit the recording or is damaged: take another model or train one.
    Model,
    /// The numbers can't be fitted: more data, other channels, more regularisation.
    Fit,
    /// A result can't be written: another place, more space, other permissions.
    Output,
}

impl ErrorKind {
    /// The process exit code of this kind: 2 to 6.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Usage => 2,
            ErrorKind::Input => 3,
            ErrorKind::Model => 4,
            ErrorKind::Fit => 5,
            ErrorKind::Output => 6,
        }
    }
}

/// An error of this library, printed as one paragraph.
///
/// ```
/// use efference::{Error, ErrorKind};
/// let error = Error::input("reach.mat", "it is empty (0 bytes)")
///     .field("spikes")
///     .legal("a MAT v5 file with the mapped variables")
///     .hint("copy the recording again");
/// assert_eq!(error.kind(), ErrorKind::Input);
/// assert_eq!(
///     error.to_string(),
///     "reach.mat, field `spikes`: it is empty (0 bytes). Legal: a MAT v5 file with the mapped \
///      variables. Try: copy the recording again."
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    facts: Box<Facts>,
}

#[derive(Clone, Debug)]
struct Facts {
    place: String,
    field: Option<String>,
    found: String,
    legal: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// An error of `kind` at `place` (a file, a config, a command); `found` says what was found there.
    pub fn new(kind: ErrorKind, place: impl Into<String>, found: impl Into<String>) -> Self {
        let facts = Facts { place: place.into(), field: None, found: found.into(), legal: None, hint: None };
        Error { kind, facts: Box::new(facts) }
    }

    /// [`ErrorKind::Usage`].
    pub fn usage(place: impl Into<String>, found: impl Into<String>) -> Self {
        Error::new(ErrorKind::Usage, place, found)
    }

    /// [`ErrorKind::Input`].
    pub fn input(place: impl Into<String>, found: impl Into<String>) -> Self {
        Error::new(ErrorKind::Input, place, found)
    }

    /// [`ErrorKind::Model`].
    pub fn model(place: impl Into<String>, found: impl Into<String>) -> Self {
        Error::new(ErrorKind::Model, place, found)
    }

    /// [`ErrorKind::Fit`].
    pub fn fit(place: impl Into<String>, found: impl Into<String>) -> Self {
        Error::new(ErrorKind::Fit, place, found)
    }

    /// [`ErrorKind::Output`].
    pub fn output(place: impl Into<String>, found: impl Into<String>) -> Self {
        Error::new(ErrorKind::Output, place, found)
    }

    /// An input file that the operating system doesn't let us read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Error::input(path.display().to_string(), format!("it can't be read ({error})"))
            .legal("a file or folder that exists and that you may read")
            .hint("check the path, and EFFERENCE_DATA if the path uses it")
    }

    /// An output that the operating system doesn't let us write.
    pub fn unwritable(path: &Path, error: &std::io::Error) -> Self {
        Error::output(path.display().to_string(), format!("it can't be written ({error})"))
            .legal("a place in an existing folder that you may write to, on a disk with room")
            .hint("another path, or `ls -ld` on its parent folder")
    }

    /// The same facts, for the caller to do something else about: a bad setting in a model's file is a bad model.
    #[must_use]
    pub fn as_kind(self, kind: ErrorKind) -> Self {
        Error { kind, ..self }
    }

    /// Names the field, variable or config key.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.facts.field = Some(field.into());
        self
    }

    /// Names what the place is part of: a fit, the recording that it was for.
    #[must_use]
    pub fn within(mut self, whole: &str) -> Self {
        self.facts.place = format!("{whole}, {}", self.facts.place);
        self
    }

    /// Says what would be legal.
    #[must_use]
    pub fn legal(mut self, legal: impl Into<String>) -> Self {
        self.facts.legal = Some(legal.into());
        self
    }

    /// Says what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.facts.hint = Some(hint.into());
        self
    }

    /// Says what to try: the candidate nearest to `word` in spelling, where one is near.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, candidates) {
            Some(near) => self.hint(format!("`{near}`, which is the nearest in spelling")),
            None => self,
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { place, field, found, legal, hint } = &*self.facts;
        write!(f, "{place}")?;
        if let Some(field) = field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {found}.")?;
        if let Some(legal) = legal {
            write!(f, " Legal: {legal}.")?;
        }
        if let Some(hint) = hint {
            write!(f, " Try: {hint}.")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The candidate nearest to `word` in spelling; `None` where nothing is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_suggests_only_what_is_near() {
        let keys = ["width_ms", "features", "refractory_ms"];
        assert_eq!(nearest("widht_ms", keys), Some("width_ms"));
        assert_eq!(nearest("colour", keys), None);
    }

    #[test]
    fn exit_codes_differ() {
        use ErrorKind::*;
        let codes = [Usage, Input, Model, Fit, Output].map(ErrorKind::exit_code);
        assert_eq!(codes, [2, 3, 4, 5, 6]);
    }
}
