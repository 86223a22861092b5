//! `[live]`: threads, rings and waiting. None of it changes what is decoded.

use super::{check_keys, in_range, not_toml};
use crate::error::Error;
use serde::{Deserialize, Serialize};

/// How a stream is run in real time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveConfig {
    /// Threads that the channels are shared out to; 0 for one a core, if there are channels for so many.
    pub shards: usize,
    /// Blocks that the ring before the shards holds; at least two more than there are shards, whatever is said here. When a shard is so far behind, the oldest are overwritten.
    pub ring_blocks: usize,
    /// How long a thread that waits looks without pause, in turns of some ten nanoseconds.
    pub spins: u32,
    /// How often it then lets another thread run before it looks again.
    pub yields: u32,
    /// Whether it then sleeps until it is woken.
    pub park: bool,
    /// Sleep for this share of a block's length after it came, before looking for the next: what is left is spent
    /// looking, so that the block is met awake and the core is not burnt in between.
    pub nap_share: f64,
    /// How long before a block is due the source stops sleeping and looks at the clock, µs.
    pub pace_spin_us: f64,
    /// Cores of the shards, in turn, then of source and decoder; empty leaves it to the system.
    pub cores: Vec<usize>,
    /// Asks the system for real-time priority.
    pub realtime: bool,
    /// An intent that comes later than this after its last block is not acted on: the cursor holds, ms.
    pub hold_ms: f64,
    /// Of so many blocks the stages of one are timed apart; of every block, all stages together.
    pub time_every: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        LiveConfig {
            shards: 0,
            ring_blocks: 8,
            spins: 2_000,
            yields: 16,
            park: true,
            nap_share: 0.0,
            pace_spin_us: 150.0,
            cores: Vec::new(),
            realtime: false,
            hold_ms: 100.0,
            time_every: 64,
        }
    }
}

impl LiveConfig {
    /// Reads the table `[live]`; what isn't given has its default. `place` names the text in errors.
    ///
    /// # Errors
    /// Text that isn't TOML, unknown keys, values of another type or out of range.
    ///
    /// ```
    /// use efference::config::LiveConfig;
    /// assert_eq!(LiveConfig::parse("[live]\nshards = 2", "doc").unwrap().shards, 2);
    /// assert!(LiveConfig::parse("[live]\nring_blocks = 1", "doc").is_err());
    /// ```
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let table: toml::Table = toml::from_str(text).map_err(|error| not_toml(place, &error))?;
        let defaults = toml::Table::try_from(LiveConfig::default()).expect("settings are a table");
        let legal: Vec<String> = defaults.keys().map(|key| format!("live.{key}")).collect();
        check_keys(&table, &legal, place)?;
        let Some(live) = table.get("live") else { return Ok(LiveConfig::default()) };
        let config: LiveConfig = live.clone().try_into().map_err(|error| not_toml(place, &error))?;
        config.check(place)?;
        Ok(config)
    }

    /// For few channels on cores that have time: threads sleep through the first part of a block and look without
    /// pause through the rest.
    pub fn low_latency(mut self) -> Self {
        (self.nap_share, self.spins, self.yields) = (0.6, 200_000, 0);
        self
    }

    /// For machines that have other things to do, or a battery: threads sleep whenever nothing is there.
    pub fn gentle(mut self) -> Self {
        (self.nap_share, self.spins, self.yields, self.park) = (0.0, 0, 0, true);
        self
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// Naming the first key with what is legal.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        in_range(place, "live.shards", self.shards as f64, 0.0, SHARDS_MAX as f64)?;
        in_range(place, "live.ring_blocks", self.ring_blocks as f64, 3.0, RING_BLOCKS_MAX as f64)?;
        for &core in &self.cores {
            in_range(place, "live.cores", core as f64, 0.0, CORE_MAX as f64)?;
        }
        if self.realtime && !self.park && self.yields == 0 {
            return Err(Error::usage(place, "threads of real-time priority that never let go of their core")
                .field("live.realtime")
                .legal("park = true, or yields above 0"));
        }
        in_range(place, "live.spins", f64::from(self.spins), 0.0, 1e9)?;
        in_range(place, "live.yields", f64::from(self.yields), 0.0, 1e6)?;
        in_range(place, "live.nap_share", self.nap_share, 0.0, 0.95)?;
        in_range(place, "live.pace_spin_us", self.pace_spin_us, 0.0, 1e6)?;
        in_range(place, "live.hold_ms", self.hold_ms, 1.0, 10_000.0)?;
        in_range(place, "live.time_every", f64::from(self.time_every), 1.0, 1e6)
    }
}

/// The highest number of a core that systems know how to name.
const CORE_MAX: usize = 1_023;
/// Threads that share the channels, at most.
pub const SHARDS_MAX: usize = 32;
/// Blocks of a ring, at most: 50,000 channels × 64 frames × 64 blocks of 16 bits are 400 MB.
pub const RING_BLOCKS_MAX: usize = 64;
const _: () = assert!(SHARDS_MAX + 2 <= RING_BLOCKS_MAX);
