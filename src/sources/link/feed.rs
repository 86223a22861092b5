//! What a host's end of a link tells, as blocks of counts, of power, or of raw samples of chosen electrodes.
//!
//! In: a [`Host`] that is fed with packets. Out: blocks of frames, one width for all, and a [`LinkReport`]. Guarantees:
//! the same packets at the same times give the same blocks, so that a capture replays as it was; frames that won't come
//! are lost frames of the next block; what the device gave up is told in words.

use super::happening::Happening;
use super::report::{LinkReport, Tracks};
use super::{PACKET_MAX, fit};
use crate::block::{BLOCK_FRAMES_MAX, Block, BlockHeader, COUNT_UNKNOWN, Payload, StreamInfo};
use crate::error::Error;
use crate::link::{Device, Event, Host, RawJoiner, Resampler, Settings, Taken, Wanted};
use crate::sources::ble::News;
use crate::time::{DeviceTime, HostTime, SampleIndex};
use crate::wire::{Mode, Record};

/// A host's end with the frames that it has given.
pub struct Feed {
    host: Host,
    wanted: Wanted,
    /// Only where raw samples are what the blocks hold.
    raw: Option<RawJoiner>,
    patience_ns: u64,
    resampler: Option<Resampler>,
    device: Option<Device>,
    /// Frames that wait, the oldest at `first`.
    waiting: Vec<Waiting>,
    first: usize,
    n: usize,
    /// Frames of the first that were given out.
    given: u32,
    tracks: Tracks,
    refusal: Option<Error>,
}

/// Frames alike that wait to be read.
#[derive(Clone, Default)]
struct Waiting {
    index: u64,
    n_lost: u64,
    n_frames: u32,
    spread: u16,
    has_unknown: bool,
    due: HostTime,
    values: Vec<u16>,
    samples: Vec<i16>,
}

impl Feed {
    /// Of a device that is not there yet.
    ///
    /// # Errors
    /// If the settings are not legal; `place` names where they come from.
    pub fn new(settings: Settings, place: &str) -> Result<Self, Error> {
        let (wanted, patience_ns) = (settings.wanted.clone(), settings.reorder_allowance_ns);
        Ok(Feed {
            host: Host::new(settings, place)?,
            wanted,
            raw: None,
            patience_ns,
            resampler: None,
            device: None,
            waiting: Vec::new(),
            first: 0,
            n: 0,
            given: 0,
            tracks: Tracks::new(),
            refusal: None,
        })
    }

    /// The host's end, for packets and times.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// What device it is, once it has answered.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// What the blocks are, once the device has answered.
    ///
    /// # Errors
    /// If the device sends what no pipeline takes.
    pub fn info(&self) -> Option<Result<StreamInfo, Error>> {
        Some(fit::stream_of(self.device.as_ref()?, &self.wanted))
    }

    /// Lets everything happen that is due by `now`, each at its own time, so that it doesn't matter when somebody looked;
    /// `send` gets the packets that the host then has.
    pub fn pass_time(&mut self, now: HostTime, mut send: impl FnMut(HostTime, &[u8])) {
        let mut last = None;
        while let Some(due) = self.host.poll_timeout().filter(|due| *due <= now && last != Some(*due)) {
            last = Some(due);
            self.host.handle_timeout(due);
            self.send(due, &mut send);
            self.collect(due);
        }
    }

    /// Takes a packet that came at `now`.
    pub fn take(&mut self, now: HostTime, packet: &[u8], mut send: impl FnMut(HostTime, &[u8])) {
        self.pass_time(now, &mut send);
        self.host.handle_packet(now, packet);
        self.send(now, &mut send);
        self.collect(now);
    }

    /// Gives the packets that the host has to send at `now`.
    pub fn send(&mut self, now: HostTime, mut send: impl FnMut(HostTime, &[u8])) {
        let mut packet = [0; PACKET_MAX];
        while let Some(n) = self.host.poll_packet(now, &mut packet) {
            send(now, &packet[..n]);
        }
    }

