//! What the host asks for, and what becomes of it.
//!
//! In: commands. Out: acknowledgements, the settings in force, and what is left to do. Guarantees: the same command
//! twice is done once and acknowledged twice; what is out of range changes nothing and is answered with the nearest
//! legal value.

use efference_wire::{Ack, Command, Mode, Operation, Status};

/// What a device can do; commands are held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Electrodes, one channel each.
    pub n_electrodes: u32,
    /// Frames a second, times 1,000.
    pub sample_rate_millihertz: u32,
    /// Set of [`Mode`]s, bit `mode as u8`.
    pub modes: u16,
    /// Largest packet that it sends, bytes.
    pub mtu_max: u16,
}

/// The settings in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Data are sent.
    pub is_running: bool,
    /// What is sent of each channel.
    pub mode: Mode,
    /// Bin width that was asked for, samples.
    pub bin_samples: u32,
    /// Threshold as a multiple of the noise, in 1/256.
    pub threshold: u16,
    /// Bits a second, 0 for no limit.
    pub budget_bps: u32,
    /// Largest packet, bytes.
    pub mtu: u16,
    /// Electrodes sent raw: the first `n_raw`.
    pub raw: [u32; RAW_MAX],
    /// How many.
    pub n_raw: u8,
}

/// What is left to do once a command was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// Nothing; the settings have it, or it was done before.
    Nothing,
    /// What data mean has changed: a new epoch.
    Epoch,
    /// Another budget.
    Budget,
    /// Other electrodes are sent raw.
    Raw,
    /// The multiple of the noise has changed.
    Threshold,
    /// Thresholds of these channels, i16 each.
    Thresholds {
        /// The first.
        first_channel: u32,
        /// Two bytes each.
        values: &'a [u8],
    },
    /// Format, table, raw key frames.
    Key,
    /// Impedances of these.
    Impedance {
        /// The first.
        first_electrode: u32,
        /// How many.
        n_electrodes: u16,
    },
}

/// Takes commands.
#[derive(Clone, Copy, Debug)]
pub struct Commands {
    abilities: Abilities,
    can_measure: bool,
    wanted: Wanted,
    /// The last ones, so that one that comes again isn't done again.
    recent: [Option<Ack>; RECENT],
    next: usize,
    n_refused: u16,
}

impl Commands {
    /// Stopped, counts in bins of 20 ms, no budget, thresholds of 4.5 times the noise. `can_measure` says whether
    /// impedances can be asked for.
    #[must_use]
    pub fn new(abilities: Abilities, can_measure: bool) -> Self {
        let wanted = Wanted {
            is_running: false,
            mode: Mode::Counts,
            bin_samples: samples(abilities.sample_rate_millihertz, BIN_US),
            threshold: THRESHOLD,
            budget_bps: 0,
            mtu: abilities.mtu_max,
            raw: [0; RAW_MAX],
            n_raw: 0,
        };
        Commands { abilities, can_measure, wanted, recent: [None; RECENT], next: 0, n_refused: 0 }
    }

    /// The settings in force.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Commands that were not taken.
    #[must_use]
    pub fn n_refused(&self) -> u16 {
        self.n_refused
    }

    /// A new session counts commands anew.
    pub fn forget(&mut self) {
        self.recent = [None; RECENT];
    }

