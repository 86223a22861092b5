//! What of it the radio has taken, where the stack doesn't tell.
//!
//! In: what is handed over, confirmations. Out: whether there is room. BlueZ takes whatever a server notifies of, at once,
//! and keeps it in a queue without bound: neither a full radio nor a dead one shows. What does show is the confirmation of
//! an indication, which bluetoothd sends behind all notifications that wait. Guarantees: never more than [`PACKETS_MAX`]
//! that no confirmation has told of; one question at a time.

/// Packets, in the order in which they were handed over.
#[derive(Debug, Default)]
pub(super) struct Window {
    n_handed: u64,
    n_taken: u64,
    /// What had been handed over when an indication was sent that isn't confirmed.
    asked: Option<u64>,
}

impl Window {
    /// Another packet may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.n_handed - self.n_taken < PACKETS_MAX
    }

    /// A packet was handed over.
    pub(super) fn hand(&mut self) {
        self.n_handed += 1;
    }

    /// It is time to ask what the radio has taken.
    pub(super) fn wants_to_ask(&self) -> bool {
        self.asked.is_none() && self.n_handed - self.n_taken >= ASK_AFTER
    }

    /// An indication is sent.
    pub(super) fn ask(&mut self) {
        self.asked = Some(self.n_handed);
    }

    /// An indication is on its way.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// The indication was confirmed; one that nobody sent tells nothing.
    pub(super) fn confirm(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.n_taken = asked;
        }
    }
}

/// Three intervals of 15 ms on the fast PHY, as long as a question takes; at a slow radio a third of a second.
const PACKETS_MAX: u64 = 32;
/// So seldom that questions cost a few percent of the radio, so often that the answer comes before the room is gone.
const ASK_AFTER: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]
        // Against a radio whose queue is seen: one list, from which packets go in order, questions among them.
        #[test]
        fn the_queue_is_bounded_and_never_stuck(steps in prop::collection::vec(0_u8..4, 1..400)) {
            let (mut window, mut queue) = (Window::default(), VecDeque::new());
            let mut step = |step: u8| {
                match step {
                    0 | 1 if window.has_room() => {
                        window.hand();
                        queue.push_back(false);
                    }
                    2 if window.wants_to_ask() => {
                        window.ask();
                        queue.push_back(true);
                    }
                    3 if queue.front() == Some(&true) => {
                        queue.pop_front();
                        window.confirm();
                    }
                    3 => {
                        queue.pop_front();
                    }
                    _ => {}
                }
                let n_waiting = queue.iter().filter(|is_question| !**is_question).count() as u64;
                assert!(n_waiting <= PACKETS_MAX, "{n_waiting} wait");
                (window.has_room(), queue.is_empty())
            };
            steps.into_iter().for_each(|what| { step(what); });
            // Whatever was, a radio that takes packets makes room.
            let mut last = (false, false);
            for _ in 0..2 * PACKETS_MAX + 2 {
                step(2);
                last = step(3);
            }
            prop_assert_eq!(last, (true, true));
        }
    }

    #[test]
    fn a_confirmation_that_nobody_asked_for_tells_nothing() {
        let mut window = Window::default();
        for _ in 0..PACKETS_MAX {
            assert!(window.has_room());
            window.hand();
        }
        window.confirm();
        assert!(!window.has_room() && window.wants_to_ask());
        window.ask();
        assert!(!window.wants_to_ask() && window.is_asking());
        window.confirm();
        assert!(window.has_room() && !window.is_asking());
    }
}
