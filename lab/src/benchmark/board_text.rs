//! The leaderboard as tables: Markdown, LaTeX, CSV, and for a terminal.

use super::board::{Board, Standing};
use crate::publish::table::escaped;
use crate::results::cells::{self, Cell};
use crate::text;

/// What stands above the columns, and how each is said in the next rows.
const HEADS: [&str; 13] = [
    "#",
    "pipeline",
    "worst case",
    "±",
    "usual five",
    "overstated",
    "no attack",
    "f = 0",
    "worst by",
    "collapsed",
    "backdoor",
    "κ proven / found",
    "time",
];

/// A search that finds more than this has found that one row drags the answer anywhere.
const UNBOUNDED: f64 = 1e6;

/// Columns of names; the others are numbers.
const NAMES: [bool; 13] =
    [false, true, false, false, false, false, false, false, true, false, false, true, false];

impl Board {
    /// A table for a terminal, within lines of `width` characters where there is a bound.
    pub fn table(&self, width: Option<usize>) -> String {
        let right: Vec<bool> = NAMES.iter().map(|name| !name).collect();
        let table = text::table_within(width, &HEADS, &self.rows(), &right);
        table + &self.part("\nA part of the protocol alone: ", "\n")
    }

    /// A table in Markdown; the best of the worst cases stands out.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads: Vec<String> = HEADS.iter().map(ToString::to_string).collect();
        let rule = NAMES.iter().map(|name| if *name { "---" } else { "--:" }.to_owned());
        let mut out = line(&heads) + &line(&rule.collect::<Vec<_>>());
        for (k, mut row) in self.rows().into_iter().enumerate() {
            // A rule's name may be anybody's text.
            let escaped = |cell: &String| cell.replace('|', "\\|").replace('<', "&lt;");
            row.iter_mut().for_each(|cell| *cell = escaped(cell));
            if k == 0 {
                row[2] = format!("**{}**", row[2]);
            }
            out += &line(&row);
        }
        out
    }

    /// A table in LaTeX, which wants \usepackage{booktabs}.
    pub fn latex(&self) -> String {
        let columns: String = NAMES.iter().map(|name| if *name { 'l' } else { 'r' }).collect();
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| greek(&escaped(cell))).collect();
            format!("{} \\\\\n", cells.join(" & "))
        };
        let heads: Vec<String> = HEADS.iter().map(ToString::to_string).collect();
        let mut out = format!(
            "% varangian's benchmark, {} tier, version {}, protocol {}{}\n\
             \\begin{{tabular}}{{{columns}}}\n\\toprule\n{}\\midrule\n",
            self.tier,
            self.version,
            self.protocol,
            self.part(", only ", ""),
            line(&heads)
        );
        self.rows().iter().for_each(|row| out += &line(row));
        out + "\\bottomrule\n\\end{tabular}\n"
    }

    /// A row for each pipeline and setting, accuracies as shares of 1.
    pub fn csv(&self) -> String {
        let header = [
            "place",
            "rule",
            "dataset",
            "model",
            "partition",
            "n",
            "f",
            "refused",
            "worst",
            "by",
            "usual",
            "clean",
            "score",
            "half",
            "backdoor",
            "chance",
        ];
        let mut rows = Vec::new();
        for (k, standing) in self.standings.iter().enumerate() {
            for place in &standing.cells {
                let setting = &place.setting;
                rows.push(vec![
                    Cell::count(k + 1),
                    Cell::text(&standing.rule),
                    Cell::text(&setting.dataset),
                    Cell::text(&setting.model),
                    Cell::text(&setting.partition),
                    Cell::count(setting.n),
                    Cell::count(setting.f),
                    Cell::Truth(place.refused),
                    Cell::Real(place.worst),
                    Cell::text(&place.by),
                    Cell::Real(place.usual),
                    Cell::Real(place.clean),
                    Cell::Real(standing.score),
                    Cell::Real(standing.half),
                    Cell::Real(standing.backdoor.unwrap_or(f64::NAN)),
                    Cell::Real(standing.chance.unwrap_or(f64::NAN)),
                ]);
            }
        }
        String::from_utf8(cells::csv(&header, rows.into_iter())).expect("text")
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.standings.iter().enumerate().map(|(k, one)| row(k + 1, one)).collect()
    }
}

/// A share of 1 in %, a dash where it is not known.
pub(super) fn percent(share: f64) -> String {
    if share.is_nan() { "-".to_owned() } else { format!("{:.1}", 100.0 * share) }
}

/// "41.2 (1.9)": how many stamped samples are taken for the target, and by chance.
fn backdoor(standing: &Standing) -> String {
    match (standing.backdoor, standing.chance) {
        (Some(rate), Some(chance)) => format!("{} ({})", percent(rate), percent(chance)),
        _ => "-".to_owned(),
    }
}

/// A line of the leaderboard, at this place.
pub(super) fn row(place: usize, standing: &Standing) -> Vec<String> {
    let refused = standing.cells.iter().filter(|place| place.refused).count();
    let note = match (standing.validates, refused) {
        (true, _) => " (own data)".to_owned(),
        (false, 0) => String::new(),
        (false, refused) => format!(" (refuses {refused})"),
    };
    let number = |x: Option<f64>| match x {
        None => "?".to_owned(),
        Some(x) if x > UNBOUNDED => "unbounded".to_owned(),
        Some(x) => format!("{x:.2}"),
    };
    let kappa = standing.kappa.iter().map(|one| {
        let known = if one.kind == "none" { "?".into() } else { number(one.known) };
        format!("{known} / {}", number(one.found))
    });
    let (count, all) = (standing.searched, standing.cells.len() - refused);
    let objective = standing.strategy.rsplit('=').next().unwrap_or_default();
    let by = match count {
        0 => "published".to_owned(),
        _ => format!("search {count} of {all}, {objective}"),
    };
    vec![
        place.to_string(),
        format!("{}{note}", standing.rule),
        percent(standing.score),
        percent(standing.half),
        percent(standing.usual),
        percent(standing.overstated()),
        percent(standing.clean),
        percent(standing.calm),
        by,
        format!("{} %", (100 * standing.collapsed + standing.runs / 2) / standing.runs.max(1)),
        backdoor(standing),
        kappa.collect::<Vec<_>>().join("; "),
        standing.means.map_or("-".into(), |x| format!("{x:.1}")),
    ]
}

/// Greek letters and signs as LaTeX has them.
fn greek(text: &str) -> String {
    text.replace('κ', "$\\kappa$").replace('±', "$\\pm$").replace('≤', "$\\le$")
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::entry;
    use super::*;

    #[test]
    fn each_form_holds_each_pipeline_and_escapes_its_bars() {
        let entries = [entry("average", 0.5), entry("nnm | median", 0.9)];
        let board = Board::of(&entries).unwrap();
        let markdown = board.markdown();
        let first = markdown.lines().nth(2).unwrap();
        assert!(
            first.starts_with("| 1 | nnm \\| median | **80.0** | 0.0 | 85.0 | 5.0 |"),
            "{first}"
        );
        assert!(markdown.lines().all(|line| line.replace("\\|", "").matches('|').count() == 14));
        let latex = board.latex();
        assert!(latex.contains("nnm $|$ median") && latex.contains("$\\kappa$"), "{latex}");
        assert_eq!(board.csv().lines().count(), 1 + 2 * 8);
        assert!(board.table(None).contains("search 8 of 8, loss"));
        let bulyan = Board::of(&[entry("bulyan", 0.9)]).unwrap();
        assert!(bulyan.table(None).contains("bulyan (refuses 4)"));
    }
}
