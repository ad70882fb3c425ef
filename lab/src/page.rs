//! What shows the JSON of [`crate::results::json`] in a browser: one style and one script, for the
//! live page and for the HTML report.
//!
//! The script shows what stands in the element `#varangian-results`, in whichever of its own
//! places (`#name`, `#runs`, `#panels`, …) the page has. It takes no text as code or as HTML.

/// The style, without the element around it.
pub const STYLE: &str = include_str!("page/results.css");

/// The script, without the element around it; it defines `show(results)` and calls it once.
pub const SCRIPT: &str = include_str!("page/results.js");
