//! What the central's thread and whoever decodes both see.
//!
//! In: counts and happenings of the one. Out: the same for the other. Guarantees: packets never meet a lock; happenings
//! that nobody looks at are forgotten, the oldest first.

use super::super::{BleReport, News};
use crate::sources::link::PACKET_MAX;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Seen from both sides.
pub(super) struct Shared {
    /// 0 while there is no connection.
    packet_max: AtomicUsize,
    counts: Counts,
    /// Happenings until now, so that nobody takes the lock in vain.
    n_news: AtomicU64,
    state: Mutex<State>,
}

/// How often something happened.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) unwritten: AtomicU64,
}

#[derive(Default)]
struct State {
    report: BleReport,
    /// The last of them; the newest has the number `n_news`.
    news: VecDeque<News>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Shared {
            packet_max: AtomicUsize::new(0),
            counts: Counts::default(),
            n_news: AtomicU64::new(0),
            state: Mutex::new(State::default()),
        }
    }

    /// The largest packet that is taken now.
    pub(super) fn packet_max(&self) -> usize {
        self.packet_max.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, which: impl Fn(&Counts) -> &AtomicU64) {
        which(&self.counts).fetch_add(1, Ordering::Relaxed);
    }

    /// What comes after the first `n_seen` happenings.
    pub(super) fn news(&self, n_seen: &mut u64) -> Option<News> {
        if self.n_news.load(Ordering::Acquire) == *n_seen {
            return None;
        }
        let state = self.state();
        let n_news = self.n_news.load(Ordering::Acquire);
        let kept = state.news.len() as u64;
        *n_seen = (*n_seen).max(n_news - kept);
        let at = (*n_seen + kept - n_news) as usize;
        *n_seen += 1;
        state.news.get(at).cloned()
    }

    pub(super) fn report(&self) -> BleReport {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        BleReport {
            connections: of(&counts.connections),
            stalls: of(&counts.stalls),
            received: of(&counts.received),
            dropped_on_host: of(&counts.dropped),
            malformed: of(&counts.malformed),
            written: of(&counts.written),
            unwritten: of(&counts.unwritten),
            ..self.state().report.clone()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever was half written is text for people.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &mut State, news: News) {
        if state.news.len() == NEWS_MAX {
            state.news.pop_front();
        }
        state.news.push_back(news);
        self.n_news.fetch_add(1, Ordering::Release);
    }
}

/// The central's side.
pub(super) struct Sink {
    shared: Arc<Shared>,
    packets: Sender<Vec<u8>>,
    /// To make room: the newest win.
    oldest: Receiver<Vec<u8>>,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>, packets: Sender<Vec<u8>>, oldest: Receiver<Vec<u8>>) -> Self {
        Sink { shared, packets, oldest }
    }

    /// Gives a packet to whoever decodes.
    pub(super) fn push(&self, mut packet: Vec<u8>) {
        if packet.is_empty() || packet.len() > PACKET_MAX {
            self.count(|counts| &counts.malformed);
            return;
        }
        self.count(|counts| &counts.received);
        // Ends: whoever reads only makes more room.
        while let Err(TrySendError::Full(back)) = self.packets.try_send(packet) {
            packet = back;
            if self.oldest.try_recv().is_ok() {
                self.count(|counts| &counts.dropped);
            }
        }
    }

    pub(super) fn count(&self, which: impl Fn(&Counts) -> &AtomicU64) {
        self.shared.count(which);
    }

    /// Where the link stands now, in words. The same again is no news.
    pub(super) fn stand(&self, standing: String) {
        let mut state = self.shared.state();
        self.shared.packet_max.store(0, Ordering::Relaxed);
        if state.report.standing != standing {
            state.report.standing.clone_from(&standing);
            self.shared.tell(&mut state, News { text: standing, packet_max: None });
        }
    }

    /// Connected: packets of at most `packet_max` bytes are taken from now on. `fill` enters what is known.
    pub(super) fn connected(&self, packet_max: usize, fill: impl FnOnce(&mut BleReport)) {
        let mut state = self.shared.state();
        fill(&mut state.report);
        state.report.packet_max = Some(packet_max);
        self.count(|counts| &counts.connections);
        self.shared.packet_max.store(packet_max, Ordering::Relaxed);
        let text = state.report.standing.clone();
        self.shared.tell(&mut state, News { text, packet_max: Some(packet_max) });
    }

    /// Enters what is known of the connection's bursts.
    pub(super) fn bursts(&self, burst_ms: Option<f64>) {
        self.shared.state().report.burst_ms = burst_ms;
    }
}

/// Happenings that are kept.
const NEWS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_packets_win_and_the_rest_are_counted() {
        let (sender, packets) = crossbeam_channel::bounded(4);
        let shared = Arc::new(Shared::new());
        let sink = Sink::new(shared.clone(), sender, packets.clone());
        for n in 0..10 {
            sink.push(vec![n]);
        }
        sink.push(Vec::new());
        sink.push(vec![0; PACKET_MAX + 1]);
        let kept: Vec<Vec<u8>> = packets.try_iter().collect();
        assert_eq!(kept, [[6], [7], [8], [9]]);
        let report = shared.report();
        assert_eq!((report.received, report.dropped_on_host, report.malformed), (10, 6, 2));
    }

    #[test]
    fn happenings_come_once_in_order_and_the_oldest_are_forgotten() {
        let (sender, packets) = crossbeam_channel::bounded(1);
        let shared = Arc::new(Shared::new());
        let sink = Sink::new(shared.clone(), sender, packets);
        let mut n_seen = 0;
        assert_eq!(shared.news(&mut n_seen), None);
        sink.stand("off".to_string());
        sink.stand("off".to_string());
        sink.connected(244, |report| report.standing = "on".to_string());
        assert_eq!(shared.packet_max(), 244);
        let news = |n_seen: &mut u64| shared.news(n_seen).map(|news| (news.text, news.packet_max));
        assert_eq!(news(&mut n_seen), Some(("off".to_string(), None)));
        assert_eq!(news(&mut n_seen), Some(("on".to_string(), Some(244))));
        assert_eq!(news(&mut n_seen), None);
        for n in 0..NEWS_MAX + 5 {
            sink.stand(n.to_string());
        }
        assert_eq!(shared.packet_max(), 0);
        assert_eq!(news(&mut n_seen), Some(("5".to_string(), None)));
        assert_eq!(std::iter::from_fn(|| shared.news(&mut n_seen)).count(), NEWS_MAX - 1);
    }
}
