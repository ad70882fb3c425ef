//! Quantity skew: alike data, in unequal amounts, as sites of different size have them.

use super::dirichlet::{cut, dirichlet};
use super::{EMPTY, LEAST, Partition, Samples, Shares, enough, keep_nonempty};
use varangian_base::{Domain, Entry, Kind, Param, Seed, SpecError, lanes};

/// Alike data in unequal amounts.
pub(crate) static ENTRY: Entry<dyn Partition> = Entry {
    name: "quantity-skew",
    summary: "Alike data in unequal amounts: by given sizes, or by Dirichlet proportions.",
    paper: "Li, Diao, Chen, He: Federated learning on non-IID data silos, ICDE 2022, 2102.02079, §III.C",
    differs: &["Sizes can be given; the paper draws them."],
    params: &[
        Param {
            name: "sizes",
            kind: Kind::Text,
            default: "auto",
            help: "relative sizes, one a worker, with commas between them: 20,20,20,1; auto: drawn",
        },
        Param {
            name: "alpha",
            kind: Kind::Real { min: 1e-3, max: 1e6 },
            default: "0.5",
            help: "concentration of drawn proportions: 0.1 is strong skew, 100 nearly none",
        },
        LEAST,
        EMPTY,
    ],
    cost: "O(N)",
    facts: (),
    build: |args| {
        let given = (args.text("sizes") != "auto").then(|| read(args.text("sizes"))).transpose()?;
        Ok(Box::new(Quantity {
            given,
            alpha: args.real("alpha").expect("has a default"),
            least: args.count("least").expect("has a default"),
            refuse: args.text("empty") == "refuse",
        }))
    },
};

struct Quantity {
    given: Option<Vec<f64>>,
    alpha: f64,
    least: usize,
    refuse: bool,
}

/// Relative sizes: finite and above 0.
fn read(text: &str) -> Result<Vec<f64>, SpecError> {
    let one = |size: &str| match size.trim().parse::<f64>() {
        Ok(size) if size.is_finite() && size > 0.0 => Ok(size),
        _ => Err(SpecError::new(format!(
            "quantity-skew: sizes are numbers above 0 with commas between them; found \"{size}\""
        ))),
    };
    text.split(',').map(one).collect()
}

impl Partition for Quantity {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        enough(samples.len(), workers)?;
        let sizes = match &self.given {
            Some(sizes) if sizes.len() != workers => {
                let found = sizes.len();
                return Err(SpecError::new(format!(
                    "quantity-skew: one size a worker; found {found} for {workers} workers"
                )));
            }
            Some(sizes) => {
                let most = sizes.iter().copied().fold(0.0, f64::max);
                let sum: f64 = sizes.iter().map(|size| size / most).sum();
                sizes.iter().map(|size| size / most / sum).collect()
            }
            None => {
                let mut stream = seed.lane(Domain::Partition, 0, 0, lanes::partition::AMOUNT);
                dirichlet(&vec![self.alpha; workers], &mut stream)
            }
        };
        let order =
            seed.lane(Domain::Partition, 0, 0, lanes::partition::ORDER).permutation(samples.len());
        let mut shares: Vec<Vec<u32>> =
            cut(&order, &sizes).into_iter().map(<[u32]>::to_vec).collect();
        let notes = keep_nonempty("quantity-skew", &mut shares, self.least, self.refuse)?;
        Ok(Shares { samples: shares, notes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{balanced, complete, make, split};
    use super::*;

    #[test]
    fn sizes_are_those_asked_for_and_every_sample_goes_to_one_worker() {
        let shares = split("quantity-skew sizes=20,20,20,1", &balanced(610, 3), 4);
        assert_eq!(shares.samples.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 200, 10]);
        assert!(complete(&shares, 610) && shares.notes.is_empty());
        let drawn = split("quantity-skew alpha=0.3", &balanced(600, 3), 7);
        let sizes: Vec<usize> = drawn.samples.iter().map(Vec::len).collect();
        assert!(complete(&drawn, 600) && sizes.iter().max() > sizes.iter().min(), "{sizes:?}");
        let regression = Samples { labels: vec![0; 60], ..Samples::default() };
        assert!(complete(&split("quantity-skew", &regression, 5), 60));
    }

    #[test]
    fn tiny_shares_are_filled_or_refused_and_sizes_are_read_with_care() {
        let text = "quantity-skew sizes=1e9,1";
        let filled = split(text, &balanced(50, 2), 2);
        assert_eq!((filled.samples[1].len(), filled.notes.len()), (1, 1));
        let refuse = make(&format!("{text} empty=refuse"));
        assert!(refuse.split(&balanced(50, 2), 2, Seed(1)).is_err());
        let wrong = make("quantity-skew sizes=1,2").split(&balanced(50, 2), 3, Seed(1));
        assert!(wrong.unwrap_err().to_string().ends_with("found 2 for 3 workers"));
        for bad in ["1,x", "1,-2", "1,inf", "1,,2", "0,1"] {
            let spec = format!("quantity-skew sizes={bad}");
            let spec = varangian_base::spec::parse(&spec).unwrap();
            assert!(super::super::make(&spec).is_err(), "{bad}");
        }
    }
}
