//! What the host's end is built with.

use crate::error::Error;
use crate::wire::Mode;
use crate::wire::packet::{MTU_MAX, MTU_MIN};
use crate::wire::session::Access;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// How to reach a device, and what to ask of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pairing key, or that everything goes in the clear.
    pub access: Access,
    /// What all sessions' own keys are made from.
    pub entropy: Entropy,
    /// What to ask of the device each time that it has started.
    pub wanted: Wanted,
    /// Largest packet to send, bytes.
    pub mtu: usize,
    /// How long a bin waits for what was overtaken, beyond its own width, ns.
    pub reorder_allowance_ns: u64,
    /// Nothing is sent: the packets come from a capture, and those that the host sent then go to
    /// [`Host::overhear`](super::Host::overhear).
    pub listens_only: bool,
}

/// 32 bytes that nobody can guess. Who keeps them (sealed) can replay what was captured; they are not printed, and are
/// overwritten when they go.
#[derive(Clone)]
pub struct Entropy(Zeroizing<[u8; 32]>);

impl Entropy {
    /// Of bytes from the system's randomness.
    pub fn new(bytes: [u8; 32]) -> Self {
        Entropy(Zeroizing::new(bytes))
    }

    /// Those of one use, apart from those of all others: SHA-256 of what it is for, these bytes and its number.
    pub(super) fn of(&self, purpose: &str, number: u32) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"efference link ");
        hash.update(purpose);
        hash.update(*self.0);
        hash.update(number.to_le_bytes());
        hash.finalize().into()
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// What to ask of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it sends of each channel.
    pub mode: Mode,
    /// Bin width, µs; rounded to whole samples.
    pub bin_width_us: u32,
    /// What it may send, bits a second; 0 for no limit.
    pub budget_bps: u32,
    /// Largest packet that it may send, bytes; `None` leaves it to the device.
    pub mtu: Option<u16>,
    /// Threshold as a multiple of each channel's noise, in 1/256; `None` leaves it to the device.
    pub threshold: Option<u16>,
    /// Electrodes to send raw.
    pub raw_electrodes: Vec<u32>,
}

impl Default for Wanted {
    /// Counts in bins of 20 ms, as much as the link carries.
    fn default() -> Self {
        Wanted {
            mode: Mode::Counts,
            bin_width_us: 20_000,
            budget_bps: 0,
            mtu: None,
            threshold: None,
            raw_electrodes: Vec::new(),
        }
    }
}

impl Settings {
    /// The usual: packets of 512 bytes, 20 ms for what was overtaken.
    pub fn new(access: Access, entropy: [u8; 32], wanted: Wanted) -> Self {
        Settings {
            access,
            entropy: Entropy::new(entropy),
            wanted,
            mtu: MTU_MAX,
            reorder_allowance_ns: 20_000_000,
            listens_only: false,
        }
    }

    /// Looks at them before anything starts.
    ///
    /// # Errors
    /// If a value is outside what is legal. `place` names where they come from.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        let refused = |field: &str, found: String, legal: String| {
            Err(Error::usage(place, found).field(field).legal(legal))
        };
        if !(MTU_MIN..=MTU_MAX).contains(&self.mtu) {
            let found = format!("packets of {} bytes", self.mtu);
            return refused("mtu", found, format!("{MTU_MIN} to {MTU_MAX}"));
        }
        let width_us = self.wanted.bin_width_us;
        if !(BIN_WIDTH_US_MIN..=BIN_WIDTH_US_MAX).contains(&width_us) {
            let found = format!("bins of {} ms", f64::from(width_us) / 1e3);
            return refused("bin_width_ms", found, format!("{} to {}", 1, BIN_WIDTH_US_MAX / 1000));
        }
        if self.wanted.raw_electrodes.len() > RAW_MAX {
            let found = format!("{} raw electrodes", self.wanted.raw_electrodes.len());
            return refused("raw", found, format!("at most {RAW_MAX}"));
        }
        if self.reorder_allowance_ns > ALLOWANCE_NS_MAX {
            let found =
                format!("{} ms for packets that were overtaken", self.reorder_allowance_ns / 1_000_000);
            return refused("reorder_ms", found, format!("at most {}", ALLOWANCE_NS_MAX / 1_000_000));
        }
        Ok(())
    }
}

const BIN_WIDTH_US_MIN: u32 = 1000;
const BIN_WIDTH_US_MAX: u32 = 1_000_000;
/// As many as a command carries over the smallest packets, and a device sends.
const RAW_MAX: usize = 16;
const ALLOWANCE_NS_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_legal_is_refused() {
        let legal = Settings::new(Access::Plain, [0; 32], Wanted::default());
        assert!(legal.check("--source").is_ok());
        let wanted = |wanted| Settings { wanted, ..legal.clone() };
        for (settings, field) in [
            (Settings { mtu: 19, ..legal.clone() }, "mtu"),
            (Settings { reorder_allowance_ns: 2_000_000_000, ..legal.clone() }, "reorder_ms"),
            (wanted(Wanted { bin_width_us: 0, ..Wanted::default() }), "bin_width_ms"),
            (wanted(Wanted { raw_electrodes: vec![0; 17], ..Wanted::default() }), "raw"),
        ] {
            let message = settings.check("--source").expect_err("refused").to_string();
            assert!(message.contains(field) && message.contains("Legal: "), "{message}");
        }
    }

    #[test]
    fn entropy_is_of_its_use_and_is_not_printed() {
        let entropy = Entropy::new([77; 32]);
        assert_ne!(entropy.of("session", 0), entropy.of("session", 1));
        assert_ne!(entropy.of("session", 0), entropy.of("jitter", 0));
        assert_ne!(entropy.of("session", 0), Entropy::new([78; 32]).of("session", 0));
        let settings = Settings::new(Access::Plain, [77; 32], Wanted::default());
        assert!(!format!("{settings:?}").contains("77"), "{settings:?}");
    }
}
