//! How much comes, for reports to the device.
//!
//! In: bytes as they come, in host time. Out: bits a second over the last second. Guarantees: constant memory; what came
//! more than a second ago counts no more.

use crate::time::HostTime;

/// Bits that came, in halves of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throughput {
    began: HostTime,
    n_bytes: u64,
    before: u64,
}

impl Throughput {
    pub(crate) fn count(&mut self, now: HostTime, n_bytes: usize) {
        self.turn(now);
        self.n_bytes += n_bytes as u64;
    }

    /// Over the half second before and what there is of this one.
    pub(crate) fn bps(&self, now: HostTime) -> u32 {
        let mut own = *self;
        own.turn(now);
        let ns = HALF_NS + now.since(own.began);
        u32::try_from((own.before + own.n_bytes) * 8 * 1_000_000_000 / ns).unwrap_or(u32::MAX)
    }

    fn turn(&mut self, now: HostTime) {
        let halves = now.since(self.began) / HALF_NS;
        if halves > 0 {
            self.before = if halves == 1 { self.n_bytes } else { 0 };
            self.n_bytes = 0;
            self.began = self.began.after(halves * HALF_NS);
        }
    }
}

const HALF_NS: u64 = 500_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_told_and_an_old_one_forgotten() {
        let mut throughput = Throughput::default();
        // 100 bytes a millisecond are 800 kbit/s.
        for ms in 10_000..12_000 {
            throughput.count(HostTime { ns: ms * 1_000_000 }, 100);
        }
        for ms in [12_000u64, 12_100, 12_400] {
            let bps = throughput.bps(HostTime { ns: ms * 1_000_000 });
            // Nothing has come since 12 s.
            let expected = 800_000.0 * 500.0 / (500.0 + (ms - 12_000) as f64);
            assert!((f64::from(bps) - expected).abs() < 8_000.0, "{bps} at {ms} ms");
        }
        assert_eq!(throughput.bps(HostTime { ns: 13_000_000_000 }), 0);
        assert_eq!(throughput.bps(HostTime { ns: u64::MAX }), 0);
    }
}
