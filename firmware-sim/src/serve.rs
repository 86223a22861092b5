//! An implant in real time, behind a bad radio, at the end of a socket.
//!
//! In: a [`Body`], a [`Radio`], a transport. Out: packets to whoever is there, and a [`Served`] account at the end. The
//! only part of this package that reads a clock.

use crate::body::Body;
use crate::faults::Direction;
use crate::radio::{Ledger, Radio};
use efference::Error;
use efference::sources::link::{PACKET_MAX, Received, Transport};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What became of everything.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Seconds of real time.
    pub seconds: f64,
    /// From the device to the host.
    pub up: Ledger,
    /// From the host to the device.
    pub down: Ledger,
    /// Datagrams that the implant sealed.
    pub datagrams: u64,
    /// Milliseconds that the simulation was behind at worst.
    pub late_ms: f64,
}

/// Serves until `stop`, or for `seconds`.
///
/// # Errors
/// None of a simulation.
#[expect(clippy::disallowed_methods, reason = "real time is what this is for")]
pub fn serve(
    body: &mut Body,
    radio: &mut Radio,
    transport: &mut Transport,
    seconds: f64,
    stop: &AtomicBool,
) -> Result<Served, Error> {
    let start = Instant::now();
    let now_us = || start.elapsed().as_micros() as u64;
    let end_us = (seconds * 1e6) as u64;
    let mut packet = [0; PACKET_MAX];
    let mut late_us = 0;
    let mut next_us = 0;
    let (mut senders, mut up) = (Senders::default(), Vec::new());
    while now_us() < end_us && !stop.load(Ordering::Relaxed) && !body.is_over() {
        next_us += STEP_US;
        let wait = Duration::from_micros(next_us.saturating_sub(now_us()));
        // Packets of the host wake us up; without them the next millisecond does.
        if let Received::Packet(n) = transport.receive(&mut packet, wait) {
            if let Some(from) = transport.last_from() {
                senders.note(&packet[..n], from);
            }
            // A radio that doesn't take it counts it.
            let _taken = radio.send(now_us(), Direction::Down, &packet[..n]);
            next_us -= STEP_US;
        }
        let now = now_us();
        late_us = late_us.max(now.saturating_sub(next_us + STEP_US));
        body.advance(now)?;
        let mut genuine_from = None;
        let taken = |packet: &[u8]| genuine_from = senders.of(packet).or(genuine_from);
        exchange(body, radio, now, &mut packet, taken, |packet| up.push(packet.to_vec()));
        if let Some(from) = genuine_from {
            transport.accept_peer(from);
        }
        up.drain(..).for_each(|packet| transport.send(&packet));
    }
    let sent = body.implant().with(|implant| implant.link().n_sent_in_all());
    Ok(Served {
        seconds: start.elapsed().as_secs_f64(),
        up: radio.ledger(Direction::Up),
        down: radio.ledger(Direction::Down),
        datagrams: body.sent_before + sent,
        late_ms: late_us as f64 / 1e3,
    })
}

/// Who sent the last packets. Anybody can send one, so that answers go only to those whose packets were genuine: a host
/// behind a relay may come from another port at any time, and a stranger takes nothing away from it.
#[derive(Default)]
struct Senders {
    last: VecDeque<(u64, SocketAddr)>,
}

impl Senders {
    fn note(&mut self, packet: &[u8], from: SocketAddr) {
        if self.last.len() == SENDERS_MAX {
            self.last.pop_front();
        }
        self.last.push_back((hash(packet), from));
    }

    fn of(&self, packet: &[u8]) -> Option<SocketAddr> {
        let hash = hash(packet);
        self.last.iter().rev().find(|(of, _)| *of == hash).map(|&(_, from)| from)
    }
}

fn hash(packet: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    packet.hash(&mut hasher);
    hasher.finish()
}

/// Packets of hosts that are under way at a time.
const SENDERS_MAX: usize = 256;

/// Everything that the radio has for the device goes to it, all that it has to send to the radio, and what the radio has
/// for the host to `up`. `genuine` hears of the packets that were of somebody with the key.
pub fn exchange(
    body: &mut Body,
    radio: &mut Radio,
    now_us: u64,
    packet: &mut [u8; PACKET_MAX],
    mut genuine: impl FnMut(&[u8]),
    mut up: impl FnMut(&[u8]),
) {
    while let Some(n) = radio.receive(now_us, Direction::Down, packet) {
        if body.handle_packet(&packet[..n]) {
            genuine(&packet[..n]);
        }
    }
    let mtu = radio.mtu(now_us, Direction::Up);
    // As a controller does: what it has no room for stays with the firmware, whose newest data win.
    while radio.has_room(now_us, Direction::Up) {
        let Some(n) = body.poll_packet(mtu, packet) else { break };
        if radio.send(now_us, Direction::Up, &packet[..n]).is_err() {
            break;
        }
    }
    while let Some(n) = radio.receive(now_us, Direction::Up, packet) {
        up(&packet[..n]);
    }
}

const STEP_US: u64 = 1_000;
