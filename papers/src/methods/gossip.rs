//! Training without a server: nearest-neighbour averaging (Farhadkhani et al., ICML 2023, arXiv
//! 2209.10931), ClippedGossip (He, Karimireddy & Jaggi 2022, arXiv 2202.01545), CS+ (Gaucher,
//! Dieuleveut & Hendrikx, ICML 2025, arXiv 2410.10418) and BRIDGE (Fang, Yang & Bajwa 2022, arXiv
//! 1908.08649) on the same graphs and under the same attacks.

use crate::shapes::{Publication, Shape, end};
use std::path::Path;
use varangian_lab::config::Settings;
use varangian_lab::results::{Outcome, mean};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "gossip",
    about: "NNA, ClippedGossip, CS+, BRIDGE: no server, on a complete, a changing and a sparse graph",
    quick: include_str!("../../experiments/methods/gossip.toml"),
    full: include_str!("../../experiments/methods/gossip-full.toml"),
    judge,
    more,
};

const METHODS: [(&str, &str); 6] = [
    ("average", "plain gossip"),
    ("nna", "NNA"),
    ("clipped-gossip", "ClippedGossip"),
    ("cs-plus", "CS+"),
    ("bridge", "BRIDGE"),
    ("rule", "nnm | trimmed-mean"),
];
const GRAPHS: [&str; 3] = ["complete", "erdos-renyi", "torus"];

/// The attack of a run; dissensus is a parameter of gossip.
fn attack(settings: &Settings) -> &str {
    if settings.network.contains("dissensus=") { "dissensus" } else { &settings.attack }
}

/// The ends of runs in %, by method, graph and attack: means over seeds and honest nodes.
struct Ends<'a>(&'a [Outcome]);

impl Ends<'_> {
    fn cell(&self, method: &str, graph: &str, of: &str) -> Option<f64> {
        let is = |outcome: &&Outcome| {
            let own = &outcome.settings;
            let named = own.network.split([' ', '(', ')']).any(|w| w == format!("method={method}"));
            named && own.network.contains(graph) && attack(own) == of
        };
        let all: Vec<f64> = self.0.iter().filter(is).filter_map(end).collect();
        (!all.is_empty()).then(|| 100.0 * mean(&all))
    }

    fn attacks(&self) -> Vec<&str> {
        let mut out = Vec::new();
        for outcome in self.0 {
            let own = attack(&outcome.settings);
            if !out.contains(&own) {
                out.push(own);
            }
        }
        out.sort_by_key(|attack| *attack != "none");
        out
    }

    fn worst(&self, method: &str, graph: &str) -> Option<(f64, &str)> {
        let attacks = self.attacks().into_iter().filter(|attack| *attack != "none");
        let cells = attacks.filter_map(|attack| Some((self.cell(method, graph, attack)?, attack)));
        cells.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// A claim about the worst case of a method on a graph and plain gossip's end without attack.
    fn kept(&self, (method, name): (&str, &str), graph: &str) -> Shape {
        let found = (self.worst(method, graph), self.cell("average", graph, "none"));
        let told = match found {
            (Some((worst, attack)), Some(clean)) => {
                format!("{worst:.1} % ({attack}); plain gossip, no attack {clean:.1} %")
            }
            _ => "–".into(),
        };
        Shape {
            claim: format!("{graph}: {name} keeps 85 % of the clean accuracy, every attack"),
            found: told,
            holds: found.0.zip(found.1).map(|((worst, _), clean)| worst >= 0.85 * clean),
            moot: false,
        }
    }
}

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = Vec::new();
    for graph in GRAPHS {
        let mut broken = ends.kept(METHODS[0], graph);
        broken.claim = format!("{graph}: plain gossip breaks under an attack (loses half)");
        broken.holds = ends
            .worst("average", graph)
            .zip(ends.cell("average", graph, "none"))
            .map(|((worst, _), clean)| worst < 0.5 * clean);
        shapes.push(broken);
        shapes.extend(METHODS[1..4].iter().map(|method| ends.kept(*method, graph)));
        if graph == "complete" {
            shapes.extend(METHODS[4..].iter().map(|method| ends.kept(*method, graph)));
        }
    }
    let found = (
        ends.cell("clipped-gossip", "torus", "dissensus"),
        ends.cell("bridge", "torus", "dissensus"),
    );
    shapes.push(Shape {
        claim: "sparse graph, dissensus: ClippedGossip is better than trimming coordinates".into(),
        found: match found {
            (Some(clipped), Some(trimmed)) => format!("{clipped:.1} %; BRIDGE {trimmed:.1} %"),
            _ => "–".into(),
        },
        holds: found.0.zip(found.1).map(|(clipped, trimmed)| clipped > trimmed),
        moot: false,
    });
    shapes
}

/// Every cell, with how far the honest nodes are apart at the end.
fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let ends = Ends(outcomes);
    let attacks = ends.attacks();
    let mut rows = Vec::new();
    for graph in GRAPHS {
        for (method, name) in METHODS {
            let cells: Vec<Option<f64>> =
                attacks.iter().map(|attack| ends.cell(method, graph, attack)).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let mut row = vec![graph.to_owned(), name.to_owned()];
            row.extend(cells.iter().map(|cell| cell.map_or("-".into(), |x| format!("{x:.1}"))));
            rows.push(row);
        }
    }
    let mut head = vec!["graph", "method"];
    head.extend(&attacks);
    let right: Vec<bool> = (0..head.len()).map(|k| k >= 2).collect();
    let table = text::table(&head, &rows, &right);
    varangian_lab::files::write(&folder.join("cells.txt"), table.as_bytes())?;
    events.text(&table);
    Ok(())
}
