//! Clicks: a classifier's word on each bin, made steady by a hidden Markov model of two states; or a cursor that dwells.
//!
//! In: for each bin the log odds that the user means to click (an LDA of two classes on the features that move the cursor;
//! Kim et al. 2011, IEEE TNSRE 19:193), or where the cursor is. Out: whether the button is held, and the moment at which it
//! goes down and up. With a = P(click | features so far), s the chance that a state stays as it is, and r the odds that a
//! bin adds to the prior's,
//!
//! > a⁻ = s·a + (1 − s)·(1 − a),  a / (1 − a) = r · a⁻ / (1 − a⁻)
//!
//! the forward step of a hidden Markov model (Rabiner 1989, eq. 20). The button goes down when a has been above one bound for
//! some bins and up when it falls below another, lower one, so that it doesn't chatter and a drag can be held. Pure; no
//! memory.

use super::{Decoder, Output};
use crate::binning::Bin;
use crate::intents::{AXES_MAX, Action};

/// How sure a click has to be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClickRule {
    /// Chance that a bin is of the state of the bin before.
    pub stay: f64,
    /// P(click) in the data that the classifier was trained on, which its odds hold.
    pub prior: f64,
    /// The button goes down above this …
    pub down_above: f64,
    /// … for so many bins in a row,
    pub down_bins: u32,
    /// and up below this.
    pub up_below: f64,
    /// Bins after a release in which it can't go down.
    pub rest_bins: u32,
}

impl Default for ClickRule {
    /// For bins of 20 ms: a state lasts a second on average, a press takes 60 ms, 200 ms between two.
    fn default() -> Self {
        ClickRule { stay: 0.98, prior: 0.5, down_above: 0.9, down_bins: 3, up_below: 0.4, rest_bins: 10 }
    }
}

impl ClickRule {
    /// Whether all numbers are where they have a meaning.
    pub fn is_legal(&self) -> bool {
        let inside = |x: f64| x > 0.0 && x < 1.0;
        [self.stay, self.prior, self.down_above, self.up_below].into_iter().all(inside)
            && self.up_below < self.down_above
            && self.down_bins > 0
    }
}

/// What became of the button in a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// Not held.
    Up,
    /// Goes down in this bin.
    Pressed,
    /// Held.
    Down,
    /// Goes up in this bin.
    Released,
}

/// Makes clicks of a classifier's words.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickDecoder {
    rule: ClickRule,
    probability: f64,
    is_down: bool,
    above: u32,
    rest: u32,
}

impl ClickDecoder {
    /// Not held, and nothing known; `None` where the rule isn't legal.
    pub fn new(rule: ClickRule) -> Option<Self> {
        let probability = 1.0 - rule.stay;
        rule.is_legal().then_some(ClickDecoder { rule, probability, is_down: false, above: 0, rest: 0 })
    }

    /// Takes what a classifier of the two classes rest (0) and click (1) says of a bin. What is no choice says nothing.
    pub fn follow(&mut self, action: &Action) -> Button {
        let log_odds = match *action {
            Action::Choose { class, probability } => {
                let p = f64::from(probability).clamp(0.5, CERTAIN);
                let odds = (p / (1.0 - p)).ln();
                if class == 1 { odds } else { -odds }
            }
            Action::Move { .. } => (self.rule.prior / (1.0 - self.rule.prior)).ln(),
        };
        self.step(log_odds)
    }

    /// Takes the log odds of a click in the next bin, as a classifier says them; what is not finite says nothing.
    pub fn step(&mut self, log_odds: f64) -> Button {
        let rule = self.rule;
        let before = rule.stay * self.probability + (1.0 - rule.stay) * (1.0 - self.probability);
        let adds = if log_odds.is_finite() { log_odds - (rule.prior / (1.0 - rule.prior)).ln() } else { 0.0 };
        let odds = adds.clamp(-ADDS_MAX, ADDS_MAX).exp() * before / (1.0 - before);
        self.probability = (odds / (1.0 + odds)).clamp(1.0 - CERTAIN, CERTAIN);
        self.above = if self.probability > rule.down_above { self.above + 1 } else { 0 };
        self.rest = self.rest.saturating_sub(1);
        match self.is_down {
            true if self.probability < rule.up_below => self.release(),
            true => Button::Down,
            false if self.above >= rule.down_bins && self.rest == 0 => {
                self.is_down = true;
                Button::Pressed
            }
            false => Button::Up,
        }
    }

