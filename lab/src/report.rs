//! A folder of results as one HTML file with everything in it, which needs no network.

use crate::pictures::Subject;
use crate::results::json::{About, Results};
use crate::results::{Cell, Outcome, Store, Table, fate};
use crate::run::heterogeneity::{self, Measured};
use crate::{Failure, files, page, pictures};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A report that was written.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// What its readers must know, which it says too: that runs are missing, or not as written.
    pub missing: Option<String>,
    /// Which pictures could not be drawn, and why.
    pub undrawn: Vec<Failure>,
}

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:1300px;margin:2em auto;\
padding:0 1em;color:#111;overflow-wrap:anywhere}table{border-collapse:collapse}\
td,th{padding:.25em .7em;border-bottom:1px solid #ccc;text-align:right;white-space:nowrap}\
td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto;margin:1em 0}\
figure{margin:1.5em 0}svg{max-width:100%;height:auto}pre{background:#f4f4f2;padding:1em;\
overflow:auto}.low{background:#f6d9b0}.high{background:#cfe6f7}small,.note{color:#555}\
.partial{background:#f6d9b0;padding:.5em 1em}\
#runs td,#runs th{text-align:left}#runs .n{text-align:right}#runs .broke,.failed{color:#b03000}\
#runs .broke,.failed td{white-space:normal;min-width:7em}td,th{overflow-wrap:normal}";

/// Writes `report.html` into a folder of results.
///
/// # Errors
/// If there are no results, or the folder cannot be written.
pub fn write(folder: &Path) -> Result<Report, Failure> {
    let store = Store::open(folder)?;
    let kept = store.kept()?;
    let name = pictures::name_of(folder);
    let subject = Subject::of(&store, &name, &kept.outcomes, kept.missing());
    let read = |file: &str| files::text_of(&store.path(file));
    let tuned = files::demand_own_folder(&store.path("tuning")).is_ok();
    let about = About::of(&store, &name, kept.planned, kept.missing());
    let page = Page {
        name: &name,
        outcomes: &kept.outcomes,
        subject: &subject,
        missing: kept.missing(),
        configuration: &read("experiment.toml"),
        measured: &heterogeneity::kept(&store),
        results: &Results::of(&about, &kept.outcomes.iter().collect::<Vec<_>>()),
        tuning: &if tuned { read("tuning/tuning.txt") } else { String::new() },
    };
    let (html, undrawn) = page.html();
    store.write("report.html", html.as_bytes())?;
    Ok(Report { file: store.path("report.html"), missing: page.missing, undrawn })
}

/// What the page is of.
struct Page<'a> {
    name: &'a str,
    outcomes: &'a [Outcome],
    subject: &'a Subject<'a>,
    missing: Option<String>,
    configuration: &'a str,
    measured: &'a [Measured],
    tuning: &'a str,
    results: &'a Results,
}

impl Page<'_> {
    /// The page, and the pictures that could not be drawn, which it says too.
    fn html(&self) -> (String, Vec<Failure>) {
        let table = self.subject.table();
        let title = escape(self.name);
        let policy = policy();
        let mut out = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta \
             http-equiv=\"Content-Security-Policy\" content=\"{policy}\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title}</title>\
             <style>{STYLE}</style><h1>{title}</h1>"
        );
        if let Some(missing) = &self.missing {
            out.push_str(&format!("<p class=partial><b>{}</b></p>", escape(missing)));
        }
        out.push_str(&provenance(self.outcomes, self.configuration));
        for one in self.measured {
            out.push_str(&format!("<p>{}</p>", escape(&one.to_string())));
        }
        out.push_str(&notes(&self.results.notes));
        if !self.tuning.is_empty() {
            let tuning = escape(self.tuning);
            out.push_str(&format!("<h2>Hyperparameters</h2><pre>{tuning}</pre>"));
        }
        out.push_str("<h2>Worst case over attacks</h2>");
        out.push_str(&worst_cases(table));
        out.push_str("<h2>Every rule under every attack</h2>");
        out.push_str(&matrix(table));
        out.push_str(&explained(table));
        out.push_str("<h2>Pictures</h2>");
        let trouble = self.pictures(&mut out);
        out.push_str(&embedded_results(self.results));
        out.push_str(&format!(
            "<h2>Configuration</h2><details><summary>experiment.toml</summary><pre>{}</pre>\
             </details></html>\n",
            escape(self.configuration)
        ));
        (out, trouble)
    }

    fn pictures(&self, out: &mut String) -> Vec<Failure> {
        let mut trouble = Vec::new();
        for (k, drawing) in self.subject.all().iter().enumerate() {
            let (file, caption) = (escape(&drawing.file), escape(&drawing.caption));
            let inside = match drawing.picture() {
                Ok(picture) => embedded(&picture.svg(), k),
                Err(why) => {
                    trouble.push(Failure::failed(&why).at(&file));
                    format!("<p><b>Not drawn:</b> {}</p>", escape(&why))
                }
            };
            out.push_str(&format!(
                "<figure>{inside}<figcaption>{caption}. <small>{file}</small></figcaption></figure>"
            ));
        }
        trouble
    }
}

