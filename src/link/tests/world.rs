//! A host, a device by script and the air between them, under a simulated clock.

use super::device::{N_CHANNELS, RATE_HZ, Scripted, count};
use crate::block::COUNT_UNKNOWN;
use crate::link::{Cause, Ending, Event, Gap, Host, Settings, Wanted};
use crate::time::HostTime;
use crate::wire::session::{Access, Key};
use std::collections::BTreeSet;

/// What the air does to packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Air {
    pub(crate) loss: f64,
    pub(crate) twice: f64,
    pub(crate) damage: f64,
    pub(crate) truncation: f64,
    /// Delay, and what may come on top of it.
    pub(crate) delay_ns: u64,
    pub(crate) jitter_ns: u64,
    /// Nothing gets through.
    pub(crate) is_dead: bool,
    pub(crate) random: u64,
    /// When they arrive, whether they are as they were sent, and they themselves.
    flying: Vec<(u64, bool, Vec<u8>)>,
}

impl Air {
    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn send(&mut self, now_ns: u64, mut packet: Vec<u8>) {
        if self.is_dead || self.chance() < self.loss {
            return;
        }
        let sent = packet.clone();
        if self.chance() < self.damage {
            let at = (self.chance() * packet.len() as f64) as usize;
            packet[at] ^= 1 << (self.chance() * 8.0) as u32;
        }
        if self.chance() < self.truncation {
            packet.truncate((self.chance() * packet.len() as f64) as usize);
        }
        let n = if self.chance() < self.twice { 2 } else { 1 };
        for _ in 0..n {
            let due = now_ns + self.delay_ns + (self.chance() * self.jitter_ns as f64) as u64;
            self.flying.push((due, packet == sent, packet.clone()));
        }
    }

    /// Those that have arrived, in order of arrival.
    fn arrive(&mut self, now_ns: u64) -> Vec<(u64, bool, Vec<u8>)> {
        self.flying.sort_by_key(|(due, ..)| *due);
        let n = self.flying.partition_point(|(due, ..)| *due <= now_ns);
        self.flying.drain(..n).collect()
    }
}

/// A bin as it was given out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) boot: u32,
    pub(crate) first: u64,
    pub(crate) device_sample: u64,
    pub(crate) width: u32,
    pub(crate) number: u32,
    pub(crate) is_whole: bool,
    pub(crate) n_unknown: usize,
    pub(crate) given_ns: u64,
}

pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) device: Scripted,
    pub(crate) up: Air,
    pub(crate) down: Air,
    pub(crate) now_ns: u64,
    pub(crate) bins: Vec<Seen>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) events: Vec<String>,
    pub(crate) endings: Vec<Ending>,
    boot: u32,
    /// One past the last sample of the stream that was given out or given up.
    end: Option<u64>,
    /// Datagrams that got through whole, by their head: each counts once.
    pub(crate) delivered: BTreeSet<Vec<u8>>,
    /// What passed the host, for a replay.
    pub(crate) tape: Vec<(u64, bool, Vec<u8>)>,
    /// Allocations of the host while it took packets and gave some.
    pub(crate) n_allocations: u64,
}

impl World {
    pub(crate) fn new(seed: u64, wanted: Wanted, access: Access) -> Self {
        let now_ns = 5_000_000_000;
        let air = |seed: u64| Air { delay_ns: 3_000_000, random: seed, ..Air::default() };
        World {
            host: Host::new(Settings::new(access.clone(), [3; 32], wanted), "test").expect("legal"),
            device: Scripted::new(access, now_ns),
            up: air(seed),
            down: air(seed ^ 0xFFFF),
            now_ns,
            bins: Vec::new(),
            gaps: Vec::new(),
            events: Vec::new(),
            endings: Vec::new(),
            boot: 0,
            end: None,
            delivered: BTreeSet::new(),
            tape: Vec::new(),
            n_allocations: 0,
        }
    }

    pub(crate) fn sealed(seed: u64) -> Self {
        World::new(seed, Wanted::default(), Access::Paired(Key::from_bytes([9; 32])))
    }

