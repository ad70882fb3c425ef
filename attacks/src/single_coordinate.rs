//! One coordinate (El Mhamdi, Guerraoui & Rouault 2018, §3): the honest mean with a large value
//! added to a single coordinate, which hides in a high-dimensional distance.

use crate::factor::{EVALUATIONS, SEARCH, Search};
use crate::trial::Trial;
use crate::write::{by_moments, copies};
use crate::{Attack, AttackEntry, AttackFacts, Ground, Sees, View};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, Rows, RowsMut, SpecError};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "single-coordinate",
    summary: "the honest mean plus a factor in one coordinate, or in all",
    paper: "El Mhamdi, Guerraoui & Rouault, The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018, arXiv 1802.07927, §3",
    differs: &[],
    params: &[
        Param {
            name: "factor",
            kind: Kind::Real { min: -1e30, max: 1e30 },
            default: "1",
            help: "what is added",
        },
        Param {
            name: "coordinate",
            kind: Kind::Text,
            default: "last",
            help: "where: last, all, or a number from 0",
        },
        SEARCH,
        EVALUATIONS,
    ],
    cost: "O(n·d); with a search, one aggregation an evaluation",
    facts: AttackFacts::reads(Sees::HONEST),
    build,
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let place = match args.text("coordinate") {
        "last" => Place::Last,
        "all" => Place::All,
        text => Place::At(text.parse().map_err(|_| {
            SpecError::new(format!("coordinate takes last, all or a number; found \"{text}\""))
        })?),
    };
    let search = Search::of(args, "factor")?;
    let factor = args.real("factor").expect("has a default");
    Ok(Box::new(SingleCoordinate { factor, place, search, trial: Trial::default() }))
}

#[derive(Clone, Copy)]
enum Place {
    Last,
    All,
    At(usize),
}

#[derive(Clone)]
struct SingleCoordinate {
    factor: f64,
    place: Place,
    search: Search,
    trial: Trial,
}

fn write(place: Place, honest: Rows<'_>, factor: f64, row: &mut [f32]) {
    let last = honest.d() - 1;
    by_moments(honest, 0, row, |k, mean, _| match place {
        Place::All => mean + factor,
        Place::Last if k == last => mean + factor,
        Place::At(at) if k == at => mean + factor,
        _ => mean,
    });
}

impl Attack for SingleCoordinate {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let (honest, place) = (view.honest, self.place);
        let factor = match self.search {
            Search::Off => self.factor,
            search => search.run(view, &mut self.trial, |x, row| write(place, honest, x, row)),
        };
        copies(out, |row| write(place, honest, factor, row));
    }

    fn sees(&self) -> Sees {
        Sees::HONEST.or(self.search.sees())
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(SingleCoordinate { trial: Trial::default(), ..self.clone() })
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest == 0 { Err("at least 1 honest worker".into()) } else { Ok(()) }
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        match self.place {
            Place::At(at) if at >= ground.d => {
                Err(format!("coordinate < d = {}; coordinate = {at}", ground.d))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{HAND, close, forge};

    #[test]
    fn the_hand_vectors() {
        let send = |spec: &str| forge(spec, HAND, &[&[0.0, 0.0]], 1)[0].clone();
        close(&send("single-coordinate factor=2"), &[2.0, 3.0]);
        close(&send("single-coordinate factor=2 coordinate=all"), &[4.0, 3.0]);
        close(&send("single-coordinate factor=2 coordinate=0"), &[4.0, 1.0]);
        assert!(crate::build("single-coordinate coordinate=first").is_err());
    }
}