    /// Something happened to what carries the packets; where it was connected, how long they may be.
    pub fn carrier(&mut self, now: HostTime, news: &News) {
        self.tracks.note(now, Happening::Said(format!("Bluetooth: {}", news.text)));
        if let Some(packet_max) = news.packet_max {
            self.host.carrier_is_up(now, packet_max);
        }
    }

    /// Takes over what the host has to tell.
    pub fn collect(&mut self, now: HostTime) {
        let Feed {
            host,
            resampler,
            raw,
            patience_ns,
            device,
            waiting,
            first,
            n,
            tracks,
            refusal,
            wanted,
            ..
        } = self;
        let mut wants_key = false;
        // The clock as it is known before these bins: the same in a replay.
        let clock = host.clock().cloned();
        while let Some(event) = host.poll_event() {
            match event {
                Event::Bin(bin) => {
                    let Some(resampler) = resampler else { continue };
                    let end = bin.device_sample + u64::from(bin.width_samples);
                    let ended = DeviceTime { sample: end, fraction: 0 };
                    let ended = clock.as_ref().and_then(|clock| clock.host_time(ended));
                    // What arrives can't have been written later.
                    let due = ended.map_or(bin.arrived_at, |(at, _)| at.min(bin.arrived_at));
                    tracks.bin(&bin, due, now);
                    if bin.values.len() != resampler.n_channels() {
                        tracks.n_strange_bins += 1;
                        continue;
                    }
                    resampler.bin(&bin, |frame| {
                        let slot = claim(waiting, first, n, tracks);
                        slot.values.copy_from_slice(frame.values);
                        (slot.index, slot.n_lost, slot.n_frames) =
                            (frame.index, frame.n_lost, frame.n_frames);
                        (slot.spread, slot.has_unknown, slot.due) = (frame.spread, frame.has_unknown, due);
                    });
                }
                Event::Gap(gap) => {
                    tracks.gap(&gap, now);
                    if let Some(resampler) = resampler {
                        resampler.gap(&gap);
                    }
                }
                Event::Connected { device: found, is_resumed } => {
                    if let (Some(raw), false) = (raw.as_mut(), is_resumed) {
                        raw.restart();
                    }
                    tracks.connected(found, is_resumed, now);
                    let is_other =
                        device.as_ref().is_none_or(|known| known.n_electrodes != found.n_electrodes);
                    if is_other && device.is_none() {
                        let mut empty = Waiting::default();
                        if fit::is_raw(wanted) {
                            let (electrodes, rate) = (&wanted.raw_electrodes, found.sample_rate_millihertz);
                            let joiner = RawJoiner::new(electrodes, found.bits, rate, *patience_ns);
                            empty.samples = vec![0; joiner.n_frames_max() * electrodes.len()];
                            *raw = Some(joiner);
                        } else {
                            let samples = found.samples(wanted.bin_width_us);
                            *resampler = Some(Resampler::new(samples, found.n_electrodes));
                            empty.values = vec![0; found.n_electrodes];
                        }
                        *waiting = vec![empty; WAITING];
                        *device = Some(found.clone());
                    } else if is_other {
                        let text = format!("another device answers, of {} electrodes", found.n_electrodes);
                        tracks.note(now, Happening::Said(text));
                    }
                }
                Event::FormatChanged(change) => {
                    tracks.format(&change, now);
                    let takes = |resampler: &Resampler| {
                        resampler.accepts(change.format.bin_samples, change.format.mode)
                    };
                    if change.format.mode != Mode::Quiet
                        && let Some(Err(error)) = resampler.as_ref().map(takes)
                    {
                        tracks.note(now, Happening::Said(error.to_string()));
                        *refusal = Some(error);
                    }
                }
                Event::Telemetry(telemetry) => tracks.telemetry(&telemetry),
                Event::Acknowledged(ack) => tracks.ack(&ack, now),
                Event::Silent => tracks.note(now, Happening::Word("silent")),
                Event::Audible => tracks.note(now, Happening::Word("heard again")),
                Event::Disconnected(why) => tracks.note(now, Happening::Ended(why)),
                Event::Data(record) => {
                    tracks.data(&record);
                    if let (Some(raw), Record::Raw(record)) = (raw.as_mut(), record) {
                        wants_key |= raw.take(now, &record) == Taken::WantsKey;
                    }
                }
                Event::Connecting { .. } => {}
            }
        }
        if wants_key {
            host.request_key();
        }
        let Some(raw) = raw else { return };
        while let Some(run) = raw.next(now) {
            let ended = DeviceTime { sample: run.device_end, fraction: 0 };
            let ended = clock.as_ref().and_then(|clock| clock.host_time(ended));
            let due = ended.map_or(run.arrived_at, |(at, _)| at.min(run.arrived_at));
            tracks.run(run.arrived_at, due, now);
            let slot = claim(waiting, first, n, tracks);
            slot.samples[..run.samples.len()].copy_from_slice(run.samples);
            (slot.index, slot.n_lost, slot.due) = (run.index, run.n_lost, due);
            (slot.n_frames, slot.spread, slot.has_unknown) =
                ((run.samples.len() / wanted.raw_electrodes.len()) as u32, 1, false);
        }
        tracks.raw = raw.counts;
    }