/// What was set in vain, what was left out, which names are one run.
fn notes(notes: &[String]) -> String {
    let items: String = notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
    if notes.is_empty() { items } else { format!("<h2>Notes</h2><ul>{items}</ul>") }
}

/// Every run as a table, which the live page's script makes of the results inside the page.
fn embedded_results(results: &Results) -> String {
    format!(
        "<h2>Runs</h2><noscript>A script in this page lists them.</noscript><div class=wide>\
         <table id=\"runs\"></table></div><script type=\"application/json\" \
         id=\"varangian-results\">{}</script><script>{}</script>",
        results.embedded(),
        page::SCRIPT
    )
}

/// What a browser lets the page do: run its one script, and fetch nothing.
fn policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(page::SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; font-src data:; \
         img-src data:; base-uri 'none'; form-action 'none'"
    )
}

/// The k-th picture as a part of the page: without the XML prologue, and with names of its own.
fn embedded(svg: &str, k: usize) -> String {
    let svg = scaling(svg.find("<svg").map_or("", |start| &svg[start..]));
    svg.replace(" id=\"", &format!(" id=\"p{k}-")).replace("url(#", &format!("url(#p{k}-"))
}

/// What the tables' figures, marks and colours mean.
fn explained(table: &Table) -> String {
    let mut lines = table.explained();
    if table.higher_is_better {
        lines.push("Orange: a mean below 50 %; blue: above 90 %".into());
    }
    lines.extend(fate::meanings(&table.fates()));
    lines.iter().map(|line| format!("<p class=note>{}</p>", escape(line))).collect()
}

/// The picture with a box to scale by: without one a narrow page would cut off its right end.
fn scaling(svg: &str) -> String {
    let head = svg.split('>').next().unwrap_or("");
    let of = |name: &str| head.split(&format!(" {name}=\"")).nth(1)?.split('"').next();
    match (of("viewBox"), of("width"), of("height")) {
        (None, Some(width), Some(height)) => {
            svg.replacen("<svg", &format!("<svg viewBox=\"0 0 {width} {height}\""), 1)
        }
        _ => svg.to_owned(),
    }
}

fn provenance(outcomes: &[Outcome], configuration: &str) -> String {
    let first = configuration.lines().next().unwrap_or("").trim_start_matches("# ");
    let mut seeds: Vec<u64> = outcomes.iter().map(|outcome| outcome.settings.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.seconds).sum();
    let mut out = format!(
        "<p>{} runs, seeds {}, {:.0} s of computing. {}</p>",
        outcomes.len(),
        seeds.join(" "),
        seconds,
        escape(first)
    );
    for failed in outcomes.iter().filter(|outcome| !outcome.is_finished()) {
        let (rule, attack) = (escape(&failed.settings.rule), escape(&failed.settings.attack));
        let why = escape(failed.end.error());
        out.push_str(&format!("<p><b>Failed:</b> {rule} × {attack}: {why}</p>"));
    }
    out
}