    /// Takes a command.
    pub fn take<'a>(&mut self, command: &Command<'a>) -> (Ack, Task<'a>) {
        if let Some(ack) = self.recent.iter().flatten().find(|ack| ack.id == command.id) {
            return (*ack, Task::Nothing);
        }
        let (status, value, task) = match self.apply(&command.operation) {
            Ok((value, task)) => (Status::Done, value, task),
            Err((status, nearest)) => {
                self.n_refused = self.n_refused.saturating_add(1);
                (status, nearest, Task::Nothing)
            }
        };
        let ack = Ack { id: command.id, status, value };
        self.recent[self.next] = Some(ack);
        self.next = (self.next + 1) % RECENT;
        (ack, task)
    }

    fn apply<'a>(&mut self, operation: &Operation<'a>) -> Result<(u32, Task<'a>), (Status, u32)> {
        let n_electrodes = self.abilities.n_electrodes;
        let wanted = &mut self.wanted;
        match *operation {
            Operation::Start | Operation::Stop => {
                wanted.is_running = matches!(operation, Operation::Start);
                Ok((u32::from(wanted.is_running), Task::Epoch))
            }
            Operation::SetMode(mode) => {
                if self.abilities.modes >> (mode as u8) & 1 == 0 {
                    return Err((Status::Unknown, wanted.mode as u32));
                }
                wanted.mode = mode;
                Ok((mode as u32, Task::Epoch))
            }
            Operation::SetBinWidth(width) => {
                let rate = self.abilities.sample_rate_millihertz;
                wanted.bin_samples = within(width, samples(rate, BIN_MIN_US), samples(rate, BIN_MAX_US))?;
                Ok((width, Task::Epoch))
            }
            Operation::SetThreshold(multiple) => {
                let asked = if multiple == 0 { THRESHOLD } else { multiple };
                wanted.threshold =
                    within(u32::from(asked), u32::from(THRESHOLD_MIN), u32::from(THRESHOLD_MAX))? as u16;
                Ok((u32::from(asked), Task::Threshold))
            }
            Operation::SetThresholds { first_channel, values } => {
                let n = (values.len() / 2) as u32;
                if n == 0 || first_channel >= n_electrodes || n > n_electrodes - first_channel {
                    return Err((Status::Range, n_electrodes.saturating_sub(first_channel)));
                }
                Ok((n, Task::Thresholds { first_channel, values }))
            }
            Operation::SelectRaw(electrodes) => {
                let chosen = electrodes.chunks_exact(4).map(|e| u32::from_le_bytes([e[0], e[1], e[2], e[3]]));
                if chosen.len() > RAW_MAX {
                    return Err((Status::Range, RAW_MAX as u32));
                }
                if chosen.clone().any(|electrode| electrode >= n_electrodes) {
                    return Err((Status::Range, n_electrodes.saturating_sub(1)));
                }
                wanted.n_raw = chosen.len() as u8;
                for (to, electrode) in wanted.raw.iter_mut().zip(chosen) {
                    *to = electrode;
                }
                Ok((u32::from(wanted.n_raw), Task::Raw))
            }
            Operation::SetBudget(bps) => {
                wanted.budget_bps = if bps == 0 { 0 } else { within(bps, BUDGET_MIN_BPS, u32::MAX)? };
                Ok((bps, Task::Budget))
            }
            Operation::SetMtu(mtu) => {
                wanted.mtu = within(u32::from(mtu), MTU_MIN, u32::from(self.abilities.mtu_max))? as u16;
                Ok((u32::from(mtu), Task::Nothing))
            }
            Operation::RequestKey => Ok((0, Task::Key)),
            Operation::RequestImpedance { .. } if !self.can_measure => Err((Status::Unknown, 0)),
            Operation::RequestImpedance { first_electrode, n_electrodes: n } => {
                if n == 0 || first_electrode >= n_electrodes || u32::from(n) > n_electrodes - first_electrode
                {
                    return Err((Status::Range, n_electrodes.saturating_sub(first_electrode)));
                }
                Ok((u32::from(n), Task::Impedance { first_electrode, n_electrodes: n }))
            }
        }
    }
}

/// `us` microseconds at a rate in 1/1,000 Hz, at least one sample.
#[must_use]
pub fn samples(sample_rate_millihertz: u32, us: u32) -> u32 {
    let samples = (u64::from(us) * u64::from(sample_rate_millihertz) + 500_000_000) / 1_000_000_000;
    (samples as u32).max(1)
}

fn within(value: u32, min: u32, max: u32) -> Result<u32, (Status, u32)> {
    match value.clamp(min, max) {
        legal if legal == value => Ok(value),
        nearest => Err((Status::Range, nearest)),
    }
}

