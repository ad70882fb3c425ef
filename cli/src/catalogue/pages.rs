//! The book's reference: a page for each rule, filter, attack, model, data set, partition and key,
//! from what the entries say of themselves.

use super::formulas::{self, Formula};
use super::{clouds, influence};
use crate::show::{self, Facts};
use crate::{Failure, keys};
use std::path::Path;
use varangian_base::{Entry, Param};
use varangian_lab::config::KEYS;
use varangian_lab::files;
use varangian_rules::{Kappa, RuleEntry};

/// Writes the pages below `folder`, a folder a family.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write(folder: &Path) -> Result<(), Failure> {
    for (name, text) in all()? {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            files::make_folder(parent)?;
        }
        files::write(&path, text.as_bytes())?;
    }
    Ok(())
}

/// Every page: its path below the folder, and its Markdown.
///
/// # Errors
/// If a key cannot be explained.
pub(super) fn all() -> Result<Vec<(String, String)>, Failure> {
    let mut out = Vec::new();
    let rules = Kind { word: "rule", folder: "rules", title: "Rules and stages", drawn: INFLUENCE };
    let drawn = varangian_rules::ALL.iter().map(|entry| (entry.name, influence::picture(entry)));
    let drawn: Vec<(&str, Option<String>)> = drawn.collect();
    rules.pages(&mut out, varangian_rules::ALL, show::rule_facts, formulas::RULES, &drawn);
    let filters = Kind { word: "filter", folder: "filters", title: "Filters", drawn: "" };
    let list = varangian_rules::FILTERS;
    filters.pages(&mut out, list, show::filter_facts, formulas::FILTERS, &[]);
    let attacks = Kind { word: "attack", folder: "attacks", title: "Attacks", drawn: CLOUD };
    let list = varangian_attacks::ALL;
    let drawn: Vec<(&str, Option<String>)> =
        list.iter().map(|entry| (entry.name, clouds::picture(entry))).collect();
    attacks.pages(&mut out, list, show::attack_facts, formulas::ATTACKS, &drawn);
    let models = Kind { word: "model", folder: "models", title: "Models", drawn: "" };
    let list = varangian_learn::model::entry::ALL;
    models.pages(&mut out, list, show::model_facts, &[], &[]);
    let data = Kind { word: "data set", folder: "datasets", title: "Data sets", drawn: "" };
    data.pages(&mut out, varangian_learn::data::ALL, show::data_facts, &[], &[]);
    let partitions =
        Kind { word: "partition", folder: "partitions", title: "Partitions", drawn: "" };
    let list = varangian_learn::partition::ALL;
    partitions.pages(&mut out, list, |_| Facts::new(), &[], &[]);
    out.push(("bounds.md".into(), bounds()));
    key_pages(&mut out)?;
    Ok(out)
}

/// A family: what one of it is called, the folder of its pages and their title.
struct Kind {
    word: &'static str,
    folder: &'static str,
    title: &'static str,
    /// The title of a picture's section and what it shows.
    drawn: &'static str,
}

const INFLUENCE: &str = "## How far two colluders of eleven move it\n\nNine honest rows in two \
    dimensions, two hostile ones that stand together at a growing distance. A stage is shown with \
    a rule: before the mean, or after the median. What remembers earlier rounds is shown in its \
    first.";

const CLOUD: &str = "## What it sends, and what becomes of the mean\n\nNine honest rows in two \
    dimensions around (2, 1), and what this attack writes for two hostile workers, with its \
    parameters as they are by default and in a first step; an attack that tries rows tries them on \
    the trimmed mean. `varangian forge` writes such rows for any honest ones.";

impl Kind {
    fn pages<T: ?Sized, F>(
        &self,
        out: &mut Vec<(String, String)>,
        list: &[&Entry<T, F>],
        facts: fn(&Entry<T, F>) -> Facts,
        tex: &[Formula],
        drawn: &[(&str, Option<String>)],
    ) {
        let mut index =
            format!("# {}\n\n| {} | what it does |\n|---|---|\n", self.title, self.word);
        for entry in list {
            let Entry { name, summary, .. } = entry;
            let file = format!("{}.md", file_name(name));
            index.push_str(&format!("| [{name}]({file}) | {} |\n", cell(summary)));
            let picture = drawn.iter().find(|(own, _)| own == name);
            let picture = picture.and_then(|(_, svg)| svg.as_deref());
            let text = self.page(entry, &facts(entry), formulas::of(tex, name), picture);
            out.push((format!("{}/{file}", self.folder), text));
        }
        out.push((format!("{}/index.md", self.folder), index));
    }

    fn page<T: ?Sized, F>(
        &self,
        entry: &Entry<T, F>,
        facts: &Facts,
        tex: Option<&str>,
        picture: Option<&str>,
    ) -> String {
        let Entry { name, summary, paper, cost, differs, params, .. } = entry;
        let mut out = format!("# {name}\n\n{}.\n\n", sentence(summary));
        if let Some(tex) = tex {
            out.push_str(&format!("$$\n{tex}\n$$\n\n"));
        }
        out.push_str("| | |\n|---|---|\n");
        out.push_str(&format!("| Paper | {} |\n", linked(&cell(paper))));
        for (label, text) in facts {
            out.push_str(&format!("| {label} | {} |\n", linked(&cell(text))));
        }
        out.push_str(&format!("| Cost | {} |\n\n", cell(cost)));
        if let Some(svg) = picture {
            out.push_str(&format!("{}\n\n", self.drawn));
            out.push_str(&format!("<figure>{}</figure>\n\n", svg.trim_end()));
        }
        if !params.is_empty() {
            out.push_str("## Parameters\n\n| written | takes | meaning |\n|---|---|---|\n");
            for Param { name, kind, default, help } in *params {
                let kind = cell(&kind.to_string());
                out.push_str(&format!("| `{name}={default}` | {kind} | {} |\n", cell(help)));
            }
            out.push('\n');
        }
        if !differs.is_empty() {
            out.push_str("## Where it differs from the paper\n\n");
            for one in *differs {
                out.push_str(&format!("- {}\n", linked(one)));
            }
            out.push('\n');
        }
        let command = self.folder;
        out.push_str(&format!(
            "The same in a terminal:\n\n```sh\nvarangian {command} {name}\n```\n"
        ));
        out
    }
}

