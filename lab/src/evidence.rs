//! Evidence read back: the JSON lines that `varangian aggregate`, `replay` and `diagnose` write.
//!
//! ```
//! let line = r#"{"format":"varangian-evidence","version":1,"rule":"krum","n":4,"f":1,"d":12,"step":3,
//!     "worker":1,"weight":0.0,"norm":null,"distance":null,"verdict":"refused",
//!     "reason":"NaN at coordinate 7","p":null}"#.replace('\n', "");
//! let records = varangian_lab::evidence::read(&line)?;
//! assert_eq!((records[0].step, records[0].worker), (3, 1));
//! let error = varangian_lab::evidence::read(&line.replace(":1,\"rule", ":2,\"rule")).unwrap_err();
//! assert!(error.to_string().contains("line 1: varangian-evidence of version 1 is read"));
//! # Ok::<(), varangian_lab::Failure>(())
//! ```

use crate::Failure;
use varangian_rules::Evidence;

/// Reads records, one a line; empty lines are passed over.
///
/// # Errors
/// Names the first line that is no record, or one of another version.
pub fn read(text: &str) -> Result<Vec<Evidence>, Failure> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| {
                // Where in the line it stands helps nobody.
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or(&text);
                Failure::refused(format!("line {}: {text}", i + 1))
            })
        })
        .collect()
}
