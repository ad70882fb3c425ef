//! The page that shows the JSON of [`crate::results::json`] in a browser: one style and one script,
//! for the report, the live page of a folder, and whatever else serves that JSON.
//!
//! The script is built from `page/` of the repository, whose README says how; it takes no text from
//! the results as code or as HTML.

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

/// The style, without the element around it.
pub const STYLE: &str = include_str!("page/page.css");

/// The script, without the element around it.
pub const SCRIPT: &str = include_str!("page/page.js");

/// What a browser lets a file with everything in it do: run its one script and apply its one style,
/// and fetch nothing.
pub fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data: blob:; \
         base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

/// A page with everything in it. `results`: JSON texts as
/// [`embedded`](crate::results::json::embedded) gives them; `plain`: what is read without a script.
pub fn alone(title: &str, results: &[String], plain: &str) -> String {
    let (title, plain, policy) = (escape(title), escape(plain), policy());
    let data: String = results.iter().enumerate().map(|(k, json)| element(k, json)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta \
         http-equiv=\"Content-Security-Policy\" content=\"{policy}\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head><body>\
         <div id=\"page\"></div>\n<noscript><pre>{plain}</pre></noscript>\n{data}\
         <script>{SCRIPT}</script></body></html>\n"
    )
}

/// A page that follows what its server tells it: style and script are the server's too, under
/// `/results.css` and `/results.js`, events under `/events`, new results under `/data` and, of
/// further folders, `/data/1` and so on. `results`: a JSON text a folder, as
/// [`embedded`](crate::results::json::embedded) gives them.
pub fn live(results: &[String]) -> String {
    let data: String = results.iter().enumerate().map(|(k, json)| element(k, json)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>varangian</title>\
         <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/results.css\"></head>\
         <body data-live=\"yes\"><div id=\"page\"></div>\n{data}\
         <script src=\"/results.js\"></script></body></html>\n"
    )
}

/// The k-th results as an element that runs nothing.
fn element(k: usize, json: &str) -> String {
    let id = match k {
        0 => "varangian-results".to_owned(),
        k => format!("varangian-results-{}", k + 1),
    };
    format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n")
}

/// The text as it may stand inside an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_and_the_style_are_the_whole_of_their_elements() {
        // So that their hashes are those of the policy, and nothing in them ends them.
        for text in [SCRIPT, STYLE] {
            let lower = text.to_lowercase();
            assert!(!lower.contains("</script") && !lower.contains("</style"));
            assert!(!lower.contains("<!--"));
        }
        // A browser turns these into line feeds before it takes the hash.
        assert!(!SCRIPT.contains('\r') && !STYLE.contains('\r'));
    }

    #[test]
    fn a_page_fetches_nothing_and_escapes_what_it_quotes() {
        let html = alone("a & <b>", &["{}".into(), "[]".into()], "x < y");
        assert!(html.contains("<title>a &amp; &lt;b&gt;</title>") && html.contains("x &lt; y"));
        assert!(html.contains("id=\"varangian-results\">{}</script>"));
        assert!(html.contains("id=\"varangian-results-2\">[]</script>"));
        for outside in ["src=\"http", "href=\"http", "url(http", "<script src", "@import"] {
            assert!(!html.contains(outside), "{outside}");
        }
        let page = live(&["{}".to_owned()]);
        assert!(!page.contains("<style") && !page.contains("style=\""));
    }
}