    /// A frame waits.
    pub fn is_ready(&self) -> bool {
        self.n > 0
    }

    /// When the frame that comes next ended.
    pub fn first_due(&self) -> Option<HostTime> {
        self.is_ready().then(|| self.waiting[self.first].due)
    }

    /// Why bins of the present width can't be decoded, if they can't.
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// Fills `block` with the next frames; when they ended. `None` if none waits.
    ///
    /// # Panics
    /// If it is no block of such a stream as [`Feed::info`] says.
    pub fn pop(&mut self, block: &mut Block) -> Option<HostTime> {
        if self.n == 0 {
            return None;
        }
        let slot = &self.waiting[self.first];
        let n_frames = (slot.n_frames - self.given).min(BLOCK_FRAMES_MAX as u32);
        match (&mut block.payload, &self.raw) {
            (Payload::Counts(counts), None) => {
                for frame in counts.chunks_exact_mut(slot.values.len()).take(n_frames as usize) {
                    frame.copy_from_slice(&slot.values);
                }
            }
            (Payload::Int16(samples), Some(_)) => {
                let n = self.wanted.raw_electrodes.len();
                let (from, values) = (self.given as usize * n, n_frames as usize * n);
                samples[..values].copy_from_slice(&slot.samples[from..][..values]);
            }
            _ => panic!("a block of another kind than the stream's"),
        }
        let first = slot.index + u64::from(self.given);
        block.header = BlockHeader {
            first_sample: SampleIndex(first),
            n_frames,
            lost_frames: if self.given == 0 { u32::try_from(slot.n_lost).unwrap_or(u32::MAX) } else { 0 },
            starts_segment: first == 0,
            spread: slot.spread,
            has_unknown: slot.has_unknown,
        };
        let due = slot.due;
        self.given += n_frames;
        if self.given == slot.n_frames {
            self.given = 0;
            self.first = (self.first + 1) % self.waiting.len();
            self.n -= 1;
        }
        Some(due)
    }

    /// Where everything has gone until now.
    pub fn report(&mut self) -> LinkReport {
        let ledger = self.host.ledger();
        let reading = self.host.clock().and_then(|clock| clock.reading(self.tracks.last_at()));
        self.tracks.report(self.device.clone(), ledger, reading, self.host.throughput_bps())
    }
}

/// The place for the next frames, behind those that wait; where nobody reads, the newest win.
fn claim<'w>(
    waiting: &'w mut [Waiting],
    first: &mut usize,
    n: &mut usize,
    tracks: &mut Tracks,
) -> &'w mut Waiting {
    if *n == waiting.len() {
        *first = (*first + 1) % waiting.len();
        *n -= 1;
        tracks.n_unread += 1;
    }
    let at = (*first + *n) % waiting.len();
    *n += 1;
    &mut waiting[at]
}

/// Frames that wait for a reader at most: a second of 20 ms.
const WAITING: usize = 50;
/// What is not known stands for itself all the way.
const _: () = assert!(COUNT_UNKNOWN == u16::MAX);