    /// Lets go at once, as where data goes stale.
    pub fn release(&mut self) -> Button {
        let was_down = std::mem::take(&mut self.is_down);
        (self.above, self.rest) = (0, self.rule.rest_bins + 1);
        if was_down { Button::Released } else { Button::Up }
    }

    /// As if nothing had been heard.
    pub fn reset(&mut self) {
        (self.probability, self.is_down, self.above, self.rest) = (1.0 - self.rule.stay, false, 0, 0);
    }

    /// P(click) after the bins so far.
    pub fn probability(&self) -> f64 {
        self.probability
    }
}

/// A classifier of rest and click, and what makes clicks of its words: hears the same bins as the decoder beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clicker {
    classes: Decoder,
    clicks: ClickDecoder,
}

impl Clicker {
    /// Puts the two together; `None` where the classifier isn't one of two classes, or the rule isn't legal.
    pub fn new(classes: Decoder, rule: ClickRule) -> Option<Self> {
        let linear = classes.linear();
        let is_of_two = *linear.output() == Output::Choose && linear.weights().offset.len() == 2;
        Some(Clicker { classes, clicks: ClickDecoder::new(rule).filter(|_| is_of_two)? })
    }

    /// Takes the next bin: P(click) while the button is to be held, 0 while it isn't. What is lost says nothing.
    pub(super) fn step(&mut self, bin: &Bin) -> f32 {
        if bin.starts_segment {
            self.clicks.reset();
        }
        let said = self.classes.decode(bin).action;
        let button = match bin.received_frames {
            0 => self.clicks.step(f64::NAN),
            _ => self.clicks.follow(&said),
        };
        match button {
            Button::Pressed | Button::Down => self.clicks.probability() as f32,
            Button::Up | Button::Released => 0.0,
        }
    }

    /// Goes on where `before` stands, with its own classifier.
    pub(super) fn continue_from(&mut self, before: &mut Clicker) {
        self.clicks = before.clicks.clone();
        self.classes.continue_from(&mut before.classes);
    }

    pub(super) fn reset(&mut self) {
        self.classes.reset();
        self.clicks.reset();
    }

    /// Whether the one can take over from the other.
    pub(super) fn is_alike(&self, other: &Clicker) -> bool {
        self.classes.is_alike(&other.classes)
    }

    pub(super) fn for_crossings(self) -> Self {
        Clicker { classes: self.classes.for_crossings(), clicks: self.clicks }
    }

    /// The classifier.
    pub fn classes(&self) -> &Decoder {
        &self.classes
    }

    /// The rule.
    pub fn rule(&self) -> ClickRule {
        self.clicks.rule
    }
}

/// The fallback: a cursor that stays where it is for long enough clicks.
#[derive(Clone, Debug, PartialEq)]
pub struct Dwell {
    radius: f64,
    bins: u32,
    centre: Option<[f64; AXES_MAX]>,
    stayed: u32,
}

impl Dwell {
    /// A click when the cursor has stayed within `radius` of where it came to rest for `bins` bins.
    pub fn new(radius: f64, bins: u32) -> Self {
        Dwell { radius, bins: bins.max(1), centre: None, stayed: 0 }
    }

