//! What a suite of checks tried, and what failed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What was tried of a variant, and what failed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The checks that were tried, by name; claims that the variant does not make are none.
    pub tried: Vec<&'static str>,
    /// Those that failed.
    pub failures: Vec<Failure>,
}

/// A check that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The check's name.
    pub check: &'static str,
    /// What was asked and what was found.
    pub what: String,
}

impl Report {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Runs a check and takes up what it found; a panic in it is a failure of that check.
    pub fn run(&mut self, name: &'static str, check: impl FnOnce() -> Result<(), String>) {
        self.tried.push(name);
        let outcome = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|cause| {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("no message")))
        });
        if let Err(what) = outcome {
            self.failures.push(Failure { check: name, what });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tried, failed) = (self.tried.len(), self.failures.len());
        writeln!(f, "{} of {tried} checks passed", tried - failed)?;
        for Failure { check, what } in &self.failures {
            writeln!(f, "{check}: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_of_its_check_alone() {
        let mut report = Report::default();
        report.run("good", || Ok(()));
        report.run("bad", || Err("1 should be 2".into()));
        report.run("worse", || panic!("at {}", 3));
        assert!(!report.passed());
        let wanted = "1 of 3 checks passed\nbad: 1 should be 2\nworse: panicked: at 3\n";
        assert_eq!(report.to_string(), wanted);
    }
}
