//! What the process has used: processor time and memory, asked from Linux.

/// Processor seconds of all threads so far. 0 where the system doesn't tell.
#[must_use]
pub fn cpu_s() -> f64 {
    #[cfg(target_os = "linux")]
    {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of a process")]
        let (whole, nanos) = (used.tv_sec as f64, used.tv_nsec as f64);
        whole + nanos / 1e9
    }
    #[cfg(not(target_os = "linux"))]
    0.0
}

/// The most memory that was resident at a time, in bytes; `None` where the system doesn't tell.
#[must_use]
pub fn rss_bytes_max() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM:    123456 kB` of `/proc/self/status`.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_status() {
        let status = "Name:\tpelton\nVmPeak:\t 9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak_of(status), Some(2 << 20));
        assert_eq!(peak_of("Name:\tpelton\n"), None);
    }

    #[test]
    fn the_process_has_used_something() {
        assert!(cpu_s() >= 0.0);
        if cfg!(target_os = "linux") {
            assert!(rss_bytes_max().is_some_and(|bytes| bytes > 100_000));
        }
    }
}
