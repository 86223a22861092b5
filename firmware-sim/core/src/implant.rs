//! The whole implant: electrodes at one end, the radio at the other.
//!
//! In: frames of samples (or, of a simulation, the crossings themselves), packets of the host, the time. Out: packets.
//! Guarantees: what is sent depends on what came in and nothing else, so that a microcontroller and a desk send the same
//! bytes.

use crate::link::{Lane, LinkEnd, Now, RAW_MAX, Task, Vitals};
use crate::signal::FrontEnd;
use efference_wire::codec::raw::{Converter, Encoder, usual_frames};
use efference_wire::{Mode, Raw, Record};

/// An implant.
#[derive(Debug)]
pub struct Implant<'a> {
    front: FrontEnd<'a>,
    link: LinkEnd<'a>,
    raw: &'a mut [RawChannel],
    n_raw_frames: usize,
    converter: Converter,
    /// The frame with which the next bin begins.
    bin_end: u64,
    /// The clock that is stamped on data, less the frames that were taken.
    shift: i64,
}

/// An electrode that is sent raw. [`RAW_BYTES`] each.
#[derive(Clone, Copy, Debug)]
pub struct RawChannel {
    encoder: Encoder,
    samples: [i16; RAW_FRAMES_MAX],
    n: usize,
    keyed_at: u64,
    is_keyed: bool,
}

impl RawChannel {
    /// For samples of `bits`.
    #[must_use]
    pub fn new(bits: u8) -> Self {
        RawChannel {
            encoder: Encoder::new(Converter::Uniform { bits }, 0),
            samples: [0; RAW_FRAMES_MAX],
            n: 0,
            keyed_at: 0,
            is_keyed: false,
        }
    }
}

impl<'a> Implant<'a> {
    /// Of its two ends; `bits` of a sample, and `raw` with room for up to [`RAW_MAX`] electrodes sent raw.
    #[must_use]
    pub fn new(
        front: FrontEnd<'a>,
        link: LinkEnd<'a>,
        raw: &'a mut [RawChannel],
        bits: u8,
        sample_rate_millihertz: u32,
    ) -> Self {
        let n_raw_frames = usize::from(usual_frames(sample_rate_millihertz));
        Implant {
            front,
            link,
            raw,
            n_raw_frames,
            converter: Converter::Uniform { bits },
            bin_end: u64::MAX,
            shift: 0,
        }
    }

