//! What an implant's firmware does: counts whose truth is known, or datagrams as fast as they are taken.
//!
//! In: time, packets of the host. Out: packets of the device. Guarantees the real firmware's link end, and that what is
//! counted in a millisecond depends on its number and the electrode alone.

use efference::Error;
use efference::device::Profile;
use efference::wire::codec::rates::Rate;
use efference::wire::session::{Access, Key};
use efference::wire::{Mode, Raw, Record};
use efference_firmware::link::{Abilities, Identity, LinkEnd, LinkMemory, Now, SLOT, Tables};
use firmware_sim::implant::{Build, OwnedImplant};

/// What an implant sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// Counts in real time.
    Counts,
    /// So many datagrams of raw samples as fast as they are taken, from when it is told to start.
    Datagrams(u32),
}

/// The firmware of one implant.
pub(crate) enum Device {
    Counts(Box<Counting>),
    Flood(Box<Flood>),
}

pub(crate) struct Counting {
    implant: OwnedImplant,
    ms: u64,
}

pub(crate) struct Flood {
    link: LinkEnd<'static>,
    n_left: u32,
}

impl Device {
    pub(crate) fn new(name: &'static str, key: [u8; 32], sends: Sends) -> Result<Self, Error> {
        let access = Access::Paired(Key::from_bytes(key));
        match sends {
            Sends::Counts => {
                let build = Build {
                    profile: Profile::named("neuralink-n1")?,
                    n_electrodes: ELECTRODES,
                    sample_rate_hz: FRAMES_PER_MS as f64 * 1e3,
                    name: name.to_string(),
                    boot: 1,
                    mtu: 512,
                    n_datagrams: 64,
                    spikes_given: true,
                    access,
                };
                Ok(Device::Counts(Box::new(Counting { implant: OwnedImplant::build(build)?, ms: 0 })))
            }
            Sends::Datagrams(n) => {
                let identity =
                    Identity { boot: 1, bits: 10, nv_per_count: 0, synthetic: true, name, profile: "flood" };
                let abilities = Abilities {
                    n_electrodes: ELECTRODES as u32,
                    sample_rate_millihertz: FRAMES_PER_MS as u32 * 1_000_000,
                    modes: 1 << Mode::Counts as u16 | 1,
                    mtu_max: 512,
                };
                // A test's process has one or two, for as long as it lives.
                let memory = LinkMemory {
                    totals: vec![0; ELECTRODES].leak(),
                    tables: Tables::new(
                        vec![Rate::default(); ELECTRODES].leak(),
                        vec![0; ELECTRODES].leak(),
                        vec![0; ELECTRODES].leak(),
                    ),
                    outbox: vec![0; 8 * SLOT].leak(),
                    impedances: &mut [],
                };
                let link = LinkEnd::new(access, identity, abilities, memory);
                Ok(Device::Flood(Box::new(Flood { link, n_left: n })))
            }
        }
    }

    /// Everything until `now_us`.
    pub(crate) fn advance(&mut self, now_us: u64) {
        match self {
            Device::Counts(counting) => {
                while counting.ms < now_us / 1_000 {
                    let ms = counting.ms;
                    // A pretend device that was held up makes up for it, and its clock never jumps.
                    let now = now((ms + 1) * 1_000);
                    counting.implant.with(|implant| {
                        for channel in 0..ELECTRODES {
                            match crossings(ms, channel) {
                                0 => {}
                                n => implant.count(channel as u32, n),
                            }
                        }
                        let end = (ms + 1) * FRAMES_PER_MS;
                        while implant.advance_to(now, end) < end {}
                    });
                    counting.ms += 1;
                }
            }
            Device::Flood(flood) => {
                let running = flood.link.is_connected() && flood.link.wanted().is_running;
                if running && flood.n_left > 0 {
                    flood.n_left -= 1;
                    // As long as fills a packet at most MTUs; its meaning is nobody's business here.
                    let record =
                        Record::Raw(Raw { electrode: 0, first_sample: u64::from(flood.n_left), coded: &[] });
                    flood.link.push_record(&record, |out| {
                        let n = out.len().min(RAW_BYTES);
                        out[..n].fill(flood.n_left as u8);
                        (n == RAW_BYTES).then_some(n)
                    });
                }
            }
        }
    }

    pub(crate) fn handle_packet(&mut self, now_us: u64, packet: &[u8], entropy: [u8; 32]) {
        self.advance(now_us);
        let now = now(now_us);
        match self {
            Device::Counts(counting) => {
                counting.implant.with(|implant| implant.handle_packet(now, packet, || entropy));
            }
            Device::Flood(flood) => flood.link.handle_packet(now, packet, || entropy, |_| {}),
        }
    }

    pub(crate) fn poll_packet(&mut self, now_us: u64, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        let now = now(now_us);
        match self {
            Device::Counts(counting) => {
                counting.implant.with(|implant| implant.poll_packet(now, mtu, packet))
            }
            Device::Flood(flood) => flood.link.poll_packet(now, mtu, packet),
        }
    }

    /// Datagrams that it has sealed in all sessions.
    pub(crate) fn n_sent(&mut self) -> u64 {
        match self {
            Device::Counts(counting) => counting.implant.with(|implant| implant.link().n_sent_in_all()),
            Device::Flood(flood) => flood.link.n_sent_in_all(),
        }
    }

    /// It has more to send at once.
    pub(crate) fn is_hasty(&self) -> bool {
        match self {
            Device::Counts(_) => false,
            Device::Flood(flood) => {
                flood.n_left > 0 && flood.link.is_connected() && flood.link.wanted().is_running
            }
        }
    }
}

/// What an electrode crosses in a millisecond: some rarely, some often.
#[must_use]
pub fn crossings(ms: u64, channel: usize) -> u16 {
    let mut mixed = ms ^ (channel as u64) << 40;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    u16::from((mixed >> 33).is_multiple_of(4 + (channel % 13) as u64 * 5))
}

fn now(now_us: u64) -> Now {
    let ms = now_us / 1_000;
    Now { us: ms * 1_000, sample: ms * FRAMES_PER_MS, fraction: 0 }
}

/// Electrodes of every implant here.
pub const ELECTRODES: usize = 32;
const FRAMES_PER_MS: u64 = 20;
/// Bytes of raw samples in a datagram.
const RAW_BYTES: usize = 180;
