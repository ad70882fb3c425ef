//! Evidence as it leaves the command: one JSON object a line, to a file or to standard output.

use crate::{Failure, arrays, print};
use std::path::Path;
use varangian_lab::files;
use varangian_rules::Evidence;

/// Whether a path stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Writes the records to a file, whole or not at all, or to standard output.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, records: &[Evidence]) -> Result<(), Failure> {
    if is_stdout(path) {
        print(records);
        return Ok(());
    }
    let text: String = records.iter().map(|record| line(record) + "\n").collect();
    files::write_to(path, text.as_bytes())
}

/// Writes the records to standard output.
pub(crate) fn print(records: &[Evidence]) {
    records.iter().for_each(|record| print::line(&line(record)));
}

pub(crate) fn line(record: &Evidence) -> String {
    serde_json::to_string(record).expect("plain values")
}

/// Adds the rows that were refused when they were read, and puts all in the order of the rows.
pub(crate) fn with_refused(
    mut records: Vec<Evidence>,
    rule: &str,
    f: usize,
    step: u64,
    rows: &arrays::Rows,
) -> Vec<Evidence> {
    let shape = (rows.ids.len(), f, rows.d);
    let refused = rows.refused.iter().zip(&rows.reasons);
    records
        .extend(refused.map(|(&row, why)| Evidence::refused(rule, shape, step, row, why.clone())));
    records.sort_by_key(|record| record.worker);
    records
}
