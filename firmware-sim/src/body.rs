//! Tissue, implant and power in one: what there is at one end of the radio.
//!
//! In: true time and packets. Out: packets. Guarantees that the same settings, packets and times give the same packets;
//! reads no clock. A device that loses power forgets everything, and starts again with another boot number.
//!
//! Charge: a cell of [`Body::set_battery`] that time and each bit on the air drain, times the level that the script says;
//! an empty one takes the device down. Impedances are modelled ([`crate::impedance`]); dead electrodes read open.

use crate::clock::DeviceClock;
use crate::device_faults::DeviceFaults;
use crate::faults::Script;
use crate::impedance::Impedances;
use crate::implant::{Build, OwnedImplant};
use crate::tissue::{Heard, Tissue};
use efference::Error;
use efference_firmware::Battery;
use efference_firmware::link::{Lane, Now};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// An implant in tissue.
pub struct Body {
    build: Build,
    implant: OwnedImplant,
    tissue: Tissue,
    clock: DeviceClock,
    faults: DeviceFaults,
    dead: Vec<bool>,
    dead_until_us: u64,
    battery: Battery,
    /// Bits that were sent since the battery was drained last.
    n_bits: u64,
    impedances: Impedances,
    measured_us: Option<u64>,
    is_broadcast: bool,
    rng: Xoshiro256PlusPlus,
    /// Frames of the tissue that the implant has taken since it last got power.
    taken: u64,
    n_restarts: u64,
    is_on: bool,
    now_us: u64,
    /// Samples of the tissue's block that are not taken yet.
    pending: Vec<i16>,
    /// Milliseconds of spikes that were taken since the implant last got power.
    ms: u64,
    is_over: bool,
    /// Datagrams that all its sessions sent, as far as they are over.
    pub sent_before: u64,
}

impl Body {
    /// An implant with its power on at time 0.
    ///
    /// # Errors
    /// As [`OwnedImplant::build`]; a script that names electrodes which aren't there.
    pub fn new(build: Build, tissue: Tissue, script: &Script, seed: u64) -> Result<Self, Error> {
        let faults = DeviceFaults::new(script, build.n_electrodes)?;
        Ok(Body {
            implant: OwnedImplant::build(build.clone())?,
            dead: vec![false; build.n_electrodes],
            dead_until_us: 0,
            battery: Battery::new(BATTERY_J, IDLE_UW, BIT_NJ),
            n_bits: 0,
            impedances: Impedances::new(build.n_electrodes, seed),
            measured_us: None,
            is_broadcast: false,
            clock: DeviceClock::new(script),
            faults,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            build,
            tissue,
            taken: 0,
            n_restarts: 0,
            is_on: true,
            now_us: 0,
            pending: Vec::new(),
            ms: 0,
            is_over: false,
            sent_before: 0,
        })
    }

    /// Another cell than the usual one of 200 J: a full one of so many joules.
    pub fn set_battery(&mut self, joule: u32) {
        self.battery = Battery::new(joule, IDLE_UW, BIT_NJ);
    }

    /// Greeting and tables come again each second, for receivers that can't ask for them.
    pub fn set_broadcast(&mut self, is_broadcast: bool) {
        self.is_broadcast = is_broadcast;
        self.implant.with(|implant| implant.set_broadcast(is_broadcast));
    }

    /// The implant.
    pub fn implant(&mut self) -> &mut OwnedImplant {
        &mut self.implant
    }

    /// What it is in.
    pub fn tissue(&self) -> &Tissue {
        &self.tissue
    }

    /// The tissue has nothing more to say.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Everything that happens until `now_us`, in steps of about a millisecond.
    ///
    /// # Errors
    /// None of a simulation.
    pub fn advance(&mut self, now_us: u64) -> Result<(), Error> {
        while self.now_us < now_us {
            self.now_us = (self.now_us + STEP_US).min(now_us);
            self.step()?;
        }
        Ok(())
    }

    /// Gives a packet of the host to the implant; whether it was of somebody with the key.
    pub fn handle_packet(&mut self, packet: &[u8]) -> bool {
        if !self.is_on {
            return false;
        }
        let (now, rng) = (self.now(), &mut self.rng);
        self.implant.with(|implant| {
            let n_before = implant.link().n_genuine();
            implant.handle_packet(now, packet, || rng.random());
            implant.link().n_genuine() != n_before
        })
    }

    /// The implant's next packet.
    pub fn poll_packet(&mut self, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        if !self.is_on {
            return None;
        }
        let now = self.now();
        let sent = self.implant.with(|implant| implant.poll_packet(now, mtu, packet));
        self.n_bits += 8 * sent.unwrap_or(0) as u64;
        sent
    }

    /// The implant's next packet, and what it carries.
    pub fn poll_packet_apart(&mut self, mtu: usize, packet: &mut [u8]) -> Option<(usize, Lane)> {
        if !self.is_on {
            return None;
        }
        let now = self.now();
        let sent = self.implant.with(|implant| implant.poll_packet_apart(now, mtu, packet));
        self.n_bits += 8 * sent.map_or(0, |(n, _)| n as u64);
        sent
    }

    /// A host has come, or come back.
    pub fn begin_carrier(&mut self) {
        let now = self.now();
        self.implant.with(|implant| implant.begin_carrier(now));
    }

    /// The implant has power.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Charge left, percent.
    pub fn battery_percent(&self) -> u8 {
        self.charge().percent()
    }