    /// The end that filters and counts.
    #[must_use]
    pub fn front(&self) -> &FrontEnd<'a> {
        &self.front
    }

    /// The end that sends.
    #[must_use]
    pub fn link(&self) -> &LinkEnd<'a> {
        &self.link
    }

    /// For receivers that can't ask; see [`LinkEnd::set_broadcast`].
    pub fn set_broadcast(&mut self, is_broadcast: bool) {
        self.link.set_broadcast(is_broadcast);
    }

    /// What was measured of an electrode; see [`LinkEnd::set_impedance`].
    pub fn set_impedance(&mut self, electrode: usize, tenths_of_kiloohm: u16) {
        self.link.set_impedance(electrode, tenths_of_kiloohm);
    }

    /// How the device is, for its telemetry.
    pub fn set_vitals(&mut self, vitals: Vitals) {
        self.link.set_vitals(vitals);
    }

    /// Takes a packet of the host. `entropy` gives 32 bytes that nobody can guess, where a new session needs them.
    pub fn handle_packet(&mut self, now: Now, packet: &[u8], entropy: impl FnMut() -> [u8; 32]) {
        let Implant { front, link, raw, .. } = self;
        let (mut is_new_epoch, mut is_new_raw, mut needs_key) = (false, false, false);
        let mut multiple = false;
        link.handle_packet(now, packet, entropy, |task| match task {
            Task::Epoch => is_new_epoch = true,
            Task::Raw => is_new_raw = true,
            Task::Key => needs_key = true,
            Task::Threshold => multiple = true,
            Task::Thresholds { first_channel, values } => {
                for (channel, value) in (first_channel as usize..).zip(values.chunks_exact(2)) {
                    let counts = i16::from_le_bytes([value[0], value[1]]);
                    // 0 gives a channel back to its noise.
                    front.set_threshold(channel, (counts < 0).then_some(counts));
                }
            }
            Task::Nothing | Task::Budget | Task::Impedance { .. } => {}
        });
        if multiple {
            front.set_multiple(link.wanted().threshold);
        }
        if is_new_raw || needs_key {
            for channel in raw.iter_mut() {
                channel.is_keyed = false;
                channel.n = if is_new_raw { 0 } else { channel.n };
                if is_new_raw {
                    channel.encoder = Encoder::new(self.converter, self.n_raw_frames as u16);
                }
            }
        }
        if is_new_epoch {
            self.begin_epoch();
        }
    }

    /// One frame, a sample a channel.
    pub fn process_frame(&mut self, now: Now, samples: &[i16]) {
        self.front.process_frame(samples);
        self.push_raw(samples);
        self.end_frame(now);
    }

    /// A simulation says: `n` crossings of `channel` in the frame to come.
    pub fn count(&mut self, channel: u32, n: u16) {
        self.front.count(channel, n);
    }

    /// A simulation says: frames have passed up to this one, at most to the end of the bin; the frame reached.
    pub fn advance_to(&mut self, now: Now, frame: u64) -> u64 {
        let to = frame.min(self.bin_end);
        let n = to.saturating_sub(self.front.frame());
        self.front.advance(n as u32);
        self.end_frame(now);
        self.front.frame()
    }

    /// The next packet for the radio; see [`LinkEnd::poll_packet`].
    pub fn poll_packet(&mut self, now: Now, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        self.link.poll_packet(now, mtu, packet)
    }

    /// The next packet, and what it carries; see [`LinkEnd::poll_packet_apart`].
    pub fn poll_packet_apart(&mut self, now: Now, mtu: usize, packet: &mut [u8]) -> Option<(usize, Lane)> {
        self.link.poll_packet_apart(now, mtu, packet)
    }

    /// The carrier was lost and is there again; see [`LinkEnd::begin_carrier`].
    pub fn begin_carrier(&mut self, now: Now) {
        self.link.begin_carrier(now);
    }

    fn begin_epoch(&mut self) {
        let wanted = *self.link.wanted();
        let mode = if wanted.is_running { wanted.mode } else { Mode::Quiet };
        // The modes offered are those that the front end has memory for.
        let _is_set = self.front.set_mode(mode);
        self.front.next_bin();
        self.bin_end = self.front.frame() + u64::from(wanted.bin_samples);
        self.link.begin_epoch(self.front.frame().saturating_add_signed(self.shift));
    }

    fn end_frame(&mut self, now: Now) {
        let frame = self.front.frame();
        let shift = now.sample as i64 - frame as i64;
        if self.shift.abs_diff(shift) > SHIFT_MAX {
            // The clock jumped: bins before and after have nothing to do with each other's numbers.
            self.shift = shift;
            if self.bin_end != u64::MAX {
                self.begin_epoch();
            }
        }
        if frame < self.bin_end {
            return;
        }
        let end_sample = frame.saturating_add_signed(self.shift);
        match self.front.mode() {
            Mode::Counts => self.link.push_counts(now, end_sample, self.front.counts()),
            Mode::SpikeBandPower | Mode::BandPower => {
                let front = &self.front;
                self.link.push_power(|channel| front.power(channel));
            }
            Mode::Crossings | Mode::Snippets => self.push_crossings(),
            Mode::Quiet => {}
        }
        self.front.next_bin();
        self.bin_end = frame + u64::from(self.link.wanted().bin_samples);
    }

    fn push_crossings(&mut self) {
        let Implant { front, link, shift, .. } = self;
        front.sort_crossings();
        let (first, span) = (front.span(), (front.frame() - front.span()) as u32);
        link.push_crossings(first.saturating_add_signed(*shift), span, front.counts(), front.crossings());
        for snippet in front.snippets() {
            link.push_snippet(snippet, snippet.sample.saturating_add_signed(*shift));
        }
    }

    fn push_raw(&mut self, samples: &[i16]) {
        let Implant { front, link, raw, n_raw_frames, shift, .. } = self;
        let wanted = *link.wanted();
        let chosen = &wanted.raw[..usize::from(wanted.n_raw).min(RAW_MAX)];
        for (channel, &electrode) in raw.iter_mut().zip(chosen) {
            let Some(&sample) = samples.get(electrode as usize) else { continue };
            channel.samples[channel.n] = sample;
            channel.n += 1;
            if channel.n < *n_raw_frames {
                continue;
            }
            channel.n = 0;
            let frame = front.frame();
            let first_sample = (frame - *n_raw_frames as u64).saturating_add_signed(*shift);
            let key = !channel.is_keyed || frame - channel.keyed_at >= 100 * *n_raw_frames as u64;
            if key {
                (channel.keyed_at, channel.is_keyed) = (frame, true);
            }
            let (encoder, samples) = (&mut channel.encoder, &channel.samples[..*n_raw_frames]);
            let record = Record::Raw(Raw { electrode, first_sample, coded: &[] });
            link.push_record(&record, |out| encoder.encode(samples, key, out).ok());
        }
    }
}

/// Samples of a raw frame at most: 10 ms of 30 kHz.
const RAW_FRAMES_MAX: usize = 300;
/// What an electrode that is sent raw costs.
pub const RAW_BYTES: usize = size_of::<RawChannel>();
/// Samples by which the stamped clock may be off the frames without having jumped.
const SHIFT_MAX: u64 = 100;
