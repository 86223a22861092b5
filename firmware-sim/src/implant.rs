//! An implant with memory of its own: what a microcontroller has in static arrays, here on the heap.
//!
//! In: a profile. Out: the firmware's [`Implant`], ready to run. Guarantees the same firmware as on the microcontroller.

use efference::Error;
use efference::device::{Profile, Signal};
use efference::link::Device;
use efference_firmware::link::{Abilities, Identity, LinkEnd, LinkMemory, RAW_MAX, SLOT, Tables};
use efference_firmware::signal::{
    ChannelState, Crossing, FieldState, FrontEnd, History, Memory, Settings, Snippet,
};
use efference_firmware::{Implant, RawChannel};
use efference_wire::codec::rates::Rate;
use efference_wire::session::Access;
use self_cell::{MutBorrow, self_cell};

/// What an implant is built from.
#[derive(Clone, Debug)]
pub struct Build {
    /// The device.
    pub profile: Profile,
    /// Electrodes, which may differ from the profile's.
    pub n_electrodes: usize,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// Its own name.
    pub name: String,
    /// Differs from start to start.
    pub boot: u32,
    /// Largest packet, bytes.
    pub mtu: u16,
    /// Datagrams that may wait for the radio.
    pub n_datagrams: usize,
    /// Crossings come from the simulation; there is nothing to filter.
    pub spikes_given: bool,
    /// The pairing key, or that all goes in the clear.
    pub access: Access,
}

impl Build {
    /// As the host will know it, its modes left open.
    pub fn device(&self) -> Device {
        Device {
            boot: self.boot,
            firmware: (1, 0),
            n_electrodes: self.n_electrodes,
            sample_rate_millihertz: (self.sample_rate_hz * 1e3).round() as u32,
            bits: self.profile.bits.value as u8,
            nv_per_count: Some(nv_per_count(&self.profile)).filter(|&nv| nv > 0),
            modes: 0,
            mtu_max: usize::from(self.mtu),
            n_raw_max: RAW_MAX,
            synthetic: true,
            name: self.name.clone(),
            profile: self.profile.name.clone(),
        }
    }
}

fn nv_per_count(profile: &Profile) -> u32 {
    (profile.uv_per_count.value * 1e3).round() as u32
}

/// Memory of an implant.
pub struct Owned {
    build: Build,
    channels: Vec<ChannelState>,
    counts: Vec<u16>,
    powers: Vec<u64>,
    fields: Vec<FieldState>,
    histories: Vec<History>,
    crossings: Vec<Crossing>,
    snippets: Vec<Snippet>,
    link: Tied,
}

/// The part of it that the link works in.
struct Tied {
    totals: Vec<u16>,
    rates: Vec<Rate>,
    used: Vec<u8>,
    next: Vec<u8>,
    outbox: Vec<u8>,
    impedances: Vec<u16>,
    raw: Vec<RawChannel>,
}

self_cell! {
    /// An implant and its memory.
    pub struct OwnedImplant {
        owner: MutBorrow<Owned>,
        #[not_covariant]
        dependent: Implant,
    }
}

impl OwnedImplant {
    /// Builds it, as after its power came on.
    ///
    /// # Errors
    /// A sample rate for which the firmware has no filter.
    pub fn build(build: Build) -> Result<Self, Error> {
        let n = build.n_electrodes;
        let rate_millihertz = (build.sample_rate_hz * 1e3).round() as u32;
        let place = "firmware-sim";
        let settings = Settings::of_rate(rate_millihertz).ok_or_else(|| {
            Error::usage(place, format!("a sample rate of {} Hz", build.sample_rate_hz))
                .field("sample_rate_hz")
                .legal("near 1, 2, 19.5, 20 or 30 kHz: rates that the firmware has filters for")
        })?;
        let has_fields = build.profile.signal == Signal::FieldPotential;
        let of = |wanted: bool| if wanted { n } else { 0 };
        let bits = build.profile.bits.value as u8;
        let owned = Owned {
            channels: vec![ChannelState::NEW; of(!build.spikes_given)],
            counts: vec![0; n],
            powers: vec![0; of(!build.spikes_given)],
            fields: vec![FieldState::NEW; of(has_fields)],
            histories: vec![History::EMPTY; of(!build.spikes_given && !has_fields)],
            crossings: vec![Crossing::default(); CROSSINGS_MIN + 8 * n],
            snippets: vec![Snippet::EMPTY; of(!build.spikes_given && !has_fields)],
            link: Tied {
                totals: vec![0; n],
                rates: vec![Rate::default(); n],
                used: vec![0; n],
                next: vec![0; n],
                outbox: vec![0; SLOT * build.n_datagrams],
                impedances: vec![u16::MAX; n],
                raw: vec![RawChannel::new(bits); RAW_MAX],
            },
            build,
        };
        OwnedImplant::try_new(MutBorrow::new(owned), |owned| {
            let owned: &mut Owned = owned.borrow_mut();
            let Owned { build, channels, counts, powers, fields, histories, crossings, snippets, link } =
                owned;
            let Tied { totals, rates, used, next, outbox, impedances, raw } = link;
            let memory = Memory { channels, counts, powers, fields, histories, crossings, snippets };
            let front = FrontEnd::new(settings, memory)
                .map_err(|found| Error::usage(place, format!("memory of {} channels", found.n_found)))?;
            let modes = front.modes();
            let abilities = Abilities {
                n_electrodes: n as u32,
                sample_rate_millihertz: rate_millihertz,
                modes,
                mtu_max: build.mtu,
            };
            let identity = Identity {
                boot: build.boot,
                bits,
                nv_per_count: nv_per_count(&build.profile),
                synthetic: true,
                name: &build.name,
                profile: &build.profile.name,
            };
            let memory = LinkMemory { totals, tables: Tables::new(rates, used, next), outbox, impedances };
            let link = LinkEnd::new(build.access.clone(), identity, abilities, memory);
            Ok(Implant::new(front, link, raw, bits, rate_millihertz))
        })
    }

    /// Calls the firmware.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Implant<'_>) -> R) -> R {
        self.with_dependent_mut(|_, implant| call(implant))
    }
}

/// Crossings of a bin that there is room for at least.
const CROSSINGS_MIN: usize = 256;