fn worst_cases(table: &Table) -> String {
    let what = if table.higher_is_better { "Accuracy, %" } else { "Test loss" };
    let tail = escape(&table.tail());
    let mut out = format!(
        "<p>{what}: at the end, mean of the {tail}, best.</p><div class=wide><table><tr><th>rule\
         <th>worst attack<th>last<th>mean of last<th>best<th>what broke</tr>"
    );
    for (line, label) in table.lines.iter().enumerate() {
        let Some((attack, cell)) = table.worst(line) else { continue };
        out.push_str(&format!(
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(label),
            escape(&table.attacks[attack]),
            table.text(cell, |judged| judged.last),
            table.text(cell, |judged| judged.tail),
            table.text(cell, |judged| judged.best),
            escape(&fate::told(&cell.fates)),
        ));
    }
    out + "</table></div>"
}

fn matrix(table: &Table) -> String {
    let mut out = format!("<p>Mean of the {}.</p>", escape(&table.tail()));
    out.push_str("<div class=wide><table><tr><th>rule");
    table.attacks.iter().for_each(|attack| out.push_str(&format!("<th>{}", escape(attack))));
    for (line, label) in table.lines.iter().enumerate() {
        out.push_str(&format!("<tr><td>{}", escape(label)));
        for attack in 0..table.attacks.len() {
            out.push_str(&match table.cells.get(&(line, attack)) {
                Some(cell) => shaded(table, cell),
                None => "<td>".into(),
            });
        }
    }
    out + "</table></div>"
}

fn shaded(table: &Table, cell: &Cell) -> String {
    if cell.seeds.is_empty() {
        return "<td>failed".into();
    }
    let class = match (table.higher_is_better, cell.over(|judged| judged.tail).mean) {
        (true, mean) if mean < 0.5 => " class=low",
        (true, mean) if mean > 0.9 => " class=high",
        _ => "",
    };
    let mark = fate::marks(&cell.fates);
    format!("<td{class}>{} {mark}", table.text(cell, |judged| judged.tail))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_quotes() {
        let outcomes = [
            Outcome::sample("krum", "none", 1, &[0.5, 0.9]),
            Outcome::sample("krum", "<alie>", 1, &[0.7, 0.1]),
        ];
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let missing = Some("Partial: 2 of 3 runs are over".to_owned());
        let subject = Subject::of(&store, "a & b", &outcomes, missing.clone());
        let about = About {
            notes: vec!["<i>batch=7</i> does nothing".into()],
            planned: 3,
            ..About::default()
        };
        let results = Results::of(&about, &outcomes.iter().collect::<Vec<_>>());
        let page = Page {
            name: "a & b",
            outcomes: &outcomes,
            subject: &subject,
            missing,
            configuration: "# varangian 0, configuration 12\nx = '<'",
            measured: &[],
            tuning: "",
            results: &results,
        };
        let (html, trouble) = page.html();
        assert!(trouble.is_empty());
        assert!(html.contains("Partial: 2 of 3") && html.contains("!c collapsed: ended more"));
        assert!(html.contains("&lt;alie&gt;") && !html.contains("<alie>"));
        assert!(html.contains("a &amp; b") && html.contains("<svg"));
        assert!(html.contains("configuration 12"));
        assert_eq!(html.matches("<svg").count(), html.matches("<svg viewBox=\"0 0 ").count());
        let outside = ["src=\"http", "href=\"http", "url(http", "<script src", "@import"];
        assert!(outside.iter().all(|link| !html.contains(link)));
        assert!(html.contains("<li>&lt;i&gt;batch=7&lt;/i&gt; does nothing</li>"));
        // The script's text is the whole of its element, so that its hash is that of the policy.
        assert!(!page::SCRIPT.contains("</") && !page::SCRIPT.contains("<!--"));
        let (_, data) = html.split_once("id=\"varangian-results\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<Results>(data).unwrap(), results);
    }
}
