//! Help on the way to a target, and what was meant on it.
//!
//! In: a velocity, and the way from the cursor to the target. Out: a velocity. Both are pure geometry, in any unit.

/// Takes the share `assistance` off what of `velocity` doesn't lead along `way`: what is aside, and what leads away
/// (error attenuation; Velliste et al. 2008, Nature 453:1098). 0 changes nothing; 1 leaves the way alone. On the target
/// (`way` shorter than `radius`) everything leads away, and all of it is attenuated.
pub fn attenuate(velocity: [f64; 2], way: [f64; 2], radius: f64, assistance: f64) -> [f64; 2] {
    let far = way[0].hypot(way[1]);
    let keep = 1.0 - assistance.clamp(0.0, 1.0);
    if far.is_nan() || far <= radius {
        return velocity.map(|v| v * keep);
    }
    let unit = way.map(|part| part / far);
    let along = velocity[0] * unit[0] + velocity[1] * unit[1];
    let along_kept = if along > 0.0 { along } else { along * keep };
    [0, 1].map(|axis| unit[axis] * along_kept + (velocity[axis] - unit[axis] * along) * keep)
}

/// What was meant while the cursor went at `velocity` and the target was `way` off: as fast, but straight to the target, and
/// rest on it (ReFIT's rotation; Gilja et al. 2012, Nat Neurosci 15:1752, fig. 1).
pub fn intended(velocity: [f64; 2], way: [f64; 2], radius: f64) -> [f64; 2] {
    let far = way[0].hypot(way[1]);
    if far.is_nan() || far <= radius {
        return [0.0; 2];
    }
    let speed = velocity[0].hypot(velocity[1]);
    way.map(|part| part / far * speed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    #[test]
    fn what_is_aside_is_attenuated_and_what_is_along_is_not() {
        let of = |assistance| attenuate([3.0, 4.0], [10.0, 0.0], 1.0, assistance);
        assert_eq!(of(0.0), [3.0, 4.0]);
        assert_eq!(of(0.5), [3.0, 2.0]);
        assert_eq!(of(1.0), [3.0, 0.0]);
        assert_eq!(attenuate([-3.0, 4.0], [10.0, 0.0], 1.0, 1.0), [0.0, 0.0], "away is attenuated too");
        assert_eq!(attenuate([3.0, 4.0], [0.5, 0.0], 1.0, 0.5), [1.5, 2.0]);
        assert_eq!(intended([3.0, 4.0], [0.0, -10.0], 1.0), [0.0, -5.0]);
        assert_eq!(intended([3.0, 4.0], [0.5, 0.0], 1.0), [0.0, 0.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn help_never_makes_faster_and_never_leads_away(
            v in prop::array::uniform2(-5.0..5.0f64), way in prop::array::uniform2(-5.0..5.0f64), share in 0.0..1.0f64,
        ) {
            let helped = attenuate(v, way, 0.1, share);
            let norm = |v: [f64; 2]| v[0].hypot(v[1]);
            prop_assert!(norm(helped) <= norm(v) + 1e-12);
            let along = |v: [f64; 2]| v[0] * way[0] + v[1] * way[1];
            prop_assert!(norm(way) <= 0.1 || along(helped) >= along(v).min(0.0) - 1e-12);
            let meant = intended(v, way, 0.1);
            prop_assert!(norm(meant) <= norm(v) + 1e-12 && along(meant) >= 0.0);
        }
    }
}