    /// The cell as it is now: what was drained of it, times what the script leaves.
    fn charge(&self) -> Battery {
        let mut charge = self.battery;
        let level = self.faults.battery(self.now_us);
        if level < 1.0 {
            charge.charge_to((f64::from(charge.percent()) * level).round() as u8);
        }
        charge
    }

    fn now(&self) -> Now {
        let rate_millihertz = (self.build.sample_rate_hz * 1e3).round() as u32;
        let us = self.clock.ticks_us(self.now_us);
        let sample = self.clock.stamp_samples(self.now_us, rate_millihertz);
        Now { us, sample, fraction: 0 }
    }

    fn step(&mut self) -> Result<(), Error> {
        if self.is_on {
            self.battery.drain(STEP_US, std::mem::take(&mut self.n_bits));
        }
        let has_power = self.faults.is_on(self.now_us) && !self.battery.is_empty();
        let was_on = std::mem::replace(&mut self.is_on, has_power);
        let n_restarts = self.faults.n_restarts(self.now_us);
        if n_restarts > self.n_restarts {
            self.n_restarts = n_restarts;
            self.sent_before += self.implant.with(|implant| implant.link().n_sent_in_all());
            self.build.boot = self.build.boot.wrapping_add(1);
            self.implant = OwnedImplant::build(self.build.clone())?;
            self.set_broadcast(self.is_broadcast);
            (self.taken, self.ms, self.measured_us) = (0, 0, None);
            self.pending.clear();
        }
        if self.is_on && !was_on {
            self.dead_until_us = 0;
        }
        if self.now_us >= self.dead_until_us {
            self.faults.fill_dead(self.now_us, &mut self.dead);
            self.dead_until_us = self.faults.next_dead_change(self.now_us).unwrap_or(u64::MAX);
            self.measured_us = None;
        }
        if self.measured_us.is_none_or(|at| self.now_us - at >= MEASURE_EVERY_US) {
            self.measured_us = Some(self.now_us);
            let Body { implant, impedances, tissue, dead, now_us, .. } = self;
            let dead = dead.iter().zip(tissue.dead_electrodes()).map(|(one, other)| *one || *other);
            implant.with(|implant| {
                for (electrode, is_dead) in dead.enumerate() {
                    implant.set_impedance(electrode, impedances.measure(*now_us, electrode, is_dead));
                }
            });
        }
        let now = self.now();
        let rate_millihertz = (self.build.sample_rate_hz * 1e3).round() as u32;
        let due = self.clock.samples_taken(self.now_us, rate_millihertz);
        let vitals = self.charge().vitals(SKIN_CENTI);
        self.implant.with(|implant| implant.set_vitals(vitals));
        match self.build.spikes_given {
            true => self.take_spikes(now, due),
            false => self.take_frames(now, due),
        }
    }

    fn take_frames(&mut self, now: Now, due: u64) -> Result<(), Error> {
        let n = self.build.n_electrodes;
        while self.taken < due && !self.is_over {
            if self.pending.is_empty() {
                match self.tissue.read()? {
                    Some(Heard::Frames(samples)) => self.pending.extend_from_slice(samples),
                    _ => {
                        self.is_over = true;
                        break;
                    }
                }
            }
            let n_frames = (self.pending.len() / n).min((due - self.taken) as usize);
            let (pending, dead) = (&mut self.pending, &self.dead);
            let is_on = self.is_on;
            self.implant.with(|implant| {
                for frame in pending[..n_frames * n].chunks_exact_mut(n) {
                    frame.iter_mut().zip(dead).filter(|(_, dead)| **dead).for_each(|(sample, _)| *sample = 0);
                    if is_on {
                        implant.process_frame(now, frame);
                    }
                }
            });
            pending.drain(..n_frames * n);
            self.taken += n_frames as u64;
        }
        Ok(())
    }

    fn take_spikes(&mut self, now: Now, due: u64) -> Result<(), Error> {
        let rate = self.build.sample_rate_hz;
        while ((self.ms + 1) as f64 * rate / 1e3) as u64 <= due && !self.is_over {
            match self.tissue.read()? {
                Some(Heard::Spikes { n_ms, spikes }) => {
                    let (first_ms, dead, is_on) = (self.ms, &self.dead, self.is_on);
                    self.implant.with(|implant| {
                        let mut spikes = spikes.iter().peekable();
                        for ms in 0..n_ms {
                            while let Some(spike) = spikes.next_if(|spike| u32::from(spike.frame) == ms) {
                                if is_on && !dead[usize::from(spike.channel)] {
                                    implant.count(u32::from(spike.channel), 1);
                                }
                            }
                            let end = ((first_ms + u64::from(ms) + 1) as f64 * rate / 1e3) as u64;
                            while is_on && implant.advance_to(now, end) < end {}
                        }
                    });
                    self.ms += u64::from(n_ms);
                }
                _ => self.is_over = true,
            }
        }
        self.taken = due;
        Ok(())
    }
}

const STEP_US: u64 = 1_000;
/// A made-up cell of 15 mAh, an implant that draws 5 mW, and a radio of 20 nJ a bit: a working day.
const BATTERY_J: u32 = 200;
const IDLE_UW: u32 = 5_000;
const BIT_NJ: u32 = 20;
/// Of the implant's skin, 1/100 °C.
const SKIN_CENTI: i16 = 3_710;
const MEASURE_EVERY_US: u64 = 10_000_000;
