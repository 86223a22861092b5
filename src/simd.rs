//! Which vector instructions the kernels run with, found when a pipeline is built.
//!
//! A kernel is one plain function over arrays of lanes; `dispatch!` compiles it once for
//! every [`Level`] and calls the version of the level that it is given. Guarantee: all versions give the same bits,
//! since none fuses a multiplication with an addition and none reorders a sum.
//!
//! On aarch64 the baseline has NEON, and there is no other level.

/// A set of vector instructions that this CPU was found to have: a `Level` of another kind can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// What every CPU of this architecture has: SSE2, or NEON.
    pub const BASELINE: Level = Level(Kind::Baseline);

    /// The widest that this CPU has.
    ///
    /// ```
    /// use efference::simd::Level;
    /// assert_eq!(Level::all().last(), Some(&Level::widest()));
    /// assert_eq!(Level::all()[0], Level::BASELINE);
    /// ```
    pub fn widest() -> Self {
        *Level::all().last().expect("the baseline is always there")
    }

    /// All that this CPU has, the narrowest first.
    pub fn all() -> Vec<Level> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "others have no more"))]
        let mut levels = vec![Level::BASELINE];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            levels.extend(avx2.then_some(Level(Kind::Avx2)));
            levels.extend(avx512.then_some(Level(Kind::Avx512)));
        }
        levels
    }

    /// The word that stands in reports and options.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Baseline if cfg!(target_arch = "x86_64") => "sse2",
            Kind::Baseline if cfg!(target_arch = "aarch64") => "neon",
            Kind::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

/// Makes `fn name(level, arguments…)` of a kernel that is `#[inline(always)]`, compiled for every level.
///
/// `dispatch! { fn name<const S: usize>(x: &mut [f32; 16], y: f32) = kernel::<S>; }`
macro_rules! dispatch {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$(const $constant:ident : $constant_type:ty),+>)?
            ($($argument:ident : $type:ty),* $(,)?) = $kernel:expr;
    )+) => {$(
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name $(<$(const $constant: $constant_type),+>)? (level: $crate::simd::Level, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn avx2 $(<$(const $constant: $constant_type),+>)? ($($argument: $type),*) {
                $kernel($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2")]
            fn avx512 $(<$(const $constant: $constant_type),+>)? ($($argument: $type),*) {
                $kernel($($argument),*)
            }
            match level.kind() {
                $crate::simd::Kind::Baseline => $kernel($($argument),*),
                // SAFETY: a level of this kind is made only where the CPU was found to have these features.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Kind::Avx2 => unsafe { avx2 $(::<$($constant),+>)? ($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Kind::Avx512 => unsafe { avx512 $(::<$($constant),+>)? ($($argument),*) },
            }
        }
    )+};
}
pub(crate) use dispatch;

dispatch! {
    /// Reads `samples` and does nothing else: what the benches hold the front end against. `sum` gets bits that
    /// depend on every sample, so that no read can be left out.
    #[doc(hidden)]
    pub fn read_all(samples: &[i16], sum: &mut u64) = xor_all;
}

/// The same as 32 accumulators of 64 bits, written so that a compiler needs no shuffle for it.
#[inline(always)]
fn xor_all(samples: &[i16], sum: &mut u64) {
    let (chunks, rest) = samples.as_chunks::<128>();
    let mut lanes = [0; 128];
    for chunk in chunks {
        for l in 0..128 {
            lanes[l] ^= chunk[l];
        }
    }
    for lane in lanes.iter().chain(rest) {
        *sum = sum.rotate_left(7) ^ u64::from(lane.cast_unsigned());
    }
}

/// Asks the CPU to have these samples in cache soon; changes nothing else. Where a frame's samples lie far from those
/// of the next frame, no hardware foresees what is read next.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn prefetch(samples: &[i16]) {
    #[cfg(target_arch = "x86_64")]
    for line in samples.chunks(LINE_BYTES / size_of::<i16>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is that of a sample, and a prefetch reads nothing that the program can tell.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = samples;
}

/// Of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn scale<const N: usize>(x: &mut [f32; 16], by: f32) {
        for value in x.iter_mut() {
            *value = *value * by + N as f32;
        }
    }

    dispatch! {
        fn scaled<const N: usize>(x: &mut [f32; 16], by: f32) = scale::<N>;
    }

    #[test]
    fn a_read_sees_every_sample() {
        let mut samples: Vec<i16> = (0..300).map(|i| i * 37).collect();
        let read = |samples: &[i16]| {
            let sums: Vec<u64> = Level::all()
                .into_iter()
                .map(|level| {
                    let mut sum = 0;
                    read_all(level, samples, &mut sum);
                    sum
                })
                .collect();
            assert!(sums.iter().all(|sum| *sum == sums[0]));
            sums[0]
        };
        let whole = read(&samples);
        for at in 0..300 {
            samples[at] ^= 1;
            assert_ne!(read(&samples), whole, "sample {at}");
            samples[at] ^= 1;
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let start: [f32; 16] = std::array::from_fn(|l| 0.1 + l as f32 / 3.0);
        let mut expected = start;
        scale::<3>(&mut expected, 1.7);
        for level in Level::all() {
            let mut x = start;
            scaled::<3>(level, &mut x, 1.7);
            assert_eq!(x.map(f32::to_bits), expected.map(f32::to_bits), "{}", level.name());
        }
    }
}
