//! `varangian report DIR`: one HTML file with everything in it, which needs no network.

use crate::results::{Cell, Interval, Outcome, Store, Table};
use crate::run::heterogeneity::{self, Measured};
use crate::{Failure, pictures, print};
use std::path::PathBuf;

/// Arguments of `varangian report`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
}

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:1300px;margin:2em auto;\
padding:0 1em;color:#111}table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;\
border-bottom:1px solid #ccc;text-align:right}td:first-child,th:first-child{text-align:left}\
figure{margin:1.5em 0}svg{max-width:100%;height:auto}pre{background:#f4f4f2;padding:1em;\
overflow:auto}.low{background:#f6d9b0}.high{background:#cfe6f7}small{color:#555}";

/// Writes `report.html` into the folder.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let store = Store::open(&args.folder)?;
    let outcomes = store.outcomes()?;
    let configuration = std::fs::read_to_string(store.path("experiment.toml")).unwrap_or_default();
    let name = pictures::name_of(&args.folder);
    let measured = heterogeneity::kept(&store);
    let tuning = std::fs::read_to_string(store.path("tuning/tuning.txt")).unwrap_or_default();
    let page = page(&name, &outcomes, &configuration, &measured, &tuning);
    store.write("report.html", page.as_bytes())?;
    print::line(&store.path("report.html").display().to_string());
    Ok(())
}

fn page(
    name: &str,
    outcomes: &[Outcome],
    configuration: &str,
    measured: &[Measured],
    tuning: &str,
) -> String {
    let table = Table::of(outcomes);
    let title = escape(name);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><h1>{title}</h1>"
    );
    out.push_str(&provenance(outcomes, configuration));
    for one in measured {
        out.push_str(&format!("<p>{}</p>", escape(&one.to_string())));
    }
    if !tuning.is_empty() {
        out.push_str(&format!("<h2>Hyperparameters</h2><pre>{}</pre>", escape(tuning)));
    }
    out.push_str("<h2>Worst case over attacks</h2>");
    out.push_str(&worst_cases(&table));
    out.push_str("<h2>Every rule under every attack</h2>");
    out.push_str("<p>Mean of the last 10 evaluations, ± Student's 95 % interval over seeds.</p>");
    out.push_str(&matrix(&table));
    out.push_str("<h2>Pictures</h2>");
    for (file, picture) in pictures::all(name, outcomes) {
        let svg = picture.svg();
        // The XML prologue has no place inside HTML.
        let svg = scaling(svg.find("<svg").map_or("", |start| &svg[start..]));
        out.push_str(&format!(
            "<figure>{svg}<figcaption><small>{}</small></figcaption></figure>",
            escape(&file)
        ));
    }
    out.push_str(&format!(
        "<h2>Configuration</h2><details><summary>experiment.toml</summary><pre>{}</pre></details>",
        escape(configuration)
    ));
    out.push_str("</html>\n");
    out
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
    let mut out = String::from(
        "<table><tr><th>rule<th>worst attack<th>last<th>last 10<th>best<th>collapsed</tr>",
    );
    for (line, label) in table.lines.iter().enumerate() {
        let Some((attack, cell)) = table.worst(line) else { continue };
        let number = |interval| number(table, interval);
        out.push_str(&format!(
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{} of {}</tr>",
            escape(label),
            escape(&table.attacks[attack]),
            number(cell.over(|judged| judged.last)),
            number(cell.over(|judged| judged.tail)),
            number(cell.over(|judged| judged.best)),
            cell.collapsed(),
            cell.seeds.len()
        ));
    }
    out + "</table>"
}

fn matrix(table: &Table) -> String {
    let mut out = String::from("<table><tr><th>rule");
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
    out + "</table>"
}

fn shaded(table: &Table, cell: &Cell) -> String {
    if cell.seeds.is_empty() {
        return "<td>failed".into();
    }
    let interval = cell.over(|judged| judged.tail);
    let class = match (table.higher_is_better, interval.mean) {
        (true, mean) if mean < 0.5 => " class=low",
        (true, mean) if mean > 0.9 => " class=high",
        _ => "",
    };
    let mark = if cell.collapsed() > 0 { " !" } else { "" };
    format!("<td{class}>{}{mark}", number(table, interval))
}

/// "93.1 ± 0.4" in points, or a loss to four digits.
pub(crate) fn number(table: &Table, interval: Interval) -> String {
    let Interval { mean, half } = interval;
    let text = |x: f64| match table.higher_is_better {
        true => format!("{:.1}", 100.0 * x),
        false => format!("{x:.4}"),
    };
    match half.is_nan() {
        true => text(mean),
        false => format!("{} ± {}", text(mean), text(half)),
    }
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
        let html = page("a & b", &outcomes, "# varangian 0, configuration 12\nx = '<'", &[], "");
        assert!(html.contains("&lt;alie&gt;") && !html.contains("<alie>"));
        assert!(html.contains("a &amp; b") && html.contains("<svg"));
        assert!(html.contains("configuration 12"));
        assert_eq!(html.matches("<svg").count(), html.matches("<svg viewBox=\"0 0 ").count());
        let outside = ["src=\"http", "href=\"http", "url(http", "<script src", "@import"];
        assert!(outside.iter().all(|link| !html.contains(link)));
    }
}