    /// Runs for so long, in steps of a millisecond.
    pub(crate) fn run_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_ns += 1_000_000;
            self.step();
        }
    }

    fn step(&mut self) {
        self.device.step(self.now_ns);
        for packet in self.device.take_packets() {
            self.up.send(self.now_ns, packet);
        }
        for (at, is_intact, packet) in self.up.arrive(self.now_ns) {
            // Version 2, sealed or plain, whole: session and sequence follow.
            if is_intact && matches!(packet[0], 0x48 | 0x4C) {
                self.delivered.insert(packet[1..6].to_vec());
            }
            let host = &mut self.host;
            let used = allocation_counter::measure(|| host.handle_packet(HostTime { ns: at }, &packet));
            self.n_allocations += used.count_total;
            self.tape.push((at, true, packet));
            self.serve();
        }
        if self.host.poll_timeout().is_some_and(|at| at.ns <= self.now_ns) {
            self.host.handle_timeout(HostTime { ns: self.now_ns });
            self.serve();
        }
        for (_, _, packet) in self.down.arrive(self.now_ns) {
            self.device.receive(self.now_ns, &packet);
        }
    }

    /// Takes all that the host has to say.
    pub(crate) fn serve(&mut self) {
        let mut packet = [0; 512];
        loop {
            let (host, mut length, now) = (&mut self.host, None, HostTime { ns: self.now_ns });
            let used = allocation_counter::measure(|| length = host.poll_packet(now, &mut packet));
            self.n_allocations += used.count_total;
            let Some(length) = length else { break };
            self.tape.push((self.now_ns, false, packet[..length].to_vec()));
            self.down.send(self.now_ns, packet[..length].to_vec());
        }
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Bin(bin) => {
                    let seen = Seen {
                        boot: self.boot,
                        first: bin.first_sample.0,
                        device_sample: bin.device_sample,
                        width: bin.width_samples,
                        number: bin.number,
                        is_whole: bin.is_whole,
                        n_unknown: bin.n_unknown,
                        given_ns: self.now_ns,
                    };
                    let mut n_unknown = 0;
                    for (channel, &value) in bin.values.iter().enumerate() {
                        // A bin of an earlier start may come out after the device has been heard of anew.
                        let is_true =
                            (7000..=self.boot).any(|boot| value == count(boot, bin.device_sample, channel));
                        match value {
                            COUNT_UNKNOWN => n_unknown += 1,
                            value => assert!(is_true, "{value} of channel {channel}: {seen:?}"),
                        }
                    }
                    assert_eq!((bin.n_unknown, bin.values.len()), (n_unknown, N_CHANNELS));
                    let end = self.end.replace(seen.first + u64::from(seen.width));
                    assert!(end.is_none_or(|end| end == seen.first), "{end:?}: {seen:?}");
                    self.bins.push(seen);
                }
                Event::Gap(gap) => {
                    let end = self.end.replace(gap.first_sample.0 + gap.n_samples);
                    assert_eq!(end, Some(gap.first_sample.0), "{gap:?}");
                    assert!(gap.n_bins > 0 && gap.n_samples > 0);
                    self.gaps.push(gap);
                }
                Event::Connected { device, is_resumed } => {
                    self.boot = device.boot;
                    self.events.push(format!("connected {is_resumed}"));
                }
                Event::Connecting { attempt } => self.events.push(format!("connecting {attempt}")),
                Event::Silent => self.events.push("silent".to_string()),
                Event::Audible => self.events.push("audible".to_string()),
                Event::Disconnected(why) => {
                    self.events.push(format!("disconnected: {why}"));
                    self.endings.push(why);
                }
                Event::FormatChanged(change) => self.events.push(change.to_string()),
                Event::Acknowledged(ack) => self.events.push(format!("{:?} {}", ack.status, ack.id)),
                Event::Data(record) => self.events.push(format!("{record:?}")),
                Event::Telemetry(_) => {}
            }
        }
    }

    /// Lets all arrive that is on its way, and closes.
    pub(crate) fn close(&mut self) {
        self.device.is_running = false;
        self.run_ms(150);
        self.device.is_mute = true;
        self.run_ms(150);
        self.host.close(HostTime { ns: self.now_ns }, Some(self.device.sent));
        self.serve();
        let ledger = self.host.ledger();
        assert!(ledger.is_balanced(), "{ledger:#?}");
        let lost: u64 = self.gaps.iter().map(|gap| gap.n_bins).sum();
        let n_whole = self.bins.iter().filter(|bin| bin.is_whole).count() as u64;
        let bins = ledger.bins;
        assert_eq!((bins.whole, bins.lost), (n_whole, lost), "{:#?}", self.gaps);
        assert_eq!(bins.whole + bins.partial, self.bins.len() as u64);
        assert_eq!(ledger.link.untaken_events + ledger.records.untaken, 0);
        assert_eq!(ledger.records.malformed + ledger.records.misdirected, 0);
    }

    /// Lost bins by cause.
    pub(crate) fn lost(&self, cause: Cause) -> u64 {
        self.gaps.iter().filter(|gap| gap.cause == cause).map(|gap| gap.n_bins).sum()
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.events.iter().any(|seen| seen.contains(event))
    }

    /// Where the host's time stands in the stream, by the first boot's clock.
    pub(crate) fn stream_end(&self) -> u64 {
        self.end.expect("something came")
    }
}

pub(crate) fn samples(ms: u64) -> u64 {
    ms * RATE_HZ / 1000
}
