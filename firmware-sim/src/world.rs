//! A whole link in simulated time: tissue, implant, bad radio and host, as fast as they compute.
//!
//! In: what to simulate. Out: the frames that a pipeline gets, as a [`SampleSource`]. Guarantees that the same world gives
//! the same frames, to the bit; no clock, no socket, no thread.

use crate::body::Body;
use crate::faults::{Direction, Script};
use crate::implant::Build;
use crate::radio::{Budget, Ledger, Radio};
use crate::serve::exchange;
use crate::tissue::Tissue;
use efference::Error;
use efference::HostTime;
use efference::block::{Block, StreamInfo};
use efference::link::{Host, Settings, Wanted};
use efference::recording::Truth;
use efference::sources::link::{Feed, LinkReport, PACKET_MAX, fit};
use efference::sources::{ReadOutcome, SampleSource};
use efference::wire::session::{Access, Key};
use ndarray::{Axis, Slice};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scene {
    /// A simulator's address without its `sim:`.
    pub device: String,
    /// Seconds of it.
    pub seconds: f64,
    /// Spikes as they are, without broadband and filters.
    pub spikes: bool,
    /// What goes wrong.
    pub script: Script,
    /// What the radio can do.
    pub budget: Budget,
    /// What the host asks for.
    pub wanted: Wanted,
    /// Of keys and boots.
    pub seed: u64,
}

impl Scene {
    /// A device on a good radio of 1 Mbit/s.
    pub fn new(device: &str, seconds: f64) -> Self {
        Scene {
            device: device.to_string(),
            seconds,
            spikes: true,
            script: Script::clean(),
            budget: Budget { bits_per_second: 1_000_000, latency_us: 2_000, mtu: 244, queue_packets: 16 },
            wanted: Wanted::default(),
            seed: 1,
        }
    }
}

/// A link in simulated time.
pub struct World {
    body: Body,
    radio: Radio,
    feed: Feed,
    info: StreamInfo,
    now_us: u64,
    end_us: u64,
    is_closed: bool,
    wanted_us: u32,
    due: HostTime,
    heard_at: HostTime,
}

impl World {
    /// At time 0, nobody connected.
    ///
    /// # Errors
    /// If the scene isn't legal.
    pub fn new(scene: &Scene) -> Result<Self, Error> {
        let settings = efference::sources::simulator::Settings::parse(&format!("sim:{}", scene.device))?;
        let mut bytes = [scene.seed as u8 ^ 0x5a; 32];
        bytes[..8].copy_from_slice(&scene.seed.to_le_bytes());
        let access = Access::Paired(Key::from_bytes(bytes));
        let build = Build {
            n_electrodes: settings.electrodes,
            sample_rate_hz: settings.sample_rate_hz,
            profile: settings.profile,
            name: "pretend".to_string(),
            boot: scene.seed as u32,
            mtu: scene.budget.mtu as u16,
            n_datagrams: 64,
            spikes_given: scene.spikes,
            access: access.clone(),
        };
        let info = fit::stream_of(&build.device(), &scene.wanted)?;
        let tissue = Tissue::open(&scene.device, scene.spikes, scene.seconds + 1.0)?;
        let body = Body::new(build, tissue, &scene.script, scene.seed)?;
        bytes[31] ^= 0xff;
        let feed = Feed::new(Settings::new(access, bytes, scene.wanted.clone()), "world")?;
        Ok(World {
            body,
            radio: Radio::new(&scene.script, scene.budget)?,
            feed,
            info,
            now_us: 0,
            end_us: (scene.seconds * 1e6) as u64,
            is_closed: false,
            wanted_us: scene.wanted.bin_width_us,
            due: HostTime::default(),
            heard_at: HostTime::default(),
        })
    }

    /// Another millisecond; false when the time is over and the link closed.
    ///
    /// # Errors
    /// None of a simulation.
    pub fn step(&mut self) -> Result<bool, Error> {
        if self.is_closed {
            return Ok(false);
        }
        self.now_us += STEP_US;
        let (now, at) = (self.now_us, HostTime { ns: self.now_us * 1_000 });
        self.body.advance(now)?;
        let World { body, radio, feed, heard_at, .. } = self;
        let mut packet = [0; PACKET_MAX];
        let mut down = Vec::new();
        exchange(
            body,
            radio,
            now,
            &mut packet,
            |_| (),
            |packet| {
                *heard_at = at;
                feed.take(at, packet, |_, packet| down.push(packet.to_vec()));
            },
        );
        feed.pass_time(at, |_, packet| down.push(packet.to_vec()));
        if now >= self.end_us {
            let sent = body.implant().with(|implant| implant.link().n_sent());
            feed.host().close(at, Some(sent));
            feed.send(at, |_, packet| down.push(packet.to_vec()));
            feed.collect(at);
            self.is_closed = true;
        }
        for packet in down {
            // A radio that doesn't take it counts it.
            let _taken = radio.send(now, Direction::Down, &packet);
        }
        Ok(true)
    }

    /// What the user intends, in the time of the frames: it begins with the first that came, whose bins are whole samples
    /// of the device, a little longer or shorter than was asked for. Steps until that frame is there.
    ///
    /// # Errors
    /// None of a simulation; a link over which nothing comes.
    pub fn truth(&mut self) -> Result<Truth, Error> {
        while !self.feed.is_ready() {
            if !self.step()? {
                return Err(Error::usage("world", "no frame ever came").hint("fewer faults, or more seconds"));
            }
        }
        let asked_us = f64::from(self.wanted_us);
        let width_us = self.feed.device().map_or(asked_us, |device| {
            f64::from(device.samples(self.wanted_us)) * 1e9 / f64::from(device.sample_rate_millihertz)
        });
        let ended_us = self.feed.first_due().map_or(0.0, |due| due.ns as f64 / 1e3);
        let Truth::Kinematics(mut truth) = self.body.tissue().truth().clone() else {
            return Ok(Truth::None);
        };
        let rate_hz = truth.sample_rate.hz();
        let n_before = ((ended_us - width_us).max(0.0) * rate_hz / 1e6).round() as isize;
        let rows = Slice::from(n_before..);
        truth.velocity.slice_axis_inplace(Axis(0), rows);
        if let Some(position) = &mut truth.position {
            position.slice_axis_inplace(Axis(0), rows);
        }
        truth.sample_rate = efference::SampleRate::new(rate_hz * width_us / asked_us, "world")?;
        Ok(Truth::Kinematics(truth))
    }

    /// Time, µs.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// When a packet of the device came last.
    pub fn heard_at(&self) -> HostTime {
        self.heard_at
    }

    /// The next frames, if any wait; when they ended on the device.
    pub fn pop(&mut self, block: &mut Block) -> Option<HostTime> {
        self.feed.pop(block)
    }

    /// What the radio did with packets to the host, and to the device.
    pub fn ledgers(&self) -> (Ledger, Ledger) {
        (self.radio.ledger(Direction::Up), self.radio.ledger(Direction::Down))
    }

    /// Where everything has gone.
    pub fn report(&mut self) -> LinkReport {
        self.feed.report()
    }

    /// The host's end.
    pub fn host(&mut self) -> &mut Host {
        self.feed.host()
    }

    /// The device.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }
}

impl SampleSource for World {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        loop {
            if let Some(due) = self.feed.pop(block) {
                self.due = due;
                return Ok(ReadOutcome::Block);
            }
            if !self.step()? {
                return Ok(ReadOutcome::End);
            }
        }
    }

    fn link_report(&mut self) -> Option<LinkReport> {
        Some(self.feed.report())
    }
}

const STEP_US: u64 = 1_000;
