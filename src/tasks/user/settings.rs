//! What a simulated user is like: numbers from a file, each with its source there.
//!
//! In: the table `[user]` of a TOML text, or the name of a shipped one. Out: [`UserSettings`]. Guarantees that all keys are
//! there, that no other is, and that every value is in its range.

use crate::config::{check_keys, not_toml};
use crate::error::Error;
use serde::{Deserialize, Serialize};

/// What a user is like. The shipped file says where each number is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// Until it sees what is shown, ms.
    pub visual_delay_ms: f64,
    /// Until a cursor answers that it isn't used to yet, and an ideal one, ms.
    pub command_delay_ms: f64,
    /// How late it goes along with a cursor that moves by itself, ms.
    pub follow_delay_ms: f64,
    /// The share of that cursor's velocity that it goes along with.
    pub follow_share: f64,
    /// How far the cursor goes for what was intended, as the inner model has it, over what the user has seen; 1 is right.
    pub model_gain: f64,
    /// Over what time the inner model follows what is seen, s.
    pub learning_seconds: f64,
    /// The fastest that it intends, the workspace's unit a second.
    pub speed_max: f64,
    /// Speed of the cursor that it wants over distance, as far as it can intend that, 1/s.
    pub approach_per_s: f64,
    /// Share of a target's half width within which it wants to be still.
    pub still_share: f64,
    /// Standard deviation of each axis of the intention, over its size.
    pub noise_share: f64,
    /// The same that is always there, the workspace's unit a second.
    pub noise_floor: f64,
    /// Over what time that noise wanders, ms.
    pub noise_wander_ms: f64,
    /// Share of a target's half width within which it must foresee the cursor to press the button.
    pub sure_share: f64,
    /// Deviations of its forecasts' errors that a press must have room for.
    pub caution: f64,
    /// How long it must foresee the cursor on the target before it presses the button, ms.
    pub click_still_ms: f64,
    /// From the decision to the press, ms.
    pub click_delay_ms: f64,
    /// Share of its speed that it loses when it has tired out.
    pub fatigue_share: f64,
    /// Over what time it tires, s.
    pub fatigue_seconds: f64,
}

impl UserSettings {
    /// The shipped user, `typical`: with a device that answers at once it reaches what people reach with a mouse.
    pub fn typical() -> Self {
        UserSettings::parse(TYPICAL, "typical.toml").expect("the shipped file is legal; a test reads it")
    }

    /// The shipped user, `expert`: with such a device it reaches what the best with a mouse reached on Webgrid.
    pub fn expert() -> Self {
        UserSettings::parse(EXPERT, "expert.toml").expect("the shipped file is legal; a test reads it")
    }

    /// The shipped user of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "typical" => Some(UserSettings::typical()),
            "expert" => Some(UserSettings::expert()),
            _ => None,
        }
    }

    /// Reads the table `[user]`, all of whose keys must be there. `place` names the text in errors.
    ///
    /// # Errors
    /// Text that isn't TOML, unknown or missing keys, values out of range.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let table: toml::Table = toml::from_str(text).map_err(|error| not_toml(place, &error))?;
        let legal: Vec<String> = RANGES.iter().map(|(key, ..)| format!("user.{key}")).collect();
        check_keys(&table, &legal, place)?;
        let Some(user) = table.get("user") else {
            return Err(Error::usage(place, "it has no table [user]").legal(legal.join(", ")));
        };
        let user: UserSettings = user.clone().try_into().map_err(|error| not_toml(place, &error))?;
        for (key, low, high, get) in RANGES {
            let value = get(&user);
            if !(low..=high).contains(&value) {
                return Err(Error::usage(place, format!("{value}"))
                    .field(format!("user.{key}"))
                    .legal(format!("{low} to {high}")));
            }
        }
        Ok(user)
    }
}

type Range = (&'static str, f64, f64, fn(&UserSettings) -> f64);

/// What is legal of each number.
const RANGES: [Range; 18] = [
    ("visual_delay_ms", 0.0, 1000.0, |user| user.visual_delay_ms),
    ("command_delay_ms", 0.0, 1000.0, |user| user.command_delay_ms),
    ("follow_delay_ms", 0.0, 2000.0, |user| user.follow_delay_ms),
    ("follow_share", 0.0, 1.0, |user| user.follow_share),
    ("model_gain", 0.0, 10.0, |user| user.model_gain),
    ("learning_seconds", 0.1, 1e6, |user| user.learning_seconds),
    ("speed_max", 1e-6, 1e6, |user| user.speed_max),
    ("approach_per_s", 1e-3, 100.0, |user| user.approach_per_s),
    ("still_share", 0.0, 1.0, |user| user.still_share),
    ("noise_share", 0.0, 2.0, |user| user.noise_share),
    ("noise_floor", 0.0, 1e6, |user| user.noise_floor),
    ("noise_wander_ms", 1.0, 1e5, |user| user.noise_wander_ms),
    ("sure_share", 0.01, 1.0, |user| user.sure_share),
    ("caution", 0.0, 10.0, |user| user.caution),
    ("click_still_ms", 0.0, 10_000.0, |user| user.click_still_ms),
    ("click_delay_ms", 0.0, 1000.0, |user| user.click_delay_ms),
    ("fatigue_share", 0.0, 1.0, |user| user.fatigue_share),
    ("fatigue_seconds", 1.0, 1e6, |user| user.fatigue_seconds),
];
const TYPICAL: &str = include_str!("shipped/typical.toml");
const EXPERT: &str = include_str!("shipped/expert.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_every_key_and_no_other_and_each_in_its_range() {
        assert_eq!(UserSettings::parse(TYPICAL, "t").expect("legal"), UserSettings::typical());
        assert_eq!(UserSettings::named("expert"), Some(UserSettings::expert()));
        assert_eq!(UserSettings::named("nobody"), None);
        let error =
            UserSettings::parse(&TYPICAL.replace("speed_max", "speed_mix"), "t").expect_err("unknown");
        assert!(error.to_string().contains("user.speed_max"), "{error}");
        let text = TYPICAL.replace("model_gain = 1.0", "model_gain = -1");
        let error = UserSettings::parse(&text, "t").expect_err("out of range");
        assert!(error.to_string().contains("user.model_gain"), "{error}");
        assert!(UserSettings::parse("", "t").is_err());
        assert!(UserSettings::parse(&TYPICAL.replace("model_gain = 1.0", ""), "t").is_err());
    }
}