/// Electrodes that are sent raw at a time.
pub const RAW_MAX: usize = 16;
/// Acknowledgements that are remembered: more than a host leaves open.
const RECENT: usize = 16;
const BIN_US: u32 = 20_000;
const BIN_MIN_US: u32 = 1_000;
const BIN_MAX_US: u32 = 1_000_000;
const THRESHOLD: u16 = 4 * 256 + 128;
const THRESHOLD_MIN: u16 = 256;
const THRESHOLD_MAX: u16 = 20 * 256;
const BUDGET_MIN_BPS: u32 = 1_000;
const MTU_MIN: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Commands {
        Commands::new(
            Abilities {
                n_electrodes: 100,
                sample_rate_millihertz: 20_000_000,
                modes: 0b1_1111,
                mtu_max: 512,
            },
            true,
        )
    }

    fn take<'a>(commands: &mut Commands, id: u16, operation: Operation<'a>) -> (Status, u32, Task<'a>) {
        let (ack, task) = commands.take(&Command { id, operation });
        assert_eq!(ack.id, id);
        (ack.status, ack.value, task)
    }

    #[test]
    fn a_command_is_done_once_and_acknowledged_each_time() {
        let mut commands = commands();
        let width = |n| Operation::SetBinWidth(n);
        assert_eq!(take(&mut commands, 7, width(200)), (Status::Done, 200, Task::Epoch));
        assert_eq!(take(&mut commands, 8, width(400)), (Status::Done, 400, Task::Epoch));
        assert_eq!(take(&mut commands, 7, width(200)), (Status::Done, 200, Task::Nothing));
        assert_eq!(commands.wanted().bin_samples, 400, "the one that came again is older");
        commands.forget();
        assert_eq!(take(&mut commands, 7, width(200)).2, Task::Epoch, "another session counts anew");
    }

    #[test]
    fn what_is_out_of_range_changes_nothing_and_is_told_what_would_do() {
        let mut commands = commands();
        let before = *commands.wanted();
        let long = [0; 4 * (RAW_MAX + 1)];
        let refused = [
            (Operation::SetBinWidth(1), Status::Range, 20),
            (Operation::SetBinWidth(u32::MAX), Status::Range, 20_000),
            (Operation::SetThreshold(10), Status::Range, 256),
            (Operation::SetMtu(19), Status::Range, 20),
            (Operation::SetMtu(600), Status::Range, 512),
            (Operation::SetBudget(1), Status::Range, 1_000),
            (Operation::SetMode(Mode::Snippets), Status::Unknown, Mode::Counts as u32),
            (Operation::SelectRaw(&[100, 0, 0, 0]), Status::Range, 99),
            (Operation::SelectRaw(&long), Status::Range, RAW_MAX as u32),
            (Operation::SetThresholds { first_channel: 99, values: &[0; 4] }, Status::Range, 1),
            (Operation::SetThresholds { first_channel: 200, values: &[0; 4] }, Status::Range, 0),
            (Operation::RequestImpedance { first_electrode: 0, n_electrodes: 101 }, Status::Range, 100),
        ];
        for (id, (operation, status, nearest)) in refused.into_iter().enumerate() {
            assert_eq!(
                take(&mut commands, id as u16, operation),
                (status, nearest, Task::Nothing),
                "{operation:?}"
            );
        }
        assert_eq!((*commands.wanted(), commands.n_refused()), (before, 12));
    }

    #[test]
    fn what_is_asked_for_is_in_force() {
        let mut commands = commands();
        take(&mut commands, 1, Operation::Start);
        take(&mut commands, 2, Operation::SelectRaw(&[5, 0, 0, 0, 99, 0, 0, 0]));
        take(&mut commands, 3, Operation::SetThreshold(0));
        take(&mut commands, 4, Operation::SetMtu(20));
        let wanted = commands.wanted();
        assert!(wanted.is_running && wanted.threshold == THRESHOLD && wanted.mtu == 20);
        assert_eq!((wanted.n_raw, &wanted.raw[..2]), (2, &[5, 99][..]));
    }
}