    /// Takes where the cursor is in the next bin; true in the bin of the click. It has to leave before it can click again.
    pub fn step(&mut self, position: [f64; AXES_MAX]) -> bool {
        let far = |centre: &[f64; AXES_MAX]| {
            centre.iter().zip(&position).map(|(a, b)| (a - b).powi(2)).sum::<f64>() > self.radius.powi(2)
        };
        match &self.centre {
            Some(centre) if !far(centre) => self.stayed = self.stayed.saturating_add(1),
            _ => (self.centre, self.stayed) = (Some(position), 1),
        }
        self.stayed == self.bins
    }
}

/// No bin makes more than this sure.
const CERTAIN: f64 = 1.0 - 1e-6;
/// Nor adds more than this to the log odds.
const ADDS_MAX: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forward_step_is_that_of_the_textbook() {
        let rule = ClickRule { stay: 0.9, prior: 0.2, ..ClickRule::default() };
        let mut decoder = ClickDecoder::new(rule).expect("legal");
        // α over both states, each bin's likelihoods from its odds: L(click)/L(rest) = odds · (1 − prior)/prior.
        let mut alpha = [0.9, 0.1];
        for log_odds in [0.3, -1.0, 2.0, 2.5, -0.2, 1.0f64] {
            decoder.step(log_odds);
            let ahead = [0.9 * alpha[0] + 0.1 * alpha[1], 0.1 * alpha[0] + 0.9 * alpha[1]];
            let likelihood = [1.0, log_odds.exp() * 0.8 / 0.2];
            let joint = [ahead[0] * likelihood[0], ahead[1] * likelihood[1]];
            alpha = joint.map(|value| value / (joint[0] + joint[1]));
            assert!((decoder.probability() - alpha[1]).abs() < 1e-12);
        }
    }

    #[test]
    fn one_loud_bin_is_no_click_and_a_drag_holds_through_a_doubtful_one() {
        let rule = ClickRule { rest_bins: 20, ..ClickRule::default() };
        let mut decoder = ClickDecoder::new(rule).expect("legal");
        let mut said: Vec<Button> = [-3.0, 6.0, -3.0, -3.0].map(|odds| decoder.step(odds)).to_vec();
        assert_eq!(said, [Button::Up; 4]);
        said = [3.0, 3.0, 3.0, 3.0, -1.0, 3.0].map(|odds| decoder.step(odds)).to_vec();
        let pressed = said.iter().position(|button| *button == Button::Pressed).expect("it is pressed");
        assert!(said[pressed + 1..].iter().all(|button| *button == Button::Down), "{said:?}");
        let off: Vec<Button> = (0..8).map(|_| decoder.step(-3.0)).collect();
        assert_eq!(off.iter().filter(|button| **button == Button::Released).count(), 1);
        let again = (0..5).map(|_| decoder.step(5.0)).filter(|button| *button == Button::Pressed).count();
        assert_eq!(again, 0, "it rests first");
    }

    #[test]
    fn words_that_say_nothing_press_nothing() {
        let mut decoder = ClickDecoder::new(ClickRule::default()).expect("legal");
        for log_odds in [f64::NAN, f64::INFINITY, 0.0].into_iter().cycle().take(500) {
            assert_eq!(decoder.step(log_odds), Button::Up);
        }
        assert!((decoder.probability() - 0.5).abs() < 1e-6, "after long nothing is known");
        for _ in 0..9 {
            decoder.follow(&Action::Choose { class: 1, probability: 1.0 });
        }
        assert_eq!(decoder.release(), Button::Released);
        assert_eq!(decoder.release(), Button::Up);
        assert!(ClickDecoder::new(ClickRule { up_below: 0.95, ..ClickRule::default() }).is_none());
    }

    #[test]
    fn a_dwelling_cursor_clicks_once() {
        let mut dwell = Dwell::new(1.0, 3);
        let at = |x: f64| [x, 0.0, 0.0];
        let said: Vec<bool> =
            [0.0, 0.5, 5.0, 5.2, 4.9, 5.0, 5.1, 9.0, 9.0, 9.0].map(|x| dwell.step(at(x))).to_vec();
        assert_eq!(said, [false, false, false, false, true, false, false, false, false, true]);
    }
}
