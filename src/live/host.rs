//! What the operating system grants and tells: cores, priority, memory, CPU time.

use super::clock::Clock;
use super::report::CoreUse;

/// Cores that this process may use.
pub(crate) fn n_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps the calling thread on one core; a sentence if the system refuses.
pub(crate) fn pin(core: usize) -> Option<String> {
    (!core_affinity::set_for_current(core_affinity::CoreId { id: core }))
        .then(|| format!("the system keeps no thread on core {core}"))
}

/// Asks for real-time priority for the calling thread, at `below` the highest of a run; a sentence if the system
/// refuses.
pub(crate) fn ask_for_realtime(below: u8) -> Option<String> {
    #[cfg(unix)]
    let granted = {
        use thread_priority::unix::{
            RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };
        let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
        let priority =
            thread_priority::ThreadPriorityValue::try_from(PRIORITY - below).expect("within 0 to 99");
        let priority = thread_priority::ThreadPriority::Crossplatform(priority);
        set_thread_priority_and_policy(thread_native_id(), priority, policy)
            .map_err(|error| format!("{error:?}"))
    };
    // Other systems have no finer steps.
    #[cfg(not(unix))]
    let _ = below;
    #[cfg(not(unix))]
    let granted = thread_priority::set_current_thread_priority(thread_priority::ThreadPriority::Max)
        .map_err(|error| format!("{error:?}"));
    granted
        .err()
        .map(|error| format!("the system grants no real-time priority ({error}); threads run as usual"))
}

/// Below the system's own, which are above 50.
#[cfg(unix)]
const PRIORITY: u8 = 40;

/// CPU time of the calling thread so far, in seconds; 0 where the system doesn't tell.
pub(crate) fn thread_cpu_seconds() -> f64 {
    #[cfg(target_os = "linux")]
    {
        let stat = procfs::process::Process::myself().ok().and_then(|me| {
            let id = std::fs::read_link("/proc/thread-self").ok()?;
            let id = id.file_name()?.to_str()?.parse().ok()?;
            me.task_from_tid(id).ok()?.stat().ok()
        });
        stat.map_or(0.0, |stat| (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
    }
    #[cfg(not(target_os = "linux"))]
    0.0
}

/// Memory of this process that is resident now, MiB.
pub(crate) fn resident_mib() -> Option<f64> {
    #[cfg(target_os = "linux")]
    {
        let status = procfs::process::Process::myself().ok()?.status().ok()?;
        status.vmrss.map(|kib| kib as f64 / 1024.0)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// CPU time of the whole machine, between two moments.
pub(crate) struct Usage {
    clock: Clock,
    idle: Vec<f64>,
}

/// What was used between two moments.
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) cores: Vec<CoreUse>,
}

impl Usage {
    pub(crate) fn begin() -> Self {
        Usage { clock: Clock::start(), idle: idle_seconds() }
    }

    pub(crate) fn end(self) -> Used {
        let seconds = self.clock.now().ns as f64 * 1e-9;
        let share = |(core, (before, after)): (usize, (&f64, f64))| CoreUse {
            core,
            busy_share: (1.0 - (after - before) / seconds.max(1e-9)).clamp(0.0, 1.0),
        };
        let cores = self.idle.iter().zip(idle_seconds()).enumerate().map(share).collect();
        Used { seconds, cores }
    }
}

/// Seconds that each core was idle since the machine started. What it was busy with is counted by ticks, between which
/// short work goes unseen; idling is timed.
fn idle_seconds() -> Vec<f64> {
    #[cfg(target_os = "linux")]
    {
        use procfs::CurrentSI;
        let idle = |cpu: &procfs::CpuTime| {
            (cpu.idle + cpu.iowait.unwrap_or(0)) as f64 / procfs::ticks_per_second() as f64
        };
        procfs::KernelStats::current().map_or(Vec::new(), |stats| stats.cpu_time.iter().map(idle).collect())
    }
    #[cfg(not(target_os = "linux"))]
    Vec::new()
}
