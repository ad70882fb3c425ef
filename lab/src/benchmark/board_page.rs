//! The leaderboard as one HTML file that needs no network: sorted by any column, and behind each
//! pipeline what every attack left of it in every setting.

use super::board::{Board, Standing};
use super::board_text::{HEADS, NAMES, row};
use super::entry::Entry;
use crate::page::{escape, policy_of};

const STYLE: &str = include_str!("board.css");
const SCRIPT: &str = include_str!("board.js");

impl Board {
    /// The leaderboard as a page. Of the pipelines whose `entries` are there every attack is shown,
    /// of the others what the leaderboard itself holds: each setting's worst.
    pub fn html(&self, entries: &[Entry]) -> String {
        let title = format!("Leaderboard of the worst case, {} tier", self.tier);
        let mut heads = String::new();
        for (k, (head, name)) in HEADS.iter().zip(NAMES).enumerate() {
            // Places and names begin with the first, numbers with the largest.
            let first = if name || k == 0 { "ascending" } else { "descending" };
            let (sorted, class) =
                (if k == 0 { " aria-sort=\"ascending\"" } else { "" }, class(name));
            heads += &format!(
                "<th scope=\"col\"{class} data-first=\"{first}\"{sorted}><button \
                 type=\"button\">{head}</button></th>"
            );
        }
        let of = |(k, one): (usize, &Standing)| {
            body(k, one, entries.iter().find(|entry| entry.rule == one.rule))
        };
        let bodies: String = self.standings.iter().enumerate().map(of).collect();
        let policy = policy_of(SCRIPT, STYLE);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta \
             http-equiv=\"Content-Security-Policy\" content=\"{policy}\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
             <link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head><body><main>\
             <h1>{title}</h1>\n<p>Accuracy in %: of each run the mean over its last ten \
             evaluations, of five seeds. Worst case: the mean over settings under each setting's \
             worst attack; usual five: had sign flips, flipped labels, ALIE, inner products and \
             mimicry been all. A head sorts; a pipeline's name shows every attack in every \
             setting. Protocol {}, version {}.</p>\n<div class=\"wide\" role=\"region\" \
             aria-label=\"Leaderboard\" tabindex=\"0\"><table class=\"board\"><thead><tr>{heads}\
             </tr></thead>\n{bodies}</table>\
             </div></main>\n<script>{SCRIPT}</script></body></html>\n",
            escape(&self.protocol),
            self.version,
        )
    }
}

fn class(name: bool) -> &'static str {
    if name { " class=\"name\"" } else { "" }
}

/// A pipeline's line, and the one behind it.
fn body(k: usize, standing: &Standing, entry: Option<&Entry>) -> String {
    let mut line = String::new();
    let numbers = numbers(k, standing);
    for (at, (cell, name)) in row(k + 1, standing).iter().zip(NAMES).enumerate() {
        let (class, mut text) = (class(name), escape(cell));
        if at == 1 {
            text = format!("<button type=\"button\" aria-controls=\"more-{k}\">{text}</button>");
        }
        let value = match numbers[at] {
            _ if name && at != 10 => String::new(),
            Some(x) => format!(" data-value=\"{x}\""),
            None => " data-value=\"\"".to_owned(),
        };
        line += &format!("<td{class}{value}>{text}</td>");
    }
    format!(
        "<tbody><tr class=\"main\">{line}</tr><tr class=\"more\" id=\"more-{k}\"><td \
         colspan=\"{}\">{}</td></tr></tbody>\n",
        HEADS.len(),
        behind(standing, entry)
    )
}

/// What each column is sorted by; `None`: not known, or a name.
fn numbers(k: usize, one: &Standing) -> [Option<f64>; 12] {
    let collapsed = one.collapsed as f64 / one.runs.max(1) as f64;
    let kappa = one.kappa.iter().filter_map(|one| one.found).reduce(f64::max);
    let place = Some((k + 1) as f64);
    let [score, half, usual] = [one.score, one.half, one.usual].map(Some);
    let [over, clean, calm] = [one.overstated(), one.clean, one.calm].map(Some);
    [place, None, score, half, usual, over, clean, calm, None, Some(collapsed), kappa, one.means]
}

/// Attacks by settings.
fn behind(standing: &Standing, entry: Option<&Entry>) -> String {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let cells = &standing.cells;
    // A line's name, and in each setting the accuracy and whether it is the worst.
    let mut lines: Vec<(String, Vec<Option<(f64, bool)>>)> = Vec::new();
    match entry {
        Some(entry) => {
            let of =
                |cell: &super::Cell| cell.attacks.iter().map(|line| line.attack.clone()).collect();
            let names: Vec<String> =
                entry.cells.iter().map(of).max_by_key(Vec::len).unwrap_or_default();
            for name in names {
                let in_cell = |cell: &super::Cell| {
                    let line = cell.attacks.iter().find(|line| line.attack == name)?;
                    Some((line.accuracy, cell.by == name))
                };
                let found = entry.cells.iter().map(in_cell).collect();
                lines.push((name, found));
            }
        }
        None => {
            let kept = |of: fn(&super::Place) -> f64, worst: bool| {
                cells.iter().map(|place| (!place.refused).then(|| (of(place), worst))).collect()
            };
            lines.push(("the worst attack".into(), kept(|place| place.worst, true)));
            lines.push(("the worst of the usual five".into(), kept(|place| place.usual, false)));
            lines.push(("no attack".into(), kept(|place| place.clean, false)));
        }
    }
    let heads: String = cells
        .iter()
        .map(|place| format!("<th scope=\"col\">{}</th>", escape(&place.setting.label())))
        .collect();
    let value = |value: &Option<(f64, bool)>| match value {
        Some((share, true)) => format!("<td class=\"worst\">{}</td>", percent(*share)),
        Some((share, false)) => format!("<td>{}</td>", percent(*share)),
        None => "<td>-</td>".to_owned(),
    };
    let line = |(name, values): &(String, Vec<Option<(f64, bool)>>)| {
        let values: String = values.iter().map(value).collect();
        format!("<tr><th scope=\"row\" class=\"name\">{}</th>{values}</tr>", escape(name))
    };
    let lines: String = lines.iter().map(line).collect();
    format!(
        "<table><caption>{}: accuracy in %, the worst of each setting underlined; a dash where the \
         rule's bound leaves it out</caption><thead><tr><th scope=\"col\" \
         class=\"name\">attack</th>{heads}</tr></thead><tbody>{lines}</tbody></table>",
        escape(&standing.rule)
    )
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::entry;
    use super::*;

    #[test]
    fn the_page_holds_every_attack_and_takes_names_for_texts() {
        let odd = Entry { rule: "<script>alert(1)</script>".into(), ..entry("krum", 0.5) };
        let entries = [entry("nnm | median", 0.9), odd];
        let board = Board::of(&entries).unwrap();
        let html = board.html(&entries);
        assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert(1)"));
        assert_eq!(html.matches("<tbody><tr class=\"main\">").count(), 2);
        assert_eq!(html.matches("<th scope=\"row\" class=\"name\">alie").count(), 2);
        assert_eq!(html.matches("class=\"worst\"").count(), 2 * 8);
        assert!(html.contains("aria-sort=\"ascending\"") && html.contains("default-src 'none'"));
        // Of a file alone the worst is known, and each attack is not.
        let alone = board.html(&[]);
        assert!(alone.contains("the worst of the usual five") && !alone.contains(">alie"));
        for outside in ["src=", "url(", "@import", "</script><"] {
            let allowed = usize::from(outside == "</script><");
            assert_eq!(html.matches(outside).count(), allowed, "{outside}");
        }
    }
}