/// Least numbers of workers and coefficients κ of all rules in one table.
fn bounds() -> String {
    let mut out = String::from(
        "# Bounds and κ\n\nThe least number of workers at which a rule is allowed for f hostile \
         ones, and its robustness coefficient κ where one is known: the squared distance of the \
         answer from the honest mean is at most κ times the honest rows' variance. Smaller is \
         better, and $f/(n-2f)$ is the least that any rule can have.\n\n\
         | rule | n for f = 1 | f = 2 | f = 4 | κ at n = 11, f = 2 | κ at n = 25, f = 5 | cost |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for entry in varangian_rules::ALL {
        let least = |f: usize| (entry.facts.bound.least)(f).to_string();
        out.push_str(&format!(
            "| [{0}](rules/{0}.md) | {1} | {2} | {3} | {4} | {5} | {6} |\n",
            entry.name,
            least(1),
            least(2),
            least(4),
            kappa(entry, 11, 2),
            kappa(entry, 25, 5),
            cell(entry.cost)
        ));
    }
    out.push_str(
        "\n= is an exact worst case, ≤ a published upper bound. A stage has the κ that it makes of \
         the trimmed mean's. Where nothing stands, no κ is known or there is none: the rule's page \
         says which.\n",
    );
    out
}

fn kappa(entry: &RuleEntry, n: usize, f: usize) -> String {
    if (entry.facts.bound.least)(f) > n {
        return "too few workers".into();
    }
    let trimmed = f as f64 / (n - 2 * f) as f64;
    match entry.facts.kappa {
        Kappa::Exact(value, _) => format!("= {:.2}", value(n, f)),
        Kappa::Bound(value, _) => format!("≤ {:.2}", value(n, f)),
        Kappa::Through(value, _) => format!("≤ {:.2}", value(n, f, trimmed)),
        Kappa::Open(_) => String::new(),
    }
}

fn key_pages(out: &mut Vec<(String, String)>) -> Result<(), Failure> {
    let mut index = String::from(
        "# Keys of an experiment file\n\nAny key may hold a list: the runs are the product of all \
         lists.\n\n| key | what it means |\n|---|---|\n",
    );
    for key in KEYS {
        index.push_str(&format!("| [{0}]({0}.md) | {1} |\n", key.name, cell(key.help)));
        let explained = keys::explain(key.name)?;
        let text = explained.split_once(": ").map_or(&*explained, |(_, rest)| rest);
        let page = format!("# {}\n\n```text\n{}\n```\n", key.name, text.trim_end());
        out.push((format!("keys/{}.md", key.name), page));
    }
    out.push(("keys/index.md".into(), index));
    Ok(())
}

/// A name as a file and a link hold it.
fn file_name(name: &str) -> String {
    name.replace('+', "-plus")
}

/// What stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

/// With a capital in front.
fn sentence(text: &str) -> String {
    let mut signs = text.chars();
    let first = signs.next().map(|sign| sign.to_uppercase().collect::<String>());
    first.unwrap_or_default() + signs.as_str()
}

/// Each "arXiv 1234.56789" as a link.
fn linked(text: &str) -> String {
    let mut parts = text.split("arXiv ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|sign: char| !sign.is_ascii_digit() && sign != '.');
        let number = part[..end.unwrap_or(part.len())].trim_end_matches('.');
        let rest = &part[number.len()..];
        match number.is_empty() {
            true => out.push_str(&format!("arXiv {rest}")),
            false => {
                out.push_str(&format!("[arXiv {number}](https://arxiv.org/abs/{number}){rest}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_and_every_key_has_a_page_of_its_own() {
        let pages = all().unwrap();
        let at = |name: &str| &pages.iter().find(|(own, _)| own == name).expect(name).1;
        let krum = at("rules/krum.md");
        for part in ["\\arg\\min", "abs/1703.02757", "n ≥ 2f + 3", "<svg", "`variant=blanchard`"]
        {
            assert!(krum.contains(part), "{part}: {krum}");
        }
        assert!(at("filters/zeno-plus-plus.md").contains("## Parameters"));
        assert!(at("keys/network.md").contains("max-delay=10"));
        assert!(at("bounds.md").contains("| [trimmed-mean](rules/trimmed-mean.md) | 3 | 5 | 9 |"));
        assert!(at("bounds.md").contains("= 0.29"), "2/(11 − 4)");
        let entries = varangian_rules::ALL.len() + varangian_attacks::ALL.len();
        assert!(pages.len() > entries + KEYS.len() + 40, "{}", pages.len());
        let mut names: Vec<&str> = pages.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), pages.len());
    }

    #[test]
    fn numbers_of_papers_are_links() {
        assert_eq!(
            linked("A, arXiv 1703.02757, §3; arXiv 1.2."),
            "A, [arXiv 1703.02757](https://arxiv.org/abs/1703.02757), §3; \
             [arXiv 1.2](https://arxiv.org/abs/1.2)."
        );
        assert_eq!(linked("no number: arXiv x"), "no number: arXiv x");
        assert_eq!(sentence("mean of rows"), "Mean of rows");
    }
}
