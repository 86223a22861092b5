//! Tables of TOML read key by key: unknown keys, wrong types and values out of range are named.

use crate::error::Error;
use std::ops::RangeInclusive;
use toml::{Table, Value};

/// One table (`[counts]`) of a file, with the keys that are legal in it.
pub(super) struct Keys<'t> {
    place: &'t str,
    section: &'t str,
    table: &'t Table,
}

/// Refuses every key of `table` that isn't one of `legal`, and suggests the nearest.
pub(super) fn check(place: &str, section: &str, table: &Table, legal: &[&str]) -> Result<(), Error> {
    match table.keys().find(|key| !legal.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Error::input(place, "the key is unknown")
            .field(join(section, key))
            .legal(legal.join(", "))
            .hint("leave it out")
            .suggest(key, legal.iter().copied())),
    }
}

impl<'t> Keys<'t> {
    /// The table `value`, all of whose keys are among `legal`.
    pub(super) fn new(
        place: &'t str,
        section: &'t str,
        value: &'t Value,
        legal: &[&str],
    ) -> Result<Self, Error> {
        let table = value
            .as_table()
            .ok_or_else(|| wrong(place, section.to_string(), value, &format!("a table, `[{section}]`")))?;
        check(place, section, table, legal)?;
        Ok(Keys { place, section, table })
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(&self, key: &str, value: Option<T>, legal: &str) -> Result<T, Error> {
        value.ok_or_else(|| {
            Error::input(self.place, "the key is missing")
                .field(join(self.section, key))
                .legal(legal)
                .hint(format!("add `{key} = …` to `[{}]`", self.section))
        })
    }

    /// A value that was read and can't be used.
    pub(super) fn refuse(&self, key: &str, found: impl Into<String>, legal: &str) -> Error {
        Error::input(self.place, found).field(join(self.section, key)).legal(legal)
    }

    /// Text that isn't empty.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        self.get(key, "text in quotes, not empty", |v| {
            v.as_str().filter(|text| !text.is_empty()).map(str::to_string)
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let legal = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        self.get(key, &legal, |v| {
            words.iter().find(|(word, _)| v.as_str() == Some(word)).map(|(_, meaning)| *meaning)
        })
    }

    /// A number within `range`.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Error> {
        let legal = format!("a number from {} to {}", range.start(), range.end());
        self.get(key, &legal, |v| number(v).filter(|number| range.contains(number)))
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let legal = format!("a whole number from {} to {}", range.start(), range.end());
        self.get(key, &legal, |v| {
            v.as_integer().and_then(|n| u64::try_from(n).ok()).filter(|n| range.contains(n))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key, "true or false", Value::as_bool)
    }

    /// A list, each of whose values `read` accepts.
    pub(super) fn list<T>(
        &self,
        key: &str,
        legal: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        self.get(key, legal, |v| v.as_array()?.iter().map(&read).collect())
    }

    fn get<T>(
        &self,
        key: &str,
        legal: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => {
                read(value).map(Some).ok_or_else(|| wrong(self.place, join(self.section, key), value, legal))
            }
        }
    }
}

/// A number, written with or without a point.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
}

fn wrong(place: &str, field: String, value: &Value, legal: &str) -> Error {
    let mut shown = value.to_string();
    if let Some((end, _)) = shown.char_indices().nth(SHOWN_CHARS_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    Error::input(place, format!("its value is {shown}")).field(field).legal(legal)
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_string() } else { format!("{section}.{key}") }
}

/// Characters of a wrong value that a message shows.
const SHOWN_CHARS_MAX: usize = 60;
