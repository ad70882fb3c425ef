//! Variance reduction on finite sums: how close to the optimum methods come, on a logarithmic axis.

pub(super) mod dasha;
pub(super) mod marina;
pub(super) mod saga;

use super::shapes::Shape;
use std::path::Path;
use varangian_lab::config::Settings;
use varangian_lab::pictures::band;
use varangian_lab::plot::{Curve, Panel, curves};
use varangian_lab::results::{Outcome, place};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The metric: f(θ) − f*.
const GAP: &str = "optimality_gap";

/// What a publication compares: a name, and which runs are of it.
struct Way {
    name: &'static str,
    is: fn(&Settings) -> bool,
}

/// The gaps in which runs end.
struct Gaps<'a>(&'a [Outcome]);

/// One end: a way, a rule, and the attack, or `None` for the worst of all.
type At<'a> = (&'a Way, &'a str, Option<&'a str>);

impl Gaps<'_> {
    fn runs(&self, way: &Way, rule: &str) -> impl Iterator<Item = &Outcome> {
        self.0.iter().filter(move |run| (way.is)(&run.settings) && run.settings.rule == rule)
    }

    /// The largest last gap over seeds, and under which attack; one that left the numbers is
    /// infinite.
    fn end(&self, (way, rule, attack): At<'_>) -> Option<(f64, &str)> {
        let ends = self.runs(way, rule).filter_map(|run| {
            let own = run.settings.attack.as_str();
            let gap = run.curve(GAP).last()?.1;
            let gap = if gap.is_finite() { gap } else { f64::INFINITY };
            attack.is_none_or(|attack| attack == own).then_some((gap, own))
        });
        ends.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// A claim about ends.
    fn shape(&self, claim: &str, ends: &[At<'_>], test: impl Fn(&[f64]) -> bool) -> Shape {
        let found: Vec<Option<(f64, &str)>> = ends.iter().map(|at| self.end(*at)).collect();
        let told = |((way, rule, _), found): (&At<'_>, &Option<(f64, &str)>)| match found {
            Some((gap, attack)) => format!("{}, {rule}, {attack}: {gap:.1e}", way.name),
            None => format!("{}, {rule}: –", way.name),
        };
        let texts: Vec<String> = ends.iter().zip(&found).map(told).collect();
        let all: Option<Vec<f64>> = found.iter().map(|end| end.map(|(gap, _)| gap)).collect();
        Shape {
            claim: claim.into(),
            found: texts.join("; "),
            holds: all.map(|all| test(&all)),
            moot: false,
        }
    }

    /// Writes and shows every end, and draws the curves: a panel an attack, a line a way and rule.
    fn show(&self, ways: &[Way], folder: &Path, events: &mut dyn Events) -> Result<(), Failure> {
        let (mut rules, mut attacks) = (Vec::new(), Vec::new());
        for run in self.0 {
            place(&mut rules, &run.settings.rule);
            place(&mut attacks, &run.settings.attack);
        }
        let (mut rows, mut legend) = (Vec::new(), Vec::new());
        let mut panels: Vec<Panel> =
            attacks.iter().map(|title| Panel { title: title.clone(), curves: vec![] }).collect();
        for way in ways {
            for rule in rules.iter().filter(|rule| self.runs(way, rule).next().is_some()) {
                let line = place(&mut legend, &format!("{}, {rule}", way.name));
                let mut row = vec![way.name.to_owned(), rule.clone()];
                for (attack, panel) in attacks.iter().zip(&mut panels) {
                    let own = self.runs(way, rule).filter(|run| run.settings.attack == *attack);
                    let seeds: Vec<Vec<(u64, f64)>> = own.map(|run| run.curve(GAP)).collect();
                    let end = self.end((way, rule, Some(attack)));
                    row.push(end.map_or("-".into(), |(gap, _)| format!("{gap:.1e}")));
                    if !seeds.is_empty() {
                        panel.curves.push(Curve { line, points: band(&seeds) });
                    }
                }
                rows.push(row);
            }
        }
        let mut head = vec!["way", "rule"];
        head.extend(attacks.iter().map(String::as_str));
        let right: Vec<bool> = (0..head.len()).map(|k| k >= 2).collect();
        let table = text::table(&head, &rows, &right);
        varangian_lab::files::write(&folder.join("gaps.txt"), table.as_bytes())?;
        events.text(&table);
        if panels.is_empty() {
            return Ok(());
        }
        let picture = curves("how close to the optimum", "f(θ) − f*", &legend, panels, false);
        picture.write(&folder.join("gap"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_lab::results::Point;

    fn run(rule: &str, attack: &str, gaps: &[f64]) -> Outcome {
        let point =
            |(k, &value): (usize, &f64)| Point { step: 10 * k as u64, metric: GAP.into(), value };
        let points = gaps.iter().enumerate().map(point).collect();
        Outcome { points, ..Outcome::sample(rule, attack, 1, &[0.5]) }
    }

    #[test]
    fn the_worst_last_gap_is_the_end_and_what_diverges_is_infinite() {
        let any = Way { name: "any", is: |_| true };
        let runs = [
            run("median", "none", &[1.0, 1e-12]),
            run("median", "ipm", &[1.0, 1e-3]),
            run("average", "ipm", &[1.0, f64::NAN]),
        ];
        let gaps = Gaps(&runs);
        assert_eq!(gaps.end((&any, "median", None)), Some((1e-3, "ipm")));
        assert_eq!(gaps.end((&any, "median", Some("none"))), Some((1e-12, "none")));
        assert_eq!(gaps.end((&any, "average", None)), Some((f64::INFINITY, "ipm")));
        let shape = gaps.shape("one", &[(&any, "median", None), (&any, "krum", None)], |_| true);
        assert_eq!(shape.holds, None);
        assert_eq!(shape.found, "any, median, ipm: 1.0e-3; any, krum: –");
    }
}
