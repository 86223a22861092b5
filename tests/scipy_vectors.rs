//! Filters against SciPy: what `scripts/make-scipy-vectors` wrote, read back without Python.

use efference::block::Tile;
use efference::filter::design::{butterworth_band_pass, butterworth_high_pass, butterworth_low_pass, notch};
use efference::filter::reference::sosfilt;
use efference::filter::{FilterBank, Section};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Designs {
    designs: Vec<Design>,
}

#[derive(Deserialize)]
struct Design {
    kind: String,
    /// The quality of a notch.
    order: usize,
    low_hz: f64,
    high_hz: f64,
    rate: f64,
    sos: Vec<[String; 6]>,
}

#[derive(Deserialize)]
struct Responses {
    uv_per_count: f64,
    counts: HashMap<String, Vec<f64>>,
    filtered: Vec<Filtered>,
}

#[derive(Deserialize)]
struct Filtered {
    largest: f64,
    /// Evenly spaced samples, from the last one backwards.
    kept: Vec<f64>,
}

impl Design {
    fn name(&self) -> String {
        format!("{} {} {}-{} @ {}", self.kind, self.order, self.low_hz, self.high_hz, self.rate)
    }

    fn scipys(&self) -> Vec<[f64; 6]> {
        let exact = |text: &String| text.parse().expect("a number");
        self.sos.iter().map(|row| row.each_ref().map(exact)).collect()
    }

    fn ours(&self) -> Vec<Section> {
        match &*self.kind {
            "band_pass" => butterworth_band_pass(self.order, self.low_hz, self.high_hz, self.rate),
            "high_pass" => butterworth_high_pass(self.order, self.low_hz, self.rate),
            "low_pass" => butterworth_low_pass(self.order, self.high_hz, self.rate),
            "notch" => notch(self.low_hz, self.order as f64, self.rate).map(|section| vec![section]),
            other => panic!("an unknown kind {other}"),
        }
        .expect("SciPy made it, so it is legal")
    }
}

fn designs() -> Vec<Design> {
    let all: Designs = serde_json::from_str(include_str!("data/scipy/designs.json")).expect("valid");
    all.designs
}

fn responses() -> Responses {
    serde_json::from_str(include_str!("data/scipy/responses.json")).expect("valid")
}

#[test]
fn designs_equal_scipy() {
    for design in designs() {
        let ours = design.ours();
        assert_eq!(ours.len(), design.sos.len(), "{}", design.name());
        for (section, theirs) in ours.iter().zip(design.scipys()) {
            let Section { b, a } = section;
            let largest = b[1].abs().max(b[0].abs());
            for (value, expected, size) in [
                (b[0], theirs[0], largest),
                (b[1], theirs[1], largest),
                (b[2], theirs[2], largest),
                (1.0, theirs[3], 1.0),
                (a[0], theirs[4], 1.0),
                (a[1], theirs[5], 1.0),
            ] {
                assert!(
                    (value - expected).abs() <= 1e-12 * size,
                    "{}: {section:?}, SciPy has {theirs:?}",
                    design.name()
                );
            }
        }
    }
}

#[test]
fn the_reference_equals_sosfilt() {
    let Responses { uv_per_count, counts, filtered } = responses();
    for (design, filtered) in designs().iter().zip(&filtered) {
        let uv: Vec<f64> = counts[&design.rate.to_string()].iter().map(|c| c * uv_per_count).collect();
        let sections: Vec<Section> =
            design.scipys().iter().map(|s| Section { b: [s[0], s[1], s[2]], a: [s[4], s[5]] }).collect();
        let ours = sosfilt(&sections, &uv);
        let step = ours.len() / filtered.kept.len();
        for (y, expected) in ours.iter().rev().step_by(step).zip(&filtered.kept) {
            assert!((y - expected).abs() <= 1e-12 * filtered.largest, "{}: {y}, {expected}", design.name());
        }
    }
}

/// max|error| / max|output| of the fast filter, against the reference that the test above holds to SciPy.
#[test]
fn the_bank_stays_within_its_tolerance() {
    let Responses { uv_per_count, counts, .. } = responses();
    let mut tile = Tile::new();
    for design in designs() {
        let sections = design.ours();
        let counts = &counts[&design.rate.to_string()];
        let uv: Vec<f32> = counts.iter().map(|c| (c * uv_per_count) as f32).collect();
        let expected = sosfilt(&sections, &uv.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        let mut bank = FilterBank::new(&sections, 1);
        let (mut error, mut largest) = (0.0_f64, 0.0_f64);
        for (uv, expected) in uv.chunks(20).zip(expected.chunks(20)) {
            tile.n_frames = uv.len();
            tile.frames_mut().iter_mut().zip(uv).for_each(|(frame, &x)| frame[17] = x);
            bank.process(&mut tile);
            for (frame, &expected) in tile.frames().iter().zip(expected) {
                error = error.max((f64::from(frame[17]) - expected).abs());
                largest = largest.max(expected.abs());
            }
        }
        println!("{:40} {:.2e}", design.name(), error / largest);
        let spike_band = design.kind == "band_pass" && design.low_hz >= 250.0;
        let tolerance = if spike_band { SPIKE_BAND_TOLERANCE } else { BANK_TOLERANCE };
        assert!(error <= tolerance * largest, "{}: {:.2e}", design.name(), error / largest);
    }
}

/// Measured at most 2.5e-7 (order 5); orders up to 4: 1.9e-7.
const SPIKE_BAND_TOLERANCE: f64 = 3e-7;
/// Measured at most 4.7e-7 (low-pass of order 7).
const BANK_TOLERANCE: f64 = 5e-7;
