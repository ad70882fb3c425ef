//! What a run will take of the machine's memory, asked before it starts.

use crate::Failure;

/// Bytes that can still be had: what the system says is free or can be freed, and no more than a
/// control group allows; `None` where the system does not say.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
    Some(limit.map_or(free, |limit| free.min(limit)))
}

/// What `bytes` are for must fit into what can be had.
///
/// # Errors
/// If they are more, with both figures.
pub fn demand(what: &str, bytes: u128) -> Result<(), Failure> {
    fits(what, bytes, available())
}

fn fits(what: &str, bytes: u128, available: Option<u64>) -> Result<(), Failure> {
    match available {
        Some(free) if bytes > u128::from(free) => Err(Failure::refused(format!(
            "{what} takes at least {} of memory; {} can be had",
            amount(bytes),
            amount(free.into())
        ))),
        _ => Ok(()),
    }
}

/// The least that a run of n workers on d parameters takes, in bytes: rows, the momentum of each
/// worker where it has one, and three vectors at the server.
pub fn of_run(n: usize, d: usize, momentum_at_workers: bool) -> u128 {
    let (n, d) = (n as u128, d as u128);
    let rows = if momentum_at_workers { 2 * n } else { n };
    d.saturating_mul(rows + 3).saturating_mul(4)
}

/// Bytes as a reader says them: "7.8 GiB".
fn amount(bytes: u128) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut x, mut unit) = (bytes as f64, 0);
    while x >= 1024.0 && unit + 1 < units.len() {
        (x, unit) = (x / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{x:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        let bytes = of_run(11, 1_000_000_000, true);
        assert_eq!(bytes, 100_000_000_000);
        let error = fits("the run", bytes, Some(8 << 30)).unwrap_err().to_string();
        assert_eq!(error, "the run takes at least 93.1 GiB of memory; 8.0 GiB can be had");
        fits("the run", 1 << 20, Some(8 << 30)).unwrap();
        fits("the run", u128::MAX, None).unwrap();
        assert!(of_run(usize::MAX, usize::MAX, true) > u128::from(u64::MAX));
    }
}
